/* Theory of operation. The two sides share a stack of directories (slots) in which each directory
 * belongs to one side or to both. At each place of the tree a frame knows which slots have a
 * directory there that still counts, for which side: an opaque directory, or a name that is no
 * directory, ends a side's stack for all below it, as overlayfs has it. Only directories that count
 * for one side alone are read; so a walk over an upper costs what is in the upper, and what it hides.
 *
 * A box may have made the tree as deep and wide as it liked: the walk keeps its place in memory, not
 * on the stack, and only the innermost frame's directories are open. The others are opened again on
 * the way back, beneath their slot and through no link. */
#include "layer/walk.h"

#include "base/cleanup.h"
#include "base/limits.h"
#include "base/sys.h"
#include "layer/reach.h"

#include <fcntl.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

static const char stage[] = "layer";

/* NO_XDEV: what is mounted below a root is not part of the overlay either. */
static const uint64_t beneath =
	RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV;

struct place {
	int fd;         /* -1: not open now, or nothing there */
	unsigned sides; /* for which this directory counts; 0: none */
	bool whiteouts; /* its files may be whiteouts by an extended attribute */
};

struct names {
	char *text;
	size_t text_bytes, text_capacity;
	size_t *offsets;
	size_t count, capacity;
};

struct frame {
	struct place *places; /* one a slot */
	struct names names;
	size_t next;       /* of names */
	size_t path_bytes; /* of state.path */
	bool open;
};

struct state {
	const struct walk *walk;
	struct error *error;
	struct frame *frames;
	size_t depth, capacity;
	char path[MAX_PATH_BYTES];
};

/* Where an entry was found. */
struct found {
	struct layer_entry entry;
	size_t slot;
};

static int fail(const struct state *state, int code, const char *what)
{
	/* The head of a path that is longer than a message. */
	error_set_errno(state->error, code, stage, "%.400s/%.400s%s: %s",
		state->walk->view->root->path, state->path, strlen(state->path) > 400 ? "..." : "",
		what);
	if (code == EACCES)
		error_hint(state->error, "its mode shuts its owner out; "
					 "`coffer discard` removes it all the same");
	return -code;
}

/* ---- names of a directory ---- */

static int add_name(struct names *names, const char *name)
{
	size_t length = strlen(name) + 1;
	if (names->text_bytes + length > MAX_LAYER_DIRECTORY_BYTES)
		return -E2BIG;
	if (names->text_bytes + length > names->text_capacity) {
		size_t capacity = names->text_capacity ? names->text_capacity * 2 : 1024;
		char *text = realloc(names->text, capacity);
		if (!text)
			return -ENOMEM;
		names->text = text;
		names->text_capacity = capacity;
	}
	if (names->count == names->capacity) {
		size_t capacity = names->capacity ? names->capacity * 2 : 32;
		void *offsets = reallocarray(names->offsets, capacity, sizeof(*names->offsets));
		if (!offsets)
			return -ENOMEM;
		names->offsets = offsets;
		names->capacity = capacity;
	}
	memcpy(names->text + names->text_bytes, name, length);
	names->offsets[names->count++] = names->text_bytes;
	names->text_bytes += length;
	return 0;
}

static int compare_names(const void *a, const void *b, void *text)
{
	return strcmp(
		(const char *)text + *(const size_t *)a, (const char *)text + *(const size_t *)b);
}

static int read_names(struct names *names, int fd)
{
	char entries[32 * 1024] __attribute__((aligned(8)));
	for (;;) {
		ssize_t n = getdents64(fd, entries, sizeof(entries));
		if (n <= 0)
			return n < 0 ? -errno : 0;
		for (ssize_t i = 0; i < n;) {
			const struct dirent64 *entry = (const void *)(entries + i);
			const char *name = entry->d_name;
			i += entry->d_reclen;
			if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
				continue;
			int r = add_name(names, name);
			if (r < 0)
				return r;
		}
	}
}

static void sort_names(struct names *names)
{
	if (names->count < 2)
		return;
	qsort_r(names->offsets, names->count, sizeof(*names->offsets), compare_names, names->text);
	size_t kept = 1;
	for (size_t i = 1; i < names->count; i++)
		if (strcmp(names->text + names->offsets[i],
			    names->text + names->offsets[kept - 1]) != 0)
			names->offsets[kept++] = names->offsets[i];
	names->count = kept;
}

/* ---- frames ---- */

static void close_places(const struct walk *walk, struct place *places)
{
	for (size_t i = 0; i < walk->slots_count; i++)
		close_fd(&places[i].fd);
}

static void free_frame(const struct walk *walk, struct frame *frame)
{
	close_places(walk, frame->places);
	free(frame->places);
	free(frame->names.text);
	free(frame->names.offsets);
}

static struct place *new_places(const struct walk *walk)
{
	struct place *places = calloc(walk->slots_count, sizeof(*places));
	for (size_t i = 0; places && i < walk->slots_count; i++)
		places[i].fd = -1;
	return places;
}

/* Takes the places, whatever comes of it; reads the names in them. */
static int push(struct state *state, struct place *places)
{
	const struct walk *walk = state->walk;
	struct frame frame = {.places = places, .open = true, .path_bytes = strlen(state->path)};
	int r = 0;
	if (state->depth == MAX_LAYER_DEPTH)
		r = fail(state, ELOOP, "directories are nested too deeply");
	if (r == 0 && state->depth == state->capacity) {
		size_t capacity = state->capacity ? state->capacity * 2 : 16;
		void *frames = reallocarray(state->frames, capacity, sizeof(*state->frames));
		if (!frames)
			r = -ENOMEM;
		else
			state->frames = frames, state->capacity = capacity;
	}
	for (size_t i = 0; r == 0 && i < walk->slots_count; i++) {
		if (places[i].fd < 0 || places[i].sides == 0 || places[i].sides == WALK_BOTH)
			continue;
		r = read_names(&frame.names, places[i].fd);
		if (r < 0)
			r = fail(state, -r, "cannot be listed");
	}
	if (r < 0) {
		free_frame(walk, &frame);
		return r;
	}
	sort_names(&frame.names);
	state->frames[state->depth++] = frame;
	return 0;
}

static int reopen(struct state *state, struct frame *frame)
{
	const struct walk *walk = state->walk;
	const char *path = *state->path ? state->path : ".";
	for (size_t i = 0; i < walk->slots_count; i++) {
		struct place *place = &frame->places[i];
		if (place->sides == 0)
			continue;
		place->fd = sys_openat2(walk->slots[i].directory, path,
			O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, beneath);
		if (place->fd >= 0)
			continue;
		/* The host goes on meanwhile: what it has removed is not there. */
		if (errno != ENOENT && errno != ENOTDIR && errno != ELOOP)
			return fail(state, errno, "cannot be entered again");
		place->sides = 0;
	}
	frame->open = true;
	return 0;
}

/* ---- what is at a name ---- */

static bool has_mark(int fd, const char *attribute, char wanted)
{
	static const char *const prefixes[] = {"user.overlay.", "trusted.overlay."};
	for (size_t i = 0; i < (geteuid() == 0 ? 2 : 1); i++) {
		char name[64], value[8];
		snprintf(name, sizeof(name), "%s%s", prefixes[i], attribute);
		ssize_t n = fgetxattr(fd, name, value, sizeof(value));
		if (wanted ? n == 1 && value[0] == wanted : n >= 0)
			return true;
	}
	return false;
}

static bool is_whiteout(const struct place *directory, const char *name, const struct stat *st)
{
	if (S_ISCHR(st->st_mode))
		return st->st_rdev == makedev(0, 0);
	if (!directory->whiteouts || !S_ISREG(st->st_mode) || st->st_size != 0)
		return false;
	cleanup_close int fd =
		openat(directory->fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	return fd >= 0 && has_mark(fd, "whiteout", '\0');
}

/* Opens the directory for the child's frame. 1: it is opaque; -ENOENT: it is no more. */
static int enter(
	const struct place *directory, const char *name, bool marks, bool lowest, struct place *ret)
{
	/* Nothing stands below the lowest one; where it is not to be listed, it need not be
	 * readable. */
	bool unread = lowest && ret->sides == WALK_BOTH;
	int flags = (unread ? O_PATH : O_RDONLY) | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
	ret->fd = sys_openat2(directory->fd, name, (uint64_t)flags, beneath);
	if (ret->fd < 0 && errno == EACCES && reach_own())
		ret->fd = sys_openat2(directory->fd, name, (uint64_t)flags, beneath);
	if (ret->fd < 0)
		return errno == ENOTDIR || errno == ELOOP || errno == EXDEV ? -ENOENT : -errno;
	if (unread || !marks)
		return 0;
	ret->whiteouts = has_mark(ret->fd, "opaque", 'x');
	return !ret->whiteouts && has_mark(ret->fd, "opaque", 'y');
}

/* A directory that may be listed may yet be shut to this. */
static int look_at(int directory, const char *name, struct stat *ret)
{
	int r = fstatat(directory, name, ret, AT_SYMLINK_NOFOLLOW);
	return r < 0 && errno == EACCES && reach_own()
		       ? fstatat(directory, name, ret, AT_SYMLINK_NOFOLLOW)
		       : r;
}

/* Looks the name up on both sides at once. */
static int look_up(struct state *state, const struct frame *frame, const char *name,
	struct found ret[2], struct place *children)
{
	const struct walk *walk = state->walk;
	unsigned done = 0; /* sides of which nothing further down counts */
	for (size_t i = 0; i < walk->slots_count && done != WALK_BOTH; i++) {
		const struct place *place = &frame->places[i];
		unsigned sides = place->sides & ~done;
		struct stat st;
		if (!sides)
			continue;
		if (look_at(place->fd, name, &st) < 0) {
			if (errno == ENOENT)
				continue;
			return fail(state, errno, "cannot be looked at");
		}
		if (walk->slots[i].marks && is_whiteout(place, name, &st)) {
			done |= sides;
			continue;
		}
		/* What lies below a directory is merged with it only if it is one, too. */
		for (int s = 0; s < 2; s++) {
			unsigned side = 1U << s;
			if (!(sides & side))
				continue;
			if (!ret[s].entry.present)
				ret[s] = (struct found){.slot = i,
					.entry = {.present = true,
						.at = walk->slots[i].directory,
						.st = st}};
			else if (!S_ISDIR(st.st_mode))
				sides &= ~side;
		}
		if (!S_ISDIR(st.st_mode)) {
			done |= place->sides;
			continue;
		}
		children[i].sides = sides;
		int r = enter(place, name, walk->slots[i].marks, i == walk->slots_count - 1,
			&children[i]);
		if (r < 0) {
			children[i].sides = 0;
			if (r != -ENOENT)
				return fail(state, -r, "cannot be entered");
		} else if (r == 1) {
			done |= sides;
		}
	}
	return 0;
}

/* ---- comparing ---- */

static int attributes(const struct state *state, const struct frame *frame, const char *name,
	const struct found found[2], unsigned *ret)
{
	const struct stat *before = &found[0].entry.st, *after = &found[1].entry.st;
	/* An upper's own top keeps neither set-id bits nor, for an ordinary user, the owner. */
	bool top = !*name;
	mode_t compared = top ? 01777 : 07777;
	if (!S_ISLNK(after->st_mode) && ((before->st_mode ^ after->st_mode) & compared))
		*ret |= LAYER_MODE;
	if (!top && (before->st_uid != after->st_uid || before->st_gid != after->st_gid))
		*ret |= LAYER_OWNER;
	/* The kernel keeps user.* for files and directories only. */
	if ((!S_ISREG(after->st_mode) && !S_ISDIR(after->st_mode)) ||
		(state->walk->shallow && (*ret & LAYER_CONTENT)))
		return 0;
	int r = entry_attributes_differ(
		frame->places[found[0].slot].fd, frame->places[found[1].slot].fd, name);
	if (r < 0 && r != -ENOENT)
		return fail(state, -r, "its attributes cannot be read");
	if (r == 1)
		*ret |= LAYER_XATTRS;
	return 0;
}

static int compare(const struct state *state, const struct frame *frame, const char *name,
	const struct found found[2], unsigned *ret)
{
	const struct stat *before = &found[0].entry.st, *after = &found[1].entry.st;
	*ret = 0;
	if (found[0].slot == found[1].slot)
		return 0;
	if ((before->st_mode ^ after->st_mode) & S_IFMT) {
		*ret = LAYER_TYPE | LAYER_CONTENT;
		return attributes(state, frame, name, found, ret);
	}
	if (S_ISREG(after->st_mode)) {
		if (before->st_ino != after->st_ino || before->st_dev != after->st_dev)
			*ret = LAYER_CONTENT;
	} else if (S_ISLNK(after->st_mode)) {
		int r = entry_links_differ(
			frame->places[found[0].slot].fd, frame->places[found[1].slot].fd, name);
		if (r < 0)
			return fail(state, -r, "cannot be read");
		if (r == 1)
			*ret = LAYER_CONTENT;
	} else if (S_ISCHR(after->st_mode) || S_ISBLK(after->st_mode)) {
		if (before->st_rdev != after->st_rdev)
			*ret = LAYER_CONTENT;
	}
	return attributes(state, frame, name, found, ret);
}

static int tell(const struct state *state, const struct frame *frame, const char *name,
	const struct found found[2])
{
	const struct walk *walk = state->walk;
	struct layer_change change = {.view = walk->view,
		.path = state->path,
		.before = found[0].entry,
		.after = found[1].entry};
	if (!change.before.present && !change.after.present)
		return 0;
	if (!change.before.present) {
		change.kind = LAYER_ADDED;
	} else if (!change.after.present) {
		change.kind = LAYER_DELETED;
	} else {
		int r = compare(state, frame, name, found, &change.differences);
		if (r < 0)
			return r;
		if (!change.differences && !walk->every)
			return 0;
		change.kind = LAYER_MODIFIED;
	}
	return walk->callback(&change, walk->context);
}

/* ---- the walk ---- */

static bool leads_on(const struct walk *walk, const struct place *children)
{
	for (size_t i = 0; i < walk->slots_count; i++)
		if (children[i].sides == WALK_BEFORE || children[i].sides == WALK_AFTER)
			return true;
	return false;
}

static int visit(struct state *state, struct frame *frame, const char *name)
{
	const struct walk *walk = state->walk;
	size_t length = frame->path_bytes, name_bytes = strlen(name);
	if (length + name_bytes + 2 > sizeof(state->path))
		return fail(state, ENAMETOOLONG, "what is in it cannot be named");
	if (length)
		state->path[length++] = '/';
	memcpy(state->path + length, name, name_bytes + 1);

	struct place *children = new_places(walk);
	if (!children)
		return -ENOMEM;
	struct found found[2] = {0};
	int r = look_up(state, frame, name, found, children);
	if (r == 0)
		r = tell(state, frame, name, found);
	if (r == 0 && leads_on(walk, children)) {
		close_places(walk, frame->places);
		frame->open = false;
		return push(state, children);
	}
	close_places(walk, children);
	free(children);
	return r;
}

static int visit_root(struct state *state)
{
	const struct walk *walk = state->walk;
	struct place *places = new_places(walk);
	if (!places)
		return -ENOMEM;
	struct found found[2] = {0};
	int r = 0;
	for (size_t i = 0; r == 0 && i < walk->slots_count; i++) {
		struct place *place = &places[i];
		struct stat st;
		place->sides = walk->slots[i].sides;
		place->fd =
			openat(walk->slots[i].directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (place->fd < 0 || fstat(place->fd, &st) < 0)
			r = fail(state, errno, "cannot be opened");
		place->whiteouts =
			r == 0 && walk->slots[i].marks && has_mark(place->fd, "opaque", 'x');
		for (int s = 0; r == 0 && s < 2; s++)
			if ((place->sides & (1U << s)) && !found[s].entry.present)
				found[s] = (struct found){.slot = i,
					.entry = {.present = true,
						.at = walk->slots[i].directory,
						.st = st}};
	}
	struct frame frame = {.places = places};
	/* A root without a base was not there, and is not to be made. */
	if (r == 0 && found[0].entry.present && found[1].entry.present)
		r = tell(state, &frame, "", found);
	if (r == 0)
		return push(state, places);
	close_places(walk, places);
	free(places);
	return r;
}

int walk_run(const struct walk *walk, struct error *error)
{
	struct state state = {.walk = walk, .error = error};
	if (walk->slots_count == 0)
		return 0;
	int r = visit_root(&state);
	while (r == 0 && state.depth > 0) {
		struct frame *frame = &state.frames[state.depth - 1];
		state.path[frame->path_bytes] = '\0';
		if (frame->next == frame->names.count) {
			free_frame(walk, frame);
			state.depth--;
			continue;
		}
		if (!frame->open)
			r = reopen(&state, frame);
		if (r == 0)
			r = visit(&state, frame,
				frame->names.text + frame->names.offsets[frame->next++]);
	}
	if (r == -ENOMEM)
		fail(&state, ENOMEM, "changes");
	while (state.depth > 0)
		free_frame(walk, &state.frames[--state.depth]);
	free(state.frames);
	return r;
}
