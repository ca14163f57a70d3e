/* Whether the nameservers that a person named are there at all, asked before anything runs. The
 * question is for the root, which tells nobody anything; any answer will do. */
#include "egress/upstream.h"

#include "base/cleanup.h"
#include "base/clock.h"

#include <arpa/inet.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

enum {
	PROBE_MS = 2000,      /* in all */
	PROBE_AGAIN_MS = 500, /* a datagram may be lost */
};

static const uint8_t question[] = {
	0xc0, 0xff,             /* id */
	0x01, 0x00,             /* recursion desired */
	0, 1, 0, 0, 0, 0, 0, 0, /* one question */
	0, 0, 2, 0, 1,          /* . NS IN */
};

static int ask(const struct nameserver *server)
{
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6,
		.sin6_port = htons(server->port),
		.sin6_addr = server->address};
	struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(server->port)};
	bool is_v4 = IN6_IS_ADDR_V4MAPPED(&server->address);
	memcpy(&v4.sin_addr, &server->address.s6_addr[12], sizeof(v4.sin_addr));
	const struct sockaddr *to = is_v4 ? (void *)&v4 : (void *)&v6;
	cleanup_close int fd = socket(to->sa_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || connect(fd, to, is_v4 ? sizeof(v4) : sizeof(v6)) < 0 ||
		send(fd, question, sizeof(question), 0) < 0)
		return -errno;
	return steal_fd(&fd);
}

/* 1: it answered; 0: not yet; or -errno. */
static int hear(int fd)
{
	uint8_t answer[512];
	ssize_t n = recv(fd, answer, sizeof(answer), 0);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	bool fits = n >= 12 && memcmp(answer, question, 2) == 0 && (answer[2] & 0x80);
	return fits;
}

/* As long as some server may still answer. 1: one did; else -errno of the last that could not. */
static int wait_for_any(struct pollfd *fds, size_t count, int error)
{
	uint64_t end_us = clock_now_us() + PROBE_MS * 1000ULL;
	size_t left = 0;
	for (size_t i = 0; i < count; i++)
		left += fds[i].fd >= 0;
	while (left > 0 && clock_now_us() < end_us) {
		if (poll(fds, count, PROBE_AGAIN_MS) == 0) {
			for (size_t i = 0; i < count; i++)
				if (fds[i].fd >= 0)
					(void)!send(fds[i].fd, question, sizeof(question), 0);
			continue;
		}
		for (size_t i = 0; i < count; i++) {
			int r = fds[i].fd >= 0 && fds[i].revents ? hear(fds[i].fd) : 0;
			if (r > 0)
				return r;
			if (r == 0)
				continue;
			close_fd(&fds[i].fd); /* which is -1 then: poll() passes over it */
			error = r;
			left--;
		}
	}
	return error;
}

int upstream_probe(const struct upstream *upstream, struct error *error)
{
	const struct strv *resolvers = &upstream->egress->policy.resolvers;
	struct pollfd fds[NETWORK_RESOLVERS_MAX];
	int r = -ETIMEDOUT;
	if (resolvers->count == 0)
		return 0;
	for (size_t i = 0; i < upstream->servers_count; i++) {
		fds[i] = (struct pollfd){.fd = ask(&upstream->servers[i]), .events = POLLIN};
		if (fds[i].fd < 0)
			r = fds[i].fd;
	}
	r = wait_for_any(fds, upstream->servers_count, r);
	for (size_t i = 0; i < upstream->servers_count; i++)
		close_fd(&fds[i].fd);
	if (r > 0)
		return 0;
	error_set(error, -r, "resolver", "--net-resolver %.100s%s: no answer: %s",
		resolvers->items[0], resolvers->count > 1 ? " and the others" : "", strerror(-r));
	return error_hint(error, "name a DNS server that can be reached from here");
}
