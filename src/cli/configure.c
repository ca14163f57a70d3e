#include "cli/configure.h"

#include "base/cleanup.h"
#include "config/bounds.h"
#include "library/library.h"
#include "policy/policy.h"

#include <limits.h>
#include <string.h>

static int complain(const struct error *error)
{
	struct coffer_error public;
	library_copy_error(&public, error);
	/* A configuration's message begins with its place; the stage would only stand in the
	 * way. */
	if (strcmp(public.stage, "config") == 0)
		snprintf(public.stage, sizeof(public.stage), "policy");
	cli_complain(&public);
	return -1;
}

/* Where the command will run: what cannot be found is left to the planner to say. */
static bool find_directory(const struct cli_options *options, char ret[PATH_MAX])
{
	const char *directory = options->policy->policy->directory;
	return directory ? realpath(directory, ret) != NULL : getcwd(ret, PATH_MAX) != NULL;
}

/* A rule is told to people by where it was written. */
static int set_from(struct coffer_policy *policy, const char *key, const char *value,
	const char *place, struct coffer_error *error)
{
	struct error fault = {0};
	int r = policy_set_from(policy->policy, key, value, place, &fault);
	cleanup_free char *setting = NULL;
	if (r == 0 && asprintf(&setting, "%s%s%s", key, value ? "=" : "", value ? value : "") < 0)
		setting = NULL;
	if (r == 0 && (!setting || strv_add(&policy->settings, setting) < 0))
		r = error_set_errno(&fault, ENOMEM, "policy", "--%s", key);
	library_copy_error(error, &fault);
	return r;
}

/* A policy of settings alone, in their order. */
static int make_policy(const struct compiled_config *config, const struct strv *settings,
	struct coffer_policy **ret)
{
	struct coffer_policy *policy = coffer_policy_new();
	struct coffer_error error = {0};
	if (!policy) {
		cli_complain_text("out of memory");
		return -1;
	}
	for (size_t i = 0; i < settings->count; i++) {
		const char *setting = settings->items[i];
		size_t key_bytes = strcspn(setting, "=");
		char key[64];
		snprintf(key, sizeof(key), "%.*s", (int)(key_bytes < 63 ? key_bytes : 63), setting);
		const char *value = setting[key_bytes] ? setting + key_bytes + 1 : NULL;
		const char *place = compiled_config_place(config, setting);
		int r = place ? set_from(policy, key, value, place, &error)
			      : coffer_policy_set(policy, key, value, &error);
		if (r < 0) {
			cli_complain(&error);
			coffer_policy_free(policy);
			return -1;
		}
	}
	*ret = policy;
	return 0;
}

static void say_all(const struct strv *notices)
{
	for (size_t i = 0; i < notices->count; i++)
		cli_say(notices->items[i]);
}

static int apply(struct cli_options *options, const struct compiled_config *config)
{
	cleanup_strv struct strv settings = {0}, notices = {0};
	struct error error = {0};
	if (compiled_config_settings(config, strv_items(&options->policy->settings), &settings,
		    &notices, &error) < 0)
		return complain(&error);
	struct coffer_policy *policy;
	if (make_policy(config, &settings, &policy) < 0)
		return -1;
	coffer_policy_free(options->policy);
	options->policy = policy;
	if (!options->quiet) {
		say_all(&config->notices);
		say_all(&notices);
	}
	return 0;
}

/* A flag's policy stands above a file's, and both within what is required. */
static int apply_approval(struct cli_options *options)
{
	const struct compiled_config *config = options->config;
	if (!options->approval.set && config->approval.set) {
		options->approval = config->approval;
		options->approval_text = approval_text(&config->approval);
		if (!options->approval_text) {
			cli_complain_text("out of memory");
			return -1;
		}
	}
	struct error error = {0};
	return bounds_check_approval(config, &options->approval, &error) < 0 ? complain(&error) : 0;
}

int cli_configure(struct cli_options *options)
{
	char directory[PATH_MAX];
	struct error error = {0};
	if (!find_directory(options, directory))
		return 0;
	if (compiled_config_open(directory, &options->config, &error) < 0)
		return complain(&error);
	if (!options->config)
		return 0;
	return apply(options, options->config) < 0 ? -1 : apply_approval(options);
}

/* What nobody may widen holds for what was granted too. */
int cli_configure_permits(const struct cli_options *options)
{
	struct error error = {0};
	if (!options->config ||
		bounds_check_policy(options->config, options->policy->policy, &error) == 0)
		return 0;
	return complain(&error);
}
