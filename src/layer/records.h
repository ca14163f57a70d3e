/* The file in which a root's records are, and what else is known of its layer. */
#ifndef COFFER_LAYER_RECORDS_H
#define COFFER_LAYER_RECORDS_H

#include "layer/settle.h"

/* Paths in the order of the walk: that of bytes, but "/" before all others. */
int records_compare_paths(const char *a, const char *b);

/* Those of one file, from bytes (borrowed). -EBADMSG: that is none. */
int records_parse(const char *data, size_t size_bytes, struct layer_records **ret);
/* Adds the root's own file, and those of the parents. */
int records_open(const struct layer *layer, const char *key, struct layer_records **ret,
	struct error *error);
/* How many files were found; how many paths the own one has. */
bool records_has_own(const struct layer_records *records);
size_t records_own_count(const struct layer_records *records);
/* When a copy was complete, of its own file. */
uint64_t records_copied_us(const struct layer_records *records);
/* The same as layer_records_find(), in one half of the files. */
const struct layer_record *records_find_own(const struct layer_records *records, const char *path);
const struct layer_record *records_find_below(
	const struct layer_records *records, const char *path);

/* Writing: paths in order; nobody sees the file before records_commit(). */
struct records_writer;
int records_begin(const char *directory, struct records_writer **ret);
int records_add(struct records_writer *writer, const char *path, const struct layer_record *record);
int records_commit(struct records_writer *writer, uint64_t copied_us);
void records_writer_free(struct records_writer *writer);
size_t records_written(const struct records_writer *writer);

#endif
