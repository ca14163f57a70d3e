/* Theory of operation. .gitmodules is the favourite way to make git write where it should not, or
 * start what it should not. So git's own commands for submodules are never used: the file is read as
 * a list of settings, which are matched with the commits that the tree records; a name becomes a
 * directory below .git/modules and a path one of the tree, and both are held to what can be nothing
 * else. */
#include "task/clone_internal.h"

#include "base/cleanup.h"
#include "base/limits.h"
#include "policy/names.h"
#include "task/git_box.h"

#include <string.h>

static const char stage[] = "submodules";

void clone_modules_release(struct clone_modules *modules)
{
	for (size_t i = 0; i < modules->count; i++) {
		free(modules->items[i].name);
		free(modules->items[i].path);
		free(modules->items[i].url);
	}
	free(modules->items);
	*modules = (struct clone_modules){0};
}

/* Relative, without ".", "..", empty components, and what any file system takes for .git. */
static bool is_sound_path(const char *path)
{
	if (path[0] == '\0' || path[0] == '-' || strlen(path) >= MAX_PATH_BYTES / 4)
		return false;
	for (const char *s = path; *s; s++)
		if ((unsigned char)*s < 0x20 || *s == 0x7f || *s == '\\')
			return false;
	cleanup_free char *copy = strdup(path);
	if (!copy)
		return false;
	char *rest = copy, *name;
	while ((name = strsep(&rest, "/"))) {
		const char *protected = names_protected(name);
		if (!*name || strcmp(name, ".") == 0 || strcmp(name, "..") == 0 ||
			strlen(name) > MAX_NAME_BYTES || (protected && !strcmp(protected, ".git")))
			return false;
	}
	return true;
}

static struct clone_module *find(struct clone_modules *modules, const char *name, size_t length)
{
	for (size_t i = 0; i < modules->count; i++)
		if (strncmp(modules->items[i].name, name, length) == 0 &&
			modules->items[i].name[length] == '\0')
			return &modules->items[i];
	if (modules->count >= MAX_SUBMODULES)
		return NULL;
	modules->items[modules->count] = (struct clone_module){.name = strndup(name, length)};
	return &modules->items[modules->count++];
}

/* "submodule.NAME.KEY\nVALUE": the last one counts, as in git. */
static int take_setting(struct clone_modules *modules, const char *record, struct error *error)
{
	const char *name = record + strlen("submodule."), *value = strchr(record, '\n');
	if (strncmp(record, "submodule.", strlen("submodule.")) != 0 || !value)
		return 0;
	const char *dot = memrchr(name, '.', (size_t)(value - name));
	if (!dot)
		return 0;
	bool path = strncmp(dot, ".path\n", 6) == 0, url = strncmp(dot, ".url\n", 5) == 0;
	if (!path && !url)
		return 0;
	struct clone_module *module = find(modules, name, (size_t)(dot - name));
	if (!module)
		return error_set(
			error, E2BIG, stage, "there are more than %d submodules", MAX_SUBMODULES);
	char **at = path ? &module->path : &module->url;
	free(*at);
	*at = strdup(value + 1);
	return module->name && *at ? 0 : error_set_errno(error, ENOMEM, stage, "a submodule");
}

/* "160000 COMMIT 0\tPATH" */
static void take_link(struct clone_modules *modules, const char *record)
{
	const char *tab = strchr(record, '\t');
	size_t length = strspn(record + 7, "0123456789abcdef");
	if (strncmp(record, "160000 ", 7) != 0 || !tab || (length != 40 && length != 64))
		return;
	for (size_t i = 0; i < modules->count; i++) {
		struct clone_module *module = &modules->items[i];
		if (module->path && strcmp(module->path, tab + 1) == 0)
			snprintf(module->commit, sizeof(module->commit), "%.*s", (int)length,
				record + 7);
	}
}

static int check(const struct clone_module *module, struct error *error)
{
	if (!is_sound_path(module->name))
		return error_set(error, EPERM, stage,
			"a submodule's name would be a place outside of .git/modules");
	if (is_sound_path(module->path))
		return 0;
	char name[128];
	git_box_harmless(module->name, strlen(module->name), name, sizeof(name));
	return error_set(error, EPERM, stage, "submodule %s: its path leads out of the tree", name);
}

int clone_modules_parse(const char *config, size_t config_bytes, const char *links,
	size_t links_bytes, struct clone_modules *ret, struct error *error)
{
	*ret = (struct clone_modules){.items = calloc(MAX_SUBMODULES, sizeof(*ret->items))};
	if (!ret->items)
		return error_set_errno(error, ENOMEM, stage, "the submodules");
	int r = 0;
	/* Both end with a NUL of their own behind the last byte. */
	for (size_t at = 0; r == 0 && at < config_bytes; at += strlen(config + at) + 1)
		r = take_setting(ret, config + at, error);
	for (size_t at = 0; r == 0 && at < links_bytes; at += strlen(links + at) + 1)
		if (strlen(links + at) > 7)
			take_link(ret, links + at);
	size_t kept = 0;
	for (size_t i = 0; r == 0 && i < ret->count; i++) {
		struct clone_module module = ret->items[i];
		ret->items[i] = (struct clone_module){0};
		if (module.commit[0] && module.url) {
			ret->items[kept++] = module;
			r = check(&module, error);
			continue;
		}
		free(module.name);
		free(module.path);
		free(module.url);
	}
	if (r == 0)
		ret->count = kept;
	return r;
}
