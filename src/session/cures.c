/* What would have allowed what a box refused. Theory of operation: a denial's record says which
 * wall refused and what was wanted; nothing is read out of a program's words. A grant is a cure
 * only if the policy that it widens really lets the thing through: a name that is always refused
 * has none. */
#include "session/story.h"

#include "base/cleanup.h"
#include "base/path.h"
#include "gate/json_text.h"
#include "session/text.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *string_of(const json_t *denial, const char *key)
{
	const char *text = json_string_value(json_object_get(denial, key));
	return text ? text : "";
}

/* Tried on a copy of what there is; coffer_net_check() is the box's own decision. */
static bool opens(const struct session *session, const char *key, const char *target)
{
	struct coffer_policy *policy = NULL;
	struct error error;
	cleanup_strv struct strv settings = {0};
	int r = 0;
	for (size_t i = 0; r == 0 && i < session->effective.count; i++)
		if (strcmp(session->effective.items[i], "net=off") != 0)
			r = strv_add(&settings, session->effective.items[i]);
	if (r == 0)
		r = session_make_policy(session, &settings, &policy, &error);
	if (r == 0)
		r = coffer_policy_set(policy, key, target, NULL);
	cleanup_free char *text = NULL;
	bool open = r == 0 && coffer_net_check(policy, target, 0, &text, NULL) == 1;
	coffer_policy_free(policy);
	return open;
}

static int network_cure(const struct session *session, const char *target, struct grant *ret)
{
	if (!*target || strchr(target, ',') || strchr(target, ' '))
		return 0;
	if (!opens(session, "allow-domain", target) && !opens(session, "allow-cidr", target))
		return 0;
	*ret = (struct grant){.kind = GRANT_NETWORK, .value = strdup(target)};
	return ret->value != NULL;
}

/* The directory that would have to be writable. Never one that would open everything. */
static int write_cure(const char *target, struct grant *ret)
{
	struct stat st;
	cleanup_free char *clean = target[0] == '/' ? path_absolute("/", target) : NULL;
	if (!clean || strchr(clean, ','))
		return 0;
	bool directory = stat(clean, &st) == 0 && S_ISDIR(st.st_mode);
	char *value = directory ? steal_pointer(&clean) : path_parent(clean);
	if (!value || path_depth(value) == 0 || stat(value, &st) < 0) {
		free(value);
		return 0;
	}
	*ret = (struct grant){.kind = GRANT_WRITE, .value = value};
	return 1;
}

int denial_cure(const struct session *session, const json_t *denial, struct grant *ret)
{
	const char *promise = string_of(denial, "promise"), *call = string_of(denial, "call");
	const char *resolved = string_of(denial, "resolved");
	const char *target = *resolved ? resolved : string_of(denial, "target");
	if (strcmp(promise, "P3") == 0 &&
		(strcmp(call, "connect") == 0 || strcmp(call, "resolve") == 0))
		return network_cure(session, target, ret);
	/* What would be refused without a box, too, no grant allows. */
	if (json_is_null(json_object_get(denial, "allow_with")))
		return 0;
	if (strcmp(promise, "P1") == 0)
		return write_cure(target, ret);
	/* What a program merely looked for may not be there, and cannot be shown. */
	if (strcmp(promise, "P4") == 0 && target[0] == '/' && !strchr(target, ',') &&
		access(target, F_OK) == 0) {
		*ret = (struct grant){.kind = GRANT_SECRET, .value = strdup(target)};
		return ret->value != NULL;
	}
	return 0;
}

json_t *grant_json(const struct grant *grant)
{
	return json_pack("{s:s, s:o*}", "kind", json_grant_name(grant->kind), "value",
		grant->value ? json_of_text(grant->value) : NULL);
}

/* The promises of docs/THREAT-MODEL.md, in a word. */
static const char *promise_text(const char *promise)
{
	static const struct {
		const char *name, *text;
	} promises[] = {
		{"P1", "nothing is written outside of the writable roots"},
		{"P2", "protected names (.git, hooks, settings of editors and agents) stay"},
		{"P3", "nothing of the network is reached but what is allowed"},
		{"P4", "hidden files cannot be read"},
		{"P5", "processes outside of the box are not to be seen, signaled or traced"},
		{"P6", "limits hold"},
		{"P7", "no new privilege is to be had"},
		{"P10", "the terminal cannot be injected into"},
	};
	for (size_t i = 0; i < ARRAY_SIZE(promises); i++)
		if (strcmp(promises[i].name, promise) == 0)
			return promises[i].text;
	return "the box refuses this";
}

static json_t *explain_denial(const struct session *session, const json_t *denial)
{
	struct grant cure = {0};
	bool cured = denial_cure(session, denial, &cure) > 0;
	char *text = NULL;
	const char *program = string_of(denial, "program");
	if (asprintf(&text, "%s: %s %s was refused: %s. %s", *program ? program : "a program",
		    string_of(denial, "call"), string_of(denial, "target"),
		    string_of(denial, "reason"),
		    cured ? "It may be asked for." : "Nothing that can be asked for allows it.") <
		0)
		text = NULL;
	json_t *item = json_pack("{s:O, s:s, s:o?, s:o}", "denial", denial, "promise",
		promise_text(string_of(denial, "promise")), "text",
		text ? json_of_text(text) : NULL, "would_allow",
		cured ? grant_json(&cure) : json_null());
	free(text);
	free(cure.value);
	return item;
}

json_t *explain_report(const struct session *session, const json_t *report)
{
	json_t *items = json_array();
	size_t i;
	json_t *denial;
	json_array_foreach(json_object_get(report, "denials"), i, denial)
		json_array_append_new(items, explain_denial(session, denial));
	return json_pack("{s:O?, s:O?, s:o, s:O?}", "cause", json_object_get(report, "cause"),
		"exit", json_object_get(report, "exit"), "denials", items, "denials_lost",
		json_object_get(report, "denials_lost"));
}
