/* Python's tables (code_python_tables.c). */
#ifndef COFFER_GATE_CODE_PYTHON_H
#define COFFER_GATE_CODE_PYTHON_H

#include "gate/code_internal.h"

extern const struct sink python_sinks[];
extern const struct fold python_folds[];
extern const struct module_rule python_modules[];
extern const size_t python_sinks_count, python_folds_count, python_modules_count;

/* An assignment to a member (name) or an item ("") of object. */
void python_check_tampering(
	struct code_run *run, TSNode where, struct value object, const char *name);

#endif
