/* Control groups on the kernel at hand: each limit is shown to hold, and to let pass what is within
 * it. Usage: live_cgroup [NAME]...: in a mount namespace of its own where /sys/fs/cgroup/NAME is
 * unmounted, so that a hybrid host shows itself as pure v1 (unified), or without a freezer (unified
 * freezer). Exits 77, with the reason, where this user may use no control group. */
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/sys.h"
#include "confine/cgroup_internal.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <time.h>

enum { EXIT_SKIPPED = 77, MIB = 1024 * 1024 };

static struct host_facts facts;
static unsigned failures;

#define CHECK(condition)                                                                           \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			printf("  not so, line %d: %s\n", __LINE__, #condition);                   \
			failures++;                                                                \
		}                                                                                  \
	} while (0)

static void sleep_ms(unsigned ms)
{
	nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L}, NULL);
}

static void *share(size_t bytes)
{
	void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED)
		abort();
	return memory;
}

static struct cgroup *make(const struct limits *limits, unsigned expected)
{
	struct cgroup *cgroup = NULL;
	struct error error = {0};
	unsigned enforced = 0;
	if (cgroup_make(&facts, limits, &cgroup, &enforced, &error) < 0 || !cgroup) {
		printf("  no group: %s\n", error.message);
		exit(1);
	}
	CHECK(enforced == expected);
	return cgroup;
}

/* Forks a process into the group the way a launch does. Returns 0 in the child. */
static pid_t start(const struct cgroup *cgroup)
{
	struct clone_args args = {.exit_signal = SIGCHLD};
	int into = cgroup_clone_v2_fd(cgroup);
	if (into >= 0) {
		args.flags = CLONE_INTO_CGROUP;
		args.cgroup = (uint64_t)into;
	}
	fflush(stdout);
	pid_t pid = (pid_t)syscall(SYS_clone3, &args, sizeof(args));
	struct error error;
	if (pid < 0)
		abort();
	if (pid == 0 && cgroup_enter(cgroup, into >= 0, &error) < 0) {
		printf("  %s\n", error.message);
		_exit(99);
	}
	return pid;
}

static int wait_for(pid_t pid)
{
	int status = -1;
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return status;
}

/* How many groups of this process, or of pid, there are in all hierarchies. */
static unsigned groups_of(pid_t pid)
{
	struct hierarchies found;
	hierarchies_find(&cgroup_source_kernel, CONTROLLERS_OF_LIMITS, &found);
	char prefix[64];
	snprintf(prefix, sizeof(prefix), CGROUP_NAME_PREFIX "%d-", pid);
	unsigned count = 0;
	for (size_t i = 0; i < found.count; i++) {
		cleanup_closedir DIR *dir = opendir(found.items[i].parent);
		for (struct dirent *entry; dir && (entry = readdir(dir));)
			count += strncmp(entry->d_name, prefix, strlen(prefix)) == 0;
	}
	hierarchies_release(&found);
	return count;
}

static int touch_memory(const struct cgroup *cgroup, size_t bytes)
{
	pid_t pid = start(cgroup);
	if (pid == 0) {
		char *memory = mmap(
			NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (memory == MAP_FAILED)
			_exit(1);
		for (size_t i = 0; i < bytes; i += 4096)
			memory[i] = 1;
		_exit(0);
	}
	return wait_for(pid);
}

static void test_memory(void)
{
	if (!facts.cgroup_memory) {
		printf("  not here: no memory controller\n");
		return;
	}
	struct limits limits = {.memory_bytes = 32 * MIB};
	struct cgroup_usage usage;
	struct cgroup *cgroup = make(&limits, LIMIT_MEMORY);
	int status = touch_memory(cgroup, 16 * MIB);
	cgroup_read_usage(cgroup, &usage);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	CHECK(!usage.out_of_memory);
	status = touch_memory(cgroup, 96 * MIB);
	cgroup_read_usage(cgroup, &usage);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	CHECK(usage.out_of_memory);
	CHECK(usage.memory_peak_bytes > 16 * MIB && usage.memory_peak_bytes <= 32 * MIB);
	printf("  peak %.1f MiB of 32\n", (double)usage.memory_peak_bytes / MIB);
	cgroup_free(cgroup);
	CHECK(groups_of(getpid()) == 0);
}

/* How many children a process in the group could have at once. */
static unsigned fork_many(const struct cgroup *cgroup, unsigned wanted)
{
	unsigned *made = share(4096);
	pid_t pid = start(cgroup);
	if (pid == 0) {
		for (*made = 0; *made < wanted; (*made)++) {
			pid_t child = fork();
			if (child < 0)
				break;
			if (child == 0) {
				pause();
				_exit(0);
			}
		}
		_exit(0);
	}
	wait_for(pid);
	unsigned ret = *made;
	munmap(made, 4096);
	return ret;
}

static void test_pids(void)
{
	if (!facts.cgroup_pids) {
		printf("  not here: no pids controller\n");
		return;
	}
	struct limits limits = {.pids = 16};
	struct cgroup_usage usage;
	struct cgroup *cgroup = make(&limits, LIMIT_PIDS);
	CHECK(fork_many(cgroup, 10) == 10);
	cgroup_read_usage(cgroup, &usage);
	CHECK(!usage.pids_limit_hit);
	cgroup_free(cgroup);
	CHECK(groups_of(getpid()) == 0); /* the ten were still in it */

	cgroup = make(&limits, LIMIT_PIDS);
	unsigned made = fork_many(cgroup, 1000);
	CHECK(made == 15);
	cgroup_read_usage(cgroup, &usage);
	CHECK(usage.pids_limit_hit);
	CHECK(usage.pids_peak == 0 || usage.pids_peak == 16);
	printf("  %u forks beside the first process of 16\n", made);
	cgroup_free(cgroup);
	CHECK(groups_of(getpid()) == 0);
}

static uint64_t process_cpu_us(void)
{
	struct timespec time;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
	return (uint64_t)time.tv_sec * 1000000 + (uint64_t)time.tv_nsec / 1000;
}

static void test_cpu(void)
{
	if (!facts.cgroup_cpu) {
		printf("  not here: no cpu controller\n");
		return;
	}
	struct limits limits = {.cpu_milli = 200};
	struct cgroup *cgroup = make(&limits, LIMIT_CPU);
	uint64_t *used_us = share(4096);
	const uint64_t span_us = 1000000;
	pid_t pid = start(cgroup);
	if (pid == 0) {
		uint64_t begin_us = clock_now_us(), cpu_us = process_cpu_us();
		while (clock_now_us() - begin_us < span_us)
			;
		*used_us = process_cpu_us() - cpu_us;
		_exit(0);
	}
	wait_for(pid);
	/* Two periods of grace: the first may be whole, the last may overlap. */
	CHECK(*used_us > 0 && *used_us < span_us / 5 + 50000);
	struct cgroup_usage usage;
	cgroup_read_usage(cgroup, &usage);
	CHECK(usage.cpu_us == 0 || usage.cpu_us >= *used_us / 2);
	printf("  a spinner had %.0f %% of a CPU, 20 allowed\n",
		(double)*used_us * 100 / (double)span_us);
	munmap(used_us, 4096);
	cgroup_free(cgroup);
	CHECK(groups_of(getpid()) == 0);
}

/* A group with whatever limit this host can hold; wide enough to be in nobody's way. */
static struct cgroup *make_any(void)
{
	struct limits limits = {0};
	if (facts.cgroup_pids)
		limits.pids = 1000;
	else if (facts.cgroup_memory)
		limits.memory_bytes = 512 * MIB;
	else
		limits.cpu_milli = 100000;
	return make(&limits, facts.cgroup_pids     ? LIMIT_PIDS
			     : facts.cgroup_memory ? LIMIT_MEMORY
						   : LIMIT_CPU);
}

static void test_freeze(void)
{
	struct cgroup *cgroup = make_any();
	if (!cgroup_can_freeze(cgroup)) {
		printf("  not here: nothing that freezes\n");
		CHECK(cgroup_freeze(cgroup, true) == -EOPNOTSUPP);
		cgroup_free(cgroup);
		return;
	}
	volatile uint64_t *counter = share(4096);
	pid_t pid = start(cgroup);
	if (pid == 0)
		for (;;) {
			(*counter)++;
			sleep_ms(1);
		}
	while (*counter == 0)
		sleep_ms(1);
	CHECK(cgroup_freeze(cgroup, true) == 0);
	uint64_t before = *counter;
	sleep_ms(100);
	CHECK(*counter == before);
	CHECK(cgroup_freeze(cgroup, false) == 0);
	for (unsigned i = 0; i < 1000 && *counter == before; i++)
		sleep_ms(1);
	CHECK(*counter > before);
	/* A frozen box must die too. */
	CHECK(cgroup_freeze(cgroup, true) == 0);
	CHECK(cgroup_kill(cgroup) == 0);
	int status = wait_for(pid);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	cgroup_free(cgroup);
	CHECK(groups_of(getpid()) == 0);
}

/* Whether every holder of the pipe's write end is gone within a second. */
static bool all_gone(int pipe_read)
{
	struct pollfd end = {.fd = pipe_read, .events = POLLIN};
	return poll(&end, 1, 1000) == 1 && (end.revents & POLLHUP);
}

static void test_kill(bool place_from_outside)
{
	struct cgroup *cgroup = make_any();
	int ends[2], go[2];
	if (pipe2(ends, O_CLOEXEC) < 0 || pipe2(go, O_CLOEXEC) < 0)
		abort();
	pid_t pid = place_from_outside ? fork() : start(cgroup);
	if (pid == 0) {
		char byte;
		close(ends[0]);
		if (read(go[0], &byte, 1) != 1)
			_exit(1);
		/* Generations that leave the session and lose their parents, without end. */
		for (unsigned i = 0; i < 6; i++)
			(void)!fork();
		setsid();
		for (;;) {
			pid_t child = fork();
			if (child > 0)
				_exit(0);
			sleep_ms(1);
		}
	}
	close(ends[1]);
	if (place_from_outside) {
		struct error error;
		CHECK(cgroup_place(cgroup, pid, &error) == 0);
	}
	CHECK(write(go[1], "g", 1) == 1);
	sleep_ms(50);
	struct pollfd still = {.fd = ends[0], .events = POLLIN};
	CHECK(poll(&still, 1, 0) == 0); /* alive so far */
	CHECK(cgroup_kill(cgroup) == 0);
	CHECK(all_gone(ends[0]));
	wait_for(pid);
	close(ends[0]);
	close(go[0]);
	close(go[1]);
	cgroup_free(cgroup);
	CHECK(groups_of(getpid()) == 0);
}

/* A supervisor is killed; what it was responsible for must go with the next start, while the group
 * of one that lives must stay as it is. */
static void test_sweep(void)
{
	struct cgroup *living = make_any();
	pid_t member = start(living);
	if (member == 0) {
		pause();
		_exit(0);
	}
	int ends[2], ready[2];
	if (pipe2(ends, O_CLOEXEC) < 0 || pipe2(ready, O_CLOEXEC) < 0)
		abort();
	fflush(stdout);
	pid_t supervisor = fork();
	if (supervisor == 0) {
		cgroup_free(make_any()); /* one of each: cleaned up, and not */
		struct cgroup *cgroup = make_any();
		if (start(cgroup) == 0) {
			/* As a command: it holds nothing of its supervisor's. */
			for (int fd = 3; fd < 256; fd++)
				if (fd != ends[1] && fd != ready[1])
					close(fd);
			(void)!write(ready[1], "r", 1);
			pause();
			_exit(0);
		}
		pause();
		_exit(0);
	}
	close(ends[1]);
	char byte;
	CHECK(read(ready[0], &byte, 1) == 1);
	CHECK(groups_of(supervisor) > 0);
	cgroup_free(make_any());
	CHECK(groups_of(supervisor) > 0); /* its supervisor lives */
	kill(supervisor, SIGKILL);
	wait_for(supervisor);
	CHECK(groups_of(supervisor) > 0);
	cgroup_free(make_any());
	CHECK(all_gone(ends[0]));
	/* Its descriptors go before it leaves its group. */
	for (unsigned i = 0; i < 100 && groups_of(supervisor) > 0; i++) {
		sleep_ms(5);
		cgroup_free(make_any());
	}
	CHECK(groups_of(supervisor) == 0);

	CHECK(waitpid(member, NULL, WNOHANG) == 0);
	CHECK(groups_of(getpid()) > 0);
	close(ends[0]);
	close(ready[0]);
	close(ready[1]);
	cgroup_kill(living);
	wait_for(member);
	cgroup_free(living);
	CHECK(groups_of(getpid()) == 0);
}

/* How many of this process's groups have text in their path. */
static unsigned own_groups_with(const char *text)
{
	char line[4096];
	cleanup_fclose FILE *file = fopen("/proc/thread-self/cgroup", "re");
	unsigned count = 0;
	while (file && fgets(line, sizeof(line), file))
		count += strstr(line, text) != NULL;
	return count;
}

/* A box enters from inside its namespaces, and sees nothing of where it is once it has made a
 * control group namespace after that. */
static void test_enter_from_namespaces(void)
{
	struct cgroup *cgroup = make_any();
	int into = cgroup_clone_v2_fd(cgroup);
	struct clone_args args = {.exit_signal = SIGCHLD,
		.flags = CLONE_NEWUSER | CLONE_NEWPID | (into >= 0 ? CLONE_INTO_CGROUP : 0),
		.cgroup = (uint64_t)(into >= 0 ? into : 0)};
	unsigned *seen = share(4096);
	seen[0] = seen[1] = 99;
	fflush(stdout);
	pid_t pid = (pid_t)syscall(SYS_clone3, &args, sizeof(args));
	if (pid == 0) {
		struct error error;
		if (cgroup_enter(cgroup, into >= 0, &error) < 0)
			_exit(1);
		seen[0] = own_groups_with(CGROUP_NAME_PREFIX);
		if (unshare(CLONE_NEWCGROUP) < 0)
			_exit(2);
		seen[1] = own_groups_with(CGROUP_NAME_PREFIX);
		_exit(0);
	}
	if (pid < 0) {
		printf("  not here: no user namespace\n");
	} else {
		int status = wait_for(pid);
		CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
		CHECK(seen[0] > 0 && seen[0] < 99);
		CHECK(seen[1] == 0);
	}
	munmap(seen, 4096);
	cgroup_free(cgroup);
	CHECK(groups_of(getpid()) == 0);
}

static void test_nothing_needed(void)
{
	struct cgroup *cgroup = NULL;
	unsigned enforced = 1;
	struct limits none = {.disk_bytes = MIB}, pids = {.pids = 5};
	CHECK(cgroup_make(&facts, &none, &cgroup, &enforced, NULL) == 0);
	CHECK(!cgroup && enforced == 0);
	struct host_facts unusable = {.cgroup = CGROUP_V2};
	enforced = 1;
	CHECK(cgroup_make(&unusable, &pids, &cgroup, &enforced, NULL) == 0);
	CHECK(!cgroup && enforced == 0);
	cgroup_free(NULL);
	CHECK(groups_of(getpid()) == 0);
}

static void test_kill_entered(void)
{
	test_kill(false);
}

static void test_kill_placed(void)
{
	test_kill(true);
}

static void hide(char *const names[])
{
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0) {
		printf("skipped: no mount namespace for uid %d\n", geteuid());
		exit(EXIT_SKIPPED);
	}
	for (; *names; names++) {
		char path[256];
		snprintf(path, sizeof(path), "/sys/fs/cgroup/%s", *names);
		if (umount2(path, MNT_DETACH) < 0) {
			printf("skipped: %s is not mounted here\n", path);
			exit(EXIT_SKIPPED);
		}
	}
}

int main(int argc, char *argv[])
{
	static const char *const kinds[] = {"none", "v1", "v2", "hybrid"};
	static const struct {
		const char *name;
		void (*run)(void);
	} tests[] = {
		{"nothing needed", test_nothing_needed},
		{"memory", test_memory},
		{"pids", test_pids},
		{"cpu", test_cpu},
		{"freeze", test_freeze},
		{"kill, entered", test_kill_entered},
		{"kill, placed", test_kill_placed},
		{"sweep", test_sweep},
		{"enter from namespaces", test_enter_from_namespaces},
	};
	if (argc > 1)
		hide(argv + 1);
	cgroup_probe(&facts);
	if (!facts.cgroup_usable) {
		printf("skipped: control groups (%s) are not delegated to uid %d\n",
			kinds[facts.cgroup], geteuid());
		return EXIT_SKIPPED;
	}
	printf("control groups: %s, uid %d\n", kinds[facts.cgroup], geteuid());
	for (size_t i = 0; i < ARRAY_SIZE(tests); i++) {
		unsigned before = failures;
		uint64_t begin_us = clock_now_us();
		tests[i].run();
		printf("%s: %s (%.0f ms)\n", failures == before ? "ok" : "FAILED", tests[i].name,
			(double)(clock_now_us() - begin_us) / 1000);
		fflush(stdout);
	}
	return failures ? 1 : 0;
}
