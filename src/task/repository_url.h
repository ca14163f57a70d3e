/* Where a repository is, as a person or a stranger's .gitmodules writes it. Only what is in the table
 * of repository_url.c is understood: git itself would start any program that such a text names
 * ("ext::sh -c ..."). Nothing here looks at the file system or the network. */
#ifndef COFFER_TASK_REPOSITORY_URL_H
#define COFFER_TASK_REPOSITORY_URL_H

#include "base/error.h"

#include <stddef.h>

enum repository_transport {
	REPOSITORY_LOCAL, /* a path, or file:// */
	REPOSITORY_HTTPS,
	REPOSITORY_HTTP, /* whoever sits between may change what comes: its host is to be named */
	REPOSITORY_SSH,  /* ssh://, or [USER@]HOST:PATH */
};

struct repository_url {
	enum repository_transport transport;
	char *host;    /* lower case, an IPv6 address without its brackets; NULL: local */
	unsigned port; /* 0: local */
	char *text; /* for git, .git/config, logs and people: without credentials; local: the path */
	char *credentials; /* "USER:PASSWORD" as HTTP's Basic has them; NULL: none were written */
};

/* -EINVAL it is none, -EPERM a transport that is not allowed. Errors never show credentials. */
int repository_url_parse(const char *written, struct repository_url *ret, struct error *error);
/* What a submodule's "./x" or "../x" means below a base that is no local one; anything else is
 * parsed as it is. Errors as above. */
int repository_url_resolve(const struct repository_url *base, const char *written,
	struct repository_url *ret, struct error *error);
void repository_url_release(struct repository_url *url);

#define cleanup_repository_url __attribute__((cleanup(repository_url_release)))

#endif
