/* What an added line says by its text, in any language: TLS that is not verified, permissions, what
 * is downloaded and run, SQL and command lines put together of parts. Python and JavaScript are
 * judged by their syntax instead, where that knows more. */
#include "gate/code_diff.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

enum { MAX_LOOKED_AT_BYTES = 4096 }; /* a longer line is data, or made by a machine */

/* A line in small letters, without blanks, or with single ones. */
struct plain_line {
	char squeezed[MAX_LOOKED_AT_BYTES + 1];
	char words[MAX_LOOKED_AT_BYTES + 1];
};

static void make_plain(const struct diff_line *line, struct plain_line *ret)
{
	size_t squeezed = 0, words = 0;
	for (size_t i = 0; i < line->length && i < MAX_LOOKED_AT_BYTES; i++) {
		unsigned char c = line->text[i];
		bool blank = isspace(c) || !c;
		if (!blank)
			ret->squeezed[squeezed++] = tolower(c);
		if (!blank || (words > 0 && ret->words[words - 1] != ' '))
			ret->words[words++] = blank ? ' ' : c;
	}
	ret->squeezed[squeezed] = '\0';
	ret->words[words] = '\0';
}

static bool is_comment(const char *words)
{
	return words[0] == '#' || strncmp(words, "//", 2) == 0 || words[0] == '*' ||
	       strncmp(words, "/*", 2) == 0 || strncmp(words, "<!--", 4) == 0 ||
	       strncmp(words, "--", 2) == 0;
}

/* Squeezed. */
static const char *const unchecked[] = {
	"insecureskipverify:true", /* Go */
	"insecureskipverify=true",
	"rejectunauthorized:false",
	"rejectunauthorized\":false",
	"node_tls_reject_unauthorized=0",
	"node_tls_reject_unauthorized:0",
	"node_tls_reject_unauthorized='0'",
	"node_tls_reject_unauthorized=\"0\"",
	"node_tls_reject_unauthorized:'0'",
	"node_tls_reject_unauthorized:\"0\"",
	"node_tls_reject_unauthorized\":\"0\"",
	"stricthostkeychecking=no",
	"stricthostkeycheckingno",
	"userknownhostsfile=/dev/null",
	"http.sslverifyfalse",
	"sslverify=false",
	"sslverify=0",
	"sslverify:false",
	"ssl_verify:false",
	"git_ssl_no_verify=1",
	"git_ssl_no_verify=true",
	"--no-check-certificate",
	"--trusted-host",
	"strict-ssl=false",
	"strict-sslfalse",
	"strict_ssl=false",
	"pythonhttpsverify=0",
	"verify_none", /* OpenSSL, Ruby, Perl */
	"curlopt_ssl_verifypeer,0",
	"curlopt_ssl_verifypeer,false",
	"curlopt_ssl_verifyhost,0",
	"curlopt_ssl_verifyhost,false",
	"'verify_peer'=>false",
	"\"verify_peer\"=>false",
	"danger_accept_invalid_certs(true)",
	"danger_accept_invalid_hostnames(true)",
	"trustallcerts",
	"allowallhostnameverifier",
	"noophostnameverifier",
	"insecureignorehostkey",
	"validate_certs:no",
	"validate_certs:false",
	"insecure_skip_verify:true",
	"insecure-skip-tls-verify",
	"insecure_skip_tls_verify",
	"--allow-unauthenticated",
	"gpgcheck=0",
	"--nogpgcheck",
	"--no-gpg-check",
	"skipcertificatecheck",
	"servercertificatecustomvalidationcallback=",
};

/* -k, --insecure, or k in a cluster: curl -fsSLk. */
static bool curl_is_insecure(const char *words)
{
	const char *at = strstr(words, "curl ");
	if (!at || (at > words && isalnum((unsigned char)at[-1])))
		return false;
	for (at = strchr(at, ' '); at; at = strchr(at + 1, ' ')) {
		if (at[1] == '|' || at[1] == ';' || at[1] == '&')
			return false;
		if (strncmp(at + 1, "--insecure", strlen("--insecure")) == 0)
			return true;
		if (at[1] != '-' || at[2] == '-')
			continue;
		size_t cluster = strspn(at + 2, "fsSLgiIjklnNOqRvZ#0123456");
		if (memchr(at + 2, 'k', cluster) && !isalnum((unsigned char)at[2 + cluster]))
			return true;
	}
	return false;
}

static void check_tls(
	struct diff_file *file, const struct diff_line *line, const struct plain_line *plain)
{
	for (size_t i = 0; i < ARRAY_SIZE(unchecked); i++) {
		if (strstr(plain->squeezed, unchecked[i])) {
			diff_report(file, "diff-tls-unchecked", line, NULL);
			return;
		}
	}
	if (curl_is_insecure(plain->words))
		diff_report(file, "diff-tls-unchecked", line, NULL);
}

/* ---- permissions ---- */

/* Whether text starts with a mode, of chmod's or of a call's, that lets others write or a program
 * run with its owner's rights. */
static bool is_open_mode(const char *text)
{
	enum { OTHERS_WRITE = 02, WITH_OWNERS_RIGHTS = 06000 };
	while (*text && strchr("\"'( ,", *text))
		text++;
	if (text[0] == '0' && (text[1] == 'o' || text[1] == 'O'))
		text += 2;
	size_t digits = strspn(text, "01234567");
	if (digits >= 3 && digits <= 5 && !isalnum((unsigned char)text[digits]))
		return strtol(text, NULL, 8) & (OTHERS_WRITE | WITH_OWNERS_RIGHTS);
	/* u+s, g=s; a+w, o+rw, +w is what umask leaves. */
	size_t who = strspn(text, "ugoa");
	const char *what = text + who;
	if (*what != '+' && *what != '=')
		return false;
	size_t rights = strspn(what + 1, "rwxXst");
	if (isalnum((unsigned char)what[1 + rights]))
		return false;
	if (memchr(what + 1, 's', rights))
		return true;
	return memchr(what + 1, 'w', rights) && (memchr(text, 'o', who) || memchr(text, 'a', who));
}

static void check_permissions(
	struct diff_file *file, const struct diff_line *line, const struct plain_line *plain)
{
	const char *at = strcasestr(plain->words, "chmod");
	/* The mode comes first on a command line, last in a call. */
	for (size_t steps = 0; at && steps < 8; steps++) {
		at += strcspn(at, " ,(");
		if (!*at)
			break;
		at++;
		if (is_open_mode(at)) {
			diff_report(file, "diff-permissions", line, NULL);
			return;
		}
	}
	static const char *const others[] = {"umask0;", "umask(0)", "umask(0o0)", "umask(000)",
		"umask000", "umask0000", "setcapcap_", "nopasswd:", "privileged:true",
		"allowprivilegeescalation:true"};
	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		if (strstr(plain->squeezed, others[i])) {
			diff_report(file, "diff-permissions", line, NULL);
			return;
		}
	if (strcmp(plain->squeezed, "umask0") == 0)
		diff_report(file, "diff-permissions", line, NULL);
}

/* ---- what is run ---- */

static bool is_interpreter(const char *word)
{
	static const char *const names[] = {"sh", "bash", "zsh", "dash", "ksh", "python", "python3",
		"node", "perl", "ruby", "php", "pwsh", "iex"};
	size_t length = strcspn(word, " |;&\"')`");
	for (const char *slash; (slash = memchr(word, '/', length));) {
		length -= slash + 1 - word;
		word = slash + 1;
	}
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (strlen(names[i]) == length && strncmp(word, names[i], length) == 0)
			return true;
	return false;
}

static const char *find_download(const char *words)
{
	static const char *const names[] = {"curl ", "wget ", "iwr ", "Invoke-WebRequest "};
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		const char *at = strstr(words, names[i]);
		if (at && (at == words || !isalnum((unsigned char)at[-1])))
			return at;
	}
	return NULL;
}

/* curl ... | sudo sh; sh -c "$(curl ...)"; bash <(wget ...). */
static bool runs_a_download(const char *words)
{
	const char *at = find_download(words);
	if (!at)
		return false;
	bool substituted =
		at - words >= 2 && (strncmp(at - 2, "$(", 2) == 0 || strncmp(at - 2, "<(", 2) == 0);
	if ((substituted || (at > words && at[-1] == '`')) &&
		(strstr(words, "sh ") || strstr(words, "eval ") || strstr(words, "source ")))
		return true;
	for (const char *pipe = strchr(at, '|'); pipe; pipe = strchr(pipe + 1, '|')) {
		if (pipe[1] == '|') {
			pipe++;
			continue;
		}
		const char *word = pipe + 1;
		while (*word == ' ' || strncmp(word, "sudo ", 5) == 0 ||
			strncmp(word, "-E ", 3) == 0 || strncmp(word, "env ", 4) == 0)
			word += *word == ' ' ? 1 : strcspn(word, " ");
		if (is_interpreter(word))
			return true;
	}
	return false;
}

/* Whether what follows a quoted text, or stands within it, makes it depend on something. */
static bool is_put_together(const char *text, size_t length, const char *after)
{
	static const char *const inside[] = {"${", "#{", "{$", "\" +", "' +", "\" .", "\" %"};
	for (size_t i = 0; i < ARRAY_SIZE(inside); i++)
		if (memmem(text, length, inside[i], strlen(inside[i])))
			return true;
	while (*after == ' ')
		after++;
	return (*after == '+' && after[1] != '+') || (*after == '.' && after[1] == ' ') ||
	       strncmp(after, ".format(", strlen(".format(")) == 0 ||
	       (*after == '%' && after[1] == ' ');
}

static void check_sql(
	struct diff_file *file, const struct diff_line *line, const struct plain_line *plain)
{
	bool formatted = strstr(plain->words, "Sprintf(") || strstr(plain->words, "format!(") ||
			 strstr(plain->words, "String.format(") || strstr(plain->words, "sprintf(");
	for (const char *at = strpbrk(plain->words, "\"'`"); at; at = strpbrk(at, "\"'`")) {
		char quote = *at++;
		const char *end = strchr(at, quote);
		size_t length = end ? (size_t)(end - at) : strlen(at);
		char text[512];
		snprintf(text, sizeof(text), "%.*s",
			(int)(length < sizeof(text) ? length : sizeof(text) - 1), at);
		bool holes = formatted && (strstr(text, "%s") || strstr(text, "%v") ||
						  strstr(text, "%d") || strstr(text, "{}"));
		if (text_is_sql(text) &&
			(holes || is_put_together(at, length, end ? end + 1 : ""))) {
			diff_report(file, "diff-sql-built", line, NULL);
			return;
		}
		if (!end)
			return;
		at = end + 1;
	}
}

/* Squeezed; what follows is a command line. */
static const char *const shells[] = {"\"sh\",\"-c\",", "\"bash\",\"-c\",", "\"/bin/sh\",\"-c\",",
	"\"/bin/bash\",\"-c\",", "shell_exec(", "passthru(", "getruntime().exec(", "popen(",
	"proc_open(", "std::system(", "command::new(\"sh\").arg(\"-c\").arg("};

static void check_shell(
	struct diff_file *file, const struct diff_line *line, const struct plain_line *plain)
{
	for (size_t i = 0; i < ARRAY_SIZE(shells); i++) {
		const char *at = strstr(plain->squeezed, shells[i]);
		if (!at)
			continue;
		at += strlen(shells[i]);
		bool formatted = strncmp(at, "fmt.sprintf(", strlen("fmt.sprintf(")) == 0 ||
				 strncmp(at, "format!(", strlen("format!(")) == 0 ||
				 strncmp(at, "&format!(", strlen("&format!(")) == 0;
		bool joined = strstr(at, "\"+") || strstr(at, "+\"") || strstr(at, "'.$") ||
			      strstr(at, "\".$") || strstr(at, "#{") || strstr(at, "{$") ||
			      (strchr(at, '"') && strstr(at, "$") && strchr(shells[i], '_'));
		if (formatted || joined) {
			diff_report(file, "diff-shell-built", line, NULL);
			return;
		}
	}
}

void diff_check_line(struct diff_file *file, const struct diff_line *line)
{
	bool turns;
	long column = text_find_misleading(line->text, line->length, &turns);
	if (column >= 0 && !(column == 0 && line->number == 1 && !turns))
		diff_report(file, turns ? "text-direction" : "text-invisible", line, NULL);
	if (line->length > MAX_LOOKED_AT_BYTES || file->is_documentation ||
		file->manifest == MANIFEST_LOCK)
		return;
	struct plain_line plain;
	make_plain(line, &plain);
	if (is_comment(plain.words))
		return;
	if (!file->language) {
		check_tls(file, line, &plain);
		check_permissions(file, line, &plain);
		check_sql(file, line, &plain);
		check_shell(file, line, &plain);
	}
	if (runs_a_download(plain.words))
		diff_report(file, "diff-shell-download", line, NULL);
}
