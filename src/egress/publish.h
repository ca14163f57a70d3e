/* The helper of --publish: the one process that stands in the box's network namespace on behalf of
 * egress. What it can do is in its filter: make TCP sockets there, and hand them back. */
#ifndef COFFER_EGRESS_PUBLISH_H
#define COFFER_EGRESS_PUBLISH_H

#include <stdint.h>
#include <stdnoreturn.h>
#include <sys/types.h>

/* SOCK_SEQPACKET, one answer for each message, in their order. The first message is one byte, with
 * the descriptors of the box's network and user namespaces; then requests. */
struct publish_request {
	uint32_t family; /* AF_INET or AF_INET6: to that loopback */
	uint32_t port;
};

/* With a descriptor, of a socket that is connecting, if error is 0; else -errno. */
struct publish_answer {
	int32_t error;
};

/* Run in a child of its own; ends with the socket's other end. As root it becomes uid and gid. */
noreturn void publish_help(int socket, uid_t uid, gid_t gid);

/* A socket that connects to the loopback of the namespace this process is in, or -errno. */
int publish_connect(int family, uint16_t port);

#endif
