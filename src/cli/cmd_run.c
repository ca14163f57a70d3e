#include "cli/command.h"

#include "base/cleanup.h"
#include "base/fd.h"
#include "cli/configure.h"

#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

static void help(void)
{
	printf("usage: coffer run [OPTION]... -- COMMAND [ARGUMENT]...\n"
	       "Runs COMMAND in a box that can touch only what the policy says.\n\n");
	cli_help_policy();
	printf("\nExit status: the command's own; 124 timed out; 125 the box could not be built; "
	       "126 refused\nor not executable; 127 not found; 128+N killed by signal N. "
	       "See coffer-run(1).\n");
}

/* Opens where the report goes before anything runs: a run whose report is lost is half done. */
static int open_report(const char *where)
{
	if (!where)
		return -1;
	if (strncmp(where, "fd:", 3) == 0) {
		char *end;
		long fd = strtol(where + 3, &end, 10);
		if (where[3] && !*end && fd >= 0 && fd <= INT_MAX && fcntl((int)fd, F_GETFD) >= 0)
			return (int)fd;
		cli_complain_text("--report %s: that is not an open descriptor", where);
		return -2;
	}
	int fd = fd_open_result(where);
	if (fd >= 0)
		return fd;
	cli_complain_text("--report %s: %s", where,
		fd == -ELOOP ? "a symbolic link is in the way" : strerrordesc_np(-fd));
	return -2;
}

/* Nothing of the caller's but 0, 1, 2 and the report goes further. */
static void close_inherited(int report)
{
	if (report >= 3)
		fcntl(report, F_SETFD, FD_CLOEXEC);
	if (report > 3)
		close_range(3, (unsigned)report - 1, 0);
	close_range(report >= 3 ? (unsigned)report + 1 : 3, UINT_MAX, 0);
}

static int write_report(struct coffer_report *report, int fd)
{
	const char *json = coffer_report_json(report);
	int r = json ? fd_write_full(fd, json, strlen(json)) : -ENOMEM;
	if (r == 0)
		r = fd_write_full(fd, "\n", 1);
	if (r < 0)
		cli_complain_text("the report could not be written: %s", strerrordesc_np(-r));
	return r;
}

/* A run that keeps its output and has no report to put it in shows it at the end. */
static void show_captured(const struct coffer_report *report)
{
	for (int i = 1; i <= 2; i++) {
		size_t length;
		const char *text = coffer_report_output(report, i, &length);
		FILE *to = i == 1 ? stdout : stderr;
		bool terminal = isatty(i);
		for (size_t k = 0; text && k < length; k++) {
			unsigned char c = (unsigned char)text[k];
			bool control = (c < 0x20 && c != '\n' && c != '\t') || c == 0x7f ||
				       (c >= 0x80 && c < 0xa0 && k > 0 &&
					       (unsigned char)text[k - 1] == 0xc2);
			if (terminal && control)
				fprintf(to, "\\x%02x", c);
			else
				fputc(c, to);
		}
		fflush(to);
	}
}

int cmd_run(int argc, char *argv[])
{
	struct cli_options options;
	if (cli_parse("run", argc, argv, &options) < 0) {
		cli_options_release(&options);
		return EXIT_SETUP_FAILED;
	}
	if (options.help) {
		help();
		cli_options_release(&options);
		return 0;
	}
	if (cli_configure(&options) < 0) {
		cli_options_release(&options);
		return EXIT_SETUP_FAILED;
	}
	int fd = open_report(options.report);
	if (fd == -2 || !options.argv[0]) {
		if (fd != -2)
			cli_complain_text("no command is given: coffer run [OPTION]... -- COMMAND");
		cli_options_release(&options);
		return EXIT_SETUP_FAILED;
	}
	close_inherited(fd);
	signal(SIGPIPE, SIG_IGN); /* whoever reads a note may leave; the report is still written */
	struct coffer_report *report = NULL;
	struct coffer_error error = {0};
	int r = coffer_run(
		options.policy, options.argv, options.quiet ? NULL : cli_say, &report, &error);
	int code = EXIT_SETUP_FAILED;
	if (r < 0)
		cli_complain(&error);
	else if (coffer_report_error(report))
		cli_complain(coffer_report_error(report));
	if (report) {
		code = coffer_report_exit_code(report);
		if (fd < 0)
			show_captured(report);
		if (fd >= 0 && write_report(report, fd) < 0 && code == 0)
			code = EXIT_SETUP_FAILED;
	}
	coffer_report_free(report);
	cli_options_release(&options);
	return code;
}
