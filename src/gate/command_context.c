#include "gate/command_context.h"

#include "base/cleanup.h"
#include "base/limits.h"
#include "base/path.h"
#include "base/suggest.h"
#include "coffer.h"
#include "gate/config_checked.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

static int load_checked(
	struct command_context *context, const struct config_where *where, struct error *error)
{
	struct config_source sources[CONFIG_SOURCES];
	int r = config_sources_read(where, sources, error);
	if (r < 0)
		return r;
	r = config_load_checked(where, sources, false, &context->config, NULL, error);
	config_sources_release(sources);
	return r;
}

int command_context_open(
	struct command_context *context, const char *directory, struct error *error)
{
	*context = (struct command_context){0};
	context->directory = realpath(directory ? directory : ".", NULL);
	if (!context->directory)
		return error_set_errno(error, errno, "gate", "%s",
			directory ? directory : "the working directory");
	const char *path = getenv("PATH");
	context->path = strdup(path ? path : "");
	if (!context->path)
		return error_set_errno(error, ENOMEM, "gate", "cannot start");
	if (access(context->directory, X_OK) < 0)
		return error_set_errno(error, errno, "gate", "%s", context->directory);
	struct config_where where;
	int r = config_where(context->directory, &where, &context->where, error);
	if (r < 0)
		return r;
	context->home = strdup(where.home ? where.home : "/");
	if (!context->home)
		return error_set_errno(error, ENOMEM, "gate", "cannot start");
	return load_checked(context, &where, error);
}

void command_context_release(struct command_context *context)
{
	free(context->directory);
	free(context->home);
	free(context->path);
	for (size_t i = 0; i < ARRAY_SIZE(context->roots); i++)
		strv_release(&context->roots[i].roots);
	config_free(context->config);
	strv_release(&context->where);
	*context = (struct command_context){0};
}

int command_parse_mode(const char *text, enum policy_mode *ret, struct error *error)
{
	const char *names[MODE_FULL_ACCESS];
	for (int mode = MODE_READ_ONLY; mode <= MODE_FULL_ACCESS; mode++) {
		names[mode - 1] = policy_mode_name((enum policy_mode)mode);
		if (strcmp(text, names[mode - 1]) == 0) {
			*ret = (enum policy_mode)mode;
			return 0;
		}
	}
	error_set(error, EINVAL, "gate", "there is no mode '%.64s'", text);
	const char *near = suggest_nearest(text, names, ARRAY_SIZE(names), sizeof(names[0]));
	return error_hint(error, "did you mean '%s'?", near ? near : names[0]);
}

/* Messages of libcoffer have the same shape. */
static int take_error(const struct coffer_error *from, struct error *error)
{
	error_set(error, from->errno_value ? from->errno_value : EINVAL, from->stage, "%s",
		from->message);
	if (from->hint[0])
		error_hint(error, "%s", from->hint);
	return -error->errno_value;
}

static int set_policy(struct coffer_policy *policy, const struct command_context *context,
	enum policy_mode mode, struct coffer_error *error)
{
	int r = 0;
	for (size_t i = 0; r == 0 && i < context->config->settings_count; i++)
		r = coffer_policy_set(policy, context->config->settings[i].key,
			context->config->settings[i].value, error);
	if (r == 0)
		r = coffer_policy_set(policy, "directory", context->directory, error);
	if (r == 0 && mode != MODE_UNSET)
		r = coffer_policy_set(policy, "mode", policy_mode_name(mode), error);
	return r;
}

/* What the plan says of the mode and of the places that the box may write. Without a box those are
 * the ones that it would have had: the workspace. */
static int read_plan(const char *text, struct command_roots *ret, struct error *error)
{
	json_t *plan = json_loads(text, 0, NULL);
	const char *name = json_string_value(json_object_get(plan, "mode"));
	int r = name ? command_parse_mode(name, &ret->mode, error)
		     : error_set(error, EPROTO, "gate", "the plan has no mode");
	json_t *roots = json_object_get(plan, "write_roots");
	for (size_t i = 0; r == 0 && i < json_array_size(roots); i++) {
		const char *root = json_string_value(json_array_get(roots, i));
		if (root && strcmp(root, "/") != 0)
			r = strv_add(&ret->roots, root);
	}
	const char *workspace = json_string_value(json_object_get(plan, "workspace"));
	if (r == 0 && ret->mode == MODE_FULL_ACCESS && workspace)
		r = strv_add(&ret->roots, workspace);
	json_decref(plan);
	return r;
}

int command_context_roots(struct command_context *context, enum policy_mode mode,
	const struct command_roots **ret, struct error *error)
{
	struct command_roots *roots = &context->roots[mode];
	*ret = roots;
	if (roots->known)
		return 0;
	struct coffer_error failed = {0};
	struct coffer_policy *policy = coffer_policy_new();
	struct coffer_plan *plan = NULL;
	char *nothing[] = {NULL};
	int r = policy ? set_policy(policy, context, mode, &failed) : -ENOMEM;
	if (r == 0)
		r = coffer_plan_new(policy, nothing, 0, &plan, &failed);
	cleanup_free char *text = r == 0 ? coffer_plan_json(plan) : NULL;
	coffer_plan_free(plan);
	coffer_policy_free(policy);
	if (r < 0)
		return take_error(&failed, error);
	if (!text)
		return error_set_errno(error, ENOMEM, "gate", "the plan");
	r = read_plan(text, roots, error);
	roots->known = r == 0;
	return r;
}

int command_print(struct buffer *out, int code)
{
	if (buffer_error(out) < 0 || !out->data) {
		fprintf(stderr, "coffer: no memory for the answer\n");
		return EXIT_USAGE;
	}
	bool written = fwrite(out->data, 1, out->length_bytes, stdout) == out->length_bytes;
	if (!written || fflush(stdout) != 0) {
		fprintf(stderr, "coffer: stdout: %m\n");
		return EXIT_USAGE;
	}
	return code;
}
