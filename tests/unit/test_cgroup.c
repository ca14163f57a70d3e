/* The control group mechanism on made-up hierarchies. What a kernel must show: live_cgroup.c. */
#include "base/cleanup.h"
#include "confine/cgroup_internal.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <cmocka.h>

/* A temporary directory that holds "own", "mounts" and a tree below "fs". */
static char top[] = "/tmp/coffer-test-cgroup-XXXXXX";

static const char *in_top(const char *name)
{
	static char paths[4][4096];
	static unsigned next;
	char *path = paths[next++ % 4];
	snprintf(path, sizeof(paths[0]), "%s/%s", top, name);
	return path;
}

static void write_file(const char *name, const char *text)
{
	FILE *file = fopen(in_top(name), "w");
	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
}

/* A group as the kernel shows it; subtree: NULL on v1. */
static void make_group(const char *name, const char *subtree)
{
	char file[4096];
	assert_int_equal(mkdir(in_top(name), 0755), 0);
	snprintf(file, sizeof(file), "%s/cgroup.procs", name);
	write_file(file, "");
	if (subtree) {
		snprintf(file, sizeof(file), "%s/cgroup.subtree_control", name);
		write_file(file, subtree);
	}
}

static int set_up(void **state)
{
	(void)state;
	strcpy(top + strlen(top) - 6, "XXXXXX");
	return mkdtemp(top) && mkdir(in_top("fs"), 0755) == 0 ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	char command[sizeof(top) + 16];
	snprintf(command, sizeof(command), "rm -rf %s", top);
	return system(command);
}

/* Looks for hierarchies with these two files, in which @ stands for the temporary directory. */
static void find(const char *own, const char *mounts, unsigned wanted, struct hierarchies *ret)
{
	char text[8192];
	size_t length = 0;
	for (const char *s = mounts; *s; s++)
		length += (size_t)snprintf(text + length, sizeof(text) - length,
			*s == '@' ? "%s" : "%.1s", *s == '@' ? top : s);
	write_file("own", own);
	write_file("mounts", text);
	char own_path[4096], mounts_path[4096];
	snprintf(own_path, sizeof(own_path), "%s/own", top);
	snprintf(mounts_path, sizeof(mounts_path), "%s/mounts", top);
	struct cgroup_source source = {
		.own_groups = own_path, .mounts = mounts_path, .usual = in_top("fs")};
	hierarchies_find(&source, wanted, ret);
}

static const char v2_mount[] = "30 20 0:26 / @/fs/all rw - cgroup2 cgroup2 rw\n";

static void test_v2_takes_the_delegated_parent(void **state)
{
	(void)state;
	make_group("fs/all", "cpu memory pids");
	make_group("fs/all/session", "cpu memory pids");
	make_group("fs/all/session/shell", "");
	struct hierarchies found;
	find("0::/session/shell\n", v2_mount, CONTROLLERS_OF_LIMITS, &found);
	assert_int_equal(found.kind, CGROUP_V2);
	assert_int_equal(found.count, 1);
	assert_int_equal(found.items[0].version, 2);
	assert_string_equal(found.items[0].parent, in_top("fs/all/session"));
	assert_int_equal(found.items[0].controllers, CONTROLLERS_OF_LIMITS | CONTROLLER_FREEZER);
	hierarchies_release(&found);
}

static void test_v2_prefers_the_nearest_that_has_all(void **state)
{
	(void)state;
	make_group("fs/all", "cpu memory pids");
	make_group("fs/all/slice", "memory pids");
	make_group("fs/all/slice/scope", "");
	struct hierarchies found;
	find("0::/slice/scope\n", v2_mount, CONTROLLER_MEMORY, &found);
	assert_string_equal(found.items[0].parent, in_top("fs/all/slice"));
	hierarchies_release(&found);
	find("0::/slice/scope\n", v2_mount, CONTROLLERS_OF_LIMITS, &found);
	assert_string_equal(found.items[0].parent, in_top("fs/all"));
	hierarchies_release(&found);
}

static void test_v2_stops_at_what_is_not_delegated(void **state)
{
	(void)state;
	make_group("fs/all", "cpu memory pids");
	make_group("fs/all/slice", "memory pids");
	assert_int_equal(unlink(in_top("fs/all/slice/cgroup.procs")), 0);
	make_group("fs/all/slice/scope", "");
	struct hierarchies found;
	find("0::/slice/scope\n", v2_mount, CONTROLLERS_OF_LIMITS, &found);
	assert_int_equal(found.count, 1);
	assert_int_equal(found.items[0].controllers, CONTROLLER_FREEZER);
	hierarchies_release(&found);
}

static void test_v1_own_group_of_each_controller(void **state)
{
	(void)state;
	make_group("fs/pids", NULL);
	make_group("fs/pids/job 1", NULL);
	make_group("fs/cpu,cpuacct", NULL);
	make_group("fs/memory", NULL);
	struct hierarchies found;
	find("9:name=systemd:/x\n8:pids:/job 1\n4:cpu,cpuacct:/\n3:memory:/gone\n2:cpuset:/\n",
		"31 20 0:26 / @/fs/pids rw - cgroup cgroup rw,pids\n"
		"32 20 0:27 / @/fs/memory rw - cgroup cgroup rw,memory\n"
		"33 20 0:28 / @/fs/cpu,cpuacct rw,nosuid shared:9 - cgroup cgroup rw,cpu,cpuacct\n",
		CONTROLLERS_OF_LIMITS, &found);
	assert_int_equal(found.kind, CGROUP_V1);
	assert_int_equal(found.count, 2); /* memory's directory is not there */
	assert_string_equal(found.items[0].parent, in_top("fs/pids/job 1"));
	assert_int_equal(found.items[0].controllers, CONTROLLER_PIDS);
	assert_string_equal(found.items[1].parent, in_top("fs/cpu,cpuacct"));
	assert_int_equal(found.items[1].controllers, CONTROLLER_CPU | CONTROLLER_CPUACCT);
	hierarchies_release(&found);
}

static void test_hybrid_uses_the_empty_tree_to_freeze(void **state)
{
	(void)state;
	make_group("fs/pids", NULL);
	make_group("fs/all", "");
	char mounts[512];
	snprintf(mounts, sizeof(mounts), "%s31 20 0:27 / @/fs/pids rw - cgroup cgroup rw,pids\n",
		v2_mount);
	struct hierarchies found;
	find("8:pids:/\n0::/\n", mounts, CONTROLLER_PIDS, &found);
	assert_int_equal(found.kind, CGROUP_HYBRID);
	assert_int_equal(found.count, 2);
	assert_int_equal(found.items[1].version, 2);
	assert_int_equal(found.items[1].controllers, CONTROLLER_FREEZER);
	hierarchies_release(&found);
}

static void test_a_mount_of_a_part(void **state)
{
	(void)state;
	make_group("fs/all", "memory");
	make_group("fs/all/inner", "");
	struct hierarchies found;
	/* A container's view: the mount shows /docker/1 only. */
	find("0::/docker/1/inner\n", "30 20 0:26 /docker/1 @/fs/all rw - cgroup2 cgroup2 rw\n",
		CONTROLLER_MEMORY, &found);
	assert_int_equal(found.count, 1);
	assert_string_equal(found.items[0].parent, in_top("fs/all"));
	hierarchies_release(&found);
}

static void test_what_lies_outside_the_namespace_is_not_ours(void **state)
{
	(void)state;
	make_group("fs/all", "cpu memory pids");
	static const struct {
		const char *own, *mounts;
	} cases[] = {
		{"0::/\n", "30 20 0:26 /../.. @/fs/all rw - cgroup2 cgroup2 rw\n"},
		{"0::/../other\n", "30 20 0:26 / @/fs/all rw - cgroup2 cgroup2 rw\n"},
		{"0::/a\n", "30 20 0:26 /b @/fs/all rw - cgroup2 cgroup2 rw\n"},
		{"0::/ab\n", "30 20 0:26 /a @/fs/all rw - cgroup2 cgroup2 rw\n"},
		{"0::/\n", "30 20 0:26 / @/fs/all rw - cgroup cgroup rw,memory\n"},
		{"0::/\n", ""},
		{"0::/\n", "30 20 0:26 /\n - \n- cgroup2\n30 20 0:26 / @/fs/all rw - cgroup2\n"},
		{"", "30 20 0:26 / @/fs/all rw - cgroup2 cgroup2 rw\n"},
		{"0\n::\n0::relative\n", "30 20 0:26 / @/fs/all rw - cgroup2 cgroup2 rw\n"},
	};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct hierarchies found;
		find(cases[i].own, cases[i].mounts, CONTROLLERS_OF_LIMITS, &found);
		assert_int_equal(found.count, 0);
		assert_int_equal(found.kind, CGROUP_NONE);
	}
}

static void test_escaped_mount_point(void **state)
{
	(void)state;
	make_group("fs/a b", "memory");
	struct hierarchies found;
	find("0::/\n", "30 20 0:26 / @/fs/a\\040b rw - cgroup2 cgroup2 rw\n", CONTROLLER_MEMORY,
		&found);
	assert_int_equal(found.count, 1);
	assert_string_equal(found.items[0].parent, in_top("fs/a b"));
	hierarchies_release(&found);
}

static void test_cpu_bandwidth(void **state)
{
	(void)state;
	static const struct {
		uint64_t milli, quota_us, period_us;
	} cases[] = {
		{1000, 100000, 100000},
		{250, 25000, 100000},
		{10, 1000, 100000},
		{1, 1000, 1000000},
		{9, 9000, 1000000},
		{4000, 400000, 100000},
		{UINT64_MAX, 6553600000, 100000},
	};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct cpu_bandwidth got = cpu_bandwidth(cases[i].milli);
		assert_int_equal(got.quota_us, cases[i].quota_us);
		assert_int_equal(got.period_us, cases[i].period_us);
	}
}

static void test_keyed_text(void **state)
{
	(void)state;
	const char *events = "low 0\noom 3\noom_kill 12\noom_group_kill 1\n";
	uint64_t number = 0;
	assert_true(group_text_key(events, "oom_kill", &number));
	assert_int_equal(number, 12);
	assert_true(group_text_key(events, "low", &number));
	assert_int_equal(number, 0);
	assert_false(group_text_key(events, "max", &number));
	assert_false(group_text_key("max max\n", "max", &number));
	assert_false(group_text_key("", "max", &number));
	assert_false(group_text_key("oom_kill", "oom_kill", &number));
}

static bool exists(const char *name)
{
	return access(in_top(name), F_OK) == 0;
}

static void test_sweep_takes_only_what_nobody_holds(void **state)
{
	(void)state;
	assert_int_equal(mkdir(in_top("fs/coffer-1-dead"), 0700), 0);
	assert_int_equal(mkdir(in_top("fs/coffer-2-held"), 0700), 0);
	assert_int_equal(mkdir(in_top("fs/coffer"), 0700), 0);
	assert_int_equal(mkdir(in_top("fs/other-1-dead"), 0700), 0);
	assert_int_equal(symlink("other-1-dead", in_top("fs/coffer-3-link")), 0);
	cleanup_close int held = open(in_top("fs/coffer-2-held"), O_RDONLY | O_CLOEXEC);
	assert_int_equal(flock(held, LOCK_EX), 0);
	cleanup_close int parent = open(in_top("fs"), O_RDONLY | O_CLOEXEC);
	cgroup_sweep(parent, 0);
	assert_false(exists("fs/coffer-1-dead"));
	assert_true(exists("fs/coffer-2-held"));
	assert_true(exists("fs/coffer"));
	assert_true(exists("fs/other-1-dead"));
	assert_true(exists("fs/coffer-3-link"));
	close_fd(&held);
	cgroup_sweep(parent, 0);
	assert_false(exists("fs/coffer-2-held"));
}

static void test_sweep_leaves_other_users_groups(void **state)
{
	(void)state;
	if (geteuid() != 0)
		skip();
	assert_int_equal(mkdir(in_top("fs/coffer-1-other"), 0700), 0);
	assert_int_equal(chown(in_top("fs/coffer-1-other"), 12345, 12345), 0);
	cleanup_close int parent = open(in_top("fs"), O_RDONLY | O_CLOEXEC);
	cgroup_sweep(parent, 0);
	assert_true(exists("fs/coffer-1-other"));
}

static size_t count_leftovers(int total)
{
	size_t left = 0;
	for (int i = 0; i < total; i++) {
		char name[64];
		snprintf(name, sizeof(name), "fs/coffer-%d-dead", i);
		left += exists(name);
	}
	return left;
}

static void test_sweep_is_bounded_and_gets_everywhere(void **state)
{
	(void)state;
	enum { TOTAL = 3 * MAX_SWEPT_GROUPS };
	for (int i = 0; i < TOTAL; i++) {
		char name[64];
		snprintf(name, sizeof(name), "fs/coffer-%d-dead", i);
		assert_int_equal(mkdir(in_top(name), 0700), 0);
	}
	cleanup_close int parent = open(in_top("fs"), O_RDONLY | O_CLOEXEC);
	cgroup_sweep(parent, UINT64_MAX);
	assert_int_equal(count_leftovers(TOTAL), TOTAL - MAX_SWEPT_GROUPS);
	cgroup_sweep(parent, 7);
	cgroup_sweep(parent, 0);
	assert_int_equal(count_leftovers(TOTAL), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(test_v2_takes_the_delegated_parent),
		TEST(test_v2_prefers_the_nearest_that_has_all),
		TEST(test_v2_stops_at_what_is_not_delegated),
		TEST(test_v1_own_group_of_each_controller),
		TEST(test_hybrid_uses_the_empty_tree_to_freeze),
		TEST(test_a_mount_of_a_part),
		TEST(test_what_lies_outside_the_namespace_is_not_ours),
		TEST(test_escaped_mount_point),
		TEST(test_cpu_bandwidth),
		TEST(test_keyed_text),
		TEST(test_sweep_takes_only_what_nobody_holds),
		TEST(test_sweep_leaves_other_users_groups),
		TEST(test_sweep_is_bounded_and_gets_everywhere),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
