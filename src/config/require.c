/* requirements.toml: what is kept of it, and what the other files say against it. */
#include "config/config_internal.h"

#include "base/cleanup.h"
#include "config/bounds.h"
#include "config/compile.h"

#include <string.h>

/* Keys of [network] that open something: together they are the widest network. The others deny, and
 * are added to every policy. */
static const char *const opening_keys[] = {"net", "allow-domain", "monitor-domain", "ask-domain",
	"allow-cidr", "net-preset", "allow-udp", "publish"};

static bool opens(const char *key)
{
	for (size_t i = 0; i < ARRAY_SIZE(opening_keys); i++)
		if (strcmp(opening_keys[i], key) == 0)
			return true;
	return false;
}

static bool take(struct loading *loading, struct config_setting *setting,
	struct config_setting **list, size_t *count)
{
	struct config_setting *grown = reallocarray(*list, *count + 1, sizeof(*grown));
	if (!grown) {
		loading_out_of_memory(loading);
		return false;
	}
	*list = grown;
	grown[(*count)++] = *setting;
	*setting = (struct config_setting){0};
	return true;
}

static void take_network(struct loading *loading)
{
	struct requirements *requirements = &loading->config->requirements;
	requirements->network = malloc(sizeof(*requirements->network));
	if (!requirements->network) {
		loading_out_of_memory(loading);
		return;
	}
	network_policy_init(requirements->network);
	for (size_t i = 0; i < requirements->network_settings_count; i++) {
		const struct config_setting *setting = &requirements->network_settings[i];
		struct error error = {0};
		if (network_set(requirements->network, setting->key, setting->value,
			    setting->place.file, &error) < 0)
			loading_error(loading, &setting->place, &error);
	}
	struct error error = {0};
	if (network_validate(requirements->network, &error) < 0)
		loading_error(loading, &requirements->network_at, &error);
}

void require_take(struct loading *loading, struct layer *layer)
{
	struct requirements *requirements = &loading->config->requirements;
	requirements->present = true;
	for (size_t i = 0; i < layer->settings_count; i++) {
		struct config_setting *setting = &layer->settings[i].setting;
		if (layer->settings[i].off) {
			loading_fault(loading, &setting->place, "drop the line",
				"%s = false requires nothing", setting->key);
			continue;
		}
		bool bound = opens(setting->key);
		if (bound && !requirements->network_bounded) {
			requirements->network_bounded = true;
			requirements->network_at = setting->place;
		}
		if (!take(loading, setting,
			    bound ? &requirements->network_settings : &requirements->settings,
			    bound ? &requirements->network_settings_count
				  : &requirements->settings_count))
			return;
	}
	if (requirements->network_bounded)
		take_network(loading);
}

static void check_settings(struct loading *loading, const struct compiled_config *bounds)
{
	const struct config *config = loading->config;
	for (size_t i = 0; i < config->settings_count; i++) {
		const struct config_setting *setting = &config->settings[i];
		struct error error = {0};
		if (bounds_check_setting(bounds, setting->key, setting->value, &error) < 0)
			loading_error(loading, &setting->place, &error);
	}
}

static void check_approval(struct loading *loading, const struct compiled_config *bounds)
{
	struct config *config = loading->config;
	struct error error = {0};
	bool allowed = bounds_check_approval(bounds, &config->approval, &error) == 0;
	if (config->approval.set && !allowed)
		loading_error(loading, &config->approval_place, &error);
	if (config->approval.set || bounds->approvals.count == 0)
		return;
	/* Nobody chose: the usual choice, or another if it is not allowed. It is set then: that
	 * somebody typed a command is no answer where the machine wants a question. */
	const char *choice =
		allowed ? approval_policy_name(APPROVAL_ON_REQUEST) : bounds->approvals.items[0];
	if (approval_parse(choice, &config->approval, &error) == 0)
		config->approval_place = config->requirements.approvals_at;
}

static void check_reviewer(struct loading *loading)
{
	const struct config *config = loading->config;
	const struct requirements *requirements = &config->requirements;
	const char *kind = reviewer_kind_name(config->reviewer.kind);
	if (requirements->reviewers.count == 0 || strv_contains(&requirements->reviewers, kind))
		return;
	const struct config_place *place = &config->reviewer.place;
	char hint[512];
	snprintf(hint, sizeof(hint), "%.300s:%u says which are", requirements->reviewers_at.file,
		requirements->reviewers_at.line);
	loading_fault(loading, place->file ? place : &requirements->reviewers_at, hint,
		"the reviewer '%s' is not allowed here", kind);
}

static void check_rules(struct loading *loading)
{
	const struct config *config = loading->config;
	for (size_t i = 0; i < config->rules_count; i++) {
		const struct config_rule *rule = &config->rules[i];
		bool managed = rule->place.layer == LAYER_SYSTEM ||
			       rule->place.layer == LAYER_REQUIREMENTS;
		char hint[512];
		snprintf(hint, sizeof(hint), "managed_rules_only in %.300s leaves that to /etc",
			loading->where->system_dir ? loading->where->system_dir : "");
		if (!managed && rule->decision == VERDICT_ALLOW)
			loading_fault(loading, &rule->place, hint,
				"a rule that allows is not allowed here");
	}
}

static void drop_hooks(struct loading *loading)
{
	struct config *config = loading->config;
	size_t kept = 0;
	for (size_t i = 0; i < config->hooks_count; i++) {
		struct config_hook *hook = &config->hooks[i];
		if (hook->managed) {
			config->hooks[kept++] = *hook;
			continue;
		}
		loading_notice(loading, &hook->place,
			"the hook is left out: only managed ones are allowed here");
		config_hook_release(hook);
	}
	config->hooks_count = kept;
}

void require_check(struct loading *loading)
{
	struct compiled_config *bounds;
	const struct requirements *requirements = &loading->config->requirements;
	if (!requirements->present)
		return;
	if (compile_config(loading->config, &bounds) < 0) {
		loading_out_of_memory(loading);
		return;
	}
	check_settings(loading, bounds);
	check_approval(loading, bounds);
	check_reviewer(loading);
	if (requirements->managed_rules_only)
		check_rules(loading);
	if (requirements->managed_hooks_only)
		drop_hooks(loading);
	compiled_config_free(bounds);
}
