#include "base/buffer.h"

#include "base/utf8.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Makes room for extra_bytes and a NUL. */
static int buffer_reserve(struct buffer *buffer, size_t extra_bytes)
{
	if (buffer->error)
		return buffer->error;
	if (extra_bytes > buffer->max_bytes ||
		buffer->length_bytes > buffer->max_bytes - extra_bytes)
		return buffer->error = -ENOBUFS;
	size_t needed = buffer->length_bytes + extra_bytes + 1;
	if (needed <= buffer->capacity_bytes)
		return 0;
	size_t capacity = buffer->capacity_bytes ? buffer->capacity_bytes : 128;
	while (capacity < needed)
		capacity *= 2;
	char *data = realloc(buffer->data, capacity);
	if (!data)
		return buffer->error = -ENOMEM;
	buffer->data = data;
	buffer->capacity_bytes = capacity;
	return 0;
}

void buffer_append(struct buffer *buffer, const void *data, size_t length_bytes)
{
	if (buffer_reserve(buffer, length_bytes) < 0)
		return;
	if (length_bytes)
		memcpy(buffer->data + buffer->length_bytes, data, length_bytes);
	buffer->length_bytes += length_bytes;
	buffer->data[buffer->length_bytes] = '\0';
}

void buffer_append_string(struct buffer *buffer, const char *string)
{
	buffer_append(buffer, string, strlen(string));
}

void buffer_append_format(struct buffer *buffer, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	char stack[512];
	va_list again;
	va_copy(again, args);
	int length = vsnprintf(stack, sizeof(stack), format, args);
	va_end(args);
	if (length < 0) {
		buffer->error = -EINVAL;
	} else if ((size_t)length < sizeof(stack)) {
		buffer_append(buffer, stack, (size_t)length);
	} else if (buffer_reserve(buffer, (size_t)length) == 0) {
		vsnprintf(buffer->data + buffer->length_bytes, (size_t)length + 1, format, again);
		buffer->length_bytes += (size_t)length;
	}
	va_end(again);
}

void buffer_append_json(struct buffer *buffer, const char *string)
{
	buffer_append(buffer, "\"", 1);
	for (const unsigned char *s = (const unsigned char *)string; *s;) {
		size_t length = utf8_sequence(s);
		unsigned character = length ? utf8_character(s, length) : 0xfffd;
		if (length == 1 && (*s == '"' || *s == '\\'))
			buffer_append_format(buffer, "\\%c", *s);
		else if (length == 0 || utf8_is_control(character))
			buffer_append_format(buffer, "\\u%04x", character);
		else
			buffer_append(buffer, s, length);
		s += length ? length : 1;
	}
	buffer_append(buffer, "\"", 1);
}

int buffer_error(const struct buffer *buffer)
{
	return buffer->error;
}

void buffer_clear(struct buffer *buffer)
{
	buffer->length_bytes = 0;
	buffer->error = 0;
	if (buffer->data)
		buffer->data[0] = '\0';
}

void buffer_release(struct buffer *buffer)
{
	free(buffer->data);
	buffer->data = NULL;
	buffer->length_bytes = buffer->capacity_bytes = 0;
}

char *buffer_steal(struct buffer *buffer)
{
	if (buffer_reserve(buffer, 0) < 0)
		return NULL;
	char *data = buffer->data;
	data[buffer->length_bytes] = '\0';
	buffer->data = NULL;
	buffer->length_bytes = buffer->capacity_bytes = 0;
	return data;
}
