/* Deletion, by what is deleted: a directory that the system or a person lives in, what lies
 * outside, the workspace itself, what only shows when it runs, what a build makes again. */
#include "gate/classify_internal.h"

#include "base/path.h"

static bool is_git_directory(const struct command *command, const char *path)
{
	(void)command;
	if (!path)
		return false;
	const char *git = strstr(path, "/.git");
	return git &&
	       (git[5] == '\0' || strcmp(git + 5, "/") == 0 || strcmp(git + 5, "/*") == 0 ||
		       strncmp(git + 5, "/objects", 8) == 0 || strncmp(git + 5, "/refs", 5) == 0);
}

/* "*", "dir/" + "*", ".*": everything that is there. */
static bool is_everything(const char *word)
{
	const char *name = path_name(word);
	return strcmp(name, "*") == 0 || strcmp(name, ".*") == 0 || strcmp(name, "**") == 0 ||
	       strcmp(name, "{*,.*}") == 0;
}

/* In the order of gravity; the first that holds is told. */
static const struct {
	bool (*holds)(const struct command *command, const char *path);
	bool recursive_only;
	enum command_class class;
	const char *id, *reason;
} targets[] = {
	{is_vital, true, CLASS_FORBIDDEN, "delete-vital",
		"it deletes the system, or everything in a home directory"},
	{is_git_directory, false, CLASS_DANGEROUS, "delete-repository",
		"it deletes the repository's history"},
	{is_root_itself, true, CLASS_DANGEROUS, "delete-workspace",
		"it deletes the whole workspace or what lies above it"},
	{is_outside, false, CLASS_DANGEROUS, "delete-outside",
		"it deletes outside of the writable directories"},
	{is_kept, true, CLASS_DANGEROUS, "delete-recursive",
		"it deletes a directory with everything in it"},
};

/* A glob for everything in a directory is that directory. */
static char *without_everything(const char *word)
{
	if (!is_everything(word))
		return strdup(word);
	size_t length = (size_t)(path_name(word) - word);
	return length ? strndup(word, length) : strdup(".");
}

static void classify_target(const struct command *command, const char *pattern, bool known,
	bool recursive, struct classification *ret)
{
	cleanup_free char *word = without_everything(pattern);
	bool somewhere = command->places->unknown && pattern[0] != '/' && !begins_at_home(pattern);
	if (recursive &&
		(!word || somewhere || (!known && !has_glob(pattern) && !begins_at_home(pattern))))
		return classification_raise(ret, CLASS_DANGEROUS, CATEGORY_DELETE, "delete-unknown",
			"what it deletes only shows when it runs");
	for (size_t i = 0; i < ARRAY_SIZE(targets); i++) {
		if (targets[i].recursive_only && !recursive)
			continue;
		bool spelled = known || has_glob(pattern) || begins_at_home(pattern);
		if (word && spelled && any_place(command, word, targets[i].holds)) {
			classification_raise(ret, targets[i].class, CATEGORY_DELETE, targets[i].id,
				targets[i].reason);
			break;
		}
	}
	if (is_everything(pattern) && (!word || any_place(command, word, is_kept)))
		classification_raise(ret, CLASS_DANGEROUS, CATEGORY_DELETE, "delete-everything",
			"it deletes everything that is there");
}

static void classify_rm(const struct command *command, struct classification *ret)
{
	bool recursive = has_options(command, "r,R,recursive");
	size_t count = 0;
	struct option_walk walk = option_walk_begin(command);
	for (struct option option; option_walk_next(&walk, &option);) {
		if (option.is_option)
			continue;
		count++;
		/* find -exec and xargs put names there. */
		bool known = option.known && strcmp(option.name, "{}") != 0;
		classify_target(command, option.name, known, recursive, ret);
	}
	if (recursive && count == 0)
		classification_raise(ret, CLASS_DANGEROUS, CATEGORY_DELETE, "delete-unknown",
			"what it deletes only shows when it runs");
	if (has_options(command, "no-preserve-root"))
		classification_raise(ret, CLASS_FORBIDDEN, CATEGORY_DELETE, "delete-vital",
			"it asks to be let delete the system");
}

/* find's starting points: the words before its expression. */
static void classify_find(const struct command *command, struct classification *ret)
{
	const struct gate_part *part = command->part;
	bool deletes = false, kept = false;
	size_t points = 0;
	for (size_t i = 1; i < part->argv.count; i++)
		deletes = deletes || strcmp(part->argv.items[i], "-delete") == 0;
	if (!deletes)
		return;
	for (size_t i = 1; i < part->argv.count; i++) {
		const char *word = part->argv.items[i];
		if (strchr("-(!", word[0]))
			break;
		points++;
		if (part->word_known[i] && any_place(command, word, is_vital) &&
			part->argv.count == i + 2)
			classification_raise(ret, CLASS_FORBIDDEN, CATEGORY_DELETE, "delete-vital",
				"it deletes the system, or everything in a home directory");
		if (part->word_known[i] && any_place(command, word, is_outside))
			classification_raise(ret, CLASS_DANGEROUS, CATEGORY_DELETE,
				"delete-outside", "it deletes outside of the writable directories");
		kept = kept || !part->word_known[i] || any_place(command, word, is_kept);
	}
	if (kept || points == 0)
		classification_raise(ret, CLASS_DANGEROUS, CATEGORY_DELETE, "find-delete",
			"it deletes whatever find finds");
}

void classify_deletion(const struct command *command, struct classification *ret)
{
	if (strcmp(command->program, "rm") == 0)
		classify_rm(command, ret);
	else if (strcmp(command->program, "find") == 0)
		classify_find(command, ret);
}
