/* How much a patch changes, file by file. */
#ifndef COFFER_TASK_PATCH_STAT_H
#define COFFER_TASK_PATCH_STAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct patch_stat;

struct patch_file {
	const char *name; /* as the patch has it, perhaps quoted; gone when the callback returns */
	uint64_t insertions, deletions;
	bool binary;
};

/* Is told of each file when it is over. */
struct patch_stat *patch_stat_new(
	void (*told)(const struct patch_file *file, void *context), void *context);
/* One line, with or without its newline. */
void patch_stat_line(struct patch_stat *stat, const char *line, size_t length);
/* Tells of the last file. */
void patch_stat_free(struct patch_stat *stat);

/* Of a file: with counts or names alone. 0 or -errno. */
int patch_stat_print(const char *path, bool counts, FILE *to);

#endif
