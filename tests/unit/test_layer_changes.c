/* What a box wrote into a layer, found again: real overlays, made as an ordinary user would, uppers
 * that no overlay would make, and copies. */
#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/path.h"
#include "layer/settle.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

static char top[64], base[80];

static void sh(const char *script)
{
	char *command;
	assert_true(asprintf(&command, "cd %s && set -e && { %s\n} >>log 2>&1", top, script) > 0);
	int status = system(command);
	free(command);
	if (status != 0) {
		char show[128];
		snprintf(show, sizeof(show), "tail -n 20 %s/log >&2", top);
		(void)!system(show);
		fail_msg("exit %d: %s", status, script);
	}
}

/* Runs script in the layer, in the base's place. */
static void box(struct layer *layer, const char *script)
{
	struct error error;
	assert_int_equal(layer_begin(layer, &error), 0);
	cleanup_strv struct strv below = {0};
	assert_int_equal(layer_uppers_below(layer, base, &below, &error), 0);
	char lower[8192] = "";
	for (size_t i = 0; i < below.count; i++) {
		strcat(lower, below.items[i]);
		strcat(lower, ":");
	}
	const char *root = layer->roots[0].directory;
	char *command;
	assert_true(asprintf(&command,
			    "cat >boxed <<'END'\nset -e\nmount -t overlay none -o "
			    "userxattr,lowerdir=%s%s,upperdir=%s/upper,workdir=%s/work %s\n"
			    "cd %s\n%s\nEND\nunshare -Urm sh boxed",
			    lower, base, root, root, base, base, script) > 0);
	sh(command);
	free(command);
}

static struct layer *make_layer(const char *name, const char *on)
{
	struct layer *layer = NULL;
	struct error error = {0};
	struct layer_options options = {.name = name, .on = on, .purpose = "run"};
	if (layer_create(&options, &layer, &error) < 0 ||
		layer_add_root(layer, base, base, geteuid(), getegid(), &error) < 0)
		fail_msg("%s", error.message);
	return layer;
}

static int describe(const struct layer_change *change, void *context)
{
	struct buffer *text = context;
	buffer_append_format(text, "%c%s %s", "AMD"[change->kind],
		change -> differences &LAYER_TYPE              ? "t"
			  : change->differences &LAYER_CONTENT ? "c"
							       : "",
		*change->path ? change->path : ".");
	if (change->differences & LAYER_MODE)
		buffer_append_string(text, " mode");
	if (change->differences & LAYER_XATTRS)
		buffer_append_string(text, " xattrs");
	buffer_append_string(text, "; ");
	return 0;
}

static void assert_changes(const struct layer *layer, const char *expected)
{
	cleanup_buffer struct buffer text = BUFFER_INIT(65536);
	struct error error = {0};
	int r = layer_changes(layer, describe, &text, &error);
	assert_string_equal(r < 0 ? error.message : text.data ? text.data : "", expected);
}

static struct layer_counts settle(struct layer *layer)
{
	struct layer_counts counts;
	struct error error = {0};
	if (layer_settle(layer, &counts, &error) < 0)
		fail_msg("%s", error.message);
	return counts;
}

static enum layer_host_state host_state(const struct layer *layer, const char *path)
{
	struct layer_records *records;
	struct error error;
	assert_int_equal(layer_records_read(layer, &layer->roots[0], &records, &error), 0);
	cleanup_free char *full = path_join(base, path);
	struct layer_entry now = {.at = -1};
	now.present = lstat(full, &now.st) == 0;
	enum layer_host_state state = layer_host_state(records, path, &now);
	layer_records_free(records);
	return state;
}

#define assert_host(layer, path, state) assert_int_equal(host_state(layer, path), state)

/* Until what was written cannot be taken for what comes after. */
static void let_clock_tick(void)
{
	usleep(30000);
}

static int set_up(void **state)
{
	(void)state;
	strcpy(top, "/var/tmp/coffer-layer.XXXXXX");
	if (!mkdtemp(top))
		return -1;
	snprintf(base, sizeof(base), "%s/base", top);
	setenv("XDG_STATE_HOME", top, 1);
	sh("mkdir -p base/d/e base/gone base/old; for f in a b c d/x d/e/y gone/1 gone/2 old/1; do "
	   "echo $f >base/$f; done; ln -s a base/link; chmod 755 base");
	let_clock_tick();
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	char command[256];
	snprintf(command, sizeof(command), "chmod -R u+rwx %s; rm -rf %s", top, top);
	return system(command);
}

/* ---- overlays ---- */

static void test_every_kind(void **state)
{
	(void)state;
	struct layer *layer = make_layer("kinds", NULL);
	box(layer,
		"echo more >>a; chmod 600 b; rm c; rm -r gone; rm -r old; mkdir old; echo n >old/n;"
		"ln -sf b link; mkdir -p new/deep; echo n >new/deep/f; mkfifo pipe;"
		"rm d/x; mkdir d/x; setfattr -n user.kind -v odd d/e; : >empty; ln a again");
	assert_changes(layer,
		"Mc a; A again; Mc b mode; D c; M d/e xattrs; Mt d/x mode; A empty; "
		"D gone; D gone/1; D gone/2; Mc link; A new; A new/deep; A new/deep/f; "
		"D old/1; A old/n; A pipe; ");
	struct layer_counts counts = settle(layer);
	assert_int_equal(counts.added, 7);
	assert_int_equal(counts.modified, 5);
	assert_int_equal(counts.deleted, 5);
	assert_int_equal(counts.bytes, strlen("a\nmore\n") * 2 + strlen("b\n") + 2 * strlen("n\n"));
	layer_close(layer);
}

static void test_nothing_written_is_nothing_changed(void **state)
{
	(void)state;
	struct layer *layer = make_layer("none", NULL);
	assert_changes(layer, "");
	box(layer, "cat a d/x >/dev/null; echo n >d/n; rm d/n; mkdir q; rmdir q");
	assert_changes(layer, "");
	struct layer_counts counts = settle(layer);
	assert_int_equal(counts.added + counts.modified + counts.deleted, 0);
	assert_true(layer->settled);
	layer_close(layer);
}

static int compare_content(const struct layer_change *change, void *context)
{
	(void)context;
	if (strcmp(change->path, "b") == 0)
		assert_int_equal(layer_same_content(change), 1);
	if (strcmp(change->path, "a") == 0)
		assert_int_equal(layer_same_content(change), 0);
	if (strcmp(change->path, "link") == 0) {
		cleanup_free char *before = NULL, *after = NULL;
		assert_int_equal(layer_link_before(change, &before), 0);
		assert_int_equal(layer_link_after(change, &after), 0);
		assert_string_equal(before, "a");
		assert_string_equal(after, "b");
	}
	if (strcmp(change->path, "pipe") == 0)
		assert_int_equal(layer_open_after(change), -EINVAL);
	return 0;
}

static void test_content(void **state)
{
	(void)state;
	struct layer *layer = make_layer("content", NULL);
	box(layer, "echo B >a; touch b; ln -sf b link; mkfifo pipe");
	struct error error;
	assert_int_equal(layer_changes(layer, compare_content, NULL, &error), 0);
	layer_close(layer);
}

static void test_stacks(void **state)
{
	(void)state;
	struct layer *lower = make_layer("lower", NULL);
	box(lower, "echo lower >a; rm b; rm -r gone; echo n >n; mkdir m; echo m >m/1; echo m >m/2");
	settle(lower);
	layer_close(lower);
	struct layer *upper = make_layer("upper", "lower");
	box(upper, "echo again >b; rm n; mkdir gone; echo 2 >gone/2; rm -r m; mkdir m; echo m >m/1;"
		   "rm d/x");
	assert_changes(upper, "Mc a; Mc b; D d/x; D gone/1; Mc gone/2; A m; A m/1; ");
	struct layer_counts counts = settle(upper);
	/* Of what lies below it: b, gone, gone/2; m/1; n, m/2, d/x. */
	assert_int_equal(counts.added, 3);
	assert_int_equal(counts.modified, 1);
	assert_int_equal(counts.deleted, 3);
	layer_close(upper);
	/* One in which nothing has run shows what it stands on. */
	struct layer *layer = NULL;
	struct layer_options options = {.name = "third", .on = "upper", .purpose = "fork"};
	struct error error;
	assert_int_equal(layer_create(&options, &layer, &error), 0);
	assert_changes(layer, "Mc a; Mc b; D d/x; D gone/1; Mc gone/2; A m; A m/1; ");
	layer_close(layer);
}

/* ---- records ---- */

static void test_host_changes_show(void **state)
{
	(void)state;
	struct layer *layer = make_layer("records", NULL);
	box(layer, "echo x >a; echo x >b; echo x >c; rm d/x; rm -r gone; echo x >n; echo x >m");
	settle(layer);
	static const char *const paths[] = {"a", "b", "c", "d/x", "gone", "gone/1", "n"};
	for (size_t i = 0; i < ARRAY_SIZE(paths); i++)
		assert_host(layer, paths[i], LAYER_HOST_SAME);
	sh("echo a >>base/a; rm base/b; chmod 600 base/d/x; echo 3 >base/gone/3; echo h >base/n");
	assert_host(layer, "a", LAYER_HOST_CHANGED);
	assert_host(layer, "b", LAYER_HOST_CHANGED);
	assert_host(layer, "c", LAYER_HOST_SAME);
	assert_host(layer, "d/x", LAYER_HOST_CHANGED);
	assert_host(layer, "gone/1", LAYER_HOST_SAME);
	assert_host(layer, "gone/3", LAYER_HOST_CHANGED);
	assert_host(layer, "n", LAYER_HOST_CHANGED);
	assert_host(layer, "m", LAYER_HOST_SAME);
	/* What was seen first stays, however often it is settled. */
	settle(layer);
	assert_host(layer, "a", LAYER_HOST_CHANGED);
	assert_host(layer, "n", LAYER_HOST_CHANGED);
	layer_close(layer);
}

static void test_changes_in_the_run_show(void **state)
{
	(void)state;
	struct layer *layer = make_layer("during", NULL);
	box(layer, "echo x >a; echo x >b; echo x >c; rm d/x; echo x >n");
	sh("sleep 0.03; echo h >>base/a; rm base/b; mv base/d/x q; mv q base/d/x");
	settle(layer);
	assert_host(layer, "a", LAYER_HOST_CHANGED);
	assert_host(layer, "b", LAYER_HOST_CHANGED);
	assert_host(layer, "c", LAYER_HOST_SAME);
	assert_host(layer, "d/x", LAYER_HOST_CHANGED);
	assert_host(layer, "n", LAYER_HOST_SAME);
	layer_close(layer);
}

/* A file that was written just before a run is not taken for one that was changed in it. */
static void test_a_change_just_before(void **state)
{
	(void)state;
	struct layer *layer = make_layer("before", NULL);
	for (int i = 0; i < 20; i++) {
		char script[128];
		snprintf(script, sizeof(script), "echo h%d >base/f%d; echo h >base/g%d", i, i, i);
		sh(script);
		snprintf(script, sizeof(script), "echo x >f%d; rm g%d", i, i);
		box(layer, script);
		settle(layer);
	}
	unsigned wrong = 0;
	for (int i = 0; i < 20; i++) {
		char path[16];
		snprintf(path, sizeof(path), "f%d", i);
		wrong += host_state(layer, path) != LAYER_HOST_SAME;
		path[0] = 'g';
		wrong += host_state(layer, path) != LAYER_HOST_SAME;
	}
	assert_int_equal(wrong, 0);
	layer_close(layer);
}

static void test_records_go_with_what_they_are_of(void **state)
{
	(void)state;
	struct layer *layer = make_layer("pruned", NULL);
	box(layer, "echo x >n; echo x >a");
	settle(layer);
	box(layer, "rm n");
	settle(layer);
	sh("echo host >base/n");
	let_clock_tick();
	box(layer, "echo x >>n");
	settle(layer);
	assert_host(layer, "n", LAYER_HOST_SAME);
	assert_host(layer, "a", LAYER_HOST_SAME);
	layer_close(layer);
}

static void test_records_of_a_stack(void **state)
{
	(void)state;
	struct layer *lower = make_layer("below", NULL);
	box(lower, "echo x >a; echo x >b; rm c");
	settle(lower);
	layer_close(lower);
	sh("echo h >base/a");
	let_clock_tick();
	struct layer *upper = make_layer("above", "below");
	box(upper, "echo y >a; echo y >c; rm d/x");
	settle(upper);
	assert_host(upper, "a", LAYER_HOST_CHANGED);
	assert_host(upper, "b", LAYER_HOST_SAME);
	assert_host(upper, "c", LAYER_HOST_SAME);
	assert_host(upper, "d/x", LAYER_HOST_SAME);
	layer_close(upper);
}

/* ---- uppers that no overlay makes ---- */

static void in_upper(const struct layer *layer, const char *script)
{
	char *command;
	assert_true(asprintf(&command, "cd %s/upper && %s", layer->roots[0].directory, script) > 0);
	sh(command);
	free(command);
}

static void test_other_marks(void **state)
{
	(void)state;
	struct layer *layer = make_layer("marks", NULL);
	in_upper(layer, "mkdir gone old d; setfattr -n user.overlay.opaque -v x gone; : >gone/1; "
			"setfattr -n user.overlay.whiteout -v y gone/1; : >gone/2; "
			"setfattr -n user.overlay.opaque -v y old; : >d/x; "
			"setfattr -n user.overlay.whiteout -v y d/x");
	assert_changes(layer, "Mc d/x; D gone/1; Mc gone/2; D old/1; ");
	layer_close(layer);
}

static void test_links_are_not_followed(void **state)
{
	(void)state;
	struct layer *layer = make_layer("links", NULL);
	in_upper(layer, "ln -s / d; ln -s ../../../../.. gone; ln -s loop loop");
	assert_changes(layer, "Mt d; D d/e; D d/e/y; D d/x; Mt gone; D gone/1; D gone/2; A loop; ");
	layer_close(layer);
}

static void test_depth_is_bounded(void **state)
{
	(void)state;
	struct layer *layer = make_layer("deep", NULL);
	in_upper(layer, "i=0; while [ $i -lt 1100 ]; do mkdir d; cd d; i=$((i+1)); done");
	struct error error;
	cleanup_buffer struct buffer text = BUFFER_INIT(16 << 20);
	assert_int_equal(layer_changes(layer, describe, &text, &error), -ELOOP);
	assert_non_null(strstr(error.message, "nested too deeply"));
	layer_close(layer);
}

static void test_path_length_is_bounded(void **state)
{
	(void)state;
	struct layer *layer = make_layer("long", NULL);
	in_upper(layer, "python3 -c 'import os\nfor _ in range(20):\n os.mkdir(\"n\" * 250); "
			"os.chdir(\"n\" * 250)'");
	struct error error;
	cleanup_buffer struct buffer text = BUFFER_INIT(16 << 20);
	assert_int_equal(layer_changes(layer, describe, &text, &error), -ENAMETOOLONG);
	layer_close(layer);
}

/* ---- copies ---- */

static void test_copies(void **state)
{
	(void)state;
	struct layer *layer = NULL;
	struct layer_options options = {.name = "copy", .purpose = "run", .kind = LAYER_COPY};
	struct error error;
	assert_int_equal(layer_create(&options, &layer, &error), 0);
	assert_int_equal(layer_add_root(layer, base, base, geteuid(), getegid(), &error), 0);
	char command[512];
	snprintf(command, sizeof(command), "cp -a base/. %s/upper", layer->roots[0].directory);
	sh(command);
	assert_int_equal(layer_settle(layer, NULL, &error), 0);
	assert_int_equal(layer_begin(layer, &error), 0);
	assert_changes(layer, "");
	let_clock_tick();
	/* The box keeps the times as they were; the host goes on, too. */
	in_upper(layer, "touch -r a stamp; echo X >a; touch -r stamp a; rm stamp c; rm -r gone; "
			"echo n >n; touch b; chmod 600 d/x; chmod 700 d; mkdir box; chmod 755 .");
	sh("echo host >base/d/e/y; echo new >base/host; rm base/old/1");
	assert_changes(layer, "Mc a; Mc b; A box; D c; M d mode; Mc d/x mode; D gone; D gone/1; "
			      "D gone/2; A n; ");
	struct layer_counts counts = settle(layer);
	assert_int_equal(counts.added, 2);
	assert_int_equal(counts.deleted, 4);
	assert_host(layer, "a", LAYER_HOST_SAME);
	assert_host(layer, "n", LAYER_HOST_SAME);
	sh("echo host >base/n; echo host >base/a");
	assert_host(layer, "a", LAYER_HOST_CHANGED);
	assert_host(layer, "n", LAYER_HOST_CHANGED);
	layer_close(layer);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		CASE(test_every_kind),
		CASE(test_nothing_written_is_nothing_changed),
		CASE(test_content),
		CASE(test_stacks),
		CASE(test_host_changes_show),
		CASE(test_changes_in_the_run_show),
		CASE(test_a_change_just_before),
		CASE(test_records_go_with_what_they_are_of),
		CASE(test_records_of_a_stack),
		CASE(test_other_marks),
		CASE(test_links_are_not_followed),
		CASE(test_depth_is_bounded),
		CASE(test_path_length_is_bounded),
		CASE(test_copies),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
