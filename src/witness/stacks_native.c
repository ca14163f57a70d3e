/* Theory of operation. libdw stops the threads one by one, reads their registers and memory, and
 * unwinds by the call frame information of the programs that they map. Those are opened through the
 * process's own root, so that a name of the box's never leads to a file of the host's; debugging
 * information counts where it is in the program itself. */
#include "witness/stacks_helper.h"

#include "base/cleanup.h"
#include "base/limits.h"
#include "base/sys.h"

#include <elfutils/libdwfl.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

enum { MAX_PROGRAM_BYTES = 256 * 1024 * 1024 };

/* libdw's callbacks have no place for a context of the caller's. */
static int process_root = -1;

static int find_elf(Dwfl_Module *module, void **userdata, const char *name, Dwarf_Addr base,
	char **ret_name, Elf **elf)
{
	(void)module, (void)userdata, (void)base, (void)elf;
	struct stat status;
	if (name[0] != '/')
		return -1; /* the kernel's own page */
	cleanup_close int fd =
		sys_openat2(process_root, name + 1, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY,
			RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS);
	if (fd < 0 || fstat(fd, &status) || !S_ISREG(status.st_mode) ||
		status.st_size > MAX_PROGRAM_BYTES)
		return -1;
	*ret_name = strdup(name);
	return *ret_name ? steal_fd(&fd) : -1;
}

static int find_no_debuginfo(Dwfl_Module *module, void **userdata, const char *name,
	Dwarf_Addr base, const char *file, const char *link, GElf_Word checksum, char **ret_name)
{
	(void)module, (void)userdata, (void)name, (void)base;
	(void)file, (void)link, (void)checksum, (void)ret_name;
	return -1;
}

static const Dwfl_Callbacks callbacks = {
	.find_elf = find_elf,
	.find_debuginfo = find_no_debuginfo,
};

struct walk {
	Dwfl *dwfl;
	json_t *stacks, *frames;
	size_t threads;
	pid_t pid;
};

static int take_frame(Dwfl_Frame *frame, void *context)
{
	struct walk *walk = context;
	Dwarf_Addr pc;
	bool is_activation;
	if (json_array_size(walk->frames) == MAX_TRACE_FRAMES ||
		!dwfl_frame_pc(frame, &pc, &is_activation))
		return DWARF_CB_ABORT;
	/* A return address is behind the call. */
	pc -= is_activation ? 0 : 1;
	Dwfl_Module *module = dwfl_addrmodule(walk->dwfl, pc);
	const char *function = module ? dwfl_module_addrname(module, pc) : NULL;
	Dwfl_Line *line = module ? dwfl_module_getsrc(module, pc) : NULL;
	const char *file = NULL;
	int number = 0;
	if (line)
		file = dwfl_lineinfo(line, NULL, &number, NULL, NULL, NULL);
	else if (module)
		file = dwfl_module_info(module, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
	frames_add(walk->frames, file, number > 0 ? (unsigned)number : 0, function);
	return DWARF_CB_OK;
}

/* The thread's number in its own PID namespace, as the box and its programs know it. */
static long inside_number(pid_t pid, pid_t tid)
{
	char path[64], line[256];
	long number = tid;
	snprintf(path, sizeof(path), "/proc/%d/task/%d/status", (int)pid, (int)tid);
	cleanup_fclose FILE *status = fopen(path, "re");
	while (status && fgets(line, sizeof(line), status))
		if (strncmp(line, "NSpid:", 6) == 0)
			number = strtol(strrchr(line, '\t') + 1, NULL, 10);
	return number;
}

static int take_thread(Dwfl_Thread *thread, void *context)
{
	struct walk *walk = context;
	if (walk->threads++ == MAX_STACK_THREADS)
		return DWARF_CB_ABORT;
	walk->frames = json_array();
	dwfl_thread_getframes(thread, take_frame, walk);
	long number = inside_number(walk->pid, dwfl_thread_tid(thread));
	stacks_add(walk->stacks, "native", number, walk->frames);
	return DWARF_CB_OK;
}

/* The interpreter's state is the symbol _PyRuntime of python3.N or libpython3.N. */
static int look_for_python(
	Dwfl_Module *module, void **userdata, const char *name, Dwarf_Addr base, void *context)
{
	(void)userdata, (void)base;
	struct python_place *ret = context;
	const char *version = strstr(name, "python3.");
	if (!version)
		return DWARF_CB_OK;
	int count = dwfl_module_getsymtab(module);
	for (int i = 0; i < count; i++) {
		GElf_Sym symbol;
		GElf_Addr address;
		const char *word =
			dwfl_module_getsym_info(module, i, &symbol, &address, NULL, NULL, NULL);
		if (word && strcmp(word, "_PyRuntime") == 0 && symbol.st_shndx != SHN_UNDEF) {
			ret->minor = atoi(version + strlen("python3."));
			ret->runtime = address;
			return DWARF_CB_ABORT;
		}
	}
	return DWARF_CB_OK;
}

void native_stacks(pid_t pid, json_t *stacks,
	void (*look)(pid_t pid, const struct python_place *python, json_t *stacks))
{
	char path[32];
	struct python_place python = {0};
	snprintf(path, sizeof(path), "/proc/%d/root", (int)pid);
	process_root = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct walk walk = {.dwfl = dwfl_begin(&callbacks), .stacks = stacks, .pid = pid};
	if (process_root >= 0 && walk.dwfl && dwfl_linux_proc_report(walk.dwfl, pid) == 0 &&
		dwfl_report_end(walk.dwfl, NULL, NULL) == 0 &&
		dwfl_linux_proc_attach(walk.dwfl, pid, false) == 0) {
		dwfl_getthreads(walk.dwfl, take_thread, &walk);
		dwfl_getmodules(walk.dwfl, look_for_python, &python, 0);
		if (python.minor)
			look(pid, &python, stacks);
	}
	if (walk.dwfl)
		dwfl_end(walk.dwfl);
	close_fd(&process_root);
}
