#include "run/report.h"

#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/limits.h"
#include "confine/mounts.h"
#include "host/doctor.h"
#include "run/sanitizing.h"
#include "witness/judge.h"

#include <jansson.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

const char *cause_name(enum cause cause)
{
	static const char *const names[] = {
		[CAUSE_EXITED] = "exited",
		[CAUSE_SIGNALED] = "signaled",
		[CAUSE_TIMED_OUT] = "timed_out",
		[CAUSE_OUT_OF_MEMORY] = "out_of_memory",
		[CAUSE_LIMIT] = "limit_exceeded",
		[CAUSE_REFUSED] = "refused",
		[CAUSE_NOT_FOUND] = "not_found",
		[CAUSE_CANNOT_EXECUTE] = "cannot_execute",
		[CAUSE_SETUP_FAILED] = "setup_failed",
		[CAUSE_KILLED] = "killed",
	};
	return names[cause];
}

/* Bytes of the box's choosing as JSON: what is no UTF-8 becomes U+FFFD. */
static json_t *text_of(const char *data, size_t length)
{
	cleanup_buffer struct buffer buffer = BUFFER_INIT(MAX_REPORT_BYTES);
	json_t *value = json_stringn(data, length);
	if (value)
		return value;
	/* buffer_append_json() replaces what is invalid; NULs would end it, so they go first. */
	cleanup_free char *copy = malloc(length + 1);
	if (!copy)
		return NULL;
	for (size_t i = 0; i < length; i++)
		copy[i] = data[i] ? data[i] : ' ';
	copy[length] = '\0';
	buffer_append_json(&buffer, copy);
	if (buffer_error(&buffer) < 0)
		return NULL;
	return json_loads(buffer.data, JSON_DECODE_ANY, NULL);
}

static json_t *text(const char *string)
{
	return string ? text_of(string, strlen(string)) : json_null();
}

static json_t *integer(uint64_t value)
{
	return json_integer((json_int_t)value);
}

static void add_layer(json_t *array, const char *layer)
{
	json_array_append_new(array, json_string(layer));
}

static json_t *enforced_json(const struct report *report, const struct plan *plan)
{
	json_t *array = json_array();
	if (report->cause == CAUSE_SETUP_FAILED || plan->tier == TIER_NONE)
		return array;
	if (plan->tier == TIER_CONTAINER) {
		static const char *const namespaces[] = {"user namespace", "mount namespace",
			"pid namespace", "network namespace", "ipc namespace", "uts namespace",
			"cgroup namespace", "private root"};
		for (size_t i = 0; i < ARRAY_SIZE(namespaces); i++)
			add_layer(array, namespaces[i]);
		if (plan->id_range)
			add_layer(array, "own id range");
	}
	if (plan->facts.landlock_abi >= (plan->tier == TIER_CONTAINER ? 2 : 1)) {
		char layer[32];
		snprintf(layer, sizeof(layer), "landlock abi %d", plan->facts.landlock_abi);
		add_layer(array, layer);
	}
	add_layer(array,
		plan->profile->seccomp == SECCOMP_STRICT ? "seccomp strict" : "seccomp default");
	add_layer(array, "no capabilities");
	add_layer(array, "no new privileges");
	if (plan->watch_names)
		add_layer(array, "protected names");
	if (network_is_open(&plan->network))
		add_layer(array, "egress");
	add_layer(array, "resource limits");
	if (report->cgroup)
		add_layer(array, "control group");
	return array;
}

static json_t *exit_json(const struct report *report)
{
	json_t *object = json_object();
	bool signaled = WIFSIGNALED(report->status) && report->cause != CAUSE_SETUP_FAILED;
	json_object_set_new(object, "code", json_integer(report->exit_code));
	json_object_set_new(
		object, "signal", signaled ? json_integer(WTERMSIG(report->status)) : json_null());
	return object;
}

static json_t *usage_json(const struct usage *usage)
{
	json_t *object = json_object();
	json_object_set_new(object, "wall_ms", json_real((double)usage->wall_us / 1000));
	json_object_set_new(object, "cpu_user_ms", json_real((double)usage->user_us / 1000));
	json_object_set_new(object, "cpu_system_ms", json_real((double)usage->system_us / 1000));
	json_object_set_new(object, "memory_peak_bytes", integer(usage->memory_peak_bytes));
	json_object_set_new(object, "memory_peak_of",
		json_string(usage->memory_peak_is_box ? "box" : "largest process"));
	json_object_set_new(
		object, "pids_peak", usage->pids_peak ? integer(usage->pids_peak) : json_null());
	json_object_set_new(object, "io_read_bytes", integer(usage->io_read_bytes));
	json_object_set_new(object, "io_write_bytes", integer(usage->io_write_bytes));
	json_object_set_new(object, "disk_bytes", integer(usage->disk_bytes));
	json_object_set_new(object, "overshoot_bytes", integer(usage->overshoot_bytes));
	json_object_set_new(object, "stdout_bytes", integer(usage->output_bytes[0]));
	json_object_set_new(object, "stderr_bytes", integer(usage->output_bytes[1]));
	json_object_set_new(object, "stdout_dropped_bytes", integer(usage->dropped_bytes[0]));
	json_object_set_new(object, "stderr_dropped_bytes", integer(usage->dropped_bytes[1]));
	return object;
}

/* RFC 3339, UTC, with milliseconds. */
static json_t *moment(int64_t time_ms)
{
	time_t seconds = (time_t)(time_ms / 1000);
	struct tm tm;
	char text[40], day[24];
	if (!gmtime_r(&seconds, &tm) || !strftime(day, sizeof(day), "%Y-%m-%dT%H:%M:%S", &tm))
		return json_null();
	snprintf(text, sizeof(text), "%s.%03dZ", day, (int)(time_ms % 1000));
	return json_string(text);
}

static json_t *text_or_null(const char *string)
{
	return string[0] ? text(string) : json_null();
}

static void explain(json_t *item, const struct denial *denial, const struct plan *plan)
{
	struct explanation explanation;
	judge_explain(plan, denial->promise, denial->call, denial->target, denial->resolved,
		denial->rule, &explanation);
	/* What would be refused without a box no flag allows. A hidden thing has its own modes. */
	if (denial->by_mode && strcmp(denial->promise, "P4") != 0)
		explanation.allow_with[0] = '\0';
	json_object_set_new(item, "rule", text(explanation.rule));
	json_object_set_new(item, "allow_with", text_or_null(explanation.allow_with));
}

static json_t *denials_json(const struct denials *denials, const struct plan *plan)
{
	json_t *array = json_array();
	for (size_t i = 0; denials && i < denials_count(denials); i++) {
		struct denial denial;
		if (!denials_get(denials, i, &denial))
			continue;
		json_t *item = json_object();
		json_object_set_new(item, "time", moment(denial.time_ms));
		json_object_set_new(item, "time_ms", json_integer(denial.time_ms));
		json_object_set_new(item, "pid", json_integer(denial.pid));
		json_object_set_new(item, "program", text(denial.program));
		json_object_set_new(item, "call", text(denial.call));
		json_object_set_new(item, "target", text(denial.target));
		bool absolute = denial.target[0] == '/';
		json_object_set_new(item, "resolved",
			text_or_null(
				denial.resolved[0] || !absolute ? denial.resolved : denial.target));
		json_object_set_new(item, "promise", text(denial.promise));
		json_object_set_new(item, "errno",
			denial.errno_value ? text(strerrorname_np(denial.errno_value))
					   : json_null());
		json_object_set_new(item, "reason", text(denial.reason));
		if (plan)
			explain(item, &denial, plan);
		json_object_set_new(item, "count", json_integer(denial.count));
		json_array_append_new(array, item);
	}
	return array;
}

static void add_note(json_t *array, const char *what, const char *sentence)
{
	json_t *item = json_object();
	json_object_set_new(item, "what", text(what));
	json_object_set_new(item, "text", text(sentence));
	json_array_append_new(array, item);
}

static json_t *notes_json(const struct report *report, const struct plan *plan)
{
	json_t *array = json_array();
	for (size_t i = 0; i < plan->notes_count; i++)
		add_note(array, plan->notes[i].what, plan->notes[i].text);
	if (report->egress_note)
		add_note(array, "network", report->egress_note);
	if (report->egress_lost)
		add_note(array, "network",
			"coffer-egress ended before the box did: from then on every connection was "
			"refused");
	if (report->fallbacks & MOUNTS_NO_PROC)
		add_note(array, "proc",
			"the host masks /proc: the box has none of its own, a few "
			"harmless files stand in for it");
	return array;
}

static void add_lost_limits(json_t *array, unsigned lost)
{
	static const struct {
		unsigned limit;
		const char *word, *sentence;
	} limits[] = {
		{LIMIT_MEMORY, "memory", "the memory limit could be neither enforced nor metered"},
		{LIMIT_CPU, "cpu", "the CPU limit could not be enforced: no control group"},
		{LIMIT_PIDS, "pids", "the pids limit could be neither enforced nor metered"},
		{LIMIT_DISK, "disk", "the disk limit could not be metered"},
		{LIMIT_INODES, "inodes", "the limit of inodes could not be metered"},
	};
	for (size_t i = 0; i < ARRAY_SIZE(limits); i++)
		if (lost & limits[i].limit)
			add_note(array, limits[i].word, limits[i].sentence);
}

static json_t *gaps_json(const struct report *report, const struct plan *plan)
{
	json_t *array = json_array();
	add_lost_limits(array, report->limits_lost);
	if (plan->tier != TIER_LANDLOCK)
		return array;
	const struct landlock_gap *gaps;
	size_t count = doctor_landlock_gaps(plan->facts.landlock_abi, &gaps);
	for (size_t i = 0; i < count; i++)
		if (!gaps[i].instead)
			add_note(array, gaps[i].word, gaps[i].sentence);
	return array;
}

/* What the box may do all the same, for whoever has to find another way. */
static json_t *possible_json(const struct plan *plan)
{
	json_t *object = json_object(), *write = json_array();
	for (size_t i = 0; i < plan->places_count; i++) {
		const struct plan_place *place = &plan->places[i];
		if (place->access == PLACE_WRITE && strcmp(place->why, "tool caches") != 0 &&
			strcmp(place->path, "/dev/shm") != 0)
			json_array_append_new(write, text(place->path));
	}
	json_object_set_new(object, "write", write);
	const struct network_policy *network = &plan->network;
	json_object_set_new(object, "network",
		json_string(plan->tier == TIER_NONE       ? "host"
			    : !network_is_open(network)   ? "off"
			    : network->mode == NETWORK_ON ? "on"
							  : "filtered"));
	return object;
}

static void add_plan(json_t *root, const struct report *report, const struct plan *plan)
{
	json_object_set_new(root, "tier", json_string(tier_name(plan->tier)));
	json_object_set_new(root, "mode", json_string(policy_mode_name(plan->mode)));
	json_object_set_new(root, "profile", json_string(plan->profile->name));
	json_object_set_new(root, "enforced", enforced_json(report, plan));
	json_object_set_new(root, "not_enforced", gaps_json(report, plan));
	json_object_set_new(root, "notes", notes_json(report, plan));
	json_object_set_new(root, "possible", possible_json(plan));
	if (!plan->anonymous)
		json_object_set_new(root, "workspace", text(plan->workspace));
}

static json_t *layer_json(const struct report_layer *layer)
{
	return json_pack("{s:s, s:s?, s:I, s:I, s:I, s:I}", "id", layer->id, "name", layer->name,
		"added", (json_int_t)layer->added, "modified", (json_int_t)layer->modified,
		"deleted", (json_int_t)layer->deleted, "bytes", (json_int_t)layer->bytes);
}

/* The last step: whatever was put into it. */
static int sanitize_report(json_t *root, const struct report *report, const struct plan *plan)
{
	struct sanitizing *sanitizing;
	struct sanitize_counts counts = report->sanitized;
	int r = sanitizing_new(plan, &sanitizing);
	if (r < 0 || !sanitizing)
		return r;
	r = sanitizing_json(sanitizing, root, &counts);
	sanitizing_free(sanitizing);
	json_t *object = json_object();
	json_object_set_new(object, "paths", integer(counts.paths));
	json_object_set_new(object, "secrets", integer(counts.secrets));
	json_object_set_new(object, "recognized", integer(counts.recognized));
	json_object_set_new(object, "controls", integer(counts.controls));
	return r < 0 || json_object_set_new(root, "sanitized", object) < 0 ? -ENOMEM : 0;
}

char *report_to_json(const struct report *report, const struct plan *plan,
	const struct denials *denials, const char *gate)
{
	json_t *root = json_object();
	if (!root)
		return NULL;
	json_object_set_new(root, "version", json_integer(1));
	json_object_set_new(root, "cause", json_string(cause_name(report->cause)));
	json_object_set_new(root, "exit", exit_json(report));
	if (report->limit[0])
		json_object_set_new(root, "limit", text(report->limit));
	if (report->error.errno_value) {
		json_t *error = json_object();
		json_object_set_new(error, "stage", text(report->error.stage));
		json_object_set_new(error, "message", text(report->error.message));
		json_object_set_new(error, "hint", text(report->error.hint));
		json_object_set_new(root, "error", error);
	}
	if (gate)
		json_object_set_new(root, "gate", json_loads(gate, 0, NULL));
	if (plan)
		add_plan(root, report, plan);
	json_object_set_new(root, "usage", usage_json(&report->usage));
	json_object_set_new(root, "denials", denials_json(denials, plan));
	json_object_set_new(root, "denials_lost", json_integer(denials ? denials->lost : 0));
	json_object_set_new(root, "trace",
		report->trace ? json_loads(report->trace, JSON_DECODE_ANY, NULL) : json_null());
	json_object_set_new(root, "quarantined", json_integer(report->quarantined));
	json_object_set_new(root, "recovered", json_integer(report->recovered));
	static const char *const streams[] = {"stdout", "stderr"};
	for (int i = 0; i < 2; i++)
		if (report->captured[i])
			json_object_set_new(root, streams[i],
				text_of(report->captured[i], report->captured_bytes[i]));
	if (report->accesses) {
		json_object_set(root, "accesses", report->accesses);
		json_object_set_new(root, "accesses_lost", integer(report->accesses_lost));
	}
	if (report->traffic)
		json_object_set(root, "network", report->traffic);
	if (report->layer.id)
		json_object_set_new(root, "layer", layer_json(&report->layer));
	if (report->git_result)
		json_object_set_new(root, "git", json_loads(report->git_result, 0, NULL));
	bool harmless = !plan || sanitize_report(root, report, plan) == 0;
	char *json = harmless ? json_dumps(root, JSON_INDENT(2) | JSON_ENSURE_ASCII) : NULL;
	json_decref(root);
	return json;
}

void report_release(struct report *report)
{
	free(report->captured[0]);
	free(report->captured[1]);
	free(report->layer.id);
	free(report->layer.name);
	free(report->git_result);
	free(report->trace);
	report->trace = NULL;
	free(report->egress_note);
	report->egress_note = NULL;
	json_decref(report->traffic);
	json_decref(report->accesses);
	report->accesses = NULL;
	report->traffic = NULL;
	report->layer = (struct report_layer){0};
	report->captured[0] = report->captured[1] = report->git_result = NULL;
}
