/* What a box may reach over a network, as a person or an API wrote it, and the one function that
 * decides. Pure: nothing here asks a resolver or opens a socket. The same parser serves the front
 * (so that a mistake is told before anything runs) and the egress process (which gets the same
 * keys and values over again): there is no second form of a policy. */
#ifndef COFFER_POLICY_NETWORK_H
#define COFFER_POLICY_NETWORK_H

#include "base/error.h"
#include "base/strv.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum network_mode {
	NETWORK_UNSET,    /* off, unless a rule below opens something */
	NETWORK_OFF,      /* no network at all; contradicts every rule that opens something */
	NETWORK_FILTERED, /* what a rule names, nothing else */
	NETWORK_ON,       /* every public address and name, but for what a rule denies */
};

enum network_verdict { NETWORK_DENY, NETWORK_ALLOW, NETWORK_MONITOR, NETWORK_ASK };

/* What is spoken on a connection, and so what can be checked on it. */
enum network_protocol {
	NETWORK_BY_PORT, /* of a rule only: 80 is http, 443 is tls, the rest raw */
	NETWORK_HTTP,    /* every request's Host must be the name that was asked for */
	NETWORK_TLS,     /* so must the ClientHello's SNI */
	NETWORK_RAW,     /* relayed without looking in: the server may speak first */
};

enum name_match {
	MATCH_EXACT,      /* host */
	MATCH_SUBDOMAINS, /* *.host */
	MATCH_WITH_APEX,  /* **.host */
	MATCH_ANY,        /* * */
};

struct port_range {
	uint16_t first, last; /* first <= last */
};

/* A sorted set without overlaps. Owned by what holds it. */
struct port_set {
	struct port_range *ranges;
	size_t count;
};

/* Addresses are always IPv6; IPv4 ones in their mapped form (::ffff:0:0/96). */
struct address_block {
	struct in6_addr address; /* bits below the prefix are zero */
	unsigned prefix_bits;    /* of the 128 */
};

/* One rule, by name or by address. */
struct network_rule {
	enum network_verdict verdict;
	bool by_address;
	enum name_match match;
	char *name; /* lower-case A-labels without a trailing dot; "" for MATCH_ANY */
	struct address_block block;
	struct port_set ports; /* never empty */
	enum network_protocol protocol;
	char *source; /* for people: "--allow-domain pypi.org", "preset npm", "coffer.toml:12" */
};

/* tls = "inspect": TLS to these names ends in egress, which speaks for the box's own authority. */
struct network_inspect {
	enum name_match match;
	char *name;
	char *source;
};

/* What a request may do on hosts where it can be seen (plain HTTP, inspected TLS). Once a name has
 * a rule that allows, only requests that match one are let through. */
struct network_request_rule {
	enum name_match match;
	char *name;
	char *method; /* "GET"; "*": any */
	char *path;   /* a glob: a star within a segment, two across */
	bool allow;   /* deny wins */
	char *source;
};

enum secret_place {
	SECRET_HEADER, /* the placeholder in any header's value */
	SECRET_BASIC,  /* inside the base64 of Authorization: Basic */
	SECRET_QUERY,  /* in the request target's query */
};

/* [[network.secret]]: inside, the variable holds a placeholder; towards `host` alone, over TLS that
 * egress inspects, it is replaced by the value. */
struct network_secret {
	char *name; /* of the environment variable */
	enum name_match match;
	char *host;
	char *from; /* "env:NAME", "file:PATH" or "command:SHELL COMMAND" */
	enum secret_place place;
	char *header; /* SECRET_HEADER: only in this header (lower-case); NULL: in any */
	char *method; /* "*" */
	char *path;   /* a glob, as above */
	char *source;
};

struct network_forward { /* --publish [HOST:]PORT: the host's loopback port to the box's */
	uint16_t host_port, box_port;
};

struct network_udp { /* --allow-udp HOST:PORT */
	char *name;  /* A-labels; NULL: a literal */
	struct in6_addr address;
	uint16_t port;
	char *source;
};

/* Zero: no limit. */
struct network_limits {
	uint64_t requests_per_minute; /* HTTP requests, as far as they can be seen, and TLS
	                               * connections, which count as one each */
	uint64_t connections_per_second;
	uint64_t bytes_per_second; /* each way */
	uint64_t total_bytes;      /* both ways together */
	bool refuse;               /* what is over is refused (over = refuse); else it waits */
};

struct network_setting { /* one successful network_set(), for sending it on */
	char *key, *value, *source;
};

/* Of nameservers, the host's or net-resolver's: the C library's own MAXNS. */
enum { NETWORK_RESOLVERS_MAX = 3 };

struct network_policy {
	enum network_mode mode;
	struct network_rule *rules; /* in the order given */
	size_t rules_count;
	struct network_inspect *inspects;
	size_t inspects_count;
	struct network_request_rule *requests;
	size_t requests_count;
	struct network_secret *secrets;
	size_t secrets_count;
	struct network_udp *udp;
	size_t udp_count;
	struct network_forward *publish;
	size_t publish_count;
	struct network_limits limits;
	bool read_only; /* mode = "read": GET, HEAD and OPTIONS only */
	bool hold;      /* what is allowed waits as well, for a yes: `coffer run --speculate` */
	bool proxy_variables;
	char *upstream_proxy;  /* http://[USER:PASSWORD@]HOST:PORT */
	char *upstream_ca;     /* file of PEM certificates, trusted beside the host's */
	struct strv resolvers; /* ADDRESS:PORT, [IPV6]:PORT; empty: the host's /etc/resolv.conf */

	struct network_setting *settings;
	size_t settings_count;
};

void network_policy_init(struct network_policy *policy);
void network_policy_release(struct network_policy *policy);

/* The keys, as flags without "--" and as libcoffer spells them:
 *   net                    off | on | filtered
 *   net-read               (no value) GET, HEAD and OPTIONS only
 *   net-hold               (no value) what is allowed is asked for, too
 *   allow-domain           PATTERN[:PORTS][/PROTOCOL]; PORTS: 443,8000-8100; PROTOCOL: http tls raw
 *   deny-domain, monitor-domain, ask-domain   the same form
 *   allow-cidr, deny-cidr  ADDRESS[/BITS][:PORTS] or [IPV6/BITS]:PORTS[/PROTOCOL]; raw unless said
 *   net-preset             NAME
 *   net-inspect            PATTERN
 *   net-request            [!]METHOD PATTERN/PATHGLOB   (! denies)
 *   net-secret             name=N,host=PATTERN,from=SOURCE[,in=header|header:NAME|basic|query]
 *                          [,method=M][,path=GLOB]
 *   net-limit              requests=100/m,connections=10/s,rate=50M,total=1G,over=wait|refuse
 *                          (rate: bits a second, as line rates are written; 50M = 6.25 MB/s)
 *   allow-udp              HOST:PORT
 *   publish                [HOSTPORT:]PORT
 *   net-resolver           ADDRESS[:PORT], at most NETWORK_RESOLVERS_MAX
 *   upstream-proxy         URL
 *   upstream-ca            FILE
 *   proxy-variables        (no value) set HTTP_PROXY and its like inside
 * value is NULL for keys that take none. source says where the rule was written ("--allow-domain
 * pypi.org" if NULL). -ENOENT: no such key (error untouched); other errors leave policy as it
 * was and say what is wrong, where, and what would be right. */
int network_set(struct network_policy *policy, const char *key, const char *value,
	const char *source, struct error *error);
/* Contradictions between keys: net off with a rule that opens something, a secret whose host no
 * rule allows over tls, a request rule for a name whose TLS is not inspected, ... Also
 * settles mode: NETWORK_UNSET becomes OFF or FILTERED. */
int network_validate(struct network_policy *policy, struct error *error);
bool network_is_open(const struct network_policy *policy); /* any way in or out is wanted */
bool network_opens(const struct network_policy *policy);   /* the same of the rules alone */

/* ---- names ---- */

enum { NETWORK_NAME_BYTES = 256 }; /* 253 and the NUL, rounded up */

/* The form in which names are compared: IDNA 2008 (UTS 46) A-labels, lower-case, one trailing dot
 * dropped. -EINVAL for what no resolver could be asked for, among them every spelling of an IP
 * literal (decimal, octal, hex, short forms), which network_parse_address() takes. */
int network_normalize_name(const char *name, char ret[NETWORK_NAME_BYTES]);
/* Every spelling of an IP literal that a C library's inet_aton() or a URL parser takes, brackets
 * and zone allowed (a zone other than none is -EINVAL). */
int network_parse_address(const char *text, struct in6_addr *ret);
void network_format_address(const struct in6_addr *address, char ret[INET6_ADDRSTRLEN]);
/* Special-use names that never leave the host: .onion, .local, .localhost, .invalid, .test,
 * .internal, .home.arpa, in-addr.arpa, ... The reason, or NULL. host.coffer.internal is none.
 * (The tests' own worlds use names that look public.) */
const char *network_special_name(const char *name);
#define NETWORK_HOST_NAME "host.coffer.internal" /* the host's loopback */
/* Whether a pattern of a rule matches a normalized name. */
bool network_pattern_matches(enum name_match match, const char *pattern, const char *name);

/* ---- the decision ---- */

/* A rule that denies wins. Among the others the most specific decides (an exact name, then the
 * longest pattern, "*" last; the longest prefix), on the ports that it has; between equals asking
 * wins over monitoring, and monitoring over letting through. Nothing is asked for but by a rule:
 * `ask-domain *` makes every undecided name one to be asked for, on the rule's ports. */

struct network_decision {
	enum network_verdict verdict;
	enum network_protocol protocol; /* never BY_PORT */
	bool inspect;
	const struct network_rule *rule; /* that decided; NULL: the default, or a wall of its own */
	char reason[160]; /* for DENY: a person's words, with what would allow it; for ASK: what to
	                   * say where nobody can be asked */
};

/* Whether a name may be reached on a port. name is normalized. port 0: on any port at all (for the
 * resolver: a name with no allowed port does not exist). */
void network_decide_name(const struct network_policy *policy, const char *name, uint16_t port,
	struct network_decision *ret);
/* Whether an address that a program named by itself may be reached. */
void network_decide_address(const struct network_policy *policy, const struct in6_addr *address,
	uint16_t port, struct network_decision *ret);
/* Whether a name's answer may be dialed: false with the reason for loopback, private, link-local,
 * metadata, ... addresses that no allow-cidr names, and for what a deny-cidr names. A range
 * is named by a block that lies inside it: 0.0.0.0/0 names none of them, and only its very address
 * names a metadata service. What embeds a refused IPv4 address is refused unless both are named.
 * port 0: on any port. */
bool network_may_dial(const struct network_policy *policy, const struct in6_addr *address,
	uint16_t port, char reason[160]);
/* Whether an address may be dialed although it is one of the host's own: a rule that does not deny
 * names it by itself (/32, /128). Loopback, which network_may_dial() judges, always may. */
bool network_names_host_address(
	const struct network_policy *policy, const struct in6_addr *address, uint16_t port);
/* Which reserved range an address lies in, embedded IPv4 forms (mapped, compatible, NAT64, 6to4,
 * Teredo, ISATAP) looked through; NULL: it is public. "10.1.2.3 is %s" makes a sentence. */
const char *network_reserved_range(const struct in6_addr *address);
/* Whether a request may be made where it can be seen. path is the request target's, its query
 * still on it. Where the name has rules, a path that servers read in different ways (dot segments,
 * "//", encoded slashes) is refused. */
bool network_may_request(const struct network_policy *policy, const char *name, const char *method,
	const char *path, char reason[160]);
/* Whether what is said to a name over TLS must be seen: it is inspected, a secret's host, or has
 * rules on requests. Then nobody may speak TLS to it past the eyes of whoever checks. */
bool network_must_be_seen(const struct network_policy *policy, const char *name);
#define NETWORK_USE_NAME "requests to %.60s are looked at: use the name, not its address"
/* Whether that holds for any name at all. */
bool network_has_seen_names(const struct network_policy *policy);
/* Whether any rule on requests is for this name: then paths must be plain ones. */
bool network_has_requests(const struct network_policy *policy, const char *name);
/* Names below a wildcard are bounded in number (see the resolver): was it one that matched? */
bool network_is_below_wildcard(const struct network_policy *policy, const char *name);

/* ---- stand-in addresses ---- */

/* A name that is allowed gets an address of its own inside, from the pool of its port set; the pool
 * decides, in the box's kernel, which ports are let through to egress. Suffix patterns form a tree,
 * so the distinct port sets are no more than twice the patterns. */
enum {
	NETWORK_POOLS_MAX = 64,
	NETWORK_POOL_V4_BITS = 15, /* 198.18.0.0/15: 2^17 addresses / 64 pools = 2^11 each */
};

struct network_pool {
	struct port_set ports;
	struct in6_addr v4; /* mapped; first address */
	unsigned v4_bits;   /* host bits: the pool has 2^v4_bits addresses, of either family */
	struct in6_addr v6; /* first address of 2001:2:0:N::/64; address i is v6 + i */
};

/* A name of an allow-udp rule has one address for UDP and TCP alike, fixed at launch: rule i (of
 * the first rule that has the name) owns 198.18.0.(16 + i) and 2001:2::(16 + i), out of coffer's
 * own block, and no pool gives the name another. The box's kernel lets through to it the ports of
 * the name's pool over TCP, and the rules' ports over UDP. -ENOENT: no allow-udp rule has the
 * name. */
enum { NETWORK_UDP_STANDIN_FIRST = 16 };
static inline int network_udp_standin(const struct network_policy *policy, const char *name,
	struct in6_addr *ret_v4, struct in6_addr *ret_v6)
{
	for (size_t i = 0; i < policy->udp_count; i++) {
		if (!policy->udp[i].name || strcmp(policy->udp[i].name, name) != 0)
			continue;
		uint8_t last = (uint8_t)(NETWORK_UDP_STANDIN_FIRST + i);
		*ret_v4 = (struct in6_addr){
			{{[10] = 0xff, [11] = 0xff, [12] = 198, [13] = 18, [15] = last}}};
		*ret_v6 = (struct in6_addr){{{[0] = 0x20, [1] = 0x01, [3] = 0x02, [15] = last}}};
		return 0;
	}
	return -ENOENT;
}

/* Fixed at launch. *ret holds only pools for names: what would be the first, 198.18.0.0/21 and
 * 2001:2:0:0::/64, is coffer's own (198.18.0.1: resolver and proxies), so ret[0] begins at
 * 198.18.8.0 and 2001:2:0:1::. ask: ports that are to be asked for count as open. -E2BIG with the
 * error: more distinct port sets than pools. *ret is allocated; *ret_count may be 0. */
int network_pools(const struct network_policy *policy, bool ask, struct network_pool **ret,
	size_t *ret_count, struct error *error);
void network_pools_free(struct network_pool *pools, size_t count);
/* The pool of a name; -ENOENT: it is not allowed on any port. */
int network_pool_of(const struct network_policy *policy, bool ask, const struct network_pool *pools,
	size_t count, const char *name);
/* Literal addresses that a rule (or net on) allows on some port, merged and sorted, without what is
 * refused all the same; allocated. IPv4 ones have a prefix of 96 bits or more, IPv6 ones never lie
 * around them. Ports are left to egress. */
int network_literal_blocks(
	const struct network_policy *policy, struct address_block **ret, size_t *ret_count);

/* ---- presets ---- */

struct network_preset {
	const char *name;
	const char *help;
	const char *const *rules; /* values for allow-domain, NULL-terminated */
};
const struct network_preset *network_presets(size_t *ret_count);

#endif
