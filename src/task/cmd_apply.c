/* `coffer apply`: a layer's changes, put on the host. */
#include "task/command.h"

#include "base/cleanup.h"
#include "base/path.h"
#include "base/units.h"
#include "layer/apply.h"
#include "task/verbs.h"

#include <jansson.h>
#include <string.h>

static const char usage[] =
	"usage: coffer apply [NAME] [OPTION]... [--] [PATH]...\n"
	"Puts what a layer holds on the host: all of it or, with PATHs, those and what is below.\n"
	"All or nothing; what was changed on the host meanwhile is refused, and shown three ways.\n\n"
	"  --dry-run    only say what would be done, and what not\n"
	"  --force      also where the host has changed\n"
	"  --protected  also protected names (.git, .vscode, .envrc, ...): look at them before\n"
	"  --keep       leave what was applied in the layer, too\n"
	"  --json       print JSON\n";

static const char *const problem_names[] = {
	[APPLY_CONFLICT] = "conflict",
	[APPLY_PROTECTED] = "protected",
	[APPLY_LINK] = "link",
	[APPLY_SPECIAL] = "special",
	[APPLY_DENIED] = "denied",
};

static const char *const problem_hints[] = {
	[APPLY_CONFLICT] = "--force takes what the layer has; a PATH applies only that",
	[APPLY_PROTECTED] = "look at them (coffer diff), then --protected",
	[APPLY_LINK] = "the layer goes through no link: put the directory back, or discard",
	[APPLY_SPECIAL] = "leave them out by naming the PATHs that are wanted",
	[APPLY_DENIED] = "the host's permissions forbid it",
};

static void print_text(const struct layer *layer, const struct apply_result *result, bool dry_run)
{
	bool seen[ARRAY_SIZE(problem_names)] = {0};
	for (size_t i = 0; i < result->skipped.count; i++) {
		fputs("left out: ", stderr);
		verb_put(stderr, result->skipped.items[i]);
		fputc('\n', stderr);
	}
	for (size_t i = 0; i < result->refusals_count; i++) {
		const struct apply_refusal *refusal = &result->refusals[i];
		fprintf(stderr, "%s: ", problem_names[refusal->problem]);
		verb_put(stderr, refusal->path);
		fputs(": ", stderr);
		verb_put(stderr, refusal->text);
		fputc('\n', stderr);
		seen[refusal->problem] = true;
	}
	if (result->refusals_lost)
		fprintf(stderr, "... and %zu more\n", result->refusals_lost);
	for (size_t i = 0; i < ARRAY_SIZE(seen); i++)
		if (seen[i])
			fprintf(stderr, "  %s: %s\n", problem_names[i], problem_hints[i]);
	if (result->refusals_count)
		return;
	char size[32];
	const struct layer_counts *counts = &result->applied;
	units_format_bytes(counts->bytes, size, sizeof(size));
	printf("%s %llu added, %llu modified, %llu deleted (%s) from layer %s\n",
		dry_run ? "would apply:" : "applied:", (unsigned long long)counts->added,
		(unsigned long long)counts->modified, (unsigned long long)counts->deleted, size,
		layer->name ? layer->name : layer->id);
}

static json_t *json_text(const char *text)
{
	json_t *string = json_string(text);
	if (string)
		return string;
	/* A name that is not UTF-8: its bytes, escaped as for a terminal. */
	char *escaped = NULL;
	size_t size;
	FILE *file = open_memstream(&escaped, &size);
	if (!file)
		return NULL;
	verb_put(file, text);
	fclose(file);
	string = json_string(escaped);
	free(escaped);
	return string;
}

static void print_json(const struct layer *layer, const struct apply_result *result, bool dry_run)
{
	json_t *refusals = json_array(), *skipped = json_array();
	for (size_t i = 0; i < result->refusals_count; i++)
		json_array_append_new(refusals,
			json_pack("{s:o, s:s, s:o}", "path", json_text(result->refusals[i].path),
				"problem", problem_names[result->refusals[i].problem], "text",
				json_text(result->refusals[i].text)));
	for (size_t i = 0; i < result->skipped.count; i++)
		json_array_append_new(skipped, json_text(result->skipped.items[i]));
	const struct layer_counts *counts = &result->applied;
	json_t *json = json_pack(
		"{s:s, s:s?, s:b, s:b, s:I, s:I, s:I, s:I, s:o, s:I, s:o}", "id", layer->id, "name",
		layer->name, "dry_run", dry_run, "applied",
		!dry_run && result->refusals_count == 0, "added", (json_int_t)counts->added,
		"modified", (json_int_t)counts->modified, "deleted", (json_int_t)counts->deleted,
		"bytes", (json_int_t)counts->bytes, "refusals", refusals, "refusals_lost",
		(json_int_t)result->refusals_lost, "skipped", skipped);
	json_dumpf(json, stdout, JSON_INDENT(2));
	putchar('\n');
	json_decref(json);
}

static int make_absolute(const struct strv *words, size_t from, struct strv *ret)
{
	cleanup_free char *directory = getcwd(NULL, 0);
	for (size_t i = from; i < words->count; i++) {
		char *path = directory ? path_absolute(directory, words->items[i]) : NULL;
		if (!path || strv_add_owned(ret, path) < 0) {
			verb_say("%s: %s", words->items[i], strerror(errno));
			return -EINVAL;
		}
	}
	return 0;
}

/* The first word is a layer's name, if there is a layer of that name. A word that is neither that nor a
 * path was meant to be one. *ret_from: where the paths begin. */
static int choose(const struct strv *words, size_t dashes, char ret_id[32], size_t *ret_from,
	struct error *error)
{
	const char *first = dashes > 0 && words->count > 0 ? words->items[0] : NULL;
	*ret_from = first && (verb_is_layer(first) ||
				     (layer_name_is_valid(first) && access(first, F_OK) < 0));
	return *ret_from ? 0 : verb_choose_layer(ret_id, error);
}

static int apply(const char *which, struct apply_options *options, bool json)
{
	struct layer *layer = NULL;
	struct apply_result result = {0};
	struct error error = {0};
	if (layer_open(which, LAYER_WRITE, &layer, &error) < 0) {
		verb_complain(&error);
		return VERB_FAILED;
	}
	int r = layer_apply(layer, options, &result, &error);
	bool told = r == 0 || r == -ECANCELED;
	if (told && json)
		print_json(layer, &result, options->dry_run);
	else if (told)
		print_text(layer, &result, options->dry_run);
	if (r < 0 && !(told && json))
		verb_complain(&error);
	bool done_with = r == 0 && result.empty && !layer->name;
	apply_result_release(&result);
	if (done_with) /* closes it */
		layer_discard(layer, &error);
	else
		layer_close(layer);
	return r == 0 ? 0 : r == -ECANCELED ? VERB_REFUSED : VERB_FAILED;
}

int cmd_apply(int argc, char *argv[])
{
	struct apply_options options = {0};
	bool json = false;
	const struct verb_flag flags[] = {
		{"dry-run", &options.dry_run, NULL},
		{"force", &options.force, NULL},
		{"protected", &options.protected_names, NULL},
		{"keep", &options.keep, NULL},
		{"json", &json, NULL},
	};
	cleanup_strv struct strv words = {0}, paths = {0};
	size_t dashes, from;
	char id[32];
	struct error error = {0};
	int r = verb_options(argc, argv, flags, ARRAY_SIZE(flags), usage, &words, &dashes);
	if (r != 0)
		return r < 0 ? VERB_FAILED : 0;
	if (choose(&words, dashes, id, &from, &error) < 0) {
		verb_complain(&error);
		return VERB_FAILED;
	}
	if (make_absolute(&words, from, &paths) < 0)
		return VERB_FAILED;
	options.paths = paths.count ? paths.items : NULL;
	return apply(from ? words.items[0] : id, &options, json);
}
