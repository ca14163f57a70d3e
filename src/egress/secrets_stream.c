/* Theory of operation: two searches in streams whose pieces may be cut anywhere.
 *
 * secrets_scan() looks for placeholders on their way out. One is known by its last 32 characters,
 * which are chance, so that no other text is taken for it. Seen are: the text itself, its base64 at
 * each of the three alignments (what stands before decides which), and the text with any of its
 * characters as %XX. Not seen is what a program that means to hide it can do to it (compress it,
 * reverse it); nothing is lost by that, as a placeholder is worth nothing.
 *
 * secrets_mask() looks for values on their way in: as they are, as an echo in JSON, HTML or a URL
 * writes them, and in Basic's base64 at each alignment where their rule puts them there. All are
 * found before any is overwritten, so that one value inside another does not hide it. Only an end
 * that is a value's beginning is kept back: anything more would hold up a conversation whose next
 * message waits for this one. So of base64 the one character before, which carries at most four of
 * a value's bits, may be gone already when the rest comes. A server that wants to give a value away
 * in a form of its own can: the masking is for servers that echo, not for ones that are hostile. */
#include "egress/secrets.h"

#include "base/cleanup.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <string.h>

/* ---- base64 at an alignment ---- */

/* The part of data's base64 that does not depend on what stands around it, when `skipped` of its
 * first bytes share a group of three with what is before. EVP_EncodeBlock() ends with a NUL. */
static size_t encode_core(const char *data, size_t length, size_t skipped, unsigned char *ret)
{
	return (size_t)EVP_EncodeBlock(
		ret, (const unsigned char *)data + skipped, (int)((length - skipped) / 3 * 3));
}

static int add_mask(
	struct secret *secret, const char *data, size_t length, size_t lead, size_t trail)
{
	struct secret_mask *mask = &secret->masks[secret->masks_count];
	if (locked_new(&mask->bytes, data, length) < 0)
		return -ENOMEM;
	mask->lead_bytes = lead;
	mask->trail_bytes = trail;
	secret->masks_count++;
	return 0;
}

/* At each alignment: the characters that are the value's alone. Next to them stands one, before or
 * after, that carries bits of the value and of what is around it. */
static int add_basic_masks(struct secret *secret)
{
	size_t length = secret->value.length_bytes;
	size_t plain_bytes = length + 2, encoded_bytes = (length + 2 + 2) / 3 * 4 + 1;
	unsigned char *plain = calloc(1, plain_bytes), *encoded = malloc(encoded_bytes);
	int r = plain && encoded ? 0 : -ENOMEM;
	for (size_t before = 0; before < 3 && r == 0; before++) {
		size_t bits = 8 * (before + length);
		size_t first = (8 * before + 5) / 6;
		memcpy(plain + before, secret->value.data, length);
		EVP_EncodeBlock(encoded, plain, (int)(before + length));
		r = add_mask(secret, (const char *)encoded + first, bits / 6 - first, before > 0,
			bits % 6 > 0);
		memset(plain, 0, plain_bytes);
	}
	if (plain)
		OPENSSL_cleanse(plain, plain_bytes);
	if (encoded)
		OPENSSL_cleanse(encoded, encoded_bytes);
	free(plain);
	free(encoded);
	return r;
}

/* As secret_percent_encode(), but with some characters as they are, or with small digits. */
static char *percent_encode(const struct locked *value, const char *kept, const char *digits)
{
	static const char unreserved[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
					 "0123456789-._~";
	char *text = malloc(3 * value->length_bytes + 1);
	char *to = text;
	for (size_t i = 0; text && i < value->length_bytes; i++) {
		unsigned char c = (unsigned char)value->data[i];
		if (strchr(unreserved, c) || strchr(kept, c)) {
			*to++ = (char)c;
		} else {
			*to++ = '%';
			*to++ = digits[c >> 4];
			*to++ = digits[c & 15];
		}
	}
	if (text)
		*to = '\0';
	return text;
}

static const char large_digits[] = "0123456789ABCDEF", small_digits[] = "0123456789abcdef";

char *secret_percent_encode(const struct locked *value)
{
	return percent_encode(value, "", large_digits);
}

/* How encoders write the characters that mean something to them. What they write as it is differs,
 * and so do their spellings: each row is one that common libraries have. */
struct form {
	const char *which;          /* the characters that are written in a way of their own */
	const char *const *spelled; /* for each of them */
};

static const struct form forms[] = {
	{.which = "\"\\", .spelled = (const char *const[]){"\\\"", "\\\\"}}, /* JSON */
	{.which = "\"\\/", .spelled = (const char *const[]){"\\\"", "\\\\", "\\/"}},
	/* JSON that may stand in HTML: Go, Python's Flask; .NET; PHP */
	{.which = "\"\\<>&",
		.spelled = (const char *const[]){"\\\"", "\\\\", "\\u003c", "\\u003e", "\\u0026"}},
	{.which = "\"\\<>&'",
		.spelled = (const char *const[]){"\\\"", "\\\\", "\\u003c", "\\u003e", "\\u0026",
			"\\u0027"}},
	{.which = "\"\\<>&'+`",
		.spelled = (const char *const[]){"\\u0022", "\\\\", "\\u003C", "\\u003E", "\\u0026",
			"\\u0027", "\\u002B", "\\u0060"}},
	{.which = "\"\\<>&'/",
		.spelled = (const char *const[]){"\\u0022", "\\\\", "\\u003C", "\\u003E", "\\u0026",
			"\\u0027", "\\/"}},
	{.which = "\"\\<>&'/",
		.spelled = (const char *const[]){"\\u0022", "\\u005c", "\\u003c", "\\u003e",
			"\\u0026", "\\u0027", "\\u002f"}},
	/* HTML: text; Python and Go; JavaScript; PHP */
	{.which = "&<>", .spelled = (const char *const[]){"&amp;", "&lt;", "&gt;"}},
	{.which = "&<>\"'",
		.spelled = (const char *const[]){"&amp;", "&lt;", "&gt;", "&quot;", "&#x27;"}},
	{.which = "&<>\"'",
		.spelled = (const char *const[]){"&amp;", "&lt;", "&gt;", "&#34;", "&#39;"}},
	{.which = "&<>\"'",
		.spelled = (const char *const[]){"&amp;", "&lt;", "&gt;", "&quot;", "&#39;"}},
	{.which = "&<>\"'",
		.spelled = (const char *const[]){"&amp;", "&lt;", "&gt;", "&quot;", "&#039;"}},
};
enum { SPELLED_BYTES = 8 }; /* the longest of them, and a NUL */

_Static_assert(ARRAY_SIZE(forms) + 1 /* as it is */ + 3 /* percent-encoded */ == SECRET_FORMS_MAX,
	"room for every form");

static char *encode_form(const struct form *form, const struct locked *value)
{
	char *text = malloc(value->length_bytes * (SPELLED_BYTES - 1) + 1);
	char *to = text;
	for (size_t i = 0; text && i < value->length_bytes; i++) {
		char c = value->data[i];
		const char *at = strchr(form->which, c);
		if (at)
			to = stpcpy(to, form->spelled[at - form->which]);
		else
			*to++ = c;
	}
	if (text)
		*to = '\0';
	return text;
}

/* Takes text over. What is looked for already is not looked for twice. */
static int add_form(struct secret *secret, char *text)
{
	bool known = false;
	for (size_t i = 0; text && i < secret->masks_count && !known; i++)
		known = strcmp(secret->masks[i].bytes.data, text) == 0;
	int r = !text ? -ENOMEM : known ? 0 : add_mask(secret, text, strlen(text), 0, 0);
	if (text)
		OPENSSL_cleanse(text, strlen(text));
	free(text);
	return r;
}

static int add_masks(struct secret *secret)
{
	int r = add_mask(secret, secret->value.data, secret->value.length_bytes, 0, 0);
	for (size_t i = 0; i < ARRAY_SIZE(forms) && r == 0; i++)
		r = add_form(secret, encode_form(&forms[i], &secret->value));
	if (r == 0)
		r = add_form(secret, secret_percent_encode(&secret->value));
	if (r == 0)
		r = add_form(secret, percent_encode(&secret->value, "/", large_digits));
	if (r == 0)
		r = add_form(secret, percent_encode(&secret->value, "", small_digits));
	if (r == 0 && secret->rule->place == SECRET_BASIC)
		r = add_basic_masks(secret);
	return r;
}

/* A character that stands in nothing that is looked for: so no mask can complete a value out of
 * what was overwritten and what was not. */
static char choose_fill(const struct secrets *secrets)
{
	static const char candidates[] = "*#xX.-_=+~^!?@$&|:;/abcdefghijklmnopqrstuvwyz"
					 "ABCDEFGHIJKLMNOPQRSTUVWYZ0123456789";
	for (const char *fill = candidates; *fill; fill++) {
		bool used = false;
		for (size_t i = 0; i < secrets->count && !used; i++)
			for (size_t j = 0; j < secrets->items[i].masks_count && !used; j++) {
				const struct locked *bytes = &secrets->items[i].masks[j].bytes;
				used = memchr(bytes->data, *fill, bytes->length_bytes) != NULL;
			}
		if (!used)
			return *fill;
	}
	return '\0';
}

int secrets_prepare(struct secrets *secrets)
{
	for (size_t i = 0; i < secrets->count; i++) {
		struct secret *secret = &secrets->items[i];
		for (size_t skipped = 0; skipped < 3; skipped++) {
			unsigned char core[SECRET_ENCODED_BYTES + 1];
			encode_core(secret->chance, SECRET_CHANCE_BYTES, skipped, core);
			memcpy(secret->encoded[skipped], core, SECRET_ENCODED_BYTES);
		}
		int r = add_masks(secret);
		if (r < 0)
			return r;
	}
	secrets->fill = choose_fill(secrets);
	return secrets->fill ? 0 : -EINVAL;
}

/* ---- placeholders, on their way out ---- */

static bool holds(const struct secrets *secrets, const char *data, size_t length)
{
	for (size_t i = 0; i < secrets->count; i++) {
		const struct secret *secret = &secrets->items[i];
		if (memmem(data, length, secret->chance, SECRET_CHANCE_BYTES))
			return true;
		for (size_t j = 0; j < ARRAY_SIZE(secret->encoded); j++)
			if (memmem(data, length, secret->encoded[j], SECRET_ENCODED_BYTES))
				return true;
	}
	return false;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* In data with every %XX decoded, by blocks that overlap by a placeholder's longest form. */
static bool holds_encoded(const struct secrets *secrets, const char *data, size_t length)
{
	char plain[4096];
	for (size_t from = 0; from < length;) {
		size_t end = length - from > sizeof(plain) ? from + sizeof(plain) : length;
		size_t n = 0;
		for (size_t i = from; i < end; i++) {
			int high = data[i] == '%' && end - i > 2 ? hex_digit(data[i + 1]) : -1;
			int low = high >= 0 ? hex_digit(data[i + 2]) : -1;
			plain[n++] = low >= 0 ? (char)(high << 4 | low) : data[i];
			i += low >= 0 ? 2 : 0;
		}
		if (holds(secrets, plain, n))
			return true;
		if (end == length)
			break;
		from = end - SECRET_SCAN_BYTES;
	}
	return false;
}

static bool holds_any(const struct secrets *secrets, const char *data, size_t length)
{
	return holds(secrets, data, length) ||
	       (memchr(data, '%', length) && holds_encoded(secrets, data, length));
}

bool secrets_scan(const struct secrets *secrets, struct secret_scan *scan, const char *data,
	size_t length_bytes)
{
	char seam[2 * sizeof(scan->tail)];
	size_t head = length_bytes < sizeof(scan->tail) ? length_bytes : sizeof(scan->tail);
	memcpy(seam, scan->tail, scan->tail_bytes);
	memcpy(seam + scan->tail_bytes, data, head);
	size_t seam_bytes = scan->tail_bytes + head;
	bool found = holds_any(secrets, seam, seam_bytes) ||
		     (length_bytes > head && holds_any(secrets, data, length_bytes));

	/* What has no bytes in `data` beyond the seam ends in the seam. */
	const char *end = length_bytes > head ? data + length_bytes : seam + seam_bytes;
	size_t last = length_bytes > head ? length_bytes : seam_bytes;
	scan->tail_bytes = last < sizeof(scan->tail) ? last : sizeof(scan->tail);
	memcpy(scan->tail, end - scan->tail_bytes, scan->tail_bytes);
	return found;
}

/* ---- values, on their way in ---- */

/* What was found in one piece of a stream. */
struct found {
	char *data;
	size_t length;
	bool last;
	uint32_t *starts; /* for each byte: 1 + where the first value that it is part of begins;
			   * NULL: none was found */
	size_t kept;      /* at the end, until more has come */
};

static size_t larger(size_t a, size_t b)
{
	return a > b ? a : b;
}

/* How many bytes at data's end, with what stands before them, may turn out to be a value. They
 * begin at `from` at the earliest. */
static size_t begun(const struct secret_mask *mask, const struct found *found, size_t from)
{
	size_t most = mask->bytes.length_bytes - 1, length = found->length;
	for (size_t n = length - from < most ? length - from : most; n > 0; n--)
		if (memcmp(found->data + length - n, mask->bytes.data, n) == 0)
			return n + mask->lead_bytes < length ? n + mask->lead_bytes : length;
	return 0;
}

static int mark(struct found *found, size_t start, size_t end)
{
	if (!found->starts)
		found->starts = calloc(found->length, sizeof(*found->starts));
	if (!found->starts)
		return -ENOMEM;
	for (size_t i = start; i < end; i++)
		if (found->starts[i] == 0 || found->starts[i] > start + 1)
			found->starts[i] = (uint32_t)start + 1;
	return 0;
}

/* Marks every whole occurrence. One whose trailing byte is yet to come, if any is, waits. */
static int search(struct found *found, const struct secret_mask *mask)
{
	size_t bytes = mask->bytes.length_bytes, from = 0;
	while (from < found->length) {
		const char *hit =
			memmem(found->data + from, found->length - from, mask->bytes.data, bytes);
		if (!hit)
			break;
		size_t at = (size_t)(hit - found->data);
		size_t start = at < mask->lead_bytes ? 0 : at - mask->lead_bytes;
		size_t end = at + bytes + mask->trail_bytes;
		if (end > found->length && !found->last) {
			found->kept = larger(found->kept, found->length - start);
			return 0;
		}
		if (mark(found, start, end < found->length ? end : found->length) < 0)
			return -ENOMEM;
		from = at + bytes;
	}
	/* What is part of this very value begins it no second time. */
	if (!found->last && from < found->length)
		found->kept = larger(found->kept, begun(mask, found, from));
	return 0;
}

/* Overwrites what goes on. A value that ends in what is kept is kept whole, as it may be the
 * beginning of a longer one; a chain of such values is cut after some. */
static void overwrite(struct found *found, char fill)
{
	enum { CHAIN_MAX = 16 };
	if (!found->starts)
		return;
	for (int i = 0; i < CHAIN_MAX && found->kept > 0; i++) {
		uint32_t start = found->starts[found->length - found->kept];
		if (start == 0 || start - 1 >= found->length - found->kept)
			break;
		found->kept = found->length - (start - 1);
	}
	for (size_t i = 0; i < found->length - found->kept; i++)
		if (found->starts[i])
			found->data[i] = fill;
}

int secrets_mask(
	const struct secrets *secrets, struct evbuffer *source, struct evbuffer *target, bool last)
{
	struct found found = {.length = evbuffer_get_length(source), .last = last};
	int r = 0;
	if (found.length == 0)
		return 0;
	found.data = (char *)evbuffer_pullup(source, -1);
	if (!found.data || found.length >= UINT32_MAX)
		return -ENOMEM;
	for (size_t i = 0; i < secrets->count; i++)
		for (size_t j = 0; j < secrets->items[i].masks_count && r == 0; j++)
			r = search(&found, &secrets->items[i].masks[j]);
	if (r == 0)
		overwrite(&found, secrets->fill);
	free(found.starts);
	if (r < 0 || found.length == found.kept)
		return r;
	return evbuffer_remove_buffer(source, target, found.length - found.kept) < 0 ? -ENOMEM : 0;
}
