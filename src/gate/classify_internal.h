/* What the tables of classify_*.c share.
 *
 * Theory of operation: a command's words are walked as getopt_long() would (clusters of short
 * options, abbreviated and attached long ones, "--"), never by comparing whole words, so that -fr,
 * -r -f, --recursive --force and --rec are one thing to every table. A specification of options is
 * a string: entries between spaces, the names of one option between commas (one letter: a short
 * option; more: a long one; a leading dash: a word compared as it is, for programs whose long
 * options have one), "=" behind an entry that takes an argument, "?" behind one that may have one
 * attached. */
#ifndef COFFER_GATE_CLASSIFY_INTERNAL_H
#define COFFER_GATE_CLASSIFY_INTERNAL_H

#include "base/cleanup.h"
#include "gate/classify.h"

#include <string.h>

/* Where a program stands in the tables (classify_index.c). */
struct program_rows {
	const char *program;
	size_t length_bytes;
	unsigned at; /* internal */
};

struct command {
	const struct analysis *analysis;
	size_t index;
	const struct gate_part *part;
	const struct classify_context *context;
	const struct places *places;
	const char *program; /* the last component of the first word; "" without words */
	struct program_rows rows;
	bool foreign; /* the first word names a place that is no system directory */
	const char
		*with_arguments; /* the options of this program that take one, as a specification */
};

/* One option or operand. */
struct option {
	bool is_option, is_long;
	const char *name; /* an option's without dashes; not terminated: name_bytes */
	size_t name_bytes;
	const char *value; /* of an option, attached or the next word; NULL: none */
	bool known;        /* the word, and the value's word, are known statically */
	size_t at;         /* which word of argv it stands in */
};

struct option_walk {
	const struct gate_part *part;
	const char *with_arguments;
	size_t at;           /* the next word */
	const char *cluster; /* what is left of a cluster of short options; or NULL */
	bool operands_only;  /* behind "--" */
};

/* classify_options.c */
struct option_walk option_walk_begin(const struct command *command);
bool option_walk_next(struct option_walk *walk, struct option *ret);
/* Whether a comma-separated list has the word. */
bool list_has(const char *list, const char *word, size_t length_bytes);
/* The entry of a specification that an option is, abbreviations of long ones allowed if
 * abbreviated; NULL: none. *ret_suffix: '=', '?' or '\0'. */
const char *spec_find(const char *spec, const char *name, size_t length_bytes, bool abbreviated,
	char *ret_suffix);
/* The options of a program that take an argument, as a specification, or NULL. */
const char *options_with_arguments(const char *program);
/* Whether every group of options (between spaces) has one of its alternatives (between commas). */
bool has_options(const struct command *command, const char *groups);
/* The value of the last of these options, or NULL. */
const char *option_value(const struct command *command, const char *alternatives);
/* Operand number n, from 0; NULL: there are not so many. *ret_known may be NULL. */
const char *operand(const struct command *command, size_t n, bool *ret_known);
size_t operands_count(const struct command *command);
/* Whether the leading operands are these words (between spaces; alternatives between commas). */
bool has_words(const struct command *command, const char *words);
/* Whether a word whose value is not known may turn out to be an option, or several words. */
bool may_be_option(const struct gate_part *part, size_t word);

/* classify_paths.c */
/* The word as an absolute path, seen from one directory; NULL: it cannot be known. ~ and $HOME are
 * the context's home. Caller frees. */
char *word_path(const struct command *command, const char *word, const char *directory);
/* Whether a word, as it was written, begins with ~ or $HOME. */
bool begins_at_home(const char *word);
/* A test of a path holds if it holds for any of the places. */
bool any_place(const struct command *command, const char *word,
	bool (*test)(const struct command *command, const char *path));
/* What a credential is, or NULL: by its place in a home directory or in the system, by a name that
 * a workspace's secrets have. The word may be a glob. */
const char *secret_path(const struct command *command, const char *word);
/* Whether a write there is no write to a place that is kept: /dev/null, the terminal, /tmp. */
bool is_scratch(const char *path);
bool is_device(const struct command *command, const char *path);
bool is_outside(const struct command *command, const char *path);
/* The parent directory of everything: /, a home, a directory that the system consists of. */
bool is_vital(const struct command *command, const char *path);
bool is_root_itself(const struct command *command, const char *path);
/* Whether it is not what a build, a test run or an installation makes again. */
bool is_kept(const struct command *command, const char *path);
/* What follows the home directory, anybody's, in path, with its slash; NULL: it lies in none. */
const char *path_below_home(const struct command *command, const char *path);
bool has_glob(const char *word);

/* The tables. A row holds where program, leading words, options and test all do. */
struct danger {
	const char *programs;
	const char *words, *options; /* or NULL: any */
	bool (*holds)(const struct command *command);
	enum command_class class;
	enum approval_category category;
	const char *id, *reason;
};

/* A table whose rows begin with a `const char *` that names programs, between commas. */
struct program_table {
	const void *rows;
	size_t count, stride_bytes;
};
#define PROGRAM_TABLE(table)                                                                       \
	{                                                                                          \
		(table), ARRAY_SIZE(table), sizeof((table)[0])                                     \
	}
extern const struct program_table dangers_of_files, dangers_of_git, dangers_of_network,
	dangers_of_system, dangers_of_services, argument_table, safe_table, reader_table,
	writer_table, network_table, fetcher_table;

/* classify_index.c: the rows of a program, table by table, in their order. */
enum program_table_id {
	TABLE_DANGERS_OF_FILES,
	TABLE_DANGERS_OF_GIT,
	TABLE_DANGERS_OF_NETWORK,
	TABLE_DANGERS_OF_SYSTEM,
	TABLE_DANGERS_OF_SERVICES,
	TABLE_ARGUMENTS,
	TABLE_SAFE,
	TABLE_READERS,
	TABLE_WRITERS,
	TABLE_NETWORK,
	TABLE_FETCHERS,
	PROGRAM_TABLES,
};
struct program_rows program_rows(const char *program);
/* The next row of that table, or NULL. */
const void *program_rows_next(struct program_rows *rows, enum program_table_id table);
/* The first row of the command's program in that table, or NULL. */
const void *program_row(const struct command *command, enum program_table_id table);

/* Sets *ret where class is graver than what it holds. */
void classification_raise(struct classification *ret, enum command_class class,
	enum approval_category category, const char *id, const char *reason);

/* classify_safe.c: whether exactly these words only read. */
bool is_safe(const struct command *command);
bool is_wrapper(const char *program);
/* classify_git.c */
bool git_is_safe(const struct command *command);
/* classify_sed.c: whether a script only prints, selects and substitutes. */
bool sed_script_is_safe(const char *script);
/* classify_delete.c: rm and its like, by what they are told to delete. */
void classify_deletion(const struct command *command, struct classification *ret);
/* classify_write.c: what is written by redirections and by programs that write their operands. */
void classify_writes(const struct command *command, struct classification *ret);
/* classify_secret.c: what is read. */
void classify_reads(const struct command *command, struct classification *ret);
/* classify_variables.c: assignments before a command, and lasting ones. */
void classify_variables(const struct command *command, struct classification *ret);
/* classify_pipes.c: what lies in the combination. */
void classify_pipes(const struct command *command, struct classification *ret);

/* Whether a program of this name speaks to a network with these words. */
bool uses_network(const struct command *command);
bool is_fetcher(const char *program);
bool is_interpreter(const char *program);
bool is_shell(const char *program);

#endif
