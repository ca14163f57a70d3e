#include "base/ask_socket.h"

#include "base/cleanup.h"

#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

static int make(struct ask_socket *ret)
{
	const char *runtime = getenv("XDG_RUNTIME_DIR");
	const char *base = runtime && runtime[0] == '/' ? runtime : "/tmp";
	if (asprintf(&ret->directory, "%s/coffer-ask-XXXXXX", base) < 0) {
		ret->directory = NULL;
		return -ENOMEM;
	}
	if (!mkdtemp(ret->directory)) {
		int r = -errno;
		free(ret->directory);
		ret->directory = NULL;
		return r;
	}
	if (asprintf(&ret->path, "%s/socket", ret->directory) < 0) {
		ret->path = NULL;
		return -ENOMEM;
	}
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	if (strlen(ret->path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	strcpy(address.sun_path, ret->path);
	cleanup_close int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0 ||
		listen(fd, 1) < 0)
		return -errno;
	ret->listener = steal_fd(&fd);
	return 0;
}

int ask_socket_open(struct ask_socket *ret)
{
	*ret = (struct ask_socket)ASK_SOCKET_INIT;
	int r = make(ret);
	if (r < 0)
		ask_socket_close(ret);
	return r;
}

void ask_socket_close(struct ask_socket *socket)
{
	close_fd(&socket->listener);
	if (socket->path)
		unlink(socket->path);
	if (socket->directory)
		rmdir(socket->directory);
	free(socket->path);
	free(socket->directory);
	socket->path = socket->directory = NULL;
}
