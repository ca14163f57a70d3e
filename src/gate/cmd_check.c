/* coffer check: what a program or a change would do, by its text. */
#include "base/fd.h"
#include "base/suggest.h"
#include "gate/check_git.h"
#include "gate/code_internal.h"
#include "gate/command.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

enum {
	EXIT_NOTHING_FOUND = 0,
	EXIT_FINDINGS = 1,
	EXIT_SYNTAX = 2,
	EXIT_USAGE = 125,
};

enum format { FORMAT_TEXT, FORMAT_JSON, FORMAT_SARIF };

struct request {
	const char *language;
	enum format format;
	enum severity threshold;
	bool diff, rules;
	char **names;
	size_t names_count;
};

struct checked {
	struct findings_list **findings;
	const char **names;
	size_t count;
	bool failed;
};

static void complain(const char *name, const char *what, const char *hint)
{
	cleanup_buffer struct buffer line = BUFFER_INIT(64 * 1024);
	buffer_append_string(&line, "coffer: ");
	findings_append_shown(&line, name);
	buffer_append_format(&line, "%s%s\n", *name ? ": " : "", what);
	if (hint && *hint)
		buffer_append_format(&line, "  %s\n", hint);
	if (buffer_error(&line) == 0)
		fputs(line.data, stderr);
}

static int read_stream(int fd, size_t max_bytes, char **ret, size_t *ret_length_bytes)
{
	cleanup_buffer struct buffer all = BUFFER_INIT(max_bytes);
	char chunk[64 * 1024];
	ssize_t got;
	buffer_append(&all, "", 0);
	while ((got = fd_read_full(fd, chunk, sizeof(chunk))) > 0)
		buffer_append(&all, chunk, got);
	if (got < 0)
		return got;
	if (buffer_error(&all) < 0)
		return buffer_error(&all) == -ENOBUFS ? -EFBIG : buffer_error(&all);
	*ret_length_bytes = all.length_bytes;
	*ret = buffer_steal(&all);
	return *ret ? 0 : -ENOMEM;
}

static int read_input(const char *name, size_t max_bytes, char **ret, size_t *ret_length_bytes)
{
	int r = strcmp(name, "-") == 0
			? read_stream(STDIN_FILENO, max_bytes, ret, ret_length_bytes)
			: fd_read_file(AT_FDCWD, name, max_bytes, ret, ret_length_bytes);
	if (r == -EFBIG) {
		char text[64];
		snprintf(text, sizeof(text), "larger than %zu MiB: not checked", max_bytes >> 20);
		complain(name, text, NULL);
	} else if (r < 0) {
		complain(name, strerror(-r), NULL);
	}
	return r;
}

static void keep(struct checked *checked, const char *name, struct findings_list *findings)
{
	checked->names[checked->count] = name;
	checked->findings[checked->count++] = findings;
}

static void check_file(const struct request *request, const char *name, struct checked *checked)
{
	cleanup_free char *source = NULL;
	size_t length = 0;
	struct findings_list *findings = NULL;
	if (read_input(name, MAX_SCRIPT_BYTES, &source, &length) < 0) {
		checked->failed = true;
		return;
	}
	int r = code_check(request->language, name, source, length, &findings);
	if (r == 0) {
		keep(checked, name, findings);
		return;
	}
	complain(name, r == -EOPNOTSUPP ? "its language is not known" : strerror(-r),
		r == -EOPNOTSUPP ? "give it with --language python, javascript, shell or notebook"
				 : NULL);
	checked->failed = true;
}

static void check_diff(const char *name, struct checked *checked)
{
	cleanup_buffer struct buffer made = BUFFER_INIT(MAX_DIFF_BYTES);
	cleanup_free char *given = NULL;
	size_t length = 0;
	struct error error = {0};
	struct findings_list *findings = NULL;
	int r;
	if (name) {
		r = read_input(name, MAX_DIFF_BYTES, &given, &length);
	} else {
		buffer_append(&made, "", 0);
		r = check_git_diff(&made, &error);
		length = made.length_bytes;
		if (r < 0)
			complain("", error.message, error.hint);
	}
	if (r == 0) {
		r = code_check_diff(name ? given : made.data, length, &findings);
		if (r < 0)
			complain("", strerror(-r), NULL);
	}
	if (r < 0)
		checked->failed = true;
	else
		keep(checked, name ? name : "git diff HEAD", findings);
}

/* ---- what is printed ---- */

static void append_output(const struct checked *checked, enum format format, struct buffer *out)
{
	if (format == FORMAT_SARIF)
		findings_sarif_of((const struct findings_list *const *)checked->findings,
			checked->names, checked->count, out);
	if (format == FORMAT_JSON)
		buffer_append_string(out, "{\"files\":[");
	for (size_t i = 0; i < checked->count && format != FORMAT_SARIF; i++) {
		if (format == FORMAT_TEXT) {
			findings_text(checked->findings[i], checked->names[i], out);
			continue;
		}
		buffer_append_string(out, i ? "," : "");
		findings_json(checked->findings[i], checked->names[i], out);
	}
	if (format != FORMAT_TEXT)
		buffer_append_string(out, format == FORMAT_JSON ? "]}\n" : "\n");
}

static int exit_code(const struct checked *checked, enum severity threshold)
{
	int code = checked->failed ? EXIT_USAGE : EXIT_NOTHING_FOUND;
	for (size_t i = 0; i < checked->count && code != EXIT_USAGE; i++) {
		const struct findings_list *findings = checked->findings[i];
		if (findings->syntax.errno_value)
			code = EXIT_SYNTAX;
		/* What was not looked at counts as found. */
		if (findings->incomplete && code == EXIT_NOTHING_FOUND)
			code = EXIT_FINDINGS;
		for (size_t k = 0; k < findings->count && code == EXIT_NOTHING_FOUND; k++)
			if (findings->items[k].severity >= threshold)
				code = EXIT_FINDINGS;
	}
	return code;
}

static int print(const struct buffer *out)
{
	int error = buffer_error(out);
	if (error == 0 && out->length_bytes)
		error = fd_write_full(STDOUT_FILENO, out->data, out->length_bytes);
	if (error == 0 || error == -EPIPE)
		return 0;
	complain("", strerror(-error), NULL);
	return EXIT_USAGE;
}

/* The table of docs/CHECK.md. */
static int print_rules(enum format format)
{
	cleanup_buffer struct buffer out = BUFFER_INIT(1024 * 1024);
	size_t count;
	const struct code_rule *rules = code_rules(&count);
	if (format == FORMAT_TEXT)
		buffer_append_string(&out, "| rule | severity | what it says |\n|---|---|---|\n");
	for (size_t i = 0; i < count; i++) {
		const char *severity = severity_name(rules[i].severity);
		if (format == FORMAT_TEXT) {
			buffer_append_format(
				&out, "| `%s` | %s | %s |\n", rules[i].id, severity, rules[i].why);
			continue;
		}
		buffer_append_format(&out,
			"%s{\"id\":\"%s\",\"language\":\"%s\",\"severity\":\"%s\",",
			i ? ",\n" : "[", rules[i].id, rules[i].language, severity);
		buffer_append_string(&out, "\"why\":");
		buffer_append_json(&out, rules[i].why);
		buffer_append_string(&out, "}");
	}
	if (format != FORMAT_TEXT)
		buffer_append_string(&out, "]\n");
	return print(&out);
}

/* ---- the command line ---- */

static const struct option_name {
	const char *name;
	bool has_value;
	const char *help;
} options[] = {
	{"--language", true, "python, javascript, shell or notebook, whatever the name says"},
	{"--fail-on", true, "info, low, medium (default), high or critical"},
	{"--json", false, "the findings as JSON"},
	{"--sarif", false, "the findings as SARIF 2.1.0"},
	{"--diff", false, "judge a change: of git's HEAD, unless a FILE or - is given"},
	{"--rules", false, "print the table of rules"},
	{"--help", false, "print this"},
};

static void print_usage(FILE *file)
{
	fputs("usage: coffer check [OPTION]... FILE...|-\n"
	      "       coffer check [OPTION]... --diff [FILE|-]\n"
	      "       coffer check --rules [--json]\n",
		file);
	for (size_t i = 0; i < ARRAY_SIZE(options); i++)
		fprintf(file, "  %-12s %s%s\n", options[i].name,
			options[i].has_value ? "WORD  " : "", options[i].help);
}

static const struct option_name *find_option(const char *word, const char **ret_value)
{
	size_t length = strcspn(word, "=");
	*ret_value = word[length] ? word + length + 1 : NULL;
	for (size_t i = 0; i < ARRAY_SIZE(options); i++)
		if (strlen(options[i].name) == length &&
			strncmp(options[i].name, word, length) == 0)
			return &options[i];
	return NULL;
}

static int refuse(const char *word, const char *what)
{
	const char *nearest =
		suggest_nearest(word, options, ARRAY_SIZE(options), sizeof(options[0]));
	char hint[128] = "see `coffer check --help`";
	if (nearest)
		snprintf(hint, sizeof(hint), "did you mean %s?", nearest);
	complain(word, what, hint);
	return -EINVAL;
}

static int apply(struct request *request, const struct option_name *option, const char *value)
{
	if (strcmp(option->name, "--language") == 0)
		request->language = value;
	else if (strcmp(option->name, "--json") == 0)
		request->format = FORMAT_JSON;
	else if (strcmp(option->name, "--sarif") == 0)
		request->format = FORMAT_SARIF;
	else if (strcmp(option->name, "--diff") == 0)
		request->diff = true;
	else if (strcmp(option->name, "--rules") == 0)
		request->rules = true;
	else if (severity_parse(value, &request->threshold) < 0)
		return refuse(value, "is no severity: info, low, medium, high or critical");
	return 0;
}

/* 0, 1: help was asked for, or -EINVAL. */
static int parse(int argc, char *argv[], struct request *request)
{
	bool names_only = false;
	for (int i = 1; i < argc; i++) {
		char *word = argv[i];
		const char *value;
		if (names_only || word[0] != '-' || !word[1]) {
			request->names[request->names_count++] = word;
			continue;
		}
		if (strcmp(word, "--") == 0) {
			names_only = true;
			continue;
		}
		const struct option_name *option = find_option(word, &value);
		if (strcmp(word, "-h") == 0 || (option && strcmp(option->name, "--help") == 0))
			return 1;
		if (!option)
			return refuse(word, "no such option");
		if (!option->has_value && value)
			return refuse(word, "this option takes no value");
		if (option->has_value && !value && !(value = argv[++i]))
			return refuse(word, "this option wants a value");
		int r = apply(request, option, value);
		if (r < 0)
			return r;
	}
	if (request->rules)
		return 0;
	if (request->diff ? request->names_count > 1 : request->names_count == 0) {
		complain("", request->diff ? "--diff takes one file" : "which file?",
			"see `coffer check --help`");
		return -EINVAL;
	}
	return 0;
}

static int run(const struct request *request)
{
	struct checked checked = {
		.findings = calloc(request->names_count + 1, sizeof(*checked.findings)),
		.names = calloc(request->names_count + 1, sizeof(*checked.names)),
	};
	cleanup_buffer struct buffer out = BUFFER_INIT(MAX_CHECK_OUTPUT_BYTES);
	int code = EXIT_USAGE;
	if (checked.findings && checked.names) {
		if (request->diff)
			check_diff(request->names_count ? request->names[0] : NULL, &checked);
		for (size_t i = 0; i < request->names_count && !request->diff; i++)
			check_file(request, request->names[i], &checked);
		append_output(&checked, request->format, &out);
		code = print(&out);
		if (code == 0)
			code = exit_code(&checked, request->threshold);
	}
	for (size_t i = 0; i < checked.count; i++)
		findings_free(checked.findings[i]);
	free(checked.findings);
	free(checked.names);
	return code;
}

int cmd_check(int argc, char *argv[])
{
	struct request request = {.threshold = SEVERITY_MEDIUM};
	request.names = calloc(argc, sizeof(*request.names));
	int code = EXIT_USAGE;
	if (!request.names)
		return code;
	int r = parse(argc, argv, &request);
	if (r == 1) {
		print_usage(stdout);
		code = EXIT_NOTHING_FOUND;
	} else if (r == 0) {
		code = request.rules ? print_rules(request.format) : run(&request);
	}
	free(request.names);
	return code;
}
