/* Theory of operation. The box's kernel refuses at once what no rule can let through; egress never
 * sees those connections, only hears of them (at most NETWORK_LOG_RATE a second), so that the
 * log can say what was tried and which line would allow it. A program that tries in a loop makes
 * one record a second for each thing it tries, with a count. What it tries faster than that the
 * kernel does not tell of, but says so; then one record says that others are missing. */
#include "egress/nflog.h"

#include "base/cleanup.h"
#include "egress/egress.h"

#include <linux/netlink.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

enum {
	REFUSALS_MAX = 64, /* different ones within one interval; more end it */
	INTERVAL_MS = 1000,
	BATCH = 64,        /* messages read in one turn */
	BATCH_LAST = 4096, /* and in the end: more than the socket holds */
};

struct refusal {
	struct nflog_packet packet; /* the first of its kind */
	uint32_t count;
	int64_t time_ms;
};

struct nflog {
	struct egress *egress;
	int fd;
	struct event *readable, *timer;
	struct refusal refusals[REFUSALS_MAX];
	size_t count;
	uint32_t lost; /* how often the kernel has said that something is missing */
};

/* ---- one record ---- */

static bool is_own(const struct in6_addr *address)
{
	struct in6_addr v4, v6;
	return network_parse_address(EGRESS_ADDRESS_V4, &v4) == 0 &&
	       network_parse_address(EGRESS_ADDRESS_V6, &v6) == 0 &&
	       (IN6_ARE_ADDR_EQUAL(address, &v4) || IN6_ARE_ADDR_EQUAL(address, &v6));
}

/* As it was decided by a rule, or by the lack of one. */
static void explain_tcp(struct egress *egress, struct egress_record *record)
{
	struct network_decision decision = {0};
	record->errno_value = ECONNREFUSED;
	if (*record->name)
		network_decide_name(&egress->policy, record->name, record->port, &decision);
	else
		network_decide_address(&egress->policy, &record->address, record->port, &decision);
	record->protocol = (uint8_t)decision.protocol;
	if (decision.rule)
		snprintf(record->rule, sizeof(record->rule), "%s", decision.rule->source);
	if (is_own(&record->address))
		snprintf(record->reason, sizeof(record->reason),
			"coffer's own address has a resolver (port %d) and proxies (port %d) only",
			EGRESS_PORT_DNS, EGRESS_PORT_PROXY);
	else if (!*record->name && standins_covers(egress->standins, &record->address))
		snprintf(record->reason, sizeof(record->reason),
			"no name has this stand-in address (any more): look the name up again");
	else if (decision.verdict == NETWORK_DENY)
		snprintf(record->reason, sizeof(record->reason), "%s", decision.reason);
	else
		snprintf(record->reason, sizeof(record->reason),
			"it was not part of a connection that the box's kernel knows");
}

static void explain_udp(struct egress_record *record)
{
	char address[INET6_ADDRSTRLEN];
	network_format_address(&record->address, address);
	bool v6 = !*record->name && strchr(address, ':');
	record->protocol = EGRESS_PROTOCOL_UDP;
	record->errno_value = EPERM;
	snprintf(record->reason, sizeof(record->reason),
		"UDP goes only where a rule names it: --allow-udp %s%.100s%s:%d", v6 ? "[" : "",
		*record->name ? record->name : address, v6 ? "]" : "", record->port);
}

static void log_refusal(struct egress *egress, const struct refusal *refusal)
{
	const struct nflog_packet *packet = &refusal->packet;
	struct egress_record record = {
		.time_ms = refusal->time_ms,
		.verdict = NETWORK_DENY,
		.how = EGRESS_HOW_KERNEL,
		.port = packet->port,
		.client_port = packet->source_port,
		.address = packet->destination,
		.client_address = packet->source,
		.count = refusal->count,
		.rule = "default",
	};
	const char *name = standins_name(egress->standins, &packet->destination);
	snprintf(record.name, sizeof(record.name), "%s", name ? name : "");
	if (packet->protocol == IPPROTO_TCP) {
		explain_tcp(egress, &record);
	} else if (packet->protocol == IPPROTO_UDP) {
		explain_udp(&record);
	} else {
		record.protocol = EGRESS_PROTOCOL_OTHER;
		record.errno_value = EPERM;
		snprintf(record.reason, sizeof(record.reason),
			"only TCP and UDP can leave a box; this was IP protocol %d%s",
			packet->protocol,
			packet->protocol == IPPROTO_ICMP || packet->protocol == IPPROTO_ICMPV6
				? " (ping)"
				: "");
	}
	egress_log(egress, &record);
}

/* ---- collecting ---- */

static int64_t realtime_ms(void)
{
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void log_lost(struct nflog *nflog)
{
	struct egress_record record = {
		.time_ms = realtime_ms(), .how = EGRESS_HOW_LOST, .count = nflog->lost};
	snprintf(record.reason, sizeof(record.reason),
		"more was refused by the box's kernel than it could tell of: records are missing");
	egress_log(nflog->egress, &record);
	nflog->lost = 0;
}

static void log_all(struct nflog *nflog)
{
	if (nflog->lost)
		log_lost(nflog);
	for (size_t i = 0; i < nflog->count; i++)
		log_refusal(nflog->egress, &nflog->refusals[i]);
	nflog->count = 0;
}

static bool same_target(const struct nflog_packet *one, const struct nflog_packet *other)
{
	return one->protocol == other->protocol && one->port == other->port &&
	       IN6_ARE_ADDR_EQUAL(&one->destination, &other->destination);
}

static void start_interval(struct nflog *nflog)
{
	const struct timeval interval = {.tv_sec = INTERVAL_MS / 1000};
	if (!event_pending(nflog->timer, EV_TIMEOUT, NULL))
		event_add(nflog->timer, &interval);
}

static void count_lost(struct nflog *nflog)
{
	nflog->lost++;
	start_interval(nflog);
}

static void collect(void *context, const struct nflog_packet *packet)
{
	struct nflog *nflog = context;
	if (packet->lost)
		count_lost(nflog); /* this one is told of all the same */
	for (size_t i = 0; i < nflog->count; i++)
		if (same_target(&nflog->refusals[i].packet, packet)) {
			nflog->refusals[i].count++;
			return;
		}
	if (nflog->count == REFUSALS_MAX)
		log_all(nflog);
	start_interval(nflog);
	nflog->refusals[nflog->count++] =
		(struct refusal){.packet = *packet, .count = 1, .time_ms = realtime_ms()};
}

/* Returns whether there may be more. A full buffer (ENOBUFS) has lost messages. */
static bool read_message(struct nflog *nflog)
{
	char __attribute__((aligned(NLMSG_ALIGNTO))) space[16 * 1024];
	struct sockaddr_nl from = {0};
	socklen_t length = sizeof(from);
	ssize_t n = recvfrom(
		nflog->fd, space, sizeof(space), MSG_DONTWAIT, (struct sockaddr *)&from, &length);
	if (n < 0 && errno == ENOBUFS)
		count_lost(nflog);
	if (n < 0)
		return errno == ENOBUFS || errno == EINTR;
	if (from.nl_pid == 0) /* the kernel */
		nflog_parse(space, (size_t)n, collect, nflog);
	return n > 0;
}

static void on_readable(evutil_socket_t fd, short what, void *context)
{
	(void)fd, (void)what;
	for (unsigned i = 0; i < BATCH && read_message(context); i++)
		;
}

static void on_timer(evutil_socket_t fd, short what, void *context)
{
	(void)fd, (void)what;
	log_all(context);
}

int nflog_add(struct egress *egress, int fd)
{
	struct nflog *nflog = egress->nflog ? NULL : calloc(1, sizeof(*nflog));
	if (!nflog) {
		close(fd);
		return egress->nflog ? -EEXIST : -ENOMEM;
	}
	*nflog = (struct nflog){.egress = egress, .fd = fd};
	egress->nflog = nflog;
	nflog->readable = event_new(egress->base, fd, EV_READ | EV_PERSIST, on_readable, nflog);
	nflog->timer = evtimer_new(egress->base, on_timer, nflog);
	if (nflog->readable && nflog->timer && event_add(nflog->readable, NULL) == 0)
		return 0;
	nflog_stop(egress);
	return -ENOMEM;
}

void nflog_stop(struct egress *egress)
{
	struct nflog *nflog = egress->nflog;
	if (!nflog)
		return;
	for (unsigned i = 0; i < BATCH_LAST && nflog->timer && read_message(nflog); i++)
		;
	log_all(nflog);
	if (nflog->readable)
		event_free(nflog->readable);
	if (nflog->timer)
		event_free(nflog->timer);
	close_fd(&nflog->fd);
	free(nflog);
	egress->nflog = NULL;
}
