#include "base/units.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

struct unit {
	const char *suffix;
	uint64_t factor;
};

#define KIB 1024ULL

static const struct unit byte_units[] = {
	{"", 1},
	{"b", 1},
	{"k", KIB},
	{"kb", KIB},
	{"kib", KIB},
	{"m", KIB *KIB},
	{"mb", KIB *KIB},
	{"mib", KIB *KIB},
	{"g", KIB *KIB *KIB},
	{"gb", KIB *KIB *KIB},
	{"gib", KIB *KIB *KIB},
	{"t", KIB *KIB *KIB *KIB},
	{"tb", KIB *KIB *KIB *KIB},
	{"tib", KIB *KIB *KIB *KIB},
	{NULL, 0},
};

static const struct unit duration_units[] = {
	{"", 1000},
	{"ms", 1},
	{"s", 1000},
	{"m", 60000},
	{"min", 60000},
	{"h", 3600000},
	{"d", 86400000},
	{NULL, 0},
};

static const struct unit count_units[] = {{"", 1}, {"k", 1000}, {"m", 1000000}, {NULL, 0}};

/* Decimal digits with an optional fraction of up to six digits, then a suffix from units. */
static int units_parse(const char *text, const struct unit *units, uint64_t *ret)
{
	uint64_t whole = 0, fraction = 0, scale = 1;
	const char *s = text;
	if (!isdigit((unsigned char)*s))
		return -EINVAL;
	for (; isdigit((unsigned char)*s); s++)
		if (__builtin_mul_overflow(whole, 10, &whole) ||
			__builtin_add_overflow(whole, (uint64_t)(*s - '0'), &whole))
			return -ERANGE;
	if (*s == '.') {
		s++;
		if (!isdigit((unsigned char)*s))
			return -EINVAL;
		for (; isdigit((unsigned char)*s); s++) {
			if (scale < 1000000) {
				fraction = fraction * 10 + (uint64_t)(*s - '0');
				scale *= 10;
			}
		}
	}
	for (const struct unit *unit = units; unit->suffix; unit++) {
		if (strcasecmp(s, unit->suffix) != 0)
			continue;
		uint64_t value;
		if (__builtin_mul_overflow(whole, unit->factor, &value) ||
			__builtin_add_overflow(value,
				fraction * (unit->factor / scale) +
					fraction * (unit->factor % scale) / scale,
				&value) ||
			value > INT64_MAX)
			return -ERANGE;
		*ret = value;
		return 0;
	}
	return -EINVAL;
}

int units_parse_bytes(const char *text, uint64_t *ret_bytes)
{
	return units_parse(text, byte_units, ret_bytes);
}

int units_parse_duration(const char *text, uint64_t *ret_ms)
{
	return units_parse(text, duration_units, ret_ms);
}

int units_parse_count(const char *text, uint64_t *ret_count)
{
	return units_parse(text, count_units, ret_count);
}

void units_format_bytes(uint64_t bytes, char *text, size_t text_bytes)
{
	static const char *const names[] = {"B", "KiB", "MiB", "GiB", "TiB"};
	double value = (double)bytes;
	size_t i = 0;
	while (value >= 1024 && i + 1 < sizeof(names) / sizeof(names[0])) {
		value /= 1024;
		i++;
	}
	snprintf(text, text_bytes, i && value < 100 ? "%.1f %s" : "%.0f %s", value, names[i]);
}
