/* Theory of operation. A layer does not hold what it replaces: that is still the host's, who may
 * change it any time. So at the end of a run everything that the layer's own upper says something
 * about is looked up on the host and written down, once: a record is kept for as long as the layer
 * has something there. Later, a host file that does not look like its record was changed by somebody
 * else.
 *
 * Changes during the run show by their ctime, which no program can set. The kernel takes it from a
 * clock that lags by some ms, and so it may be older than the run although the change was younger. For
 * so long, what the layer has there decides: if that was made later, the box has seen the change. */
#include "layer/settle.h"

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/limits.h"
#include "base/path.h"
#include "base/sys.h"
#include "layer/layer_internal.h"
#include "layer/reach.h"
#include "layer/records.h"
#include "layer/walk.h"

#include <fcntl.h>
#include <string.h>
#include <sys/wait.h>
#include <sys/xattr.h>

static const char stage[] = "layer";

static const uint64_t beneath = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;

uint64_t layer_time_us(const struct timespec *time)
{
	return (uint64_t)time->tv_sec * 1000000 + (uint64_t)time->tv_nsec / 1000;
}

uint64_t layer_clock_lag_us(void)
{
	struct timespec tick;
	/* A virtual machine's ticks may come late. */
	return clock_getres(CLOCK_REALTIME_COARSE, &tick) < 0 ? 30000 : 3 * layer_time_us(&tick);
}

/* ---- was it changed in the run? ---- */

/* When what hides the base's path was made in the upper: the thing there itself, or what a directory
 * above it has become. 0: not known. */
static uint64_t born_us(const struct layer_view *view, const char *path)
{
	char at[MAX_PATH_BYTES];
	size_t length = strlen(path);
	if (!view->own || length >= sizeof(at))
		return 0;
	memcpy(at, path, length + 1);
	for (;;) {
		struct statx stx;
		cleanup_close int fd = sys_openat2(
			view->uppers[0], *at ? at : ".", O_PATH | O_NOFOLLOW | O_CLOEXEC, beneath);
		if (fd >= 0)
			return statx(fd, "", AT_EMPTY_PATH, STATX_BTIME, &stx) == 0 &&
					       (stx.stx_mask & STATX_BTIME)
				       ? (uint64_t)stx.stx_btime.tv_sec * 1000000 +
						 stx.stx_btime.tv_nsec / 1000
				       : 0;
		if (!*at || (errno != ENOENT && errno != ENOTDIR))
			return 0;
		char *slash = strrchr(at, '/');
		*(slash ? slash : at) = '\0';
	}
}

static bool changed_since(const struct layer_change *change, uint64_t since_us)
{
	const struct stat *st = &change->before.st;
	uint64_t changed_us = layer_time_us(&st->st_ctim);
	/* A directory's ctime moves with each name in it, which has its own record. */
	if (S_ISDIR(st->st_mode) || changed_us + layer_clock_lag_us() < since_us)
		return false;
	return changed_us >= since_us || born_us(change->view, change->path) <= changed_us;
}

/* Whether the host may have removed it in the run. Overlayfs marks what it has copied up; a rename
 * takes the mark along, so that it says little unless something of the directory has changed, too. */
static bool lost_in_run(const struct layer_change *change, uint64_t since_us)
{
	char at[MAX_PATH_BYTES];
	cleanup_close int fd = layer_open_after(change);
	if (fd < 0 || fgetxattr(fd, "user.overlay.origin", NULL, 0) < 0)
		return false;
	snprintf(at, sizeof(at), "%s", change->path);
	for (bool top = false; !top;) {
		char *slash = strrchr(at, '/');
		struct stat st;
		top = !slash;
		*(slash ? slash : at) = '\0';
		cleanup_close int above = sys_openat2(change->view->base, top ? "." : at,
			O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, beneath);
		if (above >= 0 && fstat(above, &st) == 0)
			return layer_time_us(&st.st_ctim) + layer_clock_lag_us() >= since_us;
	}
	return false;
}

/* ---- recording ---- */

struct settling {
	const struct layer *layer;
	struct layer_records *records; /* as they were */
	struct records_writer *writer;
	struct layer_counts *counts;
	uint64_t since_us;
	bool fresh;               /* something that no record said anything of */
	const struct strv *renew; /* NULL: nothing */
};

/* What the base has, where a parent stands before it that has no record of its own. */
static void look_at_base(const struct layer_change *change, struct layer_entry *ret)
{
	if (change->view->base < 0)
		return;
	cleanup_close int fd = sys_openat2(change->view->base, *change->path ? change->path : ".",
		O_PATH | O_NOFOLLOW | O_CLOEXEC, beneath);
	if (fd >= 0 && fstat(fd, &ret->st) == 0)
		ret->present = true;
}

static struct layer_record make_record(
	const struct settling *settling, const struct layer_change *change)
{
	struct layer_change of_base = *change;
	bool shown = change->before.present && change->before.at == change->view->base;
	if (!shown)
		of_base.before = (struct layer_entry){0};
	if (!shown && settling->layer->parents.count > 0)
		look_at_base(change, &of_base.before);
	return (struct layer_record){.base = of_base.before,
		.changed_in_run = of_base.before.present
					  ? changed_since(&of_base, settling->since_us)
					  : change->view->base >= 0 &&
						    lost_in_run(change, settling->since_us)};
}

static bool is_renewed(const struct settling *settling, const char *path)
{
	for (size_t i = 0; settling->renew && i < settling->renew->count; i++) {
		const char *top = settling->renew->items[i];
		size_t length = strlen(top);
		if (length == 0 ||
			(strncmp(path, top, length) == 0 && (path[length] == '/' || !path[length])))
			return true;
	}
	return false;
}

static int renew_record(struct settling *settling, const struct layer_change *change)
{
	struct layer_record record = {.renewed = true};
	look_at_base(change, &record.base);
	settling->fresh = true;
	return records_add(settling->writer, change->path, &record);
}

static int record_change(const struct layer_change *change, void *context)
{
	struct settling *settling = context;
	if (settling->counts)
		layer_count_change(change, settling->counts);
	if (is_renewed(settling, change->path))
		return renew_record(settling, change);
	const struct layer_record *known = records_find_own(settling->records, change->path);
	if (known)
		return records_add(settling->writer, change->path, known);
	if (records_find_below(settling->records, change->path))
		return 0;
	settling->fresh = true;
	struct layer_record record = make_record(settling, change);
	return records_add(settling->writer, change->path, &record);
}

/* Of a copy: at first all that was copied; later, beside that, what the box has made since. */
static int record_copied(const struct layer_change *change, void *context)
{
	struct settling *settling = context;
	if (is_renewed(settling, change->path))
		return renew_record(settling, change);
	const struct layer_record *known = records_find_own(settling->records, change->path);
	if (known)
		return records_add(settling->writer, change->path, known);
	bool first = !records_has_own(settling->records);
	if (!first && !change->after.present)
		return 0; /* the host's, and new there */
	settling->fresh = true;
	struct layer_record record = {.base = change->before,
		.changed_in_run = change->before.present &&
				  (!first || changed_since(change, settling->layer->created_us))};
	return records_add(settling->writer, change->path, &record);
}

/* A moment that every file which was copied is older than, and none that is changed from now on: when
 * the clock from which files get their times has reached what the precise one shows now. */
static uint64_t wait_for_clock(void)
{
	uint64_t now_us = layer_now_us();
	for (int i = 0; i < 500; i++) {
		struct timespec coarse;
		clock_gettime(CLOCK_REALTIME_COARSE, &coarse);
		if (layer_time_us(&coarse) > now_us)
			return layer_time_us(&coarse);
		usleep(200);
	}
	return 0; /* somebody has set it back */
}

static uint64_t copied_us(const struct settling *settling)
{
	const struct layer *layer = settling->layer;
	if (layer->kind != LAYER_COPY)
		return 0;
	bool complete = records_has_own(settling->records) || layer->started_us;
	return complete ? layer_copied_us(layer, settling->records) : wait_for_clock();
}

static int write_records(
	const struct layer_view *view, struct settling *settling, struct error *error)
{
	bool copy = view->kind == LAYER_COPY;
	int r = records_begin(view->root->directory, &settling->writer);
	if (r == 0)
		r = walk_own(view, copy, copy ? record_copied : record_change, settling, error);
	if (r == 0 &&
		(settling->fresh || !records_has_own(settling->records) ||
			records_written(settling->writer) != records_own_count(settling->records)))
		r = records_commit(settling->writer, copied_us(settling));
	records_writer_free(settling->writer);
	return r;
}

static int settle_root(const struct layer *layer, const struct layer_root *root,
	struct layer_counts *counts, const struct strv *renew, struct error *error)
{
	struct settling settling = {
		.layer = layer, .counts = counts, .since_us = layer->started_us, .renew = renew};
	struct layer_view view;
	int r = layer_view_open(layer, root, &view, error);
	if (r == 0)
		r = records_open(layer, path_name(root->directory), &settling.records, error);
	if (r == 0) {
		/* What the walk says of a place is more than what can be said here. */
		struct error walked = {0};
		r = write_records(&view, &settling, &walked);
		if (r < 0 && walked.errno_value && error)
			*error = walked;
		else if (r < 0)
			error_set_errno(error, -r, stage, "records of %s", root->path);
	}
	layer_records_free(settling.records);
	layer_view_release(&view);
	return r;
}

static int settle_roots(struct layer *layer, struct layer_counts *ret_counts, struct error *error)
{
	bool copy = layer->kind == LAYER_COPY;
	int r = 0;
	for (size_t i = 0; r == 0 && i < layer->roots_count; i++)
		r = settle_root(layer, &layer->roots[i], copy ? NULL : ret_counts, NULL, error);
	/* Of a copy only the records tell who changed what. */
	return r == 0 && copy ? layer_count(layer, ret_counts, error) : r;
}

/* ---- what a box has shut ---- */

struct outcome {
	int r;
	struct layer_counts counts;
	struct error error;
};

/* A child may do what this process must not for the rest of its life. */
static int settle_in_child(
	struct layer *layer, struct layer_counts *ret_counts, struct error *error)
{
	struct outcome outcome = {0};
	int ends[2];
	if (pipe2(ends, O_CLOEXEC) < 0)
		return error_set_errno(error, errno, stage, "records of layer %s", layer->id);
	pid_t pid = fork();
	if (pid == 0) {
		reach_allow();
		outcome.r = settle_roots(layer, &outcome.counts, &outcome.error);
		fd_write_full(ends[1], &outcome, sizeof(outcome));
		_exit(0);
	}
	close(ends[1]);
	ssize_t n = pid < 0 ? -errno : fd_read_full(ends[0], &outcome, sizeof(outcome));
	close(ends[0]);
	/* Whoever reaps every child here may have reaped it. */
	while (pid > 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		continue;
	if (n != sizeof(outcome))
		return error_set_errno(
			error, n < 0 ? (int)-n : ECHILD, stage, "records of layer %s", layer->id);
	*ret_counts = outcome.counts;
	if (outcome.r < 0 && error)
		*error = outcome.error;
	return outcome.r;
}

int layer_settle(struct layer *layer, struct layer_counts *ret_counts, struct error *error)
{
	struct layer_counts counts = {0};
	int r = settle_roots(layer, &counts, error);
	if (r == -EACCES && geteuid() != 0) {
		counts = (struct layer_counts){0};
		r = settle_in_child(layer, &counts, error);
	}
	if (r == 0 && !layer->settled) {
		layer->settled = true;
		r = layer_save(layer, error);
		layer->settled = r == 0;
	}
	if (r == 0 && ret_counts)
		*ret_counts = counts;
	return r;
}

int layer_renew(struct layer *layer, const struct layer_root *root, const struct strv *paths,
	struct error *error)
{
	return settle_root(layer, root, NULL, paths, error);
}

/* ---- comparing with what was recorded ---- */

static bool same_time(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

enum layer_host_state layer_host_state(
	const struct layer_records *records, const char *path, const struct layer_entry *now)
{
	const struct layer_record *record = layer_records_find(records, path);
	if (!record)
		return now->present ? LAYER_HOST_CHANGED : LAYER_HOST_SAME;
	const struct layer_entry *then = &record->base;
	if (record->changed_in_run || then->present != now->present)
		return LAYER_HOST_CHANGED;
	if (!now->present)
		return LAYER_HOST_SAME;
	if (then->st.st_mode != now->st.st_mode)
		return LAYER_HOST_CHANGED;
	if (S_ISDIR(now->st.st_mode))
		return LAYER_HOST_SAME;
	bool same = then->st.st_ino == now->st.st_ino && then->st.st_size == now->st.st_size &&
		    same_time(&then->st.st_mtim, &now->st.st_mtim) &&
		    same_time(&then->st.st_ctim, &now->st.st_ctim);
	return same ? LAYER_HOST_SAME : LAYER_HOST_CHANGED;
}
