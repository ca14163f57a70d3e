#include "base/secret_shapes.h"

#include "base/cleanup.h"
#include "base/limits.h"

#include <ctype.h>
#include <string.h>

#define PEM(kind)                                                                                  \
	{                                                                                          \
		"private key", "-----BEGIN " kind "PRIVATE KEY", 0, NULL, "-----END "              \
	}

/* The least lengths are not what makes a key, but enough that nothing else has them. */
static const struct secret_shape shapes[] = {
	{"AWS access key", "AKIA", 16, "", NULL},
	{"AWS access key", "ASIA", 16, "", NULL},
	{"GitHub token", "ghp_", 20, "", NULL},
	{"GitHub token", "gho_", 20, "", NULL},
	{"GitHub token", "ghu_", 20, "", NULL},
	{"GitHub token", "ghs_", 20, "", NULL},
	{"GitHub token", "ghr_", 20, "", NULL},
	{"GitHub token", "github_pat_", 22, "_", NULL},
	{"GitLab token", "glpat-", 20, "_-", NULL},
	{"Slack token", "xoxa-", 10, "-", NULL},
	{"Slack token", "xoxb-", 10, "-", NULL},
	{"Slack token", "xoxp-", 10, "-", NULL},
	{"API key", "sk-", 20, "_-", NULL},
	{"API key", "sk_live_", 16, "", NULL},
	{"API key", "AIza", 20, "_-", NULL},
	{"npm token", "npm_", 20, "", NULL},
	{"PyPI token", "pypi-", 20, "_-", NULL},
	/* The claims of a token, after its header; and its signature. */
	{"JWT", ".eyJ", 17, "_-.", NULL},
	PEM(""),
	PEM("RSA "),
	PEM("EC "),
	PEM("DSA "),
	PEM("OPENSSH "),
	PEM("ENCRYPTED "),
};

const struct secret_shape *secret_shapes(size_t *ret_count)
{
	*ret_count = ARRAY_SIZE(shapes);
	return shapes;
}

bool secret_shape_takes(const struct secret_shape *shape, unsigned char byte)
{
	if (!shape->others)
		return true;
	return byte < 0x80 && (isalnum(byte) || (byte && strchr(shape->others, byte)));
}

/* Whether a block has come to its end with this byte: its last line, up to the dashes after it. */
static bool ends_block(const struct secret_shape *shape, struct shape_end *end, char byte)
{
	if (end->found) {
		end->dashes = byte == '-' ? end->dashes + 1 : 0;
		return byte == '\n' || end->dashes == 5;
	}
	if (byte == shape->until[end->matched])
		end->matched++;
	else if (byte != '-' || end->matched < 5) /* five dashes begin it, and may be more */
		end->matched = byte == '-';
	end->found = !shape->until[end->matched];
	return ++end->swallowed == MAX_SHAPE_BYTES;
}

size_t secret_shape_swallow(const struct secret_shape *shape, struct shape_end *end,
	const char *data, size_t length_bytes)
{
	size_t i = 0;
	if (shape->others) {
		while (i < length_bytes && secret_shape_takes(shape, (unsigned char)data[i]))
			i++;
		return i;
	}
	while (i < length_bytes && !end->over)
		end->over = ends_block(shape, end, data[i++]);
	return i;
}
