/* Theory of operation. From the accesses of the reports come three sets: what was written, which
 * directories must therefore be writable, and what was read although it is hidden. A directory that
 * the command made itself is not named: the one that it was made in is, since the next run may have
 * to make it again. The policy's roots are directories; what lies in them and was not written is
 * taken out again, entry by entry, so that a command that does one thing more is refused that.
 *
 * What was refused counts only where the command failed: else it did well without. */
#include "witness/suggest.h"

#include "base/cleanup.h"
#include "base/limits.h"
#include "base/path.h"
#include "policy/names.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* Beyond these a policy is not read any more. */
enum { CARVE_OUTS_MAX = 200, ENTRIES_MAX = 2000 };

struct evidence {
	char *workspace;
	struct strv written,
		made;        /* sorted paths: changed in any way; directories made among them */
	struct strv roots;   /* directories that must be writable */
	struct strv reads;   /* hidden, and read */
	struct strv network; /* settings */
	bool git;
	bool truncated;
};

static const char *string_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));
	return text ? text : "";
}

static bool is_true(const json_t *object, const char *key)
{
	return json_is_true(json_object_get(object, key));
}

static int add_once(struct strv *strv, const char *text)
{
	return strv_contains(strv, text) ? 0 : strv_add(strv, text);
}

static int compare(const void *left, const void *right)
{
	return strcmp(*(char *const *)left, *(char *const *)right);
}

static void sort(struct strv *strv)
{
	if (strv->count > 1)
		qsort(strv->items, strv->count, sizeof(char *), compare);
}

/* The first of a sorted list that is not before key. */
static size_t lower_bound(const struct strv *strv, const char *key)
{
	size_t low = 0, high = strv->count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (strcmp(strv->items[middle], key) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static bool holds(const struct strv *sorted, const char *path)
{
	size_t i = lower_bound(sorted, path);
	return i < sorted->count && strcmp(sorted->items[i], path) == 0;
}

/* Whether path, or something below it, is in the sorted list. */
static bool holds_below(const struct strv *sorted, const char *path)
{
	if (holds(sorted, path))
		return true;
	char below[MAX_PATH_BYTES];
	int length = snprintf(below, sizeof(below), "%s/", path);
	size_t i = lower_bound(sorted, below);
	return i < sorted->count && strncmp(sorted->items[i], below, (size_t)length) == 0;
}

/* What is the box's own, or written by no policy. */
static bool is_ephemeral(const char *path)
{
	static const char *const places[] = {"/tmp", "/var/tmp", "/dev", "/proc", "/sys", "/run"};
	for (size_t i = 0; i < ARRAY_SIZE(places); i++)
		if (path_is_below(path, places[i]))
			return true;
	return strstr(path, "/coffer/") != NULL;
}

static bool is_directory(const char *path)
{
	struct stat st;
	return lstat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static bool in_git(const struct evidence *evidence, const char *path)
{
	size_t length = evidence->workspace ? strlen(evidence->workspace) : 0;
	if (!length || strncmp(path, evidence->workspace, length) != 0)
		return false;
	const char *rest = path + length;
	return strncmp(rest, "/.git", 5) == 0 && (rest[5] == '/' || rest[5] == '\0');
}

/* --- what the reports say --- */

static int take_access(struct evidence *evidence, const json_t *access, bool failed)
{
	const char *path = string_of(access, "path");
	bool refused = is_true(access, "refused");
	bool changes = is_true(access, "write") || is_true(access, "make");
	if (path[0] != '/' || (refused && !failed) || !changes || is_ephemeral(path))
		return 0;
	if (in_git(evidence, path)) {
		evidence->git = true;
		return 0;
	}
	int r = strv_add(&evidence->written, path);
	return r == 0 && is_true(access, "make") && is_directory(path)
		       ? strv_add(&evidence->made, path)
		       : r;
}

/* HOST:PORT of what was reached, or of what was refused. */
static int take_host(struct evidence *evidence, const char *host, bool literal)
{
	char setting[MAX_FEEDBACK_WORD_BYTES + 64];
	if (!*host || strpbrk(host, " ,/\\") ||
		(size_t)snprintf(setting, sizeof(setting), "%s=%s",
			literal ? "allow-cidr" : "allow-domain", host) >= sizeof(setting))
		return 0;
	return add_once(&evidence->network, setting);
}

static bool is_literal(const char *host)
{
	return host[0] == '[' || host[strspn(host, "0123456789.:")] == '\0';
}

static int take_traffic(struct evidence *evidence, const json_t *report)
{
	const json_t *entries = json_object_get(json_object_get(report, "network"), "entries");
	size_t i;
	json_t *entry;
	int r = 0;
	json_array_foreach((json_t *)entries, i, entry)
	{
		const char *name = string_of(entry, "name"), *address = string_of(entry, "address");
		json_int_t port = json_integer_value(json_object_get(entry, "port"));
		bool allowed = strcmp(string_of(entry, "verdict"), "deny") != 0 &&
			       strcmp(string_of(entry, "verdict"), "lost") != 0;
		if (r < 0 || !allowed || port <= 0)
			continue;
		char host[MAX_FEEDBACK_WORD_BYTES + 32];
		snprintf(host, sizeof(host),
			strchr(*name ? name : address, ':') ? "[%s]:%lld" : "%s:%lld",
			*name ? name : address, (long long)port);
		r = take_host(evidence, host, !*name);
	}
	return r;
}

static int take_denial(struct evidence *evidence, const json_t *denial)
{
	const char *promise = string_of(denial, "promise");
	const char *target = string_of(denial, "target");
	const char *resolved = string_of(denial, "resolved");
	const char *flags = string_of(denial, "allow_with");
	if (!*flags)
		return 0;
	if (strcmp(promise, "P4") == 0 && strncmp(flags, "--allow-read", 12) == 0) {
		/* What a program looked for and is not there it can do without. */
		struct stat st;
		return lstat(resolved, &st) == 0 ? add_once(&evidence->reads, resolved) : 0;
	}
	if (strcmp(promise, "P3") == 0 && target[0] != '/')
		return take_host(evidence, target, is_literal(target));
	if (strcmp(flags, "--git commit") == 0)
		evidence->git = true;
	return 0;
}

static int take_report(struct evidence *evidence, const json_t *report, struct error *error)
{
	const json_t *accesses = json_object_get(report, "accesses");
	const char *workspace = string_of(report, "workspace");
	if (!json_is_array(accesses)) {
		error_set(error, EINVAL, "suggest", "a report without accesses");
		return error_hint(error, "run the command with --trace-access --report FILE");
	}
	if (evidence->workspace && strcmp(evidence->workspace, workspace) != 0)
		return error_set(error, EINVAL, "suggest",
			"reports of two workspaces: %.300s and %.300s", evidence->workspace,
			workspace);
	if (!evidence->workspace)
		evidence->workspace = strdup(workspace);
	bool failed = json_integer_value(json_object_get(json_object_get(report, "exit"), "code"));
	evidence->truncated |= json_integer_value(json_object_get(report, "accesses_lost")) > 0;
	int r = evidence->workspace ? 0 : -ENOMEM;
	size_t i;
	json_t *item;
	json_array_foreach((json_t *)accesses, i, item) if (r == 0) r =
		take_access(evidence, item, failed);
	json_array_foreach(json_object_get(report, "denials"), i, item) if (r == 0 && failed) r =
		take_denial(evidence, item);
	if (r == 0)
		r = take_traffic(evidence, report);
	return r < 0 ? error_set_errno(error, -r, "suggest", "a report") : 0;
}

/* --- what that asks for --- */

/* The directory in which path was changed, that is there before a run. */
static char *root_of(const struct evidence *evidence, const char *path)
{
	char *directory = path_parent(path);
	while (directory && strcmp(directory, "/") != 0 &&
		(holds(&evidence->made, directory) || !is_directory(directory))) {
		char *above = path_parent(directory);
		free(directory);
		directory = above;
	}
	return directory;
}

static int find_roots(struct evidence *evidence)
{
	for (size_t i = 0; i < evidence->written.count; i++) {
		cleanup_free char *directory = root_of(evidence, evidence->written.items[i]);
		int r = directory ? 0 : -ENOMEM;
		if (r == 0 && strcmp(directory, "/") != 0)
			r = add_once(&evidence->roots, directory);
		if (r < 0)
			return r;
	}
	sort(&evidence->roots);
	return 0;
}

static int add_setting(struct suggestion *ret, const char *key, const char *value)
{
	char *setting = NULL;
	if (asprintf(&setting, "%s%s%s", key, value ? "=" : "", value ? value : "") < 0)
		return -ENOMEM;
	return strv_add_owned(&ret->settings, setting);
}

/* What lies in a writable directory and was not written stays as it is. What holds something that
 * was is looked into: the directories on the way may be no roots of their own. */
static int carve_out(const struct evidence *evidence, const char *directory, size_t *left,
	struct suggestion *ret)
{
	cleanup_closedir DIR *dir = opendir(directory);
	cleanup_strv struct strv names = {0};
	for (struct dirent *entry; dir && (entry = readdir(dir));)
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
			names.count < ENTRIES_MAX && strv_add(&names, entry->d_name) < 0)
			return -ENOMEM;
	sort(&names);
	for (size_t i = 0; i < names.count; i++) {
		cleanup_free char *path = path_join(directory, names.items[i]);
		struct stat st;
		int r = path ? 0 : -ENOMEM;
		/* A link is no place of its own, and protected names are safe as they are. */
		if (r == 0 && (lstat(path, &st) < 0 || S_ISLNK(st.st_mode) ||
				      names_protected(names.items[i])))
			continue;
		bool written = r == 0 && holds_below(&evidence->written, path);
		if (r == 0 && !written && *left > 0) {
			--*left;
			r = add_setting(ret, "read-only", path);
		} else if (r == 0 && written && S_ISDIR(st.st_mode) &&
			   !holds(&evidence->made, path)) {
			r = carve_out(evidence, path, left, ret);
		}
		if (r < 0)
			return r;
	}
	return 0;
}

/* Whether another root is above it. */
static bool is_covered(const struct evidence *evidence, const char *root)
{
	for (size_t i = 0; i < evidence->roots.count; i++)
		if (strcmp(evidence->roots.items[i], root) != 0 &&
			path_is_below(root, evidence->roots.items[i]))
			return true;
	return false;
}

static int suggest_writing(const struct evidence *evidence, struct suggestion *ret)
{
	const char *workspace = evidence->workspace;
	bool top = *workspace && holds(&evidence->roots, workspace);
	size_t left = CARVE_OUTS_MAX;
	bool writes = evidence->roots.count > 0 || evidence->git;
	int r = add_setting(ret, "mode", writes ? "workspace-write" : "read-only");
	if (r == 0 && writes && *workspace && !top)
		r = add_setting(ret, "read-only", workspace);
	for (size_t i = 0; r == 0 && i < evidence->roots.count; i++) {
		const char *root = evidence->roots.items[i];
		if (is_covered(evidence, root))
			continue;
		if (strcmp(root, workspace) != 0)
			r = add_setting(ret, "write", root);
		if (r == 0)
			r = carve_out(evidence, root, &left, ret);
	}
	if (r == 0 && left == 0)
		r = strv_add(&ret->notes,
			"there is more in the writable directories that could be kept read-only");
	return r;
}

static int make_suggestion(const struct evidence *evidence, struct suggestion *ret)
{
	int r = suggest_writing(evidence, ret);
	if (r == 0 && evidence->git)
		r = add_setting(ret, "git", "commit");
	for (size_t i = 0; r == 0 && i < evidence->reads.count; i++)
		r = add_setting(ret, "allow-read", evidence->reads.items[i]);
	if (r == 0 && evidence->network.count == 0)
		r = add_setting(ret, "net", "off");
	for (size_t i = 0; r == 0 && i < evidence->network.count; i++)
		r = strv_add(&ret->settings, evidence->network.items[i]);
	if (r == 0 && evidence->truncated)
		r = strv_add(&ret->notes, "a report does not list all that was read and written");
	return r;
}

int suggest(const json_t *reports, struct suggestion *ret, struct error *error)
{
	struct evidence evidence = {0};
	*ret = (struct suggestion){0};
	int r = 0;
	size_t i;
	json_t *report;
	json_array_foreach((json_t *)reports, i, report) if (r == 0) r =
		take_report(&evidence, report, error);
	if (r == 0) {
		sort(&evidence.written);
		sort(&evidence.made);
		r = find_roots(&evidence);
		if (r == 0)
			r = make_suggestion(&evidence, ret);
		if (r < 0)
			error_set_errno(error, -r, "suggest", "the policy");
	}
	free(evidence.workspace);
	strv_release(&evidence.written);
	strv_release(&evidence.made);
	strv_release(&evidence.roots);
	strv_release(&evidence.reads);
	strv_release(&evidence.network);
	if (r < 0)
		suggestion_release(ret);
	return r;
}

void suggestion_release(struct suggestion *suggestion)
{
	strv_release(&suggestion->settings);
	strv_release(&suggestion->notes);
}
