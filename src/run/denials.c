/* Theory of operation. The table is written by two processes, one of which (the broker) works
 * inside the box's namespaces and may be killed at any instruction; so there is no lock that could
 * be left held. A writer claims a slot by advancing `used`, fills it, and publishes it by setting
 * its count. What that cannot do is harmless: two processes that meet the same new denial at the
 * same moment may take a slot each, and a writer that dies in between leaves a slot that nobody
 * reports. The reader trusts no number and no terminator that it finds in the shared memory. */
#include "run/denials.h"

#include "base/cleanup.h"
#include "base/fd.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

struct denials *denials_new(void)
{
	void *memory = mmap(NULL, sizeof(struct denials), PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	return memory == MAP_FAILED ? NULL : memory;
}

void denials_free(struct denials *denials)
{
	if (denials)
		munmap(denials, sizeof(*denials));
}

size_t denials_count(const struct denials *denials)
{
	size_t used = __atomic_load_n(&denials->used, __ATOMIC_RELAXED);
	return used < MAX_DENIALS ? used : MAX_DENIALS;
}

/* Copies as much of text as fits; what is behind it is zero, so that equal texts are equal
 * arrays. */
static void set_text(char *field, size_t field_bytes, const char *text)
{
	memset(field, 0, field_bytes);
	memcpy(field, text, strnlen(text, field_bytes - 1));
}
#define SET_TEXT(field, text) set_text((field), sizeof(field), (text))

static bool is_equal(const struct denial *a, const struct denial *b)
{
	return a->errno_value == b->errno_value &&
	       !strncmp(a->target, b->target, sizeof(a->target)) &&
	       !strncmp(a->call, b->call, sizeof(a->call)) &&
	       !strncmp(a->program, b->program, sizeof(a->program)) &&
	       !strncmp(a->promise, b->promise, sizeof(a->promise));
}

/* Adds to *count, but never wraps round to "free": a box can ask for four thousand million
 * refusals, not for being forgotten. */
static void count_up(uint32_t *count, uint32_t more)
{
	uint32_t old = __atomic_load_n(count, __ATOMIC_RELAXED), sum;
	do
		sum = old > UINT32_MAX - more ? UINT32_MAX : old + more;
	while (!__atomic_compare_exchange_n(
		count, &old, sum, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
}

/* Whether denial is in the table already, and was counted there. */
static bool count_on_equal(struct denials *denials, const struct denial *denial, uint32_t count)
{
	size_t used = denials_count(denials);
	for (size_t i = 0; i < used; i++) {
		struct denial *item = &denials->items[i];
		if (__atomic_load_n(&item->count, __ATOMIC_ACQUIRE) && is_equal(item, denial)) {
			count_up(&item->count, count);
			return true;
		}
	}
	return false;
}

static struct denial *claim_slot(struct denials *denials)
{
	uint32_t used = __atomic_load_n(&denials->used, __ATOMIC_RELAXED);
	do {
		if (used >= MAX_DENIALS)
			return NULL;
	} while (!__atomic_compare_exchange_n(
		&denials->used, &used, used + 1, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
	return &denials->items[used];
}

int64_t denials_now_ms(void)
{
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void denials_add_named(struct denials *denials, pid_t pid, const char *program, const char *call,
	const char *promise, const char *target, int errno_value, const char *reason)
{
	struct denial denial = {
		.pid = pid,
		.errno_value = errno_value,
		.time_ms = denials_now_ms(),
	};
	SET_TEXT(denial.call, call);
	SET_TEXT(denial.promise, promise);
	SET_TEXT(denial.program, program);
	SET_TEXT(denial.target, target);
	SET_TEXT(denial.reason, reason);
	denial.count = 1;
	denials_add_whole(denials, &denial);
}

void denials_add_whole(struct denials *denials, const struct denial *denial)
{
	struct denial copy = *denial;
	copy.count = 0;
	if (count_on_equal(denials, &copy, denial->count))
		return;
	struct denial *slot = claim_slot(denials);
	if (!slot) {
		count_up(&denials->lost, 1);
		return;
	}
	*slot = copy;
	__atomic_store_n(&slot->count, denial->count, __ATOMIC_RELEASE);
}

void denials_lose(struct denials *denials, uint32_t count)
{
	count_up(&denials->lost, count);
}

/* The name of pid, or "". /proc/self is a link to this process's number in the PID namespace that
 * /proc was mounted for, and does not resolve where this process has none. */
static void read_program(pid_t pid, char *program, size_t program_bytes)
{
	program[0] = '\0';
	char path[32], self[16];
	ssize_t length_bytes = readlink("/proc/self", self, sizeof(self) - 1);
	if (length_bytes <= 0)
		return;
	self[length_bytes] = '\0';
	snprintf(path, sizeof(path), "%d", getpid());
	if (strcmp(self, path) != 0)
		return;
	snprintf(path, sizeof(path), "/proc/%d/comm", pid);
	cleanup_free char *comm = NULL;
	size_t comm_bytes;
	if (fd_read_file(AT_FDCWD, path, MAX_NAME_BYTES, &comm, &comm_bytes))
		return;
	if (comm_bytes && comm[comm_bytes - 1] == '\n')
		comm[comm_bytes - 1] = '\0';
	snprintf(program, program_bytes, "%s", comm);
}

void denials_add(struct denials *denials, pid_t pid, const char *call, const char *promise,
	const char *target, int errno_value, const char *reason)
{
	char program[sizeof(denials->items[0].program)];
	read_program(pid, program, sizeof(program));
	denials_add_named(denials, pid, program, call, promise, target, errno_value, reason);
}

bool denials_get(const struct denials *denials, size_t index, struct denial *ret)
{
	if (index >= denials_count(denials) ||
		!__atomic_load_n(&denials->items[index].count, __ATOMIC_ACQUIRE))
		return false;
	*ret = denials->items[index];
	ret->call[sizeof(ret->call) - 1] = '\0';
	ret->promise[sizeof(ret->promise) - 1] = '\0';
	ret->program[sizeof(ret->program) - 1] = '\0';
	ret->target[sizeof(ret->target) - 1] = '\0';
	ret->resolved[sizeof(ret->resolved) - 1] = '\0';
	ret->rule[sizeof(ret->rule) - 1] = '\0';
	ret->reason[sizeof(ret->reason) - 1] = '\0';
	return true;
}
