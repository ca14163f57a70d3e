#include "config/syntax.h"

#include <errno.h>
#include <setjmp.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

enum {
	PARSE_TIMEOUT_US = 5 * 1000 * 1000, /* error recovery is not linear */
	ALIGNMENT = 16,
	BLOCK_BASE_BYTES = 16 * 1024 * 1024,
	BLOCK_BYTES_A_BYTE = 512, /* measured: 60 for programs, 300 for what is all brackets */
};

/* The block that is being filled. Each piece has its size before it, for realloc(). */
static struct {
	char *start;
	size_t used_bytes, size_bytes;
	jmp_buf full;
} block;

static void *take(size_t size)
{
	size_t whole = ALIGNMENT + ((size + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1));
	if (size > block.size_bytes || whole > block.size_bytes - block.used_bytes)
		longjmp(block.full, 1);
	char *piece = block.start + block.used_bytes + ALIGNMENT;
	memcpy(piece - ALIGNMENT, &size, sizeof(size));
	block.used_bytes += whole;
	return piece;
}

static void *take_zeroed(size_t count, size_t size)
{
	/* Fresh pages are zero, and no piece is used twice. */
	if (size && count > SIZE_MAX / size)
		longjmp(block.full, 1);
	return take(count * size);
}

static void *take_more(void *piece, size_t size)
{
	size_t before = 0;
	if (piece)
		memcpy(&before, (char *)piece - ALIGNMENT, sizeof(before));
	if (size <= before)
		return piece;
	void *larger = take(size);
	if (piece)
		memcpy(larger, piece, before);
	return larger;
}

static void keep(void *piece)
{
	(void)piece;
}

/* Whatever happens to a local of this function between setjmp() and longjmp() is not looked at
 * after: the outcome is in *ret. */
static int parse_in_block(
	const TSLanguage *language, const char *source, size_t length_bytes, struct syntax *ret)
{
	if (setjmp(block.full) != 0)
		return -E2BIG;
	TSParser *parser = ts_parser_new();
	if (ts_parser_set_language(parser, language)) {
		ts_parser_set_timeout_micros(parser, PARSE_TIMEOUT_US);
		ret->tree = ts_parser_parse_string(parser, NULL, source, length_bytes);
	}
	ts_parser_delete(parser);
	return ret->tree ? 0 : -ETIME;
}

int syntax_parse(
	const TSLanguage *language, const char *source, size_t length_bytes, struct syntax *ret)
{
	*ret = (struct syntax){.tree = NULL};
	ret->memory_bytes = BLOCK_BASE_BYTES + BLOCK_BYTES_A_BYTE * length_bytes;
	ret->memory = mmap(NULL, ret->memory_bytes, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (ret->memory == MAP_FAILED) {
		*ret = (struct syntax){.tree = NULL};
		return -ENOMEM;
	}
	block.start = ret->memory;
	block.used_bytes = 0;
	block.size_bytes = ret->memory_bytes;
	ts_set_allocator(take, take_zeroed, take_more, keep);
	int r = parse_in_block(language, source, length_bytes, ret);
	ts_set_allocator(NULL, NULL, NULL, NULL);
	if (r < 0)
		syntax_close(ret);
	return r;
}

void syntax_close(struct syntax *syntax)
{
	if (syntax->memory)
		munmap(syntax->memory, syntax->memory_bytes);
	*syntax = (struct syntax){.tree = NULL};
}
