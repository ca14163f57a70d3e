/* Theory of operation. Two throw-away layers, one on the prepared layer and one on the agent's; in a
 * box on each, git makes a tree of what is there, with a .git of its own whose objects stand on the
 * clone's. What differs between the two trees, less what must not or cannot leave (pack_choose.c),
 * is put on the clone's commit in a third run: so what set-up did is not in the patch, and the patch
 * applies to the commit. Patch and bundle are then copied out, whole or not at all. */
#include "task/pack.h"

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/limits.h"
#include "base/path.h"
#include "base/sys.h"
#include "layer/layer.h"
#include "task/git_box.h"
#include "task/pack_commit_script.h"
#include "task/pack_internal.h"
#include "task/pack_tree_script.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>

static const char stage[] = "patch";

#define CLONE_GIT "/source/git"
#define PREPARED "/source/prepared"

enum { COPY_BYTES = 128 * 1024 };

struct pack {
	const struct pack_request *request;
	struct pack_result *result;
	char out[32]; /* the directory in the home of each box: nobody could have made it before */
	char *prepared_scratch, *final_scratch; /* layers */
	struct task_view views[2];
	char *viewed[2]; /* what they show */
	size_t views_count;
	struct pack_tree prepared, final;
	int *uppers; /* of the agent's layers, down to the prepared one */
	size_t uppers_count;
	struct error *error;
};

static int no_memory(const struct pack *pack)
{
	return error_set_errno(pack->error, ENOMEM, stage, "the patch");
}

/* ---- throw-away layers ---- */

static int discard(const char *which, struct error *error)
{
	struct layer *layer = NULL;
	int r = layer_open(which, LAYER_WRITE, &layer, error);
	return r < 0 ? r : layer_discard(layer, error);
}

/* The name tells the next one who packs the same what a killed one has left. */
static int make_scratch(const struct pack *pack, const char *on, const char *kind, char **ret)
{
	char name[MAX_LAYER_NAME_BYTES + 1];
	struct layer *layer = NULL;
	struct error ignored;
	snprintf(name, sizeof(name), "pack-%s-%.16s", kind, pack->request->agent_layer);
	discard(name, &ignored);
	const struct layer_options options = {.name = name, .on = on, .purpose = "scratch"};
	int r = layer_create(&options, &layer, pack->error);
	if (r < 0)
		return r;
	*ret = strdup(layer->id);
	layer_close(layer);
	return *ret ? 0 : no_memory(pack);
}

/* ---- the boxes ---- */

static int run_script(const struct pack *pack, const char *layer, const char *script,
	const char *const more[][2], size_t more_count, int input)
{
	const struct pack_request *request = pack->request;
	cleanup_strv struct strv environment = {0}, settings = {0};
	int r = git_box_set(&environment, "OUT", pack->out);
	if (r == 0)
		r = git_box_set(&environment, "COMMIT", request->commit);
	for (size_t i = 0; r == 0 && i < more_count; i++)
		r = git_box_set(&environment, more[i][0], more[i][1]);
	for (size_t i = 0; r == 0 && request->settings && i < request->settings->count; i++)
		r = strv_add(&settings, request->settings->items[i]);
	if (r == 0)
		r = strv_add(&settings, "net=off");
	if (r < 0)
		return no_memory(pack);
	const struct git_box box = {.layer = layer,
		.script = script,
		.what = "making the patch",
		.environment = &environment,
		.settings = &settings,
		.views = pack->views,
		.views_count = pack->views_count,
		.input = input,
		.log = request->log,
		.tick = request->tick,
		.context = request->context};
	struct git_box_result ended;
	r = git_box_run(&box, &ended, pack->error);
	if (r < 0 || ended.exit_code == GIT_DONE)
		return r;
	return error_set(pack->error, EIO, stage, "git could not make the patch (exit %d): %s",
		ended.exit_code, ended.words);
}

static int add_view(
	struct pack *pack, const char *layer, const char *root, const char *path, const char *at)
{
	char **from = &pack->viewed[pack->views_count];
	int r = git_box_directory(layer, root, path, from, pack->error);
	if (r == 0)
		pack->views[pack->views_count++] = (struct task_view){.from = *from, .at = at};
	return r;
}

static const char *const list_names[PACK_LISTS] = {
	[PACK_NESTED] = "nested",
	[PACK_EMPTY] = "empty",
	[PACK_SPECIAL] = "special",
	[PACK_LARGE] = "large",
	[PACK_LEFT] = "left",
	[PACK_LINKS] = "links",
	[PACK_DIGESTS] = "digests",
	[PACK_CHANGES] = "changes",
	[PACK_SIZES] = "sizes",
};

static int read_out(const struct pack *pack, const char *layer, const char *name, size_t max_bytes,
	char **ret, size_t *ret_length)
{
	cleanup_free char *path = path_join(pack->out, name);
	return path ? git_box_read(layer, TASK_HOME, path, max_bytes, ret, ret_length, pack->error)
		    : no_memory(pack);
}

static int make_tree(struct pack *pack, const char *layer, struct pack_tree *ret, size_t lists)
{
	char large[32];
	snprintf(large, sizeof(large), "%d", MAX_PACK_FILE_BYTES);
	const char *const more[][2] = {{"LARGE", large}};
	int r = run_script(pack, layer, pack_tree_script, more, ARRAY_SIZE(more), -1);
	for (size_t i = 0; r == 0 && i < lists; i++)
		r = read_out(pack, layer, list_names[i], MAX_PACK_LIST_BYTES, &ret->lists[i].text,
			&ret->lists[i].length_bytes);
	return r;
}

/* ---- what the agent wrote ---- */

static int open_upper(struct pack *pack, const struct layer *layer)
{
	for (size_t i = 0; i < layer->roots_count; i++) {
		if (strcmp(layer->roots[i].path, TASK_WORKSPACE) != 0)
			continue;
		cleanup_free char *upper = path_join(layer->roots[i].directory, "upper");
		int fd = upper ? open(upper, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC) : -1;
		if (fd < 0)
			return error_set_errno(
				pack->error, upper ? errno : ENOMEM, stage, "layer %s", layer->id);
		pack->uppers[pack->uppers_count++] = fd;
	}
	return 0;
}

static int open_uppers(struct pack *pack)
{
	const struct pack_request *request = pack->request;
	struct layer *agent = NULL, *prepared = NULL;
	int r = layer_open(request->agent_layer, LAYER_READ, &agent, pack->error);
	if (r == 0)
		r = layer_open(request->prepared_layer, LAYER_READ, &prepared, pack->error);
	if (r == 0) {
		pack->uppers = calloc(agent->parents.count + 1, sizeof(*pack->uppers));
		r = pack->uppers ? open_upper(pack, agent) : no_memory(pack);
	}
	size_t i = 0;
	for (; r == 0 && i < agent->parents.count; i++) {
		if (strcmp(agent->parents.items[i], prepared->id) == 0)
			break;
		struct layer *parent = NULL;
		r = layer_open(agent->parents.items[i], LAYER_READ, &parent, pack->error);
		if (r == 0)
			r = open_upper(pack, parent);
		layer_close(parent);
	}
	if (r == 0 && i == agent->parents.count)
		r = error_set(pack->error, EINVAL, stage, "layer %s does not stand on %s",
			agent->id, prepared->id);
	layer_close(agent);
	layer_close(prepared);
	return r;
}

/* In doubt it has: then a file too many leaves, rather than one too few. */
static bool touched(const char *path, void *context)
{
	const struct pack *pack = context;
	for (size_t i = 0; i < pack->uppers_count; i++) {
		cleanup_close int fd = sys_openat2(pack->uppers[i], path,
			O_PATH | O_NOFOLLOW | O_CLOEXEC, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS);
		if (fd >= 0 || (errno != ENOENT && errno != ENOTDIR))
			return true;
	}
	return false;
}

/* ---- the commit ---- */

static int make_commit(struct pack *pack, const struct buffer *index)
{
	const struct pack_request *request = pack->request;
	cleanup_free char *message = pack_message(request->subject, request->body);
	cleanup_close int input = memfd_create("changes", MFD_CLOEXEC);
	if (!message)
		return no_memory(pack);
	int r = input < 0 ? -errno : fd_write_full(input, index->data, index->length_bytes);
	if (r < 0 || lseek(input, 0, SEEK_SET) < 0)
		return error_set_errno(
			pack->error, r < 0 ? -r : errno, stage, "the list of changes");
	const char *author = request->author ? request->author : "coffer task";
	const char *email = request->email ? request->email : "task@localhost";
	const char *const more[][2] = {
		{"BRANCH", request->branch},
		{"MESSAGE", message},
		{"GIT_AUTHOR_NAME", author},
		{"GIT_AUTHOR_EMAIL", email},
		{"GIT_COMMITTER_NAME", author},
		{"GIT_COMMITTER_EMAIL", email},
	};
	return run_script(
		pack, pack->final_scratch, pack_commit_script, more, ARRAY_SIZE(more), input);
}

static int choose_and_commit(struct pack *pack)
{
	struct buffer index = BUFFER_INIT(MAX_PACK_LIST_BYTES);
	const struct pack_choice choice = {.prepared = &pack->prepared,
		.final = &pack->final,
		.touched = touched,
		.context = pack};
	int r = pack_choose(&choice, &index, &pack->result->skipped, pack->error);
	pack->result->empty = index.length_bytes == 0;
	if (r == 0 && !pack->result->empty)
		r = make_commit(pack, &index);
	buffer_release(&index);
	return r;
}

/* ---- what leaves ---- */

static int copy(int from, int to)
{
	cleanup_free char *data = malloc(COPY_BYTES);
	if (!data)
		return -ENOMEM;
	for (;;) {
		ssize_t n = fd_read_full(from, data, COPY_BYTES);
		if (n <= 0)
			return (int)n;
		int r = fd_write_full(to, data, (size_t)n);
		if (r < 0)
			return r;
	}
}

/* Copies one file of the box's to the host: complete and on disk before it has its name. */
static int copy_out(const struct pack *pack, const char *name, char **ret_path)
{
	const struct pack_request *request = pack->request;
	cleanup_free char *inside = path_join(pack->out, name);
	*ret_path = path_join(request->out_directory, name);
	if (!inside || !*ret_path)
		return no_memory(pack);
	cleanup_close int from = git_box_open(
		pack->final_scratch, TASK_HOME, inside, 2ULL * MAX_PACK_BYTES, pack->error);
	if (from < 0)
		return from;
	char making[64];
	snprintf(making, sizeof(making), ".%s.%s", name, pack->out);
	cleanup_close int directory =
		open(request->out_directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	cleanup_close int to =
		directory < 0 ? -1
			      : openat(directory, making,
					O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (to < 0)
		return error_set_errno(pack->error, errno, stage, "%s", *ret_path);
	int r = copy(from, to);
	if (r == 0 && (fsync(to) < 0 || renameat(directory, making, directory, name) < 0 ||
			      fsync(directory) < 0))
		r = -errno;
	if (r == 0)
		return 0;
	unlinkat(directory, making, 0);
	error_set_errno(pack->error, -r, stage, "%s", *ret_path);
	return error_hint(pack->error, "the agent's layer is kept: make the patch again once "
				       "there is room");
}

/* " 2 files changed, 3 insertions(+), 1 deletion(-)", of which each may be missing. */
static void take_counts(struct pack_result *result, const char *text)
{
	for (const char *s = text; *s;) {
		char *end;
		uint64_t number = strtoull(s, &end, 10);
		if (end == s) {
			s++;
			continue;
		}
		if (strncmp(end, " file", 5) == 0)
			result->files = number;
		else if (strncmp(end, " insertion", 10) == 0)
			result->insertions = number;
		else if (strncmp(end, " deletion", 9) == 0)
			result->deletions = number;
		s = end;
	}
}

/* How the patch was found to apply, when it was tried in the box. */
static int take_trial(struct pack_result *result, const char *how)
{
	static const struct {
		const char *how, *text;
	} notes[] = {
		{"keep-cr\n",
			"patch: it has lines that end in CR LF: `git am --keep-cr`, or `git apply`"},
		{"apply\n",
			"patch: `git am` would not read it as it is: use `git apply` or the bundle"},
		{"bundle\n", "patch: `git apply` would not give the same tree: use the bundle"},
	};
	for (size_t i = 0; i < ARRAY_SIZE(notes); i++)
		if (strcmp(how, notes[i].how) == 0)
			return strv_add(&result->skipped, notes[i].text);
	return 0;
}

static int take_results(struct pack *pack)
{
	struct pack_result *result = pack->result;
	cleanup_free char *commit = NULL, *counts = NULL, *how = NULL;
	const char *layer = pack->final_scratch;
	struct error ignored;
	cleanup_free char *same = path_join(pack->out, "same");
	cleanup_close int fd = same ? git_box_open(layer, TASK_HOME, same, 0, &ignored) : -1;
	if (fd >= 0) {
		result->empty = true;
		return 0;
	}
	int r = read_out(pack, layer, "commit", MAX_GIT_FILE_BYTES, &commit, NULL);
	if (r == 0)
		r = read_out(pack, layer, "shortstat", MAX_GIT_FILE_BYTES, &counts, NULL);
	if (r == 0)
		r = read_out(pack, layer, "how", MAX_GIT_FILE_BYTES, &how, NULL);
	if (r < 0)
		return r;
	commit[strcspn(commit, "\n")] = '\0';
	if (strlen(commit) != strlen(pack->request->commit) ||
		strspn(commit, "0123456789abcdef") != strlen(commit))
		return error_set(pack->error, EBADMSG, stage, "the box left no commit");
	memcpy(result->commit, commit, strlen(commit) + 1);
	take_counts(result, counts);
	if (take_trial(result, how) < 0)
		return no_memory(pack);
	r = copy_out(pack, "bundle", &result->bundle_path);
	return r < 0 ? r : copy_out(pack, "patch", &result->patch_path);
}

/* ---- the whole ---- */

static int check(const struct pack *pack)
{
	const struct pack_request *request = pack->request;
	size_t length = strlen(request->commit);
	if ((length != 40 && length != 64) || strspn(request->commit, "0123456789abcdef") != length)
		return error_set(pack->error, EINVAL, stage, "that is no commit's id");
	if (request->branch[0] == '-' || strpbrk(request->branch, " ~^:?*[\\\n"))
		return error_set(pack->error, EINVAL, stage, "that cannot be a branch's name");
	return 0;
}

static int run(struct pack *pack)
{
	const struct pack_request *request = pack->request;
	uint64_t number;
	if (getrandom(&number, sizeof(number), 0) != sizeof(number))
		return error_set_errno(pack->error, errno, stage, "a random name");
	snprintf(pack->out, sizeof(pack->out), "pack-%016llx", (unsigned long long)number);
	int r = check(pack);
	if (r == 0)
		r = open_uppers(pack);
	if (r == 0)
		r = make_scratch(pack, request->prepared_layer, "before", &pack->prepared_scratch);
	if (r == 0)
		r = make_scratch(pack, request->agent_layer, "after", &pack->final_scratch);
	if (r == 0)
		r = add_view(pack, request->clone_layer, TASK_WORKSPACE, ".git", CLONE_GIT);
	if (r == 0)
		r = make_tree(pack, pack->prepared_scratch, &pack->prepared, PACK_CHANGES);
	if (r == 0)
		r = add_view(pack, pack->prepared_scratch, TASK_HOME, pack->out, PREPARED);
	if (r == 0)
		r = make_tree(pack, pack->final_scratch, &pack->final, PACK_LISTS);
	if (r == 0)
		r = choose_and_commit(pack);
	return r < 0 || pack->result->empty ? r : take_results(pack);
}

int task_pack(const struct pack_request *request, struct pack_result *ret, struct error *error)
{
	*ret = (struct pack_result){0};
	struct pack pack = {.request = request, .result = ret, .error = error};
	int r = run(&pack);
	struct error ignored;
	if (pack.prepared_scratch)
		discard(pack.prepared_scratch, &ignored);
	if (pack.final_scratch)
		discard(pack.final_scratch, &ignored);
	for (size_t i = 0; i < pack.uppers_count; i++)
		close_fd(&pack.uppers[i]);
	free(pack.uppers);
	for (size_t i = 0; i < ARRAY_SIZE(pack.viewed); i++)
		free(pack.viewed[i]);
	free(pack.prepared_scratch);
	free(pack.final_scratch);
	pack_tree_release(&pack.prepared);
	pack_tree_release(&pack.final);
	if (r < 0)
		pack_result_release(ret);
	return r;
}

void pack_result_release(struct pack_result *result)
{
	free(result->patch_path);
	free(result->bundle_path);
	strv_release(&result->skipped);
	*result = (struct pack_result){0};
}
