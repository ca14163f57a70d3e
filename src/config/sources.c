/* Theory of operation. A layer that is not there costs one failed open. What is there is read once,
 * through one descriptor that was checked after it was opened: so what is hashed, what is trusted
 * and what is parsed are the same bytes, whoever swaps the file meanwhile. */
#include "config/sources.h"

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/limits.h"
#include "base/path.h"
#include "base/sys.h"
#include "config/trust.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

static const char *const version_control_names[] = {".git", ".hg", ".jj", ".svn"};

/* As the planner has it: no project lives at these places. */
static bool never_a_workspace(const char *path, const char *home)
{
	return strcmp(path, "/") == 0 || strcmp(path, "/tmp") == 0 ||
	       strcmp(path, "/var/tmp") == 0 || (home && strcmp(path, home) == 0);
}

static int keep(struct strv *storage, char *string, const char **ret)
{
	int r = strv_add_owned(storage, string);
	if (r == 0)
		*ret = string;
	return r;
}

/* NAME/coffer if the variable is an absolute path, else home/below/coffer. */
static int xdg_directory(const char *variable, const char *home, const char *below,
	struct strv *storage, const char **ret)
{
	const char *value = getenv(variable);
	char *path = NULL;
	if (value && value[0] == '/')
		path = path_absolute(value, "coffer");
	else if (home && asprintf(&path, "%s/%s/coffer", home[1] ? home : "", below) < 0)
		path = NULL;
	else if (!home)
		return 0;
	return path ? keep(storage, path, ret) : -ENOMEM;
}

static bool holds_repository(const char *directory)
{
	cleanup_close int fd = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
	for (size_t i = 0; fd >= 0 && i < ARRAY_SIZE(version_control_names); i++) {
		struct stat st;
		if (fstatat(fd, version_control_names[i], &st, AT_SYMLINK_NOFOLLOW) == 0)
			return true;
	}
	return false;
}

/* The repository's top that directory is in, or directory. */
static int find_workspace(
	const char *directory, const char *home, struct strv *storage, const char **ret)
{
	cleanup_free char *path = strdup(directory);
	while (path && !never_a_workspace(path, home)) {
		if (holds_repository(path))
			return keep(storage, steal_pointer(&path), ret);
		char *parent = path_parent(path);
		free(path);
		path = parent;
	}
	if (!path)
		return -ENOMEM;
	if (never_a_workspace(directory, home))
		return 0;
	char *copy = strdup(directory);
	return copy ? keep(storage, copy, ret) : -ENOMEM;
}

int config_where(
	const char *directory, struct config_where *ret, struct strv *storage, struct error *error)
{
	struct config_where where = {.system_dir = "/etc/coffer"};
	const char *home = getenv("HOME");
	int r = 0;
	if (home && home[0] == '/') {
		char *clean = path_absolute("/", home);
		r = clean ? keep(storage, clean, &where.home) : -ENOMEM;
	}
	if (r == 0)
		r = xdg_directory(
			"XDG_CONFIG_HOME", where.home, ".config", storage, &where.user_dir);
	if (r == 0)
		r = xdg_directory(
			"XDG_STATE_HOME", where.home, ".local/state", storage, &where.state_dir);
	if (r == 0 && directory)
		r = find_workspace(directory, where.home, storage, &where.workspace);
	if (r < 0)
		return error_set_errno(error, -r, "config", "the places of configuration files");
	*ret = where;
	return 0;
}

bool config_project_possible(const char *directory)
{
	char path[PATH_MAX];
	size_t length = strlen(directory);
	if (length + sizeof("/" CONFIG_PROJECT_FILE) > sizeof(path))
		return true;
	memcpy(path, directory, length + 1);
	for (;;) {
		strcpy(path + length, "/" CONFIG_PROJECT_FILE); /* the length was checked */
		/* Whatever else is the matter with it is told when it is read. */
		if (faccessat(AT_FDCWD, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0 ||
			(errno != ENOENT && errno != ENOTDIR))
			return true;
		if (length == 0)
			return false;
		while (length > 0 && path[--length] != '/')
			;
	}
}

char *config_cache_dir(const char *home)
{
	const char *value = getenv("XDG_CACHE_HOME");
	char *path = NULL;
	if (value && value[0] == '/')
		return path_absolute(value, "coffer/config");
	if (!home || asprintf(&path, "%s/.cache/coffer/config", home[1] ? home : "") < 0)
		return NULL;
	return path;
}

static int refuse(struct error *error, const char *path, const char *why, const char *hint)
{
	error_set(error, EPERM, "config", "%.300s: %s", path, why);
	return error_hint(error, "%s", hint);
}

/* Whoever may write the system's files decides for everybody. */
static int check_system_file(const struct stat *st, const char *path, struct error *error)
{
	if (st->st_uid != 0 || (st->st_mode & (S_IWGRP | S_IWOTH)))
		return refuse(error, path, "it is not root's alone to write",
			"chown root it and its directory, and chmod go-w them");
	return 0;
}

static int check_opened(
	int fd, enum config_layer layer, const char *path, struct stat *ret_st, struct error *error)
{
	if (fstat(fd, ret_st) < 0)
		return error_set_errno(error, errno, "config", "%.300s", path);
	if (!S_ISREG(ret_st->st_mode))
		return refuse(error, path, "it is not a regular file", "put a file there");
	if (layer == LAYER_SYSTEM || layer == LAYER_REQUIREMENTS)
		return check_system_file(ret_st, path, error);
	if (layer == LAYER_USER && (ret_st->st_mode & S_IWOTH))
		return refuse(error, path, "everybody may write it", "chmod o-w it");
	if (ret_st->st_size > MAX_CONFIG_FILE_BYTES) {
		error_set(error, EFBIG, "config", "%.300s:1:1: the file has %lld bytes", path,
			(long long)ret_st->st_size);
		return error_hint(error, "at most %d are read: split off what is not configuration",
			MAX_CONFIG_FILE_BYTES);
	}
	return 0;
}

/* The descriptor, -ENOENT, or an error that is told. */
static int open_source(
	const struct config_where *where, const struct config_source *source, struct error *error)
{
	int fd;
	if (source->layer == LAYER_PROJECT) {
		cleanup_close int top =
			open(where->workspace, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		fd = top < 0 ? -1
			     : sys_openat2(top, CONFIG_PROJECT_FILE,
				       O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC,
				       RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS);
	} else {
		fd = open(source->path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	}
	if (fd >= 0)
		return fd;
	struct stat st;
	int saved = errno;
	if (saved == ENOENT || saved == ENOTDIR)
		return -ENOENT;
	/* A home that is not ours to look into holds no configuration of ours. */
	if (saved == EACCES && source->layer == LAYER_USER && lstat(source->path, &st) < 0)
		return -ENOENT;
	if (saved == EXDEV)
		return refuse(error, source->path, "a link leads out of the workspace",
			"a project's configuration is a file of its own");
	return error_set_errno(error, saved, "config", "%.300s", source->path);
}

/* The directory of the system's files, where there is one. */
static int check_system_directory(const char *path, struct error *error)
{
	struct stat st;
	if (stat(path, &st) < 0)
		return 0;
	return check_system_file(&st, path, error);
}

static int read_source(
	const struct config_where *where, struct config_source *source, struct error *error)
{
	cleanup_close int fd = open_source(where, source, error);
	if (fd == -ENOENT)
		return 0;
	if (fd < 0)
		return fd;
	struct stat st;
	int r = check_opened(fd, source->layer, source->path, &st, error);
	if (r == 0 && (source->layer == LAYER_SYSTEM || source->layer == LAYER_REQUIREMENTS))
		r = check_system_directory(where->system_dir, error);
	if (r < 0)
		return r;
	size_t length_bytes = (size_t)st.st_size;
	source->data = malloc(length_bytes + 2);
	if (!source->data)
		return error_set_errno(error, ENOMEM, "config", "%.300s", source->path);
	ssize_t n = fd_read_full(fd, source->data, length_bytes + 1);
	if (n < 0)
		return error_set_errno(error, (int)-n, "config", "%.300s", source->path);
	if ((size_t)n > length_bytes)
		return refuse(error, source->path, "it grew while it was read",
			"try again when nobody writes it");
	source->length_bytes = (size_t)n;
	source->data[n] = '\0';
	return 0;
}

int config_sources_read(const struct config_where *where, struct config_source ret[CONFIG_SOURCES],
	struct error *error)
{
	const struct {
		enum config_layer layer;
		const char *directory, *name;
	} layers[CONFIG_SOURCES] = {
		{LAYER_REQUIREMENTS, where->system_dir, CONFIG_REQUIREMENTS_FILE},
		{LAYER_SYSTEM, where->system_dir, CONFIG_FILE},
		{LAYER_USER, where->user_dir, CONFIG_FILE},
		{LAYER_PROJECT, where->workspace, CONFIG_PROJECT_FILE},
	};
	int r = 0;
	for (size_t i = 0; i < CONFIG_SOURCES; i++) {
		ret[i] = (struct config_source){.layer = layers[i].layer};
		if (r < 0 || !layers[i].directory)
			continue;
		ret[i].path = path_join(layers[i].directory, layers[i].name);
		r = ret[i].path ? read_source(where, &ret[i], error)
				: error_set_errno(
					  error, errno, "config", "%.300s", layers[i].directory);
	}
	if (r < 0)
		config_sources_release(ret);
	return r;
}

void config_sources_release(struct config_source sources[CONFIG_SOURCES])
{
	for (size_t i = 0; i < CONFIG_SOURCES; i++) {
		free(sources[i].path);
		free(sources[i].data);
		sources[i].path = sources[i].data = NULL;
	}
}

bool config_sources_exist(const struct config_source sources[CONFIG_SOURCES])
{
	for (size_t i = 0; i < CONFIG_SOURCES; i++)
		if (sources[i].data)
			return true;
	return false;
}

/* With its length in front, so that no two lists of parts are the same bytes. */
static void add_part(struct buffer *buffer, const char *data, size_t length_bytes)
{
	buffer_append_format(buffer, "%zd:", data ? (ssize_t)length_bytes : (ssize_t)-1);
	if (data)
		buffer_append(buffer, data, length_bytes);
}

static void add_string(struct buffer *buffer, const char *string)
{
	add_part(buffer, string, string ? strlen(string) : 0);
}

int config_sources_key(const struct config_where *where,
	const struct config_source sources[CONFIG_SOURCES], char ret[CONFIG_KEY_BYTES],
	struct error *error)
{
	cleanup_buffer struct buffer buffer =
		BUFFER_INIT((CONFIG_SOURCES + 1) * (MAX_CONFIG_FILE_BYTES + 2 * PATH_MAX));
	add_string(&buffer, COFFER_VERSION);
	add_string(&buffer, CONFIG_COMPILED_FORMAT);
	add_string(&buffer, where->home);
	for (size_t i = 0; i < CONFIG_SOURCES; i++) {
		add_string(&buffer, sources[i].data ? sources[i].path : NULL);
		add_part(&buffer, sources[i].data, sources[i].length_bytes);
	}
	cleanup_free char *records =
		where->state_dir ? path_join(where->state_dir, CONFIG_TRUST_FILE) : NULL;
	cleanup_free char *trust = NULL;
	size_t trust_bytes = 0;
	int r = records ? fd_read_file(
				  AT_FDCWD, records, MAX_CONFIG_FILE_BYTES, &trust, &trust_bytes)
			: 0;
	/* Records that cannot be read are none: they only ever permit. */
	add_part(&buffer, r == 0 ? trust : NULL, trust_bytes);
	r = buffer_error(&buffer);
	if (r < 0)
		return error_set_errno(error, -r, "config", "the digest of the configuration");
	sha256_hex(buffer.data, buffer.length_bytes, ret);
	return 0;
}
