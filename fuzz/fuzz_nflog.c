/* What the kernel says of refused packets: the packets in it are the box's own bytes. */
#include "egress/nflog.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void look(void *context, const struct nflog_packet *packet)
{
	size_t *count = context;
	(*count)++;
	/* Only what has ports has any. */
	if (packet->protocol != IPPROTO_TCP && packet->protocol != IPPROTO_UDP &&
		(packet->port || packet->source_port))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t count = 0;
	uint8_t *copy = malloc(size + 1); /* aligned, as what recv() fills is */
	if (!copy)
		return 0;
	memcpy(copy, data, size);
	nflog_parse(copy, size, look, &count);
	/* Each needs an attribute with at least an IPv4 header. */
	if (count > size / 24)
		abort();
	free(copy);
	return 0;
}
