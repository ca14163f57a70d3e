#include "base/cleanup.h"
#include "base/units.h"

#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static int (*const parsers[])(const char *text, uint64_t *ret) = {
		units_parse_bytes, units_parse_duration, units_parse_count};
	cleanup_free char *text = strndup((const char *)data, size);
	if (!text)
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(parsers); i++) {
		uint64_t value = 77;
		int r = parsers[i](text, &value);
		/* Times and sizes are added to one another later: none uses the last bit. */
		if (r == 0 ? value > INT64_MAX : value != 77)
			abort();
		char shown[16];
		units_format_bytes(value, shown, sizeof(shown));
		if (!memchr(shown, '\0', sizeof(shown)))
			abort();
	}
	return 0;
}
