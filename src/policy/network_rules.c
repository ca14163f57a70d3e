/* The grammar of rules: patterns of names, sets of ports, blocks of addresses. Every mistake is
 * answered with what would be right, since a rule that means something else than it says is worse
 * than none. */
#include "policy/network_internal.h"

#include "base/cleanup.h"
#include "base/suggest.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <string.h>

static int out_of_memory(const char *key, struct error *error)
{
	return error_set_errno(error, ENOMEM, "policy", "--%s", key);
}

/* ---- names ---- */

static int refuse_star(const char *key, const char *text, bool any, struct error *error)
{
	if (strcmp(text, "*") == 0 || strcmp(text, "**") == 0) {
		if (any)
			return error_hint(error, "'*' stands for every name");
		error_set(error, EINVAL, "policy", "--%s %s: it cannot be said of every name", key,
			text);
		if (strcmp(key, "deny-domain") == 0)
			return error_hint(error,
				"what no rule allows is refused already; --net off "
				"turns the network off");
		return error_hint(error, "name the host, or *.HOST for the names below it");
	}
	const char *tail = strrchr(text, '*') + 1;
	tail += strcspn(tail, "."); /* the label that held the star is a whole star */
	char normal[NETWORK_NAME_BYTES];
	if (*tail == '.' && network_normalize_name(tail + 1, normal) == 0)
		return error_hint(error, "write *.%s for the names below %s, **.%s for it too",
			normal, normal, normal);
	return error_hint(error, "write HOST, *.HOST (names below it) or **.HOST (it too)");
}

/* What somebody may have meant who wrote what is no name. */
static int refuse_name(const char *key, const char *text, struct error *error)
{
	if (!*text)
		return error_set(error, EINVAL, "policy", "--%s: the name is empty", key);
	error_set(error, EINVAL, "policy", "--%s: '%s' is not a host name", key, text);
	if (strchr(text, '@'))
		return error_hint(error, "leave out the user before the @");
	if (strchr(text, ' '))
		return error_hint(error, "give --%s once for each name", key);
	return error_hint(error, "a name has letters, digits, hyphens and dots, as in pypi.org");
}

static int refuse_address(
	const char *key, const char *text, const struct in6_addr *address, struct error *error)
{
	char canonical[INET6_ADDRSTRLEN];
	network_format_address(address, canonical);
	error_set(error, EINVAL, "policy", "--%s: '%s' is an address, not a name", key, text);
	if (strcmp(key, "deny-domain") == 0)
		return error_hint(error, "use --deny-cidr %s", canonical);
	return error_hint(error, "use --allow-cidr %s", canonical);
}

int network_parse_host(
	const char *key, const char *text, char ret[NETWORK_NAME_BYTES], struct error *error)
{
	struct in6_addr address;
	if (network_parse_address(text, &address) == 0)
		return refuse_address(key, text, &address, error);
	return network_normalize_name(text, ret) < 0 ? refuse_name(key, text, error) : 0;
}

int network_parse_pattern(
	const char *key, const char *text, bool any, struct name_pattern *ret, struct error *error)
{
	struct name_pattern pattern = {.match = MATCH_EXACT};
	if (any && strcmp(text, "*") == 0) {
		*ret = (struct name_pattern){.match = MATCH_ANY};
		return 0;
	}
	const char *host = text;
	if (strncmp(text, "*.", 2) == 0) {
		pattern.match = MATCH_SUBDOMAINS;
		host += 2;
	} else if (strncmp(text, "**.", 3) == 0) {
		pattern.match = MATCH_WITH_APEX;
		host += 3;
	}
	if (strchr(host, '*')) {
		error_set(error, EINVAL, "policy",
			"--%s: '%s' has a star where none can be: it stands for whole labels, in "
			"front",
			key, text);
		return refuse_star(key, text, any, error);
	}
	int r = network_parse_host(key, host, pattern.name, error);
	if (r < 0)
		return r;
	*ret = pattern;
	return 0;
}

/* ---- ports ---- */

static int parse_number(const char *text, size_t length, unsigned *ret)
{
	if (length == 0 || length > 5 || strspn(text, "0123456789") < length)
		return -EINVAL;
	*ret = 0;
	for (size_t i = 0; i < length; i++)
		*ret = *ret * 10 + (unsigned)(text[i] - '0');
	return 0;
}

static int parse_port(
	const char *key, const char *text, size_t length, uint16_t *ret, struct error *error)
{
	unsigned value;
	if (length > 5 && strspn(text, "0123456789") >= length)
		value = UINT16_MAX + 1;
	else if (parse_number(text, length, &value) < 0)
		return error_set(error, EINVAL, "policy",
			"--%s: '%.*s' is not a port; write for example 443 or 8000-8100", key,
			(int)(length < 40 ? length : 40), text);
	if (value == 0 || value > UINT16_MAX)
		return error_set(error, EINVAL, "policy",
			"--%s: there is no port %.*s; ports go from 1 to 65535", key,
			(int)(length < 40 ? length : 40), text);
	*ret = (uint16_t)value;
	return 0;
}

int network_parse_port(const char *key, const char *text, uint16_t *ret, struct error *error)
{
	return parse_port(key, text, strlen(text), ret, error);
}

static int compare_ranges(const void *a, const void *b)
{
	const struct port_range *first = a, *second = b;
	return first->first - second->first;
}

/* Sorts, and joins what overlaps or touches. */
static void tidy_ports(struct port_set *set)
{
	qsort(set->ranges, set->count, sizeof(*set->ranges), compare_ranges);
	size_t kept = 0;
	for (size_t i = 1; i < set->count; i++) {
		struct port_range *last = &set->ranges[kept];
		if (set->ranges[i].first > last->last + 1)
			set->ranges[++kept] = set->ranges[i];
		else if (set->ranges[i].last > last->last)
			last->last = set->ranges[i].last;
	}
	set->count = kept + 1;
}

static int set_ports(const char *key, const struct port_range *ranges, size_t count,
	struct port_set *ret, struct error *error)
{
	ret->ranges = reallocarray(NULL, count, sizeof(*ranges));
	if (!ret->ranges)
		return out_of_memory(key, error);
	memcpy(ret->ranges, ranges, count * sizeof(*ranges));
	ret->count = count;
	tidy_ports(ret);
	return 0;
}

/* A list of ports and ranges; length bytes of text. */
static int parse_ports(
	const char *key, const char *text, size_t length, struct port_set *ret, struct error *error)
{
	struct port_range ranges[NETWORK_PORT_RANGES_MAX];
	size_t count = 0;
	for (size_t at = 0; at <= length;) {
		size_t item = strcspn(text + at, ",");
		if (item > length - at)
			item = length - at;
		if (count == NETWORK_PORT_RANGES_MAX)
			return error_set(error, E2BIG, "policy",
				"--%s: a rule has at most %d ports or ranges; use several rules",
				key, NETWORK_PORT_RANGES_MAX);
		const char *start = text + at;
		size_t first = strcspn(start, "-");
		bool range = first < item;
		struct port_range *into = &ranges[count++];
		int r = parse_port(key, start, range ? first : item, &into->first, error);
		into->last = into->first;
		if (r == 0 && range)
			r = parse_port(
				key, start + first + 1, item - first - 1, &into->last, error);
		if (r < 0)
			return r;
		if (into->first > into->last) {
			error_set(error, EINVAL, "policy", "--%s: the port range %u-%u is reversed",
				key, into->first, into->last);
			return error_hint(error, "write %u-%u", into->last, into->first);
		}
		at += item + 1;
	}
	return set_ports(key, ranges, count, ret, error);
}

static int default_ports(
	const char *key, enum network_verdict verdict, struct port_set *ret, struct error *error)
{
	static const struct port_range web[] = {{80, 80}, {443, 443}};
	static const struct port_range all[] = {{1, UINT16_MAX}};
	return verdict == NETWORK_DENY ? set_ports(key, all, 1, ret, error)
				       : set_ports(key, web, 2, ret, error);
}

/* ---- what follows the pattern or the block ---- */

struct protocol_word {
	const char *name;
	enum network_protocol protocol;
};

static const struct protocol_word protocols[] = {
	{"http", NETWORK_HTTP},
	{"tls", NETWORK_TLS},
	{"raw", NETWORK_RAW},
};

static int parse_protocol(
	const char *key, const char *text, struct network_rule *rule, struct error *error)
{
	for (size_t i = 0; i < ARRAY_SIZE(protocols); i++) {
		if (strcmp(text, protocols[i].name) != 0)
			continue;
		rule->protocol = protocols[i].protocol;
		if (rule->verdict != NETWORK_DENY)
			return 0;
		error_set(error, EINVAL, "policy",
			"--%s: what is refused has no protocol, so '/%s' says nothing", key, text);
		return error_hint(error, "name ports instead, or nothing");
	}
	error_set(error, EINVAL, "policy", "--%s: '/%s' is not a protocol: /http, /tls or /raw",
		key, text);
	const char *near =
		suggest_nearest(text, protocols, ARRAY_SIZE(protocols), sizeof(protocols[0]));
	if (near)
		return error_hint(error, "did you mean '/%s'?", near);
	return rule->by_address ? -EINVAL
				: error_hint(error, "paths are for --net-request METHOD HOST/PATH");
}

/* [:PORTS][/PROTOCOL], to the end of the value. */
static int parse_rest(
	const char *key, const char *rest, struct network_rule *rule, struct error *error)
{
	const char *slash = strchr(rest, '/');
	size_t length = slash ? (size_t)(slash - rest) : strlen(rest);
	int r = slash ? parse_protocol(key, slash + 1, rule, error) : 0;
	if (r < 0)
		return r;
	if (length == 0)
		return default_ports(key, rule->verdict, &rule->ports, error);
	return parse_ports(key, rest + 1, length - 1, &rule->ports, error);
}

/* Takes rule over, whatever comes. */
static int add_rule(struct network_policy *policy, const char *key, struct network_rule *rule,
	const char *source, struct error *error)
{
	int r = 0;
	if (policy->rules_count >= NETWORK_RULES_MAX)
		r = error_set(error, E2BIG, "policy", "--%s: more than %d network rules are given",
			key, NETWORK_RULES_MAX);
	rule->source = strdup(source);
	if (r == 0 &&
		(!rule->name || !rule->source || !NETWORK_GROW(policy->rules, policy->rules_count)))
		r = out_of_memory(key, error);
	if (r < 0) {
		free(rule->name);
		free(rule->source);
		free(rule->ports.ranges);
		return r;
	}
	policy->rules[policy->rules_count++] = *rule;
	return 0;
}

/* What opens something must be able to. */
static int check_special(const char *key, const struct name_pattern *pattern, struct error *error)
{
	const char *special = network_special_name(pattern->name);
	if (special) {
		error_set(error, EINVAL, "policy", "--%s: %s is always refused: %s", key,
			pattern->name, special);
		return error_hint(error, "the host's own loopback is " NETWORK_HOST_NAME
					 ", an address is opened by --allow-cidr");
	}
	if (pattern->match != MATCH_EXACT && strcmp(pattern->name, NETWORK_HOST_NAME) == 0) {
		error_set(error, EINVAL, "policy",
			"--%s: nothing lies below " NETWORK_HOST_NAME ", the host's loopback", key);
		return error_hint(error, "write " NETWORK_HOST_NAME ":PORT");
	}
	return 0;
}

/* Values that are something else than PATTERN[:PORTS][/PROTOCOL]. */
static int refuse_other_forms(const char *key, const char *value, struct error *error)
{
	const char *scheme = strstr(value, "://");
	if (scheme) {
		error_set(error, EINVAL, "policy", "--%s: '%s' is a URL, not a name", key, value);
		return error_hint(
			error, "write --%s %.*s", key, (int)strcspn(scheme + 3, ":/"), scheme + 3);
	}
	/* An IPv6 address, bare or in brackets. */
	bool bracket = value[0] == '[';
	size_t length = bracket ? strcspn(value, "]") + 1 : strcspn(value, "/");
	char text[INET6_ADDRSTRLEN + 8];
	struct in6_addr address;
	if (length < sizeof(text)) {
		snprintf(text, sizeof(text), "%.*s", (int)length, value);
		if (strchr(text, ':') && network_parse_address(text, &address) == 0)
			return refuse_address(key, text, &address, error);
	}
	return 0;
}

int network_add_name_rule(struct network_policy *policy, const char *key,
	enum network_verdict verdict, const char *value, const char *source, struct error *error)
{
	int r = refuse_other_forms(key, value, error);
	if (r < 0)
		return r;
	size_t length = strcspn(value, ":/");
	cleanup_free char *text = strndup(value, length);
	if (!text)
		return out_of_memory(key, error);
	struct name_pattern pattern;
	r = network_parse_pattern(key, text, verdict != NETWORK_DENY, &pattern, error);
	if (r == 0 && verdict != NETWORK_DENY)
		r = check_special(key, &pattern, error);
	if (r < 0)
		return r;
	struct network_rule rule = {.verdict = verdict, .match = pattern.match};
	r = parse_rest(key, value + length, &rule, error);
	if (r < 0) {
		free(rule.ports.ranges);
		return r;
	}
	rule.name = strdup(pattern.name);
	return add_rule(policy, key, &rule, source, error);
}

/* ---- blocks of addresses ---- */

static void clear_host_bits(struct address_block *block)
{
	for (unsigned i = 0; i < 16; i++) {
		unsigned first = i * 8;
		if (first >= block->prefix_bits)
			block->address.s6_addr[i] = 0;
		else if (block->prefix_bits - first < 8)
			block->address.s6_addr[i] &=
				(uint8_t)(0xff << (8 - (block->prefix_bits - first)));
	}
}

static int refuse_block(const char *key, const char *text, struct error *error)
{
	char name[NETWORK_NAME_BYTES];
	error_set(error, EINVAL, "policy", "--%s: '%s' is not an address", key, text);
	if (network_normalize_name(text, name) == 0)
		return error_hint(error, "for names, use --%s %s",
			strcmp(key, "deny-cidr") == 0 ? "deny-domain" : "allow-domain", name);
	return error_hint(error, "write 192.0.2.0/24, 2001:db8::/32 or [2001:db8::/32]:PORT");
}

/* text: ADDRESS in its ordinary form; bits: what follows the slash, or NULL. */
static int parse_block(const char *key, const char *text, const char *bits, size_t bits_length,
	struct address_block *ret, struct error *error)
{
	struct in6_addr address;
	char canonical[INET6_ADDRSTRLEN];
	if (network_parse_address(text, &address) < 0)
		return refuse_block(key, text, error);
	network_format_address(&address, canonical);
	bool v4 = !strchr(text, ':');
	struct in_addr plain;
	if (v4 && inet_pton(AF_INET, text, &plain) != 1) {
		error_set(error, EINVAL, "policy", "--%s: '%s' can be read in more than one way",
			key, text);
		return error_hint(error, "write the four numbers in decimal: %s", canonical);
	}
	unsigned width = v4 ? 32 : 128, prefix = width;
	if (bits && (parse_number(bits, bits_length, &prefix) < 0 || prefix > width))
		return error_set(error, EINVAL, "policy",
			"--%s: '/%.*s' is not a prefix length from 0 to %u", key,
			(int)(bits_length < 40 ? bits_length : 40), bits, width);
	struct address_block block = {.address = address, .prefix_bits = prefix + 128 - width};
	clear_host_bits(&block);
	if (memcmp(&block.address, &address, sizeof(address)) != 0) {
		char network[INET6_ADDRSTRLEN];
		/* A short IPv6 prefix of a mapped address may clear what says that it is one. */
		network_format_address(&block.address, network);
		error_set(error, EINVAL, "policy", "--%s: %s/%u has bits set beyond its prefix",
			key, canonical, prefix);
		return error_hint(error, "write %s/%u for the block, or %s for the one address",
			network, prefix, canonical);
	}
	*ret = block;
	return 0;
}

/* Splits ADDRESS[/BITS] off the front of value; *ret_rest is [:PORTS][/PROTOCOL]. */
static int split_block(const char *key, const char *value, struct address_block *ret,
	const char **ret_rest, struct error *error)
{
	bool bracket = value[0] == '[';
	const char *start = value + bracket;
	size_t whole = bracket ? strcspn(start, "]") : strlen(start);
	if (bracket && start[whole] != ']')
		return error_set(error, EINVAL, "policy", "--%s: '%s' has no ']'", key, value);
	bool v6 = bracket || strchr(start, ':') != strrchr(start, ':');
	size_t length = strcspn(start, v6 ? "/]" : "/:");
	const char *bits = NULL;
	size_t bits_length = 0;
	const char *rest = start + length;
	if (length < whole && *rest == '/' && (bracket || isdigit((unsigned char)rest[1]))) {
		bits = rest + 1;
		bits_length = bracket ? whole - length - 1 : strcspn(bits, "/:");
		rest = bits + bits_length;
	}
	if (bracket)
		rest = start + whole + 1;
	char text[128];
	if (length >= sizeof(text))
		return error_set(error, EINVAL, "policy",
			"--%s: what should be an address has %zu letters", key, length);
	snprintf(text, sizeof(text), "%.*s", (int)length, start);
	if (*rest && *rest != ':' && *rest != '/')
		return error_set(error, EINVAL, "policy",
			"--%s: '%s' does not belong behind the address", key, rest);
	if (v6 && !bracket && *rest == ':') {
		error_set(error, EINVAL, "policy",
			"--%s: '%s' mixes colons of the address and of "
			"the port",
			key, value);
		return error_hint(error, "write [%s/%.*s]%s", text, (int)bits_length, bits, rest);
	}
	*ret_rest = rest;
	return parse_block(key, text, bits, bits_length, ret, error);
}

int network_add_address_rule(struct network_policy *policy, const char *key,
	enum network_verdict verdict, const char *value, const char *source, struct error *error)
{
	struct network_rule rule = {
		.verdict = verdict, .by_address = true, .protocol = NETWORK_BY_PORT};
	const char *rest = NULL;
	int r = split_block(key, value, &rule.block, &rest, error);
	if (r == 0)
		r = parse_rest(key, rest, &rule, error);
	if (r < 0) {
		free(rule.ports.ranges);
		return r;
	}
	if (rule.protocol == NETWORK_BY_PORT)
		rule.protocol = NETWORK_RAW;
	rule.name = strdup("");
	return add_rule(policy, key, &rule, source, error);
}
