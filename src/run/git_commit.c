/* Theory of operation. The box works on an overlay: the real git directory below, a fresh directory
 * on disk above (disk, because a tmpfs has no user xattrs before 6.6, and objects can be large).
 * Afterwards a child with nothing but the owner's credentials reads the upper directory, which the
 * box filled and which is therefore hostile, and applies what gitlayer.h knows to be harmless. */
#include "run/git_commit.h"

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/limits.h"
#include "base/path.h"
#include "base/strv.h"
#include "base/sys.h"
#include "plan/git_config.h"
#include "plan/git_index.h"
#include "run/gitlayer.h"

#include <fcntl.h>
#include <ftw.h>
#include <grp.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

struct git_commit {
	struct strv layers;          /* parallel to plan->git_layers */
	struct mounts_stack *stacks; /* of the same */
	struct timespec started_at;
};

static int make_directory(const char *path, const struct plan *plan)
{
	if (mkdir(path, 0700) < 0)
		return -errno;
	if (plan->facts.root && lchown(path, plan->owner_uid, plan->owner_gid) < 0)
		return -errno;
	return 0;
}

/* The place for layers: below the owner's home, or for root where only root writes. */
static char *layers_base(const struct plan *plan)
{
	char *base = NULL;
	if (plan->facts.root)
		return strdup("/var/cache/coffer/layers");
	return asprintf(&base, "%s/.cache/coffer/layers", plan->facts.home) < 0 ? NULL : base;
}

static int make_parents(char *path)
{
	for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		int r = mkdir(path, 0755) < 0 && errno != EEXIST ? -errno : 0;
		*slash = '/';
		if (r < 0)
			return r;
	}
	return mkdir(path, 0711) < 0 && errno != EEXIST ? -errno : 0;
}

static int make_layer(
	struct git_commit *git, const struct plan *plan, const char *base, size_t index)
{
	char *layer = NULL;
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	if (asprintf(&layer, "%s/%d-%llx-%zu", base, getpid(),
		    (unsigned long long)now.tv_sec * 1000000000 + (unsigned long long)now.tv_nsec,
		    index) < 0)
		return -ENOMEM;
	int r = make_directory(layer, plan);
	cleanup_free char *upper = path_join(layer, "upper");
	cleanup_free char *work = path_join(layer, "work");
	if (r == 0)
		r = strv_add_owned(&git->layers, layer);
	else
		free(layer);
	if (r == 0)
		r = upper && work ? make_directory(upper, plan) : -ENOMEM;
	return r < 0 ? r : make_directory(work, plan);
}

static int become_owner(const struct plan *plan)
{
	if (setgroups(0, NULL) < 0 ||
		setresgid(plan->owner_gid, plan->owner_gid, plan->owner_gid) < 0 ||
		setresuid(plan->owner_uid, plan->owner_uid, plan->owner_uid) < 0)
		return -errno;
	return 0;
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st, (void)type, (void)ftw;
	/* Whatever the box left: a directory without permissions, an overlay's own work
	 * directory. */
	if (remove(path) < 0 && errno == EACCES) {
		cleanup_free char *parent = path_parent(path);
		if (parent && chmod(parent, 0700) == 0)
			remove(path);
	}
	return 0;
}

/* A layer holds what the box made and its owner may rearrange: it is emptied with no more rights
 * than the owner's. */
static void remove_layer(const char *layer, const struct plan *plan)
{
	pid_t pid = fork();
	if (pid == 0) {
		if (plan->facts.root && become_owner(plan) < 0)
			_exit(1);
		cleanup_free char *inner = path_join(layer, "work/work");
		/* The kernel leaves it with mode 0, which its owner may open up. */
		if (inner)
			(void)!chmod(inner, 0700);
		nftw(layer, remove_entry, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
		_exit(0);
	}
	if (pid > 0)
		waitpid(pid, NULL, 0);
	rmdir(layer);
}

/* Layers of supervisors that were killed. */
static void sweep(const char *base, const struct plan *plan)
{
	cleanup_closedir DIR *dir = opendir(base);
	for (struct dirent *entry; dir && (entry = readdir(dir));) {
		char *dash;
		long pid = strtol(entry->d_name, &dash, 10);
		if (pid <= 0 || *dash != '-' || kill((pid_t)pid, 0) == 0 || errno != ESRCH)
			continue;
		cleanup_free char *layer = path_join(base, entry->d_name);
		if (layer)
			remove_layer(layer, plan);
	}
}

int git_commit_prepare(const struct plan *plan, struct git_commit **ret, struct error *error)
{
	*ret = NULL;
	if (plan->git_layers_count == 0)
		return 0;
	struct git_commit *git = calloc(1, sizeof(*git));
	cleanup_free char *written = layers_base(plan);
	if (!git || !written) {
		free(git);
		return error_set_errno(error, ENOMEM, "git", "a layer");
	}
	int r = make_parents(written);
	if (r == 0)
		sweep(written, plan);
	/* Sources of mounts are opened without following links. */
	cleanup_free char *base = r == 0 ? realpath(written, NULL) : NULL;
	if (r == 0 && !base)
		r = -errno;
	for (size_t i = 0; r == 0 && i < plan->git_layers_count; i++)
		r = make_layer(git, plan, base, i);
	clock_gettime(CLOCK_REALTIME, &git->started_at);
	git->stacks = calloc(plan->git_layers_count, sizeof(*git->stacks));
	if (r == 0 && !git->stacks)
		r = -ENOMEM;
	for (size_t i = 0; r == 0 && i < plan->git_layers_count; i++)
		git->stacks[i] =
			(struct mounts_stack){.top = git->layers.items[i], .first_tree = i};
	if (r < 0) {
		git_commit_free(git, plan);
		error_set_errno(error, -r, "git", "a private layer below %s", written);
		return error_hint(error, "--git commit needs a place on disk for it");
	}
	*ret = git;
	return 0;
}

const struct mounts_stack *git_commit_stacks(const struct git_commit *git)
{
	return git->stacks;
}

static int on_config(const char *section, const char *subsection, const char *name,
	const char *value, void *context)
{
	if (strcmp(section, "extensions") == 0 && !*subsection &&
		strcmp(name, "objectformat") == 0 && value)
		*(size_t *)context =
			strcmp(value, "sha256") == 0 ? GIT_SHA256_BYTES : GIT_SHA1_BYTES;
	return 0;
}

static size_t object_hash_bytes(int git_dir)
{
	size_t hash_bytes = GIT_SHA1_BYTES, length;
	cleanup_free char *config = NULL;
	if (fd_read_file(git_dir, "config", MAX_GIT_CONFIG_BYTES, &config, &length) == 0)
		git_config_parse(config, length, on_config, &hash_bytes);
	return hash_bytes;
}

static json_t *result_json(
	const char *git_dir, const struct gitlayer_result *result, const struct error *error, int r)
{
	json_t *object = json_object();
	json_t *refused = json_array();
	json_object_set_new(object, "git_dir", json_string(git_dir));
	json_object_set_new(object, "written", json_integer((json_int_t)result->written));
	json_object_set_new(object, "deleted", json_integer((json_int_t)result->deleted));
	json_object_set_new(
		object, "written_bytes", json_integer((json_int_t)result->written_bytes));
	for (size_t i = 0; i < result->refused_count; i++) {
		json_t *item = json_object();
		json_object_set_new(item, "path", json_string(result->refused[i].path));
		json_object_set_new(item, "why", json_string(result->refused[i].why));
		json_array_append_new(refused, item);
	}
	json_object_set_new(object, "not_written_back", refused);
	if (r < 0)
		json_object_set_new(object, "error", json_string(error->message));
	return object;
}

static json_t *write_back(const struct git_commit *git, const struct plan *plan, size_t index)
{
	const struct plan_git_layer *layer = &plan->git_layers[index];
	struct gitlayer_result result = {0};
	struct error error = {0};
	cleanup_free char *upper = path_join(git->layers.items[index], "upper");
	cleanup_close int fd = sys_openat2(
		AT_FDCWD, layer->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC, RESOLVE_NO_SYMLINKS);
	struct stat st;
	int r;
	if (!upper || fd < 0 || fstat(fd, &st) < 0)
		r = error_set_errno(&error, errno, "git", "%s", layer->path);
	else if (st.st_ino != layer->id.inode || st.st_dev != layer->id.device)
		r = error_set(&error, ESTALE, "git", "%s was replaced meanwhile", layer->path);
	else
		r = gitlayer_write_back(upper, fd,
			&(struct gitlayer_options){.git_dir = layer->path,
				.write_roots = strv_items(&plan->write_roots),
				.started_at = git->started_at,
				.hash_bytes = object_hash_bytes(fd)},
			&result, &error);
	json_t *json = result_json(layer->path, &result, &error, r);
	gitlayer_result_release(&result);
	return json;
}

static void write_back_all(const struct git_commit *git, const struct plan *plan, int pipe)
{
	if (plan->facts.root && become_owner(plan) < 0)
		return;
	umask(022);
	json_t *array = json_array();
	for (size_t i = 0; i < plan->git_layers_count; i++)
		json_array_append_new(array, write_back(git, plan, i));
	json_t *object = json_object();
	json_object_set_new(object, "layers", array);
	char *text = json_dumps(object, JSON_COMPACT);
	if (text)
		fd_write_full(pipe, text, strlen(text));
}

char *git_commit_finish(struct git_commit *git, const struct plan *plan)
{
	int ends[2];
	if (pipe2(ends, O_CLOEXEC) < 0)
		return NULL;
	pid_t pid = fork();
	if (pid == 0) {
		write_back_all(git, plan, ends[1]);
		_exit(0);
	}
	close(ends[1]);
	cleanup_close int from = ends[0];
	char *text = NULL;
	if (pid > 0) {
		text = malloc(MAX_PROC_FILE_BYTES + 1);
		ssize_t n = text ? fd_read_full(from, text, MAX_PROC_FILE_BYTES) : 0;
		if (text)
			text[n > 0 ? n : 0] = '\0';
		waitpid(pid, NULL, 0);
	}
	return text;
}

void git_commit_free(struct git_commit *git, const struct plan *plan)
{
	if (!git)
		return;
	for (size_t i = 0; i < git->layers.count; i++)
		remove_layer(git->layers.items[i], plan);
	strv_release(&git->layers);
	free(git->stacks);
	free(git);
}
