#include "witness/ring.h"

#include "base/cleanup.h"

#include <string.h>

static const char *const call_names[WITNESS_CALL_COUNT] = {
#define NAME(call) [WITNESS_CALL_##call] = #call,
	WITNESS_CALLS(NAME)
#undef NAME
};

/* The next of the three strings; "" where they are used up. */
static const char *take(const char **at, const char *end)
{
	const char *text = *at;
	const char *nul = text < end ? memchr(text, '\0', (size_t)(end - text)) : NULL;
	if (!nul)
		return "";
	*at = nul + 1;
	return text;
}

bool hint_parse(const struct witness_record *record, struct hint *ret)
{
	if (record->state != 1 || record->call >= WITNESS_CALL_COUNT || record->count == 0 ||
		record->errno_value < 0 || record->errno_value > 4095)
		return false;
	ret->call = (enum witness_call)record->call;
	ret->call_name = call_names[record->call];
	ret->wants = record->wants & (WITNESS_READ | WITNESS_WRITE | WITNESS_ENTRY);
	ret->by_mode = record->flags & WITNESS_BY_MODE;
	ret->pid = record->pid > 0 ? record->pid : 0;
	ret->errno_value = record->errno_value;
	ret->count = record->count;
	ret->time_ms = record->time_ms > 0 ? record->time_ms : 0;
	memcpy(ret->program, record->program, WITNESS_PROGRAM_BYTES);
	ret->program[WITNESS_PROGRAM_BYTES] = '\0';
	memcpy(ret->text, record->text, sizeof(record->text));
	const char *at = ret->text, *end = ret->text + sizeof(record->text);
	ret->path = take(&at, end);
	ret->base = take(&at, end);
	ret->resolved = take(&at, end);
	return true;
}

uint32_t ring_each(int fd, void (*visit)(const struct hint *hint, void *context), void *context)
{
	uint32_t head[3]; /* magic, used, lost */
	if (pread(fd, head, sizeof(head), 0) != (ssize_t)sizeof(head) || head[0] != WITNESS_MAGIC)
		return 0;
	for (uint32_t i = 0; i < head[1] && i < WITNESS_RECORDS_MAX; i++) {
		struct witness_record record;
		struct hint hint;
		off_t at = (off_t)(offsetof(struct witness_ring, records) + i * sizeof(record));
		if (pread(fd, &record, sizeof(record), at) != (ssize_t)sizeof(record))
			break;
		if (hint_parse(&record, &hint))
			visit(&hint, context);
	}
	return head[2];
}
