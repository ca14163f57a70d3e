"""Report and reality agree: what the witness says was refused is what the kernel refused to the
program, path for path and error for error, no more and no less.

A table of calls, each made in four places (the workspace, outside of it, a protected name, a hidden
directory) and where it fails for a reason of its own. The program says what the kernel told it; the
report must have exactly those that the box is the reason of.
"""

import errno
import os
import subprocess
from pathlib import Path

import pytest
import support

SOURCES = Path(__file__).resolve().parent

# A call, and what it is made on: a file or directory that is there, a name that is not, both.
FILE, DIRECTORY, NEW, PAIR = "file", "directory", "new", "pair"
CALLS = {
    "open_read": FILE,
    "open_write": FILE,
    "open_both": FILE,
    "open_append": FILE,
    "open_truncate": FILE,
    "open_create": NEW,
    "open_exclusive": NEW,
    "openat_read": FILE,
    "openat_write": FILE,
    "openat_create": NEW,
    "creat": NEW,
    "fopen_read": FILE,
    "fopen_write": FILE,
    "fopen_append": FILE,
    "opendir": DIRECTORY,
    "mkdir": NEW,
    "mkdirat": NEW,
    "mknod": NEW,
    "mkfifo": NEW,
    "unlink": FILE,
    "unlinkat": FILE,
    "rmdir": DIRECTORY,
    "remove": FILE,
    "rename": PAIR,
    "renameat": PAIR,
    "link": NEW,
    "symlink": NEW,
    "symlinkat": NEW,
    "chmod": FILE,
    "fchmodat": FILE,
    "chown": FILE,
    "lchown": FILE,
    "fchownat": FILE,
    "truncate": FILE,
    "utime": FILE,
    "utimes": FILE,
    "utimensat": FILE,
    "access": FILE,
    "stat": FILE,
    "lstat": FILE,
    "chdir": DIRECTORY,
    "syscall_openat": FILE,
    "syscall_mkdirat": NEW,
}
# What only looks: the listener is not told of it.
LOOKS = {"access", "stat", "lstat", "chdir"}
# Of what fails anyway: a call, and what it is made on.
FAULTS = [
    ("open_read", "missing"),
    ("open_write", "missing"),
    ("open_write", "locked"),
    ("open_read", "locked"),
    ("mkdir", "there"),
    ("open_exclusive", "there"),
    ("unlink", "missing"),
    ("rmdir", "full"),
    ("unlink", "directory"),
    ("rename", "missing"),
    ("chmod", "missing"),
    ("truncate", "directory"),
    ("opendir", "file"),
    ("mkdir", "below-missing"),
    ("open_create", "below-locked"),
]


def make_place(directory):
    directory.mkdir(parents=True, exist_ok=True)
    for name, kind in CALLS.items():
        thing = directory / name
        if kind in (FILE, PAIR):
            thing.write_text("x\n")
        elif kind == DIRECTORY:
            thing.mkdir()


def make_faults(directory):
    directory.mkdir()
    (directory / "there").mkdir()
    (directory / "full" / "x").mkdir(parents=True)
    (directory / "directory").mkdir()
    (directory / "file").write_text("x\n")
    (directory / "locked").write_text("x\n")
    (directory / "locked").chmod(0)
    (directory / "closed").mkdir(mode=0)


FAULT_PATHS = {"below-missing": "missing/x", "below-locked": "closed/x"}


def lines_for(name, path, kind):
    if kind == PAIR:
        return f"{name} {path} {path}.moved"
    if name == "link":
        return f"{name} {path} {path.parent}/open_read"
    return f"{name} {path}"


@pytest.fixture
def places(workspace, home_directory):
    """{place: directory}, and the lines of the program with (place, name, path) of each."""
    places = {
        "workspace": workspace / "work",
        "outside": home_directory / "outside",
        "protected": workspace / ".git" / "place",
        "hidden": workspace / "hidden",
    }
    for directory in places.values():
        make_place(directory)
    make_faults(workspace / "faults")
    cases = []
    for place, directory in places.items():
        for name, kind in CALLS.items():
            path = directory / name
            cases.append((place, name, path, lines_for(name, path, kind)))
    for name, thing in FAULTS:
        path = workspace / "faults" / FAULT_PATHS.get(thing, thing)
        cases.append(("fault", name, path, lines_for(name, path, CALLS[name])))
    # What changes a place for good comes last: a directory is left, a link made twice.
    cases.sort(key=lambda case: case[1] == "chdir")
    assert len(cases) >= 150
    return cases


def told(run, names=None):
    """What the report says: {(path, errno)}."""
    return {
        (d["resolved"], d["errno"])
        for d in run.report["denials"]
        if names is None or d["program"] in names
    }


def compile_with(compiler, directory, *flags):
    program = Path(directory) / f"calls-{os.path.basename(compiler)}{'-'.join(flags)}"
    subprocess.run(
        [compiler, "-D_GNU_SOURCE", "-O1", *flags, "-o", program, SOURCES / "calls.c"], check=True
    )
    return program


def expected(cases, answers, full):
    """Of what the kernel said, what the box is the reason of."""
    refused = set()
    for (place, name, path, _), answer in zip(cases, answers, strict=True):
        if answer == 0 or place == "fault" or (full and name in LOOKS):
            continue
        assert place != "workspace", (name, path, errno.errorcode[answer])
        refused.add((str(path), errno.errorcode[answer]))
        if CALLS[name] == PAIR:
            refused.add((f"{path}.moved", errno.errorcode[answer]))
    return refused


def check(box, program, cases, witness):
    run = box(
        program,
        flags=["--witness", witness, "--deny-read", "hidden"],
        stdin="".join(case[3] + "\n" for case in cases),
    )
    answers = [int(word) for word in run.out.split()]
    assert len(answers) == len(cases), run.describe()
    wanted = expected(cases, answers, witness == "full")
    assert sum(1 for answer in answers if answer) > 90, run.describe()
    said = told(run)
    assert said == wanted, (
        f"only told: {sorted(said - wanted)}\nnot told: {sorted(wanted - said)}\n{run.err}"
    )
    assert run.report["denials_lost"] == 0
    for denial in run.report["denials"]:
        path = denial["resolved"]
        protected, hidden = "/.git/" in path, "/hidden/" in path
        assert denial["promise"] == ("P2" if protected else "P4" if hidden else "P1"), denial
        assert denial["rule"] == ("--deny-read hidden" if hidden else "default"), denial
        if protected or hidden:
            assert denial["allow_with"] is None, denial
        else:
            assert denial["allow_with"] == f"--write {os.path.dirname(path)}", denial
    return run


@pytest.mark.core
def test_dynamic_programs_tell(box, places, workspace):
    check(box, compile_with("gcc", workspace), places, "on")


def test_programs_of_another_libc_tell(box, places, workspace):
    support.need_program("musl-gcc")
    check(box, compile_with("musl-gcc", workspace), places, "on")


@pytest.mark.parametrize("linking", ["-static", "-pie"])
def test_full_sees_every_program(box, places, workspace, linking):
    check(box, compile_with("gcc", workspace, linking), places, "full")


def test_static_programs_are_silent_where_nobody_looks(box, places, workspace):
    program = compile_with("gcc", workspace, "-static")
    run = box(program, stdin=f"mkdir {places[0][2].parent.parent.parent}/made\n")
    assert run.out.strip() not in ("", "0"), run.describe()
    if "landlock" not in run.report["tier"]:
        assert not run.report["denials"], run.report["denials"]


def test_nothing_is_told_with_the_witness_off(box, places, workspace):
    program = compile_with("gcc", workspace)
    run = box(
        program,
        flags=["--witness", "off"],
        stdin="".join(case[3] + "\n" for case in places if case[0] == "outside" and
                      case[1] == "open_read"),
    )  # fmt: skip
    assert run.code == 0 and not run.report["denials"], run.describe()
    run = box("sh", "-c", "env", flags=["--witness", "off"])
    assert "LD_PRELOAD" not in run.out


GO = """
package main

import (
	"fmt"
	"os"
	"syscall"
)

func main() {
	for _, path := range os.Args[1:] {
		err := os.Mkdir(path, 0755)
		number := syscall.Errno(0)
		if e, ok := err.(*os.PathError); ok {
			number = e.Err.(syscall.Errno)
		}
		fmt.Println(int(number))
	}
}
"""


def test_go_programs_are_seen_by_full(box, workspace, outside):
    support.need_program("go")
    (workspace / "main.go").write_text(GO)
    environment = {**os.environ, "GO111MODULE": "off", "GOFLAGS": "", "CGO_ENABLED": "0",
                   "GOCACHE": str(workspace / "cache")}  # fmt: skip
    subprocess.run(["go", "build", "-o", "made", "main.go"], cwd=workspace, env=environment,
                   check=True)  # fmt: skip
    run = box("./made", "inside", f"{outside}/a", f"{outside}/b", ".git/c",
              flags=["--witness", "full"])  # fmt: skip
    answers = [errno.errorcode.get(int(word)) for word in run.out.split()]
    assert answers[0] is None and all(answers[1:]), run.describe()
    # Its run time looks for the size of huge pages, which is hidden as all of /sys.
    assert {said for said in told(run) if not said[0].startswith("/sys/")} == set(
        zip([f"{outside}/a", f"{outside}/b", f"{workspace}/.git/c"], answers[1:], strict=True)
    )


THREADS = """
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

static const char *directory;
static int refused[32];

static void *loop(void *argument)
{
	long number = (long)argument;
	char path[4096];
	snprintf(path, sizeof(path), "%s/thread-%ld", directory, number);
	for (int i = 0; i < 100; i++)
		if (open(path, O_WRONLY | O_CREAT, 0644) < 0)
			refused[number]++;
	return NULL;
}

int main(int argc, char *argv[])
{
	pthread_t threads[32];
	directory = argv[argc - 1];
	for (long i = 0; i < 32; i++)
		pthread_create(&threads[i], NULL, loop, (void *)i);
	for (int i = 0; i < 32; i++)
		pthread_join(threads[i], NULL);
	for (int i = 0; i < 32; i++)
		printf("%d\\n", refused[i]);
	return 0;
}
"""


@pytest.mark.parametrize("witness", ["on", "full"])
def test_threads_are_counted_each(box, cc, workspace, outside, witness):
    program = (cc if witness == "full" else compile_dynamic)(THREADS, workspace)
    run = box(program, str(outside), flags=["--witness", witness])
    refused = [int(word) for word in run.out.split()]
    assert refused == [100] * 32, run.describe()
    counts = {d["resolved"]: d["count"] for d in run.report["denials"]}
    assert counts == {f"{outside}/thread-{i}": 100 for i in range(32)}, counts


def compile_dynamic(source, directory):
    (directory / "dynamic.c").write_text(source)
    program = directory / "dynamic"
    subprocess.run(["gcc", "-O1", "-pthread", "-o", program, directory / "dynamic.c"], check=True)
    return program


RACE = """
import os, threading, sys
inside, outside, link, swap = sys.argv[1:]
end = False

def flip():
    while not end:
        for target in (inside, outside):
            os.symlink(target, swap)
            os.rename(swap, link)

os.symlink(inside, link)
thread = threading.Thread(target=flip)
thread.start()
refused = 0
for _ in range(2000):
    try:
        os.close(os.open(link, os.O_WRONLY))
    except OSError:
        refused += 1
end = True
thread.join()
print(refused)
"""


def test_a_race_is_told_as_often_as_it_was_lost(box, workspace, outside):
    (workspace / "file").write_text("x\n")
    run = box("python3", "-c", RACE, workspace / "file", outside / "sentinel", workspace / "link",
              workspace / "swap")  # fmt: skip
    refused = int(run.out)
    counts = [d["count"] for d in run.report["denials"] if d["target"] == str(workspace / "link")]
    if refused:
        assert sum(counts) == refused, run.report["denials"]
    assert not run.denials(target="file"), run.report["denials"]


def test_a_liar_fools_only_the_log(box, cc, workspace, outside):
    """A program that scribbles over the ring, and one that empties it."""
    run = box(
        "python3",
        "-c",
        "import os; p = os.environ.get('COFFER_WITNESS', '/dev/coffer/witness')\n"
        "with open(p, 'r+b') as f:\n"
        "    f.write(b'\\xff' * os.path.getsize(p))\n",
    )
    assert run.code == 0 and run.report["cause"] == "exited", run.describe()
    assert all(d["promise"] in ("P1", "P2", "P3", "P4") for d in run.report["denials"])
    run = box("sh", "-c", ": > ${COFFER_WITNESS:-/dev/coffer/witness}; true")
    assert run.code == 0 and not run.denials(promise="P4"), run.describe()
