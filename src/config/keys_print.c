/* The table of keys as the documentation has it. */
#include "config/config_internal.h"

#include "base/cleanup.h"
#include "config/load.h"

#include <string.h>

static const struct {
	const char *table, *title;
} sections[] = {
	{"", "At the top"},
	{"limits", "[limits]"},
	{"network", "[network]"},
	{"approval", "[approval]"},
	{"reviewer", "[reviewer]"},
	{"rule", "[[rule]]"},
	{"hook", "[[hook]]"},
};

/* How far a project's file may say it. */
static const char *const project_words[] = {
	[NARROW_NEVER] = "no",
	[NARROW_ADDS] = "yes",
	[NARROW_MODE] = "if narrower",
	[NARROW_NET] = "if narrower",
	[NARROW_OFF] = "`\"off\"`",
	[NARROW_ON] = "`true`",
	[NARROW_LIMIT] = "if lower",
	[NARROW_DENIES] = "`\"!...\"`",
	[NARROW_OWN] = "yes",
};

static const char *help_of(const struct schema_key *key)
{
	if (key->help)
		return key->help;
	size_t count;
	const struct policy_key *keys = policy_keys(&count);
	for (size_t i = 0; i < count; i++)
		if (strcmp(keys[i].name, key->policy_key) == 0)
			return keys[i].help;
	return "";
}

/* A bar would end the cell. */
static void put_cell(struct buffer *out, const char *text)
{
	for (const char *s = text; *s; s++) {
		if (*s == '|' || *s == '*' || *s == '[' || *s == ']')
			buffer_append(out, "\\", 1);
		buffer_append(out, s, 1);
	}
}

static void print_key(const struct schema_key *key, struct buffer *out)
{
	bool own = key->layers & 1u << LAYER_USER;
	bool project = key->layers & 1u << LAYER_PROJECT;
	bool required = key->layers & 1u << LAYER_REQUIREMENTS;
	buffer_append_format(out, "| `%s` | %s%s | %s | %s | %s | ", key->key, key->form->name,
		key->repeats ? ", adds up" : "", own ? "yes" : "no",
		project ? project_words[key->narrowing] : "no", required ? "yes" : "no");
	put_cell(out, help_of(key));
	buffer_append_string(out, " |\n");
}

void config_print_keys(struct buffer *out)
{
	size_t count;
	const struct schema_key *keys = schema_keys(&count);
	for (size_t i = 0; i < ARRAY_SIZE(sections); i++) {
		buffer_append_format(out,
			"%s### %s\n\n| key | value | your file | a project's | requirements | "
			"what it says |\n|---|---|---|---|---|---|\n",
			i ? "\n" : "", sections[i].title);
		for (size_t k = 0; k < count; k++)
			if (strcmp(keys[k].table, sections[i].table) == 0)
				print_key(&keys[k], out);
	}
}
