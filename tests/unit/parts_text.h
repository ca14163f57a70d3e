/* An analysis as one line, for tables of examples:
 *
 *   >>        two wrappers or shells around it
 *   !         undecidable
 *   {A=b}     an assignment          ?word     is not known
 *   f()       a function's call      <x >x >>x redirections; ?: not known where to
 *   &         in the background      @         as another user (or on another host)
 *   stdin     takes its program from there     python:...  source that was found
 *   <1        reads the first part's output
 */
#ifndef COFFER_TESTS_PARTS_TEXT_H
#define COFFER_TESTS_PARTS_TEXT_H

#include "base/buffer.h"
#include "base/cleanup.h"
#include "gate/analysis.h"

#include <errno.h>
#include <string.h>

struct example {
	const char *line, *parts;
};

static inline void part_text(const struct gate_part *part, struct buffer *out)
{
	static const char *const signs[] = {" <", " >", " >>"};
	for (unsigned i = 0; i < part->depth; i++)
		buffer_append_string(out, ">");
	buffer_append_string(out, part->undecidable ? "!" : "");
	for (size_t i = 0; i < part->assignments.count; i++)
		buffer_append_format(out, "%s{%s}", i ? " " : "", part->assignments.items[i]);
	for (size_t i = 0; i < part->argv.count; i++)
		buffer_append_format(out, "%s%s%s", i || part->assignments.count ? " " : "",
			part->word_known[i] ? "" : "?", part->argv.items[i]);
	buffer_append_string(out, part->kind == PART_FUNCTION ? "()" : "");
	for (size_t i = 0; i < part->redirections_count; i++)
		buffer_append_format(out, "%s%s", signs[part->redirections[i].kind],
			part->redirections[i].target ? part->redirections[i].target : "?");
	buffer_append_string(out, part->background ? " &" : "");
	buffer_append_string(out, part->as_other_user ? " @" : "");
	buffer_append_string(out, part->reads_stdin_script ? " stdin" : "");
	if (part->code)
		buffer_append_format(out, " %s:%s", part->language, part->code);
	if (part->piped_from)
		buffer_append_format(out, " <%zu", part->piped_from);
}

/* Takes the analysis. The caller frees. */
static inline char *parts_text(struct analysis *analysis)
{
	struct buffer out = BUFFER_INIT(1024 * 1024);
	buffer_append_string(&out, "");
	for (size_t i = 0; i < analysis->count; i++) {
		buffer_append_string(&out, i ? "; " : "");
		part_text(&analysis->parts[i], &out);
	}
	if (analysis->syntax.errno_value)
		buffer_append_format(&out, " SYNTAX %s", analysis->syntax.message);
	if (analysis->incomplete)
		buffer_append_string(&out, " INCOMPLETE");
	analysis_free(analysis);
	return buffer_steal(&out);
}

/* Files that the examples name. */
static inline int read_example(
	void *data, const char *path, size_t max_bytes, char **ret, size_t *ret_length_bytes)
{
	static const struct {
		const char *path, *text;
	} files[] = {
		{"/w/s.sh", "p1\np2 x\n"},
		{"/w/run.py", "#!/usr/bin/python3 -u\nprint()\n"},
		{"/w/envs", "#!/usr/bin/env -S bash -e\np1\n"},
		{"/w/plain", "p1\n"},
		{"/w/x.py", "print()\n"},
		{"/w/again.sh", "./again.sh; ./again.sh\n"},
		{"/w/itself.sh", "echo p1 >> itself.sh\n"},
		{"/w/broken.sh", "p1\nif\n"},
		{"/w/sub/s.sh", "p3\n"},
		{"/w/sub/f.sh", "f() { p9; }\n"},
	};
	(void)data;
	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		if (strcmp(files[i].path, path) != 0)
			continue;
		*ret_length_bytes = strlen(files[i].text);
		if (*ret_length_bytes > max_bytes)
			return -EFBIG;
		*ret = strdup(files[i].text);
		return *ret ? 0 : -ENOMEM;
	}
	return -ENOENT;
}

static const struct analysis_context examples = {.directory = "/w", .read_file = read_example};

#endif
