#include "egress/socks.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
	if (!holds)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	bool none;
	struct socks_request request, part;
	enum socks_reply reply = SOCKS_SUCCEEDED;
	ssize_t r = socks_parse_greeting(data, size, &none);
	check(r <= (ssize_t)size);
	if (r > 0) {
		data += r;
		size -= (size_t)r;
	}
	r = socks_parse_request(data, size, &request, &reply);
	check(r <= (ssize_t)size && (r >= 0 || reply != SOCKS_SUCCEEDED));
	if (r <= 0)
		return 0;
	check(request.port != 0);
	check(!request.named || (request.name[0] && strlen(request.name) < sizeof(request.name)));
	for (const char *c = request.name; *c; c++)
		check(*c > 0x20 && *c < 0x7f);
	for (size_t cut = 0; cut < (size_t)r; cut++)
		check(socks_parse_request(data, cut, &part, &reply) == 0);
	return 0;
}
