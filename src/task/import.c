/* Theory of operation. An image goes through boxes without a network, each on a layer of its
 * own. The first unpacks the outer tar. Its description is read here, small and bounded, and
 * each blob is digested before its name is believed; a blob then goes, as standard input, into a
 * box that unpacks it on another layer, so that no tar can change what another has yet to read.
 * What lies in that layer's upper is moved, a directory for each root, into a new layer. Only
 * when all of them are complete does the topmost get its name: until then they are garbage that
 * a collection removes. */
#include "task/import.h"

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/limits.h"
#include "base/path.h"
#include "layer/copies.h"
#include "layer/layer_internal.h"
#include "layer/oci.h"
#include "layer/settle.h"
#include "layer/tar_write.h"
#include "layer/upper_walk.h"
#include "task/box.h"
#include "task/import_tree.h"

#include <fcntl.h>
#include <jansson.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

static const char stage[] = "import";
static const char purpose[] = "import";

enum { LAYERS_MAX = MAX_LAYER_PARENTS };

struct importing {
	char *outer; /* the layer in which the outer tar lies */
	int outer_upper;
	json_t *roots; /* path -> base or null */
	const char *onto;
	struct strv *loose;
	json_t *manifest, *config;
	uint64_t entries, bytes;
	char *below; /* id of the last layer that was made */
	struct error *error;
};

static int spoiled(struct importing *importing, const char *what)
{
	error_set(importing->error, EBADMSG, stage, "this is no image of a layer: %s", what);
	return error_hint(importing->error, "`coffer layers export` writes them");
}

/* ---- boxes ---- */

static void discard(const char *id)
{
	struct layer *layer = NULL;
	struct error ignored;
	if (id && layer_open(id, LAYER_WRITE, &layer, &ignored) == 0)
		layer_discard(layer, &ignored);
}

static int make_layer(char **ret_id, struct error *error)
{
	const struct layer_options options = {.purpose = purpose};
	struct layer *layer = NULL;
	int r = layer_create(&options, &layer, error);
	if (r < 0)
		return r;
	*ret_id = strdup(layer->id);
	layer_close(layer);
	return *ret_id ? 0 : error_set_errno(error, ENOMEM, stage, "a layer");
}

/* tar's own words, for the error: one line, since a stranger's names are in it. */
static void read_words(int fd, char *text, size_t text_bytes)
{
	ssize_t n = pread(fd, text, text_bytes - 1, 0);
	text[n > 0 ? n : 0] = '\0';
	text[strcspn(text, "\n")] = '\0';
}

static int run_tar(const char *id, char *const argv[], int input, struct error *error)
{
	static char disk[64];
	cleanup_strv struct strv settings = {0};
	struct task_box_result result = {0};
	char words[256];
	cleanup_close int said = memfd_create("tar", MFD_CLOEXEC);
	snprintf(disk, sizeof(disk), "limit=disk=%dG,inodes=%d,time=6h", MAX_IMPORT_GIB,
		MAX_IMPORT_ENTRIES);
	if (said < 0 || strv_add(&settings, disk) < 0)
		return error_set_errno(error, errno, stage, "a box");
	const struct task_box box = {
		.layer = id, .argv = argv, .settings = &settings, .stdio = {input, -1, said}};
	int r = task_box_run(&box, &result, error);
	if (r == 0 && result.exit_code != 0) {
		read_words(said, words, sizeof(words));
		r = error_set(error, EBADMSG, stage, "it cannot be unpacked (%s): %s",
			result.cause[0] ? result.cause : "tar failed", words);
	}
	task_box_result_release(&result);
	return r;
}

/* Where the box's TASK_WORKSPACE lies on disk. */
static int open_workspace(const char *id, struct error *error)
{
	struct layer *layer = NULL;
	int fd = -1, r = layer_peek(id, &layer, error);
	for (size_t i = 0; r == 0 && fd < 0 && i < layer->roots_count; i++) {
		if (strcmp(layer->roots[i].path, TASK_WORKSPACE) != 0)
			continue;
		cleanup_free char *path = path_join(layer->roots[i].directory, "upper");
		fd = path ? open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC) : -1;
	}
	if (r == 0 && fd < 0)
		r = error_set_errno(error, errno ? errno : ENOENT, stage, "the unpacked image");
	layer_close(layer);
	return r < 0 ? r : fd;
}

/* ---- the description ---- */

static int digest_file(int fd, char ret[TAR_DIGEST_BYTES], uint64_t *ret_bytes)
{
	enum { CHUNK_BYTES = 128 * 1024 };
	cleanup_free char *chunk = malloc(CHUNK_BYTES);
	struct tar_sink sink;
	if (!chunk)
		return -ENOMEM;
	tar_sink_init(&sink, -1);
	for (;;) {
		ssize_t n = pread(fd, chunk, CHUNK_BYTES, (off_t)sink.bytes);
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		tar_write(&sink, chunk, (size_t)n);
	}
	*ret_bytes = sink.bytes;
	tar_sink_digest(&sink, ret);
	return 0;
}

/* The descriptor of a blob whose content is what its name says. */
static int open_blob(struct importing *importing, const json_t *described)
{
	const char *digest = json_string_value(json_object_get(described, "digest"));
	json_int_t size = json_integer_value(json_object_get(described, "size"));
	size_t prefix = strlen(OCI_SHA256);
	char path[sizeof(OCI_BLOBS) + TAR_DIGEST_BYTES], found[TAR_DIGEST_BYTES];
	uint64_t bytes;
	if (!digest || strncmp(digest, OCI_SHA256, prefix) != 0 ||
		strlen(digest + prefix) != TAR_DIGEST_BYTES - 1 ||
		strspn(digest + prefix, "0123456789abcdef") != TAR_DIGEST_BYTES - 1)
		return spoiled(importing, "a digest is missing");
	snprintf(path, sizeof(path), OCI_BLOBS "%s", digest + prefix);
	cleanup_close int fd = upper_open(importing->outer_upper, path, O_RDONLY | O_NONBLOCK);
	struct stat st;
	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return spoiled(importing, "a blob is missing");
	int r = digest_file(fd, found, &bytes);
	if (r < 0)
		return error_set_errno(importing->error, -r, stage, "%s", path);
	if (strcmp(found, digest + prefix) != 0 || bytes != (uint64_t)size) {
		error_set(importing->error, EBADMSG, stage,
			"the image is damaged: %s has the digest %s", path, found);
		return error_hint(importing->error, "nothing was imported");
	}
	return steal_fd(&fd);
}

static json_t *read_json(int fd)
{
	char path[64];
	cleanup_free char *text = NULL;
	size_t length;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (fd_read_file(AT_FDCWD, path, MAX_IMPORT_TEXT_BYTES, &text, &length) < 0)
		return NULL;
	return json_loadb(text, length, JSON_REJECT_DUPLICATES, NULL);
}

static json_t *read_blob(struct importing *importing, const json_t *described, const char *what)
{
	cleanup_close int fd = open_blob(importing, described);
	if (fd < 0)
		return NULL;
	json_t *json = read_json(fd);
	if (!json)
		spoiled(importing, what);
	return json;
}

/* An apply goes to where the roots lie: that is for whoever imports to say. */
static int loosen_roots(struct importing *importing)
{
	const char *path;
	json_t *base;
	void *next;
	json_object_foreach_safe(importing->roots, next, path, base)
	{
		const char *told = json_string_value(base);
		if (!told || !importing->onto || strcmp(told, importing->onto) == 0)
			continue;
		if (strv_add(importing->loose, told) < 0 ||
			json_object_set_new(importing->roots, path, json_null()) < 0)
			return error_set_errno(importing->error, ENOMEM, stage, "%s", path);
	}
	return 0;
}

static int read_description(struct importing *importing, char **ret_digest)
{
	cleanup_close int fd =
		upper_open(importing->outer_upper, "index.json", O_RDONLY | O_NONBLOCK);
	json_t *index = fd < 0 ? NULL : read_json(fd);
	json_t *manifests = json_object_get(index, "manifests");
	const json_t *one = json_array_get(manifests, 0);
	const char *digest = json_string_value(json_object_get(one, "digest"));
	int r = json_array_size(manifests) == 1 && digest
			? 0
			: spoiled(importing, "index.json names no single manifest");
	if (r == 0) {
		importing->manifest = read_blob(importing, one, "its manifest is no JSON");
		*ret_digest = strdup(digest);
		r = importing->manifest && *ret_digest ? 0 : -EBADMSG;
	}
	json_decref(index);
	if (r < 0)
		return r;
	importing->config = read_blob(importing, json_object_get(importing->manifest, "config"),
		"its description is no JSON");
	if (!importing->config)
		return -EBADMSG;
	const json_t *labels =
		json_object_get(json_object_get(importing->config, "config"), "Labels");
	const char *roots = json_string_value(json_object_get(labels, OCI_ROOTS_LABEL));
	const char *why = NULL;
	importing->roots = import_roots(roots ? roots : "", &why);
	size_t count = json_array_size(json_object_get(importing->manifest, "layers"));
	if (count == 0 || count > LAYERS_MAX)
		return spoiled(importing, "it has no layers, or too many");
	return importing->roots ? loosen_roots(importing) : spoiled(importing, why);
}

/* ---- layers ---- */

/* Takes the directory of one root out of the unpacked tree. */
static int move_root(struct importing *importing, int tree, struct layer *layer, const char *path,
	const json_t *base)
{
	struct stat st;
	int r = layer_add_root(
		layer, path, json_string_value(base), geteuid(), getegid(), importing->error);
	if (r < 0)
		return r;
	const struct layer_root *root = &layer->roots[layer->roots_count - 1];
	cleanup_close int directory = open(root->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	cleanup_free char *above = path_parent(path);
	cleanup_close int from = !above     ? -1
				 : above[1] ? upper_open(tree, above + 1, O_RDONLY | O_DIRECTORY)
					    : fcntl(tree, F_DUPFD_CLOEXEC, 0);
	if (directory < 0 || !above)
		return error_set_errno(importing->error, errno, stage, "%s", path);
	if (from < 0 || fstatat(from, path_name(path), &st, AT_SYMLINK_NOFOLLOW) < 0)
		return 0; /* this layer has nothing there */
	if (!S_ISDIR(st.st_mode))
		return spoiled(importing, "a root is no directory");
	if (unlinkat(directory, "upper", AT_REMOVEDIR) < 0 ||
		renameat(from, path_name(path), directory, "upper") < 0)
		return error_set_errno(importing->error, errno, stage, "%s", path);
	return 0;
}

/* Only directories are left of what led to the roots. */
static int refuse_rest(const struct upper_entry *entry, void *context)
{
	struct importing *importing = context;
	if (S_ISDIR(entry->st.st_mode))
		return 0;
	error_set(importing->error, EBADMSG, stage,
		"the image has %.512s, which no root of it holds", entry->path);
	return -EBADMSG;
}

static int settle(struct importing *importing, struct layer *layer)
{
	layer->started_us = layer_now_us();
	layer->settled = false;
	int r = layer_save(layer, importing->error);
	return r < 0 ? r : layer_settle(layer, NULL, importing->error);
}

static int build_layer(struct importing *importing, int tree)
{
	const struct layer_options options = {.on = importing->below, .purpose = purpose};
	struct layer *layer = NULL;
	const char *path;
	json_t *base;
	int r = import_tree(tree, &importing->entries, &importing->bytes, importing->error);
	if (r == 0)
		r = layer_create(&options, &layer, importing->error);
	if (r < 0)
		return r;
	json_object_foreach(importing->roots, path, base)
	{
		r = move_root(importing, tree, layer, path, base);
		if (r < 0)
			break;
	}
	if (r == 0)
		r = upper_walk(tree, refuse_rest, importing, importing->error);
	if (r == 0)
		r = settle(importing, layer);
	char *id = r == 0 ? strdup(layer->id) : NULL;
	if (r == 0 && !id)
		r = error_set_errno(importing->error, ENOMEM, stage, "a layer");
	if (r < 0) {
		struct error ignored;
		layer_discard(layer, &ignored);
		return r;
	}
	layer_close(layer);
	free(importing->below);
	importing->below = id;
	return 0;
}

static int import_layer(struct importing *importing, const json_t *described)
{
	static char *const argv[] = {"tar", "-x", "-f", "-", "-p", "--no-same-owner",
		"--numeric-owner", "--delay-directory-restore", "--xattrs",
		"--xattrs-include=user.*", NULL};
	cleanup_free char *id = NULL;
	cleanup_close int blob = open_blob(importing, described);
	if (blob < 0)
		return -EBADMSG;
	int r = make_layer(&id, importing->error);
	if (r == 0)
		r = run_tar(id, argv, blob, importing->error);
	cleanup_close int tree = r < 0 ? -1 : open_workspace(id, importing->error);
	if (r == 0)
		r = tree < 0 ? tree : build_layer(importing, tree);
	discard(id);
	return r;
}

static int import_all(struct importing *importing, int fd, char **ret_digest)
{
	static char *const argv[] = {
		"tar", "-x", "-f", "-", "--no-same-owner", "--no-same-permissions", NULL};
	int r = make_layer(&importing->outer, importing->error);
	if (r == 0)
		r = run_tar(importing->outer, argv, fd, importing->error);
	if (r < 0)
		return r;
	importing->outer_upper = open_workspace(importing->outer, importing->error);
	if (importing->outer_upper < 0)
		return importing->outer_upper;
	r = read_description(importing, ret_digest);
	size_t i;
	json_t *described;
	if (r < 0)
		return r;
	json_array_foreach(json_object_get(importing->manifest, "layers"), i, described)
	{
		r = import_layer(importing, described);
		if (r < 0)
			return r;
	}
	return 0;
}

/* From here on a person may reach it, and a run go on in it. */
static int publish(const char *id, const char *name, struct error *error)
{
	cleanup_free char *path = NULL;
	cleanup_close int store = -1;
	struct layer *layer = NULL;
	int r = layer_open_store(&path, &store, error);
	if (r == 0)
		r = layer_open(id, LAYER_WRITE, &layer, error);
	if (r == 0) {
		char *word = strdup("run");
		if (word) {
			free(layer->purpose);
			layer->purpose = word;
		}
		r = word ? layer_save(layer, error)
			 : error_set_errno(error, ENOMEM, stage, "%s", id);
	}
	if (r == 0 && name)
		r = layer_give_name(store, layer, name, error);
	layer_close(layer);
	return r;
}

int layer_import(int fd, const char *name, const char *onto, struct strv *loose, char **ret_digest,
	char **ret_id, struct error *error)
{
	struct importing importing = {
		.outer_upper = -1, .onto = onto, .loose = loose, .error = error};
	cleanup_free char *path = NULL;
	cleanup_close int store = -1;
	struct layer_garbage garbage;
	struct error ignored;
	*ret_digest = *ret_id = NULL;
	int r = layer_open_store(&path, &store, error);
	if (r == 0 && name)
		r = layer_check_name(store, name, error);
	if (r == 0)
		r = import_all(&importing, fd, ret_digest);
	if (r == 0)
		r = publish(importing.below, name, error);
	if (r == 0)
		*ret_id = steal_pointer(&importing.below);
	close_fd(&importing.outer_upper);
	discard(importing.outer);
	discard(importing.below);
	/* What those stood on. */
	if (r < 0)
		layer_collect(NULL, &garbage, &ignored);
	json_decref(importing.roots);
	json_decref(importing.manifest);
	json_decref(importing.config);
	free(importing.outer);
	free(importing.below);
	if (r < 0) {
		free(*ret_digest);
		*ret_digest = NULL;
	}
	return r;
}
