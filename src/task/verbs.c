#include "task/verbs.h"

#include "base/cleanup.h"
#include "base/path.h"
#include "base/suggest.h"
#include "base/utf8.h"
#include "layer/apply.h"
#include "layer/layer_internal.h"

#include <stdarg.h>
#include <string.h>

void verb_begin(void)
{
	struct error error;
	int r = layer_recover(&error);
	if (r < 0)
		verb_complain(&error);
	else if (r > 0)
		verb_say("an apply that had been interrupted was finished or taken back");
}

void verb_put(FILE *to, const char *text)
{
	for (const unsigned char *s = (const unsigned char *)text; *s;) {
		size_t length = utf8_sequence(s);
		unsigned character = length ? utf8_character(s, length) : *s;
		if (length == 0 || (length == 1 && utf8_is_control(character)))
			fprintf(to, "\\x%02x", *s);
		else if (utf8_is_control(character))
			fprintf(to, "\\u%04x", character);
		else
			fwrite(s, 1, length, to);
		s += length ? length : 1;
	}
}

void verb_say(const char *format, ...)
{
	char text[2048];
	va_list args;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	fputs("coffer: ", stderr);
	verb_put(stderr, text);
	fputc('\n', stderr);
}

void verb_complain(const struct error *error)
{
	verb_say("%s", error->message);
	if (error->hint[0]) {
		fputs("  ", stderr);
		verb_put(stderr, error->hint);
		fputc('\n', stderr);
	}
}

/* ---- options ---- */

static const struct verb_flag *find_flag(
	const struct verb_flag *flags, size_t count, const char *name, size_t length)
{
	for (size_t i = 0; i < count; i++)
		if (strlen(flags[i].name) == length && strncmp(flags[i].name, name, length) == 0)
			return &flags[i];
	return NULL;
}

static int complain_unknown(
	const char *verb, const struct verb_flag *flags, size_t count, const char *word)
{
	verb_say("there is no option '%s'", word);
	const char *near = suggest_nearest(
		word + strspn(word, "-"), flags, count, sizeof(flags[0]));
	if (near)
		fprintf(stderr, "  did you mean %s%s?\n", strlen(near) > 1 ? "--" : "-", near);
	else
		fprintf(stderr, "  `coffer %s --help` lists them\n", verb);
	return -EINVAL;
}

/* *i moves on over a value that stands apart. */
static int take_flag(int argc, char *argv[], int *i, const struct verb_flag *flags, size_t count)
{
	const char *word = argv[*i], *name = word + (word[1] == '-' ? 2 : 1);
	size_t length = word[1] == '-' ? strcspn(name, "=") : 1;
	const struct verb_flag *flag = find_flag(flags, count, name, length);
	if (!flag || (strlen(flag->name) == 1) != (word[1] != '-'))
		return complain_unknown(argv[0], flags, count, word);
	const char *value = name[length] == '=' ? name + length + 1 : NULL;
	if (flag->ret_set && name[length]) {
		verb_say("'%s' takes no value", word);
		return -EINVAL;
	}
	if (flag->ret_set) {
		*flag->ret_set = true;
		return 0;
	}
	if (!value && word[1] != '-' && name[1])
		value = name + 1;
	if (!value && *i + 1 < argc)
		value = argv[++*i];
	if (!value) {
		verb_say("'%s' needs a value", word);
		return -EINVAL;
	}
	*flag->ret_value = value;
	return 0;
}

int verb_options(int argc, char *argv[], const struct verb_flag *flags, size_t flags_count,
	const char *usage, struct strv *ret_words, size_t *ret_dashes)
{
	bool dashes = false;
	size_t before = SIZE_MAX;
	for (int i = 1; i < argc; i++) {
		const char *word = argv[i];
		if (!dashes && strcmp(word, "--") == 0) {
			dashes = true;
			before = ret_words->count;
		} else if (!dashes && (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0)) {
			fputs(usage, stdout);
			return 1;
		} else if (!dashes && word[0] == '-' && word[1]) {
			int r = take_flag(argc, argv, &i, flags, flags_count);
			if (r < 0)
				return r;
		} else if (strv_add(ret_words, word) < 0) {
			verb_say("out of memory");
			return -EINVAL;
		}
	}
	if (ret_dashes)
		*ret_dashes = dashes ? before : ret_words->count;
	return 0;
}

/* ---- which layer ---- */

bool verb_is_layer(const char *word)
{
	cleanup_free char *path = NULL;
	cleanup_close int store = -1;
	char id[LAYER_ID_BYTES + 1];
	struct error ignored;
	return layer_open_store(&path, &store, &ignored) == 0 &&
	       layer_find_id(store, word, id, &ignored) == 0;
}

static bool lies_on(const struct layer *layer, const char *directory)
{
	for (size_t i = 0; i < layer->roots_count; i++)
		if (layer->roots[i].base && path_is_below(directory, layer->roots[i].base))
			return true;
	return false;
}

int verb_choose_layer(char ret_id[32], struct error *error)
{
	cleanup_strv struct strv ids = {0};
	cleanup_free char *directory = getcwd(NULL, 0);
	if (!directory)
		return error_set_errno(error, errno, "layer", "the working directory");
	uint64_t youngest = 0;
	int r = layer_list(&ids, error);
	for (size_t i = 0; r == 0 && i < ids.count; i++) {
		struct layer *layer = NULL;
		struct error ignored;
		if (layer_peek(ids.items[i], &layer, &ignored) < 0)
			continue;
		uint64_t us = layer->started_us ? layer->started_us : layer->created_us;
		if (!layer->sealed && us >= youngest && lies_on(layer, directory)) {
			youngest = us;
			snprintf(ret_id, 32, "%s", layer->id);
		}
		layer_close(layer);
	}
	if (r == 0 && youngest == 0) {
		error_set(error, ENOENT, "layer", "no layer lies on %.512s", directory);
		r = error_hint(error, "name one: `coffer layers` lists them");
	}
	return r;
}

void verb_format_age(uint64_t then_us, char *text, size_t text_bytes)
{
	static const struct {
		uint64_t s;
		const char *name;
	} units[] = {{86400, "d"}, {3600, "h"}, {60, "min"}, {1, "s"}};
	uint64_t now_us = layer_now_us(), age_s = now_us > then_us ? (now_us - then_us) / 1000000 : 0;
	size_t unit = 0;
	while (unit + 1 < ARRAY_SIZE(units) && age_s < units[unit].s * 2)
		unit++;
	snprintf(text, text_bytes, "%llu %s", (unsigned long long)(age_s / units[unit].s),
		units[unit].name);
}
