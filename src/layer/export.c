/* Theory of operation. A layer and those that it stands on become the layers of an OCI image: one tar
 * each, the lowest first, in which a whiteout is a file ".wh.NAME" and an opaque directory has one
 * called ".wh..wh..opq". Names of blobs are digests of what is in them, which have to be known before
 * the first byte of each goes out (the way may be a pipe): so each is made twice, once for its digest
 * and once for the reader, and has to come out the same. What belongs to the owner of the root is
 * written as root's, so that the same content gives the same digest for every user. */
#include "layer/copies.h"

#include "base/cleanup.h"
#include "base/limits.h"
#include "base/path.h"
#include "layer/copy_file.h"
#include "layer/layer_internal.h"
#include "layer/link_table.h"
#include "layer/oci.h"
#include "layer/tar_write.h"
#include "layer/upper_walk.h"

#include <fcntl.h>
#include <jansson.h>
#include <string.h>
#include <sys/xattr.h>

static const char stage[] = "export";

/* ---- one layer ---- */

struct blob {
	char digest[TAR_DIGEST_BYTES];
	uint64_t bytes;
};

struct writing {
	struct tar_sink *sink;
	const char *root; /* the root's path, without the "/" at its front */
	uid_t uid;
	gid_t gid; /* of the root */
	struct link_table links;
	struct error *error;
};

static char *tar_name(const char *root, const char *path, const char *before, const char *name)
{
	char *text = NULL;
	const char *slash = strrchr(path, '/');
	int above = slash ? (int)(slash - path) + 1 : 0;
	if (asprintf(&text, "%s/%.*s%s%s", root, above, path, before, name) < 0)
		return NULL;
	return text;
}

static void put_mark(struct tar_sink *sink, const char *name)
{
	const struct tar_entry entry = {.name = name, .type = '0'};
	tar_put_entry(sink, &entry);
}

static int add_attributes(int fd, struct tar_entry *entry)
{
	cleanup_free char *names = malloc(COPY_ATTRIBUTE_NAMES_MAX);
	cleanup_free char *value = malloc(COPY_ATTRIBUTE_MAX);
	cleanup_strv struct strv sorted = {0};
	if (!names || !value)
		return -ENOMEM;
	ssize_t length = flistxattr(fd, names, COPY_ATTRIBUTE_NAMES_MAX);
	if (length < 0)
		return errno == EOPNOTSUPP ? 0 : -errno;
	for (char *name = names; name < names + length; name += strlen(name) + 1) {
		size_t at = sorted.count;
		if (!copy_is_plain_attribute(name))
			continue;
		if (strv_add(&sorted, name) < 0)
			return -ENOMEM;
		/* The file system's order is nobody's; there are few. */
		for (; at > 0 && strcmp(sorted.items[at - 1], sorted.items[at]) > 0; at--) {
			char *other = sorted.items[at];
			sorted.items[at] = sorted.items[at - 1];
			sorted.items[at - 1] = other;
		}
	}
	for (size_t i = 0; i < sorted.count; i++) {
		ssize_t n = fgetxattr(fd, sorted.items[i], value, COPY_ATTRIBUTE_MAX);
		if (n < 0)
			return -errno;
		tar_add_attribute(entry, sorted.items[i], value, (size_t)n);
	}
	return 0;
}

static int put_content(struct tar_sink *sink, int fd, uint64_t size_bytes)
{
	enum { CHUNK_BYTES = 128 * 1024 };
	cleanup_free char *chunk = malloc(CHUNK_BYTES);
	uint64_t left = size_bytes;
	if (!chunk)
		return -ENOMEM;
	while (left > 0 && !sink->error) {
		ssize_t n = read(fd, chunk, left < CHUNK_BYTES ? (size_t)left : CHUNK_BYTES);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -ESTALE; /* it has become shorter */
		tar_write(sink, chunk, (size_t)n);
		left -= (uint64_t)n;
	}
	tar_put_padding(sink, size_bytes);
	return sink->error;
}

static int put_directory(struct writing *writing, const struct upper_entry *entry,
	struct tar_entry *tar)
{
	cleanup_close int fd = upper_open(entry->root, entry->path, O_RDONLY | O_DIRECTORY);
	if (fd < 0)
		return fd;
	tar->type = '5';
	int r = add_attributes(fd, tar);
	if (r < 0)
		return r;
	tar_put_entry(writing->sink, tar);
	if (!*entry->path || !upper_is_opaque(fd))
		return 0;
	cleanup_free char *mark = NULL;
	if (asprintf(&mark, "%s/" OCI_OPAQUE, tar->name) < 0) {
		mark = NULL;
		return -ENOMEM;
	}
	put_mark(writing->sink, mark);
	return 0;
}

static int put_file(struct writing *writing, const struct upper_entry *entry, struct tar_entry *tar)
{
	cleanup_close int fd = upper_open(entry->directory, entry->name, O_RDONLY | O_NONBLOCK);
	if (fd < 0)
		return fd;
	tar->type = '0';
	tar->size_bytes = (uint64_t)entry->st.st_size;
	int r = add_attributes(fd, tar);
	if (r < 0)
		return r;
	tar_put_entry(writing->sink, tar);
	return put_content(writing->sink, fd, tar->size_bytes);
}

static int put_link(struct writing *writing, const struct upper_entry *entry, struct tar_entry *tar)
{
	char target[PATH_MAX];
	ssize_t n = readlinkat(entry->directory, entry->name, target, sizeof(target) - 1);
	if (n < 0)
		return -errno;
	target[n] = '\0';
	tar->type = '2';
	tar->link = target;
	tar_put_entry(writing->sink, tar);
	return 0;
}

/* 1: it is one more name of a file that was written. */
static int put_hard_link(
	struct writing *writing, const struct upper_entry *entry, struct tar_entry *tar)
{
	const struct stat *st = &entry->st;
	const char *first = link_table_find(&writing->links, st->st_dev, st->st_ino);
	if (!first)
		return link_table_add(&writing->links, st->st_dev, st->st_ino, tar->name);
	tar->type = '1';
	tar->link = first;
	tar_put_entry(writing->sink, tar);
	return 1;
}

static int put_whiteout(struct writing *writing, const struct upper_entry *entry)
{
	cleanup_free char *name = tar_name(writing->root, entry->path, OCI_WHITEOUT, entry->name);
	if (!name)
		return -ENOMEM;
	put_mark(writing->sink, name);
	return 0;
}

static int put_entry(const struct upper_entry *entry, void *context)
{
	struct writing *writing = context;
	const struct stat *st = &entry->st;
	if (entry->leaving)
		return 0;
	if (upper_is_whiteout(entry))
		return put_whiteout(writing, entry);
	/* A socket is nothing without its program, and a device nothing that a box has made. */
	if (S_ISSOCK(st->st_mode) || S_ISCHR(st->st_mode) || S_ISBLK(st->st_mode))
		return 0;
	if (strncmp(entry->name, OCI_WHITEOUT, strlen(OCI_WHITEOUT)) == 0) {
		error_set(writing->error, ENOTSUP, stage,
			"/%s/%.400s has a name that means something else in an image",
			writing->root, entry->path);
		return -ENOTSUP;
	}
	cleanup_free char *name = *entry->path ? tar_name(writing->root, entry->path, "", entry->name)
					       : strdup(writing->root);
	if (!name)
		return -ENOMEM;
	struct tar_entry tar = {.name = name,
		.mode = st->st_mode & 01777,
		.uid = st->st_uid == writing->uid ? 0 : st->st_uid,
		.gid = st->st_gid == writing->gid ? 0 : st->st_gid,
		.modified = st->st_mtim,
		.attributes = BUFFER_INIT(MAX_LAYER_FILE_BYTES * 16)};
	int r = !S_ISDIR(st->st_mode) && st->st_nlink > 1 ? put_hard_link(writing, entry, &tar) : 0;
	if (r == 0 && S_ISDIR(st->st_mode)) {
		r = put_directory(writing, entry, &tar);
	} else if (r == 0 && S_ISLNK(st->st_mode)) {
		r = put_link(writing, entry, &tar);
	} else if (r == 0 && S_ISFIFO(st->st_mode)) {
		tar.type = '6';
		tar_put_entry(writing->sink, &tar);
	} else if (r == 0) {
		r = put_file(writing, entry, &tar);
	}
	buffer_release(&tar.attributes);
	return r < 0 ? r : writing->sink->error;
}

static int compare_roots(const void *left, const void *right)
{
	const struct layer_root *const *a = left, *const *b = right;
	return strcmp((*a)->path, (*b)->path);
}

static int put_root(const struct layer_root *root, struct tar_sink *sink, struct error *error)
{
	struct writing writing = {.sink = sink, .root = root->path + 1, .error = error};
	cleanup_free char *path = path_join(root->directory, "upper");
	cleanup_close int fd = path ? open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW) : -1;
	struct stat st;
	if (fd < 0 || fstat(fd, &st) < 0)
		return error_set_errno(error, path ? errno : ENOMEM, stage, "%s", root->path);
	writing.uid = st.st_uid;
	writing.gid = st.st_gid;
	int r = upper_walk(fd, put_entry, &writing, error);
	link_table_release(&writing.links);
	return r;
}

static int put_layer(const struct layer *layer, struct tar_sink *sink, struct error *error)
{
	const struct layer_root **roots = calloc(layer->roots_count + 1, sizeof(*roots));
	if (!roots)
		return error_set_errno(error, ENOMEM, stage, "%s", layer->id);
	for (size_t i = 0; i < layer->roots_count; i++)
		roots[i] = &layer->roots[i];
	qsort(roots, layer->roots_count, sizeof(*roots), compare_roots);
	int r = 0;
	for (size_t i = 0; r == 0 && i < layer->roots_count; i++)
		r = put_root(roots[i], sink, error);
	free(roots);
	tar_put_end(sink);
	return r;
}

/* ---- the description ---- */

static json_t *describe_blob(const char *type, const struct blob *blob)
{
	char digest[TAR_DIGEST_BYTES + sizeof(OCI_SHA256)];
	snprintf(digest, sizeof(digest), OCI_SHA256 "%s", blob->digest);
	return json_pack("{s:s, s:s, s:I}", "mediaType", type, "digest", digest, "size",
		(json_int_t)blob->bytes);
}

static char *roots_text(const struct layer *const stack[], size_t count)
{
	json_t *roots = json_object();
	/* The topmost one's word counts; keys are sorted when it is written. */
	for (size_t i = 0; i < count; i++)
		for (size_t k = 0; k < stack[i]->roots_count; k++) {
			const struct layer_root *root = &stack[i]->roots[k];
			if (!json_object_get(roots, root->path))
				json_object_set_new(roots, root->path,
					root->base ? json_string(root->base) : json_null());
		}
	char *text = json_dumps(roots, JSON_COMPACT | JSON_SORT_KEYS);
	json_decref(roots);
	return text;
}

/* The layers of the stack are given topmost first, and named lowest first. */
static char *config_text(
	const struct layer *const stack[], const struct blob *blobs, size_t count)
{
	cleanup_free char *roots = roots_text(stack, count);
	json_t *digests = json_array();
	for (size_t i = count; i > 0; i--) {
		char digest[TAR_DIGEST_BYTES + sizeof(OCI_SHA256)];
		snprintf(digest, sizeof(digest), OCI_SHA256 "%s", blobs[i - 1].digest);
		json_array_append_new(digests, json_string(digest));
	}
	json_t *json = json_pack("{s:s, s:s, s:{s:{s:s?}}, s:{s:s, s:o}}", "architecture", "amd64",
		"os", "linux", "config", "Labels", OCI_ROOTS_LABEL, roots, "rootfs", "type",
		"layers", "diff_ids", digests);
	char *text = json ? json_dumps(json, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
	json_decref(json);
	return text;
}

static char *manifest_text(const struct blob *config, const struct blob *blobs, size_t count)
{
	json_t *layers = json_array();
	for (size_t i = count; i > 0; i--)
		json_array_append_new(layers, describe_blob(OCI_TYPE_LAYER, &blobs[i - 1]));
	json_t *json = json_pack("{s:i, s:s, s:o, s:o}", "schemaVersion", 2, "mediaType",
		OCI_TYPE_MANIFEST, "config", describe_blob(OCI_TYPE_CONFIG, config), "layers",
		layers);
	char *text = json ? json_dumps(json, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
	json_decref(json);
	return text;
}

static char *index_text(const struct blob *manifest)
{
	json_t *json = json_pack("{s:i, s:s, s:[o]}", "schemaVersion", 2, "mediaType",
		OCI_TYPE_INDEX, "manifests", describe_blob(OCI_TYPE_MANIFEST, manifest));
	char *text = json ? json_dumps(json, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
	json_decref(json);
	return text;
}

static void digest_text(const char *text, struct blob *ret)
{
	struct tar_sink sink;
	tar_sink_init(&sink, -1);
	tar_write(&sink, text, strlen(text));
	ret->bytes = sink.bytes;
	tar_sink_digest(&sink, ret->digest);
}

/* ---- the whole ---- */

static void put_member(struct tar_sink *sink, const char *name, char type, uint64_t size_bytes)
{
	const struct tar_entry entry = {.name = name,
		.type = type,
		.mode = type == '5' ? 0755 : 0644,
		.size_bytes = type == '5' ? 0 : size_bytes};
	tar_put_entry(sink, &entry);
}

static void put_text_member(struct tar_sink *sink, const char *name, const char *text)
{
	put_member(sink, name, '0', strlen(text));
	tar_write(sink, text, strlen(text));
	tar_put_padding(sink, strlen(text));
}

static void blob_name(const struct blob *blob, char ret[sizeof(OCI_BLOBS) + TAR_DIGEST_BYTES])
{
	snprintf(ret, sizeof(OCI_BLOBS) + TAR_DIGEST_BYTES, OCI_BLOBS "%s", blob->digest);
}

static int put_layers(struct tar_sink *sink, const struct layer *const stack[],
	const struct blob *blobs, size_t count, struct error *error)
{
	for (size_t i = count; i > 0; i--) {
		const struct blob *blob = &blobs[i - 1];
		char name[sizeof(OCI_BLOBS) + TAR_DIGEST_BYTES], digest[TAR_DIGEST_BYTES];
		struct tar_sink inner;
		bool seen = false; /* equal layers are one blob */
		for (size_t k = count; k > i; k--)
			seen = seen || strcmp(blobs[k - 1].digest, blob->digest) == 0;
		if (seen)
			continue;
		blob_name(blob, name);
		put_member(sink, name, '0', blob->bytes);
		tar_sink_init(&inner, sink->fd);
		int r = sink->error ? sink->error : put_layer(stack[i - 1], &inner, error);
		if (r == 0 && inner.error)
			r = error_set_errno(error, -inner.error, stage, "writing");
		tar_sink_digest(&inner, digest);
		if (r == 0 && strcmp(digest, blob->digest) != 0)
			r = error_set(error, ESTALE, stage, "layer %s was changed while it was read",
				stack[i - 1]->id);
		if (r < 0)
			return r;
		tar_put_padding(sink, blob->bytes);
	}
	return 0;
}

static int export_stack(const struct layer *const stack[], struct blob *blobs, size_t count, int fd,
	char **ret_digest, struct error *error)
{
	for (size_t i = 0; i < count; i++) {
		struct tar_sink sink;
		tar_sink_init(&sink, -1);
		int r = put_layer(stack[i], &sink, error);
		if (r == 0 && sink.error)
			r = error_set_errno(error, -sink.error, stage, "layer %s", stack[i]->id);
		if (r < 0)
			return r;
		blobs[i].bytes = sink.bytes;
		tar_sink_digest(&sink, blobs[i].digest);
	}
	struct blob config_blob, manifest_blob;
	cleanup_free char *config = config_text(stack, blobs, count);
	if (!config)
		return error_set_errno(error, ENOMEM, stage, "the description");
	digest_text(config, &config_blob);
	cleanup_free char *manifest = manifest_text(&config_blob, blobs, count);
	if (!manifest)
		return error_set_errno(error, ENOMEM, stage, "the description");
	digest_text(manifest, &manifest_blob);
	cleanup_free char *index = index_text(&manifest_blob);
	if (!index || asprintf(ret_digest, OCI_SHA256 "%s", manifest_blob.digest) < 0) {
		*ret_digest = NULL;
		return error_set_errno(error, ENOMEM, stage, "the description");
	}
	char name[sizeof(OCI_BLOBS) + TAR_DIGEST_BYTES];
	struct tar_sink sink;
	tar_sink_init(&sink, fd);
	put_text_member(&sink, "oci-layout", OCI_LAYOUT);
	put_text_member(&sink, "index.json", index);
	put_member(&sink, "blobs", '5', 0);
	put_member(&sink, "blobs/sha256", '5', 0);
	blob_name(&manifest_blob, name);
	put_text_member(&sink, name, manifest);
	blob_name(&config_blob, name);
	put_text_member(&sink, name, config);
	int r = put_layers(&sink, stack, blobs, count, error);
	tar_put_end(&sink);
	return r == 0 && sink.error ? error_set_errno(error, -sink.error, stage, "writing") : r;
}

int layer_export(const char *which, int fd, char **ret_digest, struct error *error)
{
	struct layer *top = NULL;
	*ret_digest = NULL;
	int r = layer_open(which, LAYER_READ, &top, error);
	if (r < 0)
		return r;
	if (top->kind == LAYER_COPY) {
		layer_close(top);
		error_set(error, ENOTSUP, stage, "layer %s is a copy of the whole, no layer", which);
		return error_hint(error, "`coffer diff` writes a patch of it");
	}
	size_t count = 1 + top->parents.count;
	struct layer **stack = calloc(count, sizeof(*stack));
	struct blob *blobs = calloc(count, sizeof(*blobs));
	if (!stack || !blobs)
		r = error_set_errno(error, ENOMEM, stage, "%s", which);
	if (stack)
		stack[0] = top;
	/* Parents are sealed, and stay for as long as this one is open. */
	for (size_t i = 1; r == 0 && i < count; i++)
		r = layer_peek(top->parents.items[i - 1], &stack[i], error);
	if (r == 0)
		r = export_stack((const struct layer *const *)stack, blobs, count, fd, ret_digest,
			error);
	for (size_t i = 1; stack && i < count; i++)
		layer_close(stack[i]);
	layer_close(top);
	free(stack);
	free(blobs);
	if (r < 0) {
		free(*ret_digest);
		*ret_digest = NULL;
	}
	return r;
}
