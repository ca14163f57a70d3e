/* The gate's decision about one command: allow, ask or forbid, for each part and for the whole.
 *
 * Three things come together: what the rules say (gate/rules.h), what is known of the command
 * (gate/classify.h, gate/code.h), and the table of approval policies and modes (gate/table.h). The
 * gravest part decides. Nothing is run, nobody is asked: that is gate/settle.h. */
#ifndef COFFER_GATE_DECIDE_H
#define COFFER_GATE_DECIDE_H

#include "config/config.h"
#include "gate/analysis.h"
#include "gate/classify.h"

struct gate_request {
	char *const *argv;
	const char *directory; /* absolute */
	enum policy_mode mode; /* never MODE_UNSET */
	struct approval approval;
	const struct grant *asks; /* --ask: what the command wants beyond its box */
	size_t asks_count;
	char *const *writable_roots; /* absolute, NULL-terminated; those of the box */
	const char *home, *path;     /* $PATH: what a first word resolves to */
	bool look_into_files;        /* script files may be read */
	/* What it gets on standard input, where that is known; or NULL. An interpreter may take its
	 * program from there, so it is a part of what is asked, and of the answers' key. */
	const char *input;
	size_t input_bytes;
};

struct part_decision {
	size_t part; /* index in the analysis; SIZE_MAX: one of the asks */
	enum verdict verdict;
	const struct config_rule *rule; /* borrowed; or NULL */
	enum approval_category category;
	char *reason;
	char id[48]; /* what decided: a classification's or finding's id,
					    * "rule", "ask", "syntax", "approval" */
};

struct gate_decision {
	enum verdict verdict;
	enum approval_category category; /* of the part that decided */
	char *reason;                    /* one sentence, for a person and for an agent */
	struct analysis *analysis;
	struct part_decision *parts;
	size_t parts_count;
	struct grant *grants; /* what the matching rules and granted asks bring */
	size_t grants_count;
	char *canonical;         /* the key of session answers: command, directory, asks */
	struct strv rule_prefix; /* the narrowest rule that would allow this; may be empty */
};

/* The same for a script or a line as a person types it, instead of request's argv. */
int gate_decide_script(const struct config *config, const struct gate_request *request,
	const char *script, size_t length_bytes, struct gate_decision **ret, struct error *error);
int gate_decide(const struct config *config, const struct gate_request *request,
	struct gate_decision **ret, struct error *error);
void gate_decision_free(struct gate_decision *decision);

/* Whether all that would be asked is about the command itself: no rule asks, and nothing beyond the
 * box is wanted. Only such a question may be spared by somebody who saw only the command. */
bool gate_only_the_command_asks(const struct gate_decision *decision);

/* {"decision":"ask","reason":...,"category":...,"parts":[{"argv":[...],"decision":...,"rule":...,
 * "reason":...,"line":...}],"grants":[...]} */
int gate_decision_json(const struct gate_decision *decision, struct buffer *out);
/* The same for a person: a line for each part. */
int gate_decision_text(const struct gate_decision *decision, struct buffer *out);

/* --ask's text, "write=DIR,net=HOST,unsandboxed,secret=PATH": adds to *grants. */
int grants_parse(const char *text, const char *directory, struct grant **grants, size_t *count,
	struct error *error);
int grants_add(struct grant **grants, size_t *count, enum grant_kind kind, const char *value);
void grants_free(struct grant *grants, size_t count);
const char *grant_kind_name(enum grant_kind kind); /* "write", "net", ... */
/* Whether what is had contains what is wanted: a directory contains those below it. */
bool grant_covers(const struct grant *have, const struct grant *wanted);

#endif
