/* Asks a person on the controlling terminal about a made-up command, and says what came of it:
 *
 *	ask_person [--directory DIR] [--why TEXT] [--agent TEXT] [--failed TEXT] [--always WORD]...
 *	           [--net HOST] [--write DIR] [--unsandboxed] [--one-shot]
 *	           [--before 'WORD WORD...']... [--result FILE] [--channel WHERE] -- COMMAND...
 *
 * The answer goes to FILE (or stdout) as one line of JSON, since the terminal is what is tested.
 * With --channel an agent's host is asked instead, two times. */
#include "base/cleanup.h"
#include "gate/settle.h"
#include "gate/show.h"

#include <getopt.h>
#include <string.h>

static struct grant asks[64];
static size_t asks_count;

static void add_ask(enum grant_kind kind, char *value)
{
	if (asks_count < ARRAY_SIZE(asks))
		asks[asks_count++] = (struct grant){.kind = kind, .value = value};
}

static const char *const kinds[] = {"once", "session", "always", "edit", "no", "stop"};

static int print_answer(const char *file, const struct approval_answer *answer)
{
	FILE *out = file ? fopen(file, "w") : stdout;
	if (!out)
		return 1;
	json_t *json = json_pack("{s:s, s:s, s:s*, s:o}", "answer", kinds[answer->kind], "by",
		answer->by, "reason", answer->reason, "command", json_array());
	for (size_t i = 0; i < answer->argv.count; i++)
		json_array_append_new(
			json_object_get(json, "command"), json_string(answer->argv.items[i]));
	json_dumpf(json, out, 0);
	fputc('\n', out);
	fflush(out);
	json_decref(json);
	return 0;
}

static void note(struct session_answers *answers, const char *line)
{
	struct gate_part part = {0};
	struct analysis analysis = {.parts = &part, .count = 1};
	struct gate_decision decision = {.analysis = &analysis};
	struct gate_request request = {.directory = "/srv/project"};
	struct approval_request noted = {.request = &request, .decision = &decision};
	if (quote_parse(line, &part.argv) == 0)
		session_answers_note(answers, &noted);
	strv_release(&part.argv);
}

struct made_up {
	struct gate_request request;
	struct gate_part part;
	struct analysis analysis;
	struct part_decision decided;
	struct gate_decision decision;
	struct approval_request asked;
	struct session_answers *answers;
	const char *result, *channel;
};

static bool take_option(struct made_up *it, int option, char *value)
{
	switch (option) {
	case 'd':
		it->request.directory = value;
		return true;
	case 'y':
		it->decision.reason = value;
		return true;
	case 'j':
		it->asked.justification = value;
		return true;
	case 'f':
		it->asked.after_failure = value;
		return true;
	case 'a':
		it->asked.suggest_rule = true;
		return strv_add(&it->decision.rule_prefix, value) == 0;
	case 'n':
		add_ask(GRANT_NETWORK, value);
		return true;
	case 'w':
		add_ask(GRANT_WRITE, value);
		return true;
	case 'u':
		add_ask(GRANT_UNSANDBOXED, NULL);
		return true;
	case 'r':
		it->result = value;
		return true;
	case 'c':
		it->channel = value;
		return true;
	case 'o':
		it->asked.before = NULL;
		return true;
	case 'b':
		note(it->answers, value);
		return true;
	default:
		return false;
	}
}

static int make_up(struct made_up *it, int argc, char *argv[])
{
	static char why[] = "rm -r removes a whole tree";
	static const struct option options[] = {
		{"directory", required_argument, NULL, 'd'},
		{"why", required_argument, NULL, 'y'},
		{"agent", required_argument, NULL, 'j'},
		{"failed", required_argument, NULL, 'f'},
		{"always", required_argument, NULL, 'a'},
		{"net", required_argument, NULL, 'n'},
		{"write", required_argument, NULL, 'w'},
		{"result", required_argument, NULL, 'r'},
		{"channel", required_argument, NULL, 'c'},
		{"before", required_argument, NULL, 'b'},
		{"one-shot", no_argument, NULL, 'o'},
		{"unsandboxed", no_argument, NULL, 'u'},
		{0},
	};
	it->request.directory = "/srv/project";
	it->request.mode = MODE_WORKSPACE_WRITE;
	it->analysis = (struct analysis){.parts = &it->part, .count = 1};
	it->decided = (struct part_decision){.verdict = VERDICT_ASK, .id = "made-up"};
	it->decision = (struct gate_decision){.verdict = VERDICT_ASK,
		.reason = why,
		.analysis = &it->analysis,
		.parts = &it->decided,
		.parts_count = 1,
		.grants = asks};
	it->asked.request = &it->request;
	it->asked.decision = &it->decision;
	if (session_answers_new(&it->answers) < 0)
		return -ENOMEM;
	it->asked.before = it->answers;
	for (int option; (option = getopt_long(argc, argv, "+", options, NULL)) != -1;)
		if (!take_option(it, option, optarg))
			return -EINVAL;
	it->request.argv = argv + optind;
	it->request.asks = asks;
	it->request.asks_count = it->decision.grants_count = asks_count;
	return argv[optind] ? strv_copy(&it->part.argv, argv + optind) : -EINVAL;
}

/* Twice with a channel, so that a test sees what the first answer leaves behind. */
int main(int argc, char *argv[])
{
	struct made_up it = {0};
	if (make_up(&it, argc, argv) < 0)
		return 2;
	struct approver *approver = NULL;
	struct error error = {0};
	int exit_code = 0;
	int r = it.channel ? approver_channel(it.channel, &approver, &error)
			   : approver_terminal(&approver, &error);
	for (int i = 0; i < (it.channel && approver ? 2 : 1); i++) {
		struct approval_answer answer = {.kind = ANSWER_NO, .by = "nobody"};
		if (approver)
			r = approver->ask(approver, &it.asked, &answer, &error);
		if (r < 0) {
			approval_answer_release(&answer);
			answer.reason = strdup(error.message);
		}
		exit_code |= print_answer(it.result, &answer);
		approval_answer_release(&answer);
	}
	approver_free(approver);
	session_answers_free(it.answers);
	strv_release(&it.part.argv);
	strv_release(&it.decision.rule_prefix);
	return exit_code;
}
