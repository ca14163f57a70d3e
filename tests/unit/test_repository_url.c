/* What people and .gitmodules write for a repository. */
#include "base/cleanup.h"
#include "task/repository_url.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const struct {
	const char *written;
	enum repository_transport transport;
	const char *host;
	unsigned port;
	const char *text, *credentials;
} good[] = {
	{"/srv/project", REPOSITORY_LOCAL, NULL, 0, "/srv/project", NULL},
	{"project", REPOSITORY_LOCAL, NULL, 0, "project", NULL},
	{".", REPOSITORY_LOCAL, NULL, 0, ".", NULL},
	{"./a:b", REPOSITORY_LOCAL, NULL, 0, "./a:b", NULL},
	{"a/b:c", REPOSITORY_LOCAL, NULL, 0, "a/b:c", NULL},
	{"./-x", REPOSITORY_LOCAL, NULL, 0, "./-x", NULL},
	{"dir [1]", REPOSITORY_LOCAL, NULL, 0, "dir [1]", NULL},
	{"file:///srv/a%20b", REPOSITORY_LOCAL, NULL, 0, "/srv/a b", NULL},
	{"file://localhost/srv/a", REPOSITORY_LOCAL, NULL, 0, "/srv/a", NULL},
	{"https://Example.ORG/a/b.git", REPOSITORY_HTTPS, "example.org", 443,
		"https://example.org/a/b.git", NULL},
	{"HTTPS://example.org:443/a", REPOSITORY_HTTPS, "example.org", 443, "https://example.org/a",
		NULL},
	{"https://example.org:8443/a%20b/", REPOSITORY_HTTPS, "example.org", 8443,
		"https://example.org:8443/a%20b/", NULL},
	{"https://kim:p%40s%3As@example.org/a", REPOSITORY_HTTPS, "example.org", 443,
		"https://example.org/a", "kim:p@s:s"},
	{"https://token@example.org/a", REPOSITORY_HTTPS, "example.org", 443,
		"https://example.org/a", "token:"},
	{"https://[2001:DB8::1]:81/a", REPOSITORY_HTTPS, "2001:db8::1", 81,
		"https://[2001:db8::1]:81/a", NULL},
	{"http://example.org/a", REPOSITORY_HTTP, "example.org", 80, "http://example.org/a", NULL},
	{"ssh://git@example.org/a.git", REPOSITORY_SSH, "example.org", 22,
		"ssh://git@example.org/a.git", NULL},
	{"ssh://example.org:2222/~kim/a", REPOSITORY_SSH, "example.org", 2222,
		"ssh://example.org:2222/~kim/a", NULL},
	{"git@example.org:kim/a.git", REPOSITORY_SSH, "example.org", 22,
		"git@example.org:kim/a.git", NULL},
	{"example.org:a", REPOSITORY_SSH, "example.org", 22, "example.org:a", NULL},
	{"kim@[::1]:/a", REPOSITORY_SSH, "::1", 22, "kim@[::1]:/a", NULL},
	{"[::1]:a", REPOSITORY_SSH, "::1", 22, "[::1]:a", NULL},
};

static void test_good(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		cleanup_repository_url struct repository_url url = {0};
		struct error error = {0};
		if (repository_url_parse(good[i].written, &url, &error) < 0)
			fail_msg("%s: %s", good[i].written, error.message);
		assert_int_equal(url.transport, good[i].transport);
		assert_int_equal(url.port, good[i].port);
		assert_string_equal(url.text, good[i].text);
		assert_string_equal(url.host ? url.host : "", good[i].host ? good[i].host : "");
		assert_string_equal(url.credentials ? url.credentials : "",
			good[i].credentials ? good[i].credentials : "");
	}
}

static const struct {
	const char *written;
	int errno_value;
	const char *says; /* in the message or the hint */
} bad[] = {
	{"", EINVAL, "empty"},
	{"-u./x", EINVAL, "./-NAME"},
	{"--upload-pack=touch x", EINVAL, "begins with"},
	{"ext::sh -c touch% x", EPERM, "'ext'"},
	{"fd::17", EPERM, "'fd'"},
	{"::x", EPERM, "''"},
	{"git://example.org/a", EPERM, "'git'"},
	{"ftp://example.org/a", EPERM, "'ftp'"},
	{"htps://example.org/a", EPERM, "did you mean https://"},
	{"a\nb", EINVAL, "control"},
	{"a\x1b[2J", EINVAL, "control"},
	{"https://example.org/\xe2\x80\xae"
	 "b",
		EINVAL, "control"},
	{"https://example.org/a%0ab", EINVAL, "belong in no path"},
	{"https://example.org/a%00", EINVAL, "belong in no path"},
	{"https://example.org/a b", EINVAL, "belong in no path"},
	{"https://example.org/a?x=1", EINVAL, "belong in no path"},
	{"https://example.org/a#x", EINVAL, "belong in no path"},
	{"https://example.org", EINVAL, "no repository on it"},
	{"https://example.org/", EINVAL, "no repository on it"},
	{"https:///a", EINVAL, "no host"},
	{"https://-oProxyCommand=x/a", EINVAL, "no host"},
	{"ssh://-oProxyCommand=x/a", EINVAL, "no host"},
	{"ssh://-l@example.org/a", EINVAL, "user name"},
	{"ssh://kim:pass@example.org/a", EINVAL, "password"},
	{"ssh://a b@example.org/a", EINVAL, "user name"},
	{"-x@example.org:a", EINVAL, "begins with"},
	{"x@-example.org:a", EINVAL, "no host"},
	{"example.org:", EINVAL, "no repository on it"},
	{"example.org:-x", EINVAL, "no repository on it"},
	{"https://example.org:0/a", EINVAL, "port"},
	{"https://example.org:65536/a", EINVAL, "port"},
	{"https://example.org:+80/a", EINVAL, "port"},
	{"https://[::1/a", EINVAL, "no host"},
	{"https://[-x]/a", EINVAL, "no host"},
	{"https://exa%6dple.org/a", EINVAL, "no host"},
	{"file://example.org/a", EINVAL, "another host"},
	{"file:///a%00b", EINVAL, "%"},
	{"file:///a%zz", EINVAL, "%"},
};

static void test_bad(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		cleanup_repository_url struct repository_url url = {0};
		struct error error = {0};
		int r = repository_url_parse(bad[i].written, &url, &error);
		if (r != -bad[i].errno_value ||
			(!strstr(error.message, bad[i].says) && !strstr(error.hint, bad[i].says)))
			fail_msg("%s: %d: %s (%s)", bad[i].written, r, error.message, error.hint);
		assert_null(url.text);
	}
}

static void test_errors_keep_credentials(void **state)
{
	(void)state;
	static const char *const written[] = {"https://kim:hunter2@example.org",
		"https://kim:hunter2@/a", "https://kim:hunter2@example.org:x/a",
		"https://kim:hunter2%0a@example.org/a", "ssh://kim:hunter2@example.org/a",
		"git://kim:hunter2@example.org/a"};
	for (size_t i = 0; i < ARRAY_SIZE(written); i++) {
		cleanup_repository_url struct repository_url url = {0};
		struct error error = {0};
		assert_true(repository_url_parse(written[i], &url, &error) < 0);
		assert_null(strstr(error.message, "hunter2"));
		assert_null(strstr(error.hint, "hunter2"));
	}
}

static const struct {
	const char *base, *written, *text; /* NULL: an error */
} relatives[] = {
	{"https://example.org/a/b.git", "../c.git", "https://example.org/a/c.git"},
	{"https://example.org/a/b.git/", "../../c/d", "https://example.org/c/d"},
	{"https://example.org/a", "./c", "https://example.org/a/c"},
	{"https://example.org/a", "././../c", "https://example.org/c"},
	{"https://kim:x@example.org/a", "../c", "https://example.org/c"},
	{"https://example.org/a", "../../c", NULL},
	{"https://example.org:81/a/b", "../c", "https://example.org:81/a/c"},
	{"ssh://git@example.org/a/b", "../c", "ssh://git@example.org/a/c"},
	{"git@example.org:a/b", "../c", "git@example.org:a/c"},
	{"git@example.org:b", "../c", "git@example.org:c"},
	{"git@[::1]:a/b", "../c", "git@[::1]:a/c"},
	{"git@example.org:b", "../../c", NULL},
	{"git@example.org:b", "../-c", NULL},
	{"https://example.org/a", "https://example.com/c", "https://example.com/c"},
	{"https://example.org/a", "ext::sh -c x", NULL},
	{"https://example.org/a", "-u./x", NULL},
	{"/srv/a", "../c", "../c"},
	{"https:./e://p", "./../x", "https:./e://x"},
};

static void test_relative(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(relatives); i++) {
		cleanup_repository_url struct repository_url base = {0}, url = {0};
		struct error error = {0};
		assert_int_equal(repository_url_parse(relatives[i].base, &base, &error), 0);
		int r = repository_url_resolve(&base, relatives[i].written, &url, &error);
		if (!relatives[i].text) {
			assert_true(r < 0);
			continue;
		}
		if (r < 0)
			fail_msg("%s: %s", relatives[i].written, error.message);
		assert_string_equal(url.text, relatives[i].text);
		assert_null(url.credentials);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_bad),
		cmocka_unit_test(test_errors_keep_credentials),
		cmocka_unit_test(test_relative),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
