#include "gate/cmd_hooks_internal.h"

#include "base/cleanup.h"
#include "base/suggest.h"
#include "base/utf8.h"
#include "gate/command.h"
#include "gate/hooks_internal.h"

#include <errno.h>
#include <string.h>

static const struct verb {
	const char *name;
	int (*run)(int argc, char *argv[]);
	const char *arguments, *help;
} verbs[] = {
	{"list", cmd_hooks_list, "[--json]", "the hooks, and which of them wait for trust"},
	{"trust", cmd_hooks_trust, "[N|--all] [--yes]", "show a hook and what it runs; trust it"},
	{"test", cmd_hooks_test, "EVENT [--tool NAME] [--input JSON|-] [--json]",
		"fire an event for real"},
};

int hooks_setting_load(struct hooks_setting *ret, struct error *error)
{
	struct hooks_setting setting = {.directory = getcwd(NULL, 0)};
	int r = setting.directory
			? config_where(setting.directory, &setting.where, &setting.storage, error)
			: error_set_errno(error, errno, "hooks", "the working directory");
	if (r == 0)
		r = config_load(&setting.where, &setting.config, NULL, error);
	if (r < 0) {
		hooks_setting_release(&setting);
		return r;
	}
	const struct strv *notices = &setting.config->notices;
	for (size_t i = 0; i < notices->count; i++)
		hooks_print(stderr, "", notices->items[i], strlen(notices->items[i]));
	*ret = setting;
	return 0;
}

void hooks_setting_release(struct hooks_setting *setting)
{
	config_free(setting->config);
	strv_release(&setting->storage);
	free(setting->directory);
	*setting = (struct hooks_setting){0};
}

int hooks_complain(const struct error *error)
{
	fputs("coffer hooks: ", stderr);
	hooks_print(stderr, "", error->message, strlen(error->message));
	if (error->hint[0])
		hooks_print(stderr, "  ", error->hint, strlen(error->hint));
	return HOOKS_EXIT_FAILED;
}

int hooks_usage(const char *text)
{
	fprintf(stderr, "usage: coffer hooks %s\n", text);
	return HOOKS_EXIT_FAILED;
}

void hooks_print(FILE *to, const char *indent, const char *text, size_t length_bytes)
{
	bool fresh = true;
	for (size_t at = 0; at < length_bytes;) {
		size_t length = utf8_sequence((const unsigned char *)text + at);
		unsigned c = length ? utf8_character((const unsigned char *)text + at, length)
				    : (unsigned char)text[at];
		if (fresh)
			fputs(indent, to);
		fresh = c == '\n';
		if (length == 0 || (utf8_is_control(c) && c != '\n' && c != '\t'))
			fprintf(to, c < 0x100 ? "\\x%02x" : "\\u%04x", c);
		else
			fwrite(text + at, 1, length, to);
		at += length ? length : 1;
	}
	if (!fresh || !length_bytes)
		fputc('\n', to);
}

int cmd_hooks(int argc, char *argv[])
{
	const char *word = argc > 1 ? argv[1] : "--help";
	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
		if (strcmp(verbs[i].name, word) == 0)
			return verbs[i].run(argc - 1, argv + 1);
	bool asked = argc > 1 && (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0);
	FILE *to = asked ? stdout : stderr;
	if (argc > 1 && !asked) {
		const char *near =
			suggest_nearest(word, verbs, ARRAY_SIZE(verbs), sizeof(verbs[0]));
		fputs("coffer hooks: there is no such command: ", to);
		hooks_print(to, "", word, strlen(word));
		if (near)
			fprintf(to, "  did you mean `coffer hooks %s`?\n", near);
	}
	fputs("usage: coffer hooks COMMAND\n", to);
	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
		fprintf(to, "  %s %s\n      %s\n", verbs[i].name, verbs[i].arguments,
			verbs[i].help);
	return asked ? 0 : HOOKS_EXIT_FAILED;
}
