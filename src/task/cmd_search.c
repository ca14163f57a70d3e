/* `coffer-task search`: runs in a box, reads what strangers wrote. See secret_search.h. */
#include "base/cleanup.h"
#include "task/command.h"
#include "task/secret_pipe.h"
#include "task/secret_walk.h"

#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>

int cmd_search(int argc, char *argv[])
{
	static const struct rlimit none = {0, 0};
	struct secret_values values;
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	setrlimit(RLIMIT_CORE, &none);
	if (argc < 2) {
		fprintf(stderr, "coffer-task search: which directories?\n");
		return 2;
	}
	int r = secret_values_receive(STDIN_FILENO, &values);
	if (r == 0) {
		r = secret_walk(argv + 1, (size_t)argc - 1, &values, stdout);
		secret_values_release(&values);
	}
	if (r == 0)
		return 0;
	fprintf(stderr, "coffer-task search: %s\n", strerrordesc_np(-r));
	return 1;
}
