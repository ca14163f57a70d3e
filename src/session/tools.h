/* The tools of both faces: what they take, and what a model should know of them. */
#ifndef COFFER_SESSION_TOOLS_H
#define COFFER_SESSION_TOOLS_H

#include "session/core.h"
#include "session/params.h"

struct tool {
	const char *name; /* for models: "execute" */
	const char *title, *description;
	enum call_kind kind;
	const struct param *params;
	bool read_only; /* it changes nothing, whatever it is given */
};

/* The table, closed by one without a name. */
const struct tool *tools_table(void);
const struct tool *tool_of(enum call_kind kind);
const struct tool *tool_named(const char *name);

#endif
