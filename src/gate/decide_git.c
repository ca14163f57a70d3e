/* Theory of operation. Reading commands of git run programs that the settings of the repository
 * name (core.fsmonitor, diff drivers). A clone brings no settings along, but it may bring a
 * directory that looks like a repository of its own: git takes it for one as soon as it runs in it
 * or below. So on the way from where git runs to the repository's top there must be none. */
#include "base/cleanup.h"
#include "base/path.h"
#include "gate/decide_internal.h"

#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool has(const char *directory, const char *name)
{
	cleanup_free char *path = path_join(directory, name);
	return !path || faccessat(AT_FDCWD, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static bool looks_like_repository(const char *directory)
{
	return has(directory, "HEAD") &&
	       (has(directory, "commondir") ||
		       (has(directory, "objects") && has(directory, "refs")));
}

static bool leads_to_one(const char *directory)
{
	char path[PATH_MAX];
	if (!realpath(directory, path))
		return false; /* then there is nothing to run in either */
	for (;;) {
		if (has(path, ".git"))
			return false;
		if (looks_like_repository(path))
			return true;
		char *slash = strrchr(path, '/');
		if (slash == path)
			return false;
		*slash = '\0';
	}
}

/* Where `git -C A -C B` runs, seen from one place; NULL: that is not known. */
static char *moved_by_options(const struct gate_part *part, const char *place)
{
	char *directory = strdup(place);
	for (size_t i = 1; directory && i + 1 < part->argv.count; i++) {
		const char *word = part->argv.items[i];
		if (word[0] != '-')
			break;
		bool takes = strcmp(word, "-C") == 0 || strcmp(word, "-c") == 0;
		if (strcmp(word, "-C") == 0) {
			char *next = part->word_known[i + 1]
					     ? path_absolute(directory, part->argv.items[i + 1])
					     : NULL;
			free(directory);
			directory = next;
		}
		i += takes;
	}
	return directory;
}

bool git_may_meet_settings(const struct gate_part *part, const struct places *places)
{
	if (part->argv.count == 0 || strcmp(path_name(part->argv.items[0]), "git") != 0)
		return false;
	for (size_t i = 0; i < places->count; i++) {
		cleanup_free char *directory = moved_by_options(part, places->directories[i]);
		if (!directory || leads_to_one(directory))
			return true;
	}
	return places->unknown;
}
