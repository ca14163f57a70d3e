/* As `git diff --stat --summary` shows it. How wide the columns are is known only at the end, so each
 * line is put aside in a file without a name, and read again. */
#include "layer/diff_internal.h"

#include "base/cleanup.h"

#include <errno.h>
#include <string.h>

/* Two paths of twice MAX_PATH_BYTES, each byte quoted in four, in the name and in the summary. */
enum { WIDTH_COLUMNS = 80, TEXT_BYTES_MAX = 512 * 1024 };

struct stat_state {
	FILE *lines;
	uint64_t files, insertions, deletions;
	uint64_t most;     /* changed lines of one file */
	size_t name_width; /* of the longest */
	size_t number_width;
};

/* What is put aside of a file; its name, and of a rename the other one, follow. */
struct line {
	uint64_t insertions, deletions, before_bytes, after_bytes;
	uint32_t name_bytes, summary_bytes;
	bool binary, note;
};

static int stat_begin(struct diff *diff)
{
	struct stat_state *state = calloc(1, sizeof(*state));
	if (!state)
		return -ENOMEM;
	diff->state = state;
	state->lines = tmpfile();
	return state->lines ? 0 : -errno;
}

static void stat_release(struct diff *diff)
{
	struct stat_state *state = diff->state;
	if (state && state->lines)
		fclose(state->lines);
	free(state);
	diff->state = NULL;
}

static char *quoted(const char *path)
{
	char *text = NULL;
	size_t bytes;
	FILE *to = open_memstream(&text, &bytes);
	if (!to)
		return NULL;
	diff_put_path(to, "", path);
	fclose(to);
	return text;
}

/* "a/{b => c}/d": what two names have in common, once. */
static char *renamed(const char *from, const char *to)
{
	cleanup_free char *old_name = quoted(from), *new_name = quoted(to);
	char *text = NULL;
	if (!old_name || !new_name)
		return NULL;
	if (!diff_is_plain(from) || !diff_is_plain(to))
		return asprintf(&text, "%s => %s", old_name, new_name) < 0 ? NULL : text;
	size_t head = 0, a = strlen(from), b = strlen(to), tail = 0;
	for (size_t i = 0; from[i] && from[i] == to[i]; i++)
		if (from[i] == '/')
			head = i + 1;
	/* The slash that ends the head may also begin the tail. */
	size_t least = head ? head - 1 : 0;
	for (size_t i = 1; i <= a - least && i <= b - least && from[a - i] == to[b - i]; i++)
		if (from[a - i] == '/')
			tail = i;
	if (!head && !tail)
		return asprintf(&text, "%s => %s", from, to) < 0 ? NULL : text;
	size_t old_middle = a > head + tail ? a - head - tail : 0;
	size_t new_middle = b > head + tail ? b - head - tail : 0;
	return asprintf(&text, "%.*s{%.*s => %.*s}%s", (int)head, from, (int)old_middle,
		       from + head, (int)new_middle, to + head, from + a - tail) < 0
		       ? NULL
		       : text;
}

static char *summary(const struct diff_file *file, const char *name)
{
	char *text = NULL;
	const struct diff_content *before = &file->before, *after = &file->after;
	int n = 0;
	if (file->status == 'A')
		n = asprintf(&text, " create mode %06o %s\n", after->mode, name);
	else if (file->status == 'D')
		n = asprintf(&text, " delete mode %06o %s\n", before->mode, name);
	else if (file->status == 'R')
		n = asprintf(&text, " rename %s (%u%%)\n", name, file->similarity);
	else if (before->mode != after->mode)
		n = asprintf(
			&text, " mode change %06o => %06o %s\n", before->mode, after->mode, name);
	else
		text = strdup("");
	return n < 0 ? NULL : text;
}

static int put_aside(
	struct stat_state *state, struct line *line, const char *name, const char *extra)
{
	line->name_bytes = (uint32_t)strlen(name);
	line->summary_bytes = (uint32_t)strlen(extra);
	if (fwrite(line, sizeof(*line), 1, state->lines) != 1 ||
		fwrite(name, line->name_bytes + 1, 1, state->lines) != 1 ||
		fwrite(extra, line->summary_bytes + 1, 1, state->lines) != 1)
		return -EIO;
	return 0;
}

static int stat_file(struct diff *diff, const struct diff_file *file)
{
	struct stat_state *state = diff->state;
	struct text_counts counts;
	int r = diff_file_counts(file, &counts);
	if (r < 0)
		return r;
	cleanup_free char *name =
		file->status == 'R' ? renamed(file->old_path, file->path) : quoted(file->path);
	cleanup_free char *extra = name ? summary(file, name) : NULL;
	if (!extra)
		return -ENOMEM;
	struct line line = {.insertions = counts.insertions,
		.deletions = counts.deletions,
		.before_bytes = file->before.size,
		.after_bytes = file->after.size,
		.binary = file->before.binary || file->after.binary};
	uint64_t changed = counts.insertions + counts.deletions;
	char number[96];
	size_t width =
		(size_t)snprintf(number, sizeof(number), "%llu", (unsigned long long)changed);
	if (line.binary)
		width = 3;
	state->files++;
	state->insertions += counts.insertions;
	state->deletions += counts.deletions;
	state->most = changed > state->most ? changed : state->most;
	state->number_width = width > state->number_width ? width : state->number_width;
	state->name_width = strlen(name) > state->name_width ? strlen(name) : state->name_width;
	return put_aside(state, &line, name, extra);
}

static int stat_note(struct diff *diff, const struct diff_note *note)
{
	cleanup_free char *name = quoted(note->path);
	char *text = NULL;
	if (!name || asprintf(&text, " %s: %s\n", name, note->text) < 0)
		return -ENOMEM;
	struct line line = {.note = true};
	int r = put_aside(diff->state, &line, "", text);
	free(text);
	return r;
}

/* ---- showing ---- */

struct widths {
	size_t name, number, graph;
};

/* The graph gets what names and numbers leave of the line, but at least 3/8 of it. */
static struct widths measure(const struct stat_state *state)
{
	struct widths widths = {.name = state->name_width, .number = state->number_width};
	size_t rest = WIDTH_COLUMNS - widths.number - 6;
	size_t share = WIDTH_COLUMNS * 3 / 8 - widths.number - 6;
	widths.graph = state->most < rest ? (size_t)state->most : rest;
	if (widths.name + widths.graph > rest) {
		if (widths.graph > share)
			widths.graph = share > 6 ? share : 6;
		if (widths.name > rest - widths.graph)
			widths.name = rest - widths.graph;
		else
			widths.graph = rest - widths.name;
	}
	return widths;
}

static size_t scale(uint64_t count, size_t width, uint64_t most)
{
	return count ? 1 + (size_t)(count * (width - 1) / most) : 0;
}

static void put_graph(FILE *to, const struct line *line, const struct widths *widths, uint64_t most)
{
	size_t add = (size_t)line->insertions, remove = (size_t)line->deletions;
	if (most > widths->graph) {
		size_t total = scale(line->insertions + line->deletions, widths->graph, most);
		if (total < 2 && add && remove)
			total = 2;
		if (add < remove) {
			add = scale(line->insertions, widths->graph, most);
			remove = total - add;
		} else {
			remove = scale(line->deletions, widths->graph, most);
			add = total - remove;
		}
	}
	while (add--)
		putc_unlocked('+', to);
	while (remove--)
		putc_unlocked('-', to);
}

/* A name that is too long loses its beginning, if it can at a slash. */
static void put_name(FILE *to, const char *name, size_t width)
{
	size_t length = strlen(name);
	if (length > width && width > 3) {
		const char *tail = name + length - (width - 3);
		const char *slash = strchr(tail, '/');
		tail = slash ? slash : tail;
		fprintf(to, " ...%-*s", (int)(width - 3), tail);
	} else {
		fprintf(to, " %-*s", (int)width, name);
	}
}

static void put_line(FILE *to, const struct line *line, const char *name,
	const struct widths *widths, uint64_t most)
{
	put_name(to, name, widths->name);
	if (line->binary) {
		fprintf(to, " | %*s", (int)widths->number, "Bin");
		if (line->before_bytes != line->after_bytes || line->before_bytes)
			fprintf(to, " %llu -> %llu bytes", (unsigned long long)line->before_bytes,
				(unsigned long long)line->after_bytes);
	} else {
		uint64_t changed = line->insertions + line->deletions;
		fprintf(to, " | %*llu%s", (int)widths->number, (unsigned long long)changed,
			changed ? " " : "");
		put_graph(to, line, widths, most);
	}
	putc_unlocked('\n', to);
}

static int put_lines(struct diff *diff, bool summaries)
{
	struct stat_state *state = diff->state;
	struct widths widths = measure(state);
	cleanup_free char *text = malloc(TEXT_BYTES_MAX);
	struct line line;
	if (!text)
		return -ENOMEM;
	rewind(state->lines);
	while (fread(&line, sizeof(line), 1, state->lines) == 1) {
		size_t bytes = (size_t)line.name_bytes + line.summary_bytes + 2;
		if (bytes > TEXT_BYTES_MAX || fread(text, bytes, 1, state->lines) != 1)
			return -EIO;
		if (summaries)
			fputs(text + line.name_bytes + 1, diff->to);
		else if (!line.note)
			put_line(diff->to, &line, text, &widths, state->most);
	}
	return ferror(state->lines) ? -EIO : 0;
}

static int stat_end(struct diff *diff)
{
	const struct stat_state *state = diff->state;
	if (fflush(state->lines) != 0)
		return -errno;
	int r = put_lines(diff, false);
	if (r == 0 && state->files) {
		unsigned long long plus = state->insertions, minus = state->deletions;
		fprintf(diff->to, " %llu file%s changed", (unsigned long long)state->files,
			state->files == 1 ? "" : "s");
		if (plus || !minus)
			fprintf(diff->to, ", %llu insertion%s(+)", plus, plus == 1 ? "" : "s");
		if (minus || !plus)
			fprintf(diff->to, ", %llu deletion%s(-)", minus, minus == 1 ? "" : "s");
		putc('\n', diff->to);
	}
	return r < 0 ? r : put_lines(diff, true);
}

const struct diff_writer diff_write_stat = {.wants_content = true,
	.begin = stat_begin,
	.file = stat_file,
	.note = stat_note,
	.end = stat_end,
	.release = stat_release};
