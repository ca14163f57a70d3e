/* Reading, writing and passing descriptors, without surprises from signals or short counts. */
#ifndef COFFER_BASE_FD_H
#define COFFER_BASE_FD_H

#include <stddef.h>
#include <sys/types.h>

/* Reads until length_bytes or end of file; returns the count, or -errno. */
ssize_t fd_read_full(int fd, void *buffer, size_t length_bytes);
/* Writes everything; 0 or -errno. */
int fd_write_full(int fd, const void *data, size_t length_bytes);
/* Reads a whole small file, NUL-terminated, into *ret (caller frees). -EFBIG above max_bytes.
 * at may be AT_FDCWD. The open never follows into a FIFO: it is O_NONBLOCK and must be regular
 * unless it lies on procfs or sysfs, where everything says it is regular. */
int fd_read_file(int at, const char *path, size_t max_bytes, char **ret, size_t *ret_length_bytes);
/* One write(2) of string to path (for /proc and cgroup files); 0 or -errno. */
int fd_write_file(int at, const char *path, const char *string);

/* Opens the file that a person named for results, empty, for writing; made where there is none. The
 * place may be in a workspace that a box has written, so a symbolic link is followed only where no
 * box can have put it (-ELOOP), and nothing that is neither file nor character device is opened
 * (-EINVAL). Returns the descriptor or -errno. */
int fd_open_result(const char *path);

/* Makes the directory path (absolute) and every one above it that is missing, for nobody else to
 * look into. 0, also where it was there before, or -errno. */
int fd_make_directories(const char *path);

/* One SCM_RIGHTS message: data of length_bytes (>= 1) with up to FD_PASS_MAX descriptors. */
enum { FD_PASS_MAX = 8 };
int fd_send(int socket, const void *data, size_t length_bytes, const int *fds, size_t fds_count);
/* Receives one such message; descriptors arrive close-on-exec. Returns the byte count, 0 at the
 * end of the stream, or -errno. *fds_count is the room in fds on entry, the number got on return;
 * descriptors beyond the room are closed and give -EMSGSIZE. */
ssize_t fd_receive(int socket, void *data, size_t length_bytes, int *fds, size_t *fds_count);

/* Closes every descriptor from 3 on but those in keep (which may hold -1 and is sorted in
 * place). */
int fd_close_all_but(int *keep, size_t count);

#endif
