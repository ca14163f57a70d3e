/* Renames of directories on a layer.
 *
 * Theory of operation. A layer is an overlay in the box's own user namespace, which does not rename
 * a directory of which anything lies below: EXDEV, as between two file systems. Programs that made
 * such a directory themselves a minute ago, in an earlier run, do not expect that. So where a
 * rename is notified anyhow, one of a directory is made here: by the kernel if it will, and else by
 * a process of its own, which moves the tree (move.c) and answers. The broker goes on meanwhile.
 *
 * That process is a fork of the broker and dies with it: the box's own namespaces, the owner's ids,
 * no capability that would help with files. It is outside the box's Landlock domain, so it moves
 * only within one mount of an overlay that the plan makes writable: hidden and protected files are
 * mounts of their own on top, and so out of its reach as they are out of the program's. */
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/sys.h"
#include "run/broker_internal.h"
#include "run/move.h"

#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>

/* One side of a rename, copied and held. */
struct side {
	int parent; /* owned */
	char path[PATH_MAX];
	char name[NAME_MAX + 1]; /* without slashes behind it */
};

static void release_side(struct side *side)
{
	close_fd(&side->parent);
}
#define cleanup_side __attribute__((cleanup(release_side)))

void moves_start(struct broker *broker)
{
	const struct plan *plan = broker->plan;
	for (size_t i = 0; i < plan->mounts_count; i++) {
		const struct plan_mount *mount = &plan->mounts[i];
		struct stat st;
		if (mount->kind != MOUNT_LAYER || broker->overlays_count == BROKER_OVERLAYS_MAX ||
			lstat(mount->target, &st) < 0)
			continue;
		broker->overlays[broker->overlays_count++] = st.st_dev;
	}
}

static bool is_overlay(const struct broker *broker, dev_t device)
{
	for (size_t i = 0; i < broker->overlays_count; i++)
		if (broker->overlays[i] == device)
			return true;
	return false;
}

/* 0, or VERDICT_CONTINUE: what cannot be found the kernel will not find either. */
static int find_side(const struct broker *broker, const struct request *request, int dirfd,
	uint64_t path, struct side *side)
{
	const char *name;
	if (client_read_string(broker, request, path, side->path, sizeof(side->path)) < 0 ||
		client_open_parent(broker, request, dirfd, side->path, &side->parent, &name) < 0)
		return VERDICT_CONTINUE;
	size_t length = strcspn(name, "/");
	if (length == 0 || length > NAME_MAX)
		return VERDICT_CONTINUE;
	memcpy(side->name, name, length);
	side->name[length] = '\0';
	bool special = strcmp(side->name, ".") == 0 || strcmp(side->name, "..") == 0;
	return special ? VERDICT_CONTINUE : 0;
}

static bool is_directory(const struct side *side)
{
	struct stat st;
	return fstatat(side->parent, side->name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	       S_ISDIR(st.st_mode);
}

/* Whether both sides lie in one mount, of an overlay of the box's. */
static bool in_one_overlay(
	const struct broker *broker, const struct side *from, const struct side *to)
{
	struct statx one, other;
	if (statx(from->parent, "", AT_EMPTY_PATH, STATX_MNT_ID, &one) < 0 ||
		statx(to->parent, "", AT_EMPTY_PATH, STATX_MNT_ID, &other) < 0 ||
		!(one.stx_mask & other.stx_mask & STATX_MNT_ID))
		return false;
	return one.stx_mnt_id == other.stx_mnt_id &&
	       is_overlay(broker, makedev(one.stx_dev_major, one.stx_dev_minor)) &&
	       is_overlay(broker, makedev(other.stx_dev_major, other.stx_dev_minor));
}

/* ---- the process that moves ---- */

struct patience {
	const struct broker *broker;
	uint64_t id, deadline_us;
};

static bool goes_on(void *context)
{
	const struct patience *patience = context;
	return clock_now_us() < patience->deadline_us &&
	       broker_valid(patience->broker, patience->id);
}

__attribute__((noreturn)) static void work(const struct broker *broker,
	const struct request *request, const struct side *from, const struct side *to,
	unsigned flags)
{
	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0 || getppid() != broker->self)
		_exit(1);
	struct patience patience = {.broker = broker,
		.id = request->id,
		.deadline_us = clock_now_us() + (uint64_t)MAX_MOVE_SECONDS * 1000000};
	const struct move_bounds bounds = {.entries = MAX_MOVE_ENTRIES,
		.bytes = (uint64_t)MAX_MOVE_MIB << 20,
		.goes_on = goes_on,
		.context = &patience};
	int r = move_directory(from->parent, from->name, to->parent, to->name, flags, &bounds);
	broker_answer(broker, request->id, r);
	_exit(0);
}

/* VERDICT_LATER, or -EAGAIN: enough are at it. */
static int start(struct broker *broker, const struct request *request, const struct side *from,
	const struct side *to, unsigned flags)
{
	while (broker->moves_count > 0 && waitpid(-1, NULL, WNOHANG) > 0)
		broker->moves_count--;
	if (broker->moves_count == BROKER_MOVES_MAX)
		return -EAGAIN;
	pid_t pid = fork();
	if (pid < 0)
		return -EXDEV;
	if (pid == 0)
		work(broker, request, from, to, flags);
	broker->moves_count++;
	return VERDICT_LATER;
}

/* ---- the call ---- */

/* VERDICT_CONTINUE, VERDICT_LATER, 0, -errno; -EAGAIN: later, and from the beginning. */
static int attempt(struct broker *broker, const struct request *request)
{
	struct rename_call call = names_of_rename(request);
	struct side from cleanup_side = {.parent = -1}, to cleanup_side = {.parent = -1};
	int r = find_side(broker, request, call.from_dirfd, call.from_path, &from);
	if (r == 0 && !is_directory(&from))
		r = VERDICT_CONTINUE;
	if (r == 0)
		r = find_side(broker, request, call.to_dirfd, call.to_path, &to);
	if (r == 0 && !in_one_overlay(broker, &from, &to))
		r = VERDICT_CONTINUE;
	if (r != 0)
		return r;
	/* The strings may be others than those that were looked at first; these are final. */
	if (names_watched(broker, from.parent, from.name))
		return names_refuse_rename(broker, request, from.path, from.parent, from.name);
	if (names_watched(broker, to.parent, to.name))
		return names_refuse_rename(broker, request, to.path, to.parent, to.name);
	if (!broker_valid(broker, request->id))
		return -ESRCH;
	if (renameat2(from.parent, from.name, to.parent, to.name, call.flags) == 0)
		return 0;
	/* Two directories of which one lies below cannot be exchanged at one stroke. */
	if (errno != EXDEV || call.flags & ~(unsigned)RENAME_NOREPLACE)
		return -errno;
	return start(broker, request, &from, &to, call.flags);
}

static bool resume_rename(struct broker *broker, struct pending *pending, bool ready)
{
	(void)ready;
	int r = attempt(broker, &pending->request);
	if (r == -EAGAIN)
		return false;
	if (r != VERDICT_LATER)
		broker_answer(broker, pending->id, r == VERDICT_CONTINUE ? -EXDEV : r);
	return true;
}

int moves_rename(struct broker *broker, const struct request *request)
{
	if (broker->overlays_count == 0)
		return VERDICT_CONTINUE;
	int r = attempt(broker, request);
	if (r != -EAGAIN)
		return r;
	struct pending *pending = sockets_park(broker, request);
	if (!pending)
		return -EXDEV;
	pending->resume = resume_rename;
	pending->retry = true;
	return VERDICT_LATER;
}
