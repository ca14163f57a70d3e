#include "run/denials.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static int make(void **state)
{
	*state = denials_new();
	return *state ? 0 : -1;
}

static int drop(void **state)
{
	denials_free(*state);
	return 0;
}

static void test_equal_ones_are_counted(void **state)
{
	struct denials *denials = *state;
	prctl(PR_SET_NAME, "first name");
	denials_add(denials, getpid(), "mkdir", "P2", ".git/hooks", EPERM, "a protected name");
	denials_add(denials, getpid(), "mkdir", "P2", ".git/hooks", EPERM, "a protected name");
	denials_add(denials, getpid(), "mkdir", "P2", ".git/hooks", EACCES, "a protected name");
	prctl(PR_SET_NAME, "second name");
	denials_add(denials, getpid(), "mkdir", "P2", ".git/hooks", EPERM, "a protected name");

	assert_int_equal(denials_count(denials), 3);
	struct denial denial;
	assert_true(denials_get(denials, 0, &denial));
	assert_int_equal(denial.count, 2);
	assert_int_equal(denial.pid, getpid());
	assert_int_equal(denial.errno_value, EPERM);
	assert_string_equal(denial.call, "mkdir");
	assert_string_equal(denial.promise, "P2");
	assert_string_equal(denial.program, "first name");
	assert_string_equal(denial.target, ".git/hooks");
	assert_string_equal(denial.reason, "a protected name");
	assert_true(denial.time_ms > 1500000000000);
	assert_true(denials_get(denials, 1, &denial));
	assert_int_equal(denial.errno_value, EACCES);
	assert_true(denials_get(denials, 2, &denial));
	assert_string_equal(denial.program, "second name");
	assert_false(denials_get(denials, 3, &denial));
}

static void test_long_and_raw_texts(void **state)
{
	struct denials *denials = *state;
	char target[sizeof(((struct denial *)NULL)->target) + 100];
	memset(target, 'x', sizeof(target) - 1);
	target[sizeof(target) - 1] = '\0';
	denials_add_named(denials, 1, "\033[31mred", "connect", "P3", target, EPERM, target);
	target[sizeof(target) - 2] = 'y'; /* beyond what is kept: equal all the same */
	denials_add_named(denials, 1, "\033[31mred", "connect", "P3", target, EPERM, target);

	struct denial denial;
	assert_int_equal(denials_count(denials), 1);
	assert_true(denials_get(denials, 0, &denial));
	assert_int_equal(denial.count, 2);
	assert_int_equal(strlen(denial.target), sizeof(denial.target) - 1);
	assert_int_equal(strlen(denial.reason), sizeof(denial.reason) - 1);
	assert_string_equal(denial.program, "\033[31mred");
}

static void test_full_table(void **state)
{
	struct denials *denials = *state;
	char target[16];
	for (int i = 0; i < MAX_DENIALS + 5; i++) {
		snprintf(target, sizeof(target), "%d", i);
		denials_add_named(denials, 1, "sh", "connect", "P3", target, EPERM, "network");
	}
	denials_add_named(denials, 1, "sh", "connect", "P3", "0", EPERM, "network");
	assert_int_equal(denials_count(denials), MAX_DENIALS);
	assert_int_equal(denials->lost, 5);
	struct denial denial;
	assert_true(denials_get(denials, 0, &denial));
	assert_int_equal(denial.count, 2);
}

static void test_counts_do_not_wrap(void **state)
{
	struct denials *denials = *state;
	denials_add_named(denials, 1, "sh", "connect", "P3", "x", EPERM, "network");
	denials->items[0].count = UINT32_MAX;
	denials_add_named(denials, 1, "sh", "connect", "P3", "x", EPERM, "network");
	struct denial denial;
	assert_true(denials_get(denials, 0, &denial));
	assert_int_equal(denial.count, UINT32_MAX);
}

/* Whatever the other process does to the shared memory, reading it stays within bounds. */
static void test_hostile_table(void **state)
{
	struct denials *denials = *state;
	memset(denials, 0xff, sizeof(*denials));
	assert_int_equal(denials_count(denials), MAX_DENIALS);
	struct denial denial;
	assert_true(denials_get(denials, MAX_DENIALS - 1, &denial));
	assert_int_equal(strlen(denial.reason), sizeof(denial.reason) - 1);
	assert_int_equal(strlen(denial.target), sizeof(denial.target) - 1);
	assert_false(denials_get(denials, MAX_DENIALS, &denial));
	denials_add_named(denials, 1, "sh", "connect", "P3", "x", EPERM, "network");
}

enum { WRITERS = 4, TARGETS = 40, ROUNDS = 2000 };

/* Nothing is lost and nothing is torn when processes add at once, and none waits for one that was
 * killed in the middle. */
static void test_many_writers(void **state)
{
	struct denials *denials = *state;
	pid_t pids[WRITERS + 1];
	for (int w = 0; w <= WRITERS; w++) {
		pids[w] = fork();
		assert_true(pids[w] >= 0);
		if (pids[w])
			continue;
		bool endless = w == WRITERS; /* this one will be killed */
		for (int i = 0; i < ROUNDS || endless; i++) {
			char target[16];
			snprintf(target, sizeof(target), "%d", i % TARGETS);
			denials_add_named(denials, 1, endless ? "killed" : "sh", "connect", "P3",
				target, EPERM, target);
		}
		_exit(0);
	}
	usleep(2000);
	kill(pids[WRITERS], SIGKILL);
	for (int w = 0; w <= WRITERS; w++)
		assert_int_equal(waitpid(pids[w], NULL, 0), pids[w]);

	unsigned total = 0;
	struct denial denial;
	for (size_t i = 0; i < denials_count(denials); i++) {
		if (!denials_get(denials, i, &denial))
			continue;
		assert_string_equal(denial.reason, denial.target);
		if (!strcmp(denial.program, "sh"))
			total += denial.count;
	}
	assert_int_equal(denials->lost, 0);
	assert_int_equal(total, WRITERS * ROUNDS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_equal_ones_are_counted, make, drop),
		cmocka_unit_test_setup_teardown(test_long_and_raw_texts, make, drop),
		cmocka_unit_test_setup_teardown(test_full_table, make, drop),
		cmocka_unit_test_setup_teardown(test_counts_do_not_wrap, make, drop),
		cmocka_unit_test_setup_teardown(test_hostile_table, make, drop),
		cmocka_unit_test_setup_teardown(test_many_writers, make, drop),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
