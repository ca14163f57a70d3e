/* What a command touches, with every spelling by which the user may have named it. */
#include "gate/review_assessment.h"

#include "base/cleanup.h"
#include "base/path.h"

#include <ctype.h>
#include <string.h>

void object_list_release(struct object_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		strv_release(&list->items[i].spellings);
	list->count = 0;
}

static struct review_object *next_object(struct object_list *list)
{
	if (list->count == OBJECTS_MAX)
		return NULL;
	struct review_object *object = &list->items[list->count++];
	*object = (struct review_object){0};
	return object;
}

int object_list_add_name(const char *name, struct object_list *list)
{
	struct review_object *object = next_object(list);
	return object && *name ? strv_add(&object->spellings, name) : 0;
}

static int spell_below(
	struct review_object *object, const char *prefix, const char *path, const char *directory)
{
	size_t length = strlen(directory);
	if (length <= 1 || !path_is_below(path, directory) || strlen(path) <= length + 1)
		return 0;
	cleanup_free char *text = NULL;
	if (asprintf(&text, "%s%s", prefix, path + length + 1) < 0)
		return -ENOMEM;
	return strv_add(&object->spellings, text);
}

/* As written, absolute, from the home, relative; inside of the workspace its last component will
 * do. What is not known before it runs is an object that nothing names. */
int object_list_add_path(
	const struct gate_request *request, const char *path, struct object_list *list)
{
	struct review_object *object = next_object(list);
	unsigned place = review_place(request, path);
	if (!object || (place & PLACE_UNKNOWN))
		return 0;
	cleanup_free char *clean = strdup(path), *absolute = NULL;
	if (!clean)
		return -ENOMEM;
	size_t length = strlen(clean);
	if (length > 1 && clean[length - 1] == '/')
		clean[length - 1] = '\0';
	if (strncmp(clean, "~/", 2) == 0 && request->home)
		absolute = path_join(request->home, clean + 2);
	else
		absolute = path_absolute(request->directory, clean);
	int r = strv_add(&object->spellings, clean);
	if (r < 0 || !absolute)
		return r;
	r = strv_add(&object->spellings, absolute);
	if (r == 0 && request->home)
		r = spell_below(object, "~/", absolute, request->home);
	if (r == 0)
		r = spell_below(object, "", absolute, request->directory);
	bool own = (place & PLACE_WORKSPACE) && !(place & (PLACE_TOP | PLACE_ABOVE));
	return r == 0 && own ? strv_add(&object->spellings, path_name(absolute)) : r;
}

/* Words that say how and not what: a mode, a remote that is there by itself, the present commit. */
static bool is_no_object(const char *program, const char *word, size_t nth)
{
	if (word_in_list(program, "chmod chown chgrp setfacl setcap", ' '))
		return nth == 0;
	if (strcmp(program, "git") == 0)
		return nth == 0 || strcmp(word, "origin") == 0 || strcmp(word, ".") == 0 ||
		       strncmp(word, "HEAD", 4) == 0;
	return word_in_list(program,
		       "npm yarn pnpm cargo docker podman kubectl helm terraform gh "
		       "glab systemctl pip pip3 apt apt-get brew",
		       ' ') &&
	       nth == 0;
}

/* "+main:main" of git, "secret/name" of others: each piece that a person would say. */
static int add_word(const struct gate_request *request, const char *program, const char *word,
	struct object_list *list)
{
	if (strcmp(program, "git") != 0)
		return object_list_add_path(request, word, list);
	size_t before = list->count;
	int r = object_list_add_path(request, word, list);
	const char *plain = word + strspn(word, "+:");
	size_t length = strcspn(plain, ":");
	cleanup_free char *name = strndup(plain, length);
	if (r == 0 && !name)
		r = -ENOMEM;
	if (r == 0 && list->count > before && *name)
		r = strv_add(&list->items[before].spellings, name);
	return r;
}

int object_list_of_part(
	const struct gate_request *request, const struct gate_part *part, struct object_list *ret)
{
	const char *program = part_program(part), *word;
	bool network = review_network_use(part) != USE_NONE;
	size_t index = 1, nth = 0;
	int r = 0;
	while (r == 0 && (word = part_next_word(part, &index))) {
		char host[NETWORK_NAME_BYTES];
		bool known = part->word_known[index - 1];
		if (known && network && review_host_of(word, true, host))
			r = object_list_add_name(host, ret);
		else if (known && network && word[0] == '@')
			r = object_list_add_path(request, word + 1, ret);
		else if (!known) /* "~/a" and "$HOME/a" still name something */
			r = object_list_add_path(request, word, ret);
		else if (!network && !is_no_object(program, word, nth))
			r = add_word(request, program, word, ret);
		nth++;
	}
	return r;
}
