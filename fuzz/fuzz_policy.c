/* Lines of "key value" or "key": what an API client or a config file could ask for. */
#include "base/cleanup.h"
#include "base/limits.h"
#include "policy/policy.h"

#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	cleanup_free char *text = strndup((const char *)data, size);
	struct policy *policy;
	if (!text || policy_new(&policy) < 0)
		return 0;
	char *rest = text;
	for (char *line; (line = strsep(&rest, "\n"));) {
		char *value = strchr(line, ' ');
		if (value)
			*value++ = '\0';
		struct policy before = *policy;
		struct error error = {0};
		int r = policy_set(policy, line, value, &error);
		/* A refusal says why, and leaves what was set. */
		if (r < 0 && (!error.message[0] || error.errno_value != -r))
			abort();
		if (r < 0 && (policy->paths_count != before.paths_count ||
				     policy->limits_asked != before.limits_asked ||
				     memcmp(&policy->limits, &before.limits,
					     sizeof(before.limits)) != 0))
			abort();
		if (policy->paths_count > MAX_POLICY_PATHS || !policy->profile)
			abort();
	}
	struct error error = {0};
	if (policy_validate(policy, &error) < 0 && !error.message[0])
		abort();
	policy_free(policy);
	return 0;
}
