/* What a command asks for beyond its box, as text, and whether one grant covers another. */
#include "base/cleanup.h"
#include "base/limits.h"
#include "base/path.h"
#include "gate/decide.h"

#include <string.h>

static const struct {
	const char *name;
	enum grant_kind kind;
	bool is_path;
} kinds[] = {
	{"write", GRANT_WRITE, true},
	{"net", GRANT_NETWORK, false},
	{"unsandboxed", GRANT_UNSANDBOXED, false},
	{"secret", GRANT_SECRET, true},
};

const char *grant_kind_name(enum grant_kind kind)
{
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (kinds[i].kind == kind)
			return kinds[i].name;
	return "";
}

void grants_free(struct grant *grants, size_t count)
{
	for (size_t i = 0; grants && i < count; i++)
		free(grants[i].value);
	free(grants);
}

int grants_add(struct grant **grants, size_t *count, enum grant_kind kind, const char *value)
{
	for (size_t i = 0; i < *count; i++)
		if ((*grants)[i].kind == kind &&
			strcmp((*grants)[i].value ? (*grants)[i].value : "", value ? value : "") ==
				0)
			return 0;
	struct grant *grown = reallocarray(*grants, *count + 1, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	*grants = grown;
	char *copy = value ? strdup(value) : NULL;
	if (value && !copy)
		return -ENOMEM;
	grown[(*count)++] = (struct grant){kind, copy};
	return 0;
}

static int parse_one(const char *word, const char *directory, struct grant **grants, size_t *count,
	struct error *error)
{
	size_t name_bytes = strcspn(word, "=");
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		if (strlen(kinds[i].name) != name_bytes ||
			strncmp(word, kinds[i].name, name_bytes) != 0)
			continue;
		const char *value = word[name_bytes] ? word + name_bytes + 1 : NULL;
		bool wanted = kinds[i].kind != GRANT_UNSANDBOXED;
		if (wanted != (value != NULL) || (value && !*value))
			return error_set(error, EINVAL, "ask",
				wanted ? "'%s' wants a value, as in %s=..."
				       : "'%s': %s takes no value",
				word, kinds[i].name);
		cleanup_free char *path = kinds[i].is_path ? path_absolute(directory, value) : NULL;
		if (kinds[i].is_path && !path)
			return error_set_errno(error, errno, "ask", "'%s'", word);
		if (*count >= MAX_POLICY_PATHS)
			return error_set(error, E2BIG, "ask", "too much is asked for");
		int r = grants_add(grants, count, kinds[i].kind, path ? path : value);
		return r < 0 ? error_set_errno(error, -r, "ask", "'%s'", word) : 0;
	}
	error_set(error, EINVAL, "ask", "nothing called '%.*s' can be asked for", (int)name_bytes,
		word);
	return error_hint(error, "write=DIR, net=HOST[:PORTS], secret=PATH and unsandboxed can be");
}

int grants_parse(const char *text, const char *directory, struct grant **grants, size_t *count,
	struct error *error)
{
	cleanup_free char *copy = strdup(text);
	if (!copy)
		return error_set_errno(error, ENOMEM, "ask", "'%s'", text);
	char *rest = copy;
	for (char *word; (word = strsep(&rest, ","));) {
		int r = parse_one(word, directory, grants, count, error);
		if (r < 0)
			return r;
	}
	return 0;
}

bool grant_covers(const struct grant *have, const struct grant *wanted)
{
	if (have->kind != wanted->kind)
		return false;
	if (have->kind == GRANT_WRITE)
		return path_is_below(wanted->value, have->value);
	return strcmp(have->value ? have->value : "", wanted->value ? wanted->value : "") == 0;
}
