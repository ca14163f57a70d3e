/* Heads of HTTP/1 messages, strictly: whatever two parsers could read differently is refused, since
 * a request that means one thing here and another at the server walks around every rule. */
#ifndef COFFER_EGRESS_HTTP_HEAD_H
#define COFFER_EGRESS_HTTP_HEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum {
	HTTP_FIELDS_MAX = 128,
	HTTP_HEAD_BYTES_MAX = 64 * 1024, /* with its empty line */
	HTTP_METHOD_BYTES_MAX = 32,
};

struct http_field {
	char *name;  /* as sent; compared without case */
	char *value; /* trimmed */
};

enum http_body {
	HTTP_BODY_NONE,
	HTTP_BODY_LENGTH, /* length_bytes */
	HTTP_BODY_CHUNKED,
	HTTP_BODY_UNTIL_CLOSE, /* responses only */
	HTTP_BODY_UPGRADED,    /* after 101: no HTTP any more */
};

struct http_head {
	bool response;
	int minor_version;     /* 0 or 1 */
	char *method, *target; /* requests */
	int status;            /* responses */
	char *phrase;
	struct http_field fields[HTTP_FIELDS_MAX];
	size_t fields_count;
	enum http_body body;
	uint64_t length_bytes;
	bool close;   /* the connection ends after this message */
	bool upgrade; /* to websocket, the only protocol that is let through */
};

/* Parses the head that data begins with. The length of the head with its empty line; 0: it is not
 * complete yet; -EBADMSG with *ret_reason (static) for what is malformed or ambiguous: both
 * Content-Length and Transfer-Encoding, two of either, obs-fold, a bare CR or LF, a space before
 * the colon, control characters, no or several Host, a Host that is not the target's, a version
 * other than 1.0 and 1.1, Connection naming what frames or routes the message, ... -E2BIG, -ENOMEM.
 * request is the head answered, for a response's body; NULL for requests. On anything but a
 * length, ret holds nothing to release. */
ssize_t http_head_parse(const char *data, size_t length_bytes, const struct http_head *request,
	struct http_head *ret, const char **ret_reason);
void http_head_release(struct http_head *head);
const char *http_head_get(const struct http_head *head, const char *name);
/* Replaces every field of that name by one. -ENOMEM; -E2BIG: too many fields; -EINVAL: not a name,
 * or a value with control characters. */
int http_head_set(struct http_head *head, const char *name, const char *value);
void http_head_remove(struct http_head *head, const char *name);
/* Removes what concerns one hop only: Connection and what it names, Keep-Alive, Proxy-*, TE,
 * Trailer, Upgrade. Transfer-Encoding stays, for whoever re-frames the body to settle. */
void http_head_strip_hops(struct http_head *head);
/* Whether a comma-separated field (all of its lines) holds token, without case. */
bool http_head_lists(const struct http_head *head, const char *name, const char *token);
/* The head's text, with its empty line; caller frees; NULL: no memory. Written anew from what was
 * parsed, so that only what was understood is passed on. */
char *http_head_format(const struct http_head *head, size_t *ret_length_bytes);

/* host[:port], of Host, of CONNECT or of an absolute target. */
struct http_authority {
	char host[256]; /* as written; an IPv6 address with its brackets */
	uint16_t port;  /* 0: none was written */
};
/* -EINVAL for anything else, userinfo and percent-encoding among it. */
int http_authority_parse(const char *text, size_t length_bytes, struct http_authority *ret);

/* A request's target, taken apart. */
struct http_target {
	enum { HTTP_ORIGIN, HTTP_ABSOLUTE, HTTP_AUTHORITY, HTTP_ASTERISK } form;
	bool https;                      /* ABSOLUTE */
	struct http_authority authority; /* ABSOLUTE, AUTHORITY */
	const char *path; /* with its query, inside target; of an ABSOLUTE one it may be empty, or
	                   * begin with "?" */
};
/* -EINVAL: no such form, or one that does not go with the method. */
int http_target_parse(const char *method, const char *target, struct http_target *ret);

#endif
