#include "gate/show.h"

#include "base/cleanup.h"
#include "base/utf8.h"

#include <stdint.h>
#include <string.h>

struct range {
	uint32_t first, last;
};

static bool is_in(unsigned character, const struct range *ranges, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (character >= ranges[i].first && character <= ranges[i].last)
			return true;
	return false;
}

/* Unicode 15: default-ignorable characters, format controls, blanks other than U+0020, and the
 * blocks of combining marks. The base's own table (utf8_is_control) comes first. */
static const struct range unseen[] = {
	{0xa0, 0xa0},        /* no-break space */
	{0xad, 0xad},        /* soft hyphen */
	{0x300, 0x36f},      /* combining diacritical marks */
	{0x483, 0x489},      /* combining Cyrillic */
	{0x591, 0x5bd},      /* Hebrew points */
	{0x600, 0x605},      /* Arabic number signs, which enclose what follows */
	{0x610, 0x61a},      /* Arabic marks */
	{0x64b, 0x65f},      /* Arabic points */
	{0x6dd, 0x6dd},      /* Arabic end of ayah */
	{0x70f, 0x70f},      /* Syriac abbreviation mark */
	{0x890, 0x891},      /* Arabic currency marks above */
	{0x8e2, 0x8e2},      /* Arabic disputed end of ayah */
	{0x115f, 0x1160},    /* Hangul fillers */
	{0x1680, 0x1680},    /* Ogham space */
	{0x17b4, 0x17b5},    /* Khmer inherent vowels */
	{0x180b, 0x180f},    /* Mongolian selectors */
	{0x1ab0, 0x1aff},    /* combining marks, extended */
	{0x1dc0, 0x1dff},    /* combining marks, supplement */
	{0x2000, 0x200f},    /* spaces of all widths, joiners, direction */
	{0x2028, 0x202f},    /* separators, direction, narrow space */
	{0x205f, 0x206f},    /* mathematical space, invisible operators, direction */
	{0x20d0, 0x20ff},    /* combining marks for symbols */
	{0x2800, 0x2800},    /* blank Braille pattern */
	{0x3000, 0x3000},    /* ideographic space */
	{0x302a, 0x302f},    /* ideographic tone marks */
	{0x3099, 0x309a},    /* kana voicing marks */
	{0x3164, 0x3164},    /* Hangul filler */
	{0xd800, 0xf8ff},    /* surrogates, private use */
	{0xfdd0, 0xfdef},    /* no characters */
	{0xfe00, 0xfe0f},    /* variation selectors */
	{0xfe20, 0xfe2f},    /* combining half marks */
	{0xfeff, 0xfeff},    /* byte order mark */
	{0xffa0, 0xffa0},    /* half-width Hangul filler */
	{0xfff0, 0xffff},    /* specials */
	{0x110bd, 0x110cd},  /* Kaithi number signs */
	{0x13430, 0x1345f},  /* hieroglyph format controls */
	{0x1bca0, 0x1bca3},  /* shorthand format controls */
	{0x1d173, 0x1d17a},  /* musical format controls */
	{0xe0000, 0x10ffff}, /* tags, selectors, private use */
};

/* East Asian Width W and F, by block. */
static const struct range wide[] = {
	{0x1100, 0x115f},
	{0x231a, 0x231b},
	{0x2329, 0x232a},
	{0x2e80, 0x303e},
	{0x3041, 0x33ff},
	{0x3400, 0x4dbf},
	{0x4e00, 0xa4cf},
	{0xa960, 0xa97f},
	{0xac00, 0xd7a3},
	{0xf900, 0xfaff},
	{0xfe10, 0xfe19},
	{0xfe30, 0xfe6f},
	{0xff00, 0xff60},
	{0xffe0, 0xffe6},
	{0x16fe0, 0x18aff},
	{0x1b000, 0x1b2ff},
	{0x1f004, 0x1f004},
	{0x1f0cf, 0x1f0cf},
	{0x1f18e, 0x1f19a},
	{0x1f200, 0x1f320},
	{0x1f330, 0x1f64f},
	{0x1f680, 0x1f6ff},
	{0x1f7e0, 0x1f7eb},
	{0x1f900, 0x1f9ff},
	{0x1fa70, 0x1faff},
	{0x20000, 0x3fffd},
};

bool show_is_seen(unsigned character)
{
	if (character < 0x80)
		return character >= 0x20 && character != 0x7f;
	return !utf8_is_control(character) && !is_in(character, unseen, ARRAY_SIZE(unseen));
}

unsigned show_columns(unsigned character)
{
	return character >= 0x1100 && is_in(character, wide, ARRAY_SIZE(wide)) ? 2 : 1;
}

unsigned show_character(struct buffer *out, const char **text, const struct show_style *style)
{
	const unsigned char *s = (const unsigned char *)*text;
	size_t length = utf8_sequence(s);
	unsigned character = length ? utf8_character(s, length) : *s;
	*text += length ? length : 1;
	if (length && show_is_seen(character) && (character < 0x80 || style->utf8)) {
		buffer_append(out, s, length);
		return show_columns(character);
	}
	char escape[16];
	int columns = snprintf(escape, sizeof(escape),
		length && character >= 0x80 ? "\\u{%x}" : "\\x%02x", character);
	/* Reverse, so that it cannot be taken for the same letters written out. */
	buffer_append_string(out, style->attributes ? "\033[7m" : "");
	buffer_append_string(out, escape);
	buffer_append_string(out, style->attributes ? "\033[27m" : "");
	return (unsigned)columns;
}

/* A tab is shown as blanks: it moves the cursor, but never back. */
static unsigned show_tab(struct buffer *out, const char **text, unsigned column)
{
	unsigned blanks = 8 - column % 8;
	buffer_append_format(out, "%*s", (int)blanks, "");
	++*text;
	return blanks;
}

static size_t count_characters(const char *text)
{
	size_t count = 0;
	for (const unsigned char *s = (const unsigned char *)text; *s; count++) {
		size_t length = utf8_sequence(s);
		s += length ? length : 1;
	}
	return count;
}

size_t show_rows(struct buffer *out, const char *text, const char *first, const char *next,
	size_t rows_max, const struct show_style *style)
{
	/* Narrower than this, rows are left to the terminal to wrap. */
	enum { COLUMNS_MIN = 20, ESCAPE_BYTES_MAX = 64 };
	unsigned columns = style->columns > COLUMNS_MIN ? style->columns : COLUMNS_MIN;
	size_t rows = 1;
	unsigned column = (unsigned)strlen(first);
	buffer_append_string(out, first);
	while (*text &&
		(text[0] != '\n' || text[1])) { /* one newline at the end is the row's own */
		bool newline = *text == '\n';
		struct buffer shown = BUFFER_INIT(ESCAPE_BYTES_MAX);
		const char *rest = text;
		unsigned width = 0;
		if (newline)
			rest++;
		else if (*text == '\t')
			width = show_tab(&shown, &rest, column - (unsigned)strlen(first));
		else
			width = show_character(&shown, &rest, style);
		/* The last column stays free: terminals differ in what comes after it. */
		bool wrap = newline || column + width >= columns;
		if (wrap && rows_max && rows == rows_max) {
			buffer_release(&shown);
			buffer_append_string(out, "\n");
			return count_characters(text);
		}
		if (wrap) {
			buffer_append_string(out, "\n");
			buffer_append_string(out, newline ? first : next);
			column = (unsigned)strlen(newline ? first : next);
			rows++;
		}
		if (shown.data)
			buffer_append(out, shown.data, shown.length_bytes);
		out->error = out->error ? out->error : buffer_error(&shown);
		buffer_release(&shown);
		column += width;
		text = rest;
	}
	buffer_append_string(out, "\n");
	return 0;
}
