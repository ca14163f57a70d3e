/* The answer of a reviewer that is a program or a model: strangers' bytes. It is taken in one form
 * only, since every leniency (prose around the JSON, a missing field with a default, a word that is
 * nearly right) is a way for what was reviewed to speak through the reviewer. */
#include "gate/review_internal.h"

#include "base/cleanup.h"
#include "base/limits.h"
#include "base/utf8.h"

#include <string.h>

static int choose(const json_t *answer, const char *field, const char *const names[], size_t count,
	struct error *error)
{
	const json_t *value = json_object_get(answer, field);
	if (!value)
		return error_set(error, EPROTO, "reviewer", "its answer has no \"%s\"", field);
	const char *text = json_string_value(value);
	for (size_t i = 0; text && i < count; i++)
		if (strcmp(text, names[i]) == 0)
			return (int)i;
	return error_set(error, EPROTO, "reviewer",
		"its answer's \"%s\" is not one of \"%s\" to \"%s\"", field, names[0],
		names[count - 1]);
}

/* A copy for people: bounded at a character's border, without what a terminal would act on. */
static char *clean_text(const char *text)
{
	cleanup_buffer struct buffer out = BUFFER_INIT(REVIEW_RATIONALE_BYTES_MAX + 8);
	const unsigned char *s = (const unsigned char *)text;
	while (*s && out.length_bytes < REVIEW_RATIONALE_BYTES_MAX) {
		size_t n = utf8_sequence(s);
		if (n == 0 || utf8_is_control(utf8_character(s, n)))
			buffer_append(&out, " ", 1);
		else
			buffer_append(&out, s, n);
		s += n ? n : 1;
	}
	buffer_append_string(&out, *s ? "..." : "");
	return buffer_steal(&out);
}

static int read_fields(const json_t *answer, struct review *ret, struct error *error)
{
	static const char *const risks[] = {"low", "medium", "high", "critical"};
	static const char *const authorizations[] = {"none", "implied", "clear"};
	static const char *const decisions[] = {"approve", "refuse"};

	int risk = choose(answer, "risk", risks, ARRAY_SIZE(risks), error);
	if (risk < 0)
		return risk;
	int authorization =
		choose(answer, "authorization", authorizations, ARRAY_SIZE(authorizations), error);
	if (authorization < 0)
		return authorization;
	int decision = choose(answer, "decision", decisions, ARRAY_SIZE(decisions), error);
	if (decision < 0)
		return decision;
	const json_t *narrow = json_object_get(answer, "narrow");
	if (!json_is_boolean(narrow))
		return error_set(
			error, EPROTO, "reviewer", "its answer's \"narrow\" is not true or false");
	const char *rationale = json_string_value(json_object_get(answer, "rationale"));
	if (!rationale || !*rationale)
		return error_set(error, EPROTO, "reviewer", "its answer has no \"rationale\"");
	*ret = (struct review){.risk = (enum review_risk)risk,
		.authorization = (enum review_authorization)authorization,
		.narrow = json_is_true(narrow),
		.approve = decision == 0,
		.rationale = clean_text(rationale)};
	return ret->rationale ? 0 : error_set_errno(error, ENOMEM, "reviewer", "its answer");
}

int review_answer_parse(
	const char *text, size_t length_bytes, struct review *ret, struct error *error)
{
	*ret = (struct review){0};
	json_error_t wrong;
	json_t *answer = json_loadb(text, length_bytes, JSON_REJECT_DUPLICATES, &wrong);
	if (!answer)
		return error_set(error, EPROTO, "reviewer",
			"its answer is not one JSON object: line %d, column %d", wrong.line,
			wrong.column);
	int r = json_is_object(answer)
			? read_fields(answer, ret, error)
			: error_set(error, EPROTO, "reviewer", "its answer is no JSON object");
	json_decref(answer);
	return r;
}
