/* What lies in the combination of parts: code that comes from the network into an interpreter,
 * whatever is in between; programs that were downloaded a moment ago; functions that start
 * themselves twice. */
#include "gate/classify_internal.h"

#include "base/path.h"

/* How far parts may lie from one another to be seen together: bounds the work for scripts that
 * strangers wrote. */
enum { REACH = 64 };

bool is_interpreter(const char *program)
{
	static const char *const names[] = {"python", "perl", "ruby", "node", "php", "lua", "tclsh",
		"deno", "bun", "osascript", "Rscript", "groovy", "pwsh", "awk", "gawk", "ts-node",
		"tsx"};
	if (is_shell(program))
		return true;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		size_t bytes = strlen(names[i]);
		if (strncmp(program, names[i], bytes) == 0 &&
			strspn(program + bytes, "0123456789.") == strlen(program + bytes))
			return true;
	}
	return false;
}

static const char *part_program(const struct gate_part *part)
{
	return part->argv.count ? path_name(part->argv.items[0]) : "";
}

/* Whether what this part reads comes from the network, through any number of filters. */
static bool comes_from_network(const struct command *command)
{
	const struct analysis *analysis = command->analysis;
	size_t from = command->part->piped_from;
	for (unsigned steps = 0; from > 0 && from <= analysis->count && steps < REACH; steps++) {
		const struct gate_part *part = &analysis->parts[from - 1];
		if (is_fetcher(part_program(part)))
			return true;
		from = part->piped_from;
	}
	return false;
}

/* Whether the text of some fetching part stands in this one: bash <(curl ...), sh -c "$(curl ...)",
 * eval `wget ...`. */
static bool holds_fetcher(const struct command *command)
{
	const struct analysis *analysis = command->analysis;
	const struct gate_part *part = command->part;
	if (!part->text || !strpbrk(part->text, "(`"))
		return false;
	size_t first = command->index > REACH ? command->index - REACH : 0;
	for (size_t i = first; i < analysis->count && i < command->index + REACH; i++) {
		const struct gate_part *other = &analysis->parts[i];
		if (i == command->index || !is_fetcher(part_program(other)) || !other->text)
			continue;
		if (strlen(other->text) < strlen(part->text) && strstr(part->text, other->text))
			return true;
	}
	return false;
}

/* The file that a fetching part writes: by its options, by a redirection, or the last component of
 * its address. */
static bool fetches_into(const struct gate_part *part, const char *file)
{
	struct command command = {.part = part, .with_arguments = "o= output= O= output-document="};
	const char *program = part_program(part);
	if (!is_fetcher(program))
		return false;
	for (size_t i = 0; i < part->redirections_count; i++)
		if (part->redirections[i].kind != REDIRECT_READ && part->redirections[i].target &&
			strcmp(path_name(part->redirections[i].target), file) == 0)
			return true;
	bool wget = strcmp(program, "wget") == 0;
	if (!wget)
		command.with_arguments = "o= output=";
	const char *said = option_value(&command, wget ? "O,output-document" : "o,output");
	if (said)
		return strcmp(path_name(said), file) == 0;
	for (size_t i = 1; i < part->argv.count; i++) {
		const char *name = path_name(part->argv.items[i]);
		size_t bytes = strcspn(name, "?#");
		if (bytes == strlen(file) && strncmp(name, file, bytes) == 0 && bytes > 0)
			return true;
	}
	return false;
}

/* Whether the file that is run, by itself or by an interpreter, was fetched in this very line. */
static bool runs_what_was_fetched(const struct command *command)
{
	const struct gate_part *part = command->part;
	const char *file = NULL;
	if (is_interpreter(command->program) ||
		list_has("source,.,chmod", command->program, strlen(command->program))) {
		size_t n = strcmp(command->program, "chmod") == 0;
		file = operand(command, n, NULL);
	} else if (part->argv.count > 0 && strchr(part->argv.items[0], '/')) {
		file = part->argv.items[0];
	}
	if (!file || *path_name(file) == '\0')
		return false;
	size_t first = command->index > REACH ? command->index - REACH : 0;
	for (size_t i = first; i < command->index; i++)
		if (fetches_into(&command->analysis->parts[i], path_name(file)))
			return true;
	return false;
}

/* The call of a function whose own body starts it twice, not waiting for it: f | f &. In the body
 * it is not sure yet that the name is the function's, so those parts are no calls of it. */
static bool is_fork_bomb(const struct command *command)
{
	const struct gate_part *part = command->part;
	if (part->kind != PART_FUNCTION || part->argv.count == 0)
		return false;
	unsigned starts = 0;
	bool background = false;
	size_t first = command->index > REACH ? command->index - REACH : 0;
	for (size_t i = first; i < command->index; i++) {
		const struct gate_part *other = &command->analysis->parts[i];
		if (other->kind == PART_FUNCTION || other->argv.count == 0 ||
			strcmp(other->argv.items[0], part->argv.items[0]) != 0)
			continue;
		starts++;
		background = background || other->background;
	}
	return starts >= 2 && background;
}

void classify_pipes(const struct command *command, struct classification *ret)
{
	static const char fetched[] = "it runs what comes from the network, unseen";
	const struct gate_part *part = command->part;
	if (is_fork_bomb(command))
		classification_raise(ret, CLASS_FORBIDDEN, CATEGORY_COMMAND, "fork-bomb",
			"it starts itself over and over until nothing works any more");
	bool evaluates = is_interpreter(command->program) ||
			 list_has("eval,source,.,xargs,parallel,at,batch,crontab", command->program,
				 strlen(command->program));
	if ((evaluates && comes_from_network(command)) ||
		((evaluates || part->undecidable) && holds_fetcher(command)))
		classification_raise(
			ret, CLASS_DANGEROUS, CATEGORY_COMMAND, "pipe-to-shell", fetched);
	if (runs_what_was_fetched(command))
		classification_raise(ret, CLASS_DANGEROUS, CATEGORY_COMMAND, "run-download",
			"it runs a program that was fetched a moment ago");
}
