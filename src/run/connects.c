#include "run/connects.h"

#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

enum { CONNECTS_KEPT = 4096 }; /* as many as egress serves at one time */

struct connect_entry {
	uint32_t port; /* 0: free */
	int32_t pid;
	char program[32];
};

struct connects {
	uint32_t next;
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
	if (!port)
		return;
	struct connect_entry *entry = &connects->items[connects->next % CONNECTS_KEPT];
	__atomic_store_n(&entry->port, 0, __ATOMIC_RELEASE);
	entry->pid = pid;
	snprintf(entry->program, sizeof(entry->program), "%s", program);
	__atomic_store_n(&entry->port, port, __ATOMIC_RELEASE);
	__atomic_store_n(&connects->next, connects->next + 1, __ATOMIC_RELEASE);
}

bool connects_find(
	const struct connects *connects, uint16_t port, pid_t *ret_pid, char ret_program[32])
{
	uint32_t next = __atomic_load_n(&connects->next, __ATOMIC_ACQUIRE);
	for (uint32_t i = 1; port && i <= CONNECTS_KEPT && i <= next; i++) {
		const struct connect_entry *entry = &connects->items[(next - i) % CONNECTS_KEPT];
		if (__atomic_load_n(&entry->port, __ATOMIC_ACQUIRE) != port)
			continue;
		*ret_pid = entry->pid;
		memcpy(ret_program, entry->program, sizeof(entry->program));
		ret_program[sizeof(entry->program) - 1] = '\0';
		return true;
	}
	return false;
}
