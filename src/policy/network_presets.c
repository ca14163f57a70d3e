/* Which public hosts a tool needs, as values for allow-domain. A preset opens what installing and
 * reading takes, not publishing: a registry that packages are uploaded to has to be named. Hosts
 * that anyone may fill (object stores, content networks' own names) are left out wherever the tool
 * works without them, since they would be a way out for data. */
#include "policy/network.h"

#include "base/cleanup.h"

static const char *const npm[] = {
	"registry.npmjs.org",
	"registry.yarnpkg.com",
	"repo.yarnpkg.com:443", /* yarn itself, by corepack */
	"nodejs.org:443",       /* headers for native modules (node-gyp) */
	NULL,
};

static const char *const pypi[] = {
	"pypi.org",
	"files.pythonhosted.org",
	NULL,
};

static const char *const crates[] = {
	"crates.io:443",
	"index.crates.io:443",
	"static.crates.io:443",
	"static.rust-lang.org:443", /* toolchains (rustup) */
	NULL,
};

static const char *const debian[] = {
	"deb.debian.org",
	"security.debian.org",
	"ftp.debian.org:80",
	"snapshot.debian.org",
	"archive.ubuntu.com",
	"security.ubuntu.com",
	"ports.ubuntu.com",
	NULL,
};

static const char *const github[] = {
	"github.com:22/raw", /* git over ssh: the server speaks first */
	"github.com",
	"api.github.com:443",
	"codeload.github.com:443", /* archives of a commit or tag */
	"raw.githubusercontent.com:443",
	"objects.githubusercontent.com:443", /* release files, large files */
	"release-assets.githubusercontent.com:443",
	"github-cloud.githubusercontent.com:443",
	"avatars.githubusercontent.com:443",
	"media.githubusercontent.com:443",
	NULL,
};

static const char *const docs[] = {
	"docs.python.org",
	"developer.mozilla.org",
	"devdocs.io",
	"documents.devdocs.io",
	"docs.rs",
	"doc.rust-lang.org",
	"pkg.go.dev",
	"go.dev",
	"nodejs.org",
	"docs.npmjs.com",
	"www.typescriptlang.org",
	"react.dev",
	"en.cppreference.com",
	"man7.org",
	"www.kernel.org",
	"docs.kernel.org",
	"docs.oracle.com",
	"learn.microsoft.com",
	"docs.github.com",
	"docs.djangoproject.com",
	"**.readthedocs.io",
	"**.readthedocs.org",
	"www.rfc-editor.org",
	"datatracker.ietf.org",
	"**.wikipedia.org",
	"stackoverflow.com",
	NULL,
};

static const char *const search[] = {
	"duckduckgo.com",
	"html.duckduckgo.com",
	"lite.duckduckgo.com",
	"api.duckduckgo.com",
	"www.google.com",
	"www.bing.com",
	"api.bing.microsoft.com",
	"customsearch.googleapis.com",
	"search.brave.com",
	"api.search.brave.com",
	NULL,
};

static const char *const model_apis[] = {
	"api.anthropic.com:443",
	"api.openai.com:443",
	"generativelanguage.googleapis.com:443",
	"api.mistral.ai:443",
	"api.cohere.com:443",
	"api.groq.com:443",
	"api.deepseek.com:443",
	"api.x.ai:443",
	"openrouter.ai:443",
	NULL,
};

static const char *const rubygems[] = {
	"rubygems.org",
	"index.rubygems.org",
	NULL,
};

static const char *const go[] = {
	"proxy.golang.org:443",
	"sum.golang.org:443",
	"go.dev:443", /* toolchains */
	"dl.google.com:443",
	NULL,
};

static const char *const maven[] = {
	"repo.maven.apache.org:443",
	"repo1.maven.org:443",
	"plugins.gradle.org:443",
	"plugins-artifacts.gradle.org:443",
	"services.gradle.org:443", /* gradle itself, by its wrapper */
	"downloads.gradle.org:443",
	"dl.google.com:443", /* Android's artifacts */
	"maven.google.com:443",
	NULL,
};

static const struct network_preset presets[] = {
	{"npm", "JavaScript packages: npm, yarn, pnpm", npm},
	{"pypi", "Python packages: pip, uv, poetry", pypi},
	{"crates", "Rust crates and toolchains: cargo, rustup", crates},
	{"debian", "Debian and Ubuntu packages: apt", debian},
	{"github", "git over https and ssh, the API and release files of GitHub", github},
	{"docs", "documentation of languages, systems and standards", docs},
	{"search", "search engines' pages and APIs", search},
	{"model-apis", "APIs of language models", model_apis},
	{"rubygems", "Ruby gems: gem, bundler", rubygems},
	{"go", "Go modules and toolchains", go},
	{"maven", "Java artifacts: maven, gradle", maven},
};

const struct network_preset *network_presets(size_t *ret_count)
{
	*ret_count = ARRAY_SIZE(presets);
	return presets;
}
