#include "cli/wanted.h"

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/limits.h"

#include <string.h>
#include <sys/socket.h>

enum { QUESTION_BYTES_MAX = 64 * 1024 };

int wanted_open(struct wanted *wanted)
{
	*wanted = (struct wanted){.connection = -1, .input = BUFFER_INIT(QUESTION_BYTES_MAX)};
	return ask_socket_open(&wanted->socket);
}

void wanted_release_all(struct wanted *wanted)
{
	ask_socket_close(&wanted->socket);
	close_fd(&wanted->connection);
	buffer_release(&wanted->input);
	free(wanted->items);
	free(wanted->open);
	wanted->items = NULL;
	wanted->open = NULL;
	wanted->count = wanted->open_count = 0;
}

int wanted_fd(const struct wanted *wanted)
{
	return wanted->connection >= 0 ? wanted->connection : wanted->socket.listener;
}

static void answer(struct wanted *wanted, uint32_t id, bool yes)
{
	char reply[64];
	int n = snprintf(reply, sizeof(reply), "{\"id\":%u,\"verdict\":\"%s\"}\n", id,
		yes ? "allow" : "deny");
	/* Who does not hear it refuses by itself. */
	if (wanted->connection >= 0 && fd_write_full(wanted->connection, reply, (size_t)n) < 0)
		close_fd(&wanted->connection);
}

static int find_or_add(struct wanted *wanted, const char *target, const char *protocol,
	const char *program, size_t *ret)
{
	for (size_t i = 0; i < wanted->count; i++)
		if (strcmp(wanted->items[i].target, target) == 0) {
			*ret = i;
			return 0;
		}
	if (wanted->count == MAX_WANTED)
		return -ENOBUFS;
	void *items = reallocarray(wanted->items, wanted->count + 1, sizeof(*wanted->items));
	if (!items)
		return -ENOMEM;
	wanted->items = items;
	struct wanted_item *item = &wanted->items[wanted->count];
	*item = (struct wanted_item){0};
	snprintf(item->target, sizeof(item->target), "%s", target);
	snprintf(item->protocol, sizeof(item->protocol), "%s", protocol);
	snprintf(item->program, sizeof(item->program), "%s", program);
	*ret = wanted->count++;
	return 0;
}

static int hold(struct wanted *wanted, uint32_t id, size_t item)
{
	void *open = reallocarray(wanted->open, wanted->open_count + 1, sizeof(*wanted->open));
	if (!open)
		return -ENOMEM;
	wanted->open = open;
	wanted->open[wanted->open_count++] = (struct wanted_question){id, item};
	return 0;
}

/* One line; false: it is no question. */
static bool take_question(struct wanted *wanted, const char *line, size_t length_bytes)
{
	json_t *question = json_loadb(line, length_bytes, 0, NULL);
	json_int_t id = 0, port = 0;
	const char *name = "", *address = "", *protocol = "", *program = "";
	char target[WANTED_TARGET_BYTES], suffix[8] = "";
	size_t item;
	bool known = json_unpack(question, "{s:I, s:s, s:s, s:I, s:s, s:s}", "id", &id, "name",
			     &name, "address", &address, "port", &port, "protocol", &protocol,
			     "program", &program) == 0 &&
		     id > 0 && id <= UINT32_MAX && port >= 0 && port <= UINT16_MAX;
	if (known) {
		const char *host = *name ? name : address;
		bool bracketed = strchr(host, ':') != NULL;
		if (port > 0)
			snprintf(suffix, sizeof(suffix), ":%d", (int)port);
		snprintf(target, sizeof(target), "%s%.255s%s%s", bracketed ? "[" : "", host,
			bracketed ? "]" : "", suffix);
		wanted->asked++;
		if (find_or_add(wanted, target, protocol, program, &item) < 0) {
			answer(wanted, (uint32_t)id, false);
		} else {
			bool released = wanted->items[item].released;
			wanted->items[item].count++;
			if (released || wanted->refuses || hold(wanted, (uint32_t)id, item) < 0)
				answer(wanted, (uint32_t)id, released);
		}
	}
	json_decref(question);
	return known;
}

static bool take_lines(struct wanted *wanted)
{
	size_t used = 0;
	bool sane = buffer_error(&wanted->input) == 0;
	const char *text = wanted->input.data, *end;
	while (sane && text &&
		(end = memchr(text + used, '\n', wanted->input.length_bytes - used))) {
		sane = take_question(wanted, text + used, (size_t)(end - text) - used);
		used = (size_t)(end - text) + 1;
	}
	if (sane && used > 0) {
		struct buffer rest = BUFFER_INIT(QUESTION_BYTES_MAX);
		buffer_append(&rest, text + used, wanted->input.length_bytes - used);
		buffer_release(&wanted->input);
		wanted->input = rest;
	}
	return sane;
}

void wanted_take(struct wanted *wanted)
{
	if (wanted->connection < 0) {
		wanted->connection = accept4(wanted->socket.listener, NULL, NULL, SOCK_CLOEXEC);
		if (wanted->connection >= 0) /* one box, one connection: a kill leaves no file */
			ask_socket_close(&wanted->socket);
		return;
	}
	char chunk[4096];
	ssize_t n = read(wanted->connection, chunk, sizeof(chunk));
	if (n < 0 && errno == EINTR)
		return;
	if (n > 0)
		buffer_append(&wanted->input, chunk, (size_t)n);
	if (n > 0 && take_lines(wanted))
		return;
	close_fd(&wanted->connection);
	wanted->open_count = 0;
}

void wanted_let_through(struct wanted *wanted)
{
	for (size_t i = 0; i < wanted->count; i++)
		wanted->items[i].released = true;
	for (size_t i = 0; i < wanted->open_count; i++)
		answer(wanted, wanted->open[i].id, true);
	wanted->open_count = 0;
}

void wanted_refuse(struct wanted *wanted)
{
	wanted->refuses = true;
	for (size_t i = 0; i < wanted->open_count; i++)
		answer(wanted, wanted->open[i].id, false);
	wanted->open_count = 0;
}

size_t wanted_held(const struct wanted *wanted)
{
	size_t held = 0;
	for (size_t i = 0; i < wanted->count; i++)
		held += !wanted->items[i].released;
	return held;
}

json_t *wanted_json(const struct wanted *wanted)
{
	json_t *list = json_array();
	for (size_t i = 0; list && i < wanted->count; i++) {
		const struct wanted_item *item = &wanted->items[i];
		json_array_append_new(list,
			json_pack("{s:s, s:s, s:s%, s:i, s:b}", "target", item->target, "protocol",
				item->protocol, "program", item->program, strlen(item->program),
				"count", (int)item->count, "released", item->released));
	}
	return list;
}
