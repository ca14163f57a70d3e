/* The compiled configuration: what the front needs of it, checked once by coffer-gate, so that a
 * run pays for reading a small file and not for TOML. It is cached in
 * $XDG_CACHE_HOME/coffer/config/ under the SHA-256 of everything it depends on (the content of each
 * layer's file, the trust records, this program's version), so a stale one is never found.
 *
 * This is the front's half: looking up, checking, reading. Writing is config/compile.c's, which is
 * coffer-gate's. */
#ifndef COFFER_CONFIG_COMPILED_H
#define COFFER_CONFIG_COMPILED_H

#include "base/error.h"
#include "base/strv.h"
#include "config/approval.h"

#include <stdbool.h>

struct compiled_config {
	struct strv settings; /* "key" or "key=value" for policy_set(), in order */
	struct strv required; /* the same, set after the flags: deny entries, upper bounds */
	struct strv modes, isolations, approvals; /* what requirements allow; empty: anything */
	struct approval approval;
	struct strv words;         /* the names of programs that some rule looks at, sorted */
	struct strv network_bound; /* settings of the widest network; with .network_bounded */
	bool network_bounded;
	bool hooks;          /* some hook wants to see a command before or after it runs */
	struct strv notices; /* told to the person before anything runs */
};

/* The configuration for a run in directory (absolute). *ret is NULL where no layer has a file: that
 * costs four failed opens and nothing else. Where the cache does not hold it, coffer-gate is
 * started, to compile it. A faulty file is an error that names file, line and what to do. */
int compiled_config_open(const char *directory, struct compiled_config **ret, struct error *error);
void compiled_config_free(struct compiled_config *config);

#endif
