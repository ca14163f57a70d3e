/* Theory of operation. Without a PID namespace the kernel does not end a box's processes together,
 * and init cannot: it is under the box's filter, which hands its kill() to a broker that may be
 * gone. So there are two processes that can, one above the other, both subreapers, so that nothing
 * which loses its parent gets away: the keeper, and the supervisor. If the supervisor is killed,
 * the keeper sees its socket close and ends the box; if the keeper is killed, everything falls to
 * the supervisor. */
#include "run/keeper.h"

#include "base/fd.h"
#include "base/sys.h"
#include "run/process_tree.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

static noreturn void end(int code)
{
	process_tree_end(getpid());
	_exit(code);
}

static noreturn void keep(pid_t init, int supervisor)
{
	sigset_t set;
	sigfillset(&set);
	sigprocmask(SIG_BLOCK, &set, NULL);
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	int signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	int kept[] = {supervisor, signals};
	if (signals < 0 || fd_close_all_but(kept, 2) < 0)
		end(125);
	for (int i = 0; i < 3; i++)
		close(i);
	for (;;) {
		struct pollfd fds[] = {{.fd = supervisor, .events = 0},
			{.fd = signals, .events = POLLIN}};
		if (poll(fds, 2, -1) < 0 && errno != EINTR)
			end(125);
		if (fds[0].revents & (POLLHUP | POLLERR | POLLNVAL))
			end(125);
		struct signalfd_siginfo discarded;
		while (read(signals, &discarded, sizeof(discarded)) > 0)
			;
		int status;
		for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;)
			if (pid == init)
				end(0);
	}
}

void keeper_fork(int supervisor, int cgroup_fd)
{
	/* A session of its own: a kill of the supervisor's process group is not to take both. */
	if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0 || setsid() < 0)
		_exit(125);
	struct clone_args args = {.exit_signal = SIGCHLD};
	if (cgroup_fd >= 0) {
		args.flags = CLONE_INTO_CGROUP;
		args.cgroup = (uint64_t)cgroup_fd;
	}
	pid_t init = (pid_t)syscall(SYS_clone3, &args, sizeof(args));
	if (init < 0)
		_exit(125);
	if (init > 0)
		keep(init, supervisor);
}
