/* Theory of operation. A name in a stranger's text may be anything, /etc/shadow too. It becomes a
 * path only by working on the string; only what then lies below the workspace is opened, and that
 * by the caller's function, which knows what the command itself was allowed to see. */
#include "witness/trace_internal.h"

#include "base/cleanup.h"
#include "base/path.h"

#include <string.h>

enum { READ_BYTES = 64 * 1024 };

/* Where the directories of packages start. */
static const char *const java_roots[] = {"src/main/java", "src/test/java", "src", "."};

static char *copy_of(struct slice slice)
{
	slice = slice_until(slice, MAX_PATH_BYTES - 1);
	return strndup(slice.data ? slice.data : "", slice.length);
}

static bool is_no_path(const char *name)
{
	return !*name || strchr("<[{", *name) || strncmp(name, "node:", 5) == 0 ||
	       strncmp(name, "internal/", 9) == 0 || strlen(name) >= MAX_PATH_BYTES - 1;
}

struct search {
	const struct trace_options *options;
	char *found; /* the candidate that opened; else the first that must be in the workspace */
	int fd;
};

/* Whether it was opened. */
static bool try_candidate(struct search *search, const char *base, const char *name)
{
	const struct trace_options *options = search->options;
	if (!base || !options->workspace)
		return false;
	char *path = path_absolute(base, name);
	if (!path || !path_is_below(path, options->workspace) ||
		strcmp(path, options->workspace) == 0) {
		free(path);
		return false;
	}
	int fd = options->open ? options->open(options->context, path) : -1;
	bool opened = fd >= 0;
	/* A relative name that leads to no file may be no name of a file at all. */
	if (opened || (!search->found && (*name == '/' || !options->open))) {
		free(search->found);
		search->found = path;
		search->fd = opened ? fd : -1;
	} else {
		free(path);
	}
	return opened;
}

/* "a.b.C.method" of C.java: below the roots of sources, in a/b. */
static bool try_java(struct search *search, const struct trace_frame *frame, const char *name)
{
	size_t length = strlen(name);
	if (length < 6 || strcmp(name + length - 5, ".java") != 0 || strchr(name, '/'))
		return false;
	cleanup_free char *package = copy_of(frame->function);
	if (!package)
		return false;
	char *method = strrchr(package, '.');
	if (method)
		*method = '\0';
	char *type = strrchr(package, '.');
	if (type)
		*type = '\0';
	else
		*package = '\0';
	for (char *dot; (dot = strchr(package, '.'));)
		*dot = '/';
	for (size_t i = 0; i < ARRAY_SIZE(java_roots); i++) {
		char path[MAX_PATH_BYTES];
		int n = snprintf(path, sizeof(path), "%s/%s/%s", java_roots[i], package, name);
		if (n < (int)sizeof(path) &&
			try_candidate(search, search->options->workspace, path))
			return true;
	}
	return false;
}

char *place_resolve(const struct trace_frame *frame, const struct trace_options *options,
	bool *ret_inside, int *ret_fd)
{
	struct search search = {.options = options, .fd = -1};
	char *name = copy_of(frame->file);
	*ret_inside = false;
	*ret_fd = -1;
	if (!name || is_no_path(name))
		return name;
	cleanup_free char *directory = copy_of(frame->directory);
	if (directory && *directory == '/' && try_candidate(&search, directory, name))
		;
	else if (try_candidate(&search, options->directory, name))
		;
	else if (*name != '/' && !try_candidate(&search, options->workspace, name))
		try_java(&search, frame, name);
	if (!search.found)
		return name;
	const char *inside = search.found + strlen(options->workspace);
	char *relative = strdup(inside + strspn(inside, "/"));
	free(search.found);
	free(name);
	*ret_inside = true;
	*ret_fd = search.fd;
	return relative;
}

/* ---- source lines ---- */

struct source {
	unsigned first, last, line;
	json_t *lines;
	char text[MAX_TRACE_SOURCE_LINE_BYTES];
	size_t length;
};

static void end_line(struct source *source)
{
	if (source->line >= source->first) {
		if (source->length && source->text[source->length - 1] == '\r')
			source->length--;
		struct slice text = {source->text, source->length};
		json_t *item = json_object();
		json_object_set_new(item, "line", json_integer(source->line));
		json_object_set_new(item, "text", slice_json(text, sizeof(source->text)));
		json_array_append_new(source->lines, item);
	}
	source->line++;
	source->length = 0;
}

static void take_bytes(struct source *source, const char *data, size_t count)
{
	for (size_t i = 0; i < count && source->line <= source->last; i++) {
		if (data[i] == '\n')
			end_line(source);
		else if (source->line >= source->first && source->length < sizeof(source->text))
			source->text[source->length++] = data[i];
	}
}

json_t *place_source(int fd, unsigned line, size_t *budget_bytes)
{
	struct source source = {.line = 1, .lines = json_array()};
	cleanup_free char *data = malloc(READ_BYTES);
	if (!line || !data || !source.lines)
		return source.lines;
	source.first = line > TRACE_SOURCE_LINES ? line - TRACE_SOURCE_LINES : 1;
	source.last = line + TRACE_SOURCE_LINES;
	while (source.line <= source.last && *budget_bytes) {
		size_t wanted = *budget_bytes < READ_BYTES ? *budget_bytes : READ_BYTES;
		ssize_t n = read(fd, data, wanted);
		if (n <= 0) {
			if (source.length)
				end_line(&source);
			break;
		}
		*budget_bytes -= (size_t)n;
		take_bytes(&source, data, (size_t)n);
	}
	return source.lines;
}
