/* `coffer diff`: what a layer would change, or how two layers differ. */
#include "task/command.h"

#include "base/cleanup.h"
#include "base/path.h"
#include "base/units.h"
#include "layer/diff.h"
#include "layer/reach.h"
#include "layer/settle.h"
#include "task/pager.h"
#include "task/verbs.h"

#include <limits.h>
#include <string.h>

static const char usage[] =
	"usage: coffer diff [OPTION]... [NAME [OTHER]] [--] [PATH]...\n"
	"What a layer would change of the host; with OTHER, what that has otherwise than NAME.\n"
	"Without NAME: the newest layer on the current directory.\n\n"
	"  --patch          a patch, for git apply (this is the default)\n"
	"  --stat           files, how many lines of each, what came and went\n"
	"  --name-only      just the paths\n"
	"  --name-status    the paths, with A, D, M, R or T\n"
	"  --json           print JSON\n"
	"  --no-renames     show a renamed file as deleted and added\n"
	"  --context LINES  unchanged lines around a change (3)\n"
	"  --max-file SIZE  of larger files just say how large they are\n"
	"  --running        also while a box runs in it: what it holds at this moment\n";

struct command {
	struct diff_options options;
	bool running;
	struct layer *layers[2]; /* the second is OTHER */
	struct strv paths;
};

/* ---- options ---- */

static int parse(
	struct command *command, int argc, char *argv[], struct strv *ret_words, size_t *ret_dashes)
{
	struct {
		bool wanted;
		enum diff_format format;
	} formats[] = {{false, DIFF_PATCH}, {false, DIFF_STAT}, {false, DIFF_NAMES},
		{false, DIFF_NAMES_STATUS}, {false, DIFF_JSON}};
	bool no_renames = false;
	const char *context = NULL, *max_file = NULL;
	const struct verb_flag flags[] = {
		{"patch", &formats[0].wanted, NULL},
		{"stat", &formats[1].wanted, NULL},
		{"name-only", &formats[2].wanted, NULL},
		{"name-status", &formats[3].wanted, NULL},
		{"json", &formats[4].wanted, NULL},
		{"no-renames", &no_renames, NULL},
		{"context", NULL, &context},
		{"U", NULL, &context},
		{"max-file", NULL, &max_file},
		{"running", &command->running, NULL},
	};
	int r = verb_options(argc, argv, flags, ARRAY_SIZE(flags), usage, ret_words, ret_dashes);
	size_t wanted = 0;
	for (size_t i = 0; i < ARRAY_SIZE(formats); i++) {
		wanted += formats[i].wanted;
		if (formats[i].wanted)
			command->options.format = formats[i].format;
	}
	if (r == 0 && wanted > 1) {
		verb_say("one format at a time");
		return -EINVAL;
	}
	command->options.renames = !no_renames;
	uint64_t lines = 3;
	if (r == 0 && context && (units_parse_count(context, &lines) < 0 || lines > INT_MAX)) {
		verb_say("--context: '%s' is no number of lines", context);
		return -EINVAL;
	}
	command->options.context = (unsigned)lines;
	if (r == 0 && max_file &&
		units_parse_bytes(max_file, &command->options.max_file_bytes) < 0) {
		verb_say("--max-file: '%s' is no size", max_file);
		return -EINVAL;
	}
	return r;
}

/* ---- layers and paths ---- */

/* A run that was killed has left it so. */
static int settle(const char *which, struct error *error)
{
	struct layer *layer = NULL;
	int r = layer_open(which, LAYER_WRITE, &layer, error);
	if (r == 0)
		r = layer_settle(layer, NULL, error);
	layer_close(layer);
	return r;
}

static int open_settled(const char *which, struct layer **ret, struct error *error)
{
	int r = layer_open(which, LAYER_READ, ret, error);
	if (r < 0 || (*ret)->settled)
		return r;
	layer_close(steal_pointer(ret));
	r = settle(which, error);
	return r < 0 ? r : layer_open(which, LAYER_READ, ret, error);
}

static int open_newest(struct layer **ret, struct error *error)
{
	char id[32];
	int r = verb_choose_layer(id, error);
	if (r == 0)
		r = open_settled(id, ret, error);
	if (r == 0)
		verb_say("layer %s", (*ret)->name ? (*ret)->name : id);
	return r;
}

/* The path in the layer's box of what a person names, where the box saw it elsewhere. NULL: no
 * memory. */
static char *path_in_layer(const struct layer *layer, const char *directory, const char *path)
{
	char *absolute = path_absolute(directory, path);
	for (size_t i = 0; absolute && i < layer->roots_count; i++) {
		const struct layer_root *root = &layer->roots[i];
		if (!root->base || strcmp(root->base, root->path) == 0 ||
			!path_is_below(absolute, root->base))
			continue;
		const char *rest = absolute + strlen(root->base);
		char *mapped = path_absolute(root->path, *rest == '/' ? rest + 1 : rest);
		free(absolute);
		return mapped;
	}
	return absolute;
}

/* Words before "--" are layers as long as there are such; the rest are paths. A first word that is
 * neither that nor looks like a path was meant as a layer. */
static size_t count_layers(const struct strv *words, size_t dashes)
{
	size_t count = 0;
	while (count < 2 && count < dashes && verb_is_layer(words->items[count]))
		count++;
	if (count == 0 && dashes > 0 && layer_name_is_valid(words->items[0]) &&
		access(words->items[0], F_OK) < 0)
		count = 1;
	return count;
}

static int open_all(
	struct command *command, const struct strv *words, size_t dashes, struct error *error)
{
	size_t layers = count_layers(words, dashes);
	int r = layers ? 0 : open_newest(&command->layers[0], error);
	for (size_t i = 0; r == 0 && i < layers; i++)
		r = command->running
			    ? layer_open(words->items[i], LAYER_LOOK, &command->layers[i], error)
			    : open_settled(words->items[i], &command->layers[i], error);
	cleanup_free char *directory = getcwd(NULL, 0);
	if (r == 0 && !directory)
		r = error_set_errno(error, errno, "diff", "the working directory");
	for (size_t i = layers; r == 0 && i < words->count; i++) {
		char *path = path_in_layer(command->layers[0], directory, words->items[i]);
		if (!path || strv_add_owned(&command->paths, path) < 0)
			r = error_set_errno(error, errno, "diff", "%s", words->items[i]);
	}
	return r;
}

/* Of one root what lies in it; of several what lies in "/". */
static int find_top(const struct command *command, char **ret, struct error *error)
{
	cleanup_strv struct strv roots = {0};
	int r = 0;
	for (int i = 0; r == 0 && i < 2 && command->layers[i]; i++)
		r = layer_root_paths(command->layers[i], &roots, error);
	if (r == 0)
		*ret = strdup(roots.count == 1 ? roots.items[0] : "/");
	return r < 0 ? r : *ret ? 0 : error_set_errno(error, ENOMEM, "diff", "roots");
}

/* ---- the command ---- */

static int show(const struct command *command, FILE *to, struct error *error)
{
	const struct diff_options *options = &command->options;
	if (!command->layers[1])
		return layer_diff(command->layers[0], options, to, error);
	return layer_diff_between(command->layers[0], command->layers[1], options, to, error);
}

static int show_to_person(const struct command *command, struct error *error)
{
	struct pager pager = {.to = stdout};
	const char *terminal = getenv("TERM"), *colorless = getenv("NO_COLOR");
	bool color = command->options.format == DIFF_PATCH && terminal &&
		     strcmp(terminal, "dumb") != 0 && !(colorless && *colorless);
	if (command->options.format != DIFF_JSON)
		pager_start(&pager);
	reach_allow(); /* the pager is outside of what that may enter */
	FILE *to = diff_terminal(pager.to, color);
	int r = to ? show(command, to, error) : error_set_errno(error, ENOMEM, "diff", "output");
	if (to)
		fclose(to);
	/* A person who has seen enough is no error. */
	return pager_end(&pager) && r == -EIO ? 0 : r;
}

static int run(
	struct command *command, const struct strv *words, size_t dashes, struct error *error)
{
	cleanup_free char *top = NULL;
	int r = open_all(command, words, dashes, error);
	if (r == 0)
		r = find_top(command, &top, error);
	if (r < 0)
		return r;
	command->options.relative_to = top;
	command->options.paths = command->paths.count ? command->paths.items : NULL;
	if (isatty(STDOUT_FILENO))
		return show_to_person(command, error);
	reach_allow();
	return show(command, stdout, error);
}

int cmd_diff(int argc, char *argv[])
{
	struct command command = {.options = {.format = DIFF_PATCH}};
	cleanup_strv struct strv words = {0};
	size_t dashes = 0;
	struct error error = {0};
	int r = parse(&command, argc, argv, &words, &dashes);
	if (r != 0)
		return r < 0 ? VERB_FAILED : 0;
	verb_begin();
	r = run(&command, &words, dashes, &error);
	if (r < 0)
		verb_complain(&error);
	layer_close(command.layers[0]);
	layer_close(command.layers[1]);
	strv_release(&command.paths);
	return r == 0 ? 0 : r == -EACCES ? VERB_REFUSED : VERB_FAILED;
}
