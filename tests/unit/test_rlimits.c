#include "confine/rlimits.h"

#include "base/cleanup.h"

#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <cmocka.h>

/* What one resource is in a child that has applied the plan: soft limit, or -1 where soft and hard
 * differ. The child starts with hard limits lowered to hard_before, unless that is 0. */
static int64_t applied(
	const struct plan *plan, uint64_t user_processes, int resource, rlim_t hard_before)
{
	int ends[2];
	assert_int_equal(pipe(ends), 0);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		struct rlimit limit = {.rlim_cur = hard_before, .rlim_max = hard_before};
		if (hard_before && setrlimit(resource, &limit) < 0)
			_exit(1);
		struct error error;
		if (rlimits_apply(plan, user_processes, &error) < 0 ||
			getrlimit(resource, &limit) < 0)
			_exit(1);
		int64_t value = limit.rlim_cur == limit.rlim_max ? (int64_t)limit.rlim_cur : -1;
		_exit(write(ends[1], &value, sizeof(value)) == sizeof(value) ? 0 : 1);
	}
	int status;
	int64_t value = 0;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	assert_int_equal(read(ends[0], &value, sizeof(value)), sizeof(value));
	close(ends[0]);
	close(ends[1]);
	return value;
}

static int64_t inherited(int resource)
{
	struct rlimit limit;
	assert_int_equal(getrlimit(resource, &limit), 0);
	return limit.rlim_cur == limit.rlim_max ? (int64_t)limit.rlim_cur : -1;
}

/* What is left of value where the test itself may not have more. */
static int64_t lowered(int resource, rlim_t value)
{
	struct rlimit limit;
	assert_int_equal(getrlimit(resource, &limit), 0);
	return (int64_t)(value < limit.rlim_max ? value : limit.rlim_max);
}

static void test_processes(void **state)
{
	(void)state;
	struct plan plan = {.tier = TIER_CONTAINER};
	assert_int_equal(
		applied(&plan, 70, RLIMIT_NPROC, 0), lowered(RLIMIT_NPROC, RLIMITS_DEFAULT_PIDS));
	plan.limits.pids = 100;
	assert_int_equal(applied(&plan, 70, RLIMIT_NPROC, 0), 100);
	assert_int_equal(applied(&plan, 70, RLIMIT_NPROC, 50), 50); /* never raised */
	plan.tier = TIER_LANDLOCK;
	assert_int_equal(applied(&plan, 70, RLIMIT_NPROC, 0), 170);
	plan.limits.pids = 0;
	assert_int_equal(applied(&plan, 70, RLIMIT_NPROC, 0),
		lowered(RLIMIT_NPROC, 70 + RLIMITS_DEFAULT_PIDS));
}

static void test_what_the_policy_asks(void **state)
{
	(void)state;
	struct plan plan = {.tier = TIER_CONTAINER};
	assert_int_equal(applied(&plan, 0, RLIMIT_FSIZE, 0), inherited(RLIMIT_FSIZE));
	assert_int_equal(applied(&plan, 0, RLIMIT_NOFILE, 0), inherited(RLIMIT_NOFILE));
	plan.limits.disk_bytes = 1 << 20;
	plan.limits.open_files = 64;
	assert_int_equal(applied(&plan, 0, RLIMIT_FSIZE, 0), 1 << 20);
	assert_int_equal(applied(&plan, 0, RLIMIT_NOFILE, 0), 64);
	assert_int_equal(applied(&plan, 0, RLIMIT_NOFILE, 32), 32);
}

static void test_what_every_box_has(void **state)
{
	(void)state;
	struct plan plan = {.tier = TIER_LANDLOCK};
	assert_int_equal(applied(&plan, 0, RLIMIT_CORE, 0), 1);
	assert_int_equal(applied(&plan, 0, RLIMIT_RTPRIO, 0), 0);
	assert_int_equal(applied(&plan, 0, RLIMIT_NICE, 0), 0);
	assert_true(applied(&plan, 0, RLIMIT_SIGPENDING, 0) <= 8192);
	assert_true(applied(&plan, 0, RLIMIT_MSGQUEUE, 0) <= 819200);
	assert_true(applied(&plan, 0, RLIMIT_MEMLOCK, 0) <= 8 * 1024 * 1024);
	assert_int_equal(applied(&plan, 0, RLIMIT_AS, 0), inherited(RLIMIT_AS));
}

static void test_full_access_has_only_what_was_asked(void **state)
{
	(void)state;
	struct plan plan = {.tier = TIER_NONE, .limits = {.open_files = 40}};
	assert_int_equal(applied(&plan, 9, RLIMIT_NOFILE, 0), 40);
	assert_int_equal(applied(&plan, 9, RLIMIT_CORE, 0), inherited(RLIMIT_CORE));
	assert_int_equal(applied(&plan, 9, RLIMIT_NPROC, 0), inherited(RLIMIT_NPROC));
	plan.limits.pids = 11;
	assert_int_equal(applied(&plan, 9, RLIMIT_NPROC, 0), 20);
}

static void *wait_for_end(void *end)
{
	char byte;
	(void)!read(*(int *)end, &byte, 1);
	return NULL;
}

static void test_count_of_user_processes(void **state)
{
	(void)state;
	enum { CHILDREN = 40, THREADS = 10 };
	uint64_t before = rlimits_count_user_processes(geteuid());
	assert_true(before >= 1);
	int end[2], ready[2];
	assert_int_equal(pipe(end), 0);
	assert_int_equal(pipe(ready), 0);
	for (int i = 0; i < CHILDREN; i++) {
		pid_t pid = fork();
		assert_true(pid >= 0);
		if (pid == 0) {
			close(end[1]);
			pthread_t thread;
			for (int t = 0; i == 0 && t < THREADS; t++)
				if (pthread_create(&thread, NULL, wait_for_end, &end[0]) != 0)
					_exit(1);
			(void)!write(ready[1], "r", 1);
			wait_for_end(&end[0]);
			_exit(0);
		}
	}
	char byte;
	for (int i = 0; i < CHILDREN; i++)
		assert_int_equal(read(ready[0], &byte, 1), 1);
	uint64_t during = rlimits_count_user_processes(geteuid());
	close(end[1]);
	for (int i = 0; i < CHILDREN; i++)
		wait(NULL);
	/* Others of the same user come and go meanwhile: half the margin is theirs. */
	assert_true(during >= before + (CHILDREN + THREADS) / 2);
	assert_true(during <= before + (CHILDREN + THREADS) * 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_processes),
		cmocka_unit_test(test_what_the_policy_asks),
		cmocka_unit_test(test_what_every_box_has),
		cmocka_unit_test(test_full_access_has_only_what_was_asked),
		cmocka_unit_test(test_count_of_user_processes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
