"""libcoffer: what it shows to others, and the example of its use, linked in both ways."""

import json
import os
import re
import subprocess

import pytest
from support import COFFER, ROOT

BUILD = COFFER.parent
SHARED = BUILD / "libcoffer.so"
STATIC = BUILD / "libcoffer.a"
EXAMPLE = ROOT / "examples" / "run.c"


@pytest.fixture(autouse=True)
def _library():
    if not SHARED.exists() and not STATIC.exists():
        pytest.skip("a sanitized build has no libcoffer")


def declared():
    """The functions of the public header."""
    text = (ROOT / "include" / "coffer.h").read_text()
    return set(re.findall(r"^COFFER_API [^;(]*?(\w+)\(", text, re.MULTILINE))


def defined(*args):
    lines = subprocess.run(
        ["nm", "--defined-only", *map(str, args)], check=True, capture_output=True, text=True
    ).stdout.splitlines()
    return {fields[2] for fields in map(str.split, lines) if len(fields) == 3}


def test_only_the_headers_symbols_are_exported():
    assert len(declared()) > 20
    assert defined("-D", SHARED) == declared()
    assert defined("-g", STATIC) == declared()


def compile_example(directory, *link):
    program = directory / "example"
    subprocess.run(
        ["gcc", "-Wall", "-Wextra", "-Werror", f"-I{ROOT}/include", "-o", program, EXAMPLE, *link],
        check=True,
    )
    return program


@pytest.fixture(params=["shared", "static"])
def example(request, home_directory):
    if request.param == "shared":
        return compile_example(home_directory, f"-L{BUILD}", "-lcoffer", f"-Wl,-rpath,{BUILD}")
    return compile_example(home_directory, STATIC, "-ljansson", "-lidn2")


def test_the_header_stands_alone_in_c_and_cxx(home_directory):
    source = home_directory / "alone.c"
    source.write_text('#include "coffer.h"\n')
    for language in ("c", "c++"):
        compiler = "gcc" if language == "c" else "g++"
        if subprocess.run(["which", compiler], capture_output=True, check=False).returncode:
            continue
        subprocess.run(
            [compiler, "-x", language, "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-fsyntax-only"]
            + [f"-I{ROOT}/include", source],
            check=True,
        )


@pytest.fixture
def run_program():
    def run(program, directory, supervisor=COFFER):
        return subprocess.run(
            [program, directory],
            env={**os.environ, "COFFER_PROGRAM": str(supervisor)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run


def test_the_example(example, workspace, run_program):
    done = run_program(example, workspace)
    assert done.returncode == 0, done.stderr
    head, brace, tail = done.stdout.partition("{")
    assert head.splitlines() == [
        "first",
        "command 1 ended with 0",
        "hello",
        "command 2 ended with 3",
    ]
    report = json.loads(brace + tail)
    assert report["workspace"] == str(workspace)
    assert report["mode"] == "workspace-write"


def test_the_example_says_what_is_wrong(example, home_directory, run_program):
    done = run_program(example, home_directory / "nowhere")
    assert done.returncode == 1
    assert "nowhere" in done.stderr
    assert done.stdout == ""


def test_a_missing_program_is_said(example, workspace, run_program):
    done = run_program(example, workspace, supervisor="/nowhere/coffer")
    assert done.returncode == 1
    assert "COFFER_PROGRAM" in done.stderr


WITHOUT_COMMAND = r"""
#include "coffer.h"
#include <stdio.h>
#include <sys/wait.h>
int main(int argc, char **argv)
{
	struct coffer_error error;
	struct coffer_policy *policy = coffer_policy_new();
	char *const none[] = {NULL};
	char *const command[] = {(char *)"sh", (char *)"-c", (char *)"exit 4", NULL};
	struct coffer_box *box;
	struct coffer_report *report;
	uint32_t id;
	int status;
	(void)argc;
	if (coffer_policy_set(policy, "directory", argv[1], &error) < 0 ||
	    coffer_box_start(policy, none, NULL, &box, &error) < 0 ||
	    coffer_box_exec(box, command, NULL, NULL, NULL, &id, &error) < 0 ||
	    coffer_box_wait_exec(box, id, -1, &status, &error) < 0 ||
	    coffer_box_wait(box, &report, &error) < 0)
		return fprintf(stderr, "%s: %s\n", error.stage, error.message), 1;
	printf("%d %s %d\n", WEXITSTATUS(status), coffer_report_cause(report),
		coffer_report_exit_code(report));
	coffer_report_free(report);
	coffer_box_free(box);
	coffer_policy_free(policy);
	return 0;
}
"""


WITH_COMMAND = r"""
#include "coffer.h"
#include <stdio.h>
int main(int argc, char **argv)
{
	struct coffer_error error;
	char *const commands[][4] = {{(char *)"sh", (char *)"-c", (char *)"exit 0", NULL},
		{(char *)"sh", (char *)"-c", (char *)"exit 4", NULL},
		{(char *)"sh", (char *)"-c", (char *)"kill -11 $$", NULL}};
	(void)argc;
	for (int i = 0; i < 3; i++) {
		struct coffer_policy *policy = coffer_policy_new();
		struct coffer_box *box;
		struct coffer_report *report;
		if (coffer_policy_set(policy, "directory", argv[1], &error) < 0 ||
		    coffer_box_start(policy, commands[i], NULL, &box, &error) < 0 ||
		    coffer_box_wait(box, &report, &error) < 0)
			return fprintf(stderr, "%s: %s\n", error.stage, error.message), 1;
		printf("%s %d\n", coffer_report_cause(report), coffer_report_exit_code(report));
		coffer_report_free(report);
		coffer_box_free(box);
		coffer_policy_free(policy);
	}
	return 0;
}
"""


def test_how_the_command_ended_is_how_the_box_ended(home_directory, workspace, run_program):
    """coffer_box_wait() hangs up on a box whose command has ended: that is no kill."""
    source, program = home_directory / "with.c", home_directory / "with"
    source.write_text(WITH_COMMAND)
    subprocess.run(
        ["gcc", "-D_GNU_SOURCE", f"-I{ROOT}/include", "-o", program, source]
        + [COFFER.parent / "libcoffer.a", "-ljansson", "-lidn2"],
        check=True,
    )
    done = run_program(program, workspace)
    assert done.stdout == "exited 0\nexited 4\nsignaled 139\n", done.stderr


def test_a_box_without_a_command_of_its_own_ends_well(home_directory, workspace, run_program):
    source, program = home_directory / "empty.c", home_directory / "empty"
    source.write_text(WITHOUT_COMMAND)
    subprocess.run(
        ["gcc", "-D_GNU_SOURCE", f"-I{ROOT}/include", "-o", program, source]
        + [COFFER.parent / "libcoffer.a", "-ljansson", "-lidn2"],
        check=True,
    )
    done = run_program(program, workspace)
    assert done.stdout == "4 exited 0\n", done.stderr
