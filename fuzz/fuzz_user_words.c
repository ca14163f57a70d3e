/* Prompts: whatever was pasted into a fence, a quotation or an indented block orders nothing, and a
 * command that is written out says at most what it says. */
#include "base/cleanup.h"
#include "gate/review_internal.h"

#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
	if (!holds)
		abort();
}

static enum review_authorization authorized(const char *prompt)
{
	const char *const prompts[] = {prompt, NULL};
	static char *const command[] = {
		(char *)"git", (char *)"push", (char *)"--force", (char *)"topic", NULL};
	struct review_object object = {0};
	struct user_words *words = NULL;
	bool narrow = false;
	must(strv_add(&object.spellings, "topic") == 0);
	must(user_words_parse(prompts, &words) == 0);
	struct review_claim claim = {.verbs = "push",
		.needs = "force",
		.command = command,
		.mention_implies = true,
		.objects = &object,
		.objects_count = 1};
	enum review_authorization found = user_words_authorize(words, &claim, &narrow);
	must(!narrow || found == AUTHORIZATION_CLEAR);
	user_words_free(words);
	strv_release(&object.spellings);
	return found;
}

/* text with begin before each of its lines. */
static char *with_lines(const char *text, const char *begin)
{
	cleanup_buffer struct buffer out = BUFFER_INIT(16 * 1024 * 1024);
	buffer_append_string(&out, begin);
	for (const char *s = text; *s; s++) {
		buffer_append(&out, s, 1);
		if (*s == '\n')
			buffer_append_string(&out, begin);
	}
	return buffer_steal(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	cleanup_free char *text = strndup((const char *)data, size);
	must(text);
	authorized(text);
	cleanup_free char *quoted = with_lines(text, "> ");
	cleanup_free char *indented = with_lines(text, "\t");
	must(quoted && authorized(quoted) == AUTHORIZATION_NONE);
	must(indented && authorized(indented) == AUTHORIZATION_NONE);
	for (char *c = text; *c; c++) /* a fence that the text does not close */
		if (*c == '`' || *c == '~')
			*c = ' ';
	cleanup_free char *fenced = NULL;
	must(asprintf(&fenced, "look:\n```\n%s\n```\n", text) > 0);
	must(authorized(fenced) == AUTHORIZATION_NONE);
	return 0;
}
