/* Theory of operation. Without a PID namespace the kernel does not end a box's processes together,
 * and init cannot: it is under the box's filter, which hands its kill() to a broker that may be
 * gone. So there are two processes that can, one above the other, both subreapers, so that nothing
 * which loses its parent gets away: the keeper, and the supervisor. If the supervisor is killed,
 * the keeper sees its socket close and ends the box; if the keeper is killed, everything falls to
 * the supervisor. The broker between the keeper and init does not count: it can be held up in a
 * call that it makes for a program, the keeper waits for nothing but the end.
 *
 * Where the kernel can (Landlock ABI 6) the keeper puts itself into a domain that no signal leaves,
 * with all that it starts and nothing else in it: then one kill(-1) ends the box, which the kernel
 * does in one step. Looking for the processes of a box and killing them by number can be outrun by
 * some that fork faster than they are found. */
#include "run/keeper.h"

#include "base/fd.h"
#include "base/sys.h"
#include "confine/landlock.h"
#include "run/process_tree.h"
#include "run/tmpdir.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <stdnoreturn.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

static bool scoped;

static noreturn void end(const struct plan *plan, int code)
{
	process_tree_end(getpid(), scoped);
	tmpdir_remove(plan);
	_exit(code);
}

/* What came since the last look. Returns whether the supervisor wants the end. */
static bool is_asked_to_end(int signals)
{
	bool asked = false;
	struct signalfd_siginfo info;
	while (read(signals, &info, sizeof(info)) == (ssize_t)sizeof(info))
		asked = asked || info.ssi_signo == SIGTERM;
	return asked;
}

static pid_t child;
static int child_code = -1; /* once it has ended */

static void note_end(pid_t pid, int status)
{
	if (pid == child)
		child_code = WIFEXITED(status) ? WEXITSTATUS(status) : 125;
}

static noreturn void keep(const struct plan *plan, int supervisor)
{
	sigset_t set;
	sigfillset(&set);
	sigprocmask(SIG_BLOCK, &set, NULL);
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIGTERM);
	int signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	int kept[] = {supervisor, signals};
	if (signals < 0 || fd_close_all_but(kept, 2) < 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		end(plan, 125);
	for (int i = 0; i < 3; i++)
		close(i);
	for (int more = 0;;) {
		struct pollfd fds[] = {
			{.fd = supervisor, .events = 0}, {.fd = signals, .events = POLLIN}};
		if (poll(fds, 2, more ? 0 : -1) < 0 && errno != EINTR)
			end(plan, 125);
		if (fds[0].revents & (POLLHUP | POLLERR | POLLNVAL))
			end(plan, 125);
		bool asked = is_asked_to_end(signals);
		more = process_tree_reap(note_end) == 1;
		if (child_code >= 0)
			end(plan, child_code);
		if (asked)
			end(plan, 0);
	}
}

bool keeper_fork(const struct plan *plan, int supervisor, int cgroup_fd)
{
	/* A session of its own: a kill of the supervisor's process group is not to take both. */
	if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0 || setsid() < 0)
		_exit(125);
	/* A command that may do everything may signal everybody. */
	scoped = plan->tier == TIER_LANDLOCK && landlock_scope_signals() == 0;
	struct clone_args args = {.exit_signal = SIGCHLD};
	if (cgroup_fd >= 0) {
		args.flags = CLONE_INTO_CGROUP;
		args.cgroup = (uint64_t)cgroup_fd;
	}
	pid_t keeper = getpid();
	child = (pid_t)syscall(SYS_clone3, &args, sizeof(args));
	if (child < 0)
		_exit(125);
	if (child > 0)
		keep(plan, supervisor);
	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0 || getppid() != keeper)
		_exit(125);
	return scoped;
}
