/* Calls that change what directories hold, and opens for writing, in the landlock tier; see
 * broker_territory.c for which places are decided here.
 *
 * Theory of operation. Each path is read once and split into a directory, which is held, and a name
 * in it. A protected name is neither made nor moved nor removed. In a place that Landlock knows the
 * call is let through, and counted: it is then the program's to swap its arguments, and Landlock's
 * to judge what becomes of that, so no directory in which a protected name could appear is ever
 * under a grant (plan/points.c). In a place of the broker's own the call is made here, on the held
 * directory and copies of the names, under the program's umask; what was opened is put into the
 * program by ADDFD. Only regular files are: a directory descriptor, or whatever a device hands out,
 * could lead out. A path that cannot be resolved fails as it would in the kernel. */
#include "base/cleanup.h"
#include "base/fd.h"
#include "policy/names.h"
#include "run/broker_internal.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

/* A name in a directory. */
struct place {
	int parent; /* held; owned */
	char name[NAME_MAX + 1];
	bool slash;          /* the path ended in one: a directory is meant */
	char path[PATH_MAX]; /* as the program wrote it */
	char real[PATH_MAX + NAME_MAX + 2];
	enum territory territory;
};

static void release_place(struct place *place)
{
	close_fd(&place->parent);
}
#define cleanup_place __attribute__((cleanup(release_place)))

static bool is_protected(const struct broker *broker, const struct place *place)
{
	return names_watched(broker, place->parent, place->name) != NULL;
}

static int let_through(struct broker *broker)
{
	__atomic_fetch_add(broker->continued, 1, __ATOMIC_SEQ_CST);
	return VERDICT_CONTINUE;
}

/* place->path has been read. 0; VERDICT_CONTINUE where there is nothing to decide; -errno. */
static int settle_place(
	struct broker *broker, const struct request *request, int dirfd, struct place *place)
{
	const char *name;
	int r = client_open_parent(broker, request, dirfd, place->path, &place->parent, &name);
	if (r < 0)
		return r;
	size_t length = strcspn(name, "/");
	if (length > NAME_MAX)
		return -ENAMETOOLONG;
	memcpy(place->name, name, length);
	place->name[length] = '\0';
	place->slash = name[length] == '/';
	if (strcmp(place->name, ".") == 0 || strcmp(place->name, "..") == 0)
		return let_through(broker); /* it is there, and cannot be removed by that name */
	char directory[PATH_MAX];
	place->territory = territory_of_fd(broker, place->parent, directory);
	snprintf(place->real, sizeof(place->real), "%s/%s", strcmp(directory, "/") ? directory : "",
		place->name);
	return 0;
}

static int find_place(struct broker *broker, const struct request *request, int dirfd,
	uint64_t address, struct place *place)
{
	place->parent = -1;
	int r = client_read_string(broker, request, address, place->path, sizeof(place->path));
	return r < 0 ? r : settle_place(broker, request, dirfd, place);
}

static int refuse_name(
	struct broker *broker, const struct request *request, const struct place *place)
{
	broker_record_at(broker, request, "P2", place->path, place->real, EACCES,
		"a protected name at the top of a writable root or repository stays as it is");
	return -EACCES;
}

static int refuse_carve_out(
	struct broker *broker, const struct request *request, const struct place *place)
{
	broker_record_at(broker, request, "P1", place->path, place->real, EACCES,
		"this entry, or something below it, is read-only in the box");
	return -EACCES;
}

/* Whether name, which is to appear at place, may: 0, -errno, or VERDICT_CONTINUE. */
static int check_new(
	struct broker *broker, const struct request *request, const struct place *place)
{
	struct stat st;
	if (is_protected(broker, place))
		return fstatat(place->parent, place->name, &st, AT_SYMLINK_NOFOLLOW) == 0
			       ? -EEXIST
			       : refuse_name(broker, request, place);
	return place->territory == TERRITORY_BROKER ? 0 : let_through(broker);
}

/* The same for one that is there and is to go, or to be replaced. */
static int check_old(
	struct broker *broker, const struct request *request, const struct place *place)
{
	if (is_protected(broker, place))
		return refuse_name(broker, request, place);
	/* A directory that is watched, or leads to one, is looked for at its place. */
	if (names_holds_watch(broker, place->real) ||
		(place->territory == TERRITORY_BROKER &&
			territory_holds_carve_out(broker, place->real)))
		return refuse_carve_out(broker, request, place);
	return place->territory == TERRITORY_BROKER ? 0 : let_through(broker);
}

/* A secret that came to be while the box ran (it would have been a carve-out) cannot be read where
 * the directory cannot; what is handed over, or got another name, could be. */
static bool is_late_secret(const struct broker *broker, const char *path)
{
	bool secret = false;
	for (const char *at = path; *at && !secret;) {
		char name[NAME_MAX + 1];
		at += strspn(at, "/");
		size_t length = strcspn(at, "/");
		snprintf(name, sizeof(name), "%.*s", (int)length, at);
		at += length;
		secret = *name && (names_secret_directory(name) || (!*at && names_secret(name)));
	}
	return secret && !territory_is_readable(broker, path);
}

static int refuse_secret(struct broker *broker, const struct request *request, const char *path)
{
	broker_record(broker, request, "P4", path, EACCES,
		"a secret that appeared after the launch is hidden as those before");
	return -EACCES;
}

/* The name with its slash, if it had one: the kernel then insists on a directory. */
static void spell_name(const struct place *place, char text[NAME_MAX + 2])
{
	snprintf(text, NAME_MAX + 2, "%s%s", place->name, place->slash ? "/" : "");
}

static int set_program_umask(struct broker *broker, const struct request *request)
{
	long mask;
	int r = client_status(broker, request, "Umask", 8, 0, &mask);
	if (r < 0)
		return r;
	umask((mode_t)mask);
	return 0;
}

/* --- mkdir, mknod, symlink, unlink, rmdir --- */

struct entry_call {
	int nr;
	int8_t dirfd, path; /* argument numbers; -1: the working directory */
	int8_t mode;        /* mode of what is made, flags of what is removed, target of a link */
	enum entry_act {
		ACT_MKDIR,
		ACT_MKNOD,
		ACT_SYMLINK,
		ACT_UNLINK,
		ACT_RMDIR,
		ACT_UNLINKAT
	} act;
};

static const struct entry_call entry_calls[] = {
#ifdef SYS_mkdir
	{SYS_mkdir, -1, 0, 1, ACT_MKDIR},
	{SYS_mknod, -1, 0, 1, ACT_MKNOD},
	{SYS_symlink, -1, 1, 0, ACT_SYMLINK},
	{SYS_unlink, -1, 0, -1, ACT_UNLINK},
	{SYS_rmdir, -1, 0, -1, ACT_RMDIR},
#endif
	{SYS_mkdirat, 0, 1, 2, ACT_MKDIR},
	{SYS_mknodat, 0, 1, 2, ACT_MKNOD},
	{SYS_symlinkat, 1, 2, 0, ACT_SYMLINK},
	{SYS_unlinkat, 0, 1, 2, ACT_UNLINKAT},
};

static int make_entry(struct broker *broker, const struct request *request,
	const struct entry_call *row, const struct place *place)
{
	char name[NAME_MAX + 2], target[PATH_MAX];
	spell_name(place, name);
	mode_t mode = (mode_t)request->args[row->mode];
	int r = set_program_umask(broker, request);
	if (r == 0 && row->act == ACT_SYMLINK)
		r = client_read_string(
			broker, request, request->args[row->mode], target, sizeof(target));
	if (r >= 0 && !broker_valid(broker, request->id))
		r = -ESRCH;
	if (r < 0)
		;
	else if (row->act == ACT_MKDIR)
		r = mkdirat(place->parent, name, mode) < 0 ? -errno : 0;
	else if (row->act == ACT_SYMLINK)
		r = symlinkat(target, place->parent, name) < 0 ? -errno : 0;
	else if ((mode & S_IFMT) == 0 || S_ISREG(mode) || S_ISFIFO(mode))
		r = mknodat(place->parent, name, mode, 0) < 0 ? -errno : 0;
	else
		r = -EPERM; /* sockets are made by bind(), devices by nobody */
	umask(0);
	return r;
}

static int remove_entry(const struct broker *broker, const struct request *request,
	const struct entry_call *row, const struct place *place)
{
	char name[NAME_MAX + 2];
	spell_name(place, name);
	int flags = row->act == ACT_RMDIR ? AT_REMOVEDIR : 0;
	if (row->act == ACT_UNLINKAT)
		flags = (int)request->args[row->mode];
	if (!broker_valid(broker, request->id))
		return -ESRCH;
	return unlinkat(place->parent, name, flags) < 0 ? -errno : 0;
}

static int dirfd_of(const struct request *request, int argument)
{
	return argument < 0 ? AT_FDCWD : (int)request->args[argument];
}

static int serve_entry(struct broker *broker, const struct request *request)
{
	const struct entry_call *row = entry_calls;
	while (row->nr != request->nr)
		row++;
	struct place place cleanup_place;
	int r = find_place(
		broker, request, dirfd_of(request, row->dirfd), request->args[row->path], &place);
	if (r != 0)
		return r;
	bool makes = row->act <= ACT_SYMLINK;
	r = makes ? check_new(broker, request, &place) : check_old(broker, request, &place);
	if (r != 0)
		return r;
	return makes ? make_entry(broker, request, row, &place)
		     : remove_entry(broker, request, row, &place);
}

/* --- rename, link --- */

struct pair_call {
	int nr;
	int8_t old_dirfd, old_path, new_dirfd, new_path, flags;
	bool link;
};

static const struct pair_call pair_calls[] = {
#ifdef SYS_rename
	{SYS_rename, -1, 0, -1, 1, -1, false},
	{SYS_link, -1, 0, -1, 1, -1, true},
#endif
#ifdef SYS_renameat
	{SYS_renameat, 0, 1, 2, 3, -1, false},
#endif
	{SYS_renameat2, 0, 1, 2, 3, 4, false},
	{SYS_linkat, 0, 1, 2, 3, 4, true},
};

/* Both sides must be writable, and one of them is the broker's. */
static int make_pair(const struct broker *broker, const struct request *request,
	const struct pair_call *row, const struct place *old, const struct place *new)
{
	char old_name[NAME_MAX + 2], new_name[NAME_MAX + 2];
	unsigned flags = row->flags < 0 ? 0 : (unsigned)request->args[row->flags];
	spell_name(old, old_name);
	spell_name(new, new_name);
	if (!broker_valid(broker, request->id))
		return -ESRCH;
	if (!row->link)
		return renameat2(old->parent, old_name, new->parent, new_name, flags) < 0 ? -errno
											  : 0;
	/* A link to a link's target would have to be judged by where that is. */
	if (flags)
		return -EINVAL;
	return linkat(old->parent, old_name, new->parent, new_name, 0) < 0 ? -errno : 0;
}

static int serve_pair(struct broker *broker, const struct request *request)
{
	const struct pair_call *row = pair_calls;
	while (row->nr != request->nr)
		row++;
	struct place old cleanup_place = {.parent = -1}, new cleanup_place = {.parent = -1};
	int r = find_place(broker, request, dirfd_of(request, row->old_dirfd),
		request->args[row->old_path], &old);
	if (r < 0)
		return r;
	int r_new = find_place(broker, request, dirfd_of(request, row->new_dirfd),
		request->args[row->new_path], &new);
	if (r_new < 0)
		return r_new;
	/* Nothing may be done before both names have been judged. */
	int judged_new = r_new       ? r_new
			 : row->link ? check_new(broker, request, &new)
				     : check_old(broker, request, &new);
	if (judged_new < 0)
		return judged_new;
	int judged_old = r ? r : check_old(broker, request, &old);
	if (judged_old < 0)
		return judged_old;
	if (r || r_new || (judged_old && judged_new) || old.territory == TERRITORY_CLOSED ||
		new.territory == TERRITORY_CLOSED)
		return let_through(broker); /* what is not the broker's is Landlock's */
	bool exchanges =
		row->flags >= 0 && !row->link && request->args[row->flags] & RENAME_EXCHANGE;
	if (is_late_secret(broker, old.real))
		return refuse_secret(broker, request, old.path);
	if (exchanges && is_late_secret(broker, new.real))
		return refuse_secret(broker, request, new.path);
	return make_pair(broker, request, row, &old, &new);
}

/* --- open for writing --- */

struct open_arguments {
	int dirfd;
	uint64_t path;
	int flags;
	mode_t mode;
};

/* Puts file into the program as the result of its call. */
static int hand_over(
	const struct broker *broker, const struct request *request, int file, int flags)
{
	struct stat st;
	if (fstat(file, &st) < 0 || !S_ISREG(st.st_mode))
		return -EACCES;
	struct seccomp_notif_addfd addfd = {
		.id = request->id,
		.flags = SECCOMP_ADDFD_FLAG_SEND,
		.srcfd = (uint32_t)file,
		.newfd_flags = (uint32_t)(flags & O_CLOEXEC),
	};
	return ioctl(broker->listener, SECCOMP_IOCTL_NOTIF_ADDFD, &addfd) < 0 ? -errno
									      : VERDICT_LATER;
}

/* target exists, and is held. */
static int open_existing(struct broker *broker, const struct request *request,
	const struct open_arguments *arguments, int target)
{
	char path[PATH_MAX], name[24];
	struct stat st;
	if (fstat(target, &st) < 0)
		return -errno;
	if ((arguments->flags & (O_CREAT | O_EXCL)) == (O_CREAT | O_EXCL))
		return -EEXIST;
	if (!S_ISREG(st.st_mode) || territory_of_fd(broker, target, path) != TERRITORY_BROKER)
		return let_through(broker);
	if (is_late_secret(broker, path))
		return refuse_secret(broker, request, path);
	if (!broker_valid(broker, request->id))
		return -ESRCH;
	snprintf(name, sizeof(name), "%d", target);
	int flags = arguments->flags & ~(O_CREAT | O_EXCL | O_NOFOLLOW);
	cleanup_close int file = openat(broker->self_fds, name, flags | O_CLOEXEC);
	return file < 0 ? -errno : hand_over(broker, request, file, arguments->flags);
}

/* Nothing but a new file: what somebody puts there meanwhile was never judged. -EEXIST then. */
static int open_new(struct broker *broker, const struct request *request,
	const struct open_arguments *arguments, const struct place *place)
{
	int r = check_new(broker, request, place);
	if (r == 0)
		r = set_program_umask(broker, request);
	if (r != 0)
		return r;
	cleanup_close int file = -1;
	if (broker_valid(broker, request->id))
		file = openat(place->parent, place->name,
			arguments->flags | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
			arguments->mode);
	else
		errno = ESRCH;
	r = file < 0 ? -errno : 0;
	umask(0);
	return r < 0 ? r : hand_over(broker, request, file, arguments->flags);
}

/* One look at path and one answer; -EEXIST where a new file was to be made, and one came first. */
static int open_once(struct broker *broker, const struct request *request,
	const struct open_arguments *arguments, const char *path)
{
	struct place place cleanup_place = {.parent = -1};
	int flags = arguments->flags;
	snprintf(place.path, sizeof(place.path), "%s", path);
	int r = settle_place(broker, request, arguments->dirfd, &place);
	if (r != 0)
		return r == -EEXIST ? -EISDIR /* "/" */ : r;
	if (place.slash && flags & O_CREAT)
		return -EISDIR;
	cleanup_close int target =
		openat(place.parent, place.name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;
	if (target < 0)
		return errno == ENOENT && flags & O_CREAT
			       ? open_new(broker, request, arguments, &place)
			       : -errno;
	if (fstat(target, &st) < 0)
		return -errno;
	bool follows = !(flags & O_NOFOLLOW) && (flags & (O_CREAT | O_EXCL)) != (O_CREAT | O_EXCL);
	if (place.slash || (S_ISLNK(st.st_mode) && follows)) {
		close_fd(&target);
		target = client_open(broker, request, arguments->dirfd, path, 0);
		if (target < 0)
			return target == -ENOENT && flags & O_CREAT ? -ELOOP : target;
	}
	return open_existing(broker, request, arguments, target);
}

/* Without a name a file could be linked anywhere: programs know how to do without. */
static int open_nameless(struct broker *broker, const struct request *request,
	const struct open_arguments *arguments, const char *path)
{
	char real[PATH_MAX];
	cleanup_close int directory = client_open(broker, request, arguments->dirfd, path, 0);
	if (directory < 0)
		return directory;
	return territory_of_fd(broker, directory, real) == TERRITORY_BROKER ? -EOPNOTSUPP
									    : let_through(broker);
}

static int serve_open(struct broker *broker, const struct request *request)
{
	enum { TRIES = 8 };
	const uint64_t *args = request->args;
	struct open_arguments arguments = {AT_FDCWD, args[0], (int)args[1], (mode_t)args[2]};
	if (request->nr == SYS_openat)
		arguments = (struct open_arguments){
			(int)args[0], args[1], (int)args[2], (mode_t)args[3]};
#ifdef SYS_creat
	if (request->nr == SYS_creat)
		arguments = (struct open_arguments){
			AT_FDCWD, args[0], O_CREAT | O_WRONLY | O_TRUNC, (mode_t)args[1]};
#endif
	arguments.mode &= 01777;
	int flags = arguments.flags;
	if (flags & O_PATH)
		return let_through(broker);

	char path[PATH_MAX];
	int r = client_read_string(broker, request, arguments.path, path, sizeof(path));
	if (r < 0)
		return r;
	/* Empties a file of the user's without asking for write access: what Landlock looks at is
	 * the access mode, before ABI 3. */
	int mode = flags & O_ACCMODE;
	if (flags & O_TRUNC && mode != O_WRONLY && mode != O_RDWR) {
		broker_record(broker, request, "P1", path, EACCES,
			"a file cannot be truncated by opening it for reading");
		return -EACCES;
	}
	if ((flags & O_TMPFILE) == O_TMPFILE)
		return open_nameless(broker, request, &arguments, path);
	r = -EEXIST;
	for (int i = 0; r == -EEXIST && i < TRIES; i++) {
		r = open_once(broker, request, &arguments, path);
		if (flags & O_EXCL)
			break;
	}
	return r;
}

const struct broker_call broker_file_calls[] = {
#ifdef SYS_mkdir
	{SYS_mkdir, "mkdir", serve_entry},
	{SYS_mknod, "mknod", serve_entry},
	{SYS_symlink, "symlink", serve_entry},
	{SYS_unlink, "unlink", serve_entry},
	{SYS_rmdir, "rmdir", serve_entry},
	{SYS_rename, "rename", serve_pair},
	{SYS_link, "link", serve_pair},
	{SYS_open, "open", serve_open},
	{SYS_creat, "creat", serve_open},
#endif
#ifdef SYS_renameat
	{SYS_renameat, "renameat", serve_pair},
#endif
	{SYS_mkdirat, "mkdirat", serve_entry},
	{SYS_mknodat, "mknodat", serve_entry},
	{SYS_symlinkat, "symlinkat", serve_entry},
	{SYS_unlinkat, "unlinkat", serve_entry},
	{SYS_renameat2, "renameat2", serve_pair},
	{SYS_linkat, "linkat", serve_pair},
	{SYS_openat, "openat", serve_open},
};
const size_t broker_file_calls_count = ARRAY_SIZE(broker_file_calls);
