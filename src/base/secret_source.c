/* Theory of operation. A variable and a file are simply read. A command is a shell in a process group
 * of its own, with its output in a pipe and nothing else of this process: it ends with its time, with
 * whoever waits for it, and with this process, and so does whatever it started. */
#include "base/secret_source.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fd.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdnoreturn.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

int locked_new(struct locked *ret, const char *data, size_t length_bytes)
{
	/* Pages of its own: locks and advice are by page. */
	char *pages = mmap(
		NULL, length_bytes + 1, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (pages == MAP_FAILED)
		return -ENOMEM;
	mlock(pages, length_bytes + 1);
	madvise(pages, length_bytes + 1, MADV_DONTDUMP);
	memcpy(pages, data, length_bytes);
	*ret = (struct locked){.data = pages, .length_bytes = length_bytes};
	return 0;
}

void locked_free(struct locked *locked)
{
	if (!locked->data)
		return;
	explicit_bzero(locked->data, locked->length_bytes);
	munmap(locked->data, locked->length_bytes + 1);
	*locked = (struct locked){0};
}

/* A value as it was read, and what is wrong with it. */
struct reading {
	char data[SECRET_BYTES_MAX + 2]; /* one more than fits, and the NUL */
	size_t length_bytes;
};

static int __attribute__((format(printf, 4, 5))) fail(const struct secret_source *source,
	struct error *error, int errno_value, const char *format, ...)
{
	char what[512];
	va_list args;
	va_start(args, format);
	vsnprintf(what, sizeof(what), format, args);
	va_end(args);
	error_set(error, errno_value, "secrets", "the secret %.128s: %s", source->name, what);
	return error_hint(error, "%s", source->written);
}

/* ---- env: and file: ---- */

static int keep(struct reading *reading, const char *data, size_t length)
{
	if (length > SECRET_BYTES_MAX + 1) /* with the newline that is cut */
		return -EFBIG;
	memcpy(reading->data, data, length);
	reading->length_bytes = length;
	return 0;
}

static int read_variable(const struct secret_source *source, const char *name,
	struct reading *reading, struct error *error)
{
	const char *value = getenv(name);
	if (!value)
		return fail(source, error, ENOENT, "the variable %.128s is not set", name);
	if (keep(reading, value, strlen(value)) < 0)
		return fail(source, error, EFBIG, "the variable %.128s is longer than %d bytes", name,
			SECRET_BYTES_MAX);
	return 0;
}

static int read_file(const struct secret_source *source, const char *path, struct reading *reading,
	struct error *error)
{
	char *data = NULL;
	size_t length = 0;
	int r = fd_read_file(AT_FDCWD, path, SECRET_BYTES_MAX + 1, &data, &length);
	if (r == 0) {
		r = keep(reading, data, length);
		explicit_bzero(data, length);
		free(data);
	}
	if (r == -EFBIG)
		return fail(source, error, EFBIG, "the file %.256s is larger than %d bytes", path,
			SECRET_BYTES_MAX);
	if (r == -EINVAL)
		return fail(source, error, EINVAL, "%.256s is not a regular file", path);
	if (r < 0)
		return fail(source, error, -r, "the file %.256s: %s", path, strerrordesc_np(-r));
	return 0;
}

/* ---- command: ---- */

/* The process group of the command that runs, for end_command(). */
static volatile pid_t command_group;

/* Coffer has ended, or says that this process shall: with it goes whatever the command started. */
static void end_command(int signal)
{
	if (command_group > 0)
		kill(-command_group, SIGKILL);
	_exit(128 + signal);
}

/* What ends this process while the command runs, and was left to its default: it is caught, since the
 * command's own children would not be told of it. */
static const int ending_signals[] = {SIGTERM, SIGINT, SIGHUP};

struct watching {
	bool caught[ARRAY_SIZE(ending_signals)];
	int parent_death; /* the signal that this process had asked for; 0: none */
};

static int watch_begin(struct watching *watching)
{
	const struct sigaction action = {.sa_handler = end_command};
	*watching = (struct watching){0};
	for (size_t i = 0; i < ARRAY_SIZE(ending_signals); i++) {
		struct sigaction before;
		if (sigaction(ending_signals[i], NULL, &before) < 0)
			return -errno;
		if (before.sa_handler != SIG_DFL)
			continue;
		if (sigaction(ending_signals[i], &action, NULL) < 0)
			return -errno;
		watching->caught[i] = true;
	}
	if (prctl(PR_GET_PDEATHSIG, &watching->parent_death, 0, 0, 0) < 0)
		return -errno;
	/* SIGKILL cannot be caught. */
	if (watching->parent_death && prctl(PR_SET_PDEATHSIG, SIGTERM, 0, 0, 0) < 0)
		return -errno;
	return 0;
}

static int watch_end(const struct watching *watching)
{
	const struct sigaction action = {.sa_handler = SIG_DFL};
	int r = 0;
	for (size_t i = 0; i < ARRAY_SIZE(ending_signals); i++)
		if (watching->caught[i] && sigaction(ending_signals[i], &action, NULL) < 0)
			r = -errno;
	if (watching->parent_death &&
		prctl(PR_SET_PDEATHSIG, watching->parent_death, 0, 0, 0) < 0)
		r = -errno;
	return r;
}

/* The shell, in a group of its own, with its output in a pipe; everything else of this process is
 * closed to it. */
static noreturn void run_command(const char *command, int output, pid_t parent)
{
	char *const argv[] = {"sh", "-c", (char *)(uintptr_t)command, NULL};
	sigset_t none;
	sigemptyset(&none);
	for (size_t i = 0; i < ARRAY_SIZE(ending_signals); i++)
		signal(ending_signals[i], SIG_DFL);
	signal(SIGPIPE, SIG_DFL);
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) == 0 && getppid() == parent &&
		setpgid(0, 0) == 0 && null >= 0 && dup2(null, 0) == 0 && dup2(output, 1) == 1 &&
		close_range(3, ~0U, 0) == 0 && sigprocmask(SIG_SETMASK, &none, NULL) == 0)
		execve("/bin/sh", argv, environ);
	_exit(127);
}

static int start_command(
	const char *command, int output, struct watching *watching, pid_t *ret)
{
	sigset_t end, before;
	sigemptyset(&end);
	for (size_t i = 0; i < ARRAY_SIZE(ending_signals); i++)
		sigaddset(&end, ending_signals[i]);
	int r = watch_begin(watching);
	if (r < 0)
		return r;
	/* Until the handler knows whom to end. */
	sigprocmask(SIG_BLOCK, &end, &before);
	pid_t parent = getpid();
	pid_t child = fork();
	if (child == 0)
		run_command(command, output, parent);
	r = child < 0 ? -errno : 0;
	if (child > 0) {
		setpgid(child, child); /* whichever of the two comes first */
		command_group = child;
	}
	sigprocmask(SIG_SETMASK, &before, NULL);
	*ret = child;
	return r;
}

/* Collects the shell. kill_it: and whatever else of the command there is. */
static int end_of_command(
	pid_t child, const struct watching *watching, bool kill_it, int *ret_status)
{
	if (kill_it)
		kill(-child, SIGKILL);
	int r = 0;
	while (waitpid(child, ret_status, 0) < 0 && r == 0)
		if (errno != EINTR)
			r = -errno;
	command_group = 0;
	int watched = watch_end(watching);
	return r < 0 ? r : watched;
}

/* Reads to the end of the pipe. -EFBIG, -ETIMEDOUT; -ECANCELED: whom it is for is gone. */
static int read_pipe(int fd, int control, struct reading *reading)
{
	uint64_t end_us = clock_now_us() + (uint64_t)SECRET_COMMAND_MS * 1000;
	for (;;) {
		uint64_t now_us = clock_now_us();
		struct pollfd ready[] = {{.fd = fd, .events = POLLIN}, {.fd = control}};
		if (now_us >= end_us)
			return -ETIMEDOUT;
		int r = poll(ready, ARRAY_SIZE(ready), (int)((end_us - now_us) / 1000 + 1));
		if (r < 0 && errno != EINTR)
			return -errno;
		if (r > 0 && ready[1].revents)
			return -ECANCELED;
		if (r <= 0)
			continue;
		ssize_t n = read(fd, reading->data + reading->length_bytes,
			sizeof(reading->data) - reading->length_bytes);
		if (n < 0 && errno != EINTR)
			return -errno;
		if (n == 0)
			return 0;
		if (n > 0)
			reading->length_bytes += (size_t)n;
		if (reading->length_bytes > SECRET_BYTES_MAX + 1)
			return -EFBIG;
	}
}

static int read_command(const struct secret_source *source, const char *command,
	struct reading *reading, struct error *error)
{
	int ends[2], status;
	if (pipe2(ends, O_CLOEXEC) < 0)
		return fail(source, error, errno, "no pipe for the command");
	cleanup_close int reader = ends[0];
	cleanup_close int writer = ends[1];
	struct watching watching;
	pid_t child;
	int r = start_command(command, writer, &watching, &child);
	if (r < 0)
		return fail(source, error, -r, "/bin/sh: %s", strerrordesc_np(-r));
	close_fd(&writer);
	r = read_pipe(reader, source->control, reading);
	close_fd(&reader);
	if (end_of_command(child, &watching, r < 0, &status) < 0)
		return fail(source, error, ECHILD, "the command was lost");
	if (r == -EFBIG)
		return fail(source, error, EFBIG, "the command wrote more than %d bytes",
			SECRET_BYTES_MAX);
	if (r == -ETIMEDOUT)
		return fail(source, error, ETIMEDOUT, "the command took longer than %d s",
			SECRET_COMMAND_MS / 1000);
	if (r < 0)
		return fail(source, error, -r, "the command's output: %s", strerrordesc_np(-r));
	if (WIFSIGNALED(status))
		return fail(source, error, ECHILD, "the command was ended by signal %d",
			WTERMSIG(status));
	if (WEXITSTATUS(status) != 0)
		return fail(source, error, ECHILD, "the command failed with exit code %d",
			WEXITSTATUS(status));
	return 0;
}

/* ---- what all have in common ---- */

/* The newline that commands and editors end a line with is no part of a value; of a value with many
 * lines it is (OpenSSH takes no key without it). */
static void cut_newline(const struct secret_source *source, struct reading *reading)
{
	size_t length = reading->length_bytes;
	const char *first = memchr(reading->data, '\n', length);
	if (source->lines && first && first != reading->data + length - 1)
		return;
	if (length > 0 && reading->data[length - 1] == '\n')
		length--;
	if (length < reading->length_bytes && length > 0 && reading->data[length - 1] == '\r')
		length--;
	reading->length_bytes = length;
}

static int check(
	const struct secret_source *source, const struct reading *reading, struct error *error)
{
	if (reading->length_bytes == 0)
		return fail(source, error, ENODATA, "%.256s is empty", source->from);
	if (reading->length_bytes > SECRET_BYTES_MAX)
		return fail(source, error, EFBIG, "%.256s is longer than %d bytes", source->from,
			SECRET_BYTES_MAX);
	if (reading->length_bytes < SECRET_BYTES_MIN)
		return fail(source, error, EINVAL,
			"%.256s is shorter than %d bytes: it could not be told from other data",
			source->from, SECRET_BYTES_MIN);
	for (size_t i = 0; i < reading->length_bytes; i++) {
		unsigned char c = (unsigned char)reading->data[i];
		if (source->lines && (c == '\n' || c == '\r' || c == '\t'))
			continue;
		if (c == '\n' || c == '\r')
			return fail(
				source, error, EINVAL, "%.256s has more than one line", source->from);
		if (c < ' ' || c == 0x7f)
			return fail(source, error, EINVAL,
				"%.256s holds a control character (byte %zu)", source->from, i + 1);
	}
	return 0;
}

static const struct {
	const char *prefix;
	int (*read)(const struct secret_source *source, const char *rest, struct reading *reading,
		struct error *error);
} readers[] = {
	{"env:", read_variable},
	{"file:", read_file},
	{"command:", read_command},
};

static int read_source(
	const struct secret_source *source, struct reading *reading, struct error *error)
{
	for (size_t i = 0; i < ARRAY_SIZE(readers); i++) {
		size_t length = strlen(readers[i].prefix);
		if (strncmp(source->from, readers[i].prefix, length) == 0)
			return readers[i].read(source, source->from + length, reading, error);
	}
	return fail(source, error, EINVAL, "%.256s is no source", source->from);
}

int secret_source_read(const struct secret_source *source, struct locked *ret, struct error *error)
{
	struct reading reading = {0};
	int r = read_source(source, &reading, error);
	if (r == 0) {
		cut_newline(source, &reading);
		r = check(source, &reading, error);
	}
	if (r == 0 && locked_new(ret, reading.data, reading.length_bytes) < 0)
		r = fail(source, error, ENOMEM, "no memory");
	explicit_bzero(&reading, sizeof(reading));
	return r;
}
