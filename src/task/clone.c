/* Theory of operation. Each repository, the one that was asked for and every submodule, is fetched by
 * clone.sh in a box of its own, whose network is that one host and port. What the script leaves in
 * .git says which submodules there are; those join a queue. Addresses come from two sides: what the
 * caller wrote may name this host's directories and carry credentials; what a repository wrote may
 * name a host that the caller has allowed, and nothing else. */
#include "task/clone.h"

#include "base/cleanup.h"
#include "base/limits.h"
#include "base/path.h"
#include "layer/changes.h"
#include "task/clone_internal.h"
#include "task/git_box.h"

#include <string.h>

#include "task/clone_script.h"

static const char stage[] = "clone";

static int no_memory(const struct clone *clone)
{
	return error_set_errno(clone->error, ENOMEM, stage, "the clone");
}

static void job_release(struct clone_job *job)
{
	repository_url_release(&job->url);
	free(job->below);
	free(job->work);
	free(job->gitdir);
	free(job->parent);
	free(job->module);
}

/* ---- one repository ---- */

static bool is_commit(const char *ref)
{
	size_t length = strlen(ref);
	return (length == 40 || length == 64) && strspn(ref, "0123456789abcdef") == length;
}

static int add_environment(const struct clone *clone, const struct clone_job *job, struct strv *to)
{
	static const char *const protocols[] = {[REPOSITORY_LOCAL] = "file",
		[REPOSITORY_HTTPS] = "https",
		[REPOSITORY_HTTP] = "http",
		[REPOSITORY_SSH] = "ssh"};
	const struct clone_request *request = clone->request;
	const char *ref = job->module ? job->commit : request->ref ? request->ref : "";
	char depth[16] = "";
	if (request->depth)
		snprintf(depth, sizeof(depth), "%u", request->depth);
	cleanup_free char *inside = NULL;
	if (job->below &&
		asprintf(&inside, "%s%s%s", CLONE_SOURCE, *job->below ? "/" : "", job->below) < 0)
		return -ENOMEM;
	const char *const variables[][2] = {
		{"SOURCE", inside ? inside : ""},
		{"URL", inside ? "" : job->url.text},
		{"ORIGIN", inside ? CLONE_SOURCE : job->url.text},
		{"WORK", job->work},
		{"GITDIR", job->gitdir},
		{"KIND", !*ref            ? "head"
			 : is_commit(ref) ? "commit"
					  : "name"},
		{"REF", ref},
		{"DEPTH", depth},
		{"FILTER", request->filter ? request->filter : ""},
		{"MODULE", job->module ? job->module : ""},
		{"PARENT", job->parent ? job->parent : ""},
		{"GIT_ALLOW_PROTOCOL", protocols[inside ? REPOSITORY_LOCAL : job->url.transport]},
	};
	int r = 0;
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(variables); i++)
		r = git_box_set(to, variables[i][0], variables[i][1]);
	return r < 0 ? r : clone_add_credentials(job, to);
}

static int explain(
	const struct clone *clone, const struct clone_job *job, const struct git_box_result *ended)
{
	struct error *error = clone->error;
	const char *shown = job->below ? clone->source.directory : job->url.text;
	const char *words = ended->words[0] ? ended->words : "git said nothing";
	switch (ended->exit_code) {
	case GIT_NO_REPOSITORY:
		error_set(error, ENOENT, stage, "%s cannot be read: %s", shown, words);
		if (job->below)
			return -ENOENT;
		return job->url.transport == REPOSITORY_SSH
			       ? error_hint(error,
					 "its key has to be in ~/.ssh/known_hosts, and yours in an "
					 "agent that is lent to the clone")
			       : error_hint(error, "a private one wants https://TOKEN@%s/...",
					 job->url.host);
	case GIT_NO_REF:
		return error_set(error, ENOENT, stage, "%s: %s", shown, words);
	case GIT_EMPTY:
		error_set(error, ENOENT, stage, "%s: %s", shown, words);
		return error_hint(error, "a task starts from a commit");
	case GIT_REFUSED:
		error_set(error, EBADMSG, stage, "git refuses what is in %s: %s", shown, words);
		return error_hint(error, "nothing of it was used; `git fsck --strict` in a copy "
					 "says more");
	default:
		return error_set(error, EIO, stage, "git failed on %s (exit %d): %s", shown,
			ended->exit_code, words);
	}
}

static int run_job(struct clone *clone, const struct clone_job *job)
{
	const struct clone_request *request = clone->request;
	cleanup_strv struct strv environment = {0}, settings = {0};
	struct clone_views views = {0};
	int r = clone_add_settings(clone, job, &settings);
	if (r == 0)
		r = add_environment(clone, job, &environment);
	if (r < 0)
		return no_memory(clone);
	if (job->below)
		views.items[views.count++] = (struct task_view){.from = clone->source.directory,
			.at = clone->source.bundle ? CLONE_SOURCE "/bundle" : CLONE_SOURCE};
	else if (job->url.transport == REPOSITORY_SSH)
		r = clone_add_ssh(clone, &views, &environment, &settings);
	const struct git_box box = {.layer = request->layer,
		.script = clone_script,
		.what = "the clone",
		.environment = &environment,
		.settings = &settings,
		.views = views.items,
		.views_count = views.count,
		.input = -1,
		.log = request->log,
		.tick = request->tick,
		.context = request->context};
	struct git_box_result ended = {0};
	if (r == 0)
		r = git_box_run(&box, &ended, clone->error);
	if (r == 0 && ended.exit_code != GIT_DONE)
		r = explain(clone, job, &ended);
	for (size_t i = 0; i < ARRAY_SIZE(views.owned); i++)
		free(views.owned[i]);
	for (size_t i = 0; i < environment.count; i++)
		explicit_bzero(environment.items[i], strlen(environment.items[i]));
	return r;
}

/* ---- what it left ---- */

static int read_left(struct clone *clone, const struct clone_job *job, const char *name,
	size_t max_bytes, char **ret, size_t *ret_length)
{
	/* Gitdirs lie below the working tree of the first. */
	cleanup_free char *path = path_join(job->gitdir + strlen(TASK_WORKSPACE "/"), name);
	return path ? git_box_read(clone->request->layer, TASK_WORKSPACE, path, max_bytes, ret,
			      ret_length, clone->error)
		    : no_memory(clone);
}

/* COMMIT, BRANCH or nothing, and the number of LFS pointers, a line each. */
static int take_summary(struct clone *clone, const struct clone_job *job)
{
	cleanup_free char *text = NULL;
	int r = read_left(clone, job, "coffer-clone", MAX_GIT_FILE_BYTES, &text, NULL);
	if (r < 0)
		return r;
	char *rest = text;
	const char *commit = strsep(&rest, "\n"), *branch = strsep(&rest, "\n");
	const char *pointers = strsep(&rest, "\n");
	if (!pointers || !is_commit(commit))
		return error_set(clone->error, EIO, stage, "the clone left no commit");
	clone->result->lfs_pointers += strtoull(pointers, NULL, 10);
	if (job->module)
		return 0;
	memcpy(clone->result->commit, commit, strlen(commit) + 1);
	clone->result->branch = *branch ? strdup(branch) : NULL;
	return *branch && !clone->result->branch ? no_memory(clone) : 0;
}

static int locate_module(struct clone *clone, const struct clone_job *job,
	const struct clone_module *module, struct clone_job *ret)
{
	if (job->below) {
		ret->below = clone_source_module(&clone->source, job->below, module->name);
		if (!ret->below && strcmp(job->below, "") != 0)
			ret->below = clone_source_module(&clone->source, "", module->name);
		if (ret->below)
			return 0;
	}
	int r = repository_url_resolve(&job->url, module->url, &ret->url, clone->error);
	if (r == 0 && ret->url.transport == REPOSITORY_LOCAL) {
		error_set(clone->error, EPERM, stage,
			"a submodule names a directory of this host, which no repository may");
		r = error_hint(clone->error,
			"`git submodule update --init` in the repository brings it along; or "
			"clone without submodules");
	}
	return r;
}

static int queue_module(
	struct clone *clone, const struct clone_job *job, const struct clone_module *module)
{
	if (clone->jobs_count > MAX_SUBMODULES || job->depth >= MAX_SUBMODULE_DEPTH)
		return error_set(clone->error, E2BIG, stage,
			"more than %d submodules, or more than %d within one another",
			MAX_SUBMODULES, MAX_SUBMODULE_DEPTH);
	struct clone_job next = {.depth = job->depth + 1,
		.work = path_join(job->work, module->path),
		.parent = strdup(job->gitdir),
		.module = strdup(module->name)};
	memcpy(next.commit, module->commit, sizeof(next.commit));
	cleanup_free char *modules = path_join(job->gitdir, "modules");
	next.gitdir = modules ? path_join(modules, module->name) : NULL;
	int r = next.work && next.parent && next.module && next.gitdir ? 0 : no_memory(clone);
	if (r == 0)
		r = locate_module(clone, job, module, &next);
	if (r == 0)
		r = clone_check_host(clone, &next);
	if (r < 0) {
		job_release(&next);
		return r;
	}
	clone->jobs[clone->jobs_count++] = next;
	clone->result->submodules++;
	return 0;
}

static int queue_modules(struct clone *clone, size_t index)
{
	/* The queue is as long as it may become: jobs never move. */
	const struct clone_job *job = &clone->jobs[index];
	cleanup_free char *config = NULL, *links = NULL;
	size_t config_bytes, links_bytes;
	struct clone_modules modules = {0};
	int r = read_left(
		clone, job, "coffer-modules", MAX_GITMODULES_BYTES, &config, &config_bytes);
	if (r == 0)
		r = read_left(clone, job, "coffer-links", MAX_GIT_LIST_BYTES, &links, &links_bytes);
	if (r == 0)
		r = clone_modules_parse(
			config, config_bytes, links, links_bytes, &modules, clone->error);
	for (size_t i = 0; r == 0 && i < modules.count; i++)
		r = queue_module(clone, job, &modules.items[i]);
	clone_modules_release(&modules);
	return r;
}

/* ---- the whole ---- */

static int measure(struct clone *clone)
{
	struct layer *layer = NULL;
	struct layer_counts counts;
	int r = layer_open(clone->request->layer, LAYER_READ, &layer, clone->error);
	if (r == 0)
		r = layer_count(layer, &counts, clone->error);
	if (r == 0)
		clone->result->bytes = counts.bytes;
	layer_close(layer);
	return r;
}

static int check_ref(const struct clone *clone)
{
	const char *ref = clone->request->ref;
	static const char *const never[] = {
		"..", "@{", "//", "\\", " ", "~", "^", ":", "?", "*", "["};
	bool sound = !ref || (*ref && ref[0] != '-' && strlen(ref) < MAX_NAME_BYTES * 4);
	for (const char *s = ref; sound && s && *s; s++)
		sound = (unsigned char)*s > 0x20 && *s != 0x7f;
	for (size_t i = 0; sound && ref && i < ARRAY_SIZE(never); i++)
		sound = !strstr(ref, never[i]);
	if (sound)
		return 0;
	error_set(clone->error, EINVAL, stage, "that cannot be a branch, a tag or a commit's id");
	return error_hint(clone->error, "ids are written in full: 40 or 64 hexadecimal digits");
}

static int prepare(struct clone *clone, struct clone_job *first)
{
	const struct clone_request *request = clone->request;
	int r = check_ref(clone);
	if (r == 0)
		r = repository_url_parse(request->repository, &clone->url, clone->error);
	if (r == 0)
		r = repository_url_parse(request->repository, &first->url, clone->error);
	if (r == 0 && clone->url.transport == REPOSITORY_LOCAL) {
		r = clone_source_find(clone->url.text, &clone->source, clone->error);
		if (r == 0)
			first->below =
				strdup(clone->source.bundle ? "bundle" : clone->source.below);
		if (r == 0 && !first->below)
			return no_memory(clone);
	}
	first->work = strdup(TASK_WORKSPACE);
	first->gitdir = strdup(TASK_WORKSPACE "/.git");
	if (r == 0 && (!first->work || !first->gitdir))
		return no_memory(clone);
	return r < 0 ? r : clone_check_host(clone, first);
}

int task_clone(const struct clone_request *request, struct clone_result *ret, struct error *error)
{
	*ret = (struct clone_result){0};
	struct clone clone = {.request = request,
		.result = ret,
		.jobs = calloc(MAX_SUBMODULES + 2, sizeof(*clone.jobs)),
		.error = error};
	int r = clone.jobs ? prepare(&clone, &clone.jobs[0]) : no_memory(&clone);
	clone.jobs_count = clone.jobs ? 1 : 0;
	for (size_t i = 0; r == 0 && i < clone.jobs_count; i++) {
		r = run_job(&clone, &clone.jobs[i]);
		if (r == 0)
			r = take_summary(&clone, &clone.jobs[i]);
		if (r == 0 && request->submodules)
			r = queue_modules(&clone, i);
	}
	if (r == 0)
		r = measure(&clone);
	for (size_t i = 0; i < clone.jobs_count; i++)
		job_release(&clone.jobs[i]);
	free(clone.jobs);
	clone_source_release(&clone.source);
	repository_url_release(&clone.url);
	if (r < 0)
		clone_result_release(ret);
	return r;
}

void clone_result_release(struct clone_result *result)
{
	free(result->branch);
	*result = (struct clone_result){0};
}
