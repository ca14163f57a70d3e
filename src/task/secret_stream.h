/* Streams in which secrets are looked for, and the streams that are packed in them. Between
 * secret_stream.c, which looks, and secret_unpack.c, which unpacks. */
#ifndef COFFER_TASK_SECRET_STREAM_H
#define COFFER_TASK_SECRET_STREAM_H

#include "base/automaton.h"
#include "task/secret_forms.h"

struct search;
struct stream;
struct unpacker;

struct search_hit {
	const char *member; /* "" or "!name!name": where in an archive */
	size_t secret;
	enum secret_form form;
	uint64_t end_bytes; /* after the last byte of it, in the innermost stream */
};

struct search_calls {
	void (*hit)(void *context, const struct search_hit *hit);
	void (*unreadable)(void *context, const char *member, const char *why);
	void *context;
};

/* values and calls are borrowed. */
int search_new(const struct secret_values *values, const struct search_calls *calls,
	struct search **ret);
void search_free(struct search *search);

/* One file. Each form of each secret is told once a member. */
int search_begin(struct search *search, uint64_t file_bytes, struct stream **ret);
void stream_feed(struct stream *stream, const char *data, size_t length_bytes);
/* 0, or -errno: something was not looked at. */
int search_end(struct stream *stream);

/* Whether text, which is continued from before if `more` says so, holds a secret: its index and form.
 * For names, which are not unpacked. */
bool search_text(struct search *search, const char *text, size_t length_bytes, size_t *ret_secret,
	enum secret_form *ret_form);

/* ---- for secret_unpack.c ---- */

/* What a packed stream begins with; the automaton accepts it with SECRET_VALUE_END + its number. */
struct magic {
	const char *bytes;
	unsigned char length;
	unsigned char kind; /* enum magic_kind */
};
enum magic_kind { MAGIC_ZLIB, MAGIC_GZIP, MAGIC_ZIP, MAGIC_PACK };
const struct magic *magic_table(size_t *ret_count);

/* An unpacker for what begins with magic, of which it has read all, in `outer`, `at` the start of a
 * member or file (then what is broken is told) or anywhere. NULL: none can be had, and that was told
 * if it matters. */
struct unpacker *unpacker_start(
	struct stream *outer, const struct magic *magic, uint64_t offset_bytes, bool at_start);
/* False: it has come to its end, or what it reads is no such thing. */
bool unpacker_feed(struct unpacker *unpacker, const char *data, size_t length_bytes);
enum magic_kind unpacker_kind(const struct unpacker *unpacker);
/* The outer stream has ended, or the unpacker has. */
void unpacker_stop(struct unpacker *unpacker);
/* Frees what is kept for the next one. */
void unpackers_free(struct search *search);

struct unpacker **search_spare_unpackers(struct search *search);
/* A stream within another; name NULL: it has none of its own. NULL: no memory, or too deep. */
struct stream *stream_inner(struct stream *outer, const char *name, uint64_t offset_bytes);
void stream_finish(struct stream *stream);
unsigned stream_depth(const struct stream *stream);
/* From begin to end the stream is the member `name`. */
enum stream_member { MEMBER_OF_TAR, MEMBER_OF_ZIP, MEMBERS };
void stream_set_member(struct stream *stream, enum stream_member which, const char *name,
	uint64_t begin_bytes, uint64_t end_bytes);
struct search *stream_search(const struct stream *stream);
void stream_unreadable(struct stream *stream, uint64_t offset_bytes, const char *why);
/* So much was unpacked or read for it. False: that is more than is allowed. */
bool stream_charge(struct stream *stream, uint64_t bytes);

#endif
