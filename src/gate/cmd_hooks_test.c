/* `coffer hooks test`: an event as a session would fire it, with made-up fields where none are
 * given, and what each hook made of it. Exits 0; 126 where the event was blocked. */
#include "gate/cmd_hooks_internal.h"

#include "base/cleanup.h"
#include "base/limits.h"
#include "base/suggest.h"
#include "gate/hooks_internal.h"

#include <errno.h>
#include <string.h>

/* What an event brings when nothing else was said. */
static const struct {
	enum hook_event event;
	const char *fields;
} samples[] = {
	{HOOK_SESSION_START, "{\"source\":\"startup\"}"},
	{HOOK_USER_PROMPT_SUBMIT, "{\"prompt\":\"hello\",\"turn_id\":\"test\"}"},
	{HOOK_PRE_TOOL_USE, "{\"tool_name\":\"Bash\",\"tool_input\":{\"command\":\"true\"},"
			    "\"tool_use_id\":\"test\",\"turn_id\":\"test\"}"},
	{HOOK_PERMISSION_REQUEST, "{\"tool_name\":\"Bash\",\"tool_input\":{\"command\":\"true\","
				  "\"description\":\"a test\"},\"turn_id\":\"test\"}"},
	{HOOK_POST_TOOL_USE, "{\"tool_name\":\"Bash\",\"tool_input\":{\"command\":\"true\"},"
			     "\"tool_response\":{\"stdout\":\"\",\"stderr\":\"\",\"exit_code\":0},"
			     "\"tool_use_id\":\"test\",\"turn_id\":\"test\"}"},
	{HOOK_STOP, "{\"stop_hook_active\":false,\"last_assistant_message\":null,"
		    "\"turn_id\":\"test\"}"},
	{HOOK_SESSION_END, "{\"reason\":\"other\"}"},
	{HOOK_PRE_COMPACT, "{\"trigger\":\"manual\",\"custom_instructions\":\"\"}"},
	{HOOK_POST_COMPACT, "{\"trigger\":\"manual\"}"},
	{HOOK_SUBAGENT_START, "{\"agent_id\":\"test\",\"agent_type\":\"general\"}"},
	{HOOK_SUBAGENT_STOP, "{\"agent_id\":\"test\",\"agent_type\":\"general\","
			     "\"stop_hook_active\":false,\"last_assistant_message\":null}"},
};

struct options {
	const char *event_name, *tool, *input;
	bool json;
};

static bool parse_options(int argc, char *argv[], struct options *ret)
{
	for (int i = 1; i < argc; i++) {
		const char **value = strcmp(argv[i], "--tool") == 0    ? &ret->tool
				     : strcmp(argv[i], "--input") == 0 ? &ret->input
								       : NULL;
		if (value && ++i < argc)
			*value = argv[i];
		else if (!value && strcmp(argv[i], "--json") == 0)
			ret->json = true;
		else if (!value && !ret->event_name && argv[i][0] != '-')
			ret->event_name = argv[i];
		else
			return false;
	}
	return ret->event_name != NULL;
}

static int unknown_event(const char *name, struct error *error)
{
	const char *names[HOOK_EVENTS];
	for (size_t i = 0; i < HOOK_EVENTS; i++)
		names[i] = hook_event_name((enum hook_event)i);
	error_set(error, EINVAL, "hooks", "there is no event '%s'", name);
	const char *near = suggest_nearest(name, names, HOOK_EVENTS, sizeof(names[0]));
	return near ? error_hint(error, "did you mean %s?", near)
		    : error_hint(error, "docs/HOOKS.md lists them");
}

static json_t *load_input(const char *text, struct error *error)
{
	json_error_t fault = {0};
	json_t *input = strcmp(text, "-") == 0 ? json_loadf(stdin, JSON_REJECT_DUPLICATES, &fault)
					       : json_loads(text, JSON_REJECT_DUPLICATES, &fault);
	if (input && json_is_object(input))
		return input;
	json_decref(input);
	error_set(error, EINVAL, "hooks", "--input is no JSON object%s%s",
		fault.text[0] ? ": " : "", fault.text);
	return NULL;
}

/* The sample's fields, with those of --input instead; an input without any of them is the
 * tool's. */
static json_t *make_fields(
	enum hook_event event, const struct options *options, struct error *error)
{
	json_t *fields = NULL;
	for (size_t i = 0; i < ARRAY_SIZE(samples); i++)
		if (samples[i].event == event)
			fields = json_loads(samples[i].fields, 0, NULL);
	json_t *input = options->input ? load_input(options->input, error) : NULL;
	if (!fields || (options->input && !input)) {
		json_decref(fields);
		return NULL;
	}
	int r = 0;
	if (input) {
		bool of_tool = json_object_get(fields, "tool_input") &&
			       !json_object_get(input, "tool_input") &&
			       !json_object_get(input, "tool_response");
		r = of_tool ? json_object_set(fields, "tool_input", input)
			    : json_object_update(fields, input);
	}
	if (r == 0 && options->tool)
		r = json_object_set_new(fields, "tool_name", json_string(options->tool));
	json_decref(input);
	if (r < 0) {
		json_decref(fields);
		return NULL;
	}
	return fields;
}

/* ---- what came of it ---- */

static const char *says_name(enum hook_says says)
{
	static const char *const names[] = {
		[HOOK_SAYS_NOTHING] = "nothing",
		[HOOK_SAYS_ALLOW] = "allow",
		[HOOK_SAYS_ASK] = "ask",
		[HOOK_SAYS_DENY] = "deny",
	};
	return names[says];
}

static void describe_end(const struct hook_end *end, char text[static 64])
{
	static const char *const kinds[] = {
		[HOOK_TIMED_OUT] = "timed out",
		[HOOK_SAID_TOO_MUCH] = "too much output",
		[HOOK_NOT_RUN] = "not run",
	};
	if (end->kind == HOOK_EXITED)
		snprintf(text, 64, "exit %d", end->code);
	else if (end->kind == HOOK_SIGNALED)
		snprintf(text, 64, "signal %d", end->code);
	else
		snprintf(text, 64, "%s", kinds[end->kind]);
}

static json_t *outcome_json(const struct hook_outcome *outcome)
{
	return json_pack("{s:s, s:s?, s:s?, s:s?, s:O?, s:b, s:s?}", "says",
		says_name(outcome->says), "reason", outcome->reason, "context", outcome->context,
		"message", outcome->message, "updated_input", outcome->updated_input, "stop",
		outcome->stop, "stop_reason", outcome->stop_reason);
}

static json_t *results_json(const struct hook_result *results, size_t count)
{
	json_t *array = json_array();
	for (size_t i = 0; array && i < count; i++) {
		char end[64];
		describe_end(&results[i].end, end);
		json_t *result = outcome_json(&results[i].outcome);
		if (!result ||
			json_object_set_new(
				result, "hook", json_string(results[i].prepared->name)) < 0 ||
			json_object_set_new(result, "end", json_string(end)) < 0 ||
			json_object_set_new(result, "took_us",
				json_integer((json_int_t)results[i].took_us)) < 0 ||
			json_array_append(array, result) < 0) {
			json_decref(array);
			array = NULL;
		}
		json_decref(result);
	}
	return array;
}

static int print_json(const char *event, const struct hook_outcome *outcome,
	const struct hook_result *results, size_t count)
{
	json_t *json = json_pack("{s:s, s:i, s:o, s:o}", "event", event, "ran", (int)outcome->ran,
		"outcome", outcome_json(outcome), "hooks", results_json(results, count));
	char *text = json ? json_dumps(json, JSON_INDENT(2)) : NULL;
	json_decref(json);
	if (text)
		puts(text);
	free(text);
	return text ? 0 : -ENOMEM;
}

static void print_part(const char *indent, const char *label, const char *text)
{
	if (!text)
		return;
	printf("%s%s: ", indent, label);
	hooks_print(stdout, "", text, strlen(text));
}

static void print_outcome(const char *indent, const struct hook_outcome *outcome)
{
	print_part(indent, "reason", outcome->reason);
	print_part(indent, "context", outcome->context);
	print_part(indent, "message", outcome->message);
	if (outcome->updated_input) {
		char *text = json_dumps(outcome->updated_input, JSON_COMPACT | JSON_ENCODE_ANY);
		print_part(indent, "input instead", text);
		free(text);
	}
	if (outcome->stop)
		print_part(indent, "stops the session", outcome->stop_reason);
}

static void print_text(const char *event, const struct hook_outcome *outcome,
	const struct hook_result *results, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		char end[64];
		describe_end(&results[i].end, end);
		hooks_print(
			stdout, "", results[i].prepared->name, strlen(results[i].prepared->name));
		printf("  %s after %.1f ms; says %s\n", end, (double)results[i].took_us / 1000,
			says_name(results[i].outcome.says));
		print_outcome("  ", &results[i].outcome);
	}
	printf("%s: %zu hook%s, %s\n", event, count, count == 1 ? "" : "s",
		says_name(outcome->says));
	print_outcome("  ", outcome);
}

static int fire(const struct hooks_setting *setting, enum hook_event event,
	const struct options *options, json_t *fields, struct error *error)
{
	const char *subject_field = hook_event_traits(event)->subject;
	const char *subject =
		subject_field ? json_string_value(json_object_get(fields, subject_field)) : NULL;
	struct hooks_where where = {.session_id = "test",
		.directory = setting->directory,
		.permission_mode = "default"};
	struct hooks *hooks = NULL;
	int r = hooks_new(setting->config, &where, &hooks);
	if (r < 0)
		return error_set_errno(error, -r, "hooks", "preparing the hooks");
	struct hook_result *results = NULL;
	size_t count = 0;
	struct hook_outcome outcome;
	r = hooks_fire_each(hooks, event, subject, fields, &results, &count, &outcome, error);
	if (r == 0 && options->json)
		r = print_json(options->event_name, &outcome, results, count);
	else if (r == 0)
		print_text(options->event_name, &outcome, results, count);
	bool refused = outcome.says == HOOK_SAYS_DENY;
	hook_results_free(results, count);
	hook_outcome_release(&outcome);
	hooks_free(hooks);
	return r < 0 ? r : refused ? HOOKS_EXIT_REFUSED : 0;
}

int cmd_hooks_test(int argc, char *argv[])
{
	struct options options = {0};
	struct error error = {0};
	if (!parse_options(argc, argv, &options))
		return hooks_usage("test EVENT [--tool NAME] [--input JSON|-] [--json]");
	enum hook_event event = hook_event_from_name(options.event_name);
	if (event == HOOK_EVENTS) {
		unknown_event(options.event_name, &error);
		return hooks_complain(&error);
	}
	json_t *fields = make_fields(event, &options, &error);
	struct hooks_setting setting;
	int r = fields ? hooks_setting_load(&setting, &error) : -EINVAL;
	if (r == 0) {
		struct strv waiting = {0};
		r = hooks_waiting(setting.config, &waiting);
		for (size_t i = 0; i < waiting.count; i++)
			hooks_print(stderr, "", waiting.items[i], strlen(waiting.items[i]));
		strv_release(&waiting);
		if (r == 0)
			r = fire(&setting, event, &options, fields, &error);
		hooks_setting_release(&setting);
	}
	json_decref(fields);
	if (r < 0 && !error.errno_value)
		error_set_errno(&error, -r, "hooks", "the test");
	return r < 0 ? hooks_complain(&error) : r;
}
