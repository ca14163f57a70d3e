/* JavaScript's tables (code_javascript_tables.c). */
#ifndef COFFER_GATE_CODE_JAVASCRIPT_H
#define COFFER_GATE_CODE_JAVASCRIPT_H

#include "gate/code_internal.h"

extern const struct sink javascript_sinks[];
extern const struct fold javascript_folds[];
extern const struct module_rule javascript_modules[];
extern const size_t javascript_sinks_count, javascript_folds_count, javascript_modules_count;

/* "node:fs/promises" as the tables name it: "@fs.promises". NULL: too long. */
const char *javascript_module(struct code_run *run, const char *specifier);

#endif
