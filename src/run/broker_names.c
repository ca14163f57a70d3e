/* Calls that make or move names: mkdir, mknod, link, symlink, rename and their relatives.
 *
 * Theory of operation (container tier). What exists under a protected name is a read-only mount of
 * its own, which the kernel neither renames nor removes. What does not exist yet cannot be mounted
 * over, so its making is refused here, in the few directories where it would mean something (the
 * plan's watches, some of which have a name more: what a repository's config points at). The last
 * component of each path is looked at first: unless its name is a protected one, which is next to
 * always, the kernel runs the call at once.
 *
 * A program may swap the string between this look and the kernel's own. That race is not won here:
 * the supervisor's inotify watch sees the name appear, and *continued tells it that this could
 * have happened at all. What is answered here without the kernel, though, is final.
 *
 * A rename is looked at on both sides: a protected entry that is a symlink cannot be a mount point,
 * and must neither be moved away nor be exchanged. */
#include "base/cleanup.h"
#include "base/fd.h"
#include "base/path.h"
#include "policy/names.h"
#include "run/broker_internal.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

/* Where a call's path arguments stand; NONE: there is no such argument. */
enum { NONE = -1 };
struct name_arguments {
	int nr;
	int8_t old_dirfd, old_path; /* the name that goes; NONE for calls that only make one */
	int8_t new_dirfd, new_path;
	int8_t flags; /* of a rename; 0: it has none */
};

static const struct name_arguments name_arguments[] = {
#ifdef SYS_mkdir
	{SYS_mkdir, NONE, NONE, NONE, 0},
	{SYS_mknod, NONE, NONE, NONE, 0},
	{SYS_symlink, NONE, NONE, NONE, 1},
	{SYS_link, NONE, NONE, NONE, 1},
	{SYS_rename, NONE, 0, NONE, 1},
#endif
#ifdef SYS_renameat
	{SYS_renameat, 0, 1, 2, 3},
#endif
	{SYS_mkdirat, NONE, NONE, 0, 1},
	{SYS_mknodat, NONE, NONE, 0, 1},
	{SYS_symlinkat, NONE, NONE, 1, 2},
	{SYS_linkat, NONE, NONE, 2, 3},
	{SYS_renameat2, 0, 1, 2, 3, 4},
};

int names_start(struct broker *broker, struct error *error)
{
	const struct plan *plan = broker->plan;
	/* One id as the host has it, one as the box sees it: they differ on an overlay, whose
	 * numbers hold as long as the directory is held. */
	broker->watches = calloc(plan->watches_count * 2 + 1, sizeof(*broker->watches));
	broker->watch_pins = calloc(plan->watches_count + 1, sizeof(*broker->watch_pins));
	if (!broker->watches || !broker->watch_pins)
		return error_set(error, ENOMEM, "broker", "no memory for the watched directories");
	for (size_t i = 0; i < plan->watches_count; i++) {
		const struct plan_watch *watch = &plan->watches[i];
		broker->watches[broker->watches_count++] =
			(struct broker_watch){watch->id, watch->name};
		broker->watch_pins[i] = -1;
		if (!watch->inside)
			continue;
		struct stat st;
		int fd = open(watch->inside, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (fd < 0)
			continue; /* hidden or gone: then nothing can be made in it either */
		if (fstat(fd, &st) < 0 ||
			(st.st_dev == watch->id.device && st.st_ino == watch->id.inode)) {
			close(fd);
			continue;
		}
		broker->watch_pins[i] = fd;
		broker->watches[broker->watches_count++] = (struct broker_watch){
			{.device = st.st_dev, .inode = st.st_ino}, watch->name};
	}
	return 0;
}

/* Copies the last component, without the slashes after it; false when it is none that a name
 * could be made under. */
static bool last_component(const char *path, char name[NAME_MAX + 1])
{
	size_t end = strlen(path);
	while (end > 0 && path[end - 1] == '/')
		end--;
	size_t start = end;
	while (start > 0 && path[start - 1] != '/')
		start--;
	size_t length = end - start;
	if (length == 0 || length > NAME_MAX)
		return false;
	memcpy(name, path + start, length);
	name[length] = '\0';
	return strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

const char *names_protected_anywhere(const struct broker *broker, const char *name)
{
	const char *spelling = names_protected(name);
	for (size_t i = 0; !spelling && i < broker->watches_count; i++)
		if (broker->watches[i].name && strcasecmp(broker->watches[i].name, name) == 0)
			spelling = broker->watches[i].name;
	return spelling;
}

static const char *protected_in(const struct broker *broker, int directory, const char *name)
{
	struct stat st;
	if (fstat(directory, &st) < 0)
		return names_protected_anywhere(broker, name); /* cannot tell: fail closed */
	for (size_t i = 0; i < broker->watches_count; i++) {
		const struct broker_watch *watch = &broker->watches[i];
		if (watch->id.device != st.st_dev || watch->id.inode != st.st_ino)
			continue;
		if (names_protected(name))
			return names_protected(name);
		if (watch->name && strcasecmp(watch->name, name) == 0)
			return watch->name;
	}
	return NULL;
}

const char *names_watched(const struct broker *broker, int parent, const char *name)
{
	char last[NAME_MAX + 1];
	return last_component(name, last) ? protected_in(broker, parent, last) : NULL;
}

void names_entry_path(
	const struct broker *broker, int parent, const char *name, char path[PATH_MAX])
{
	size_t length = strcspn(name, "/"), used = 0;
	bool known = territory_path_of(broker, parent, path) == 0 && path[0] == '/';
	if (known)
		used = strlen(path);
	if (!known || used + length + 2 > PATH_MAX)
		path[0] = '\0';
	else
		sprintf(path + used, "%s%.*s", used > 1 ? "/" : "", (int)length, name);
}

bool names_holds_watch(const struct broker *broker, const char *path)
{
	for (size_t i = 0; i < broker->plan->watches_count; i++)
		if (path_is_below(broker->plan->watches[i].path, path))
			return true;
	return false;
}

int names_refuse_rename(const struct broker *broker, const struct request *request,
	const char *path, int parent, const char *name)
{
	char resolved[PATH_MAX];
	names_entry_path(broker, parent, name, resolved);
	broker_record_at(broker, request, "P2", path, resolved, EACCES,
		"a protected name must not be renamed, nor anything be renamed to it");
	return -EACCES;
}

/* One name of a call. 0: let through; else the answer. */
static int look_at_name(struct broker *broker, const struct request *request, int dirfd,
	uint64_t address, bool only_makes)
{
	char path[PATH_MAX], last[NAME_MAX + 1];
	int r = client_read_string(broker, request, address, path, sizeof(path));
	if (r == -ENAMETOOLONG || r == -EFAULT)
		return r;
	if (r < 0) {
		broker_record(broker, request, "P2", "", EACCES,
			"the program's memory cannot be read, so the name cannot be checked");
		return -EACCES;
	}
	if (!last_component(path, last) || !names_protected_anywhere(broker, last))
		return 0;

	/* What cannot be resolved here might be for the program, so it is never let through. */
	const char *name;
	cleanup_close int parent = -1;
	r = client_open_parent(broker, request, dirfd, path, &parent, &name);
	if (r < 0)
		return r;
	if (!protected_in(broker, parent, last))
		return 0;

	/* `mkdir -p` and `git init` expect to hear that it is there already. */
	struct stat st;
	if (only_makes && fstatat(parent, last, &st, AT_SYMLINK_NOFOLLOW) == 0)
		return -EEXIST;
	if (!only_makes)
		return names_refuse_rename(broker, request, path, parent, last);
	char resolved[PATH_MAX];
	names_entry_path(broker, parent, last, resolved);
	broker_record_at(broker, request, "P2", path, resolved, EACCES,
		"a protected name must not be made at the top of a writable root or repository");
	return -EACCES;
}

static const struct name_arguments *arguments_of(const struct request *request)
{
	const struct name_arguments *row = name_arguments;
	while (row->nr != request->nr)
		row++;
	return row;
}

static int dirfd_of(const struct request *request, int8_t argument)
{
	return argument == NONE ? AT_FDCWD : (int)request->args[argument];
}

struct rename_call names_of_rename(const struct request *request)
{
	const struct name_arguments *row = arguments_of(request);
	return (struct rename_call){
		.from_dirfd = dirfd_of(request, row->old_dirfd),
		.to_dirfd = dirfd_of(request, row->new_dirfd),
		.from_path = request->args[row->old_path],
		.to_path = request->args[row->new_path],
		.flags = row->flags ? (unsigned)request->args[row->flags] : 0,
	};
}

static int serve_name(struct broker *broker, const struct request *request)
{
	const struct name_arguments *row = arguments_of(request);
	bool renames = row->old_path != NONE;
	int r = look_at_name(broker, request, dirfd_of(request, row->new_dirfd),
		request->args[row->new_path], !renames);
	if (r == 0 && renames)
		r = look_at_name(broker, request, dirfd_of(request, row->old_dirfd),
			request->args[row->old_path], false);
	if (r == 0)
		r = renames ? moves_rename(broker, request) : VERDICT_CONTINUE;
	if (r == VERDICT_CONTINUE)
		__atomic_fetch_add(broker->continued, 1, __ATOMIC_SEQ_CST);
	return r;
}

const struct broker_call broker_name_calls[] = {
#ifdef SYS_mkdir
	{SYS_mkdir, "mkdir", serve_name},
	{SYS_mknod, "mknod", serve_name},
	{SYS_symlink, "symlink", serve_name},
	{SYS_link, "link", serve_name},
	{SYS_rename, "rename", serve_name},
#endif
#ifdef SYS_renameat
	{SYS_renameat, "renameat", serve_name},
#endif
	{SYS_mkdirat, "mkdirat", serve_name},
	{SYS_mknodat, "mknodat", serve_name},
	{SYS_symlinkat, "symlinkat", serve_name},
	{SYS_linkat, "linkat", serve_name},
	{SYS_renameat2, "renameat2", serve_name},
};
const size_t broker_name_calls_count = ARRAY_SIZE(broker_name_calls);
