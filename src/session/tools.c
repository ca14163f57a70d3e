#include "session/tools.h"

#include <string.h>

static const struct param asks_params[] = {
	{.name = "write", .kind = PARAM_STRINGS, .help = "directories to write to"},
	{.name = "net", .kind = PARAM_STRINGS, .help = "hosts to reach, each HOST or HOST:PORT"},
	{.name = "secret", .kind = PARAM_STRINGS, .help = "hidden files to read"},
	{.name = "unsandboxed", .kind = PARAM_BOOLEAN, .help = "to run without a box at all"},
	{0},
};

#define ASKS                                                                                       \
	{.name = "asks",                                                                           \
		.kind = PARAM_OBJECT,                                                              \
		.fields = asks_params,                                                             \
		.help = "what is needed beyond what the box gives; the user is asked"},            \
	{                                                                                          \
		.name = "justification", .kind = PARAM_STRING, .max = 4096,                        \
		.help = "why, in a sentence, for whoever is asked"                                 \
	}

static const struct param exec_params[] = {
	{.name = "command",
		.kind = PARAM_COMMAND,
		.required = true,
		.help = "a line of shell, or the words of one command"},
	{.name = "directory",
		.kind = PARAM_STRING,
		.max = MAX_PATH_BYTES,
		.help = "the working directory; the workspace's by default"},
	{.name = "environment", .kind = PARAM_STRING_MAP, .help = "variables to set"},
	{.name = "timeout_ms",
		.kind = PARAM_INTEGER,
		.min = 1,
		.max = 86400000,
		.help = "after this the command is ended"},
	{.name = "stdin",
		.kind = PARAM_DATA,
		.max = MAX_TOOL_STDIN_BYTES,
		.help = "its standard input; nothing by default"},
	{.name = "stdin_base64", .kind = PARAM_STRING, .help = "the same for any bytes"},
	{.name = "output_limit_bytes",
		.kind = PARAM_INTEGER,
		.min = 256,
		.max = MAX_TOOL_OUTPUT_BYTES,
		.help = "how much of each stream the result keeps, half head and half tail"},
	ASKS,
	{0},
};

static const struct param write_params[] = {
	{.name = "path",
		.kind = PARAM_STRING,
		.required = true,
		.max = MAX_PATH_BYTES,
		.help = "the file; directories above it are made"},
	{.name = "content",
		.kind = PARAM_DATA,
		.max = MAX_TOOL_STDIN_BYTES,
		.help = "the whole new content"},
	{.name = "content_base64", .kind = PARAM_STRING, .help = "the same for any bytes"},
	{.name = "mode",
		.kind = PARAM_INTEGER,
		.min = 0,
		.max = 0777,
		.help = "its permissions; the old file's by default"},
	ASKS,
	{0},
};

static const struct param read_params[] = {
	{.name = "path", .kind = PARAM_STRING, .required = true, .max = MAX_PATH_BYTES},
	{.name = "offset",
		.kind = PARAM_INTEGER,
		.min = 0,
		.max = 1LL << 50,
		.help = "the first byte, from 0"},
	{.name = "limit",
		.kind = PARAM_INTEGER,
		.min = 1,
		.max = MAX_TOOL_READ_BYTES,
		.help = "how many bytes at most"},
	ASKS,
	{0},
};

static const struct param list_params[] = {
	{.name = "path",
		.kind = PARAM_STRING,
		.max = MAX_PATH_BYTES,
		.help = "the directory; the workspace by default"},
	{.name = "depth",
		.kind = PARAM_INTEGER,
		.min = 1,
		.max = 16,
		.help = "levels below it; 1 by default"},
	{0},
};

static const struct param diff_params[] = {
	{.name = "paths", .kind = PARAM_STRINGS, .help = "only these files and directories"},
	{0},
};

static const struct tool table[] = {
	{"execute", "Run a command",
		"Runs a command in a box that can write to the workspace and reach only what the "
		"policy allows. What it lacks can be asked for with `asks`.",
		CALL_EXEC, exec_params, false},
	{"read", "Read a file",
		"Reads a file as commands in the box could. Bytes that are no text come as base64.",
		CALL_READ, read_params, true},
	{"write", "Write a file",
		"Writes a whole file in the workspace; a reader sees the old one or the new one.",
		CALL_WRITE, write_params, false},
	{"list", "List a directory", "Lists files with kind, size and time.", CALL_LIST,
		list_params, true},
	{"diff", "Show what has changed",
		"What differs from the last commit, new files too, as a unified diff.", CALL_DIFF,
		diff_params, true},
	{0},
};

const struct tool *tools_table(void)
{
	return table;
}

const struct tool *tool_of(enum call_kind kind)
{
	const struct tool *tool = table;
	while (tool->name && tool->kind != kind)
		tool++;
	return tool;
}

const struct tool *tool_named(const char *name)
{
	for (const struct tool *tool = table; tool->name; tool++)
		if (strcmp(tool->name, name) == 0)
			return tool;
	return NULL;
}
