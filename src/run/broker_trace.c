/* --witness full: every call that names a file is looked at before the kernel runs it.
 *
 * Theory of operation. The program waits; where its paths lead is found out as the broker always
 * does it, in the box's own mount namespace and with the owner's ids; whether the mount is
 * read-only and what modes say is asked of the kernel, which is what it will say itself a moment
 * later; and the plan says whether that is the box's doing. Then the call goes on. A program
 * that swaps its path in between has made the log say something else than what happened, and
 * nothing more: what is enforced is enforced by the kernel.
 *
 * In the landlock tier the broker answers whatever changes a file itself, and its answer is
 * known; for what it lets go on, the plan's places stand for Landlock's answer. */
#include "base/cleanup.h"
#include "base/path.h"
#include "run/broker_internal.h"
#include "witness/judge.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

enum { NONE = -1, BY_FLAGS = 0 };
enum trace_kind {
	TRACE_OPEN, /* by the flags, which stand behind the path */
	TRACE_EXECUTE,
	TRACE_CHANGE, /* of an attribute or the size */
	TRACE_MAKE,   /* an entry that is not to be there before */
	TRACE_REMOVE,
	TRACE_REPLACE, /* an entry, whether it is there or not */
};

/* Where a call's paths are among its arguments. */
struct trace_row {
	int nr;
	const char *name;
	enum trace_kind kind;
	int8_t dirfd, path; /* path NONE: the descriptor itself */
	int8_t flags;       /* of the arguments: where AT_SYMLINK_NOFOLLOW would be; NONE */
	bool nofollow;
};

static const struct trace_row rows[] = {
#ifdef SYS_open
	{SYS_open, "open", TRACE_OPEN, NONE, 0, NONE, false},
	{SYS_creat, "creat", TRACE_OPEN, NONE, 0, NONE, false},
	{SYS_mkdir, "mkdir", TRACE_MAKE, NONE, 0, NONE, true},
	{SYS_mknod, "mknod", TRACE_MAKE, NONE, 0, NONE, true},
	{SYS_symlink, "symlink", TRACE_MAKE, NONE, 1, NONE, true},
	{SYS_link, "link", TRACE_MAKE, NONE, 1, NONE, true},
	{SYS_rmdir, "rmdir", TRACE_REMOVE, NONE, 0, NONE, true},
	{SYS_unlink, "unlink", TRACE_REMOVE, NONE, 0, NONE, true},
	{SYS_rename, "rename", TRACE_REMOVE, NONE, 0, NONE, true},
	{SYS_rename, "rename", TRACE_REPLACE, NONE, 1, NONE, true},
	{SYS_chmod, "chmod", TRACE_CHANGE, NONE, 0, NONE, false},
	{SYS_chown, "chown", TRACE_CHANGE, NONE, 0, NONE, false},
	{SYS_lchown, "lchown", TRACE_CHANGE, NONE, 0, NONE, true},
	{SYS_utime, "utime", TRACE_CHANGE, NONE, 0, NONE, false},
	{SYS_utimes, "utimes", TRACE_CHANGE, NONE, 0, NONE, false},
	{SYS_futimesat, "futimesat", TRACE_CHANGE, 0, 1, NONE, false},
#endif
#ifdef SYS_renameat
	{SYS_renameat, "renameat", TRACE_REMOVE, 0, 1, NONE, true},
	{SYS_renameat, "renameat", TRACE_REPLACE, 2, 3, NONE, true},
#endif
	{SYS_openat, "openat", TRACE_OPEN, 0, 1, NONE, false},
	{SYS_execve, "execve", TRACE_EXECUTE, NONE, 0, NONE, false},
	{SYS_execveat, "execveat", TRACE_EXECUTE, 0, 1, 4, false},
	{SYS_mkdirat, "mkdirat", TRACE_MAKE, 0, 1, NONE, true},
	{SYS_mknodat, "mknodat", TRACE_MAKE, 0, 1, NONE, true},
	{SYS_symlinkat, "symlinkat", TRACE_MAKE, 1, 2, NONE, true},
	{SYS_linkat, "linkat", TRACE_MAKE, 2, 3, NONE, true},
	{SYS_unlinkat, "unlinkat", TRACE_REMOVE, 0, 1, NONE, true},
	{SYS_renameat2, "renameat2", TRACE_REMOVE, 0, 1, NONE, true},
	{SYS_renameat2, "renameat2", TRACE_REPLACE, 2, 3, NONE, true},
	{SYS_truncate, "truncate", TRACE_CHANGE, NONE, 0, NONE, false},
	{SYS_fchmod, "fchmod", TRACE_CHANGE, 0, NONE, NONE, false},
	{SYS_fchmodat, "fchmodat", TRACE_CHANGE, 0, 1, NONE, false},
	{SYS_fchown, "fchown", TRACE_CHANGE, 0, NONE, NONE, false},
	{SYS_fchownat, "fchownat", TRACE_CHANGE, 0, 1, 4, false},
	{SYS_utimensat, "utimensat", TRACE_CHANGE, 0, 1, 3, false},
	{SYS_setxattr, "setxattr", TRACE_CHANGE, NONE, 0, NONE, false},
	{SYS_lsetxattr, "lsetxattr", TRACE_CHANGE, NONE, 0, NONE, true},
	{SYS_fsetxattr, "fsetxattr", TRACE_CHANGE, 0, NONE, NONE, false},
	{SYS_removexattr, "removexattr", TRACE_CHANGE, NONE, 0, NONE, false},
	{SYS_lremovexattr, "lremovexattr", TRACE_CHANGE, NONE, 0, NONE, true},
	{SYS_fremovexattr, "fremovexattr", TRACE_CHANGE, 0, NONE, NONE, false},
};

static int open_flags(const struct trace_row *row, const struct request *request)
{
#ifdef SYS_creat
	if (row->nr == SYS_creat)
		return O_CREAT | O_WRONLY | O_TRUNC;
#endif
	return (int)request->args[row->path + 1];
}

static int wants_of(const struct trace_row *row, int flags)
{
	int mode = flags & O_ACCMODE;
	switch (row->kind) {
	case TRACE_OPEN:
		if (flags & O_PATH)
			return 0; /* neither read nor written */
		return (mode != O_WRONLY ? WITNESS_READ : 0) |
		       (mode != O_RDONLY || flags & (O_TRUNC | O_CREAT) ? WITNESS_WRITE : 0);
	case TRACE_EXECUTE:
		return WITNESS_READ;
	case TRACE_CHANGE:
		return WITNESS_WRITE;
	case TRACE_MAKE:
	case TRACE_REMOVE:
	case TRACE_REPLACE:
		break;
	}
	return WITNESS_ENTRY;
}

static bool is_read_only(int fd)
{
	struct statvfs fs;
	return fstatvfs(fd, &fs) == 0 && fs.f_flag & ST_RDONLY;
}

static bool mode_refuses(int fd, int mode)
{
	char link[32];
	snprintf(link, sizeof(link), "%d", fd);
	/* By the descriptor's name, which is relative to where the broker stands. */
	return faccessat(AT_FDCWD, link, mode, AT_EACCESS) < 0 && errno == EACCES;
}

/* What the kernel will say of changing what parent holds. */
static void predict_entry(int parent, struct traced_path *path)
{
	struct statx st;
	if (statx(parent, "", AT_EMPTY_PATH, STATX_MNT_ID, &st) == 0 && st.stx_mask & STATX_MNT_ID)
		path->mount = st.stx_mnt_id;
	path->by_mode = mode_refuses(parent, W_OK | X_OK);
	path->errno_value = is_read_only(parent) ? EROFS : path->by_mode ? EACCES : 0;
}

/* The same of what is there. */
static void predict_there(const struct trace_row *row, int flags, int fd, struct traced_path *path)
{
	bool changes = path->wants & WITNESS_WRITE;
	struct stat st;
	if (row->kind == TRACE_OPEN && flags & O_CREAT && flags & O_EXCL)
		return; /* EEXIST */
	/* A node leads elsewhere, whatever it lies on; and a directory is not opened to be
	 * written. */
	if (fstat(fd, &st) < 0 || S_ISCHR(st.st_mode) || S_ISFIFO(st.st_mode) ||
		S_ISSOCK(st.st_mode) || S_ISLNK(st.st_mode))
		return;
	path->directory = S_ISDIR(st.st_mode);
	if (row->kind == TRACE_OPEN && changes && path->directory)
		return;
	/* Modes of a file say nothing of who may change its attributes. */
	if (row->kind != TRACE_CHANGE || row->nr == SYS_truncate)
		path->by_mode = mode_refuses(fd, row->kind == TRACE_EXECUTE ? X_OK
						 : changes                  ? W_OK
									    : R_OK);
	path->errno_value = changes && is_read_only(fd) ? EROFS : path->by_mode ? EACCES : 0;
}

/* Where the last component would be, and whether it is there. */
static int look_at_entry(struct broker *broker, const struct request *request, int dirfd,
	const struct trace_row *row, struct traced_path *path)
{
	char copy[PATH_MAX];
	const char *name;
	struct stat st;
	cleanup_close int parent = -1;
	memcpy(copy, path->named, sizeof(copy));
	int r = client_open_parent(broker, request, dirfd, copy, &parent, &name);
	if (r < 0)
		return r;
	size_t length = strcspn(name, "/");
	names_entry_path(broker, parent, name, path->resolved);
	if (!path->resolved[0])
		return -ENOENT;
	char last[NAME_MAX + 1];
	if (length > NAME_MAX)
		return -ENAMETOOLONG;
	snprintf(last, sizeof(last), "%.*s", (int)length, name);
	if (mode_refuses(parent, X_OK))
		return -EACCES;
	bool there = fstatat(parent, last, &st, AT_SYMLINK_NOFOLLOW) == 0;
	if ((row->kind == TRACE_MAKE && there) || (row->kind == TRACE_REMOVE && !there))
		return -EEXIST; /* it fails for a reason of its own */
	predict_entry(parent, path);
	return 0;
}

/* A path whose way is blocked is taken as it is written. */
static void resolve_by_words(
	struct broker *broker, const struct request *request, int dirfd, struct traced_path *path)
{
	char base[PATH_MAX] = "/";
	if (path->named[0] != '/') {
		cleanup_close int fd = client_open(broker, request, dirfd, ".", O_DIRECTORY);
		if (fd < 0 || territory_path_of(broker, fd, base) < 0)
			base[0] = '\0';
	}
	cleanup_free char *clean = base[0] == '/' ? path_absolute(base, path->named) : NULL;
	path->resolved[0] = '\0';
	if (clean && strlen(clean) < sizeof(path->resolved))
		strcpy(path->resolved, clean);
}

static void look_at_descriptor(struct broker *broker, const struct request *request, int number,
	const struct trace_row *row, struct traced_path *path)
{
	cleanup_client_fd int fd = client_get_fd(broker, request, number);
	if (fd < 0 || territory_path_of(broker, fd, path->resolved) < 0 ||
		path->resolved[0] != '/') {
		path->resolved[0] = '\0';
		return;
	}
	strcpy(path->named, path->resolved);
	predict_there(row, 0, fd, path);
}

static void look_at_path(struct broker *broker, const struct request *request, int dirfd, int flags,
	const struct trace_row *row, struct traced_path *path)
{
	bool nofollow = row->nofollow || (row->kind == TRACE_OPEN && flags & O_NOFOLLOW) ||
			(row->flags != NONE && request->args[row->flags] & AT_SYMLINK_NOFOLLOW);
	int r = -ENOENT;
	if (path->wants & WITNESS_ENTRY) {
		r = look_at_entry(broker, request, dirfd, row, path);
	} else {
		cleanup_close int fd =
			client_open(broker, request, dirfd, path->named, nofollow ? O_NOFOLLOW : 0);
		r = fd;
		if (fd >= 0 && territory_path_of(broker, fd, path->resolved) == 0 &&
			path->resolved[0] == '/') {
			predict_there(row, flags, fd, path);
			return;
		}
		if (r == -ENOENT && row->kind == TRACE_OPEN && flags & O_CREAT)
			r = look_at_entry(broker, request, dirfd, row, path);
	}
	if (r == -EEXIST)
		path->resolved[0] = '\0';
	else if (r < 0 && !path->resolved[0])
		resolve_by_words(broker, request, dirfd, path);
	/* What hides a thing, and what is in the way: those errors are the plan's to explain. */
	if (r == -EACCES || r == -ENOENT) {
		path->errno_value = -r;
		path->by_mode = r == -EACCES;
	}
}

void tracing_begin(struct broker *broker, struct request *request, struct traced *ret)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows) && ret->count < TRACED_PATHS_MAX; i++) {
		const struct trace_row *row = &rows[i];
		if (row->nr != request->nr)
			continue;
		request->name = row->name;
		struct traced_path *path = &ret->paths[ret->count];
		int flags = row->kind == TRACE_OPEN ? open_flags(row, request) : 0;
		int dirfd = row->dirfd == NONE ? AT_FDCWD : (int)request->args[row->dirfd];
		path->wants = wants_of(row, flags);
		path->executes = row->kind == TRACE_EXECUTE;
		path->errno_value = 0;
		path->by_mode = path->directory = false;
		path->mount = 0;
		path->named[0] = path->resolved[0] = '\0';
		if (path->wants == 0)
			return;
		if (row->path == NONE) {
			look_at_descriptor(broker, request, dirfd, row, path);
		} else {
			/* Init's first command cannot be read, nor can what is not dumpable. */
			int r = client_read_string(broker, request, request->args[row->path],
				path->named, sizeof(path->named));
			if (r <= 0)
				continue;
			look_at_path(broker, request, dirfd, flags, row, path);
		}
		if (path->resolved[0])
			ret->count++;
	}
}

/* Whether Landlock will refuse what the broker lets go on: the plan knows, and nobody can ask.
 * Names in directories can be seen everywhere. */
static int landlock_answer(const struct broker *broker, const struct traced_path *path)
{
	const struct plan_place *place = plan_place_of(broker->plan, path->resolved);
	bool closed = (place->access == PLACE_HIDDEN &&
			      !(path->directory && path->wants == WITNESS_READ)) ||
		      (place->access == PLACE_READ && path->wants & ~WITNESS_READ);
	return path->errno_value ? path->errno_value : closed ? EACCES : 0;
}

enum outcome { PASSES, FAILS_BY_ITSELF, REFUSED };

static enum outcome record_refusal(
	struct broker *broker, const struct request *request, const struct traced_path *path)
{
	struct judgement judgement;
	int errno_value = broker->landlock ? landlock_answer(broker, path) : path->errno_value;
	struct attempt attempt = {.path = path->resolved,
		.wants = path->wants,
		.errno_value = errno_value,
		.by_mode = path->by_mode};
	if (!errno_value)
		return PASSES;
	if (!judge_path(broker->plan, &attempt, &judgement))
		return FAILS_BY_ITSELF;
	struct denial denial = {.pid = request->tid,
		.errno_value = errno_value,
		.time_ms = denials_now_ms(),
		.count = 1,
		.by_mode = path->by_mode && !broker->plan->facts.root};
	client_program(broker, request, denial.program);
	snprintf(denial.call, sizeof(denial.call), "%s", request->name);
	snprintf(denial.promise, sizeof(denial.promise), "%s", judgement.promise);
	snprintf(denial.target, sizeof(denial.target), "%.511s", path->named);
	snprintf(denial.resolved, sizeof(denial.resolved), "%.511s", path->resolved);
	snprintf(denial.reason, sizeof(denial.reason), "%s", judgement.reason);
	denials_add_whole(broker->denials, &denial);
	return REFUSED;
}

void tracing_end(struct broker *broker, const struct request *request, const struct traced *traced,
	int result)
{
	/* A rename to another mount fails with EXDEV before anything else is looked at. */
	if (traced->count == 2 && traced->paths[0].mount != traced->paths[1].mount &&
		traced->paths[0].mount && traced->paths[1].mount)
		return;
	for (size_t i = 0; i < traced->count; i++) {
		const struct traced_path *path = &traced->paths[i];
		enum outcome outcome = result < 0 ? REFUSED : PASSES;
		if (result == VERDICT_CONTINUE)
			outcome = record_refusal(broker, request, path);
		if (!broker->accesses || outcome == FAILS_BY_ITSELF)
			continue;
		unsigned kinds = (path->wants & WITNESS_READ ? ACCESS_READS : 0) |
				 (path->wants & WITNESS_WRITE ? ACCESS_WRITES : 0) |
				 (path->wants & WITNESS_ENTRY ? ACCESS_MAKES : 0) |
				 (path->executes ? ACCESS_EXECUTES : 0);
		accesses_add(broker->accesses, path->resolved, kinds, outcome == REFUSED);
	}
}
