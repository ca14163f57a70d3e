#include "config/hook_hash.h"

#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/limits.h"

#include <ctype.h>
#include <regex.h>
#include <string.h>

/* Each part with its length before it, so that no two hooks have one text. */
static void add(struct buffer *buffer, const void *data, size_t length_bytes)
{
	buffer_append_format(buffer, "%zu:", length_bytes);
	buffer_append(buffer, data, length_bytes);
}

static void add_string(struct buffer *buffer, const char *string)
{
	add(buffer, string ? string : "", string ? strlen(string) : 0);
}

static void add_strings(struct buffer *buffer, const struct strv *strings)
{
	buffer_append_format(buffer, "%zu;", strings->count);
	for (size_t i = 0; i < strings->count; i++)
		add_string(buffer, strings->items[i]);
}

int hook_files_hash(
	const struct config_hook *hook, const struct hook_files *files, char ret[SHA256_HEX_BYTES])
{
	/* Each script's own bytes, and at most as many beside it. */
	size_t max = 2 * MAX_HOOK_FILES * (size_t)MAX_HOOK_FILE_BYTES +
		     4 * (size_t)MAX_CONFIG_FILE_BYTES;
	cleanup_buffer struct buffer buffer = BUFFER_INIT(max);
	buffer_append_string(&buffer, "coffer hook 1\n");
	add_string(&buffer, hook_event_name(hook->event));
	add_string(&buffer, hook->matcher);
	buffer_append_format(
		&buffer, "%d%d%d", hook->command != NULL, hook->on_error_allow, hook->unboxed);
	add_string(&buffer, hook->command);
	add_strings(&buffer, &hook->argv);
	add_strings(&buffer, &hook->writes);
	for (size_t i = 0; i < files->count; i++) {
		const struct hook_file *file = &files->items[i];
		buffer_append_format(&buffer, "%d%d", file->content != NULL, file->executable);
		/* What runs in place is the system's: where it is, is what it is. */
		if (!file->content) {
			add_string(&buffer, file->path);
			continue;
		}
		add_string(&buffer, file->relative);
		add(&buffer, file->content, file->length_bytes);
		for (size_t k = 0; k < file->companions_count; k++) {
			const struct hook_companion *companion = &file->companions[k];
			buffer_append_format(&buffer, "%d", companion->executable);
			add_string(&buffer, companion->relative);
			add(&buffer, companion->content, companion->length_bytes);
		}
	}
	int r = buffer_error(&buffer);
	if (r == 0)
		sha256_hex(buffer.data, buffer.length_bytes, ret);
	return r;
}

int hook_hash(const struct config_hook *hook, const char *workspace, const char *home,
	char ret[SHA256_HEX_BYTES], struct error *error)
{
	struct hook_files files;
	int r = hook_files_read(hook, workspace, home, &files, error);
	if (r < 0)
		return r;
	r = hook_files_hash(hook, &files, ret);
	hook_files_release(&files);
	return r < 0 ? error_set_errno(error, -r, "hooks", "a hook's hash") : 0;
}

static bool takes_all(const char *matcher)
{
	return !matcher || !*matcher || strcmp(matcher, "*") == 0;
}

int hook_matcher_check(const char *matcher, struct error *error)
{
	if (takes_all(matcher))
		return 0;
	if (strlen(matcher) > MAX_HOOK_MATCHER_BYTES)
		return error_set(error, EINVAL, "hooks", "the matcher is longer than %d bytes",
			MAX_HOOK_MATCHER_BYTES);
	/* Both make the C library's matcher take unbounded memory or time. */
	bool costly = strchr(matcher, '{');
	for (const char *s = matcher; s[0] && s[1]; s += s[0] == '\\' ? 2 : 1)
		costly = costly || (s[0] == '\\' && s[1] >= '1' && s[1] <= '9');
	if (costly)
		return error_set(error, EINVAL, "hooks",
			"the matcher '%s' has a count or a back-reference, which matchers have not",
			matcher);
	regex_t regex;
	int r = regcomp(&regex, matcher, REG_EXTENDED | REG_NOSUB);
	if (r == 0) {
		regfree(&regex);
		return 0;
	}
	char why[128];
	regerror(r, NULL, why, sizeof(why));
	error_set(error, EINVAL, "hooks", "the matcher '%s' is no regular expression: %s", matcher,
		why);
	return error_hint(error, "as in \"Bash\", \"Edit|Write\", \"mcp__.*\"; \"*\" is all");
}

/* Whether the matcher is one or more plain names, "Edit|Write", and subject is one of them. */
static bool is_plain(const char *matcher)
{
	for (; *matcher; matcher++)
		if (!isalnum((unsigned char)*matcher) && !strchr("_-|", *matcher))
			return false;
	return true;
}

static bool is_one_of(const char *matcher, const char *subject)
{
	size_t length = strlen(subject);
	for (const char *s = matcher;; s++) {
		size_t word = strcspn(s, "|");
		if (word == length && memcmp(s, subject, length) == 0)
			return true;
		s += word;
		if (!*s)
			return false;
	}
}

bool hook_matcher_takes(const char *matcher, const char *subject)
{
	if (takes_all(matcher) || !subject)
		return true;
	if (is_plain(matcher))
		return is_one_of(matcher, subject);
	regex_t regex;
	/* What cannot be told is taken: a hook too many, not one too few. */
	if (hook_matcher_check(matcher, NULL) < 0 ||
		regcomp(&regex, matcher, REG_EXTENDED | REG_NOSUB) != 0)
		return true;
	bool takes = regexec(&regex, subject, 0, NULL, 0) == 0;
	regfree(&regex);
	return takes;
}
