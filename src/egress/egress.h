/* coffer-egress: the only way out of a box. One process for one box, single-threaded on libevent,
 * confined before it reads a byte that a stranger wrote.
 *
 * The life of a connection. Something in the box connects; the box's kernel sends it here if its
 * address and port may be allowed at all (redirect), or it comes through the proxy port, or (in
 * the landlock tier) from the broker. It gets a *target*: the name behind a stand-in address, the
 * name in a proxy request, or a literal address. The target is *decided*; then its protocol says
 * what is looked at: nothing (raw), the ClientHello (tls), every request (http, or TLS that is
 * inspected). Then it is *dialed*: only to addresses that were checked. What needs no looking at
 * any more is relayed by splice(), without a copy. Its end is one record for the log. */
#ifndef COFFER_EGRESS_EGRESS_H
#define COFFER_EGRESS_EGRESS_H

#include "base/error.h"
#include "policy/egress.h"
#include "policy/network.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

enum {
	EGRESS_CONNECTIONS_MAX = 4096, /* of a box at one time; more wait in the listen backlog */
	EGRESS_UDP_FLOWS_MAX = 1024,
	EGRESS_PEEK_MS = 10000, /* how long a client may take over its first words */
	EGRESS_DIAL_MS = 10000,
	EGRESS_HEAD_BYTES = 64 * 1024, /* of an HTTP head or a ClientHello; more is refused */
	EGRESS_HELD_BYTES_MAX = 32 * 1024 * 1024, /* of unfinished ones, of all clients */
};

struct standins;
struct upstream;
struct resolver;
struct authority;
struct secrets;
struct rate;
struct routes;
struct udp;
struct publish;
struct nflog;
struct control;
struct broker;
struct listeners;
struct pipes;
struct connection;
TAILQ_HEAD(connection_list, connection);

struct egress {
	struct event_base *base;
	struct network_policy policy;
	uid_t uid; /* started as root: what it and its helper run as; else 0 */
	gid_t gid;
	bool landlock; /* the tier */
	bool ask;      /* someone can be asked */

	struct network_pool *pools;
	size_t pools_count;
	struct standins *standins;
	struct upstream *upstream;
	struct resolver *resolver;
	struct authority *authority; /* NULL: nothing is inspected */
	char *upstream_ca;           /* PEM of the policy's file: trusted inside as well; or NULL */
	struct secrets *secrets;     /* NULL: there are none */
	struct rate *rate;
	struct routes *routes;
	struct udp *udp; /* these three are NULL until something needs them */
	struct publish *publish;
	struct nflog *nflog;

	struct control *control; /* NULL: nobody listens (unit tests) */
	struct broker *broker;   /* landlock tier: where the box's broker asks; else NULL */
	struct listeners *listeners;
	struct pipes *pipes; /* made with the first relay */
	struct connection_list connections;
	size_t connections_count;
	size_t connections_max; /* EGRESS_CONNECTIONS_MAX, or what the descriptors suffice for */
	size_t udp_flows_max;   /* the same of EGRESS_UDP_FLOWS_MAX */
	size_t held_bytes;      /* see connection_hold() */
	bool stopping;
	bool silence_will_do; /* while stopping: who says nothing has nothing more to say */
};

/* Priorities of events, so that what is small is not kept waiting by what is large. Events that
 * nobody gives a priority have EGRESS_PRIORITY_NORMAL (libevent's default is the middle one). */
enum { EGRESS_PRIORITY_CONTROL, EGRESS_PRIORITY_NORMAL, EGRESS_PRIORITY_BULK, EGRESS_PRIORITIES };

/* ---- egress.c ---- */

/* The process: configured by EGRESS_CONFIG_FD, spoken to over EGRESS_CONTROL_FD. Returns the exit
 * status. */
int egress_main(void);

/* ---- confine_self.c ---- */

/* Values of secrets may stand in it (from = env:NAME); libraries have read what they read. */
void forget_environment(void);
/* From here on this process has no file by any path, no capability, no debugger, and dies with its
 * parent; once ids were dropped. *ret_note: what this kernel lacks, for a person, or NULL. */
int confine_files(const char **ret_note, struct error *error);
/* And from here on it can only speak over sockets: no program, no new process, no signal. Libraries
 * have read what they need by now. */
int confine_calls(struct error *error);

/* ---- control.c: what goes to the supervisor ---- */

/* Takes fd over (SOCK_SEQPACKET). Its end, or EGRESS_STOP, ends the event loop. */
int control_new(struct egress *egress, int fd, struct control **ret, struct error *error);
/* From now on nothing is heard of the supervisor. */
void control_close_ears(struct control *control);
/* The end has begun: from now on sending waits for the supervisor, EGRESS_STOP_MS in all. */
void control_stop(struct control *control);
/* Sends what is queued, if it was stopped. */
void control_free(struct control *control);
/* fd: sent along (borrowed), or -1. For the start: waits until the message is on its way. */
int control_send_now(struct control *control, const struct egress_message *message, int fd);
/* Landlock tier: what the program's connect() came to. */
void control_connected(struct egress *egress, uint32_t id, int value);

/* An EGRESS_CONNECT or EGRESS_DATAGRAM. Takes fd over. */
void control_take_pair(struct egress *egress, const struct egress_message *message, int fd);

/* ---- broker.c: the landlock tier's broker ---- */

/* Takes fd over (SOCK_SEQPACKET). Its end closes it, and nothing else. */
int broker_add(struct egress *egress, int fd);
void broker_tell(struct broker *broker, uint32_t id, int value);
void broker_free(struct broker *broker);

/* ---- control.c, again: the log and questions ---- */

/* Never waits. What the supervisor is slow to take is queued, up to a bound; beyond it records are
 * counted, and the count is logged. */
void egress_log(struct egress *egress, const struct egress_record *record);
/* Asks for a decision. answer() is called later, once, unless egress_ask_forget() was. 0: it cannot
 * be asked, and answer() will not be called. */
typedef void (*egress_answer)(void *context, enum network_verdict verdict);
uint32_t egress_ask(struct egress *egress, const struct egress_record *record, egress_answer answer,
	void *context);
void egress_ask_forget(struct egress *egress, uint32_t id);

/* ---- listener.c: accepting what the box connects ---- */

/* A listening socket of kind EGRESS_SOCKET_REDIRECT_V4, _V6 or _PROXY, taken over. */
int listeners_add(struct egress *egress, enum egress_socket kind, int fd);
/* A connection has ended: there is room for another. */
void listeners_resume(struct egress *egress);
/* Whether somebody waits to be accepted. */
bool listeners_are_knocked_at(const struct listeners *listeners);
void listeners_free(struct listeners *listeners);

/* ---- connection.c ---- */

/* What connection_decide() and connection_dial() are waiting for. */
struct connection_wait {
	struct event *timer;
	uint32_t ask_id; /* 0: nobody was asked */
	void (*then)(struct connection *connection);
	void (*refused)(struct connection *connection);

	struct dial *dial; /* NULL: none is under way, or it is being started */
	bool dial_starting, dial_done;
	int dial_error;
	void (*dialed)(struct connection *connection, int error);
};

struct connection {
	TAILQ_ENTRY(connection) link;
	struct egress *egress;
	int client; /* non-blocking; owned, until a handler wraps it in a bufferevent */
	int server; /* the same; -1 until dialed */
	enum egress_how how;

	char name[NETWORK_NAME_BYTES]; /* normalized; "" when the target is a literal */
	struct in6_addr address;       /* the literal; once dialed, what was dialed */
	uint16_t port;
	struct network_decision decision;

	size_t held_bytes;           /* of the sum in egress */
	struct evbuffer *pending;    /* read from the client and not yet passed on; or NULL */
	struct egress_record record; /* grows with the connection */
	uint64_t began_us;           /* CLOCK_MONOTONIC */
	uint32_t id;                 /* landlock tier: the broker's, until it was told; else 0 */
	struct connection_wait wait; /* connection.c's own */

	/* What is handling it at the moment. Its state is freed by release() before another
	 * handler takes over and when the connection ends. */
	void *handler;
	void (*release)(void *handler);
	/* Whether all that the box has sent, to its end, is on its way. NULL: it cannot tell. */
	bool (*delivered)(const void *handler);
	struct event *timer;
};

/* Takes client over. NULL (client is closed): too many, or no memory. */
struct connection *connection_new(struct egress *egress, int client, enum egress_how how);
/* The target is what the program named: the name behind a stand-in address, or a literal. false:
 * the connection was refused and is gone, since no name has that stand-in. */
bool connection_set_address(
	struct connection *connection, const struct in6_addr *address, uint16_t port);
/* name NULL: the literal address. */
void connection_set_target(struct connection *connection, const char *name,
	const struct in6_addr *address, uint16_t port);
/* Decides (asking, waiting for the rate limit if need be), then calls then(); or, refused, calls
 * refused() if there is one, which must end the connection; else ends it by a reset. The reason is
 * in connection->record. */
typedef void (*connection_step)(struct connection *connection);
void connection_decide(
	struct connection *connection, connection_step then, connection_step refused);
/* A decided connection goes on by its protocol: relay, hello_start() or http_start(). */
void connection_go(struct connection *connection);
/* Dials the target; connection->server is set when then() is called with 0, else -errno (the reason
 * is in connection->record). May call then() before it returns: do not touch connection after. */
void connection_dial(
	struct connection *connection, void (*then)(struct connection *connection, int error));
/* Passes pending on and the bytes both ways until the end, by splice(); ends the connection.
 * client and server must be bare sockets (no bufferevent on them, nothing of it buffered). */
void connection_relay(struct connection *connection);
/* How many bytes are kept of a client that has not finished saying what it wants; handlers say 0
 * when it has. false: of all clients together they are too many, and this one must go. */
static inline bool connection_hold(struct connection *connection, size_t bytes)
{
	struct egress *egress = connection->egress;
	egress->held_bytes += bytes - connection->held_bytes;
	connection->held_bytes = bytes;
	return bytes == 0 || egress->held_bytes <= EGRESS_HELD_BYTES_MAX;
}
/* The handler's state; an earlier one's is released. It may set connection->delivered. */
void connection_set_handler(
	struct connection *connection, void *handler, void (*release)(void *handler));
/* The box has ended: whether there is nothing more of its to be delivered. */
bool connection_is_delivered(const struct connection *connection);
/* Ends it: a reset to the client, the record with errno_value and the reason. */
void connection_refuse(struct connection *connection, int errno_value, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* Ends it: closes, logs the record as it stands, frees. */
void connection_end(struct connection *connection);
/* The same, with a reset to both sides. */
void connection_reset(struct connection *connection);

/* ---- unseen.c: TLS where nobody looks for it ---- */

/* What a raw connection's first bytes, in pending, say: 0: nothing against it; -EAGAIN: more of
 * them are needed; -EACCES with the reason: they begin TLS to a name whose requests must be seen,
 * or that cannot be told from one. */
int unseen_look(struct connection *connection, char reason[160]);
/* Whether there is anything to look for. */
bool unseen_wanted(const struct connection *connection);

/* ---- relay.c ---- */

void relay_start(struct connection *connection);
void pipes_free(struct pipes *pipes);

/* ---- upstream.c: names to addresses that may be dialed, and dialing ---- */

enum { UPSTREAM_ADDRESSES_MAX = 16 };

struct upstream_answer {
	int status; /* 0; -ENOENT: no such name; -ENODATA: it has no address; -EACCES: refused, see
	             * reason; -EAGAIN: no resolver answered; -EDQUOT: too many new names below a
	             * wildcard */
	struct in6_addr addresses[UPSTREAM_ADDRESSES_MAX]; /* as the resolver ordered them */
	size_t count;
	uint32_t ttl_s;
	char reason[160];
};

/* Reads resolv.conf and hosts: before the process is confined. An error if the policy allows names
 * and there is no nameserver. */
int upstream_new(struct egress *egress, struct upstream **ret, struct error *error);
void upstream_free(struct upstream *upstream);
/* Waits for an answer of any of the nameservers that the policy names: an error if none comes. The
 * host's own are taken as they are, since they come and go with its networks. */
int upstream_probe(const struct upstream *upstream, struct error *error);
/* Resolves a normalized name (cached for its TTL; several asking at once share one query). Every
 * CNAME on the way and every address of the answer has been checked against the policy: one that
 * is refused refuses the name. answer may be called before this returns. The answer is borrowed. */
typedef void (*upstream_resolved)(void *context, const struct upstream_answer *answer);
void upstream_resolve(
	struct upstream *upstream, const char *name, upstream_resolved resolved, void *context);
void upstream_forget(struct upstream *upstream, void *context);
/* Whether a name's answer, just got from upstream_resolve(), may be dialed on this port: every
 * address and every alias on the way is looked at again, since rules have ports. */
bool upstream_may_dial(struct upstream *upstream, const char *name,
	const struct upstream_answer *answer, uint16_t port, char reason[160]);
/* Connects: a name's checked addresses by happy eyeballs (RFC 8305), or one literal, through the
 * upstream proxy where there is one. done() gets a connected, non-blocking socket and the address,
 * or -errno with a reason, never before this has returned. Returns a handle for upstream_cancel(),
 * which is void after done(); NULL: no memory, and done() is not called. */
typedef void (*upstream_dialed)(
	void *context, int fd, const struct in6_addr *address, const char *reason);
struct dial;
struct dial *upstream_dial(struct upstream *upstream, const char *name,
	const struct in6_addr *literal, uint16_t port, upstream_dialed done, void *context);
void upstream_cancel(struct dial *dial);

/* ---- routes.c: the host's own addresses ---- */

/* Before the process is confined. */
int routes_new(struct routes **ret, struct error *error);
void routes_free(struct routes *routes);
/* Whether an address that network_may_dial() lets through may be dialed at this moment: false with
 * the reason if it belongs to the host itself and no rule names it. */
bool routes_may_dial(
	struct egress *egress, const struct in6_addr *address, uint16_t port, char reason[160]);

/* ---- standin.c: names' addresses inside ---- */

int standins_new(struct egress *egress, struct standins **ret, struct error *error);
void standins_free(struct standins *standins);
/* The name's addresses, of both families; given on first use. When its pool is full the one that
 * was least recently asked for goes. -ENOENT: the name is allowed nowhere. */
int standins_of_name(struct standins *standins, const char *name, struct in6_addr *ret_v4,
	struct in6_addr *ret_v6);
/* The name behind an address; NULL: none. */
const char *standins_name(struct standins *standins, const struct in6_addr *address);
/* Whether it lies in one of the pools at all. */
bool standins_covers(const struct standins *standins, const struct in6_addr *address);

/* ---- resolver.c: the DNS server inside ---- */

int resolver_new(struct egress *egress, struct resolver **ret, struct error *error);
void resolver_free(struct resolver *resolver);
/* Both take fd over, whatever they return. In the landlock tier it is one end of a pair. */
int resolver_add_udp(struct resolver *resolver, int fd); /* bound, or connected */
int resolver_add_tcp(struct resolver *resolver, int fd); /* listening, or connected */

/* ---- udp.c, publish.c, nflog.c ---- */

/* UDP of the allow-udp rules. Takes fd over: bound inside the box (then rule is not looked at: the
 * port says it, see EGRESS_PORT_UDP), or the connected end of a program's (landlock tier). */
int udp_add(struct egress *egress, size_t rule, int fd);
/* Whether datagrams wait for the name of where they go. */
bool udp_is_resolving(const struct egress *egress);
void udp_stop(struct egress *egress); /* ends every flow, with its record */

/* --publish. Before the process is confined and drops its ids: takes the host's ports, so that one
 * in use is told before anything runs, and forks the helper that joins the box's namespaces: before
 * secrets are read, since the helper is a copy of this process. In the landlock tier there is
 * nothing to join, and this is all. */
int publish_prepare(struct egress *egress, struct error *error);
/* The box is there: its namespaces (borrowed) go to the helper, and connections are accepted.
 * Nothing to do without a rule. */
int publish_start(struct egress *egress, int box_user, int box_net, struct error *error);
void publish_close(struct egress *egress); /* takes no more connections */
void publish_stop(struct egress *egress);

/* What nftables refused. Takes fd over. */
int nflog_add(struct egress *egress, int fd);
void nflog_stop(struct egress *egress); /* reads and logs what is left */

/* ---- hello.c, http.c, proxy.c ---- */

/* A tls connection: reads the ClientHello, compares its name, then dials and relays; or hands
 * over to inspect_start(). */
void hello_start(struct connection *connection);
/* An http connection, as the client's own (origin-form requests). */
void http_start(struct connection *connection);
/* A client that speaks to the proxy port: HTTP CONNECT, absolute-form HTTP or SOCKS5. */
void proxy_start(struct connection *connection);

/* HTTP over two bufferevents, whichever they are. client is taken over. Requests are read one by
 * one; for each, the Host (origin-form) must be the connection's name; methods, paths and secrets
 * are checked; then it is forwarded. The server is dialed for the first request. */
struct http_options {
	struct bufferevent *client; /* NULL: http makes a plain one of connection->client */
	bool tls; /* inspected: the server is reached by inspect_server(), secrets may be put in */
	bool proxy; /* requests are in absolute form, each with a target of its own */
};
void http_run(struct connection *connection, const struct http_options *options);
/* Writes a response made here (403, 502, ...) with a text body that says why and what would allow
 * it, then ends the connection. */
void http_respond(struct connection *connection, struct bufferevent *client, int status,
	const char *reason, const char *hint);

/* ---- authority.c, inspect.c ---- */

/* A certificate authority of this box's own, its key in this process's memory only. */
int authority_new(struct egress *egress, struct authority **ret, struct error *error);
void authority_free(struct authority *authority);
const char *authority_pem(const struct authority *authority);
/* A file of certificates that a person named, checked to hold some; its text is allocated. */
int inspect_read_authorities(const char *path, char **ret_pem, struct error *error);
/* The client's TLS (its first bytes in connection->pending) ends here, with a certificate for the
 * connection's name; then http_run(). */
void inspect_start(struct connection *connection);
/* A bufferevent over connection->server (taken over) that speaks TLS to it and has verified it, or
 * reports BEV_EVENT_ERROR; BEV_EVENT_CONNECTED when it is ready. NULL: no memory. */
struct bufferevent *inspect_server(struct connection *connection);
/* Why the last handshake of this bufferevent failed, for a person. */
const char *inspect_failure(struct bufferevent *bufferevent);

/* ---- secrets.c ---- */

struct http_head;
/* Reads the sources (env, file, command): before the process is confined. */
int secrets_new(struct egress *egress, struct secrets **ret, struct error *error);
void secrets_free(struct secrets *secrets);
/* NAME=placeholder for each, appended to a request (base/request.h list). */
size_t secrets_count(const struct secrets *secrets);
const char *secrets_variable(const struct secrets *secrets, size_t index);
/* Puts values where rules say so. -EACCES with the reason: a placeholder where it may not be. */
int secrets_apply(struct secrets *secrets, const char *name, bool tls, struct http_head *head,
	char reason[160]);
/* Whether data, continued from earlier calls with the same state, holds a placeholder. */
struct secret_scan {
	char tail[96];
	size_t tail_bytes;
};
bool secrets_scan(const struct secrets *secrets, struct secret_scan *scan, const char *data,
	size_t length_bytes);
/* Overwrites values in a response on its way in. Moves from source to target all but an end that is
 * the start of a value, which stays back unless `last`. -ENOMEM: source is as it was, or in part
 * moved; nothing has gone on that was not looked at, and nothing more may. */
int secrets_mask(
	const struct secrets *secrets, struct evbuffer *source, struct evbuffer *target, bool last);
/* Whether any secret goes to this name (then responses are masked and not compressed). */
bool secrets_concern(const struct secrets *secrets, const char *name);

/* ---- rate.c ---- */

int rate_new(struct egress *egress, struct rate **ret, struct error *error);
void rate_free(struct rate *rate);
/* Takes one from a bucket. 0: go on; > 0: milliseconds to wait, then ask again; -EDQUOT: over, and
 * the policy refuses (or the total is used up). */
int rate_connection(struct rate *rate);
int rate_request(struct rate *rate);
/* How many bytes may be moved now in a direction (0: in, 1: out), at most `want`; 0: wait
 * *ret_wait_ms; -EDQUOT: the total is used up. rate_used() says how many were. */
ssize_t rate_bytes(struct rate *rate, int direction, size_t want, int *ret_wait_ms);
void rate_used(struct rate *rate, int direction, size_t bytes);

#endif
