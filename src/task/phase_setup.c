/* Set-up and what comes after it, in one process that alone ever holds the secrets' values:
 *
 *	the values are read, the set-up runs in its box, every process of the box is dead, the box's
 *	memory with the secrets' files is gone, what the box wrote is searched.
 *
 * Nothing else of a task may begin on the layer before all of this is true. */
#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/limits.h"
#include "base/path.h"
#include "task/phase.h"
#include "task/progress.h"
#include "task/secret_search.h"
#include "task/task_internal.h"

#include <fcntl.h>
#include <string.h>
#include <sys/prctl.h>

enum { SHOWN_LEAKS = 3 };

static const char stage[] = "setup";

struct setup_work {
	char *layer, *home;
	uint64_t phase_us;
	enum task_phase phase;
};

/* ---- the secrets, in the work's process ---- */

/* "NAME=SOURCE,file" as "NAME=SOURCE" and whether it is to be a file. */
static int read_secret(
	const char *written, struct secret_value *ret, bool *ret_file, struct error *error)
{
	static const char suffix[] = ",file";
	cleanup_free char *source = strdup(written);
	if (!source)
		return error_set_errno(error, ENOMEM, stage, "a secret");
	size_t length = strlen(source), cut = strlen(suffix);
	*ret_file = length > cut && strcmp(source + length - cut, suffix) == 0;
	if (*ret_file)
		source[length - cut] = '\0';
	return secret_value_read(source, ret, error);
}

static int read_secrets(const struct task_spec *spec, struct secret_values *values,
	struct strv *environment, struct strv *files, struct error *error)
{
	if (strv_copy(environment, strv_items(&spec->environment)) < 0)
		return error_set_errno(error, ENOMEM, stage, "the secrets");
	for (size_t i = 0; i < spec->secrets.count; i++) {
		struct secret_value value;
		bool file;
		int r = read_secret(spec->secrets.items[i], &value, &file, error);
		if (r == 0)
			r = secret_values_add(values, &value, error);
		if (r < 0)
			return r;
		const struct secret_value *added = &values->items[values->count - 1];
		cleanup_free char *pair = NULL;
		if (asprintf(&pair, "%s=%s", added->name, added->value) < 0) {
			pair = NULL;
			return error_set_errno(error, ENOMEM, stage, "the secrets");
		}
		/* As a file each of them: those values the box's output is kept clean of. */
		if (strv_add(files, pair) < 0 || (!file && strv_add(environment, pair) < 0))
			return error_set_errno(error, ENOMEM, stage, "the secrets");
	}
	return 0;
}

/* ---- the box ---- */

/* A script that says by its first line what it is for is started as it is. */
static bool is_script(const char *path)
{
	char head[2] = "";
	cleanup_close int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	return fd >= 0 && fd_read_full(fd, head, sizeof(head)) == sizeof(head) &&
	       memcmp(head, "#!", sizeof(head)) == 0;
}

static int run_setup(struct task_work *work, const struct strv *environment,
	const struct strv *files, struct task_box_result *result, struct error *error)
{
	const struct task *task = work->task;
	const struct setup_work *setup = work->context;
	cleanup_strv struct strv settings = {0};
	int r = task_setup_settings(&task->spec, &settings);
	cleanup_free char *script = path_join(task->directory, "setup");
	if (r < 0 || !script)
		return error_set_errno(error, ENOMEM, stage, "the settings");
	char *const direct[] = {(char *)PHASE_SETUP_FILE, NULL};
	char *const by_shell[] = {(char *)"/bin/sh", (char *)PHASE_SETUP_FILE, NULL};
	bool file = task->spec.setup_file != NULL;
	struct phase_command command = {.shell = task->spec.setup,
		.argv = !file               ? NULL
			: is_script(script) ? direct
					    : by_shell,
		.layer = setup->layer,
		.home = setup->home,
		.log = "log.setup",
		.setup = file ? script : NULL,
		.environment = environment,
		.settings = &settings,
		.secret_files = files};
	return task_phase_command(task, &command, result, error);
}

static int judge_setup(
	const struct task *task, const struct task_box_result *result, struct error *error)
{
	if (result->exit_code == 0)
		return 0;
	char how[64], tail[300];
	task_describe_end(result->cause, result->exit_code, how, sizeof(how));
	task_log_tail(task, "log.setup", tail, sizeof(tail));
	bool time = strcmp(result->cause, "timed_out") == 0;
	error_set(error, time ? TASK_ERROR_TIME : ECHILD, stage, "the set-up failed: %s%s%s", how,
		tail[0] ? ": " : "", tail);
	return error_hint(error,
		"`coffer task logs %s --phase setup` has all that it said; "
		"`coffer task resume %s` tries it again",
		task->id, task->id);
}

/* Every process of the box is dead: so no mount namespace of its is left, and with it the memory
 * that its secrets' files were in, unless somebody mounted that here. */
static int verify_end(struct error *error)
{
	int r = task_work_alone(error);
	if (r < 0)
		return r;
	cleanup_free char *mounts = NULL;
	size_t length;
	r = fd_read_file(AT_FDCWD, "/proc/self/mountinfo", MAX_PROC_FILE_BYTES, &mounts, &length);
	if (r < 0)
		return error_set_errno(error, -r, stage, "/proc/self/mountinfo");
	if (strstr(mounts, TASK_SECRETS " "))
		return error_set(error, EBUSY, stage,
			"a file system of secrets is still mounted at %s", TASK_SECRETS);
	return 0;
}

/* ---- the search ---- */

static bool is_allowed(const struct task_spec *spec, const char *secret)
{
	return strv_contains(&spec->leaks_allowed, secret);
}

static int add_leak(
	json_t *leaks, const char *path, const char *secret, const char *form, const char *action)
{
	json_t *leak = json_pack("{s:o, s:s*, s:s, s:s}", "path", task_json_text(path), "secret",
		secret, "form", form, "action", action);
	return json_array_append_new(leaks, leak) < 0 ? -ENOMEM : 0;
}

static json_t *list_leaks(const struct task_spec *spec, const struct secret_findings *findings)
{
	json_t *leaks = json_array();
	int r = leaks ? 0 : -ENOMEM;
	const char *otherwise = spec->scrub ? "scrubbed" : "refused";
	for (size_t i = 0; r == 0 && i < findings->count; i++) {
		const struct secret_finding *finding = &findings->items[i];
		r = add_leak(leaks, finding->path, finding->secret, finding->form,
			is_allowed(spec, finding->secret) ? "allowed" : otherwise);
	}
	for (size_t i = 0; r == 0 && i < findings->unreadable.count; i++)
		r = add_leak(leaks, findings->unreadable.items[i], NULL, "unsearched",
			spec->unsearched_refused ? "refused" : "kept");
	/* Whoever owns it opens it again in a moment: that would be no search at all. */
	for (size_t i = 0; r == 0 && i < findings->closed.count; i++)
		r = add_leak(leaks, findings->closed.items[i], NULL, "closed", "refused");
	if (r == 0)
		return leaks;
	json_decref(leaks);
	return NULL;
}

static int scrub(const struct task_work *work, const struct secret_values *values,
	const struct secret_findings *findings, struct error *error)
{
	const struct task_spec *spec = &work->task->spec;
	const struct setup_work *setup = work->context;
	/* Borrowed, without what is allowed to stay. */
	struct secret_values hunted = {.items = calloc(values->count + 1, sizeof(*values->items))};
	struct secret_findings found = *findings;
	found.items = calloc(findings->count + 1, sizeof(*findings->items));
	found.count = 0;
	int r = hunted.items && found.items ? 0
					    : error_set_errno(error, ENOMEM, stage, "scrubbing");
	for (size_t i = 0; r == 0 && i < values->count; i++)
		if (!is_allowed(spec, values->items[i].name))
			hunted.items[hunted.count++] = values->items[i];
	for (size_t i = 0; r == 0 && i < findings->count; i++)
		if (!is_allowed(spec, findings->items[i].secret))
			found.items[found.count++] = findings->items[i];
	if (r == 0 && found.count)
		r = secret_scrub_layer(setup->layer, &hunted, &found, error);
	free(hunted.items);
	free(found.items);
	return r;
}

static int complain_leaks(const json_t *leaks, uint64_t lost, struct error *error)
{
	cleanup_buffer struct buffer text = BUFFER_INIT(sizeof(error->message));
	size_t i, refused = 0;
	json_t *leak;
	const char *name = NULL;
	bool closed = false;
	json_array_foreach((json_t *)(uintptr_t)leaks, i, leak)
	{
		if (strcmp(json_string_value(json_object_get(leak, "action")), "refused") != 0)
			continue;
		const char *secret = json_string_value(json_object_get(leak, "secret"));
		name = name ? name : secret;
		closed = closed ||
			 strcmp(json_string_value(json_object_get(leak, "form")), "closed") == 0;
		if (refused++ < SHOWN_LEAKS)
			buffer_append_format(&text, "%s%s in %.200s (%s)", refused > 1 ? ", " : "",
				secret ? secret : "what cannot be searched",
				json_string_value(json_object_get(leak, "path")),
				json_string_value(json_object_get(leak, "form")));
	}
	/* What is no longer told may be one that nobody allowed. */
	if (refused == 0 && lost == 0)
		return 0;
	if (refused == 0)
		return error_set(error, TASK_ERROR_LEAK, stage,
			"the search found more than is kept, and so cannot say that no secret is "
			"left: the set-up's layer was removed");
	if (refused + lost > SHOWN_LEAKS)
		buffer_append_format(
			&text, ", and %zu more", (size_t)(refused + lost - SHOWN_LEAKS));
	error_set(error, TASK_ERROR_LEAK, stage, "the set-up left secrets behind: %s",
		buffer_error(&text) == 0 ? text.data : "");
	if (!name && closed)
		return error_hint(error, "its layer was removed. What its owner may not read is "
					 "not searched: let the set-up remove it or open it");
	return name ? error_hint(error,
			      "its layer was removed. --on-leak scrub takes them out, --on-leak "
			      "allow=%s lets that one stay",
			      name)
		    : error_hint(error, "its layer was removed. Without --on-leak "
					"refuse-unsearched such files stay, and are named");
}

static int search(struct task_work *work, const struct secret_values *values, struct error *error)
{
	const struct task_spec *spec = &work->task->spec;
	const struct setup_work *setup = work->context;
	if (values->count == 0)
		return task_work_tell(work, json_pack("{s:s, s:[]}", "phase", "search", "leaks"));
	struct secret_findings findings = {0};
	int r = secret_search_layer(setup->layer, values, &findings, error);
	json_t *leaks = r == 0 ? list_leaks(spec, &findings) : NULL;
	if (r == 0 && !leaks)
		r = error_set_errno(error, ENOMEM, stage, "what was found");
	if (r == 0 && spec->scrub)
		r = scrub(work, values, &findings, error);
	if (r == 0)
		r = task_work_tell(work,
			json_pack("{s:s, s:O, s:I, s:I, s:I}", "phase", "search", "leaks", leaks,
				"lost", (json_int_t)findings.lost, "files",
				(json_int_t)findings.files, "bytes", (json_int_t)findings.bytes));
	if (r == 0)
		r = complain_leaks(leaks, findings.lost, error);
	json_decref(leaks);
	secret_findings_release(&findings);
	return r;
}

static int body(struct task_work *work, struct error *error)
{
	struct secret_values values = {0};
	cleanup_strv struct strv environment = {0}, files = {0};
	struct task_box_result result = {0};
	/* The values are in this process's memory: no dump of it, no look into it. */
	prctl(PR_SET_DUMPABLE, 0);
	int r = read_secrets(&work->task->spec, &values, &environment, &files, error);
	if (r == 0)
		r = run_setup(work, &environment, &files, &result, error);
	if (r == 0)
		r = verify_end(error);
	if (r == 0)
		r = task_work_tell(work, json_pack("{s:s, s:i, s:s, s:I}", "phase", "setup", "exit",
						 result.exit_code, "cause", result.cause, "wall_ms",
						 (json_int_t)result.wall_ms));
	if (r == 0)
		r = judge_setup(work->task, &result, error);
	if (r == 0)
		r = search(work, &values, error);
	task_box_result_release(&result);
	secret_values_release(&values);
	return r;
}

/* ---- in the waiting process ---- */

static int end_phase(struct task *task, struct setup_work *setup, const char *state, int exit_code,
	const char *note, struct error *error)
{
	uint64_t wall_ms = (clock_now_us() - setup->phase_us) / 1000;
	setup->phase_us = clock_now_us();
	return task_phase_end(task, setup->phase, 0, state, wall_ms, exit_code, note, error);
}

static int told_setup(
	struct task *task, struct setup_work *setup, const json_t *event, struct error *error)
{
	int exit_code = (int)json_integer_value(json_object_get(event, "exit"));
	if (exit_code != 0)
		return end_phase(task, setup, "failed", exit_code, NULL, error);
	int r = end_phase(task, setup, "done", 0, NULL, error);
	task_progress_end(task, PHASE_SETUP, 0, "every process of it is dead");
	setup->phase = PHASE_SEARCH;
	if (r == 0)
		r = task_phase_begin(task, PHASE_SEARCH, 0, error);
	if (task->spec.secrets.count)
		task_progress_begin(task, PHASE_SEARCH, 0, "for what the secrets left");
	return r;
}

static int told(struct task_work *work, const json_t *event, struct error *error)
{
	struct task *task = work->task;
	const char *phase = json_string_value(json_object_get(event, "phase"));
	if (phase && strcmp(phase, "setup") == 0)
		return told_setup(task, work->context, event, error);
	free(task->leaks);
	task->leaks = json_dumps(json_object_get(event, "leaks"), JSON_COMPACT);
	return task->leaks ? task_save_prepared(task, error)
			   : error_set_errno(error, ENOMEM, stage, "what was found");
}

static int make(struct task *task, struct error *error)
{
	struct setup_work setup = {.phase_us = clock_now_us(), .phase = PHASE_SETUP};
	struct task_work work = {.task = task, .body = body, .told = told, .context = &setup};
	int r = task_home_take(task, &setup.home, error);
	if (r == 0)
		r = task_layer_create(
			task, "setup", "setup", task->clone_layer, &setup.layer, error);
	if (r == 0)
		r = task_phase_begin(task, PHASE_SETUP, 0, error);
	if (r == 0) {
		task_progress_begin(task, PHASE_SETUP, 0, NULL);
		r = task_work_run(&work, 1, 1, error);
	}
	if (r == 0 && work.result < 0) {
		*error = work.error;
		r = work.result;
	}
	struct error later;
	if (r < 0) {
		/* At once: it may hold a secret. */
		if (setup.layer)
			task_layer_discard(setup.layer, &later);
		end_phase(task, &setup, r == -ECANCELED ? "cancelled" : "failed", 0, error->message,
			&later);
	} else {
		r = end_phase(task, &setup, "done", 0, NULL, error);
		if (r == 0)
			r = task_prepared_done(task, setup.layer, task->leaks, error);
	}
	free(setup.layer);
	free(setup.home);
	return r;
}

int task_phase_prepare(struct task *task, struct error *error)
{
	if (task->prepared_layer && task_layer_exists(task->prepared_layer))
		return 0;
	if (!task->spec.setup && !task->spec.setup_file) {
		free(task->prepared_layer);
		task->prepared_layer = strdup(task->clone_layer);
		return task->prepared_layer ? task_save_prepared(task, error)
					    : error_set_errno(error, ENOMEM, stage, "a task");
	}
	enum task_prepared prepared;
	cleanup_free char *own = strdup(task->clone_layer);
	int r = own ? task_prepared_claim(task, &prepared, error)
		    : error_set_errno(error, ENOMEM, stage, "a task");
	if (r < 0)
		return r;
	if (prepared == PREPARED_READY) {
		task_progress_say(task, "setup: as task %s left it", task->prepared_by);
		/* The same commit as that layer stands on: one copy is enough. */
		struct error later;
		if (strcmp(own, task->clone_layer) != 0)
			task_layer_discard(own, &later);
		r = task_phase_begin(task, PHASE_SETUP, 0, error);
		return r < 0 ? r
			     : task_phase_end(task, PHASE_SETUP, 0, "cached", 0, 0,
				       task->prepared_by, error);
	}
	r = make(task, error);
	if (r < 0)
		task_prepared_give_up(task);
	return r;
}
