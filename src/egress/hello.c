#include "egress/hello.h"

#include "base/cleanup.h"

#include <errno.h>
#include <string.h>

enum {
	RECORD_HEADER_BYTES = 5,
	RECORD_BYTES_MAX = 1 << 14, /* of plaintext: RFC 8446, 5.1 */
	CONTENT_HANDSHAKE = 22,
	HANDSHAKE_HEADER_BYTES = 4,
	HANDSHAKE_CLIENT_HELLO = 1,
	RANDOM_BYTES = 32,
	SESSION_ID_BYTES_MAX = 32,
	EXTENSIONS_MAX = 128, /* three times what any client sends */

	EXTENSION_SERVER_NAME = 0,
	EXTENSION_ALPN = 16,
	EXTENSION_SUPPORTED_VERSIONS = 43,
	EXTENSION_ECH = 0xfe0d,
	NAME_TYPE_HOST = 0,
};

/* What is left to be read. Once something did not fit, failed stays set and reads give nothing. */
struct reader {
	const uint8_t *at;
	size_t left;
	bool failed;
};

static unsigned take_number(struct reader *reader, size_t bytes)
{
	unsigned value = 0;
	if (reader->left < bytes) {
		reader->failed = true;
		reader->left = 0;
		return 0;
	}
	for (size_t i = 0; i < bytes; i++)
		value = value << 8 | reader->at[i];
	reader->at += bytes;
	reader->left -= bytes;
	return value;
}

static struct reader take_bytes(struct reader *reader, size_t bytes)
{
	struct reader part = {.at = reader->at, .left = bytes};
	if (reader->left < bytes) {
		reader->failed = true;
		reader->left = 0;
		return (struct reader){.at = reader->at, .failed = true};
	}
	reader->at += bytes;
	reader->left -= bytes;
	return part;
}

/* A vector: its length in length_bytes, then so many. */
static struct reader take_vector(struct reader *reader, size_t length_bytes)
{
	return take_bytes(reader, take_number(reader, length_bytes));
}

/* ---- extensions ---- */

static const char *read_server_name(struct reader data, struct hello *ret)
{
	struct reader list = take_vector(&data, 2);
	unsigned type = take_number(&list, 1);
	struct reader name = take_vector(&list, 2);
	if (data.failed || list.failed || name.failed || data.left > 0)
		return "a malformed server name";
	if (list.left > 0 || type != NAME_TYPE_HOST)
		return "several server names, or one of an unknown kind";
	if (name.left == 0 || name.left >= sizeof(ret->name))
		return "a server name that is empty or too long";
	for (size_t i = 0; i < name.left; i++)
		if (name.at[i] <= 0x20 || name.at[i] >= 0x7f)
			return "a server name that is not ASCII";
	memcpy(ret->name, name.at, name.left);
	return NULL;
}

static const char *read_alpn(struct reader data, struct hello *ret)
{
	struct reader list = take_vector(&data, 2);
	size_t used = 0;
	while (list.left > 0 && !list.failed) {
		struct reader protocol = take_vector(&list, 1);
		bool fits = used + protocol.left + 2 <= sizeof(ret->alpn);
		for (size_t i = 0; i < protocol.left; i++)
			fits = fits && protocol.at[i] > 0x20 && protocol.at[i] < 0x7f &&
			       protocol.at[i] != ',';
		if (protocol.left == 0 || !fits)
			continue;
		if (used > 0)
			ret->alpn[used++] = ',';
		memcpy(ret->alpn + used, protocol.at, protocol.left);
		used += protocol.left;
	}
	return data.failed || list.failed || data.left > 0 ? "malformed protocols (ALPN)" : NULL;
}

static const char *read_versions(struct reader data, struct hello *ret)
{
	struct reader list = take_vector(&data, 1);
	while (list.left > 0 && !list.failed) {
		unsigned version = take_number(&list, 2);
		/* Others are grease (RFC 8701). */
		if (version >= 0x0301 && version <= 0x0304 && version > ret->version)
			ret->version = (uint16_t)version;
	}
	return data.failed || list.failed || data.left > 0 ? "malformed versions" : NULL;
}

static const char *read_extensions(struct reader all, struct hello *ret)
{
	uint16_t seen[EXTENSIONS_MAX];
	size_t count = 0;
	while (all.left > 0) {
		uint16_t type = (uint16_t)take_number(&all, 2);
		struct reader data = take_vector(&all, 2);
		const char *wrong = NULL;
		if (all.failed || data.failed)
			return "a malformed extension";
		for (size_t i = 0; i < count; i++)
			if (seen[i] == type)
				return "an extension twice";
		if (count == ARRAY_SIZE(seen))
			return "too many extensions";
		seen[count++] = type;
		if (type == EXTENSION_SERVER_NAME)
			wrong = read_server_name(data, ret);
		else if (type == EXTENSION_ALPN)
			wrong = read_alpn(data, ret);
		else if (type == EXTENSION_SUPPORTED_VERSIONS)
			wrong = read_versions(data, ret);
		else if (type == EXTENSION_ECH)
			ret->ech = true;
		if (wrong)
			return wrong;
	}
	return NULL;
}

/* ---- the message ---- */

static const char *read_hello(struct reader message, struct hello *ret)
{
	unsigned version = take_number(&message, 2);
	take_bytes(&message, RANDOM_BYTES);
	struct reader session = take_vector(&message, 1);
	struct reader ciphers = take_vector(&message, 2);
	struct reader compression = take_vector(&message, 1);
	if (message.failed || session.failed || ciphers.failed || compression.failed)
		return "a malformed ClientHello";
	if (version < 0x0300 || version > 0x03ff || session.left > SESSION_ID_BYTES_MAX ||
		ciphers.left < 2 || ciphers.left % 2 || compression.left < 1)
		return "a malformed ClientHello";
	if (message.left > 0) {
		struct reader extensions = take_vector(&message, 2);
		if (extensions.failed || message.left > 0)
			return "a malformed ClientHello";
		const char *wrong = read_extensions(extensions, ret);
		if (wrong)
			return wrong;
	}
	if (ret->version == 0)
		ret->version = (uint16_t)version;
	return NULL;
}

/* One record's header. Its payload's length; 0: incomplete; -EBADMSG. */
static ssize_t read_record(const uint8_t *data, size_t length_bytes, const char **ret_reason)
{
	*ret_reason = "something other than TLS";
	if ((length_bytes > 0 && data[0] != CONTENT_HANDSHAKE) ||
		(length_bytes > 1 && data[1] != 3))
		return -EBADMSG;
	if (length_bytes < RECORD_HEADER_BYTES)
		return 0;
	size_t payload = (size_t)data[3] << 8 | data[4];
	*ret_reason = "a TLS record that is empty or too long";
	return payload == 0 || payload > RECORD_BYTES_MAX ? -EBADMSG : (ssize_t)payload;
}

/* Puts the payloads of records together in message (HELLO_BYTES_MAX of room), as far as they have
 * come and until the handshake message in them is whole. Its records' length, 0, or an error. */
static ssize_t collect(const uint8_t *data, size_t length_bytes, uint8_t *message,
	size_t *ret_message_bytes, const char **ret_reason)
{
	size_t at = 0, have = 0, need = HANDSHAKE_HEADER_BYTES;
	while (have < need) {
		ssize_t payload = read_record(data + at, length_bytes - at, ret_reason);
		if (payload <= 0)
			return payload;
		at += RECORD_HEADER_BYTES;
		size_t here = length_bytes - at;
		bool whole = here >= (size_t)payload;
		if (whole)
			here = (size_t)payload;
		*ret_reason = "a ClientHello that is too long";
		if (at + here > HELLO_BYTES_MAX)
			return -E2BIG;
		memcpy(message + have, data + at, here);
		have += here;
		at += here;
		*ret_reason = "a TLS handshake that does not begin with a ClientHello";
		if (have > 0 && message[0] != HANDSHAKE_CLIENT_HELLO)
			return -EBADMSG;
		if (have >= HANDSHAKE_HEADER_BYTES)
			need = HANDSHAKE_HEADER_BYTES +
			       ((size_t)message[1] << 16 | (size_t)message[2] << 8 | message[3]);
		*ret_reason = "a ClientHello that is too long";
		if (need > HELLO_BYTES_MAX)
			return -E2BIG;
		if (!whole)
			return 0;
	}
	/* Something after it in the same record would be another message, before its time. */
	*ret_reason = "something after the ClientHello in its record";
	*ret_message_bytes = have;
	return have == need ? (ssize_t)at : -EBADMSG;
}

ssize_t hello_parse(
	const uint8_t *data, size_t length_bytes, struct hello *ret, const char **ret_reason)
{
	*ret = (struct hello){0};
	cleanup_free uint8_t *message = malloc(HELLO_BYTES_MAX);
	size_t bytes = 0;
	if (!message)
		return -ENOMEM;
	ssize_t length = collect(data, length_bytes, message, &bytes, ret_reason);
	if (length <= 0)
		return length;
	*ret_reason = read_hello((struct reader){.at = message + HANDSHAKE_HEADER_BYTES,
					 .left = bytes - HANDSHAKE_HEADER_BYTES},
		ret);
	if (!*ret_reason)
		return length;
	*ret = (struct hello){0};
	return -EBADMSG;
}
