/* What was asked for, as a record: its fields in one table, for release and for JSON. */
#include "task/task.h"

#include "base/cleanup.h"
#include "base/limits.h"
#include "coffer.h"
#include "layer/layer.h"

#include <ctype.h>
#include <string.h>
#include <sys/stat.h>

static const char stage[] = "task";

enum field_kind { FIELD_TEXT, FIELD_LIST, FIELD_COUNT, FIELD_FLAG };

static const struct field {
	const char *name;
	enum field_kind kind;
	size_t offset;
} fields[] = {
	{"repository", FIELD_TEXT, offsetof(struct task_spec, repository)},
	{"ref", FIELD_TEXT, offsetof(struct task_spec, ref)},
	{"filter", FIELD_TEXT, offsetof(struct task_spec, filter)},
	{"depth", FIELD_COUNT, offsetof(struct task_spec, depth)},
	{"no_submodules", FIELD_FLAG, offsetof(struct task_spec, no_submodules)},
	{"ssh_agent", FIELD_FLAG, offsetof(struct task_spec, ssh_agent)},
	{"setup", FIELD_TEXT, offsetof(struct task_spec, setup)},
	{"setup_file", FIELD_TEXT, offsetof(struct task_spec, setup_file)},
	{"agent", FIELD_TEXT, offsetof(struct task_spec, agent)},
	{"prompt", FIELD_TEXT, offsetof(struct task_spec, prompt)},
	{"prompt_file", FIELD_TEXT, offsetof(struct task_spec, prompt_file)},
	{"check", FIELD_TEXT, offsetof(struct task_spec, check)},
	{"environment", FIELD_LIST, offsetof(struct task_spec, environment)},
	{"agent_environment", FIELD_LIST, offsetof(struct task_spec, agent_environment)},
	{"secrets", FIELD_LIST, offsetof(struct task_spec, secrets)},
	{"domains", FIELD_LIST, offsetof(struct task_spec, domains)},
	{"agent_domains", FIELD_LIST, offsetof(struct task_spec, agent_domains)},
	{"limits", FIELD_LIST, offsetof(struct task_spec, limits)},
	{"setup_limits", FIELD_LIST, offsetof(struct task_spec, setup_limits)},
	{"home", FIELD_TEXT, offsetof(struct task_spec, home)},
	{"attempts", FIELD_COUNT, offsetof(struct task_spec, attempts)},
	{"jobs", FIELD_COUNT, offsetof(struct task_spec, jobs)},
	{"refresh", FIELD_FLAG, offsetof(struct task_spec, refresh)},
	{"scrub", FIELD_FLAG, offsetof(struct task_spec, scrub)},
	{"leaks_allowed", FIELD_LIST, offsetof(struct task_spec, leaks_allowed)},
	{"unsearched_refused", FIELD_FLAG, offsetof(struct task_spec, unsearched_refused)},
	{"branch_in", FIELD_TEXT, offsetof(struct task_spec, branch_in)},
	{"pull_request", FIELD_TEXT, offsetof(struct task_spec, pull_request)},
};

static void *place(const struct task_spec *spec, const struct field *field)
{
	return (char *)(uintptr_t)spec + field->offset;
}

void task_spec_release(struct task_spec *spec)
{
	for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
		if (fields[i].kind == FIELD_TEXT)
			free(*(char **)place(spec, &fields[i]));
		else if (fields[i].kind == FIELD_LIST)
			strv_release(place(spec, &fields[i]));
	}
	*spec = (struct task_spec){0};
}

/* ---- JSON ---- */

static json_t *list_json(const struct strv *list)
{
	json_t *array = json_array();
	for (size_t i = 0; array && i < list->count; i++)
		if (json_array_append_new(array, json_string(list->items[i])) < 0) {
			json_decref(array);
			return NULL;
		}
	return array;
}

char *task_spec_json(const struct task_spec *spec)
{
	json_t *object = json_object();
	int r = object ? 0 : -1;
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(fields); i++) {
		const struct field *field = &fields[i];
		void *at = place(spec, field);
		json_t *value = NULL;
		switch (field->kind) {
		case FIELD_TEXT:
			if (!*(char **)at)
				continue;
			value = json_string(*(char **)at);
			break;
		case FIELD_LIST:
			value = list_json(at);
			break;
		case FIELD_COUNT:
			value = json_integer((json_int_t) * (uint64_t *)at);
			break;
		case FIELD_FLAG:
			value = json_boolean(*(bool *)at);
			break;
		}
		r = json_object_set_new(object, field->name, value);
	}
	char *text = r == 0 ? json_dumps(object, JSON_COMPACT) : NULL;
	json_decref(object);
	return text;
}

static int take_field(struct task_spec *spec, const struct field *field, const json_t *value)
{
	void *at = place(spec, field);
	size_t i;
	json_t *item;
	switch (field->kind) {
	case FIELD_TEXT:
		if (!json_is_string(value))
			return -EBADMSG;
		*(char **)at = strdup(json_string_value(value));
		return *(char **)at ? 0 : -ENOMEM;
	case FIELD_LIST:
		json_array_foreach((json_t *)(uintptr_t)value, i, item)
		{
			if (!json_is_string(item))
				return -EBADMSG;
			if (strv_add(at, json_string_value(item)) < 0)
				return -ENOMEM;
		}
		return 0;
	case FIELD_COUNT:
		*(uint64_t *)at = (uint64_t)json_integer_value(value);
		return 0;
	case FIELD_FLAG:
		*(bool *)at = json_is_true(value);
		return 0;
	}
	return -EBADMSG;
}

int task_spec_parse(const char *json, struct task_spec *ret, struct error *error)
{
	*ret = (struct task_spec){0};
	json_t *object = json_loads(json, 0, NULL);
	int r = json_is_object(object) ? 0 : -EBADMSG;
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(fields); i++) {
		const json_t *value = json_object_get(object, fields[i].name);
		if (value)
			r = take_field(ret, &fields[i], value);
	}
	json_decref(object);
	if (r == 0)
		return 0;
	task_spec_release(ret);
	return error_set_errno(error, -r, stage, "what a task was asked for cannot be read");
}

/* ---- what can be meant ---- */

static int check_assignments(const char *key, const struct strv *list, struct error *error)
{
	for (size_t i = 0; i < list->count; i++) {
		const char *item = list->items[i];
		size_t length = strcspn(item, "=");
		bool good = length > 0 && item[length] == '=' && !isdigit((unsigned char)item[0]);
		for (size_t k = 0; good && k < length; k++)
			good = isalnum((unsigned char)item[k]) || item[k] == '_';
		if (good)
			continue;
		error_set(error, EINVAL, stage, "%s: '%.*s' is not NAME=VALUE", key,
			(int)(length < 64 ? length : 64), item);
		return error_hint(error, "nothing of the host's environment goes into a task by "
					 "itself: write its value, or use a secret");
	}
	return 0;
}

/* Before anything is written down: what stands where a source is expected may be the value itself,
 * typed by mistake. So it is not repeated either. */
static int check_secret(const char *written, struct error *error)
{
	static const char *const schemes[] = {"env:", "file:", "command:"};
	size_t length = strspn(written, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
					"0123456789_");
	if (length == 0 || isdigit((unsigned char)written[0]) || written[length] != '=')
		error_set(error, EINVAL, stage,
			"secret: it is NAME=SOURCE, with a name like a variable's");
	else {
		const char *source = written + length + 1;
		for (size_t i = 0; i < ARRAY_SIZE(schemes); i++)
			if (strncmp(source, schemes[i], strlen(schemes[i])) == 0)
				return 0;
		cleanup_free char *variable = strndup(source, strcspn(source, ","));
		const char *rest = source + strcspn(source, ",");
		if (variable && getenv(variable) && (!*rest || strcmp(rest, ",file") == 0))
			return 0;
		error_set(error, ENOENT, stage,
			"secret %.*s: what follows the = is no source, nor a variable that is set",
			(int)(length < 64 ? length : 64), written);
	}
	return error_hint(error, "sources are env:VARIABLE, file:PATH, command:WORDS, or the name "
				 "of a variable");
}

static int check_secrets(const struct task_spec *spec, struct error *error)
{
	int r = 0;
	for (size_t i = 0; r == 0 && i < spec->secrets.count; i++)
		r = check_secret(spec->secrets.items[i], error);
	if (r == 0 && spec->secrets.count && !spec->setup && !spec->setup_file) {
		error_set(error, EINVAL, stage, "secrets are given, but no set-up to use them");
		r = error_hint(error, "an agent never gets one: --setup COMMAND does");
	}
	return r;
}

static bool is_secret(const struct task_spec *spec, const char *name)
{
	size_t length = strlen(name);
	for (size_t i = 0; i < spec->secrets.count; i++)
		if (strncmp(spec->secrets.items[i], name, length) == 0 &&
			spec->secrets.items[i][length] == '=')
			return true;
	return false;
}

/* Names a colleague of libcoffer's would refuse only after the clone. */
static int check_settings(const struct strv *settings, struct error *error)
{
	struct coffer_policy *policy = coffer_policy_new();
	int r = policy ? 0 : error_set_errno(error, ENOMEM, stage, "the policy");
	for (size_t i = 0; r == 0 && i < settings->count; i++) {
		struct coffer_error refused = {0};
		cleanup_free char *setting = strdup(settings->items[i]);
		char *value = setting ? strchr(setting, '=') : NULL;
		if (value)
			*value++ = '\0';
		if (!setting)
			r = error_set_errno(error, ENOMEM, stage, "the policy");
		else if (coffer_policy_set(policy, setting, value, &refused) < 0) {
			r = error_set(error, EINVAL, stage, "%s", refused.message);
			if (refused.hint[0])
				r = error_hint(error, "%s", refused.hint);
		}
	}
	coffer_policy_free(policy);
	return r;
}

static int check_network_and_limits(const struct task_spec *spec, struct error *error)
{
	cleanup_strv struct strv setup = {0}, agent = {0};
	int r = task_setup_settings(spec, &setup);
	if (r == 0)
		r = task_agent_settings(spec, true, &agent);
	if (r < 0)
		return error_set_errno(error, -r, stage, "the policy");
	r = check_settings(&setup, error);
	return r < 0 ? r : check_settings(&agent, error);
}

static int check_counts(struct task_spec *spec, struct error *error)
{
	if (spec->attempts == 0)
		spec->attempts = 1;
	if (spec->attempts > MAX_TASK_ATTEMPTS)
		return error_set(error, EINVAL, stage, "attempts: at most %d, not %llu",
			MAX_TASK_ATTEMPTS, (unsigned long long)spec->attempts);
	if (spec->jobs == 0 || spec->jobs > spec->attempts)
		spec->jobs = spec->attempts;
	return 0;
}

static int check_places(const struct task_spec *spec, struct error *error)
{
	struct stat st;
	if (spec->home && !layer_name_is_valid(spec->home)) {
		error_set(error, EINVAL, stage, "home: '%.64s' cannot be a name", spec->home);
		return error_hint(error, "letters, digits, '.', '_' and '-'");
	}
	if (spec->branch_in && (stat(spec->branch_in, &st) < 0 || !S_ISDIR(st.st_mode))) {
		error_set(
			error, ENOENT, stage, "branch-in: %s is not a directory", spec->branch_in);
		return error_hint(error, "make one: git init --bare %s", spec->branch_in);
	}
	return 0;
}

static int check_required(const struct task_spec *spec, struct error *error)
{
	if (!spec->repository || !*spec->repository) {
		error_set(error, EINVAL, stage, "no repository is given");
		return error_hint(error,
			"coffer task run REPOSITORY --agent COMMAND; or `repository` "
			"in coffer-task.toml");
	}
	if (!spec->agent || !*spec->agent) {
		error_set(error, EINVAL, stage, "no agent is given");
		return error_hint(error, "--agent COMMAND: what is to work on the repository");
	}
	return 0;
}

int task_spec_finish(struct task_spec *spec, struct error *error)
{
	int r = check_required(spec, error);
	if (r == 0)
		r = check_counts(spec, error);
	if (r == 0)
		r = check_assignments("env", &spec->environment, error);
	if (r == 0)
		r = check_assignments("agent-env", &spec->agent_environment, error);
	if (r == 0)
		r = check_secrets(spec, error);
	for (size_t i = 0; r == 0 && i < spec->leaks_allowed.count; i++)
		if (!is_secret(spec, spec->leaks_allowed.items[i])) {
			error_set(error, EINVAL, stage, "on-leak: there is no secret '%.64s'",
				spec->leaks_allowed.items[i]);
			r = error_hint(error, "allow=NAME names one of --secret");
		}
	if (r == 0)
		r = check_places(spec, error);
	return r < 0 ? r : check_network_and_limits(spec, error);
}
