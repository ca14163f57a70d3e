#include "gate/config_checked.h"

#include "base/cleanup.h"
#include "gate/rules.h"

#include <string.h>

/* Every rule that fails is a problem; the first is the error. */
static int check_rules(const struct config *config, struct strv *problems, struct error *error)
{
	int result = 0;
	for (size_t i = 0; i < config->rules_count; i++) {
		struct error fault = {0};
		int r = rule_check_examples(&config->rules[i], &fault);
		if (r == 0)
			continue;
		if (problems && strv_add(problems, fault.message) < 0)
			r = -ENOMEM;
		if (result == 0 && error)
			*error = fault;
		if (result == 0)
			result = r;
	}
	return result;
}

int config_load_checked(const struct config_where *where,
	struct config_source sources[CONFIG_SOURCES], bool trust_project, struct config **ret,
	struct strv *problems, struct error *error)
{
	struct config *config;
	int r = config_load_sources(where, sources, trust_project, &config, problems, error);
	if (r < 0)
		return r;
	r = check_rules(config, problems, error);
	if (r < 0)
		config_free(config);
	else
		*ret = config;
	return r;
}
