/* What the files of the loader share. */
#ifndef COFFER_CONFIG_CONFIG_INTERNAL_H
#define COFFER_CONFIG_CONFIG_INTERNAL_H

#include "config/config.h"
#include "config/sources.h"
#include "config/toml.h"

/* What places point into. */
struct config_text {
	struct config_text *next;
	char *path;
};

/* One policy key of one file. */
struct layer_setting {
	struct config_setting setting;
	bool off; /* KEY = false: takes away what an earlier layer says */
};

/* What one file says, each value checked by itself. */
struct layer {
	enum config_layer layer;
	const char *file;      /* of the struct config's texts */
	struct policy *policy; /* of the settings alone; what later layers are compared with */
	struct layer_setting *settings;
	size_t settings_count;
};

/* One load. Faults are gathered: the first is the error, all are problems. */
struct loading {
	const struct config_where *where;
	struct config *config; /* being made */
	struct strv *problems; /* or NULL */
	struct error *error;   /* never NULL */
	int result;            /* 0 until something is wrong */
};

/* Records a fault at place (whose file may be NULL: the message stands alone); hint may be NULL. */
void loading_fault(struct loading *loading, const struct config_place *place, const char *hint,
	const char *format, ...) __attribute__((format(printf, 4, 5)));
/* The same with an error that somebody else has told. */
void loading_error(struct loading *loading, const struct config_place *place, struct error *error);
void loading_out_of_memory(struct loading *loading);
void loading_notice(struct loading *loading, const struct config_place *place, const char *format,
	...) __attribute__((format(printf, 3, 4)));

struct config_place layer_place(const struct layer *layer, const struct toml_value *value);

/* schema.c: reads a whole document by the table of keys. */
void schema_read(struct loading *loading, struct layer *layer, const struct toml_value *document);

/* How a project's setting narrows what the user has. */
enum narrowing {
	NARROW_NEVER,  /* a project cannot set it */
	NARROW_ADDS,   /* any entry takes away */
	NARROW_MODE,   /* read-only < workspace-write < danger-full-access */
	NARROW_NET,    /* off < filtered < on */
	NARROW_OFF,    /* only "off" */
	NARROW_ON,     /* only true */
	NARROW_LIMIT,  /* only lower */
	NARROW_DENIES, /* only entries that begin with "!" */
	NARROW_OWN,    /* the key's reader sees to it */
};

struct schema_form;

/* One row of the table of everything that a file may say. */
struct schema_key {
	const char *table; /* "": the top; "network", "limits", "reviewer", ... */
	const char *key;   /* as in the file */
	/* Of policy_set(); NULL: none. With "limit", key is the limit's name. */
	const char *policy_key;
	const struct schema_form *form;
	unsigned layers; /* 1 << enum config_layer, of those that may say it */
	enum narrowing narrowing;
	bool repeats; /* entries of all layers add up */
	const char *help;
};
const struct schema_key *schema_keys(size_t *ret_count);
/* The row of a policy key ("limit": any of them), or NULL. */
const struct schema_key *schema_of_policy_key(const char *policy_key);
/* How a value is written. */
struct schema_form {
	const char *name; /* for the docs: "string", "array of paths", ... */
	/* NULL: the reader of the table that it is in sees to it. */
	void (*read)(struct loading *loading, struct layer *layer, const struct schema_key *key,
		const struct toml_value *value);
};
/* Records every key of a table (a rule, a hook, ...) that has no row. */
void schema_check_table(struct loading *loading, const struct layer *layer,
	const struct toml_value *table, const char *name);

/* values.c: a value of a given kind, or NULL with the fault recorded. */
const char *value_string(
	struct loading *loading, const struct layer *layer, const struct toml_value *value);
bool value_boolean(struct loading *loading, const struct layer *layer,
	const struct toml_value *value, bool *ret);
bool value_strings(struct loading *loading, const struct layer *layer,
	const struct toml_value *value, struct strv *ret);
bool value_duration(struct loading *loading, const struct layer *layer,
	const struct toml_value *value, uint64_t *ret_ms);
/* A path as a file may write it: absolute, ~/..., or in a project's file relative to the
 * workspace. Allocated. */
char *value_path(
	struct loading *loading, const struct layer *layer, const struct toml_value *value);
/* One of names by its index, or -1 with the fault recorded. */
int value_word(struct loading *loading, const struct layer *layer, const struct toml_value *value,
	const char *const names[], size_t count);

/* rule_read.c, hook_read.c, own_read.c: the keys that are not the policy's. */
void read_rules(struct loading *loading, struct layer *layer, const struct schema_key *key,
	const struct toml_value *value);
void read_hooks(struct loading *loading, struct layer *layer, const struct schema_key *key,
	const struct toml_value *value);
void read_approval(struct loading *loading, struct layer *layer, const struct schema_key *key,
	const struct toml_value *value);
void read_reviewer(struct loading *loading, struct layer *layer, const struct schema_key *key,
	const struct toml_value *value);
void read_requirement_words(struct loading *loading, struct layer *layer,
	const struct schema_key *key, const struct toml_value *value);
void read_requirement_flag(struct loading *loading, struct layer *layer,
	const struct schema_key *key, const struct toml_value *value);
void config_rule_release(struct config_rule *rule);
void config_hook_release(struct config_hook *hook);

/* merge.c: the layers' settings in order, what later layers outrank taken away; a project's as far
 * as they narrow; then everything together is checked for contradictions. Takes the settings. */
void merge_layers(struct loading *loading, struct layer layers[], size_t count);
/* narrow.c: whether a project's setting narrows base and is to be kept. */
bool narrows(struct loading *loading, const struct policy *base,
	const struct config_setting *setting, enum narrowing narrowing);
/* Whether a project's approval policy asks no less than what is in force. */
bool narrows_approval(const struct approval *base, const struct approval *project);
/* require.c: keeps what requirements.toml says, and checks the layers against it. */
void require_take(struct loading *loading, struct layer *layer);
void require_check(struct loading *loading);

void config_setting_release(struct config_setting *setting);

#endif
