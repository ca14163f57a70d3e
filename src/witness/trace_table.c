/* The table of parsers: a line that holds the needle is offered to the function, in this order.
 * What is a diagnostic in one line stands in trace_pattern.c instead. */
#include "witness/trace_internal.h"

const struct trace_parser trace_parsers[] = {
	{"python", "Traceback (most recent call last):", python_traceback},
	{"python", "The above exception was the direct cause of", python_link},
	{"python", "During handling of the above exception, another", python_link},
	{"python", "  File \"", python_syntax},
	{"unittest", ": ", unittest_header},
	{"pytest", "__ ", pytest_section},
	{"pytest", ".py:", pytest_line},
	{"pytest", "FAILED ", pytest_summary},
	{"pytest", "ERROR ", pytest_summary},

	{"sanitizer", "Sanitizer: ", sanitizer_report},
	{"sanitizer", "ThreadSanitizer: ", thread_sanitizer_report},
	{"sanitizer", " leak of ", leak_report},
	{"sanitizer", ": runtime error: ", undefined_report},
	{"valgrind", "==", valgrind_error},

	{"go", "panic: ", go_panic},
	{"go", "fatal error: ", go_panic},
	{"go", "--- FAIL: ", go_test},
	{"rust", "panicked at ", rust_panic},
	{"rust", "error", rustc_error},

	{"java", "Exception", java_exception},
	{"java", "Error", java_exception},
	{"java", "Caused by: ", java_exception},
	{"maven", "[ERROR]   ", maven_test},
	{"gradle", "* What went wrong:", gradle_failure},

	{"node", "/", node_bare_place},
	{"node", "(Use `node --trace-uncaught", node_thrown},
	{"node", "UnhandledPromiseRejection: ", node_rejection},
	{"tap", "not ok ", tap_failure},
	{"jest", "\xe2\x97\x8f ", jest_failure},
	{"mocha", ") ", mocha_failure},
	{"node", "Error", node_error},
	{"node", ": ", node_error},
	{"eslint", "error", eslint_stylish},

	{"compiler", ": In ", compiler_function},
	{"compiler", ": At ", compiler_function},
	{"compiler", "from ", compiler_inclusion},
	{"compiler", ": note: ", compiler_note},
	{"compiler", "required from", compiler_note},
	{"linker", "ld: ", linker_error},
	{"linker", ": undefined reference to ", linker_error},
	{"linker", ": multiple definition of ", linker_error},

	{"make", " directory ", make_directory},
	{"make", ": *** ", make_error},
	{"cmake", "CMake Error", cmake_error},
	{"ninja", "FAILED: ", ninja_failed},

	{"ruby", ":in ", ruby_exception},
	{"php", "Uncaught ", php_error},
};
const size_t trace_parsers_count = sizeof(trace_parsers) / sizeof(trace_parsers[0]);
