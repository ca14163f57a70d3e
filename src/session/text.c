#include "session/text.h"

#include "base/cleanup.h"
#include "base/utf8.h"

#include <stdint.h>
#include <string.h>

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* The length of the valid sequence at s[0..left), or 0. */
static size_t sequence_at(const char *s, size_t left)
{
	/* utf8_sequence() looks no further than a NUL; so it gets one behind the last byte. */
	unsigned char window[5] = {0};
	memcpy(window, s, left < 4 ? left : 4);
	return window[0] ? utf8_sequence(window) : 1;
}

bool text_is_utf8(const char *data, size_t length_bytes)
{
	for (size_t i = 0; i < length_bytes;) {
		size_t n = sequence_at(data + i, length_bytes - i);
		if (n == 0)
			return false;
		i += n;
	}
	return true;
}

size_t text_incomplete_bytes(const char *data, size_t length_bytes)
{
	for (size_t back = 1; back <= 3 && back <= length_bytes; back++) {
		unsigned char c = (unsigned char)data[length_bytes - back];
		if ((c & 0xc0) == 0x80)
			continue;
		size_t wanted = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : c >= 0xc2 ? 2 : 1;
		return wanted > back ? back : 0;
	}
	return 0;
}

json_t *json_of_bytes(const char *data, size_t length_bytes)
{
	if (text_is_utf8(data, length_bytes))
		return json_stringn(data, length_bytes);
	/* Each byte that is no UTF-8 becomes three. */
	cleanup_free char *copy = length_bytes < SIZE_MAX / 3 ? malloc(length_bytes * 3) : NULL;
	if (!copy)
		return NULL;
	size_t used = 0;
	for (size_t i = 0; i < length_bytes;) {
		size_t n = sequence_at(data + i, length_bytes - i);
		memcpy(copy + used, n ? data + i : "\xef\xbf\xbd", n ? n : 3);
		used += n ? n : 3;
		i += n ? n : 1;
	}
	return json_stringn(copy, used);
}

json_t *json_of_text(const char *text)
{
	return json_of_bytes(text, strlen(text));
}

json_t *json_of_base64(const char *data, size_t length_bytes)
{
	size_t size = (length_bytes + 2) / 3 * 4;
	cleanup_free char *text = malloc(size + 1);
	if (!text)
		return NULL;
	char *to = text;
	for (size_t i = 0; i < length_bytes; i += 3) {
		size_t left = length_bytes - i;
		unsigned bits = (unsigned)(unsigned char)data[i] << 16;
		bits |= left > 1 ? (unsigned)(unsigned char)data[i + 1] << 8 : 0;
		bits |= left > 2 ? (unsigned)(unsigned char)data[i + 2] : 0;
		*to++ = alphabet[bits >> 18];
		*to++ = alphabet[bits >> 12 & 63];
		*to++ = left > 1 ? alphabet[bits >> 6 & 63] : '=';
		*to++ = left > 2 ? alphabet[bits & 63] : '=';
	}
	return json_stringn_nocheck(text, size);
}

int base64_decode(const char *text, size_t length_bytes, char **ret, size_t *ret_length_bytes)
{
	if (length_bytes % 4)
		return -EINVAL;
	cleanup_free char *data = malloc(length_bytes / 4 * 3 + 1);
	if (!data)
		return -ENOMEM;
	size_t used = 0, padding = 0;
	for (size_t i = 0; i < length_bytes; i += 4) {
		unsigned bits = 0;
		for (size_t k = 0; k < 4; k++) {
			const char *at = text[i + k] ? strchr(alphabet, text[i + k]) : NULL;
			bool last = i + 4 == length_bytes;
			if (text[i + k] == '=' && last && k >= 2)
				padding++;
			else if (!at || padding)
				return -EINVAL;
			bits = bits << 6 | (at ? (unsigned)(at - alphabet) : 0);
		}
		data[used++] = (char)(bits >> 16);
		data[used++] = (char)(bits >> 8);
		data[used++] = (char)bits;
	}
	*ret_length_bytes = used - padding;
	data[*ret_length_bytes] = '\0';
	*ret = steal_pointer(&data);
	return 0;
}

int json_set_data(json_t *object, const char *data, size_t length_bytes)
{
	bool text = text_is_utf8(data, length_bytes);
	json_t *value = text ? json_stringn_nocheck(data, length_bytes)
			     : json_of_base64(data, length_bytes);
	return json_object_set_new(object, text ? "text" : "base64", value) < 0 ? -ENOMEM : 0;
}
