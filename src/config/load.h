/* For the commands that read, check and show the files one by one: `coffer config`, `coffer trust`,
 * and what compiles for the front. */
#ifndef COFFER_CONFIG_LOAD_H
#define COFFER_CONFIG_LOAD_H

#include "config/config.h"
#include "config/sources.h"

/* config_load() of files that were read before. trust_project: the project's is taken as
 * trusted. */
int config_load_sources(const struct config_where *where,
	struct config_source sources[CONFIG_SOURCES], bool trust_project, struct config **ret,
	struct strv *problems, struct error *error);
/* What the layers (a set of 1 << enum config_layer) say, as text: a line for each part. */
void config_show_layers(const struct config *config, unsigned layers, struct buffer *out);
/* The table of all keys, as Markdown. */
void config_print_keys(struct buffer *out);

#endif
