/* The one system call filter of a box. The programs are compiled at build time from the tables in
 * seccomp_table.c (see there for the reason of every line) into constant arrays. */
#ifndef COFFER_CONFINE_SECCOMP_H
#define COFFER_CONFINE_SECCOMP_H

#include "base/error.h"
#include "policy/profile.h"

#include <stdbool.h>

/* What picks one of the compiled programs. */
struct seccomp_choice {
	enum seccomp_profile profile;
	bool landlock_tier; /* no namespaces below: network, kill, chmod, ... are notified */
	bool egress;        /* of that tier: the network is open, to where egress leads */
	bool watch_names;   /* mkdir, symlink, link, rename, mknod go through the listener */
	bool trace;         /* whatever names a file is told to the listener, and goes on */
	bool allow_userns;  /* unshare and clone may make namespaces */
};

/* The descriptor number on which init speaks to the supervisor. sendmsg and recvmsg on it pass even
 * where no socket is allowed. */
enum { CONTROL_FD = 3 };

/* Installs the filter on the calling thread (no_new_privs must be set) and puts the listener in
 * *ret_listener (close-on-exec). Safe between clone and exec: allocates nothing. */
int seccomp_install(const struct seccomp_choice *choice, int *ret_listener, struct error *error);

/* The number of instructions, and of system calls that are allowed at least in some form. */
void seccomp_describe(
	const struct seccomp_choice *choice, unsigned *ret_instructions, unsigned *ret_syscalls);

#endif
