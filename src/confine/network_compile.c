/* Run by the build: writes the ruleset of a box's network namespace as netlink messages, ready to
 * be sent. A box adds the elements of its sets and a batch's end (see network_nftables.c); what it
 * does not need then is any library, or nft, or the 2 ms of parsing.
 *
 *   table inet coffer {
 *     set pools4    { type ipv4_addr . inet_service; flags interval }    # stand-ins with their
 * ports set pools6    { type ipv6_addr . inet_service; flags interval } set literals4 { type
 * ipv4_addr; flags interval } set literals6 { type ipv6_addr; flags interval } map udp4      { type
 * ipv4_addr . inet_service : inet_service }     # allow-udp: egress's port map udp6      { type
 * ipv6_addr . inet_service : inet_service }
 *
 *     chain nat { type nat hook output priority -100;
 *       meta l4proto udp dnat ip to 198.18.0.1 : ip daddr . udp dport map @udp4      (and IPv6)
 *       meta l4proto { tcp, udp } th dport 53 dnat ip to 198.18.0.1:53               (and IPv6)
 *       ip daddr . tcp dport @pools4 dnat ip to 198.18.0.1:1                         (and IPv6)
 *       meta l4proto tcp ip daddr != 198.18.0.0/15 ip daddr != 127.0.0.0/8
 *         ip daddr @literals4 dnat ip to 198.18.0.1:1                                (and IPv6)
 *     }
 *     chain out { type filter hook output priority 0; policy drop;
 *       ct status dnat accept
 *       ip daddr 127.0.0.0/8 accept
 *       ip6 daddr ::1 accept
 *       ct state established,related accept
 *       ip daddr 198.18.0.1 tcp dport { 3128, 53 } accept
 *       ip daddr 198.18.0.1 udp dport 53 accept                                      (and IPv6)
 *       limit rate 500/second burst 100 packets log group 7 snaplen 128 goto refuse
 *       limit rate 5/second burst 5 packets log prefix "lost" group 7 snaplen 128
 *       goto refuse
 *     }
 *     chain refuse {
 *       meta l4proto tcp reject with tcp reset
 *       reject with icmpx admin-prohibited
 *     }
 *   }
 *
 * Every address is local in there, so all that a hole in it would open is the box's way to itself:
 * what leaves is egress's decision in any case. The port 53 rules come before loopback's on
 * purpose: the resolv.conf of many hosts names a resolver at 127.0.0.x. What is dnat'ed to its own
 * address does not count as dnat'ed, hence the three accepts of coffer's own ports. "related" is
 * what a reject sends. What is refused faster than it can be told of is not passed over in silence:
 * the first of it comes with a prefix that says so. */
#include "base/cleanup.h"
#include "confine/network_nftables.h"
#include "policy/egress.h"

#include <arpa/inet.h>
#include <libmnl/libmnl.h>
#include <libnftnl/chain.h>
#include <libnftnl/common.h>
#include <libnftnl/expr.h>
#include <libnftnl/rule.h>
#include <libnftnl/set.h>
#include <libnftnl/table.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_nat.h>
#include <linux/netfilter/nf_tables.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

/* An expression's registers are 16 bytes each. A key of an address and a port lies in the first and
 * the first word of the second. */
enum {
	KEY = NFT_REG_1,
	SCRATCH = NFT_REG_1,
	PORT = NFT_REG_3,
	ADDRESS = NFT_REG_4,
};

/* nft's numbers for the types of keys, so that `nft list ruleset` can show what is there. */
enum { TYPE_IPV4 = 7, TYPE_IPV6 = 8, TYPE_SERVICE = 13, TYPE_BITS = 6 };

/* What differs between the families. */
struct family {
	uint8_t nfproto;
	unsigned daddr_offset, address_bytes, address_type;
	const char *own; /* coffer's address */
	const char *pools, *literals, *udp;
};

static const struct family ipv4 = {NFPROTO_IPV4, 16, 4, TYPE_IPV4, EGRESS_ADDRESS_V4,
	NETWORK_SET_POOLS4, NETWORK_SET_LITERALS4, NETWORK_SET_UDP4};
static const struct family ipv6 = {NFPROTO_IPV6, 24, 16, TYPE_IPV6, EGRESS_ADDRESS_V6,
	NETWORK_SET_POOLS6, NETWORK_SET_LITERALS6, NETWORK_SET_UDP6};

static char message_space[64 * 1024];
static uint32_t sequence, set_id;

static void __attribute__((format(printf, 1, 2), noreturn)) fail(const char *format, ...)
{
	va_list args;
	va_start(args, format);
	fputs("network_compile: ", stderr);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	exit(1);
}

static void *check(void *pointer)
{
	if (!pointer)
		fail("out of memory");
	return pointer;
}

/* ---- output ---- */

static void write_message(FILE *out, const struct nlmsghdr *message)
{
	const uint8_t *bytes = (const uint8_t *)message;
	for (uint32_t i = 0; i < message->nlmsg_len; i++)
		fprintf(out, "%s%u,", i % 24 ? "" : "\n\t", bytes[i]);
	for (uint32_t i = message->nlmsg_len; i % NLMSG_ALIGNTO; i++)
		fputs("0,", out);
}

static struct nlmsghdr *start_message(uint16_t type, uint16_t flags)
{
	return nftnl_nlmsg_build_hdr(
		message_space, type, NFPROTO_INET, NLM_F_CREATE | flags, ++sequence);
}

static void write_table(FILE *out)
{
	struct nftnl_table *table = check(nftnl_table_alloc());
	nftnl_table_set_str(table, NFTNL_TABLE_NAME, NETWORK_TABLE);
	struct nlmsghdr *message = start_message(NFT_MSG_NEWTABLE, NLM_F_EXCL);
	nftnl_table_nlmsg_build_payload(message, table);
	write_message(out, message);
	nftnl_table_free(table);
}

/* type NULL: one that rules go to. */
static void write_chain(FILE *out, const char *name, const char *type, int priority, int policy)
{
	struct nftnl_chain *chain = check(nftnl_chain_alloc());
	nftnl_chain_set_str(chain, NFTNL_CHAIN_TABLE, NETWORK_TABLE);
	nftnl_chain_set_str(chain, NFTNL_CHAIN_NAME, name);
	if (type) {
		nftnl_chain_set_str(chain, NFTNL_CHAIN_TYPE, type);
		nftnl_chain_set_u32(chain, NFTNL_CHAIN_HOOKNUM, NF_INET_LOCAL_OUT);
		nftnl_chain_set_s32(chain, NFTNL_CHAIN_PRIO, priority);
		nftnl_chain_set_u32(chain, NFTNL_CHAIN_POLICY, (uint32_t)policy);
	}
	struct nlmsghdr *message = start_message(NFT_MSG_NEWCHAIN, NLM_F_EXCL);
	nftnl_chain_nlmsg_build_payload(message, chain);
	write_message(out, message);
	nftnl_chain_free(chain);
}

/* ---- sets ---- */

static struct nftnl_set *new_set(const char *name, uint32_t flags, uint32_t type, uint32_t bytes)
{
	struct nftnl_set *set = check(nftnl_set_alloc());
	nftnl_set_set_str(set, NFTNL_SET_TABLE, NETWORK_TABLE);
	nftnl_set_set_str(set, NFTNL_SET_NAME, name);
	nftnl_set_set_u32(set, NFTNL_SET_FAMILY, NFPROTO_INET);
	nftnl_set_set_u32(set, NFTNL_SET_ID, ++set_id);
	nftnl_set_set_u32(set, NFTNL_SET_FLAGS, flags);
	nftnl_set_set_u32(set, NFTNL_SET_KEY_TYPE, type);
	nftnl_set_set_u32(set, NFTNL_SET_KEY_LEN, bytes);
	return set;
}

static void write_set(FILE *out, struct nftnl_set *set)
{
	struct nlmsghdr *message = start_message(NFT_MSG_NEWSET, NLM_F_EXCL);
	nftnl_set_nlmsg_build_payload(message, set);
	write_message(out, message);
	nftnl_set_free(set);
}

static void write_sets(FILE *out, const struct family *family)
{
	/* A port takes a whole word of a key. */
	uint32_t type = family->address_type << TYPE_BITS | TYPE_SERVICE;
	uint32_t bytes = family->address_bytes + 4;
	struct nftnl_set *set =
		new_set(family->pools, NFT_SET_INTERVAL | NFT_SET_CONCAT, type, bytes);
	const uint8_t fields[] = {(uint8_t)family->address_bytes, 2};
	nftnl_set_set_data(set, NFTNL_SET_DESC_CONCAT, fields, sizeof(fields));
	write_set(out, set);

	write_set(out, new_set(family->literals, NFT_SET_INTERVAL, family->address_type,
			       family->address_bytes));

	set = new_set(family->udp, NFT_SET_MAP, type, bytes);
	nftnl_set_set_u32(set, NFTNL_SET_DATA_TYPE, TYPE_SERVICE);
	nftnl_set_set_u32(set, NFTNL_SET_DATA_LEN, 2);
	nftnl_set_set_u32(set, NFTNL_SET_DESC_SIZE, EGRESS_UDP_RULES_MAX);
	write_set(out, set);
}

/* ---- rules ---- */

static struct nftnl_rule *new_rule(const char *chain)
{
	struct nftnl_rule *rule = check(nftnl_rule_alloc());
	nftnl_rule_set_str(rule, NFTNL_RULE_TABLE, NETWORK_TABLE);
	nftnl_rule_set_str(rule, NFTNL_RULE_CHAIN, chain);
	nftnl_rule_set_u32(rule, NFTNL_RULE_FAMILY, NFPROTO_INET);
	return rule;
}

/* flags: NLM_F_ACK for the last of the batch. */
static void write_rule(FILE *out, struct nftnl_rule *rule, uint16_t flags)
{
	struct nlmsghdr *message = start_message(NFT_MSG_NEWRULE, NLM_F_APPEND | flags);
	nftnl_rule_nlmsg_build_payload(message, rule);
	write_message(out, message);
	nftnl_rule_free(rule);
}

static struct nftnl_expr *add(struct nftnl_rule *rule, const char *kind)
{
	struct nftnl_expr *expression = check(nftnl_expr_alloc(kind));
	nftnl_rule_add_expr(rule, expression);
	return expression;
}

static void add_goto(struct nftnl_rule *rule, const char *chain)
{
	struct nftnl_expr *immediate = add(rule, "immediate");
	nftnl_expr_set_u32(immediate, NFTNL_EXPR_IMM_DREG, NFT_REG_VERDICT);
	nftnl_expr_set_u32(immediate, NFTNL_EXPR_IMM_VERDICT, (uint32_t)NFT_GOTO);
	nftnl_expr_set_str(immediate, NFTNL_EXPR_IMM_CHAIN, chain);
}

static void add_compare(struct nftnl_rule *rule, uint32_t operation, const void *data, size_t bytes)
{
	struct nftnl_expr *compare = add(rule, "cmp");
	nftnl_expr_set_u32(compare, NFTNL_EXPR_CMP_SREG, SCRATCH);
	nftnl_expr_set_u32(compare, NFTNL_EXPR_CMP_OP, operation);
	nftnl_expr_set(compare, NFTNL_EXPR_CMP_DATA, data, (uint32_t)bytes);
}

static void add_meta(struct nftnl_rule *rule, uint32_t key, uint8_t value)
{
	struct nftnl_expr *meta = add(rule, "meta");
	nftnl_expr_set_u32(meta, NFTNL_EXPR_META_KEY, key);
	nftnl_expr_set_u32(meta, NFTNL_EXPR_META_DREG, SCRATCH);
	add_compare(rule, NFT_CMP_EQ, &value, sizeof(value));
}

static void add_family(struct nftnl_rule *rule, const struct family *family)
{
	add_meta(rule, NFT_META_NFPROTO, family->nfproto);
}

static void add_protocol(struct nftnl_rule *rule, uint8_t protocol)
{
	add_meta(rule, NFT_META_L4PROTO, protocol);
}

static void add_payload(
	struct nftnl_rule *rule, uint32_t base, unsigned offset, unsigned bytes, uint32_t reg)
{
	struct nftnl_expr *payload = add(rule, "payload");
	nftnl_expr_set_u32(payload, NFTNL_EXPR_PAYLOAD_BASE, base);
	nftnl_expr_set_u32(payload, NFTNL_EXPR_PAYLOAD_OFFSET, offset);
	nftnl_expr_set_u32(payload, NFTNL_EXPR_PAYLOAD_LEN, bytes);
	nftnl_expr_set_u32(payload, NFTNL_EXPR_PAYLOAD_DREG, reg);
}

static void add_bitwise(struct nftnl_rule *rule, const void *mask, uint32_t bytes)
{
	static const uint8_t zero[16];
	struct nftnl_expr *bitwise = add(rule, "bitwise");
	nftnl_expr_set_u32(bitwise, NFTNL_EXPR_BITWISE_SREG, SCRATCH);
	nftnl_expr_set_u32(bitwise, NFTNL_EXPR_BITWISE_DREG, SCRATCH);
	nftnl_expr_set_u32(bitwise, NFTNL_EXPR_BITWISE_LEN, bytes);
	nftnl_expr_set(bitwise, NFTNL_EXPR_BITWISE_MASK, mask, bytes);
	nftnl_expr_set(bitwise, NFTNL_EXPR_BITWISE_XOR, zero, bytes);
}

static void add_daddr(struct nftnl_rule *rule, const struct family *family, uint32_t reg)
{
	add_payload(
		rule, NFT_PAYLOAD_NETWORK_HEADER, family->daddr_offset, family->address_bytes, reg);
}

/* The first `bytes` of the destination address. */
static void add_daddr_compare(struct nftnl_rule *rule, const struct family *family,
	uint32_t operation, const void *data, unsigned bytes)
{
	add_payload(rule, NFT_PAYLOAD_NETWORK_HEADER, family->daddr_offset, bytes, SCRATCH);
	add_compare(rule, operation, data, bytes);
}

static void add_dport(struct nftnl_rule *rule, uint32_t reg)
{
	add_payload(rule, NFT_PAYLOAD_TRANSPORT_HEADER, 2, 2, reg);
}

static void add_dport_is(struct nftnl_rule *rule, uint16_t port)
{
	uint16_t wire = htons(port);
	add_dport(rule, SCRATCH);
	add_compare(rule, NFT_CMP_EQ, &wire, sizeof(wire));
}

/* Address and port as a key. */
static void add_key(struct nftnl_rule *rule, const struct family *family)
{
	add_daddr(rule, family, KEY);
	add_dport(rule, NFT_REG32_00 + family->address_bytes / 4);
}

static void add_lookup(struct nftnl_rule *rule, const char *set, uint32_t result)
{
	struct nftnl_expr *lookup = add(rule, "lookup");
	nftnl_expr_set_str(lookup, NFTNL_EXPR_LOOKUP_SET, set);
	nftnl_expr_set_u32(lookup, NFTNL_EXPR_LOOKUP_SREG, KEY);
	if (result)
		nftnl_expr_set_u32(lookup, NFTNL_EXPR_LOOKUP_DREG, result);
}

static void add_immediate(struct nftnl_rule *rule, uint32_t reg, const void *data, uint32_t bytes)
{
	struct nftnl_expr *immediate = add(rule, "immediate");
	nftnl_expr_set_u32(immediate, NFTNL_EXPR_IMM_DREG, reg);
	nftnl_expr_set(immediate, NFTNL_EXPR_IMM_DATA, data, bytes);
}

static void add_verdict(struct nftnl_rule *rule, uint32_t verdict)
{
	struct nftnl_expr *immediate = add(rule, "immediate");
	nftnl_expr_set_u32(immediate, NFTNL_EXPR_IMM_DREG, NFT_REG_VERDICT);
	nftnl_expr_set_u32(immediate, NFTNL_EXPR_IMM_VERDICT, verdict);
}

static void own_address(const struct family *family, uint8_t ret[16])
{
	int af = family->nfproto == NFPROTO_IPV4 ? AF_INET : AF_INET6;
	if (inet_pton(af, family->own, ret) != 1)
		fail("not an address: %s", family->own);
}

/* To coffer's own address; port 0: the one that a map has put into PORT. */
static void add_dnat(struct nftnl_rule *rule, const struct family *family, uint16_t port)
{
	uint8_t address[16];
	uint16_t wire = htons(port);
	own_address(family, address);
	add_immediate(rule, ADDRESS, address, family->address_bytes);
	if (port)
		add_immediate(rule, PORT, &wire, sizeof(wire));
	struct nftnl_expr *nat = add(rule, "nat");
	nftnl_expr_set_u32(nat, NFTNL_EXPR_NAT_TYPE, NFT_NAT_DNAT);
	nftnl_expr_set_u32(nat, NFTNL_EXPR_NAT_FAMILY, family->nfproto);
	nftnl_expr_set_u32(nat, NFTNL_EXPR_NAT_REG_ADDR_MIN, ADDRESS);
	nftnl_expr_set_u32(nat, NFTNL_EXPR_NAT_REG_PROTO_MIN, PORT);
	nftnl_expr_set_u32(nat, NFTNL_EXPR_NAT_FLAGS, NF_NAT_RANGE_PROTO_SPECIFIED);
}

/* ---- the chains ---- */

#define CHAIN_NAT "nat"
#define CHAIN_OUT "out"
#define CHAIN_REFUSE "refuse"

static void write_nat_udp(FILE *out, const struct family *family)
{
	struct nftnl_rule *rule = new_rule(CHAIN_NAT);
	add_family(rule, family);
	add_protocol(rule, IPPROTO_UDP);
	add_key(rule, family);
	add_lookup(rule, family->udp, PORT);
	add_dnat(rule, family, 0);
	write_rule(out, rule, 0);
}

static void write_nat_dns(FILE *out, const struct family *family, uint8_t protocol)
{
	struct nftnl_rule *rule = new_rule(CHAIN_NAT);
	add_family(rule, family);
	add_protocol(rule, protocol);
	add_dport_is(rule, EGRESS_PORT_DNS);
	add_dnat(rule, family, EGRESS_PORT_DNS);
	write_rule(out, rule, 0);
}

static void write_nat_pools(FILE *out, const struct family *family)
{
	struct nftnl_rule *rule = new_rule(CHAIN_NAT);
	add_family(rule, family);
	add_protocol(rule, IPPROTO_TCP);
	add_key(rule, family);
	add_lookup(rule, family->pools, 0);
	add_dnat(rule, family, EGRESS_PORT_REDIRECT);
	write_rule(out, rule, 0);
}

/* What is coffer's or the box's own is no literal, however wide a block was allowed. */
static void write_nat_literals(FILE *out, const struct family *family)
{
	static const uint8_t loopback4 = 127, standins4[] = {198, 18}, mask4[] = {0xff, 0xfe};
	static const uint8_t standins6[] = {0x20, 0x01, 0, 2, 0, 0}; /* 2001:2::/48 */
	struct nftnl_rule *rule = new_rule(CHAIN_NAT);
	add_family(rule, family);
	add_protocol(rule, IPPROTO_TCP);
	if (family->nfproto == NFPROTO_IPV4) {
		add_daddr_compare(rule, family, NFT_CMP_NEQ, &loopback4, sizeof(loopback4));
		add_payload(rule, NFT_PAYLOAD_NETWORK_HEADER, family->daddr_offset,
			sizeof(standins4), SCRATCH);
		add_bitwise(rule, mask4, sizeof(mask4));
		add_compare(rule, NFT_CMP_NEQ, standins4, sizeof(standins4));
	} else {
		add_daddr_compare(
			rule, family, NFT_CMP_NEQ, &in6addr_loopback, sizeof(in6addr_loopback));
		add_daddr_compare(rule, family, NFT_CMP_NEQ, standins6, sizeof(standins6));
	}
	add_daddr(rule, family, KEY);
	add_lookup(rule, family->literals, 0);
	add_dnat(rule, family, EGRESS_PORT_REDIRECT);
	write_rule(out, rule, 0);
}

static void write_ct(FILE *out, uint32_t key, uint32_t bits)
{
	static const uint32_t zero;
	struct nftnl_rule *rule = new_rule(CHAIN_OUT);
	struct nftnl_expr *ct = add(rule, "ct");
	nftnl_expr_set_u32(ct, NFTNL_EXPR_CT_KEY, key);
	nftnl_expr_set_u32(ct, NFTNL_EXPR_CT_DREG, SCRATCH);
	add_bitwise(rule, &bits, sizeof(bits));
	add_compare(rule, NFT_CMP_NEQ, &zero, sizeof(zero));
	add_verdict(rule, NF_ACCEPT);
	write_rule(out, rule, 0);
}

static void write_accept_to(
	FILE *out, const struct family *family, const void *address, unsigned bytes)
{
	struct nftnl_rule *rule = new_rule(CHAIN_OUT);
	add_family(rule, family);
	add_daddr_compare(rule, family, NFT_CMP_EQ, address, bytes);
	add_verdict(rule, NF_ACCEPT);
	write_rule(out, rule, 0);
}

static void write_accept_own(
	FILE *out, const struct family *family, uint8_t protocol, uint16_t port)
{
	uint8_t address[16];
	own_address(family, address);
	struct nftnl_rule *rule = new_rule(CHAIN_OUT);
	add_family(rule, family);
	add_daddr_compare(rule, family, NFT_CMP_EQ, address, family->address_bytes);
	add_protocol(rule, protocol);
	add_dport_is(rule, port);
	add_verdict(rule, NF_ACCEPT);
	write_rule(out, rule, 0);
}

/* At most so many packets a second, told of by egress's group. */
static struct nftnl_rule *new_log(uint64_t rate, uint32_t burst, const char *prefix)
{
	struct nftnl_rule *rule = new_rule(CHAIN_OUT);
	struct nftnl_expr *limit = add(rule, "limit");
	nftnl_expr_set_u64(limit, NFTNL_EXPR_LIMIT_RATE, rate);
	nftnl_expr_set_u64(limit, NFTNL_EXPR_LIMIT_UNIT, 1); /* second */
	nftnl_expr_set_u32(limit, NFTNL_EXPR_LIMIT_BURST, burst);
	nftnl_expr_set_u32(limit, NFTNL_EXPR_LIMIT_TYPE, NFT_LIMIT_PKTS);
	struct nftnl_expr *log = add(rule, "log");
	nftnl_expr_set_u16(log, NFTNL_EXPR_LOG_GROUP, EGRESS_NFLOG_GROUP);
	nftnl_expr_set_u32(log, NFTNL_EXPR_LOG_SNAPLEN, NETWORK_LOG_PACKET_BYTES);
	if (prefix)
		nftnl_expr_set_str(log, NFTNL_EXPR_LOG_PREFIX, prefix);
	return rule;
}

static void write_log(FILE *out)
{
	struct nftnl_rule *rule = new_log(NETWORK_LOG_RATE, NETWORK_LOG_BURST, NULL);
	add_goto(rule, CHAIN_REFUSE);
	write_rule(out, rule, 0);
	write_rule(out, new_log(5, 5, EGRESS_NFLOG_LOST), 0);
}

static void write_refuse(FILE *out)
{
	write_chain(out, CHAIN_REFUSE, NULL, 0, 0);
	struct nftnl_rule *rule = new_rule(CHAIN_REFUSE);
	add_protocol(rule, IPPROTO_TCP);
	struct nftnl_expr *reject = add(rule, "reject");
	nftnl_expr_set_u32(reject, NFTNL_EXPR_REJECT_TYPE, NFT_REJECT_TCP_RST);
	write_rule(out, rule, 0);

	rule = new_rule(CHAIN_REFUSE);
	reject = add(rule, "reject");
	nftnl_expr_set_u32(reject, NFTNL_EXPR_REJECT_TYPE, NFT_REJECT_ICMPX_UNREACH);
	nftnl_expr_set_u8(reject, NFTNL_EXPR_REJECT_CODE, NFT_REJECT_ICMPX_ADMIN_PROHIBITED);
	write_rule(out, rule, 0);
}

/* What no rule before has accepted. */
static void write_rest(FILE *out)
{
	struct nftnl_rule *rule = new_rule(CHAIN_OUT);
	add_goto(rule, CHAIN_REFUSE);
	write_rule(out, rule, NLM_F_ACK);
}

static void write_nat(FILE *out)
{
	static const struct family *const families[] = {&ipv4, &ipv6};
	write_chain(out, CHAIN_NAT, "nat", -100, NF_ACCEPT);
	for (size_t i = 0; i < ARRAY_SIZE(families); i++) {
		write_nat_udp(out, families[i]);
		write_nat_dns(out, families[i], IPPROTO_UDP);
		write_nat_dns(out, families[i], IPPROTO_TCP);
		write_nat_pools(out, families[i]);
		write_nat_literals(out, families[i]);
	}
}

static void write_out(FILE *out)
{
	static const uint8_t loopback4 = 127;
	write_chain(out, CHAIN_OUT, "filter", 0, NF_DROP);
	write_ct(out, NFT_CT_STATUS, IPS_DST_NAT);
	write_accept_to(out, &ipv4, &loopback4, sizeof(loopback4));
	write_accept_to(out, &ipv6, &in6addr_loopback, sizeof(in6addr_loopback));
	write_ct(out, NFT_CT_STATE,
		NF_CT_STATE_BIT(IP_CT_ESTABLISHED) | NF_CT_STATE_BIT(IP_CT_RELATED));
	write_accept_own(out, &ipv4, IPPROTO_TCP, EGRESS_PORT_PROXY);
	write_accept_own(out, &ipv4, IPPROTO_TCP, EGRESS_PORT_DNS);
	write_accept_own(out, &ipv4, IPPROTO_UDP, EGRESS_PORT_DNS);
	write_accept_own(out, &ipv6, IPPROTO_TCP, EGRESS_PORT_DNS);
	write_accept_own(out, &ipv6, IPPROTO_UDP, EGRESS_PORT_DNS);
}

static void open_array(FILE *out, const char *name)
{
	fprintf(out, "\nstatic const uint8_t __attribute__((aligned(4))) %s[] = {", name);
}

int main(int argc, char *argv[])
{
	if (argc != 2)
		fail("usage: network_compile OUTPUT");
	cleanup_fclose FILE *out = fopen(argv[1], "we");
	if (!out)
		fail("cannot write %s", argv[1]);
	fputs("/* Made by network_compile.c. */\n", out);
	open_array(out, "network_rules_head");
	write_table(out);
	write_sets(out, &ipv4);
	write_sets(out, &ipv6);
	write_nat(out);
	write_refuse(out);
	write_out(out);
	fputs("\n};\n", out);
	open_array(out, "network_rules_log");
	write_log(out);
	fputs("\n};\n", out);
	open_array(out, "network_rules_tail");
	write_rest(out);
	fputs("\n};\n", out);
	fprintf(out, "\nenum { NETWORK_RULES_LAST = %u };\n", sequence);
	if (fflush(out) || ferror(out))
		fail("cannot write %s", argv[1]);
	return 0;
}
