/* What an agent's host sends: lines of anything. Each is answered or passed over, and what is
 * answered is JSON again. */
#include "base/cleanup.h"
#include "session/params.h"
#include "session/rpc.h"
#include "session/tools.h"

#include <fcntl.h>
#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct rpc *rpc;

static void run(void *data, struct rpc_request *request, json_t *params)
{
	(void)data;
	struct error error = {0};
	const json_t *tool = json_object_get(params, "name");
	const struct tool *known =
		json_is_string(tool) ? tool_named(json_string_value(tool)) : NULL;
	if (known && params_check(params, known->params, &error) < 0)
		rpc_fail(rpc, request, RPC_INVALID_PARAMS, "invalid_params", &error);
	else
		rpc_result(rpc, request, json_incref(params));
}

static void ignore(void *data, const json_t *result, const json_t *error)
{
	(void)data, (void)result, (void)error;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct rpc_method methods[] = {{"call", run}, {0}};
	const struct rpc_face face = {.methods = methods, .batches = true};
	struct wire *wire;
	unsigned id;
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (wire_new(null, null, &wire) < 0 || rpc_new(wire, &face, &rpc) < 0)
		abort();
	rpc_ask(rpc, "question", json_object(), ignore, NULL, &id);
	for (size_t at = 0; at < size;) {
		const uint8_t *newline = memchr(data + at, '\n', size - at);
		size_t length = newline ? (size_t)(newline - data) - at : size - at;
		if (rpc_take(rpc, (const char *)data + at, length) < 0)
			abort();
		at += length + 1;
	}
	while (wire_queued_bytes(wire))
		if (wire_write(wire) < 0)
			abort();
	rpc_free(rpc);
	wire_free(wire);
	close(null);
	return 0;
}
