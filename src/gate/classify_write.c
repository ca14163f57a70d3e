/* What is written: by redirections, and by programs that write what they are given. Three things
 * matter: a device, a file that something else acts on by itself, and a place outside of the
 * writable roots. */
#include "gate/classify_internal.h"

#include "base/limits.h"
#include "base/path.h"
#include "policy/names.h"

#include <fnmatch.h>

/* What acts on a file by itself: at login, at boot, by the clock, when a program starts. "~/" is
 * anybody's home. First fit wins. */
static const struct persistent_path {
	const char *glob;
	const char *id, *reason;
} persistent[] = {
	{"~/.ssh/authorized_keys*", "authorized-keys", "it lets somebody log in with a key"},
	{"~/.ssh/rc", "shell-startup", "it changes what runs at every login"},
	{"~/.ssh/config", "ssh-config", "it changes what ssh runs and where it connects"},
	{"~/.ssh/*", "ssh-config", "it changes keys or settings of SSH"},
	{"~/.bash*", "shell-startup", "it changes what every new shell runs"},
	{"~/.zsh*", "shell-startup", "it changes what every new shell runs"},
	{"~/.z[lp]*", "shell-startup", "it changes what every new shell runs"},
	{"~/.profile", "shell-startup", "it changes what every login runs"},
	{"~/.*login", "shell-startup", "it changes what every login runs"},
	{"~/.*shrc", "shell-startup", "it changes what every new shell runs"},
	{"~/.inputrc", "shell-startup", "it changes what keys do in every shell"},
	{"~/.pam_environment", "shell-startup", "it changes the environment of every login"},
	{"~/.x*", "shell-startup", "it changes what every graphical login runs"},
	{"~/.config/fish/*", "shell-startup", "it changes what every new shell runs"},
	{"~/.config/environment.d/*", "shell-startup", "it changes every login's environment"},
	{"~/.config/autostart/*", "autostart", "it starts a program at every login"},
	{"~/.config/systemd/*", "service", "it registers a service"},
	{"~/.local/share/systemd/*", "service", "it registers a service"},
	{"~/Library/Launch*", "service", "it registers a service"},
	{"~/.gitconfig", "git-config", "it changes git for every repository"},
	{"~/.config/git/*", "git-config", "it changes git for every repository"},
	{"~/.vimrc", "editor-startup", "it changes what an editor runs when it starts"},
	{"~/.config/nvim/*", "editor-startup", "it changes what an editor runs when it starts"},
	{"~/.emacs*", "editor-startup", "it changes what an editor runs when it starts"},
	{"~/.local/bin/*", "path-program", "it puts a program into everybody's way"},
	{"~/bin/*", "path-program", "it puts a program into everybody's way"},
	{"~/.config/coffer/*", "own-settings", "it changes what this very gate decides"},
	{"/etc/coffer/*", "own-settings", "it changes what this very gate decides"},
	{"/etc/cron*", "cron", "it schedules a command"},
	{"/var/spool/cron/*", "cron", "it schedules a command"},
	{"/etc/systemd/*", "service", "it registers a service"},
	{"/usr/lib/systemd/*", "service", "it registers a service"},
	{"/lib/systemd/*", "service", "it registers a service"},
	{"/run/systemd/*", "service", "it registers a service"},
	{"/Library/Launch*", "service", "it registers a service"},
	{"/etc/init.d/*", "service", "it registers a service"},
	{"/etc/rc*", "service", "it changes what runs at boot"},
	{"/etc/inittab", "service", "it changes what runs at boot"},
	{"/etc/xdg/autostart/*", "autostart", "it starts a program at every login"},
	{"/etc/profile*", "shell-startup", "it changes what every login runs"},
	{"/etc/bash*", "shell-startup", "it changes what every new shell runs"},
	{"/etc/zsh*", "shell-startup", "it changes what every new shell runs"},
	{"/etc/environment", "shell-startup", "it changes every login's environment"},
	{"/etc/ld.so.*", "loader", "it changes which code every program loads"},
	{"/etc/sudoers*", "privileges", "it changes who may become root"},
	{"/etc/pam*", "privileges", "it changes who may log in"},
	{"/etc/passwd*", "privileges", "it changes who may log in"},
	{"/etc/shadow*", "privileges", "it changes who may log in"},
	{"/etc/group*", "privileges", "it changes who belongs to which group"},
	{"/etc/ssh/*", "privileges", "it changes who may log in"},
	{"/etc/polkit-1/*", "privileges", "it changes who may become root"},
	{"/etc/security/*", "privileges", "it changes the limits and rights of logins"},
	{"/etc/apt/*", "package-source", "it changes where software comes from"},
	{"/etc/yum*", "package-source", "it changes where software comes from"},
	{"/etc/hosts", "name-resolution", "it changes where names lead"},
	{"/etc/resolv.conf", "name-resolution", "it changes where names lead"},
	{"/etc/nsswitch.conf", "name-resolution", "it changes where names lead"},
	{"/etc/ssl/*", "certificates", "it changes which servers are trusted"},
	{"/usr/local/share/ca-certificates/*", "certificates",
		"it changes which servers are trusted"},
	{"/etc/modprobe.d/*", "kernel", "it changes what the kernel loads"},
	{"/etc/modules*", "kernel", "it changes what the kernel loads"},
	{"/etc/sysctl*", "kernel", "it changes settings of the kernel"},
	{"/proc/sys/*", "kernel", "it changes settings of the kernel"},
	{"/proc/sysrq-trigger", "kernel", "it stops or crashes the machine"},
	{"/proc/*/mem", "kernel", "it changes the memory of a process"},
	{"/sys/*", "kernel", "it changes settings of the kernel"},
	{"/boot/*", "kernel", "it changes what the machine boots"},
};

static const struct persistent_path *persistent_absolute(
	const struct command *command, const char *path)
{
	const char *below = path_below_home(command, path);
	for (size_t i = 0; i < ARRAY_SIZE(persistent); i++) {
		const char *glob = persistent[i].glob;
		if (glob[0] == '~' ? below && fnmatch(glob + 1, below, FNM_LEADING_DIR) == 0
				   : fnmatch(glob, path, 0) == 0)
			return &persistent[i];
	}
	return NULL;
}

/* Whether some component of path, below the writable root that holds it, is a protected name. */
static bool is_protected(const struct command *command, const char *path)
{
	char *const *roots = command->context->writable_roots;
	size_t skip = 0;
	for (; roots && *roots; roots++)
		if (path_is_below(path, *roots) && strlen(*roots) > skip)
			skip = strlen(*roots);
	for (const char *s = path + skip; *s;) {
		s += strspn(s, "/");
		char component[MAX_NAME_BYTES + 1];
		size_t bytes = strcspn(s, "/");
		if (bytes > 0 && bytes < sizeof(component)) {
			memcpy(component, s, bytes);
			component[bytes] = '\0';
			if (names_protected(component))
				return true;
		}
		s += bytes;
	}
	return false;
}

static void classify_path(
	const struct command *command, const char *path, struct classification *ret)
{
	if (is_device(command, path)) {
		classification_raise(ret, CLASS_FORBIDDEN, CATEGORY_DELETE, "write-device",
			"it writes over a disk or the machine's memory");
		return;
	}
	const struct persistent_path *found = persistent_absolute(command, path);
	if (found)
		classification_raise(
			ret, CLASS_DANGEROUS, CATEGORY_COMMAND, found->id, found->reason);
	else if (is_protected(command, path))
		classification_raise(ret, CLASS_DANGEROUS, CATEGORY_COMMAND, "write-protected",
			"it writes what git, a shell, an editor or an agent acts on by itself");
	if (is_outside(command, path))
		classification_raise(ret, CLASS_DANGEROUS, CATEGORY_WRITE_OUTSIDE, "write-outside",
			"it writes outside of the writable directories");
}

static void classify_target(
	const struct command *command, const char *word, struct classification *ret)
{
	const struct places *places = command->places;
	for (size_t i = 0; i < places->count; i++) {
		cleanup_free char *path = word_path(command, word, places->directories[i]);
		if (path)
			classify_path(command, path, ret);
	}
	if (places->unknown && any_place(command, word, is_outside))
		classification_raise(ret, CLASS_UNDECIDABLE, CATEGORY_WRITE_OUTSIDE,
			"write-unknown", "where it writes only shows when it runs");
}

/* Whether nothing but the home directory has to be known for the word to be a path. */
static bool is_only_at_home(const char *word)
{
	return begins_at_home(word) && !strpbrk(word + 1 + strcspn(word + 1, "/"), "$`*?[{");
}

static void classify_redirection(const struct command *command,
	const struct redirection *redirection, struct classification *ret)
{
	const char *target = redirection->target;
	bool reverse = is_shell(command->program);
	if (target &&
		(strncmp(target, "/dev/tcp/", 9) == 0 || strncmp(target, "/dev/udp/", 9) == 0)) {
		classification_raise(ret, reverse ? CLASS_FORBIDDEN : CLASS_DANGEROUS,
			CATEGORY_NETWORK, reverse ? "reverse-shell" : "shell-socket",
			reverse ? "it hands a shell to somebody on the network"
				: "it opens a connection from the shell itself");
		return;
	}
	if (redirection->kind == REDIRECT_READ)
		return;
	if (target)
		classify_target(command, target, ret);
	else if (redirection->written && begins_at_home(redirection->written))
		classify_target(command, redirection->written, ret);
	if (!target && !(redirection->written && is_only_at_home(redirection->written)))
		classification_raise(ret, CLASS_UNDECIDABLE, CATEGORY_WRITE_OUTSIDE,
			"redirection-unknown", "what it writes only shows when it runs");
}

/* Programs that write what they are given. */
static const struct writer {
	const char *programs;
	enum { WRITES_NONE, WRITES_ALL, WRITES_LAST, WRITES_BUT_FIRST } operands;
	const char *options;   /* whose values are written; "": none */
	const char *only_with; /* operands are written only with one of these; NULL: always */
} writers[] = {
	{"tee,touch,mkdir,rmdir,mkfifo,mknod,truncate,shred,mv,unlink,fallocate", WRITES_ALL,
		"t,target-directory", NULL},
	{"cp,ln,install,rsync,scp", WRITES_LAST, "t,target-directory,log-file", NULL},
	{"chmod,chown,chgrp,chattr,setfattr", WRITES_BUT_FIRST, "", NULL},
	{"setfacl", WRITES_ALL, "", NULL},
	{"sed", WRITES_BUT_FIRST, "", "i,in-place"},
	{"sort,shuf,gcc,g++,cc,c++,clang,clang++,ld,as,gpg,gpg2,tree,openssl,pandoc,xmllint",
		WRITES_NONE, "o,out,output", NULL},
	{"curl", WRITES_NONE,
		"o,output,output-dir,D,dump-header,c,cookie-jar,trace,trace-ascii,stderr", NULL},
	{"wget", WRITES_NONE, "O,output-document,o,output-file,a,append-output,P,directory-prefix",
		NULL},
	{"tar,bsdtar", WRITES_NONE, "C,directory", NULL},
	{"unzip", WRITES_NONE, "d", NULL},
	{"time", WRITES_NONE, "o,output", NULL},
	{"pip,pip3", WRITES_NONE, "t,target,prefix,root,d,dest", NULL},
};

const struct program_table writer_table = PROGRAM_TABLE(writers);

static void classify_writer(
	const struct command *command, const struct writer *writer, struct classification *ret)
{
	bool operands = writer->operands != WRITES_NONE &&
			(!writer->only_with || has_options(command, writer->only_with));
	size_t count = operands ? operands_count(command) : 0, at = 0;
	struct option_walk walk = option_walk_begin(command);
	for (struct option option; option_walk_next(&walk, &option);) {
		if (option.is_option) {
			size_t bytes = option.name_bytes;
			if (option.value && (option.known || begins_at_home(option.value)) &&
				list_has(writer->options, option.name, bytes))
				classify_target(command, option.value, ret);
			continue;
		}
		at++;
		if (!operands || (!option.known && !begins_at_home(option.name)) ||
			(writer->operands == WRITES_LAST && at != count) ||
			(writer->operands == WRITES_BUT_FIRST && at == 1))
			continue;
		/* host:path is elsewhere. */
		if (writer->operands == WRITES_LAST && strchr(option.name, ':'))
			continue;
		classify_target(command, option.name, ret);
	}
}

void classify_writes(const struct command *command, struct classification *ret)
{
	for (size_t i = 0; i < command->part->redirections_count; i++)
		classify_redirection(command, &command->part->redirections[i], ret);
	const struct writer *writer = program_row(command, TABLE_WRITERS);
	if (writer)
		classify_writer(command, writer, ret);
	if (strcmp(command->program, "dd") == 0)
		for (size_t i = 1; i < command->part->argv.count; i++)
			if (strncmp(command->part->argv.items[i], "of=", 3) == 0)
				classify_target(command, command->part->argv.items[i] + 3, ret);
}
