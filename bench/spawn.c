/* Times the start, run and end of commands, round-robin, so that drift hits all alike:
 *
 *   spawn ROUNDS WARMUP COMMAND ARG... ::: COMMAND ARG... ...
 *
 * prints one line per run: the command's index, nanoseconds, exit status. A small static program,
 * because a large one pays for its own page tables at every fork. */
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

enum { COMMANDS_MAX = 32, SPAWN_FAILED = 127 };

static uint64_t now_ns(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* Runs argv once with its streams on /dev/null. Returns the exit status, 128 + N for a signal. */
static int run_once(char *const argv[], const posix_spawn_file_actions_t *actions)
{
	pid_t pid;
	if (posix_spawnp(&pid, argv[0], actions, NULL, argv, environ) != 0)
		return SPAWN_FAILED;
	int status;
	while (waitpid(pid, &status, 0) < 0) {
		if (errno != EINTR)
			return SPAWN_FAILED;
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* Splits the arguments at ":::" in place; returns how many commands there are, 0 when wrong. */
static size_t split_commands(char *argv[], char **commands[COMMANDS_MAX])
{
	size_t count = 0;
	char **start = argv;
	for (char **arg = argv;; arg++) {
		if (*arg && strcmp(*arg, ":::") != 0)
			continue;
		if (arg == start || count == COMMANDS_MAX)
			return 0;
		commands[count++] = start;
		if (!*arg)
			return count;
		*arg = NULL;
		start = arg + 1;
	}
}

int main(int argc, char *argv[])
{
	char **commands[COMMANDS_MAX];
	size_t count = argc > 3 ? split_commands(argv + 3, commands) : 0;
	if (count == 0) {
		fprintf(stderr, "usage: spawn ROUNDS WARMUP COMMAND ARG... [::: COMMAND ARG...]\n");
		return 2;
	}
	int rounds = atoi(argv[1]), warmup = atoi(argv[2]);

	posix_spawn_file_actions_t actions;
	posix_spawn_file_actions_init(&actions);
	for (int fd = 0; fd < 3; fd++)
		posix_spawn_file_actions_addopen(&actions, fd, "/dev/null", O_RDWR, 0);

	for (int round = -warmup; round < rounds; round++) {
		for (size_t i = 0; i < count; i++) {
			uint64_t start_ns = now_ns();
			int status = run_once(commands[i], &actions);
			uint64_t taken_ns = now_ns() - start_ns;
			if (round >= 0)
				printf("%zu %llu %d\n", i, (unsigned long long)taken_ns, status);
		}
		fflush(stdout);
	}
	posix_spawn_file_actions_destroy(&actions);
	return 0;
}
