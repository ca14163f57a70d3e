/* Theory of operation. A descriptor of the caller's that is harmless in a box is handed over, and
 * costs nothing. Every other one is replaced by a pipe or by a PTY of the box's own, and the bytes
 * are moved by channels: one for each direction, see run/channel.c. The keyboard and the screen are
 * two channels between the PTY's master and the caller's terminal (base/terminal.c). */
#include "run/output.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/terminal.h"
#include "run/channel.h"
#include "run/sanitizing.h"

#include <fcntl.h>
#include <linux/kcmp.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

enum stream_kind {
	STREAM_CLOSED,
	STREAM_FILE,
	STREAM_PIPE,
	STREAM_UNIX_SOCKET,
	STREAM_NETWORK_SOCKET,
	STREAM_DEVICE,
	STREAM_TERMINAL,
};

/* The first three are numbered as the descriptors that they stand behind. */
enum { CHANNEL_STDIN, CHANNEL_STDOUT, CHANNEL_STDERR, CHANNEL_KEYBOARD, CHANNEL_SCREEN, CHANNELS };
_Static_assert((int)CHANNELS <= (int)OUTPUT_POLL_MAX, "one poll entry for each channel");

struct output {
	struct output_options options;
	enum stream_kind kinds[3];
	int child_fds[3];    /* -1: the PTY's slave, or closed again */
	bool child_owned[3]; /* ours to close */
	int stdin_pipe;      /* its read end, kept to learn what nobody has read; -1: none */
	struct channel channels[CHANNELS];

	struct terminal terminal;
	int master;
	int screen_index; /* the stream that counts what goes to the terminal */
	bool takes_terminal;
	bool wants_keyboard; /* the command has it, whenever we are in the foreground */
	bool stopped_by_us;  /* by output_suspend(): the command's next stop is its echo */
};

static const char *const names[] = {"standard input", "standard output", "standard error"};

static int refuse(int index, const char *what, struct error *error)
{
	error_set(error, EINVAL, "output", "%s is %s", names[index], what);
	error_hint(error, "redirect it to a file or a pipe");
	return -EINVAL;
}

static int inspect_socket(int fd, int index, enum stream_kind *ret, struct error *error)
{
	int domain, type;
	socklen_t length = sizeof(int);
	if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &length) ||
		getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length))
		return refuse(index, "a socket of an unknown kind", error);
	/* One datagram socket can address every other of the host. */
	if (type != SOCK_STREAM && (type != SOCK_SEQPACKET || domain != AF_UNIX))
		return refuse(index, "a datagram or raw socket", error);
	struct sockaddr_storage peer;
	length = sizeof(peer);
	if (getpeername(fd, (struct sockaddr *)&peer, &length))
		return refuse(index, "a socket without a connection", error);
	*ret = domain == AF_UNIX ? STREAM_UNIX_SOCKET : STREAM_NETWORK_SOCKET;
	return 0;
}

static int inspect_device(
	const struct output *output, int fd, int index, enum stream_kind *ret, struct error *error)
{
	*ret = isatty(fd) ? STREAM_TERMINAL : STREAM_DEVICE;
	if (*ret == STREAM_DEVICE)
		return 0;
	if (terminal_is_master(fd))
		return refuse(index, "the master side of a pseudo-terminal", error);
	if (!output->options.terminal)
		return refuse(index, "a terminal, but the box has none of its own", error);
	return 0;
}

static int inspect(struct output *output, int index, struct error *error)
{
	int fd = output->options.stdio[index];
	enum stream_kind *ret = &output->kinds[index];
	struct stat status;
	if (fd < 0 || fstat(fd, &status)) {
		*ret = STREAM_CLOSED;
		return 0;
	}
	if (S_ISDIR(status.st_mode))
		return refuse(index, "a directory", error);
	if (fcntl(fd, F_GETFL) & O_PATH)
		return refuse(index, "opened with O_PATH, for no reading or writing", error);
	switch (status.st_mode & S_IFMT) {
	case S_IFREG:
	case S_IFBLK:
		*ret = STREAM_FILE;
		return 0;
	case S_IFIFO:
		*ret = STREAM_PIPE;
		return 0;
	case S_IFSOCK:
		return inspect_socket(fd, index, ret, error);
	case S_IFCHR:
		return inspect_device(output, fd, index, ret, error);
	}
	return refuse(index, "neither a file nor a pipe, socket or device", error);
}

/* Whether two descriptors share one open file description, and with it one offset. */
static bool is_same_description(int a, int b)
{
	long order = syscall(SYS_kcmp, getpid(), getpid(), KCMP_FILE, a, b);
	if (order >= 0)
		return order == 0;
	/* Without kcmp (a container's filter, a small kernel): the same file at the same place,
	 * which for a relay comes to the same. */
	struct stat status_a, status_b;
	return !fstat(a, &status_a) && !fstat(b, &status_b) && status_a.st_dev == status_b.st_dev &&
	       status_a.st_ino == status_b.st_ino && fcntl(a, F_GETFL) == fcntl(b, F_GETFL) &&
	       lseek(a, 0, SEEK_CUR) == lseek(b, 0, SEEK_CUR);
}

static void set_child_fd(struct output *output, int index, int fd, bool owned)
{
	output->child_fds[index] = fd;
	output->child_owned[index] = owned;
}

/* A caller with closed descriptors leaves the numbers 0 to 2 free for ours, where the box's own
 * would later be put over them. */
static int lift_above_stdio(int *fd)
{
	if (*fd > 2)
		return 0;
	int lifted = fcntl(*fd, F_DUPFD_CLOEXEC, 3);
	if (lifted < 0)
		return -errno;
	close(*fd);
	*fd = lifted;
	return 0;
}

static int make_pipe(int own_end, int ret_ends[2], struct error *error)
{
	if (pipe2(ret_ends, O_CLOEXEC))
		return error_set_errno(error, errno, "output", "cannot make a pipe");
	/* In the box another uid opens /dev/stdout again, which leads to this inode. */
	if (!lift_above_stdio(&ret_ends[0]) && !lift_above_stdio(&ret_ends[1]) &&
		!fchmod(ret_ends[0], 0666) && !fcntl(ret_ends[own_end], F_SETFL, O_NONBLOCK))
		return 0;
	int saved = errno;
	close(ret_ends[0]);
	close(ret_ends[1]);
	return error_set_errno(error, saved, "output", "cannot set up a pipe");
}

static struct endpoint caller_endpoint(const struct output *output, int index)
{
	static const enum endpoint_kind kinds[] = {
		[STREAM_FILE] = ENDPOINT_FILE,
		[STREAM_PIPE] = ENDPOINT_PIPE,
		[STREAM_UNIX_SOCKET] = ENDPOINT_SOCKET,
		[STREAM_NETWORK_SOCKET] = ENDPOINT_SOCKET,
		[STREAM_DEVICE] = ENDPOINT_DEVICE,
	};
	return (struct endpoint){
		.fd = output->options.stdio[index], .kind = kinds[output->kinds[index]]};
}

static int make_harmless(
	const struct output *output, struct channel *channel, bool terminal, struct error *error)
{
	struct sanitizer *sanitizer;
	if (!output->options.sanitizing)
		return 0;
	int r = sanitizing_stream(output->options.sanitizing, terminal, &sanitizer);
	if (r < 0)
		return error_set_errno(error, -r, "output", "cannot start");
	channel_sanitize(channel, sanitizer);
	return 0;
}

/* A pipe between the caller's descriptor and the box, or into memory. */
static int relay(struct output *output, int index, bool keep, struct error *error)
{
	int ends[2];
	int own_end = index == CHANNEL_STDIN ? 1 : 0;
	int failed = make_pipe(own_end, ends, error);
	if (failed)
		return failed;
	struct endpoint own = {.fd = ends[own_end], .kind = ENDPOINT_OWN, .owned = true};
	struct endpoint caller = {.fd = -1};
	enum channel_how how = CHANNEL_KEEP;
	uint64_t limit_bytes = output->options.limit_bytes;
	if (!keep) {
		caller = caller_endpoint(output, index);
		bool through = index > 0 && output->options.sanitizing;
		how = caller.kind == ENDPOINT_SOCKET || through ? CHANNEL_COPY : CHANNEL_SPLICE;
	} else if (!limit_bytes) {
		limit_bytes = DEFAULT_CAPTURE_BYTES;
	}
	if (index == CHANNEL_STDIN) {
		channel_start(&output->channels[index], how, caller, own, 0);
		output->stdin_pipe = ends[0];
		set_child_fd(output, index, ends[0], false);
	} else {
		channel_start(&output->channels[index], how, own, caller, limit_bytes);
		set_child_fd(output, index, ends[1], true);
		failed = make_harmless(output, &output->channels[index], false, error);
	}
	return failed;
}

static int open_null(struct output *output, int index, struct error *error)
{
	int fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (fd < 0 || lift_above_stdio(&fd)) {
		int saved = errno;
		close_fd(&fd);
		return error_set_errno(error, saved, "output", "cannot open /dev/null");
	}
	set_child_fd(output, index, fd, true);
	return 0;
}

/* Decides on one of stdio: the rules of output.h. */
static int set_up(struct output *output, int index, struct error *error)
{
	const struct output_options *options = &output->options;
	if (index > 0 && options->capture)
		return relay(output, index, true, error);
	switch (output->kinds[index]) {
	case STREAM_CLOSED:
		return open_null(output, index, error);
	case STREAM_TERMINAL:
		return 0;
	case STREAM_FILE:
	case STREAM_NETWORK_SOCKET:
		break;
	case STREAM_PIPE:
	case STREAM_UNIX_SOCKET:
		if (index > 0 && options->sanitizing)
			break;
		/* fall through */
	case STREAM_DEVICE:
		if (index > 0 && options->limit_bytes)
			break;
		set_child_fd(output, index, options->stdio[index], false);
		return 0;
	}
	if (index == CHANNEL_STDERR && output->channels[CHANNEL_STDOUT].live &&
		is_same_description(options->stdio[1], options->stdio[2])) {
		set_child_fd(output, index, output->child_fds[CHANNEL_STDOUT], false);
		return 0;
	}
	return relay(output, index, false, error);
}

static int first_terminal(const struct output *output)
{
	for (int i = 0; i < 3; i++)
		if (output->kinds[i] == STREAM_TERMINAL)
			return i;
	return -1;
}

static bool is_pipeline(enum stream_kind kind)
{
	return kind == STREAM_PIPE || kind == STREAM_UNIX_SOCKET || kind == STREAM_NETWORK_SOCKET;
}

int output_new(const struct output_options *options, struct output **ret, struct error *error)
{
	struct output *output = calloc(1, sizeof(*output));
	if (!output)
		return error_set_errno(error, ENOMEM, "output", "cannot start");
	output->options = *options;
	output->stdin_pipe = output->master = -1;
	output->terminal = (struct terminal)TERMINAL_INIT;
	for (int i = 0; i < 3; i++)
		output->child_fds[i] = -1;
	/* All are looked at before any is made: a new descriptor may take the number of a closed
	 * one. */
	int failed = 0;
	for (int i = 0; i < 3 && !failed; i++)
		failed = i > 0 && options->capture ? 0 : inspect(output, i, error);
	for (int i = 0; i < 3 && !failed; i++)
		failed = set_up(output, i, error);
	if (failed) {
		output_free(output);
		return failed;
	}
	int index = first_terminal(output);
	output->screen_index =
		output->kinds[1] != STREAM_TERMINAL && output->kinds[2] == STREAM_TERMINAL ? 2 : 1;
	output->takes_terminal = index >= 0 && !is_pipeline(output->kinds[0]) &&
				 !is_pipeline(output->kinds[1]) &&
				 terminal_is_foreground(options->stdio[index]);
	*ret = output;
	return 0;
}

int output_child_fd(const struct output *output, int index)
{
	return output->child_fds[index];
}

void output_close_child_fds(struct output *output)
{
	for (int i = 0; i < 3; i++) {
		if (output->child_owned[i])
			close_fd(&output->child_fds[i]);
		set_child_fd(output, i, -1, false);
	}
}

bool output_takes_terminal(const struct output *output)
{
	return output->takes_terminal;
}

/* Hangs the box's PTY up: its processes get SIGHUP, as when a window is closed. */
static void detach_terminal(struct output *output)
{
	channel_end(&output->channels[CHANNEL_KEYBOARD], 0);
	channel_end(&output->channels[CHANNEL_SCREEN], 0);
	terminal_close(&output->terminal);
	close_fd(&output->master);
	output->wants_keyboard = false;
}

/* Follows job control: the terminal is ours while the command wants it and we are in the
 * foreground. Asked in every round of the poll loop, since nothing tells a process that it was
 * moved. */
static int follow_foreground(struct output *output, struct error *error)
{
	struct terminal *terminal = &output->terminal;
	struct channel *keyboard = &output->channels[CHANNEL_KEYBOARD];
	if (!output->wants_keyboard)
		return 0;
	if (!terminal_is_foreground(terminal->fd)) {
		terminal_release(terminal);
		return 0;
	}
	if (terminal->claimed)
		return 0;
	int failed = terminal_claim(terminal, error);
	if (failed)
		return failed == -EAGAIN ? 0 : failed;
	terminal_copy_size(terminal, output->master);
	if (!keyboard->live) {
		channel_start(keyboard, CHANNEL_COPY,
			(struct endpoint){.fd = terminal->fd,
				.kind = terminal->own ? ENDPOINT_OWN : ENDPOINT_TERMINAL},
			(struct endpoint){.fd = output->master, .kind = ENDPOINT_OWN}, 0);
	}
	keyboard->noticed = false;
	keyboard->notice = terminal->saved.c_cc[VSUSP];
	return 0;
}

static int open_terminal(struct output *output)
{
	int index = first_terminal(output);
	if (index >= 0)
		return terminal_open(&output->terminal, output->options.stdio[index]);
	cleanup_close int fd = open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC);
	return fd < 0 ? -errno : terminal_open(&output->terminal, fd);
}

int output_attach_terminal(struct output *output, int master, struct error *error)
{
	struct terminal *terminal = &output->terminal;
	output->master = master;
	int failed = open_terminal(output);
	if (!failed && fcntl(master, F_SETFL, O_RDWR | O_NONBLOCK))
		failed = -errno;
	if (failed) {
		detach_terminal(output);
		return error_set_errno(error, -failed, "terminal", "cannot open the terminal");
	}
	if (!output->options.terminal_is_set) {
		terminal_copy_settings(terminal, master);
		terminal_copy_size(terminal, master);
	}
	channel_start(&output->channels[CHANNEL_SCREEN], CHANNEL_COPY,
		(struct endpoint){.fd = master, .kind = ENDPOINT_OWN},
		(struct endpoint){.fd = terminal->fd,
			.kind = terminal->own ? ENDPOINT_OWN : ENDPOINT_TERMINAL},
		output->options.capture ? 0 : output->options.limit_bytes);
	output->wants_keyboard = output->takes_terminal;
	failed = make_harmless(output, &output->channels[CHANNEL_SCREEN], true, error);
	if (!failed)
		failed = follow_foreground(output, error);
	if (failed)
		detach_terminal(output);
	return failed;
}

size_t output_poll_fds(struct output *output, struct pollfd *fds)
{
	size_t count = 0;
	follow_foreground(output, NULL);
	for (int i = 0; i < CHANNELS; i++) {
		struct channel *channel = &output->channels[i];
		channel->poll_index = SIZE_MAX;
		if (!channel->live || (i == CHANNEL_KEYBOARD && !output->terminal.claimed))
			continue;
		channel->poll_index = count;
		fds[count++] = channel_poll(channel);
	}
	return count;
}

void output_handle(struct output *output, const struct pollfd *fds, size_t count)
{
	for (int i = 0; i < CHANNELS; i++) {
		struct channel *channel = &output->channels[i];
		size_t index = channel->poll_index;
		if (!channel->live || index >= count || !fds[index].revents)
			continue;
		channel_move(channel);
		if (i >= CHANNEL_KEYBOARD && !channel->live)
			detach_terminal(output); /* one side has hung up */
	}
	uint64_t wake_us = output_wake_us(output);
	uint64_t now_us = wake_us ? clock_now_us() : 0;
	for (int i = 0; i < CHANNELS && now_us >= wake_us && wake_us; i++)
		channel_flush(&output->channels[i], now_us);
}

uint64_t output_wake_us(const struct output *output)
{
	uint64_t first_us = 0;
	for (int i = 0; i < CHANNELS; i++) {
		uint64_t when_us = channel_flush_us(&output->channels[i]);
		if (when_us && (!first_us || when_us < first_us))
			first_us = when_us;
	}
	return first_us;
}

void output_resize(struct output *output)
{
	if (output->master >= 0)
		terminal_copy_size(&output->terminal, output->master);
}

static void suspend(struct output *output, bool whole_group)
{
	terminal_release(&output->terminal);
	terminal_stop_self(SIGTSTP, whole_group);
	output_resize(output); /* the keyboard is taken again by follow_foreground() */
}

void output_suspend(struct output *output)
{
	output->stopped_by_us = true;
	suspend(output, false);
}

bool output_stopped(struct output *output, int signal)
{
	if (output->master < 0)
		return false;
	switch (signal) {
	case SIGTTIN:
	case SIGTTOU:
		/* In the background this is what the caller's shell would see of any program. */
		if (!terminal_is_foreground(output->terminal.fd))
			terminal_stop_self(signal, false);
		output->wants_keyboard = true;
		return true;
	case SIGTSTP:
	case SIGSTOP:
		if (output->stopped_by_us) {
			output->stopped_by_us = false;
			return true;
		}
		if (!output->terminal.claimed)
			return false;
		/* Raw mode has kept ^Z from the rest of the job, so it is stopped here; but a
		 * command that stops of its own accord stops nobody but itself and us. */
		suspend(output, output->channels[CHANNEL_KEYBOARD].noticed);
		return true;
	}
	return false;
}

bool output_would_stop(const struct output *output, int signal)
{
	if (output->master < 0)
		return false;
	if (signal == SIGTTIN || signal == SIGTTOU)
		return !terminal_is_foreground(output->terminal.fd);
	return (signal == SIGTSTP || signal == SIGSTOP) && !output->stopped_by_us &&
	       output->terminal.claimed;
}

void output_continued(struct output *output)
{
	if (output->master < 0)
		return;
	terminal_release(&output->terminal);
	output_resize(output);
}

/* What was read ahead for the box and never read there is given back to the caller's file. */
static void finish_stdin(struct output *output)
{
	struct channel *channel = &output->channels[CHANNEL_STDIN];
	if (output->stdin_pipe < 0)
		return;
	int piped_bytes = 0;
	if (ioctl(output->stdin_pipe, FIONREAD, &piped_bytes))
		piped_bytes = 0;
	channel_end(channel, 0); /* counts its buffer as dropped */
	off_t unread_bytes = piped_bytes + (off_t)channel->dropped_bytes;
	channel->passed_bytes -= piped_bytes;
	channel->dropped_bytes = 0;
	if (unread_bytes && output->kinds[CHANNEL_STDIN] == STREAM_FILE)
		lseek(output->options.stdio[CHANNEL_STDIN], -unread_bytes, SEEK_CUR);
	close_fd(&output->stdin_pipe);
}

bool output_drain(struct output *output)
{
	bool busy = false;
	finish_stdin(output);
	channel_end(&output->channels[CHANNEL_KEYBOARD], 0);
	output->wants_keyboard = false;
	for (int i = 0; i < CHANNELS; i++) {
		channel_drain(&output->channels[i]);
		busy |= output->channels[i].live;
	}
	return busy;
}

void output_finish(struct output *output)
{
	output_close_child_fds(output);
	output_drain(output);
	detach_terminal(output);
	for (int i = 0; i < 3; i++) {
		channel_end(&output->channels[i], 0);
		channel_order_tail(&output->channels[i]);
	}
}

const struct captured *output_captured(const struct output *output, int index)
{
	const struct channel *channel = &output->channels[index];
	return index > 0 && channel->how == CHANNEL_KEEP ? &channel->captured : NULL;
}

uint64_t output_bytes_passed(const struct output *output, int index)
{
	const struct channel *channels = output->channels;
	uint64_t bytes = channels[index].passed_bytes;
	if (index == CHANNEL_STDIN)
		bytes += channels[CHANNEL_KEYBOARD].passed_bytes;
	if (index == output->screen_index)
		bytes += channels[CHANNEL_SCREEN].passed_bytes;
	return bytes;
}

uint64_t output_bytes_dropped(const struct output *output, int index)
{
	const struct channel *channels = output->channels;
	uint64_t bytes = channels[index].dropped_bytes;
	if (index == output->screen_index)
		bytes += channels[CHANNEL_SCREEN].dropped_bytes;
	return bytes;
}

void output_sanitized(const struct output *output, struct sanitize_counts *ret)
{
	*ret = (struct sanitize_counts){0};
	for (int i = 0; i < CHANNELS; i++) {
		struct sanitize_counts counts;
		if (!output->channels[i].sanitizer)
			continue;
		sanitizer_counts(output->channels[i].sanitizer, &counts);
		ret->paths += counts.paths;
		ret->secrets += counts.secrets;
		ret->recognized += counts.recognized;
		ret->controls += counts.controls;
	}
}

int output_error(const struct output *output, int index)
{
	int error = output->channels[index].error;
	return error || index != output->screen_index ? error
						      : output->channels[CHANNEL_SCREEN].error;
}

void output_free(struct output *output)
{
	if (!output)
		return;
	output_close_child_fds(output);
	close_fd(&output->stdin_pipe);
	detach_terminal(output);
	for (int i = 0; i < CHANNELS; i++)
		channel_release(&output->channels[i]);
	free(output);
}
