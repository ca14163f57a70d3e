/* `coffer snapshot`, `coffer restore`, `coffer fork`. */
#include "task/command.h"

#include "base/cleanup.h"
#include "base/units.h"
#include "layer/copies.h"
#include "task/verbs.h"

static const char usage_snapshot[] =
	"usage: coffer snapshot NAME SNAPSHOT\n"
	"Keeps what the layer NAME holds now as SNAPSHOT. The layer goes on, on top of it: no file is\n"
	"copied. A layer in which a box runs is copied while the box is held still.\n";

static const char usage_restore[] =
	"usage: coffer restore NAME SNAPSHOT\n"
	"The layer NAME begins anew on top of SNAPSHOT; what it held is discarded.\n";

static const char usage_fork[] =
	"usage: coffer fork NAME NEW...\n"
	"       coffer fork NAME -n COUNT\n"
	"Makes layers, each on top of what NAME holds now: NEW..., or NAME-1 to NAME-COUNT. NAME goes on\n"
	"by itself.\n";

enum { FORKS_MAX = 1000 };

static int two_words(int argc, char *argv[], const char *usage, struct strv *ret)
{
	int r = verb_options(argc, argv, NULL, 0, usage, ret, NULL);
	if (r == 0 && ret->count != 2) {
		fputs(usage, stderr);
		r = -EINVAL;
	}
	return r;
}

int cmd_snapshot(int argc, char *argv[])
{
	cleanup_strv struct strv words = {0};
	struct error error;
	uint64_t copied_bytes = 0;
	int r = two_words(argc, argv, usage_snapshot, &words);
	if (r != 0)
		return r < 0 ? VERB_FAILED : 0;
	if (layer_snapshot(words.items[0], words.items[1], &copied_bytes, &error) < 0) {
		verb_complain(&error);
		return VERB_FAILED;
	}
	if (copied_bytes) {
		char size[32];
		units_format_bytes(copied_bytes, size, sizeof(size));
		verb_say("%s were copied: files are shared only where a layer is not in use",
			size);
	}
	return 0;
}

int cmd_restore(int argc, char *argv[])
{
	cleanup_strv struct strv words = {0};
	struct error error;
	int r = two_words(argc, argv, usage_restore, &words);
	if (r != 0)
		return r < 0 ? VERB_FAILED : 0;
	if (layer_restore(words.items[0], words.items[1], &error) < 0) {
		verb_complain(&error);
		return VERB_FAILED;
	}
	return 0;
}

static int number_names(const char *name, const char *count, struct strv *ret)
{
	uint64_t number;
	if (units_parse_count(count, &number) < 0 || number < 1 || number > FORKS_MAX) {
		verb_say("'%s' is no number from 1 to %d", count, FORKS_MAX);
		return -EINVAL;
	}
	for (uint64_t i = 1; i <= number; i++) {
		char *text = NULL;
		if (asprintf(&text, "%s-%llu", name, (unsigned long long)i) < 0 ||
			strv_add_owned(ret, text) < 0)
			return -ENOMEM;
	}
	return 0;
}

int cmd_fork(int argc, char *argv[])
{
	const char *count = NULL;
	const struct verb_flag flags[] = {{"n", NULL, &count}};
	cleanup_strv struct strv words = {0}, names = {0};
	struct error error;
	int r = verb_options(argc, argv, flags, ARRAY_SIZE(flags), usage_fork, &words, NULL);
	if (r != 0)
		return r < 0 ? VERB_FAILED : 0;
	if (words.count == 0 || (words.count == 1) != (count != NULL)) {
		fputs(usage_fork, stderr);
		return VERB_FAILED;
	}
	if (count)
		r = number_names(words.items[0], count, &names);
	for (size_t i = 1; r == 0 && i < words.count; i++)
		r = strv_add(&names, words.items[i]);
	if (r < 0)
		return VERB_FAILED;
	if (layer_fork(words.items[0], names.items, &error) < 0) {
		verb_complain(&error);
		return VERB_FAILED;
	}
	for (size_t i = 0; i < names.count; i++)
		puts(names.items[i]);
	return 0;
}
