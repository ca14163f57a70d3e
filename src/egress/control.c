/* Theory of operation. One SOCK_SEQPACKET socket to the supervisor. What comes is few and small.
 * What goes are mostly records, as many as the box makes connections, and the supervisor may be
 * slow or stopped; egress must not stop with it. So a message that the socket does not take is
 * queued, and while anything is queued everything new goes behind it: order is kept. The queue is
 * bounded; records beyond it are counted, and one record says how many when there is room again. A
 * refusal that is the same as the last one queued only counts that one up, so a program that tries
 * in a loop cannot push other records out. */
#include "egress/egress.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fd.h"

#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum {
	QUEUE_MAX = 1024,    /* messages: 1.6 MiB at worst */
	QUESTIONS_MAX = 256, /* open at one time, however many wait for each answer */
	BATCH = 32,          /* messages read in one turn */
	START_WAIT_MS = 10000,
};

struct queued {
	TAILQ_ENTRY(queued) link;
	struct egress_message message;
};

/* A connection that waits for an answer. Those with the same target share a question, which has the
 * id of the first. */
struct waiter {
	TAILQ_ENTRY(waiter) link;
	uint32_t id, question;
	uint16_t port;
	char name[NETWORK_NAME_BYTES]; /* or, "", the address */
	struct in6_addr address;
	egress_answer answer;
	void *context;
};

struct control {
	struct egress *egress;
	int fd;
	struct event *readable, *writable;
	TAILQ_HEAD(queue, queued) queue;
	size_t queue_count;
	uint32_t dropped;    /* records, since the last one that was queued */
	uint64_t stop_at_us; /* while stopping: until when to wait for the supervisor */
	TAILQ_HEAD(waiters, waiter) waiters;
	size_t questions;
	uint32_t last_id;
	int box_user, box_net; /* until both are here */
};

/* ---- sending ---- */

static int send_message(struct control *control, const struct egress_message *message, int fd)
{
	return fd_send(control->fd, message, sizeof(*message), &fd, fd >= 0 ? 1 : 0);
}

static void pop(struct control *control)
{
	struct queued *first = TAILQ_FIRST(&control->queue);
	TAILQ_REMOVE(&control->queue, first, link);
	control->queue_count--;
	free(first);
}

/* Printable ASCII, whatever a stranger's name or a library's message holds. */
static void clean(char *text, size_t size)
{
	text[size - 1] = '\0';
	for (; *text; text++)
		if (*text < ' ' || *text > '~')
			*text = '?';
}

static int push(struct control *control, const struct egress_message *message, size_t most)
{
	struct queued *queued = control->queue_count < most ? malloc(sizeof(*queued)) : NULL;
	if (!queued)
		return -ENOBUFS;
	queued->message = *message;
	TAILQ_INSERT_TAIL(&control->queue, queued, link);
	control->queue_count++;
	event_add(control->writable, NULL);
	return 0;
}

/* There is room again: says first how many records are missing here. */
static void push_dropped(struct control *control)
{
	struct egress_message message = {.kind = EGRESS_RECORD};
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	message.record.time_ms = (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
	message.record.count = control->dropped;
	message.record.how = EGRESS_HOW_LOST;
	message.record.errno_value = ENOBUFS;
	snprintf(message.record.reason, sizeof(message.record.reason),
		"%u records were dropped: the log was not taken fast enough", control->dropped);
	if (push(control, &message, QUEUE_MAX) == 0)
		control->dropped = 0;
}

/* Sends from the queue's head until the socket takes no more. */
static int send_queued(struct control *control)
{
	for (;;) {
		if (control->dropped && control->queue_count < QUEUE_MAX)
			push_dropped(control);
		struct queued *first = TAILQ_FIRST(&control->queue);
		if (!first)
			return 0;
		int r = send_message(control, &first->message, -1);
		if (r < 0)
			return r;
		pop(control);
	}
}

static void on_writable(evutil_socket_t fd, short what, void *context)
{
	struct control *control = context;
	(void)fd, (void)what;
	int r = send_queued(control);
	if (r == -EAGAIN || r == -ENOBUFS)
		event_add(control->writable, NULL);
	else if (r < 0)
		event_base_loopexit(control->egress->base, NULL);
}

/* Waits until the supervisor takes something; false: the time is over, or it is gone. */
static bool await_writable(struct control *control, uint64_t until_us)
{
	uint64_t now = clock_now_us();
	if (now >= until_us)
		return false;
	struct pollfd poller = {.fd = control->fd, .events = POLLOUT};
	int n = poll(&poller, 1, (int)((until_us - now) / 1000) + 1);
	return n > 0 && !(poller.revents & (POLLERR | POLLHUP | POLLNVAL));
}

static void flush(struct control *control, uint64_t until_us)
{
	while (send_queued(control) == -EAGAIN && await_writable(control, until_us))
		;
}

static int post(struct control *control, const struct egress_message *message)
{
	if (control->queue_count >= QUEUE_MAX && control->egress->stopping)
		flush(control, control->stop_at_us);
	if (!control->dropped && TAILQ_EMPTY(&control->queue)) {
		int r = send_message(control, message, -1);
		if (r != -EAGAIN && r != -ENOBUFS)
			return r;
	}
	return control->dropped ? -ENOBUFS : push(control, message, QUEUE_MAX);
}

static bool same_refusal(const struct egress_record *one, const struct egress_record *other)
{
	return one->verdict == NETWORK_DENY && other->verdict == NETWORK_DENY && !one->ended &&
	       !other->ended && one->how == other->how && one->protocol == other->protocol &&
	       one->port == other->port &&
	       memcmp(&one->address, &other->address, sizeof(one->address)) == 0 &&
	       strcmp(one->name, other->name) == 0 && strcmp(one->reason, other->reason) == 0;
}

void egress_log(struct egress *egress, const struct egress_record *record)
{
	struct control *control = egress->control;
	if (!control)
		return;
	struct egress_message message = {.kind = EGRESS_RECORD, .record = *record};
	clean(message.record.name, sizeof(message.record.name));
	clean(message.record.rule, sizeof(message.record.rule));
	clean(message.record.reason, sizeof(message.record.reason));
	struct queued *last = TAILQ_LAST(&control->queue, queue);
	if (last && !control->dropped && last->message.kind == EGRESS_RECORD &&
		same_refusal(&last->message.record, &message.record))
		last->message.record.count += message.record.count;
	else if (post(control, &message) < 0)
		control->dropped += message.record.count;
}

void control_connected(struct egress *egress, uint32_t id, int value)
{
	struct control *control = egress->control;
	const struct egress_message message = {.kind = EGRESS_CONNECTED, .id = id, .value = value};
	if (egress->broker) {
		broker_tell(egress->broker, id, value);
		return;
	}
	/* The broker has a program waiting for it. Without room there is no way to go on. */
	if (control && post(control, &message) < 0)
		event_base_loopexit(egress->base, NULL);
}

int control_send_now(struct control *control, const struct egress_message *message, int fd)
{
	uint64_t until_us = clock_now_us() + (uint64_t)START_WAIT_MS * 1000;
	int r;
	do
		r = send_message(control, message, fd);
	while (r == -EAGAIN && await_writable(control, until_us));
	return r;
}

/* ---- asking ---- */

static struct waiter *find_waiter(struct control *control, uint32_t id)
{
	struct waiter *waiter;
	TAILQ_FOREACH(waiter, &control->waiters, link)
	if (waiter->id == id)
		return waiter;
	return NULL;
}

/* The first that waits for this question's answer. */
static struct waiter *find_question(struct control *control, uint32_t question)
{
	struct waiter *waiter;
	TAILQ_FOREACH(waiter, &control->waiters, link)
	if (waiter->question == question)
		return waiter;
	return NULL;
}

/* The question about the same target that is open; 0: there is none. */
static uint32_t same_question(struct control *control, const struct waiter *asking)
{
	struct waiter *waiter;
	TAILQ_FOREACH(waiter, &control->waiters, link)
	if (waiter->port == asking->port && strcmp(waiter->name, asking->name) == 0 &&
		memcmp(&waiter->address, &asking->address, sizeof(waiter->address)) == 0)
		return waiter->question;
	return 0;
}

static int put_question(
	struct control *control, const struct egress_record *record, uint32_t question)
{
	if (control->questions == QUESTIONS_MAX)
		return -ENOBUFS;
	struct egress_message message = {.kind = EGRESS_ASK, .id = question, .record = *record};
	clean(message.record.name, sizeof(message.record.name));
	clean(message.record.rule, sizeof(message.record.rule));
	clean(message.record.reason, sizeof(message.record.reason));
	int r = post(control, &message);
	if (r == 0)
		control->questions++;
	return r;
}

uint32_t egress_ask(struct egress *egress, const struct egress_record *record, egress_answer answer,
	void *context)
{
	struct control *control = egress->control;
	struct waiter *waiter = control && !egress->stopping ? calloc(1, sizeof(*waiter)) : NULL;
	if (!waiter)
		return 0;
	do
		control->last_id++;
	while (control->last_id == 0 || find_waiter(control, control->last_id) ||
		find_question(control, control->last_id));
	*waiter = (struct waiter){
		.id = control->last_id, .port = record->port, .answer = answer, .context = context};
	snprintf(waiter->name, sizeof(waiter->name), "%s", record->name);
	if (!waiter->name[0])
		waiter->address = record->address;
	waiter->question = same_question(control, waiter);
	if (!waiter->question && put_question(control, record, waiter->id) == 0)
		waiter->question = waiter->id;
	if (!waiter->question) {
		free(waiter);
		return 0;
	}
	TAILQ_INSERT_TAIL(&control->waiters, waiter, link);
	return waiter->id;
}

static void remove_waiter(struct control *control, struct waiter *waiter)
{
	TAILQ_REMOVE(&control->waiters, waiter, link);
	if (!find_question(control, waiter->question))
		control->questions--;
	free(waiter);
}

void egress_ask_forget(struct egress *egress, uint32_t id)
{
	struct control *control = egress->control;
	struct waiter *waiter = control && id ? find_waiter(control, id) : NULL;
	if (!waiter)
		return;
	const struct egress_message forget = {.kind = EGRESS_FORGET, .id = waiter->question};
	remove_waiter(control, waiter);
	if (find_question(control, forget.id))
		return; /* others wait for it */
	/* It has room even where records have none: else the question would stay open for ever.
	 * There are no more of these than questions that once had room. */
	if (!TAILQ_EMPTY(&control->queue) || send_message(control, &forget, -1) < 0)
		push(control, &forget, QUEUE_MAX + QUESTIONS_MAX);
}

/* A waiter's answer() may end others, or bring new ones, so the list is looked through anew. */
static void take_answer(struct control *control, const struct egress_message *message)
{
	bool known = message->value == NETWORK_ALLOW || message->value == NETWORK_MONITOR;
	enum network_verdict verdict = known ? (enum network_verdict)message->value : NETWORK_DENY;
	struct waiter *waiter;
	while (message->id && (waiter = find_question(control, message->id))) {
		egress_answer answer = waiter->answer;
		void *context = waiter->context;
		remove_waiter(control, waiter);
		answer(context, verdict);
	}
}

/* ---- what the box is connected by ---- */

static void start_publish(struct control *control)
{
	struct error error = {0};
	if (control->box_user < 0 || control->box_net < 0)
		return;
	int r = publish_start(control->egress, control->box_user, control->box_net, &error);
	close_fd(&control->box_user);
	close_fd(&control->box_net);
	if (r == 0)
		return;
	struct egress_record record = {.how = EGRESS_HOW_PUBLISH,
		.verdict = NETWORK_ALLOW,
		.errno_value = error.errno_value ? error.errno_value : -r,
		.count = 1};
	snprintf(record.reason, sizeof(record.reason), "%.*s", (int)sizeof(record.reason) - 1,
		error.message);
	egress_log(control->egress, &record);
}

static int keep(int *place, int fd)
{
	close_fd(place);
	*place = fd;
	return 0;
}

/* Hands one socket to whom it is for, who takes it over even if that fails. */
static int add_socket(struct control *control, enum egress_socket kind, int fd)
{
	struct egress *egress = control->egress;
	switch (kind) {
	case EGRESS_SOCKET_REDIRECT_V4:
	case EGRESS_SOCKET_REDIRECT_V6:
	case EGRESS_SOCKET_PROXY:
		return listeners_add(egress, kind, fd);
	case EGRESS_SOCKET_DNS_UDP_V4:
	case EGRESS_SOCKET_DNS_UDP_V6:
		return resolver_add_udp(egress->resolver, fd);
	case EGRESS_SOCKET_DNS_TCP_V4:
	case EGRESS_SOCKET_DNS_TCP_V6:
		return resolver_add_tcp(egress->resolver, fd);
	case EGRESS_SOCKET_NFLOG:
		return nflog_add(egress, fd);
	case EGRESS_SOCKET_UDP:
		return udp_add(egress, 0, fd);
	case EGRESS_SOCKET_BOX_NET:
		return keep(&control->box_net, fd);
	case EGRESS_SOCKET_BOX_USER:
		return keep(&control->box_user, fd);
	case EGRESS_SOCKET_BROKER:
		return broker_add(egress, fd);
	case EGRESS_SOCKET_KINDS:
		break;
	}
	close(fd);
	return -EINVAL;
}

static int take_sockets(
	struct control *control, const struct egress_message *message, int *fds, size_t count)
{
	if (message->kinds_count != count || count > ARRAY_SIZE(message->kinds))
		return -EBADMSG;
	int first_error = 0;
	for (size_t i = 0; i < count; i++) {
		int fd = steal_fd(&fds[i]);
		int flags = fcntl(fd, F_GETFL);
		if (flags >= 0)
			fcntl(fd, F_SETFL, flags | O_NONBLOCK);
		int r = add_socket(control, (enum egress_socket)message->kinds[i], fd);
		if (r < 0 && first_error == 0)
			first_error = r;
	}
	start_publish(control);
	return first_error;
}

/* ---- the landlock tier ---- */

static bool same_address(const struct in6_addr *one, const struct in6_addr *other)
{
	return memcmp(one, other, sizeof(*one)) == 0;
}

static bool is_own_address(const struct in6_addr *address)
{
	struct in6_addr v4, v6;
	return network_parse_address(EGRESS_ADDRESS_V4, &v4) == 0 &&
	       network_parse_address(EGRESS_ADDRESS_V6, &v6) == 0 &&
	       (same_address(address, &v4) || same_address(address, &v6));
}

static void take_connection(struct egress *egress, const struct egress_message *message, int fd)
{
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
	if (message->port == EGRESS_PORT_DNS) { /* whichever server was meant */
		control_connected(egress, message->id, resolver_add_tcp(egress->resolver, fd));
		return;
	}
	struct connection *connection = connection_new(egress, fd, EGRESS_HOW_BROKER);
	if (!connection) {
		control_connected(egress, message->id, -EAGAIN);
		return;
	}
	connection->id = message->id;
	if (message->port == EGRESS_PORT_PROXY && is_own_address(&message->address)) {
		control_connected(egress, message->id, 0);
		connection->id = 0;
		proxy_start(connection);
	} else if (connection_set_address(connection, &message->address, message->port)) {
		connection_decide(connection, connection_go, NULL);
	}
}

/* Which allow-udp rule a program's destination falls under; -1: none. */
static ssize_t find_udp_rule(const struct egress *egress, const struct egress_message *message)
{
	const char *name = standins_name(egress->standins, &message->address);
	for (size_t i = 0; i < egress->policy.udp_count; i++) {
		const struct network_udp *rule = &egress->policy.udp[i];
		if (rule->port != message->port)
			continue;
		if (rule->name ? name && strcmp(rule->name, name) == 0
			       : same_address(&rule->address, &message->address))
			return (ssize_t)i;
	}
	return -1;
}

static void take_datagrams(struct egress *egress, const struct egress_message *message, int fd)
{
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
	int r = -EACCES;
	if (message->port == EGRESS_PORT_DNS) {
		r = resolver_add_udp(egress->resolver, fd);
	} else {
		ssize_t rule = find_udp_rule(egress, message);
		if (rule >= 0)
			r = udp_add(egress, (size_t)rule, fd);
		else
			close(fd);
	}
	control_connected(egress, message->id, r);
}

void control_take_pair(struct egress *egress, const struct egress_message *message, int fd)
{
	if (message->kind == EGRESS_CONNECT)
		take_connection(egress, message, fd);
	else
		take_datagrams(egress, message, fd);
}

/* ---- receiving ---- */

/* What the supervisor sends is trusted, but a message that is not of this protocol means that the
 * two are not the same version: nothing of it can be relied on. */
static int take_message(
	struct control *control, const struct egress_message *message, int *fds, size_t count)
{
	switch (message->kind) {
	case EGRESS_SOCKETS:
		return take_sockets(control, message, fds, count);
	case EGRESS_CONNECT:
	case EGRESS_DATAGRAM:
		if (count != 1)
			return -EBADMSG;
		control_take_pair(control->egress, message, steal_fd(&fds[0]));
		return 0;
	case EGRESS_ANSWER:
		take_answer(control, message);
		return 0;
	case EGRESS_STOP:
		return -ESHUTDOWN;
	}
	return -EBADMSG;
}

static int receive(struct control *control)
{
	struct egress_message message;
	int fds[FD_PASS_MAX];
	size_t count = ARRAY_SIZE(fds);
	ssize_t n = fd_receive(control->fd, &message, sizeof(message), fds, &count);
	if (n < 0)
		return (int)n;
	int r = n == 0 ? -ESHUTDOWN : -EBADMSG;
	if (n == sizeof(message))
		r = take_message(control, &message, fds, count);
	for (size_t i = 0; i < count; i++)
		close_fd(&fds[i]);
	return r;
}

static void on_readable(evutil_socket_t fd, short what, void *context)
{
	struct control *control = context;
	(void)fd, (void)what;
	int r = 0;
	for (int i = 0; i < BATCH && r == 0; i++)
		r = receive(control);
	if (r == 0 || r == -EAGAIN)
		return;
	if (r != -ESHUTDOWN && r != -ECONNRESET) {
		struct egress_message failed = {.kind = EGRESS_FAILED};
		error_set_errno(&failed.error, -r, "egress", "a message of the supervisor's");
		post(control, &failed);
	}
	control->egress->stopping = true;
	event_base_loopbreak(control->egress->base);
}

int control_new(struct egress *egress, int fd, struct control **ret, struct error *error)
{
	struct control *control = calloc(1, sizeof(*control));
	if (!control) {
		close(fd);
		return error_set_errno(error, ENOMEM, "egress", "the control socket");
	}
	control->egress = egress;
	control->fd = fd;
	control->box_user = control->box_net = -1;
	TAILQ_INIT(&control->queue);
	TAILQ_INIT(&control->waiters);
	int flags = fcntl(fd, F_GETFL);
	control->readable = event_new(egress->base, fd, EV_READ | EV_PERSIST, on_readable, control);
	control->writable = event_new(egress->base, fd, EV_WRITE, on_writable, control);
	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 || !control->readable ||
		!control->writable || event_add(control->readable, NULL) < 0) {
		control_free(control);
		return error_set(error, ENOTCONN, "egress", "the control socket cannot be used");
	}
	event_priority_set(control->writable, EGRESS_PRIORITY_CONTROL);
	*ret = control;
	return 0;
}

void control_close_ears(struct control *control)
{
	event_del(control->readable);
}

void control_stop(struct control *control)
{
	control->stop_at_us = clock_now_us() + (uint64_t)EGRESS_STOP_MS * 1000;
}

void control_free(struct control *control)
{
	if (!control)
		return;
	if (control->stop_at_us)
		flush(control, control->stop_at_us);
	while (!TAILQ_EMPTY(&control->queue))
		pop(control);
	while (!TAILQ_EMPTY(&control->waiters))
		remove_waiter(control, TAILQ_FIRST(&control->waiters));
	if (control->readable)
		event_free(control->readable);
	if (control->writable)
		event_free(control->writable);
	close_fd(&control->box_user);
	close_fd(&control->box_net);
	close_fd(&control->fd);
	free(control);
}
