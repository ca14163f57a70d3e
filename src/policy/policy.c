#include "policy/policy.h"

#include "base/cleanup.h"
#include "base/limits.h"
#include "base/path.h"
#include "base/suggest.h"
#include "base/units.h"
#include "policy/profile.h"

#include <ctype.h>
#include <inttypes.h>
#include <string.h>

/* An enumeration as people write it. */
struct word {
	const char *name;
	int value;
};

static const struct word mode_words[] = {
	{"read-only", MODE_READ_ONLY},
	{"workspace-write", MODE_WORKSPACE_WRITE},
	{"danger-full-access", MODE_FULL_ACCESS},
};

static const struct word isolation_words[] = {
	{"auto", ISOLATION_AUTO},
	{"container", ISOLATION_CONTAINER},
	{"landlock", ISOLATION_LANDLOCK},
};

static const struct word git_words[] = {
	{"off", GIT_READ_ONLY},
	{"commit", GIT_COMMIT},
};

static const struct word witness_words[] = {
	{"off", WITNESS_OFF},
	{"on", WITNESS_ON},
	{"full", WITNESS_FULL},
};

const char *policy_mode_name(enum policy_mode mode)
{
	for (size_t i = 0; i < ARRAY_SIZE(mode_words); i++)
		if (mode_words[i].value == (int)mode)
			return mode_words[i].name;
	return "unset";
}

static int parse_word(const char *key, const char *value, const struct word *words, size_t count,
	int *ret, struct error *error)
{
	char known[256] = "";
	for (size_t i = 0; i < count; i++) {
		if (strcmp(words[i].name, value) == 0) {
			*ret = words[i].value;
			return 0;
		}
		size_t used = strlen(known);
		snprintf(known + used, sizeof(known) - used, "%s%s", i ? ", " : "", words[i].name);
	}
	error_set(error, EINVAL, "policy", "--%s: '%s' is not one of: %s", key, value, known);
	const char *near = suggest_nearest(value, words, count, sizeof(*words));
	return near ? error_hint(error, "did you mean '%s'?", near) : -EINVAL;
}

/* A value that is a string the policy keeps: not empty, bounded. */
static int check_value(const char *key, const char *value, size_t max_bytes, struct error *error)
{
	if (!*value)
		return error_set(error, EINVAL, "policy", "--%s: the value is empty", key);
	if (strlen(value) >= max_bytes)
		return error_set(error, E2BIG, "policy",
			"--%s: the value has %zu bytes; at most %zu are allowed", key,
			strlen(value), max_bytes - 1);
	return 0;
}

static int set_mode(struct policy *policy, const char *key, const char *value, struct error *error)
{
	int mode;
	int r = parse_word(key, value, mode_words, ARRAY_SIZE(mode_words), &mode, error);
	if (r == 0)
		policy->mode = (enum policy_mode)mode;
	if (r == 0) { /* whoever says so now is not who said so before */
		free(policy->mode_source);
		policy->mode_source = NULL;
	}
	return r;
}

static int set_isolation(
	struct policy *policy, const char *key, const char *value, struct error *error)
{
	int isolation;
	int r = parse_word(
		key, value, isolation_words, ARRAY_SIZE(isolation_words), &isolation, error);
	if (r == 0)
		policy->isolation = (enum isolation)isolation;
	return r;
}

static int set_git(struct policy *policy, const char *key, const char *value, struct error *error)
{
	int git;
	int r = parse_word(key, value, git_words, ARRAY_SIZE(git_words), &git, error);
	if (r == 0)
		policy->git = (enum git_access)git;
	return r;
}

static int set_witness(
	struct policy *policy, const char *key, const char *value, struct error *error)
{
	int witness;
	int r = parse_word(key, value, witness_words, ARRAY_SIZE(witness_words), &witness, error);
	if (r == 0)
		policy->witness = (enum witness_mode)witness;
	return r;
}

static int set_profile(
	struct policy *policy, const char *key, const char *value, struct error *error)
{
	const struct profile *profile = profile_find(value);
	if (profile) {
		policy->profile = profile;
		return 0;
	}
	error_set(error, EINVAL, "policy", "--%s: there is no profile '%s'", key, value);
	size_t count;
	const struct profile *table = profile_table(&count);
	const char *near = suggest_nearest(value, table, count, sizeof(*table));
	return near ? error_hint(error, "did you mean '%s'? `coffer profiles` lists them", near)
		    : error_hint(error, "`coffer profiles` lists them");
}

/* The last one counts. */
static int set_path(char **path, const char *key, const char *value, struct error *error)
{
	int r = check_value(key, value, MAX_PATH_BYTES, error);
	if (r < 0)
		return r;
	char *copy = strdup(value);
	if (!copy)
		return error_set_errno(error, ENOMEM, "policy", "--%s", key);
	free(*path);
	*path = copy;
	return 0;
}

static int set_directory(
	struct policy *policy, const char *key, const char *value, struct error *error)
{
	return set_path(&policy->directory, key, value, error);
}

static int set_net_log(
	struct policy *policy, const char *key, const char *value, struct error *error)
{
	return set_path(&policy->net_log, key, value, error);
}

static int set_net_ask(
	struct policy *policy, const char *key, const char *value, struct error *error)
{
	return set_path(&policy->net_ask, key, value, error);
}

static int add_path(struct policy *policy, const char *key, const char *value,
	enum path_access access, struct error *error)
{
	int r = check_value(key, value, MAX_PATH_BYTES, error);
	if (r < 0)
		return r;
	if (policy->paths_count >= MAX_POLICY_PATHS)
		return error_set(
			error, E2BIG, "policy", "more than %d paths are given", MAX_POLICY_PATHS);
	struct policy_path *paths =
		reallocarray(policy->paths, policy->paths_count + 1, sizeof(*paths));
	if (!paths)
		return error_set_errno(error, ENOMEM, "policy", "--%s", key);
	policy->paths = paths;
	char *copy = strdup(value);
	if (!copy)
		return error_set_errno(error, ENOMEM, "policy", "--%s", key);
	paths[policy->paths_count++] = (struct policy_path){.path = copy, .access = access};
	return 0;
}

static int set_write(struct policy *policy, const char *key, const char *value, struct error *error)
{
	return add_path(policy, key, value, ACCESS_WRITE, error);
}

static int set_read_only(
	struct policy *policy, const char *key, const char *value, struct error *error)
{
	return add_path(policy, key, value, ACCESS_READ_ONLY, error);
}

static int set_deny_read(
	struct policy *policy, const char *key, const char *value, struct error *error)
{
	return add_path(policy, key, value, ACCESS_DENY_READ, error);
}

static int set_allow_read(
	struct policy *policy, const char *key, const char *value, struct error *error)
{
	return add_path(policy, key, value, ACCESS_ALLOW_READ, error);
}

static int set_allow_unix(
	struct policy *policy, const char *key, const char *value, struct error *error)
{
	return add_path(policy, key, value, ACCESS_CONNECT, error);
}

static int add_string(struct strv *strv, const char *key, const char *value, size_t max_bytes,
	struct error *error)
{
	int r = check_value(key, value, max_bytes, error);
	if (r < 0)
		return r;
	if (strv->count >= MAX_POLICY_ENV)
		return error_set(error, E2BIG, "policy", "--%s is given more than %d times", key,
			MAX_POLICY_ENV);
	return strv_add(strv, value) < 0 ? error_set_errno(error, ENOMEM, "policy", "--%s", key)
					 : 0;
}

static int set_device(
	struct policy *policy, const char *key, const char *value, struct error *error)
{
	if (value[0] != '/')
		return error_set(error, EINVAL, "policy",
			"--%s: '%s' is not an absolute path such as /dev/dri/renderD128", key,
			value);
	return add_string(&policy->devices, key, value, MAX_PATH_BYTES, error);
}

static int set_env(struct policy *policy, const char *key, const char *value, struct error *error)
{
	if (value[0] == '=' || (isdigit((unsigned char)value[0])))
		return error_set(error, EINVAL, "policy",
			"--%s: '%s' is neither NAME nor NAME=VALUE", key, value);
	return add_string(&policy->environment, key, value, MAX_POLICY_VALUE_BYTES, error);
}

static int set_python_path(
	struct policy *policy, const char *key, const char *value, struct error *error)
{
	return add_string(&policy->python_path, key, value, MAX_PATH_BYTES, error);
}

struct limit_key {
	const char *name;
	unsigned bit;
	size_t offset;
	int (*parse)(const char *text, uint64_t *ret);
	uint64_t smallest; /* less cannot even start a process */
	const char *example;
};

/* CPUs as people write them: "2", "0.5". */
static int parse_cpus(const char *text, uint64_t *ret_milli)
{
	/* The fraction parser of durations serves: bare numbers are scaled by 1000. */
	if (strspn(text, "0123456789.") != strlen(text))
		return -EINVAL;
	return units_parse_duration(text, ret_milli);
}

#define LIMIT_KEY(field) offsetof(struct limits, field)

static const struct limit_key limit_keys[] = {
	{"memory", LIMIT_MEMORY, LIMIT_KEY(memory_bytes), units_parse_bytes, 1 << 20, "512M"},
	{"cpu", LIMIT_CPU, LIMIT_KEY(cpu_milli), parse_cpus, 10, "0.5"},
	{"pids", LIMIT_PIDS, LIMIT_KEY(pids), units_parse_count, 1, "256"},
	{"disk", LIMIT_DISK, LIMIT_KEY(disk_bytes), units_parse_bytes, 4096, "100M"},
	{"inodes", LIMIT_INODES, LIMIT_KEY(inodes), units_parse_count, 1, "10k"},
	{"files", LIMIT_OPEN_FILES, LIMIT_KEY(open_files), units_parse_count, 8, "1024"},
	{"output", LIMIT_OUTPUT, LIMIT_KEY(output_bytes), units_parse_bytes, 1, "1M"},
	{"tmp", LIMIT_TMP, LIMIT_KEY(tmp_bytes), units_parse_bytes, 4096, "256M"},
	{"time", LIMIT_TIME, LIMIT_KEY(time_ms), units_parse_duration, 1, "30s"},
	{"grace", LIMIT_GRACE, LIMIT_KEY(grace_ms), units_parse_duration, 0, "5s"},
};

static int set_one_limit(struct policy *policy, const char *key, char *item, struct error *error)
{
	char *equals = strchr(item, '=');
	if (equals)
		*equals++ = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(limit_keys); i++) {
		const struct limit_key *limit = &limit_keys[i];
		if (strcmp(item, limit->name) != 0)
			continue;
		uint64_t value = 0;
		int r = equals ? 0 : -EINVAL;
		if (equals && strcmp(equals, "none") != 0)
			r = limit->parse(equals, &value);
		if (r < 0)
			return error_set(error, EINVAL, "policy",
				"--%s: %s='%s' is not a value for %s; write for example %s=%s", key,
				limit->name, equals ? equals : "", limit->name, limit->name,
				limit->example);
		if (value < limit->smallest && strcmp(equals, "none") != 0)
			return error_set(error, EINVAL, "policy",
				"--%s: %s=%s is too small: the least that can work is %" PRIu64,
				key, limit->name, equals, limit->smallest);
		memcpy((char *)&policy->limits + limit->offset, &value, sizeof(value));
		policy->limits_asked |= limit->bit;
		return 0;
	}
	error_set(error, EINVAL, "policy", "--%s: there is no limit '%s'", key, item);
	const char *near =
		suggest_nearest(item, limit_keys, ARRAY_SIZE(limit_keys), sizeof(limit_keys[0]));
	return near ? error_hint(error, "did you mean '%s'?", near)
		    : error_hint(error,
			      "limits are: memory, cpu, pids, disk, inodes, files, output, "
			      "tmp, time, grace");
}

static int set_limit(struct policy *policy, const char *key, const char *value, struct error *error)
{
	int r = check_value(key, value, MAX_POLICY_VALUE_BYTES, error);
	if (r < 0)
		return r;
	cleanup_free char *copy = strdup(value);
	if (!copy)
		return error_set_errno(error, ENOMEM, "policy", "--%s", key);
	/* All or nothing: a list with one bad item leaves the policy as it was. */
	struct limits limits = policy->limits;
	unsigned asked = policy->limits_asked;
	char *rest = copy;
	for (char *item; (item = strsep(&rest, ","));) {
		r = set_one_limit(policy, key, item, error);
		if (r < 0) {
			policy->limits = limits;
			policy->limits_asked = asked;
			return r;
		}
	}
	return 0;
}

static int set_share_tmp(
	struct policy *policy, const char *key, const char *value, struct error *error)
{
	(void)key, (void)value, (void)error;
	policy->share_tmp = true;
	return 0;
}

static int set_env_all(
	struct policy *policy, const char *key, const char *value, struct error *error)
{
	(void)key, (void)value, (void)error;
	policy->environment_all = true;
	return 0;
}

static int set_allow_userns(
	struct policy *policy, const char *key, const char *value, struct error *error)
{
	(void)key, (void)value, (void)error;
	policy->allow_userns = true;
	return 0;
}

static int set_best_effort(
	struct policy *policy, const char *key, const char *value, struct error *error)
{
	(void)key, (void)value, (void)error;
	policy->best_effort = true;
	return 0;
}

static int set_capture(
	struct policy *policy, const char *key, const char *value, struct error *error)
{
	(void)key, (void)value, (void)error;
	policy->capture = true;
	return 0;
}

static int set_trace(struct policy *policy, const char *key, const char *value, struct error *error)
{
	(void)key, (void)value, (void)error;
	policy->trace = true;
	return 0;
}

static int set_trace_access(
	struct policy *policy, const char *key, const char *value, struct error *error)
{
	(void)key, (void)value, (void)error;
	policy->trace_access = true;
	return 0;
}

static int set_pass_controls(
	struct policy *policy, const char *key, const char *value, struct error *error)
{
	(void)key, (void)value, (void)error;
	policy->pass_controls = true;
	return 0;
}

static int set_hide_secrets(
	struct policy *policy, const char *key, const char *value, struct error *error)
{
	(void)key, (void)value, (void)error;
	policy->hide_secrets = true;
	return 0;
}

static int set_layer_system(
	struct policy *policy, const char *key, const char *value, struct error *error)
{
	(void)key, (void)value, (void)error;
	policy->layer_system = true;
	return 0;
}

/* All keys of the network: network.c has a table of its own. */
static int set_network(
	struct policy *policy, const char *key, const char *value, struct error *error)
{
	return network_set(&policy->network, key, value, NULL, error);
}

typedef int (*policy_setter)(
	struct policy *policy, const char *key, const char *value, struct error *error);

static const struct policy_key keys[] = {
	{"mode", "MODE", "read-only, workspace-write or danger-full-access"},
	{"profile", "NAME", "start from a named profile (see `coffer profiles`)"},
	{"isolation", "TIER", "auto, container or landlock"},
	{"directory", "DIR", "the workspace and working directory (also -C DIR)"},
	{"write", "DIR", "a further writable root"},
	{"read-only", "PATH", "a carve-out inside a writable root"},
	{"deny-read", "PATH|GLOB", "hide it (** matches any depth)"},
	{"allow-read", "PATH", "show it, though it is hidden by default"},
	{"share-tmp", NULL, "use the host's /tmp instead of a private one"},
	{"git", "off|commit", "off: repositories are read-only; commit: work on a checked layer"},
	{"layer-system", NULL, "as root, with --layer: /usr, /etc, /home, ... on the layer, too"},
	{"env", "NAME[=VALUE]", "pass or set an environment variable"},
	{"env-all", NULL, "pass the whole environment, secrets included"},
	{"limit", "LIST",
		"memory=512M,cpu=1,time=30s,pids=256,disk=100M,inodes=,files=,output=,..."},
	{"device", "PATH", "one more device node, such as a GPU"},
	{"allow-userns", NULL, "user namespaces inside (browsers' own sandboxes want them)"},
	{"best-effort", NULL, "run even if something asked for cannot be enforced here"},
	{"capture", NULL, "keep head and tail of the output in the report"},
	{"trace", NULL, "when it fails: the report says what went wrong, and where"},
	{"witness", "on|full|off",
		"tell of refused file calls: of dynamic programs, of all, of none"},
	{"trace-access", NULL, "list in the report all that the command reads and writes"},
	{"pass-controls", NULL, "strict, cloud: leave terminal control sequences in the output"},
	{"hide-secrets", NULL, "hide secret files of the workspace, not only protect them"},
	{"python-path", "DIR", "strict: a directory for PYTHONPATH"},
	{"net", "off|on|filtered", "off by default; on: all that is public; filtered: the rules"},
	{"allow-domain", "NAME[:PORTS][/PROTOCOL]", "open a name (*.NAME: those below it)"},
	{"deny-domain", "NAME[:PORTS]", "never this one, whatever else is allowed"},
	{"monitor-domain", "NAME[:PORTS][/PROTOCOL]", "open a name and log what it is used for"},
	{"ask-domain", "NAME[:PORTS][/PROTOCOL]", "ask before it is used"},
	{"allow-cidr", "ADDRESS[/BITS][:PORTS]", "open addresses, private ones too"},
	{"deny-cidr", "ADDRESS[/BITS][:PORTS]", "never these addresses"},
	{"net-preset", "NAME", "open what a tool needs (see `coffer net presets`)"},
	{"net-read", NULL, "requests that read only: GET, HEAD, OPTIONS"},
	{"net-inspect", "NAME", "look into TLS to this name"},
	{"net-request", "[!]METHOD NAME/PATH", "only such requests (!: all but such)"},
	{"net-secret", "name=,host=,from=,...", "a secret that is put in outside, for one host"},
	{"net-limit", "LIST", "requests=100/m,connections=10/s,rate=50M,total=1G,over=refuse"},
	{"net-resolver", "ADDRESS[:PORT]", "ask this DNS server instead of the host's"},
	{"allow-udp", "HOST:PORT", "open one UDP port of a host"},
	{"publish", "[HOSTPORT:]PORT", "a loopback port of the host leads to the box's"},
	{"upstream-proxy", "URL", "go out through this HTTP proxy"},
	{"upstream-ca", "FILE", "trust these certificates as well"},
	{"proxy-variables", NULL, "set HTTP_PROXY and its like inside"},
	{"net-log", "FILE|-", "write each decision about the network there, as JSON lines"},
	{"allow-unix", "PATH", "a unix socket of the host that may be connected to"},
	{"net-ask", "SOCKET", "ask the program that listens there for names that no rule decides"},
};

/* In the order of keys. */
static const policy_setter setters[] = {
	set_mode,
	set_profile,
	set_isolation,
	set_directory,
	set_write,
	set_read_only,
	set_deny_read,
	set_allow_read,
	set_share_tmp,
	set_git,
	set_layer_system,
	set_env,
	set_env_all,
	set_limit,
	set_device,
	set_allow_userns,
	set_best_effort,
	set_capture,
	set_trace,
	set_witness,
	set_trace_access,
	set_pass_controls,
	set_hide_secrets,
	set_python_path,
	set_network, /* net */
	set_network, /* allow-domain */
	set_network, /* deny-domain */
	set_network, /* monitor-domain */
	set_network, /* ask-domain */
	set_network, /* allow-cidr */
	set_network, /* deny-cidr */
	set_network, /* net-preset */
	set_network, /* net-read */
	set_network, /* net-inspect */
	set_network, /* net-request */
	set_network, /* net-secret */
	set_network, /* net-limit */
	set_network, /* net-resolver */
	set_network, /* allow-udp */
	set_network, /* publish */
	set_network, /* upstream-proxy */
	set_network, /* upstream-ca */
	set_network, /* proxy-variables */
	set_net_log,
	set_allow_unix,
	set_net_ask,
};

_Static_assert(ARRAY_SIZE(keys) == ARRAY_SIZE(setters), "one setter for each key");

const struct policy_key *policy_keys(size_t *ret_count)
{
	*ret_count = ARRAY_SIZE(keys);
	return keys;
}

int policy_grant_write(struct policy *policy, const char *directory, struct error *error)
{
	int r = add_path(policy, "grant-write", directory, ACCESS_WRITE, error);
	if (r == 0)
		policy->paths[policy->paths_count - 1].granted = true;
	return r;
}

int policy_set(struct policy *policy, const char *key, const char *value, struct error *error)
{
	if (strcmp(key, "grant-write") == 0 && value)
		return policy_grant_write(policy, value, error);
	if (strcmp(key, "net-hold") == 0)
		return set_network(policy, key, value, error);
	int r = places_set(&policy->places, key, value, error);
	if (r != -ENOKEY)
		return r;
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		if (strcmp(keys[i].name, key) != 0)
			continue;
		if (keys[i].argument && !value)
			return error_set(error, EINVAL, "policy", "--%s needs a value: --%s %s",
				key, key, keys[i].argument);
		if (!keys[i].argument && value)
			return error_set(error, EINVAL, "policy", "--%s takes no value", key);
		return setters[i](policy, key, value, error);
	}
	error_set(error, EINVAL, "policy", "there is no option '--%s'", key);
	const char *near = suggest_nearest(key, keys, ARRAY_SIZE(keys), sizeof(keys[0]));
	return near ? error_hint(error, "did you mean --%s?", near) : -EINVAL;
}

enum witness_mode policy_witness(const struct policy *policy)
{
	if (policy->mode == MODE_FULL_ACCESS)
		return WITNESS_OFF; /* there is nothing that refuses */
	if (policy->trace_access)
		return WITNESS_FULL;
	if (policy->witness)
		return policy->witness;
	/* Strict's list of system calls has no room for reports; and where programs may make roots
	 * of their own, the library would be missing there, which the dynamic linker complains
	 * of. */
	bool fits = policy->profile->seccomp == SECCOMP_DEFAULT && !policy->allow_userns;
	return fits ? WITNESS_ON : WITNESS_OFF;
}

/* Remembers where the setting just made stands. */
static int note_source(
	struct policy *policy, size_t paths_before, const char *key, const char *source)
{
	char **place = NULL;
	if (policy->paths_count > paths_before)
		place = &policy->paths[policy->paths_count - 1].source;
	else if (strcmp(key, "mode") == 0)
		place = &policy->mode_source;
	if (!place)
		return 0;
	free(*place);
	*place = strdup(source);
	return *place ? 0 : -ENOMEM;
}

int policy_set_from(struct policy *policy, const char *key, const char *value, const char *source,
	struct error *error)
{
	size_t paths = policy->paths_count;
	cleanup_free char *rule = NULL;
	if (asprintf(&rule, "%s %s (%s)", key, value ? value : "", source) < 0) {
		rule = NULL;
		return error_set_errno(error, ENOMEM, "policy", "--%s", key);
	}
	int r = network_set(&policy->network, key, value, rule, error);
	if (r != -ENOENT)
		return r;
	r = policy_set(policy, key, value, error);
	if (r == 0 && note_source(policy, paths, key, source) < 0)
		r = error_set_errno(error, ENOMEM, "policy", "--%s", key);
	return r;
}

int policy_new(struct policy **ret)
{
	struct policy *policy = calloc(1, sizeof(*policy));
	if (!policy)
		return -ENOMEM;
	policy->profile = profile_find("local");
	network_policy_init(&policy->network);
	*ret = policy;
	return 0;
}

void policy_free(struct policy *policy)
{
	if (!policy)
		return;
	for (size_t i = 0; i < policy->paths_count; i++) {
		free(policy->paths[i].path);
		free(policy->paths[i].source);
	}
	free(policy->paths);
	free(policy->mode_source);
	free(policy->directory);
	strv_release(&policy->devices);
	strv_release(&policy->environment);
	strv_release(&policy->python_path);
	network_policy_release(&policy->network);
	free(policy->net_log);
	free(policy->net_ask);
	places_release(&policy->places);
	free(policy);
}

static bool policy_has(const struct policy *policy, enum path_access access)
{
	for (size_t i = 0; i < policy->paths_count; i++)
		if (policy->paths[i].access == access && !policy->paths[i].granted)
			return true;
	return false;
}

static int contradiction(struct error *error, const char *what, const char *why, const char *hint)
{
	error_set(error, EINVAL, "policy", "%s: %s", what, why);
	return error_hint(error, "%s", hint);
}

static int add_profile_network(
	const struct profile *profile, bool open, struct network_policy *ret, struct error *error)
{
	char from[64];
	snprintf(from, sizeof(from), "--profile %s", profile->name);
	int r = profile->net_limit ? network_set(ret, "net-limit", profile->net_limit, from, error)
				   : 0;
	for (const char *const *preset = profile->net_presets; r == 0 && open && preset && *preset;
		preset++)
		r = network_set(ret, "net-preset", *preset, from, error);
	return r;
}

int policy_network(const struct policy *policy, struct network_policy *ret, struct error *error)
{
	const struct network_policy *written = &policy->network;
	network_policy_init(ret);
	/* Rules that only deny, and limits, leave the profile's list, which they narrow. */
	bool own = written->mode == NETWORK_OFF || written->mode == NETWORK_ON ||
		   network_opens(written);
	int r = add_profile_network(policy->profile, !own, ret, error);
	for (size_t i = 0; r == 0 && i < written->settings_count; i++) {
		const struct network_setting *setting = &written->settings[i];
		r = network_set(ret, setting->key, setting->value, setting->source, error);
	}
	/* Somebody to ask makes every name that nothing more specific is about one to be asked
	 * for. */
	if (r == 0 && policy->net_ask && written->mode != NETWORK_OFF &&
		written->mode != NETWORK_ON)
		r = network_set(ret, "ask-domain", "*", "--net-ask", error);
	return r < 0 ? r : network_validate(ret, error);
}

/* Where nothing could keep a rule of the network. */
static int validate_network(const struct policy *policy, enum policy_mode mode, struct error *error)
{
	const struct network_policy *network = &policy->network;
	bool rules = network->mode == NETWORK_ON || network->mode == NETWORK_FILTERED;
	for (size_t i = 0; i < network->settings_count; i++)
		rules = rules || strcmp(network->settings[i].key, "net") != 0;
	if (mode == MODE_FULL_ACCESS && network->settings_count > 0)
		return contradiction(error, "network rules with --mode danger-full-access",
			"there is no box in this mode that could keep them",
			"use --mode workspace-write");
	if (policy->profile->view == VIEW_STRICT && rules)
		return contradiction(error, "network rules with --profile strict",
			"no socket can be made in it at all", "use --profile local or cloud");
	if (policy->profile->view == VIEW_STRICT && policy->net_ask)
		return contradiction(error, "--net-ask with --profile strict",
			"no socket can be made in it at all", "drop one of the two");
	if (network->settings_count == 0)
		return 0; /* the profile's own */
	struct network_policy settled;
	int r = policy_network(policy, &settled, error);
	network_policy_release(&settled);
	return r;
}

static int validate_layer(const struct policy *policy, enum policy_mode mode, struct error *error)
{
	const struct policy_places *places = &policy->places;
	if (!places->layer) {
		if (policy->layer_system)
			return contradiction(error, "--layer-system without --layer",
				"system directories are written on a layer only", "add --layer");
		return places->roots.count == 0
			       ? 0
			       : error_set(error, EINVAL, "policy", "layer-root without layer-dir");
	}
	if (mode == MODE_FULL_ACCESS)
		return contradiction(error, "--layer with --mode danger-full-access",
			"there is no box in this mode that could keep what is written apart",
			"use --mode workspace-write");
	if (policy->git == GIT_COMMIT)
		return contradiction(error, "--layer with --git commit",
			"a commit would be written back to the repository",
			"commit what was applied, outside");
	if (policy->layer_system && policy->profile->view != VIEW_HOST)
		return contradiction(error, "--layer-system with a private root",
			"this profile shows system directories read-only", "use --profile local");
	if (places->roots.count > 0 && policy->profile->view != VIEW_CLOUD)
		return error_set(error, EINVAL, "policy", "layer-root is for profile cloud");
	return 0;
}

int policy_validate(const struct policy *policy, struct error *error)
{
	const struct profile *profile = policy->profile;
	enum policy_mode mode = policy->mode ? policy->mode : profile->mode;
	bool writes = policy_has(policy, ACCESS_WRITE);
	bool fences = policy_has(policy, ACCESS_READ_ONLY) || policy_has(policy, ACCESS_DENY_READ);

	if (mode == MODE_READ_ONLY && writes)
		return contradiction(error, "--write with --mode read-only",
			"nothing is writable in this mode",
			"use --mode workspace-write, or drop --write");
	if (mode == MODE_READ_ONLY && policy->git == GIT_COMMIT)
		return contradiction(error, "--git commit with --mode read-only", "a commit writes",
			"use --mode workspace-write");
	if (mode == MODE_FULL_ACCESS && (writes || fences || policy->git == GIT_COMMIT))
		return contradiction(error, "path rules with --mode danger-full-access",
			"there is no box in this mode that could keep them",
			"use --mode workspace-write with --write DIR");
	if (mode == MODE_FULL_ACCESS && policy->isolation != ISOLATION_AUTO)
		return contradiction(error, "--isolation with --mode danger-full-access",
			"this mode has no isolation", "drop one of the two");
	if (mode == MODE_FULL_ACCESS && profile->must_enforce)
		return contradiction(error, "--mode danger-full-access with a locked profile",
			"the profile promises a box", "drop --profile or --mode");
	if (policy->isolation == ISOLATION_LANDLOCK && !profile->landlock_tier_allowed) {
		error_set(error, EINVAL, "policy",
			"--profile %s with --isolation landlock: this profile needs namespaces",
			profile->name);
		return error_hint(error, "use --isolation container; `coffer doctor` tells what "
					 "this host can do");
	}
	if (profile->view == VIEW_STRICT && (policy->share_tmp || writes))
		return contradiction(error, "--share-tmp or --write with --profile strict",
			"nothing outside its discarded layer is writable in it",
			"use --profile local or cloud");
	if (profile->must_enforce && policy->best_effort)
		return contradiction(error, "--best-effort with a locked profile",
			"this profile runs fully enforced or not at all", "drop --best-effort");
	if (profile->view == VIEW_STRICT && policy->allow_userns)
		return contradiction(error, "--allow-userns with --profile strict",
			"its system call list has no room for it", "use another profile");
	if (policy->isolation == ISOLATION_LANDLOCK && policy->allow_userns)
		return contradiction(error, "--allow-userns with --isolation landlock",
			"this tier is for where there are none", "drop one of the two");
	if (profile->hide_credentials && policy->environment_all)
		return contradiction(error, "--env-all with a profile that hides credentials",
			"it would pass every secret of the environment",
			"name the variables: --env NAME");
	bool witness = policy->trace_access || policy->witness > WITNESS_OFF;
	if (witness && profile->seccomp == SECCOMP_STRICT)
		return contradiction(error, "--witness or --trace-access with --profile strict",
			"its system call list has no room for it", "use another profile");
	if (witness && mode == MODE_FULL_ACCESS)
		return contradiction(error,
			"--witness or --trace-access with --mode danger-full-access",
			"there is no box in this mode that could refuse anything",
			"use --mode workspace-write");
	if (policy_witness(policy) == WITNESS_FULL && policy->allow_userns)
		return contradiction(error, "--witness full with --allow-userns",
			"a program in a namespace of its own names files that are not the box's",
			"drop one of the two");
	if (policy->trace_access && policy->witness && policy->witness != WITNESS_FULL)
		return contradiction(error, "--trace-access with --witness on or off",
			"only full sees all that is read and written", "drop --witness");
	if (policy->python_path.count > 0 && profile->view != VIEW_STRICT)
		return contradiction(error, "--python-path without --profile strict",
			"elsewhere PYTHONPATH is an ordinary variable", "use --env PYTHONPATH=DIR");
	int r = validate_layer(policy, mode, error);
	return r < 0 ? r : validate_network(policy, mode, error);
}
