/* The session's loop. Theory of operation: one poll(2) over the host's two descriptors, signals,
 * and a socket for each call. A host that does not read is waited for: first the calls' output
 * stays in their sockets, and their commands stall on their pipes; then the host's own requests
 * stay unread. The end of the host's input is the end of the session: calls are killed, their
 * boxes die, and SessionEnd hooks have a moment to run. */
#include "session/core.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/utf8.h"

#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>

/* Once the host is gone nobody waits: hooks of SessionEnd have this long. */
enum { FAREWELL_US = 800 * 1000 };

enum { POLL_HOST_IN, POLL_HOST_OUT, POLL_SIGNALS, POLL_CALLS };

struct loop {
	struct session *session;
	int in, out, signals;
	bool host_gone, farewell_said;
	uint64_t deadline_us; /* of the farewell; 0: not set */
};

void session_log(const char *format, ...)
{
	char text[1024];
	va_list args;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	fputs("coffer: ", stderr);
	for (const unsigned char *s = (const unsigned char *)text; *s;) {
		size_t length = utf8_sequence(s);
		if (length && !utf8_is_control(utf8_character(s, length)))
			fwrite(s, 1, length, stderr);
		else
			fprintf(stderr, "\\x%02x", *s);
		s += length ? length : 1;
	}
	fputc('\n', stderr);
}

static int open_signals(struct loop *loop)
{
	static const int taken[] = {SIGCHLD, SIGHUP, SIGINT, SIGTERM};
	sigset_t set;
	sigemptyset(&set);
	for (size_t i = 0; i < ARRAY_SIZE(taken); i++)
		sigaddset(&set, taken[i]);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGCHLD, SIG_DFL); /* inherited as ignored, nobody could be waited for */
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return -errno;
	loop->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return loop->signals < 0 ? -errno : 0;
}

static void lose_host(struct loop *loop)
{
	if (loop->host_gone)
		return;
	loop->host_gone = true;
	loop->session->ending = true;
	calls_cancel_all(loop->session);
}

static void take_signals(struct loop *loop)
{
	struct signalfd_siginfo info;
	while (read(loop->signals, &info, sizeof(info)) == sizeof(info)) {
		if (info.ssi_signo == SIGHUP)
			session_reload(loop->session, true);
		else if (info.ssi_signo != SIGCHLD)
			lose_host(loop);
	}
}

static bool is_full(const struct session *session)
{
	return wire_queued_bytes(session->wire) >= SESSION_QUEUE_FULL_BYTES;
}

/* Handles whole lines that were read, as long as their answers can be queued. */
static void take_lines(struct loop *loop)
{
	struct session *session = loop->session;
	const char *line;
	size_t length;
	int r;
	while (!is_full(session) && (r = wire_next(session->wire, &line, &length)) != 0) {
		if (r == -EMSGSIZE)
			rpc_refuse_line(session->rpc);
		else if (r < 0 || rpc_take(session->rpc, line, length) < 0)
			lose_host(loop);
		if (loop->host_gone)
			return;
	}
}

static void no_end(struct call *call, const struct call_end *end)
{
	(void)call, (void)end;
}

/* Once everything else has ended: the hooks of the session's end, where nobody has fired them. */
static void say_farewell(struct loop *loop)
{
	struct session *session = loop->session;
	loop->farewell_said = true;
	if (!session->started)
		return;
	session->started = false;
	int code;
	const char *name;
	struct error error;
	json_t *params = json_pack("{s:s}", "reason", "other");
	struct call order = {
		.kind = CALL_HOOKS, .event = HOOK_SESSION_END, .params = params, .ended = no_end};
	call_begin(session, &order, NULL, &code, &name, &error);
	json_decref(params);
	loop->deadline_us = clock_now_us() + FAREWELL_US;
}

static size_t fill_poll(struct loop *loop, struct pollfd *fds)
{
	struct session *session = loop->session;
	size_t queued = wire_queued_bytes(session->wire);
	bool listen = !loop->host_gone && !session->ending && !is_full(session);
	fds[POLL_HOST_IN] = (struct pollfd){.fd = listen ? loop->in : -1, .events = POLLIN};
	/* Without events a closed pipe is still told: a host that only reads may go, too. */
	fds[POLL_HOST_OUT] = (struct pollfd){
		.fd = loop->host_gone ? -1 : loop->out, .events = queued ? POLLOUT : 0};
	fds[POLL_SIGNALS] = (struct pollfd){.fd = loop->signals, .events = POLLIN};
	size_t count = POLL_CALLS;
	for (struct call *call = session->calls; call; call = call->next)
		fds[count++] = (struct pollfd){
			.fd = queued < SESSION_QUEUE_PAUSE_BYTES || loop->host_gone ? call->socket
										    : -1,
			.events = POLLIN};
	return count;
}

static void read_calls(struct loop *loop, const struct pollfd *fds, size_t count)
{
	size_t i = POLL_CALLS;
	for (struct call *call = loop->session->calls; call && i < count; call = call->next, i++)
		if (fds[i].fd >= 0 && fds[i].fd == call->socket && fds[i].revents)
			call_read(call);
}

static void go_round(struct loop *loop)
{
	struct session *session = loop->session;
	struct pollfd fds[POLL_CALLS + MAX_SESSION_CALLS];
	size_t count = fill_poll(loop, fds);
	int timeout_ms = -1;
	if (loop->deadline_us) {
		uint64_t now_us = clock_now_us();
		timeout_ms = now_us < loop->deadline_us
				     ? (int)((loop->deadline_us - now_us) / 1000 + 1)
				     : 0;
	}
	int ready = poll(fds, count, timeout_ms);
	if (ready < 0)
		return;
	if (ready == 0 && loop->deadline_us)
		calls_cancel_all(session);
	if (fds[POLL_SIGNALS].revents)
		take_signals(loop);
	/* Calls first: requests may start some, whose places are not in fds. */
	read_calls(loop, fds, count);
	if (fds[POLL_HOST_OUT].revents & (POLLERR | POLLNVAL))
		lose_host(loop);
	else if ((fds[POLL_HOST_OUT].revents & POLLOUT) && wire_write(session->wire) < 0)
		lose_host(loop);
	if (fds[POLL_HOST_IN].revents && !loop->host_gone && wire_read(session->wire) < 0)
		lose_host(loop);
	if (!loop->host_gone && !session->ending)
		take_lines(loop);
	calls_reap(session);
	if (rpc_is_broken(session->rpc))
		lose_host(loop);
}

int session_loop(struct session *session, int in, int out, const struct rpc_face *rpc_face)
{
	struct loop loop = {.session = session, .in = in, .out = out, .signals = -1};
	int r = open_signals(&loop);
	if (r == 0)
		r = wire_new(in, out, &session->wire);
	if (r == 0)
		r = rpc_new(session->wire, rpc_face, &session->rpc);
	if (r < 0) {
		session_log("the session could not be set up: %s", strerrordesc_np(-r));
		return 125;
	}
	for (;;) {
		bool answered = loop.host_gone || wire_queued_bytes(session->wire) == 0;
		if (session->ending && !session->calls && answered) {
			if (loop.farewell_said)
				break;
			say_farewell(&loop);
			continue;
		}
		go_round(&loop);
	}
	close(loop.signals);
	return 0;
}
