/* Both ends of a measurement over TCP.
 *
 *   traffic serve ADDRESS PORT           answers until it is killed
 *   traffic pull ADDRESS PORT BYTES      one connection, BYTES from the server: prints bytes/s
 *   traffic push ADDRESS PORT BYTES      the same, to the server
 *   traffic connect ADDRESS PORT COUNT   one after the other: connect, a byte there and back,
 *                                        close: prints the median and 90th percentile in
 *                                        microseconds, and how many there were in a second
 *   traffic hold ADDRESS PORT COUNT      COUNT at one time, a byte on each; prints "held", waits
 *                                        for the end of standard input
 *
 * ADDRESS may be a name. A client says first what it wants: one byte ('p' pull, 's' push, 'e'
 * echo), eight of a count. */
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { BLOCK = 1 << 18 };

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static double now_s(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static struct sockaddr_in address_of(char **argv)
{
	const struct addrinfo wanted = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM};
	struct addrinfo *found;
	int r = getaddrinfo(argv[2], argv[3], &wanted, &found);
	if (r) {
		fprintf(stderr, "%s: %s\n", argv[2], gai_strerror(r));
		exit(1);
	}
	struct sockaddr_in a = *(const struct sockaddr_in *)(const void *)found->ai_addr;
	freeaddrinfo(found);
	return a;
}

static void send_all(int fd, const char *data, size_t length)
{
	while (length > 0) {
		ssize_t n = send(fd, data, length, MSG_NOSIGNAL);
		if (n <= 0)
			return;
		data += n;
		length -= (size_t)n;
	}
}

static uint64_t drain(int fd, uint64_t bytes, char *block)
{
	uint64_t got = 0;
	while (got < bytes) {
		ssize_t n = read(fd, block, BLOCK);
		if (n <= 0)
			break;
		got += (uint64_t)n;
	}
	return got;
}

static void fill(int fd, uint64_t bytes, const char *block)
{
	for (uint64_t left = bytes; left > 0;) {
		size_t some = left < BLOCK ? (size_t)left : BLOCK;
		send_all(fd, block, some);
		left -= some;
	}
}

static void *attend(void *context)
{
	int fd = (int)(intptr_t)context;
	struct {
		char what;
		char count[8];
	} request;
	uint64_t count;
	char *block = calloc(1, BLOCK);
	if (block && recv(fd, &request, sizeof(request), MSG_WAITALL) == sizeof(request)) {
		memcpy(&count, request.count, sizeof(count));
		if (request.what == 'p') {
			fill(fd, count, block);
		} else if (request.what == 's') {
			drain(fd, count, block);
			send_all(fd, "d", 1);
		} else {
			ssize_t n;
			while ((n = read(fd, block, BLOCK)) > 0)
				send_all(fd, block, (size_t)n);
		}
	}
	free(block);
	close(fd);
	return NULL;
}

static int serve(char **argv)
{
	struct sockaddr_in a = address_of(argv);
	int one = 1, listener = socket(AF_INET, SOCK_STREAM, 0);
	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(listener, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(listener, 4096) < 0)
		die("serve");
	pthread_attr_t attributes;
	pthread_attr_init(&attributes);
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attributes, 65536);
	printf("ready\n");
	fflush(stdout);
	for (;;) {
		int fd = accept(listener, NULL, NULL);
		if (fd < 0)
			continue;
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		pthread_t thread;
		if (pthread_create(&thread, &attributes, attend, (void *)(intptr_t)fd))
			close(fd);
	}
}

static int open_connection(const struct sockaddr_in *a, char what, uint64_t count)
{
	int one = 1, fd = socket(AF_INET, SOCK_STREAM, 0);
	if (connect(fd, (const struct sockaddr *)a, sizeof(*a)) < 0)
		die("connect");
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	char request[9] = {what};
	memcpy(request + 1, &count, sizeof(count));
	send_all(fd, request, sizeof(request));
	return fd;
}

static int move(char **argv, bool pull)
{
	struct sockaddr_in a = address_of(argv);
	uint64_t bytes = strtoull(argv[4], NULL, 10), got = bytes;
	char *block = calloc(1, BLOCK), answer;
	double begin = now_s();
	int fd = open_connection(&a, pull ? 'p' : 's', bytes);
	if (pull) {
		got = drain(fd, bytes, block);
	} else {
		fill(fd, bytes, block);
		if (read(fd, &answer, 1) != 1)
			die("push");
	}
	if (got != bytes)
		die("pull");
	printf("%.0f\n", (double)bytes / (now_s() - begin));
	return 0;
}

static int compare(const void *a, const void *b)
{
	double left = *(const double *)a, right = *(const double *)b;
	return (left > right) - (left < right);
}

static void echo(int fd)
{
	char byte = 'x';
	send_all(fd, &byte, 1);
	if (read(fd, &byte, 1) != 1)
		die("echo");
}

static int connect_often(char **argv)
{
	struct sockaddr_in a = address_of(argv);
	size_t count = strtoul(argv[4], NULL, 10);
	double *taken = calloc(count, sizeof(*taken)), first = now_s();
	for (size_t i = 0; i < count; i++) {
		double begin = now_s();
		int fd = open_connection(&a, 'e', 0);
		echo(fd);
		close(fd);
		taken[i] = now_s() - begin;
	}
	double all = now_s() - first;
	qsort(taken, count, sizeof(*taken), compare);
	printf("%.1f %.1f %.0f\n", taken[count / 2] * 1e6, taken[count * 9 / 10] * 1e6,
		(double)count / all);
	return 0;
}

static int hold(char **argv)
{
	struct sockaddr_in a = address_of(argv);
	size_t count = strtoul(argv[4], NULL, 10);
	int *fds = calloc(count, sizeof(*fds));
	for (size_t i = 0; i < count; i++)
		fds[i] = open_connection(&a, 'e', 0);
	for (size_t i = 0; i < count; i++)
		echo(fds[i]);
	printf("held\n");
	fflush(stdout);
	char byte;
	return read(0, &byte, 1) < 0;
}

int main(int argc, char **argv)
{
	struct rlimit files;
	signal(SIGPIPE, SIG_IGN);
	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
	if (argc == 4 && strcmp(argv[1], "serve") == 0)
		return serve(argv);
	if (argc != 5) {
		fprintf(stderr, "usage: traffic serve|pull|push|connect|hold ADDRESS PORT [N]\n");
		return 2;
	}
	if (strcmp(argv[1], "pull") == 0 || strcmp(argv[1], "push") == 0)
		return move(argv, strcmp(argv[1], "pull") == 0);
	return strcmp(argv[1], "connect") == 0 ? connect_often(argv) : hold(argv);
}
