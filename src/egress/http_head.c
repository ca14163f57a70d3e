#include "egress/http_head.h"

#include "base/buffer.h"
#include "base/cleanup.h"

#include <string.h>
#include <strings.h>

/* What a head may hold at most once formatted: it may grow a little over what was parsed. */
enum { FORMATTED_BYTES_MAX = 4 * HTTP_HEAD_BYTES_MAX };

static bool is_token(const char *text, size_t length_bytes)
{
	static const char others[] = "!#$%&'*+-.^_`|~";
	for (size_t i = 0; i < length_bytes; i++) {
		char c = text[i];
		if (!((c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') ||
			    (c && strchr(others, c))))
			return false;
	}
	return length_bytes > 0;
}

/* Visible characters, spaces and tabs; bytes beyond ASCII are text of some old encoding. */
static bool is_text(const char *text, size_t length_bytes)
{
	for (size_t i = 0; i < length_bytes; i++) {
		unsigned char c = (unsigned char)text[i];
		if (c != '\t' && (c < 0x20 || c == 0x7f))
			return false;
	}
	return true;
}

/* ---- fields ---- */

const char *http_head_get(const struct http_head *head, const char *name)
{
	for (size_t i = 0; i < head->fields_count; i++)
		if (strcasecmp(head->fields[i].name, name) == 0)
			return head->fields[i].value;
	return NULL;
}

static size_t count_fields(const struct http_head *head, const char *name)
{
	size_t count = 0;
	for (size_t i = 0; i < head->fields_count; i++)
		count += strcasecmp(head->fields[i].name, name) == 0;
	return count;
}

static void remove_field(struct http_head *head, size_t index)
{
	free(head->fields[index].name);
	free(head->fields[index].value);
	head->fields_count--;
	memmove(&head->fields[index], &head->fields[index + 1],
		(head->fields_count - index) * sizeof(head->fields[0]));
}

void http_head_remove(struct http_head *head, const char *name)
{
	for (size_t i = head->fields_count; i > 0; i--)
		if (strcasecmp(head->fields[i - 1].name, name) == 0)
			remove_field(head, i - 1);
}

static int add_field(struct http_head *head, const char *name, size_t name_bytes, const char *value,
	size_t value_bytes)
{
	if (head->fields_count == HTTP_FIELDS_MAX)
		return -E2BIG;
	cleanup_free char *name_copy = strndup(name, name_bytes);
	cleanup_free char *value_copy = strndup(value, value_bytes);
	if (!name_copy || !value_copy)
		return -ENOMEM;
	head->fields[head->fields_count++] = (struct http_field){
		.name = steal_pointer(&name_copy), .value = steal_pointer(&value_copy)};
	return 0;
}

int http_head_set(struct http_head *head, const char *name, const char *value)
{
	if (!is_token(name, strlen(name)) || !is_text(value, strlen(value)))
		return -EINVAL;
	for (size_t i = 0; i < head->fields_count; i++) {
		if (strcasecmp(head->fields[i].name, name) != 0)
			continue;
		char *copy = strdup(value);
		if (!copy)
			return -ENOMEM;
		free(head->fields[i].value);
		head->fields[i].value = copy;
		for (size_t later = head->fields_count; later > i + 1; later--)
			if (strcasecmp(head->fields[later - 1].name, name) == 0)
				remove_field(head, later - 1);
		return 0;
	}
	return add_field(head, name, strlen(name), value, strlen(value));
}

void http_head_release(struct http_head *head)
{
	for (size_t i = 0; i < head->fields_count; i++) {
		free(head->fields[i].name);
		free(head->fields[i].value);
	}
	free(head->method);
	free(head->target);
	free(head->phrase);
	*head = (struct http_head){0};
}

/* The next element of a comma-separated list, trimmed; false at its end. */
static bool next_element(const char **list, const char **ret, size_t *ret_bytes)
{
	const char *at = *list;
	at += strspn(at, " \t,");
	if (!*at)
		return false;
	size_t bytes = strcspn(at, ",");
	*list = at + bytes;
	while (bytes > 0 && (at[bytes - 1] == ' ' || at[bytes - 1] == '\t'))
		bytes--;
	*ret = at;
	*ret_bytes = bytes;
	return true;
}

static bool equals(const char *text, size_t length_bytes, const char *word)
{
	return strlen(word) == length_bytes && strncasecmp(text, word, length_bytes) == 0;
}

bool http_head_lists(const struct http_head *head, const char *name, const char *token)
{
	for (size_t i = 0; i < head->fields_count; i++) {
		if (strcasecmp(head->fields[i].name, name) != 0)
			continue;
		const char *list = head->fields[i].value, *element;
		size_t bytes;
		while (next_element(&list, &element, &bytes))
			if (equals(element, bytes, token))
				return true;
	}
	return false;
}

/* ---- authorities and targets ---- */

static int parse_port(const char *text, size_t length_bytes, uint16_t *ret)
{
	unsigned port = 0;
	if (length_bytes == 0 || length_bytes > 5)
		return -EINVAL;
	for (size_t i = 0; i < length_bytes; i++) {
		if (text[i] < '0' || text[i] > '9')
			return -EINVAL;
		port = port * 10 + (unsigned)(text[i] - '0');
	}
	if (port == 0 || port > UINT16_MAX)
		return -EINVAL;
	*ret = (uint16_t)port;
	return 0;
}

int http_authority_parse(const char *text, size_t length_bytes, struct http_authority *ret)
{
	static const char digits[] = "0123456789abcdefABCDEF";
	*ret = (struct http_authority){0};
	bool bracketed = length_bytes > 0 && text[0] == '[';
	size_t host = bracketed;
	for (; host < length_bytes && text[host] != (bracketed ? ']' : ':'); host++) {
		char c = text[host];
		bool fits = bracketed ? c && (strchr(digits, c) || c == ':' || c == '.')
				      : (c >= '0' && c <= '9') ||
						((c | 0x20) >= 'a' && (c | 0x20) <= 'z') ||
						c == '-' || c == '.' || c == '_';
		if (!fits)
			return -EINVAL;
	}
	if (bracketed && host++ == length_bytes)
		return -EINVAL;
	if (host == 0 || host >= sizeof(ret->host))
		return -EINVAL;
	memcpy(ret->host, text, host);
	if (host == length_bytes)
		return 0;
	if (text[host] != ':')
		return -EINVAL;
	return parse_port(text + host + 1, length_bytes - host - 1, &ret->port);
}

int http_target_parse(const char *method, const char *target, struct http_target *ret)
{
	*ret = (struct http_target){.path = target};
	if (strcmp(method, "CONNECT") == 0) {
		ret->form = HTTP_AUTHORITY;
		int r = http_authority_parse(target, strlen(target), &ret->authority);
		return r < 0 || ret->authority.port == 0 ? -EINVAL : 0;
	}
	if (target[0] == '/') {
		ret->form = HTTP_ORIGIN;
		return 0;
	}
	if (strcmp(target, "*") == 0) {
		ret->form = HTTP_ASTERISK;
		return strcmp(method, "OPTIONS") == 0 ? 0 : -EINVAL;
	}
	ret->form = HTTP_ABSOLUTE;
	ret->https = strncasecmp(target, "https://", 8) == 0;
	if (!ret->https && strncasecmp(target, "http://", 7) != 0)
		return -EINVAL;
	const char *authority = target + (ret->https ? 8 : 7);
	size_t bytes = strcspn(authority, "/?");
	ret->path = authority + bytes;
	return http_authority_parse(authority, bytes, &ret->authority);
}

/* ---- what a request must be ---- */

/* Fields that say where a message ends, where it goes or who sends it. Named in Connection, a
 * server that follows the letter would drop them after they were checked here. */
static const char *const end_to_end[] = {"host", "content-length", "transfer-encoding",
	"content-type", "content-encoding", "content-range", "authorization", "cookie",
	"set-cookie", "location", "expect", "range", "cache-control", "date", "via", "forwarded"};

static const char *check_connection(const struct http_head *head)
{
	for (size_t i = 0; i < ARRAY_SIZE(end_to_end); i++)
		if (http_head_lists(head, "connection", end_to_end[i]))
			return "a Connection field that names a field which is not its to name";
	return NULL;
}

/* Gateways that hand fields to programs as variables take "_" for "-". */
static const char *check_lookalikes(const struct http_head *head)
{
	static const char *const words[] = {"content-length", "transfer-encoding"};
	for (size_t i = 0; i < head->fields_count; i++) {
		const char *name = head->fields[i].name;
		if (!strchr(name, '_'))
			continue;
		for (size_t w = 0; w < ARRAY_SIZE(words); w++) {
			size_t at = 0;
			while (name[at] && words[w][at] &&
				((name[at] | 0x20) == words[w][at] ||
					(name[at] == '_' && words[w][at] == '-')))
				at++;
			if (!name[at] && !words[w][at])
				return "a field that some servers would take for the body's length";
		}
	}
	return NULL;
}

static uint16_t port_or(uint16_t port, uint16_t otherwise)
{
	return port ? port : otherwise;
}

/* One Host, and it says what an absolute target says. Of CONNECT, clients differ in whether its
 * Host has a port. */
static const char *check_host(const struct http_head *head)
{
	struct http_target target;
	if (http_target_parse(head->method, head->target, &target) < 0)
		return "a target that is neither a path nor a URL, or not one for this method";
	size_t hosts = count_fields(head, "host");
	if (hosts > 1)
		return "several Host fields";
	if (hosts == 0)
		return head->minor_version == 0 ? NULL : "no Host field";
	const char *value = http_head_get(head, "host");
	struct http_authority host;
	if (http_authority_parse(value, strlen(value), &host) < 0)
		return "a Host field that is no host name";
	if (target.form == HTTP_ORIGIN || target.form == HTTP_ASTERISK)
		return NULL;
	uint16_t usual =
		target.form == HTTP_AUTHORITY ? target.authority.port : (target.https ? 443 : 80);
	if (strcasecmp(host.host, target.authority.host) != 0 ||
		port_or(host.port, usual) != port_or(target.authority.port, usual))
		return "a Host field other than the host of the target";
	return NULL;
}

/* ---- bodies ---- */

static const char *parse_length(const char *value, uint64_t *ret)
{
	size_t digits = strspn(value, "0123456789");
	/* 18 digits cannot overflow; a leading zero is an octal number to some. */
	if (digits == 0 || value[digits] || digits > 18 || (digits > 1 && value[0] == '0'))
		return "a Content-Length that is not one plain number";
	*ret = strtoull(value, NULL, 10);
	return NULL;
}

/* What Content-Length and Transfer-Encoding say together. With neither, *ret stays as it is. */
static const char *parse_framing(
	const struct http_head *head, enum http_body *ret, uint64_t *ret_length_bytes)
{
	size_t lengths = count_fields(head, "content-length");
	size_t encodings = count_fields(head, "transfer-encoding");
	if (lengths > 0 && encodings > 0)
		return "both Content-Length and Transfer-Encoding";
	if (lengths > 1)
		return "several Content-Length fields";
	if (encodings > 1)
		return "several Transfer-Encoding fields";
	if (encodings == 1) {
		if (head->minor_version == 0)
			return "Transfer-Encoding in HTTP/1.0";
		if (strcasecmp(http_head_get(head, "transfer-encoding"), "chunked") != 0)
			return "a Transfer-Encoding other than chunked";
		*ret = HTTP_BODY_CHUNKED;
	} else if (lengths == 1) {
		*ret = HTTP_BODY_LENGTH;
		return parse_length(http_head_get(head, "content-length"), ret_length_bytes);
	}
	return NULL;
}

static const char *frame_request(struct http_head *head)
{
	head->body = HTTP_BODY_NONE;
	const char *wrong = parse_framing(head, &head->body, &head->length_bytes);
	if (wrong)
		return wrong;
	head->upgrade =
		head->minor_version == 1 && http_head_lists(head, "connection", "upgrade") &&
		http_head_lists(head, "upgrade", "websocket") && strcmp(head->method, "GET") == 0;
	if (head->upgrade && head->body != HTTP_BODY_NONE)
		return "a body before an upgrade";
	return NULL;
}

static const char *frame_response(struct http_head *head, const struct http_head *request)
{
	enum http_body body = HTTP_BODY_UNTIL_CLOSE;
	uint64_t length = 0;
	const char *wrong = parse_framing(head, &body, &length);
	if (wrong)
		return wrong;
	if (head->status < 200 || head->status == 204) {
		if (body == HTTP_BODY_CHUNKED || length > 0)
			return "a body in a response that has none";
		body = HTTP_BODY_NONE;
	}
	if (head->status == 304 || strcmp(request->method, "HEAD") == 0)
		body = HTTP_BODY_NONE;
	if (head->status == 101) {
		if (!request->upgrade || !http_head_lists(head, "upgrade", "websocket"))
			return "a change of protocol that was not asked for";
		body = HTTP_BODY_UPGRADED;
		head->upgrade = true;
	}
	head->body = body;
	head->length_bytes = body == HTTP_BODY_LENGTH ? length : 0;
	return NULL;
}

/* ---- parsing ---- */

/* Where the head ends: the offset after its empty line; 0: further on; or -errno. */
static ssize_t find_end(const char *data, size_t length_bytes, const char **ret_reason)
{
	size_t limit = length_bytes < HTTP_HEAD_BYTES_MAX ? length_bytes : HTTP_HEAD_BYTES_MAX;
	for (size_t i = 0; i < limit; i++) {
		*ret_reason = NULL;
		if (data[i] == '\0')
			*ret_reason = "a NUL character";
		else if (data[i] == '\n' && (i == 0 || data[i - 1] != '\r'))
			*ret_reason = "a bare line feed";
		else if (data[i] == '\r' && i + 1 < length_bytes && data[i + 1] != '\n')
			*ret_reason = "a bare carriage return";
		else if (data[i] == '\n' && i == 1)
			*ret_reason = "an empty line before the message";
		if (*ret_reason)
			return -EBADMSG;
		if (data[i] == '\n' && data[i - 2] == '\n')
			return (ssize_t)i + 1;
	}
	if (length_bytes < HTTP_HEAD_BYTES_MAX)
		return 0;
	*ret_reason = "a head that is too long";
	return -E2BIG;
}

/* "HTTP/1.0" or "HTTP/1.1" at text. */
static int parse_version(const char *text, size_t length_bytes)
{
	if (length_bytes != 8 || memcmp(text, "HTTP/1.", 7) != 0)
		return -EBADMSG;
	return text[7] == '0' || text[7] == '1' ? text[7] - '0' : -EBADMSG;
}

static int parse_request_line(
	const char *line, size_t length_bytes, struct http_head *ret, const char **ret_reason)
{
	const char *space = memchr(line, ' ', length_bytes);
	const char *last = memrchr(line, ' ', length_bytes);
	*ret_reason = "a first line that is no request";
	if (!space || space == last)
		return -EBADMSG;
	const char *target = space + 1;
	size_t target_bytes = (size_t)(last - target);
	if (!is_token(line, (size_t)(space - line)) || space - line > HTTP_METHOD_BYTES_MAX)
		return -EBADMSG;
	for (size_t i = 0; i < target_bytes; i++) {
		if (target[i] > 0x20 && target[i] < 0x7f && target[i] != '#')
			continue;
		*ret_reason = "a character in the target that must be percent-encoded";
		return -EBADMSG;
	}
	ret->minor_version = parse_version(last + 1, (size_t)(line + length_bytes - last - 1));
	if (ret->minor_version < 0) {
		*ret_reason = "a version other than HTTP/1.0 and HTTP/1.1";
		return -EBADMSG;
	}
	ret->method = strndup(line, (size_t)(space - line));
	ret->target = strndup(target, target_bytes);
	return ret->method && ret->target ? 0 : -ENOMEM;
}

static int parse_status_line(
	const char *line, size_t length_bytes, struct http_head *ret, const char **ret_reason)
{
	ret->response = true;
	*ret_reason = "a first line that is no response of HTTP/1";
	if (length_bytes < 12 || line[8] != ' ' || (length_bytes > 12 && line[12] != ' '))
		return -EBADMSG;
	ret->minor_version = parse_version(line, 8);
	if (ret->minor_version < 0)
		return -EBADMSG;
	for (size_t i = 9; i < 12; i++) {
		if (line[i] < '0' || line[i] > '9')
			return -EBADMSG;
		ret->status = ret->status * 10 + (line[i] - '0');
	}
	const char *phrase = line + (length_bytes > 12 ? 13 : 12);
	size_t phrase_bytes = (size_t)(line + length_bytes - phrase);
	if (ret->status < 100 || ret->status > 999 || !is_text(phrase, phrase_bytes))
		return -EBADMSG;
	ret->phrase = strndup(phrase, phrase_bytes);
	return ret->phrase ? 0 : -ENOMEM;
}

static int parse_field(
	const char *line, size_t length_bytes, struct http_head *ret, const char **ret_reason)
{
	*ret_reason = "a line that is no field";
	if (line[0] == ' ' || line[0] == '\t') {
		*ret_reason = "a folded field";
		return -EBADMSG;
	}
	const char *colon = memchr(line, ':', length_bytes);
	if (!colon || !is_token(line, (size_t)(colon - line)))
		return -EBADMSG;
	const char *value = colon + 1, *end = line + length_bytes;
	while (value < end && (*value == ' ' || *value == '\t'))
		value++;
	while (end > value && (end[-1] == ' ' || end[-1] == '\t'))
		end--;
	*ret_reason = "a control character in a field";
	if (!is_text(value, (size_t)(end - value)))
		return -EBADMSG;
	*ret_reason = "too many fields";
	return add_field(ret, line, (size_t)(colon - line), value, (size_t)(end - value));
}

/* Every line of a head that is known to end in CR LF CR LF. */
static int parse_lines(const char *data, size_t length_bytes, bool response, struct http_head *ret,
	const char **ret_reason)
{
	const char *at = data, *end = data + length_bytes - 2;
	for (bool first = true; at < end; first = false) {
		const char *line_end = memchr(at, '\r', (size_t)(end - at) + 1);
		size_t bytes = (size_t)(line_end - at);
		int r;
		if (!first)
			r = parse_field(at, bytes, ret, ret_reason);
		else if (response)
			r = parse_status_line(at, bytes, ret, ret_reason);
		else
			r = parse_request_line(at, bytes, ret, ret_reason);
		if (r < 0)
			return r;
		at = line_end + 2;
	}
	return 0;
}

/* What the fields say together. */
static const char *check_head(struct http_head *head, const struct http_head *request)
{
	const char *wrong = check_connection(head);
	if (!wrong)
		wrong = check_lookalikes(head);
	if (!wrong && !request)
		wrong = check_host(head);
	if (!wrong)
		wrong = request ? frame_response(head, request) : frame_request(head);
	head->close = head->body == HTTP_BODY_UNTIL_CLOSE || head->minor_version == 0 ||
		      http_head_lists(head, "connection", "close");
	return wrong;
}

ssize_t http_head_parse(const char *data, size_t length_bytes, const struct http_head *request,
	struct http_head *ret, const char **ret_reason)
{
	*ret = (struct http_head){0};
	ssize_t length = find_end(data, length_bytes, ret_reason);
	if (length <= 0)
		return length;
	int r = parse_lines(data, (size_t)length, request != NULL, ret, ret_reason);
	if (r == 0) {
		*ret_reason = check_head(ret, request);
		if (!*ret_reason)
			return length;
		r = -EBADMSG;
	}
	http_head_release(ret);
	return r;
}

/* ---- passing on ---- */

void http_head_strip_hops(struct http_head *head)
{
	static const char *const hops[] = {"connection", "keep-alive", "proxy-connection",
		"proxy-authorization", "proxy-authenticate", "proxy-authentication-info", "te",
		"trailer", "upgrade"};
	for (size_t i = head->fields_count; i > 0; i--)
		if (http_head_lists(head, "connection", head->fields[i - 1].name) &&
			strcasecmp(head->fields[i - 1].name, "connection") != 0)
			remove_field(head, i - 1);
	for (size_t i = 0; i < ARRAY_SIZE(hops); i++)
		http_head_remove(head, hops[i]);
}

char *http_head_format(const struct http_head *head, size_t *ret_length_bytes)
{
	cleanup_buffer struct buffer text = BUFFER_INIT(FORMATTED_BYTES_MAX);
	if (head->response)
		buffer_append_format(&text, "HTTP/1.%d %03d %s\r\n", head->minor_version,
			head->status, head->phrase);
	else
		buffer_append_format(&text, "%s %s HTTP/1.%d\r\n", head->method, head->target,
			head->minor_version);
	for (size_t i = 0; i < head->fields_count; i++) {
		buffer_append_string(&text, head->fields[i].name);
		buffer_append_string(&text, ": ");
		buffer_append_string(&text, head->fields[i].value);
		buffer_append_string(&text, "\r\n");
	}
	buffer_append_string(&text, "\r\n");
	*ret_length_bytes = text.length_bytes;
	return buffer_steal(&text);
}
