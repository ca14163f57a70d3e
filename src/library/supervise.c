#include "library/supervise.h"

#include "base/request.h"
#include "library/library.h"

#include "base/cleanup.h"
#include "base/fd.h"
#include "policy/policy.h"
#include "run/protocol.h"

#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/mman.h>

static int apply(struct coffer_policy *policy, const struct strv *settings, struct error *error)
{
	for (size_t i = 0; i < settings->count; i++) {
		char *setting = settings->items[i];
		char *value = strchr(setting, '=');
		if (value)
			*value++ = '\0';
		int r = policy_set(policy->policy, setting, value, error);
		if (r < 0)
			return r;
	}
	return 0;
}

/* The last word: the report, as a memfd since it may be large. */
static void send_report(int socket, struct coffer_report *report, const struct error *error)
{
	struct message last = {.kind = MESSAGE_REPORT, .error = *error};
	cleanup_close int memory = memfd_create("coffer-report", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	const char *json = report ? coffer_report_json(report) : NULL;
	if (report) {
		last.value = coffer_report_exit_code(report);
		last.error = report->report.error;
		last.index = report->report.cause;
	}
	bool with_json = memory >= 0 && json && fd_write_full(memory, json, strlen(json)) == 0;
	fd_send(socket, &last, sizeof(last), &memory, with_json ? 1 : 0);
}

int library_supervise(int request, int socket)
{
	struct error error = {0};
	cleanup_strv struct strv settings = {0}, argv = {0};
	struct coffer_report *report = NULL;
	fcntl(request, F_SETFD, FD_CLOEXEC);
	fcntl(socket, F_SETFD, FD_CLOEXEC);
	close_range(5, UINT_MAX, 0);
	struct coffer_policy *policy = coffer_policy_new();
	struct strv *lists[] = {&settings, &argv};
	int r = policy ? request_read(request, lists, ARRAY_SIZE(lists)) : -ENOMEM;
	if (r < 0)
		error_set_errno(&error, -r, "supervise", "the request");
	else
		r = apply(policy, &settings, &error);
	if (r == 0) {
		struct library_run run = {.policy = policy->policy,
			.argv = strv_items(&argv),
			.stdio = {0, 1, 2},
			.client = socket};
		r = library_run(&run, &report, &error);
	}
	send_report(socket, report, &error);
	coffer_report_free(report);
	coffer_policy_free(policy);
	return r < 0;
}
