#include "session/core.h"

#include "base/cleanup.h"
#include "base/suggest.h"
#include "coffer.h"

#include <stdio.h>
#include <string.h>

static void print_help(const char *verb)
{
	printf("usage: coffer %s [OPTION]...\n"
	       "Serves an agent's host on standard input and output. See coffer-%s(1).\n\n"
	       "  %-26s %s\n",
		verb, verb, "--approval POLICY",
		"untrusted, on-request, on-failure, never or granular:...");
	size_t count;
	const struct coffer_key *keys = coffer_policy_keys(&count);
	for (size_t i = 0; i < count; i++) {
		char left[64];
		snprintf(left, sizeof(left), "--%s%s%s", keys[i].name, keys[i].argument ? " " : "",
			keys[i].argument ? keys[i].argument : "");
		printf("  %-26s %s\n", left, keys[i].help);
	}
}

static void complain(const struct error *error)
{
	session_log("%s", error->message);
	if (error->hint[0])
		session_log("%s", error->hint);
}

static const struct coffer_key *find_key(const char *name)
{
	static const struct coffer_key approval = {"approval", "POLICY", ""};
	if (strcmp(name, approval.name) == 0)
		return &approval;
	size_t count;
	const struct coffer_key *keys = coffer_policy_keys(&count);
	for (size_t i = 0; i < count; i++)
		if (strcmp(keys[i].name, name) == 0)
			return &keys[i];
	const char *near = suggest_nearest(name, keys, count, sizeof(*keys));
	session_log("there is no option '--%s'", name);
	if (near)
		session_log("did you mean --%s?", near);
	return NULL;
}

/* Handles argv[i]; returns how many words it took, or -1. */
static int take_option(struct session *session, char *argv[], int i)
{
	char name[64] = "directory";
	const char *word = argv[i], *value = NULL;
	if (strncmp(word, "--", 2) == 0 && word[2]) {
		size_t length = strcspn(word + 2, "=");
		snprintf(name, sizeof(name), "%.*s", (int)(length < 60 ? length : 60), word + 2);
		value = word[2 + length] == '=' ? word + 3 + length : NULL;
	} else if (strcmp(word, "-C") != 0) {
		session_log("'%s' is no option; `--help` lists them", word);
		return -1;
	}
	const struct coffer_key *key = find_key(name);
	if (!key)
		return -1;
	int words = 1;
	if (key->argument && !value) {
		value = argv[i + 1];
		words = 2;
	}
	struct error error = {0};
	int r;
	if (key->argument && !value)
		r = error_set(&error, EINVAL, "policy", "--%s needs a value: --%s %s", name, name,
			key->argument);
	else if (strcmp(name, "approval") == 0)
		r = approval_parse(value, &session->asked_approval, &error);
	else
		r = session_add_setting(session, name, value, &error);
	if (r < 0)
		complain(&error);
	return r < 0 ? -1 : words;
}

int session_options(struct session *session, const char *verb, int argc, char *argv[])
{
	for (int i = 1; i < argc;) {
		if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
			print_help(verb);
			return 1;
		}
		int words = take_option(session, argv, i);
		if (words < 0)
			return -1;
		i += words;
	}
	return 0;
}
