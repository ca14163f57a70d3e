/* `coffer config`: what is in force, whether files are right, and what another tool's files come
 * to. */
#include "gate/command.h"

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/limits.h"
#include "base/path.h"
#include "base/suggest.h"
#include "gate/config_checked.h"
#include "gate/say.h"

#include <fcntl.h>
#include <string.h>

enum { EXIT_WRONG = 1, EXIT_FAILED = 125, MOST_OUTPUT_BYTES = 64 * 1024 * 1024 };

static int cmd_show(int argc, char *argv[]);
static int cmd_check_files(int argc, char *argv[]);
static int cmd_keys(int argc, char *argv[]);

static const struct verb {
	const char *name;
	int (*run)(int argc, char *argv[]);
	const char *arguments, *help;
} verbs[] = {
	{"show", cmd_show, "[--json] [-C DIR]", "what is in force, and where each part is said"},
	{"check", cmd_check_files, "[-C DIR] [FILE...]",
		"every fault of the files in force, or of FILEs: exit 1 if there is one"},
	{"keys", cmd_keys, "", "everything that a file may say"},
	{"import", config_import, "...", "another tool's configuration as coffer's"},
};

/* What show and check are told. */
struct arguments {
	bool json;
	const char *directory;
	char **files;
};

static int usage(FILE *to, int code)
{
	fputs("usage: coffer config VERB\n", to);
	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
		fprintf(to, "  %-7s%-20s %s\n", verbs[i].name, verbs[i].arguments, verbs[i].help);
	return code;
}

static bool parse(int argc, char *argv[], bool takes_json, struct arguments *ret)
{
	int i = 1;
	for (; i < argc && argv[i][0] == '-' && argv[i][1]; i++) {
		if (strcmp(argv[i], "--") == 0) {
			i++;
			break;
		}
		if (strcmp(argv[i], "-C") == 0 && i + 1 < argc) {
			ret->directory = argv[++i];
		} else if (strcmp(argv[i], "--json") == 0 && takes_json) {
			ret->json = true;
		} else {
			say_complaint("coffer config %s has no option '%s'", argv[0], argv[i]);
			usage(stderr, 0);
			return false;
		}
	}
	ret->files = argv + i;
	return true;
}

/* The real path of the directory that is asked about. */
static char *directory_of(const struct arguments *arguments)
{
	const char *directory = arguments->directory ? arguments->directory : ".";
	char *real = realpath(directory, NULL);
	if (!real)
		say_complaint("%s: %m", directory);
	return real;
}

static int put(struct buffer *out)
{
	if (buffer_error(out) < 0) {
		say_complaint("the configuration is too large to be shown");
		return EXIT_FAILED;
	}
	if (out->length_bytes)
		fwrite(out->data, 1, out->length_bytes, stdout);
	return fflush(stdout) == 0 ? 0 : EXIT_FAILED;
}

static int cmd_show(int argc, char *argv[])
{
	struct arguments arguments = {0};
	if (!parse(argc, argv, true, &arguments))
		return EXIT_FAILED;
	if (arguments.files[0]) {
		say_complaint("coffer config show takes no file");
		return EXIT_FAILED;
	}
	cleanup_free char *directory = directory_of(&arguments);
	if (!directory)
		return EXIT_FAILED;
	cleanup_strv struct strv storage = {0};
	struct config_where where;
	struct config *config = NULL;
	struct error error = {0};
	int r = config_where(directory, &where, &storage, &error);
	if (r == 0)
		r = config_load(&where, &config, NULL, &error);
	if (r < 0) {
		say_error(&error);
		return EXIT_FAILED;
	}
	cleanup_buffer struct buffer out = BUFFER_INIT(MOST_OUTPUT_BYTES);
	config_show(config, arguments.json, &out);
	if (arguments.json)
		buffer_append_string(&out, "\n");
	config_free(config);
	return put(&out);
}

static int cmd_keys(int argc, char *argv[])
{
	if (argc != 1) {
		say_complaint("coffer config keys takes no arguments, not '%s'", argv[1]);
		return EXIT_FAILED;
	}
	cleanup_buffer struct buffer out = BUFFER_INIT(MOST_OUTPUT_BYTES);
	config_print_keys(&out);
	return put(&out);
}

static int say_problems(const struct strv *problems, const struct error *error)
{
	for (size_t i = 0; i < problems->count; i++) {
		say_text(stdout, problems->items[i]);
		putchar('\n');
	}
	if (problems->count == 0) {
		say_text(stdout, error->message);
		putchar('\n');
	}
	return EXIT_WRONG;
}

/* The files in force, the project's whether it is trusted or not. */
static int check_all(const struct arguments *arguments)
{
	cleanup_free char *directory = directory_of(arguments);
	if (!directory)
		return EXIT_FAILED;
	cleanup_strv struct strv storage = {0}, problems = {0};
	struct config_where where;
	struct config_source sources[CONFIG_SOURCES];
	struct config *config = NULL;
	struct error error = {0};
	int r = config_where(directory, &where, &storage, &error);
	if (r == 0)
		r = config_sources_read(&where, sources, &error);
	if (r < 0)
		return say_problems(&problems, &error);
	r = config_load_checked(&where, sources, true, &config, &problems, &error);
	for (size_t i = 0; r == 0 && i < CONFIG_SOURCES; i++)
		if (sources[i].data) {
			say_text(stdout, sources[i].path);
			fputs(": no fault\n", stdout);
		}
	if (r == 0 && !config_sources_exist(sources))
		fputs("there is no configuration file; built-in values are in force\n", stdout);
	config_sources_release(sources);
	config_free(config);
	return r < 0 ? say_problems(&problems, &error) : 0;
}

/* By its name: which layer a file is meant for. */
static enum config_layer layer_of(const char *path)
{
	cleanup_free char *parent = path_parent(path);
	if (strcmp(path_name(path), CONFIG_REQUIREMENTS_FILE) == 0)
		return LAYER_REQUIREMENTS;
	if (parent && strcmp(path_name(parent), ".coffer") == 0)
		return LAYER_PROJECT;
	return LAYER_USER;
}

static int read_file(const char *path, struct config_source *ret, struct error *error)
{
	int r = fd_read_file(AT_FDCWD, path, MAX_CONFIG_FILE_BYTES, &ret->data, &ret->length_bytes);
	if (r == -EFBIG) {
		error_set(error, EFBIG, "config", "%.400s:1:1: the file has more than %d bytes",
			path, MAX_CONFIG_FILE_BYTES);
		return error_hint(error, "split off what is not configuration");
	}
	return r < 0 ? error_set_errno(error, -r, "config", "%.400s", path) : 0;
}

/* One file by itself, as the layer that its name says. */
static int check_file(const char *name)
{
	cleanup_strv struct strv problems = {0};
	cleanup_free char *here = getcwd(NULL, 0);
	cleanup_free char *path = here ? path_absolute(here, name) : NULL;
	cleanup_free char *parent = path ? path_parent(path) : NULL;
	cleanup_free char *top = parent ? path_parent(parent) : NULL;
	if (!top) {
		say_complaint("%s: %m", name);
		return EXIT_FAILED;
	}
	struct config_where where = {.home = getenv("HOME"), .workspace = top};
	struct config_source sources[CONFIG_SOURCES] = {{.layer = layer_of(path), .path = path}};
	struct config *config = NULL;
	struct error error = {0};
	int r = read_file(path, &sources[0], &error);
	if (r == 0)
		r = config_load_checked(&where, sources, true, &config, &problems, &error);
	free(sources[0].data);
	config_free(config);
	if (r < 0)
		return say_problems(&problems, &error);
	say_text(stdout, path);
	fputs(": no fault\n", stdout);
	return 0;
}

static int cmd_check_files(int argc, char *argv[])
{
	struct arguments arguments = {0};
	if (!parse(argc, argv, false, &arguments))
		return EXIT_FAILED;
	if (!arguments.files[0])
		return check_all(&arguments);
	int code = 0;
	for (char **file = arguments.files; *file; file++) {
		int one = check_file(*file);
		code = one > code ? one : code;
	}
	return code;
}

int cmd_config(int argc, char *argv[])
{
	const char *word = argc > 1 ? argv[1] : "";
	if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0)
		return usage(stdout, 0);
	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
		if (strcmp(verbs[i].name, word) == 0)
			return verbs[i].run(argc - 1, argv + 1);
	if (*word) {
		const char *near =
			suggest_nearest(word, verbs, ARRAY_SIZE(verbs), sizeof(verbs[0]));
		say_complaint("coffer config has no '%s'%s%s%s", word,
			near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
	}
	return usage(stderr, EXIT_FAILED);
}
