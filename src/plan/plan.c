/* Theory of operation. plan_make() is one story: which mode, which tier, who the command is, what
 * it sees, what it may use up. Each step reads policy, facts and findings and adds to the plan;
 * what cannot be enforced is either an error or a note, never silence. */
#include "plan/plan.h"

#include "base/cleanup.h"
#include "base/limits.h"
#include "base/path.h"
#include "plan/plan_internal.h"

#include <inttypes.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>

const char *tier_name(enum tier tier)
{
	static const char *const names[] = {
		[TIER_CONTAINER] = "container",
		[TIER_LANDLOCK] = "landlock",
		[TIER_NONE] = "none",
	};
	return names[tier];
}

int plan_out_of_memory(struct error *error)
{
	return error_set_errno(error, ENOMEM, "plan", "the plan");
}

int plan_note(struct plan *plan, const char *what, const char *format, ...)
{
	char *text = NULL;
	va_list args;
	va_start(args, format);
	int length = vasprintf(&text, format, args);
	va_end(args);
	char *word = strdup(what);
	struct plan_note *notes = reallocarray(plan->notes, plan->notes_count + 1, sizeof(*notes));
	if (notes)
		plan->notes = notes;
	if (length < 0 || !word || !notes) {
		free(word);
		if (length >= 0)
			free(text);
		return -ENOMEM;
	}
	notes[plan->notes_count++] = (struct plan_note){.what = word, .text = text};
	return 0;
}

int plan_grant(struct plan *plan, const char *path, enum grant_rights rights)
{
	struct plan_grant *grants =
		reallocarray(plan->grants, plan->grants_count + 1, sizeof(*grants));
	if (!grants)
		return -ENOMEM;
	plan->grants = grants;
	char *copy = strdup(path);
	if (!copy)
		return -ENOMEM;
	grants[plan->grants_count++] = (struct plan_grant){.path = copy, .rights = rights};
	return 0;
}

char *plan_inside(const struct planning *planning, const char *path)
{
	if (planning->profile->view == VIEW_HOST)
		return strdup(path);
	const char *workspace = planning->findings->workspace.path;
	if (workspace && path_is_below(path, workspace)) {
		const char *rest = path + (strcmp(workspace, "/") == 0 ? 0 : strlen(workspace));
		char *inside = NULL;
		return asprintf(&inside, "/workspace%s", rest) < 0 ? NULL : inside;
	}
	return NULL;
}

static int choose_mode(struct planning *planning)
{
	struct plan *plan = planning->plan;
	const struct findings *findings = planning->findings;
	plan->mode = planning->policy->mode ? planning->policy->mode : planning->profile->mode;
	if (plan->mode)
		return 0;
	int length;
	if (findings->version_control) {
		plan->mode = MODE_WORKSPACE_WRITE;
		length = asprintf(&plan->mode_reason, "workspace-write: %s holds a %s",
			findings->workspace.path, findings->version_control);
	} else {
		plan->mode = MODE_READ_ONLY;
		length = asprintf(&plan->mode_reason,
			"read-only: %s is in no version-controlled directory "
			"(--mode workspace-write to write here)",
			findings->directory.path);
	}
	if (length < 0) {
		plan->mode_reason = NULL;
		return plan_out_of_memory(planning->error);
	}
	return 0;
}

static int refuse_tier(struct planning *planning, const char *what)
{
	const struct host_facts *facts = planning->facts;
	error_set(planning->error, ENOTSUP, "plan",
		"%s, but user namespaces cannot be used here: %s", what,
		facts->userns_reason[0] ? facts->userns_reason : "the kernel refuses them");
	return error_hint(planning->error, "%s",
		facts->userns_remedy[0] ? facts->userns_remedy
					: "`coffer doctor` shows what this host can enforce");
}

static int choose_tier(struct planning *planning)
{
	struct plan *plan = planning->plan;
	const struct policy *policy = planning->policy;
	const struct host_facts *facts = planning->facts;
	plan->isolation_asked = policy->isolation != ISOLATION_AUTO;
	if (plan->mode == MODE_FULL_ACCESS) {
		plan->tier = TIER_NONE;
		return 0;
	}
	plan->tier = policy->isolation == ISOLATION_LANDLOCK ? TIER_LANDLOCK : TIER_CONTAINER;
	if (plan->tier == TIER_CONTAINER && !facts->userns) {
		if (policy->isolation == ISOLATION_CONTAINER)
			return refuse_tier(planning, "--isolation container was asked for");
		if (!planning->profile->landlock_tier_allowed)
			return refuse_tier(planning, "this profile needs namespaces");
		plan->tier = TIER_LANDLOCK;
		if (plan_note(plan, "tier",
			    "landlock tier: user namespaces cannot be used here (%s)",
			    facts->userns_reason) < 0)
			return plan_out_of_memory(planning->error);
	}
	const struct found_path *workspace = &planning->findings->workspace;
	if (plan->tier == TIER_CONTAINER && facts->root && !planning->findings->id_maps &&
		planning->profile->view == VIEW_HOST && workspace->path && workspace->uid == 0) {
		error_set(planning->error, ENOTSUP, "plan",
			"%s is root's, a file system here cannot map ids, and a box never gets "
			"root's own",
			workspace->path);
		return error_hint(planning->error,
			"run it as an ordinary user who owns the workspace, or with "
			"--isolation landlock");
	}
	if (plan->tier == TIER_LANDLOCK && facts->landlock_abi < 1) {
		error_set(planning->error, ENOTSUP, "plan",
			"neither user namespaces nor Landlock can be used on this kernel");
		return error_hint(planning->error,
			"`coffer doctor` shows what this host lacks and who can change it");
	}
	if (plan->tier == TIER_LANDLOCK && !ptrace_allows_brokers(facts)) {
		error_set(planning->error, ENOTSUP, "plan",
			"the landlock tier must read the arguments of calls, and Yama's "
			"ptrace_scope %d forbids it",
			facts->ptrace_scope);
		return error_hint(planning->error, "%s",
			facts->ptrace_scope == 2
				? "sudo sysctl -w kernel.yama.ptrace_scope=1"
				: "set kernel.yama.ptrace_scope=1 in /etc/sysctl.d and reboot: 3 "
				  "cannot be taken back before");
	}
	return 0;
}

static int choose_identity(struct planning *planning)
{
	struct plan *plan = planning->plan;
	const struct findings *findings = planning->findings;
	const struct found_path *owner =
		findings->workspace.path && plan->mode == MODE_WORKSPACE_WRITE
			? &findings->workspace
			: &findings->directory;
	if (planning->facts->root) {
		plan->owner_uid = owner->uid;
		plan->owner_gid = owner->gid;
	} else {
		plan->owner_uid = planning->facts->uid;
		plan->owner_gid = planning->facts->gid;
	}
	/* What system directories hold is root's, and is written by a root of the box's own. */
	if (planning->policy->layer_system)
		plan->owner_uid = plan->owner_gid = 0;
	plan->uid_inside = plan->owner_uid;
	plan->gid_inside = plan->owner_gid;
	if (planning->profile->anonymous) {
		plan->uid_inside = 65534;
		plan->gid_inside = 65534;
		plan->anonymous = true;
	}
	/* A range holds 65,536 ids; an owner beyond it is mapped alone. */
	plan->id_range = plan->tier == TIER_CONTAINER && planning->facts->root &&
			 plan->owner_uid < 65536 && plan->owner_gid < 65536 &&
			 !planning->profile->anonymous && findings->id_maps;
	if (plan->tier == TIER_CONTAINER && planning->facts->root && !plan->id_range &&
		!planning->profile->anonymous && !findings->id_maps &&
		plan_note(plan, "ids",
			"the box runs under the workspace owner's own id: a file system "
			"here cannot map ids") < 0)
		return plan_out_of_memory(planning->error);
	return 0;
}

static int choose_directory(struct planning *planning)
{
	struct plan *plan = planning->plan;
	const struct findings *findings = planning->findings;
	if (planning->policy->places.roots.count > 0 && planning->policy->directory)
		plan->directory = strdup(planning->policy->directory); /* a place of the box's */
	else if (plan->tier == TIER_NONE || planning->profile->view == VIEW_HOST)
		plan->directory = strdup(findings->directory.path);
	else
		plan->directory = plan_inside(planning, findings->directory.path);
	if (!plan->directory)
		plan->directory = strdup("/workspace");
	if (findings->workspace.path)
		plan->workspace = strdup(findings->workspace.path);
	plan->host_name = strdup("coffer");
	if (!plan->directory || !plan->host_name || (findings->workspace.path && !plan->workspace))
		return plan_out_of_memory(planning->error);
	return 0;
}

/* What the policy asked for by name, else the profile's. */
static void choose_limits(struct planning *planning)
{
	const struct policy *policy = planning->policy;
	struct limits *limits = &planning->plan->limits;
	*limits = planning->profile->limits;
	static const struct {
		unsigned bit;
		size_t offset;
	} fields[] = {
		{LIMIT_MEMORY, offsetof(struct limits, memory_bytes)},
		{LIMIT_CPU, offsetof(struct limits, cpu_milli)},
		{LIMIT_PIDS, offsetof(struct limits, pids)},
		{LIMIT_DISK, offsetof(struct limits, disk_bytes)},
		{LIMIT_INODES, offsetof(struct limits, inodes)},
		{LIMIT_OPEN_FILES, offsetof(struct limits, open_files)},
		{LIMIT_OUTPUT, offsetof(struct limits, output_bytes)},
		{LIMIT_TMP, offsetof(struct limits, tmp_bytes)},
		{LIMIT_TIME, offsetof(struct limits, time_ms)},
		{LIMIT_GRACE, offsetof(struct limits, grace_ms)},
	};
	for (size_t i = 0; i < ARRAY_SIZE(fields); i++)
		if (policy->limits_asked & fields[i].bit)
			memcpy((char *)limits + fields[i].offset,
				(const char *)&policy->limits + fields[i].offset, sizeof(uint64_t));
	/* With best effort nothing was asked for so firmly that its lack would be an error. */
	planning->plan->limits_asked = policy->best_effort ? 0 : policy->limits_asked;
}

/* Each limit that is asked for and cannot be enforced here is an error, unless it may degrade. */
static int check_limits(struct planning *planning)
{
	struct plan *plan = planning->plan;
	const struct host_facts *facts = planning->facts;
	bool strict = planning->profile->must_enforce;
	if (plan->limits.cpu_milli && !(facts->cgroup_usable && facts->cgroup_cpu)) {
		bool asked = plan->limits_asked & LIMIT_CPU;
		if (!planning->policy->best_effort && (asked || strict) && !facts->root) {
			error_set(planning->error, ENOTSUP, "plan",
				"a CPU limit needs a control group, and this user has none");
			return error_hint(planning->error,
				"run it from a delegated scope (systemd-run --user --scope -p "
				"Delegate=yes coffer ...), as root, or with --limit cpu=none");
		}
		if (plan_note(plan, "cpu",
			    "the CPU limit is not enforced: no control group can be "
			    "used") < 0)
			return plan_out_of_memory(planning->error);
	}
	if (plan->limits.memory_bytes && !(facts->cgroup_usable && facts->cgroup_memory) &&
		plan_note(plan, "memory",
			"memory is metered every 50 ms: no control group can be used, so a "
			"burst can overshoot, and memory files that are on their way through "
			"a socket are not counted") < 0)
		return plan_out_of_memory(planning->error);
	if (plan->limits.disk_bytes && planning->profile->view != VIEW_STRICT &&
		plan->mode == MODE_WORKSPACE_WRITE &&
		plan_note(plan, "disk",
			"disk use in the workspace is metered, not limited by the "
			"kernel: a burst can overshoot") < 0)
		return plan_out_of_memory(planning->error);
	return 0;
}

static bool same_watch(const struct plan_watch *watch, const char *path, const char *name)
{
	bool same_name = watch->name && name ? strcmp(watch->name, name) == 0 : watch->name == name;
	return same_name && strcmp(watch->path, path) == 0;
}

static int add_watch(
	struct planning *planning, const char *path, const char *name, struct file_id id)
{
	struct plan *plan = planning->plan;
	for (size_t i = 0; i < plan->watches_count; i++)
		if (same_watch(&plan->watches[i], path, name))
			return 0;
	if (plan->watches_count >= MAX_PLAN_WATCHES) {
		error_set(planning->error, E2BIG, "plan",
			"more than %d repositories would have to be watched", MAX_PLAN_WATCHES);
		return error_hint(planning->error, "name a smaller part as the workspace: -C DIR");
	}
	struct plan_watch *watches =
		reallocarray(plan->watches, plan->watches_count + 1, sizeof(*watches));
	if (!watches)
		return plan_out_of_memory(planning->error);
	plan->watches = watches;
	struct plan_watch watch = {.path = strdup(path),
		.inside = plan_inside(planning, path),
		.name = name ? strdup(name) : NULL,
		.id = id};
	if (!watch.path || !watch.inside || (name && !watch.name)) {
		free(watch.path);
		free(watch.inside);
		free(watch.name);
		return plan_out_of_memory(planning->error);
	}
	watches[plan->watches_count++] = watch;
	return 0;
}

static bool below_write_root(const struct plan *plan, const char *path)
{
	for (size_t i = 0; i < plan->write_roots.count; i++)
		if (path_is_below(path, plan->write_roots.items[i]))
			return true;
	return false;
}

/* Where a protected name could appear: only what the box can write matters. */
static int plan_watches(struct planning *planning)
{
	const struct scan_result *scan = &planning->findings->scan;
	if (planning->profile->view == VIEW_STRICT)
		return 0; /* nothing that is written there outlives the box */
	if (planning->plan->layer) {
		/* Nothing comes to the host, and `apply` looks at names. But a rename may need the
		 * broker: see run/broker_moves.c. */
		planning->plan->watch_names = planning->plan->tier == TIER_CONTAINER;
		return 0;
	}
	for (size_t i = 0; i < scan->count; i++) {
		const struct scan_finding *item = &scan->items[i];
		bool missing = item->kind == SCAN_MISSING;
		if ((item->kind != SCAN_WATCH && !missing) ||
			!below_write_root(planning->plan, item->path))
			continue;
		cleanup_free char *parent = path_parent(item->path);
		if (!parent)
			return plan_out_of_memory(planning->error);
		int r = missing ? add_watch(planning, parent, path_name(item->path), item->id)
				: add_watch(planning, item->path, NULL, item->id);
		if (r < 0)
			return r;
	}
	planning->plan->watch_names = planning->plan->watches_count > 0;
	return 0;
}

static int plan_git_layers(struct planning *planning)
{
	struct plan *plan = planning->plan;
	const struct scan_result *scan = &planning->findings->scan;
	if (planning->policy->git != GIT_COMMIT)
		return 0;
	if (plan->tier != TIER_CONTAINER || planning->profile->view == VIEW_STRICT) {
		error_set(planning->error, ENOTSUP, "plan",
			"--git commit needs the container tier and a workspace that persists");
		return error_hint(
			planning->error, "commit outside of the box, or see `coffer doctor`");
	}
	for (size_t i = 0; i < scan->count; i++) {
		const struct scan_finding *item = &scan->items[i];
		if (item->kind != SCAN_GIT_DIR)
			continue;
		bool known = false;
		for (size_t k = 0; k < plan->git_layers_count; k++)
			known = known || path_is_below(item->path, plan->git_layers[k].path);
		if (known)
			continue;
		/* A `.git` file of something nested may be an attacker's: it must not lead a commit
		 * into a repository elsewhere. The workspace's own was never the box's to write. */
		const char *workspace = planning->findings->workspace.path;
		const char *own = planning->findings->own_git_dir;
		if (!(workspace && path_is_below(item->path, workspace)) &&
			!(own && strcmp(item->path, own) == 0)) {
			if (plan_note(plan, "git",
				    "%s lies outside of the workspace: it stays read-only",
				    item->path) < 0)
				return plan_out_of_memory(planning->error);
			continue;
		}
		struct plan_git_layer *layers =
			reallocarray(plan->git_layers, plan->git_layers_count + 1, sizeof(*layers));
		if (!layers)
			return plan_out_of_memory(planning->error);
		plan->git_layers = layers;
		struct plan_git_layer layer = {.path = strdup(item->path),
			.inside = plan_inside(planning, item->path),
			.id = item->id};
		if (!layer.path || !layer.inside) {
			free(layer.path);
			free(layer.inside);
			return plan_out_of_memory(planning->error);
		}
		layers[plan->git_layers_count++] = layer;
	}
	return 0;
}

static int copy_notes(struct planning *planning)
{
	const struct strv *notes = &planning->findings->notes;
	for (size_t i = 0; i < notes->count; i++) {
		char word[32];
		const char *colon = strstr(notes->items[i], ": ");
		if (!colon)
			continue;
		snprintf(word, sizeof(word), "%.*s", (int)(colon - notes->items[i]),
			notes->items[i]);
		if (plan_note(planning->plan, word, "%s", colon + 2) < 0)
			return plan_out_of_memory(planning->error);
	}
	return 0;
}

static int fill(struct planning *planning, char *const argv[], char *const environment[])
{
	struct plan *plan = planning->plan;
	plan->profile = planning->profile;
	plan->facts = *planning->facts;
	plan->must_enforce = planning->profile->must_enforce;
	plan->capture = planning->policy->capture || planning->profile->capture;
	plan->trace = planning->policy->trace;
	plan->pass_controls = planning->policy->pass_controls;
	plan->allow_userns = planning->policy->allow_userns;
	plan->share_tmp = planning->policy->share_tmp;
	const struct policy_places *places = &planning->policy->places;
	plan->layer = places->layer ? strdup(places->layer) : NULL;
	if (strv_copy(&plan->argv, argv) < 0 || (places->layer && !plan->layer) ||
		strv_copy(&plan->secret_files, strv_items(&places->secret_files)) < 0)
		return plan_out_of_memory(planning->error);
	int r = choose_mode(planning);
	if (r == 0)
		r = choose_tier(planning);
	if (r < 0)
		return r;
	choose_limits(planning);
	r = plan_network(planning);
	if (r == 0)
		r = choose_identity(planning);
	if (r == 0)
		r = choose_directory(planning);
	if (r == 0)
		r = plan_git_layers(planning);
	if (r == 0 && plan->tier == TIER_CONTAINER)
		r = plan_mounts(planning);
	if (r == 0 && plan->tier == TIER_LANDLOCK)
		r = plan_landlock_grants(planning);
	if (r == 0)
		r = plan_watches(planning);
	if (r == 0)
		r = plan_witness(planning);
	if (r == 0)
		r = plan_environment(planning, environment);
	if (r == 0)
		r = check_limits(planning);
	return r < 0 ? r : copy_notes(planning);
}

int plan_make(const struct policy *policy, const struct host_facts *facts,
	const struct findings *findings, char *const argv[], char *const environment[],
	struct plan **ret, struct error *error)
{
	int r = policy_validate(policy, error);
	if (r < 0)
		return r;
	struct plan *plan = calloc(1, sizeof(*plan));
	if (!plan)
		return plan_out_of_memory(error);
	struct planning planning = {.policy = policy,
		.profile = policy->profile,
		.facts = facts,
		.findings = findings,
		.plan = plan,
		.error = error};
	r = fill(&planning, argv, environment);
	if (r < 0) {
		if (r == -ENOMEM)
			plan_out_of_memory(error);
		plan_free(plan);
		return r;
	}
	*ret = plan;
	return 0;
}

void plan_free(struct plan *plan)
{
	if (!plan)
		return;
	free(plan->mode_reason);
	strv_release(&plan->argv);
	strv_release(&plan->environment);
	network_policy_release(&plan->network);
	free(plan->certificates);
	free(plan->unix_sockets);
	free(plan->net_log);
	free(plan->net_ask);
	free(plan->directory);
	free(plan->workspace);
	free(plan->host_name);
	free(plan->tmpdir);
	for (size_t i = 0; i < plan->mounts_count; i++) {
		free(plan->mounts[i].target);
		free(plan->mounts[i].source);
	}
	free(plan->mounts);
	for (size_t i = 0; i < plan->grants_count; i++)
		free(plan->grants[i].path);
	free(plan->grants);
	for (size_t i = 0; i < plan->watches_count; i++) {
		free(plan->watches[i].path);
		free(plan->watches[i].inside);
		free(plan->watches[i].name);
	}
	free(plan->watches);
	for (size_t i = 0; i < plan->places_count; i++) {
		free(plan->places[i].path);
		free(plan->places[i].host);
		free(plan->places[i].rule);
	}
	free(plan->places);
	free(plan->witness_library);
	free(plan->mode_rule);
	for (size_t i = 0; i < plan->git_layers_count; i++) {
		free(plan->git_layers[i].path);
		free(plan->git_layers[i].inside);
	}
	free(plan->git_layers);
	free(plan->layer);
	for (size_t i = 0; i < plan->secret_files.count; i++)
		explicit_bzero(plan->secret_files.items[i], strlen(plan->secret_files.items[i]));
	strv_release(&plan->secret_files);
	strv_release(&plan->write_roots);
	for (size_t i = 0; i < plan->notes_count; i++) {
		free(plan->notes[i].what);
		free(plan->notes[i].text);
	}
	free(plan->notes);
	free(plan);
}
