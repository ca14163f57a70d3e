/* `coffer diff`: what a layer would change, or how two layers differ. */
#include "task/command.h"

#include "base/cleanup.h"
#include "base/suggest.h"
#include "base/units.h"
#include "layer/diff.h"
#include "task/choose_layer.h"
#include "task/pager.h"

#include <limits.h>
#include <string.h>

enum { EXIT_UNREAD = 1, EXIT_FAILED = 125 };

struct command {
	struct diff_options options;
	struct strv words; /* before "--": layers, then paths */
	struct strv paths;
	bool running, help;
	struct layer *layers[2]; /* the second is OTHER */
};

/* ---- options ---- */

struct option {
	const char *name, *value, *text;
	int (*set)(struct command *command, int number, const char *value);
	int number;
};

static int set_format(struct command *command, int number, const char *value)
{
	(void)value;
	command->options.format = (enum diff_format)number;
	return 0;
}

static int set_renames(struct command *command, int number, const char *value)
{
	(void)value;
	command->options.renames = number;
	return 0;
}

static int set_context(struct command *command, int number, const char *value)
{
	(void)number;
	char *end;
	unsigned long lines = strtoul(value, &end, 10);
	if (value[0] < '0' || value[0] > '9' || *end || lines > INT_MAX)
		return -EINVAL;
	command->options.context = (unsigned)lines;
	return 0;
}

static int set_max_file(struct command *command, int number, const char *value)
{
	(void)number;
	return units_parse_bytes(value, &command->options.max_file_bytes);
}

static int set_running(struct command *command, int number, const char *value)
{
	(void)number, (void)value;
	command->running = true;
	return 0;
}

static int set_help(struct command *command, int number, const char *value)
{
	(void)number, (void)value;
	command->help = true;
	return 0;
}

static const struct option table[] = {
	{"patch", NULL, "a patch for git apply (this is the default)", set_format, DIFF_PATCH},
	{"stat", NULL, "files, how many lines, what came and went", set_format, DIFF_STAT},
	{"json", NULL, "print JSON", set_format, DIFF_JSON},
	{"name-only", NULL, "just the paths", set_format, DIFF_NAMES},
	{"name-status", NULL, "the paths, with A, D, M, R or T", set_format, DIFF_NAMES_STATUS},
	{"no-renames", NULL, "show a renamed file as deleted and added", set_renames, false},
	{"context", "LINES", "unchanged lines around a change (3)", set_context, 0},
	{"max-file", "SIZE", "of larger files just say how large they are", set_max_file, 0},
	{"running", NULL, "also while a box runs in it: what it holds now", set_running, 0},
	{"help", NULL, "this text", set_help, 0},
};

static void print_help(void)
{
	fputs("usage: coffer diff [OPTION...] [LAYER [OTHER]] [--] [PATH...]\n\n"
	      "What a layer would change of the host; with OTHER, what differs between the two.\n"
	      "Without LAYER: the newest layer that the current directory lies in.\n\n",
		stdout);
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		char flag[64];
		snprintf(flag, sizeof(flag), "--%s%s%s", table[i].name, table[i].value ? " " : "",
			table[i].value ? table[i].value : "");
		printf("  %-18s %s\n", flag, table[i].text);
	}
}

/* What a person has typed or a stranger has named, harmless. */
static void complain(const char *message, const char *hint)
{
	FILE *to = diff_terminal(stderr, false);
	if (!to)
		return;
	fprintf(to, "coffer: %s\n", message);
	if (hint && *hint)
		fprintf(to, "  %s\n", hint);
	fclose(to);
}

static int complain_unknown(const char *name)
{
	char message[256], hint[128] = "`coffer diff --help` lists the options";
	snprintf(message, sizeof(message), "there is no option '%.100s'", name);
	const char *near = suggest_nearest(
		name + strspn(name, "-"), table, ARRAY_SIZE(table), sizeof(table[0]));
	if (near)
		snprintf(hint, sizeof(hint), "did you mean --%s?", near);
	complain(message, hint);
	return -EINVAL;
}

/* Takes the option at argv[*i], and its value. */
static int take_option(struct command *command, int argc, char *argv[], int *i)
{
	const char *name = argv[*i] + 2;
	size_t length = strcspn(name, "=");
	const char *value = name[length] ? name + length + 1 : NULL;
	const struct option *option = NULL;
	char message[256];
	for (size_t k = 0; k < ARRAY_SIZE(table) && strncmp(argv[*i], "--", 2) == 0; k++)
		if (strlen(table[k].name) == length && strncmp(table[k].name, name, length) == 0)
			option = &table[k];
	if (!option)
		return complain_unknown(argv[*i]);
	if (option->value && !value && *i + 1 < argc)
		value = argv[++*i];
	if (!option->value != !value) {
		snprintf(message, sizeof(message),
			option->value ? "--%s needs %s" : "--%s takes no value", option->name,
			option->value);
		complain(message, NULL);
		return -EINVAL;
	}
	int r = option->set(command, option->number, value);
	if (r < 0) {
		snprintf(message, sizeof(message), "--%s: '%.100s' is no such value", option->name,
			value);
		complain(message, NULL);
	}
	return r;
}

static int parse(struct command *command, int argc, char *argv[])
{
	bool paths = false;
	int r = 0;
	for (int i = 1; r == 0 && i < argc; i++) {
		if (!paths && strcmp(argv[i], "--") == 0)
			paths = true;
		else if (!paths && argv[i][0] == '-' && argv[i][1])
			r = take_option(command, argc, argv, &i);
		else
			r = strv_add(paths ? &command->paths : &command->words, argv[i]);
	}
	return r;
}

/* ---- layers and paths ---- */

static bool is_layer(const char *word)
{
	struct layer *layer = NULL;
	struct error error;
	int r = layer_open(word, LAYER_READ, &layer, &error);
	layer_close(layer);
	return r == 0 || r == -EBUSY;
}

/* A word that names no layer, but something that is there, is a path. */
static bool is_path(const char *word)
{
	return strchr(word, '/') || access(word, F_OK) == 0;
}

static void say_which(const struct layer *layer)
{
	fprintf(stderr, "coffer: layer %s\n", layer->name ? layer->name : layer->id);
}

static int open_layers(struct command *command, struct error *error)
{
	const struct strv *words = &command->words;
	size_t layers = 0;
	while (layers < 2 && layers < words->count && is_layer(words->items[layers]))
		layers++;
	/* What is neither is complained of as a layer. */
	if (layers == 0 && words->count > 0 && !is_path(words->items[0]))
		layers = 1;
	bool guessed = false;
	int r = 0;
	for (size_t i = 0; r == 0 && i < (layers ? layers : 1); i++)
		r = command->running && layers
			    ? layer_open(words->items[i], LAYER_LOOK, &command->layers[i], error)
			    : choose_layer(layers ? words->items[i] : NULL, &command->layers[i],
				      &guessed, error);
	if (r == 0 && guessed)
		say_which(command->layers[0]);
	char directory[PATH_MAX];
	if (r == 0 && !getcwd(directory, sizeof(directory)))
		r = error_set_errno(error, errno, "diff", "the current directory");
	cleanup_strv struct strv found = {0};
	for (size_t i = layers; r == 0 && i < words->count; i++)
		r = strv_add_owned(
			&found, path_in_layer(command->layers[0], directory, words->items[i]));
	for (size_t i = 0; r == 0 && i < command->paths.count; i++)
		r = strv_add_owned(&found,
			path_in_layer(command->layers[0], directory, command->paths.items[i]));
	if (r == -ENOMEM)
		error_set_errno(error, ENOMEM, "diff", "paths");
	strv_release(&command->paths);
	command->paths = found;
	found = (struct strv){0};
	return r;
}

/* Of one root what lies in it; of several what lies in "/". */
static int find_top(struct command *command, char **ret, struct error *error)
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

static int show(struct command *command, FILE *to, struct error *error)
{
	const struct diff_options *options = &command->options;
	if (!command->layers[1])
		return layer_diff(command->layers[0], options, to, error);
	return layer_diff_between(command->layers[0], command->layers[1], options, to, error);
}

static int show_to_person(struct command *command, struct error *error)
{
	struct pager pager;
	bool patch = command->options.format == DIFF_PATCH;
	const char *terminal = getenv("TERM"), *colorless = getenv("NO_COLOR");
	bool color =
		patch && terminal && strcmp(terminal, "dumb") != 0 && !(colorless && *colorless);
	if (command->options.format == DIFF_JSON)
		pager = (struct pager){.to = stdout};
	else
		pager_start(&pager);
	FILE *to = diff_terminal(pager.to, color);
	int r = to ? show(command, to, error) : error_set_errno(error, ENOMEM, "diff", "output");
	if (to)
		fclose(to);
	/* A person who has seen enough is no error. */
	return pager_end(&pager) && r == -EIO ? 0 : r;
}

static int run(struct command *command, struct error *error)
{
	cleanup_free char *top = NULL;
	int r = open_layers(command, error);
	if (r == 0)
		r = find_top(command, &top, error);
	if (r < 0)
		return r;
	command->options.relative_to = top;
	command->options.paths = command->paths.count ? command->paths.items : NULL;
	return isatty(STDOUT_FILENO) ? show_to_person(command, error)
				     : show(command, stdout, error);
}

int cmd_diff(int argc, char *argv[])
{
	struct command command = {.options = {.renames = true, .context = 3}};
	struct error error = {0};
	int r = parse(&command, argc, argv);
	if (r == 0 && command.help) {
		print_help();
	} else if (r == 0) {
		r = run(&command, &error);
		if (r < 0)
			complain(error.message, error.hint);
	}
	layer_close(command.layers[0]);
	layer_close(command.layers[1]);
	strv_release(&command.words);
	strv_release(&command.paths);
	return r == 0 ? 0 : r == -EACCES ? EXIT_UNREAD : EXIT_FAILED;
}
