/* `coffer trust`: what a project's own configuration says, and whether it is to count. What is
 * shown, hashed and recorded is the same content, read once. */
#include "gate/command.h"

#include "base/cleanup.h"
#include "config/trust.h"
#include "gate/config_checked.h"
#include "gate/say.h"

#include <string.h>

enum { EXIT_WRONG = 1, EXIT_FAILED = 125, MOST_OUTPUT_BYTES = 16 * 1024 * 1024 };

struct arguments {
	bool yes, remove, list;
	const char *directory;
};

static int usage(FILE *to, int code)
{
	fputs("usage: coffer trust [--yes] [DIR]\n"
	      "       coffer trust --remove [DIR]\n"
	      "       coffer trust --list\n"
	      "Shows what DIR/.coffer/coffer.toml would change, and trusts it as it is now. A\n"
	      "changed file is not trusted any more. Such a file can only narrow.\n",
		to);
	return code;
}

static bool parse(int argc, char *argv[], struct arguments *ret)
{
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--yes") == 0 || strcmp(argv[i], "-y") == 0)
			ret->yes = true;
		else if (strcmp(argv[i], "--remove") == 0)
			ret->remove = true;
		else if (strcmp(argv[i], "--list") == 0)
			ret->list = true;
		else if (argv[i][0] != '-' && !ret->directory)
			ret->directory = argv[i];
		else
			return false;
	}
	return !(ret->remove && ret->list);
}

static int list_record(enum trust_kind kind, const char *path, const char *hash, void *context)
{
	static const char *const kinds[] = {
		[TRUST_PROJECT] = "project", [TRUST_HOOK] = "hook", [TRUST_TASK] = "task"};
	(void)context;
	printf("%-8s %.16s  ", kinds[kind], hash);
	say_text(stdout, path);
	putchar('\n');
	return 0;
}

static int list(const struct config_where *where)
{
	int r = trust_each(where->state_dir, list_record, NULL);
	if (r == 0)
		return fflush(stdout) == 0 ? 0 : EXIT_FAILED;
	say_complaint("the trust records: %s", strerrordesc_np(-r));
	return EXIT_FAILED;
}

/* y or Y at the start of a line; anything else, and the end of input, is no. */
static bool confirmed(const char *question)
{
	char line[64];
	fputs(question, stdout);
	fflush(stdout);
	return fgets(line, sizeof(line), stdin) && (line[0] == 'y' || line[0] == 'Y');
}

/* What the project's file says on top of the user's, which it may only narrow. */
static int show(const struct config_where *where, struct config_source sources[CONFIG_SOURCES],
	struct error *error)
{
	cleanup_strv struct strv problems = {0};
	struct config *config;
	int r = config_load_checked(where, sources, true, &config, &problems, error);
	for (size_t i = 0; r < 0 && i < problems.count; i++)
		say_complaint("%s", problems.items[i]);
	if (r < 0)
		return r;
	cleanup_buffer struct buffer text = BUFFER_INIT(MOST_OUTPUT_BYTES);
	config_show_layers(config, 1u << LAYER_PROJECT, &text);
	r = buffer_error(&text);
	if (r == 0) {
		fputs(text.length_bytes ? text.data : "(it changes nothing)\n", stdout);
		for (size_t i = 0; i < config->notices.count; i++)
			say_complaint("%s", config->notices.items[i]);
	}
	config_free(config);
	return r < 0 ? error_set_errno(error, -r, "config", "the project's configuration") : 0;
}

static int trust(const struct config_where *where, const struct config_source *project,
	struct config_source sources[CONFIG_SOURCES], bool yes)
{
	struct error error = {0};
	char hash[SHA256_HEX_BYTES];
	sha256_hex(project->data, project->length_bytes, hash);
	if (trust_holds(where->state_dir, TRUST_PROJECT, project->path, hash)) {
		say_text(stdout, project->path);
		puts(" is trusted as it is");
		return 0;
	}
	say_text(stdout, project->path);
	puts(" says:");
	if (show(where, sources, &error) < 0) {
		say_complaint("a faulty file is not trusted");
		return EXIT_WRONG;
	}
	if (!yes && (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO))) {
		say_complaint("nobody is there to ask: --yes trusts it without");
		return EXIT_WRONG;
	}
	if (!yes && !confirmed("Trust it as it is now? [y/N] ")) {
		puts("not trusted");
		return EXIT_WRONG;
	}
	if (trust_add(where->state_dir, TRUST_PROJECT, project->path, hash, &error) < 0) {
		say_error(&error);
		return EXIT_FAILED;
	}
	puts("trusted");
	return 0;
}

static int act(const struct config_where *where, const struct arguments *arguments)
{
	struct config_source sources[CONFIG_SOURCES];
	struct error error = {0};
	if (config_sources_read(where, sources, &error) < 0) {
		say_error(&error);
		return EXIT_FAILED;
	}
	const struct config_source *project = &sources[CONFIG_SOURCES - 1];
	int code = EXIT_WRONG;
	if (arguments->remove && project->path) {
		/* The file may be gone: the record is what is to go. */
		if (trust_remove(where->state_dir, TRUST_PROJECT, project->path, &error) < 0)
			say_error(&error);
		else
			code = puts("not trusted any more") < 0 ? EXIT_FAILED : 0;
	} else if (!project->path || !project->data) {
		say_complaint("there is no %s/" CONFIG_PROJECT_FILE " to trust",
			where->workspace ? where->workspace : arguments->directory);
	} else {
		code = trust(where, project, sources, arguments->yes);
	}
	config_sources_release(sources);
	return code;
}

int cmd_trust(int argc, char *argv[])
{
	struct arguments arguments = {0};
	if (argc == 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0))
		return usage(stdout, 0);
	if (!parse(argc, argv, &arguments))
		return usage(stderr, EXIT_FAILED);
	if (!arguments.directory)
		arguments.directory = ".";
	cleanup_free char *directory = realpath(arguments.directory, NULL);
	cleanup_strv struct strv storage = {0};
	struct config_where where;
	struct error error = {0};
	if (!directory) {
		say_complaint("%s: %m", arguments.directory);
		return EXIT_FAILED;
	}
	if (config_where(directory, &where, &storage, &error) < 0) {
		say_error(&error);
		return EXIT_FAILED;
	}
	return arguments.list ? list(&where) : act(&where, &arguments);
}
