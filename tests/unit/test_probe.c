/* Host facts: the texts from made-up facts, and the probes on this very machine, made poorer in
 * child processes (a limit of their own, a filter, a chroot, masked files). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/sys.h"
#include "host/doctor.h"
#include "host/facts.h"

#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pwd.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

/* --- Made-up facts --- */

static struct host_facts good_facts(void)
{
	const struct host_trial worked = {.made = true};
	return (struct host_facts){.uid = 1000,
		.gid = 1000,
		.user_name = "ada",
		.kernel = "6.12.1",
		.kernel_version = 0x60c,
		.userns = true,
		.landlock_abi = 7,
		.seccomp_listener = true,
		.seccomp_sync_wake_up = true,
		.seccomp_wait_killable = true,
		.cgroup = CGROUP_V2,
		.cgroup_usable = true,
		.cgroup_memory = true,
		.cgroup_cpu = true,
		.cgroup_pids = true,
		.network = worked,
		.network_log = true,
		.overlay_in_userns = true,
		.tmpfs_user_xattr = true,
		.kvm = true,
		.proc_mountable = true,
		.full = true,
		.root_filesystem = "ext4",
		.trials = {.mount = worked, .listener = worked, .kvm = worked}};
}

static struct host_facts poor_facts(enum userns_obstacle obstacle)
{
	struct host_facts facts = good_facts();
	probe_set_userns_obstacle(&facts, obstacle);
	facts.overlay_in_userns = facts.proc_mountable = false;
	memset(&facts.trials, 0, sizeof(facts.trials));
	return facts;
}

static void test_gaps_by_abi(void **state)
{
	(void)state;
	static const struct {
		int abi;
		const char *word; /* the gap that this ABI closes */
	} closed[] = {{2, "refer"}, {3, "truncate"}, {4, "tcp"}, {5, "device_ioctl"},
		{6, "signals"}, {6, "abstract_sockets"}, {9, "unix_path_sockets"}};
	const struct landlock_gap *items;
	for (size_t i = 0; i < ARRAY_SIZE(closed); i++) {
		for (int abi = 0; abi < 12; abi++) {
			bool found = false;
			size_t count = doctor_landlock_gaps(abi, &items);
			for (size_t j = 0; j < count; j++)
				found |= strcmp(items[j].word, closed[i].word) == 0;
			assert_int_equal(found, abi < closed[i].abi);
		}
	}
	/* The table is cut at one place, so it must be sorted; what no ABI closes stays. */
	size_t all = doctor_landlock_gaps(0, &items);
	for (size_t i = 1; i < all; i++)
		assert_true(items[i - 1].closed_by_abi >= items[i].closed_by_abi);
	size_t last = doctor_landlock_gaps(1000, &items);
	assert_string_equal(items[0].word, "pid_view");
	assert_true(last >= 3 && items[last - 1].closed_by_abi == INT_MAX);
}

static void test_tier(void **state)
{
	(void)state;
	struct host_facts facts = good_facts();
	const char *why;
	assert_string_equal(doctor_tier(&facts, &why), "container");
	facts = poor_facts(USERNS_APPARMOR);
	assert_string_equal(doctor_tier(&facts, &why), "landlock");
	facts.seccomp_listener = false;
	assert_string_equal(doctor_tier(&facts, NULL), "none");
	facts.seccomp_listener = true;
	facts.ptrace_scope = 1;
	assert_string_equal(doctor_tier(&facts, NULL), "landlock");
	facts.ptrace_scope = 2;
	assert_string_equal(doctor_tier(&facts, &why), "none");
	assert_non_null(strstr(why, "Yama"));
	facts.ptrace_scope = 0;
	facts.landlock_abi = 0;
	assert_string_equal(doctor_tier(&facts, NULL), "none");
}

static void assert_has(const char *text, const char *part)
{
	if (!strstr(text, part))
		fail_msg("\"%s\" is not in:\n%s", part, text);
}

static void assert_has_not(const char *text, const char *part)
{
	if (strstr(text, part))
		fail_msg("\"%s\" is in:\n%s", part, text);
}

static void test_text_of_a_good_host(void **state)
{
	(void)state;
	struct host_facts facts = good_facts();
	cleanup_free char *text = doctor_text(&facts);
	assert_has(text, "Tier: container");
	assert_has(text, "memory, cpu, pids (version 2)");
	assert_has_not(text, "missing");
	assert_has_not(text, "partly");
	assert_has_not(text, "run:");
	assert_has_not(text, "pid_view");
}

static void test_text_of_a_host_without_nf_tables(void **state)
{
	(void)state;
	struct host_facts facts = good_facts();
	facts.network_log = false;
	cleanup_free char *quiet = doctor_text(&facts);
	assert_has(quiet, "partly   network by name");
	assert_has(quiet, "modprobe -a nft_log nfnetlink_log");
	facts.network.errno_value = ENOENT;
	cleanup_free char *lacking = doctor_text(&facts);
	assert_has(lacking, "missing  network by name");
	assert_has(lacking, "modprobe -a nf_tables nft_chain_nat");
	facts.network.errno_value = EPERM;
	cleanup_free char *forbidden = doctor_text(&facts);
	assert_has(forbidden, "missing  network by name");
	assert_has_not(forbidden, "modprobe");
}

static void test_text_of_a_poor_host(void **state)
{
	(void)state;
	struct host_facts facts = poor_facts(USERNS_LIMIT_ZERO);
	facts.landlock_abi = 2;
	facts.cgroup_usable = false;
	facts.systemd = true;
	cleanup_free char *text = doctor_text(&facts);
	assert_has(text, "Tier: landlock");
	assert_has(text, "user.max_user_namespaces is 0");
	assert_has(text, "sudo sysctl -w user.max_user_namespaces=15000\n");
	assert_has(text, "sudo loginctl enable-linger ada\n");
	assert_has(text, "systemd-run --user --scope -p Delegate=yes ");
	assert_has(text, "Landlock (ABI 2)");
	assert_has(text, "truncate");
	assert_has_not(text, "  refer");

	facts.ptrace_scope = 2;
	cleanup_free char *scope = doctor_text(&facts);
	assert_has(scope, "ptrace_scope is 2");
	assert_has(scope, "sudo sysctl -w kernel.yama.ptrace_scope=1\n");
	facts.ptrace_scope = 3;
	cleanup_free char *locked = doctor_text(&facts);
	assert_has(locked, "ptrace_scope is 3: nobody may");
	assert_has(locked, "sudo reboot\n");

	facts.landlock_abi = 0;
	facts.landlock_errno = EOPNOTSUPP;
	cleanup_free char *none = doctor_text(&facts);
	assert_has(none, "Tier: none, no box can be made");
	assert_has(none, "not enabled at boot");
	assert_has(none, "sudo update-grub\n");
}

static void test_listener_taken(void **state)
{
	(void)state;
	struct host_facts facts = good_facts();
	facts.seccomp_listener = facts.seccomp_sync_wake_up = false;
	facts.trials.listener.errno_value = EBUSY;
	facts.wsl2 = true;
	cleanup_free char *text = doctor_text(&facts);
	assert_has(text, "WSL2's own init holds the only one");
	assert_has(text, "Tier: container");
}

static void test_commands_fit_the_user(void **state)
{
	(void)state;
	struct host_facts facts = poor_facts(USERNS_APPARMOR);
	facts.cgroup_usable = false;
	facts.systemd = true;
	strcpy(facts.user_name, "a;reboot");
	cleanup_free char *odd = doctor_text(&facts);
	assert_has(odd, "enable-linger 1000\n");
	assert_has_not(odd, "reboot");
	assert_has(odd, "sudo apparmor_parser -r /etc/apparmor.d/coffer\n");

	facts.uid = 0;
	cleanup_free char *root = doctor_text(&facts);
	assert_has(root, " apparmor_parser -r");
	assert_has_not(root, "sudo");
}

static void check_width(const char *text)
{
	for (const char *line = text; *line;) {
		size_t length = strcspn(line, "\n");
		if (length > 80)
			fail_msg("%zu columns: %.*s", length, (int)length, line);
		if (length > 0 && line[length - 1] == ' ')
			fail_msg("space at the end: %.*s", (int)length, line);
		line += length;
		assert_int_equal(*line, '\n');
		line++;
	}
}

/* Undoes the wrapping as a shell would, and looks for every command of the JSON. */
static void check_commands(const char *text, const char *json)
{
	cleanup_buffer struct buffer joined = BUFFER_INIT(1 << 20);
	for (const char *c = text; *c; c++) {
		if (strncmp(c, "\\\n", 2) == 0) {
			c += 2;
			while (*c == ' ')
				c++;
		}
		buffer_append(&joined, c, 1);
	}
	json_t *root = json_loads(json, 0, NULL), *mechanism, *command;
	assert_non_null(root);
	size_t i, j;
	json_array_foreach(json_object_get(root, "mechanisms"), i, mechanism)
	{
		json_array_foreach(json_object_get(mechanism, "commands"), j, command)
			assert_has(joined.data, json_string_value(command));
	}
	json_decref(root);
}

/* Every text that can come about: 80 columns, whole commands, the same in JSON. */
static void test_all_texts(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 2 * (USERNS_UNKNOWN + 1) * 4 * 16; i++) {
		unsigned n = i;
		bool root = n % 2;
		n /= 2;
		struct host_facts facts = poor_facts(n % (USERNS_UNKNOWN + 1));
		n /= USERNS_UNKNOWN + 1;
		facts.cgroup = n % 4;
		n /= 4;
		facts.cgroup_usable = facts.cgroup != CGROUP_NONE && (n & 1);
		facts.cgroup_memory = facts.cgroup_cpu = (n & 2) != 0;
		facts.systemd = (n & 4) != 0;
		facts.landlock_abi = n & 8 ? 0 : 1;
		facts.landlock_errno = n & 2 ? EOPNOTSUPP : ENOSYS;
		facts.ptrace_scope = n % 4;
		facts.seccomp_filtered = n & 1;
		facts.tmpfs_user_xattr = n & 4;
		facts.overlay_in_userns = facts.userns && (n & 2);
		facts.seccomp_sync_wake_up = n & 2;
		facts.seccomp_listener = n & 4;
		facts.kvm = false;
		facts.trials.kvm = (struct host_trial){true, n & 1 ? EACCES : ENOENT};
		facts.root = root;
		facts.uid = root ? 0 : 4294967294;
		facts.wsl2 = facts.in_chroot = n & 1;
		strcpy(facts.user_name, "a-user-name-of-32-bytes-like-this");
		strcpy(facts.container, n & 1 ? "podman" : "systemd-nspawn-with-a-long-name");
		strcpy(facts.trials.calls_refused, n & 8 ? "clone3, mount_setattr" : "");
		cleanup_free char *text = doctor_text(&facts);
		cleanup_free char *json = doctor_json(&facts);
		assert_non_null(text);
		assert_non_null(json);
		check_width(text);
		check_commands(text, json);
	}
}

static void test_json(void **state)
{
	(void)state;
	struct host_facts facts = poor_facts(USERNS_CHROOT);
	facts.landlock_abi = 6;
	cleanup_free char *text = doctor_json(&facts);
	json_t *root = json_loads(text, 0, NULL);
	const char *tier = NULL, *obstacle = NULL;
	json_t *mechanisms, *gaps;
	assert_int_equal(json_unpack(root, "{s:{s:s}, s:{s:s}, s:o, s:o}", "tier", "auto", &tier,
				 "host", "user_namespace_obstacle", &obstacle, "mechanisms",
				 &mechanisms, "landlock_gaps", &gaps),
		0);
	assert_string_equal(tier, "landlock");
	assert_string_equal(obstacle, "chroot");
	assert_int_equal(json_array_size(mechanisms), 10); /* id-mapped mounts are for root */
	const struct landlock_gap *items;
	assert_int_equal(json_array_size(gaps), doctor_landlock_gaps(6, &items));
	json_t *second = json_array_get(mechanisms, 1);
	assert_string_equal(json_string_value(json_object_get(second, "name")), "user_namespaces");
	assert_string_equal(json_string_value(json_object_get(second, "state")), "missing");
	json_decref(root);
}

static void test_refusals_are_understood(void **state)
{
	(void)state;
	static const struct {
		enum userns_step step;
		int errno_value;
		bool filtered, chroot;
		enum userns_obstacle expected;
	} cases[] = {
		{USERNS_STEP_CLONE, EINVAL, false, false, USERNS_NOT_BUILT},
		{USERNS_STEP_CLONE, ENOSYS, true, false, USERNS_FILTER},
		{USERNS_STEP_CLONE, EPERM, false, true, USERNS_CHROOT},
		{USERNS_STEP_ID_MAPS, ENOENT, false, false, USERNS_NO_PROC},
		{USERNS_STEP_CLONE, ENOMEM, false, false, USERNS_UNKNOWN},
		/* As root nothing but these can be meant, on any host. */
		{USERNS_STEP_CLONE, EPERM, true, false, USERNS_FILTER},
		{USERNS_STEP_CLONE, EPERM, false, false, USERNS_UNKNOWN},
		{USERNS_STEP_CLONE, EACCES, false, false, USERNS_MODULE},
		{USERNS_STEP_MOUNT, EACCES, true, false, USERNS_MODULE},
		{USERNS_STEP_MOUNT, EPERM, true, false, USERNS_FILTER},
	};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct host_facts facts = good_facts();
		facts.root = true;
		facts.seccomp_filtered = cases[i].filtered;
		facts.in_chroot = cases[i].chroot;
		probe_userns_refused(&facts, cases[i].step, cases[i].errno_value);
		assert_int_equal(facts.userns_obstacle, cases[i].expected);
		assert_false(facts.userns || facts.overlay_in_userns || facts.proc_mountable);
		assert_true(facts.userns_reason[0] != '\0');
	}
}

/* --- This machine --- */

static size_t count_descriptors(void)
{
	size_t count = 0;
	cleanup_closedir DIR *dir = opendir("/proc/self/fd");
	assert_non_null(dir);
	while (readdir(dir))
		count++;
	return count;
}

static char *read_all(const char *path)
{
	char *text = NULL;
	assert_int_equal(fd_read_file(AT_FDCWD, path, 16 << 20, &text, NULL), 0);
	return text;
}

static void test_quick_on_this_machine(void **state)
{
	(void)state;
	static struct host_facts facts;
	probe_quick(&facts);
	assert_int_equal(facts.uid, geteuid());
	cleanup_free char *release = read_all("/proc/sys/kernel/osrelease");
	release[strcspn(release, "\n")] = '\0';
	assert_string_equal(facts.kernel, release);
	assert_true(facts.kernel_version >= 0x500);
	assert_false(facts.full || facts.trials.mount.made);
	struct passwd *user = getpwuid(geteuid());
	if (user)
		assert_string_equal(facts.user_name, user->pw_name);
}

static void test_home(void **state)
{
	(void)state;
	static struct host_facts facts;
	struct passwd *user = getpwuid(geteuid());
	cleanup_free char *before = getenv("HOME") ? strdup(getenv("HOME")) : NULL;
	setenv("HOME", "/elsewhere//x/", 1);
	probe_quick(&facts);
	assert_string_equal(facts.home, "/elsewhere/x");
	assert_string_equal(facts.home_other, user ? user->pw_dir : "");
	setenv("HOME", "relative", 1);
	probe_quick(&facts);
	assert_string_equal(facts.home, user ? user->pw_dir : "");
	assert_string_equal(facts.home_other, "");
	unsetenv("HOME");
	probe_quick(&facts);
	assert_string_equal(facts.home, user ? user->pw_dir : "");
	if (before)
		setenv("HOME", before, 1);
}

/* The trials leave no trace in this process or on the host. */
static void test_full_leaves_no_trace(void **state)
{
	(void)state;
	static struct host_facts facts;
	char name_before[65], name_after[65];
	gethostname(name_before, sizeof(name_before));
	cleanup_free char *mounts_before = read_all("/proc/self/mountinfo");
	size_t descriptors = count_descriptors();
	int filter = prctl(PR_GET_SECCOMP, 0, 0, 0, 0);
	int no_new_privs = prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0);

	probe_full(&facts);

	gethostname(name_after, sizeof(name_after));
	assert_string_equal(name_before, name_after);
	cleanup_free char *mounts_after = read_all("/proc/self/mountinfo");
	assert_string_equal(mounts_before, mounts_after);
	assert_int_equal(descriptors, count_descriptors());
	assert_int_equal(filter, prctl(PR_GET_SECCOMP, 0, 0, 0, 0));
	assert_int_equal(no_new_privs, prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
	cleanup_closedir DIR *root = opendir("/");
	assert_non_null(root);
}

static void test_full_agrees_with_itself(void **state)
{
	(void)state;
	static struct host_facts facts;
	probe_full(&facts);
	assert_true(facts.full && facts.trials.landlock.made && facts.trials.namespaces.made);
	assert_int_equal(facts.userns, trial_worked(facts.trials.mount));
	assert_int_equal(facts.userns, facts.userns_obstacle == USERNS_FREE);
	assert_int_equal(facts.landlock_abi > 0, trial_worked(facts.trials.landlock));
	assert_int_equal(
		trial_worked(facts.trials.user_namespace) && !trial_worked(facts.trials.namespaces),
		facts.trials.namespaces_refused[0] != '\0');
	if (!facts.root)
		assert_false(facts.idmapped_mounts);
}

/* --- This machine, made poorer in a child --- */

enum { CHILD_OK = 0, CHILD_CANNOT = 77 };

#define CHECK(condition)                                                                           \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);            \
			_exit(1);                                                                  \
		}                                                                                  \
	} while (0)

/* What the child could not set up, this machine cannot test. */
#define NEED(condition)                                                                            \
	do {                                                                                       \
		if (!(condition))                                                                  \
			_exit(CHILD_CANNOT);                                                       \
	} while (0)

static struct host_facts child_facts; /* too large for a stack frame that is copied about */

static void in_child(void (*body)(struct host_facts *facts))
{
	fflush(NULL);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		body(&child_facts);
		_exit(CHILD_OK);
	}
	int status;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == CHILD_CANNOT) {
		const char *must = getenv("COFFER_MUST_RUN");
		if (must && strcmp(must, "1") == 0)
			fail_msg("this machine cannot run the test, and COFFER_MUST_RUN=1");
		print_message(
			"skipped: needs user namespaces or seccomp, which are missing here\n");
		skip();
	}
	assert_int_equal(WEXITSTATUS(status), CHILD_OK);
}

static void write_map(const char *path, unsigned id)
{
	char map[32];
	snprintf(map, sizeof(map), "0 %u 1", id);
	NEED(fd_write_file(AT_FDCWD, path, map) == 0);
}

/* Root of a user namespace of its own, with a mount namespace to spoil. */
static void enter_own_namespaces(void)
{
	unsigned uid = geteuid(), gid = getegid();
	NEED(unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0);
	NEED(fd_write_file(AT_FDCWD, "/proc/self/setgroups", "deny") == 0);
	write_map("/proc/self/uid_map", uid);
	write_map("/proc/self/gid_map", gid);
	NEED(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0);
}

static void child_limit_zero(struct host_facts *facts)
{
	enter_own_namespaces();
	NEED(fd_write_file(AT_FDCWD, "/proc/sys/user/max_user_namespaces", "0") == 0);
	probe_quick(facts);
	CHECK(!facts->userns && facts->userns_obstacle == USERNS_LIMIT_ZERO);
	probe_full(facts);
	CHECK(!facts->userns && facts->userns_obstacle == USERNS_LIMIT_ZERO);
	CHECK(facts->trials.user_namespace.errno_value == ENOSPC);
	CHECK(!facts->trials.mount.made && !facts->overlay_in_userns);
	CHECK(strcmp(facts->userns_remedy, "sudo sysctl -w user.max_user_namespaces=15000") == 0);
}

static void test_limit_zero(void **state)
{
	(void)state;
	in_child(child_limit_zero);
}

static void child_limit_network(struct host_facts *facts)
{
	enter_own_namespaces();
	NEED(fd_write_file(AT_FDCWD, "/proc/sys/user/max_net_namespaces", "0") == 0);
	probe_full(facts);
	CHECK(!facts->userns && facts->userns_obstacle == USERNS_OTHER_KIND);
	CHECK(strcmp(facts->trials.namespaces_refused, "network") == 0);
}

static void test_limit_of_another_kind(void **state)
{
	(void)state;
	in_child(child_limit_network);
}

static void child_chroot(struct host_facts *facts)
{
	enter_own_namespaces();
	char directory[] = "/tmp/coffer-test-XXXXXX";
	NEED(mkdtemp(directory));
	bool entered = chroot(directory) == 0;
	rmdir(directory);
	NEED(entered && chdir("/") == 0);
	probe_quick(facts);
	CHECK(facts->in_chroot && facts->userns_obstacle == USERNS_CHROOT);
	probe_full(facts);
	CHECK(!facts->userns && facts->userns_obstacle == USERNS_CHROOT);
	CHECK(facts->trials.user_namespace.errno_value == EPERM);
	CHECK(trial_worked(facts->trials.landlock) == (facts->landlock_abi > 0));
}

static void test_chroot(void **state)
{
	(void)state;
	in_child(child_chroot);
}

static int install_filter(struct sock_filter *code, unsigned short length, unsigned flags)
{
	struct sock_fprog program = {.len = length, .filter = code};
	NEED(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	int r = sys_seccomp(SECCOMP_SET_MODE_FILTER, flags, &program);
	NEED(r >= 0);
	return r;
}

/* A filter as Docker's: no new user namespace by clone(2) or unshare(2), no clone3(2). */
static void child_container_filter(struct host_facts *facts)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone3, 5, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_unshare, 1, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone, 0, 4),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args)),
		BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, 0x7e020000, 0, 2),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	probe_quick(facts);
	NEED(facts->userns); /* nothing but the filter must forbid them */
	install_filter(code, ARRAY_SIZE(code), 0);
	probe_quick(facts);
	CHECK(facts->seccomp_filtered);
	CHECK(!facts->userns && facts->userns_obstacle == USERNS_FILTER);
	probe_full(facts);
	CHECK(!facts->userns && facts->userns_obstacle == USERNS_FILTER);
	CHECK(strcmp(facts->trials.calls_refused, "clone3") == 0);
	CHECK(trial_worked(facts->trials.listener));
}

static void test_container_filter(void **state)
{
	(void)state;
	in_child(child_container_filter);
}

/* A filter that has nothing against namespaces is no obstacle; its listener is the only one. */
static void child_listener_taken(struct host_facts *facts)
{
	probe_full(facts);
	bool userns = facts->userns;
	struct sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	install_filter(&allow, 1, SECCOMP_FILTER_FLAG_NEW_LISTENER);
	probe_full(facts);
	CHECK(facts->seccomp_filtered && facts->userns == userns);
	CHECK(!facts->seccomp_listener && facts->trials.listener.errno_value == EBUSY);
	CHECK(!facts->trials.sync_wake_up.made && !facts->seccomp_sync_wake_up);
}

static void test_listener_taken_on_this_machine(void **state)
{
	(void)state;
	in_child(child_listener_taken);
}

/* A trial that is killed is a trial that failed, and the others are made all the same. */
static void child_killed(struct host_facts *facts)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_landlock_restrict_self, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	install_filter(code, ARRAY_SIZE(code), 0);
	probe_quick(facts);
	NEED(facts->landlock_abi > 0);
	probe_full(facts);
	CHECK(facts->landlock_abi == 0 && facts->trials.landlock.errno_value == ETIMEDOUT);
	CHECK(trial_worked(facts->trials.listener));
}

static void test_killed_trial(void **state)
{
	(void)state;
	in_child(child_killed);
}

/* A call that never comes back: the filter hands it to a listener that nobody answers. */
static void child_hung(struct host_facts *facts)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_sethostname, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	probe_full(facts);
	NEED(facts->userns);
	install_filter(code, ARRAY_SIZE(code), SECCOMP_FILTER_FLAG_NEW_LISTENER);
	uint64_t start_us = clock_now_us();
	probe_full(facts);
	CHECK(clock_now_us() - start_us < 60 * 1000 * 1000);
	CHECK(facts->trials.host_name.errno_value == ETIMEDOUT && !facts->trials.mount.made);
	CHECK(trial_worked(facts->trials.landlock) == (facts->landlock_abi > 0));
	CHECK(waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD);
}

static void test_hung_trial(void **state)
{
	(void)state;
	in_child(child_hung);
}

/* By the other system call: a /proc that lies out of reach in this mount namespace (below an
 * initial ramdisk's root, say) and has no mask satisfies the kernel. */
static bool masks_count(void)
{
	pid_t pid = fork();
	NEED(pid >= 0);
	if (pid == 0) {
		NEED(unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID) == 0);
		pid_t init = fork();
		NEED(init >= 0);
		if (init == 0)
			_exit(mount("proc", "/proc", "proc", 0, NULL) == 0 ? CHILD_OK : 1);
		int status;
		NEED(waitpid(init, &status, 0) == init);
		_exit(WEXITSTATUS(status));
	}
	int status;
	NEED(waitpid(pid, &status, 0) == pid);
	return WEXITSTATUS(status) == 1;
}

static void child_masked_proc(struct host_facts *facts)
{
	probe_full(facts);
	NEED(facts->proc_mountable);
	enter_own_namespaces();
	NEED(mount("/dev/null", "/proc/uptime", NULL, MS_BIND, NULL) == 0);
	NEED(masks_count());
	probe_full(facts);
	CHECK(facts->userns && facts->trials.proc.errno_value == EPERM);
	CHECK(!facts->proc_mountable && facts->overlay_in_userns);
}

static void test_masked_proc(void **state)
{
	(void)state;
	in_child(child_masked_proc);
}

static void put_file(const char *path, const char *text)
{
	cleanup_close int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	NEED(fd >= 0 && fd_write_full(fd, text, strlen(text)) == 0);
}

/* The files of Ubuntu's and Debian's restrictions, on a tmpfs over /proc/sys/kernel. The kernel
 * itself restricts nothing here: so the trial must overrule the quick probe. */
static void child_distribution_files(struct host_facts *facts)
{
	enter_own_namespaces();
	NEED(mount("tmpfs", "/proc/sys/kernel", "tmpfs", 0, NULL) == 0);
	put_file("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1\n");
	put_file("/proc/sys/kernel/label", "unconfined\n");
	const char *label = access("/proc/self/attr/apparmor/current", F_OK) == 0
				    ? "/proc/self/attr/apparmor/current"
				    : "/proc/self/attr/current";
	NEED(mount("/proc/sys/kernel/label", label, NULL, MS_BIND, NULL) == 0);

	probe_quick(facts);
	CHECK(!facts->userns && facts->userns_obstacle == USERNS_APPARMOR);
	CHECK(strstr(facts->userns_remedy, "/apparmor/coffer /etc/apparmor.d/coffer\nsudo apparm"));
	put_file("/proc/sys/kernel/label", "unprivileged_userns (enforce)\n");
	probe_quick(facts);
	CHECK(!facts->userns && facts->userns_obstacle == USERNS_APPARMOR);
	probe_userns_refused(facts, USERNS_STEP_MOUNT, EACCES);
	CHECK(facts->userns_obstacle == USERNS_APPARMOR);
	probe_full(facts);
	CHECK(facts->userns && facts->userns_obstacle == USERNS_FREE);

	put_file("/proc/sys/kernel/label", "coffer (unconfined)\n");
	probe_quick(facts);
	CHECK(facts->userns);
	put_file("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "0\n");
	put_file("/proc/sys/kernel/label", "unconfined\n");
	probe_quick(facts);
	CHECK(facts->userns);

	put_file("/proc/sys/kernel/unprivileged_userns_clone", "0\n");
	probe_quick(facts);
	CHECK(!facts->userns && facts->userns_obstacle == USERNS_SYSCTL);
	put_file("/proc/sys/kernel/unprivileged_userns_clone", "1\n");
	probe_quick(facts);
	CHECK(facts->userns);
}

static void test_distribution_files(void **state)
{
	(void)state;
	in_child(child_distribution_files);
}

static void child_no_proc(struct host_facts *facts)
{
	enter_own_namespaces();
	NEED(mount("tmpfs", "/proc", "tmpfs", 0, NULL) == 0);
	probe_quick(facts);
	CHECK(facts->userns); /* not known: the launch will see */
	probe_full(facts);
	CHECK(!facts->userns && facts->userns_obstacle == USERNS_NO_PROC);
}

static void test_no_proc(void **state)
{
	(void)state;
	in_child(child_no_proc);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_gaps_by_abi),
		cmocka_unit_test(test_tier),
		cmocka_unit_test(test_text_of_a_good_host),
		cmocka_unit_test(test_text_of_a_host_without_nf_tables),
		cmocka_unit_test(test_text_of_a_poor_host),
		cmocka_unit_test(test_listener_taken),
		cmocka_unit_test(test_commands_fit_the_user),
		cmocka_unit_test(test_all_texts),
		cmocka_unit_test(test_json),
		cmocka_unit_test(test_refusals_are_understood),
		cmocka_unit_test(test_quick_on_this_machine),
		cmocka_unit_test(test_home),
		cmocka_unit_test(test_full_leaves_no_trace),
		cmocka_unit_test(test_full_agrees_with_itself),
		cmocka_unit_test(test_limit_zero),
		cmocka_unit_test(test_limit_of_another_kind),
		cmocka_unit_test(test_chroot),
		cmocka_unit_test(test_container_filter),
		cmocka_unit_test(test_listener_taken_on_this_machine),
		cmocka_unit_test(test_killed_trial),
		cmocka_unit_test(test_hung_trial),
		cmocka_unit_test(test_masked_proc),
		cmocka_unit_test(test_distribution_files),
		cmocka_unit_test(test_no_proc),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
