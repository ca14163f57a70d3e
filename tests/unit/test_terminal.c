/* The caller's terminal and the box's own. The test is the window (the master side of the outer
 * PTY); it starts a "shell" with job control, that starts a "job" (what coffer's supervisor does
 * with an output), that starts an "init" with the command on the inner PTY. */
#include "run/output.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fd.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <termios.h>

#include <cmocka.h>

enum { PATIENCE_MS = 10000, BINARY_BYTES = 1024 * 1024 };

typedef int command_main(void);

struct window {
	int master;
	struct termios settings; /* what the shell has set */
	pid_t shell, job;
	int from_shell; /* what wait() told the shell of its job, an int each */
	int to_shell;   /* a byte: 'f' fg, 'b' bg */
	int from_job;   /* the read end of the job's stdout, when that is a pipe; else -1 */
};

/* --- the job: an output, an inner PTY, an init
 * ------------------------------------------------- */

static volatile sig_atomic_t size_changed;

static void on_size_change(int signal)
{
	(void)signal;
	size_changed = 1;
}

static void set_foreground(int terminal, pid_t group)
{
	sigset_t one;
	sigemptyset(&one);
	sigaddset(&one, SIGTTOU);
	sigprocmask(SIG_BLOCK, &one, NULL);
	tcsetpgrp(terminal, group);
	sigprocmask(SIG_UNBLOCK, &one, NULL);
}

/* Passes on what wait() says; continues the command when told to. */
static _Noreturn void run_init(
	struct output *output, command_main *command, int slave, int to_job, int from_job)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	signal(SIGHUP, SIG_DFL);
	setsid();
	ioctl(slave, TIOCSCTTY, 0);
	pid_t pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		setpgid(0, 0);
		if (output_takes_terminal(output))
			set_foreground(slave, getpid());
		for (int i = 0; i < 3; i++) {
			int fd = output_child_fd(output, i);
			dup2(fd < 0 ? slave : fd, i);
		}
		close_range(3, ~0U, 0);
		_exit(command());
	}
	setpgid(pid, pid);
	for (int i = 0; i < 3; i++) /* only the command holds the caller's descriptors */
		close(i);
	int status;
	while (waitpid(pid, &status, WUNTRACED) == pid) {
		char byte;
		if (write(to_job, &status, sizeof(status)) < 0 || !WIFSTOPPED(status) ||
			read(from_job, &byte, 1) != 1)
			break;
		set_foreground(slave, pid);
		kill(-pid, SIGCONT);
	}
	_exit(0);
}

static int serve(struct output *output, int from_init, int to_init)
{
	for (;;) {
		struct pollfd fds[OUTPUT_POLL_MAX + 1];
		size_t count = output_poll_fds(output, fds);
		fds[count] = (struct pollfd){.fd = from_init, .events = POLLIN};
		poll(fds, count + 1, 20);
		if (size_changed) {
			size_changed = 0;
			output_resize(output);
		}
		output_handle(output, fds, count);
		if (!fds[count].revents)
			continue;
		int status;
		if (read(from_init, &status, sizeof(status)) != sizeof(status))
			return 99;
		if (!WIFSTOPPED(status))
			return WIFEXITED(status) ? WEXITSTATUS(status) : 98;
		if (output_stopped(output, WSTOPSIG(status)) && write(to_init, "c", 1) != 1)
			return 97;
	}
}

static int run_job(command_main *command)
{
	signal(SIGPIPE, SIG_IGN);
	signal(SIGHUP, SIG_IGN); /* it is the output that has to notice */
	signal(SIGWINCH, on_size_change);
	struct output_options options = {.stdio = {0, 1, 2}, .terminal = true};
	struct output *output;
	int up[2], down[2];
	if (output_new(&options, &output, NULL) || pipe2(up, O_CLOEXEC) || pipe2(down, O_CLOEXEC))
		return 90;
	int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (master < 0 || unlockpt(master))
		return 91;
	int slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (output_attach_terminal(output, master, NULL))
		return 92;
	pid_t init = fork();
	if (!init) {
		close(master); /* a PTY hangs up when its last master is closed */
		close(up[0]);
		close(down[1]);
		run_init(output, command, slave, up[1], down[0]);
	}
	close(slave);
	close(up[1]);
	output_close_child_fds(output);
	int status = serve(output, up[0], down[1]);
	while (output_drain(output)) {
		struct pollfd fds[OUTPUT_POLL_MAX];
		size_t count = output_poll_fds(output, fds);
		poll(fds, count, 20);
		output_handle(output, fds, count);
	}
	output_finish(output);
	output_free(output);
	waitpid(init, NULL, 0);
	/* Nothing is left of it: no guard either. */
	return waitpid(-1, NULL, WNOHANG) == -1 ? status : 93;
}

/* --- the shell, the window
 * ---------------------------------------------------------------------- */

static _Noreturn void run_shell(struct window *window, command_main *command, int slave, int up,
	int down, int job_stdout, bool background)
{
	setsid();
	ioctl(slave, TIOCSCTTY, 0);
	pid_t job = fork();
	if (!job) {
		setpgid(0, 0);
		if (!background)
			set_foreground(slave, getpid());
		dup2(slave, 0);
		dup2(job_stdout < 0 ? slave : job_stdout, 1);
		dup2(slave, 2);
		close_range(3, ~0U, 0);
		_exit(run_job(command));
	}
	close(job_stdout);
	setpgid(job, job);
	if (write(up, &job, sizeof(job)) < 0)
		_exit(1);
	int status;
	while (waitpid(job, &status, WUNTRACED) == job) {
		set_foreground(slave, getpid());
		char byte;
		if (write(up, &status, sizeof(status)) < 0 || !WIFSTOPPED(status) ||
			read(down, &byte, 1) != 1)
			break;
		tcsetattr(slave, TCSANOW, &window->settings); /* as shells do */
		if (byte == 'f')
			set_foreground(slave, job);
		kill(-job, SIGCONT);
	}
	_exit(0);
}

static void open_window(
	struct window *window, command_main *command, bool stdout_is_pipe, bool background)
{
	int up[2], down[2], out[2] = {-1, -1};
	window->master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	assert_int_equal(unlockpt(window->master), 0);
	int slave = ioctl(window->master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	assert_true(slave >= 0);
	struct winsize size = {.ws_row = 41, .ws_col = 123};
	assert_int_equal(ioctl(slave, TIOCSWINSZ, &size), 0);
	assert_int_equal(tcgetattr(slave, &window->settings), 0);
	window->settings.c_cc[VERASE] = 8; /* so that it is nobody's default */
	assert_int_equal(tcsetattr(slave, TCSANOW, &window->settings), 0);
	assert_int_equal(pipe2(up, O_CLOEXEC), 0);
	assert_int_equal(pipe2(down, O_CLOEXEC), 0);
	if (stdout_is_pipe)
		assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	window->shell = fork();
	assert_true(window->shell >= 0);
	if (!window->shell) {
		close(window->master);
		run_shell(window, command, slave, up[1], down[0], out[1], background);
	}
	close(slave);
	close(up[1]);
	close(down[0]);
	close_fd(&out[1]);
	window->from_shell = up[0];
	window->to_shell = down[1];
	window->from_job = out[0];
	assert_int_equal(read(window->from_shell, &window->job, sizeof(pid_t)), sizeof(pid_t));
}

/* What wait() told the shell next. */
static int job_status(struct window *window)
{
	struct pollfd pollfd = {.fd = window->from_shell, .events = POLLIN};
	assert_int_equal(poll(&pollfd, 1, PATIENCE_MS), 1);
	int status;
	assert_int_equal(read(window->from_shell, &status, sizeof(status)), sizeof(status));
	return status;
}

static void close_window(struct window *window)
{
	close(window->to_shell);
	close(window->from_shell);
	close_fd(&window->from_job);
	close(window->master);
	assert_int_equal(waitpid(window->shell, NULL, 0), window->shell);
}

static bool is_raw(const struct window *window)
{
	struct termios now;
	assert_int_equal(tcgetattr(window->master, &now), 0);
	return !(now.c_lflag & (ECHO | ICANON | ISIG)) && !(now.c_oflag & OPOST);
}

static bool is_restored(const struct window *window)
{
	struct termios now;
	assert_int_equal(tcgetattr(window->master, &now), 0);
	return !memcmp(&now, &window->settings, sizeof(now));
}

static void wait_for(bool (*condition)(const struct window *), const struct window *window)
{
	uint64_t start_us = clock_now_us();
	while (!condition(window)) {
		assert_true(clock_now_us() - start_us < PATIENCE_MS * 1000ULL);
		usleep(2000);
	}
}

static void type(struct window *window, const char *keys)
{
	assert_int_equal(fd_write_full(window->master, keys, strlen(keys)), 0);
}

/* Reads the screen until it shows text. */
static void see(int fd, const char *text)
{
	char screen[8192];
	size_t count = 0;
	uint64_t start_us = clock_now_us();
	do {
		struct pollfd pollfd = {.fd = fd, .events = POLLIN};
		assert_true(clock_now_us() - start_us < PATIENCE_MS * 1000ULL);
		assert_true(count < sizeof(screen) - 1);
		if (poll(&pollfd, 1, 100) != 1)
			continue;
		ssize_t got = read(fd, screen + count, sizeof(screen) - 1 - count);
		assert_true(got > 0);
		count += got;
		screen[count] = '\0';
	} while (!memmem(screen, count, text, strlen(text)));
}

/* --- the tests
 * ------------------------------------------------------------------------------------ */

/* Answers each line with its own; "quit" ends it, "size" shows the terminal's. */
static int lines(void)
{
	char line[256];
	dprintf(1, "ready\n");
	for (;;) {
		ssize_t count = read(0, line, sizeof(line) - 1);
		if (count <= 0)
			return 1;
		line[count] = '\0';
		if (!strcmp(line, "quit\n"))
			return 7;
		struct winsize size;
		if (!strcmp(line, "size\n") && !ioctl(0, TIOCGWINSZ, &size))
			dprintf(1, "<%dx%d>\n", size.ws_row, size.ws_col);
		else if (!strcmp(line, "stop\n"))
			raise(SIGTSTP);
		else
			dprintf(1, "<%s>", line);
	}
}

static void test_lines_and_restore(void **state)
{
	(void)state;
	struct window window;
	open_window(&window, lines, false, false);
	see(window.master, "ready\r\n");
	assert_true(is_raw(&window));
	/* The inner terminal has the outer one's settings: it echoes, edits with ^H, and adds the
	 * CR. */
	type(&window, "hellu\010o\r");
	see(window.master, "hellu\010 \010o\r\n<hello\r\n>");
	type(&window, "quit\r");
	int status = job_status(&window);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 7);
	assert_true(is_restored(&window));
	close_window(&window);
}

static void test_size(void **state)
{
	(void)state;
	struct window window;
	open_window(&window, lines, false, false);
	see(window.master, "ready");
	type(&window, "size\r");
	see(window.master, "<41x123>");
	struct winsize size = {.ws_row = 5, .ws_col = 77};
	assert_int_equal(ioctl(window.master, TIOCSWINSZ, &size), 0);
	usleep(100 * 1000);
	type(&window, "size\r");
	see(window.master, "<5x77>");
	type(&window, "quit\r");
	assert_int_equal(WEXITSTATUS(job_status(&window)), 7);
	close_window(&window);
}

static int interrupted(void)
{
	dprintf(1, "ready\n");
	pause();
	return 1;
}

/* ^C is a key like others outside, and a signal inside. */
static void test_interrupt(void **state)
{
	(void)state;
	struct window window;
	open_window(&window, interrupted, false, false);
	see(window.master, "ready");
	type(&window, "\003");
	int status = job_status(&window);
	assert_true(WIFEXITED(status)); /* the job itself was not interrupted */
	assert_int_equal(WEXITSTATUS(status), 98);
	assert_true(is_restored(&window));
	close_window(&window);
}

/* Children of the job by name; /proc/PID/task/PID/children. */
static pid_t find_guard(pid_t job)
{
	char path[64], *next;
	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", job, job);
	cleanup_free char *children = NULL;
	assert_int_equal(fd_read_file(AT_FDCWD, path, 4096, &children, NULL), 0);
	for (char *text = children; *text; text = next) {
		pid_t pid = strtol(text, &next, 10);
		if (next == text)
			break;
		cleanup_free char *comm = NULL;
		snprintf(path, sizeof(path), "/proc/%d/comm", pid);
		if (!fd_read_file(AT_FDCWD, path, 64, &comm, NULL) &&
			!strcmp(comm, "coffer-guard\n"))
			return pid;
	}
	return 0;
}

static void killed(bool whole_group)
{
	struct window window;
	open_window(&window, lines, false, false);
	see(window.master, "ready");
	assert_true(is_raw(&window));
	pid_t guard = find_guard(window.job);
	assert_true(guard > 0);
	assert_int_equal(kill(whole_group ? -window.job : window.job, SIGKILL), 0);
	assert_true(WIFSIGNALED(job_status(&window)));
	uint64_t start_us = clock_now_us();
	wait_for(is_restored, &window);
	char path[32];
	snprintf(path, sizeof(path), "/proc/%d/fd", guard);
	while (!access(path, X_OK) && clock_now_us() - start_us < 1000 * 1000)
		usleep(1000);
	/* Gone, or a zombie that nobody has reaped yet. */
	DIR *dir = opendir(path);
	if (dir) {
		assert_non_null(readdir(dir)); /* "." */
		assert_non_null(readdir(dir));
		assert_null(readdir(dir));
		closedir(dir);
	}
	close_window(&window);
}

static void test_kill_9(void **state)
{
	(void)state;
	killed(false);
	killed(true);
}

static void test_suspend(void **state)
{
	(void)state;
	struct window window;
	open_window(&window, lines, false, false);
	see(window.master, "ready");
	for (int i = 0; i < 3; i++) {
		type(&window, "\032");
		int status = job_status(&window);
		assert_true(WIFSTOPPED(status));
		assert_int_equal(WSTOPSIG(status), SIGTSTP);
		assert_true(is_restored(&window));
		struct winsize size = {.ws_row = 10 + i, .ws_col = 20};
		assert_int_equal(ioctl(window.master, TIOCSWINSZ, &size), 0);
		assert_int_equal(write(window.to_shell, "f", 1), 1);
		wait_for(is_raw, &window);
		type(&window, "size\r");
		char text[32];
		snprintf(text, sizeof(text), "<%dx20>", 10 + i);
		see(window.master, text);
	}
	/* A command that stops of its own accord. */
	type(&window, "stop\r");
	assert_true(WIFSTOPPED(job_status(&window)));
	assert_true(is_restored(&window));
	assert_int_equal(write(window.to_shell, "f", 1), 1);
	wait_for(is_raw, &window);
	type(&window, "quit\r");
	assert_int_equal(WEXITSTATUS(job_status(&window)), 7);
	assert_true(is_restored(&window));
	close_window(&window);
}

/* `coffer run cmd | less`: the terminal is left alone until the command reads it. */
static void test_pipeline(void **state)
{
	(void)state;
	struct window window;
	open_window(&window, lines, true, false);
	see(window.from_job, "ready\n");
	/* It reads the terminal at once, so it is stopped, and then has it. */
	wait_for(is_raw, &window);
	type(&window, "hello\r");
	see(window.from_job, "<hello\n>"); /* handed over: no CR */
	type(&window, "quit\r");
	assert_int_equal(WEXITSTATUS(job_status(&window)), 7);
	assert_true(is_restored(&window));
	close_window(&window);
}

static int quiet(void)
{
	dprintf(1, "ready\n");
	dprintf(2, "progress\n");
	usleep(200 * 1000);
	return 3;
}

static void test_pipeline_without_keyboard(void **state)
{
	(void)state;
	struct window window;
	open_window(&window, quiet, true, false);
	see(window.from_job, "ready\n");
	see(window.master, "progress");
	assert_true(is_restored(&window));
	assert_int_equal(find_guard(window.job), 0);
	assert_int_equal(WEXITSTATUS(job_status(&window)), 3);
	assert_true(is_restored(&window));
	close_window(&window);
}

/* `coffer run cmd &`: it stops when it wants the keyboard, as any program does; then fg. */
static void test_background(void **state)
{
	(void)state;
	struct window window;
	open_window(&window, lines, false, true);
	see(window.master, "ready");
	int status = job_status(&window);
	assert_true(WIFSTOPPED(status));
	assert_int_equal(WSTOPSIG(status), SIGTTIN);
	assert_true(is_restored(&window));
	assert_int_equal(write(window.to_shell, "f", 1), 1);
	wait_for(is_raw, &window);
	type(&window, "hello\r");
	see(window.master, "<hello");
	type(&window, "quit\r");
	assert_int_equal(WEXITSTATUS(job_status(&window)), 7);
	assert_true(is_restored(&window));
	close_window(&window);
}

static void fill_pattern(unsigned char *bytes)
{
	uint32_t state = 88675123;
	for (size_t i = 0; i < BINARY_BYTES; i++) {
		state = state * 1664525 + 1013904223;
		bytes[i] = state >> 24;
	}
}

/* Every byte to the screen, every byte from the keyboard. */
static int binary(void)
{
	struct termios settings;
	cleanup_free unsigned char *bytes = malloc(BINARY_BYTES), *keys = malloc(256);
	if (tcgetattr(0, &settings))
		return 1;
	cfmakeraw(&settings);
	if (tcsetattr(0, TCSANOW, &settings))
		return 2;
	fill_pattern(bytes);
	if (fd_write_full(1, bytes, BINARY_BYTES))
		return 3;
	if (fd_read_full(0, keys, 256) != 256)
		return 4;
	for (int i = 0; i < 256; i++)
		if (keys[i] != i)
			return 5;
	return 0;
}

static void test_binary(void **state)
{
	(void)state;
	struct window window;
	open_window(&window, binary, false, false);
	cleanup_free unsigned char *bytes = malloc(BINARY_BYTES), *screen = malloc(BINARY_BYTES);
	fill_pattern(bytes);
	assert_int_equal(fd_read_full(window.master, screen, BINARY_BYTES), BINARY_BYTES);
	assert_memory_equal(screen, bytes, BINARY_BYTES);
	unsigned char keys[256];
	for (int i = 0; i < 256; i++)
		keys[i] = i;
	assert_int_equal(fd_write_full(window.master, keys, sizeof(keys)), 0);
	assert_int_equal(job_status(&window), 0);
	assert_true(is_restored(&window));
	close_window(&window);
}

/* Nobody looks at the window: the job does not spin, waits, and then everything is there. */
static int much(void)
{
	for (int i = 0; i < 20000; i++)
		dprintf(1, "%05d\n", i);
	return 0;
}

static void test_nothing_is_lost_at_the_end(void **state)
{
	(void)state;
	struct window window;
	open_window(&window, much, false, false);
	usleep(300 * 1000);
	cleanup_free char *screen = malloc(20000 * 7);
	assert_int_equal(fd_read_full(window.master, screen, 20000 * 7), 20000 * 7);
	for (int i = 0; i < 20000; i++)
		assert_int_equal(atoi(screen + i * 7), i);
	assert_int_equal(job_status(&window), 0);
	assert_true(is_restored(&window));
	close_window(&window);
}

/* The window is closed: the command gets its SIGHUP, and nothing stays behind. */
static void test_window_closed(void **state)
{
	(void)state;
	struct window window;
	open_window(&window, lines, false, false);
	see(window.master, "ready");
	pid_t guard = find_guard(window.job);
	assert_true(guard > 0);
	close(window.master);
	uint64_t start_us = clock_now_us();
	while (!kill(window.job, 0) || !kill(guard, 0)) {
		assert_true(clock_now_us() - start_us < PATIENCE_MS * 1000ULL);
		while (waitpid(-1, NULL, WNOHANG) > 0) /* they have come to us */
			continue;
		usleep(2000);
	}
	close(window.to_shell);
	close(window.from_shell);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines_and_restore),
		cmocka_unit_test(test_size),
		cmocka_unit_test(test_interrupt),
		cmocka_unit_test(test_kill_9),
		cmocka_unit_test(test_suspend),
		cmocka_unit_test(test_pipeline),
		cmocka_unit_test(test_pipeline_without_keyboard),
		cmocka_unit_test(test_background),
		cmocka_unit_test(test_binary),
		cmocka_unit_test(test_nothing_is_lost_at_the_end),
		cmocka_unit_test(test_window_closed),
	};
	/* Orphans come to us, so that a closed window leaves no zombie that looks alive. */
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
