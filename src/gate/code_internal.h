/* What the files of the code analysis share.
 *
 *	code.c             languages, the order of an analysis
 *	code_notebook.c    the cells of a notebook
 *	code_shell.c       scripts and command lines, by the gate's own analysis of commands
 *	code_tree.c        syntax tree, cursor walk, syntax errors, arguments of a call
 *	code_value.c       what an expression stands for: a dotted name, or text put together
 *	code_call.c        a call's arguments
 *	code_fold.c        calls whose outcome is known: join, chr, base64, getattr, require, ...
 *	code_judge.c       how grave a call is, by its arguments
 *	code_python.c, code_javascript.c: what binds names, and what else is looked at; their tables
 *	code_strings.c     paths and names that text may hold
 *	code_rules.c, code_findings.c, code_output.c: what is told
 */
#ifndef COFFER_GATE_CODE_INTERNAL_H
#define COFFER_GATE_CODE_INTERNAL_H

#include "base/cleanup.h"
#include "base/limits.h"
#include "config/syntax.h"
#include "gate/code.h"
#include "gate/code_text.h"
#include "gate/grammars.h"

#include <stdint.h>

enum {
	MAX_VALUE_BYTES = 8 * 1024, /* of text put together: what is longer is cut */
	MAX_DOTTED_BYTES = 512,
	MAX_KEPT_BYTES = 16 * 1024 * 1024, /* the names that a program binds */
	MAX_ARGUMENTS = 32,
	MAX_LIST_ITEMS = 4096,
	MAX_CODE_NESTING = 3, /* literal text that is evaluated, within such text */
};

/* Nodes that matter, the same for each language. */
enum node_kind {
	NODE_OTHER,
	NODE_IDENTIFIER,
	NODE_ATTRIBUTE,
	NODE_SUBSCRIPT,
	NODE_CALL,
	NODE_STRING,  /* with or without interpolations */
	NODE_STRINGS, /* strings side by side */
	NODE_INTERPOLATION,
	NODE_BINARY,
	NODE_WRAPPER, /* parentheses, await: its last named child is what it stands for */
	NODE_LIST,
	NODE_OBJECT,
	NODE_NUMBER,
	NODE_ASSIGNMENT,
	NODE_AUGMENTED,
	NODE_DEFINITION, /* of a function or class */
	NODE_PARAMETERS,
	NODE_LOOP,
	NODE_IMPORT,
	NODE_IMPORT_FROM,
	NODE_AS,
	NODE_DECORATOR,
	NODE_STATEMENT, /* an expression as a statement */
	NODE_EXECUTION, /* Python 2's exec statement */
	NODE_PAIR,
	NODE_RETURN,
};

enum node_field {
	FIELD_FUNCTION,
	FIELD_ARGUMENTS,
	FIELD_OBJECT,  /* of an attribute */
	FIELD_MEMBER,  /* of an attribute */
	FIELD_INDEXED, /* of a subscript */
	FIELD_INDEX,   /* of a subscript */
	FIELD_LEFT,
	FIELD_RIGHT,
	FIELD_OPERATOR,
	FIELD_NAME,
	FIELD_VALUE,
	FIELD_ALIAS,
	FIELD_KEY,
	FIELD_SOURCE, /* of an import */
	FIELD_CONSTRUCTOR,
	FIELD_EXPRESSION,
	FIELDS,
};

/* Stands, within a value's text, for a piece that is not known. */
#define UNKNOWN_PIECE '\x1a'

/* What an expression stands for. Both may be known: pathlib.Path("x") is a name (of a result:
 * "pathlib.Path()") and a text ("x"). Strings live in an arena of the run's. */
struct value {
	const char *name; /* dotted; of a module of JavaScript: "@module.member" */
	const char *text;
	bool exact;     /* the whole of text is known */
	bool folded;    /* text was put together of pieces */
	bool disguised; /* the name was reached by way of text */
	bool imported;  /* the name stands for something imported */
};

struct arena {
	struct arena_block *blocks;
	size_t used_bytes, max_bytes;
};

struct call {
	TSNode node;
	struct value function;
	/* Of a method: what it is called on, and its own name; else null and "". */
	TSNode object_node;
	struct value object;
	const char *method;
	TSNode arguments[MAX_ARGUMENTS]; /* positional */
	size_t count;
	struct {
		TSNode name, value;
	} keywords[MAX_ARGUMENTS];
	size_t keywords_count;
};

struct code_run;

/* A function that matters when it is called, or passed on. */
struct sink {
	const char *name; /* dotted; "subprocess.*" for all of a module's that have no line */
	const char *rule; /* without the language's prefix */
	void (*judge)(struct code_run *run, const struct call *call, const char *rule);
};

/* A call whose outcome can be known: fills ret, and returns whether it did. */
struct fold {
	const char *name;
	bool (*fold)(
		struct code_run *run, const struct call *call, unsigned depth, struct value *ret);
};

struct module_rule {
	const char *name; /* without submodules */
	const char *rule;
};

struct code_grammar {
	const char *name;   /* "python" */
	const char *prefix; /* of its rules: "py-" */
	const TSLanguage *(*language)(void);
	const struct kind_name {
		const char *type;
		enum node_kind kind;
	} * kinds;
	const char *const *fields; /* [FIELDS]; NULL: it has none */
	const struct sink *sinks;  /* sorted by name */
	const size_t *sinks_count;
	const struct fold *folds; /* sorted by name */
	const size_t *folds_count;
	const struct module_rule *modules; /* sorted by name */
	const size_t *modules_count;
	/* A member of something known, however it is reached (a.b, a["b"]). */
	struct value (*member)(
		struct code_run *run, struct value object, const char *name, bool by_text);
	/* What name stands for, where nothing in the source binds it. */
	struct value (*unbound)(struct code_run *run, const char *name);
	void (*bind)(struct code_run *run, TSNode node, enum node_kind kind);
	void (*visit)(struct code_run *run, TSNode node, enum node_kind kind);
	void (*finish)(struct code_run *run);
};

struct binding;

/* One analysis of one source. */
struct code_run {
	const struct code_grammar *grammar;
	const char *source;
	size_t length_bytes;
	struct syntax syntax;
	uint8_t *kinds; /* [symbol] */
	TSFieldId fields[FIELDS];
	struct code_node {
		TSNode node;
		enum node_kind kind;
		unsigned depth;
	} * nodes;
	size_t nodes_count;
	struct findings_list *findings;
	struct arena kept, scratch;
	struct binding **bindings; /* a hash table */
	size_t steps_left;         /* of evaluation, for the whole run */
	unsigned depth;            /* of the node that is visited */
	unsigned nesting;
	const struct finding *origin; /* for what was found within evaluated text: where that is */
	uint32_t loop_end, text_end;  /* the ends of the loop and the text that were entered */
	uint32_t sum_start, sum_end;  /* the sum that was looked at last, with all its terms */
	const char *wildcards[4];     /* modules whose every name was imported */
	bool non_ascii;
	unsigned hexadecimal_names;
	struct {
		TSNode node;
		bool seen;
	} credential, network, connection, shell_program;
	int error;
};

/* ---- code.c ---- */
int code_check_tree(const struct code_grammar *grammar, const char *source, size_t length_bytes,
	unsigned nesting, const struct finding *origin, struct findings_list *findings);
int code_check_notebook(const char *source, size_t length_bytes, struct findings_list *findings);
int code_check_shell(const char *source, size_t length_bytes, struct findings_list *findings);
/* A command line that the program passes to a shell. */
void code_check_command(struct code_run *run, TSNode where, const char *line);
/* Text that the program would evaluate, in its own language. */
void code_check_nested(struct code_run *run, TSNode where, const char *text);

/* ---- code_tree.c ---- */
int tree_open(struct code_run *run);
void tree_close(struct code_run *run);
/* Finds the nodes that have a kind; then each is visited, parents first. */
int tree_collect(struct code_run *run);
void tree_visit(struct code_run *run,
	void (*visit)(struct code_run *run, TSNode node, enum node_kind kind));
void tree_find_error(struct code_run *run);
enum node_kind node_kind(const struct code_run *run, TSNode node);
TSNode node_field(const struct code_run *run, TSNode node, enum node_field field);
/* These take a null node, too, and give one where there is none. */
TSNode node_child(TSNode node, uint32_t index);
TSNode node_last_child(TSNode node);
size_t node_children(TSNode node, TSNode *ret, size_t room); /* the named ones but comments */
/* Copies of source text, in the scratch arena, at most MAX_VALUE_BYTES; never NULL. */
const char *node_text(struct code_run *run, TSNode node);
/* An identifier, as the language compares them (Python: NFKC). */
const char *node_identifier(struct code_run *run, TSNode node);
bool node_is(TSNode node, const char *type);

/* ---- code_value.c ---- */
char *arena_take(struct arena *arena, size_t size_bytes); /* NULL: no room */
const char *arena_copy(struct arena *arena, const char *text, size_t length_bytes);
void arena_forget(struct arena *arena); /* keeps a block */
void arena_release(struct arena *arena);
struct value value_of(struct code_run *run, TSNode node, unsigned depth);
struct value value_named(struct code_run *run, const char *name);
/* object.name + "." + member. */
struct value value_dotted(struct code_run *run, struct value object, const char *member);
/* What a call of function gives: its name and "()". */
struct value value_of_result(struct code_run *run, struct value function);
struct value value_text(struct code_run *run, const char *text, size_t length_bytes, bool exact);
void call_open(struct code_run *run, TSNode node, unsigned depth, struct call *ret);
/* An attribute node, and what it is an attribute of. */
struct value value_of_member(
	struct code_run *run, TSNode node, unsigned depth, struct value *ret_object);
void code_bind(struct code_run *run, const char *name, uint32_t position, struct value value);
/* What name stands for at position; false: nothing binds it. */
bool bound(struct code_run *run, const char *name, uint32_t position, struct value *ret);
void bindings_release(struct code_run *run);

/* ---- code_call.c ---- */
TSNode call_argument(const struct call *call, size_t index); /* a null node: none */
struct value call_value(struct code_run *run, const struct call *call, size_t index);
/* A keyword argument, or a property of an object that is among the arguments; a null node: none. */
TSNode call_option(struct code_run *run, const struct call *call, const char *name);
/* Whether it is given, and is not false. */
bool call_option_is_on(struct code_run *run, const struct call *call, const char *name);
void call_collect(struct code_run *run, TSNode arguments, struct call *call);

/* ---- code_fold.c ---- */
bool fold_call(struct code_run *run, const struct call *call, unsigned depth, struct value *ret);
/* Whether calling name gives what its first argument is. */
bool fold_stands_for_first(const struct code_run *run, const char *name);
/* A method of a text: "x".join(...), ... */
bool fold_method(struct code_run *run, const struct call *call, unsigned depth, struct value *ret);
bool fold_first(struct code_run *run, const struct call *call, unsigned depth, struct value *ret);
bool fold_joined_path(
	struct code_run *run, const struct call *call, unsigned depth, struct value *ret);
bool fold_characters(
	struct code_run *run, const struct call *call, unsigned depth, struct value *ret);
bool fold_base64(struct code_run *run, const struct call *call, unsigned depth, struct value *ret);
bool fold_hexadecimal(
	struct code_run *run, const struct call *call, unsigned depth, struct value *ret);

/* ---- code_judge.c ---- */
void check_call(struct code_run *run, const struct call *call);
/* A function that is passed on, or called in a way that is not seen. */
void check_reference(struct code_run *run, TSNode node);
/* The items of a list, the values of a dictionary, what is returned. */
void check_references(struct code_run *run, TSNode container);
/* An environment variable that is set. */
void check_loader_variable(struct code_run *run, TSNode where, const char *name);
const struct sink *sink_of(const struct code_run *run, const char *name);
const char *module_rule_of(const struct code_run *run, const char *module);
void check_module(struct code_run *run, TSNode where, const char *module);
/* Whether it was looked at: what is too long to be a path is not. */
bool check_text(struct code_run *run, TSNode where, struct value value);
void check_variable_name(struct code_run *run, TSNode where, const char *name);
void judge_plain(struct code_run *run, const struct call *call, const char *rule);
void judge_process(struct code_run *run, const struct call *call, const char *rule);
void judge_shell(struct code_run *run, const struct call *call, const char *rule);
void judge_network(struct code_run *run, const struct call *call, const char *rule);
void judge_evaluation(struct code_run *run, const struct call *call, const char *rule);
void judge_deletion(struct code_run *run, const struct call *call, const char *rule);
void judge_one_deletion(struct code_run *run, const struct call *call, const char *rule);
void judge_write(struct code_run *run, const struct call *call, const char *rule);
void judge_open(struct code_run *run, const struct call *call, const char *rule);
void judge_permissions(struct code_run *run, const struct call *call, const char *rule);
void judge_import(struct code_run *run, const struct call *call, const char *rule);
void judge_dump(struct code_run *run, const struct call *call, const char *rule);

/* ---- code_findings.c ---- */
/* rule is without the language's prefix, and must be in the table. */
void report(struct code_run *run, const char *rule, TSNode where);
/* The same for any list; text may be NULL and need not end. -ENOMEM or -EINVAL go to `incomplete`,
 * so that a finding that could not be kept is never silence. */
void findings_add(struct findings_list *list, const char *rule, const char *file, unsigned line,
	unsigned column, const char *text, size_t text_bytes, const char *detail);

/* ---- code_output.c ---- */
/* What strangers wrote, as a terminal may show it. */
void findings_append_shown(struct buffer *out, const char *text);

/* ---- code_findings.c ---- */
unsigned node_column(const struct code_run *run, TSNode node);
void findings_sort(struct findings_list *findings);

extern const struct code_grammar code_python, code_javascript;

#endif
