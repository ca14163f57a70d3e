/* What a request asks for, and whether it may: pure, but for the policy's own functions. */
#ifndef COFFER_EGRESS_HTTP_REQUEST_H
#define COFFER_EGRESS_HTTP_REQUEST_H

#include "egress/http_head.h"
#include "policy/network.h"

/* Whom a request is for, in the form in which targets are compared. */
struct http_peer {
	char name[NETWORK_NAME_BYTES]; /* "": a literal */
	struct in6_addr address;
	uint16_t port; /* never 0 */
};

/* A name as Host, CONNECT and SOCKS carry them. -EINVAL: neither a name nor an address. */
int http_peer_parse(const char *host, uint16_t port, struct http_peer *ret);
/* The name, or the address (without brackets), for people and for rules. */
void http_peer_format(const struct http_peer *peer, char ret[NETWORK_NAME_BYTES]);
/* The flag that would allow a target which the policy refused by `decision`. protocol: "/http", or
 * "" for a connection that nobody looks into. */
void http_peer_hint(const struct http_peer *peer, const struct network_decision *decision,
	const char *protocol, char *ret, size_t ret_bytes);

/* The path (with its query) as rules and servers should both see it: unreserved characters decoded,
 * dot segments resolved. *ret is allocated. -EINVAL with *ret_reason (static) for what servers are
 * known to read in different ways: encoded slashes, backslashes, dots with parameters ("..;"),
 * empty segments, control characters, an encoded percent sign, what is not UTF-8; -ENOMEM. */
int http_path_normalize(const char *path, char **ret, const char **ret_reason);

/* Whether the policy lets this request be made to host: mode = "read" (GET, HEAD and OPTIONS, none
 * of them with a body, since a body carries as much out as a POST would), and the rules on methods
 * and paths. Fields that override the method are refused with either. Where there are such
 * rules, *path (allocated) is replaced by its normalized form, so that what was checked is what is
 * sent. 0; -EACCES with reason and hint; -ENOMEM. */
int http_request_check(const struct network_policy *policy, const char *host,
	const struct http_head *head, char **path, char reason[160], char hint[512]);

#endif
