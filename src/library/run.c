#include "library/library.h"

#include "base/cleanup.h"
#include "confine/cgroup.h"
#include "confine/network.h"
#include "host/doctor.h"
#include "library/in_copy.h"
#include "library/layered.h"
#include "plan/findings.h"
#include "policy/profile.h"
#include "run/meter_proc.h"
#include "run/supervisor.h"
#include "run/tmpdir.h"
#include "run/watch.h"

#include <fcntl.h>
#include <string.h>

extern char **environ;

/* Looking for control groups costs some 25 system calls: only where something would use one. */
static bool wants_cgroup(const struct policy *policy, const struct host_facts *facts)
{
	const struct limits *limits = &policy->profile->limits;
	return facts->root || limits->memory_bytes || limits->cpu_milli ||
	       (policy->limits_asked & (LIMIT_MEMORY | LIMIT_CPU | LIMIT_PIDS));
}

int library_plan(const struct policy *policy, char *const argv[], bool full,
	const struct host_facts *known, struct plan **ret, struct error *error)
{
	int r = policy_validate(policy, error);
	if (r < 0)
		return r;
	struct host_facts facts;
	if (known) {
		facts = *known;
	} else if (full) {
		probe_full(&facts);
	} else {
		probe_quick(&facts);
	}
	if (!known && (full || wants_cgroup(policy, &facts)))
		cgroup_probe(&facts);
	struct findings findings;
	r = resolve(policy, &facts, &findings, error);
	if (r < 0)
		return r;
	r = plan_make(policy, &facts, &findings, argv, environ, ret, error);
	findings_release(&findings);
	return r;
}

int coffer_plan_new(const struct coffer_policy *policy, char *const argv[], int full,
	struct coffer_plan **ret, struct coffer_error *ret_error)
{
	struct error error = {0};
	struct coffer_plan *plan = calloc(1, sizeof(*plan));
	int r = plan ? library_plan(policy->policy, argv, full, NULL, &plan->plan, &error)
		     : error_set_errno(&error, ENOMEM, "plan", "the plan");
	if (r < 0) {
		free(plan);
		library_copy_error(ret_error, &error);
		return r;
	}
	*ret = plan;
	return 0;
}

void coffer_plan_free(struct coffer_plan *plan)
{
	if (!plan)
		return;
	plan_free(plan->plan);
	free(plan);
}

char *coffer_plan_json(const struct coffer_plan *plan)
{
	return plan_to_json(plan->plan);
}

char *coffer_doctor(int json)
{
	struct host_facts facts;
	probe_full(&facts);
	cgroup_probe(&facts);
	network_probe(&facts);
	return json ? doctor_json(&facts) : doctor_text(&facts);
}

/* Whether the launch failed because the kernel refuses namespaces after all (AppArmor, a
 * container's filter), at which step, and the policy lets another tier stand in. */
static bool namespaces_refused(
	const struct plan *plan, const struct error *error, enum userns_step *ret_step)
{
	static const struct {
		const char *stage;
		enum userns_step step;
	} steps[] = {{"namespaces", USERNS_STEP_CLONE}, {"id maps", USERNS_STEP_ID_MAPS},
		{"mounts", USERNS_STEP_MOUNT}};
	int code = error->errno_value;
	bool denied = code == EPERM || code == EACCES || code == ENOSPC || code == EINVAL;
	if (!denied || plan->tier != TIER_CONTAINER || plan->isolation_asked ||
		!plan->profile->landlock_tier_allowed)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		if (strcmp(error->stage, steps[i].stage) != 0)
			continue;
		/* EINVAL from a mount is something else than a refusal. */
		if (code == EINVAL && steps[i].step != USERNS_STEP_CLONE)
			return false;
		*ret_step = steps[i].step;
		return true;
	}
	return false;
}

static void tell_notes(const struct library_run *run, const struct plan *plan)
{
	if (!run->note)
		return;
	if (plan->mode_reason)
		run->note(plan->mode_reason);
	for (size_t i = 0; i < plan->notes_count; i++)
		run->note(plan->notes[i].text);
}

/* The box with its way to a network, where it has one. */
static int supervise_network(const struct library_run *run, struct plan *plan,
	struct supervise_options *options, struct report *report, struct denials **denials,
	struct error *error)
{
	int r = 0;
	if (network_is_open(&plan->network))
		r = egress_start(
			&plan->network, plan->tier, plan->net_ask != NULL, &options->egress, error);
	options->egress_settled = plan->tier != TIER_CONTAINER || egress_brings(&plan->network);
	if (r == 0 && options->egress && options->egress_settled)
		r = egress_settle(options->egress, plan, error);
	if (r == 0)
		r = supervise(options, report, denials);
	else
		report->error = *error;
	if (r == 0 && options->egress && egress_note(options->egress))
		report->egress_note = strdup(egress_note(options->egress));
	egress_free(options->egress);
	if (report->egress_note && run->note)
		run->note(report->egress_note);
	if (report->egress_lost && run->note)
		run->note("coffer-egress ended before the box did: from then on every "
			  "connection was refused");
	return r;
}

/* The same, with what it writes on a layer where that is asked for. */
static int supervise_layered(const struct library_run *run, struct plan *plan,
	struct report *report, struct denials **denials, struct error *error)
{
	struct supervise_options options = {.plan = plan, .client = run->client};
	struct layered *layered;
	memcpy(options.stdio, run->stdio, sizeof(options.stdio));
	int r = layered_begin(plan, &layered, error);
	if (r < 0) {
		report->error = *error;
		return r;
	}
	options.stacks = layered_stacks(layered, &options.stacks_count);
	r = supervise_network(run, plan, &options, report, denials, error);
	struct error failed = {0};
	if (layered) {
		if (layered_end(layered, &report->layer, &failed) < 0 && !report->error.errno_value)
			report->error = failed;
	}
	layered_free(layered);
	return r;
}

/* The plan for the box; in a tier without overlays a layer is a copy, for which everything is
 * planned again. */
static int plan_run(const struct library_run *run, const struct host_facts *known,
	struct in_copy *copy, struct plan **ret, struct error *error)
{
	int r = library_plan(run->policy, run->argv, false, known, ret, error);
	if (r < 0 || !(*ret)->layer || (*ret)->tier != TIER_LANDLOCK)
		return r;
	struct host_facts facts = (*ret)->facts;
	r = in_copy_prepare(*ret, run->policy, run->note, copy, error);
	plan_free(*ret);
	*ret = NULL;
	return r < 0 ? r : library_plan(&copy->policy, run->argv, false, &facts, ret, error);
}

int library_run(const struct library_run *run, struct coffer_report **ret, struct error *error)
{
	struct report report = {.cause = CAUSE_SETUP_FAILED, .exit_code = 125};
	struct plan *plan = NULL;
	struct denials *denials = NULL;
	struct host_facts facts;
	struct in_copy copy = {0};
	bool again = false;
	int r;
	unsigned recovered = watch_recover();
	if (recovered && run->note)
		run->note("a run that was killed had left protected names; they were moved aside "
			  "(.coffer-quarantine-*)");
	for (;;) {
		struct error refused = *error;
		r = plan_run(run, again ? &facts : NULL, &copy, &plan, error);
		if (r < 0) {
			/* Where no other tier can stand in, why the first failed is the reason. */
			if (again)
				*error = refused;
			report.error = *error;
			break;
		}
		plan->many_execs = run->client >= 0;
		tell_notes(run, plan);
		r = plan->tier == TIER_LANDLOCK ? tmpdir_choose(plan, error) : 0;
		if (r < 0) {
			report.error = *error;
			break;
		}
		r = supervise_layered(run, plan, &report, &denials, error);
		tmpdir_remove(plan);
		*error = report.error;
		enum userns_step step;
		if (r == 0 || again || !namespaces_refused(plan, error, &step))
			break;
		facts = plan->facts;
		probe_userns_refused(&facts, step, error->errno_value);
		plan_free(plan);
		denials_free(denials);
		report_release(&report);
		plan = NULL;
		denials = NULL;
		again = true;
	}
	in_copy_release(&copy);
	struct coffer_report *made = calloc(1, sizeof(*made));
	if (!made) {
		plan_free(plan);
		denials_free(denials);
		report_release(&report);
		return error_set_errno(error, ENOMEM, "report", "the report");
	}
	report.recovered = recovered;
	made->report = report;
	made->plan = plan;
	made->denials = denials;
	*ret = made;
	return r;
}

uint64_t library_busy_us(pid_t supervisor)
{
	enum { PROCESSES_MAX = 4096 };
	uint64_t sum_us = 0;
	bool truncated;
	cleanup_close int proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	cleanup_free pid_t *pids = calloc(PROCESSES_MAX, sizeof(*pids));
	size_t count = proc < 0 || !pids
			       ? 0
			       : proc_tree(proc, supervisor, pids, PROCESSES_MAX, &truncated);
	for (size_t i = 0; i < count; i++) {
		uint64_t one_us;
		if (proc_read_cpu_us(proc, pids[i], &one_us))
			sum_us += one_us;
	}
	return sum_us;
}

int coffer_run(const struct coffer_policy *policy, char *const argv[],
	void (*note)(const char *sentence), struct coffer_report **ret_report,
	struct coffer_error *ret_error)
{
	struct error error = {0};
	*ret_report = NULL;
	struct library_run run = {.policy = policy->policy,
		.argv = argv,
		.stdio = {0, 1, 2},
		.client = -1,
		.note = note};
	int r = library_run(&run, ret_report, &error);
	if (r < 0)
		library_copy_error(ret_error, &error);
	return r;
}

void coffer_report_free(struct coffer_report *report)
{
	if (!report)
		return;
	plan_free(report->plan);
	denials_free(report->denials);
	report_release(&report->report);
	free(report->json);
	free(report->gate);
	free(report);
}

const char *coffer_report_json(struct coffer_report *report)
{
	if (!report->json)
		report->json = report_to_json(
			&report->report, report->plan, report->denials, report->gate);
	return report->json;
}

int library_report_gate(struct coffer_report *report, const char *gate)
{
	report->gate = strdup(gate);
	return report->gate ? 0 : -ENOMEM;
}

int library_report_refused(const char *reason, const char *gate, struct coffer_report **ret)
{
	struct coffer_report *report = calloc(1, sizeof(*report));
	if (!report || (gate && library_report_gate(report, gate) < 0)) {
		free(report);
		return -ENOMEM;
	}
	report->report.cause = CAUSE_REFUSED;
	report->report.exit_code = 126;
	error_set(&report->report.error, EPERM, "gate", "%s", reason);
	*ret = report;
	return 0;
}

int coffer_report_exit_code(const struct coffer_report *report)
{
	return report->remote ? report->exit_code : report->report.exit_code;
}

const char *coffer_report_cause(const struct coffer_report *report)
{
	return report->remote ? report->cause : cause_name(report->report.cause);
}

const struct coffer_error *coffer_report_error(const struct coffer_report *report)
{
	return report->report.error.errno_value ? (const struct coffer_error *)&report->report.error
						: NULL;
}

const char *coffer_report_output(
	const struct coffer_report *report, int stream, size_t *ret_length_bytes)
{
	int i = stream - 1;
	if (i < 0 || i > 1 || !report->report.captured[i])
		return NULL;
	*ret_length_bytes = report->report.captured_bytes[i];
	return report->report.captured[i];
}
