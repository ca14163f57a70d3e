/* Theory of operation. A layer with a journal is named in STORE/applying before it has one, so a start
 * looks into one directory and no further where there is nothing to do. The journal's name tells the
 * phase; each phase may be begun again from its start. */
#include "layer/recover.h"

#include "base/cleanup.h"
#include "base/path.h"
#include "base/tree.h"
#include "layer/apply.h"
#include "layer/apply_place.h"
#include "layer/layer_internal.h"
#include "layer/settle.h"
#include "layer/upper_walk.h"

#include <fcntl.h>
#include <string.h>

static const char stage[] = "apply";
static const char markers[] = "applying";

int recover_mark(const struct layer *layer, struct error *error)
{
	cleanup_free char *path = NULL;
	cleanup_close int store = -1;
	int r = layer_open_store(&path, &store, error);
	if (r < 0)
		return r;
	cleanup_free char *marker = path_join(markers, layer->id);
	if (!marker || (mkdirat(store, markers, 0700) < 0 && errno != EEXIST))
		return error_set_errno(error, marker ? errno : ENOMEM, stage, "%s/%s", path, markers);
	cleanup_close int fd = openat(store, marker, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	return fd < 0 ? error_set_errno(error, errno, stage, "%s/%s", path, marker) : 0;
}

static void unmark(const char *id)
{
	cleanup_free char *path = NULL, *marker = path_join(markers, id);
	cleanup_close int store = -1;
	struct error ignored;
	if (marker && layer_open_store(&path, &store, &ignored) == 0)
		unlinkat(store, marker, 0);
}

/* ---- what the host has leaves the layer ---- */

static const struct layer_root *find_root(const struct layer *layer, const char *path)
{
	for (size_t i = 0; i < layer->roots_count; i++)
		if (strcmp(layer->roots[i].path, path) == 0)
			return &layer->roots[i];
	return NULL;
}

static int empty_directory(int directory)
{
	int own = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = 0;
	cleanup_closedir DIR *dir = own < 0 ? NULL : fdopendir(own);
	if (!dir) {
		close_fd(&own);
		return -errno;
	}
	for (struct dirent *entry; (entry = readdir(dir));) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		int removed = tree_remove(own, entry->d_name);
		r = r < 0 ? r : removed;
	}
	return r;
}

/* Whether the base does not show through a directory on the way: without what is in the upper there,
 * nothing would be there. */
static bool is_hidden(int upper, const char *path)
{
	char at[PATH_MAX];
	snprintf(at, sizeof(at), "%s", path);
	for (char *slash; (slash = strrchr(at, '/'));) {
		*slash = '\0';
		cleanup_close int fd = upper_open(upper, at, O_RDONLY | O_DIRECTORY);
		if (fd >= 0 && upper_is_opaque(fd))
			return true;
	}
	return false;
}

/* 1: it is gone from the upper; 0: it has to stay. */
static int leave_upper(int upper, const char *path)
{
	if (!*path) {
		int r = empty_directory(upper);
		return r < 0 ? r : 1;
	}
	if (is_hidden(upper, path))
		return 0;
	char above[PATH_MAX];
	snprintf(above, sizeof(above), "%s", path);
	char *slash = strrchr(above, '/');
	*(slash ? slash : above) = '\0';
	cleanup_close int directory = upper_open(upper, above, O_RDONLY | O_DIRECTORY);
	if (directory < 0)
		return directory == -ENOENT || directory == -ENOTDIR ? 1 : directory;
	int r = tree_remove(directory, path_name(path));
	return r < 0 ? r : 1;
}

static int leave_root(struct layer *layer, const struct layer_root *root,
	const struct apply_journal *journal, unsigned number, struct error *error)
{
	/* What stands on it, and what it stands on, still needs what it has. */
	bool may_go = layer->kind == LAYER_OVERLAY && !layer->sealed && !journal->keep &&
		      layer->parents.count == 0;
	cleanup_free char *path = path_join(root->directory, "upper");
	cleanup_close int upper = path ? open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	cleanup_strv struct strv stay = {0};
	if (upper < 0)
		return error_set_errno(error, path ? errno : ENOMEM, stage, "%s", root->path);
	for (size_t i = 0; i < journal->tops_count; i++) {
		const char *top = journal->tops[i].path;
		if (journal->tops[i].root != number)
			continue;
		int r = may_go ? leave_upper(upper, top) : 0;
		if (r == 0 && strv_add(&stay, top) < 0)
			r = -ENOMEM;
		if (r < 0)
			return error_set_errno(error, -r, stage, "%s/%s", path, top);
	}
	return layer_renew(layer, root, &stay, error);
}

/* Nothing is left: the layer lies on the host alone from now on. */
static int begin_anew(struct layer *layer, struct error *error)
{
	int r = 0;
	for (size_t i = 0; r == 0 && i < layer->roots_count; i++) {
		cleanup_close int root =
			open(layer->roots[i].directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		cleanup_close int upper = root < 0 ? -1 : upper_open(root, "upper", O_RDONLY | O_DIRECTORY);
		r = upper < 0 ? (root < 0 ? -errno : upper) : empty_directory(upper);
		if (r == 0 && unlinkat(root, "base", 0) < 0 && errno != ENOENT)
			r = -errno;
	}
	if (r < 0)
		return error_set_errno(error, -r, stage, "emptying layer %s", layer->id);
	strv_release(&layer->parents);
	layer->settled = true;
	return layer_save(layer, error);
}

static int leave_layer(struct layer *layer, const struct apply_journal *journal, struct error *error)
{
	if (journal->whole && !journal->keep && !layer->sealed && layer->kind == LAYER_OVERLAY)
		return begin_anew(layer, error);
	int r = 0;
	for (size_t i = 0; r == 0 && i < journal->roots_count; i++) {
		const struct layer_root *root = find_root(layer, journal->roots[i].path);
		/* A root that only parents have keeps nothing here. */
		if (root)
			r = leave_root(layer, root, journal, (unsigned)i, error);
	}
	return r;
}

/* ---- the phases ---- */

/* What was exchanged and put back has another ctime; it is still what the layer was made on. */
static int renew_undone(struct layer *layer, const struct apply_journal *journal, struct error *error)
{
	int r = 0;
	for (size_t i = 0; r == 0 && i < journal->roots_count; i++) {
		const struct layer_root *root = find_root(layer, journal->roots[i].path);
		cleanup_close int base = open(journal->roots[i].base, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		cleanup_strv struct strv same = {0};
		for (size_t k = 0; base >= 0 && k < journal->steps_count; k++) {
			const struct apply_step *step = &journal->steps[k];
			cleanup_close int fd = step->root == i ? upper_open(base, step->path, O_PATH) : -1;
			struct stat st;
			if (fd >= 0 && fstat(fd, &st) == 0 && apply_is_same(&st, &step->host) &&
				strv_add(&same, step->path) < 0)
				return error_set_errno(error, ENOMEM, stage, "records");
		}
		if (root && same.count)
			r = layer_renew(layer, root, &same, error);
	}
	return r;
}

static int take_back(struct layer *layer, int directory, enum apply_phase phase,
	const struct apply_journal *journal, struct apply_host *hosts, struct error *error)
{
	struct error ignored;
	size_t left = 0;
	apply_take_back(journal, hosts, phase != APPLY_STAGING, &left);
	if (phase != APPLY_STAGING)
		renew_undone(layer, journal, &ignored);
	if (left > 0)
		error_hint(error,
			"%zu of what was to be put back was changed meanwhile: what the host had is "
			"beside it, as .coffer-apply-%s-*",
			left, journal->id);
	return apply_journal_remove(directory, phase);
}

static int run_phases(struct layer *layer, int directory, enum apply_phase phase,
	const struct apply_journal *journal, struct apply_host *hosts, struct error *error)
{
	int r = 0, failed = 0;
	if (phase == APPLY_PLACING) {
		failed = apply_place(journal, hosts, error);
		if (failed == 0 && (failed = apply_sync(journal, hosts)) < 0)
			error_set_errno(error, -failed, stage, "writing to disk");
		if (failed == 0) {
			failed = apply_journal_move(directory, phase, APPLY_PLACED);
			if (failed < 0)
				error_set_errno(error, -failed, stage, "the journal of layer %s",
					layer->id);
		}
		/* Where not even that can be written, a kill now would go on with placing. */
		if (failed < 0 && apply_journal_move(directory, phase, APPLY_UNDOING) == 0)
			phase = APPLY_UNDOING;
		else if (failed == 0)
			phase = APPLY_PLACED;
	}
	if (phase == APPLY_PLACED) {
		apply_clear(journal, hosts);
		apply_sync(journal, hosts);
		r = leave_layer(layer, journal, error);
		if (r == 0 && apply_journal_remove(directory, phase) < 0)
			r = error_set_errno(error, errno, stage, "the journal of layer %s", layer->id);
		return r < 0 ? r : 1;
	}
	r = take_back(layer, directory, phase, journal, hosts, error);
	return r < 0 ? error_set_errno(error, -r, stage, "taking back what was staged")
	     : failed < 0 ? failed : 1;
}

int recover_layer(struct layer *layer, struct error *error)
{
	struct apply_journal journal = {0};
	struct apply_host *hosts = NULL;
	enum apply_phase phase;
	cleanup_close int directory = open(layer->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r = directory < 0 ? -errno : apply_journal_read(directory, &phase, &journal);
	if (r < 0)
		return error_set_errno(error, -r, stage, "the journal of layer %s", layer->id);
	/* One that was not complete when it was to be named. */
	unlinkat(directory, "apply.new", 0);
	if (phase == APPLY_NONE) {
		unmark(layer->id);
		return 0;
	}
	r = apply_hosts_open(&journal, &hosts, error);
	if (r == 0)
		r = run_phases(layer, directory, phase, &journal, hosts, error);
	apply_hosts_close(&journal, hosts);
	apply_journal_release(&journal);
	enum apply_phase now = APPLY_NONE;
	struct apply_journal rest = {0};
	if (apply_journal_read(directory, &now, &rest) == 0 && now == APPLY_NONE)
		unmark(layer->id);
	apply_journal_release(&rest);
	return r;
}

int layer_recover(struct error *error)
{
	cleanup_free char *path = NULL;
	cleanup_close int store = -1;
	int r = layer_open_store(&path, &store, error), done = 0;
	if (r < 0)
		return r;
	int fd = openat(store, markers, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? 0 : error_set_errno(error, errno, stage, "%s", path);
	cleanup_closedir DIR *dir = fdopendir(fd);
	if (!dir) {
		close_fd(&fd);
		return error_set_errno(error, errno, stage, "%s", path);
	}
	for (struct dirent *entry; (entry = readdir(dir));) {
		struct layer *layer = NULL;
		struct error own;
		if (!layer_is_id(entry->d_name))
			continue;
		int opened = layer_open(entry->d_name, LAYER_WRITE, &layer, &own);
		if (opened == -ENOENT)
			unlinkat(fd, entry->d_name, 0);
		if (opened < 0) /* somebody is at it */
			continue;
		int finished = recover_layer(layer, &own);
		if (finished < 0 && r == 0) {
			r = finished;
			*error = own;
		}
		done += finished > 0;
		layer_close(layer);
	}
	return r < 0 ? r : done;
}
