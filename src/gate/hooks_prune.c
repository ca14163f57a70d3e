/* Copies of scripts that no hook has used for a month are taken away: each change of a script that
 * was trusted left one. */
#include "gate/hooks_internal.h"

#include "base/cleanup.h"
#include "base/path.h"

#include <fcntl.h>
#include <ftw.h>
#include <sys/stat.h>
#include <time.h>

enum { UNUSED_S = 30 * 24 * 3600, DIRECTORIES_AT_ONCE = 8 };

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *place)
{
	(void)st;
	(void)kind;
	(void)place;
	remove(path);
	return 0;
}

void hooks_prune(const char *state_dir)
{
	cleanup_free char *copies = path_join(state_dir, "hooks/copies");
	cleanup_closedir DIR *dir = copies ? opendir(copies) : NULL;
	if (!dir)
		return;
	time_t now = time(NULL);
	for (struct dirent *entry; (entry = readdir(dir));) {
		struct stat st;
		if (entry->d_name[0] == '.' ||
			fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
			now - st.st_mtime < UNUSED_S)
			continue;
		cleanup_free char *path = path_join(copies, entry->d_name);
		if (path)
			nftw(path, remove_one, DIRECTORIES_AT_ONCE, FTW_DEPTH | FTW_PHYS);
	}
}
