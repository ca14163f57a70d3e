/* Between secrets.c and secrets_stream.c. */
#ifndef COFFER_EGRESS_SECRETS_H
#define COFFER_EGRESS_SECRETS_H

#include "base/secret_source.h"
#include "egress/egress.h"

enum {
	SECRETS_MAX = 64,
	SECRET_CHANCE_BYTES =
		32, /* of a placeholder's end, by which it is known: 128 bits in hex */
	/* The chance in base64, without the groups that it may share with what stands around. */
	SECRET_ENCODED_BYTES = SECRET_CHANCE_BYTES / 3 * 4,
	SECRET_SCAN_BYTES = 3 * SECRET_CHANCE_BYTES, /* its longest form: every byte as %XX */
};

/* What is looked for in responses; overwritten with it are a byte before and after it, which
 * in base64 carry the value's first and last bits. */
struct secret_mask {
	struct locked bytes;
	size_t lead_bytes, trail_bytes; /* 0 or 1 */
};
enum {
	SECRET_FORMS_MAX = 16,                   /* as it is, and as encoders of text write it */
	SECRET_MASKS_MAX = SECRET_FORMS_MAX + 3, /* three alignments of base64 */
};

struct secret {
	const struct network_secret *rule;
	struct locked value;
	char *variable;                        /* NAME=placeholder */
	const char *placeholder;               /* in variable */
	const char *chance;                    /* in placeholder: its end */
	char encoded[3][SECRET_ENCODED_BYTES]; /* chance in base64, by alignment */
	struct secret_mask masks[SECRET_MASKS_MAX];
	size_t masks_count;
};

struct secrets {
	struct secret items[SECRETS_MAX];
	size_t count;
	char fill; /* overwrites values; occurs in none of them */
};

/* ---- secrets_stream.c ---- */

/* Makes what secrets_scan() and secrets_mask() look for. -ENOMEM; -EINVAL: there is no byte left to
 * overwrite values with. */
int secrets_prepare(struct secrets *secrets);
/* value, percent-encoded but for unreserved characters (RFC 3986, 2.3); caller wipes and frees. */
char *secret_percent_encode(const struct locked *value);

#endif
