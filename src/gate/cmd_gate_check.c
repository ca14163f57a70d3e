/* `coffer gate check`: one decision, or one for each line of JSON. */
#include "base/cleanup.h"
#include "base/fd.h"
#include "base/limits.h"
#include "gate/cmd_gate.h"
#include "gate/command_context.h"

#include <fcntl.h>
#include <getopt.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

static const char usage[] =
	"usage: coffer gate check [OPTION]... -- COMMAND [ARGUMENT]...\n"
	"       coffer gate check [OPTION]... --line TEXT | --script FILE | --batch\n"
	"Says what the gate decides about a command, for each part of it and for the whole, and\n"
	"runs nothing. Exit 0: allow, 1: ask, 2: forbid, 125: nothing was decided.\n\n"
	"  --approval POLICY  untrusted, on-request, on-failure, never or granular:...\n"
	"  --mode MODE        read-only, workspace-write or danger-full-access\n"
	"  --ask WANTED       what the command asks for beyond its box: write=DIR, net=HOST,\n"
	"                     secret=PATH, unsandboxed; between commas, may be repeated\n"
	"  -C, --directory D  decide as if started in D\n"
	"  --line TEXT        a shell line instead of a command\n"
	"  --script FILE      a shell script instead of a command; - is stdin\n"
	"  --batch            a JSON object for each line of stdin, a decision for each on stdout\n"
	"  --json             the decision as JSON\n";

struct check_options {
	const char *directory, *line, *script;
	struct approval approval; /* .set: by a flag */
	enum policy_mode mode;
	struct strv asks;
	bool json, batch, help;
	char **argv;
};

/* What is decided about: argv, or text. */
struct check_subject {
	char *const *argv;
	const char *text;
	size_t text_bytes;
	struct approval approval;
	enum policy_mode mode;
	const struct grant *asks;
	size_t asks_count;
};

enum { OPTION_APPROVAL = 256, OPTION_MODE, OPTION_ASK, OPTION_LINE, OPTION_SCRIPT };

static int take_option(int option, struct check_options *options, struct error *error)
{
	switch (option) {
	case OPTION_APPROVAL:
		return approval_parse(optarg, &options->approval, error);
	case OPTION_MODE:
		return command_parse_mode(optarg, &options->mode, error);
	case OPTION_ASK:
		return strv_add(&options->asks, optarg) < 0
			       ? error_set_errno(error, ENOMEM, "gate", "--ask")
			       : 0;
	case OPTION_LINE:
		options->line = optarg;
		return 0;
	case OPTION_SCRIPT:
		options->script = optarg;
		return 0;
	case 'C':
		options->directory = optarg;
		return 0;
	case 'j':
		options->json = true;
		return 0;
	case 'b':
		options->batch = true;
		return 0;
	case 'h':
		options->help = true;
		return 0;
	default:
		error_set(error, EINVAL, "gate", "the options are wrong");
		return error_hint(error, "see `coffer gate check --help`");
	}
}

static int parse_options(int argc, char *argv[], struct check_options *options, struct error *error)
{
	static const struct option longs[] = {
		{"approval", required_argument, NULL, OPTION_APPROVAL},
		{"mode", required_argument, NULL, OPTION_MODE},
		{"ask", required_argument, NULL, OPTION_ASK},
		{"directory", required_argument, NULL, 'C'},
		{"line", required_argument, NULL, OPTION_LINE},
		{"script", required_argument, NULL, OPTION_SCRIPT},
		{"batch", no_argument, NULL, 'b'},
		{"json", no_argument, NULL, 'j'},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	optind = 0;
	for (int option; (option = getopt_long(argc, argv, "+C:h", longs, NULL)) != -1;) {
		int r = take_option(option, options, error);
		if (r < 0 || options->help)
			return r;
	}
	options->argv = argv + optind;
	int subjects = (*options->argv != NULL) + (options->line != NULL) +
		       (options->script != NULL) + options->batch;
	if (subjects == 1)
		return 0;
	error_set(error, EINVAL, "gate",
		subjects ? "more than one thing to decide about"
			 : "there is nothing to decide about");
	return error_hint(error, "name a command behind --, or --line, --script or --batch");
}

static int decide(struct command_context *context, const struct check_subject *subject,
	struct gate_decision **ret, struct error *error)
{
	const struct command_roots *roots;
	int r = command_context_roots(context, subject->mode, &roots, error);
	if (r < 0)
		return r;
	struct gate_request request = {.argv = subject->argv,
		.directory = context->directory,
		.mode = roots->mode,
		.approval = subject->approval,
		.asks = subject->asks,
		.asks_count = subject->asks_count,
		.writable_roots = strv_items(&roots->roots),
		.home = context->home,
		.path = context->path,
		.look_into_files = true};
	if (!request.approval.set && context->config->approval.set)
		request.approval = context->config->approval;
	else if (!request.approval.set)
		approval_parse("on-request", &request.approval, NULL);
	if (subject->argv)
		return gate_decide(context->config, &request, ret, error);
	return gate_decide_script(
		context->config, &request, subject->text, subject->text_bytes, ret, error);
}

static int exit_code(enum verdict verdict)
{
	static const int codes[] = {[VERDICT_ALLOW] = EXIT_DECISION_ALLOW,
		[VERDICT_ASK] = EXIT_DECISION_ASK,
		[VERDICT_FORBID] = EXIT_DECISION_FORBID};
	return codes[verdict];
}

static int check_one(struct command_context *context, const struct check_options *options,
	const struct check_subject *subject)
{
	struct error error = {0};
	struct gate_decision *decision = NULL;
	if (decide(context, subject, &decision, &error) < 0) {
		say_error(&error);
		return EXIT_USAGE;
	}
	cleanup_buffer struct buffer out = BUFFER_INIT(MAX_MESSAGE_BYTES);
	if (options->json) {
		gate_decision_json(decision, &out);
		buffer_append_string(&out, "\n");
	} else {
		gate_decision_text(decision, &out);
	}
	int code = exit_code(decision->verdict);
	gate_decision_free(decision);
	return command_print(&out, code);
}

/* One line of the batch: {"argv": [...]} or {"line": "..."}, and "approval", "mode", "asks". */
struct batch_line {
	json_t *json;
	struct strv argv;
	struct grant *asks;
	size_t asks_count;
};

static void batch_line_release(struct batch_line *line)
{
	json_decref(line->json);
	strv_release(&line->argv);
	grants_free(line->asks, line->asks_count);
}

static int take_words(struct batch_line *line, struct check_subject *subject, struct error *error)
{
	json_t *argv = json_object_get(line->json, "argv");
	json_t *text = json_object_get(line->json, "line");
	if (json_is_string(text) && !argv) {
		subject->text = json_string_value(text);
		subject->text_bytes = json_string_length(text);
		return 0;
	}
	for (size_t i = 0; i < json_array_size(argv); i++) {
		const char *word = json_string_value(json_array_get(argv, i));
		int r = word ? strv_add(&line->argv, word) : -EINVAL;
		if (r < 0)
			return error_set_errno(error, -r, "gate", "argv");
	}
	if (line->argv.count == 0 || text)
		return error_set(error, EINVAL, "gate",
			"a line is an object with argv (strings) or line (a string)");
	subject->argv = line->argv.items;
	return 0;
}

static int take_line(struct command_context *context, const struct check_options *options,
	struct batch_line *line, struct check_subject *subject, struct error *error)
{
	*subject = (struct check_subject){.approval = options->approval, .mode = options->mode};
	int r = take_words(line, subject, error);
	const char *approval = json_string_value(json_object_get(line->json, "approval"));
	const char *mode = json_string_value(json_object_get(line->json, "mode"));
	if (r == 0 && approval)
		r = approval_parse(approval, &subject->approval, error);
	if (r == 0 && mode)
		r = command_parse_mode(mode, &subject->mode, error);
	json_t *asks = json_object_get(line->json, "asks");
	for (size_t i = 0; r == 0 && i < json_array_size(asks); i++) {
		const char *ask = json_string_value(json_array_get(asks, i));
		r = ask ? grants_parse(
				  ask, context->directory, &line->asks, &line->asks_count, error)
			: error_set(error, EINVAL, "gate", "asks is a list of strings");
	}
	subject->asks = line->asks;
	subject->asks_count = line->asks_count;
	return r;
}

static int answer_line(struct command_context *context, const struct check_options *options,
	const char *text, size_t length, struct buffer *out, struct error *error)
{
	struct batch_line line = {.json = json_loadb(text, length, 0, NULL)};
	struct check_subject subject;
	struct gate_decision *decision = NULL;
	int r = json_is_object(line.json) ? take_line(context, options, &line, &subject, error)
					  : error_set(error, EINVAL, "gate", "not a JSON object");
	if (r == 0)
		r = decide(context, &subject, &decision, error);
	if (r == 0)
		gate_decision_json(decision, out);
	gate_decision_free(decision);
	batch_line_release(&line);
	return r;
}

/* A line that cannot be decided is answered with an error and does not end the batch. */
static int check_batch(struct command_context *context, const struct check_options *options)
{
	char *text = NULL;
	size_t room = 0;
	int code = 0;
	for (ssize_t length; code == 0 && (length = getline(&text, &room, stdin)) >= 0;) {
		cleanup_buffer struct buffer out = BUFFER_INIT(MAX_MESSAGE_BYTES);
		struct error error = {0};
		int r = length <= MAX_MESSAGE_BYTES
				? answer_line(context, options, text, (size_t)length, &out, &error)
				: error_set(&error, EFBIG, "gate", "the line is too long");
		if (r < 0) {
			buffer_clear(&out);
			buffer_append_string(&out, "{\"error\":");
			buffer_append_json(&out, error.message);
			buffer_append_string(&out, "}");
		}
		buffer_append_string(&out, "\n");
		code = command_print(&out, 0);
	}
	free(text);
	return code;
}

static int check_text(struct command_context *context, const struct check_options *options,
	struct check_subject *subject)
{
	if (options->line) {
		subject->text = options->line;
		subject->text_bytes = strlen(options->line);
		return check_one(context, options, subject);
	}
	const char *name = strcmp(options->script, "-") == 0 ? "/dev/stdin" : options->script;
	cleanup_free char *script = NULL;
	struct error error = {0};
	int r;
	if (name != options->script) {
		script = malloc(MAX_SCRIPT_BYTES + 1);
		ssize_t got =
			script ? fd_read_full(STDIN_FILENO, script, MAX_SCRIPT_BYTES + 1) : -ENOMEM;
		subject->text_bytes = got > 0 ? (size_t)got : 0;
		r = got < 0 ? (int)got : got > MAX_SCRIPT_BYTES ? -EFBIG : 0;
	} else {
		r = fd_read_file(AT_FDCWD, name, MAX_SCRIPT_BYTES, &script, &subject->text_bytes);
	}
	if (r < 0) {
		error_set_errno(&error, -r, "gate", "%s", options->script);
		say_error(&error);
		return EXIT_USAGE;
	}
	subject->text = script;
	return check_one(context, options, subject);
}

static int check(struct command_context *context, const struct check_options *options)
{
	if (options->batch)
		return check_batch(context, options);
	struct error error = {0};
	struct grant *asks = NULL;
	size_t count = 0;
	int r = 0;
	for (size_t i = 0; r == 0 && i < options->asks.count; i++)
		r = grants_parse(options->asks.items[i], context->directory, &asks, &count, &error);
	struct check_subject subject = {.approval = options->approval,
		.mode = options->mode,
		.asks = asks,
		.asks_count = count};
	int code = EXIT_USAGE;
	if (r < 0) {
		say_error(&error);
	} else if (*options->argv) {
		subject.argv = options->argv;
		code = check_one(context, options, &subject);
	} else {
		code = check_text(context, options, &subject);
	}
	grants_free(asks, count);
	return code;
}

int gate_check(int argc, char *argv[])
{
	struct check_options options = {0};
	struct command_context context = {0};
	struct error error = {0};
	int code = EXIT_USAGE;
	int r = parse_options(argc, argv, &options, &error);
	if (r == 0 && options.help) {
		printf("%s", usage);
		code = 0;
	} else {
		if (r == 0)
			r = command_context_open(&context, options.directory, &error);
		if (r < 0)
			say_error(&error);
		else
			code = check(&context, &options);
	}
	command_context_release(&context);
	strv_release(&options.asks);
	return code;
}
