/* `coffer task logs`: what a task's commands wrote, in the order of the phases. */
#include "base/cleanup.h"
#include "base/path.h"
#include "task/cmd_task.h"
#include "task/task_internal.h"
#include "task/verbs.h"
#include "task/words.h"

#include <fcntl.h>
#include <poll.h>
#include <string.h>

enum { FOLLOW_US = 200 * 1000, BLOCK_BYTES = 64 * 1024, MAX_LOGS = 256 };

struct log {
	char *name;
	int fd;
};

struct logs {
	struct log items[MAX_LOGS];
	size_t count;
	const struct log *last; /* whose text was printed last */
	bool titles;
};

static const char *const order[] = {
	"log.task", "log.clone", "log.setup", "log.agent.", "log.check.", "log.out.", "log.branch"};

static int order_of(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(order); i++)
		if (strncmp(name, order[i], strlen(order[i])) == 0)
			return (int)i;
	return -1;
}

static int compare(const void *left, const void *right)
{
	const struct log *a = left, *b = right;
	int difference = order_of(a->name) - order_of(b->name);
	return difference ? difference : strverscmp(a->name, b->name);
}

static bool is_known(const struct logs *logs, const char *name)
{
	for (size_t i = 0; i < logs->count; i++)
		if (strcmp(logs->items[i].name, name) == 0)
			return true;
	return false;
}

/* Opens what has come since the last time. */
static void find_logs(struct logs *logs, const struct task *task, const char *phase)
{
	cleanup_closedir DIR *dir = opendir(task->directory);
	size_t before = logs->count;
	for (struct dirent *entry; dir && (entry = readdir(dir));) {
		const char *name = entry->d_name;
		size_t length = phase ? strlen(phase) : 0;
		if (order_of(name) < 0 || is_known(logs, name) || logs->count == MAX_LOGS)
			continue;
		if (phase && (strncmp(name + 4, phase, length) != 0 ||
				     (name[4 + length] && name[4 + length] != '.')))
			continue;
		struct log log = {.name = strdup(name),
			.fd = openat(dirfd(dir), name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC)};
		if (log.name && log.fd >= 0)
			logs->items[logs->count++] = log;
		else
			free(log.name);
	}
	qsort(logs->items + before, logs->count - before, sizeof(logs->items[0]), compare);
	if (logs->count != before)
		logs->last = NULL;
}

/* What a terminal would act on is shown, not done; elsewhere the bytes are as they were. */
static void print_block(const char *text, size_t length, bool terminal)
{
	if (!terminal) {
		fwrite(text, 1, length, stdout);
		return;
	}
	while (length > 0) {
		size_t piece = strnlen(text, length);
		cleanup_free char *copy = strndup(text, piece);
		if (copy)
			words_put(stdout, copy);
		text += piece + (piece < length);
		length -= piece + (piece < length);
	}
}

/* Whether anything was new. */
static bool print_new(struct logs *logs)
{
	static char block[BLOCK_BYTES];
	bool terminal = isatty(STDOUT_FILENO), any = false;
	for (size_t i = 0; i < logs->count; i++) {
		struct log *log = &logs->items[i];
		for (ssize_t n; (n = read(log->fd, block, sizeof(block))) > 0; any = true) {
			if (logs->last != log && logs->titles)
				printf("==> %s <==\n", log->name + 4);
			logs->last = log;
			print_block(block, (size_t)n, terminal);
		}
	}
	fflush(stdout);
	return any;
}

/* Until the task has ended and all is printed. */
static void follow(struct logs *logs, const struct task *task, const char *phase)
{
	struct pollfd reader = {.fd = STDOUT_FILENO};
	for (;;) {
		struct task probe = {.lock = -1, .home_lock = -1, .directory = task->directory};
		struct error ignored;
		memcpy(probe.id, task->id, sizeof(probe.id));
		bool ended = task_lock(&probe, &ignored) != -EBUSY;
		close_fd(&probe.lock);
		find_logs(logs, task, phase);
		if (!print_new(logs) && ended)
			return;
		/* Nobody reads any more. */
		if (poll(&reader, 1, 0) > 0 && (reader.revents & POLLERR))
			return;
		usleep(FOLLOW_US);
	}
}

/* "agent" are all of them, "agent.2" is one. */
static bool is_phase(const char *name)
{
	cleanup_free char *log = NULL;
	if (asprintf(&log, "log.%.*s", (int)strcspn(name, "."), name) < 0) {
		log = NULL;
		return false;
	}
	for (size_t i = 0; i < ARRAY_SIZE(order); i++)
		if (strncmp(order[i], log, strlen(log)) == 0 &&
			strcspn(order[i] + strlen("log."), ".") == strlen(log) - strlen("log."))
			return true;
	return false;
}

int cmd_task_logs(int argc, char *argv[])
{
	const char *wait = NULL, *phase = NULL, *words[1];
	const struct task_option options[] = {
		{"--follow", NULL, &wait, "until the task has ended (also -f)"},
		{"-f", NULL, &wait, "the same"},
		{"--phase", "PHASE", &phase, "clone, setup, agent[.N], check[.N], out or task"},
	};
	const struct task_verb_line verb = {
		"logs ID [--follow] [--phase PHASE]", options, ARRAY_SIZE(options)};
	size_t count;
	struct store *store;
	struct task *task;
	int r = task_parse_words(argc, argv, &verb, words, &count, 1);
	if (r == 0 && (count == 0 || (phase && !is_phase(phase)))) {
		verb_say(count ? "there is no log of '%s': clone, setup, agent, check, out, task"
			       : "which task? `coffer task list` has them",
			phase);
		r = -EINVAL;
	}
	if (r != 0 || task_open_one(words[0], &store, &task) < 0)
		return r > 0 ? 0 : TASK_EXIT_FAILED;
	store_close(store);
	struct logs logs = {.titles = !phase};
	find_logs(&logs, task, phase);
	print_new(&logs);
	if (wait)
		follow(&logs, task, phase);
	for (size_t i = 0; i < logs.count; i++) {
		close_fd(&logs.items[i].fd);
		free(logs.items[i].name);
	}
	task_free(task);
	return ferror(stdout) ? TASK_EXIT_FAILED : 0;
}
