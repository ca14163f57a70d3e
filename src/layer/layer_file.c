/* layer.json and the directories of the roots. */
#include "layer/layer_internal.h"

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/limits.h"
#include "base/path.h"

#include <fcntl.h>
#include <jansson.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

static const char stage[] = "layer";

enum { VERSION = 1 };

uint64_t layer_now_us(void)
{
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static int append_root(struct layer *layer, const char *key, const char *path, const char *base)
{
	struct layer_root *roots =
		reallocarray(layer->roots, layer->roots_count + 1, sizeof(*roots));
	if (!roots)
		return -ENOMEM;
	layer->roots = roots;
	cleanup_free char *below = path_join("roots", key);
	struct layer_root root = {.path = strdup(path),
		.base = base ? strdup(base) : NULL,
		.directory = below ? path_join(layer->directory, below) : NULL};
	if (!root.path || (base && !root.base) || !root.directory) {
		free(root.path);
		free(root.base);
		free(root.directory);
		return -ENOMEM;
	}
	roots[layer->roots_count++] = root;
	return 0;
}

/* The layer's own files are coffer's, but a disk may be full and a person may edit. */
static int read_json(struct layer *layer, const json_t *json)
{
	json_int_t version = 0, created = 0, started = 0;
	const char *name = NULL, *purpose = "", *kind = "";
	int settled = 0, sealed = 0;
	json_t *parents, *roots;
	if (json_unpack((json_t *)json, "{s:I, s:s, s:s, s?s, s:I, s:I, s:b, s:b, s:o, s:o}",
		    "version", &version, "kind", &kind, "purpose", &purpose, "name", &name,
		    "created_us", &created, "started_us", &started, "settled", &settled, "sealed",
		    &sealed, "parents", &parents, "roots", &roots) < 0 ||
		version != VERSION || !json_is_array(parents) || !json_is_array(roots))
		return -EBADMSG;
	layer->kind = strcmp(kind, "copy") == 0 ? LAYER_COPY : LAYER_OVERLAY;
	layer->created_us = (uint64_t)created;
	layer->started_us = (uint64_t)started;
	layer->settled = settled;
	layer->sealed = sealed;
	free(layer->name);
	layer->name = name ? strdup(name) : NULL;
	layer->purpose = strdup(purpose);
	if (!layer->purpose || (name && !layer->name))
		return -ENOMEM;
	size_t i;
	json_t *item;
	json_array_foreach(parents, i, item)
	{
		const char *id = json_string_value(item);
		if (!id || !layer_is_id(id))
			return -EBADMSG;
		if (strv_add(&layer->parents, id) < 0)
			return -ENOMEM;
	}
	json_array_foreach(roots, i, item)
	{
		const char *path = NULL, *base = NULL, *key = NULL;
		if (json_unpack(item, "{s:s, s:s, s?s}", "key", &key, "path", &path, "base",
			    &base) < 0 ||
			path[0] != '/' || !layer_is_id(key))
			return -EBADMSG;
		if (append_root(layer, key, path, base) < 0)
			return -ENOMEM;
	}
	return 0;
}

static bool is_named(int names, const char *name, const char *id)
{
	char target[LAYER_ID_BYTES + 8];
	ssize_t n = readlinkat(names, name, target, sizeof(target));
	return n == LAYER_ID_BYTES + 3 && memcmp(target + 3, id, LAYER_ID_BYTES) == 0;
}

/* A name is written down before it is given; a layer that says none has none. */
static int find_name(struct layer *layer)
{
	cleanup_free char *store = layer->name ? path_parent(layer->directory) : NULL;
	cleanup_free char *path = store ? path_join(store, "names") : NULL;
	if (!path)
		return layer->name ? -ENOMEM : 0;
	int names = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (names >= 0 && is_named(names, layer->name, layer->id)) {
		close(names);
		return 0;
	}
	free(layer->name);
	layer->name = NULL;
	cleanup_closedir DIR *dir = names < 0 ? NULL : fdopendir(names);
	if (!dir) {
		close_fd(&names);
		return 0;
	}
	for (struct dirent *entry; !layer->name && (entry = readdir(dir));)
		if (layer_name_is_valid(entry->d_name) &&
			is_named(names, entry->d_name, layer->id)) {
			layer->name = strdup(entry->d_name);
			if (!layer->name)
				return -ENOMEM;
		}
	return 0;
}

int layer_load(struct layer *layer, struct error *error)
{
	cleanup_free char *path = path_join(layer->directory, "layer.json");
	cleanup_free char *text = NULL;
	size_t length;
	int r = path ? fd_read_file(AT_FDCWD, path, MAX_LAYER_FILE_BYTES, &text, &length) : -ENOMEM;
	if (r < 0)
		return error_set_errno(error, -r, stage, "%s", path ? path : "layer.json");
	json_t *json = json_loadb(text, length, 0, NULL);
	r = json ? read_json(layer, json) : -EBADMSG;
	json_decref(json);
	if (r == 0)
		r = find_name(layer);
	if (r == -EBADMSG) {
		error_set(error, EBADMSG, stage, "%s is damaged, or a newer coffer's", path);
		return error_hint(error, "what the layer holds is in roots/*/upper beside it");
	}
	return r < 0 ? error_set_errno(error, -r, stage, "%s", path) : 0;
}

int layer_save(const struct layer *layer, struct error *error)
{
	json_t *parents = json_array(), *roots = json_array();
	for (size_t i = 0; i < layer->parents.count; i++)
		json_array_append_new(parents, json_string(layer->parents.items[i]));
	for (size_t i = 0; i < layer->roots_count; i++) {
		const struct layer_root *root = &layer->roots[i];
		json_t *item = json_pack("{s:s, s:s, s:s*}", "key", path_name(root->directory),
			"path", root->path, "base", root->base);
		json_array_append_new(roots, item);
	}
	json_t *json = json_pack("{s:i, s:s, s:s, s:s*, s:I, s:I, s:b, s:b, s:o, s:o}", "version",
		VERSION, "kind", layer->kind == LAYER_COPY ? "copy" : "overlay", "purpose",
		layer->purpose, "name", layer->name, "created_us", (json_int_t)layer->created_us,
		"started_us", (json_int_t)layer->started_us, "settled", layer->settled, "sealed",
		layer->sealed, "parents", parents, "roots", roots);
	cleanup_free char *text = json ? json_dumps(json, JSON_INDENT(1)) : NULL;
	json_decref(json);
	cleanup_free char *path = path_join(layer->directory, "layer.json");
	cleanup_free char *fresh = path_join(layer->directory, "layer.json.new");
	if (!text || !path || !fresh) {
		/* A path that is not UTF-8 cannot be told in JSON. */
		error_set(error, EILSEQ, stage, "the layer's description cannot be written");
		return error_hint(error, "roots of a layer need names in UTF-8");
	}
	cleanup_close int fd =
		open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	int r = fd < 0 ? -errno : fd_write_full(fd, text, strlen(text));
	if (r == 0 && rename(fresh, path) < 0)
		r = -errno;
	return r < 0 ? error_set_errno(error, -r, stage, "%s", path) : 0;
}

int layer_peek(const char *id, struct layer **ret, struct error *error)
{
	cleanup_free char *store = NULL;
	int r = layer_store_path(&store, error);
	if (r < 0)
		return r;
	struct layer *layer = calloc(1, sizeof(*layer));
	if (!layer)
		return error_set_errno(error, ENOMEM, stage, "%s", id);
	layer->lock = -1;
	layer->id = strdup(id);
	layer->directory = path_join(store, id);
	r = layer->id && layer->directory ? layer_load(layer, error)
					  : error_set_errno(error, ENOMEM, stage, "%s", id);
	if (r < 0) {
		layer_close(layer);
		return r;
	}
	*ret = layer;
	return 0;
}

/* FNV-1a, 64 bit: a name for a directory; which path it is for is in layer.json. */
static void root_key(const char *path, char ret[LAYER_ID_BYTES + 1])
{
	uint64_t hash = 0xcbf29ce484222325ULL;
	for (; *path; path++)
		hash = (hash ^ (unsigned char)*path) * 0x100000001b3ULL;
	snprintf(ret, LAYER_ID_BYTES + 1, "%016llx", (unsigned long long)hash);
}

/* The overlay shows the upper directory's own mode and owner for the root. */
static int make_upper(int root, const char *base, uid_t uid, gid_t gid)
{
	struct stat st = {.st_mode = 0755, .st_uid = uid, .st_gid = gid};
	if (base && stat(base, &st) < 0)
		return -errno;
	if (mkdirat(root, "work", 0700) < 0 || mkdirat(root, "upper", 0700) < 0)
		return -errno;
	if (geteuid() == 0 &&
		(fchownat(root, "work", uid, gid, AT_SYMLINK_NOFOLLOW) < 0 ||
			fchownat(root, "upper", st.st_uid, st.st_gid, AT_SYMLINK_NOFOLLOW) < 0))
		return -errno;
	return fchmodat(root, "upper", st.st_mode & 01777, 0) < 0 ? -errno : 0;
}

int layer_add_root(struct layer *layer, const char *path, const char *base, uid_t uid, gid_t gid,
	struct error *error)
{
	for (size_t i = 0; i < layer->roots_count; i++) {
		const struct layer_root *root = &layer->roots[i];
		if (strcmp(root->path, path) != 0)
			continue;
		bool same = root->base && base ? strcmp(root->base, base) == 0 : root->base == base;
		return same ? 0
			    : error_set(error, EINVAL, stage, "%s lies on another base in layer %s",
				      path, layer->name ? layer->name : layer->id);
	}
	char key[LAYER_ID_BYTES + 1];
	root_key(path, key);
	cleanup_free char *below = path_join("roots", key);
	cleanup_free char *directory = below ? path_join(layer->directory, below) : NULL;
	if (!directory)
		return error_set_errno(error, ENOMEM, stage, "%s", path);
	/* A kill may have left one that no description names. */
	if (mkdir(directory, 0700) < 0 && errno != EEXIST)
		return error_set_errno(error, errno, stage, "%s", directory);
	cleanup_close int fd = open(directory, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;
	if (fd < 0)
		return error_set_errno(error, errno, stage, "%s", directory);
	int r = 0;
	if (fstatat(fd, "upper", &st, AT_SYMLINK_NOFOLLOW) < 0) {
		unlinkat(fd, "work", AT_REMOVEDIR);
		r = make_upper(fd, base, uid, gid);
	}
	if (r == 0)
		r = append_root(layer, key, path, base);
	return r < 0 ? error_set_errno(error, -r, stage, "a layer for %s", path) : 0;
}

int layer_uppers_below(
	const struct layer *layer, const char *path, struct strv *ret, struct error *error)
{
	char key[LAYER_ID_BYTES + 1];
	root_key(path, key);
	cleanup_free char *store = path_parent(layer->directory);
	for (size_t i = 0; store && i < layer->parents.count; i++) {
		cleanup_free char *upper = NULL;
		struct stat st;
		if (asprintf(&upper, "%s/%s/roots/%s/upper", store, layer->parents.items[i], key) <
			0) {
			upper = NULL;
			return error_set_errno(error, ENOMEM, stage, "%s", path);
		}
		cleanup_free char *parent = path_join(store, layer->parents.items[i]);
		if (!parent || stat(parent, &st) < 0) {
			error_set(error, ENOENT, stage, "layer %s, which %s stands on, is gone",
				layer->parents.items[i], layer->name ? layer->name : layer->id);
			return error_hint(error, "discard what stands on it");
		}
		if (lstat(upper, &st) < 0)
			continue;
		if (strv_add(ret, upper) < 0)
			return error_set_errno(error, ENOMEM, stage, "%s", path);
	}
	return store ? 0 : error_set_errno(error, ENOMEM, stage, "%s", path);
}
