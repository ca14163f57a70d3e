/* Theory of operation. Ranges are numbered; number n begins at FIRST_ID + n * 65536, above
 * everything that systemd, useradd and container engines hand out (they stay below 0x70000000), and
 * below the ids whose sign bit or special value confuses programs. A range is taken by locking the
 * file of its number: the lock goes with its holder, whatever kills it. */
#include "confine/id_range.h"

#include "base/cleanup.h"
#include "base/fd.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>

#define FIRST_ID 0x80000000u
/* Above the ranges: pids are below 2^22 (PID_MAX_LIMIT), and the last id of all stands for none. */
#define FIRST_SINGLE_ID (FIRST_ID + RANGES * (uint32_t)ID_RANGE_COUNT)
enum {
	RANGES = 0x7000,
	PIDS = (1 << 22) - 1,
	CHANCE_BITS = 6,
	NOBODY = 65534,
	MAX_ID_MAP_BYTES = 64 * 1024, /* 340 lines */
};

int id_range_take(uint32_t *ret_base, struct error *error)
{
	if (mkdir("/run/coffer", 0755) < 0 && errno != EEXIST)
		return error_set_errno(error, errno, "id maps", "/run/coffer");
	if (mkdir("/run/coffer/ids", 0700) < 0 && errno != EEXIST)
		return error_set_errno(error, errno, "id maps", "/run/coffer/ids");
	for (unsigned tries = 0; tries < RANGES; tries++) {
		unsigned number = ((unsigned)getpid() + tries) % RANGES;
		char path[64];
		snprintf(path, sizeof(path), "/run/coffer/ids/%u", number);
		cleanup_close int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
		if (fd < 0)
			return error_set_errno(error, errno, "id maps", "%s", path);
		if (flock(fd, LOCK_EX | LOCK_NB) < 0)
			continue;
		*ret_base = FIRST_ID + number * ID_RANGE_COUNT;
		return steal_fd(&fd);
	}
	return error_set(error, EAGAIN, "id maps", "all %d id ranges are in use", RANGES);
}

static bool is_mapped(const char *map, uint32_t id)
{
	cleanup_free char *text = NULL;
	if (fd_read_file(AT_FDCWD, map, MAX_ID_MAP_BYTES, &text, NULL) < 0)
		return false;
	unsigned first, outside, count;
	int length;
	for (const char *line = text;
		sscanf(line, "%u %u %u%n", &first, &outside, &count, &length) == 3; line += length)
		if (id >= first && id - first < count)
			return true;
	return false;
}

uint32_t id_single(void)
{
	uint32_t chance; /* for the sake of other PID namespaces */
	if (getrandom(&chance, sizeof(chance), GRND_NONBLOCK) < 0)
		chance = 0;
	uint32_t id = FIRST_SINGLE_ID + ((uint32_t)getpid() % PIDS << CHANCE_BITS) +
		      chance % (1U << CHANCE_BITS);
	return is_mapped("/proc/self/uid_map", id) && is_mapped("/proc/self/gid_map", id) ? id
											  : NOBODY;
}
