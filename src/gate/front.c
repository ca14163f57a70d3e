#include "gate/front.h"

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/limits.h"
#include "base/request.h"

#include <string.h>

static const char *const verdicts[] = {
	[FRONT_FAILED] = "failed",
	[FRONT_REFUSED] = "refused",
	[FRONT_ALLOWED] = "allowed",
};

/* Single values travel as the list of their own; NULL as the empty string. */
static int take(struct strv *values, size_t count, char **to[])
{
	if (values->count != count)
		return -EINVAL;
	for (size_t i = 0; i < count; i++)
		*to[i] = steal_pointer(&values->items[i]);
	return 0;
}

static char *or_empty(char *value)
{
	return value ? value : "";
}

void front_question_release(struct front_question *question)
{
	free(question->directory);
	free(question->approval);
	free(question->approvals);
	free(question->after);
	free(question->outcome);
	strv_release(&question->argv);
	strv_release(&question->asks);
	strv_release(&question->roots);
	*question = (struct front_question){0};
}

int front_question_seal(const struct front_question *question)
{
	cleanup_buffer struct buffer buffer = BUFFER_INIT(MAX_CONTROL_MESSAGE_BYTES);
	char *values[] = {or_empty(question->directory), (char *)policy_mode_name(question->mode),
		or_empty(question->approval), or_empty(question->approvals),
		or_empty(question->after), or_empty(question->outcome),
		question->spoken ? "spoken" : "", NULL};
	request_add(&buffer, values);
	request_add(&buffer, question->argv.items);
	request_add(&buffer, question->asks.items);
	request_add(&buffer, question->roots.items);
	return request_seal(&buffer);
}

static int parse_mode(const char *name, enum policy_mode *ret)
{
	for (enum policy_mode mode = MODE_READ_ONLY; mode <= MODE_FULL_ACCESS; mode++)
		if (strcmp(policy_mode_name(mode), name) == 0) {
			*ret = mode;
			return 0;
		}
	return -EINVAL;
}

int front_question_read(int fd, struct front_question *ret)
{
	*ret = (struct front_question){0};
	cleanup_strv struct strv values = {0};
	struct strv *lists[] = {&values, &ret->argv, &ret->asks, &ret->roots};
	cleanup_free char *mode = NULL, *spoken = NULL;
	char **to[] = {&ret->directory, &mode, &ret->approval, &ret->approvals, &ret->after,
		&ret->outcome, &spoken};
	int r = request_read(fd, lists, ARRAY_SIZE(lists));
	if (r == 0)
		r = take(&values, ARRAY_SIZE(to), to);
	if (r == 0)
		r = parse_mode(mode, &ret->mode);
	if (r < 0)
		return r;
	ret->spoken = spoken[0] != '\0';
	return 0;
}

void front_answer_release(struct front_answer *answer)
{
	free(answer->reason);
	free(answer->hint);
	free(answer->decision);
	strv_release(&answer->argv);
	strv_release(&answer->grants);
	strv_release(&answer->notices);
	*answer = (struct front_answer){0};
}

int front_answer_write(const struct front_answer *answer, int fd)
{
	cleanup_buffer struct buffer buffer = BUFFER_INIT(MAX_CONTROL_MESSAGE_BYTES);
	char *values[] = {(char *)verdicts[answer->verdict], or_empty(answer->reason),
		or_empty(answer->hint), or_empty(answer->decision), NULL};
	request_add(&buffer, values);
	request_add(&buffer, answer->argv.items);
	request_add(&buffer, answer->grants.items);
	request_add(&buffer, answer->notices.items);
	int r = buffer_error(&buffer);
	return r < 0 ? r : fd_write_full(fd, buffer.data, buffer.length_bytes);
}

int front_answer_parse(const char *data, size_t size_bytes, struct front_answer *ret)
{
	*ret = (struct front_answer){0};
	cleanup_strv struct strv values = {0};
	struct strv *lists[] = {&values, &ret->argv, &ret->grants, &ret->notices};
	cleanup_free char *verdict = NULL;
	char **to[] = {&verdict, &ret->reason, &ret->hint, &ret->decision};
	int r = request_parse(data, size_bytes, lists, ARRAY_SIZE(lists));
	if (r == 0)
		r = take(&values, ARRAY_SIZE(to), to);
	if (r < 0)
		return r;
	for (size_t i = 0; i < ARRAY_SIZE(verdicts); i++)
		if (strcmp(verdicts[i], verdict) == 0) {
			ret->verdict = (enum front_verdict)i;
			return 0;
		}
	return -EINVAL;
}
