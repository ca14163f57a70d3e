#include "session/name_asker.h"

#include "base/cleanup.h"
#include "base/fd.h"

#include <jansson.h>
#include <string.h>
#include <sys/socket.h>

enum { QUESTION_BYTES_MAX = 64 * 1024, TARGET_BYTES = 300 };

int name_asker_open(struct name_asker *asker, struct error *error)
{
	asker->input = (struct buffer)BUFFER_INIT(QUESTION_BYTES_MAX);
	int r = ask_socket_open(&asker->socket);
	return r < 0 ? error_set_errno(error, -r, "network", "a socket to be asked at for names")
		     : 0;
}

void name_asker_close(struct name_asker *asker)
{
	ask_socket_close(&asker->socket);
	close_fd(&asker->connection);
	buffer_release(&asker->input);
}

int name_asker_fd(const struct name_asker *asker)
{
	return asker->connection >= 0 ? asker->connection : asker->socket.listener;
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
		asker->connection = accept4(asker->socket.listener, NULL, NULL, SOCK_CLOEXEC);
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
		close_fd(&asker->socket.listener); /* one box, one connection */
	}
}
