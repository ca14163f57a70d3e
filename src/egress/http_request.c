#include "egress/http_request.h"

#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/utf8.h"

#include <ctype.h>
#include <string.h>

int http_peer_parse(const char *host, uint16_t port, struct http_peer *ret)
{
	*ret = (struct http_peer){.port = port};
	if (port == 0)
		return -EINVAL;
	if (network_parse_address(host, &ret->address) == 0)
		return 0;
	if (network_normalize_name(host, ret->name) == 0 && ret->name[0])
		return 0;
	*ret = (struct http_peer){0};
	return -EINVAL;
}

void http_peer_format(const struct http_peer *peer, char ret[NETWORK_NAME_BYTES])
{
	if (peer->name[0])
		memcpy(ret, peer->name, sizeof(peer->name));
	else
		network_format_address(&peer->address, ret);
}

void http_peer_hint(const struct http_peer *peer, const struct network_decision *decision,
	const char *protocol, char *ret, size_t ret_bytes)
{
	char host[NETWORK_NAME_BYTES];
	http_peer_format(peer, host);
	bool usual = peer->port == 80 || peer->port == 443;
	if (decision->rule && decision->rule->verdict == NETWORK_DENY)
		snprintf(ret, ret_bytes, "remove %s", decision->rule->source);
	else if (peer->name[0] && usual)
		snprintf(ret, ret_bytes, "--allow-domain %s", host);
	else if (peer->name[0])
		snprintf(ret, ret_bytes, "--allow-domain %s:%u", host, peer->port);
	else if (strchr(host, ':'))
		snprintf(ret, ret_bytes, "--allow-cidr '[%s]:%u%s'", host, peer->port, protocol);
	else
		snprintf(ret, ret_bytes, "--allow-cidr %s:%u%s", host, peer->port, protocol);
}

/* ---- paths ---- */

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool is_unreserved(int c)
{
	return (c < 0x80 && isalnum(c)) || c == '-' || c == '.' || c == '_' || c == '~';
}

/* Decodes what need not be encoded, and writes the rest of the escapes in one way. */
static const char *decode_path(const char *path, size_t length_bytes, struct buffer *ret)
{
	for (size_t i = 0; i < length_bytes; i++) {
		if (path[i] == '\\')
			return "a backslash in the path";
		if (path[i] != '%') {
			buffer_append(ret, &path[i], 1);
			continue;
		}
		int high = i + 1 < length_bytes ? hex_value(path[i + 1]) : -1;
		int low = i + 2 < length_bytes ? hex_value(path[i + 2]) : -1;
		if (high < 0 || low < 0)
			return "a percent sign in the path that encodes nothing";
		int c = high << 4 | low;
		if (c == '/' || c == '\\')
			return "an encoded slash or backslash in the path";
		if (c < 0x20 || c == 0x7f)
			return "an encoded control character in the path";
		if (c == '%') /* of something that is encoded twice, or will be once decoded */
			return "an encoded percent sign in the path";
		if (is_unreserved(c)) {
			char decoded = (char)c;
			buffer_append(ret, &decoded, 1);
		} else {
			buffer_append_format(ret, "%%%02X", (unsigned)c);
		}
		i += 2;
	}
	return NULL;
}

/* What does not stand for UTF-8 text (overlong forms of a dot or a slash among it) is read by every
 * server in its own way. path is decode_path()'s: every escape in it is whole. */
static int check_utf8(const char *path, const char **ret_reason)
{
	cleanup_free char *plain = malloc(strlen(path) + 1);
	char *to = plain;
	if (!plain)
		return -ENOMEM;
	for (const char *s = path; *s; s += *s == '%' ? 3 : 1)
		*to++ = *s == '%' ? (char)(hex_value(s[1]) << 4 | hex_value(s[2])) : *s;
	*to = '\0';
	size_t length = 1;
	for (const unsigned char *s = (const unsigned char *)plain; *s && length; s += length)
		length = utf8_sequence(s);
	*ret_reason = "bytes in the path that are not UTF-8";
	return length ? 0 : -EINVAL;
}

/* Resolves "." and ".." in a decoded path, in place. */
static const char *resolve_dots(char *path)
{
	char *out = path;
	for (const char *at = path; *at == '/';) {
		const char *segment = at + 1;
		size_t bytes = strcspn(segment, "/"), plain = strcspn(segment, "/;");
		bool last = !segment[bytes];
		bool dot = plain == 1 && segment[0] == '.';
		bool dots = plain == 2 && segment[0] == '.' && segment[1] == '.';
		if ((dot || dots) && plain != bytes)
			return "a dot segment with parameters in the path";
		if (bytes == 0 && !last)
			return "an empty segment in the path";
		at = segment + bytes;
		if (dots) {
			if (out == path)
				return "a path that leaves the root";
			while (*--out != '/')
				;
		} else if (!dot) {
			memmove(out, segment - 1, bytes + 1);
			out += bytes + 1;
		}
		/* What a dot segment at the end names is a directory. */
		if (last && (dot || dots))
			*out++ = '/';
	}
	*out = '\0';
	return NULL;
}

int http_path_normalize(const char *path, char **ret, const char **ret_reason)
{
	size_t bytes = strcspn(path, "?");
	cleanup_buffer struct buffer text = BUFFER_INIT(HTTP_HEAD_BYTES_MAX);
	*ret = NULL;
	*ret_reason = "a target that is no path";
	if (path[0] != '/')
		return -EINVAL;
	*ret_reason = decode_path(path, bytes, &text);
	if (*ret_reason)
		return -EINVAL;
	if (buffer_error(&text) < 0)
		return -ENOMEM;
	int r = check_utf8(text.data, ret_reason);
	if (r < 0)
		return r;
	*ret_reason = resolve_dots(text.data);
	if (*ret_reason)
		return -EINVAL;
	text.length_bytes = strlen(text.data);
	buffer_append_string(&text, path + bytes);
	*ret = buffer_steal(&text);
	return *ret ? 0 : -ENOMEM;
}

/* ---- the rules ---- */

static int check_read_only(const struct http_head *head, char reason[160], char hint[512])
{
	static const char *const readers[] = {"GET", "HEAD", "OPTIONS"};
	bool reads = false;
	for (size_t i = 0; i < ARRAY_SIZE(readers); i++)
		reads = reads || strcmp(head->method, readers[i]) == 0;
	bool body = head->body == HTTP_BODY_CHUNKED || head->length_bytes > 0;
	if (reads && !body && !head->upgrade)
		return 0;
	snprintf(reason, 160, "%s %s while the network is for reading only (--net-read)",
		head->method,
		head->upgrade ? "to a websocket"
		: reads       ? "with a body"
			      : "requests");
	snprintf(hint, 512, "run without --net-read");
	return -EACCES;
}

/* As gateways see it that hand fields to programs as variables: "_" is "-". */
static bool is_field(const char *name, const char *wanted)
{
	for (; *name && *wanted; name++, wanted++)
		if (tolower((unsigned char)*name) != *wanted && (*name != '_' || *wanted != '-'))
			return false;
	return *name == *wanted;
}

/* Frameworks take such a field for the request's method. */
static int check_override(const struct http_head *head, char reason[160], char hint[512])
{
	static const char *const fields[] = {
		"x-http-method-override", "x-http-method", "x-method-override"};
	for (size_t i = 0; i < head->fields_count * ARRAY_SIZE(fields); i++) {
		const char *field = fields[i % ARRAY_SIZE(fields)];
		if (!is_field(head->fields[i / ARRAY_SIZE(fields)].name, field))
			continue;
		snprintf(reason, 160, "%s, which makes another request of it to some servers",
			field);
		snprintf(hint, 512, "use the method itself");
		return -EACCES;
	}
	return 0;
}

int http_request_check(const struct network_policy *policy, const char *host,
	const struct http_head *head, char **path, char reason[160], char hint[512])
{
	if (policy->read_only && check_read_only(head, reason, hint) < 0)
		return -EACCES;
	bool ruled = network_has_requests(policy, host);
	if ((policy->read_only || ruled) && check_override(head, reason, hint) < 0)
		return -EACCES;
	if (!ruled)
		return 0;
	if (strcmp(*path, "*") != 0) {
		char *normalized;
		const char *wrong;
		int r = http_path_normalize(*path, &normalized, &wrong);
		if (r == -EINVAL) {
			snprintf(reason, 160, "%s, which servers read in different ways", wrong);
			snprintf(hint, 512,
				"paths must be plain where --net-request rules are for the host");
			return -EACCES;
		}
		if (r < 0)
			return r;
		free(*path);
		*path = normalized;
	}
	cleanup_free char *plain = strndup(*path, strcspn(*path, "?"));
	if (!plain)
		return -ENOMEM;
	if (network_may_request(policy, host, head->method, plain, reason))
		return 0;
	snprintf(hint, 512, "--net-request '%s %s%.300s'", head->method, host, plain);
	return -EACCES;
}
