/* What a program in Python or JavaScript would do, by its syntax tree: findings, never proof. Also
 * what a diff would bring (gate/code_diff.c). */
#ifndef COFFER_GATE_CODE_H
#define COFFER_GATE_CODE_H

#include "base/buffer.h"
#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>

enum severity { SEVERITY_INFO, SEVERITY_LOW, SEVERITY_MEDIUM, SEVERITY_HIGH, SEVERITY_CRITICAL };

struct finding {
	const char *rule; /* "py-subprocess", static; listed by `coffer check --rules` */
	enum severity severity;
	unsigned line, column; /* from 1, in characters; 0 and 0: a file as a whole */
	char *text;            /* the offending source, one line, bounded */
	char *why;             /* one sentence */
	char *file;            /* of a diff; or NULL */
};

struct findings_list {
	struct finding *items;
	size_t count;
	bool incomplete;      /* a bound was reached */
	struct error syntax;  /* errno_value set: a syntax error, before anything runs */
	const char *language; /* "python", "javascript", "shell", "diff" */
};

/* One kind of finding. */
struct code_rule {
	const char *id, *language;
	enum severity severity;
	const char *why; /* one sentence, the start of a finding's own */
};
/* All of them, grouped by subject; static. */
const struct code_rule *code_rules(size_t *ret_count);

/* language: "python", "javascript", "shell", "notebook" (the JSON of Jupyter, cells of Python);
 * NULL: by name's ending, then by the first line. Returns 0 and *ret (findings_free()), or -ENOMEM,
 * or -EOPNOTSUPP: no such language, or none can be told, and *ret is NULL. Bytes above
 * MAX_SCRIPT_BYTES are not read: `incomplete`. */
int code_check(const char *language, const char *name, const char *source, size_t length_bytes,
	struct findings_list **ret);
/* A unified diff, as git or diff write it. Findings of a file carry its name; those of the diff
 * itself (malformed) have none, and its own line. Returns 0 or -ENOMEM. */
int code_check_diff(const char *diff, size_t length_bytes, struct findings_list **ret);
void findings_free(struct findings_list *findings);

const char *severity_name(enum severity severity);
/* -EINVAL: no such word. */
int severity_parse(const char *word, enum severity *ret);

/* For people, a line for each finding, nothing where there is none; for programs; and for what
 * reads SARIF 2.1.0. name is what was checked. 0 or the buffer's error. */
int findings_text(const struct findings_list *findings, const char *name, struct buffer *out);
int findings_json(const struct findings_list *findings, const char *name, struct buffer *out);
int findings_sarif(const struct findings_list *findings, const char *name, struct buffer *out);
/* One SARIF log of several files. */
int findings_sarif_of(const struct findings_list *const findings[], const char *const names[],
	size_t count, struct buffer *out);

#endif
