/* sed's scripts. A script is harmless if every command in it only selects, prints, deletes from the
 * stream or substitutes; e and the e flag start programs, w and the w flag and r and R name files.
 * What is not understood is not harmless. */
#include "gate/classify_internal.h"

/* The end of a bracket expression, or NULL where there is none, or where the delimiter stands in
 * it: implementations differ in whether it ends the text then. */
static const char *skip_bracket(const char *s, char delimiter)
{
	const char *end = s + 1 + (s[1] == '^');
	end += *end == ']';
	while (*end && *end != ']') {
		const char *class_end = NULL;
		if (*end == '[' && end[1] && strchr(":.=", end[1]))
			class_end = strstr(end + 2, (char[]){end[1], ']', '\0'});
		end = class_end ? class_end + 2 : end + 1;
	}
	return *end && !memchr(s, delimiter, (size_t)(end - s)) ? end : NULL;
}

/* Skips text up to the delimiter; a backslash keeps what follows. NULL: not understood. */
static const char *skip_delimited(const char *s, char delimiter)
{
	for (; s && *s && *s != delimiter; s++) {
		if (*s == '\\' && s[1])
			s++;
		else if (*s == '\n')
			return NULL;
		else if (*s == '[' && !(s = skip_bracket(s, delimiter)))
			return NULL;
	}
	return s && *s ? s + 1 : NULL;
}

/* An address: a number, $, /regex/, \cregexc, with GNU's ~ and + forms. NULL: not understood. */
static const char *skip_address(const char *s)
{
	static const char digits[] = "0123456789";
	if (*s == '/')
		s = skip_delimited(s + 1, '/');
	else if (*s == '\\' && s[1] && s[1] != '\n')
		s = skip_delimited(s + 2, s[1]);
	else if (*s == '$')
		return s + 1;
	else if (*s == '+' || *s == '~')
		return s + 1 + strspn(s + 1, digits);
	else {
		s += strspn(s, digits);
		if (*s == '~')
			s += 1 + strspn(s + 1, digits);
		return s;
	}
	return s ? s + strspn(s, "IM") : NULL;
}

static const char *skip_command(const char *s)
{
	switch (*s) {
	case 's':
	case 'y': {
		char delimiter = s[1];
		bool substitutes = *s == 's';
		if (delimiter == '\0' || delimiter == '\n' || delimiter == '\\')
			return NULL;
		s = skip_delimited(s + 2, delimiter);
		s = s ? skip_delimited(s, delimiter) : NULL;
		/* Not e, which runs the pattern space, nor w, which writes a file. */
		return s && substitutes ? s + strspn(s, "gpiIm0123456789") : s;
	}
	case 'q':
	case 'Q':
		return s + 1 + strspn(s + 1, " 0123456789");
	default:
		return *s && strchr("pPdDnNhHgGxl=zF{}", *s) ? s + 1 : NULL;
	}
}

bool sed_script_is_safe(const char *script)
{
	const char *s = script;
	while (s && *s) {
		s += strspn(s, " \t;\n");
		if (*s == '\0')
			break;
		s = skip_address(s);
		if (s && s[strspn(s, " ")] == ',') {
			s += strspn(s, " ") + 1;
			s = skip_address(s + strspn(s, " "));
		}
		if (!s)
			return false;
		s += strspn(s, " !");
		s = skip_command(s);
		if (s && *s && !strchr(" \t;\n}", *s) && s[-1] != '{')
			return false;
	}
	return s != NULL;
}
