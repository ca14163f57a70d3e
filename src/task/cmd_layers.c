/* `coffer layers`: what there is; export, import, collect. */
#include "task/command.h"

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/path.h"
#include "base/units.h"
#include "layer/changes.h"
#include "layer/copies.h"
#include "layer/layer_internal.h"
#include "layer/reach.h"
#include "task/import.h"
#include "task/verbs.h"

#include <fcntl.h>
#include <jansson.h>
#include <string.h>
#include <sys/file.h>

static const char usage[] =
	"usage: coffer layers [--json]\n"
	"       coffer layers export NAME [FILE]\n"
	"       coffer layers import [--onto-any] FILE [NAME]\n"
	"       coffer layers collect\n"
	"Lists the layers there are. Exports one with all that it stands on as an OCI image\n"
	"layout in a tar (to stdout), imports such a tar (FILE -: stdin), or removes what nobody\n"
	"can reach any more.\n\n"
	"  --json      print JSON\n"
	"  --onto-any  let the image lie on whatever directories of the host it names, not\n"
	"              only on this one\n";

struct row {
	struct layer *layer;
	uint64_t bytes;
	struct layer_counts counts;
	pid_t owner;       /* 0: nobody has it */
	const char *below; /* what it stands on or lies on */
};

/* Who has it, without waiting. */
static pid_t find_owner(const struct layer *layer)
{
	cleanup_free char *path = path_join(layer->directory, "lock");
	cleanup_close int fd = path ? open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW) : -1;
	char text[32] = "";
	if (fd < 0 || flock(fd, LOCK_SH | LOCK_NB) == 0 || errno != EWOULDBLOCK)
		return 0;
	ssize_t n = pread(fd, text, sizeof(text) - 1, 0);
	return n > 0 ? atoi(text) : -1;
}

static int compare_ages(const void *left, const void *right)
{
	const struct row *a = left, *b = right;
	return (a->layer->created_us < b->layer->created_us) -
	       (a->layer->created_us > b->layer->created_us);
}

static const char *name_of(const struct layer *layer)
{
	return layer->name ? layer->name : layer->id;
}

/* The nearest parent by its name, or the host's directory. */
static const char *find_below(const struct row *rows, size_t count, const struct layer *layer)
{
	for (size_t i = 0; layer->parents.count && i < count; i++)
		if (strcmp(rows[i].layer->id, layer->parents.items[0]) == 0)
			return name_of(rows[i].layer);
	if (layer->parents.count)
		return layer->parents.items[0];
	for (size_t i = 0; i < layer->roots_count; i++)
		if (layer->roots[i].base)
			return layer->roots[i].base;
	return "";
}

static int load_rows(struct row **ret, size_t *ret_count, struct error *error)
{
	cleanup_strv struct strv ids = {0};
	int r = layer_list(&ids, error);
	struct row *rows = r < 0 ? NULL : calloc(ids.count + 1, sizeof(*rows));
	if (!rows)
		return r < 0 ? r : error_set_errno(error, ENOMEM, "layer", "the list");
	*ret = rows;
	*ret_count = 0;
	for (size_t i = 0; i < ids.count; i++) {
		struct row *row = &rows[*ret_count];
		struct error ignored;
		if (layer_peek(ids.items[i], &row->layer, &ignored) < 0)
			continue;
		row->owner = find_owner(row->layer);
		layer_size(row->layer, &row->bytes, &ignored);
		/* One that a box is changing has no count yet. */
		if (!row->owner)
			layer_count(row->layer, &row->counts, &ignored);
		++*ret_count;
	}
	qsort(rows, *ret_count, sizeof(*rows), compare_ages);
	for (size_t i = 0; i < *ret_count; i++)
		rows[i].below = find_below(rows, *ret_count, rows[i].layer);
	return 0;
}

static uint64_t changes_of(const struct row *row)
{
	return row->counts.added + row->counts.modified + row->counts.deleted;
}

static void print_rows(const struct row *rows, size_t count)
{
	if (count)
		printf("%-20s %-8s %10s %8s %-10s %-10s %s\n", "LAYER", "AGE", "SIZE", "CHANGES",
			"PURPOSE", "IN USE BY", "ON");
	for (size_t i = 0; i < count; i++) {
		const struct row *row = &rows[i];
		char age[32], size[32], owner[32] = "", changes[32] = "-";
		verb_format_age(row->layer->created_us, age, sizeof(age));
		units_format_bytes(row->bytes, size, sizeof(size));
		if (row->owner)
			snprintf(owner, sizeof(owner), "%d", row->owner);
		else
			snprintf(changes, sizeof(changes), "%llu",
				(unsigned long long)changes_of(row));
		printf("%-20s %-8s %10s %8s %-10s %-10s ", name_of(row->layer), age, size, changes,
			row->layer->purpose, owner);
		verb_put(stdout, row->below);
		putchar('\n');
	}
}

static json_t *roots_json(const struct layer *layer)
{
	json_t *roots = json_array();
	for (size_t i = 0; i < layer->roots_count; i++)
		json_array_append_new(roots, json_pack("{s:s, s:s?}", "path", layer->roots[i].path,
						     "base", layer->roots[i].base));
	return roots;
}

static void print_rows_json(const struct row *rows, size_t count)
{
	json_t *list = json_array();
	for (size_t i = 0; i < count; i++) {
		const struct row *row = &rows[i];
		const struct layer *layer = row->layer;
		json_t *parents = json_array();
		for (size_t k = 0; k < layer->parents.count; k++)
			json_array_append_new(parents, json_string(layer->parents.items[k]));
		json_array_append_new(list,
			json_pack("{s:s, s:s?, s:s, s:s, s:b, s:I, s:I, s:I, s:I, s:I, s:I, s:I, "
				  "s:o, s:o}",
				"id", layer->id, "name", layer->name, "purpose", layer->purpose,
				"kind", layer->kind == LAYER_COPY ? "copy" : "overlay", "sealed",
				layer->sealed, "created_us", (json_int_t)layer->created_us,
				"started_us", (json_int_t)layer->started_us, "bytes",
				(json_int_t)row->bytes, "added", (json_int_t)row->counts.added,
				"modified", (json_int_t)row->counts.modified, "deleted",
				(json_int_t)row->counts.deleted, "in_use_by",
				(json_int_t)row->owner, "parents", parents, "roots",
				roots_json(layer)));
	}
	json_dumpf(list, stdout, JSON_INDENT(2));
	putchar('\n');
	json_decref(list);
}

static int list_layers(bool json)
{
	struct row *rows = NULL;
	size_t count = 0;
	struct error error;
	reach_allow();
	if (load_rows(&rows, &count, &error) < 0) {
		verb_complain(&error);
		return VERB_FAILED;
	}
	if (json)
		print_rows_json(rows, count);
	else
		print_rows(rows, count);
	for (size_t i = 0; i < count; i++)
		layer_close(rows[i].layer);
	free(rows);
	return fflush(stdout) == 0 ? 0 : VERB_FAILED;
}

static int collect(const struct strv *words)
{
	struct layer_garbage garbage;
	struct error error;
	char size[32];
	(void)words;
	if (layer_collect(NULL, &garbage, &error) < 0) {
		verb_complain(&error);
		return VERB_FAILED;
	}
	units_format_bytes(garbage.bytes, size, sizeof(size));
	printf("%llu layers removed, %s\n", (unsigned long long)garbage.layers, size);
	return 0;
}

static int export_layer(const struct strv *words)
{
	struct error error;
	cleanup_free char *digest = NULL;
	const char *file = words->count > 2 ? words->items[2] : NULL;
	if (!file && isatty(STDOUT_FILENO)) {
		verb_say("a tar is nothing for a terminal: name a FILE, or redirect");
		return VERB_FAILED;
	}
	cleanup_close int fd =
		file ? fd_open_result(file) : fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
	if (fd < 0) {
		verb_say("%s: %s", file ? file : "stdout", strerror(file ? -fd : errno));
		return VERB_FAILED;
	}
	reach_allow();
	if (layer_export(words->items[1], fd, &digest, &error) < 0) {
		verb_complain(&error);
		if (file)
			verb_say("%s is not complete", file);
		return VERB_FAILED;
	}
	fprintf(stderr, "%s\n", digest);
	return 0;
}

static int import(const struct strv *words, bool onto_any)
{
	struct error error;
	cleanup_free char *digest = NULL, *id = NULL;
	cleanup_free char *here = getcwd(NULL, 0);
	cleanup_strv struct strv loose = {0};
	const char *file = words->items[1], *name = words->count > 2 ? words->items[2] : NULL;
	cleanup_close int fd = strcmp(file, "-") == 0 ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3)
						      : open(file, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		verb_say("%s: %s", file, strerror(errno));
		return VERB_FAILED;
	}
	const char *onto = onto_any ? NULL : here ? here : "";
	if (layer_import(fd, name, onto, &loose, &digest, &id, &error) < 0) {
		verb_complain(&error);
		return VERB_FAILED;
	}
	puts(name ? name : id);
	fprintf(stderr, "%s\n", digest);
	for (size_t i = 0; i < loose.count; i++)
		verb_say("what lay on %s lies on nothing now (import it there, or --onto-any)",
			loose.items[i]);
	return 0;
}

static const struct {
	const char *name;
	size_t words_min, words_max; /* the name included */
	int (*run)(const struct strv *words);
} parts[] = {
	{"collect", 1, 1, collect},
	{"export", 2, 3, export_layer},
};

int cmd_layers(int argc, char *argv[])
{
	bool json = false, onto_any = false;
	const struct verb_flag flags[] = {{"json", &json, NULL}, {"onto-any", &onto_any, NULL}};
	cleanup_strv struct strv words = {0};
	int r = verb_options(argc, argv, flags, ARRAY_SIZE(flags), usage, &words, NULL);
	if (r != 0)
		return r < 0 ? VERB_FAILED : 0;
	if (words.count == 0 && !onto_any)
		return list_layers(json);
	if (words.count >= 2 && words.count <= 3 && strcmp(words.items[0], "import") == 0 && !json)
		return import(&words, onto_any);
	for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
		if (words.count > 0 && strcmp(parts[i].name, words.items[0]) == 0 && !json &&
			!onto_any && words.count >= parts[i].words_min &&
			words.count <= parts[i].words_max)
			return parts[i].run(&words);
	fputs(usage, stderr);
	return VERB_FAILED;
}
