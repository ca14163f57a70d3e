/* Files through the box. Theory of operation: this process opens nothing of the workspace itself; a
 * small command in the same box that commands get reads or writes. So what is hidden from commands
 * is hidden here, a link that leads out of a writable root leads nowhere, and git reads a
 * stranger's repository where it can do no harm. The gate decides about a plain command that says
 * the same (`cat PATH`, `tee PATH`), which is also what is shown to whoever is asked. */
#include "session/story.h"

#include "base/cleanup.h"
#include "base/path.h"
#include "session/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* A file that stalls (a FIFO that came in its place, a file system that hangs) ends here. */
enum { FILE_TIMEOUT_MS = 60 * 1000 };

/* $1: the path; $2: the mode, or empty. A reader sees the old file or the new one, whole. */
static const char write_script[] =
	"set -e\n"
	"path=$(realpath -m -- \"$1\")\n"
	"directory=$(dirname -- \"$path\")\n"
	"mkdir -p -- \"$directory\"\n"
	"[ ! -d \"$path\" ] || { echo \"$path is a directory\" >&2; exit 21; }\n"
	"new=$(mktemp -- \"$directory/.coffer-write-XXXXXXXX\")\n"
	"trap 'rm -f -- \"$new\"' EXIT\n"
	"cat > \"$new\"\n"
	"if [ -n \"$2\" ]; then chmod -- \"$2\" \"$new\"\n"
	"elif [ -e \"$path\" ]; then chmod --reference=\"$path\" -- \"$new\"\n"
	"else chmod -- \"$(printf %o $((0666 & ~0$(umask))))\" \"$new\"; fi\n"
	"mv -fT -- \"$new\" \"$path\"\n"
	"trap - EXIT\n";

/* $1: the path; $2: offset; $3: limit. Its size first, in a line. */
static const char read_script[] =
	"set -e\n"
	"[ ! -e \"$1\" ] || [ -f \"$1\" ] || { echo \"$1 is no regular file\" >&2; exit 22; }\n"
	"exec 3< \"$1\"\n"
	"stat -L -c %s -- /dev/fd/3\n"
	"tail -c \"+$(($2 + 1))\" <&3 | head -c \"$3\"\n";

/* $1: the directory; $2: the depth. */
static const char list_script[] = "cd -- \"$1\" && exec find . -mindepth 1 -maxdepth \"$2\" "
				  "-printf '%y\\t%s\\t%T@\\t%m\\t%P\\0' -name .git -prune\n";

/* What a repository configures are programs, too: filters, hooks, monitors, a remote that missing
 * objects are fetched from. So git works in a repository that was made for this one diff, with the
 * real one's objects, index and harmless settings; what is within submodules is not looked at. New
 * files are shown, too: their names go into that index. */
static const char diff_script[] =
	"set -e\n"
	"top=$(git rev-parse --show-toplevel 2>/dev/null) || exit 23\n"
	"cd -- \"$top\"\n"
	"place() { git rev-parse --path-format=absolute --git-path \"$1\"; }\n"
	"index=$(place index) objects=$(place objects) info=$(place info)\n"
	"format=$(git rev-parse --show-object-format)\n"
	"head=$(git rev-parse -q --verify HEAD) || head=\n"
	"new=$(mktemp -d)\n"
	"trap 'rm -rf -- \"$new\"' EXIT\n"
	"own=\"$new/.git\"\n"
	"git init -q --template= --object-format=\"$format\" \"$new\"\n"
	"for name in autocrlf eol filemode ignorecase safecrlf symlinks; do\n"
	"	! value=$(git config --get \"core.$name\") ||\n"
	"		git --git-dir=\"$own\" config \"core.$name\" \"$value\"\n"
	"done\n"
	"git --git-dir=\"$own\" config core.hooksPath /dev/null\n"
	"git --git-dir=\"$own\" config core.fsmonitor false\n"
	"mkdir \"$own/info\"\n"
	"for file in \"$index\" \"${index%/*}\"/sharedindex.*; do\n"
	"	[ ! -f \"$file\" ] || cp -- \"$file\" \"$own\"\n"
	"done\n"
	"for name in attributes exclude; do\n"
	"	[ ! -f \"$info/$name\" ] || cp -- \"$info/$name\" \"$own/info\"\n"
	"done\n"
	"export GIT_DIR=\"$own\" GIT_WORK_TREE=\"$top\" GIT_OPTIONAL_LOCKS=0\n"
	"export GIT_ALTERNATE_OBJECT_DIRECTORIES=\"$objects\"\n"
	"git add -AN --ignore-errors -- . >/dev/null 2>&1 || :\n"
	"git diff --no-color --no-ext-diff --no-textconv --no-renames --ignore-submodules=dirty "
	"\"${head:-$(git hash-object -t tree /dev/null)}\" -- \"$@\"\n";

static int out_of_memory(struct story *story)
{
	return story_fail(story, RPC_INTERNAL_ERROR, "out_of_memory", ENOMEM, "the file's command");
}

static int add_words(struct strv *argv, const char *const words[], size_t count)
{
	int r = 0;
	for (size_t i = 0; r == 0 && i < count; i++)
		r = strv_add(argv, words[i]);
	return r;
}

/* The absolute path of "path", in place of what stood there. */
static char *take_path(struct story *story)
{
	const char *given = json_string_value(json_object_get(story->params, "path"));
	return story_host_path(story, given ? given : ".");
}

static json_t *input_of(const struct story *story, const char *path, const char *content)
{
	const json_t *text = content ? json_object_get(story->params, content) : NULL;
	return json_pack("{s:o, s:O*}", "file_path", json_of_text(path), "content", text);
}

/* Hooks and gate, for a plain command that says the same. 1: go on. */
static int pass_gate(struct story *story, json_t *input)
{
	json_t *updated = NULL;
	int r = story_before(story, input, &updated);
	bool changed = updated && !json_equal(updated, input);
	json_decref(updated);
	if (r == 1 && changed) /* the file would be another than the host believes */
		return story_refuse(story, "hook",
			"a hook changed what this tool was to do, which only commands can follow");
	return r == 1 ? story_settle(story, NULL) : r;
}

/* Runs a script with its arguments. The result is this file's to make. */
static int run_script(struct story *story, const char *script, const char *const arguments[],
	size_t count, struct box_run *run)
{
	cleanup_strv struct strv argv = {0};
	const char *const head[] = {"/bin/sh", "-c", script, "sh"};
	if (add_words(&argv, head, ARRAY_SIZE(head)) < 0 || add_words(&argv, arguments, count) < 0)
		return out_of_memory(story);
	story_note(story, "started", json_object());
	run->argv = &argv;
	run->timeout_ms = FILE_TIMEOUT_MS;
	int r = story_run(story, run);
	run->argv = NULL;
	return r;
}

/* A command that failed: what the box says of it, as with any other command. */
static int tell_failure(struct story *story, const struct box_run *run)
{
	int r = story_set_run(story, run);
	json_t *why = kept_text(&run->kept[1]);
	if (r == 0 && json_object_set_new(story->result, "reason", why) < 0)
		r = out_of_memory(story);
	return r;
}

static int finish(struct story *story, const struct box_run *run, json_t *input)
{
	int r = json_object_set_new(story->result, "cause", json_string("exited"));
	r |= json_object_set_new(story->result, "exit", json_integer(0));
	r |= json_object_set(story->result, "report", run->report);
	if (r < 0)
		return out_of_memory(story);
	json_t *response = json_pack(
		"{s:b, s:O*}", "success", 1, "filePath", json_object_get(input, "file_path"));
	return response ? story_after(story, input, response) : out_of_memory(story);
}

/* ---- write ---- */

static bool is_below_any(const char *path, const struct strv *roots)
{
	for (size_t i = 0; i < roots->count; i++)
		if (path_is_below(path, roots->items[i]))
			return true;
	return false;
}

/* Said before anybody is asked: a yes to the write alone would not open the place. */
static int check_place(struct story *story, const char *path)
{
	const struct session *session = story->session;
	if (session->mode == MODE_FULL_ACCESS)
		return 0;
	if (session->mode != MODE_READ_ONLY && is_below_any(path, &session->writable_roots))
		return 0;
	for (size_t i = 0; i < story->asks_count; i++)
		if (story->asks[i].kind == GRANT_UNSANDBOXED ||
			(story->asks[i].kind == GRANT_WRITE &&
				path_is_below(path, story->asks[i].value)))
			return 0;
	cleanup_free char *parent = path_parent(path);
	int r = story_fail(story, RPC_SERVER_ERROR, "outside_of_roots", EROFS,
		"%s is outside of what may be written", path);
	error_hint(&story->error, "ask for it: \"asks\": {\"write\": [\"%s\"]}",
		parent ? parent : "DIR");
	return r;
}

static int take_content(struct story *story)
{
	if (json_is_string(json_object_get(story->params, "content")) ==
		json_is_string(json_object_get(story->params, "content_base64")))
		return story_fail(story, RPC_INVALID_PARAMS, "invalid_params", EINVAL,
			"one of content and content_base64 is wanted");
	return story_take_stdin(story, "content", "content_base64");
}

static int write_it(struct story *story, const char *path, struct box_run *run, json_t *input)
{
	char mode[16] = "";
	const json_t *given = json_object_get(story->params, "mode");
	if (json_is_integer(given))
		snprintf(mode, sizeof(mode), "%o", (unsigned)json_integer_value(given));
	cleanup_free char *inside = story_inside_path(story, path);
	const char *const arguments[] = {inside, mode};
	int r = !inside ? out_of_memory(story)
			: run_script(story, write_script, arguments, ARRAY_SIZE(arguments), run);
	if (r == 0 && run->exit_code != 0)
		return tell_failure(story, run);
	if (r == 0)
		r = json_object_set_new(
			story->result, "bytes", json_integer((json_int_t)story->stdin_bytes));
	return r == 0 ? finish(story, run, input) : r;
}

int call_write(struct story *story)
{
	story->tool = "Write";
	struct box_run run = {.keep_bytes = DEFAULT_TOOL_OUTPUT_BYTES};
	cleanup_free char *path = take_path(story);
	const char *const command[] = {"tee", "--", path};
	json_t *input = path ? input_of(story, path, "content") : NULL;
	int r = input && add_words(&story->argv, command, ARRAY_SIZE(command)) == 0
			? take_content(story)
			: out_of_memory(story);
	if (r == 0)
		r = story_take_asks(story);
	if (r == 0)
		r = check_place(story, path);
	if (r == 0)
		r = pass_gate(story, input);
	if (r == 1)
		r = write_it(story, path, &run, input);
	box_run_release(&run);
	json_decref(input);
	return r;
}

/* ---- read ---- */

/* The size's line, then the bytes. */
static int take_read(struct story *story, const struct box_run *run, json_int_t offset)
{
	const struct kept *kept = &run->kept[0];
	const char *newline = memchr(kept->head, '\n', kept->head_bytes);
	if (!newline)
		return story_fail(story, RPC_INTERNAL_ERROR, "call_failed", EIO,
			"the file's size is missing");
	size_t head = (size_t)(newline + 1 - kept->head);
	size_t count = kept->head_bytes - head;
	long long size = strtoll(kept->head, NULL, 10);
	/* A limit that cuts a character leaves its beginning for the next read. */
	size_t cut =
		offset + (json_int_t)count < size ? text_incomplete_bytes(newline + 1, count) : 0;
	if (cut == count || !text_is_utf8(newline + 1, count - cut))
		cut = 0;
	int r = json_set_data(story->result, newline + 1, count - cut);
	r |= json_object_set_new(story->result, "size_bytes", json_integer(size));
	r |= json_object_set_new(story->result, "offset", json_integer(offset));
	r |= json_object_set_new(story->result, "bytes", json_integer((json_int_t)(count - cut)));
	r |= json_object_set_new(
		story->result, "more", json_boolean(offset + (json_int_t)(count - cut) < size));
	return r < 0 ? out_of_memory(story) : 0;
}

static int read_it(struct story *story, const char *path, struct box_run *run, json_t *input)
{
	json_int_t offset = json_integer_value(json_object_get(story->params, "offset"));
	json_int_t limit = json_integer_value(json_object_get(story->params, "limit"));
	char from[24], most[24];
	snprintf(from, sizeof(from), "%" PRId64, (int64_t)offset);
	snprintf(most, sizeof(most), "%" PRId64, (int64_t)(limit ? limit : MAX_TOOL_READ_BYTES));
	cleanup_free char *inside = story_inside_path(story, path);
	const char *const arguments[] = {inside, from, most};
	int r = !inside ? out_of_memory(story)
			: run_script(story, read_script, arguments, ARRAY_SIZE(arguments), run);
	if (r == 0 && run->exit_code != 0)
		return tell_failure(story, run);
	if (r == 0)
		r = take_read(story, run, offset);
	return r == 0 ? finish(story, run, input) : r;
}

int call_read_file(struct story *story)
{
	story->tool = "Read";
	struct box_run run = {.keep_bytes = MAX_TOOL_READ_BYTES + 32, .keep_from_the_start = true};
	cleanup_free char *path = take_path(story);
	const char *const command[] = {"cat", "--", path};
	json_t *input = path ? input_of(story, path, NULL) : NULL;
	int r = input && add_words(&story->argv, command, ARRAY_SIZE(command)) == 0
			? story_take_asks(story)
			: out_of_memory(story);
	if (r == 0)
		r = pass_gate(story, input);
	if (r == 1)
		r = read_it(story, path, &run, input);
	box_run_release(&run);
	json_decref(input);
	return r;
}

/* ---- list ---- */

static json_t *entry_of(const char *line)
{
	static const struct {
		char letter;
		const char *word;
	} kinds[] = {{'f', "file"}, {'d', "directory"}, {'l', "link"}};
	char letter, mode[16];
	long long size, seconds;
	int name = 0;
	if (sscanf(line, "%c\t%lld\t%lld%*[0-9.]\t%15[0-7]\t%n", &letter, &size, &seconds, mode,
		    &name) < 4 ||
		!name)
		return NULL;
	const char *kind = "other";
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (kinds[i].letter == letter)
			kind = kinds[i].word;
	return json_pack("{s:o, s:s, s:I, s:I, s:s}", "name", json_of_text(line + name), "kind",
		kind, "size_bytes", (json_int_t)size, "modified_ms", (json_int_t)(seconds * 1000),
		"mode", mode);
}

static int take_list(struct story *story, const struct box_run *run)
{
	const struct kept *kept = &run->kept[0];
	json_t *entries = json_array();
	bool incomplete = kept->bytes > kept->head_bytes;
	const char *at = kept->head, *end = kept->head + kept->head_bytes;
	for (const char *nul; (nul = memchr(at, '\0', (size_t)(end - at))); at = nul + 1) {
		if (json_array_size(entries) >= MAX_TOOL_LIST_ENTRIES) {
			incomplete = true;
			break;
		}
		json_t *entry = entry_of(at);
		if (entry)
			json_array_append_new(entries, entry);
	}
	int r = json_object_set_new(story->result, "entries", entries);
	r |= json_object_set_new(story->result, "incomplete", json_boolean(incomplete));
	return r < 0 ? out_of_memory(story) : 0;
}

int call_list(struct story *story)
{
	story->tool = "LS";
	struct box_run run = {.keep_bytes = MAX_TOOL_READ_BYTES, .keep_from_the_start = true};
	cleanup_free char *path = take_path(story);
	json_int_t depth = json_integer_value(json_object_get(story->params, "depth"));
	char levels[24];
	snprintf(levels, sizeof(levels), "%d", depth ? (int)depth : 1);
	cleanup_free char *inside = path ? story_inside_path(story, path) : NULL;
	const char *const command[] = {"ls", "--", path}, *const arguments[] = {inside, levels};
	json_t *input = inside ? json_pack("{s:o}", "path", json_of_text(path)) : NULL;
	int r = input && add_words(&story->argv, command, ARRAY_SIZE(command)) == 0
			? pass_gate(story, input)
			: out_of_memory(story);
	if (r == 1)
		r = run_script(story, list_script, arguments, ARRAY_SIZE(arguments), &run);
	if (r == 0 && run.report)
		/* find goes on behind a directory that cannot be read, and says so by its exit. */
		r = run.exit_code != 0 && run.kept[0].bytes == 0 ? tell_failure(story, &run)
		    : take_list(story, &run) < 0                 ? -ENOMEM
								 : finish(story, &run, input);
	box_run_release(&run);
	json_decref(input);
	return r;
}

/* ---- diff ---- */

int call_diff(struct story *story)
{
	story->tool = "Diff";
	struct box_run run = {.keep_bytes = MAX_TOOL_READ_BYTES, .keep_from_the_start = true};
	const char *const command[] = {"git", "diff"}, *paths[64];
	size_t i, count = 0;
	json_t *path;
	json_array_foreach(json_object_get(story->params, "paths"), i,
		path) if (count < ARRAY_SIZE(paths)) paths[count++] = json_string_value(path);
	json_t *input = json_pack("{s:s}", "path", story->directory);
	int r = input && add_words(&story->argv, command, ARRAY_SIZE(command)) == 0
			? pass_gate(story, input)
			: out_of_memory(story);
	if (r == 1)
		r = run_script(story, diff_script, paths, count, &run);
	if (r == 0 && run.report && run.exit_code == 23)
		r = story_fail(story, RPC_SERVER_ERROR, "not_a_repository", ENOENT,
			"%s is in no git repository", story->session->directory);
	else if (r == 0 && run.report && run.exit_code != 0)
		r = tell_failure(story, &run);
	else if (r == 0 && run.report) {
		r = json_object_set_new(story->result, "diff", kept_json(&run.kept[0]));
		r = r < 0 ? out_of_memory(story) : finish(story, &run, input);
	}
	box_run_release(&run);
	json_decref(input);
	return r;
}
