/* Secrets: where values come from, where they are put in, what is refused, and what is masked,
 * wherever the pieces of a stream are cut. */
#include "base/cleanup.h"
#include "egress/egress.h"
#include "egress/http_head.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

static const char value[] = "s3cr3t-Value/+=42";

static struct network_secret rule_for(const char *name, const char *from, enum secret_place place)
{
	static char host[] = "api.example.com", method[] = "*", path[] = "/**",
		    source[] = "--net-secret";
	return (struct network_secret){.name = (char *)(uintptr_t)name,
		.match = MATCH_EXACT,
		.host = host,
		.from = (char *)(uintptr_t)from,
		.place = place,
		.method = method,
		.path = path,
		.source = source};
}

static struct secrets *secrets_of(struct network_secret *rules, size_t count)
{
	struct egress egress = {.policy = {.secrets = rules, .secrets_count = count}};
	struct secrets *secrets = NULL;
	struct error error = {0};
	setenv("TEST_SECRET", value, 1);
	if (secrets_new(&egress, &secrets, &error) < 0)
		fail_msg("%s (%s)", error.message, error.hint);
	return secrets;
}

static const char *placeholder_of(const struct secrets *secrets, size_t index)
{
	return strchr(secrets_variable(secrets, index), '=') + 1;
}

/* ---- sources ---- */

static void expect_error(const char *from, int errno_value, const char *says)
{
	struct network_secret rule = rule_for("API_TOKEN", from, SECRET_HEADER);
	struct egress egress = {.policy = {.secrets = &rule, .secrets_count = 1}};
	struct secrets *secrets = NULL;
	struct error error = {0};
	assert_int_equal(secrets_new(&egress, &secrets, &error), -errno_value);
	assert_null(secrets);
	assert_string_equal(error.stage, "secrets");
	assert_non_null(strstr(error.message, "API_TOKEN"));
	if (!strstr(error.message, says))
		fail_msg("'%s' does not say '%s'", error.message, says);
	assert_string_equal(error.hint, "--net-secret");
}

/* What a source gives, seen by what a request gets. */
static void expect_gives(const char *from, const char *expected)
{
	struct network_secret rule = rule_for("API_TOKEN", from, SECRET_HEADER);
	struct secrets *secrets = secrets_of(&rule, 1);
	struct http_head head = {.method = strdup("GET"), .target = strdup("/")};
	char reason[160];
	assert_int_equal(http_head_set(&head, "x-key", placeholder_of(secrets, 0)), 0);
	assert_int_equal(secrets_apply(secrets, "api.example.com", true, &head, reason), 0);
	assert_string_equal(http_head_get(&head, "x-key"), expected);
	http_head_release(&head);
	secrets_free(secrets);
}

static void write_file(const char *path, const void *data, size_t length)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, data, length), length);
	close(fd);
}

static void sources_give_values(void **state)
{
	(void)state;
	char path[] = "/tmp/coffer-test-secret-XXXXXX", from[64];
	close(mkstemp(path));
	snprintf(from, sizeof(from), "file:%s", path);
	expect_gives("env:TEST_SECRET", value);
	write_file(path, "from-a-file\n", 12);
	expect_gives(from, "from-a-file");
	write_file(path, "from-a-file\r\n", 13);
	expect_gives(from, "from-a-file");
	expect_gives("command:printf '%s\\n' out-of-a-command", "out-of-a-command");
	expect_gives("command:echo said 1>&2; echo $TEST_SECRET", value);
	/* Nothing but the standard descriptors reaches it. */
	expect_gives("command:for i in 3 4 5 6 7 8 9; do test -e /proc/$$/fd/$i && exit 1; done; "
		     "echo none-open",
		"none-open");
	char longest[8192 + 1];
	memset(longest, 'a', 8192);
	longest[8192] = '\0';
	write_file(path, longest, 8192);
	expect_gives(from, longest);
	unlink(path);
}

static void bad_sources_are_told(void **state)
{
	(void)state;
	char path[] = "/tmp/coffer-test-secret-XXXXXX", from[64];
	char large[8193 + 1];
	close(mkstemp(path));
	snprintf(from, sizeof(from), "file:%s", path);
	memset(large, 'a', sizeof(large));
	large[8193] = '\0';
	unsetenv("TEST_SECRET_NONE");
	setenv("TEST_SECRET_EMPTY", "", 1);
	setenv("TEST_SECRET_LARGE", large, 1);
	setenv("TEST_SECRET_LINES", "one line\nanother", 1);
	expect_error("env:TEST_SECRET_NONE", ENOENT, "TEST_SECRET_NONE is not set");
	expect_error("env:TEST_SECRET_EMPTY", ENODATA, "env:TEST_SECRET_EMPTY is empty");
	expect_error("env:TEST_SECRET_LARGE", EFBIG, "longer than 8192 bytes");
	expect_error("env:TEST_SECRET_LINES", EINVAL, "more than one line");
	expect_error("file:/nonexistent/secret", ENOENT, "/nonexistent/secret");
	expect_error("file:/tmp", EISDIR, "/tmp");
	expect_error("file:/dev/zero", EINVAL, "not a regular file");
	write_file(path, "", 0);
	expect_error(from, ENODATA, "empty");
	write_file(path, "\n", 1);
	expect_error(from, ENODATA, "empty");
	write_file(path, large, 8193);
	expect_error(from, EFBIG, "longer than 8192 bytes");
	write_file(path, "with a\0zero", 11);
	expect_error(from, EINVAL, "control character (byte 7)");
	write_file(path, "carriage\rreturn", 15);
	expect_error(from, EINVAL, "more than one line");
	write_file(path, "two newlines\n\n", 14);
	expect_error(from, EINVAL, "more than one line");
	write_file(path, "short", 5);
	expect_error(from, EINVAL, "shorter than 8 bytes");
	expect_error("command:exit 3", ECHILD, "exit code 3");
	expect_error("command:kill -9 $$", ECHILD, "signal 9");
	expect_error("command:true", ENODATA, "empty");
	expect_error("command:yes", EFBIG, "more than 8192 bytes");
	expect_error("vault:x", EINVAL, "no source");
	unlink(path);
}

static void placeholders_look_like_tokens(void **state)
{
	(void)state;
	struct network_secret rules[] = {rule_for("API_TOKEN", "env:TEST_SECRET", SECRET_HEADER),
		rule_for("OTHER", "env:TEST_SECRET", SECRET_HEADER)};
	struct secrets *secrets = secrets_of(rules, 2);
	struct secrets *again = secrets_of(rules, 2);
	assert_int_equal(secrets_count(secrets), 2);
	static const char start[] = "API_TOKEN=coffer-secret-api_token-";
	const char *variable = secrets_variable(secrets, 0);
	assert_int_equal(strncmp(variable, start, strlen(start)), 0);
	assert_int_equal(strlen(variable), strlen(start) + 32);
	char token[64];
	snprintf(token, sizeof(token), "%.40s", strrchr(variable, '-') + 1);
	assert_int_equal(strspn(token, "0123456789abcdef"), 32);
	assert_null(strstr(variable, value));
	assert_string_not_equal(variable, secrets_variable(again, 0));
	assert_true(secrets_concern(secrets, "api.example.com"));
	assert_false(secrets_concern(secrets, "example.com"));
	assert_false(secrets_concern(secrets, ""));
	secrets_free(secrets);
	secrets_free(again);
	secrets_free(NULL);
}

/* ---- requests ---- */

struct trial {
	struct secrets *secrets;
	struct http_head head;
	char reason[160];
};

static void begin(struct trial *trial, const char *method, const char *target_format)
{
	const char *placeholder = placeholder_of(trial->secrets, 0);
	char target[512];
	const char *at = strstr(target_format, "{}");
	if (at)
		snprintf(target, sizeof(target), "%.*s%s%s", (int)(at - target_format),
			target_format, placeholder, at + 2);
	else
		snprintf(target, sizeof(target), "%s", target_format);
	trial->head = (struct http_head){.method = strdup(method), .target = strdup(target)};
	assert_int_equal(http_head_set(&trial->head, "Host", "api.example.com"), 0);
}

static int apply(struct trial *trial, const char *name, bool tls)
{
	memset(trial->reason, 0, sizeof(trial->reason));
	return secrets_apply(trial->secrets, name, tls, &trial->head, trial->reason);
}

static void expect_refused(struct trial *trial, const char *name, bool tls, const char *says)
{
	assert_int_equal(apply(trial, name, tls), -EACCES);
	if (!strstr(trial->reason, says))
		fail_msg("'%s' does not say '%s'", trial->reason, says);
	assert_null(strstr(trial->reason, value));
	size_t length;
	char *text = http_head_format(&trial->head, &length);
	assert_null(strstr(text, value));
	free(text);
	http_head_release(&trial->head);
}

static void set(struct trial *trial, const char *name, const char *before, const char *after)
{
	char text[512];
	snprintf(text, sizeof(text), "%s%s%s", before, placeholder_of(trial->secrets, 0), after);
	assert_int_equal(http_head_set(&trial->head, name, text), 0);
}

static char *base64(const char *before, const char *text, const char *after)
{
	static char encoded[1024];
	char plain[512];
	int n = snprintf(plain, sizeof(plain), "%s%s%s", before, text, after);
	EVP_EncodeBlock((unsigned char *)encoded, (unsigned char *)plain, n);
	return encoded;
}

static void set_basic(struct trial *trial, const char *name, const char *before)
{
	char text[2048];
	snprintf(text, sizeof(text), "Basic %s",
		base64(before, placeholder_of(trial->secrets, 0), ""));
	assert_int_equal(http_head_set(&trial->head, name, text), 0);
}

static void a_header_gets_the_value(void **state)
{
	(void)state;
	struct network_secret rule = rule_for("API_TOKEN", "env:TEST_SECRET", SECRET_HEADER);
	struct trial trial = {.secrets = secrets_of(&rule, 1)};
	char expected[128];
	begin(&trial, "GET", "/v1/models?x=1");
	set(&trial, "Authorization", "Bearer ", "");
	set(&trial, "X-Twice", "a=", ";");
	assert_int_equal(apply(&trial, "api.example.com", true), 0);
	snprintf(expected, sizeof(expected), "Bearer %s", value);
	assert_string_equal(http_head_get(&trial.head, "authorization"), expected);
	snprintf(expected, sizeof(expected), "a=%s;", value);
	assert_string_equal(http_head_get(&trial.head, "x-twice"), expected);
	assert_string_equal(trial.head.target, "/v1/models?x=1");
	http_head_release(&trial.head);

	/* A request without a placeholder is left alone, wherever it goes. */
	begin(&trial, "GET", "/");
	assert_int_equal(apply(&trial, "elsewhere.example.com", false), 0);
	http_head_release(&trial.head);

	begin(&trial, "GET", "/");
	set(&trial, "X-Key", "", "");
	expect_refused(&trial, "elsewhere.example.com", true, "only to api.example.com");
	begin(&trial, "GET", "/");
	set(&trial, "X-Key", "", "");
	expect_refused(&trial, "", true, "only to api.example.com");
	begin(&trial, "GET", "/");
	set(&trial, "X-Key", "", "");
	expect_refused(&trial, "api.example.com", false, "only over TLS");
	begin(&trial, "GET", "/a/{}/b");
	expect_refused(&trial, "api.example.com", true, "in the path");
	begin(&trial, "GET", "/a?key={}");
	expect_refused(&trial, "api.example.com", true, "only in a header");
	begin(&trial, "GET", "/");
	set_basic(&trial, "Authorization", "user:");
	expect_refused(&trial, "api.example.com", true, "only in a header");
	begin(&trial, "GET", "/");
	set_basic(&trial, "X-Encoded", "u:");
	expect_refused(&trial, "api.example.com", true, "another encoding");
	secrets_free(trial.secrets);
}

static void parts_and_names_are_refused(void **state)
{
	(void)state;
	struct network_secret rule = rule_for("API_TOKEN", "env:TEST_SECRET", SECRET_HEADER);
	struct trial trial = {.secrets = secrets_of(&rule, 1)};
	const char *placeholder = placeholder_of(trial.secrets, 0);
	const char *chance = placeholder + strlen(placeholder) - 32;
	char encoded[128] = "";
	begin(&trial, placeholder, "/");
	expect_refused(&trial, "api.example.com", true, "in the method");
	begin(&trial, "GET", "/");
	assert_int_equal(http_head_set(&trial.head, placeholder, "x"), 0);
	expect_refused(&trial, "api.example.com", true, "in the name of a header");
	begin(&trial, "GET", "/");
	assert_int_equal(http_head_set(&trial.head, "X-Key", chance), 0);
	expect_refused(&trial, "api.example.com", true, "is cut short");
	for (size_t i = 0; i < 32; i++)
		sprintf(encoded + 3 * i, "%%%02x", chance[i]);
	begin(&trial, "GET", "/");
	assert_int_equal(http_head_set(&trial.head, "X-Key", encoded), 0);
	expect_refused(&trial, "api.example.com", true, "another encoding");
	/* So many that the head would not be one any more. */
	struct network_secret large = rule_for("L", "command:printf %08192d 1", SECRET_HEADER);
	struct trial many = {.secrets = secrets_of(&large, 1)};
	char text[1024] = "";
	for (int i = 0; i < 9; i++)
		strcat(text, placeholder_of(many.secrets, 0));
	begin(&many, "GET", "/");
	assert_int_equal(http_head_set(&many.head, "X-Key", text), 0);
	expect_refused(&many, "api.example.com", true, "too often");
	secrets_free(many.secrets);
	secrets_free(trial.secrets);
}

static void one_header_may_be_named(void **state)
{
	(void)state;
	struct network_secret rule = rule_for("API_TOKEN", "env:TEST_SECRET", SECRET_HEADER);
	rule.header = (char[]){"x-api-key"};
	rule.match = MATCH_WITH_APEX;
	rule.host = (char[]){"example.com"};
	struct trial trial = {.secrets = secrets_of(&rule, 1)};
	begin(&trial, "GET", "/");
	set(&trial, "X-Api-Key", "", "");
	assert_int_equal(apply(&trial, "eu.api.example.com", true), 0);
	assert_string_equal(http_head_get(&trial.head, "x-api-key"), value);
	http_head_release(&trial.head);
	begin(&trial, "GET", "/");
	set(&trial, "Authorization", "Bearer ", "");
	expect_refused(&trial, "example.com", true, "only in the header x-api-key");
	begin(&trial, "GET", "/?k={}");
	expect_refused(&trial, "example.com", true, "only in the header x-api-key");
	begin(&trial, "GET", "/");
	set(&trial, "X-Api-Key", "", "");
	expect_refused(&trial, "notexample.com", true, "only to example.com");
	secrets_free(trial.secrets);
}

static void basic_credentials_get_the_value(void **state)
{
	(void)state;
	struct network_secret rule = rule_for("API_TOKEN", "env:TEST_SECRET", SECRET_BASIC);
	struct trial trial = {.secrets = secrets_of(&rule, 1)};
	static const char *const users[] = {"", ":", "u:", "us:", "user:", "x-access-token:"};
	for (size_t i = 0; i < ARRAY_SIZE(users); i++) {
		char expected[2048];
		begin(&trial, "GET", "/");
		set_basic(&trial, "Authorization", users[i]);
		assert_int_equal(apply(&trial, "api.example.com", true), 0);
		snprintf(expected, sizeof(expected), "Basic %s", base64(users[i], value, ""));
		assert_string_equal(http_head_get(&trial.head, "authorization"), expected);
		http_head_release(&trial.head);
		begin(&trial, "GET", "/");
		set_basic(&trial, "Authorization", users[i]);
		expect_refused(&trial, "api.example.org", true, "only to api.example.com");
		begin(&trial, "GET", "/");
		set_basic(&trial, "X-Other", users[i]);
		expect_refused(&trial, "api.example.com", true, "another encoding");
	}
	begin(&trial, "GET", "/");
	set(&trial, "Authorization", "Bearer ", "");
	expect_refused(&trial, "api.example.com", true, "only in Basic credentials");
	/* Credentials that are none, or another's, are the server's business. */
	begin(&trial, "GET", "/");
	assert_int_equal(http_head_set(&trial.head, "Authorization", "Basic !!!!"), 0);
	assert_int_equal(apply(&trial, "api.example.com", true), 0);
	assert_int_equal(http_head_set(&trial.head, "Authorization", "Basic dTpw"), 0);
	assert_int_equal(apply(&trial, "api.example.com", true), 0);
	assert_string_equal(http_head_get(&trial.head, "authorization"), "Basic dTpw");
	http_head_release(&trial.head);
	secrets_free(trial.secrets);
}

static void a_query_gets_the_value(void **state)
{
	(void)state;
	struct network_secret rule = rule_for("API_TOKEN", "env:TEST_SECRET", SECRET_QUERY);
	struct trial trial = {.secrets = secrets_of(&rule, 1)};
	begin(&trial, "GET", "/v1?key={}&b=2");
	assert_int_equal(apply(&trial, "api.example.com", true), 0);
	assert_string_equal(trial.head.target, "/v1?key=s3cr3t-Value%2F%2B%3D42&b=2");
	http_head_release(&trial.head);
	begin(&trial, "GET", "/v1/{}?b=2");
	expect_refused(&trial, "api.example.com", true, "in the path");
	begin(&trial, "GET", "/v1");
	set(&trial, "X-Key", "", "");
	expect_refused(&trial, "api.example.com", true, "only in the query");
	secrets_free(trial.secrets);
}

static void methods_and_paths_narrow(void **state)
{
	(void)state;
	struct network_secret rule = rule_for("API_TOKEN", "env:TEST_SECRET", SECRET_HEADER);
	rule.method = (char[]){"POST"};
	rule.path = (char[]){"/v1/*/items/**"};
	struct trial trial = {.secrets = secrets_of(&rule, 1)};
	begin(&trial, "POST", "/v1/a/items/b/c?q=/x");
	set(&trial, "X-Key", "", "");
	assert_int_equal(apply(&trial, "api.example.com", true), 0);
	http_head_release(&trial.head);
	static const char *const refused[] = {"/v1/a/b/items/c", "/v2/a/items/b", "/",
		"/v1/a/items/../../../admin", "/v1/a/items/%2e%2e/admin", "/v1/a/items//b",
		"/v1/a/items/..%2fadmin", "/v1/a/items/..\\admin", "/v1/a/items/..;/admin"};
	for (size_t i = 0; i < ARRAY_SIZE(refused); i++) {
		begin(&trial, "POST", refused[i]);
		set(&trial, "X-Key", "", "");
		expect_refused(&trial, "api.example.com", true, "only to /v1/*/items/**");
	}
	begin(&trial, "GET", "/v1/a/items/b");
	set(&trial, "X-Key", "", "");
	expect_refused(&trial, "api.example.com", true, "only with POST");
	secrets_free(trial.secrets);
}

static void several_secrets_do_not_mix(void **state)
{
	(void)state;
	struct network_secret rules[] = {rule_for("ONE", "env:TEST_SECRET", SECRET_HEADER),
		rule_for("TWO", "command:echo the-second-value", SECRET_HEADER)};
	rules[1].host = (char[]){"other.example.com"};
	struct trial trial = {.secrets = secrets_of(rules, 2)};
	char both[256];
	snprintf(both, sizeof(both), "%s %s", placeholder_of(trial.secrets, 0),
		placeholder_of(trial.secrets, 1));
	begin(&trial, "GET", "/");
	assert_int_equal(http_head_set(&trial.head, "X-Both", both), 0);
	assert_int_equal(apply(&trial, "api.example.com", true), -EACCES);
	assert_non_null(strstr(trial.reason, "only to other.example.com"));
	http_head_release(&trial.head);
	begin(&trial, "GET", "/");
	assert_int_equal(http_head_set(&trial.head, "X-Key", placeholder_of(trial.secrets, 1)), 0);
	assert_int_equal(apply(&trial, "other.example.com", true), 0);
	assert_string_equal(http_head_get(&trial.head, "x-key"), "the-second-value");
	http_head_release(&trial.head);
	secrets_free(trial.secrets);
}

/* ---- streams ---- */

/* Whether the scan finds text in pieces cut at one place, and byte by byte. */
static void expect_found(const struct secrets *secrets, const char *text, bool expected)
{
	size_t length = strlen(text);
	for (size_t cut = 0; cut <= length; cut++) {
		struct secret_scan scan = {0};
		bool found = secrets_scan(secrets, &scan, text, cut);
		found = secrets_scan(secrets, &scan, text + cut, length - cut) || found;
		assert_int_equal(found, expected);
	}
	struct secret_scan scan = {0};
	bool found = false;
	for (size_t i = 0; i < length; i++)
		found = secrets_scan(secrets, &scan, text + i, 1) || found;
	assert_int_equal(found, expected);
}

static void placeholders_are_found_in_streams(void **state)
{
	(void)state;
	struct network_secret rule = rule_for("API_TOKEN", "env:TEST_SECRET", SECRET_HEADER);
	struct secrets *secrets = secrets_of(&rule, 1);
	const char *placeholder = placeholder_of(secrets, 0);
	char text[1024], hex[256] = "";
	snprintf(text, sizeof(text), "{\"token\": \"%s\"}", placeholder);
	expect_found(secrets, text, true);
	for (size_t i = 0; i < 3; i++) {
		static const char *const before[] = {"", "a", "ab"};
		expect_found(secrets, base64(before[i], placeholder, "tail"), true);
	}
	for (size_t i = 0; placeholder[i]; i++)
		sprintf(hex + strlen(hex), i % 2 ? "%%%02X" : "%%%02x", placeholder[i]);
	snprintf(text, sizeof(text), "a=%%20%s%%20", hex);
	expect_found(secrets, text, true);
	/* All but its last character is no placeholder, nor is another box's. */
	snprintf(text, sizeof(text), "%.*s-", (int)strlen(placeholder) - 1, placeholder);
	expect_found(secrets, text, false);
	expect_found(secrets, "coffer-secret-api_token-00112233445566778899aabbccddeeff", false);
	secrets_free(secrets);

	/* Far into what comes at once, at and around the seams of the blocks that are decoded. */
	secrets = secrets_of(&rule, 1);
	placeholder = placeholder_of(secrets, 0);
	static char large[16384];
	hex[0] = '\0';
	for (const char *c = placeholder + strlen(placeholder) - 32; *c; c++)
		sprintf(hex + strlen(hex), "%%%02x", *c);
	for (size_t at = 3900; at < 4200; at++) {
		memset(large, '.', sizeof(large));
		memcpy(large + at, hex, 96);
		struct secret_scan scan = {0};
		assert_true(secrets_scan(secrets, &scan, large, sizeof(large)));
		large[at + 95] ^= 1;
		scan = (struct secret_scan){0};
		assert_false(secrets_scan(secrets, &scan, large, sizeof(large)));
	}
	secrets_free(secrets);
}

/* text through the mask in pieces of `piece` bytes, the first of `first`. Caller frees. */
static char *masked(const struct secrets *secrets, const char *text, size_t first, size_t piece)
{
	struct evbuffer *source = evbuffer_new(), *target = evbuffer_new();
	size_t length = strlen(text);
	for (size_t at = 0, bytes = first; at < length; at += bytes, bytes = piece) {
		if (bytes > length - at)
			bytes = length - at;
		evbuffer_add(source, text + at, bytes);
		assert_int_equal(secrets_mask(secrets, source, target, at + bytes == length), 0);
	}
	assert_int_equal(evbuffer_get_length(source), 0);
	assert_int_equal(evbuffer_get_length(target), length);
	char *result = calloc(1, length + 1);
	evbuffer_remove(target, result, length);
	evbuffer_free(source);
	evbuffer_free(target);
	return result;
}

static void expect_masked(const struct secrets *secrets, const char *text, const char *expected)
{
	size_t length = strlen(text);
	for (size_t first = 1; first <= length; first++) {
		char *result = masked(secrets, text, first, length);
		assert_string_equal(result, expected);
		free(result);
	}
	for (size_t piece = 1; piece < 8; piece++) {
		char *result = masked(secrets, text, piece, piece);
		assert_string_equal(result, expected);
		free(result);
	}
}

static void values_are_masked(void **state)
{
	(void)state;
	struct network_secret rule = rule_for("API_TOKEN", "env:TEST_SECRET", SECRET_HEADER);
	struct secrets *secrets = secrets_of(&rule, 1);
	expect_masked(secrets, "you sent s3cr3t-Value/+=42, did you?",
		"you sent *****************, did you?");
	expect_masked(secrets, "s3cr3t-Value/+=42s3cr3t-Value/+=42",
		"**********************************");
	expect_masked(secrets, "s3cr3t-Value/+=4 s3cr3t-Value/+=41",
		"s3cr3t-Value/+=4 s3cr3t-Value/+=41");
	expect_masked(secrets, "s3cr3t-s3cr3t-Value/+=42", "s3cr3t-*****************");
	secrets_free(secrets);

	rule.place = SECRET_QUERY;
	secrets = secrets_of(&rule, 1);
	expect_masked(
		secrets, "/v1?key=s3cr3t-Value%2F%2B%3D42&b", "/v1?key=***********************&b");
	expect_masked(secrets, "s3cr3t-Value/+=42.", "*****************.");
	secrets_free(secrets);

	/* A value that repeats itself, and one that holds the usual mask. */
	rule.place = SECRET_HEADER;
	rule.from = (char[]){"command:echo abababab"};
	secrets = secrets_of(&rule, 1);
	expect_masked(secrets, "abababababab", "********abab");
	secrets_free(secrets);
	rule.from = (char[]){"command:echo 'a*******b'"};
	secrets = secrets_of(&rule, 1);
	expect_masked(secrets, "*a*******b*", "*#########*");
	secrets_free(secrets);
}

static void values_are_masked_as_encoders_write_them(void **state)
{
	(void)state;
	static const char *const written[] = {"k-\"01<23>&45'67/+8", "k-\\\"01<23>&45'67/+8",
		"k-\\\"01<23>&45'67\\/+8", "k-\\\"01\\u003c23\\u003e\\u002645'67/+8",
		"k-\\u002201\\u003C23\\u003E\\u002645\\u002767/\\u002B8",
		"k-\\u002201\\u003c23\\u003e\\u002645\\u002767\\u002f+8",
		"k-\"01&lt;23&gt;&amp;45'67/+8", "k-&quot;01&lt;23&gt;&amp;45&#x27;67/+8",
		"k-&#34;01&lt;23&gt;&amp;45&#39;67/+8", "k-&quot;01&lt;23&gt;&amp;45&#039;67/+8",
		"k-%2201%3C23%3E%2645%2767%2F%2B8", "k-%2201%3C23%3E%2645%2767/%2B8",
		"k-%2201%3c23%3e%2645%2767%2f%2b8"};
	setenv("TEST_SECRET", written[0], 1);
	struct network_secret rule = rule_for("API_TOKEN", "env:TEST_SECRET", SECRET_HEADER);
	struct egress egress = {.policy = {.secrets = &rule, .secrets_count = 1}};
	struct secrets *secrets = NULL;
	assert_int_equal(secrets_new(&egress, &secrets, &(struct error){0}), 0);
	for (size_t i = 0; i < ARRAY_SIZE(written); i++) {
		char text[128], expected[128] = "<p>";
		snprintf(text, sizeof(text), "<p>%s</p>", written[i]);
		memset(expected + 3, '*', strlen(written[i]));
		memcpy(expected + 3 + strlen(written[i]), "</p>", 5);
		expect_masked(secrets, text, expected);
	}
	secrets_free(secrets);
}

/* One value inside, before or across another hides nothing of it, wherever a piece ends. */
static void values_that_overlap_are_masked_whole(void **state)
{
	(void)state;
	setenv("TEST_SECRET_SHORT", "secretAB", 1);
	setenv("TEST_SECRET_LONG", "secretABCDEF", 1);
	setenv("TEST_SECRET_END", "CDEFghijk", 1);
	struct network_secret rules[] = {rule_for("SHORT", "env:TEST_SECRET_SHORT", SECRET_HEADER),
		rule_for("LONG", "env:TEST_SECRET_LONG", SECRET_HEADER),
		rule_for("END", "env:TEST_SECRET_END", SECRET_HEADER)};
	struct secrets *secrets = secrets_of(rules, ARRAY_SIZE(rules));
	expect_masked(secrets, "<secretABCDEF>", "<************>");
	expect_masked(secrets, "<secretAB-DEF>", "<********-DEF>");
	expect_masked(secrets, "<secretABCDEFghijk>", "<*****************>");
	expect_masked(secrets, "<secretABCDEFghij>", "<************ghij>");
	secrets_free(secrets);
}

static void basic_values_are_masked_in_base64(void **state)
{
	(void)state;
	struct network_secret rule = rule_for("API_TOKEN", "env:TEST_SECRET", SECRET_BASIC);
	struct secrets *secrets = secrets_of(&rule, 1);
	static const char *const users[] = {"", "u:", "us:", "use:", "user:"};
	for (size_t i = 0; i < ARRAY_SIZE(users); i++) {
		char *encoded = strdup(base64(users[i], value, ""));
		size_t length = strlen(encoded);
		/* No character is left that carries a bit of the value. */
		size_t kept = strlen(users[i]) * 8 / 6;
		char *expected = strdup(encoded);
		memset(expected + kept, '*', strcspn(encoded, "=") - kept);
		for (size_t first = 1; first <= length; first++) {
			char *result = masked(secrets, encoded, first, 1);
			/* But one that carries other bits too, when it has come by itself. */
			if (strlen(users[i]) % 3 != 0 && first <= kept + 1)
				result[kept] = '*';
			assert_string_equal(result, expected);
			free(result);
		}
		free(encoded);
		free(expected);
	}
	expect_masked(secrets, "raw: s3cr3t-Value/+=42.", "raw: *****************.");
	secrets_free(secrets);
}

/* How much of text is kept back at first. */
static size_t kept_back(const struct secrets *secrets, const char *text)
{
	struct evbuffer *source = evbuffer_new(), *target = evbuffer_new();
	evbuffer_add(source, text, strlen(text));
	assert_int_equal(secrets_mask(secrets, source, target, false), 0);
	size_t kept = evbuffer_get_length(source);
	assert_int_equal(evbuffer_get_length(target), strlen(text) - kept);
	assert_int_equal(secrets_mask(secrets, source, target, true), 0);
	assert_int_equal(evbuffer_get_length(target), strlen(text));
	assert_int_equal(secrets_mask(secrets, source, target, true), 0);
	evbuffer_free(source);
	evbuffer_free(target);
	return kept;
}

static void only_the_beginning_of_a_value_is_kept_back(void **state)
{
	(void)state;
	struct network_secret rule = rule_for("API_TOKEN", "env:TEST_SECRET", SECRET_HEADER);
	struct secrets *secrets = secrets_of(&rule, 1);
	assert_int_equal(kept_back(secrets, "an answer\n\n"), 0);
	assert_int_equal(kept_back(secrets, "one that ends in s"), 1);
	assert_int_equal(kept_back(secrets, "s3cr3t-Value/+=4"), strlen(value) - 1);
	assert_int_equal(kept_back(secrets, "s3cr3t-s3cr3t"), 6);
	assert_int_equal(kept_back(secrets, "s3cr3t-Value/+=42"), 0);
	assert_int_equal(kept_back(secrets, "s3cr3t-Value/+=42."), 0);
	secrets_free(secrets);

	rule.place = SECRET_BASIC;
	secrets = secrets_of(&rule, 1);
	/* "us": the value's first two bits stand in the third character. */
	char *encoded = strdup(base64("us", value, ""));
	encoded[3] = '\0';
	assert_int_equal(kept_back(secrets, encoded), 0);
	free(encoded);
	encoded = strdup(base64("us", value, ""));
	encoded[4] = '\0';
	assert_int_equal(kept_back(secrets, encoded), 2);
	free(encoded);
	assert_int_equal(kept_back(secrets, "{\"answer\": 42}"), 0);
	secrets_free(secrets);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sources_give_values),
		cmocka_unit_test(bad_sources_are_told),
		cmocka_unit_test(placeholders_look_like_tokens),
		cmocka_unit_test(a_header_gets_the_value),
		cmocka_unit_test(parts_and_names_are_refused),
		cmocka_unit_test(one_header_may_be_named),
		cmocka_unit_test(basic_credentials_get_the_value),
		cmocka_unit_test(a_query_gets_the_value),
		cmocka_unit_test(methods_and_paths_narrow),
		cmocka_unit_test(several_secrets_do_not_mix),
		cmocka_unit_test(placeholders_are_found_in_streams),
		cmocka_unit_test(values_are_masked),
		cmocka_unit_test(values_are_masked_as_encoders_write_them),
		cmocka_unit_test(values_that_overlap_are_masked_whole),
		cmocka_unit_test(basic_values_are_masked_in_base64),
		cmocka_unit_test(only_the_beginning_of_a_value_is_kept_back),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
