/* Brace expansion: a{b,c}d makes abd acd. Only lists are expanded here; a sequence {1..9} leaves
 * the word unknown, and so do too many words. Bash expands before it removes quotes, so every
 * byte carries whether it was quoted. */
#include "gate/shell.h"

#include "base/cleanup.h"
#include "base/limits.h"

#include <errno.h>
#include <string.h>

struct braces {
	size_t open, close;
	bool list, sequence;
};

/* The first { whose } follows with a comma or ".." at its own level. */
static bool find_braces(
	const char *text, const char *quoted, size_t length, size_t from, struct braces *ret)
{
	for (size_t open = from; open < length; open++) {
		if (text[open] != '{' || quoted[open])
			continue;
		*ret = (struct braces){.open = open};
		unsigned level = 0;
		for (size_t i = open + 1; i < length; i++) {
			if (quoted[i])
				continue;
			if (text[i] == '{') {
				level++;
			} else if (text[i] == '}' && level > 0) {
				level--;
			} else if (text[i] == '}') {
				ret->close = i;
				break;
			} else if (text[i] == ',' && level == 0) {
				ret->list = true;
			} else if (text[i] == '.' && text[i + 1] == '.' && level == 0) {
				ret->sequence = true;
			}
		}
		if (ret->close && (ret->list || ret->sequence))
			return true;
		/* Each open brace scans the rest: what strangers write is cut off. */
		if (++from > MAX_BRACE_WORDS)
			return false;
	}
	return false;
}

bool shell_has_braces(const char *text, const char *quoted, size_t length_bytes)
{
	struct braces ignored;
	if (length_bytes < 2 || !memchr(text, '{', length_bytes))
		return false;
	size_t opens = 0;
	for (size_t i = 0; i < length_bytes; i++)
		opens += text[i] == '{' && !quoted[i];
	return opens > MAX_BRACE_WORDS || find_braces(text, quoted, length_bytes, 0, &ignored);
}

struct half {
	char *text, *quoted;
	size_t length;
};

/* before + text[from..to) + after, quoted likewise. */
static int splice(const char *text, const char *quoted, size_t length, const struct braces *braces,
	size_t from, size_t to, struct half *ret)
{
	size_t tail = length - braces->close - 1;
	ret->length = braces->open + (to - from) + tail;
	ret->text = malloc(ret->length + 1);
	ret->quoted = malloc(ret->length + 1);
	if (!ret->text || !ret->quoted)
		return -ENOMEM;
	const char *sources[] = {text, quoted};
	char *targets[] = {ret->text, ret->quoted};
	for (int i = 0; i < 2; i++) {
		memcpy(targets[i], sources[i], braces->open);
		memcpy(targets[i] + braces->open, sources[i] + from, to - from);
		memcpy(targets[i] + braces->open + (to - from), sources[i] + braces->close + 1,
			tail);
		targets[i][ret->length] = '\0';
	}
	return 0;
}

static int expand(const char *text, const char *quoted, size_t length, unsigned depth,
	struct brace_words *ret)
{
	struct braces braces;
	if (!find_braces(text, quoted, length, 0, &braces)) {
		/* An empty word is none, unless there were quotes: not told apart here. */
		if (ret->words.count >= MAX_BRACE_WORDS || length == 0)
			ret->too_many = true;
		return ret->too_many ? 0 : strv_add(&ret->words, text);
	}
	/* Only whole lists: what is nested oddly is left to the word's being unknown. */
	if (!braces.list || depth == MAX_SCRIPT_NESTING || length > MAX_PATH_BYTES) {
		ret->too_many = true;
		return 0;
	}
	unsigned level = 0;
	size_t from = braces.open + 1;
	for (size_t i = from; i <= braces.close && !ret->too_many; i++) {
		bool ends = i == braces.close || (text[i] == ',' && !quoted[i] && level == 0);
		if (text[i] == '{' && !quoted[i])
			level++;
		else if (text[i] == '}' && !quoted[i] && i != braces.close)
			level--;
		if (!ends)
			continue;
		struct half made = {0};
		int r = splice(text, quoted, length, &braces, from, i, &made);
		if (r == 0)
			r = expand(made.text, made.quoted, made.length, depth + 1, ret);
		free(made.text);
		free(made.quoted);
		if (r < 0)
			return r;
		from = i + 1;
	}
	return 0;
}

int shell_expand_braces(
	const char *text, const char *quoted, size_t length_bytes, struct brace_words *ret)
{
	if (length_bytes > MAX_PATH_BYTES) {
		ret->too_many = true;
		return 0;
	}
	return expand(text, quoted, length_bytes, 0, ret);
}
