/* From the loaded configuration to its compiled form. */
#include "config/compile.h"

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/request.h"
#include "config/compiled_internal.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

static char *place_text(const struct config_place *place)
{
	char *text = NULL;
	return asprintf(&text, "%s:%u", place->file ? place->file : "", place->line) < 0 ? NULL
											 : text;
}

/* NULL where nobody said anything; -ENOMEM. */
static int copy_place(const struct config_place *place, char **ret)
{
	*ret = place->file ? place_text(place) : NULL;
	return place->file && !*ret ? -ENOMEM : 0;
}

static int add_setting(const struct config_setting *setting, struct strv *ret)
{
	char *text = NULL;
	if (asprintf(&text, "%s%s%s", setting->key, setting->value ? "=" : "",
		    setting->value ? setting->value : "") < 0)
		return -ENOMEM;
	return strv_add_owned(ret, text);
}

static int add_settings(const struct config_setting *settings, size_t count, struct strv *ret,
	struct strv *places, struct strv *layers)
{
	int r = 0;
	for (size_t i = 0; r == 0 && i < count; i++) {
		r = add_setting(&settings[i], ret);
		char *place = r == 0 && places ? place_text(&settings[i].place) : NULL;
		if (r == 0 && places)
			r = place ? strv_add_owned(places, place) : -ENOMEM;
		char layer[2] = {(char)('0' + settings[i].place.layer), '\0'};
		if (r == 0 && layers)
			r = strv_add(layers, layer);
	}
	return r;
}

static int compare_strings(const void *left, const void *right)
{
	return strcmp(*(char *const *)left, *(char *const *)right);
}

/* The programs that a rule may be about: by the name that a person types, and by that of the
 * file. */
static int add_words(const struct config *config, struct strv *ret)
{
	int r = 0;
	for (size_t i = 0; r == 0 && i < config->rules_count; i++) {
		const struct strv *any = &config->rules[i].prefix[0].any;
		for (size_t k = 0; r == 0 && k < any->count; k++) {
			const char *slash = strrchr(any->items[k], '/');
			r = strv_add(ret, any->items[k]);
			if (r == 0 && slash && slash[1])
				r = strv_add(ret, slash + 1);
		}
	}
	if (r < 0 || ret->count == 0)
		return r;
	qsort(ret->items, ret->count, sizeof(ret->items[0]), compare_strings);
	size_t kept = 1;
	for (size_t i = 1; i < ret->count; i++)
		if (strcmp(ret->items[i], ret->items[kept - 1]) == 0)
			free(ret->items[i]);
		else
			ret->items[kept++] = ret->items[i];
	ret->count = kept;
	ret->items[kept] = NULL;
	return 0;
}

static bool sees_commands(const struct config_hook *hook)
{
	return hook->event == HOOK_PRE_TOOL_USE || hook->event == HOOK_POST_TOOL_USE ||
	       hook->event == HOOK_PERMISSION_REQUEST;
}

static int fill_bounds(const struct requirements *from, struct compiled_config *to)
{
	int r = add_settings(
		from->settings, from->settings_count, &to->required, &to->required_places, NULL);
	if (r == 0)
		r = add_settings(from->network_settings, from->network_settings_count,
			&to->network_bound, NULL, NULL);
	if (r == 0)
		r = strv_copy(&to->modes, strv_items(&from->modes));
	if (r == 0)
		r = strv_copy(&to->isolations, strv_items(&from->isolations));
	if (r == 0)
		r = strv_copy(&to->approvals, strv_items(&from->approvals));
	if (r == 0)
		r = copy_place(&from->modes_at, &to->modes_place);
	if (r == 0)
		r = copy_place(&from->isolations_at, &to->isolations_place);
	if (r == 0)
		r = copy_place(&from->approvals_at, &to->approvals_place);
	if (r == 0)
		r = copy_place(&from->network_at, &to->network_place);
	to->network_bounded = from->network_bounded;
	return r;
}

int compile_config(const struct config *config, struct compiled_config **ret)
{
	struct compiled_config *compiled = calloc(1, sizeof(*compiled));
	if (!compiled)
		return -ENOMEM;
	int r = add_settings(config->settings, config->settings_count, &compiled->settings,
		&compiled->places, &compiled->layers);
	if (r == 0)
		r = fill_bounds(&config->requirements, compiled);
	compiled->approval = config->approval;
	if (r == 0 && config->approval.set)
		r = copy_place(&config->approval_place, &compiled->approval_place);
	if (r == 0)
		r = add_words(config, &compiled->words);
	for (size_t i = 0; i < config->hooks_count; i++)
		compiled->hooks = compiled->hooks || sees_commands(&config->hooks[i]);
	if (r == 0)
		r = strv_copy(&compiled->notices, strv_items(&config->notices));
	if (r < 0) {
		compiled_config_free(compiled);
		return r;
	}
	*ret = compiled;
	return 0;
}

/* Room for one more: the cache only ever holds what can be made again. */
static void make_room(int dir)
{
	cleanup_close int copy = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	cleanup_closedir DIR *stream = copy < 0 ? NULL : fdopendir(copy);
	if (!stream)
		return;
	copy = -1;
	size_t count = 0;
	for (struct dirent *entry; (entry = readdir(stream));)
		count += entry->d_name[0] != '.';
	if (count < MAX_COMPILED_FILES)
		return;
	rewinddir(stream);
	for (struct dirent *entry; (entry = readdir(stream));)
		if (entry->d_name[0] != '.')
			unlinkat(dir, entry->d_name, 0);
}

int compile_store(const char *home, const char *key, const struct buffer *form)
{
	cleanup_close int dir = compiled_cache_open(home, true);
	if (dir < 0)
		return dir;
	make_room(dir);
	char name[CONFIG_KEY_BYTES + 32];
	snprintf(name, sizeof(name), "%s.new-%d", key, (int)getpid());
	unlinkat(dir, name, 0);
	cleanup_close int fd =
		openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	int r = fd_write_full(fd, form->data, form->length_bytes);
	if (r == 0 && renameat(dir, name, dir, key) < 0)
		r = -errno;
	if (r < 0)
		unlinkat(dir, name, 0);
	return r;
}

void compile_fault(const struct error *error, struct buffer *ret)
{
	char *const words[] = {COMPILED_FAULT, (char *)error->message, (char *)error->hint, NULL};
	request_add(ret, words);
}
