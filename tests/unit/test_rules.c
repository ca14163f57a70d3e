/* Rules against parts: which one wins, what a prefix covers, programs and directories, examples. */
#include "base/cleanup.h"
#include "base/fd.h"
#include "gate/rules.h"
#include "gate/rules_program.h"

#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

enum { RULES = 16, WORDS = 4 };

/* A configuration whose rules are written as "npm test|run" lines. */
struct world {
	struct config config;
	struct config_rule rules[RULES];
	struct rule_word words[RULES][WORDS];
	struct rule_index *index;
	char directory[64];
	char path[256];
};

static struct config_rule *add_rule(struct world *w, enum verdict decision, const char *prefix)
{
	struct config_rule *rule = &w->rules[w->config.rules_count];
	struct rule_word *words = w->words[w->config.rules_count];
	*rule = (struct config_rule){.prefix = words, .decision = decision, .place.line = 1};
	cleanup_free char *copy = strdup(prefix);
	char *rest = copy;
	for (char *word; (word = strsep(&rest, " "));) {
		for (char *one; (one = strsep(&word, "|"));)
			assert_int_equal(strv_add(&words[rule->prefix_count].any, one), 0);
		rule->prefix_count++;
	}
	w->config.rules = w->rules;
	w->config.rules_count++;
	return rule;
}

static void make_program(const struct world *w, const char *name)
{
	char path[128];
	snprintf(path, sizeof(path), "%s/%s", w->directory, name);
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0755);
	assert_true(fd >= 0);
	close(fd);
}

static int set_up(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	strcpy(w->directory, "/tmp/coffer-rules-XXXXXX");
	assert_non_null(mkdtemp(w->directory));
	static const char *const directories[] = {"early", "late", "work"};
	for (size_t i = 0; i < ARRAY_SIZE(directories); i++) {
		char path[128];
		snprintf(path, sizeof(path), "%s/%s", w->directory, directories[i]);
		assert_int_equal(mkdir(path, 0755), 0);
	}
	make_program(w, "late/tool");
	make_program(w, "work/tool");
	snprintf(w->path, sizeof(w->path), "%s/early:%s/late", w->directory, w->directory);
	*state = w;
	return 0;
}

static int tear_down(void **state)
{
	struct world *w = *state;
	char command[128];
	snprintf(command, sizeof(command), "rm -rf '%s'", w->directory);
	assert_int_equal(system(command), 0);
	for (size_t i = 0; i < RULES; i++)
		for (size_t k = 0; k < WORDS; k++)
			strv_release(&w->words[i][k].any);
	rule_index_free(w->index);
	free(w);
	return 0;
}

/* The rule that decides about the first part of a line, as its number, or -1. */
static int match(struct world *w, const char *line)
{
	char work[128];
	snprintf(work, sizeof(work), "%s/work", w->directory);
	rule_index_free(w->index);
	w->index = NULL;
	assert_int_equal(rule_index_new(&w->config, &w->index), 0);
	const struct analysis_context files = {.directory = work};
	struct analysis *analysis;
	assert_int_equal(analyze_shell(line, strlen(line), &files, &analysis), 0);
	assert_true(analysis->count > 0);
	const struct rule_context where = {work, w->path, NULL};
	const struct config_rule *found =
		rules_match(&w->config, w->index, &analysis->parts[0], &where);
	/* The index finds what a walk over all rules finds. */
	size_t fitting = 0;
	for (size_t i = 0; i < w->config.rules_count; i++)
		fitting += rule_fits(&w->rules[i], &analysis->parts[0], &where);
	assert_int_equal(fitting > 0, found != NULL);
	analysis_free(analysis);
	return found ? (int)(found - w->rules) : -1;
}

static void the_strictest_wins_then_the_longest(void **state)
{
	struct world *w = *state;
	add_rule(w, VERDICT_ALLOW, "npm");
	add_rule(w, VERDICT_ALLOW, "npm test|run");
	add_rule(w, VERDICT_ASK, "npm run deploy");
	add_rule(w, VERDICT_FORBID, "npm publish");
	add_rule(w, VERDICT_FORBID, "npm run deploy prod");
	assert_int_equal(match(w, "npm install"), 0);
	assert_int_equal(match(w, "npm test"), 1);
	assert_int_equal(match(w, "npm run build"), 1);
	assert_int_equal(match(w, "npm run deploy"), 2);
	assert_int_equal(match(w, "npm run deploy prod now"), 4);
	assert_int_equal(match(w, "npm publish"), 3);
	assert_int_equal(match(w, "yarn test"), -1);
	assert_int_equal(match(w, "x=1"), -1);
}

static void every_word_of_the_prefix_must_be_known(void **state)
{
	struct world *w = *state;
	add_rule(w, VERDICT_ALLOW, "npm test|run");
	add_rule(w, VERDICT_FORBID, "npm publish");
	assert_int_equal(match(w, "npm 'test'"), 0);
	assert_int_equal(match(w, "\"npm\" t\\est"), 0);
	assert_int_equal(match(w, "npm $x"), -1);
	assert_int_equal(match(w, "npm te*"), -1);
	assert_int_equal(match(w, "npm"), -1);
	assert_int_equal(match(w, "npm tests"), -1);
	assert_int_equal(match(w, "npm --prefix test"), -1);
}

static void variables_before_it_are_not_covered(void **state)
{
	struct world *w = *state;
	add_rule(w, VERDICT_ALLOW, "npm test");
	add_rule(w, VERDICT_FORBID, "git push");
	assert_int_equal(match(w, "CI=1 npm test"), 0);
	assert_int_equal(match(w, "LC_ALL=C TZ=UTC npm test"), 0);
	assert_int_equal(match(w, "FOO=1 npm test"), -1);
	assert_int_equal(match(w, "CI=1 NODE_OPTIONS=x npm test"), -1);
	assert_int_equal(match(w, "FOO=1 git push"), 1);
	assert_int_equal(match(w, "PATH=/x git push"), 1);
}

static void paths_to_programs(void **state)
{
	struct world *w = *state;
	char line[256];
	add_rule(w, VERDICT_ALLOW, "tool");
	assert_int_equal(match(w, "tool"), 0);
	snprintf(line, sizeof(line), "%s/late/tool x", w->directory);
	assert_int_equal(match(w, line), 0);
	assert_int_equal(match(w, "./tool"), -1);
	assert_int_equal(match(w, "../late/tool"), 0);
	assert_int_equal(match(w, "/nowhere/tool"), -1);
	/* What restricts is not escaped by another spelling. */
	w->rules[0].decision = VERDICT_FORBID;
	assert_int_equal(match(w, "./tool"), 0);
	assert_int_equal(match(w, "/nowhere/tool"), 0);
}

static void a_rule_about_a_program_is_not_met_by_a_look_alike(void **state)
{
	struct world *w = *state;
	char program[128], link[128];
	snprintf(program, sizeof(program), "%s/late/tool", w->directory);
	struct config_rule *rule = add_rule(w, VERDICT_ALLOW, "tool");
	rule->program = program;
	assert_int_equal(match(w, "tool"), 0);
	/* A link to the program is the program. */
	snprintf(link, sizeof(link), "%s/early/tool", w->directory);
	assert_int_equal(symlink(program, link), 0);
	assert_int_equal(match(w, "tool"), 0);
	/* Another one earlier in PATH is not. */
	assert_int_equal(unlink(link), 0);
	make_program(w, "early/tool");
	assert_int_equal(match(w, "tool"), -1);
	assert_int_equal(match(w, "./tool"), -1);
}

static void a_rule_about_a_directory(void **state)
{
	struct world *w = *state;
	char within[128];
	struct config_rule *rule = add_rule(w, VERDICT_ALLOW, "npm");
	snprintf(within, sizeof(within), "%s/work", w->directory);
	rule->within = within;
	assert_int_equal(match(w, "npm"), 0);
	rule->within = w->directory;
	assert_int_equal(match(w, "npm"), 0);
	snprintf(within, sizeof(within), "%s/wor", w->directory);
	rule->within = within;
	assert_int_equal(match(w, "npm"), -1);
}

static void what_cannot_be_decided_is_never_allowed(void **state)
{
	struct world *w = *state;
	add_rule(w, VERDICT_ALLOW, "bash");
	add_rule(w, VERDICT_ALLOW, "eval");
	assert_int_equal(match(w, "bash -c \"$x\""), -1);
	assert_int_equal(match(w, "eval \"$x\""), -1);
	assert_int_equal(match(w, "bash -c ls"), 0);
	w->rules[0].decision = VERDICT_ASK;
	assert_int_equal(match(w, "bash -c \"$x\""), 0);
}

static void examples_are_checked(void **state)
{
	struct world *w = *state;
	struct error error = {0};
	struct config_rule *rule = add_rule(w, VERDICT_ALLOW, "npm test|run");
	rule->place =
		(struct config_place){.file = "/etc/coffer/coffer.toml", .line = 7, .column = 3};
	rule->program = (char *)"/nowhere/npm";
	rule->within = (char *)"/nowhere";
	strv_add(&rule->matches, "npm test");
	strv_add(&rule->matches, "cd x && npm run build | tail");
	strv_add(&rule->not_matches, "npm install; echo npm test");
	assert_int_equal(rule_check_examples(rule, &error), 0);

	strv_add(&rule->matches, "npm tset");
	assert_int_equal(rule_check_examples(rule, &error), -EINVAL);
	assert_non_null(strstr(error.message, "/etc/coffer/coffer.toml:7:3"));
	assert_non_null(strstr(error.message, "does not match 'npm tset'"));
	strv_release(&rule->matches);

	strv_add(&rule->not_matches, "bash -c 'npm test'");
	assert_int_equal(rule_check_examples(rule, &error), -EINVAL);
	assert_non_null(strstr(error.message, "matches 'bash -c"));
	strv_release(&rule->not_matches);

	strv_add(&rule->matches, "npm 'test");
	assert_int_equal(rule_check_examples(rule, &error), -EINVAL);
	assert_non_null(strstr(error.message, "is no shell line"));
	strv_release(&rule->matches);
}

static void programs_are_found_as_exec_finds_them(void **state)
{
	struct world *w = *state;
	char work[128], resolved[PATH_MAX], path[512];
	snprintf(work, sizeof(work), "%s/work", w->directory);
	assert_true(program_resolve("tool", work, w->path, resolved));
	assert_non_null(strstr(resolved, "/late/tool"));
	/* An empty entry is the directory itself, a relative one lies below it. */
	snprintf(path, sizeof(path), ":%s", w->path);
	assert_true(program_resolve("tool", work, path, resolved));
	assert_non_null(strstr(resolved, "/work/tool"));
	assert_true(program_resolve("tool", w->directory, "work:late", resolved));
	assert_non_null(strstr(resolved, "/work/tool"));
	assert_false(program_resolve("tool", work, "/nowhere", resolved));
	assert_false(program_resolve("tool", work, NULL, resolved));
	assert_false(program_resolve("", work, w->path, resolved));
	/* A directory of that name is no program. */
	assert_false(program_resolve("late", w->directory, w->directory, resolved));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_strictest_wins_then_the_longest),
		TEST(every_word_of_the_prefix_must_be_known),
		TEST(variables_before_it_are_not_covered),
		TEST(paths_to_programs),
		TEST(a_rule_about_a_program_is_not_met_by_a_look_alike),
		TEST(a_rule_about_a_directory),
		TEST(what_cannot_be_decided_is_never_allowed),
		TEST(examples_are_checked),
		TEST(programs_are_found_as_exec_finds_them),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
