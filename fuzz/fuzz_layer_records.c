/* A root's records are coffer's own, but a disk may have been full, and a person may edit. Whatever the
 * file holds: nothing is read beside it, and each path that is found is the one that was asked for. */
#include "layer/records.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Every string of the file as a path to ask for. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct layer_records *records;
	char *copy = malloc(size + 1);
	if (!copy)
		return 0;
	memcpy(copy, data, size);
	copy[size] = '\0';
	if (records_parse((const char *)data, size, &records) == 0) {
		for (size_t at = 0; at < size; at += strlen(copy + at) + 1) {
			const struct layer_record *record = layer_records_find(records, copy + at);
			if (record && record->base.present && !record->base.st.st_mode)
				abort();
			if (record && records_own_count(records) == 0)
				abort();
		}
		layer_records_free(records);
	}
	free(copy);
	return 0;
}
