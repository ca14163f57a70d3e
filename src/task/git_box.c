/* Theory of operation. Git never runs on the host here: neither its programs nor its libraries touch
 * what a stranger wrote, but in a box whose layer is the only thing that it can write. What it says
 * comes through a pipe, is handed on to the log, and the end of it is kept for the error; what it
 * makes are files of the layer, read from there as any stranger's file. */
#include "task/git_box.h"

#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/fd.h"
#include "base/limits.h"
#include "base/path.h"
#include "base/sys.h"
#include "base/utf8.h"
#include "layer/layer.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "task/git_script.h"

static const char stage[] = "git";

enum { PIPE_BYTES = 1024 * 1024, WORDS_BYTES = 16 * 1024 };

/* ---- words ---- */

struct words {
	int pipe, log;
	char kept[WORDS_BYTES]; /* the last of them */
	size_t length;
	int (*tick)(void *context);
	void *context;
};

static void keep(struct words *words, const char *data, size_t length)
{
	if (length > WORDS_BYTES) {
		data += length - WORDS_BYTES;
		length = WORDS_BYTES;
	}
	size_t over =
		words->length + length > WORDS_BYTES ? words->length + length - WORDS_BYTES : 0;
	memmove(words->kept, words->kept + over, words->length - over);
	words->length -= over;
	memcpy(words->kept + words->length, data, length);
	words->length += length;
}

static void drain(struct words *words)
{
	char data[8192];
	ssize_t n;
	while ((n = read(words->pipe, data, sizeof(data))) > 0) {
		keep(words, data, (size_t)n);
		/* A log that takes nothing more is no reason to stop. */
		if (words->log >= 0 && fd_write_full(words->log, data, (size_t)n) < 0)
			words->log = -1;
	}
}

static int on_tick(void *context)
{
	struct words *words = context;
	drain(words);
	return words->tick ? words->tick(words->context) : 0;
}

/* Which line says most: the script's own, then the object that fsck refused, which is named before
 * the last words of all. */
static const struct {
	const char *start;
	size_t skip;
} telling[] = {
	{"coffer: ", 8},
	{"File size limit exceeded", 0},
	{"error: object ", 7},
	{"ssh: ", 0},
	{"Host key verification failed", 0},
	{"fatal: ", 7},
	{"error: ", 7},
	{"", 0},
};

void git_box_harmless(const char *line, size_t length, char *ret, size_t room)
{
	size_t n = 0;
	for (size_t i = 0; i < length && n + 5 < room;) {
		const unsigned char *s = (const unsigned char *)line + i;
		size_t width = utf8_sequence(s);
		bool shown =
			width && i + width <= length && !utf8_is_control(utf8_character(s, width));
		if (shown)
			memcpy(ret + n, s, width);
		else
			ret[n] = '?';
		n += shown ? width : 1;
		i += shown ? width : 1;
	}
	ret[n] = '\0';
}

static void choose_line(struct words *words, char *ret, size_t room)
{
	ret[0] = '\0';
	if (words->length == WORDS_BYTES)
		words->length--;
	words->kept[words->length] = '\0';
	size_t best = ARRAY_SIZE(telling);
	for (char *line = words->kept; *line;) {
		size_t length = strcspn(line, "\r\n");
		size_t i = 0;
		while (strncmp(line, telling[i].start, strlen(telling[i].start)) != 0)
			i++;
		if (i < best) {
			git_box_harmless(
				line + telling[i].skip, length - telling[i].skip, ret, room);
			best = i;
		}
		line += length + strspn(line + length, "\r\n");
	}
}

/* ---- the run ---- */

static const char *const common[] = {
	"HOME=" TASK_HOME,
	"PATH=/usr/local/bin:/usr/bin:/bin", /* nothing that an earlier phase has put somewhere */
	"LC_ALL=C",
	"GIT_CONFIG_NOSYSTEM=1",
	"GIT_ATTR_NOSYSTEM=1",
	"GIT_TERMINAL_PROMPT=0",
	"GIT_ASKPASS=/bin/false",
	"SSH_ASKPASS=/bin/false",
	"GIT_OPTIONAL_LOCKS=0",
	"GIT_LFS_SKIP_SMUDGE=1",
};

int git_box_set(struct strv *environment, const char *name, const char *value)
{
	char *pair = NULL;
	return asprintf(&pair, "%s=%s", name, value) < 0 ? -ENOMEM
							 : strv_add_owned(environment, pair);
}

/* What a program says whose file may not grow. */
static const char *const full[] = {
	"File size limit exceeded", "No space left on device", "Disk quota exceeded"};

static int judge(const struct git_box *box, const struct words *words,
	const struct task_box_result *ended, struct error *error)
{
	if (strcmp(ended->cause, "cancelled") == 0)
		return error_set(error, ECANCELED, stage, "%s was cancelled", box->what);
	bool ended_itself = strcmp(ended->cause, "exited") == 0;
	for (size_t i = 0; ended_itself && ended->exit_code && i < ARRAY_SIZE(full); i++) {
		if (!memmem(words->kept, words->length, full[i], strlen(full[i])))
			continue;
		error_set(error, EDQUOT, stage, "%s ran out of disk: %s", box->what, full[i]);
		return error_hint(error, "the limit of the task's disk, or the file system of its "
					 "layers, is reached");
	}
	if (ended_itself)
		return 0;
	error_set(error, EDQUOT, stage, "%s was ended by its box: %s", box->what, ended->cause);
	return error_hint(error, "a limit of the task: see its limits (time, memory, disk)");
}

static int run(const struct git_box *box, struct words *words, int output, char *script,
	const struct strv *environment, struct git_box_result *ret, struct error *error)
{
	char shell[] = "/bin/sh", command[] = "-c", name[] = "git-script";
	char *argv[] = {shell, command, script, name, NULL};
	const struct task_box task = {.layer = box->layer,
		.workspace = box->workspace,
		.argv = argv,
		.directory = "/",
		.environment = environment,
		.settings = box->settings,
		.views = box->views,
		.views_count = box->views_count,
		.stdio = {box->input, output, output},
		.tick = on_tick,
		.context = words};
	struct task_box_result ended = {0};
	int r = task_box_run(&task, &ended, error);
	drain(words);
	choose_line(words, ret->words, sizeof(ret->words));
	ret->exit_code = ended.exit_code;
	if (r == 0)
		r = judge(box, words, &ended, error);
	task_box_result_release(&ended);
	return r;
}

int git_box_run(const struct git_box *box, struct git_box_result *ret, struct error *error)
{
	*ret = (struct git_box_result){0};
	cleanup_strv struct strv environment = {0};
	cleanup_free char *script = NULL;
	int r = asprintf(&script, "%s%s", git_script, box->script) < 0 ? -ENOMEM : 0;
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(common); i++)
		r = strv_add(&environment, common[i]);
	for (size_t i = 0; r == 0 && box->environment && i < box->environment->count; i++)
		r = strv_add(&environment, box->environment->items[i]);
	if (r < 0)
		return error_set_errno(error, ENOMEM, stage, "%s", box->what);
	int ends[2];
	if (pipe2(ends, O_CLOEXEC) < 0)
		return error_set_errno(error, errno, stage, "a pipe");
	cleanup_close int from = ends[0], to = ends[1];
	/* Between two looks at it, more than a line of progress may come. */
	fcntl(from, F_SETPIPE_SZ, PIPE_BYTES);
	if (fcntl(from, F_SETFL, O_NONBLOCK) < 0)
		return error_set_errno(error, errno, stage, "a pipe");
	struct words *words = calloc(1, sizeof(*words));
	if (!words)
		return error_set_errno(error, ENOMEM, stage, "%s", box->what);
	words->pipe = from;
	words->log = box->log;
	words->tick = box->tick;
	words->context = box->context;
	r = run(box, words, to, script, &environment, ret, error);
	free(words);
	return r;
}

/* ---- files ---- */

/* Opens path below the upper of a root of the layer. */
static int open_below(const char *layer_id, const char *root, const char *path, int flags,
	char **ret_upper, struct error *error)
{
	struct layer *layer = NULL;
	int r = layer_open(layer_id, LAYER_READ, &layer, error);
	if (r < 0)
		return r;
	for (size_t i = 0; i < layer->roots_count; i++)
		if (strcmp(layer->roots[i].path, root) == 0)
			*ret_upper = path_join(layer->roots[i].directory, "upper");
	layer_close(layer);
	if (!*ret_upper)
		return error_set(error, ENOENT, stage, "the layer has no %s", root);
	cleanup_close int top = open(*ret_upper, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	int fd = top < 0 ? -1
			 : sys_openat2(top, path, (uint64_t)flags | O_NOFOLLOW | O_CLOEXEC,
				   RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV);
	return fd < 0 ? error_set_errno(error, errno, stage, "%s of the box", path) : fd;
}

int git_box_directory(
	const char *layer, const char *root, const char *path, char **ret, struct error *error)
{
	cleanup_free char *upper = NULL;
	cleanup_close int fd = open_below(layer, root, path, O_PATH | O_DIRECTORY, &upper, error);
	if (fd < 0)
		return fd;
	*ret = path_join(upper, path);
	return *ret ? 0 : error_set_errno(error, ENOMEM, stage, "%s of the box", path);
}

int git_box_open(const char *layer, const char *root, const char *path, uint64_t max_bytes,
	struct error *error)
{
	cleanup_free char *upper = NULL;
	cleanup_close int fd = open_below(layer, root, path, O_RDONLY | O_NONBLOCK, &upper, error);
	if (fd < 0)
		return fd;
	struct stat st;
	if (fstat(fd, &st) < 0)
		return error_set_errno(error, errno, stage, "%s of the box", path);
	if (!S_ISREG(st.st_mode))
		return error_set(error, EINVAL, stage, "%s of the box is no file", path);
	if ((uint64_t)st.st_size > max_bytes)
		return error_set_errno(error, EFBIG, stage, "%s of the box", path);
	return steal_fd(&fd);
}

int git_box_read(const char *layer, const char *root, const char *path, size_t max_bytes,
	char **ret, size_t *ret_length_bytes, struct error *error)
{
	cleanup_close int fd = git_box_open(layer, root, path, max_bytes, error);
	struct stat st;
	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0)
		return error_set_errno(error, errno, stage, "%s of the box", path);
	size_t size = (size_t)st.st_size;
	cleanup_free char *text = malloc(size + 1);
	if (!text)
		return error_set_errno(error, ENOMEM, stage, "%s of the box", path);
	ssize_t n = fd_read_full(fd, text, size);
	if (n < 0)
		return error_set_errno(error, (int)-n, stage, "%s of the box", path);
	text[n] = '\0';
	*ret = steal_pointer(&text);
	if (ret_length_bytes)
		*ret_length_bytes = (size_t)n;
	return 0;
}
