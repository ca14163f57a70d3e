/* A place where this process's own boxes ask it for names (--net-ask): a unix socket in a directory
 * that only this user can enter, and that no box sees. */
#ifndef COFFER_BASE_ASK_SOCKET_H
#define COFFER_BASE_ASK_SOCKET_H

struct ask_socket {
	char *directory, *path; /* NULL: there is none */
	int listener;           /* non-blocking */
};
#define ASK_SOCKET_INIT                                                                            \
	{                                                                                          \
		.listener = -1                                                                     \
	}

/* 0 or -errno. */
int ask_socket_open(struct ask_socket *ret);
void ask_socket_close(struct ask_socket *socket);

#endif
