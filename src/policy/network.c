/* Filling a network policy: one table of keys, each with the function that takes its value. A value
 * is taken whole or not at all. */
#include "policy/network_internal.h"

#include "base/cleanup.h"
#include "base/suggest.h"
#include "base/units.h"
#include "policy/egress.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

static int out_of_memory(const char *key, struct error *error)
{
	return error_set_errno(error, ENOMEM, "policy", "--%s", key);
}

/* ---- single words ---- */

struct mode_word {
	const char *name;
	enum network_mode mode;
};

static const struct mode_word modes[] = {
	{"off", NETWORK_OFF},
	{"on", NETWORK_ON},
	{"filtered", NETWORK_FILTERED},
};

static int set_net(struct network_policy *policy, const char *key, const char *value,
	const char *source, struct error *error)
{
	(void)source;
	for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
		if (strcmp(modes[i].name, value) == 0) {
			policy->mode = modes[i].mode;
			return 0;
		}
	}
	error_set(
		error, EINVAL, "policy", "--%s: '%s' is not one of: off, on, filtered", key, value);
	return error_hint(error, "to open one name, use --allow-domain NAME");
}

static int set_read(struct network_policy *policy, const char *key, const char *value,
	const char *source, struct error *error)
{
	(void)key, (void)value, (void)source, (void)error;
	policy->read_only = true;
	return 0;
}

static int set_hold(struct network_policy *policy, const char *key, const char *value,
	const char *source, struct error *error)
{
	(void)key, (void)value, (void)source, (void)error;
	policy->hold = true;
	return 0;
}

static int set_proxy_variables(struct network_policy *policy, const char *key, const char *value,
	const char *source, struct error *error)
{
	(void)key, (void)value, (void)source, (void)error;
	policy->proxy_variables = true;
	return 0;
}

/* ---- rules ---- */

static int allow_domain(struct network_policy *policy, const char *key, const char *value,
	const char *source, struct error *error)
{
	return network_add_name_rule(policy, key, NETWORK_ALLOW, value, source, error);
}

static int deny_domain(struct network_policy *policy, const char *key, const char *value,
	const char *source, struct error *error)
{
	return network_add_name_rule(policy, key, NETWORK_DENY, value, source, error);
}

static int monitor_domain(struct network_policy *policy, const char *key, const char *value,
	const char *source, struct error *error)
{
	return network_add_name_rule(policy, key, NETWORK_MONITOR, value, source, error);
}

static int ask_domain(struct network_policy *policy, const char *key, const char *value,
	const char *source, struct error *error)
{
	return network_add_name_rule(policy, key, NETWORK_ASK, value, source, error);
}

static int allow_cidr(struct network_policy *policy, const char *key, const char *value,
	const char *source, struct error *error)
{
	return network_add_address_rule(policy, key, NETWORK_ALLOW, value, source, error);
}

static int deny_cidr(struct network_policy *policy, const char *key, const char *value,
	const char *source, struct error *error)
{
	return network_add_address_rule(policy, key, NETWORK_DENY, value, source, error);
}

static void drop_rules(struct network_policy *policy, size_t count)
{
	while (policy->rules_count > count) {
		struct network_rule *rule = &policy->rules[--policy->rules_count];
		free(rule->name);
		free(rule->ports.ranges);
		free(rule->source);
	}
}

static int set_preset(struct network_policy *policy, const char *key, const char *value,
	const char *source, struct error *error)
{
	(void)source; /* the preset's name says more */
	size_t presets_count, before = policy->rules_count;
	const struct network_preset *presets = network_presets(&presets_count);
	for (size_t i = 0; i < presets_count; i++) {
		if (strcmp(presets[i].name, value) != 0)
			continue;
		char from[64];
		snprintf(from, sizeof(from), "preset %s", value);
		int r = 0;
		for (const char *const *rule = presets[i].rules; r == 0 && *rule; rule++)
			r = network_add_name_rule(policy, key, NETWORK_ALLOW, *rule, from, error);
		if (r < 0)
			drop_rules(policy, before);
		return r;
	}
	error_set(error, EINVAL, "policy", "--%s: there is no preset '%s'", key, value);
	const char *near = suggest_nearest(value, presets, presets_count, sizeof(*presets));
	return near ? error_hint(error, "did you mean '%s'? `coffer net presets` lists them", near)
		    : error_hint(error, "`coffer net presets` lists them");
}

static int add_inspect(struct network_policy *policy, const char *key, const char *value,
	const char *source, struct error *error)
{
	struct name_pattern pattern;
	int r = network_parse_pattern(key, value, false, &pattern, error);
	if (r < 0)
		return r;
	if (policy->inspects_count >= NETWORK_RULES_MAX)
		return error_set(error, E2BIG, "policy", "--%s is given more than %d times", key,
			NETWORK_RULES_MAX);
	struct network_inspect inspect = {
		.match = pattern.match, .name = strdup(pattern.name), .source = strdup(source)};
	if (!inspect.name || !inspect.source ||
		!NETWORK_GROW(policy->inspects, policy->inspects_count)) {
		free(inspect.name);
		free(inspect.source);
		return out_of_memory(key, error);
	}
	policy->inspects[policy->inspects_count++] = inspect;
	return 0;
}

/* ---- limits ---- */

/* "100/m" with the period that the limit counts by; other periods are scaled. */
static int parse_per(const char *text, unsigned period_s, uint64_t *ret)
{
	static const struct {
		const char *suffix;
		unsigned seconds;
	} periods[] = {{"/s", 1}, {"/m", 60}, {"/h", 3600}};
	char count[32];
	size_t length = strcspn(text, "/");
	if (length >= sizeof(count))
		return -EINVAL;
	snprintf(count, sizeof(count), "%.*s", (int)length, text);
	uint64_t value;
	int r = units_parse_count(count, &value);
	if (r < 0)
		return r;
	for (size_t i = 0; i < ARRAY_SIZE(periods); i++) {
		if (strcmp(text + length, periods[i].suffix) != 0)
			continue;
		uint64_t scaled;
		if (__builtin_mul_overflow(value, period_s, &scaled))
			return -ERANGE;
		/* Not rounded: 10/h is no whole number a minute. */
		if (scaled % periods[i].seconds != 0)
			return -EINVAL;
		*ret = scaled / periods[i].seconds;
		return 0;
	}
	return -EINVAL;
}

static int parse_requests(const char *text, uint64_t *ret)
{
	return parse_per(text, 60, ret);
}

static int parse_connections(const char *text, uint64_t *ret)
{
	return parse_per(text, 1, ret);
}

/* Bits a second, by thousands, as lines are sold. */
static int parse_rate(const char *text, uint64_t *ret_bytes)
{
	char count[32];
	size_t length = strlen(text);
	if (length == 0 || length >= sizeof(count))
		return -EINVAL;
	memcpy(count, text, length + 1);
	uint64_t scale = 1, bits;
	if ((count[length - 1] | 0x20) == 'g') {
		count[length - 1] = 'M';
		scale = 1000;
	}
	int r = units_parse_count(count, &bits);
	if (r < 0)
		return r;
	if (__builtin_mul_overflow(bits, scale, &bits))
		return -ERANGE;
	*ret_bytes = bits / 8;
	return 0;
}

struct limit_field {
	const char *name;
	size_t offset;
	int (*parse)(const char *text, uint64_t *ret);
	const char *example;
};

static const struct limit_field limit_fields[] = {
	{"requests", offsetof(struct network_limits, requests_per_minute), parse_requests, "100/m"},
	{"connections", offsetof(struct network_limits, connections_per_second), parse_connections,
		"10/s"},
	{"rate", offsetof(struct network_limits, bytes_per_second), parse_rate, "50M"},
	{"total", offsetof(struct network_limits, total_bytes), units_parse_bytes, "1G"},
};

static int set_one_limit(
	struct network_limits *limits, const char *key, char *item, struct error *error)
{
	char *value = strchr(item, '=');
	if (value)
		*value++ = '\0';
	if (strcmp(item, "over") == 0) {
		limits->refuse = value && strcmp(value, "refuse") == 0;
		if (limits->refuse || (value && strcmp(value, "wait") == 0))
			return 0;
		return error_set(error, EINVAL, "policy",
			"--%s: what is over the limit can over=wait or over=refuse", key);
	}
	for (size_t i = 0; i < ARRAY_SIZE(limit_fields); i++) {
		const struct limit_field *field = &limit_fields[i];
		if (strcmp(item, field->name) != 0)
			continue;
		uint64_t limit = 0;
		bool none = value && strcmp(value, "none") == 0;
		if (!none && (!value || field->parse(value, &limit) < 0 || limit == 0))
			return error_set(error, EINVAL, "policy",
				"--%s: %s=%s is no such limit; write for example %s=%s, or %s=none",
				key, item, value ? value : "", item, field->example, item);
		memcpy((char *)limits + field->offset, &limit, sizeof(limit));
		return 0;
	}
	error_set(error, EINVAL, "policy", "--%s: there is no limit '%s'", key, item);
	return error_hint(error, "limits are: requests, connections, rate, total; and over");
}

static int set_limit(struct network_policy *policy, const char *key, const char *value,
	const char *source, struct error *error)
{
	(void)source;
	cleanup_free char *copy = strdup(value);
	if (!copy)
		return out_of_memory(key, error);
	struct network_limits limits = policy->limits;
	char *rest = copy;
	for (char *item; (item = strsep(&rest, ","));) {
		int r = set_one_limit(&limits, key, item, error);
		if (r < 0)
			return r;
	}
	policy->limits = limits;
	return 0;
}

/* ---- single ports ---- */

/* HOST:PORT; splits value in place. */
static int split_port(
	const char *key, char *value, char **ret_host, uint16_t *ret_port, struct error *error)
{
	char *colon = strrchr(value, ':');
	bool bare_v6 = colon && value[0] != '[' && strchr(value, ':') != colon;
	if (!colon || bare_v6 || (value[0] == '[' && colon[-1] != ']'))
		return error_set(error, EINVAL, "policy",
			"--%s: '%s' is not HOST:PORT (or [IPV6]:PORT)", key, value);
	*colon = '\0';
	*ret_host = value;
	return network_parse_port(key, colon + 1, ret_port, error);
}

static int add_udp(struct network_policy *policy, const char *key, const char *value,
	const char *source, struct error *error)
{
	cleanup_free char *copy = strdup(value);
	struct network_udp udp = {0};
	char *host, name[NETWORK_NAME_BYTES];
	int r = copy ? split_port(key, copy, &host, &udp.port, error) : out_of_memory(key, error);
	if (r < 0)
		return r;
	bool literal = network_parse_address(host, &udp.address) == 0;
	if (!literal)
		r = network_parse_host(key, host, name, error);
	const char *special = r == 0 && !literal ? network_special_name(name) : NULL;
	if (special)
		return error_set(error, EINVAL, "policy", "--%s: %s is always refused: %s", key,
			name, special);
	if (r == 0 && policy->udp_count >= EGRESS_UDP_RULES_MAX)
		r = error_set(error, E2BIG, "policy", "--%s is given more than %d times", key,
			EGRESS_UDP_RULES_MAX);
	if (r < 0)
		return r;
	udp.name = literal ? NULL : strdup(name);
	udp.source = strdup(source);
	if ((!literal && !udp.name) || !udp.source ||
		!NETWORK_GROW(policy->udp, policy->udp_count)) {
		free(udp.name);
		free(udp.source);
		return out_of_memory(key, error);
	}
	policy->udp[policy->udp_count++] = udp;
	return 0;
}

static int add_publish(struct network_policy *policy, const char *key, const char *value,
	const char *source, struct error *error)
{
	(void)source;
	struct network_forward forward;
	const char *colon = strchr(value, ':');
	cleanup_free char *host = strndup(value, colon ? (size_t)(colon - value) : strlen(value));
	if (!host)
		return out_of_memory(key, error);
	int r = network_parse_port(key, host, &forward.host_port, error);
	forward.box_port = forward.host_port;
	if (r == 0 && colon)
		r = network_parse_port(key, colon + 1, &forward.box_port, error);
	if (r < 0)
		return error_hint(error, "write --%s [HOSTPORT:]PORT", key);
	for (size_t i = 0; i < policy->publish_count; i++)
		if (policy->publish[i].host_port == forward.host_port)
			return error_set(error, EINVAL, "policy",
				"--%s: the host's port %u is given twice", key, forward.host_port);
	if (policy->publish_count >= NETWORK_PUBLISH_MAX)
		return error_set(error, E2BIG, "policy", "--%s is given more than %d times", key,
			NETWORK_PUBLISH_MAX);
	if (!NETWORK_GROW(policy->publish, policy->publish_count))
		return out_of_memory(key, error);
	policy->publish[policy->publish_count++] = forward;
	return 0;
}

/* ---- what egress itself uses ---- */

/* Kept as ADDRESS:PORT or [ADDRESS]:PORT. */
static int add_resolver(struct network_policy *policy, const char *key, const char *value,
	const char *source, struct error *error)
{
	(void)source;
	cleanup_free char *copy = strdup(value);
	if (!copy)
		return out_of_memory(key, error);
	struct in6_addr address;
	uint16_t port = 53;
	char *host = copy;
	int r = 0;
	if (network_parse_address(value, &address) < 0) {
		r = strchr(value, ':') ? split_port(key, copy, &host, &port, error) : 0;
		if (r == 0 && network_parse_address(host, &address) < 0) {
			error_set(error, EINVAL, "policy", "--%s: '%s' is not an address", key,
				value);
			return error_hint(error, "a resolver is named by its address: 192.0.2.53, "
						 "or [2001:db8::53]:53");
		}
	}
	if (r == 0 && policy->resolvers.count >= NETWORK_RESOLVERS_MAX)
		r = error_set(error, E2BIG, "policy", "--%s is given more than %d times", key,
			NETWORK_RESOLVERS_MAX);
	if (r < 0)
		return r;
	char plain[INET6_ADDRSTRLEN], text[INET6_ADDRSTRLEN + 16];
	network_format_address(&address, plain);
	bool v6 = strchr(plain, ':') != NULL;
	snprintf(text, sizeof(text), "%s%s%s:%u", v6 ? "[" : "", plain, v6 ? "]" : "", port);
	return strv_add(&policy->resolvers, text) < 0 ? out_of_memory(key, error) : 0;
}

/* The URL may hold a password: it is never repeated. */
static int set_upstream_proxy(struct network_policy *policy, const char *key, const char *value,
	const char *source, struct error *error)
{
	(void)source;
	static const char scheme[] = "http://";
	cleanup_free char *copy = strdup(value);
	if (!copy)
		return out_of_memory(key, error);
	if (strncasecmp(value, scheme, strlen(scheme)) != 0) {
		error_set(
			error, EINVAL, "policy", "--%s: the URL does not begin with http://", key);
		return error_hint(error, "write http://[USER:PASSWORD@]HOST:PORT");
	}
	char *host = copy + strlen(scheme), *at = strrchr(host, '@');
	if (at)
		host = at + 1;
	size_t length = strlen(host);
	if (length > 0 && host[length - 1] == '/')
		host[length - 1] = '\0';
	uint16_t port;
	char name[NETWORK_NAME_BYTES];
	struct in6_addr address;
	int r = split_port(key, host, &host, &port, error);
	if (r == 0 && network_parse_address(host, &address) < 0)
		r = network_parse_host(key, host, name, error);
	if (r < 0)
		return error_hint(error, "write http://[USER:PASSWORD@]HOST:PORT");
	char *kept = strdup(value);
	if (!kept)
		return out_of_memory(key, error);
	free(policy->upstream_proxy);
	policy->upstream_proxy = kept;
	return 0;
}

static int set_upstream_ca(struct network_policy *policy, const char *key, const char *value,
	const char *source, struct error *error)
{
	(void)source;
	char *kept = strdup(value);
	if (!kept)
		return out_of_memory(key, error);
	free(policy->upstream_ca);
	policy->upstream_ca = kept;
	return 0;
}

/* ---- the table ---- */

struct network_key {
	const char *name;
	bool takes_value;
	int (*set)(struct network_policy *policy, const char *key, const char *value,
		const char *source, struct error *error);
};

static const struct network_key keys[] = {
	{"net", true, set_net},
	{"net-read", false, set_read},
	{"net-hold", false, set_hold},
	{"allow-domain", true, allow_domain},
	{"deny-domain", true, deny_domain},
	{"monitor-domain", true, monitor_domain},
	{"ask-domain", true, ask_domain},
	{"allow-cidr", true, allow_cidr},
	{"deny-cidr", true, deny_cidr},
	{"net-preset", true, set_preset},
	{"net-inspect", true, add_inspect},
	{"net-request", true, network_add_request},
	{"net-secret", true, network_add_secret},
	{"net-limit", true, set_limit},
	{"allow-udp", true, add_udp},
	{"publish", true, add_publish},
	{"net-resolver", true, add_resolver},
	{"upstream-proxy", true, set_upstream_proxy},
	{"upstream-ca", true, set_upstream_ca},
	{"proxy-variables", false, set_proxy_variables},
};

static const struct network_key *find_key(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		if (strcmp(keys[i].name, name) == 0)
			return &keys[i];
	return NULL;
}

static int check_value(const struct network_key *key, const char *value, struct error *error)
{
	if (key->takes_value && !value)
		return error_set(error, EINVAL, "policy", "--%s needs a value", key->name);
	if (!key->takes_value && value)
		return error_set(error, EINVAL, "policy", "--%s takes no value", key->name);
	if (!value)
		return 0;
	if (!*value)
		return error_set(error, EINVAL, "policy", "--%s: the value is empty", key->name);
	if (strlen(value) > NETWORK_VALUE_BYTES_MAX)
		return error_set(error, E2BIG, "policy",
			"--%s: the value has %zu bytes; at most %d are allowed", key->name,
			strlen(value), NETWORK_VALUE_BYTES_MAX);
	return 0;
}

/* The record of what was set; made first, so that nothing is half set. */
static int make_setting(
	const char *key, const char *value, const char *source, struct network_setting *ret)
{
	struct network_setting setting = {
		.key = strdup(key), .value = value ? strdup(value) : NULL};
	if (source)
		setting.source = strdup(source);
	else if (asprintf(&setting.source, "--%s%s%s", key, value ? " " : "", value ? value : "") <
		 0)
		setting.source = NULL;
	if (!setting.key || (value && !setting.value) || !setting.source) {
		free(setting.key);
		free(setting.value);
		free(setting.source);
		return -ENOMEM;
	}
	*ret = setting;
	return 0;
}

int network_set(struct network_policy *policy, const char *name, const char *value,
	const char *source, struct error *error)
{
	const struct network_key *key = find_key(name);
	if (!key)
		return -ENOENT;
	int r = check_value(key, value, error);
	if (r < 0)
		return r;
	if (policy->settings_count >= NETWORK_SETTINGS_MAX)
		return error_set(error, E2BIG, "policy",
			"--%s: more than %d network settings are given", name,
			NETWORK_SETTINGS_MAX);
	struct network_setting setting;
	if (!NETWORK_GROW(policy->settings, policy->settings_count) ||
		make_setting(name, value, source, &setting) < 0)
		return out_of_memory(name, error);
	r = key->set(policy, name, value, setting.source, error);
	if (r < 0) {
		free(setting.key);
		free(setting.value);
		free(setting.source);
		return r;
	}
	policy->settings[policy->settings_count++] = setting;
	return 0;
}

void network_policy_init(struct network_policy *policy)
{
	*policy = (struct network_policy){0};
}

void network_policy_release(struct network_policy *policy)
{
	drop_rules(policy, 0);
	free(policy->rules);
	for (size_t i = 0; i < policy->inspects_count; i++) {
		free(policy->inspects[i].name);
		free(policy->inspects[i].source);
	}
	free(policy->inspects);
	network_release_requests(policy);
	for (size_t i = 0; i < policy->udp_count; i++) {
		free(policy->udp[i].name);
		free(policy->udp[i].source);
	}
	free(policy->udp);
	free(policy->publish);
	free(policy->upstream_proxy);
	free(policy->upstream_ca);
	strv_release(&policy->resolvers);
	for (size_t i = 0; i < policy->settings_count; i++) {
		free(policy->settings[i].key);
		free(policy->settings[i].value);
		free(policy->settings[i].source);
	}
	free(policy->settings);
	*policy = (struct network_policy){0};
}

/* ---- what contradicts itself ---- */

/* The setting that opens something, for a person; NULL: none does. */
static const char *opener(const struct network_policy *policy)
{
	for (size_t i = 0; i < policy->rules_count; i++)
		if (policy->rules[i].verdict != NETWORK_DENY)
			return policy->rules[i].source;
	if (policy->udp_count > 0)
		return policy->udp[0].source;
	return policy->publish_count > 0 ? "--publish" : NULL;
}

bool network_opens(const struct network_policy *policy)
{
	return opener(policy) != NULL;
}

bool network_is_open(const struct network_policy *policy)
{
	if (policy->mode == NETWORK_UNSET)
		return opener(policy) != NULL;
	return policy->mode != NETWORK_OFF;
}

static bool speaks_tls(const struct network_rule *rule)
{
	return rule->protocol == NETWORK_TLS ||
	       (rule->protocol == NETWORK_BY_PORT && network_ports_hold(&rule->ports, 443));
}

/* Whether TLS to some name of the pattern is let through. */
static bool opens_tls(const struct network_policy *policy, enum name_match match, const char *name)
{
	if (policy->mode == NETWORK_ON)
		return true;
	for (size_t i = 0; i < policy->rules_count; i++) {
		const struct network_rule *rule = &policy->rules[i];
		if (!rule->by_address && rule->verdict != NETWORK_DENY && speaks_tls(rule) &&
			network_patterns_meet(rule->match, rule->name, match, name))
			return true;
	}
	return false;
}

static bool is_inspected(
	const struct network_policy *policy, enum name_match match, const char *name)
{
	for (size_t i = 0; i < policy->inspects_count; i++)
		if (network_pattern_covers(
			    policy->inspects[i].match, policy->inspects[i].name, match, name))
			return true;
	for (size_t i = 0; i < policy->secrets_count; i++)
		if (network_pattern_covers(
			    policy->secrets[i].match, policy->secrets[i].host, match, name))
			return true;
	return false;
}

static const char *stars(enum name_match match)
{
	return match == MATCH_SUBDOMAINS ? "*." : match == MATCH_WITH_APEX ? "**." : "";
}

static int validate_seen(const struct network_policy *policy, struct error *error)
{
	for (size_t i = 0; i < policy->secrets_count; i++) {
		const struct network_secret *secret = &policy->secrets[i];
		if (opens_tls(policy, secret->match, secret->host))
			continue;
		error_set(error, EINVAL, "policy",
			"%s: the secret %s is for a host that no rule allows over TLS",
			secret->source, secret->name);
		return error_hint(
			error, "add --allow-domain %s%s:443", stars(secret->match), secret->host);
	}
	for (size_t i = 0; i < policy->inspects_count; i++) {
		const struct network_inspect *inspect = &policy->inspects[i];
		if (opens_tls(policy, inspect->match, inspect->name))
			continue;
		error_set(error, EINVAL, "policy",
			"%s: no rule allows TLS to it, so there is nothing to look into",
			inspect->source);
		return error_hint(
			error, "add --allow-domain %s%s:443", stars(inspect->match), inspect->name);
	}
	for (size_t i = 0; i < policy->requests_count; i++) {
		const struct network_request_rule *rule = &policy->requests[i];
		if (!opens_tls(policy, rule->match, rule->name) ||
			is_inspected(policy, rule->match, rule->name))
			continue;
		error_set(error, EINVAL, "policy",
			"%s: requests inside TLS cannot be seen, so the rule would not hold",
			rule->source);
		return error_hint(error,
			"add --net-inspect %s%s, or allow the name on port 80 only",
			stars(rule->match), rule->name);
	}
	return 0;
}

static bool same_ports(const struct port_set *a, const struct port_set *b)
{
	return a->count == b->count &&
	       memcmp(a->ranges, b->ranges, a->count * sizeof(*a->ranges)) == 0;
}

/* What is open on a name follows from which kinds of rules match it: a few kinds cannot make too
 * many sets of ports, and then there is nothing to count. */
static bool has_few_kinds(const struct network_policy *policy)
{
	enum { FEW = 5 };
	const struct network_rule *kinds[FEW];
	size_t count = 0;
	for (size_t i = 0; i < policy->rules_count; i++) {
		const struct network_rule *rule = &policy->rules[i];
		bool known = rule->by_address;
		if (rule->verdict == NETWORK_ASK)
			return false; /* then their order counts too */
		for (size_t k = 0; k < count && !known; k++)
			known = same_ports(&kinds[k]->ports, &rule->ports) &&
				(kinds[k]->verdict == NETWORK_DENY) ==
					(rule->verdict == NETWORK_DENY);
		if (known)
			continue;
		if (count == FEW)
			return false;
		kinds[count++] = rule;
	}
	return true;
}

_Static_assert(1 << 5 < NETWORK_POOLS_MAX, "the subsets of five kinds of rules have pools");

static int validate_pools(const struct network_policy *policy, struct error *error)
{
	if (has_few_kinds(policy))
		return 0;
	int r = 0;
	for (int ask = 0; r == 0 && ask < 2; ask++) {
		struct network_pool *pools;
		size_t count;
		r = network_pools(policy, ask, &pools, &count, error);
		if (r == 0)
			network_pools_free(pools, count);
	}
	return r;
}

int network_validate(struct network_policy *policy, struct error *error)
{
	const char *opens = opener(policy);
	if (policy->mode == NETWORK_OFF && opens) {
		error_set(error, EINVAL, "policy", "--net off with %s: that opens the network",
			opens);
		return error_hint(error, "drop one of the two");
	}
	enum network_mode mode = policy->mode;
	if (mode == NETWORK_UNSET)
		mode = opens ? NETWORK_FILTERED : NETWORK_OFF;
	if (policy->hold && policy->udp_count > 0) {
		error_set(error, EINVAL, "policy", "--speculate with --allow-udp %s",
			policy->udp[0].name ? policy->udp[0].name : "of an address");
		return error_hint(error, "datagrams cannot wait for a yes: drop one of the two");
	}
	int r = policy->mode == NETWORK_OFF ? 0 : validate_seen(policy, error);
	if (r == 0)
		r = validate_pools(policy, error);
	if (r == 0)
		policy->mode = mode;
	return r;
}
