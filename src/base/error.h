/* What went wrong, for a person: where, what the kernel said, what to do about it. */
#ifndef COFFER_BASE_ERROR_H
#define COFFER_BASE_ERROR_H

/* Caller-owned, no pointers: may be copied, and sent through a pipe as it is. */
struct error {
	int errno_value;    /* positive errno; 0 means no error was set */
	char stage[32];     /* the step that failed: "policy", "mounts", "id maps", ... */
	char message[1024]; /* one sentence, no newline, no trailing full stop */
	char hint[512];     /* what to do about it; may be empty */
};

/* Fills error (may be NULL) and returns -errno_value, so that callers can `return error_set(...)`.
 * The kernel's own word for errno_value is not appended: say it with %m-like text if it helps. */
int error_set(struct error *error, int errno_value, const char *stage, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

/* The same, with ": " and the system's description of errno_value appended. */
int error_set_errno(struct error *error, int errno_value, const char *stage, const char *format,
	...) __attribute__((format(printf, 4, 5)));

/* Adds or replaces the hint of an error that was set. Returns -error->errno_value. */
int error_hint(struct error *error, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
