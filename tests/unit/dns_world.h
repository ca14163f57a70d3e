/* A resolver between two ends: a client inside, and outside a nameserver on the loopback that
 * answers as it is told to, honestly or not. All in one event loop. */
#ifndef COFFER_TESTS_DNS_WORLD_H
#define COFFER_TESTS_DNS_WORLD_H

#include "egress/dns.h"
#include "egress/egress.h"

#include "base/cleanup.h"
#include "base/clock.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

enum zone_manner {
	ZONE_HONEST,
	ZONE_BY_TCP, /* UDP: truncated, with a wrong address in it */
	ZONE_SILENT,
	ZONE_GARBAGE,    /* bytes that are no message */
	ZONE_WRONG_ID,   /* first an answer with another id, then the right one */
	ZONE_WRONG_PORT, /* first an answer from another port */
	ZONE_WRONG_NAME, /* first an answer to another question */
};

struct zone {
	const char *name;
	enum zone_manner manner;
	int rcode;
	uint32_t ttl_s;
	const char *aliases[24]; /* CNAMEs from the name on */
	const char *v4[20], *v6[4];
	unsigned udp_count, tcp_count; /* how often it was asked for */
};

enum { RECORDS_MAX = 512 };

struct world {
	struct egress egress;
	struct zone *zones;
	struct event *server_udp, *server_tcp, *streams[8];
	int impostor; /* a socket of another port */
	char server[32];
	unsigned asked_count; /* of names that are no zone too */
	struct sockaddr_in resolver_udp, resolver_tcp;
	struct egress_record records[RECORDS_MAX];
	size_t records_count;
};

static struct world *the_world;

/* --- what the resolver would tell the supervisor -------------------------------------------- */

void egress_log(struct egress *egress, const struct egress_record *record)
{
	(void)egress;
	assert_in_range(the_world->records_count, 0, RECORDS_MAX - 1);
	the_world->records[the_world->records_count++] = *record;
}

/* The last record of a name, or NULL. */
static inline const struct egress_record *world_record(const char *name)
{
	for (size_t i = the_world->records_count; i-- > 0;)
		if (strcmp(the_world->records[i].name, name) == 0)
			return &the_world->records[i];
	return NULL;
}

static inline void assert_reason(const char *name, const char *part)
{
	const struct egress_record *record = world_record(name);
	if (!record || !strstr(record->reason, part))
		fail_msg("%s: '%s' instead of '%s'", name, record ? record->reason : "no record",
			part);
}

/* --- the nameserver ------------------------------------------------------------------------- */

struct message {
	uint8_t bytes[4096];
	size_t length;
};

static inline void put(struct message *message, const void *bytes, size_t count)
{
	assert_true(message->length + count <= sizeof(message->bytes));
	memcpy(message->bytes + message->length, bytes, count);
	message->length += count;
}

static inline void put_u16(struct message *message, unsigned value)
{
	put(message, (uint8_t[]){(uint8_t)(value >> 8), (uint8_t)value}, 2);
}

static inline void put_name(struct message *message, const char *name)
{
	while (*name) {
		size_t length = strcspn(name, ".");
		put(message, &(uint8_t){(uint8_t)length}, 1);
		put(message, name, length);
		name += length + (name[length] == '.');
	}
	put(message, "", 1);
}

static inline void put_record(struct message *message, const char *owner, unsigned type,
	uint32_t ttl_s, const struct message *data)
{
	put_name(message, owner);
	put_u16(message, type);
	put_u16(message, DNS_CLASS_IN);
	put_u16(message, ttl_s >> 16);
	put_u16(message, ttl_s & 0xffff);
	put_u16(message, data->length);
	put(message, data->bytes, data->length);
	message->bytes[7]++; /* answers */
}

static inline void put_addresses(struct message *message, const char *owner, int family,
	const char *const *addresses, uint32_t ttl_s)
{
	for (; *addresses; addresses++) {
		struct message data = {.length = family == AF_INET ? 4 : 16};
		assert_int_equal(inet_pton(family, *addresses, data.bytes), 1);
		put_record(message, owner, family == AF_INET ? DNS_TYPE_A : DNS_TYPE_AAAA, ttl_s,
			&data);
	}
}

static inline void begin_message(
	struct message *message, const struct dns_query *query, const char *name, int rcode)
{
	message->length = 0;
	put_u16(message, query->id);
	put_u16(message, 0x8180 | rcode);
	put(message, "\0\1\0\0\0\0\0\0", 8);
	put_name(message, name);
	put_u16(message, query->type);
	put_u16(message, query->class);
}

static inline void make_message(
	struct message *message, const struct dns_query *query, const struct zone *zone)
{
	begin_message(message, query, query->name, zone ? zone->rcode : DNS_NXDOMAIN);
	if (!zone)
		return;
	uint32_t ttl_s = zone->ttl_s ? zone->ttl_s : 60;
	const char *owner = query->name;
	for (const char *const *alias = zone->aliases; *alias; owner = *alias++) {
		struct message data = {0};
		put_name(&data, *alias);
		put_record(message, owner, 5, ttl_s, &data);
	}
	if (query->type == DNS_TYPE_A)
		put_addresses(message, owner, AF_INET, zone->v4, ttl_s);
	else if (query->type == DNS_TYPE_AAAA)
		put_addresses(message, owner, AF_INET6, zone->v6, ttl_s);
}

static const char *const wrong_v4[] = {"6.6.6.6", NULL};

/* An answer that must not be believed. */
static inline void make_lie(struct message *message, const struct dns_query *query)
{
	begin_message(message, query, query->name, 0);
	put_addresses(message, query->name, AF_INET, wrong_v4, 60);
}

static inline struct zone *find_zone(const char *name)
{
	for (struct zone *zone = the_world->zones; zone && zone->name; zone++)
		if (strcasecmp(zone->name, name) == 0)
			return zone;
	return NULL;
}

static inline void on_server_udp(evutil_socket_t fd, short what, void *context)
{
	(void)what, (void)context;
	uint8_t data[4096];
	struct sockaddr_in peer;
	socklen_t size = sizeof(peer);
	ssize_t length = recvfrom(fd, data, sizeof(data), 0, (struct sockaddr *)&peer, &size);
	struct dns_query query;
	assert_true(length > 0);
	assert_int_equal(dns_parse_query(data, (size_t)length, &query), 0);
	assert_int_equal(query.rcode, 0);
	struct message message = {0}, lie = {0};
	struct zone *zone = find_zone(query.name);
	the_world->asked_count++;
	if (zone)
		zone->udp_count++;
	make_message(&message, &query, zone);
	make_lie(&lie, &query);
	int liar = fd;
	switch (zone ? zone->manner : ZONE_HONEST) {
	case ZONE_SILENT:
		return;
	case ZONE_GARBAGE:
		memset(message.bytes + 2, 0xc0, message.length - 2);
		lie.length = 0;
		break;
	case ZONE_BY_TCP:
		message = lie;
		message.bytes[2] |= 2;
		lie.length = 0;
		break;
	case ZONE_WRONG_ID:
		lie.bytes[1] ^= 1;
		break;
	case ZONE_WRONG_PORT:
		liar = the_world->impostor;
		break;
	case ZONE_WRONG_NAME:
		lie.bytes[DNS_HEADER_BYTES + 1] ^= 1;
		break;
	case ZONE_HONEST:
		lie.length = 0;
	}
	if (lie.length > 0)
		sendto(liar, lie.bytes, lie.length, 0, (struct sockaddr *)&peer, size);
	sendto(fd, message.bytes, message.length, 0, (struct sockaddr *)&peer, size);
}

static inline void close_event(struct event *event)
{
	int fd = event_get_fd(event);
	event_free(event);
	close(fd);
}

/* One question, read as a whole: it is a short one, and local. */
static inline void on_server_stream(evutil_socket_t fd, short what, void *context)
{
	(void)what;
	uint8_t prefix[2], data[4096];
	struct event **stream = context;
	if (recv(fd, prefix, 2, MSG_WAITALL) != 2) {
		close_event(*stream);
		*stream = NULL;
		return;
	}
	size_t length = (size_t)prefix[0] << 8 | prefix[1];
	assert_int_equal(recv(fd, data, length, MSG_WAITALL), length);
	struct dns_query query;
	assert_int_equal(dns_parse_query(data, length, &query), 0);
	struct zone *zone = find_zone(query.name);
	if (zone)
		zone->tcp_count++;
	struct message message = {0}, whole = {0};
	make_message(&message, &query, zone);
	put_u16(&whole, message.length);
	put(&whole, message.bytes, message.length);
	assert_int_equal(send(fd, whole.bytes, whole.length, 0), whole.length);
}

static inline void on_server_tcp(evutil_socket_t listener, short what, void *context)
{
	(void)what, (void)context;
	int fd = accept(listener, NULL, NULL);
	assert_true(fd >= 0);
	for (size_t i = 0; i < ARRAY_SIZE(the_world->streams); i++) {
		struct event **stream = &the_world->streams[i];
		if (*stream)
			continue;
		*stream = event_new(
			the_world->egress.base, fd, EV_READ | EV_PERSIST, on_server_stream, stream);
		event_add(*stream, NULL);
		return;
	}
	fail_msg("too many connections to the nameserver");
}

/* --- the world ------------------------------------------------------------------------------ */

/* Bound to the port in *ret, or to a free one; -1: it is taken. */
static inline int loopback_socket(int type, struct sockaddr_in *ret)
{
	int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);
	*ret = (struct sockaddr_in){.sin_family = AF_INET,
		.sin_port = ret->sin_port,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof(*ret);
	if (bind(fd, (struct sockaddr *)ret, size) < 0) {
		close(fd);
		return -1;
	}
	assert_int_equal(getsockname(fd, (struct sockaddr *)ret, &size), 0);
	if (type == SOCK_STREAM)
		assert_int_equal(listen(fd, 16), 0);
	return fd;
}

static inline void world_set(struct world *world, const char *key, const char *value)
{
	struct error error = {0};
	if (network_set(&world->egress.policy, key, value, NULL, &error) < 0)
		fail_msg("%s", error.message);
}

static inline void start_server(struct world *world)
{
	struct sockaddr_in address;
	int udp = -1, tcp = -1;
	/* Of TCP first: after many connections on this host most of its ports are some connection's
	 * that lingers, and only the kernel finds one that is not. */
	for (int i = 0; i < 100 && udp < 0; i++) {
		close_fd(&tcp);
		address = (struct sockaddr_in){0};
		tcp = loopback_socket(SOCK_STREAM, &address);
		udp = loopback_socket(SOCK_DGRAM, &address);
	}
	assert_true(udp >= 0 && tcp >= 0);
	struct sockaddr_in other = {0};
	world->impostor = loopback_socket(SOCK_DGRAM, &other);
	struct event_base *base = world->egress.base;
	world->server_udp = event_new(base, udp, EV_READ | EV_PERSIST, on_server_udp, NULL);
	world->server_tcp = event_new(base, tcp, EV_READ | EV_PERSIST, on_server_tcp, NULL);
	event_add(world->server_udp, NULL);
	event_add(world->server_tcp, NULL);
	snprintf(world->server, sizeof(world->server), "127.0.0.1:%u", ntohs(address.sin_port));
}

/* With the nameserver, and the policy empty as yet. */
static inline struct world *world_new(struct zone *zones)
{
	struct world *world = calloc(1, sizeof(*world));
	assert_non_null(world);
	the_world = world;
	world->zones = zones;
	world->egress.base = event_base_new();
	TAILQ_INIT(&world->egress.connections);
	network_policy_init(&world->egress.policy);
	start_server(world);
	world_set(world, "net-resolver", world->server);
	return world;
}

static inline void world_start(struct world *world)
{
	struct egress *egress = &world->egress;
	struct error error = {0};
	int r = network_validate(&egress->policy, &error);
	if (r == 0)
		r = network_pools(
			&egress->policy, egress->ask, &egress->pools, &egress->pools_count, &error);
	if (r == 0)
		r = upstream_new(egress, &egress->upstream, &error);
	if (r == 0)
		r = standins_new(egress, &egress->standins, &error);
	if (r < 0)
		fail_msg("%s", error.message);
}

static inline void world_free(struct world *world)
{
	struct egress *egress = &world->egress;
	standins_free(egress->standins);
	upstream_free(egress->upstream);
	network_pools_free(egress->pools, egress->pools_count);
	network_policy_release(&egress->policy);
	close_event(world->server_udp);
	close_event(world->server_tcp);
	for (size_t i = 0; i < ARRAY_SIZE(world->streams); i++)
		if (world->streams[i])
			close_event(world->streams[i]);
	close(world->impostor);
	event_base_free(egress->base);
	free(world);
}

/* Runs the loop until *flag is set; false: not within the time. */
static inline bool world_run(struct world *world, const bool *flag, int wait_ms)
{
	uint64_t end_us = clock_now_us() + (uint64_t)wait_ms * 1000;
	while (!*flag && clock_now_us() < end_us) {
		event_base_loopexit(world->egress.base, &(struct timeval){.tv_usec = 5000});
		event_base_loop(world->egress.base, EVLOOP_ONCE);
	}
	return *flag;
}

static inline void world_pass(struct world *world, int wait_ms)
{
	const bool never = false;
	world_run(world, &never, wait_ms);
}

#endif
