/* Whatever was imported: its text is TOML, merging it into an empty file or into itself loses and
 * doubles nothing. */
#ifndef COFFER_FUZZ_IMPORT_CHECK_H
#define COFFER_FUZZ_IMPORT_CHECK_H

#include "base/cleanup.h"
#include "base/limits.h"
#include "gate/import.h"

#include <stdint.h>
#include <string.h>

static void must(bool holds)
{
	if (!holds)
		abort();
}

static void check_import(struct import *import)
{
	struct toml_value *document = NULL;
	struct error error = {0};
	cleanup_buffer struct buffer text = BUFFER_INIT(4 * MAX_CONFIG_FILE_BYTES);
	cleanup_buffer struct buffer merged = BUFFER_INIT(4 * MAX_CONFIG_FILE_BYTES);
	cleanup_buffer struct buffer again = BUFFER_INIT(4 * MAX_CONFIG_FILE_BYTES);
	if (import->error)
		return;
	import_render(import, &text);
	must(buffer_error(&text) == 0);
	const char *rendered = text.data ? text.data : "";
	must(toml_parse("rendered", rendered, text.length_bytes, &document, &error) == 0);
	toml_free(document);

	must(import_merge(import, "old", "", 0, &merged, &error) == 0);
	const char *old = merged.data ? merged.data : "";
	must(toml_parse("merged", old, merged.length_bytes, &document, &error) == 0);
	toml_free(document);
	size_t notes = import->notes.count;
	must(import_merge(import, "old", old, merged.length_bytes, &again, &error) == 0);
	must(import->notes.count == notes && again.length_bytes == merged.length_bytes);
	must(strcmp(again.data ? again.data : "", old) == 0);
}

/* A file's bytes as they are read: with a NUL behind them. */
static char *copy_file(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);
	must(text);
	memcpy(text, data, size);
	text[size] = '\0';
	return text;
}

#endif
