/* JSON-RPC 2.0 over a wire, in both directions: requests from the host with a table of methods,
 * batches, requests to the host with their answers. Knows nothing of what the methods do. */
#ifndef COFFER_SESSION_RPC_H
#define COFFER_SESSION_RPC_H

#include "base/error.h"
#include "session/wire.h"

enum {
	RPC_PARSE_ERROR = -32700,
	RPC_INVALID_REQUEST = -32600,
	RPC_METHOD_NOT_FOUND = -32601,
	RPC_INVALID_PARAMS = -32602,
	RPC_INTERNAL_ERROR = -32603,
	RPC_SERVER_ERROR = -32000, /* whatever is coffer's own: data.code tells */
};

struct rpc;
struct rpc_batch;

/* A request of the host's, until it is answered. Notifications have no id: answers to them go
 * nowhere. */
struct rpc_request {
	json_t *id; /* NULL: a notification */
	struct rpc_batch *batch;
};

struct rpc_method {
	const char *name;
	/* Answers by rpc_result() or rpc_fail(), now or later; request is then gone. params is
	 * never NULL: an object, empty where none came. */
	void (*run)(void *data, struct rpc_request *request, json_t *params);
};

struct rpc_face {
	const struct rpc_method *methods; /* closed by one without a name */
	void *data;
	/* Whether array batches are taken (MCP gave them up). */
	bool batches;
};

/* What the host answered: exactly one of result and error is set, both borrowed. */
typedef void (*rpc_answer)(void *data, const json_t *result, const json_t *error);

int rpc_new(struct wire *wire, const struct rpc_face *face, struct rpc **ret);
void rpc_free(struct rpc *rpc);
void rpc_set_batches(struct rpc *rpc, bool batches);

/* Takes one line; whatever it holds is answered. 0, or -ENOMEM: the stream can go on no further. */
int rpc_take(struct rpc *rpc, const char *line, size_t length_bytes);
/* A line that was too long. */
void rpc_refuse_line(struct rpc *rpc);

/* Take result (may be NULL where memory was short: an internal error is told) and request. */
void rpc_result(struct rpc *rpc, struct rpc_request *request, json_t *result);
/* An error: code as above, name as the stable word in data.code, the sentence and hint of error. */
void rpc_fail(struct rpc *rpc, struct rpc_request *request, int code, const char *name,
	const struct error *error);
/* Forgets a request that gets no answer (MCP: a cancelled one). */
void rpc_drop(struct rpc *rpc, struct rpc_request *request);

/* Take params (NULL where memory was short: nothing is sent, and the stream is broken). */
void rpc_notify(struct rpc *rpc, const char *method, json_t *params);
/* A request to the host. *ret_id names it for rpc_forget(). -ENOMEM: it was not sent. */
int rpc_ask(struct rpc *rpc, const char *method, json_t *params, rpc_answer answer, void *data,
	unsigned *ret_id);
/* The answer is of no interest any more. */
void rpc_forget(struct rpc *rpc, unsigned id);

/* Whether a message was lost because memory was short: the stream must end. */
bool rpc_is_broken(const struct rpc *rpc);

#endif
