/* Not for people: the front starts this where its cache does not know the configuration files. The
 * compiled form, or what is wrong, goes into the memfd that is descriptor 3. */
#include "gate/command.h"

#include "base/cleanup.h"
#include "base/fd.h"
#include "config/compile.h"
#include "config/compiled_internal.h"
#include "gate/config_checked.h"
#include "gate/say.h"

#include <fcntl.h>

enum { OUTPUT_FD = 3, EXIT_FAILED = 125 };

static int compile(const struct config_where *where, struct buffer *form, struct error *error)
{
	struct config_source sources[CONFIG_SOURCES];
	int r = config_sources_read(where, sources, error);
	if (r < 0)
		return r;
	struct config *config = NULL;
	struct compiled_config *compiled = NULL;
	char key[CONFIG_KEY_BYTES];
	r = config_sources_key(where, sources, key, error);
	if (r == 0)
		r = config_load_checked(where, sources, false, &config, NULL, error);
	config_sources_release(sources);
	if (r < 0)
		return r;
	r = compile_config(config, &compiled);
	config_free(config);
	if (r == 0) {
		compiled_write(compiled, key, form);
		compiled_config_free(compiled);
		r = buffer_error(form);
	}
	if (r < 0)
		return error_set_errno(error, -r, "config", "the compiled configuration");
	/* A cache that cannot be written is only slow. */
	compile_store(where->home, key, form);
	return 0;
}

int cmd_compile(int argc, char *argv[])
{
	if (argc != 2 || fcntl(OUTPUT_FD, F_GETFD) < 0) {
		say_complaint("`coffer-gate compile` is how coffer compiles its configuration");
		return EXIT_FAILED;
	}
	cleanup_strv struct strv storage = {0};
	cleanup_buffer struct buffer form = BUFFER_INIT(MAX_COMPILED_BYTES);
	struct config_where where;
	struct error error = {0};
	int r = config_where(argv[1], &where, &storage, &error);
	if (r == 0)
		r = compile(&where, &form, &error);
	if (r < 0) {
		buffer_clear(&form);
		compile_fault(&error, &form);
	}
	r = buffer_error(&form);
	if (r == 0)
		r = fd_write_full(OUTPUT_FD, form.data, form.length_bytes);
	return r < 0 ? EXIT_FAILED : 0;
}
