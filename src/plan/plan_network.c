/* Theory of operation. With any way out the box gets files and variables that lead programs to
 * egress: a resolver, a hosts file of its own, and, where TLS is inspected, certificates to trust.
 * Programs that look at none of these are led there by the box's network namespace all the same. */
#include "plan/plan_internal.h"

#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/fd.h"
#include "base/limits.h"
#include "base/path.h"
#include "policy/egress.h"
#include "policy/profile.h"
#include "policy/trust.h"

#include <fcntl.h>
#include <string.h>

bool plan_hides_secrets(const struct policy *policy, const struct network_policy *network)
{
	return policy->hide_secrets || policy->profile->hide_secrets || network_is_open(network);
}

static int add_file(
	struct planning *planning, const char *path, enum mount_kind kind, const char *content)
{
	/* Where it lies in a place that the box does not see, programs fall back to what they do
	 * without such a file: the resolver at 127.0.0.1, which is egress's as well. */
	if (!path || path_is_below(path, "/run") || path_is_below(path, "/tmp"))
		return 0;
	struct plan_mount *mount = plan_add_mount(planning, kind, path, content);
	if (!mount)
		return -E2BIG;
	mount->optional = true;
	return 0;
}

int plan_network_files(struct planning *planning)
{
	const struct findings *findings = planning->findings;
	if (!network_is_open(&planning->plan->network))
		return 0;
	int r = add_file(planning, findings->resolv_conf, MOUNT_FILE,
		"nameserver " EGRESS_ADDRESS_V4 "\noptions timeout:5 attempts:2\n");
	if (r == 0)
		r = add_file(planning, findings->hosts, MOUNT_FILE,
			"127.0.0.1 localhost coffer\n::1 localhost coffer\n");
	return r < 0 ? r : add_file(planning, findings->certificates, MOUNT_CERTIFICATES, NULL);
}

/* For programs that prefer a proxy. localhost stays the box's own. */
static int put_proxies(struct plan *plan)
{
	static const char *const http[] = {
		"HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"};
	static const char *const socks[] = {"ALL_PROXY", "all_proxy"};
	static const char *const none[] = {
		"NO_PROXY=localhost,127.0.0.1,::1", "no_proxy=localhost,127.0.0.1,::1"};
	char assignment[128];
	int r = 0;
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(http); i++) {
		snprintf(assignment, sizeof(assignment), "%s=http://%s:%d", http[i],
			EGRESS_ADDRESS_V4, EGRESS_PORT_PROXY);
		r = plan_put_variable(plan, assignment);
	}
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(socks); i++) {
		snprintf(assignment, sizeof(assignment), "%s=socks5h://%s:%d", socks[i],
			EGRESS_ADDRESS_V4, EGRESS_PORT_PROXY);
		r = plan_put_variable(plan, assignment);
	}
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(none); i++)
		r = plan_put_variable(plan, none[i]);
	return r;
}

static int plan_unix_sockets(struct planning *planning)
{
	const struct found_paths *paths = &planning->findings->paths;
	struct plan *plan = planning->plan;
	plan->unix_sockets = calloc(paths->count + 1, sizeof(*plan->unix_sockets));
	if (!plan->unix_sockets)
		return plan_out_of_memory(planning->error);
	for (size_t i = 0; i < paths->count; i++)
		if (paths->items[i].access == ACCESS_CONNECT)
			plan->unix_sockets[plan->unix_sockets_count++] = paths->items[i].id;
	return 0;
}

int plan_network(struct planning *planning)
{
	struct plan *plan = planning->plan;
	const struct policy *policy = planning->policy;
	int r = policy_network(policy, &plan->network, planning->error);
	if (r == 0)
		r = plan_unix_sockets(planning);
	if (r < 0)
		return r;
	plan->net_log = policy->net_log ? strdup(policy->net_log) : NULL;
	plan->net_ask = policy->net_ask ? strdup(policy->net_ask) : NULL;
	return (policy->net_log && !plan->net_log) || (policy->net_ask && !plan->net_ask)
		       ? plan_out_of_memory(planning->error)
		       : 0;
}

/* Values of a person's own that plan_put_authority() will put the box's bundle in the place of.
 * They are not added to it: whoever runs this may read files that a policy's writer may not. */
static int note_trust(struct plan *plan)
{
	const struct network_policy *network = &plan->network;
	size_t count;
	const struct trust_variable *variables = trust_variables(&count);
	cleanup_buffer struct buffer names = BUFFER_INIT(1024);
	if (!network->inspects_count && !network->secrets_count && !network->upstream_ca)
		return 0;
	for (size_t i = 0; i < count; i++) {
		size_t length = strlen(variables[i].name);
		for (size_t k = 0; k < plan->environment.count; k++)
			if (strncmp(plan->environment.items[k], variables[i].name, length) == 0 &&
				plan->environment.items[k][length] == '=')
				buffer_append_format(&names, "%s%s", names.length_bytes ? ", " : "",
					variables[i].name);
	}
	if (names.length_bytes == 0)
		return 0;
	return plan_note(plan, "certificates",
		"%s: the box's own bundle takes the place of what is given there, since TLS is "
		"inspected or --upstream-ca used; --upstream-ca FILE adds authorities to it",
		buffer_error(&names) ? "the usual variables" : names.data);
}

int plan_network_variables(struct planning *planning)
{
	struct plan *plan = planning->plan;
	if (network_is_open(&plan->network) && note_trust(plan) < 0)
		return plan_out_of_memory(planning->error);
	if (!network_is_open(&plan->network) || !plan->network.proxy_variables)
		return 0;
	return put_proxies(plan) < 0 ? plan_out_of_memory(planning->error) : 0;
}

/* The bundle is the host's, as it is now, and the box's own authority behind it. */
int plan_put_authority(struct plan *plan, const char *pem)
{
	cleanup_free char *host = NULL;
	const char *const *bundles = trust_bundles();
	for (size_t i = 0; bundles[i] && !host; i++) {
		int r = fd_read_file(AT_FDCWD, bundles[i], MAX_CERTIFICATES_BYTES, &host, NULL);
		if (r < 0 && r != -ENOENT && r != -ENOTDIR)
			return r;
	}
	char *all = NULL;
	if (asprintf(&all, "%s%s%s", host ? host : "", host ? "\n" : "", pem) < 0)
		return -ENOMEM;
	free(plan->certificates);
	plan->certificates = all;
	cleanup_free char *path = NULL;
	if (plan->tier == TIER_CONTAINER)
		path = strdup(CERTIFICATES_INSIDE);
	else if (plan->tmpdir && asprintf(&path, "%s/" CERTIFICATES_NAME, plan->tmpdir) < 0)
		path = NULL;
	else if (!plan->tmpdir)
		return 0; /* nothing is inspected without a box */
	if (!path)
		return -ENOMEM;
	size_t count;
	const struct trust_variable *variables = trust_variables(&count);
	int r = 0;
	for (size_t i = 0; r == 0 && i < count; i++) {
		cleanup_free char *assignment = NULL;
		if (asprintf(&assignment, "%s=%s", variables[i].name, path) < 0) {
			assignment = NULL;
			return -ENOMEM;
		}
		r = plan_put_variable(plan, assignment);
	}
	return r;
}
