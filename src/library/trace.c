#include "library/library.h"

#include "base/cleanup.h"
#include "run/failure.h"

#include <jansson.h>
#include <string.h>

static enum cause cause_of(const struct coffer_report *report)
{
	const char *name = coffer_report_cause(report);
	for (int cause = CAUSE_EXITED; cause <= CAUSE_KILLED; cause++)
		if (strcmp(cause_name((enum cause)cause), name) == 0)
			return (enum cause)cause;
	return CAUSE_KILLED;
}

char *coffer_report_trace(struct coffer_report *report, const struct coffer_plan *plan,
	const char *const texts[2], const size_t lengths_bytes[2])
{
	const char *text = coffer_report_json(report);
	json_t *json = text ? json_loads(text, JSON_ALLOW_NUL, NULL) : NULL;
	const char *limit = json_string_value(json_object_get(json, "limit"));
	/* What the supervisor saw while the box still stood. */
	const json_t *seen = json_object_get(json_object_get(json, "trace"), "processes");
	struct failure failure = {.plan = plan->plan,
		.cause = cause_of(report),
		.exit_code = coffer_report_exit_code(report),
		.limit = limit ? limit : "",
		.texts = {texts[0], texts[1]},
		.lengths_bytes = {lengths_bytes[0], lengths_bytes[1]},
		.processes = seen};
	if (failure.cause == CAUSE_SIGNALED)
		failure.signal = failure.exit_code - 128;
	char *trace = failure_happened(failure.cause, failure.exit_code) ? failure_trace(&failure)
									 : strdup("null");
	json_decref(json);
	return trace;
}
