/* Values of secrets on their way to the box that searches. */
#ifndef COFFER_TASK_SECRET_PIPE_H
#define COFFER_TASK_SECRET_PIPE_H

#include "task/secret_search.h"

/* All of them fit in a pipe (MAX_SECRETS_BYTES), so that whoever sends never waits. 0 or -errno. */
int secret_values_send(int fd, const struct secret_values *values);
/* -EBADMSG: that is not what secret_values_send() wrote. */
int secret_values_receive(int fd, struct secret_values *ret);

#endif
