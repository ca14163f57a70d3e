/* Feeds every file of the directory given to the fuzz target: the corpus as a regression test. */
#include "base/cleanup.h"
#include "base/fd.h"

#include <fcntl.h>
#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int main(int argc, char *argv[])
{
	size_t replayed = 0;
	for (int i = 1; i < argc; i++) {
		cleanup_closedir DIR *dir = opendir(argv[i]);
		if (!dir) {
			fprintf(stderr, "%s: %s\n", argv[i], strerror(errno));
			return 1;
		}
		for (struct dirent *entry; (entry = readdir(dir));) {
			if (entry->d_name[0] == '.')
				continue;
			cleanup_free char *data = NULL;
			size_t length = 0;
			int r = fd_read_file(dirfd(dir), entry->d_name, 16 << 20, &data, &length);
			if (r < 0) {
				fprintf(stderr, "%s: %s\n", entry->d_name, strerror(-r));
				return 1;
			}
			LLVMFuzzerTestOneInput((const uint8_t *)data, length);
			replayed++;
		}
	}
	printf("replayed %zu\n", replayed);
	return replayed == 0;
}
