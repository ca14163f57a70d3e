/* Theory of operation: one table says which files of a git directory the box may have changed, and
 * for each there is a check of its bytes. What is not in the table stays behind: config, hooks,
 * attributes, alternates, grafts, anything new that git may learn to act on. What is only a cache
 * (commit graphs, reverse indexes, bitmaps) is dropped too: git believes such files, and a forged
 * one shows a reviewer another history than the one that would be pushed.
 *
 * The checks do not tell whether objects are sound; that takes git itself (`git fsck`). They do
 * see to it that nothing the box wrote takes the place of an object that was there before. */
#include "run/gitlayer_check.h"

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/limits.h"
#include "base/path.h"
#include "base/sys.h"
#include "plan/git_config.h"
#include "plan/git_index.h"
#include "policy/names.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

enum {
	MAX_TEXT_BYTES = 1024 * 1024,
	MAX_LOG_BYTES = 64 * 1024 * 1024,
	MAX_PACKED_REFS_BYTES = 256 * 1024 * 1024,
	REF_BYTES = 4096,
};

static bool is_hex(const char *text, size_t length)
{
	for (size_t i = 0; i < length; i++)
		if (!((text[i] >= '0' && text[i] <= '9') || (text[i] >= 'a' && text[i] <= 'f')))
			return false;
	return true;
}

static size_t hex_length(const struct gitlayer_file *file)
{
	return file->options->hash_bytes * 2;
}

/* An object's name, with no hexadecimal digit behind it. */
static bool starts_with_hash(const struct gitlayer_file *file, const char *text, size_t length)
{
	size_t hex = hex_length(file);
	return length >= hex && is_hex(text, hex) && (length == hex || !is_hex(text + hex, 1));
}

bool gitlayer_is_ref_name(const char *name)
{
	size_t length = strlen(name);
	if (length == 0 || length >= MAX_PATH_BYTES || name[0] == '/' || name[length - 1] == '/')
		return false;
	for (const char *s = name; *s; s++)
		if ((unsigned char)*s <= ' ' || *s == 0x7f || strchr("~^:?*[\\", *s))
			return false;
	if (strstr(name, "..") || strstr(name, "@{") || strstr(name, "//") ||
		strcmp(name, "@") == 0)
		return false;
	for (const char *s = name; *s;) {
		size_t n = strcspn(s, "/");
		bool lock = n >= 5 && memcmp(s + n - 5, ".lock", 5) == 0;
		if (s[0] == '.' || s[n - 1] == '.' || lock)
			return false;
		s += n;
		s += *s == '/';
	}
	return true;
}

/* The lines of a file, one after the other: sets *line and its length, without the newline. */
static bool next_line(const char **cursor, const char *end, const char **line, size_t *length)
{
	if (*cursor == end)
		return false;
	const char *newline = memchr(*cursor, '\n', (size_t)(end - *cursor));
	*line = *cursor;
	*length = (size_t)((newline ? newline : end) - *cursor);
	*cursor = newline ? newline + 1 : end;
	return true;
}

static bool is_text(const char *data, size_t length)
{
	return !memchr(data, '\0', length);
}

static const char *check_text(const struct gitlayer_file *file)
{
	return is_text(file->data, file->length_bytes) ? NULL : "not text";
}

static const char *check_empty(const struct gitlayer_file *file)
{
	return file->length_bytes <= 1 ? NULL : "options for git apply";
}

static const char *check_hashes(const struct gitlayer_file *file)
{
	const char *cursor = file->data, *end = cursor + file->length_bytes, *line;
	for (size_t length; next_line(&cursor, end, &line, &length);)
		if (length != hex_length(file) || !is_hex(line, length))
			return "not the names of objects";
	return NULL;
}

/* Lines that begin with an object's name and a blank. */
static const char *check_fetched(const struct gitlayer_file *file)
{
	const char *cursor = file->data, *end = cursor + file->length_bytes, *line;
	for (size_t length; next_line(&cursor, end, &line, &length);)
		if (!starts_with_hash(file, line, length) || !is_text(line, length))
			return "not a list of objects";
	return NULL;
}

/* An object's name, or `ref: ` and a name below refs/. */
static bool is_ref_value(const struct gitlayer_file *file, const char *below)
{
	size_t length = file->length_bytes;
	const char *data = file->data;
	if (!is_text(data, length))
		return false;
	if (length > 0 && data[length - 1] == '\n')
		length--;
	if (length == hex_length(file) && is_hex(data, length))
		return true;
	if (length <= 5 || length >= REF_BYTES || memcmp(data, "ref: ", 5) != 0)
		return false;
	char name[REF_BYTES];
	memcpy(name, data + 5, length - 5);
	name[length - 5] = '\0';
	return strncmp(name, below, strlen(below)) == 0 && gitlayer_is_ref_name(name);
}

static const char *check_ref(const struct gitlayer_file *file)
{
	if (!gitlayer_is_ref_name(file->tail))
		return "not a name for a ref";
	/* git would read another object wherever the one that a replacement names is asked for. */
	if (strncmp(file->tail, "refs/replace/", 13) == 0)
		return "replaces objects unseen";
	return is_ref_value(file, "refs/") ? NULL : "not the content of a ref";
}

static const char *check_head(const struct gitlayer_file *file)
{
	return is_ref_value(file, "refs/heads/") ? NULL : "not the content of HEAD";
}

/* `HASH NAME`, `^HASH` for what a tag leads to, and comments. */
static const char *check_packed_refs(const struct gitlayer_file *file)
{
	const char *cursor = file->data, *end = cursor + file->length_bytes, *line;
	size_t hex = hex_length(file);
	for (size_t length; next_line(&cursor, end, &line, &length);) {
		if (length > 0 && line[0] == '#')
			continue;
		if (length == hex + 1 && line[0] == '^' && is_hex(line + 1, hex))
			continue;
		size_t name_length = length > hex ? length - hex - 1 : 0;
		if (name_length == 0 || name_length >= REF_BYTES || line[hex] != ' ' ||
			!is_hex(line, hex) || !is_text(line, length))
			return "not a list of refs";
		char name[REF_BYTES];
		memcpy(name, line + hex + 1, name_length);
		name[name_length] = '\0';
		if (strncmp(name, "refs/", 5) != 0 || !gitlayer_is_ref_name(name))
			return "holds what is no name for a ref";
		if (strncmp(name, "refs/replace/", 13) == 0)
			return "replaces objects unseen";
	}
	return NULL;
}

static const char *check_log(const struct gitlayer_file *file)
{
	if (!gitlayer_is_ref_name(file->tail))
		return "not a name for a ref";
	size_t hex = hex_length(file);
	const char *cursor = file->data, *end = cursor + file->length_bytes, *line;
	for (size_t length; next_line(&cursor, end, &line, &length);)
		if (!starts_with_hash(file, line, length) || length <= 2 * hex + 1 ||
			!is_hex(line + hex + 1, hex) || !is_text(line, length))
			return "not a log of refs";
	return NULL;
}

static int check_index_entry(const char *path, size_t path_length, unsigned mode, void *context)
{
	(void)context;
	bool directory = mode == GIT_MODE_TREE;
	if (mode != 0100644 && mode != 0100755 && mode != 0120000 && mode != GIT_MODE_SUBMODULE &&
		!directory)
		return -EBADMSG;
	if (directory && path_length > 0 && path[path_length - 1] == '/')
		path_length--;
	if (path_length == 0)
		return -EBADMSG;
	for (size_t start = 0; start <= path_length;) {
		char name[MAX_NAME_BYTES + 1];
		size_t n = strcspn(path + start, "/");
		if (start + n > path_length)
			n = path_length - start;
		if (n == 0 || n > MAX_NAME_BYTES)
			return -EBADMSG;
		memcpy(name, path + start, n);
		name[n] = '\0';
		const char *protected = names_protected(name);
		if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0 ||
			(protected && strcmp(protected, ".git") == 0))
			return -EPERM;
		/* A link there could lead git to other files than the repository's. */
		if (mode == 0120000 && protected && strcmp(protected, ".gitmodules") == 0)
			return -EPERM;
		start += n + 1;
	}
	return 0;
}

static const char *check_index(const struct gitlayer_file *file)
{
	int r = git_index_parse(
		file->data, file->length_bytes, file->options->hash_bytes, check_index_entry, NULL);
	return r == 0 ? NULL : r == -EPERM ? "tracks a path into a git directory" : "not an index";
}

static const char unknown_objects[] = "which objects were there before cannot be told";

bool gitlayer_object_name(const char *tail, size_t hash_bytes, unsigned char *ret)
{
	const char *name = tail + strlen("objects/");
	for (size_t i = 0; i < hash_bytes; i++, name += 2) {
		if (i == 1 && *name++ != '/')
			return false;
		if (!is_hex(name, strnlen(name, 2)) || sscanf(name, "%2hhx", &ret[i]) != 1)
			return false;
	}
	return *name == '\0';
}

static const char *check_loose_object(const struct gitlayer_file *file)
{
	unsigned char name[GIT_SHA256_BYTES];
	if (!gitlayer_object_name(file->tail, file->options->hash_bytes, name))
		return "not the name of an object";
	if (!file->stores ||
		gitlayer_stores_hold(file->stores, name, file->options->hash_bytes) < 0)
		return unknown_objects;
	/* A zlib stream begins with its method, deflate, and a check of two bytes. */
	const unsigned char *s = (const unsigned char *)file->data;
	bool deflated =
		file->length_bytes > 2 && (s[0] & 0x0f) == 8 && (s[0] * 256 + s[1]) % 31 == 0;
	return deflated ? NULL : "not an object";
}

static const char *check_pack_name(const struct gitlayer_file *file, const char *suffix)
{
	const char *name = file->tail + strlen("objects/pack/pack-");
	return starts_with_hash(file, name, strlen(name)) &&
			       strcmp(name + hex_length(file), suffix) == 0
		       ? NULL
		       : "not the name of a pack";
}

static const char *check_pack(const struct gitlayer_file *file)
{
	static const char *const magics[] = {"PACK\0\0\0\2", "PACK\0\0\0\3"};
	const char *why = check_pack_name(file, ".pack");
	if (why)
		return why;
	for (size_t i = 0; i < ARRAY_SIZE(magics); i++)
		if (file->length_bytes >= 8 && memcmp(file->data, magics[i], 8) == 0)
			return NULL;
	return "not a pack";
}

/* The sorted names in a pack's index, version 2. */
struct pack_names {
	const unsigned char *fanout, *names;
	size_t count, hash_bytes;
};

static uint32_t read_u32(const unsigned char *s)
{
	return (uint32_t)s[0] << 24 | (uint32_t)s[1] << 16 | (uint32_t)s[2] << 8 | s[3];
}

static bool pack_names_open(
	const char *data, size_t length, size_t hash_bytes, struct pack_names *ret)
{
	const size_t head = 8 + 256 * 4;
	if (length < head || memcmp(data, "\377tOc\0\0\0\2", 8) != 0)
		return false;
	*ret = (struct pack_names){.fanout = (const unsigned char *)data + 8,
		.names = (const unsigned char *)data + head,
		.hash_bytes = hash_bytes};
	for (size_t i = 0; i < 256; i++) {
		uint32_t count = read_u32(ret->fanout + 4 * i);
		if (count < ret->count)
			return false;
		ret->count = count;
	}
	return ret->count <= (length - head) / (hash_bytes + 8);
}

/* Then it stays as it is, whatever the box has of that name. */
static bool is_there(const struct gitlayer_file *file)
{
	cleanup_close int fd = sys_openat2(file->git_dir_fd, file->path, O_PATH | O_CLOEXEC,
		RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS);
	return fd >= 0;
}

/* git takes an index's word for which object lies where in the pack, and looks into new packs
 * first: a forged one could show other content for an object that everybody has. So a pack may
 * only name objects that were not there. */
static const char *check_pack_index(const struct gitlayer_file *file)
{
	struct pack_names names;
	const char *why = check_pack_name(file, ".idx");
	if (why)
		return why;
	if (!pack_names_open(file->data, file->length_bytes, file->options->hash_bytes, &names))
		return "not the index of a pack";
	if (is_there(file))
		return NULL;
	if (!file->stores)
		return unknown_objects;
	for (size_t i = 0; i < names.count; i++) {
		int r = gitlayer_stores_hold(
			file->stores, names.names + i * names.hash_bytes, names.hash_bytes);
		if (r != 0)
			return r < 0 ? unknown_objects
				     : "a pack that names objects which were there before";
	}
	return NULL;
}

static bool is_branch(const char *line, size_t length)
{
	char name[REF_BYTES];
	if (length >= sizeof(name) || !is_text(line, length))
		return false;
	memcpy(name, line, length);
	name[length] = '\0';
	return strncmp(name, "refs/heads/", 11) == 0 && gitlayer_is_ref_name(name);
}

/* What a rebase moves when it is done. */
static const char *check_branch(const struct gitlayer_file *file)
{
	static const char detached[] = "detached HEAD";
	size_t length = strcspn(file->data, "\n");
	bool known = is_branch(file->data, length) ||
		     (length == strlen(detached) && memcmp(file->data, detached, length) == 0);
	return known && file->length_bytes <= length + 1 ? NULL : "not the name of a branch";
}

/* A branch, what it was, what it will be: three lines each. */
static const char *check_updated_refs(const struct gitlayer_file *file)
{
	const char *cursor = file->data, *end = cursor + file->length_bytes, *line;
	size_t number = 0;
	for (size_t length; next_line(&cursor, end, &line, &length); number++)
		if (number % 3 == 0 ? !is_branch(line, length)
				    : length != hex_length(file) || !is_hex(line, length))
			return "not a list of branches";
	return NULL;
}

/* The next word of a line, its length, and *cursor behind it. */
static size_t next_word(const char **cursor, const char *end, const char **ret)
{
	while (*cursor < end && (**cursor == ' ' || **cursor == '\t'))
		(*cursor)++;
	*ret = *cursor;
	while (*cursor < end && **cursor != ' ' && **cursor != '\t')
		(*cursor)++;
	return (size_t)(*cursor - *ret);
}

static bool is_word(const char *word, size_t length, const char *expected)
{
	return strlen(expected) == length && memcmp(word, expected, length) == 0;
}

static bool moves_branch(const char *rest, const char *end)
{
	const char *ref;
	size_t length = next_word(&rest, end, &ref);
	return is_branch(ref, length);
}

/* Not exec: it would run on the host when the rebase goes on. */
static const char *check_todo(const struct gitlayer_file *file)
{
	static const char *const verbs[] = {"pick", "p", "reword", "r", "edit", "e", "squash", "s",
		"fixup", "f", "drop", "d", "break", "b", "label", "l", "reset", "t", "merge", "m",
		"update-ref", "u", "noop", "revert"};
	const char *cursor = file->data, *end = cursor + file->length_bytes, *line;
	if (!is_text(file->data, file->length_bytes))
		return "not text";
	for (size_t length; next_line(&cursor, end, &line, &length);) {
		const char *verb, *rest = line, *line_end = line + length;
		size_t verb_length = next_word(&rest, line_end, &verb);
		if (verb_length == 0 || verb[0] == '#')
			continue;
		bool known = false;
		for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
			known |= is_word(verb, verb_length, verbs[i]);
		if (!known)
			return "a list of steps with commands in it";
		if ((is_word(verb, verb_length, "update-ref") || is_word(verb, verb_length, "u")) &&
			!moves_branch(rest, line_end))
			return "a list of steps that moves more than branches";
	}
	return NULL;
}

/* GIT_AUTHOR_NAME='...' and the like, quoted for a shell, which old versions of git hand it to. */
static const char *check_author(const struct gitlayer_file *file)
{
	static const char *const names[] = {
		"GIT_AUTHOR_NAME=", "GIT_AUTHOR_EMAIL=", "GIT_AUTHOR_DATE="};
	const char *s = file->data;
	if (!is_text(s, file->length_bytes))
		return "not text";
	while (*s) {
		size_t name = 0;
		while (name < ARRAY_SIZE(names) &&
			strncmp(s, names[name], strlen(names[name])) != 0)
			name++;
		if (name == ARRAY_SIZE(names))
			return "a script";
		s += strlen(names[name]);
		while (*s && *s != '\n') {
			if (*s == '\'' && strchr(s + 1, '\''))
				s = strchr(s + 1, '\'') + 1;
			else if (*s == '\\' && (s[1] == '\'' || s[1] == '!'))
				s += 2;
			else
				return "a script";
		}
		s += *s == '\n';
	}
	return NULL;
}

/* git starts `git-merge-NAME`, which may be a path. */
static const char *check_strategy(const struct gitlayer_file *file)
{
	static const char *const known[] = {
		"ort", "recursive", "resolve", "octopus", "ours", "subtree"};
	size_t length = strcspn(file->data, "\n");
	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		if (strlen(known[i]) == length && memcmp(file->data, known[i], length) == 0 &&
			file->length_bytes <= length + 1)
			return NULL;
	return "an unknown merge strategy";
}

static int check_option(const char *section, const char *subsection, const char *name,
	const char *value, void *context)
{
	(void)value;
	(void)context;
	static const char *const known[] = {"no-commit", "edit", "allow-empty",
		"allow-empty-message", "keep-redundant-commits", "signoff", "record-origin",
		"allow-ff", "mainline", "allow-rerere-auto", "default-msg-cleanup",
		"drop-redundant-commits"};
	if (strcmp(section, "options") != 0 || *subsection)
		return -EPERM;
	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		if (strcmp(name, known[i]) == 0)
			return 0;
	return -EPERM;
}

static const char *check_options(const struct gitlayer_file *file)
{
	return git_config_parse(file->data, file->length_bytes, check_option, NULL) == 0
		       ? NULL
		       : "options that may run programs";
}

static const char *check_commondir(const struct gitlayer_file *file)
{
	bool same = strcmp(file->data, "../..\n") == 0 || strcmp(file->data, "../..") == 0;
	return same && is_text(file->data, file->length_bytes) ? NULL
							       : "a worktree of another repository";
}

bool gitlayer_worktree_is_inside(
	const struct gitlayer_options *options, const char *record, const char *text, bool is_new)
{
	cleanup_free char *line = strndup(text, strcspn(text, "\n"));
	cleanup_free char *base = path_join(options->git_dir, record);
	cleanup_free char *dot_git = line && base ? path_absolute(base, line) : NULL;
	if (!dot_git || strcmp(path_name(dot_git), ".git") != 0)
		return false;
	cleanup_free char *top = path_parent(dot_git);
	cleanup_free char *real = top ? realpath(top, NULL) : NULL;
	if (!top || (is_new && (!real || strcmp(real, top) != 0)))
		return false;
	for (size_t i = 0; options->write_roots && options->write_roots[i]; i++)
		if (path_is_below(top, options->write_roots[i]))
			return true;
	return false;
}

static const char *check_worktree_place(const struct gitlayer_file *file)
{
	cleanup_free char *record = path_parent(file->path);
	return record && is_text(file->data, file->length_bytes) &&
			       gitlayer_worktree_is_inside(file->options, record, file->data, true)
		       ? NULL
		       : "a worktree that lies in no writable root";
}

enum {
	OBJECT = GITLAYER_STREAMED | GITLAYER_IMMUTABLE | GITLAYER_COMMON,
	MUTABLE = GITLAYER_DELETABLE,
	STEPS = GITLAYER_DELETABLE | GITLAYER_TOGETHER,
};

static const struct gitlayer_rule rules[] = {
	{"objects/[0-9a-f][0-9a-f]/*", check_loose_object, ORDER_OBJECT, OBJECT, SIZE_MAX},
	{"objects/pack/pack-*.pack", check_pack, ORDER_PACK, OBJECT | GITLAYER_TOGETHER, SIZE_MAX},
	{"objects/pack/pack-*.idx", check_pack_index, ORDER_PACK_INDEX,
		GITLAYER_IMMUTABLE | GITLAYER_COMMON | GITLAYER_TOGETHER, MAX_GIT_INDEX_BYTES},
	{"objects/pack/pack-*.rev", .flags = GITLAYER_CACHE},
	{"objects/pack/pack-*.bitmap", .flags = GITLAYER_CACHE},
	{"objects/pack/pack-*.mtimes", .flags = GITLAYER_CACHE},
	{"objects/pack/multi-pack-index", .flags = GITLAYER_CACHE},
	{"objects/info/packs", .flags = GITLAYER_CACHE},
	{"objects/info/commit-graph", .flags = GITLAYER_CACHE},
	{"objects/info/commit-graphs/**", .flags = GITLAYER_CACHE},
	{"info/refs", .flags = GITLAYER_CACHE},
	{"gc.log", .flags = GITLAYER_CACHE},
	{"gc.pid", .flags = GITLAYER_CACHE},

	{"refs/**", check_ref, ORDER_REF, MUTABLE | GITLAYER_LOCKED, REF_BYTES},
	{"packed-refs", check_packed_refs, ORDER_PACKED_REFS, GITLAYER_LOCKED | GITLAYER_COMMON,
		MAX_PACKED_REFS_BYTES},
	{"logs/HEAD", check_log, ORDER_STATE, MUTABLE, MAX_LOG_BYTES},
	{"logs/refs/**", check_log, ORDER_STATE, MUTABLE, MAX_LOG_BYTES},
	{"HEAD", check_head, ORDER_HEAD, GITLAYER_LOCKED, REF_BYTES},
	{"index", check_index, ORDER_INDEX, GITLAYER_LOCKED, MAX_GIT_INDEX_BYTES},
	{"sharedindex.*", check_index, ORDER_STATE, GITLAYER_IMMUTABLE, MAX_GIT_INDEX_BYTES},
	{"shallow", check_hashes, ORDER_STATE, MUTABLE | GITLAYER_LOCKED | GITLAYER_COMMON,
		MAX_LOG_BYTES},

	{"ORIG_HEAD", check_hashes, ORDER_STATE, MUTABLE, REF_BYTES},
	{"MERGE_HEAD", check_hashes, ORDER_STATE, MUTABLE, MAX_TEXT_BYTES},
	{"CHERRY_PICK_HEAD", check_hashes, ORDER_STATE, MUTABLE, REF_BYTES},
	{"REVERT_HEAD", check_hashes, ORDER_STATE, MUTABLE, REF_BYTES},
	{"REBASE_HEAD", check_hashes, ORDER_STATE, MUTABLE, REF_BYTES},
	{"AUTO_MERGE", check_hashes, ORDER_STATE, MUTABLE, REF_BYTES},
	{"MERGE_AUTOSTASH", check_hashes, ORDER_STATE, MUTABLE, REF_BYTES},
	{"FETCH_HEAD", check_fetched, ORDER_STATE, MUTABLE, MAX_TEXT_BYTES},
	{"COMMIT_EDITMSG", check_text, ORDER_STATE, MUTABLE, MAX_TEXT_BYTES},
	{"TAG_EDITMSG", check_text, ORDER_STATE, MUTABLE, MAX_TEXT_BYTES},
	{"MERGE_MSG", check_text, ORDER_STATE, MUTABLE, MAX_TEXT_BYTES},
	{"MERGE_MODE", check_text, ORDER_STATE, MUTABLE, REF_BYTES},
	{"SQUASH_MSG", check_text, ORDER_STATE, MUTABLE, MAX_TEXT_BYTES},

	{"rebase-merge/git-rebase-todo", check_todo, ORDER_STATE, STEPS, MAX_LOG_BYTES},
	{"rebase-merge/git-rebase-todo.backup", check_todo, ORDER_STATE, STEPS, MAX_LOG_BYTES},
	{"rebase-merge/done", check_todo, ORDER_STATE, STEPS, MAX_LOG_BYTES},
	{"rebase-merge/author-script", check_author, ORDER_STATE, STEPS, MAX_TEXT_BYTES},
	{"rebase-merge/strategy", check_strategy, ORDER_STATE, STEPS, REF_BYTES},
	{"rebase-merge/allow_rerere_autoupdate", check_text, ORDER_STATE, STEPS, REF_BYTES},
	{"rebase-merge/amend", check_hashes, ORDER_STATE, STEPS, REF_BYTES},
	{"rebase-merge/autostash", check_hashes, ORDER_STATE, STEPS, REF_BYTES},
	{"rebase-merge/cdate_is_adate", check_text, ORDER_STATE, STEPS, REF_BYTES},
	{"rebase-merge/current-fixups", check_text, ORDER_STATE, STEPS, MAX_TEXT_BYTES},
	{"rebase-merge/drop_redundant_commits", check_text, ORDER_STATE, STEPS, REF_BYTES},
	{"rebase-merge/end", check_text, ORDER_STATE, STEPS, REF_BYTES},
	{"rebase-merge/head-name", check_branch, ORDER_STATE, STEPS, REF_BYTES},
	{"rebase-merge/ignore_date", check_text, ORDER_STATE, STEPS, REF_BYTES},
	{"rebase-merge/interactive", check_text, ORDER_STATE, STEPS, REF_BYTES},
	{"rebase-merge/keep_redundant_commits", check_text, ORDER_STATE, STEPS, REF_BYTES},
	{"rebase-merge/message*", check_text, ORDER_STATE, STEPS, MAX_TEXT_BYTES},
	{"rebase-merge/msgnum", check_text, ORDER_STATE, STEPS, REF_BYTES},
	{"rebase-merge/no-reschedule-failed-exec", check_text, ORDER_STATE, STEPS, REF_BYTES},
	{"rebase-merge/onto", check_hashes, ORDER_STATE, STEPS, REF_BYTES},
	{"rebase-merge/orig-head", check_hashes, ORDER_STATE, STEPS, REF_BYTES},
	{"rebase-merge/patch", check_text, ORDER_STATE, STEPS, MAX_LOG_BYTES},
	{"rebase-merge/quiet", check_text, ORDER_STATE, STEPS, REF_BYTES},
	{"rebase-merge/reschedule-failed-exec", check_text, ORDER_STATE, STEPS, REF_BYTES},
	{"rebase-merge/rewritten-list", check_fetched, ORDER_STATE, STEPS, MAX_LOG_BYTES},
	{"rebase-merge/rewritten-pending", check_fetched, ORDER_STATE, STEPS, MAX_LOG_BYTES},
	{"rebase-merge/signoff", check_text, ORDER_STATE, STEPS, REF_BYTES},
	{"rebase-merge/squash-onto", check_hashes, ORDER_STATE, STEPS, REF_BYTES},
	{"rebase-merge/stopped-sha", check_hashes, ORDER_STATE, STEPS, REF_BYTES},
	{"rebase-merge/update-refs", check_updated_refs, ORDER_STATE, STEPS, MAX_TEXT_BYTES},
	{"rebase-merge/verbose", check_text, ORDER_STATE, STEPS, REF_BYTES},
	{"rebase-apply/author-script", check_author, ORDER_STATE, STEPS, MAX_TEXT_BYTES},
	{"rebase-apply/[0-9][0-9][0-9][0-9]", check_text, ORDER_STATE, STEPS, MAX_LOG_BYTES},
	{"rebase-apply/abort-safety", check_hashes, ORDER_STATE, STEPS, REF_BYTES},
	{"rebase-apply/apply-opt", check_empty, ORDER_STATE, STEPS, REF_BYTES},
	{"rebase-apply/applying", check_text, ORDER_STATE, STEPS, REF_BYTES},
	{"rebase-apply/final-commit", check_text, ORDER_STATE, STEPS, MAX_TEXT_BYTES},
	{"rebase-apply/head-name", check_branch, ORDER_STATE, STEPS, REF_BYTES},
	{"rebase-apply/keep", check_text, ORDER_STATE, STEPS, REF_BYTES},
	{"rebase-apply/last", check_text, ORDER_STATE, STEPS, REF_BYTES},
	{"rebase-apply/messageid", check_text, ORDER_STATE, STEPS, REF_BYTES},
	{"rebase-apply/next", check_text, ORDER_STATE, STEPS, REF_BYTES},
	{"rebase-apply/onto", check_hashes, ORDER_STATE, STEPS, REF_BYTES},
	{"rebase-apply/orig-head", check_hashes, ORDER_STATE, STEPS, REF_BYTES},
	{"rebase-apply/original-commit", check_hashes, ORDER_STATE, STEPS, REF_BYTES},
	{"rebase-apply/patch", check_text, ORDER_STATE, STEPS, MAX_LOG_BYTES},
	{"rebase-apply/quiet", check_text, ORDER_STATE, STEPS, REF_BYTES},
	{"rebase-apply/quoted-cr", check_text, ORDER_STATE, STEPS, REF_BYTES},
	{"rebase-apply/rebasing", check_text, ORDER_STATE, STEPS, REF_BYTES},
	{"rebase-apply/rewritten", check_fetched, ORDER_STATE, STEPS, MAX_LOG_BYTES},
	{"rebase-apply/scissors", check_text, ORDER_STATE, STEPS, REF_BYTES},
	{"rebase-apply/sign", check_text, ORDER_STATE, STEPS, REF_BYTES},
	{"rebase-apply/threeway", check_text, ORDER_STATE, STEPS, REF_BYTES},
	{"rebase-apply/utf8", check_text, ORDER_STATE, STEPS, REF_BYTES},
	{"sequencer/todo", check_todo, ORDER_STATE, STEPS, MAX_LOG_BYTES},
	{"sequencer/opts", check_options, ORDER_STATE, STEPS, MAX_TEXT_BYTES},
	{"sequencer/head", check_hashes, ORDER_STATE, STEPS, REF_BYTES},
	{"sequencer/abort-safety", check_hashes, ORDER_STATE, STEPS, REF_BYTES},

	{"commondir", check_commondir, ORDER_STATE, GITLAYER_WORKTREE | GITLAYER_DELETABLE,
		REF_BYTES},
	{"gitdir", check_worktree_place, ORDER_STATE, GITLAYER_WORKTREE | GITLAYER_DELETABLE,
		REF_BYTES},
	{"locked", check_text, ORDER_STATE, GITLAYER_WORKTREE | GITLAYER_DELETABLE, REF_BYTES},
};

const struct gitlayer_rule *gitlayer_rule_find(const char *tail, bool in_worktree)
{
	unsigned excluded = in_worktree ? GITLAYER_COMMON : GITLAYER_WORKTREE;
	for (size_t i = 0; i < ARRAY_SIZE(rules); i++) {
		/* The first two letters settle nearly every comparison. */
		const struct gitlayer_rule *rule = &rules[i];
		if (strncmp(rule->glob, tail, 2) == 0 && path_matches_glob(tail, rule->glob))
			return rule->flags & excluded ? NULL : rule;
	}
	return NULL;
}
