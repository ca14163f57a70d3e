/* What a shell remembers from one command to the next, as far as it changes what later words
 * mean. Order in the source is not the order of execution (loops, functions), so a doubt about a
 * shell is a doubt about every part of it, and is told at the end.
 *
 * Arithmetic deserves a word: bash evaluates what a variable holds as an expression, and an
 * array's subscript in it may hold a command substitution: x='a[$(reboot)]'; ((x)). So
 * arithmetic is known only if every variable in it was given nothing but numbers by this very
 * script. */
#include "gate/shell.h"

#include "base/cleanup.h"
#include "base/limits.h"

#include <string.h>

void scope_release(struct scope *scope)
{
	strv_release(&scope->functions);
	strv_release(&scope->numbers);
	strv_release(&scope->texts);
	strv_release(&scope->arithmetic);
	free(scope->counting);
	free(scope->directory);
	*scope = (struct scope){0};
}

void scope_doom(struct scope *scope, const char *why)
{
	if (!scope->doom)
		scope->doom = why;
}

static void remember(struct analyzer *a, struct scope *scope, struct strv *names, const char *name)
{
	if (scope->names_full || strv_contains(names, name))
		return;
	if (names->count == MAX_SCRIPT_NAMES) {
		scope->names_full = true;
		return;
	}
	if (strv_add(names, name) < 0)
		analyzer_no_memory(a);
}

void scope_assign(struct analyzer *a, struct scope *scope, const char *name, bool number)
{
	if (variable_hazard(name, strlen(name)))
		scope_doom(scope, "a variable is set that changes what programs start");
	remember(a, scope, number ? &scope->numbers : &scope->texts, name);
}

void scope_assign_for_command(struct analyzer *a, struct scope *scope, const char *name)
{
	remember(a, scope, &scope->texts, name);
}

void scope_evaluates(struct analyzer *a, struct scope *scope, const char *name)
{
	remember(a, scope, &scope->arithmetic, name);
}

void scope_counts(struct analyzer *a, struct scope *scope, size_t part)
{
	if (scope->counting_count == scope->counting_capacity) {
		size_t capacity = scope->counting_capacity ? scope->counting_capacity * 2 : 16;
		size_t *grown = reallocarray(scope->counting, capacity, sizeof(*grown));
		if (!grown)
			return analyzer_no_memory(a);
		scope->counting = grown;
		scope->counting_capacity = capacity;
	}
	scope->counting[scope->counting_count++] = part;
}

void scope_define(struct analyzer *a, struct scope *scope, const char *function)
{
	remember(a, scope, &scope->functions, function);
}

/* The shell's own, which hold numbers whatever the environment says. */
static bool is_number_by_itself(const char *name)
{
	static const char *const own[] = {"EUID", "PPID", "UID"};
	for (size_t i = 0; i < ARRAY_SIZE(own); i++)
		if (strcmp(name, own[i]) == 0)
			return true;
	return false;
}

static bool counts_numbers_only(const struct scope *scope)
{
	if (!scope->trusts_numbers || scope->names_full)
		return scope->arithmetic.count == 0 && !scope->names_full;
	for (size_t i = 0; i < scope->arithmetic.count; i++) {
		const char *name = scope->arithmetic.items[i];
		if (is_number_by_itself(name))
			continue;
		if (!strv_contains(&scope->numbers, name) || strv_contains(&scope->texts, name))
			return false;
	}
	return true;
}

void scope_settle(struct analyzer *a, struct scope *scope)
{
	if (!counts_numbers_only(scope))
		for (size_t i = 0; i < scope->counting_count; i++)
			part_doubt(a, scope->counting[i],
				"arithmetic runs what a variable's text may hold");
	for (size_t i = scope->first; i < a->analysis->count; i++) {
		struct gate_part *part = &a->analysis->parts[i];
		if (scope->functions_unsure && part->kind == PART_FUNCTION)
			part->kind = PART_COMMAND;
		if (scope->doom)
			part_doubt(a, i, scope->doom);
	}
}
