/* Theory of operation. Every file is read once (sources.c), parsed, and read by the table of keys
 * into a layer of its own, whose settings policy_set() has checked; then the layers are merged and
 * held against the requirements. Faults are gathered on the way, so that a person mends a file in
 * one go; a load with any fault gives no configuration, and whoever holds an older one keeps it. */
#include "config/config_internal.h"

#include "base/cleanup.h"
#include "base/limits.h"
#include "config/load.h"
#include "config/trust.h"

#include <stdarg.h>
#include <string.h>

enum { MOST_PROBLEMS = 256 };

static void put_place(
	char *to, size_t room_bytes, const struct config_place *place, const char *message)
{
	if (place && place->file && place->column)
		snprintf(to, room_bytes, "%.400s:%u:%u: %s", place->file, place->line,
			place->column, message);
	else if (place && place->file)
		snprintf(to, room_bytes, "%.400s: %s", place->file, message);
	else
		snprintf(to, room_bytes, "%s", message);
}

static void record(struct loading *loading, int errno_value, const char *message, const char *hint)
{
	if (loading->result == 0) {
		loading->result = -errno_value;
		error_set(loading->error, errno_value, "config", "%s", message);
		if (hint && *hint)
			error_hint(loading->error, "%s", hint);
	}
	if (!loading->problems || loading->problems->count >= MOST_PROBLEMS)
		return;
	char *line = NULL;
	if (asprintf(&line, "%s%s%s%s", message, hint && *hint ? " (" : "",
		    hint && *hint ? hint : "", hint && *hint ? ")" : "") >= 0)
		strv_add_owned(loading->problems, line);
}

void loading_fault(struct loading *loading, const struct config_place *place, const char *hint,
	const char *format, ...)
{
	char message[640], whole[1024];
	va_list args;
	va_start(args, format);
	vsnprintf(message, sizeof(message), format, args);
	va_end(args);
	put_place(whole, sizeof(whole), place, message);
	record(loading, EINVAL, whole, hint);
}

void loading_error(struct loading *loading, const struct config_place *place, struct error *error)
{
	/* A message of policy_set() names a flag: here it is a key. */
	bool flag = place && strncmp(error->message, "--", 2) == 0;
	char whole[sizeof(error->message)];
	put_place(whole, sizeof(whole), place, error->message + (flag ? 2 : 0));
	record(loading, error->errno_value ? error->errno_value : EINVAL, whole, error->hint);
}

void loading_out_of_memory(struct loading *loading)
{
	record(loading, ENOMEM, "out of memory while reading the configuration", NULL);
}

void loading_notice(
	struct loading *loading, const struct config_place *place, const char *format, ...)
{
	char message[640], whole[1024];
	va_list args;
	va_start(args, format);
	vsnprintf(message, sizeof(message), format, args);
	va_end(args);
	put_place(whole, sizeof(whole), place, message);
	if (strv_add(&loading->config->notices, whole) < 0)
		loading_out_of_memory(loading);
}

/* The path, owned by the configuration, for places to point to. */
static const char *keep_text(struct loading *loading, const char *path)
{
	struct config_text *text = calloc(1, sizeof(*text));
	char *copy = text ? strdup(path) : NULL;
	if (!copy || strv_add(&loading->config->files, path) < 0) {
		free(copy);
		free(text);
		loading_out_of_memory(loading);
		return NULL;
	}
	text->path = copy;
	text->next = loading->config->texts;
	loading->config->texts = text;
	return copy;
}

static bool is_trusted(struct loading *loading, const struct config_source *source)
{
	char hash[SHA256_HEX_BYTES];
	sha256_hex(source->data, source->length_bytes, hash);
	if (trust_holds(loading->where->state_dir, TRUST_PROJECT, source->path, hash))
		return true;
	struct config_place place = {.file = source->path};
	loading_notice(loading, &place,
		"the project's configuration is not trusted as it is now and not used; `coffer "
		"trust` shows what it says");
	return false;
}

static void read_layer(
	struct loading *loading, const struct config_source *source, struct layer *layer)
{
	layer->layer = source->layer;
	layer->file = keep_text(loading, source->path);
	if (!layer->file)
		return;
	struct toml_value *document;
	struct error error = {0};
	if (policy_new(&layer->policy) < 0) {
		layer->policy = NULL;
		loading_out_of_memory(loading);
		return;
	}
	if (toml_parse(source->path, source->data, source->length_bytes, &document, &error) < 0) {
		loading_error(loading, NULL, &error);
		return;
	}
	schema_read(loading, layer, document);
	toml_free(document);
}

static void layer_release(struct layer *layer)
{
	for (size_t i = 0; i < layer->settings_count; i++)
		config_setting_release(&layer->settings[i].setting);
	free(layer->settings);
	policy_free(layer->policy);
}

static void load_layers(
	struct loading *loading, struct config_source sources[CONFIG_SOURCES], bool trust_project)
{
	struct layer layers[CONFIG_SOURCES] = {0};
	size_t count = 0;
	for (size_t i = 0; i < CONFIG_SOURCES; i++) {
		struct config_source *source = &sources[i];
		if (!source->data || (source->layer == LAYER_PROJECT && !trust_project &&
					     !is_trusted(loading, source)))
			continue;
		struct layer *layer = &layers[count];
		read_layer(loading, source, layer);
		if (source->layer == LAYER_REQUIREMENTS) {
			require_take(loading, layer);
			layer_release(layer);
			*layer = (struct layer){0};
		} else {
			count++;
		}
	}
	merge_layers(loading, layers, count);
	if (loading->result == 0)
		require_check(loading);
	for (size_t i = 0; i < count; i++)
		layer_release(&layers[i]);
}

int config_load_sources(const struct config_where *where,
	struct config_source sources[CONFIG_SOURCES], bool trust_project, struct config **ret,
	struct strv *problems, struct error *error)
{
	struct error ignored = {0};
	struct loading loading = {
		.where = where, .problems = problems, .error = error ? error : &ignored};
	loading.config = calloc(1, sizeof(*loading.config));
	if (!loading.config)
		return error_set_errno(error, ENOMEM, "config", "the configuration");
	load_layers(&loading, sources, trust_project);
	if (loading.result < 0) {
		config_free(loading.config);
		return loading.result;
	}
	*ret = loading.config;
	return 0;
}

int config_load(const struct config_where *where, struct config **ret, struct strv *problems,
	struct error *error)
{
	struct config_source sources[CONFIG_SOURCES];
	struct error fault = {0};
	int r = config_sources_read(where, sources, &fault);
	if (r < 0) {
		struct loading loading = {.problems = problems, .error = error ? error : &fault};
		loading_error(&loading, NULL, &fault);
		return r;
	}
	r = config_load_sources(where, sources, false, ret, problems, error);
	config_sources_release(sources);
	return r;
}

static void settings_release(struct config_setting *settings, size_t count)
{
	for (size_t i = 0; i < count; i++)
		config_setting_release(&settings[i]);
	free(settings);
}

static void requirements_release(struct requirements *requirements)
{
	strv_release(&requirements->modes);
	strv_release(&requirements->approvals);
	strv_release(&requirements->reviewers);
	strv_release(&requirements->isolations);
	if (requirements->network)
		network_policy_release(requirements->network);
	free(requirements->network);
	settings_release(requirements->network_settings, requirements->network_settings_count);
	settings_release(requirements->settings, requirements->settings_count);
}

void config_free(struct config *config)
{
	if (!config)
		return;
	settings_release(config->settings, config->settings_count);
	strv_release(&config->reviewer.command);
	strv_release(&config->reviewer.network);
	free(config->reviewer.url);
	free(config->reviewer.model);
	free(config->reviewer.key_variable);
	for (size_t i = 0; i < config->rules_count; i++)
		config_rule_release(&config->rules[i]);
	free(config->rules);
	for (size_t i = 0; i < config->hooks_count; i++)
		config_hook_release(&config->hooks[i]);
	free(config->hooks);
	requirements_release(&config->requirements);
	strv_release(&config->notices);
	strv_release(&config->files);
	while (config->texts) {
		struct config_text *next = config->texts->next;
		free(config->texts->path);
		free(config->texts);
		config->texts = next;
	}
	free(config);
}
