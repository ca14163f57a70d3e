/* Theory of operation. Whether this kernel can wall a box's network in is tried as a launch does
 * it, in a child with namespaces of its own, which leaves nothing behind but the loaded modules. */
#include "base/cleanup.h"
#include "base/sys.h"
#include "confine/network.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

enum { TRIAL_MS = 2000 };

/* What the child says. */
struct outcome {
	bool log;
	struct error error;
};

static void try_network(struct outcome *outcome)
{
	struct network_policy policy;
	struct network_sockets sockets;
	network_policy_init(&policy);
	policy.mode = NETWORK_FILTERED;
	if (network_open(&policy, false, &sockets, &outcome->error) < 0)
		return;
	for (size_t i = 0; i < sockets.count; i++)
		outcome->log |= sockets.kinds[i] == EGRESS_SOCKET_NFLOG;
	network_sockets_release(&sockets);
}

static bool hear(int fd, struct outcome *ret)
{
	struct pollfd ready = {.fd = fd, .events = POLLIN};
	int r;
	do {
		r = poll(&ready, 1, TRIAL_MS);
	} while (r < 0 && errno == EINTR);
	/* Smaller than PIPE_BUF: it comes whole, or not at all. */
	return r > 0 && read(fd, ret, sizeof(*ret)) == sizeof(*ret);
}

void network_probe(struct host_facts *facts)
{
	int answer[2];
	if (!facts->userns || pipe2(answer, O_CLOEXEC) < 0)
		return;
	cleanup_close int reader = answer[0], writer = answer[1];
	struct outcome outcome = {0};
	facts->network.made = true;
	facts->network.errno_value = ETIMEDOUT;
	pid_t pid = (pid_t)syscall(
		SYS_clone, CLONE_NEWUSER | CLONE_NEWNET | SIGCHLD, NULL, NULL, NULL, NULL);
	if (pid == 0) {
		if (prctl(PR_SET_PDEATHSIG, SIGKILL) == 0)
			try_network(&outcome);
		_exit(write(writer, &outcome, sizeof(outcome)) == sizeof(outcome) ? 0 : 1);
	}
	if (pid < 0) {
		facts->network.errno_value = errno;
		return;
	}
	close_fd(&writer);
	if (hear(reader, &outcome)) {
		facts->network.errno_value = outcome.error.errno_value;
		facts->network_log = outcome.log;
	}
	kill(pid, SIGKILL);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
}
