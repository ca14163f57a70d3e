/* The DNS server inside the box, between its files: resolver.c decides what a question is answered
 * with, resolver_serve.c reads questions from sockets and writes answers, resolver_notes.c tells
 * the log, a second's worth of the same at a time. */
#ifndef COFFER_EGRESS_RESOLVER_H
#define COFFER_EGRESS_RESOLVER_H

#include "egress/dns.h"
#include "egress/egress.h"

#include <sys/socket.h>

enum {
	RESOLVER_QUESTIONS_MAX = 512, /* unanswered at one time; more are answered SERVFAIL */
	RESOLVER_TTL_S = 30,
};

/* Whom an answer goes to. */
struct reply_to {
	struct udp_server *udp; /* or: */
	struct tcp_client *tcp;
	struct sockaddr_storage peer; /* UDP: of size peer_bytes; 0: the socket is connected */
	socklen_t peer_bytes;
};

TAILQ_HEAD(question_list, question);

struct resolver {
	struct egress *egress;
	struct question_list questions;
	size_t questions_count;
	struct notes *notes;
	struct serve *serve;
};

/* ---- resolver.c ---- */

/* Reads a message and answers it, now or later. False: it is none that is ever answered. */
bool resolver_take(struct resolver *resolver, const uint8_t *data, size_t length_bytes,
	const struct reply_to *to);
/* The socket goes: its questions are forgotten. Either may be NULL. */
void resolver_drop(
	struct resolver *resolver, const struct udp_server *udp, const struct tcp_client *tcp);

/* ---- resolver_serve.c ---- */

int serve_new(struct resolver *resolver, struct serve **ret);
void serve_free(struct serve *serve);
void serve_reply(
	const struct reply_to *to, const struct dns_query *query, const struct dns_answer *answer);

/* ---- resolver_notes.c ---- */

int notes_new(struct egress *egress, struct notes **ret);
void notes_free(struct notes *notes); /* logs what is not logged yet */
/* A name that came to nothing. The first time it is logged at once, while the program that asked
 * can still be found; then once a second with a count. The same program's asking for the other
 * family counts as the same. */
void notes_add(struct notes *notes, const struct egress_record *record, uint16_t type);

#endif
