/* What hooks answer, which files they name, what they are by content: without running any. */
#include "base/cleanup.h"
#include "base/limits.h"
#include "gate/hooks_internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

/* ---- answers ---- */

#define SPECIFIC(event, rest) "{\"hookSpecificOutput\":{\"hookEventName\":\"" event "\"," rest "}}"
#define PRE(rest) SPECIFIC("PreToolUse", rest)
#define REQUEST(rest) SPECIFIC("PermissionRequest", rest)

static const struct answer {
	enum hook_event event;
	int code;
	const char *output, *complaint;
	enum hook_says says;
	const char *reason, *context, *message; /* a part of it; NULL: none at all */
	const char *input;                      /* compact JSON */
	bool stop;
} answers[] = {
	/* Plain text. */
	{HOOK_SESSION_START, 0, "hello\n", "", HOOK_SAYS_NOTHING, .context = "hello"},
	{HOOK_USER_PROMPT_SUBMIT, 0, " \n hello ", "", HOOK_SAYS_NOTHING, .context = "hello"},
	{HOOK_PRE_TOOL_USE, 0, "hello", "", HOOK_SAYS_NOTHING, .message = "hello"},
	{HOOK_STOP, 0, "hello", "", HOOK_SAYS_NOTHING, .message = "hello"},
	{HOOK_PRE_TOOL_USE, 0, "", "a warning", HOOK_SAYS_NOTHING},
	{HOOK_PRE_TOOL_USE, 0, " \n\t\r\n", "", HOOK_SAYS_NOTHING},
	{HOOK_SESSION_START, 0, "a\x1b[31m\xff", "", HOOK_SAYS_NOTHING,
		.context = "a\xef\xbf\xbd[31m\xef\xbf\xbd"},
	/* Exit 2. */
	{HOOK_PRE_TOOL_USE, 2, "", "no\n", HOOK_SAYS_DENY, .reason = "no"},
	{HOOK_PRE_TOOL_USE, 2, "", "", HOOK_SAYS_DENY, .reason = "without a reason"},
	{HOOK_PRE_TOOL_USE, 2, PRE("\"permissionDecision\":\"allow\""), "no", HOOK_SAYS_DENY,
		.reason = "no"},
	{HOOK_USER_PROMPT_SUBMIT, 2, "", "no", HOOK_SAYS_DENY, .reason = "no"},
	{HOOK_POST_TOOL_USE, 2, "", "no", HOOK_SAYS_DENY, .reason = "no"},
	{HOOK_STOP, 2, "", "go on", HOOK_SAYS_DENY, .reason = "go on"},
	{HOOK_SUBAGENT_STOP, 2, "", "go on", HOOK_SAYS_DENY, .reason = "go on"},
	{HOOK_PRE_COMPACT, 2, "", "no", HOOK_SAYS_DENY, .reason = "no"},
	{HOOK_SESSION_START, 2, "", "no", HOOK_SAYS_NOTHING, .message = "no"},
	{HOOK_SESSION_END, 2, "", "no", HOOK_SAYS_NOTHING, .message = "no"},
	{HOOK_POST_COMPACT, 2, "", "no", HOOK_SAYS_NOTHING, .message = "no"},
	{HOOK_SUBAGENT_START, 2, "", "no", HOOK_SAYS_NOTHING, .message = "no"},
	/* Other exits. */
	{HOOK_PRE_TOOL_USE, 1, "", "Traceback", HOOK_SAYS_DENY, .reason = "Traceback"},
	{HOOK_PERMISSION_REQUEST, 127, "", "", HOOK_SAYS_DENY, .reason = "exit code 127"},
	{HOOK_PRE_TOOL_USE, 1, PRE("\"permissionDecision\":\"allow\""), "", HOOK_SAYS_DENY,
		.reason = "exit code 1"},
	{HOOK_USER_PROMPT_SUBMIT, 1, "", "", HOOK_SAYS_NOTHING, .message = "exit code 1"},
	{HOOK_POST_TOOL_USE, 3, "", "", HOOK_SAYS_NOTHING, .message = "exit code 3"},
	/* PreToolUse's verdicts. */
	{HOOK_PRE_TOOL_USE, 0, PRE("\"permissionDecision\":\"allow\""), "", HOOK_SAYS_ALLOW},
	{HOOK_PRE_TOOL_USE, 0,
		PRE("\"permissionDecision\":\"ask\",\"permissionDecisionReason\":\"hm\""), "",
		HOOK_SAYS_ASK, .reason = "hm"},
	{HOOK_PRE_TOOL_USE, 0, PRE("\"permissionDecision\":\"deny\""), "", HOOK_SAYS_DENY,
		.reason = "without a reason"},
	{HOOK_PRE_TOOL_USE, 0, "{\"decision\":\"block\",\"reason\":\"old\"}", "", HOOK_SAYS_DENY,
		.reason = "old"},
	{HOOK_PRE_TOOL_USE, 0, "{\"decision\":\"approve\"}", "", HOOK_SAYS_ALLOW},
	{HOOK_PRE_TOOL_USE, 0, PRE("\"updatedInput\":{\"command\":\"ls\"}"), "", HOOK_SAYS_NOTHING,
		.input = "{\"command\":\"ls\"}"},
	{HOOK_PRE_TOOL_USE, 0,
		PRE("\"permissionDecision\":\"deny\",\"updatedInput\":{\"command\":\"ls\"}"), "",
		HOOK_SAYS_DENY, .reason = "without"},
	{HOOK_PRE_TOOL_USE, 0, PRE("\"additionalContext\":\"c\",\"permissionDecision\":null"), "",
		HOOK_SAYS_NOTHING, .context = "c"},
	{HOOK_PRE_TOOL_USE, 0, "{\"unknown\":1,\"systemMessage\":\"m\"}", "", HOOK_SAYS_NOTHING,
		.message = "m"},
	{HOOK_PRE_TOOL_USE, 0, "{}", "", HOOK_SAYS_NOTHING},
	{HOOK_SESSION_START, 0, "{\"decision\":\"block\",\"reason\":\"told\"}", "",
		HOOK_SAYS_NOTHING, .message = "told"},
	{HOOK_PRE_TOOL_USE, 0, "{\"reason\":\"of nothing\"}", "", HOOK_SAYS_NOTHING},
	/* An allow beside a block: the graver. */
	{HOOK_PRE_TOOL_USE, 0,
		"{\"decision\":\"block\",\"hookSpecificOutput\":{\"hookEventName\":\"PreToolUse\","
		"\"permissionDecision\":\"allow\"}}",
		"", HOOK_SAYS_DENY, .reason = "without"},
	/* "continue": false. */
	{HOOK_PRE_TOOL_USE, 0, "{\"continue\":false,\"stopReason\":\"end\"}", "", HOOK_SAYS_DENY,
		.reason = "end", .stop = true},
	{HOOK_POST_TOOL_USE, 0, "{\"continue\":false}", "", HOOK_SAYS_NOTHING, .stop = true},
	{HOOK_STOP, 0, "{\"continue\":true,\"decision\":\"block\",\"reason\":\"more\"}", "",
		HOOK_SAYS_DENY, .reason = "more"},
	/* PermissionRequest. */
	{HOOK_PERMISSION_REQUEST, 0, REQUEST("\"decision\":{\"behavior\":\"allow\"}"), "",
		HOOK_SAYS_ALLOW},
	{HOOK_PERMISSION_REQUEST, 0,
		REQUEST("\"decision\":{\"behavior\":\"allow\",\"updatedInput\":{\"a\":1}}"), "",
		HOOK_SAYS_ALLOW, .input = "{\"a\":1}"},
	{HOOK_PERMISSION_REQUEST, 0,
		REQUEST("\"decision\":{\"behavior\":\"deny\",\"message\":\"no\","
			"\"interrupt\":true}"),
		"", HOOK_SAYS_DENY, .reason = "no", .stop = true},
	{HOOK_PERMISSION_REQUEST, 0, REQUEST("\"decision\":{\"message\":\"no\"}"), "",
		HOOK_SAYS_DENY, .reason = "no behavior"},
	{HOOK_PERMISSION_REQUEST, 0, REQUEST("\"decision\":{\"behavior\":\"ask\"}"), "",
		HOOK_SAYS_DENY, .reason = "neither allow nor deny"},
	{HOOK_PERMISSION_REQUEST, 0, REQUEST("\"decision\":\"allow\""), "", HOOK_SAYS_DENY,
		.reason = "no object"},
	/* Malformed. */
	{HOOK_PRE_TOOL_USE, 0, "{", "", HOOK_SAYS_DENY, .reason = "malformed"},
	{HOOK_PRE_TOOL_USE, 0, "{} {}", "", HOOK_SAYS_DENY, .reason = "malformed"},
	{HOOK_PRE_TOOL_USE, 0, "{\"decision\":\"approve\",\"decision\":\"block\"}", "",
		HOOK_SAYS_DENY, .reason = "malformed"},
	{HOOK_PRE_TOOL_USE, 0, "[]", "", HOOK_SAYS_DENY, .reason = "no object"},
	{HOOK_PRE_TOOL_USE, 0, "{\"decision\":true}", "", HOOK_SAYS_DENY, .reason = "no string"},
	{HOOK_PRE_TOOL_USE, 0, "{\"decision\":\"defer\"}", "", HOOK_SAYS_DENY, .reason = "neither"},
	{HOOK_PRE_TOOL_USE, 0, "{\"continue\":\"no\"}", "", HOOK_SAYS_DENY, .reason = "no boolean"},
	{HOOK_PRE_TOOL_USE, 0, PRE("\"permissionDecision\":\"Allow\""), "", HOOK_SAYS_DENY,
		.reason = "none of"},
	{HOOK_PRE_TOOL_USE, 0, PRE("\"updatedInput\":\"ls\""), "", HOOK_SAYS_DENY,
		.reason = "no object"},
	{HOOK_PRE_TOOL_USE, 0, "{\"hookSpecificOutput\":{\"permissionDecision\":\"allow\"}}", "",
		HOOK_SAYS_DENY, .reason = "hookEventName"},
	{HOOK_PRE_TOOL_USE, 0, SPECIFIC("PostToolUse", "\"permissionDecision\":\"allow\""), "",
		HOOK_SAYS_DENY, .reason = "hookEventName"},
	{HOOK_PRE_TOOL_USE, 0, "debug\n{\"decision\":\"block\"}", "", HOOK_SAYS_DENY,
		.reason = "beside its JSON"},
	{HOOK_PRE_TOOL_USE, 0, "debug \"permissionDecision\": \"deny\"", "", HOOK_SAYS_DENY,
		.reason = "beside its JSON"},
	{HOOK_USER_PROMPT_SUBMIT, 0, "{", "", HOOK_SAYS_NOTHING, .message = "malformed"},
	{HOOK_USER_PROMPT_SUBMIT, 0, "notes:\n{a}", "", HOOK_SAYS_NOTHING, .context = "{a}"},
	{HOOK_POST_TOOL_USE, 0, "{\"decision\":\"perhaps\"}", "", HOOK_SAYS_NOTHING,
		.message = "neither"},
};

static void assert_text(const char *text, const char *part, const struct answer *answer)
{
	bool fits = part ? text && strstr(text, part) : !text;
	if (!fits)
		fail_msg("event %s, output %s: \"%s\" instead of \"%s\"",
			hook_event_name(answer->event), answer->output, text ? text : "(none)",
			part ? part : "(none)");
}

static void test_answers(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(answers); i++) {
		const struct answer *answer = &answers[i];
		struct hook_end end = {.code = answer->code,
			.output = answer->output,
			.output_bytes = strlen(answer->output),
			.complaint = answer->complaint,
			.complaint_bytes = strlen(answer->complaint)};
		struct hook_outcome outcome;
		assert_int_equal(hook_answer(answer->event, &end, "`h`", false, &outcome), 0);
		if (outcome.says != answer->says)
			fail_msg("event %s, output %s: says %d, not %d",
				hook_event_name(answer->event), answer->output, outcome.says,
				answer->says);
		assert_text(outcome.reason, answer->reason, answer);
		assert_text(outcome.context, answer->context, answer);
		assert_text(outcome.message, answer->message, answer);
		char *input = outcome.updated_input
				      ? json_dumps(outcome.updated_input, JSON_COMPACT)
				      : NULL;
		assert_text(input, answer->input, answer);
		free(input);
		assert_int_equal(outcome.stop, answer->stop);
		assert_int_equal(outcome.stop, outcome.stop_reason != NULL);
		assert_int_equal(outcome.ran, 1);
		hook_outcome_release(&outcome);
	}
}

/* However it fails: blocks where it can, unless the hook says otherwise; is noted elsewhere. */
static void test_failures(void **state)
{
	(void)state;
	static const struct hook_end ends[] = {
		{HOOK_EXITED, 1, "", "", 0, 0, NULL},
		{HOOK_SIGNALED, 9, "", "", 0, 0, NULL},
		{HOOK_TIMED_OUT, 0, "", "", 0, 0, NULL},
		{HOOK_SAID_TOO_MUCH, 0, "", "", 0, 0, NULL},
		{HOOK_NOT_RUN, 0, "", "", 0, 0, "no reason"},
		{HOOK_EXITED, 0, "{", "", 1, 0, NULL},
	};
	for (size_t i = 0; i < ARRAY_SIZE(ends); i++)
		for (int event = 0; event < HOOK_EVENTS; event++)
			for (int allow = 0; allow < 2; allow++) {
				bool closed = event == HOOK_PRE_TOOL_USE ||
					      event == HOOK_PERMISSION_REQUEST;
				struct hook_outcome outcome;
				assert_int_equal(hook_answer((enum hook_event)event, &ends[i],
							 "`h`", allow, &outcome),
					0);
				bool denied = outcome.says == HOOK_SAYS_DENY;
				assert_int_equal(denied, closed && !allow);
				const char *said = denied ? outcome.reason : outcome.message;
				assert_non_null(said);
				assert_non_null(strstr(said, "`h`"));
				hook_outcome_release(&outcome);
			}
}

static void answer_of(const char *output, struct hook_outcome *ret)
{
	struct hook_end end = {.output = output, .output_bytes = strlen(output), .complaint = ""};
	assert_int_equal(hook_answer(HOOK_PRE_TOOL_USE, &end, "`h`", false, ret), 0);
}

static void test_merging(void **state)
{
	(void)state;
	struct hook_outcome whole = {0}, part;
	answer_of(PRE("\"permissionDecision\":\"allow\",\"updatedInput\":{\"a\":1}"), &part);
	assert_int_equal(hook_outcome_merge(&whole, &part), 0);
	answer_of(PRE("\"additionalContext\":\"one\",\"updatedInput\":{\"a\":1}"), &part);
	assert_int_equal(hook_outcome_merge(&whole, &part), 0);
	assert_int_equal(whole.says, HOOK_SAYS_ALLOW);
	assert_non_null(whole.updated_input);
	answer_of(PRE("\"additionalContext\":\"two\",\"permissionDecision\":\"ask\","
		      "\"permissionDecisionReason\":\"why\""),
		&part);
	assert_int_equal(hook_outcome_merge(&whole, &part), 0);
	assert_int_equal(whole.says, HOOK_SAYS_ASK);
	assert_string_equal(whole.reason, "why");
	assert_string_equal(whole.context, "one\n\ntwo");
	/* Another input than the first: nobody wrote what would run. */
	answer_of(PRE("\"updatedInput\":{\"a\":2}"), &part);
	assert_int_equal(hook_outcome_merge(&whole, &part), 0);
	assert_int_equal(whole.says, HOOK_SAYS_DENY);
	assert_null(whole.updated_input);
	/* And a refused call stays without one. */
	answer_of(PRE("\"updatedInput\":{\"a\":2}"), &part);
	assert_int_equal(hook_outcome_merge(&whole, &part), 0);
	assert_null(whole.updated_input);
	assert_int_equal(whole.ran, 5);
	hook_outcome_release(&whole);
}

static void test_long_texts_are_cut(void **state)
{
	(void)state;
	size_t length = 4 * MAX_HOOK_TEXT_BYTES;
	char *text = malloc(length + 1);
	assert_non_null(text);
	memset(text, 'x', length);
	text[length] = '\0';
	char *cut = hook_text(text, length);
	assert_non_null(cut);
	assert_true(strlen(cut) < MAX_HOOK_TEXT_BYTES + 16);
	assert_non_null(strstr(cut, "[cut]"));
	free(cut);
	free(text);
}

/* ---- matchers ---- */

static void test_matchers(void **state)
{
	(void)state;
	static const struct {
		const char *matcher, *subject;
		bool takes;
	} cases[] = {
		{NULL, "Bash", true},
		{"", "Bash", true},
		{"*", "Bash", true},
		{"Bash", "Bash", true},
		{"Bash", "BashOutput", false},
		{"Bash", "bash", false},
		{"Edit|Write", "Write", true},
		{"Edit|Write", "MultiEdit", false},
		{"^Bash$", "Bash", true},
		{"^Bash$", "BashOutput", false},
		{"^Bash", "BashOutput", true},
		{"^mcp__", "mcp__files__read", true},
		{"mcp__files", "mcp__files__read", false},
		{"Edit|Writ", "Write", false},
		{"Edit||Write", "Write", true},
		{"|", "Write", false},
		{"Notebook.*", "NotebookEdit", true},
		{"mcp__.*__write.*", "mcp__files__write_file", true},
		{"(Edit|Write)", "Edit", true},
		{"startup|resume", "clear", false},
		{"Bash", NULL, true},
	};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_int_equal(
			hook_matcher_takes(cases[i].matcher, cases[i].subject), cases[i].takes);
	static const char *const faulty[] = {"(", "[", "a{2}", "(a)\\1", "*a|("};
	for (size_t i = 0; i < ARRAY_SIZE(faulty); i++) {
		struct error error = {0};
		assert_true(hook_matcher_check(faulty[i], &error) < 0);
		assert_non_null(strstr(error.message, "matcher"));
		/* If one came through all the same, it would be a hook too many. */
		assert_true(hook_matcher_takes(faulty[i], "anything"));
	}
}

/* ---- files ---- */

static char directory[] = "/tmp/coffer-hooks-XXXXXX";

static void put(const char *name, const char *content)
{
	char path[256];
	snprintf(path, sizeof(path), "%s/%s", directory, name);
	FILE *file = fopen(path, "we");
	assert_non_null(file);
	fputs(content, file);
	fclose(file);
}

static int set_up(void **state)
{
	(void)state;
	assert_non_null(mkdtemp(directory));
	put("a.py", "print(1)\n");
	put("b.sh", "echo 2\n");
	put("it's $x.sh", "echo 3\n");
	put("data.json", "{}\n");
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	static const char *const names[] = {"a.py", "b.sh", "it's $x.sh", "data.json"};
	char path[256];
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		snprintf(path, sizeof(path), "%s/%s", directory, names[i]);
		unlink(path);
	}
	return rmdir(directory);
}

/* The names, below the directory, that a line covers, each followed by a blank. */
static void test_files_of_a_line(void **state)
{
	(void)state;
	static const struct {
		const char *line, *covers;
	} cases[] = {
		{"./a.py", "a.py "},
		{"a.py", ""}, /* found by PATH, which does not hold the workspace */
		{"python3 a.py", "a.py "},
		{"python3.11 -u ./a.py x", "a.py "},
		{"python3 -u a.py data.json", "a.py data.json "},
		{"python3 a.py data.json", "a.py "},
		{"node --require ./b.sh ./a.py data.json", "b.sh a.py "},
		{"/usr/bin/env FOO=1 python3 a.py", "a.py "},
		{"uv run a.py", "a.py "},
		{"timeout 5 ./b.sh", "b.sh "},
		{"FOO=1 ./b.sh", "b.sh "},
		{"\"$CLAUDE_PROJECT_DIR\"/b.sh", "b.sh "},
		{"\"${COFFER_PROJECT_DIR}/b.sh\"", "b.sh "},
		{"$HOME/b.sh", "b.sh "},
		{"~/b.sh", "b.sh "},
		{"'./b.sh'", "b.sh "},
		{"./it\\'s\\ \\$x.sh", "it's $x.sh "},
		{"\"./it's \\$x.sh\"", "it's $x.sh "},
		{"cd / && ./b.sh || ./a.py; (./b.sh) | ./a.py", "b.sh a.py b.sh a.py "},
		{"if true; then ./b.sh; fi", "b.sh "},
		{"jq . > ./data.json", ""},
		{"jq . data.json", ""},
		{"bash < ./b.sh", ""},
		{"bash ./b.sh # ./a.py\n./a.py", "b.sh a.py "},
		{"echo $(./b.sh)", ""},
		{"./b.sh `./a.py`", "b.sh "},
		{"$UNKNOWN/b.sh", ""},
		{"./*.sh", ""},
		{"echo \"unfinished", ""},
		{"/usr/bin/python3 /usr/bin/true ./a.py", ""},
	};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct config_hook hook = {.command = (char *)cases[i].line};
		struct hook_files files;
		struct error error = {0};
		int r = hook_files_read(&hook, directory, directory, &files, &error);
		if (r < 0)
			fail_msg("%s: %s", cases[i].line, error.message);
		char covers[512] = "";
		for (size_t k = 0; k < files.count; k++) {
			size_t used = strlen(covers);
			snprintf(covers + used, sizeof(covers) - used, "%s ",
				files.items[k].path + strlen(directory) + 1);
		}
		if (strcmp(covers, cases[i].covers) != 0)
			fail_msg("%s: covers \"%s\", not \"%s\"", cases[i].line, covers,
				cases[i].covers);
		hook_files_release(&files);
	}
}

static void test_a_program_that_is_not_there(void **state)
{
	(void)state;
	static const char *const lines[] = {
		"./gone.sh", "\"$HOME\"/gone --x", "/nowhere/gone", "./"};
	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		struct config_hook hook = {
			.command = (char *)lines[i], .place = {"coffer.toml", 7, 1, LAYER_PROJECT}};
		struct hook_files files;
		struct error error = {0};
		assert_int_equal(
			hook_files_read(&hook, directory, directory, &files, &error), -ENOENT);
		assert_non_null(strstr(error.message, "coffer.toml:7"));
	}
	/* The user's own hook may be for another project. */
	struct config_hook hook = {
		.command = (char *)"./gone.sh", .place = {"coffer.toml", 7, 1, LAYER_USER}};
	struct hook_files files;
	struct error error = {0};
	assert_int_equal(hook_files_read(&hook, directory, directory, &files, &error), 0);
	assert_non_null(strstr(files.missing, "gone.sh"));
	hook_files_release(&files);
	/* Without a workspace, what is relative cannot be looked for. */
	assert_int_equal(hook_files_read(&hook, NULL, NULL, &files, &error), 0);
	assert_null(files.missing);
	assert_int_equal(files.count, 0);
	hook_files_release(&files);
}

static void hash_of(const struct config_hook *hook, char ret[SHA256_HEX_BYTES])
{
	struct error error = {0};
	assert_int_equal(hook_hash(hook, directory, directory, ret, &error), 0);
}

static void test_every_part_is_hashed(void **state)
{
	(void)state;
	char *writes[] = {(char *)"/x", NULL};
	char *words[] = {(char *)"python3", (char *)"a.py", NULL};
	struct config_hook base = {.event = HOOK_PRE_TOOL_USE, .command = (char *)"./b.sh one"};
	struct config_hook hooks[] = {base, base, base, base, base, base, base, base};
	hooks[1].event = HOOK_STOP;
	hooks[2].matcher = (char *)"Bash";
	hooks[3].command = (char *)"./b.sh two";
	hooks[4].unboxed = true;
	hooks[5].on_error_allow = true;
	hooks[6].writes = (struct strv){writes, 1, 1};
	hooks[7].command = NULL;
	hooks[7].argv = (struct strv){words, 2, 2};
	char hashes[ARRAY_SIZE(hooks) + 1][SHA256_HEX_BYTES];
	for (size_t i = 0; i < ARRAY_SIZE(hooks); i++)
		hash_of(&hooks[i], hashes[i]);
	put("b.sh", "echo changed\n");
	hash_of(&base, hashes[ARRAY_SIZE(hooks)]);
	for (size_t i = 0; i <= ARRAY_SIZE(hooks); i++)
		for (size_t k = 0; k < i; k++)
			assert_string_not_equal(hashes[i], hashes[k]);
	put("b.sh", "echo 2\n");
	char again[SHA256_HEX_BYTES];
	hash_of(&base, again);
	assert_string_equal(again, hashes[0]);
	/* How long it may take is no matter of trust. */
	base.timeout_ms = 5;
	hash_of(&base, again);
	assert_string_equal(again, hashes[0]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_answers),
		cmocka_unit_test(test_failures),
		cmocka_unit_test(test_merging),
		cmocka_unit_test(test_long_texts_are_cut),
		cmocka_unit_test(test_matchers),
		cmocka_unit_test(test_files_of_a_line),
		cmocka_unit_test(test_a_program_that_is_not_there),
		cmocka_unit_test(test_every_part_is_hashed),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
