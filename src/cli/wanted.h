/* What a speculative run wants to connect to: each connection waits until somebody has said yes. */
#ifndef COFFER_CLI_WANTED_H
#define COFFER_CLI_WANTED_H

#include "base/ask_socket.h"
#include "base/buffer.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

enum { WANTED_TARGET_BYTES = 300 };

struct wanted_item {
	char target[WANTED_TARGET_BYTES]; /* HOST:PORT */
	char protocol[8], program[32];    /* of the first who asked */
	unsigned count;
	bool released;
};

struct wanted_question {
	uint32_t id;
	size_t item;
};

struct wanted {
	struct ask_socket socket; /* where the box's supervisor asks: see run/asker.h */
	int connection;
	struct buffer input;
	struct wanted_item *items;
	size_t count;
	struct wanted_question *open; /* not answered yet */
	size_t open_count;
	uint64_t asked; /* questions so far */
	bool refuses;   /* whatever waits, and comes, is refused */
};

/* 0 or -errno. */
int wanted_open(struct wanted *wanted);
void wanted_release_all(struct wanted *wanted); /* what it holds; not the connections */
/* For poll(); -1: nobody will ask any more. */
int wanted_fd(const struct wanted *wanted);
/* Takes in what was asked. */
void wanted_take(struct wanted *wanted);
/* What has been wanted so far, by name and port, goes through, now and later. */
void wanted_let_through(struct wanted *wanted);
void wanted_refuse(struct wanted *wanted);
/* How many items have not been let through. */
size_t wanted_held(const struct wanted *wanted);
/* [{"target", "protocol", "program", "count", "released"}]; NULL: out of memory. */
json_t *wanted_json(const struct wanted *wanted);

#endif
