#include "egress/dns.h"

#include "base/cleanup.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

enum {
	FLAG_RESPONSE = 0x8000,
	FLAG_TRUNCATED = 0x0200,
	FLAG_RECURSION_DESIRED = 0x0100,
	FLAG_RECURSION_AVAILABLE = 0x0080,
	FLAG_CHECKING_DISABLED = 0x0010,
	OPCODE_SHIFT = 11,
	OPCODE_MASK = 15,
	OPCODE_QUERY = 0,
	LABEL_BYTES = 63, /* the upper two bits of a label's length mark pointers */
	POINTER_TO_QUESTION = 0xc000 | DNS_HEADER_BYTES,
	OPT_BYTES = 11,
	OPT_DNSSEC_OK = 0x8000,
};

/* --- reading -------------------------------------------------------------------------------- */

/* Whatever would be read past the end marks the reader as broken, and gives zeros from then on. */
struct reader {
	const uint8_t *data;
	size_t length_bytes, position;
	bool broken;
};

static const uint8_t *read_bytes(struct reader *reader, size_t count)
{
	if (reader->broken || count > reader->length_bytes - reader->position) {
		reader->broken = true;
		return NULL;
	}
	const uint8_t *bytes = reader->data + reader->position;
	reader->position += count;
	return bytes;
}

static unsigned read_u8(struct reader *reader)
{
	const uint8_t *bytes = read_bytes(reader, 1);
	return bytes ? bytes[0] : 0;
}

static unsigned read_u16(struct reader *reader)
{
	const uint8_t *bytes = read_bytes(reader, 2);
	return bytes ? (unsigned)bytes[0] << 8 | bytes[1] : 0;
}

/* Bytes above ASCII are let through: they may be UTF-8, which the normalization of names knows. */
static bool is_nameable(uint8_t byte)
{
	return byte > ' ' && byte != 0x7f && byte != '.' && byte != '\\';
}

/* A name without pointers, as text. The text is never longer than the wire's bytes less two. */
static void read_name(struct reader *reader, char ret[NETWORK_NAME_BYTES], bool *ret_unnameable)
{
	size_t start = reader->position, length = 0;
	*ret_unnameable = false;
	for (;;) {
		unsigned label_bytes = read_u8(reader);
		if (reader->broken || label_bytes == 0)
			break;
		const uint8_t *label =
			label_bytes <= LABEL_BYTES ? read_bytes(reader, label_bytes) : NULL;
		/* The root's label has to fit too. */
		if (!label || reader->position - start > DNS_NAME_BYTES - 1) {
			reader->broken = true;
			break;
		}
		if (length > 0)
			ret[length++] = '.';
		for (unsigned i = 0; i < label_bytes; i++) {
			bool nameable = is_nameable(label[i]);
			*ret_unnameable |= !nameable;
			ret[length++] = nameable ? (char)label[i] : '?';
		}
	}
	ret[length] = '\0';
}

static void read_question(struct reader *reader, struct dns_query *query)
{
	size_t start = reader->position;
	read_name(reader, query->name, &query->unnameable);
	query->type = read_u16(reader);
	query->class = read_u16(reader);
	if (reader->broken) {
		query->name[0] = '\0';
		return;
	}
	query->question_bytes = reader->position - start;
	memcpy(query->question, reader->data + start, query->question_bytes);
}

/* One record of the additional section. Only OPT is understood; a second one is an error. */
static void read_additional(struct reader *reader, struct dns_query *query)
{
	char owner[NETWORK_NAME_BYTES];
	bool unnameable;
	read_name(reader, owner, &unnameable);
	unsigned type = read_u16(reader);
	unsigned payload_bytes = read_u16(reader);
	read_u8(reader); /* the upper bits of a response's code */
	unsigned version = read_u8(reader);
	unsigned flags = read_u16(reader);
	read_bytes(reader, read_u16(reader));
	if (reader->broken || type != DNS_TYPE_OPT)
		return;
	if (query->edns || owner[0] != '\0') {
		reader->broken = true;
		return;
	}
	query->edns = true;
	query->dnssec_ok = flags & OPT_DNSSEC_OK;
	if (payload_bytes > DNS_EDNS_UDP_BYTES)
		payload_bytes = DNS_EDNS_UDP_BYTES;
	if (payload_bytes > query->payload_bytes)
		query->payload_bytes = payload_bytes;
	if (version != 0)
		query->rcode = DNS_BADVERS;
}

int dns_parse_query(const uint8_t *data, size_t length_bytes, struct dns_query *ret)
{
	struct reader reader = {.data = data, .length_bytes = length_bytes};
	*ret = (struct dns_query){.payload_bytes = DNS_PLAIN_UDP_BYTES};
	ret->id = read_u16(&reader);
	unsigned flags = read_u16(&reader);
	unsigned questions = read_u16(&reader), answers = read_u16(&reader);
	unsigned authorities = read_u16(&reader), additionals = read_u16(&reader);
	if (reader.broken || flags & FLAG_RESPONSE)
		return -EBADMSG;
	ret->opcode = flags >> OPCODE_SHIFT & OPCODE_MASK;
	ret->recursion_desired = flags & FLAG_RECURSION_DESIRED;
	ret->checking_disabled = flags & FLAG_CHECKING_DISABLED;
	if (ret->opcode != OPCODE_QUERY) {
		ret->rcode = DNS_NOTIMP;
		return 0;
	}
	/* A transaction signature may stand beside the OPT; nothing has need of more. */
	if (questions != 1 || answers != 0 || authorities != 0 || additionals > 2 ||
		flags & FLAG_TRUNCATED) {
		ret->rcode = DNS_FORMERR;
		return 0;
	}
	read_question(&reader, ret);
	for (unsigned i = 0; i < additionals && !reader.broken; i++)
		read_additional(&reader, ret);
	if (reader.broken || reader.position != length_bytes || ret->type == DNS_TYPE_OPT)
		ret->rcode = DNS_FORMERR;
	return 0;
}

/* --- writing -------------------------------------------------------------------------------- */

/* What does not fit marks the writer as full and is left out. */
struct writer {
	uint8_t *data;
	size_t room_bytes, length_bytes;
	bool full;
};

static void write_bytes(struct writer *writer, const void *bytes, size_t count)
{
	if (writer->full || count > writer->room_bytes - writer->length_bytes) {
		writer->full = true;
		return;
	}
	memcpy(writer->data + writer->length_bytes, bytes, count);
	writer->length_bytes += count;
}

static void write_u8(struct writer *writer, unsigned value)
{
	write_bytes(writer, &(uint8_t){value}, 1);
}

static void write_u16(struct writer *writer, unsigned value)
{
	write_bytes(writer, (uint8_t[]){value >> 8, value}, 2);
}

/* A normalized name: its labels are known to be of a lawful length. */
static void write_name(struct writer *writer, const char *name)
{
	while (*name) {
		size_t label_bytes = strcspn(name, ".");
		write_u8(writer, label_bytes);
		write_bytes(writer, name, label_bytes);
		name += label_bytes + (name[label_bytes] == '.');
	}
	write_u8(writer, 0);
}

static void write_record(struct writer *writer, const struct dns_answer *answer)
{
	bool v4 = answer->address && IN6_IS_ADDR_V4MAPPED(answer->address);
	write_u16(writer, POINTER_TO_QUESTION);
	write_u16(writer, answer->pointer ? DNS_TYPE_PTR : v4 ? DNS_TYPE_A : DNS_TYPE_AAAA);
	write_u16(writer, DNS_CLASS_IN);
	write_u16(writer, answer->ttl_s >> 16);
	write_u16(writer, answer->ttl_s & 0xffff);
	if (answer->pointer) {
		write_u16(writer, strlen(answer->pointer) + 2);
		write_name(writer, answer->pointer);
	} else {
		write_u16(writer, v4 ? 4 : 16);
		write_bytes(writer, answer->address->s6_addr + (v4 ? 12 : 0), v4 ? 4 : 16);
	}
}

static void write_opt(
	struct writer *writer, const struct dns_query *query, const struct dns_answer *answer)
{
	write_u8(writer, 0);
	write_u16(writer, DNS_TYPE_OPT);
	write_u16(writer, DNS_EDNS_UDP_BYTES);
	write_u8(writer, answer->rcode >> 4);
	write_u8(writer, 0);
	write_u16(writer, query->dnssec_ok ? OPT_DNSSEC_OK : 0);
	write_u16(writer, 0);
}

size_t dns_format_answer(const struct dns_query *query, const struct dns_answer *answer,
	uint8_t *data, size_t room_bytes)
{
	bool with_record = answer->rcode == DNS_NOERROR && (answer->address || answer->pointer);
	unsigned flags = FLAG_RESPONSE | FLAG_RECURSION_AVAILABLE |
			 (unsigned)query->opcode << OPCODE_SHIFT | (answer->rcode & 15);
	flags |= query->recursion_desired ? FLAG_RECURSION_DESIRED : 0;
	flags |= query->checking_disabled ? FLAG_CHECKING_DISABLED : 0;

	/* Header, question and OPT always fit into 512 bytes: 12 + 259 + 11. */
	struct writer writer = {.data = data,
		.room_bytes = room_bytes - (query->edns ? OPT_BYTES : 0),
		.length_bytes = DNS_HEADER_BYTES};
	write_bytes(&writer, query->question, query->question_bytes);
	if (with_record) {
		size_t before = writer.length_bytes;
		write_record(&writer, answer);
		if (writer.full) {
			with_record = false;
			flags |= FLAG_TRUNCATED;
			writer.length_bytes = before;
			writer.full = false;
		}
	}
	writer.room_bytes = room_bytes;
	if (query->edns)
		write_opt(&writer, query, answer);

	struct writer header = {.data = data, .room_bytes = DNS_HEADER_BYTES};
	write_u16(&header, query->id);
	write_u16(&header, flags);
	write_u16(&header, query->question_bytes > 0);
	write_u16(&header, with_record);
	write_u16(&header, 0);
	write_u16(&header, query->edns);
	return writer.length_bytes;
}

/* --- reverse names -------------------------------------------------------------------------- */

static int digit_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Four decimal numbers, the last byte first. */
static int parse_reverse_v4(const char *name, const char *end, struct in6_addr *ret)
{
	*ret = (struct in6_addr){.s6_addr = {[10] = 0xff, [11] = 0xff}};
	for (int byte = 15; byte >= 12; byte--) {
		const char *start = name;
		unsigned value = 0;
		while (name < end && *name >= '0' && *name <= '9' && name - start < 3)
			value = value * 10 + (*name++ - '0');
		bool leading_zero = *start == '0' && name - start > 1;
		if (name == start || value > 255 || leading_zero || *name != '.')
			return -EINVAL;
		name++;
		ret->s6_addr[byte] = value;
	}
	return name == end ? 0 : -EINVAL;
}

/* Thirty-two hexadecimal digits, the last first. */
static int parse_reverse_v6(const char *name, const char *end, struct in6_addr *ret)
{
	if (end - name != 64)
		return -EINVAL;
	*ret = in6addr_any;
	for (int i = 0; i < 32; i++) {
		int value = digit_value(name[i * 2]);
		if (value < 0 || name[i * 2 + 1] != '.')
			return -EINVAL;
		ret->s6_addr[15 - i / 2] |= value << (i % 2 ? 4 : 0);
	}
	return 0;
}

int dns_parse_reverse(const char *name, struct in6_addr *ret)
{
	static const struct {
		const char *zone;
		int (*parse)(const char *name, const char *end, struct in6_addr *ret);
	} zones[] = {{"in-addr.arpa", parse_reverse_v4}, {"ip6.arpa", parse_reverse_v6}};

	size_t length = strlen(name);
	for (size_t i = 0; i < ARRAY_SIZE(zones); i++) {
		size_t zone_length = strlen(zones[i].zone);
		const char *zone = name + length - zone_length;
		if (length > zone_length && strcasecmp(zone, zones[i].zone) == 0 && zone[-1] == '.')
			return zones[i].parse(name, zone, ret);
	}
	return -EINVAL;
}
