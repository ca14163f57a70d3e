/* Names to addresses that may be dialed. The host's resolver is asked by c-ares, and believed in
 * nothing: whoever owns a zone that the policy allows can put any address into it. So each alias
 * on the way must be a name that no rule denies, each address one that may be dialed, and what is
 * dialed later is the very answer that was checked, not another one (rebinding).
 *
 * With an upstream proxy, names are resolved by the proxy and their addresses are never seen: then
 * only names and literal addresses can be checked, and the proxy must be trusted not to reach what
 * it should not. The proxy's own address is dialed because the policy names it, private or not. */
#include "egress/upstream.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fd.h"

#include <assert.h>
#include <fcntl.h>
#include <search.h>
#include <string.h>

enum {
	LOOKUPS_MAX = 4096, /* names whose answers are remembered */
	RUNNING_MAX = 256,  /* questions that are under way at one time */
	WAITERS_MAX = 1024, /* for one name */
	ALIASES_MAX = 16,
	RESOLVE_MS = 5000, /* all in all; c-ares ends before, having asked every server twice */
	RESOLVE_FIRST_MS = 1500,
	TTL_MAX_S = 300,
	TTL_HOSTS_S = 60,
	TTL_MISSING_S = 10, /* c-ares does not hand out the SOA that would say it */
	TTL_FAILED_S = 1,
	EDNS_PAYLOAD_BYTES = 1232, /* fits any path without fragments (DNS flag day 2020) */
};

struct ares_socket {
	TAILQ_ENTRY(ares_socket) link;
	struct upstream *upstream;
	int fd;
	struct event *event;
};

struct waiter {
	TAILQ_ENTRY(waiter) link;
	upstream_resolved resolved;
	void *context;
};

struct lookup {
	char name[NETWORK_NAME_BYTES]; /* first: lookups are searched for by it */
	TAILQ_ENTRY(lookup) link;
	struct upstream *upstream;
	bool running;     /* it waits for its turn, or c-ares has it and will call back */
	unsigned telling; /* its waiters are being called: it may not go */
	struct event *turn, *deadline;
	TAILQ_HEAD(, waiter) waiters;
	size_t waiters_count;

	uint64_t expires_us;
	struct upstream_answer answer;
	char *aliases[ALIASES_MAX]; /* normalized */
	size_t aliases_count;
};

static int compare(const void *a, const void *b)
{
	return strcmp(a, b);
}

/* --- checks --------------------------------------------------------------------------------- */

/* Every port: what a deny rule without ports covers. */
static bool covers_all_ports(const struct port_set *ports)
{
	return ports->count == 1 && ports->ranges[0].first <= 1 && ports->ranges[0].last == 65535;
}

/* An alias needs no rule that allows it (content networks have names of their own), but must not
 * be one that a rule denies. port 0: not known yet, so that only rules for every port count. */
static bool may_follow(const struct network_policy *policy, const char *alias, uint16_t port,
	char reason[UPSTREAM_REASON_BYTES])
{
	const char *special = network_special_name(alias);
	if (!special && strcmp(alias, NETWORK_HOST_NAME) == 0)
		special = "it names the host itself";
	if (special) {
		snprintf(reason, UPSTREAM_REASON_BYTES, "is an alias of %.60s: %.70s", alias,
			special);
		return false;
	}
	struct network_decision decision;
	network_decide_name(policy, alias, port, &decision);
	const struct network_rule *rule = decision.rule;
	if (decision.verdict != NETWORK_DENY || !rule || rule->verdict != NETWORK_DENY ||
		(port == 0 && !covers_all_ports(&rule->ports)))
		return true;
	snprintf(reason, UPSTREAM_REASON_BYTES, "is an alias of %.60s, which %.60s denies", alias,
		rule->source ? rule->source : "a rule");
	return false;
}

static bool may_dial_address(const struct network_policy *policy, const struct in6_addr *address,
	uint16_t port, char reason[UPSTREAM_REASON_BYTES])
{
	char why[UPSTREAM_REASON_BYTES];
	if (network_may_dial(policy, address, port, why))
		return true;
	snprintf(reason, UPSTREAM_REASON_BYTES, "resolves to %.140s", why);
	return false;
}

static bool is_checked(const struct lookup *lookup)
{
	return lookup != lookup->upstream->proxy_lookup;
}

/* The name of an alias, normalized and remembered for the check by port. */
static bool add_alias(struct lookup *lookup, const char *alias)
{
	struct upstream_answer *answer = &lookup->answer;
	char name[NETWORK_NAME_BYTES];
	if (network_normalize_name(alias, name) < 0) {
		snprintf(answer->reason, sizeof(answer->reason),
			"is an alias of something that is not a host's name");
		return false;
	}
	if (strcmp(name, lookup->name) == 0)
		return true;
	for (size_t i = 0; i < lookup->aliases_count; i++)
		if (strcmp(lookup->aliases[i], name) == 0)
			return true;
	if (!may_follow(&lookup->upstream->egress->policy, name, 0, answer->reason))
		return false;
	char *copy = lookup->aliases_count < ALIASES_MAX ? strdup(name) : NULL;
	if (!copy) {
		snprintf(answer->reason, sizeof(answer->reason),
			"is at the end of a chain of more than %d aliases", ALIASES_MAX);
		return false;
	}
	lookup->aliases[lookup->aliases_count++] = copy;
	return true;
}

static void forget_aliases(struct lookup *lookup)
{
	while (lookup->aliases_count > 0)
		free(lookup->aliases[--lookup->aliases_count]);
}

static bool add_address(struct lookup *lookup, const struct in6_addr *address)
{
	struct upstream_answer *answer = &lookup->answer;
	/* One that will not be kept is looked at all the same: it says what the name is up to. */
	if (is_checked(lookup) &&
		!may_dial_address(&lookup->upstream->egress->policy, address, 0, answer->reason))
		return false;
	if (answer->count < UPSTREAM_ADDRESSES_MAX)
		answer->addresses[answer->count++] = *address;
	return true;
}

static struct lookup *find(struct upstream *upstream, const char *name)
{
	struct lookup **found = tfind(name, &upstream->names, compare);
	return found ? *found : NULL;
}

bool upstream_may_dial(struct upstream *upstream, const char *name,
	const struct upstream_answer *answer, uint16_t port, char reason[UPSTREAM_REASON_BYTES])
{
	const struct network_policy *policy = &upstream->egress->policy;
	for (size_t i = 0; i < answer->count; i++)
		if (!may_dial_address(policy, &answer->addresses[i], port, reason))
			return false;
	const struct lookup *lookup = find(upstream, name);
	for (size_t i = 0; lookup && i < lookup->aliases_count; i++)
		if (!may_follow(policy, lookup->aliases[i], port, reason))
			return false;
	return true;
}

/* --- an answer from c-ares ------------------------------------------------------------------ */

static void fail(struct lookup *lookup, int status, uint32_t ttl_s, const char *reason)
{
	lookup->answer = (struct upstream_answer){.status = status, .ttl_s = ttl_s};
	snprintf(lookup->answer.reason, sizeof(lookup->answer.reason), "%s", reason);
	forget_aliases(lookup);
}

static void fail_by_ares(struct lookup *lookup, int status)
{
	char reason[UPSTREAM_REASON_BYTES], server[INET6_ADDRSTRLEN];
	switch (status) {
	case ARES_ENOTFOUND:
		fail(lookup, -ENOENT, TTL_MISSING_S, "the resolver knows no such name");
		return;
	case ARES_ENODATA:
		fail(lookup, -ENODATA, TTL_MISSING_S, "the name has no address");
		return;
	default:
		network_format_address(&lookup->upstream->servers[0].address, server);
		snprintf(reason, sizeof(reason), "the resolver (%s) gave no answer: %s", server,
			ares_strerror(status));
		fail(lookup, -EAGAIN, TTL_FAILED_S, reason);
	}
}

static bool read_answer(struct lookup *lookup, const struct ares_addrinfo *info)
{
	struct upstream_answer *answer = &lookup->answer;
	int ttl_s = TTL_MAX_S;
	for (const struct ares_addrinfo_cname *alias = info->cnames; alias; alias = alias->next) {
		ttl_s = alias->ttl < ttl_s ? alias->ttl : ttl_s;
		if (is_checked(lookup) && ((alias->alias && !add_alias(lookup, alias->alias)) ||
						  (alias->name && !add_alias(lookup, alias->name))))
			return false;
	}
	for (const struct ares_addrinfo_node *node = info->nodes; node; node = node->ai_next) {
		struct in6_addr address = {.s6_addr = {[10] = 0xff, [11] = 0xff}};
		if (node->ai_family == AF_INET)
			memcpy(address.s6_addr + 12,
				&((const struct sockaddr_in *)node->ai_addr)->sin_addr, 4);
		else if (node->ai_family == AF_INET6)
			address = ((const struct sockaddr_in6 *)node->ai_addr)->sin6_addr;
		else
			continue;
		ttl_s = node->ai_ttl < ttl_s ? node->ai_ttl : ttl_s;
		if (!add_address(lookup, &address))
			return false;
	}
	answer->ttl_s = ttl_s < 1 ? 1 : (uint32_t)ttl_s;
	return true;
}

/* Tells everyone who waits, one by one: each may forget another, or ask again and wait anew. */
static void tell(struct lookup *lookup, const struct upstream_answer *answer)
{
	lookup->telling++;
	for (size_t count = lookup->waiters_count; count > 0; count--) {
		struct waiter *waiter = TAILQ_FIRST(&lookup->waiters);
		if (!waiter)
			break;
		TAILQ_REMOVE(&lookup->waiters, waiter, link);
		lookup->waiters_count--;
		upstream_resolved resolved = waiter->resolved;
		void *context = waiter->context;
		free(waiter);
		resolved(context, answer);
	}
	lookup->telling--;
}

static void on_answer(void *context, int status, int timeouts, struct ares_addrinfo *info)
{
	(void)timeouts;
	struct lookup *lookup = context;
	struct upstream *upstream = lookup->upstream;
	lookup->running = false;
	upstream->running_count--;
	TAILQ_REMOVE(&upstream->running, lookup, link);
	TAILQ_INSERT_TAIL(&upstream->idle, lookup, link);
	event_del(lookup->deadline);

	lookup->answer = (struct upstream_answer){.status = 0};
	forget_aliases(lookup);
	if (status != ARES_SUCCESS || !info) {
		fail_by_ares(lookup, status);
	} else if (!read_answer(lookup, info)) {
		char reason[UPSTREAM_REASON_BYTES];
		memcpy(reason, lookup->answer.reason, sizeof(reason));
		fail(lookup, -EACCES, TTL_MISSING_S, reason);
	} else if (lookup->answer.count == 0) {
		fail_by_ares(lookup, ARES_ENODATA);
	}
	if (info)
		ares_freeaddrinfo(info);
	lookup->expires_us = clock_now_us() + (uint64_t)lookup->answer.ttl_s * 1000000;
	if (status == ARES_EDESTRUCTION)
		return;
	struct upstream_answer answer = lookup->answer;
	tell(lookup, &answer);
}

/* Nobody waits longer, whatever c-ares is still hoping for; what it gets is remembered. */
static void on_deadline(evutil_socket_t fd, short what, void *context)
{
	(void)fd, (void)what;
	struct lookup *lookup = context;
	struct upstream_answer answer = {.status = -EAGAIN, .ttl_s = TTL_FAILED_S};
	char server[INET6_ADDRSTRLEN];
	network_format_address(&lookup->upstream->servers[0].address, server);
	snprintf(answer.reason, sizeof(answer.reason), "the resolver (%s) gave no answer in %d s",
		server, RESOLVE_MS / 1000);
	tell(lookup, &answer);
}

/* --- c-ares in the event loop --------------------------------------------------------------- */

static void reschedule(struct upstream *upstream)
{
	struct timeval timeout;
	if (ares_timeout(upstream->channel, NULL, &timeout))
		event_add(upstream->channel_timer, &timeout);
	else
		event_del(upstream->channel_timer);
}

static void on_channel_timer(evutil_socket_t fd, short what, void *context)
{
	(void)fd, (void)what;
	struct upstream *upstream = context;
	ares_process_fd(upstream->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
	reschedule(upstream);
}

static void on_socket(evutil_socket_t fd, short what, void *context)
{
	struct upstream *upstream = context;
	ares_process_fd(upstream->channel, what & EV_READ ? fd : ARES_SOCKET_BAD,
		what & EV_WRITE ? fd : ARES_SOCKET_BAD);
	reschedule(upstream);
}

/* c-ares wants to be told of other things on a socket from now on, or of none: it is closed.
 * Without memory the socket is not heard, and the question ends by its time. */
static void on_socket_state(void *context, ares_socket_t fd, int readable, int writable)
{
	struct upstream *upstream = context;
	struct ares_socket *socket;
	TAILQ_FOREACH(socket, &upstream->sockets, link)
	if (socket->fd == fd)
		break;
	if (socket) {
		TAILQ_REMOVE(&upstream->sockets, socket, link);
		event_free(socket->event);
		free(socket);
	}
	if (!readable && !writable)
		return;
	socket = calloc(1, sizeof(*socket));
	if (!socket)
		return;
	short what = EV_PERSIST | (readable ? EV_READ : 0) | (writable ? EV_WRITE : 0);
	*socket = (struct ares_socket){.upstream = upstream, .fd = fd};
	socket->event = event_new(upstream->egress->base, fd, what, on_socket, upstream);
	if (!socket->event || event_add(socket->event, NULL) < 0) {
		if (socket->event)
			event_free(socket->event);
		free(socket);
		return;
	}
	TAILQ_INSERT_TAIL(&upstream->sockets, socket, link);
}

static int set_servers(struct upstream *upstream)
{
	struct ares_addr_port_node nodes[NETWORK_RESOLVERS_MAX] = {0};
	for (size_t i = 0; i < upstream->servers_count; i++) {
		const struct nameserver *server = &upstream->servers[i];
		nodes[i].next = i + 1 < upstream->servers_count ? &nodes[i + 1] : NULL;
		nodes[i].udp_port = nodes[i].tcp_port = server->port;
		nodes[i].family = IN6_IS_ADDR_V4MAPPED(&server->address) ? AF_INET : AF_INET6;
		if (nodes[i].family == AF_INET)
			memcpy(&nodes[i].addr, server->address.s6_addr + 12, 4);
		else
			memcpy(&nodes[i].addr, &server->address, 16);
	}
	return ares_set_servers_ports(upstream->channel, nodes);
}

/* Everything that c-ares would read from files and the environment is given: the policy's servers
 * alone, no search list (a name is asked for as it is), no host aliases, no files. */
static int open_channel(struct upstream *upstream, struct error *error)
{
	static char lookups[] = "b", no_file[] = "/dev/null";
	struct ares_options options = {
		.flags = ARES_FLAG_NOSEARCH | ARES_FLAG_NOALIASES | ARES_FLAG_EDNS,
		.timeout = RESOLVE_FIRST_MS / (int)upstream->servers_count,
		.tries = 2,
		.ndots = 0,
		.lookups = lookups,
		.ednspsz = EDNS_PAYLOAD_BYTES,
		.resolvconf_path = no_file,
		.sock_state_cb = on_socket_state,
		.sock_state_cb_data = upstream,
	};
	int mask = ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_NDOTS |
		   ARES_OPT_DOMAINS | ARES_OPT_LOOKUPS | ARES_OPT_EDNSPSZ | ARES_OPT_RESOLVCONF |
		   ARES_OPT_SOCK_STATE_CB | ARES_OPT_NOROTATE;
	int r = ares_library_init(ARES_LIB_INIT_ALL);
	if (r == ARES_SUCCESS)
		r = ares_init_options(&upstream->channel, &options, mask);
	if (r == ARES_SUCCESS)
		r = set_servers(upstream);
	if (r != ARES_SUCCESS)
		return error_set(error, r == ARES_ENOMEM ? ENOMEM : EIO, "resolver",
			"cannot make a resolver: %s", ares_strerror(r));
	return 0;
}

/* --- asking --------------------------------------------------------------------------------- */

static void query(struct lookup *lookup)
{
	struct upstream *upstream = lookup->upstream;
	/* The order is that of RFC 8305, made by who dials: c-ares would open sockets to sort. */
	static const struct ares_addrinfo_hints hints = {
		.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = ARES_AI_NOSORT};
	const char *name = is_checked(lookup) ? lookup->name : upstream->proxy.name;
	ares_getaddrinfo(upstream->channel, name, NULL, &hints, on_answer, lookup);
	reschedule(upstream);
}

static void on_turn(evutil_socket_t fd, short what, void *context)
{
	(void)fd, (void)what;
	query(context);
}

static void lookup_free(struct lookup *lookup)
{
	if (!lookup)
		return;
	for (struct waiter *waiter; (waiter = TAILQ_FIRST(&lookup->waiters));) {
		TAILQ_REMOVE(&lookup->waiters, waiter, link);
		free(waiter);
	}
	forget_aliases(lookup);
	if (lookup->turn)
		event_free(lookup->turn);
	if (lookup->deadline)
		event_free(lookup->deadline);
	free(lookup);
}

static struct lookup *lookup_new(struct upstream *upstream, const char *name)
{
	struct lookup *lookup = calloc(1, sizeof(*lookup));
	if (!lookup)
		return NULL;
	snprintf(lookup->name, sizeof(lookup->name), "%s", name);
	lookup->upstream = upstream;
	TAILQ_INIT(&lookup->waiters);
	lookup->turn = evtimer_new(upstream->egress->base, on_turn, lookup);
	lookup->deadline = evtimer_new(upstream->egress->base, on_deadline, lookup);
	if (!lookup->turn || !lookup->deadline) {
		lookup_free(lookup);
		return NULL;
	}
	return lookup;
}

/* Makes room by the least recently used name that nothing is going on with. */
static bool evict(struct upstream *upstream)
{
	struct lookup *lookup;
	TAILQ_FOREACH(lookup, &upstream->idle, link)
	if (lookup->telling == 0 && is_checked(lookup))
		break;
	if (!lookup)
		return false;
	TAILQ_REMOVE(&upstream->idle, lookup, link);
	tdelete(lookup, &upstream->names, compare);
	upstream->lookups_count--;
	lookup_free(lookup);
	return true;
}

static struct lookup *find_or_make(struct upstream *upstream, const char *name)
{
	struct lookup *lookup = find(upstream, name);
	if (lookup)
		return lookup;
	if (upstream->lookups_count >= LOOKUPS_MAX && !evict(upstream))
		return NULL;
	lookup = lookup_new(upstream, name);
	if (!lookup || !tsearch(lookup, &upstream->names, compare)) {
		lookup_free(lookup);
		return NULL;
	}
	upstream->lookups_count++;
	TAILQ_INSERT_TAIL(&upstream->idle, lookup, link);
	return lookup;
}

/* Asks when its turn has come; c-ares may answer before this returns. */
static void start(struct lookup *lookup, int wait_ms)
{
	struct upstream *upstream = lookup->upstream;
	lookup->running = true;
	upstream->running_count++;
	TAILQ_REMOVE(&upstream->idle, lookup, link);
	TAILQ_INSERT_TAIL(&upstream->running, lookup, link);
	struct timeval wait = {wait_ms / 1000, wait_ms % 1000 * 1000};
	if (wait_ms == 0)
		query(lookup);
	else if (event_add(lookup->turn, &wait) < 0)
		on_answer(lookup, ARES_ENOMEM, 0, NULL);
}

static void answer_failure(
	upstream_resolved resolved, void *context, int status, const char *reason)
{
	struct upstream_answer answer = {.status = status, .ttl_s = TTL_FAILED_S};
	snprintf(answer.reason, sizeof(answer.reason), "%s", reason);
	resolved(context, &answer);
}

static const char no_nameserver[] = "the host has no nameserver configured";
static const char too_many[] = "too many names are being resolved at one time";

/* Joins those who wait for the name; the question, if it is a new one, begins in wait_ms. */
static bool join(struct lookup *lookup, int wait_ms, upstream_resolved resolved, void *context)
{
	if (lookup->waiters_count >= WAITERS_MAX ||
		(!lookup->running && lookup->upstream->running_count >= RUNNING_MAX))
		return false;
	struct waiter *waiter = calloc(1, sizeof(*waiter));
	struct timeval end = {
		.tv_sec = wait_ms / 1000 + RESOLVE_MS / 1000, .tv_usec = wait_ms % 1000 * 1000};
	if (!waiter || (!event_pending(lookup->deadline, EV_TIMEOUT, NULL) &&
			       event_add(lookup->deadline, &end) < 0)) {
		free(waiter);
		return false;
	}
	*waiter = (struct waiter){.resolved = resolved, .context = context};
	TAILQ_INSERT_TAIL(&lookup->waiters, waiter, link);
	lookup->waiters_count++;
	return true;
}

/* Answers from what is remembered, or waits for the question under way, or asks it. */
static void ask(struct lookup *lookup, upstream_resolved resolved, void *context)
{
	struct upstream *upstream = lookup->upstream;
	if (!lookup->running && clock_now_us() < lookup->expires_us) {
		TAILQ_REMOVE(&upstream->idle, lookup, link);
		TAILQ_INSERT_TAIL(&upstream->idle, lookup, link);
		struct upstream_answer answer = lookup->answer;
		lookup->telling++;
		resolved(context, &answer);
		lookup->telling--;
		return;
	}
	int wait_ms = 0;
	if (!lookup->running) {
		if (is_checked(lookup))
			wait_ms = slow_wait_ms(upstream->slow, lookup->name);
		if (wait_ms < 0) {
			answer_failure(resolved, context, wait_ms,
				"too many new names are being made up below a wildcard");
			return;
		}
	}
	if (!join(lookup, wait_ms, resolved, context)) {
		answer_failure(resolved, context, -EAGAIN, too_many);
		return;
	}
	if (!lookup->running)
		start(lookup, wait_ms);
}

/* The host's own file comes first, and is checked as any answer is: an entry for a private address
 * opens nothing that an allow-cidr has not. */
static bool answer_from_hosts(
	struct upstream *upstream, const char *name, struct upstream_answer *ret)
{
	struct in6_addr addresses[HOSTS_ADDRESSES_MAX];
	size_t count = hosts_find(upstream->hosts, name, addresses);
	*ret = (struct upstream_answer){.ttl_s = TTL_HOSTS_S};
	for (size_t i = 0; i < count && ret->status == 0; i++) {
		if (!may_dial_address(&upstream->egress->policy, &addresses[i], 0, ret->reason)) {
			ret->status = -EACCES;
			ret->count = 0;
		} else if (ret->count < UPSTREAM_ADDRESSES_MAX) {
			ret->addresses[ret->count++] = addresses[i];
		}
	}
	return count > 0;
}

void upstream_resolve(
	struct upstream *upstream, const char *name, upstream_resolved resolved, void *context)
{
	struct upstream_answer answer;
	if (answer_from_hosts(upstream, name, &answer)) {
		resolved(context, &answer);
		return;
	}
	if (!upstream->channel) {
		answer_failure(resolved, context, -EAGAIN, no_nameserver);
		return;
	}
	struct lookup *lookup = find_or_make(upstream, name);
	if (lookup)
		ask(lookup, resolved, context);
	else
		answer_failure(resolved, context, -EAGAIN, too_many);
}

void upstream_resolve_proxy(struct upstream *upstream, upstream_resolved resolved, void *context)
{
	struct upstream_answer answer = {.ttl_s = TTL_HOSTS_S};
	answer.count = hosts_find(upstream->hosts, upstream->proxy.name, answer.addresses);
	if (answer.count > 0)
		resolved(context, &answer);
	else if (!upstream->channel)
		answer_failure(resolved, context, -EAGAIN, no_nameserver);
	else
		ask(upstream->proxy_lookup, resolved, context);
}

void upstream_forget(struct upstream *upstream, void *context)
{
	/* Who is being told right now may no longer be running. */
	struct lookup_list *const lists[] = {&upstream->running, &upstream->idle};
	for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
		struct lookup *lookup;
		TAILQ_FOREACH(lookup, lists[i], link)
		{
			struct waiter *waiter = TAILQ_FIRST(&lookup->waiters), *next;
			for (; waiter; waiter = next) {
				next = TAILQ_NEXT(waiter, link);
				if (waiter->context != context)
					continue;
				TAILQ_REMOVE(&lookup->waiters, waiter, link);
				lookup->waiters_count--;
				free(waiter);
			}
		}
	}
}

/* --- birth and end -------------------------------------------------------------------------- */

static int read_hosts(struct upstream *upstream, struct error *error)
{
	cleanup_free char *text = NULL;
	size_t length = 0;
	int r = fd_read_file(AT_FDCWD, "/etc/hosts", HOSTS_FILE_BYTES, &text, &length);
	if (r < 0 && r != -ENOENT)
		return error_set_errno(error, -r, "resolver", "cannot read /etc/hosts");
	if (hosts_parse(r < 0 ? "" : text, &upstream->hosts) < 0)
		return error_set(error, ENOMEM, "resolver", "no memory for /etc/hosts");
	return 0;
}

static int read_servers(struct upstream *upstream, struct error *error)
{
	const struct strv *resolvers = &upstream->egress->policy.resolvers;
	assert(resolvers->count <= NETWORK_RESOLVERS_MAX);
	for (size_t i = 0; i < resolvers->count; i++)
		if (hosts_parse_nameserver(
			    resolvers->items[i], &upstream->servers[upstream->servers_count++]) < 0)
			return error_set(error, EINVAL, "resolver",
				"'%.100s' is not a resolver's address", resolvers->items[i]);
	if (resolvers->count > 0)
		return 0;
	cleanup_free char *text = NULL;
	size_t length = 0;
	if (fd_read_file(AT_FDCWD, "/etc/resolv.conf", 1 << 20, &text, &length) == 0)
		upstream->servers_count = hosts_parse_nameservers(text, upstream->servers);
	return 0;
}

/* Whether something in the policy can only be reached by asking a nameserver. */
static bool needs_nameserver(const struct upstream *upstream)
{
	const struct network_policy *policy = &upstream->egress->policy;
	struct in6_addr addresses[HOSTS_ADDRESSES_MAX];
	const struct hosts *hosts = upstream->hosts;
	for (size_t i = 0; i < policy->udp_count; i++)
		if (policy->udp[i].name && !hosts_find(hosts, policy->udp[i].name, addresses))
			return true;
	if (upstream->proxy.used)
		return upstream->proxy.name[0] &&
		       !hosts_find(hosts, upstream->proxy.name, addresses);
	for (size_t i = 0; i < policy->rules_count; i++) {
		const struct network_rule *rule = &policy->rules[i];
		if (rule->by_address || rule->verdict == NETWORK_DENY)
			continue;
		if (rule->match != MATCH_EXACT ||
			(strcmp(rule->name, NETWORK_HOST_NAME) != 0 &&
				!hosts_find(hosts, rule->name, addresses)))
			return true;
	}
	return policy->mode == NETWORK_ON || upstream->egress->ask;
}

static int configure(struct upstream *upstream, struct error *error)
{
	const struct network_policy *policy = &upstream->egress->policy;
	int r = read_hosts(upstream, error);
	if (r == 0)
		r = read_servers(upstream, error);
	if (r == 0 && policy->upstream_proxy)
		r = dial_parse_proxy(policy->upstream_proxy, &upstream->proxy, error);
	if (r < 0)
		return r;
	if (upstream->servers_count == 0) {
		if (!needs_nameserver(upstream))
			return 0;
		error_set(error, ENOENT, "resolver",
			"the host has no nameserver, and the policy allows names");
		return error_hint(
			error, "name one with --net-resolver ADDRESS, or in /etc/resolv.conf");
	}
	upstream->channel_timer = evtimer_new(upstream->egress->base, on_channel_timer, upstream);
	upstream->proxy_lookup = lookup_new(upstream, "");
	if (!upstream->channel_timer || !upstream->proxy_lookup)
		return error_set(error, ENOMEM, "resolver", "no memory for the resolver");
	TAILQ_INSERT_TAIL(&upstream->idle, upstream->proxy_lookup, link);
	return open_channel(upstream, error);
}

int upstream_new(struct egress *egress, struct upstream **ret, struct error *error)
{
	struct upstream *upstream = calloc(1, sizeof(*upstream));
	if (!upstream)
		return error_set(error, ENOMEM, "resolver", "no memory for the resolver");
	upstream->egress = egress;
	TAILQ_INIT(&upstream->sockets);
	TAILQ_INIT(&upstream->idle);
	TAILQ_INIT(&upstream->running);
	TAILQ_INIT(&upstream->dials);
	int r = slow_new(egress, &upstream->slow);
	if (r < 0)
		error_set(error, ENOMEM, "resolver", "no memory for the resolver");
	else
		r = configure(upstream, error);
	if (r < 0) {
		upstream_free(upstream);
		return r;
	}
	*ret = upstream;
	return 0;
}

static void free_lookups(struct upstream *upstream, struct lookup_list *list)
{
	for (struct lookup *lookup; (lookup = TAILQ_FIRST(list));) {
		TAILQ_REMOVE(list, lookup, link);
		if (is_checked(lookup))
			tdelete(lookup, &upstream->names, compare);
		else
			upstream->proxy_lookup = NULL;
		lookup_free(lookup);
	}
}

void upstream_free(struct upstream *upstream)
{
	if (!upstream)
		return;
	dial_cancel_all(upstream);
	if (upstream->channel)
		ares_destroy(upstream->channel); /* what is running becomes idle */
	ares_library_cleanup();
	free_lookups(upstream, &upstream->idle);
	free_lookups(upstream, &upstream->running); /* those whose turn had not come */
	lookup_free(upstream->proxy_lookup);
	slow_free(upstream->slow);
	if (upstream->channel_timer)
		event_free(upstream->channel_timer);
	dial_release_proxy(&upstream->proxy);
	hosts_free(upstream->hosts);
	free(upstream);
}
