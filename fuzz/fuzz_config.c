/* A project's configuration, on top of a user's. Whatever stands in it, what comes of it is no
 * wider than what the user has, and its compiled form is the same after it was read back. */
#include "base/buffer.h"
#include "base/cleanup.h"
#include "config/compile.h"
#include "config/compiled_internal.h"
#include "config/load.h"

#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char user[] = "mode = 'workspace-write'\n"
			   "approval = 'on-request'\n"
			   "[limits]\nmemory = '1G'\ntime = '1m'\n"
			   "[network]\nallow_domain = ['a.org']\n";

/* What a project may set at all; everything here takes something away. */
static const char *const narrowing[] = {"mode=read-only", "mode=workspace-write",
	"read-only=", "deny-read=", "git=off", "hide-secrets", "limit=", "net=off", "net=filtered",
	"deny-domain=", "deny-cidr=", "net-read", "net-request=!", "net-limit="};

static void must(bool holds)
{
	if (!holds)
		abort();
}

static void check_setting(const char *setting)
{
	bool known = false;
	for (size_t i = 0; i < ARRAY_SIZE(narrowing); i++)
		known |= strncmp(setting, narrowing[i], strlen(narrowing[i])) == 0;
	must(known);
}

static void check_compiled(const struct compiled_config *config)
{
	for (size_t i = 0; i < config->settings.count; i++)
		if (config->layers.items[i][0] == '0' + LAYER_PROJECT)
			check_setting(config->settings.items[i]);
	cleanup_buffer struct buffer form = BUFFER_INIT(MAX_COMPILED_BYTES);
	cleanup_buffer struct buffer again = BUFFER_INIT(MAX_COMPILED_BYTES);
	compiled_write(config, "key", &form);
	must(buffer_error(&form) == 0);
	struct compiled_config *read = NULL;
	struct error error = {0};
	must(compiled_read(form.data, form.length_bytes, "key", &read, &error) == 0);
	compiled_write(read, "key", &again);
	must(form.length_bytes == again.length_bytes &&
		memcmp(form.data, again.data, form.length_bytes) == 0);
	compiled_config_free(read);
}

static void check(const struct config *config)
{
	for (size_t i = 0; i < config->rules_count; i++)
		must(config->rules[i].decision != VERDICT_ALLOW &&
			config->rules[i].grants_count == 0 && config->rules[i].prefix_count > 0);
	for (size_t i = 0; i < config->hooks_count; i++)
		must(!config->hooks[i].managed && !config->hooks[i].trusted);
	must(config->approval.policy == APPROVAL_ON_REQUEST ||
		config->approval.policy == APPROVAL_UNTRUSTED ||
		config->approval.policy == APPROVAL_NEVER);
	must(config->reviewer.kind == REVIEWER_PERSON);
	struct compiled_config *compiled;
	must(compile_config(config, &compiled) == 0);
	check_compiled(compiled);
	compiled_config_free(compiled);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct config_where where = {.workspace = "/nowhere", .home = "/home/nobody"};
	struct config_source sources[CONFIG_SOURCES] = {
		{LAYER_REQUIREMENTS, "/r", NULL, 0},
		{LAYER_SYSTEM, "/s", NULL, 0},
		{LAYER_USER, "/u", (char *)user, sizeof(user) - 1},
		{LAYER_PROJECT, "/p", (char *)data, size},
	};
	cleanup_strv struct strv problems = {0};
	struct config *config = NULL;
	struct error error = {0};
	int r = config_load_sources(&where, sources, true, &config, &problems, &error);
	if (r < 0) {
		must(!config && problems.count > 0 && error.message[0]);
		return 0;
	}
	check(config);
	config_free(config);
	return 0;
}
