"""What the escape tests share.

    probe           probe.c in the box: probe("calls") -> {"bpf": "EPERM", ...}
    probe_program   its path below the home, for tests that start it in another way
"""

import os
import shutil
import stat
import subprocess
from pathlib import Path

import pytest
import support
from probes import attempts

SOURCE = Path(__file__).with_name("probe.c")


@pytest.fixture(scope="session")
def probe_program():
    directory = support.make_home_directory()
    program = directory / "probe"
    subprocess.run(
        ["gcc", "-O1", "-Wall", "-D_GNU_SOURCE", "-static", "-pthread", "-o", program, SOURCE],
        check=True,
        capture_output=True,
        text=True,
    )
    yield program
    support.remove_tree(directory)


@pytest.fixture
def probe(box, workspace, probe_program):
    """The program is copied into the workspace: the strict profile sees nothing else."""
    shutil.copy(probe_program, workspace / "probe")

    def run(*arguments, **keywords):
        result = box("./probe", *arguments, **keywords).ok()
        found = attempts(result.out)
        assert found, result.describe()
        return found

    return run


def describe_file(path):
    status = os.lstat(path)
    what = [status.st_mode, status.st_uid, status.st_gid, status.st_mtime_ns, status.st_nlink]
    if stat.S_ISREG(status.st_mode):
        what += [path.read_bytes(), {n: os.getxattr(path, n) for n in os.listxattr(path)}]
    if stat.S_ISLNK(status.st_mode):
        what.append(os.readlink(path))
    return what


@pytest.fixture
def untouched(outside):
    """After the test, every file, mode, owner, time and attribute of outside is as it was."""

    def state():
        return {str(p): describe_file(p) for p in sorted([outside, *outside.rglob("*")])}

    before = state()
    yield outside
    assert state() == before
