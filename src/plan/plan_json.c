#include "plan/plan.h"

#include "base/cleanup.h"

#include <jansson.h>
#include <string.h>

/* jansson refuses strings that are not UTF-8, and file names need not be: such bytes become "?". */
static json_t *text(const char *string)
{
	if (!string)
		return json_null();
	json_t *value = json_string(string);
	if (value)
		return value;
	char *copy = strdup(string);
	if (!copy)
		return NULL;
	for (char *s = copy; *s; s++)
		if ((unsigned char)*s >= 0x80)
			*s = '?';
	value = json_string(copy);
	free(copy);
	return value;
}

static json_t *texts(const struct strv *strv)
{
	json_t *array = json_array();
	for (size_t i = 0; i < strv->count; i++)
		json_array_append_new(array, text(strv->items[i]));
	return array;
}

static const char *mount_kind_name(enum mount_kind kind)
{
	static const char *const names[] = {
		[MOUNT_BIND] = "bind",
		[MOUNT_TMPFS] = "tmpfs",
		[MOUNT_HIDE_DIR] = "hide",
		[MOUNT_HIDE_FILE] = "hide",
		[MOUNT_DEV] = "dev",
		[MOUNT_PROC] = "proc",
		[MOUNT_OVERLAY] = "overlay",
		[MOUNT_LAYER_DIR] = "layer",
		[MOUNT_GIT_LAYER] = "git-layer",
		[MOUNT_DIRECTORY] = "directory",
		[MOUNT_SYMLINK] = "symlink",
		[MOUNT_FILE] = "file",
		[MOUNT_CERTIFICATES] = "certificates",
		[MOUNT_LAYER] = "layer-over",
		[MOUNT_SECRETS] = "secrets",
	};
	return names[kind];
}

static json_t *mounts_json(const struct plan *plan)
{
	json_t *array = json_array();
	for (size_t i = 0; i < plan->mounts_count; i++) {
		const struct plan_mount *mount = &plan->mounts[i];
		json_t *item = json_object();
		json_object_set_new(item, "kind", json_string(mount_kind_name(mount->kind)));
		json_object_set_new(item, "target", text(mount->target));
		if (mount->source && mount->kind != MOUNT_FILE)
			json_object_set_new(item, "source", text(mount->source));
		json_object_set_new(item, "writable", json_boolean(mount->writable));
		if (mount->pin)
			json_object_set_new(item, "pin", json_true());
		if (mount->size_bytes)
			json_object_set_new(
				item, "size_bytes", json_integer((json_int_t)mount->size_bytes));
		json_array_append_new(array, item);
	}
	return array;
}

static json_t *grants_json(const struct plan *plan)
{
	static const char *const rights[] = {[PLAN_RIGHTS_READ] = "read",
		[PLAN_RIGHTS_WRITE] = "write",
		[PLAN_RIGHTS_DEVICE] = "device",
		[PLAN_RIGHTS_LIST] = "list"};
	json_t *array = json_array();
	for (size_t i = 0; i < plan->grants_count; i++) {
		json_t *item = json_object();
		json_object_set_new(item, "path", text(plan->grants[i].path));
		json_object_set_new(item, "rights", json_string(rights[plan->grants[i].rights]));
		json_array_append_new(array, item);
	}
	return array;
}

static json_t *limits_json(const struct limits *limits)
{
	const struct {
		const char *name;
		uint64_t value;
	} fields[] = {
		{"memory_bytes", limits->memory_bytes},
		{"cpu_milli", limits->cpu_milli},
		{"pids", limits->pids},
		{"disk_bytes", limits->disk_bytes},
		{"inodes", limits->inodes},
		{"open_files", limits->open_files},
		{"output_bytes", limits->output_bytes},
		{"tmp_bytes", limits->tmp_bytes},
		{"time_ms", limits->time_ms},
		{"grace_ms", limits->grace_ms},
	};
	json_t *object = json_object();
	for (size_t i = 0; i < ARRAY_SIZE(fields); i++)
		json_object_set_new(object, fields[i].name,
			fields[i].value ? json_integer((json_int_t)fields[i].value) : json_null());
	return object;
}

static json_t *identity_json(const struct plan *plan)
{
	json_t *object = json_object();
	json_object_set_new(object, "uid_inside", json_integer(plan->uid_inside));
	json_object_set_new(object, "gid_inside", json_integer(plan->gid_inside));
	if (!plan->anonymous) {
		json_object_set_new(object, "owner_uid", json_integer(plan->owner_uid));
		json_object_set_new(object, "owner_gid", json_integer(plan->owner_gid));
	}
	json_object_set_new(object, "own_id_range", json_boolean(plan->id_range));
	return object;
}

static json_t *notes_json(const struct plan *plan)
{
	json_t *array = json_array();
	for (size_t i = 0; i < plan->notes_count; i++) {
		json_t *item = json_object();
		json_object_set_new(item, "what", text(plan->notes[i].what));
		json_object_set_new(item, "text", text(plan->notes[i].text));
		json_array_append_new(array, item);
	}
	return array;
}

static json_t *network_json(const struct plan *plan)
{
	const struct network_policy *network = &plan->network;
	if (plan->tier == TIER_NONE)
		return json_string("host");
	if (!network_is_open(network))
		return json_string("off");
	json_t *object = json_object(), *rules = json_array();
	json_object_set_new(object, "default",
		json_string(network->mode == NETWORK_ON ? "public addresses" : "refuse"));
	for (size_t i = 0; i < network->settings_count; i++) {
		const struct network_setting *setting = &network->settings[i];
		json_t *rule = json_object();
		json_object_set_new(rule, "key", text(setting->key));
		json_object_set_new(rule, "value", text(setting->value));
		json_object_set_new(rule, "source", text(setting->source));
		json_array_append_new(rules, rule);
	}
	json_object_set_new(object, "rules", rules);
	return object;
}

char *plan_to_json(const struct plan *plan)
{
	json_t *root = json_object();
	if (!root)
		return NULL;
	json_object_set_new(root, "version", json_integer(1));
	json_object_set_new(root, "tier", json_string(tier_name(plan->tier)));
	json_object_set_new(root, "mode", json_string(policy_mode_name(plan->mode)));
	json_object_set_new(root, "mode_reason", text(plan->mode_reason));
	json_object_set_new(root, "profile", json_string(plan->profile->name));
	json_object_set_new(root, "seccomp",
		json_string(plan->tier == TIER_NONE                    ? "none"
			    : plan->profile->seccomp == SECCOMP_STRICT ? "strict"
								       : "default"));
	json_object_set_new(root, "network", network_json(plan));
	json_object_set_new(root, "argv", texts(&plan->argv));
	json_object_set_new(root, "directory", text(plan->directory));
	json_object_set_new(root, "workspace", text(plan->workspace));
	json_object_set_new(root, "identity", identity_json(plan));
	json_object_set_new(root, "private_root", json_boolean(plan->private_root));
	json_object_set_new(root, "write_roots", texts(&plan->write_roots));
	json_object_set_new(root, "mounts", mounts_json(plan));
	json_object_set_new(root, "landlock", grants_json(plan));
	json_t *watches = json_array();
	for (size_t i = 0; i < plan->watches_count; i++)
		json_array_append_new(watches, text(plan->watches[i].path));
	json_object_set_new(root, "watched_for_protected_names", watches);
	json_t *layers = json_array();
	for (size_t i = 0; i < plan->git_layers_count; i++)
		json_array_append_new(layers, text(plan->git_layers[i].path));
	json_object_set_new(root, "git_layers", layers);
	json_object_set_new(root, "layer", text(plan->layer));
	json_object_set_new(root, "limits", limits_json(&plan->limits));
	json_object_set_new(root, "environment", texts(&plan->environment));
	json_object_set_new(root, "capture", json_boolean(plan->capture));
	json_object_set_new(root, "trace", json_boolean(plan->trace));
	json_object_set_new(root, "notes", notes_json(plan));
	char *json = json_dumps(root, JSON_INDENT(2));
	json_decref(root);
	return json;
}
