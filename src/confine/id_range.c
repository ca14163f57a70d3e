/* Theory of operation. Ranges are numbered; number n begins at FIRST_ID + n * 65536, above
 * everything that systemd, useradd and container engines hand out (they stay below 0x70000000), and
 * below the ids whose sign bit or special value confuses programs. A range is taken by locking the
 * file of its number: the lock goes with its holder, whatever kills it. */
#include "confine/id_range.h"

#include "base/cleanup.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>

#define FIRST_ID 0x80000000u
enum { RANGES = 0x7000 };

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
