/* Values of a document as what they are taken for; what is something else is a fault with its place
 * and an example. */
#include "config/config_internal.h"

#include "base/cleanup.h"
#include "base/path.h"
#include "base/suggest.h"
#include "base/units.h"

#include <inttypes.h>
#include <string.h>

struct config_place layer_place(const struct layer *layer, const struct toml_value *value)
{
	return (struct config_place){.file = layer->file,
		.line = value->line,
		.column = value->column,
		.layer = layer->layer};
}

static void wrong_kind(struct loading *loading, const struct layer *layer,
	const struct toml_value *value, const char *wanted)
{
	struct config_place place = layer_place(layer, value);
	loading_fault(loading, &place, NULL, "%s%.64s%s%s is wanted here, not %s",
		value->key ? "'" : "", value->key ? value->key : "", value->key ? "': " : "",
		wanted, toml_kind_name(value->kind));
}

const char *value_string(
	struct loading *loading, const struct layer *layer, const struct toml_value *value)
{
	if (value->kind == TOML_STRING)
		return value->string;
	wrong_kind(loading, layer, value, "a string");
	return NULL;
}

bool value_boolean(struct loading *loading, const struct layer *layer,
	const struct toml_value *value, bool *ret)
{
	if (value->kind != TOML_BOOLEAN) {
		wrong_kind(loading, layer, value, "true or false");
		return false;
	}
	*ret = value->boolean;
	return true;
}

bool value_strings(struct loading *loading, const struct layer *layer,
	const struct toml_value *value, struct strv *ret)
{
	if (value->kind != TOML_ARRAY) {
		wrong_kind(loading, layer, value, "an array of strings");
		return false;
	}
	for (size_t i = 0; i < value->count; i++) {
		const char *string = value_string(loading, layer, &value->items[i]);
		if (!string)
			return false;
		if (strv_add(ret, string) < 0) {
			loading_out_of_memory(loading);
			return false;
		}
	}
	return true;
}

bool value_duration(struct loading *loading, const struct layer *layer,
	const struct toml_value *value, uint64_t *ret_ms)
{
	char text[32];
	const char *string = text;
	if (value->kind == TOML_INTEGER)
		snprintf(text, sizeof(text), "%" PRId64, value->integer);
	else
		string = value_string(loading, layer, value);
	if (!string)
		return false;
	if (units_parse_duration(string, ret_ms) == 0)
		return true;
	struct config_place place = layer_place(layer, value);
	loading_fault(loading, &place, "write for example \"30s\" or \"500ms\"",
		"'%.64s' is not a time", string);
	return false;
}

int value_word(struct loading *loading, const struct layer *layer, const struct toml_value *value,
	const char *const names[], size_t count)
{
	const char *string = value_string(loading, layer, value);
	if (!string)
		return -1;
	char known[512] = "";
	for (size_t i = 0; i < count; i++) {
		if (strcmp(names[i], string) == 0)
			return (int)i;
		size_t used = strlen(known);
		snprintf(known + used, sizeof(known) - used, "%s%s", i ? ", " : "", names[i]);
	}
	char hint[128] = "";
	const char *near = suggest_nearest(string, names, count, sizeof(names[0]));
	if (near)
		snprintf(hint, sizeof(hint), "did you mean '%s'?", near);
	struct config_place place = layer_place(layer, value);
	loading_fault(
		loading, &place, near ? hint : NULL, "'%.64s' is not one of: %s", string, known);
	return -1;
}

char *value_path(struct loading *loading, const struct layer *layer, const struct toml_value *value)
{
	const char *string = value_string(loading, layer, value);
	if (!string)
		return NULL;
	const char *home = loading->where->home;
	const char *base = NULL;
	bool below_home = string[0] == '~' && (string[1] == '/' || string[1] == '\0');
	struct config_place place = layer_place(layer, value);
	if (string[0] == '/')
		base = "/";
	else if (below_home)
		base = home;
	else if (layer->layer == LAYER_PROJECT)
		base = loading->where->workspace;
	if (!*string || !base) {
		loading_fault(loading, &place,
			below_home ? "HOME is not set: write the whole path"
				   : "begin it with / or ~/",
			"the path '%.200s' is relative, and there is nothing that it could be "
			"relative to",
			string);
		return NULL;
	}
	char *path = path_absolute(base, below_home ? string + 1 + (string[1] == '/') : string);
	if (path)
		return path;
	if (errno == ENOMEM)
		loading_out_of_memory(loading);
	else
		loading_fault(loading, &place, NULL, "the path is too long");
	return NULL;
}
