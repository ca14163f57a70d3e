/* Theory of operation: a diff is read line by line, once. Between hunks there are headers and
 * whatever a mail or a log puts around them; within a hunk the header's counts say how many lines
 * belong to it, so that what looks like a header there is content. A diff whose counts do not fit
 * its lines would be read otherwise by others: it is reported, and what can be seen of it is judged
 * all the same. Combined diffs (of merges) have a sign for each parent. */
#include "gate/code_diff.h"

#include <errno.h>
#include <string.h>

enum { MAX_PARENTS = 16, MAX_COUNT = 100 * 1000 * 1000 };

struct reader {
	struct diff_file file;
	struct findings_list *findings;
	bool in_file, in_hunk, in_binary, any_file;
	unsigned parents; /* signs before each line of a hunk */
	unsigned old_left[MAX_PARENTS], new_left;
	unsigned new_number, old_number;
	unsigned line; /* of the diff itself */
};

/* ---- files ---- */

static void file_close(struct reader *reader)
{
	struct diff_file *file = &reader->file;
	if (reader->in_file) {
		if (!file->headed)
			diff_check_file(file);
		diff_check_shown(file);
		diff_check_manifest(file);
	}
	free(file->path);
	buffer_release(&file->shown);
	free(file->shown_lines);
	strv_release(&file->before);
	strv_release(&file->after);
	free(file->after_lines);
	*file = (struct diff_file){
		.findings = reader->findings, .shown = BUFFER_INIT(MAX_SCRIPT_BYTES)};
	reader->in_file = reader->in_hunk = reader->in_binary = false;
}

static void file_open(struct reader *reader)
{
	file_close(reader);
	reader->in_file = reader->any_file = true;
}

static void complain(struct reader *reader, const char *text, size_t length, const char *what)
{
	findings_add(reader->findings, "diff-malformed", NULL, reader->line, 1, text, length, what);
	reader->findings->incomplete = true;
}

/* ---- names, as git quotes them ---- */

static char *unquoted(const char *text, size_t length)
{
	static const char escapes[] = "a\ab\bf\fn\nr\rt\tv\v\"\"\\\\";
	char *name = malloc(length + 1), *end = name;
	if (!name)
		return NULL;
	for (size_t i = 1; i < length && text[i] != '"'; i++) {
		if (text[i] != '\\' || i + 1 >= length) {
			*end++ = text[i];
			continue;
		}
		char c = text[++i];
		if (c >= '0' && c <= '3' && i + 2 < length) {
			*end++ = (c - '0') << 6 | (text[i + 1] & 7) << 3 | (text[i + 2] & 7);
			i += 2;
			continue;
		}
		for (size_t k = 0; escapes[k]; k += 2)
			if (escapes[k] == c)
				*end++ = escapes[k + 1];
	}
	*end = '\0';
	return name;
}

/* A name of a header: quoted, or up to a tab. "a/" and the like are git's, not the name's. */
static char *header_name(const char *text, size_t length)
{
	cleanup_free char *name = NULL;
	if (length > 0 && text[0] == '"') {
		name = unquoted(text, length);
	} else {
		const char *tab = memchr(text, '\t', length);
		name = strndup(text, tab ? (size_t)(tab - text) : length);
	}
	if (!name)
		return NULL;
	bool prefixed = name[0] && strchr("abciow", name[0]) && name[1] == '/';
	return strdup(prefixed ? name + 2 : name);
}

/* A name of a header that has no prefix. */
static char *whole_name(const char *text, size_t length)
{
	return length > 0 && text[0] == '"' ? unquoted(text, length) : strndup(text, length);
}

static void set_path(struct reader *reader, char *path)
{
	struct diff_file *file = &reader->file;
	if (!path) {
		reader->findings->incomplete = true;
		return;
	}
	free(file->path);
	file->path = path;
	diff_check_path(file);
}

/* diff --git a/NAME b/NAME: unquoted names may hold blanks, but both are equal unless a later
 * header says otherwise. */
static void read_git_names(struct reader *reader, const char *text, size_t length)
{
	if (length > 0 && text[0] == '"') {
		set_path(reader, header_name(text, length));
		return;
	}
	size_t half = length / 2;
	if (length % 2 == 1 && text[half] == ' ' && half > 2 &&
		memcmp(text + 2, text + half + 3, half - 2) == 0) {
		set_path(reader, header_name(text + half + 1, half));
		return;
	}
	const char *blank = memmem(text, length, " b/", 3);
	size_t skip = blank ? (size_t)(blank - text) + 1 : 0;
	set_path(reader, header_name(text + skip, length - skip));
}

/* ---- headers ---- */

static bool starts(const char *text, size_t length, const char *with, size_t *ret_skip)
{
	size_t size = strlen(with);
	*ret_skip = size;
	return length >= size && memcmp(text, with, size) == 0;
}

static unsigned mode_of(const char *text, size_t length)
{
	char number[16];
	snprintf(number, sizeof(number), "%.*s", (int)(length < 15 ? length : 15), text);
	return strtoul(number, NULL, 8);
}

/* "@@ -1,2 +3,4 @@", with one more @ and range for each further parent. */
static bool read_hunk(struct reader *reader, const char *text, size_t length)
{
	char line[512];
	size_t signs = 0;
	while (signs < length && text[signs] == '@')
		signs++;
	if (signs < 2 || signs - 1 > MAX_PARENTS)
		return false;
	snprintf(line, sizeof(line), "%.*s", (int)(length < 511 ? length : 511), text);
	const char *at = line + signs;
	reader->parents = signs - 1;
	for (unsigned i = 0; i <= reader->parents; i++) {
		unsigned start = 0, count = 1;
		int used = 0;
		bool added = i == reader->parents;
		if (sscanf(at, added ? " +%9u%n" : " -%9u%n", &start, &used) != 1)
			return false;
		at += used;
		used = 0;
		if (*at == ',' && sscanf(at, ",%9u%n", &count, &used) != 1)
			return false;
		at += used;
		if (start > MAX_COUNT || count > MAX_COUNT)
			return false;
		if (added) {
			reader->new_left = count;
			reader->new_number = start;
		} else {
			reader->old_left[i] = count;
			reader->old_number = start;
		}
	}
	reader->in_hunk = true;
	if (!reader->file.headed) {
		reader->file.headed = true;
		diff_check_file(&reader->file);
	}
	return true;
}

static void read_extended_header(struct reader *reader, const char *text, size_t length)
{
	struct diff_file *file = &reader->file;
	size_t skip;
	if (starts(text, length, "old mode ", &skip)) {
		file->old_mode = mode_of(text + skip, length - skip);
	} else if (starts(text, length, "new mode ", &skip)) {
		file->new_mode = mode_of(text + skip, length - skip);
	} else if (starts(text, length, "new file mode ", &skip)) {
		file->created = true;
		file->new_mode = mode_of(text + skip, length - skip);
	} else if (starts(text, length, "deleted file mode ", &skip)) {
		file->deleted = true;
	} else if (starts(text, length, "rename to ", &skip) ||
		   starts(text, length, "copy to ", &skip)) {
		set_path(reader, whole_name(text + skip, length - skip));
	} else if (starts(text, length, "Binary files ", &skip)) {
		file->binary = true;
	} else if (starts(text, length, "GIT binary patch", &skip)) {
		file->binary = true;
		reader->in_binary = true;
	}
}

static void read_header(struct reader *reader, const char *text, size_t length)
{
	struct diff_file *file = &reader->file;
	size_t skip;
	if (starts(text, length, "diff --git ", &skip)) {
		file_open(reader);
		read_git_names(reader, text + skip, length - skip);
	} else if (starts(text, length, "diff --cc ", &skip) ||
		   starts(text, length, "diff --combined ", &skip)) {
		file_open(reader);
		set_path(reader, whole_name(text + skip, length - skip));
	} else if (starts(text, length, "--- ", &skip) && !reader->in_binary) {
		/* Without git's own header this one opens a file. */
		if (!reader->in_file || file->headed)
			file_open(reader);
		if (length - skip >= 9 && memcmp(text + skip, "/dev/null", 9) == 0)
			file->created = true;
		else if (!file->path)
			set_path(reader, header_name(text + skip, length - skip));
	} else if (starts(text, length, "+++ ", &skip) && reader->in_file && !reader->in_binary) {
		if (length - skip >= 9 && memcmp(text + skip, "/dev/null", 9) == 0)
			file->deleted = true;
		else
			set_path(reader, header_name(text + skip, length - skip));
	} else if (starts(text, length, "@@", &skip) && reader->in_file && !reader->in_binary) {
		if (!file->path || !read_hunk(reader, text, length))
			complain(reader, text, length, "a hunk without a proper header");
	} else if (starts(text, length, "From ", &skip) || starts(text, length, "commit ", &skip)) {
		file_close(reader);
	} else if (reader->in_file && !reader->in_binary) {
		if (file->headed && length > 0 && text[0] == '+')
			complain(reader, text, length, "an added line outside of any hunk");
		else if (!file->headed)
			read_extended_header(reader, text, length);
	}
}

/* ---- lines of a hunk ---- */

static void take_line(struct reader *reader, const struct diff_line *line, bool added, bool removed)
{
	struct diff_file *file = &reader->file;
	if (!removed)
		diff_show_line(file, line, added);
	diff_see_manifest_line(file, line, added ? '+' : removed ? '-' : ' ');
	if (!added)
		return;
	file->added_lines++;
	if ((file->new_mode & 0170000) == 0120000) {
		diff_check_link(file, line);
		return;
	}
	diff_check_line(file, line);
	diff_check_secrets(file, line);
}

static bool hunk_is_over(const struct reader *reader)
{
	for (unsigned i = 0; i < reader->parents; i++)
		if (reader->old_left[i] > 0)
			return false;
	return reader->new_left == 0;
}

/* Whether the line belongs to the hunk: its signs are such, and the counts have room for it. */
static bool read_hunk_line(struct reader *reader, const char *text, size_t length)
{
	bool added = false, removed = false;
	if (length > 0 && text[0] == '\\')
		return true; /* \ No newline at end of file */
	/* Some programs cut the blank off an empty line of context. */
	size_t signs = length < reader->parents && length == 0 ? 0 : reader->parents;
	if (length < signs)
		return false;
	for (size_t i = 0; i < signs; i++) {
		if (!strchr(" +-", text[i]) || !text[i])
			return false;
		added |= text[i] == '+';
		removed |= text[i] == '-';
	}
	if (added && removed)
		return false;
	for (unsigned i = 0; i < reader->parents; i++) {
		char sign = i < signs ? text[i] : ' ';
		if (sign == '+' || (removed && sign == ' '))
			continue;
		if (reader->old_left[i] == 0)
			return false;
		reader->old_left[i]--;
	}
	if (!removed) {
		if (reader->new_left == 0)
			return false;
		reader->new_left--;
	}
	struct diff_line line = {.text = text + signs, .length = length - signs};
	line.number = removed ? reader->old_number++ : reader->new_number++;
	if (!added && !removed)
		reader->old_number++;
	take_line(reader, &line, added, removed);
	return true;
}

static void read_line(struct reader *reader, const char *text, size_t length)
{
	reader->line++;
	if (length > 0 && text[length - 1] == '\r')
		length--;
	if (reader->in_hunk && hunk_is_over(reader)) {
		if (length > 0 && text[0] == '\\')
			return;
		reader->in_hunk = false;
	}
	if (reader->in_hunk) {
		if (read_hunk_line(reader, text, length))
			return;
		complain(reader, text, length, "a hunk that does not have the lines it announces");
		reader->in_hunk = false;
		/* What comes is judged, though nobody can say where it would go. */
		if (length > 0 && text[0] == '+') {
			struct diff_line line = {text + 1, length - 1, reader->new_number++};
			take_line(reader, &line, true, false);
			return;
		}
	}
	read_header(reader, text, length);
}

int code_check_diff(const char *diff, size_t length_bytes, struct findings_list **ret)
{
	*ret = NULL;
	struct findings_list *findings = calloc(1, sizeof(*findings));
	struct reader *reader = calloc(1, sizeof(*reader));
	if (!findings || !reader) {
		free(findings);
		free(reader);
		return -ENOMEM;
	}
	findings->language = "diff";
	reader->findings = findings;
	file_close(reader);
	const char *end = diff + length_bytes;
	for (const char *at = diff; at < end;) {
		const char *newline = memchr(at, '\n', end - at);
		size_t length = (newline ? newline : end) - at;
		read_line(reader, at, length);
		at += length + 1;
	}
	if (reader->in_hunk && !hunk_is_over(reader))
		complain(reader, "", 0, "it ends within a hunk");
	file_close(reader);
	if (!reader->any_file && length_bytes > 0) {
		findings_add(findings, "diff-malformed", NULL, 1, 1, diff,
			length_bytes < 100 ? length_bytes : 100, "it names no file");
		findings->incomplete = true;
	}
	free(reader);
	*ret = findings;
	return 0;
}
