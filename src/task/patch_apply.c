/* Theory of operation. The patch is a stranger's, so git reads it in a box, where the tree that it
 * changes is a layer over the user's: whatever the patch or git's own mistakes do there, the tree
 * below has not changed. What the layer then holds is put on the tree by layer_apply(), which
 * follows no link, refuses protected names, and does all or nothing. */
#include "task/pack.h"

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/limits.h"
#include "layer/apply.h"
#include "task/clone_internal.h"
#include "task/git_box.h"
#include "task/patch_apply_script.h"

#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>

static const char stage[] = "patch";

enum { MAX_REPORT_LINES = 1000 };

struct patch {
	const struct patch_apply_options *options;
	char *file, *directory; /* free of links */
	char *layer;
	int report;
	unsigned lines;
	struct error *error;
};

static int no_memory(const struct patch *patch)
{
	return error_set_errno(patch->error, ENOMEM, stage, "the patch");
}

/* One line: mark, path, and why. */
static void tell(struct patch *patch, const char *mark, const char *path, const char *why)
{
	char shown[MAX_PATH_BYTES], reason[1024];
	git_box_harmless(path, strlen(path), shown, sizeof(shown));
	git_box_harmless(why, strlen(why), reason, sizeof(reason));
	if (patch->lines++ == MAX_REPORT_LINES)
		dprintf(patch->report, "...\n");
	if (patch->lines <= MAX_REPORT_LINES)
		dprintf(patch->report, "%s %s%s%s\n", mark, shown, *reason ? ": " : "", reason);
}

/* ---- the box ---- */

/* "error: PATH: why": what git says of each file that it refuses. */
static void tell_words(struct patch *patch, int words)
{
	char *text = NULL;
	size_t length;
	if (lseek(words, 0, SEEK_SET) < 0 || !(text = malloc(MAX_GIT_CONFIG_BYTES)))
		return;
	ssize_t n = fd_read_full(words, text, MAX_GIT_CONFIG_BYTES - 1);
	text[n > 0 ? n : 0] = '\0';
	for (char *line = text; *line; line += length + (line[length] == '\n')) {
		length = strcspn(line, "\n");
		if (strncmp(line, "error: ", 7) != 0)
			continue;
		char end = line[length];
		line[length] = '\0';
		tell(patch, "!", line + 7, "");
		line[length] = end;
	}
	free(text);
}

static int run_box(struct patch *patch, const struct clone_source *source)
{
	const struct patch_apply_options *options = patch->options;
	cleanup_strv struct strv environment = {0}, settings = {0};
	cleanup_close int words = memfd_create("words", MFD_CLOEXEC);
	int r = git_box_set(&environment, "THREE_WAY", options->three_way ? "1" : "");
	for (size_t i = 0; r == 0 && options->settings && i < options->settings->count; i++)
		r = strv_add(&settings, options->settings->items[i]);
	if (r == 0)
		r = strv_add(&settings, "net=off");
	if (r < 0 || words < 0)
		return no_memory(patch);
	const struct task_view views[] = {
		{.from = patch->file, .at = "/source/patch"},
		{.from = source->directory, .at = "/source/git"},
	};
	const struct git_box box = {.layer = patch->layer,
		.workspace = patch->directory,
		.script = patch_apply_script,
		.what = "applying the patch",
		.environment = &environment,
		.settings = &settings,
		.views = views,
		.views_count = source->directory ? 2 : 1,
		.input = -1,
		.log = words};
	struct git_box_result ended;
	r = git_box_run(&box, &ended, patch->error);
	if (r < 0 || ended.exit_code == GIT_DONE)
		return r;
	tell_words(patch, words);
	if (ended.exit_code != GIT_REFUSED)
		return error_set(patch->error, EIO, stage, "git failed (exit %d): %s",
			ended.exit_code, ended.words);
	error_set(patch->error, ECANCELED, stage, "the patch does not apply: %s", ended.words);
	return options->three_way ? -ECANCELED
				  : error_hint(patch->error, "where the tree has changed since, "
							     "--3way merges");
}

/* ---- the tree ---- */

static int tell_change(const struct layer_change *change, void *context)
{
	static const char *const marks[] = {
		[LAYER_ADDED] = "A", [LAYER_MODIFIED] = "M", [LAYER_DELETED] = "D"};
	const struct stat *st =
		change->kind == LAYER_DELETED ? &change->before.st : &change->after.st;
	if (!S_ISDIR(st->st_mode) && strcmp(change->view->root->path, TASK_WORKSPACE) == 0)
		tell(context, marks[change->kind], change->path, "");
	return 0;
}

static void tell_refusals(struct patch *patch, const struct apply_result *result)
{
	size_t length = strlen(patch->directory);
	for (size_t i = 0; i < result->refusals_count; i++) {
		const struct apply_refusal *refusal = &result->refusals[i];
		bool below = strncmp(refusal->path, patch->directory, length) == 0 &&
			     refusal->path[length] == '/';
		tell(patch, "!", refusal->path + (below ? length + 1 : 0), refusal->text);
		if (refusal->problem == APPLY_PROTECTED)
			error_hint(patch->error,
				"if you have looked at these and want them: --protected");
	}
}

static int apply(struct patch *patch, bool dry_run)
{
	struct layer *layer = NULL;
	char *paths[] = {patch->directory, NULL};
	const struct apply_options how = {.paths = paths,
		.dry_run = dry_run,
		.protected_names = patch->options->protected_names};
	struct apply_result result = {0};
	int r = layer_open(patch->layer, LAYER_WRITE, &layer, patch->error);
	if (r == 0)
		r = layer_apply(layer, &how, &result, patch->error);
	if (r < 0)
		tell_refusals(patch, &result);
	apply_result_release(&result);
	/* Tried, and found good: now what will be there is said, while the layer has it. */
	if (r == 0 && dry_run)
		r = layer_changes(layer, tell_change, patch, patch->error);
	layer_close(layer);
	return r;
}

/* ---- the whole ---- */

static int discard(const char *which, struct error *error)
{
	struct layer *layer = NULL;
	int r = layer_open(which, LAYER_WRITE, &layer, error);
	return r < 0 ? r : layer_discard(layer, error);
}

/* Called by the name of the tree, so that the next one finds what a killed one has left. */
static int make_layer(struct patch *patch)
{
	uint64_t hash = 14695981039346656037ULL; /* FNV-1a */
	for (const char *s = patch->directory; *s; s++)
		hash = (hash ^ (unsigned char)*s) * 1099511628211ULL;
	char name[MAX_LAYER_NAME_BYTES + 1];
	snprintf(name, sizeof(name), "patch-%016llx", (unsigned long long)hash);
	struct layer *layer = NULL;
	struct error ignored;
	int r = layer_recover(patch->error);
	if (r < 0)
		return r;
	discard(name, &ignored);
	const struct layer_options options = {.name = name, .purpose = "scratch"};
	r = layer_create(&options, &layer, patch->error);
	if (r < 0)
		return r;
	patch->layer = strdup(layer->id);
	layer_close(layer);
	return patch->layer ? 0 : no_memory(patch);
}

static int resolve(const struct patch *patch, const char *path, char **ret)
{
	*ret = realpath(path, NULL);
	return *ret ? 0 : error_set_errno(patch->error, errno, stage, "%s", path);
}

static int run(struct patch *patch)
{
	struct clone_source source = {0};
	struct error ignored;
	int r = make_layer(patch);
	if (r < 0)
		return r;
	/* A tree without a repository, or with one that leads elsewhere, has no objects to show. */
	if (patch->options->three_way)
		clone_source_find(patch->directory, &source, &ignored);
	r = run_box(patch, &source);
	clone_source_release(&source);
	if (r == 0)
		r = apply(patch, true);
	return r < 0 || patch->options->dry_run ? r : apply(patch, false);
}

int task_patch_apply(const struct patch_apply_options *options, int report_fd, struct error *error)
{
	struct patch patch = {.options = options, .report = report_fd, .error = error};
	cleanup_close int lock = -1;
	int r = resolve(&patch, options->patch, &patch.file);
	if (r == 0)
		r = resolve(&patch, options->directory, &patch.directory);
	if (r == 0) {
		lock = open(patch.directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (lock < 0 || flock(lock, LOCK_EX | LOCK_NB) < 0)
			r = error_set_errno(error, errno, stage, "%s", patch.directory);
	}
	if (r == 0)
		r = run(&patch);
	struct error ignored;
	if (patch.layer)
		discard(patch.layer, &ignored);
	free(patch.layer);
	free(patch.file);
	free(patch.directory);
	return r;
}
