#include "base/sibling.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int sibling_path(const char *name, const char *stage, char ret_path[PATH_MAX], struct error *error)
{
	ssize_t n = readlink("/proc/self/exe", ret_path, PATH_MAX - 1);
	if (n < 0)
		return error_set_errno(error, errno, stage, "/proc/self/exe");
	ret_path[n] = '\0';
	char *slash = strrchr(ret_path, '/');
	size_t room_bytes = slash ? (size_t)(ret_path + PATH_MAX - (slash + 1)) : 0;
	if (!slash || snprintf(slash + 1, room_bytes, "%s", name) >= (int)room_bytes)
		return error_set(error, ENAMETOOLONG, stage, "the path of %s", name);
	return 0;
}

int sibling_find(const char *name, const char *stage, char ret_path[PATH_MAX], struct error *error)
{
	int r = sibling_path(name, stage, ret_path, error);
	if (r < 0)
		return r;
	if (access(ret_path, X_OK) == 0)
		return 0;
	error_set_errno(error, errno, stage, "%s", ret_path);
	return error_hint(error, "%s is installed beside coffer: install both", name);
}
