/* The plan's word on refusals, on a plan that is made by hand. */
#include "base/cleanup.h"
#include "witness/judge.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const struct profile local = {.name = "local", .view = VIEW_HOST};
static const struct profile strict = {.name = "strict", .view = VIEW_STRICT};

static struct plan_place places[] = {
	{.path = (char *)"/", .host = (char *)"/", .access = PLACE_READ, .why = "default"},
	{.path = (char *)"/home/me/ws", .access = PLACE_WRITE, .why = "workspace"},
	{.path = (char *)"/home/me/ws/.git",
		.access = PLACE_READ,
		.why = ".git",
		.promise = true,
		.restricts = true},
	{.path = (char *)"/home/me/ws/.env",
		.access = PLACE_READ,
		.why = ".env*",
		.restricts = true,
		.secret = true},
	{.path = (char *)"/home/me/ws/fixed",
		.access = PLACE_READ,
		.why = "--read-only",
		.rule = (char *)"/etc/coffer/coffer.toml:3",
		.restricts = true},
	{.path = (char *)"/home/me/.ssh", .access = PLACE_HIDDEN, .why = "SSH keys"},
	{.path = (char *)"/srv/secret",
		.access = PLACE_HIDDEN,
		.why = "--deny-read",
		.rule = (char *)"--deny-read /srv/secret"},
	{.path = (char *)"/run", .access = PLACE_ABSENT, .why = "private"},
};
static struct plan_mount mounts[] = {
	{.target = (char *)"/home/me/ws"},
	{.target = (char *)"/home/me/ws/.env"},
	{.target = (char *)"/home/me/ws/vendor", .pin = true},
};

static struct plan plan_of(enum tier tier)
{
	return (struct plan){.tier = tier,
		.mode = MODE_WORKSPACE_WRITE,
		.profile = &local,
		.workspace = (char *)"/home/me/ws",
		.places = places,
		.places_count = ARRAY_SIZE(places),
		.mounts = mounts,
		.mounts_count = ARRAY_SIZE(mounts)};
}

static void test_what_a_plan_explains(void **state)
{
	(void)state;
	static const struct {
		enum tier tier;
		const char *path;
		int wants, errno_value;
		bool by_mode;
		const char *promise; /* NULL: it does not */
	} rows[] = {
		{TIER_CONTAINER, "/etc/x", WITNESS_WRITE, EROFS, false, "P1"},
		{TIER_CONTAINER, "/etc/x", WITNESS_ENTRY, EROFS, true, "P1"},
		{TIER_CONTAINER, "/etc/x", WITNESS_READ, EACCES, false, NULL},
		{TIER_CONTAINER, "/etc/x", WITNESS_WRITE, EACCES, true, NULL},
		{TIER_CONTAINER, "/etc/x", WITNESS_WRITE, EACCES, false, "P1"},
		{TIER_CONTAINER, "/etc/x", WITNESS_WRITE, EPERM, false, NULL},
		{TIER_CONTAINER, "/etc/x", WITNESS_WRITE, ENOENT, false, NULL},
		{TIER_LANDLOCK, "/etc/x", WITNESS_WRITE, EACCES, false, "P1"},
		{TIER_LANDLOCK, "/etc/x", WITNESS_WRITE, EACCES, true, NULL},
		{TIER_LANDLOCK, "/etc/x", WITNESS_WRITE, EROFS, false, NULL},
		{TIER_CONTAINER, "/home/me/ws/a", WITNESS_WRITE, EACCES, false, NULL},
		{TIER_CONTAINER, "/home/me/ws/a", WITNESS_ENTRY, EROFS, false, NULL},
		{TIER_CONTAINER, "/home/me/ws/.git/config", WITNESS_WRITE, EROFS, false, "P2"},
		{TIER_CONTAINER, "/home/me/ws/.gitx", WITNESS_WRITE, EROFS, false, NULL},
		{TIER_CONTAINER, "/home/me/ws/.env", WITNESS_WRITE, EROFS, false, "P4"},
		{TIER_CONTAINER, "/home/me/ws/.env", WITNESS_ENTRY, EBUSY, false, "P4"},
		{TIER_CONTAINER, "/home/me/ws/vendor", WITNESS_ENTRY, EBUSY, false, "P2"},
		{TIER_CONTAINER, "/home/me/ws/other", WITNESS_ENTRY, EBUSY, false, NULL},
		{TIER_CONTAINER, "/home/me/.ssh/id", WITNESS_READ, EACCES, true, "P4"},
		{TIER_CONTAINER, "/home/me/.ssh/id", WITNESS_READ, EIO, false, NULL},
		{TIER_CONTAINER, "/run/docker.sock", WITNESS_READ, ENOENT, false, "P4"},
		{TIER_CONTAINER, "/runner", WITNESS_READ, ENOENT, false, NULL},
	};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct plan plan = plan_of(rows[i].tier);
		struct attempt attempt = {
			rows[i].path, rows[i].wants, rows[i].errno_value, rows[i].by_mode};
		struct judgement judgement;
		bool refused = judge_path(&plan, &attempt, &judgement);
		if (refused != (rows[i].promise != NULL) ||
			(refused && strcmp(judgement.promise, rows[i].promise) != 0))
			fail_msg("row %zu: %s", i, refused ? judgement.promise : "not refused");
	}
}

static void test_rules_and_what_would_allow(void **state)
{
	(void)state;
	static const struct {
		const char *promise, *call, *target, *resolved, *rule, *says, *allow_with;
	} rows[] = {
		{"P1", "open", "x", "/home/me/other/x", "", "default", "--write /home/me/other"},
		{"P1", "open", "/srv/it's/x", "", "", "default", "--write '/srv/it'\\''s'"},
		{"P1", "open", "/srv/a b/x", "", "", "default", "--write '/srv/a b'"},
		{"P1", "mkdir", "/x", "", "", "default", ""},
		{"P1", "open", "/proc/sys/x", "", "", "default", ""},
		{"P1", "open", "/home/me/.config/coffer/coffer.toml", "", "", "default", ""},
		{"P1", "open", "fixed/x", "/home/me/ws/fixed/x", "", "/etc/coffer/coffer.toml:3",
			""},
		{"P2", "mkdir", ".git/hooks", "/home/me/ws/.git/hooks", "", "default", ""},
		{"P2", "open", "x", "/home/me/ws/.git/index.lock", "", "default", "--git commit"},
		{"P4", "open", "x", "/home/me/ws/.env", "", "default", ""},
		{"P4", "open", "/home/me/.ssh/id", "", "", "default",
			"--allow-read /home/me/.ssh/id"},
		{"P4", "open", "/srv/secret/x", "", "", "--deny-read /srv/secret", ""},
		{"P3", "connect", "example.org:443", "", "", "default",
			"--allow-domain example.org:443"},
		{"P3", "connect", "192.0.2.1:80", "", "", "default", "--allow-cidr 192.0.2.1:80"},
		{"P3", "connect", "[2001:db8::1]:80", "", "", "default",
			"--allow-cidr [2001:db8::1]:80"},
		{"P3", "connect", "example.org:443", "", "deny-domain example.org",
			"deny-domain example.org", ""},
		{"P3", "connect", "/srv/app.sock", "", "", "default", "--allow-unix /srv/app.sock"},
		{"P3", "connect", "@abstract", "", "", "default", ""},
		{"P7", "unshare", "0x10000000, 0, 0, 0", "", "", "default", "--allow-userns"},
		{"P7", "bpf", "0, 0, 0, 0", "", "", "default", ""},
		{"P5", "kill", "1", "", "", "default", ""},
	};
	struct plan plan = plan_of(TIER_CONTAINER);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct explanation explanation;
		judge_explain(&plan, rows[i].promise, rows[i].call, rows[i].target,
			rows[i].resolved, rows[i].rule, &explanation);
		if (strcmp(explanation.rule, rows[i].says) != 0 ||
			(strcmp(explanation.allow_with, rows[i].allow_with) != 0 &&
				!strstr(rows[i].allow_with, "2001")))
			fail_msg("row %zu: %s, %s", i, explanation.rule, explanation.allow_with);
	}
}

static void test_other_modes_and_profiles(void **state)
{
	(void)state;
	struct explanation explanation;
	struct plan plan = plan_of(TIER_CONTAINER);
	plan.mode = MODE_READ_ONLY;
	plan.mode_rule = (char *)"--mode read-only";
	judge_explain(&plan, "P1", "open", "x", "/srv/x/y", "", &explanation);
	assert_string_equal(explanation.allow_with, "--mode workspace-write --write /srv/x");
	assert_string_equal(explanation.rule, "--mode read-only");
	plan.profile = &strict;
	judge_explain(&plan, "P3", "connect", "example.org:443", "", "", &explanation);
	assert_string_equal(explanation.allow_with, "");
	plan.private_root = true;
	judge_explain(&plan, "P1", "open", "x", "/srv/x/y", "", &explanation);
	assert_string_equal(explanation.allow_with, "");
}

static void test_endless_names(void **state)
{
	(void)state;
	static char path[4000];
	memset(path, '\'', sizeof(path) - 1);
	path[0] = '/';
	path[2000] = '/';
	struct plan plan = plan_of(TIER_CONTAINER);
	struct explanation explanation;
	judge_explain(&plan, "P1", "open", path, "", "", &explanation);
	assert_string_equal(explanation.allow_with, "");
	memset(path + 1, 'x', sizeof(path) - 2);
	judge_explain(&plan, "P4", "open", path, "", "", &explanation);
	assert_string_equal(explanation.allow_with, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_a_plan_explains),
		cmocka_unit_test(test_rules_and_what_would_allow),
		cmocka_unit_test(test_other_modes_and_profiles),
		cmocka_unit_test(test_endless_names),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
