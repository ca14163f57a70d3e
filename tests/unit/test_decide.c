/* Decisions: grants and what shares them, keys of answers, suggested rules, asks, bounds. */
#include "base/cleanup.h"
#include "base/limits.h"
#include "gate/decide.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static char *npm[] = {"npm", NULL}, *install[] = {"install", NULL}, *test[] = {"test", NULL};
static char *make[] = {"make", NULL};
static struct rule_word npm_install[] = {{{npm, 1, 2}}, {{install, 1, 2}}};
static struct rule_word npm_test[] = {{{npm, 1, 2}}, {{test, 1, 2}}};
static struct rule_word just_make[] = {{{make, 1, 2}}};
static struct grant network[] = {{GRANT_NETWORK, "registry.example"}, {GRANT_WRITE, "/opt/cache"}};
static struct config_rule rules[] = {
	{.prefix = npm_install,
		.prefix_count = 2,
		.decision = VERDICT_ALLOW,
		.grants = network,
		.grants_count = 2},
	{.prefix = npm_test, .prefix_count = 2, .decision = VERDICT_ALLOW},
	{.prefix = just_make,
		.prefix_count = 1,
		.decision = VERDICT_ASK,
		.reason = "it \x1b[2J is slow"},
};
static const struct config config = {.rules = rules, .rules_count = ARRAY_SIZE(rules)};
static char *roots[] = {"/w", NULL};

static struct gate_request request_of(const char *policy)
{
	struct gate_request request = {.directory = "/w",
		.mode = MODE_WORKSPACE_WRITE,
		.writable_roots = roots,
		.home = "/home/me",
		.path = "/usr/bin:/bin"};
	assert_int_equal(approval_parse(policy, &request.approval, NULL), 0);
	return request;
}

static struct gate_decision *decide_with(const struct gate_request *request, const char *line)
{
	struct gate_decision *decision = NULL;
	struct error error = {0};
	if (gate_decide_script(&config, request, line, strlen(line), &decision, &error) < 0)
		fail_msg("%.60s: %s", line, error.message);
	return decision;
}

static struct gate_decision *decide(const char *line)
{
	struct gate_request request = request_of("on-request");
	return decide_with(&request, line);
}

static size_t count_grants(const char *line)
{
	struct gate_decision *decision = decide(line);
	size_t count = decision->grants_count;
	gate_decision_free(decision);
	return count;
}

static void grants_hold_only_where_nobody_shares_them_unasked(void **state)
{
	(void)state;
	assert_int_equal(count_grants("npm install"), 2);
	assert_int_equal(count_grants("npm install && npm test"), 2);
	assert_int_equal(count_grants("npm install | tail -5"), 2);
	assert_int_equal(count_grants("npm test"), 0);
	/* Something that no rule allows would get the network with it. */
	assert_int_equal(count_grants("npm install; ./x"), 0);
	assert_int_equal(count_grants("npm install & other"), 0);
	assert_int_equal(count_grants("npm install $(other)"), 0);
	assert_int_equal(count_grants("npm install; make"), 0);
	assert_int_equal(count_grants("FOO=1 npm install"), 0);
	assert_int_equal(count_grants("env npm install"), 2);
}

static void a_granted_directory_may_be_redirected_to(void **state)
{
	(void)state;
	static const struct {
		const char *line;
		enum verdict verdict;
	} cases[] = {
		{"npm install > /opt/cache/log", VERDICT_ALLOW},
		{"npm install > /opt/other", VERDICT_ASK},
		{"npm test > /opt/cache/log", VERDICT_ASK},
		{"npm install > /opt/cache/log; ./x", VERDICT_ASK},
		{"npm install > /opt/cache/../x", VERDICT_ASK},
	};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct gate_decision *decision = decide(cases[i].line);
		if (decision->verdict != cases[i].verdict)
			fail_msg("%s: %s", cases[i].line, decision->reason);
		gate_decision_free(decision);
	}
}

static void asks_are_asked_for_unless_a_rule_grants_them(void **state)
{
	(void)state;
	struct gate_request request = request_of("on-request");
	struct grant *asks = NULL;
	size_t count = 0;
	assert_int_equal(
		grants_parse("net=registry.example,write=/opt/cache/x", "/w", &asks, &count, NULL),
		0);
	request.asks = asks;
	request.asks_count = count;
	struct gate_decision *decision = decide_with(&request, "npm install");
	assert_int_equal(decision->verdict, VERDICT_ALLOW);
	assert_int_equal(decision->parts_count, 3);
	gate_decision_free(decision);
	decision = decide_with(&request, "ls");
	assert_int_equal(decision->verdict, VERDICT_ASK);
	assert_int_equal(decision->category, CATEGORY_NETWORK);
	assert_int_equal(decision->grants_count, 2);
	assert_non_null(strstr(decision->reason, "registry.example"));
	assert_int_equal(decision->parts[1].part, SIZE_MAX);
	gate_decision_free(decision);
	assert_int_equal(approval_parse("never", &request.approval, NULL), 0);
	decision = decide_with(&request, "ls");
	assert_int_equal(decision->verdict, VERDICT_FORBID);
	gate_decision_free(decision);
	grants_free(asks, count);
}

static void what_may_be_asked_for(void **state)
{
	(void)state;
	struct grant *asks = NULL;
	size_t count = 0;
	struct error error = {0};
	assert_int_equal(grants_parse("write=out,secret=../k,unsandboxed,net=h:443", "/w/x", &asks,
				 &count, &error),
		0);
	assert_int_equal(count, 4);
	assert_string_equal(asks[0].value, "/w/x/out");
	assert_string_equal(asks[1].value, "/w/k");
	assert_null(asks[2].value);
	assert_string_equal(asks[3].value, "h:443");
	/* The same twice is once. */
	assert_int_equal(grants_parse("write=./out", "/w/x", &asks, &count, &error), 0);
	assert_int_equal(count, 4);
	static const char *const wrong[] = {"", "write", "write=", "unsandboxed=1",
		"net=", "everything", "write=a,,net=b", "Net=x"};
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
		if (grants_parse(wrong[i], "/w", &asks, &count, &error) != -EINVAL)
			fail_msg("'%s' was taken", wrong[i]);
	grants_free(asks, count);
}

static char *key_of(
	const char *line, const char *directory, enum policy_mode mode, const char *asked)
{
	struct gate_request request = request_of("on-request");
	struct grant *asks = NULL;
	size_t count = 0;
	if (asked)
		assert_int_equal(grants_parse(asked, "/w", &asks, &count, NULL), 0);
	request.directory = directory;
	request.mode = mode;
	request.asks = asks;
	request.asks_count = count;
	struct gate_decision *decision = decide_with(&request, line);
	char *key = strdup(decision->canonical);
	gate_decision_free(decision);
	grants_free(asks, count);
	return key;
}

static void a_key_is_the_same_for_the_same_and_no_other(void **state)
{
	(void)state;
	cleanup_free char *key = key_of("make", "/w", MODE_WORKSPACE_WRITE, "net=a,write=/b");
	cleanup_free char *same = key_of("make", "/w", MODE_WORKSPACE_WRITE, "write=/b,net=a");
	assert_string_equal(key, same);
	struct {
		const char *line, *directory;
		enum policy_mode mode;
		const char *asks;
	} others[] = {
		{"make ", "/w", MODE_WORKSPACE_WRITE, "net=a,write=/b"},
		{"make", "/w/x", MODE_WORKSPACE_WRITE, "net=a,write=/b"},
		{"make", "/w", MODE_FULL_ACCESS, "net=a,write=/b"},
		{"make", "/w", MODE_WORKSPACE_WRITE, "net=a"},
		{"make", "/w", MODE_WORKSPACE_WRITE, NULL},
		{"make", "/w", MODE_WORKSPACE_WRITE, "net=a,write=/b,unsandboxed"},
	};
	for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
		cleanup_free char *other =
			key_of(others[i].line, others[i].directory, others[i].mode, others[i].asks);
		assert_string_not_equal(key, other);
	}
	/* Bytes that are shown alike are not alike. */
	cleanup_free char *one = key_of("make \xff", "/w", MODE_WORKSPACE_WRITE, NULL);
	cleanup_free char *another = key_of("make \xfe", "/w", MODE_WORKSPACE_WRITE, NULL);
	assert_string_not_equal(one, another);
}

static void a_key_is_of_the_whole_script(void **state)
{
	(void)state;
	struct gate_request request = request_of("on-request");
	struct gate_decision *one, *other;
	/* Behind a NUL, and up to the length: what follows is not the script's. */
	assert_int_equal(gate_decide_script(&config, &request, "make\0a.", 6, &one, NULL), 0);
	assert_int_equal(gate_decide_script(&config, &request, "make\0b.", 6, &other, NULL), 0);
	assert_string_not_equal(one->canonical, other->canonical);
	gate_decision_free(one);
	gate_decision_free(other);
	assert_int_equal(gate_decide_script(&config, &request, "make a", 4, &one, NULL), 0);
	assert_int_equal(gate_decide_script(&config, &request, "make b", 4, &other, NULL), 0);
	assert_string_equal(one->canonical, other->canonical);
	gate_decision_free(one);
	gate_decision_free(other);
}

static void argv_and_lines_have_keys_of_their_own(void **state)
{
	(void)state;
	struct gate_request request = request_of("on-request");
	request.argv = (char *[]){"make", "a b", NULL};
	struct gate_decision *one, *other;
	assert_int_equal(gate_decide(&config, &request, &one, NULL), 0);
	request.argv = (char *[]){"make", "a", "b", NULL};
	assert_int_equal(gate_decide(&config, &request, &other, NULL), 0);
	assert_string_not_equal(one->canonical, other->canonical);
	assert_string_equal(one->canonical,
		"{\"mode\":\"workspace-write\",\"directory\":\"/w\",\"argv\":[\"make\","
		"\"a b\"],\"asks\":[]}");
	gate_decision_free(one);
	gate_decision_free(other);
}

static void the_suggested_rule_is_the_narrowest(void **state)
{
	(void)state;
	static const struct {
		const char *line, *prefix; /* words with a space between; "": none */
	} cases[] = {
		{"cargo test", "cargo test"},
		{"cargo test --all", "cargo test"},
		{"npm run build", "npm run build"},
		{"yarn", ""},
		{"pytest -q tests", "pytest"},
		{"python3 -m pytest tests", "python3 -m pytest"},
		{"docker compose up", "docker compose up"},
		{"gh pr list", "gh pr list"},
		{"git commit -m x", "git commit"},
		{"git -c a=b commit", ""},
		{"git", ""},
		{"npm --prefix x run build", ""},
		{"./run.sh a b", "./run.sh a b"},
		{"/srv/ws/run.sh a b", "/srv/ws/run.sh a b"},
		{"/usr/bin/pytest a b", "/usr/bin/pytest"},
		{"lua5.4 x.lua", ""},
		{"ts-node x.ts", ""},
		{"python3 -m cProfile x.py", ""},
		{"timeout 5 cargo test", "cargo test"},
		{"bash -c 'cargo test'", "cargo test"},
		{"cargo test | tail", "cargo test"},
		{"cargo test && cargo build", ""},
		{"bash x.sh", ""},
		{"python3 -c 'print(1)'", ""},
		{"python3 x.py", ""},
		{"node x.js", ""},
		{"env X=1 cargo test", ""},
		{"FOO=1 cargo test", ""},
		{"sudo cargo test", ""},
		{"curl https://x.example", ""},
		{"rm -rf src", ""},
		{"git push --force", ""},
		{"npm publish", ""},
		{"cargo $x", ""},
		{"$x test", ""},
		{"eval \"$x\"", ""},
		{"xargs cargo", ""},
		{"python3 -m pip install x", ""},
		{"cargo 'te st'", ""},
	};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct gate_request request = request_of("untrusted");
		struct gate_decision *decision = decide_with(&request, cases[i].line);
		char text[256] = "";
		for (size_t k = 0; k < decision->rule_prefix.count; k++) {
			strcat(text, k ? " " : "");
			strcat(text, decision->rule_prefix.items[k]);
		}
		if (strcmp(text, cases[i].prefix) != 0)
			fail_msg("%s: '%s'", cases[i].line, text);
		gate_decision_free(decision);
	}
}

static void reasons_cannot_write_to_a_terminal(void **state)
{
	(void)state;
	struct gate_decision *decision = decide("make $'\\e[2J\\a' \"a\nb\" \xc2\x9b \xe2\x80\xae");
	for (const char *s = decision->reason; *s; s++)
		assert_true((unsigned char)*s >= 0x20);
	assert_null(strstr(decision->reason, "\xe2\x80\xae"));
	assert_null(strstr(decision->reason, "\xc2\x9b"));
	cleanup_buffer struct buffer json = BUFFER_INIT(MAX_MESSAGE_BYTES);
	assert_int_equal(gate_decision_json(decision, &json), 0);
	json_t *parsed = json_loads(json.data, 0, NULL);
	assert_non_null(parsed);
	assert_string_equal(json_string_value(json_object_get(parsed, "decision")), "ask");
	json_decref(parsed);
	gate_decision_free(decision);
}

static void nothing_to_run_is_allowed_and_too_much_is_not_known(void **state)
{
	(void)state;
	struct gate_decision *decision = decide("# nothing\n\n");
	assert_int_equal(decision->verdict, VERDICT_ALLOW);
	assert_int_equal(decision->parts_count, 0);
	gate_decision_free(decision);

	size_t lines = MAX_SCRIPT_COMMANDS + 10;
	cleanup_free char *script = malloc(lines * 3 + 1);
	for (size_t i = 0; i < lines; i++)
		memcpy(script + i * 3, "ls\n", 4);
	struct gate_request request = request_of("untrusted");
	decision = decide_with(&request, script);
	assert_int_equal(decision->verdict, VERDICT_ASK);
	gate_decision_free(decision);
}

static void one_grave_part_is_found_among_many(void **state)
{
	(void)state;
	enum { LINES = 2000 };
	cleanup_free char *script = malloc(LINES * 16 + 16);
	size_t length = 0;
	for (size_t i = 0; i < LINES; i++)
		length += (size_t)sprintf(
			script + length, i == 1234 ? "rm -rf ~\n" : "echo %zu\n", i);
	struct gate_decision *decision = decide(script);
	assert_int_equal(decision->verdict, VERDICT_FORBID);
	assert_int_equal(decision->parts_count, LINES);
	assert_int_equal(decision->analysis->parts[decision->parts[1234].part].line, 1235);
	assert_string_equal(decision->parts[1234].id, "delete-vital");
	gate_decision_free(decision);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(grants_hold_only_where_nobody_shares_them_unasked),
		cmocka_unit_test(a_granted_directory_may_be_redirected_to),
		cmocka_unit_test(asks_are_asked_for_unless_a_rule_grants_them),
		cmocka_unit_test(what_may_be_asked_for),
		cmocka_unit_test(a_key_is_the_same_for_the_same_and_no_other),
		cmocka_unit_test(a_key_is_of_the_whole_script),
		cmocka_unit_test(argv_and_lines_have_keys_of_their_own),
		cmocka_unit_test(the_suggested_rule_is_the_narrowest),
		cmocka_unit_test(reasons_cannot_write_to_a_terminal),
		cmocka_unit_test(nothing_to_run_is_allowed_and_too_much_is_not_known),
		cmocka_unit_test(one_grave_part_is_found_among_many),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
