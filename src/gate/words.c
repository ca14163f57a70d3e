/* One word a line, sorted as strcmp() sorts: a test checks that, and that every table of the
 * gate has its programs here. */
#include "gate/words.h"

#include "base/cleanup.h"

#include <stdlib.h>
#include <string.h>

static const char *const needs_a_look[] = {
	"Rscript",
	"apt",
	"apt-get",
	"ash",
	"at",
	"awk",
	"bash",
	"batch",
	"bun",
	"busybox",
	"bwrap",
	"cargo",
	"cgexec",
	"choom",
	"chroot",
	"chrt",
	"cpulimit",
	"csh",
	"curl",
	"daemonize",
	"dash",
	"dbus-run-session",
	"deno",
	"doas",
	"docker",
	"dpkg",
	"eatmydata",
	"ed",
	"emacs",
	"env",
	"ex",
	"expect",
	"fakeroot",
	"find",
	"firejail",
	"fish",
	"flock",
	"g++",
	"gawk",
	"gcc",
	"gdb",
	"git",
	"install",
	"ionice",
	"ip",
	"ksh",
	"ksh93",
	"ltrace",
	"lua",
	"make",
	"man",
	"mawk",
	"mksh",
	"nc",
	"ncat",
	"nerdctl",
	"newgrp",
	"nice",
	"nmap",
	"node",
	"nodejs",
	"nohup",
	"nsenter",
	"nsjail",
	"numactl",
	"nvim",
	"openssl",
	"osascript",
	"parallel",
	"perf",
	"perl",
	"php",
	"pkexec",
	"podman",
	"prlimit",
	"proot",
	"python",
	"rbash",
	"rg",
	"rlwrap",
	"rsync",
	"ruby",
	"runuser",
	"rview",
	"rvim",
	"scp",
	"screen",
	"script",
	"sed",
	"setarch",
	"setpriv",
	"setsid",
	"sftp",
	"sh",
	"socat",
	"sort",
	"split",
	"sqlite3",
	"ssh",
	"ssh-add",
	"ssh-keygen",
	"start-stop-daemon",
	"stdbuf",
	"strace",
	"su",
	"sudo",
	"sudoedit",
	"systemd-nspawn",
	"systemd-run",
	"tar",
	"taskset",
	"tclsh",
	"tcpdump",
	"tcsh",
	"time",
	"timeout",
	"tmux",
	"toybox",
	"unbuffer",
	"unshare",
	"valgrind",
	"vi",
	"view",
	"vim",
	"vimdiff",
	"watch",
	"wget",
	"xargs",
	"xdg-open",
	"xvfb-run",
	"yash",
	"zip",
	"zsh",
};

static const char *const always_safe[] = {
	"arch",
	"basename",
	"dirname",
	"false",
	"groups",
	"id",
	"logname",
	"nproc",
	"pwd",
	"true",
	"tty",
	"uname",
	"whoami",
};

static int by_word(const void *name, const void *entry)
{
	return strcmp(name, *(const char *const *)entry);
}

static bool is_in(const char *const *words, size_t count, const char *name)
{
	return bsearch(name, words, count, sizeof(*words), by_word) != NULL;
}

bool word_needs_a_look(const char *name)
{
	if (is_in(needs_a_look, ARRAY_SIZE(needs_a_look), name))
		return true;
	/* python3.11, lua5.4, gcc-12: the version is no part of the name. */
	char base[64];
	size_t length = strlen(name);
	while (length > 0 && strchr("0123456789.-", name[length - 1]))
		length--;
	if (length == 0 || length >= sizeof(base))
		return true; /* no name that a program has: a look it is */
	memcpy(base, name, length);
	base[length] = '\0';
	return is_in(needs_a_look, ARRAY_SIZE(needs_a_look), base);
}

bool word_is_always_safe(const char *name)
{
	return is_in(always_safe, ARRAY_SIZE(always_safe), name);
}
