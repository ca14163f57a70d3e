/* Theory of operation. Between the prepared tree and the final one lies what the agent did, and what
 * git sees of it differently now: a .gitignore that has changed uncovers files of the set-up. So a
 * file that is new to git leaves only if the agent's own layers hold it. What git cannot carry, or
 * what would make the patch a burden, stays, and is said. */
#include "task/pack_internal.h"

#include "base/cleanup.h"
#include "base/limits.h"
#include "base/units.h"
#include "base/utf8.h"
#include "policy/names.h"
#include "task/git_box.h"

#include <string.h>

static const char stage[] = "patch";

void pack_tree_release(struct pack_tree *tree)
{
	for (size_t i = 0; i < PACK_LISTS; i++)
		free(tree->lists[i].text);
	*tree = (struct pack_tree){0};
}

/* ---- lists of names ---- */

struct names {
	const char **items;
	size_t count;
};

static int compare(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Sorted, pointing into the tree's text. */
static int names_read(const struct pack_tree *tree, enum pack_list list, struct names *ret)
{
	const char *text = tree->lists[list].text;
	size_t length = tree->lists[list].length_bytes, count = 0;
	for (size_t at = 0; at < length; at += strlen(text + at) + 1)
		count++;
	ret->items = calloc(count + 1, sizeof(*ret->items));
	if (!ret->items)
		return -ENOMEM;
	for (size_t at = 0; at < length; at += strlen(text + at) + 1)
		ret->items[ret->count++] = text + at;
	qsort(ret->items, ret->count, sizeof(*ret->items), compare);
	return 0;
}

static bool names_have(const struct names *names, const char *name)
{
	return names->count &&
	       bsearch(&name, names->items, names->count, sizeof(*names->items), compare);
}

static void names_release(struct names *names)
{
	free(names->items);
}

#define cleanup_names __attribute__((cleanup(names_release)))

/* ---- what stays ---- */

struct state {
	const struct pack_choice *choice;
	struct buffer *index;
	struct strv *skipped;
	uint64_t more, bytes;
	struct error *error;
};

static int skip(struct state *state, const char *path, const char *why)
{
	char shown[MAX_PATH_BYTES], *text = NULL;
	if (state->skipped->count >= MAX_PACK_SKIPPED) {
		state->more++;
		return 0;
	}
	git_box_harmless(path, strlen(path), shown, sizeof(shown));
	int r = asprintf(&text, "%s: %s", shown, why) < 0 ? -ENOMEM
							  : strv_add_owned(state->skipped, text);
	return r < 0 ? error_set_errno(state->error, -r, stage, "what is left out") : 0;
}

static int skip_large(struct state *state, const char *path, uint64_t bytes)
{
	char size[32], most[32], why[128];
	units_format_bytes(bytes, size, sizeof(size));
	units_format_bytes(MAX_PACK_FILE_BYTES, most, sizeof(most));
	snprintf(why, sizeof(why), "%s%slarger than a patch carries (%s)", bytes ? size : "",
		bytes ? ", " : "", most);
	return skip(state, path, why);
}

/* What is in the final list, but not in the prepared one: the agent's doing. */
static int skip_new(struct state *state, enum pack_list list, const char *why)
{
	cleanup_names struct names before = {0}, after = {0};
	if (names_read(state->choice->prepared, list, &before) < 0 ||
		names_read(state->choice->final, list, &after) < 0)
		return error_set_errno(state->error, ENOMEM, stage, "what is left out");
	int r = 0;
	for (size_t i = 0; r == 0 && i < after.count; i++)
		if (!names_have(&before, after.items[i]))
			r = skip(state, after.items[i], why);
	return r;
}

static bool git_refuses(const char *path)
{
	char name[MAX_NAME_BYTES + 1];
	while (*path) {
		size_t length = strcspn(path, "/");
		snprintf(name, sizeof(name), "%.*s", (int)length, path);
		const char *protected = names_protected(name);
		if (protected && strncmp(protected, ".git", 4) == 0)
			return true;
		path += length + (path[length] == '/');
	}
	return false;
}

static int choose_left(struct state *state)
{
	const struct pack_choice *choice = state->choice;
	cleanup_names struct names left = {0}, large = {0};
	if (names_read(choice->final, PACK_LEFT, &left) < 0 ||
		names_read(choice->final, PACK_LARGE, &large) < 0)
		return error_set_errno(state->error, ENOMEM, stage, "what is left out");
	int r = 0;
	for (size_t i = 0; r == 0 && i < left.count; i++) {
		const char *path = left.items[i];
		if (!choice->touched(path, choice->context))
			continue;
		if (names_have(&large, path))
			r = skip_large(state, path, 0);
		else if (git_refuses(path))
			r = skip(state, path, "git takes no file of that name");
		else
			return error_set(state->error, EIO, stage,
				"git did not take a file of the result into the patch");
	}
	return r;
}

static const char *next_line(const char **rest, const char *end)
{
	const char *line = *rest;
	const char *stop = line < end ? memchr(line, '\n', (size_t)(end - line)) : NULL;
	*rest = stop ? stop + 1 : end;
	return line;
}

/* ---- submodules ---- */

static bool same_line(const char *a, const char *b)
{
	size_t length = strcspn(a, "\n");
	return length == strcspn(b, "\n") && memcmp(a, b, length) == 0;
}

/* The digests of both trees, walked together: the lists are in the order of git's index, and the
 * final one can only lack some. */
static int choose_submodules(struct state *state)
{
	const struct pack_tree *before = state->choice->prepared, *after = state->choice->final;
	const char *path = before->lists[PACK_LINKS].text, *own = after->lists[PACK_LINKS].text;
	const char *digest = before->lists[PACK_DIGESTS].text;
	const char *own_digest = after->lists[PACK_DIGESTS].text;
	if (!path || !own || !digest || !own_digest)
		return 0;
	const char *path_end = path + before->lists[PACK_LINKS].length_bytes;
	const char *own_end = own + after->lists[PACK_LINKS].length_bytes;
	const char *digest_end = digest + before->lists[PACK_DIGESTS].length_bytes;
	const char *own_digest_end = own_digest + after->lists[PACK_DIGESTS].length_bytes;
	int r = 0;
	for (; r == 0 && path < path_end && own < own_end; path += strlen(path) + 1) {
		const char *line = next_line(&digest, digest_end);
		if (strcmp(path, own) != 0)
			continue;
		if (!same_line(line, next_line(&own_digest, own_digest_end)))
			r = skip(state, path, "a submodule: what was changed in it stays");
		own += strlen(own) + 1;
	}
	return r;
}

/* ---- what leaves ---- */

enum { MODE_BYTES = 6, GITLINK = 0160000 };

struct change {
	unsigned before, after; /* modes; 0: nothing */
	const char *id;         /* of the blob after */
	int id_length;
	const char *path;
};

/* ":OLDMODE NEWMODE OLDID NEWID X" and, after a NUL, the path. */
static bool parse_change(const char *text, size_t length, struct change *ret, size_t *ret_used)
{
	const char *meta = text;
	size_t meta_length = strnlen(text, length);
	if (meta_length + 1 >= length || meta[0] != ':')
		return false;
	char *end;
	ret->before = (unsigned)strtoul(meta + 1, &end, 8);
	if (end != meta + 1 + MODE_BYTES)
		return false;
	ret->after = (unsigned)strtoul(end, &end, 8);
	if (end != meta + 2 + 2 * MODE_BYTES || *end != ' ')
		return false;
	size_t id = strspn(end + 1, "0123456789abcdef");
	ret->id = end + 1 + id + 1;
	ret->id_length = (int)id;
	if ((id != 40 && id != 64) || end[1 + id] != ' ' ||
		strspn(ret->id, "0123456789abcdef") != id || ret->id[id] != ' ')
		return false;
	ret->path = text + meta_length + 1;
	size_t path = strnlen(ret->path, length - meta_length - 1);
	*ret_used = meta_length + 1 + path + 1;
	return path > 0 && path < MAX_PATH_BYTES && *ret_used <= length;
}

static int choose_change(struct state *state, const struct change *change, const char *size)
{
	const struct pack_choice *choice = state->choice;
	uint64_t bytes = change->after ? strtoull(size, NULL, 10) : 0;
	if (change->after == GITLINK)
		return skip(state, change->path, "another repository's commit");
	if (!change->before && !choice->touched(change->path, choice->context))
		return 0;
	if (bytes > MAX_PACK_FILE_BYTES)
		return skip_large(state, change->path, bytes);
	state->bytes += bytes;
	if (state->bytes > MAX_PACK_BYTES) {
		char most[32];
		units_format_bytes(MAX_PACK_BYTES, most, sizeof(most));
		error_set(state->error, EFBIG, stage,
			"the changed files come to more than a patch carries (%s)", most);
		return error_hint(
			state->error, "the layer has all of them: `coffer diff`, `coffer export`");
	}
	buffer_append_format(
		state->index, "%o %.*s\t", change->after, change->id_length, change->id);
	buffer_append(state->index, change->path, strlen(change->path) + 1);
	return 0;
}

static int choose_changes(struct state *state)
{
	const struct pack_tree *tree = state->choice->final;
	const char *text = tree->lists[PACK_CHANGES].text, *sizes = tree->lists[PACK_SIZES].text;
	size_t length = tree->lists[PACK_CHANGES].length_bytes, used;
	const char *end = sizes + tree->lists[PACK_SIZES].length_bytes;
	int r = 0;
	for (size_t at = 0; r == 0 && at < length; at += used) {
		struct change change;
		if (!sizes || !parse_change(text + at, length - at, &change, &used))
			return error_set(state->error, EBADMSG, stage,
				"the box's list of changes is broken");
		r = choose_change(state, &change, next_line(&sizes, end));
	}
	if (r == 0 && buffer_error(state->index) < 0)
		r = error_set_errno(
			state->error, -buffer_error(state->index), stage, "the list of changes");
	return r;
}

int pack_choose(const struct pack_choice *choice, struct buffer *ret_index,
	struct strv *ret_skipped, struct error *error)
{
	static const struct {
		enum pack_list list;
		const char *why;
	} kinds[] = {
		{PACK_NESTED, "a repository of its own: its files leave, its history stays"},
		{PACK_SPECIAL, "neither a file nor a link"},
		{PACK_EMPTY, "an empty directory"},
	};
	struct state state = {
		.choice = choice, .index = ret_index, .skipped = ret_skipped, .error = error};
	int r = choose_changes(&state);
	if (r == 0)
		r = choose_left(&state);
	if (r == 0)
		r = choose_submodules(&state);
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(kinds); i++)
		r = skip_new(&state, kinds[i].list, kinds[i].why);
	char *text = NULL;
	if (r == 0 && state.more &&
		(asprintf(&text, "and %llu more", (unsigned long long)state.more) < 0 ||
			strv_add_owned(ret_skipped, text) < 0))
		r = error_set_errno(error, ENOMEM, stage, "what is left out");
	return r;
}

/* ---- the message ---- */

/* Lines at which `git am` takes the message for ended, or the mail. */
static bool ends_message(const char *line)
{
	static const char *const ends[] = {"---", "diff -", "Index: ", "From ", ">From ", "-- "};
	for (size_t i = 0; i < ARRAY_SIZE(ends); i++)
		if (strncmp(line, ends[i], strlen(ends[i])) == 0)
			return true;
	return false;
}

static void append_text(struct buffer *to, const char *text, bool lines)
{
	bool start = true;
	for (const unsigned char *s = (const unsigned char *)text; s && *s;) {
		size_t length = utf8_sequence(s);
		bool line_end = *s == '\n';
		if (to->length_bytes + length + 8 > MAX_PACK_MESSAGE_BYTES)
			break;
		if (lines && start && ends_message((const char *)s))
			buffer_append_string(to, " ");
		if (line_end || *s == '\t')
			buffer_append_string(to, line_end && lines ? "\n" : " ");
		else if (length && !utf8_is_control(utf8_character(s, length)))
			buffer_append(to, s, length);
		start = line_end;
		s += length ? length : 1;
	}
}

char *pack_message(const char *subject, const char *body)
{
	struct buffer message = BUFFER_INIT(MAX_PACK_MESSAGE_BYTES + 16);
	append_text(&message, subject && *subject ? subject : "Changes of a task", false);
	buffer_append_string(&message, "\n");
	if (body && *body) {
		buffer_append_string(&message, "\n");
		append_text(&message, body, true);
		buffer_append_string(&message, "\n");
	}
	return buffer_steal(&message);
}
