/* What a method takes, as a table: so that an unknown name, a wrong kind or a value out of range is
 * told the same way everywhere, and can be printed as a JSON schema. */
#ifndef COFFER_SESSION_PARAMS_H
#define COFFER_SESSION_PARAMS_H

#include "base/error.h"

#include <jansson.h>
#include <stdbool.h>

enum param_kind {
	PARAM_STRING, /* without NUL */
	PARAM_DATA,   /* text that may hold anything */
	PARAM_BOOLEAN,
	PARAM_INTEGER, /* min to max */
	PARAM_COMMAND, /* a shell line, or the words of a command */
	PARAM_STRINGS, /* an array of strings */
	PARAM_OBJECT,  /* of fields, where there are any, else of anything */
	PARAM_STRING_MAP,
};

struct param {
	const char *name;
	enum param_kind kind;
	bool required;
	json_int_t min, max; /* of an integer; a string's longest in bytes, 0: any */
	const struct param *fields;
	const char *help;
};

/* Checks params against table (closed by one without a name). -EINVAL with the name of the first
 * that is wrong. "_meta" may always be there. */
int params_check(const json_t *params, const struct param *table, struct error *error);
/* The table as a JSON schema of an object. NULL: out of memory. */
json_t *params_schema(const struct param *table);

#endif
