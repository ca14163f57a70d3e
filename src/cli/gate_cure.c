/* on-failure: a command that failed because the box refused something may be offered again with
 * what it lacked. What was refused is known from the box, never guessed from the output. */
#include "cli/gate.h"

#include "base/cleanup.h"
#include "base/path.h"
#include "library/library.h"

#include <string.h>

enum { ASKS_MAX = 8 };

/* HOST:PORT, or a host; what cannot be granted by name gives nothing. */
static int cure_network(const struct denial *denial, struct strv *asks)
{
	bool named = strcmp(denial->call, "connect") == 0 || strcmp(denial->call, "resolve") == 0;
	if (!named || !denial->target[0] || strpbrk(denial->target, "/@, =*\\"))
		return 0;
	char ask[sizeof(denial->target) + 8];
	snprintf(ask, sizeof(ask), "net=%s", denial->target);
	return strv_contains(asks, ask) ? 0 : strv_add(asks, ask);
}

/* The directory in which something was to be written. */
static int cure_write(const struct denial *denial, struct strv *asks)
{
	const char *path = denial->resolved[0] ? denial->resolved : denial->target;
	if (path[0] != '/' || strpbrk(path, ",\\") || denial->by_mode)
		return 0;
	cleanup_free char *parent = path_parent(path);
	cleanup_free char *ask = NULL;
	if (!parent || strcmp(parent, "/") == 0)
		return parent ? 0 : -ENOMEM;
	if (asprintf(&ask, "write=%s", parent) < 0)
		return -ENOMEM;
	return strv_contains(asks, ask) ? 0 : strv_add(asks, ask);
}

int cli_gate_cure(const struct coffer_report *report, struct strv *ret_asks, char **ret_after)
{
	cleanup_buffer struct buffer after = BUFFER_INIT(MAX_POLICY_VALUE_BYTES);
	int r = 0;
	size_t count = report->denials ? denials_count(report->denials) : 0;
	for (size_t i = 0; r == 0 && i < count && ret_asks->count < ASKS_MAX; i++) {
		struct denial denial;
		if (!denials_get(report->denials, i, &denial))
			continue;
		size_t before = ret_asks->count;
		if (strcmp(denial.promise, "P3") == 0)
			r = cure_network(&denial, ret_asks);
		else if (strcmp(denial.promise, "P1") == 0)
			r = cure_write(&denial, ret_asks);
		if (ret_asks->count > before)
			buffer_append_format(&after, "%s%s %s: %s", after.length_bytes ? "; " : "",
				denial.call, denial.target, denial.reason);
	}
	if (r < 0 || ret_asks->count == 0)
		return r;
	*ret_after = buffer_steal(&after);
	return *ret_after ? 0 : -ENOMEM;
}
