#include "witness/stacks_helper.h"

#include "base/cleanup.h"
#include "base/limits.h"

#include <grp.h>
#include <linux/capability.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

enum { CPU_S = 2, MEMORY_BYTES = 512 * 1024 * 1024 };

/* As root: somebody else, who may still look at other processes and can do nothing else. */
static int drop_privileges(uid_t uid, gid_t gid)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct look[2] = {
		{.effective = 1U << CAP_SYS_PTRACE, .permitted = 1U << CAP_SYS_PTRACE}};
	if (geteuid() != 0)
		return 0;
	if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0 || setgroups(0, NULL) < 0 ||
		setresgid(gid, gid, gid) < 0 || setresuid(uid, uid, uid) < 0)
		return -errno;
	return syscall(SYS_capset, &header, look) < 0 ? -errno : 0;
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
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ? -errno : 0;
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
	if (drop_privileges(uid, gid) < 0 || limit_self() < 0)
		return EXIT_FAILURE;
	json_t *answer = json_object();
	for (int i = 3; i < argc; i++) {
		pid_t pid = (pid_t)strtol(argv[i], NULL, 10);
		json_t *stacks = json_array();
		if (pid > 1)
			native_stacks(pid, stacks, python_stacks);
		json_object_set_new(answer, argv[i], stacks);
	}
	int r = json_dumpf(answer, stdout, JSON_COMPACT | JSON_ENSURE_ASCII);
	json_decref(answer);
	return r < 0 || fflush(stdout) != 0;
}
