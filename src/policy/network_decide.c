/* Theory of operation. Of the rules that match, one that denies wins. Among the others the most
 * specific one decides: an exact name before a pattern, a longer pattern before a shorter, a longer
 * prefix before a shorter; so `ask-domain *` can stand beside what is allowed without a question.
 * Between equals asking wins over monitoring, and monitoring over letting through. A rule counts
 * only for its ports: on others the next one may decide.
 *
 * Addresses are looked at in all their forms: what embeds an IPv4 address is refused where that is.
 * A refused range is opened only by a rule whose block lies inside it, so that neither 0.0.0.0/0
 * opens the private networks nor 169.254.0.0/16 the metadata service. */
#include "policy/network_internal.h"

#include "base/cleanup.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

bool network_pattern_matches(enum name_match match, const char *pattern, const char *name)
{
	if (match == MATCH_ANY)
		return true;
	size_t length = strlen(name), tail = strlen(pattern);
	if (length == tail)
		return match != MATCH_SUBDOMAINS && memcmp(name, pattern, length) == 0;
	return match != MATCH_EXACT && length > tail + 1 && name[length - tail - 1] == '.' &&
	       memcmp(name + length - tail, pattern, tail) == 0;
}

bool network_pattern_covers(enum name_match outer_match, const char *outer,
	enum name_match inner_match, const char *inner)
{
	if (outer_match == MATCH_ANY || inner_match == MATCH_ANY)
		return outer_match == MATCH_ANY;
	if (inner_match == MATCH_SUBDOMAINS && strcmp(outer, inner) == 0)
		return outer_match != MATCH_EXACT;
	/* An apex that is covered, by a pattern that goes on below it. */
	return network_pattern_matches(outer_match, outer, inner) &&
	       (inner_match == MATCH_EXACT || outer_match != MATCH_EXACT);
}

bool network_patterns_meet(
	enum name_match a_match, const char *a, enum name_match b_match, const char *b)
{
	if (a_match == MATCH_ANY || b_match == MATCH_ANY)
		return true;
	if (strcmp(a, b) == 0)
		return (a_match == MATCH_EXACT) == (b_match == MATCH_EXACT) ||
		       a_match == MATCH_WITH_APEX || b_match == MATCH_WITH_APEX;
	return network_pattern_matches(a_match, a, b) || network_pattern_matches(b_match, b, a);
}

bool network_ports_hold(const struct port_set *set, uint16_t port)
{
	for (size_t i = 0; i < set->count; i++)
		if (port >= set->ranges[i].first && port <= set->ranges[i].last)
			return true;
	return false;
}

static bool holds_every_port(const struct port_set *set)
{
	return set->ranges[0].first == 1 && set->ranges[0].last == UINT16_MAX;
}

static enum network_mode mode_of(const struct network_policy *policy)
{
	if (policy->mode != NETWORK_UNSET)
		return policy->mode;
	return network_is_open(policy) ? NETWORK_FILTERED : NETWORK_OFF;
}

/* ---- names ---- */

/* An exact name, then the longest pattern, then "*". */
static unsigned specificity(const struct network_rule *rule)
{
	if (rule->by_address)
		return rule->block.prefix_bits;
	if (rule->match == MATCH_EXACT)
		return NETWORK_NAME_BYTES;
	return rule->match == MATCH_ANY ? 0 : (unsigned)strlen(rule->name);
}

static unsigned strictness(enum network_verdict verdict)
{
	static const unsigned order[] = {
		[NETWORK_ALLOW] = 0, [NETWORK_MONITOR] = 1, [NETWORK_ASK] = 2, [NETWORK_DENY] = 3};
	return order[verdict];
}

/* Whether rule, which comes later, decides rather than best. */
static bool outranks(const struct network_rule *rule, const struct network_rule *best)
{
	if (!best)
		return true;
	bool deny = rule->verdict == NETWORK_DENY, denied = best->verdict == NETWORK_DENY;
	if (deny || denied)
		return deny && !denied;
	if (specificity(rule) != specificity(best))
		return specificity(rule) > specificity(best);
	if (rule->verdict != best->verdict)
		return strictness(rule->verdict) > strictness(best->verdict);
	/* The same twice: the later one counts, unless only the earlier says a protocol. */
	return rule->protocol != NETWORK_BY_PORT || best->protocol == NETWORK_BY_PORT;
}

static bool rule_concerns(const struct network_rule *rule, const char *name)
{
	if (rule->by_address)
		return false;
	/* The host's loopback has to be named. */
	if (rule->match != MATCH_EXACT && rule->verdict != NETWORK_DENY &&
		strcmp(name, NETWORK_HOST_NAME) == 0)
		return false;
	return network_pattern_matches(rule->match, rule->name, name);
}

void network_find_rules(struct name_rules *found)
{
	const struct network_policy *policy = found->policy;
	found->count = 0;
	if (mode_of(policy) == NETWORK_OFF || network_special_name(found->name))
		return;
	for (size_t i = 0; i < policy->rules_count; i++)
		if (rule_concerns(&policy->rules[i], found->name))
			found->rules[found->count++] = &policy->rules[i];
}

/* What holds for names that no rule is about. */
static enum network_verdict default_verdict(const struct network_policy *policy, const char *name)
{
	return mode_of(policy) == NETWORK_ON && !network_special_name(name) &&
			       strcmp(name, NETWORK_HOST_NAME) != 0
		       ? NETWORK_ALLOW
		       : NETWORK_DENY;
}

static const struct network_rule *rule_on_port(const struct name_rules *found, uint16_t port)
{
	const struct network_rule *best = NULL;
	for (size_t i = 0; i < found->count; i++)
		if (network_ports_hold(&found->rules[i]->ports, port) &&
			outranks(found->rules[i], best))
			best = found->rules[i];
	return best;
}

/* The verdict changes from port to port only where some rule's range begins or has ended: the next
 * such port after `port`, or UINT16_MAX + 1. */
static unsigned next_change(const struct name_rules *found, unsigned port)
{
	unsigned next = UINT16_MAX + 1;
	for (size_t i = 0; i < found->count; i++) {
		const struct port_set *set = &found->rules[i]->ports;
		for (size_t k = 0; k < set->count; k++) {
			unsigned edges[] = {set->ranges[k].first, set->ranges[k].last + 1U};
			for (size_t e = 0; e < 2; e++)
				if (edges[e] > port && edges[e] < next)
					next = edges[e];
		}
	}
	return next;
}

static enum network_verdict verdict_on_port(const struct name_rules *found, uint16_t port)
{
	const struct network_rule *rule = rule_on_port(found, port);
	return rule ? rule->verdict : default_verdict(found->policy, found->name);
}

int network_open_ports(const struct name_rules *found, bool ask, struct port_set *ret)
{
	struct port_set set = {0};
	for (unsigned port = 1; port <= UINT16_MAX;) {
		unsigned next = next_change(found, port);
		enum network_verdict verdict = verdict_on_port(found, (uint16_t)port);
		if (verdict == NETWORK_DENY || (verdict == NETWORK_ASK && !ask)) {
			port = next;
			continue;
		}
		if (set.count > 0 && set.ranges[set.count - 1].last + 1U == port) {
			set.ranges[set.count - 1].last = (uint16_t)(next - 1);
		} else if (NETWORK_GROW(set.ranges, set.count)) {
			set.ranges[set.count++] =
				(struct port_range){(uint16_t)port, (uint16_t)(next - 1)};
		} else {
			free(set.ranges);
			return -ENOMEM;
		}
		port = next;
	}
	*ret = set;
	return 0;
}

static enum network_protocol protocol_on_port(const struct network_rule *rule, uint16_t port)
{
	if (rule && rule->protocol != NETWORK_BY_PORT)
		return rule->protocol;
	return port == 80 ? NETWORK_HTTP : port == 443 ? NETWORK_TLS : NETWORK_RAW;
}

static bool is_inspected(const struct network_policy *policy, const char *name)
{
	for (size_t i = 0; i < policy->inspects_count; i++)
		if (network_pattern_matches(
			    policy->inspects[i].match, policy->inspects[i].name, name))
			return true;
	for (size_t i = 0; i < policy->secrets_count; i++)
		if (network_pattern_matches(
			    policy->secrets[i].match, policy->secrets[i].host, name))
			return true;
	return false;
}

bool network_must_be_seen(const struct network_policy *policy, const char *name)
{
	return is_inspected(policy, name) || network_has_requests(policy, name);
}

bool network_has_seen_names(const struct network_policy *policy)
{
	return policy->inspects_count > 0 || policy->secrets_count > 0 ||
	       policy->requests_count > 0;
}

static void deny(struct network_decision *decision, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static void deny(struct network_decision *decision, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	vsnprintf(decision->reason, sizeof(decision->reason), format, args);
	va_end(args);
	decision->verdict = NETWORK_DENY;
	decision->inspect = false;
}

/* ":8443", where it has to be said. */
static const char *port_suffix(uint16_t port, char text[8])
{
	text[0] = '\0';
	if (port != 0 && port != 80 && port != 443)
		snprintf(text, 8, ":%u", port);
	return text;
}

/* Why a name that no rule lets through is refused, and the one flag that would. */
static void deny_undecided(
	const struct name_rules *found, uint16_t port, struct network_decision *ret)
{
	char suffix[8];
	const char *name = found->name;
	const char *special = network_special_name(name);
	bool elsewhere = false;
	for (size_t i = 0; i < found->count; i++)
		elsewhere = elsewhere || found->rules[i]->verdict != NETWORK_DENY;
	port_suffix(port, suffix);
	if (special)
		deny(ret, "%s: always refused", special);
	else if (mode_of(found->policy) == NETWORK_OFF)
		deny(ret, "the network is off; --allow-domain %s%s opens it for this name", name,
			suffix);
	else if (elsewhere && port != 0)
		deny(ret, "no rule allows this name on port %u; --allow-domain %s:%u would", port,
			name, port);
	else
		deny(ret, "no rule allows this name; --allow-domain %s%s would", name, suffix);
}

static void decide_on_port(
	const struct name_rules *found, uint16_t port, struct network_decision *ret)
{
	const struct network_policy *policy = found->policy;
	const struct network_rule *rule = rule_on_port(found, port);
	ret->reason[0] = '\0';
	ret->rule = rule;
	ret->verdict = rule ? rule->verdict : default_verdict(policy, found->name);
	ret->protocol = protocol_on_port(rule, port);
	ret->inspect = ret->protocol == NETWORK_TLS && is_inspected(policy, found->name);
	if (rule && ret->verdict == NETWORK_DENY)
		deny(ret, "refused by %s", rule->source);
	else if (ret->verdict != NETWORK_DENY && ret->protocol == NETWORK_RAW &&
		 !(rule && rule->protocol == NETWORK_RAW) &&
		 network_has_requests(policy, found->name))
		deny(ret,
			"requests to this name have rules, and on port %u they cannot be seen; "
			":%u/tls or /http would say what is spoken there",
			port, port);
	else if (ret->verdict == NETWORK_ASK)
		snprintf(
			ret->reason, sizeof(ret->reason), "nobody can be asked (%s)", rule->source);
}

/* For a question about any port at all: as on the port on which most is let through. What a port is
 * for matters too, as where requests have rules bytes are not passed on unseen. */
static void decide_on_freest_port(const struct name_rules *found, struct network_decision *ret)
{
	static const uint16_t usual[] = {80, 443};
	struct network_decision decision = *ret;
	decide_on_port(found, 1, ret);
	for (unsigned port = next_change(found, 1); port <= UINT16_MAX;
		port = next_change(found, port)) {
		decide_on_port(found, (uint16_t)port, &decision);
		if (strictness(decision.verdict) < strictness(ret->verdict))
			*ret = decision;
	}
	for (size_t i = 0; i < ARRAY_SIZE(usual); i++) {
		decide_on_port(found, usual[i], &decision);
		if (strictness(decision.verdict) < strictness(ret->verdict))
			*ret = decision;
	}
}

void network_decide_name(const struct network_policy *policy, const char *name, uint16_t port,
	struct network_decision *ret)
{
	*ret = (struct network_decision){.verdict = NETWORK_DENY, .protocol = NETWORK_RAW};
	struct name_rules found = {.policy = policy, .name = name};
	cleanup_free const struct network_rule **rules =
		calloc(policy->rules_count + 1, sizeof(*rules));
	if (!rules) {
		deny(ret, "out of memory");
		return;
	}
	found.rules = rules;
	network_find_rules(&found);
	if (port)
		decide_on_port(&found, port, ret);
	else
		decide_on_freest_port(&found, ret);
	if (ret->verdict == NETWORK_DENY && !ret->rule && !ret->reason[0])
		deny_undecided(&found, port, ret);
}

bool network_is_below_wildcard(const struct network_policy *policy, const char *name)
{
	bool below = mode_of(policy) == NETWORK_ON;
	for (size_t i = 0; i < policy->rules_count; i++) {
		const struct network_rule *rule = &policy->rules[i];
		if (rule->verdict == NETWORK_DENY || !rule_concerns(rule, name))
			continue;
		if (rule->match != MATCH_ANY && strcmp(rule->name, name) == 0)
			return false;
		below = true;
	}
	return below;
}

/* ---- addresses ---- */

static bool concerns_port(const struct network_rule *rule, uint16_t port)
{
	return port == 0 || network_ports_hold(&rule->ports, port);
}

/* The rule that denies the address in any of its forms. */
static const struct network_rule *denying_rule(const struct network_policy *policy,
	const struct in6_addr *forms, size_t count, uint16_t port)
{
	for (size_t i = 0; i < policy->rules_count; i++) {
		const struct network_rule *rule = &policy->rules[i];
		if (!rule->by_address || rule->verdict != NETWORK_DENY)
			continue;
		if (port ? !network_ports_hold(&rule->ports, port)
			 : !holds_every_port(&rule->ports))
			continue;
		for (size_t k = 0; k < count; k++)
			if (network_block_holds(&rule->block, &forms[k]))
				return rule;
	}
	return NULL;
}

static bool is_named(const struct network_policy *policy, const struct reserved_range *range,
	const struct in6_addr *form, uint16_t port)
{
	for (size_t i = 0; i < policy->rules_count; i++) {
		const struct network_rule *rule = &policy->rules[i];
		if (rule->by_address && rule->verdict != NETWORK_DENY &&
			rule->block.prefix_bits >= range->block.prefix_bits &&
			concerns_port(rule, port) && network_block_holds(&rule->block, form))
			return true;
	}
	return false;
}

bool network_names_host_address(
	const struct network_policy *policy, const struct in6_addr *address, uint16_t port)
{
	bool v4 = IN6_IS_ADDR_V4MAPPED(address);
	if (v4 ? address->s6_addr[12] == 127 : IN6_IS_ADDR_LOOPBACK(address))
		return true;
	const struct reserved_range one = {.block.prefix_bits = 128};
	return is_named(policy, &one, address, port);
}

/* ":PORT" behind an address, which IPv6 wants brackets for. */
static void format_block(const struct in6_addr *address, uint16_t port, char *text, size_t size)
{
	char plain[INET6_ADDRSTRLEN], suffix[8];
	network_format_address(address, plain);
	port_suffix(port, suffix);
	bool bracket = suffix[0] && strchr(plain, ':');
	snprintf(text, size, "%s%s%s%s", bracket ? "[" : "", plain, bracket ? "]" : "", suffix);
}

enum { BLOCK_TEXT_BYTES = INET6_ADDRSTRLEN + 16 };

bool network_may_dial(const struct network_policy *policy, const struct in6_addr *address,
	uint16_t port, char reason[160])
{
	struct in6_addr forms[ADDRESS_FORMS_MAX];
	size_t count = network_address_forms(address, forms);
	char whole[INET6_ADDRSTRLEN], block[BLOCK_TEXT_BYTES];
	network_format_address(address, whole);
	const struct network_rule *rule = denying_rule(policy, forms, count, port);
	if (rule) {
		snprintf(reason, 160, "%s is refused by %s", whole, rule->source);
		return false;
	}
	for (size_t i = 0; i < count; i++) {
		const struct reserved_range *range = network_range_of(&forms[i]);
		if (!range || is_named(policy, range, &forms[i], port))
			continue;
		format_block(&forms[i], port, block, sizeof(block));
		if (i == 0)
			snprintf(reason, 160, "%s is %s; only --allow-cidr %s would open it", whole,
				range->name, block);
		else
			snprintf(reason, 160,
				"%s leads to what is %s; only --allow-cidr %s would "
				"open it",
				whole, range->name, block);
		return false;
	}
	reason[0] = '\0';
	return true;
}

void network_decide_address(const struct network_policy *policy, const struct in6_addr *address,
	uint16_t port, struct network_decision *ret)
{
	*ret = (struct network_decision){.verdict = NETWORK_DENY};
	char block[BLOCK_TEXT_BYTES];
	format_block(address, port, block, sizeof(block));
	const struct network_rule *best = NULL;
	for (size_t i = 0; i < policy->rules_count; i++) {
		const struct network_rule *rule = &policy->rules[i];
		if (rule->by_address && rule->verdict != NETWORK_DENY &&
			concerns_port(rule, port) && network_block_holds(&rule->block, address) &&
			outranks(rule, best))
			best = rule;
	}
	ret->protocol = protocol_on_port(best, port);
	enum network_mode mode = mode_of(policy);
	if (mode == NETWORK_OFF) {
		deny(ret, "the network is off; --allow-cidr %s opens it for this address", block);
		return;
	}
	if (!network_may_dial(policy, address, port, ret->reason)) {
		struct in6_addr forms[ADDRESS_FORMS_MAX];
		ret->rule =
			denying_rule(policy, forms, network_address_forms(address, forms), port);
		return;
	}
	ret->rule = best;
	ret->verdict = best ? best->verdict : mode == NETWORK_ON ? NETWORK_ALLOW : NETWORK_DENY;
	if (!best && ret->verdict == NETWORK_DENY)
		deny(ret, "no rule allows this address; --allow-cidr %s would, or use the name",
			block);
	else if (ret->verdict == NETWORK_ASK)
		snprintf(
			ret->reason, sizeof(ret->reason), "nobody can be asked (%s)", best->source);
}
