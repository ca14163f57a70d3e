/* Git's form for binary content: deflated, in base 85, 52 bytes a line, each line begun by a letter
 * that says how many. It streams: no more than a piece is held. */
#include "layer/diff_internal.h"

#include <errno.h>
#include <string.h>
#include <zlib.h>

enum { LINE_BYTES = 52, FAST_ABOVE_BYTES = 1024 * 1024 };

struct literal {
	FILE *to;
	z_stream stream;
	unsigned char line[LINE_BYTES];
	size_t line_bytes;
};

static void put_line(struct literal *literal)
{
	static const char digits[] =
		"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
		"!#$%&()*+-;<=>?@^_`{|}~";
	char text[2 + LINE_BYTES / 4 * 5];
	size_t length = literal->line_bytes, at = 0;
	if (length == 0)
		return;
	memset(literal->line + length, 0, sizeof(literal->line) - length);
	text[at++] = (char)(length <= 26 ? 'A' + length - 1 : 'a' + length - 27);
	for (size_t i = 0; i < length; i += 4) {
		const unsigned char *b = literal->line + i;
		uint32_t number = (uint32_t)b[0] << 24 | b[1] << 16 | b[2] << 8 | b[3];
		for (int k = 4; k >= 0; k--, number /= 85)
			text[at + (size_t)k] = digits[number % 85];
		at += 5;
	}
	text[at++] = '\n';
	fwrite_unlocked(text, 1, at, literal->to);
	literal->line_bytes = 0;
}

static int put_piece(const char *data, size_t bytes, bool last, void *context)
{
	struct literal *literal = context;
	unsigned char out[16 * 1024];
	literal->stream.next_in = (unsigned char *)data;
	literal->stream.avail_in = (uInt)bytes;
	do {
		literal->stream.next_out = out;
		literal->stream.avail_out = sizeof(out);
		if (deflate(&literal->stream, last ? Z_FINISH : Z_NO_FLUSH) == Z_STREAM_ERROR)
			return -EIO;
		size_t got = sizeof(out) - literal->stream.avail_out;
		for (size_t i = 0; i < got;) {
			size_t room = LINE_BYTES - literal->line_bytes;
			size_t part = got - i < room ? got - i : room;
			memcpy(literal->line + literal->line_bytes, out + i, part);
			literal->line_bytes += part;
			i += part;
			if (literal->line_bytes == LINE_BYTES)
				put_line(literal);
		}
	} while (literal->stream.avail_out == 0);
	return 0;
}

int diff_put_literal(FILE *to, const struct diff_content *content)
{
	struct literal literal = {.to = to};
	int level = content->size > FAST_ABOVE_BYTES ? Z_BEST_SPEED : Z_DEFAULT_COMPRESSION;
	if (deflateInit(&literal.stream, level) != Z_OK)
		return -ENOMEM;
	fprintf(to, "literal %llu\n", (unsigned long long)content->size);
	int r = diff_content_pieces(content, put_piece, &literal);
	deflateEnd(&literal.stream);
	if (r < 0)
		return r;
	put_line(&literal);
	putc_unlocked('\n', to);
	return 0;
}
