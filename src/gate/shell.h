/* Internal to the shell analysis (analysis.c, shell_*.c, wrappers*.c, interpreters.c). */
#ifndef COFFER_GATE_SHELL_H
#define COFFER_GATE_SHELL_H

#include "base/buffer.h"
#include "gate/analysis.h"

#include <stdint.h>

/* One analysis: what grows while it is made. */
struct analyzer {
	struct analysis *analysis;
	size_t capacity;
	const struct analysis_context *context;
	size_t bytes_left; /* of MAX_ANALYSIS_BYTES */
	unsigned nesting;  /* scripts and wrappers around what is looked at */
	bool memory_short;
};

/* Who reads the script. What bash would read otherwise than the others is undecidable for them. */
enum dialect {
	DIALECT_BASH,
	DIALECT_POSIX, /* sh, dash, ash: any of several programs */
	DIALECT_OTHER, /* zsh, ksh, fish, csh: only what is plain enough to mean the same */
};

/* What every part of a script has from what stands around it. */
struct frame {
	unsigned depth;
	size_t piped_from;
	bool background, as_other_user;
	bool elsewhere;        /* on another host, root or image: files here say nothing */
	bool moved;            /* in a directory that is not known */
	const char *directory; /* if not the context's; borrowed */
	bool environment;      /* the surroundings set variables for it */
};

/* A shell process, as far as the analysis follows it: scripts that it evals or sources share it. */
struct scope {
	enum dialect dialect;
	size_t first;        /* its first part */
	const char *doom;    /* why nothing of it can be known; static */
	bool trusts_numbers; /* variables come from nowhere else */
	bool functions_unsure;
	bool moved;             /* may have changed its directory */
	char *directory;        /* where it surely is by now, if not where it began; owned */
	unsigned shared;        /* scripts that it evals or sources, around the one at hand */
	struct strv functions;  /* sure to be defined from here on */
	struct strv numbers;    /* variables that are only ever given numbers... */
	struct strv texts;      /* ... and those that get something else */
	struct strv arithmetic; /* variables that arithmetic evaluates */
	size_t *counting;       /* parts whose arithmetic must be of numbers */
	size_t counting_count, counting_capacity;
	bool names_full;
};

/* What a command finds on its standard input, where that is not inherited. */
struct input {
	char *text; /* of a here-document or here-string; owned */
	size_t length_bytes;
	bool known; /* text is exactly what will be read */
	char *file; /* "< file"; owned */
	bool given; /* any of these, or what is not known */
};

/* analysis.c */
size_t analyzer_add(struct analyzer *a, struct gate_part *part); /* takes; SIZE_MAX: full */
void part_release(struct gate_part *part);
void part_add_word(struct analyzer *a, struct gate_part *part, char *word, bool known); /* takes */
void part_add_redirection(
	struct analyzer *a, struct gate_part *part, enum redirection_kind kind, char *target,
	char *written); /* takes both strings */
void part_doubt(struct analyzer *a, size_t part, const char *why);
void analyzer_no_memory(struct analyzer *a);
char *analyzer_copy(struct analyzer *a, const char *text, size_t length_bytes); /* NULL: short */
/* Nesting, bounded: false where it is too deep. */
bool analyzer_enter(struct analyzer *a);
void analyzer_leave(struct analyzer *a);
void input_release(struct input *input);
#define cleanup_input __attribute__((cleanup(input_release)))

/* shell_scope.c */
void scope_release(struct scope *scope);
#define cleanup_scope __attribute__((cleanup(scope_release)))
void scope_doom(struct scope *scope, const char *why);
void scope_assign(struct analyzer *a, struct scope *scope, const char *name, bool number);
void scope_evaluates(struct analyzer *a, struct scope *scope, const char *name);
void scope_counts(struct analyzer *a, struct scope *scope, size_t part);
void scope_define(struct analyzer *a, struct scope *scope, const char *function);
/* Marks the parts of a shell whose script has been read to its end. */
void scope_settle(struct analyzer *a, struct scope *scope);

/* shell_script.c: reads a script into parts. file: for messages, or NULL. */
void shell_script(struct analyzer *a, struct scope *scope, const struct frame *frame,
	const char *script, size_t length_bytes, const char *file);
/* The same in a shell of its own. */
void shell_process(struct analyzer *a, enum dialect dialect, const struct frame *frame,
	const char *script, size_t length_bytes, const char *file);
struct script_file {
	char *text; /* NUL-terminated */
	size_t length_bytes;
	const char *why; /* it could not be read; static */
};
/* Reads a script file through the context. 0, or what the context said, or -ECANCELED where what
 * lies at the path now says nothing of what will be there. */
int shell_read_file(struct analyzer *a, const struct scope *scope, const struct frame *frame,
	const char *path, struct script_file *ret);
/* Whether the file may be another one by the time that the part reads it. after: the first part
 * of what it holds. */
bool file_may_change(const struct analyzer *a, size_t reader, const char *path, size_t after);
void script_file_release(struct script_file *file);
#define cleanup_script_file __attribute__((cleanup(script_file_release)))

/* shell_words.c: whether a word that is not known, as written, is exactly one argument whatever it
 * holds: its expansions are quoted, and simple enough to see that. */
bool shell_is_one_word(const char *written);

/* shell_tree.c: the second reader. */
struct name_place {
	uint32_t at;
	bool seldom; /* the grammar is known not to see a command here */
};
enum tree_verdict { TREE_AGREES, TREE_DIFFERS, TREE_TOO_SLOW, TREE_NO_MEMORY };
struct tree_check {
	struct name_place *names; /* put in order by shell_tree_begin() */
	size_t names_count, next; /* next: the first that is not compared yet */
	uint64_t left_us;         /* of MAX_SYNTAX_TREE_US */
};
void shell_tree_begin(struct tree_check *check);
/* Compares a piece of the script; pieces in their order. */
enum tree_verdict shell_tree_check(
	struct tree_check *check, const char *script, size_t from, size_t to);

/* shell_plain.c: text of which nothing can be read in two ways... */
bool shell_is_plain(const char *text, size_t length_bytes); /* ... in bash's own syntax */
bool shell_is_plain_everywhere(const char *text, size_t length_bytes); /* ... by any shell */

/* shell_braces.c */
struct brace_words {
	struct strv words;
	bool too_many;
};
/* quoted: for each byte of text, whether it was quoted. 0 or -ENOMEM. */
int shell_expand_braces(
	const char *text, const char *quoted, size_t length_bytes, struct brace_words *ret);
bool shell_has_braces(const char *text, const char *quoted, size_t length_bytes);

/* shell_builtins.c */
bool shell_is_builtin(const char *name);
/* What a builtin does to the shell it runs in, and the scripts it is given. */
void shell_builtin(struct analyzer *a, struct scope *scope, const struct frame *frame, size_t part,
	const struct input *input);

/* variables.c: what a variable can make other programs do; NULL: nothing that is known. */
const char *variable_hazard(const char *name, size_t length_bytes);

/* wrappers.c: looks at what a part would start in its turn. scope: the shell that the part stands
 * in; NULL: none. input: its standard input, or NULL. */
struct look {
	struct analyzer *a;
	const struct scope *scope;
	const struct input *input;
	size_t part;
	struct frame frame; /* of what the part starts */
	/* The part's words: they stay where they are when the parts move. */
	char *const *words;
	const bool *known;
	size_t count;
	/* NAME=VALUE words for the environment of what is started, and what they make of it. */
	char *const *assignments;
	size_t assignments_count;
	const char *doubt;
};
void look_inside(struct analyzer *a, const struct scope *scope, const struct frame *frame,
	size_t part, const struct input *input);
/* Words first... of the part are a command of their own. */
void look_at_command(const struct look *look, size_t first);
/* The same with words of the caller's. Takes nothing. */
void look_at_words(const struct look *look, char *const *words, const bool *known, size_t count);
/* Words first... are joined with spaces and given to a shell. */
void look_at_line(const struct look *look, size_t first);
void look_at_script(const struct look *look, const char *script, enum dialect dialect);
void look_doubt(const struct look *look, const char *why);

/* What an option scanner found. */
struct options {
	const char *flags;         /* letters without an argument */
	const char *values;        /* letters with one */
	const char *optional;      /* letters that take one only when attached */
	const char *long_flags;    /* words, blank-separated; abbreviations are understood */
	const char *long_values;   /* the same, with an argument */
	const char *long_optional; /* the same, --word or --word=VALUE */
};
struct option {
	char letter;      /* or 0 */
	const char *word; /* of a long one: as the table has it (word_length_bytes) */
	size_t word_length_bytes;
	const char *value; /* or NULL */
	bool value_known;
};
/* Takes the option at *at, moving on. 1: one was found; 0: no option here (also after "--"); -1:
 * not in the table, or not known. *cluster holds the place within combined letters: 0 to begin. */
int option_next(const struct look *look, const struct options *table, size_t *at, size_t *cluster,
	struct option *ret);
bool option_is(const struct option *option, const char *word);

/* interpreters.c: shells, script files, and what takes a program as text. */
bool look_at_shell(const struct look *look, const char *name);
bool look_at_interpreter(const struct look *look, const char *name);
/* A program named by a path may be a script. */
void look_at_file(const struct look *look);

#endif
