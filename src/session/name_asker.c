#include "session/name_asker.h"

#include "base/cleanup.h"
#include "base/fd.h"

#include <jansson.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

enum { QUESTION_BYTES_MAX = 64 * 1024, TARGET_BYTES = 300 };

/* In a directory that only this user can enter; no box sees it. */
static int make_socket(struct name_asker *asker)
{
	const char *runtime = getenv("XDG_RUNTIME_DIR");
	const char *base = runtime && runtime[0] == '/' ? runtime : "/tmp";
	if (asprintf(&asker->directory, "%s/coffer-ask-XXXXXX", base) < 0) {
		asker->directory = NULL;
		return -ENOMEM;
	}
	if (!mkdtemp(asker->directory)) {
		free(asker->directory);
		asker->directory = NULL;
		return -errno;
	}
	if (asprintf(&asker->path, "%s/socket", asker->directory) < 0) {
		asker->path = NULL;
		return -ENOMEM;
	}
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	if (strlen(asker->path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	strcpy(address.sun_path, asker->path);
	cleanup_close int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0 ||
		listen(fd, 1) < 0)
		return -errno;
	asker->listener = steal_fd(&fd);
	return 0;
}

int name_asker_open(struct name_asker *asker, struct error *error)
{
	asker->input = (struct buffer)BUFFER_INIT(QUESTION_BYTES_MAX);
	int r = make_socket(asker);
	if (r == 0)
		return 0;
	name_asker_close(asker);
	return error_set_errno(error, -r, "network", "a socket to be asked at for names");
}

void name_asker_close(struct name_asker *asker)
{
	close_fd(&asker->listener);
	close_fd(&asker->connection);
	if (asker->path)
		unlink(asker->path);
	if (asker->directory)
		rmdir(asker->directory);
	free(asker->path);
	free(asker->directory);
	asker->path = asker->directory = NULL;
	buffer_release(&asker->input);
}

int name_asker_fd(const struct name_asker *asker)
{
	return asker->connection >= 0 ? asker->connection : asker->listener;
}

/* One line: {"id":1,"name":"example.org","address":"","port":443,...}. */
static int answer(struct name_asker *asker, const char *line, size_t length_bytes,
	bool (*allow)(void *data, const char *target), void *data)
{
	json_t *question = json_loadb(line, length_bytes, 0, NULL);
	json_int_t id, port;
	const char *name, *address;
	if (json_unpack(question, "{s:I, s:s, s:s, s:I}", "id", &id, "name", &name, "address",
		    &address, "port", &port) < 0) {
		json_decref(question);
		return -EINVAL;
	}
	char target[TARGET_BYTES], reply[64];
	const char *host = name[0] ? name : address;
	bool bracketed = strchr(host, ':') != NULL;
	int length = snprintf(
		target, sizeof(target), "%s%s%s", bracketed ? "[" : "", host, bracketed ? "]" : "");
	if (port > 0 && length < (int)sizeof(target))
		length += snprintf(
			target + length, sizeof(target) - (size_t)length, ":%lld", (long long)port);
	bool yes = host[0] && length < (int)sizeof(target) && allow(data, target);
	json_decref(question);
	snprintf(reply, sizeof(reply), "{\"id\":%lld,\"verdict\":\"%s\"}\n", (long long)id,
		yes ? "allow" : "deny");
	return fd_write_full(asker->connection, reply, strlen(reply));
}

static int answer_lines(
	struct name_asker *asker, bool (*allow)(void *data, const char *target), void *data)
{
	size_t used = 0;
	int r = buffer_error(&asker->input);
	const char *text = asker->input.data, *end;
	while (r == 0 && text &&
		(end = memchr(text + used, '\n', asker->input.length_bytes - used))) {
		r = answer(asker, text + used, (size_t)(end - text) - used, allow, data);
		used = (size_t)(end - text) + 1;
	}
	if (r == 0 && used > 0) {
		struct buffer rest = BUFFER_INIT(QUESTION_BYTES_MAX);
		buffer_append(&rest, text + used, asker->input.length_bytes - used);
		buffer_release(&asker->input);
		asker->input = rest;
	}
	return r;
}

void name_asker_take(
	struct name_asker *asker, bool (*allow)(void *data, const char *target), void *data)
{
	if (asker->connection < 0) {
		asker->connection = accept4(asker->listener, NULL, NULL, SOCK_CLOEXEC);
		return;
	}
	char chunk[4096];
	ssize_t n = read(asker->connection, chunk, sizeof(chunk));
	if (n < 0 && errno == EINTR)
		return;
	if (n > 0)
		buffer_append(&asker->input, chunk, (size_t)n);
	if (n <= 0 || answer_lines(asker, allow, data) < 0) {
		close_fd(&asker->connection);
		close_fd(&asker->listener); /* one box, one connection */
	}
}
