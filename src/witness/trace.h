/* Traces: what went wrong, as the tools themselves say it. From what a failed command printed and
 * from how it ended: kind, message, the places in the code, and a fingerprint that stays the same
 * while lines move. docs/TRACES.md has the JSON.
 *
 * The text is a stranger's. Nothing here trusts it: everything is bounded, takes time linear in
 * the text, and opens files only through the caller's function. */
#ifndef COFFER_WITNESS_TRACE_H
#define COFFER_WITNESS_TRACE_H

#include "base/buffer.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct trace_options {
	/* The workspace as the text names it, and what relative names start from: absolute and
	 * clean; NULL: there is none. */
	const char *workspace;
	const char *directory;
	/* Opens a regular file of the workspace for reading: path is absolute, as the text would
	 * name it, and lies below the workspace. A descriptor, or -errno. NULL: no file is looked
	 * at, and no source lines are shown. */
	int (*open)(void *context, const char *path);
	void *context;
};

/* How the command ended, where that itself is a failure. */
struct trace_ending {
	const char *kind; /* static: "timed_out", "out_of_memory", "SIGSEGV", ... */
	const char *message;
	bool first;              /* it is what made everything else happen */
	const json_t *processes; /* where each stood (witness/stacks.h); borrowed; or NULL */
};

struct traces; /* opaque */

/* NULL: out of memory. */
struct traces *traces_new(void);
void traces_free(struct traces *traces);
/* Finds the failures in what was printed on a stream (a static name, "stderr"). Of a text longer
 * than MAX_TRACE_TEXT_BYTES only the end is looked at. 0 or -ENOMEM. */
int traces_read(struct traces *traces, const char *stream, const char *text, size_t length_bytes);
/* 0 or -ENOMEM. */
int traces_end(struct traces *traces, const struct trace_ending *ending);
size_t traces_count(const struct traces *traces);

/* The object of docs/TRACES.md; JSON null where nothing was found; NULL: out of memory. */
json_t *traces_json(const struct traces *traces, const struct trace_options *options);
/* That object as a short block for people: one paragraph a failure, no control codes. Appends
 * nothing for JSON null. */
void trace_show(const json_t *trace, struct buffer *to);

#endif
