/* Checked addresses to connections: happy eyeballs (RFC 8305), and the upstream proxy's CONNECT.
 *
 * A dial ends by exactly one of done() and upstream_cancel(), and by itself after EGRESS_DIAL_MS.
 * done() is never called before upstream_dial() has returned. */
#include "egress/upstream.h"

#include "base/cleanup.h"

#include <openssl/evp.h>
#include <string.h>
#include <sys/socket.h>

enum {
	STAGGER_MS =
		250, /* RFC 8305, section 8: before the next address is tried beside the last */
	PROXY_HEAD_BYTES = 16 * 1024,
	CREDENTIALS_BYTES = 512,
};

struct attempt {
	struct dial *dial;
	struct in6_addr address;
	int fd; /* -1: over */
	struct event *event;
};

struct dial {
	TAILQ_ENTRY(dial) link;
	struct upstream *upstream;
	char name[NETWORK_NAME_BYTES]; /* "": literal */
	struct in6_addr literal;
	uint16_t port;
	upstream_dialed done;
	void *context;
	struct event *begin, *stagger, *deadline;
	bool proxied, resolving, metered;

	struct attempt attempts[UPSTREAM_ADDRESSES_MAX]; /* in the order in which they are tried */
	size_t count, started, open;
	uint16_t connect_port;
	int error; /* of the attempts: positive, the one that says most */

	/* Over a connection to the proxy: */
	int fd;
	struct in6_addr address;
	struct event *io;
	char *request;
	size_t request_bytes, sent_bytes;
	char *head;
	size_t head_bytes;
};

/* --- the upstream proxy's URL --------------------------------------------------------------- */

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* USER:PASSWORD with percent escapes, as the value of a header. */
static int make_authorization(const char *text, size_t length, char **ret)
{
	unsigned char plain[CREDENTIALS_BYTES];
	size_t count = 0;
	if (length >= sizeof(plain))
		return -EINVAL;
	for (size_t i = 0; i < length; i++) {
		if (text[i] != '%') {
			plain[count++] = (unsigned char)text[i];
			continue;
		}
		int high = i + 2 < length ? hex_value(text[i + 1]) : -1;
		int low = high >= 0 ? hex_value(text[i + 2]) : -1;
		if (low < 0)
			return -EINVAL;
		plain[count++] = (unsigned char)(high << 4 | low);
		i += 2;
	}
	static const char scheme[] = "Basic ";
	char *value = malloc(sizeof(scheme) + (count + 2) / 3 * 4);
	if (!value)
		return -ENOMEM;
	memcpy(value, scheme, sizeof(scheme));
	EVP_EncodeBlock((unsigned char *)value + strlen(scheme), plain, (int)count);
	explicit_bzero(plain, sizeof(plain));
	*ret = value;
	return 0;
}

/* HOST:PORT or [IPV6]:PORT, the port 1 to 65535; a slash at the end is no harm. */
static int parse_authority(const char *text, struct upstream_proxy *ret)
{
	const char *colon = strrchr(text, ':');
	char host[NETWORK_NAME_BYTES + 2];
	if (!colon || (size_t)(colon - text) >= sizeof(host) || colon[1] < '0' || colon[1] > '9')
		return -EINVAL;
	char *end;
	unsigned long port = strtoul(colon + 1, &end, 10);
	if (port == 0 || port > UINT16_MAX || (*end && strcmp(end, "/") != 0))
		return -EINVAL;
	memcpy(host, text, (size_t)(colon - text));
	host[colon - text] = '\0';
	ret->port = (uint16_t)port;
	ret->name[0] = '\0';
	if (network_parse_address(host, &ret->address) == 0)
		return 0;
	return network_normalize_name(host, ret->name);
}

int dial_parse_proxy(const char *url, struct upstream_proxy *ret, struct error *error)
{
	static const char scheme[] = "http://";
	*ret = (struct upstream_proxy){0};
	int r = strncasecmp(url, scheme, strlen(scheme)) == 0 ? 0 : -EINVAL;
	if (r == 0) {
		const char *authority = url + strlen(scheme), *at = strrchr(authority, '@');
		if (at)
			r = make_authorization(
				authority, (size_t)(at - authority), &ret->authorization);
		if (r == 0)
			r = parse_authority(at ? at + 1 : authority, ret);
	}
	if (r < 0) {
		dial_release_proxy(ret);
		/* The URL may hold a password: it is not repeated. */
		error_set(error, -r, "upstream proxy",
			"the upstream proxy's URL is not http://[USER:PASSWORD@]HOST:PORT");
		return -r > 0 ? r : -EINVAL;
	}
	ret->used = true;
	return 0;
}

void dial_release_proxy(struct upstream_proxy *proxy)
{
	if (proxy->authorization)
		explicit_bzero(proxy->authorization, strlen(proxy->authorization));
	free(proxy->authorization);
	*proxy = (struct upstream_proxy){0};
}

/* --- the end -------------------------------------------------------------------------------- */

static void close_attempt(struct attempt *attempt)
{
	if (attempt->event)
		event_free(attempt->event);
	attempt->event = NULL;
	if (attempt->fd >= 0)
		attempt->dial->open--;
	close_fd(&attempt->fd);
}

static void dial_free(struct dial *dial)
{
	TAILQ_REMOVE(&dial->upstream->dials, dial, link);
	if (dial->resolving)
		upstream_forget(dial->upstream, dial);
	for (size_t i = 0; i < dial->started; i++)
		close_attempt(&dial->attempts[i]);
	struct event *const events[] = {dial->begin, dial->stagger, dial->deadline, dial->io};
	for (size_t i = 0; i < ARRAY_SIZE(events); i++)
		if (events[i])
			event_free(events[i]);
	close_fd(&dial->fd);
	if (dial->request)
		explicit_bzero(dial->request, dial->request_bytes);
	free(dial->request);
	free(dial->head);
	free(dial);
}

void upstream_cancel(struct dial *dial)
{
	if (dial)
		dial_free(dial);
}

void dial_cancel_all(struct upstream *upstream)
{
	for (struct dial *dial; (dial = TAILQ_FIRST(&upstream->dials));)
		dial_free(dial);
}

/* fd >= 0: taken over by done(). */
static void finish(struct dial *dial, int fd, const char *reason)
{
	upstream_dialed done = dial->done;
	void *context = dial->context;
	struct in6_addr address = dial->address;
	char copy[UPSTREAM_REASON_BYTES];
	snprintf(copy, sizeof(copy), "%s", reason);
	dial_free(dial);
	done(context, fd, &address, copy);
}

static void on_deadline(evutil_socket_t fd, short what, void *context)
{
	(void)fd, (void)what;
	struct dial *dial = context;
	finish(dial, -ETIMEDOUT,
		dial->fd >= 0     ? "the upstream proxy did not answer in time"
		: dial->resolving ? "the name was not resolved in time"
		: dial->proxied   ? "the upstream proxy took no connection in time"
				  : "the server took no connection in time");
}

/* --- the upstream proxy's CONNECT ----------------------------------------------------------- */

static int make_request(struct dial *dial)
{
	const char *authorization = dial->upstream->proxy.authorization;
	char host[NETWORK_NAME_BYTES + 2], address[INET6_ADDRSTRLEN];
	if (dial->name[0]) {
		snprintf(host, sizeof(host), "%s", dial->name);
	} else {
		network_format_address(&dial->literal, address);
		snprintf(host, sizeof(host), strchr(address, ':') ? "[%s]" : "%s", address);
	}
	int length = asprintf(&dial->request, "CONNECT %s:%u HTTP/1.1\r\nHost: %s:%u\r\n%s%s%s\r\n",
		host, dial->port, host, dial->port, authorization ? "Proxy-Authorization: " : "",
		authorization ? authorization : "", authorization ? "\r\n" : "");
	if (length < 0) {
		dial->request = NULL;
		return -ENOMEM;
	}
	dial->request_bytes = (size_t)length;
	dial->head = malloc(PROXY_HEAD_BYTES);
	return dial->head ? 0 : -ENOMEM;
}

/* The whole head lies in dial->head. Of it only the status counts. */
static void take_verdict(struct dial *dial)
{
	char reason[UPSTREAM_REASON_BYTES];
	const char *head = dial->head;
	bool is_status = dial->head_bytes > 12 && memcmp(head, "HTTP/1.", 7) == 0 &&
			 (head[7] == '0' || head[7] == '1') && head[8] == ' ' &&
			 strspn(head + 9, "0123456789") >= 3 &&
			 (head[12] == ' ' || head[12] == '\r');
	if (!is_status) {
		finish(dial, -EPROTO, "the upstream proxy does not speak HTTP");
	} else if (head[9] == '2') {
		event_free(dial->io);
		dial->io = NULL;
		finish(dial, steal_fd(&dial->fd), "");
	} else if (memcmp(head + 9, "407", 3) == 0) {
		finish(dial, -EACCES,
			"the upstream proxy wants other credentials (it answered 407)");
	} else {
		snprintf(reason, sizeof(reason), "the upstream proxy refused: it answered %.3s",
			head + 9);
		finish(dial, -ECONNREFUSED, reason);
	}
}

/* Reads up to the end of the head and not a byte further: what comes after is the tunnel's. */
static void read_head(struct dial *dial)
{
	char *start = dial->head + dial->head_bytes;
	size_t room = PROXY_HEAD_BYTES - 1 - dial->head_bytes;
	ssize_t count = room > 0 ? recv(dial->fd, start, room, MSG_PEEK) : 0;
	if (count < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (count <= 0) {
		finish(dial, -EPROTO, "the upstream proxy closed the connection without an answer");
		return;
	}
	start[count] = '\0';
	/* The empty line may have begun in what was read before. */
	size_t back = dial->head_bytes < 3 ? dial->head_bytes : 3;
	const char *end = memmem(start - back, back + (size_t)count, "\r\n\r\n", 4);
	size_t wanted = end ? (size_t)(end + 4 - start) : (size_t)count;
	if (recv(dial->fd, start, wanted, 0) != (ssize_t)wanted) {
		finish(dial, -EPROTO, "the upstream proxy's answer could not be read");
		return;
	}
	dial->head_bytes += wanted;
	dial->head[dial->head_bytes] = '\0';
	if (end)
		take_verdict(dial);
}

static void on_proxy(evutil_socket_t fd, short what, void *context)
{
	(void)what;
	struct dial *dial = context;
	if (dial->sent_bytes == dial->request_bytes) {
		read_head(dial);
		return;
	}
	ssize_t sent = send(fd, dial->request + dial->sent_bytes,
		dial->request_bytes - dial->sent_bytes, MSG_NOSIGNAL);
	if (sent < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (sent < 0) {
		finish(dial, -errno, "the upstream proxy closed the connection");
		return;
	}
	dial->sent_bytes += (size_t)sent;
	if (dial->sent_bytes < dial->request_bytes)
		return;
	event_free(dial->io);
	dial->io =
		event_new(dial->upstream->egress->base, fd, EV_READ | EV_PERSIST, on_proxy, dial);
	if (!dial->io || event_add(dial->io, NULL) < 0)
		finish(dial, -ENOMEM, "no memory");
}

static void speak_to_proxy(struct dial *dial, int fd)
{
	dial->fd = fd;
	int r = make_request(dial);
	if (r == 0)
		dial->io = event_new(
			dial->upstream->egress->base, fd, EV_WRITE | EV_PERSIST, on_proxy, dial);
	if (r < 0 || !dial->io || event_add(dial->io, NULL) < 0)
		finish(dial, -ENOMEM, "no memory");
}

/* --- happy eyeballs ------------------------------------------------------------------------- */

static socklen_t make_sockaddr(
	const struct in6_addr *address, uint16_t port, struct sockaddr_storage *ret)
{
	*ret = (struct sockaddr_storage){0};
	if (IN6_IS_ADDR_V4MAPPED(address)) {
		struct sockaddr_in *v4 = (struct sockaddr_in *)ret;
		v4->sin_family = AF_INET;
		v4->sin_port = htons(port);
		memcpy(&v4->sin_addr, address->s6_addr + 12, 4);
		return sizeof(*v4);
	}
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)ret;
	v6->sin6_family = AF_INET6;
	v6->sin6_port = htons(port);
	v6->sin6_addr = *address;
	return sizeof(*v6);
}

/* That a family is missing here says less than what a server said. */
static void note_error(struct dial *dial, int error)
{
	bool is_local = dial->error == 0 || dial->error == ENETUNREACH ||
			dial->error == EAFNOSUPPORT || dial->error == EADDRNOTAVAIL;
	if (is_local)
		dial->error = error;
}

static void try_next(struct dial *dial);

static void on_connected(struct dial *dial, struct attempt *attempt)
{
	/* That the first family came too late is remembered: the next dial need not wait. */
	bool v4 = IN6_IS_ADDR_V4MAPPED(&attempt->address);
	if (v4 != (bool)IN6_IS_ADDR_V4MAPPED(&dial->attempts[0].address))
		dial->upstream->v4_first = v4;
	dial->address = attempt->address;
	int fd = steal_fd(&attempt->fd);
	dial->open--;
	for (size_t i = 0; i < dial->started; i++)
		close_attempt(&dial->attempts[i]);
	event_del(dial->stagger);
	if (dial->proxied)
		speak_to_proxy(dial, fd);
	else
		finish(dial, fd, "");
}

static void on_attempt(evutil_socket_t fd, short what, void *context)
{
	(void)what;
	struct attempt *attempt = context;
	struct dial *dial = attempt->dial;
	int error = 0;
	socklen_t size = sizeof(error);
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0)
		error = errno;
	if (error == 0) {
		on_connected(dial, attempt);
		return;
	}
	note_error(dial, error);
	close_attempt(attempt);
	try_next(dial);
}

/* 0: under way; else a positive errno. */
static int start_attempt(struct attempt *attempt)
{
	struct dial *dial = attempt->dial;
	struct sockaddr_storage storage;
	socklen_t size = make_sockaddr(&attempt->address, dial->connect_port, &storage);
	cleanup_close int fd =
		socket(storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return errno;
	/* One that connects at once (a server on this host) is told by its first write event. */
	if (connect(fd, (struct sockaddr *)&storage, size) < 0 && errno != EINPROGRESS)
		return errno;
	attempt->event = event_new(dial->upstream->egress->base, fd, EV_WRITE, on_attempt, attempt);
	if (!attempt->event || event_add(attempt->event, NULL) < 0)
		return ENOMEM;
	attempt->fd = steal_fd(&fd);
	dial->open++;
	return 0;
}

static void fail_to_connect(struct dial *dial)
{
	char reason[UPSTREAM_REASON_BYTES];
	snprintf(reason, sizeof(reason), "cannot connect to the %s: %s",
		dial->proxied ? "upstream proxy" : "server", strerror(dial->error));
	finish(dial, -dial->error, reason);
}

/* Starts the next attempt that can be started, and the clock for the one after it. */
static void try_next(struct dial *dial)
{
	event_del(dial->stagger);
	while (dial->started < dial->count) {
		struct attempt *attempt = &dial->attempts[dial->started++];
		int error = start_attempt(attempt);
		if (error == 0)
			break;
		note_error(dial, error);
		close_attempt(attempt);
	}
	if (dial->open == 0) {
		fail_to_connect(dial);
	} else if (dial->started < dial->count) {
		struct timeval wait = {.tv_usec = STAGGER_MS * 1000};
		event_add(dial->stagger, &wait);
	}
}

static void on_stagger(evutil_socket_t fd, short what, void *context)
{
	(void)fd, (void)what;
	try_next(context);
}

static void add_attempt(struct dial *dial, const struct in6_addr *address)
{
	dial->attempts[dial->count++] =
		(struct attempt){.dial = dial, .address = *address, .fd = -1};
}

/* The families take turns (RFC 8305, section 4), each in the resolver's order. Whose proxy is on
 * this host has named it. */
static void race(struct dial *dial, const struct in6_addr *addresses, size_t count)
{
	size_t next[2] = {0, 0};
	bool want_v4 = dial->upstream->v4_first;
	char reason[UPSTREAM_REASON_BYTES];
	for (size_t i = 0; i < count && !dial->proxied; i++)
		if (!routes_may_dial(
			    dial->upstream->egress, &addresses[i], dial->connect_port, reason)) {
			finish(dial, -EACCES, reason);
			return;
		}
	for (size_t added = 0; added < count;) {
		size_t *position = &next[want_v4];
		while (*position < count &&
			(bool)IN6_IS_ADDR_V4MAPPED(&addresses[*position]) != want_v4)
			(*position)++;
		if (*position < count) {
			add_attempt(dial, &addresses[(*position)++]);
			added++;
		}
		want_v4 = !want_v4;
	}
	try_next(dial);
}

/* --- the beginning -------------------------------------------------------------------------- */

static int status_to_errno(int status)
{
	return status == -ENOENT || status == -ENODATA ? -EHOSTUNREACH : status;
}

static void on_resolved(void *context, const struct upstream_answer *answer)
{
	struct dial *dial = context;
	struct upstream *upstream = dial->upstream;
	char reason[UPSTREAM_REASON_BYTES];
	dial->resolving = false;
	if (answer->status < 0) {
		snprintf(reason, sizeof(reason), "%s%.130s",
			dial->proxied ? "upstream proxy: " : "", answer->reason);
		finish(dial, status_to_errno(answer->status), reason);
		return;
	}
	if (!dial->proxied &&
		!upstream_may_dial(upstream, dial->name, answer, dial->port, reason)) {
		finish(dial, -EACCES, reason);
		return;
	}
	race(dial, answer->addresses, answer->count);
}

/* The host's loopback is opened by a rule that names it and the port, and by nothing wider. */
static bool may_reach_host(const struct network_policy *policy, uint16_t port)
{
	struct network_decision decision;
	network_decide_name(policy, NETWORK_HOST_NAME, port, &decision);
	if (decision.verdict == NETWORK_DENY)
		return false;
	for (size_t i = 0; i < policy->rules_count; i++) {
		const struct network_rule *rule = &policy->rules[i];
		if (rule->by_address || rule->verdict == NETWORK_DENY ||
			rule->match != MATCH_EXACT || strcmp(rule->name, NETWORK_HOST_NAME) != 0)
			continue;
		for (size_t j = 0; j < rule->ports.count; j++)
			if (port >= rule->ports.ranges[j].first &&
				port <= rule->ports.ranges[j].last)
				return true;
	}
	return false;
}

/* The proxy asks a resolver for the name: it is metered as if that had been asked from here. */
static void dial_proxy(struct dial *dial)
{
	const struct upstream_proxy *proxy = &dial->upstream->proxy;
	int wait_ms = 0;
	if (dial->name[0] && !dial->metered)
		wait_ms = slow_wait_ms(dial->upstream->slow, dial->name);
	dial->metered = true;
	if (wait_ms < 0) {
		finish(dial, wait_ms, "too many new names are being made up below a wildcard");
		return;
	}
	if (wait_ms > 0) {
		struct timeval wait = {wait_ms / 1000, wait_ms % 1000 * 1000};
		if (event_add(dial->begin, &wait) < 0)
			finish(dial, -ENOMEM, "no memory");
		return;
	}
	dial->proxied = true;
	dial->connect_port = proxy->port;
	if (proxy->name[0]) {
		dial->resolving = true;
		upstream_resolve_proxy(dial->upstream, on_resolved, dial);
	} else {
		race(dial, &proxy->address, 1);
	}
}

static void begin(evutil_socket_t fd, short what, void *context)
{
	static const struct in6_addr loopback = {
		.s6_addr = {[10] = 0xff, [11] = 0xff, [12] = 127, [15] = 1}};
	(void)fd, (void)what;
	struct dial *dial = context;
	const struct network_policy *policy = &dial->upstream->egress->policy;
	char reason[UPSTREAM_REASON_BYTES] = "";
	const char *special = dial->name[0] ? network_special_name(dial->name) : NULL;
	if (special) {
		finish(dial, -EACCES, special);
	} else if (dial->name[0] && strcmp(dial->name, NETWORK_HOST_NAME) == 0) {
		if (may_reach_host(policy, dial->port))
			race(dial, &loopback, 1);
		else
			finish(dial, -EACCES, "no rule names this port of the host's loopback");
	} else if (!dial->name[0] &&
		   !network_may_dial(policy, &dial->literal, dial->port, reason)) {
		finish(dial, -EACCES, reason);
	} else if (dial->upstream->proxy.used) {
		dial_proxy(dial);
	} else if (!dial->name[0]) {
		race(dial, &dial->literal, 1);
	} else {
		dial->resolving = true;
		upstream_resolve(dial->upstream, dial->name, on_resolved, dial);
	}
}

struct dial *upstream_dial(struct upstream *upstream, const char *name,
	const struct in6_addr *literal, uint16_t port, upstream_dialed done, void *context)
{
	struct event_base *base = upstream->egress->base;
	struct dial *dial = calloc(1, sizeof(*dial));
	if (!dial)
		return NULL;
	*dial = (struct dial){.upstream = upstream,
		.port = port,
		.connect_port = port,
		.done = done,
		.context = context,
		.fd = -1,
		.begin = evtimer_new(base, begin, dial),
		.stagger = evtimer_new(base, on_stagger, dial),
		.deadline = evtimer_new(base, on_deadline, dial)};
	if (name)
		snprintf(dial->name, sizeof(dial->name), "%s", name);
	if (literal)
		dial->literal = *literal;
	TAILQ_INSERT_TAIL(&upstream->dials, dial, link);
	struct timeval wait = {.tv_sec = EGRESS_DIAL_MS / 1000};
	if (!dial->begin || !dial->stagger || !dial->deadline ||
		event_add(dial->deadline, &wait) < 0) {
		dial_free(dial);
		return NULL;
	}
	event_active(dial->begin, EV_TIMEOUT, 0);
	return dial;
}
