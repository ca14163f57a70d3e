/* The analysis of shell scripts: whatever stands in one, it ends soon, and what it says holds
 * together. Every file that a script names has the same bytes again, so that scripts start and
 * source themselves. */
#include "base/cleanup.h"
#include "base/limits.h"
#include "gate/analysis.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

enum { SECONDS_MAX = 20 }; /* with a sanitizer, on a slow machine */

struct script {
	const uint8_t *data;
	size_t size;
};

static int read_same(
	void *data, const char *path, size_t max_bytes, char **ret, size_t *ret_length_bytes)
{
	const struct script *script = data;
	if (path[0] != '/')
		abort();
	if (script->size > max_bytes)
		return -EFBIG;
	char *text = malloc(script->size + 1);
	if (!text)
		return -ENOMEM;
	memcpy(text, script->data, script->size);
	text[script->size] = '\0';
	*ret = text;
	*ret_length_bytes = script->size;
	return 0;
}

static void expect(bool holds)
{
	if (!holds)
		abort();
}

static void check_part(const struct analysis *analysis, const struct gate_part *part)
{
	for (size_t i = 0; i < part->argv.count; i++)
		expect(part->argv.items[i] != NULL);
	for (size_t i = 0; i < part->assignments.count; i++)
		expect(strchr(part->assignments.items[i], '=') != NULL);
	expect(part->text && strlen(part->text) <= MAX_PART_TEXT_BYTES);
	expect(part->piped_from <= analysis->count);
	expect(part->depth <= 2 * MAX_SCRIPT_NESTING);
	expect(!part->undecidable == !part->why_undecidable);
	expect(!part->code || part->language);
	expect(part->kind != PART_COMMAND || part->argv.count > 0);
	if (part->kind == PART_COMMAND && !part->word_known[0])
		expect(part->undecidable);
	if (part->reads_stdin_script)
		expect(part->undecidable);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct script script = {data, size};
	const struct analysis_context context = {
		.directory = "/w", .read_file = read_same, .data = &script};
	struct analysis *analysis = NULL;
	cleanup_free char *text = malloc(size + 1);
	if (!text)
		return 0;
	memcpy(text, data, size);
	text[size] = '\0';
	clock_t start = clock();
	if (analyze_shell(text, size, &context, &analysis) < 0)
		return 0;
	expect(clock() - start < (clock_t)SECONDS_MAX * CLOCKS_PER_SEC);
	expect(analysis->count <= MAX_SCRIPT_COMMANDS);
	for (size_t i = 0; i < analysis->count; i++) {
		const struct gate_part *part = &analysis->parts[i];
		check_part(analysis, part);
		if (analysis->incomplete)
			expect(part->undecidable);
	}
	if (analysis->syntax.errno_value) {
		bool doubted = analysis->count == 0;
		for (size_t i = 0; i < analysis->count; i++)
			doubted |= analysis->parts[i].undecidable;
		expect(doubted);
	}
	analysis_free(analysis);
	return 0;
}
