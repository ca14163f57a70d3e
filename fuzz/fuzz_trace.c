/* What a command printed, parsed as its trace and shown. The first byte chooses how it ended. */
#include "base/limits.h"
#include "witness/trace.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
	static const struct trace_ending endings[] = {
		{.kind = "timed_out", .message = "its time was up", .first = true},
		{.kind = "SIGSEGV", .message = "killed by signal 11"},
	};
	struct trace_options options = {.workspace = "/project", .directory = "/project/lib"};
	struct traces *traces = traces_new();
	size_t half = size / 2;
	if (!traces)
		return 0;
	traces_read(traces, "stderr", (const char *)data, half);
	traces_read(traces, "stdout", (const char *)data + half, size - half);
	if (size && data[0] % 3 < 2)
		traces_end(traces, &endings[data[0] % 3]);
	if (traces_count(traces) > MAX_TRACES)
		abort();
	json_t *json = traces_json(traces, &options);
	struct buffer text = BUFFER_INIT(MAX_REPORT_BYTES);
	if (!json)
		abort();
	trace_show(json, &text);
	buffer_release(&text);
	json_decref(json);
	traces_free(traces);
	return 0;
}
