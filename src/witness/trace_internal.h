/* What the parsers of traces share.
 *
 *	trace.c           the story: text in, failures out; their order and their fingerprints
 *	trace_text.c      a text as lines, without colours
 *	trace_table.c     the table of parsers
 *	trace_pattern.c   one-line diagnostics, each a pattern in a table
 *	trace_<family>.c  what takes several lines
 *	trace_places.c    names of files in terms of the workspace; source lines
 *	trace_json.c, trace_show.c
 *
 * A parser is called at a line that holds its needle. It takes lines off the reader as it goes and
 * never goes back further than it took, so that the whole takes time linear in the text; looking
 * ahead is bounded by TRACE_LOOK_AHEAD lines. */
#ifndef COFFER_WITNESS_TRACE_INTERNAL_H
#define COFFER_WITNESS_TRACE_INTERNAL_H

#include "base/limits.h"
#include "witness/slice.h"
#include "witness/trace.h"

#include <stdint.h>

enum { TRACE_LOOK_AHEAD = 40 };
#define HASH_START 0xcbf29ce484222325U

enum trace_follows {
	FOLLOWS_NOTHING,
	FOLLOWS_RAISED_FROM,    /* the failure before it in the list was its cause */
	FOLLOWS_WHILE_HANDLING, /* came up while that one was being handled */
	FOLLOWS_PART_OF_GROUP,  /* one of the failures that a group before it holds */
};

/* What comes first in the list. */
enum trace_rank { RANK_ORIGIN, RANK_CAUSE, RANK_ENDING, RANK_SUMMARY };

struct trace_frame {
	struct slice file;     /* as printed; empty: not known */
	unsigned line, column; /* from 1; 0: not known */
	struct slice function;
	struct slice note;      /* what the place has to do with it, where it is not a call */
	struct slice directory; /* that a relative name starts from, where the text says so */
};

struct trace {
	const char *family, *stream;
	struct slice kind, message;
	struct slice test; /* whose failure it is; or empty */
	enum trace_follows follows;
	enum trace_rank rank;
	struct trace_frame frames[MAX_TRACE_FRAMES]; /* the innermost first */
	size_t frames_count;
	unsigned frames_lost, seen;
	uint64_t fingerprint;
};

struct traces {
	struct trace *items[MAX_TRACES];
	size_t count;
	unsigned more;
	char *texts[4]; /* what the slices point into */
	size_t texts_count;
	json_t *processes;
};

/* The lines of one text, and what the lines before said that matters for those that come. */
struct trace_reader {
	struct traces *traces;
	const char *stream;
	const struct slice *lines;
	size_t count, at;
	bool failed; /* out of memory */

	struct slice directory;            /* make is in it */
	struct slice in_file, in_function; /* "a.c: In function 'main':" */
	struct trace_frame pending[4];     /* inclusions and instantiations before a diagnostic */
	size_t pending_count;
	struct slice bare_file; /* node: FILE:LINE on a line of its own */
	unsigned bare_line;
	size_t bare_at;
	struct slice test;          /* the test whose output this is */
	enum trace_follows follows; /* of the next exception */
	struct trace *last;         /* added last; NULL: none that further lines may add to */
};

/* The line at offset from the current one; an empty one beyond the end. */
struct slice reader_line(const struct trace_reader *reader, size_t offset);
bool reader_is_at_end(const struct trace_reader *reader);
/* Takes the current line off. */
struct slice reader_take(struct trace_reader *reader);

/* Text without escape sequences, carriage returns and NULs (same length or shorter), then cut into
 * lines. The caller frees both. */
size_t text_clean(char *text, size_t length_bytes);
struct slice *text_lines(const char *text, size_t length_bytes, size_t *ret_count);

struct trace trace_begin(const char *family, struct slice kind, struct slice message);
/* Adds at the end; a frame too many is only counted. */
void trace_add_frame(struct trace *trace, const struct trace_frame *frame);
/* For stacks that are printed with the innermost frame last: of too many the outermost go. */
void trace_push_frame(struct trace *trace, const struct trace_frame *frame);
/* Adds what was parsed to the list, unless it is there. */
void reader_add(struct trace_reader *reader, struct trace *trace);
/* The same for the cause of the failure that was added last: it comes before that. */
void reader_add_cause(struct trace_reader *reader, struct trace *trace);

/* "FILE:LINE:COLUMN" or "FILE:LINE", all of it. */
bool frame_of_place(struct slice place, struct trace_frame *ret);
/* "Kind: message" or "Kind" alone, where Kind is a (dotted) name. */
bool split_kind(struct slice line, struct slice *ret_kind, struct slice *ret_message);
/* The last part of a dotted or :: name. */
bool is_name(struct slice word);

/* One row of the table: asked at each line that holds the needle. Returns whether it took the
 * line (or more); if not, the reader stands where it stood. */
struct trace_parser {
	const char *family, *needle;
	bool (*parse)(struct trace_reader *reader);
};
extern const struct trace_parser trace_parsers[];
extern const size_t trace_parsers_count;

/* One-line diagnostics, from trace_pattern.c: tried where no parser took the line. */
bool trace_match_patterns(struct trace_reader *reader);

bool python_traceback(struct trace_reader *reader);
bool python_syntax(struct trace_reader *reader);
bool python_link(struct trace_reader *reader);
bool unittest_header(struct trace_reader *reader);
bool pytest_section(struct trace_reader *reader);
bool pytest_line(struct trace_reader *reader);
bool pytest_summary(struct trace_reader *reader);
bool node_bare_place(struct trace_reader *reader);
bool node_error(struct trace_reader *reader);
bool node_rejection(struct trace_reader *reader);
bool node_thrown(struct trace_reader *reader);
bool jest_failure(struct trace_reader *reader);
bool mocha_failure(struct trace_reader *reader);
bool tap_failure(struct trace_reader *reader);
bool eslint_stylish(struct trace_reader *reader);
bool java_exception(struct trace_reader *reader);
bool maven_test(struct trace_reader *reader);
bool gradle_failure(struct trace_reader *reader);
bool go_panic(struct trace_reader *reader);
bool go_test(struct trace_reader *reader);
bool rust_panic(struct trace_reader *reader);
bool rustc_error(struct trace_reader *reader);
bool compiler_function(struct trace_reader *reader);
bool compiler_inclusion(struct trace_reader *reader);
bool compiler_note(struct trace_reader *reader);
bool linker_error(struct trace_reader *reader);
bool make_directory(struct trace_reader *reader);
bool make_error(struct trace_reader *reader);
bool cmake_error(struct trace_reader *reader);
bool ninja_failed(struct trace_reader *reader);
bool sanitizer_report(struct trace_reader *reader);
bool thread_sanitizer_report(struct trace_reader *reader);
bool leak_report(struct trace_reader *reader);
bool undefined_report(struct trace_reader *reader);
bool valgrind_error(struct trace_reader *reader);
bool ruby_exception(struct trace_reader *reader);
bool php_error(struct trace_reader *reader);

/* The name of the file in terms of the workspace (the caller frees), and a descriptor where it may
 * be looked at, else -1. NULL: out of memory. */
char *place_resolve(const struct trace_frame *frame, const struct trace_options *options,
	bool *ret_inside, int *ret_fd);
/* The lines around line: [{line, text}]; an empty array where there are none. Takes what it read
 * off *budget_bytes. */
json_t *place_source(int fd, unsigned line, size_t *budget_bytes);
void hash_bytes(uint64_t *hash, const void *data, size_t length_bytes);
/* A JSON string of at most max_bytes; what is no UTF-8 becomes U+FFFD. */
json_t *slice_json(struct slice slice, size_t max_bytes);

#endif
