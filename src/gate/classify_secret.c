/* Reading of credentials: by programs that read what they are given, and by redirections. The table
 * of places is the one that boxes hide (policy/names.h); globs that lead there count too. */
#include "gate/classify_internal.h"

#include "base/limits.h"
#include "base/path.h"
#include "policy/names.h"

#include <fnmatch.h>
#include <strings.h>

/* Outside of home directories. */
static const struct {
	const char *glob, *what;
} system_secrets[] = {
	{"/etc/shadow*", "it reads the system's password hashes"},
	{"/etc/gshadow*", "it reads the system's password hashes"},
	{"/etc/sudoers*", "it reads who may become root"},
	{"/etc/ssh/ssh_host_*_key", "it reads the host's SSH keys"},
	{"/etc/ssl/private*", "it reads the host's private keys"},
	{"/etc/krb5.keytab", "it reads the host's Kerberos key"},
	{"/etc/NetworkManager/system-connections*", "it reads network passwords"},
	{"/etc/wpa_supplicant*", "it reads network passwords"},
	{"/proc/*/environ", "it reads the environment of processes, tokens included"},
	{"/proc/*/mem", "it reads the memory of processes"},
	{"/proc/kcore", "it reads the memory of the kernel"},
	{"/dev/mem", "it reads the memory of the machine"},
	{"/run/secrets*", "it reads secrets that were given to a container"},
	{"/var/run/secrets*", "it reads secrets that were given to a container"},
	{"/var/lib/docker*", "it reads the files of containers"},
	{"/var/spool/cron*", "it reads people's scheduled commands"},
};

/* Whether pattern (which may be a glob) names path or something above it; whole components. */
static bool leads_to(const char *pattern, const char *path)
{
	while (*pattern && *path) {
		pattern += strspn(pattern, "/");
		path += strspn(path, "/");
		size_t pattern_bytes = strcspn(pattern, "/"), path_bytes = strcspn(path, "/");
		if (path_bytes == 0)
			return true; /* the pattern lies below the path */
		if (pattern_bytes == 0)
			return false; /* it ends above it: a directory, which is not read as one */
		char a[MAX_NAME_BYTES + 1], b[MAX_NAME_BYTES + 1];
		if (pattern_bytes >= sizeof(a) || path_bytes >= sizeof(b))
			return false;
		memcpy(a, pattern, pattern_bytes);
		a[pattern_bytes] = '\0';
		memcpy(b, path, path_bytes);
		b[path_bytes] = '\0';
		if (fnmatch(a, b, FNM_PERIOD) != 0)
			return false;
		pattern += pattern_bytes;
		path += path_bytes;
	}
	return *path == '\0';
}

/* Whether a glob names one of the usual files: with its dot written out, since a * that stands for
 * every ordinary file says nothing. */
static bool may_become_secret(const char *glob)
{
	static const char *const usual[] = {".env", ".env.local", ".env.production", ".netrc",
		".npmrc", ".pypirc", ".pgpass", ".git-credentials", ".vault-token"};
	for (size_t i = 0; has_glob(glob) && i < ARRAY_SIZE(usual); i++)
		if (fnmatch(glob, usual[i], FNM_PERIOD) == 0)
			return true;
	return false;
}

/* Whether a place below a home directory is one of credentials or lies in one. */
static bool is_credential(const char *below)
{
	bool glob = has_glob(below);
	size_t count;
	const struct names_credential *credentials = names_credentials(&count);
	below += strspn(below, "/");
	for (size_t i = 0; i < count; i++) {
		const char *path = credentials[i].path;
		if (glob) {
			if (leads_to(below, path))
				return true;
			continue;
		}
		/* Nearly every word is none: this is what most of them cost. */
		size_t bytes = strlen(path);
		if (strncmp(below, path, bytes) == 0 &&
			(below[bytes] == '\0' || below[bytes] == '/'))
			return true;
	}
	return false;
}

static const char *secret_absolute(const struct command *command, const char *path)
{
	for (size_t i = 0; i < ARRAY_SIZE(system_secrets); i++)
		if (fnmatch(system_secrets[i].glob, path, 0) == 0 ||
			(has_glob(path) && leads_to(path, system_secrets[i].glob)))
			return system_secrets[i].what;
	const char *below = path_below_home(command, path);
	if (below && is_credential(below))
		return "it reads a login, key or history in a home directory";
	/* The workspace's own: a file's name, or a directory that holds nothing else. */
	const char *name = path_name(path);
	if (names_secret(name) || may_become_secret(name))
		return "it reads a file that holds secrets by its name";
	cleanup_free char *parent = path_parent(path);
	if (parent && names_secret_directory(path_name(parent)))
		return "it reads a directory of keys or logins";
	return NULL;
}

const char *secret_path(const struct command *command, const char *word)
{
	const struct places *places = command->places;
	for (size_t i = 0; i < places->count; i++) {
		cleanup_free char *path = word_path(command, word, places->directories[i]);
		const char *what = path ? secret_absolute(command, path) : NULL;
		if (what)
			return what;
	}
	return NULL;
}

/* Programs that read the files they are given. skip: leading operands that are no files (a pattern,
 * a script), unless one of the options stands in for them. */
static const struct reader {
	const char *programs;
	unsigned skip;
	const char *instead;
	bool last_is_written;
} readers[] = {
	{"cat,tac,head,tail,less,more,most,bat,batcat,nl,od,xxd,hexdump,hd,strings,base64,base32,"
	 "basenc,cut,paste,sort,uniq,wc,rev,fold,fmt,column,split,csplit,"
	 "mv,zip,gzip,bzip2,xz,zstd,7z,7za,rar,ar,cpio,diff,cmp,comm,join,view,vi,vim,"
	 "nvim,nano,emacs,ed,code,source,.,mapfile,readarray,openssl,gpg,gpg2,age,sops,ssh-keygen,"
	 "ssh-add,curl,wget,http,https,nc,ncat,netcat,socat,ftp,sftp,aws,gsutil,rclone,uuencode,"
	 "xclip,xsel,pbcopy,wl-copy,jc,yq,dd,iconv,pr,expand,look,shuf,ssh,tar,bsdtar",
		0, "", false},
	{"cp,install,ln,scp,rsync", 0, "", true},
	{"grep,egrep,fgrep,zgrep,rg,ag,ack,awk,gawk,mawk,nawk,sed,jq", 1,
		"e,f,regexp,file,expression", false},
};

const struct program_table reader_table = PROGRAM_TABLE(readers);

static const char *after_assignment(const char *word)
{
	/* curl -F name=@file, -d @file, dd if=file, --file=path: what follows is what is read. */
	const char *at = strchr(word, '@');
	const char *equals = strchr(word, '=');
	if (equals && equals[1] == '@')
		return equals + 2;
	if (at == word)
		return word + 1;
	return equals ? equals + 1 : NULL;
}

static void read_word(const struct command *command, const char *word, struct classification *ret)
{
	const char *what = secret_path(command, word);
	const char *rest = what ? NULL : after_assignment(word);
	if (!what && rest && *rest)
		what = secret_path(command, rest);
	if (what)
		classification_raise(ret, CLASS_DANGEROUS, CATEGORY_SECRET, "read-secret", what);
}

/* All of the system, or all that somebody has. */
static bool is_everything_of_somebody(const struct command *command, const char *path)
{
	const char *home = command->context->home;
	if (!path)
		return false;
	return strcmp(path, "/") == 0 || strcmp(path, "/home") == 0 || strcmp(path, "/root") == 0 ||
	       strcmp(path, "/Users") == 0 || (home && strcmp(path, home) == 0) ||
	       (path_depth(path) == 2 && strncmp(path, "/home/", 6) == 0);
}

static void classify_search(const struct command *command, struct classification *ret)
{
	bool always = list_has("rg,ag,ack", command->program, strlen(command->program));
	if (!always && !has_options(command, "r,R,recursive,dereference-recursive"))
		return;
	struct option_walk walk = option_walk_begin(command);
	for (struct option option; option_walk_next(&walk, &option);)
		if (!option.is_option && any_place(command, option.name, is_everything_of_somebody))
			classification_raise(ret, CLASS_DANGEROUS, CATEGORY_SECRET,
				"search-everything",
				"it searches all that somebody has, logins included");
}

static void classify_operands(
	const struct command *command, const struct reader *reader, struct classification *ret)
{
	size_t skip = reader->skip;
	if (skip && has_options(command, reader->instead))
		skip = 0;
	size_t left = operands_count(command);
	bool last_is_written =
		reader->last_is_written && !has_options(command, "t,target-directory");
	struct option_walk walk = option_walk_begin(command);
	for (struct option option; option_walk_next(&walk, &option);) {
		if (option.is_option) {
			if (option.value)
				read_word(command, option.value, ret);
		} else if (skip > 0) {
			skip--;
			left--;
		} else if (--left > 0 || !last_is_written) {
			read_word(command, option.name, ret);
		}
	}
}

/* Whether a word prints a variable that is named like a token: "$GITHUB_TOKEN", "${API_KEY}". */
static bool names_secret_variable(const char *word)
{
	for (const char *s = strchr(word, '$'); s; s = strchr(s, '$')) {
		s++;
		s += *s == '{';
		s += *s == '!' || *s == '#';
		char name[128];
		size_t bytes = strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
					 "0123456789_");
		if (bytes == 0 || bytes >= sizeof(name))
			continue;
		memcpy(name, s, bytes);
		name[bytes] = '\0';
		if (names_environment_secret(name))
			return true;
	}
	return false;
}

static void classify_printing(const struct command *command, struct classification *ret)
{
	static const char what[] = "it prints a variable that is named like a token";
	bool prints = list_has("echo,printf", command->program, strlen(command->program));
	bool lists = strcmp(command->program, "printenv") == 0;
	for (size_t i = 1; (prints || lists) && i < command->part->argv.count; i++) {
		const char *word = command->part->argv.items[i];
		if (lists ? names_environment_secret(word)
			  : !command->part->word_known[i] && names_secret_variable(word))
			classification_raise(
				ret, CLASS_DANGEROUS, CATEGORY_SECRET, "print-secret", what);
	}
}

/* find that hands credentials to a program: by the names that it looks for. */
static void classify_finding(const struct command *command, struct classification *ret)
{
	const struct strv *argv = &command->part->argv;
	if (!has_options(command, "-exec,-execdir,-ok,-okdir"))
		return;
	for (size_t i = 1; i + 1 < argv->count; i++)
		if (list_has("-name,-iname,-path,-ipath,-wholename", argv->items[i],
			    strlen(argv->items[i])) &&
			(names_secret(path_name(argv->items[i + 1])) ||
				may_become_secret(path_name(argv->items[i + 1]))))
			classification_raise(ret, CLASS_DANGEROUS, CATEGORY_SECRET, "read-secret",
				"it looks for files that hold secrets by their names");
}

void classify_reads(const struct command *command, struct classification *ret)
{
	const struct reader *reader = program_row(command, TABLE_READERS);
	if (reader)
		classify_operands(command, reader, ret);
	if (list_has("grep,egrep,fgrep,rg,ag,ack", command->program, strlen(command->program)))
		classify_search(command, ret);
	if (strcmp(command->program, "find") == 0)
		classify_finding(command, ret);
	const char *arguments =
		strcmp(command->program, "xargs") == 0 ? option_value(command, "a,arg-file") : NULL;
	if (arguments)
		read_word(command, arguments, ret);
	classify_printing(command, ret);
	for (size_t i = 0; i < command->part->redirections_count; i++) {
		const struct redirection *redirection = &command->part->redirections[i];
		const char *target =
			redirection->target ? redirection->target : redirection->written;
		if (redirection->kind == REDIRECT_READ && target)
			read_word(command, target, ret);
	}
}
