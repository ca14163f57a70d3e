/* A patch in git's form: `git apply`, `git am` and, but for binary files and renames, patch(1) take
 * it. What it cannot hold stands between the files, in lines that those pass over. */
#include "layer/diff_internal.h"

#include "base/cleanup.h"

#include <errno.h>
#include <string.h>

/* A blank that ends a component is taken by `git apply` for the end of the name. */
bool diff_is_plain(const char *path)
{
	for (const unsigned char *s = (const unsigned char *)path; *s; s++)
		if (*s < 0x20 || *s >= 0x7f || *s == '"' || *s == '\\' ||
			(*s == ' ' && (s[1] == '/' || s[1] == '\0')))
			return false;
	return true;
}

void diff_put_path(FILE *to, const char *prefix, const char *path)
{
	static const char letters[] = "abtnvfr"; /* of 7 to 13 */
	if (diff_is_plain(path)) {
		fputs_unlocked(prefix, to);
		fputs_unlocked(path, to);
		return;
	}
	putc_unlocked('"', to);
	fputs_unlocked(prefix, to);
	for (const unsigned char *s = (const unsigned char *)path; *s; s++) {
		if (*s == '"' || *s == '\\')
			fprintf(to, "\\%c", *s);
		else if (*s >= 7 && *s <= 13)
			fprintf(to, "\\%c", letters[*s - 7]);
		else if (*s < 0x20 || *s >= 0x7f)
			fprintf(to, "\\%03o", *s);
		else
			putc_unlocked(*s, to);
	}
	putc_unlocked('"', to);
}

static void put_header_line(FILE *to, const char *word, const char *prefix, const char *path)
{
	fputs_unlocked(word, to);
	diff_put_path(to, prefix, path);
	putc_unlocked('\n', to);
}

/* A tab ends a name in which there is a blank, for what looks for a date behind it. */
static void put_side(FILE *to, const char *word, const char *prefix, const char *path, bool present)
{
	fputs_unlocked(word, to);
	if (present)
		diff_put_path(to, prefix, path);
	else
		fputs_unlocked("/dev/null", to);
	fputs_unlocked(present && strchr(path, ' ') && diff_is_plain(path) ? "\t\n" : "\n", to);
}

static int put_content(struct diff *diff, const struct diff_file *file,
	const struct diff_content *before, const struct diff_content *after)
{
	FILE *to = diff->to;
	char blobs[2][DIFF_BLOB_CHARS + 1];
	int r = diff_content_blob(before, blobs[0]);
	if (r == 0)
		r = diff_content_blob(after, blobs[1]);
	if (r < 0)
		return r;
	fprintf(to, "index %s..%s", blobs[0], blobs[1]);
	if (before->present && after->present && before->mode == after->mode)
		fprintf(to, " %06o", after->mode);
	putc_unlocked('\n', to);
	if (before->binary || after->binary) {
		fputs_unlocked("GIT binary patch\n", to);
		r = diff_put_literal(to, after);
		return r < 0 ? r : diff_put_literal(to, before);
	}
	if (before->size == 0 && after->size == 0)
		return 0;
	put_side(to, "--- ", "a/", file->old_path, before->present);
	put_side(to, "+++ ", "b/", file->path, after->present);
	r = text_diff(before->data ? before->data : "", (size_t)before->size,
		after->data ? after->data : "", (size_t)after->size, diff->options->context, to,
		diff->error);
	return r < 0 ? r : 0;
}

static int put_file(struct diff *diff, const struct diff_file *file,
	const struct diff_content *before, const struct diff_content *after)
{
	FILE *to = diff->to;
	fputs_unlocked("diff --git ", to);
	diff_put_path(to, "a/", file->old_path);
	putc_unlocked(' ', to);
	diff_put_path(to, "b/", file->path);
	putc_unlocked('\n', to);
	if (!before->present)
		fprintf(to, "new file mode %06o\n", after->mode);
	else if (!after->present)
		fprintf(to, "deleted file mode %06o\n", before->mode);
	else if (before->mode != after->mode)
		fprintf(to, "old mode %06o\nnew mode %06o\n", before->mode, after->mode);
	if (file->status == 'R') {
		fprintf(to, "similarity index %u%%\n", file->similarity);
		put_header_line(to, "rename from ", "", file->old_path);
		put_header_line(to, "rename to ", "", file->path);
	}
	if (before->present && after->present) {
		int same = diff_content_same(before, after);
		if (same != 0)
			return same < 0 ? same : 0;
	}
	return put_content(diff, file, before, after);
}

static int patch_file(struct diff *diff, const struct diff_file *file)
{
	if (file->status != 'T')
		return put_file(diff, file, &file->before, &file->after);
	static const struct diff_content nothing = {.fd = -1};
	int r = put_file(diff, file, &file->before, &nothing);
	return r < 0 ? r : put_file(diff, file, &nothing, &file->after);
}

static int patch_note(struct diff *diff, const struct diff_note *note)
{
	fputs_unlocked("# ", diff->to);
	diff_put_path(diff->to, "", note->path);
	fprintf(diff->to, ": %s\n", note->text);
	return 0;
}

static int nothing_to_do(struct diff *diff)
{
	(void)diff;
	return 0;
}

const struct diff_writer diff_write_patch = {.wants_content = true,
	.begin = nothing_to_do,
	.file = patch_file,
	.note = patch_note,
	.end = nothing_to_do};

/* ---- names ---- */

static int names_file(struct diff *diff, const struct diff_file *file)
{
	diff_put_path(diff->to, "", file->path);
	putc_unlocked('\n', diff->to);
	return 0;
}

static int names_note(struct diff *diff, const struct diff_note *note)
{
	if (note->entry)
		diff_put_path(diff->to, "", note->path);
	if (note->entry)
		putc_unlocked('\n', diff->to);
	return 0;
}

static int names_status_file(struct diff *diff, const struct diff_file *file)
{
	putc_unlocked(file->status, diff->to);
	if (file->status == 'R') {
		fprintf(diff->to, "%03u\t", file->similarity);
		diff_put_path(diff->to, "", file->old_path);
	}
	putc_unlocked('\t', diff->to);
	return names_file(diff, file);
}

static int names_status_note(struct diff *diff, const struct diff_note *note)
{
	if (note->entry)
		fprintf(diff->to, "%c\t", note->status);
	return names_note(diff, note);
}

const struct diff_writer diff_write_names = {
	.begin = nothing_to_do, .file = names_file, .note = names_note, .end = nothing_to_do};
const struct diff_writer diff_write_names_status = {.begin = nothing_to_do,
	.file = names_status_file,
	.note = names_status_note,
	.end = nothing_to_do};
