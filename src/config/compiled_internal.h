/* The compiled form itself: written by compile.c, read by compiled.c. */
#ifndef COFFER_CONFIG_COMPILED_INTERNAL_H
#define COFFER_CONFIG_COMPILED_INTERNAL_H

#include "base/buffer.h"
#include "config/compiled.h"
#include "config/sources.h"

#define COMPILED_MAGIC "coffer configuration"
#define COMPILED_FAULT "coffer configuration: fault"

enum {
	/* Each rule has a first word, each setting a place and a layer. */
	MAX_COMPILED_BYTES = 8 * 1024 * 1024,
	/* Older ones are removed when there are more. */
	MAX_COMPILED_FILES = 64,
};

/* The form, for the key that it is cached under; -errno in the buffer. */
void compiled_write(const struct compiled_config *config, const char *key, struct buffer *ret);
/* -EBADMSG for what is none, or is for another key. */
int compiled_read(const char *data, size_t length_bytes, const char *key,
	struct compiled_config **ret, struct error *error);
/* Opens the cache's directory; with make, it is made. -EPERM where it is not this user's alone. */
int compiled_cache_open(const char *home, bool make);

#endif
