/* coffer-gate's half of the compiled configuration. */
#ifndef COFFER_CONFIG_COMPILE_H
#define COFFER_CONFIG_COMPILE_H

#include "base/buffer.h"
#include "config/compiled.h"
#include "config/config.h"

/* What the front needs of a configuration; released with compiled_config_free(). */
int compile_config(const struct config *config, struct compiled_config **ret);
/* Puts a form into the cache, under its key, by rename. */
int compile_store(const char *home, const char *key, const struct buffer *form);
/* What stands for a form where there is none: why not. */
void compile_fault(const struct error *error, struct buffer *ret);

#endif
