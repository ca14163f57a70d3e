/* Programs in sed and awk, as far as it takes to say that they start nothing and write no file:
 * what is not certain says no. */
#include "gate/wrappers.h"

#include "base/cleanup.h"

#include <string.h>

/* Over a delimited text; false where its end is missing. */
static bool skip_delimited(const char **at, char delimiter)
{
	const char *p = *at;
	for (; *p && *p != delimiter; p++) {
		if (*p == '\n')
			return false;
		if (*p == '\\' && p[1]) {
			p++;
		} else if (*p == '[') { /* a delimiter inside: seds do not agree */
			p += 1 + (p[1] == '^');
			p += *p == ']';
			while (*p && *p != ']' && *p != delimiter && !strchr("\\\n[", *p))
				p++;
			if (*p != ']')
				return false;
		}
	}
	if (!*p)
		return false;
	*at = p + 1;
	return true;
}

/* A number, $, /regex/ or \cregexc with its flags. */
static bool skip_address(const char **at)
{
	const char *p = *at;
	if (*p == '$') {
		p++;
	} else if (*p >= '0' && *p <= '9') {
		p += strspn(p, "0123456789~");
	} else if (*p == '/') {
		p++;
		if (!skip_delimited(&p, '/'))
			return false;
		p += strspn(p, "IM");
	} else if (*p == '+' || *p == '~') {
		p++;
		p += strspn(p, "0123456789");
	}
	*at = p;
	return true;
}

static bool skip_substitution(const char **at)
{
	char command = **at;
	char delimiter = *++*at;
	if (!delimiter || delimiter == '\n' || delimiter == '\\')
		return false;
	++*at;
	if (!skip_delimited(at, delimiter) || !skip_delimited(at, delimiter))
		return false;
	if (command == 's')
		*at += strspn(*at, "gpiI0123456789");
	return true;
}

bool sed_only_edits(const char *code)
{
	for (const char *p = code; *p;) {
		p += strspn(p, " \t\n;{}");
		if (!*p)
			break;
		if (!skip_address(&p))
			return false;
		if (*p == ',') {
			p++;
			if (!skip_address(&p))
				return false;
		}
		p += strspn(p, " \t!");
		if (*p == 's' || *p == 'y') {
			if (!skip_substitution(&p))
				return false;
		} else if (*p && strchr("pdDPnNhHgGx=lqQz", *p)) {
			p++;
			p += strspn(p, "0123456789");
		} else if (*p == '{') {
			p++;
			continue;
		} else {
			return false;
		}
		p += strspn(p, " \t");
		if (*p && !strchr(";\n}", *p))
			return false;
	}
	return true;
}

bool awk_only_prints(const char *code)
{
	static const char *const words[] = {"system", "getline", "close", "fflush"};
	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (strstr(code, words[i]))
			return false;
	for (const char *p = code; *p; p++) {
		if (*p == '@' || *p == '>')
			return false;
		if (*p == '|') {
			if (p[1] != '|')
				return false;
			p++;
		}
	}
	return true;
}
