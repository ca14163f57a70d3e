#include "cli/command.h"

#include "base/cleanup.h"
#include "base/fd.h"
#include "cli/configure.h"
#include "cli/gate.h"
#include "cli/layer.h"
#include "cli/speculate.h"
#include "library/library.h"
#include "policy/policy.h"
#include "policy/profile.h"
#include "witness/feedback.h"

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

/* Nothing of the caller's but 0, 1, 2, the report and the channel for approvals goes further; and
 * those two not into the box. */
static void close_inherited(int report, int approvals)
{
	int keep[] = {0, 1, 2, report, approvals};
	for (size_t i = 3; i < ARRAY_SIZE(keep); i++)
		if (keep[i] >= 3)
			fcntl(keep[i], F_SETFD, FD_CLOEXEC);
	fd_close_all_but(keep, ARRAY_SIZE(keep));
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

/* What one command's run holds. */
struct run {
	struct cli_options options;
	struct cli_gate gate;
	struct cli_layer layer;
	struct coffer_report *report;
	int report_fd;
};

static void run_release(struct run *run)
{
	coffer_report_free(run->report);
	cli_gate_release(&run->gate);
	cli_options_release(&run->options);
}

/* The report of a command that the gate refused. */
static int refuse(struct run *run)
{
	const struct front_answer *answer = &run->gate.answer;
	const char *decision = answer->decision && *answer->decision ? answer->decision : NULL;
	if (library_report_refused(answer->reason, decision, &run->report) < 0) {
		cli_complain_text("out of memory");
		return -1;
	}
	return 0;
}

/* 0 with a report, or -1 after having complained. */
static int run_box(struct run *run)
{
	struct coffer_error error = {0};
	int r = coffer_run(run->options.policy, strv_items(&run->gate.argv),
		run->options.quiet ? NULL : cli_say, &run->report, &error);
	/* What the report says is said when it is concluded. */
	if (r < 0 && !(run->report && coffer_report_error(run->report)))
		cli_complain(&error);
	const char *decision = run->gate.answer.decision;
	if (run->report && decision && *decision)
		r = library_report_gate(run->report, decision);
	return run->report ? 0 : -1;
}

static bool is_refused(const struct run *run)
{
	return run->gate.consulted && run->gate.answer.verdict == FRONT_REFUSED;
}

/* Through the gate, and then in the box. */
static int pass_and_run(struct run *run, const char *after, const struct strv *asks)
{
	if (cli_gate_pass(&run->options, after, asks, &run->gate) < 0)
		return -1;
	return is_refused(run) ? refuse(run) : run_box(run);
}

/* A box without any network has nobody who could say which name was wanted: with one that opens
 * nothing there is. */
static void listen_for_names(struct cli_options *options)
{
	const struct policy *policy = options->policy->policy;
	if (policy->network.mode == NETWORK_UNSET && !network_is_open(&policy->network) &&
		policy->mode != MODE_FULL_ACCESS && policy->profile->view == VIEW_HOST)
		coffer_policy_set(options->policy, "net", "filtered", NULL);
}

/* on-failure: what failed because of a refusal is offered once more, with what it lacked. */
static int run_with_cure(struct run *run)
{
	if (run->options.approval.policy == APPROVAL_ON_FAILURE)
		listen_for_names(&run->options);
	int r = pass_and_run(run, NULL, &run->options.asks);
	if (r < 0 || run->options.approval.policy != APPROVAL_ON_FAILURE ||
		coffer_report_exit_code(run->report) == 0)
		return r;
	cleanup_strv struct strv asks = {0};
	cleanup_free char *after = NULL;
	if (cli_gate_cure(run->report, &asks, &after) < 0 || asks.count == 0)
		return 0;
	struct cli_gate first = run->gate;
	struct coffer_report *failed = run->report;
	run->gate = (struct cli_gate){0};
	run->report = NULL;
	char *const *argv = run->options.argv;
	run->options.argv = first.argv.items; /* as it ran */
	r = pass_and_run(run, after, &asks);
	run->options.argv = (char **)argv;
	bool refused = r < 0 || run->gate.answer.verdict == FRONT_REFUSED;
	if (refused) { /* the first run stands as it was */
		coffer_report_free(run->report);
		cli_gate_release(&run->gate);
		run->report = failed;
		run->gate = first;
	} else {
		coffer_report_free(failed);
		cli_gate_release(&first);
	}
	return 0;
}

/* What was refused, in the form that was asked for. */
static void tell_refusals(const struct run *run)
{
	static const enum feedback_form forms[] = {
		[FEEDBACK_AS_TEXT] = FEEDBACK_TEXT, [FEEDBACK_AS_JSON] = FEEDBACK_JSON};
	enum feedback_wish wish = run->options.feedback;
	if (wish == FEEDBACK_OFF || (wish == FEEDBACK_UNSET && run->options.quiet))
		return;
	/* Without a wish a run that was refused nothing pays nothing for it. */
	const struct denials *denials = run->report->denials;
	if (wish == FEEDBACK_UNSET && (!denials || denials_count(denials) == 0))
		return;
	enum feedback_form form = isatty(STDERR_FILENO) ? FEEDBACK_BLOCK : FEEDBACK_NETWORK;
	if (wish != FEEDBACK_UNSET)
		form = forms[wish];
	const char *json = coffer_report_json(run->report);
	json_t *report = json ? json_loads(json, 0, NULL) : NULL;
	cleanup_free char *text = report ? feedback_make(report, form) : NULL;
	json_decref(report);
	if (text)
		fputs(text, stderr);
}

/* Says what there is to say, writes the report, and gives the exit code. */
static int conclude(struct run *run)
{
	const struct coffer_error *error = coffer_report_error(run->report);
	if (error)
		cli_complain(error);
	int code = coffer_report_exit_code(run->report);
	if (run->report_fd < 0)
		show_captured(run->report);
	tell_refusals(run);
	if (run->report_fd >= 0 && write_report(run->report, run->report_fd) < 0 && code == 0)
		code = EXIT_SETUP_FAILED;
	if (!run->gate.consulted || run->gate.answer.verdict == FRONT_ALLOWED)
		cli_gate_outcome(&run->options, &run->gate, run->report);
	return code;
}

static int run_ahead(void *context, int report_fd)
{
	struct run *run = context;
	run->report_fd = report_fd;
	return run_box(run) == 0 ? conclude(run) : EXIT_SETUP_FAILED;
}

static int speculate(struct run *run)
{
	if (cli_gate_pass(&run->options, NULL, &run->options.asks, &run->gate) < 0)
		return EXIT_SETUP_FAILED;
	if (is_refused(run))
		return refuse(run) == 0 ? conclude(run) : EXIT_SETUP_FAILED;
	const struct speculation_run ahead = {.options = &run->options,
		.layer = &run->layer,
		.report_fd = run->report_fd,
		.run = run_ahead,
		.context = run};
	return cli_speculate(&ahead);
}

int cmd_run(int argc, char *argv[])
{
	struct run run = {.report_fd = -1};
	if (cli_parse("run", argc, argv, &run.options) < 0) {
		run_release(&run);
		return EXIT_SETUP_FAILED;
	}
	if (run.options.help) {
		help();
		run_release(&run);
		return 0;
	}
	if (cli_configure(&run.options) < 0) {
		run_release(&run);
		return EXIT_SETUP_FAILED;
	}
	run.report_fd = open_report(run.options.report);
	if (run.report_fd == -2 || !run.options.argv[0]) {
		if (run.report_fd != -2)
			cli_complain_text("no command is given: coffer run [OPTION]... -- COMMAND");
		run_release(&run);
		return EXIT_SETUP_FAILED;
	}
	close_inherited(run.report_fd, run.options.approvals_fd);
	signal(SIGPIPE, SIG_IGN); /* whoever reads a note may leave; the report is still written */
	int code = EXIT_SETUP_FAILED;
	if (cli_layer_open(&run.options, &run.layer) < 0)
		;
	else if (run.options.speculate)
		code = speculate(&run);
	else if (run_with_cure(&run) == 0)
		code = conclude(&run);
	cli_layer_close(&run.layer, &run.options, run.report);
	run_release(&run);
	return code;
}
