/* Who is asked, in which order, and what is remembered. Hooks, the reviewer and the approver are
 * made up here; each notes that it was asked. */
#include "gate/settle.h"

#include "base/cleanup.h"
#include "gate/hooks.h"
#include "gate/review.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static struct {
	char asked[64]; /* "hook reviewer person " */
	struct hook_outcome hook;
	int hook_error, review_error, ask_error, load_error;
	enum verdict review;
	struct approval_answer answer;
	char *changed; /* the hook's command */
} fake;

static char *copy(const char *text)
{
	return text ? strdup(text) : NULL;
}

static void note(const char *who)
{
	strncat(fake.asked, who, sizeof(fake.asked) - strlen(fake.asked) - 1);
}

int hooks_fire(struct hooks *hooks, enum hook_event event, const char *subject, json_t *fields,
	struct hook_outcome *ret, struct error *error)
{
	assert_non_null(hooks);
	assert_int_equal(event, HOOK_PERMISSION_REQUEST);
	assert_string_equal(subject, "Bash");
	assert_string_equal(json_string_value(json_object_get(fields, "tool_name")), "Bash");
	const json_t *input = json_object_get(fields, "tool_input");
	assert_string_equal(json_string_value(json_object_get(input, "command")), "rm -rf 'a b'");
	note("hook ");
	*ret = fake.hook;
	ret->reason = copy(fake.hook.reason);
	if (fake.changed)
		ret->updated_input = json_pack("{s:s}", "command", fake.changed);
	return fake.hook_error ? error_set(error, EIO, "hooks", "crashed") : 0;
}

void hook_outcome_release(struct hook_outcome *outcome)
{
	free(outcome->reason);
	json_decref(outcome->updated_input);
}

int review_check_place(const struct config_reviewer *reviewer, const struct gate_request *request,
	struct error *error)
{
	(void)reviewer, (void)request, (void)error;
	return 0;
}

int review_request(const struct config_reviewer *reviewer, const struct approval_request *request,
	struct review *ret, struct error *error)
{
	(void)reviewer;
	assert_non_null(request->decision);
	note("reviewer ");
	*ret = (struct review){.rationale = copy("it says so")};
	return fake.review_error ? error_set(error, ETIME, "review", "no answer") : 0;
}

enum verdict review_verdict(const struct review *review)
{
	(void)review;
	return fake.review;
}

void review_release(struct review *review)
{
	free(review->rationale);
}

bool review_history_add(struct review_history *history, bool refused)
{
	history->in_a_row = refused ? history->in_a_row + 1 : 0;
	return history->in_a_row == 3;
}

int config_load(const struct config_where *where, struct config **ret, struct strv *problems,
	struct error *error)
{
	(void)where, (void)problems;
	*ret = NULL;
	return fake.load_error ? error_set(error, EINVAL, "config", "bad") : 0;
}

void config_free(struct config *config)
{
	assert_null(config);
}

static int ask(struct approver *approver, const struct approval_request *request,
	struct approval_answer *ret, struct error *error)
{
	(void)approver, (void)request;
	note("person ");
	*ret = fake.answer;
	ret->reason = copy(fake.answer.reason);
	return fake.ask_error ? error_set(error, EIO, "terminal", "gone") : 0;
}

/* --- what is asked about ---------------------------------------------------------------------- */

static char *words[] = {"rm", "-rf", "a b", NULL};
static struct gate_part part = {.argv = {.items = words, .count = 3}};
static struct analysis analysis = {.parts = &part, .count = 1};
static struct gate_request request = {
	.argv = words, .directory = "/w", .mode = MODE_WORKSPACE_WRITE};
static struct part_decision decided = {.verdict = VERDICT_ASK, .id = "x"};
static struct gate_decision decision = {.verdict = VERDICT_ASK,
	.reason = "it deletes",
	.canonical = "key",
	.analysis = &analysis,
	.parts = &decided,
	.parts_count = 1,
	.rule_prefix = {.items = words, .count = 2}};
static struct approval_request question = {
	.request = &request, .decision = &decision, .suggest_rule = true};
static struct config config;
static struct approver person = {.ask = ask};
static struct settle_context context;
static struct approval_answer got;

static int reset(void **state)
{
	(void)state;
	memset(&fake, 0, sizeof(fake));
	fake.answer = (struct approval_answer){.kind = ANSWER_ONCE, .by = "person"};
	config = (struct config){.reviewer.kind = REVIEWER_PERSON};
	context = (struct settle_context){.config = &config, .approver = &person};
	decision.verdict = VERDICT_ASK;
	got = (struct approval_answer){.kind = ANSWER_ONCE, .by = "test"};
	return session_answers_new(&context.answers);
}

static int end(void **state)
{
	(void)state;
	session_answers_free(context.answers);
	approval_answer_release(&got);
	return 0;
}

static void settle(enum answer_kind kind, const char *by, const char *asked)
{
	struct error error = {0};
	approval_answer_release(&got);
	fake.asked[0] = '\0';
	assert_int_equal(gate_settle(&context, &question, &got, &error), 0);
	assert_int_equal(got.kind, kind);
	assert_string_equal(got.by, by);
	assert_string_equal(fake.asked, asked);
}

static void with_hooks(void)
{
	context.hooks = (struct hooks *)&fake;
}

static void with_reviewer(enum verdict verdict)
{
	config.reviewer.kind = REVIEWER_BUILTIN;
	fake.review = verdict;
}

/* --- tests ------------------------------------------------------------------------------------ */

static void decided_needs_nobody(void **state)
{
	(void)state;
	with_hooks();
	with_reviewer(VERDICT_ALLOW);
	decision.verdict = VERDICT_FORBID;
	settle(ANSWER_NO, "gate", "");
	assert_string_equal(got.reason, "it deletes");
	decision.verdict = VERDICT_ALLOW;
	settle(ANSWER_ONCE, "gate", "");
}

static void nobody_is_there(void **state)
{
	(void)state;
	context.approver = NULL;
	settle(ANSWER_NO, "nobody", "");
	assert_non_null(strstr(got.reason, "nobody is there"));
	session_answers_free(context.answers);
	context.answers = NULL;
	settle(ANSWER_NO, "nobody", "");
}

static void a_person_is_asked_last(void **state)
{
	(void)state;
	with_hooks();
	with_reviewer(VERDICT_ASK);
	settle(ANSWER_ONCE, "person", "hook reviewer person ");
	fake.ask_error = 1;
	settle(ANSWER_NO, "nobody", "hook reviewer person ");
	assert_non_null(strstr(got.reason, "gone"));
}

static void hooks_decide(void **state)
{
	(void)state;
	with_hooks();
	with_reviewer(VERDICT_ALLOW);
	fake.hook = (struct hook_outcome){.says = HOOK_SAYS_DENY, .reason = "because"};
	settle(ANSWER_NO, "hook", "hook ");
	assert_string_equal(got.reason, "because");
	fake.hook = (struct hook_outcome){.says = HOOK_SAYS_ALLOW};
	settle(ANSWER_ONCE, "hook", "hook ");
	fake.hook.stop = true;
	settle(ANSWER_STOP, "hook", "hook ");
	fake.hook = (struct hook_outcome){.says = HOOK_SAYS_ALLOW};
	fake.hook_error = 1;
	settle(ANSWER_NO, "hook", "hook ");
	fake.hook_error = 0;
	fake.hook.says = HOOK_SAYS_ASK;
	settle(ANSWER_ONCE, "reviewer", "hook reviewer ");
}

static void a_hook_changes_the_command(void **state)
{
	(void)state;
	with_hooks();
	fake.changed = "rm -i 'a b'";
	fake.hook.says = HOOK_SAYS_ALLOW;
	settle(ANSWER_EDIT, "hook", "hook ");
	assert_int_equal(got.argv.count, 3);
	assert_string_equal(got.argv.items[2], "rm -i 'a b'");
	fake.changed = "rm -rf 'a b'"; /* as it was: no change */
	settle(ANSWER_ONCE, "hook", "hook ");
	fake.changed = "";
	settle(ANSWER_NO, "hook", "hook ");
	/* A hook that denies has said more than how it would be better. */
	fake.changed = "true";
	fake.hook.says = HOOK_SAYS_DENY;
	settle(ANSWER_NO, "hook", "hook ");
}

static void the_reviewer_decides(void **state)
{
	(void)state;
	with_reviewer(VERDICT_ALLOW);
	settle(ANSWER_ONCE, "reviewer", "reviewer ");
	with_reviewer(VERDICT_FORBID);
	settle(ANSWER_NO, "reviewer", "reviewer ");
	assert_string_equal(got.reason, "it says so");
	with_reviewer(VERDICT_ALLOW);
	fake.review_error = 1;
	settle(ANSWER_NO, "reviewer", "reviewer ");
	fake.review_error = 0;
	with_reviewer(VERDICT_ASK);
	context.approver = NULL;
	settle(ANSWER_NO, "nobody", "reviewer ");
}

static void refusals_in_a_row_stop(void **state)
{
	(void)state;
	struct review_history history = {0};
	context.history = &history;
	with_reviewer(VERDICT_FORBID);
	settle(ANSWER_NO, "reviewer", "reviewer ");
	settle(ANSWER_NO, "reviewer", "reviewer ");
	settle(ANSWER_STOP, "reviewer", "reviewer ");
	assert_non_null(strstr(got.reason, "it says so"));
	/* What a person refuses is not counted against the reviewer. */
	history = (struct review_history){0};
	with_reviewer(VERDICT_ASK);
	fake.answer.kind = ANSWER_NO;
	for (int i = 0; i < 5; i++)
		settle(ANSWER_NO, "person", "reviewer person ");
	context.approver = NULL;
	settle(ANSWER_NO, "nobody", "reviewer ");
	settle(ANSWER_NO, "nobody", "reviewer ");
	settle(ANSWER_STOP, "nobody", "reviewer ");
}

static void session_answers_hold_for_the_key(void **state)
{
	(void)state;
	settle(ANSWER_ONCE, "person", "person ");
	settle(ANSWER_ONCE, "person", "person ");
	fake.answer.kind = ANSWER_SESSION;
	settle(ANSWER_SESSION, "person", "person ");
	settle(ANSWER_SESSION, "session", "");
	decision.canonical = "another key";
	settle(ANSWER_SESSION, "person", "person ");
	decision.canonical = "key";
	/* What is forbidden by now stays so. */
	decision.verdict = VERDICT_FORBID;
	settle(ANSWER_NO, "gate", "");
}

static void without_a_session_it_is_once(void **state)
{
	(void)state;
	session_answers_free(context.answers);
	context.answers = NULL;
	fake.answer.kind = ANSWER_SESSION;
	settle(ANSWER_ONCE, "person", "person ");
	settle(ANSWER_ONCE, "person", "person ");
}

static void a_no_is_not_remembered(void **state)
{
	(void)state;
	static const enum answer_kind kinds[] = {ANSWER_NO, ANSWER_STOP, ANSWER_EDIT};
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		fake.answer.kind = kinds[i];
		if (kinds[i] == ANSWER_EDIT) /* without a command */
			settle(ANSWER_NO, "person", "person ");
		else
			settle(kinds[i], "person", "person ");
		assert_false(session_answers_hold(context.answers, "key"));
	}
	json_t *novelty = session_answers_novelty(context.answers, &question);
	assert_true(json_is_null(novelty));
	json_decref(novelty);
}

static void always_writes_the_rule(void **state)
{
	(void)state;
	char file[] = "/tmp/coffer-settle-XXXXXX", text[4096] = "";
	close(mkstemp(file));
	context.user_rules = file;
	fake.answer.kind = ANSWER_ALWAYS;
	settle(ANSWER_ALWAYS, "person", "person ");
	FILE *written = fopen(file, "r");
	assert_non_null(written);
	assert_true(fread(text, 1, sizeof(text) - 1, written) > 0);
	fclose(written);
	assert_non_null(strstr(text, "[[rule]]\nprefix = [\"rm\", \"-rf\"]\nin = \"/w\"\n"));
	settle(ANSWER_SESSION, "session", "");
	unlink(file);
}

static void a_rule_that_cannot_be_written_is_a_yes_for_the_session(void **state)
{
	(void)state;
	char file[] = "/tmp/coffer-settle-XXXXXX";
	close(mkstemp(file));
	context.user_rules = file;
	fake.answer.kind = ANSWER_ALWAYS;
	fake.load_error = 1;
	settle(ANSWER_SESSION, "person", "person ");
	assert_non_null(strstr(got.reason, "no rule was written: bad"));
	decision.canonical = "key 2";
	question.suggest_rule = false; /* a host that answers what was not offered */
	fake.load_error = 0;
	settle(ANSWER_SESSION, "person", "person ");
	question.suggest_rule = true;
	decision.canonical = "key";
	FILE *written = fopen(file, "r");
	assert_int_equal(fgetc(written), EOF);
	fclose(written);
	unlink(file);
}

static void what_is_new_is_known(void **state)
{
	(void)state;
	char *other[] = {"rm", "-i", "a b", NULL};
	settle(ANSWER_ONCE, "person", "person ");
	part.argv.items = other;
	json_t *new = session_answers_novelty(context.answers, &question);
	const json_t *first = json_array_get(json_object_get(new, "parts"), 0);
	assert_true(json_is_false(json_object_get(new, "directory")));
	assert_true(json_is_false(json_object_get(first, "program")));
	const json_t *new_words = json_object_get(first, "words");
	assert_int_equal(json_array_size(new_words), 1);
	assert_string_equal(json_string_value(json_array_get(new_words, 0)), "-i");
	json_decref(new);
	/* The same, told by another process. */
	json_t *told = approval_request_json(&question);
	session_answers_note_json(context.answers, told);
	json_decref(told);
	new = session_answers_novelty(context.answers, &question);
	assert_int_equal(json_array_size(json_object_get(new, "parts")), 0);
	json_decref(new);
	part.argv.items = words;
	request.directory = "/elsewhere";
	request.asks = &(struct grant){.kind = GRANT_NETWORK, .value = "example.com"};
	request.asks_count = 1;
	new = session_answers_novelty(context.answers, &question);
	assert_int_equal(json_array_size(json_object_get(new, "parts")), 0);
	assert_true(json_is_true(json_object_get(new, "directory")));
	assert_int_equal(json_array_size(json_object_get(new, "asks")), 1);
	json_decref(new);
	request.directory = "/w";
	request.asks = NULL;
	request.asks_count = 0;
}

static void answers_are_bounded(void **state)
{
	(void)state;
	char key[32];
	int r = 0, added = 0;
	for (; r == 0 && added < 100000; added++) {
		snprintf(key, sizeof(key), "key %d", added);
		r = session_answers_add(context.answers, key);
	}
	assert_int_equal(r, -ENOBUFS);
	assert_true(session_answers_hold(context.answers, "key 0"));
	assert_false(session_answers_hold(context.answers, key));
	assert_false(session_answers_hold(context.answers, NULL));
	assert_int_equal(session_answers_add(context.answers, ""), -EINVAL);
	/* No room to remember: once, not an error and not for ever. */
	fake.answer.kind = ANSWER_SESSION;
	settle(ANSWER_ONCE, "person", "person ");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, reset, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(decided_needs_nobody),
		TEST(nobody_is_there),
		TEST(a_person_is_asked_last),
		TEST(hooks_decide),
		TEST(a_hook_changes_the_command),
		TEST(the_reviewer_decides),
		TEST(refusals_in_a_row_stop),
		TEST(session_answers_hold_for_the_key),
		TEST(without_a_session_it_is_once),
		TEST(a_no_is_not_remembered),
		TEST(always_writes_the_rule),
		TEST(a_rule_that_cannot_be_written_is_a_yes_for_the_session),
		TEST(what_is_new_is_known),
		TEST(answers_are_bounded),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
