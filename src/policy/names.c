/* Theory of operation: everything here is a table and the few lines that look things up in it. The
 * tables are searched for every file of a workspace while a command waits to start, so each search
 * compares a first or last character before anything else, and nothing allocates.
 *
 * A name counts as protected if any file system that a workspace may lie on would take it for one
 * that is in the table. Those that fold case do so by Unicode's rules (ext4 and f2fs with casefold,
 * APFS, NTFS, exFAT); HFS+ and casefold drop code points that nobody can see; NTFS drops trailing
 * dots and spaces, takes what follows a colon for a stream of the same file, and answers to the
 * short names of DOS ("GIT~1"). What is folded too much costs nobody anything: no honest file is
 * called ".GIT " or "git~1". */
#include "policy/names.h"

#include "base/cleanup.h"
#include "base/limits.h"
#include "base/path.h"

#include <stdint.h>
#include <string.h>
#include <strings.h>

/* The names of promise P2. Each is read by something on the host that acts on it unasked. */
static const char *const protected_names[] = {
	/* git: hooks, config with commands in it, where submodules come from */
	".git",
	".gitmodules",
	".gitconfig",
	/* coding agents: their instructions, permissions, hooks and servers */
	".agents",
	".claude",
	".codex",
	".coffer",
	".cursor",
	".gemini",
	".mcp.json",
	/* editors: tasks and settings that run programs when a folder is opened */
	".idea",
	".vscode",
	/* run by a shell when somebody enters the directory */
	".envrc",
	/* shell start-up, should the root be a home directory */
	".bash_aliases",
	".bash_login",
	".bash_logout",
	".bash_profile",
	".bashrc",
	".cshrc",
	".inputrc",
	".kshrc",
	".login",
	".logout",
	".mkshrc",
	".pam_environment",
	".profile",
	".tcshrc",
	".xinitrc",
	".xprofile",
	".xsession",
	".xsessionrc",
	".zlogin",
	".zlogout",
	".zprofile",
	".zshenv",
	".zshrc",
};

/* Code points that are ignored when names are compared: Unicode's Default_Ignorable_Code_Point,
 * which contains what HFS+ ignores. Below U+10000 first, in order. */
static const struct {
	uint32_t first, last;
} ignorable[] = {
	{0x00ad, 0x00ad},
	{0x034f, 0x034f},
	{0x061c, 0x061c},
	{0x115f, 0x1160},
	{0x17b4, 0x17b5},
	{0x180b, 0x180f},
	{0x200b, 0x200f},
	{0x202a, 0x202e},
	{0x2060, 0x206f},
	{0x3164, 0x3164},
	{0xfe00, 0xfe0f},
	{0xfeff, 0xfeff},
	{0xffa0, 0xffa0},
	{0xfff0, 0xfff8},
	{0x1bca0, 0x1bca3},
	{0x1d173, 0x1d17a},
	{0xe0000, 0xe0fff},
};

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

/* Decodes one code point at s into *ret; returns its length, or 1 with the byte itself where s is
 * not UTF-8 (such a byte matches no letter). */
static size_t decode(const unsigned char *s, uint32_t *ret)
{
	size_t length = s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : s[0] >= 0xc2 ? 2 : 1;
	uint32_t value = length == 1 ? s[0] : s[0] & (0x7fu >> length);
	*ret = 0xdc00u + s[0]; /* for what is not UTF-8: no letter, and nothing ignorable */
	if (length == 1 && s[0] >= 0x80)
		return 1;
	for (size_t i = 1; i < length; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 1;
		value = value << 6 | (s[i] & 0x3f);
	}
	*ret = value;
	return length;
}

static bool is_ignorable(uint32_t point)
{
	for (size_t i = 0; i < ARRAY_SIZE(ignorable); i++)
		if (point >= ignorable[i].first && point <= ignorable[i].last)
			return true;
	return false;
}

/* The most forgiving reading of name, in ASCII: anything that is not becomes '?'. */
static void fold(const char *name, char *ret, size_t room)
{
	size_t length = 0;
	for (const unsigned char *s = (const unsigned char *)name; *s && length + 1 < room;) {
		uint32_t point;
		s += decode(s, &point);
		if (is_ignorable(point))
			continue;
		if (point == ':' && length > 0)
			break;
		if (point == 0x017f) /* LATIN SMALL LETTER LONG S folds to s */
			point = 's';
		else if (point == 0x212a) /* KELVIN SIGN folds to k */
			point = 'k';
		ret[length++] = point < 0x80 ? lower((char)point) : '?';
	}
	while (length > 0 && (ret[length - 1] == '.' || ret[length - 1] == ' '))
		length--;
	ret[length] = '\0';
}

/* Whether folded is a DOS short name of entry: the first six characters of its stem, "~" and a
 * digit, the first three of its extension. */
static bool is_short_name(const char *folded, const char *entry)
{
	const char *stem = entry + 1; /* every entry begins with a dot, which short names drop */
	const char *extension = strchr(stem, '.');
	size_t length = extension ? (size_t)(extension - stem) : strlen(stem);
	if (length > 6)
		length = 6;
	if (strncmp(folded, stem, length) != 0)
		return false;
	folded += length;
	if (folded[0] != '~' || folded[1] < '1' || folded[1] > '9')
		return false;
	folded += 2;
	if (!extension)
		return *folded == '\0';
	return strncmp(folded, extension, 4) == 0 && folded[4] == '\0';
}

const char *names_protected(const char *name)
{
	bool dot = name[0] == '.';
	if (!dot && (unsigned char)name[0] < 0x80 && !strchr(name, '~'))
		return NULL;
	char folded[MAX_NAME_BYTES + 1];
	fold(name, folded, sizeof(folded));
	bool tilde = strchr(folded, '~') != NULL;
	/* NTFS's other kind of short name, made from a hash once the first four are taken. */
	if (tilde && strncmp(folded, "gi7eba~", 7) == 0)
		return ".gitmodules";
	for (size_t i = 0; i < ARRAY_SIZE(protected_names); i++) {
		if (strcmp(folded, protected_names[i]) == 0)
			return protected_names[i];
		if (tilde && is_short_name(folded, protected_names[i]))
			return protected_names[i];
	}
	return NULL;
}

#define SECRET(glob)                                                                               \
	{                                                                                          \
		.pattern = (glob), .length = sizeof(glob) - 1                                      \
	}
#define EXAMPLES(glob)                                                                             \
	{                                                                                          \
		.pattern = (glob), .length = sizeof(glob) - 1, .examples = true                    \
	}

/* The secrets of promise P4, in lower case, as globs. Where the name leaves room for words, one of
 * them may say that the file shows only the shape of a secret (".env.example"). */
static const struct secret_name {
	const char *pattern;
	bool examples;
	unsigned char length;
} secret_names[] = {
	/* settings with passwords in them */
	SECRET(".env"),
	EXAMPLES(".env.*"),
	EXAMPLES(".env-*"),
	EXAMPLES(".env_*"),
	EXAMPLES("*.env"),
	SECRET("secret.json"),
	SECRET("secret.yaml"),
	SECRET("secret.yml"),
	SECRET("secrets.ini"),
	SECRET("secrets.json"),
	SECRET("secrets.toml"),
	SECRET("secrets.yaml"),
	SECRET("secrets.yml"),
	SECRET("local.settings.json"),
	EXAMPLES("*.tfvars"),
	EXAMPLES("*.tfvars.json"),
	SECRET("*.tfstate"),
	SECRET("*.tfstate.backup"),
	/* logins of tools */
	SECRET(".boto"),
	SECRET(".dockercfg"),
	SECRET(".dockerconfigjson"),
	SECRET(".git-credentials"),
	SECRET(".htpasswd"),
	SECRET(".my.cnf"),
	SECRET(".mylogin.cnf"),
	SECRET(".netrc"),
	SECRET("_netrc"),
	SECRET(".npmrc"),
	SECRET(".pgpass"),
	SECRET(".pypirc"),
	SECRET(".s3cfg"),
	SECRET(".terraformrc"),
	SECRET(".vault-pass"),
	SECRET(".vault-token"),
	SECRET(".vault_pass"),
	SECRET("sftp-config.json"),
	SECRET("kubeconfig"),
	SECRET("kubeconfig.yaml"),
	SECRET("kubeconfig.yml"),
	/* logins of services */
	SECRET("application_default_credentials.json"),
	EXAMPLES("client_secret*.json"),
	SECRET("credentials"),
	SECRET("credentials.json"),
	SECRET("credentials.toml"),
	SECRET("credentials.yaml"),
	SECRET("credentials.yml"),
	SECRET("*firebase-adminsdk*.json"),
	EXAMPLES("service-account*.json"),
	EXAMPLES("service_account*.json"),
	EXAMPLES("serviceaccount*.json"),
	/* private keys, and stores of them */
	SECRET("id_dsa"),
	SECRET("id_ecdsa"),
	SECRET("id_ecdsa_sk"),
	SECRET("id_ed25519*"),
	SECRET("id_rsa*"),
	SECRET("ssh_host_*_key"),
	SECRET("*_ed25519"),
	SECRET("*_rsa"),
	SECRET("*.agekey"),
	SECRET("*.jceks"),
	SECRET("*.jks"),
	SECRET("*.kdb"),
	SECRET("*.kdbx"),
	SECRET("*.key"),
	SECRET("*.keystore"),
	SECRET("*.keytab"),
	SECRET("*.ovpn"),
	SECRET("*.p12"),
	SECRET("*.p8"),
	SECRET("*.pem"),
	SECRET("*.pfx"),
	SECRET("*.ppk"),
	SECRET("wallet.dat"),
};

/* Words between dots, dashes and underscores that make an example of what would be a secret. */
static const char *const example_words[] = {"example", "examples", "sample", "template", "tmpl",
	"tpl", "dist", "default", "defaults", "schema"};

/* Directories in which every file is a secret, should one lie in a workspace. */
static const char *const secret_directories[] = {
	".aws", ".azure", ".gnupg", ".kube", ".password-store", ".ssh"};

static bool ends_with(const char *string, size_t length, const char *ending)
{
	size_t ending_length = strlen(ending);
	return length >= ending_length &&
	       memcmp(string + length - ending_length, ending, ending_length) == 0;
}

/* The first and last characters settle nearly every comparison. */
static bool matches_secret(const char *name, size_t length, const struct secret_name *secret)
{
	const char *pattern = secret->pattern;
	char first = pattern[0], last = pattern[secret->length - 1];
	if ((first != '*' && first != name[0]) || (last != '*' && last != name[length - 1]))
		return false;
	if (strchr(pattern + 1, '*'))
		return path_matches_glob(name, pattern);
	return first == '*' ? ends_with(name, length, pattern + 1) : strcmp(name, pattern) == 0;
}

static bool has_word(const char *name, const char *const words[], size_t words_count)
{
	static const char between[] = ".-_";
	for (const char *s = name + strspn(name, between); *s; s += strspn(s, between)) {
		size_t length = strcspn(s, between);
		for (size_t i = 0; i < words_count; i++)
			if (strlen(words[i]) == length && memcmp(s, words[i], length) == 0)
				return true;
		s += length;
	}
	return false;
}

const char *names_secret(const char *name)
{
	char folded[MAX_NAME_BYTES + 1];
	size_t length = strlen(name);
	if (length == 0 || length >= sizeof(folded))
		return NULL;
	for (size_t i = 0; i <= length; i++)
		folded[i] = lower(name[i]);
	/* The public half of a key, or something that is encrypted anyway. */
	if (ends_with(folded, length, ".pub") || ends_with(folded, length, ".enc"))
		return NULL;
	for (size_t i = 0; i < ARRAY_SIZE(secret_names); i++) {
		const struct secret_name *secret = &secret_names[i];
		if (matches_secret(folded, length, secret))
			return secret->examples && has_word(folded, example_words,
							   ARRAY_SIZE(example_words))
				       ? NULL
				       : secret->pattern;
	}
	return NULL;
}

const char *names_secret_directory(const char *name)
{
	if (name[0] != '.')
		return NULL;
	for (size_t i = 0; i < ARRAY_SIZE(secret_directories); i++)
		if (strcasecmp(name, secret_directories[i]) == 0)
			return secret_directories[i];
	return NULL;
}

/* Made by tools from what is declared elsewhere. Not "build", "dist", "out" or "vendor": people
 * keep repositories and files of their own in those. */
static const char *const dependency_folders[] = {".angular", ".build", ".bundle", ".cache",
	".cargo", ".ccache", ".dart_tool", ".eggs", ".gradle", ".hypothesis", ".ivy2", ".m2",
	".mypy_cache", ".next", ".nox", ".npm", ".nuxt", ".nx", ".nyc_output", ".parcel-cache",
	".pnpm-store", ".pytest_cache", ".ruff_cache", ".rustup", ".stack-work", ".svelte-kit",
	".terraform", ".tox", ".turbo", ".venv", ".yarn", ".zig-cache", "DerivedData", "Pods",
	"__pycache__", "__pypackages__", "bower_components", "dist-newstyle", "elm-stuff",
	"jspm_packages", "node_modules", "site-packages", "target", "venv", "virtualenv",
	"zig-cache"};

bool names_is_dependency_folder(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(dependency_folders); i++)
		if (name[0] == dependency_folders[i][0] && strcmp(name, dependency_folders[i]) == 0)
			return true;
	return false;
}

/* Of a directory everything is hidden, also what is put into it later. */
static const struct names_credential credentials[] = {
	/* keys and passwords kept as such */
	{".ssh", "SSH keys and known hosts", true},
	{".gnupg", "GnuPG keys", true},
	{".pki", "certificates and private keys", true},
	{".password-store", "passwords of pass", true},
	{".local/share/keyrings", "the desktop's keyring", true},
	{".local/share/kwalletd", "the desktop's keyring", true},
	{".config/op", "1Password login", true},
	{".config/Bitwarden", "Bitwarden vault", true},
	{".config/Bitwarden CLI", "Bitwarden vault", true},
	{".config/age", "keys of encrypted files", true},
	{".config/sops", "keys of encrypted files", true},
	{".vault-token", "Vault login", false},
	{".netrc", "passwords of network programs", false},
	{".authinfo", "passwords of network programs", false},
	{".authinfo.gpg", "passwords of network programs", false},
	{".krb5", "Kerberos tickets", true},
	/* where source code is kept */
	{".git-credentials", "git passwords", false},
	{".config/git/credentials", "git passwords", false},
	{".config/gh", "GitHub login", true},
	{".config/hub", "GitHub login", false},
	{".config/glab-cli", "GitLab login", true},
	/* clouds */
	{".aws", "AWS login", true},
	{".azure", "Azure login", true},
	{".config/gcloud", "Google Cloud login", true},
	{".boto", "Google Cloud login", false},
	{".oci", "Oracle Cloud login", true},
	{".aliyun", "Alibaba Cloud login", true},
	{".bluemix", "IBM Cloud login", true},
	{".config/doctl", "DigitalOcean login", true},
	{".config/hcloud", "Hetzner login", true},
	{".config/linode-cli", "Linode login", false},
	{".fly", "Fly.io login", true},
	{".config/netlify", "Netlify login", true},
	{".local/share/com.vercel.cli", "Vercel login", true},
	{".wrangler", "Cloudflare login", true},
	{".config/.wrangler", "Cloudflare login", true},
	{".cloudflared", "Cloudflare tunnels", true},
	{".s3cfg", "S3 login", false},
	{".mc", "S3 logins", true},
	{".config/rclone", "cloud storage logins", true},
	/* clusters, containers, infrastructure */
	{".kube", "Kubernetes logins", true},
	{".minikube", "Kubernetes keys", true},
	{".config/helm", "chart repository logins", true},
	{".docker", "registry logins and the engine's keys", true},
	{".config/containers/auth.json", "registry logins", false},
	{".terraformrc", "Terraform login", false},
	{".terraform.d", "Terraform login", true},
	{".pulumi", "Pulumi login", true},
	/* package registries */
	{".npmrc", "npm login", false},
	{".yarnrc", "package registry login", false},
	{".yarnrc.yml", "package registry login", false},
	{".pypirc", "PyPI login", false},
	{".config/pip", "package index logins", true},
	{".config/pypoetry", "package index logins", true},
	{".cargo/credentials", "crates.io login", false},
	{".cargo/credentials.toml", "crates.io login", false},
	{".gem/credentials", "RubyGems login", false},
	{".local/share/gem/credentials", "RubyGems login", false},
	{".bundle/config", "gem server logins", false},
	{".composer/auth.json", "Composer login", false},
	{".config/composer/auth.json", "Composer login", false},
	{".m2/settings.xml", "Maven logins", false},
	{".m2/settings-security.xml", "Maven's master password", false},
	{".gradle/gradle.properties", "Gradle logins", false},
	{".nuget/NuGet", "NuGet logins", true},
	{".hex", "Hex login", true},
	/* models and agents */
	{".codex/auth.json", "OpenAI login", false},
	{".config/openai", "OpenAI login", true},
	{".claude/.credentials.json", "Anthropic login", false},
	{".claude.json", "Anthropic login and history", false},
	{".config/anthropic", "Anthropic login", true},
	{".gemini", "Google AI login", true},
	{".copilot", "Copilot login", true},
	{".config/github-copilot", "Copilot login", true},
	{".local/share/opencode/auth.json", "model provider logins", false},
	{".huggingface", "Hugging Face login", true},
	{".cache/huggingface/token", "Hugging Face login", false},
	{".cache/huggingface/stored_tokens", "Hugging Face logins", false},
	{".kaggle", "Kaggle login", true},
	/* databases, mail, file servers, screens */
	{".pgpass", "PostgreSQL passwords", false},
	{".my.cnf", "MySQL password", false},
	{".mylogin.cnf", "MySQL password", false},
	{".msmtprc", "mail password", false},
	{".mbsyncrc", "mail password", false},
	{".fetchmailrc", "mail password", false},
	{".thunderbird", "mail and its passwords", true},
	{".local/share/evolution", "mail and its passwords", true},
	{".smbcredentials", "file share login", false},
	{".davfs2", "file share logins", true},
	{".config/filezilla", "file server logins", true},
	{".config/remmina", "remote desktop logins", true},
	{".local/share/remmina", "remote desktop logins", true},
	{".vnc", "remote desktop password", true},
	{".Xauthority", "access to the screen", false},
	{".ICEauthority", "access to the session", false},
	/* browsers and messengers */
	{".mozilla", "Firefox profiles: cookies and passwords", true},
	{".config/google-chrome", "Chrome profiles: cookies and passwords", true},
	{".config/chromium", "Chromium profiles: cookies and passwords", true},
	{".config/BraveSoftware", "Brave profiles: cookies and passwords", true},
	{".config/microsoft-edge", "Edge profiles: cookies and passwords", true},
	{".config/opera", "Opera profiles: cookies and passwords", true},
	{".config/vivaldi", "Vivaldi profiles: cookies and passwords", true},
	{".config/Signal", "Signal messages", true},
	{".config/Slack", "Slack login", true},
	{".config/discord", "Discord login", true},
	{".local/share/TelegramDesktop", "Telegram login", true},
	/* wallets */
	{".bitcoin", "Bitcoin wallet", true},
	{".electrum", "Bitcoin wallet", true},
	{".ethereum", "Ethereum keys", true},
	{".config/solana", "Solana keys", true},
	{".config/Exodus", "wallet", true},
	/* histories: people type passwords */
	{".bash_history", "shell history", false},
	{".zsh_history", "shell history", false},
	{".zhistory", "shell history", false},
	{".sh_history", "shell history", false},
	{".histfile", "shell history", false},
	{".history", "shell history", false},
	{".local/share/fish/fish_history", "shell history", false},
	{".local/share/atuin", "shell history", true},
	{".python_history", "Python history", false},
	{".node_repl_history", "Node history", false},
	{".irb_history", "Ruby history", false},
	{".psql_history", "database shell history", false},
	{".mysql_history", "database shell history", false},
	{".sqlite_history", "database shell history", false},
	{".rediscli_history", "database shell history", false},
	{".mongosh", "database shell history", true},
	{".lesshst", "pager history", false},
	{".viminfo", "editor history and registers", false},
};

const struct names_credential *names_credentials(size_t *ret_count)
{
	*ret_count = ARRAY_SIZE(credentials);
	return credentials;
}

/* Variables that programs expect and that say nothing about logins. TMPDIR and the places of tool
 * caches are not here: the plan sets its own. A "*" at the end stands for any rest. */
static const char *const ordinary_variables[] = {
	/* who and where */
	"HOME", "HOSTNAME", "LOGNAME", "OLDPWD", "PATH", "PWD", "SHELL", "SHLVL", "USER",
	/* terminal and language */
	"CLICOLOR", "CLICOLOR_FORCE", "COLORTERM", "COLUMNS", "FORCE_COLOR", "GREP_COLORS", "LANG",
	"LANGUAGE", "LC_*", "LINES", "LS_COLORS", "NO_COLOR", "TERM", "TERMINFO", "TERM_PROGRAM",
	"TERM_PROGRAM_VERSION", "TZ", "TZDIR",
	/* programs that others start, and who commits */
	"EDITOR", "GIT_AUTHOR_*", "GIT_COMMITTER_*", "GIT_EDITOR", "GIT_PAGER", "INFOPATH", "LESS",
	"LESSCHARSET", "MANPAGER", "MANPATH", "PAGER", "VISUAL",
	/* continuous integration: that it is, not whose */
	"CI", "CONTINUOUS_INTEGRATION", "DEBIAN_FRONTEND", "SOURCE_DATE_EPOCH",
	/* C, C++ and what builds them */
	"AR", "ARFLAGS", "AS", "ASAN_OPTIONS", "CC", "CFLAGS", "CMAKE_*", "CPATH", "CPP",
	"CPPFLAGS", "CPLUS_INCLUDE_PATH", "CTEST_*", "CUDA_HOME", "CUDA_PATH",
	"CUDA_VISIBLE_DEVICES", "CXX", "CXXFLAGS", "C_INCLUDE_PATH", "FC", "FFLAGS", "LD",
	"LDFLAGS", "LDLIBS", "LD_LIBRARY_PATH", "LIBRARY_PATH", "LSAN_OPTIONS", "MAKE", "MAKEFLAGS",
	"MAKELEVEL", "MFLAGS", "MSAN_OPTIONS", "NINJA_STATUS", "NM", "OBJCOPY", "OMP_NUM_THREADS",
	"PKG_CONFIG", "PKG_CONFIG_LIBDIR", "PKG_CONFIG_PATH", "RANLIB", "STRIP", "TSAN_OPTIONS",
	"UBSAN_OPTIONS",
	/* JVM */
	"ANDROID_HOME", "ANDROID_NDK_HOME", "ANDROID_SDK_ROOT", "GRADLE_HOME", "GRADLE_OPTS",
	"JAVA_HOME", "JAVA_OPTS", "JDK_HOME", "JDK_JAVA_OPTIONS", "M2_HOME", "MAVEN_HOME",
	"MAVEN_OPTS", "SDKMAN_DIR",
	/* Go, Rust */
	"CARGO_BUILD_*", "CARGO_INCREMENTAL", "CARGO_PROFILE_*", "CARGO_TERM_*", "CGO_*",
	"GO111MODULE", "GOAMD64", "GOARCH", "GOARM", "GODEBUG", "GOEXPERIMENT", "GOFLAGS",
	"GOMAXPROCS", "GOOS", "GOPATH", "GOROOT", "GOTOOLCHAIN", "RUSTC", "RUSTC_WRAPPER",
	"RUSTDOCFLAGS", "RUSTFLAGS", "RUSTUP_HOME", "RUSTUP_TOOLCHAIN", "RUST_BACKTRACE",
	"RUST_LOG", "RUST_TEST_THREADS",
	/* JavaScript */
	"BUN_INSTALL", "DENO_INSTALL", "FNM_DIR", "FNM_MULTISHELL_PATH", "INIT_CWD", "NODE_ENV",
	"NODE_EXTRA_CA_CERTS", "NODE_OPTIONS", "NODE_PATH", "NVM_BIN", "NVM_DIR", "NVM_INC",
	"PNPM_HOME", "VOLTA_HOME", "npm_*",
	/* Python */
	"CONDA_*", "PYENV_ROOT", "PYENV_VERSION", "PYTEST_ADDOPTS", "PYTHON*",
	"TOKENIZERS_PARALLELISM", "TOX_*", "VIRTUAL_ENV", "VIRTUAL_ENV_PROMPT",
	/* others */
	"ASDF_DATA_DIR", "ASDF_DIR", "BUNDLE_GEMFILE", "CAML_LD_LIBRARY_PATH",
	"DOTNET_CLI_TELEMETRY_OPTOUT", "DOTNET_NOLOGO", "DOTNET_ROOT", "GEM_HOME", "GEM_PATH",
	"JULIA_DEPOT_PATH", "LUA_CPATH", "LUA_PATH", "MISE_SHELL", "NIX_PATH", "NIX_PROFILES",
	"OPAM_SWITCH_PREFIX", "PERL5LIB", "PERL5OPT", "PERL_MB_OPT", "PERL_MM_OPT", "PHPRC",
	"PHP_INI_SCAN_DIR", "RACK_ENV", "RAILS_ENV", "RBENV_ROOT", "RBENV_VERSION", "RUBYLIB",
	"RUBYOPT", "R_HOME", "R_LIBS", "R_LIBS_USER",
	/* certificates, so that a company's own are found; where settings and data lie */
	"CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "SSL_CERT_DIR", "SSL_CERT_FILE", "XDG_CONFIG_DIRS",
	"XDG_CONFIG_HOME", "XDG_DATA_DIRS", "XDG_DATA_HOME"};

bool names_environment_ordinary(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(ordinary_variables); i++) {
		const char *entry = ordinary_variables[i];
		if (entry[0] != name[0])
			continue;
		size_t length = strlen(entry);
		if (entry[length - 1] == '*' ? strncmp(name, entry, length - 1) == 0
					     : strcmp(name, entry) == 0)
			return true;
	}
	return false;
}

/* Words that make a secret of a variable. */
static const char *const secret_words[] = {"auth", "bearer", "cookie", "cookies", "credential",
	"credentials", "creds", "dsn", "jwt", "key", "keys", "mnemonic", "oauth", "otp", "pass",
	"passphrase", "passwd", "password", "passwords", "pat", "private", "secret", "secrets",
	"session", "token", "tokens", "webhook"};

/* The same where words were written together: PGPASSWORD, GHTOKEN, ACCESSKEY. Not every "key": a
 * MONKEY is none. */
static const char *const secret_endings[] = {"accesskey", "apikey", "apikeys", "authkey",
	"credential", "credentials", "encryptionkey", "passphrase", "passwd", "password",
	"passwords", "privatekey", "secret", "secretkey", "secrets", "sshkey", "token", "tokens"};

/* Endings of whole names: a password that is called otherwise, addresses that carry one. */
static const char *const secret_tails[] = {"_pwd", "connection_string", "amqp_url", "broker_url",
	"database_uri", "database_url", "mongodb_uri", "mongodb_url", "mongo_url", "postgres_url",
	"redis_url"};

static bool is_secret_word(const char *word, size_t length)
{
	for (size_t i = 0; i < ARRAY_SIZE(secret_words); i++)
		if (strlen(secret_words[i]) == length && memcmp(word, secret_words[i], length) == 0)
			return true;
	for (size_t i = 0; i < ARRAY_SIZE(secret_endings); i++)
		if (ends_with(word, length, secret_endings[i]))
			return true;
	return false;
}

static bool is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* Words end where letters do (API_KEY, KEY2), and where small letters turn into capitals (apiKey).
 * A name of any length is judged: long words are cut from the left, since endings decide. */
bool names_environment_secret(const char *name)
{
	char word[64], whole[64];
	size_t word_length = 0, whole_length = 0;
	for (const char *s = name;; s++) {
		bool boundary =
			!is_letter(*s) || (s > name && *s != lower(*s) && s[-1] == lower(s[-1]));
		if (boundary && word_length > 0) {
			if (is_secret_word(word, word_length))
				return true;
			word_length = 0;
		}
		if (!*s)
			break;
		if (word_length == sizeof(word))
			memmove(word, word + 1, --word_length);
		if (is_letter(*s))
			word[word_length++] = lower(*s);
		if (whole_length == sizeof(whole))
			memmove(whole, whole + 1, --whole_length);
		whole[whole_length++] = lower(*s);
	}
	for (size_t i = 0; i < ARRAY_SIZE(secret_tails); i++)
		if (ends_with(whole, whole_length, secret_tails[i]))
			return true;
	return false;
}
