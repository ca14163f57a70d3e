#include "gate/rules_program.h"

#include "base/cleanup.h"
#include "base/path.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static bool is_program(const char *path)
{
	struct stat status;
	return stat(path, &status) == 0 && S_ISREG(status.st_mode) && access(path, X_OK) == 0;
}

static bool resolve(const char *path, char ret[PATH_MAX])
{
	return path && is_program(path) && realpath(path, ret);
}

/* An empty entry of PATH is the directory itself; a relative one lies below it. */
static bool search(const char *word, const char *directory, const char *path, char ret[PATH_MAX])
{
	for (const char *entry = path;; entry++) {
		size_t bytes = strcspn(entry, ":");
		cleanup_free char *name = strndup(bytes ? entry : ".", bytes ? bytes : 1);
		cleanup_free char *absolute = name ? path_absolute(directory, name) : NULL;
		cleanup_free char *candidate = absolute ? path_join(absolute, word) : NULL;
		if (!candidate)
			return false;
		if (resolve(candidate, ret))
			return true;
		entry += bytes;
		if (*entry == '\0')
			return false;
	}
}

bool program_resolve(const char *word, const char *directory, const char *path, char ret[PATH_MAX])
{
	if (*word == '\0' || !directory)
		return false;
	if (!strchr(word, '/'))
		return path && search(word, directory, path, ret);
	cleanup_free char *absolute = path_absolute(directory, word);
	return resolve(absolute, ret);
}

bool program_is_the_usual(const char *word, const char *directory, const char *path)
{
	char named[PATH_MAX], usual[PATH_MAX];
	return program_resolve(word, directory, path, named) &&
	       program_resolve(path_name(word), directory, path, usual) &&
	       strcmp(named, usual) == 0;
}
