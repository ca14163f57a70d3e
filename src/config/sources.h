/* The configuration files themselves: where they are, reading each exactly once, and their digest.
 * Shared by the front, which only asks whether it knows them already, and coffer-gate, which parses
 * what was read here. */
#ifndef COFFER_CONFIG_SOURCES_H
#define COFFER_CONFIG_SOURCES_H

#include "config/config.h"

enum { SHA256_BYTES = 32, CONFIG_SOURCES = 4, CONFIG_KEY_BYTES = 2 * SHA256_BYTES + 1 };

#define CONFIG_FILE "coffer.toml"
#define CONFIG_PROJECT_FILE ".coffer/coffer.toml"
#define CONFIG_REQUIREMENTS_FILE "requirements.toml"
#define CONFIG_TRUST_FILE "trust.jsonl"
/* Changes with what compiled.c reads, or with what the loader makes of the same files. */
#define CONFIG_COMPILED_FORMAT "1"

struct config_source {
	enum config_layer layer;
	char *path; /* NULL: the layer is left out */
	char *data; /* NULL: there is no such file */
	size_t length_bytes;
};

/* Reads the files of all layers, in the order of their use: requirements, system, user, project.
 * What is in the system's directory must be root's, and nobody else's to write; the project's must
 * be a regular file that no link leads out of the workspace to. On failure nothing is kept. */
int config_sources_read(const struct config_where *where, struct config_source ret[CONFIG_SOURCES],
	struct error *error);
void config_sources_release(struct config_source sources[CONFIG_SOURCES]);
bool config_sources_exist(const struct config_source sources[CONFIG_SOURCES]);

/* What a compiled configuration is cached under: everything that it depends on. */
int config_sources_key(const struct config_where *where,
	const struct config_source sources[CONFIG_SOURCES], char ret[CONFIG_KEY_BYTES],
	struct error *error);

/* Whether directory or one above it has a project's file at all: a look at each is a tenth of what
 * looking for the repository's top costs. */
bool config_project_possible(const char *directory);

/* The cache of compiled configurations: $XDG_CACHE_HOME/coffer/config. NULL: no home, no memory. */
char *config_cache_dir(const char *home);

#endif
