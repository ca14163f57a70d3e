/* A task's directory, its lock and its layers. */
#include "base/cleanup.h"
#include "base/fd.h"
#include "base/limits.h"
#include "base/path.h"
#include "base/tree.h"
#include "layer/layer.h"
#include "task/task_internal.h"

#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>

enum { LAYER_ATTEMPTS = 50, LAYER_PAUSE_US = 100000, START_TIME_FIELD = 22 };

static const char stage[] = "task";

int64_t task_now_us(void)
{
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* ---- who owns it ---- */

/* In clock ticks since the machine started; 0: no such process. */
static int64_t start_time(int64_t pid)
{
	char path[64];
	cleanup_free char *text = NULL;
	size_t length;
	snprintf(path, sizeof(path), "/proc/%lld/stat", (long long)pid);
	if (fd_read_file(AT_FDCWD, path, MAX_PROC_FILE_BYTES, &text, &length) < 0)
		return 0;
	/* The name, which is in brackets, may hold anything. */
	const char *s = strrchr(text, ')');
	for (int field = 2; s && field < START_TIME_FIELD; field++) {
		s = strchr(s, ' ');
		s = s ? s + 1 : NULL;
	}
	return s ? strtoll(s, NULL, 10) : 0;
}

void task_owner_self(int64_t *ret_pid, int64_t *ret_start)
{
	*ret_pid = getpid();
	*ret_start = start_time(getpid());
}

bool task_owner_lives(int64_t pid, int64_t start)
{
	return pid > 0 && start > 0 && start_time(pid) == start;
}

/* ---- directories ---- */

int task_directories(char **ret, struct error *error)
{
	cleanup_free char *state = NULL;
	int r = store_directory(&state, error);
	if (r < 0)
		return r;
	cleanup_free char *tasks = path_join(state, "tasks");
	if (!tasks)
		return error_set_errno(error, ENOMEM, stage, "%s", state);
	r = fd_make_directories(tasks);
	if (r < 0)
		return error_set_errno(error, -r, stage, "%s", tasks);
	*ret = steal_pointer(&tasks);
	return 0;
}

int task_sweep_lock(bool exclusive, struct error *error)
{
	cleanup_free char *tasks = NULL;
	int r = task_directories(&tasks, error);
	if (r < 0)
		return r;
	cleanup_free char *path = path_join(tasks, ".sweep");
	cleanup_close int fd =
		path ? open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600) : -1;
	if (fd < 0 || flock(fd, exclusive ? LOCK_EX : LOCK_SH) < 0)
		return error_set_errno(error, errno, stage, "%s", tasks);
	return steal_fd(&fd);
}

int task_find_directory(struct task *task, struct error *error)
{
	cleanup_free char *tasks = NULL;
	int r = task_directories(&tasks, error);
	if (r < 0)
		return r;
	task->directory = path_join(tasks, task->id);
	return task->directory ? 0 : error_set_errno(error, ENOMEM, stage, "%s", task->id);
}

struct task *task_new(struct store *store)
{
	struct task *task = calloc(1, sizeof(*task));
	if (task) {
		task->store = store;
		task->lock = task->home_lock = -1;
	}
	return task;
}

void task_free(struct task *task)
{
	if (!task)
		return;
	char *texts[] = {task->state, task->phase, task->commit, task->branch, task->clone_layer,
		task->prepared_layer, task->prepared_key, task->prepared_by, task->leaks,
		task->error, task->hint, task->result, task->directory};
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		free(texts[i]);
	task_spec_release(&task->spec);
	close_fd(&task->lock);
	close_fd(&task->home_lock);
	free(task);
}

/* ---- making ---- */

/* No letter that reads as another one. */
static const char alphabet[] = "abcdefghijkmnpqrstuvwxyz23456789";

bool task_is_id(const char *text)
{
	return strlen(text) == TASK_ID_BYTES - 1 && strncmp(text, "t-", 2) == 0 &&
	       strspn(text + 2, alphabet) == TASK_ID_BYTES - 3;
}

static int choose_id(char ret[TASK_ID_BYTES])
{
	unsigned char bytes[TASK_ID_BYTES - 3];
	if (getrandom(bytes, sizeof(bytes), 0) != sizeof(bytes))
		return -errno;
	strcpy(ret, "t-");
	for (size_t i = 0; i < sizeof(bytes); i++)
		ret[2 + i] = alphabet[bytes[i] % (sizeof(alphabet) - 1)];
	ret[TASK_ID_BYTES - 1] = '\0';
	return 0;
}

static int take_lock(struct task *task, struct error *error)
{
	cleanup_free char *path = path_join(task->directory, "lock");
	if (!path)
		return error_set_errno(error, ENOMEM, stage, "%s", task->id);
	cleanup_close int fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return error_set_errno(error, errno, stage, "%s", path);
	if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
		task->lock = steal_fd(&fd);
		return 0;
	}
	if (errno != EWOULDBLOCK)
		return error_set_errno(error, errno, stage, "%s", path);
	error_set(error, EBUSY, stage, "task %s is running (process %lld)", task->id,
		(long long)task->owner_pid);
	return error_hint(error,
		"`coffer task logs %s --follow` shows what it does; `coffer task "
		"cancel %s` ends it",
		task->id, task->id);
}

int task_lock(struct task *task, struct error *error)
{
	return take_lock(task, error);
}

/* What the spec names on the host is copied, so that a later change of it changes no task. */
static int copy_file(const struct task *task, const char *key, const char *from, const char *name,
	size_t max_bytes, mode_t mode, struct error *error)
{
	cleanup_free char *text = NULL;
	size_t length;
	int r = fd_read_file(AT_FDCWD, from, max_bytes, &text, &length);
	if (r < 0)
		return error_set_errno(error, -r, stage, "%s: %s", key, from);
	return task_write_file(task, name, text, length, mode, error);
}

static int copy_files(const struct task *task, struct error *error)
{
	const struct task_spec *spec = &task->spec;
	int r = 0;
	if (spec->prompt_file)
		r = copy_file(task, "prompt-file", spec->prompt_file, "prompt",
			MAX_TASK_PROMPT_BYTES, 0644, error);
	else if (spec->prompt)
		r = task_write_file(
			task, "prompt", spec->prompt, strlen(spec->prompt), 0644, error);
	if (r == 0 && spec->setup_file)
		r = copy_file(task, "setup", spec->setup_file, "setup", MAX_TASK_SETUP_BYTES, 0755,
			error);
	return r;
}

/* The directory gets its name when it is whole and locked: one that no row knows and nobody has
 * locked is a leftover. */
static int make_directory(struct task *task, struct error *error)
{
	cleanup_free char *tasks = NULL;
	char making[TASK_ID_BYTES + 8];
	int r = task_directories(&tasks, error);
	if (r < 0)
		return r;
	if (choose_id(task->id) < 0)
		return error_set_errno(error, errno, stage, "a random name");
	snprintf(making, sizeof(making), ".new-%s", task->id);
	task->directory = path_join(tasks, making);
	cleanup_free char *final = path_join(tasks, task->id);
	if (!task->directory || !final)
		return error_set_errno(error, ENOMEM, stage, "%s", tasks);
	if (mkdir(task->directory, 0700) < 0)
		return error_set_errno(error, errno, stage, "%s", task->directory);
	r = take_lock(task, error);
	if (r == 0)
		r = copy_files(task, error);
	if (r == 0 && rename(task->directory, final) < 0)
		r = error_set_errno(error, errno, stage, "%s", final);
	if (r < 0) {
		tree_remove(AT_FDCWD, task->directory);
		return r;
	}
	free(task->directory);
	task->directory = steal_pointer(&final);
	return 0;
}

int task_create(struct store *store, struct task_spec *spec, struct task **ret, struct error *error)
{
	struct task *task = task_new(store);
	if (!task)
		return error_set_errno(error, ENOMEM, stage, "a task");
	task->spec = *spec;
	*spec = (struct task_spec){0};
	task->created_us = (uint64_t)task_now_us();
	task->state = strdup("running");
	task->phase = strdup(task_phase_name(PHASE_CLONE));
	task_owner_self(&task->owner_pid, &task->owner_start);
	int r = task->state && task->phase ? make_directory(task, error)
					   : error_set_errno(error, ENOMEM, stage, "a task");
	if (r == 0) {
		r = task_insert(task, error);
		if (r < 0)
			tree_remove(AT_FDCWD, task->directory);
	}
	if (r < 0) {
		task_free(task);
		return r;
	}
	*ret = task;
	return 0;
}

/* ---- files ---- */

int task_open_log(const struct task *task, const char *name, struct error *error)
{
	cleanup_free char *path = path_join(task->directory, name);
	int fd = path ? open(path, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600)
		      : -1;
	return fd < 0 ? error_set_errno(error, path ? errno : ENOMEM, stage, "%s", name) : fd;
}

int task_write_file(const struct task *task, const char *name, const char *data,
	size_t length_bytes, mode_t mode, struct error *error)
{
	cleanup_free char *path = path_join(task->directory, name);
	cleanup_free char *fresh = NULL;
	if (!path || asprintf(&fresh, "%s.new", path) < 0) {
		fresh = NULL;
		return error_set_errno(error, ENOMEM, stage, "%s", name);
	}
	cleanup_close int fd =
		open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	int r = fd < 0 ? -errno : fd_write_full(fd, data, length_bytes);
	if (r == 0 && (fchmod(fd, mode) < 0 || fdatasync(fd) < 0 || rename(fresh, path) < 0))
		r = -errno;
	if (r < 0 && fd >= 0)
		unlink(fresh);
	return r < 0 ? error_set_errno(error, -r, stage, "%s", path) : 0;
}

/* ---- layers ---- */

int task_layer_discard(const char *name, struct error *error)
{
	struct layer *layer = NULL;
	int r = -EBUSY;
	/* A box that has just lost its supervisor's client may hold it for a moment. */
	for (int i = 0; r == -EBUSY && i < LAYER_ATTEMPTS; i++) {
		r = layer_open(name, LAYER_WRITE, &layer, error);
		if (r == -EBUSY)
			usleep(LAYER_PAUSE_US);
	}
	if (r == -ENOENT)
		return 0;
	return r < 0 ? r : layer_discard(layer, error);
}

bool task_layer_exists(const char *name)
{
	struct layer *layer = NULL;
	struct error ignored;
	int r = name ? layer_open(name, LAYER_READ, &layer, &ignored) : -ENOENT;
	layer_close(layer);
	return r == 0 || r == -EBUSY;
}

int task_layer_id(const char *name, char **ret_id, struct error *error)
{
	struct layer *layer = NULL;
	int r = layer_open(name, LAYER_READ, &layer, error);
	if (r == 0 && !(*ret_id = strdup(layer->id)))
		r = error_set_errno(error, ENOMEM, stage, "%s", name);
	layer_close(layer);
	return r;
}

int task_layer_create(struct task *task, const char *suffix, const char *purpose, const char *on,
	char **ret_name, struct error *error)
{
	cleanup_free char *name = NULL;
	if (asprintf(&name, "%s.%s", task->id, suffix) < 0) {
		name = NULL;
		return error_set_errno(error, ENOMEM, stage, "%s", suffix);
	}
	int r = task_layer_discard(name, error);
	struct layer *layer = NULL;
	struct layer_options options = {.name = name, .on = on, .purpose = purpose};
	/* Others that begin on the same layer hold it while they note that. */
	for (int i = 0; i < LAYER_ATTEMPTS; i++) {
		if (r == 0)
			r = layer_create(&options, &layer, error);
		if (r != -EBUSY)
			break;
		usleep(LAYER_PAUSE_US);
		r = 0;
	}
	layer_close(layer);
	if (r == 0)
		*ret_name = steal_pointer(&name);
	return r;
}
