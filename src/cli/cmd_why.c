/* What the policy says of one path or host, by which rule, and what would allow it. */
#include "cli/command.h"
#include "cli/configure.h"

#include "base/cleanup.h"
#include "base/path.h"
#include "config/bounds.h"
#include "library/library.h"
#include "witness/judge.h"

#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static void help(void)
{
	printf("usage: coffer why PATH|HOST[:PORT] [OPTION]... [--json]\n"
	       "Says whether a box with these options could read, write or reach it, which rule "
	       "says so,\nand what would allow it. A name that is a file here is a path: write "
	       "./NAME or NAME:443\nwhere it could be either.\n\n");
	cli_help_policy();
}

static bool is_path(const char *target)
{
	struct stat st;
	return strchr(target, '/') || lstat(target, &st) == 0 || !strpbrk(target, ".:");
}

/* Where a path leads on the host; of what is not there, where it would be. */
static char *settle(const char *target)
{
	char *real = realpath(target, NULL);
	if (real)
		return real;
	cleanup_free char *here = getcwd(NULL, 0);
	cleanup_free char *clean = here ? path_absolute(here, target) : NULL;
	cleanup_free char *parent = clean ? path_parent(clean) : NULL;
	cleanup_free char *above = parent ? realpath(parent, NULL) : NULL;
	return above ? path_join(above, path_name(clean)) : steal_pointer(&clean);
}

/* The host's path as the box sees it, or NULL: nothing of it is in sight. */
static char *inside(const struct plan *plan, const char *path)
{
	const struct plan_place *best = NULL;
	for (size_t i = 0; i < plan->places_count; i++) {
		const struct plan_place *place = &plan->places[i];
		if (place->host && path_is_below(path, place->host) &&
			(!best || strlen(place->host) > strlen(best->host)))
			best = place;
	}
	if (!best || (best->access == PLACE_ABSENT && strcmp(best->path, "/") == 0))
		return plan->private_root ? NULL : strdup(path);
	const char *rest = path + (strcmp(best->host, "/") == 0 ? 0 : strlen(best->host));
	char *text = NULL;
	if (asprintf(&text, "%s%s", strcmp(best->path, "/") == 0 ? "" : best->path, rest) < 0)
		return NULL;
	return text;
}

/* Nor is what the file's own permissions refuse in any case. */
static bool may_write_at_all(const char *path)
{
	cleanup_free char *parent = path_parent(path);
	return access(path, W_OK) == 0 ||
	       (access(path, F_OK) < 0 && parent && access(parent, W_OK) == 0);
}

/* What nobody may widen is no advice. */
static void drop_forbidden(const struct cli_options *options, struct explanation *explanation)
{
	static const char mode[] = "--mode workspace-write";
	struct error error = {0};
	if (options->config && strncmp(explanation->allow_with, mode, strlen(mode)) == 0 &&
		bounds_check_setting(options->config, "mode", "workspace-write", &error) < 0)
		explanation->allow_with[0] = '\0';
}

static json_t *side_json(bool allowed, const struct explanation *explanation)
{
	return json_pack("{s:b, s:s, s:o}", "allowed", allowed, "rule", explanation->rule,
		"allow_with",
		!allowed && explanation->allow_with[0] ? json_string(explanation->allow_with)
						       : json_null());
}

static void print_side(const char *what, bool allowed, const struct explanation *explanation)
{
	printf("  %-5s %-3s  rule: %s\n", what, allowed ? "yes" : "no", explanation->rule);
	if (allowed)
		return;
	if (explanation->allow_with[0])
		printf("             allow with: %s\n", explanation->allow_with);
	else
		printf("             nothing allows it\n");
}

static int tell_path(const struct cli_options *options, const char *path, const char *seen,
	const struct opinion *opinion)
{
	if (!options->json) {
		printf("%s%s%s\n  %s (%s)\n", path, strcmp(path, seen) ? ", in the box " : "",
			strcmp(path, seen) ? seen : "", opinion->access, opinion->why);
		print_side("read", opinion->may_read, &opinion->read);
		print_side("write", opinion->may_write, &opinion->write);
		return fflush(stdout) == 0 ? 0 : EXIT_SETUP_FAILED;
	}
	json_t *root = json_pack("{s:s, s:s, s:s, s:s, s:o, s:o}", "path", path, "inside", seen,
		"access", opinion->access, "why", opinion->why, "read",
		side_json(opinion->may_read, &opinion->read), "write",
		side_json(opinion->may_write, &opinion->write));
	char *text = root ? json_dumps(root, JSON_INDENT(2)) : NULL;
	json_decref(root);
	return cli_print(text, true);
}

static int why_path(const struct cli_options *options, const char *target)
{
	struct coffer_plan *plan = NULL;
	struct coffer_error error;
	char *const nothing[] = {NULL};
	cleanup_free char *path = settle(target);
	if (!path || coffer_plan_new(options->policy, nothing, 0, &plan, &error) < 0) {
		if (path)
			cli_complain(&error);
		else
			cli_complain_text("%s: %s", target, strerrordesc_np(errno));
		return EXIT_SETUP_FAILED;
	}
	int code;
	if (plan->plan->tier == TIER_NONE) {
		printf("%s\n  there is no box in mode danger-full-access\n", path);
		code = 0;
	} else {
		cleanup_free char *seen = inside(plan->plan, path);
		struct opinion opinion;
		judge_place(plan->plan, seen ? seen : "/", &opinion);
		drop_forbidden(options, &opinion.read);
		drop_forbidden(options, &opinion.write);
		if (!may_write_at_all(path))
			opinion.write.allow_with[0] = '\0';
		code = tell_path(options, path, seen ? seen : path, &opinion);
	}
	coffer_plan_free(plan);
	return code;
}

/* --- hosts --- */

/* Whether one setting more would open it: tried on a copy. */
static bool opens(const struct cli_options *options, const char *key, const char *target)
{
	struct error fault = {0};
	if (options->config && bounds_check_setting(options->config, key, target, &fault) < 0)
		return false;
	struct coffer_policy *policy = coffer_policy_new();
	int r = policy ? 0 : -ENOMEM;
	const struct strv *settings = &options->policy->settings;
	for (size_t i = 0; r == 0 && i < settings->count; i++) {
		char name[64];
		const char *setting = settings->items[i];
		size_t length = strcspn(setting, "=");
		if (strcmp(setting, "net=off") == 0 || length >= sizeof(name))
			continue;
		snprintf(name, sizeof(name), "%.*s", (int)length, setting);
		r = coffer_policy_set(
			policy, name, setting[length] ? setting + length + 1 : NULL, NULL);
	}
	if (r == 0)
		r = coffer_policy_set(policy, key, target, NULL);
	char *text = NULL;
	bool open = r == 0 && coffer_net_check(policy, target, 0, &text, NULL) == 1;
	free(text);
	coffer_policy_free(policy);
	return open;
}

static int why_host(const struct cli_options *options, const char *target)
{
	static const char *const keys[] = {"allow-domain", "allow-cidr"};
	struct coffer_error error = {0};
	cleanup_free char *text = NULL, *flags = NULL;
	int open = coffer_net_check(options->policy, target, options->json, &text, &error);
	if (open < 0) {
		cli_complain(&error);
		return EXIT_SETUP_FAILED;
	}
	for (size_t i = 0; !open && !flags && i < ARRAY_SIZE(keys); i++)
		if (opens(options, keys[i], target) &&
			asprintf(&flags, "--%s %s", keys[i], target) < 0)
			flags = NULL;
	if (!options->json) {
		fputs(text, stdout);
		if (!open)
			printf("  %s%s\n", flags ? "allow with: " : "nothing allows it",
				flags ? flags : "");
		return fflush(stdout) == 0 ? 0 : EXIT_SETUP_FAILED;
	}
	json_t *root = json_loads(text, 0, NULL);
	json_object_set_new(root, "allow_with", flags ? json_string(flags) : json_null());
	char *all = root ? json_dumps(root, JSON_INDENT(2)) : NULL;
	json_decref(root);
	return cli_print(all, true);
}

int cmd_why(int argc, char *argv[])
{
	/* The target may stand before the options or behind them. */
	const char *target = argc > 1 && argv[1][0] != '-' ? argv[1] : NULL;
	int skipped = target ? 1 : 0;
	struct cli_options options;
	int code = EXIT_SETUP_FAILED;
	if (cli_parse("why", argc - skipped, argv + skipped, &options) < 0)
		goto out;
	if (options.help) {
		help();
		code = 0;
		goto out;
	}
	size_t more = target ? 0 : 1;
	if (!target)
		target = options.argv[0];
	if (!target || (options.argv[0] && options.argv[more])) {
		cli_complain_text("coffer why takes one PATH or HOST[:PORT]");
		goto out;
	}
	if (cli_configure(&options) == 0)
		code = is_path(target) ? why_path(&options, target) : why_host(&options, target);
out:
	cli_options_release(&options);
	return code;
}
