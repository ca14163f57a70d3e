#include "session/params.h"

#include "base/suggest.h"

#include <errno.h>
#include <string.h>

static bool is_plain(const json_t *value)
{
	return json_is_string(value) &&
	       strlen(json_string_value(value)) == json_string_length(value);
}

static bool are_strings(const json_t *value)
{
	size_t i;
	json_t *item;
	json_array_foreach((json_t *)value, i, item) if (!is_plain(item)) return false;
	return json_is_array(value);
}

static bool are_values_strings(const json_t *value)
{
	const char *name;
	json_t *item;
	json_object_foreach((json_t *)value, name, item) if (!is_plain(item)) return false;
	return json_is_object(value);
}

static int check_one(const struct param *param, const json_t *value, struct error *error)
{
	static const char *const kinds[] = {
		[PARAM_STRING] = "a string without NUL",
		[PARAM_DATA] = "a string",
		[PARAM_BOOLEAN] = "true or false",
		[PARAM_INTEGER] = "an integer",
		[PARAM_COMMAND] = "a shell line, or an array with the words of a command",
		[PARAM_STRINGS] = "an array of strings",
		[PARAM_OBJECT] = "an object",
		[PARAM_STRING_MAP] = "an object of strings",
	};
	bool fits = false;
	switch (param->kind) {
	case PARAM_STRING:
		fits = is_plain(value);
		break;
	case PARAM_DATA:
		fits = json_is_string(value);
		break;
	case PARAM_BOOLEAN:
		fits = json_is_boolean(value);
		break;
	case PARAM_INTEGER:
		fits = json_is_integer(value);
		break;
	case PARAM_COMMAND:
		fits = (is_plain(value) && json_string_length(value)) ||
		       (are_strings(value) && json_array_size(value) &&
			       json_string_length(json_array_get(value, 0)));
		break;
	case PARAM_STRINGS:
		fits = are_strings(value);
		break;
	case PARAM_OBJECT:
		fits = json_is_object(value);
		break;
	case PARAM_STRING_MAP:
		fits = are_values_strings(value);
		break;
	}
	if (!fits)
		return error_set(
			error, EINVAL, "session", "%s is not %s", param->name, kinds[param->kind]);
	json_int_t number = json_integer_value(value);
	if (param->kind == PARAM_INTEGER && (number < param->min || number > param->max))
		return error_set(error, EINVAL, "session",
			"%s is %" JSON_INTEGER_FORMAT "; it goes from %" JSON_INTEGER_FORMAT
			" to %" JSON_INTEGER_FORMAT,
			param->name, number, param->min, param->max);
	if (json_is_string(value) && param->max && json_string_length(value) > (size_t)param->max)
		return error_set(error, E2BIG, "session", "%s has %zu bytes; it has at most %d",
			param->name, json_string_length(value), (int)param->max);
	return param->fields ? params_check(value, param->fields, error) : 0;
}

static const struct param *find(const struct param *table, const char *name, size_t *ret_count)
{
	const struct param *found = NULL;
	*ret_count = 0;
	for (; table->name; table++, ++*ret_count)
		if (strcmp(table->name, name) == 0)
			found = table;
	return found;
}

int params_check(const json_t *params, const struct param *table, struct error *error)
{
	const char *name;
	json_t *value;
	json_object_foreach((json_t *)params, name, value)
	{
		size_t count;
		const struct param *param = find(table, name, &count);
		if (!param && strcmp(name, "_meta") == 0)
			continue;
		if (!param) {
			error_set(error, EINVAL, "session", "there is no parameter '%.64s'", name);
			const char *near = suggest_nearest(name, table, count, sizeof(*table));
			return near ? error_hint(error, "did you mean '%s'?", near) : -EINVAL;
		}
		int r = json_is_null(value) && !param->required ? 0
								: check_one(param, value, error);
		if (r < 0)
			return r;
	}
	for (; table->name; table++)
		if (table->required && !json_object_get(params, table->name))
			return error_set(error, EINVAL, "session", "%s is missing", table->name);
	return 0;
}

static json_t *one_schema(const struct param *param)
{
	static const char *const types[] = {
		[PARAM_STRING] = "string",
		[PARAM_DATA] = "string",
		[PARAM_BOOLEAN] = "boolean",
		[PARAM_INTEGER] = "integer",
		[PARAM_OBJECT] = "object",
	};
	json_t *schema;
	if (param->kind == PARAM_COMMAND)
		schema = json_pack("{s:[{s:s, s:i}, {s:s, s:{s:s}, s:i}]}", "anyOf", "type",
			"string", "minLength", 1, "type", "array", "items", "type", "string",
			"minItems", 1);
	else if (param->kind == PARAM_STRINGS)
		schema = json_pack("{s:s, s:{s:s}}", "type", "array", "items", "type", "string");
	else if (param->kind == PARAM_STRING_MAP)
		schema = json_pack("{s:s, s:{s:s}}", "type", "object", "additionalProperties",
			"type", "string");
	else if (param->fields)
		schema = params_schema(param->fields);
	else
		schema = json_pack("{s:s}", "type", types[param->kind]);
	if (param->kind == PARAM_INTEGER) {
		json_object_set_new(schema, "minimum", json_integer(param->min));
		json_object_set_new(schema, "maximum", json_integer(param->max));
	}
	if (param->help)
		json_object_set_new(schema, "description", json_string(param->help));
	return schema;
}

json_t *params_schema(const struct param *table)
{
	json_t *properties = json_object(), *required = json_array();
	int r = 0;
	for (; table->name; table++) {
		r |= json_object_set_new(properties, table->name, one_schema(table));
		if (table->required)
			r |= json_array_append_new(required, json_string(table->name));
	}
	json_t *schema = json_pack("{s:s, s:o, s:o, s:b}", "type", "object", "properties",
		properties, "required", required, "additionalProperties", 0);
	if (r == 0)
		return schema;
	json_decref(schema);
	return NULL;
}
