#include "base/cleanup.h"
#include "egress/hello.h"

#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
	if (!holds)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct hello hello, part;
	const char *reason = NULL;
	ssize_t r = hello_parse(data, size, &hello, &reason);
	check(r <= (ssize_t)size && (r >= 0 || reason));
	check(memchr(hello.name, '\0', sizeof(hello.name)) != NULL);
	check(memchr(hello.alpn, '\0', sizeof(hello.alpn)) != NULL);
	for (const char *c = hello.name; *c; c++)
		check(*c > 0x20 && *c < 0x7f);
	if (r <= 0)
		return 0;
	/* A shorter piece is never another hello, and more behind it changes nothing. */
	for (size_t cut = (size_t)r > 64 ? (size_t)r - 64 : 0; cut < (size_t)r; cut++)
		check(hello_parse(data, cut, &part, &reason) == 0);
	check(hello_parse(data, (size_t)r, &part, &reason) == r);
	check(strcmp(part.name, hello.name) == 0);
	return 0;
}
