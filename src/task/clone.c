/* Theory of operation. Each repository, the one that was asked for and every submodule, is fetched by
 * clone.sh in a box of its own, whose network is that one host and port. What the script leaves in
 * .git says which submodules there are; those join a queue. Addresses come from two sides: what the
 * caller wrote may name this host's directories and carry credentials; what a repository wrote may
 * name a host that the caller has allowed, and nothing else. */
#include "task/clone.h"

#include "base/cleanup.h"
#include "base/limits.h"
#include "base/path.h"
#include "coffer.h"
#include "layer/changes.h"
#include "task/clone_internal.h"
#include "task/git_box.h"

#include <arpa/inet.h>
#include <string.h>

#include "task/clone_script.h"

static const char stage[] = "clone";

/* One repository to be fetched. */
struct job {
	struct repository_url url;
	char *below;  /* of the source, where it is one of this host's; else NULL */
	char *work;   /* in the box */
	char *gitdir; /* in the box */
	char *parent; /* the gitdir that has it as a submodule; NULL: none */
	char *module; /* by this name */
	char commit[65];
	unsigned depth;
};

struct clone {
	const struct clone_request *request;
	struct clone_result *result;
	struct repository_url url;  /* that the caller wrote */
	struct clone_source source; /* where it is one of this host's */
	struct job *jobs;
	size_t jobs_count;
	struct error *error;
};

static int no_memory(const struct clone *clone)
{
	return error_set_errno(clone->error, ENOMEM, stage, "the clone");
}

static void job_release(struct job *job)
{
	repository_url_release(&job->url);
	free(job->below);
	free(job->work);
	free(job->gitdir);
	free(job->parent);
	free(job->module);
}

/* ---- what may be reached ---- */

static bool is_address(const char *host)
{
	struct in6_addr address;
	return inet_pton(AF_INET, host, &address) == 1 || inet_pton(AF_INET6, host, &address) == 1;
}

static int format_host(const struct repository_url *url, char **ret)
{
	bool bracketed = strchr(url->host, ':') != NULL;
	return asprintf(ret, bracketed ? "[%s]:%u" : "%s:%u", url->host, url->port) < 0 ? -ENOMEM
											: 0;
}

/* 1: what the caller allows beside the repository covers it. */
static int is_allowed(const struct clone *clone, const struct repository_url *url)
{
	const struct strv *settings = clone->request->settings;
	struct coffer_policy *policy = coffer_policy_new();
	cleanup_free char *target = NULL, *text = NULL;
	struct coffer_error ignored;
	int r = policy ? format_host(url, &target) : -ENOMEM;
	for (size_t i = 0; r == 0 && settings && i < settings->count; i++) {
		cleanup_free char *setting = strdup(settings->items[i]);
		char *value = setting ? strchr(setting, '=') : NULL;
		if (value)
			*value++ = '\0';
		r = setting ? coffer_policy_set(policy, setting, value, &ignored) : -ENOMEM;
	}
	if (r == 0)
		r = coffer_net_check(policy, target, 0, &text, &ignored);
	coffer_policy_free(policy);
	return r;
}

static int refuse_host(const struct clone *clone, const struct job *job, const char *why)
{
	cleanup_free char *target = NULL;
	if (format_host(&job->url, &target) < 0)
		return no_memory(clone);
	if (job->module) {
		char name[128];
		git_box_harmless(job->module, strlen(job->module), name, sizeof(name));
		error_set(clone->error, EPERM, stage, "submodule %s comes from %s, %s", name,
			target, why);
	} else {
		error_set(clone->error, EPERM, stage, "%s: %s", job->url.text, why);
	}
	return error_hint(clone->error, "--allow-domain %s would allow it", target);
}

static int check_host(const struct clone *clone, const struct job *job)
{
	const struct repository_url *own = &clone->url;
	if (job->below)
		return 0;
	bool same = own->host && strcmp(own->host, job->url.host) == 0 &&
		    own->port == job->url.port && own->transport == job->url.transport;
	if (job->url.transport == REPOSITORY_HTTP && is_allowed(clone, &job->url) != 1)
		return refuse_host(clone, job,
			"http is not protected on its way, so its host has to be allowed by name");
	if (!same && job->module && is_allowed(clone, &job->url) != 1)
		return refuse_host(clone, job, "which is not allowed");
	return 0;
}

static bool is_network_setting(const char *setting)
{
	static const char *const keys[] = {"net", "allow-domain", "deny-domain", "monitor-domain",
		"ask-domain", "allow-cidr", "deny-cidr", "allow-udp", "upstream-", "publish",
		"proxy-variables"};
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		if (strncmp(setting, keys[i], strlen(keys[i])) == 0)
			return true;
	return false;
}

static int add_joined(struct strv *strv, const char *a, const char *b, const char *c)
{
	char *text = NULL;
	return asprintf(&text, "%s%s%s", a, b, c) < 0 ? -ENOMEM : strv_add_owned(strv, text);
}

static int add_settings(const struct clone *clone, const struct job *job, struct strv *settings)
{
	static const char *const protocols[] = {[REPOSITORY_HTTPS] = "/tls",
		[REPOSITORY_HTTP] = "/http",
		[REPOSITORY_SSH] = "/raw"};
	const struct strv *more = clone->request->settings;
	int r = 0;
	for (size_t i = 0; r == 0 && more && i < more->count; i++)
		if (!job->below || !is_network_setting(more->items[i]))
			r = strv_add(settings, more->items[i]);
	if (r < 0 || job->below)
		return r < 0 ? r : strv_add(settings, "net=off");
	cleanup_free char *target = NULL;
	r = format_host(&job->url, &target);
	if (r == 0 && is_address(job->url.host))
		return add_joined(settings, "allow-cidr=", target, "");
	return r < 0 ? r
		     : add_joined(settings, "allow-domain=", target, protocols[job->url.transport]);
}

/* ---- credentials ---- */

static const char base64_letters[] =
	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static char *base64(const char *text)
{
	size_t length = strlen(text);
	char *ret = malloc((length + 2) / 3 * 4 + 1), *to = ret;
	for (size_t i = 0; ret && i < length; i += 3) {
		unsigned left = (unsigned)(length - i < 3 ? length - i : 3), bits = 0;
		for (unsigned k = 0; k < 3; k++)
			bits = bits << 8 | (k < left ? (unsigned char)text[i + k] : 0);
		for (unsigned k = 0; k < 4; k++)
			*to++ = k <= left ? base64_letters[bits >> (18 - 6 * k) & 63] : '=';
	}
	if (ret)
		*to = '\0';
	return ret;
}

/* As a header for this very repository, so that no message, file or argument ever shows them and no
 * other repository of that host is sent them. */
static int add_credentials(const struct job *job, struct strv *environment)
{
	if (!job->url.credentials)
		return 0;
	cleanup_free char *coded = base64(job->url.credentials);
	if (!coded)
		return -ENOMEM;
	int r = git_box_set(environment, "GIT_CONFIG_COUNT", "1");
	if (r == 0)
		r = add_joined(
			environment, "GIT_CONFIG_KEY_0=http.", job->url.text, ".extraHeader");
	if (r == 0)
		r = add_joined(environment, "GIT_CONFIG_VALUE_0=Authorization: Basic ", coded, "");
	explicit_bzero(coded, strlen(coded));
	return r;
}

/* ---- ssh ---- */

#define KNOWN_HOSTS "/run/coffer/known_hosts"
#define KNOWN_HOSTS_SYSTEM "/run/coffer/known_hosts_system"

static const char ssh_command[] =
	"ssh -F /dev/null -o BatchMode=yes -o StrictHostKeyChecking=yes"
	" -o UserKnownHostsFile=" KNOWN_HOSTS " -o GlobalKnownHostsFile=" KNOWN_HOSTS_SYSTEM
	" -o UpdateHostKeys=no -o ForwardAgent=no -o ClearAllForwardings=yes"
	" -o PermitLocalCommand=no -o ControlPath=none -o ConnectTimeout=30";

struct views {
	struct task_view items[4];
	size_t count;
	char *owned[2];
};

static void add_known_hosts(struct views *views)
{
	static const char *const at[] = {KNOWN_HOSTS, KNOWN_HOSTS_SYSTEM};
	const char *home = getenv("HOME");
	cleanup_free char *own =
		home && home[0] == '/' ? path_join(home, ".ssh/known_hosts") : NULL;
	const char *from[] = {own, "/etc/ssh/ssh_known_hosts"};
	for (size_t i = 0; i < ARRAY_SIZE(from); i++) {
		views->owned[i] = from[i] ? realpath(from[i], NULL) : NULL;
		if (views->owned[i])
			views->items[views->count++] =
				(struct task_view){.from = views->owned[i], .at = at[i]};
	}
}

static int add_ssh(const struct clone *clone, struct strv *environment, struct strv *settings)
{
	int r = git_box_set(environment, "GIT_SSH_COMMAND", ssh_command);
	if (r == 0)
		r = strv_add(environment, "GIT_SSH_VARIANT=ssh");
	const char *agent = getenv("SSH_AUTH_SOCK");
	if (r < 0 || !clone->request->ssh_agent || !agent || agent[0] != '/')
		return r;
	r = git_box_set(environment, "SSH_AUTH_SOCK", agent);
	return r < 0 ? r : add_joined(settings, "allow-unix=", agent, "");
}

/* ---- one repository ---- */

static bool is_commit(const char *ref)
{
	size_t length = strlen(ref);
	return (length == 40 || length == 64) && strspn(ref, "0123456789abcdef") == length;
}

static int add_environment(const struct clone *clone, const struct job *job, struct strv *to)
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
	return r < 0 ? r : add_credentials(job, to);
}

static int explain(
	const struct clone *clone, const struct job *job, const struct git_box_result *ended)
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

static int run_job(struct clone *clone, const struct job *job)
{
	const struct clone_request *request = clone->request;
	cleanup_strv struct strv environment = {0}, settings = {0};
	struct views views = {0};
	int r = add_settings(clone, job, &settings);
	if (r == 0)
		r = add_environment(clone, job, &environment);
	if (r == 0 && job->below)
		views.items[views.count++] = (struct task_view){.from = clone->source.directory,
			.at = clone->source.bundle ? CLONE_SOURCE "/bundle" : CLONE_SOURCE};
	if (r == 0 && !job->below && job->url.transport == REPOSITORY_SSH) {
		add_known_hosts(&views);
		r = add_ssh(clone, &environment, &settings);
	}
	if (r < 0)
		return no_memory(clone);
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
	struct git_box_result ended;
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

static int read_left(struct clone *clone, const struct job *job, const char *name, size_t max_bytes,
	char **ret, size_t *ret_length)
{
	/* Gitdirs lie below the working tree of the first. */
	cleanup_free char *path = path_join(job->gitdir + strlen(TASK_WORKSPACE "/"), name);
	return path ? git_box_read(clone->request->layer, TASK_WORKSPACE, path, max_bytes, ret,
			      ret_length, clone->error)
		    : no_memory(clone);
}

/* COMMIT, BRANCH or nothing, and the number of LFS pointers, a line each. */
static int take_summary(struct clone *clone, const struct job *job)
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

static int locate_module(struct clone *clone, const struct job *job,
	const struct clone_module *module, struct job *ret)
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
	struct clone *clone, const struct job *job, const struct clone_module *module)
{
	if (clone->jobs_count > MAX_SUBMODULES || job->depth >= MAX_SUBMODULE_DEPTH)
		return error_set(clone->error, E2BIG, stage,
			"more than %d submodules, or more than %d within one another",
			MAX_SUBMODULES, MAX_SUBMODULE_DEPTH);
	struct job next = {.depth = job->depth + 1,
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
		r = check_host(clone, &next);
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
	const struct job *job = &clone->jobs[index];
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

static int prepare(struct clone *clone, struct job *first)
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
	return r < 0 ? r : check_host(clone, first);
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
