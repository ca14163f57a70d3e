/* Every maximum in coffer stands here, so that a reader can see what bounds each buffer. */
#ifndef COFFER_BASE_LIMITS_H
#define COFFER_BASE_LIMITS_H

enum {
	/* Paths and names: the kernel's own (PATH_MAX counts the final NUL). */
	MAX_PATH_BYTES = 4096,
	MAX_NAME_BYTES = 255,

	/* A policy: entries a person may give. More than this is a mistake or an attack. */
	MAX_POLICY_PATHS = 1024,
	MAX_POLICY_ENV = 1024,
	MAX_POLICY_PLACES = 64,
	MAX_POLICY_VALUE_BYTES = 64 * 1024,

	/* A plan: mounts are descriptors while a box is built, and each costs the launch 10 us. */
	MAX_PLAN_MOUNTS = 4096,
	MAX_PLAN_WATCHES = 2048,

	/* The kernel's own bound on one argument is 128 KiB; all together, 6 MiB. */
	MAX_ARGV_BYTES = 6 * 1024 * 1024,

	/* Files of strangers that are parsed: a .git file, a git config, a git index. */
	MAX_GIT_FILE_BYTES = 4096,
	MAX_GIT_CONFIG_BYTES = 1024 * 1024,
	MAX_GIT_INDEX_BYTES = 256 * 1024 * 1024,

	/* The bounded walk of a workspace (see plan/scan.c). */
	MAX_SCAN_DEPTH = 3,
	MAX_SCAN_ENTRIES = 100000,
	MAX_SCAN_FINDINGS = 8192,

	/* The host's bundle of trusted certificates (Debian's has 220 KiB). */
	MAX_CERTIFICATES_BYTES = 4 * 1024 * 1024,

	/* Small files of /proc and /sys. */
	MAX_PROC_FILE_BYTES = 1024 * 1024,

	/* A report: distinct denials kept (later ones are only counted). */
	MAX_DENIALS = 256,
	/* The same for what it says of the network: entries, equal ones counted together. */
	MAX_TRAFFIC = 512,
	/* --net-log: some 600,000 decisions. */
	MAX_NET_LOG_BYTES = 256 * 1024 * 1024,
	/* --trace-access: paths that are listed. */
	MAX_ACCESSES = 8192,
	MAX_ACCESS_PATH_BYTES = 488,
	/* What is said of refusals at the end of a run: lines on a terminal; for an agent, of so
	 * many things, and of a name so many bytes. */
	MAX_FEEDBACK_LINES = 8,
	MAX_FEEDBACK_ITEMS = 20,
	MAX_FEEDBACK_WORD_BYTES = 200,
	MAX_FEEDBACK_BYTES = 64 * 1024,
	MAX_REPORT_BYTES = 64 * 1024 * 1024,

	/* Output kept by --capture when no limit is given, each stream. */
	DEFAULT_CAPTURE_BYTES = 1024 * 1024,

	/* Configuration: a file, its nesting, and what all layers together may hold. */
	MAX_CONFIG_FILE_BYTES = 1024 * 1024,
	MAX_CONFIG_DEPTH = 32,
	MAX_CONFIG_VALUES = 65536,
	MAX_CONFIG_TABLE_KEYS = 4096,
	MAX_CONFIG_SETTINGS = 8192,
	MAX_CONFIG_RULES = 4096,
	MAX_CONFIG_HOOKS = 256,

	/* A hook: its matcher, the scripts that its trust covers, how many run at one time, and
	 * what one text of its answer may come to (a longer one is cut). */
	MAX_HOOK_MATCHER_BYTES = 1024,
	MAX_HOOK_FILES = 8,
	MAX_HOOK_COMPANIONS = 256,
	MAX_HOOK_FILE_BYTES = 8 * 1024 * 1024,
	MAX_HOOKS_AT_ONCE = 8,
	MAX_HOOK_TEXT_BYTES = 64 * 1024,

	/* What the gate takes apart: a script, its commands, shells within shells. */
	MAX_SCRIPT_BYTES = 1024 * 1024,
	MAX_SCRIPT_COMMANDS = 16384,
	MAX_SCRIPT_NESTING = 16,
	/* Of one script: syntax within syntax (each level is a stack frame), here-documents that
	 * one line opens, names that are kept track of, words that one word's braces make. Of
	 * one analysis: bytes of all its scripts, so that files that name one another end; the
	 * source shown of a part. */
	MAX_SYNTAX_DEPTH = 96,
	MAX_LINE_HEREDOCS = 16,
	MAX_SCRIPT_NAMES = 512,
	MAX_BRACE_WORDS = 256,
	MAX_ANALYSIS_BYTES = 4 * 1024 * 1024,
	MAX_PART_TEXT_BYTES = 400,
	/* How long the syntax tree of one script may take: nested ambiguities cost a GLR parser. */
	MAX_SYNTAX_TREE_US = 2 * 1000 * 1000,
	/* A change that is judged, and what is said of all that was. */
	MAX_DIFF_BYTES = 64 * 1024 * 1024,
	MAX_CHECK_OUTPUT_BYTES = 64 * 1024 * 1024,

	/* One line of JSON from an agent's host, a hook or a reviewer. */
	MAX_MESSAGE_BYTES = 16 * 1024 * 1024,
	MAX_HOOK_OUTPUT_BYTES = 1024 * 1024,
	MAX_REVIEW_ANSWER_BYTES = 256 * 1024,
	/* What a reviewer is told; more than this nobody reads, neither a person nor a model. */
	MAX_REVIEW_REQUEST_BYTES = 256 * 1024,
	/* Prompts of the user that are searched for an authorization. */
	MAX_USER_WORDS_BYTES = 256 * 1024,

	/* A session with an agent's host (src/session): tool calls under way at once, calls of one
	 * batch, and what it keeps of the past. */
	MAX_SESSION_CALLS = 64,
	MAX_SESSION_BATCH = 64,
	MAX_SESSION_REPORTS = 64,
	MAX_SESSION_PROMPTS = 32,
	MAX_SESSION_PROMPT_BYTES = 256 * 1024,
	MAX_SESSION_SETTINGS = 1024,
	/* Towards a host that reads slowly: from the first on no call's output is taken, from the
	 * second on no request. What is under way may still end, at most 4 MiB a call. */
	SESSION_QUEUE_PAUSE_BYTES = 1024 * 1024,
	SESSION_QUEUE_FULL_BYTES = 8 * 1024 * 1024,
	/* Between a session and its calls: one message, one piece of output. */
	MAX_CALL_MESSAGE_BYTES = 32 * 1024 * 1024,
	CALL_OUTPUT_BYTES = 32 * 1024,
	/* What a result keeps of each stream, half of it head and half tail. */
	DEFAULT_TOOL_OUTPUT_BYTES = 64 * 1024,
	MAX_TOOL_OUTPUT_BYTES = 1024 * 1024,
	MAX_TOOL_READ_BYTES = 2 * 1024 * 1024,
	MAX_TOOL_STDIN_BYTES = 8 * 1024 * 1024,
	MAX_TOOL_LIST_ENTRIES = 10000,

	/* Layers: a name, the layers below one another (each is a word of one mount option, which
	 * holds 255 bytes), one's description, how deep and long what a box wrote is followed. */
	MAX_LAYER_NAME_BYTES = 64,
	MAX_LAYER_PARENTS = 64,
	MAX_LAYER_FILE_BYTES = 1024 * 1024,
	MAX_LAYER_DEPTH = 1024,
	/* A layer that is a copy of the workspace: files and directories. */
	MAX_COPY_ENTRIES = 2000000,
	/* What a speculative run may want to connect to. */
	MAX_WANTED = 1024,
	/* A directory that the box renames and an overlay does not (run/move.c). */
	MAX_MOVE_ENTRIES = 1000000,
	MAX_MOVE_MIB = 64 * 1024,
	MAX_MOVE_SECONDS = 600,
	/* What one apply may be about, and its journal. */
	MAX_LAYER_APPLY_CHANGES = 4 * 1000 * 1000,
	MAX_LAYER_APPLY_REFUSALS = 1000,
	MAX_LAYER_JOURNAL_BYTES = 1024 * 1024 * 1024,
	/* The names of one directory, some ten million; what was recorded of a root. */
	MAX_LAYER_DIRECTORY_BYTES = 256 * 1024 * 1024,
	MAX_LAYER_RECORDS_BYTES = 1024 * 1024 * 1024,
	/* A text that is compared by lines; a larger file is shown as binary. */
	MAX_TEXT_DIFF_BYTES = 64 * 1024 * 1024,
	MAX_TEXT_DIFF_LINES = 4 * 1000 * 1000,
	/* `git apply` takes no larger patch. */
	MAX_PATCH_FILE_BYTES = 1023 * 1024 * 1024,
	/* Pairing what was deleted with what was added: files of equal content, files of similar
	 * content, and one such. */
	MAX_RENAME_EXACT = 100000,
	MAX_RENAME_SIMILAR = 400,
	MAX_RENAME_BYTES = 1024 * 1024,

	/* Tasks: agents side by side, a prompt, a script of the set-up, what is told of one
	 * (summary, result of an attempt), lock files of one repository, layers kept after a
	 * set-up. */
	MAX_TASK_ATTEMPTS = 64,
	MAX_TASK_PROMPT_BYTES = 8 * 1024 * 1024,
	MAX_TASK_SETUP_BYTES = 8 * 1024 * 1024,
	MAX_TASK_RESULT_BYTES = 16 * 1024 * 1024,
	MAX_TASK_LOCK_FILE_BYTES = 64 * 1024 * 1024,
	MAX_TASK_PREPARED = 16,

	/* A search for secrets: their number and bytes together (they travel through one pipe),
	 * archives within archives, compressed streams read at one time at one depth, what is kept
	 * of names in archives, and how much one file and all of them may come to when unpacked. */
	MAX_SECRETS = 64,
	MAX_SECRETS_BYTES = 32 * 1024,
	MAX_SEARCH_NESTING = 8,
	MAX_SEARCH_UNPACKERS = 16,
	MAX_SEARCH_MEMBER_BYTES = 1024,
	MAX_SEARCH_RATIO = 200,
	MAX_SEARCH_FILE_MIB = 8 * 1024,
	MAX_SEARCH_MIB = 64 * 1024,
	MAX_SEARCH_FINDINGS = 4096,
	MAX_SEARCH_ANSWER_BYTES = 64 * 1024 * 1024,

	/* What a sanitizer holds back: the longest path or secret; what it makes of one piece. A
	 * key's block that nothing ends. */
	MAX_SANITIZE_PENDING_BYTES = 64 * 1024,
	MAX_SANITIZE_PIECE_BYTES = 64 * 1024 * 1024,
	MAX_SHAPE_BYTES = 64 * 1024,

	/* An automaton that looks for patterns: 64 secrets in all their forms. */
	MAX_AUTOMATON_NODES = 16 * 1024 * 1024,

	/* A clone: submodules, within one another; .gitmodules and the list of a tree's commits. */
	MAX_SUBMODULES = 256,
	MAX_SUBMODULE_DEPTH = 8,
	MAX_GITMODULES_BYTES = 1024 * 1024,
	MAX_GIT_LIST_BYTES = 16 * 1024 * 1024,

	/* What leaves a task: one file of a patch, all that it changes, the patch itself, what is
	 * said of things that are left out; its commit's message. */
	MAX_PACK_FILE_BYTES = 64 * 1024 * 1024,
	MAX_PACK_BYTES = 1024 * 1024 * 1024,
	MAX_PACK_SKIPPED = 200,
	MAX_PACK_LIST_BYTES = 256 * 1024 * 1024,
	MAX_PACK_MESSAGE_BYTES = 32 * 1024,

	/* An image that a stranger made: its files, their content, its description. */
	MAX_IMPORT_ENTRIES = 4 * 1000 * 1000,
	MAX_IMPORT_GIB = 64,
	MAX_IMPORT_TEXT_BYTES = 1024 * 1024,

	/* Traces of a failure: what of each stream is looked at, and kept for that while it is
	 * passed on; a line; failures told one by one; frames of one; words of a message; source
	 * lines around a frame, of how many frames of one failure, and bytes read for all of
	 * them. */
	MAX_TRACE_TEXT_BYTES = 4 * 1024 * 1024,
	TRACE_TAIL_BYTES = 256 * 1024,
	MAX_TRACE_LINE_BYTES = 4096,
	MAX_TRACES = 32,
	MAX_TRACE_FRAMES = 32,
	MAX_TRACE_MESSAGE_BYTES = 2000,
	MAX_TRACE_NAME_BYTES = 512,
	TRACE_SOURCE_LINES = 2,
	MAX_TRACE_SOURCE_FRAMES = 8,
	MAX_TRACE_SOURCE_LINE_BYTES = 240,
	MAX_TRACE_SOURCE_BYTES = 16 * 1024 * 1024,
	/* Where the processes of a box stand: how many, threads of one, and all of it as JSON. */
	MAX_STACK_PROCESSES = 16,
	MAX_STACK_THREADS = 8,
	MAX_STACKS_BYTES = 1024 * 1024,

	/* One message between libcoffer and its supervisor. */
	MAX_CONTROL_MESSAGE_BYTES = 8 * 1024 * 1024,
};

#endif
