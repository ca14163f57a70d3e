#include "base/strv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int strv_add_owned(struct strv *strv, char *string)
{
	if (!string)
		return -ENOMEM;
	if (strv->count + 2 > strv->capacity) {
		size_t capacity = strv->capacity ? strv->capacity * 2 : 16;
		char **items = reallocarray(strv->items, capacity, sizeof(*items));
		if (!items) {
			free(string);
			return -ENOMEM;
		}
		strv->items = items;
		strv->capacity = capacity;
	}
	strv->items[strv->count++] = string;
	strv->items[strv->count] = NULL;
	return 0;
}

int strv_add(struct strv *strv, const char *string)
{
	return strv_add_owned(strv, strdup(string));
}

int strv_copy(struct strv *ret, char *const strings[])
{
	struct strv copy = {0};
	for (size_t i = 0; strings && strings[i]; i++) {
		int r = strv_add(&copy, strings[i]);
		if (r < 0) {
			strv_release(&copy);
			return r;
		}
	}
	*ret = copy;
	return 0;
}

bool strv_contains(const struct strv *strv, const char *string)
{
	for (size_t i = 0; i < strv->count; i++)
		if (strcmp(strv->items[i], string) == 0)
			return true;
	return false;
}

char *const *strv_items(const struct strv *strv)
{
	static char *const empty[] = {NULL};
	return strv->items ? strv->items : empty;
}

void strv_release(struct strv *strv)
{
	for (size_t i = 0; i < strv->count; i++)
		free(strv->items[i]);
	free(strv->items);
	*strv = (struct strv){0};
}
