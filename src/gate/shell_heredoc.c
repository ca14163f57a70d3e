/* Here-documents: opened in the middle of a line, read when the line ends. */
#include "gate/shell_reader.h"

#include "base/cleanup.h"

#include <string.h>

/* The delimiter, at its first byte: quotes are removed, nothing is expanded. */
static char *read_delimiter(struct reader *r, bool *ret_quoted)
{
	cleanup_word struct shell_word word = {0};
	size_t start = r->at;
	for (size_t i = start; i < r->end && !is_meta(r->script[i]); i++)
		if (r->script[i] == '$' || r->script[i] == '`') {
			reader_odd(r, "a here-document's delimiter holds a $ or `");
			return NULL;
		}
	if (!read_word(r, &word, PLACE_ARGUMENT)) {
		if (!r->stopped)
			reader_syntax(r, "a here-document wants a delimiter");
		return NULL;
	}
	const char *written = r->script + word.start;
	if (memchr(written, '\n', word.end - word.start)) {
		reader_odd(r, "a here-document's delimiter holds a line's end");
		return NULL;
	}
	*ret_quoted = false;
	for (size_t i = 0; i < word.end - word.start; i++)
		*ret_quoted |= strchr("'\"\\", written[i]) != NULL;
	return analyzer_copy(r->a, word.value.data, word.value.length_bytes);
}

void open_heredoc(struct reader *r, size_t start, bool strip_tabs, bool is_stdin)
{
	if (r->heredocs_count == MAX_LINE_HEREDOCS) {
		r->at = start;
		return reader_odd(r, "too many here-documents in one line");
	}
	bool quoted = false;
	char *delimiter = read_delimiter(r, &quoted);
	if (!delimiter)
		return;
	r->heredocs[r->heredocs_count++] = (struct heredoc){
		.part = SIZE_MAX,
		.delimiter = delimiter,
		.quoted = quoted,
		.strip_tabs = strip_tabs,
		.is_stdin = is_stdin,
	};
}

void own_heredocs(struct reader *r, size_t first, size_t part)
{
	for (size_t i = first; i < r->heredocs_count; i++)
		r->heredocs[i].part = part;
}

/* Where the body ends, and where the line behind its delimiter begins. Unless the delimiter was
 * quoted, a backslash joins lines before they are compared with it. */
static bool find_end(
	struct reader *r, const struct heredoc *heredoc, size_t *ret_end, size_t *ret_next)
{
	size_t wanted = strlen(heredoc->delimiter);
	bool joined = false;
	for (size_t line = r->at; line < r->end;) {
		const char *text = r->script + line;
		const char *stop = memchr(text, '\n', r->end - line);
		size_t length = stop ? (size_t)(stop - text) : r->end - line;
		size_t tabs = 0;
		while (heredoc->strip_tabs && tabs < length && text[tabs] == '\t')
			tabs++;
		bool same = length - tabs == wanted &&
			    memcmp(text + tabs, heredoc->delimiter, wanted) == 0;
		if (same && !joined) {
			*ret_end = line;
			*ret_next = line + length + (stop != NULL);
			return true;
		}
		size_t backslashes = 0;
		while (backslashes < length && text[length - 1 - backslashes] == '\\')
			backslashes++;
		joined = !heredoc->quoted && backslashes % 2 == 1;
		/* Halves of a delimiter, to be joined: nobody honest does this. */
		if (joined && length - tabs <= wanted + 1 &&
			memcmp(text + tabs, heredoc->delimiter, length - tabs - 1) == 0) {
			reader_odd(r, "a here-document's delimiter is written over two lines");
			return false;
		}
		line += length + 1;
	}
	reader_odd(r, "a here-document is not closed");
	return false;
}

/* The commands in the body of an unquoted here-document. */
static bool read_body(struct reader *r, size_t body_end)
{
	cleanup_word struct shell_word scratch = {
		.value = BUFFER_INIT(MAX_SCRIPT_BYTES), .quoted = BUFFER_INIT(MAX_SCRIPT_BYTES)};
	size_t end = r->end;
	bool seldom = r->seldom, known = true;
	r->end = body_end;
	r->seldom = true; /* the grammar misses some: backquotes, what follows a tab */
	while (!r->stopped && r->at < r->end) {
		char c = peek(r, 0);
		known &= c != '$' && c != '`' && c != '\\';
		if (c == '\\') {
			r->at += r->at + 1 < r->end ? 2 : 1;
		} else if (c == '$') {
			read_dollar(r, &scratch, true);
		} else if (c == '`') {
			read_backquote(r);
		} else {
			r->at++;
		}
	}
	r->end = end;
	r->seldom = seldom;
	return known;
}

static void read_one(struct reader *r, struct heredoc *heredoc)
{
	size_t body = r->at, end, next;
	if (!find_end(r, heredoc, &end, &next))
		return;
	bool known = true;
	if (!heredoc->quoted)
		known = read_body(r, end);
	if (r->stopped)
		return;
	r->at = next;
	struct input *input = &heredoc->input;
	*input = (struct input){.given = true, .known = known};
	input->text = analyzer_copy(r->a, r->script + body, end - body);
	if (!input->text)
		return;
	size_t kept = 0;
	bool line_start = true;
	for (size_t i = 0; i < end - body; i++) {
		char c = input->text[i];
		if (!(heredoc->strip_tabs && line_start && c == '\t')) {
			input->text[kept++] = c;
			line_start = c == '\n';
		}
	}
	input->text[kept] = '\0';
	input->length_bytes = kept;
}

void read_heredocs(struct reader *r)
{
	/* A body's own substitutions may open here-documents: they find this list empty. */
	struct heredoc heredocs[MAX_LINE_HEREDOCS];
	size_t count = r->heredocs_count;
	memcpy(heredocs, r->heredocs, sizeof(heredocs));
	r->heredocs_count = 0;
	for (size_t i = 0; i < count && !r->stopped; i++)
		read_one(r, &heredocs[i]);
	for (size_t i = 0; i < count; i++) {
		struct heredoc *heredoc = &heredocs[i];
		bool last = true; /* the one that the command reads, of several */
		for (size_t k = i + 1; k < count; k++)
			last &= heredocs[k].part != heredoc->part || !heredocs[k].is_stdin;
		const struct input unknown = {.given = true};
		if (heredoc->part != SIZE_MAX && heredoc->is_stdin && last)
			look_further(
				r, heredoc->part, heredoc->input.text ? &heredoc->input : &unknown);
		free(heredoc->delimiter);
		input_release(&heredoc->input);
	}
	if (r->hazard && count && heredocs[0].part != SIZE_MAX)
		part_doubt(r->a, heredocs[0].part, steal_pointer(&r->hazard));
}
