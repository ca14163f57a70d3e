/* The meter on real processes of the test's own, and its readers on a made-up /proc. */
#include "run/meter.h"

#include "base/cleanup.h"
#include "base/fd.h"
#include "run/meter_proc.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <time.h>

#include <cmocka.h>

enum { MIB = 1024 * 1024 };

/* A temporary directory of each test. */
static char scratch[] = "/tmp/coffer-test-meter-XXXXXX";

/* A process tree that has done its work and waits for the end of a pipe. */
struct tree {
	pid_t root;
	int end;
};

static char *touch(size_t bytes, int flags, int fd)
{
	char *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, flags, fd, 0);
	if (memory == MAP_FAILED)
		_exit(1);
	memset(memory, 1, bytes);
	return memory;
}

static void wait_for_end(int fd)
{
	char byte;
	(void)!read(fd, &byte, 1);
}

/* Starts work(argument, end) in a subreaper; work returns when it is ready, having left whatever
 * children it wants behind it (they wait for end). */
static struct tree tree_start(void (*work)(size_t argument, int end), size_t argument)
{
	int end[2], ready[2];
	assert_int_equal(pipe2(end, O_CLOEXEC), 0);
	assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
	pid_t root = fork();
	assert_true(root >= 0);
	if (root == 0) {
		close(end[1]);
		prctl(PR_SET_CHILD_SUBREAPER, 1);
		work(argument, end[0]);
		(void)!write(ready[1], "r", 1);
		wait_for_end(end[0]);
		while (wait(NULL) > 0)
			;
		_exit(0);
	}
	char byte;
	close(end[0]);
	close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	return (struct tree){.root = root, .end = end[1]};
}

static void tree_end(struct tree *tree)
{
	int status;
	close(tree->end);
	assert_int_equal(waitpid(tree->root, &status, 0), tree->root);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static struct meter *meter_of(const struct plan *plan, const struct tree *tree, unsigned limits)
{
	struct meter *meter = NULL;
	assert_int_equal(meter_new(plan, tree->root, limits, &meter), 0);
	return meter;
}

static void work_anonymous(size_t bytes, int end)
{
	(void)end;
	touch(bytes, MAP_PRIVATE | MAP_ANONYMOUS, -1);
}

static void test_memory_limit(void **state)
{
	(void)state;
	struct plan plan = {.tier = TIER_LANDLOCK, .limits = {.memory_bytes = 48 * MIB}};
	struct meter_sample sample;
	struct meter_excess excess;

	struct tree tree = tree_start(work_anonymous, 16 * MIB);
	struct meter *meter = meter_of(&plan, &tree, LIMIT_MEMORY);
	assert_int_equal(meter_sample(meter, &sample), 0);
	assert_in_range(sample.memory_bytes, 16 * MIB, 47 * MIB);
	assert_false(meter_verdict(meter, &sample, &excess));
	meter_free(meter);
	tree_end(&tree);

	tree = tree_start(work_anonymous, 64 * MIB);
	meter = meter_of(&plan, &tree, LIMIT_MEMORY);
	assert_int_equal(meter_sample(meter, &sample), 0);
	assert_true(sample.memory_exact);
	assert_in_range(sample.memory_bytes, 64 * MIB, 80 * MIB);
	assert_true(meter_verdict(meter, &sample, &excess));
	assert_int_equal(excess.limit, LIMIT_MEMORY);
	assert_int_equal(excess.allowed, 48 * MIB);
	assert_int_equal(excess.seen, sample.memory_bytes);
	assert_int_equal(meter_memory_peak_bytes(meter), sample.memory_bytes);
	meter_free(meter);

	/* A limit that is not to be metered here is nobody's excess. */
	meter = meter_of(&plan, &tree, LIMIT_PIDS);
	assert_int_equal(meter_sample(meter, &sample), 0);
	assert_false(meter_verdict(meter, &sample, &excess));
	meter_free(meter);
	tree_end(&tree);
}

static void work_forked(size_t bytes, int end)
{
	touch(bytes, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	for (int i = 0; i < 5; i++)
		if (fork() == 0) {
			wait_for_end(end);
			_exit(0);
		}
}

static void test_forked_workers_share_their_memory(void **state)
{
	(void)state;
	struct plan plan = {.tier = TIER_LANDLOCK, .limits = {.memory_bytes = 64 * MIB}};
	struct meter_sample sample;
	struct meter_excess excess;
	struct tree tree = tree_start(work_forked, 32 * MIB);
	struct meter *meter = meter_of(&plan, &tree, LIMIT_MEMORY);
	assert_int_equal(meter_sample(meter, &sample), 0);
	assert_true(sample.memory_exact); /* six times 32 MiB at first sight */
	assert_in_range(sample.memory_bytes, 32 * MIB, 48 * MIB);
	assert_false(meter_verdict(meter, &sample, &excess));
	meter_free(meter);
	tree_end(&tree);
}

static void work_hidden(size_t bytes, int end)
{
	touch(bytes, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	prctl(PR_SET_DUMPABLE, 0);
	(void)end;
}

static void test_process_that_may_not_be_looked_at(void **state)
{
	(void)state;
	struct plan plan = {.tier = TIER_LANDLOCK, .limits = {.memory_bytes = 32 * MIB}};
	struct meter_sample sample;
	struct meter_excess excess;
	struct tree tree = tree_start(work_hidden, 48 * MIB);
	struct meter *meter = meter_of(&plan, &tree, LIMIT_MEMORY);
	assert_int_equal(meter_sample(meter, &sample), 0);
	assert_in_range(sample.memory_bytes, 48 * MIB, 64 * MIB);
	assert_true(meter_verdict(meter, &sample, &excess));
	meter_free(meter);
	tree_end(&tree);
}

static void work_memfd(size_t bytes, int end)
{
	/* Written and never mapped; a second descriptor, and a child that has it too. */
	static char page[65536];
	int fd = memfd_create("hidden", 0);
	for (size_t done = 0; done < bytes; done += sizeof(page))
		if (write(fd, page, sizeof(page)) != sizeof(page))
			_exit(1);
	(void)!dup(fd);
	if (fork() == 0) {
		wait_for_end(end);
		_exit(0);
	}
}

static void work_memfd_mapped(size_t bytes, int end)
{
	(void)end;
	int fd = memfd_create("mapped", 0);
	if (ftruncate(fd, (off_t)bytes) < 0)
		_exit(1);
	touch(bytes, MAP_SHARED, fd);
}

static void work_shared(size_t bytes, int end)
{
	touch(bytes, MAP_SHARED | MAP_ANONYMOUS, -1);
	work_forked(4096, end);
}

/* Each is memory that no process's private pages show; each must be counted, and only once. */
static void test_memory_in_other_places(void **state)
{
	(void)state;
	struct plan plan = {.tier = TIER_LANDLOCK, .limits = {.memory_bytes = 16 * MIB}};
	static void (*const works[])(size_t, int) = {work_memfd, work_memfd_mapped, work_shared};
	for (size_t i = 0; i < ARRAY_SIZE(works); i++) {
		struct meter_sample sample;
		struct meter_excess excess;
		struct tree tree = tree_start(works[i], 32 * MIB);
		struct meter *meter = meter_of(&plan, &tree, LIMIT_MEMORY);
		assert_int_equal(meter_sample(meter, &sample), 0);
		assert_true(sample.memory_exact);
		assert_in_range(sample.memory_bytes, 32 * MIB, 44 * MIB);
		assert_true(meter_verdict(meter, &sample, &excess));
		meter_free(meter);
		tree_end(&tree);
	}
}

static void *thread_waits(void *end)
{
	wait_for_end(*(int *)end);
	return NULL;
}

static void work_tasks(size_t count, int end)
{
	static int end_of_threads;
	pthread_t thread;
	end_of_threads = end;
	for (size_t i = 0; i < 3; i++)
		if (pthread_create(&thread, NULL, thread_waits, &end_of_threads) != 0)
			_exit(1);
	for (size_t i = 0; i < count; i++)
		if (fork() == 0) {
			/* An orphan in a session of its own: it comes back to the root. */
			setsid();
			if (fork() > 0)
				_exit(0);
			wait_for_end(end);
			_exit(0);
		}
	for (size_t i = 0; i < count; i++)
		wait(NULL);
}

static void test_tasks(void **state)
{
	(void)state;
	struct plan plan = {.tier = TIER_LANDLOCK, .limits = {.pids = 20}};
	struct meter_sample sample;
	struct meter_excess excess;
	struct tree tree = tree_start(work_tasks, 16);
	struct meter *meter = meter_of(&plan, &tree, LIMIT_PIDS);
	assert_int_equal(meter_sample(meter, &sample), 0);
	assert_int_equal(sample.tasks, 20); /* 1 + 3 threads + 16 orphans */
	assert_false(meter_verdict(meter, &sample, &excess));
	meter_free(meter);
	tree_end(&tree);

	tree = tree_start(work_tasks, 17);
	meter = meter_of(&plan, &tree, LIMIT_PIDS);
	assert_int_equal(meter_sample(meter, &sample), 0);
	assert_int_equal(sample.tasks, 21);
	assert_true(meter_verdict(meter, &sample, &excess));
	assert_int_equal(excess.limit, LIMIT_PIDS);
	assert_int_equal(excess.seen - excess.allowed, 1);
	assert_int_equal(meter_tasks_peak(meter), 21);
	assert_in_range(meter_interval_ms(meter), METER_INTERVAL_MS, METER_INTERVAL_MS_MAX);
	/* Too many to be looked at is too many. */
	sample = (struct meter_sample){.truncated = true};
	assert_true(meter_verdict(meter, &sample, &excess));
	meter_free(meter);
	tree_end(&tree);
}

static void work_spin(size_t ms, int end)
{
	(void)end;
	struct timespec used = {0};
	while ((size_t)(used.tv_sec * 1000 + used.tv_nsec / 1000000) < ms)
		clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
}

static void test_cpu_time(void **state)
{
	(void)state;
	struct plan plan = {.tier = TIER_LANDLOCK};
	struct meter_sample sample;
	struct tree tree = tree_start(work_spin, 100);
	struct meter *meter = meter_of(&plan, &tree, 0);
	assert_int_equal(meter_sample(meter, &sample), 0);
	/* Clock ticks of 10 ms: one may be missing, and the fork before it is counted too. */
	assert_in_range(sample.cpu_us, 80000, 400000);
	meter_free(meter);
	tree_end(&tree);
}

static void work_nothing(size_t argument, int end)
{
	(void)argument;
	(void)end;
}

static void test_disk(void **state)
{
	(void)state;
	char root[] = "/var/tmp/coffer-test-meter-XXXXXX", file[64], twice[64];
	assert_non_null(mkdtemp(root));
	snprintf(file, sizeof(file), "%s/file", root);
	snprintf(twice, sizeof(twice), "%s/.", root);
	char *roots[] = {root, twice, NULL}; /* one file system: counted once */
	struct plan plan = {.tier = TIER_LANDLOCK,
		.write_roots = {.items = roots, .count = 2},
		.limits = {.disk_bytes = 64 * MIB}};
	struct meter_sample sample;
	struct meter_excess excess;
	struct tree tree = tree_start(work_nothing, 0);
	struct meter *meter = meter_of(&plan, &tree, LIMIT_DISK);
	assert_int_equal(meter_sample(meter, &sample), 0);
	uint64_t before = sample.disk_bytes;
	assert_false(meter_verdict(meter, &sample, &excess));

	cleanup_close int fd = open(file, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(posix_fallocate(fd, 0, 128 * MIB), 0);
	assert_int_equal(meter_sample(meter, &sample), 0);
	/* What others write to the file system is in it: a wide margin, but not double. */
	assert_in_range(sample.disk_bytes, before + 96 * MIB, before + 224 * MIB);
	assert_true(meter_verdict(meter, &sample, &excess));
	assert_int_equal(excess.limit, LIMIT_DISK);
	meter_free(meter);

	/* A root that cannot be watched is an error, not a limit that is not there. */
	assert_int_equal(unlink(file), 0);
	assert_int_equal(rmdir(root), 0);
	assert_int_equal(meter_new(&plan, tree.root, LIMIT_DISK, &meter), -ENOENT);
	tree_end(&tree);
}

/* A root of its own with a tmpfs in it, as a box has; argument bytes are written into that. */
static void work_private_root(size_t bytes, int end)
{
	(void)end;
	static char page[65536];
	char users[32], groups[32];
	snprintf(users, sizeof(users), "0 %d 1", geteuid());
	snprintf(groups, sizeof(groups), "0 %d 1", getegid());
	if (unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0 ||
		fd_write_file(AT_FDCWD, "/proc/self/setgroups", "deny") < 0 ||
		fd_write_file(AT_FDCWD, "/proc/self/uid_map", users) < 0 ||
		fd_write_file(AT_FDCWD, "/proc/self/gid_map", groups) < 0 ||
		mount("tmpfs", scratch, "tmpfs", 0, "mode=755") < 0 || chdir(scratch) < 0 ||
		mkdir("dev", 0755) < 0 || mkdir("dev/shm", 0777) < 0 ||
		mount("tmpfs", "dev/shm", "tmpfs", 0, NULL) < 0 || chroot(".") < 0)
		_exit(77);
	/* Whoever makes a user namespace is closed to others until it executes a program. */
	prctl(PR_SET_DUMPABLE, 1);
	int fd = open("/dev/shm/file", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	for (size_t done = 0; done < bytes; done += sizeof(page))
		if (write(fd, page, sizeof(page)) != sizeof(page))
			_exit(1);
	/* Mapped too: it must not count twice. */
	touch(bytes, MAP_SHARED, fd);
}

static bool can_make_private_root(void)
{
	pid_t pid = fork();
	if (pid == 0)
		_exit(unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0);
	int status;
	return waitpid(pid, &status, 0) == pid && status == 0;
}

static void test_own_tmpfs_is_memory(void **state)
{
	(void)state;
	if (!can_make_private_root())
		skip();
	struct plan plan = {
		.tier = TIER_CONTAINER, .private_root = true, .limits = {.memory_bytes = 16 * MIB}};
	struct meter_sample sample;
	struct meter_excess excess;
	struct tree tree = tree_start(work_private_root, 32 * MIB);
	struct meter *meter = meter_of(&plan, &tree, LIMIT_MEMORY);
	assert_int_equal(meter_sample(meter, &sample), 0);
	assert_true(sample.memory_exact);
	assert_in_range(sample.memory_bytes, 32 * MIB, 44 * MIB);
	assert_true(meter_verdict(meter, &sample, &excess));
	meter_free(meter);
	tree_end(&tree);
}

static void test_init_is_gone(void **state)
{
	(void)state;
	struct plan plan = {.tier = TIER_LANDLOCK};
	struct meter_sample sample;
	struct tree tree = tree_start(work_nothing, 0);
	struct meter *meter = meter_of(&plan, &tree, LIMIT_MEMORY);
	assert_int_equal(meter_sample(meter, &sample), 0);
	tree_end(&tree);
	assert_int_equal(meter_sample(meter, &sample), -ESRCH);
	meter_free(meter);
	meter_free(NULL);
}

static void put(const char *name, const char *text)
{
	char path[256];
	snprintf(path, sizeof(path), "%s/%s", scratch, name);
	for (char *slash = path + strlen(scratch) + 1; (slash = strchr(slash, '/')); slash++) {
		*slash = '\0';
		(void)mkdir(path, 0755);
		*slash = '/';
	}
	FILE *file = fopen(path, "w");
	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
}

static int set_up(void **state)
{
	(void)state;
	strcpy(scratch + strlen(scratch) - 6, "XXXXXX");
	return mkdtemp(scratch) ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	char command[sizeof(scratch) + 16];
	snprintf(command, sizeof(command), "rm -rf %s", scratch);
	return system(command);
}

static void test_tree_without_children_files(void **state)
{
	(void)state;
	/* Names can hold anything, also what looks like the rest of the line. */
	put("1/stat", "1 (init) S 0 1 1 0\n");
	put("10/stat", "10 (a) S 1 1 1 0\n");
	put("11/stat", "11 (b) S 5) S 10 1 1 0\n");
	put("12/stat", "12 () R 99 (\n) S 10 1 1 0\n");
	put("13/stat", "13 (d) S 12 1 1 0\n");
	put("20/stat", "20 (other) S 1 1 1 0\n");
	put("21/stat", "21 (other) S 20 1 1 0\n");
	put("22/stat", "nothing of the kind\n");
	put("self/stat", "10 (a) S 1 1 1 0\n");
	cleanup_close int proc = open(scratch, O_PATH | O_CLOEXEC);
	pid_t pids[8];
	bool truncated = true;
	assert_int_equal(proc_tree(proc, 10, pids, 8, &truncated), 4);
	assert_false(truncated);
	static const pid_t expected[] = {10, 11, 12, 13};
	assert_memory_equal(pids, expected, sizeof(expected));
	assert_int_equal(proc_tree(proc, 10, pids, 2, &truncated), 2);
	assert_true(truncated);
	assert_int_equal(proc_tree(proc, 99, pids, 8, &truncated), 0);
}

static void test_tree_by_children_files(void **state)
{
	(void)state;
	/* More than one buffer of children, from two threads. */
	static char text[16384];
	size_t length = 0;
	for (int i = 0; i < 2000; i++)
		length += (size_t)snprintf(text + length, sizeof(text) - length, "%d ", 1000 + i);
	put("10/task/10/children", text);
	put("10/task/11/children", "5000 5001 ");
	put("10/task/12/other", "");
	put("5001/task/5001/children", "6000 ");
	cleanup_close int proc = open(scratch, O_PATH | O_CLOEXEC);
	cleanup_free pid_t *pids = calloc(4096, sizeof(*pids));
	bool truncated;
	assert_int_equal(proc_tree(proc, 10, pids, 4096, &truncated), 1 + 2000 + 2 + 1);
	assert_false(truncated);
	for (size_t i = 0; i < 2000; i++) {
		bool found = false;
		for (size_t p = 0; p < 2004; p++)
			found |= pids[p] == (pid_t)(1000 + i);
		assert_true(found);
	}
	assert_int_equal(pids[2003], 6000);
	assert_int_equal(proc_tree(proc, 10, pids, 100, &truncated), 100);
	assert_true(truncated);
}

static void test_share_of_mappings(void **state)
{
	(void)state;
	static const struct {
		const char *head;
		unsigned pss_kib, anonymous_kib, swap_kib;
	} mappings[] = {
		{"00400000-00500000 r-xp 00000000 fe:00 55 /bin/program", 100, 3, 0},
		{"7f0000000000-7f0000100000 rw-p 00000000 00:00 0 ", 200, 400, 5},
		{"7f0000200000-7f0000300000 rw-p 00000000 00:00 0 [heap]", 1000, 1, 0},
		{"7f0000300000-7f0000400000 rw-s 00000000 00:01 8 /memfd:x (deleted)", 10000, 0, 0},
		{"7f0000400000-7f0000500000 rw-s 00000000 00:01 9 /memfd:y (deleted)", 20000, 0, 0},
		{"7f0000500000-7f0000600000 rw-s 00000000 00:2a 3 /dev/shm/z", 40000, 0, 0},
		{"7f0000600000-7f0000700000 rw-s 00000000 00:01 4 /dev/zero (deleted)", 100000, 0,
			0},
	};
	char text[4096];
	size_t length = 0;
	for (size_t i = 0; i < ARRAY_SIZE(mappings); i++)
		length += (size_t)snprintf(text + length, sizeof(text) - length,
			"%s\nRss: 4000 kB\nPss: %u kB\nPss_Dirty: 777 kB\nAnonymous: %u kB\n"
			"AnonHugePages: 777 kB\nSwap: 777 kB\nSwapPss: %u kB\nVmFlags: rd\n",
			mappings[i].head, mappings[i].pss_kib, mappings[i].anonymous_kib,
			mappings[i].swap_kib);
	put("7/smaps", text);
	cleanup_close int proc = open(scratch, O_PATH | O_CLOEXEC);
	dev_t devices[] = {makedev(0, 0x2a)};
	ino_t memfds[] = {9};
	struct proc_counted counted = {.devices = devices,
		.devices_count = 1,
		.memfds = memfds,
		.memfds_count = 1,
		.memfds_capacity = 1};
	uint64_t bytes;
	assert_true(proc_read_share(proc, 7, &counted, &bytes));
	assert_int_equal(bytes / 1024, 3 + 200 + 5 + 1000 + 10000 + 100000);
	struct proc_counted nothing = {0};
	assert_true(proc_read_share(proc, 7, &nothing, &bytes));
	assert_int_equal(bytes / 1024, 3 + 200 + 5 + 1000 + 10000 + 20000 + 40000 + 100000);
	assert_false(proc_read_share(proc, 8, &nothing, &bytes));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(test_memory_limit),
		TEST(test_forked_workers_share_their_memory),
		TEST(test_process_that_may_not_be_looked_at),
		TEST(test_memory_in_other_places),
		TEST(test_tasks),
		TEST(test_cpu_time),
		TEST(test_disk),
		TEST(test_own_tmpfs_is_memory),
		TEST(test_init_is_gone),
		TEST(test_tree_without_children_files),
		TEST(test_tree_by_children_files),
		TEST(test_share_of_mappings),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
