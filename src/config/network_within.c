/* One network against another, rule by rule: a rule is within a bound if a single rule of the bound
 * takes in all its names or addresses and all its ports. Two rules of the bound that would only do
 * so together do not count; whoever writes bounds writes them as wide as they are meant. */
#include "config/bounds.h"

#include "base/cleanup.h"

#include <string.h>

static bool name_is_below(const char *name, const char *domain)
{
	size_t name_bytes = strlen(name), domain_bytes = strlen(domain);
	return name_bytes > domain_bytes + 1 &&
	       strcmp(name + name_bytes - domain_bytes, domain) == 0 &&
	       name[name_bytes - domain_bytes - 1] == '.';
}

/* Whether every name of the inner pattern is one of the outer. */
static bool pattern_within(const struct network_rule *outer, const struct network_rule *inner)
{
	/* The host's own loopback is no name of the internet: only its own rule has it. */
	if (inner->match == MATCH_EXACT && strcmp(inner->name, NETWORK_HOST_NAME) == 0)
		return outer->match == MATCH_EXACT && strcmp(outer->name, inner->name) == 0;
	bool same = strcmp(inner->name, outer->name) == 0;
	bool below = name_is_below(inner->name, outer->name);
	switch (outer->match) {
	case MATCH_ANY:
		return true;
	case MATCH_EXACT:
		return inner->match == MATCH_EXACT && same;
	case MATCH_SUBDOMAINS:
		return inner->match != MATCH_ANY &&
		       (below || (inner->match == MATCH_SUBDOMAINS && same));
	case MATCH_WITH_APEX:
		return inner->match != MATCH_ANY && (below || same);
	}
	return false;
}

static bool block_within(const struct address_block *outer, const struct address_block *inner)
{
	if (inner->prefix_bits < outer->prefix_bits)
		return false;
	for (unsigned bit = 0; bit < outer->prefix_bits; bit++) {
		unsigned byte = bit / 8, mask = 0x80u >> bit % 8;
		if ((outer->address.s6_addr[byte] ^ inner->address.s6_addr[byte]) & mask)
			return false;
	}
	return true;
}

static bool ports_within(const struct port_set *outer, const struct port_set *inner)
{
	for (size_t i = 0; i < inner->count; i++) {
		bool found = false;
		for (size_t k = 0; k < outer->count && !found; k++)
			found = inner->ranges[i].first >= outer->ranges[k].first &&
				inner->ranges[i].last <= outer->ranges[k].last;
		if (!found)
			return false;
	}
	return true;
}

/* How much is asked or told before something passes. */
static int caution(enum network_verdict verdict)
{
	static const int cautions[] = {
		[NETWORK_DENY] = 3,
		[NETWORK_ALLOW] = 0,
		[NETWORK_MONITOR] = 1,
		[NETWORK_ASK] = 2,
	};
	return cautions[verdict];
}

static bool rule_within(const struct network_rule *outer, const struct network_rule *inner)
{
	if (outer->verdict == NETWORK_DENY || outer->by_address != inner->by_address ||
		caution(inner->verdict) < caution(outer->verdict))
		return false;
	if (outer->protocol != NETWORK_RAW && outer->protocol != inner->protocol)
		return false;
	if (!ports_within(&outer->ports, &inner->ports))
		return false;
	return inner->by_address ? block_within(&outer->block, &inner->block)
				 : pattern_within(outer, inner);
}

static bool covered(const struct network_policy *bound, const struct network_rule *rule)
{
	if (bound->mode == NETWORK_ON && !rule->by_address &&
		strcmp(rule->name, NETWORK_HOST_NAME) != 0)
		return true;
	for (size_t i = 0; i < bound->rules_count; i++)
		if (rule_within(&bound->rules[i], rule))
			return true;
	return false;
}

static bool has_udp(const struct network_policy *bound, const struct network_udp *udp)
{
	for (size_t i = 0; i < bound->udp_count; i++) {
		const struct network_udp *one = &bound->udp[i];
		if (one->port != udp->port || !one->name != !udp->name)
			continue;
		if (udp->name ? strcmp(one->name, udp->name) == 0
			      : memcmp(&one->address, &udp->address, sizeof(udp->address)) == 0)
			return true;
	}
	return false;
}

static bool has_forward(const struct network_policy *bound, const struct network_forward *forward)
{
	for (size_t i = 0; i < bound->publish_count; i++)
		if (bound->publish[i].host_port == forward->host_port &&
			bound->publish[i].box_port == forward->box_port)
			return true;
	return false;
}

int network_within(const struct network_policy *bound, const struct network_policy *wanted,
	struct error *error)
{
	if (wanted->mode == NETWORK_ON && bound->mode != NETWORK_ON)
		return error_set(error, EPERM, "policy", "net 'on' is wider than what is allowed");
	for (size_t i = 0; i < wanted->rules_count; i++) {
		const struct network_rule *rule = &wanted->rules[i];
		if (rule->verdict != NETWORK_DENY && !covered(bound, rule))
			return error_set(error, EPERM, "policy",
				"%.200s is wider than what is allowed",
				strncmp(rule->source, "--", 2) == 0 ? rule->source + 2
								    : rule->source);
	}
	for (size_t i = 0; i < wanted->udp_count; i++)
		if (!has_udp(bound, &wanted->udp[i]))
			return error_set(error, EPERM, "policy", "allow-udp %.200s is not allowed",
				wanted->udp[i].name ? wanted->udp[i].name : "of an address");
	for (size_t i = 0; i < wanted->publish_count; i++)
		if (!has_forward(bound, &wanted->publish[i]))
			return error_set(error, EPERM, "policy", "publish %u:%u is not allowed",
				wanted->publish[i].host_port, wanted->publish[i].box_port);
	return 0;
}
