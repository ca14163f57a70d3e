/* Theory of operation. What a set-up makes is kept, and found again by a key: the digest of all
 * that it depended on. A secret's value is not part of it: the layer was searched and holds
 * none, and a token that is renewed for each run would leave nothing to be found. Its name and
 * source are, as is what was allowed to stay behind. Who makes a layer has a row that says so;
 * others with the same key wait until it is ready, or until the maker's task is no longer
 * locked, and then make it. */
#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/fd.h"
#include "base/limits.h"
#include "base/sys.h"
#include "layer/layer.h"
#include "task/box.h"
#include "task/phase.h"
#include "task/progress.h"
#include "task/task_internal.h"

#include <fcntl.h>
#include <sha2.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

enum { WAIT_US = 250 * 1000, BLOCK_BYTES = 64 * 1024 };

static const char stage[] = "setup";

/* ---- the key ---- */

/* At the top of a repository. */
static const char *const lock_files[] = {"package-lock.json", "npm-shrinkwrap.json", "yarn.lock",
	"pnpm-lock.yaml", "bun.lock", "bun.lockb", "deno.lock", "requirements.txt",
	"requirements-dev.txt", "requirements-test.txt", "poetry.lock", "uv.lock", "pdm.lock",
	"Pipfile.lock", "conda-lock.yml", "Cargo.lock", "go.sum", "Gemfile.lock", "composer.lock",
	"mix.lock", "pubspec.lock", "Package.resolved", "Podfile.lock", "gradle.lockfile",
	"packages.lock.json", "flake.lock", "rebar.lock", "stack.yaml.lock", "vcpkg.json",
	"conan.lock", "MODULE.bazel.lock", ".tool-versions", ".terraform.lock.hcl"};

/* What says that the host's programs and libraries, which a box sees, are others than before: their
 * contents or, for a package manager's records, their times. */
static const struct {
	const char *path;
	bool content;
} system_files[] = {
	{"/etc/os-release", true},
	{"/var/lib/dpkg/status", false},
	{"/var/lib/rpm", false},
	{"/usr/lib/sysimage/rpm", false},
	{"/lib/apk/db/installed", false},
	{"/var/lib/pacman/local", false},
	{"/nix/var/nix/profiles/system", false},
	{"/usr/local/bin", false},
	{"/usr/local/lib", false},
};

/* Each part with its length, so that no two lists of parts read alike. */
static void add_part(SHA2_CTX *key, const char *name, const void *data, size_t length)
{
	char head[128];
	int n = snprintf(head, sizeof(head), "%.80s %zu\n", name, length);
	SHA256Update(key, (const uint8_t *)head, (size_t)n);
	SHA256Update(key, data, length);
}

static void add_text(SHA2_CTX *key, const char *name, const char *text)
{
	if (text)
		add_part(key, name, text, strlen(text));
}

static void add_list(SHA2_CTX *key, const char *name, const struct strv *list)
{
	for (size_t i = 0; i < list->count; i++)
		add_text(key, name, list->items[i]);
}

static int add_file(SHA2_CTX *key, const char *name, int fd)
{
	SHA2_CTX content;
	uint8_t block[BLOCK_BYTES], digest[SHA256_DIGEST_LENGTH];
	struct stat st;
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size > MAX_TASK_LOCK_FILE_BYTES)
		return -EFBIG;
	SHA256Init(&content);
	ssize_t n;
	while ((n = fd_read_full(fd, block, sizeof(block))) > 0)
		SHA256Update(&content, block, (size_t)n);
	if (n < 0)
		return (int)n;
	SHA256Final(digest, &content);
	add_part(key, name, digest, sizeof(digest));
	return 0;
}

/* As they were cloned; a stranger wrote them, so beneath the layer and through no link. */
static int add_lock_files(SHA2_CTX *key, const struct task *task, struct error *error)
{
	struct layer *layer = NULL;
	int r = layer_open(task->clone_layer, LAYER_READ, &layer, error);
	if (r < 0)
		return r;
	cleanup_close int top = -1;
	for (size_t i = 0; i < layer->roots_count; i++)
		if (strcmp(layer->roots[i].path, TASK_WORKSPACE) == 0)
			top = open(layer->roots[i].directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	layer_close(layer);
	for (size_t i = 0; top >= 0 && i < ARRAY_SIZE(lock_files); i++) {
		char path[128];
		snprintf(path, sizeof(path), "upper/%s", lock_files[i]);
		cleanup_close int fd =
			sys_openat2(top, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC,
				RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS);
		r = fd < 0 ? 0 : add_file(key, lock_files[i], fd);
		if (r < 0 && r != -EFBIG)
			return error_set_errno(error, -r, stage, "%s", lock_files[i]);
	}
	return 0;
}

static void add_system(SHA2_CTX *key)
{
	for (size_t i = 0; i < ARRAY_SIZE(system_files); i++) {
		const char *path = system_files[i].path;
		char *content = NULL;
		size_t length;
		struct stat st;
		if (system_files[i].content &&
			fd_read_file(AT_FDCWD, path, MAX_PROC_FILE_BYTES, &content, &length) == 0)
			add_part(key, path, content, length);
		else if (stat(path, &st) == 0)
			add_part(key, path, &st.st_mtim, sizeof(st.st_mtim));
		free(content);
	}
}

static int make_key(
	const struct task *task, char ret[SHA256_DIGEST_STRING_LENGTH], struct error *error)
{
	const struct task_spec *spec = &task->spec;
	SHA2_CTX key;
	SHA256Init(&key);
	add_text(&key, "version", "2");
	/* The same commit may be in another repository, whose other branches are not this one's. */
	add_text(&key, "repository", spec->repository);
	add_text(&key, "commit", task->commit);
	add_text(&key, "branch", task->branch);
	add_part(&key, "depth", &spec->depth, sizeof(spec->depth));
	add_part(&key, "no-submodules", &spec->no_submodules, sizeof(spec->no_submodules));
	add_text(&key, "filter", spec->filter);
	add_text(&key, "setup", spec->setup);
	add_list(&key, "env", &spec->environment);
	add_list(&key, "secret", &spec->secrets);
	add_part(&key, "scrub", &spec->scrub, sizeof(spec->scrub));
	add_part(&key, "unsearched", &spec->unsearched_refused, sizeof(spec->unsearched_refused));
	add_list(&key, "leak", &spec->leaks_allowed);
	add_list(&key, "allow-domain", &spec->domains);
	add_list(&key, "setup-limit", &spec->setup_limits);
	add_text(&key, "home", spec->home);
	if (spec->setup_file) {
		cleanup_free char *path = NULL;
		if (asprintf(&path, "%s/setup", task->directory) < 0) {
			path = NULL;
			return error_set_errno(error, ENOMEM, stage, "the key");
		}
		cleanup_close int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
		int r = fd < 0 ? -errno : add_file(&key, "setup-file", fd);
		if (r < 0)
			return error_set_errno(error, -r, stage, "%s", path);
	}
	add_system(&key);
	int r = add_lock_files(&key, task, error);
	SHA256End(&key, ret);
	return r;
}

/* ---- the row ---- */

struct row {
	char *task, *state, *layer, *clone_layer, *leaks;
};

static int take_row(const struct store_row *from, void *context, struct error *error)
{
	struct row *row = context;
	if (store_take_text(from, 0, &row->task) < 0 || store_take_text(from, 1, &row->state) < 0 ||
		store_take_text(from, 2, &row->layer) < 0 ||
		store_take_text(from, 3, &row->clone_layer) < 0 ||
		store_take_text(from, 4, &row->leaks) < 0)
		return error_set_errno(error, ENOMEM, stage, "a prepared layer");
	return 0;
}

static void release_row(struct row *row)
{
	free(row->task);
	free(row->state);
	free(row->layer);
	free(row->clone_layer);
	free(row->leaks);
}

static bool is_locked(const char *id)
{
	struct task other = {.lock = -1, .home_lock = -1};
	struct error ignored;
	snprintf(other.id, sizeof(other.id), "%s", id);
	bool locked = task_find_directory(&other, &ignored) == 0 &&
		      access(other.directory, F_OK) == 0 && task_lock(&other, &ignored) == -EBUSY;
	free(other.directory);
	close_fd(&other.lock);
	return locked;
}

/* One look at the row, as one transaction. 1: somebody else is making it. */
struct claim {
	struct task *task;
	enum task_prepared *ret;
	bool refresh;
	char maker[TASK_ID_BYTES];
};

static int use(struct task *task, struct row *row, struct error *error)
{
	char **to[] = {&task->prepared_layer, &task->clone_layer, &task->leaks, &task->prepared_by};
	char **from[] = {&row->layer, &row->clone_layer, &row->leaks, &row->task};
	for (size_t i = 0; i < ARRAY_SIZE(to); i++) {
		free(*to[i]);
		*to[i] = steal_pointer(from[i]);
	}
	int r = task_save_prepared(task, error);
	return r < 0 ? r
		     : store_run(task->store, error,
			       "UPDATE prepared SET used_us = ? WHERE key = ?", "it", task_now_us(),
			       task->prepared_key);
}

static int look(struct store *store, void *context, struct error *error)
{
	struct claim *claim = context;
	struct task *task = claim->task;
	struct row row = {0};
	int r = store_query(store, error, take_row, &row,
		"SELECT task, state, layer, clone_layer, leaks FROM prepared WHERE key = ?", "t",
		task->prepared_key);
	bool ready = row.state && strcmp(row.state, "ready") == 0;
	bool own = row.task && strcmp(row.task, task->id) == 0;
	if (r == 0 && ready && !claim->refresh && task_layer_exists(row.layer) &&
		task_layer_exists(row.clone_layer)) {
		*claim->ret = PREPARED_READY;
		r = use(task, &row, error);
	} else if (r == 0 && row.state && !ready && !own && is_locked(row.task)) {
		snprintf(claim->maker, sizeof(claim->maker), "%s", row.task);
		r = 1;
	} else if (r == 0) {
		*claim->ret = PREPARED_MINE;
		r = store_run(store, error,
			"INSERT OR REPLACE INTO prepared (key, task, state, made_us, used_us)"
			" VALUES (?, ?, 'making', ?, ?)",
			"ttii", task->prepared_key, task->id, task_now_us(), task_now_us());
	}
	release_row(&row);
	return r;
}

int task_prepared_claim(struct task *task, enum task_prepared *ret, struct error *error)
{
	char key[SHA256_DIGEST_STRING_LENGTH];
	int r = make_key(task, key, error);
	if (r < 0)
		return r;
	free(task->prepared_key);
	task->prepared_key = strdup(key);
	if (!task->prepared_key)
		return error_set_errno(error, ENOMEM, stage, "the key");
	struct claim claim = {.task = task, .ret = ret, .refresh = task->spec.refresh};
	for (bool said = false;; said = true) {
		r = store_transaction(task->store, look, &claim, error);
		if (r != 1)
			return r;
		if (!said)
			task_progress_say(task, "setup: waiting for task %s, which makes the same",
				claim.maker);
		/* What is made meanwhile is as new as one could ask for. */
		claim.refresh = false;
		if (task_work_cancelled())
			return error_set(error, ECANCELED, stage, "cancelled");
		task_progress_tick(task);
		usleep(WAIT_US);
	}
}

struct done {
	struct task *task;
	const char *layer, *leaks;
};

static int save_done(struct store *store, void *context, struct error *error)
{
	const struct done *done = context;
	struct task *task = done->task;
	free(task->prepared_layer);
	free(task->prepared_by);
	task->prepared_layer = strdup(done->layer);
	task->prepared_by = strdup(task->id);
	if (!task->prepared_layer || !task->prepared_by)
		return error_set_errno(error, ENOMEM, stage, "a task");
	int r = task_save_prepared(task, error);
	if (r == 0)
		r = store_run(store, error,
			"UPDATE prepared SET state = 'ready', layer = ?, clone_layer = ?,"
			" leaks = ?, made_us = ?, used_us = ? WHERE key = ? AND task = ?",
			"tttiitt", done->layer, task->clone_layer, done->leaks, task_now_us(),
			task_now_us(), task->prepared_key, task->id);
	/* What was not used for the longest time is forgotten; tasks that stand on it keep it. */
	return r < 0 ? r
		     : store_run(store, error,
			       "DELETE FROM prepared WHERE state = 'ready' AND key NOT IN"
			       " (SELECT key FROM prepared ORDER BY used_us DESC LIMIT ?)",
			       "i", (int64_t)MAX_TASK_PREPARED);
}

int task_prepared_done(struct task *task, const char *layer, const char *leaks, struct error *error)
{
	struct done done = {task, layer, leaks};
	return store_transaction(task->store, save_done, &done, error);
}

void task_prepared_give_up(struct task *task)
{
	struct error ignored;
	store_run(task->store, &ignored,
		"DELETE FROM prepared WHERE key = ? AND task = ? AND state = 'making'", "tt",
		task->prepared_key, task->id);
}

/* ---- what is kept ---- */

int task_prepared_clear(struct store *store, uint64_t *ret_count, struct error *error)
{
	/* Not those that a task that runs, or may go on, stands on. */
	int r = store_run(store, error,
		"DELETE FROM prepared WHERE state = 'ready' AND layer NOT IN"
		" (SELECT prepared_layer FROM tasks WHERE prepared_layer IS NOT NULL"
		"  AND state IN ('running', 'interrupted', 'cancelled'))",
		"");
	*ret_count = r == 0 ? (uint64_t)store_changed(store) : 0;
	return r < 0 ? r : task_sweep(store, error);
}
