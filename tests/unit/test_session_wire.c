/* What stands between a session and the bytes of others: lines, JSON-RPC, text, what is kept. */
#include "base/cleanup.h"
#include "base/limits.h"
#include "session/frames.h"
#include "session/kept.h"
#include "session/params.h"
#include "session/rpc.h"
#include "session/text.h"
#include "session/wire.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

static void test_text(void **state)
{
	(void)state;
	assert_true(text_is_utf8("h\xc3\xa9\0!", 5));
	assert_false(text_is_utf8("\xc3", 1));
	assert_false(text_is_utf8("\xed\xa0\x80", 3));
	assert_false(text_is_utf8("\xc0\x80", 2));
	assert_true(text_is_utf8("", 0));
	assert_int_equal(text_incomplete_bytes("a\xe2\x82", 3), 2);
	assert_int_equal(text_incomplete_bytes("a\xe2\x82\xac", 4), 0);
	assert_int_equal(text_incomplete_bytes("\xf0\x9f\x98", 3), 3);
	assert_int_equal(text_incomplete_bytes("abc", 3), 0);
	assert_int_equal(text_incomplete_bytes("\x80\x80\x80\x80", 4), 0);
	assert_int_equal(text_incomplete_bytes("", 0), 0);
	json_t *json = json_of_bytes("a\xff\xe2\x82", 4);
	assert_string_equal(json_string_value(json), "a\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");
	json_decref(json);
}

static void test_base64(void **state)
{
	(void)state;
	static const struct {
		const char *text, *data;
	} good[] = {
		{"", ""}, {"Zg==", "f"}, {"Zm8=", "fo"}, {"Zm9v", "foo"}, {"Zm9vYmE=", "fooba"}};
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		char *data = NULL;
		size_t length;
		assert_int_equal(
			base64_decode(good[i].text, strlen(good[i].text), &data, &length), 0);
		assert_int_equal(length, strlen(good[i].data));
		assert_string_equal(data, good[i].data);
		json_t *json = json_of_base64(data, length);
		assert_string_equal(json_string_value(json), good[i].text);
		json_decref(json);
		free(data);
	}
	static const char *const bad[] = {
		"Z", "Zg=", "Zg", "====", "Z===", "Zg==Zg==", "Zm9v\n", "Zm=v", "Zm9\xff"};
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		char *data = NULL;
		size_t length;
		assert_int_equal(base64_decode(bad[i], strlen(bad[i]), &data, &length), -EINVAL);
	}
}

/* Whatever the pieces, head and tail and what lies between add up. */
static void test_kept(void **state)
{
	(void)state;
	enum { TOTAL = 1000 };
	char all[TOTAL];
	for (size_t i = 0; i < TOTAL; i++)
		all[i] = (char)('a' + i % 26);
	for (size_t piece = 1; piece < 300; piece += 7) {
		struct kept kept;
		assert_int_equal(kept_init(&kept, 100, 0), 0);
		for (size_t i = 0; i < TOTAL; i += piece)
			kept_add(&kept, all + i, piece < TOTAL - i ? piece : TOTAL - i);
		json_t *json = kept_json(&kept);
		const char *head = json_string_value(json_object_get(json, "text"));
		const char *tail =
			json_string_value(json_object_get(json_object_get(json, "tail"), "text"));
		assert_int_equal(strlen(head), 50);
		assert_int_equal(strlen(tail), 50);
		assert_memory_equal(head, all, 50);
		assert_memory_equal(tail, all + TOTAL - 50, 50);
		assert_int_equal(
			json_integer_value(json_object_get(json, "dropped_bytes")), TOTAL - 100);
		json_decref(json);
		kept_release(&kept);
	}
}

static void test_kept_whole(void **state)
{
	(void)state;
	struct kept kept;
	assert_int_equal(kept_init(&kept, 10, 0), 0);
	kept_add(&kept, "01234567", 8);
	kept_add(&kept, "89", 2);
	json_t *json = kept_json(&kept);
	assert_string_equal(json_string_value(json_object_get(json, "text")), "0123456789");
	assert_null(json_object_get(json, "dropped_bytes"));
	json_decref(json);
	kept_release(&kept);
	/* A character that the cut goes through is on neither side, and counted as dropped. */
	assert_int_equal(kept_init(&kept, 6, 0), 0);
	kept_add(&kept, "ab\xc3\xa9 \xc3\xa9 \xc3\xa9yz", 12);
	json = kept_json(&kept);
	assert_string_equal(json_string_value(json_object_get(json, "text")), "ab");
	assert_string_equal(
		json_string_value(json_object_get(json_object_get(json, "tail"), "text")), "yz");
	assert_int_equal(json_integer_value(json_object_get(json, "dropped_bytes")), 8);
	json_decref(json);
	kept_release(&kept);
}

/* ---- the wire ---- */

struct world {
	int host; /* the host's end */
	struct wire *wire;
	struct rpc *rpc;
	unsigned ran;
	struct rpc_request *waiting;
};

static void say(struct world *world, const char *text, size_t length)
{
	for (size_t done = 0; done < length;) {
		ssize_t n = send(world->host, text + done, length - done, MSG_DONTWAIT);
		if (n > 0)
			done += (size_t)n;
		assert_int_equal(wire_read(world->wire), 0);
	}
}

static void run_echo(void *data, struct rpc_request *request, json_t *params)
{
	struct world *world = data;
	world->ran++;
	rpc_result(world->rpc, request, json_incref(params));
}

static void run_later(void *data, struct rpc_request *request, json_t *params)
{
	struct world *world = data;
	(void)params;
	world->waiting = request;
}

static const struct rpc_method methods[] = {{"echo", run_echo}, {"later", run_later}, {0}};

static void open_world(struct world *world)
{
	int pair[2];
	*world = (struct world){0};
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	world->host = pair[0];
	assert_int_equal(wire_new(pair[1], pair[1], &world->wire), 0);
	struct rpc_face face = {.methods = methods, .data = world, .batches = true};
	assert_int_equal(rpc_new(world->wire, &face, &world->rpc), 0);
}

static void close_world(struct world *world, int wire_fd)
{
	rpc_free(world->rpc);
	wire_free(world->wire);
	close(world->host);
	close(wire_fd);
}

/* What has been written, as one string. */
static char *heard(struct world *world)
{
	static char text[64 * 1024];
	while (wire_queued_bytes(world->wire))
		assert_int_equal(wire_write(world->wire), 0);
	ssize_t n = recv(world->host, text, sizeof(text) - 1, MSG_DONTWAIT);
	text[n > 0 ? n : 0] = '\0';
	return text;
}

static void test_lines(void **state)
{
	(void)state;
	struct world world;
	open_world(&world);
	const char *line;
	size_t length;
	say(&world, "one\ntw", 6);
	assert_int_equal(wire_next(world.wire, &line, &length), 1);
	assert_string_equal(line, "one");
	assert_int_equal(wire_next(world.wire, &line, &length), 0);
	say(&world, "o\n\nthree\n", 9);
	static const char *const rest[] = {"two", "", "three"};
	for (size_t i = 0; i < ARRAY_SIZE(rest); i++) {
		assert_int_equal(wire_next(world.wire, &line, &length), 1);
		assert_string_equal(line, rest[i]);
	}
	assert_int_equal(wire_next(world.wire, &line, &length), 0);
	close(world.host);
	assert_int_equal(wire_read(world.wire), -EPIPE);
	world.host = -1;
	close_world(&world, -1);
}

/* One that is too long is told once, and forgotten as it comes. */
static void test_a_line_that_is_too_long(void **state)
{
	(void)state;
	struct world world;
	open_world(&world);
	const char *line;
	size_t length;
	enum { PIECE = 1024 * 1024 };
	char *piece = malloc(PIECE);
	memset(piece, 'x', PIECE);
	unsigned told = 0;
	for (size_t sent = 0; sent < 3 * (size_t)MAX_MESSAGE_BYTES; sent += 4096) {
		assert_int_equal(send(world.host, piece, 4096, 0), 4096);
		assert_int_equal(wire_read(world.wire), 0);
		int r = wire_next(world.wire, &line, &length);
		told += r == -EMSGSIZE;
		assert_true(r == 0 || r == -EMSGSIZE);
	}
	assert_int_equal(told, 1);
	say(&world, "\nafter\n", 7);
	assert_int_equal(wire_next(world.wire, &line, &length), 1);
	assert_string_equal(line, "after");
	free(piece);
	close_world(&world, -1);
}

static void take(struct world *world, const char *line)
{
	assert_int_equal(rpc_take(world->rpc, line, strlen(line)), 0);
}

static void test_requests(void **state)
{
	(void)state;
	struct world world;
	open_world(&world);
	take(&world, "{\"jsonrpc\":\"2.0\",\"id\":\"a\",\"method\":\"echo\",\"params\":{\"x\":1}}");
	assert_string_equal(
		heard(&world), "{\"jsonrpc\":\"2.0\",\"id\":\"a\",\"result\":{\"x\":1}}\n");
	take(&world, "{\"jsonrpc\":\"2.0\",\"method\":\"echo\"}");
	assert_string_equal(heard(&world), "");
	assert_int_equal(world.ran, 2);
	take(&world, "{\"jsonrpc\":\"2.0\",\"method\":\"ecko\",\"id\":1}");
	assert_non_null(strstr(heard(&world), "did you mean 'echo'?"));
	take(&world, "{\"jsonrpc\":\"2.0\",\"method\":\"echo\",\"id\":1,\"params\":[1]}");
	assert_non_null(strstr(heard(&world), "-32602"));
	close_world(&world, -1);
}

static void test_a_batch_answers_when_all_is_there(void **state)
{
	(void)state;
	struct world world;
	open_world(&world);
	take(&world, "[{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"later\"},"
		     "{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"echo\"}]");
	assert_string_equal(heard(&world), "");
	rpc_result(world.rpc, world.waiting, json_true());
	json_t *answers = json_loads(heard(&world), 0, NULL);
	assert_int_equal(json_array_size(answers), 2);
	json_decref(answers);
	/* Only notifications: there is nothing to answer. */
	take(&world, "[{\"jsonrpc\":\"2.0\",\"method\":\"echo\"}]");
	assert_string_equal(heard(&world), "");
	rpc_set_batches(world.rpc, false);
	take(&world, "[{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"echo\"}]");
	assert_non_null(strstr(heard(&world), "-32600"));
	close_world(&world, -1);
}

static unsigned answered;

static void note_answer(void *data, const json_t *result, const json_t *error)
{
	assert_true((result == NULL) != (error == NULL));
	*(const char **)data = result ? json_string_value(result) : "error";
	answered++;
}

static void test_questions(void **state)
{
	(void)state;
	struct world world;
	open_world(&world);
	const char *first = NULL, *second = NULL;
	unsigned one, two;
	answered = 0;
	assert_int_equal(rpc_ask(world.rpc, "q", json_object(), note_answer, &first, &one), 0);
	assert_int_equal(rpc_ask(world.rpc, "q", json_object(), note_answer, &second, &two), 0);
	assert_true(one != two);
	take(&world, "{\"jsonrpc\":\"2.0\",\"id\":2,\"error\":{\"code\":-1,\"message\":\"\"}}");
	take(&world, "{\"jsonrpc\":\"2.0\",\"id\":2,\"result\":\"again\"}");
	take(&world, "{\"jsonrpc\":\"2.0\",\"id\":99,\"result\":\"nobody asked\"}");
	assert_string_equal(second, "error");
	assert_null(first);
	rpc_forget(world.rpc, one);
	take(&world, "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":\"late\"}");
	assert_null(first);
	assert_int_equal(answered, 1);
	close_world(&world, -1);
}

/* ---- frames ---- */

static void test_frames(void **state)
{
	(void)state;
	int pair[2];
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	struct buffer buffer = BUFFER_INIT(MAX_CALL_MESSAGE_BYTES);
	struct frame frame;
	const char *data;
	assert_int_equal(frame_send(pair[0], FRAME_STDOUT, "abc", 3), 0);
	assert_int_equal(frame_send(pair[0], FRAME_STDERR, "", 0), 0);
	assert_int_equal(frame_post_json(pair[0], FRAME_NOTE, json_pack("{s:i}", "a", 1)), 0);
	assert_int_equal(frame_fill(pair[1], &buffer), 0);
	assert_int_equal(frame_peek(&buffer, &frame, &data), 1);
	assert_int_equal(frame.kind, FRAME_STDOUT);
	assert_memory_equal(data, "abc", 3);
	frame_drop(&buffer);
	assert_int_equal(frame_peek(&buffer, &frame, &data), 1);
	assert_int_equal(frame.length_bytes, 0);
	frame_drop(&buffer);
	assert_int_equal(frame_peek(&buffer, &frame, &data), 1);
	assert_memory_equal(data, "{\"a\":1}", frame.length_bytes);
	frame_drop(&buffer);
	assert_int_equal(frame_peek(&buffer, &frame, &data), 0);
	/* What no call of ours says. */
	struct frame wrong = {.kind = 77, .length_bytes = 1};
	buffer_append(&buffer, &wrong, sizeof(wrong));
	assert_int_equal(frame_peek(&buffer, &frame, &data), -EINVAL);
	buffer_clear(&buffer);
	wrong = (struct frame){.kind = FRAME_NOTE, .length_bytes = UINT32_MAX};
	buffer_append(&buffer, &wrong, sizeof(wrong));
	assert_int_equal(frame_peek(&buffer, &frame, &data), -EINVAL);
	buffer_release(&buffer);
	close(pair[0]);
	close(pair[1]);
}

/* ---- parameters ---- */

static void test_parameters(void **state)
{
	(void)state;
	static const struct param inner[] = {{.name = "list", .kind = PARAM_STRINGS}, {0}};
	static const struct param table[] = {
		{.name = "name", .kind = PARAM_STRING, .required = true, .max = 5},
		{.name = "count", .kind = PARAM_INTEGER, .min = 1, .max = 3},
		{.name = "inner", .kind = PARAM_OBJECT, .fields = inner},
		{0},
	};
	static const struct {
		const char *json, *said; /* NULL: it is right */
	} cases[] = {
		{"{\"name\":\"a\"}", NULL},
		{"{\"name\":\"a\",\"count\":3,\"_meta\":{}}", NULL},
		{"{\"name\":\"a\",\"count\":null}", NULL},
		{"{\"name\":\"a\",\"inner\":{\"list\":[\"x\"]}}", NULL},
		{"{}", "name is missing"},
		{"{\"name\":null}", "name is not a string"},
		{"{\"name\":\"abcdef\"}", "name has 6 bytes"},
		{"{\"name\":\"a\\u0000b\"}", "name is not a string without NUL"},
		{"{\"name\":\"a\",\"count\":4}", "count is 4; it goes from 1 to 3"},
		{"{\"name\":\"a\",\"count\":1.0}", "count is not an integer"},
		{"{\"name\":\"a\",\"inner\":{\"list\":[1]}}", "list is not an array of strings"},
		{"{\"name\":\"a\",\"inner\":{\"lost\":[]}}", "there is no parameter 'lost'"},
		{"{\"nane\":\"a\"}", "there is no parameter 'nane'"},
	};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct error error = {0};
		json_t *json = json_loads(cases[i].json, JSON_ALLOW_NUL, NULL);
		int r = params_check(json, table, &error);
		json_decref(json);
		assert_int_equal(r < 0, cases[i].said != NULL);
		if (cases[i].said)
			assert_non_null(strstr(error.message, cases[i].said));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_base64),
		cmocka_unit_test(test_kept),
		cmocka_unit_test(test_kept_whole),
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_a_line_that_is_too_long),
		cmocka_unit_test(test_requests),
		cmocka_unit_test(test_a_batch_answers_when_all_is_there),
		cmocka_unit_test(test_questions),
		cmocka_unit_test(test_frames),
		cmocka_unit_test(test_parameters),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
