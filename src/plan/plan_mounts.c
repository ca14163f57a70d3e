#include "plan/plan_internal.h"

#include "base/cleanup.h"
#include "base/limits.h"
#include "base/path.h"

#include <string.h>
#include <sys/stat.h>

struct plan_mount *plan_add_mount(
	struct planning *planning, enum mount_kind kind, const char *target, const char *source)
{
	struct plan *plan = planning->plan;
	if (plan->mounts_count >= MAX_PLAN_MOUNTS) {
		error_set(planning->error, E2BIG, "plan", "the policy needs more than %d mounts",
			MAX_PLAN_MOUNTS);
		error_hint(planning->error, "name fewer roots, carve-outs and hidden paths");
		return NULL;
	}
	/* Grown by doubling: capacity is the next power of two. */
	size_t count = plan->mounts_count;
	if ((count & (count - 1)) == 0) {
		struct plan_mount *mounts =
			reallocarray(plan->mounts, count ? count * 2 : 1, sizeof(*mounts));
		if (!mounts) {
			plan_out_of_memory(planning->error);
			return NULL;
		}
		plan->mounts = mounts;
	}
	struct plan_mount *mount = &plan->mounts[count];
	*mount = (struct plan_mount){.kind = kind, .executable = true};
	mount->target = strdup(target);
	mount->source = source ? strdup(source) : NULL;
	if (!mount->target || (source && !mount->source)) {
		free(mount->target);
		free(mount->source);
		plan_out_of_memory(planning->error);
		return NULL;
	}
	plan->mounts_count++;
	return mount;
}

static bool has_mount_at(const struct plan *plan, const char *target)
{
	for (size_t i = 0; i < plan->mounts_count; i++)
		if (strcmp(plan->mounts[i].target, target) == 0)
			return true;
	return false;
}

/* A carve-out is a mount, and the kernel refuses to rename or remove a mount point: but not the
 * directory above it. `mv vendor v2; mkdir -p vendor/lib/.git/hooks` would put an unprotected
 * .git where the protected one was. So every directory between the writable root and the carve-out
 * becomes a mount point as well. */
static int pin_ancestors(struct planning *planning, const char *root, const char *path)
{
	if (planning->plan->layer)
		return 0; /* what is renamed there is not the host's */
	cleanup_free char *copy = strdup(path);
	if (!copy)
		return plan_out_of_memory(planning->error);
	for (size_t i = strlen(root) + 1; copy[i]; i++) {
		if (copy[i] != '/')
			continue;
		copy[i] = '\0';
		cleanup_free char *inside = plan_inside(planning, copy);
		if (!inside)
			return plan_out_of_memory(planning->error);
		if (!has_mount_at(planning->plan, inside)) {
			struct plan_mount *mount =
				plan_add_mount(planning, MOUNT_BIND, inside, copy);
			if (!mount)
				return -E2BIG;
			mount->writable = true;
			mount->recursive = true;
			mount->pin = true;
		}
		copy[i] = '/';
	}
	return 0;
}

/* Pins a watched place: its ancestors, and itself where it exists. */
static int emit_pin(struct planning *planning, const struct point *point, const char *write_root)
{
	if (!point->mode)
		return pin_ancestors(planning, write_root, point->path);
	cleanup_free char *below = NULL;
	if (asprintf(&below, "%s/", point->path) < 0) {
		below = NULL;
		return plan_out_of_memory(planning->error);
	}
	return strcmp(point->path, write_root) == 0 ? 0
						    : pin_ancestors(planning, write_root, below);
}

/* Whether any point below points[index] shows something: then a hidden directory must be a tmpfs in
 * which that can be mounted. */
static bool shows_something_below(const struct points *points, size_t index)
{
	for (size_t i = index + 1; i < points->count; i++) {
		if (!path_is_below(points->items[i].path, points->items[index].path))
			return false;
		if (points->items[i].kind == POINT_READ || points->items[i].kind == POINT_WRITE)
			return true;
	}
	return false;
}

static int emit_tmpfs(struct planning *planning, const char *inside, bool writable)
{
	struct plan_mount *mount = plan_add_mount(planning, MOUNT_TMPFS, inside, NULL);
	if (!mount)
		return -E2BIG;
	mount->writable = writable;
	mount->mode = writable ? 01777 : 0755;
	mount->optional = true;
	if (writable)
		mount->size_bytes = planning->plan->limits.tmp_bytes;
	return writable ? plan_grant(planning->plan, inside, PLAN_RIGHTS_WRITE) : 0;
}

static int emit_hidden(
	struct planning *planning, const struct points *points, size_t index, const char *inside)
{
	const struct point *point = &points->items[index];
	bool directory = (point->mode & S_IFMT) == S_IFDIR;
	if (directory && shows_something_below(points, index))
		return emit_tmpfs(planning, inside, false);
	struct plan_mount *mount = plan_add_mount(
		planning, directory ? MOUNT_HIDE_DIR : MOUNT_HIDE_FILE, inside, NULL);
	if (!mount)
		return -E2BIG;
	mount->id = point->id;
	mount->optional = point->origin == ORIGIN_DEFAULT;
	return 0;
}

/* Below it the host's directory source, or NULL: nothing; above, what boxes wrote. */
static struct plan_mount *add_layer(
	struct planning *planning, const char *inside, const char *source)
{
	size_t stack = 0;
	for (size_t i = 0; i < planning->plan->mounts_count; i++)
		stack += planning->plan->mounts[i].kind == MOUNT_LAYER;
	struct plan_mount *mount = plan_add_mount(planning, MOUNT_LAYER, inside, source);
	if (mount)
		mount->stack = stack;
	return mount;
}

static int emit_bind(struct planning *planning, const struct point *point, const char *inside)
{
	bool writable = point->kind == POINT_WRITE;
	/* The tools' caches are coffer's own, and of no use to anybody else. */
	bool layered = writable && planning->plan->layer && strcmp(point->why, "tool caches") != 0;
	struct plan_mount *mount =
		layered ? add_layer(planning, inside, point->path)
			: plan_add_mount(planning, MOUNT_BIND, inside, point->path);
	if (!mount)
		return -E2BIG;
	mount->id = point->id;
	mount->writable = writable;
	mount->recursive = (point->mode & S_IFMT) == S_IFDIR;
	mount->optional = point->origin == ORIGIN_DEFAULT;
	if (!writable)
		return 0;
	if (strv_add(&planning->plan->write_roots, point->path) < 0)
		return plan_out_of_memory(planning->error);
	return plan_grant(planning->plan, inside, PLAN_RIGHTS_WRITE);
}

/* The mount that point needs, given what decides for the directory above it. */
static int emit_point(struct planning *planning, const struct points *points, size_t index,
	enum point_kind above, const char *write_root)
{
	const struct point *point = &points->items[index];
	cleanup_free char *inside = plan_inside(planning, point->path);
	if (!inside)
		return 0; /* nothing of it is in the box's view */
	if (above == point->kind && point->kind != POINT_PRIVATE && point->kind != POINT_EMPTY)
		return 0;
	bool in_private = above == POINT_PRIVATE || above == POINT_EMPTY || above == POINT_HIDE;
	if (in_private && point->kind == POINT_HIDE)
		return 0;
	if (above == POINT_WRITE && point->kind != POINT_WRITE) {
		int r = pin_ancestors(planning, write_root, point->path);
		if (r < 0)
			return r;
	}
	switch (point->kind) {
	case POINT_READ:
	case POINT_WRITE:
		return emit_bind(planning, point, inside);
	case POINT_HIDE:
		return emit_hidden(planning, points, index, inside);
	case POINT_PRIVATE:
		return emit_tmpfs(planning, inside, true);
	case POINT_EMPTY:
		return emit_tmpfs(planning, inside, false);
	case POINT_PIN:
		break; /* emit_pin() */
	}
	return 0;
}

/* One pass in sorted order; the stack holds the points that the present one lies below. */
static int emit_points(struct planning *planning, const struct points *points)
{
	cleanup_free size_t *stack = calloc(points->count + 1, sizeof(*stack));
	if (!stack)
		return plan_out_of_memory(planning->error);
	size_t depth = 0;
	for (size_t i = 0; i < points->count; i++) {
		while (depth > 0 &&
			!path_is_below(points->items[i].path, points->items[stack[depth - 1]].path))
			depth--;
		enum point_kind above = POINT_READ;
		const char *write_root = NULL;
		if (planning->profile->view != VIEW_HOST)
			above = POINT_EMPTY; /* a private root holds nothing yet */
		if (depth > 0) {
			const struct point *top = &points->items[stack[depth - 1]];
			above = top->kind;
			write_root = top->path;
			/* The uppermost of a run of nested writable roots is the one mounted. */
			for (size_t d = depth - 1; d-- > 0;) {
				if (points->items[stack[d]].kind != POINT_WRITE ||
					above != POINT_WRITE)
					break;
				write_root = points->items[stack[d]].path;
			}
		}
		if (points->items[i].kind == POINT_PIN) {
			int r = above == POINT_WRITE
					? emit_pin(planning, &points->items[i], write_root)
					: 0;
			if (r < 0)
				return r;
			continue;
		}
		int r = emit_point(planning, points, i, above, write_root);
		if (r < 0)
			return r;
		stack[depth++] = i;
	}
	return 0;
}

static int add_simple(struct planning *planning, enum mount_kind kind, const char *target)
{
	return plan_add_mount(planning, kind, target, NULL) ? 0 : -E2BIG;
}

static int add_devices(struct planning *planning)
{
	if (add_simple(planning, MOUNT_DEV, "/dev") < 0)
		return -E2BIG;
	planning->plan->mounts[planning->plan->mounts_count - 1].size_bytes =
		planning->plan->limits.tmp_bytes;
	const struct strv *devices = &planning->policy->devices;
	for (size_t i = 0; i < devices->count; i++) {
		if (!path_is_below(devices->items[i], "/dev"))
			return error_set(planning->error, EINVAL, "plan",
				"--device %s: only what is below /dev can be passed",
				devices->items[i]);
		struct plan_mount *mount =
			plan_add_mount(planning, MOUNT_BIND, devices->items[i], devices->items[i]);
		if (!mount)
			return -E2BIG;
		mount->writable = true;
		mount->device_nodes = true;
		mount->recursive = true;
	}
	int r = plan_grant(planning->plan, "/dev", PLAN_RIGHTS_DEVICE);
	if (r == 0)
		r = plan_grant(planning->plan, "/dev/shm", PLAN_RIGHTS_WRITE);
	return r;
}

/* The private root of strict and cloud: system directories, nothing else of the host. */
static int add_private_root(struct planning *planning)
{
	const struct findings *findings = planning->findings;
	for (size_t i = 0; i < findings->system_count; i++) {
		const struct found_system *entry = &findings->system[i];
		cleanup_free char *path = path_join("/", entry->name);
		if (!path)
			return plan_out_of_memory(planning->error);
		struct plan_mount *mount =
			plan_add_mount(planning, entry->target ? MOUNT_SYMLINK : MOUNT_BIND, path,
				entry->target ? entry->target : path);
		if (!mount)
			return -E2BIG;
		mount->id = entry->target ? (struct file_id){0} : entry->id;
		mount->recursive = true;
	}
	static const struct {
		const char *path;
		unsigned mode;
	} directories[] = {
		{"/proc", 0555}, {"/sys", 0555}, {"/run", 0755}, {"/var", 0755}, {"/home", 0755}};
	for (size_t i = 0; i < ARRAY_SIZE(directories); i++) {
		struct plan_mount *mount =
			plan_add_mount(planning, MOUNT_DIRECTORY, directories[i].path, NULL);
		if (!mount)
			return -E2BIG;
		mount->mode = directories[i].mode;
	}
	return 0;
}

/* plan_network.c has its own version of it. */
static bool is_of_network(const struct planning *planning, const char *path)
{
	const struct findings *findings = planning->findings;
	return network_is_open(&planning->plan->network) &&
	       ((findings->resolv_conf && strcmp(path, findings->resolv_conf) == 0) ||
		       (findings->hosts && strcmp(path, findings->hosts) == 0));
}

/* The box's own version of files that would name the host or its users. */
static int add_replaced_files(struct planning *planning)
{
	const struct plan *plan = planning->plan;
	static const struct {
		const char *path, *format;
	} table[] = {
		{"/etc/passwd", "root:x:0:0:root:/root:/usr/sbin/nologin\n"
				"agent:x:%u:%u:agent:/home/agent:/bin/sh\n"},
		{"/etc/group", "root:x:0:\nagent:x:%u:\n"},
		{"/etc/hostname", "coffer\n"},
		{"/etc/hosts", "127.0.0.1 localhost coffer\n::1 localhost coffer\n"},
		{"/etc/machine-id", "00000000000000000000000000000000\n"},
		{"/etc/resolv.conf", "# no resolver\n"},
	};
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		if (!strv_contains(&planning->findings->replaced, table[i].path) ||
			is_of_network(planning, table[i].path))
			continue;
		char content[512];
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
		snprintf(content, sizeof(content), table[i].format, plan->uid_inside,
			plan->gid_inside);
#pragma GCC diagnostic pop
		if (!plan_add_mount(planning, MOUNT_FILE, table[i].path, content))
			return -E2BIG;
	}
	for (size_t i = 0; i < planning->findings->python_packages.count; i++)
		if (!plan_add_mount(planning, MOUNT_HIDE_DIR,
			    planning->findings->python_packages.items[i], NULL))
			return -E2BIG;
	return 0;
}

static bool is_own_root(const struct planning *planning, const char *path)
{
	for (size_t i = 0; i < planning->findings->places_count; i++)
		if (strcmp(planning->findings->places[i].inside, path) == 0)
			return true;
	return false;
}

/* What a program that uses the library brings: roots of a layer, things of the host to be read, and
 * secrets in files. */
static int add_places(struct planning *planning)
{
	const struct findings *findings = planning->findings;
	for (size_t i = 0; i < findings->places_count; i++) {
		const struct found_place *place = &findings->places[i];
		struct plan_mount *mount =
			place->writable
				? add_layer(planning, place->inside, place->path)
				: plan_add_mount(planning, MOUNT_BIND, place->inside, place->path);
		if (!mount)
			return -E2BIG;
		mount->id = place->id;
		mount->recursive = true;
		mount->writable = place->writable;
		if (place->writable &&
			plan_grant(planning->plan, place->inside, PLAN_RIGHTS_WRITE) < 0)
			return plan_out_of_memory(planning->error);
	}
	return planning->plan->secret_files.count > 0
		       ? add_simple(planning, MOUNT_SECRETS, PLACES_SECRETS)
		       : 0;
}

/* Places that a private root makes writable: on the discarded layer (strict), or a tmpfs
 * (cloud). */
static int add_private_places(struct planning *planning)
{
	static const char *const places[] = {"/tmp", "/var/tmp", "/home/agent"};
	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		if (is_own_root(planning, places[i]))
			continue;
		struct plan_mount *mount = plan_add_mount(planning, MOUNT_TMPFS, places[i], NULL);
		if (!mount)
			return -E2BIG;
		mount->writable = true;
		mount->mode = i < 2 ? 01777 : 0755;
		mount->size_bytes = planning->plan->limits.tmp_bytes;
		if (planning->profile->view == VIEW_STRICT)
			mount->kind = MOUNT_LAYER_DIR;
		if (plan_grant(planning->plan, places[i], PLAN_RIGHTS_WRITE) < 0)
			return plan_out_of_memory(planning->error);
	}
	return 0;
}

/* The workspace of strict: read through, written to the layer, discarded. */
static int add_workspace_layer(struct planning *planning)
{
	const struct found_path *workspace = &planning->findings->workspace;
	struct plan_mount *mount =
		planning->plan->layer
			? add_layer(planning, "/workspace", workspace->path)
			: plan_add_mount(planning, MOUNT_OVERLAY, "/workspace", workspace->path);
	if (!mount)
		return -E2BIG;
	mount->id = workspace->id;
	mount->recursive =
		true; /* a tree with mounts that the kernel has locked copies only whole */
	if (plan_grant(planning->plan, "/workspace", PLAN_RIGHTS_WRITE) < 0)
		return plan_out_of_memory(planning->error);
	/* What the policy hides of the workspace is hidden on top. */
	struct points points;
	int r = points_collect(planning, &points);
	if (r < 0)
		return r;
	for (size_t i = 0; r == 0 && i < points.count; i++) {
		const struct point *point = &points.items[i];
		cleanup_free char *inside = plan_inside(planning, point->path);
		if (point->kind == POINT_HIDE && inside)
			r = emit_hidden(planning, &points, i, inside);
	}
	if (r == 0)
		r = plan_keep_places(planning, &points);
	points_release(&points);
	return r;
}

/* With git = commit each repository's git directory is a layer on the real one. */
static int add_git_layers(struct planning *planning)
{
	struct plan *plan = planning->plan;
	for (size_t i = 0; i < plan->git_layers_count; i++) {
		const struct plan_git_layer *layer = &plan->git_layers[i];
		struct plan_mount *mount = NULL;
		/* The carve-out that the scan asked for becomes the layer. */
		for (size_t m = 0; m < plan->mounts_count && !mount; m++)
			if (strcmp(plan->mounts[m].target, layer->inside) == 0)
				mount = &plan->mounts[m];
		if (!mount)
			mount = plan_add_mount(planning, MOUNT_BIND, layer->inside, layer->path);
		if (!mount)
			return -E2BIG;
		mount->stack = i;
		mount->kind = MOUNT_GIT_LAYER;
		mount->id = layer->id;
		mount->writable = false; /* the lower side; the overlay itself is writable */
		mount->recursive = true;
		if (plan_grant(plan, layer->inside, PLAN_RIGHTS_WRITE) < 0)
			return plan_out_of_memory(planning->error);
	}
	return 0;
}

int plan_mounts(struct planning *planning)
{
	struct plan *plan = planning->plan;
	bool host_view = planning->profile->view == VIEW_HOST;
	plan->private_root = !host_view;
	int r = 0;
	if (!host_view)
		r = add_private_root(planning);
	if (r == 0)
		r = plan_grant(plan, "/", PLAN_RIGHTS_READ);
	if (r == 0)
		r = add_devices(planning);
	if (r == 0)
		r = add_simple(planning, MOUNT_PROC, "/proc");
	if (r == 0)
		r = plan_grant(plan, "/proc", PLAN_RIGHTS_DEVICE);
	if (r == 0 && !host_view)
		r = add_private_places(planning);
	if (r == 0 && planning->profile->anonymous)
		r = add_replaced_files(planning);
	if (r == 0)
		r = add_places(planning);
	if (r == 0)
		r = plan_network_files(planning);
	if (r == 0)
		r = plan_witness_mount(planning);
	if (r < 0)
		return r;
	if (planning->profile->view == VIEW_STRICT)
		return add_workspace_layer(planning);

	struct points points;
	r = points_collect(planning, &points);
	if (r < 0)
		return r;
	r = emit_points(planning, &points);
	if (r == 0)
		r = plan_keep_places(planning, &points);
	points_release(&points);
	return r < 0 ? r : add_git_layers(planning);
}
