/* The words for what a task is: one table, for the command line and for coffer-task.toml. */
#include "task/task.h"

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/limits.h"
#include "base/path.h"
#include "base/suggest.h"
#include "base/units.h"

#include <string.h>
#include <sys/stat.h>

static const char stage[] = "task";

static void *place(struct task_spec *spec, const struct task_key *key)
{
	return (char *)spec + key->offset;
}

static int no_memory(const struct task_key *key, struct error *error)
{
	return error_set_errno(error, ENOMEM, stage, "%s", key->name);
}

static int put_text(char **to, char *text, const struct task_key *key, struct error *error)
{
	if (!text)
		return no_memory(key, error);
	free(*to);
	*to = text;
	return 0;
}

static int set_text(struct task_spec *spec, const char *directory, const char *value,
	const struct task_key *key, struct error *error)
{
	(void)directory;
	return put_text(place(spec, key), strdup(value), key, error);
}

static int set_path(struct task_spec *spec, const char *directory, const char *value,
	const struct task_key *key, struct error *error)
{
	return put_text(place(spec, key), path_absolute(directory, value), key, error);
}

static int add_text(struct task_spec *spec, const char *directory, const char *value,
	const struct task_key *key, struct error *error)
{
	(void)directory;
	struct strv *list = place(spec, key);
	if (list->count >= MAX_POLICY_ENV)
		return error_set(error, E2BIG, stage, "%s is given more than %d times", key->name,
			MAX_POLICY_ENV);
	return strv_add(list, value) < 0 ? no_memory(key, error) : 0;
}

static int set_count(struct task_spec *spec, const char *directory, const char *value,
	const struct task_key *key, struct error *error)
{
	(void)directory;
	uint64_t count;
	if (units_parse_count(value, &count) < 0 || count == 0)
		return error_set(error, EINVAL, stage, "%s: '%.64s' is not a number from 1 on",
			key->name, value);
	*(uint64_t *)place(spec, key) = count;
	return 0;
}

static int set_flag(struct task_spec *spec, const char *directory, const char *value,
	const struct task_key *key, struct error *error)
{
	(void)directory, (void)value, (void)error;
	*(bool *)place(spec, key) = true;
	return 0;
}

/* A directory here, or whatever git may know by that name. */
static int set_repository(struct task_spec *spec, const char *directory, const char *value,
	const struct task_key *key, struct error *error)
{
	struct stat st;
	cleanup_free char *here = path_absolute(directory, value);
	bool exists = here && stat(here, &st) == 0;
	return put_text(
		&spec->repository, exists ? steal_pointer(&here) : strdup(value), key, error);
}

/* A file that is there is copied in and run; all else is a command for the shell. */
static int set_setup(struct task_spec *spec, const char *directory, const char *value,
	const struct task_key *key, struct error *error)
{
	struct stat st;
	cleanup_free char *file = path_absolute(directory, value);
	bool exists = file && stat(file, &st) == 0 && S_ISREG(st.st_mode);
	free(spec->setup);
	free(spec->setup_file);
	spec->setup = spec->setup_file = NULL;
	return exists ? put_text(&spec->setup_file, steal_pointer(&file), key, error)
		      : put_text(&spec->setup, strdup(value), key, error);
}

static int set_prompt_file(struct task_spec *spec, const char *directory, const char *value,
	const struct task_key *key, struct error *error)
{
	struct stat st;
	cleanup_free char *file = path_absolute(directory, value);
	if (!file || stat(file, &st) < 0 || !S_ISREG(st.st_mode))
		return error_set(error, ENOENT, stage, "prompt-file: there is no file %s", value);
	return put_text(&spec->prompt_file, steal_pointer(&file), key, error);
}

static int set_on_leak(struct task_spec *spec, const char *directory, const char *value,
	const struct task_key *key, struct error *error)
{
	(void)directory;
	static const char allow[] = "allow=";
	if (strcmp(value, "fail") == 0 || strcmp(value, "scrub") == 0) {
		spec->scrub = value[0] == 's';
		return 0;
	}
	if (strcmp(value, "refuse-unsearched") == 0) {
		spec->unsearched_refused = true;
		return 0;
	}
	if (strncmp(value, allow, strlen(allow)) != 0) {
		error_set(error, EINVAL, stage,
			"on-leak: '%.64s' is not one of: fail, scrub, allow=NAME, "
			"refuse-unsearched",
			value);
		return error_hint(error, "allow=NAME,... lets these secrets stay where they are");
	}
	cleanup_free char *names = strdup(value + strlen(allow));
	char *rest = names;
	for (char *name; rest && (name = strsep(&rest, ","));)
		if (*name && strv_add(&spec->leaks_allowed, name) < 0)
			return no_memory(key, error);
	return names ? 0 : no_memory(key, error);
}

#define KEY(field) offsetof(struct task_spec, field)

static const struct task_key keys[] = {
	{"repository", "REPO", "a path or URL that git can clone (also without --repository)",
		set_repository, KEY(repository)},
	{"ref", "REF", "branch, tag or commit; default: what HEAD is there", set_text, KEY(ref)},
	{"depth", "N", "only the last N commits", set_count, KEY(depth)},
	{"filter", "FILTER", "a partial clone, such as blob:none", set_text, KEY(filter)},
	{"no-submodules", NULL, "leave submodules out", set_flag, KEY(no_submodules)},
	{"ssh-agent", NULL, "lend the clone your ssh agent: it signs, keys stay", set_flag,
		KEY(ssh_agent)},
	{"setup", "CMD|FILE", "set-up phase: with a network and the secrets", set_setup,
		KEY(setup)},
	{"agent", "CMD", "agent phase: offline, without secrets", set_text, KEY(agent)},
	{"prompt", "TEXT", "what the agent is told", set_text, KEY(prompt)},
	{"prompt-file", "FILE", "the same from a file", set_prompt_file, KEY(prompt_file)},
	{"check", "CMD", "says by its exit code whether the agent's work is good", set_text,
		KEY(check)},
	{"env", "NAME=VALUE", "a variable of all phases", add_text, KEY(environment), true},
	{"agent-env", "NAME=VALUE", "a variable of agent and check", add_text,
		KEY(agent_environment), true},
	{"secret", "NAME=SOURCE[,file]",
		"a secret of the set-up, from env:VARIABLE, file:PATH or command:WORDS", add_text,
		KEY(secrets), true},
	{"allow-domain", "NAME[:PORTS]", "open a name to clone and set-up", add_text, KEY(domains),
		true},
	{"agent-allow-domain", "NAME[:PORTS]", "open a name to the agent, which has none", add_text,
		KEY(agent_domains), true},
	{"limit", "LIST", "limits of agent and check: time=1h,memory=4G,...", add_text, KEY(limits),
		true},
	{"setup-limit", "LIST", "limits of the set-up", add_text, KEY(setup_limits), true},
	{"home", "NAME", "a home directory that lasts from task to task", set_text, KEY(home)},
	{"attempts", "N", "so many agents, side by side", set_count, KEY(attempts)},
	{"jobs", "K", "at most so many at a time", set_count, KEY(jobs)},
	{"refresh", NULL, "make the set-up anew, whatever is cached", set_flag, KEY(refresh)},
	{"on-leak", "fail|scrub|allow=NAME|refuse-unsearched",
		"a secret that the set-up left behind", set_on_leak, 0, true},
	{"branch-in", "BARE_REPO", "put the result there as branch coffer/ID", set_path,
		KEY(branch_in)},
	{"pull-request", "FILE", "write a pull request's text there", set_path, KEY(pull_request)},
};

const struct task_key *task_keys(size_t *ret_count)
{
	*ret_count = ARRAY_SIZE(keys);
	return keys;
}

int task_spec_set(struct task_spec *spec, const char *directory, const char *name,
	const char *value, struct error *error)
{
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		const struct task_key *key = &keys[i];
		if (strcmp(key->name, name) != 0)
			continue;
		if (key->argument && !value)
			return error_set(
				error, EINVAL, stage, "%s needs a value: %s", name, key->argument);
		if (!key->argument && value)
			return error_set(error, EINVAL, stage, "%s takes no value", name);
		if (value && !*value)
			return error_set(error, EINVAL, stage, "%s: the value is empty", name);
		if (value && strlen(value) >= MAX_POLICY_VALUE_BYTES)
			return error_set(error, E2BIG, stage, "%s: more than %d bytes", name,
				MAX_POLICY_VALUE_BYTES - 1);
		return key->set(spec, directory, value, key, error);
	}
	error_set(error, EINVAL, stage, "there is no '%.64s' in a task", name);
	const char *near = suggest_nearest(name, keys, ARRAY_SIZE(keys), sizeof(keys[0]));
	return near ? error_hint(error, "did you mean '%s'?", near)
		    : error_hint(error, "`coffer task run --help` lists what there is");
}
