#include "witness/stacks_helper.h"

#include "base/cleanup.h"
#include "base/limits.h"
#include "base/sys.h"

#include <grp.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

enum { CPU_S = 2, MEMORY_BYTES = 512 * 1024 * 1024 };

/* For good: no capability, here or by anything that is executed. */
static int drop_capabilities(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	const struct __user_cap_data_struct none[2] = {{0}};
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || syscall(SYS_capset, &header, none) < 0)
		return -errno;
	return 0;
}

static int become(uid_t uid, gid_t gid)
{
	if (setresgid(gid, gid, gid) < 0 || setresuid(uid, uid, uid) < 0)
		return -errno;
	return 0;
}

static int limit_self(void)
{
	static const struct {
		int resource;
		rlim_t value;
	} limits[] = {{RLIMIT_CPU, CPU_S}, {RLIMIT_AS, MEMORY_BYTES}, {RLIMIT_FSIZE, 0},
		{RLIMIT_NPROC, 0}, {RLIMIT_CORE, 0}};
	for (size_t i = 0; i < ARRAY_SIZE(limits); i++) {
		struct rlimit limit = {limits[i].value, limits[i].value};
		if (setrlimit(limits[i].resource, &limit) < 0)
			return -errno;
	}
	return 0;
}

/* Whether the process is in a user namespace of a box's. */
static bool is_in_box(pid_t pid)
{
	struct stat own, other;
	char path[64];
	snprintf(path, sizeof(path), "/proc/%d/ns/user", (int)pid);
	return stat("/proc/self/ns/user", &own) == 0 && stat(path, &other) == 0 &&
	       own.st_ino != other.st_ino;
}

/* The process's number in its own PID namespace; 0: it is gone. */
static pid_t number_inside(pid_t pid)
{
	char path[64], line[256];
	long number = 0;
	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	cleanup_fclose FILE *status = fopen(path, "re");
	while (status && fgets(line, sizeof(line), status))
		if (strncmp(line, "NSpid:", 6) == 0)
			number = strtol(strrchr(line, '\t') + 1, NULL, 10);
	return (pid_t)number;
}

/* Into the box, as far as it is one, and its own user there: what a program makes of this process
 * by a flaw in what reads it is not more than it was. Returns only in a child. */
static int enter_box(pid_t pid)
{
	enum {
		NAMESPACES = CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET |
			     CLONE_NEWIPC | CLONE_NEWUTS
	};
	cleanup_close int process = sys_pidfd_open(pid, 0);
	char path[32];
	struct stat status;
	pid_t inside = number_inside(pid);
	if (process < 0 || setns(process, NAMESPACES) < 0)
		return -errno;
	pid_t child = fork(); /* a process cannot change its own PID namespace */
	if (child < 0)
		return -errno;
	if (child > 0) {
		while (waitpid(child, NULL, 0) < 0 && errno == EINTR)
			;
		_exit(EXIT_SUCCESS);
	}
	snprintf(path, sizeof(path), "/proc/%d", (int)inside);
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || chdir("/") < 0 || stat(path, &status) < 0)
		return -errno;
	return become(status.st_uid, status.st_gid);
}

int stacks_main(int argc, char *argv[])
{
	if (argc < 4) {
		fprintf(stderr, "usage: coffer-stacks UID GID PID...\n"
				"Prints where processes stand; started by coffer itself.\n");
		return EXIT_FAILURE;
	}
	uid_t uid = (uid_t)strtoul(argv[1], NULL, 10);
	gid_t gid = (gid_t)strtoul(argv[2], NULL, 10);
	pid_t pids[MAX_STACK_PROCESSES], first = (pid_t)strtol(argv[3], NULL, 10);
	int count = argc - 3 < MAX_STACK_PROCESSES ? argc - 3 : MAX_STACK_PROCESSES;
	bool in_box = is_in_box(first);
	for (int i = 0; i < count; i++) {
		pids[i] = (pid_t)strtol(argv[i + 3], NULL, 10);
		if (in_box)
			pids[i] = number_inside(pids[i]);
	}
	int r = geteuid() == 0 && setgroups(0, NULL) < 0 ? -errno : 0;
	if (r == 0 && in_box)
		r = enter_box(first);
	else if (r == 0 && geteuid() == 0)
		r = become(uid, gid);
	if (r == 0)
		r = drop_capabilities();
	if (r < 0 || limit_self() < 0)
		return EXIT_FAILURE;
	json_t *answer = json_object();
	for (int i = 0; i < count; i++) {
		json_t *stacks = json_array();
		if (pids[i] > 1)
			native_stacks(pids[i], stacks, python_stacks);
		json_object_set_new(answer, argv[i + 3], stacks);
	}
	r = json_dumpf(answer, stdout, JSON_COMPACT | JSON_ENSURE_ASCII);
	json_decref(answer);
	return r < 0 || fflush(stdout) != 0;
}
