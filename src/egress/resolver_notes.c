#include "egress/resolver.h"

#include "base/cleanup.h"

#include <string.h>

enum { NOTES_MAX = 64 }; /* different names in a second; what is more is told as a number */

struct note {
	struct egress_record record; /* count: what is not logged yet */
	uint16_t first_type;
	bool has_pair; /* A came after AAAA or the other way round: one getaddrinfo() */
};

struct notes {
	struct egress *egress;
	struct event *timer; /* pending while there are notes */
	struct note items[NOTES_MAX];
	size_t count;
	struct egress_record other; /* count: names that found no room */
};

/* A new second: what was noted is logged, and forgotten. */
static void flush(struct notes *notes)
{
	for (size_t i = 0; i < notes->count; i++)
		if (notes->items[i].record.count > 0)
			egress_log(notes->egress, &notes->items[i].record);
	notes->count = 0;
	if (notes->other.count > 0) {
		struct egress_record *record = &notes->other;
		memset(record->name, 0, sizeof(record->name));
		snprintf(record->reason, sizeof(record->reason),
			"more than %d different names were asked for in vain within a second",
			NOTES_MAX);
		egress_log(notes->egress, record);
		record->count = 0;
	}
}

static void on_timer(evutil_socket_t fd, short what, void *context)
{
	(void)fd, (void)what;
	flush(context);
}

int notes_new(struct egress *egress, struct notes **ret)
{
	struct notes *notes = calloc(1, sizeof(*notes));
	if (notes)
		notes->timer = evtimer_new(egress->base, on_timer, notes);
	if (!notes || !notes->timer) {
		free(notes);
		return -ENOMEM;
	}
	notes->egress = egress;
	*ret = notes;
	return 0;
}

void notes_free(struct notes *notes)
{
	if (!notes)
		return;
	flush(notes);
	event_free(notes->timer);
	free(notes);
}

static struct note *find(struct notes *notes, const struct egress_record *record)
{
	for (size_t i = 0; i < notes->count; i++) {
		struct note *note = &notes->items[i];
		if (strcmp(note->record.name, record->name) == 0 &&
			note->record.errno_value == record->errno_value)
			return note;
	}
	return NULL;
}

void notes_add(struct notes *notes, const struct egress_record *record, uint16_t type)
{
	if (!event_pending(notes->timer, EV_TIMEOUT, NULL))
		event_add(notes->timer, &(struct timeval){.tv_sec = 1});
	struct note *note = find(notes, record);
	if (note) {
		bool pair =
			!note->has_pair && type + note->first_type == DNS_TYPE_A + DNS_TYPE_AAAA;
		note->has_pair |= pair;
		note->record.count += !pair;
		return;
	}
	if (notes->count == NOTES_MAX) {
		uint32_t count = notes->other.count;
		notes->other = *record;
		notes->other.count = count + 1;
		return;
	}
	egress_log(notes->egress, record);
	note = &notes->items[notes->count++];
	*note = (struct note){.record = *record, .first_type = type};
	note->record.count = 0;
}
