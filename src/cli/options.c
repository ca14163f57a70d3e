#include "cli/command.h"

#include "base/cleanup.h"
#include "base/suggest.h"
#include "base/utf8.h"
#include "config/compiled.h"

#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A file name or argument may hold anything; a terminal must not be moved by it. */
void cli_put(FILE *to, const char *text)
{
	for (const unsigned char *s = (const unsigned char *)text; *s;) {
		size_t length = utf8_sequence(s);
		unsigned character = length ? utf8_character(s, length) : *s;
		if (*s == '\n')
			fputs("\n  ", to);
		else if (length == 0 || (length == 1 && utf8_is_control(character)))
			fprintf(to, "\\x%02x", *s);
		else if (utf8_is_control(character))
			fprintf(to, "\\u%04x", character);
		else
			fwrite(s, 1, length, to);
		s += length ? length : 1;
	}
}

void cli_say(const char *text)
{
	fputs("coffer: ", stderr);
	cli_put(stderr, text);
	fputc('\n', stderr);
}

void cli_complain(const struct coffer_error *error)
{
	fputs("coffer: ", stderr);
	if (strcmp(error->stage, "policy") != 0 && strcmp(error->stage, "exec") != 0 &&
		strcmp(error->stage, "resolve") != 0 && strcmp(error->stage, "plan") != 0)
		fprintf(stderr, "%s: ", error->stage);
	cli_put(stderr, error->message);
	fputc('\n', stderr);
	if (error->hint[0]) {
		fputs("  ", stderr);
		cli_put(stderr, error->hint);
		fputc('\n', stderr);
	}
}

void cli_complain_text(const char *format, ...)
{
	char text[1024];
	va_list args;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	cli_say(text);
}

int cli_print(char *text, bool json)
{
	if (!text) {
		cli_complain_text("out of memory");
		return EXIT_SETUP_FAILED;
	}
	fputs(text, stdout);
	if (json)
		putchar('\n');
	free(text);
	return fflush(stdout) == 0 ? 0 : EXIT_SETUP_FAILED;
}

/* Flags that are about the front, not about the policy. */
static const struct coffer_key own_flags[] = {
	{"report", "FILE|fd:N", "write the JSON report there"},
	{"approval", "POLICY", "untrusted, on-request, on-failure, never or granular:..."},
	{"approvals", "fd:N|SOCKET", "ask an agent's host there, not the terminal"},
	{"ask", "WANT", "ask for more: write=DIR,net=HOST,secret=PATH,unsandboxed"},
	{"layer", "[=NAME]", "write to a layer; the host stays as it is (see `coffer diff`)"},
	{"layer-on", "NAME", "with --layer: on top of that one"},
	{"feedback", "text|json|off",
		"tell an agent on stderr what was refused, and what is possible"},
	{"speculate", NULL, "run on a layer, connections held; show both, then ask"},
	{"json", NULL, "print JSON"},
	{"quiet", NULL, "say nothing about defaults and what they became"},
	{"help", NULL, "this text"},
};

static void complain_unknown(const char *verb, const char *flag)
{
	size_t count;
	const struct coffer_key *keys = coffer_policy_keys(&count);
	const char *near = suggest_nearest(flag, keys, count, sizeof(*keys));
	if (!near)
		near = suggest_nearest(
			flag, own_flags, ARRAY_SIZE(own_flags), sizeof(own_flags[0]));
	cli_complain_text("there is no option '--%s'", flag);
	if (near)
		fprintf(stderr, "  did you mean --%s?\n", near);
	else
		fprintf(stderr, "  `coffer %s --help` lists them\n", verb);
}

static const struct coffer_key *find_key(const char *name, bool *ret_own)
{
	for (size_t i = 0; i < ARRAY_SIZE(own_flags); i++)
		if (strcmp(own_flags[i].name, name) == 0) {
			*ret_own = true;
			return &own_flags[i];
		}
	size_t count;
	const struct coffer_key *keys = coffer_policy_keys(&count);
	*ret_own = false;
	for (size_t i = 0; i < count; i++)
		if (strcmp(keys[i].name, name) == 0)
			return &keys[i];
	return NULL;
}

static int set_approval(struct cli_options *options, const char *value)
{
	struct error error;
	if (approval_parse(value, &options->approval, &error) < 0) {
		cli_complain((const struct coffer_error *)&error);
		return -1;
	}
	free(options->approval_text);
	options->approval_text = strdup(value);
	return options->approval_text ? 0 : -1;
}

/* A number is checked here, a socket by whoever connects. */
static int set_approvals(struct cli_options *options, const char *value)
{
	options->approvals = value;
	options->approvals_fd = -1;
	if (strncmp(value, "fd:", 3) != 0)
		return 0;
	char *end;
	long fd = strtol(value + 3, &end, 10);
	/* What may follow is for whoever opens the channel. */
	if (end == value + 3 || (*end && *end != ',') || fd < 3 || fd > INT_MAX ||
		fcntl((int)fd, F_GETFD) < 0) {
		cli_complain_text("--approvals %s: that is not an open descriptor", value);
		return -1;
	}
	options->approvals_fd = (int)fd;
	return 0;
}

static int set_feedback(struct cli_options *options, const char *value)
{
	static const struct {
		const char *word;
		enum feedback_wish wish;
	} words[] = {{"text", FEEDBACK_AS_TEXT}, {"json", FEEDBACK_AS_JSON}, {"off", FEEDBACK_OFF}};
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (strcmp(words[i].word, value) == 0) {
			options->feedback = words[i].wish;
			return 0;
		}
	}
	cli_complain_text("--feedback: '%s' is not one of: text, json, off", value);
	return -1;
}

static int set_own(struct cli_options *options, const char *name, const char *value)
{
	if (strcmp(name, "report") == 0)
		options->report = value;
	else if (strcmp(name, "approval") == 0)
		return set_approval(options, value);
	else if (strcmp(name, "approvals") == 0)
		return set_approvals(options, value);
	else if (strcmp(name, "feedback") == 0)
		return set_feedback(options, value);
	else if (strcmp(name, "ask") == 0)
		return strv_add(&options->asks, value);
	else if (strcmp(name, "layer") == 0) {
		options->layer = true;
		options->layer_name = value;
	} else if (strcmp(name, "layer-on") == 0)
		options->layer_on = value;
	else if (strcmp(name, "speculate") == 0)
		options->layer = options->speculate = true;
	else if (strcmp(name, "json") == 0)
		options->json = true;
	else if (strcmp(name, "quiet") == 0)
		options->quiet = true;
	else
		options->help = true;
	return 0;
}

static int set_flag(struct cli_options *options, const char *name, const char *value, bool own)
{
	if (own)
		return set_own(options, name, value);
	struct coffer_error error;
	int r = coffer_policy_set(options->policy, name, value, &error);
	if (r < 0)
		cli_complain(&error);
	return r;
}

/* Handles argv[i]; returns how many words it took, or -1. */
static int parse_word(const char *verb, struct cli_options *options, char *argv[], int i)
{
	char name[64];
	const char *word = argv[i], *value = NULL;
	if (strcmp(word, "-C") == 0) {
		snprintf(name, sizeof(name), "directory");
	} else if (strcmp(word, "-q") == 0) {
		snprintf(name, sizeof(name), "quiet");
	} else if (strcmp(word, "-h") == 0) {
		snprintf(name, sizeof(name), "help");
	} else if (strncmp(word, "--", 2) == 0) {
		size_t length = strcspn(word + 2, "=");
		snprintf(name, sizeof(name), "%.*s", (int)(length < 60 ? length : 60), word + 2);
		if (word[2 + length] == '=')
			value = word + 2 + length + 1;
	} else {
		cli_complain_text("there is no option '%s'", word);
		fprintf(stderr, "  `coffer %s --help` lists them; put -- before the command\n",
			verb);
		return -1;
	}
	bool own;
	const struct coffer_key *key = find_key(name, &own);
	if (!key) {
		complain_unknown(verb, name);
		return -1;
	}
	int words = 1;
	bool may_lack = key->argument && strncmp(key->argument, "[=", 2) == 0;
	if (key->argument && !value && !may_lack) {
		value = argv[i + 1];
		words = 2;
		if (!value) {
			cli_complain_text("--%s needs a value: --%s %s", name, name, key->argument);
			return -1;
		}
	} else if (!key->argument && value) {
		cli_complain_text("--%s takes no value", name);
		return -1;
	}
	return set_flag(options, name, value, own) < 0 ? -1 : words;
}

int cli_parse(const char *verb, int argc, char *argv[], struct cli_options *ret)
{
	*ret = (struct cli_options){.policy = coffer_policy_new(), .approvals_fd = -1};
	if (!ret->policy) {
		cli_complain_text("out of memory");
		return -1;
	}
	int i = 1;
	while (i < argc && argv[i][0] == '-' && argv[i][1]) {
		if (strcmp(argv[i], "--") == 0) {
			i++;
			break;
		}
		int words = parse_word(verb, ret, argv, i);
		if (words < 0)
			return -1;
		i += words;
	}
	ret->argv = argv + i;
	return 0;
}

void cli_options_release(struct cli_options *options)
{
	coffer_policy_free(options->policy);
	options->policy = NULL;
	free(options->approval_text);
	options->approval_text = NULL;
	strv_release(&options->asks);
	compiled_config_free(options->config);
	options->config = NULL;
}

static void help_row(const struct coffer_key *key)
{
	char left[64];
	const char *argument = key->argument ? key->argument : "";
	snprintf(left, sizeof(left), "--%s%s%s", key->name,
		*argument && strncmp(argument, "[=", 2) != 0 ? " " : "", argument);
	printf("  %-26s %s\n", left, key->help);
}

void cli_help_policy(void)
{
	size_t count;
	const struct coffer_key *keys = coffer_policy_keys(&count);
	for (size_t i = 0; i < count; i++)
		help_row(&keys[i]);
	help_row(&own_flags[0]);
	help_row(&own_flags[2]);
	help_row(&own_flags[4]);
	help_row(&own_flags[5]);
	help_row(&own_flags[6]);
	help_row(&own_flags[7]);
}
