#include "cli/command.h"

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/limits.h"
#include "base/sys.h"
#include "witness/trace.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static void help(void)
{
	printf("usage: coffer trace [--json|--text] [--workspace DIRECTORY] [FILE]\n"
	       "Finds what went wrong in what a tool printed (FILE, or standard input): kind,\n"
	       "message and places of each failure, with the source lines around. JSON, but on\n"
	       "a terminal text.\n\n"
	       "  --workspace DIRECTORY  what names of files are relative to (default: the current "
	       "one)\n");
}

struct trace_call {
	const char *file, *workspace;
	bool json, text, help;
};

static int parse(int argc, char *argv[], struct trace_call *ret)
{
	*ret = (struct trace_call){0};
	for (int i = 1; i < argc; i++) {
		const char *word = argv[i];
		if (strcmp(word, "--json") == 0) {
			ret->json = true;
		} else if (strcmp(word, "--text") == 0) {
			ret->text = true;
		} else if (strcmp(word, "--help") == 0) {
			ret->help = true;
		} else if (strcmp(word, "--workspace") == 0 && i + 1 < argc) {
			ret->workspace = argv[++i];
		} else if ((word[0] != '-' || !word[1]) && !ret->file) {
			ret->file = word;
		} else {
			cli_complain_text("trace: %s is not known here", word);
			return -1;
		}
	}
	return 0;
}

/* The end of it, where it is long. */
static int read_text(const char *file, struct buffer *to)
{
	cleanup_close int opened = -1;
	int fd = 0;
	if (file && strcmp(file, "-") != 0) {
		fd = opened = open(file, O_RDONLY | O_CLOEXEC | O_NOCTTY);
		if (fd < 0)
			return -errno;
	}
	static char data[64 * 1024];
	for (;;) {
		ssize_t n = read(fd, data, sizeof(data));
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : buffer_error(to);
		if (to->length_bytes + (size_t)n > 2 * MAX_TRACE_TEXT_BYTES) {
			size_t kept = MAX_TRACE_TEXT_BYTES;
			memmove(to->data, to->data + to->length_bytes - kept, kept);
			to->length_bytes = kept;
		}
		buffer_append(to, data, (size_t)n);
	}
}

struct place {
	int fd;
	size_t skip; /* of a path: the workspace and the slash behind it */
};

static int open_below(void *context, const char *path)
{
	const struct place *place = context;
	struct stat status;
	cleanup_close int fd = sys_openat2(place->fd, path + place->skip,
		O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC,
		RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS);
	if (fd < 0)
		return -errno;
	if (fstat(fd, &status) || !S_ISREG(status.st_mode))
		return -EINVAL;
	return steal_fd(&fd);
}

static char *trace_of(const struct buffer *text, const char *workspace, bool json)
{
	cleanup_close int fd = open(workspace, O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct place place = {fd, strlen(workspace) + (workspace[1] != '\0')};
	struct trace_options options = {.workspace = workspace,
		.directory = workspace,
		.open = fd >= 0 ? open_below : NULL,
		.context = &place};
	struct traces *traces = traces_new();
	char *result = NULL;
	if (traces &&
		traces_read(traces, NULL, text->data ? text->data : "", text->length_bytes) == 0) {
		json_t *object = traces_json(traces, &options);
		struct buffer block = BUFFER_INIT(MAX_REPORT_BYTES);
		buffer_append_string(&block, "");
		if (json)
			result = json_dumps(
				object, JSON_INDENT(2) | JSON_ENSURE_ASCII | JSON_ENCODE_ANY);
		else
			trace_show(object, &block);
		if (!json)
			result = buffer_steal(&block);
		buffer_release(&block);
		json_decref(object);
	}
	traces_free(traces);
	return result;
}

int cmd_trace(int argc, char *argv[])
{
	struct trace_call call;
	if (parse(argc, argv, &call) < 0)
		return EXIT_SETUP_FAILED;
	if (call.help) {
		help();
		return 0;
	}
	cleanup_free char *workspace = realpath(call.workspace ? call.workspace : ".", NULL);
	if (!workspace) {
		cli_complain_text("--workspace %s: %m", call.workspace ? call.workspace : ".");
		return EXIT_SETUP_FAILED;
	}
	cleanup_buffer struct buffer text = BUFFER_INIT(3 * MAX_TRACE_TEXT_BYTES);
	int r = read_text(call.file, &text);
	if (r < 0) {
		cli_complain_text(
			"%s: %s", call.file ? call.file : "standard input", strerrordesc_np(-r));
		return EXIT_SETUP_FAILED;
	}
	bool json = call.json || (!call.text && !isatty(1));
	return cli_print(trace_of(&text, workspace, json), json);
}
