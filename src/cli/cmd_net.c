/* What can be asked of the network's rules without running anything. */
#include "cli/command.h"
#include "cli/configure.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { EXIT_CLOSED = 1 };

static void help(void)
{
	printf("usage: coffer net presets [--json]\n"
	       "       coffer net check HOST[:PORT] [OPTION]... [--json]\n"
	       "presets lists what --net-preset opens. check says whether the options let HOST be "
	       "reached\n(port 443 unless said), by which rule and why not: exit 0 if so, 1 if "
	       "not.\n\n");
	cli_help_policy();
}

static int presets(const struct cli_options *options)
{
	if (options->argv[0]) {
		cli_complain_text("coffer net presets takes --json and nothing else, not '%s'",
			options->argv[0]);
		return EXIT_SETUP_FAILED;
	}
	return cli_print(coffer_net_presets(options->json), options->json);
}

static int check(const struct cli_options *options, const char *target)
{
	if (!target)
		target = *options->argv ? options->argv[0] : NULL;
	else if (options->argv[0])
		target = NULL;
	if (!target || (options->argv[0] && options->argv[1])) {
		cli_complain_text("coffer net check takes one HOST[:PORT]");
		return EXIT_SETUP_FAILED;
	}
	struct coffer_error error = {0};
	char *text = NULL;
	int r = coffer_net_check(options->policy, target, options->json, &text, &error);
	if (r < 0) {
		cli_complain(&error);
		return EXIT_SETUP_FAILED;
	}
	int code = cli_print(text, options->json);
	return code ? code : r ? 0 : EXIT_CLOSED;
}

int cmd_net(int argc, char *argv[])
{
	const char *word = argc > 1 ? argv[1] : "";
	bool checks = strcmp(word, "check") == 0;
	if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) {
		help();
		return 0;
	}
	if (!checks && strcmp(word, "presets") != 0) {
		cli_complain_text("coffer net takes presets or check, not '%s'", word);
		return EXIT_SETUP_FAILED;
	}
	/* The target may stand before the options or behind them. */
	const char *target = checks && argc > 2 && argv[2][0] != '-' ? argv[2] : NULL;
	int skipped = target ? 2 : 1;
	struct cli_options options;
	int code = EXIT_SETUP_FAILED;
	if (cli_parse("net", argc - skipped, argv + skipped, &options) < 0)
		goto out;
	if (options.help) {
		help();
		code = 0;
	} else if (!checks) {
		code = presets(&options);
	} else if (cli_configure(&options) == 0) {
		code = check(&options, target);
	}
out:
	cli_options_release(&options);
	return code;
}
