#include "base/cleanup.h"
#include "base/fd.h"
#include "base/limits.h"
#include "gate/keyboard.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

static const char file_name[] = "command.sh"; /* editors colour by the name */

/* A directory of our own, for editors that save by renaming. */
static int make_directory(char *path, size_t path_bytes)
{
	static const char *const variables[] = {"XDG_RUNTIME_DIR", "TMPDIR"};
	for (size_t i = 0; i <= ARRAY_SIZE(variables); i++) {
		const char *base = i < ARRAY_SIZE(variables) ? getenv(variables[i]) : "/tmp";
		if (!base || base[0] != '/')
			continue;
		int n = snprintf(path, path_bytes, "%s/coffer-edit-XXXXXX", base);
		if (n > 0 && (size_t)n < path_bytes && mkdtemp(path))
			return 0;
	}
	return -errno;
}

/* With what the editor left beside the file. */
static void remove_directory(const char *path, int directory)
{
	cleanup_close int copy = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *entries = copy < 0 ? NULL : fdopendir(copy);
	if (entries) {
		steal_fd(&copy);
		for (struct dirent *entry; (entry = readdir(entries));)
			unlinkat(directory, entry->d_name, 0);
		closedir(entries);
	}
	rmdir(path);
}

static _Noreturn void exec_editor(const char *editor, const char *file, const sigset_t *mask)
{
	/* The terminal for all three: ours may lead to an agent's host. */
	int fd = open("/dev/tty", O_RDWR | O_CLOEXEC);
	char script[MAX_PATH_BYTES];
	int n = snprintf(script, sizeof(script), "%s \"$1\"", editor);
	if (fd < 0 || n < 0 || (size_t)n >= sizeof(script) || dup2(fd, 0) < 0 || dup2(fd, 1) < 0 ||
		dup2(fd, 2) < 0)
		_exit(127);
	sigprocmask(SIG_SETMASK, mask, NULL);
	execl("/bin/sh", "sh", "-c", script, editor, file, (char *)NULL);
	_exit(127);
}

/* ^C and ^\ in the editor are the editor's. */
static int run_editor(const char *editor, const char *file)
{
	struct sigaction ignore = {.sa_handler = SIG_IGN}, interrupt, quit;
	sigset_t mask;
	sigprocmask(SIG_SETMASK, NULL, &mask);
	pid_t pid = fork();
	if (pid < 0)
		return -errno;
	if (pid == 0)
		exec_editor(editor, file, &mask);
	sigaction(SIGINT, &ignore, &interrupt);
	sigaction(SIGQUIT, &ignore, &quit);
	int status = 0;
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		continue;
	sigaction(SIGINT, &interrupt, NULL);
	sigaction(SIGQUIT, &quit, NULL);
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -ECANCELED;
}

static int write_file(int directory, const char *text)
{
	cleanup_close int fd = openat(
		directory, file_name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	int r = fd < 0 ? -errno : fd_write_full(fd, text, strlen(text));
	return r < 0 ? r : fd_write_full(fd, "\n", 1);
}

/* What the editor left, without the newlines at its end. */
static int read_back(int directory, char **ret)
{
	size_t length = 0;
	cleanup_free char *text = NULL;
	int r = fd_read_file(directory, file_name, MAX_ARGV_BYTES, &text, &length);
	if (r < 0)
		return r;
	while (length && strchr("\n\r\t ", text[length - 1]))
		text[--length] = '\0';
	if (length == 0 || strlen(text) != length)
		return -ECANCELED;
	*ret = steal_pointer(&text);
	return 0;
}

int keyboard_external_edit(
	struct keyboard *keyboard, const char *initial, char **ret, struct error *error)
{
	const char *editor = getenv("VISUAL");
	if (!editor || !*editor)
		editor = getenv("EDITOR");
	if (!editor || !*editor)
		return -ENOENT;
	char path[MAX_PATH_BYTES], file[MAX_PATH_BYTES + sizeof(file_name) + 1];
	int r = make_directory(path, sizeof(path));
	if (r < 0)
		return error_set_errno(
			error, -r, "edit", "cannot make a temporary directory for the editor");
	cleanup_close int directory = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	snprintf(file, sizeof(file), "%s/%s", path, file_name);
	r = directory < 0 ? -errno : write_file(directory, initial);
	if (r == 0) {
		keyboard_lend(keyboard);
		r = run_editor(editor, file);
		if (r == 0)
			r = read_back(directory, ret);
		int again = keyboard_take(keyboard, error);
		if (again < 0) {
			if (r == 0)
				free(steal_pointer(ret));
			r = again;
		}
	}
	remove_directory(path, directory);
	if (r == -ECANCELED)
		return error_set(error, ECANCELED, "edit", "the editor left no command");
	return r < 0 ? error_set_errno(error, -r, "edit", "the command could not be edited") : 0;
}
