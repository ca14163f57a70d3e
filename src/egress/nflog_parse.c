#include "egress/nflog.h"

#include "policy/egress.h"

#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_log.h>
#include <linux/netlink.h>
#include <string.h>

enum {
	EXTENSIONS_MAX = 8, /* IPv6 headers before the transport's */
	IPV4_HEADER_BYTES = 20,
	IPV6_HEADER_BYTES = 40,
	PACKET_MESSAGE = NFNL_SUBSYS_ULOG << 8 | NFULNL_MSG_PACKET,
};

/* Both ports stand first in TCP's header and in UDP's. */
static void parse_ports(const uint8_t *data, size_t length_bytes, struct nflog_packet *packet)
{
	bool has_ports = packet->protocol == IPPROTO_TCP || packet->protocol == IPPROTO_UDP;
	if (!has_ports || length_bytes < 4)
		return;
	packet->source_port = (uint16_t)(data[0] << 8 | data[1]);
	packet->port = (uint16_t)(data[2] << 8 | data[3]);
}

static struct in6_addr mapped(const uint8_t address[4])
{
	struct in6_addr ret = {{{[10] = 0xff, [11] = 0xff}}};
	memcpy(ret.s6_addr + 12, address, 4);
	return ret;
}

static bool parse_ipv4(const uint8_t *data, size_t length_bytes, struct nflog_packet *packet)
{
	if (length_bytes < IPV4_HEADER_BYTES)
		return false;
	size_t header_bytes = (data[0] & 0x0fU) * 4;
	bool first_fragment = (data[6] & 0x1f) == 0 && data[7] == 0;
	packet->protocol = data[9];
	packet->source = mapped(data + 12);
	packet->destination = mapped(data + 16);
	if (first_fragment && header_bytes >= IPV4_HEADER_BYTES && header_bytes <= length_bytes)
		parse_ports(data + header_bytes, length_bytes - header_bytes, packet);
	return true;
}

static bool parse_ipv6(const uint8_t *data, size_t length_bytes, struct nflog_packet *packet)
{
	if (length_bytes < IPV6_HEADER_BYTES)
		return false;
	memcpy(&packet->source, data + 8, sizeof(packet->source));
	memcpy(&packet->destination, data + 24, sizeof(packet->destination));
	packet->protocol = data[6];
	size_t at = IPV6_HEADER_BYTES;
	for (unsigned i = 0; i < EXTENSIONS_MAX && length_bytes - at >= 8; i++) {
		const uint8_t *extension = data + at;
		size_t bytes = 8;
		switch (packet->protocol) {
		case IPPROTO_HOPOPTS:
		case IPPROTO_ROUTING:
		case IPPROTO_DSTOPTS:
			bytes += extension[1] * 8U;
			break;
		case IPPROTO_FRAGMENT:
			if (extension[2] || extension[3] & 0xf8) {
				packet->protocol = extension[0];
				return true; /* not the first: it has no ports */
			}
			break;
		default:
			parse_ports(extension, length_bytes - at, packet);
			return true;
		}
		packet->protocol = extension[0];
		if (bytes > length_bytes - at)
			return true;
		at += bytes;
	}
	return true;
}

static bool parse_packet(const uint8_t *data, size_t length_bytes, struct nflog_packet *packet)
{
	if (length_bytes == 0)
		return false;
	*packet = (struct nflog_packet){0};
	switch (data[0] >> 4) {
	case 4:
		return parse_ipv4(data, length_bytes, packet);
	case 6:
		return parse_ipv6(data, length_bytes, packet);
	}
	return false;
}

static void parse_message(const struct nlmsghdr *message, nflog_each each, void *context)
{
	size_t left = message->nlmsg_len, at = NLMSG_LENGTH(NLMSG_ALIGN(sizeof(struct nfgenmsg)));
	const uint8_t *data = (const uint8_t *)message;
	struct nlattr attribute;
	bool lost = false;
	while (at < left && left - at >= sizeof(attribute)) {
		memcpy(&attribute, data + at, sizeof(attribute));
		if (attribute.nla_len < NLA_HDRLEN || attribute.nla_len > left - at)
			return;
		struct nflog_packet packet;
		/* It comes before the packet, and the kernel terminates it. */
		if ((attribute.nla_type & NLA_TYPE_MASK) == NFULA_PREFIX)
			lost = attribute.nla_len - NLA_HDRLEN == sizeof(EGRESS_NFLOG_LOST) &&
			       memcmp(data + at + NLA_HDRLEN, EGRESS_NFLOG_LOST,
				       sizeof(EGRESS_NFLOG_LOST)) == 0;
		if ((attribute.nla_type & NLA_TYPE_MASK) == NFULA_PAYLOAD &&
			parse_packet(
				data + at + NLA_HDRLEN, attribute.nla_len - NLA_HDRLEN, &packet)) {
			packet.lost = lost;
			each(context, &packet);
		}
		at += NLA_ALIGN(attribute.nla_len);
	}
}

void nflog_parse(const void *data, size_t length_bytes, nflog_each each, void *context)
{
	const struct nlmsghdr *message = data;
	/* NLMSG_OK() and NLMSG_NEXT() take the length as a variable of their own to count down. */
	for (size_t left = length_bytes; NLMSG_OK(message, left);) {
		if (message->nlmsg_type == PACKET_MESSAGE)
			parse_message(message, each, context);
		size_t step = NLMSG_ALIGN(message->nlmsg_len);
		if (step >= left)
			return; /* the last need not be padded */
		left -= step;
		message = (const struct nlmsghdr *)(const void *)((const char *)message + step);
	}
}
