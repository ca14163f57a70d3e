/* Theory of operation. In raw mode the outer terminal hands every key to the line discipline of the
 * box's own PTY, which does echo, line editing, ^C and ^Z as the program in the box has set it. If
 * this process died then, the user's shell would be left without echo; so before raw mode is set, a
 * guard process is forked that holds nothing but the terminal and a pidfd of this process. It waits
 * for our death and puts the settings back. A pidfd and not a pipe: a copy of a pipe's end in some
 * other child would keep the guard waiting. The guard lives in a session of its own, where neither
 * the terminal's signals nor a kill of our process group reach it; and a process whose controlling
 * terminal is another one (here: none) is not stopped by SIGTTOU when it sets this one.
 *
 * Both we and the guard put the settings back only if they are still the ones that we have set: two
 * boxes in one pipeline, or a pager after us, may have taken the terminal in between. */
#include "base/terminal.h"

#include "base/cleanup.h"
#include "base/sys.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/wait.h>

bool terminal_is_master(int fd)
{
	unsigned number;
	return ioctl(fd, TIOCGPTN, &number) == 0;
}

/* Whether two descriptors lead to one terminal, /dev/tty counting as what it stands for. */
static bool is_same_terminal(int a, int b)
{
	unsigned device_a, device_b;
	return !ioctl(a, TIOCGDEV, &device_a) && !ioctl(b, TIOCGDEV, &device_b) &&
	       device_a == device_b;
}

int terminal_open(struct terminal *terminal, int fd)
{
	static const int flags = O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC;
	char path[32];
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	*terminal = (struct terminal){.fd = open(path, flags), .own = true, .guard = -1};
	if (terminal->fd >= 0)
		return 0;
	/* After su(1) the terminal's device belongs to somebody else; /dev/tty opens for
	 * everyone. */
	terminal->fd = open("/dev/tty", flags);
	if (terminal->fd >= 0 && is_same_terminal(fd, terminal->fd))
		return 0;
	close_fd(&terminal->fd);
	terminal->own = false;
	terminal->fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	return terminal->fd < 0 ? -errno : 0;
}

void terminal_close(struct terminal *terminal)
{
	terminal_release(terminal);
	close_fd(&terminal->fd);
}

bool terminal_is_foreground(int fd)
{
	pid_t group = tcgetpgrp(fd);
	/* ENOTTY: not our controlling terminal. EIO: hung up, which reading it will tell. */
	return group < 0 || group == getpgrp();
}

static struct termios make_raw(const struct termios *settings)
{
	struct termios raw = *settings;
	raw.c_iflag &= ~(IGNBRK | BRKINT | IGNPAR | PARMRK | INPCK | ISTRIP | INLCR | IGNCR |
			 ICRNL | IXON | IXOFF | IXANY | IUCLC | IMAXBEL);
	raw.c_oflag &= ~OPOST; /* the box's PTY has done it */
	raw.c_lflag &= ~(ECHO | ECHONL | ICANON | ISIG | IEXTEN);
	raw.c_cc[VMIN] = 1;
	raw.c_cc[VTIME] = 0;
	return raw;
}

/* Puts saved back if ours is what is set now. Drivers change c_cflag as they like: not compared. */
static void restore(int fd, const struct termios *saved, const struct termios *ours)
{
	struct termios now;
	if (tcgetattr(fd, &now) || now.c_iflag != ours->c_iflag || now.c_oflag != ours->c_oflag ||
		now.c_lflag != ours->c_lflag)
		return;
	/* If somebody has put us in the background and left the terminal raw, it is still ours to
	 * repair: with SIGTTOU blocked, that does not stop us. */
	sigset_t one, saved_mask;
	sigemptyset(&one);
	sigaddset(&one, SIGTTOU);
	sigprocmask(SIG_BLOCK, &one, &saved_mask);
	tcsetattr(fd, TCSANOW, saved);
	sigprocmask(SIG_SETMASK, &saved_mask, NULL);
}

static void close_all_but(int a, int b)
{
	unsigned low = a < b ? a : b, high = a < b ? b : a;
	if (low > 0)
		close_range(0, low - 1, 0);
	if (high > low + 1)
		close_range(low + 1, high - 1, 0);
	close_range(high + 1, ~0U, 0);
}

static _Noreturn void guard(const struct terminal *terminal, int parent)
{
	sigset_t all;
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	setsid();
	prctl(PR_SET_NAME, "coffer-guard");
	close_all_but(terminal->fd, parent);
	struct pollfd pollfd = {.fd = parent, .events = POLLIN};
	while (poll(&pollfd, 1, -1) < 0 && errno == EINTR)
		continue;
	restore(terminal->fd, &terminal->saved, &terminal->ours);
	_exit(0);
}

/* Returns when the guard is out of reach of a kill of our process group: raw mode comes after. */
static int start_guard(struct terminal *terminal)
{
	cleanup_close int self = sys_pidfd_open(getpid(), 0);
	int ends[2];
	if (self < 0 || pipe2(ends, O_CLOEXEC))
		return -errno;
	cleanup_close int ready = ends[0], readying = ends[1];
	pid_t pid = fork();
	if (pid < 0)
		return -errno;
	if (!pid)
		guard(terminal, self); /* closes its copy of readying when it is set up */
	close_fd(&readying);
	char byte;
	while (read(ready, &byte, 1) < 0 && errno == EINTR)
		continue;
	terminal->guard = sys_pidfd_open(pid, 0);
	if (terminal->guard >= 0)
		return 0;
	int saved = errno;
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	return -saved;
}

static void end_guard(struct terminal *terminal)
{
	siginfo_t info;
	sys_pidfd_send_signal(terminal->guard, SIGKILL);
	while (waitid(P_PIDFD, terminal->guard, &info, WEXITED) && errno == EINTR)
		continue;
	close_fd(&terminal->guard);
}

int terminal_claim_with(
	struct terminal *terminal, const struct termios *settings, struct error *error)
{
	if (terminal->claimed)
		return 0;
	if (!terminal_is_foreground(terminal->fd))
		return -EAGAIN;
	if (tcgetattr(terminal->fd, &terminal->saved))
		return error_set_errno(error, errno, "terminal", "cannot read its settings");
	terminal->ours = *settings;

	int failed = start_guard(terminal);
	if (failed)
		return error_set_errno(
			error, -failed, "terminal", "cannot start its guard process");
	if (tcsetattr(terminal->fd, TCSANOW, &terminal->ours)) {
		int saved_errno = errno;
		end_guard(terminal);
		return error_set_errno(
			error, saved_errno, "terminal", "cannot change its settings");
	}
	terminal->claimed = true;
	return 0;
}

int terminal_claim(struct terminal *terminal, struct error *error)
{
	struct termios settings;
	if (tcgetattr(terminal->fd, &settings))
		return error_set_errno(error, errno, "terminal", "cannot read its settings");
	settings = make_raw(&settings);
	return terminal_claim_with(terminal, &settings, error);
}

void terminal_release(struct terminal *terminal)
{
	if (!terminal->claimed)
		return;
	restore(terminal->fd, &terminal->saved, &terminal->ours);
	end_guard(terminal);
	terminal->claimed = false;
}

void terminal_copy_settings(const struct terminal *terminal, int master)
{
	struct termios settings;
	if (!tcgetattr(terminal->fd, &settings))
		tcsetattr(master, TCSANOW, &settings);
}

void terminal_copy_size(const struct terminal *terminal, int master)
{
	struct winsize size;
	if (!ioctl(terminal->fd, TIOCGWINSZ, &size))
		ioctl(master, TIOCSWINSZ, &size);
}

void terminal_stop_self(int signal, bool whole_group)
{
	struct sigaction action = {.sa_handler = SIG_DFL}, saved_action;
	sigset_t one, saved_mask;
	sigemptyset(&one);
	sigaddset(&one, signal);
	/* Blocked until it was sent to all, then taken with its default action: we stop here. */
	sigprocmask(SIG_BLOCK, &one, &saved_mask);
	sigaction(signal, &action, &saved_action);
	kill(whole_group ? 0 : getpid(), signal);
	sigprocmask(SIG_UNBLOCK, &one, NULL);
	sigprocmask(SIG_SETMASK, &saved_mask, NULL);
	sigaction(signal, &saved_action, NULL);
}
