/* The words of the gate's decisions that configuration, gate, front and session share. */
#ifndef COFFER_CONFIG_APPROVAL_H
#define COFFER_CONFIG_APPROVAL_H

#include "base/error.h"

#include <stdbool.h>

/* Ordered: the graver one wins. */
enum verdict { VERDICT_ALLOW, VERDICT_ASK, VERDICT_FORBID };

/* When somebody is asked before a command runs. */
enum approval_policy {
	APPROVAL_UNTRUSTED,  /* all but known-safe commands are asked for */
	APPROVAL_ON_REQUEST, /* what is dangerous, or wants more than the box gives; default */
	APPROVAL_ON_FAILURE, /* as on-request; and what the box refused is offered again, once */
	APPROVAL_NEVER,      /* nobody is asked: what would ask is forbidden */
	APPROVAL_GRANULAR,   /* a verdict for each category */
	APPROVAL_POLICIES,
};

/* What a question is about. */
enum approval_category {
	CATEGORY_COMMAND,       /* the command itself: dangerous, unknown under untrusted, ... */
	CATEGORY_WRITE_OUTSIDE, /* writing outside of the writable roots */
	CATEGORY_NETWORK,       /* a host */
	CATEGORY_UNSANDBOXED,   /* to run without the box */
	CATEGORY_SECRET,        /* reading a credential */
	CATEGORY_DELETE,        /* deletion or change of much at once */
	CATEGORIES,
};

struct approval {
	enum approval_policy policy;
	enum verdict granular[CATEGORIES]; /* with APPROVAL_GRANULAR: ask unless said */
	bool set; /* by a flag or a file; else the default of whoever decides */
};

const char *verdict_name(enum verdict verdict);                      /* "allow", "ask", "forbid" */
const char *approval_policy_name(enum approval_policy policy);       /* "on-request", ... */
const char *approval_category_name(enum approval_category category); /* "write-outside", ... */

/* Parses "on-request", or "granular:command=allow,delete=ask" ("all" names every category; the
 * last word counts). *ret is untouched on failure. */
int approval_parse(const char *text, struct approval *ret, struct error *error);
/* The text that approval_parse() would take; the caller frees. NULL: out of memory. */
char *approval_text(const struct approval *approval);
int verdict_parse(const char *text, enum verdict *ret, struct error *error);

#endif
