/* Theory of operation. A text is read in one of three shapes, told apart as git does: SCHEME://,
 * [USER@]HOST:PATH (a colon before the first slash), else a path. What comes out is put together
 * again from the parts that were checked, so git never sees a byte that was not. */
#include "task/repository_url.h"

#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/limits.h"
#include "base/suggest.h"
#include "base/utf8.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdbool.h>
#include <string.h>

static const char stage[] = "repository";

enum { MAX_HOST_BYTES = 253, MAX_PORT = 65535, SSH_PORT = 22 };

static const struct scheme {
	const char *name;
	enum repository_transport transport;
	unsigned port;
} schemes[] = {
	{"file", REPOSITORY_LOCAL, 0},
	{"https", REPOSITORY_HTTPS, 443},
	{"http", REPOSITORY_HTTP, 80},
	{"ssh", REPOSITORY_SSH, SSH_PORT},
};

void repository_url_release(struct repository_url *url)
{
	free(url->host);
	free(url->text);
	if (url->credentials)
		explicit_bzero(url->credentials, strlen(url->credentials));
	free(url->credentials);
	*url = (struct repository_url){0};
}

static int refuse(struct error *error, int errno_value, const char *why)
{
	return error_set(error, errno_value, stage, "the repository's address %s", why);
}

/* ---- characters ---- */

/* Nothing that a terminal, a config file or a log would act on. Bytes that are not UTF-8 may be in
 * the name of a directory. */
static bool is_plain(const char *text)
{
	for (const unsigned char *s = (const unsigned char *)text; *s;) {
		size_t length = utf8_sequence(s);
		if (length ? utf8_is_control(utf8_character(s, length)) : *s < 0x20)
			return false;
		s += length ? length : 1;
	}
	return true;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)(c | 0x20);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* In place. False: a "%" that begins no byte, or one that no name holds. */
static bool percent_decode(char *text)
{
	char *to = text;
	for (const char *s = text; *s; s++) {
		if (*s != '%') {
			*to++ = *s;
			continue;
		}
		int high = hex_digit(s[1]), low = high < 0 ? -1 : hex_digit(s[2]);
		int byte = high * 16 + low;
		if (low < 0 || byte < 0x20 || byte == 0x7f)
			return false;
		*to++ = (char)byte;
		s += 2;
	}
	*to = '\0';
	return true;
}

/* A path of https or ssh is sent on as it was written. */
static bool path_is_sound(const char *path)
{
	cleanup_free char *decoded = strdup(path);
	return decoded && percent_decode(decoded) && is_plain(decoded) &&
	       !strpbrk(path, " \"<>\\^`{|}?#");
}

/* ---- authority ---- */

static bool is_word(const char *text, size_t length, const char *also)
{
	if (length == 0 || text[0] == '-')
		return false;
	for (size_t i = 0; i < length; i++)
		if (!isalnum((unsigned char)text[i]) && !strchr(also, text[i]))
			return false;
	return true;
}

static bool take_host(const char *text, size_t length, struct repository_url *url)
{
	bool bracketed = length > 2 && text[0] == '[' && text[length - 1] == ']';
	url->host = bracketed ? strndup(text + 1, length - 2) : strndup(text, length);
	if (!url->host)
		return false;
	for (char *s = url->host; *s; s++)
		*s = (char)tolower((unsigned char)*s);
	struct in6_addr address;
	if (bracketed)
		return inet_pton(AF_INET6, url->host, &address) == 1;
	return length <= MAX_HOST_BYTES && text[0] != '.' && is_word(text, length, ".-_");
}

static bool take_port(const char *text, unsigned *ret)
{
	size_t digits = strspn(text, "0123456789");
	if (digits == 0 || digits > 5 || text[digits])
		return false;
	*ret = (unsigned)strtoul(text, NULL, 10);
	return *ret >= 1 && *ret <= MAX_PORT;
}

/* Where [USER@]HOST ends: at a colon that is not inside brackets. */
static const char *host_end(const char *text)
{
	const char *bracket = text + strcspn(text, "[:/");
	const char *from = *bracket == '[' ? strchr(bracket, ']') : text;
	const char *colon = from ? strchr(from, ':') : NULL;
	return colon ? colon : text + strlen(text);
}

static int put_together(struct repository_url *url, const struct scheme *scheme, const char *user,
	const char *path, struct error *error)
{
	struct buffer text = BUFFER_INIT(2 * MAX_PATH_BYTES);
	bool bracketed = strchr(url->host, ':') != NULL;
	buffer_append_format(&text, "%s://%s%s", scheme->name, user ? user : "", user ? "@" : "");
	buffer_append_format(&text, bracketed ? "[%s]" : "%s", url->host);
	if (url->port != scheme->port)
		buffer_append_format(&text, ":%u", url->port);
	buffer_append_format(&text, "%s%s", path[0] == '/' ? "" : "/", path);
	url->text = buffer_steal(&text);
	return url->text ? 0 : error_set_errno(error, ENOMEM, stage, "the address");
}

/* Of ssh the name belongs to the address; of https it is half of a credential. */
static int take_user(struct repository_url *url, char *user, struct error *error)
{
	if (url->transport == REPOSITORY_SSH) {
		if (strchr(user, ':'))
			return refuse(error, EINVAL, "has a password, which ssh does not take");
		return is_word(user, strlen(user), "._-+")
			       ? 0
			       : refuse(error, EINVAL, "has a user name that is none");
	}
	char *colon = strchr(user, ':');
	/* Decoded apart: a user's name cannot hold the colon that divides them. */
	if (colon)
		*colon = '\0';
	if (!percent_decode(user) || strchr(user, ':') || (colon && !percent_decode(colon + 1)))
		return refuse(error, EINVAL, "has credentials that cannot be read");
	if (asprintf(&url->credentials, "%s:%s", user, colon ? colon + 1 : "") < 0) {
		url->credentials = NULL;
		return error_set_errno(error, ENOMEM, stage, "the address");
	}
	return 0;
}

static int parse_remote(const struct scheme *scheme, const char *rest, struct repository_url *url,
	struct error *error)
{
	size_t length = strcspn(rest, "/");
	cleanup_free char *authority = strndup(rest, length);
	const char *path = rest + length;
	if (!authority)
		return error_set_errno(error, ENOMEM, stage, "the address");
	char *host = strrchr(authority, '@');
	char *user = host ? authority : NULL;
	if (host)
		*host++ = '\0';
	else
		host = authority;
	const char *end = host_end(host);
	url->port = scheme->port;
	int r = 0;
	if (!take_host(host, (size_t)(end - host), url))
		r = refuse(error, EINVAL, "names no host");
	else if (*end && !take_port(end + 1, &url->port))
		r = refuse(error, EINVAL, "has a port that is none");
	else if (strspn(path, "/") == strlen(path))
		r = refuse(error, EINVAL, "names a host, but no repository on it");
	else if (!path_is_sound(path))
		r = refuse(error, EINVAL, "has characters that belong in no path (write %20)");
	else if (user)
		r = take_user(url, user, error);
	if (r == 0)
		r = put_together(url, scheme, scheme->transport == REPOSITORY_SSH ? user : NULL,
			path, error);
	if (user)
		explicit_bzero(user, length);
	return r;
}

/* ---- the shapes ---- */

static int parse_file(const char *rest, struct repository_url *url, struct error *error)
{
	if (strncmp(rest, "localhost/", 10) == 0)
		rest += 9;
	if (rest[0] != '/')
		return refuse(error, EINVAL, "is a file: URL of another host (file:///PATH)");
	url->text = strdup(rest);
	if (!url->text)
		return error_set_errno(error, ENOMEM, stage, "the address");
	return percent_decode(url->text) && is_plain(url->text)
		       ? 0
		       : refuse(error, EINVAL, "has a % that stands for no character of a name");
}

/* The length of a scheme (or of a remote helper's name) at the start; 0: there is none. */
static size_t scheme_length(const char *text)
{
	size_t n = 0;
	while (isalnum((unsigned char)text[n]) || (n > 0 && text[n] && strchr("+-.", text[n])))
		n++;
	return n;
}

static int refuse_scheme(const char *written, size_t length, struct error *error)
{
	char name[32];
	snprintf(name, sizeof(name), "%.*s", (int)(length < 31 ? length : 31), written);
	error_set(error, EPERM, stage, "repositories are not fetched by '%s'", name);
	const char *near = suggest_nearest(name, schemes, ARRAY_SIZE(schemes), sizeof(*schemes));
	return near ? error_hint(error, "did you mean %s://?", near)
		    : error_hint(error, "a path, https://, ssh:// or USER@HOST:PATH");
}

static int parse_scheme(
	const char *written, size_t length, struct repository_url *url, struct error *error)
{
	for (size_t i = 0; i < ARRAY_SIZE(schemes); i++) {
		if (strlen(schemes[i].name) != length ||
			strncasecmp(schemes[i].name, written, length) != 0)
			continue;
		url->transport = schemes[i].transport;
		const char *rest = written + length + 3;
		return url->transport == REPOSITORY_LOCAL
			       ? parse_file(rest, url, error)
			       : parse_remote(&schemes[i], rest, url, error);
	}
	return refuse_scheme(written, length, error);
}

/* [USER@]HOST:PATH; `colon` divides. It stays in this shape: the path is one that the server's git
 * is told as it is, which no ssh:// says. */
static int parse_short(
	const char *written, const char *colon, struct repository_url *url, struct error *error)
{
	const char *path = colon + 1;
	cleanup_free char *front = strndup(written, (size_t)(colon - written));
	char *host = front ? strrchr(front, '@') : NULL;
	if (!front)
		return error_set_errno(error, ENOMEM, stage, "the address");
	url->transport = REPOSITORY_SSH;
	url->port = SSH_PORT;
	if (host) {
		*host++ = '\0';
		int r = take_user(url, front, error);
		if (r < 0)
			return r;
	} else {
		host = front;
	}
	if (!take_host(host, strlen(host), url))
		return refuse(error, EINVAL, "names no host");
	if (path[0] == '\0' || path[0] == '-' || strcmp(path, "/") == 0)
		return refuse(error, EINVAL, "names a host, but no repository on it");
	url->text = strdup(written);
	return url->text ? 0 : error_set_errno(error, ENOMEM, stage, "the address");
}

static int parse(const char *written, struct repository_url *url, struct error *error)
{
	size_t length = strlen(written), scheme = scheme_length(written);
	if (length == 0)
		return refuse(error, EINVAL, "is empty");
	if (length >= MAX_PATH_BYTES)
		return refuse(error, EINVAL, "is longer than any");
	if (!is_plain(written))
		return refuse(error, EINVAL, "has control characters in it");
	if (written[0] == '-')
		return refuse(error, EINVAL, "begins with '-': write a directory as ./-NAME");
	if (strncmp(written + scheme, "::", 2) == 0)
		return refuse_scheme(written, scheme, error);
	if (scheme > 0 && strncmp(written + scheme, "://", 3) == 0)
		return parse_scheme(written, scheme, url, error);
	/* As git tells them apart: a colon before the first slash is ssh's. */
	const char *slash = strchr(written, '/'), *colon = host_end(written);
	if (*colon && (!slash || colon < slash))
		return parse_short(written, colon, url, error);
	url->transport = REPOSITORY_LOCAL;
	url->text = strdup(written);
	return url->text ? 0 : error_set_errno(error, ENOMEM, stage, "the address");
}

int repository_url_parse(const char *written, struct repository_url *ret, struct error *error)
{
	*ret = (struct repository_url){0};
	int r = parse(written, ret, error);
	if (r < 0)
		repository_url_release(ret);
	return r;
}

/* ---- relative ---- */

/* [USER@]HOST:PATH may have "://" in its path. */
static bool is_short(const char *text)
{
	return strncmp(text + scheme_length(text), "://", 3) != 0;
}

/* Where the path begins in the text of a remote one: at its first slash, or after the colon. */
static char *path_of(char *text)
{
	return is_short(text) ? (char *)host_end(text) + 1
			      : strchr(text + scheme_length(text) + 3, '/');
}

/* Takes the last component of a path off. False: there is none. */
static bool go_up(char *path)
{
	size_t length = strlen(path);
	while (length > 0 && path[length - 1] == '/')
		path[--length] = '\0';
	char *slash = strrchr(path, '/');
	*(slash ? slash : path) = '\0';
	return length > 0;
}

int repository_url_resolve(const struct repository_url *base, const char *written,
	struct repository_url *ret, struct error *error)
{
	*ret = (struct repository_url){0};
	bool relative = strncmp(written, "./", 2) == 0 || strncmp(written, "../", 3) == 0;
	if (!relative || base->transport == REPOSITORY_LOCAL)
		return repository_url_parse(written, ret, error);
	cleanup_free char *text = strdup(base->text);
	if (!text)
		return error_set_errno(error, ENOMEM, stage, "the address");
	char *path = path_of(text);
	for (; written[0] == '.'; written += written[1] == '/' ? 2 : 3) {
		if (strncmp(written, "./", 2) == 0)
			continue;
		if (strncmp(written, "../", 3) != 0)
			break;
		if (!go_up(path))
			return refuse(error, EINVAL, "goes up beyond its host");
	}
	cleanup_free char *whole = NULL;
	bool joined = path[0] || !is_short(text);
	if (asprintf(&whole, "%s%s%s", text, joined ? "/" : "", written) < 0) {
		whole = NULL;
		return error_set_errno(error, ENOMEM, stage, "the address");
	}
	/* What follows the dots may hold more of them: a server's business, as in git. */
	return repository_url_parse(whole, ret, error);
}
