/* Theory of operation. A value lives in pages of its own, locked and kept out of core dumps, and is
 * wiped with them. To the box that searches it goes through a pipe, never by argv or environment. */
#include "base/cleanup.h"
#include "base/fd.h"
#include "base/limits.h"
#include "base/secret_source.h"
#include "task/secret_pipe.h"

#include <ctype.h>
#include <string.h>

enum { NAME_BYTES_MAX = 128 };

void secret_values_release(struct secret_values *values)
{
	for (size_t i = 0; i < values->count; i++) {
		struct locked locked = {
			.data = values->items[i].value, .length_bytes = values->items[i].length_bytes};
		locked_free(&locked);
		free(values->items[i].name);
	}
	free(values->items);
	*values = (struct secret_values){0};
}

int secret_values_add(
	struct secret_values *values, struct secret_value *value, struct error *error)
{
	struct secret_values one = {.items = NULL};
	struct secret_value *items =
		reallocarray(values->items, values->count + 1, sizeof(*items));
	size_t bytes = value->length_bytes;
	for (size_t i = 0; i < values->count; i++)
		bytes += values->items[i].length_bytes;
	int r = 0;
	if (!items)
		r = error_set_errno(error, ENOMEM, "secrets", "the secret %s", value->name);
	else
		values->items = items;
	if (r == 0 && values->count == MAX_SECRETS)
		r = error_set(
			error, E2BIG, "secrets", "there are more than %d secrets", MAX_SECRETS);
	if (r == 0 && bytes > MAX_SECRETS_BYTES)
		r = error_set(error, E2BIG, "secrets",
			"the secrets come to more than %d bytes together", MAX_SECRETS_BYTES);
	for (size_t i = 0; i < values->count && r == 0; i++)
		if (strcmp(items[i].name, value->name) == 0)
			r = error_set(error, EEXIST, "secrets",
				"the secret %s is given more than once", value->name);
	if (r == 0) {
		items[values->count++] = *value;
	} else {
		one.items = malloc(sizeof(*value));
		if (one.items) {
			*one.items = *value;
			one.count = 1;
			secret_values_release(&one);
		}
	}
	*value = (struct secret_value){0};
	return r;
}

/* Names are those of variables, since they become variables and files. */
static size_t name_length(const char *written)
{
	size_t length = 0;
	if (isdigit((unsigned char)written[0]))
		return 0;
	while (isalnum((unsigned char)written[length]) || written[length] == '_')
		length++;
	return length <= NAME_BYTES_MAX ? length : 0;
}

static bool has_scheme(const char *from)
{
	static const char *const schemes[] = {"env:", "file:", "command:"};
	for (size_t i = 0; i < ARRAY_SIZE(schemes); i++)
		if (strncmp(from, schemes[i], strlen(schemes[i])) == 0)
			return true;
	return false;
}

int secret_value_read(const char *written, struct secret_value *ret, struct error *error)
{
	size_t length = name_length(written);
	const char *from = written + length + 1;
	*ret = (struct secret_value){0};
	if (!length || written[length] != '=' || !*from) {
		/* A person may have typed the value itself: it is not repeated. */
		error_set(error, EINVAL, "secrets",
			"a secret is written as NAME=SOURCE, with a name like a variable's");
		return error_hint(error, "sources are env:VARIABLE, file:PATH, command:WORDS, or the "
					 "name of a variable");
	}
	cleanup_free char *name = strndup(written, length);
	cleanup_free char *source = NULL;
	if (!has_scheme(from)) {
		size_t rest = name_length(from);
		if (!rest || from[rest]) {
			error_set(error, EINVAL, "secrets",
				"the secret %.*s: what follows the = is no source", (int)length,
				written);
			return error_hint(error, "sources are env:VARIABLE, file:PATH, "
						 "command:WORDS, or the name of a variable; a value "
						 "itself would be seen in the list of processes");
		}
		/* What is no variable may be the value itself, typed here: it is not repeated. */
		if (!getenv(from)) {
			error_set(error, ENOENT, "secrets",
				"the secret %.*s: the variable that it names is not set",
				(int)length, written);
			return error_hint(error, "sources are env:VARIABLE, file:PATH, "
						 "command:WORDS, or the name of a variable");
		}
		if (asprintf(&source, "env:%s", from) < 0)
			source = NULL;
	} else {
		source = strdup(from);
	}
	if (!name || !source)
		return error_set_errno(error, ENOMEM, "secrets", "a secret");
	struct locked locked = {0};
	int r = secret_source_read(&(struct secret_source){.name = name,
					   .from = source,
					   .written = written,
					   .lines = true,
					   .control = -1},
		&locked, error);
	if (r < 0)
		return r;
	*ret = (struct secret_value){.name = steal_pointer(&name),
		.value = locked.data,
		.length_bytes = locked.length_bytes};
	return 0;
}

/* ---- the pipe ---- Each: lengths of name and value as 32-bit numbers, then both. */

int secret_values_send(int fd, const struct secret_values *values)
{
	uint32_t count = (uint32_t)values->count;
	int r = fd_write_full(fd, &count, sizeof(count));
	for (size_t i = 0; i < values->count && r == 0; i++) {
		const struct secret_value *value = &values->items[i];
		const uint32_t lengths[] = {
			(uint32_t)strlen(value->name), (uint32_t)value->length_bytes};
		r = fd_write_full(fd, lengths, sizeof(lengths));
		if (r == 0)
			r = fd_write_full(fd, value->name, lengths[0]);
		if (r == 0)
			r = fd_write_full(fd, value->value, lengths[1]);
	}
	return r;
}

static int receive(int fd, void *data, size_t length)
{
	ssize_t count = fd_read_full(fd, data, length);
	return count < 0 ? (int)count : (size_t)count == length ? 0 : -EBADMSG;
}

static int receive_one(int fd, struct secret_value *ret)
{
	uint32_t lengths[2];
	char name[NAME_BYTES_MAX + 1] = "", value[SECRET_BYTES_MAX];
	int r = receive(fd, lengths, sizeof(lengths));
	if (r == 0 && (lengths[0] > NAME_BYTES_MAX || lengths[1] > SECRET_BYTES_MAX ||
			      lengths[1] < SECRET_BYTES_MIN))
		r = -EBADMSG;
	if (r == 0)
		r = receive(fd, name, lengths[0]);
	if (r == 0)
		r = receive(fd, value, lengths[1]);
	struct locked locked = {0};
	if (r == 0)
		r = locked_new(&locked, value, lengths[1]);
	explicit_bzero(value, sizeof(value));
	if (r < 0)
		return r;
	*ret = (struct secret_value){
		.name = strdup(name), .value = locked.data, .length_bytes = locked.length_bytes};
	if (ret->name)
		return 0;
	locked_free(&locked);
	return -ENOMEM;
}

int secret_values_receive(int fd, struct secret_values *ret)
{
	uint32_t count;
	struct error error;
	*ret = (struct secret_values){0};
	int r = receive(fd, &count, sizeof(count));
	if (r == 0 && count > MAX_SECRETS)
		r = -EBADMSG;
	for (uint32_t i = 0; i < count && r == 0; i++) {
		struct secret_value value;
		r = receive_one(fd, &value);
		if (r == 0)
			r = secret_values_add(ret, &value, &error);
	}
	if (r < 0)
		secret_values_release(ret);
	return r;
}
