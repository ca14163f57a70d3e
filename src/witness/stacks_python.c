/* Theory of operation. CPython keeps its threads in a list and each thread's frames in another; a
 * frame points to its code object, which has the names, and to the instruction it has reached,
 * which a compressed table turns into a line. All of it is read from the process's memory by
 * offsets that are fixed for each minor version (taken from the headers of the version; here 3.11,
 * Debian 12's). Memory of a stranger's: whatever a pointer says, only reading at it can fail. */
#include "witness/stacks_helper.h"

#include "base/cleanup.h"
#include "base/limits.h"

#include <fcntl.h>
#include <stdbool.h>
#include <string.h>

enum { NAME_BYTES = 512, TABLE_BYTES = 64 * 1024, INSTRUCTION_BYTES = 2 };

struct layout {
	int minor;
	size_t runtime_interpreters, interpreter_threads;
	size_t thread_next, thread_frame_holder, thread_native_id, holder_frame;
	size_t frame_code, frame_previous, frame_instruction;
	size_t code_file, code_name, code_first_line, code_table, code_instructions;
	size_t text_length, text_state, text_ascii, text_compact, bytes_length, bytes_data;
};

static const struct layout layouts[] = {
	{
		.minor = 11,
		.runtime_interpreters = 40,
		.interpreter_threads = 16,
		.thread_next = 8,
		.thread_frame_holder = 56,
		.thread_native_id = 160,
		.holder_frame = 8,
		.frame_code = 32,
		.frame_previous = 48,
		.frame_instruction = 56,
		.code_file = 112,
		.code_name = 128,
		.code_first_line = 72,
		.code_table = 136,
		.code_instructions = 184,
		.text_length = 16,
		.text_state = 32,
		.text_ascii = 48,
		.text_compact = 72,
		.bytes_length = 16,
		.bytes_data = 32,
	},
};

struct memory {
	int fd;
	const struct layout *layout;
};

static bool read_at(const struct memory *memory, uint64_t address, void *to, size_t length)
{
	return address && pread(memory->fd, to, length, (off_t)address) == (ssize_t)length;
}

static uint64_t pointer_at(const struct memory *memory, uint64_t address)
{
	uint64_t value;
	return read_at(memory, address, &value, sizeof(value)) ? value : 0;
}

/* A str of one byte a character; what is not ASCII in it becomes a question mark. */
static bool read_text(const struct memory *memory, uint64_t object, char to[static NAME_BYTES])
{
	const struct layout *layout = memory->layout;
	enum { KIND_SHIFT = 2, KIND_MASK = 7, ASCII = 1 << 6 };
	uint64_t length = pointer_at(memory, object + layout->text_length);
	uint32_t state;
	if (!read_at(memory, object + layout->text_state, &state, sizeof(state)) ||
		((state >> KIND_SHIFT) & KIND_MASK) != 1)
		return false;
	if (length >= NAME_BYTES)
		length = NAME_BYTES - 1;
	uint64_t data = object + (state & ASCII ? layout->text_ascii : layout->text_compact);
	if (!read_at(memory, data, to, length))
		return false;
	for (size_t i = 0; i < length; i++)
		if (to[i] < 0x20 || to[i] == 0x7f)
			to[i] = '?';
	to[length] = '\0';
	return true;
}

/* ---- the table of lines (PEP 626's successor, 3.11) ---- */

struct table {
	const uint8_t *at, *end;
};

static unsigned take_number(struct table *table)
{
	unsigned value = 0;
	for (unsigned shift = 0; table->at < table->end && shift < 30; shift += 6) {
		uint8_t byte = *table->at++;
		value |= (unsigned)(byte & 63) << shift;
		if (!(byte & 64))
			break;
	}
	return value;
}

static int take_signed(struct table *table)
{
	unsigned value = take_number(table);
	return value & 1 ? -(int)(value >> 1) : (int)(value >> 1);
}

/* By how much an entry moves the line; *ret_columns: bytes that follow. False: it has no line. */
static bool entry_moves(struct table *table, unsigned code, int *ret_delta)
{
	enum {
		SHORT_LAST = 9,
		ONE_LINE_FIRST = 10,
		ONE_LINE_LAST = 12,
		NO_COLUMNS = 13,
		LONG = 14
	};
	*ret_delta = 0;
	if (code <= SHORT_LAST) {
		table->at += 1;
	} else if (code <= ONE_LINE_LAST) {
		*ret_delta = (int)(code - ONE_LINE_FIRST);
		table->at += 2;
	} else if (code == NO_COLUMNS) {
		*ret_delta = take_signed(table);
	} else if (code == LONG) {
		*ret_delta = take_signed(table);
		for (int i = 0; i < 3; i++)
			take_number(table);
	} else {
		return false;
	}
	return true;
}

static unsigned line_of(struct table table, int line, uint64_t offset)
{
	uint64_t reached = 0;
	while (table.at < table.end) {
		uint8_t first = *table.at++;
		int delta;
		bool has_line = entry_moves(&table, (first >> 3) & 15, &delta);
		line += delta;
		reached += ((first & 7) + 1) * INSTRUCTION_BYTES;
		if (offset < reached)
			return has_line && line > 0 ? (unsigned)line : 0;
	}
	return 0;
}

static unsigned read_line(const struct memory *memory, uint64_t code, uint64_t instruction)
{
	const struct layout *layout = memory->layout;
	uint64_t table = pointer_at(memory, code + layout->code_table);
	uint64_t length = pointer_at(memory, table + layout->bytes_length);
	uint64_t start = code + layout->code_instructions;
	int32_t first_line;
	if (!table || !length || length > TABLE_BYTES || instruction < start ||
		!read_at(memory, code + layout->code_first_line, &first_line, sizeof(first_line)))
		return 0;
	cleanup_free uint8_t *bytes =
		malloc(length + 2); /* an entry may seem to reach over the end */
	if (!bytes || !read_at(memory, table + layout->bytes_data, bytes, length))
		return 0;
	return line_of((struct table){bytes, bytes + length}, first_line, instruction - start);
}

/* ---- frames ---- */

static void take_frames(const struct memory *memory, uint64_t frame, json_t *frames)
{
	const struct layout *layout = memory->layout;
	while (frame && json_array_size(frames) < MAX_TRACE_FRAMES) {
		char file[NAME_BYTES], name[NAME_BYTES];
		uint64_t code = pointer_at(memory, frame + layout->frame_code);
		uint64_t instruction = pointer_at(memory, frame + layout->frame_instruction);
		if (!code ||
			!read_text(memory, pointer_at(memory, code + layout->code_file), file) ||
			!read_text(memory, pointer_at(memory, code + layout->code_name), name))
			return;
		frames_add(frames, file, read_line(memory, code, instruction), name);
		frame = pointer_at(memory, frame + layout->frame_previous);
	}
}

void python_stacks_in(int memory_fd, const struct python_place *python, json_t *stacks)
{
	struct memory memory = {.fd = memory_fd};
	for (size_t i = 0; i < ARRAY_SIZE(layouts); i++)
		if (layouts[i].minor == python->minor)
			memory.layout = &layouts[i];
	if (!memory.layout)
		return;
	const struct layout *layout = memory.layout;
	uint64_t interpreter = pointer_at(&memory, python->runtime + layout->runtime_interpreters);
	uint64_t thread = pointer_at(&memory, interpreter + layout->interpreter_threads);
	for (int i = 0; thread && i < MAX_STACK_THREADS; i++) {
		json_t *frames = json_array();
		uint64_t holder = pointer_at(&memory, thread + layout->thread_frame_holder);
		uint64_t id = pointer_at(&memory, thread + layout->thread_native_id);
		if (holder)
			take_frames(&memory, pointer_at(&memory, holder + layout->holder_frame),
				frames);
		stacks_add(stacks, "python", (long)id, frames);
		thread = pointer_at(&memory, thread + layout->thread_next);
	}
}

void python_stacks(pid_t pid, const struct python_place *python, json_t *stacks)
{
	char path[32];
	snprintf(path, sizeof(path), "/proc/%d/mem", (int)pid);
	cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0)
		python_stacks_in(fd, python, stacks);
}
