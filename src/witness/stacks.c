/* Theory of operation. What /proc tells of a process costs some microseconds and is read here. A
 * stack of user space means stopping the process, reading its memory and the tables of the programs
 * that it maps: strangers' bytes all of it, for a large library. So that is another program, which
 * goes into the box and becomes its user, has little time and memory, and whose answer is taken as
 * a stranger's too. */
#include "witness/stacks.h"

#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/limits.h"
#include "base/sibling.h"
#include "witness/slice.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

enum { STACKS_MS = 1500, FACT_BYTES = 8192, COMMAND_BYTES = 200 };

/* The calls in which programs wait. The first argument of those marked is a descriptor. */
static const struct {
	long number;
	const char *name;
	bool of_fd;
} calls[] = {
	{SYS_read, "read", true},
	{SYS_write, "write", true},
	{SYS_readv, "readv", true},
	{SYS_writev, "writev", true},
	{SYS_pread64, "pread64", true},
	{SYS_poll, "poll", false},
	{SYS_ppoll, "ppoll", false},
	{SYS_select, "select", false},
	{SYS_pselect6, "pselect6", false},
	{SYS_epoll_wait, "epoll_wait", true},
	{SYS_epoll_pwait, "epoll_pwait", true},
	{SYS_epoll_pwait2, "epoll_pwait2", true},
	{SYS_futex, "futex", false},
	{SYS_nanosleep, "nanosleep", false},
	{SYS_clock_nanosleep, "clock_nanosleep", false},
	{SYS_wait4, "wait4", false},
	{SYS_waitid, "waitid", false},
	{SYS_accept, "accept", true},
	{SYS_accept4, "accept4", true},
	{SYS_connect, "connect", true},
	{SYS_recvfrom, "recvfrom", true},
	{SYS_recvmsg, "recvmsg", true},
	{SYS_sendto, "sendto", true},
	{SYS_sendmsg, "sendmsg", true},
	{SYS_flock, "flock", true},
	{SYS_fcntl, "fcntl", true},
	{SYS_fsync, "fsync", true},
	{SYS_sendfile, "sendfile", true},
	{SYS_splice, "splice", true},
	{SYS_openat, "openat", false},
	{SYS_open, "open", false},
	{SYS_pause, "pause", false},
	{SYS_rt_sigsuspend, "rt_sigsuspend", false},
	{SYS_rt_sigtimedwait, "rt_sigtimedwait", false},
	{SYS_semop, "semop", false},
	{SYS_semtimedop, "semtimedop", false},
	{SYS_msgrcv, "msgrcv", false},
	{SYS_io_getevents, "io_getevents", false},
	{SYS_sched_yield, "sched_yield", false},
};

/* A file of the process's, cut at FACT_BYTES; empty where it may not be read. */
static struct slice read_fact(int process, const char *name, char text[static FACT_BYTES])
{
	cleanup_close int fd = openat(process, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	ssize_t n = fd < 0 ? 0 : fd_read_full(fd, text, FACT_BYTES);
	struct slice fact = {text, n > 0 ? (size_t)n : 0};
	while (fact.length && (fact.data[fact.length - 1] == '\n' || !fact.data[fact.length - 1]))
		fact.length--;
	return fact;
}

/* What a box says is ASCII here or replaced: names of programs are anything. */
static json_t *plain(struct slice text)
{
	char copy[COMMAND_BYTES];
	size_t length = 0;
	for (; length < text.length && length < sizeof(copy); length++) {
		char c = text.data[length];
		copy[length] = c >= 0x20 && c < 0x7f ? c : c ? '?' : ' ';
	}
	return length ? json_stringn(copy, length) : json_null();
}

static struct slice field(struct slice status, const char *name)
{
	struct slice line, rest = status;
	while (rest.length) {
		line = rest;
		if (!slice_split(rest, "\n", &line, &rest))
			rest.length = 0;
		if (slice_skip(&line, name))
			return slice_trim(line);
	}
	return (struct slice){0};
}

static json_t *call_json(struct slice fact)
{
	unsigned number;
	char words[64];
	unsigned long fd;
	struct slice arguments;
	if (!slice_skip_number(&fact, &number))
		return json_null(); /* "running", or stopped outside of any */
	for (size_t i = 0; i < ARRAY_SIZE(calls); i++) {
		if (calls[i].number != (long)number)
			continue;
		char first[32] = "";
		arguments = slice_trim(fact);
		snprintf(first, sizeof(first), "%.*s",
			(int)(arguments.length < 30 ? arguments.length : 30), arguments.data);
		fd = strtoul(first, NULL, 16);
		if (!calls[i].of_fd)
			return json_string(calls[i].name);
		snprintf(words, sizeof(words), "%s(%d)", calls[i].name, (int)fd);
		return json_string(words);
	}
	snprintf(words, sizeof(words), "system call %u", number);
	return json_string(words);
}

static json_t *frame_of_function(struct slice function)
{
	json_t *frame = json_object();
	json_object_set_new(frame, "function", plain(function));
	return frame;
}

/* "[<0>] do_select+0x12/0x34", one a line; only root may read it. */
static void add_kernel_stack(json_t *stacks, struct slice text)
{
	json_t *frames = json_array();
	while (text.length && json_array_size(frames) < MAX_TRACE_FRAMES) {
		struct slice line = text, offset;
		if (!slice_split(text, "\n", &line, &text))
			text.length = 0;
		slice_split(line, "] ", &offset, &line);
		slice_split(line, "+0x", &line, &offset);
		if (line.length)
			json_array_append_new(frames, frame_of_function(line));
	}
	json_t *stack = json_object();
	json_object_set_new(stack, "language", json_string("kernel"));
	json_object_set_new(stack, "frames", frames);
	if (json_array_size(frames))
		json_array_append(stacks, stack);
	json_decref(stack);
}

static json_t *process_json(pid_t pid)
{
	char path[32], text[FACT_BYTES];
	snprintf(path, sizeof(path), "/proc/%d", (int)pid);
	cleanup_close int process = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct slice status = process < 0 ? (struct slice){0} : read_fact(process, "status", text);
	unsigned number = 0;
	if (!status.length)
		return NULL; /* it has just ended */
	json_t *object = json_object(), *stacks = json_array();
	/* As the box numbers them. */
	struct slice inside = field(status, "NSpid:"), before;
	slice_split_last(inside, "\t", &before, &inside);
	json_object_set_new(object, "pid",
		slice_skip_number(&inside, &number) ? json_integer(number) : json_null());
	json_object_set_new(object, "name", plain(field(status, "Name:")));
	json_object_set_new(object, "state", plain(field(status, "State:")));
	struct slice threads = field(status, "Threads:");
	if (slice_skip_number(&threads, &number))
		json_object_set_new(object, "threads", json_integer(number));
	json_object_set_new(object, "command", plain(read_fact(process, "cmdline", text)));
	struct slice place = read_fact(process, "wchan", text);
	json_object_set_new(object, "wchan", slice_equals(place, "0") ? json_null() : plain(place));
	json_object_set_new(object, "syscall", call_json(read_fact(process, "syscall", text)));
	add_kernel_stack(stacks, read_fact(process, "stack", text));
	json_object_set_new(object, "stacks", stacks);
	return object;
}

/* ---- coffer-stacks ---- */

/* In the child. Only system calls. */
static void become_helper(char *path, char *const argv[], int to)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	sigset_t none;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (null < 0 || dup2(null, 0) < 0 || dup2(to, 1) < 0 || dup2(null, 2) < 0 ||
		close_range(3, ~0U, 0) < 0)
		_exit(EXIT_FAILURE);
	char *environment[] = {NULL};
	execve(path, argv, environment);
	_exit(EXIT_FAILURE);
}

static json_t *receive(int from)
{
	uint64_t end_us = clock_now_us() + STACKS_MS * 1000ULL;
	cleanup_buffer struct buffer text = BUFFER_INIT(MAX_STACKS_BYTES);
	for (uint64_t now_us; (now_us = clock_now_us()) < end_us;) {
		char data[8192];
		struct pollfd waiting = {.fd = from, .events = POLLIN};
		int ready = poll(&waiting, 1, (int)((end_us - now_us) / 1000 + 1));
		ssize_t n = ready > 0 ? read(from, data, sizeof(data)) : 0;
		if (ready > 0 && n == 0)
			break;
		if (n > 0)
			buffer_append(&text, data, (size_t)n);
	}
	return buffer_error(&text) < 0 || !text.data ? NULL : json_loads(text.data, 0, NULL);
}

/* Whom the helper becomes where this process is root and there is no namespace to enter: memory of
 * a process may be read by its own user only. What cannot be dumped belongs to root. */
static void find_user(const pid_t *pids, size_t count, uid_t *uid, gid_t *gid)
{
	for (size_t i = 0; i < count; i++) {
		char path[32];
		struct stat status;
		snprintf(path, sizeof(path), "/proc/%d", (int)pids[i]);
		if (stat(path, &status) == 0 && status.st_uid != 0) {
			*uid = status.st_uid;
			*gid = status.st_gid;
			return;
		}
	}
}

/* An object from the number of each process to its stacks; or NULL. */
static json_t *ask_helper(const pid_t *pids, size_t count, uid_t uid, gid_t gid)
{
	char path[PATH_MAX], numbers[MAX_STACK_PROCESSES + 2][16];
	char *argv[MAX_STACK_PROCESSES + 4] = {(char *)"coffer-stacks"};
	struct error error;
	int ends[2];
	size_t n = 1;
	find_user(pids, count, &uid, &gid);
	snprintf(numbers[0], sizeof(numbers[0]), "%u", uid);
	snprintf(numbers[1], sizeof(numbers[1]), "%u", gid);
	for (size_t i = 0; i < count; i++)
		snprintf(numbers[i + 2], sizeof(numbers[0]), "%d", (int)pids[i]);
	for (size_t i = 0; i < count + 2; i++)
		argv[n++] = numbers[i];
	if (sibling_find("coffer-stacks", "stacks", path, &error) < 0 || pipe2(ends, O_CLOEXEC) < 0)
		return NULL;
	pid_t pid = fork();
	if (pid == 0)
		become_helper(path, argv, ends[1]);
	close(ends[1]);
	json_t *answer = pid > 0 ? receive(ends[0]) : NULL;
	close(ends[0]);
	if (pid > 0) {
		kill(pid, SIGKILL);
		while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
			;
	}
	return answer;
}

json_t *stacks_collect(const pid_t *pids, size_t count, uid_t owner_uid, gid_t owner_gid)
{
	json_t *list = json_array();
	if (count > MAX_STACK_PROCESSES)
		count = MAX_STACK_PROCESSES;
	/* First all the facts: the helper stops the processes for its look at them. */
	json_t *objects[MAX_STACK_PROCESSES];
	for (size_t i = 0; i < count; i++)
		objects[i] = process_json(pids[i]);
	json_t *user = count ? ask_helper(pids, count, owner_uid, owner_gid) : NULL;
	for (size_t i = 0; i < count; i++) {
		char number[16];
		snprintf(number, sizeof(number), "%d", (int)pids[i]);
		json_t *stacks = json_object_get(user, number);
		if (objects[i] && json_is_array(stacks))
			json_array_extend(json_object_get(objects[i], "stacks"), stacks);
		if (objects[i])
			json_array_append_new(list, objects[i]);
	}
	json_decref(user);
	return list;
}
