/* Options, a piece size, and a stream: however it is cut, the same comes out; no value comes
 * through text or binary; no control sequence through what strips them. */
#include "base/cleanup.h"
#include "base/sanitize.h"

#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char value[] = "s3cr3t/value";

/* Made once for each set of options: a stream's end makes it as new. */
static struct sanitizer *sanitizer_for(const struct sanitize_options *options)
{
	static struct sanitizer *made[2][2][3];
	struct sanitizer **one = &made[options->recognize][options->terminal][options->controls];
	if (!*one && sanitizer_new(options, one) < 0)
		abort();
	return *one;
}

static struct buffer feed(
	const struct sanitize_options *options, const char *data, size_t size, size_t piece)
{
	struct buffer to = BUFFER_INIT(64 << 20);
	struct sanitizer *sanitizer = sanitizer_for(options);
	for (size_t at = 0; at < size; at += piece)
		sanitizer_feed(
			sanitizer, data + at, size - at < piece ? size - at : piece, false, &to);
	sanitizer_feed(sanitizer, NULL, 0, true, &to);
	if (buffer_error(&to) < 0)
		abort();
	return to;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct sanitize_pair paths[] = {
		{"/home/kim", "/home/agent"}, {"/home/kim/p", "/w"}, {"/home/kim/p/q", "/x/y"}};
	static const struct sanitize_secret secrets[] = {
		{"S", value, sizeof(value) - 1}, {"R", "abababababac", 12}};
	if (size < 2)
		return 0;
	struct sanitize_options options = {.paths = paths,
		.paths_count = ARRAY_SIZE(paths),
		.secrets = secrets,
		.secrets_count = ARRAY_SIZE(secrets),
		.recognize = data[0] & 1,
		.terminal = data[0] & 2,
		.controls = (data[0] >> 2) % 3};
	const char *stream = (const char *)data + 2;
	size_t piece = data[1] ? data[1] : 1;
	cleanup_buffer struct buffer whole = feed(&options, stream, size - 2, size);
	cleanup_buffer struct buffer pieces = feed(&options, stream, size - 2, piece);
	if (whole.length_bytes != pieces.length_bytes ||
		(whole.length_bytes && memcmp(whole.data, pieces.data, whole.length_bytes) != 0))
		abort();
	if (whole.length_bytes && memmem(whole.data, whole.length_bytes, value, strlen(value)))
		abort();
	if (options.terminal && options.controls == SANITIZE_STRIP && whole.length_bytes &&
		memchr(whole.data, 0x1b, whole.length_bytes))
		abort();
	return 0;
}
