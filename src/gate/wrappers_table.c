/* The wrappers, with the options of the versions that Debian 12 has (coreutils 9.1, util-linux
 * 2.38, findutils 4.9, procps 4.0, sudo 1.9, openssh 9.2), as their manual pages give them. */
#include "gate/wrappers.h"

#include "base/cleanup.h"

#include <stdlib.h>
#include <string.h>

/* Started with a command in their arguments, in ways that are not followed. */
#define UNCLEAR(program)                                                                           \
	{                                                                                          \
		.name = (program), .act = on_unclear                                               \
	}

/* Sorted by name. */
static const struct wrapper wrappers[] = {
	{.name = "at", .act = on_at, .effects = BACKGROUND},
	{.name = "batch", .act = on_at, .effects = BACKGROUND},
	{.name = "busybox", .act = on_busybox},
	UNCLEAR("bwrap"),
	UNCLEAR("cgexec"),
	{.name = "choom", .options = {.values = "n", .long_values = "adjust"}, .stops = "p"},
	{.name = "chroot",
		.options = {.long_flags = "skip-chdir help version",
			.long_values = "groups userspec"},
		.operands = 1,
		.effects = ELSEWHERE | OTHER_USER | SHELL},
	{.name = "chrt",
		.options = {.flags = "abdfiormpRGvhV",
			.values = "TPD",
			.long_flags = "all-tasks batch deadline fifo help idle max other pid "
				      "reset-on-fork rr verbose version",
			.long_values = "sched-deadline sched-period sched-runtime"},
		.operands = 1,
		.stops = "mphV"},
	UNCLEAR("cpulimit"),
	UNCLEAR("daemonize"),
	UNCLEAR("dbus-run-session"),
	{.name = "doas",
		.options = {.flags = "Lns", .values = "aCu"},
		.effects = OTHER_USER | SHELL,
		.stops = "LC"},
	{.name = "docker", .act = on_docker, .effects = ELSEWHERE | OTHER_USER},
	UNCLEAR("eatmydata"),
	{.name = "env",
		.options = {.flags = "i0v",
			.values = "uCS",
			.long_flags = "debug help ignore-environment list-signal-handling null "
				      "version",
			.long_values = "chdir split-string unset",
			.long_optional = "block-signal default-signal ignore-signal"},
		.act = on_env},
	UNCLEAR("expect"),
	UNCLEAR("fakeroot"),
	{.name = "find", .act = on_find},
	UNCLEAR("firejail"),
	{.name = "flock",
		.options = {.flags = "sxeunoFvhV",
			.values = "wE",
			.long_flags = "close exclusive help nb no-fork nonblock nonblocking shared "
				      "unlock verbose version",
			.long_values = "conflict-exit-code timeout wait"},
		.act = on_flock},
	UNCLEAR("gdb"),
	{.name = "git",
		.options = {.flags = "pPhv",
			.values = "Cc",
			.long_flags = "bare exec-path glob-pathspecs help html-path "
				      "icase-pathspecs info-path literal-pathspecs man-path "
				      "no-optional-locks no-pager no-replace-objects "
				      "noglob-pathspecs paginate version",
			.long_values = "config-env git-dir namespace super-prefix work-tree"},
		.act = on_git},
	{.name = "ionice",
		.options = {.flags = "thV",
			.values = "cnpPu",
			.long_flags = "help ignore version",
			.long_values = "class classdata pgid pid uid"},
		.stops = "pPuhV"},
	{.name = "ip", .act = on_ip},
	UNCLEAR("ltrace"),
	UNCLEAR("ncat"),
	{.name = "nerdctl", .act = on_docker, .effects = ELSEWHERE | OTHER_USER},
	UNCLEAR("newgrp"),
	{.name = "nice",
		.options = {.flags = "0123456789",
			.values = "n",
			.long_flags = "help version",
			.long_values = "adjustment"}},
	{.name = "nohup", .options = {.long_flags = "help version"}, .effects = BACKGROUND},
	{.name = "nsenter",
		.options = {.flags = "aeFZhV",
			.values = "tSG",
			.optional = "muinpUCTrwW",
			.long_flags = "all follow-context help no-fork preserve-credentials "
				      "version",
			.long_values = "setgid setuid target",
			.long_optional = "cgroup ipc mount net pid root time user uts wd wdns"},
		.effects = ELSEWHERE | OTHER_USER | SHELL},
	UNCLEAR("nsjail"),
	UNCLEAR("numactl"),
	UNCLEAR("parallel"),
	UNCLEAR("perf"),
	{.name = "pkexec",
		.options = {.long_flags = "disable-internal-agent help keep-cwd version",
			.long_values = "user"},
		.effects = OTHER_USER | SHELL},
	{.name = "podman", .act = on_docker, .effects = ELSEWHERE | OTHER_USER},
	UNCLEAR("prlimit"),
	UNCLEAR("proot"),
	UNCLEAR("rlwrap"),
	{.name = "runuser",
		.options = {.flags = "flmpPhV",
			.values = "cgGsTuw",
			.long_flags = "fast help login preserve-environment pty version",
			.long_values = "command group session-command shell supp-group user "
				       "whitelist-environment"},
		.effects = OTHER_USER,
		.act = on_su},
	UNCLEAR("screen"),
	{.name = "script",
		.options = {.flags = "aefqhV",
			.values = "BcEIOTmo",
			.optional = "t",
			.long_flags = "append flush force help quiet return version",
			.long_values = "command echo log-in log-io log-out log-timing "
				       "logging-format output-limit",
			.long_optional = "timing"},
		.act = on_script},
	UNCLEAR("setarch"),
	{.name = "setpriv",
		.options = {.flags = "dhV",
			.long_flags = "clear-groups dump help init-groups keep-groups list-caps "
				      "nnp no-new-privs reset-env version",
			.long_values = "ambient-caps apparmor-profile bounding-set egid euid "
				       "groups inh-caps pdeathsig regid reuid rgid ruid securebits "
				       "selinux-label"},
		.effects = OTHER_USER,
		.stops = "d"},
	{.name = "setsid",
		.options = {.flags = "cfwhV", .long_flags = "ctty fork help version wait"},
		.effects = BACKGROUND},
	UNCLEAR("socat"),
	{.name = "ssh",
		.options = {.flags = "46AaCfGgKkMNnqsTtVvXxYy", .values = "BbcDEeFIiJLlmOopPQRSWw"},
		.act = on_ssh,
		.effects = ELSEWHERE | OTHER_USER},
	UNCLEAR("start-stop-daemon"),
	{.name = "stdbuf",
		.options = {.values = "ieo",
			.long_flags = "help version",
			.long_values = "error input output"}},
	{.name = "strace",
		.options = {.flags = "cCdfFhiknqrtTvVwxyYzZD",
			.values = "aebEIOPsSX",
			.long_flags = "follow-forks help version"},
		.stops = "hV"},
	{.name = "su",
		.options = {.flags = "flmpPhV",
			.values = "cgGsTw",
			.long_flags = "fast help login preserve-environment pty version",
			.long_values = "command group session-command shell supp-group "
				       "whitelist-environment"},
		.effects = OTHER_USER,
		.act = on_su},
	{.name = "sudo",
		.options = {.flags = "AbBEeHKklnPSsiVvN",
			.values = "aCcDghpRrtTUu",
			.long_flags = "askpass background bell edit help list login no-update "
				      "non-interactive preserve-groups remove-timestamp "
				      "reset-timestamp set-home shell stdin validate version",
			.long_values = "auth-type chdir chroot close-from command-timeout group "
				       "host login-class other-user prompt role type user",
			.long_optional = "preserve-env"},
		.effects = OTHER_USER,
		.act = on_sudo},
	UNCLEAR("sudoedit"),
	UNCLEAR("systemd-nspawn"),
	UNCLEAR("systemd-run"),
	{.name = "taskset",
		.options = {.flags = "acphV", .long_flags = "all-tasks cpu-list help pid version"},
		.operands = 1,
		.stops = "phV"},
	{.name = "time",
		.options = {.flags = "apqvV",
			.values = "fo",
			.long_flags = "append help portability quiet verbose version",
			.long_values = "format output"},
		.stops = "V"},
	{.name = "timeout",
		.options = {.flags = "v",
			.values = "ks",
			.long_flags = "foreground help preserve-status verbose version",
			.long_values = "kill-after signal"},
		.operands = 1},
	UNCLEAR("tmux"),
	{.name = "toybox", .act = on_busybox},
	UNCLEAR("unbuffer"),
	{.name = "unshare",
		.options = {.flags = "fcrhV",
			.values = "RSGw",
			.optional = "muinpUCT",
			.long_flags = "fork help keep-caps map-auto map-current-user map-root-user "
				      "version",
			.long_values = "boottime map-group map-groups map-user map-users monotonic "
				       "propagation root setgid setgroups setuid wd",
			.long_optional = "cgroup ipc kill-child mount mount-proc net pid time user "
					 "uts"},
		.effects = ELSEWHERE | SHELL},
	UNCLEAR("valgrind"),
	{.name = "watch",
		.options = {.flags = "bcCegprtwxhv",
			.values = "nq",
			.optional = "d",
			.long_flags = "beep chgexit color errexit exec help no-color no-rerun "
				      "no-title no-wrap precise version",
			.long_values = "equexit interval",
			.long_optional = "differences"},
		.act = on_watch},
	{.name = "xargs",
		.options = {.flags = "0oprtx",
			.values = "adEILnPs",
			.optional = "eil",
			.long_flags = "exit help interactive no-run-if-empty null open-tty "
				      "show-limits verbose version",
			.long_values = "arg-file delimiter max-args max-chars max-procs",
			.long_optional = "eof max-lines replace"},
		.act = on_xargs},
	UNCLEAR("xvfb-run"),
};

static int by_name(const void *name, const void *entry)
{
	return strcmp(name, ((const struct wrapper *)entry)->name);
}

const struct wrapper *wrapper_find(const char *name)
{
	return bsearch(name, wrappers, ARRAY_SIZE(wrappers), sizeof(wrappers[0]), by_name);
}
