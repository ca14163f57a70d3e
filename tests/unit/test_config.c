/* Layers of configuration: what each may say, how they merge, what a project can only narrow, what
 * requirements bound, and what of it a run then gets. */
#include "base/cleanup.h"
#include "config/bounds.h"
#include "config/compile.h"
#include "config/compiled_internal.h"
#include "config/config_internal.h"
#include "config/load.h"
#include "config/trust.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* The texts of the layers; NULL: no such file. */
struct texts {
	const char *requirements, *system, *user, *project;
};

static const struct config_where where = {
	.system_dir = "/etc/coffer", .user_dir = "/u", .workspace = "/w", .home = "/h"};

static int load(
	const struct texts *texts, struct config **ret, struct strv *problems, struct error *error)
{
	struct config_source sources[CONFIG_SOURCES] = {
		{LAYER_REQUIREMENTS, "/r", (char *)texts->requirements, 0},
		{LAYER_SYSTEM, "/s", (char *)texts->system, 0},
		{LAYER_USER, "/u", (char *)texts->user, 0},
		{LAYER_PROJECT, "/p", (char *)texts->project, 0},
	};
	for (size_t i = 0; i < CONFIG_SOURCES; i++)
		sources[i].length_bytes = sources[i].data ? strlen(sources[i].data) : 0;
	return config_load_sources(&where, sources, true, ret, problems, error);
}

static struct config *loaded(const struct texts *texts)
{
	struct config *config = NULL;
	struct error error = {0};
	if (load(texts, &config, NULL, &error) < 0)
		fail_msg("%s (%s)", error.message, error.hint);
	return config;
}

/* The load fails, and its first fault and hint hold these words. */
static void fault(const struct texts *texts, const char *message, const char *hint)
{
	struct config *config = NULL;
	struct error error = {0};
	if (load(texts, &config, NULL, &error) == 0) {
		config_free(config);
		fail_msg("taken, but wanted: %s", message);
	}
	if (!strstr(error.message, message) || (hint && !strstr(error.hint, hint)))
		fail_msg("%s (%s)\nwanted: %s (%s)", error.message, error.hint, message,
			hint ? hint : "");
}

/* "key=value" of every setting in order, one a line. */
static void expect_settings(struct config *config, const char *wanted)
{
	cleanup_buffer struct buffer got = BUFFER_INIT(1 << 20);
	buffer_append_string(&got, "");
	for (size_t i = 0; i < config->settings_count; i++)
		buffer_append_format(&got, "%s%s%s\n", config->settings[i].key,
			config->settings[i].value ? "=" : "",
			config->settings[i].value ? config->settings[i].value : "");
	assert_string_equal(got.data ? got.data : "", wanted);
	config_free(config);
}

/* What a run with these flags is made from, one a line; NULL with the error. */
static char *settings_of(
	const struct texts *texts, char *const flags[], struct strv *notices, struct error *error)
{
	struct config *config = loaded(texts);
	struct compiled_config *compiled;
	assert_int_equal(compile_config(config, &compiled), 0);
	config_free(config);
	cleanup_strv struct strv settings = {0};
	int r = compiled_config_settings(compiled, flags, &settings, notices, error);
	compiled_config_free(compiled);
	if (r < 0)
		return NULL;
	struct buffer got = BUFFER_INIT(1 << 20);
	for (size_t i = 0; i < settings.count; i++)
		buffer_append_format(&got, "%s\n", settings.items[i]);
	return got.data ? buffer_steal(&got) : strdup("");
}

static void expect_run(const struct texts *texts, char *const flags[], const char *wanted)
{
	struct error error = {0};
	cleanup_free char *got = settings_of(texts, flags, NULL, &error);
	if (!got)
		fail_msg("%s", error.message);
	assert_string_equal(got, wanted);
}

static void expect_refused(
	const struct texts *texts, char *const flags[], const char *message, const char *hint)
{
	struct error error = {0};
	cleanup_free char *got = settings_of(texts, flags, NULL, &error);
	if (got || !strstr(error.message, message) || !strstr(error.hint, hint))
		fail_msg("%s: %s (%s)\nwanted: %s (%s)", got ? got : "refused", error.message,
			error.hint, message, hint);
}

static void test_every_policy_key_has_a_row(void **state)
{
	(void)state;
	size_t count, rows;
	const struct policy_key *keys = policy_keys(&count);
	for (size_t i = 0; i < count; i++)
		if (!schema_of_policy_key(keys[i].name) && strcmp(keys[i].name, "directory") != 0 &&
			strcmp(keys[i].name, "layer-system") != 0)
			fail_msg("%s has no form in a file", keys[i].name);
	const struct schema_key *schema = schema_keys(&rows);
	for (size_t i = 0; i < rows; i++) {
		bool found = !schema[i].policy_key;
		for (size_t k = 0; k < count && !found; k++)
			found = strcmp(keys[k].name, schema[i].policy_key) == 0;
		if (!found)
			fail_msg("%s is no policy key", schema[i].policy_key);
	}
}

static void test_settings(void **state)
{
	(void)state;
	expect_settings(
		loaded(&(struct texts){.user = "mode = 'workspace-write'\n"
					       "write = ['/a', '~/b', '~']\n"
					       "env = ['A', 'B=1']\n"
					       "hide_secrets = true\n"
					       "[limits]\n"
					       "memory = '1G'\n"
					       "cpu = 0.5\n"
					       "pids = 100\n"
					       "[network]\n"
					       "allow_domain = ['a.example.com:443']\n"
					       "net_limit = { rate = '5M', over = 'refuse' }\n"}),
		"mode=workspace-write\nwrite=/a\nwrite=/h/b\nwrite=/h\nenv=A\nenv=B=1\n"
		"hide-secrets\nlimit=memory=1G\nlimit=cpu=0.5\nlimit=pids=100\n"
		"allow-domain=a.example.com:443\nnet-limit=rate=5M,over=refuse\n");
}

static void test_layers_merge(void **state)
{
	(void)state;
	expect_settings(
		loaded(&(struct texts){
			.system = "mode = 'read-only'\nwrite = ['/s']\ncapture = true\n"
				  "[limits]\ntime = '1m'\nmemory = '1G'\n",
			.user = "mode = 'workspace-write'\nwrite = ['/u']\ncapture = false\n"
				"[limits]\ntime = '2m'\n"}),
		"write=/s\nlimit=memory=1G\nmode=workspace-write\nwrite=/u\nlimit=time=2m\n");
}

static void test_faults_have_places(void **state)
{
	(void)state;
	static const struct {
		const char *text, *message, *hint;
	} faults[] = {
		{"mdoe = 'x'", "/u:1:1: there is no key 'mdoe'", "did you mean 'mode'?"},
		{"\n  git = 'comit'", "/u:2:3: git: 'comit' is not one of", "'commit'"},
		{"allow_domain = ['x']", "/u:1:1: there is no key", "belongs into [network]"},
		{"[network]\nmode = 'x'", "/u:2:1: there is no key 'mode' in [network]", "top"},
		{"directory = '/x'", "there is no key 'directory'", "-C"},
		{"write = '/a'",
			"/u:1:1: 'write': an array of strings is wanted here, not a string", NULL},
		{"write = ['/a', 1]", "/u:1:16: a string is wanted here, not an integer", NULL},
		{"write = ['a']", "/u:1:10: the path 'a' is relative", "~/"},
		{"capture = 'yes'", "'capture': true or false is wanted", NULL},
		{"[limits]\ntime = '3 parsecs'", "/u:2:1: limit: time=", NULL},
		{"limits = 1", "'limits' is a table", NULL},
		{"[network]\nallow_domain = ['a b']", "/u:2:17: allow-domain: 'a b'", NULL},
		{"approval = 'sometimes'", "/u:1:1: there is no approval policy 'sometimes'", NULL},
		{"approval = {command = 'yes'}", "there is no decision 'yes'", NULL},
		{"reviewer = 'comand'", "/u:1:1: 'comand' is not one of", "'command'"},
		{"reviewer = 'command'", "the reviewer has no command", NULL},
		{"[reviewer]\nkind = 'http'\nurl = 'ftp://x'", "no http url", NULL},
		{"[[rule]]\ndecision = 'allow'", "/u:1:3: a rule needs the words", NULL},
		{"[[rule]]\nprefix = []\ndecision = 'ask'", "/u:2:1: a rule needs the words", NULL},
		{"[[rule]]\nprefix = ['a', []]\ndecision = 'ask'", "/u:2:16: no word can match",
			NULL},
		{"[[rule]]\nprefix = ['a']\ndecision = 'ask'\nwrite = ['/x']",
			"only a rule that allows can widen", NULL},
		{"[[rule]]\nprefix = ['a']\ndecison = 'ask'",
			"/u:3:1: there is no key 'decison' in [rule]", "'decision'"},
		{"[[rule]]\nprefix = ['a']\ndecision = 'allow'\nnetwork = ['a b']",
			"/u:4:12:", NULL},
		{"[[hook]]\nevent = 'PreToolUs'\nargv = ['true']", "/u:2:1: 'PreToolUs'",
			"'PreToolUse'"},
		{"[[hook]]\nevent = 'Stop'", "neither command nor argv", NULL},
		{"[[hook]]\nevent = 'Stop'\nargv = ['true']\nmatcher = '('",
			"/u:4:1: the matcher '('", NULL},
		{"modes = ['read-only']", "'modes' is for requirements", "requirements.toml"},
	};
	for (size_t i = 0; i < ARRAY_SIZE(faults); i++)
		fault(&(struct texts){.user = faults[i].text}, faults[i].message, faults[i].hint);
}

static void test_all_faults_are_told(void **state)
{
	(void)state;
	struct config *config;
	struct error error = {0};
	cleanup_strv struct strv problems = {0};
	struct texts texts = {.system = "a = 1\nmode = 'x'\n", .user = "b = 1\n[limits]\nc = 1\n"};
	assert_int_equal(load(&texts, &config, &problems, &error), -EINVAL);
	assert_int_equal(problems.count, 4);
	assert_non_null(strstr(error.message, "/s:1:1:"));
	assert_non_null(strstr(problems.items[0], "/s:1:1:"));
	assert_non_null(strstr(problems.items[1], "/s:2:1:"));
	assert_non_null(strstr(problems.items[2], "/u:1:1:"));
	assert_non_null(strstr(problems.items[3], "/u:3:1:"));
}

static void test_contradictions_name_both_places(void **state)
{
	(void)state;
	fault(&(struct texts){.system = "mode = 'danger-full-access'",
		      .user = "deny_read = ['/x']"},
		"/u:1:14: path rules with --mode danger-full-access", NULL);
	fault(&(struct texts){.system = "mode = 'danger-full-access'",
		      .user = "deny_read = ['/x']"},
		"(the other is at /s:1:1)", NULL);
	fault(&(struct texts){.user = "mode = 'read-only'\nwrite = ['/x']"}, "/u:2:10: write with",
		NULL);
}

static void test_rules(void **state)
{
	(void)state;
	struct config *config = loaded(&(struct texts){
		.user = "[[rule]]\nprefix = ['npm', ['test', 'run']]\ndecision = 'allow'\n"
			"reason = 'r'\nin = '~/x'\nwrite = ['/data']\nnetwork = ['a.org:443']\n"
			"matches = ['npm test']\nnot_matches = ['npm i', 'npx']\n",
		.project =
			"[[rule]]\nprefix = ['git', 'push']\ndecision = 'forbid'\nin = 'sub'\n"});
	assert_int_equal(config->rules_count, 2);
	const struct config_rule *rule = &config->rules[0];
	assert_int_equal(rule->prefix_count, 2);
	assert_int_equal(rule->prefix[1].any.count, 2);
	assert_string_equal(rule->within, "/h/x");
	assert_int_equal(rule->grants_count, 2);
	assert_int_equal(rule->grants[0].kind, GRANT_WRITE);
	assert_string_equal(rule->grants[1].value, "a.org:443");
	assert_int_equal(rule->not_matches.count, 2);
	assert_string_equal(config->rules[1].within, "/w/sub");
	assert_int_equal(config->rules[1].place.layer, LAYER_PROJECT);
	config_free(config);
}

static void test_words_of_rules_are_compiled(void **state)
{
	(void)state;
	struct config *config =
		loaded(&(struct texts){.user = "[[rule]]\nprefix = [['npm', '/usr/bin/git'], 'x']\n"
					       "decision = 'ask'\n[[rule]]\nprefix = ['npm']\n"
					       "decision = 'allow'\n"});
	struct compiled_config *compiled;
	assert_int_equal(compile_config(config, &compiled), 0);
	config_free(config);
	assert_int_equal(compiled->words.count, 3);
	assert_string_equal(compiled->words.items[0], "/usr/bin/git");
	assert_string_equal(compiled->words.items[1], "git");
	assert_string_equal(compiled->words.items[2], "npm");
	compiled_config_free(compiled);
}

/* A project's word that would widen, whatever the user has, is a fault at its place. */
static void test_a_project_cannot_widen(void **state)
{
	(void)state;
	static const char *const widening[] = {"mode = 'danger-full-access'", "profile = 'local'",
		"isolation = 'landlock'", "write = ['/x']", "allow_read = ['/x']",
		"share_tmp = true", "git = 'commit'", "env = ['A']", "env_all = true",
		"device = ['/dev/kvm']", "allow_userns = true", "best_effort = true",
		"hide_secrets = false", "python_path = ['/x']", "reviewer = 'builtin'",
		"[limits]\ntime = 'none'", "[network]\nnet = 'on'",
		"[network]\nallow_domain = ['a.org']", "[network]\nask_domain = ['a.org']",
		"[network]\nmonitor_domain = ['a.org']", "[network]\nallow_cidr = ['10.0.0.1']",
		"[network]\nnet_preset = ['npm']", "[network]\nallow_udp = ['a.org:1']",
		"[network]\npublish = ['80']", "[network]\nnet_inspect = ['a.org']",
		"[network]\nnet_request = ['GET a.org/x']", "[network]\nnet_resolver = ['1.1.1.1']",
		"[network]\nallow_unix = ['/x']",
		"[network]\nnet_secret = ['name=A,host=a.org,from=env:A']",
		"[network]\nupstream_proxy = 'http://a:1'", "[network]\nupstream_ca = '/x'",
		"[network]\nnet_log = '/x'", "[network]\nnet_ask = '/x'",
		"[network]\nproxy_variables = true", "[[rule]]\nprefix = ['a']\ndecision = 'allow'",
		"modes = ['read-only']"};
	for (size_t i = 0; i < ARRAY_SIZE(widening); i++)
		fault(&(struct texts){.project = widening[i]}, "/p:", NULL);
}

static void test_a_project_narrows(void **state)
{
	(void)state;
	const char *user = "mode = 'workspace-write'\n[limits]\nmemory = '1G'\n"
			   "[network]\nallow_domain = ['a.org']\n";
	expect_settings(
		loaded(&(struct texts){.user = user,
			.project = "mode = 'read-only'\nread_only = ['vendor']\n"
				   "deny_read = ['**/x']\nhide_secrets = true\ngit = 'off'\n"
				   "[limits]\nmemory = '512M'\ntime = '1m'\n"
				   "[network]\ndeny_domain = ['b.org']\nnet_read = true\n"}),
		"allow-domain=a.org\nmode=read-only\nread-only=/w/vendor\ndeny-read=/w/**/x\n"
		"hide-secrets\ngit=off\nlimit=memory=512M\nlimit=time=1m\ndeny-domain=b.org\n"
		"net-read\n");
}

/* What is only wider than this user's own choice is left out, and said. */
static void test_a_project_that_is_wider_is_left_out(void **state)
{
	(void)state;
	static const struct {
		const char *user, *project;
	} cases[] = {
		{"mode = 'read-only'", "mode = 'workspace-write'"},
		{"[limits]\nmemory = '1G'", "[limits]\nmemory = '2G'"},
		{"profile = 'cloud'", "[limits]\nmemory = '17G'"},
		{"", "[limits]\npids = 5000"},
		{"[network]\nnet_limit = 'rate=5M'", "[network]\nnet_limit = 'rate=6M'"},
		{"profile = 'cloud'", "[network]\nnet_limit = 'requests=101/m'"},
		{"approval = 'untrusted'", "approval = 'on-request'"},
		{"approval = 'never'", "approval = 'untrusted'"},
		{"", "approval = 'on-failure'"},
		{"", "approval = 'granular'"},
	};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct config *with =
			loaded(&(struct texts){.user = cases[i].user, .project = cases[i].project});
		struct config *without = loaded(&(struct texts){.user = cases[i].user});
		if (with->settings_count != without->settings_count ||
			with->approval.policy != without->approval.policy ||
			with->notices.count != 1)
			fail_msg("%s -> %s", cases[i].user, cases[i].project);
		config_free(with);
		config_free(without);
	}
}

static void test_a_project_asks_more(void **state)
{
	(void)state;
	struct config *config = loaded(&(struct texts){
		.user = "approval = 'on-failure'", .project = "approval = 'untrusted'"});
	assert_int_equal(config->approval.policy, APPROVAL_UNTRUSTED);
	assert_int_equal(config->approval_place.layer, LAYER_PROJECT);
	config_free(config);
}

static void test_flags_outrank_files(void **state)
{
	(void)state;
	struct texts roots = {.user = "write = ['/usr']\ndeny_read = ['/x']\ngit = 'commit'\n"};
	expect_run(&roots, NULL, "write=/usr\ndeny-read=/x\ngit=commit\n");
	expect_run(&roots, (char *[]){"mode=read-only", NULL}, "deny-read=/x\nmode=read-only\n");
	expect_run(
		&roots, (char *[]){"mode=danger-full-access", NULL}, "mode=danger-full-access\n");
	struct texts network = {
		.user = "[network]\nallow_domain = ['a.org']\ndeny_domain = ['b.org']\n"};
	expect_run(&network, (char *[]){"net=off", NULL}, "deny-domain=b.org\nnet=off\n");
	expect_run(&network, (char *[]){"profile=strict", NULL}, "profile=strict\n");
	struct texts off = {.user = "[network]\nnet = 'off'\n"};
	expect_run(&off, (char *[]){"allow-domain=c.org", NULL}, "allow-domain=c.org\n");
	struct texts python = {.user = "python_path = ['/usr/lib']\n"};
	expect_run(&python, NULL, "");
	expect_run(&python, (char *[]){"profile=strict", NULL},
		"python-path=/usr/lib\nprofile=strict\n");
}

static void test_a_project_silences_the_network_unless_a_flag_opens_it(void **state)
{
	(void)state;
	struct texts texts = {.system = "[network]\nallow_domain = ['s.org']\n",
		.user = "[network]\nallow_domain = ['u.org']\n",
		.project = "[network]\nnet = 'off'\n"};
	expect_run(&texts, NULL, "net=off\n");
	expect_run(&texts, (char *[]){"allow-domain=f.org", NULL},
		"allow-domain=s.org\nallow-domain=u.org\nallow-domain=f.org\n");
	/* And can never open what the user closed. */
	expect_run(&(struct texts){.system = "[network]\nallow_domain = ['s.org']\n",
			   .user = "[network]\nnet = 'off'\n",
			   .project = "[network]\nnet = 'filtered'\n"},
		NULL, "net=off\n");
}

static void test_what_is_not_there_is_left_out(void **state)
{
	(void)state;
	struct error error = {0};
	cleanup_strv struct strv notices = {0};
	cleanup_free char *got =
		settings_of(&(struct texts){.user = "write = ['/nowhere/x', '/usr']\n"}, NULL,
			&notices, &error);
	assert_string_equal(got, "write=/usr\n");
	assert_int_equal(notices.count, 1);
	assert_string_equal(notices.items[0], "/u:1: /nowhere/x is not there: write is left out");
}

static void test_requirements_bound_files(void **state)
{
	(void)state;
	static const struct {
		const char *requirements, *user, *message, *hint;
	} cases[] = {
		{"modes = ['read-only']", "mode = 'workspace-write'",
			"/u:1:1: mode 'workspace-write' is not allowed here",
			"/r:1 allows: read-only"},
		{"modes = ['read-only']", "profile = 'strict'",
			"/u:1:1: mode 'workspace-write' is not allowed", "/r:1"},
		{"isolations = ['container']", "isolation = 'landlock'",
			"/u:1:1: isolation 'landlock' is not allowed", "/r:1 allows: container"},
		{"approvals = ['untrusted']", "approval = 'never'",
			"/u:1:1: approval policy 'never' is not allowed", "/r:1 allows: untrusted"},
		{"reviewers = ['person']", "reviewer = 'builtin'",
			"/u:1:1: the reviewer 'builtin' is not allowed", "/r:1"},
		{"\n[limits]\nmemory = '1G'", "[limits]\nmemory = '2G'",
			"/u:2:1: the limit for memory is higher", "/r:3 allows: memory=1G"},
		{"[limits]\ntime = '1m'", "[limits]\ntime = 'none'",
			"/u:2:1: the limit for time is higher", "/r:2"},
		{"[network]\nallow_domain = ['*.a.org']", "[network]\nallow_domain = ['b.org']",
			"/u:2:17: allow-domain b.org is wider", "/r:2"},
		{"[network]\nnet = 'off'", "[network]\nnet = 'on'", "/u:2:1: net 'on' is wider",
			"/r:2"},
		{"[network]\nnet = 'off'", "mode = 'danger-full-access'", "/u:1:1: mode", "/r:2"},
		{"deny_read = ['/x']", "mode = 'danger-full-access'", "/u:1:1: mode", "/r:1"},
		{"managed_rules_only = true", "[[rule]]\nprefix = ['a']\ndecision = 'allow'",
			"/u:1:3: a rule that allows is not allowed here", "managed_rules_only"},
		{"[[rule]]\nprefix = ['a']\ndecision = 'allow'", "",
			"/r:3:1: a required rule can only ask or forbid", NULL},
		{"modes = ['readonly']", "", "/r:1:10:", NULL},
		{"modes = []", "", "/r:1:1: 'modes' allows nothing", NULL},
		{"write = ['/x']", "", "/r:1:1: 'write' is nothing that can be required", NULL},
	};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		fault(&(struct texts){.requirements = cases[i].requirements, .user = cases[i].user},
			cases[i].message, cases[i].hint);
}

static void test_requirements_bound_flags(void **state)
{
	(void)state;
	struct texts modes = {.requirements = "modes = ['read-only']\n"};
	expect_run(&modes, NULL, "mode=read-only\n");
	expect_refused(&modes, (char *[]){"mode=workspace-write", NULL},
		"mode 'workspace-write' is not allowed here", "/r:1 allows: read-only");
	expect_refused(
		&modes, (char *[]){"profile=strict", NULL}, "mode 'workspace-write'", "/r:1");
	struct texts limits = {.requirements = "[limits]\nmemory = '1G'\npids = 5000\n"};
	expect_run(&limits, NULL, "limit=memory=1G\n"); /* the profile's pids are fewer */
	expect_run(&limits, (char *[]){"limit=memory=1M", NULL}, "limit=memory=1M\n");
	expect_refused(&limits, (char *[]){"limit=time=1s,memory=2G", NULL},
		"the limit for memory is higher", "/r:2");
	struct texts denies = {.requirements = "deny_read = ['/x']\n[network]\n"
					       "deny_domain = ['a.org']\n"};
	expect_run(
		&denies, (char *[]){"net=on", NULL}, "net=on\ndeny-read=/x\ndeny-domain=a.org\n");
	struct texts tiers = {.requirements = "isolations = ['container']\n"};
	expect_run(&tiers, NULL, "isolation=container\n");
	expect_refused(
		&tiers, (char *[]){"isolation=landlock", NULL}, "isolation 'landlock'", "/r:1");
}

static void test_requirements_bound_grants(void **state)
{
	(void)state;
	static const struct {
		const char *requirements, *key, *value;
		bool allowed;
	} cases[] = {
		{"modes = ['read-only']", "grant-write", "/tmp", false},
		{"modes = ['workspace-write']", "grant-write", "/tmp", true},
		{"read_only = ['/usr']", "grant-write", "/usr/lib", false},
		{"read_only = ['/usr']", "grant-write", "/usr", true}, /* stays read-only there */
		{"read_only = ['/usr']", "allow-read", "/usr/lib", true},
		{"deny_read = ['/usr']", "grant-write", "/usr/lib", false},
		{"deny_read = ['/usr']", "allow-read", "/usr/./lib/", false},
		{"deny_read = ['/usr']", "allow-read", "/proc/self/root/usr/lib", false},
		{"deny_read = ['/**/lib']", "allow-read", "/usr/lib/x", false},
		{"deny_read = ['/usr/lib']", "allow-read", "/usr", true},
		{"deny_read = ['/usr/li']", "allow-read", "/usr/lib", true},
		{"deny_read = ['/usr']", "mode", "danger-full-access", false},
	};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct config *config =
			loaded(&(struct texts){.requirements = cases[i].requirements});
		struct compiled_config *compiled;
		struct error error = {0};
		assert_int_equal(compile_config(config, &compiled), 0);
		int r = bounds_check_grant(compiled, cases[i].key, cases[i].value, &error);
		if (r != (cases[i].allowed ? 0 : -EPERM))
			fail_msg("case %zu: %d, %s", i, r, error.message);
		compiled_config_free(compiled);
		config_free(config);
	}
}

static void test_requirements_bound_the_network(void **state)
{
	(void)state;
	struct texts texts = {.requirements =
				      "[network]\nallow_domain = ['**.a.org', 'c.org:22/raw']\n"
				      "monitor_domain = ['m.org']\n"
				      "allow_cidr = ['10.1.0.0/16:443']\n"};
	static char *const within[] = {"allow-domain=a.org", "allow-domain=x.y.a.org",
		"allow-domain=*.b.a.org:443", "allow-domain=c.org:22/raw", "monitor-domain=m.org",
		"ask-domain=m.org", "allow-cidr=10.1.2.0/24:443", "deny-domain=z.org",
		"net=filtered"};
	for (size_t i = 0; i < ARRAY_SIZE(within); i++) {
		struct error error = {0};
		cleanup_free char *got =
			settings_of(&texts, (char *[]){within[i], NULL}, NULL, &error);
		if (!got)
			fail_msg("%s: %s", within[i], error.message);
	}
	static char *const wider[] = {"allow-domain=b.org", "allow-domain=xa.org",
		"allow-domain=*.org", "allow-domain=a.org:8080", "allow-domain=a.org:443/raw",
		"allow-domain=c.org:23/raw", "allow-domain=m.org", "allow-domain=*",
		"allow-cidr=10.0.0.0/8:443", "allow-cidr=10.1.2.3:444", "net=on", "net-preset=npm",
		"allow-udp=a.org:53", "publish=80", "net-ask=/x", "profile=cloud",
		"allow-domain=host.coffer.internal:80"};
	for (size_t i = 0; i < ARRAY_SIZE(wider); i++)
		expect_refused(&texts, (char *[]){wider[i], NULL}, "", "/r:2");
	struct texts on = {.requirements = "[network]\nnet = 'on'\n"};
	struct error error = {0};
	cleanup_free char *got = settings_of(&on, (char *[]){"net=on", NULL}, NULL, &error);
	assert_non_null(got);
	expect_refused(
		&on, (char *[]){"allow-domain=host.coffer.internal:80", NULL}, "wider", "/r:2");
	expect_refused(&on, (char *[]){"allow-cidr=10.0.0.1", NULL}, "wider", "/r:2");
}

static void test_an_unset_approval_follows_requirements(void **state)
{
	(void)state;
	struct config *config =
		loaded(&(struct texts){.requirements = "approvals = ['untrusted', 'never']\n"});
	assert_true(config->approval.set);
	assert_int_equal(config->approval.policy, APPROVAL_UNTRUSTED);
	assert_int_equal(config->approval_place.layer, LAYER_REQUIREMENTS);
	config_free(config);
	config = loaded(
		&(struct texts){.requirements = "approvals = ['untrusted', 'on-request']\n"});
	assert_true(config->approval.set);
	assert_int_equal(config->approval.policy, APPROVAL_ON_REQUEST);
	config_free(config);
}

static void test_hooks(void **state)
{
	(void)state;
	struct texts texts = {.requirements = "managed_hooks_only = true\n[[hook]]\n"
					      "event = 'Stop'\nargv = ['true']\n",
		.user = "[[hook]]\nevent = 'PreToolUse'\ncommand = 'true'\n"
			"timeout = '5s'\non_error = 'allow'\nbox = false\n"};
	struct config *config = loaded(&texts);
	assert_int_equal(config->hooks_count, 1);
	assert_true(config->hooks[0].managed && config->hooks[0].trusted);
	assert_int_equal(config->notices.count, 1);
	config_free(config);
	texts.requirements = NULL;
	config = loaded(&texts);
	const struct config_hook *hook = &config->hooks[0];
	assert_false(hook->managed || hook->trusted);
	assert_true(hook->on_error_allow && hook->unboxed);
	assert_int_equal(hook->timeout_ms, 5000);
	assert_int_equal(strlen(hook->hash), SHA256_HEX_BYTES - 1);
	config_free(config);
}

static void test_the_compiled_form_keeps_everything(void **state)
{
	(void)state;
	struct config *config = loaded(&(struct texts){
		.requirements = "modes = ['read-only', 'workspace-write']\n"
				"isolations = ['auto']\napprovals = ['granular']\n"
				"deny_read = ['/x']\n[network]\nallow_domain = ['a.org']\n",
		.user = "env = ['EMPTY=', 'A=b=c']\ncapture = true\n"
			"approval = {command = 'allow', secret = 'forbid'}\n"
			"[[hook]]\nevent = 'PreToolUse'\nargv = ['true']\n"
			"[[rule]]\nprefix = ['npm']\ndecision = 'ask'\n"});
	struct compiled_config *before, *after = NULL;
	assert_int_equal(compile_config(config, &before), 0);
	config_free(config);
	cleanup_buffer struct buffer form = BUFFER_INIT(MAX_COMPILED_BYTES);
	cleanup_buffer struct buffer again = BUFFER_INIT(MAX_COMPILED_BYTES);
	struct error error = {0};
	compiled_write(before, "key", &form);
	assert_int_equal(
		compiled_read(form.data, form.length_bytes, "other", &after, &error), -EBADMSG);
	assert_int_equal(compiled_read(form.data, form.length_bytes, "key", &after, &error), 0);
	assert_true(after->hooks && after->network_bounded);
	assert_int_equal(after->approval.policy, APPROVAL_GRANULAR);
	assert_int_equal(after->approval.granular[CATEGORY_SECRET], VERDICT_FORBID);
	assert_string_equal(after->settings.items[0], "env=EMPTY=");
	compiled_write(after, "key", &again);
	assert_int_equal(form.length_bytes, again.length_bytes);
	assert_memory_equal(form.data, again.data, form.length_bytes);
	compiled_config_free(before);
	compiled_config_free(after);
	/* Any cut of it is refused. */
	for (size_t length = 0; length < form.length_bytes; length++) {
		struct compiled_config *cut = NULL;
		assert_true(compiled_read(form.data, length, "key", &cut, &error) < 0);
		assert_null(cut);
	}
}

static void test_a_fault_travels(void **state)
{
	(void)state;
	struct error error = {0}, got = {0};
	error_set(&error, EINVAL, "config", "/u:1:1: what is wrong");
	cleanup_buffer struct buffer form = BUFFER_INIT(MAX_COMPILED_BYTES);
	compile_fault(&error, &form);
	struct compiled_config *none = NULL;
	assert_int_equal(compiled_read(form.data, form.length_bytes, NULL, &none, &got), -EINVAL);
	assert_string_equal(got.message, error.message);
	assert_string_equal(got.hint, "");
}

static void test_trust_records(void **state)
{
	(void)state;
	char directory[] = "/tmp/coffer-trust-XXXXXX", hash[SHA256_HEX_BYTES],
	     other[SHA256_HEX_BYTES];
	assert_non_null(mkdtemp(directory));
	cleanup_free char *below = NULL;
	assert_true(asprintf(&below, "%s/a/b", directory) > 0);
	sha256_hex("abc", 3, hash);
	sha256_hex("abd", 3, other);
	assert_string_equal(
		hash, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	assert_false(trust_holds(below, TRUST_PROJECT, "/p", hash));
	struct error error = {0};
	assert_int_equal(trust_add(below, TRUST_PROJECT, "/p", hash, &error), 0);
	assert_int_equal(trust_add(below, TRUST_HOOK, "/u", hash, &error), 0);
	assert_int_equal(trust_add(below, TRUST_HOOK, "/u", other, &error), 0);
	assert_true(trust_holds(below, TRUST_PROJECT, "/p", hash));
	assert_false(trust_holds(below, TRUST_PROJECT, "/q", hash));
	assert_false(trust_holds(below, TRUST_PROJECT, "/p", other));
	assert_true(trust_holds(below, TRUST_HOOK, "/u", hash));
	assert_true(trust_holds(below, TRUST_HOOK, "/u", other));
	assert_int_equal(trust_add(below, TRUST_PROJECT, "/p", other, &error), 0);
	assert_false(trust_holds(below, TRUST_PROJECT, "/p", hash));
	assert_int_equal(trust_remove(below, TRUST_PROJECT, "/p", &error), 0);
	assert_int_equal(trust_remove(below, TRUST_PROJECT, "/p", &error), -ENOENT);
	assert_true(trust_holds(below, TRUST_HOOK, "/u", other));
	cleanup_free char *command = NULL;
	assert_true(asprintf(&command, "rm -r %s", directory) > 0);
	assert_int_equal(system(command), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_policy_key_has_a_row),
		cmocka_unit_test(test_settings),
		cmocka_unit_test(test_layers_merge),
		cmocka_unit_test(test_faults_have_places),
		cmocka_unit_test(test_all_faults_are_told),
		cmocka_unit_test(test_contradictions_name_both_places),
		cmocka_unit_test(test_rules),
		cmocka_unit_test(test_words_of_rules_are_compiled),
		cmocka_unit_test(test_a_project_cannot_widen),
		cmocka_unit_test(test_a_project_narrows),
		cmocka_unit_test(test_a_project_that_is_wider_is_left_out),
		cmocka_unit_test(test_a_project_asks_more),
		cmocka_unit_test(test_flags_outrank_files),
		cmocka_unit_test(test_a_project_silences_the_network_unless_a_flag_opens_it),
		cmocka_unit_test(test_what_is_not_there_is_left_out),
		cmocka_unit_test(test_requirements_bound_files),
		cmocka_unit_test(test_requirements_bound_flags),
		cmocka_unit_test(test_requirements_bound_grants),
		cmocka_unit_test(test_requirements_bound_the_network),
		cmocka_unit_test(test_an_unset_approval_follows_requirements),
		cmocka_unit_test(test_hooks),
		cmocka_unit_test(test_the_compiled_form_keeps_everything),
		cmocka_unit_test(test_a_fault_travels),
		cmocka_unit_test(test_trust_records),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
