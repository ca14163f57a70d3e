/* coffer config import: another tool's files as a coffer.toml, on standard output or merged into
 * the user's own; and on standard error a line for each line that could not be carried over. */
#include "gate/command.h"

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/limits.h"
#include "base/path.h"
#include "config/load.h"
#include "gate/config_checked.h"
#include "gate/import.h"
#include "gate/rule_write.h"
#include "gate/say.h"

#include <fcntl.h>
#include <getopt.h>
#include <string.h>
#include <sys/stat.h>

enum { EXIT_LEFT_OUT = 1, EXIT_FAILED = 125 };

static const char usage[] =
	"usage: coffer config import codex|claude [OPTION...] [FILE|DIR]\n"
	"\n"
	"Prints what Codex's or Claude Code's files come to as a coffer.toml, and on standard\n"
	"error FILE:LINE and the reason for each line that could not be carried over. DIR is the\n"
	"tool's own directory (the default: ~/.codex, ~/.claude), a project, or a plugin.\n"
	"\n"
	"  codex   config.toml, rules/*.rules, hooks.json, a plugin's manifest\n"
	"  claude  settings.json, settings.local.json, a plugin's manifest\n"
	"\n"
	"  --write         put it into your own coffer.toml, leaving everything there as it is\n"
	"  --profile NAME  Codex: with this one of [profiles]\n"
	"  --strict        exit 1 if a line could not be carried over\n";

static const struct tool {
	const char *name;
	const char *variable, *directory; /* its own directory; below the home */
	const char *project;              /* its name in a project */
	const char *const *files;         /* in one of them */
	const char *rules;                /* a directory of *.rules in one of them; or NULL */
	const char *const *plugin;        /* in a plugin */
} tools[] = {
	{"codex", "CODEX_HOME", ".codex", ".codex",
		(const char *const[]){"config.toml", "hooks.json", NULL}, "rules",
		(const char *const[]){".codex-plugin/plugin.json", "hooks/hooks.json", NULL}},
	{"claude", "CLAUDE_CONFIG_DIR", ".claude", ".claude",
		(const char *const[]){"settings.json", "settings.local.json", NULL}, NULL,
		(const char *const[]){".claude-plugin/plugin.json", "hooks/hooks.json", NULL}},
};

struct options {
	const struct tool *tool;
	bool write, strict;
	const char *profile, *from;
};

static bool ends_with(const char *text, const char *end)
{
	size_t n = strlen(text), m = strlen(end);
	return n >= m && strcmp(text + n - m, end) == 0;
}

/* ---- which files ---- */

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static int add_if_there(const char *directory, const char *name, struct strv *ret)
{
	char *path = path_join(directory, name);
	if (path && access(path, F_OK) == 0)
		return strv_add_owned(ret, path);
	int r = path ? 0 : -ENOMEM;
	free(path);
	return r;
}

static int add_rules(const char *directory, const char *name, struct strv *ret)
{
	cleanup_free char *path = path_join(directory, name);
	cleanup_closedir DIR *entries = path ? opendir(path) : NULL;
	size_t before = ret->count;
	int r = path ? 0 : -ENOMEM;
	for (struct dirent *entry; r == 0 && entries && (entry = readdir(entries));)
		if (ends_with(entry->d_name, ".rules"))
			r = add_if_there(path, entry->d_name, ret);
	if (ret->count > before)
		qsort(ret->items + before, ret->count - before, sizeof(*ret->items), by_name);
	return r;
}

static int add_layer(const struct tool *tool, const char *directory, struct strv *ret)
{
	int r = 0;
	for (size_t i = 0; r == 0 && tool->files[i]; i++)
		r = add_if_there(directory, tool->files[i], ret);
	return r == 0 && tool->rules ? add_rules(directory, tool->rules, ret) : r;
}

/* The tool's own directory, a project that has one, or a plugin. */
static int list_files(const struct options *options, const char *from, struct strv *ret,
	struct import *import, char **ret_project, struct error *error)
{
	const struct tool *tool = options->tool;
	cleanup_free char *inner = path_join(from, tool->project);
	int r = inner ? 0 : -ENOMEM;
	if (r == 0 && access(inner, F_OK) == 0) {
		r = add_layer(tool, inner, ret);
		*ret_project = ret->count ? strdup(from) : NULL;
	} else if (r == 0) {
		r = add_layer(tool, from, ret);
		for (size_t i = 0; r == 0 && ret->count == 0 && tool->plugin[i]; i++)
			r = add_if_there(from, tool->plugin[i], ret);
	}
	if (r < 0)
		return error_set_errno(error, -r, "import", "%.300s", from);
	if (ret->count == 0) {
		error_set(error, ENOENT, "import", "%.300s: nothing of %s is there", from,
			tool->name);
		return error_hint(error, "name a file, the tool's directory, a project or plugin");
	}
	import->directory = *ret_project;
	return 0;
}

static char *default_directory(const struct tool *tool, const char *home)
{
	const char *named = getenv(tool->variable);
	if (named && *named == '/')
		return strdup(named);
	return home ? path_join(home, tool->directory) : NULL;
}

/* A file by itself: its project is known by where it lies. */
static char *project_of(const struct tool *tool, const char *file, const char *home)
{
	cleanup_free char *inner = path_parent(file);
	char *project =
		inner && strcmp(path_name(inner), tool->project) == 0 ? path_parent(inner) : NULL;
	if (project && home && strcmp(project, home) == 0) {
		free(project);
		return NULL;
	}
	return project;
}

/* ---- reading ---- */

static int read_one(struct import *import, const struct tool *tool, const char *file, bool programs,
	char **ret_next, struct error *error)
{
	cleanup_free char *text = NULL;
	size_t length = 0;
	bool rules = ends_with(file, ".rules");
	if (programs && !rules)
		return 0;
	int r = fd_read_file(AT_FDCWD, file, MAX_CONFIG_FILE_BYTES, &text, &length);
	if (r < 0)
		return error_set_errno(error, -r, "import", "%.300s", file);
	if (rules)
		return import_codex_rules(import, file, text, length, programs, error);
	if (ends_with(file, ".toml"))
		return import_codex_config(import, file, text, length, error);
	bool settings = strcmp(tool->name, "claude") == 0 && !ends_with(file, "/hooks.json") &&
			!ends_with(file, "/plugin.json");
	if (settings)
		return import_claude_settings(import, file, text, length, error);
	return import_hooks_json(import, file, text, length, ret_next, error);
}

static int read_all(
	struct import *import, const struct tool *tool, struct strv *files, struct error *error)
{
	int r = 0;
	for (size_t i = 0; r == 0 && i < files->count; i++)
		r = read_one(import, tool, files->items[i], true, NULL, error);
	for (size_t i = 0; r == 0 && i < files->count; i++) {
		char *next = NULL;
		r = read_one(import, tool, files->items[i], false, &next, error);
		/* A manifest names one further file, and that one none. */
		bool more = next && ends_with(files->items[i], "/plugin.json") &&
			    !strv_contains(files, next);
		if (r == 0 && more)
			r = strv_add(files, next);
		free(next);
	}
	if (r == 0 && import->error)
		r = error_set_errno(error, -import->error, "import", "all of it together");
	return r;
}

/* ---- what comes of it ---- */

/* As the user's layer alone. */
static int check_text(const char *home, const struct buffer *text, struct strv *problems)
{
	struct config_where where = {.home = home};
	struct config_source sources[CONFIG_SOURCES] = {{.layer = LAYER_REQUIREMENTS},
		{.layer = LAYER_SYSTEM}, {.layer = LAYER_USER}, {.layer = LAYER_PROJECT}};
	struct config *config = NULL;
	struct error error = {0};
	sources[2].path = strdup("the result");
	sources[2].data = strdup(text->data ? text->data : "");
	sources[2].length_bytes = text->length_bytes;
	int r = sources[2].path && sources[2].data
			? config_load_checked(&where, sources, false, &config, problems, &error)
			: -ENOMEM;
	if (r < 0 && problems->count == 0)
		r = strv_add(problems, error.message) < 0 ? -ENOMEM : r;
	config_free(config);
	config_sources_release(sources);
	return r;
}

static int print(const struct import *import)
{
	cleanup_buffer struct buffer text = BUFFER_INIT(MAX_CONFIG_FILE_BYTES);
	cleanup_strv struct strv problems = {0};
	import_render(import, &text);
	if (buffer_error(&text) < 0) {
		say_complaint("the result is larger than a configuration may be");
		return EXIT_FAILED;
	}
	int r = check_text(import->home, &text, &problems);
	for (size_t i = 0; i < problems.count; i++)
		say_complaint("%s", problems.items[i]);
	if (text.length_bytes)
		fwrite(text.data, 1, text.length_bytes, stdout);
	return r < 0 || fflush(stdout) != 0 ? EXIT_FAILED : 0;
}

/* What compose is given, beside the old text. */
struct merging {
	struct import *import;
	const char *file;
	size_t notes; /* of reading; those of an attempt that is repeated are dropped */
};

static int compose(
	void *data, const char *old, size_t length_bytes, struct buffer *whole, struct error *error)
{
	struct merging *merging = data;
	struct strv *notes = &merging->import->notes;
	while (notes->count > merging->notes) {
		free(notes->items[--notes->count]);
		notes->items[notes->count] = NULL;
	}
	return import_merge(merging->import, merging->file, old, length_bytes, whole, error);
}

static int load(const char *directory, struct error *error)
{
	struct config_where where = {.user_dir = directory, .home = getenv("HOME")};
	struct config *config = NULL;
	int r = config_load(&where, &config, NULL, error);
	config_free(config);
	return r;
}

static int write_own(struct import *import, struct error *error)
{
	cleanup_strv struct strv storage = {0};
	struct config_where where = {0};
	int r = config_where("/", &where, &storage, error);
	if (r < 0)
		return r;
	cleanup_free char *file = where.user_dir ? path_join(where.user_dir, CONFIG_FILE) : NULL;
	if (!file)
		return error_set(error, ENOENT, "import", "there is no place for your coffer.toml");
	struct merging merging = {import, file, import->notes.count};
	r = rule_file_rewrite(file, compose, &merging, load, error);
	if (r == 0) {
		say_text(stdout, file);
		putchar('\n');
	}
	return r;
}

/* ---- the command ---- */

static bool parse(int argc, char *argv[], struct options *ret, int *ret_code)
{
	static const struct option long_options[] = {{"write", no_argument, NULL, 'w'},
		{"strict", no_argument, NULL, 's'}, {"profile", required_argument, NULL, 'p'},
		{"help", no_argument, NULL, 'h'}, {0}};
	*ret_code = EXIT_FAILED;
	for (int option; (option = getopt_long(argc, argv, "", long_options, NULL)) != -1;) {
		switch (option) {
		case 'w':
			ret->write = true;
			break;
		case 's':
			ret->strict = true;
			break;
		case 'p':
			ret->profile = optarg;
			break;
		case 'h':
			fputs(usage, stdout);
			*ret_code = 0;
			return false;
		default:
			fputs(usage, stderr);
			return false;
		}
	}
	const char *name = optind < argc ? argv[optind] : "";
	for (size_t i = 0; i < ARRAY_SIZE(tools); i++)
		if (strcmp(tools[i].name, name) == 0)
			ret->tool = &tools[i];
	if (!ret->tool || argc - optind > 2) {
		if (*name && !ret->tool)
			say_complaint("'%s' is no tool whose files are known here", name);
		fputs(usage, stderr);
		return false;
	}
	ret->from = argc - optind == 2 ? argv[optind + 1] : NULL;
	return true;
}

static int gather(const struct options *options, struct import *import, char **ret_project,
	struct error *error)
{
	cleanup_strv struct strv files = {0};
	cleanup_free char *named = options->from ? strdup(options->from)
						 : default_directory(options->tool, import->home);
	cleanup_free char *from = named ? realpath(named, NULL) : NULL;
	struct stat st;
	if (!from || stat(from, &st) < 0)
		return error_set_errno(error, named ? errno : ENOENT, "import", "%.300s",
			named ? named : "the home directory");
	int r = 0;
	if (S_ISDIR(st.st_mode)) {
		r = list_files(options, from, &files, import, ret_project, error);
	} else {
		*ret_project = project_of(options->tool, from, import->home);
		import->directory = *ret_project;
		if (strv_add(&files, from) < 0)
			r = error_set_errno(error, ENOMEM, "import", "%.300s", from);
	}
	return r == 0 ? read_all(import, options->tool, &files, error) : r;
}

int config_import(int argc, char *argv[])
{
	struct options options = {0};
	struct error error = {0};
	cleanup_free char *project = NULL;
	int code;
	if (!parse(argc, argv, &options, &code))
		return code;
	struct import import = {.home = getenv("HOME"), .profile = options.profile};
	int r = gather(&options, &import, &project, &error);
	code = 0;
	if (r == 0 && options.write)
		r = write_own(&import, &error);
	else if (r == 0)
		code = print(&import);
	for (size_t i = 0; i < import.notes.count; i++) {
		say_text(stderr, import.notes.items[i]);
		fputc('\n', stderr);
	}
	if (r < 0)
		say_error(&error);
	if (code == 0 && options.strict && import.notes.count)
		code = EXIT_LEFT_OUT;
	import_release(&import);
	return r < 0 ? EXIT_FAILED : code;
}
