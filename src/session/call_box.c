/* One command in a box, from start to report. Theory of operation: the box's output comes through
 * pipes into this process, which passes it on to the session before it reads more. So a host that
 * reads slowly stalls the session, the session stalls this process, and this process stalls the
 * command; nothing in between grows. */
#include "session/story.h"

#include "base/cleanup.h"
#include "base/fd.h"
#include "session/frames.h"
#include "session/text.h"

#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>

struct pump {
	struct story *story;
	const struct coffer_policy *policy;
	struct box_run *run;
	struct coffer_box *box;
	int pipes[2]; /* what is read from: stdout, stderr; -1: at its end */
	bool command_ended;
};

static int box_failed(struct story *story, const struct coffer_error *error)
{
	story->code = RPC_SERVER_ERROR;
	story->name = "setup_failed";
	memcpy(&story->error, error, sizeof(story->error));
	return -(error->errno_value ? error->errno_value : EIO);
}

/* Where stdin is in memory nobody has to feed it. */
static int open_input(const struct story *story)
{
	if (!story->stdin_data)
		return open("/dev/null", O_RDONLY | O_CLOEXEC);
	cleanup_close int fd = memfd_create("coffer-stdin", MFD_CLOEXEC);
	if (fd < 0 || fd_write_full(fd, story->stdin_data, story->stdin_bytes) < 0 ||
		lseek(fd, 0, SEEK_SET) < 0)
		return -EIO;
	return steal_fd(&fd);
}

static int start(struct pump *pump, const struct coffer_policy *policy)
{
	cleanup_close int input = open_input(pump->story), out = -1, err = -1;
	int pair[2];
	if (input >= 0 && pipe2(pair, O_CLOEXEC) == 0) {
		pump->pipes[0] = pair[0];
		out = pair[1];
	}
	if (out >= 0 && pipe2(pair, O_CLOEXEC) == 0) {
		pump->pipes[1] = pair[0];
		err = pair[1];
	}
	if (err < 0)
		return story_fail(pump->story, RPC_INTERNAL_ERROR, "call_failed", EMFILE,
			"pipes for the command");
	struct coffer_stdio stdio = {.fds = {input, out, err}};
	struct coffer_error error = {0};
	int r = coffer_box_start(policy, strv_items(pump->run->argv), &stdio, &pump->box, &error);
	return r < 0 ? box_failed(pump->story, &error) : 0;
}

static int take_stream(struct pump *pump, int i)
{
	char data[CALL_OUTPUT_BYTES];
	ssize_t n = read(pump->pipes[i], data, sizeof(data));
	if (n < 0)
		return errno == EINTR ? 0 : -errno;
	if (n == 0) {
		close_fd(&pump->pipes[i]);
		return 0;
	}
	kept_add(&pump->run->kept[i], data, (size_t)n);
	return pump->run->stream ? frame_send(pump->story->socket,
					   i == 0 ? FRAME_STDOUT : FRAME_STDERR, data, (size_t)n)
				 : 0;
}

static bool allow_host(void *story, const char *target)
{
	return story_allows_host(story, target);
}

/* Until the command has ended: what it left in the box may hold the pipes for ever. */
static int pump_output(struct pump *pump)
{
	int r = 0;
	while (r == 0 && !pump->command_ended) {
		struct pollfd fds[4] = {
			{.fd = pump->pipes[0], .events = POLLIN},
			{.fd = pump->pipes[1], .events = POLLIN},
			{.fd = coffer_box_fd(pump->box), .events = POLLIN},
			{.fd = name_asker_fd(&pump->story->names), .events = POLLIN},
		};
		if (poll(fds, ARRAY_SIZE(fds), -1) < 0) {
			r = errno == EINTR ? 0 : -errno;
			continue;
		}
		for (int i = 0; r == 0 && i < 2; i++)
			if (fds[i].revents)
				r = take_stream(pump, i);
		if (r == 0 && fds[3].revents)
			name_asker_take(&pump->story->names, allow_host, pump->story);
		int status;
		if (r == 0 && fds[2].revents)
			pump->command_ended =
				coffer_box_wait_exec(pump->box, 0, 0, &status, NULL) != -ETIME;
	}
	return r;
}

/* What went wrong, from what was kept of the output. Whoever cannot be told so still has that. */
static json_t *make_trace(const struct pump *pump, struct coffer_report *report)
{
	json_t *kept[2] = {kept_text(&pump->run->kept[0]), kept_text(&pump->run->kept[1])};
	const char *texts[2] = {json_string_value(kept[0]), json_string_value(kept[1])};
	const size_t lengths_bytes[2] = {json_string_length(kept[0]), json_string_length(kept[1])};
	struct coffer_plan *plan = NULL;
	cleanup_free char *text = NULL;
	if (coffer_plan_new(pump->policy, strv_items(pump->run->argv), 0, &plan, NULL) == 0)
		text = coffer_report_trace(report, plan, texts, lengths_bytes);
	coffer_plan_free(plan);
	json_decref(kept[0]);
	json_decref(kept[1]);
	return text ? json_loads(text, JSON_ALLOW_NUL, NULL) : NULL;
}

static int finish(struct pump *pump)
{
	struct coffer_report *report = NULL;
	struct coffer_error error = {0};
	int r = coffer_box_wait(pump->box, &report, &error);
	if (r < 0)
		return box_failed(pump->story, &error);
	/* The box is gone, and with it whoever held the other ends. */
	for (int i = 0; r == 0 && i < 2; i++)
		while (r == 0 && pump->pipes[i] >= 0)
			r = take_stream(pump, i);
	const char *json = coffer_report_json(report);
	pump->run->report = json ? json_loads(json, JSON_ALLOW_NUL, NULL) : json_object();
	pump->run->exit_code = coffer_report_exit_code(report);
	const struct coffer_error *why = coffer_report_error(report);
	if (strcmp(coffer_report_cause(report), "setup_failed") == 0 && why)
		r = box_failed(pump->story, why);
	if (r == 0 && pump->run->stream && pump->run->exit_code != 0)
		pump->run->trace = make_trace(pump, report);
	coffer_report_free(report);
	pump->run->cause = json_string_value(json_object_get(pump->run->report, "cause"));
	return r;
}

/* Under on-failure what was refused is offered afterwards. */
static bool may_ask_for_names(const struct session *session)
{
	enum approval_policy policy = session->approval.policy;
	return session->network_asks && policy != APPROVAL_NEVER && policy != APPROVAL_ON_FAILURE;
}

int story_run(struct story *story, struct box_run *run)
{
	struct coffer_policy *policy = NULL;
	story->names = (struct name_asker)NAME_ASKER_INIT;
	if (run->stream && may_ask_for_names(story->session) &&
		name_asker_open(&story->names, &story->error) < 0)
		return story_fail(
			story, RPC_INTERNAL_ERROR, "call_failed", EIO, "%s", story->error.message);
	int r = story_policy(story, &story->environment, run->timeout_ms, &policy);
	for (int i = 0; r == 0 && i < 2; i++)
		if (kept_init(&run->kept[i], run->keep_bytes, run->keep_from_the_start) < 0)
			r = story_fail(story, RPC_INTERNAL_ERROR, "out_of_memory", ENOMEM,
				"room for output");
	struct pump pump = {.story = story, .policy = policy, .run = run, .pipes = {-1, -1}};
	if (r == 0)
		r = start(&pump, policy);
	if (r == 0)
		r = pump_output(&pump);
	if (r == 0)
		r = finish(&pump);
	/* What is left of a character goes out, too. */
	for (int i = 0; r == 0 && run->stream && i < 2; i++)
		r = frame_send(story->socket, i == 0 ? FRAME_STDOUT : FRAME_STDERR, "", 0);
	close_fd(&pump.pipes[0]);
	close_fd(&pump.pipes[1]);
	coffer_box_free(pump.box);
	coffer_policy_free(policy);
	name_asker_close(&story->names);
	if (r < 0 && !story->name)
		story_fail(story, RPC_INTERNAL_ERROR, "call_failed", -r, "the command's output");
	return r;
}

void box_run_release(struct box_run *run)
{
	kept_release(&run->kept[0]);
	kept_release(&run->kept[1]);
	json_decref(run->report);
	json_decref(run->trace);
	run->report = run->trace = NULL;
}

int story_set_run(struct story *story, const struct box_run *run)
{
	json_t *result = story->result;
	json_t *exit = json_object_get(run->report, "exit");
	int r = json_object_set_new(
		result, "cause", json_string(run->cause ? run->cause : "killed"));
	r |= json_object_set_new(result, "exit", json_integer(run->exit_code));
	if (json_is_integer(json_object_get(exit, "signal")))
		r |= json_object_set(result, "signal", json_object_get(exit, "signal"));
	r |= json_object_set_new(result, "stdout", kept_json(&run->kept[0]));
	r |= json_object_set_new(result, "stderr", kept_json(&run->kept[1]));
	json_t *denials = json_object_get(run->report, "denials");
	r |= denials ? json_object_set(result, "denials", denials)
		     : json_object_set_new(result, "denials", json_array());
	if (run->trace)
		r |= json_object_set(result, "trace", run->trace);
	json_t *usage = json_object_get(run->report, "usage");
	if (usage)
		r |= json_object_set(result, "usage", usage);
	r |= json_object_set(result, "report", run->report);
	return r == 0 ? 0
		      : story_fail(
				story, RPC_INTERNAL_ERROR, "out_of_memory", ENOMEM, "the result");
}
