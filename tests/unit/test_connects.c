#include "run/connects.h"

#include "base/clock.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

enum { PID = 4711 };

struct world {
	struct connects *connects;
	int socket;
	struct egress_record record; /* as egress tells of it */
};

static int make(void **state)
{
	static struct world world;
	struct sockaddr_in address = {
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t length = sizeof(address);
	struct timespec now;
	world = (struct world){.connects = connects_new(),
		.socket = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
	assert_non_null(world.connects);
	assert_int_equal(bind(world.socket, (struct sockaddr *)&address, length), 0);
	assert_int_equal(getsockname(world.socket, (struct sockaddr *)&address, &length), 0);
	clock_gettime(CLOCK_REALTIME, &now);
	world.record.time_ms = (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
	world.record.client_port = ntohs(address.sin_port);
	*state = &world;
	return 0;
}

static int drop(void **state)
{
	struct world *world = *state;
	connects_free(world->connects);
	return close(world->socket);
}

static void assert_found(const struct world *world, bool expected)
{
	pid_t pid = 0;
	char program[32] = "";
	assert_int_equal(connects_await(world->connects, &world->record, &pid, program), expected);
	assert_int_equal(pid, expected ? PID : 0);
	assert_string_equal(program, expected ? "curl" : "");
}

/* Egress may have told of a connection before the broker had its turn again. */
static void *note_late(void *context)
{
	struct world *world = context;
	usleep(5000);
	connects_note(world->connects, PID, "curl", world->socket);
	connects_end(world->connects);
	return NULL;
}

static void test_a_note_that_is_being_made_is_waited_for(void **state)
{
	struct world *world = *state;
	pthread_t broker;
	connects_begin(world->connects);
	assert_int_equal(pthread_create(&broker, NULL, note_late, world), 0);
	assert_found(world, true);
	assert_int_equal(pthread_join(broker, NULL), 0);
}

static void test_nothing_else_is_waited_for(void **state)
{
	struct world *world = *state;
	uint64_t began_us = clock_now_us();
	assert_found(world, false);
	assert_in_range(clock_now_us() - began_us, 0, 15000);
	/* One that never comes is given up. */
	connects_begin(world->connects);
	assert_found(world, false);
	assert_in_range(clock_now_us() - began_us, 15000, 5000000);
	connects_note(world->connects, PID, "curl", world->socket);
	connects_end(world->connects);
	assert_found(world, true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			test_a_note_that_is_being_made_is_waited_for, make, drop),
		cmocka_unit_test_setup_teardown(test_nothing_else_is_waited_for, make, drop),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
