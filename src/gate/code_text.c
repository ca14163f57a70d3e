/* Theory of operation: text is judged by what it names, not by what is done with it; that is for
 * the caller to weigh. A name in a table counts only between characters that end a component of a
 * path or a word, so that "my.bashrc.txt" and "/home/x/.sshd" are none. */
#include "gate/code_text.h"

#include "base/cleanup.h"
#include "base/utf8.h"

#include <ctype.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

/* The graver kinds first. A name that ends in "/" stands for all below it. */
static const struct {
	const char *name;
	enum text_kind kind;
} names[] = {
	{"169.254.169.254", TEXT_METADATA},
	{"metadata.google.internal", TEXT_METADATA},
	{"169.254.170.2", TEXT_METADATA},

	{".ssh/authorized_keys", TEXT_PERSISTENCE},
	{".ssh/rc", TEXT_PERSISTENCE},
	{".bashrc", TEXT_PERSISTENCE},
	{".bash_profile", TEXT_PERSISTENCE},
	{".bash_login", TEXT_PERSISTENCE},
	{".bash_logout", TEXT_PERSISTENCE},
	{".profile", TEXT_PERSISTENCE},
	{".zshrc", TEXT_PERSISTENCE},
	{".zshenv", TEXT_PERSISTENCE},
	{".zprofile", TEXT_PERSISTENCE},
	{"fish/config.fish", TEXT_PERSISTENCE},
	{".config/autostart/", TEXT_PERSISTENCE},
	{".config/systemd/user/", TEXT_PERSISTENCE},
	{"/etc/systemd/system/", TEXT_PERSISTENCE},
	{"/etc/init.d/", TEXT_PERSISTENCE},
	{"/etc/cron.d/", TEXT_PERSISTENCE},
	{"/etc/cron.daily/", TEXT_PERSISTENCE},
	{"/etc/cron.hourly/", TEXT_PERSISTENCE},
	{"/etc/crontab", TEXT_PERSISTENCE},
	{"/var/spool/cron", TEXT_PERSISTENCE},
	{"/etc/rc.local", TEXT_PERSISTENCE},
	{"/etc/profile", TEXT_PERSISTENCE},
	{"/etc/profile.d/", TEXT_PERSISTENCE},
	{"/etc/ld.so.preload", TEXT_PERSISTENCE},
	{"/etc/sudoers", TEXT_PERSISTENCE},
	{"/etc/sudoers.d/", TEXT_PERSISTENCE},
	{"Library/LaunchAgents/", TEXT_PERSISTENCE},
	{"sitecustomize.py", TEXT_PERSISTENCE},
	{"usercustomize.py", TEXT_PERSISTENCE},
	{".git/hooks/", TEXT_PERSISTENCE},
	{".claude/settings.json", TEXT_PERSISTENCE},
	{".codex/config.toml", TEXT_PERSISTENCE},
	{".codex/hooks.json", TEXT_PERSISTENCE},

	{".ssh/id_rsa", TEXT_CREDENTIAL},
	{".ssh/id_ed25519", TEXT_CREDENTIAL},
	{".ssh/id_ecdsa", TEXT_CREDENTIAL},
	{".ssh/id_dsa", TEXT_CREDENTIAL},
	{".ssh", TEXT_CREDENTIAL},
	{"id_rsa", TEXT_CREDENTIAL},
	{"id_ed25519", TEXT_CREDENTIAL},
	{".aws/credentials", TEXT_CREDENTIAL},
	{".aws/sso/cache", TEXT_CREDENTIAL},
	{".netrc", TEXT_CREDENTIAL},
	{".git-credentials", TEXT_CREDENTIAL},
	{".docker/config.json", TEXT_CREDENTIAL},
	{".kube/config", TEXT_CREDENTIAL},
	{".pypirc", TEXT_CREDENTIAL},
	{".pgpass", TEXT_CREDENTIAL},
	{".my.cnf", TEXT_CREDENTIAL},
	{".gnupg", TEXT_CREDENTIAL},
	{".vault-token", TEXT_CREDENTIAL},
	{".config/gcloud", TEXT_CREDENTIAL},
	{".config/gh/hosts.yml", TEXT_CREDENTIAL},
	{"application_default_credentials.json", TEXT_CREDENTIAL},
	{".azure/accessTokens.json", TEXT_CREDENTIAL},
	{".cargo/credentials", TEXT_CREDENTIAL},
	{".cargo/credentials.toml", TEXT_CREDENTIAL},
	{".terraform.d/credentials.tfrc.json", TEXT_CREDENTIAL},
	{".password-store", TEXT_CREDENTIAL},
	{".claude/.credentials.json", TEXT_CREDENTIAL},
	{".codex/auth.json", TEXT_CREDENTIAL},
	{"/etc/shadow", TEXT_CREDENTIAL},
	{"/etc/gshadow", TEXT_CREDENTIAL},
	{"/proc/self/environ", TEXT_CREDENTIAL},
	{"/run/secrets/", TEXT_CREDENTIAL},
	{"/var/run/secrets/kubernetes.io/serviceaccount", TEXT_CREDENTIAL},
	{"Login Data", TEXT_CREDENTIAL},
	{"cookies.sqlite", TEXT_CREDENTIAL},
	{"key4.db", TEXT_CREDENTIAL},
	{"logins.json", TEXT_CREDENTIAL},
	{"login.keychain", TEXT_CREDENTIAL},
	{"login.keychain-db", TEXT_CREDENTIAL},
	{"wallet.dat", TEXT_CREDENTIAL},
	{".electrum/wallets", TEXT_CREDENTIAL},
	{".bash_history", TEXT_CREDENTIAL},
	{".zsh_history", TEXT_CREDENTIAL},
};

static bool ends_word(char c)
{
	return !c || c == '/' || c == '\\' || isspace((unsigned char)c) ||
	       strchr("'\"`:;,|&<>()=}{\x1a", c);
}

static bool names_it(const char *text, const char *name)
{
	size_t length = strlen(name);
	for (const char *at = strstr(text, name); at; at = strstr(at + 1, name)) {
		bool starts = name[0] == '/' || at == text || ends_word(at[-1]);
		/* An absolute path in a URL or below another root is some other path. */
		if (name[0] == '/' && at > text &&
			(isalnum((unsigned char)at[-1]) || at[-1] == '.'))
			starts = false;
		if (starts && (name[length - 1] == '/' || ends_word(at[length])))
			return true;
	}
	return false;
}

enum text_kind text_kind_of(const char *text)
{
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (names_it(text, names[i].name))
			return names[i].kind;
	return TEXT_ORDINARY;
}

bool text_is_secret_name(const char *name, size_t length_bytes)
{
	static const char *const words[] = {"TOKEN", "SECRET", "PASSWORD", "PASSWD", "PASSPHRASE",
		"APIKEY", "API_KEY", "ACCESS_KEY", "SECRET_KEY", "PRIVATE_KEY", "AUTH_KEY",
		"ENCRYPTION_KEY", "SIGNING_KEY", "CREDENTIAL", "CREDENTIALS", "PASS", "PWD"};
	/* Words are told apart by "_", "-", "." or a change of case: authToken, DB_PASSWORD. */
	char plain[64];
	size_t length = 0;
	for (size_t i = 0; i < length_bytes; i++) {
		char c = name[i];
		bool turn =
			i > 0 && isupper((unsigned char)c) && islower((unsigned char)name[i - 1]);
		if (length + 2 >= sizeof(plain))
			return false;
		if (turn)
			plain[length++] = '_';
		plain[length++] = c == '-' || c == '.' ? '_' : toupper((unsigned char)c);
	}
	plain[length] = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		size_t word = strlen(words[i]);
		if (length < word || strcmp(plain + length - word, words[i]) != 0)
			continue;
		/* PWD alone is where one is; COMPASS is no PASS. */
		if (length == word)
			return strcmp(words[i], "PWD") != 0 && strcmp(words[i], "PASS") != 0;
		if (plain[length - word - 1] == '_')
			return strcmp(plain, "OLD_PWD") != 0;
	}
	return false;
}

bool text_is_precious_tree(const char *path)
{
	static const char *const trees[] = {"", "~", "$HOME", "${HOME}", "/bin", "/boot", "/dev",
		"/etc", "/home", "/lib", "/lib64", "/opt", "/proc", "/root", "/sbin", "/sys",
		"/usr", "/var", "/Users", "C:", "C:\\Windows", "C:\\Users", "%USERPROFILE%"};
	if (!*path)
		return false;
	size_t length = strlen(path);
	while (length > 0 && (path[length - 1] == '/' || path[length - 1] == '*' ||
				     (path[length - 1] == '\\' && length > 1)))
		length--;
	for (size_t i = 0; i < ARRAY_SIZE(trees); i++)
		if (strlen(trees[i]) == length && strncmp(path, trees[i], length) == 0)
			return true;
	return false;
}

long text_find_misleading(const char *text, size_t length_bytes, bool *ret_turns)
{
	for (size_t i = 0; i < length_bytes; i++) {
		const unsigned char *s = (const unsigned char *)text + i;
		/* All of them have three bytes but U+061C and the tags. */
		if (s[0] < 0xd8)
			continue;
		unsigned char sequence[5] = {0};
		memcpy(sequence, s, length_bytes - i < 4 ? length_bytes - i : 4);
		size_t size = utf8_sequence(sequence);
		if (size < 2)
			continue;
		unsigned c = utf8_character(sequence, size);
		bool turns = c == 0x61c || c == 0x200e || c == 0x200f ||
			     (c >= 0x202a && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069);
		/* U+200C and U+200D are letters' joiners in many scripts and emoji. */
		bool unseen = c == 0x200b || (c >= 0x2060 && c <= 0x2064) || c == 0xfeff ||
			      c == 0x3164 || c == 0xffa0 || c == 0x115f || c == 0x1160 ||
			      c == 0x180e || (c >= 0xe0000 && c <= 0xe007f);
		/* Marks alone change little; embeddings, overrides and isolates do. */
		if (c == 0x200e || c == 0x200f || c == 0x61c)
			turns = false, unseen = true;
		if (turns || unseen) {
			*ret_turns = turns;
			return i;
		}
		i += size - 1;
	}
	return -1;
}

bool text_is_sql(const char *text)
{
	static const struct {
		const char *verb, *then;
	} statements[] = {
		{"select", " from "},
		{"insert", " into "},
		{"update", " set "},
		{"delete", " from "},
		{"replace", " into "},
		{"drop", " table "},
		{"alter", " table "},
		{"create", " table "},
		{"truncate", " table "},
	};
	while (isspace((unsigned char)*text) || *text == '(')
		text++;
	for (size_t i = 0; i < ARRAY_SIZE(statements); i++) {
		size_t length = strlen(statements[i].verb);
		if (strncasecmp(text, statements[i].verb, length) != 0 ||
			!isspace((unsigned char)text[length]))
			continue;
		/* The second word may stand at the end of a line. */
		char line[1024];
		size_t used = 0;
		for (const char *c = text + length; *c && used < sizeof(line) - 2; c++)
			line[used++] = isspace((unsigned char)*c) ? ' ' : *c;
		line[used++] = ' ';
		line[used] = '\0';
		if (strcasestr(line, statements[i].then))
			return true;
	}
	return false;
}

bool text_is_encoded(const char *text, size_t length_bytes)
{
	enum { LONG_BYTES = 1024 };
	if (length_bytes < LONG_BYTES)
		return false;
	size_t digits = 0;
	for (size_t i = 0; i < length_bytes; i++) {
		unsigned char c = text[i];
		if (!isalnum(c) && !strchr("+/=-_\\\n", c))
			return false;
		digits += isdigit(c) != 0;
	}
	/* A text of plain letters is an alphabet or a sample, not data. */
	return digits > length_bytes / 32;
}

static int base64_value(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	if (c == '+' || c == '-')
		return 62;
	return c == '/' || c == '_' ? 63 : -1;
}

long text_from_base64(const char *text, size_t length_bytes, char *ret)
{
	uint32_t bits = 0;
	unsigned count = 0;
	size_t used = 0;
	for (size_t i = 0; i < length_bytes && text[i] != '='; i++) {
		if (isspace((unsigned char)text[i]))
			continue;
		int value = base64_value(text[i]);
		if (value < 0)
			return -1;
		bits = bits << 6 | value;
		count += 6;
		if (count >= 8) {
			count -= 8;
			ret[used++] = bits >> count & 0xff;
		}
	}
	return used;
}
