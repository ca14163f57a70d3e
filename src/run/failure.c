/* Theory of operation. What a box printed is parsed in a process made for that: as the workspace's
 * owner where this one is root, without descriptors, with little time and no way to make files or
 * processes. It also reads the source lines, of files that the text names. The text may name any;
 * so a name is taken as the box would see it, and followed through the plan's own mounts (or
 * grants, where there are none) to the host: what was hidden from the box stays hidden here.
 * Symbolic links are not followed at all, since the box may have made them. */
#include "run/failure.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/limits.h"
#include "base/path.h"
#include "base/sys.h"
#include "witness/trace.h"

#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

enum { STACK_DIRECTORIES_MAX = 256 };
enum { PARSE_MS = 5000, PARSE_CPU_S = 3, PARSE_MEMORY_BYTES = 512 * 1024 * 1024 };

bool failure_happened(enum cause cause, int exit_code)
{
	return cause != CAUSE_SETUP_FAILED && cause != CAUSE_REFUSED &&
	       (cause != CAUSE_EXITED || exit_code != 0);
}

/* ---- the files of the box ---- */

struct view {
	const struct failure *failure;
	/* The directories of all stacks in order, each with its upper first: they lie where only
	 * coffer's own user can go, so they are opened before this process is somebody else. */
	int directories[STACK_DIRECTORIES_MAX];
	size_t directories_count;
};

static int open_directory(const char *path)
{
	return open(path, O_PATH | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
}

static void open_stacks(struct view *view)
{
	for (size_t i = 0; i < view->failure->stacks_count; i++) {
		const struct mounts_stack *stack = &view->failure->stacks[i];
		cleanup_free char *upper = path_join(stack->top, "upper");
		for (size_t k = 0; upper && k <= stack->below.count; k++)
			if (view->directories_count < STACK_DIRECTORIES_MAX)
				view->directories[view->directories_count++] =
					open_directory(k == 0 ? upper : stack->below.items[k - 1]);
	}
}

/* A regular file below a directory, through no link. */
static int open_regular(int top, const char *path)
{
	const char *name = path + strspn(path, "/");
	cleanup_close int fd = sys_openat2(top, name, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC,
		RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS);
	struct stat status;
	if (fd < 0)
		return -errno;
	if (fstat(fd, &status) || !S_ISREG(status.st_mode))
		return -EINVAL;
	return steal_fd(&fd);
}

static int open_below(const char *directory, const char *path)
{
	cleanup_close int top = open_directory(directory);
	return top < 0 ? -errno : open_regular(top, path);
}

/* The nearest of a layer's directories that has the name has the say, also by a whiteout, which is
 * no regular file. */
static int open_in_stack(const struct view *view, const struct plan_mount *mount, const char *below)
{
	const struct mounts_stack *stacks = view->failure->stacks;
	size_t first = 0, i = 0;
	int r = -ENOENT;
	if (mount->stack >= view->failure->stacks_count)
		return r;
	for (; i < mount->stack; i++)
		first += 1 + stacks[i].below.count;
	for (size_t k = first; r == -ENOENT && k <= first + stacks[i].below.count; k++)
		r = k < view->directories_count ? open_regular(view->directories[k], below) : -EIO;
	return r == -ENOENT && mount->source ? open_below(mount->source, below) : r;
}

/* The mount that is seen at path: the deepest, and of equals the last. */
static const struct plan_mount *mount_at(const struct plan *plan, const char *path)
{
	const struct plan_mount *found = NULL;
	for (size_t i = 0; i < plan->mounts_count; i++) {
		const struct plan_mount *mount = &plan->mounts[i];
		if (path_is_below(path, mount->target) &&
			(!found || path_depth(mount->target) >= path_depth(found->target)))
			found = mount;
	}
	return found;
}

static bool is_granted(const struct plan *plan, const char *path)
{
	for (size_t i = 0; i < plan->grants_count; i++) {
		const struct plan_grant *grant = &plan->grants[i];
		if ((grant->rights == PLAN_RIGHTS_READ || grant->rights == PLAN_RIGHTS_WRITE) &&
			path_is_below(path, grant->path))
			return true;
	}
	return false;
}

static int open_of_box(void *context, const char *path)
{
	const struct view *view = context;
	const struct plan *plan = view->failure->plan;
	if (plan->tier == TIER_NONE)
		return open_below("/", path);
	if (plan->tier == TIER_LANDLOCK)
		return is_granted(plan, path) ? open_below("/", path) : -EACCES;
	const struct plan_mount *mount = mount_at(plan, path);
	if (!mount)
		return plan->private_root ? -ENOENT : open_below("/", path);
	const char *below = path + strlen(mount->target);
	if (mount->kind == MOUNT_LAYER)
		return open_in_stack(view, mount, below);
	if ((mount->kind != MOUNT_BIND && mount->kind != MOUNT_OVERLAY) || !mount->source)
		return -EACCES;
	return *below ? open_below(mount->source, below) : -EISDIR;
}

/* The workspace as the box names it. */
static char *workspace_inside(const struct plan *plan)
{
	const struct plan_mount *found = NULL;
	if (!plan->workspace)
		return NULL;
	for (size_t i = 0; i < plan->mounts_count; i++) {
		const struct plan_mount *mount = &plan->mounts[i];
		bool shows = mount->kind == MOUNT_BIND || mount->kind == MOUNT_OVERLAY ||
			     mount->kind == MOUNT_LAYER;
		if (shows && mount->source && path_is_below(plan->workspace, mount->source) &&
			(!found || path_depth(mount->source) > path_depth(found->source)))
			found = mount;
	}
	if (!found)
		return strdup(plan->workspace);
	const char *below = plan->workspace + strlen(found->source);
	return path_absolute(found->target, below + strspn(below, "/"));
}

/* ---- how it ended ---- */

static void set_signal(struct trace_ending *ending, int signal, const char *how, char *message,
	size_t message_bytes, char *kind, size_t kind_bytes)
{
	const char *name = sigabbrev_np(signal), *words = sigdescr_np(signal);
	snprintf(kind, kind_bytes, "SIG%s", name ? name : "?");
	snprintf(message, message_bytes, "%s signal %d (%s)", how, signal, words ? words : "?");
	ending->kind = kind;
}

struct ending_words {
	char kind[16], message[256];
};

/* False: an exit code of its own, of which the text has to tell. */
static bool describe_ending(
	const struct failure *failure, struct ending_words *words, struct trace_ending *ret)
{
	const struct plan *plan = failure->plan;
	const char *command = plan->argv.count ? plan->argv.items[0] : "";
	char *message = words->message;
	size_t size = sizeof(words->message);
	*ret = (struct trace_ending){.kind = cause_name(failure->cause),
		.message = message,
		.first = true,
		.processes = failure->processes};
	switch (failure->cause) {
	case CAUSE_SIGNALED:
		ret->first = false;
		set_signal(ret, failure->signal, "killed by", message, size, words->kind,
			sizeof(words->kind));
		return true;
	case CAUSE_EXITED:
		/* So a shell says that what it ran was killed. */
		if (failure->exit_code <= 128 || !sigabbrev_np(failure->exit_code - 128))
			return false;
		ret->first = false;
		set_signal(ret, failure->exit_code - 128, "its exit code tells of", message, size,
			words->kind, sizeof(words->kind));
		return true;
	case CAUSE_TIMED_OUT:
		snprintf(message, size, "still running when its time was up (%llu ms)",
			(unsigned long long)plan->limits.time_ms);
		return true;
	case CAUSE_OUT_OF_MEMORY:
		snprintf(message, size, "more memory than its limit (%llu bytes)",
			(unsigned long long)plan->limits.memory_bytes);
		return true;
	case CAUSE_LIMIT:
		snprintf(message, size, "more than its limit of %s", failure->limit);
		return true;
	case CAUSE_NOT_FOUND:
		snprintf(message, size, "%.200s: command not found", command);
		return true;
	case CAUSE_CANNOT_EXECUTE:
		snprintf(message, size, "%.200s: cannot be executed", command);
		return true;
	case CAUSE_KILLED:
		snprintf(message, size, "the box was ended from outside");
		return true;
	case CAUSE_REFUSED:
	case CAUSE_SETUP_FAILED:
		break;
	}
	return false;
}

/* ---- parsing ---- */

/* JSON text, or NULL. */
static char *parse(struct view *view, const char *inside)
{
	const struct failure *failure = view->failure;
	static const char *const streams[] = {"stderr", "stdout"};
	struct traces *traces = traces_new();
	struct trace_options options = {.workspace = inside,
		.directory = failure->plan->directory,
		.open = open_of_box,
		.context = view};
	struct trace_ending ending;
	struct ending_words words;
	int r = traces ? 0 : -ENOMEM;
	/* Causes are mostly told on stderr, summaries on stdout. */
	for (int i = 0; r == 0 && i < 2; i++)
		if (failure->texts[1 - i])
			r = traces_read(traces, streams[i], failure->texts[1 - i],
				failure->lengths_bytes[1 - i]);
	if (r == 0 && describe_ending(failure, &words, &ending))
		r = traces_end(traces, &ending);
	json_t *object = r == 0 ? traces_json(traces, &options) : NULL;
	char *json = object ? json_dumps(object, JSON_COMPACT | JSON_ENSURE_ASCII | JSON_ENCODE_ANY)
			    : NULL;
	json_decref(object);
	traces_free(traces);
	return json;
}

/* Only what parsing needs is left to the process. */
static void confine_self(const struct view *view, int to)
{
	const struct plan *plan = view->failure->plan;
	static const struct {
		int resource;
		rlim_t value;
	} limits[] = {{RLIMIT_CPU, PARSE_CPU_S}, {RLIMIT_AS, PARSE_MEMORY_BYTES}, {RLIMIT_FSIZE, 0},
		{RLIMIT_NPROC, 0}, {RLIMIT_CORE, 0}};
	int keep[STACK_DIRECTORIES_MAX + 1] = {to};
	uid_t uid = plan->owner_uid;
	gid_t gid = plan->owner_gid;
	memcpy(keep + 1, view->directories, view->directories_count * sizeof(keep[0]));
	if (fd_close_all_but(keep, view->directories_count + 1) < 0)
		_exit(EXIT_FAILURE);
	for (size_t i = 0; i < ARRAY_SIZE(limits); i++) {
		struct rlimit limit = {limits[i].value, limits[i].value};
		if (setrlimit(limits[i].resource, &limit) < 0)
			_exit(EXIT_FAILURE);
	}
	if (geteuid() == 0 && (setgroups(0, NULL) < 0 || setresgid(gid, gid, gid) < 0 ||
				      setresuid(uid, uid, uid) < 0))
		_exit(EXIT_FAILURE);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		_exit(EXIT_FAILURE);
}

/* Everything up to the end of the stream, or NULL where that takes too long. */
static char *receive(int from)
{
	uint64_t end_us = clock_now_us() + PARSE_MS * 1000ULL;
	cleanup_buffer struct buffer text = BUFFER_INIT(MAX_REPORT_BYTES);
	for (uint64_t now_us; (now_us = clock_now_us()) < end_us;) {
		static char data[64 * 1024];
		struct pollfd waiting = {.fd = from, .events = POLLIN};
		int ready = poll(&waiting, 1, (int)((end_us - now_us) / 1000 + 1));
		ssize_t n = ready > 0 ? read(from, data, sizeof(data)) : 0;
		if (ready > 0 && n == 0)
			return buffer_error(&text) < 0 ? NULL : buffer_steal(&text);
		if (n > 0)
			buffer_append(&text, data, (size_t)n);
	}
	return NULL;
}

char *failure_trace(const struct failure *failure)
{
	int ends[2];
	cleanup_free char *inside = workspace_inside(failure->plan);
	struct view view = {.failure = failure};
	if (!failure->texts[0] && !failure->texts[1] && !failure->processes)
		return parse(&view, inside); /* nothing of the box's is in it */
	if (pipe2(ends, O_CLOEXEC) < 0)
		return NULL;
	cleanup_close int from = ends[0];
	pid_t pid = fork();
	if (pid == 0) {
		open_stacks(&view);
		confine_self(&view, ends[1]);
		char *json = parse(&view, inside);
		_exit(json && fd_write_full(ends[1], json, strlen(json)) == 0 ? EXIT_SUCCESS
									      : EXIT_FAILURE);
	}
	close(ends[1]);
	if (pid < 0)
		return NULL;
	char *json = receive(from);
	int status = 0;
	kill(pid, SIGKILL); /* in most cases it has ended, and this does nothing */
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (json && *json)
		return json;
	free(json);
	return NULL;
}
