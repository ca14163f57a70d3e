/* What the files of the reviewer share. */
#ifndef COFFER_GATE_REVIEW_INTERNAL_H
#define COFFER_GATE_REVIEW_INTERNAL_H

#include "gate/review.h"

#include "base/buffer.h"

/* ---- the three reviewers ---- */

/* 0 or -ENOMEM: the built-in one has an answer to everything. */
int review_builtin(const struct approval_request *request, struct review *ret);
/* json: the request as text; directory: where the command would run. */
int review_by_command(const struct config_reviewer *reviewer, const char *json,
	const struct gate_request *request, struct review *ret, struct error *error);
int review_by_http(const struct config_reviewer *reviewer, const char *json, struct review *ret,
	struct error *error);
/* What review_request() does with the request's two forms. */
int review_with(const struct config_reviewer *reviewer, const struct approval_request *request,
	const json_t *json, struct review *ret, struct error *error);

/* ---- what they answer ---- */

enum { REVIEW_RATIONALE_BYTES_MAX = 2000 };

/* {"risk": "low|medium|high|critical", "authorization": "none|implied|clear", "narrow": BOOL,
 * "decision": "approve|refuse", "rationale": STRING}: all five, and nothing before or behind. */
int review_answer_parse(
	const char *text, size_t length_bytes, struct review *ret, struct error *error);

/* ---- what a model is told ---- */

/* The body of a chat completion: the policy's text, then the request (JSON text) between fences. */
int review_prompt(const char *model, const char *json, char **ret, struct error *error);
/* The content of a chat completion's first choice; the caller frees. */
int review_completion(
	const char *body, size_t length_bytes, char **ret_content, struct error *error);

/* ---- places: what a path is to its owner ---- */

enum review_place {
	PLACE_WORKSPACE = 1 << 0, /* inside of a writable root */
	PLACE_OUTSIDE = 1 << 1,
	PLACE_TEMPORARY = 1 << 2,
	PLACE_TOP = 1 << 3,      /* a writable root itself */
	PLACE_ABOVE = 1 << 4,    /* /, the home, or whatever else holds a writable root */
	PLACE_SYSTEM = 1 << 5,   /* /etc, /usr, /boot, ... */
	PLACE_DEVICE = 1 << 6,   /* of disks and memory */
	PLACE_SECRET = 1 << 7,   /* holds credentials */
	PLACE_STARTUP = 1 << 8,  /* is run at login, at boot, by git, by editors */
	PLACE_ACCESS = 1 << 9,   /* says who may log in or become root */
	PLACE_CONTROL = 1 << 10, /* says what an agent may do: settings of coffer and its like */
	PLACE_HISTORY = 1 << 11, /* a repository's, a shell's, the system's */
	PLACE_UNKNOWN = 1 << 12, /* a variable, a substitution */
	/* Of a rule only: where a command reads some of its arguments and writes others. */
	PLACE_READ = 1 << 13,
	PLACE_WRITTEN = 1 << 14,
};
unsigned review_place(const struct gate_request *request, const char *word);

/* ---- hosts ---- */

enum host_kind {
	HOST_LOOPBACK,
	HOST_KNOWN, /* registries and documentation, as in the network presets: one can only read */
	HOST_ORDINARY, /* a name */
	HOST_PRIVATE,  /* an address or name of the local network */
	HOST_LITERAL,  /* an address without a name */
	HOST_ANY,      /* a pattern that covers every host, or those below a top-level domain */
	HOST_DROP,     /* takes data from anybody: pastes, webhooks, tunnels */
	HOST_METADATA, /* hands out a cloud machine's credentials */
};
enum host_kind review_host_kind(const char *host);
const char *review_host_reason(enum host_kind kind);
/* The host that a word names: URL, USER@HOST:PATH, and where bare is set HOST or HOST/PATH too. */
bool review_host_of(const char *word, bool bare, char ret[NETWORK_NAME_BYTES]);

/* ---- the user's own words ---- */

struct user_words;
/* prompts may be NULL. Whatever cannot be held in bounds is no authorization. */
int user_words_parse(const char *const *prompts, struct user_words **ret);
void user_words_free(struct user_words *words);

/* One thing that a request touches, with every spelling that would name it. */
struct review_object {
	struct strv spellings;
};
struct review_claim {
	const char *verbs;    /* any of them orders it, "push publish" */
	const char *needs;    /* one of these has to be said as well, "force"; or NULL */
	char *const *command; /* argv: said in full, it is an order too; or NULL */
	bool mention_implies; /* to name the object is to imply its use (a host) */
	const struct review_object *objects;
	size_t objects_count;
};
/* ret_narrow: every object was named. */
enum review_authorization user_words_authorize(
	const struct user_words *words, const struct review_claim *claim, bool *ret_narrow);

/* ---- the table ---- */

struct review_rule {
	const char *id;
	enum review_risk risk;
	const char *programs; /* names, separated by blanks; a star at the end: any ending */
	const char *words;    /* what has to follow, "branch", "remote add|set-url"; or NULL */
	const char *options;  /* one of these has to be there; see word_is_option(); or NULL */
	unsigned places;      /* an argument lies in one of these; 0: wherever */
	const char *verbs, *needs;
	const char *reason;
};
/* The gravest row that fits a command, among those about any of places (0: among all), or NULL. */
const struct review_rule *review_rule_find(
	const struct gate_request *request, const struct gate_part *part, unsigned places);
const struct review_rule *review_rules(size_t *ret_count);

/* What a command does with a network. */
enum network_use { USE_NONE, USE_FETCH, USE_SEND };
enum network_use review_network_use(const struct gate_part *part);

/* ---- words of a command ---- */

bool word_in_list(const char *word, const char *list, char separator);
/* The name of a part's program, "" where there is none. */
const char *part_program(const struct gate_part *part);
/* The next argument that is no option, from *index on (1 at first), or NULL. */
const char *part_next_word(const struct gate_part *part, size_t *index);

#endif
