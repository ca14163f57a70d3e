/* Rules that are added to a file that others read, edit and add to meanwhile. */
#include "gate/rule_write.h"

#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/fd.h"
#include "base/limits.h"
#include "gate/settle.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cmocka.h>

static char directory[64], file[128], staging[160];
static bool refuse, edit_meanwhile, hang;
static unsigned checks;

static char *content(const char *path)
{
	char *text = NULL;
	assert_int_equal(fd_read_file(AT_FDCWD, path, MAX_CONFIG_FILE_BYTES, &text, NULL), 0);
	return text;
}

static void write_text(const char *path, const char *text, mode_t mode)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
	assert_true(fd >= 0);
	assert_int_equal(fd_write_full(fd, text, strlen(text)), 0);
	assert_int_equal(fchmod(fd, mode), 0);
	close(fd);
}

/* Sees the whole new file, and the old one still in its place. */
static int check(const char *where, struct error *error)
{
	char path[256];
	struct stat st;
	snprintf(path, sizeof(path), "%s/coffer.toml", where);
	assert_int_equal(stat(path, &st), 0);
	assert_true(st.st_size > 0);
	if (hang) {
		kill(getpid(), SIGKILL);
		pause();
	}
	if (edit_meanwhile && checks++ == 0)
		write_text(file, "# an editor's\n", 0644);
	return refuse ? error_set(error, EINVAL, "config", "%s:1:1: bad", path) : 0;
}

static int append(const char *text, struct error *error)
{
	memset(error, 0, sizeof(*error));
	return rule_append_checked(file, text, check, error);
}

static int setup(void **state)
{
	(void)state;
	strcpy(directory, "/tmp/coffer-rules-XXXXXX");
	refuse = edit_meanwhile = hang = false;
	checks = 0;
	if (!mkdtemp(directory))
		return -1;
	snprintf(file, sizeof(file), "%s/coffer.toml", directory);
	snprintf(staging, sizeof(staging), "%s/.coffer.toml.new", directory);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	char command[128];
	snprintf(command, sizeof(command), "rm -rf '%s'", directory);
	return system(command);
}

static void it_is_added_at_the_end(void **state)
{
	(void)state;
	struct error error;
	write_text(file, "mode = \"read-only\"", 0640);
	assert_int_equal(append("[[rule]]\n", &error), 0);
	cleanup_free char *text = content(file);
	assert_string_equal(text, "mode = \"read-only\"\n\n[[rule]]\n");
	struct stat st;
	assert_int_equal(stat(file, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0640);
	assert_int_not_equal(access(staging, F_OK), 0);
}

static void owner_and_mode_are_kept(void **state)
{
	(void)state;
	struct error error;
	struct stat st;
	write_text(file, "# x\n", 0604);
	if (geteuid() == 0)
		assert_int_equal(chown(file, 1234, 4321), 0);
	assert_int_equal(append("a\n", &error), 0);
	assert_int_equal(stat(file, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0604);
	assert_int_equal(st.st_uid, geteuid() == 0 ? 1234 : geteuid());
	assert_int_equal(st.st_gid, geteuid() == 0 ? 4321 : getegid());
}

static void a_missing_file_is_made_for_the_user_alone(void **state)
{
	(void)state;
	struct error error;
	struct stat st;
	snprintf(file, sizeof(file), "%s/.config/coffer/coffer.toml", directory);
	assert_int_equal(append("[[rule]]\n", &error), 0);
	cleanup_free char *text = content(file);
	assert_string_equal(text, "[[rule]]\n");
	assert_int_equal(stat(file, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	snprintf(file, sizeof(file), "%s/.config", directory);
	assert_int_equal(stat(file, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
}

static void what_the_check_refuses_changes_nothing(void **state)
{
	(void)state;
	struct error error;
	write_text(file, "# old\n", 0644);
	refuse = true;
	assert_int_equal(append("[[rul\n", &error), -EINVAL);
	assert_non_null(strstr(error.message, "1:1: bad"));
	assert_non_null(strstr(error.hint, "is as it was"));
	cleanup_free char *text = content(file);
	assert_string_equal(text, "# old\n");
	assert_int_not_equal(access(staging, F_OK), 0);
}

static void a_file_that_would_be_too_long_is_left(void **state)
{
	(void)state;
	struct error error;
	cleanup_free char *text = malloc(MAX_CONFIG_FILE_BYTES);
	memset(text, '#', MAX_CONFIG_FILE_BYTES - 4);
	text[MAX_CONFIG_FILE_BYTES - 4] = '\0';
	write_text(file, text, 0644);
	assert_int_equal(append("[[rule]]\n", &error), -ENOBUFS);
	assert_non_null(strstr(error.message, "cannot grow"));
}

static void an_editor_that_saves_meanwhile_loses_nothing(void **state)
{
	(void)state;
	struct error error;
	write_text(file, "# old\n", 0644);
	edit_meanwhile = true;
	assert_int_equal(append("rule\n", &error), 0);
	cleanup_free char *text = content(file);
	assert_string_equal(text, "# an editor's\n\nrule\n");
}

static void a_killed_writer_is_in_nobodys_way(void **state)
{
	(void)state;
	struct error error;
	write_text(file, "# old\n", 0644);
	pid_t pid = fork();
	if (pid == 0) {
		hang = true;
		append("lost\n", &error);
		_exit(0);
	}
	int status;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(access(staging, F_OK), 0);
	assert_int_equal(append("rule\n", &error), 0);
	cleanup_free char *text = content(file);
	assert_string_equal(text, "# old\n\nrule\n");
	assert_int_not_equal(access(staging, F_OK), 0);
}

static unsigned count_of(const char *text, const char *line)
{
	unsigned count = 0;
	for (; (text = strstr(text, line)); text++)
		count++;
	return count;
}

static void writers_lose_nothing_of_one_another(void **state)
{
	(void)state;
	enum { WRITERS = 8, RULES = 6 };
	write_text(file, "# old\n", 0644);
	for (int i = 0; i < WRITERS; i++)
		if (fork() == 0) {
			struct error error;
			char text[64];
			for (int j = 0; j < RULES; j++) {
				snprintf(text, sizeof(text), "rule-%d-%d\n", i, j);
				if (append(text, &error) < 0)
					_exit(1);
			}
			_exit(0);
		}
	for (int i = 0, status; i < WRITERS; i++) {
		assert_true(wait(&status) > 0);
		assert_int_equal(status, 0);
	}
	cleanup_free char *text = content(file);
	for (int i = 0; i < WRITERS; i++)
		for (int j = 0; j < RULES; j++) {
			char line[64];
			snprintf(line, sizeof(line), "\nrule-%d-%d\n", i, j);
			assert_int_equal(count_of(text, line), 1);
		}
}

static void a_link_is_followed_unless_others_own_its_end(void **state)
{
	(void)state;
	struct error error;
	char dotfiles[128], target[192];
	struct stat st;
	snprintf(dotfiles, sizeof(dotfiles), "%s/dotfiles", directory);
	snprintf(target, sizeof(target), "%s/real.toml", dotfiles);
	assert_int_equal(mkdir(dotfiles, 0755), 0);
	write_text(target, "# kept\n", 0644);
	snprintf(file, sizeof(file), "%s/link.toml", directory);
	assert_int_equal(symlink(target, file), 0);
	snprintf(staging, sizeof(staging), "%s/.real.toml.new", dotfiles);
	/* The check above looks for coffer.toml: here only the place matters. */
	refuse = false;
	assert_int_equal(chmod(dotfiles, 0777), 0);
	assert_int_equal(append("rule\n", &error), -EPERM);
	assert_non_null(strstr(error.message, "others than you can write"));
	assert_int_equal(chmod(dotfiles, 0755), 0);
	assert_int_equal(chmod(target, 0666), 0);
	assert_int_equal(append("rule\n", &error), -EPERM);
	assert_int_equal(lstat(file, &st), 0);
	assert_true(S_ISLNK(st.st_mode));
	cleanup_free char *text = content(target);
	assert_string_equal(text, "# kept\n");
}

static int agree(const char *where, struct error *error)
{
	(void)where, (void)error;
	return 0;
}

static void a_link_stays_a_link(void **state)
{
	(void)state;
	struct error error;
	char target[192];
	struct stat st;
	snprintf(target, sizeof(target), "%s/real.toml", directory);
	write_text(target, "# kept\n", 0600);
	assert_int_equal(symlink(target, file), 0);
	assert_int_equal(rule_append_checked(file, "rule\n", agree, &error), 0);
	assert_int_equal(lstat(file, &st), 0);
	assert_true(S_ISLNK(st.st_mode));
	cleanup_free char *text = content(target);
	assert_string_equal(text, "# kept\n\nrule\n");
}

/* --- the rule's text -------------------------------------------------------------------------- */

static void the_text_cannot_be_broken_out_of(void **state)
{
	(void)state;
	char *argv[] = {"npm", "a\n[[rule]]\nprefix = [\"sh\"]", "\"\\\xe2\x80\xae", NULL};
	struct gate_part part = {.argv = {.items = argv, .count = 3}};
	struct analysis analysis = {.parts = &part, .count = 1};
	struct grant grants[] = {{GRANT_NETWORK, "a.example"}, {GRANT_WRITE, "/srv/\"x"},
		{GRANT_NETWORK, "b.example:22"}};
	struct grant others = {GRANT_NETWORK, "another-rules.example"};
	struct gate_decision decision = {.analysis = &analysis,
		.grants = &others,
		.grants_count = 1,
		.rule_prefix = part.argv};
	struct gate_request request = {.directory = "/w", .asks = grants, .asks_count = 3};
	struct approval_request question = {.request = &request, .decision = &decision};
	cleanup_buffer struct buffer out = BUFFER_INIT(8192);
	assert_int_equal(rule_text(&question, &out), 0);
	assert_int_equal(strncmp(out.data, "# 20", 4), 0);
	const char *rest = strchr(out.data, '\n');
	assert_non_null(strstr(out.data, ", for: npm 'a [[rule]] prefix = [\"sh\"]'"));
	assert_string_equal(rest,
		"\n[[rule]]\n"
		"prefix = [\"npm\", \"a\\U0000000A[[rule]]\\U0000000Aprefix = [\\\"sh\\\"]\", "
		"\"\\\"\\\\\\U0000202E\"]\n"
		"in = \"/w\"\n"
		"network = [\"a.example\", \"b.example:22\"]\n"
		"write = [\"/srv/\\\"x\"]\n"
		"decision = \"allow\"\n");
}

static void what_no_rule_can_say(void **state)
{
	(void)state;
	char *argv[] = {"x\xff", NULL};
	struct grant grants[] = {{GRANT_UNSANDBOXED, NULL}, {GRANT_SECRET, "/home/u/.netrc"}};
	struct gate_decision decision = {0};
	struct gate_request request = {.directory = "/w"};
	struct approval_request question = {.request = &request, .decision = &decision};
	cleanup_buffer struct buffer out = BUFFER_INIT(8192);
	assert_int_equal(rule_text(&question, &out), -EOPNOTSUPP); /* no prefix */
	decision.rule_prefix = (struct strv){.items = argv, .count = 1};
	assert_int_equal(rule_text(&question, &out), -EILSEQ);
	argv[0] = "x";
	request.asks_count = 1;
	for (int i = 0; i < 2; i++) {
		request.asks = grants + i;
		assert_int_equal(rule_text(&question, &out), -EOPNOTSUPP);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(it_is_added_at_the_end),
		TEST(owner_and_mode_are_kept),
		TEST(a_missing_file_is_made_for_the_user_alone),
		TEST(what_the_check_refuses_changes_nothing),
		TEST(a_file_that_would_be_too_long_is_left),
		TEST(an_editor_that_saves_meanwhile_loses_nothing),
		TEST(a_killed_writer_is_in_nobodys_way),
		TEST(writers_lose_nothing_of_one_another),
		TEST(a_link_is_followed_unless_others_own_its_end),
		TEST(a_link_stays_a_link),
		cmocka_unit_test(the_text_cannot_be_broken_out_of),
		cmocka_unit_test(what_no_rule_can_say),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
