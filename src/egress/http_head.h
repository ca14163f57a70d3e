/* Heads of HTTP/1 messages, strictly: whatever two parsers could read differently is refused, since
 * a request that means one thing here and another at the server walks around every rule. */
#ifndef COFFER_EGRESS_HTTP_HEAD_H
#define COFFER_EGRESS_HTTP_HEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { HTTP_FIELDS_MAX = 128 };

struct http_field {
	char *name;  /* as sent; compared without case */
	char *value; /* trimmed */
};

enum http_body {
	HTTP_BODY_NONE,
	HTTP_BODY_LENGTH,  /* length_bytes */
	HTTP_BODY_CHUNKED,
	HTTP_BODY_UNTIL_CLOSE, /* responses only */
	HTTP_BODY_UPGRADED, /* after 101: no HTTP any more */
};

struct http_head {
	bool response;
	int minor_version; /* 0 or 1 */
	char *method, *target; /* requests */
	int status;            /* responses */
	char *phrase;
	struct http_field fields[HTTP_FIELDS_MAX];
	size_t fields_count;
	enum http_body body;
	uint64_t length_bytes;
	bool close; /* the connection ends after this message */
	bool upgrade;
};

/* Parses the head that data begins with. The length of the head with its empty line; 0: it is not
 * complete yet; -EBADMSG with *ret_reason (static) for what is malformed or ambiguous: both
 * Content-Length and Transfer-Encoding, two that differ, obs-fold, a bare CR or LF, a space before
 * the colon, control characters, no or several Host, a version other than 1.0 and 1.1, ... -E2BIG.
 * request is the head answered, for a response's body; NULL for requests. */
ssize_t http_head_parse(const char *data, size_t length_bytes, const struct http_head *request,
	struct http_head *ret, const char **ret_reason);
void http_head_release(struct http_head *head);
const char *http_head_get(const struct http_head *head, const char *name);
int http_head_set(struct http_head *head, const char *name, const char *value); /* or -ENOMEM */
void http_head_remove(struct http_head *head, const char *name);
/* The head's text, with its empty line; caller frees; NULL: no memory. Written anew from what was
 * parsed, so that only what was understood is passed on. */
char *http_head_format(const struct http_head *head, size_t *ret_length_bytes);

#endif
