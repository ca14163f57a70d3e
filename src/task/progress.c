#include "task/progress.h"

#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/path.h"
#include "base/sys.h"
#include "base/units.h"
#include "layer/layer.h"
#include "task/task_internal.h"
#include "task/words.h"

#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>

enum { BAR_CELLS = 20, MAX_LINE_BYTES = 4096, DRAW_US = 250 * 1000, LINE_COLUMNS = 78 };

struct task_progress {
	bool quiet, terminal;
	bool drawn; /* a line stands on the terminal that is not ended */
	uint64_t started_us, drawn_us;
	enum task_phase phase;
	unsigned running, ended; /* agents */
	unsigned layers;
};

struct task_progress *task_progress_new(bool quiet)
{
	struct task_progress *progress = calloc(1, sizeof(*progress));
	if (!progress)
		return NULL;
	const char *kind = getenv("TERM");
	progress->quiet = quiet;
	progress->terminal = isatty(STDERR_FILENO) && kind && strcmp(kind, "dumb") != 0;
	progress->started_us = clock_now_us();
	return progress;
}

static void erase(struct task_progress *progress)
{
	if (progress->drawn)
		fputs("\r\033[K", stderr);
	progress->drawn = false;
}

void task_progress_free(struct task_progress *progress)
{
	if (!progress)
		return;
	erase(progress);
	free(progress);
}

static void append_elapsed(struct buffer *line, uint64_t since_us)
{
	uint64_t seconds = (clock_now_us() - since_us) / 1000000;
	if (seconds >= 3600)
		buffer_append_format(line, "%llu:", (unsigned long long)seconds / 3600);
	buffer_append_format(line, "%02llu:%02llu", (unsigned long long)seconds / 60 % 60,
		(unsigned long long)seconds % 60);
}

/* git writes what it fetches into files of this directory, whatever is loose afterwards. The names
 * in it are a stranger's, so it is entered beneath the layer and through no link. */
static uint64_t fetched_bytes(const struct task *task)
{
	char name[64];
	cleanup_free char *store = NULL, *directory = NULL;
	struct error ignored;
	snprintf(name, sizeof(name), "names/%s.clone", task->id);
	if (layer_store_path(&store, &ignored) < 0 || !(directory = path_join(store, name)))
		return 0;
	cleanup_free char *roots = path_join(directory, "roots");
	cleanup_closedir DIR *list = roots ? opendir(roots) : NULL;
	uint64_t bytes = 0;
	for (struct dirent *root; list && (root = readdir(list));) {
		char below[512];
		if (root->d_name[0] == '.')
			continue;
		snprintf(below, sizeof(below), "%s/upper/.git/objects/pack", root->d_name);
		int fd = sys_openat2(dirfd(list), below,
			O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC,
			RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS);
		cleanup_closedir DIR *packs = fd < 0 ? NULL : fdopendir(fd);
		struct stat st;
		for (struct dirent *pack; packs && (pack = readdir(packs));)
			if (fstatat(dirfd(packs), pack->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
				S_ISREG(st.st_mode))
				bytes += (uint64_t)st.st_size;
	}
	return bytes;
}

static void append_bytes(struct buffer *line, uint64_t bytes, const char *what)
{
	char text[32];
	units_format_bytes(bytes, text, sizeof(text));
	buffer_append_format(line, ", %s %s", text, what);
}

static void append_facts(struct buffer *line, const struct task *task)
{
	const struct task_progress *progress = task->progress;
	if (progress->phase == PHASE_CLONE)
		append_bytes(line, fetched_bytes(task), "fetched");
	if (task->spec.attempts > 1 && progress->phase >= PHASE_AGENT)
		buffer_append_format(line, ", %u of %llu agents done, %u at work", progress->ended,
			(unsigned long long)task->spec.attempts, progress->running);
	if (progress->layers)
		buffer_append_format(
			line, ", %u layer%s", progress->layers, progress->layers > 1 ? "s" : "");
}

static void draw(const struct task *task)
{
	struct task_progress *progress = task->progress;
	cleanup_buffer struct buffer line = BUFFER_INIT(MAX_LINE_BYTES);
	unsigned steps = PHASES - 1 + (unsigned)task->spec.attempts, done = progress->phase;
	if (progress->phase >= PHASE_AGENT)
		done = PHASE_AGENT + progress->ended + (progress->phase == PHASE_OUT);
	unsigned filled = done * BAR_CELLS / steps;
	buffer_append_format(&line, "%s [", task->id);
	for (unsigned i = 0; i < BAR_CELLS; i++)
		buffer_append_string(&line, i < filled ? "#" : "-");
	buffer_append_format(&line, "] %s ", task_phase_name(progress->phase));
	append_elapsed(&line, progress->started_us);
	append_facts(&line, task);
	if (buffer_error(&line) < 0)
		return;
	fprintf(stderr, "\r%.*s\033[K", LINE_COLUMNS, line.data);
	fflush(stderr);
	progress->drawn = true;
	progress->drawn_us = clock_now_us();
}

void task_progress_tick(struct task *task)
{
	const struct task_progress *progress = task->progress;
	if (progress && !progress->quiet && progress->terminal &&
		clock_now_us() - progress->drawn_us > DRAW_US)
		draw(task);
}

static void say(struct task *task, const char *text)
{
	struct task_progress *progress = task->progress;
	if (!progress || progress->quiet)
		return;
	erase(progress);
	cleanup_buffer struct buffer line = BUFFER_INIT(MAX_LINE_BYTES);
	buffer_append_format(&line, "coffer: %s: ", task->id);
	append_elapsed(&line, progress->started_us);
	buffer_append_format(&line, " %s\n", text);
	if (buffer_error(&line) == 0)
		words_put(stderr, line.data);
	if (progress->terminal)
		draw(task);
}

void task_progress_say(struct task *task, const char *format, ...)
{
	char text[1024];
	va_list args;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	say(task, text);
}

static void append_phase(
	struct buffer *line, const struct task *task, enum task_phase phase, uint64_t attempt)
{
	buffer_append_string(line, task_phase_name(phase));
	if (attempt && task->spec.attempts > 1)
		buffer_append_format(line, " %llu", (unsigned long long)attempt);
}

void task_progress_begin(
	struct task *task, enum task_phase phase, uint64_t attempt, const char *what)
{
	struct task_progress *progress = task->progress;
	if (!progress)
		return;
	if (phase > progress->phase || !attempt)
		progress->phase = phase;
	progress->running += phase == PHASE_AGENT && attempt;
	progress->layers += phase == PHASE_CLONE || phase == PHASE_SETUP || phase == PHASE_AGENT;
	cleanup_buffer struct buffer line = BUFFER_INIT(MAX_LINE_BYTES);
	append_phase(&line, task, phase, attempt);
	if (what)
		buffer_append_format(&line, ": %s", what);
	if (buffer_error(&line) == 0)
		say(task, line.data);
}

void task_progress_end(struct task *task, enum task_phase phase, uint64_t attempt, const char *what)
{
	struct task_progress *progress = task->progress;
	if (!progress)
		return;
	if (phase == PHASE_OUT && attempt) {
		progress->ended++;
		progress->running--;
	}
	cleanup_buffer struct buffer line = BUFFER_INIT(MAX_LINE_BYTES);
	append_phase(&line, task, phase, attempt);
	buffer_append_format(&line, " done%s%s", what ? ": " : "", what ? what : "");
	if (buffer_error(&line) == 0)
		say(task, line.data);
}
