/* What a hook is, by content: its hash stands in the user's trust records, and what was hashed is
 * what runs (gate/hooks_prepare.c), whatever becomes of the file.
 *
 * The hash covers the event, the matcher, the words, `box`, `on_error` and `write`, and the content
 * of every script that the words name: a program with a slash in its name, and the files that an
 * interpreter or a wrapper (python3, bash, env, ...) is given up to its script; and, where a script
 * is in a directory called "hooks", all the scripts there. It does not cover programs of the system
 * (root's, below /usr and its like), programs found by PATH, nor what a script loads from
 * elsewhere.
 *
 * Relative names are taken from the workspace's top, where hooks run; $CLAUDE_PROJECT_DIR,
 * $COFFER_PROJECT_DIR, $HOME and ~/ are known. */
#ifndef COFFER_CONFIG_HOOK_HASH_H
#define COFFER_CONFIG_HOOK_HASH_H

#include "base/error.h"
#include "config/config.h"
#include "config/trust.h"

#include <stddef.h>

/* A file that lies beside a script, in the same directory called "hooks" or below it. */
struct hook_companion {
	char *relative; /* below that directory */
	char *content;
	size_t length_bytes;
	bool executable;
};

/* One file that the words name. */
struct hook_file {
	char *path;        /* absolute */
	char *relative;    /* below the directory called "hooks" that it is in; else its name */
	size_t word;       /* of argv; or */
	size_t start, end; /* the bytes of `command` that name it, quotes included */
	char *content;     /* NULL: the system's own, which runs where it is */
	size_t length_bytes;
	bool executable;
	struct hook_companion *companions; /* by name */
	size_t companions_count;
};
struct hook_files {
	struct hook_file *items; /* in the order in which they stand; at most MAX_HOOK_FILES */
	size_t count;
	char *missing; /* the program, where this workspace has none of the name; or NULL */
};

/* Finds and reads them. -ENOENT with the hook's place where the program itself is not there (but
 * for one of a user's hooks that would be in the workspace, which may be another than it is for);
 * -EFBIG for one in the workspace beyond MAX_HOOK_FILE_BYTES (elsewhere such a one is taken for a
 * program and left out). workspace and home may be NULL: names that need them are not looked at. */
int hook_files_read(const struct config_hook *hook, const char *workspace, const char *home,
	struct hook_files *ret, struct error *error);
void hook_files_release(struct hook_files *files);

/* Reads what lies beside file, and its place among it. 0 or -ENOMEM. */
int hook_companions_read(struct hook_file *file);
void hook_companions_release(struct hook_file *file);

/* The hash over the hook and files that were read before. */
int hook_files_hash(
	const struct config_hook *hook, const struct hook_files *files, char ret[SHA256_HEX_BYTES]);
/* Both at once, for the loader. */
int hook_hash(const struct config_hook *hook, const char *workspace, const char *home,
	char ret[SHA256_HEX_BYTES], struct error *error);

/* Whether a matcher is one: an extended regular expression without counts ({n}) and
 * back-references, at most MAX_HOOK_MATCHER_BYTES. The error has no place. */
int hook_matcher_check(const char *matcher, struct error *error);
/* Whether it takes subject: as a plain name, or several with | between, the whole of it and nothing
 * else; as an expression with other characters in it, any part of it, as Codex and Claude Code have
 * it ("^mcp__" is every tool of a server). "", "*" and NULL take everything; a NULL subject is
 * taken by any. Case counts. */
bool hook_matcher_takes(const char *matcher, const char *subject);

#endif
