/* Theory of operation. Between the moment at which a hook's script is compared with what was
 * trusted and the moment at which an interpreter opens it, a box that may write the workspace can
 * put another in its place; a lease does not stop a rename, and a descriptor of a memfd cannot be
 * carried into a hook's box. So a script is read once; what was read is hashed, compared with the
 * trusted hash, and written to a directory of coffer's own state, which no box can write,
 * under the hash and the script's own name, with what lies beside it around it; that copy is what
 * runs.
 *
 * What the system owns (root's, below /usr and its like) no box can change: it runs where it is. */
#include "gate/hooks_internal.h"

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/limits.h"
#include "base/path.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

enum { NAME_BYTES = 96, KEY_BYTES = 24 };

char *hook_name(const struct config_hook *hook)
{
	cleanup_buffer struct buffer words = BUFFER_INIT(MAX_CONFIG_FILE_BYTES);
	buffer_append_string(&words, hook->command ? hook->command : "");
	for (size_t i = 0; !hook->command && i < hook->argv.count; i++)
		buffer_append_format(&words, "%s%s", i ? " " : "", hook->argv.items[i]);
	if (buffer_error(&words) < 0)
		return NULL;
	bool cut = words.length_bytes > NAME_BYTES;
	cleanup_free char *text = hook_text(words.data, cut ? NAME_BYTES : words.length_bytes);
	char *name = NULL;
	if (!text)
		return NULL;
	for (char *s = text; *s; s++)
		if (*s == '\n' || *s == '\t')
			*s = ' ';
	if (asprintf(&name, "`%s%s` (%s:%u)", text, cut ? "..." : "", hook->place.file,
		    hook->place.line) < 0)
		return NULL;
	return name;
}

/* Makes path and what is missing above it, the user's alone. */
static int make_private_directory(const char *path)
{
	cleanup_free char *copy = strdup(path);
	if (!copy)
		return -ENOMEM;
	for (char *slash = copy + 1; *slash; slash++) {
		if (*slash != '/')
			continue;
		*slash = '\0';
		if (mkdir(copy, 0700) < 0 && errno != EEXIST)
			return -errno;
		*slash = '/';
	}
	if (mkdir(copy, 0700) < 0 && errno != EEXIST)
		return -errno;
	struct stat st;
	if (lstat(copy, &st) < 0)
		return -errno;
	if (!S_ISDIR(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & (S_IWGRP | S_IWOTH)))
		return -EPERM;
	return 0;
}

static bool holds(const char *path, const char *content, size_t length_bytes)
{
	cleanup_free char *there = NULL;
	size_t there_bytes;
	return fd_read_file(AT_FDCWD, path, MAX_HOOK_FILE_BYTES, &there, &there_bytes) == 0 &&
	       there_bytes == length_bytes && memcmp(there, content, length_bytes) == 0;
}

/* Writes the file whole or not at all. */
static int write_copy(const char *path, const char *content, size_t length_bytes, bool executable)
{
	cleanup_free char *unfinished = NULL;
	if (asprintf(&unfinished, "%s.%d", path, (int)getpid()) < 0)
		return -ENOMEM;
	unlink(unfinished);
	cleanup_close int fd =
		open(unfinished, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	int r = fd_write_full(fd, content, length_bytes);
	if (r == 0 && fchmod(fd, executable ? 0500 : 0400) < 0)
		r = -errno;
	close_fd(&fd);
	if (r == 0 && rename(unfinished, path) < 0)
		r = -errno;
	if (r < 0)
		unlink(unfinished);
	return r;
}

/* One file at its place below directory; *ret is its name there. */
static int place_copy(const char *directory, const char *relative, const char *content,
	size_t length_bytes, bool executable, char **ret)
{
	cleanup_free char *path = path_join(directory, relative);
	cleanup_free char *parent = path ? path_parent(path) : NULL;
	int r = parent ? make_private_directory(parent) : -ENOMEM;
	if (r == 0 && !holds(path, content, length_bytes))
		r = write_copy(path, content, length_bytes, executable);
	if (r == 0 && ret)
		*ret = steal_pointer(&path);
	return r;
}

/* The name under which the file runs: its own where nobody can change it, else its copy's, whose
 * companions are around it. */
static int place_file(const char *copies, const struct hook_file *file, size_t number, char **ret)
{
	if (!file->content) {
		*ret = strdup(file->path);
		return *ret ? 0 : -ENOMEM;
	}
	if (!copies)
		return -ENOTDIR;
	cleanup_free char *directory = NULL;
	if (asprintf(&directory, "%s/%zu", copies, number) < 0)
		return -ENOMEM;
	int r = 0;
	for (size_t i = 0; r == 0 && i < file->companions_count; i++) {
		const struct hook_companion *companion = &file->companions[i];
		r = place_copy(directory, companion->relative, companion->content,
			companion->length_bytes, companion->executable, NULL);
	}
	return r < 0 ? r
		     : place_copy(directory, file->relative, file->content, file->length_bytes,
			       file->executable, ret);
}

/* 'word', for a shell. */
static void append_quoted(struct buffer *line, const char *word)
{
	buffer_append(line, "'", 1);
	for (; *word; word++)
		if (*word == '\'')
			buffer_append_string(line, "'\\''");
		else
			buffer_append(line, word, 1);
	buffer_append(line, "'", 1);
}

/* What is executed, the files' names replaced by those of names. */
static int make_argv(const struct config_hook *hook, const struct hook_files *files,
	const struct strv *names, struct strv *ret)
{
	int r = 0;
	if (!hook->command) {
		for (size_t i = 0; r == 0 && i < hook->argv.count; i++) {
			const char *word = hook->argv.items[i];
			for (size_t k = 0; k < files->count; k++)
				if (files->items[k].word == i)
					word = names->items[k];
			r = strv_add(ret, word);
		}
		return r;
	}
	cleanup_buffer struct buffer line = BUFFER_INIT(2 * MAX_CONFIG_FILE_BYTES);
	size_t at = 0;
	for (size_t k = 0; k < files->count; k++) {
		buffer_append(&line, hook->command + at, files->items[k].start - at);
		append_quoted(&line, names->items[k]);
		at = files->items[k].end;
	}
	buffer_append_string(&line, hook->command + at);
	r = buffer_error(&line);
	/* The lines that users have were written for bash. */
	const char *shell = access("/bin/bash", X_OK) == 0 ? "/bin/bash" : "/bin/sh";
	if (r == 0)
		r = strv_add(ret, shell);
	if (r == 0)
		r = strv_add(ret, "-c");
	return r == 0 ? strv_add(ret, line.data) : r;
}

/* A directory that the hook, and no other, may write: the same from one run to the next, and for
 * each event that the same words are run for. */
static int make_state(struct hooks *hooks, const struct config_hook *hook, char **ret)
{
	if (!hooks->state_dir)
		return 0;
	cleanup_buffer struct buffer words = BUFFER_INIT(2 * MAX_CONFIG_FILE_BYTES);
	buffer_append_string(&words, hook->place.file);
	buffer_append(&words, "", 1);
	buffer_append_string(&words, hook->command ? hook->command : "");
	for (size_t i = 0; i < hook->argv.count; i++)
		buffer_append(&words, hook->argv.items[i], strlen(hook->argv.items[i]) + 1);
	int r = buffer_error(&words);
	if (r < 0)
		return r;
	char key[SHA256_HEX_BYTES];
	sha256_hex(words.data, words.length_bytes, key);
	cleanup_free char *state = NULL;
	if (asprintf(&state, "%s/hooks/state/%.*s", hooks->state_dir, KEY_BYTES, key) < 0)
		return -ENOMEM;
	r = make_private_directory(state);
	if (r == 0)
		*ret = steal_pointer(&state);
	return r;
}

static int refuse(struct prepared_hook *prepared, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
static int refuse(struct prepared_hook *prepared, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	int n = vasprintf(&prepared->refusal, format, args);
	va_end(args);
	if (n < 0)
		prepared->refusal = NULL;
	return n < 0 ? -ENOMEM : 0;
}

/* Whether requirements.toml leaves nobody a mode without a box. */
static bool must_be_boxed(const struct config *config)
{
	const struct strv *modes = &config->requirements.modes;
	return modes->count > 0 && !strv_contains(modes, "danger-full-access");
}

int hook_prepare(struct hooks *hooks, const struct config_hook *hook, struct prepared_hook *ret)
{
	*ret = (struct prepared_hook){.hook = hook, .name = hook_name(hook)};
	if (!ret->name)
		return -ENOMEM;
	if (hook->unboxed && !hook->managed && must_be_boxed(hooks->config))
		return refuse(ret, "box = false, and requirements.toml lets nothing run without");
	struct hook_files files = {0};
	struct error error = {0};
	int r = hook_files_read(hook, hooks->workspace, hooks->home, &files, &error);
	if (r < 0)
		return r == -ENOMEM ? r : refuse(ret, "%s", error.message);
	ret->has_script = files.count > 0;
	char *missing = steal_pointer(&files.missing);
	if (missing) {
		r = refuse(ret, "%s is not there", missing);
		free(missing);
		hook_files_release(&files);
		return r;
	}
	char hash[SHA256_HEX_BYTES];
	cleanup_strv struct strv names = {0};
	r = hook_files_hash(hook, &files, hash);
	bool changed = r == 0 && !hook->managed && (!hook->hash || strcmp(hash, hook->hash) != 0);
	if (changed)
		r = refuse(ret, "it is no longer what was trusted; see `coffer hooks list`");
	if (r == 0 && hooks->state_dir &&
		asprintf(&ret->copies, "%s/hooks/copies/%s", hooks->state_dir, hash) < 0) {
		ret->copies = NULL;
		r = -ENOMEM;
	}
	for (size_t i = 0; r == 0 && !changed && i < files.count; i++) {
		char *name = NULL;
		r = place_file(ret->copies, &files.items[i], i, &name);
		if (r == 0)
			r = strv_add_owned(&names, name);
	}
	/* When it was last used, for hooks_prune(). */
	if (r == 0 && !changed && ret->copies)
		utimensat(AT_FDCWD, ret->copies, NULL, 0);
	if (r == 0 && !changed)
		r = make_argv(hook, &files, &names, &ret->argv);
	if (r == 0 && !changed)
		r = make_state(hooks, hook, &ret->state);
	hook_files_release(&files);
	if (r < 0 && r != -ENOMEM)
		r = refuse(ret, "its copy or directory below %s: %s",
			hooks->state_dir ? hooks->state_dir : "the state directory", strerror(-r));
	return r;
}

void prepared_hook_release(struct prepared_hook *prepared)
{
	free(prepared->name);
	free(prepared->copies);
	free(prepared->state);
	free(prepared->refusal);
	strv_release(&prepared->argv);
	*prepared = (struct prepared_hook){0};
}
