#include "config/trust.h"

#include <sha2.h>
#include <stdint.h>
#include <stdio.h>

void sha256_hex(const void *data, size_t length_bytes, char ret[SHA256_HEX_BYTES])
{
	uint8_t digest[SHA256_DIGEST_LENGTH];
	SHA2_CTX context;
	SHA256Init(&context);
	SHA256Update(&context, data, length_bytes);
	SHA256Final(digest, &context);
	for (size_t i = 0; i < sizeof(digest); i++)
		snprintf(ret + 2 * i, 3, "%02x", digest[i]);
}
