/* `coffer gate parts`: what a command line would run, as the gate takes it apart. Decides
 * nothing. */
#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/fd.h"
#include "base/limits.h"
#include "gate/analysis.h"
#include "gate/command.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

enum { EXIT_KNOWN = 0, EXIT_UNDECIDABLE = 1, EXIT_SYNTAX = 2, EXIT_USAGE = 125 };

static const char help[] =
	"Usage: coffer gate parts [--json] [-C DIR] -- COMMAND [ARGUMENT...]\n"
	"       coffer gate parts [--json] [-C DIR] --line TEXT\n"
	"       coffer gate parts [--json] [-C DIR] --script FILE\n"
	"Prints every command that would run, one a line, without running any.\n"
	"Exit code: 0, 1 where something cannot be known, 2 for a syntax error.\n";

static const char *kind_name(enum part_kind kind)
{
	static const char *const names[] = {"command", "builtin", "function"};
	return names[kind];
}

static const char *redirection_name(enum redirection_kind kind)
{
	static const char *const names[] = {"read", "write", "append"};
	return names[kind];
}

static void append_list(struct buffer *out, const char *name, const struct strv *list)
{
	buffer_append_format(out, ",\"%s\":[", name);
	for (size_t i = 0; i < list->count; i++) {
		buffer_append_string(out, i ? "," : "");
		buffer_append_json(out, list->items[i]);
	}
	buffer_append_string(out, "]");
}

static void append_text(struct buffer *out, const char *name, const char *text)
{
	if (!text)
		return;
	buffer_append_format(out, ",\"%s\":", name);
	buffer_append_json(out, text);
}

static void append_flag(struct buffer *out, const char *name, bool set)
{
	if (set)
		buffer_append_format(out, ",\"%s\":true", name);
}

static void append_redirections(struct buffer *out, const struct gate_part *part)
{
	if (!part->redirections_count)
		return;
	buffer_append_string(out, ",\"redirections\":[");
	for (size_t i = 0; i < part->redirections_count; i++) {
		const struct redirection *redirection = &part->redirections[i];
		buffer_append_format(out, "%s{\"kind\":\"%s\"", i ? "," : "",
			redirection_name(redirection->kind));
		append_text(out, "target", redirection->target);
		buffer_append_string(out, "}");
	}
	buffer_append_string(out, "]");
}

static void append_part(struct buffer *out, const struct gate_part *part)
{
	buffer_append_format(out, "{\"kind\":\"%s\"", kind_name(part->kind));
	append_list(out, "argv", &part->argv);
	buffer_append_string(out, ",\"known\":[");
	for (size_t i = 0; i < part->argv.count; i++)
		buffer_append_format(
			out, "%s%s", i ? "," : "", part->word_known[i] ? "true" : "false");
	buffer_append_string(out, "]");
	if (part->assignments.count)
		append_list(out, "assignments", &part->assignments);
	append_redirections(out, part);
	append_text(out, "text", part->text);
	if (part->line)
		buffer_append_format(out, ",\"line\":%u,\"column\":%u", part->line, part->column);
	buffer_append_format(out, ",\"depth\":%u", part->depth);
	if (part->piped_from)
		buffer_append_format(out, ",\"piped_from\":%zu", part->piped_from - 1);
	append_flag(out, "background", part->background);
	append_flag(out, "as_other_user", part->as_other_user);
	append_flag(out, "reads_stdin_script", part->reads_stdin_script);
	append_text(out, "language", part->language);
	append_text(out, "code", part->code);
	append_flag(out, "undecidable", part->undecidable);
	append_text(out, "why", part->why_undecidable);
	buffer_append_string(out, "}");
}

static void append_json(struct buffer *out, const struct analysis *analysis)
{
	buffer_append_string(out, "{\"parts\":[");
	for (size_t i = 0; i < analysis->count; i++) {
		buffer_append_string(out, i ? "," : "");
		append_part(out, &analysis->parts[i]);
	}
	buffer_append_string(out, "]");
	append_flag(out, "incomplete", analysis->incomplete);
	if (analysis->syntax.errno_value)
		append_text(out, "syntax", analysis->syntax.message);
	buffer_append_string(out, "}\n");
}

/* A line for each part; words as JSON strings, so that nothing in them reaches the terminal raw. */
static void append_lines(struct buffer *out, const struct analysis *analysis)
{
	for (size_t i = 0; i < analysis->count; i++) {
		const struct gate_part *part = &analysis->parts[i];
		if (part->line)
			buffer_append_format(out, "%u:%u ", part->line, part->column);
		buffer_append_format(out, "%*s%s", (int)part->depth * 2, "", kind_name(part->kind));
		for (size_t k = 0; k < part->assignments.count; k++) {
			buffer_append_string(out, " ");
			buffer_append_json(out, part->assignments.items[k]);
		}
		for (size_t k = 0; k < part->argv.count; k++) {
			buffer_append_string(out, part->word_known[k] ? " " : " ?");
			buffer_append_json(out, part->argv.items[k]);
		}
		for (size_t k = 0; k < part->redirections_count; k++) {
			const struct redirection *redirection = &part->redirections[k];
			buffer_append_format(out, ", %ss ", redirection_name(redirection->kind));
			buffer_append_json(out, redirection->target ? redirection->target : "?");
		}
		if (part->undecidable)
			buffer_append_format(out, "  (undecidable: %s)", part->why_undecidable);
		buffer_append_string(out, "\n");
	}
	if (analysis->syntax.errno_value) {
		buffer_append_string(out, "syntax error: ");
		buffer_append_json(out, analysis->syntax.message);
		buffer_append_string(out, "\n");
	}
}

static int verdict(const struct analysis *analysis)
{
	if (analysis->syntax.errno_value)
		return EXIT_SYNTAX;
	for (size_t i = 0; i < analysis->count; i++)
		if (analysis->parts[i].undecidable)
			return EXIT_UNDECIDABLE;
	return analysis->incomplete ? EXIT_UNDECIDABLE : EXIT_KNOWN;
}

static int read_script(
	void *data, const char *path, size_t max_bytes, char **ret, size_t *ret_length_bytes)
{
	(void)data;
	return fd_read_file(AT_FDCWD, path, max_bytes, ret, ret_length_bytes);
}

struct request {
	bool json;
	const char *directory, *line, *script;
	char **command;
};

static bool parse_flags(int argc, char *argv[], struct request *request)
{
	for (int i = 1; i < argc; i++) {
		const char **value = strcmp(argv[i], "--line") == 0     ? &request->line
				     : strcmp(argv[i], "--script") == 0 ? &request->script
				     : strcmp(argv[i], "-C") == 0       ? &request->directory
									: NULL;
		if (strcmp(argv[i], "--") == 0) {
			request->command = argv + i + 1;
			break;
		}
		if (strcmp(argv[i], "--json") == 0)
			request->json = true;
		else if (value && i + 1 < argc)
			*value = argv[++i];
		else
			return false;
	}
	int given = (request->line != NULL) + (request->script != NULL) +
		    (request->command && request->command[0]);
	return given == 1;
}

static int analyze(const struct request *request, const struct analysis_context *context,
	struct analysis **ret)
{
	if (request->command && request->command[0])
		return analyze_command(request->command, context, ret);
	if (request->line)
		return analyze_shell(request->line, strlen(request->line), context, ret);
	cleanup_free char *text = NULL;
	size_t length = 0;
	int r = fd_read_file(AT_FDCWD, request->script, MAX_SCRIPT_BYTES, &text, &length);
	return r < 0 ? r : analyze_shell(text, length, context, ret);
}

int gate_parts(int argc, char *argv[])
{
	struct request request = {0};
	if (!parse_flags(argc, argv, &request)) {
		fputs(help, stderr);
		return EXIT_USAGE;
	}
	cleanup_free char *here = realpath(request.directory ? request.directory : ".", NULL);
	const struct analysis_context context = {.directory = here, .read_file = read_script};
	struct analysis *analysis = NULL;
	int r = here ? analyze(&request, &context, &analysis) : -errno;
	if (r < 0) {
		fprintf(stderr, "coffer gate parts: %s\n", strerror(-r));
		return EXIT_USAGE;
	}
	cleanup_buffer struct buffer out = BUFFER_INIT(MAX_MESSAGE_BYTES);
	if (request.json)
		append_json(&out, analysis);
	else
		append_lines(&out, analysis);
	int code = verdict(analysis);
	analysis_free(analysis);
	if (buffer_error(&out) || fd_write_full(STDOUT_FILENO, out.data, out.length_bytes) < 0) {
		fprintf(stderr, "coffer gate parts: the output cannot be written\n");
		return EXIT_USAGE;
	}
	return code;
}
