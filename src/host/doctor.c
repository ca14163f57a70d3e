#include "host/doctor.h"

#include "base/buffer.h"
#include "base/cleanup.h"

#include <jansson.h>
#include <limits.h>
#include <string.h>

enum { DOCTOR_TEXT_BYTES = 64 * 1024, DOCTOR_COLUMNS = 80 };

enum doctor_state { DOCTOR_OK, DOCTOR_PARTLY, DOCTOR_MISSING, DOCTOR_UNTRIED };

static const char *const state_names[] = {
	[DOCTOR_OK] = "ok",
	[DOCTOR_PARTLY] = "partly",
	[DOCTOR_MISSING] = "missing",
	[DOCTOR_UNTRIED] = "untried",
};

/* What there is to say about one mechanism. */
struct finding {
	enum doctor_state state;
	char text[512];
	const char *means;   /* what follows from a lack; NULL: nothing, or it was said before */
	char commands[1024]; /* for an administrator, one a line */
};

/* --- What Landlock leaves open --- */

/* Sorted by closed_by_abi, the latest first: the gaps of an ABI are the head of the table. */
static const struct landlock_gap gaps[] = {
	{"pid_view", "the host's processes can be seen in /proc, but not signalled or traced", NULL,
		INT_MAX},
	{"sysv_ipc", "System V IPC and POSIX message queues are shared with the user's programs",
		NULL, INT_MAX},
	{"metadata", "whether a path exists, its size and times can be asked of any file", NULL,
		INT_MAX},
	{"private_tmp", "/tmp is the host's",
		"TMPDIR names a directory of the box's own, removed with it", INT_MAX},
	{"file_attributes", "chmod, chown, utime and extended attributes are not covered",
		"the broker checks and makes these calls", INT_MAX},
	{"unix_path_sockets", "connections to UNIX sockets by path are not covered",
		"the broker checks and makes these calls", 9},
	{"abstract_sockets", "connections to abstract UNIX sockets are not covered",
		"the broker checks and makes these calls", 6},
	{"signals", "signals to processes outside are not covered",
		"the broker lets them reach the box's own processes only", 6},
	{"device_ioctl", "ioctl on device files is not covered", "the broker checks these calls",
		5},
	{"tcp", "TCP is not covered", "seccomp refuses sockets by family, type and protocol", 4},
	{"truncate", "truncation of files is not covered",
		"the broker checks and makes these calls", 3},
	{"refer", "renames and links from one directory to another are always refused",
		"programs copy instead", 2},
};

size_t doctor_landlock_gaps(int abi, const struct landlock_gap **ret)
{
	size_t count = 0;
	while (count < ARRAY_SIZE(gaps) && gaps[count].closed_by_abi > abi)
		count++;
	*ret = gaps;
	return count;
}

/* --- Findings --- */

const char *doctor_tier(const struct host_facts *facts, const char **ret_why)
{
	const char *why, *tier;
	if (facts->userns) {
		tier = "container";
		why = "user namespaces can be made";
	} else if (facts->landlock_abi > 0 && facts->seccomp_listener &&
		   ptrace_allows_brokers(facts)) {
		tier = "landlock";
		why = "user namespaces are forbidden, Landlock and seccomp need none";
	} else {
		tier = "none";
		why = "without user namespaces, Landlock and a seccomp listener are both needed";
		if (!ptrace_allows_brokers(facts))
			why = "without user namespaces, programs must be read, and Yama forbids it";
	}
	if (ret_why)
		*ret_why = why;
	return tier;
}

static void add_text(struct finding *finding, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
static void add_text(struct finding *finding, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	size_t used = strlen(finding->text);
	vsnprintf(finding->text + used, sizeof(finding->text) - used, format, args);
	va_end(args);
}

static void add_name(struct finding *finding, bool present, const char *name)
{
	if (present)
		add_text(finding, "%s%s", finding->text[0] ? ", " : "", name);
}

struct user_word {
	char text[sizeof(((struct host_facts *)0)->user_name)];
};

/* The user's name; or the number, where the name would mean something to a shell or a terminal. */
static struct user_word user_word(const struct host_facts *facts)
{
	struct user_word user;
	const char *name = facts->user_name;
	size_t plain =
		strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-");
	if (name[0] && name[0] != '-' && name[plain] == '\0')
		snprintf(user.text, sizeof(user.text), "%s", name);
	else
		snprintf(user.text, sizeof(user.text), "%u", facts->uid);
	return user;
}

/* Root needs no sudo, and USER becomes the user. */
static void set_commands(
	struct finding *finding, const struct host_facts *facts, const char *commands)
{
	struct user_word user = user_word(facts);
	struct buffer text = BUFFER_INIT(sizeof(finding->commands) - 1);
	while (*commands) {
		if (strncmp(commands, "sudo ", 5) == 0 && facts->uid == 0) {
			commands += 5;
		} else if (strncmp(commands, "USER", 4) == 0) {
			buffer_append_string(&text, user.text);
			commands += 4;
		} else {
			buffer_append(&text, commands++, 1);
		}
	}
	/* A command that was cut short would be worse than none. */
	if (!buffer_error(&text) && text.data)
		snprintf(finding->commands, sizeof(finding->commands), "%s", text.data);
	buffer_release(&text);
}

static void check_kernel(const struct host_facts *facts, struct finding *finding)
{
	const char *refused = facts->trials.calls_refused;
	if (facts->kernel_version < 0x50c) {
		finding->state = DOCTOR_MISSING;
		add_text(finding, "older than 5.12");
	} else if (refused[0]) {
		finding->state = DOCTOR_MISSING;
		add_text(finding, "refused by the kernel or a filter: %s", refused);
	} else {
		add_text(finding, "has every system call that a launch needs");
	}
	if (finding->state == DOCTOR_MISSING)
		finding->means = "the container tier cannot start";
}

static void check_userns(const struct host_facts *facts, struct finding *finding)
{
	if (facts->userns) {
		finding->state = facts->trials.mount.made ? DOCTOR_OK : DOCTOR_UNTRIED;
		add_text(finding, "%s",
			facts->trials.mount.made ? "all seven namespaces, with mounts inside"
						 : "nothing forbids them, but they were not tried");
		return;
	}
	finding->state = DOCTOR_MISSING;
	add_text(finding, "%s", facts->userns_reason);
	if (facts->trials.namespaces_refused[0])
		add_text(finding, " (refused: %s)", facts->trials.namespaces_refused);
	finding->means = "auto takes the landlock tier, which leaves gaps (listed below); "
			 "strict, cloud and --isolation container refuse to run";
	set_commands(finding, facts, facts->userns_remedy);
}

/* For what can only lack together with user namespaces: their own line says the rest. */
static bool needs_userns(const struct host_facts *facts, struct finding *finding)
{
	if (facts->userns)
		return false;
	finding->state = DOCTOR_MISSING;
	add_text(finding, "needs user namespaces");
	return true;
}

static void check_proc(const struct host_facts *facts, struct finding *finding)
{
	if (facts->proc_mountable) {
		add_text(finding, "an own /proc can be mounted in a box");
		return;
	}
	if (needs_userns(facts, finding))
		return;
	finding->state = DOCTOR_MISSING;
	add_text(finding, "parts of /proc are masked here, as containers do");
	finding->means = "a box gets no full /proc of its own: some tools miss parts of it";
	set_commands(finding, facts,
		strcmp(facts->container, "podman") == 0
			? "podman run --security-opt unmask=ALL IMAGE"
			: "docker run --security-opt systempaths=unconfined IMAGE");
}

static void check_overlay(const struct host_facts *facts, struct finding *finding)
{
	if (needs_userns(facts, finding))
		return;
	if (!facts->overlay_in_userns) {
		finding->state = DOCTOR_MISSING;
		add_text(finding, "overlayfs cannot be mounted in a box");
		finding->means = "strict, cloud and --git commit have no layer to write to";
		set_commands(finding, facts, "sudo modprobe overlay");
	} else if (!facts->tmpfs_user_xattr) {
		finding->state = DOCTOR_PARTLY;
		add_text(finding, "works, but a tmpfs keeps no user attributes before Linux 6.6");
		finding->means = "such layers are kept on disk instead of in memory";
	} else {
		add_text(finding, "overlayfs in a box, with layers in memory");
	}
}

static void check_idmap(const struct host_facts *facts, struct finding *finding)
{
	if (needs_userns(facts, finding))
		return;
	if (facts->idmapped_mounts) {
		add_text(finding, "files of any owner can be shown as the box's own");
		return;
	}
	finding->state = DOCTOR_MISSING;
	add_text(finding, "not on the file system of / (%s)", facts->root_filesystem);
	finding->means = "as root, a command runs under the workspace owner's id instead of one "
			 "of its own";
}

static void check_landlock(const struct host_facts *facts, struct finding *finding)
{
	if (facts->landlock_abi > 0) {
		add_text(finding, "ABI %d", facts->landlock_abi);
		return;
	}
	finding->state = DOCTOR_MISSING;
	finding->means = "the container tier loses its second wall around files (P1, P4); the "
			 "landlock tier cannot start";
	if (facts->landlock_errno == EOPNOTSUPP) {
		add_text(finding, "in the kernel, but not enabled at boot");
		set_commands(finding, facts,
			"l=lsm=landlock,$(cat /sys/kernel/security/lsm)\n"
			"echo GRUB_CMDLINE_LINUX=\\\"\\$GRUB_CMDLINE_LINUX $l\\\" | "
			"sudo tee /etc/default/grub.d/landlock.cfg\n"
			"sudo update-grub\n"
			"sudo reboot");
	} else if (facts->seccomp_filtered) {
		add_text(finding, "refused by a seccomp filter from outside");
		set_commands(finding, facts, "docker run --security-opt seccomp=unconfined IMAGE");
	} else {
		add_text(finding, "needs Linux 5.13 built with CONFIG_SECURITY_LANDLOCK");
	}
}

static void check_listener(const struct host_facts *facts, struct finding *finding)
{
	if (facts->seccomp_listener) {
		add_text(finding, "calls can be answered from outside the box");
		if (!facts->seccomp_sync_wake_up) {
			finding->state = DOCTOR_PARTLY;
			add_text(finding, ", but without synchronous wake-up (6.6)");
			finding->means = "each answered call takes some 60 us instead of 2";
		}
		return;
	}
	finding->state = DOCTOR_MISSING;
	if (facts->trials.listener.errno_value == EBUSY)
		add_text(finding, "%s",
			facts->wsl2 ? "WSL2's own init holds the only one"
				    : "a filter further up holds the only one");
	else
		add_text(finding, "this kernel has none, or a filter refuses it");
	finding->means = "protected names that do not exist yet are noticed, not refused (P2); "
			 "refusals are not recorded; the landlock tier cannot start";
}

static void check_ptrace(const struct host_facts *facts, struct finding *finding)
{
	static const char *const meanings[] = {"programs of the same user may read one another",
		"programs may be read by what stands above them, as a box's broker does"};
	if (ptrace_allows_brokers(facts)) {
		add_text(finding, "%s (ptrace_scope %d)", meanings[facts->ptrace_scope],
			facts->ptrace_scope);
		return;
	}
	finding->state = DOCTOR_MISSING;
	finding->means = "the landlock tier cannot start, not even as root: its broker must read "
			 "the arguments of calls, and keeps no capability over the host";
	add_text(finding, "Yama's ptrace_scope is %d: %s", facts->ptrace_scope,
		facts->ptrace_scope == 2 ? "only CAP_SYS_PTRACE may read other programs"
					 : "nobody may read other programs");
	/* What is written to sysctl.d by a distribution is overruled by a later name. */
	set_commands(finding, facts,
		facts->ptrace_scope == 2 ? "sudo sysctl -w kernel.yama.ptrace_scope=1"
					 : "echo kernel.yama.ptrace_scope=1 | sudo tee "
					   "/etc/sysctl.d/99-ptrace-scope.conf\n"
					   "sudo reboot");
}

/* How this user comes by a control group of its own. An ssh login stands outside the part of the
 * tree that systemd delegates to users; a scope of the user's own systemd stands inside. */
static const char *cgroup_remedy(const struct host_facts *facts)
{
	if (facts->cgroup == CGROUP_NONE)
		return "sudo mount -t cgroup2 cgroup2 /sys/fs/cgroup";
	if (facts->uid == 0)
		return "sudo mount -o remount,rw /sys/fs/cgroup";
	if (facts->systemd && facts->cgroup != CGROUP_V1)
		return "sudo loginctl enable-linger USER\n"
		       "systemd-run --user --scope -p Delegate=yes coffer run -- COMMAND";
	if (facts->cgroup == CGROUP_V2)
		return "g=/sys/fs/cgroup/coffer-USER\n"
		       "sudo mkdir -p $g/shell\n"
		       "sudo chown -R USER $g\n"
		       "echo '+cpu +memory +pids' | sudo tee "
		       "/sys/fs/cgroup/cgroup.subtree_control $g/cgroup.subtree_control\n"
		       "echo $$ | sudo tee $g/shell/cgroup.procs";
	return "g=coffer-USER; for c in memory cpu pids freezer; do "
	       "d=/sys/fs/cgroup/$c/$g; sudo mkdir -p $d; sudo chown -R USER $d; "
	       "echo $$ | sudo tee $d/cgroup.procs; done";
}

static void check_cgroup(const struct host_facts *facts, struct finding *finding)
{
	static const char *const kinds[] = {[CGROUP_NONE] = "none is mounted",
		[CGROUP_V1] = "version 1",
		[CGROUP_V2] = "version 2",
		[CGROUP_HYBRID] = "versions 1 and 2"};
	if (facts->cgroup_usable) {
		add_name(finding, facts->cgroup_memory, "memory");
		add_name(finding, facts->cgroup_cpu, "cpu");
		add_name(finding, facts->cgroup_pids, "pids");
		add_name(finding, facts->cgroup_freezer, "freezer");
		add_text(finding, " (%s)", kinds[facts->cgroup]);
		if (facts->cgroup_memory && facts->cgroup_cpu && facts->cgroup_pids)
			return;
		finding->state = DOCTOR_PARTLY;
		if (facts->cgroup == CGROUP_V2 && facts->systemd && facts->uid != 0)
			set_commands(finding, facts,
				"sudo mkdir -p /etc/systemd/system/user@.service.d\n"
				"printf '[Service]\\nDelegate=cpu memory pids\\n' | "
				"sudo tee /etc/systemd/system/user@.service.d/coffer.conf\n"
				"sudo systemctl daemon-reload");
	} else {
		finding->state = DOCTOR_MISSING;
		add_text(finding, "%s%s", kinds[facts->cgroup],
			facts->cgroup == CGROUP_NONE ? "" : ", but none that this user may use");
		set_commands(finding, facts, cgroup_remedy(facts));
	}
	finding->means = "P6: what has no controller is limited by rlimits and by metering every "
			 "50 ms, which can overshoot; CPU is not limited";
}

static void check_network(const struct host_facts *facts, struct finding *finding)
{
	if (needs_userns(facts, finding)) {
		finding->means = "the landlock tier's network goes by the broker, which needs none";
		return;
	}
	if (!facts->network.made) {
		finding->state = DOCTOR_UNTRIED;
		add_text(finding, "was not tried");
	} else if (trial_failed(facts->network)) {
		int code = facts->network.errno_value;
		finding->state = DOCTOR_MISSING;
		add_text(finding, "nf_tables cannot be set up in a box: %s", strerror(code));
		finding->means = "a box that is given a network cannot start; others can";
		set_commands(finding, facts,
			code == EPERM ? ""
				      : "sudo modprobe -a nf_tables nft_chain_nat nft_ct nft_nat "
					"nft_limit nft_reject_inet nft_log nfnetlink_log");
	} else if (!facts->network_log) {
		finding->state = DOCTOR_PARTLY;
		add_text(finding, "works, but the kernel cannot say what it refuses");
		finding->means = "connections that are refused at once are not in the report";
		set_commands(finding, facts, "sudo modprobe -a nft_log nfnetlink_log");
	} else {
		add_text(finding, "a box can be let out by name, and what is refused is recorded");
	}
}

static void check_kvm(const struct host_facts *facts, struct finding *finding)
{
	if (facts->kvm) {
		add_text(finding, "/dev/kvm can be opened");
		return;
	}
	finding->state = facts->trials.kvm.made ? DOCTOR_MISSING : DOCTOR_UNTRIED;
	finding->means = "nothing today: only virtual machines would need it";
	if (facts->trials.kvm.errno_value == EACCES) {
		add_text(finding, "/dev/kvm is there, but not for this user");
		if (facts->uid != 0)
			set_commands(finding, facts, "sudo usermod -aG kvm USER");
	} else {
		add_text(finding, "no /dev/kvm");
	}
}

static const struct check {
	const char *name; /* stable: the JSON's key */
	const char *title;
	void (*examine)(const struct host_facts *facts, struct finding *finding);
	bool root_only;
} checks[] = {
	{"kernel", "kernel", check_kernel, false},
	{"user_namespaces", "user namespaces", check_userns, false},
	{"proc", "own /proc", check_proc, false},
	{"overlay", "layers", check_overlay, false},
	{"idmapped_mounts", "id-mapped mounts", check_idmap, true},
	{"landlock", "Landlock", check_landlock, false},
	{"seccomp_listener", "seccomp listener", check_listener, false},
	{"ptrace", "reading programs", check_ptrace, false},
	{"cgroup", "control group", check_cgroup, false},
	{"network", "network by name", check_network, false},
	{"kvm", "KVM", check_kvm, false},
};

static bool examine(
	const struct check *check, const struct host_facts *facts, struct finding *finding)
{
	memset(finding, 0, sizeof(*finding));
	if (check->root_only && !facts->root)
		return false;
	check->examine(facts, finding);
	return true;
}

/* --- For a person --- */

/* The length of text's first word. In a command, what stands in single quotes is one word: a
 * backslash at the end of a line would be taken literally there. */
static size_t word_length(const char *text, bool command)
{
	size_t length = 0;
	bool quoted = false;
	for (; text[length] && (quoted || text[length] != ' '); length++)
		quoted ^= command && text[length] == '\'';
	return length;
}

/* Appends text word by word, beginning at column; further lines begin at indent. The lines of a
 * command end with backslashes, so that it can be copied as it stands. */
static void append_wrapped(
	struct buffer *out, size_t column, size_t indent, const char *text, bool command)
{
	const char *glue = command ? " \\" : "";
	for (bool first = true; *text; first = false) {
		size_t length = word_length(text, command);
		const char *next = text + length + (text[length] == ' ');
		size_t needed = length + !first + (*next ? strlen(glue) : 0);
		if (!first && column + needed > DOCTOR_COLUMNS) {
			buffer_append_format(out, "%s\n%*s", glue, (int)indent, "");
			column = indent;
		} else if (!first) {
			buffer_append_string(out, " ");
			column++;
		}
		buffer_append(out, text, length);
		column += length;
		text = next;
	}
	buffer_append_string(out, "\n");
}

/* A paragraph with its label in front. */
static void append_paragraph(struct buffer *out, const char *label, size_t indent, const char *text)
{
	buffer_append_format(out, "%-*s", (int)indent, label);
	append_wrapped(out, indent, indent, text, false);
}

static void append_commands(struct buffer *out, const char *commands)
{
	enum { INDENT = 16 };
	const char *label = "         run:";
	while (*commands) {
		char line[1024];
		size_t length = strcspn(commands, "\n");
		snprintf(line, sizeof(line), "%.*s", (int)length, commands);
		buffer_append_format(out, "%-*s", INDENT, label);
		append_wrapped(out, INDENT, INDENT + 4, line, true);
		commands += length + (commands[length] == '\n');
		label = "";
	}
}

static void append_finding(
	struct buffer *out, const struct check *check, const struct finding *finding)
{
	char label[64];
	snprintf(label, sizeof(label), "%-8s %-17s ", state_names[finding->state], check->title);
	append_paragraph(out, label, strlen(label), finding->text);
	if (finding->means)
		append_paragraph(out, "         means:", 16, finding->means);
	append_commands(out, finding->commands);
}

static void append_gaps(struct buffer *out, const struct host_facts *facts)
{
	const struct landlock_gap *items;
	size_t count = doctor_landlock_gaps(facts->landlock_abi, &items);
	buffer_append_format(
		out, "\nWhat Landlock (ABI %d) leaves open in this tier:\n", facts->landlock_abi);
	for (size_t i = 0; i < count; i++) {
		char label[32], text[256];
		snprintf(label, sizeof(label), "  %s", items[i].word);
		snprintf(text, sizeof(text), "%s%s%s", items[i].sentence,
			items[i].instead ? "; instead, " : "",
			items[i].instead ? items[i].instead : "");
		append_paragraph(out, label, 21, text);
	}
}

static void append_host(struct buffer *out, const struct host_facts *facts)
{
	buffer_append_format(out, "Linux %s, ", facts->kernel);
	if (facts->root)
		buffer_append_string(out, "as root");
	else
		buffer_append_format(out, "as user %s", user_word(facts).text);
	if (facts->root_filesystem[0])
		buffer_append_format(out, ", / is %s", facts->root_filesystem);
	if (facts->wsl2)
		buffer_append_string(out, ", WSL2");
	if (facts->in_chroot)
		buffer_append_string(out, ", in a chroot");
	if (facts->container[0])
		buffer_append_format(out, ", in a container (%s)", facts->container);
}

char *doctor_text(const struct host_facts *facts)
{
	cleanup_buffer struct buffer out = BUFFER_INIT(DOCTOR_TEXT_BYTES);
	const char *why;
	const char *tier = doctor_tier(facts, &why);
	cleanup_buffer struct buffer host = BUFFER_INIT(DOCTOR_TEXT_BYTES);
	append_host(&host, facts);
	if (buffer_error(&host))
		return NULL;
	append_paragraph(&out, "Host:", 6, host.data);

	char text[256];
	snprintf(text, sizeof(text), "%s: %s",
		strcmp(tier, "none") == 0 ? "none, no box can be made" : tier, why);
	append_paragraph(&out, "Tier:", 6, text);
	buffer_append_string(&out, "\n");
	for (size_t i = 0; i < ARRAY_SIZE(checks); i++) {
		struct finding finding;
		if (examine(&checks[i], facts, &finding))
			append_finding(&out, &checks[i], &finding);
	}
	if (strcmp(tier, "landlock") == 0)
		append_gaps(&out, facts);
	return buffer_steal(&out);
}

/* --- For a program --- */

static json_t *commands_to_json(const char *commands)
{
	json_t *list = json_array();
	while (*commands) {
		size_t length = strcspn(commands, "\n");
		json_array_append_new(list, json_stringn(commands, length));
		commands += length + (commands[length] == '\n');
	}
	return list;
}

static json_t *finding_to_json(const struct check *check, const struct finding *finding)
{
	return json_pack("{s:s, s:s, s:s, s:s?, s:o}", "name", check->name, "state",
		state_names[finding->state], "text", finding->text, "means", finding->means,
		"commands", commands_to_json(finding->commands));
}

static json_t *gaps_to_json(int abi)
{
	const struct landlock_gap *items;
	size_t count = doctor_landlock_gaps(abi, &items);
	json_t *list = json_array();
	for (size_t i = 0; i < count; i++)
		json_array_append_new(
			list, json_pack("{s:s, s:s, s:s?}", "word", items[i].word, "sentence",
				      items[i].sentence, "instead", items[i].instead));
	return list;
}

static json_t *host_to_json(const struct host_facts *facts)
{
	const char *filesystem = facts->root_filesystem[0] ? facts->root_filesystem : NULL;
	const char *container = facts->container[0] ? facts->container : NULL;
	return json_pack("{s:s, s:I, s:b, s:s?, s:s?, s:b, s:b, s:b, s:s}", "kernel", facts->kernel,
		"uid", (json_int_t)facts->uid, "root", facts->root, "root_filesystem", filesystem,
		"container", container, "wsl2", facts->wsl2, "chroot", facts->in_chroot,
		"seccomp_filtered", facts->seccomp_filtered, "user_namespace_obstacle",
		userns_obstacle_name(facts->userns_obstacle));
}

char *doctor_json(const struct host_facts *facts)
{
	const char *why;
	const char *tier = doctor_tier(facts, &why);
	json_t *mechanisms = json_array();
	for (size_t i = 0; i < ARRAY_SIZE(checks); i++) {
		struct finding finding;
		if (examine(&checks[i], facts, &finding))
			json_array_append_new(mechanisms, finding_to_json(&checks[i], &finding));
	}
	json_t *root = json_pack("{s:o, s:{s:s, s:s}, s:o, s:i, s:o}", "host", host_to_json(facts),
		"tier", "auto", tier, "why", why, "mechanisms", mechanisms, "landlock_abi",
		facts->landlock_abi, "landlock_gaps", gaps_to_json(facts->landlock_abi));
	char *text = root ? json_dumps(root, JSON_INDENT(2)) : NULL;
	json_decref(root);
	return text;
}
