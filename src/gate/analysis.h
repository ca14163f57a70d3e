/* What a command line would run, as far as it can be known without running it.
 *
 * The unit is the part: one program with its arguments, one assignment that lasts, or one write
 * by a redirection. A plain argv is one part; wrappers (env, sudo, xargs, timeout, find -exec,
 * ...) and shells (sh -c, a script file, a heredoc) are taken apart, each command inside
 * becoming a part of its own beside the wrapper's. What cannot be known statically makes its
 * part undecidable: it is never hidden, and never allowed because of a prefix.
 *
 * Pure but for one thing: a script file that is named is read through the context's reader. */
#ifndef COFFER_GATE_ANALYSIS_H
#define COFFER_GATE_ANALYSIS_H

#include "base/error.h"
#include "base/strv.h"

#include <stdbool.h>
#include <stddef.h>

enum part_kind {
	/* argv would be executed; or a function of this name is called, where that is not sure */
	PART_COMMAND,
	/* A word that the shell itself acts on (cd, kill, export, eval of a literal, ...): it is
	 * as harmful as the program of that name. argv is empty for a lasting assignment, for a
	 * redirection without a command or of a compound command, and for arithmetic that
	 * counts. */
	PART_BUILTIN,
	PART_FUNCTION, /* calls a function that is sure to be defined; its commands are parts too */
};

struct redirection {
	enum redirection_kind { REDIRECT_READ, REDIRECT_WRITE, REDIRECT_APPEND } kind;
	char *target;  /* as far as known; NULL: not known statically */
	char *written; /* where the target is not known: as it stands in the script; else NULL */
};

struct gate_part {
	enum part_kind kind;
	struct strv argv;        /* the words, quotes removed; what is not known, as written */
	bool *word_known;        /* for each of argv: whether it is known statically */
	struct strv assignments; /* NAME=VALUE before the command, or of a lasting assignment */
	struct redirection *redirections;
	size_t redirections_count;
	char *text;            /* the source of this part, for people; bounded */
	unsigned line, column; /* in the script it stood in; 0: it was an argv */
	unsigned depth;        /* 0: the command itself; + 1 for each wrapper or shell around it */
	bool undecidable;
	const char *why_undecidable; /* static: "the command is a variable", ... */
	size_t piped_from;           /* index + 1 of the part whose output it reads, or 0 */
	bool background;             /* started with & (or nohup, setsid, disown) */
	bool as_other_user;          /* below sudo, su, doas, pkexec */
	bool reads_stdin_script;     /* a shell or interpreter that takes its program from stdin */
	char *code;           /* source passed to an interpreter (python -c, node -e, heredoc): */
	const char *language; /* "python", "javascript", or another name; NULL: none */
};

struct analysis {
	struct gate_part *parts; /* in the order in which they stand */
	size_t count;
	bool incomplete;     /* a bound was reached, or some of it is not seen: all is in doubt */
	struct error syntax; /* errno_value set: the script has a syntax error, told LINE:COLUMN */
};

struct analysis_context {
	const char *directory; /* where relative script files are */
	/* Reads a script file, at most max_bytes; NULL: files are not looked into. Returns 0 and a
	 * NUL-terminated *ret (caller frees), or -errno. */
	int (*read_file)(void *data, const char *path, size_t max_bytes, char **ret,
		size_t *ret_length_bytes);
	void *data;
};

/* argv as execvp() would take it. Returns 0 or -ENOMEM: whatever strangers wrote is an outcome, not
 * an error. */
int analyze_command(
	char *const argv[], const struct analysis_context *context, struct analysis **ret);
/* A shell script, or one line as a person types it. */
int analyze_shell(const char *script, size_t length_bytes, const struct analysis_context *context,
	struct analysis **ret);
void analysis_free(struct analysis *analysis);

#endif
