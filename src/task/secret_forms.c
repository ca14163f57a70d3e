/* Theory of operation. Each way to write text down is a chain with one node between any two bytes of
 * the value, and what may stand for a byte is a path between two of them: the byte itself, or any of
 * its escapes. So every mixture of escaped and plain bytes is found, and every letter case of hex
 * digits, in one pass and without decoding. What encoders put between (line breaks, separators,
 * an escape of the escape) are loops.
 *
 * The encodings that mix bytes (base64, base32, base85) depend on where the value begins in a group:
 * there is a chain for each alignment, of those characters that the value alone decides. */
#include "task/secret_forms.h"

#include "base/cleanup.h"
#include "base/utf8.h"

#include <ctype.h>
#include <stdarg.h>
#include <string.h>

enum {
	/* Of a longer value only so much, out of its middle (the beginnings of keys are all alike),
	 * is looked for in other forms than the plain one. */
	PART_BYTES = 256,
};

static const char *const names[FORMS_COUNT] = {
	[FORM_PLAIN] = "plain",
	[FORM_PERCENT] = "percent-encoded",
	[FORM_ESCAPED] = "escaped",
	[FORM_HTML] = "HTML entities",
	[FORM_QUOTED_PRINTABLE] = "quoted-printable",
	[FORM_BASE64] = "base64",
	[FORM_BASE64_TWICE] = "base64 of base64",
	[FORM_BASE64_WIDE] = "base64 of UTF-16",
	[FORM_HEX] = "hex",
	[FORM_DECIMAL] = "decimal bytes",
	[FORM_BASE32] = "base32",
	[FORM_BASE85] = "base85",
	[FORM_UTF16] = "UTF-16",
	[FORM_UTF32] = "UTF-32",
	[FORM_REVERSED] = "reversed",
};

const char *secret_form_name(enum secret_form form)
{
	return names[form];
}

const char *secret_form_known(const char *name)
{
	for (size_t i = 0; i < FORMS_COUNT; i++)
		if (strcmp(names[i], name) == 0)
			return names[i];
	return NULL;
}

/* What is being drawn: the automaton, and the bytes that one form is about. */
struct drawing {
	struct automaton *automaton;
	const unsigned char *data;
	size_t length;
	uint32_t value; /* accepted with */
};

/* ---- strokes ---- */

static void edge(const struct drawing *d, uint32_t from, unsigned char byte, uint32_t to)
{
	automaton_edge(d->automaton, from, byte, to);
}

static bool is_hex_letter(char c)
{
	return c >= 'a' && c <= 'f';
}

/* A way of these characters between two nodes; letters that are hex digits in both cases. */
static void way(const struct drawing *d, uint32_t from, const char *text, uint32_t to)
{
	for (; text[1]; text++) {
		uint32_t next = automaton_node(d->automaton);
		edge(d, from, (unsigned char)*text, next);
		if (is_hex_letter(*text))
			edge(d, from, (unsigned char)toupper((unsigned char)*text), next);
		from = next;
	}
	edge(d, from, (unsigned char)*text, to);
	if (is_hex_letter(*text))
		edge(d, from, (unsigned char)toupper((unsigned char)*text), to);
}

static void __attribute__((format(printf, 4, 5))) way_of(
	const struct drawing *d, uint32_t from, uint32_t to, const char *format, ...)
{
	char text[32];
	va_list args;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	way(d, from, text, to);
}

/* The nodes of a chain: [0] is the root, [length] is where it ends. NULL: no memory. */
static uint32_t *begin_chain(const struct drawing *d)
{
	uint32_t *nodes = calloc(d->length + 1, sizeof(*nodes));
	for (size_t i = 1; nodes && i <= d->length; i++)
		nodes[i] = automaton_node(d->automaton);
	if (nodes)
		automaton_accept(d->automaton, nodes[d->length], d->value);
	return nodes;
}

/* A character of UTF-8 at i: its length in bytes, or 0 where it is but a byte. */
static size_t character_at(const struct drawing *d, size_t i, unsigned *ret)
{
	unsigned char bytes[5] = {0};
	memcpy(bytes, d->data + i, d->length - i < 4 ? d->length - i : 4);
	if (bytes[0] < 0x80)
		return 0;
	size_t length = utf8_sequence(bytes);
	if (length)
		*ret = utf8_character(bytes, length);
	return length;
}

/* ---- text ---- */

/* Line ends become CR LF, and lines are indented. */
static void draw_newlines(const struct drawing *d, const uint32_t *nodes)
{
	for (size_t i = 0; i < d->length; i++) {
		if (d->data[i] != '\n')
			continue;
		way(d, nodes[i], "\r\n", nodes[i + 1]);
		if (i + 1 < d->length)
			automaton_edges(d->automaton, nodes[i + 1], " \t", nodes[i + 1]);
	}
}

static void draw_plain_bytes(const struct drawing *d, const uint32_t *nodes)
{
	for (size_t i = 0; i < d->length; i++)
		edge(d, nodes[i], d->data[i], nodes[i + 1]);
}

static void draw_plain(const struct drawing *d, const uint32_t *nodes)
{
	draw_plain_bytes(d, nodes);
	draw_newlines(d, nodes);
}

static void draw_percent(const struct drawing *d, const uint32_t *nodes)
{
	draw_plain_bytes(d, nodes);
	for (size_t i = 0; i < d->length; i++) {
		uint32_t percent = automaton_node(d->automaton);
		edge(d, nodes[i], '%', percent);
		way(d, percent, "25", percent); /* %25 is the % of an escape that was escaped */
		way_of(d, percent, nodes[i + 1], "%02x", d->data[i]);
		if (d->data[i] == ' ')
			edge(d, nodes[i], '+', nodes[i + 1]);
	}
}

/* What a backslash and a letter stand for in C, JSON, Python and shells. */
static const struct {
	char byte, letter;
} mnemonics[] = {{'\a', 'a'}, {'\b', 'b'}, {'\t', 't'}, {'\n', 'n'}, {'\v', 'v'}, {'\f', 'f'},
	{'\r', 'r'}, {0x1b, 'e'}};

static void draw_code_point(
	const struct drawing *d, uint32_t escape, unsigned character, uint32_t to)
{
	if (character < 0x10000) {
		way_of(d, escape, to, "u%04x", character);
	} else {
		unsigned rest = character - 0x10000;
		uint32_t between = automaton_node(d->automaton);
		way_of(d, escape, between, "u%04x\\", 0xd800 + (rest >> 10));
		edge(d, between, '\\', between);
		way_of(d, between, to, "u%04x", 0xdc00 + (rest & 0x3ff));
	}
	if (character < 0x100)
		way_of(d, escape, to, "x%02x", character);
	way_of(d, escape, to, "U%08x", character);
	uint32_t brace = automaton_node(d->automaton);
	way(d, escape, "u{", brace);
	edge(d, brace, '0', brace);
	way_of(d, brace, to, "%x}", character);
}

static void draw_escape(const struct drawing *d, const uint32_t *nodes, size_t i)
{
	unsigned char byte = d->data[i];
	uint32_t escape = automaton_node(d->automaton), to = nodes[i + 1];
	unsigned character = byte;
	edge(d, nodes[i], '\\', escape);
	edge(d, escape, '\\', escape); /* text that was escaped more than once */
	edge(d, escape, byte, to);
	for (size_t k = 0; k < ARRAY_SIZE(mnemonics); k++)
		if (mnemonics[k].byte == byte)
			edge(d, escape, (unsigned char)mnemonics[k].letter, to);
	way_of(d, escape, to, "%03o", byte);
	if (byte < 0100)
		way_of(d, escape, to, "%o", byte);
	if (byte < 0x80)
		draw_code_point(d, escape, byte, to);
	else
		way_of(d, escape, to, "x%02x", byte);
	size_t length = character_at(d, i, &character);
	if (length && i + length <= d->length)
		draw_code_point(d, escape, character, nodes[i + length]);
	if (i > 0) { /* a line that goes on */
		edge(d, escape, '\n', nodes[i]);
		way(d, escape, "\r\n", nodes[i]);
	}
}

static void draw_escaped(const struct drawing *d, const uint32_t *nodes)
{
	draw_plain_bytes(d, nodes);
	for (size_t i = 0; i < d->length; i++) {
		draw_escape(d, nodes, i);
		if (d->data[i] == '\'') { /* shells, SQL */
			way(d, nodes[i], "'\"'\"'", nodes[i + 1]);
			way(d, nodes[i], "'\\''", nodes[i + 1]);
			way(d, nodes[i], "''", nodes[i + 1]);
		}
		if (d->data[i] == '"') /* CSV */
			way(d, nodes[i], "\"\"", nodes[i + 1]);
	}
}

static const struct {
	char byte;
	const char *name;
} entities[] = {{'&', "amp"}, {'<', "lt"}, {'>', "gt"}, {'"', "quot"}, {'\'', "apos"}, {'/', "sol"},
	{'=', "equals"}, {'+', "plus"}, {'%', "percnt"}, {'!', "excl"}, {'#', "num"},
	{'$', "dollar"}, {'(', "lpar"}, {')', "rpar"}, {'*', "ast"}, {',', "comma"},
	{'.', "period"}, {':', "colon"}, {';', "semi"}, {'?', "quest"}, {'@', "commat"},
	{'[', "lbrack"}, {']', "rbrack"}, {'\\', "bsol"}, {'^', "Hat"}, {'_', "lowbar"},
	{'`', "grave"}, {'{', "lbrace"}, {'}', "rbrace"}, {'|', "vert"}, {'\t', "Tab"},
	{'\n', "NewLine"}};

static void draw_reference(
	const struct drawing *d, uint32_t ampersand, unsigned character, uint32_t to)
{
	uint32_t number = automaton_node(d->automaton), hex = automaton_node(d->automaton);
	edge(d, ampersand, '#', number);
	edge(d, number, '0', number);
	way_of(d, number, to, "%u;", character);
	way_of(d, number, to, "%u", character); /* the semicolon may be missing */
	automaton_edges(d->automaton, number, "xX", hex);
	edge(d, hex, '0', hex);
	way_of(d, hex, to, "%x;", character);
	way_of(d, hex, to, "%x", character);
}

static void draw_html(const struct drawing *d, const uint32_t *nodes)
{
	draw_plain_bytes(d, nodes);
	for (size_t i = 0; i < d->length; i++) {
		uint32_t ampersand = automaton_node(d->automaton);
		unsigned character = d->data[i];
		edge(d, nodes[i], '&', ampersand);
		way(d, ampersand, "amp;", ampersand);
		if (character < 0x80)
			draw_reference(d, ampersand, character, nodes[i + 1]);
		size_t length = character_at(d, i, &character);
		if (length && i + length <= d->length)
			draw_reference(d, ampersand, character, nodes[i + length]);
		for (size_t k = 0; k < ARRAY_SIZE(entities); k++)
			if (entities[k].byte == (char)d->data[i])
				way_of(d, ampersand, nodes[i + 1], "%s;", entities[k].name);
	}
}

static void draw_quoted_printable(const struct drawing *d, const uint32_t *nodes)
{
	draw_plain(d, nodes);
	for (size_t i = 0; i < d->length; i++) {
		uint32_t equals = automaton_node(d->automaton);
		edge(d, nodes[i], '=', equals);
		way_of(d, equals, nodes[i + 1], "%02x", d->data[i]);
		if (i > 0) {
			edge(d, equals, '\n', nodes[i]);
			way(d, equals, "\r\n", nodes[i]);
		}
	}
}

static void draw_hex(const struct drawing *d, const uint32_t *nodes)
{
	for (size_t i = 0; i < d->length; i++) {
		way_of(d, nodes[i], nodes[i + 1], "%02x", d->data[i]);
		if (i == 0)
			continue;
		/* "de:ad", "de ad", "0xde, 0xad", "\xde\xad", and line breaks. */
		automaton_edges(d->automaton, nodes[i], ":-.,;_ \t\r\n\"'", nodes[i]);
		way(d, nodes[i], "0x", nodes[i]);
		way(d, nodes[i], "0X", nodes[i]);
		way(d, nodes[i], "\\x", nodes[i]);
	}
}

static void draw_decimal(const struct drawing *d, const uint32_t *nodes)
{
	for (size_t i = 0; i < d->length; i++) {
		uint32_t from = nodes[i];
		if (i > 0) {
			from = automaton_node(d->automaton);
			automaton_edges(d->automaton, nodes[i], ", \t\r\n", from);
			automaton_edges(d->automaton, from, ", \t\r\n", from);
		}
		way_of(d, from, nodes[i + 1], "%u", d->data[i]);
	}
}

static void draw_reversed(const struct drawing *d, const uint32_t *nodes)
{
	for (size_t i = 0; i < d->length; i++)
		edge(d, nodes[i], d->data[d->length - 1 - i], nodes[i + 1]);
}

/* ---- wide characters ---- */

static uint32_t unit(const struct drawing *d, uint32_t from, unsigned value, int bytes, bool big)
{
	for (int k = 0; k < bytes; k++) {
		uint32_t next = automaton_node(d->automaton);
		edge(d, from, (value >> 8 * (big ? bytes - 1 - k : k)) & 0xff, next);
		from = next;
	}
	return from;
}

/* What is no UTF-8 is taken as Latin-1. */
static void draw_wide(const struct drawing *d, int bytes, bool big)
{
	uint32_t node = AUTOMATON_ROOT;
	for (size_t i = 0; i < d->length;) {
		unsigned character = d->data[i];
		size_t length = character_at(d, i, &character);
		if (bytes == 2 && character >= 0x10000) {
			unsigned rest = character - 0x10000;
			node = unit(d, node, 0xd800 + (rest >> 10), bytes, big);
			character = 0xdc00 + (rest & 0x3ff);
		}
		node = unit(d, node, character, bytes, big);
		i += length ? length : 1;
	}
	automaton_accept(d->automaton, node, d->value);
}

/* ---- encodings of groups ---- */

static const char base64_alphabet[] =
	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char base32_alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
static const char b85_alphabet[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				   "!#$%&()*+-;<=>?@^_`{|}~";

/* The digits of `bits` bits that lie wholly within data, which begins after `lead` other bytes. */
static size_t digits_of(const unsigned char *data, size_t length, size_t lead, unsigned bits,
	const char *alphabet, char *ret)
{
	size_t count = 0, end = (lead + length) * 8;
	for (size_t at = (lead * 8 + bits - 1) / bits * bits; at + bits <= end; at += bits) {
		unsigned digit = 0;
		for (unsigned k = 0; k < bits; k++) {
			size_t bit = at + k - lead * 8;
			digit = digit << 1 | (data[bit / 8] >> (7 - bit % 8) & 1);
		}
		ret[count++] = alphabet[digit];
	}
	return count;
}

static void draw_base64_digit(const struct drawing *d, uint32_t from, char digit, uint32_t to)
{
	edge(d, from, (unsigned char)digit, to);
	if (digit == '+') {
		edge(d, from, '-', to); /* URL-safe */
		way(d, from, "%2b", to);
		way(d, from, "\\u002b", to);
	} else if (digit == '/') {
		edge(d, from, '_', to);
		way(d, from, "%2f", to);
		way(d, from, "\\/", to);
		way(d, from, "\\u002f", to);
	}
}

static void draw_base64_digits(const struct drawing *d, const char *digits, size_t count)
{
	uint32_t node = AUTOMATON_ROOT;
	for (size_t i = 0; i < count; i++) {
		uint32_t next = automaton_node(d->automaton);
		draw_base64_digit(d, node, digits[i], next);
		node = next;
		if (i + 1 == count)
			break;
		/* Lines of 64 or 76 columns, as they are and as "\n" in a string. */
		automaton_edges(d->automaton, node, " \t\r\n", node);
		way(d, node, "\\n", node);
		way(d, node, "\\r", node);
		way(d, node, "=\n", node);
	}
	automaton_accept(d->automaton, node, d->value);
}

/* Encodes with every alignment; `more` times again. Values that shorten to less than can be told from
 * other data do not come here: eight bytes are ten digits. */
static void draw_base64(const struct drawing *d, int more)
{
	cleanup_free char *digits = malloc(d->length * 2 + 4);
	if (!digits)
		return;
	for (size_t lead = 0; lead < 3; lead++) {
		struct drawing inner = *d;
		inner.length = digits_of(d->data, d->length, lead, 6, base64_alphabet, digits);
		inner.data = (const unsigned char *)digits;
		if (more)
			draw_base64(&inner, more - 1);
		else
			draw_base64_digits(d, digits, inner.length);
	}
	explicit_bzero(digits, d->length * 2 + 4);
}

static void draw_base64_wide(const struct drawing *d)
{
	size_t room = d->length * 2;
	cleanup_free unsigned char *wide = calloc(room + 1, 1);
	for (int big = 0; wide && big < 2; big++) {
		size_t used = 0;
		for (size_t i = 0; i < d->length; i++) { /* of ASCII: that is what shells pass so */
			wide[used++] = big ? 0 : d->data[i];
			wide[used++] = big ? d->data[i] : 0;
		}
		struct drawing inner = *d;
		inner.data = wide;
		inner.length = used;
		draw_base64(&inner, 0);
	}
	if (wide)
		explicit_bzero(wide, room + 1);
}

static void draw_base32(const struct drawing *d)
{
	cleanup_free char *digits = malloc(d->length * 2 + 8);
	for (size_t lead = 0; digits && lead < 5; lead++) {
		size_t count = digits_of(d->data, d->length, lead, 5, base32_alphabet, digits);
		uint32_t node = AUTOMATON_ROOT;
		for (size_t i = 0; i < count; i++) {
			uint32_t next = automaton_node(d->automaton);
			edge(d, node, (unsigned char)digits[i], next);
			edge(d, node, (unsigned char)tolower((unsigned char)digits[i]), next);
			node = next;
			if (i + 1 < count)
				automaton_edges(d->automaton, node, "\r\n", node);
		}
		automaton_accept(d->automaton, node, d->value);
	}
	if (digits)
		explicit_bzero(digits, d->length * 2 + 8);
}

/* Whole groups of four bytes; Ascii85 writes four zeros as one letter, which no value has. */
static void draw_base85(const struct drawing *d, bool ascii85)
{
	for (size_t lead = 0; lead < 4; lead++) {
		uint32_t node = AUTOMATON_ROOT;
		if ((4 - lead) % 4 + 8 > d->length)
			continue; /* five digits are not enough to be told from other data */
		for (size_t i = (4 - lead) % 4; i + 4 <= d->length; i += 4) {
			const unsigned char *p = d->data + i;
			uint32_t group = (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 |
					 (uint32_t)p[2] << 8 | p[3];
			char digits[5];
			for (int k = 4; k >= 0; k--, group /= 85)
				digits[k] = ascii85 ? (char)('!' + group % 85)
						    : b85_alphabet[group % 85];
			for (int k = 0; k < 5; k++) {
				uint32_t next = automaton_node(d->automaton);
				edge(d, node, (unsigned char)digits[k], next);
				if (node != AUTOMATON_ROOT)
					automaton_edges(d->automaton, node, "\r\n", node);
				node = next;
			}
		}
		automaton_accept(d->automaton, node, d->value);
	}
}

/* ---- all of them ---- */

static void draw_chain(struct drawing *d,
	void (*draw)(const struct drawing *d, const uint32_t *nodes))
{
	cleanup_free uint32_t *nodes = begin_chain(d);
	if (nodes)
		draw(d, nodes);
}

static const struct {
	enum secret_form form;
	void (*draw)(const struct drawing *d, const uint32_t *nodes);
} chains[] = {
	{FORM_PLAIN, draw_plain},
	{FORM_PERCENT, draw_percent},
	{FORM_ESCAPED, draw_escaped},
	{FORM_HTML, draw_html},
	{FORM_QUOTED_PRINTABLE, draw_quoted_printable},
	{FORM_HEX, draw_hex},
	{FORM_DECIMAL, draw_decimal},
	{FORM_REVERSED, draw_reversed},
};

/* What ends a file of several lines is often lost in a copy. */
static size_t length_to_find(const struct secret_value *value)
{
	size_t length = value->length_bytes;
	while (length > 1 && strchr("\r\n", value->value[length - 1]))
		length--;
	return length;
}

bool secret_form_is_whole(const struct secret_value *value, enum secret_form form)
{
	return form == FORM_PLAIN || length_to_find(value) <= PART_BYTES;
}

void secret_forms_draw(
	struct automaton *automaton, const struct secret_value *value, size_t index)
{
	struct drawing whole = {.automaton = automaton,
		.data = (const unsigned char *)value->value,
		.length = length_to_find(value)};
	struct drawing part = whole;
	if (whole.length > PART_BYTES) {
		part.data += (whole.length - PART_BYTES) / 2;
		part.length = PART_BYTES;
	}
	for (size_t i = 0; i < ARRAY_SIZE(chains); i++) {
		struct drawing d = chains[i].form == FORM_PLAIN ? whole : part;
		d.value = secret_form_value(index, chains[i].form);
		draw_chain(&d, chains[i].draw);
	}
	part.value = secret_form_value(index, FORM_BASE64);
	draw_base64(&part, 0);
	part.value = secret_form_value(index, FORM_BASE64_TWICE);
	draw_base64(&part, 1);
	part.value = secret_form_value(index, FORM_BASE64_WIDE);
	draw_base64_wide(&part);
	part.value = secret_form_value(index, FORM_BASE32);
	draw_base32(&part);
	part.value = secret_form_value(index, FORM_BASE85);
	draw_base85(&part, false);
	draw_base85(&part, true);
	for (int big = 0; big < 2; big++) {
		part.value = secret_form_value(index, FORM_UTF16);
		draw_wide(&part, 2, big);
		part.value = secret_form_value(index, FORM_UTF32);
		draw_wide(&part, 4, big);
	}
}
