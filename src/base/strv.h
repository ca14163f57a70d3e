/* A growing, NULL-terminated vector of owned strings (the shape of argv and envp). */
#ifndef COFFER_BASE_STRV_H
#define COFFER_BASE_STRV_H

#include <stdbool.h>
#include <stddef.h>

struct strv {
	char **items; /* items[count] is NULL; items itself is NULL while nothing was added */
	size_t count;
	size_t capacity;
};

int strv_add(struct strv *strv, const char *string); /* copies; 0 or -ENOMEM */
int strv_add_owned(struct strv *strv, char *string); /* takes string even when it fails */
int strv_copy(struct strv *ret, char *const strings[]);
bool strv_contains(const struct strv *strv, const char *string);
/* NULL-safe view for exec and loops. */
char *const *strv_items(const struct strv *strv);
void strv_release(struct strv *strv);

#define cleanup_strv __attribute__((cleanup(strv_release)))

#endif
