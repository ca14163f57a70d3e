/* What a request may do where it can be seen, and which secrets go with it. */
#include "policy/network_internal.h"

#include "base/cleanup.h"

#include <stdio.h>
#include <string.h>

static int out_of_memory(const char *key, struct error *error)
{
	return error_set_errno(error, ENOMEM, "policy", "--%s", key);
}

/* RFC 9110, section 5.6.2: what methods and the names of headers are made of. */
static bool is_token(const char *text)
{
	return *text && strspn(text, "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz"
				     "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == strlen(text);
}

static int check_method(const char *key, const char *method, struct error *error)
{
	if (strcmp(method, "*") == 0)
		return 0;
	if (!is_token(method) || strchr(method, '*'))
		return error_set(error, EINVAL, "policy",
			"--%s: '%s' is not a method such as GET, or * for any", key, method);
	if (strpbrk(method, "abcdefghijklmnopqrstuvwxyz")) {
		error_set(error, EINVAL, "policy", "--%s: '%s' is no method that servers know", key,
			method);
		return error_hint(error, "methods are written in capitals: GET, POST");
	}
	return 0;
}

static int check_path(const char *key, const char *path, struct error *error)
{
	if (path[0] != '/')
		return error_set(error, EINVAL, "policy",
			"--%s: the path '%s' does not begin with '/'", key, path);
	if (strpbrk(path, "?#")) {
		error_set(error, EINVAL, "policy", "--%s: the path '%s' has a query or a fragment",
			key, path);
		return error_hint(error, "rules are about the path alone: leave out what follows "
					 "the ? or #");
	}
	return 0;
}

/* ---- --net-request [!]METHOD PATTERN/PATHGLOB ---- */

int network_add_request(struct network_policy *policy, const char *key, const char *value,
	const char *source, struct error *error)
{
	cleanup_free char *copy = strdup(value);
	if (!copy)
		return out_of_memory(key, error);
	bool allow = copy[0] != '!';
	char *method = copy + !allow;
	char *host = strchr(method, ' ');
	char *slash = host ? strchr(host, '/') : NULL;
	if (!slash) {
		error_set(
			error, EINVAL, "policy", "--%s: '%s' is not METHOD HOST/PATH", key, value);
		return error_hint(error, "write for example 'GET api.example.org/v1/**'");
	}
	*host++ = '\0';
	cleanup_free char *path = strdup(slash);
	*slash = '\0';
	if (!path)
		return out_of_memory(key, error);
	struct name_pattern pattern;
	int r = check_method(key, method, error);
	if (r == 0)
		r = network_parse_pattern(key, host, false, &pattern, error);
	if (r == 0)
		r = check_path(key, path, error);
	if (r == 0 && policy->requests_count >= NETWORK_RULES_MAX)
		r = error_set(error, E2BIG, "policy", "--%s is given more than %d times", key,
			NETWORK_RULES_MAX);
	if (r < 0)
		return r;
	struct network_request_rule rule = {.match = pattern.match,
		.name = strdup(pattern.name),
		.method = strdup(method),
		.path = steal_pointer(&path),
		.allow = allow,
		.source = strdup(source)};
	if (!rule.name || !rule.method || !rule.source ||
		!NETWORK_GROW(policy->requests, policy->requests_count)) {
		free(rule.name);
		free(rule.method);
		free(rule.path);
		free(rule.source);
		return out_of_memory(key, error);
	}
	policy->requests[policy->requests_count++] = rule;
	return 0;
}

bool network_has_requests(const struct network_policy *policy, const char *name)
{
	for (size_t i = 0; i < policy->requests_count; i++)
		if (network_pattern_matches(
			    policy->requests[i].match, policy->requests[i].name, name))
			return true;
	return false;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Whether servers might leave the directory at this segment; "..;x" is ".." to some of them. */
static bool is_dots(const char *segment)
{
	size_t length = strcspn(segment, "/;");
	return (length == 1 && segment[0] == '.') ||
	       (length == 2 && segment[0] == '.' && segment[1] == '.');
}

/* The path as a rule can be held against it: without its query, every %XX decoded. NULL where a
 * server could read it in another way than we do (or there is no memory). */
static char *plain_path(const char *path)
{
	cleanup_free char *plain = malloc(strlen(path) + 1);
	size_t length = 0;
	if (!plain || path[0] != '/')
		return NULL;
	for (const char *s = path; *s && *s != '?' && *s != '#'; s++) {
		int c = (unsigned char)*s;
		if (c == '%') {
			int high = hex_digit(s[1]), low = high < 0 ? -1 : hex_digit(s[2]);
			if (low < 0)
				return NULL;
			c = high << 4 | low;
			s += 2;
			if (c == '/' || c == '%')
				return NULL;
		}
		if (c < 0x20 || c == 0x7f || c == '\\')
			return NULL;
		plain[length++] = (char)c;
	}
	plain[length] = '\0';
	for (const char *s = plain; (s = strchr(s, '/')); s++)
		if (s[1] == '/' || is_dots(s + 1))
			return NULL;
	return steal_pointer(&plain);
}

/* A star within a segment, two across. Paths of requests may be long and globs come from a person:
 * the number of steps is the product of the two at the most. */
static bool path_matches(const char *path, const char *glob)
{
	const char *star = NULL, *star_path = NULL;
	const char *stars = NULL, *stars_path = NULL;
	while (*path) {
		if (glob[0] == '*' && glob[1] == '*') {
			stars = glob += 2;
			stars_path = path;
			star = NULL;
		} else if (*glob == '*') {
			star = ++glob;
			star_path = path;
		} else if (*glob == *path) {
			glob++;
			path++;
		} else if (star && *star_path != '/') {
			path = ++star_path;
			glob = star;
		} else if (stars) {
			path = ++stars_path;
			glob = stars;
			star = NULL;
		} else {
			return false;
		}
	}
	while (*glob == '*')
		glob++;
	return *glob == '\0';
}

static bool method_matches(const char *rule, const char *method)
{
	return strcmp(rule, "*") == 0 || strcmp(rule, method) == 0;
}

/* How the rules for a name take a request. */
static const struct network_request_rule *judge(const struct network_policy *policy,
	const char *name, const char *method, const char *path, bool *ret_listed)
{
	const struct network_request_rule *allowed = NULL;
	*ret_listed = false;
	for (size_t i = 0; i < policy->requests_count; i++) {
		const struct network_request_rule *rule = &policy->requests[i];
		if (!network_pattern_matches(rule->match, rule->name, name))
			continue;
		*ret_listed = *ret_listed || rule->allow;
		if (!method_matches(rule->method, method) || !path_matches(path, rule->path))
			continue;
		if (!rule->allow)
			return rule;
		allowed = rule;
	}
	return allowed;
}

bool network_may_request(const struct network_policy *policy, const char *name, const char *method,
	const char *path, char reason[160])
{
	reason[0] = '\0';
	if (policy->read_only && strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0 &&
		strcmp(method, "OPTIONS") != 0) {
		snprintf(reason, 160, "%.32s is not read-only (--net-read)", method);
		return false;
	}
	if (!network_has_requests(policy, name))
		return true;
	cleanup_free char *plain = plain_path(path);
	if (!plain && strcmp(method, "OPTIONS") == 0 && strcmp(path, "*") == 0)
		plain = strdup("*");
	if (!plain) {
		snprintf(reason, 160,
			"the path can be read in more than one way, and %.64s has "
			"rules for paths",
			name);
		return false;
	}
	bool listed;
	const struct network_request_rule *rule = judge(policy, name, method, plain, &listed);
	if (rule && !rule->allow) {
		snprintf(reason, 160, "refused by %s", rule->source);
		return false;
	}
	if (!rule && listed) {
		snprintf(reason, 160, "no --net-request allows %.32s %.80s there", method, plain);
		return false;
	}
	return true;
}

/* ---- --net-secret name=,host=,from=[,in=][,method=][,path=] ---- */

struct secret_text { /* as written; NULL: not there */
	char *name, *host, *from, *in, *method, *path;
};

struct secret_field {
	const char *name;
	size_t offset;
};

static const struct secret_field secret_fields[] = {
	{"name", offsetof(struct secret_text, name)},
	{"host", offsetof(struct secret_text, host)},
	{"from", offsetof(struct secret_text, from)},
	{"in", offsetof(struct secret_text, in)},
	{"method", offsetof(struct secret_text, method)},
	{"path", offsetof(struct secret_text, path)},
};

static const struct secret_field *field_at(const char *item)
{
	size_t length = strcspn(item, "=");
	for (size_t i = 0; item[length] && i < ARRAY_SIZE(secret_fields); i++)
		if (strlen(secret_fields[i].name) == length &&
			memcmp(secret_fields[i].name, item, length) == 0)
			return &secret_fields[i];
	return NULL;
}

/* Cuts text at the commas behind which a field begins: a command may have others. */
static int split_secret(const char *key, char *text, struct secret_text *ret, struct error *error)
{
	while (text) {
		const struct secret_field *field = field_at(text);
		if (!field) {
			error_set(error, EINVAL, "policy", "--%s: '%.*s' is not a field", key,
				(int)strcspn(text, ",="), text);
			return error_hint(
				error, "fields are: name=, host=, from=, in=, method=, path=");
		}
		char *value = strchr(text, '=') + 1;
		char *end = strchr(value, ',');
		while (end && !field_at(end + 1) &&
			field->offset == offsetof(struct secret_text, from))
			end = strchr(end + 1, ',');
		if (end)
			*end++ = '\0';
		char **into = (char **)((char *)ret + field->offset);
		if (*into || !*value)
			return error_set(error, EINVAL, "policy", "--%s: %s= is %s", key,
				field->name, *into ? "given twice" : "empty");
		*into = value;
		text = end;
	}
	if (ret->name && ret->host && ret->from)
		return 0;
	error_set(error, EINVAL, "policy", "--%s: %s= is missing", key,
		!ret->name   ? "name"
		: !ret->host ? "host"
			     : "from");
	return error_hint(error, "write name=TOKEN,host=api.example.org,from=env:TOKEN");
}

static bool is_variable(const char *name)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_"
				      "0123456789";
	return *name && strspn(name, "0123456789") == 0 && strspn(name, letters) == strlen(name);
}

static bool is_source(const char *from)
{
	static const char *const kinds[] = {"env:", "file:", "command:"};
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (strncmp(from, kinds[i], strlen(kinds[i])) == 0)
			return from[strlen(kinds[i])] && (i > 0 || is_variable(from + 4));
	return false;
}

static int parse_place(
	const char *key, char *in, struct network_secret *secret, struct error *error)
{
	if (!in || strcmp(in, "header") == 0)
		return 0;
	if (strncmp(in, "header:", 7) == 0 && is_token(in + 7)) {
		for (char *s = in + 7; *s; s++)
			if (*s >= 'A' && *s <= 'Z')
				*s |= 0x20;
		secret->header = strdup(in + 7);
		return secret->header ? 0 : out_of_memory(key, error);
	}
	if (strcmp(in, "basic") == 0)
		secret->place = SECRET_BASIC;
	else if (strcmp(in, "query") == 0)
		secret->place = SECRET_QUERY;
	else
		return error_set(error, EINVAL, "policy",
			"--%s: in=%s is none of header, header:NAME, basic, query", key, in);
	return 0;
}

static int check_secret(const struct network_policy *policy, const char *key,
	const struct secret_text *text, struct name_pattern *ret, struct error *error)
{
	if (!is_variable(text->name))
		return error_set(error, EINVAL, "policy",
			"--%s: '%s' is not the name of a variable", key, text->name);
	if (!is_source(text->from)) {
		error_set(error, EINVAL, "policy", "--%s: from=%s is no source", key, text->from);
		return error_hint(error, "write env:NAME, file:PATH or command:SHELL COMMAND");
	}
	for (size_t i = 0; i < policy->secrets_count; i++)
		if (strcmp(policy->secrets[i].name, text->name) == 0)
			return error_set(error, EINVAL, "policy",
				"--%s: there is another secret for the variable %s", key,
				text->name);
	if (policy->secrets_count >= NETWORK_SETTINGS_MAX)
		return error_set(error, E2BIG, "policy", "--%s is given more than %d times", key,
			NETWORK_SETTINGS_MAX);
	int r = network_parse_pattern(key, text->host, false, ret, error);
	if (r == 0 && text->method)
		r = check_method(key, text->method, error);
	if (r == 0 && text->path)
		r = check_path(key, text->path, error);
	return r;
}

static void release_secret(struct network_secret *secret)
{
	free(secret->name);
	free(secret->host);
	free(secret->from);
	free(secret->header);
	free(secret->method);
	free(secret->path);
	free(secret->source);
}

int network_add_secret(struct network_policy *policy, const char *key, const char *value,
	const char *source, struct error *error)
{
	cleanup_free char *copy = strdup(value);
	struct secret_text text = {0};
	struct name_pattern pattern;
	int r = copy ? split_secret(key, copy, &text, error) : out_of_memory(key, error);
	if (r == 0)
		r = check_secret(policy, key, &text, &pattern, error);
	if (r < 0)
		return r;
	struct network_secret secret = {.match = pattern.match};
	r = parse_place(key, text.in, &secret, error);
	if (r < 0)
		return r;
	secret.name = strdup(text.name);
	secret.host = strdup(pattern.name);
	secret.from = strdup(text.from);
	secret.method = strdup(text.method ? text.method : "*");
	secret.path = strdup(text.path ? text.path : "/**");
	secret.source = strdup(source);
	if (!secret.name || !secret.host || !secret.from || !secret.method || !secret.path ||
		!secret.source || !NETWORK_GROW(policy->secrets, policy->secrets_count)) {
		release_secret(&secret);
		return out_of_memory(key, error);
	}
	policy->secrets[policy->secrets_count++] = secret;
	return 0;
}

void network_release_requests(struct network_policy *policy)
{
	for (size_t i = 0; i < policy->requests_count; i++) {
		free(policy->requests[i].name);
		free(policy->requests[i].method);
		free(policy->requests[i].path);
		free(policy->requests[i].source);
	}
	free(policy->requests);
	for (size_t i = 0; i < policy->secrets_count; i++)
		release_secret(&policy->secrets[i]);
	free(policy->secrets);
}
