/* Theory of operation. Each function here stands before the libc's (or before that of another
 * preloaded library) under the same name. It calls the next definition, and only when that failed
 * with one of five errors tells the ring, and puts errno back. Nothing else about the call changes:
 * arguments go on as they came, also those that nobody looks at.
 *
 * What a libc calls inside itself does not come by here: so there are entries for what opens on a
 * program's behalf (fopen, opendir, mkstemp, getaddrinfo). Types are reduced to what the calling
 * convention sees: this is loaded into programs of any libc, and is compiled against none. */
#include "witness/preload/raw.h"
#include "witness/preload/report.h"

#include <stdarg.h>
#include <stddef.h>

#define EXPORT __attribute__((visibility("default")))

/* Of every libc. Weak, so that the dynamic linker never gives up on this library: before version
 * 2.34 glibc has dlsym() in a library of its own, which is built on _dl_sym(). */
extern int *__errno_location(void);
extern void *dlsym(void *handle, const char *name) __attribute__((weak));
extern void *_dl_sym(void *handle, const char *name, void *who) __attribute__((weak));
#define AFTER_THIS ((void *)-1L) /* RTLD_NEXT */

static long is_missing(void)
{
	*__errno_location() = ENOSYS;
	return -1;
}

/* The next definition of name, looked for once. */
static void *next_of(void **slot, const char *name)
{
	void *next = __atomic_load_n(slot, __ATOMIC_RELAXED);
	if (next)
		return next;
	if (&dlsym)
		next = dlsym(AFTER_THIS, name);
	else if (&_dl_sym)
		next = _dl_sym(AFTER_THIS, name, (void *)next_of);
	if (next)
		__atomic_store_n(slot, next, __ATOMIC_RELAXED);
	return next;
}

/* NEXT(type, name)(arguments): the next definition, whose type is given. */
#define NEXT(type, name)                                                                           \
	({                                                                                         \
		static void *slot_;                                                                \
		(type) next_of(&slot_, name);                                                      \
	})

__attribute__((noinline)) static void observe(
	enum witness_call call, int wants, int dirfd, const char *path, bool nofollow)
{
	int *error = __errno_location();
	int code = *error;
	if (!report_wants(code))
		return;
	const struct subject subject = {call, wants, dirfd, path, nofollow};
	report_refused(&subject, code);
	*error = code;
}

/* A function of that name: what it takes, how the next one is called, and what a failure is about.
 * Results are long enough for a pointer, and -1 or NULL where they say failure. */
#define FORWARD(result, name, parameters, arguments, failed, ...)                                  \
	EXPORT result name parameters;                                                             \
	EXPORT result name parameters                                                              \
	{                                                                                          \
		result(*next) parameters = NEXT(result(*) parameters, #name);                      \
		if (!next)                                                                         \
			return (result)is_missing();                                               \
		result value = next arguments;                                                     \
		if (__builtin_expect(value == (failed), 0))                                        \
			observe(__VA_ARGS__);                                                      \
		return value;                                                                      \
	}
#define INT(name, parameters, arguments, ...)                                                      \
	FORWARD(int, name, parameters, arguments, -1, __VA_ARGS__)

#define CALL(name) WITNESS_CALL_##name
#define HERE AT_FDCWD

/* One line a call: set by hand. */
/* clang-format off */

/* opening */

static int open_wants(int flags)
{
	int mode = flags & O_ACCMODE;
	if (flags & O_PATH)
		return WITNESS_READ;
	return (mode != O_WRONLY ? WITNESS_READ : 0) |
	       (mode != O_RDONLY || flags & (O_TRUNC | O_CREAT) ? WITNESS_WRITE : 0);
}

/* The mode is there only where a file may be made; elsewhere the register holds what it held, and
 * so it goes on. */
#define OPEN(name, kind)                                                                           \
	EXPORT int name(const char *path, int flags, ...);                                         \
	EXPORT int name(const char *path, int flags, ...)                                          \
	{                                                                                          \
		va_list list;                                                                      \
		va_start(list, flags);                                                             \
		unsigned mode = va_arg(list, unsigned);                                            \
		va_end(list);                                                                      \
		int (*next)(const char *, int, ...) =                                              \
			NEXT(int (*)(const char *, int, ...), #name);                              \
		if (!next)                                                                         \
			return (int)is_missing();                                                  \
		int fd = next(path, flags, mode);                                                  \
		if (__builtin_expect(fd < 0, 0))                                                   \
			observe(CALL(kind), open_wants(flags), HERE, path, flags & O_NOFOLLOW);    \
		return fd;                                                                         \
	}
#define OPENAT(name)                                                                               \
	EXPORT int name(int dirfd, const char *path, int flags, ...);                              \
	EXPORT int name(int dirfd, const char *path, int flags, ...)                               \
	{                                                                                          \
		va_list list;                                                                      \
		va_start(list, flags);                                                             \
		unsigned mode = va_arg(list, unsigned);                                            \
		va_end(list);                                                                      \
		int (*next)(int, const char *, int, ...) =                                         \
			NEXT(int (*)(int, const char *, int, ...), #name);                         \
		if (!next)                                                                         \
			return (int)is_missing();                                                  \
		int fd = next(dirfd, path, flags, mode);                                           \
		if (__builtin_expect(fd < 0, 0))                                                   \
			observe(CALL(openat), open_wants(flags), dirfd, path, flags & O_NOFOLLOW); \
		return fd;                                                                         \
	}
OPEN(open, open)
OPEN(open64, open)
OPENAT(openat)
OPENAT(openat64)
/* What _FORTIFY_SOURCE makes of calls without a mode. */
INT(__open_2, (const char *path, int flags), (path, flags), CALL(open), open_wants(flags), HERE,
	path, flags & O_NOFOLLOW)
INT(__open64_2, (const char *path, int flags), (path, flags), CALL(open), open_wants(flags), HERE,
	path, flags & O_NOFOLLOW)
INT(__openat_2, (int dirfd, const char *path, int flags), (dirfd, path, flags), CALL(openat),
	open_wants(flags), dirfd, path, flags & O_NOFOLLOW)
INT(__openat64_2, (int dirfd, const char *path, int flags), (dirfd, path, flags), CALL(openat),
	open_wants(flags), dirfd, path, flags & O_NOFOLLOW)
INT(creat, (const char *path, unsigned mode), (path, mode), CALL(creat), WITNESS_WRITE, HERE, path,
	false)
INT(creat64, (const char *path, unsigned mode), (path, mode), CALL(creat), WITNESS_WRITE, HERE,
	path, false)

static int mode_wants(const char *mode)
{
	int wants = mode[0] == 'r' ? WITNESS_READ : WITNESS_WRITE;
	for (; *mode; mode++)
		if (*mode == '+')
			wants = WITNESS_READ | WITNESS_WRITE;
	return wants;
}

#define POINTER(name, parameters, arguments, ...)                                                  \
	FORWARD(void *, name, parameters, arguments, NULL, __VA_ARGS__)
POINTER(fopen, (const char *path, const char *mode), (path, mode), CALL(fopen), mode_wants(mode),
	HERE, path, false)
POINTER(fopen64, (const char *path, const char *mode), (path, mode), CALL(fopen),
	mode_wants(mode), HERE, path, false)
POINTER(freopen, (const char *path, const char *mode, void *stream), (path, mode, stream),
	CALL(freopen), mode_wants(mode), HERE, path, false)
POINTER(freopen64, (const char *path, const char *mode, void *stream), (path, mode, stream),
	CALL(freopen), mode_wants(mode), HERE, path, false)
POINTER(opendir, (const char *path), (path), CALL(opendir), WITNESS_READ, HERE, path, false)
POINTER(mkdtemp, (char *path), (path), CALL(mkdtemp), WITNESS_ENTRY, HERE, path, false)
INT(mkstemp, (char *path), (path), CALL(mkstemp), WITNESS_ENTRY, HERE, path, false)
INT(mkstemp64, (char *path), (path), CALL(mkstemp), WITNESS_ENTRY, HERE, path, false)
INT(mkostemp, (char *path, int flags), (path, flags), CALL(mkstemp), WITNESS_ENTRY, HERE, path,
	false)
INT(mkostemp64, (char *path, int flags), (path, flags), CALL(mkstemp), WITNESS_ENTRY, HERE, path,
	false)

/* names */

INT(mkdir, (const char *path, unsigned mode), (path, mode), CALL(mkdir), WITNESS_ENTRY, HERE, path,
	true)
INT(mkdirat, (int dirfd, const char *path, unsigned mode), (dirfd, path, mode), CALL(mkdirat),
	WITNESS_ENTRY, dirfd, path, true)
INT(mknod, (const char *path, unsigned mode, unsigned long device), (path, mode, device),
	CALL(mknod), WITNESS_ENTRY, HERE, path, true)
INT(mknodat, (int dirfd, const char *path, unsigned mode, unsigned long device),
	(dirfd, path, mode, device), CALL(mknodat), WITNESS_ENTRY, dirfd, path, true)
INT(mkfifo, (const char *path, unsigned mode), (path, mode), CALL(mkfifo), WITNESS_ENTRY, HERE,
	path, true)
INT(mkfifoat, (int dirfd, const char *path, unsigned mode), (dirfd, path, mode), CALL(mkfifoat),
	WITNESS_ENTRY, dirfd, path, true)
INT(unlink, (const char *path), (path), CALL(unlink), WITNESS_ENTRY, HERE, path, true)
INT(unlinkat, (int dirfd, const char *path, int flags), (dirfd, path, flags), CALL(unlinkat),
	WITNESS_ENTRY, dirfd, path, true)
INT(rmdir, (const char *path), (path), CALL(rmdir), WITNESS_ENTRY, HERE, path, true)
INT(remove, (const char *path), (path), CALL(remove), WITNESS_ENTRY, HERE, path, true)
INT(symlink, (const char *target, const char *path), (target, path), CALL(symlink), WITNESS_ENTRY,
	HERE, path, true)
INT(symlinkat, (const char *target, int dirfd, const char *path), (target, dirfd, path),
	CALL(symlinkat), WITNESS_ENTRY, dirfd, path, true)
INT(link, (const char *from, const char *path), (from, path), CALL(link), WITNESS_ENTRY, HERE, path,
	true)
INT(linkat, (int from_fd, const char *from, int dirfd, const char *path, int flags),
	(from_fd, from, dirfd, path, flags), CALL(linkat), WITNESS_ENTRY, dirfd, path, true)

/* Both sides are told of: which of them was refused the plan says. */
static void observe_rename(
	enum witness_call call, int old_fd, const char *old, int new_fd, const char *path)
{
	observe(call, WITNESS_ENTRY, old_fd, old, true);
	observe(call, WITNESS_ENTRY, new_fd, path, true);
}

#define RENAME(name, parameters, arguments, ...)                                                   \
	EXPORT int name parameters;                                                                \
	EXPORT int name parameters                                                                 \
	{                                                                                          \
		int(*next) parameters = NEXT(int(*) parameters, #name);                            \
		if (!next)                                                                         \
			return (int)is_missing();                                                  \
		int value = next arguments;                                                        \
		if (__builtin_expect(value < 0, 0))                                                \
			observe_rename(CALL(name), __VA_ARGS__);                                   \
		return value;                                                                      \
	}
RENAME(rename, (const char *old, const char *path), (old, path), HERE, old, HERE, path)
RENAME(renameat, (int old_fd, const char *old, int new_fd, const char *path),
	(old_fd, old, new_fd, path), old_fd, old, new_fd, path)
RENAME(renameat2, (int old_fd, const char *old, int new_fd, const char *path, unsigned flags),
	(old_fd, old, new_fd, path, flags), old_fd, old, new_fd, path)

/* attributes */

INT(chmod, (const char *path, unsigned mode), (path, mode), CALL(chmod), WITNESS_WRITE, HERE, path,
	false)
INT(fchmod, (int fd, unsigned mode), (fd, mode), CALL(fchmod), WITNESS_WRITE, fd, "", false)
INT(fchmodat, (int dirfd, const char *path, unsigned mode, int flags), (dirfd, path, mode, flags),
	CALL(fchmodat), WITNESS_WRITE, dirfd, path, flags & AT_SYMLINK_NOFOLLOW)
INT(chown, (const char *path, unsigned uid, unsigned gid), (path, uid, gid), CALL(chown),
	WITNESS_WRITE, HERE, path, false)
INT(lchown, (const char *path, unsigned uid, unsigned gid), (path, uid, gid), CALL(lchown),
	WITNESS_WRITE, HERE, path, true)
INT(fchown, (int fd, unsigned uid, unsigned gid), (fd, uid, gid), CALL(fchown), WITNESS_WRITE, fd,
	"", false)
INT(fchownat, (int dirfd, const char *path, unsigned uid, unsigned gid, int flags),
	(dirfd, path, uid, gid, flags), CALL(fchownat), WITNESS_WRITE, dirfd, path,
	flags & AT_SYMLINK_NOFOLLOW)
INT(truncate, (const char *path, long length), (path, length), CALL(truncate), WITNESS_WRITE, HERE,
	path, false)
INT(truncate64, (const char *path, long length), (path, length), CALL(truncate), WITNESS_WRITE,
	HERE, path, false)
INT(utime, (const char *path, const void *times), (path, times), CALL(utime), WITNESS_WRITE, HERE,
	path, false)
INT(utimes, (const char *path, const void *times), (path, times), CALL(utimes), WITNESS_WRITE,
	HERE, path, false)
INT(lutimes, (const char *path, const void *times), (path, times), CALL(lutimes), WITNESS_WRITE,
	HERE, path, true)
INT(futimens, (int fd, const void *times), (fd, times), CALL(futimens), WITNESS_WRITE, fd, "",
	false)
INT(utimensat, (int dirfd, const char *path, const void *times, int flags),
	(dirfd, path, times, flags), CALL(utimensat), WITNESS_WRITE, dirfd, path ? path : "",
	flags & AT_SYMLINK_NOFOLLOW)
INT(futimesat, (int dirfd, const char *path, const void *times), (dirfd, path, times),
	CALL(futimesat), WITNESS_WRITE, dirfd, path ? path : "", false)
INT(setxattr, (const char *path, const char *name, const void *content, size_t size, int flags),
	(path, name, content, size, flags), CALL(setxattr), WITNESS_WRITE, HERE, path, false)
INT(lsetxattr, (const char *path, const char *name, const void *content, size_t size, int flags),
	(path, name, content, size, flags), CALL(lsetxattr), WITNESS_WRITE, HERE, path, true)
INT(fsetxattr, (int fd, const char *name, const void *content, size_t size, int flags),
	(fd, name, content, size, flags), CALL(fsetxattr), WITNESS_WRITE, fd, "", false)
INT(removexattr, (const char *path, const char *name), (path, name), CALL(removexattr),
	WITNESS_WRITE, HERE, path, false)
INT(lremovexattr, (const char *path, const char *name), (path, name), CALL(lremovexattr),
	WITNESS_WRITE, HERE, path, true)

/* Looking: of interest where a thing is hidden. Whether it could be written is a question, and a
 * "no" to that no refusal. */

INT(access, (const char *path, int mode), (path, mode), CALL(access), WITNESS_READ, HERE, path,
	false)
INT(faccessat, (int dirfd, const char *path, int mode, int flags), (dirfd, path, mode, flags),
	CALL(faccessat), WITNESS_READ, dirfd, path, false)
INT(stat, (const char *path, void *st), (path, st), CALL(stat), WITNESS_READ, HERE, path, false)
INT(stat64, (const char *path, void *st), (path, st), CALL(stat), WITNESS_READ, HERE, path, false)
INT(lstat, (const char *path, void *st), (path, st), CALL(lstat), WITNESS_READ, HERE, path, true)
INT(lstat64, (const char *path, void *st), (path, st), CALL(lstat), WITNESS_READ, HERE, path, true)
INT(fstatat, (int dirfd, const char *path, void *st, int flags), (dirfd, path, st, flags),
	CALL(fstatat), WITNESS_READ, dirfd, path, flags & AT_SYMLINK_NOFOLLOW)
INT(fstatat64, (int dirfd, const char *path, void *st, int flags), (dirfd, path, st, flags),
	CALL(fstatat), WITNESS_READ, dirfd, path, flags & AT_SYMLINK_NOFOLLOW)
/* As programs that were built with glibc before 2.33 call them. */
INT(__xstat, (int version, const char *path, void *st), (version, path, st), CALL(stat),
	WITNESS_READ, HERE, path, false)
INT(__xstat64, (int version, const char *path, void *st), (version, path, st), CALL(stat),
	WITNESS_READ, HERE, path, false)
INT(__lxstat, (int version, const char *path, void *st), (version, path, st), CALL(lstat),
	WITNESS_READ, HERE, path, true)
INT(__lxstat64, (int version, const char *path, void *st), (version, path, st), CALL(lstat),
	WITNESS_READ, HERE, path, true)
INT(statx, (int dirfd, const char *path, int flags, unsigned mask, void *st),
	(dirfd, path, flags, mask, st), CALL(statx), WITNESS_READ, dirfd, path ? path : "",
	flags & AT_SYMLINK_NOFOLLOW)
FORWARD(long, readlink, (const char *path, char *to, size_t size), (path, to, size), -1,
	CALL(readlink), WITNESS_READ, HERE, path, true)
FORWARD(long, readlinkat, (int dirfd, const char *path, char *to, size_t size),
	(dirfd, path, to, size), -1, CALL(readlinkat), WITNESS_READ, dirfd, path, true)
INT(chdir, (const char *path), (path), CALL(chdir), WITNESS_READ, HERE, path, false)
INT(execve, (const char *path, char *const argv[], char *const envp[]), (path, argv, envp),
	CALL(execve), WITNESS_READ, HERE, path, false)

/* clang-format on */

/* Names of hosts. The result is no errno. */
EXPORT int getaddrinfo(const char *name, const char *service, const void *hints, void *result);
EXPORT int getaddrinfo(const char *name, const char *service, const void *hints, void *result)
{
	typedef int (*function)(const char *, const char *, const void *, void *);
	function next = NEXT(function, "getaddrinfo");
	if (!next)
		return (int)is_missing();
	int value = next(name, service, hints, result);
	if (__builtin_expect(value != 0, 0) && name) {
		int *error = __errno_location(), code = *error;
		report_unresolved(name, service);
		*error = code;
	}
	return value;
}

/* System calls by number: which of them name a path, and where their arguments are. */
static const struct numbered {
	uint16_t number, call;
	int8_t dirfd, path; /* of the arguments; -1: none */
	int8_t wants;       /* 0: by the flags behind the path */
} numbered[] = {
#ifdef __NR_open
	{__NR_open, CALL(open), -1, 0, 0},
	{__NR_creat, CALL(creat), -1, 0, WITNESS_WRITE},
	{__NR_mkdir, CALL(mkdir), -1, 0, WITNESS_ENTRY},
	{__NR_rmdir, CALL(rmdir), -1, 0, WITNESS_ENTRY},
	{__NR_unlink, CALL(unlink), -1, 0, WITNESS_ENTRY},
	{__NR_symlink, CALL(symlink), -1, 1, WITNESS_ENTRY},
	{__NR_link, CALL(link), -1, 1, WITNESS_ENTRY},
	{__NR_mknod, CALL(mknod), -1, 0, WITNESS_ENTRY},
	{__NR_chmod, CALL(chmod), -1, 0, WITNESS_WRITE},
	{__NR_chown, CALL(chown), -1, 0, WITNESS_WRITE},
	{__NR_lchown, CALL(lchown), -1, 0, WITNESS_WRITE},
	{__NR_utime, CALL(utime), -1, 0, WITNESS_WRITE},
	{__NR_utimes, CALL(utimes), -1, 0, WITNESS_WRITE},
	{__NR_rename, CALL(rename), -1, 0, WITNESS_ENTRY},
	{__NR_rename, CALL(rename), -1, 1, WITNESS_ENTRY},
#endif
	{__NR_openat, CALL(openat), 0, 1, 0},
	{__NR_mkdirat, CALL(mkdirat), 0, 1, WITNESS_ENTRY},
	{__NR_mknodat, CALL(mknodat), 0, 1, WITNESS_ENTRY},
	{__NR_unlinkat, CALL(unlinkat), 0, 1, WITNESS_ENTRY},
	{__NR_symlinkat, CALL(symlinkat), 1, 2, WITNESS_ENTRY},
	{__NR_linkat, CALL(linkat), 2, 3, WITNESS_ENTRY},
	{__NR_fchmodat, CALL(fchmodat), 0, 1, WITNESS_WRITE},
	{__NR_fchownat, CALL(fchownat), 0, 1, WITNESS_WRITE},
	{__NR_utimensat, CALL(utimensat), 0, 1, WITNESS_WRITE},
	{__NR_truncate, CALL(truncate), -1, 0, WITNESS_WRITE},
	{__NR_renameat2, CALL(renameat2), 0, 1, WITNESS_ENTRY},
	{__NR_renameat2, CALL(renameat2), 2, 3, WITNESS_ENTRY},
	{__NR_setxattr, CALL(setxattr), -1, 0, WITNESS_WRITE},
	{__NR_lsetxattr, CALL(lsetxattr), -1, 0, WITNESS_WRITE},
};

typedef long (*system_call)(long number, ...);

enum { NUMBERS = 512 };

/* Which numbers are in the table, a bit for each; and what is called in the end. Of the assembly
 * below, so they are no statics. */
extern uint64_t witness_numbers[NUMBERS / 64];
extern system_call witness_next_system_call;
uint64_t witness_numbers[NUMBERS / 64];

static long no_system_call(long number, ...)
{
	(void)number;
	return is_missing();
}
system_call witness_next_system_call = no_system_call;

long witness_system_call(long number, long a, long b, long c, long d, long e);
long witness_system_call(long number, long a, long b, long c, long d, long e)
{
	const long arguments[] = {a, b, c, d, e};
	long value = witness_next_system_call(number, a, b, c, d, e, 0L);
	for (size_t i = 0; value == -1 && i < sizeof(numbered) / sizeof(numbered[0]); i++) {
		const struct numbered *row = &numbered[i];
		if (row->number != number)
			continue;
		int wants = row->wants ? row->wants : open_wants((int)arguments[row->path + 1]);
		observe((enum witness_call)row->call, wants,
			row->dirfd < 0 ? HERE : (int)arguments[row->dirfd],
			(const char *)arguments[row->path], wants & WITNESS_ENTRY);
	}
	return value;
}

/* syscall(). What names no path is a jump and touches nothing: such calls may return twice, and
 * what stands on the stack where a seventh argument would be is the caller's. */
#if defined(__x86_64__)
__asm__(".text\n"
	".globl syscall\n"
	".type syscall, @function\n"
	"syscall:\n"
	"	endbr64\n"
	"	cmp $512, %rdi\n"
	"	jae 1f\n"
	"	lea witness_numbers(%rip), %rax\n"
	"	bt %rdi, (%rax)\n"
	"	jc witness_system_call\n"
	"1:	jmp *witness_next_system_call(%rip)\n"
	".size syscall, .-syscall\n");
#else
EXPORT long syscall(long number, long a, long b, long c, long d, long e, long f);
EXPORT long syscall(long number, long a, long b, long c, long d, long e, long f)
{
	if ((unsigned long)number < NUMBERS && witness_numbers[number / 64] >> (number % 64) & 1)
		return witness_system_call(number, a, b, c, d, e);
	return witness_next_system_call(number, a, b, c, d, e, f);
}
#endif

/* Not at the first call, since that is to be a jump. */
__attribute__((constructor)) static void begin(void)
{
	static void *slot;
	system_call next = (system_call)next_of(&slot, "syscall");
	if (!next)
		return;
	witness_next_system_call = next;
	for (size_t i = 0; i < sizeof(numbered) / sizeof(numbered[0]); i++)
		witness_numbers[numbered[i].number / 64] |= 1ULL << numbered[i].number % 64;
}
