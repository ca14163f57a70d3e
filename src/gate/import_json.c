/* JSON with the places of its values, which jansson does not keep. jansson checks the text first
 * (one value, no key twice, valid UTF-8); the walk over what it has passed only has to find its
 * way, and asks jansson for each string. */
#include "gate/import.h"

#include "base/cleanup.h"
#include "base/limits.h"

#include <ctype.h>
#include <jansson.h>
#include <string.h>

struct scanner {
	const char *text, *at, *end, *line_start;
	unsigned line, depth;
	int error; /* -ENOMEM, -ELOOP: nested too deeply */
};

static void skip_blanks(struct scanner *s)
{
	for (; s->at < s->end && isspace((unsigned char)*s->at); s->at++)
		if (*s->at == '\n') {
			s->line++;
			s->line_start = s->at + 1;
		}
}

static char *take_string(struct scanner *s)
{
	const char *start = s->at++;
	while (s->at < s->end && *s->at != '"')
		s->at += *s->at == '\\' && s->at + 1 < s->end ? 2 : 1;
	if (s->at < s->end)
		s->at++;
	json_t *string = json_loadb(start, (size_t)(s->at - start), JSON_DECODE_ANY, NULL);
	char *copy = string ? strdup(json_string_value(string)) : NULL;
	json_decref(string);
	if (!copy)
		s->error = -ENOMEM;
	return copy;
}

static bool take_value(struct scanner *s, struct toml_value *ret);

static struct toml_value *add(struct scanner *s, struct toml_value *to)
{
	struct toml_value *items = reallocarray(to->items, to->count + 1, sizeof(*items));
	if (!items) {
		s->error = -ENOMEM;
		return NULL;
	}
	to->items = items;
	items[to->count] = (struct toml_value){0};
	return &items[to->count++];
}

static void drop_last(struct toml_value *of)
{
	struct toml_value *last = &of->items[--of->count];
	free(last->key);
	*last = (struct toml_value){0};
}

static void take_items(struct scanner *s, struct toml_value *ret, char close)
{
	s->at++;
	if (++s->depth > MAX_CONFIG_DEPTH)
		s->error = -ELOOP;
	for (skip_blanks(s); s->error == 0 && s->at < s->end && *s->at != close; skip_blanks(s)) {
		unsigned line = s->line, column = (unsigned)(s->at - s->line_start) + 1;
		struct toml_value *item = add(s, ret);
		if (!item)
			return;
		if (close == '}') {
			item->key = take_string(s);
			skip_blanks(s);
			s->at++; /* the colon */
		}
		skip_blanks(s);
		bool is_null = s->error == 0 && !take_value(s, item);
		item->line = line;
		item->column = column;
		if (is_null)
			drop_last(ret);
		skip_blanks(s);
		if (s->at < s->end && *s->at == ',')
			s->at++;
	}
	s->at++;
	s->depth--;
}

static void take_number(struct scanner *s, struct toml_value *ret)
{
	const char *start = s->at;
	while (s->at < s->end && strchr("+-.0123456789eE", *s->at))
		s->at++;
	json_t *number = json_loadb(start, (size_t)(s->at - start), JSON_DECODE_ANY, NULL);
	ret->kind = json_is_integer(number) ? TOML_INTEGER : TOML_FLOAT;
	ret->integer = json_integer_value(number);
	ret->number = json_number_value(number);
	json_decref(number);
}

/* False for null. */
static bool take_value(struct scanner *s, struct toml_value *ret)
{
	switch (s->at < s->end ? *s->at : 'n') {
	case '{':
		ret->kind = TOML_TABLE;
		take_items(s, ret, '}');
		return true;
	case '[':
		ret->kind = TOML_ARRAY;
		take_items(s, ret, ']');
		return true;
	case '"':
		ret->kind = TOML_STRING;
		ret->string = take_string(s);
		return true;
	case 't':
	case 'f':
		ret->kind = TOML_BOOLEAN;
		ret->boolean = *s->at == 't';
		s->at += ret->boolean ? 4 : 5;
		return true;
	case 'n':
		s->at += 4;
		return false;
	default:
		take_number(s, ret);
		return true;
	}
}

int import_json_parse(const char *file, const char *text, size_t length_bytes,
	struct toml_value **ret, struct error *error)
{
	json_error_t wrong;
	*ret = NULL;
	json_t *checked = json_loadb(text, length_bytes, JSON_REJECT_DUPLICATES, &wrong);
	bool is_object = json_is_object(checked);
	json_decref(checked);
	if (!checked)
		return error_set(error, EINVAL, "import", "%.300s:%d:%d: %.200s", file, wrong.line,
			wrong.column, wrong.text);
	if (!is_object)
		return error_set(error, EINVAL, "import", "%.300s:1:1: no JSON object", file);
	struct scanner scanner = {.text = text,
		.at = text,
		.end = text + length_bytes,
		.line_start = text,
		.line = 1};
	struct toml_value *document = calloc(1, sizeof(*document));
	if (!document)
		return error_set_errno(error, ENOMEM, "import", "%.300s", file);
	skip_blanks(&scanner);
	take_value(&scanner, document);
	if (scanner.error == 0) {
		*ret = document;
		return 0;
	}
	toml_free(document);
	if (scanner.error == -ELOOP)
		return error_set(error, ELOOP, "import", "%.300s:%u: nested deeper than %d", file,
			scanner.line, MAX_CONFIG_DEPTH);
	return error_set_errno(error, ENOMEM, "import", "%.300s", file);
}
