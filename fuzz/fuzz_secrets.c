/* A place, a piece size, a value, a newline, a stream in which byte 1 stands for the placeholder
 * and byte 2 for the value: however it is cut, the value does not come through the mask, and the
 * placeholder is found. */
#include "base/buffer.h"
#include "base/cleanup.h"
#include "egress/egress.h"

#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void mask(
	const struct secrets *secrets, const struct buffer *stream, size_t piece, const char *value)
{
	struct evbuffer *source = evbuffer_new(), *target = evbuffer_new();
	if (!source || !target)
		abort();
	for (size_t at = 0, bytes; at < stream->length_bytes; at += bytes) {
		size_t left = stream->length_bytes - at;
		bytes = left < piece ? left : piece;
		evbuffer_add(source, stream->data + at, bytes);
		secrets_mask(secrets, source, target, bytes == left);
	}
	size_t length = evbuffer_get_length(target);
	char *masked = length > 0 ? (char *)evbuffer_pullup(target, -1) : NULL;
	if (length != stream->length_bytes || evbuffer_get_length(source) != 0)
		abort();
	if (masked && memmem(masked, length, value, strlen(value)))
		abort();
	evbuffer_free(source);
	evbuffer_free(target);
}

static void scan(const struct secrets *secrets, const struct buffer *stream, size_t piece,
	const char *placeholder)
{
	struct secret_scan scan = {0};
	bool found = false;
	for (size_t at = 0, bytes; at < stream->length_bytes; at += bytes) {
		size_t left = stream->length_bytes - at;
		bytes = left < piece ? left : piece;
		found = secrets_scan(secrets, &scan, stream->data + at, bytes) || found;
	}
	/* Nothing else can hold its 128 bits of chance. */
	if (found != (memmem(stream->data, stream->length_bytes, placeholder,
			      strlen(placeholder)) != NULL))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char name[] = "S", host[] = "h", from[] = "env:COFFER_FUZZ_SECRET", any[] = "*",
		    path[] = "/**", origin[] = "fuzz";
	const uint8_t *end = size > 2 ? memchr(data + 2, '\n', size - 2) : NULL;
	if (!end)
		return 0;
	cleanup_free char *value = strndup((const char *)data + 2, (size_t)(end - data) - 2);
	if (!value || setenv("COFFER_FUZZ_SECRET", value, 1) < 0)
		return 0;
	struct network_secret rule = {.name = name,
		.host = host,
		.from = from,
		.method = any,
		.path = path,
		.source = origin,
		.place = data[0] % 3};
	struct egress egress = {.policy = {.secrets = &rule, .secrets_count = 1}};
	struct secrets *secrets = NULL;
	struct error error;
	if (secrets_new(&egress, &secrets, &error) < 0)
		return 0;
	const char *placeholder = strchr(secrets_variable(secrets, 0), '=') + 1;
	cleanup_buffer struct buffer stream = BUFFER_INIT(1 << 20);
	for (const uint8_t *byte = end + 1; byte < data + size; byte++) {
		if (*byte == 1)
			buffer_append_string(&stream, placeholder);
		else if (*byte == 2)
			buffer_append_string(&stream, value);
		else
			buffer_append(&stream, byte, 1);
	}
	if (buffer_error(&stream) == 0 && stream.length_bytes > 0) {
		size_t piece = data[1] ? data[1] : stream.length_bytes;
		mask(secrets, &stream, piece, value);
		scan(secrets, &stream, piece, placeholder);
	}
	secrets_free(secrets);
	return 0;
}
