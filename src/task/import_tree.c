#include "task/import_tree.h"

#include "base/cleanup.h"
#include "base/limits.h"
#include "layer/copy_file.h"
#include "layer/oci.h"
#include "layer/upper_walk.h"

#include <fcntl.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

static const char stage[] = "import";

/* A directory that the walk is in: what it will be again. */
struct inside {
	struct timespec modified;
	mode_t mode;
};

struct converting {
	struct inside *directories;
	size_t depth, capacity;
	uint64_t *entries, *bytes;
	struct error *error;
};

static int remove_marks(int fd)
{
	cleanup_free char *names = malloc(COPY_ATTRIBUTE_NAMES_MAX);
	if (!names)
		return -ENOMEM;
	ssize_t length = flistxattr(fd, names, COPY_ATTRIBUTE_NAMES_MAX);
	if (length < 0)
		return errno == EOPNOTSUPP ? 0 : -errno;
	for (char *name = names; name < names + length; name += strlen(name) + 1)
		if (strncmp(name, "user.overlay.", strlen("user.overlay.")) == 0 &&
			fremovexattr(fd, name) < 0)
			return -errno;
	return 0;
}

static int enter(struct converting *converting, const struct upper_entry *entry)
{
	if (converting->depth == converting->capacity) {
		size_t capacity = converting->capacity ? converting->capacity * 2 : 32;
		void *directories = reallocarray(
			converting->directories, capacity, sizeof(*converting->directories));
		if (!directories)
			return -ENOMEM;
		converting->directories = directories;
		converting->capacity = capacity;
	}
	converting->directories[converting->depth++] = (struct inside){
		.modified = entry->st.st_mtim, .mode = entry->st.st_mode & 01777};
	/* A mode may forbid to look or to write. */
	if ((entry->st.st_mode & 0700) != 0700 &&
		fchmodat(entry->directory, entry->name, 0700, 0) < 0)
		return -errno;
	cleanup_close int fd = upper_open(entry->root, entry->path, O_RDONLY | O_DIRECTORY);
	return fd < 0 ? fd : remove_marks(fd);
}

static int leave(struct converting *converting, const struct upper_entry *entry)
{
	const struct inside *inside = &converting->directories[--converting->depth];
	const struct timespec times[] = {{.tv_nsec = UTIME_OMIT}, inside->modified};
	cleanup_close int fd = upper_open(entry->root, entry->path, O_RDONLY | O_DIRECTORY);
	if (fd < 0)
		return fd;
	return fchmod(fd, inside->mode) < 0 || futimens(fd, times) < 0 ? -errno : 0;
}

static int make_whiteout(const struct upper_entry *entry)
{
	const char *name = entry->name + strlen(OCI_WHITEOUT);
	if (unlinkat(entry->directory, entry->name, 0) < 0)
		return -errno;
	if (strcmp(entry->name, OCI_OPAQUE) == 0)
		return fsetxattr(entry->directory, "user.overlay.opaque", "y", 1, 0) < 0 ? -errno
											  : 0;
	if (!*name || strcmp(name, ".") == 0 || strcmp(name, "..") == 0 ||
		strncmp(name, OCI_WHITEOUT, strlen(OCI_WHITEOUT)) == 0)
		return -EBADMSG;
	return mknodat(entry->directory, name, S_IFCHR, makedev(0, 0)) < 0 ? -errno : 0;
}

static int clean_file(const struct upper_entry *entry)
{
	mode_t mode = entry->st.st_mode & 0777;
	if (mode != (entry->st.st_mode & 07777) &&
		fchmodat(entry->directory, entry->name, mode, 0) < 0)
		return -errno;
	/* One that its owner may not read has no marks to be read either. */
	cleanup_close int fd = upper_open(entry->directory, entry->name, O_RDONLY | O_NONBLOCK);
	if (fd < 0)
		return fd == -EACCES ? 0 : fd;
	return remove_marks(fd);
}

static int convert(const struct upper_entry *entry, void *context)
{
	struct converting *converting = context;
	mode_t mode = entry->st.st_mode;
	if (entry->leaving)
		return leave(converting, entry);
	*converting->bytes += S_ISREG(mode) ? (uint64_t)entry->st.st_blocks * 512 : 0;
	if (++*converting->entries > MAX_IMPORT_ENTRIES ||
		*converting->bytes >> 30 >= MAX_IMPORT_GIB)
		return -E2BIG;
	if (S_ISDIR(mode))
		return enter(converting, entry);
	if (S_ISCHR(mode) || S_ISBLK(mode)) {
		error_set(converting->error, EPERM, stage, "%.512s is a device", entry->path);
		return -EPERM;
	}
	if (strncmp(entry->name, OCI_WHITEOUT, strlen(OCI_WHITEOUT)) == 0)
		return make_whiteout(entry);
	return S_ISREG(mode) ? clean_file(entry) : 0;
}

int import_tree(int root, uint64_t *entries, uint64_t *bytes, struct error *error)
{
	struct converting converting = {.entries = entries, .bytes = bytes, .error = error};
	int r = upper_walk(root, convert, &converting, error);
	free(converting.directories);
	if (r == -EEXIST || r == -EBADMSG) {
		char place[600];
		snprintf(place, sizeof(place), "%.512s", error->message);
		error_set(error, EBADMSG, stage, "the image contradicts itself at %s", place);
	}
	return r;
}
