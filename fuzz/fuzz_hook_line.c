/* A hook's shell line, in a workspace with one script, `a`. A slash of the input has an underscore
 * before it, so that nothing of the host is looked at. Whatever the line is, the places of the
 * words that name the script are in it, in order and apart. */
#include "base/cleanup.h"
#include "config/hook_hash.h"

#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char workspace[] = "/tmp/coffer-fuzz-XXXXXX";

static void remove_workspace(void)
{
	char path[sizeof(workspace) + 2];
	snprintf(path, sizeof(path), "%s/a", workspace);
	unlink(path);
	rmdir(workspace);
}

static void make_workspace(void)
{
	static bool made;
	if (made)
		return;
	made = true;
	char path[sizeof(workspace) + 2];
	if (!mkdtemp(workspace))
		abort();
	snprintf(path, sizeof(path), "%s/a", workspace);
	FILE *file = fopen(path, "we");
	if (!file || fputs("echo a\n", file) < 0 || fclose(file) != 0)
		abort();
	atexit(remove_workspace);
}

static void must(bool holds)
{
	if (!holds)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	make_workspace();
	cleanup_free char *line = calloc(2, size + 1);
	must(line);
	size_t length = 0;
	for (size_t i = 0; i < size && data[i]; i++) {
		/* "./a" and "~/a" are let through: they are what there is to find. */
		bool here = i > 0 && (data[i - 1] == '.' || data[i - 1] == '~') &&
			    (i < 2 || data[i - 2] != '.');
		if (data[i] == '/' && !here)
			line[length++] = '_';
		line[length++] = (char)data[i];
	}
	struct config_hook hook = {.command = line, .place = {"coffer.toml", 1, 1, LAYER_PROJECT}};
	struct hook_files files = {0};
	struct error error = {0};
	int r = hook_files_read(&hook, workspace, workspace, &files, &error);
	must(r < 0 ? error.message[0] : true);
	size_t at = 0;
	for (size_t i = 0; r == 0 && i < files.count; i++) {
		const struct hook_file *file = &files.items[i];
		must(file->start >= at && file->end > file->start && file->end <= length);
		must(file->content && strcmp(file->content, "echo a\n") == 0);
		must(strcmp(file->relative, "a") == 0);
		at = file->end;
	}
	hook_files_release(&files);
	return 0;
}
