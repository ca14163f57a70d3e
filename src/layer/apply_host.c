#include "layer/apply_host.h"

#include "base/cleanup.h"
#include "base/sys.h"
#include "layer/upper_walk.h"

#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <string.h>
#include <sys/fsuid.h>

static const char stage[] = "apply";

int apply_host_open(
	const char *base, uint64_t device, uint64_t inode, struct apply_host *ret, struct error *error)
{
	*ret = (struct apply_host){.parent = -1};
	ret->root = sys_openat2(AT_FDCWD, base, O_RDONLY | O_DIRECTORY | O_CLOEXEC,
		RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS);
	if (ret->root < 0 || fstat(ret->root, &ret->st) < 0)
		return error_set_errno(error, errno, stage, "%s", base);
	if (inode && (ret->st.st_ino != inode || ret->st.st_dev != device)) {
		error_set(error, ESTALE, stage, "%s is another directory than before", base);
		return error_hint(error, "put the one back that it was");
	}
	return 0;
}

void apply_host_close(struct apply_host *host)
{
	close_fd(&host->root);
	close_fd(&host->parent);
	free(host->parent_path);
	host->parent_path = NULL;
}

static bool is_foreign(const struct apply_host *host)
{
	return geteuid() == 0 && host->st.st_uid != 0;
}

/* The groups that root has beside its own, while they are put away. */
static gid_t groups[NGROUPS_MAX];
static int groups_count;

/* The kernel takes the capabilities about files away with the id, and gives them back with it. */
void apply_host_enter(const struct apply_host *host)
{
	if (!is_foreign(host))
		return;
	groups_count = getgroups(NGROUPS_MAX, groups);
	setgroups(0, NULL);
	setfsgid(host->st.st_gid);
	setfsuid(host->st.st_uid);
}

void apply_host_leave(const struct apply_host *host)
{
	if (!is_foreign(host))
		return;
	setfsuid(0);
	setfsgid(0);
	setgroups(groups_count > 0 ? (size_t)groups_count : 0, groups);
}

int apply_host_parent(struct apply_host *host, const char *path, const char **ret_name)
{
	const char *slash = strrchr(path, '/');
	size_t length = slash ? (size_t)(slash - path) : 0;
	*ret_name = slash ? slash + 1 : path;
	if (host->parent >= 0 && strlen(host->parent_path) == length &&
		memcmp(host->parent_path, path, length) == 0)
		return host->parent;
	close_fd(&host->parent);
	free(host->parent_path);
	host->parent_path = strndup(path, length);
	if (!host->parent_path)
		return -ENOMEM;
	host->parent = upper_open(host->root, host->parent_path, O_RDONLY | O_DIRECTORY);
	/* One that may be entered and not listed will do. */
	if (host->parent == -EACCES)
		host->parent = upper_open(host->root, host->parent_path, O_PATH | O_DIRECTORY);
	int r = host->parent;
	if (r < 0)
		host->parent = -1;
	return r;
}

int64_t apply_time_ns(struct timespec time)
{
	return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

struct timespec apply_timespec(int64_t ns)
{
	struct timespec time = {.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000};
	if (time.tv_nsec < 0) {
		time.tv_sec--;
		time.tv_nsec += 1000000000;
	}
	return time;
}

void apply_identify(const struct stat *st, struct apply_identity *ret)
{
	*ret = (struct apply_identity){.inode = st->st_ino};
	if (!S_ISDIR(st->st_mode)) {
		ret->size = (uint64_t)st->st_size;
		ret->modified_ns = apply_time_ns(st->st_mtim);
	}
}

bool apply_is_same(const struct stat *st, const struct apply_identity *identity)
{
	struct apply_identity now;
	apply_identify(st, &now);
	return now.inode == identity->inode && now.size == identity->size &&
	       now.modified_ns == identity->modified_ns;
}
