/* Which addresses are not the public Internet's. */
#include "policy/network_internal.h"

#include "base/cleanup.h"

#include <string.h>

#define V4(a, b, c, d, bits)                                                                       \
	{                                                                                          \
		{{{[10] = 0xff, [11] = 0xff, [12] = (a), [13] = (b), [14] = (c), [15] = (d)}}},    \
			96 + (bits)                                                                \
	}
#define HIGH(word) (uint8_t)((word) >> 8)
#define LOW(word) (uint8_t)((word)&0xff)
#define V6(a, b, c, d, bits)                                                                       \
	{                                                                                          \
		{{{HIGH(a), LOW(a), HIGH(b), LOW(b), HIGH(c), LOW(c), HIGH(d), LOW(d)}}}, (bits)   \
	}

/* The sources are IANA's registries "IPv4 Special-Purpose Address Space", "IPv6 Special-Purpose
 * Address Space" and "Internet Protocol Version 6 Address Space", whose defining documents are
 * named with each row, and the cloud providers' documentation for their metadata addresses. A row
 * without a name takes its block out of a wider one. */
static const struct reserved_range ranges[] = {
	/* Cloud metadata and host services first: only a rule for this very address opens one. */
	{V4(169, 254, 169, 254, 32), "cloud metadata"}, /* AWS, Azure, Google Cloud and others */
	{V4(169, 254, 170, 2, 32), "cloud metadata (container credentials)"},  /* AWS ECS */
	{V4(169, 254, 170, 23, 32), "cloud metadata (container credentials)"}, /* AWS EKS */
	{V4(168, 63, 129, 16, 32), "cloud metadata (platform services)"}, /* Azure's WireServer */
	{V4(100, 100, 100, 200, 32), "cloud metadata"},                   /* Alibaba Cloud */
	{V4(192, 0, 0, 192, 32), "cloud metadata"},                       /* Oracle Cloud */
	{{{{{0xfd, 0x00, 0x0e, 0xc2, [14] = 0x02, [15] = 0x54}}}, 128},
		"cloud metadata"}, /* AWS: fd00:ec2::254 */
	{{{{{0xfd, 0x00, 0x0e, 0xc2, [15] = 0x23}}}, 128},
		"cloud metadata (container credentials)"}, /* AWS EKS: fd00:ec2::23 */
	{{{{{0xfd, 0x20, 0x00, 0xce, [14] = 0x02, [15] = 0x54}}}, 128},
		"cloud metadata"}, /* Google Cloud: fd20:ce::254 */

	{V4(0, 0, 0, 0, 8), "\"this network\" (RFC 791)"},
	{V4(10, 0, 0, 0, 8), "a private network (RFC 1918)"},
	{V4(100, 64, 0, 0, 10), "carrier-grade NAT (RFC 6598)"},
	{V4(127, 0, 0, 0, 8), "loopback (RFC 1122)"},
	{V4(169, 254, 0, 0, 16), "link-local (RFC 3927)"},
	{V4(172, 16, 0, 0, 12), "a private network (RFC 1918)"},
	{V4(192, 0, 0, 0, 24), "for protocol assignments (RFC 6890)"},
	{V4(192, 0, 2, 0, 24), "for documentation (RFC 5737)"},
	{V4(192, 88, 99, 0, 24), "6to4 relay anycast (RFC 7526)"},
	{V4(192, 168, 0, 0, 16), "a private network (RFC 1918)"},
	{V4(198, 18, 0, 0, 15), "for benchmarks (RFC 2544)"},
	{V4(198, 51, 100, 0, 24), "for documentation (RFC 5737)"},
	{V4(203, 0, 113, 0, 24), "for documentation (RFC 5737)"},
	{V4(224, 0, 0, 0, 4), "multicast (RFC 5771)"},
	{V4(240, 0, 0, 0, 4), "reserved (RFC 1112)"},
	{V4(255, 255, 255, 255, 32), "broadcast (RFC 919)"},

	{{{{{0}}}, 128}, "the unspecified address (RFC 4291)"},
	{{{{{[15] = 1}}}, 128}, "loopback (RFC 4291)"},
	{{{{{0}}}, 96}, "IPv4-compatible (RFC 4291)"},
	{{{{{[8] = 0xff, [9] = 0xff}}}, 96}, "IPv4-translated (RFC 2765)"},
	{V6(0x64, 0xff9b, 0, 0, 96), NULL}, /* NAT64 (RFC 6052): what is embedded */
	{V6(0x64, 0xff9b, 1, 0, 48), "local-use NAT64 (RFC 8215)"},
	{V6(0x100, 0, 0, 0, 64), "discarded (RFC 6666)"},
	{V6(0x100, 0, 0, 1, 64), "a dummy prefix (RFC 9780)"},
	{V6(0x2001, 0, 0, 0, 23), "for protocol assignments (RFC 2928)"},
	{V6(0x2001, 0, 0, 0, 32), "Teredo (RFC 4380)"},
	{V6(0x2001, 2, 0, 0, 48), "for benchmarks (RFC 5180)"},
	{V6(0x2001, 0x10, 0, 0, 28), "ORCHID (RFC 4843)"},
	{V6(0x2001, 0x20, 0, 0, 28), "ORCHIDv2 (RFC 7343)"},
	{V6(0x2001, 0xdb8, 0, 0, 32), "for documentation (RFC 3849)"},
	{V6(0x3fff, 0, 0, 0, 20), "for documentation (RFC 9637)"},
	{V6(0x5f00, 0, 0, 0, 16), "segment routing (RFC 9602)"},
	{V6(0xfc00, 0, 0, 0, 7), "a private network (RFC 4193)"},
	{V6(0xfe80, 0, 0, 0, 10), "link-local (RFC 4291)"},
	{V6(0xfec0, 0, 0, 0, 10), "site-local (RFC 3879)"},
	{V6(0xff00, 0, 0, 0, 8), "multicast (RFC 4291)"},

	/* All that lies outside of 2000::/3 and has no purpose yet. */
	{V6(0x0000, 0, 0, 0, 8), "reserved by the IETF (RFC 4291)"},
	{V6(0x0100, 0, 0, 0, 8), "reserved by the IETF (RFC 4291)"},
	{V6(0x0200, 0, 0, 0, 7), "reserved by the IETF (RFC 4048)"},
	{V6(0x0400, 0, 0, 0, 6), "reserved by the IETF (RFC 4291)"},
	{V6(0x0800, 0, 0, 0, 5), "reserved by the IETF (RFC 4291)"},
	{V6(0x1000, 0, 0, 0, 4), "reserved by the IETF (RFC 4291)"},
	{V6(0x4000, 0, 0, 0, 3), "reserved by the IETF (RFC 4291)"},
	{V6(0x6000, 0, 0, 0, 3), "reserved by the IETF (RFC 4291)"},
	{V6(0x8000, 0, 0, 0, 3), "reserved by the IETF (RFC 4291)"},
	{V6(0xa000, 0, 0, 0, 3), "reserved by the IETF (RFC 4291)"},
	{V6(0xc000, 0, 0, 0, 3), "reserved by the IETF (RFC 4291)"},
	{V6(0xe000, 0, 0, 0, 4), "reserved by the IETF (RFC 4291)"},
	{V6(0xf000, 0, 0, 0, 5), "reserved by the IETF (RFC 4291)"},
	{V6(0xf800, 0, 0, 0, 6), "reserved by the IETF (RFC 4291)"},
	{V6(0xfe00, 0, 0, 0, 9), "reserved by the IETF (RFC 4291)"},
};

const struct reserved_range *network_reserved_ranges(size_t *ret_count)
{
	*ret_count = ARRAY_SIZE(ranges);
	return ranges;
}

bool network_block_holds(const struct address_block *block, const struct in6_addr *address)
{
	unsigned bytes = block->prefix_bits / 8, bits = block->prefix_bits % 8;
	if (block->prefix_bits < 96 && IN6_IS_ADDR_V4MAPPED(address))
		return false; /* whoever writes ::/0 speaks of IPv6 */
	if (memcmp(block->address.s6_addr, address->s6_addr, bytes) != 0)
		return false;
	return bits == 0 ||
	       (block->address.s6_addr[bytes] ^ address->s6_addr[bytes]) >> (8 - bits) == 0;
}

const struct reserved_range *network_range_of(const struct in6_addr *address)
{
	const struct reserved_range *longest = NULL;
	for (size_t i = 0; i < ARRAY_SIZE(ranges); i++)
		if (network_block_holds(&ranges[i].block, address) &&
			(!longest || ranges[i].block.prefix_bits > longest->block.prefix_bits))
			longest = &ranges[i];
	return longest && longest->name ? longest : NULL;
}

static struct in6_addr embedded(const uint8_t bytes[4], uint8_t mask)
{
	return (struct in6_addr){{{[10] = 0xff,
		[11] = 0xff,
		[12] = bytes[0] ^ mask,
		[13] = bytes[1] ^ mask,
		[14] = bytes[2] ^ mask,
		[15] = bytes[3] ^ mask}}};
}

static bool all_zero(const uint8_t *bytes, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (bytes[i])
			return false;
	return true;
}

/* RFC 6052, section 2.2: which layouts an address of a translator's own prefix may have; around
 * byte 8, which stays zero, and with zeros behind. */
static size_t nat64_forms(const uint8_t *a, struct in6_addr *ret)
{
	size_t count = 0;
	if (a[8] == 0 && all_zero(a + 11, 5))
		ret[count++] = embedded((const uint8_t[]){a[6], a[7], a[9], a[10]}, 0);
	if (a[8] == 0 && all_zero(a + 12, 4))
		ret[count++] = embedded((const uint8_t[]){a[7], a[9], a[10], a[11]}, 0);
	if (a[8] == 0 && all_zero(a + 13, 3))
		ret[count++] = embedded(a + 9, 0);
	if (!all_zero(a + 12, 4) || count == 0)
		ret[count++] = embedded(a + 12, 0);
	return count;
}

size_t network_address_forms(const struct in6_addr *address, struct in6_addr ret[ADDRESS_FORMS_MAX])
{
	static const uint8_t translated[12] = {[8] = 0xff, [9] = 0xff};
	static const uint8_t nat64[12] = {0x00, 0x64, 0xff, 0x9b};
	static const uint8_t nat64_local[6] = {0x00, 0x64, 0xff, 0x9b, 0x00, 0x01};
	static const uint8_t teredo[4] = {0x20, 0x01};
	const uint8_t *a = address->s6_addr;
	size_t count = 0;
	ret[count++] = *address;
	if (IN6_IS_ADDR_V4MAPPED(address) || IN6_IS_ADDR_UNSPECIFIED(address) ||
		IN6_IS_ADDR_LOOPBACK(address))
		return count;
	if (IN6_IS_ADDR_V4COMPAT(address) || memcmp(a, translated, sizeof(translated)) == 0 ||
		memcmp(a, nat64, sizeof(nat64)) == 0) {
		ret[count++] = embedded(a + 12, 0);
	} else if (memcmp(a, nat64_local, sizeof(nat64_local)) == 0) {
		count += nat64_forms(a, ret + count);
	} else if (a[0] == 0x20 && a[1] == 0x02) { /* 6to4 */
		ret[count++] = embedded(a + 2, 0);
	} else if (memcmp(a, teredo, sizeof(teredo)) == 0) {
		ret[count++] = embedded(a + 4, 0);     /* the server */
		ret[count++] = embedded(a + 12, 0xff); /* the client, with every bit turned */
	}
	/* ISATAP (RFC 5214): below any prefix, the universal/local bit set or not. */
	if ((a[8] & ~0x02) == 0 && a[9] == 0 && a[10] == 0x5e && a[11] == 0xfe)
		ret[count++] = embedded(a + 12, 0);
	return count;
}

const char *network_reserved_range(const struct in6_addr *address)
{
	struct in6_addr forms[ADDRESS_FORMS_MAX];
	size_t count = network_address_forms(address, forms);
	for (size_t i = 0; i < count; i++) {
		const struct reserved_range *range = network_range_of(&forms[i]);
		if (range)
			return range->name;
	}
	return NULL;
}
