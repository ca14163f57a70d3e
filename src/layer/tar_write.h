/* Writing a tar (ustar, with pax records where that is not enough), the same bytes for the same
 * entries. */
#ifndef COFFER_LAYER_TAR_WRITE_H
#define COFFER_LAYER_TAR_WRITE_H

#include "base/buffer.h"

#include <sys/types.h>

#include <sha2.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

/* Bytes on their way: to a descriptor, or only counted and digested. */
struct tar_sink {
	int fd; /* -1: nowhere */
	SHA2_CTX digest;
	uint64_t bytes;
	int error; /* the first; nothing is written after it */
};

enum { TAR_DIGEST_BYTES = SHA256_DIGEST_STRING_LENGTH }; /* hex, with NUL */

void tar_sink_init(struct tar_sink *sink, int fd);
void tar_write(struct tar_sink *sink, const void *data, size_t length_bytes);
/* *ret: what was written so far, as lower-case hex. Ends the digest. */
void tar_sink_digest(struct tar_sink *sink, char ret[TAR_DIGEST_BYTES]);

struct tar_entry {
	const char *name; /* relative; of a directory without the "/" at its end */
	const char *link; /* of a hard or symbolic link */
	char type;        /* '0' file, '1' hard link, '2' symbolic link, '5' directory, '6' FIFO */
	mode_t mode;
	uid_t uid;
	gid_t gid;
	uint64_t size_bytes; /* of a file: so many bytes must follow */
	struct timespec modified;
	struct buffer attributes; /* pax records, see tar_add_attribute() */
};

/* "SCHILY.xattr.NAME", whose value may hold any bytes. */
void tar_add_attribute(
	struct tar_entry *entry, const char *name, const void *value, size_t length_bytes);
void tar_put_entry(struct tar_sink *sink, const struct tar_entry *entry);
/* Fills up a file's last block. */
void tar_put_padding(struct tar_sink *sink, uint64_t size_bytes);
void tar_put_end(struct tar_sink *sink);

#endif
