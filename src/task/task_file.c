/* coffer-task.toml: the flags of `coffer task run` as keys. A list may stand where a flag may be
 * repeated, a table where it takes NAME=VALUE.
 *
 * Such a file says what runs and is read and written on the host: a secret's command, the text of a
 * pull request. The one in the working directory may be a stranger's, or what a box has left there;
 * it counts only with the very bytes that a person has named before. */
#include "task/task.h"

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/limits.h"
#include "base/path.h"
#include "config/sources.h"
#include "config/toml.h"
#include "config/trust.h"

#include <fcntl.h>
#include <inttypes.h>
#include <string.h>

static const char stage[] = "task";

struct place {
	struct task_spec *spec;
	const char *file, *directory;
};

/* An error at a value says where it stands. */
static int locate(const struct place *place, const struct toml_value *value, struct error *error)
{
	char message[sizeof(error->message)], hint[sizeof(error->hint)];
	snprintf(message, sizeof(message), "%s", error->message);
	snprintf(hint, sizeof(hint), "%s", error->hint);
	int r = error_set(error, error->errno_value, stage, "%s:%u:%u: %.700s", place->file,
		value->line, value->column, message);
	return hint[0] ? error_hint(error, "%s", hint) : r;
}

static const struct task_key *find_key(const char *name)
{
	size_t count;
	const struct task_key *keys = task_keys(&count);
	for (size_t i = 0; i < count; i++)
		if (strcmp(keys[i].name, name) == 0)
			return &keys[i];
	return NULL;
}

static int set_scalar(const struct place *place, const char *key, const char *prefix,
	const struct toml_value *value, struct error *error)
{
	char number[32];
	const char *text = value->string;
	if (value->kind == TOML_INTEGER) {
		snprintf(number, sizeof(number), "%" PRId64, value->integer);
		text = number;
	} else if (value->kind == TOML_BOOLEAN) {
		/* false is what it is without the key. */
		return value->boolean
			       ? task_spec_set(place->spec, place->directory, key, NULL, error)
			       : 0;
	} else if (value->kind != TOML_STRING) {
		return error_set(error, EINVAL, stage, "'%.64s' cannot be %s", key,
			toml_kind_name(value->kind));
	}
	if (!prefix)
		return task_spec_set(place->spec, place->directory, key, text, error);
	cleanup_free char *pair = NULL;
	if (asprintf(&pair, "%s=%s", prefix, text) < 0) {
		pair = NULL;
		return error_set_errno(error, ENOMEM, stage, "%s", key);
	}
	return task_spec_set(place->spec, place->directory, key, pair, error);
}

static int set_entry(const struct place *place, const struct toml_value *entry, struct error *error)
{
	bool table = entry->kind == TOML_TABLE;
	if (!table && entry->kind != TOML_ARRAY) {
		int r = set_scalar(place, entry->key, NULL, entry, error);
		return r < 0 ? locate(place, entry, error) : 0;
	}
	const struct task_key *key = find_key(entry->key);
	if (!key) {
		task_spec_set(place->spec, place->directory, entry->key, NULL, error);
		return locate(place, entry, error);
	}
	if (!key->repeats) {
		error_set(error, EINVAL, stage, "'%s' has one value, not %s", key->name,
			toml_kind_name(entry->kind));
		return locate(place, entry, error);
	}
	for (size_t i = 0; i < entry->count; i++) {
		const struct toml_value *item = &entry->items[i];
		int r = set_scalar(place, entry->key, table ? item->key : NULL, item, error);
		if (r < 0)
			return locate(place, item, error);
	}
	return 0;
}

static int check_trust(const char *state, const char *file, const char *hash, struct error *error)
{
	if (state && trust_holds(state, TRUST_TASK, file, hash))
		return 0;
	error_set(error, EPERM, stage,
		"%s may use commands and files of this host, and nobody has named it as it is now",
		file);
	return error_hint(error,
		"read it; `coffer task run --file %s` takes it, and trusts these bytes from then "
		"on. `--file /dev/null`: without it",
		file);
}

int task_spec_read_file(struct task_spec *spec, const char *path, bool named, struct error *error)
{
	cleanup_free char *here = realpath(".", NULL);
	cleanup_free char *absolute = here ? path_absolute(here, path) : NULL;
	cleanup_free char *directory = absolute ? path_parent(absolute) : NULL;
	if (!directory)
		return error_set_errno(error, errno, stage, "%s", path);
	cleanup_free char *text = NULL;
	size_t length;
	int r = fd_read_file(AT_FDCWD, absolute, MAX_CONFIG_FILE_BYTES, &text, &length);
	if (r < 0)
		return error_set_errno(error, -r, stage, "%s", path);
	char hash[SHA256_HEX_BYTES];
	cleanup_strv struct strv storage = {0};
	struct config_where where;
	sha256_hex(text, length, hash);
	r = config_where(NULL, &where, &storage, error);
	if (r == 0 && !named)
		r = check_trust(where.state_dir, absolute, hash, error);
	if (r < 0)
		return r;
	struct toml_value *document = NULL;
	r = toml_parse(path, text, length, &document, error);
	struct place place = {.spec = spec, .file = path, .directory = directory};
	for (size_t i = 0; r == 0 && i < document->count; i++)
		r = set_entry(&place, &document->items[i], error);
	toml_free(document);
	/* Where that cannot be noted, it is to be named again. */
	struct error ignored;
	if (r == 0 && named && length)
		trust_add(where.state_dir, TRUST_TASK, absolute, hash, &ignored);
	return r;
}
