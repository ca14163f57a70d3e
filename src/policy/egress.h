/* What the supervisor and coffer-egress say to one another: fixed-size records over a
 * SOCK_SEQPACKET pair, descriptors beside them. Here because it is the one place that both may
 * include. Egress talks to strangers, so the supervisor believes it only about traffic: its words
 * go into the log and the report, and no decision of the supervisor's depends on them. */
#ifndef COFFER_POLICY_EGRESS_H
#define COFFER_POLICY_EGRESS_H

#include "base/error.h"

#include <netinet/in.h>
#include <stdint.h>

/* coffer-egress is started with these and nothing else. */
enum {
	EGRESS_CONTROL_FD = 3,
	/* A sealed memfd of three lists (base/request.h): settings as key, value, source in turn
	 * ("\1" for a value that is none); options as NAME=VALUE (EGRESS_OPTION_*); reserved. */
	EGRESS_CONFIG_FD = 4,
};

#define EGRESS_OPTION_UID "uid" /* to run as (when started as root) */
#define EGRESS_OPTION_GID "gid"
#define EGRESS_OPTION_ASK "ask"   /* 1: undecided names may be asked for */
#define EGRESS_OPTION_TIER "tier" /* container or landlock */

/* Inside a container-tier box: 198.18.0.1 and 2001:2::1 are coffer's own. Ports from 1 are free to
 * be taken by anyone in the box's namespace; init takes these before the command runs. */
enum {
	EGRESS_PORT_REDIRECT = 1, /* TCP: what nftables sends here keeps its original destination */
	EGRESS_PORT_UDP = 2,      /* UDP: port 2 + index of the allow-udp rule, in both families */
	EGRESS_PORT_DNS = 53,     /* UDP and TCP: the resolver */
	EGRESS_PORT_PROXY = 3128, /* TCP: HTTP proxy and SOCKS5, told apart by the first byte */
};
#define EGRESS_ADDRESS_V4 "198.18.0.1"
#define EGRESS_ADDRESS_V6 "2001:2::1"
/* With this prefix the kernel tells of a refused packet beside which others were not told of. */
#define EGRESS_NFLOG_LOST "lost"
enum { EGRESS_NFLOG_GROUP = 7, EGRESS_UDP_RULES_MAX = 16 };
/* After EGRESS_STOP: how long egress still delivers what the box had sent, and then hands its
 * records over. */
enum { EGRESS_DRAIN_MS = 1000, EGRESS_STOP_MS = 300 };

/* What each descriptor is that init made in the box's network namespace. Those of IPv6 are missing
 * where the kernel has none. */
enum egress_socket {
	EGRESS_SOCKET_REDIRECT_V4, /* listening */
	EGRESS_SOCKET_REDIRECT_V6,
	EGRESS_SOCKET_PROXY,      /* listening, IPv4 */
	EGRESS_SOCKET_DNS_UDP_V4, /* bound */
	EGRESS_SOCKET_DNS_UDP_V6,
	EGRESS_SOCKET_DNS_TCP_V4, /* listening */
	EGRESS_SOCKET_NFLOG, /* netlink, bound to the group: what was refused; may be missing */
	/* Bound; one of each family for every allow-udp rule. Its own port says of which: see
	 * EGRESS_PORT_UDP. */
	EGRESS_SOCKET_UDP,
	EGRESS_SOCKET_BOX_NET,    /* the box's network namespace (only for --publish) */
	EGRESS_SOCKET_BOX_USER,   /* and its user namespace */
	EGRESS_SOCKET_DNS_TCP_V6, /* listening */
	/* Landlock tier: a SOCK_SEQPACKET pair's end, whose other end the broker has; it sends
	 * EGRESS_CONNECT and EGRESS_DATAGRAM, and is answered EGRESS_CONNECTED. */
	EGRESS_SOCKET_BROKER,
	EGRESS_SOCKET_KINDS,
};

enum egress_message_kind {
	/* To egress. */
	EGRESS_SOCKETS = 1, /* kinds[] says what each descriptor is */
	EGRESS_CONNECT, /* landlock tier: descriptor: the egress end of a connection whose other end
			 * the program has; id, address, port as the program named them */
	EGRESS_DATAGRAM, /* landlock tier: descriptor: the egress end of a connected pair that keeps
			  * the boundaries of messages, for the resolver (port 53) or a rule of
			  * allow-udp; address, port as named */
	EGRESS_ANSWER,   /* to EGRESS_ASK: id; value: enum network_verdict */
	EGRESS_STOP,     /* the box has ended: log what is open, then end */

	/* From egress. */
	/* Configured and confined. Descriptor: a sealed memfd of three lists: variables for the box
	 * (NAME=VALUE), PEM of its authority (one string, or none), notes. */
	EGRESS_READY,
	EGRESS_FAILED,    /* error: nothing may run */
	EGRESS_RECORD,    /* record */
	EGRESS_ASK,       /* id, record: a decision is waited for */
	EGRESS_CONNECTED, /* landlock tier: id, value: 0 or -errno for the program */
	EGRESS_FORGET,    /* id of an EGRESS_ASK: nobody waits for its answer any more */
};

enum { EGRESS_PROTOCOL_OTHER = 254, /* neither TCP nor UDP */ EGRESS_PROTOCOL_UDP = 255 };

/* One decision and what came of it. Strings are NUL-terminated, made of printable ASCII by egress;
 * the reader terminates and escapes them again all the same. */
struct egress_record {
	int64_t time_ms; /* CLOCK_REALTIME when it began */
	uint32_t duration_ms;
	int32_t errno_value; /* what the program saw, if refused or failed */
	uint8_t verdict;     /* enum network_verdict */
	uint8_t protocol;    /* enum network_protocol; 0: a DNS query; EGRESS_PROTOCOL_* */
	uint8_t how;         /* enum egress_how */
	uint8_t ended;       /* 1: this connection is over; 0: it was refused before it began */
	uint16_t port;
	uint16_t client_port;           /* inside, to find the program by; 0: not known */
	struct in6_addr address;        /* dialed, or the literal that was refused */
	struct in6_addr client_address; /* inside */
	uint64_t bytes_out, bytes_in;   /* from the box, to the box */
	uint32_t requests;              /* HTTP requests seen */
	uint32_t count;                 /* how many of the same this record stands for; >= 1 */
	char name[256];                 /* "" for a literal */
	char rule[128];                 /* source of the rule that decided; "default" */
	char reason[192];               /* of a refusal or failure */
};

enum egress_how {
	EGRESS_HOW_REDIRECT,
	EGRESS_HOW_PROXY_CONNECT,
	EGRESS_HOW_PROXY_HTTP,
	EGRESS_HOW_SOCKS,
	EGRESS_HOW_RESOLVER,
	EGRESS_HOW_UDP,
	EGRESS_HOW_PUBLISH,
	EGRESS_HOW_KERNEL, /* refused by nftables */
	EGRESS_HOW_BROKER, /* landlock tier */
	EGRESS_HOW_LOST,   /* no decision: at least `count` records are missing here */
};

struct egress_message {
	uint32_t kind;
	uint32_t id;
	int32_t value;
	uint16_t port;
	uint16_t kinds_count;
	uint8_t kinds[8]; /* EGRESS_SOCKETS: enum egress_socket of each descriptor */
	struct in6_addr address;
	union {
		struct error error;
		struct egress_record record;
	};
};

#endif
