/* Host facts for a person: what this machine can enforce, what follows from each lack, and the
 * commands that would mend it. */
#ifndef COFFER_HOST_DOCTOR_H
#define COFFER_HOST_DOCTOR_H

#include "host/facts.h"

#include <stddef.h>

/* Both want the facts of probe_full(), completed by cgroup_probe() and
 * network_probe(). The caller frees; NULL: out of
 * memory. The text fits 80 columns and ends with a newline; the JSON is indented by 2. */
char *doctor_text(const struct host_facts *facts);
char *doctor_json(const struct host_facts *facts);

/* The tier that isolation "auto" takes: "container", "landlock", or "none" when no box can be made;
 * *ret_why (may be NULL) is one sentence, static. */
const char *doctor_tier(const struct host_facts *facts, const char **ret_why);

/* What Landlock leaves open in the landlock tier. */
struct landlock_gap {
	const char *word;     /* stable, for reports: "pid_view", "truncate", ... */
	const char *sentence; /* what is not confined */
	const char *instead;  /* what stands in for Landlock; NULL: nothing does, the gap is open */
	int closed_by_abi;    /* the first ABI without it; INT_MAX: none so far */
};

/* The gaps at this ABI: *ret points into a static table. */
size_t doctor_landlock_gaps(int abi, const struct landlock_gap **ret);

#endif
