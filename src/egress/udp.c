/* Theory of operation. Datagrams have no connections, so each client address of the box that sends
 * to a rule's destination has a *flow*: a socket connected to the destination, over which answers
 * come back to that client and from nobody else. A flow ends after a minute without traffic, or
 * when another needs its place. Nothing waits: what is over a limit, or does not fit into a
 * socket's buffer, is dropped, as networks do. */
#include "egress/egress.h"

#include "base/cleanup.h"
#include "base/clock.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

enum {
	BUCKETS = 256,
	IDLE_US = 60 * 1000000,
	SWEEP_S = 10,
	BATCH = 64, /* datagrams moved in one turn */
	DATAGRAM_BYTES = 65536,
	EARLY_BYTES_MAX = 4096, /* kept while the name is resolved: */
	EARLY_MAX = 4,          /* datagrams of a flow */
	DIRECTION_IN = 0,
	DIRECTION_OUT = 1,
};

union address {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

/* A socket towards the box. */
struct port {
	LIST_ENTRY(port) link;
	struct udp *udp;
	const struct network_udp *rule;
	int fd;
	bool connected; /* landlock tier: to one program, so that it has one flow */
	struct event *readable;
};

struct early {
	void *data;
	size_t length_bytes;
};

struct flow {
	TAILQ_ENTRY(flow) link; /* the least recently used first */
	LIST_ENTRY(flow) in_bucket;
	struct port *port;
	union address client; /* unless the port is connected */
	socklen_t client_bytes;
	int upstream; /* -1: its name is being resolved */
	struct event *readable;
	struct early early[EARLY_MAX];
	size_t early_count;
	uint64_t began_us, used_us;
	struct egress_record record;
};

struct udp {
	struct egress *egress;
	LIST_HEAD(, port) ports;
	size_t ports_count;
	TAILQ_HEAD(, flow) flows;
	LIST_HEAD(, flow) buckets[BUCKETS];
	size_t flows_count;
	struct event *sweep;
	char datagram[DATAGRAM_BYTES];
};

/* ---- ends ---- */

static void port_free(struct port *port)
{
	LIST_REMOVE(port, link);
	port->udp->ports_count--;
	if (port->readable)
		event_free(port->readable);
	close_fd(&port->fd);
	free(port);
}

static void flow_end(struct flow *flow)
{
	struct port *port = flow->port;
	struct udp *udp = port->udp;
	if (flow->upstream < 0)
		upstream_forget(udp->egress->upstream, flow);
	if (flow->readable)
		event_free(flow->readable);
	close_fd(&flow->upstream);
	for (size_t i = 0; i < flow->early_count; i++)
		free(flow->early[i].data);
	TAILQ_REMOVE(&udp->flows, flow, link);
	LIST_REMOVE(flow, in_bucket);
	udp->flows_count--;
	flow->record.duration_ms = (uint32_t)((clock_now_us() - flow->began_us) / 1000);
	egress_log(udp->egress, &flow->record);
	free(flow);
	if (port->connected)
		port_free(port);
}

static void flow_refuse(struct flow *flow, int errno_value, const char *reason)
{
	flow->record.errno_value = errno_value;
	if (errno_value == EACCES || errno_value == EDQUOT)
		flow->record.verdict = NETWORK_DENY;
	snprintf(flow->record.reason, sizeof(flow->record.reason), "%s", reason);
	flow_end(flow);
}

static void on_sweep(evutil_socket_t fd, short what, void *context)
{
	struct udp *udp = context;
	uint64_t now_us = clock_now_us();
	struct flow *flow, *next;
	(void)fd, (void)what;
	/* A program's connected socket could not come back as a new flow: it lives until its place
	 * is needed. */
	for (flow = TAILQ_FIRST(&udp->flows); flow && now_us - flow->used_us > IDLE_US;
		flow = next) {
		next = TAILQ_NEXT(flow, link);
		if (!flow->port->connected)
			flow_end(flow);
	}
}

/* ---- moving datagrams ---- */

static void touch(struct flow *flow)
{
	struct udp *udp = flow->port->udp;
	flow->used_us = clock_now_us();
	TAILQ_REMOVE(&udp->flows, flow, link);
	TAILQ_INSERT_TAIL(&udp->flows, flow, link);
}

/* 0: it may go, and counts; -EAGAIN: over the rate; -EDQUOT: the total is used up. */
static int pass_limit(struct udp *udp, int direction, size_t length_bytes)
{
	int wait_ms = 0;
	ssize_t n = rate_bytes(udp->egress->rate, direction, length_bytes, &wait_ms);
	if (n < 0)
		return (int)n;
	if ((size_t)n < length_bytes)
		return -EAGAIN;
	rate_used(udp->egress->rate, direction, length_bytes);
	return 0;
}

static void send_out(struct flow *flow, const void *data, size_t length_bytes)
{
	if (send(flow->upstream, data, length_bytes, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
		flow->record.bytes_out += length_bytes;
}

static void send_in(struct flow *flow, const void *data, size_t length_bytes)
{
	const struct port *port = flow->port;
	ssize_t n = sendto(port->fd, data, length_bytes, MSG_DONTWAIT | MSG_NOSIGNAL,
		port->connected ? NULL : &flow->client.any,
		port->connected ? 0 : flow->client_bytes);
	if (n >= 0)
		flow->record.bytes_in += length_bytes;
}

static void on_upstream(evutil_socket_t fd, short what, void *context)
{
	struct flow *flow = context;
	struct udp *udp = flow->port->udp;
	(void)what;
	for (unsigned i = 0; i < BATCH; i++) {
		ssize_t n = recv(fd, udp->datagram, sizeof(udp->datagram), MSG_DONTWAIT);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n < 0) {
			/* Nobody there; the next datagram may find somebody. */
			flow->record.errno_value = errno;
			return;
		}
		touch(flow);
		int r = pass_limit(udp, DIRECTION_IN, (size_t)n);
		if (r == -EDQUOT) {
			flow_refuse(flow, EDQUOT, "the limit on bytes is reached (net-limit)");
			return;
		}
		if (r == 0)
			send_in(flow, udp->datagram, (size_t)n);
	}
}

/* ---- dialing ---- */

/* A datagram socket that is connected to address, or -errno. */
static int open_upstream(const struct in6_addr *address, uint16_t port)
{
	union address target = {0};
	bool v4 = IN6_IS_ADDR_V4MAPPED(address);
	if (v4) {
		target.v4.sin_family = AF_INET;
		target.v4.sin_port = htons(port);
		memcpy(&target.v4.sin_addr, address->s6_addr + 12, 4);
	} else {
		target.v6.sin6_family = AF_INET6;
		target.v6.sin6_port = htons(port);
		target.v6.sin6_addr = *address;
	}
	cleanup_close int fd =
		socket(target.any.sa_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || connect(fd, &target.any, v4 ? sizeof(target.v4) : sizeof(target.v6)) < 0)
		return -errno;
	return steal_fd(&fd);
}

/* What came before there was a socket goes now. Returns 0 or -errno. */
static int flow_dial(struct flow *flow, const struct in6_addr *address)
{
	struct udp *udp = flow->port->udp;
	int fd = open_upstream(address, flow->port->rule->port);
	if (fd < 0)
		return fd;
	flow->upstream = fd;
	flow->record.address = *address;
	flow->record.ended = 1;
	flow->readable = event_new(udp->egress->base, fd, EV_READ | EV_PERSIST, on_upstream, flow);
	if (!flow->readable || event_add(flow->readable, NULL) < 0)
		return -ENOMEM;
	for (size_t i = 0; i < flow->early_count; i++) {
		send_out(flow, flow->early[i].data, flow->early[i].length_bytes);
		free(flow->early[i].data);
	}
	flow->early_count = 0;
	return 0;
}

static void on_resolved(void *context, const struct upstream_answer *answer)
{
	struct flow *flow = context;
	struct egress *egress = flow->port->udp->egress;
	const struct network_udp *rule = flow->port->rule;
	char reason[160] = "its name has no address";
	int r = answer->status ? answer->status : -ENOENT;
	if (answer->status < 0 && *answer->reason)
		snprintf(reason, sizeof(reason), "%s", answer->reason);
	bool found = answer->status == 0 && answer->count > 0, may = found;
	if (found)
		may = upstream_may_dial(egress->upstream, rule->name, answer, rule->port, reason);
	for (size_t i = 0; may && i < answer->count; i++)
		may = routes_may_dial(egress, &answer->addresses[i], rule->port, reason);
	if (found && !may)
		r = -EACCES;
	for (size_t i = 0; may && i < answer->count && flow->upstream < 0; i++) {
		r = flow_dial(flow, &answer->addresses[i]);
		if (r < 0)
			snprintf(reason, sizeof(reason), "no address of the name can be reached");
	}
	if (r < 0)
		flow_refuse(flow, -r, reason);
}

/* The person has named the address; what stands against it is a rule that denies it by name. */
static void dial_literal(struct flow *flow, const struct in6_addr *address)
{
	struct network_decision decision = {0};
	network_decide_address(
		&flow->port->udp->egress->policy, address, flow->port->rule->port, &decision);
	if (decision.verdict == NETWORK_DENY && decision.rule) {
		flow_refuse(flow, EACCES, decision.reason);
		return;
	}
	int r = flow_dial(flow, address);
	if (r < 0)
		flow_refuse(flow, -r, "the address cannot be reached");
}

/* A rule that denies the name wins. Its stand-in address can be guessed without asking for it. */
static bool is_denied(const struct flow *flow, struct network_decision *decision)
{
	const struct network_udp *rule = flow->port->rule;
	if (!rule->name)
		return false;
	network_decide_name(&flow->port->udp->egress->policy, rule->name, rule->port, decision);
	return decision->verdict == NETWORK_DENY &&
	       (decision->rule || network_special_name(rule->name));
}

/* May end the flow before it returns. */
static void flow_start(struct flow *flow)
{
	static const struct in6_addr loopback = {
		{{[10] = 0xff, [11] = 0xff, [12] = 127, [15] = 1}}};
	const struct network_udp *rule = flow->port->rule;
	struct network_decision decision;
	if (is_denied(flow, &decision))
		flow_refuse(flow, EACCES, decision.reason);
	else if (!rule->name)
		dial_literal(flow, &rule->address);
	else if (strcmp(rule->name, NETWORK_HOST_NAME) == 0)
		dial_literal(flow, &loopback);
	else
		upstream_resolve(flow->port->udp->egress->upstream, rule->name, on_resolved, flow);
}

/* ---- flows ---- */

static size_t bucket_of(const struct port *port, const union address *client)
{
	size_t hash = (size_t)(uintptr_t)port >> 4;
	hash = hash * 31 + ntohs(client->v4.sin_port); /* the same place in both families */
	if (client->any.sa_family == AF_INET)
		hash = hash * 31 + ntohl(client->v4.sin_addr.s_addr);
	else if (client->any.sa_family == AF_INET6)
		hash = hash * 31 + ntohl(client->v6.sin6_addr.s6_addr32[3]);
	return (hash ^ hash >> 8 ^ hash >> 16) % BUCKETS;
}

static bool same_client(const struct flow *flow, const struct port *port,
	const union address *client, socklen_t client_bytes)
{
	if (flow->port != port)
		return false;
	return port->connected || (flow->client_bytes == client_bytes &&
					  memcmp(&flow->client, client, client_bytes) == 0);
}

static void note_client(struct egress_record *record, const union address *client)
{
	if (client->any.sa_family == AF_INET) {
		record->client_address.s6_addr[10] = record->client_address.s6_addr[11] = 0xff;
		memcpy(record->client_address.s6_addr + 12, &client->v4.sin_addr, 4);
		record->client_port = ntohs(client->v4.sin_port);
	} else if (client->any.sa_family == AF_INET6) {
		record->client_address = client->v6.sin6_addr;
		record->client_port = ntohs(client->v6.sin6_port);
	}
}

static void start_record(
	struct egress_record *record, const struct network_udp *rule, const union address *client)
{
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	*record = (struct egress_record){
		.time_ms = (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000,
		.verdict = NETWORK_ALLOW,
		.protocol = EGRESS_PROTOCOL_UDP,
		.how = EGRESS_HOW_UDP,
		.port = rule->port,
		.count = 1,
	};
	if (!rule->name)
		record->address = rule->address;
	snprintf(record->name, sizeof(record->name), "%s", rule->name ? rule->name : "");
	snprintf(record->rule, sizeof(record->rule), "%s", rule->source ? rule->source : "");
	note_client(record, client);
}

/* NULL: no memory, or over the limit of connections. */
static struct flow *flow_new(struct port *port, const union address *client, socklen_t client_bytes)
{
	struct udp *udp = port->udp;
	int wait_ms = rate_connection(udp->egress->rate);
	if (wait_ms < 0) {
		struct egress_record record;
		start_record(&record, port->rule, client);
		record.verdict = NETWORK_DENY;
		record.errno_value = EDQUOT;
		snprintf(record.reason, sizeof(record.reason),
			"the limit on connections or bytes is reached (net-limit)");
		egress_log(udp->egress, &record);
	}
	if (wait_ms != 0)
		return NULL;
	struct flow *flow = calloc(1, sizeof(*flow));
	if (!flow)
		return NULL;
	/* The evicted one is never of this port if that is connected: it has no flow yet. */
	if (udp->flows_count >= udp->egress->udp_flows_max)
		flow_end(TAILQ_FIRST(&udp->flows));
	flow->port = port;
	flow->client = *client;
	flow->client_bytes = client_bytes;
	flow->upstream = -1;
	flow->began_us = flow->used_us = clock_now_us();
	start_record(&flow->record, port->rule, client);
	TAILQ_INSERT_TAIL(&udp->flows, flow, link);
	LIST_INSERT_HEAD(&udp->buckets[bucket_of(port, client)], flow, in_bucket);
	udp->flows_count++;
	return flow;
}

static struct flow *find_flow(
	const struct port *port, const union address *client, socklen_t client_bytes)
{
	struct flow *flow;
	LIST_FOREACH(flow, &port->udp->buckets[bucket_of(port, client)], in_bucket)
	if (same_client(flow, port, client, client_bytes))
		return flow;
	return NULL;
}

static void keep_early(struct flow *flow, const void *data, size_t length_bytes)
{
	if (flow->early_count == EARLY_MAX || length_bytes > EARLY_BYTES_MAX)
		return;
	struct early *early = &flow->early[flow->early_count];
	early->data = malloc(length_bytes + 1);
	if (!early->data)
		return;
	memcpy(early->data, data, length_bytes);
	early->length_bytes = length_bytes;
	flow->early_count++;
}

/* One datagram from the box. Returns whether the port is still there. */
static bool take_datagram(
	struct port *port, const union address *client, socklen_t client_bytes, size_t length_bytes)
{
	struct udp *udp = port->udp;
	struct flow *flow = find_flow(port, client, client_bytes);
	bool new = !flow;
	if (new)
		flow = flow_new(port, client, client_bytes);
	if (!flow)
		return true;
	bool stays = !port->connected;
	touch(flow);
	int r = pass_limit(udp, DIRECTION_OUT, length_bytes);
	if (r == -EDQUOT) {
		flow_refuse(flow, EDQUOT, "the limit on bytes is reached (net-limit)");
		return stays;
	}
	if (r == 0 && flow->upstream >= 0)
		send_out(flow, udp->datagram, length_bytes);
	else if (r == 0)
		keep_early(flow, udp->datagram, length_bytes);
	if (!new)
		return true;
	flow_start(flow);
	return stays;
}

static void on_port(evutil_socket_t fd, short what, void *context)
{
	struct port *port = context;
	struct udp *udp = port->udp;
	(void)what;
	for (unsigned i = 0; i < BATCH; i++) {
		union address client = {0};
		socklen_t client_bytes = sizeof(client);
		ssize_t n = recvfrom(fd, udp->datagram, sizeof(udp->datagram), MSG_DONTWAIT,
			&client.any, &client_bytes);
		if (n < 0)
			return;
		bool closed = n == 0 && port->connected && client_bytes == 0;
		if (port->connected)
			client = (union address){0};
		if (closed) {
			struct flow *flow = find_flow(port, &client, client_bytes);
			if (flow)
				flow_end(flow); /* and the port with it */
			else
				port_free(port);
			return;
		}
		if (!take_datagram(port, &client, client_bytes, (size_t)n))
			return; /* asked again by the loop, if it is still there */
	}
}

/* ---- ports ---- */

static struct udp *udp_get(struct egress *egress)
{
	const struct timeval interval = {.tv_sec = SWEEP_S};
	if (egress->udp)
		return egress->udp;
	struct udp *udp = calloc(1, sizeof(*udp));
	if (!udp)
		return NULL;
	udp->egress = egress;
	LIST_INIT(&udp->ports);
	TAILQ_INIT(&udp->flows);
	udp->sweep = event_new(egress->base, -1, EV_PERSIST, on_sweep, udp);
	if (!udp->sweep || event_add(udp->sweep, &interval) < 0) {
		if (udp->sweep)
			event_free(udp->sweep);
		free(udp);
		return NULL;
	}
	egress->udp = udp;
	return udp;
}

/* The rule that a socket made in the box is for: its port says it. -errno otherwise. */
static int rule_of_port(int fd)
{
	union address own = {0};
	socklen_t length = sizeof(own);
	if (getsockname(fd, &own.any, &length) < 0)
		return -errno;
	if (own.any.sa_family != AF_INET && own.any.sa_family != AF_INET6)
		return -EINVAL;
	int rule = ntohs(own.v4.sin_port) - EGRESS_PORT_UDP;
	return rule >= 0 ? rule : -EINVAL;
}

int udp_add(struct egress *egress, size_t rule, int fd)
{
	cleanup_close int owned = fd;
	union address peer;
	socklen_t length = sizeof(peer);
	bool connected = getpeername(fd, &peer.any, &length) == 0;
	int of_port = connected ? (int)rule : rule_of_port(fd);
	if (of_port < 0)
		return of_port;
	if ((size_t)of_port >= egress->policy.udp_count)
		return -EINVAL;
	struct udp *udp = udp_get(egress);
	if (!udp)
		return -ENOMEM;
	if (udp->ports_count >= udp->egress->udp_flows_max + 2 * EGRESS_UDP_RULES_MAX)
		return -ENFILE;
	struct port *port = calloc(1, sizeof(*port));
	if (!port)
		return -ENOMEM;
	*port = (struct port){.udp = udp,
		.rule = &egress->policy.udp[of_port],
		.fd = steal_fd(&owned),
		.connected = connected};
	LIST_INSERT_HEAD(&udp->ports, port, link);
	udp->ports_count++;
	port->readable = event_new(egress->base, port->fd, EV_READ | EV_PERSIST, on_port, port);
	if (port->readable && event_add(port->readable, NULL) == 0)
		return 0;
	port_free(port);
	return -ENOMEM;
}

bool udp_is_resolving(const struct egress *egress)
{
	const struct flow *flow = NULL;
	if (egress->udp)
		TAILQ_FOREACH(flow, &egress->udp->flows, link)
	if (flow->upstream < 0)
		break;
	return flow != NULL;
}

void udp_stop(struct egress *egress)
{
	struct udp *udp = egress->udp;
	if (!udp)
		return;
	while (!TAILQ_EMPTY(&udp->flows))
		flow_end(TAILQ_FIRST(&udp->flows));
	while (!LIST_EMPTY(&udp->ports))
		port_free(LIST_FIRST(&udp->ports));
	event_free(udp->sweep);
	free(udp);
	egress->udp = NULL;
}
