/* Theory of operation. Nothing here is a function of a libc's: a report may be made in a signal
 * handler, between vfork() and exec, or in a program whose libc is another than the one that this
 * was built beside. The ring is opened and mapped at the first report, so that a program to which
 * nothing is refused pays for being loaded and for nothing else; the mapping is inherited over
 * fork() and needs no descriptor.
 *
 * Equal refusals are counted on one record, found by a hash. A record is claimed by advancing
 * `used`, filled in place (a signal stack may be small), and published by its state. When there is
 * no more room, that is counted. */
#include "witness/preload/report.h"

#include "witness/preload/raw.h"

#include <linux/time.h>
#include <stddef.h>

enum {
	NO_RING = 1, /* in place of the pointer: there is none */
	BASE_BYTES = 512,
	PROT_READ_WRITE = 1 | 2,
	MAP_SHARED_FLAG = 1,
	GET_NAME = 16,     /* PR_GET_NAME */
	REALTIME = 0,      /* CLOCK_REALTIME */
	WRITE_OK = 2,      /* W_OK */
	READ_OK = 4,       /* R_OK */
	SEARCH_OK = 1,     /* X_OK */
	EFFECTIVE = 0x200, /* AT_EACCESS */
	TRIES = 16,
};

static uintptr_t ring_address; /* 0: not looked for yet */
extern char **environ __attribute__((weak));

static size_t length_of(const char *text, size_t max)
{
	size_t length = 0;
	while (length < max && text[length])
		length++;
	return length;
}

/* Copies what fits, with its NUL, and returns where the next string begins. */
static char *put(char *to, char *end, const char *text)
{
	while (to < end - 1 && *text)
		*to++ = *text++;
	*to = '\0';
	return to + 1;
}

static const char *ring_path(void)
{
	static const char name[] = WITNESS_RING_VARIABLE "=";
	for (char **variable = &environ ? environ : NULL; variable && *variable; variable++) {
		size_t i = 0;
		while (name[i] && (*variable)[i] == name[i])
			i++;
		if (!name[i])
			return *variable + i;
	}
	return WITNESS_RING_INSIDE;
}

static struct witness_ring *find_ring(void)
{
	uintptr_t address = __atomic_load_n(&ring_address, __ATOMIC_ACQUIRE);
	if (address)
		return address == NO_RING ? NULL : (struct witness_ring *)address;
	address = NO_RING;
	long fd =
		raw4(__NR_openat, AT_FDCWD, (long)ring_path(), O_RDWR | O_CLOEXEC | O_NOFOLLOW, 0);
	if (fd >= 0) {
		long mapped = raw6(__NR_mmap, 0, sizeof(struct witness_ring), PROT_READ_WRITE,
			MAP_SHARED_FLAG, fd, 0);
		raw4(__NR_close, fd, 0, 0, 0);
		/* Errors are the topmost page of the address space. */
		if ((unsigned long)mapped < -4096UL &&
			((struct witness_ring *)mapped)->magic == WITNESS_MAGIC)
			address = (uintptr_t)mapped;
	}
	/* Two threads at once map it twice, and one mapping is never used again. */
	__atomic_store_n(&ring_address, address, __ATOMIC_RELEASE);
	return address == NO_RING ? NULL : (struct witness_ring *)address;
}

/* "/proc/self/fd/N" */
static void descriptor_path(char path[32], long fd)
{
	char digits[20];
	size_t count = 0;
	do
		digits[count++] = (char)('0' + fd % 10);
	while ((fd /= 10) > 0);
	char *to = put(path, path + 32, "/proc/self/fd/") - 1;
	while (count > 0)
		*to++ = digits[--count];
	*to = '\0';
}

static size_t read_descriptor(long fd, char *to, size_t room)
{
	char path[32];
	descriptor_path(path, fd);
	long n = room > 1 ? raw4(__NR_readlinkat, AT_FDCWD, (long)path, (long)to, (long)room - 1)
			  : 0;
	n = n > 0 && to[0] == '/' ? n : 0;
	to[n] = '\0';
	return (size_t)n;
}

static void find_base(const struct subject *subject, char base[BASE_BYTES])
{
	base[0] = '\0';
	if (subject->path[0] == '/')
		return;
	if (subject->dirfd != AT_FDCWD)
		read_descriptor(subject->dirfd, base, BASE_BYTES);
	else if (raw4(__NR_getcwd, (long)base, BASE_BYTES, 0, 0) < 0)
		base[0] = '\0';
}

static uint64_t mix(uint64_t hash, const char *text)
{
	for (; *text; text++)
		hash = (hash ^ (unsigned char)*text) * 0x100000001b3;
	return (hash ^ 0xff) * 0x100000001b3;
}

/* Below a prefix, component by component. */
static bool is_below(const char *path, const char *prefix, size_t length)
{
	for (size_t i = 0; i < length; i++)
		if (path[i] != prefix[i])
			return false;
	return path[length] == '/' || path[length] == '\0';
}

/* A path that is not there is of interest only where the plan hides things. Only absolute ones: a
 * build looks for headers in a hundred places that are relative. */
static bool may_be_hidden(const struct witness_ring *ring, const char *path)
{
	size_t end = ring->hidden_bytes;
	if (path[0] != '/' || end > WITNESS_HIDDEN_BYTES)
		return false;
	for (size_t at = 0; at < end;) {
		size_t length = length_of(ring->hidden + at, end - at);
		if (length && is_below(path, ring->hidden + at, length))
			return true;
		at += length + 1;
	}
	return false;
}

/* A slot of its own, or NULL: it was counted on an equal one, or there is none. */
static struct witness_record *claim(struct witness_ring *ring, uint64_t hash)
{
	uint32_t used = __atomic_load_n(&ring->used, __ATOMIC_RELAXED);
	for (uint32_t i = 0; i < used && i < WITNESS_RECORDS_MAX; i++) {
		if (__atomic_load_n(&ring->hashes[i], __ATOMIC_RELAXED) != hash)
			continue;
		__atomic_fetch_add(&ring->records[i].count, 1, __ATOMIC_RELAXED);
		return NULL;
	}
	do {
		if (used >= WITNESS_RECORDS_MAX) {
			__atomic_fetch_add(&ring->lost, 1, __ATOMIC_RELAXED);
			return NULL;
		}
	} while (!__atomic_compare_exchange_n(
		&ring->used, &used, used + 1, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
	__atomic_store_n(&ring->hashes[used], hash, __ATOMIC_RELAXED);
	return &ring->records[used];
}

/* Who, and when. */
static void sign(struct witness_record *record, enum witness_call call, int errno_value)
{
	struct {
		int64_t s, ns;
	} now = {0, 0};
	raw4(__NR_clock_gettime, REALTIME, (long)&now, 0, 0);
	record->time_ms = now.s * 1000 + now.ns / 1000000;
	record->pid = (int32_t)raw4(__NR_getpid, 0, 0, 0, 0);
	raw4(__NR_prctl, GET_NAME, (long)record->program, 0, 0);
	record->call = (uint16_t)call;
	record->errno_value = errno_value;
}

static void publish(struct witness_record *record)
{
	__atomic_fetch_add(&record->count, 1, __ATOMIC_RELAXED);
	__atomic_store_n(&record->state, 1, __ATOMIC_RELEASE);
}

/* What the kernel's ordinary permissions say: 0 or -errno. Landlock does not take part in it. */
static long may_at(int dirfd, const char *path, int mode)
{
	long r = -ENOSYS;
#ifdef __NR_faccessat2
	r = raw4(__NR_faccessat2, dirfd, (long)path, mode, EFFECTIVE);
#endif
	return r == -ENOSYS ? raw4(__NR_faccessat, dirfd, (long)path, mode, 0) : r;
}

static long may(const char *path, int mode)
{
	return may_at(AT_FDCWD, path, mode);
}

/* Splits the last component off in place: *ret_name is inside path, without the slashes behind it.
 * What is left is the directory's path. */
static void split(char *path, char **ret_directory, char **ret_name)
{
	size_t end = length_of(path, WITNESS_RECORD_BYTES);
	while (end > 1 && path[end - 1] == '/')
		path[--end] = '\0';
	size_t start = end;
	while (start > 0 && path[start - 1] != '/')
		start--;
	*ret_name = path + start;
	if (start == 0) {
		*ret_directory = (char *)".";
		return;
	}
	*ret_directory = start == 1 ? (char *)"/" : path;
	if (start > 1)
		path[start - 1] = '\0';
}

/* Who may change those is its owner, whatever the modes are. */
static bool is_attribute(enum witness_call call)
{
	return call >= WITNESS_CALL_chmod && call <= WITNESS_CALL_lremovexattr &&
	       call != WITNESS_CALL_truncate;
}

/* Where the path leads, found by opening it as the program could; and what modes say of it. scratch
 * is behind what was put, up to end. */
static void resolve(
	const struct subject *subject, struct witness_record *record, char *to, char *end)
{
	int wanted = subject->wants & WITNESS_READ ? READ_OK : WRITE_OK;
	size_t room = (size_t)(end - to);
	*to = '\0';
	if (room < 64)
		return;
	if (!subject->path[0]) {
		read_descriptor(subject->dirfd, to, room);
		return;
	}
	long fd = -1;
	for (int i = 0; i < TRIES && !(subject->wants & WITNESS_ENTRY); i++) {
		fd = raw4(__NR_openat, subject->dirfd, (long)subject->path,
			O_PATH | O_CLOEXEC | (subject->nofollow ? O_NOFOLLOW : 0), 0);
		if (fd < 0)
			break;
		read_descriptor(fd, to, room);
		raw4(__NR_close, fd, 0, 0, 0);
		/* Somebody may be moving links about: where this leads now must refuse, too. */
		if (record->errno_value == EROFS && may(to, WRITE_OK) == 0)
			continue;
		if (!is_attribute(subject->call) && may(to, wanted) == -EACCES)
			record->flags |= WITNESS_BY_MODE;
		return;
	}
	if (fd >= 0)
		return;
	/* Not there (yet), or an entry is what it is about: its directory, and the name. */
	char *directory, *name, *copy = to + room / 2;
	put(copy, end, subject->path);
	split(copy, &directory, &name);
	fd = raw4(__NR_openat, subject->dirfd, (long)directory, O_PATH | O_CLOEXEC, 0);
	if (fd < 0)
		return;
	size_t length = read_descriptor(fd, to, room / 2);
	raw4(__NR_close, fd, 0, 0, 0);
	if (may_at(subject->dirfd, directory, WRITE_OK | SEARCH_OK) == -EACCES)
		record->flags |= WITNESS_BY_MODE;
	if (!length || length + length_of(name, room) + 2 > room / 2) {
		*to = '\0';
		return;
	}
	if (length > 1)
		to[length++] = '/';
	put(to + length, end, name);
}

void report_refused(const struct subject *subject, int errno_value)
{
	struct witness_ring *ring = subject->path ? find_ring() : NULL;
	char base[BASE_BYTES];
	if (!ring || (errno_value == ENOENT && !may_be_hidden(ring, subject->path)))
		return;
	find_base(subject, base);
	uint64_t hash = 0xcbf29ce484222325 ^ (uint64_t)errno_value << 32 ^ (uint64_t)subject->call;
	hash = mix(mix(hash ^ (uint64_t)raw4(__NR_getpid, 0, 0, 0, 0) << 16, subject->path), base);
	struct witness_record *record = claim(ring, hash);
	if (!record)
		return;
	sign(record, subject->call, errno_value);
	record->wants = (uint8_t)subject->wants;
	record->flags = 0;
	char *end = record->text + sizeof(record->text);
	char *to = put(record->text, record->text + sizeof(record->text) / 2, subject->path);
	to = put(to, to + (end - to) / 2, base);
	resolve(subject, record, to, end);
	publish(record);
}

void report_unresolved(const char *name, const char *service)
{
	struct witness_ring *ring = find_ring();
	if (!ring)
		return;
	uint64_t hash = mix(mix(WITNESS_CALL_resolve, name), service ? service : "");
	struct witness_record *record = claim(ring, hash);
	if (!record)
		return;
	sign(record, WITNESS_CALL_resolve, 0);
	char *end = record->text + sizeof(record->text);
	char *to = put(record->text, record->text + sizeof(record->text) / 2, name);
	to = put(to, to + (end - to) / 2, service ? service : "");
	put(to, end, "");
	publish(record);
}
