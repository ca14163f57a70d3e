/* Theory of operation. Without a PID namespace the kernel does not end a box's processes together,
 * and init cannot: it is under the box's filter, which hands its kill() to a broker that may be
 * gone. So there are two processes that can, one above the other, both subreapers, so that nothing
 * which loses its parent gets away: the keeper, and the supervisor. If the supervisor is killed,
 * the keeper sees its socket close and ends the box; if the keeper is killed, everything falls to
 * the supervisor. The broker between the keeper and init does not count: it can be held up in a
 * call that it makes for a program, the keeper waits for nothing but the end. */
#include "run/keeper.h"

#include "base/fd.h"
#include "base/sys.h"
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

static noreturn void end(const struct plan *plan, int code)
{
	process_tree_end(getpid());
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

static noreturn void keep(const struct plan *plan, pid_t child, int supervisor)
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
	for (;;) {
		struct pollfd fds[] = {{.fd = supervisor, .events = 0},
			{.fd = signals, .events = POLLIN}};
		if (poll(fds, 2, -1) < 0 && errno != EINTR)
			end(plan, 125);
		if (fds[0].revents & (POLLHUP | POLLERR | POLLNVAL))
			end(plan, 125);
		bool asked = is_asked_to_end(signals);
		int status;
		for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;)
			if (pid == child)
				end(plan, WIFEXITED(status) ? WEXITSTATUS(status) : 125);
		if (asked)
			end(plan, 0);
	}
}

void keeper_fork(const struct plan *plan, int supervisor, int cgroup_fd)
{
	/* A session of its own: a kill of the supervisor's process group is not to take both. */
	if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0 || setsid() < 0)
		_exit(125);
	struct clone_args args = {.exit_signal = SIGCHLD};
	if (cgroup_fd >= 0) {
		args.flags = CLONE_INTO_CGROUP;
		args.cgroup = (uint64_t)cgroup_fd;
	}
	pid_t keeper = getpid();
	pid_t child = (pid_t)syscall(SYS_clone3, &args, sizeof(args));
	if (child < 0)
		_exit(125);
	if (child > 0)
		keep(plan, child, supervisor);
	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0 || getppid() != keeper)
		_exit(125);
}
