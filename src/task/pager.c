#include "task/pager.h"

#include "base/cleanup.h"

#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/wait.h>

static _Noreturn void run_pager(const char *command, int from)
{
	signal(SIGPIPE, SIG_DFL);
	dup2(from, STDIN_FILENO);
	/* Leave if it fits on one screen; pass colours on, nothing else; do not clear the screen. */
	setenv("LESS", "FRX", 0);
	execl("/bin/sh", "sh", "-c", command, NULL);
	_exit(127);
}

static bool have_less(void)
{
	const char *path = getenv("PATH");
	for (const char *s = path ? path : "/usr/bin:/bin"; *s;) {
		size_t length = strcspn(s, ":");
		char name[4096];
		int n = snprintf(name, sizeof(name), "%.*s/less", (int)length, s);
		if (s[0] == '/' && n > 0 && (size_t)n < sizeof(name) && access(name, X_OK) == 0)
			return true;
		s += length + (s[length] == ':');
	}
	return false;
}

void pager_start(struct pager *pager)
{
	*pager = (struct pager){.to = stdout};
	const char *command = getenv("PAGER");
	if (!isatty(STDOUT_FILENO) || (!command && !have_less()))
		return;
	command = command ? command : "less";
	int ends[2];
	if (!*command || strcmp(command, "cat") == 0 || pipe2(ends, O_CLOEXEC) < 0)
		return;
	pid_t pid = fork();
	if (pid == 0)
		run_pager(command, ends[0]);
	close(ends[0]);
	FILE *to = pid > 0 ? fdopen(ends[1], "w") : NULL;
	if (!to) {
		close(ends[1]);
		return;
	}
	signal(SIGPIPE, SIG_IGN);
	*pager = (struct pager){.to = to, .pid = pid};
}

int pager_end(struct pager *pager)
{
	if (!pager->pid)
		return 0;
	int gone = ferror(pager->to) || fclose(pager->to) != 0;
	int status;
	while (waitpid(pager->pid, &status, 0) < 0 && errno == EINTR)
		continue;
	return gone;
}
