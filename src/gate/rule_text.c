/* The rule that "always" writes: the words of this command and nothing shorter, this directory, and
 * exactly the grants that were asked for. A rule never removes the box, so what wants to run
 * without one, or to read a secret, can be allowed but not for always. */
#include "base/cleanup.h"
#include "base/utf8.h"
#include "gate/settle.h"
#include "gate/show.h"

#include <string.h>
#include <time.h>

enum { COMMENT_BYTES_MAX = 200 };

/* A basic string; -EILSEQ where text is no UTF-8, which TOML cannot say. */
static int append_toml(struct buffer *out, const char *text)
{
	buffer_append_string(out, "\"");
	for (const unsigned char *s = (const unsigned char *)text; *s;) {
		size_t length = utf8_sequence(s);
		if (length == 0)
			return -EILSEQ;
		unsigned character = utf8_character(s, length);
		if (*s == '"' || *s == '\\')
			buffer_append_format(out, "\\%c", *s);
		else if (show_is_seen(character))
			buffer_append(out, s, length);
		else
			buffer_append_format(out, "\\U%08X", character);
		s += length;
	}
	buffer_append_string(out, "\"");
	return 0;
}

/* `key = ["a", "b"]`, of the grants of one kind; nothing where there is none. */
static int append_grants(struct buffer *out, const char *key, enum grant_kind kind,
	const struct gate_request *request)
{
	size_t count = 0;
	for (size_t i = 0; i < request->asks_count; i++) {
		const struct grant *grant = &request->asks[i];
		if (grant->kind != kind)
			continue;
		if (!grant->value)
			return -EOPNOTSUPP;
		if (count++ == 0)
			buffer_append_format(out, "%s = [", key);
		else
			buffer_append_string(out, ", ");
		int r = append_toml(out, grant->value);
		if (r < 0)
			return r;
	}
	buffer_append_string(out, count ? "]\n" : "");
	return 0;
}

/* `# 2026-01-31, for: npm install x`. One line whatever the command holds: quote_words() lets
 * newlines and tabs pass, which would end a comment or not be allowed in one. */
static void append_comment(struct buffer *out, const struct gate_decision *decision)
{
	char date[16];
	time_t now = time(NULL);
	struct tm tm;
	strftime(date, sizeof(date), "%Y-%m-%d", localtime_r(&now, &tm));
	buffer_append_format(out, "# %s, for: ", date);
	const struct analysis *analysis = decision->analysis;
	if (!analysis || analysis->count == 0 || analysis->parts[0].argv.count == 0) {
		buffer_append_string(out, "a question\n");
		return;
	}
	cleanup_buffer struct buffer line = BUFFER_INIT(64 * 1024);
	quote_words(analysis->parts[0].argv.items, true, &line);
	size_t length = buffer_error(&line) ? 0 : line.length_bytes;
	for (size_t i = 0; i < length && i < COMMENT_BYTES_MAX; i++)
		buffer_append(out, line.data[i] < 0x20 ? " " : line.data + i, 1);
	buffer_append_string(
		out, length > COMMENT_BYTES_MAX || buffer_error(&line) ? " ...\n" : "\n");
}

int rule_text(const struct approval_request *question, struct buffer *out)
{
	const struct gate_decision *decision = question->decision;
	const struct gate_request *request = question->request;
	if (decision->rule_prefix.count == 0)
		return -EOPNOTSUPP;
	/* What other rules grant stays with those. */
	for (size_t i = 0; i < request->asks_count; i++)
		if (request->asks[i].kind != GRANT_WRITE && request->asks[i].kind != GRANT_NETWORK)
			return -EOPNOTSUPP;
	append_comment(out, decision);
	buffer_append_string(out, "[[rule]]\nprefix = [");
	int r = 0;
	for (size_t i = 0; r == 0 && i < decision->rule_prefix.count; i++) {
		buffer_append_string(out, i ? ", " : "");
		r = append_toml(out, decision->rule_prefix.items[i]);
	}
	buffer_append_string(out, "]\nin = ");
	if (r == 0)
		r = append_toml(out, request->directory);
	buffer_append_string(out, "\n");
	if (r == 0)
		r = append_grants(out, "network", GRANT_NETWORK, request);
	if (r == 0)
		r = append_grants(out, "write", GRANT_WRITE, request);
	buffer_append_string(out, "decision = \"allow\"\n");
	return r < 0 ? r : buffer_error(out);
}
