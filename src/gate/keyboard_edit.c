/* A line editor of one row, which scrolls sideways. It shows what it holds as show_character()
 * does, so a newline or an escape in a command is seen, and can be removed. */
#include "base/cleanup.h"
#include "base/limits.h"
#include "base/utf8.h"
#include "gate/keyboard.h"

#include <string.h>

enum { LINE_BYTES_MAX = 128 * 1024, SEQUENCE_GAP_MS = 50, SEQUENCE_BYTES_MAX = 16 };

struct line {
	char *text;            /* LINE_BYTES_MAX + 1 bytes */
	size_t length, cursor; /* in bytes */
};

static size_t width_after(const struct line *line, size_t at)
{
	size_t width = utf8_sequence((const unsigned char *)line->text + at);
	return at >= line->length ? 0 : width ? width : 1;
}

static size_t width_before(const struct line *line, size_t at)
{
	size_t width = at > 0 ? 1 : 0;
	/* At most three bytes of continuation, and only if the whole is one character. */
	for (size_t back = 2; back <= 4 && back <= at; back++)
		if (width_after(line, at - back) == back && (line->text[at - 1] & 0xc0) == 0x80)
			width = back;
	return width;
}

static void erase(struct line *line, size_t from, size_t to)
{
	memmove(line->text + from, line->text + to, line->length - to + 1);
	line->length -= to - from;
	line->cursor = from;
}

static void insert(struct line *line, char byte)
{
	if (line->length == LINE_BYTES_MAX)
		return;
	memmove(line->text + line->cursor + 1, line->text + line->cursor,
		line->length - line->cursor + 1);
	line->text[line->cursor++] = byte;
	line->length++;
}

static unsigned columns_of(const struct line *line, size_t from, size_t to,
	const struct show_style *style, struct buffer *out)
{
	unsigned columns = 0;
	for (const char *s = line->text + from; s < line->text + to;)
		columns += show_character(out, &s, style);
	return columns;
}

/* The row anew: as much before the cursor as fits into two thirds, and what follows. */
static int draw(struct keyboard *keyboard, const char *label, const struct line *line)
{
	const struct show_style *style = &keyboard->style;
	unsigned labelled = (unsigned)strlen(label);
	unsigned room = style->columns > labelled + 12 ? style->columns - labelled - 2 : 10;
	cleanup_buffer struct buffer scratch = BUFFER_INIT(LINE_BYTES_MAX), out = scratch;
	size_t from = line->cursor, to = line->cursor;
	unsigned before = 0, after = 0;
	while (from > 0 && before < room * 2 / 3) {
		size_t width = width_before(line, from);
		before += columns_of(line, from - width, from, style, &scratch);
		from -= width;
	}
	while (to < line->length && before + after + 10 < room) {
		size_t width = width_after(line, to);
		after += columns_of(line, to, to + width, style, &scratch);
		to += width;
	}
	buffer_append_format(&out, "\r%s", label);
	columns_of(line, from, to, style, &out);
	buffer_append_format(&out, "\033[K\r\033[%uC", labelled + before);
	int r = keyboard_write_buffer(keyboard, &out);
	buffer_release(&out);
	return r;
}

enum edit_key {
	EDIT_LEFT,
	EDIT_RIGHT,
	EDIT_HOME,
	EDIT_END,
	EDIT_BACKSPACE,
	EDIT_DELETE,
	EDIT_KILL_BEFORE,
	EDIT_KILL_AFTER,
	EDIT_KILL_WORD,
	EDIT_ENTER,
	EDIT_CANCEL,
	EDIT_NOTHING,
	EDIT_BYTE,
};

static const struct {
	unsigned char byte;
	enum edit_key key;
} edit_bytes[] = {
	{0x01, EDIT_HOME},
	{0x02, EDIT_LEFT},
	{0x03, EDIT_CANCEL},
	{0x04, EDIT_DELETE},
	{0x05, EDIT_END},
	{0x06, EDIT_RIGHT},
	{0x08, EDIT_BACKSPACE},
	{0x0b, EDIT_KILL_AFTER},
	{0x15, EDIT_KILL_BEFORE},
	{0x17, EDIT_KILL_WORD},
	{0x7f, EDIT_BACKSPACE},
	{'\n', EDIT_ENTER},
	{'\r', EDIT_ENTER},
};

static const struct {
	const char *sequence; /* after ESC */
	enum edit_key key;
} edit_sequences[] = {
	{"[C", EDIT_RIGHT},
	{"[D", EDIT_LEFT},
	{"[H", EDIT_HOME},
	{"[F", EDIT_END},
	{"OC", EDIT_RIGHT},
	{"OD", EDIT_LEFT},
	{"OH", EDIT_HOME},
	{"OF", EDIT_END},
	{"[1~", EDIT_HOME},
	{"[3~", EDIT_DELETE},
	{"[4~", EDIT_END},
};

static int read_sequence(struct keyboard *keyboard, enum edit_key *ret)
{
	char sequence[SEQUENCE_BYTES_MAX] = "";
	for (size_t i = 0; i + 1 < sizeof(sequence); i++) {
		unsigned char byte;
		int r = keyboard_byte(keyboard, SEQUENCE_GAP_MS, &byte);
		if (r == -ETIME)
			break;
		if (r < 0)
			return r;
		sequence[i] = (char)byte;
		if (i > 0 && byte >= 0x40 && byte < 0x7f)
			break;
	}
	*ret = EDIT_NOTHING; /* the marks around a paste, too: its text is taken */
	for (size_t i = 0; i < ARRAY_SIZE(edit_sequences); i++)
		if (strcmp(sequence, edit_sequences[i].sequence) == 0)
			*ret = edit_sequences[i].key;
	return 0;
}

static int read_edit_key(struct keyboard *keyboard, enum edit_key *ret, unsigned char *byte)
{
	int r = keyboard_byte(keyboard, -1, byte);
	if (r < 0)
		return r;
	if (*byte == '\033')
		return read_sequence(keyboard, ret);
	*ret = *byte < 0x20 ? EDIT_NOTHING : EDIT_BYTE;
	for (size_t i = 0; i < ARRAY_SIZE(edit_bytes); i++)
		if (*byte == edit_bytes[i].byte)
			*ret = edit_bytes[i].key;
	return 0;
}

static size_t word_before(const struct line *line)
{
	size_t at = line->cursor;
	while (at > 0 && line->text[at - 1] == ' ')
		at--;
	while (at > 0 && line->text[at - 1] != ' ')
		at--;
	return at;
}

static void apply(struct line *line, enum edit_key key, unsigned char byte)
{
	size_t before = width_before(line, line->cursor), after = width_after(line, line->cursor);
	switch (key) {
	case EDIT_LEFT:
		line->cursor -= before;
		break;
	case EDIT_RIGHT:
		line->cursor += after;
		break;
	case EDIT_HOME:
		line->cursor = 0;
		break;
	case EDIT_END:
		line->cursor = line->length;
		break;
	case EDIT_BACKSPACE:
		erase(line, line->cursor - before, line->cursor);
		break;
	case EDIT_DELETE:
		erase(line, line->cursor, line->cursor + after);
		break;
	case EDIT_KILL_BEFORE:
		erase(line, 0, line->cursor);
		break;
	case EDIT_KILL_AFTER:
		erase(line, line->cursor, line->length);
		break;
	case EDIT_KILL_WORD:
		erase(line, word_before(line), line->cursor);
		break;
	case EDIT_BYTE:
		insert(line, (char)byte);
		break;
	default:
		break;
	}
}

int keyboard_edit(struct keyboard *keyboard, const char *label, const char *initial, char **ret)
{
	size_t length = strlen(initial);
	if (length > LINE_BYTES_MAX)
		return -ENOBUFS;
	cleanup_free char *text = malloc(LINE_BYTES_MAX + 1);
	if (!text)
		return -ENOMEM;
	memcpy(text, initial, length + 1);
	struct line line = {.text = text, .length = length, .cursor = length};
	for (;;) {
		enum edit_key key;
		unsigned char byte;
		int r = draw(keyboard, label, &line);
		if (r == 0)
			r = read_edit_key(keyboard, &key, &byte);
		if (r < 0)
			return r;
		if (key == EDIT_ENTER || key == EDIT_CANCEL) {
			keyboard_write(keyboard, "\n");
			if (key == EDIT_CANCEL || line.length == 0)
				return -ECANCELED;
			*ret = steal_pointer(&text);
			return 0;
		}
		apply(&line, key, byte);
	}
}
