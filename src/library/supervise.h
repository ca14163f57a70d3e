/* libcoffer's other half: what `coffer supervise` does in the process that libcoffer starts. */
#ifndef COFFER_LIBRARY_SUPERVISE_H
#define COFFER_LIBRARY_SUPERVISE_H

/* The request, in a memfd: NUL-terminated strings, each list closed by an empty one: the settings
 * ("key" or "key=value"), then argv. socket is libcoffer's, SOCK_SEQPACKET. Returns an exit
 * code. */
int library_supervise(int request, int socket);

#endif
