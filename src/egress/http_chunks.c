#include "egress/http_chunks.h"

#include <errno.h>

static int hex_digit(unsigned char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool is_text(unsigned char c)
{
	return c == '\t' || (c >= 0x20 && c != 0x7f);
}

static const char *take_size(struct http_chunks *chunks, unsigned char c)
{
	int digit = hex_digit(c);
	if (digit >= 0) {
		if (chunks->digits++ >= HTTP_CHUNK_DIGITS_MAX)
			return "a chunk size that is too long";
		chunks->left_bytes = chunks->left_bytes << 4 | (unsigned)digit;
		return NULL;
	}
	if (chunks->digits == 0)
		return "a chunk without a size";
	if (c != '\r' && c != ';')
		return "something other than a number as a chunk's size";
	chunks->state = c == '\r' ? CHUNK_SIZE_LF : CHUNK_EXTENSION;
	chunks->extension_bytes = 0;
	return NULL;
}

static const char *take_extension(struct http_chunks *chunks, unsigned char c)
{
	if (c == '\r') {
		chunks->state = CHUNK_SIZE_LF;
		return NULL;
	}
	if (!is_text(c))
		return "a control character in a chunk extension";
	if (++chunks->extension_bytes > HTTP_CHUNK_EXTENSION_BYTES_MAX ||
		++chunks->extensions_bytes > HTTP_CHUNK_EXTENSIONS_BYTES_MAX)
		return "chunk extensions that are too long";
	return NULL;
}

static const char *take_trailer(struct http_chunks *chunks, unsigned char c)
{
	if (c == '\r') {
		chunks->state =
			chunks->state == CHUNK_TRAILER_START ? CHUNK_END_LF : CHUNK_TRAILER_LF;
		return NULL;
	}
	if (!is_text(c))
		return "a control character in a trailer";
	if (++chunks->trailer_bytes > HTTP_TRAILER_BYTES_MAX)
		return "trailers that are too long";
	chunks->state = CHUNK_TRAILER;
	return NULL;
}

/* A line feed after a carriage return, or (CHUNK_DATA_CR) the carriage return itself. */
static const char *take_line_end(struct http_chunks *chunks, unsigned char c)
{
	if (chunks->state == CHUNK_DATA_CR) {
		if (c != '\r')
			return "a chunk that is longer than its size";
		chunks->state = CHUNK_DATA_LF;
		return NULL;
	}
	if (c != '\n')
		return "a bare carriage return in a chunked body";
	switch (chunks->state) {
	case CHUNK_SIZE_LF:
		chunks->state = chunks->left_bytes ? CHUNK_DATA : CHUNK_TRAILER_START;
		break;
	case CHUNK_DATA_LF:
		chunks->state = CHUNK_SIZE;
		chunks->digits = 0;
		break;
	case CHUNK_TRAILER_LF:
		chunks->state = CHUNK_TRAILER_START;
		break;
	default:
		chunks->state = CHUNK_DONE;
	}
	return NULL;
}

int http_chunks_next(struct http_chunks *chunks, const char *data, size_t length_bytes,
	size_t *ret_framing_bytes, size_t *ret_body_bytes, const char **ret_reason)
{
	size_t at = 0;
	*ret_framing_bytes = *ret_body_bytes = 0;
	while (at < length_bytes && chunks->state != CHUNK_DATA && chunks->state != CHUNK_DONE) {
		unsigned char c = (unsigned char)data[at++];
		const char *wrong;
		if (chunks->state == CHUNK_SIZE)
			wrong = take_size(chunks, c);
		else if (chunks->state == CHUNK_EXTENSION)
			wrong = take_extension(chunks, c);
		else if (chunks->state == CHUNK_TRAILER_START || chunks->state == CHUNK_TRAILER)
			wrong = take_trailer(chunks, c);
		else
			wrong = take_line_end(chunks, c);
		if (wrong) {
			*ret_reason = wrong;
			return -EBADMSG;
		}
	}
	*ret_framing_bytes = at;
	if (chunks->state == CHUNK_DONE)
		return 1;
	if (chunks->state == CHUNK_DATA && at < length_bytes) {
		size_t rest = length_bytes - at;
		size_t body = rest < chunks->left_bytes ? rest : (size_t)chunks->left_bytes;
		chunks->left_bytes -= body;
		*ret_body_bytes = body;
		if (chunks->left_bytes == 0)
			chunks->state = CHUNK_DATA_CR;
	}
	return 0;
}
