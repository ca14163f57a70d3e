/* Theory of operation. A name is compared as a resolver would be asked for it: in ASCII, in
 * lower-case, without the root's dot. Names that are ASCII already are taken by the rule of
 * letters, digits and hyphens, with the "_" that services use; only what holds other letters, or
 * says that it is encoded ("xn--"), goes through IDNA, and what comes out is held against the same
 * rule.
 *
 * A last label that is a number makes the whole an attempt at an IPv4 address (as URL parsers have
 * it), since there is no numeric top-level domain: so no spelling of an address is ever a name. */
#include "policy/network_internal.h"

#include "base/cleanup.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <idn2.h>
#include <string.h>
#include <strings.h>

enum {
	NAME_BYTES = 253, /* RFC 1035: 255 octets on the wire */
	LABEL_BYTES = 63,
	UNICODE_BYTES = 1024, /* more cannot become 253 letters */
};

static bool is_ascii(const char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text >= 0x80)
			return false;
	return true;
}

static bool is_encoded(const char *name)
{
	for (const char *label = name; label; label = strchr(label, '.')) {
		label += *label == '.';
		if (strncasecmp(label, "xn--", 4) == 0)
			return true;
	}
	return false;
}

/* Copies name (ASCII) in lower-case without the last dot. */
static int fold(const char *name, char ret[NETWORK_NAME_BYTES])
{
	size_t length = strlen(name);
	if (length > 0 && name[length - 1] == '.')
		length--;
	if (length == 0 || length > NAME_BYTES)
		return -EINVAL;
	for (size_t i = 0; i < length; i++)
		ret[i] = (char)(name[i] >= 'A' && name[i] <= 'Z' ? name[i] | 0x20 : name[i]);
	ret[length] = '\0';
	return 0;
}

static bool is_letter_or_digit(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

/* No hyphen at either end; elsewhere any number of them, since content networks do that. */
static bool is_label(const char *label, size_t length)
{
	if (length == 0 || length > LABEL_BYTES || label[0] == '-' || label[length - 1] == '-')
		return false;
	for (size_t i = 0; i < length; i++)
		if (!is_letter_or_digit(label[i]) && label[i] != '-' && label[i] != '_')
			return false;
	return true;
}

static bool is_number(const char *label)
{
	if (label[0] == '0' && label[1] == 'x')
		return strspn(label + 2, "0123456789abcdef") == strlen(label + 2);
	return strspn(label, "0123456789") == strlen(label);
}

static bool is_name(const char *name)
{
	for (const char *label = name;;) {
		size_t length = strcspn(label, ".");
		if (!is_label(label, length))
			return false;
		if (!label[length])
			return !is_number(label);
		label += length + 1;
	}
}

int network_normalize_name(const char *name, char ret[NETWORK_NAME_BYTES])
{
	if (is_ascii(name) && !is_encoded(name)) {
		int r = fold(name, ret);
		return r < 0 ? r : is_name(ret) ? 0 : -EINVAL;
	}
	if (strlen(name) > UNICODE_BYTES)
		return -EINVAL;
	char *encoded = NULL;
	if (idn2_to_ascii_8z(name, &encoded, IDN2_NONTRANSITIONAL | IDN2_NFC_INPUT) != IDN2_OK)
		return -EINVAL;
	int r = is_ascii(encoded) ? fold(encoded, ret) : -EINVAL;
	idn2_free(encoded);
	return r < 0 ? r : is_name(ret) ? 0 : -EINVAL;
}

/* One part of an IPv4 address: decimal, 0 and octal, 0x and hexadecimal. */
static int parse_part(const char *text, size_t length, uint64_t *ret)
{
	unsigned base = 10;
	if (length >= 2 && text[0] == '0' && (text[1] | 0x20) == 'x') {
		base = 16;
		text += 2;
		length -= 2;
	} else if (length == 0) {
		return -EINVAL;
	} else if (length >= 2 && text[0] == '0') {
		base = 8;
	}
	uint64_t value = 0;
	for (size_t i = 0; i < length; i++) {
		char c = (char)(text[i] | 0x20);
		unsigned digit = text[i] >= '0' && text[i] <= '9' ? (unsigned)(text[i] - '0')
				 : c >= 'a' && c <= 'f'           ? (unsigned)(c - 'a' + 10)
								  : base;
		if (digit >= base)
			return -EINVAL;
		value = value * base + digit;
		if (value > UINT32_MAX)
			return -EINVAL;
	}
	*ret = value;
	return 0;
}

/* One to four parts; the last fills what the others leave. */
static int parse_v4(const char *text, struct in6_addr *ret)
{
	uint64_t address = 0, part;
	unsigned parts = 0;
	for (;;) {
		size_t length = strcspn(text, ".");
		if (parts == 4 || parse_part(text, length, &part) < 0)
			return -EINVAL;
		parts++;
		text += length;
		bool last = !text[0] || !text[1]; /* a trailing dot is a URL parser's */
		if (last)
			break;
		if (part > 255)
			return -EINVAL;
		address = address << 8 | part;
		text++;
	}
	unsigned rest_bits = 8 * (5 - parts);
	if (part >> rest_bits)
		return -EINVAL;
	address = address << rest_bits | part;
	*ret = (struct in6_addr){{{[10] = 0xff,
		[11] = 0xff,
		[12] = (uint8_t)(address >> 24),
		[13] = (uint8_t)(address >> 16),
		[14] = (uint8_t)(address >> 8),
		[15] = (uint8_t)address}}};
	return 0;
}

static int parse_v6(const char *text, struct in6_addr *ret)
{
	char plain[INET6_ADDRSTRLEN + 2];
	size_t length = strlen(text);
	if (text[0] == '[') {
		if (length < 2 || text[length - 1] != ']')
			return -EINVAL;
		text++;
		length -= 2;
	}
	if (length > 0 && text[length - 1] == '%')
		length--;
	if (length >= sizeof(plain))
		return -EINVAL;
	memcpy(plain, text, length);
	plain[length] = '\0';
	return inet_pton(AF_INET6, plain, ret) == 1 ? 0 : -EINVAL;
}

int network_parse_address(const char *text, struct in6_addr *ret)
{
	if (strchr(text, ':'))
		return parse_v6(text, ret);
	if (is_ascii(text))
		return parse_v4(text, ret);
	/* Full-width digits and ideographic dots: a URL parser maps them before it looks. */
	char *mapped = NULL;
	if (strlen(text) > UNICODE_BYTES ||
		idn2_to_ascii_8z(text, &mapped, IDN2_NONTRANSITIONAL | IDN2_NFC_INPUT) != IDN2_OK)
		return -EINVAL;
	int r = parse_v4(mapped, ret);
	idn2_free(mapped);
	return r;
}

void network_format_address(const struct in6_addr *address, char ret[INET6_ADDRSTRLEN])
{
	if (IN6_IS_ADDR_V4MAPPED(address))
		inet_ntop(AF_INET, &address->s6_addr[12], ret, INET6_ADDRSTRLEN);
	else
		inet_ntop(AF_INET6, address, ret, INET6_ADDRSTRLEN);
}

struct special_name {
	const char *name;
	const char *reason;
};

/* IANA's registry of special-use domain names, but for those that public servers answer
 * (example.com, example.net, example.org) and those below arpa, of which the last row speaks. */
static const struct special_name special_names[] = {
	{"alt", "names in .alt are not in the DNS (RFC 9476)"},
	{"example", ".example is for documentation (RFC 6761)"},
	{"home.arpa", "home.arpa is for home networks (RFC 8375)"},
	{"internal", ".internal is for private networks and cloud metadata (ICANN, 2024)"},
	{"invalid", "names in .invalid never exist (RFC 6761)"},
	{"local", "names in .local are for multicast DNS (RFC 6762)"},
	{"localhost", "localhost is the host itself (RFC 6761)"},
	{"onion", ".onion is for Tor, not for the DNS (RFC 7686)"},
	{"test", ".test is for tests (RFC 6761)"},
	{"arpa", ".arpa is for the network's own infrastructure (RFC 3172)"},
};

const char *network_special_name(const char *name)
{
	if (strcmp(name, NETWORK_HOST_NAME) == 0)
		return NULL;
	for (size_t i = 0; i < ARRAY_SIZE(special_names); i++)
		if (network_pattern_matches(MATCH_WITH_APEX, special_names[i].name, name))
			return special_names[i].reason;
	return NULL;
}
