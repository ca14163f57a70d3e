/* Theory of operation: each table names the programs of a row in one string, as a person reads it
 * best. Searching those strings for every command of a long script would be most of a decision's
 * time, so the first use enters every name into one hash table of fixed size, whose chains keep the
 * order of the rows. Nothing is allocated, and nothing is freed: it holds for the process. */
#include "gate/classify_internal.h"

#include <assert.h>

static const struct program_table *const tables[PROGRAM_TABLES] = {
	[TABLE_DANGERS_OF_FILES] = &dangers_of_files,
	[TABLE_DANGERS_OF_GIT] = &dangers_of_git,
	[TABLE_DANGERS_OF_NETWORK] = &dangers_of_network,
	[TABLE_DANGERS_OF_SYSTEM] = &dangers_of_system,
	[TABLE_DANGERS_OF_SERVICES] = &dangers_of_services,
	[TABLE_ARGUMENTS] = &argument_table,
	[TABLE_SAFE] = &safe_table,
	[TABLE_READERS] = &reader_table,
	[TABLE_WRITERS] = &writer_table,
	[TABLE_NETWORK] = &network_table,
	[TABLE_FETCHERS] = &fetcher_table,
};

enum {
	NAMES_MAX = 4096, /* the tables have some 1,500; checked when they are entered */
	BUCKETS = 2048,
};

struct program_name {
	const char *name;
	unsigned char name_bytes, table;
	unsigned short row, next; /* next: of the same bucket, as index + 1; 0: the last */
};

static struct program_name names[NAMES_MAX];
static size_t names_count;
static unsigned short first[BUCKETS], last[BUCKETS];

static unsigned hash(const char *name, size_t length_bytes)
{
	unsigned value = 2166136261u; /* FNV-1a */
	for (size_t i = 0; i < length_bytes; i++)
		value = (value ^ (unsigned char)name[i]) * 16777619u;
	return (value ^ value >> 16) % BUCKETS;
}

static void enter(const char *name, size_t length_bytes, size_t table, size_t row)
{
	assert(names_count < NAMES_MAX && length_bytes <= 255);
	struct program_name *entry = &names[names_count++];
	*entry = (struct program_name){
		name, (unsigned char)length_bytes, (unsigned char)table, (unsigned short)row, 0};
	unsigned bucket = hash(name, length_bytes);
	if (last[bucket])
		names[last[bucket] - 1].next = (unsigned short)names_count;
	else
		first[bucket] = (unsigned short)names_count;
	last[bucket] = (unsigned short)names_count;
}

static const char *row_programs(const struct program_table *table, size_t row)
{
	return *(const char *const *)((const char *)table->rows + row * table->stride_bytes);
}

static void enter_all(void)
{
	for (size_t t = 0; t < PROGRAM_TABLES; t++)
		for (size_t row = 0; row < tables[t]->count; row++)
			for (const char *s = row_programs(tables[t], row); *s;) {
				size_t bytes = strcspn(s, ",");
				enter(s, bytes, t, row);
				s += bytes + (s[bytes] == ',');
			}
}

struct program_rows program_rows(const char *program)
{
	if (names_count == 0)
		enter_all();
	size_t length = strlen(program);
	return (struct program_rows){program, length, first[hash(program, length)]};
}

const void *program_rows_next(struct program_rows *rows, enum program_table_id table)
{
	while (rows->at) {
		const struct program_name *entry = &names[rows->at - 1];
		rows->at = entry->next;
		if (entry->table == table && entry->name_bytes == rows->length_bytes &&
			memcmp(entry->name, rows->program, rows->length_bytes) == 0)
			return (const char *)tables[table]->rows +
			       entry->row * tables[table]->stride_bytes;
	}
	return NULL;
}

const void *program_row(const struct command *command, enum program_table_id table)
{
	struct program_rows rows = command->rows;
	return program_rows_next(&rows, table);
}

void classify_programs(void (*each)(const char *name, void *data), void *data)
{
	program_rows("");
	for (size_t i = 0; i < names_count; i++) {
		char name[256];
		memcpy(name, names[i].name, names[i].name_bytes);
		name[names[i].name_bytes] = '\0';
		each(name, data);
	}
}
