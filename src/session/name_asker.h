/* Who answers for a name that no rule of the network decides, while its connection waits: the
 * call's own process, on a socket that the box's supervisor connects to (see --net-ask in
 * docs/NETWORK.md, and run/asker.h for what is said there). */
#ifndef COFFER_SESSION_NAME_ASKER_H
#define COFFER_SESSION_NAME_ASKER_H

#include "base/ask_socket.h"
#include "base/buffer.h"
#include "base/error.h"

#include <stdbool.h>

struct name_asker {
	struct ask_socket socket;
	int connection;
	struct buffer input;
};
#define NAME_ASKER_INIT                                                                            \
	{                                                                                          \
		.socket = ASK_SOCKET_INIT, .connection = -1                                        \
	}

int name_asker_open(struct name_asker *asker, struct error *error);
void name_asker_close(struct name_asker *asker);
/* For poll(): whichever of the two is waited for. */
int name_asker_fd(const struct name_asker *asker);
/* Takes what is there. Each question is put to allow(), with its "HOST:PORT", and answered at once;
 * what is no question ends the connection, and with it every yes. */
void name_asker_take(
	struct name_asker *asker, bool (*allow)(void *data, const char *target), void *data);

#endif
