/* What was imported, as the text of a coffer.toml: of a new one, or with what an old one lacks
 * put in between what is there, which is left as it stands, comments and all. The places come
 * from the old text's syntax tree; the whole is checked again before it takes the old one's
 * place. */
#include "gate/import.h"

#include "base/cleanup.h"
#include "base/limits.h"

#include <string.h>

static void append_item(struct buffer *out, const struct import_item *item)
{
	if (!item->list) {
		buffer_append_format(
			out, "%s = %s # %s\n", item->key, item->values.items[0], item->from);
		return;
	}
	buffer_append_format(out, "%s = [ # %s\n", item->key, item->from);
	for (size_t i = 0; i < item->values.count; i++)
		buffer_append_format(out, "\t%s,\n", item->values.items[i]);
	buffer_append_string(out, "]\n");
}

static void append_block(struct buffer *out, const struct import_block *block)
{
	buffer_append_format(out, "\n# %s\n[[%s]]\n%s", block->from, block->kind, block->text);
}

void import_render(const struct import *import, struct buffer *out)
{
	static const char *const tables[] = {"", "network"};
	for (size_t t = 0; t < ARRAY_SIZE(tables); t++) {
		bool opened = !*tables[t];
		for (size_t i = 0; i < import->items_count; i++) {
			if (strcmp(import->items[i].table, tables[t]) != 0)
				continue;
			if (!opened)
				buffer_append_format(out, "\n[%s]\n", tables[t]);
			opened = true;
			append_item(out, &import->items[i]);
		}
	}
	for (size_t i = 0; i < import->blocks_count; i++)
		append_block(out, &import->blocks[i]);
}

/* ---- into a file that is there ---- */

struct insertion {
	size_t offset;
	char *text;
};

struct merge {
	struct import *import;
	const char *file, *old;
	size_t length;
	const struct toml_value *document;
	struct insertion *insertions;
	size_t count;
};

static void insert(struct merge *merge, size_t offset, struct buffer *text)
{
	struct insertion *insertions =
		reallocarray(merge->insertions, merge->count + 1, sizeof(*insertions));
	char *owned = buffer_steal(text);
	if (!insertions || !owned) {
		merge->import->error = -ENOMEM;
		free(owned);
		merge->insertions = insertions ? insertions : merge->insertions;
		return;
	}
	merge->insertions = insertions;
	insertions[merge->count++] = (struct insertion){offset, owned};
}

static size_t line_offset(const struct merge *merge, unsigned line)
{
	const char *s = merge->old, *end = merge->old + merge->length;
	for (; line > 1 && s < end; line--) {
		const char *newline = memchr(s, '\n', (size_t)(end - s));
		s = newline ? newline + 1 : end;
	}
	return (size_t)(s - merge->old);
}

/* Values are the same if what TOML makes of them is; bounded by the parser's own depth. */
static bool same(const struct toml_value *a, const struct toml_value *b)
{
	if (a->kind != b->kind || a->count != b->count || a->boolean != b->boolean ||
		a->integer != b->integer ||
		strcmp(a->string ? a->string : "", b->string ? b->string : "") != 0)
		return false;
	for (size_t i = 0; i < a->count; i++) {
		const struct toml_value *other =
			a->kind == TOML_TABLE ? toml_get(b, a->items[i].key) : &b->items[i];
		if (!other || !same(&a->items[i], other))
			return false;
	}
	return true;
}

static bool says_so(const struct toml_value *there, const char *value)
{
	cleanup_buffer struct buffer text = BUFFER_INIT(MAX_CONFIG_FILE_BYTES);
	struct toml_value *document = NULL;
	buffer_append_format(&text, "value = %s\n", value);
	if (buffer_error(&text) < 0 ||
		toml_parse("", text.data, text.length_bytes, &document, NULL) < 0)
		return false;
	bool found = same(there, toml_get(document, "value"));
	toml_free(document);
	return found;
}

/* Behind the "[" of the array that is the value of a key. */
static bool find_array(const struct merge *merge, const struct toml_value *value, size_t *ret)
{
	size_t at = line_offset(merge, value->line) + value->column - 1;
	while (at < merge->length && merge->old[at] != '=' && merge->old[at] != '\n')
		at++;
	if (at >= merge->length || merge->old[at] != '=')
		return false;
	at += 1 + strspn(merge->old + at + 1, " \t");
	*ret = at + 1;
	return merge->old[at] == '[';
}

static void extend_list(
	struct merge *merge, const struct import_item *item, const struct toml_value *there)
{
	cleanup_buffer struct buffer text = BUFFER_INIT(MAX_CONFIG_FILE_BYTES);
	struct import_place place = {merge->file, there->line};
	size_t offset = 0;
	for (size_t i = 0; i < item->values.count; i++) {
		bool found = false;
		for (size_t k = 0; k < there->count && !found; k++)
			found = says_so(&there->items[k], item->values.items[i]);
		if (!found)
			buffer_append_format(&text, "%s, ", item->values.items[i]);
	}
	if (text.length_bytes == 0)
		return;
	if (there->kind != TOML_ARRAY || !find_array(merge, there, &offset))
		import_note(merge->import, place, "add to '%s' by hand: %s", item->key, text.data);
	else
		insert(merge, offset, &text);
}

static void merge_item(struct merge *merge, const struct import_item *item,
	const struct toml_value *table, struct buffer *missing)
{
	const struct toml_value *there = table ? toml_get(table, item->key) : NULL;
	if (!there)
		append_item(missing, item);
	else if (item->list)
		extend_list(merge, item, there);
	else if (!says_so(there, item->values.items[0]))
		import_note(merge->import, (struct import_place){merge->file, there->line},
			"'%s' stays as it is; imported would be %s (%s)", item->key,
			item->values.items[0], item->from);
}

/* Keys of the file itself stand before any table: at its very beginning. */
static void merge_top(struct merge *merge)
{
	cleanup_buffer struct buffer missing = BUFFER_INIT(MAX_CONFIG_FILE_BYTES);
	for (size_t i = 0; i < merge->import->items_count; i++)
		if (!*merge->import->items[i].table)
			merge_item(merge, &merge->import->items[i], merge->document, &missing);
	if (missing.length_bytes)
		insert(merge, 0, &missing);
}

static void merge_network(struct merge *merge)
{
	cleanup_buffer struct buffer missing = BUFFER_INIT(MAX_CONFIG_FILE_BYTES);
	const struct toml_value *table = toml_get(merge->document, "network");
	for (size_t i = 0; i < merge->import->items_count; i++)
		if (strcmp(merge->import->items[i].table, "network") == 0)
			merge_item(merge, &merge->import->items[i], table, &missing);
	if (missing.length_bytes == 0)
		return;
	cleanup_buffer struct buffer text = BUFFER_INIT(MAX_CONFIG_FILE_BYTES);
	if (!table) {
		buffer_append_format(&text, "\n[network]\n%s", missing.data);
		insert(merge, merge->length, &text);
		return;
	}
	size_t offset = line_offset(merge, table->line);
	offset += strspn(merge->old + offset, " \t");
	const char *end = memchr(merge->old + offset, '\n', merge->length - offset);
	if (strncmp(merge->old + offset, "[network]", 9) != 0 || !end)
		import_note(merge->import, (struct import_place){merge->file, table->line},
			"'network' is not written as a [network] table: add to it by hand");
	else
		insert(merge, (size_t)(end + 1 - merge->old), &missing);
}

static bool has_block(const struct merge *merge, const struct import_block *block)
{
	struct toml_value *own = NULL;
	const struct toml_value *list = toml_get(merge->document, block->kind);
	bool found = false;
	if (!list || list->kind != TOML_ARRAY ||
		toml_parse("", block->text, strlen(block->text), &own, NULL) < 0)
		return false;
	for (size_t i = 0; i < list->count && !found; i++)
		found = same(&list->items[i], own);
	toml_free(own);
	return found;
}

static void merge_blocks(struct merge *merge)
{
	cleanup_buffer struct buffer text = BUFFER_INIT(MAX_CONFIG_FILE_BYTES);
	for (size_t i = 0; i < merge->import->blocks_count; i++)
		if (!has_block(merge, &merge->import->blocks[i]))
			append_block(&text, &merge->import->blocks[i]);
	if (buffer_error(&text) < 0)
		merge->import->error = buffer_error(&text);
	else if (text.length_bytes)
		insert(merge, merge->length, &text);
}

/* In the order in which they were made among those of one place. */
static void apply(const struct merge *merge, struct buffer *out)
{
	size_t done = 0;
	while (done < merge->length || merge->count) {
		size_t next = merge->length;
		for (size_t i = 0; i < merge->count; i++)
			if (merge->insertions[i].offset >= done &&
				merge->insertions[i].offset < next)
				next = merge->insertions[i].offset;
		buffer_append(out, merge->old + done, next - done);
		if (next == merge->length && next && merge->old[next - 1] != '\n')
			buffer_append_string(out, "\n");
		for (size_t i = 0; i < merge->count; i++)
			if (merge->insertions[i].offset == next)
				buffer_append_string(out, merge->insertions[i].text);
		if (next == merge->length)
			return;
		buffer_append(out, merge->old + next, 1);
		done = next + 1;
	}
}

int import_merge(struct import *import, const char *file, const char *old, size_t length_bytes,
	struct buffer *out, struct error *error)
{
	struct toml_value *document = NULL;
	int r = toml_parse(file, old, length_bytes, &document, error);
	if (r < 0)
		return r;
	struct merge merge = {.import = import,
		.file = file,
		.old = old,
		.length = length_bytes,
		.document = document};
	merge_top(&merge);
	merge_network(&merge);
	merge_blocks(&merge);
	apply(&merge, out);
	for (size_t i = 0; i < merge.count; i++)
		free(merge.insertions[i].text);
	free(merge.insertions);
	toml_free(document);
	r = import->error ? import->error : buffer_error(out);
	return r < 0 ? error_set_errno(error, -r, "import", "%.300s", file) : 0;
}
