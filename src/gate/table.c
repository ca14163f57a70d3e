/* Theory of operation: what each policy is for decides its column.
 *
 * untrusted asks for all that is not known to only read. on-request lets the box do its work and
 * asks where the box is no answer: damage inside of the workspace, what others would notice, more
 * than the box gives. on-failure asks less beforehand: a write to a place that the box refuses is
 * tried, fails, and can be offered again with the grant that it lacked; but what the box does not
 * stop (a deletion in the workspace, a push) cannot be offered again, and is asked for as under
 * on-request. Without a box nothing can fail on it, so there both are the same. never asks nobody:
 * what would ask under on-request is forbidden, never allowed. granular allows and forbids what
 * on-request does, and answers its questions by category.
 *
 * The modes: with workspace-write the box holds, so what cannot be decided runs in it. Under
 * read-only whatever is not known to only read asks, whatever the policy. Under full access there
 * is no box: what it would have held asks, that is what cannot be decided, the network, writes
 * outside.
 *
 * A rule that allows stands above what is known of a command, and below what no agent has a use
 * for. A rule that asks is asked for even where granular allows its category. */
#include "gate/table.h"

#include "base/cleanup.h"

#include <string.h>

/* What a cell says: A allow, ? ask, F forbid, C the category's verdict, K the category's, but at
 * least ask. One letter for each policy, in the order of enum approval_policy. */
struct row {
	const char *name, *description;
	const char *read_only, *workspace_write, *full_access;
};

static const struct row rows[SITUATIONS] = {
	[SITUATION_SAFE] = {"safe", "known to only read", "AAAAA", "AAAAA", "AAAAA"},
	[SITUATION_ORDINARY] = {"ordinary", "nothing is known against it", "???FC", "?AAAA",
		"?AAAA"},
	[SITUATION_NETWORK] = {"network", "a program that speaks to a network", "???FC", "?AAAA",
		"???FC"},
	[SITUATION_UNDECIDABLE] = {"undecidable", "it cannot be known what would run", "???FC",
		"?AAAA", "???FC"},
	[SITUATION_SYNTAX_ERROR] = {"syntax-error", "a script with a syntax error", "???FC",
		"???FC", "???FC"},
	[SITUATION_WRITE_OUTSIDE] = {"write-outside", "writes outside of the writable roots",
		"???FC", "??AFC", "???FC"},
	[SITUATION_SECRET] = {"secret", "reads a credential", "???FC", "???FC", "???FC"},
	[SITUATION_DANGEROUS] = {"dangerous", "in the table of dangerous commands", "???FC",
		"???FC", "???FC"},
	[SITUATION_FORBIDDEN] = {"forbidden", "of no use that an agent could have", "FFFFF",
		"FFFFF", "FFFFF"},
	[SITUATION_CODE_HIGH] = {"code-high", "code with a finding of high severity", "???FC",
		"???FC", "???FC"},
	[SITUATION_CODE_CRITICAL] = {"code-critical", "code with a critical finding", "F??FC",
		"F??FC", "F??FC"},
	[SITUATION_ASKED_WRITE] = {"asked-write", "asks to write a directory", "???FC", "???FC",
		"???FC"},
	[SITUATION_ASKED_NETWORK] = {"asked-network", "asks for a host", "???FC", "???FC", "???FC"},
	[SITUATION_ASKED_UNSANDBOXED] = {"asked-unsandboxed", "asks to run without the box",
		"???FC", "???FC", "???FC"},
	[SITUATION_ASKED_SECRET] = {"asked-secret", "asks to read a credential", "???FC", "???FC",
		"???FC"},
	[SITUATION_RULE_ALLOW] = {"rule-allow", "a rule allows it", "AAAAA", "AAAAA", "AAAAA"},
	[SITUATION_RULE_ASK] = {"rule-ask", "a rule says ask", "???FK", "???FK", "???FK"},
	[SITUATION_RULE_FORBID] = {"rule-forbid", "a rule forbids it", "FFFFF", "FFFFF", "FFFFF"},
};

const char *situation_name(enum situation situation)
{
	return rows[situation].name;
}

const char *situation_description(enum situation situation)
{
	return rows[situation].description;
}

static const char *cells(enum situation situation, enum policy_mode mode)
{
	const struct row *row = &rows[situation];
	if (mode == MODE_WORKSPACE_WRITE)
		return row->workspace_write;
	return mode == MODE_FULL_ACCESS ? row->full_access : row->read_only;
}

enum verdict table_verdict(enum situation situation, enum policy_mode mode,
	const struct approval *approval, enum approval_category category)
{
	enum verdict granular = approval->granular[category];
	switch (cells(situation, mode)[approval->policy]) {
	case 'A':
		return VERDICT_ALLOW;
	case '?':
		return VERDICT_ASK;
	case 'C':
		return granular;
	case 'K':
		return granular > VERDICT_ASK ? granular : VERDICT_ASK;
	default:
		return VERDICT_FORBID;
	}
}

static const char *cell_word(char cell)
{
	static const struct {
		char cell;
		const char *word;
	} words[] = {{'A', "allow"}, {'?', "ask"}, {'F', "**forbid**"}, {'C', "*category*"},
		{'K', "*category*, at least ask"}};
	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (words[i].cell == cell)
			return words[i].word;
	return "";
}

int table_print(struct buffer *out)
{
	for (int mode = MODE_READ_ONLY; mode <= MODE_FULL_ACCESS; mode++) {
		buffer_append_format(out, "%sIn the mode `%s`:\n\n| situation | |",
			mode == MODE_READ_ONLY ? "" : "\n",
			policy_mode_name((enum policy_mode)mode));
		for (int policy = 0; policy < APPROVAL_POLICIES; policy++)
			buffer_append_format(
				out, " %s |", approval_policy_name((enum approval_policy)policy));
		buffer_append_string(out, "\n|---|---|---|---|---|---|---|\n");
		for (int situation = 0; situation < SITUATIONS; situation++) {
			const char *row = cells((enum situation)situation, (enum policy_mode)mode);
			buffer_append_format(out, "| %s | %s |", rows[situation].name,
				rows[situation].description);
			for (int policy = 0; policy < APPROVAL_POLICIES; policy++)
				buffer_append_format(out, " %s |", cell_word(row[policy]));
			buffer_append_string(out, "\n");
		}
	}
	return buffer_error(out);
}
