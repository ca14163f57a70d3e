/* A suggested policy as text. */
#include "witness/suggest.h"

#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/limits.h"

#include <string.h>

static void put_shell_word(struct buffer *text, const char *word)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
				    "/._-+:@%,";
	if (*word && strspn(word, plain) == strlen(word)) {
		buffer_append_string(text, word);
		return;
	}
	buffer_append_string(text, "'");
	for (; *word; word++) {
		if (*word == '\'')
			buffer_append_string(text, "'\\''");
		else
			buffer_append(text, word, 1);
	}
	buffer_append_string(text, "'");
}

char *suggestion_flags(const struct suggestion *suggestion)
{
	cleanup_buffer struct buffer text = BUFFER_INIT(MAX_FEEDBACK_BYTES * 16);
	for (size_t i = 0; i < suggestion->settings.count; i++) {
		const char *setting = suggestion->settings.items[i];
		size_t length = strcspn(setting, "=");
		buffer_append_format(&text, "%s--%.*s", i ? " " : "", (int)length, setting);
		if (setting[length]) {
			buffer_append_string(&text, " ");
			put_shell_word(&text, setting + length + 1);
		}
	}
	return buffer_error(&text) < 0 ? NULL : buffer_steal(&text);
}

/* How a key stands in coffer.toml: see docs/CONFIG.md. */
struct toml_key {
	const char *setting, *key;
	bool list;
};

static const struct toml_key top_keys[] = {
	{"mode", "mode", false},
	{"write", "write", true},
	{"read-only", "read_only", true},
	{"allow-read", "allow_read", true},
	{"git", "git", false},
};
static const struct toml_key network_keys[] = {
	{"net", "net", false},
	{"allow-domain", "allow_domain", true},
	{"allow-cidr", "allow_cidr", true},
};

static void put_key(
	struct buffer *text, const struct suggestion *suggestion, const struct toml_key *key)
{
	size_t length = strlen(key->setting), count = 0;
	for (size_t i = 0; i < suggestion->settings.count; i++) {
		const char *setting = suggestion->settings.items[i];
		if (strncmp(setting, key->setting, length) != 0 || setting[length] != '=')
			continue;
		if (count++ == 0)
			buffer_append_format(text, "%s = %s", key->key, key->list ? "[\n  " : "");
		else
			buffer_append_string(text, ",\n  ");
		buffer_append_json(text, setting + length + 1);
	}
	if (count > 0)
		buffer_append_string(text, key->list ? ",\n]\n" : "\n");
}

char *suggestion_toml(const struct suggestion *suggestion)
{
	cleanup_buffer struct buffer text = BUFFER_INIT(MAX_FEEDBACK_BYTES * 16);
	for (size_t i = 0; i < ARRAY_SIZE(top_keys); i++)
		put_key(&text, suggestion, &top_keys[i]);
	buffer_append_string(&text, "\n[network]\n");
	for (size_t i = 0; i < ARRAY_SIZE(network_keys); i++)
		put_key(&text, suggestion, &network_keys[i]);
	return buffer_error(&text) < 0 ? NULL : buffer_steal(&text);
}
