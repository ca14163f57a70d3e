#include "config/approval.h"

#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/suggest.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const char *const verdicts[] = {
	[VERDICT_ALLOW] = "allow",
	[VERDICT_ASK] = "ask",
	[VERDICT_FORBID] = "forbid",
};

static const char *const policies[] = {
	[APPROVAL_UNTRUSTED] = "untrusted",
	[APPROVAL_ON_REQUEST] = "on-request",
	[APPROVAL_ON_FAILURE] = "on-failure",
	[APPROVAL_NEVER] = "never",
	[APPROVAL_GRANULAR] = "granular",
};

static const char *const categories[] = {
	[CATEGORY_COMMAND] = "command",
	[CATEGORY_WRITE_OUTSIDE] = "write-outside",
	[CATEGORY_NETWORK] = "network",
	[CATEGORY_UNSANDBOXED] = "unsandboxed",
	[CATEGORY_SECRET] = "secret",
	[CATEGORY_DELETE] = "delete",
};

const char *verdict_name(enum verdict verdict)
{
	return verdicts[verdict];
}

const char *approval_policy_name(enum approval_policy policy)
{
	return policies[policy];
}

const char *approval_category_name(enum approval_category category)
{
	return categories[category];
}

/* The index of the word of length_bytes in names, or -1 with the nearest one told. */
static int find(const char *what, const char *word, size_t length_bytes, const char *const names[],
	size_t count, struct error *error)
{
	char copy[64];
	snprintf(copy, sizeof(copy), "%.*s", (int)(length_bytes < 63 ? length_bytes : 63), word);
	for (size_t i = 0; i < count; i++)
		if (strcmp(names[i], copy) == 0)
			return (int)i;
	error_set(error, EINVAL, "policy", "there is no %s '%s'", what, copy);
	const char *near = suggest_nearest(copy, names, count, sizeof(names[0]));
	if (near)
		error_hint(error, "did you mean '%s'?", near);
	return -1;
}

int verdict_parse(const char *text, enum verdict *ret, struct error *error)
{
	int i = find("decision", text, strlen(text), verdicts, ARRAY_SIZE(verdicts), error);
	if (i < 0)
		return -EINVAL;
	*ret = (enum verdict)i;
	return 0;
}

/* One CATEGORY=VERDICT of a granular policy. */
static int parse_category(
	const char *word, size_t length_bytes, struct approval *approval, struct error *error)
{
	const char *equals = memchr(word, '=', length_bytes);
	if (!equals) {
		error_set(error, EINVAL, "policy", "granular: '%.*s' is not CATEGORY=DECISION",
			(int)length_bytes, word);
		return error_hint(error, "as in granular:command=allow,delete=ask");
	}
	size_t rest_bytes = length_bytes - (size_t)(equals + 1 - word);
	int verdict =
		find("decision", equals + 1, rest_bytes, verdicts, ARRAY_SIZE(verdicts), error);
	if (verdict < 0)
		return -EINVAL;
	if (equals - word == 3 && memcmp(word, "all", 3) == 0) {
		for (size_t i = 0; i < CATEGORIES; i++)
			approval->granular[i] = (enum verdict)verdict;
		return 0;
	}
	int category = find("category", word, (size_t)(equals - word), categories,
		ARRAY_SIZE(categories), error);
	if (category < 0)
		return -EINVAL;
	approval->granular[category] = (enum verdict)verdict;
	return 0;
}

int approval_parse(const char *text, struct approval *ret, struct error *error)
{
	size_t length = strcspn(text, ":");
	int policy = find("approval policy", text, length, policies, ARRAY_SIZE(policies), error);
	if (policy < 0)
		return -EINVAL;
	struct approval approval = {.policy = (enum approval_policy)policy, .set = true};
	for (size_t i = 0; i < CATEGORIES; i++)
		approval.granular[i] = VERDICT_ASK;
	if (text[length] && policy != APPROVAL_GRANULAR)
		return error_set(
			error, EINVAL, "policy", "'%s': only granular takes categories", text);
	for (const char *s = text + length; *s;) {
		s++;
		size_t word_bytes = strcspn(s, ",");
		int r = parse_category(s, word_bytes, &approval, error);
		if (r < 0)
			return r;
		s += word_bytes;
	}
	*ret = approval;
	return 0;
}

char *approval_text(const struct approval *approval)
{
	cleanup_buffer struct buffer text = BUFFER_INIT(1024);
	buffer_append_string(&text, policies[approval->policy]);
	for (size_t i = 0; approval->policy == APPROVAL_GRANULAR && i < CATEGORIES; i++)
		buffer_append_format(&text, "%c%s=%s", i == 0 ? ':' : ',', categories[i],
			verdicts[approval->granular[i]]);
	return buffer_steal(&text);
}
