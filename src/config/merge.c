/* Theory of operation. Each layer's settings were checked by themselves. Here they come into one
 * list, in order: of a key that is not repeated the last layer's word stays; a project's settings
 * come last, and only as far as they narrow. What stands back behind later words stays in the list,
 * since flags come later still (yields.c). What even so contradicts is a fault that names both
 * places. */
#include "config/config_internal.h"

#include "base/cleanup.h"
#include "config/bounds.h"

#include <string.h>

/* Pairs that contradict are looked for by leaving out one setting after the other. */
enum { MOST_TRIALS = 256 };

void config_setting_release(struct config_setting *setting)
{
	free(setting->key);
	free(setting->value);
	*setting = (struct config_setting){0};
}

static void remove_setting(struct config *config, size_t index)
{
	config_setting_release(&config->settings[index]);
	config->settings_count--;
	memmove(&config->settings[index], &config->settings[index + 1],
		(config->settings_count - index) * sizeof(config->settings[0]));
}

/* Whether a later word takes an earlier one's place. What net-limit has in one word may be a
 * different part of it each time. */
static bool replaces(const struct config_setting *setting)
{
	const struct schema_key *key = schema_of_policy_key(setting->key);
	return key && !key->repeats && strcmp(setting->key, "net-limit") != 0;
}

/* The earlier word for the same thing: the same key, and of the limits the same one. */
static bool is_same(const struct config_setting *earlier, const struct config_setting *later)
{
	if (strcmp(earlier->key, later->key) != 0)
		return false;
	return strcmp(later->key, "limit") != 0 ||
	       strncmp(earlier->value, later->value, strcspn(later->value, "=") + 1) == 0;
}

static void append(struct loading *loading, struct layer_setting *added)
{
	struct config *config = loading->config;
	bool again = replaces(&added->setting);
	for (size_t i = config->settings_count; again && i-- > 0;)
		if (is_same(&config->settings[i], &added->setting))
			remove_setting(config, i);
	if (added->off)
		return;
	struct config_setting *settings =
		reallocarray(config->settings, config->settings_count + 1, sizeof(*settings));
	if (!settings) {
		loading_out_of_memory(loading);
		return;
	}
	config->settings = settings;
	settings[config->settings_count++] = added->setting;
	added->setting = (struct config_setting){0};
}

/* The first count merged settings but one as a policy, as a run without flags would have it. skip:
 * SIZE_MAX, none. */
static int make_policy(const struct config *config, size_t count, size_t skip, struct policy **ret,
	struct error *error)
{
	cleanup_free struct ranked_setting *ranked = calloc(count + 1, sizeof(*ranked));
	struct policy *policy = NULL;
	size_t used = 0;
	for (size_t i = 0; ranked && i < count; i++)
		if (i != skip)
			ranked[used++] = (struct ranked_setting){config->settings[i].key,
				config->settings[i].value, config->settings[i].place.layer, false};
	int r = ranked ? settings_yield(ranked, used, NULL, false) : -ENOMEM;
	if (r == 0)
		r = policy_new(&policy);
	if (r < 0)
		return error_set_errno(error, -r, "config", "the settings together");
	for (size_t i = 0; r == 0 && i < used; i++)
		if (!ranked[i].yields)
			r = policy_set(policy, ranked[i].key, ranked[i].value, error);
	if (r < 0)
		policy_free(policy);
	else
		*ret = policy;
	return r;
}

/* A project's file: as far as it narrows what the layers before came to. */
static void append_project(struct loading *loading, struct layer *layer)
{
	struct policy *base;
	struct error error = {0};
	int r = make_policy(
		loading->config, loading->config->settings_count, SIZE_MAX, &base, &error);
	if (r < 0) {
		loading_error(loading, NULL, &error);
		return;
	}
	for (size_t i = 0; i < layer->settings_count; i++) {
		struct layer_setting *setting = &layer->settings[i];
		const struct schema_key *key = schema_of_policy_key(setting->setting.key);
		enum narrowing narrowing = key ? key->narrowing : NARROW_NEVER;
		if (setting->off)
			loading_fault(loading, &setting->setting.place,
				"a project can only narrow: drop the line",
				"%s cannot be switched off by a project's word",
				setting->setting.key);
		else if (narrows(loading, base, &setting->setting, narrowing))
			append(loading, setting);
	}
	policy_free(base);
}

static int try_settings(const struct config *config, size_t count, size_t skip, struct error *error)
{
	struct policy *policy;
	struct error ignored = {0};
	int r = make_policy(config, count, skip, &policy, error ? error : &ignored);
	if (r < 0)
		return r;
	r = policy_validate(policy, error ? error : &ignored);
	policy_free(policy);
	return r;
}

/* The setting that completes a contradiction, and one that it contradicts. */
static void find_pair(const struct config *config, size_t *ret_later, size_t *ret_earlier)
{
	size_t later = 0;
	while (later + 1 < config->settings_count &&
		try_settings(config, later + 1, SIZE_MAX, NULL) == 0)
		later++;
	*ret_later = *ret_earlier = later;
	for (size_t i = 0; i < later; i++)
		if (try_settings(config, later + 1, i, NULL) == 0)
			*ret_earlier = i;
}

static void check_together(struct loading *loading)
{
	const struct config *config = loading->config;
	struct error error = {0};
	int r = try_settings(config, config->settings_count, SIZE_MAX, &error);
	if (r == 0)
		return;
	if (r != -EINVAL || config->settings_count > MOST_TRIALS) {
		loading_error(loading, NULL, &error);
		return;
	}
	size_t later, earlier;
	find_pair(config, &later, &earlier);
	const struct config_place *other = &config->settings[earlier].place;
	if (earlier != later) {
		size_t used = strlen(error.message);
		snprintf(error.message + used, sizeof(error.message) - used,
			" (the other is at %.200s:%u:%u)", other->file, other->line, other->column);
	}
	loading_error(loading, &config->settings[later].place, &error);
}

void merge_layers(struct loading *loading, struct layer layers[], size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (layers[i].layer == LAYER_PROJECT) {
			append_project(loading, &layers[i]);
			continue;
		}
		for (size_t k = 0; k < layers[i].settings_count; k++)
			append(loading, &layers[i].settings[k]);
	}
	if (loading->result == 0)
		check_together(loading);
}
