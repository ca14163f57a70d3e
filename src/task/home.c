/* DIR/homes/NAME/tree is what lies lowest below the home of every task of a family. Tasks hold
 * NAME/lock shared while boxes of theirs may run; who writes the tree holds it alone: overlayfs
 * leaves undefined what a box sees of a lower directory that changes. */
#include "base/cleanup.h"
#include "base/fd.h"
#include "base/path.h"
#include "layer/apply.h"
#include "task/box.h"
#include "task/progress.h"
#include "task/task_internal.h"

#include <fcntl.h>
#include <string.h>
#include <sys/file.h>

enum { WAIT_US = 250 * 1000, WAIT_ATTEMPTS = 4 * 60 * 10 };

static const char stage[] = "home";

static int home_path(const struct task *task, const char *name, char **ret, struct error *error)
{
	cleanup_free char *state = NULL;
	int r = store_directory(&state, error);
	if (r < 0)
		return r;
	if (asprintf(ret, "%s/homes/%s/%s", state, task->spec.home, name) < 0) {
		*ret = NULL;
		return error_set_errno(error, ENOMEM, stage, "%s", task->spec.home);
	}
	return 0;
}

int task_home_take(struct task *task, char **ret_directory, struct error *error)
{
	if (!task->spec.home)
		return 0;
	cleanup_free char *tree = NULL, *lock = NULL;
	int r = home_path(task, "tree", &tree, error);
	if (r == 0)
		r = home_path(task, "lock", &lock, error);
	if (r == 0 && (r = fd_make_directories(tree)) < 0)
		error_set_errno(error, -r, stage, "%s", tree);
	if (r == 0 && task->home_lock < 0) {
		task->home_lock = open(lock, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
		if (task->home_lock < 0 || flock(task->home_lock, LOCK_SH) < 0)
			r = error_set_errno(error, errno, stage, "%s", lock);
	}
	if (r == 0)
		*ret_directory = steal_pointer(&tree);
	return r;
}

static int take_alone(struct task *task, struct error *error)
{
	/* Given back first: two tasks that both keep their share would wait for ever. */
	flock(task->home_lock, LOCK_UN);
	for (int i = 0; i < WAIT_ATTEMPTS; i++) {
		if (flock(task->home_lock, LOCK_EX | LOCK_NB) == 0)
			return 0;
		if (i == 0)
			task_progress_say(
				task, "waiting for other tasks with home %s", task->spec.home);
		task_progress_tick(task);
		usleep(WAIT_US);
	}
	error_set(error, EBUSY, stage, "home %s is in use by other tasks", task->spec.home);
	return error_hint(error, "it is as it was; `coffer task resume %s` tries again", task->id);
}

/* A secret that somebody let stay in the set-up's layer is for that task, not for its family. The
 * agent could read it, wherever it is, and the home is what the agent wrote. */
static bool holds_secret(const struct task *task)
{
	json_t *leaks = task->leaks ? json_loads(task->leaks, 0, NULL) : NULL, *leak;
	bool found = false;
	size_t i;
	json_array_foreach(leaks, i, leak)
	{
		const char *path = json_string_value(json_object_get(leak, "path"));
		const char *action = json_string_value(json_object_get(leak, "action"));
		found = found || !action || strcmp(action, "allowed") == 0 ||
			(path && path_is_below(path, TASK_HOME) && strcmp(action, "scrubbed") != 0);
	}
	json_decref(leaks);
	return found;
}

int task_home_keep(struct task *task, const char *name, struct error *error)
{
	cleanup_free char *tree = NULL;
	if (!task->spec.home)
		return 0;
	if (holds_secret(task)) {
		task_progress_say(task, "home %s stays as it was: the agent could read a secret",
			task->spec.home);
		return 0;
	}
	int r = task_home_take(task, &tree, error);
	if (r == 0)
		r = take_alone(task, error);
	if (r < 0)
		return r;
	struct layer *layer = NULL;
	r = layer_open(name, LAYER_WRITE, &layer, error);
	char *paths[] = {tree, NULL};
	struct apply_options options = {
		.paths = paths, .force = true, .protected_names = true, .keep = true};
	struct apply_result result = {0};
	if (r == 0)
		r = layer_apply(layer, &options, &result, error);
	if (r == -ENOENT) /* nothing was written there */
		r = 0;
	if (r == -ECANCELED && result.refusals_count)
		r = error_set(error, EPERM, stage, "home %s: %s", task->spec.home,
			result.refusals[0].text);
	apply_result_release(&result);
	layer_close(layer);
	close_fd(&task->home_lock);
	return r;
}
