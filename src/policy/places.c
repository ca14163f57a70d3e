#include "policy/places.h"

#include "base/cleanup.h"
#include "base/limits.h"
#include "base/path.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

static const char stage[] = "policy";

int places_split(const char *pair, char **ret_left, char **ret_right)
{
	const char *split = NULL;
	for (const char *s = pair; (s = strstr(s, "=/")); s++)
		split = s;
	*ret_left = split ? strndup(pair, (size_t)(split - pair)) : strdup(pair);
	*ret_right = split ? strdup(split + 1) : NULL;
	if (*ret_left && (!split || *ret_right))
		return 0;
	free(*ret_left);
	free(*ret_right);
	*ret_left = *ret_right = NULL;
	return -ENOMEM;
}

static bool is_clean(const char *path)
{
	cleanup_free char *clean = path[0] == '/' ? path_absolute("/", path) : NULL;
	return clean && strcmp(clean, path) == 0;
}

static int check_root(const char *value, struct error *error)
{
	cleanup_free char *inside = NULL, *base = NULL;
	if (places_split(value, &inside, &base) < 0)
		return error_set_errno(error, ENOMEM, stage, "layer-root");
	static const char *const allowed[] = {PLACES_WORKSPACE, "/home/agent"};
	for (size_t i = 0; i < ARRAY_SIZE(allowed); i++)
		if (strcmp(inside, allowed[i]) == 0 && (!base || is_clean(base)))
			return 0;
	return error_set(error, EINVAL, stage, "layer-root: '%.200s' is no root of a box", value);
}

static int check_view(const char *value, struct error *error)
{
	cleanup_free char *from = NULL, *inside = NULL;
	if (places_split(value, &from, &inside) < 0)
		return error_set_errno(error, ENOMEM, stage, "view");
	if (inside && is_clean(from) && is_clean(inside) &&
		((path_is_below(inside, "/run/coffer") && strcmp(inside, "/run/coffer") != 0) ||
			path_is_below(inside, "/source")))
		return 0;
	return error_set(error, EINVAL, stage,
		"view: '%.200s' is not PATH=INSIDE, with INSIDE below /run/coffer or /source",
		value);
}

static int check_secret_file(const char *value, struct error *error)
{
	size_t length = strcspn(value, "=/");
	if (value[length] == '=' && length > 0 && length <= MAX_NAME_BYTES && value[0] != '.')
		return 0;
	return error_set(error, EINVAL, stage, "secret-file: that is not NAME=VALUE");
}

int places_set(
	struct policy_places *places, const char *key, const char *value, struct error *error)
{
	const struct {
		const char *key;
		struct strv *list;
		int (*check)(const char *value, struct error *error);
	} lists[] = {
		{"layer-root", &places->roots, check_root},
		{"view", &places->views, check_view},
		{"secret-file", &places->secret_files, check_secret_file},
	};
	if (strcmp(key, "layer-dir") == 0 && value && *value) {
		char *copy = strdup(value);
		if (!copy)
			return error_set_errno(error, ENOMEM, stage, "layer-dir");
		free(places->layer);
		places->layer = copy;
		return 0;
	}
	for (size_t i = 0; value && i < ARRAY_SIZE(lists); i++) {
		if (strcmp(key, lists[i].key) != 0)
			continue;
		if (lists[i].list->count >= MAX_POLICY_PLACES)
			return error_set(error, E2BIG, stage, "%s is given more than %d times", key,
				MAX_POLICY_PLACES);
		int r = lists[i].check(value, error);
		if (r < 0)
			return r;
		return strv_add(lists[i].list, value) < 0
			       ? error_set_errno(error, ENOMEM, stage, "%s", key)
			       : 0;
	}
	return -ENOKEY;
}

void places_release(struct policy_places *places)
{
	free(places->layer);
	strv_release(&places->roots);
	strv_release(&places->views);
	for (size_t i = 0; i < places->secret_files.count; i++)
		explicit_bzero(
			places->secret_files.items[i], strlen(places->secret_files.items[i]));
	strv_release(&places->secret_files);
	places->layer = NULL;
}
