/* Lines of a hunk are counted off by what its head says, so that nothing in a file's content reads
 * as a head. */
#include "task/patch_stat.h"

#include "base/cleanup.h"
#include "base/limits.h"
#include "task/words.h"

#include <inttypes.h>
#include <string.h>

struct patch_stat {
	void (*told)(const struct patch_file *file, void *context);
	void *context;
	bool open; /* a file is being read: */
	char name[2 * MAX_PATH_BYTES];
	struct patch_file file;
	uint64_t old_lines, new_lines; /* that the hunk still has */
};

struct patch_stat *patch_stat_new(
	void (*told)(const struct patch_file *file, void *context), void *context)
{
	struct patch_stat *stat = calloc(1, sizeof(*stat));
	if (stat) {
		stat->told = told;
		stat->context = context;
		stat->file.name = stat->name;
	}
	return stat;
}

static void tell(struct patch_stat *stat)
{
	if (stat->open)
		stat->told(&stat->file, stat->context);
	stat->open = false;
}

void patch_stat_free(struct patch_stat *stat)
{
	if (!stat)
		return;
	tell(stat);
	free(stat);
}

static bool begins(const char *line, size_t length, const char *with)
{
	return length >= strlen(with) && memcmp(line, with, strlen(with)) == 0;
}

/* "diff --git a/NAME b/NAME": both halves are equal but for a rename; the later one counts. */
static void open_file(struct patch_stat *stat, const char *line, size_t length)
{
	static const char head[] = "diff --git ";
	tell(stat);
	const char *names = line + strlen(head);
	size_t rest = length - strlen(head);
	const char *name = names;
	for (size_t i = 0; i + 3 < rest; i++)
		if (memcmp(names + i, " b/", 3) == 0 || memcmp(names + i, " \"b/", 4) == 0)
			name = names + i + 1;
	size_t bytes = rest - (size_t)(name - names);
	bool quoted = bytes > 3 && name[0] == '"';
	if (quoted) { /* "b/NAME" as C would write it */
		name += 1;
		bytes -= 2;
	}
	if (bytes > 2 && memcmp(name, "b/", 2) == 0) {
		name += 2;
		bytes -= 2;
	}
	if (bytes >= sizeof(stat->name))
		bytes = sizeof(stat->name) - 1;
	memcpy(stat->name, name, bytes);
	stat->name[bytes] = '\0';
	stat->file = (struct patch_file){.name = stat->name};
	stat->open = true;
	stat->old_lines = stat->new_lines = 0;
}

static uint64_t read_number(const char **s, const char *end)
{
	uint64_t number = 0;
	for (; *s < end && **s >= '0' && **s <= '9'; ++*s)
		number = number > UINT64_MAX / 16 ? number : number * 10 + (uint64_t)(**s - '0');
	return number;
}

/* "-10,3" or "-10", which is "-10,1". */
static uint64_t read_range(const char **s, const char *end, char sign)
{
	while (*s < end && **s != sign)
		++*s;
	if (*s < end)
		++*s;
	read_number(s, end);
	if (*s >= end || **s != ',')
		return 1;
	++*s;
	return read_number(s, end);
}

static void open_hunk(struct patch_stat *stat, const char *line, size_t length)
{
	const char *s = line, *end = line + length;
	stat->old_lines = read_range(&s, end, '-');
	stat->new_lines = read_range(&s, end, '+');
}

static void count(struct patch_stat *stat, char sign)
{
	if (sign == '+') {
		stat->file.insertions++;
		stat->new_lines -= stat->new_lines > 0;
	} else if (sign == '-') {
		stat->file.deletions++;
		stat->old_lines -= stat->old_lines > 0;
	} else if (sign != '\\') {
		stat->old_lines -= stat->old_lines > 0;
		stat->new_lines -= stat->new_lines > 0;
	}
}

void patch_stat_line(struct patch_stat *stat, const char *line, size_t length)
{
	if (length && line[length - 1] == '\n')
		length--;
	if (stat->old_lines || stat->new_lines)
		count(stat, length ? line[0] : ' ');
	else if (begins(line, length, "diff --git "))
		open_file(stat, line, length);
	else if (stat->open && begins(line, length, "@@ -"))
		open_hunk(stat, line, length);
	else if (stat->open && begins(line, length, "GIT binary patch"))
		stat->file.binary = true;
}

/* ---- printed ---- */

struct printing {
	bool counts;
	FILE *to;
	uint64_t files, insertions, deletions;
};

static void print_file(const struct patch_file *file, void *context)
{
	struct printing *printing = context;
	printing->files++;
	printing->insertions += file->insertions;
	printing->deletions += file->deletions;
	if (printing->counts && file->binary)
		fprintf(printing->to, "%8s %8s  ", "binary", "");
	else if (printing->counts)
		fprintf(printing->to, "%8" PRIu64 " %8" PRIu64 "  ", file->insertions,
			file->deletions);
	words_put(printing->to, file->name);
	fputc('\n', printing->to);
}

int patch_stat_print(const char *path, bool counts, FILE *to)
{
	struct printing printing = {.counts = counts, .to = to};
	cleanup_fclose FILE *file = fopen(path, "re");
	cleanup_free char *line = NULL;
	size_t room = 0;
	if (!file)
		return -errno;
	struct patch_stat *stat = patch_stat_new(print_file, &printing);
	if (!stat)
		return -ENOMEM;
	if (counts)
		fprintf(to, "%8s %8s\n", "+", "-");
	for (ssize_t n; (n = getline(&line, &room, file)) > 0;)
		patch_stat_line(stat, line, (size_t)n);
	patch_stat_free(stat);
	if (counts)
		fprintf(to, "%8" PRIu64 " %8" PRIu64 "  %" PRIu64 " files\n", printing.insertions,
			printing.deletions, printing.files);
	return ferror(file) ? -EIO : 0;
}
