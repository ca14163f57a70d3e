#include "gate/hooks_internal.h"

#include "base/cleanup.h"
#include "base/limits.h"

#include <errno.h>
#include <string.h>

/* ---- from configuration ---- */

/* Keeps a copy of what *string points at. */
static int keep(struct hooks *hooks, const char **string)
{
	if (!*string)
		return 0;
	int r = strv_add(&hooks->strings, *string);
	if (r == 0)
		*string = hooks->strings.items[hooks->strings.count - 1];
	return r;
}

static int copy_string(const char *string, char **ret)
{
	*ret = string ? strdup(string) : NULL;
	return string && !*ret ? -ENOMEM : 0;
}

static int find_places(struct hooks *hooks)
{
	struct config_where where = {0};
	struct error error = {0};
	cleanup_strv struct strv storage = {0};
	int r = config_where(hooks->where.directory, &where, &storage, &error);
	if (r == 0)
		r = copy_string(where.workspace, &hooks->workspace);
	if (r == 0)
		r = copy_string(where.home, &hooks->home);
	if (r == 0)
		r = copy_string(where.state_dir, &hooks->state_dir);
	hooks->directory = hooks->workspace ? hooks->workspace : hooks->where.directory;
	const char *path = getenv("PATH");
	if (r == 0)
		r = hooks_clean_path(path ? path : "", hooks->directory, &hooks->path);
	if (r == 0 && !*hooks->path) {
		free(hooks->path);
		r = copy_string("/usr/local/bin:/usr/bin:/bin", &hooks->path);
	}
	return r;
}

static bool may_run(const struct config_hook *hook)
{
	return hook->managed || hook->trusted;
}

int hooks_new(const struct config *config, const struct hooks_where *where, struct hooks **ret)
{
	struct hooks *hooks = calloc(1, sizeof(*hooks));
	if (!hooks)
		return -ENOMEM;
	hooks->config = config;
	hooks->where = *where;
	const char **strings[] = {&hooks->where.session_id, &hooks->where.directory,
		&hooks->where.transcript, &hooks->where.permission_mode, &hooks->where.model,
		&hooks->where.cwd};
	int r = 0;
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(strings); i++)
		r = keep(hooks, strings[i]);
	bool any = false;
	for (size_t i = 0; i < config->hooks_count; i++)
		any = any || may_run(&config->hooks[i]);
	if (r == 0 && any) {
		hooks->hooks = calloc(config->hooks_count, sizeof(*hooks->hooks));
		r = hooks->hooks ? find_places(hooks) : -ENOMEM;
	}
	for (size_t i = 0; r == 0 && any && i < config->hooks_count; i++)
		if (may_run(&config->hooks[i]))
			r = hook_prepare(hooks, &config->hooks[i], &hooks->hooks[hooks->count++]);
	if (r < 0) {
		hooks_free(hooks);
		return r;
	}
	*ret = hooks;
	return 0;
}

void hooks_free(struct hooks *hooks)
{
	if (!hooks)
		return;
	for (size_t i = 0; i < hooks->count; i++)
		prepared_hook_release(&hooks->hooks[i]);
	free(hooks->hooks);
	free(hooks->workspace);
	free(hooks->home);
	free(hooks->state_dir);
	free(hooks->path);
	strv_release(&hooks->strings);
	free(hooks);
}

int hooks_waiting(const struct config *config, struct strv *ret)
{
	int r = 0;
	for (size_t i = 0; r == 0 && i < config->hooks_count; i++) {
		const struct config_hook *hook = &config->hooks[i];
		if (may_run(hook))
			continue;
		cleanup_free char *name = hook_name(hook);
		char *sentence = NULL;
		if (!name || asprintf(&sentence,
				     "the %s hook %s waits for trust (`coffer hooks trust`); until "
				     "then it does not run",
				     hook_event_name(hook->event), name) < 0)
			return -ENOMEM;
		r = strv_add_owned(ret, sentence);
	}
	return r;
}

/* ---- an event ---- */

static int set_string(json_t *object, const char *name, const char *value)
{
	json_t *string = json_null();
	if (value) {
		/* A path may be any bytes; JSON is UTF-8. */
		cleanup_free char *text = hook_text(value, strlen(value));
		string = text ? json_string(text) : NULL;
	}
	return json_object_set_new(object, name, string) < 0 ? -ENOMEM : 0;
}

/* The event as hooks get it: the common fields, then those of this one. */
static int make_input(
	const struct hooks *hooks, enum hook_event event, const json_t *fields, struct buffer *ret)
{
	const struct hooks_where *where = &hooks->where;
	const struct {
		const char *name, *value;
	} common[] = {
		{"session_id", where->session_id},
		{"transcript_path", where->transcript},
		{"cwd", where->cwd ? where->cwd : where->directory},
		{"permission_mode", where->permission_mode ? where->permission_mode : "default"},
		{"hook_event_name", hook_event_name(event)},
		{"model", where->model},
	};
	json_t *input = json_object();
	int r = input ? 0 : -ENOMEM;
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(common); i++)
		r = set_string(input, common[i].name, common[i].value);
	if (r == 0 && fields && json_object_update_missing(input, (json_t *)fields) < 0)
		r = -ENOMEM;
	char *text = r == 0 ? json_dumps(input, JSON_COMPACT) : NULL;
	json_decref(input);
	if (r == 0 && !text)
		return -ENOMEM;
	if (r == 0) {
		buffer_append_string(ret, text);
		buffer_append(ret, "\n", 1);
		r = buffer_error(ret);
	}
	free(text);
	return r;
}

void hook_results_free(struct hook_result *results, size_t count)
{
	for (size_t i = 0; results && i < count; i++) {
		buffer_release(&results[i].output);
		buffer_release(&results[i].complaint);
		hook_outcome_release(&results[i].outcome);
	}
	free(results);
}

static int select_hooks(struct hooks *hooks, enum hook_event event, const char *subject,
	struct hook_result **ret, size_t *ret_count)
{
	struct hook_result *results = calloc(hooks->count + 1, sizeof(*results));
	size_t count = 0;
	if (!results)
		return -ENOMEM;
	for (size_t i = 0; i < hooks->count; i++) {
		const struct prepared_hook *prepared = &hooks->hooks[i];
		if (prepared->hook->event != event ||
			!hook_matcher_takes(prepared->hook->matcher, subject))
			continue;
		struct hook_result *result = &results[count++];
		result->prepared = prepared;
		result->output.max_bytes = result->complaint.max_bytes = MAX_HOOK_OUTPUT_BYTES;
	}
	*ret = results;
	*ret_count = count;
	return 0;
}

/* Each hook's own outcome, and the whole, which keeps copies of nothing. */
static int judge(enum hook_event event, struct hook_result *results, size_t count,
	struct hook_outcome *whole)
{
	int r = 0;
	for (size_t i = 0; r == 0 && i < count; i++) {
		const struct prepared_hook *prepared = results[i].prepared;
		bool allow = prepared->hook->on_error_allow;
		struct hook_outcome part = {0};
		r = hook_answer(event, &results[i].end, prepared->name, allow, &part);
		if (r == 0)
			r = hook_answer(
				event, &results[i].end, prepared->name, allow, &results[i].outcome);
		if (r == 0)
			r = hook_outcome_merge(whole, &part);
		hook_outcome_release(&part);
	}
	return r;
}

int hooks_fire_each(struct hooks *hooks, enum hook_event event, const char *subject, json_t *fields,
	struct hook_result **ret, size_t *ret_count, struct hook_outcome *ret_outcome,
	struct error *error)
{
	struct hook_result *results = NULL;
	size_t count = 0;
	*ret_outcome = (struct hook_outcome){0};
	*ret = NULL;
	*ret_count = 0;
	int r = select_hooks(hooks, event, subject, &results, &count);
	cleanup_buffer struct buffer input = BUFFER_INIT(MAX_MESSAGE_BYTES);
	if (r == 0 && count)
		r = make_input(hooks, event, fields, &input);
	if (r == 0 && count)
		r = hooks_run(hooks, event, &input, results, count);
	if (r == 0)
		r = judge(event, results, count, ret_outcome);
	if (r < 0) {
		hook_results_free(results, count);
		hook_outcome_release(ret_outcome);
		/* Whoever does not look at what is returned still sees a no. */
		ret_outcome->says = HOOK_SAYS_DENY;
		return error_set_errno(error, -r, "hooks", "the %s hooks", hook_event_name(event));
	}
	*ret = results;
	*ret_count = count;
	return 0;
}

int hooks_fire(struct hooks *hooks, enum hook_event event, const char *subject, json_t *fields,
	struct hook_outcome *ret, struct error *error)
{
	struct hook_result *results;
	size_t count;
	int r = hooks_fire_each(hooks, event, subject, fields, &results, &count, ret, error);
	if (r == 0)
		hook_results_free(results, count);
	return r;
}
