#include "session/story.h"

#include "base/cleanup.h"
#include "session/text.h"

#include <string.h>

void story_say(struct buffer *to, const char *text)
{
	if (!text || !*text)
		return;
	if (to->length_bytes)
		buffer_append_string(to, "\n");
	buffer_append_string(to, text);
}

/* What hooks said that is no verdict: context for the model, words for the person, a stop. */
static void take_words(struct story *story, struct hook_outcome *outcome)
{
	story_say(&story->context, outcome->context);
	story_say(&story->messages, outcome->message);
	if (outcome->stop && !story->stop)
		story->stop =
			strdup(outcome->stop_reason ? outcome->stop_reason : "a hook said to stop");
}

int story_refuse(struct story *story, const char *by, const char *reason)
{
	const char *text = reason ? reason : "refused";
	json_t *result = story->result;
	if (story->offering) /* the run that failed stays what happened */
		return json_object_set_new(result, "offer",
			json_pack("{s:s, s:o}", "refused_by", by, "reason", json_of_text(text)));
	int r = json_object_set_new(result, "cause", json_string("refused"));
	r |= json_object_set_new(result, "exit", json_integer(126));
	r |= json_object_set_new(result, "refused_by", json_string(by));
	r |= json_object_set_new(result, "reason", json_of_text(text));
	if (r < 0)
		return story_fail(
			story, RPC_INTERNAL_ERROR, "out_of_memory", ENOMEM, "the refusal");
	story_note(
		story, "refused", json_pack("{s:s, s:o}", "by", by, "reason", json_of_text(text)));
	return 0;
}

int story_before(struct story *story, json_t *tool_input, json_t **ret_updated)
{
	struct hook_outcome outcome = {0};
	struct error error = {0};
	json_t *fields = json_pack("{s:s, s:O, s:s}", "tool_name", story->tool, "tool_input",
		tool_input, "tool_use_id", story->call->name);
	int r = fields ? hooks_fire(story->hooks, HOOK_PRE_TOOL_USE, story->tool, fields, &outcome,
				 &error)
		       : -ENOMEM;
	json_decref(fields);
	*ret_updated = NULL;
	if (r < 0) /* hooks that could not be asked have not agreed */
		return story_refuse(
			story, "hook", error.message[0] ? error.message : "hooks failed");
	take_words(story, &outcome);
	story->hook_says = outcome.says;
	story->hook_reason = steal_pointer(&outcome.reason);
	r = 1;
	if (outcome.says == HOOK_SAYS_DENY || outcome.stop)
		r = story_refuse(story, "hook",
			story->hook_reason ? story->hook_reason : outcome.stop_reason);
	else if (json_is_object(outcome.updated_input))
		*ret_updated = json_incref(outcome.updated_input);
	hook_outcome_release(&outcome);
	return r;
}

int story_after(struct story *story, json_t *tool_input, json_t *tool_response)
{
	struct hook_outcome outcome = {0};
	struct error error = {0};
	json_t *fields = json_pack("{s:s, s:O, s:o, s:s}", "tool_name", story->tool, "tool_input",
		tool_input, "tool_response", tool_response, "tool_use_id", story->call->name);
	int r = fields ? hooks_fire(story->hooks, HOOK_POST_TOOL_USE, story->tool, fields, &outcome,
				 &error)
		       : -ENOMEM;
	json_decref(fields);
	if (r < 0) { /* it has run: that can only be said */
		story_say(&story->messages, error.message);
		return 0;
	}
	take_words(story, &outcome);
	if (outcome.says == HOOK_SAYS_DENY && outcome.reason)
		r = json_object_set_new(story->result, "feedback", json_of_text(outcome.reason));
	hook_outcome_release(&outcome);
	return r < 0 ? story_fail(story, RPC_INTERNAL_ERROR, "out_of_memory", ENOMEM, "feedback")
		     : 0;
}

/* What a matcher of the event is held against. */
static const char *subject_of(enum hook_event event, const json_t *params)
{
	const char *key = event == HOOK_SESSION_START                               ? "source"
			  : event == HOOK_SESSION_END                               ? "reason"
			  : event == HOOK_PRE_COMPACT || event == HOOK_POST_COMPACT ? "trigger"
			  : event == HOOK_SUBAGENT_START || event == HOOK_SUBAGENT_STOP
				  ? "agent_type"
				  : NULL;
	return key ? json_string_value(json_object_get(params, key)) : NULL;
}

int call_hooks(struct story *story)
{
	static const char *const words[] = {
		[HOOK_SAYS_NOTHING] = "nothing",
		[HOOK_SAYS_ALLOW] = "allow",
		[HOOK_SAYS_ASK] = "ask",
		[HOOK_SAYS_DENY] = "block",
	};
	enum hook_event event = story->call->event;
	struct hook_outcome outcome = {0};
	json_t *fields = json_copy((json_t *)story->params);
	if (!fields)
		return story_fail(story, RPC_INTERNAL_ERROR, "out_of_memory", ENOMEM, "hooks");
	json_object_del(fields, "_meta");
	int r = hooks_fire(story->hooks, event, subject_of(event, story->params), fields, &outcome,
		&story->error);
	json_decref(fields);
	if (r < 0) {
		story->code = RPC_SERVER_ERROR;
		story->name = "hooks";
		return r;
	}
	take_words(story, &outcome);
	r = json_object_set_new(story->result, "hooks",
		json_pack("{s:i, s:s, s:o*}", "ran", (int)outcome.ran, "says", words[outcome.says],
			"reason", outcome.reason ? json_of_text(outcome.reason) : NULL));
	hook_outcome_release(&outcome);
	return r < 0 ? story_fail(story, RPC_INTERNAL_ERROR, "out_of_memory", ENOMEM, "hooks") : 0;
}
