/* `coffer config import`: what other tools' files say, as coffer.toml would say it.
 *
 * Every reader puts what it understands into a struct import, and notes each line that it could not
 * carry over with the reason. Nothing is ever carried over as more than it was: what has no narrow
 * enough form is noted instead. Everything that is read was written by strangers: it is bounded,
 * parsed as data, and reaches a terminal only by say_text(). */
#ifndef COFFER_GATE_IMPORT_H
#define COFFER_GATE_IMPORT_H

#include "base/buffer.h"
#include "base/error.h"
#include "base/strv.h"
#include "config/config.h"
#include "config/toml.h"

#include <stdbool.h>

/* A key of the file, or of one of its tables. */
struct import_item {
	const char *table, *key; /* static; table "" for the file's own */
	bool list;
	struct strv values; /* TOML: one, or each of a list */
	char *from;         /* "FILE:LINE" of the first */
};

/* A [[rule]] or [[hook]]. */
struct import_block {
	const char *kind; /* static */
	char *text;       /* TOML, the lines below its header */
	char *from;
};

/* host_executable() of a .rules file: which files a program's name may lead to. */
struct import_program {
	char *name;
	struct strv paths;
};

struct import {
	const char *home;      /* absolute; or NULL */
	const char *directory; /* of the project whose files are read; NULL: they are the user's */
	const char *profile;   /* Codex's profile that is wanted; or NULL */

	struct import_item *items;
	size_t items_count;
	struct import_block *blocks;
	size_t blocks_count;
	struct import_program *programs;
	size_t programs_count;
	struct strv notes; /* "FILE:LINE: what and why" */
	int error;         /* -ENOMEM or -ENOBUFS once: the whole is of no use then */
};

struct import_place {
	const char *file;
	unsigned line; /* 0: the whole file */
};

void import_release(struct import *import);
/* value: TOML. What is there already and says something else stays, and is noted. */
void import_set(struct import *import, struct import_place place, const char *table,
	const char *key, const char *value);
/* Adds a string to a list. */
void import_add(struct import *import, struct import_place place, const char *table,
	const char *key, const char *string);
void import_block(
	struct import *import, struct import_place place, const char *kind, const char *text);
void import_note(struct import *import, struct import_place place, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* A rule as other tools have them. */
struct import_rule {
	struct rule_word *prefix; /* owned */
	size_t prefix_count;
	enum verdict decision;
	char *reason;                     /* owned; or NULL */
	struct strv matches, not_matches; /* shell lines */
};
void import_rule_release(struct import_rule *rule);
struct rule_word *import_rule_word(struct import_rule *rule); /* one more; NULL: no memory */
/* The words of a line become the prefix; -errno where they are not plain (quote_parse()). */
int import_rule_line(struct import_rule *rule, const char *line);
/* Puts a rule in; of its examples those that hold here too. */
void import_rule(struct import *import, struct import_place place, const struct import_rule *rule);
/* Whether a word is one of a list (separated by blanks). */
bool import_in(const char *word, const char *list);

/* ---- readers: each 0 or -errno with an error that names FILE:LINE ---- */

int import_codex_config(struct import *import, const char *file, const char *text,
	size_t length_bytes, struct error *error);
/* Two passes over all files, since a program may be named in another one: programs first. */
int import_codex_rules(struct import *import, const char *file, const char *text,
	size_t length_bytes, bool programs, struct error *error);
/* hooks.json, and a plugin's manifest, which may name another file: *ret_file (or NULL). */
int import_hooks_json(struct import *import, const char *file, const char *text,
	size_t length_bytes, char **ret_file, struct error *error);
int import_claude_settings(struct import *import, const char *file, const char *text,
	size_t length_bytes, struct error *error);
/* {EVENT: [{matcher, hooks: [{type, command, timeout}]}]}; root: of the plugin, or NULL. */
void import_hooks(
	struct import *import, const char *file, const struct toml_value *hooks, const char *root);

/* JSON as a tree of the same values, with places; null entries are left out. */
int import_json_parse(const char *file, const char *text, size_t length_bytes,
	struct toml_value **ret, struct error *error);

/* ---- what comes of it ---- */

void import_render(const struct import *import, struct buffer *out);
/* The text of file (old) with everything that it does not say yet, and nothing of it changed. */
int import_merge(struct import *import, const char *file, const char *old, size_t length_bytes,
	struct buffer *out, struct error *error);

#endif
