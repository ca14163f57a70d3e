/* The configuration with its rules' examples tried: what is in force only where they hold. */
#ifndef COFFER_GATE_CONFIG_CHECKED_H
#define COFFER_GATE_CONFIG_CHECKED_H

#include "config/load.h"

/* config_load_sources(), and every rule's examples. */
int config_load_checked(const struct config_where *where,
	struct config_source sources[CONFIG_SOURCES], bool trust_project, struct config **ret,
	struct strv *problems, struct error *error);

#endif
