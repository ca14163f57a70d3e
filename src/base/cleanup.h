/* Scope-bound release of descriptors and memory. A variable marked cleanup_* owns what it holds;
 * steal_fd() and steal_pointer() hand the ownership on. */
#ifndef COFFER_BASE_CLEANUP_H
#define COFFER_BASE_CLEANUP_H

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Closes *fd if it is one, keeping errno, and marks it closed. */
static inline void close_fd(int *fd)
{
	if (*fd >= 0) {
		int saved = errno;
		close(*fd);
		errno = saved;
	}
	*fd = -1;
}

static inline void cleanup_free_pointer(void *pointer)
{
	free(*(void **)pointer);
}

static inline void cleanup_fclose_pointer(FILE **file)
{
	if (*file)
		fclose(*file);
}

static inline void cleanup_closedir_pointer(DIR **dir)
{
	if (*dir)
		closedir(*dir);
}

#define cleanup_close __attribute__((cleanup(close_fd)))
#define cleanup_free __attribute__((cleanup(cleanup_free_pointer)))
#define cleanup_fclose __attribute__((cleanup(cleanup_fclose_pointer)))
#define cleanup_closedir __attribute__((cleanup(cleanup_closedir_pointer)))

static inline int steal_fd(int *fd)
{
	int taken = *fd;
	*fd = -1;
	return taken;
}

#define steal_pointer(pointer)                                                                     \
	({                                                                                         \
		__typeof__(*(pointer)) taken_ = *(pointer);                                        \
		*(pointer) = NULL;                                                                 \
		taken_;                                                                            \
	})

#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))

#endif
