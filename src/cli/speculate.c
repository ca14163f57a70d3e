/* Theory of operation. The supervisor runs in a child process, in a process group of its own, and
 * without the terminal: nobody is asked for anything while the command runs ahead. This process
 * stays outside, passes the output on, and is whom the box's supervisor asks for names (wanted.c):
 * it answers nobody. When the command has ended, or does nothing any more but wait for what is held
 * (no processor time for a second), or when a person wants to see it (^C, SIGUSR1), the diff and
 * the connections are shown and one question is asked. For that while the box is stopped, as by ^Z.
 *
 * Without a terminal there is nobody to ask: what waits is refused, so that the command comes to an
 * end, the layer is kept, and nothing is applied. */
#include "cli/speculate.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/sibling.h"
#include "base/sys.h"
#include "base/terminal.h"
#include "cli/wanted.h"
#include "layer/changes.h"
#include "library/library.h"
#include "policy/policy.h"
#include "policy/profile.h"

#include <fcntl.h>
#include <jansson.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>

enum {
	LOOK_MS = 200,         /* how often it is looked whether the command still works */
	IDLE_US = 1000 * 1000, /* for so long it must have done nothing */
	IDLE_BUSY_US = 50000,  /* what does not count: a progress bar that turns */
	STOP_US = 2000 * 1000, /* how long the box may take to stop for a look */
	END_US = 5000 * 1000,  /* and to end when it is told to */
};

enum decision { UNDECIDED, APPLIED, DISCARDED, KEPT };

struct speculation {
	const struct speculation_run *run;
	struct wanted wanted;
	pid_t child;
	int pidfd, signals, output, report, terminal;
	int output_to; /* where the output goes on */
	bool ended, show, told_to_end;
	int status;
	/* Since when the command has done nothing. */
	uint64_t idle_since_us, busy_us, asked;
	enum decision decision;
};

/* ---- the process that runs the box ---- */

static bool holds_network(const struct cli_options *options)
{
	const struct policy *policy = options->policy->policy;
	return policy->network.mode != NETWORK_OFF && policy->profile->view != VIEW_STRICT;
}

static int hold_network(struct speculation *s)
{
	struct cli_options *options = s->run->options;
	const char *const settings[][2] = {{"net-ask", s->wanted.socket.path}, {"net-hold", NULL},
		{"ask-domain", "*:1-65535"}};
	struct coffer_error error;
	for (size_t i = 0; holds_network(options) && i < ARRAY_SIZE(settings); i++)
		if (coffer_policy_set(options->policy, settings[i][0], settings[i][1], &error) <
			0) {
			cli_complain(&error);
			return -1;
		}
	return 0;
}

static int set_up_stdio(int output)
{
	cleanup_close int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (null < 0 || (isatty(0) && dup2(null, 0) < 0))
		return -errno;
	for (int i = 1; i <= 2; i++)
		if (isatty(i) && dup2(output, i) < 0)
			return -errno;
	return 0;
}

__attribute__((noreturn)) static void run_child(
	const struct speculation *s, int output, pid_t parent)
{
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent || setpgid(0, 0) < 0 ||
		set_up_stdio(output) < 0)
		_exit(EXIT_SETUP_FAILED);
	int code = s->run->run(s->run->context, s->report);
	fflush(NULL);
	_exit(code);
}

static int start(struct speculation *s)
{
	int output[2];
	s->report = memfd_create("coffer-report", MFD_CLOEXEC);
	if (s->report < 0 || pipe2(output, O_CLOEXEC) < 0) {
		cli_complain_text("--speculate: %m");
		return -1;
	}
	s->output = output[0];
	cleanup_close int write_end = output[1];
	s->output_to = isatty(1) ? 1 : 2;
	pid_t parent = getpid();
	fflush(NULL);
	s->child = fork();
	if (s->child == 0)
		run_child(s, write_end, parent);
	if (s->child < 0) {
		cli_complain_text("--speculate: %m");
		return -1;
	}
	setpgid(s->child, s->child);
	s->pidfd = sys_pidfd_open(s->child, 0);
	sigset_t set;
	sigemptyset(&set);
	const int caught[] = {SIGINT, SIGUSR1, SIGTERM, SIGHUP, SIGQUIT};
	for (size_t i = 0; i < ARRAY_SIZE(caught); i++)
		sigaddset(&set, caught[i]);
	sigprocmask(SIG_BLOCK, &set, NULL);
	s->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	fcntl(s->output, F_SETFL, O_NONBLOCK);
	return s->pidfd < 0 || s->signals < 0 ? -1 : 0;
}

/* ---- while it runs ---- */

/* False: there will be no more. */
static bool pass_output(struct speculation *s)
{
	char chunk[16384];
	ssize_t n = read(s->output, chunk, sizeof(chunk));
	if (n > 0)
		fd_write_full(s->output_to, chunk, (size_t)n);
	if (n == 0)
		close_fd(&s->output);
	return n > 0;
}

static void take_signals(struct speculation *s)
{
	struct signalfd_siginfo info;
	while (read(s->signals, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
		if (info.ssi_signo == SIGINT || info.ssi_signo == SIGUSR1) {
			s->show = true;
			continue;
		}
		s->told_to_end = true;
		kill(s->child, (int)info.ssi_signo);
	}
}

static void reap(struct speculation *s)
{
	s->ended = waitpid(s->child, &s->status, WNOHANG) == s->child;
}

/* Whether the command does nothing any more but wait for connections. */
static bool is_idle(struct speculation *s)
{
	uint64_t now_us = clock_now_us();
	uint64_t busy_us = library_busy_us(s->child);
	bool works = s->wanted.open_count == 0 || s->wanted.asked != s->asked ||
		     busy_us > s->busy_us + IDLE_BUSY_US;
	if (works || s->idle_since_us == 0) {
		s->idle_since_us = now_us;
		s->busy_us = busy_us;
		s->asked = s->wanted.asked;
	}
	return now_us - s->idle_since_us >= IDLE_US;
}

/* Returns when it has ended, or when there is something to show. */
static void watch(struct speculation *s)
{
	s->idle_since_us = 0;
	while (!s->ended && !s->show) {
		struct pollfd fds[] = {
			{.fd = s->pidfd, .events = POLLIN},
			{.fd = s->signals, .events = POLLIN},
			{.fd = wanted_fd(&s->wanted), .events = POLLIN},
			{.fd = s->output, .events = POLLIN},
		};
		poll(fds, ARRAY_SIZE(fds), s->wanted.open_count > 0 ? LOOK_MS : -1);
		if (fds[3].revents)
			pass_output(s);
		if (fds[2].revents)
			wanted_take(&s->wanted);
		if (fds[1].revents)
			take_signals(s);
		if (fds[0].revents)
			reap(s);
		if (s->wanted.open_count > 0 && is_idle(s))
			s->show = true;
	}
	while (s->ended && s->output >= 0 && pass_output(s))
		;
}

/* Stops the box, as ^Z does: what it writes is looked at. */
static void stop_box(struct speculation *s)
{
	uint64_t end_us = clock_now_us() + STOP_US;
	kill(s->child, SIGTSTP);
	while (clock_now_us() < end_us) {
		siginfo_t info = {0};
		if (waitid(P_PID, (id_t)s->child, &info, WSTOPPED | WEXITED | WNOHANG | WNOWAIT) <
				0 ||
			info.si_pid != 0)
			break;
		usleep(5000);
	}
	while (s->output >= 0 && pass_output(s))
		;
}

static void end_box(struct speculation *s)
{
	uint64_t end_us = clock_now_us() + END_US;
	kill(s->child, SIGTERM);
	kill(s->child, SIGCONT);
	for (reap(s); !s->ended; reap(s)) {
		if (clock_now_us() > end_us)
			kill(s->child, SIGKILL);
		pass_output(s);
		usleep(5000);
	}
}

/* ---- what is shown ---- */

/* `coffer VERB ARGUMENT... LAYER`, for the terminal to see; its exit code. */
static int run_sibling(struct speculation *s, const char *const words[])
{
	char path[PATH_MAX];
	struct error error;
	if (sibling_find("coffer-task", "task", path, &error) < 0) {
		cli_complain((const struct coffer_error *)&error);
		return EXIT_SETUP_FAILED;
	}
	pid_t pid = fork();
	if (pid == 0) {
		sigset_t none;
		sigemptyset(&none);
		sigprocmask(SIG_SETMASK, &none, NULL);
		if (s->terminal >= 0 && (dup2(s->terminal, 0) < 0 || dup2(s->terminal, 1) < 0 ||
						dup2(s->terminal, 2) < 0))
			_exit(EXIT_SETUP_FAILED);
		execv(path, (char *const *)words);
		_exit(EXIT_SETUP_FAILED);
	}
	int status;
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return EXIT_SETUP_FAILED;
	return WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_SETUP_FAILED;
}

static int show_diff(struct speculation *s, const char *how)
{
	const char *words[5] = {"diff", how};
	size_t count = 2;
	if (!s->ended)
		words[count++] = "--running";
	words[count] = s->run->layer->id;
	return run_sibling(s, words);
}

static void show_wanted(const struct speculation *s, FILE *to)
{
	for (size_t i = 0; i < s->wanted.count; i++) {
		const struct wanted_item *item = &s->wanted.items[i];
		fputs("  ", to);
		cli_put(to, item->target);
		fputs(*item->program ? "  by " : "", to);
		cli_put(to, item->program);
		if (item->count > 1)
			fprintf(to, ", %u times", item->count);
		fputs(item->released ? " (let through)\n" : "\n", to);
	}
}

/* What the layer holds. False: that cannot be told. */
static bool look(const struct speculation *s, struct report_layer *ret)
{
	struct layer *layer = NULL;
	struct layer_counts counts;
	struct error error;
	bool known = layer_open(s->run->layer->id, LAYER_READ, &layer, &error) == 0 &&
		     layer_count(layer, &counts, &error) == 0;
	if (known)
		*ret = (struct report_layer){.id = s->run->layer->id,
			.name = (char *)s->run->options->layer_name,
			.added = counts.added,
			.modified = counts.modified,
			.deleted = counts.deleted,
			.bytes = counts.bytes};
	layer_close(layer);
	return known;
}

static bool has_changes(const struct speculation *s)
{
	struct report_layer holds;
	return !look(s, &holds) || holds.added + holds.modified + holds.deleted > 0;
}

static void show(struct speculation *s, FILE *to)
{
	size_t held = wanted_held(&s->wanted);
	if (s->ended)
		fprintf(to, "\ncoffer: the command has ended; nothing of it counts yet\n");
	else
		fprintf(to, "\ncoffer: the command is stopped%s; nothing of it counts yet\n",
			held ? ", and waits for connections" : "");
	fflush(to);
	show_diff(s, "--stat");
	if (s->wanted.count > 0)
		fprintf(to, "%s\n",
			s->ended && held ? "It wanted to connect, and could not:"
					 : "It wants to connect to:");
	show_wanted(s, to);
}

/* ---- the question ---- */

/* The first letter of a line that is typed; 'k' for the end of the terminal, and for ^C. */
static char read_letter(struct speculation *s)
{
	char line[256];
	tcflush(s->terminal, TCIFLUSH);
	for (;;) {
		struct pollfd fds[] = {{.fd = s->terminal, .events = POLLIN},
			{.fd = s->signals, .events = POLLIN}};
		poll(fds, ARRAY_SIZE(fds), -1);
		if (fds[1].revents) {
			take_signals(s);
			return 'k';
		}
		ssize_t n = read(s->terminal, line, sizeof(line));
		if (n <= 0)
			return 'k';
		if (line[0] != '\n')
			return line[0];
	}
}

static char ask(struct speculation *s)
{
	cleanup_fclose FILE *to = fdopen(fcntl(s->terminal, F_DUPFD_CLOEXEC, 3), "w");
	if (!to)
		return 'k';
	show(s, to);
	bool held = !s->ended && wanted_held(&s->wanted) > 0;
	for (;;) {
		if (s->ended)
			fprintf(to, "  y  apply it\n");
		else
			fprintf(to, "  y  %s\n",
				held ? "let exactly these through, and go on" : "go on");
		fprintf(to,
			"  p  show the patch\n"
			"  d  %sdiscard it\n"
			"  k  %skeep the layer, and decide later\n> ",
			s->ended ? "" : "end the command, and ",
			s->ended ? "" : "end the command, ");
		fflush(to);
		char letter = read_letter(s);
		if (letter == 'p')
			show_diff(s, "--patch");
		else if (letter && strchr("ydk", letter))
			return letter;
	}
}

static int verb(struct speculation *s, const char *name)
{
	const char *words[] = {name, s->run->layer->id, NULL};
	return run_sibling(s, words);
}

/* In the middle of the run. */
static void interrupt(struct speculation *s)
{
	s->show = false;
	if (s->terminal < 0 || !terminal_is_foreground(s->terminal)) {
		wanted_refuse(&s->wanted);
		return;
	}
	stop_box(s);
	char letter = ask(s);
	if (letter == 'y') {
		wanted_let_through(&s->wanted);
		kill(s->child, SIGCONT);
		return;
	}
	end_box(s);
	s->decision = letter == 'd' && verb(s, "discard") == 0 ? DISCARDED : KEPT;
}

static int conclude(struct speculation *s)
{
	bool someone = s->terminal >= 0 && !s->told_to_end && terminal_is_foreground(s->terminal);
	if (s->decision != UNDECIDED || !someone || !has_changes(s)) {
		s->decision = s->decision == UNDECIDED ? KEPT : s->decision;
		return 0;
	}
	char letter = ask(s);
	int code = letter == 'y' ? verb(s, "apply") : letter == 'd' ? verb(s, "discard") : 0;
	s->decision = code != 0 || letter == 'k' ? KEPT : letter == 'y' ? APPLIED : DISCARDED;
	return code;
}

/* ---- afterwards ---- */

static void say_wanted(const struct speculation *s)
{
	if (wanted_held(&s->wanted) == 0 || s->run->options->quiet)
		return;
	const char *name = s->run->options->layer_name;
	fprintf(stderr, "coffer: it wanted to connect, and could not:\n");
	show_wanted(s, stderr);
	fprintf(stderr, "  to go on with them: coffer run --layer=%s",
		name ? name : s->run->layer->id);
	for (size_t i = 0; i < s->wanted.count; i++)
		if (!s->wanted.items[i].released) {
			fputs(" --allow-domain ", stderr);
			cli_put(stderr, s->wanted.items[i].target);
		}
	fprintf(stderr, " -- COMMAND\n");
}

/* What the other process reports; caller frees. */
static json_t *read_report(const struct speculation *s, int code)
{
	cleanup_free char *text = NULL;
	size_t length = 0;
	json_t *report = NULL;
	char path[32];
	snprintf(path, sizeof(path), "/proc/self/fd/%d", s->report);
	if (fd_read_file(AT_FDCWD, path, MAX_REPORT_BYTES, &text, &length) == 0)
		report = json_loadb(text, length, 0, NULL);
	/* It was killed before it could say anything. */
	return report ? report : json_pack("{s:i, s:s}", "exit", code, "cause", "killed");
}

static int write_report(const struct speculation *s, json_t *report)
{
	static const char *const words[] = {
		[APPLIED] = "applied", [DISCARDED] = "discarded", [KEPT] = "kept"};
	if (s->run->report_fd < 0)
		return 0;
	json_t *own = json_pack("{s:s, s:s, s:o}", "layer", s->run->layer->id, "decision",
		words[s->decision], "wanted", wanted_json(&s->wanted));
	json_object_set_new(report, "speculation", own);
	char *json = own ? json_dumps(report, JSON_INDENT(2) | JSON_ENSURE_ASCII) : NULL;
	int r = json ? fd_write_full(s->run->report_fd, json, strlen(json)) : -ENOMEM;
	if (r == 0)
		r = fd_write_full(s->run->report_fd, "\n", 1);
	if (r < 0)
		cli_complain_text("the report could not be written: %s", strerrordesc_np(-r));
	free(json);
	return r;
}

static void leave_layer(const struct speculation *s, const json_t *report)
{
	struct cli_layer *layer = s->run->layer;
	struct report_layer holds = {0};
	const char *cause = json_string_value(json_object_get(report, "cause"));
	bool ran = !cause || strcmp(cause, "setup_failed") != 0;
	/* Nobody throws away what cannot be counted. */
	if (!look(s, &holds))
		layer->fresh = false;
	if (s->decision == KEPT) {
		cli_layer_conclude(layer, s->run->options, &holds, ran && holds.id);
	} else {
		free(layer->id);
		layer->id = NULL;
	}
}

/* Everything after the box's end. */
static int finish(struct speculation *s)
{
	int failed = conclude(s);
	int code = WIFEXITED(s->status) ? WEXITSTATUS(s->status) : 128 + WTERMSIG(s->status);
	if (code == 0)
		code = failed;
	json_t *report = read_report(s, code);
	if (write_report(s, report) < 0 && code == 0)
		code = EXIT_SETUP_FAILED;
	say_wanted(s);
	leave_layer(s, report);
	json_decref(report);
	return code;
}

int cli_speculate(const struct speculation_run *run)
{
	struct speculation s = {
		.run = run, .pidfd = -1, .signals = -1, .output = -1, .report = -1, .terminal = -1};
	int code = EXIT_SETUP_FAILED;
	int r = wanted_open(&s.wanted);
	if (r < 0)
		cli_complain_text("--speculate: %s", strerrordesc_np(-r));
	else if (hold_network(&s) == 0 && start(&s) == 0) {
		s.terminal = open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC);
		while (!s.ended && s.decision == UNDECIDED) {
			watch(&s);
			if (!s.ended)
				interrupt(&s);
		}
		code = finish(&s);
	}
	close_fd(&s.pidfd);
	close_fd(&s.signals);
	close_fd(&s.output);
	close_fd(&s.report);
	close_fd(&s.terminal);
	wanted_release_all(&s.wanted);
	return code;
}
