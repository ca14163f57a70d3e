/* Theory of operation. What a stranger's programs wrote is taken apart in a box: this program
 * itself, started there as `coffer-task search`, which sees the uppers of the layer read-only, gets
 * the values through a pipe, and writes what it found into a file in memory. That box has no
 * network and a layer of its own that is thrown away. What it says is not trusted either: names and
 * forms are looked up, and an answer without its last line is an error. */
#include "task/secret_search.h"

#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/fd.h"
#include "base/limits.h"
#include "layer/layer.h"
#include "task/box.h"
#include "task/secret_forms.h"
#include "task/secret_pipe.h"

#include <fcntl.h>
#include <jansson.h>
#include <string.h>
#include <sys/mman.h>

#define PROGRAM_AT "/run/coffer/coffer-task"
#define UPPERS_AT "/run/coffer/search"

static const char stage[] = "search";

void secret_findings_release(struct secret_findings *findings)
{
	for (size_t i = 0; i < findings->count; i++) {
		free(findings->items[i].path);
		free(findings->items[i].secret);
		free(findings->items[i].entry);
	}
	free(findings->items);
	strv_release(&findings->unreadable);
	strv_release(&findings->closed);
	*findings = (struct secret_findings){0};
}

/* ---- the answer ---- */

struct answer {
	const struct layer *layer;
	const struct secret_values *values;
	struct secret_findings *findings;
	bool done;
};

/* The path in the box: below which root is a number. NULL: there is no such root, or no memory. */
static char *path_in_box(const struct answer *answer, const json_t *line, const char *key)
{
	size_t root = (size_t)json_integer_value(json_object_get(line, "root"));
	const char *path = json_string_value(json_object_get(line, key));
	char *whole = NULL;
	if (!path || root >= answer->layer->roots_count)
		return NULL;
	const char *top = answer->layer->roots[root].path;
	if (asprintf(&whole, "%s%s%s", top, *path && *path != '!' ? "/" : "", path) < 0)
		return NULL;
	return whole;
}

static char *from_hex(const char *hex)
{
	size_t length = hex ? strlen(hex) : 1;
	char *text = length % 2 ? NULL : calloc(length / 2 + 1, 1);
	for (size_t i = 0; text && i < length / 2; i++) {
		unsigned byte;
		if (sscanf(hex + 2 * i, "%2x", &byte) != 1 || !byte) {
			free(text);
			return NULL;
		}
		text[i] = (char)byte;
	}
	return text;
}

static const char *known_place(const char *where)
{
	static const char *const places[] = {"content", "archive", "name", "link", "attribute"};
	for (size_t i = 0; where && i < ARRAY_SIZE(places); i++)
		if (strcmp(places[i], where) == 0)
			return places[i];
	return NULL;
}

static bool is_secret(const struct secret_values *values, const char *name)
{
	for (size_t i = 0; name && i < values->count; i++)
		if (strcmp(values->items[i].name, name) == 0)
			return true;
	return false;
}

static int take_finding(struct answer *answer, const json_t *line)
{
	struct secret_findings *findings = answer->findings;
	const char *secret = json_string_value(json_object_get(line, "secret"));
	const char *form = json_string_value(json_object_get(line, "form"));
	struct secret_finding *items =
		reallocarray(findings->items, findings->count + 1, sizeof(*items));
	if (!items)
		return -ENOMEM;
	findings->items = items;
	struct secret_finding finding = {.path = path_in_box(answer, line, "path"),
		.form = form ? secret_form_known(form) : NULL,
		.where = known_place(json_string_value(json_object_get(line, "where"))),
		.offset_bytes = (uint64_t)json_integer_value(json_object_get(line, "offset")),
		.root = (size_t)json_integer_value(json_object_get(line, "root")),
		.entry = from_hex(json_string_value(json_object_get(line, "entry")))};
	if (is_secret(answer->values, secret))
		finding.secret = strdup(secret);
	items[findings->count++] = finding;
	return finding.path && finding.form && finding.where && finding.entry && finding.secret
		       ? 0
		       : -EBADMSG;
}

static int take_unreadable(struct answer *answer, const json_t *line)
{
	const char *why = json_string_value(json_object_get(line, "why"));
	cleanup_free char *path = path_in_box(answer, line, "unreadable");
	char *text = NULL;
	if (!path || !why)
		return -EBADMSG;
	if (asprintf(&text, "%s: %s", path, why) < 0)
		return -ENOMEM;
	return strv_add_owned(json_is_true(json_object_get(line, "closed"))
				      ? &answer->findings->closed
				      : &answer->findings->unreadable,
		text);
}

static int take_line(struct answer *answer, const char *text, size_t length)
{
	json_t *line = json_loadb(text, length, JSON_REJECT_DUPLICATES, NULL);
	int r = line && !answer->done ? 0 : -EBADMSG;
	if (r == 0 && json_object_get(line, "done")) {
		answer->done = true;
		answer->findings->files =
			(uint64_t)json_integer_value(json_object_get(line, "files"));
		answer->findings->bytes =
			(uint64_t)json_integer_value(json_object_get(line, "bytes"));
		answer->findings->lost =
			(uint64_t)json_integer_value(json_object_get(line, "lost"));
	} else if (r == 0) {
		r = json_object_get(line, "unreadable") ? take_unreadable(answer, line)
							: take_finding(answer, line);
	}
	json_decref(line);
	return r;
}

static int take_answer(struct answer *answer, int file, struct error *error)
{
	off_t length = lseek(file, 0, SEEK_END);
	if (length < 0 || length > MAX_SEARCH_ANSWER_BYTES)
		return error_set(error, EFBIG, stage, "the search said more than is taken");
	cleanup_free char *text = malloc((size_t)length + 1);
	if (!text || lseek(file, 0, SEEK_SET) < 0 ||
		fd_read_full(file, text, (size_t)length) != length)
		return error_set(error, EIO, stage, "the search's findings cannot be read");
	int r = 0;
	for (char *line = text, *end; r == 0 && line < text + length; line = end + 1) {
		end = memchr(line, '\n', (size_t)(text + length - line));
		r = end ? take_line(answer, line, (size_t)(end - line)) : -EBADMSG;
		if (r < 0)
			break;
	}
	if (r == 0 && !answer->done)
		r = -EBADMSG;
	return r < 0 ? error_set(error, -r, stage, "the search for secrets did not come to its end")
		     : 0;
}

/* ---- the box ---- */

struct views {
	struct task_view *items;
	struct strv strings; /* that they point to */
	struct strv argv;
};

static int add_view(struct views *views, size_t index, const char *from, const char *at)
{
	if (strv_add(&views->strings, from) < 0)
		return -ENOMEM;
	const char *own = views->strings.items[views->strings.count - 1];
	views->items[index] = (struct task_view){.from = own, .at = at};
	return 0;
}

static int fill_views(struct views *views, const struct layer *layer)
{
	char program[MAX_PATH_BYTES];
	ssize_t length = readlink("/proc/self/exe", program, sizeof(program) - 1);
	if (length < 0)
		return -errno;
	program[length] = '\0';
	views->items = calloc(layer->roots_count + 1, sizeof(*views->items));
	if (!views->items || strv_add(&views->argv, PROGRAM_AT) < 0 ||
		strv_add(&views->argv, "search") < 0)
		return -ENOMEM;
	int r = add_view(views, 0, program, PROGRAM_AT);
	for (size_t i = 0; i < layer->roots_count && r == 0; i++) {
		cleanup_free char *from = NULL;
		char at[64];
		snprintf(at, sizeof(at), UPPERS_AT "/%zu", i);
		if (asprintf(&from, "%s/upper", layer->roots[i].directory) < 0 ||
			strv_add(&views->argv, at) < 0)
			return -ENOMEM;
		r = add_view(views, i + 1, from, views->argv.items[views->argv.count - 1]);
	}
	return r;
}

static void views_release(struct views *views)
{
	free(views->items);
	strv_release(&views->strings);
	strv_release(&views->argv);
}

/* What the program said on stderr, where it did not do its work. */
static int complain(const struct task_box_result *result, int words, struct error *error)
{
	char text[256] = "";
	if (lseek(words, 0, SEEK_SET) == 0)
		fd_read_full(words, text, sizeof(text) - 1);
	text[strcspn(text, "\n")] = '\0';
	return error_set(error, EIO, stage, "the search for secrets failed (%s, exit code %d)%s%s",
		result->cause, result->exit_code, text[0] ? ": " : "", text);
}

static int run_box(const struct layer *layer, const struct layer *scratch,
	const struct secret_values *values, struct answer *answer, struct error *error)
{
	static char *settings[] = {(char *)"net=off", (char *)"limit=time=1h,pids=16", NULL};
	int ends[2];
	cleanup_close int found = memfd_create("findings", MFD_CLOEXEC);
	cleanup_close int words = memfd_create("words", MFD_CLOEXEC);
	if (found < 0 || words < 0 || pipe2(ends, O_CLOEXEC) < 0)
		return error_set_errno(error, errno, stage, "starting");
	cleanup_close int reader = ends[0];
	cleanup_close int writer = ends[1];
	struct views views = {0};
	int r = fill_views(&views, layer);
	if (r == 0)
		r = secret_values_send(writer, values);
	close_fd(&writer);
	if (r < 0)
		error_set_errno(error, -r, stage, "starting");
	struct task_box_result result = {0};
	if (r == 0)
		r = task_box_run(&(struct task_box){.layer = scratch->id,
					 .argv = views.argv.items,
					 .settings = &(struct strv){.items = settings, .count = 2},
					 .views = views.items,
					 .views_count = layer->roots_count + 1,
					 .stdio = {reader, found, words}},
			&result, error);
	if (r == 0 && (strcmp(result.cause, "exited") != 0 || result.exit_code != 0))
		r = complain(&result, words, error);
	if (r == 0)
		r = take_answer(answer, found, error);
	task_box_result_release(&result);
	views_release(&views);
	return r;
}

static int check_values(const struct secret_values *values, struct error *error)
{
	size_t bytes = 0;
	for (size_t i = 0; i < values->count; i++)
		bytes += values->items[i].length_bytes;
	if (values->count > MAX_SECRETS)
		return error_set(
			error, E2BIG, stage, "there are more than %d secrets", MAX_SECRETS);
	if (bytes > MAX_SECRETS_BYTES)
		return error_set(error, E2BIG, stage,
			"the secrets come to more than %d bytes together", MAX_SECRETS_BYTES);
	return 0;
}

int secret_search_layer(const char *layer_id, const struct secret_values *values,
	struct secret_findings *ret, struct error *error)
{
	struct layer *layer = NULL, *scratch = NULL;
	*ret = (struct secret_findings){0};
	int r = check_values(values, error);
	if (r == 0)
		r = layer_open(layer_id, LAYER_READ, &layer, error);
	if (r < 0)
		return r;
	r = layer_create(&(struct layer_options){.purpose = "search"}, &scratch, error);
	if (r == 0) {
		struct answer answer = {.layer = layer, .values = values, .findings = ret};
		cleanup_free char *id = strdup(scratch->id);
		layer_close(scratch); /* the box takes it */
		scratch = NULL;
		r = id ? run_box(layer, &(struct layer){.id = id}, values, &answer, error)
		       : error_set_errno(error, ENOMEM, stage, "starting");
		struct error ignored;
		if (id && layer_open(id, LAYER_WRITE, &scratch, &ignored) == 0)
			layer_discard(scratch, &ignored);
	}
	layer_close(layer);
	if (r < 0)
		secret_findings_release(ret);
	return r;
}
