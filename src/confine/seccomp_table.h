/* What the filter does with every system call, as data. The generator (seccomp_compile.c) turns
 * these tables into BPF; seccomp_decide() reads the same tables at run time, so that whoever
 * answers a notification knows what it is about without a second list. */
#ifndef COFFER_CONFINE_SECCOMP_TABLE_H
#define COFFER_CONFINE_SECCOMP_TABLE_H

#include "confine/seccomp.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum seccomp_action_kind {
	SECCOMP_DO_CHECK, /* of a line: its check decides. Never a verdict */
	SECCOMP_DO_ALLOW,
	SECCOMP_DO_ERRNO,  /* answered at once by the kernel; nobody learns of it */
	SECCOMP_DO_NOTIFY, /* the listener decides, by the class */
};

/* What a notification asks of the one who answers it. */
enum seccomp_notify_class {
	SECCOMP_NOTIFY_NONE,
	SECCOMP_NOTIFY_REFUSE, /* record it, answer with the errno */
	SECCOMP_NOTIFY_NAMES,  /* makes a directory, link, special file, or renames: by name; in the
				* landlock tier whatever makes, removes, or opens for writing */
	SECCOMP_NOTIFY_SOCKET, /* connect, bind: by address; in the landlock tier with a way out
				* also what makes a datagram socket or is done with one */
	SECCOMP_NOTIFY_ATTRIBUTES, /* changes metadata or truncates, where Landlock does not look */
	SECCOMP_NOTIFY_TRACE,      /* only to be known: the kernel runs it as it stands */
	SECCOMP_NOTIFY_SIGNAL,     /* reaches another process, where there is no PID namespace */
};

struct seccomp_action {
	uint8_t kind;         /* enum seccomp_action_kind */
	uint8_t class;        /* enum seccomp_notify_class, of a notification */
	uint16_t errno_value; /* of a refusal: positive */
};

/* (lower 32 bits of args[argument] & mask) == value. Only the lower half is compared because the
 * kernel takes every argument that is looked at here as a 32-bit value and drops the rest: a
 * filter that looked at all 64 bits would take TIOCSTI | 1 << 32 for something else. A mask of
 * zero is no test. */
struct seccomp_test {
	uint8_t argument;
	uint32_t mask;
	uint32_t value;
};

enum { SECCOMP_TESTS_MAX = 3 };

/* A check is an array of rules: the first whose tests all hold decides; the last has no test. */
struct seccomp_rule {
	struct seccomp_action action;
	struct seccomp_test tests[SECCOMP_TESTS_MAX];
};

enum seccomp_architectures {
	SECCOMP_EVERYWHERE,
	SECCOMP_X86_64_ONLY, /* what the generic system call table of newer architectures lacks */
};

struct seccomp_line {
	const char *calls;                /* names, one blank between */
	const struct seccomp_rule *check; /* NULL: action decides */
	struct seccomp_action action;
	const char *reason;
	uint8_t architectures; /* enum seccomp_architectures */
};

struct seccomp_lines {
	const struct seccomp_line *items;
	size_t count;
};

/* The layers of a program. The base is LAYER_DEFAULT, or LAYER_STRICT with what LAYER_DEFAULT
 * refuses; overlays, topmost first, change what becomes of calls that the base names and does
 * not answer with an errno at once. */
enum seccomp_layer {
	SECCOMP_LAYER_EGRESS,
	SECCOMP_LAYER_USERNS,
	SECCOMP_LAYER_NAMES,
	SECCOMP_LAYER_TRACE_LANDLOCK,
	SECCOMP_LAYER_LANDLOCK,
	SECCOMP_LAYER_TRACE,
	SECCOMP_LAYER_STRICT,
	SECCOMP_LAYER_DEFAULT,
	SECCOMP_LAYERS,
};
extern const struct seccomp_lines seccomp_layers[SECCOMP_LAYERS];

/* The choices that mean something; a program exists for each and for no other. */
enum { SECCOMP_VARIANTS = 16 };
extern const struct seccomp_choice seccomp_variants[SECCOMP_VARIANTS];

/* A reference to a line, small enough to be kept for every number. */
typedef uint16_t seccomp_line_reference;
enum { SECCOMP_NO_LINE = 0xffff };
static inline seccomp_line_reference seccomp_refer(enum seccomp_layer layer, size_t index)
{
	return (seccomp_line_reference)((unsigned)layer << 8 | (unsigned)index);
}
const struct seccomp_line *seccomp_line(seccomp_line_reference reference);

/* The line that decides call under choice on the named kind of architecture, or SECCOMP_NO_LINE. */
seccomp_line_reference seccomp_find_line(
	const struct seccomp_choice *choice, bool x86_64, const char *call);

/* What becomes of a call that no line decides. Numbers above newest_known are calls that no line
 * here has heard of: those do not exist, as on an older kernel. */
struct seccomp_action seccomp_default_action(
	const struct seccomp_choice *choice, unsigned number, unsigned newest_known);

/* The action of a line for these arguments. */
struct seccomp_action seccomp_apply_line(const struct seccomp_line *line, const uint64_t args[6]);

enum { SECCOMP_NAME_BYTES = 24 }; /* the longest, landlock_create_ruleset, fills it */

/* One compiled program. Everything in it is constant and static. */
struct seccomp_program {
	const struct sock_filter *code;
	uint16_t length;
	uint16_t calls_allowed;                  /* in some form */
	const seccomp_line_reference *lines;     /* by number */
	const char (*names)[SECCOMP_NAME_BYTES]; /* by number; empty: not known */
	uint16_t numbers;                        /* in lines and names */
};

/* The program for a choice on an architecture (AUDIT_ARCH_X86_64, AUDIT_ARCH_AARCH64), or NULL. */
const struct seccomp_program *seccomp_program(
	const struct seccomp_choice *choice, uint32_t audit_architecture);

/* What the filter decides, for whoever answers notifications, prints or tests. */
struct seccomp_verdict {
	struct seccomp_action action;
	const char *call;   /* its name; NULL: not a call that is known here. Static */
	const char *reason; /* the line's; NULL: no line decided. Static */
};

/* Evaluates the tables for a call of this machine's own architecture (data->arch is not looked at:
 * a notification can have no other). Pure. A choice without a program refuses everything. */
void seccomp_decide(const struct seccomp_choice *choice, const struct seccomp_data *data,
	struct seccomp_verdict *ret);

#endif
