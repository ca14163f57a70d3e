/* Theory of operation: a credential of a known kind has a prefix that nothing else has, an alphabet
 * and a length; the table gives them as the services document them. Anything else is likely to be
 * one when a name that stands for a secret is given a text that is random enough. Placeholders are
 * told from secrets by what people write into them, and by how few different characters they have.
 * A finding never repeats the secret: what is shown ends after a few characters. */
#include "gate/code_diff.h"

#include <ctype.h>
#include <math.h>
#include <string.h>
#include <strings.h>

#define UPPER "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define LOWER "abcdefghijklmnopqrstuvwxyz"
#define DIGITS "0123456789"
#define WORD UPPER LOWER DIGITS
#define HEXADECIMAL DIGITS "abcdefABCDEF"

static const struct known_kind {
	const char *prefix;
	const char *alphabet; /* of what follows */
	size_t shortest, longest;
	const char *what;
} known_kinds[] = {
	{"AKIA", UPPER DIGITS, 16, 16, "an AWS access key"},
	{"ASIA", UPPER DIGITS, 16, 16, "a temporary AWS access key"},
	{"ABIA", UPPER DIGITS, 16, 16, "an AWS bearer token"},
	{"ghp_", WORD, 36, 255, "a GitHub personal access token"},
	{"gho_", WORD, 36, 255, "a GitHub OAuth token"},
	{"ghu_", WORD, 36, 255, "a GitHub user token"},
	{"ghs_", WORD, 36, 255, "a GitHub server token"},
	{"ghr_", WORD, 36, 255, "a GitHub refresh token"},
	{"github_pat_", WORD "_", 82, 82, "a GitHub fine-grained token"},
	{"glpat-", WORD "-_", 20, 64, "a GitLab personal access token"},
	{"gldt-", WORD "-_", 20, 64, "a GitLab deploy token"},
	{"glrt-", WORD "-_", 20, 64, "a GitLab runner token"},
	{"xoxb-", WORD "-", 24, 255, "a Slack bot token"},
	{"xoxp-", WORD "-", 24, 255, "a Slack user token"},
	{"xoxa-", WORD "-", 24, 255, "a Slack app token"},
	{"xoxr-", WORD "-", 24, 255, "a Slack refresh token"},
	{"xapp-", WORD "-", 24, 255, "a Slack app-level token"},
	{"hooks.slack.com/services/T", WORD "/", 30, 80, "a Slack webhook"},
	{"sk_live_", WORD, 24, 255, "a Stripe secret key"},
	{"rk_live_", WORD, 24, 255, "a Stripe restricted key"},
	{"whsec_", WORD, 32, 64, "a Stripe webhook secret"},
	{"AIza", WORD "-_", 35, 35, "a Google API key"},
	{"GOCSPX-", WORD "-_", 28, 28, "a Google client secret"},
	{"ya29.", WORD "-_.", 40, 512, "a Google access token"},
	{"npm_", WORD, 36, 36, "an npm token"},
	{"pypi-AgE", WORD "-_", 50, 512, "a PyPI token"},
	{"cio", WORD, 32, 32, "a crates.io token"},
	{"rubygems_", HEXADECIMAL, 48, 48, "a RubyGems key"},
	{"dckr_pat_", WORD "-_", 27, 64, "a Docker Hub token"},
	{"hf_", UPPER LOWER, 34, 34, "a Hugging Face token"},
	{"sk-ant-", WORD "-_", 40, 255, "an Anthropic key"},
	{"sk-proj-", WORD "-_", 40, 255, "an OpenAI project key"},
	{"SG.", WORD "-_.", 66, 66, "a SendGrid key"},
	{"dop_v1_", HEXADECIMAL, 64, 64, "a DigitalOcean token"},
	{"dapi", HEXADECIMAL, 32, 32, "a Databricks token"},
	{"shpat_", HEXADECIMAL, 32, 32, "a Shopify token"},
	{"shpss_", HEXADECIMAL, 32, 32, "a Shopify secret"},
	{"hvs.", WORD "-_", 24, 255, "a Vault token"},
	{"AGE-SECRET-KEY-1", UPPER DIGITS, 58, 58, "an age key"},
	{"lin_api_", WORD, 40, 40, "a Linear key"},
	{"sq0csp-", WORD "-_", 43, 43, "a Square secret"},
	{"glsa_", WORD "_", 41, 41, "a Grafana token"},
	{"PMAK-", HEXADECIMAL "-", 59, 59, "a Postman key"},
	{"ATATT3", WORD "-_=", 100, 255, "an Atlassian token"},
	{"AccountKey=", WORD "+/=", 88, 88, "an Azure storage key"},
};

static bool is_word(char c)
{
	return isalnum((unsigned char)c) || c == '_';
}

/* Shannon's, in bits for a character. */
static double entropy_of(const char *text, size_t length)
{
	unsigned counts[256] = {0};
	double bits = 0;
	for (size_t i = 0; i < length; i++)
		counts[(unsigned char)text[i]]++;
	for (int c = 0; c < 256; c++)
		if (counts[c])
			bits -= counts[c] * log2((double)counts[c] / length);
	return length ? bits / length : 0;
}

static bool is_placeholder(const char *text, size_t length)
{
	static const char *const words[] = {"example", "placeholder", "changeme", "change_me",
		"change-me", "replace", "your", "dummy", "fake", "sample", "redacted", "xxxx",
		"****", "....", "todo", "insert", "secret_here", "test", "mock", "foobar",
		"notreal", "not-real", "invalid", "12345678", "abcdefgh", "00000000", "deadbeef",
		"password", "lorem"};
	char copy[512];
	snprintf(copy, sizeof(copy), "%.*s",
		(int)(length < sizeof(copy) ? length : sizeof(copy) - 1), text);
	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (strcasestr(copy, words[i]))
			return true;
	return false;
}

static void check_known_kinds(struct diff_file *file, const struct diff_line *line)
{
	enum { FEWEST_BITS = 3 }; /* what is random has 3.5 and more, even in 16 characters */
	const char *end = line->text + line->length;
	for (size_t i = 0; i < ARRAY_SIZE(known_kinds); i++) {
		const struct known_kind *kind = &known_kinds[i];
		size_t prefix = strlen(kind->prefix);
		const char *at = line->text;
		for (; (at = memmem(at, end - at, kind->prefix, prefix)); at++) {
			if (at > line->text && is_word(at[-1]))
				continue;
			size_t length = 0;
			const char *rest = at + prefix;
			while (rest + length < end && length <= kind->longest && rest[length] &&
				strchr(kind->alphabet, rest[length]))
				length++;
			bool whole = rest + length == end || !is_word(rest[length]);
			if (length < kind->shortest || length > kind->longest || !whole ||
				entropy_of(rest, length) < FEWEST_BITS ||
				is_placeholder(rest, length))
				continue;
			diff_report_secret(file, "diff-secret", line, at - line->text,
				prefix + length, kind->what);
			at = rest;
		}
	}
}

/* Three parts of base64 whose first is a JSON header with an algorithm. */
static void check_web_token(struct diff_file *file, const struct diff_line *line)
{
	static const char alphabet[] = WORD "-_";
	static const size_t longest[] = {511, 8192, 1024};
	const char *end = line->text + line->length, *at = line->text;
	for (; (at = memmem(at, end - at, "eyJ", 3)); at++) {
		size_t lengths[3] = {0};
		const char *part = at;
		char header[512];
		for (int i = 0; i < 3; i++) {
			while (part + lengths[i] < end && part[lengths[i]] &&
				lengths[i] < longest[i] && strchr(alphabet, part[lengths[i]]))
				lengths[i]++;
			part += lengths[i];
			if (i < 2 && (part >= end || *part++ != '.'))
				break;
		}
		if (lengths[0] >= sizeof(header) || lengths[1] < 8 || lengths[2] < 16)
			continue;
		long got = text_from_base64(at, lengths[0], header);
		if (got > 0 && memmem(header, got, "\"alg\"", 5)) {
			diff_report_secret(file, "diff-secret", line, at - line->text, part - at,
				"a JSON Web Token");
			return;
		}
	}
}

static void check_private_key(struct diff_file *file, const struct diff_line *line)
{
	const char *begin = memmem(line->text, line->length, "-----BEGIN ", 11);
	if (!begin)
		return;
	size_t left = line->text + line->length - begin;
	const char *kind = memmem(begin, left, "PRIVATE KEY", 11);
	if (kind && kind - begin < 40)
		diff_report(file, "diff-private-key", line, NULL);
}

/* ---- what is given to a name ---- */

/* A text that stands for something else: $NAME, ${{ secrets.X }}, <token>, a call, a path. */
static bool is_reference(const char *text, size_t length)
{
	static const char *const signs[] = {"${", "{{", "#{", "%(", "process.env", "os.environ",
		"getenv", "env.", "secrets.", "://", "()", "->", "config."};
	if (strchr("$<%&*@{[(/.~", text[0]))
		return true;
	for (size_t i = 0; i < ARRAY_SIZE(signs); i++)
		if (memmem(text, length, signs[i], strlen(signs[i])))
			return true;
	return memchr(text, ' ', length) != NULL;
}

static bool is_random(const char *text, size_t length)
{
	bool upper = false, lower = false, digit = false, other = false;
	for (size_t i = 0; i < length; i++) {
		unsigned char c = text[i];
		upper |= isupper(c) != 0;
		lower |= islower(c) != 0;
		digit |= isdigit(c) != 0;
		other |= ispunct(c) != 0;
	}
	/* Words have no digits; a password of eight mixed characters has 2.5 bits and more, a
	 * number in hexadecimal 3.3. */
	if (!digit && !(upper && lower && other))
		return false;
	return upper + lower + digit + other >= 2 &&
	       entropy_of(text, length) >= (length >= 20 ? 3.3 : 2.5);
}

/* The name before the "=", ":" or "=>" at at. */
static bool is_named_secret(const struct diff_line *line, size_t at)
{
	enum { FEW = 8, LONGEST_NAME = 64 };
	size_t end = at;
	while (end > 0 && at - end < FEW && strchr(" :\"'`]", line->text[end - 1]))
		end--;
	size_t start = end;
	while (start > 0 && end - start < LONGEST_NAME &&
		(is_word(line->text[start - 1]) || line->text[start - 1] == '-'))
		start--;
	return text_is_secret_name(line->text + start, end - start);
}

static bool is_assigned_plainly(const struct diff_file *file)
{
	/* Where values have no quotes. In programs that is a name. */
	static const char *const endings[] = {".env", ".yml", ".yaml", ".ini", ".cfg", ".conf",
		".properties", ".toml", ".sh", "Dockerfile", ".tfvars"};
	const char *path = file->path ? file->path : "";
	size_t length = strlen(path);
	for (size_t i = 0; i < ARRAY_SIZE(endings); i++) {
		size_t size = strlen(endings[i]);
		if (length >= size && strcmp(path + length - size, endings[i]) == 0)
			return true;
	}
	return strstr(path, ".env") != NULL;
}

static void check_assignments(struct diff_file *file, const struct diff_line *line)
{
	enum { LONGEST = 512, FEW = 8 };
	for (size_t i = 1; i < line->length; i++) {
		if ((line->text[i] != '=' && line->text[i] != ':') || !is_named_secret(line, i))
			continue;
		size_t value = i + 1;
		while (value < line->length && value - i < FEW && strchr(" =>", line->text[value]))
			value++;
		if (value >= line->length)
			return;
		char quote = line->text[value];
		bool quoted = quote == '"' || quote == '\'' || quote == '`';
		if (!quoted && !is_assigned_plainly(file))
			continue;
		size_t start = value + quoted, length = 0;
		while (start + length < line->length && length <= LONGEST &&
			(quoted ? line->text[start + length] != quote
				: !isspace((unsigned char)line->text[start + length])))
			length++;
		if (length < 8 || length > LONGEST)
			continue;
		const char *text = line->text + start;
		if (is_reference(text, length) || is_placeholder(text, length) ||
			!is_random(text, length))
			continue;
		diff_report_secret(file, "diff-secret-likely", line, start, length, NULL);
		return;
	}
}

/* scheme://user:password@host */
static void check_address(struct diff_file *file, const struct diff_line *line)
{
	const char *end = line->text + line->length;
	const char *at = line->text;
	for (; (at = memmem(at, end - at, "://", 3)); at++) {
		const char *user = at + 3, *colon = NULL, *host = NULL;
		for (const char *c = user; c < end && !host; c++) {
			if (isspace((unsigned char)*c) || strchr("/\"'<>`?#", *c))
				break;
			if (*c == ':' && !colon)
				colon = c;
			if (*c == '@')
				host = c + 1;
		}
		if (!host || !colon || host - colon < 5)
			continue;
		const char *password = colon + 1;
		size_t length = host - 1 - password;
		size_t left = end - host;
		bool local = (left >= 9 && strncasecmp(host, "localhost", 9) == 0) ||
			     (left >= 4 && strncmp(host, "127.", 4) == 0) ||
			     (left >= 7 && strncasecmp(host, "example", 7) == 0);
		if (local || is_reference(password, length) || is_placeholder(password, length) ||
			((size_t)(colon - user) == length && strncmp(user, password, length) == 0))
			continue;
		diff_report_secret(
			file, "diff-secret-url", line, password - line->text, length, NULL);
		return;
	}
}

void diff_check_secrets(struct diff_file *file, const struct diff_line *line)
{
	size_t before = file->findings->count;
	if (file->is_fixture)
		return;
	check_private_key(file, line);
	check_known_kinds(file, line);
	check_web_token(file, line);
	if (file->findings->count > before || file->manifest == MANIFEST_LOCK)
		return;
	check_address(file, line);
	if (!file->is_documentation && !file->is_test)
		check_assignments(file, line);
}
