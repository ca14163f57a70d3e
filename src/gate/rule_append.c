#include "base/cleanup.h"
#include "config/config.h"
#include "gate/rule_write.h"
#include "gate/settle.h"

/* As the user's layer, alone: what other layers say is their own business, and was checked. */
static int load(const char *directory, struct error *error)
{
	struct config_where where = {.user_dir = directory, .home = getenv("HOME")};
	struct config *config = NULL;
	int r = config_load(&where, &config, NULL, error);
	config_free(config);
	return r;
}

int rule_append(const char *file, const char *text, struct error *error)
{
	return rule_append_checked(file, text, load, error);
}
