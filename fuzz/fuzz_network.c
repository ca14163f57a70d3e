/* Lines of "key value" or "key" fill a network policy; lines of "? NAME" are names that somebody
 * asks for. Whatever stands there, a name has one form, and what a rule denies stays denied. */
#include "base/cleanup.h"
#include "policy/network_internal.h"

#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { RULES_MAX = 64 }; /* of one input: pools look at every pair */

static void must(bool holds)
{
	if (!holds)
		abort();
}

static void fill(struct network_policy *policy, char *key)
{
	char *value = strchr(key, ' ');
	if (value)
		*value++ = '\0';
	size_t rules = policy->rules_count, settings = policy->settings_count;
	size_t secrets = policy->secrets_count, requests = policy->requests_count;
	struct error error = {0};
	int r = network_set(policy, key, value, NULL, &error);
	must(policy->settings_count == settings + (r == 0));
	if (r == 0)
		return;
	/* A refusal says why, and leaves what was set. */
	must(r == -ENOENT ? !error.message[0] : error.message[0] && error.errno_value == -r);
	must(policy->rules_count == rules && policy->secrets_count == secrets &&
		policy->requests_count == requests);
}

static void check_rules(const struct network_policy *policy)
{
	for (size_t i = 0; i < policy->rules_count; i++) {
		const struct network_rule *rule = &policy->rules[i];
		char name[NETWORK_NAME_BYTES];
		must(rule->ports.count > 0 && rule->source && rule->name);
		for (size_t k = 0; k < rule->ports.count; k++) {
			must(rule->ports.ranges[k].first >= 1 &&
				rule->ports.ranges[k].first <= rule->ports.ranges[k].last);
			must(k == 0 ||
				rule->ports.ranges[k].first > rule->ports.ranges[k - 1].last + 1);
		}
		if (!rule->by_address && rule->match != MATCH_ANY)
			must(network_normalize_name(rule->name, name) == 0 &&
				strcmp(name, rule->name) == 0);
		if (rule->verdict != NETWORK_DENY && !rule->by_address)
			must(!network_special_name(rule->name));
	}
}

static bool is_denied(const struct network_policy *policy, const char *name, uint16_t port)
{
	for (size_t i = 0; i < policy->rules_count; i++)
		if (policy->rules[i].verdict == NETWORK_DENY && !policy->rules[i].by_address &&
			network_ports_hold(&policy->rules[i].ports, port) &&
			network_pattern_matches(
				policy->rules[i].match, policy->rules[i].name, name))
			return true;
	return network_special_name(name) || !network_is_open(policy);
}

static void check_name(const struct network_policy *policy, const struct network_pool *pools,
	size_t pools_count, const char *text)
{
	char name[NETWORK_NAME_BYTES], again[NETWORK_NAME_BYTES], reason[160];
	struct in6_addr address;
	bool literal = network_parse_address(text, &address) == 0;
	if (literal) {
		char plain[INET6_ADDRSTRLEN];
		struct in6_addr same;
		struct network_decision decision;
		network_format_address(&address, plain);
		must(network_parse_address(plain, &same) == 0 &&
			IN6_ARE_ADDR_EQUAL(&address, &same));
		network_decide_address(policy, &address, 443, &decision);
		must(decision.verdict == NETWORK_DENY ||
			network_may_dial(policy, &address, 443, reason));
	}
	if (network_normalize_name(text, name) < 0)
		return;
	must(!literal && network_normalize_name(name, again) == 0 && strcmp(name, again) == 0);
	must(network_parse_address(name, &address) < 0);
	int pool = network_pool_of(policy, true, pools, pools_count, name);
	static const uint16_t ports[] = {1, 22, 80, 443, 8443, UINT16_MAX};
	for (size_t i = 0; i < ARRAY_SIZE(ports); i++) {
		struct network_decision decision;
		network_decide_name(policy, name, ports[i], &decision);
		bool open = decision.verdict != NETWORK_DENY;
		must(!open || !is_denied(policy, name, ports[i]));
		must(open || decision.reason[0]);
		must(decision.protocol != NETWORK_BY_PORT);
		/* What gets through has a stand-in that lets it. */
		must(!open || (pool >= 0 && network_ports_hold(&pools[pool].ports, ports[i])));
	}
	network_may_request(policy, name, "GET", text, reason);
}

static void check_blocks(const struct network_policy *policy)
{
	struct address_block *blocks;
	size_t count;
	must(network_literal_blocks(policy, &blocks, &count) == 0);
	for (size_t i = 0; i < count; i++)
		must(!network_block_holds(&blocks[i], &in6addr_any) &&
			(i == 0 || memcmp(&blocks[i - 1].address, &blocks[i].address, 16) < 0));
	free(blocks);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	cleanup_free char *text = strndup((const char *)data, size);
	cleanup_free char *names = text ? strdup(text) : NULL;
	struct network_policy policy;
	network_policy_init(&policy);
	if (!names)
		return 0;
	char *rest = text;
	for (char *line; (line = strsep(&rest, "\n")) && policy.rules_count < RULES_MAX;)
		if (line[0] != '?')
			fill(&policy, line);
	check_rules(&policy);
	struct error error = {0};
	struct network_pool *pools = NULL;
	size_t count = 0;
	must(network_validate(&policy, &error) == 0 || error.message[0]);
	if (network_pools(&policy, true, &pools, &count, &error) == 0) {
		rest = names;
		for (char *line; (line = strsep(&rest, "\n"));)
			if (line[0] == '?' && line[1] == ' ')
				check_name(&policy, pools, count, line + 2);
		network_pools_free(pools, count);
	}
	bool loopback = false;
	for (size_t i = 0; i < policy.rules_count; i++)
		loopback = loopback ||
			   (policy.rules[i].by_address &&
				   network_block_holds(&policy.rules[i].block, &in6addr_any));
	if (!loopback)
		check_blocks(&policy);
	network_policy_release(&policy);
	return 0;
}
