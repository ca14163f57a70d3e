/* Policies that are made from what commands did. */
#include "cli/command.h"

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/limits.h"
#include "witness/suggest.h"

#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

static void help(void)
{
	printf("usage: coffer policy suggest [--json] REPORT...\n"
	       "Prints the narrowest policy that lets a command run again as it ran, as flags and "
	       "as\ncoffer.toml, from reports of `coffer run --trace-access --report REPORT`.\n");
}

static int read_reports(char *const files[], json_t *reports)
{
	for (; *files; files++) {
		cleanup_free char *text = NULL;
		size_t length;
		json_error_t fault;
		int r = fd_read_file(AT_FDCWD, *files, MAX_REPORT_BYTES, &text, &length);
		if (r < 0) {
			cli_complain_text("%s: %s", *files, strerrordesc_np(-r));
			return -1;
		}
		json_t *report = json_loadb(text, length, 0, &fault);
		if (!json_is_object(report)) {
			json_decref(report);
			cli_complain_text("%s: that is no report", *files);
			return -1;
		}
		json_array_append_new(reports, report);
	}
	return 0;
}

static int print(const struct suggestion *suggestion, bool json)
{
	cleanup_free char *flags = suggestion_flags(suggestion);
	cleanup_free char *toml = suggestion_toml(suggestion);
	if (!flags || !toml) {
		cli_complain_text("out of memory");
		return EXIT_SETUP_FAILED;
	}
	for (size_t i = 0; i < suggestion->notes.count; i++)
		cli_say(suggestion->notes.items[i]);
	if (!json) {
		printf("# as flags\ncoffer run %s -- COMMAND\n\n# as coffer.toml\n%s", flags, toml);
		return fflush(stdout) == 0 ? 0 : EXIT_SETUP_FAILED;
	}
	json_t *settings = json_array(), *root;
	for (size_t i = 0; i < suggestion->settings.count; i++)
		json_array_append_new(settings, json_string(suggestion->settings.items[i]));
	root = json_pack("{s:o, s:s, s:s}", "settings", settings, "flags", flags, "toml", toml);
	char *text = root ? json_dumps(root, JSON_INDENT(2)) : NULL;
	json_decref(root);
	return cli_print(text, true);
}

int cmd_policy(int argc, char *argv[])
{
	bool json = false;
	int i = 2;
	for (; i < argc && argv[i][0] == '-'; i++) {
		if (strcmp(argv[i], "--json") == 0)
			json = true;
		else
			break;
	}
	if (argc < 2 || strcmp(argv[1], "suggest") != 0 || (i < argc && argv[i][0] == '-')) {
		bool asked = argc > 1 && (strcmp(argv[argc - 1], "--help") == 0 ||
						 strcmp(argv[argc - 1], "-h") == 0);
		if (asked)
			help();
		else
			cli_complain_text("coffer policy takes suggest, --json and reports");
		return asked ? 0 : EXIT_SETUP_FAILED;
	}
	if (i == argc) {
		cli_complain_text("no report is named: coffer policy suggest REPORT...");
		return EXIT_SETUP_FAILED;
	}
	json_t *reports = json_array();
	struct suggestion suggestion;
	struct error error = {0};
	int code = EXIT_SETUP_FAILED;
	if (read_reports(argv + i, reports) == 0) {
		if (suggest(reports, &suggestion, &error) == 0) {
			code = print(&suggestion, json);
			suggestion_release(&suggestion);
		} else {
			cli_complain((const struct coffer_error *)&error);
		}
	}
	json_decref(reports);
	return code;
}
