/* Theory of operation: a word is taken for the path that it would be in each directory in which its
 * command may run: the one the line starts in, and what each `cd` before it leads to if all of them
 * succeed. Everything here is text: symbolic links are the box's matter, which resolves paths for
 * good. So a path counts as inside only if it is so seen from every one of those directories. */
#include "gate/classify_internal.h"

#include "base/path.h"
#include "policy/names.h"

#include <fnmatch.h>

/* What stands for the home directory at the start of word: its length, or 0. */
static size_t home_prefix(const char *word)
{
	static const char *const spellings[] = {
		"~", "$HOME", "${HOME}", "\"$HOME\"", "\"$HOME", "\"${HOME}\"", "\"${HOME}"};
	for (size_t i = ARRAY_SIZE(spellings); i-- > 0;) {
		size_t bytes = strlen(spellings[i]);
		if (strncmp(word, spellings[i], bytes) == 0 &&
			(word[bytes] == '\0' || word[bytes] == '/' || word[bytes] == '"'))
			return bytes;
	}
	return 0;
}

bool begins_at_home(const char *word)
{
	return home_prefix(word) > 0;
}

char *word_path(const struct command *command, const char *word, const char *directory)
{
	size_t prefix_bytes = home_prefix(word);
	if (prefix_bytes == 0)
		return path_absolute(directory, word);
	const char *home = command->context->home;
	if (!home)
		return NULL;
	/* The word stands as it was written: its quotes are no part of the path. */
	word += prefix_bytes;
	cleanup_free char *below = strdup(word);
	if (!below)
		return NULL;
	size_t length = 0;
	for (const char *s = word + strspn(word, "\"/"); *s; s++)
		if (!strchr("\"'\\", *s))
			below[length++] = *s;
	below[length] = '\0';
	return path_absolute(home, length ? below : ".");
}

/* Adds a directory, unless it is there, as the last one. */
static bool places_add(struct places *places, char *directory)
{
	for (size_t i = 0; directory && i < places->count; i++)
		if (strcmp(places->directories[i], directory) == 0) {
			free(directory);
			places->last = i;
			return true;
		}
	if (!directory || places->count == ARRAY_SIZE(places->directories)) {
		free(directory);
		return false;
	}
	places->last = places->count;
	places->directories[places->count++] = directory;
	return true;
}

/* Moves the last place on by one `cd`; false: it cannot be known. */
static bool places_move(
	struct places *places, const struct gate_part *part, const struct classify_context *context)
{
	struct command command = {.part = part, .context = context, .places = places};
	bool known = true;
	const char *to = operand(&command, 0, &known);
	if (!to)
		to = "~";
	if ((!known && !begins_at_home(to)) || strcmp(to, "-") == 0)
		return false;
	char *there = word_path(&command, to, places->directories[places->last]);
	/* Should a step down fail, what follows happens one level up: in the same tree. */
	bool down = known && to[0] != '/' && !strstr(to, "..") && there;
	if (!down)
		return places_add(places, there);
	free(places->directories[places->last]);
	places->directories[places->last] = there;
	return true;
}

/* Programs that start another one somewhere else. */
static const struct {
	const char *program, *options;
} movers[] = {
	{"env", "C,chdir"},
	{"sudo", "D,chdir R,chroot"},
	{"chroot", NULL},
	{"unshare", "R,root"},
	{"nsenter", "r,root"},
	{"find", "-execdir,-okdir"},
};

static bool moves_elsewhere(const struct gate_part *part)
{
	const char *name = path_name(part->argv.items[0]);
	struct command command = {.part = part};
	for (size_t i = 0; i < ARRAY_SIZE(movers); i++)
		if (strcmp(name, movers[i].program) == 0)
			return !movers[i].options || has_options(&command, movers[i].options);
	return false;
}

/* Takes one part into account for those that follow. */
static void places_step(struct places_walk *walk, const struct gate_part *part,
	const struct classify_context *context)
{
	if (part->argv.count == 0)
		return;
	const char *name = part->argv.items[0];
	if (strcmp(name, "cd") == 0 || strcmp(name, "pushd") == 0 || strcmp(name, "chdir") == 0)
		walk->lost = walk->lost || !places_move(&walk->places, part, context);
	else if (strcmp(name, "popd") == 0)
		walk->lost = true;
	if (walk->elsewhere && part->depth <= walk->elsewhere_depth)
		walk->elsewhere = false;
	if (!walk->elsewhere && moves_elsewhere(part)) {
		walk->elsewhere = true;
		walk->elsewhere_depth = part->depth;
	}
}

const struct places *places_walk_to(struct places_walk *walk, const struct analysis *analysis,
	size_t index, const struct classify_context *context)
{
	if (walk->places.count == 0 && !walk->lost) {
		char *first = context->directory ? strdup(context->directory) : NULL;
		walk->lost = !places_add(&walk->places, first);
	}
	for (; walk->next < index && walk->places.count > 0; walk->next++)
		places_step(walk, &analysis->parts[walk->next], context);
	bool elsewhere = walk->elsewhere && analysis->parts[index].depth > walk->elsewhere_depth;
	walk->places.unknown = walk->lost || elsewhere;
	return &walk->places;
}

void places_walk_release(struct places_walk *walk)
{
	for (size_t i = 0; i < walk->places.count; i++)
		free(walk->places.directories[i]);
	*walk = (struct places_walk){0};
}

bool any_place(const struct command *command, const char *word,
	bool (*test)(const struct command *command, const char *path))
{
	const struct places *places = command->places;
	if (places->unknown && word[0] != '/' && !begins_at_home(word))
		return test(command, NULL);
	for (size_t i = 0; i < places->count; i++) {
		cleanup_free char *path = word_path(command, word, places->directories[i]);
		if (!path || test(command, path))
			return true;
	}
	return places->count == 0;
}

bool has_glob(const char *word)
{
	return path_is_glob(word);
}

/* Paths to which anybody may write, whatever the box: nothing there is anybody's. */
static const char *const scratch[] = {"/dev/null", "/dev/zero", "/dev/full", "/dev/stdin",
	"/dev/stdout", "/dev/stderr", "/dev/tty", "/dev/random", "/dev/urandom"};
static const char *const scratch_below[] = {"/tmp/", "/dev/fd/", "/dev/shm/", "/dev/pts/"};

bool is_scratch(const char *path)
{
	for (size_t i = 0; i < ARRAY_SIZE(scratch); i++)
		if (strcmp(path, scratch[i]) == 0)
			return true;
	for (size_t i = 0; i < ARRAY_SIZE(scratch_below); i++)
		if (strncmp(path, scratch_below[i], strlen(scratch_below[i])) == 0)
			return true;
	return false;
}

bool is_device(const struct command *command, const char *path)
{
	(void)command;
	static const char *const globs[] = {"/dev/sd*", "/dev/hd*", "/dev/vd*", "/dev/xvd*",
		"/dev/nvme*", "/dev/mmcblk*", "/dev/md*", "/dev/dm-*", "/dev/mapper/*",
		"/dev/disk/*", "/dev/loop*", "/dev/sr*", "/dev/zram*", "/dev/mem", "/dev/kmem",
		"/dev/port", "/dev/mtd*", "/dev/rdisk*", "/dev/disk[0-9]*"};
	for (size_t i = 0; path && i < ARRAY_SIZE(globs); i++)
		if (fnmatch(globs[i], path, 0) == 0)
			return true;
	return false;
}

bool is_outside(const struct command *command, const char *path)
{
	if (!command->context->writable_roots)
		return false;
	if (!path)
		return true;
	if (is_scratch(path))
		return false;
	for (char *const *root = command->context->writable_roots; *root; root++)
		if (path_is_below(path, *root))
			return false;
	return true;
}

bool is_vital(const struct command *command, const char *path)
{
	static const char *const directories[] = {"/", "/bin", "/boot", "/dev", "/etc", "/home",
		"/lib", "/lib32", "/lib64", "/mnt", "/media", "/opt", "/proc", "/root", "/run",
		"/sbin", "/srv", "/sys", "/usr", "/usr/bin", "/usr/lib", "/usr/local", "/usr/sbin",
		"/usr/share", "/var", "/var/lib", "/Users", "/System", "/Library", "/Applications"};
	if (!path)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(directories); i++)
		if (strcmp(path, directories[i]) == 0)
			return true;
	if (command->context->home && strcmp(path, command->context->home) == 0)
		return true;
	return path_depth(path) == 2 && strncmp(path, "/home/", 6) == 0;
}

bool is_root_itself(const struct command *command, const char *path)
{
	if (!path)
		return true;
	const char *directory = command->context->directory;
	if (directory && path_is_below(directory, path))
		return true;
	char *const *roots = command->context->writable_roots;
	for (; roots && *roots; roots++)
		if (strcmp(*roots, "/tmp") != 0 && path_is_below(*roots, path))
			return true;
	return false;
}

/* The part of path below the root (or the directory) that holds it, without its slash; NULL: none
 * does. */
static const char *below_root(const struct command *command, const char *path)
{
	const struct classify_context *context = command->context;
	char *const *root = context->writable_roots;
	for (; root && *root; root++)
		if (strcmp(*root, "/tmp") != 0 && path_is_below(path, *root))
			return path + strlen(*root) + (path[strlen(*root)] == '/');
	if (!context->writable_roots && context->directory &&
		path_is_below(path, context->directory) && strlen(context->directory) > 1)
		return path + strlen(context->directory) +
		       (path[strlen(context->directory)] == '/');
	return NULL;
}

/* A component of such a name, or a folder that a tool fills from what is declared elsewhere. */
static bool component_is_made_again(const char *component)
{
	static const char *const names[] = {".output", "_build", "bin", "build", "builddir",
		"coverage", "dist", "htmlcov", "logs", "obj", "out", "temp", "tmp"};
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (strcmp(component, names[i]) == 0)
			return true;
	if (strncmp(component, "cmake-build-", 12) == 0)
		return true;
	size_t length = strlen(component);
	if (length > 9 && strcmp(component + length - 9, ".egg-info") == 0)
		return true;
	return names_is_dependency_folder(component);
}

bool is_kept(const struct command *command, const char *path)
{
	if (!path)
		return true;
	const char *below = below_root(command, path);
	if (!below)
		return strncmp(path, "/tmp/", 5) != 0 || path[5] == '*' || path[5] == '?';
	for (const char *s = below; *s; s += strspn(s, "/")) {
		char component[64];
		size_t bytes = strcspn(s, "/");
		if (bytes < sizeof(component)) {
			memcpy(component, s, bytes);
			component[bytes] = '\0';
			if (component_is_made_again(component))
				return false;
		}
		s += bytes;
	}
	return true;
}

const char *path_below_home(const struct command *command, const char *path)
{
	const char *home = command->context->home;
	if (home && home[0] == '/' && home[1] && path_is_below(path, home))
		return path + strlen(home);
	if (strncmp(path, "/root/", 6) == 0)
		return path + 5;
	if (strncmp(path, "/home/", 6) == 0 || strncmp(path, "/Users/", 7) == 0) {
		const char *user = strchr(path + 1, '/') + 1;
		return strchr(user, '/');
	}
	return NULL;
}
