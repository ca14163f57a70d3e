#include "run/command.h"

#include "confine/landlock.h"

#include "base/cleanup.h"
#include "base/limits.h"

#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <string.h>

static const char *search_path(char *const environment[])
{
	for (size_t i = 0; environment[i]; i++)
		if (strncmp(environment[i], "PATH=", 5) == 0)
			return environment[i] + 5;
	return "/usr/local/bin:/usr/bin:/bin";
}

/* A script without an interpreter line is the shell's, as POSIX has it for execvp(). */
static int exec_file(const char *path, const struct command *command, char *script[])
{
	execve(path, command->argv, command->environment);
	if (errno == ENOEXEC) {
		script[1] = (char *)path;
		execve("/bin/sh", script, command->environment);
	}
	return errno;
}

/* As execvpe(), but with the PATH of the environment that the command gets. */
static int exec_command(const struct command *command, char *script[])
{
	const char *name = command->argv[0];
	if (strchr(name, '/'))
		return exec_file(name, command, script);
	if (!*name)
		return ENOENT;
	int result = ENOENT;
	for (const char *s = search_path(command->environment);; s++) {
		size_t length = strcspn(s, ":");
		char path[PATH_MAX];
		if (length + strlen(name) + 2 <= sizeof(path)) {
			memcpy(path, s, length);
			path[length] = '/';
			strcpy(path + length + (length > 0), name);
			int code = exec_file(length ? path : name, command, script);
			/* A file that is there but may not be run is the better answer, later; a
			 * directory that cannot be searched is none. */
			if (code == EACCES && access(length ? path : name, F_OK) == 0)
				result = EACCES;
			else if (code != EACCES && code != ENOENT && code != ENOTDIR)
				return code;
		}
		s += length;
		if (!*s)
			return result;
	}
}

static int take_foreground(const struct command *command)
{
	/* Asked from the background, which would stop it. */
	signal(SIGTTOU, SIG_IGN);
	int r = tcsetpgrp(command->terminal, getpid());
	signal(SIGTTOU, SIG_DFL);
	return r;
}

static int enter(const struct command *command)
{
	sigset_t none;
	sigemptyset(&none);
	/* What coffer itself ignores; what its caller ignored (nohup) stays so. */
	static const int ignored[] = {SIGPIPE, SIGXFSZ, SIGTTOU};
	for (size_t i = 0; i < ARRAY_SIZE(ignored); i++)
		signal(ignored[i], SIG_DFL);
	sigprocmask(SIG_SETMASK, &none, NULL);
	/* On a terminal the session is init's, and the command a process group in it: the group of
	 * a session leader would be an orphaned one, which ^Z cannot stop. */
	if (command->terminal < 0) {
		if (setsid() < 0)
			return errno;
	} else if (setpgid(0, 0) < 0 || (command->foreground && take_foreground(command) < 0)) {
		return errno;
	}
	if (command->ruleset >= 0) {
		int r = landlock_enter(command->ruleset);
		if (r < 0)
			return -r;
	}
	for (int i = 0; i < 3; i++)
		if (dup2(command->stdio[i], i) < 0)
			return errno;
	if (close_range(3, UINT_MAX, 0) < 0)
		return errno;
	return chdir(command->directory) < 0 ? errno : 0;
}

pid_t command_start(const struct command *command, int *ret_exec_errno)
{
	size_t argc = 0;
	while (command->argv[argc])
		argc++;
	/* Prepared here, for the case that the file turns out to be a bare script. */
	cleanup_free char **script = calloc(argc + 2, sizeof(*script));
	if (!script)
		return -ENOMEM;
	script[0] = (char *)"/bin/sh";
	memcpy(script + 2, command->argv + 1, argc * sizeof(*script));

	/* vfork: the child runs on this memory while this process waits, so that nothing is copied
	 * and the errno of a failed exec needs no pipe. */
	volatile int exec_errno = 0, enter_errno = 0;
	pid_t pid = vfork();
	if (pid < 0)
		return -errno;
	if (pid == 0) {
		enter_errno = enter(command);
		if (!enter_errno)
			exec_errno = exec_command(command, script);
		_exit(127);
	}
	*ret_exec_errno = exec_errno;
	if (enter_errno)
		*ret_exec_errno = -enter_errno;
	return pid;
}
