/* Theory of operation: a package that wants to be taken for another has its name but for a slip:
 * one letter more, less, other or swapped; separators left out or added; letters that look alike;
 * or what people add without thinking ("-js", "python-"). Both names are brought into the form in
 * which they would be confused, and compared. Names of four letters and less are too near to one
 * another to tell. */
#include "gate/code_diff.h"

#include "base/utf8.h"

#include <ctype.h>
#include <string.h>

enum { LONGEST = 80, SHORTEST = 5 };

/* Small letters; Python's registry takes "-", "_" and "." for the same. */
static void normalize(enum ecosystem ecosystem, const char *name, char ret[LONGEST])
{
	size_t length = 0;
	for (; *name && length < LONGEST - 1; name++) {
		char c = tolower((unsigned char)*name);
		if (ecosystem == ECOSYSTEM_PYPI && (c == '_' || c == '.'))
			c = '-';
		ret[length++] = c;
	}
	ret[length] = '\0';
}

/* Cyrillic and Greek letters that look like Latin ones. */
static char latin_of(unsigned character)
{
	static const struct {
		unsigned character;
		char latin;
	} letters[] = {{0x430, 'a'}, {0x435, 'e'}, {0x43e, 'o'}, {0x440, 'p'}, {0x441, 'c'},
		{0x443, 'y'}, {0x445, 'x'}, {0x456, 'i'}, {0x458, 'j'}, {0x455, 's'}, {0x501, 'd'},
		{0x51b, 'q'}, {0x51d, 'w'}, {0x3b1, 'a'}, {0x3bf, 'o'}, {0x3c1, 'p'}, {0x3bd, 'v'},
		{0x131, 'i'}, {0x13c, 'l'}, {0x1d0, 'i'}};
	for (size_t i = 0; i < ARRAY_SIZE(letters); i++)
		if (letters[i].character == character)
			return letters[i].latin;
	return '?';
}

/* As it would be read in haste: no separators, and one letter for those that look alike. */
static void look_of(const char *name, char ret[LONGEST])
{
	size_t length = 0;
	while (*name && length < LONGEST - 1) {
		size_t size = utf8_sequence((const unsigned char *)name);
		char c = *name;
		if (size > 1)
			c = latin_of(utf8_character((const unsigned char *)name, size));
		bool rn = strncmp(name, "rn", 2) == 0, vv = strncmp(name, "vv", 2) == 0;
		name += size > 1 ? size : rn || vv ? 2 : 1;
		if (rn || vv)
			c = rn ? 'm' : 'w';
		else if (c == '0')
			c = 'o';
		else if (c == '1' || c == 'i' || c == '|')
			c = 'l';
		else if (c == '5')
			c = 's';
		if (!strchr("-_.", c))
			ret[length++] = c;
	}
	ret[length] = '\0';
}

/* Whether one letter less, more, other, or two swapped makes b of a. */
static bool is_a_slip(const char *a, const char *b)
{
	size_t la = strlen(a), lb = strlen(b), i = 0;
	if (la > lb + 1 || lb > la + 1)
		return false;
	while (a[i] && a[i] == b[i])
		i++;
	const char *x = a + i, *y = b + i;
	if (la > lb)
		return strcmp(x + 1, y) == 0;
	if (lb > la)
		return strcmp(x, y + 1) == 0;
	if (!*x || strcmp(x + 1, y + 1) == 0)
		return *x != '\0';
	return x[0] == y[1] && x[1] == y[0] && strcmp(x + 2, y + 2) == 0;
}

static bool has_affix(enum ecosystem ecosystem, const char *name, const char *popular)
{
	static const char *const ends[][6] = {
		[ECOSYSTEM_NPM] = {"-js", "js", ".js", "-npm", "-node", NULL},
		[ECOSYSTEM_PYPI] = {"-python", "-python3", "-py", "-pip", NULL},
		[ECOSYSTEM_CRATES] = {"-rs", "_rs", "-rust", "-lib", NULL},
	};
	static const char *const starts[][4] = {
		[ECOSYSTEM_NPM] = {"npm-", "js-", NULL},
		[ECOSYSTEM_PYPI] = {"python-", "python3-", "py-", NULL},
		[ECOSYSTEM_CRATES] = {"rust-", "rs-", NULL},
	};
	size_t length = strlen(popular), whole = strlen(name);
	if (strncmp(name, popular, length) == 0)
		for (size_t i = 0; ends[ecosystem][i]; i++)
			if (strcmp(name + length, ends[ecosystem][i]) == 0)
				return true;
	for (size_t i = 0; starts[ecosystem][i]; i++) {
		size_t start = strlen(starts[ecosystem][i]);
		if (whole == start + length && strncmp(name, starts[ecosystem][i], start) == 0 &&
			strcmp(name + start, popular) == 0)
			return true;
	}
	return false;
}

const char *lookalike_of(enum ecosystem ecosystem, const char *name)
{
	const struct popular_names *popular = &popular_names[ecosystem];
	char plain[LONGEST], look[LONGEST], other_look[LONGEST];
	normalize(ecosystem, name, plain);
	look_of(plain, look);
	const char *found = NULL;
	for (size_t i = 0; i < popular->count; i++) {
		const char *other = popular->names[i];
		if (strcmp(plain, other) == 0)
			return NULL; /* it is popular itself */
		if (found || strlen(other) < SHORTEST)
			continue;
		look_of(other, other_look);
		if (strcmp(look, other_look) == 0 || is_a_slip(plain, other) ||
			has_affix(ecosystem, plain, other))
			found = other;
	}
	return found;
}
