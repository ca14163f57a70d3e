/* Theory of operation: one pass binds names (an import below its use still counts), a second one
 * looks at every node. Both are linear; following expressions has a budget for the whole source.
 * Whatever a bound cut off is said by `incomplete`, which a caller must take as "not known". */
#include "gate/code_internal.h"

#include <errno.h>
#include <string.h>

enum { STEPS_BASE = 100 * 1000, STEPS_A_BYTE = 16 }; /* a program needs less than one a byte */

static int check_python(const char *source, size_t length_bytes, struct findings_list *findings)
{
	return code_check_tree(&code_python, source, length_bytes, 0, NULL, findings);
}

static int check_javascript(const char *source, size_t length_bytes, struct findings_list *findings)
{
	return code_check_tree(&code_javascript, source, length_bytes, 0, NULL, findings);
}

static const struct language {
	const char *name;
	const char *endings[8];      /* of file names */
	const char *interpreters[8]; /* as a #! line names them */
	int (*check)(const char *source, size_t length_bytes, struct findings_list *findings);
} languages[] = {
	{"python", {".py", ".pyw", ".pyi"}, {"python", "python2", "python3", "pypy3"},
		check_python},
	{"javascript", {".js", ".mjs", ".cjs", ".jsx"}, {"node", "nodejs", "deno", "bun"},
		check_javascript},
	{"shell", {".sh", ".bash", ".bats", ".zsh"}, {"sh", "bash", "dash", "ksh", "zsh"},
		code_check_shell},
	{"notebook", {".ipynb"}, {NULL}, code_check_notebook},
};

static bool word_ends_with(const char *word, const char *end)
{
	size_t length = strlen(word), tail = strlen(end);
	return length > tail && strcasecmp(word + length - tail, end) == 0;
}

/* "#!/usr/bin/env -S python3.11 -u" names python3. */
static bool first_line_names(const char *source, size_t length_bytes, const char *interpreter)
{
	char line[256];
	size_t length = length_bytes < sizeof(line) - 1 ? length_bytes : sizeof(line) - 1;
	if (length < 2 || source[0] != '#' || source[1] != '!')
		return false;
	memcpy(line, source, length);
	line[length] = '\0';
	line[strcspn(line, "\r\n")] = '\0';
	char *rest = NULL;
	for (char *word = strtok_r(line + 2, " \t", &rest); word;
		word = strtok_r(NULL, " \t", &rest)) {
		char *name = strrchr(word, '/') ? strrchr(word, '/') + 1 : word;
		size_t stem = strlen(interpreter);
		if (strncmp(name, interpreter, stem) == 0 &&
			strspn(name + stem, ".0123456789") == strlen(name + stem))
			return true;
	}
	return false;
}

static const struct language *language_of(
	const char *language, const char *name, const char *source, size_t length_bytes)
{
	for (size_t i = 0; language && i < ARRAY_SIZE(languages); i++)
		if (strcmp(languages[i].name, language) == 0)
			return &languages[i];
	if (language)
		return NULL;
	for (size_t i = 0; name && i < ARRAY_SIZE(languages); i++)
		for (size_t k = 0; languages[i].endings[k]; k++)
			if (word_ends_with(name, languages[i].endings[k]))
				return &languages[i];
	for (size_t i = 0; i < ARRAY_SIZE(languages); i++)
		for (size_t k = 0; languages[i].interpreters[k]; k++)
			if (first_line_names(source, length_bytes, languages[i].interpreters[k]))
				return &languages[i];
	return NULL;
}

/* Lines that read otherwise than they run: looked for in the bytes, comments included. */
static void check_characters(
	const char *source, size_t length_bytes, struct findings_list *findings)
{
	unsigned line = 1;
	const char *at = source, *end = source + length_bytes;
	if (length_bytes >= 3 && memcmp(at, "\xef\xbb\xbf", 3) == 0)
		at += 3;
	while (at < end) {
		const char *newline = memchr(at, '\n', end - at);
		size_t length = (newline ? newline : end) - at;
		bool turns;
		long column = text_find_misleading(at, length, &turns);
		if (column >= 0)
			findings_add(findings, turns ? "text-direction" : "text-invisible", NULL,
				line, column + 1, at, length, NULL);
		at += length + 1;
		line++;
	}
}

static bool any_non_ascii(const char *source, size_t length_bytes)
{
	for (size_t i = 0; i < length_bytes; i++)
		if (source[i] & 0x80)
			return true;
	return false;
}

int code_check_tree(const struct code_grammar *grammar, const char *source, size_t length_bytes,
	unsigned nesting, const struct finding *origin, struct findings_list *findings)
{
	struct code_run run = {
		.grammar = grammar,
		.source = source,
		.length_bytes = length_bytes,
		.findings = findings,
		.kept = {.max_bytes = MAX_KEPT_BYTES},
		.scratch = {.max_bytes = MAX_KEPT_BYTES},
		.steps_left = STEPS_BASE + STEPS_A_BYTE * length_bytes,
		.nesting = nesting,
		.origin = origin,
		.non_ascii = any_non_ascii(source, length_bytes),
	};
	int r = tree_open(&run);
	if (r == -ETIME || r == -E2BIG) {
		findings->incomplete = true;
		r = 0;
	} else if (r == 0) {
		r = tree_collect(&run);
	}
	if (r == 0 && run.nodes_count > 0) {
		tree_visit(&run, grammar->bind);
		tree_visit(&run, grammar->visit);
		grammar->finish(&run);
	}
	if (r == 0 && run.syntax.tree && !origin)
		tree_find_error(&run);
	bindings_release(&run);
	arena_release(&run.kept);
	arena_release(&run.scratch);
	tree_close(&run);
	return r;
}

void code_check_nested(struct code_run *run, TSNode where, const char *text)
{
	if (run->nesting >= MAX_CODE_NESTING) {
		run->findings->incomplete = true;
		return;
	}
	TSPoint point = ts_node_start_point(where);
	struct finding origin = {.line = point.row + 1, .column = point.column + 1};
	if (run->origin)
		origin = *run->origin;
	if (code_check_tree(
		    run->grammar, text, strlen(text), run->nesting + 1, &origin, run->findings) < 0)
		run->findings->incomplete = true;
}

int code_check(const char *language, const char *name, const char *source, size_t length_bytes,
	struct findings_list **ret)
{
	*ret = NULL;
	const struct language *found = language_of(language, name, source, length_bytes);
	if (!found)
		return -EOPNOTSUPP;
	struct findings_list *findings = calloc(1, sizeof(*findings));
	if (!findings)
		return -ENOMEM;
	findings->language = found->name;
	if (length_bytes > MAX_SCRIPT_BYTES) {
		length_bytes = MAX_SCRIPT_BYTES;
		findings->incomplete = true;
	}
	int r = found->check(source, length_bytes, findings);
	if (r < 0) {
		findings_free(findings);
		return r;
	}
	check_characters(source, length_bytes, findings);
	findings_sort(findings);
	*ret = findings;
	return 0;
}
