/* Theory of operation. The process in order: read the configuration, make everything that needs
 * files, children or rights (sources of secrets, resolv.conf, certificates, the helper for
 * published ports), drop the ids and whatever else is left, say READY, serve. A step that fails is
 * told to the supervisor in one message, and nothing runs: there is no egress that is half set up.
 */
#include "egress/egress.h"

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/limits.h"
#include "base/request.h"

#include <fcntl.h>
#include <grp.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>

enum {
	/* Besides two for each connection: the resolver's, the listeners', pipes, queries. */
	DESCRIPTORS_BESIDE = 512,
	CONNECTIONS_MIN = 16, /* fewer are of no use to anyone */
	/* How many events of low priority are served before the kernel is asked for urgent ones. */
	DISPATCH_MAX = 16,
	DISPATCH_US = 5000,
	SILENCE_MS = 100, /* more than a dead box's last packets take */
};

/* ---- the configuration ---- */

static int parse_id(const char *text, id_t *ret)
{
	char *end;
	errno = 0;
	unsigned long value = strtoul(text, &end, 10);
	if (errno || *end || end == text || *text < '0' || *text > '9' || value >= UINT32_MAX)
		return -EINVAL;
	*ret = (id_t)value;
	return 0;
}

static const char *option_value(const char *option, const char *name)
{
	size_t length = strlen(name);
	return strncmp(option, name, length) == 0 && option[length] == '=' ? option + length + 1
									   : NULL;
}

static int set_option(struct egress *egress, const char *option, struct error *error)
{
	const char *value;
	id_t id = 0;
	int r = 0;
	if ((value = option_value(option, EGRESS_OPTION_UID))) {
		r = parse_id(value, &id);
		egress->uid = id;
	} else if ((value = option_value(option, EGRESS_OPTION_GID))) {
		r = parse_id(value, &id);
		egress->gid = id;
	} else if ((value = option_value(option, EGRESS_OPTION_ASK))) {
		egress->ask = strcmp(value, "1") == 0;
		r = egress->ask || strcmp(value, "0") == 0 ? 0 : -EINVAL;
	} else if ((value = option_value(option, EGRESS_OPTION_TIER))) {
		egress->landlock = strcmp(value, "landlock") == 0;
		r = egress->landlock || strcmp(value, "container") == 0 ? 0 : -EINVAL;
	} else {
		r = -EINVAL;
	}
	return r < 0 ? error_set(error, EINVAL, "egress", "bad option \"%s\"", option) : 0;
}

/* The memfd must be sealed: what was checked is what is used. */
static int read_config(char **ret, size_t *ret_size, struct error *error)
{
	const int wanted = F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW;
	struct stat st;
	int seals = fcntl(EGRESS_CONFIG_FD, F_GET_SEALS);
	if (seals < 0 || (seals & wanted) != wanted || fstat(EGRESS_CONFIG_FD, &st) < 0)
		return error_set(error, EINVAL, "egress", "the configuration is no sealed memfd");
	if (st.st_size <= 0 || st.st_size > MAX_CONTROL_MESSAGE_BYTES)
		return error_set(error, EFBIG, "egress", "the configuration's size");
	cleanup_free char *data = malloc((size_t)st.st_size);
	if (!data)
		return error_set_errno(error, ENOMEM, "egress", "the configuration");
	ssize_t n = pread(EGRESS_CONFIG_FD, data, (size_t)st.st_size, 0);
	if (n != st.st_size)
		return error_set(error, EIO, "egress", "the configuration cannot be read");
	close(EGRESS_CONFIG_FD);
	*ret = steal_pointer(&data);
	*ret_size = (size_t)n;
	return 0;
}

static int set_policy(
	struct network_policy *policy, const struct strv *settings, struct error *error)
{
	if (settings->count % 3)
		return error_set(error, EINVAL, "egress", "settings are not in threes");
	for (size_t i = 0; i < settings->count; i += 3) {
		char **setting = &settings->items[i];
		int r = network_set(policy, setting[0], *setting[1] ? setting[1] : NULL,
			*setting[2] ? setting[2] : NULL, error);
		if (r == -ENOENT)
			return error_set(error, ENOENT, "egress", "no such key: %s", setting[0]);
		if (r < 0)
			return r;
	}
	return network_validate(policy, error);
}

static int configure(struct egress *egress, struct error *error)
{
	cleanup_free char *data = NULL;
	cleanup_strv struct strv settings = {0}, named = {0}, reserved = {0};
	struct strv *lists[] = {&settings, &named, &reserved};
	size_t size = 0;
	int r = read_config(&data, &size, error);
	if (r < 0)
		return r;
	if (request_parse(data, size, lists, ARRAY_SIZE(lists)) < 0 || reserved.count)
		return error_set(error, EINVAL, "egress", "the configuration is malformed");
	for (size_t i = 0; i < named.count && r == 0; i++)
		r = set_option(egress, named.items[i], error);
	return r < 0 ? r : set_policy(&egress->policy, &settings, error);
}

/* ---- making everything ---- */

/* Shares descriptors out: two for each connection, two for each UDP flow (in the landlock tier it
 * has a port of its own). Where they are few, flows have a quarter. */
static void share_descriptors(struct egress *egress, rlim_t available)
{
	rlim_t flows = egress->policy.udp_count == 0 ? 0 : available / 4 / 2;
	egress->udp_flows_max = flows < EGRESS_UDP_FLOWS_MAX ? flows : EGRESS_UDP_FLOWS_MAX;
	egress->connections_max = (size_t)available / 2 - egress->udp_flows_max;
	if (egress->connections_max > EGRESS_CONNECTIONS_MAX)
		egress->connections_max = EGRESS_CONNECTIONS_MAX;
}

/* As many connections as the descriptors suffice for. */
static int raise_descriptors(struct egress *egress, struct error *error)
{
	const rlim_t flows = egress->policy.udp_count > 0 ? EGRESS_UDP_FLOWS_MAX : 0;
	const rlim_t wanted = 2 * (EGRESS_CONNECTIONS_MAX + flows) + DESCRIPTORS_BESIDE;
	struct rlimit limit;
	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return error_set_errno(error, errno, "egress", "the limit on open files");
	if (limit.rlim_max < wanted) { /* only root may */
		const struct rlimit more = {.rlim_cur = wanted, .rlim_max = wanted};
		if (setrlimit(RLIMIT_NOFILE, &more) == 0)
			limit = more;
	}
	limit.rlim_cur = limit.rlim_max < wanted ? limit.rlim_max : wanted;
	if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
		return error_set_errno(error, errno, "egress", "the limit on open files");
	if (limit.rlim_cur < DESCRIPTORS_BESIDE + 2 * CONNECTIONS_MIN)
		return error_set(error, EMFILE, "egress",
			"only %llu open files are allowed: too few for a network",
			(unsigned long long)limit.rlim_cur);
	share_descriptors(egress, limit.rlim_cur - DESCRIPTORS_BESIDE);
	return 0;
}

static int make_base(struct egress *egress, struct error *error)
{
	struct event_config *config = event_config_new();
	if (config) {
		const struct timeval interval = {.tv_usec = DISPATCH_US};
		event_config_set_max_dispatch_interval(
			config, &interval, DISPATCH_MAX, EGRESS_PRIORITY_BULK);
		event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK);
		event_config_set_flag(config, EVENT_BASE_FLAG_IGNORE_ENV);
		event_config_require_features(config, EV_FEATURE_ET | EV_FEATURE_O1);
		egress->base = event_base_new_with_config(config);
		event_config_free(config);
	}
	if (!egress->base || event_base_priority_init(egress->base, EGRESS_PRIORITIES) < 0)
		return error_set_errno(error, ENOMEM, "egress", "the event loop");
	return 0;
}

/* Before anything else of OpenSSL: whatever is first loads openssl.cnf, which may name engines and
 * modules to load, or leave out what is needed; this process is static, and soon without files. */
static void start_openssl(const struct network_policy *policy)
{
	if (policy->secrets_count > 0 || policy->inspects_count > 0 || policy->upstream_ca)
		OPENSSL_init_ssl(OPENSSL_INIT_NO_LOAD_CONFIG, NULL);
}

static int make_parts(struct egress *egress, struct error *error)
{
	start_openssl(&egress->policy);
	/* First: its helper is a copy of this process, and secrets are not for it. */
	int r = publish_prepare(egress, error);
	if (r == 0)
		r = network_pools(
			&egress->policy, egress->ask, &egress->pools, &egress->pools_count, error);
	if (r == 0)
		r = rate_new(egress, &egress->rate, error);
	if (r == 0)
		r = routes_new(&egress->routes, error);
	if (r == 0)
		r = upstream_new(egress, &egress->upstream, error);
	if (r == 0)
		r = upstream_probe(egress->upstream, error);
	if (r == 0)
		r = standins_new(egress, &egress->standins, error);
	if (r == 0)
		r = resolver_new(egress, &egress->resolver, error);
	if (r == 0 && egress->policy.secrets_count > 0)
		r = secrets_new(egress, &egress->secrets, error);
	if (r == 0 && (egress->policy.inspects_count > 0 || egress->policy.secrets_count > 0))
		r = authority_new(egress, &egress->authority, error);
	if (r == 0 && egress->policy.upstream_ca)
		r = inspect_read_authorities(
			egress->policy.upstream_ca, &egress->upstream_ca, error);
	return r;
}

static void release(struct egress *egress)
{
	listeners_free(egress->listeners);
	broker_free(egress->broker);
	publish_stop(egress);
	authority_free(egress->authority);
	free(egress->upstream_ca);
	secrets_free(egress->secrets);
	resolver_free(egress->resolver);
	standins_free(egress->standins);
	upstream_free(egress->upstream);
	routes_free(egress->routes);
	rate_free(egress->rate);
	pipes_free(egress->pipes);
	network_pools_free(egress->pools, egress->pools_count);
	network_policy_release(&egress->policy);
	control_free(egress->control);
	if (egress->base)
		event_base_free(egress->base);
}

/* ---- dropping what is not needed any more ---- */

/* This process dies with its parent from its first moment on. Whether the parent was there then is
 * said by the control socket, which is open nowhere else. */
static int bind_to_parent(struct error *error)
{
	struct pollfd control = {.fd = EGRESS_CONTROL_FD};
	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0 || poll(&control, 1, 0) < 0)
		return error_set_errno(error, errno, "egress", "dying with its parent");
	return control.revents ? error_set(error, EPIPE, "egress", "the supervisor is gone") : 0;
}

static int drop_ids(const struct egress *egress, struct error *error)
{
	if (geteuid() != 0)
		return 0;
	if (egress->uid == 0 || egress->gid == 0)
		return error_set(error, EPERM, "egress",
			"coffer-egress does not run as root: ids to drop to are missing");
	if (setgroups(0, NULL) < 0 || setresgid(egress->gid, egress->gid, egress->gid) < 0 ||
		setresuid(egress->uid, egress->uid, egress->uid) < 0)
		return error_set_errno(error, errno, "egress", "cannot drop root's ids");
	return bind_to_parent(error); /* the change of ids has undone it */
}

/* ---- READY, or FAILED ---- */

/* The three lists for the supervisor, sealed. */
static int seal_answer(const struct egress *egress, const char *note, struct error *error)
{
	cleanup_buffer struct buffer buffer = BUFFER_INIT(MAX_CONTROL_MESSAGE_BYTES);
	cleanup_strv struct strv variables = {0};
	size_t count = egress->secrets ? secrets_count(egress->secrets) : 0;
	int r = 0;
	for (size_t i = 0; i < count && r == 0; i++)
		r = strv_add(&variables, secrets_variable(egress->secrets, i));
	cleanup_free char *authorities = NULL;
	if (r == 0 && (egress->authority || egress->upstream_ca) &&
		asprintf(&authorities, "%s%s",
			egress->authority ? authority_pem(egress->authority) : "",
			egress->upstream_ca ?: "") < 0) {
		authorities = NULL;
		r = -ENOMEM;
	}
	char *pem[] = {authorities, NULL};
	char *notes[] = {(char *)(uintptr_t)note, NULL};
	request_add(&buffer, variables.items);
	request_add(&buffer, pem);
	request_add(&buffer, notes);
	if (r == 0)
		r = request_seal(&buffer);
	return r < 0 ? error_set_errno(error, -r, "egress", "the answer to the supervisor") : r;
}

static int get_ready(struct egress *egress, struct error *error)
{
	int r = configure(egress, error);
	if (r == 0)
		r = raise_descriptors(egress, error);
	if (r == 0)
		r = make_parts(egress, error);
	if (r == 0)
		r = drop_ids(egress, error);
	if (r < 0)
		return r;
	forget_environment();
	return 0;
}

/* The answer holds a note of what Landlock lacks, and its memfd cannot be made under the filter, so
 * it is made between the two. */
static int say_ready(struct egress *egress, struct error *error)
{
	const char *note = NULL;
	int r = confine_files(&note, error);
	if (r < 0)
		return r;
	cleanup_close int answer = seal_answer(egress, note, error);
	if (answer < 0)
		return answer;
	r = confine_calls(error);
	if (r < 0)
		return r;
	const struct egress_message ready = {.kind = EGRESS_READY};
	r = control_send_now(egress->control, &ready, answer);
	return r < 0 ? error_set_errno(error, -r, "egress", "the supervisor") : 0;
}

static void say_failed(struct egress *egress, const struct error *error)
{
	const struct egress_message failed = {.kind = EGRESS_FAILED, .error = *error};
	if (egress->control)
		control_send_now(egress->control, &failed, -1);
}

static void end_delivered(struct egress *egress)
{
	struct connection *connection = TAILQ_FIRST(&egress->connections), *next;
	for (; connection; connection = next) {
		next = TAILQ_NEXT(connection, link);
		if (connection_is_delivered(connection))
			connection_end(connection);
	}
}

static bool has_to_deliver(const struct egress *egress)
{
	return !TAILQ_EMPTY(&egress->connections) || udp_is_resolving(egress) ||
	       listeners_are_knocked_at(egress->listeners);
}

static void on_drained(evutil_socket_t fd, short what, void *context)
{
	(void)fd, (void)what;
	*(bool *)context = true;
}

/* The loop's clock may be behind: its timer says when the time is over, and nothing else. */
static void drain_for(struct egress *egress, unsigned duration_ms)
{
	const struct timeval patience = {
		.tv_sec = duration_ms / 1000, .tv_usec = duration_ms % 1000 * 1000};
	bool over = false;
	struct event *timer = evtimer_new(egress->base, on_drained, &over);
	if (!timer || event_add(timer, &patience) < 0)
		over = true;
	end_delivered(egress);
	while (!over && has_to_deliver(egress) && event_base_loop(egress->base, EVLOOP_ONCE) == 0)
		end_delivered(egress);
	if (timer)
		event_free(timer);
}

/* The box has ended, but what a program sends before it exits is delivered, as a kernel does it: it
 * may still lie here, or in the backlog, or wait for a server that is being dialed. Each connection
 * comes to its end, as nobody has the other side any more; where somebody has all the same, silence
 * will do. */
static void drain(struct egress *egress)
{
	control_close_ears(egress->control);
	publish_close(egress);
	for (int i = 0; i < EGRESS_PRIORITIES; i++)
		event_base_loop(egress->base, EVLOOP_NONBLOCK);
	drain_for(egress, SILENCE_MS);
	egress->silence_will_do = true;
	drain_for(egress, EGRESS_DRAIN_MS - SILENCE_MS);
}

static void end_undelivered(struct connection *connection)
{
	struct egress_record *record = &connection->record;
	if (!record->reason[0]) {
		record->errno_value = ETIMEDOUT;
		snprintf(record->reason, sizeof(record->reason),
			"the box ended, and what it had sent last was not delivered in time");
	}
	connection_end(connection);
}

/* The box has ended: one record for everything that was still open. */
static void stop(struct egress *egress)
{
	egress->stopping = true;
	drain(egress);
	control_stop(egress->control);
	while (!TAILQ_EMPTY(&egress->connections))
		end_undelivered(TAILQ_FIRST(&egress->connections));
	udp_stop(egress);
	nflog_stop(egress);
}

int egress_main(void)
{
	struct egress egress = {0};
	struct error error = {0};
	int keep[] = {EGRESS_CONTROL_FD, EGRESS_CONFIG_FD};
	int r = bind_to_parent(&error);
	TAILQ_INIT(&egress.connections);
	network_policy_init(&egress.policy);
	signal(SIGPIPE, SIG_IGN);
	fd_close_all_but(keep, ARRAY_SIZE(keep));
	/* Sources of secrets are commands, and publishing has a helper: none gets these. */
	fcntl(EGRESS_CONTROL_FD, F_SETFD, FD_CLOEXEC);
	fcntl(EGRESS_CONFIG_FD, F_SETFD, FD_CLOEXEC);

	if (r == 0)
		r = make_base(&egress, &error);
	if (r == 0)
		r = control_new(&egress, EGRESS_CONTROL_FD, &egress.control, &error);
	if (r == 0)
		r = get_ready(&egress, &error);
	if (r == 0)
		r = say_ready(&egress, &error);
	if (r < 0) {
		say_failed(&egress, &error);
	} else {
		event_base_dispatch(egress.base);
		stop(&egress);
	}
	release(&egress);
	return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
