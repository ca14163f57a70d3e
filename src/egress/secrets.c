/* Theory of operation: inside the box a secret's variable holds a placeholder, a string that looks
 * like a token and is worth nothing. A request that carries it to the rule's host, over TLS that is
 * inspected, in the one place that the rule names, leaves with the value in its place. A
 * placeholder anywhere else means a mistake or an attempt, and the request is refused with the
 * reason: so what was refused is told, and the value is put only where a person said.
 *
 * A request is looked at as a whole, after parsing and before it is written anew: method, path,
 * query, names and values of fields. Values are put in as they are into a field (they hold no
 * control character), percent-encoded into a query, and inside the base64 into Basic. */
#include "egress/secrets.h"

#include "base/cleanup.h"
#include "egress/http_head.h"

#include <ctype.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <string.h>
#include <strings.h>

/* ---- making them ---- */

/* NAME=coffer-secret-name-<32 hex digits>: of characters that every client takes for a token, in a
 * header, a URL and a file of settings alike. */
static int make_placeholder(struct secret *secret)
{
	static const char prefix[] = "coffer-secret-";
	unsigned char chance[SECRET_CHANCE_BYTES / 2];
	const char *name = secret->rule->name;
	size_t name_bytes = strlen(name);
	size_t room = 2 * name_bytes + sizeof(prefix) + SECRET_CHANCE_BYTES + 3;
	char *variable = malloc(room);
	if (!variable || RAND_bytes(chance, sizeof(chance)) != 1) {
		free(variable);
		return -ENOMEM;
	}
	int used = snprintf(variable, room, "%s=%s", name, prefix);
	for (size_t i = 0; i < name_bytes; i++)
		variable[used++] = (char)tolower((unsigned char)name[i]);
	variable[used++] = '-';
	for (size_t i = 0; i < sizeof(chance); i++)
		snprintf(variable + used + 2 * i, 3, "%02x", chance[i]);
	secret->variable = variable;
	secret->placeholder = variable + name_bytes + 1;
	secret->chance = variable + used;
	return 0;
}

int secrets_new(struct egress *egress, struct secrets **ret, struct error *error)
{
	const struct network_policy *policy = &egress->policy;
	if (policy->secrets_count > SECRETS_MAX)
		return error_set(
			error, E2BIG, "secrets", "there are more than %d secrets", SECRETS_MAX);
	struct secrets *secrets = calloc(1, sizeof(*secrets));
	if (!secrets)
		return error_set_errno(error, ENOMEM, "secrets", "secrets");
	int r = 0, control = egress->control ? EGRESS_CONTROL_FD : -1;
	for (size_t i = 0; i < policy->secrets_count && r == 0; i++) {
		struct secret *secret = &secrets->items[secrets->count++];
		secret->rule = &policy->secrets[i];
		const struct secret_source source = {.name = secret->rule->name,
			.from = secret->rule->from,
			.written = secret->rule->source,
			.control = control};
		r = secret_source_read(&source, &secret->value, error);
		if (r == 0 && make_placeholder(secret) < 0)
			r = error_set_errno(
				error, ENOMEM, "secrets", "the secret %s", secret->rule->name);
	}
	if (r == 0) {
		r = secrets_prepare(secrets);
		if (r == -EINVAL)
			error_set(error, EINVAL, "secrets",
				"the secrets hold every printable character: responses could not "
				"be masked");
		else if (r < 0)
			error_set_errno(error, -r, "secrets", "secrets");
	}
	if (r < 0) {
		secrets_free(secrets);
		return r;
	}
	*ret = secrets;
	return 0;
}

void secrets_free(struct secrets *secrets)
{
	if (!secrets)
		return;
	for (size_t i = 0; i < secrets->count; i++) {
		struct secret *secret = &secrets->items[i];
		locked_free(&secret->value);
		for (size_t j = 0; j < secret->masks_count; j++)
			locked_free(&secret->masks[j].bytes);
		free(secret->variable);
	}
	free(secrets);
}

size_t secrets_count(const struct secrets *secrets)
{
	return secrets->count;
}

const char *secrets_variable(const struct secrets *secrets, size_t index)
{
	return secrets->items[index].variable;
}

bool secrets_concern(const struct secrets *secrets, const char *name)
{
	for (size_t i = 0; name[0] && i < secrets->count; i++)
		if (network_pattern_matches(
			    secrets->items[i].rule->match, secrets->items[i].rule->host, name))
			return true;
	return false;
}

/* ---- whether a placeholder may stand where it was found ---- */

struct request {
	const char *name; /* the host; "" for a literal address */
	bool tls;
	struct http_head *head;
	char *reason; /* of 160 bytes */
};

static int refuse(const struct request *request, const struct secret *secret, const char *what,
	const char *detail)
{
	snprintf(request->reason, 160, "the placeholder of the secret %.32s %s%.64s",
		secret->rule->name, what, detail);
	return -EACCES;
}

static bool path_matches(
	const struct network_secret *rule, const struct http_head *head, char reason[160])
{
	if (strcmp(rule->path, "/**") == 0)
		return true;
	/* The same matcher as --net-request has, ambiguous paths refused. */
	struct network_request_rule only = {.match = MATCH_ANY,
		.name = (char[]){""},
		.method = (char[]){"*"},
		.path = rule->path,
		.allow = true};
	const struct network_policy policy = {.requests = &only, .requests_count = 1};
	return network_may_request(&policy, rule->host, head->method, head->target, reason);
}

/* field: the one it was found in; NULL: in the query. */
static int judge(const struct request *request, const struct secret *secret,
	enum secret_place place, const char *field)
{
	const struct network_secret *rule = secret->rule;
	char reason[160];
	if (!request->name[0] || !network_pattern_matches(rule->match, rule->host, request->name))
		return refuse(request, secret, "may be sent only to ", rule->host);
	if (!request->tls)
		return refuse(request, secret, "may be sent only over TLS", "");
	if (rule->place == SECRET_HEADER && rule->header &&
		(place != SECRET_HEADER || strcasecmp(field, rule->header) != 0))
		return refuse(request, secret, "may stand only in the header ", rule->header);
	if (rule->place != place)
		return refuse(request, secret,
			rule->place == SECRET_HEADER  ? "may stand only in a header"
			: rule->place == SECRET_BASIC ? "may stand only in Basic credentials"
						      : "may stand only in the query",
			"");
	if (strcmp(rule->method, "*") != 0 && strcmp(rule->method, request->head->method) != 0)
		return refuse(request, secret, "may be sent only with ", rule->method);
	if (!path_matches(rule, request->head, reason))
		return refuse(request, secret, "may be sent only to ", rule->path);
	return 0;
}

/* ---- putting values in ---- */

static void wipe(char *text)
{
	if (text)
		OPENSSL_cleanse(text, strlen(text));
	free(text);
}

/* Replaces *text (owned) by itself with every placeholder overwritten by value. The old one held no
 * value of this secret's; it may hold another's. */
static int substitute(
	const struct request *request, const struct secret *secret, char **text, const char *value)
{
	size_t placeholder_bytes = strlen(secret->placeholder), value_bytes = strlen(value);
	size_t count = 0;
	for (const char *at = *text; (at = strstr(at, secret->placeholder)); at++)
		count++;
	size_t room = strlen(*text) + count * value_bytes + 1;
	if (room > EGRESS_HEAD_BYTES)
		return refuse(request, secret, "stands in one place too often", "");
	char *filled = malloc(room), *to = filled;
	if (!filled)
		return -ENOMEM;
	const char *from = *text;
	for (const char *at; (at = strstr(from, secret->placeholder));) {
		to = mempcpy(to, from, (size_t)(at - from));
		to = mempcpy(to, value, value_bytes);
		from = at + placeholder_bytes;
	}
	strcpy(to, from);
	wipe(*text);
	*text = filled;
	/* Part of one, or one behind another prefix. */
	return strstr(filled, secret->chance) ? refuse(request, secret, "is cut short", "") : 0;
}

/* Puts values into *text (owned). */
static int fill(const struct secrets *secrets, const struct request *request, char **text,
	enum secret_place place, const char *field)
{
	int r = 0;
	for (size_t i = 0; i < secrets->count && r == 0; i++) {
		const struct secret *secret = &secrets->items[i];
		if (!strstr(*text, secret->chance))
			continue;
		r = judge(request, secret, place, field);
		if (r == 0 && place != SECRET_QUERY) {
			r = substitute(request, secret, text, secret->value.data);
		} else if (r == 0) {
			char *encoded = secret_percent_encode(&secret->value);
			r = encoded ? substitute(request, secret, text, encoded) : -ENOMEM;
			wipe(encoded);
		}
	}
	return r;
}

/* What a Basic field's base64 says, as a string; NULL: there is none, or it is not valid. */
static char *decode_basic(const char *field, const char *value, size_t *ret_offset)
{
	static const char scheme[] = "basic ";
	if (strcasecmp(field, "authorization") != 0 ||
		strncasecmp(value, scheme, sizeof(scheme) - 1) != 0)
		return NULL;
	size_t offset = sizeof(scheme) - 1 + strspn(value + sizeof(scheme) - 1, " ");
	size_t length = strlen(value + offset);
	if (length == 0 || length % 4 != 0 || length > EGRESS_HEAD_BYTES)
		return NULL;
	char *text = malloc(length / 4 * 3 + 1);
	int bytes = text ? EVP_DecodeBlock((unsigned char *)text,
				   (const unsigned char *)value + offset, (int)length)
			 : -1;
	size_t padding = strcspn(value + offset, "=");
	padding = length - padding;
	if (bytes < 0 || padding > 2 || memchr(text, '\0', (size_t)bytes - padding)) {
		free(text);
		return NULL;
	}
	text[(size_t)bytes - padding] = '\0';
	*ret_offset = offset;
	return text;
}

static int fill_basic(
	const struct secrets *secrets, const struct request *request, struct http_field *field)
{
	size_t offset;
	char *text = decode_basic(field->name, field->value, &offset);
	if (!text)
		return 0;
	char *old = strdup(text);
	int r = old ? fill(secrets, request, &text, SECRET_BASIC, field->name) : -ENOMEM;
	if (r == 0 && strcmp(old, text) != 0) {
		size_t bytes = strlen(text);
		char *value = malloc(offset + (bytes + 2) / 3 * 4 + 1);
		if (value) {
			memcpy(value, field->value, offset);
			EVP_EncodeBlock((unsigned char *)value + offset,
				(const unsigned char *)text, (int)bytes);
			wipe(field->value);
			field->value = value;
		}
		r = value ? 0 : -ENOMEM;
	}
	free(old);
	wipe(text);
	return r;
}

/* What fill() did not know: a placeholder in an encoding, or where none may stand. */
static int check_free(const struct secrets *secrets, const struct request *request,
	const char *text, const char *where)
{
	struct secret_scan scan = {0};
	if (!secrets_scan(secrets, &scan, text, strlen(text)))
		return 0;
	snprintf(request->reason, 160, "a secret's placeholder may not stand %s", where);
	return -EACCES;
}

static int fill_field(
	const struct secrets *secrets, const struct request *request, struct http_field *field)
{
	int r = check_free(secrets, request, field->name, "in the name of a header");
	if (r == 0)
		r = fill_basic(secrets, request, field);
	if (r == 0)
		r = fill(secrets, request, &field->value, SECRET_HEADER, field->name);
	if (r == 0)
		r = check_free(secrets, request, field->value, "in a header in another encoding");
	return r;
}

static int fill_target(const struct secrets *secrets, const struct request *request)
{
	char **target = &request->head->target;
	char *query = strchr(*target, '?');
	if (query)
		*query = '\0';
	int r = check_free(secrets, request, *target, "in the path of a URL");
	if (!query)
		return r;
	*query = '?';
	if (r == 0)
		r = fill(secrets, request, target, SECRET_QUERY, NULL);
	if (r == 0)
		r = check_free(secrets, request, *target, "in a query in another encoding");
	return r;
}

int secrets_apply(struct secrets *secrets, const char *name, bool tls, struct http_head *head,
	char reason[160])
{
	const struct request request = {name, tls, head, reason};
	int r = check_free(secrets, &request, head->method, "in the method");
	if (r == 0)
		r = fill_target(secrets, &request);
	for (size_t i = 0; i < head->fields_count && r == 0; i++)
		r = fill_field(secrets, &request, &head->fields[i]);
	return r;
}
