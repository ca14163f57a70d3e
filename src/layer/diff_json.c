/* One object, written as the walk goes on; its shape is in docs/LAYERS.md. */
#include "layer/diff_internal.h"

#include "base/cleanup.h"
#include "base/limits.h"
#include "base/utf8.h"
#include "layer/settle.h"

#include <errno.h>
#include <string.h>

enum { ENTRY_BYTES_MAX = 1024 * 1024 };

struct json_state {
	FILE *notes; /* they come last; put aside meanwhile */
	uint64_t files, notes_count, insertions, deletions;
};

static int json_begin(struct diff *diff)
{
	struct json_state *state = calloc(1, sizeof(*state));
	if (!state)
		return -ENOMEM;
	diff->state = state;
	state->notes = tmpfile();
	if (!state->notes)
		return -errno;
	fputs("{\"version\": 1, \"files\": [", diff->to);
	return 0;
}

static void json_release(struct diff *diff)
{
	struct json_state *state = diff->state;
	if (state && state->notes)
		fclose(state->notes);
	free(state);
	diff->state = NULL;
}

static bool is_utf8(const char *text)
{
	for (const unsigned char *s = (const unsigned char *)text; *s;) {
		size_t length = utf8_sequence(s);
		if (length == 0)
			return false;
		s += length;
	}
	return true;
}

/* JSON has no form for a name that is not UTF-8: that one is told a second time, in hex. */
static void add_path(struct buffer *text, const char *key, const char *path)
{
	buffer_append_format(text, "\"%s\": ", key);
	buffer_append_json(text, path);
	if (is_utf8(path))
		return;
	buffer_append_format(text, ", \"%s_hex\": \"", key);
	for (const unsigned char *s = (const unsigned char *)path; *s; s++)
		buffer_append_format(text, "%02x", *s);
	buffer_append_string(text, "\"");
}

static const char *status_word(char status)
{
	static const struct {
		char status;
		const char *word;
	} words[] = {{'A', "added"}, {'D', "deleted"}, {'M', "modified"}, {'R', "renamed"},
		{'T', "retyped"}};
	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (words[i].status == status)
			return words[i].word;
	return "";
}

static void add_side(struct buffer *text, const char *key, const struct diff_content *content,
	const struct layer_entry *entry)
{
	buffer_append_format(text, ", \"%s\": ", key);
	if (!content->present) {
		buffer_append_string(text, "null");
		return;
	}
	buffer_append_format(text,
		"{\"type\": \"%s\", \"mode\": \"%04o\", \"size_bytes\": %llu, \"uid\": %u, "
		"\"gid\": %u}",
		S_ISLNK(entry->st.st_mode) ? "link" : "file", entry->st.st_mode & 07777,
		(unsigned long long)content->size, entry->st.st_uid, entry->st.st_gid);
}

static int json_file(struct diff *diff, const struct diff_file *file)
{
	struct json_state *state = diff->state;
	struct text_counts counts;
	int r = diff_file_counts(file, &counts);
	if (r < 0)
		return r;
	bool binary = file->before.binary || file->after.binary;
	cleanup_buffer struct buffer text = BUFFER_INIT(ENTRY_BYTES_MAX);
	buffer_append_string(&text, state->files ? ",\n  {" : "\n  {");
	add_path(&text, "path", file->path);
	buffer_append_format(&text, ", \"status\": \"%s\"", status_word(file->status));
	if (file->status == 'R') {
		buffer_append_string(&text, ", ");
		add_path(&text, "old_path", file->old_path);
		buffer_append_format(&text, ", \"similarity_percent\": %u", file->similarity);
	}
	add_side(&text, "before", &file->before, &file->change->before);
	add_side(&text, "after", &file->after, &file->change->after);
	buffer_append_format(&text, ", \"binary\": %s", binary ? "true" : "false");
	if (!binary)
		buffer_append_format(&text, ", \"insertions\": %llu, \"deletions\": %llu",
			(unsigned long long)counts.insertions,
			(unsigned long long)counts.deletions);
	buffer_append_format(&text, ", \"host_changed\": %s}",
		file->host == LAYER_HOST_CHANGED ? "true" : "false");
	if (buffer_error(&text))
		return buffer_error(&text);
	state->files++;
	state->insertions += counts.insertions;
	state->deletions += counts.deletions;
	fwrite(text.data, 1, text.length_bytes, diff->to);
	return 0;
}

static int json_note(struct diff *diff, const struct diff_note *note)
{
	struct json_state *state = diff->state;
	cleanup_buffer struct buffer text = BUFFER_INIT(ENTRY_BYTES_MAX);
	buffer_append_string(&text, state->notes_count++ ? ",\n  {" : "\n  {");
	add_path(&text, "path", note->path);
	buffer_append_format(&text, ", \"status\": \"%s\", \"note\": ", status_word(note->status));
	buffer_append_json(&text, note->text);
	buffer_append_string(&text, "}");
	if (buffer_error(&text))
		return buffer_error(&text);
	return fwrite(text.data, 1, text.length_bytes, state->notes) == text.length_bytes ? 0
											  : -EIO;
}

static int json_end(struct diff *diff)
{
	struct json_state *state = diff->state;
	char piece[16 * 1024];
	size_t n;
	fputs("],\n \"notes\": [", diff->to);
	if (fflush(state->notes) != 0)
		return -errno;
	rewind(state->notes);
	while ((n = fread(piece, 1, sizeof(piece), state->notes)) > 0)
		fwrite(piece, 1, n, diff->to);
	fprintf(diff->to,
		"],\n \"summary\": {\"files\": %llu, \"insertions\": %llu, \"deletions\": %llu, "
		"\"notes\": %llu, \"unread\": %llu}}\n",
		(unsigned long long)state->files, (unsigned long long)state->insertions,
		(unsigned long long)state->deletions, (unsigned long long)state->notes_count,
		(unsigned long long)diff->unread);
	return ferror(state->notes) ? -EIO : 0;
}

const struct diff_writer diff_write_json = {.wants_content = true,
	.begin = json_begin,
	.file = json_file,
	.note = json_note,
	.end = json_end,
	.release = json_release};
