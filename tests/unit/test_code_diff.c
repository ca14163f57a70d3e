/* What a change would bring: each line of a table is one file of a diff, and the findings it must
 * have, and no others. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "gate/code_diff.h"

#include <string.h>

/* Lines of a hunk; those that start with none of its signs are added. */
static const struct sample {
	const char *path;
	const char *lines;
	const char *rules; /* without "diff-"; "" for none */
} samples[] = {
#include "diff_samples.h"
};

static void append_hunk(struct buffer *diff, const char *lines)
{
	cleanup_buffer struct buffer body = BUFFER_INIT(1024 * 1024);
	unsigned before = 0, after = 0;
	while (*lines) {
		size_t length = strcspn(lines, "\n");
		bool signed_line = length && strchr(" -+", lines[0]);
		char sign = signed_line ? lines[0] : '+';
		before += sign != '+';
		after += sign != '-';
		if (!signed_line)
			buffer_append_string(&body, "+");
		buffer_append(&body, lines, length);
		buffer_append_string(&body, "\n");
		lines += length + (lines[length] == '\n');
	}
	buffer_append_format(diff, "@@ -%u,%u +1,%u @@\n%s", before ? 1 : 0, before, after,
		body.data ? body.data : "");
}

static struct findings_list *check(const char *diff)
{
	struct findings_list *findings;
	assert_int_equal(code_check_diff(diff, strlen(diff), &findings), 0);
	return findings;
}

static void list_rules(const struct findings_list *findings, char *ret, size_t size)
{
	ret[0] = '\0';
	for (size_t i = 0; i < findings->count; i++) {
		const char *rule = findings->items[i].rule;
		if (strncmp(rule, "diff-", 5) == 0)
			rule += 5;
		size_t used = strlen(ret);
		snprintf(ret + used, size - used, "%s%s", used ? " " : "", rule);
	}
}

static void expect(const char *diff, const char *expected)
{
	char rules[1024];
	struct findings_list *findings = check(diff);
	list_rules(findings, rules, sizeof(rules));
	findings_free(findings);
	if (strcmp(rules, expected) != 0)
		fail_msg("%s\n  expected: %s\n  got:      %s", diff, expected, rules);
}

static void test_samples(void **state)
{
	(void)state;
	unsigned wrong = 0;
	assert_true(ARRAY_SIZE(samples) >= 120);
	for (size_t i = 0; i < ARRAY_SIZE(samples); i++) {
		cleanup_buffer struct buffer diff = BUFFER_INIT(1024 * 1024);
		char rules[1024];
		buffer_append_format(&diff,
			"diff --git a/%s b/%s\nindex 1111111..2222222 100644\n--- a/%s\n+++ b/%s\n",
			samples[i].path, samples[i].path, samples[i].path, samples[i].path);
		append_hunk(&diff, samples[i].lines);
		struct findings_list *findings = check(diff.data);
		list_rules(findings, rules, sizeof(rules));
		findings_free(findings);
		if (strcmp(rules, samples[i].rules) != 0) {
			print_error("%s\n%s\n  expected: %s\n  got:      %s\n", samples[i].path,
				samples[i].lines, samples[i].rules, rules);
			wrong++;
		}
	}
	assert_int_equal(wrong, 0);
}

static void test_modes_links_and_binaries(void **state)
{
	(void)state;
	expect("diff --git a/run b/run\nold mode 100644\nnew mode 100755\n", "executable");
	expect("diff --git a/run b/run\nold mode 100755\nnew mode 100644\n", "");
	expect("diff --git a/run b/run\nnew file mode 100755\nindex 0..1\n", "executable");
	expect("diff --git a/d/l b/d/l\nnew file mode 120000\n--- /dev/null\n+++ b/d/l\n"
	       "@@ -0,0 +1 @@\n+../x\n\\ No newline at end of file\n",
		"symlink");
	expect("diff --git a/l b/l\nnew file mode 120000\n--- /dev/null\n+++ b/l\n"
	       "@@ -0,0 +1 @@\n+../x\n",
		"symlink symlink-outside");
	expect("diff --git a/l b/l\nnew file mode 120000\n--- /dev/null\n+++ b/l\n"
	       "@@ -0,0 +1 @@\n+/etc/passwd\n",
		"symlink symlink-outside");
	expect("diff --git a/m b/m\nnew file mode 160000\n--- /dev/null\n+++ b/m\n"
	       "@@ -0,0 +1 @@\n+Subproject commit 0123\n",
		"submodule");
	expect("diff --git a/x.png b/x.png\nindex 1..2 100644\n"
	       "Binary files a/x.png and b/x.png differ\n",
		"binary");
	expect("diff --git a/x.so b/x.so\nnew file mode 100644\nindex 0..1\nGIT binary patch\n"
	       "literal 3\nKcmZ+++ b/y\n\nliteral 0\nHcmV\n\n",
		"binary-program");
	expect("diff --git a/x.so b/x.so\ndeleted file mode 100644\n"
	       "Binary files a/x.so and /dev/null differ\n",
		"");
}

static void test_files_by_their_names(void **state)
{
	(void)state;
	expect("diff --git a/.husky/pre-push b/.husky/pre-push\ndeleted file mode 100644\n",
		"hook");
	expect("diff --git a/x b/.git/hooks/post-commit\nsimilarity index 100%\nrename from x\n"
	       "rename to .git/hooks/post-commit\n",
		"path-outside hook");
	expect("--- a/x\n+++ b/../../etc/x\n@@ -0,0 +1 @@\n+y\n", "path-outside");
	expect("--- /dev/null\n+++ /etc/x\n@@ -0,0 +1 @@\n+y\n", "path-outside");
	expect("diff --git \"a/x\\342\\200\\256y\" \"b/x\\342\\200\\256y\"\nnew file mode 100644\n",
		"text-direction");
	expect("diff --git a/a b/.github/workflows/c.yml b/a b/.github/workflows/c.yml\n"
	       "old mode 100644\nnew mode 100755\n",
		"ci executable");
}

static void test_places_are_the_new_files(void **state)
{
	(void)state;
	struct findings_list *findings =
		check("diff --git a/a.go b/a.go\n--- a/a.go\n+++ b/a.go\n"
		      "@@ -10,3 +10,4 @@ func f() {\n a\n-b\n+c\n+InsecureSkipVerify: true\n d\n"
		      "@@ -100 +101 @@\n-x\n+InsecureSkipVerify: true\n");
	assert_int_equal(findings->count, 2);
	assert_string_equal(findings->items[0].file, "a.go");
	assert_int_equal(findings->items[0].line, 12);
	assert_int_equal(findings->items[1].line, 101);
	findings_free(findings);
	findings = check("--- a/a.py\n+++ b/a.py\n@@ -7,2 +7,3 @@\n     if x:\n"
			 "+        os.system(f\"ls {x}\")\n     y = eval(z)\n");
	assert_int_equal(findings->count, 1); /* eval() was there before */
	assert_string_equal(findings->items[0].rule, "py-shell-built");
	assert_int_equal(findings->items[0].line, 8);
	findings_free(findings);
}

static void test_combined_diffs(void **state)
{
	(void)state;
	expect("diff --cc a.go\nindex 1,2..3\n--- a/a.go\n+++ b/a.go\n@@@ -1,2 -1,1 +1,3 @@@\n"
	       "  a\n++InsecureSkipVerify: true\n +b\n- c\n",
		"tls-unchecked");
	expect("diff --cc a.go\n--- a/a.go\n+++ b/a.go\n@@@ -1,1 -1,1 +1,1 @@@\n"
	       "- InsecureSkipVerify: true\n -x\n++y\n",
		"");
}

static void test_what_surrounds_a_diff(void **state)
{
	(void)state;
	expect("From 0123 Mon Sep 17 00:00:00 2001\nSubject: x\n\n+ a list\n---\n x | 2 +-\n\n"
	       "diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n-- \n2.39.5\n\n"
	       "From 4567 Mon Sep 17 00:00:00 2001\n+ another\n",
		"");
	expect("diff --git a/x b/x\r\n--- a/x\r\n+++ b/x\r\n@@ -1,2 +1,2 @@\r\n-a\r\n+b\r\n\r\n",
		"");
	expect("", "");
	expect("diff --git a/x b/x\nindex 1..1\n", "");
}

static void test_malformed_diffs(void **state)
{
	(void)state;
	static const char *const malformed[] = {
		"hello\n",
		"--- a/x\n+++ b/x\n@@ -1 +1 @@\n+a\n",
		"--- a/x\n+++ b/x\n@@ -1,2 +1,1 @@\n a\nb\n",
		"--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n+c\n",
		"--- a/x\n+++ b/x\n@@ -1 +1\n",
		"--- a/x\n+++ b/x\n@@ -1 +x @@\n",
		"--- a/x\n+++ b/x\n@@ -1,999999999999 +1 @@\n",
		"--- a/x\n+++ b/x\n@@@@@@@@@@@@@@@@@@@@@@@@@@ -1 +1 @@\n",
	};
	for (size_t i = 0; i < ARRAY_SIZE(malformed); i++) {
		struct findings_list *findings = check(malformed[i]);
		if (findings->count == 0 || !findings->incomplete ||
			strcmp(findings->items[0].rule, "diff-malformed") != 0)
			fail_msg("taken for a diff:\n%s", malformed[i]);
		findings_free(findings);
	}
	/* What lies about its length is judged all the same. */
	expect("--- a/x.go\n+++ b/x.go\n@@ -1,1 +1,0 @@\n-a\n+InsecureSkipVerify: true\n",
		"malformed");
	expect("--- a/x.go\n+++ b/x.go\n@@ -1,2 +1,1 @@\n-a\n+b\n+InsecureSkipVerify: true\n",
		"malformed tls-unchecked");
}

static void test_lookalikes(void **state)
{
	(void)state;
	static const struct {
		enum ecosystem ecosystem;
		const char *name, *popular; /* NULL: none */
	} names[] = {
		{ECOSYSTEM_NPM, "lodash", NULL},
		{ECOSYSTEM_NPM, "lodahs", "lodash"},
		{ECOSYSTEM_NPM, "loadash", "lodash"},
		{ECOSYSTEM_NPM, "expresss", "express"},
		{ECOSYSTEM_NPM, "expres", "express"},
		{ECOSYSTEM_NPM, "crossenv", "cross-env"},
		{ECOSYSTEM_NPM, "cross_env", "cross-env"},
		{ECOSYSTEM_NPM, "lodash-js", "lodash"},
		{ECOSYSTEM_NPM, "preact", NULL},
		{ECOSYSTEM_NPM, "my-own-thing", NULL},
		{ECOSYSTEM_NPM, "ms2", NULL},
		{ECOSYSTEM_PYPI, "reqeusts", "requests"},
		{ECOSYSTEM_PYPI, "requests", NULL},
		{ECOSYSTEM_PYPI, "python_dateutil", NULL},
		{ECOSYSTEM_PYPI, "Python.DateUtil", NULL},
		{ECOSYSTEM_PYPI, "python-requests", "requests"},
		{ECOSYSTEM_PYPI, "\xd1\x80\xd0\xb0ndas", "pandas"},
		{ECOSYSTEM_PYPI, "djang0", "django"},
		{ECOSYSTEM_CRATES, "serde_jsom", "serde_json"},
		{ECOSYSTEM_CRATES, "serde_json", NULL},
		{ECOSYSTEM_CRATES, "tok1o", "tokio"},
		{ECOSYSTEM_CRATES, "rust_decima1", "rust_decimal"},
	};
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		const char *popular = lookalike_of(names[i].ecosystem, names[i].name);
		if (!names[i].popular ? popular != NULL
				      : !popular || strcmp(popular, names[i].popular) != 0)
			fail_msg("%s: %s", names[i].name, popular ? popular : "none");
	}
}

static void test_secrets_are_not_repeated(void **state)
{
	(void)state;
	struct findings_list *findings = check("--- a/x\n+++ b/x\n@@ -0,0 +1 @@\n"
					       "+k = \"AKIA"
					       "Q3EGRT7UXLKP4ZTM\"\n");
	cleanup_buffer struct buffer out = BUFFER_INIT(1024 * 1024);
	assert_int_equal(findings->count, 1);
	assert_int_equal(findings->items[0].severity, SEVERITY_CRITICAL);
	assert_int_equal(findings_json(findings, "x", &out), 0);
	assert_null(strstr(out.data, "RT7UXLKP"));
	findings_free(findings);
}

/* Lines whose checks would take the square of their length, if they were not bounded. */
static void test_hostile_lines(void **state)
{
	(void)state;
	static const char *const pieces[] = {"=", ":", "eyJ", "://", "a=", "AKIA", "\"", "chmod ",
		"curl |", "ghp_a", "a:b@", "- ", "\xe2\x80", "password=\"", "https://u:p"};
	for (size_t i = 0; i < ARRAY_SIZE(pieces); i++) {
		cleanup_buffer struct buffer diff = BUFFER_INIT(8 * 1024 * 1024);
		buffer_append_string(&diff, "--- a/.env\n+++ b/.env\n@@ -0,0 +1 @@\n+");
		while (diff.length_bytes < 256 * 1024)
			buffer_append_string(&diff, pieces[i]);
		buffer_append_string(&diff, "\n");
		findings_free(check(diff.data));
	}
}

int main(void)
{
	const struct CMUnitTest all[] = {
		cmocka_unit_test(test_samples),
		cmocka_unit_test(test_modes_links_and_binaries),
		cmocka_unit_test(test_files_by_their_names),
		cmocka_unit_test(test_places_are_the_new_files),
		cmocka_unit_test(test_combined_diffs),
		cmocka_unit_test(test_what_surrounds_a_diff),
		cmocka_unit_test(test_malformed_diffs),
		cmocka_unit_test(test_lookalikes),
		cmocka_unit_test(test_secrets_are_not_repeated),
		cmocka_unit_test(test_hostile_lines),
	};
	return cmocka_run_group_tests(all, NULL, NULL);
}
