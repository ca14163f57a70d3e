/* Theory of operation. A hook's command is a shell line or a list of words; which files it runs is
 * found from its words, without running anything. A line is cut as a shell would cut it, as far as
 * quotes, the separators between commands, redirections and four well-known variables go; at the
 * first substitution the search ends, and what it would have found is not covered. Of each command,
 * a first word with a slash is a script or program of its own; after an interpreter or a wrapper,
 * arguments that name files are scripts up to the first that does not stand behind an option ("node
 * --require ./a.js main.js data.json": the first two). A file too many in the hash makes a hook
 * wait for trust once too often; one too few would let a box change what decides about it.
 *
 * Words are told apart by where they stand (argv's index, or the bytes of the line), since each is
 * replaced by a copy's name before the hook runs. */
#include "config/hook_hash.h"

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/limits.h"
#include "base/path.h"

#include <ctype.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

/* What runs a file that is named to it. A trailing * stands for any version: python3.11. */
static const char *const runs_a_file[] = {".", "bash", "bun", "command", "dash", "deno", "doas",
	"env", "exec", "ksh", "lua*", "nice", "node", "nodejs", "nohup", "npx", "perl*", "php*",
	"pwsh", "pypy*", "python*", "Rscript", "ruby*", "setsid", "sh", "source", "stdbuf", "sudo",
	"timeout", "time", "ts-node", "tsx", "uv", "zsh"};

/* After these the next word is a command's first. */
static const char *const before_a_command[] = {
	"!", "{", "if", "then", "elif", "else", "while", "until", "do", "time", "exec", "command"};

/* Where the system's own programs lie: what is root's there no box can change. */
static const char *const system_directories[] = {
	"/usr", "/bin", "/sbin", "/lib", "/lib64", "/etc", "/opt", "/nix/store", "/snap"};

enum { UNMAPPED_UID = 65534 }; /* /proc/sys/kernel/overflowuid, everywhere */

struct search {
	const struct config_hook *hook;
	const char *workspace, *home;
	struct hook_files *found;
	struct error *error;
	bool runs_files;      /* the command under way is one of runs_a_file */
	bool after_option;    /* the word before was one */
	bool command_checked; /* the first command of all was looked for */
};

struct word {
	size_t index, start, end;
	const char *text; /* NULL: not known */
	bool first;       /* of a command */
};

static bool named_in(const char *name, const char *const table[], size_t count)
{
	for (size_t i = 0; i < count; i++) {
		size_t length = strlen(table[i]);
		bool any_version = table[i][length - 1] == '*';
		if (any_version ? strncmp(name, table[i], length - 1) == 0
				: strcmp(name, table[i]) == 0)
			return true;
	}
	return false;
}

static bool below_system_directory(const char *path)
{
	for (size_t i = 0; i < ARRAY_SIZE(system_directories); i++)
		if (path_is_below(path, system_directories[i]))
			return true;
	return false;
}

/* Whether path, resolved, is a file of the system's: root's, who in a user namespace may be nobody
 * that it knows. */
static bool is_system_file(const char *path, char resolved[PATH_MAX])
{
	struct stat st;
	return realpath(path, resolved) && below_system_directory(resolved) &&
	       stat(resolved, &st) == 0 && (st.st_uid == 0 || st.st_uid == UNMAPPED_UID) &&
	       !(st.st_mode & (S_IWGRP | S_IWOTH));
}

static int too_big(const struct search *search, const char *path)
{
	error_set(search->error, EFBIG, "hooks", "%s:%u: %s is larger than %d MiB",
		search->hook->place.file, search->hook->place.line, path,
		MAX_HOOK_FILE_BYTES >> 20);
	return error_hint(search->error,
		"a hook's script is trusted by its content: start the "
		"large program from a small script outside of the workspace");
}

static void release_file(struct hook_file *file)
{
	hook_companions_release(file);
	free(file->path);
	free(file->relative);
	free(file->content);
}

/* Takes file, also when it fails. */
static int keep_file(struct search *search, struct hook_file *file)
{
	struct hook_files *found = search->found;
	if (found->count == MAX_HOOK_FILES) {
		release_file(file);
		return error_set(search->error, E2BIG, "hooks",
			"%s:%u: the hook names more than %d scripts", search->hook->place.file,
			search->hook->place.line, MAX_HOOK_FILES);
	}
	struct hook_file *items = reallocarray(found->items, found->count + 1, sizeof(*items));
	if (!items) {
		release_file(file);
		return error_set_errno(search->error, ENOMEM, "hooks", "a hook's script");
	}
	found->items = items;
	items[found->count++] = *file;
	return 0;
}

/* Takes the file at path, which is one, into what was found. */
static int take(struct search *search, const struct word *word, char *path, mode_t mode)
{
	cleanup_free char *own = path;
	struct hook_file file = {.word = word->index,
		.start = word->start,
		.end = word->end,
		.executable = mode & (S_IXUSR | S_IXGRP | S_IXOTH)};
	char resolved[PATH_MAX];
	if (is_system_file(path, resolved)) {
		/* A link from elsewhere can be changed: what it leads to is named instead. */
		if (below_system_directory(path))
			return 0;
		file.path = strdup(resolved);
	} else {
		int r = fd_read_file(
			AT_FDCWD, path, MAX_HOOK_FILE_BYTES, &file.content, &file.length_bytes);
		bool in_workspace = search->workspace && path_is_below(path, search->workspace);
		if (r == -EFBIG && !in_workspace)
			return 0;
		if (r == -EFBIG)
			return too_big(search, path);
		if (r < 0)
			return error_set_errno(search->error, -r, "hooks", "%s:%u: reading %s",
				search->hook->place.file, search->hook->place.line, path);
		file.path = steal_pointer(&own);
	}
	if (!file.path || (file.content && hook_companions_read(&file) < 0)) {
		release_file(&file);
		return error_set_errno(search->error, ENOMEM, "hooks", "a hook's script");
	}
	return keep_file(search, &file);
}

/* A word that may name a file: 1 where it does. */
static int look_at(struct search *search, const struct word *word, bool must_exist)
{
	if (!search->workspace && word->text[0] != '/')
		return 0;
	char *path = path_absolute(search->workspace, word->text);
	if (!path)
		return errno == ENOMEM
			       ? error_set_errno(search->error, ENOMEM, "hooks", "a hook's words")
			       : 0;
	struct stat st;
	int r = 0;
	if (stat(path, &st) == 0 && S_ISREG(st.st_mode)) {
		r = take(search, word, path, st.st_mode);
		return r < 0 ? r : 1;
	}
	/* A user's hook may be for one project, and the workspace another. */
	bool of_another = search->hook->place.layer != LAYER_PROJECT && search->workspace &&
			  path_is_below(path, search->workspace);
	if (must_exist && of_another) {
		search->found->missing = path;
		return 0;
	}
	if (must_exist) {
		r = error_set(search->error, ENOENT, "hooks", "%s:%u: the hook's program %s is %s",
			search->hook->place.file, search->hook->place.line, path,
			stat(path, &st) == 0 ? "no file" : "not there");
		error_hint(search->error, "mend the name or take the hook out");
	}
	free(path);
	return r;
}

static int next_word(struct search *search, const struct word *word)
{
	if (word->first) {
		bool must_exist = !search->command_checked;
		search->command_checked = true;
		search->runs_files = word->text && named_in(path_name(word->text), runs_a_file,
							   ARRAY_SIZE(runs_a_file));
		search->after_option = false;
		if (!word->text || !strchr(word->text, '/'))
			return 0;
		int r = look_at(search, word, must_exist);
		return r < 0 ? r : 0;
	}
	if (!search->runs_files)
		return 0;
	bool after_option = search->after_option;
	search->after_option = word->text && word->text[0] == '-';
	if (!word->text || search->after_option || !word->text[0])
		return 0;
	int r = look_at(search, word, false);
	if (r == 1 && !after_option)
		search->runs_files = false;
	return r < 0 ? r : 0;
}

/* ---- a shell line ---- */

struct line {
	const char *text;
	size_t at;
	const struct search *search;
};

static const char *known_variable(const struct search *search, const char *name, size_t length)
{
	const struct {
		const char *name, *value;
	} known[] = {{"CLAUDE_PROJECT_DIR", search->workspace},
		{"COFFER_PROJECT_DIR", search->workspace}, {"HOME", search->home}};
	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		if (strlen(known[i].name) == length && strncmp(known[i].name, name, length) == 0)
			return known[i].value;
	return NULL;
}

/* $NAME or ${NAME} at the line's place, which is moved behind it; *unknown where it is none of the
 * known ones. False: a substitution, of which nothing is known. */
static bool variable(struct line *line, struct buffer *text, bool *unknown)
{
	const char *s = line->text + line->at + 1;
	bool braces = *s == '{';
	size_t length = 0;
	s += braces;
	while (isalnum((unsigned char)s[length]) || s[length] == '_')
		length++;
	if (length == 0 || (braces && s[length] != '}'))
		return false;
	line->at = (size_t)(s + length + braces - line->text);
	const char *value = known_variable(line->search, s, length);
	*unknown = *unknown || !value;
	buffer_append_string(text, value ? value : "");
	return true;
}

/* The inside of quotes, whose opening is at the line's place. False: nothing is known of it. */
static bool quoted(struct line *line, struct buffer *text, bool *unknown)
{
	char quote = line->text[line->at++];
	while (line->text[line->at] && line->text[line->at] != quote) {
		char c = line->text[line->at];
		if (quote == '"' && c == '`')
			return false;
		if (quote == '"' && c == '$') {
			if (!variable(line, text, unknown))
				return false;
			continue;
		}
		if (quote == '"' && c == '\\' && line->text[line->at + 1])
			c = line->text[++line->at];
		buffer_append(text, &c, 1);
		line->at++;
	}
	return line->text[line->at] == quote && line->at++;
}

/* One word from the line's place on, which is no blank. False as above. */
static bool word_text(struct line *line, struct buffer *text, bool *unknown)
{
	const char *s = line->text;
	if (s[line->at] == '~' && line->search->home && (s[line->at + 1] == '/')) {
		buffer_append_string(text, line->search->home);
		line->at++;
	}
	while (s[line->at] && !strchr(" \t\n;&|()<>", s[line->at])) {
		char c = s[line->at];
		bool known = true;
		if (c == '`')
			return false;
		if (c == '$')
			known = variable(line, text, unknown);
		else if (c == '\'' || c == '"')
			known = quoted(line, text, unknown);
		else if (c == '\\' && s[line->at + 1]) {
			buffer_append(text, s + line->at + 1, 1);
			line->at += 2;
		} else {
			*unknown = *unknown || strchr("*?[", c);
			buffer_append(text, &c, 1);
			line->at++;
		}
		if (!known)
			return false;
	}
	return true;
}

static bool is_assignment(const char *text)
{
	size_t length = 0;
	while (isalnum((unsigned char)text[length]) || text[length] == '_')
		length++;
	return length > 0 && text[length] == '=';
}

static int search_line(struct search *search)
{
	struct line line = {.text = search->hook->command, .search = search};
	cleanup_buffer struct buffer text = BUFFER_INIT(MAX_SCRIPT_BYTES);
	bool first = true, target = false;
	int r = 0;
	while (r == 0 && line.text[line.at]) {
		char c = line.text[line.at];
		if (c == '#')
			line.at += strcspn(line.text + line.at, "\n");
		else if (c == '<' || c == '>') {
			target = true;
			line.at += strspn(line.text + line.at, "<>&|");
		} else if (strchr(" \t\n;&|()", c)) {
			first = first || !strchr(" \t", c);
			line.at++;
		} else {
			struct word word = {.start = line.at, .first = first};
			bool unknown = false;
			buffer_clear(&text);
			buffer_append(&text, "", 0);
			if (!word_text(&line, &text, &unknown))
				break;
			if (buffer_error(&text) < 0)
				return error_set_errno(
					search->error, ENOMEM, "hooks", "a hook's words");
			word.end = line.at;
			word.text = unknown ? NULL : text.data;
			bool passes =
				target || (first && (is_assignment(text.data) ||
							    named_in(text.data, before_a_command,
								    ARRAY_SIZE(before_a_command))));
			if (!passes) {
				first = false;
				r = next_word(search, &word);
			}
			target = false;
		}
	}
	return r;
}

int hook_files_read(const struct config_hook *hook, const char *workspace, const char *home,
	struct hook_files *ret, struct error *error)
{
	struct hook_files found = {0};
	struct search search = {.hook = hook,
		.workspace = workspace,
		.home = home,
		.found = &found,
		.error = error};
	int r = hook->command ? search_line(&search) : 0;
	for (size_t i = 0; r == 0 && !hook->command && i < hook->argv.count; i++) {
		struct word word = {.index = i, .text = hook->argv.items[i], .first = i == 0};
		r = next_word(&search, &word);
	}
	if (r < 0) {
		hook_files_release(&found);
		return r;
	}
	*ret = found;
	return 0;
}

void hook_files_release(struct hook_files *files)
{
	for (size_t i = 0; i < files->count; i++)
		release_file(&files->items[i]);
	free(files->missing);
	free(files->items);
	*files = (struct hook_files){0};
}
