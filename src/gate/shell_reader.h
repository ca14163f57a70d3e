/* Internal to the reader of shell scripts (shell_script.c, shell_compound.c, shell_words.c,
 * shell_expansions.c, shell_heredoc.c). */
#ifndef COFFER_GATE_SHELL_READER_H
#define COFFER_GATE_SHELL_READER_H

#include "base/limits.h"
#include "gate/shell.h"

struct heredoc {
	size_t part;
	char *delimiter;
	bool quoted, strip_tabs, is_stdin;
	struct input input; /* filled when the body has been read */
};

struct reader {
	struct analyzer *a;
	struct scope *scope;
	struct frame frame; /* piped_from changes as pipelines are read */
	const char *script, *file;
	size_t at, end; /* end moves inward inside backquotes and here-documents */
	unsigned depth;
	bool stopped;
	/* What the words just read may do: taken over by the part that they belong to. */
	const char *hazard;
	bool counts; /* there was arithmetic with variables in it */
	struct heredoc heredocs[MAX_LINE_HEREDOCS];
	size_t heredocs_count;
	/* Where commands were seen, for the second reader. */
	struct name_place *names;
	size_t names_count, names_capacity;
	bool seldom; /* here the grammar sees no commands */
	/* Where the script's own lists begin, not those inside of others. */
	uint32_t *items;
	size_t items_count, items_capacity;
	/* Offsets of line ends, to tell line and column. */
	uint32_t *lines;
	size_t lines_count;
	/* A function definition was read, and nothing beside it: its name. */
	char *defined;
	unsigned siblings; /* commands of the and-or list at hand */
};

/* What may stand where a word is read. */
enum word_place {
	PLACE_ARGUMENT,
	PLACE_ASSIGNMENT, /* NAME=VALUE is an assignment */
	PLACE_CONDITION,  /* inside [[ ]] */
	PLACE_PATTERN,    /* of case, or on the right of == */
	PLACE_REGEX,      /* on the right of =~ */
};

struct shell_word {
	size_t start, end;    /* in the script */
	struct buffer value;  /* quotes removed; exact unless unknown */
	struct buffer quoted; /* a byte for each of value's: 1 where it was quoted */
	bool unknown;         /* expansions, globs: what it will be is not known */
	bool plain;           /* nothing but ordinary characters, unquoted */
	size_t name_bytes;    /* of an assignment: the variable's name; else 0 */
	size_t value_at;      /* of an assignment: where in `value` it begins */
	bool element;         /* name[...]= */
};
void shell_word_release(struct shell_word *word);
#define cleanup_word __attribute__((cleanup(shell_word_release)))

/* shell_script.c */
/* Once reading has stopped, `at` may be past the end: callers only unwind. */
static inline size_t here(const struct reader *r)
{
	return r->at < r->end ? r->at : r->end;
}
static inline char peek(const struct reader *r, size_t ahead)
{
	return r->at + ahead < r->end ? r->script[r->at + ahead] : '\0';
}
static inline bool is_meta(char c)
{
	return c == '\0' || c == ' ' || c == '\t' || c == '\n' || c == ';' || c == '&' ||
	       c == '|' || c == '<' || c == '>' || c == '(' || c == ')';
}
bool is_name_start(char c);
bool is_name_byte(char c);
/* A syntax error, as bash would find one. */
void reader_syntax(struct reader *r, const char *what);
/* What is not followed further: the script is undecidable. */
void reader_odd(struct reader *r, const char *why);
/* Understood, but read otherwise by other shells. */
void reader_bash_only(struct reader *r);
bool reader_enter(struct reader *r);
void reader_leave(struct reader *r);
void reader_hazard(struct reader *r, const char *why);
void reader_name(struct reader *r, size_t at, bool seldom);
void reader_place(const struct reader *r, size_t at, unsigned *ret_line, unsigned *ret_column);
void skip_blanks(struct reader *r);   /* and comments; not the line's end */
void skip_newlines(struct reader *r); /* and blanks; here-documents are read */
/* Whether the word at hand is exactly this one, unquoted. */
bool at_keyword(const struct reader *r, const char *word);
void read_list(struct reader *r); /* up to what can close it; leaves that */
void read_pipeline(struct reader *r);
void read_command(struct reader *r);
/* A part without a command: assignments, redirections, arithmetic. Taken. */
size_t add_silent_part(struct reader *r, struct gate_part *part, size_t start);
/* Adds one for the hazards met since, if there are any. */
void flush_hazards(struct reader *r, size_t start);

/* shell_command.c */
/* At what the part starts in its turn, and what it does to its shell. */
void look_further(struct reader *r, size_t part, const struct input *input);
void read_simple(struct reader *r);
bool redirection_here(const struct reader *r);
void read_redirection(struct reader *r, struct gate_part *part, struct input *input);

/* shell_compound.c: true if a compound command began here, and was read. */
bool read_compound(struct reader *r);
/* NAME ( ) was seen: what follows is its body. Takes name. */
void read_function_body(struct reader *r, char *name);

/* shell_words.c: false at the end of a word, or when reading stopped. */
bool read_word(struct reader *r, struct shell_word *word, enum word_place place);
/* name=( ... ), at the parenthesis. */
void read_array(struct reader *r);
/* The words that braces make of it, or the one as written; into the part. */
void add_words(struct reader *r, struct gate_part *part, const struct shell_word *word);
void word_append(struct shell_word *word, const char *text, size_t length_bytes, bool quoted);

/* shell_expansions.c */
void read_dollar(struct reader *r, struct shell_word *word, bool in_quotes);
void read_backquote(struct reader *r);
void read_double_quotes(struct reader *r, struct shell_word *word);
void read_process_substitution(struct reader *r);
/* Up to and over `close`, "))" or "]" or ";" ...; at stands behind what opened it. */
void read_arithmetic(struct reader *r, const char *close);
/* Whether the parentheses at hand, "((", close with "))". */
bool closes_as_arithmetic(const struct reader *r);

/* shell_heredoc.c */
void open_heredoc(struct reader *r, size_t start, bool strip_tabs, bool is_stdin);
/* Tells the here-documents opened since `first` whose they are. */
void own_heredocs(struct reader *r, size_t first, size_t part);
void read_heredocs(struct reader *r); /* at the start of a line */

#endif
