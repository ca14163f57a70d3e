/* Theory of operation: what a diff shows of a Python or JavaScript file, its added lines and those
 * around them, is parsed as if it were one. A hunk may begin in the middle of a block: the parser
 * recovers, and syntax errors are of no interest here. Findings count if their line was added. */
#include "gate/code_diff.h"

#include <string.h>

void diff_show_line(struct diff_file *file, const struct diff_line *line, bool added)
{
	if (!file->language)
		return;
	if ((file->shown_count & (file->shown_count - 1)) == 0) {
		size_t capacity = file->shown_count ? 2 * file->shown_count : 1;
		struct shown_line *lines = realloc(file->shown_lines, capacity * sizeof(*lines));
		if (!lines) {
			file->findings->incomplete = true;
			file->language = NULL;
			return;
		}
		file->shown_lines = lines;
	}
	buffer_append(&file->shown, line->text, line->length);
	buffer_append_string(&file->shown, "\n");
	file->shown_lines[file->shown_count++] =
		(struct shown_line){.number = line->number, .added = added};
	if (buffer_error(&file->shown) < 0) {
		file->findings->incomplete = true;
		file->language = NULL;
	}
}

void diff_check_shown(struct diff_file *file)
{
	struct findings_list *found = NULL;
	if (!file->language || file->shown_count == 0 || file->added_lines == 0)
		return;
	if (code_check(file->language, file->path, file->shown.data, file->shown.length_bytes,
		    &found) < 0) {
		file->findings->incomplete = true;
		return;
	}
	for (size_t i = 0; i < found->count; i++) {
		const struct finding *finding = &found->items[i];
		/* The characters of a line were looked at with the line. */
		if (finding->severity < SEVERITY_MEDIUM || finding->line > file->shown_count ||
			strncmp(finding->rule, "text-", strlen("text-")) == 0)
			continue;
		const struct shown_line *line = &file->shown_lines[finding->line - 1];
		if (line->added)
			findings_add(file->findings, finding->rule, file->path, line->number,
				finding->column, finding->text, strlen(finding->text), NULL);
	}
	file->findings->incomplete |= found->incomplete;
	findings_free(found);
}
