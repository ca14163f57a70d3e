/* Theory of operation: the program for a choice is a constant array (see seccomp_table.c for what
 * it does and seccomp_compile.c for how it is made), so all that is left at run time is one system
 * call. It is made last of all, since the program forbids much of what building a box needs. */
#include "confine/seccomp_table.h"

#include "base/cleanup.h"
#include "base/sys.h"
#include "confine/seccomp_programs.h"

#include <errno.h>
#include <linux/audit.h>
#include <string.h>
#include <sys/ioctl.h>

/* Linux 5.19: a program that waits for its answer is woken by fatal signals only, so that a call
 * that the broker is making for it is not made twice. */
#ifndef SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
#define SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (1UL << 5)
#endif
/* Linux 6.6: the answering process runs on the CPU of the one that waits, 2 us instead of 59. */
#ifndef SECCOMP_IOCTL_NOTIF_SET_FLAGS
#define SECCOMP_IOCTL_NOTIF_SET_FLAGS SECCOMP_IOW(4, __u64)
#define SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP (1UL << 0)
#endif

#if defined(__x86_64__)
#define NATIVE_ARCHITECTURE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define NATIVE_ARCHITECTURE AUDIT_ARCH_AARCH64
#else
#error "no system call tables for this architecture"
#endif

static bool same_choice(const struct seccomp_choice *one, const struct seccomp_choice *other)
{
	return one->profile == other->profile && one->landlock_tier == other->landlock_tier &&
	       one->egress == other->egress && one->watch_names == other->watch_names &&
	       one->allow_userns == other->allow_userns && one->trace == other->trace;
}

const struct seccomp_program *seccomp_program(
	const struct seccomp_choice *choice, uint32_t audit_architecture)
{
	for (size_t i = 0; i < SECCOMP_VARIANTS; i++) {
		if (!same_choice(&seccomp_variants[i], choice))
			continue;
		switch (audit_architecture) {
		case AUDIT_ARCH_X86_64:
			return &seccomp_programs_x86_64[i];
		case AUDIT_ARCH_AARCH64:
			return &seccomp_programs_aarch64[i];
		}
	}
	return NULL;
}

static int explain(int errno_value, struct error *error)
{
	error_set_errno(error, errno_value, "seccomp", "cannot install the system call filter");
	switch (errno_value) {
	case EBUSY:
		return error_hint(error,
			"another sandbox around this process holds the only seccomp listener "
			"that the kernel allows: run coffer outside it");
	case EACCES:
		return error_hint(error, "no_new_privs is not set");
	case EINVAL:
	case ENOSYS:
		return error_hint(error, "this kernel lacks seccomp filters with user notification "
					 "(CONFIG_SECCOMP_FILTER, Linux 5.0 or newer)");
	}
	return -errno_value;
}

int seccomp_install(const struct seccomp_choice *choice, int *ret_listener, struct error *error)
{
	const struct seccomp_program *program = seccomp_program(choice, NATIVE_ARCHITECTURE);
	if (!program)
		return error_set(error, EINVAL, "seccomp",
			"there is no system call filter for this combination of profile and tier");
	struct sock_fprog fprog = {
		.len = program->length,
		.filter = (struct sock_filter *)program->code, /* the kernel only reads it */
	};
	unsigned flags = SECCOMP_FILTER_FLAG_NEW_LISTENER;
	int listener = sys_seccomp(
		SECCOMP_SET_MODE_FILTER, flags | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, &fprog);
	if (listener < 0 && errno == EINVAL)
		listener = sys_seccomp(SECCOMP_SET_MODE_FILTER, flags, &fprog);
	if (listener < 0)
		return explain(errno, error);
	/* The filter holds now, so this call too is under it. Before 6.6 it fails. */
	ioctl(listener, SECCOMP_IOCTL_NOTIF_SET_FLAGS, SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP);
	*ret_listener = listener;
	return 0;
}

void seccomp_describe(
	const struct seccomp_choice *choice, unsigned *ret_instructions, unsigned *ret_syscalls)
{
	const struct seccomp_program *program = seccomp_program(choice, NATIVE_ARCHITECTURE);
	*ret_instructions = program ? program->length : 0;
	*ret_syscalls = program ? program->calls_allowed : 0;
}

void seccomp_decide(const struct seccomp_choice *choice, const struct seccomp_data *data,
	struct seccomp_verdict *ret)
{
	const struct seccomp_program *program = seccomp_program(choice, NATIVE_ARCHITECTURE);
	*ret = (struct seccomp_verdict){
		.action = {.kind = SECCOMP_DO_ERRNO, .errno_value = ENOSYS}};
	if (!program || data->nr < 0)
		return;
	unsigned number = (unsigned)data->nr;
	seccomp_line_reference reference = SECCOMP_NO_LINE;
	if (number < program->numbers) {
		reference = program->lines[number];
		ret->call = program->names[number][0] ? program->names[number] : NULL;
	}
	if (reference == SECCOMP_NO_LINE) {
		ret->action = seccomp_default_action(choice, number, program->numbers - 1u);
		return;
	}
	const struct seccomp_line *line = seccomp_line(reference);
	uint64_t args[6];
	memcpy(args, data->args, sizeof(args));
	ret->action = seccomp_apply_line(line, args);
	ret->reason = line->reason;
}
