#include "run/asker.h"

#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/fd.h"
#include "policy/network.h"

#include <jansson.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

enum {
	LINE_BYTES_MAX = 4096,
	OPEN_MAX = 256, /* questions at one time; more are refused */
};

struct asker {
	const struct connects *connects;
	int socket; /* -1: gone */
	uint32_t open[OPEN_MAX];
	size_t open_count;
	char input[LINE_BYTES_MAX];
	size_t input_bytes;
};

int asker_new(
	const char *path, const struct connects *connects, struct asker **ret, struct error *error)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	if (strlen(path) >= sizeof(address.sun_path))
		return error_set(error, ENAMETOOLONG, "network",
			"--net-ask %s: longer than the "
			"path of a socket can be (%zu bytes)",
			path, sizeof(address.sun_path) - 1);
	strcpy(address.sun_path, path);
	cleanup_close int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0) {
		error_set_errno(error, errno, "network", "--net-ask %s", path);
		return error_hint(error, "a program that answers must listen there before the run");
	}
	struct asker *asker = calloc(1, sizeof(*asker));
	if (!asker)
		return error_set_errno(error, ENOMEM, "network", "--net-ask");
	asker->connects = connects;
	asker->socket = steal_fd(&fd);
	*ret = asker;
	return 0;
}

void asker_free(struct asker *asker)
{
	if (!asker)
		return;
	close_fd(&asker->socket);
	free(asker);
}

int asker_fd(const struct asker *asker)
{
	return asker ? asker->socket : -1;
}

static void format(
	const struct asker *asker, uint32_t id, struct egress_record *record, struct buffer *line)
{
	static const char *const protocols[] = {
		[NETWORK_HTTP] = "http", [NETWORK_TLS] = "tls", [NETWORK_RAW] = "raw"};
	char address[INET6_ADDRSTRLEN] = "", program[32] = "";
	pid_t pid = 0;
	record->name[sizeof(record->name) - 1] = '\0';
	if (!record->name[0])
		network_format_address(&record->address, address);
	connects_await(asker->connects, record, &pid, program);
	const char *protocol =
		record->protocol < ARRAY_SIZE(protocols) && protocols[record->protocol]
			? protocols[record->protocol]
			: "dns";
	buffer_append_format(line, "{\"id\":%u,\"name\":", id);
	buffer_append_json(line, record->name);
	buffer_append_string(line, ",\"address\":");
	buffer_append_json(line, address);
	buffer_append_format(
		line, ",\"port\":%u,\"protocol\":\"%s\",\"program\":", record->port, protocol);
	buffer_append_json(line, program);
	buffer_append_format(line, ",\"pid\":%d}\n", pid);
}

bool asker_ask(struct asker *asker, uint32_t id, struct egress_record *record)
{
	cleanup_buffer struct buffer line = BUFFER_INIT(LINE_BYTES_MAX);
	if (asker->socket < 0 || asker->open_count == OPEN_MAX)
		return false;
	format(asker, id, record, &line);
	/* An asker that does not read is as good as none: the supervisor does not wait for it. */
	if (buffer_error(&line) < 0 ||
		send(asker->socket, line.data, line.length_bytes, MSG_DONTWAIT | MSG_NOSIGNAL) !=
			(ssize_t)line.length_bytes)
		return false;
	asker->open[asker->open_count++] = id;
	return true;
}

static bool close_question(struct asker *asker, uint32_t id)
{
	for (size_t i = 0; i < asker->open_count; i++) {
		if (asker->open[i] != id)
			continue;
		asker->open[i] = asker->open[--asker->open_count];
		return true;
	}
	return false;
}

void asker_forget(struct asker *asker, uint32_t id)
{
	close_question(asker, id);
}

/* One line; false: it answers nothing that was asked. */
static bool parse_answer(struct asker *asker, const char *line, size_t length_bytes,
	uint32_t *ret_id, int *ret_verdict)
{
	json_t *root = json_loadb(line, length_bytes, 0, NULL);
	json_int_t id = json_integer_value(json_object_get(root, "id"));
	const char *verdict = json_string_value(json_object_get(root, "verdict"));
	bool known = id > 0 && id <= UINT32_MAX && close_question(asker, (uint32_t)id);
	if (known) {
		*ret_id = (uint32_t)id;
		*ret_verdict =
			verdict && strcmp(verdict, "allow") == 0 ? NETWORK_ALLOW : NETWORK_DENY;
	}
	json_decref(root);
	return known;
}

bool asker_answer(struct asker *asker, uint32_t *ret_id, int *ret_verdict)
{
	while (asker->socket >= 0) {
		char *end = memchr(asker->input, '\n', asker->input_bytes);
		if (end) {
			size_t length = (size_t)(end - asker->input);
			bool answers =
				parse_answer(asker, asker->input, length, ret_id, ret_verdict);
			asker->input_bytes -= length + 1;
			memmove(asker->input, end + 1, asker->input_bytes);
			if (answers)
				return true;
			continue;
		}
		ssize_t n = recv(asker->socket, asker->input + asker->input_bytes,
			sizeof(asker->input) - asker->input_bytes, MSG_DONTWAIT);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return false;
		if (n <= 0) /* its end, or a line that is longer than any answer */
			close_fd(&asker->socket);
		else
			asker->input_bytes += (size_t)n;
	}
	if (asker->open_count == 0)
		return false;
	*ret_id = asker->open[--asker->open_count];
	*ret_verdict = NETWORK_DENY;
	return true;
}
