/* Theory of operation. What a hook says comes from a stranger's program: it is taken for what it
 * means only where it is exactly what the models of these hooks know. An object of JSON is read
 * strictly as far as its known fields go (a wrong type or an unknown verdict is a failure; fields
 * that are not known are not looked at); other output is plain text. A failure - another exit than
 * 0 or 2, a signal, the time, too much output, malformed JSON - holds up what can be held up: a
 * hook that was to say no and could not must not come to a yes. */
#include "gate/hooks_internal.h"

#include "base/cleanup.h"
#include "base/limits.h"
#include "base/utf8.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

/* Of a failed hook's stderr, in the sentence about it. */
enum { SAID_BYTES = 300 };

static const struct hook_event_traits traits[HOOK_EVENTS] = {
	[HOOK_SESSION_START] = {"source", .stdout_is_context = true},
	[HOOK_USER_PROMPT_SUBMIT] = {NULL, .stdout_is_context = true, .blocks = true},
	[HOOK_PRE_TOOL_USE] = {"tool_name", .blocks = true, .fails_closed = true},
	[HOOK_PERMISSION_REQUEST] = {"tool_name", .blocks = true, .fails_closed = true},
	[HOOK_POST_TOOL_USE] = {"tool_name", .blocks = true},
	[HOOK_STOP] = {NULL, .blocks = true},
	[HOOK_SESSION_END] = {"reason"},
	[HOOK_PRE_COMPACT] = {"trigger", .blocks = true},
	[HOOK_POST_COMPACT] = {"trigger"},
	[HOOK_SUBAGENT_START] = {"agent_type"},
	[HOOK_SUBAGENT_STOP] = {"agent_type", .blocks = true},
};

const struct hook_event_traits *hook_event_traits(enum hook_event event)
{
	return &traits[event];
}

void hook_outcome_release(struct hook_outcome *outcome)
{
	free(outcome->reason);
	free(outcome->context);
	free(outcome->message);
	free(outcome->stop_reason);
	json_decref(outcome->updated_input);
	*outcome = (struct hook_outcome){0};
}

/* ---- texts ---- */

char *hook_text(const char *text, size_t length_bytes)
{
	static const char cut[] = " [cut]";
	cleanup_buffer struct buffer out = BUFFER_INIT(MAX_HOOK_TEXT_BYTES + sizeof(cut));
	size_t at = 0;
	while (at < length_bytes && out.length_bytes < MAX_HOOK_TEXT_BYTES - 4) {
		/* The text ends with a NUL, so that no sequence is read beyond it. */
		size_t length = utf8_sequence((const unsigned char *)text + at);
		unsigned c = length ? utf8_character((const unsigned char *)text + at, length) : 0;
		if (length == 0 || (utf8_is_control(c) && c != '\n' && c != '\t'))
			buffer_append_string(&out, "\xef\xbf\xbd");
		else
			buffer_append(&out, text + at, length);
		at += length ? length : 1;
	}
	if (at < length_bytes)
		buffer_append_string(&out, cut);
	buffer_append(&out, "", 0);
	return buffer_steal(&out);
}

/* The same without the blanks around it; *ret is NULL where nothing is left. */
static int trimmed_text(const char *text, size_t length_bytes, char **ret)
{
	static const char blanks[] = " \t\r\n";
	while (length_bytes && memchr(blanks, text[length_bytes - 1], sizeof(blanks) - 1))
		length_bytes--;
	while (length_bytes && memchr(blanks, *text, sizeof(blanks) - 1)) {
		text++;
		length_bytes--;
	}
	*ret = NULL;
	if (!length_bytes)
		return 0;
	/* hook_text() reads up to the text's end, which may lie behind what was cut off: a sequence
	 * that a blank ends is invalid anyway. */
	*ret = hook_text(text, length_bytes);
	return *ret ? 0 : -ENOMEM;
}

/* Cuts clean text to at most max_bytes, between two characters. */
static void shorten(char *text, size_t max_bytes)
{
	size_t length = strlen(text);
	if (length <= max_bytes)
		return;
	length = max_bytes;
	while (length && (text[length] & 0xc0) == 0x80)
		length--;
	text[length] = '\0';
}

/* Appends what *other holds to *text, and takes it. */
static int append_text(char **text, char **other, const char *between)
{
	if (!*text || !*other) {
		if (*other)
			*text = steal_pointer(other);
		return 0;
	}
	cleanup_buffer struct buffer joined = BUFFER_INIT(MAX_MESSAGE_BYTES);
	buffer_append_string(&joined, *text);
	buffer_append_string(&joined, between);
	buffer_append_string(&joined, *other);
	if (buffer_error(&joined) < 0)
		return buffer_error(&joined);
	free(*text);
	free(*other);
	*other = NULL;
	*text = buffer_steal(&joined);
	return *text ? 0 : -ENOMEM;
}

static int set_text(char **text, const char *format, ...) __attribute__((format(printf, 2, 3)));
static int set_text(char **text, const char *format, ...)
{
	char *made = NULL;
	va_list args;
	va_start(args, format);
	int n = vasprintf(&made, format, args);
	va_end(args);
	if (n < 0)
		return -ENOMEM;
	int r = append_text(text, &made, "\n");
	free(made);
	return r;
}

/* ---- JSON ---- */

struct reading {
	enum hook_event event;
	struct hook_outcome *outcome;
	const char *fault; /* what is wrong with it; static */
	int r;             /* -ENOMEM */
};

static json_t *field(struct reading *reading, const json_t *object, const char *name, int type,
	const char *fault)
{
	json_t *value = json_object_get(object, name);
	if (!value || json_is_null(value))
		return NULL;
	if (json_typeof(value) == type || (type == JSON_TRUE && json_typeof(value) == JSON_FALSE))
		return value;
	reading->fault = fault;
	return NULL;
}

static void take_text(struct reading *reading, const json_t *object, const char *name,
	const char *fault, char **text)
{
	json_t *value = field(reading, object, name, JSON_STRING, fault);
	char *taken = NULL;
	if (value && reading->r == 0)
		reading->r =
			trimmed_text(json_string_value(value), json_string_length(value), &taken);
	if (taken && reading->r == 0)
		reading->r = append_text(text, &taken, "\n");
	free(taken);
}

static bool take_word(struct reading *reading, const json_t *object, const char *name,
	const char *fault, const char **ret)
{
	json_t *value = field(reading, object, name, JSON_STRING, fault);
	*ret = json_string_value(value);
	return value != NULL;
}

static void take_input(struct reading *reading, const json_t *object)
{
	json_t *input =
		field(reading, object, "updatedInput", JSON_OBJECT, "updatedInput is no object");
	if (input && !reading->outcome->updated_input)
		reading->outcome->updated_input = json_incref(input);
}

static void says(struct reading *reading, enum hook_says what)
{
	if (what > reading->outcome->says)
		reading->outcome->says = what;
}

struct verdict_word {
	const char *word;
	enum hook_says says;
};

static void take_verdict(struct reading *reading, const char *word,
	const struct verdict_word words[], size_t count, const char *fault)
{
	for (size_t i = 0; i < count; i++) {
		if (strcmp(words[i].word, word) != 0)
			continue;
		says(reading, words[i].says);
		return;
	}
	reading->fault = fault;
}

/* PermissionRequest's decision: {behavior, message, interrupt, updatedInput}. */
static void take_decision(struct reading *reading, const json_t *decision)
{
	static const struct verdict_word words[] = {
		{"allow", HOOK_SAYS_ALLOW}, {"deny", HOOK_SAYS_DENY}};
	struct hook_outcome *outcome = reading->outcome;
	const char *word;
	if (!take_word(reading, decision, "behavior", "behavior is no string", &word)) {
		reading->fault = "its decision has no behavior";
		return;
	}
	take_verdict(
		reading, word, words, ARRAY_SIZE(words), "its behavior is neither allow nor deny");
	take_text(reading, decision, "message", "message is no string", &outcome->reason);
	take_input(reading, decision);
	json_t *interrupt =
		field(reading, decision, "interrupt", JSON_TRUE, "interrupt is no boolean");
	if (json_is_true(interrupt) && strcmp(word, "deny") == 0)
		outcome->stop = true;
}

static void take_specific(struct reading *reading, const json_t *specific)
{
	static const struct verdict_word words[] = {
		{"allow", HOOK_SAYS_ALLOW}, {"ask", HOOK_SAYS_ASK}, {"deny", HOOK_SAYS_DENY}};
	struct hook_outcome *outcome = reading->outcome;
	const char *word;
	if (!take_word(reading, specific, "hookEventName", "hookEventName is no string", &word) ||
		strcmp(word, hook_event_name(reading->event)) != 0) {
		reading->fault = "its hookEventName is not this event's";
		return;
	}
	take_text(reading, specific, "additionalContext", "additionalContext is no string",
		&outcome->context);
	if (reading->event == HOOK_PRE_TOOL_USE) {
		if (take_word(reading, specific, "permissionDecision",
			    "permissionDecision is no string", &word))
			take_verdict(reading, word, words, ARRAY_SIZE(words),
				"its permissionDecision is none of allow, deny and ask");
		take_text(reading, specific, "permissionDecisionReason",
			"permissionDecisionReason is no string", &outcome->reason);
		take_input(reading, specific);
	}
	if (reading->event == HOOK_PERMISSION_REQUEST) {
		json_t *decision =
			field(reading, specific, "decision", JSON_OBJECT, "decision is no object");
		if (decision)
			take_decision(reading, decision);
	}
}

static void take_answer(struct reading *reading, const json_t *answer)
{
	static const struct verdict_word words[] = {
		{"approve", HOOK_SAYS_ALLOW}, {"block", HOOK_SAYS_DENY}};
	static const struct verdict_word block_only[] = {
		{"approve", HOOK_SAYS_NOTHING}, {"block", HOOK_SAYS_DENY}};
	struct hook_outcome *outcome = reading->outcome;
	bool deciding = traits[reading->event].fails_closed;
	const char *word;
	if (take_word(reading, answer, "decision", "decision is no string", &word))
		take_verdict(reading, word, deciding ? words : block_only, 2,
			"its decision is neither approve nor block");
	take_text(reading, answer, "reason", "reason is no string", &outcome->reason);
	take_text(
		reading, answer, "systemMessage", "systemMessage is no string", &outcome->message);
	take_text(reading, answer, "stopReason", "stopReason is no string", &outcome->stop_reason);
	field(reading, answer, "suppressOutput", JSON_TRUE, "suppressOutput is no boolean");
	json_t *specific = field(reading, answer, "hookSpecificOutput", JSON_OBJECT,
		"hookSpecificOutput is no object");
	if (specific)
		take_specific(reading, specific);
	if (json_is_false(field(reading, answer, "continue", JSON_TRUE, "continue is no boolean")))
		outcome->stop = true;
}

/* ---- an end ---- */

/* Whether plain text may be JSON that something was printed before or after: a hook's verdict must
 * not be lost in it. */
static bool holds_json(const char *text, size_t length_bytes)
{
	for (size_t i = 0; i < length_bytes; i++)
		if ((text[i] == '{' || text[i] == '[') && (i == 0 || text[i - 1] == '\n'))
			return true;
	return memmem(text, length_bytes, "hookSpecificOutput", 18) != NULL ||
	       memmem(text, length_bytes, "permissionDecision", 18) != NULL;
}

static int failed(struct hook_outcome *outcome, enum hook_event event, const char *name,
	bool on_error_allow, const char *what)
{
	unsigned ran = outcome->ran;
	hook_outcome_release(outcome);
	outcome->ran = ran;
	if (!traits[event].fails_closed || on_error_allow)
		return set_text(&outcome->message, "hook %s %s%s", name, what,
			traits[event].fails_closed ? "; on_error = \"allow\" lets it pass" : "");
	outcome->says = HOOK_SAYS_DENY;
	return set_text(&outcome->reason, "hook %s %s; as long as it cannot answer, nothing passes",
		name, what);
}

/* Exit 2: stderr is the reason. */
static int blocked(struct hook_outcome *outcome, enum hook_event event, const char *name,
	const struct hook_end *end)
{
	cleanup_free char *said = NULL;
	int r = trimmed_text(end->complaint, end->complaint_bytes, &said);
	if (r < 0)
		return r;
	if (!traits[event].blocks)
		return set_text(&outcome->message, "hook %s: %s", name,
			said ? said : "exit code 2, without a word on stderr");
	outcome->says = HOOK_SAYS_DENY;
	if (!said)
		return set_text(&outcome->reason, "hook %s blocks this without a reason", name);
	return append_text(&outcome->reason, &said, "\n");
}

/* Exit 0: JSON, or plain text. *fault: why it is a failure after all. */
static int answered(struct hook_outcome *outcome, enum hook_event event, const struct hook_end *end,
	const char **fault)
{
	const char *text = end->output;
	size_t length = end->output_bytes;
	size_t blanks = 0;
	while (blanks < length && strchr(" \t\r\n", text[blanks]) && text[blanks])
		blanks++;
	bool is_json = blanks < length && (text[blanks] == '{' || text[blanks] == '[');
	if (!is_json) {
		if (traits[event].fails_closed && holds_json(text, length)) {
			*fault = "printed something beside its JSON";
			return 0;
		}
		return trimmed_text(text, length,
			traits[event].stdout_is_context ? &outcome->context : &outcome->message);
	}
	/* jansson bounds the nesting (2048) and refuses what stands behind the value. */
	json_t *answer = json_loadb(text, length, JSON_REJECT_DUPLICATES, NULL);
	struct reading reading = {.event = event, .outcome = outcome};
	if (!answer)
		*fault = "printed malformed JSON";
	else if (!json_is_object(answer))
		*fault = "printed JSON that is no object";
	else
		take_answer(&reading, answer);
	json_decref(answer);
	if (reading.fault)
		*fault = reading.fault;
	return reading.r;
}

/* What follows from the rest: "continue": false is a no where there is something to say no to, a no
 * has a reason, and what is refused is not rewritten. */
static int settle(struct hook_outcome *outcome, enum hook_event event, const char *name)
{
	bool blocks = traits[event].blocks;
	if (!outcome->stop) {
		free(outcome->stop_reason);
		outcome->stop_reason = NULL;
	}
	if (outcome->stop && traits[event].fails_closed)
		outcome->says = HOOK_SAYS_DENY;
	int r = 0;
	if (outcome->says == HOOK_SAYS_DENY && !blocks) {
		outcome->says = HOOK_SAYS_NOTHING;
		r = append_text(&outcome->message, &outcome->reason, "\n");
	}
	if (outcome->says == HOOK_SAYS_DENY && outcome->updated_input) {
		json_decref(outcome->updated_input);
		outcome->updated_input = NULL;
	}
	if (r == 0 && outcome->says == HOOK_SAYS_DENY && !outcome->reason)
		r = set_text(
			&outcome->reason, "%s", outcome->stop_reason ? outcome->stop_reason : "");
	if (r == 0 && outcome->reason && !*outcome->reason) {
		free(outcome->reason);
		outcome->reason = NULL;
		r = set_text(&outcome->reason, "hook %s blocks this without a reason", name);
	}
	if (r == 0 && outcome->stop && !outcome->stop_reason)
		r = set_text(&outcome->stop_reason, "%s",
			outcome->reason ? outcome->reason : "a hook stops the session");
	if (outcome->says == HOOK_SAYS_NOTHING) {
		free(outcome->reason);
		outcome->reason = NULL;
	}
	return r;
}

int hook_answer(enum hook_event event, const struct hook_end *end, const char *name,
	bool on_error_allow, struct hook_outcome *ret)
{
	*ret = (struct hook_outcome){.ran = end->kind != HOOK_NOT_RUN};
	char what[1024] = "";
	const char *fault = NULL;
	int r = 0;
	switch (end->kind) {
	case HOOK_EXITED:
		if (end->code == 2)
			r = blocked(ret, event, name, end);
		else if (end->code == 0)
			r = answered(ret, event, end, &fault);
		else
			snprintf(what, sizeof(what), "ended with exit code %d", end->code);
		break;
	case HOOK_SIGNALED:
		snprintf(what, sizeof(what), "was killed by signal %d (%s)", end->code,
			strsignal(end->code));
		break;
	case HOOK_TIMED_OUT:
		fault = "did not answer in time";
		break;
	case HOOK_SAID_TOO_MUCH:
		snprintf(what, sizeof(what), "printed more than %d bytes", MAX_HOOK_OUTPUT_BYTES);
		break;
	case HOOK_NOT_RUN:
		snprintf(what, sizeof(what), "could not be run: %s", end->why);
		break;
	}
	if (fault)
		snprintf(what, sizeof(what), "%s", fault);
	if (r == 0 && what[0]) {
		cleanup_free char *said = NULL;
		if (end->complaint_bytes)
			r = trimmed_text(end->complaint, end->complaint_bytes, &said);
		size_t length = strlen(what);
		if (said) {
			shorten(said, SAID_BYTES);
			snprintf(what + length, sizeof(what) - length, " (it said: %s)", said);
		}
		if (r == 0)
			r = failed(ret, event, name, on_error_allow, what);
	} else if (r == 0) {
		r = settle(ret, event, name);
	}
	if (r < 0)
		hook_outcome_release(ret);
	return r;
}

int hook_outcome_merge(struct hook_outcome *outcome, struct hook_outcome *other)
{
	int r = 0;
	if (other->says > outcome->says) {
		free(outcome->reason);
		outcome->reason = NULL;
		outcome->says = other->says;
	}
	if (other->says == outcome->says)
		r = append_text(&outcome->reason, &other->reason, "\n");
	if (r == 0)
		r = append_text(&outcome->context, &other->context, "\n\n");
	if (r == 0)
		r = append_text(&outcome->message, &other->message, "\n");
	if (r == 0 && other->stop && !outcome->stop)
		outcome->stop_reason = steal_pointer(&other->stop_reason);
	outcome->stop = outcome->stop || other->stop;
	outcome->ran += other->ran;
	if (r == 0 && other->updated_input) {
		if (!outcome->updated_input)
			outcome->updated_input = steal_pointer(&other->updated_input);
		else if (!json_equal(outcome->updated_input, other->updated_input)) {
			/* Whichever came last would win: nobody wrote what would run then. */
			outcome->says = HOOK_SAYS_DENY;
			r = set_text(&outcome->reason, "two hooks want different inputs");
		}
	}
	if (outcome->says == HOOK_SAYS_DENY && outcome->updated_input) {
		json_decref(outcome->updated_input);
		outcome->updated_input = NULL;
	}
	hook_outcome_release(other);
	return r;
}
