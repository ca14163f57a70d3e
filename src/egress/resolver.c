/* The DNS server inside the box. It is no forwarder: what leaves the host is only the question
 * whether an allowed name exists, and what comes back is only a stand-in address. No record that
 * somebody else wrote ever enters the box, so none can carry a message in, or the keys of an
 * encrypted ClientHello (HTTPS records), or an address to be rebound. A name that is not allowed
 * does not exist, at once. */
#include "egress/resolver.h"

#include "base/cleanup.h"

#include <string.h>
#include <strings.h>

struct question {
	TAILQ_ENTRY(question) link;
	struct resolver *resolver;
	struct reply_to to;
	struct dns_query query;
	char name[NETWORK_NAME_BYTES]; /* normalized */
	struct network_decision decision;
	bool resolving;
};

static const struct in6_addr loopback_v4 = {
	.s6_addr = {[10] = 0xff, [11] = 0xff, [12] = 127, [15] = 1}};

/* --- the end of a question ------------------------------------------------------------------ */

static void question_free(struct question *question)
{
	struct resolver *resolver = question->resolver;
	if (question->resolving)
		upstream_forget(resolver->egress->upstream, question);
	TAILQ_REMOVE(&resolver->questions, question, link);
	resolver->questions_count--;
	free(question);
}

static void reply(struct question *question, const struct dns_answer *answer)
{
	serve_reply(&question->to, &question->query, answer);
	question_free(question);
}

static void reply_code(struct question *question, enum dns_rcode rcode)
{
	reply(question, &(struct dns_answer){.rcode = rcode});
}

/* The address of the family that was asked for; nothing for other types, whose data stays out. */
static void reply_addresses(
	struct question *question, const struct in6_addr *v4, const struct in6_addr *v6)
{
	uint16_t type = question->query.type;
	reply(question, &(struct dns_answer){.address = type == DNS_TYPE_A      ? v4
							: type == DNS_TYPE_AAAA ? v6
										: NULL,
				.ttl_s = RESOLVER_TTL_S});
}

static void fill_client(struct egress_record *record, const struct reply_to *to)
{
	if (to->udp && to->peer.ss_family == AF_INET) {
		const struct sockaddr_in *peer = (const struct sockaddr_in *)&to->peer;
		record->client_port = ntohs(peer->sin_port);
		record->client_address.s6_addr[10] = record->client_address.s6_addr[11] = 0xff;
		memcpy(record->client_address.s6_addr + 12, &peer->sin_addr, 4);
	} else if (to->udp && to->peer.ss_family == AF_INET6) {
		const struct sockaddr_in6 *peer = (const struct sockaddr_in6 *)&to->peer;
		record->client_port = ntohs(peer->sin6_port);
		record->client_address = peer->sin6_addr;
	}
}

static void note(struct question *question, const char *name, enum network_verdict verdict,
	int errno_value, const char *reason)
{
	const struct network_rule *rule = question->decision.rule;
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	struct egress_record record = {
		.time_ms = (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000,
		.errno_value = errno_value,
		.verdict = (uint8_t)verdict,
		.how = EGRESS_HOW_RESOLVER,
		.count = 1,
	};
	fill_client(&record, &question->to);
	/* A log is text: what a stranger wrote enters it as printable ASCII. */
	snprintf(record.name, sizeof(record.name), "%s", name);
	for (char *c = record.name; *c; c++)
		*c = *c > ' ' && *c < 0x7f ? *c : '?';
	snprintf(record.rule, sizeof(record.rule), "%s",
		rule && rule->source ? rule->source : "default");
	snprintf(record.reason, sizeof(record.reason), "%s", reason);
	notes_add(question->resolver->notes, &record, question->query.type);
}

static void refuse(struct question *question, const char *name, const char *reason)
{
	note(question, name, NETWORK_DENY, EHOSTUNREACH, reason);
	reply_code(question, DNS_NXDOMAIN);
}

/* --- names that are allowed ----------------------------------------------------------------- */

static void give_standin(struct question *question)
{
	struct in6_addr v4, v6;
	int r = standins_of_name(question->resolver->egress->standins, question->name, &v4, &v6);
	if (r == -ENOENT) {
		refuse(question, question->name, "no rule allows it on any port");
	} else if (r < 0) {
		note(question, question->name, question->decision.verdict, -r,
			"there is no room for its stand-in address");
		reply_code(question, DNS_SERVFAIL);
	} else {
		reply_addresses(question, &v4, &v6);
	}
}

static void on_resolved(void *context, const struct upstream_answer *answer)
{
	struct question *question = context;
	enum network_verdict verdict = question->decision.verdict;
	question->resolving = false;
	switch (answer->status) {
	case 0:
		give_standin(question);
		break;
	case -ENODATA:
		note(question, question->name, verdict, EHOSTUNREACH, answer->reason);
		reply_code(question, DNS_NOERROR);
		break;
	case -ENOENT:
		note(question, question->name, verdict, ENOENT, answer->reason);
		reply_code(question, DNS_NXDOMAIN);
		break;
	case -EACCES:
		refuse(question, question->name, answer->reason);
		break;
	case -EDQUOT:
		note(question, question->name, NETWORK_DENY, EDQUOT, answer->reason);
		reply_code(question, DNS_REFUSED);
		break;
	default:
		note(question, question->name, verdict, -answer->status, answer->reason);
		reply_code(question, DNS_SERVFAIL);
	}
}

/* With an upstream proxy it is the proxy that knows names; the host's loopback has no other. */
static void resolve(struct question *question)
{
	struct egress *egress = question->resolver->egress;
	if (egress->policy.upstream_proxy || strcmp(question->name, NETWORK_HOST_NAME) == 0) {
		give_standin(question);
		return;
	}
	question->resolving = true;
	upstream_resolve(egress->upstream, question->name, on_resolved, question);
}

/* --- the decision --------------------------------------------------------------------------- */

/* _service._protocol.HOST (RFC 8552) is never a host. Programs look there first and take no for
 * an answer, so for a host that is allowed there is nothing to tell. */
static bool is_service_of_allowed(const struct network_policy *policy, const char *name)
{
	const char *host = name;
	while (*host == '_') {
		host += strcspn(host, ".");
		host += *host == '.';
	}
	struct network_decision decision;
	if (host == name || !*host)
		return false;
	network_decide_name(policy, host, 0, &decision);
	return decision.verdict != NETWORK_DENY;
}

/* The connection is what somebody is asked for, and it can wait for longer than a resolver is
 * waited for; until then no question leaves the host. There is one address only: a program that is
 * refused would try the next, and somebody would be asked again. */
static void answer_asked(struct question *question)
{
	if (question->query.type == DNS_TYPE_AAAA)
		reply_code(question, DNS_NOERROR);
	else
		give_standin(question);
}

static void decide(struct question *question)
{
	const struct egress *egress = question->resolver->egress;
	const struct network_policy *policy = &egress->policy;
	struct network_decision *decision = &question->decision;
	struct in6_addr v4, v6;
	network_decide_name(policy, question->name, 0, decision);
	/* What only an allow-udp rule names is known to no rule by name, and denied by none. */
	if (decision->verdict == NETWORK_DENY && !decision->rule &&
		network_udp_standin(policy, question->name, &v4, &v6) == 0 &&
		!network_special_name(question->name))
		decision->verdict = NETWORK_ALLOW;

	if (decision->verdict == NETWORK_DENY && is_service_of_allowed(policy, question->name))
		reply_code(question, DNS_NXDOMAIN);
	else if (decision->verdict == NETWORK_DENY)
		refuse(question, question->name, decision->reason);
	else if (decision->verdict == NETWORK_ASK && !egress->ask)
		refuse(question, question->name,
			"it would have to be asked for, and nobody can be");
	else if (decision->verdict == NETWORK_ASK || policy->hold)
		answer_asked(question); /* nothing is looked up before somebody has said yes */
	else
		resolve(question);
}

/* --- what is answered without a decision ---------------------------------------------------- */

static bool is_localhost(const char *name)
{
	size_t length = strlen(name), suffix = strlen("localhost");
	return strcasecmp(name, "localhost") == 0 ||
	       (length > suffix && strcasecmp(name + length - suffix, "localhost") == 0 &&
		       name[length - suffix - 1] == '.');
}

/* The name behind a stand-in address, so that what prints peers prints names. */
static void reply_pointer(struct question *question, const struct in6_addr *address)
{
	struct standins *standins = question->resolver->egress->standins;
	const char *name =
		IN6_ARE_ADDR_EQUAL(address, &loopback_v4) || IN6_IS_ADDR_LOOPBACK(address)
			? "localhost"
			: standins_name(standins, address);
	if (!name)
		reply_code(question, DNS_NXDOMAIN);
	else if (question->query.type != DNS_TYPE_PTR)
		reply_code(question, DNS_NOERROR);
	else
		reply(question, &(struct dns_answer){.pointer = name, .ttl_s = RESOLVER_TTL_S});
}

static void answer(struct question *question)
{
	const struct dns_query *query = &question->query;
	struct in6_addr address;
	bool is_meta = query->class != DNS_CLASS_IN || query->name[0] == '\0' ||
		       (query->type >= DNS_TYPE_TRANSFERS && query->type < DNS_TYPE_ANY);
	if (query->rcode != DNS_NOERROR)
		reply_code(question, query->rcode);
	else if (is_meta)
		reply_code(question, DNS_REFUSED);
	else if (query->unnameable)
		refuse(question, query->name, "it is not a host's name");
	else if (is_localhost(query->name))
		reply_addresses(question, &loopback_v4, &in6addr_loopback);
	else if (dns_parse_reverse(query->name, &address) == 0)
		reply_pointer(question, &address);
	else if (network_normalize_name(query->name, question->name) < 0)
		refuse(question, query->name, "it is not a host's name");
	else
		decide(question);
}

bool resolver_take(struct resolver *resolver, const uint8_t *data, size_t length_bytes,
	const struct reply_to *to)
{
	struct dns_query query;
	if (dns_parse_query(data, length_bytes, &query) < 0)
		return false;
	struct question *question = NULL;
	if (resolver->questions_count < RESOLVER_QUESTIONS_MAX)
		question = calloc(1, sizeof(*question));
	if (!question) {
		const struct dns_answer failure = {.rcode = DNS_SERVFAIL};
		serve_reply(to, &query, &failure);
		return true;
	}
	question->resolver = resolver;
	question->to = *to;
	question->query = query;
	TAILQ_INSERT_TAIL(&resolver->questions, question, link);
	resolver->questions_count++;
	answer(question);
	return true;
}

void resolver_drop(
	struct resolver *resolver, const struct udp_server *udp, const struct tcp_client *tcp)
{
	struct question *question = TAILQ_FIRST(&resolver->questions), *next;
	for (; question; question = next) {
		next = TAILQ_NEXT(question, link);
		if ((udp && question->to.udp == udp) || (tcp && question->to.tcp == tcp))
			question_free(question);
	}
}

/* --- birth and end -------------------------------------------------------------------------- */

int resolver_new(struct egress *egress, struct resolver **ret, struct error *error)
{
	struct resolver *resolver = calloc(1, sizeof(*resolver));
	if (!resolver)
		return error_set(error, ENOMEM, "resolver", "no memory for the resolver");
	resolver->egress = egress;
	TAILQ_INIT(&resolver->questions);
	int r = notes_new(egress, &resolver->notes);
	if (r == 0)
		r = serve_new(resolver, &resolver->serve);
	if (r < 0) {
		resolver_free(resolver);
		return error_set(error, -r, "resolver", "no memory for the resolver");
	}
	*ret = resolver;
	return 0;
}

void resolver_free(struct resolver *resolver)
{
	if (!resolver)
		return;
	for (struct question *question; (question = TAILQ_FIRST(&resolver->questions));)
		question_free(question);
	serve_free(resolver->serve);
	notes_free(resolver->notes);
	free(resolver);
}
