/* Theory of operation. A task that runs is locked by its process; the kernel takes the lock away
 * when that dies, however it dies. So a row that says "running" and can be locked is a lie, which
 * whoever comes next puts right. What was being made is not looked for: a task's layers bear its
 * name, and those that no row refers to are removed, as are directories without a row. */
#include "base/cleanup.h"
#include "base/path.h"
#include "base/tree.h"
#include "layer/copies.h"
#include "layer/layer_internal.h"
#include "task/task_internal.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

enum { MAKING_S = 60 };

static const char stage[] = "task";

static int add_text(const struct store_row *row, void *context, struct error *error)
{
	const char *text = store_text(row, 0);
	return text && strv_add(context, text) < 0
		       ? error_set_errno(error, ENOMEM, stage, "the list")
		       : 0;
}

/* ---- interrupted tasks ---- */

static int mark(struct store *store, const char *id, bool *ret_marked, struct error *error)
{
	struct task *task = NULL;
	struct error ignored;
	int r = task_load(store, id, &task, error);
	if (r < 0)
		return r;
	if (strcmp(task->state, "running") == 0 && task_lock(task, &ignored) == 0) {
		struct error why = {0};
		error_set(&why, EINTR, stage, "the process that worked on it was killed");
		error_hint(&why,
			"`coffer task resume %s` goes on from the last phase that was "
			"finished",
			id);
		r = task_save_end(task, "interrupted", TASK_EXIT_FAILED, &why, error);
		if (r == 0)
			r = store_run(store, error,
				"UPDATE phases SET state = 'interrupted' WHERE task = ? AND state "
				"= 'running'",
				"t", id);
		if (r == 0)
			r = store_run(store, error,
				"DELETE FROM prepared WHERE task = ? AND state = 'making'", "t",
				id);
		*ret_marked = true;
	}
	task_free(task);
	return r;
}

int task_recover(struct store *store, struct error *error)
{
	cleanup_strv struct strv ids = {0};
	bool marked = false;
	int r = store_query(
		store, error, add_text, &ids, "SELECT id FROM tasks WHERE state = 'running'", "");
	for (size_t i = 0; r == 0 && i < ids.count; i++)
		r = mark(store, ids.items[i], &marked, error);
	return r == 0 && marked ? task_sweep(store, error) : r;
}

/* ---- what no row refers to ---- */

/* "t-xxxxxxxx.setup" and the like: 0 to 3, children before what they stand on; -1: no task's. */
static int order_of(const char *name)
{
	static const char *const order[] = {"check.", "agent.", "setup", "clone"};
	char id[TASK_ID_BYTES];
	snprintf(id, sizeof(id), "%.*s", TASK_ID_BYTES - 1, name);
	if (!task_is_id(id) || strlen(name) <= TASK_ID_BYTES || name[TASK_ID_BYTES - 1] != '.')
		return -1;
	for (size_t i = 0; i < ARRAY_SIZE(order); i++)
		if (strncmp(name + TASK_ID_BYTES, order[i], strlen(order[i])) == 0)
			return (int)i;
	return -1;
}

/* A person may call a layer what they like: a fork of an agent's layer "t-xxxxxxxx.agent.1-1". What
 * it was made for says whose it is; one that cannot be read is nobody's. */
static bool is_ours(const char *which)
{
	static const char *const purposes[] = {"clone", "setup", "agent", "check", "scratch"};
	struct layer *layer = NULL;
	struct error ignored;
	bool ours = false;
	if (layer_peek(which, &layer, &ignored) < 0)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(purposes); i++)
		ours = ours || strcmp(layer->purpose, purposes[i]) == 0;
	layer_close(layer);
	return ours;
}

/* Throw-away layers of a patch are called after the agent's layer: the id of that, or NULL. */
static const char *scratch_of(const char *name)
{
	static const char *const heads[] = {"pack-before-", "pack-after-"};
	for (size_t i = 0; i < ARRAY_SIZE(heads); i++)
		if (strncmp(name, heads[i], strlen(heads[i])) == 0)
			return name + strlen(heads[i]);
	return NULL;
}

static bool is_of(const struct strv *tasks, const char *layer)
{
	char id[TASK_ID_BYTES];
	snprintf(id, sizeof(id), "%.*s", TASK_ID_BYTES - 1, layer);
	return strv_contains(tasks, id);
}

/* Names of layers by kind: tasks' own, and scratch; the ids of those whose task runs, and of all
 * that have a name. */
struct found {
	struct strv own, scratch, busy_ids, named_ids;
};

static int find_layers(const struct strv *running, struct found *ret, struct error *error)
{
	cleanup_free char *store = NULL;
	int r = layer_store_path(&store, error);
	cleanup_free char *names = r == 0 ? path_join(store, "names") : NULL;
	cleanup_closedir DIR *dir = names ? opendir(names) : NULL;
	if (!dir)
		return r < 0 ? r : error_set_errno(error, errno, stage, "the layers");
	for (struct dirent *entry; r == 0 && (entry = readdir(dir));) {
		const char *name = entry->d_name;
		char target[64];
		bool scratch = scratch_of(name) != NULL;
		if (!scratch && order_of(name) < 0)
			continue;
		ssize_t n = readlinkat(dirfd(dir), name, target, sizeof(target) - 1);
		target[n > 0 ? n : 0] = '\0';
		if (n > 3 && is_ours(target + 3))
			r = strv_add(scratch ? &ret->scratch : &ret->own, name);
		if (scratch)
			continue;
		if (r == 0 && n > 3)
			r = strv_add(&ret->named_ids, target + 3);
		if (r == 0 && n > 3 && is_of(running, name))
			r = strv_add(&ret->busy_ids, target + 3);
	}
	return r < 0 ? error_set_errno(error, -r, stage, "the layers") : 0;
}

/* One that others stand on, whatever their names, stays. */
static void discard_unused(
	const struct found *found, const struct strv *used, const struct strv *running)
{
	struct error ignored;
	for (size_t i = 0; i < found->scratch.count; i++)
		if (!strv_contains(&found->busy_ids, scratch_of(found->scratch.items[i])))
			task_layer_discard(found->scratch.items[i], &ignored);
	for (int order = 0; order < 4; order++)
		for (size_t i = 0; i < found->own.count; i++) {
			const char *name = found->own.items[i];
			if (order_of(name) == order && !strv_contains(used, name) &&
				!is_of(running, name))
				task_layer_discard(name, &ignored);
		}
}

/* A kill between a layer's making and its name's leaves one that only knows its name. */
static int discard_nameless(
	const struct found *found, const struct strv *running, struct error *error)
{
	cleanup_strv struct strv ids = {0};
	int r = layer_list(&ids, error);
	for (size_t i = 0; r == 0 && i < ids.count; i++) {
		struct layer *layer = NULL;
		struct error ignored;
		if (strv_contains(&found->named_ids, ids.items[i]) ||
			layer_peek(ids.items[i], &layer, &ignored) < 0)
			continue;
		bool lost =
			layer->name && order_of(layer->name) >= 0 && !is_of(running, layer->name);
		layer_close(layer);
		if (lost && is_ours(ids.items[i]))
			task_layer_discard(ids.items[i], &ignored);
	}
	return r;
}

static int sweep_layers(const struct strv *used, const struct strv *running, struct error *error)
{
	struct found found = {0};
	int r = find_layers(running, &found, error);
	if (r == 0) {
		discard_unused(&found, used, running);
		r = discard_nameless(&found, running, error);
	}
	/* And what a kill left of such removals; layers without a name, which live for one search,
	 * only where no task runs that may have just made one. */
	char *none[] = {NULL};
	struct layer_garbage ignored;
	if (r == 0)
		r = layer_collect(running->count ? NULL : none, &ignored, error);
	strv_release(&found.named_ids);
	strv_release(&found.own);
	strv_release(&found.scratch);
	strv_release(&found.busy_ids);
	return r;
}

static bool is_old(int at, const char *name)
{
	struct stat st;
	return fstatat(at, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	       st.st_mtim.tv_sec + MAKING_S < task_now_us() / 1000000;
}

/* A directory without a row: of a task that was being made or removed when a kill came. */
static bool is_leftover(int at, const char *name, const struct strv *known)
{
	if (strncmp(name, ".new-", 5) == 0 || strncmp(name, ".dead-", 6) == 0)
		return is_old(at, name);
	if (!task_is_id(name) || strv_contains(known, name))
		return false;
	struct task task = {.lock = -1, .home_lock = -1};
	struct error ignored;
	snprintf(task.id, sizeof(task.id), "%s", name);
	bool free_to_take =
		task_find_directory(&task, &ignored) == 0 && task_lock(&task, &ignored) == 0;
	free(task.directory);
	close_fd(&task.lock);
	return free_to_take;
}

static int sweep_directories(struct store *store, struct error *error)
{
	cleanup_free char *tasks = NULL;
	cleanup_strv struct strv names = {0}, known = {0};
	int r = task_directories(&tasks, error);
	cleanup_closedir DIR *dir = r == 0 ? opendir(tasks) : NULL;
	if (!dir)
		return r < 0 ? r : error_set_errno(error, errno, stage, "%s", tasks);
	for (struct dirent *entry; (entry = readdir(dir));)
		if (strv_add(&names, entry->d_name) < 0)
			return error_set_errno(error, ENOMEM, stage, "%s", tasks);
	/* Read after the names: a row comes after its directory. */
	r = task_list_ids(store, &known, error);
	for (size_t i = 0; r == 0 && i < names.count; i++)
		if (is_leftover(dirfd(dir), names.items[i], &known))
			tree_remove(dirfd(dir), names.items[i]);
	return r;
}

int task_sweep(struct store *store, struct error *error)
{
	cleanup_close int lock = task_sweep_lock(true, error);
	if (lock < 0)
		return lock;
	cleanup_strv struct strv used = {0}, running = {0};
	int r = store_query(store, error, add_text, &used,
		"SELECT clone_layer FROM tasks UNION SELECT prepared_layer FROM tasks"
		" UNION SELECT layer FROM attempts UNION SELECT layer FROM prepared"
		" UNION SELECT clone_layer FROM prepared",
		"");
	if (r == 0)
		r = store_query(store, error, add_text, &running,
			"SELECT id FROM tasks WHERE state = 'running'", "");
	if (r == 0)
		r = sweep_layers(&used, &running, error);
	return r < 0 ? r : sweep_directories(store, error);
}

/* ---- removing ---- */

int task_remove(struct task *task, struct error *error)
{
	int r = task_lock(task, error);
	if (r < 0)
		return r;
	/* First the row: what it referred to is a leftover from then on. */
	r = store_run(task->store, error, "DELETE FROM tasks WHERE id = ?", "t", task->id);
	if (r == 0 && (r = tree_remove(AT_FDCWD, task->directory)) < 0)
		error_set_errno(error, -r, stage, "%s", task->directory);
	return r;
}
