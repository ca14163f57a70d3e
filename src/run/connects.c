#include "run/connects.h"

#include "base/clock.h"

#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
	CONNECTS_KEPT = 4096, /* as many as egress serves at one time */
	BEFORE_MS = 10000,    /* how long before egress sees it a connect() may have been */
	AFTER_MS = 1000,      /* how long after: the broker notes it when it was made */
	AWAIT_MS = 20,        /* how long a note is waited for that is being made */
};

struct connect_entry {
	uint32_t port; /* 0: free */
	int32_t pid;
	int64_t time_ms; /* CLOCK_REALTIME */
	bool datagram;
	char program[32];
};

struct connects {
	uint32_t next, begun, ended;
	struct connect_entry items[CONNECTS_KEPT];
};

struct connects *connects_new(void)
{
	void *memory = mmap(NULL, sizeof(struct connects), PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	return memory == MAP_FAILED ? NULL : memory;
}

void connects_free(struct connects *connects)
{
	if (connects)
		munmap(connects, sizeof(*connects));
}

static int64_t now_ms(void)
{
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void connects_begin(struct connects *connects)
{
	__atomic_store_n(&connects->begun, connects->begun + 1, __ATOMIC_SEQ_CST);
}

void connects_end(struct connects *connects)
{
	__atomic_store_n(&connects->ended, connects->begun, __ATOMIC_RELEASE);
}

void connects_note(struct connects *connects, pid_t pid, const char *program, int socket_fd)
{
	struct sockaddr_storage address;
	socklen_t length = sizeof(address);
	if (getsockname(socket_fd, (struct sockaddr *)&address, &length) < 0)
		return;
	uint16_t port = 0;
	if (address.ss_family == AF_INET)
		port = ntohs(((const struct sockaddr_in *)&address)->sin_port);
	else if (address.ss_family == AF_INET6)
		port = ntohs(((const struct sockaddr_in6 *)&address)->sin6_port);
	int type = 0;
	socklen_t type_length = sizeof(type);
	if (!port || getsockopt(socket_fd, SOL_SOCKET, SO_TYPE, &type, &type_length) < 0)
		return;
	struct connect_entry *entry = &connects->items[connects->next % CONNECTS_KEPT];
	__atomic_store_n(&entry->port, 0, __ATOMIC_RELEASE);
	entry->pid = pid;
	entry->time_ms = now_ms();
	entry->datagram = type == SOCK_DGRAM;
	snprintf(entry->program, sizeof(entry->program), "%s", program);
	__atomic_store_n(&entry->port, port, __ATOMIC_RELEASE);
	__atomic_store_n(&connects->next, connects->next + 1, __ATOMIC_RELEASE);
}

static bool fits(const struct connect_entry *entry, const struct egress_record *record)
{
	bool datagram = record->protocol == EGRESS_PROTOCOL_UDP;
	bool either = record->how == EGRESS_HOW_RESOLVER; /* asked over TCP or UDP */
	return __atomic_load_n(&entry->port, __ATOMIC_ACQUIRE) == record->client_port &&
	       (either || entry->datagram == datagram) &&
	       entry->time_ms >= record->time_ms - BEFORE_MS &&
	       entry->time_ms <= record->time_ms + AFTER_MS;
}

bool connects_find(const struct connects *connects, const struct egress_record *record,
	pid_t *ret_pid, char ret_program[32])
{
	uint32_t next = __atomic_load_n(&connects->next, __ATOMIC_ACQUIRE);
	for (uint32_t i = 1; record->client_port && i <= CONNECTS_KEPT && i <= next; i++) {
		const struct connect_entry *entry = &connects->items[(next - i) % CONNECTS_KEPT];
		if (!fits(entry, record))
			continue;
		*ret_pid = entry->pid;
		memcpy(ret_program, entry->program, sizeof(entry->program));
		ret_program[sizeof(entry->program) - 1] = '\0';
		return true;
	}
	return false;
}

/* The broker makes one at a time. */
static bool is_being_made(const struct connects *connects, uint32_t begun)
{
	uint32_t ended = __atomic_load_n(&connects->ended, __ATOMIC_ACQUIRE);
	return (int32_t)(begun - ended) > 0;
}

bool connects_await(const struct connects *connects, const struct egress_record *record,
	pid_t *ret_pid, char ret_program[32])
{
	uint32_t begun = __atomic_load_n(&connects->begun, __ATOMIC_SEQ_CST);
	const uint64_t until_us = clock_now_us() + AWAIT_MS * 1000;
	while (is_being_made(connects, begun) && clock_now_us() < until_us)
		usleep(100);
	return connects_find(connects, record, ret_pid, ret_program);
}
