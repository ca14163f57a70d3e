/* Filling a policy: every key, what is refused and what is then said, what contradicts itself. */
#include "base/cleanup.h"
#include "base/limits.h"
#include "policy/policy.h"
#include "policy/profile.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static int new_policy(void **state)
{
	return policy_new((struct policy **)state);
}

static int free_policy(void **state)
{
	policy_free(*state);
	return 0;
}

static void set(struct policy *policy, const char *key, const char *value)
{
	struct error error = {0};
	if (policy_set(policy, key, value, &error) != 0)
		fail_msg("--%s %s: %s", key, value ? value : "", error.message);
}

/* Setting fails, and message and hint hold what is given. */
static void refuse(struct policy *policy, const char *key, const char *value, const char *message,
	const char *hint)
{
	struct error error = {0};
	int r = policy_set(policy, key, value, &error);
	if (r >= 0)
		fail_msg("--%s %s was taken", key, value ? value : "");
	assert_int_equal(r, -error.errno_value);
	assert_string_equal(error.stage, "policy");
	if (!strstr(error.message, message))
		fail_msg("--%s %.40s: '%s' is not in '%s'", key, value ? value : "", message,
			error.message);
	if (!strstr(error.hint, hint))
		fail_msg("--%s %.40s: '%s' is not in the hint '%s'", key, value ? value : "", hint,
			error.hint);
}

static void the_default_is_the_profile_local(void **state)
{
	const struct policy *policy = *state;
	assert_string_equal(policy->profile->name, "local");
	assert_int_equal(policy->mode, MODE_UNSET);
	assert_int_equal(policy->isolation, ISOLATION_AUTO);
	assert_int_equal(policy->git, GIT_READ_ONLY);
	assert_int_equal(policy->limits_asked, 0);
	assert_int_equal(policy_validate(policy, NULL), 0);
}

static void keys_set_what_they_say(void **state)
{
	struct policy *policy = *state;
	set(policy, "mode", "read-only");
	set(policy, "mode", "workspace-write"); /* the last one counts */
	set(policy, "isolation", "container");
	set(policy, "profile", "ci");
	set(policy, "git", "commit");
	set(policy, "directory", "somewhere");
	set(policy, "directory", "/else/where");
	set(policy, "write", "a");
	set(policy, "read-only", "a/b");
	set(policy, "deny-read", "**/secret");
	set(policy, "allow-read", "/c");
	set(policy, "env", "A");
	set(policy, "env", "B=");
	set(policy, "device", "/dev/kvm");
	set(policy, "share-tmp", NULL);
	set(policy, "capture", NULL);
	assert_int_equal(policy->mode, MODE_WORKSPACE_WRITE);
	assert_int_equal(policy->isolation, ISOLATION_CONTAINER);
	assert_string_equal(policy->profile->name, "ci");
	assert_int_equal(policy->git, GIT_COMMIT);
	assert_string_equal(policy->directory, "/else/where");
	assert_int_equal(policy->paths_count, 4);
	static const enum path_access order[] = {
		ACCESS_WRITE, ACCESS_READ_ONLY, ACCESS_DENY_READ, ACCESS_ALLOW_READ};
	for (size_t i = 0; i < ARRAY_SIZE(order); i++)
		assert_int_equal(policy->paths[i].access, order[i]);
	assert_string_equal(policy->paths[2].path, "**/secret");
	assert_int_equal(policy->environment.count, 2);
	assert_string_equal(policy->devices.items[0], "/dev/kvm");
	assert_true(policy->share_tmp);
	assert_true(policy->capture);
	assert_false(policy->environment_all);
	assert_false(policy->best_effort);
}

static void limits_add_up(void **state)
{
	struct policy *policy = *state;
	set(policy, "limit", "memory=512M,cpu=0.5,time=30s");
	set(policy, "limit", "pids=10k,inodes=7,files=64,output=1M,tmp=2M,disk=3M,grace=5s");
	set(policy, "limit", "memory=1G,pids=none");
	const struct limits *limits = &policy->limits;
	assert_int_equal(limits->memory_bytes, 1 << 30);
	assert_int_equal(limits->cpu_milli, 500);
	assert_int_equal(limits->time_ms, 30000);
	assert_int_equal(limits->pids, 0);
	assert_int_equal(limits->inodes, 7);
	assert_int_equal(limits->open_files, 64);
	assert_int_equal(limits->output_bytes, 1 << 20);
	assert_int_equal(limits->tmp_bytes, 2 << 20);
	assert_int_equal(limits->disk_bytes, 3 << 20);
	assert_int_equal(limits->grace_ms, 5000);
	assert_int_equal(policy->limits_asked, (LIMIT_GRACE << 1) - 1);
}

static void a_bad_limit_changes_nothing(void **state)
{
	struct policy *policy = *state;
	set(policy, "limit", "memory=512M");
	static const char *const bad[][3] = {
		{"memory=1G,cpu=fast", "cpu='fast' is not a value", ""},
		{"memory=1G,memroy=1M", "no limit 'memroy'", "'memory'"},
		{"memory=1G,zzzzzz=1", "no limit 'zzzzzz'", "limits are: memory, cpu"},
		{"memory=1G,pids=0", "too small", ""},
		{"memory=1G,pids", "pids='' is not a value", ""},
		{"memory=1G,,pids=3", "no limit ''", ""},
		{"memory=1G,", "no limit ''", ""},
		{"memory=1k", "too small", ""},
		{"memory=-5", "is not a value", ""},
		{"time=30parsecs", "is not a value", ""},
		{"cpu=1h", "is not a value", ""},
		{"", "is empty", ""},
	};
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		refuse(policy, "limit", bad[i][0], bad[i][1], bad[i][2]);
	assert_int_equal(policy->limits.memory_bytes, 512 << 20);
	assert_int_equal(policy->limits.cpu_milli, 0);
	assert_int_equal(policy->limits_asked, LIMIT_MEMORY);
}

static void mistakes_name_the_nearest(void **state)
{
	struct policy *policy = *state;
	static const char *const bad[][4] = {
		{"wirte", "x", "no option '--wirte'", "--write"},
		{"isolatoin", "auto", "no option", "--isolation"},
		{"qqqqqqqqq", "x", "no option", ""},
		{"mode", "readonly", "not one of: read-only, workspace-write", "'read-only'"},
		{"isolation", "landlok", "not one of", "'landlock'"},
		{"git", "comit", "not one of: off, commit", "'commit'"},
		{"profile", "strickt", "no profile 'strickt'", "'strict'"},
		{"profile", "qqqqqqq", "no profile", "coffer profiles"},
		{"mode", NULL, "needs a value: --mode MODE", ""},
		{"share-tmp", "yes", "takes no value", ""},
		{"write", "", "is empty", ""},
		{"directory", "", "is empty", ""},
		{"env", "=x", "neither NAME nor NAME=VALUE", ""},
		{"env", "1A=x", "neither NAME nor NAME=VALUE", ""},
		{"env", "", "is empty", ""},
		{"device", "kvm", "not an absolute path", ""},
	};
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		refuse(policy, bad[i][0], bad[i][1], bad[i][2], bad[i][3]);
	assert_int_equal(policy->paths_count, 0);
	assert_int_equal(policy->mode, MODE_UNSET);
	assert_null(policy->directory);
}

static void every_key_says_when_it_lacks_its_value(void **state)
{
	struct policy *policy = *state;
	size_t count;
	const struct policy_key *keys = policy_keys(&count);
	assert_true(count >= 19);
	for (size_t i = 0; i < count; i++)
		if (keys[i].argument)
			refuse(policy, keys[i].name, NULL, "needs a value", "");
		else
			refuse(policy, keys[i].name, "x", "takes no value", "");
}

static void entries_are_bounded(void **state)
{
	struct policy *policy = *state;
	char path[MAX_PATH_BYTES + 1];
	memset(path, 'a', sizeof(path));
	path[MAX_PATH_BYTES] = '\0';
	refuse(policy, "write", path, "at most 4095 are allowed", "");
	path[MAX_PATH_BYTES - 1] = '\0';
	set(policy, "write", path);
	for (size_t i = 1; i < MAX_POLICY_PATHS; i++)
		set(policy, "deny-read", "/x");
	refuse(policy, "deny-read", "/x", "more than 1024 paths", "");
	assert_int_equal(policy->paths_count, MAX_POLICY_PATHS);
	for (size_t i = 0; i < MAX_POLICY_ENV; i++)
		set(policy, "env", "A=1");
	refuse(policy, "env", "A=1", "more than 1024 times", "");
}

struct setting {
	const char *key, *value;
};

static int validate(const struct setting *settings, struct error *error)
{
	struct policy *policy;
	assert_int_equal(policy_new(&policy), 0);
	for (; settings->key; settings++)
		set(policy, settings->key, settings->value);
	int r = policy_validate(policy, error);
	policy_free(policy);
	return r;
}

static void contradictions_are_named(void **state)
{
	(void)state;
	static const struct {
		struct setting settings[4];
		const char *message;
	} rows[] = {
		{{{"mode", "read-only"}, {"write", "/x"}}, "--write with --mode read-only"},
		{{{"mode", "read-only"}, {"git", "commit"}}, "--git commit with --mode read-only"},
		{{{"mode", "danger-full-access"}, {"write", "/x"}}, "path rules with"},
		{{{"mode", "danger-full-access"}, {"read-only", "/x"}}, "path rules with"},
		{{{"mode", "danger-full-access"}, {"deny-read", "/x"}}, "path rules with"},
		{{{"mode", "danger-full-access"}, {"git", "commit"}}, "path rules with"},
		{{{"mode", "danger-full-access"}, {"isolation", "container"}}, "--isolation with"},
		{{{"mode", "danger-full-access"}, {"profile", "strict"}}, "locked profile"},
		{{{"profile", "strict"}, {"isolation", "landlock"}}, "needs namespaces"},
		{{{"profile", "cloud"}, {"isolation", "landlock"}}, "needs namespaces"},
		{{{"profile", "strict"}, {"write", "/x"}}, "with --profile strict"},
		{{{"profile", "strict"}, {"share-tmp", NULL}}, "with --profile strict"},
		{{{"profile", "strict"}, {"best-effort", NULL}}, "--best-effort"},
		{{{"profile", "cloud"}, {"best-effort", NULL}}, "--best-effort"},
		{{{"profile", "strict"}, {"allow-userns", NULL}}, "--allow-userns"},
		{{{"profile", "ci"}, {"env-all", NULL}}, "--env-all"},
		{{{"python-path", "/x"}}, "--python-path without"},
	};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct error error = {0};
		assert_int_equal(validate(rows[i].settings, &error), -EINVAL);
		if (!strstr(error.message, rows[i].message))
			fail_msg("'%s' is not in '%s'", rows[i].message, error.message);
		assert_true(error.hint[0] != '\0'); /* each says what to do */
	}
}

static void what_goes_together_passes(void **state)
{
	(void)state;
	static const struct setting rows[][4] = {
		{{"mode", "workspace-write"}, {"write", "/x"}, {"git", "commit"}},
		{{"mode", "read-only"}, {"deny-read", "/x"}, {"isolation", "landlock"}},
		{{"mode", "danger-full-access"}, {"env-all", NULL}, {"limit", "time=1s"}},
		{{"profile", "strict"}, {"python-path", "/x"}, {"isolation", "container"}},
		{{"profile", "ci"}, {"isolation", "landlock"}, {"best-effort", NULL}},
		{{"write", "/x"}, {"read-only", "/x/y"}, {"allow-userns", NULL}},
	};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct error error = {0};
		if (validate(rows[i], &error) != 0)
			fail_msg("row %zu: %s", i, error.message);
	}
}

static void the_locked_profiles_are_locked(void **state)
{
	(void)state;
	const struct profile *strict = profile_find("strict");
	assert_int_equal(strict->limits.memory_bytes, 512 << 20);
	assert_int_equal(strict->limits.cpu_milli, 1000);
	assert_int_equal(strict->limits.pids, 10000);
	assert_int_equal(strict->limits.disk_bytes, 100 << 20);
	assert_int_equal(strict->limits.output_bytes, 1 << 20);
	assert_int_equal(strict->limits.time_ms, 30000);
	assert_int_equal(strict->limits.grace_ms, 0);
	assert_true(strict->must_enforce && strict->anonymous && strict->capture);
	const struct profile *cloud = profile_find("cloud");
	assert_int_equal(cloud->limits.cpu_milli, 4000);
	assert_int_equal(cloud->limits.memory_bytes, 16ULL << 30);
	assert_int_equal(cloud->limits.disk_bytes, 50ULL << 30);
	assert_int_equal(cloud->limits.time_ms, 4 * 3600 * 1000);
	assert_int_equal(cloud->limits.tmp_bytes, 1 << 30);
	assert_int_equal(cloud->limits.grace_ms, 10000);
	assert_false(cloud->landlock_tier_allowed || strict->landlock_tier_allowed);
	size_t count;
	const struct profile *table = profile_table(&count);
	assert_int_equal(count, 5);
	for (size_t i = 0; i < count; i++)
		assert_true(table[i].limits.pids > 0); /* a pids limit is on by default */
	assert_null(profile_find("Strict"));
}

int main(void)
{
#define WITH_POLICY(test) cmocka_unit_test_setup_teardown(test, new_policy, free_policy)
	const struct CMUnitTest tests[] = {
		WITH_POLICY(the_default_is_the_profile_local),
		WITH_POLICY(keys_set_what_they_say),
		WITH_POLICY(limits_add_up),
		WITH_POLICY(a_bad_limit_changes_nothing),
		WITH_POLICY(mistakes_name_the_nearest),
		WITH_POLICY(every_key_says_when_it_lacks_its_value),
		WITH_POLICY(entries_are_bounded),
		cmocka_unit_test(contradictions_are_named),
		cmocka_unit_test(what_goes_together_passes),
		cmocka_unit_test(the_locked_profiles_are_locked),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
