/* A decision about a stranger's script: classification, rules, reasons and the suggested rule. What
 * must hold of any: the whole is as grave as the gravest part, never asks nobody, every reason can
 * be shown to a person, and both printed forms come out. */
#include "base/cleanup.h"
#include "base/limits.h"
#include "base/utf8.h"
#include "gate/decide.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char *words_npm[] = {"npm", NULL}, *words_test[] = {"test", "run", NULL};
static char *words_git[] = {"git", NULL}, *words_push[] = {"push", NULL};
static struct rule_word npm_test[] = {{{words_npm, 1, 2}}, {{words_test, 2, 3}}};
static struct rule_word git_push[] = {{{words_git, 1, 2}}, {{words_push, 1, 2}}};
static struct grant grants[] = {{GRANT_WRITE, "/opt/cache"}, {GRANT_NETWORK, "example.org"}};
static struct config_rule rules[] = {
	{.prefix = npm_test,
		.prefix_count = 2,
		.decision = VERDICT_ALLOW,
		.grants = grants,
		.grants_count = 2},
	{.prefix = git_push, .prefix_count = 2, .decision = VERDICT_FORBID},
};

static void check_text(const char *text)
{
	for (const unsigned char *s = (const unsigned char *)text; *s;) {
		size_t bytes = utf8_sequence(s);
		assert(bytes > 0 && !utf8_is_control(utf8_character(s, bytes)));
		s += bytes;
	}
}

static void check(const struct gate_decision *decision, enum approval_policy policy)
{
	enum verdict gravest = VERDICT_ALLOW;
	for (size_t i = 0; i < decision->parts_count; i++) {
		const struct part_decision *part = &decision->parts[i];
		gravest = part->verdict > gravest ? part->verdict : gravest;
		assert(policy != APPROVAL_NEVER || part->verdict != VERDICT_ASK);
		assert(part->id[0]);
		check_text(part->reason);
	}
	assert(gravest == decision->verdict);
	check_text(decision->reason);
	assert(decision->canonical);
	cleanup_buffer struct buffer json = BUFFER_INIT(MAX_MESSAGE_BYTES);
	cleanup_buffer struct buffer text = BUFFER_INIT(MAX_MESSAGE_BYTES);
	gate_decision_json(decision, &json);
	gate_decision_text(decision, &text);
	assert(json.data && text.data);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 1)
		return 0;
	const struct config config = {.rules = rules, .rules_count = ARRAY_SIZE(rules)};
	char *roots[] = {"/home/somebody/work", NULL};
	struct gate_request request = {.directory = "/home/somebody/work",
		.mode = (enum policy_mode)(MODE_READ_ONLY + data[0] % 3),
		.approval.policy = (enum approval_policy)(data[0] / 3 % APPROVAL_POLICIES),
		.writable_roots = roots,
		.home = "/home/somebody",
		.path = "/usr/bin:/bin"};
	struct gate_decision *decision = NULL;
	struct error error;
	if (gate_decide_script(
		    &config, &request, (const char *)data + 1, size - 1, &decision, &error) == 0)
		check(decision, request.approval.policy);
	gate_decision_free(decision);
	return 0;
}
