/* Theory of operation. The plan's places say what a box can do below each path, and why. A refusal
 * is the plan's if the place that covers the path does not give what was wanted, and the errno is
 * one that such a wall gives. Then what would open that place is known, too: the flag that made it
 * what it is, or the one that defaults give way to. */
#include "witness/judge.h"

#include "base/cleanup.h"
#include "base/path.h"

#include <stdio.h>
#include <string.h>

static bool is_mount_point(const struct plan *plan, const char *path)
{
	for (size_t i = 0; i < plan->mounts_count; i++)
		if (strcmp(plan->mounts[i].target, path) == 0)
			return true;
	return false;
}

/* How a wall in front of something that can be read fails what would change it. */
static bool is_wall_errno(const struct plan *plan, const struct attempt *attempt)
{
	bool landlock = plan->tier == TIER_LANDLOCK;
	switch (attempt->errno_value) {
	case EROFS:
		return !landlock;
	case EBUSY:
		return !landlock && attempt->wants & WITNESS_ENTRY &&
		       is_mount_point(plan, attempt->path);
	case EACCES:
		/* Where modes say no as well it is not the box that does; but for a box of root's,
		 * which runs under another id. */
		return !attempt->by_mode || plan->facts.root;
	default:
		return false;
	}
}

static bool judge_hidden(
	const struct plan_place *place, const struct attempt *attempt, struct judgement *ret)
{
	static const int errors[] = {EACCES, EPERM, ENOENT, EROFS, EBUSY};
	bool known = false;
	for (size_t i = 0; i < ARRAY_SIZE(errors); i++)
		known = known || errors[i] == attempt->errno_value;
	/* The place itself can be looked at, and its directory read. */
	if (!known)
		return false;
	ret->promise = "P4";
	snprintf(ret->reason, sizeof(ret->reason), "hidden from the box: %s", place->why);
	return true;
}

static const char *read_only_reason(const struct plan *plan, const struct plan_place *place)
{
	if (place->promise)
		return "protected: it stays as it is";
	if (place->secret)
		return "a secret of the workspace: it stays as it is";
	if (place->restricts)
		return "kept read-only";
	return plan->mode == MODE_READ_ONLY ? "nothing is writable in mode read-only"
					    : "outside of the writable roots";
}

bool judge_path(const struct plan *plan, const struct attempt *attempt, struct judgement *ret)
{
	const struct plan_place *place = plan_place_of(plan, attempt->path);
	if (!place)
		return false;
	if (place->access == PLACE_HIDDEN || place->access == PLACE_ABSENT)
		return judge_hidden(place, attempt, ret);
	bool changes = attempt->wants & (WITNESS_WRITE | WITNESS_ENTRY);
	if (place->access == PLACE_READ && changes && is_wall_errno(plan, attempt)) {
		ret->promise = place->promise ? "P2" : place->secret ? "P4" : "P1";
		snprintf(ret->reason, sizeof(ret->reason), "%s", read_only_reason(plan, place));
		return true;
	}
	/* What is writable, but holds something that must stay where it is. */
	if (place->access == PLACE_WRITE && attempt->errno_value == EBUSY &&
		is_wall_errno(plan, attempt)) {
		ret->promise = "P2";
		snprintf(ret->reason, sizeof(ret->reason),
			"it holds something protected, and stays where it is");
		return true;
	}
	return false;
}

/* --- what would allow it --- */

/* As one word of a shell: plain where it can be. */
static void put_word(char *to, size_t room, const char *flag, const char *word)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
				    "/._-+:@%,=~[]*";
	size_t used = strlen(to);
	const char *blank = used ? " " : "";
	if (strspn(word, plain) == strlen(word) && !strpbrk(word, "*[~")) {
		int n = snprintf(to + used, room - used, "%s%s %s", blank, flag, word);
		if (n < 0 || (size_t)n >= room - used)
			to[0] = '\0';
		return;
	}
	size_t quoted_bytes = 3;
	for (const char *s = word; *s; s++)
		quoted_bytes += *s == '\'' ? 4 : 1;
	if (used + strlen(blank) + strlen(flag) + 1 + quoted_bytes > room) {
		to[0] = '\0';
		return;
	}
	char *at = to + used + sprintf(to + used, "%s%s '", blank, flag);
	for (const char *s = word; *s; s++) {
		if (*s == '\'')
			at = stpcpy(at, "'\\''");
		else
			*at++ = *s;
	}
	strcpy(at, "'");
}

#define PUT_WORD(field, flag, word) put_word((field), sizeof(field), flag, word)

/* Trees that are never a writable root; see plan/resolve.c. */
static bool is_never_writable(const char *directory)
{
	static const char *const trees[] = {"/proc", "/sys", "/dev", "/run"};
	for (size_t i = 0; i < ARRAY_SIZE(trees); i++)
		if (path_is_below(directory, trees[i]))
			return true;
	return strcmp(directory, "/") == 0;
}

/* Where coffer's configuration, records and caches are, by name: whatever the variables say, what
 * is called like this is best left out of an advice. */
static bool is_coffers_own(const char *path)
{
	static const char *const parts[] = {"/etc/coffer", "/.config/coffer",
		"/.local/share/coffer", "/.local/state/coffer", "/.cache/coffer", "/.coffer"};
	for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
		size_t length = strlen(parts[i]);
		const char *at = strstr(path, parts[i]);
		if (at && (at[length] == '\0' || at[length] == '/'))
			return true;
	}
	return false;
}

/* What `--git commit` lets a box write of a repository: see run/gitlayer_check.c. */
static bool is_of_commit(const char *path)
{
	static const char *const names[] = {"objects", "refs", "HEAD", "index", "logs",
		"packed-refs", "COMMIT_EDITMSG", "ORIG_HEAD", "MERGE_HEAD", "index.lock",
		"HEAD.lock", "packed-refs.lock"};
	const char *git = strstr(path, "/.git/");
	if (!git)
		return false;
	const char *rest = git + strlen("/.git/");
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		size_t length = strlen(names[i]);
		if (strncmp(rest, names[i], length) == 0 &&
			(rest[length] == '\0' || rest[length] == '/'))
			return true;
	}
	return false;
}

static void allow_write(
	const struct plan *plan, const struct plan_place *place, const char *path, char *flags)
{
	const char *workspace = plan->workspace;
	bool in_workspace = workspace && path_is_below(path, workspace);
	if (place->promise) {
		if (plan->tier == TIER_CONTAINER && in_workspace && is_of_commit(path) &&
			plan->mode == MODE_WORKSPACE_WRITE && !plan->layer)
			strcpy(flags, "--git commit");
		return;
	}
	if (plan->private_root || place->restricts || is_coffers_own(path))
		return;
	if (plan->mode == MODE_READ_ONLY)
		strcpy(flags, "--mode workspace-write");
	if (plan->mode == MODE_READ_ONLY && in_workspace)
		return;
	cleanup_free char *directory = path_parent(path);
	if (!directory || is_never_writable(directory))
		flags[0] = '\0';
	else
		put_word(flags, EXPLAINED_FLAG_BYTES, "--write", directory);
}

static void allow_read(
	const struct plan *plan, const struct plan_place *place, const char *path, char *flags)
{
	bool own = strcmp(place->why, "coffer's layers and tasks") == 0 || is_coffers_own(path);
	if (place->promise || place->rule || plan->private_root || own)
		return;
	put_word(flags, EXPLAINED_FLAG_BYTES,
		path_is_below(path, "/dev") ? "--device" : "--allow-read", path);
}

static void set_rule(struct explanation *ret, const char *rule)
{
	snprintf(ret->rule, sizeof(ret->rule), "%s", rule ? rule : "default");
}

/* Who says that nothing is written there. */
static const char *write_rule(const struct plan *plan, const struct plan_place *place)
{
	if (place->rule || place->restricts)
		return place->rule;
	return plan->mode == MODE_READ_ONLY ? plan->mode_rule : NULL;
}

static void explain_path(
	const struct plan *plan, bool reading, const char *path, struct explanation *ret)
{
	const struct plan_place *place = plan_place_of(plan, path);
	if (!place)
		return;
	bool closed = place->access == PLACE_HIDDEN || place->access == PLACE_ABSENT;
	set_rule(ret, reading || closed ? place->rule : write_rule(plan, place));
	if (closed && (reading || place->rule))
		allow_read(plan, place, path, ret->allow_with);
	else if (!reading && place->access != PLACE_WRITE)
		allow_write(plan, place, path, ret->allow_with);
}

static bool is_literal(const char *target)
{
	return target[0] == '[' || target[strspn(target, "0123456789.:")] == '\0';
}

/* target: "NAME:PORT", an address with its port, or a unix socket's path. */
static void explain_network(
	const struct plan *plan, const char *target, const char *rule, struct explanation *ret)
{
	bool strict = plan->profile->view == VIEW_STRICT;
	set_rule(ret, rule[0] ? rule : NULL);
	if (strict || strpbrk(target, ", @\\") || !*target)
		return;
	if (target[0] == '/') {
		PUT_WORD(ret->allow_with, "--allow-unix", target);
		return;
	}
	/* A rule that says no stays: what nobody has allowed can be. */
	if (rule[0])
		return;
	PUT_WORD(ret->allow_with, is_literal(target) ? "--allow-cidr" : "--allow-domain", target);
}

void judge_explain(const struct plan *plan, const char *promise, const char *call,
	const char *target, const char *resolved, const char *rule, struct explanation *ret)
{
	*ret = (struct explanation){0};
	const char *path = resolved[0] == '/' ? resolved : target;
	set_rule(ret, rule[0] ? rule : NULL);
	if (strcmp(promise, "P3") == 0)
		explain_network(plan, target, rule, ret);
	else if (strcmp(promise, "P7") == 0 && plan->tier == TIER_CONTAINER &&
		 (strcmp(call, "unshare") == 0 || strcmp(call, "clone") == 0))
		snprintf(ret->allow_with, sizeof(ret->allow_with), "--allow-userns");
	else if (path[0] == '/' && (strcmp(promise, "P1") == 0 || strcmp(promise, "P2") == 0 ||
					   strcmp(promise, "P4") == 0))
		explain_path(plan, strcmp(promise, "P4") == 0, path, ret);
}

void judge_place(const struct plan *plan, const char *path, struct opinion *ret)
{
	static const char *const names[] = {[PLACE_HIDDEN] = "hidden",
		[PLACE_ABSENT] = "absent",
		[PLACE_READ] = "read",
		[PLACE_WRITE] = "write"};
	const struct plan_place *place = plan_place_of(plan, path);
	*ret = (struct opinion){.access = names[place->access], .why = place->why};
	ret->may_write = place->access == PLACE_WRITE;
	ret->may_read = place->access == PLACE_WRITE || place->access == PLACE_READ;
	explain_path(plan, true, path, &ret->read);
	explain_path(plan, false, path, &ret->write);
}
