"""Limits hold, and the report says by its cause which one ended the run."""

import time

import pytest
from support import SLOWDOWN, TIMED_OUT, need_user_namespaces

pytestmark = pytest.mark.limits

MIB = 1024 * 1024
KILLED = 128 + 9


def touch_memory(mib, seconds=0):
    """A program that really uses that much memory, for so long."""
    return f"import time; data = b'x' * ({mib} << 20); time.sleep({seconds}); print(len(data))"


def test_memory_beyond_the_limit_ends_the_run(box):
    command = ("python3", "-c", touch_memory(300, 20 * SLOWDOWN))
    result = box(*command, flags=["--limit", "memory=64M"])
    assert result.cause == "out_of_memory", result.describe()
    assert result.code == KILLED
    assert result.out == ""


def test_memory_within_the_limit_is_left_alone(box):
    result = box("python3", "-c", touch_memory(30), flags=["--limit", "memory=200M"]).ok()
    assert result.cause == "exited"
    assert result.out == f"{30 * MIB}\n"


def test_out_of_memory_ends_the_whole_box(box):
    """One killed process of several must not leave a box that waits for ever."""
    script = f'python3 -c "{touch_memory(300, 20 * SLOWDOWN)}"; sleep 600; echo still here'
    result = box("sh", "-c", script, flags=["--limit", "memory=64M"], timeout=30)
    assert result.cause == "out_of_memory", result.describe()
    assert result.code == KILLED
    assert "still here" not in result.out


FORKS = """
import os, time
made = 0
try:
    for _ in range(60):
        if os.fork() == 0:
            time.sleep(600)
        made += 1
except OSError:
    pass
print(made, flush=True)
time.sleep(1)
"""


def test_processes_beyond_the_limit(box):
    """The kernel refuses the fork, or the meter ends the box."""
    result = box("python3", "-c", FORKS, flags=["--limit", "pids=20"])
    if result.cause == "limit_exceeded":
        assert result.report["limit"] == "pids"
    else:
        assert result.code == 0, result.describe()
        assert 1 <= int(result.out) < 20


def test_processes_within_the_limit(box):
    result = box("python3", "-c", FORKS, flags=["--limit", "pids=200"]).ok()
    assert int(result.out) == 60


def test_time_is_up_for_a_command_that_ignores_it(box):
    script = "trap '' TERM; while :; do sleep 1; done"
    result = box("sh", "-c", script, flags=["--limit", "time=500ms,grace=300ms"])
    assert result.cause == "timed_out", result.describe()
    assert result.code == TIMED_OUT


def test_disk_beyond_the_limit_ends_the_run(box):
    write = "head -c 4000000 /dev/zero >f$i; sync f$i"
    script = f"for i in 1 2 3 4 5 6 7 8; do {write}; done; sleep 600"
    result = box("sh", "-c", script, flags=["--limit", "disk=8M"])
    assert result.cause == "limit_exceeded", result.describe()
    assert result.report["limit"] == "disk"
    assert result.report["usage"]["overshoot_bytes"] > 0
    assert result.code == KILLED


def test_one_file_beyond_the_limit_is_cut(box, workspace):
    box("sh", "-c", "head -c 20000000 /dev/zero >file", flags=["--limit", "disk=8M"])
    assert (workspace / "file").stat().st_size <= 8 * MIB


BUSY = """
import time
end = time.monotonic() + 2
while time.monotonic() < end:
    pass
print(time.process_time())
"""


def test_cpu_is_a_share_of_the_time(box):
    """Where this user has no control group, asking for it is an error that says so."""
    flags = ["--limit", "cpu=0.2"]
    result = box("python3", "-c", BUSY, flags=flags)
    if result.cause == "setup_failed":
        assert "control group" in result.err
        degraded = box("true", flags=[*flags, "--best-effort"]).ok()
        assert "cpu" in [note["what"] for note in degraded.report["notes"]]
        return
    assert "control group" in result.ok().report["enforced"]
    assert float(result.out) < 1.0


def test_the_box_sees_no_name_of_its_control_group(run_coffer, workspace):
    need_user_namespaces()
    flags = ["--isolation", "container", "--limit", "memory=200M"]
    result = run_coffer("run", *flags, "--", "cat", "/proc/self/cgroup", cwd=workspace).ok()
    assert result.out.strip()
    assert "coffer-" not in result.out


def test_a_run_without_limits_makes_no_control_group(run_coffer, workspace):
    need_user_namespaces()
    result = run_coffer("run", "--isolation", "container", "--", "true", cwd=workspace).ok()
    assert "control group" not in result.report["enforced"]


def test_limits_do_not_slow_a_short_run_down(box):
    """The end is not waited for by the meter's clock or by the group's removal."""
    started = time.monotonic()
    for _ in range(3):
        box("true", flags=["--limit", "memory=200M,pids=100,disk=100M"]).ok()
    assert time.monotonic() - started < 6 * SLOWDOWN
