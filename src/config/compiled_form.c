/* The compiled form: lists of strings, one behind the other (base/request.h). The first list holds
 * what is no list: magic, key, approval, and the places of bounds. */
#include "config/compiled_internal.h"

#include "base/cleanup.h"
#include "base/request.h"

#include <string.h>

enum header {
	HEADER_MAGIC,
	HEADER_KEY,
	HEADER_APPROVAL,
	HEADER_APPROVAL_PLACE,
	HEADER_MODES_PLACE,
	HEADER_ISOLATIONS_PLACE,
	HEADER_APPROVALS_PLACE,
	HEADER_NETWORK_PLACE,
	HEADER_FLAGS, /* "n": the network is bounded, "h": hooks */
	HEADER_FIELDS,
};

enum { LISTS = 12 };

/* In the order in which they are written. */
static void lists_of(struct compiled_config *config, struct strv *header, struct strv *ret[LISTS])
{
	struct strv *lists[LISTS] = {header, &config->settings, &config->places, &config->layers,
		&config->required, &config->required_places, &config->modes, &config->isolations,
		&config->approvals, &config->words, &config->network_bound, &config->notices};
	memcpy(ret, lists, sizeof(lists));
}

static char *or_empty(char *string)
{
	return string ? string : "";
}

void compiled_write(const struct compiled_config *config, const char *key, struct buffer *ret)
{
	cleanup_free char *approval =
		config->approval.set ? approval_text(&config->approval) : strdup("");
	if (!approval) { /* a form without it would say that nobody has set one */
		ret->error = -ENOMEM;
		return;
	}
	char flags[3] = "";
	strcat(flags, config->network_bounded ? "n" : "");
	strcat(flags, config->hooks ? "h" : "");
	char *const header_items[HEADER_FIELDS + 1] = {
		[HEADER_MAGIC] = COMPILED_MAGIC,
		[HEADER_KEY] = (char *)key,
		[HEADER_APPROVAL] = approval,
		[HEADER_APPROVAL_PLACE] = or_empty(config->approval_place),
		[HEADER_MODES_PLACE] = or_empty(config->modes_place),
		[HEADER_ISOLATIONS_PLACE] = or_empty(config->isolations_place),
		[HEADER_APPROVALS_PLACE] = or_empty(config->approvals_place),
		[HEADER_NETWORK_PLACE] = or_empty(config->network_place),
		[HEADER_FLAGS] = flags,
	};
	struct strv header = {.items = (char **)header_items, .count = HEADER_FIELDS};
	struct strv *lists[LISTS];
	lists_of((struct compiled_config *)config, &header, lists);
	for (size_t i = 0; i < LISTS; i++)
		request_add(ret, strv_items(lists[i]));
}

/* *ret is NULL for the empty string. */
static int take_place(struct strv *header, enum header field, char **ret)
{
	const char *string = header->items[field];
	*ret = *string ? strdup(string) : NULL;
	return *string && !*ret ? -ENOMEM : 0;
}

static int take_header(struct compiled_config *config, struct strv *header, const char *key)
{
	if (header->count != HEADER_FIELDS ||
		strcmp(header->items[HEADER_MAGIC], COMPILED_MAGIC) != 0 ||
		(key && strcmp(header->items[HEADER_KEY], key) != 0))
		return -EBADMSG;
	const char *approval = header->items[HEADER_APPROVAL];
	if (*approval && approval_parse(approval, &config->approval, NULL) < 0)
		return -EBADMSG;
	config->network_bounded = strchr(header->items[HEADER_FLAGS], 'n');
	config->hooks = strchr(header->items[HEADER_FLAGS], 'h');
	int r = take_place(header, HEADER_APPROVAL_PLACE, &config->approval_place);
	if (r == 0)
		r = take_place(header, HEADER_MODES_PLACE, &config->modes_place);
	if (r == 0)
		r = take_place(header, HEADER_ISOLATIONS_PLACE, &config->isolations_place);
	if (r == 0)
		r = take_place(header, HEADER_APPROVALS_PLACE, &config->approvals_place);
	if (r == 0)
		r = take_place(header, HEADER_NETWORK_PLACE, &config->network_place);
	return r;
}

/* What coffer-gate says instead, where it cannot compile: message and hint. */
static int take_fault(const struct strv *header, struct error *error)
{
	if (header->count != 3 || strcmp(header->items[0], COMPILED_FAULT) != 0)
		return -EBADMSG;
	error_set(error, EINVAL, "config", "%s", header->items[1]);
	return error_hint(error, "%s", header->items[2]);
}

int compiled_read(const char *data, size_t length_bytes, const char *key,
	struct compiled_config **ret, struct error *error)
{
	cleanup_strv struct strv header = {0};
	struct compiled_config *config = calloc(1, sizeof(*config));
	if (!config)
		return -ENOMEM;
	struct strv *lists[LISTS];
	lists_of(config, &header, lists);
	int r = request_parse(data, length_bytes, lists, LISTS);
	if (r == 0)
		r = take_header(config, &header, key);
	if (r == 0 && (config->settings.count != config->places.count ||
			      config->settings.count != config->layers.count ||
			      config->required.count != config->required_places.count))
		r = -EBADMSG;
	if (r < 0) {
		compiled_config_free(config);
		struct strv *only[] = {&header};
		strv_release(&header);
		header = (struct strv){0};
		if (r != -ENOMEM && request_parse(data, length_bytes, only, 1) == 0)
			return take_fault(&header, error);
		return r == -ENOMEM ? r : -EBADMSG;
	}
	*ret = config;
	return 0;
}

void compiled_config_free(struct compiled_config *config)
{
	if (!config)
		return;
	struct strv none = {0};
	struct strv *lists[LISTS];
	lists_of(config, &none, lists);
	for (size_t i = 0; i < LISTS; i++)
		strv_release(lists[i]);
	free(config->modes_place);
	free(config->isolations_place);
	free(config->approvals_place);
	free(config->approval_place);
	free(config->network_place);
	free(config);
}
