#include "base/path.h"

#include "base/limits.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

char *path_absolute(const char *base, const char *path)
{
	size_t base_length = path[0] == '/' ? 0 : strlen(base);
	char *result = malloc(base_length + strlen(path) + 3);
	if (!result)
		return NULL;
	size_t length = 0;
	const char *parts[2] = {path[0] == '/' ? "" : base, path};
	for (int i = 0; i < 2; i++) {
		for (const char *s = parts[i]; *s;) {
			size_t n = strcspn(s, "/");
			if (n == 2 && s[0] == '.' && s[1] == '.') {
				while (length > 0 && result[--length] != '/')
					;
			} else if (n > 0 && !(n == 1 && s[0] == '.')) {
				result[length++] = '/';
				memcpy(result + length, s, n);
				length += n;
			}
			s += n;
			s += strspn(s, "/");
		}
	}
	if (length == 0)
		result[length++] = '/';
	result[length] = '\0';
	if (length >= MAX_PATH_BYTES) {
		free(result);
		errno = ENAMETOOLONG;
		return NULL;
	}
	return result;
}

char *path_join(const char *dir, const char *name)
{
	size_t dir_length = strlen(dir), name_length = strlen(name);
	while (dir_length > 0 && dir[dir_length - 1] == '/')
		dir_length--;
	if (dir_length + name_length + 2 > MAX_PATH_BYTES) {
		errno = ENAMETOOLONG;
		return NULL;
	}
	char *result = malloc(dir_length + name_length + 2);
	if (!result)
		return NULL;
	memcpy(result, dir, dir_length);
	result[dir_length] = '/';
	memcpy(result + dir_length + 1, name, name_length + 1);
	return result;
}

bool path_is_below(const char *path, const char *dir)
{
	size_t length = strlen(dir);
	if (length == 1 && dir[0] == '/')
		return path[0] == '/';
	return strncmp(path, dir, length) == 0 && (path[length] == '\0' || path[length] == '/');
}

size_t path_depth(const char *path)
{
	size_t depth = 0;
	for (const char *s = path; *s; s++)
		if (*s == '/' && s[1] && s[1] != '/')
			depth++;
	return depth;
}

const char *path_name(const char *path)
{
	const char *slash = strrchr(path, '/');
	return slash ? slash + 1 : path;
}

char *path_parent(const char *path)
{
	const char *slash = strrchr(path, '/');
	if (!slash || slash == path)
		return strdup("/");
	return strndup(path, (size_t)(slash - path));
}

bool path_is_glob(const char *path)
{
	return strpbrk(path, "*?[") != NULL;
}

/* Matches c against the bracket expression at *glob ("[" already seen), moving *glob behind it.
 * An unclosed bracket matches a literal "[". */
static bool bracket_matches(const char **glob, char c)
{
	const char *g = *glob;
	bool negated = *g == '!' || *g == '^';
	if (negated)
		g++;
	bool found = false;
	const char *first = g;
	while (*g && (*g != ']' || g == first)) {
		unsigned char low = (unsigned char)*g, high = low;
		if (g[1] == '-' && g[2] && g[2] != ']') {
			high = (unsigned char)g[2];
			g += 2;
		}
		if ((unsigned char)c >= low && (unsigned char)c <= high)
			found = true;
		g++;
	}
	if (*g != ']')
		return c == '[';
	*glob = g + 1;
	return found != negated && c != '/';
}

/* One step bound for the whole match, so that "***...": a hostile glob cannot take forever. */
static bool glob_matches(const char *path, const char *glob, unsigned *steps)
{
	while (*glob) {
		if ((*steps)++ > 200000)
			return false;
		if (glob[0] == '*' && glob[1] == '*') {
			glob += 2;
			if (*glob == '/' && glob_matches(path, glob + 1, steps))
				return true;
			for (const char *p = path;; p++) {
				if (glob_matches(p, glob, steps))
					return true;
				if (!*p)
					return false;
			}
		}
		if (*glob == '*') {
			glob++;
			for (const char *p = path;; p++) {
				if (glob_matches(p, glob, steps))
					return true;
				if (!*p || *p == '/')
					return false;
			}
		}
		if (!*path)
			return false;
		if (*glob == '?') {
			if (*path == '/')
				return false;
			glob++;
		} else if (*glob == '[') {
			glob++;
			if (!bracket_matches(&glob, *path))
				return false;
		} else {
			if (*glob == '\\' && glob[1])
				glob++;
			if (*glob++ != *path)
				return false;
		}
		path++;
	}
	return !*path;
}

bool path_matches_glob(const char *path, const char *glob)
{
	unsigned steps = 0;
	return glob_matches(path, glob, &steps);
}
