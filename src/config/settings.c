/* From the compiled configuration and the flags to what a box is made from. */
#include "config/bounds.h"
#include "config/compiled_internal.h"

#include "base/cleanup.h"
#include "base/path.h"
#include "policy/profile.h"

#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>

/* One setting taken apart: its key, and its value or NULL. */
struct split {
	char *key;
	const char *value;
};

static int split(const char *setting, struct split *ret)
{
	ret->key = strdup(setting);
	if (!ret->key)
		return -ENOMEM;
	char *equals = strchr(ret->key, '=');
	ret->value = equals ? equals + 1 : NULL;
	if (equals)
		*equals = '\0';
	return 0;
}

static int set(struct policy *policy, const char *setting, struct error *error)
{
	struct split one;
	if (split(setting, &one) < 0)
		return error_set_errno(error, ENOMEM, "config", "a setting");
	int r = policy_set(policy, one.key, one.value, error);
	free(one.key);
	return r;
}

static int add_all(struct policy *policy, char *const settings[], struct error *error)
{
	int r = 0;
	for (size_t i = 0; r == 0 && settings && settings[i]; i++)
		r = set(policy, settings[i], error);
	return r;
}

static int notice(struct strv *notices, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static int notice(struct strv *notices, const char *format, ...)
{
	if (!notices)
		return 0;
	char *text = NULL;
	va_list args;
	va_start(args, format);
	int length = vasprintf(&text, format, args);
	va_end(args);
	return length < 0 ? -ENOMEM : strv_add_owned(notices, text);
}

static bool is_missing(const char *path)
{
	struct stat st;
	return stat(path, &st) < 0 && (errno == ENOENT || errno == ENOTDIR);
}

/* Whether a file names a place that widens the box and is not there: a flag that did would be an
 * error; a file is for more days than this one. */
static bool names_nothing(const char *key, const char *value)
{
	static const char *const keys[] = {"write", "allow-read", "allow-unix", "device"};
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		if (strcmp(keys[i], key) == 0)
			return is_missing(value);
	return false;
}

/* Which of the files' settings stay, with sentences about those that do not. */
static int keep(const struct compiled_config *config, const struct ranked_setting settings[],
	bool full_access, struct strv *ret, struct strv *notices)
{
	size_t left_out = 0;
	for (size_t i = 0; i < config->settings.count; i++) {
		const struct ranked_setting *setting = &settings[i];
		int r;
		left_out += setting->yields;
		if (setting->yields)
			continue;
		if (names_nothing(setting->key, setting->value))
			r = notice(notices, "%s: %s is not there: %s is left out",
				config->places.items[i], setting->value, setting->key);
		else
			r = strv_add(ret, config->settings.items[i]);
		if (r < 0)
			return r;
	}
	if (left_out == 0 || !full_access)
		return 0;
	return notice(notices,
		"danger-full-access: %zu setting%s of configuration files cannot be kept without a "
		"box",
		left_out, left_out == 1 ? "" : "s");
}

/* What is not there cannot be kept read-only: the box could make it. */
static int check_read_only(const struct compiled_config *config,
	const struct ranked_setting settings[], struct error *error)
{
	for (size_t i = 0; i < config->settings.count; i++) {
		const struct ranked_setting *setting = &settings[i];
		if (setting->yields || strcmp(setting->key, "read-only") != 0 ||
			!is_missing(setting->value))
			continue;
		error_set(error, ENOENT, "config", "%.300s: read_only: %.600s is not there",
			config->places.items[i], setting->value);
		return error_hint(error, "make it, or drop the entry");
	}
	return 0;
}

static int keep_of_files(const struct compiled_config *config, char *const flags[],
	const struct policy *of_flags, struct strv *ret, struct strv *notices, struct error *error)
{
	size_t count = config->settings.count;
	struct split *parts = calloc(count + 1, sizeof(*parts));
	struct ranked_setting *ranked = calloc(count + 1, sizeof(*ranked));
	int r = parts && ranked ? 0 : -ENOMEM;
	for (size_t i = 0; r == 0 && i < count; i++) {
		r = split(config->settings.items[i], &parts[i]);
		if (r == 0)
			ranked[i] = (struct ranked_setting){parts[i].key, parts[i].value,
				(enum config_layer)(config->layers.items[i][0] - '0'), false};
	}
	bool profile = false;
	for (size_t i = 0; flags && flags[i]; i++)
		profile = profile || strncmp(flags[i], "profile=", strlen("profile=")) == 0;
	if (r == 0)
		r = settings_yield(ranked, count, of_flags, profile);
	if (r == 0)
		r = keep(config, ranked, of_flags->mode == MODE_FULL_ACCESS, ret, notices);
	if (r < 0)
		error_set_errno(error, -r, "config", "the settings");
	else
		r = check_read_only(config, ranked, error);
	for (size_t i = 0; parts && i < count; i++)
		free(parts[i].key);
	free(parts);
	free(ranked);
	return r;
}

/* What files and flags come to, against what is required, and what that adds. */
static int require(const struct compiled_config *config, char *const flags[], struct strv *settings,
	struct error *error)
{
	struct policy *policy;
	int r = 0;
	for (size_t i = 0; r == 0 && flags && flags[i]; i++) {
		struct split one;
		if (split(flags[i], &one) < 0)
			return error_set_errno(error, ENOMEM, "config", "a flag");
		r = bounds_check_setting(config, one.key, one.value, error);
		free(one.key);
	}
	if (r < 0)
		return r;
	if (policy_new(&policy) < 0)
		return error_set_errno(error, ENOMEM, "config", "a policy");
	r = add_all(policy, strv_items(settings), error);
	if (r == 0)
		r = bounds_check_policy(config, policy, error);
	if (r == 0)
		r = bounds_settings(config, policy, settings, error);
	policy_free(policy);
	return r;
}

static bool requires_anything(const struct compiled_config *config)
{
	return config->required.count || config->modes.count || config->isolations.count ||
	       config->network_bounded;
}

int compiled_config_settings(const struct compiled_config *config, char *const flags[],
	struct strv *ret, struct strv *notices, struct error *error)
{
	struct policy *of_flags;
	if (policy_new(&of_flags) < 0)
		return error_set_errno(error, ENOMEM, "config", "a policy");
	int r = add_all(of_flags, flags, error);
	if (r < 0) {
		policy_free(of_flags);
		return r;
	}
	r = keep_of_files(config, flags, of_flags, ret, notices, error);
	policy_free(of_flags);
	if (r < 0)
		return r;
	for (size_t i = 0; r == 0 && flags && flags[i]; i++)
		r = strv_add(ret, flags[i]);
	if (r < 0)
		return error_set_errno(error, -r, "config", "the settings");
	return requires_anything(config) ? require(config, flags, ret, error) : 0;
}

const char *compiled_config_place(const struct compiled_config *config, const char *setting)
{
	for (size_t i = 0; i < config->settings.count; i++)
		if (strcmp(config->settings.items[i], setting) == 0)
			return config->places.items[i];
	for (size_t i = 0; i < config->required.count; i++)
		if (strcmp(config->required.items[i], setting) == 0)
			return config->required_places.items[i];
	return NULL;
}
