/* A line as a person typed it, taken apart into words; the words quoted are a line that comes apart
 * into the same words, and that is safe to show. */
#include "gate/show.h"

#include "base/utf8.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_shown(const char *text)
{
	static const struct show_style style = {.columns = 40, .utf8 = true};
	struct buffer rows = BUFFER_INIT(1 << 20);
	show_rows(&rows, text, "| ", "  ", 0, &style);
	for (const unsigned char *s = (const unsigned char *)rows.data; s && *s;) {
		size_t length = utf8_sequence(s);
		assert(length > 0);
		assert(*s == '\n' || show_is_seen(utf8_character(s, length)));
		s += length;
	}
	buffer_release(&rows);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size > 16384)
		return 0;
	char *line = strndup((const char *)data, size);
	struct strv words = {0}, again = {0};
	struct buffer quoted = BUFFER_INIT(1 << 20);
	check_shown(line);
	if (quote_parse(line, &words) == 0) {
		quote_words(words.items, size % 2, &quoted);
		assert(quote_parse(quoted.data, &again) == 0 && again.count == words.count);
		for (size_t i = 0; i < words.count; i++)
			assert(strcmp(words.items[i], again.items[i]) == 0);
		check_shown(quoted.data);
	}
	buffer_release(&quoted);
	strv_release(&words);
	strv_release(&again);
	free(line);
	return 0;
}
