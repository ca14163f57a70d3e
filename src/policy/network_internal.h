/* What the files of the network policy share. */
#ifndef COFFER_POLICY_NETWORK_INTERNAL_H
#define COFFER_POLICY_NETWORK_INTERNAL_H

#include "policy/network.h"

/* More than this is a mistake or an attack; the box's launch looks at every pair of rules once. */
enum {
	NETWORK_RULES_MAX = 2048, /* of each kind */
	NETWORK_SETTINGS_MAX = 1024,
	NETWORK_PORT_RANGES_MAX = 64, /* of one rule */
	NETWORK_VALUE_BYTES_MAX = 4096,
	NETWORK_PUBLISH_MAX = 64,
};

/* ---- network_rules.c: the grammar of names, ports and blocks in rules ---- */

struct name_pattern {
	enum name_match match;
	char name[NETWORK_NAME_BYTES];
};

/* any: whether "*" may stand for every name. */
int network_parse_pattern(
	const char *key, const char *text, bool any, struct name_pattern *ret, struct error *error);
/* HOST of a key that takes no star. */
int network_parse_host(
	const char *key, const char *text, char ret[NETWORK_NAME_BYTES], struct error *error);
/* "443", in decimal, 1 to 65535. */
int network_parse_port(const char *key, const char *text, uint16_t *ret, struct error *error);
int network_add_name_rule(struct network_policy *policy, const char *key,
	enum network_verdict verdict, const char *value, const char *source, struct error *error);
int network_add_address_rule(struct network_policy *policy, const char *key,
	enum network_verdict verdict, const char *value, const char *source, struct error *error);

/* ---- network_requests.c: requests and secrets ---- */

int network_add_request(struct network_policy *policy, const char *key, const char *value,
	const char *source, struct error *error);
int network_add_secret(struct network_policy *policy, const char *key, const char *value,
	const char *source, struct error *error);
void network_release_requests(struct network_policy *policy); /* and secrets */
bool network_has_requests(const struct network_policy *policy, const char *name);

/* ---- network_decide.c ---- */

/* Whether every name that inner matches is matched by outer. */
bool network_pattern_covers(enum name_match outer_match, const char *outer,
	enum name_match inner_match, const char *inner);
/* Whether some name is matched by both. */
bool network_patterns_meet(
	enum name_match a_match, const char *a, enum name_match b_match, const char *b);
bool network_ports_hold(const struct port_set *set, uint16_t port);

/* The rules that match one name, and what they make of its ports. */
struct name_rules {
	const struct network_policy *policy;
	const char *name;
	const struct network_rule **rules; /* room for policy->rules_count */
	size_t count;
};
void network_find_rules(struct name_rules *found);
/* The ports on which the name gets through (with ask: or may be asked for); ret->ranges is
 * allocated. 0 or -errno. */
int network_open_ports(const struct name_rules *found, bool ask, struct port_set *ret);

/* ---- network_ranges.c ---- */

struct reserved_range {
	struct address_block block;
	const char *name; /* NULL: public, though a wider row is not */
};

/* The rows of the table; the longest prefix decides. */
const struct reserved_range *network_reserved_ranges(size_t *ret_count);
/* The row that makes this very address (nothing embedded) a refused one; or NULL. */
const struct reserved_range *network_range_of(const struct in6_addr *address);
bool network_block_holds(const struct address_block *block, const struct in6_addr *address);
/* The address and every IPv4 address that something on the way may take it for. */
enum { ADDRESS_FORMS_MAX = 8 };
size_t network_address_forms(
	const struct in6_addr *address, struct in6_addr ret[ADDRESS_FORMS_MAX]);

/* Room for one more in an array of the policy's. */
#define NETWORK_GROW(array, count)                                                                 \
	({                                                                                         \
		__typeof__(array) grown_ = reallocarray((array), (count) + 1, sizeof(*(array)));   \
		if (grown_)                                                                        \
			(array) = grown_;                                                          \
		grown_ != NULL;                                                                    \
	})

#endif
