#include "task/subject.h"

#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/fd.h"
#include "base/limits.h"
#include "base/path.h"
#include "base/utf8.h"

#include <fcntl.h>
#include <inttypes.h>
#include <string.h>

enum { SUBJECT_BYTES = 72, MAX_TEXT_BYTES = 1024 * 1024 };

/* What a line of text can hold: a prompt may have come from anywhere. */
static void append_plain(struct buffer *to, const char *text, size_t max_bytes)
{
	size_t used = 0;
	for (const unsigned char *s = (const unsigned char *)text; *s && *s != '\n';) {
		size_t length = utf8_sequence(s);
		bool plain = length && !utf8_is_control(utf8_character(s, length));
		if (used + (plain ? length : 1) > max_bytes)
			return;
		buffer_append(to, plain ? (const char *)s : " ", plain ? length : 1);
		used += plain ? length : 1;
		s += length ? length : 1;
	}
}

char *task_subject(const struct task *task)
{
	cleanup_free char *path = path_join(task->directory, "prompt");
	cleanup_free char *prompt = NULL;
	size_t length;
	cleanup_buffer struct buffer line = BUFFER_INIT(MAX_TEXT_BYTES);
	if (path && fd_read_file(AT_FDCWD, path, MAX_TASK_PROMPT_BYTES, &prompt, &length) == 0)
		append_plain(&line, prompt + strspn(prompt, " \t\r\n#"), SUBJECT_BYTES);
	if (line.length_bytes == 0)
		buffer_append_format(&line, "Work of task %s", task->id);
	return buffer_steal(&line);
}

char *task_commit_body(const struct task *task)
{
	cleanup_buffer struct buffer body = BUFFER_INIT(MAX_TEXT_BYTES);
	buffer_append_format(&body,
		"Made by an agent in a box, offline and without secrets.\n\n"
		"Coffer-task: %s\nCoffer-base: %s\n",
		task->id, task->commit);
	return buffer_steal(&body);
}

static const char *text_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));
	return text ? text : "";
}

/* Within a Markdown code span no character has a meaning but the backquote. */
static void append_code(struct buffer *to, const char *text)
{
	cleanup_buffer struct buffer plain = BUFFER_INIT(MAX_TEXT_BYTES);
	append_plain(&plain, text, 400);
	for (size_t i = 0; i < plain.length_bytes; i++)
		if (plain.data[i] == '`')
			plain.data[i] = '\'';
	buffer_append_format(to, "`%s`", plain.length_bytes ? plain.data : " ");
}

static void append_findings(struct buffer *to, const json_t *findings)
{
	size_t i;
	json_t *finding;
	buffer_append_string(to, "## Findings\n\n");
	if (json_array_size(findings) == 0)
		buffer_append_string(to, "None.\n");
	json_array_foreach((json_t *)(uintptr_t)findings, i, finding)
	{
		buffer_append_format(to, "- %s: ", text_of(finding, "severity"));
		append_code(to, text_of(finding, "file"));
		buffer_append_format(to, " line %" PRId64 ": ",
			(int64_t)json_integer_value(json_object_get(finding, "line")));
		append_code(to, text_of(finding, "why"));
		buffer_append_string(to, "\n");
	}
}

char *task_pull_request(const struct task *task, const json_t *summary)
{
	cleanup_buffer struct buffer text = BUFFER_INIT(MAX_TEXT_BYTES);
	const json_t *patch = json_object_get(summary, "patch");
	const json_t *check = json_object_get(summary, "check");
	cleanup_free char *subject = task_subject(task);
	if (!subject)
		return NULL;
	buffer_append_format(&text, "%s\n\n## What changed\n\n", subject);
	buffer_append_format(&text,
		"%" PRId64 " files, %" PRId64 " insertions, %" PRId64
		" deletions, on top of `%s`.\n\n",
		(int64_t)json_integer_value(json_object_get(patch, "files")),
		(int64_t)json_integer_value(json_object_get(patch, "insertions")),
		(int64_t)json_integer_value(json_object_get(patch, "deletions")), task->commit);
	buffer_append_string(&text, "## Check\n\n");
	if (json_is_object(check)) {
		append_code(&text, task->spec.check);
		buffer_append_format(&text, ": exit %" PRId64 ".\n\n",
			(int64_t)json_integer_value(json_object_get(check, "exit")));
	} else {
		buffer_append_string(&text, "No check was given.\n\n");
	}
	append_findings(&text, json_object_get(summary, "findings"));
	buffer_append_format(&text,
		"\nMade by task %s: the agent worked offline, without secrets, "
		"in a box.\n",
		task->id);
	return buffer_steal(&text);
}
