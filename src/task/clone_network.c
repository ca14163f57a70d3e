/* Theory of operation. The box of a clone reaches one host and port. For what the caller wrote that is
 * all there is to decide; what a repository wrote (.gitmodules) has to be the same host, or one that
 * the caller's own settings open. Credentials go to the one repository that they were written for, as
 * a header, so that no message, file or argument ever shows them; ssh gets the known hosts to read,
 * and an agent only if it is lent. */
#include "base/cleanup.h"
#include "base/path.h"
#include "coffer.h"
#include "task/clone_internal.h"
#include "task/git_box.h"

#include <arpa/inet.h>
#include <string.h>

static const char stage[] = "clone";

static int no_memory(const struct clone *clone)
{
	return error_set_errno(clone->error, ENOMEM, stage, "the clone");
}

/* ---- what may be reached ---- */

static bool is_address(const char *host)
{
	struct in6_addr address;
	return inet_pton(AF_INET, host, &address) == 1 || inet_pton(AF_INET6, host, &address) == 1;
}

static int format_host(const struct repository_url *url, char **ret)
{
	bool bracketed = strchr(url->host, ':') != NULL;
	return asprintf(ret, bracketed ? "[%s]:%u" : "%s:%u", url->host, url->port) < 0 ? -ENOMEM
											: 0;
}

/* 1: what the caller allows beside the repository covers it. */
static int is_allowed(const struct clone *clone, const struct repository_url *url)
{
	const struct strv *settings = clone->request->settings;
	struct coffer_policy *policy = coffer_policy_new();
	cleanup_free char *target = NULL, *text = NULL;
	struct coffer_error ignored;
	int r = policy ? format_host(url, &target) : -ENOMEM;
	for (size_t i = 0; r == 0 && settings && i < settings->count; i++) {
		cleanup_free char *setting = strdup(settings->items[i]);
		char *value = setting ? strchr(setting, '=') : NULL;
		if (value)
			*value++ = '\0';
		r = setting ? coffer_policy_set(policy, setting, value, &ignored) : -ENOMEM;
	}
	if (r == 0)
		r = coffer_net_check(policy, target, 0, &text, &ignored);
	coffer_policy_free(policy);
	return r;
}

static int refuse_host(const struct clone *clone, const struct clone_job *job, const char *why)
{
	cleanup_free char *target = NULL;
	if (format_host(&job->url, &target) < 0)
		return no_memory(clone);
	if (job->module) {
		char name[128];
		git_box_harmless(job->module, strlen(job->module), name, sizeof(name));
		error_set(clone->error, EPERM, stage, "submodule %s comes from %s, %s", name,
			target, why);
	} else {
		error_set(clone->error, EPERM, stage, "%s: %s", job->url.text, why);
	}
	return error_hint(clone->error, "--allow-domain %s would allow it", target);
}

int clone_check_host(const struct clone *clone, const struct clone_job *job)
{
	const struct repository_url *own = &clone->url;
	if (job->below)
		return 0;
	bool same = own->host && strcmp(own->host, job->url.host) == 0 &&
		    own->port == job->url.port && own->transport == job->url.transport;
	if (job->url.transport == REPOSITORY_HTTP && is_allowed(clone, &job->url) != 1)
		return refuse_host(clone, job,
			"http is not protected on its way, so its host has to be allowed by name");
	if (!same && job->module && is_allowed(clone, &job->url) != 1)
		return refuse_host(clone, job, "which is not allowed");
	return 0;
}

static bool is_network_setting(const char *setting)
{
	static const char *const keys[] = {"net", "allow-domain", "deny-domain", "monitor-domain",
		"ask-domain", "allow-cidr", "deny-cidr", "allow-udp", "upstream-", "publish",
		"proxy-variables"};
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		if (strncmp(setting, keys[i], strlen(keys[i])) == 0)
			return true;
	return false;
}

static int add_joined(struct strv *strv, const char *a, const char *b, const char *c)
{
	char *text = NULL;
	return asprintf(&text, "%s%s%s", a, b, c) < 0 ? -ENOMEM : strv_add_owned(strv, text);
}

int clone_add_settings(
	const struct clone *clone, const struct clone_job *job, struct strv *settings)
{
	static const char *const protocols[] = {[REPOSITORY_HTTPS] = "/tls",
		[REPOSITORY_HTTP] = "/http",
		[REPOSITORY_SSH] = "/raw"};
	const struct strv *more = clone->request->settings;
	int r = 0;
	for (size_t i = 0; r == 0 && more && i < more->count; i++)
		if (!job->below || !is_network_setting(more->items[i]))
			r = strv_add(settings, more->items[i]);
	if (r < 0 || job->below)
		return r < 0 ? r : strv_add(settings, "net=off");
	cleanup_free char *target = NULL;
	r = format_host(&job->url, &target);
	if (r == 0 && is_address(job->url.host))
		return add_joined(settings, "allow-cidr=", target, "");
	return r < 0 ? r
		     : add_joined(settings, "allow-domain=", target, protocols[job->url.transport]);
}

/* ---- credentials ---- */

static const char base64_letters[] =
	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static char *base64(const char *text)
{
	size_t length = strlen(text);
	char *ret = malloc((length + 2) / 3 * 4 + 1), *to = ret;
	for (size_t i = 0; ret && i < length; i += 3) {
		unsigned left = (unsigned)(length - i < 3 ? length - i : 3), bits = 0;
		for (unsigned k = 0; k < 3; k++)
			bits = bits << 8 | (k < left ? (unsigned char)text[i + k] : 0);
		for (unsigned k = 0; k < 4; k++)
			*to++ = k <= left ? base64_letters[bits >> (18 - 6 * k) & 63] : '=';
	}
	if (ret)
		*to = '\0';
	return ret;
}

/* As a header for this very repository, so that no message, file or argument ever shows them and no
 * other repository of that host is sent them. */
int clone_add_credentials(const struct clone_job *job, struct strv *environment)
{
	if (!job->url.credentials)
		return 0;
	cleanup_free char *coded = base64(job->url.credentials);
	if (!coded)
		return -ENOMEM;
	int r = git_box_set(environment, "GIT_CONFIG_COUNT", "1");
	if (r == 0)
		r = add_joined(
			environment, "GIT_CONFIG_KEY_0=http.", job->url.text, ".extraHeader");
	if (r == 0)
		r = add_joined(environment, "GIT_CONFIG_VALUE_0=Authorization: Basic ", coded, "");
	explicit_bzero(coded, strlen(coded));
	return r;
}

/* ---- ssh ---- */

#define KNOWN_HOSTS "/run/coffer/known_hosts"
#define KNOWN_HOSTS_SYSTEM "/run/coffer/known_hosts_system"
#define AGENT "/run/coffer/agent"

static const char ssh_command[] =
	"ssh -F /dev/null -o BatchMode=yes -o StrictHostKeyChecking=yes"
	" -o UserKnownHostsFile=" KNOWN_HOSTS " -o GlobalKnownHostsFile=" KNOWN_HOSTS_SYSTEM
	" -o UpdateHostKeys=no -o ForwardAgent=no -o ClearAllForwardings=yes"
	" -o PermitLocalCommand=no -o ControlPath=none -o ConnectTimeout=30";

static bool add_view(struct clone_views *views, const char *from, const char *at)
{
	char *real = from ? realpath(from, NULL) : NULL;
	if (!real)
		return false;
	views->owned[views->count] = real;
	views->items[views->count++] = (struct task_view){.from = real, .at = at};
	return true;
}

int clone_add_ssh(const struct clone *clone, struct clone_views *views, struct strv *environment,
	struct strv *settings)
{
	const char *home = getenv("HOME"), *agent = getenv("SSH_AUTH_SOCK");
	cleanup_free char *known =
		home && home[0] == '/' ? path_join(home, ".ssh/known_hosts") : NULL;
	add_view(views, known, KNOWN_HOSTS);
	add_view(views, "/etc/ssh/ssh_known_hosts", KNOWN_HOSTS_SYSTEM);
	int r = git_box_set(environment, "GIT_SSH_COMMAND", ssh_command);
	if (r == 0)
		r = strv_add(environment, "GIT_SSH_VARIANT=ssh");
	if (r < 0 || !clone->request->ssh_agent)
		return r < 0 ? no_memory(clone) : 0;
	if (!agent || agent[0] != '/' || !add_view(views, agent, AGENT)) {
		error_set(clone->error, ENOENT, stage, "there is no ssh agent to lend");
		return error_hint(clone->error, "SSH_AUTH_SOCK names the socket of a running one");
	}
	r = strv_add(environment, "SSH_AUTH_SOCK=" AGENT);
	if (r == 0)
		r = add_joined(settings, "allow-unix=", views->owned[views->count - 1], "");
	return r < 0 ? no_memory(clone) : 0;
}
