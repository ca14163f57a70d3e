#include "base/attributes.h"

#include "base/cleanup.h"

#include <limits.h>
#include <stdbool.h>
#include <string.h>
#include <sys/xattr.h>

static bool is_systems(const char *name)
{
	return strncmp(name, "security.", 9) == 0 || strncmp(name, "trusted.", 8) == 0;
}

int attributes_copy(int from, int to)
{
	char names[XATTR_LIST_MAX];
	ssize_t length = flistxattr(from, names, sizeof(names));
	if (length <= 0)
		return length == 0 || errno == ENOTSUP ? 0 : -errno;
	cleanup_free char *value = malloc(XATTR_SIZE_MAX);
	if (!value)
		return -ENOMEM;
	for (const char *name = names; name < names + length; name += strlen(name) + 1) {
		bool optional = strcmp(name, "security.capability") == 0;
		if (is_systems(name) && !optional)
			continue;
		ssize_t bytes = fgetxattr(from, name, value, XATTR_SIZE_MAX);
		if (bytes < 0 && errno == ENODATA)
			continue;
		if ((bytes < 0 || fsetxattr(to, name, value, (size_t)bytes, 0) < 0) && !optional)
			return -errno;
	}
	return 0;
}
