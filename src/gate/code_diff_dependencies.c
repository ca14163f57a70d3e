/* Theory of operation: a manifest's lines are read one by one, with the section that they stand in
 * as far as the diff shows it. Names that were there before (in lines that are removed or stay) are
 * no new dependencies: a new version is not one. What is left is named; each name is compared with
 * those of popular packages. Of lock files only the hosts of addresses are compared. */
#include "gate/code_diff.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

enum { MAX_NAMES = 4096, MAX_DEPENDENCY_BYTES = 214 /* npm's own bound, the longest of all */ };

/* ---- what a line names ---- */

struct entry {
	char name[MAX_DEPENDENCY_BYTES + 1];
	bool named;
	bool elsewhere; /* from an address or a repository */
	bool script;    /* runs when it is installed or built */
};

static size_t take_name(const char *text, const char *also, char ret[MAX_DEPENDENCY_BYTES + 1])
{
	size_t length = 0;
	while (length < MAX_DEPENDENCY_BYTES &&
		(isalnum((unsigned char)text[length]) || (text[length] & 0x80) ||
			(text[length] && strchr(also, text[length]))))
		length++;
	memcpy(ret, text, length);
	ret[length] = '\0';
	return length;
}

static bool names_a_place(const char *text)
{
	return strstr(text, "://") || strstr(text, "git+") || strstr(text, "git@") ||
	       strstr(text, "github:") || strstr(text, "gitlab:") || strstr(text, "bitbucket:") ||
	       strstr(text, "file:");
}

static bool section_is_of_dependencies(const struct diff_file *file)
{
	return strcasestr(file->section, "dependencies") || strcasestr(file->section, "packages") ||
	       strcasestr(file->section, "requires");
}

static void read_section(struct diff_file *file, const char *text)
{
	snprintf(
		file->section, sizeof(file->section), "%.*s", (int)sizeof(file->section) - 1, text);
}

/* "name": "^1.2.3" */
static void read_npm(struct diff_file *file, const char *text, struct entry *entry)
{
	static const char *const scripts[] = {"preinstall", "install", "postinstall", "prepare",
		"preprepare", "postprepare", "prepublish", "prepack", "dependencies"};
	if (*text == '}') {
		file->section[0] = '\0';
		return;
	}
	if (*text != '"')
		return;
	size_t length = take_name(text + 1, "@/-_.~", entry->name);
	const char *rest = text + 1 + length;
	if (*rest != '"')
		return;
	rest += 1 + strspn(rest + 1, " :");
	if (*rest == '{') {
		read_section(file, entry->name);
		return;
	}
	if (*rest != '"')
		return;
	bool in_scripts = !file->section[0] || strcmp(file->section, "scripts") == 0;
	for (size_t i = 0; i < ARRAY_SIZE(scripts) && in_scripts; i++)
		entry->script |= strcmp(entry->name, scripts[i]) == 0;
	bool range = strchr("^~<>=*", rest[1]) || isdigit((unsigned char)rest[1]) ||
		     strncmp(rest + 1, "latest", 6) == 0 || strncmp(rest + 1, "npm:", 4) == 0 ||
		     names_a_place(rest);
	static const char *const own[] = {"version", "node", "npm", "yarn", "pnpm", "url",
		"homepage", "license", "name", "packageManager", "email", "bugs", "$schema"};
	for (size_t i = 0; i < ARRAY_SIZE(own); i++)
		range &= strcmp(entry->name, own[i]) != 0;
	bool known = section_is_of_dependencies(file);
	entry->named = !entry->script && (known || (!file->section[0] && range));
	entry->elsewhere = entry->named && names_a_place(rest);
}

/* name[extra]>=1; -e git+https://...; --index-url ... */
static void read_pip(const char *text, struct entry *entry)
{
	entry->elsewhere = strstr(text, "://") || strncmp(text, "-e", 2) == 0 ||
			   strncmp(text, "--index-url", 11) == 0 ||
			   strncmp(text, "--extra-index-url", 17) == 0 ||
			   strncmp(text, "-i ", 3) == 0;
	entry->named = *text != '-' && *text != '#' && take_name(text, "-_.", entry->name) > 0 &&
		       !strstr(entry->name, "://") && strncmp(text, "git+", 4) != 0 &&
		       strncmp(text, "http", 4) != 0;
}

/* name = "1", name = { git = ... }, or, within a list, "name>=1". */
static void read_toml(struct diff_file *file, const char *text, struct entry *entry)
{
	bool cargo = file->manifest == MANIFEST_CARGO;
	if (*text == '[' && (isalpha((unsigned char)text[1]) || text[1] == '[')) {
		read_section(file, text);
		/* [dependencies.name] */
		const char *at = cargo ? strstr(text, "dependencies.") : NULL;
		if (at)
			entry->named =
				take_name(at + strlen("dependencies."), "-_", entry->name) > 0;
		return;
	}
	if (cargo && strncmp(text, "build", 5) == 0 && text[5 + strspn(text + 5, " ")] == '=' &&
		strcasestr(file->section, "[package]"))
		entry->script = true;
	if (strstr(text, "cmdclass") || strstr(text, "backend-path"))
		entry->script = true;
	bool list = strncmp(text, "dependencies", 12) == 0 || strncmp(text, "requires", 8) == 0;
	if (list && strchr(text, '['))
		read_section(file, "dependencies list");
	const char *quoted = strpbrk(text, "\"'");
	if (!cargo && quoted && (list || *text == '"' || *text == '\'')) {
		/* PEP 508 in a list; only where the section is not known to be another. */
		size_t length = take_name(quoted + 1, "-_.", entry->name);
		char next = quoted[1 + length];
		entry->named = length > 0 && next && strchr("\"'<>=~! [;", next) &&
			       (section_is_of_dependencies(file) || strchr("<>=~!", next)) &&
			       !strchr(quoted + 1, ':');
		entry->elsewhere = entry->named && strstr(quoted, "://");
		return;
	}
	size_t length = take_name(text, "-_.", entry->name);
	const char *value = text + length + strspn(text + length, " \"");
	if (length == 0 || *value != '=')
		return;
	bool known = section_is_of_dependencies(file);
	entry->named = known && strcmp(entry->name, "python") != 0 &&
		       !strstr(file->section, "dependencies list") &&
		       !(cargo && strstr(file->section, "dependencies."));
	entry->elsewhere = known && (strstr(value, "git =") || strstr(value, "git=") ||
					    strstr(value, "://") || strncmp(text, "git", 3) == 0);
}

/* require example.org/module v1, or such a line within a block. */
static void read_go(struct diff_file *file, const char *text, struct entry *entry)
{
	if (strncmp(text, "replace ", 8) == 0) {
		entry->elsewhere = true;
		return;
	}
	if (strncmp(text, "require ", 8) == 0)
		text += 8;
	size_t length = take_name(text, "-_./~", entry->name);
	entry->named = length > 0 && strchr(entry->name, '.') && strchr(entry->name, '/') &&
		       strncmp(text + length, " v", 2) == 0;
	(void)file;
}

static void read_gem(const char *text, struct entry *entry)
{
	if (strncmp(text, "gem ", 4) != 0 && strncmp(text, "gem(", 4) != 0)
		return;
	text += 4 + strspn(text + 4, " \"'");
	entry->named = take_name(text, "-_.", entry->name) > 0;
	entry->elsewhere = entry->named && (strstr(text, "git:") || strstr(text, "github:") ||
						   strstr(text, "source:"));
}

static void read_entry(struct diff_file *file, const char *text, struct entry *entry)
{
	switch (file->manifest) {
	case MANIFEST_NPM:
		read_npm(file, text, entry);
		break;
	case MANIFEST_PIP:
		read_pip(text, entry);
		break;
	case MANIFEST_PYPROJECT:
	case MANIFEST_CARGO:
		read_toml(file, text, entry);
		break;
	case MANIFEST_GO:
		read_go(file, text, entry);
		break;
	case MANIFEST_GEM:
		read_gem(text, entry);
		break;
	default:
		break;
	}
}

/* ---- before and after ---- */

static void remember(struct diff_file *file, const char *name, char sign, unsigned line)
{
	if (sign != '+') {
		if (file->before.count >= MAX_NAMES || strv_add(&file->before, name) < 0)
			file->findings->incomplete = true;
		return;
	}
	if (strv_contains(&file->after, name))
		return;
	unsigned *lines = NULL;
	if (file->after.count < MAX_NAMES)
		lines = realloc(file->after_lines, (file->after.count + 1) * sizeof(*lines));
	if (lines)
		file->after_lines = lines;
	if (!lines || strv_add(&file->after, name) < 0) {
		file->findings->incomplete = true;
		return;
	}
	file->after_lines[file->after.count - 1] = line;
}

/* The host of each address in a line of a lock file. */
static void see_hosts(struct diff_file *file, const char *text, char sign, unsigned line)
{
	for (const char *at = strstr(text, "://"); at; at = strstr(at + 3, "://")) {
		char host[256];
		const char *start = at + 3;
		size_t length = strcspn(start, "/\"' \t,)#?");
		const char *user = memchr(start, '@', length);
		if (user) {
			length -= user + 1 - start;
			start = user + 1;
		}
		if (length == 0 || length >= sizeof(host))
			continue;
		for (size_t i = 0; i < length; i++)
			host[i] = tolower((unsigned char)start[i]);
		host[length] = '\0';
		if (sign == '+' || !strv_contains(&file->before, host))
			remember(file, host, sign, line);
	}
}

/* Files that are not manifests, but install all the same. */
static void see_other(struct diff_file *file, const struct diff_line *line, const char *text)
{
	const char *path = file->path ? file->path : "";
	const char *name = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
	if (strcmp(name, "setup.py") == 0 && strstr(text, "cmdclass"))
		diff_report(file, "diff-install-script", line, NULL);
	if (strcmp(name, "composer.json") == 0 &&
		(strstr(text, "post-install-cmd") || strstr(text, "post-update-cmd") ||
			strstr(text, "pre-install-cmd")))
		diff_report(file, "diff-install-script", line, NULL);
	bool settings = strcmp(name, ".npmrc") == 0 || strncmp(name, ".yarnrc", 7) == 0 ||
			strcmp(name, "pip.conf") == 0 || strcmp(name, ".pypirc") == 0;
	if (settings && (strstr(text, "registry") || strstr(text, "index-url") ||
				strstr(text, "npmRegistryServer")))
		diff_report(file, "diff-dependency-source", line, NULL);
}

void diff_see_manifest_line(struct diff_file *file, const struct diff_line *line, char sign)
{
	char text[1024];
	size_t blanks = 0;
	while (blanks < line->length && isspace((unsigned char)line->text[blanks]))
		blanks++;
	size_t length = line->length - blanks;
	snprintf(text, sizeof(text), "%.*s",
		(int)(length < sizeof(text) ? length : sizeof(text) - 1), line->text + blanks);
	if (file->manifest == MANIFEST_LOCK) {
		see_hosts(file, text, sign, line->number);
		return;
	}
	if (file->manifest == MANIFEST_NONE) {
		if (sign == '+')
			see_other(file, line, text);
		return;
	}
	struct entry entry = {.named = false};
	/* A lone bracket closes a list. */
	if (text[0] == ']')
		file->section[0] = '\0';
	read_entry(file, text, &entry);
	if (sign == '+' && entry.script)
		diff_report(file, "diff-install-script", line, NULL);
	if (sign == '+' && entry.elsewhere)
		diff_report(file, "diff-dependency-source", line, entry.named ? entry.name : NULL);
	if (entry.named)
		remember(file, entry.name, sign, line->number);
}

static void check_dependencies(struct diff_file *file)
{
	static const int ecosystems[] = {
		[MANIFEST_NPM] = ECOSYSTEM_NPM,
		[MANIFEST_PIP] = ECOSYSTEM_PYPI,
		[MANIFEST_PYPROJECT] = ECOSYSTEM_PYPI,
		[MANIFEST_CARGO] = ECOSYSTEM_CRATES,
	};
	bool compared = file->manifest <= MANIFEST_CARGO;
	for (size_t i = 0; i < file->after.count; i++) {
		const char *name = file->after.items[i];
		struct diff_line line = {name, strlen(name), file->after_lines[i]};
		if (strv_contains(&file->before, name))
			continue;
		const char *popular =
			compared ? lookalike_of(ecosystems[file->manifest], name) : NULL;
		diff_report(file, "diff-dependency", &line, name);
		if (popular && strcasecmp(popular, name) != 0)
			diff_report(file, "diff-dependency-lookalike", &line, popular);
	}
}

/* Without a host that was there before, the first one that comes is taken for the usual one. */
static void check_hosts(struct diff_file *file)
{
	const char *usual =
		file->before.count == 0 && file->after.count ? file->after.items[0] : NULL;
	for (size_t i = 0; i < file->after.count; i++) {
		const char *host = file->after.items[i];
		struct diff_line line = {host, strlen(host), file->after_lines[i]};
		if (!strv_contains(&file->before, host) && (!usual || strcmp(usual, host) != 0))
			diff_report(file, "diff-lock-host", &line, host);
	}
}

void diff_check_manifest(struct diff_file *file)
{
	if (file->deleted)
		return;
	if (file->manifest == MANIFEST_LOCK)
		check_hosts(file);
	else if (file->manifest != MANIFEST_NONE)
		check_dependencies(file);
}
