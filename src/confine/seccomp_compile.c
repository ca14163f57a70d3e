/* Run by the build: turns the tables into BPF programs for both architectures and writes them as a
 * C header.
 *
 * Theory of operation. libseccomp knows the numbers. They fall into some eighty ranges that share
 * an action, and a program is a binary tree over those, of seven comparisons at most, then one
 * return for each action, then the checks of arguments. The kernel checks, translates and tries a
 * program when it is installed, and every box waits for that: libseccomp's own binary tree has a
 * leaf for each number, 685 instructions and 180 us for the default profile, where this takes 212
 * and 88. Nor does libseccomp compare just 32 bits of an argument, or know an "otherwise" for a
 * single call. */
#include "base/cleanup.h"
#include "confine/seccomp_table.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <seccomp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	NUMBERS_MAX = 512,  /* system calls of today end below */
	PROGRAM_MAX = 4096, /* BPF_MAXINSNS: the kernel takes no longer program */
};

struct architecture {
	const char *name;
	uint32_t token; /* libseccomp's */
	uint32_t audit; /* what the kernel puts into seccomp_data.arch */
	bool x86_64;
};

static const struct architecture architectures[] = {
	{"x86_64", SCMP_ARCH_X86_64, AUDIT_ARCH_X86_64, true},
	{"aarch64", SCMP_ARCH_AARCH64, AUDIT_ARCH_AARCH64, false},
};

struct program {
	const struct seccomp_choice *choice;
	const struct architecture *architecture;
	struct sock_filter code[PROGRAM_MAX];
	size_t length;
	seccomp_line_reference lines[NUMBERS_MAX];
	unsigned allowed;
};

/* names[number] of an architecture; empty where there is none. */
struct names {
	char name[NUMBERS_MAX][SECCOMP_NAME_BYTES];
	unsigned newest;
};

static void __attribute__((format(printf, 1, 2), noreturn)) fail(const char *format, ...)
{
	va_list args;
	va_start(args, format);
	fputs("seccomp_compile: ", stderr);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	exit(1);
}

/* Puts the numbers of a line's calls into names. A call that an architecture lacks is a slip of the
 * pen, and so is one that it has where the line says that only x86-64 does: both would silently
 * leave it out. */
static void name_line(const struct seccomp_line *line, const struct architecture *architecture,
	struct names *names)
{
	bool absent = line->architectures == SECCOMP_X86_64_ONLY && !architecture->x86_64;
	cleanup_free char *calls = strdup(line->calls);
	if (!calls)
		fail("out of memory");
	char *rest = calls;
	for (char *call; (call = strsep(&rest, " "));) {
		int number = seccomp_syscall_resolve_name_arch(architecture->token, call);
		if (absent && number < 0)
			continue;
		if (absent)
			fail("%s has %s as well", architecture->name, call);
		if (number < 0 || number >= NUMBERS_MAX)
			fail("no system call \"%s\" on %s, or this libseccomp is too old", call,
				architecture->name);
		if (strlen(call) >= SECCOMP_NAME_BYTES)
			fail("name too long: %s", call);
		strcpy(names->name[number], call);
		if ((unsigned)number > names->newest)
			names->newest = (unsigned)number;
	}
}

static void collect_names(const struct architecture *architecture, struct names *names)
{
	for (int layer = 0; layer < SECCOMP_LAYERS; layer++) {
		if (seccomp_layers[layer].count > 256)
			fail("a reference to a line holds its index in 8 bits");
		for (size_t i = 0; i < seccomp_layers[layer].count; i++)
			name_line(&seccomp_layers[layer].items[i], architecture, names);
	}
}

static uint32_t return_value(struct seccomp_action action)
{
	switch (action.kind) {
	case SECCOMP_DO_ALLOW:
		return SECCOMP_RET_ALLOW;
	case SECCOMP_DO_ERRNO:
		return SECCOMP_RET_ERRNO | action.errno_value;
	case SECCOMP_DO_NOTIFY:
		return SECCOMP_RET_USER_NOTIF;
	}
	fail("a rule without an action");
}

/* Whether any form of a call can pass. A check always lets something pass, and so may whoever
 * answers a notification, unless its class is to refuse. */
static bool may_pass(const struct seccomp_line *line)
{
	return line->check || line->action.kind == SECCOMP_DO_ALLOW ||
	       (line->action.kind == SECCOMP_DO_NOTIFY &&
		       line->action.class != SECCOMP_NOTIFY_REFUSE);
}

static void emit(
	struct program *program, uint16_t code, uint32_t k, uint8_t jump_true, uint8_t jump_false)
{
	if (program->length == PROGRAM_MAX)
		fail("a program is too long");
	program->code[program->length++] = (struct sock_filter){code, jump_true, jump_false, k};
}

static void emit_load(struct program *program, size_t offset)
{
	emit(program, BPF_LD | BPF_W | BPF_ABS, (uint32_t)offset, 0, 0);
}

static void emit_return(struct program *program, uint32_t value)
{
	emit(program, BPF_RET | BPF_K, value, 0, 0);
}

/* Both architectures are little-endian: the lower half comes first. */
static size_t argument_offset(unsigned argument)
{
	return offsetof(struct seccomp_data, args) + argument * sizeof(uint64_t);
}

static void emit_fetch(struct program *program, const struct seccomp_test *test)
{
	emit_load(program, argument_offset(test->argument));
	if (test->mask != UINT32_MAX)
		emit(program, BPF_ALU | BPF_AND | BPF_K, test->mask, 0, 0);
}

static bool same_fetch(const struct seccomp_test *one, const struct seccomp_test *other)
{
	return one && one->argument == other->argument && one->mask == other->mask;
}

static bool same_test(const struct seccomp_test *one, const struct seccomp_test *other)
{
	return same_fetch(one, other) && one->value == other->value;
}

/* What a number leads to: a return value, or a check that is emitted elsewhere. */
struct target {
	const struct seccomp_rule *check;
	uint32_t value; /* without a check */
};

static bool same_target(struct target one, struct target other)
{
	return one.check == other.check && (one.check || one.value == other.value);
}

/* One branch of a conditional jump whose destination does not stand yet. Every jump of BPF is
 * forward, so what several branches share is emitted behind them. */
struct branch {
	size_t jump;
	bool when_true;
	struct target target;
};

struct branches {
	struct branch items[2 * NUMBERS_MAX];
	size_t count;
};

static void add_branch(struct branches *branches, size_t jump, bool when_true, struct target target)
{
	branches->items[branches->count++] = (struct branch){jump, when_true, target};
}

static void aim(struct program *program, size_t jump, bool when_true)
{
	size_t distance = program->length - jump - 1;
	if (distance > UINT8_MAX)
		fail("a jump is too long");
	if (when_true)
		program->code[jump].jt = (uint8_t)distance;
	else
		program->code[jump].jf = (uint8_t)distance;
}

/* Aims all branches from index first on that lead to target at what is emitted next. */
static void aim_all(
	struct program *program, struct branches *branches, size_t first, struct target target)
{
	for (size_t i = first; i < branches->count; i++) {
		struct branch *branch = &branches->items[i];
		if (!same_target(branch->target, target) || branch->jump == PROGRAM_MAX)
			continue;
		aim(program, branch->jump, branch->when_true);
		branch->jump = PROGRAM_MAX; /* done */
	}
}

/* The rules [rule, end), which agree in their first `level` tests, in order. A run of rules whose
 * next test is the same makes it once. What matches none of them falls through to what follows.
 * Returns whether anything can. */
static bool emit_rules(struct program *program, struct branches *branches,
	const struct seccomp_rule *rule, const struct seccomp_rule *end, size_t level)
{
	const struct seccomp_test *fetched = NULL; /* what the accumulator holds */
	while (rule < end) {
		if (level == SECCOMP_TESTS_MAX || !rule->tests[level].mask) {
			emit_return(program, return_value(rule->action));
			return false;
		}
		const struct seccomp_test *test = &rule->tests[level];
		const struct seccomp_rule *next = rule + 1;
		while (next < end && same_test(&next->tests[level], test))
			next++;
		if (!same_fetch(fetched, test))
			emit_fetch(program, test);
		size_t jump = program->length;
		emit(program, BPF_JMP | BPF_JEQ | BPF_K, test->value, 0, 0);
		fetched = test;
		if (level + 1 == SECCOMP_TESTS_MAX || !rule->tests[level + 1].mask) {
			/* The first of the run has no more tests: the others are never reached. */
			add_branch(branches, jump, true,
				(struct target){.value = return_value(rule->action)});
		} else {
			if (emit_rules(program, branches, rule, next, level + 1))
				fetched = NULL;
			aim(program, jump, false);
		}
		rule = next;
	}
	return true;
}

static void emit_check(struct program *program, const struct seccomp_rule *check)
{
	static struct branches branches;
	branches.count = 0;
	const struct seccomp_rule *otherwise = check;
	while (otherwise->tests[0].mask)
		otherwise++;
	emit_rules(program, &branches, check, otherwise, 0);
	struct target last = {.value = return_value(otherwise->action)};
	aim_all(program, &branches, 0, last);
	emit_return(program, last.value);
	for (size_t i = 0; i < branches.count; i++) {
		if (branches.items[i].jump == PROGRAM_MAX)
			continue;
		struct target target = branches.items[i].target;
		aim_all(program, &branches, i, target);
		emit_return(program, target.value);
	}
}

/* A run of numbers with one target; it ends where the next begins. */
struct range {
	uint32_t first;
	struct target target;
};

struct ranges {
	struct range items[NUMBERS_MAX + 1]; /* the last is for all that is unknown */
	size_t count;
};

static void add_range(struct ranges *ranges, uint32_t first, struct target target)
{
	if (ranges->count && same_target(ranges->items[ranges->count - 1].target, target))
		return;
	ranges->items[ranges->count++] = (struct range){first, target};
}

/* Finds the line of every number, and cuts the numbers into ranges. */
static void find_ranges(struct program *program, const struct names *names, struct ranges *ranges)
{
	for (unsigned number = 0; number <= names->newest; number++) {
		struct target target = {.value = return_value(seccomp_default_action(
						program->choice, number, names->newest))};
		program->lines[number] = SECCOMP_NO_LINE;
		if (*names->name[number])
			program->lines[number] = seccomp_find_line(program->choice,
				program->architecture->x86_64, names->name[number]);
		if (program->lines[number] != SECCOMP_NO_LINE) {
			const struct seccomp_line *line = seccomp_line(program->lines[number]);
			target.check = line->check;
			target.value = line->check ? 0 : return_value(line->action);
			program->allowed += may_pass(line);
		}
		add_range(ranges, number, target);
	}
	struct seccomp_action unknown =
		seccomp_default_action(program->choice, names->newest + 1, names->newest);
	add_range(ranges, names->newest + 1, (struct target){.value = return_value(unknown)});
}

/* The tree over the ranges [begin, end), two of them at least: the accumulator holds the number. */
static void emit_tree(struct program *program, struct branches *branches,
	const struct ranges *ranges, size_t begin, size_t end)
{
	size_t middle = begin + (end - begin) / 2;
	size_t jump = program->length;
	emit(program, BPF_JMP | BPF_JGE | BPF_K, ranges->items[middle].first, 0, 0);
	if (middle - begin == 1)
		add_branch(branches, jump, false, ranges->items[begin].target);
	else
		emit_tree(program, branches, ranges, begin, middle);
	if (end - middle == 1) {
		add_branch(branches, jump, true, ranges->items[middle].target);
	} else {
		aim(program, jump, true);
		emit_tree(program, branches, ranges, middle, end);
	}
}

/* Behind the tree: each return value once; then, because a conditional jump reaches 255
 * instructions far, one long jump to each check; then the checks. */
static void emit_targets(struct program *program, struct branches *branches)
{
	size_t jumps[NUMBERS_MAX];
	const struct seccomp_rule *checks[NUMBERS_MAX];
	size_t checks_count = 0;

	for (size_t i = 0; i < branches->count; i++) {
		if (branches->items[i].jump == PROGRAM_MAX)
			continue;
		struct target target = branches->items[i].target;
		aim_all(program, branches, i, target);
		if (!target.check) {
			emit_return(program, target.value);
			continue;
		}
		checks[checks_count] = target.check;
		jumps[checks_count++] = program->length;
		emit(program, BPF_JMP | BPF_JA, 0, 0, 0);
	}
	for (size_t i = 0; i < checks_count; i++) {
		program->code[jumps[i]].k = (uint32_t)(program->length - jumps[i] - 1);
		emit_check(program, checks[i]);
	}
}

/* The 32-bit x86 table has other numbers for everything and would need a filter of its own: whoever
 * calls through it is stopped by SIGSYS, plainer than a program whose every call fails, its exit
 * included. The x32 numbers (bit 30) share the architecture with x86-64, and lie with the unknown
 * ones above the newest: as on nearly every kernel, they do not exist. Comparisons are unsigned, so
 * that -1, a call that a tracer has cancelled, is up there as well. */
static void emit_architecture(struct program *program)
{
	emit_load(program, offsetof(struct seccomp_data, arch));
	emit(program, BPF_JMP | BPF_JEQ | BPF_K, program->architecture->audit, 1, 0);
	emit_return(program, SECCOMP_RET_KILL_PROCESS);
}

static void compile(struct program *program, const struct names *names)
{
	static struct ranges ranges;
	static struct branches branches;
	ranges.count = 0;
	branches.count = 0;
	find_ranges(program, names, &ranges);
	emit_architecture(program);
	emit_load(program, offsetof(struct seccomp_data, nr));
	emit_tree(program, &branches, &ranges, 0, ranges.count);
	emit_targets(program, &branches);
}

static void write_names(
	FILE *out, const struct architecture *architecture, const struct names *names)
{
	fprintf(out, "static const char seccomp_names_%s[%u][%d] = {\n", architecture->name,
		names->newest + 1, SECCOMP_NAME_BYTES);
	for (unsigned i = 0; i <= names->newest; i++) {
		if (*names->name[i])
			fprintf(out, "\t[%u] = \"%s\",\n", i, names->name[i]);
	}
	fputs("};\n\n", out);
}

static void write_program(
	FILE *out, const struct program *program, size_t variant, const struct names *names)
{
	const char *architecture = program->architecture->name;
	fprintf(out, "static const struct sock_filter seccomp_code_%zu_%s[%zu] = {\n", variant,
		architecture, program->length);
	for (size_t i = 0; i < program->length; i++) {
		const struct sock_filter *code = &program->code[i];
		fprintf(out, "\t{0x%02x, %u, %u, 0x%08x},\n", code->code, code->jt, code->jf,
			code->k);
	}
	fprintf(out, "};\nstatic const seccomp_line_reference seccomp_lines_%zu_%s[%u] = {\n",
		variant, architecture, names->newest + 1);
	for (unsigned i = 0; i <= names->newest; i++)
		fprintf(out, "\t0x%04x,\n", program->lines[i]);
	fputs("};\n\n", out);
}

static void write_architecture(FILE *out, const struct architecture *architecture)
{
	static struct names names;
	static struct program program;
	size_t lengths[SECCOMP_VARIANTS];
	unsigned allowed[SECCOMP_VARIANTS];

	memset(&names, 0, sizeof(names));
	collect_names(architecture, &names);
	write_names(out, architecture, &names);
	for (size_t i = 0; i < SECCOMP_VARIANTS; i++) {
		memset(&program, 0, sizeof(program));
		program.choice = &seccomp_variants[i];
		program.architecture = architecture;
		compile(&program, &names);
		write_program(out, &program, i, &names);
		lengths[i] = program.length;
		allowed[i] = program.allowed;
	}
	fprintf(out,
		"static const struct seccomp_program seccomp_programs_%s[SECCOMP_VARIANTS] = {\n",
		architecture->name);
	for (size_t i = 0; i < SECCOMP_VARIANTS; i++)
		fprintf(out,
			"\t{seccomp_code_%zu_%s, %zu, %u, seccomp_lines_%zu_%s, "
			"seccomp_names_%s, %u},\n",
			i, architecture->name, lengths[i], allowed[i], i, architecture->name,
			architecture->name, names.newest + 1);
	fputs("};\n\n", out);
}

int main(int argc, char *argv[])
{
	if (argc != 2)
		fail("usage: seccomp_compile HEADER");
	cleanup_fclose FILE *out = fopen(argv[1], "we");
	if (!out)
		fail("cannot write %s", argv[1]);
	fputs("/* Made by seccomp_compile.c from the tables in seccomp_table.c. */\n\n", out);
	for (size_t i = 0; i < ARRAY_SIZE(architectures); i++)
		write_architecture(out, &architectures[i]);
	if (fflush(out) || ferror(out))
		fail("cannot write %s", argv[1]);
	return 0;
}
