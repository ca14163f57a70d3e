/* A call's own process: its story, in order.
 *
 *	the command and what it asks for
 *	hooks before it (they may block it, or put another in its place)
 *	the gate's decision, and its settling
 *	the box, widened by exactly what was granted
 *	under on-failure: what the box refused is offered once, and it runs again
 *	hooks after it
 */
#include "session/story.h"

#include "base/cleanup.h"
#include "base/path.h"
#include "gate/show.h"
#include "session/frames.h"
#include "session/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int story_fail(
	struct story *story, int code, const char *name, int errno_value, const char *format, ...)
{
	char text[sizeof(story->error.message)];
	va_list args;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	story->code = code;
	story->name = name;
	return error_set(&story->error, errno_value, "session", "%s", text);
}

void story_note(struct story *story, const char *note, json_t *fields)
{
	/* A session that cannot be told anything is gone, and this process with it. */
	if (fields && json_object_set_new(fields, "note", json_string(note)) == 0)
		frame_send_json(story->socket, FRAME_NOTE, fields);
	else
		json_decref(fields);
}

int story_take_stdin(struct story *story, const char *text, const char *base64)
{
	const json_t *given = json_object_get(story->params, text);
	const json_t *encoded = json_object_get(story->params, base64);
	char *decoded = NULL; /* goes with the process */
	if (json_is_string(encoded)) {
		if (base64_decode(json_string_value(encoded), json_string_length(encoded), &decoded,
			    &story->stdin_bytes) < 0)
			return story_fail(story, RPC_INVALID_PARAMS, "invalid_params", EINVAL,
				"%s is no base64", base64);
		story->stdin_data = decoded;
	} else if (json_is_string(given)) {
		story->stdin_data = json_string_value(given);
		story->stdin_bytes = json_string_length(given);
	}
	return 0;
}

/* ---- the command ---- */

static int out_of_memory(struct story *story, const char *what)
{
	return story_fail(story, RPC_INTERNAL_ERROR, "out_of_memory", ENOMEM, "%s", what);
}

/* path, where it lies below one of two names of a directory, by the other name. */
static char *rename_root(const char *path, const char *from, const char *to)
{
	if (strcmp(from, to) == 0 || !path_is_below(path, from))
		return strdup(path);
	char *renamed = NULL;
	return asprintf(&renamed, "%s%s", to, path + strlen(from)) < 0 ? NULL : renamed;
}

char *story_host_path(const struct story *story, const char *path)
{
	const struct session *session = story->session;
	cleanup_free char *absolute =
		path_absolute(story->directory ? story->directory : session->directory, path);
	return absolute ? rename_root(absolute, session->inside, session->workspace) : NULL;
}

char *story_inside_path(const struct story *story, const char *path)
{
	const struct session *session = story->session;
	for (size_t i = 0; i < story->grants_count; i++)
		if (story->grants[i].kind == GRANT_UNSANDBOXED)
			return strdup(path);
	return rename_root(path, session->workspace, session->inside);
}

static int take_directory(struct story *story)
{
	const char *given = json_string_value(json_object_get(story->params, "directory"));
	story->directory = story_host_path(story, given ? given : ".");
	/* The directory itself: a link that the box made would be another place for the rules than
	 * for the command. What is there only in the box is no link here. */
	char *real = story->directory ? realpath(story->directory, NULL) : NULL;
	if (real) {
		free(story->directory);
		story->directory = real;
	}
	return story->directory ? 0 : out_of_memory(story, "the directory");
}

static int take_environment(struct story *story)
{
	const char *name;
	json_t *value;
	json_t *environment = json_object_get(story->params, "environment");
	json_object_foreach(environment, name, value)
	{
		const char *text = json_string_value(value);
		/* One that env(1) would take for an option of its own would show the gate another
		 * command than the one that runs. */
		if (!*name || *name == '-' || strchr(name, '=') || !text ||
			strlen(text) != json_string_length(value))
			return story_fail(story, RPC_INVALID_PARAMS, "invalid_params", EINVAL,
				"environment: '%.64s' is no variable with a string", name);
		char *setting = NULL;
		if (asprintf(&setting, "%s=%s", name, text) < 0)
			setting = NULL;
		if (strv_add_owned(&story->environment, setting) < 0)
			return out_of_memory(story, "the environment");
	}
	return 0;
}

static int set_line(struct story *story, const char *line)
{
	char *copy = strdup(line);
	free(story->line);
	story->line = copy;
	strv_release(&story->argv);
	int r = copy ? strv_add(&story->argv, story->session->shell) : -ENOMEM;
	if (r == 0)
		r = strv_add(&story->argv, "-c");
	if (r == 0)
		r = strv_add(&story->argv, line);
	return r < 0 ? out_of_memory(story, "the command") : 0;
}

static int take_command(struct story *story)
{
	const json_t *command = json_object_get(story->params, "command");
	if (json_is_string(command))
		return set_line(story, json_string_value(command));
	size_t i;
	json_t *word;
	json_array_foreach(
		(json_t *)command, i, word) if (strv_add(&story->argv, json_string_value(word)) <
						0) return out_of_memory(story, "the command");
	/* Behind variables such a word reads as one more of them. */
	if (story->environment.count && strchr(story->argv.items[0], '='))
		return story_fail(story, RPC_INVALID_PARAMS, "invalid_params", EINVAL,
			"environment: '%.64s' is no command that variables can be set for",
			story->argv.items[0]);
	return 0;
}

static json_t *tool_input(const struct story *story)
{
	cleanup_free char *quoted = story->line ? NULL : quote_command(strv_items(&story->argv));
	const char *line = story->line ? story->line : quoted;
	return !line ? NULL
		     : json_pack("{s:o, s:O*, s:O*, s:O*, s:s*}", "command", json_of_text(line),
			       "stdin", json_object_get(story->params, "stdin"), "stdin_base64",
			       json_object_get(story->params, "stdin_base64"), "timeout",
			       json_object_get(story->params, "timeout_ms"), "description",
			       story->justification);
}

/* Another command in its place, which the hooks named: 1; 0: they named none. */
static int take_updated(struct story *story, json_t *updated)
{
	const char *line = json_string_value(json_object_get(updated, "command"));
	const char *before = json_string_value(json_object_get(story->input, "command"));
	if (!line || !*line)
		return story_refuse(
			story, "hook", "a hook changed the command into something that is none");
	bool same = before && strcmp(line, before) == 0;
	int r = same ? 0 : set_line(story, line);
	if (!same)
		json_object_set_new(story->result, "edited", json_true());
	json_decref(story->input);
	story->input = json_incref(updated);
	return r < 0 ? r : 1;
}

int story_before_command(struct story *story)
{
	json_t *updated = NULL;
	json_decref(story->input);
	story->input = tool_input(story);
	if (!story->input)
		return out_of_memory(story, "the command");
	int r = story_before(story, story->input, &updated);
	if (r == 1 && updated)
		r = take_updated(story, updated);
	json_decref(updated);
	return r;
}

/* ---- the box ---- */

/* Another working directory than the session's: a box's own would bring another workspace. */
static int box_argv(const struct story *story, struct strv *ret)
{
	cleanup_free char *directory = story_inside_path(story, story->directory);
	int r = directory ? 0 : -ENOMEM;
	if (r == 0 && strcmp(story->directory, story->session->directory) != 0) {
		const char *const change[] = {
			"/bin/sh", "-c", "cd -- \"$1\" && shift && exec \"$@\"", "sh", directory};
		for (size_t i = 0; r == 0 && i < ARRAY_SIZE(change); i++)
			r = strv_add(ret, change[i]);
	}
	for (size_t i = 0; r == 0 && i < story->argv.count; i++)
		r = strv_add(ret, story->argv.items[i]);
	return r;
}

static json_t *grants_json(const struct story *story)
{
	json_t *array = json_array();
	for (size_t i = 0; i < story->grants_count; i++)
		json_array_append_new(array, grant_json(&story->grants[i]));
	return array;
}

static int run_once(struct story *story, struct box_run *run, unsigned attempt)
{
	cleanup_strv struct strv argv = {0};
	const json_t *params = story->params;
	json_int_t limit = json_integer_value(json_object_get(params, "output_limit_bytes"));
	*run = (struct box_run){.argv = &argv,
		.stream = true,
		.keep_bytes = limit ? (size_t)limit : DEFAULT_TOOL_OUTPUT_BYTES,
		.timeout_ms = (uint64_t)json_integer_value(json_object_get(params, "timeout_ms"))};
	if (box_argv(story, &argv) < 0)
		return out_of_memory(story, "the command");
	story_note(story, "started",
		json_pack("{s:i, s:o}", "attempt", (int)attempt, "grants", grants_json(story)));
	int r = story_run(story, run);
	run->argv = NULL;
	return r;
}

/* What the box refused and a grant would allow, as asks of the same command. Their number. */
static int take_cures(struct story *story, const struct box_run *run, struct buffer *why)
{
	size_t i, before = story->asks_count;
	json_t *denial;
	json_array_foreach(json_object_get(run->report, "denials"), i, denial)
	{
		struct grant cure = {0};
		if (denial_cure(story->session, denial, &cure) <= 0)
			continue;
		bool known = false;
		for (size_t k = 0; k < story->asks_count; k++)
			known = known ||
				(story->asks[k].kind == cure.kind && story->asks[k].value &&
					strcmp(story->asks[k].value, cure.value) == 0);
		int r = known ? 0 : story_add_ask(story, cure.kind, cure.value);
		if (!known && r == 0) {
			if (why->length_bytes)
				buffer_append_string(why, "; ");
			buffer_append_format(why, "%s %s: %s",
				json_string_value(json_object_get(denial, "call")), cure.value,
				json_string_value(json_object_get(denial, "reason")));
		}
		free(cure.value);
		if (r < 0)
			return r;
	}
	return (int)(story->asks_count - before);
}

/* Under on-failure: once more, with what was lacking, if somebody agrees. */
static int try_again(struct story *story, struct box_run *run)
{
	if (story->session->approval.policy != APPROVAL_ON_FAILURE || run->exit_code == 0)
		return 0;
	cleanup_buffer struct buffer why = BUFFER_INIT(MAX_CALL_MESSAGE_BYTES);
	int r = take_cures(story, run, &why);
	if (r <= 0 || buffer_error(&why) < 0)
		return r;
	story->offering = true;
	story->hook_says = HOOK_SAYS_NOTHING;
	r = story_settle(story, why.data);
	story->offering = false;
	if (r <= 0)
		return r;
	box_run_release(run);
	r = run_once(story, run, 2);
	return r == 0 ? json_object_set_new(story->result, "attempts", json_integer(2)) : r;
}

static json_t *tool_response(const struct box_run *run)
{
	return json_pack("{s:o, s:o, s:i, s:s, s:b}", "stdout", kept_text(&run->kept[0]), "stderr",
		kept_text(&run->kept[1]), "exit_code", run->exit_code, "cause",
		run->cause ? run->cause : "killed", "interrupted", 0);
}

static int run_and_tell(struct story *story)
{
	struct box_run run = {0};
	int r = run_once(story, &run, 1);
	if (r == 0)
		r = try_again(story, &run);
	if (r == 0)
		r = story_set_run(story, &run);
	if (r == 0)
		r = json_object_set_new(story->result, "grants", grants_json(story));
	json_t *response = r == 0 ? tool_response(&run) : NULL;
	if (r == 0)
		r = response ? story_after(story, story->input, response)
			     : out_of_memory(story, "the result");
	box_run_release(&run);
	return r;
}

static int call_exec(struct story *story)
{
	story->tool = "Bash";
	int r = take_environment(story);
	if (r == 0)
		r = story_take_stdin(story, "stdin", "stdin_base64");
	if (r == 0)
		r = take_command(story);
	if (r == 0)
		r = story_take_asks(story);
	if (r == 0)
		r = story_before_command(story);
	if (r == 1)
		r = story_settle(story, NULL);
	return r == 1 ? run_and_tell(story) : r;
}

/* ---- the process ---- */

static int (*const stories[])(struct story *story) = {
	[CALL_EXEC] = call_exec,
	[CALL_WRITE] = call_write,
	[CALL_READ] = call_read_file,
	[CALL_LIST] = call_list,
	[CALL_DIFF] = call_diff,
	[CALL_HOOKS] = call_hooks,
};

static const char *permission_mode(const struct session *session)
{
	return session->mode == MODE_FULL_ACCESS ? "bypassPermissions"
	       : session->mode == MODE_READ_ONLY ? "plan"
						 : "default";
}

static int open_hooks(struct story *story)
{
	const struct session *session = story->session;
	struct hooks_where where = {.session_id = session->id,
		.directory = session->directory,
		.cwd = story->directory,
		.permission_mode = permission_mode(session)};
	int r = hooks_new(session->config, &where, &story->hooks);
	return r < 0 ? story_fail(story, RPC_SERVER_ERROR, "hooks", -r, "the hooks: %s",
			       strerrordesc_np(-r))
		     : 0;
}

static json_t *set_words(struct story *story)
{
	int r = 0;
	if (story->context.length_bytes)
		r |= json_object_set_new(
			story->result, "context", json_of_text(story->context.data));
	if (story->messages.length_bytes)
		r |= json_object_set_new(
			story->result, "message", json_of_text(story->messages.data));
	if (story->stop)
		r |= json_object_set_new(story->result, "stop", json_of_text(story->stop));
	return r < 0 ? NULL : story->result;
}

void call_run(struct session *session, const struct call *call, int socket)
{
	struct story story = {.session = session,
		.call = call,
		.params = call->params,
		.socket = socket,
		.context = BUFFER_INIT(MAX_HOOK_OUTPUT_BYTES),
		.messages = BUFFER_INIT(MAX_HOOK_OUTPUT_BYTES),
		.result = json_object()};
	int r = story.result ? take_directory(&story) : out_of_memory(&story, "the result");
	if (r == 0)
		r = open_hooks(&story);
	if (r == 0)
		r = stories[call->kind](&story);
	if (r >= 0 && !set_words(&story))
		r = out_of_memory(&story, "the result");
	if (story.stop && (call->kind != CALL_HOOKS || call->event != HOOK_STOP))
		story_note(&story, "stop", json_pack("{s:o}", "reason", json_of_text(story.stop)));
	if (r >= 0)
		frame_send_json(socket, FRAME_RESULT, json_incref(story.result));
	else
		frame_send_json(socket, FRAME_FAILED,
			json_pack("{s:i, s:s, s:o, s:o}", "code",
				story.code ? story.code : RPC_INTERNAL_ERROR, "name",
				story.name ? story.name : "call_failed", "message",
				json_of_text(story.error.message), "hint",
				json_of_text(story.error.hint)));
	/* Memory goes with the process; what is freed by hand is what has processes behind it. */
	hooks_free(story.hooks);
}
