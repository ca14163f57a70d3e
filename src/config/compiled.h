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

/* Places are "FILE:LINE". */
struct compiled_config {
	struct strv settings; /* "key" or "key=value" for policy_set(), in order */
	struct strv places;   /* of each */
	struct strv layers;   /* of each: a digit, enum config_layer */
	struct strv
		required; /* settings that hold whatever flags say: deny entries, upper bounds */
	struct strv required_places;
	struct strv modes, isolations, approvals; /* what requirements allow; empty: anything */
	char *modes_place, *isolations_place, *approvals_place; /* NULL without */
	struct approval approval;
	char *approval_place;      /* NULL: no file says so */
	struct strv words;         /* the names of programs that some rule looks at, sorted */
	struct strv network_bound; /* settings of the widest network; with .network_bounded */
	char *network_place;
	bool network_bounded;
	bool hooks;          /* some hook wants to see a command before or after it runs */
	struct strv notices; /* told to the person before anything runs */
};

/* The configuration for a run in directory (absolute). *ret is NULL where no layer has a file: that
 * costs four failed opens and nothing else. Where the cache does not hold it, coffer-gate is
 * started, to compile it. A faulty file is an error that names file, line and what to do. */
int compiled_config_open(const char *directory, struct compiled_config **ret, struct error *error);
void compiled_config_free(struct compiled_config *config);

/* What a box is made from: the settings of the files, as far as they do not stand back behind flags
 * ("key" or "key=value", NULL-terminated) or name what is not there; the flags; and what is
 * required. What a requirement forbids is an error that names its place. notices (may be NULL) gets
 * a sentence for each setting of a file that was left out. */
int compiled_config_settings(const struct compiled_config *config, char *const flags[],
	struct strv *ret, struct strv *notices, struct error *error);

/* The place that a setting of compiled_config_settings() comes from; NULL: a flag. */
const char *compiled_config_place(const struct compiled_config *config, const char *setting);

#endif
