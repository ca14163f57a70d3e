/* Theory of operation: two searches in streams whose pieces may be cut anywhere.
 *
 * secrets_scan() looks for placeholders on their way out. One is known by its last 32 characters,
 * which are chance, so that no other text is taken for it. Seen are: the text itself, its base64 at
 * each of the three alignments (what stands before decides which), and the text with any of its
 * characters as %XX. Not seen is what a program that means to hide it can do to it (compress it,
 * reverse it); nothing is lost by that, as a placeholder is worth nothing.
 *
 * secrets_mask() looks for values on their way in: as they are, and in the form in which their rule
 * puts them (percent-encoded in a query; in Basic's base64 at each alignment). Only an end that is
 * a value's beginning is kept back: anything more would hold up a conversation whose next message
 * waits for this one. So of base64 the one character before, which carries at most four of a
 * value's bits, may be gone already when the rest comes. A server that wants to give a value away
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

char *secret_percent_encode(const struct locked *value)
{
	static const char digits[] = "0123456789ABCDEF";
	static const char unreserved[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
					 "0123456789-._~";
	char *text = malloc(3 * value->length_bytes + 1);
	char *to = text;
	for (size_t i = 0; text && i < value->length_bytes; i++) {
		unsigned char c = (unsigned char)value->data[i];
		if (strchr(unreserved, c)) {
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

static int add_masks(struct secret *secret)
{
	int r = add_mask(secret, secret->value.data, secret->value.length_bytes, 0, 0);
	if (r == 0 && secret->rule->place == SECRET_BASIC)
		r = add_basic_masks(secret);
	if (r == 0 && secret->rule->place == SECRET_QUERY) {
		char *encoded = secret_percent_encode(&secret->value);
		r = encoded ? add_mask(secret, encoded, strlen(encoded), 0, 0) : -ENOMEM;
		if (encoded)
			OPENSSL_cleanse(encoded, strlen(encoded));
		free(encoded);
	}
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

/* How many bytes at data's end, with what stands before them, may turn out to be a value. */
static size_t begun(const struct secret_mask *mask, const char *data, size_t length)
{
	size_t most = mask->bytes.length_bytes - 1;
	for (size_t n = length < most ? length : most; n > 0; n--)
		if (memcmp(data + length - n, mask->bytes.data, n) == 0)
			return n + mask->lead_bytes < length ? n + mask->lead_bytes : length;
	return 0;
}

/* Overwrites every whole occurrence. One whose trailing byte is yet to come, if any is, waits:
 * returns how many bytes at the end that are. */
static size_t overwrite(
	const struct secret_mask *mask, char fill, char *data, size_t length, bool last)
{
	size_t bytes = mask->bytes.length_bytes;
	for (char *from = data; from < data + length;) {
		char *at = memmem(from, (size_t)(data + length - from), mask->bytes.data, bytes);
		if (!at)
			return 0;
		size_t lead = (size_t)(at - data) < mask->lead_bytes ? (size_t)(at - data)
								     : mask->lead_bytes;
		size_t after = (size_t)(data + length - at) - bytes;
		size_t trail = after < mask->trail_bytes ? after : mask->trail_bytes;
		if (trail < mask->trail_bytes && !last)
			return lead + bytes + trail;
		memset(at - lead, fill, lead + bytes + trail);
		from = at + bytes;
	}
	return 0;
}

static size_t larger(size_t a, size_t b)
{
	return a > b ? a : b;
}

int secrets_mask(
	const struct secrets *secrets, struct evbuffer *source, struct evbuffer *target, bool last)
{
	size_t length = evbuffer_get_length(source), kept = 0;
	if (length == 0)
		return 0;
	char *data = (char *)evbuffer_pullup(source, -1);
	if (!data)
		return -ENOMEM;
	for (size_t i = 0; i < secrets->count; i++)
		for (size_t j = 0; j < secrets->items[i].masks_count; j++)
			kept = larger(kept, overwrite(&secrets->items[i].masks[j], secrets->fill,
						    data, length, last));
	/* Only now: what was overwritten begins nothing. */
	for (size_t i = 0; i < secrets->count && !last; i++)
		for (size_t j = 0; j < secrets->items[i].masks_count; j++)
			kept = larger(kept, begun(&secrets->items[i].masks[j], data, length));
	if (length == kept)
		return 0;
	return evbuffer_remove_buffer(source, target, length - kept) < 0 ? -ENOMEM : 0;
}
