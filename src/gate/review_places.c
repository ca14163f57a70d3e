/* What a path is to its owner, by its name alone: nothing here looks at the file system, since what
 * it holds may change between the question and the answer. */
#include "gate/review_internal.h"

#include "base/cleanup.h"
#include "base/path.h"

#include <string.h>

/* Globs of absolute paths; "~" stands for the home. Rows add up. */
static const struct {
	unsigned places;
	const char *glob;
} places[] = {
	/* credentials */
	{PLACE_SECRET, "~/.ssh/id_*"},
	{PLACE_SECRET, "~/.ssh/*.pem"},
	{PLACE_SECRET, "~/.ssh"},
	{PLACE_SECRET, "~/.aws"},
	{PLACE_SECRET, "~/.aws/credentials"},
	{PLACE_SECRET, "~/.aws/sso/**"},
	{PLACE_SECRET, "~/.azure/**"},
	{PLACE_SECRET, "~/.config/gcloud"},
	{PLACE_SECRET, "~/.config/gcloud/**"},
	{PLACE_SECRET, "~/.config/gh/**"},
	{PLACE_SECRET, "~/.config/hub"},
	{PLACE_SECRET, "~/.config/op/**"},
	{PLACE_SECRET, "~/.config/doctl/**"},
	{PLACE_SECRET, "~/.kube"},
	{PLACE_SECRET, "~/.kube/config"},
	{PLACE_SECRET, "~/.docker/config.json"},
	{PLACE_SECRET, "~/.gnupg"},
	{PLACE_SECRET, "~/.gnupg/**"},
	{PLACE_SECRET, "~/.password-store"},
	{PLACE_SECRET, "~/.password-store/**"},
	{PLACE_SECRET, "~/.local/share/keyrings"},
	{PLACE_SECRET, "~/.local/share/keyrings/**"},
	{PLACE_SECRET, "~/.mozilla/**"},
	{PLACE_SECRET, "~/.config/google-chrome/**"},
	{PLACE_SECRET, "~/.config/chromium/**"},
	{PLACE_SECRET, "~/.config/BraveSoftware/**"},
	{PLACE_SECRET, "~/.vault-token"},
	{PLACE_SECRET, "~/.terraform.d/credentials.tfrc.json"},
	{PLACE_SECRET, "~/.cargo/credentials*"},
	{PLACE_SECRET, "~/.m2/settings-security.xml"},
	{PLACE_SECRET, "~/.claude/.credentials.json"},
	{PLACE_SECRET, "~/.codex/auth.json"},
	{PLACE_SECRET, "**/.netrc"},
	{PLACE_SECRET, "**/.npmrc"},
	{PLACE_SECRET, "**/.pypirc"},
	{PLACE_SECRET, "**/.pgpass"},
	{PLACE_SECRET, "**/.my.cnf"},
	{PLACE_SECRET, "**/.git-credentials"},
	{PLACE_SECRET, "**/.htpasswd"},
	{PLACE_SECRET, "**/.env"},
	{PLACE_SECRET, "**/.env.*"},
	{PLACE_SECRET, "**/.envrc"},
	{PLACE_SECRET, "**/credentials.json"},
	{PLACE_SECRET, "**/service-account*.json"},
	{PLACE_SECRET, "**/secrets.y*ml"},
	{PLACE_SECRET, "**/*.pem"},
	{PLACE_SECRET, "**/*.key"},
	{PLACE_SECRET, "**/*.p12"},
	{PLACE_SECRET, "**/*.pfx"},
	{PLACE_SECRET, "**/*.kdbx"},
	{PLACE_SECRET, "**/id_rsa"},
	{PLACE_SECRET, "**/id_ed25519"},
	{PLACE_SECRET, "**/id_ecdsa"},
	{PLACE_SECRET, "/etc/shadow*"},
	{PLACE_SECRET, "/etc/gshadow*"},
	{PLACE_SECRET, "/etc/ssl/private/**"},
	{PLACE_SECRET, "/etc/ssh/ssh_host_*_key"},
	{PLACE_SECRET, "/etc/krb5.keytab"},
	{PLACE_SECRET, "/proc/*/environ"},
	{PLACE_SECRET, "/proc/*/mem"},
	{PLACE_SECRET, "/run/secrets/**"},
	{PLACE_SECRET, "/var/run/secrets/**"},
	/* run by itself, later */
	{PLACE_STARTUP, "~/.bashrc"},
	{PLACE_STARTUP, "~/.bash_profile"},
	{PLACE_STARTUP, "~/.bash_login"},
	{PLACE_STARTUP, "~/.bash_logout"},
	{PLACE_STARTUP, "~/.bash_aliases"},
	{PLACE_STARTUP, "~/.profile"},
	{PLACE_STARTUP, "~/.zshrc"},
	{PLACE_STARTUP, "~/.zshenv"},
	{PLACE_STARTUP, "~/.zprofile"},
	{PLACE_STARTUP, "~/.zlogin"},
	{PLACE_STARTUP, "~/.config/fish/**"},
	{PLACE_STARTUP, "~/.xprofile"},
	{PLACE_STARTUP, "~/.xinitrc"},
	{PLACE_STARTUP, "~/.xsession*"},
	{PLACE_STARTUP, "~/.config/autostart/**"},
	{PLACE_STARTUP, "~/.config/systemd/**"},
	{PLACE_STARTUP, "~/.config/environment.d/**"},
	{PLACE_STARTUP, "~/.local/share/systemd/**"},
	{PLACE_STARTUP, "~/.gitconfig"},
	{PLACE_STARTUP, "~/.config/git/**"},
	{PLACE_STARTUP, "~/.vimrc"},
	{PLACE_STARTUP, "~/.config/nvim/**"},
	{PLACE_STARTUP, "~/.emacs*"},
	{PLACE_STARTUP, "~/.inputrc"},
	{PLACE_STARTUP, "~/.tmux.conf"},
	{PLACE_STARTUP, "~/.pythonrc*"},
	{PLACE_STARTUP, "~/.config/pip/**"},
	{PLACE_STARTUP, "~/bin/**"},
	{PLACE_STARTUP, "~/.local/bin/**"},
	{PLACE_STARTUP, "**/.git/hooks/**"},
	{PLACE_STARTUP, "**/.git/config"},
	{PLACE_STARTUP, "**/sitecustomize.py"},
	{PLACE_STARTUP, "**/usercustomize.py"},
	{PLACE_STARTUP, "/etc/profile*"},
	{PLACE_STARTUP, "/etc/profile.d/**"},
	{PLACE_STARTUP, "/etc/bash*"},
	{PLACE_STARTUP, "/etc/zsh/**"},
	{PLACE_STARTUP, "/etc/environment"},
	{PLACE_STARTUP, "/etc/cron*"},
	{PLACE_STARTUP, "/etc/cron*/**"},
	{PLACE_STARTUP, "/etc/rc.local"},
	{PLACE_STARTUP, "/etc/init.d/**"},
	{PLACE_STARTUP, "/etc/systemd/**"},
	{PLACE_STARTUP, "/lib/systemd/**"},
	{PLACE_STARTUP, "/usr/lib/systemd/**"},
	{PLACE_STARTUP, "/etc/udev/**"},
	{PLACE_STARTUP, "/etc/modules*"},
	{PLACE_STARTUP, "/var/spool/cron/**"},
	/* who may log in, and as whom */
	{PLACE_ACCESS, "~/.ssh/authorized_keys*"},
	{PLACE_ACCESS, "~/.ssh/config"},
	{PLACE_ACCESS, "~/.ssh/rc"},
	{PLACE_ACCESS, "/root/.ssh/**"},
	{PLACE_ACCESS, "/etc/ssh/**"},
	{PLACE_ACCESS, "/etc/sudoers"},
	{PLACE_ACCESS, "/etc/sudoers.d/**"},
	{PLACE_ACCESS, "/etc/doas.conf"},
	{PLACE_ACCESS, "/etc/polkit-1/**"},
	{PLACE_ACCESS, "/etc/pam.d/**"},
	{PLACE_ACCESS, "/etc/security/**"},
	{PLACE_ACCESS, "/etc/passwd"},
	{PLACE_ACCESS, "/etc/group"},
	{PLACE_ACCESS, "/etc/shadow"},
	{PLACE_ACCESS, "/etc/gshadow"},
	{PLACE_ACCESS, "/etc/ld.so.*"},
	{PLACE_ACCESS, "/etc/ld.so.conf.d/**"},
	{PLACE_ACCESS, "/etc/hosts"},
	{PLACE_ACCESS, "/etc/resolv.conf"},
	{PLACE_ACCESS, "/etc/nsswitch.conf"},
	{PLACE_ACCESS, "/etc/selinux/**"},
	{PLACE_ACCESS, "/etc/apparmor.d/**"},
	{PLACE_ACCESS, "/etc/ca-certificates*"},
	{PLACE_ACCESS, "/etc/ssl/certs/**"},
	{PLACE_ACCESS, "/usr/local/share/ca-certificates/**"},
	/* what an agent may do */
	{PLACE_CONTROL, "**/.coffer"},
	{PLACE_CONTROL, "**/.coffer/**"},
	{PLACE_CONTROL, "/etc/coffer"},
	{PLACE_CONTROL, "/etc/coffer/**"},
	{PLACE_CONTROL, "~/.config/coffer"},
	{PLACE_CONTROL, "~/.config/coffer/**"},
	{PLACE_CONTROL, "~/.local/state/coffer"},
	{PLACE_CONTROL, "~/.local/state/coffer/**"},
	{PLACE_CONTROL, "~/.cache/coffer/**"},
	{PLACE_CONTROL, "**/.codex/**"},
	{PLACE_CONTROL, "**/.claude/settings*.json"},
	{PLACE_CONTROL, "**/.claude/hooks/**"},
	{PLACE_CONTROL, "**/.mcp.json"},
	/* the past */
	{PLACE_HISTORY, "**/.git"},
	{PLACE_HISTORY, "**/.git/**"},
	{PLACE_HISTORY, "**/.hg"},
	{PLACE_HISTORY, "**/.svn"},
	{PLACE_HISTORY, "~/.*_history"},
	{PLACE_HISTORY, "/var/log"},
	{PLACE_HISTORY, "/var/log/**"},
	/* hardware */
	{PLACE_DEVICE, "/dev/sd*"},
	{PLACE_DEVICE, "/dev/hd*"},
	{PLACE_DEVICE, "/dev/vd*"},
	{PLACE_DEVICE, "/dev/xvd*"},
	{PLACE_DEVICE, "/dev/nvme*"},
	{PLACE_DEVICE, "/dev/mmcblk*"},
	{PLACE_DEVICE, "/dev/md*"},
	{PLACE_DEVICE, "/dev/dm-*"},
	{PLACE_DEVICE, "/dev/mapper/**"},
	{PLACE_DEVICE, "/dev/disk/**"},
	{PLACE_DEVICE, "/dev/mem"},
	{PLACE_DEVICE, "/dev/kmem"},
	{PLACE_DEVICE, "/dev/port"},
};

static const char *const templates[] = {".example", ".sample", ".template", ".dist"};
static const char *const system_directories[] = {"/etc", "/usr", "/bin", "/sbin", "/lib", "/lib64",
	"/boot", "/opt", "/var", "/root", "/srv"};
static const char *const temporary_directories[] = {"/tmp", "/var/tmp", "/dev/shm"};
/* What a redirection goes to without leaving a trace. */
static const char *const nowhere[] = {
	"/dev/null", "/dev/stdout", "/dev/stderr", "/dev/stdin", "/dev/tty", "/dev/fd"};

static bool is_below_any(const char *path, const char *const directories[], size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (path_is_below(path, directories[i]))
			return true;
	return false;
}

/* word as an absolute path: "~" and "$HOME" are known, and a glob at the end is everything there
 * is. NULL: not known, or no memory. */
static char *resolve(const struct gate_request *request, const char *word)
{
	static const char *const homes[] = {"~", "$HOME", "${HOME}"};
	cleanup_free char *inside = NULL;
	for (size_t i = 0; i < ARRAY_SIZE(homes); i++) {
		size_t n = strlen(homes[i]);
		if (strncmp(word, homes[i], n) != 0 || (word[n] && word[n] != '/'))
			continue;
		if (!request->home || asprintf(&inside, "%s%s", request->home, word + n) < 0)
			return NULL;
		word = inside;
		break;
	}
	if (strpbrk(word, "$`"))
		return NULL;
	char *path = path_absolute(request->directory, word);
	size_t length = path ? strlen(path) : 0;
	if (length >= 2 && strcmp(path + length - 2, "/*") == 0)
		path[length > 2 ? length - 2 : 1] = '\0';
	return path;
}

static unsigned named_places(const struct gate_request *request, const char *path)
{
	unsigned found = 0;
	const char *home = request->home ? request->home : "/nonexistent";
	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		const char *glob = places[i].glob, *below = path;
		if (glob[0] == '~') {
			if (!path_is_below(path, home) || strcmp(home, "/") == 0)
				continue;
			below = path + strlen(home);
			glob++;
		}
		if (*below && path_matches_glob(below, glob))
			found |= places[i].places;
	}
	for (size_t i = 0; i < ARRAY_SIZE(templates); i++) {
		size_t n = strlen(path), t = strlen(templates[i]);
		if (n > t && strcmp(path + n - t, templates[i]) == 0)
			found &= ~(unsigned)PLACE_SECRET;
	}
	return found;
}

static unsigned region(const struct gate_request *request, const char *path)
{
	unsigned found = 0;
	/* A box that may write nothing is still about the directory that it runs in. */
	char *const only[] = {(char *)request->directory, NULL};
	bool none = !request->writable_roots || !request->writable_roots[0];
	for (char *const *root = none ? only : request->writable_roots; *root; root++) {
		if (strcmp(path, *root) == 0)
			found |= PLACE_TOP;
		if (path_is_below(path, *root))
			found |= PLACE_WORKSPACE;
		else if (path_is_below(*root, path))
			found |= PLACE_ABOVE;
	}
	if (strcmp(path, "/") == 0 || (request->home && path_is_below(request->home, path)))
		found |= PLACE_ABOVE;
	if (is_below_any(path, temporary_directories, ARRAY_SIZE(temporary_directories)) ||
		is_below_any(path, nowhere, ARRAY_SIZE(nowhere)))
		found |= PLACE_TEMPORARY;
	if (!(found & (PLACE_WORKSPACE | PLACE_TEMPORARY))) {
		found |= PLACE_OUTSIDE;
		if (is_below_any(path, system_directories, ARRAY_SIZE(system_directories)))
			found |= PLACE_SYSTEM;
	}
	return found;
}

unsigned review_place(const struct gate_request *request, const char *word)
{
	cleanup_free char *path = resolve(request, word);
	if (!path)
		return PLACE_UNKNOWN;
	return region(request, path) | named_places(request, path);
}
