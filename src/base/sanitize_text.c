/* Theory of operation. Runs of plain ASCII are nearly everything, and are told sixteen bytes at a time. The
 * rest goes byte by byte: UTF-8 is checked, control codes go through a small machine that knows the
 * forms of ECMA-48 (ESC x, CSI, and strings up to ST), and a byte that is in no text ends all this for
 * the rest of the stream.
 *
 * An archive may begin with a few bytes that are fit for a terminal (a bell, a backspace) before the
 * first that is not. So that it comes out byte for byte, the first 8 KiB of a stream are held from
 * their first control code on until it is clear what they are; a terminal gets no archives, and
 * waits for nothing. */
#include "base/sanitize_text.h"

#include "base/cleanup.h"
#include "base/utf8.h"

#include <string.h>

enum byte_kind { BYTE_PLAIN, BYTE_CONTROL, BYTE_HIGH, BYTE_BINARY };

enum { ESC = 0x1b, BELL = 7, BACKSPACE = 8, SHIFT_OUT = 14, SHIFT_IN = 15, STRING_END = 0x9c };

static enum byte_kind kind_of(unsigned char byte)
{
	if (byte >= 0x80)
		return BYTE_HIGH;
	if (byte >= ' ')
		return byte == 0x7f ? BYTE_BINARY : BYTE_PLAIN;
	if (byte == '\t' || byte == '\n' || byte == '\r' || byte == '\f' || byte == '\v')
		return BYTE_PLAIN;
	return byte == ESC || byte == BELL || byte == BACKSPACE ? BYTE_CONTROL : BYTE_BINARY;
}

typedef unsigned char lanes __attribute__((vector_size(16)));

/* Whether all of sixteen bytes are plain: ' ' to '~', or HT to CR. */
static bool are_plain(const char *data)
{
	lanes bytes;
	memcpy(&bytes, data, sizeof(bytes));
	lanes printable = (lanes)(bytes - ' ' < 0x7f - ' ');
	lanes blank = (lanes)(bytes - '\t' <= '\r' - '\t');
	uint64_t plain[2];
	lanes both = printable | blank;
	memcpy(plain, &both, sizeof(plain));
	return (plain[0] & plain[1]) == UINT64_MAX;
}

static size_t plain_run(const char *data, size_t length)
{
	size_t i = 0;
	while (i + sizeof(lanes) <= length && are_plain(data + i))
		i += sizeof(lanes);
	while (i < length && kind_of((unsigned char)data[i]) == BYTE_PLAIN)
		i++;
	return i;
}

static void pass(struct text *text, const char *data, size_t length)
{
	if (length)
		text->pass(text->context, data, length, text->binary);
}

/* ---- control sequences ---- */

/* Modes that only change how the screen looks, or what the keys of a line editor send. */
static bool is_display_mode(const char *parameters, size_t length)
{
	static const char *const modes[] = {
		"4", "?1", "?7", "?12", "?25", "?47", "?1047", "?1048", "?1049", "?2004"};
	for (size_t i = 0; i < ARRAY_SIZE(modes); i++)
		if (strlen(modes[i]) == length && memcmp(modes[i], parameters, length) == 0)
			return true;
	return false;
}

/* ESC, what stands between, and a final byte. */
static bool is_for_display(const char *sequence, size_t length)
{
	char final = sequence[length - 1];
	if (length < 2)
		return false;
	if (sequence[1] != '[')
		return length == 2 ? strchr("78=>DEHM", final) != NULL
				   : length == 3 && strchr("()", sequence[1]) && strchr("B0", final);
	const char *parameters = sequence + 2;
	size_t count = length - 3;
	if (final == 'h' || final == 'l')
		return is_display_mode(parameters, count);
	if (final == 'q')
		return count && parameters[count - 1] == ' '; /* the cursor's shape */
	for (size_t i = 0; i < count; i++)
		if (!strchr("0123456789;:", parameters[i]))
			return false;
	return strchr("@ABCDEFGHIJKLMPSTXZ`abdefgmrsu", final) != NULL;
}

static void end_sequence(struct text *text, bool whole)
{
	bool kept = text->controls == SANITIZE_DISPLAY && whole && text->sequence_bytes &&
		    is_for_display(text->sequence, text->sequence_bytes);
	if (kept)
		pass(text, text->sequence, text->sequence_bytes);
	else
		text->removed++;
	text->state = TEXT_GROUND;
	text->sequence_bytes = 0;
}

static void keep(struct text *text, unsigned char byte)
{
	if (text->sequence_bytes < TEXT_SEQUENCE_BYTES)
		text->sequence[text->sequence_bytes++] = (char)byte;
}

static void begin_sequence(struct text *text, enum text_state state)
{
	text->state = state;
	text->sequence_bytes = text->string_bytes = 0;
	keep(text, ESC);
}

/* One byte within a sequence. False: it is not of it, which ends there. */
static bool sequence_byte(struct text *text, unsigned char byte)
{
	bool ends_string = byte == STRING_END && text->previous == 0xc2; /* ST in UTF-8 */
	keep(text, byte);
	text->previous = byte;
	switch (text->state) {
	case TEXT_ESCAPE:
		if (byte == '[')
			text->state = TEXT_CSI;
		else if (byte && strchr("]PX^_", byte))
			text->state = TEXT_STRING;
		else if (byte >= 0x30 && byte < 0x7f)
			end_sequence(text, true);
		else
			return byte >= ' ' && byte < 0x30;
		return true;
	case TEXT_CSI:
		if (byte >= 0x40 && byte < 0x7f)
			end_sequence(text, text->sequence_bytes < TEXT_SEQUENCE_BYTES);
		else
			return byte >= ' ' && byte < 0x40;
		return true;
	case TEXT_STRING_ESCAPE:
		if (byte != '\\')
			return false;
		end_sequence(text, false);
		return true;
	default: /* TEXT_STRING */
		if (byte == ESC)
			text->state = TEXT_STRING_ESCAPE;
		else if (byte == BELL || ends_string)
			end_sequence(text, false);
		else
			/* Nothing has to end it, but it shall not swallow the output after it. */
			return byte != '\n' && ++text->string_bytes < TEXT_STRING_BYTES;
		return true;
	}
}

static void control(struct text *text, unsigned char byte)
{
	char code = (char)byte;
	if (text->controls == SANITIZE_KEEP)
		pass(text, &code, 1);
	else if (byte == ESC)
		begin_sequence(text, TEXT_ESCAPE);
	else if (text->controls == SANITIZE_DISPLAY && byte >= BELL && byte <= SHIFT_IN)
		pass(text, &code, 1);
	else
		text->removed++;
}

/* ---- characters ---- */

static void not_text(struct text *text, const void *data, size_t length)
{
	static const char replacement[] = "\xef\xbf\xbd";
	if (text->terminal) {
		pass(text, replacement, sizeof(replacement) - 1);
		return;
	}
	text->binary = true;
	pass(text, data, length);
}

/* A C1 code, as UTF-8: what ESC and the code's letter are. */
static void c1_control(struct text *text, unsigned character)
{
	unsigned char letter = (unsigned char)(character - 0x40);
	if (text->controls == SANITIZE_KEEP) {
		pass(text, (const char *)text->character, text->character_bytes);
		return;
	}
	if (character == STRING_END) {
		text->removed++;
		return;
	}
	begin_sequence(text, TEXT_ESCAPE);
	sequence_byte(text, letter);
}

static void end_character(struct text *text)
{
	unsigned char sequence[5] = {0};
	memcpy(sequence, text->character, text->character_bytes);
	size_t length = utf8_sequence(sequence);
	unsigned character = length ? utf8_character(sequence, length) : 0;
	if (length != text->character_bytes)
		not_text(text, text->character, text->character_bytes);
	else if (character >= 0x80 && character < 0xa0)
		c1_control(text, character);
	else
		pass(text, (const char *)text->character, length);
	text->character_bytes = 0;
}

static size_t wanted_bytes(unsigned char first)
{
	if (first >= 0xf0 && first < 0xf5)
		return 4;
	if (first >= 0xe0)
		return first < 0xf0 ? 3 : 0;
	return first >= 0xc2 ? 2 : 0;
}

/* False: the byte is not of the character before, which was broken; it is to be looked at again. */
static bool high_byte(struct text *text, unsigned char byte)
{
	if (text->character_bytes) {
		if ((byte & 0xc0) != 0x80) {
			end_character(text);
			return false;
		}
	} else {
		text->character_wanted = wanted_bytes(byte);
		if (!text->character_wanted) {
			not_text(text, &byte, 1);
			return true;
		}
	}
	text->character[text->character_bytes++] = byte;
	if (text->character_bytes == text->character_wanted)
		end_character(text);
	return true;
}

/* One byte of text that is not simply plain. False: look at it again, or hold from it on. */
static bool odd_byte(struct text *text, unsigned char byte)
{
	enum byte_kind kind = kind_of(byte);
	if (text->character_bytes || (kind == BYTE_HIGH && text->state < TEXT_CSI))
		return high_byte(text, byte);
	if (kind == BYTE_BINARY && !text->terminal) {
		text->state = TEXT_GROUND;
		not_text(text, &byte, 1);
		return true;
	}
	if (text->state != TEXT_GROUND) {
		if (sequence_byte(text, byte))
			return true;
		end_sequence(text, false);
		return false;
	}
	if (kind == BYTE_CONTROL && !text->settled) {
		text->holds = true;
		return false;
	}
	if (kind == BYTE_PLAIN)
		pass(text, &(char){(char)byte}, 1);
	else if (kind == BYTE_CONTROL || byte == SHIFT_OUT || byte == SHIFT_IN ||
		 text->controls == SANITIZE_KEEP)
		control(text, byte);
	else
		text->removed++;
	return true;
}

/* Returns how much was taken: less where something is to be held. */
static size_t filter(struct text *text, const char *data, size_t length)
{
	size_t i = 0;
	while (i < length && !text->binary && !text->holds) {
		if (text->state == TEXT_GROUND && !text->character_bytes) {
			size_t run = plain_run(data + i, length - i);
			pass(text, data + i, run);
			i += run;
		}
		if (i < length && odd_byte(text, (unsigned char)data[i]))
			i++;
	}
	if (!text->binary)
		return i;
	pass(text, data + i, length - i);
	return length;
}

/* ---- holding ---- */

/* Whether what is held is no text after all, as far as can be seen. */
static bool is_binary(struct text *text, bool last)
{
	const struct buffer *held = &text->held; /* NUL-terminated */
	const unsigned char *data = (const unsigned char *)held->data;
	while (text->held_checked < held->length_bytes) {
		size_t at = text->held_checked, wanted = 1, there = 1;
		enum byte_kind kind = kind_of(data[at]);
		if (kind == BYTE_BINARY)
			return true;
		if (kind == BYTE_HIGH && !utf8_sequence(data + at)) {
			wanted = wanted_bytes(data[at]);
			while (there < wanted && (data[at + there] & 0xc0) == 0x80)
				there++;
			/* A character that is cut off may yet become whole. */
			return last || there >= wanted || at + there < held->length_bytes;
		}
		text->held_checked += kind == BYTE_HIGH ? utf8_sequence(data + at) : 1;
	}
	return false;
}

/* What is held is text, or is binary. */
static void settle(struct text *text, bool binary)
{
	struct buffer held = text->held;
	text->held = (struct buffer)BUFFER_INIT(held.max_bytes);
	text->settled = true;
	text->holds = false;
	text->binary = binary;
	if (held.length_bytes)
		filter(text, held.data, held.length_bytes);
	buffer_release(&held);
}

/* The beginning of a stream, of which it is not known what it is. */
static size_t undecided(struct text *text, const char *data, size_t length)
{
	size_t left = TEXT_UNDECIDED_BYTES - (size_t)text->position;
	size_t taken = length < left ? length : left;
	if (!text->holds) {
		taken = filter(text, data, taken);
		text->settled = text->binary;
	} else {
		buffer_append(&text->held, data, taken);
		if (is_binary(text, false))
			settle(text, true);
	}
	text->position += taken;
	if (!text->settled && text->position == TEXT_UNDECIDED_BYTES)
		settle(text, false);
	return taken;
}

void text_feed(struct text *text, const char *data, size_t length, bool last)
{
	while (length && !text->settled) {
		size_t taken = undecided(text, data, length);
		data += taken;
		length -= taken;
	}
	if (length)
		filter(text, data, length);
	if (!last)
		return;
	if (text->holds)
		settle(text, is_binary(text, true));
	if (text->character_bytes)
		end_character(text);
	if (text->state != TEXT_GROUND)
		end_sequence(text, false);
	text->position = 0;
	text->binary = text->settled = false;
}

void text_flush(struct text *text)
{
	if (text->holds)
		settle(text, false);
}

void text_release(struct text *text)
{
	buffer_release(&text->held);
}
