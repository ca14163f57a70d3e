/* A configuration file. What is taken is a tree whose every key stands once in its table and whose
 * strings have an end; what is not is told with its place. */
#include "base/limits.h"
#include "config/toml.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
	if (!holds)
		abort();
}

static void check(const struct toml_value *value, unsigned depth)
{
	must(depth <= 4 * MAX_CONFIG_DEPTH && value->line >= 1 && value->column >= 1);
	must((value->kind == TOML_STRING || value->kind == TOML_DATE) == (value->string != NULL));
	for (size_t i = 0; i < value->count; i++) {
		const struct toml_value *item = &value->items[i];
		must((value->kind == TOML_TABLE) == (item->key != NULL));
		if (item->key)
			must(toml_get(value, item->key) == item);
		check(item, depth + 1);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct toml_value *document;
	struct error error = {0};
	int r = toml_parse("f", (const char *)data, size, &document, &error);
	if (r < 0) {
		must(error.errno_value == -r && strncmp(error.message, "f:", 2) == 0);
		return 0;
	}
	check(document, 0);
	toml_free(document);
	return 0;
}
