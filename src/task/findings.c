/* The patch of an agent is judged by coffer-gate, which reads changes as hostile. */
#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/limits.h"
#include "base/sibling.h"
#include "task/task.h"

#include <fcntl.h>
#include <string.h>
#include <sys/wait.h>

enum { TIME_S = 120 };

static const char stage[] = "findings";

static json_t *unjudged(const char *why)
{
	return json_pack("[{s:s, s:s, s:s, s:s}]", "rule", "not-judged", "severity", "medium",
		"file", "", "why", why);
}

static int start(const char *patch, pid_t *ret_pid, struct error *error)
{
	char program[PATH_MAX];
	int r = sibling_find("coffer-gate", stage, program, error);
	if (r < 0)
		return r;
	int ends[2];
	if (pipe2(ends, O_CLOEXEC) < 0)
		return error_set_errno(error, errno, stage, "a pipe");
	*ret_pid = fork();
	if (*ret_pid == 0) {
		int null = open("/dev/null", O_RDWR | O_CLOEXEC);
		char *argv[] = {(char *)"check", (char *)"--json", (char *)"--diff", (char *)"--",
			(char *)(uintptr_t)patch, NULL};
		alarm(TIME_S);
		if (null < 0 || dup2(null, 0) < 0 || dup2(ends[1], 1) < 0 || dup2(null, 2) < 0)
			_exit(EXIT_FAILURE);
		execv(program, argv);
		_exit(EXIT_FAILURE);
	}
	int code = errno;
	close(ends[1]);
	if (*ret_pid > 0)
		return ends[0];
	close(ends[0]);
	return error_set_errno(error, code, stage, "fork");
}

static json_t *flatten(const json_t *root)
{
	json_t *all = json_array(), *file, *finding;
	size_t i, k;
	bool incomplete = false;
	json_array_foreach(json_object_get(root, "files"), i, file)
	{
		incomplete = incomplete || json_is_true(json_object_get(file, "incomplete"));
		json_array_foreach(json_object_get(file, "findings"), k, finding)
			json_array_append(all, finding);
	}
	if (incomplete) {
		json_t *said = unjudged("a part of the change is too large to judge");
		json_array_extend(all, said);
		json_decref(said);
	}
	return all;
}

json_t *task_findings(const char *patch)
{
	struct error error;
	pid_t pid;
	cleanup_close int fd = start(patch, &pid, &error);
	if (fd < 0)
		return unjudged(error.message);
	cleanup_buffer struct buffer text = BUFFER_INIT(MAX_CHECK_OUTPUT_BYTES);
	char chunk[64 * 1024];
	ssize_t n;
	while ((n = read(fd, chunk, sizeof(chunk))) > 0 || (n < 0 && errno == EINTR))
		buffer_append(&text, chunk, n > 0 ? (size_t)n : 0);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	json_t *root = buffer_error(&text) == 0 && text.data
			       ? json_loadb(text.data, text.length_bytes, 0, NULL)
			       : NULL;
	json_t *all = json_is_array(json_object_get(root, "files"))
			      ? flatten(root)
			      : unjudged("`coffer check --diff` gave no answer about this patch");
	json_decref(root);
	return all;
}
