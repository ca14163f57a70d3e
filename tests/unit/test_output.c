#include "run/output.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/limits.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>

#include <cmocka.h>

enum { MIB = 1024 * 1024, PATIENCE_MS = 20000 };

/* --- the small world around an output ------------------------------------------------------- */

static unsigned char *random_bytes(size_t count)
{
	unsigned char *bytes = malloc(count + 1);
	assert_non_null(bytes);
	uint32_t state = 2463534242;
	for (size_t i = 0; i < count; i++) {
		state ^= state << 13;
		state ^= state >> 17;
		state ^= state << 5;
		bytes[i] = state;
	}
	return bytes;
}

static int temporary_file(int flags)
{
	char path[] = "/tmp/coffer-test-output-XXXXXX";
	int fd = mkostemp(path, O_CLOEXEC | flags);
	assert_true(fd >= 0);
	unlink(path);
	return fd;
}

/* What the box runs: reads 0, writes 1 and 2, returns its exit status. */
typedef int program_main(const void *context);

static pid_t start(struct output *output, program_main *program, const void *context)
{
	int fds[3];
	for (int i = 0; i < 3; i++)
		fds[i] = output_child_fd(output, i);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid) {
		output_close_child_fds(output);
		return pid;
	}
	/* As init does: first out of the way, then into place, then nothing else. */
	for (int i = 0; i < 3; i++)
		fds[i] = fcntl(fds[i], F_DUPFD, 100);
	for (int i = 0; i < 3; i++)
		dup2(fds[i], i);
	close_range(3, ~0U, 0);
	signal(SIGPIPE, SIG_DFL);
	_exit(program(context));
}

static void poll_once(struct output *output, int timeout_ms)
{
	struct pollfd fds[OUTPUT_POLL_MAX];
	size_t count = output_poll_fds(output, fds);
	assert_true(count <= OUTPUT_POLL_MAX);
	poll(fds, count, timeout_ms);
	output_handle(output, fds, count);
}

/* Runs the loop until pid ends; its wait status. */
static int serve(struct output *output, pid_t pid)
{
	uint64_t start_us = clock_now_us();
	int status;
	while (!waitpid(pid, &status, WNOHANG)) {
		assert_true(clock_now_us() - start_us < PATIENCE_MS * 1000ULL);
		poll_once(output, 5);
	}
	return status;
}

static int run(struct output *output, program_main *program, const void *context)
{
	int status = serve(output, start(output, program, context));
	output_finish(output);
	return status;
}

static struct output *make(const int stdio[3], bool capture, uint64_t limit_bytes)
{
	struct output_options options = {.stdio = {stdio[0], stdio[1], stdio[2]},
		.capture = capture,
		.limit_bytes = limit_bytes};
	struct output *output = NULL;
	struct error error = {0};
	if (output_new(&options, &output, &error))
		fail_msg("%s", error.message);
	return output;
}

static int null_fd(void)
{
	static int fd = -1;
	if (fd < 0)
		fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	return fd;
}

struct text {
	const void *bytes;
	size_t count;
};

static int write_text(const void *context)
{
	const struct text *text = context;
	return fd_write_full(1, text->bytes, text->count) ? 1 : 0;
}

static int write_alternating(const void *context)
{
	(void)context;
	for (int i = 0; i < 5000; i++) {
		char line[32];
		int length = snprintf(line, sizeof(line), "%d\n", i);
		if (write(i % 2 ? 1 : 2, line, length) != length)
			return 1;
	}
	return 0;
}

static void assert_file_holds(int fd, off_t offset, const void *bytes, size_t count)
{
	struct stat status;
	assert_int_equal(fstat(fd, &status), 0);
	assert_int_equal(status.st_size, offset + count);
	cleanup_free char *got = malloc(count + 1);
	assert_int_equal(pread(fd, got, count, offset), count);
	assert_memory_equal(got, bytes, count);
}

/* --- what is handed over, and what is refused ------------------------------------------------ */

static void test_handed_over(void **state)
{
	(void)state;
	int pipe_fds[2], sockets[2];
	assert_int_equal(pipe2(pipe_fds, O_CLOEXEC), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets), 0);
	struct output *output = make((int[]){pipe_fds[0], sockets[1], null_fd()}, false, 0);
	assert_int_equal(output_child_fd(output, 0), pipe_fds[0]);
	assert_int_equal(output_child_fd(output, 1), sockets[1]);
	assert_int_equal(output_child_fd(output, 2), null_fd());
	struct pollfd fds[OUTPUT_POLL_MAX];
	assert_int_equal(output_poll_fds(output, fds), 0);
	output_close_child_fds(output);
	assert_false(output_drain(output));
	output_finish(output);
	assert_null(output_captured(output, 1));
	output_free(output);
	/* They are the caller's, and still open. */
	for (int i = 0; i < 2; i++) {
		assert_int_equal(close(pipe_fds[i]), 0);
		assert_int_equal(close(sockets[i]), 0);
	}
}

static void assert_refused(int fd, const char *what)
{
	assert_true(fd >= 0);
	for (int i = 0; i < 3; i++) {
		struct output_options options = {.stdio = {null_fd(), null_fd(), null_fd()}};
		options.stdio[i] = fd;
		struct output *output = NULL;
		struct error error = {0};
		assert_int_equal(output_new(&options, &output, &error), -EINVAL);
		assert_null(output);
		assert_non_null(strstr(error.message, what));
		assert_true(error.hint[0]);
	}
	close(fd);
}

static void test_refused(void **state)
{
	(void)state;
	int sockets[2];
	assert_refused(open("/tmp", O_RDONLY | O_CLOEXEC), "a directory");
	assert_refused(open("/tmp", O_PATH | O_CLOEXEC), "a directory");
	assert_refused(open("/etc/passwd", O_PATH | O_CLOEXEC), "O_PATH");
	assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, sockets), 0);
	assert_refused(sockets[0], "a datagram");
	assert_refused(sockets[1], "a datagram");
	assert_refused(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), "a datagram");
	assert_refused(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, 0), "raw socket");
	assert_refused(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), "without a connection");
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(listen(listener, 1), 0);
	assert_refused(listener, "without a connection");
	int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	assert_int_equal(unlockpt(master), 0);
	int slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	assert_refused(slave, "a terminal");
	assert_refused(master, "master");
}

static int closed_program(const void *context)
{
	(void)context;
	char byte;
	return read(0, &byte, 1) == 0 && write(1, "x", 1) == 1 && write(2, "x", 1) == 1 ? 0 : 1;
}

/* In a process of its own, which closes its 0 to 2: whatever is made must not take their
 * numbers. */
static void test_closed(void **state)
{
	(void)state;
	int file = temporary_file(0);
	assert_int_equal(pwrite(file, "x", 1, 0), 1);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		dup2(file, 0);
		close(1);
		close(2);
		struct output_options options = {.stdio = {0, 1, -1}};
		struct output *output;
		if (output_new(&options, &output, NULL))
			_exit(10);
		struct stat status;
		for (int i = 0; i < 3; i++) {
			if (output_child_fd(output, i) < 3 ||
				fstat(output_child_fd(output, i), &status))
				_exit(11);
			if (i && !S_ISCHR(status.st_mode))
				_exit(12);
		}
		output_free(output);
		_exit(fstat(1, &status) || fstat(2, &status) ? 0 : 13);
	}
	int status;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	close(file);

	struct output *output = make((int[]){-1, -1, -1}, false, 0);
	assert_int_equal(run(output, closed_program, NULL), 0);
	output_free(output);
}

/* --- regular files ---------------------------------------------------------------------------- */

static void relay_to_file(int flags)
{
	size_t count = 5 * MIB + 123;
	cleanup_free unsigned char *bytes = random_bytes(count);
	cleanup_close int file = temporary_file(flags);
	assert_int_equal(write(file, "before", 6), 6);
	if (flags & O_APPEND)
		assert_int_equal(lseek(file, 0, SEEK_SET), 0); /* which O_APPEND ignores */
	struct output *output = make((int[]){null_fd(), file, null_fd()}, false, 0);
	assert_int_not_equal(output_child_fd(output, 1), file);
	struct text text = {bytes, count};
	assert_int_equal(run(output, write_text, &text), 0);
	assert_file_holds(file, 6, bytes, count);
	/* The next program continues where this one has ended. */
	assert_int_equal(lseek(file, 0, SEEK_CUR), 6 + count);
	assert_int_equal(output_bytes_passed(output, 1), count);
	assert_int_equal(output_bytes_dropped(output, 1), 0);
	assert_int_equal(output_error(output, 1), 0);
	output_free(output);
}

static void test_stdout_file(void **state)
{
	(void)state;
	relay_to_file(0);
	relay_to_file(O_APPEND);
}

static void test_one_file_keeps_the_order(void **state)
{
	(void)state;
	cleanup_close int file = temporary_file(0);
	cleanup_close int same = fcntl(file, F_DUPFD_CLOEXEC, 3);
	struct output *output = make((int[]){null_fd(), file, same}, false, 0);
	assert_int_equal(output_child_fd(output, 1), output_child_fd(output, 2));
	assert_int_equal(run(output, write_alternating, NULL), 0);
	output_free(output);
	char expected[64 * 1024];
	int length = 0;
	for (int i = 0; i < 5000; i++)
		length += snprintf(expected + length, sizeof(expected) - length, "%d\n", i);
	assert_file_holds(file, 0, expected, length);

	/* Opened twice, it has two offsets, and no order to keep. */
	char path[32];
	snprintf(path, sizeof(path), "/proc/self/fd/%d", file);
	cleanup_close int other = open(path, O_RDWR | O_CLOEXEC);
	assert_int_equal(lseek(other, 1, SEEK_SET), 1);
	output = make((int[]){null_fd(), file, other}, false, 0);
	assert_int_not_equal(output_child_fd(output, 1), output_child_fd(output, 2));
	output_free(output);
}

static int read_some(const void *context)
{
	size_t count = *(const size_t *)context;
	cleanup_free char *bytes = malloc(count + 1);
	ssize_t got = fd_read_full(0, bytes, count);
	return got >= 0 && fd_write_full(1, bytes, got) == 0 ? 0 : 1;
}

static void relay_from_file(size_t begin, size_t read_count, size_t expected_count, size_t size)
{
	cleanup_free unsigned char *bytes = random_bytes(size);
	cleanup_close int file = temporary_file(0), copy = temporary_file(0);
	assert_int_equal(fd_write_full(file, bytes, size), 0);
	assert_int_equal(lseek(file, begin, SEEK_SET), begin);
	struct output *output = make((int[]){file, copy, null_fd()}, false, 0);
	assert_int_not_equal(output_child_fd(output, 0), file);
	assert_int_equal(run(output, read_some, &read_count), 0);
	assert_file_holds(copy, 0, bytes + begin, expected_count);
	assert_int_equal(lseek(file, 0, SEEK_CUR), begin + expected_count);
	assert_int_equal(output_bytes_passed(output, 0), expected_count);
	assert_int_equal(output_bytes_dropped(output, 0), 0);
	output_free(output);
}

static void test_stdin_file(void **state)
{
	(void)state;
	relay_from_file(0, 0, 0, 0);
	relay_from_file(0, 0, 0, 3 * MIB);
	relay_from_file(0, 1, 1, 100);
	relay_from_file(10, 100001, 100001, 3 * MIB);
	relay_from_file(0, 3 * MIB, 3 * MIB, 3 * MIB);
	relay_from_file(5, 4 * MIB, 3 * MIB - 5, 3 * MIB);
}

static int write_until_error(const void *context)
{
	(void)context;
	char bytes[4096] = {0};
	for (;;)
		if (write(1, bytes, sizeof(bytes)) < 0)
			return 42;
}

/* A file that takes no more: the program finds its pipe closed, and the cause is kept. */
static void test_file_that_is_full(void **state)
{
	(void)state;
	struct rlimit saved, limit;
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &saved), 0);
	limit = (struct rlimit){.rlim_cur = 100000, .rlim_max = saved.rlim_max};
	cleanup_close int file = temporary_file(0);
	struct output *output = make((int[]){null_fd(), file, null_fd()}, false, 0);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
	int status = run(output, write_until_error, NULL);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &saved), 0);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGPIPE);
	assert_int_equal(output_error(output, 1), -EFBIG);
	assert_int_equal(output_bytes_passed(output, 1), 100000);
	output_free(output);
}

/* --- capture ---------------------------------------------------------------------------------- */

static void capture(size_t limit, size_t count)
{
	cleanup_free unsigned char *bytes = random_bytes(count);
	struct output *output = make((int[]){null_fd(), -1, -1}, true, limit);
	struct text text = {bytes, count};
	assert_int_equal(run(output, write_text, &text), 0);
	const struct captured *captured = output_captured(output, 1);
	assert_non_null(captured);
	size_t kept = count < limit ? count : limit;
	size_t head = kept < limit / 2 ? kept : limit / 2;
	assert_int_equal(captured->head_bytes, head);
	assert_int_equal(captured->tail_bytes, kept - head);
	assert_int_equal(captured->dropped_bytes, count - kept);
	assert_int_equal(output_bytes_passed(output, 1), kept);
	assert_int_equal(output_bytes_dropped(output, 1), count - kept);
	if (head)
		assert_memory_equal(captured->head, bytes, head);
	if (kept > head)
		assert_memory_equal(
			captured->tail, bytes + count - captured->tail_bytes, captured->tail_bytes);
	assert_int_equal(output_captured(output, 2)->head_bytes, 0);
	output_free(output);
}

static void test_capture_borders(void **state)
{
	(void)state;
	static const size_t limits[] = {1, 2, 3, 4096, 8192, 10001, 65536, 100000};
	for (size_t i = 0; i < ARRAY_SIZE(limits); i++) {
		size_t limit = limits[i], half = limit / 2;
		const size_t counts[] = {0, 1, half, half + 1, limit - 1, limit, limit + 1,
			limit + half, 2 * limit, 3 * limit + 1};
		for (size_t j = 0; j < ARRAY_SIZE(counts); j++)
			capture(limit, counts[j]);
	}
	capture(5 * MIB, 5 * MIB);
	capture(3 * MIB + 1, 7 * MIB + 5);
}

static void test_capture_default_limit(void **state)
{
	(void)state;
	size_t count = DEFAULT_CAPTURE_BYTES + 1;
	cleanup_free unsigned char *bytes = random_bytes(count);
	struct output *output = make((int[]){null_fd(), -1, -1}, true, 0);
	struct text text = {bytes, count};
	assert_int_equal(run(output, write_text, &text), 0);
	assert_int_equal(output_captured(output, 1)->dropped_bytes, 1);
	output_free(output);
}

static int leave_a_descendant(const void *context)
{
	(void)context;
	if (write(1, "out", 3) != 3 || write(2, "err", 3) != 3)
		return 1;
	if (!fork()) {
		/* Holds the pipes, and floods one of them. */
		for (;;)
			if (write(2, "flood", 5) < 0)
				_exit(0);
	}
	return 0;
}

static void test_descendant_does_not_hang(void **state)
{
	(void)state;
	struct output *output = make((int[]){null_fd(), -1, -1}, true, 0);
	uint64_t start_us = clock_now_us();
	assert_int_equal(run(output, leave_a_descendant, NULL), 0);
	assert_true(clock_now_us() - start_us < 5 * 1000 * 1000);
	const struct captured *captured = output_captured(output, 1);
	/* Half of the limit is head, and "out" fits into it. */
	assert_int_equal(captured->head_bytes, 3);
	assert_memory_equal(captured->head, "out", 3);
	assert_memory_equal(output_captured(output, 2)->head, "err", 3);
	output_free(output); /* closes the pipe: the descendant ends */
}

/* --- limits, readers that are slow or gone
 * ------------------------------------------------------ */

static void read_exactly(int fd, const void *bytes, size_t count)
{
	cleanup_free char *got = malloc(count + 1);
	assert_int_equal(fd_read_full(fd, got, count), count);
	assert_memory_equal(got, bytes, count);
}

static void limited_to(int writer, int reader, size_t limit, size_t count)
{
	cleanup_free unsigned char *bytes = random_bytes(count);
	struct output *output = make((int[]){null_fd(), writer, null_fd()}, false, limit);
	struct text text = {bytes, count};
	assert_int_equal(run(output, write_text, &text), 0);
	size_t passed = count < limit ? count : limit;
	assert_int_equal(output_bytes_passed(output, 1), passed);
	assert_int_equal(output_bytes_dropped(output, 1), count - passed);
	output_free(output);
	close(writer);
	read_exactly(reader, bytes, passed);
	char byte;
	assert_int_equal(read(reader, &byte, 1), 0);
	close(reader);
}

/* The whole output is taken from the box, whatever the reader does; what is passed fits the
 * pipe. */
static void test_limited_pass_through(void **state)
{
	(void)state;
	static const size_t counts[] = {0, 1, 9999, 10000, 10001, 3 * MIB};
	for (size_t i = 0; i < ARRAY_SIZE(counts); i++) {
		int fds[2];
		assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
		limited_to(fds[1], fds[0], 10000, counts[i]);
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
		limited_to(fds[1], fds[0], 10000, counts[i]);
	}
}

/* stdout is blocking, and nobody reads it for now: nothing here may wait for that. */
static void slow_reader(int writer, int reader)
{
	size_t count = 2 * MIB;
	cleanup_free unsigned char *bytes = random_bytes(count);
	cleanup_close int file = temporary_file(0);
	int flags = fcntl(writer, F_GETFL);
	struct output *output = make((int[]){null_fd(), writer, file}, false, 1024 * MIB);
	struct text text = {bytes, count};
	pid_t slow = start(output, write_text, &text);
	uint64_t start_us = clock_now_us(), longest_us = 0;
	for (int i = 0; i < 30; i++) {
		uint64_t before_us = clock_now_us();
		poll_once(output, 1);
		uint64_t took_us = clock_now_us() - before_us;
		longest_us = took_us > longest_us ? took_us : longest_us;
	}
	assert_true(clock_now_us() - start_us < 5 * 1000 * 1000);
	assert_true(longest_us < 2 * 1000 * 1000);
	assert_int_equal(fcntl(writer, F_GETFL), flags);   /* still blocking, for its other users */
	assert_int_equal(waitpid(slow, NULL, WNOHANG), 0); /* the writer waits, as without us */

	cleanup_free unsigned char *got = malloc(count);
	size_t got_count = 0;
	while (got_count < count) {
		assert_true(clock_now_us() - start_us < PATIENCE_MS * 1000ULL);
		poll_once(output, 1);
		ssize_t n = recv(reader, got + got_count, count - got_count, MSG_DONTWAIT);
		if (n < 0 && errno == ENOTSOCK) {
			struct pollfd pollfd = {.fd = reader, .events = POLLIN};
			n = poll(&pollfd, 1, 0) ? read(reader, got + got_count, count - got_count)
						: 0;
		}
		got_count += n > 0 ? n : 0;
	}
	assert_memory_equal(got, bytes, count);
	assert_int_equal(serve(output, slow), 0);
	output_finish(output);
	assert_int_equal(output_bytes_dropped(output, 1), 0);
	output_free(output);
	close(writer);
	close(reader);
}

static void test_slow_reader(void **state)
{
	(void)state;
	int fds[2];
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	slow_reader(fds[1], fds[0]);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	slow_reader(fds[1], fds[0]);
}

static int write_stderr_then_much(const void *context)
{
	if (fd_write_full(2, "seen", 4))
		return 1;
	return write_text(context);
}

static void test_streams_are_independent(void **state)
{
	(void)state;
	int full[2];
	assert_int_equal(pipe2(full, O_CLOEXEC), 0);
	assert_int_equal(fcntl(full[1], F_SETPIPE_SZ, 4096), 4096);
	cleanup_close int file = temporary_file(0);
	cleanup_free unsigned char *bytes = random_bytes(3 * 4096);
	assert_int_equal(write(full[1], bytes, 4096), 4096); /* full before we begin */
	struct output *output = make((int[]){null_fd(), full[1], file}, false, MIB);
	struct text text = {bytes + 4096, 2 * 4096};
	assert_int_equal(serve(output, start(output, write_stderr_then_much, &text)), 0);
	/* The command has ended; its output waits for the reader, and nothing is lost. */
	assert_true(output_drain(output));
	assert_file_holds(file, 0, "seen", 4);
	read_exactly(full[0], bytes, 4096);
	for (int i = 0; i < 1000 && output_drain(output); i++) {
		poll_once(output, 5);
		struct pollfd pollfd = {.fd = full[0], .events = POLLIN};
		if (i == 0 && poll(&pollfd, 1, 0))
			read_exactly(full[0], bytes + 4096, 4096);
	}
	assert_false(output_drain(output));
	output_finish(output);
	assert_int_equal(output_bytes_passed(output, 1), 2 * 4096);
	assert_int_equal(output_bytes_dropped(output, 1), 0);
	output_free(output);
	close(full[1]);
	read_exactly(full[0], bytes + 2 * 4096, 4096);
	close(full[0]);
}

/* In a hurry, what finds no room is counted. */
static void test_finish_counts_what_is_lost(void **state)
{
	(void)state;
	int full[2];
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, full), 0);
	static const char bytes[4096];
	ssize_t filled;
	while ((filled = send(full[1], bytes, sizeof(bytes), MSG_DONTWAIT)) > 0)
		continue;
	struct output *output = make((int[]){null_fd(), full[1], null_fd()}, false, MIB);
	struct text text = {bytes, sizeof(bytes)};
	assert_int_equal(run(output, write_text, &text), 0);
	assert_int_equal(output_bytes_passed(output, 1), 0);
	assert_int_equal(output_bytes_dropped(output, 1), sizeof(bytes));
	output_free(output);
	close(full[0]);
	close(full[1]);
}

static void test_reader_gone(void **state)
{
	(void)state;
	int fds[2];
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	close(fds[0]);
	struct output *output = make((int[]){null_fd(), fds[1], null_fd()}, false, MIB);
	int status = run(output, write_until_error, NULL);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGPIPE);
	assert_int_equal(output_error(output, 1), -EPIPE);
	output_free(output);
	close(fds[1]);
}

static int copy_through(const void *context)
{
	(void)context;
	char bytes[5000];
	ssize_t count;
	while ((count = read(0, bytes, sizeof(bytes))) > 0)
		if (fd_write_full(1, bytes, count))
			return 1;
	return count ? 1 : 0;
}

/* A network socket's bytes pass; the socket itself does not. */
static void test_network_socket(void **state)
{
	(void)state;
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in address = {
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t length = sizeof(address);
	assert_int_equal(bind(listener, (struct sockaddr *)&address, length), 0);
	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &length), 0);
	int near = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(near, (struct sockaddr *)&address, length), 0);
	int far = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	assert_true(far >= 0);

	size_t count = 100000;
	cleanup_free unsigned char *bytes = random_bytes(count);
	assert_int_equal(fd_write_full(near, bytes, count), 0);
	assert_int_equal(shutdown(near, SHUT_WR), 0);
	struct output *output = make((int[]){far, far, null_fd()}, false, 0);
	struct stat status;
	for (int i = 0; i < 2; i++) {
		assert_int_equal(fstat(output_child_fd(output, i), &status), 0);
		assert_true(S_ISFIFO(status.st_mode));
	}
	assert_int_equal(run(output, copy_through, NULL), 0);
	output_free(output);
	close(far);
	read_exactly(near, bytes, count);
	close(near);
	close(listener);
}

static int set_up(void **state)
{
	(void)state;
	/* As the supervisor does. */
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_handed_over),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_closed),
		cmocka_unit_test(test_stdout_file),
		cmocka_unit_test(test_one_file_keeps_the_order),
		cmocka_unit_test(test_stdin_file),
		cmocka_unit_test(test_file_that_is_full),
		cmocka_unit_test(test_capture_borders),
		cmocka_unit_test(test_capture_default_limit),
		cmocka_unit_test(test_descendant_does_not_hang),
		cmocka_unit_test(test_limited_pass_through),
		cmocka_unit_test(test_slow_reader),
		cmocka_unit_test(test_streams_are_independent),
		cmocka_unit_test(test_finish_counts_what_is_lost),
		cmocka_unit_test(test_reader_gone),
		cmocka_unit_test(test_network_socket),
	};
	return cmocka_run_group_tests(tests, set_up, NULL);
}
