/* Theory of operation. What a script is made of is not only its own file: interpreters look for
 * modules where variables of the environment say, and `PYTHONPATH=src` of a developer's shell leads
 * into the workspace, where a box may have put a json.py. So, for a hook, places that a box could
 * write are taken out of every search path, and variables that make an interpreter load or do more
 * than it is told are taken away. */
#include "gate/hooks_internal.h"

#include "base/cleanup.h"
#include "base/limits.h"
#include "base/path.h"

#include <errno.h>
#include <string.h>

static const char *const search_paths[] = {"CLASSPATH", "GEM_PATH", "LD_LIBRARY_PATH", "LUA_CPATH",
	"LUA_PATH", "NODE_PATH", "PERL5LIB", "PERLLIB", "PYTHONPATH", "RUBYLIB"};

static const char *const taken_away[] = {"BASH_ENV", "BUNDLE_GEMFILE", "ENV", "LD_AUDIT",
	"LD_PRELOAD", "NODE_OPTIONS", "PERL5OPT", "PHPRC", "PHP_INI_SCAN_DIR", "PYTHONHOME",
	"PYTHONSTARTUP", "RUBYOPT"};

int hooks_clean_path(const char *path, const char *workspace, char **ret)
{
	cleanup_buffer struct buffer kept = BUFFER_INIT(MAX_POLICY_VALUE_BYTES);
	buffer_append(&kept, "", 0);
	while (*path) {
		size_t length = strcspn(path, ":");
		cleanup_free char *entry = strndup(path, length);
		if (!entry)
			return -ENOMEM;
		cleanup_free char *clean = entry[0] == '/' ? path_absolute("/", entry) : NULL;
		if (clean && !path_is_below(clean, workspace))
			buffer_append_format(&kept, "%s%s", kept.length_bytes ? ":" : "", clean);
		path += length + (path[length] == ':');
	}
	int r = buffer_error(&kept);
	*ret = r == 0 ? buffer_steal(&kept) : NULL;
	return r == 0 && !*ret ? -ENOMEM : r;
}

static int add_clean(const char *name, const char *value, char *const directories[],
	const char *otherwise, struct strv *ret)
{
	cleanup_free char *clean = NULL;
	int r = hooks_clean_path(value, directories[0], &clean);
	for (size_t i = 1; r == 0 && directories[i]; i++) {
		cleanup_free char *before = steal_pointer(&clean);
		r = hooks_clean_path(before, directories[i], &clean);
	}
	char *assignment = NULL;
	if (r < 0)
		return r;
	if (asprintf(&assignment, "%s=%s", name, *clean ? clean : otherwise) < 0)
		assignment = NULL;
	return strv_add_owned(ret, assignment);
}

int hooks_clean_assignments(char *const directories[], struct strv *ret)
{
	static const char path[] = "/usr/local/bin:/usr/bin:/bin";
	const char *value = getenv("PATH");
	int r = add_clean("PATH", value ? value : path, directories, path, ret);
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(search_paths); i++)
		if ((value = getenv(search_paths[i])))
			r = add_clean(search_paths[i], value, directories, "", ret);
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(taken_away); i++)
		if (getenv(taken_away[i]))
			r = add_clean(taken_away[i], "", directories, "", ret);
	return r;
}

int hooks_clean_environment(const char *workspace)
{
	for (size_t i = 0; i < ARRAY_SIZE(taken_away); i++)
		unsetenv(taken_away[i]);
	for (size_t i = 0; i < ARRAY_SIZE(search_paths); i++) {
		const char *value = getenv(search_paths[i]);
		cleanup_free char *clean = NULL;
		int r = value ? hooks_clean_path(value, workspace, &clean) : 0;
		if (r < 0)
			return r;
		if (clean && *clean ? setenv(search_paths[i], clean, 1) < 0
				    : unsetenv(search_paths[i]) < 0)
			return -errno;
	}
	return 0;
}
