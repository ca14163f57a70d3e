#include "policy/profile.h"

#include "base/cleanup.h"

#include <string.h>

#define MIB (1024ULL * 1024)
#define GIB (1024 * MIB)

/* Registries, documentation and search: what a task without a person needs to find and install. */
static const char *const cloud_presets[] = {
	"npm",
	"pypi",
	"crates",
	"debian",
	"rubygems",
	"go",
	"maven",
	"docs",
	"search",
	NULL,
};

static const struct profile profiles[] = {
	{
		.name = "local",
		.summary =
			"beside a person: the workspace is writable in a repository, network off",
		.view = VIEW_HOST,
		/* One user namespace's worth: enough for any build, far below the host's table. */
		.limits = {.pids = 4096, .grace_ms = 2000},
		.landlock_tier_allowed = true,
	},
	{
		.name = "strict",
		.summary = "the locked execution box: nothing persists, no socket, small limits",
		.mode = MODE_WORKSPACE_WRITE,
		.view = VIEW_STRICT,
		.seccomp = SECCOMP_STRICT,
		.limits = {.memory_bytes = 512 * MIB,
			.cpu_milli = 1000,
			.pids = 10000,
			.disk_bytes = 100 * MIB,
			.inodes = 100000,
			.output_bytes = MIB,
			.time_ms = 30 * 1000},
		.must_enforce = true,
		.capture = true,
		.hide_secrets = true,
		.hide_credentials = true,
		.anonymous = true,
	},
	{
		.name = "cloud",
		.summary = "a task on a server: /workspace and /home/agent, generous limits, "
			   "registries and documentation",
		.mode = MODE_WORKSPACE_WRITE,
		.view = VIEW_CLOUD,
		.limits = {.memory_bytes = 16 * GIB,
			.cpu_milli = 4000,
			.pids = 32768,
			.disk_bytes = 50 * GIB,
			.tmp_bytes = GIB,
			.time_ms = 4 * 3600 * 1000ULL,
			.grace_ms = 10 * 1000},
		.must_enforce = true,
		.hide_credentials = true,
		.net_limit = "requests=100/m,rate=50M",
		.net_presets = cloud_presets,
	},
	{
		.name = "ci",
		.summary = "unattended: no credential file in scope at all, never asks",
		.view = VIEW_HOST,
		.limits = {.pids = 4096, .grace_ms = 5000},
		.landlock_tier_allowed = true,
		.hide_secrets = true,
		.hide_credentials = true,
	},
	{
		.name = "production",
		.summary =
			"near what is live: workspace secrets hidden, deletes and bulk changes ask",
		.view = VIEW_HOST,
		.limits = {.pids = 4096, .grace_ms = 5000},
		.landlock_tier_allowed = true,
		.hide_secrets = true,
	},
};

const struct profile *profile_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(profiles); i++)
		if (strcmp(profiles[i].name, name) == 0)
			return &profiles[i];
	return NULL;
}

const struct profile *profile_table(size_t *ret_count)
{
	*ret_count = ARRAY_SIZE(profiles);
	return profiles;
}
