#include "gate/code_diff.h"

#include "base/path.h"

#include <string.h>
#include <strings.h>

void diff_report(
	struct diff_file *file, const char *rule, const struct diff_line *line, const char *detail)
{
	findings_add(file->findings, rule, file->path ? file->path : "", line ? line->number : 0,
		line ? 1 : 0, line ? line->text : NULL, line ? line->length : 0, detail);
}

void diff_report_secret(struct diff_file *file, const char *rule, const struct diff_line *line,
	size_t at, size_t length, const char *detail)
{
	enum { SHOWN_BYTES = 8 };
	char shown[SHOWN_BYTES + 4];
	size_t kept = length / 4 < SHOWN_BYTES ? length / 4 : SHOWN_BYTES;
	snprintf(shown, sizeof(shown), "%.*s...", (int)kept, line->text + at);
	findings_add(file->findings, rule, file->path ? file->path : "", line->number, at + 1,
		shown, strlen(shown), detail);
}

/* A pattern that ends in "/" is a directory at any depth; one that starts with "*" an ending; any
 * other the name of a file, or a path's end. */
static bool path_fits(const char *path, const char *pattern)
{
	size_t length = strlen(path), size = strlen(pattern);
	if (pattern[0] == '*')
		return length >= size - 1 &&
		       strcasecmp(path + length - (size - 1), pattern + 1) == 0;
	if (pattern[size - 1] != '/')
		return length >= size && strcasecmp(path + length - size, pattern) == 0 &&
		       (length == size || path[length - size - 1] == '/');
	for (const char *at = strcasestr(path, pattern); at; at = strcasestr(at + 1, pattern))
		if (at == path || at[-1] == '/')
			return true;
	return false;
}

static bool path_fits_any(const char *path, const char *const patterns[], size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (path_fits(path, patterns[i]))
			return true;
	return false;
}

static const char *const integration[] = {".github/workflows/", ".github/actions/",
	".gitlab-ci.yml", ".gitlab-ci.yaml", ".gitlab/ci/", ".circleci/", "Jenkinsfile",
	"azure-pipelines.yml", ".azure-pipelines/", ".travis.yml", "bitbucket-pipelines.yml",
	".drone.yml", ".buildkite/", ".woodpecker.yml", ".woodpecker/", "appveyor.yml",
	"cloudbuild.yaml", "buildspec.yml", ".teamcity/", ".cirrus.yml", ".ci/"};

static const char *const hooks[] = {".git/hooks/", ".husky/", ".githooks/", "lefthook.yml",
	"lefthook.yaml", ".pre-commit-config.yaml", ".claude/", ".codex/", ".cursor/", ".gemini/",
	".opencode/", ".coffer/", ".agents/", ".mcp.json", ".vscode/tasks.json",
	".vscode/settings.json", ".vscode/launch.json", ".idea/", ".devcontainer/",
	".devcontainer.json", ".envrc", ".gitattributes", "sitecustomize.py", "usercustomize.py",
	"*.pth"};

static const char *const documentation[] = {
	"*.md", "*.mdx", "*.rst", "*.txt", "*.adoc", "docs/", "doc/", "*.1", "*.html"};
static const char *const fixtures[] = {"fixtures/", "__fixtures__/", "testdata/", "test-data/",
	"test_data/", "__snapshots__/", "cassettes/", "golden/"};
static const char *const tests[] = {"tests/", "test/", "__tests__/", "spec/", "*_test.go",
	"*.test.js", "*.spec.js", "*_test.py"};
static const char *const programs[] = {"*.so", "*.dll", "*.dylib", "*.exe", "*.node", "*.pyc",
	"*.pyd", "*.jar", "*.class", "*.wasm", "*.a", "*.o", "*.ko", "*.bin", "*.deb", "*.rpm",
	"*.apk", "*.msi", "*.whl", "*.scr"};
static const char *const builders[] = {"build.rs", "binding.gyp", "extconf.rb"};

static const struct {
	const char *pattern;
	enum manifest manifest;
} manifests[] = {
	{"package.json", MANIFEST_NPM},
	{"pyproject.toml", MANIFEST_PYPROJECT},
	{"Pipfile", MANIFEST_PYPROJECT},
	{"Cargo.toml", MANIFEST_CARGO},
	{"go.mod", MANIFEST_GO},
	{"Gemfile", MANIFEST_GEM},
	{"package-lock.json", MANIFEST_LOCK},
	{"npm-shrinkwrap.json", MANIFEST_LOCK},
	{"yarn.lock", MANIFEST_LOCK},
	{"pnpm-lock.yaml", MANIFEST_LOCK},
	{"Cargo.lock", MANIFEST_LOCK},
	{"poetry.lock", MANIFEST_LOCK},
	{"uv.lock", MANIFEST_LOCK},
	{"Pipfile.lock", MANIFEST_LOCK},
	{"Gemfile.lock", MANIFEST_LOCK},
	{"composer.lock", MANIFEST_LOCK},
};

static enum manifest manifest_of(const char *path)
{
	for (size_t i = 0; i < ARRAY_SIZE(manifests); i++)
		if (path_fits(path, manifests[i].pattern))
			return manifests[i].manifest;
	const char *name = path_name(path);
	bool lists = strncasecmp(name, "requirements", strlen("requirements")) == 0 ||
		     strncasecmp(name, "constraints", strlen("constraints")) == 0 ||
		     strcasestr(path, "requirements/");
	return lists && (path_fits(path, "*.txt") || path_fits(path, "*.in")) ? MANIFEST_PIP
									      : MANIFEST_NONE;
}

static const char *language_of(const char *path)
{
	static const char *const python[] = {"*.py", "*.pyw"};
	static const char *const javascript[] = {"*.js", "*.mjs", "*.cjs", "*.jsx"};
	if (path_fits_any(path, python, ARRAY_SIZE(python)))
		return "python";
	return path_fits_any(path, javascript, ARRAY_SIZE(javascript)) ? "javascript" : NULL;
}

static bool leads_outside(const char *path)
{
	if (path[0] == '/')
		return true;
	for (const char *at = path; at; at = strchr(at, '/') ? strchr(at, '/') + 1 : NULL) {
		if (strncmp(at, "../", 3) == 0 || strcmp(at, "..") == 0)
			return true;
		if (strncasecmp(at, ".git/", 5) == 0)
			return true;
	}
	return false;
}

void diff_check_path(struct diff_file *file)
{
	const char *path = file->path;
	file->is_documentation = path_fits_any(path, documentation, ARRAY_SIZE(documentation));
	file->is_fixture = path_fits_any(path, fixtures, ARRAY_SIZE(fixtures));
	file->is_test = path_fits_any(path, tests, ARRAY_SIZE(tests)) ||
			strncmp(path_name(path), "test_", strlen("test_")) == 0;
	file->language = language_of(path);
	file->manifest = manifest_of(path);
	if (file->manifest != MANIFEST_NONE)
		file->is_documentation = false;
}

void diff_check_file(struct diff_file *file)
{
	const char *path = file->path;
	unsigned kind = file->new_mode & 0170000;
	if (!path)
		return;
	bool turns;
	if (leads_outside(path))
		diff_report(file, "diff-path-outside", NULL, NULL);
	if (text_find_misleading(path, strlen(path), &turns) >= 0)
		diff_report(file, turns ? "text-direction" : "text-invisible", NULL,
			"in the name of a file");
	if (path_fits_any(path, integration, ARRAY_SIZE(integration)))
		diff_report(file, "diff-ci", NULL, NULL);
	if (path_fits_any(path, hooks, ARRAY_SIZE(hooks)))
		diff_report(file, "diff-hook", NULL, NULL);
	if (file->deleted)
		return;
	if (path_fits_any(path, builders, ARRAY_SIZE(builders)))
		diff_report(file, "diff-install-script", NULL, NULL);
	if (kind == 0120000)
		diff_report(file, "diff-symlink", NULL, NULL);
	else if (kind == 0160000)
		diff_report(file, "diff-submodule", NULL, NULL);
	else if ((file->new_mode & 0111) && !(file->old_mode & 0111))
		diff_report(file, "diff-executable", NULL, NULL);
	if (file->binary)
		diff_report(file,
			path_fits_any(path, programs, ARRAY_SIZE(programs)) ? "diff-binary-program"
									    : "diff-binary",
			NULL, NULL);
}

void diff_check_link(struct diff_file *file, const struct diff_line *line)
{
	char target[MAX_PATH_BYTES];
	snprintf(target, sizeof(target), "%.*s",
		(int)(line->length < sizeof(target) ? line->length : sizeof(target) - 1),
		line->text);
	long depth = file->path ? (long)path_depth(file->path) : 0;
	bool outside = target[0] == '/';
	char *rest = NULL;
	for (char *part = strtok_r(target, "/", &rest); part; part = strtok_r(NULL, "/", &rest)) {
		depth += strcmp(part, "..") == 0 ? -1 : strcmp(part, ".") == 0 ? 0 : 1;
		outside |= depth < 0;
	}
	if (outside)
		diff_report(file, "diff-symlink-outside", line, NULL);
}
