/* What .gitmodules may say. */
#include "base/cleanup.h"
#include "base/limits.h"
#include "task/clone_internal.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ID "1234567890123456789012345678901234567890"

static int parse(const char *config, size_t config_bytes, const char *links, size_t links_bytes,
	struct clone_modules *ret, struct error *error)
{
	return clone_modules_parse(config, config_bytes, links, links_bytes, ret, error);
}
#define PARSE(config, links, ret, error)                                                           \
	parse(config, sizeof(config) - 1, links, sizeof(links) - 1, ret, error)

static void test_good(void **state)
{
	(void)state;
	struct clone_modules modules;
	struct error error = {0};
	int r = PARSE("submodule.lib.path\nthird/lib\0submodule.lib.url\n../lib.git\0"
		      "submodule.a.b.path\nold\0submodule.a.b.path\nnew\0submodule.a.b.url\nx\0"
		      "submodule.lib.ignore\nall\0submodule.unrecorded.path\nu\0"
		      "submodule.unrecorded.url\nx\0submodule.urlless.path\nurlless\0"
		      "core.path\nx\0submodule.\0submodule.x\n\0",
		"160000 " ID " 0\tthird/lib\0"
		"160000 " ID " 0\tnew\0"
		"160000 " ID " 0\turlless\0"
		"160000 xyz 0\tu\0"
		"100644 " ID " 0\tu\0",
		&modules, &error);
	assert_int_equal(r, 0);
	assert_int_equal(modules.count, 2);
	assert_string_equal(modules.items[0].name, "lib");
	assert_string_equal(modules.items[0].path, "third/lib");
	assert_string_equal(modules.items[0].url, "../lib.git");
	assert_string_equal(modules.items[0].commit, ID);
	assert_string_equal(modules.items[1].name, "a.b");
	assert_string_equal(modules.items[1].path, "new");
	clone_modules_release(&modules);
}

static void test_names_that_lead_elsewhere(void **state)
{
	(void)state;
	static const char *const names[] = {"..", "../x", "a/../b", "a/./b", "/a", "a//b", "a/",
		"-x", ".git", "a/.GIT/b", "a/git~1", "a\\..\\b", "a\tb", ".g\xe2\x80\x8cit"};
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		for (int as_path = 0; as_path < 2; as_path++) {
			char config[512], links[512];
			const char *name = as_path ? "m" : names[i];
			const char *path = as_path ? names[i] : "m";
			int length = snprintf(config, sizeof(config),
				"submodule.%s.path\n%s%csubmodule.%s.url\nx", name, path, 0, name);
			int link = snprintf(links, sizeof(links), "160000 " ID " 0\t%s", path);
			struct clone_modules modules;
			struct error error = {0};
			int r = parse(config, (size_t)length + 1, links, (size_t)link + 1, &modules,
				&error);
			if (r != -EPERM)
				fail_msg("%s: %d", names[i], r);
			clone_modules_release(&modules);
		}
	}
}

static void test_too_many(void **state)
{
	(void)state;
	char config[(MAX_SUBMODULES + 1) * 32];
	size_t length = 0;
	for (int i = 0; i <= MAX_SUBMODULES; i++)
		length += (size_t)sprintf(config + length, "submodule.%d.path\n%d", i, i) + 1;
	struct clone_modules modules;
	struct error error = {0};
	assert_int_equal(parse(config, length, "", 0, &modules, &error), -E2BIG);
	clone_modules_release(&modules);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_names_that_lead_elsewhere),
		cmocka_unit_test(test_too_many),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
