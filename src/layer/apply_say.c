/* What a person is told of changes that cannot be applied. */
#include "layer/apply_internal.h"

#include "base/cleanup.h"
#include "base/limits.h"
#include "base/path.h"
#include "base/units.h"

#include <stdarg.h>
#include <string.h>
#include <time.h>

static char *host_path(const struct apply *apply, const struct apply_item *item)
{
	const char *base = apply->journal.roots[item->root].base;
	return *item->path ? path_join(base, item->path) : strdup(base);
}

bool apply_is_within(const char *path, const char *above)
{
	size_t length = strlen(above);
	return length == 0 || (strncmp(path, above, length) == 0 &&
				      (path[length] == '/' || path[length] == '\0'));
}

int apply_refuse(struct apply *apply, const struct apply_item *item, enum apply_problem problem,
	const char *format, ...)
{
	struct apply_result *result = apply->result;
	if (apply->refused && apply->refused_root == item->root &&
		apply_is_within(item->path, apply->refused))
		return 0;
	free(apply->refused);
	apply->refused = strdup(item->path);
	apply->refused_root = item->root;
	if (result->refusals_count == MAX_LAYER_APPLY_REFUSALS) {
		result->refusals_lost++;
		return apply->refused ? 0 : -ENOMEM;
	}
	void *larger = reallocarray(
		result->refusals, result->refusals_count + 1, sizeof(*result->refusals));
	if (!larger || !apply->refused)
		return -ENOMEM;
	result->refusals = larger;
	struct apply_refusal refusal = {.problem = problem, .path = host_path(apply, item)};
	va_list args;
	va_start(args, format);
	if (vasprintf(&refusal.text, format, args) < 0)
		refusal.text = NULL;
	va_end(args);
	if (!refusal.path || !refusal.text) {
		free(refusal.path);
		free(refusal.text);
		return -ENOMEM;
	}
	result->refusals[result->refusals_count++] = refusal;
	return 0;
}

int apply_skip(struct apply *apply, const struct apply_item *item, const char *why)
{
	cleanup_free char *path = host_path(apply, item);
	char *text = NULL;
	if (apply->result->skipped.count >= MAX_LAYER_APPLY_REFUSALS)
		return 0;
	if (!path || asprintf(&text, "%s: %s", path, why) < 0)
		return -ENOMEM;
	return strv_add_owned(&apply->result->skipped, text);
}

/* ---- three ways ---- */

static const char *type_name(mode_t mode)
{
	return S_ISDIR(mode)	? "a directory"
	       : S_ISLNK(mode)	? "a symbolic link"
	       : S_ISREG(mode)	? "a file"
	       : S_ISFIFO(mode) ? "a FIFO"
	       : S_ISSOCK(mode) ? "a socket"
				: "a device";
}

enum { STATE_BYTES = 160 };

/* "a file of 12 bytes, mode 644, of 2024-05-01 12:00:00" */
static void describe(const struct layer_entry *entry, char ret[STATE_BYTES])
{
	const struct stat *st = &entry->st;
	char when[32] = "?", size[32];
	struct tm local;
	if (!entry->present) {
		snprintf(ret, STATE_BYTES, "nothing");
		return;
	}
	if (localtime_r(&st->st_mtim.tv_sec, &local))
		strftime(when, sizeof(when), "%Y-%m-%d %H:%M:%S", &local);
	if (S_ISREG(st->st_mode) && st->st_size >= 1024) {
		units_format_bytes((uint64_t)st->st_size, size, sizeof(size));
		snprintf(ret, STATE_BYTES, "a file of %s, mode %o, of %s", size,
			(unsigned)st->st_mode & 07777, when);
	} else if (S_ISREG(st->st_mode)) {
		snprintf(ret, STATE_BYTES, "a file of %lld bytes, mode %o, of %s",
			(long long)st->st_size, (unsigned)st->st_mode & 07777, when);
	} else if (S_ISLNK(st->st_mode)) {
		snprintf(ret, STATE_BYTES, "a symbolic link of %s", when);
	} else {
		snprintf(ret, STATE_BYTES, "%s, mode %o", type_name(st->st_mode),
			(unsigned)st->st_mode & 07777);
	}
}

static const char *what_happened(const struct layer_record *record, const struct layer_entry *now)
{
	if (!record || !record->base.present)
		return now->present ? "made on the host since" : "gone from the host";
	if (record->changed_in_run)
		return "changed on the host while the box ran";
	if (!now->present)
		return "removed on the host since";
	if ((record->base.st.st_mode ^ now->st.st_mode) & S_IFMT)
		return "something else on the host since";
	if (!S_ISDIR(now->st.st_mode) && (record->base.st.st_ino != now->st.st_ino ||
						 record->base.st.st_size != now->st.st_size ||
						 apply_time_ns(record->base.st.st_mtim) !=
							 apply_time_ns(now->st.st_mtim)))
		return "changed on the host since";
	return "changed in mode, owner or attributes on the host since";
}

int apply_refuse_conflict(struct apply *apply, const struct apply_item *item)
{
	const struct layer_record *record =
		layer_records_find(apply->views[item->root].records, item->path);
	const struct layer_entry nothing = {0};
	char then[STATE_BYTES], now[STATE_BYTES], layer[STATE_BYTES];
	describe(record ? &record->base : &nothing, then);
	describe(&item->before, now);
	describe(&item->after, layer);
	return apply_refuse(apply, item, APPLY_CONFLICT, "%s: it was %s; now it is %s; the layer has %s",
		what_happened(record, &item->before), record ? then : "not known", now, layer);
}
