/* Where values of secrets come from. All of this happens at the start, before the process is
 * confined and before anything runs in the box. */
#include "egress/secrets.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fd.h"

#include <fcntl.h>
#include <openssl/crypto.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>
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
	OPENSSL_cleanse(locked->data, locked->length_bytes);
	munmap(locked->data, locked->length_bytes + 1);
	*locked = (struct locked){0};
}

/* A value as it was read, and what is wrong with it. */
struct reading {
	char data[SECRET_BYTES_MAX + 2]; /* one more than fits, and the NUL */
	size_t length_bytes;
};

static int __attribute__((format(printf, 4, 5))) fail(const struct network_secret *rule,
	struct error *error, int errno_value, const char *format, ...)
{
	char what[512];
	va_list args;
	va_start(args, format);
	vsnprintf(what, sizeof(what), format, args);
	va_end(args);
	error_set(error, errno_value, "secrets", "the secret %s: %s", rule->name, what);
	return error_hint(error, "%s", rule->source);
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

static int read_variable(const struct network_secret *rule, const char *name,
	struct reading *reading, struct error *error)
{
	const char *value = getenv(name);
	if (!value)
		return fail(rule, error, ENOENT, "the variable %.128s is not set", name);
	if (keep(reading, value, strlen(value)) < 0)
		return fail(rule, error, EFBIG, "the variable %.128s is longer than %d bytes", name,
			SECRET_BYTES_MAX);
	return 0;
}

static int read_file(const struct network_secret *rule, const char *path, struct reading *reading,
	struct error *error)
{
	char *data = NULL;
	size_t length = 0;
	int r = fd_read_file(AT_FDCWD, path, SECRET_BYTES_MAX + 1, &data, &length);
	if (r == 0) {
		r = keep(reading, data, length);
		OPENSSL_cleanse(data, length);
		free(data);
	}
	if (r == -EFBIG)
		return fail(rule, error, EFBIG, "the file %.256s is larger than %d bytes", path,
			SECRET_BYTES_MAX);
	if (r == -EINVAL)
		return fail(rule, error, EINVAL, "%.256s is not a regular file", path);
	if (r < 0)
		return fail(rule, error, -r, "the file %.256s: %s", path, strerrordesc_np(-r));
	return 0;
}

/* ---- command: ---- */

/* The shell with its output in a pipe; everything else of this process is closed to it. */
static int start_command(const char *command, int output, pid_t *ret)
{
	char *const argv[] = {"sh", "-c", (char *)(uintptr_t)command, NULL};
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	sigset_t all, none;
	sigfillset(&all);
	sigemptyset(&none);
	int r = posix_spawn_file_actions_init(&actions);
	if (r != 0)
		return -r;
	r = posix_spawnattr_init(&attributes);
	if (r != 0) {
		posix_spawn_file_actions_destroy(&actions);
		return -r;
	}
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
	posix_spawnattr_setsigdefault(&attributes, &all);
	posix_spawnattr_setsigmask(&attributes, &none);
	r = posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
	if (r == 0)
		r = posix_spawn_file_actions_adddup2(&actions, output, 1);
	if (r == 0)
		r = posix_spawn_file_actions_addclosefrom_np(&actions, 3);
	if (r == 0)
		r = posix_spawn(ret, "/bin/sh", &actions, &attributes, argv, environ);
	posix_spawnattr_destroy(&attributes);
	posix_spawn_file_actions_destroy(&actions);
	return -r;
}

/* Reads to the end of the pipe. -EFBIG, -ETIMEDOUT. */
static int read_pipe(int fd, struct reading *reading)
{
	uint64_t end_us = clock_now_us() + (uint64_t)SECRET_COMMAND_MS * 1000;
	for (;;) {
		uint64_t now_us = clock_now_us();
		struct pollfd ready = {.fd = fd, .events = POLLIN};
		if (now_us >= end_us)
			return -ETIMEDOUT;
		int r = poll(&ready, 1, (int)((end_us - now_us) / 1000 + 1));
		if (r < 0 && errno != EINTR)
			return -errno;
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

static int read_command(const struct network_secret *rule, const char *command,
	struct reading *reading, struct error *error)
{
	int ends[2];
	if (pipe2(ends, O_CLOEXEC) < 0)
		return fail(rule, error, errno, "no pipe for the command");
	cleanup_close int reader = ends[0];
	cleanup_close int writer = ends[1];
	pid_t child;
	int r = start_command(command, writer, &child);
	if (r < 0)
		return fail(rule, error, -r, "/bin/sh: %s", strerrordesc_np(-r));
	close_fd(&writer);
	r = read_pipe(reader, reading);
	close_fd(&reader);
	if (r < 0)
		kill(child, SIGKILL);
	int status;
	while (waitpid(child, &status, 0) < 0)
		if (errno != EINTR)
			return fail(rule, error, errno, "the command was lost");
	if (r == -EFBIG)
		return fail(rule, error, EFBIG, "the command wrote more than %d bytes",
			SECRET_BYTES_MAX);
	if (r == -ETIMEDOUT)
		return fail(rule, error, ETIMEDOUT, "the command took longer than %d s",
			SECRET_COMMAND_MS / 1000);
	if (r < 0)
		return fail(rule, error, -r, "the command's output: %s", strerrordesc_np(-r));
	if (WIFSIGNALED(status))
		return fail(rule, error, ECHILD, "the command was ended by signal %d",
			WTERMSIG(status));
	if (WEXITSTATUS(status) != 0)
		return fail(rule, error, ECHILD, "the command failed with exit code %d",
			WEXITSTATUS(status));
	return 0;
}

/* ---- what all have in common ---- */

static void cut_newline(struct reading *reading)
{
	size_t length = reading->length_bytes;
	if (length > 0 && reading->data[length - 1] == '\n')
		length--;
	if (length < reading->length_bytes && length > 0 && reading->data[length - 1] == '\r')
		length--;
	reading->length_bytes = length;
}

static int check(
	const struct network_secret *rule, const struct reading *reading, struct error *error)
{
	if (reading->length_bytes == 0)
		return fail(rule, error, ENODATA, "%.256s is empty", rule->from);
	if (reading->length_bytes > SECRET_BYTES_MAX)
		return fail(rule, error, EFBIG, "%.256s is longer than %d bytes", rule->from,
			SECRET_BYTES_MAX);
	if (reading->length_bytes < SECRET_BYTES_MIN)
		return fail(rule, error, EINVAL,
			"%.256s is shorter than %d bytes: it could not be told from other data "
			"where a response has to be masked",
			rule->from, SECRET_BYTES_MIN);
	for (size_t i = 0; i < reading->length_bytes; i++) {
		unsigned char c = (unsigned char)reading->data[i];
		if (c == '\n' || c == '\r')
			return fail(
				rule, error, EINVAL, "%.256s has more than one line", rule->from);
		if (c < ' ' || c == 0x7f)
			return fail(rule, error, EINVAL,
				"%.256s holds a control character (byte %zu)", rule->from, i + 1);
	}
	return 0;
}

int secret_read(const struct network_secret *rule, struct locked *ret, struct error *error)
{
	static const struct {
		const char *prefix;
		int (*read)(const struct network_secret *rule, const char *rest,
			struct reading *reading, struct error *error);
	} sources[] = {{"env:", read_variable}, {"file:", read_file}, {"command:", read_command}};
	struct reading reading = {0};
	size_t i = 0;
	while (i < ARRAY_SIZE(sources) &&
		strncmp(rule->from, sources[i].prefix, strlen(sources[i].prefix)) != 0)
		i++;
	if (i == ARRAY_SIZE(sources))
		return fail(rule, error, EINVAL, "%.256s is no source", rule->from);
	int r = sources[i].read(rule, rule->from + strlen(sources[i].prefix), &reading, error);
	if (r == 0) {
		cut_newline(&reading);
		r = check(rule, &reading, error);
	}
	if (r == 0 && locked_new(ret, reading.data, reading.length_bytes) < 0)
		r = fail(rule, error, ENOMEM, "no memory");
	OPENSSL_cleanse(&reading, sizeof(reading));
	return r;
}
