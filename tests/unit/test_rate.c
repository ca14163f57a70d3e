/* Token buckets under a clock of the test's own. */
#include "egress/egress.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

static uint64_t now_us;

/* In place of the C library's. */
int clock_gettime(clockid_t clock, struct timespec *ret)
{
	(void)clock;
	ret->tv_sec = (time_t)(now_us / 1000000);
	ret->tv_nsec = (long)(now_us % 1000000) * 1000;
	return 0;
}

static void pass_ms(uint64_t ms)
{
	now_us += ms * 1000;
}

static struct rate *make(struct network_limits limits)
{
	struct egress egress = {.policy.limits = limits};
	struct rate *rate = NULL;
	struct error error = {0};
	now_us = 1000000000;
	assert_int_equal(rate_new(&egress, &rate, &error), 0);
	return rate;
}

static void test_no_limit(void **state)
{
	(void)state;
	struct rate *rate = make((struct network_limits){0});
	for (int i = 0; i < 100000; i++)
		assert_int_equal(rate_request(rate), 0);
	int wait_ms = -1;
	assert_int_equal(rate_bytes(rate, 0, 1 << 20, &wait_ms), 1 << 20);
	assert_int_equal(wait_ms, -1);
	rate_free(rate);
}

static void test_connections_wait(void **state)
{
	(void)state;
	struct rate *rate = make((struct network_limits){.connections_per_second = 10});
	for (int i = 0; i < 10; i++)
		assert_int_equal(rate_connection(rate), 0);
	int wait_ms = rate_connection(rate);
	assert_in_range(wait_ms, 100, 101);
	pass_ms(50);
	assert_true(rate_connection(rate) > 0);
	pass_ms(51);
	assert_int_equal(rate_connection(rate), 0);
	assert_true(rate_connection(rate) > 0);
	/* A pause gives the burst back, and no more. */
	pass_ms(3600 * 1000);
	for (int i = 0; i < 10; i++)
		assert_int_equal(rate_connection(rate), 0);
	assert_true(rate_connection(rate) > 0);
	rate_free(rate);
}

/* A crowd is given slots one after the other, each at most a second away. */
static void test_waiters_are_spread(void **state)
{
	(void)state;
	struct rate *rate = make((struct network_limits){.connections_per_second = 100});
	for (int i = 0; i < 100; i++)
		assert_int_equal(rate_connection(rate), 0);
	int last = 0;
	for (int i = 0; i < 50; i++) {
		int wait_ms = rate_connection(rate);
		assert_in_range(wait_ms, last + 9, last + 12);
		last = wait_ms;
	}
	for (int i = 0; i < 500; i++)
		assert_in_range(rate_connection(rate), 1, 1001);
	rate_free(rate);
}

/* However often it is asked, not one more than the rate passes. */
static void test_the_rate_holds(void **state)
{
	(void)state;
	struct rate *rate = make((struct network_limits){.requests_per_minute = 100});
	unsigned passed = 0;
	for (unsigned ms = 0; ms < 10 * 60 * 1000; ms++) {
		passed += rate_request(rate) == 0;
		pass_ms(1);
	}
	assert_in_range(passed, 1095, 1100); /* the burst of a minute, and ten minutes */
	rate_free(rate);
}

static void test_refuse(void **state)
{
	(void)state;
	struct rate *rate =
		make((struct network_limits){.requests_per_minute = 60, .refuse = true});
	for (int i = 0; i < 60; i++)
		assert_int_equal(rate_request(rate), 0);
	assert_int_equal(rate_request(rate), -EDQUOT);
	pass_ms(1001);
	assert_int_equal(rate_request(rate), 0);
	assert_int_equal(rate_request(rate), -EDQUOT);
	rate_free(rate);
}

static void test_bytes(void **state)
{
	(void)state;
	const uint64_t per_second = 10 * 1000 * 1000;
	struct rate *rate = make((struct network_limits){.bytes_per_second = per_second});
	for (int direction = 0; direction < 2; direction++) {
		uint64_t moved = 0, began_us = now_us;
		while (now_us - began_us < 10 * 1000000) {
			int wait_ms = 0;
			ssize_t n = rate_bytes(rate, direction, 1 << 20, &wait_ms);
			assert_true(n > 0 || (n == 0 && wait_ms > 0));
			if (n > 0) {
				rate_used(rate, direction, (size_t)n);
				moved += (uint64_t)n;
			} else {
				pass_ms((uint64_t)wait_ms);
			}
		}
		/* Ten seconds' worth, a burst of a tenth, nothing lost to rounding. */
		assert_in_range(
			moved, 10 * per_second - per_second / 10, 10 * per_second + per_second / 5);
	}
	rate_free(rate);
}

/* What could not be cut is paid for before anything else goes. */
static void test_owed_bytes(void **state)
{
	(void)state;
	struct rate *rate = make((struct network_limits){.bytes_per_second = 100 * 1000});
	int wait_ms = 0;
	uint64_t began_us = now_us;
	for (int i = 0; i < 100; i++) {
		while (rate_bytes(rate, 1, 1, &wait_ms) == 0)
			pass_ms((uint64_t)wait_ms);
		rate_used(rate, 1, 60 * 1000);
	}
	/* 6 MB at 100 kB/s, but for the burst and the last one. */
	assert_in_range(now_us - began_us, 58 * 1000000, 61 * 1000000);
	rate_free(rate);
}

/* Without a limit of the policy's connections wait at some rate all the same. */
static void test_default_connections(void **state)
{
	(void)state;
	struct rate *rate = make((struct network_limits){.refuse = true});
	for (int i = 0; i < 2000; i++)
		assert_int_equal(rate_connection(rate), 0);
	assert_in_range(rate_connection(rate), 1, 2);
	pass_ms(1000);
	for (int i = 0; i < 1000; i++)
		assert_int_equal(rate_connection(rate), 0);
	assert_in_range(rate_connection(rate), 1, 2);
	rate_free(rate);
}

static void test_total(void **state)
{
	(void)state;
	struct rate *rate = make((struct network_limits){.total_bytes = 1000});
	int wait_ms = 0;
	assert_int_equal(rate_bytes(rate, 0, 5000, &wait_ms), 1000);
	rate_used(rate, 0, 400);
	assert_int_equal(rate_bytes(rate, 1, 5000, &wait_ms), 600);
	rate_used(rate, 1, 600);
	assert_int_equal(rate_bytes(rate, 0, 1, &wait_ms), -EDQUOT);
	assert_int_equal(rate_connection(rate), -EDQUOT);
	assert_int_equal(rate_request(rate), -EDQUOT);
	rate_free(rate);
}

/* The largest numbers that can be written overflow nothing. */
static void test_extremes(void **state)
{
	(void)state;
	struct rate *rate = make((struct network_limits){.connections_per_second = UINT64_MAX,
		.requests_per_minute = UINT64_MAX,
		.bytes_per_second = UINT64_MAX,
		.total_bytes = UINT64_MAX});
	for (int i = 0; i < 1000; i++) {
		int wait_ms = 0;
		assert_int_equal(rate_connection(rate), 0);
		assert_int_equal(rate_request(rate), 0);
		ssize_t n = rate_bytes(rate, 0, 1 << 20, &wait_ms);
		assert_true(n > 0);
		rate_used(rate, 0, (size_t)n);
		pass_ms(i % 2 ? 1 : UINT32_MAX);
	}
	rate_free(rate);
	rate = make((struct network_limits){.connections_per_second = 1});
	assert_int_equal(rate_connection(rate), 0);
	assert_in_range(rate_connection(rate), 1000, 1001);
	rate_free(rate);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_limit),
		cmocka_unit_test(test_connections_wait),
		cmocka_unit_test(test_waiters_are_spread),
		cmocka_unit_test(test_the_rate_holds),
		cmocka_unit_test(test_refuse),
		cmocka_unit_test(test_bytes),
		cmocka_unit_test(test_owed_bytes),
		cmocka_unit_test(test_default_connections),
		cmocka_unit_test(test_total),
		cmocka_unit_test(test_extremes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
