/* From what was chosen to steps: a directory that comes or goes as a whole is one step, whatever is
 * in it. */
#include "layer/apply_internal.h"

#include "base/cleanup.h"
#include "base/path.h"
#include "layer/copy_file.h"
#include "layer/upper_walk.h"

#include <fcntl.h>
#include <string.h>
#include <sys/random.h>
#include <sys/xattr.h>

static const char stage[] = "apply";

enum { NO_COVER = -1 };

/* ---- attributes in place ---- */

static int read_value(int fd, const char *name, struct apply_xattr *xattr, int side)
{
	cleanup_free char *value = malloc(COPY_ATTRIBUTE_MAX);
	if (!value)
		return -ENOMEM;
	ssize_t n = fgetxattr(fd, name, value, COPY_ATTRIBUTE_MAX);
	if (n < 0)
		return errno == ENODATA ? 0 : -errno;
	xattr->values[side] = malloc((size_t)n + 1);
	if (!xattr->values[side])
		return -ENOMEM;
	memcpy(xattr->values[side], value, (size_t)n);
	xattr->sizes[side] = (size_t)n;
	return 0;
}

static int add_names(struct apply_step *step, int fd, const int fds[2])
{
	cleanup_free char *names = malloc(COPY_ATTRIBUTE_NAMES_MAX);
	ssize_t length = names ? flistxattr(fd, names, COPY_ATTRIBUTE_NAMES_MAX) : -1;
	if (length < 0)
		return !names ? -ENOMEM : errno == EOPNOTSUPP ? 0 : -errno;
	int r = 0;
	for (char *name = names; r == 0 && name < names + length; name += strlen(name) + 1) {
		bool known = !copy_is_plain_attribute(name);
		for (size_t i = 0; !known && i < step->xattrs_count; i++)
			known = strcmp(step->xattrs[i].name, name) == 0;
		if (known)
			continue;
		void *larger = reallocarray(
			step->xattrs, step->xattrs_count + 1, sizeof(*step->xattrs));
		if (!larger)
			return -ENOMEM;
		step->xattrs = larger;
		struct apply_xattr *xattr = &step->xattrs[step->xattrs_count++];
		*xattr = (struct apply_xattr){.name = strdup(name)};
		r = xattr->name ? read_value(fds[0], name, xattr, 0) : -ENOMEM;
		if (r == 0)
			r = read_value(fds[1], name, xattr, 1);
	}
	return r;
}

static int open_side(const struct layer_entry *entry, const char *path)
{
	return S_ISDIR(entry->st.st_mode) ? upper_open(entry->at, path, O_RDONLY | O_DIRECTORY)
					  : layer_entry_open(entry, path);
}

static int plan_xattrs(const struct apply_item *item, struct apply_step *step)
{
	mode_t mode = item->after.st.st_mode;
	if (!(item->differences & LAYER_XATTRS) || (!S_ISDIR(mode) && !S_ISREG(mode)))
		return 0;
	cleanup_close int before = open_side(&item->before, item->path);
	cleanup_close int after = open_side(&item->after, item->path);
	if (before < 0 || after < 0)
		return before < 0 ? before : after;
	const int fds[2] = {before, after};
	int r = add_names(step, before, fds);
	return r < 0 ? r : add_names(step, after, fds);
}

static int plan_attributes(const struct apply_item *item, struct apply_step *step)
{
	const struct stat *before = &item->before.st, *after = &item->after.st;
	step->sides[0] = (struct apply_attributes){.mode = before->st_mode & 07777,
		.uid = before->st_uid,
		.gid = before->st_gid,
		.modified_ns = apply_time_ns(before->st_mtim)};
	step->sides[1] = step->sides[0];
	step->sides[1].mode = apply_mode(item);
	if (geteuid() == 0) {
		step->sides[1].uid = after->st_uid;
		step->sides[1].gid = after->st_gid;
	}
	if (!S_ISDIR(after->st_mode))
		step->sides[1].modified_ns = apply_time_ns(after->st_mtim);
	return plan_xattrs(item, step);
}

/* ---- directories in which names change ---- */

/* What the layer shows for it: the topmost upper that has it. */
static int64_t layer_time(const struct apply *apply, unsigned root, const char *path)
{
	const struct layer_view *view = &apply->views[root].view;
	for (size_t i = 0; i < view->uppers_count && !apply->partial; i++) {
		cleanup_close int fd = upper_open(view->uppers[i], path, O_PATH | O_DIRECTORY);
		struct stat st;
		if (fd >= 0 && fstat(fd, &st) == 0)
			return apply_time_ns(st.st_mtim);
	}
	return INT64_MIN;
}

/* Whether the kernel lets names be changed there; the owner's rights count. */
static int check_parent(struct apply *apply, const struct apply_item *item)
{
	struct apply_host *host = &apply->hosts[item->root];
	const char *name;
	apply_host_enter(host);
	int parent = apply_host_parent(host, item->path, &name);
	int r = parent < 0 ? parent
		: faccessat(parent, ".", W_OK | X_OK, AT_EACCESS) < 0 ? -errno
								      : 0;
	apply_host_leave(host);
	if (r == -ELOOP || r == -ENOTDIR || r == -EXDEV || r == -ENOENT)
		return apply_refuse(apply, item, APPLY_LINK,
			"on its way stands a link, or what is no directory of this file system");
	if (r < 0)
		return apply_refuse(apply, item, APPLY_DENIED, "its directory: %s",
			strerrordesc_np(-r));
	return 0;
}

static int note_parent(struct apply *apply, const struct apply_item *item)
{
	struct apply_journal *journal = &apply->journal;
	const struct apply_directory *last =
		journal->directories_count ? &journal->directories[journal->directories_count - 1]
					   : NULL;
	cleanup_free char *parent = strdup(item->path);
	if (!parent)
		return -ENOMEM;
	char *slash = strrchr(parent, '/');
	*(slash ? slash : parent) = '\0';
	if (last && last->root == item->root && strcmp(last->path, parent) == 0)
		return 0;
	int r = check_parent(apply, item);
	cleanup_close int fd =
		upper_open(apply->views[item->root].view.base, parent, O_PATH | O_DIRECTORY);
	struct stat st;
	if (r < 0 || fd < 0 || fstat(fd, &st) < 0) /* said by then */
		return r;
	struct apply_directory directory = {.root = item->root,
		.path = parent,
		.before_ns = apply_time_ns(st.st_mtim),
		.after_ns = layer_time(apply, item->root, parent)};
	return apply_journal_add_directory(&journal->directories, &journal->directories_count,
		&journal->directories_capacity, &directory);
}

/* ---- steps ---- */

static int add_step(struct apply *apply, struct apply_item *item)
{
	struct apply_journal *journal = &apply->journal;
	struct apply_step *step = apply_journal_add(journal);
	if (!step)
		return -ENOMEM;
	item->step = journal->steps_count - 1;
	step->root = item->root;
	step->path = strdup(item->path);
	if (!step->path)
		return -ENOMEM;
	if (item->before.present)
		apply_identify(&item->before.st, &step->host);
	if (item->action == ACTION_ATTRIBUTES) {
		step->kind = STEP_ATTRIBUTES;
		return plan_attributes(item, step);
	}
	step->kind = item->action == ACTION_REMOVE ? STEP_REMOVE
		     : item->before.present	   ? STEP_EXCHANGE
						   : STEP_PLACE;
	return note_parent(apply, item);
}

static bool covers(const struct apply *apply, ssize_t cover, const struct apply_item *item)
{
	return cover != NO_COVER && apply->items[cover].root == item->root &&
	       apply_is_within(item->path, apply->items[cover].path);
}

static int plan_steps(struct apply *apply)
{
	ssize_t staged = NO_COVER, removed = NO_COVER;
	int r = 0;
	for (size_t i = 0; r == 0 && i < apply->items_count; i++) {
		struct apply_item *item = &apply->items[i];
		bool was_directory = item->before.present && S_ISDIR(item->before.st.st_mode);
		if (item->action == ACTION_NONE || item->action == ACTION_SKIP)
			continue;
		if (covers(apply, staged, item)) {
			item->covered = true;
			item->cover = (size_t)staged;
			continue;
		}
		if (covers(apply, removed, item)) {
			item->covered = true;
			item->cover = (size_t)removed;
			continue;
		}
		if (item->action == ACTION_STAGE && S_ISDIR(item->after.st.st_mode))
			staged = (ssize_t)i;
		else if (item->action != ACTION_ATTRIBUTES && was_directory)
			removed = (ssize_t)i;
		r = add_step(apply, item);
	}
	return r;
}

/* What was chosen, for the layer to let go of. */
static int plan_tops(struct apply *apply)
{
	struct apply_journal *journal = &apply->journal;
	static char *const all[] = {NULL};
	char *const *paths = apply->options->paths ? apply->options->paths : all;
	int r = 0;
	for (size_t i = 0; r == 0 && i < journal->roots_count; i++) {
		const char *base = journal->roots[i].base;
		struct apply_directory top = {.root = (unsigned)i, .path = ""};
		size_t length = strcmp(base, "/") == 0 ? 0 : strlen(base);
		if (!apply->options->paths)
			r = apply_journal_add_directory(&journal->tops, &journal->tops_count,
				&journal->tops_capacity, &top);
		for (size_t k = 0; r == 0 && paths[k]; k++) {
			if (path_is_below(base, paths[k]))
				top.path = "";
			else if (path_is_below(paths[k], base))
				top.path = paths[k] + length + 1;
			else
				continue;
			r = apply_journal_add_directory(&journal->tops, &journal->tops_count,
				&journal->tops_capacity, &top);
		}
	}
	return r;
}

int apply_plan(struct apply *apply)
{
	struct apply_journal *journal = &apply->journal;
	uint64_t number;
	if (getrandom(&number, sizeof(number), 0) != sizeof(number))
		return error_set_errno(apply->error, errno, stage, "a random name");
	snprintf(journal->id, sizeof(journal->id), "%016llx", (unsigned long long)number);
	journal->whole = !apply->partial;
	journal->keep = apply->options->keep;
	int r = plan_steps(apply);
	if (r == 0)
		r = plan_tops(apply);
	return r < 0 ? error_set_errno(apply->error, -r, stage, "what is to be done") : 0;
}
