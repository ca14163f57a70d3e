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
	unsigned line, column;
	char *text; /* the offending source, one line, bounded */
	char *why;  /* one sentence */
	char *file; /* of a diff; or NULL */
};

struct findings_list {
	struct finding *items;
	size_t count;
	bool incomplete;      /* a bound was reached */
	struct error syntax;  /* errno_value set: a syntax error, before anything runs */
	const char *language; /* "python", "javascript", "shell", "diff" */
};

/* language: "python", "javascript", "shell"; NULL: by name's ending, then by the first line. */
int code_check(const char *language, const char *name, const char *source, size_t length_bytes,
	struct findings_list **ret);
int code_check_diff(const char *diff, size_t length_bytes, struct findings_list **ret);
void findings_free(struct findings_list *findings);

const char *severity_name(enum severity severity);
int findings_text(const struct findings_list *findings, const char *name, struct buffer *out);
int findings_json(const struct findings_list *findings, const char *name, struct buffer *out);
int findings_sarif(const struct findings_list *findings, const char *name, struct buffer *out);

#endif
