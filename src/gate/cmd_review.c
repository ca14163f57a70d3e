/* coffer gate review: shows what a reviewer makes of a request, without running anything. The
 * request is JSON in the shape in which reviewers get it, so that one that was recorded can be
 * tried again; of it, what was asked for is taken and what the gate made of it is not. */
#include "gate/command.h"

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/limits.h"
#include "base/units.h"
#include "gate/review_internal.h"

#include <getopt.h>
#include <limits.h>
#include <string.h>

enum { EXIT_ALLOW = 0, EXIT_ASK = 1, EXIT_FORBID = 2, EXIT_USAGE = 125 };
enum { DEFAULT_TIMEOUT_MS = 60 * 1000, TIMEOUT_MS_MAX = 3600 * 1000 };

static const char usage[] =
	"usage: coffer gate review [OPTION...] [-- REVIEWER...] <REQUEST\n"
	"\n"
	"Reads a request as JSON and prints what the reviewer makes of it. The reviewer is the\n"
	"configured one, unless an option or a program (REVIEWER...) says otherwise.\n"
	"\n"
	"  --builtin            the built-in one\n"
	"  --url URL            a model behind a chat completions endpoint\n"
	"  --model NAME         with --url: which\n"
	"  --key-variable NAME  with --url: the environment variable that holds its key\n"
	"  --allow-domain HOST  with REVIEWER...: a host that it may reach\n"
	"  --timeout TIME       how long it may take (default 60s)\n"
	"  --batch              a request a line, an answer a line\n"
	"  --json               the answer as JSON\n"
	"\n"
	"The request: {\"command\": [\"git\", \"push\"]} or {\"line\": \"git push | tee log\"}, "
	"and as\n"
	"wanted \"directory\", \"home\", \"mode\", \"writable_roots\": [...], \"asks\": "
	"[{\"kind\":\n"
	"\"write|network|unsandboxed|secret\", \"value\": ...}], \"user_words\": [...],\n"
	"\"justification\", \"after_failure\".\n"
	"\n"
	"Exits with 0 for allow, 1 for ask (a person), 2 for forbid, 125 for a fault of the "
	"request.\n";

static int complain(const struct error *error)
{
	fprintf(stderr, "coffer gate review: %s\n", error->message);
	if (error->hint[0])
		fprintf(stderr, "  hint: %s\n", error->hint);
	return EXIT_USAGE;
}

/* ---- the request ---- */

/* A request that came as JSON, with what it points into. */
struct replay {
	struct strv argv, roots, words;
	struct grant *asks;
	char *directory;
	struct gate_request command;
	struct gate_decision decision;
	struct approval_request request;
};

static void release_replay(struct replay *replay)
{
	strv_release(&replay->argv);
	strv_release(&replay->roots);
	strv_release(&replay->words);
	analysis_free(replay->decision.analysis);
	free(replay->asks);
	free(replay->directory);
}

static int take_strings(
	const json_t *object, const char *field, struct strv *ret, struct error *error)
{
	const json_t *array = json_object_get(object, field);
	if (!array || json_is_null(array))
		return 0;
	for (size_t i = 0; i < json_array_size(array); i++) {
		const char *text = json_string_value(json_array_get(array, i));
		if (!text)
			break;
		if (strv_add(ret, text) < 0)
			return error_set_errno(error, ENOMEM, "request", "\"%s\"", field);
	}
	if (!json_is_array(array) || ret->count != json_array_size(array))
		return error_set(error, EINVAL, "request", "\"%s\" is no list of strings", field);
	return 0;
}

static int take_command(const json_t *object, struct strv *ret, struct error *error)
{
	const char *line = json_string_value(json_object_get(object, "line"));
	if (!line) {
		int r = take_strings(object, "command", ret, error);
		return r < 0 || ret->count
			       ? r
			       : error_set(error, EINVAL, "request",
					 "there is neither a \"command\" nor a \"line\"");
	}
	if (strv_add(ret, "sh") < 0 || strv_add(ret, "-c") < 0 || strv_add(ret, line) < 0)
		return error_set_errno(error, ENOMEM, "request", "\"line\"");
	return 0;
}

static int take_mode(const json_t *object, enum policy_mode *ret, struct error *error)
{
	const json_t *value = json_object_get(object, "mode");
	*ret = MODE_WORKSPACE_WRITE;
	if (!value)
		return 0;
	for (int mode = MODE_READ_ONLY; mode <= MODE_FULL_ACCESS; mode++)
		if (json_is_string(value) &&
			strcmp(json_string_value(value),
				policy_mode_name((enum policy_mode)mode)) == 0) {
			*ret = (enum policy_mode)mode;
			return 0;
		}
	return error_set(error, EINVAL, "request", "\"mode\" is no mode");
}

/* The values stay the JSON's, which outlives the replay. */
static int take_asks(const json_t *object, struct replay *replay, struct error *error)
{
	static const char *const kinds[] = {
		[GRANT_WRITE] = "write",
		[GRANT_NETWORK] = "network",
		[GRANT_UNSANDBOXED] = "unsandboxed",
		[GRANT_SECRET] = "secret",
	};
	const json_t *asks = json_object_get(object, "asks");
	size_t count = json_array_size(asks);
	if (count == 0)
		return 0;
	replay->asks = calloc(count, sizeof(*replay->asks));
	if (!replay->asks)
		return error_set_errno(error, ENOMEM, "request", "\"asks\"");
	for (size_t i = 0; i < count; i++) {
		const json_t *ask = json_array_get(asks, i);
		const char *kind = json_string_value(json_object_get(ask, "kind"));
		const char *value = json_string_value(json_object_get(ask, "value"));
		size_t k = 0;
		while (kind && k < ARRAY_SIZE(kinds) && strcmp(kinds[k], kind) != 0)
			k++;
		if (!kind || k == ARRAY_SIZE(kinds) || (!value && k != GRANT_UNSANDBOXED))
			return error_set(
				error, EINVAL, "request", "\"asks\": entry %zu is no grant", i + 1);
		replay->asks[i] = (struct grant){(enum grant_kind)k, (char *)value};
	}
	replay->command.asks = replay->asks;
	replay->command.asks_count = count;
	return 0;
}

static int take_directory(const json_t *object, struct replay *replay, struct error *error)
{
	const char *named = json_string_value(json_object_get(object, "directory"));
	replay->directory = named ? strdup(named) : getcwd(NULL, 0);
	if (!replay->directory)
		return error_set_errno(error, errno, "request", "the directory");
	if (replay->directory[0] != '/')
		return error_set(error, EINVAL, "request", "\"directory\" is not absolute");
	int r = take_strings(object, "writable_roots", &replay->roots, error);
	if (r == 0 && replay->roots.count == 0 && strv_add(&replay->roots, replay->directory) < 0)
		r = error_set_errno(error, ENOMEM, "request", "the directory");
	return r;
}

static int take_request(const json_t *object, struct replay *replay, struct error *error)
{
	struct gate_request *command = &replay->command;
	if (!json_is_object(object))
		return error_set(error, EINVAL, "request", "it is no JSON object");
	int r = take_command(object, &replay->argv, error);
	if (r == 0)
		r = take_directory(object, replay, error);
	if (r == 0)
		r = take_mode(object, &command->mode, error);
	if (r == 0)
		r = take_asks(object, replay, error);
	if (r == 0)
		r = take_strings(object, "user_words", &replay->words, error);
	if (r < 0)
		return r;
	const char *home = json_string_value(json_object_get(object, "home"));
	command->argv = replay->argv.items;
	command->directory = replay->directory;
	command->home = home ? home : getenv("HOME");
	command->path = getenv("PATH");
	command->writable_roots =
		command->mode == MODE_READ_ONLY ? NULL : strv_items(&replay->roots);
	replay->decision.verdict = VERDICT_ASK;
	replay->decision.reason = (char *)"this is a trial: nothing is going to run";
	replay->request = (struct approval_request){.request = command,
		.decision = &replay->decision,
		.user_words = (const char *const *)strv_items(&replay->words),
		.justification = json_string_value(json_object_get(object, "justification")),
		.after_failure = json_string_value(json_object_get(object, "after_failure"))};
	const struct analysis_context context = {.directory = replay->directory};
	if (analyze_command(command->argv, &context, &replay->decision.analysis) < 0)
		return error_set_errno(error, ENOMEM, "request", "the command");
	return 0;
}

/* ---- the answer ---- */

static int print_json(const struct review *review, enum verdict verdict, const char *why)
{
	json_t *answer =
		why ? json_pack("{s:s, s:s}", "decision", verdict_name(verdict), "error", why)
		    : json_pack("{s:s, s:s, s:s, s:b, s:b, s:s}", "decision", verdict_name(verdict),
			      "risk", review_risk_name(review->risk), "authorization",
			      review_authorization_name(review->authorization), "narrow",
			      review->narrow, "approve", review->approve, "rationale",
			      review->rationale);
	int r = answer ? json_dumpf(answer, stdout, JSON_COMPACT) : -1;
	json_decref(answer);
	putchar('\n');
	return r;
}

static void print_text(const struct review *review, enum verdict verdict, const char *why)
{
	printf("%s: %s\n", verdict_name(verdict), why ? why : review->rationale);
	if (!why)
		printf("  risk %s, authorization %s%s\n", review_risk_name(review->risk),
			review_authorization_name(review->authorization),
			review->narrow ? ", narrow" : "");
}

static int review_json(const struct config_reviewer *reviewer, const json_t *object, bool json)
{
	struct replay replay = {0};
	struct review review = {0};
	struct error error = {0};
	int code = EXIT_USAGE;
	if (take_request(object, &replay, &error) < 0) {
		complain(&error);
	} else {
		int r = review_request(reviewer, &replay.request, &review, &error);
		enum verdict verdict = r < 0 ? VERDICT_FORBID : review_verdict(&review);
		const char *why = r < 0 ? error.message : NULL;
		if (!json)
			print_text(&review, verdict, why);
		else if (print_json(&review, verdict, why) < 0)
			verdict = VERDICT_FORBID;
		code = verdict == VERDICT_ALLOW ? EXIT_ALLOW
		       : verdict == VERDICT_ASK ? EXIT_ASK
						: EXIT_FORBID;
	}
	review_release(&review);
	release_replay(&replay);
	return code;
}

static int review_text(
	const struct config_reviewer *reviewer, const char *text, size_t length, bool json)
{
	json_error_t wrong;
	json_t *object = json_loadb(text, length, JSON_REJECT_DUPLICATES, &wrong);
	if (!object) {
		fprintf(stderr, "coffer gate review: line %d, column %d: no JSON: %s\n", wrong.line,
			wrong.column, wrong.text);
		return EXIT_USAGE;
	}
	int code = review_json(reviewer, object, json);
	json_decref(object);
	return code;
}

/* The gravest exit code of all lines. */
static int review_lines(const struct config_reviewer *reviewer)
{
	cleanup_free char *line = NULL;
	size_t room = 0;
	ssize_t length;
	int code = EXIT_ALLOW;
	while ((length = getline(&line, &room, stdin)) > 0 && length <= MAX_MESSAGE_BYTES) {
		int one = review_text(reviewer, line, (size_t)length, true);
		code = one > code ? one : code;
		fflush(stdout);
	}
	return ferror(stdin) || length > 0 ? EXIT_USAGE : code;
}

static int review_input(const struct config_reviewer *reviewer, bool json)
{
	cleanup_free char *text = malloc(MAX_MESSAGE_BYTES);
	ssize_t length = text ? fd_read_full(STDIN_FILENO, text, MAX_MESSAGE_BYTES) : -ENOMEM;
	if (length >= 0 && length < MAX_MESSAGE_BYTES)
		return review_text(reviewer, text, (size_t)length, json);
	fprintf(stderr, "coffer gate review: the request cannot be read: %s\n",
		length < 0 ? strerror((int)-length) : "it is too long");
	return EXIT_USAGE;
}

/* ---- the reviewer ---- */

/* The configured one, where nothing was said. The caller keeps config for as long. */
static int configured(struct config_reviewer *reviewer, struct config **config, struct error *error)
{
	struct config_where where = {0};
	struct strv storage = {0};
	cleanup_free char *directory = getcwd(NULL, 0);
	int r = directory ? config_where(directory, &where, &storage, error)
			  : error_set_errno(error, errno, "review", "the directory");
	if (r == 0)
		r = config_load(&where, config, NULL, error);
	strv_release(&storage);
	if (r < 0)
		return r;
	*reviewer = (*config)->reviewer;
	if (reviewer->kind != REVIEWER_PERSON)
		return 0;
	error_set(error, EINVAL, "review", "the configured reviewer is a person");
	return error_hint(error, "name one: --builtin, --url, or a program behind --");
}

static int parse_timeout(const char *text, uint64_t *ret_ms)
{
	if (units_parse_duration(text, ret_ms) == 0 && *ret_ms > 0 && *ret_ms <= TIMEOUT_MS_MAX)
		return 0;
	fprintf(stderr, "coffer gate review: --timeout %s: say 500ms, 30s, 2m, up to an hour\n",
		text);
	return -EINVAL;
}

int gate_review(int argc, char *argv[])
{
	static const struct option options[] = {{"builtin", no_argument, NULL, 'b'},
		{"url", required_argument, NULL, 'u'}, {"model", required_argument, NULL, 'm'},
		{"key-variable", required_argument, NULL, 'k'},
		{"allow-domain", required_argument, NULL, 'a'},
		{"timeout", required_argument, NULL, 't'}, {"batch", no_argument, NULL, 'l'},
		{"json", no_argument, NULL, 'j'}, {"help", no_argument, NULL, 'h'}, {0}};
	struct config_reviewer reviewer = {
		.kind = REVIEWER_PERSON, .timeout_ms = DEFAULT_TIMEOUT_MS};
	struct config *config = NULL;
	struct error error = {0};
	bool batch = false, json = false, failed = false;
	int option, code = EXIT_USAGE;
	while (!failed && (option = getopt_long(argc, argv, "+", options, NULL)) != -1) {
		switch (option) {
		case 'b':
			reviewer.kind = REVIEWER_BUILTIN;
			break;
		case 'u':
			reviewer.kind = REVIEWER_HTTP;
			reviewer.url = optarg;
			break;
		case 'm':
			reviewer.model = optarg;
			break;
		case 'k':
			reviewer.key_variable = optarg;
			break;
		case 'a':
			failed = strv_add(&reviewer.network, optarg) < 0;
			break;
		case 't':
			failed = parse_timeout(optarg, &reviewer.timeout_ms) < 0;
			break;
		case 'l':
			batch = true;
			break;
		case 'j':
			json = true;
			break;
		case 'h':
			fputs(usage, stdout);
			return EXIT_ALLOW;
		default:
			failed = true;
		}
	}
	struct strv network = reviewer.network, command = {0};
	if (!failed && optind < argc) {
		reviewer.kind = REVIEWER_COMMAND;
		failed = strv_copy(&command, argv + optind) < 0;
		reviewer.command = command;
	}
	if (!failed && reviewer.kind == REVIEWER_PERSON &&
		configured(&reviewer, &config, &error) < 0)
		failed = complain(&error);
	if (!failed)
		code = batch ? review_lines(&reviewer) : review_input(&reviewer, json);
	strv_release(&network);
	strv_release(&command);
	config_free(config);
	return code;
}
