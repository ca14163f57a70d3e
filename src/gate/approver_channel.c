/* Theory of operation. One line of JSON out, one in, and each answer names the question that it is
 * for. The host is trusted to speak for its user, but not to speak well: what it sends is
 * bounded, and anything but one well-formed answer to the question that was put is a refusal. A
 * question that ran out of time is told to be off ("approval_cancelled"); its answer, if it comes
 * all the same, is passed over and never taken for a later question's. */
#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/units.h"
#include "gate/settle.h"

#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

enum { EXPIRED_MAX = 64, ID_BYTES = 64 };

struct channel_approver {
	struct approver approver;
	int fd;
	uint64_t timeout_ms;                 /* 0: none */
	struct buffer pending;               /* what came after the last line */
	size_t searched;                     /* of it, without a newline */
	char expired[EXPIRED_MAX][ID_BYTES]; /* questions that ran out of time, in a ring */
	unsigned expired_count;
	bool broken; /* a message was cut short, either way: nothing after it can be trusted */
};

/* Waits for events. -ETIME. */
static int wait_for(const struct channel_approver *channel, short events, uint64_t deadline_us)
{
	struct pollfd pollfd = {.fd = channel->fd, .events = events};
	for (;;) {
		uint64_t now_us = clock_now_us();
		if (deadline_us && now_us >= deadline_us)
			return -ETIME;
		uint64_t left_ms = deadline_us ? (deadline_us - now_us) / 1000 + 1 : 0;
		int n = poll(&pollfd, 1,
			deadline_us ? (int)(left_ms < INT32_MAX ? left_ms : INT32_MAX) : -1);
		if (n > 0)
			return 0;
		if (n < 0 && errno != EINTR)
			return -errno;
	}
}

static int send_line(struct channel_approver *channel, const char *line, uint64_t deadline_us)
{
	size_t length = strlen(line), done = 0;
	while (done < length) {
		ssize_t n =
			send(channel->fd, line + done, length - done, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n >= 0)
			done += (size_t)n;
		else if (errno == EAGAIN || errno == EWOULDBLOCK) {
			int r = wait_for(channel, POLLOUT, deadline_us);
			if (r < 0) {
				channel->broken = channel->broken || done > 0;
				return r;
			}
		} else if (errno != EINTR) {
			channel->broken = true;
			return -errno;
		}
	}
	return 0;
}

/* The next line, without its newline, taken out of pending. -ETIME, -EMSGSIZE, -EPIPE (the host has
 * gone). */
static int receive_line(struct channel_approver *channel, uint64_t deadline_us, char **ret)
{
	struct buffer *pending = &channel->pending;
	for (;;) {
		char *newline = pending->length_bytes == channel->searched
					? NULL
					: memchr(pending->data + channel->searched, '\n',
						  pending->length_bytes - channel->searched);
		if (newline) {
			size_t length = (size_t)(newline - pending->data);
			*ret = strndup(pending->data, length);
			memmove(pending->data, newline + 1, pending->length_bytes - length - 1);
			pending->length_bytes -= length + 1;
			channel->searched = 0;
			return *ret ? 0 : -ENOMEM;
		}
		channel->searched = pending->length_bytes;
		int r = wait_for(channel, POLLIN, deadline_us);
		if (r < 0)
			return r;
		char data[16384];
		ssize_t n = recv(channel->fd, data, sizeof(data), MSG_DONTWAIT);
		if (n < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (n > 0)
			buffer_append(pending, data, (size_t)n);
		if (n <= 0 || buffer_error(pending)) {
			channel->broken = true;
			return n <= 0 ? -EPIPE : -EMSGSIZE;
		}
	}
}

static bool is_expired(const struct channel_approver *channel, const char *id)
{
	for (unsigned i = 0; i < channel->expired_count && i < EXPIRED_MAX; i++)
		if (strcmp(channel->expired[i], id) == 0)
			return true;
	return false;
}

static void expire(struct channel_approver *channel, const char *id)
{
	char notice[ID_BYTES + 64];
	snprintf(channel->expired[channel->expired_count++ % EXPIRED_MAX], ID_BYTES, "%s", id);
	snprintf(notice, sizeof(notice), "{\"type\":\"approval_cancelled\",\"id\":\"%s\"}\n", id);
	if (!channel->broken)
		send_line(channel, notice, clock_now_us() + 1);
}

/* 1: the answer is to a question that has run out of time. */
static int take_answer(const struct channel_approver *channel, const char *line, const char *id,
	struct approval_answer *ret, struct error *error)
{
	json_error_t fault;
	json_t *json = json_loads(line, JSON_REJECT_DUPLICATES, &fault);
	const char *answered = json_string_value(json_object_get(json, "id"));
	const json_t *type = json_object_get(json, "type");
	int r;
	if (!json)
		r = error_set(error, EPROTO, "approval",
			"the host's answer is no JSON: %s, column %d", fault.text, fault.column);
	else if (!json_is_object(json) || !answered)
		r = error_set(error, EPROTO, "approval",
			"the host's answer is no object with the question's \"id\"");
	else if (is_expired(channel, answered))
		r = 1;
	else if (strcmp(answered, id) != 0)
		r = error_set(
			error, EPROTO, "approval", "the host's answer is to another question");
	else if (type &&
		 (!json_is_string(type) || strcmp(json_string_value(type), "approval_answer") != 0))
		r = error_set(error, EPROTO, "approval",
			"the host's message is of another \"type\" than \"approval_answer\"");
	else
		r = approval_answer_from_json(json, ret, error);
	json_decref(json);
	return r;
}

static int converse(struct channel_approver *channel, const char *question, const char *id,
	struct approval_answer *ret, struct error *error)
{
	uint64_t deadline_us =
		channel->timeout_ms ? clock_now_us() + channel->timeout_ms * 1000 : 0;
	int r = send_line(channel, question, deadline_us);
	while (r == 0) {
		cleanup_free char *line = NULL;
		r = receive_line(channel, deadline_us, &line);
		if (r < 0)
			break;
		r = take_answer(channel, line, id, ret, error);
		if (r <= 0)
			return r;
		r = 0;
	}
	if (r == -ETIME) {
		expire(channel, id);
		return error_set(error, ETIME, "approval", "the host gave no answer within %llu ms",
			(unsigned long long)channel->timeout_ms);
	}
	if (r == -EMSGSIZE)
		return error_set(error, EMSGSIZE, "approval",
			"the host's answer is longer than %d bytes", MAX_MESSAGE_BYTES);
	return error_set_errno(error, -r, "approval", "the host cannot be asked");
}

static int channel_ask(struct approver *approver, const struct approval_request *request,
	struct approval_answer *ret, struct error *error)
{
	struct channel_approver *channel = (struct channel_approver *)approver;
	*ret = (struct approval_answer){.kind = ANSWER_NO, .by = "host"};
	if (channel->broken)
		return error_set(error, EPIPE, "approval", "the approvals channel has broken");
	json_t *json = approval_request_json(request);
	cleanup_free char *dump = json_dumps(json, JSON_COMPACT | JSON_ENSURE_ASCII);
	cleanup_free char *line = NULL;
	int r;
	if (!dump || asprintf(&line, "%s\n", dump) < 0) {
		line = NULL;
		r = error_set(error, ENOMEM, "approval", "the question cannot be written down");
	} else if (strlen(line) > MAX_MESSAGE_BYTES) {
		r = error_set(error, EMSGSIZE, "approval", "the question is longer than %d bytes",
			MAX_MESSAGE_BYTES);
	} else {
		r = converse(
			channel, line, json_string_value(json_object_get(json, "id")), ret, error);
	}
	json_decref(json);
	return r;
}

static void channel_free(struct approver *approver)
{
	struct channel_approver *channel = (struct channel_approver *)approver;
	close_fd(&channel->fd);
	buffer_release(&channel->pending);
	free(channel);
}

/* "fd:N": one that whoever started us has made, for both directions. */
static int take_descriptor(const char *number, struct error *error)
{
	char *end;
	errno = 0;
	long fd = strtol(number, &end, 10);
	struct stat st;
	if (*number < '0' || *number > '9' || *end || errno || fd > INT32_MAX)
		return error_set(
			error, EINVAL, "approval", "\"fd:%.32s\" names no descriptor", number);
	if (fd < 3)
		return error_set(error, EINVAL, "approval",
			"descriptor %ld is the command's own, not a channel for approvals", fd);
	if (fstat((int)fd, &st) < 0)
		return error_set_errno(error, errno, "approval", "descriptor %ld", fd);
	if (!S_ISSOCK(st.st_mode)) {
		error_set(error, ENOTSOCK, "approval", "descriptor %ld is not a socket", fd);
		return error_hint(error, "make a pair with socketpair() and hand one end over");
	}
	if (fcntl((int)fd, F_SETFD, FD_CLOEXEC) < 0)
		return error_set_errno(error, errno, "approval", "descriptor %ld", fd);
	return (int)fd;
}

static int connect_to(const char *path, struct error *error)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	if (strlen(path) >= sizeof(address.sun_path) || !*path)
		return error_set(error, ENAMETOOLONG, "approval",
			"%.200s: a socket's path has 1 to %zu bytes", path,
			sizeof(address.sun_path) - 1);
	strcpy(address.sun_path, path);
	cleanup_close int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		return error_set_errno(error, errno, "approval", "%.200s: cannot connect", path);
	struct ucred peer;
	socklen_t length = sizeof(peer);
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) < 0)
		return error_set_errno(error, errno, "approval", "%.200s: whose is it", path);
	if (peer.uid != geteuid() && peer.uid != 0)
		return error_set(error, EPERM, "approval",
			"%.200s: whoever listens there is user %u, and may not answer for you",
			path, peer.uid);
	return steal_fd(&fd);
}

int approver_channel(const char *where, struct approver **ret, struct error *error)
{
	static const char option[] = ",timeout=";
	const char *comma = strrchr(where, ',');
	uint64_t timeout_ms = 0;
	*ret = NULL;
	bool timed = comma && strncmp(comma, option, strlen(option)) == 0;
	if (timed && (units_parse_duration(comma + strlen(option), &timeout_ms) < 0 ||
			     timeout_ms == 0 || timeout_ms > INT32_MAX))
		return error_set(error, EINVAL, "approval",
			"\"%.32s\" is no time for an answer, such as timeout=5m", comma + 1);
	cleanup_free char *place = strndup(where, timed ? (size_t)(comma - where) : strlen(where));
	struct channel_approver *channel = calloc(1, sizeof(*channel));
	if (!place || !channel) {
		free(channel);
		return error_set(error, ENOMEM, "approval", "out of memory");
	}
	channel->approver = (struct approver){.ask = channel_ask, .free = channel_free};
	channel->timeout_ms = timeout_ms;
	channel->pending = (struct buffer)BUFFER_INIT(MAX_MESSAGE_BYTES);
	channel->fd = strncmp(place, "fd:", 3) == 0 ? take_descriptor(place + 3, error)
						    : connect_to(place, error);
	if (channel->fd < 0) {
		int r = channel->fd;
		channel_free(&channel->approver);
		return r;
	}
	*ret = &channel->approver;
	return 0;
}
