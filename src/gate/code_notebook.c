/* Theory of operation: a notebook is JSON with cells. The cells of code are put one behind the
 * other, as the kernel would run them, so that a name bound in one is known in the next; then the
 * places of findings are told as cell and line. IPython's own lines (%magic, !command) are no
 * Python: a command is reported, and both become empty lines. */
#include "gate/code_internal.h"

#include <errno.h>
#include <jansson.h>
#include <string.h>

enum { MAX_CELLS = 4096 };

struct cells {
	struct buffer source;
	unsigned lines;
	unsigned starts[MAX_CELLS]; /* the first line of each, from 1 */
	unsigned numbers[MAX_CELLS];
	size_t count;
};

static void append_line(
	struct cells *cells, struct findings_list *findings, const char *line, size_t length)
{
	size_t indent = strspn(line, " \t");
	char first = indent < length ? line[indent] : '\0';
	bool command = first == '!';
	if (command)
		findings_add(findings, "py-shell", NULL, cells->lines, indent + 1, line + indent,
			length - indent, NULL);
	if (!command && first != '%' && first != '?')
		buffer_append(&cells->source, line, length);
	buffer_append_string(&cells->source, "\n");
	cells->lines++;
}

static void append_cell(struct cells *cells, struct findings_list *findings, const char *text)
{
	/* A cell that is all of another language. */
	bool other = strncmp(text, "%%", 2) == 0;
	if (strncmp(text, "%%bash", 6) == 0 || strncmp(text, "%%sh", 4) == 0 ||
		strncmp(text, "%%!", 3) == 0)
		findings_add(findings, "py-shell", NULL, cells->lines, 1, text, strlen(text), NULL);
	while (*text) {
		size_t length = strcspn(text, "\n");
		append_line(cells, findings, text, other ? 0 : length);
		text += length + (text[length] == '\n');
	}
}

static int append_source(struct cells *cells, struct findings_list *findings, const json_t *source)
{
	cleanup_buffer struct buffer text = BUFFER_INIT(MAX_SCRIPT_BYTES);
	buffer_append(&text, "", 0);
	size_t i;
	json_t *line;
	if (json_is_string(source))
		buffer_append_string(&text, json_string_value(source));
	json_array_foreach(source, i, line) if (json_is_string(line))
		buffer_append_string(&text, json_string_value(line));
	if (buffer_error(&text) < 0)
		return buffer_error(&text);
	append_cell(cells, findings, text.data ? text.data : "");
	return 0;
}

/* A finding's line within all cells, as a line of its cell. */
static void place(const struct cells *cells, struct finding *finding)
{
	size_t cell = 0;
	while (cell + 1 < cells->count && cells->starts[cell + 1] <= finding->line)
		cell++;
	if (cells->count == 0)
		return;
	char *why;
	finding->line -= cells->starts[cell] - 1;
	if (asprintf(&why, "cell %u: %s", cells->numbers[cell], finding->why) >= 0) {
		free(finding->why);
		finding->why = why;
	}
}

static void place_all(const struct cells *cells, struct findings_list *findings)
{
	for (size_t i = 0; i < findings->count; i++)
		place(cells, &findings->items[i]);
	unsigned line, column;
	int used = 0;
	if (!findings->syntax.errno_value ||
		sscanf(findings->syntax.message, "%u:%u: %n", &line, &column, &used) != 2)
		return;
	struct finding where = {.line = line, .why = strdup(findings->syntax.message + used)};
	place(cells, &where);
	error_set(&findings->syntax, EINVAL, "syntax", "%u:%u: %s", where.line, column,
		where.why ? where.why : "syntax error");
	free(where.why);
}

int code_check_notebook(const char *source, size_t length_bytes, struct findings_list *findings)
{
	json_error_t json_error;
	json_t *notebook = json_loadb(source, length_bytes, 0, &json_error);
	if (!notebook) {
		error_set(&findings->syntax, EINVAL, "syntax", "%d:%d: no notebook: %s",
			json_error.line, json_error.column, json_error.text);
		return 0;
	}
	struct cells *cells = calloc(1, sizeof(*cells));
	int r = cells ? 0 : -ENOMEM;
	size_t i;
	json_t *cell;
	if (cells)
		*cells = (struct cells){.source = BUFFER_INIT(MAX_SCRIPT_BYTES), .lines = 1};
	if (r == 0 && !json_is_array(json_object_get(notebook, "cells")))
		error_set(&findings->syntax, EINVAL, "syntax", "1:1: no notebook: it has no cells");
	json_array_foreach(json_object_get(notebook, "cells"), i, cell)
	{
		const char *type = json_string_value(json_object_get(cell, "cell_type"));
		if (r < 0 || !type || strcmp(type, "code") != 0)
			continue;
		if (cells->count == MAX_CELLS) {
			findings->incomplete = true;
			break;
		}
		cells->starts[cells->count] = cells->lines;
		cells->numbers[cells->count++] = i + 1;
		if (append_source(cells, findings, json_object_get(cell, "source")) < 0)
			findings->incomplete = true;
	}
	if (r == 0 && buffer_error(&cells->source) < 0)
		findings->incomplete = true;
	if (r == 0 && cells->source.data)
		r = code_check_tree(&code_python, cells->source.data, cells->source.length_bytes, 0,
			NULL, findings);
	if (r == 0)
		place_all(cells, findings);
	if (cells)
		buffer_release(&cells->source);
	free(cells);
	json_decref(notebook);
	return r;
}
