/* Variables that make programs start others, load code, or be other programs than their names
 * say. */
#include "gate/shell.h"

#include "base/cleanup.h"

#include <stdlib.h>
#include <string.h>

static const char path[] = "it sets where programs are looked for";
static const char loader[] = "it sets what code every program loads";
static const char shell[] = "it sets what a shell runs by itself";
static const char helper[] = "it names a program that this one may start";
static const char code[] = "it sets what code an interpreter loads";

/* Sorted. A name that ends in * stands for all that begin so. */
static const struct {
	const char *name, *why;
} variables[] = {
	{"BASHOPTS", shell},
	{"BASH_ALIASES", shell},
	{"BASH_CMDS", path},
	{"BASH_COMPAT", shell},
	{"BASH_ENV", shell},
	{"BASH_FUNC_*", shell},
	{"BASH_LOADABLES_PATH", shell},
	{"BASH_XTRACEFD", shell},
	{"BROWSER", helper},
	{"BUNDLE_GEMFILE", code},
	{"CARGO_*", helper},
	{"CC", helper},
	{"CDPATH", path},
	{"CFLAGS", helper},
	{"CLASSPATH", code},
	{"COMPOSER_*", code},
	{"COREPACK_*", code},
	{"CXX", helper},
	{"DOCKER_*", helper},
	{"DOTNET_*", code},
	{"DYLD_*", loader},
	{"EDITOR", helper},
	{"ENV", shell},
	{"EXECIGNORE", path},
	{"FCEDIT", helper},
	{"FPATH", shell},
	{"GCONV_PATH", loader},
	{"GEM_HOME", code},
	{"GEM_PATH", code},
	{"GIT_*", helper},
	{"GLIBC_TUNABLES", loader},
	{"GOFLAGS", helper},
	{"HOME", helper},
	{"INPUTRC", shell},
	{"JAVA_TOOL_OPTIONS", code},
	{"JDK_JAVA_OPTIONS", code},
	{"LD", helper},
	{"LDFLAGS", helper},
	{"LD_*", loader},
	{"LESS", helper},
	{"LESSCLOSE", helper},
	{"LESSOPEN", helper},
	{"LOCPATH", loader},
	{"LUA_*", code},
	{"MAKE", helper},
	{"MAKEFILES", helper},
	{"MAKEFLAGS", helper},
	{"MANOPT", helper},
	{"MANPAGER", helper},
	{"MORE", helper},
	{"NLSPATH", loader},
	{"NODE_OPTIONS", code},
	{"NODE_PATH", code},
	{"NPM_CONFIG_*", helper},
	{"PAGER", helper},
	{"PATH", path},
	{"PERL*", code},
	{"PHPRC", code},
	{"PHP_INI_SCAN_DIR", code},
	{"PIP_*", helper},
	{"POSIXLY_CORRECT", shell},
	{"PROMPT_COMMAND", shell},
	{"PS0", shell},
	{"PS1", shell},
	{"PS2", shell},
	{"PS4", shell},
	{"PYTEST_*", code},
	{"PYTHON*", code},
	{"RIPGREP_CONFIG_PATH", helper},
	{"RSYNC_*", helper},
	{"RUBYLIB", code},
	{"RUBYOPT", code},
	{"RUSTC_*", helper},
	{"RUSTFLAGS", helper},
	{"SHELL", helper},
	{"SHELLOPTS", shell},
	{"SSH_ASKPASS", helper},
	{"SSH_ASKPASS_REQUIRE", helper},
	{"SUDO_ASKPASS", helper},
	{"SUDO_EDITOR", helper},
	{"SYSTEMD_EDITOR", helper},
	{"SYSTEMD_PAGER", helper},
	{"TAR_OPTIONS", helper},
	{"VIMINIT", helper},
	{"VISUAL", helper},
	{"XDG_CONFIG_DIRS", helper},
	{"XDG_CONFIG_HOME", helper},
	{"ZDOTDIR", shell},
	{"_JAVA_OPTIONS", code},
	{"npm_config_*", helper},
};

struct key {
	const char *name;
	size_t length;
};

static int compare(const void *a, const void *b)
{
	const struct key *key = a;
	const char *entry = *(const char *const *)b;
	size_t n = strlen(entry);
	bool prefix = entry[n - 1] == '*';
	n -= prefix;
	int order = strncmp(key->name, entry, key->length < n ? key->length : n);
	if (order)
		return order;
	if (key->length < n)
		return -1;
	return key->length == n || prefix ? 0 : 1;
}

const char *variable_hazard(const char *name, size_t length_bytes)
{
	struct key key = {name, length_bytes};
	const void *found =
		bsearch(&key, variables, ARRAY_SIZE(variables), sizeof(variables[0]), compare);
	return found ? ((const char *const *)found)[1] : NULL;
}
