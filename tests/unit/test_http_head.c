#include "base/cleanup.h"
#include "egress/http_chunks.h"
#include "egress/http_head.h"
#include "egress/http_request.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define HOST "Host: a.example\r\n"
#define POST "POST / HTTP/1.1\r\n" HOST

/* Each is read in more than one way by some pair of servers. Strings with a NUL have a length. */
static const struct {
	const char *text;
	size_t length;
} smuggled[] = {
	{POST "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"},
	{POST "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n"},
	{POST "Content-Length: 5\r\nContent-Length: 6\r\n\r\n"},
	{POST "Content-Length: 5\r\nContent-Length: 5\r\n\r\n"},
	{POST "Content-Length: 5, 5\r\n\r\n"},
	{POST "Content-Length: 5, 6\r\n\r\n"},
	{POST "Content-Length: +5\r\n\r\n"},
	{POST "Content-Length: -5\r\n\r\n"},
	{POST "Content-Length: 0x5\r\n\r\n"},
	{POST "Content-Length: 010\r\n\r\n"},
	{POST "Content-Length: 5 6\r\n\r\n"},
	{POST "Content-Length: 5;\r\n\r\n"},
	{POST "Content-Length:\r\n\r\n"},
	{POST "Content-Length: 18446744073709551621\r\n\r\n"},
	{POST "Content-Length: 9999999999999999999\r\n\r\n"},
	{POST "Content-Length : 5\r\n\r\n"},
	{POST "Content-Length\t: 5\r\n\r\n"},
	{POST "Content_Length: 5\r\n\r\n"},
	{POST "Transfer_Encoding: chunked\r\n\r\n"},
	{POST "transfer-Encoding: identity\r\n\r\n"},
	{POST "Transfer-Encoding: chunked, identity\r\n\r\n"},
	{POST "Transfer-Encoding: identity, chunked\r\n\r\n"},
	{POST "Transfer-Encoding: gzip, chunked\r\n\r\n"},
	{POST "Transfer-Encoding: chunked, chunked\r\n\r\n"},
	{POST "Transfer-Encoding: xchunked\r\n\r\n"},
	{POST "Transfer-Encoding: chunked;q=1\r\n\r\n"},
	{POST "Transfer-Encoding: \"chunked\"\r\n\r\n"},
	{POST "Transfer-Encoding: \x0b"
	      "chunked\r\n\r\n"},
	{POST "Transfer-Encoding: \x00"
	      "chunked\r\n\r\n",
		sizeof(POST) - 1 + 32},
	{POST "Transfer-Encoding:\r\n chunked\r\n\r\n"},
	{POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n"},
	{POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n"},
	{POST "Transfer-Encoding\n: chunked\r\n\r\n"},
	{POST " Transfer-Encoding: chunked\r\n\r\n"},
	{POST "X: y\r\n Transfer-Encoding: chunked\r\n\r\n"},
	{POST "X: y\r\n\tz\r\n\r\n"},
	{POST "X: y\nTransfer-Encoding: chunked\r\n\r\n"},
	{POST "X: y\rTransfer-Encoding: chunked\r\n\r\n"},
	{POST "X: y\r\r\nTransfer-Encoding: chunked\r\n\r\n"},
	{POST "X: y\r\n\n"},
	{POST "X: a\x7f"
	      "b\r\n\r\n"},
	{POST "X: a\x01"
	      "b\r\n\r\n"},
	{POST "X y: z\r\n\r\n"},
	{POST "X\x80: z\r\n\r\n"},
	{POST ": z\r\n\r\n"},
	{POST "nothing\r\n\r\n"},
	{POST "X(y): z\r\n\r\n"},
	{POST "Host: b.example\r\n\r\n"},
	{POST "Host: a.example\r\n\r\n"},
	{POST "Connection: Host\r\n\r\n"},
	{POST "Connection: close, content-length\r\nContent-Length: 3\r\n\r\n"},
	{POST "Connection: Transfer-Encoding\r\nTransfer-Encoding: chunked\r\n\r\n"},
	{POST "Connection: keep-alive\r\nConnection: authorization\r\n\r\n"},
	{"POST / HTTP/1.0\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n"},
	{"POST / HTTP/1.0\r\n" HOST HOST "\r\n"},
	{"GET / HTTP/1.1\r\n\r\n"},
	{"GET / HTTP/1.1\r\nHost:\r\n\r\n"},
	{"GET / HTTP/1.1\r\nHost: a.example, b.example\r\n\r\n"},
	{"GET / HTTP/1.1\r\nHost: a.example b.example\r\n\r\n"},
	{"GET / HTTP/1.1\r\nHost: user@a.example\r\n\r\n"},
	{"GET / HTTP/1.1\r\nHost: a.example/b\r\n\r\n"},
	{"GET / HTTP/1.1\r\nHost: a.example:\r\n\r\n"},
	{"GET / HTTP/1.1\r\nHost: a.example:0\r\n\r\n"},
	{"GET / HTTP/1.1\r\nHost: a.example:65536\r\n\r\n"},
	{"GET / HTTP/1.1\r\nHost: a.example:80:80\r\n\r\n"},
	{"GET / HTTP/1.1\r\nHost: a%2eexample\r\n\r\n"},
	{"GET / HTTP/1.1\r\nHost: [::1\r\n\r\n"},
	{"GET / HTTP/1.1\r\nHost: [::1]x\r\n\r\n"},
	{"GET / HTTP/1.1\r\n\"Host\": a.example\r\n\r\n"},
	{"GET / HTTP/1.1\r\nHost : a.example\r\n\r\n"},
	{"GET http://b.example/ HTTP/1.1\r\n" HOST "\r\n"},
	{"GET http://a.example:81/ HTTP/1.1\r\n" HOST "\r\n"},
	{"GET http://a.example@b.example/ HTTP/1.1\r\nHost: b.example\r\n\r\n"},
	{"GET http://user:word@a.example/ HTTP/1.1\r\n" HOST "\r\n"},
	{"GET http://a.example\\@b.example/ HTTP/1.1\r\n" HOST "\r\n"},
	{"GET http:a.example/ HTTP/1.1\r\n" HOST "\r\n"},
	{"GET http:/// HTTP/1.1\r\n" HOST "\r\n"},
	{"GET ftp://a.example/ HTTP/1.1\r\n" HOST "\r\n"},
	{"GET file:///etc/passwd HTTP/1.1\r\n" HOST "\r\n"},
	{"GET a.example HTTP/1.1\r\n" HOST "\r\n"},
	{"GET @b.example/ HTTP/1.1\r\n" HOST "\r\n"},
	{"GET * HTTP/1.1\r\n" HOST "\r\n"},
	{"GET /#x HTTP/1.1\r\n" HOST "\r\n"},
	{"GET /a b HTTP/1.1\r\n" HOST "\r\n"},
	{"GET  / HTTP/1.1\r\n" HOST "\r\n"},
	{"GET /  HTTP/1.1\r\n" HOST "\r\n"},
	{"GET / HTTP/1.1 \r\n" HOST "\r\n"},
	{"GET\t/\tHTTP/1.1\r\n" HOST "\r\n"},
	{"GET /\xc3\xa9 HTTP/1.1\r\n" HOST "\r\n"},
	{"GET /\x7f HTTP/1.1\r\n" HOST "\r\n"},
	{"GET /\r\n" HOST "\r\n"},
	{"GET / HTTP/1.2\r\n" HOST "\r\n"},
	{"GET / HTTP/2.0\r\n" HOST "\r\n"},
	{"GET / HTTP/0.9\r\n" HOST "\r\n"},
	{"GET / http/1.1\r\n" HOST "\r\n"},
	{"GET / HTTP/1.10\r\n" HOST "\r\n"},
	{"GET / HTTP/01.1\r\n" HOST "\r\n"},
	{"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"},
	{"G(T / HTTP/1.1\r\n" HOST "\r\n"},
	{"\r\nGET / HTTP/1.1\r\n" HOST "\r\n"},
	{"\nGET / HTTP/1.1\r\n" HOST "\r\n"},
	{" GET / HTTP/1.1\r\n" HOST "\r\n"},
	{"GET / HTTP/1.1\n" HOST "\r\n"},
	{"GET / HTTP/1.1\r\n" HOST "\n\r\n"},
	{"CONNECT / HTTP/1.1\r\n" HOST "\r\n"},
	{"CONNECT a.example HTTP/1.1\r\n" HOST "\r\n"},
	{"CONNECT http://a.example/ HTTP/1.1\r\n" HOST "\r\n"},
	{"CONNECT b.example:443 HTTP/1.1\r\n" HOST "\r\n"},
	{"CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:80\r\n\r\n"},
	{"CONNECT x@a.example:443 HTTP/1.1\r\n" HOST "\r\n"},
	{"GET / HTTP/1.1\r\n" HOST
	 "Connection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 3\r\n\r\n"},
};

static void smuggled_requests_are_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(smuggled); i++) {
		struct http_head head;
		const char *reason = NULL;
		size_t length = smuggled[i].length ? smuggled[i].length : strlen(smuggled[i].text);
		ssize_t r = http_head_parse(smuggled[i].text, length, NULL, &head, &reason);
		if (r != -EBADMSG || !reason || !*reason)
			fail_msg("let through (%zd): %s", r, smuggled[i].text);
		assert_int_equal(head.fields_count, 0);
	}
}

static const struct {
	const char *text;
	enum http_body body;
	uint64_t length;
	bool close, upgrade;
} good[] = {
	{"GET / HTTP/1.1\r\n" HOST "\r\n", HTTP_BODY_NONE},
	{"GET /a?b=%20c HTTP/1.0\r\n\r\n", HTTP_BODY_NONE, .close = true},
	{POST "Content-Length: 0\r\n\r\n", HTTP_BODY_LENGTH},
	{POST "cONTENT-lENGTH: \t 12 \t\r\n\r\n", HTTP_BODY_LENGTH, .length = 12},
	{POST "Transfer-Encoding: Chunked\r\n\r\n", HTTP_BODY_CHUNKED},
	{POST "X: \xc3\xa9\r\nEmpty:\r\n\r\n", HTTP_BODY_NONE},
	{POST "Connection: Keep-Alive, Close\r\n\r\n", HTTP_BODY_NONE, .close = true},
	{"GET http://a.example HTTP/1.1\r\nHost: A.Example:80\r\n\r\n", HTTP_BODY_NONE},
	{"GET https://a.example:444/x HTTP/1.1\r\nHost: a.example:444\r\n\r\n", HTTP_BODY_NONE},
	{"CONNECT a.example:443 HTTP/1.1\r\nHost: a.example\r\n\r\n", HTTP_BODY_NONE},
	{"CONNECT [2001:db8::1]:22 HTTP/1.1\r\nHost: [2001:db8::1]:22\r\n\r\n", HTTP_BODY_NONE},
	{"OPTIONS * HTTP/1.1\r\n" HOST "\r\n", HTTP_BODY_NONE},
	{"GET / HTTP/1.1\r\n" HOST "Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\r\n",
		HTTP_BODY_NONE, .upgrade = true},
	/* HTTP/2 without TLS would hide every later request: it is not asked for. */
	{"GET / HTTP/1.1\r\n" HOST "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
	 "HTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n",
		HTTP_BODY_NONE},
};

static void good_requests_mean_the_same_again(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		struct http_head head, again;
		const char *reason = NULL;
		size_t length = strlen(good[i].text), formatted_length;
		/* Whatever follows is not the head's, and no piece of the head is one. */
		char more[512];
		int all = snprintf(more, sizeof(more), "%sGET /next", good[i].text);
		for (size_t cut = 0; cut < length; cut++)
			assert_int_equal(http_head_parse(more, cut, NULL, &head, &reason), 0);
		ssize_t r = http_head_parse(more, (size_t)all, NULL, &head, &reason);
		if (r < 0)
			fail_msg("%s: %s", good[i].text, reason);
		assert_int_equal(r, length);
		assert_int_equal(head.body, good[i].body);
		assert_int_equal(head.length_bytes, good[i].length);
		assert_int_equal(head.close, good[i].close);
		assert_int_equal(head.upgrade, good[i].upgrade);

		cleanup_free char *text = http_head_format(&head, &formatted_length);
		assert_non_null(text);
		assert_int_equal(http_head_parse(text, formatted_length, NULL, &again, &reason),
			formatted_length);
		assert_string_equal(again.method, head.method);
		assert_string_equal(again.target, head.target);
		assert_int_equal(again.body, head.body);
		assert_int_equal(again.length_bytes, head.length_bytes);
		assert_int_equal(again.fields_count, head.fields_count);
		for (size_t f = 0; f < head.fields_count; f++) {
			assert_string_equal(again.fields[f].name, head.fields[f].name);
			assert_string_equal(again.fields[f].value, head.fields[f].value);
		}
		http_head_release(&head);
		http_head_release(&again);
	}
}

static void heads_are_bounded(void **state)
{
	(void)state;
	struct http_head head;
	const char *reason = NULL;
	size_t length = HTTP_HEAD_BYTES_MAX + 100;
	cleanup_free char *text = malloc(length);
	memset(text, 'a', length);
	memcpy(text, "GET /", 5);
	assert_int_equal(http_head_parse(text, HTTP_HEAD_BYTES_MAX - 1, NULL, &head, &reason), 0);
	assert_int_equal(http_head_parse(text, length, NULL, &head, &reason), -E2BIG);

	int at = snprintf(text, length, "GET / HTTP/1.1\r\n" HOST);
	for (int i = 0; i < HTTP_FIELDS_MAX - 1; i++)
		at += snprintf(text + at, length - (size_t)at, "x: y\r\n");
	snprintf(text + at, length - (size_t)at, "\r\n");
	assert_int_equal(http_head_parse(text, (size_t)at + 2, NULL, &head, &reason), at + 2);
	assert_int_equal(http_head_set(&head, "one-more", "z"), -E2BIG);
	http_head_release(&head);
	snprintf(text + at, length - (size_t)at, "x: y\r\n\r\n");
	assert_int_equal(http_head_parse(text, (size_t)at + 8, NULL, &head, &reason), -E2BIG);
}

static void fields_cannot_be_set_to_more_than_one_line(void **state)
{
	(void)state;
	struct http_head head;
	const char *reason = NULL;
	static const char text[] = "GET / HTTP/1.1\r\n" HOST "A: 1\r\nB: 2\r\na: 3\r\n\r\n";
	assert_true(http_head_parse(text, sizeof(text) - 1, NULL, &head, &reason) > 0);
	assert_int_equal(http_head_set(&head, "X", "a\r\nHost: b.example"), -EINVAL);
	assert_int_equal(http_head_set(&head, "X: y\r\nZ", "a"), -EINVAL);
	assert_int_equal(http_head_set(&head, "A", "4"), 0);
	assert_int_equal(head.fields_count, 3);
	assert_string_equal(http_head_get(&head, "a"), "4");
	http_head_remove(&head, "b");
	assert_null(http_head_get(&head, "B"));
	http_head_release(&head);
}

static void hops_are_stripped(void **state)
{
	(void)state;
	struct http_head head;
	const char *reason = NULL;
	static const char text[] =
		"GET / HTTP/1.1\r\n" HOST
		"Connection: close, X-Mine\r\nX-Mine: 1\r\nKeep-Alive: 3\r\nTE: trailers\r\n"
		"Proxy-Authorization: x\r\nProxy-Connection: close\r\nUpgrade: h2c\r\n"
		"Connection: x-other\r\nX-Other: 2\r\nX-Kept: 3\r\n\r\n";
	assert_true(http_head_parse(text, sizeof(text) - 1, NULL, &head, &reason) > 0);
	http_head_strip_hops(&head);
	assert_int_equal(head.fields_count, 2);
	assert_non_null(http_head_get(&head, "host"));
	assert_non_null(http_head_get(&head, "x-kept"));
	http_head_release(&head);
}

static void responses_are_framed_by_what_was_asked(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		const char *method;
		bool upgrade;
		int body; /* -1: refused */
	} cases[] = {
		{"HTTP/1.1 200 OK\r\n\r\n", "GET", false, HTTP_BODY_UNTIL_CLOSE},
		{"HTTP/1.1 200\r\n\r\n", "GET", false, HTTP_BODY_UNTIL_CLOSE},
		{"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", "GET", false, HTTP_BODY_LENGTH},
		{"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", "HEAD", false, HTTP_BODY_NONE},
		{"HTTP/1.1 304 \r\nContent-Length: 3\r\n\r\n", "GET", false, HTTP_BODY_NONE},
		{"HTTP/1.1 204 \r\nContent-Length: 0\r\n\r\n", "GET", false, HTTP_BODY_NONE},
		{"HTTP/1.1 204 \r\nContent-Length: 3\r\n\r\n", "GET", false, -1},
		{"HTTP/1.1 100 Continue\r\n\r\n", "POST", false, HTTP_BODY_NONE},
		{"HTTP/1.1 100 Continue\r\nTransfer-Encoding: chunked\r\n\r\n", "POST", false, -1},
		{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "GET", false,
			HTTP_BODY_CHUNKED},
		{"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "GET", false, -1},
		{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n",
			"GET", false, -1},
		{"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\n", "GET", false,
			-1},
		{"HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\n\r\n", "GET", false, -1},
		{"HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\n\r\n", "GET", true,
			HTTP_BODY_UPGRADED},
		{"HTTP/1.1 101 Switching\r\nUpgrade: h2c\r\n\r\n", "GET", true, -1},
		{"HTTP/1.1 200 OK\r\nX: y\r\n z\r\n\r\n", "GET", false, -1},
		{"HTTP/1.1 20 OK\r\n\r\n", "GET", false, -1},
		{"HTTP/1.1 099 OK\r\n\r\n", "GET", false, -1},
		{"HTTP/2 200 OK\r\n\r\n", "GET", false, -1},
		{"ICY 200 OK\r\n\r\n", "GET", false, -1},
		{"HTTP/1.1 200 OK\nX: y\r\n\r\n", "GET", false, -1},
	};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct http_head head;
		const struct http_head request = {
			.method = (char *)cases[i].method, .upgrade = cases[i].upgrade};
		const char *reason = NULL;
		ssize_t r = http_head_parse(
			cases[i].text, strlen(cases[i].text), &request, &head, &reason);
		int body = r < 0 ? -1 : (int)head.body;
		if (body != cases[i].body)
			fail_msg("%d (%s): %s", body, r < 0 ? reason : "", cases[i].text);
		http_head_release(&head);
	}
}

/* ---- chunks ---- */

/* The body in text, if it comes in pieces of so many bytes; NULL: refused. *ret_rest: what is
 * left of text. */
static char *unchunk(const char *text, size_t piece, const char **ret_rest)
{
	struct http_chunks chunks = {0};
	char *body = calloc(1, strlen(text) + 1);
	size_t used = 0, at = 0, length = strlen(text);
	while (at < length) {
		size_t framing, data, bytes = length - at < piece ? length - at : piece;
		const char *reason = NULL;
		int r = http_chunks_next(&chunks, text + at, bytes, &framing, &data, &reason);
		if (r < 0) {
			assert_non_null(reason);
			free(body);
			return NULL;
		}
		memcpy(body + used, text + at + framing, data);
		used += data;
		at += framing + data;
		if (r == 1) {
			*ret_rest = text + at;
			return body;
		}
		assert_true(framing + data > 0);
	}
	free(body);
	return NULL;
}

static void chunks_are_read_in_any_pieces(void **state)
{
	(void)state;
	static const char text[] =
		"4;name=\"a b\"\r\nWiki\r\n6\r\npedia \r\n0000E\r\nin \r\n\r\nchunks.\r\n"
		"0;last\r\nTrailer: x\r\nOther: y\r\n\r\nNEXT";
	for (size_t piece = 1; piece < sizeof(text); piece++) {
		const char *rest = NULL;
		cleanup_free char *body = unchunk(text, piece, &rest);
		assert_non_null(body);
		assert_string_equal(body, "Wikipedia in \r\n\r\nchunks.");
		assert_string_equal(rest, "NEXT");
	}
}

static void ambiguous_chunks_are_refused(void **state)
{
	(void)state;
	static const char *const cases[] = {
		"\r\n",
		"0x5\r\nhello\r\n0\r\n\r\n",
		"5 \r\nhello\r\n0\r\n\r\n",
		" 5\r\nhello\r\n0\r\n\r\n",
		"+5\r\nhello\r\n0\r\n\r\n",
		"-1\r\n",
		"5\nhello\r\n0\r\n\r\n",
		"5\rhello\r\n0\r\n\r\n",
		"5;a\nb\r\nhello\r\n0\r\n\r\n",
		"5;\ra\r\nhello\r\n0\r\n\r\n",
		"5\r\nhello!\r\n0\r\n\r\n",
		"5\r\nhello\n0\r\n\r\n",
		"5\r\nhello0\r\n\r\n",
		"10000000000000005\r\nhello\r\n0\r\n\r\n",
		"0000000000000005\r\nhello\r\n0\r\n\r\n",
		"ffffffffffffffff\r\nx",
		"5\t\r\nhello\r\n",
		"0\r\n\nX",
		"0\r\nX: y\nZ: \r\n\r\n",
		"0\r\n\rX",
		"0\r\nX: \x01\r\n\r\n",
	};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const char *rest;
		for (size_t piece = 1; piece < 8; piece++)
			if (unchunk(cases[i], piece, &rest))
				fail_msg("let through: %s", cases[i]);
	}
}

static void chunk_extensions_and_trailers_are_bounded(void **state)
{
	(void)state;
	const char *rest, *reason = NULL;
	char text[HTTP_TRAILER_BYTES_MAX + 64];
	memset(text, 'a', sizeof(text));
	memcpy(text, "1;", 2);
	memcpy(text + 2 + HTTP_CHUNK_EXTENSION_BYTES_MAX, "\r\nx\r\n0\r\n\r\n", 11);
	cleanup_free char *body = unchunk(text, 100, &rest);
	assert_string_equal(body, "x");
	memset(text, 'a', sizeof(text));
	memcpy(text, "1;", 2);
	memcpy(text + 3 + HTTP_CHUNK_EXTENSION_BYTES_MAX, "\r\nx\r\n0\r\n\r\n", 11);
	assert_null(unchunk(text, 100, &rest));
	memset(text, 'a', sizeof(text));
	memcpy(text, "0\r\n", 3);
	text[sizeof(text) - 1] = '\0';
	assert_null(unchunk(text, 100, &rest));

	/* Many small chunks, each with an extension that is within its own bound. */
	struct http_chunks chunks = {0};
	static const char chunk[] = "1;aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\nx\r\n";
	int r = 0, rounds = 0;
	for (; r == 0 && rounds < 10000; rounds++) {
		size_t framing = 0, data = 0;
		for (size_t at = 0; r == 0 && at < sizeof(chunk) - 1; at += framing + data)
			r = http_chunks_next(&chunks, chunk + at, sizeof(chunk) - 1 - at, &framing,
				&data, &reason);
	}
	assert_int_equal(r, -EBADMSG);
	assert_true(rounds < 1000);
}

/* ---- paths ---- */

static void paths_are_normalized_or_refused(void **state)
{
	(void)state;
	static const struct {
		const char *path, *normal; /* NULL: refused */
	} cases[] = {
		{"/", "/"},
		{"/a/b?c=%2f..", "/a/b?c=%2f.."},
		{"/%61%2D%5f%7E", "/a-_~"},
		{"/a/./b/../c", "/a/c"},
		{"/a/%2e%2E/b", "/b"},
		{"/a/..", "/"},
		{"/a/.", "/a/"},
		{"/a/b/..", "/a/"},
		{"/a/", "/a/"},
		{"/.a/..b/c..", "/.a/..b/c.."},
		{"/a%20b%c3%a9", "/a%20b%C3%A9"},
		{"/a;x=1/b", "/a;x=1/b"},
		{"/a/..?x", "/?x"},
		{"/.", "/"},
		{"/..", NULL},
		{"/a/../../b", NULL},
		{"/a%2fb", NULL},
		{"/a%2Fb", NULL},
		{"/a%5cb", NULL},
		{"/a\\b", NULL},
		{"/a%00", NULL},
		{"/a%0d%0a", NULL},
		{"/a%7f", NULL},
		{"/a%", NULL},
		{"/a%2", NULL},
		{"/a%zz", NULL},
		{"//a", NULL},
		{"/a//b", NULL},
		{"/a/..;/b", NULL},
		{"/a/.;x/b", NULL},
		{"/%252e%252e/a", NULL},
		{"/a%25b", NULL},
		{"/%25%32%65", NULL},
		{"/a/%2e%2e;x/b", NULL},
		{"/a//", NULL},
		{"/v1/%c0%ae%c0%ae/admin", NULL},
		{"/v1/%c0%afadmin", NULL},
		{"/v1/%e0%80%af", NULL},
		{"/v1/%ff", NULL},
		{"/v1/%c3", NULL},
		{"/v1/%c3x%a9", NULL},
		{"/v1/%e2%82%ac?%c0%ae", "/v1/%E2%82%AC?%c0%ae"},
		{"a", NULL},
		{"", NULL},
		{"?a", NULL},
	};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		cleanup_free char *normal = NULL;
		const char *reason = NULL;
		int r = http_path_normalize(cases[i].path, &normal, &reason);
		if (cases[i].normal ? r < 0 || strcmp(normal, cases[i].normal) != 0 : r != -EINVAL)
			fail_msg("%s: %s", cases[i].path, normal ? normal : "refused");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(smuggled_requests_are_refused),
		cmocka_unit_test(good_requests_mean_the_same_again),
		cmocka_unit_test(heads_are_bounded),
		cmocka_unit_test(fields_cannot_be_set_to_more_than_one_line),
		cmocka_unit_test(hops_are_stripped),
		cmocka_unit_test(responses_are_framed_by_what_was_asked),
		cmocka_unit_test(chunks_are_read_in_any_pieces),
		cmocka_unit_test(ambiguous_chunks_are_refused),
		cmocka_unit_test(chunk_extensions_and_trailers_are_bounded),
		cmocka_unit_test(paths_are_normalized_or_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
