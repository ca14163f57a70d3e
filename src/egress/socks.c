#include "egress/socks.h"

#include "base/cleanup.h"

#include <errno.h>
#include <string.h>

enum {
	VERSION = 5,
	METHOD_NONE = 0,
	COMMAND_CONNECT = 1,
	ADDRESS_V4 = 1,
	ADDRESS_NAME = 3,
	ADDRESS_V6 = 4,
};

ssize_t socks_parse_greeting(const uint8_t *data, size_t length_bytes, bool *ret_none)
{
	*ret_none = false;
	if (length_bytes > 0 && data[0] != VERSION)
		return -EBADMSG;
	if (length_bytes < 2 || length_bytes < 2u + data[1])
		return 0;
	*ret_none = memchr(data + 2, METHOD_NONE, data[1]) != NULL;
	return 2 + data[1];
}

/* A name is only bytes here; those of which no name is made would be trouble in a log or a head. */
static bool take_name(const uint8_t *data, size_t length_bytes, struct socks_request *ret)
{
	for (size_t i = 0; i < length_bytes; i++)
		if (data[i] <= 0x20 || data[i] >= 0x7f)
			return false;
	memcpy(ret->name, data, length_bytes);
	ret->name[length_bytes] = '\0';
	ret->named = true;
	return length_bytes > 0;
}

ssize_t socks_parse_request(const uint8_t *data, size_t length_bytes, struct socks_request *ret,
	enum socks_reply *ret_reply)
{
	*ret = (struct socks_request){0};
	*ret_reply = SOCKS_FAILURE;
	if ((length_bytes > 0 && data[0] != VERSION) || (length_bytes > 2 && data[2] != 0))
		return -EBADMSG;
	if (length_bytes > 1 && data[1] != COMMAND_CONNECT) {
		*ret_reply = SOCKS_NO_SUCH_COMMAND;
		return -EBADMSG;
	}
	if (length_bytes < 5)
		return 0;
	size_t at = 4, address_bytes = 0;
	if (data[3] == ADDRESS_V4) {
		address_bytes = 4;
	} else if (data[3] == ADDRESS_V6) {
		address_bytes = 16;
	} else if (data[3] == ADDRESS_NAME) {
		address_bytes = data[at++];
	} else {
		*ret_reply = SOCKS_NO_SUCH_ADDRESS_TYPE;
		return -EBADMSG;
	}
	if (length_bytes < at + address_bytes + 2)
		return 0;
	if (data[3] == ADDRESS_NAME && !take_name(data + at, address_bytes, ret))
		return -EBADMSG;
	if (data[3] == ADDRESS_V6)
		memcpy(ret->address.s6_addr, data + at, address_bytes);
	if (data[3] == ADDRESS_V4) {
		memcpy(ret->address.s6_addr + 12, data + at, address_bytes);
		ret->address.s6_addr[10] = ret->address.s6_addr[11] = 0xff;
	}
	at += address_bytes;
	ret->port = (uint16_t)(data[at] << 8 | data[at + 1]);
	return ret->port ? (ssize_t)at + 2 : -EBADMSG;
}

void socks_format_answer(enum socks_reply reply, uint8_t ret[SOCKS_ANSWER_BYTES])
{
	memset(ret, 0, SOCKS_ANSWER_BYTES);
	ret[0] = VERSION;
	ret[1] = (uint8_t)reply;
	ret[3] = ADDRESS_V4;
}

enum socks_reply socks_reply_of(int errno_value)
{
	static const struct {
		int errno_value;
		enum socks_reply reply;
	} replies[] = {{0, SOCKS_SUCCEEDED}, {EACCES, SOCKS_NOT_ALLOWED},
		{EPERM, SOCKS_NOT_ALLOWED}, {ECONNREFUSED, SOCKS_REFUSED},
		{EDQUOT, SOCKS_NOT_ALLOWED}, {ENETUNREACH, SOCKS_NETWORK_UNREACHABLE},
		{EHOSTUNREACH, SOCKS_HOST_UNREACHABLE}, {ENOENT, SOCKS_HOST_UNREACHABLE},
		{ETIMEDOUT, SOCKS_TTL_EXPIRED}};
	for (size_t i = 0; i < ARRAY_SIZE(replies); i++)
		if (replies[i].errno_value == errno_value)
			return replies[i].reply;
	return SOCKS_FAILURE;
}
