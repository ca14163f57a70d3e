/* Theory of operation. Two transactions build the box's network. The first, to rtnetlink, makes
 * every address local: a connection to anywhere ends in this namespace. The second, to nf_tables,
 * is the constant ruleset of network_compile.c with, before its last rules, the elements of this
 * box's sets: the kernel takes all of it or nothing. Both are one write each; the kernel works
 * while the write lasts, so that its answers can be read at once. */
#include "confine/network_nftables.h"

#include "base/buffer.h"
#include "base/cleanup.h"
#include "confine/network_ruleset.h"
#include "policy/egress.h"

#include <arpa/inet.h>
#include <limits.h>
#include <linux/if_addr.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_log.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

enum {
	LOOPBACK_INDEX = 1, /* in every network namespace */
	/* A netlink message may not be larger than the socket's send buffer, of 208 KiB unless an
	 * administrator has changed it. */
	ELEMENTS_BYTES_MAX = 160 * 1024,
	/* Of one message: the list is an attribute, and its length 16 bits. */
	LIST_BYTES_MAX = 32 * 1024,
	ANSWERS_MAX = 8,
};

/* ---- messages ---- */

static struct nlmsghdr *message_at(struct buffer *buffer, size_t offset)
{
	return (struct nlmsghdr *)(void *)(buffer->data + offset);
}

static void put_padded(struct buffer *buffer, const void *data, size_t length_bytes)
{
	static const char zero[NLMSG_ALIGNTO];
	buffer_append(buffer, data, length_bytes);
	buffer_append(buffer, zero, NLMSG_ALIGN(length_bytes) - length_bytes);
}

/* Returns where the message begins, for end_message(). */
static size_t begin_message(struct buffer *buffer, uint16_t type, uint16_t flags, uint32_t sequence,
	const void *body, size_t body_bytes)
{
	size_t offset = buffer->length_bytes;
	struct nlmsghdr header = {
		.nlmsg_type = type, .nlmsg_flags = NLM_F_REQUEST | flags, .nlmsg_seq = sequence};
	put_padded(buffer, &header, sizeof(header));
	put_padded(buffer, body, body_bytes);
	return offset;
}

static void end_message(struct buffer *buffer, size_t offset)
{
	if (!buffer_error(buffer))
		message_at(buffer, offset)->nlmsg_len = (uint32_t)(buffer->length_bytes - offset);
}

static void put_attribute(
	struct buffer *buffer, uint16_t type, const void *data, size_t length_bytes)
{
	struct nlattr attribute = {
		.nla_len = (uint16_t)(NLA_HDRLEN + length_bytes), .nla_type = type};
	put_padded(buffer, &attribute, sizeof(attribute));
	put_padded(buffer, data, length_bytes);
}

static size_t begin_nest(struct buffer *buffer, uint16_t type)
{
	size_t offset = buffer->length_bytes;
	put_attribute(buffer, type | NLA_F_NESTED, NULL, 0);
	return offset;
}

static void end_nest(struct buffer *buffer, size_t offset)
{
	if (buffer_error(buffer))
		return;
	struct nlattr *attribute = (struct nlattr *)(void *)(buffer->data + offset);
	attribute->nla_len = (uint16_t)(buffer->length_bytes - offset);
}

/* ---- the exchange ---- */

static int open_netlink(int protocol)
{
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol);
	if (fd < 0)
		return -errno;
	/* An error's answer needs only the header of what was refused. */
	int one = 1;
	setsockopt(fd, SOL_NETLINK, NETLINK_CAP_ACK, &one, sizeof(one));
	return fd;
}

struct answers {
	size_t count;
	struct answer {
		uint32_t sequence;
		int error;    /* 0 or -errno */
	} items[ANSWERS_MAX]; /* the first ones; those that are too many are errors too */
	bool too_many;
};

static void add_answers(struct answers *answers, const char *data, size_t length_bytes)
{
	const struct nlmsghdr *message = (const struct nlmsghdr *)(const void *)data;
	for (size_t left = length_bytes; NLMSG_OK(message, left);
		message = NLMSG_NEXT(message, left)) {
		if (message->nlmsg_type != NLMSG_ERROR ||
			message->nlmsg_len < NLMSG_LENGTH(sizeof(struct nlmsgerr)))
			continue;
		const struct nlmsgerr *error = NLMSG_DATA(message);
		if (answers->count < ANSWERS_MAX)
			answers->items[answers->count++] =
				(struct answer){error->msg.nlmsg_seq, error->error};
		else
			answers->too_many = true;
	}
}

/* Sends everything in one message and reads what there is to read. */
static int exchange(int fd, struct iovec *parts, size_t parts_count, struct answers *ret)
{
	struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
	struct msghdr message = {.msg_name = &kernel,
		.msg_namelen = sizeof(kernel),
		.msg_iov = parts,
		.msg_iovlen = parts_count};
	*ret = (struct answers){0};
	if (sendmsg(fd, &message, 0) < 0)
		return -errno;
	for (;;) {
		char __attribute__((aligned(NLMSG_ALIGNTO))) space[4096];
		ssize_t n = recv(fd, space, sizeof(space), 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN ? 0 : -errno;
		add_answers(ret, space, (size_t)n);
	}
}

/* 0 only if the message with this sequence was carried out, and none was refused. */
static int judge(const struct answers *answers, uint32_t last)
{
	bool done = false;
	for (size_t i = 0; i < answers->count; i++) {
		if (answers->items[i].error < 0)
			return answers->items[i].error;
		done = done || answers->items[i].sequence == last;
	}
	return answers->too_many || !done ? -EIO : 0;
}

/* ---- links, addresses, routes ---- */

enum link_step {
	STEP_NONE, /* sequence numbers begin at 1 */
	STEP_UP,
	STEP_ADDRESS_V4,
	STEP_ROUTE_V4,
	STEP_ADDRESS_V6,
	STEP_ROUTE_V6,
	STEPS,
};

static void put_link_up(struct buffer *batch)
{
	struct ifinfomsg up = {.ifi_family = AF_UNSPEC,
		.ifi_index = LOOPBACK_INDEX,
		.ifi_flags = IFF_UP,
		.ifi_change = IFF_UP};
	end_message(batch, begin_message(batch, RTM_NEWLINK, NLM_F_ACK, STEP_UP, &up, sizeof(up)));
}

static void put_address(struct buffer *batch, enum link_step step, uint8_t family, const char *text)
{
	uint8_t address[16];
	unsigned bytes = family == AF_INET ? 4 : 16;
	inet_pton(family, text, address);
	/* Nobody else can have it: no waiting for duplicate address detection. */
	struct ifaddrmsg body = {.ifa_family = family,
		.ifa_prefixlen = (uint8_t)(bytes * CHAR_BIT),
		.ifa_flags = family == AF_INET6 ? IFA_F_NODAD : 0,
		.ifa_scope = RT_SCOPE_UNIVERSE,
		.ifa_index = LOOPBACK_INDEX};
	size_t message = begin_message(batch, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL | NLM_F_ACK,
		step, &body, sizeof(body));
	put_attribute(batch, IFA_LOCAL, address, bytes);
	put_attribute(batch, IFA_ADDRESS, address, bytes);
	end_message(batch, message);
}

static void put_local_default(struct buffer *batch, enum link_step step, uint8_t family)
{
	const uint32_t loopback = LOOPBACK_INDEX;
	struct rtmsg body = {.rtm_family = family,
		.rtm_table = RT_TABLE_LOCAL,
		.rtm_protocol = RTPROT_BOOT,
		.rtm_scope = family == AF_INET ? RT_SCOPE_HOST : RT_SCOPE_UNIVERSE,
		.rtm_type = RTN_LOCAL};
	size_t message = begin_message(batch, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL | NLM_F_ACK,
		step, &body, sizeof(body));
	put_attribute(batch, RTA_OIF, &loopback, sizeof(loopback));
	end_message(batch, message);
}

static int explain_links(int code, unsigned step, struct error *error)
{
	static const char *const what[STEPS] = {
		[STEP_NONE] = "rtnetlink",
		[STEP_UP] = "raising loopback",
		[STEP_ADDRESS_V4] = "the address " EGRESS_ADDRESS_V4,
		[STEP_ROUTE_V4] = "the local IPv4 route",
		[STEP_ADDRESS_V6] = "the address " EGRESS_ADDRESS_V6,
		[STEP_ROUTE_V6] = "the local IPv6 route",
	};
	return error_set_errno(error, -code, "network", "%s", what[step]);
}

int network_set_up_links(bool *ret_ipv6, struct error *error)
{
	cleanup_buffer struct buffer batch = BUFFER_INIT(4096);
	put_link_up(&batch);
	put_address(&batch, STEP_ADDRESS_V4, AF_INET, EGRESS_ADDRESS_V4);
	put_local_default(&batch, STEP_ROUTE_V4, AF_INET);
	put_address(&batch, STEP_ADDRESS_V6, AF_INET6, EGRESS_ADDRESS_V6);
	put_local_default(&batch, STEP_ROUTE_V6, AF_INET6);
	if (buffer_error(&batch))
		return explain_links(buffer_error(&batch), STEP_NONE, error);
	struct answers answers;
	cleanup_close int fd = open_netlink(NETLINK_ROUTE);
	int r = fd;
	if (r >= 0)
		r = exchange(fd, &(struct iovec){batch.data, batch.length_bytes}, 1, &answers);
	if (r < 0)
		return explain_links(r, STEP_NONE, error);
	int result[STEPS];
	for (unsigned step = 0; step < STEPS; step++)
		result[step] = -EIO;
	for (size_t i = 0; i < answers.count; i++)
		if (answers.items[i].sequence < STEPS)
			result[answers.items[i].sequence] = answers.items[i].error;
	for (unsigned step = STEP_UP; step <= STEP_ROUTE_V4; step++)
		if (result[step] < 0)
			return explain_links(result[step], step, error);
	/* No IPv6 in this kernel, or forbidden by its command line: then nothing speaks it. */
	*ret_ipv6 = result[STEP_ADDRESS_V6] != -EOPNOTSUPP && result[STEP_ADDRESS_V6] != -EACCES;
	for (unsigned step = STEP_ADDRESS_V6; *ret_ipv6 && step <= STEP_ROUTE_V6; step++)
		if (result[step] < 0)
			return explain_links(result[step], step, error);
	return 0;
}

/* ---- set elements ---- */

struct elements {
	struct buffer *buffer;
	const char *set; /* NULL: no message is open */
	size_t message, list;
	uint32_t sequence;
};

static void end_set(struct elements *elements)
{
	if (!elements->set)
		return;
	end_nest(elements->buffer, elements->list);
	end_message(elements->buffer, elements->message);
	elements->set = NULL;
}

static void begin_set(struct elements *elements, const char *set)
{
	struct nfgenmsg body = {.nfgen_family = NFPROTO_INET, .version = NFNETLINK_V0};
	uint16_t type = NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWSETELEM;
	end_set(elements);
	elements->set = set;
	elements->message = begin_message(
		elements->buffer, type, NLM_F_CREATE, elements->sequence++, &body, sizeof(body));
	put_attribute(
		elements->buffer, NFTA_SET_ELEM_LIST_TABLE, NETWORK_TABLE, sizeof(NETWORK_TABLE));
	put_attribute(elements->buffer, NFTA_SET_ELEM_LIST_SET, set, strlen(set) + 1);
	elements->list = begin_nest(elements->buffer, NFTA_SET_ELEM_LIST_ELEMENTS);
}

static void put_value(struct buffer *buffer, uint16_t type, const void *data, size_t length_bytes)
{
	size_t nest = begin_nest(buffer, type);
	put_attribute(buffer, NFTA_DATA_VALUE, data, length_bytes);
	end_nest(buffer, nest);
}

/* What an element is made of; NULL: it has none of it. */
struct element {
	const void *key, *key_end;
	size_t key_bytes;
	const uint16_t *data; /* a port, as on the wire */
	uint32_t flags;
};

static void put_element(struct elements *elements, const char *set, const struct element *element)
{
	struct buffer *buffer = elements->buffer;
	if (elements->set != set || buffer->length_bytes - elements->list > LIST_BYTES_MAX)
		begin_set(elements, set);
	size_t nest = begin_nest(buffer, NFTA_LIST_ELEM);
	if (element->flags) {
		uint32_t wire = htonl(element->flags);
		put_attribute(buffer, NFTA_SET_ELEM_FLAGS, &wire, sizeof(wire));
	}
	put_value(buffer, NFTA_SET_ELEM_KEY, element->key, element->key_bytes);
	if (element->key_end)
		put_value(buffer, NFTA_SET_ELEM_KEY_END, element->key_end, element->key_bytes);
	if (element->data)
		put_value(buffer, NFTA_SET_ELEM_DATA, element->data, sizeof(*element->data));
	end_nest(buffer, nest);
}

/* An address as it stands in a packet: where it begins, and its length. */
static const uint8_t *wire_address(const struct in6_addr *address, size_t *ret_bytes)
{
	bool v4 = IN6_IS_ADDR_V4MAPPED(address);
	*ret_bytes = v4 ? 4 : 16;
	return address->s6_addr + (v4 ? 12 : 0);
}

/* An address and a port, the port in a word of its own. Returns the length. */
static size_t make_key(uint8_t key[20], const struct in6_addr *address, uint16_t port)
{
	size_t bytes;
	const uint8_t *wire = wire_address(address, &bytes);
	uint16_t wire_port = htons(port);
	memset(key, 0, 20);
	memcpy(key, wire, bytes);
	memcpy(key + bytes, &wire_port, sizeof(wire_port));
	return bytes + 4;
}

/* [first, last] on every range of ports. */
static void put_pool(struct elements *elements, const struct in6_addr *first,
	const struct in6_addr *last, const struct port_set *ports)
{
	const char *set = IN6_IS_ADDR_V4MAPPED(first) ? NETWORK_SET_POOLS4 : NETWORK_SET_POOLS6;
	for (size_t i = 0; i < ports->count; i++) {
		uint8_t key[20], key_end[20];
		size_t bytes = make_key(key, first, ports->ranges[i].first);
		make_key(key_end, last, ports->ranges[i].last);
		put_element(elements, set,
			&(struct element){.key = key, .key_end = key_end, .key_bytes = bytes});
	}
}

/* Sets the lower bits of an address; they are fewer than 64. */
static struct in6_addr last_of(const struct in6_addr *first, unsigned bits)
{
	struct in6_addr last = *first;
	for (unsigned bit = 0; bit < bits; bit++)
		last.s6_addr[15 - bit / 8] |= (uint8_t)(1 << bit % 8);
	return last;
}

static void put_pools(
	struct elements *elements, const struct network_pool *pools, size_t pools_count)
{
	for (size_t i = 0; i < pools_count; i++) {
		struct in6_addr last = last_of(&pools[i].v4, pools[i].v4_bits);
		put_pool(elements, &pools[i].v4, &last, &pools[i].ports);
		last = last_of(&pools[i].v6, pools[i].v4_bits);
		put_pool(elements, &pools[i].v6, &last, &pools[i].ports);
	}
}

static bool comes_first(const struct network_policy *policy, size_t index)
{
	const struct network_udp *rule = &policy->udp[index];
	for (size_t i = 0; i < index; i++)
		if (policy->udp[i].name && strcmp(policy->udp[i].name, rule->name) == 0)
			return false;
	return true;
}

static void put_udp(
	struct elements *elements, const struct in6_addr *address, uint16_t port, uint16_t target)
{
	uint8_t key[20];
	const char *set = IN6_IS_ADDR_V4MAPPED(address) ? NETWORK_SET_UDP4 : NETWORK_SET_UDP6;
	size_t bytes = make_key(key, address, port);
	uint16_t wire = htons(target);
	put_element(
		elements, set, &(struct element){.key = key, .key_bytes = bytes, .data = &wire});
}

/* A name of an allow-udp rule may be reached over TCP as well: see network_udp_standin(). */
static void put_udp_rules(struct elements *elements, const struct network_policy *policy, bool ask,
	const struct network_pool *pools, size_t pools_count)
{
	for (size_t i = 0; i < policy->udp_count; i++) {
		const struct network_udp *rule = &policy->udp[i];
		uint16_t target = (uint16_t)(EGRESS_PORT_UDP + i);
		struct in6_addr v4, v6;
		if (!rule->name) {
			put_udp(elements, &rule->address, rule->port, target);
			continue;
		}
		if (network_udp_standin(policy, rule->name, &v4, &v6) < 0)
			continue; /* cannot be: the rule itself has it */
		put_udp(elements, &v4, rule->port, target);
		put_udp(elements, &v6, rule->port, target);
		int pool = network_pool_of(policy, ask, pools, pools_count, rule->name);
		if (pool < 0 || !comes_first(policy, i))
			continue;
		put_pool(elements, &v4, &v4, &pools[pool].ports);
		put_pool(elements, &v6, &v6, &pools[pool].ports);
	}
}

/* The first address behind a block; false: there is none. */
static bool behind_block(const struct address_block *block, uint8_t ret[16])
{
	size_t bytes;
	const uint8_t *first = wire_address(&block->address, &bytes);
	unsigned prefix = block->prefix_bits - (bytes == 4 ? 96 : 0);
	memcpy(ret, first, bytes);
	if (prefix == 0)
		return false;
	unsigned carry = 1U << (7 - (prefix - 1) % 8);
	for (size_t i = (prefix - 1) / 8 + 1; carry && i-- > 0; carry >>= 8) {
		carry += ret[i];
		ret[i] = (uint8_t)carry;
	}
	return carry == 0;
}

/* The kernel's tree of intervals holds where each begins, and where it has ended. Blocks that touch
 * are one interval; they come sorted. */
static void put_literals(
	struct elements *elements, const struct address_block *blocks, size_t blocks_count, bool v4)
{
	const char *set = v4 ? NETWORK_SET_LITERALS4 : NETWORK_SET_LITERALS6;
	uint8_t end[16];
	struct element end_mark = {
		.key = end, .key_bytes = v4 ? 4 : 16, .flags = NFT_SET_ELEM_INTERVAL_END};
	bool open = false;
	for (size_t i = 0; i < blocks_count; i++) {
		struct element start = {0};
		start.key = wire_address(&blocks[i].address, &start.key_bytes);
		if (start.key_bytes != end_mark.key_bytes)
			continue;
		if (!open || memcmp(start.key, end, start.key_bytes) != 0) {
			if (open)
				put_element(elements, set, &end_mark);
			put_element(elements, set, &start);
		}
		open = behind_block(&blocks[i], end);
	}
	if (open)
		put_element(elements, set, &end_mark);
}

static int make_elements(
	const struct network_policy *policy, bool ask, struct buffer *ret, struct error *error)
{
	struct elements elements = {.buffer = ret, .sequence = NETWORK_RULES_LAST + 1};
	struct network_pool *pools = NULL;
	struct address_block *blocks = NULL;
	size_t pools_count = 0, blocks_count = 0;
	if (policy->udp_count > EGRESS_UDP_RULES_MAX)
		return error_set(error, E2BIG, "network", "more than %d allow-udp rules",
			EGRESS_UDP_RULES_MAX);
	int r = network_pools(policy, ask, &pools, &pools_count, error);
	if (r < 0)
		return r;
	r = network_literal_blocks(policy, &blocks, &blocks_count);
	if (r == 0) {
		put_pools(&elements, pools, pools_count);
		put_udp_rules(&elements, policy, ask, pools, pools_count);
		put_literals(&elements, blocks, blocks_count, true);
		put_literals(&elements, blocks, blocks_count, false);
		end_set(&elements);
		r = buffer_error(ret);
	}
	network_pools_free(pools, pools_count);
	free(blocks);
	if (r == -ENOBUFS)
		return error_set(error, E2BIG, "network",
			"the policy has more addresses and port ranges than the kernel takes at "
			"one time");
	return r < 0 ? error_set_errno(error, -r, "network", "the rules' elements") : 0;
}

/* ---- the ruleset ---- */

static void put_batch_mark(struct buffer *buffer, uint16_t type)
{
	struct nfgenmsg body = {.nfgen_family = AF_UNSPEC,
		.version = NFNETLINK_V0,
		.res_id = htons(NFNL_SUBSYS_NFTABLES)};
	end_message(buffer, begin_message(buffer, type, 0, 0, &body, sizeof(body)));
}

static struct iovec constant(const uint8_t *data, size_t length_bytes)
{
	return (struct iovec){(void *)(uintptr_t)data, length_bytes}; /* only read */
}

static int send_rules(int fd, const struct buffer *elements, bool log)
{
	cleanup_buffer struct buffer begin = BUFFER_INIT(64), end = BUFFER_INIT(64);
	put_batch_mark(&begin, NFNL_MSG_BATCH_BEGIN);
	put_batch_mark(&end, NFNL_MSG_BATCH_END);
	if (buffer_error(&begin) || buffer_error(&end))
		return -ENOMEM;
	struct iovec parts[] = {
		{begin.data, begin.length_bytes},
		constant(network_rules_head, sizeof(network_rules_head)),
		constant(network_rules_log, log ? sizeof(network_rules_log) : 0),
		{elements->data, elements->length_bytes},
		constant(network_rules_tail, sizeof(network_rules_tail)),
		{end.data, end.length_bytes},
	};
	struct answers answers;
	int r = exchange(fd, parts, ARRAY_SIZE(parts), &answers);
	return r < 0 ? r : judge(&answers, NETWORK_RULES_LAST);
}

/* A socket that hears of what the ruleset refuses, every packet at once: a box may live shorter
 * than the second for which the kernel would collect them. */
static int open_log(void)
{
	const struct nfulnl_msg_config_cmd bind = {.command = NFULNL_CFG_CMD_BIND};
	const struct nfulnl_msg_config_mode mode = {
		.copy_range = htonl(NETWORK_LOG_PACKET_BYTES), .copy_mode = NFULNL_COPY_PACKET};
	const uint32_t every = htonl(1);
	struct nfgenmsg body = {.nfgen_family = AF_UNSPEC,
		.version = NFNETLINK_V0,
		.res_id = htons(EGRESS_NFLOG_GROUP)};
	cleanup_buffer struct buffer message = BUFFER_INIT(256);
	size_t offset = begin_message(&message, NFNL_SUBSYS_ULOG << 8 | NFULNL_MSG_CONFIG,
		NLM_F_ACK, 1, &body, sizeof(body));
	put_attribute(&message, NFULA_CFG_CMD, &bind, sizeof(bind));
	put_attribute(&message, NFULA_CFG_MODE, &mode, sizeof(mode));
	put_attribute(&message, NFULA_CFG_QTHRESH, &every, sizeof(every));
	end_message(&message, offset);
	if (buffer_error(&message))
		return buffer_error(&message);
	struct answers answers;
	cleanup_close int fd = open_netlink(NETLINK_NETFILTER);
	int r = fd;
	if (r >= 0)
		r = exchange(fd, &(struct iovec){message.data, message.length_bytes}, 1, &answers);
	if (r >= 0)
		r = judge(&answers, 1);
	return r < 0 ? r : steal_fd(&fd);
}

static int explain_rules(int code, struct error *error)
{
	error_set_errno(error, -code, "network", "loading the box's nftables ruleset");
	switch (-code) {
	case ENOENT:
	case EINVAL:
	case EOPNOTSUPP:
	case EAFNOSUPPORT:
	case EPROTONOSUPPORT:
		return error_hint(error,
			"an administrator runs: modprobe -a nf_tables nft_chain_nat nft_ct nft_nat "
			"nft_limit nft_reject_inet (CONFIG_NF_TABLES, _NF_TABLES_INET, _NFT_CT, "
			"_NFT_NAT, _NFT_LIMIT, _NFT_REJECT_INET, _NF_NAT; Linux 5.6 or newer); "
			"without them a box can have no network");
	case EPERM:
		return error_hint(error, "nf_tables is forbidden to this process, perhaps by the "
					 "sandbox or container that coffer itself runs in");
	case EMSGSIZE:
		return error_hint(
			error, "the policy's rules are too many for net.core.wmem_default");
	}
	return code;
}

int network_load_rules(
	const struct network_policy *policy, bool ask, int *ret_log, struct error *error)
{
	cleanup_buffer struct buffer elements = BUFFER_INIT(ELEMENTS_BYTES_MAX);
	int r = make_elements(policy, ask, &elements, error);
	if (r < 0)
		return r;
	cleanup_close int fd = open_netlink(NETLINK_NETFILTER);
	if (fd < 0)
		return explain_rules(fd, error);
	cleanup_close int log = open_log();
	r = send_rules(fd, &elements, log >= 0);
	if (r < 0 && log >= 0) { /* perhaps it lacks nft_log: what is refused stays refused */
		close_fd(&log);
		r = send_rules(fd, &elements, false);
	}
	if (r < 0)
		return explain_rules(r, error);
	*ret_log = log >= 0 ? steal_fd(&log) : -1;
	return 0;
}
