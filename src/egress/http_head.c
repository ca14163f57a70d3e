#include "egress/http_head.h"

#include "base/cleanup.h"

#include <string.h>
#include <strings.h>

const char *http_head_get(const struct http_head *head, const char *name)
{
	for (size_t i = 0; i < head->fields_count; i++)
		if (strcasecmp(head->fields[i].name, name) == 0)
			return head->fields[i].value;
	return NULL;
}
