/* The planner with made-up facts and findings: nothing here asks the machine, so every host gives
 * the same answer. */
#include "base/cleanup.h"
#include "base/limits.h"
#include "plan/findings.h"
#include "plan/plan_internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

/* A host of /home/me, with a repository in /home/me/ws, where everything works. */
struct world {
	struct policy *policy;
	struct host_facts facts;
	struct findings findings;
	struct found_path paths[16];
	struct scan_finding scan[16];
	struct plan *plan;
	struct error error;
};

static struct file_id id_of(const char *path)
{
	uint64_t hash = 5381;
	for (; *path; path++)
		hash = hash * 33 + (unsigned char)*path;
	return (struct file_id){.device = 1, .inode = hash};
}

static struct found_path directory_at(const char *path)
{
	return (struct found_path){.path = (char *)path,
		.id = id_of(path),
		.mode = S_IFDIR | 0755,
		.uid = 1000,
		.gid = 1000};
}

static int make_world(void **state)
{
	struct world *world = calloc(1, sizeof(*world));
	if (!world || policy_new(&world->policy) < 0)
		return -1;
	struct host_facts *facts = &world->facts;
	*facts = (struct host_facts){.uid = 1000,
		.gid = 1000,
		.home = "/home/me",
		.user_name = "me",
		.userns = true,
		.landlock_abi = 7,
		.seccomp_listener = true,
		.cgroup = CGROUP_V2,
		.cgroup_usable = true,
		.cgroup_memory = true,
		.cgroup_cpu = true,
		.cgroup_pids = true,
		.proc_mountable = true};
	world->findings.directory = directory_at("/home/me/ws/src");
	world->findings.workspace = directory_at("/home/me/ws");
	world->findings.version_control = ".git";
	world->findings.paths.items = world->paths;
	world->findings.scan.items = world->scan;
	*state = world;
	return 0;
}

static int end_world(void **state)
{
	struct world *world = *state;
	plan_free(world->plan);
	policy_free(world->policy);
	strv_release(&world->findings.masks);
	strv_release(&world->findings.sys_shown);
	strv_release(&world->findings.notes);
	free(world);
	return 0;
}

static void set(struct world *world, const char *key, const char *value)
{
	assert_int_equal(policy_set(world->policy, key, value, NULL), 0);
}

static void found(
	struct world *world, const char *path, enum path_access access, enum found_origin origin)
{
	struct found_path item = directory_at(path);
	item.access = access;
	item.origin = origin;
	item.why = "a test";
	assert_true(world->findings.paths.count < ARRAY_SIZE(world->paths));
	world->paths[world->findings.paths.count++] = item;
}

static void scanned(struct world *world, enum scan_kind kind, const char *path, unsigned mode)
{
	assert_true(world->findings.scan.count < ARRAY_SIZE(world->scan));
	world->scan[world->findings.scan.count++] = (struct scan_finding){.kind = kind,
		.path = (char *)path,
		.id = id_of(path),
		.mode = mode,
		.rule = "a rule"};
}

static int make_in(struct world *world, char *const environment[])
{
	char *argv[] = {(char *)"true", NULL};
	plan_free(world->plan);
	world->plan = NULL;
	world->error = (struct error){0};
	return plan_make(world->policy, &world->facts, &world->findings, argv, environment,
		&world->plan, &world->error);
}

static int make(struct world *world)
{
	char *none[] = {NULL};
	return make_in(world, none);
}

static const struct plan *made(struct world *world)
{
	if (make(world) != 0)
		fail_msg("%s: %s", world->error.stage, world->error.message);
	return world->plan;
}

static void refused(struct world *world, int r, const char *message)
{
	assert_int_equal(make(world), r);
	assert_null(world->plan);
	if (!strstr(world->error.message, message))
		fail_msg("'%s' is not in '%s'", message, world->error.message);
	assert_true(world->error.hint[0] != '\0');
}

static const struct plan_mount *mount_at(const struct plan *plan, const char *target)
{
	const struct plan_mount *last = NULL;
	for (size_t i = 0; i < plan->mounts_count; i++)
		if (strcmp(plan->mounts[i].target, target) == 0)
			last = &plan->mounts[i];
	return last;
}

static const char *note_of(const struct plan *plan, const char *what)
{
	for (size_t i = 0; i < plan->notes_count; i++)
		if (strcmp(plan->notes[i].what, what) == 0)
			return plan->notes[i].text;
	return NULL;
}

static const char *variable(const struct plan *plan, const char *name)
{
	const char *value = NULL;
	size_t length = strlen(name);
	for (size_t i = 0; i < plan->environment.count; i++) {
		const char *item = plan->environment.items[i];
		if (strncmp(item, name, length) != 0 || item[length] != '=')
			continue;
		assert_null(value); /* no name twice */
		value = item + length + 1;
	}
	return value;
}

static bool is_bind(const struct plan *plan, const char *target, bool writable)
{
	const struct plan_mount *mount = mount_at(plan, target);
	return mount && mount->kind == MOUNT_BIND && mount->writable == writable;
}

/* ---- which mode ---- */

static void the_mode_goes_by_version_control(void **state)
{
	struct world *world = *state;
	const struct plan *plan = made(world);
	assert_int_equal(plan->mode, MODE_WORKSPACE_WRITE);
	assert_non_null(strstr(plan->mode_reason, ".git"));
	assert_true(is_bind(plan, "/home/me/ws", true));
	assert_true(strv_contains(&plan->write_roots, "/home/me/ws"));

	world->findings.version_control = NULL;
	plan = made(world);
	assert_int_equal(plan->mode, MODE_READ_ONLY);
	assert_non_null(strstr(plan->mode_reason, "--mode workspace-write"));
	assert_int_equal(plan->write_roots.count, 0);
	assert_null(mount_at(plan, "/home/me/ws"));

	set(world, "mode", "workspace-write");
	plan = made(world);
	assert_int_equal(plan->mode, MODE_WORKSPACE_WRITE);
	assert_null(plan->mode_reason);
}

static void full_access_has_no_walls(void **state)
{
	struct world *world = *state;
	set(world, "mode", "danger-full-access");
	const struct plan *plan = made(world);
	assert_int_equal(plan->tier, TIER_NONE);
	assert_int_equal(plan->mounts_count, 0);
	assert_int_equal(plan->grants_count, 0);
	assert_string_equal(plan->directory, "/home/me/ws/src");
}

/* ---- which tier ---- */

static void auto_takes_the_strongest_tier(void **state)
{
	struct world *world = *state;
	assert_int_equal(made(world)->tier, TIER_CONTAINER);
	assert_false(world->plan->isolation_asked);

	world->facts.userns = false;
	strcpy(world->facts.userns_reason, "AppArmor forbids them");
	const struct plan *plan = made(world);
	assert_int_equal(plan->tier, TIER_LANDLOCK);
	assert_non_null(strstr(note_of(plan, "tier"), "AppArmor forbids them"));
	assert_int_equal(plan->mounts_count, 0);

	world->facts.ptrace_scope = 1; /* the broker is an ancestor */
	assert_int_equal(made(world)->tier, TIER_LANDLOCK);
	for (int scope = 2; scope <= 3; scope++) {
		world->facts.ptrace_scope = scope;
		refused(world, -ENOTSUP, "ptrace_scope");
	}

	world->facts.landlock_abi = 0;
	refused(world, -ENOTSUP, "neither user namespaces nor Landlock");
}

static void a_tier_asked_for_is_that_tier_or_an_error(void **state)
{
	struct world *world = *state;
	set(world, "isolation", "landlock");
	assert_int_equal(made(world)->tier, TIER_LANDLOCK);
	assert_true(world->plan->isolation_asked);

	set(world, "isolation", "container");
	assert_int_equal(made(world)->tier, TIER_CONTAINER);
	world->facts.userns = false;
	strcpy(world->facts.userns_reason, "a sysctl forbids them");
	strcpy(world->facts.userns_remedy, "sysctl it away");
	refused(world, -ENOTSUP, "a sysctl forbids them");
	assert_string_equal(world->error.hint, "sysctl it away");
}

static void locked_profiles_take_no_lesser_tier(void **state)
{
	struct world *world = *state;
	static const char *const profiles[] = {"strict", "cloud"};
	for (size_t i = 0; i < ARRAY_SIZE(profiles); i++) {
		set(world, "profile", profiles[i]);
		world->facts.userns = true;
		assert_int_equal(made(world)->tier, TIER_CONTAINER);
		assert_true(world->plan->must_enforce);
		world->facts.userns = false;
		refused(world, -ENOTSUP, "this profile needs namespaces");
	}
}

/* ---- what it sees ---- */

static void the_most_specific_entry_wins(void **state)
{
	struct world *world = *state;
	found(world, "/home/me/ws/vendor", ACCESS_READ_ONLY, ORIGIN_POLICY);
	found(world, "/home/me/ws/vendor/out", ACCESS_WRITE, ORIGIN_POLICY);
	found(world, "/home/me/ws/vendor/out/key", ACCESS_DENY_READ, ORIGIN_POLICY);
	found(world, "/home/me/ws.old", ACCESS_WRITE, ORIGIN_POLICY);
	const struct plan *plan = made(world);
	assert_true(is_bind(plan, "/home/me/ws", true));
	assert_true(is_bind(plan, "/home/me/ws/vendor", false));
	assert_true(is_bind(plan, "/home/me/ws/vendor/out", true));
	assert_int_equal(mount_at(plan, "/home/me/ws/vendor/out/key")->kind, MOUNT_HIDE_DIR);
	assert_true(is_bind(plan, "/home/me/ws.old", true)); /* a name beside, not below */
	/* Parents are mounted before what lies in them. */
	assert_true(mount_at(plan, "/home/me/ws") < mount_at(plan, "/home/me/ws/vendor"));
	assert_true(
		mount_at(plan, "/home/me/ws/vendor") < mount_at(plan, "/home/me/ws/vendor/out"));
}

static void at_one_path_the_stronger_word_wins(void **state)
{
	struct world *world = *state;
	found(world, "/a", ACCESS_WRITE, ORIGIN_POLICY);
	found(world, "/a", ACCESS_READ_ONLY, ORIGIN_POLICY);
	found(world, "/b", ACCESS_READ_ONLY, ORIGIN_POLICY);
	found(world, "/b", ACCESS_DENY_READ, ORIGIN_POLICY);
	/* A person's word outranks a default, whichever denies more. */
	found(world, "/c", ACCESS_DENY_READ, ORIGIN_DEFAULT);
	found(world, "/c", ACCESS_WRITE, ORIGIN_POLICY);
	/* A promise outranks a person's word. */
	found(world, "/d", ACCESS_WRITE, ORIGIN_POLICY);
	found(world, "/d", ACCESS_READ_ONLY, ORIGIN_PROMISE);
	const struct plan *plan = made(world);
	assert_false(strv_contains(&plan->write_roots, "/a"));
	assert_int_equal(mount_at(plan, "/b")->kind, MOUNT_HIDE_DIR);
	assert_true(is_bind(plan, "/c", true));
	assert_false(strv_contains(&plan->write_roots, "/d"));
	assert_int_equal(plan->write_roots.count, 2); /* the workspace and /c */
}

static void no_write_lies_inside_a_promise(void **state)
{
	struct world *world = *state;
	scanned(world, SCAN_PROTECTED, "/home/me/ws/.git", S_IFDIR | 0755);
	found(world, "/home/me/ws/.git/hooks", ACCESS_WRITE, ORIGIN_POLICY);
	refused(world, -EPERM, "--write /home/me/ws/.git/hooks lies inside /home/me/ws/.git");
	world->findings.paths.count = 0;
	assert_true(is_bind(made(world), "/home/me/ws/.git", false));
}

static void a_carve_out_pins_every_directory_above(void **state)
{
	struct world *world = *state;
	scanned(world, SCAN_PROTECTED, "/home/me/ws/a/b/c/.git", S_IFDIR | 0755);
	const struct plan *plan = made(world);
	static const char *const pins[] = {"/home/me/ws/a", "/home/me/ws/a/b", "/home/me/ws/a/b/c"};
	for (size_t i = 0; i < ARRAY_SIZE(pins); i++) {
		const struct plan_mount *pin = mount_at(plan, pins[i]);
		assert_non_null(pin);
		assert_true(pin->pin && pin->writable && pin->kind == MOUNT_BIND);
		assert_true(pin > mount_at(plan, "/home/me/ws"));
		assert_true(pin < mount_at(plan, "/home/me/ws/a/b/c/.git"));
	}
	assert_true(is_bind(plan, "/home/me/ws/a/b/c/.git", false));
	assert_false(mount_at(plan, "/home/me/ws")->pin);
}

static void a_nested_root_is_pinned_up_to_the_outermost(void **state)
{
	struct world *world = *state;
	found(world, "/home/me/ws/a", ACCESS_WRITE, ORIGIN_POLICY);
	scanned(world, SCAN_SECRET, "/home/me/ws/a/b/.env", S_IFREG | 0600);
	const struct plan *plan = made(world);
	assert_true(mount_at(plan, "/home/me/ws/a")->pin);
	assert_true(mount_at(plan, "/home/me/ws/a/b")->pin);
	assert_true(is_bind(plan, "/home/me/ws/a/b/.env", false));
}

static void a_link_is_no_mount_point(void **state)
{
	struct world *world = *state;
	scanned(world, SCAN_PROTECTED, "/home/me/ws/.git", S_IFLNK | 0777);
	assert_null(mount_at(made(world), "/home/me/ws/.git"));
}

static void secrets_are_read_only_or_hidden(void **state)
{
	struct world *world = *state;
	scanned(world, SCAN_SECRET, "/home/me/ws/.env", S_IFREG | 0600);
	assert_true(is_bind(made(world), "/home/me/ws/.env", false));
	set(world, "hide-secrets", NULL);
	assert_int_equal(mount_at(made(world), "/home/me/ws/.env")->kind, MOUNT_HIDE_FILE);
	/* By name it is to be had back. */
	struct found_path allowed = directory_at("/home/me/ws/.env");
	allowed.mode = S_IFREG | 0600;
	allowed.access = ACCESS_ALLOW_READ;
	allowed.origin = ORIGIN_POLICY;
	world->paths[world->findings.paths.count++] = allowed;
	assert_true(is_bind(made(world), "/home/me/ws/.env", false));
}

static void credentials_come_back_by_name_but_not_in_ci(void **state)
{
	struct world *world = *state;
	found(world, "/home/me/.ssh", ACCESS_DENY_READ, ORIGIN_DEFAULT);
	assert_int_equal(mount_at(made(world), "/home/me/.ssh")->kind, MOUNT_HIDE_DIR);
	found(world, "/home/me/.ssh", ACCESS_ALLOW_READ, ORIGIN_POLICY);
	assert_null(mount_at(made(world), "/home/me/.ssh"));
	set(world, "profile", "ci");
	assert_int_equal(mount_at(made(world), "/home/me/.ssh")->kind, MOUNT_HIDE_DIR);
}

static void what_is_shown_in_a_hidden_directory_has_a_place(void **state)
{
	struct world *world = *state;
	found(world, "/home/other", ACCESS_DENY_READ, ORIGIN_DEFAULT);
	found(world, "/home/other/public", ACCESS_ALLOW_READ, ORIGIN_POLICY);
	const struct plan *plan = made(world);
	assert_int_equal(mount_at(plan, "/home/other")->kind, MOUNT_TMPFS);
	assert_false(mount_at(plan, "/home/other")->writable);
	assert_true(is_bind(plan, "/home/other/public", false));
}

static void temporary_places_are_private_unless_shared(void **state)
{
	struct world *world = *state;
	assert_int_equal(strv_add(&world->findings.masks, "/run"), 0);
	assert_int_equal(strv_add(&world->findings.masks, "/tmp"), 0);
	set(world, "limit", "tmp=16M");
	const struct plan *plan = made(world);
	const struct plan_mount *tmp = mount_at(plan, "/tmp"), *run = mount_at(plan, "/run");
	assert_true(tmp->kind == MOUNT_TMPFS && tmp->writable);
	assert_int_equal(tmp->size_bytes, 16 << 20);
	assert_true(run->kind == MOUNT_TMPFS && !run->writable);
	assert_string_equal(variable(plan, "TMPDIR"), "/tmp");
	set(world, "share-tmp", NULL);
	plan = made(world);
	assert_true(is_bind(plan, "/tmp", true));
	assert_int_equal(mount_at(plan, "/run")->kind, MOUNT_TMPFS);
}

static void devices_are_only_those_of_dev(void **state)
{
	struct world *world = *state;
	set(world, "device", "/dev/dri/card0");
	const struct plan_mount *mount = mount_at(made(world), "/dev/dri/card0");
	assert_true(mount && mount->device_nodes && mount->writable);
	set(world, "device", "/etc/shadow");
	assert_int_equal(make(world), -EINVAL);
	assert_non_null(strstr(world->error.message, "/etc/shadow"));
}

static void too_many_mounts_are_refused(void **state)
{
	struct world *world = *state;
	/* A secret so deep that the directories above it alone are too many pins. */
	static char path[2 * MAX_PLAN_MOUNTS + 32] = "/home/me/ws";
	size_t length = strlen(path);
	for (size_t i = 0; i <= MAX_PLAN_MOUNTS; i++, length += 2)
		memcpy(path + length, "/d", 3);
	scanned(world, SCAN_SECRET, path, S_IFREG | 0600);
	int r = make(world);
	assert_int_equal(r, -E2BIG);
	assert_non_null(strstr(world->error.message, "mounts"));
}

/* ---- private roots ---- */

static void strict_shows_no_path_of_the_host(void **state)
{
	struct world *world = *state;
	struct found_system system[] = {{.name = (char *)"usr", .id = {1, 2}},
		{.name = (char *)"bin", .target = (char *)"usr/bin"}};
	world->findings.system = system;
	world->findings.system_count = ARRAY_SIZE(system);
	assert_int_equal(strv_add(&world->findings.replaced, "/etc/passwd"), 0);
	scanned(world, SCAN_SECRET, "/home/me/ws/.env", S_IFREG | 0600);
	set(world, "profile", "strict");
	const struct plan *plan = made(world);
	assert_true(plan->private_root && plan->anonymous && plan->capture);
	assert_int_equal(plan->uid_inside, 65534);
	assert_int_equal(plan->gid_inside, 65534);
	assert_string_equal(plan->directory, "/workspace/src");
	assert_int_equal(mount_at(plan, "/workspace")->kind, MOUNT_OVERLAY);
	assert_string_equal(mount_at(plan, "/workspace")->source, "/home/me/ws");
	assert_int_equal(mount_at(plan, "/workspace/.env")->kind, MOUNT_HIDE_FILE);
	assert_int_equal(mount_at(plan, "/tmp")->kind, MOUNT_LAYER_DIR);
	assert_true(is_bind(plan, "/usr", false));
	assert_int_equal(mount_at(plan, "/bin")->kind, MOUNT_SYMLINK);
	assert_non_null(strstr(mount_at(plan, "/etc/passwd")->source, "agent:x:65534:65534:"));
	for (size_t i = 0; i < plan->mounts_count; i++)
		assert_null(strstr(plan->mounts[i].target, "/home/me"));
	for (size_t i = 0; i < plan->environment.count; i++)
		assert_null(strstr(plan->environment.items[i], "/home/me"));
	assert_int_equal(plan->write_roots.count, 0);
	assert_false(plan->watch_names);
	assert_string_equal(variable(plan, "HOME"), "/home/agent");
	strv_release(&world->findings.replaced);
}

static void cloud_has_workspace_and_home(void **state)
{
	struct world *world = *state;
	set(world, "profile", "cloud");
	const struct plan *plan = made(world);
	assert_true(is_bind(plan, "/workspace", true));
	assert_string_equal(mount_at(plan, "/workspace")->source, "/home/me/ws");
	assert_int_equal(mount_at(plan, "/home/agent")->kind, MOUNT_TMPFS);
	assert_true(mount_at(plan, "/home/agent")->writable);
	assert_string_equal(variable(plan, "USER"), "agent");
	assert_int_equal(plan->limits.tmp_bytes, 1 << 30);
	assert_int_equal(mount_at(plan, "/tmp")->size_bytes, 1 << 30);
}

/* ---- repositories ---- */

static void commits_go_to_a_layer(void **state)
{
	struct world *world = *state;
	scanned(world, SCAN_PROTECTED, "/home/me/ws/.git", S_IFDIR | 0755);
	scanned(world, SCAN_GIT_DIR, "/home/me/ws/.git", S_IFDIR | 0755);
	scanned(world, SCAN_GIT_DIR, "/home/me/ws/.git/modules/sub", S_IFDIR | 0755);
	scanned(world, SCAN_WATCH, "/home/me/ws", S_IFDIR | 0755);
	scanned(world, SCAN_WATCH, "/home/me/elsewhere", S_IFDIR | 0755);
	const struct plan *plan = made(world);
	assert_int_equal(plan->git_layers_count, 0);
	assert_true(is_bind(plan, "/home/me/ws/.git", false));
	assert_int_equal(plan->watches_count, 1); /* only what the box can write matters */
	assert_string_equal(plan->watches[0].path, "/home/me/ws");
	assert_true(plan->watch_names);

	set(world, "git", "commit");
	plan = made(world);
	assert_int_equal(plan->git_layers_count, 1); /* the outer one holds the submodule's */
	assert_int_equal(mount_at(plan, "/home/me/ws/.git")->kind, MOUNT_GIT_LAYER);
	assert_string_equal(variable(plan, "GIT_CONFIG_KEY_0"), "gc.auto");

	set(world, "isolation", "landlock");
	refused(world, -ENOTSUP, "--git commit needs the container tier");
}

/* ---- environment ---- */

static void only_ordinary_variables_pass(void **state)
{
	struct world *world = *state;
	char *environment[] = {(char *)"PATH=/usr/bin", (char *)"HOME=/home/me",
		(char *)"LANG=C.UTF-8", (char *)"AWS_SECRET_ACCESS_KEY=s", (char *)"GITHUB_TOKEN=s",
		(char *)"MY_PASSWORD=s", (char *)"STRANGE=s", (char *)"NAMED=n", (char *)"=x",
		(char *)"novalue", (char *)"LD_PRELOAD=/x.so", NULL};
	set(world, "env", "NAMED");
	set(world, "env", "GIVEN=a=b");
	set(world, "env", "LANG=de");
	set(world, "env", "NOT_THERE");
	assert_int_equal(make_in(world, environment), 0);
	const struct plan *plan = world->plan;
	assert_string_equal(variable(plan, "PATH"), "/usr/bin");
	assert_string_equal(variable(plan, "HOME"), "/home/me");
	assert_string_equal(variable(plan, "NAMED"), "n");
	assert_string_equal(variable(plan, "GIVEN"), "a=b");
	assert_string_equal(variable(plan, "LANG"), "de"); /* a person's word outranks */
	assert_string_equal(variable(plan, "PWD"), "/home/me/ws/src");
	assert_string_equal(variable(plan, "COFFER"), "container");
	static const char *const absent[] = {"AWS_SECRET_ACCESS_KEY", "GITHUB_TOKEN", "MY_PASSWORD",
		"STRANGE", "NOT_THERE", "LD_PRELOAD", ""};
	for (size_t i = 0; i < ARRAY_SIZE(absent); i++)
		assert_null(variable(plan, absent[i]));

	set(world, "env-all", NULL);
	assert_int_equal(make_in(world, environment), 0);
	assert_string_equal(variable(world->plan, "GITHUB_TOKEN"), "s");
	assert_string_equal(variable(world->plan, "LANG"), "de");
}

static void a_secret_passes_by_name(void **state)
{
	struct world *world = *state;
	char *environment[] = {(char *)"GITHUB_TOKEN=s", NULL};
	set(world, "env", "GITHUB_TOKEN");
	assert_int_equal(make_in(world, environment), 0);
	assert_string_equal(variable(world->plan, "GITHUB_TOKEN"), "s");
	assert_non_null(variable(world->plan, "PATH")); /* there always is one */
}

/* ---- limits ---- */

static void limits_asked_for_replace_the_profiles(void **state)
{
	struct world *world = *state;
	assert_int_equal(made(world)->limits.pids, 4096);
	set(world, "profile", "cloud");
	set(world, "limit", "memory=1G,time=none");
	const struct plan *plan = made(world);
	assert_int_equal(plan->limits.memory_bytes, 1 << 30);
	assert_int_equal(plan->limits.time_ms, 0);
	assert_int_equal(plan->limits.cpu_milli, 4000);
	assert_int_equal(plan->limits_asked, LIMIT_MEMORY | LIMIT_TIME);
}

static void a_cpu_limit_needs_a_control_group(void **state)
{
	struct world *world = *state;
	set(world, "limit", "cpu=1");
	assert_null(note_of(made(world), "cpu"));
	world->facts.cgroup_usable = false;
	refused(world, -ENOTSUP, "a CPU limit needs a control group");
	set(world, "best-effort", NULL);
	assert_non_null(note_of(made(world), "cpu"));
}

static void metering_is_said(void **state)
{
	struct world *world = *state;
	set(world, "limit", "memory=512M,disk=1G");
	assert_null(note_of(made(world), "memory"));
	assert_non_null(note_of(world->plan, "disk"));
	world->facts.cgroup_memory = false;
	assert_non_null(strstr(note_of(made(world), "memory"), "metered"));
}

/* ---- who it is ---- */

static void root_works_as_the_owner_of_the_workspace(void **state)
{
	struct world *world = *state;
	world->facts.uid = world->facts.gid = 0;
	world->facts.root = true;
	const struct plan *plan = made(world);
	assert_int_equal(plan->owner_uid, 1000);
	assert_int_equal(plan->uid_inside, 1000);
	assert_false(plan->id_range); /* a file system that cannot map ids: said */
	assert_non_null(note_of(plan, "ids"));
	world->findings.id_maps = true;
	plan = made(world);
	assert_true(plan->id_range);
	assert_null(note_of(plan, "ids"));
	world->findings.workspace.uid = 700000; /* beyond a range of 65,536 */
	plan = made(world);
	assert_int_equal(plan->owner_uid, 700000);
	assert_false(plan->id_range);
}

static void contradictions_never_become_plans(void **state)
{
	struct world *world = *state;
	set(world, "mode", "read-only");
	set(world, "write", "/x");
	refused(world, -EINVAL, "--write with --mode read-only");
}

static void notes_of_the_resolver_are_kept(void **state)
{
	struct world *world = *state;
	assert_int_equal(strv_add(&world->findings.notes, "scan: not all was looked at"), 0);
	assert_string_equal(note_of(made(world), "scan"), "not all was looked at");
}

static void the_plan_is_json(void **state)
{
	struct world *world = *state;
	scanned(world, SCAN_PROTECTED, "/home/me/ws/.git", S_IFDIR | 0755);
	cleanup_free char *json = plan_to_json(made(world));
	assert_non_null(json);
	assert_int_equal(json[0], '{');
	assert_non_null(strstr(json, "\"/home/me/ws/.git\""));
	assert_non_null(strstr(json, "\"container\""));
}

int main(void)
{
#define IN_A_WORLD(test) cmocka_unit_test_setup_teardown(test, make_world, end_world)
	const struct CMUnitTest tests[] = {
		IN_A_WORLD(the_mode_goes_by_version_control),
		IN_A_WORLD(full_access_has_no_walls),
		IN_A_WORLD(auto_takes_the_strongest_tier),
		IN_A_WORLD(a_tier_asked_for_is_that_tier_or_an_error),
		IN_A_WORLD(locked_profiles_take_no_lesser_tier),
		IN_A_WORLD(the_most_specific_entry_wins),
		IN_A_WORLD(at_one_path_the_stronger_word_wins),
		IN_A_WORLD(no_write_lies_inside_a_promise),
		IN_A_WORLD(a_carve_out_pins_every_directory_above),
		IN_A_WORLD(a_nested_root_is_pinned_up_to_the_outermost),
		IN_A_WORLD(a_link_is_no_mount_point),
		IN_A_WORLD(secrets_are_read_only_or_hidden),
		IN_A_WORLD(credentials_come_back_by_name_but_not_in_ci),
		IN_A_WORLD(what_is_shown_in_a_hidden_directory_has_a_place),
		IN_A_WORLD(temporary_places_are_private_unless_shared),
		IN_A_WORLD(devices_are_only_those_of_dev),
		IN_A_WORLD(too_many_mounts_are_refused),
		IN_A_WORLD(strict_shows_no_path_of_the_host),
		IN_A_WORLD(cloud_has_workspace_and_home),
		IN_A_WORLD(commits_go_to_a_layer),
		IN_A_WORLD(only_ordinary_variables_pass),
		IN_A_WORLD(a_secret_passes_by_name),
		IN_A_WORLD(limits_asked_for_replace_the_profiles),
		IN_A_WORLD(a_cpu_limit_needs_a_control_group),
		IN_A_WORLD(metering_is_said),
		IN_A_WORLD(root_works_as_the_owner_of_the_workspace),
		IN_A_WORLD(contradictions_never_become_plans),
		IN_A_WORLD(notes_of_the_resolver_are_kept),
		IN_A_WORLD(the_plan_is_json),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
