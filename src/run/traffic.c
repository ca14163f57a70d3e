#include "run/traffic.h"

#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/fd.h"
#include "base/limits.h"
#include "policy/network.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <string.h>

/* What poll() says a pipe has room for fits in without waiting. */
enum { LINE_BYTES_MAX = PIPE_BUF };

/* What a report keeps: one entry for each (name or address, port, verdict, way). */
struct traffic_entry {
	struct egress_record record; /* the first; bytes, requests and count add up */
	pid_t pid;
	char program[32];
};

struct traffic {
	struct connects *connects;
	struct denials *denials;
	int log; /* or -1 */
	uint64_t log_bytes;
	bool log_failed; /* a line could not be written, or egress says that some are missing */
	struct traffic_entry *entries;
	size_t entries_count;
	uint64_t lost; /* found no room */
	uint64_t connections, refused, requests, bytes_out, bytes_in;
};

int traffic_new(const char *log_path, struct connects *connects, struct denials *denials,
	struct traffic **ret, struct error *error)
{
	struct traffic *traffic = calloc(1, sizeof(*traffic));
	struct traffic_entry *entries = calloc(MAX_TRAFFIC, sizeof(*entries));
	if (!traffic || !entries) {
		free(traffic);
		free(entries);
		return error_set_errno(error, ENOMEM, "network log", "its state");
	}
	*traffic = (struct traffic){
		.connects = connects, .denials = denials, .log = -1, .entries = entries};
	if (log_path && strcmp(log_path, "-") == 0)
		traffic->log = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
	else if (log_path)
		traffic->log = fd_open_result(log_path);
	if (log_path && traffic->log < 0) {
		int code = traffic->log == -1 ? errno : -traffic->log;
		traffic_free(traffic);
		return error_set_errno(error, code, "network log", "--net-log %s", log_path);
	}
	*ret = traffic;
	return 0;
}

void traffic_free(struct traffic *traffic)
{
	if (!traffic)
		return;
	close_fd(&traffic->log);
	free(traffic->entries);
	free(traffic);
}

static const char *verdict_word(const struct egress_record *record)
{
	static const char *const words[] = {[NETWORK_DENY] = "deny",
		[NETWORK_ALLOW] = "allow",
		[NETWORK_MONITOR] = "monitor",
		[NETWORK_ASK] = "ask"};
	if (record->how == EGRESS_HOW_LOST)
		return "lost";
	return record->verdict < ARRAY_SIZE(words) ? words[record->verdict] : "deny";
}

static const char *how_word(const struct egress_record *record)
{
	static const char *const words[] = {[EGRESS_HOW_REDIRECT] = "redirect",
		[EGRESS_HOW_PROXY_CONNECT] = "proxy-connect",
		[EGRESS_HOW_PROXY_HTTP] = "proxy-http",
		[EGRESS_HOW_SOCKS] = "socks",
		[EGRESS_HOW_RESOLVER] = "resolver",
		[EGRESS_HOW_UDP] = "udp",
		[EGRESS_HOW_PUBLISH] = "publish",
		[EGRESS_HOW_KERNEL] = "kernel",
		[EGRESS_HOW_BROKER] = "broker",
		[EGRESS_HOW_LOST] = "lost"};
	return record->how < ARRAY_SIZE(words) ? words[record->how] : "unknown";
}

static const char *protocol_word(const struct egress_record *record)
{
	switch (record->protocol) {
	case NETWORK_HTTP:
		return "http";
	case NETWORK_TLS:
		return "tls";
	case NETWORK_RAW:
		return "raw";
	case EGRESS_PROTOCOL_UDP:
		return "udp";
	case EGRESS_PROTOCOL_OTHER:
		return "other";
	default:
		return "dns";
	}
}

static bool has_address(const struct egress_record *record)
{
	return !IN6_IS_ADDR_UNSPECIFIED(&record->address);
}

/* One object; the same for a line of the log and for an entry of the report. */
static void format(
	struct buffer *line, const struct egress_record *record, pid_t pid, const char *program)
{
	char address[INET6_ADDRSTRLEN] = "";
	if (has_address(record))
		network_format_address(&record->address, address);
	buffer_append_format(line,
		"{\"time_ms\":%lld,\"verdict\":\"%s\",\"name\":", (long long)record->time_ms,
		verdict_word(record));
	buffer_append_json(line, record->name);
	buffer_append_format(line, ",\"address\":");
	buffer_append_json(line, address);
	buffer_append_format(line,
		",\"port\":%u,\"protocol\":\"%s\",\"way\":\"%s\",\"rule\":", record->port,
		protocol_word(record), how_word(record));
	buffer_append_json(line, record->rule);
	buffer_append_format(line, ",\"reason\":");
	buffer_append_json(line, record->reason);
	buffer_append_format(line, ",\"program\":");
	buffer_append_json(line, program);
	buffer_append_format(line,
		",\"pid\":%d,\"bytes_out\":%llu,\"bytes_in\":%llu,\"requests\":%u,"
		"\"duration_ms\":%u,\"count\":%u}",
		pid, (unsigned long long)record->bytes_out, (unsigned long long)record->bytes_in,
		record->requests, record->duration_ms, record->count);
}

static void write_line(
	struct traffic *traffic, const struct egress_record *record, pid_t pid, const char *program)
{
	cleanup_buffer struct buffer line = BUFFER_INIT(LINE_BYTES_MAX);
	if (traffic->log < 0)
		return;
	format(&line, record, pid, program);
	buffer_append_string(&line, "\n");
	struct pollfd fd = {.fd = traffic->log, .events = POLLOUT};
	/* A reader that is slow loses lines, and holds nobody up; and what the box does fills no
	 * disk of the host's. */
	if (buffer_error(&line) < 0 || poll(&fd, 1, 0) != 1 || !(fd.revents & POLLOUT) ||
		traffic->log_bytes + line.length_bytes > MAX_NET_LOG_BYTES ||
		fd_write_full(traffic->log, line.data, line.length_bytes) < 0)
		traffic->log_failed = true;
	else
		traffic->log_bytes += line.length_bytes;
}

static bool is_same(
	const struct traffic_entry *entry, const struct egress_record *record, const char *program)
{
	const struct egress_record *own = &entry->record;
	return own->verdict == record->verdict && own->how == record->how &&
	       own->port == record->port && own->protocol == record->protocol &&
	       strcmp(own->name, record->name) == 0 && strcmp(own->reason, record->reason) == 0 &&
	       strcmp(entry->program, program) == 0 &&
	       (own->name[0] || memcmp(&own->address, &record->address, sizeof(own->address)) == 0);
}

static void keep(
	struct traffic *traffic, const struct egress_record *record, pid_t pid, const char *program)
{
	for (size_t i = 0; i < traffic->entries_count; i++) {
		struct egress_record *own = &traffic->entries[i].record;
		if (!is_same(&traffic->entries[i], record, program))
			continue;
		own->bytes_out += record->bytes_out;
		own->bytes_in += record->bytes_in;
		own->requests += record->requests;
		own->count += record->count;
		return;
	}
	if (traffic->entries_count == MAX_TRAFFIC) {
		traffic->lost += record->count;
		return;
	}
	struct traffic_entry *entry = &traffic->entries[traffic->entries_count++];
	entry->record = *record;
	entry->pid = pid;
	snprintf(entry->program, sizeof(entry->program), "%s", program);
}

static void deny(
	struct traffic *traffic, const struct egress_record *record, pid_t pid, const char *program)
{
	char target[NETWORK_NAME_BYTES + 16], address[INET6_ADDRSTRLEN];
	bool query = record->how == EGRESS_HOW_RESOLVER;
	if (record->name[0])
		snprintf(target, sizeof(target), record->port ? "%s:%u" : "%s", record->name,
			record->port);
	else {
		network_format_address(&record->address, address);
		snprintf(target, sizeof(target), strchr(address, ':') ? "[%s]:%u" : "%s:%u",
			address, record->port);
	}
	struct denial denial = {.pid = pid,
		.errno_value = record->errno_value ? record->errno_value : ECONNREFUSED,
		.time_ms = record->time_ms,
		.count = 1};
	snprintf(denial.program, sizeof(denial.program), "%s", program);
	snprintf(denial.call, sizeof(denial.call), "%s", query ? "resolve" : "connect");
	snprintf(denial.promise, sizeof(denial.promise), "P3");
	snprintf(denial.target, sizeof(denial.target), "%s", target);
	snprintf(denial.rule, sizeof(denial.rule), "%s", record->rule);
	snprintf(denial.reason, sizeof(denial.reason), "%s", record->reason);
	denials_add_whole(traffic->denials, &denial);
}

void traffic_add(struct traffic *traffic, struct egress_record *record)
{
	pid_t pid = 0;
	char program[32] = "";
	record->name[sizeof(record->name) - 1] = '\0';
	record->rule[sizeof(record->rule) - 1] = '\0';
	record->reason[sizeof(record->reason) - 1] = '\0';
	if (!record->count)
		record->count = 1;
	bool lost = record->how == EGRESS_HOW_LOST;
	if (!lost)
		connects_find(traffic->connects, record, &pid, program);
	write_line(traffic, record, pid, program);
	keep(traffic, record, pid, program);
	if (lost) {
		traffic->log_failed = true;
		return;
	}
	if (record->verdict == NETWORK_DENY) {
		traffic->refused += record->count;
		deny(traffic, record, pid, program);
	} else if (record->protocol != NETWORK_BY_PORT) { /* not a query */
		traffic->connections += record->count;
	}
	traffic->requests += record->requests;
	traffic->bytes_out += record->bytes_out;
	traffic->bytes_in += record->bytes_in;
}

json_t *traffic_json(const struct traffic *traffic)
{
	json_t *object = json_object(), *entries = json_array();
	json_object_set_new(object, "connections", json_integer((json_int_t)traffic->connections));
	json_object_set_new(object, "refused", json_integer((json_int_t)traffic->refused));
	json_object_set_new(object, "requests", json_integer((json_int_t)traffic->requests));
	json_object_set_new(object, "bytes_out", json_integer((json_int_t)traffic->bytes_out));
	json_object_set_new(object, "bytes_in", json_integer((json_int_t)traffic->bytes_in));
	json_object_set_new(object, "entries_lost", json_integer((json_int_t)traffic->lost));
	json_object_set_new(object, "log_complete", json_boolean(!traffic->log_failed));
	for (size_t i = 0; i < traffic->entries_count; i++) {
		const struct traffic_entry *entry = &traffic->entries[i];
		cleanup_buffer struct buffer line = BUFFER_INIT(LINE_BYTES_MAX);
		format(&line, &entry->record, entry->pid, entry->program);
		if (buffer_error(&line) == 0)
			json_array_append_new(entries, json_loads(line.data, 0, NULL));
	}
	json_object_set_new(object, "entries", entries);
	return object;
}
