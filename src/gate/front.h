/* What the front and coffer-gate say to one another about one command of `coffer run`. The
 * question is a sealed memfd, the answer comes through a pipe; both are lists of strings
 * (base/request.h). */
#ifndef COFFER_GATE_FRONT_H
#define COFFER_GATE_FRONT_H

#include "base/buffer.h"
#include "base/strv.h"
#include "config/approval.h"
#include "policy/policy.h"

#include <stdbool.h>

struct front_question {
	char *directory; /* absolute */
	enum policy_mode mode;
	char *approval;  /* as approval_parse() takes it */
	char *approvals; /* who is asked: "fd:N", a socket's path, or "": the terminal */
	char *after;     /* what the box refused the first time (on-failure); or "" */
	char *outcome;   /* the command has run: its report's JSON, for the hooks; or "" */
	bool spoken;     /* whoever typed the command wants it: see gate/pass.h */
	struct strv argv;
	struct strv asks;  /* --ask, as written */
	struct strv roots; /* the writable roots, absolute */
};
void front_question_release(struct front_question *question);
/* A sealed memfd, or -errno. */
int front_question_seal(const struct front_question *question);
int front_question_read(int fd, struct front_question *ret);

struct front_answer {
	enum front_verdict { FRONT_FAILED, FRONT_REFUSED, FRONT_ALLOWED } verdict;
	char *reason;       /* why not, or what failed; or why it was allowed, for the record */
	char *hint;         /* what to do about it; may be empty */
	char *decision;     /* JSON, for the report */
	struct strv argv;   /* what runs: somebody may have edited it */
	struct strv grants; /* "write=DIR", ...: for coffer_policy_grant() */
	struct strv notices;
};
void front_answer_release(struct front_answer *answer);
int front_answer_write(const struct front_answer *answer, int fd);
int front_answer_parse(const char *data, size_t size_bytes, struct front_answer *ret);

#endif
