/* The landlock tier's way in. Theory of operation. The box's broker has a socket of its own to this
 * process, on which it hands over ends of connections and asks what comes of them; its answers go
 * back there. It handles what the box sends, so it is believed in nothing but that: of the
 * supervisor's words it can say two. Answers that the socket does not take wait here; there are
 * never more than calls that wait in the broker. */
#include "egress/egress.h"

#include "base/cleanup.h"
#include "base/fd.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum {
	ANSWERS_MAX = 1024, /* above what the broker has waiting at one time */
	BATCH = 32,         /* messages read in one turn */
};

struct answer {
	uint32_t id;
	int32_t value;
};

struct broker {
	struct egress *egress;
	int fd;
	struct event *readable, *writable;
	struct answer answers[ANSWERS_MAX]; /* oldest first */
	size_t answers_count;
};

void broker_free(struct broker *broker)
{
	if (!broker)
		return;
	broker->egress->broker = NULL;
	if (broker->readable)
		event_free(broker->readable);
	if (broker->writable)
		event_free(broker->writable);
	close_fd(&broker->fd);
	free(broker);
}

/* Returns 0 or -errno; -EAGAIN: later. */
static int send_answers(struct broker *broker)
{
	size_t sent = 0;
	int r = 0;
	while (sent < broker->answers_count && r == 0) {
		const struct egress_message message = {.kind = EGRESS_CONNECTED,
			.id = broker->answers[sent].id,
			.value = broker->answers[sent].value};
		r = fd_send(broker->fd, &message, sizeof(message), NULL, 0);
		sent += r == 0;
	}
	broker->answers_count -= sent;
	memmove(broker->answers, broker->answers + sent,
		broker->answers_count * sizeof(broker->answers[0]));
	return r;
}

/* Without the broker, programs have no way out any more; with it, but without its answers, they
 * would wait for ever. Its end of the socket tells it. */
static void flush(struct broker *broker)
{
	int r = send_answers(broker);
	if (r == -EAGAIN || r == -ENOBUFS)
		r = event_add(broker->writable, NULL);
	if (r < 0)
		broker_free(broker);
}

static void on_writable(evutil_socket_t fd, short what, void *context)
{
	(void)fd, (void)what;
	flush(context);
}

void broker_tell(struct broker *broker, uint32_t id, int value)
{
	if (broker->answers_count == ANSWERS_MAX) {
		broker_free(broker);
		return;
	}
	broker->answers[broker->answers_count++] = (struct answer){id, value};
	/* Not here: who tells may be in the middle of a message of the same broker's. */
	if (event_add(broker->writable, NULL) < 0)
		broker_free(broker);
}

static int receive(struct broker *broker)
{
	struct egress_message message;
	int fds[FD_PASS_MAX];
	size_t count = ARRAY_SIZE(fds);
	ssize_t n = fd_receive(broker->fd, &message, sizeof(message), fds, &count);
	if (n < 0)
		return (int)n;
	int r = n == 0 ? -ESHUTDOWN : -EBADMSG;
	if (n == sizeof(message) && count == 1 &&
		(message.kind == EGRESS_CONNECT || message.kind == EGRESS_DATAGRAM)) {
		control_take_pair(broker->egress, &message, steal_fd(&fds[0]));
		r = 0;
	}
	for (size_t i = 0; i < count; i++)
		close_fd(&fds[i]);
	return r;
}

static void on_readable(evutil_socket_t fd, short what, void *context)
{
	struct broker *broker = context;
	struct egress *egress = broker->egress;
	(void)fd, (void)what;
	int r = 0;
	for (int i = 0; i < BATCH && r == 0 && egress->broker; i++)
		r = receive(broker);
	if (egress->broker && r != 0 && r != -EAGAIN)
		broker_free(broker);
}

int broker_add(struct egress *egress, int fd)
{
	cleanup_close int owned = fd;
	int flags = fcntl(fd, F_GETFL);
	if (egress->broker || !egress->landlock)
		return -EINVAL;
	struct broker *broker = calloc(1, sizeof(*broker));
	if (!broker)
		return -ENOMEM;
	egress->broker = broker;
	broker->egress = egress;
	broker->fd = steal_fd(&owned);
	broker->readable = event_new(egress->base, fd, EV_READ | EV_PERSIST, on_readable, broker);
	broker->writable = event_new(egress->base, fd, EV_WRITE, on_writable, broker);
	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 || !broker->readable ||
		!broker->writable || event_add(broker->readable, NULL) < 0) {
		broker_free(broker);
		return -ENOMEM;
	}
	return 0;
}
