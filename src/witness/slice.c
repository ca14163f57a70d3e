#include "witness/slice.h"

#include <ctype.h>
#include <string.h>

enum { NUMBER_DIGITS_MAX = 9 };

struct slice slice_of(const char *string)
{
	return (struct slice){string, string ? strlen(string) : 0};
}

bool slice_same(struct slice a, struct slice b)
{
	return a.length == b.length && (a.length == 0 || memcmp(a.data, b.data, a.length) == 0);
}

bool slice_equals(struct slice slice, const char *string)
{
	return slice_same(slice, slice_of(string));
}

bool slice_starts(struct slice slice, const char *prefix)
{
	size_t length = strlen(prefix);
	return slice.length >= length && memcmp(slice.data, prefix, length) == 0;
}

bool slice_ends(struct slice slice, const char *suffix)
{
	size_t length = strlen(suffix);
	return slice.length >= length &&
	       memcmp(slice.data + slice.length - length, suffix, length) == 0;
}

bool slice_contains(struct slice slice, const char *part)
{
	return slice.length && memmem(slice.data, slice.length, part, strlen(part));
}

bool slice_skip(struct slice *slice, const char *prefix)
{
	if (!slice_starts(*slice, prefix))
		return false;
	*slice = slice_from(*slice, strlen(prefix));
	return true;
}

bool slice_skip_number(struct slice *slice, unsigned *ret)
{
	size_t digits = 0;
	unsigned value = 0;
	while (digits < slice->length && isdigit((unsigned char)slice->data[digits]) &&
		digits <= NUMBER_DIGITS_MAX)
		value = value * 10 + (unsigned)(slice->data[digits++] - '0');
	if (digits == 0 || digits > NUMBER_DIGITS_MAX)
		return false;
	*ret = value;
	*slice = slice_from(*slice, digits);
	return true;
}

static bool split_at(struct slice slice, const char *place, size_t separator_length,
	struct slice *ret_before, struct slice *ret_after)
{
	if (!place)
		return false;
	size_t before = (size_t)(place - slice.data);
	*ret_before = slice_until(slice, before);
	*ret_after = slice_from(slice, before + separator_length);
	return true;
}

bool slice_split(struct slice slice, const char *separator, struct slice *ret_before,
	struct slice *ret_after)
{
	size_t length = strlen(separator);
	const char *place =
		slice.length ? memmem(slice.data, slice.length, separator, length) : NULL;
	return split_at(slice, place, length, ret_before, ret_after);
}

bool slice_split_last(struct slice slice, const char *separator, struct slice *ret_before,
	struct slice *ret_after)
{
	size_t length = strlen(separator);
	const char *place = NULL;
	for (size_t end = slice.length; !place && end >= length; end--)
		if (memcmp(slice.data + end - length, separator, length) == 0)
			place = slice.data + end - length;
	return split_at(slice, place, length, ret_before, ret_after);
}

struct slice slice_from(struct slice slice, size_t start)
{
	if (start > slice.length)
		start = slice.length;
	return start ? (struct slice){slice.data + start, slice.length - start} : slice;
}

struct slice slice_until(struct slice slice, size_t end)
{
	if (end < slice.length)
		slice.length = end;
	return slice;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

size_t slice_indent(struct slice slice)
{
	size_t blanks = 0;
	while (blanks < slice.length && is_blank(slice.data[blanks]))
		blanks++;
	return blanks;
}

struct slice slice_trim(struct slice slice)
{
	slice = slice_from(slice, slice_indent(slice));
	while (slice.length && is_blank(slice.data[slice.length - 1]))
		slice.length--;
	return slice;
}

bool slice_is_ruler(struct slice slice, char c, size_t length_min)
{
	for (size_t i = 0; i < slice.length; i++)
		if (slice.data[i] != c)
			return false;
	return slice.length >= length_min;
}

struct slice slice_join(struct slice a, struct slice b)
{
	if (!a.data || !b.data)
		return a;
	return (struct slice){a.data, (size_t)(b.data + b.length - a.data)};
}
