/* What the files of the broker share. See broker.c for the theory of operation. */
#ifndef COFFER_RUN_BROKER_INTERNAL_H
#define COFFER_RUN_BROKER_INTERNAL_H

#include "base/limits.h"
#include "plan/plan.h"
#include "run/broker.h"
#include "run/denials.h"

#include <limits.h>
#include <linux/un.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/types.h>

enum {
	BROKER_SYSCALLS = 512, /* above the highest number of either architecture */

	/* connect() calls that wait at one time: each costs a descriptor and a slot in poll(). */
	BROKER_PENDING_MAX = 256,
	/* Sockets made in the box that can be connected to: each is pinned by a descriptor. */
	BROKER_SOCKETS_MAX = 1024,
	/* Landlock tier: entries of opened roots that are under no grant for writing. */
	BROKER_CARVE_OUTS_MAX = 4096,

	/* Landlock tier with a way out: TCP ports that the box has taken on loopback, each held by
	 * a descriptor and none forgotten while it is in use; and datagram sockets whose last
	 * destination is remembered, of which the oldest is. */
	BROKER_PORTS_MAX = 1024,
	BROKER_PORTS_SWEEP = 64, /* so many before those that are free again are looked for */
	BROKER_DATAGRAMS_MAX = 1024,

	BROKER_RETRY_MS = 20, /* a unix listener's backlog is full: no event tells when it is not */
	BROKER_SWEEP_MS = 1000,  /* how long a pending call of a program that died may linger */
	BROKER_STALL_US = 20000, /* no call on a program's descriptor may block for longer */

	/* Directories of layers that are being moved at one time, each by a process of its own. */
	BROKER_MOVES_MAX = 4,
	BROKER_OVERLAYS_MAX = 64,
};

/* What a handler says besides 0 and -errno, which are the answer itself. */
enum verdict {
	VERDICT_CONTINUE = 1, /* the kernel is to run the call as it stands */
	VERDICT_LATER = 2,    /* answered already, or the call is pending */
};

/* One notification, copied: nothing in it can change while it is looked at. */
struct request {
	uint64_t id;
	pid_t tid; /* the calling thread, as the broker's PID namespace numbers it */
	int nr;
	const char *name;
	uint64_t args[6];
};

struct broker;
struct pending;

/* One row of the dispatch table. */
struct broker_call {
	int nr;
	const char *name;
	int (*serve)(struct broker *broker, const struct request *request);
};

/* A directory where a protected name could appear. */
struct broker_watch {
	struct file_id id;
	const char *name; /* one more name that must not; or NULL. The plan's */
};

struct bound_socket {
	dev_t device;
	ino_t inode;
	int pin; /* O_PATH: while it is held, no other file can be given the inode number */
};

enum { SOCKET_TEXT_BYTES = UNIX_PATH_MAX + 64 };

/* A connect(), bind() or the like under way: everything copied. */
struct socket_call {
	const struct request *request;
	int socket; /* owned */
	int domain;
	struct sockaddr_storage address;
	socklen_t address_bytes;
	char text[SOCKET_TEXT_BYTES]; /* the address for a record */
};

/* A call that could not be answered at once. */
struct pending {
	uint64_t id;
	/* Returns whether the call was answered. ready: what was polled for has come. */
	bool (*resume)(struct broker *broker, struct pending *pending, bool ready);
	int socket;
	short events;         /* of socket, that are polled for; 0: none */
	int pin;              /* the socket file for AF_UNIX; else -1 */
	bool retry;           /* no readiness to wait for: try again every BROKER_RETRY_MS */
	uint64_t deadline_us; /* from SO_SNDTIMEO and the like; 0: none */
	struct sockaddr_storage address;
	socklen_t address_bytes;

	/* Landlock tier: what egress was asked; what it said. */
	uint32_t egress_id; /* 0: nothing */
	bool answered;
	int answer;
	struct request request; /* the call again, as far as its resume() needs it */
	ino_t replaced;         /* the socket whose place this one takes */
};

/* Landlock tier: a TCP port of the box's own loopback. */
struct own_port {
	uint16_t port, real; /* as the box names it; where it is on the host's 127.0.0.1 */
	bool v4, v6;         /* by which of the loopback addresses it is reached */
	uint64_t cookie;     /* the kernel's name for the socket, never given twice */
	int holder;          /* the broker's own socket on the real port: no stranger gets it */
};

/* Landlock tier: what stands for a datagram socket. */
struct datagram_socket {
	ino_t inode;
	sa_family_t family; /* as the program asked for it */
	bool by_rule;       /* leads to an --allow-udp rule's destination, else to the resolver */
	bool connected;     /* by connect(): to peer; else peer is where it sent to last */
	struct sockaddr_storage peer;
	socklen_t peer_bytes;
};

struct broker {
	const struct plan *plan;
	struct denials *denials;
	struct connects *connects; /* or NULL */
	struct accesses *accesses; /* or NULL */
	bool trace;                /* --witness full, see broker_trace.c */
	uint64_t *continued;
	bool landlock;    /* the landlock tier: no namespaces, so more is decided here */
	bool scoped;      /* landlock tier: no signal leaves the box and this process */
	bool own_network; /* the box's network namespace is not the host's */
	bool poll_first;  /* RECV would not notice the end of the box */
	uint64_t network_cookie;
	pid_t self, init;

	int listener;
	int proc;     /* the host's /proc: its numbers are those of notifications */
	int self_fds; /* the host's /proc/<broker>/fd: names any descriptor by a short path */

	struct broker_watch *watches;
	int *watch_pins;
	size_t watches_count;

	/* Container tier, see broker_moves.c. */
	dev_t overlays[BROKER_OVERLAYS_MAX];
	size_t overlays_count, moves_count;

	/* Landlock tier, see broker_territory.c. */
	struct file_id *grant_ids; /* of each grant of the plan when the broker started */
	char **carve_outs;
	size_t carve_outs_count;

	struct bound_socket sockets[BROKER_SOCKETS_MAX]; /* oldest first */
	size_t sockets_count, sockets_max;
	struct pending pending[BROKER_PENDING_MAX];
	size_t pending_count;

	/* Landlock tier with a way out, see broker_network.c and broker_datagrams.c. */
	int egress; /* or -1 */
	uint32_t egress_id;
	struct own_port ports[BROKER_PORTS_MAX]; /* oldest first */
	size_t ports_count, ports_max, ports_sweep;
	struct datagram_socket datagrams[BROKER_DATAGRAMS_MAX]; /* oldest first */
	size_t datagrams_count;

	const struct broker_call *calls[BROKER_SYSCALLS];
};

/* broker.c */

/* Whether the program still waits in this very call: then what was read or opened by its thread id
 * was its own, and not that of a later process with the same number. */
bool broker_valid(const struct broker *broker, uint64_t id);
void broker_answer(const struct broker *broker, uint64_t id, int result);
/* The call returns value. */
void broker_answer_value(const struct broker *broker, uint64_t id, int64_t value);
/* Notes a refusal, with the name of the program. */
void broker_record(const struct broker *broker, const struct request *request, const char *promise,
	const char *target, int errno_value, const char *reason);
/* The same where it is known where the target leads; resolved may be "". */
void broker_record_at(const struct broker *broker, const struct request *request,
	const char *promise, const char *target, const char *resolved, int errno_value,
	const char *reason);
/* Between the two, a call that blocks is interrupted (EINTR) after BROKER_STALL_US. */
void broker_guard_begin(void);
void broker_guard_end(void);
/* Turns one capability of those kept on or off. */
int broker_raise(int capability, bool on);

/* broker_client.c: looking at the program that waits. */

int client_read(const struct broker *broker, const struct request *request, uint64_t address,
	void *buffer, size_t length_bytes);
/* The same the other way, only to the program that waits. */
int client_write(const struct broker *broker, const struct request *request, uint64_t address,
	const void *data, size_t length_bytes);
/* The program's name (comm); empty when it cannot be read. */
void client_program(const struct broker *broker, const struct request *request, char program[32]);
/* The length without its NUL, or -EFAULT, or -ENAMETOOLONG when room_bytes does not hold it. */
int client_read_string(const struct broker *broker, const struct request *request, uint64_t address,
	char *buffer, size_t room_bytes);
/* A field of the thread's /proc status as a number in base; -errno. last takes the innermost of
 * several. */
int client_status(const struct broker *broker, const struct request *request, const char *field,
	int base, size_t index, long *ret);
/* A copy of the program's descriptor fd; -EBADF when it has none of that number. */
int client_get_fd(const struct broker *broker, const struct request *request, int fd);
/* Closes such a copy, if it is one, and marks it closed. It may be the last, of a socket that
 * lingers over what it could not send. */
void client_close_fd(int *fd);
#define cleanup_client_fd __attribute__((cleanup(client_close_fd)))
/* O_PATH descriptor of path as the program means it, opened with the additional flags. */
int client_open(const struct broker *broker, const struct request *request, int dirfd,
	const char *path, int flags);
/* The same for the directory that holds path's last component, which becomes *ret_name (inside
 * path, with whatever slashes follow it). */
int client_open_parent(const struct broker *broker, const struct request *request, int dirfd,
	char *path, int *ret_parent, const char **ret_name);

/* broker_walk.c: client_open()'s resolution in the landlock tier, from the held directory base. */

int walk_open(const struct broker *broker, const struct request *request, int base,
	const char *path, int flags);

/* broker_names.c */

extern const struct broker_call broker_name_calls[];
extern const size_t broker_name_calls_count;
int names_start(struct broker *broker, struct error *error);
/* Whether name (trailing slashes allowed) in the directory parent is protected and missing ones are
 * kept from appearing there: the table's spelling, or NULL. */
const char *names_watched(const struct broker *broker, int parent, const char *name);
/* The table's spelling of name, or the watch's, if it is protected in any directory; or NULL. */
const char *names_protected_anywhere(const struct broker *broker, const char *name);
/* Where an entry of parent is, in the box; "" where that cannot be said. name may have slashes
 * behind it. */
void names_entry_path(
	const struct broker *broker, int parent, const char *name, char path[PATH_MAX]);
/* Whether path is a watched directory, or one lies below it. */
bool names_holds_watch(const struct broker *broker, const char *path);
/* Where the arguments of a rename stand. */
struct rename_call {
	int from_dirfd, to_dirfd;
	uint64_t from_path, to_path;
	unsigned flags;
};
struct rename_call names_of_rename(const struct request *request);
/* Records that a rename from or to this name, which is name in parent, is refused; -EACCES. */
int names_refuse_rename(const struct broker *broker, const struct request *request,
	const char *path, int parent, const char *name);

/* broker_moves.c: directories that an overlay does not rename. */

void moves_start(struct broker *broker);
/* A rename in the container tier, whose names have been looked at. VERDICT_CONTINUE where there is
 * nothing to do here. */
int moves_rename(struct broker *broker, const struct request *request);

/* broker_territory.c: the landlock tier's places. */

enum territory {
	TERRITORY_LANDLOCK, /* under a grant: the kernel enforces */
	TERRITORY_BROKER,   /* writable, but under no grant: changed by the broker only */
	TERRITORY_CLOSED,
};
int territory_start(struct broker *broker, struct error *error);
/* Where what fd stands for lies, and its path. What cannot be found there by its path again (it was
 * deleted, has no name, or is of another mount namespace) is CLOSED. */
enum territory territory_of_fd(const struct broker *broker, int fd, char path[PATH_MAX]);
/* Whether path is a carve-out or one lies below it. */
bool territory_holds_carve_out(const struct broker *broker, const char *path);
/* Whether the program may read path under some grant. */
bool territory_is_readable(const struct broker *broker, const char *path);
/* The path of what fd stands for; no absolute one for what has none. */
int territory_path_of(const struct broker *broker, int fd, char path[PATH_MAX]);

/* broker_files.c, broker_attributes.c, broker_signals.c: the landlock tier's calls. */

extern const struct broker_call broker_file_calls[];
extern const size_t broker_file_calls_count;
extern const struct broker_call broker_attribute_calls[];
extern const size_t broker_attribute_calls_count;
extern const struct broker_call broker_signal_calls[];
extern const size_t broker_signal_calls_count;

/* broker_trace.c: --witness full. */

enum { TRACED_PATHS_MAX = 2 };

/* One path of a call, and what the kernel is going to say of it. */
struct traced_path {
	char named[PATH_MAX], resolved[PATH_MAX];
	int wants;       /* enum witness_wants */
	int errno_value; /* 0: nothing stands in the way */
	uint64_t mount;  /* of the directory that an entry is in; 0: not known */
	bool by_mode, executes, directory;
};

struct traced {
	struct traced_path paths[TRACED_PATHS_MAX];
	size_t count;
};
/* Looks where the call's paths lead, and names it; *ret stays empty for what is none of these. */
void tracing_begin(struct broker *broker, struct request *request, struct traced *ret);
/* result: of the handler, or VERDICT_CONTINUE. */
void tracing_end(struct broker *broker, const struct request *request, const struct traced *traced,
	int result);

/* broker_sockets.c */

extern const struct broker_call broker_socket_calls[];
extern const size_t broker_socket_calls_count;
int sockets_start(struct broker *broker, struct error *error);
/* Copies what a call with (descriptor, address, length) in its first registers is about. */
int socket_call_begin(
	struct broker *broker, const struct request *request, struct socket_call *call);
/* An address in words. */
void socket_describe(const struct sockaddr_storage *address, socklen_t address_bytes,
	char text[SOCKET_TEXT_BYTES]);
/* Records the refusal; -EACCES. */
int socket_call_refuse(struct broker *broker, const struct socket_call *call, const char *reason);
sa_family_t socket_call_family(const struct socket_call *call);
/* One connect() that does not block, whatever the program does to the socket meanwhile. */
int socket_connect_once(
	int socket_fd, const struct sockaddr_storage *address, socklen_t address_bytes, int pin);
/* Room for one more call that waits, zeroed but for id and pin; NULL: there is none. */
struct pending *sockets_park(struct broker *broker, const struct request *request);
/* CLOCK_MONOTONIC time at which the socket's SO_SNDTIMEO or SO_RCVTIMEO is over; 0: never. */
uint64_t socket_deadline_us(int socket_fd, int option);
/* Fills fds (room for BROKER_PENDING_MAX), returns how long poll() may wait. */
int sockets_poll(struct broker *broker, struct pollfd *fds);
void sockets_resume(struct broker *broker, const struct pollfd *fds);

/* broker_network.c: the landlock tier with a way out. Streams. */

extern const struct broker_call broker_network_calls[];
extern const size_t broker_network_calls_count;
/* Where an address of a program's points to: IPv6 or mapped; 0.0.0.0 and :: are loopback. */
int network_destination(const struct sockaddr_storage *address, socklen_t address_bytes,
	struct in6_addr *ret_address, uint16_t *ret_port);
bool network_is_loopback(const struct in6_addr *address);
int network_connect(struct broker *broker, struct socket_call *call);
int network_bind(struct broker *broker, struct socket_call *call);
/* Sends one end of a pair to egress; *ret_id (or NULL) is what its answer will bear. */
int network_tell_egress(struct broker *broker, uint32_t kind, const struct in6_addr *address,
	uint16_t port, int fd, uint32_t *ret_id);
/* Takes in what egress has said. */
void network_hear(struct broker *broker);

/* broker_datagrams.c: the same tier. What programs take for datagram sockets. */

extern const struct broker_call broker_datagram_calls[];
extern const size_t broker_datagram_calls_count;
bool datagrams_own(const struct broker *broker, int socket_fd);
int datagrams_connect(struct broker *broker, struct socket_call *call);
int datagrams_bind(struct broker *broker, struct socket_call *call);

#endif
