#include "egress/egress.h"

#include "base/cleanup.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

/* A box's egress without anything but a policy. */
static struct egress *egress_new(const char *const settings[][2])
{
	struct egress *egress = calloc(1, sizeof(*egress));
	assert_non_null(egress);
	struct error error = {0};
	network_policy_init(&egress->policy);
	for (size_t i = 0; settings[i][0]; i++)
		if (network_set(&egress->policy, settings[i][0], settings[i][1], NULL, &error) < 0)
			fail_msg("%s", error.message);
	assert_int_equal(network_validate(&egress->policy, &error), 0);
	assert_int_equal(
		network_pools(&egress->policy, false, &egress->pools, &egress->pools_count, &error),
		0);
	return egress;
}

static void start(struct egress *egress)
{
	struct error error;
	assert_int_equal(standins_new(egress, &egress->standins, &error), 0);
}

static void egress_free(struct egress *egress)
{
	standins_free(egress->standins);
	network_pools_free(egress->pools, egress->pools_count);
	network_policy_release(&egress->policy);
	free(egress);
}

static bool has(struct egress *egress, const char *name, const struct in6_addr *address)
{
	const char *found = standins_name(egress->standins, address);
	return found && strcmp(found, name) == 0;
}

static void test_addresses(void **state)
{
	(void)state;
	static const char *const settings[][2] = {
		{"allow-domain", "**.example.com"}, {"allow-domain", "git.example.net:22"}, {NULL}};
	struct egress *egress = egress_new(settings);
	start(egress);
	struct in6_addr v4, v6, again_v4, again_v6, other_v4, other_v6;
	assert_int_equal(standins_of_name(egress->standins, "a.example.com", &v4, &v6), 0);
	assert_int_equal(
		standins_of_name(egress->standins, "a.example.com", &again_v4, &again_v6), 0);
	assert_memory_equal(&v4, &again_v4, sizeof(v4));
	assert_memory_equal(&v6, &again_v6, sizeof(v6));
	/* Either family leads back to the name, and both lie in the name's pool. */
	assert_true(has(egress, "a.example.com", &v4));
	assert_true(has(egress, "a.example.com", &v6));
	int pool = network_pool_of(
		&egress->policy, false, egress->pools, egress->pools_count, "a.example.com");
	assert_true(pool >= 0);
	assert_memory_equal(&v6, &egress->pools[pool].v6, 8);
	assert_memory_equal(&v4, &egress->pools[pool].v4, 14);
	assert_true(v4.s6_addr[12] == 198 && (v4.s6_addr[13] == 18 || v4.s6_addr[13] == 19));
	/* Another port set, another pool. */
	assert_int_equal(
		standins_of_name(egress->standins, "git.example.net", &other_v4, &other_v6), 0);
	assert_memory_not_equal(&other_v6, &v6, 8);

	assert_int_equal(standins_of_name(egress->standins, "example.net", &v4, &v6), -ENOENT);
	assert_int_equal(standins_of_name(egress->standins, "", &v4, &v6), -ENOENT);
	egress_free(egress);
}

static void test_addresses_of_nobody(void **state)
{
	(void)state;
	static const char *const settings[][2] = {{"allow-domain", "**.example.com"}, {NULL}};
	struct egress *egress = egress_new(settings);
	start(egress);
	struct in6_addr v4, v6;
	assert_int_equal(standins_of_name(egress->standins, "a.example.com", &v4, &v6), 0);
	v4.s6_addr[15]++;
	v6.s6_addr[15]++;
	assert_null(standins_name(egress->standins, &v4));
	assert_null(standins_name(egress->standins, &v6));
	assert_true(standins_covers(egress->standins, &v4));
	assert_true(standins_covers(egress->standins, &v6));
	/* The pool's own first address, and what lies in its /64 beyond what is ever given. */
	v4.s6_addr[15] = 0;
	assert_null(standins_name(egress->standins, &v4));
	v6.s6_addr[8] = 1;
	assert_null(standins_name(egress->standins, &v6));
	assert_true(standins_covers(egress->standins, &v6));
	static const char *const outside[] = {"::ffff:198.18.0.1", "::ffff:198.20.0.1", "2001:2::1",
		"2001:3::1", "::ffff:8.8.8.8", "::1", "198.18.1.1"};
	for (size_t i = 0; i < ARRAY_SIZE(outside); i++) {
		struct in6_addr address = {0};
		inet_pton(AF_INET6, outside[i], &address);
		assert_null(standins_name(egress->standins, &address));
		assert_false(standins_covers(egress->standins, &address));
	}
	egress_free(egress);
}

/* A pool of eight addresses, the first of which nobody gets. */
static void test_eviction(void **state)
{
	(void)state;
	static const char *const settings[][2] = {{"allow-domain", "*.example.com"}, {NULL}};
	struct egress *egress = egress_new(settings);
	for (size_t i = 0; i < egress->pools_count; i++)
		egress->pools[i].v4_bits = 3;
	start(egress);
	struct in6_addr v4[8], v6[8], again_v4, again_v6;
	char name[32];
	for (int i = 0; i < 7; i++) {
		snprintf(name, sizeof(name), "n%d.example.com", i);
		assert_int_equal(standins_of_name(egress->standins, name, &v4[i], &v6[i]), 0);
		for (int k = 0; k < i; k++)
			assert_memory_not_equal(&v4[i], &v4[k], sizeof(v4[i]));
	}
	/* Asked for again: by its name, and by its address. */
	assert_int_equal(
		standins_of_name(egress->standins, "n0.example.com", &again_v4, &again_v6), 0);
	assert_memory_equal(&v4[0], &again_v4, sizeof(again_v4));
	assert_true(has(egress, "n1.example.com", &v6[1]));
	/* So it is n2 that goes. */
	assert_int_equal(standins_of_name(egress->standins, "n7.example.com", &v4[7], &v6[7]), 0);
	assert_memory_equal(&v4[7], &v4[2], sizeof(v4[7]));
	assert_memory_equal(&v6[7], &v6[2], sizeof(v6[7]));
	assert_true(has(egress, "n7.example.com", &v4[2]));
	assert_true(has(egress, "n0.example.com", &v4[0]));
	assert_true(has(egress, "n1.example.com", &v4[1]));
	/* And n2, coming back, takes the place of n3. */
	assert_int_equal(
		standins_of_name(egress->standins, "n2.example.com", &again_v4, &again_v6), 0);
	assert_memory_equal(&again_v4, &v4[3], sizeof(again_v4));
	/* Ten thousand more never leave the pool. */
	for (int i = 0; i < 10000; i++) {
		snprintf(name, sizeof(name), "m%d.example.com", i);
		assert_int_equal(standins_of_name(egress->standins, name, &again_v4, &again_v6), 0);
		assert_true(has(egress, name, &again_v4));
		assert_memory_equal(&again_v4, &v4[0], 15);
		assert_in_range(again_v4.s6_addr[15] & 7, 1, 7);
	}
	egress_free(egress);
}

/* The fixed addresses of allow-udp names hold for TCP too, and no pool gives them another. */
static void test_udp_names(void **state)
{
	(void)state;
	static const char *const settings[][2] = {{"allow-domain", "ntp.example.com"},
		{"allow-udp", "time.example.org:123"}, {"allow-udp", "ntp.example.com:123"},
		{"allow-udp", "ntp.example.com:124"}, {NULL}};
	struct egress *egress = egress_new(settings);
	start(egress);
	struct in6_addr v4, v6, expected;
	assert_int_equal(standins_of_name(egress->standins, "ntp.example.com", &v4, &v6), 0);
	inet_pton(AF_INET6, "::ffff:198.18.0.17", &expected);
	assert_memory_equal(&v4, &expected, sizeof(v4));
	inet_pton(AF_INET6, "2001:2::11", &expected);
	assert_memory_equal(&v6, &expected, sizeof(v6));
	assert_true(has(egress, "ntp.example.com", &v4));
	assert_true(has(egress, "ntp.example.com", &v6));
	assert_true(standins_covers(egress->standins, &v4));
	assert_int_equal(standins_of_name(egress->standins, "time.example.org", &v4, &v6), 0);
	assert_int_equal(v4.s6_addr[15], 16);
	/* Rule 2 has no address of its own: its name has rule 1's. */
	v4.s6_addr[15] = 18;
	assert_null(standins_name(egress->standins, &v4));
	egress_free(egress);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_addresses_of_nobody),
		cmocka_unit_test(test_eviction),
		cmocka_unit_test(test_udp_names),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
