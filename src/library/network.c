/* What can be asked of a policy's network without a box: the presets, and one decision. */
#include "library/library.h"

#include "base/buffer.h"
#include "base/cleanup.h"
#include "policy/policy.h"

#include <jansson.h>
#include <string.h>

enum { LISTING_BYTES_MAX = 64 * 1024 };

static char *presets_json(void)
{
	size_t count;
	const struct network_preset *presets = network_presets(&count);
	json_t *array = json_array();
	for (size_t i = 0; i < count; i++) {
		json_t *item = json_object(), *rules = json_array();
		for (const char *const *rule = presets[i].rules; *rule; rule++)
			json_array_append_new(rules, json_string(*rule));
		json_object_set_new(item, "name", json_string(presets[i].name));
		json_object_set_new(item, "help", json_string(presets[i].help));
		json_object_set_new(item, "allow_domain", rules);
		json_array_append_new(array, item);
	}
	char *text = json_dumps(array, JSON_INDENT(2));
	json_decref(array);
	return text;
}

char *coffer_net_presets(int json)
{
	if (json)
		return presets_json();
	size_t count;
	const struct network_preset *presets = network_presets(&count);
	cleanup_buffer struct buffer buffer = BUFFER_INIT(LISTING_BYTES_MAX);
	for (size_t i = 0; i < count; i++) {
		buffer_append_format(&buffer, "%-12s%s\n", presets[i].name, presets[i].help);
		for (const char *const *rule = presets[i].rules; *rule; rule++)
			buffer_append_format(&buffer, "            %s\n", *rule);
	}
	return buffer_error(&buffer) < 0 ? NULL : buffer_steal(&buffer);
}

/* What is asked about. */
struct target {
	bool literal;
	char name[NETWORK_NAME_BYTES]; /* normalized; of a literal: its canonical form */
	struct in6_addr address;
	uint16_t port;
};

static int parse_target(const char *text, struct target *ret, struct error *error)
{
	struct target target = {.port = 443};
	if (strstr(text, "://")) {
		error_set(error, EINVAL, "policy", "'%s' is a URL", text);
		return error_hint(error, "write HOST or HOST:PORT");
	}
	cleanup_free char *host = strdup(text);
	if (!host)
		return error_set_errno(error, ENOMEM, "policy", "the target");
	char *colon = strrchr(host, ':');
	bool bare_v6 = colon && host[0] != '[' && strchr(host, ':') != colon;
	if (colon && !bare_v6 && (host[0] != '[' || colon[-1] == ']')) {
		char *end;
		unsigned long port = strtoul(colon + 1, &end, 10);
		if (colon[1] < '0' || colon[1] > '9' || *end || port < 1 || port > UINT16_MAX)
			return error_set(error, EINVAL, "policy",
				"'%s' is not a port: ports go from 1 to 65535", colon + 1);
		target.port = (uint16_t)port;
		*colon = '\0';
	}
	target.literal = network_parse_address(host, &target.address) == 0;
	if (target.literal) {
		network_format_address(&target.address, target.name);
	} else if (network_normalize_name(host, target.name) < 0) {
		error_set(error, EINVAL, "policy", "'%s' is neither a name nor an address", host);
		return error_hint(error, "write HOST or HOST:PORT");
	}
	*ret = target;
	return 0;
}

static const char *const verdict_names[] = {
	[NETWORK_DENY] = "deny",
	[NETWORK_ALLOW] = "allow",
	[NETWORK_MONITOR] = "monitor",
	[NETWORK_ASK] = "ask",
};

static const char *const protocol_names[] = {
	[NETWORK_BY_PORT] = "",
	[NETWORK_HTTP] = "http",
	[NETWORK_TLS] = "tls",
	[NETWORK_RAW] = "raw",
};

static char *decision_json(const struct target *target, const struct network_decision *decision)
{
	const char *rule = decision->rule ? decision->rule->source : NULL;
	json_t *root = json_object();
	json_object_set_new(root, target->literal ? "address" : "name", json_string(target->name));
	json_object_set_new(root, "port", json_integer(target->port));
	json_object_set_new(root, "verdict", json_string(verdict_names[decision->verdict]));
	json_object_set_new(root, "rule", rule ? json_string(rule) : json_null());
	if (decision->verdict != NETWORK_DENY) {
		json_object_set_new(
			root, "protocol", json_string(protocol_names[decision->protocol]));
		json_object_set_new(root, "inspect", json_boolean(decision->inspect));
	}
	if (decision->reason[0])
		json_object_set_new(root, "reason", json_string(decision->reason));
	char *text = json_dumps(root, JSON_INDENT(2));
	json_decref(root);
	return text;
}

static char *decision_text(const struct target *target, const struct network_decision *decision)
{
	cleanup_buffer struct buffer buffer = BUFFER_INIT(LISTING_BYTES_MAX);
	bool bracket = target->literal && strchr(target->name, ':');
	buffer_append_format(&buffer, "%s%s%s:%u  %s\n", bracket ? "[" : "", target->name,
		bracket ? "]" : "", target->port, verdict_names[decision->verdict]);
	buffer_append_format(
		&buffer, "  rule      %s\n", decision->rule ? decision->rule->source : "none");
	if (decision->verdict != NETWORK_DENY)
		buffer_append_format(&buffer, "  protocol  %s%s\n",
			protocol_names[decision->protocol], decision->inspect ? ", inspected" : "");
	if (decision->reason[0])
		buffer_append_format(&buffer, "  reason    %s\n", decision->reason);
	return buffer_error(&buffer) < 0 ? NULL : buffer_steal(&buffer);
}

int coffer_net_check(const struct coffer_policy *policy, const char *text, int json, char **ret,
	struct coffer_error *ret_error)
{
	struct error error = {0};
	struct target target;
	struct network_policy network;
	network_policy_init(&network);
	int r = parse_target(text, &target, &error);
	if (r == 0)
		r = policy_validate(policy->policy, &error);
	if (r == 0)
		r = policy_network(policy->policy, &network, &error);
	if (r == 0) {
		struct network_decision decision;
		if (target.literal)
			network_decide_address(&network, &target.address, target.port, &decision);
		else
			network_decide_name(&network, target.name, target.port, &decision);
		*ret = json ? decision_json(&target, &decision) : decision_text(&target, &decision);
		r = decision.verdict == NETWORK_ALLOW || decision.verdict == NETWORK_MONITOR;
		if (!*ret)
			r = error_set_errno(&error, ENOMEM, "policy", "the decision");
	}
	network_policy_release(&network);
	if (r < 0)
		library_copy_error(ret_error, &error);
	return r;
}
