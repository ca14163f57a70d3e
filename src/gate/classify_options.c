/* A command's words, told apart as getopt_long() does it. */
#include "gate/classify_internal.h"

struct option_walk option_walk_begin(const struct command *command)
{
	return (struct option_walk){.part = command->part,
		.with_arguments = command->with_arguments ? command->with_arguments : "",
		.at = 1};
}

bool list_has(const char *list, const char *word, size_t length_bytes)
{
	size_t list_bytes = strlen(list);
	const char *end = list + list_bytes;
	for (const char *s = list; length_bytes > 0 && s < end; s++) {
		s = memmem(s, (size_t)(end - s), word, length_bytes);
		if (!s)
			return false;
		if ((s == list || s[-1] == ',') &&
			(s[length_bytes] == ',' || s[length_bytes] == '\0'))
			return true;
	}
	return false;
}

/* Whether one entry of a specification, of entry_bytes with its suffix cut off, has the name. */
static bool entry_has(const char *entry, size_t entry_bytes, const char *name, size_t length_bytes,
	bool abbreviated)
{
	for (const char *s = entry, *end = entry + entry_bytes; s < end;) {
		size_t bytes = 0;
		while (s + bytes < end && s[bytes] != ',')
			bytes++;
		bool fits = bytes == length_bytes ||
			    (abbreviated && length_bytes > 1 && bytes > length_bytes);
		if (fits && memcmp(s, name, length_bytes) == 0)
			return true;
		s += bytes + 1;
	}
	return false;
}

const char *spec_find(
	const char *spec, const char *name, size_t length_bytes, bool abbreviated, char *ret_suffix)
{
	const char *near = NULL;
	char near_suffix = '\0';
	while (*spec) {
		size_t bytes = strcspn(spec, " ");
		char suffix = bytes > 1 && strchr("=?", spec[bytes - 1]) ? spec[bytes - 1] : '\0';
		size_t names_bytes = bytes - (suffix != '\0');
		if (entry_has(spec, names_bytes, name, length_bytes, false)) {
			*ret_suffix = suffix;
			return spec;
		}
		if (abbreviated && !near &&
			entry_has(spec, names_bytes, name, length_bytes, true)) {
			near = spec;
			near_suffix = suffix;
		}
		spec += bytes + strspn(spec + bytes, " ");
	}
	*ret_suffix = near_suffix;
	return near;
}

/* The word behind the present one, taken as an option's argument. */
static void take_next(struct option_walk *walk, struct option *ret)
{
	const struct gate_part *part = walk->part;
	if (walk->at < part->argv.count) {
		ret->value = part->argv.items[walk->at];
		ret->known = ret->known && part->word_known[walk->at];
		walk->at++;
	}
}

static void take_short(struct option_walk *walk, struct option *ret)
{
	char suffix;
	ret->is_option = true;
	ret->is_long = false;
	ret->name = walk->cluster++;
	ret->name_bytes = 1;
	ret->value = NULL;
	if (*walk->cluster == '\0')
		walk->cluster = NULL;
	if (!spec_find(walk->with_arguments, ret->name, 1, false, &suffix) || suffix == '\0')
		return;
	if (walk->cluster) {
		ret->value = walk->cluster;
		walk->cluster = NULL;
	} else if (suffix == '=') {
		take_next(walk, ret);
	}
}

static void take_long(struct option_walk *walk, const char *word, struct option *ret)
{
	char suffix;
	ret->is_option = ret->is_long = true;
	ret->name = word;
	ret->name_bytes = strcspn(word, "=");
	ret->value = word[ret->name_bytes] ? word + ret->name_bytes + 1 : NULL;
	if (!ret->value && spec_find(walk->with_arguments, word, ret->name_bytes, true, &suffix) &&
		suffix == '=')
		take_next(walk, ret);
}

bool option_walk_next(struct option_walk *walk, struct option *ret)
{
	const struct gate_part *part = walk->part;
	if (walk->cluster) {
		take_short(walk, ret);
		return true;
	}
	if (walk->at >= part->argv.count)
		return false;
	const char *word = part->argv.items[walk->at];
	*ret = (struct option){.name = word,
		.name_bytes = strlen(word),
		.known = part->word_known[walk->at],
		.at = walk->at};
	walk->at++;
	if (walk->operands_only || word[0] != '-' || word[1] == '\0')
		return true;
	if (word[1] != '-') {
		walk->cluster = word + 1;
		take_short(walk, ret);
		return true;
	}
	if (word[2] != '\0') {
		take_long(walk, word + 2, ret);
		return true;
	}
	walk->operands_only = true;
	return option_walk_next(walk, ret);
}

/* Whether some word is exactly this (or has "=value" behind it): for options of one dash. */
static bool has_word_as_it_is(const struct gate_part *part, const char *name, size_t length_bytes)
{
	for (size_t i = 1; i < part->argv.count; i++) {
		const char *word = part->argv.items[i];
		if (strncmp(word, name, length_bytes) == 0 &&
			(word[length_bytes] == '\0' || word[length_bytes] == '='))
			return true;
	}
	return false;
}

/* Whether one of the alternatives, alternatives_bytes of them, is there. */
static bool has_one_of(
	const struct command *command, const char *alternatives, size_t alternatives_bytes)
{
	if (alternatives[0] == '-') {
		for (size_t at = 0; at < alternatives_bytes;) {
			size_t bytes = 0;
			while (at + bytes < alternatives_bytes && alternatives[at + bytes] != ',')
				bytes++;
			if (has_word_as_it_is(command->part, alternatives + at, bytes))
				return true;
			at += bytes + 1;
		}
		return false;
	}
	struct option_walk walk = option_walk_begin(command);
	for (struct option option; option_walk_next(&walk, &option);)
		if (option.is_option &&
			entry_has(alternatives, alternatives_bytes, option.name, option.name_bytes,
				option.is_long) &&
			option.is_long == (option.name_bytes > 1))
			return true;
	return false;
}

bool has_options(const struct command *command, const char *groups)
{
	while (*groups) {
		size_t bytes = strcspn(groups, " ");
		if (!has_one_of(command, groups, bytes))
			return false;
		groups += bytes + strspn(groups + bytes, " ");
	}
	return true;
}

const char *option_value(const struct command *command, const char *alternatives)
{
	const char *value = NULL;
	struct option_walk walk = option_walk_begin(command);
	for (struct option option; option_walk_next(&walk, &option);)
		if (option.is_option && option.value &&
			entry_has(alternatives, strlen(alternatives), option.name,
				option.name_bytes, option.is_long))
			value = option.value;
	return value;
}

const char *operand(const struct command *command, size_t n, bool *ret_known)
{
	struct option_walk walk = option_walk_begin(command);
	for (struct option option; option_walk_next(&walk, &option);) {
		if (option.is_option || n-- > 0)
			continue;
		if (ret_known)
			*ret_known = option.known;
		return option.name;
	}
	return NULL;
}

size_t operands_count(const struct command *command)
{
	size_t count = 0;
	struct option_walk walk = option_walk_begin(command);
	for (struct option option; option_walk_next(&walk, &option);)
		count += !option.is_option;
	return count;
}

bool has_words(const struct command *command, const char *words)
{
	struct option_walk walk = option_walk_begin(command);
	struct option option;
	while (*words) {
		size_t bytes = strcspn(words, " ");
		do {
			if (!option_walk_next(&walk, &option))
				return false;
		} while (option.is_option);
		if (!entry_has(words, bytes, option.name, option.name_bytes, false))
			return false;
		words += bytes + strspn(words + bytes, " ");
	}
	return true;
}

bool may_be_option(const struct gate_part *part, size_t word)
{
	const char *text = part->argv.items[word];
	if (part->word_known[word])
		return false;
	/* A glob stays one kind of word if it begins with what is no dash; a variable may be
	 * anything, and several words. */
	return strchr("-*?[$`\"'<{~", text[0]) || strpbrk(text, "$`(\"'{");
}
