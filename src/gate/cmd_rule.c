/* `coffer rule test`: each rule against a command, and which one decides. */
#include "base/cleanup.h"
#include "base/limits.h"
#include "gate/command.h"
#include "gate/command_context.h"
#include "gate/decide_internal.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

static const char usage[] =
	"usage: coffer rule test [-C DIR] [--json] -- COMMAND [ARGUMENT]...\n"
	"       coffer rule test [-C DIR] [--json] --line TEXT\n"
	"Shows for each part of the command which rules match it, why the others do not, and "
	"which\n"
	"one decides: the strictest, and among equals the longest. Exit 0: some rule decides "
	"about\n"
	"every part, 1: about some part none does, 125: the options are wrong.\n";

struct rule_options {
	const char *directory, *line;
	bool json, help;
	char **argv;
};

static int parse_options(int argc, char *argv[], struct rule_options *options, struct error *error)
{
	static const struct option longs[] = {
		{"directory", required_argument, NULL, 'C'},
		{"line", required_argument, NULL, 'l'},
		{"json", no_argument, NULL, 'j'},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	optind = 0;
	for (int option; (option = getopt_long(argc, argv, "+C:h", longs, NULL)) != -1;) {
		if (option == 'C')
			options->directory = optarg;
		else if (option == 'l')
			options->line = optarg;
		else if (option == 'j')
			options->json = true;
		else if (option == 'h')
			options->help = true;
		else
			return error_set(error, EINVAL, "rule", "the options are wrong");
	}
	options->argv = argv + optind;
	if (options->help || (*options->argv != NULL) != (options->line != NULL))
		return 0;
	error_set(error, EINVAL, "rule", "there is no command to test the rules with");
	return error_hint(error, "name one behind --, or a shell line with --line");
}

static void append_prefix(struct buffer *out, const struct config_rule *rule)
{
	for (size_t i = 0; i < rule->prefix_count; i++) {
		const struct strv *any = &rule->prefix[i].any;
		buffer_append_string(out, i ? " " : "");
		for (size_t k = 0; k < any->count; k++) {
			buffer_append_string(out, k ? "|" : "");
			append_shown(out, any->items[k], MAX_NAME_BYTES);
		}
	}
}

struct rule_line {
	const struct config_rule *rule;
	const char *misfit;
	bool decides;
};

static void append_text(struct buffer *out, const struct rule_line *line)
{
	buffer_append_format(out, "  %s %-6s ",
		line->decides  ? "=>"
		: line->misfit ? "  "
			       : " *",
		verdict_name(line->rule->decision));
	append_prefix(out, line->rule);
	buffer_append_string(out, "  (");
	append_shown(out, line->rule->place.file ? line->rule->place.file : "?", MAX_PATH_BYTES);
	buffer_append_format(out, ":%u)", line->rule->place.line);
	if (line->misfit)
		buffer_append_format(out, ": %s", line->misfit);
	else if (line->rule->reason) {
		buffer_append_string(out, ": ");
		append_shown(out, line->rule->reason, MAX_POLICY_VALUE_BYTES);
	}
	buffer_append_string(out, "\n");
}

static void append_json(struct buffer *out, const struct rule_line *line, bool first)
{
	cleanup_buffer struct buffer prefix = BUFFER_INIT(MAX_POLICY_VALUE_BYTES);
	append_prefix(&prefix, line->rule);
	buffer_append_string(out, first ? "{\"prefix\":" : ",{\"prefix\":");
	buffer_append_json(out, prefix.data ? prefix.data : "");
	buffer_append_string(out, ",\"decision\":");
	buffer_append_json(out, verdict_name(line->rule->decision));
	buffer_append_string(out, ",\"file\":");
	buffer_append_json(out, line->rule->place.file ? line->rule->place.file : "");
	buffer_append_format(out, ",\"line\":%u,\"matches\":%s,\"decides\":%s",
		line->rule->place.line, line->misfit ? "false" : "true",
		line->decides ? "true" : "false");
	if (line->misfit) {
		buffer_append_string(out, ",\"why_not\":");
		buffer_append_json(out, line->misfit);
	}
	buffer_append_string(out, "}");
}

/* The rules that are about this program at all are shown with their reasons; the others only
 * counted. */
static bool is_about(const struct config_rule *rule, const struct gate_part *part)
{
	if (part->argv.count == 0)
		return false;
	const char *slash = strrchr(part->argv.items[0], '/');
	const char *name = slash ? slash + 1 : part->argv.items[0];
	for (size_t i = 0; i < rule->prefix[0].any.count; i++) {
		const char *word = rule->prefix[0].any.items[i];
		const char *last = strrchr(word, '/');
		if (strcmp(last ? last + 1 : word, name) == 0)
			return true;
	}
	return false;
}

static bool test_part(const struct command_context *context, const struct rule_index *index,
	const struct gate_part *part, const struct places *places, bool json, struct buffer *out)
{
	const struct rule_context where = {context->directory, context->path, places};
	const struct config_rule *decides = rules_match(context->config, index, part, &where);
	size_t others = 0, shown = 0;
	if (json) {
		buffer_append_string(out, "{\"command\":");
		buffer_append_json(out, part->text ? part->text : "");
		buffer_append_string(out, ",\"rules\":[");
	} else {
		append_shown(out, part->text ? part->text : "", MAX_POLICY_VALUE_BYTES);
		buffer_append_string(out, "\n");
	}
	for (size_t i = 0; i < context->config->rules_count; i++) {
		const struct config_rule *rule = &context->config->rules[i];
		const struct rule_line line = {
			rule, rule_misfit(rule, part, &where), rule == decides};
		if (!is_about(rule, part)) {
			others++;
			continue;
		}
		if (json)
			append_json(out, &line, shown == 0);
		else
			append_text(out, &line);
		shown++;
	}
	if (json)
		buffer_append_format(out, "],\"about_other_programs\":%zu}", others);
	else if (!decides)
		buffer_append_format(
			out, "     no rule decides; %zu are about other programs\n", others);
	return decides != NULL;
}

static int test_all(struct command_context *context, const struct rule_options *options)
{
	struct error error = {0};
	struct analysis *analysis = NULL;
	struct rule_index *index = NULL;
	const struct analysis_context files = {.directory = context->directory};
	int r = options->line
			? analyze_shell(options->line, strlen(options->line), &files, &analysis)
			: analyze_command(options->argv, &files, &analysis);
	if (r == 0)
		r = rule_index_new(context->config, &index);
	if (r == 0 && analysis->syntax.errno_value)
		error = analysis->syntax;
	else if (r < 0)
		error_set_errno(&error, -r, "rule", "cannot take the command apart");
	int code = EXIT_USAGE;
	if (error.errno_value) {
		say_error(&error);
	} else {
		cleanup_buffer struct buffer out = BUFFER_INIT(MAX_MESSAGE_BYTES);
		bool all = true;
		buffer_append_string(&out, options->json ? "[" : "");
		const struct classify_context start = {
			.directory = context->directory, .home = context->home};
		struct places_walk walk = {0};
		for (size_t i = 0; i < analysis->count; i++) {
			buffer_append_string(&out, options->json && i ? "," : "");
			all = test_part(context, index, &analysis->parts[i],
				      places_walk_to(&walk, analysis, i, &start), options->json,
				      &out) &&
			      all;
		}
		places_walk_release(&walk);
		buffer_append_string(&out, options->json ? "]\n" : "");
		code = command_print(&out, !all);
	}
	rule_index_free(index);
	analysis_free(analysis);
	return code;
}

static int rule_test(int argc, char *argv[])
{
	struct rule_options options = {0};
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
			code = test_all(&context, &options);
	}
	command_context_release(&context);
	return code;
}

int cmd_rule(int argc, char *argv[])
{
	const char *word = argc > 1 ? argv[1] : "";
	if (strcmp(word, "test") == 0)
		return rule_test(argc - 1, argv + 1);
	if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) {
		printf("%s", usage);
		return 0;
	}
	struct error error;
	error_set(&error, EINVAL, "rule", "coffer rule takes test, not '%.64s'", word);
	say_error(&error);
	return EXIT_USAGE;
}
