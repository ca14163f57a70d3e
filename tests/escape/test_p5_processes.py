"""P5: no process outlives its box; none can see, signal or trace one outside."""

import os
import subprocess
import time
import uuid
from pathlib import Path

import pytest
import support
from test_p12_kill import processes_with


@pytest.fixture
def marker():
    """Stands in the arguments of every process of the test."""
    return f"coffer-marker-{uuid.uuid4().hex}"


DAEMON = """
import os, sys, time
for _ in range(2):
    if os.fork():
        os._exit(0)
    os.setsid()
os.chdir("/")
os.closerange(0, 1000) if len(sys.argv) > 2 else None
open("/dev/null", "w")
time.sleep(300)
"""


@pytest.mark.core
@pytest.mark.parametrize("streams", ["kept-open", "closed"])
def test_daemons_end_with_the_box(box, marker, streams):
    """Forked twice, in sessions of their own; and one that keeps the output open hangs nobody."""
    arguments = [DAEMON, marker, *(["close"] if streams == "closed" else [])]
    script = 'python3 -c "$@" & python3 -c "$@" & sleep 0.3; echo done'
    result = box("sh", "-c", script, "sh", *arguments).ok()
    assert result.out == "done\n"
    assert result.seconds < 10 * support.SLOWDOWN
    assert processes_with(marker) == []


def test_daemons_that_ignore_signals_and_keep_forking(box, marker):
    code = """
import os, signal, sys, time
for number in range(1, 65):
    try:
        signal.signal(number, signal.SIG_IGN)
    except (OSError, ValueError):
        pass
while True:
    if os.fork():
        os._exit(0)
    os.setsid()
"""
    script = 'for i in 1 2 3 4 5; do python3 -c "$@" & done; sleep 0.5; echo done'
    assert box("sh", "-c", script, "sh", code, marker).ok().out == "done\n"
    support.wait_until(lambda: processes_with(marker) == [], 1, "the end of the daemons")


def test_stopped_processes_end_too(box, marker):
    script = 'sh -c "kill -STOP \\$\\$; sleep 100" "$@" & sleep 0.2; echo done'
    assert box("sh", "-c", script, "sh", marker).ok().out == "done\n"
    assert processes_with(marker) == []


def test_the_end_by_time_takes_everything(box, marker):
    script = 'python3 -c "$@" & sleep 100'
    result = box("sh", "-c", script, "sh", DAEMON, marker, flags=["--limit", "time=1s,grace=200ms"])
    assert result.code == support.TIMED_OUT, result.describe()
    assert processes_with(marker) == []


def test_a_process_of_the_host_cannot_be_touched(probe, victim, tier):
    found = probe("touch", str(victim.pid))
    assert not {name for name, result in found.items() if result == "ok"} - {"pidfd"}, found
    if tier == "container":
        assert found["kill-kill"] == "ESRCH"
        assert "pidfd" in found
    assert victim.poll() is None
    assert support.process_exists(victim.pid)


def test_the_host_cannot_be_signalled_at_large(box, victim, tier):
    """kill(-1), whole process groups, and those of the processes that run the test."""
    groups = {os.getpgrp(), os.getpgid(victim.pid), os.getppid()}
    script = """
import os, signal, sys
for target in [*map(int, sys.argv[1:])]:
    for call in (os.kill, os.killpg):
        try:
            call(target, signal.SIGURG); print("reached", target)
        except OSError:
            pass
signal.signal(signal.SIGTERM, signal.SIG_IGN)
try:
    os.kill(-1, signal.SIGTERM)
except OSError:
    pass
"""
    result = box("python3", "-c", script, *(str(g) for g in groups))
    if tier == "landlock":
        assert "reached" not in result.out, result.describe()
    assert support.process_exists(victim.pid)


def test_what_can_be_seen(box, victim, tier):
    """The container tier has its own view. The landlock tier shares the host's, less what is
    private to a process."""
    pid = victim.pid
    script = f"ls /proc/{pid} >/dev/null 2>&1 && echo seen; cat /proc/{pid}/environ; ps ax"
    result = box("sh", "-c", script).ok()
    if tier == "container":
        assert not result.out.startswith("seen")
        assert len(result.out.splitlines()) < 10, result.out
    else:
        environment = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")[0].decode()
        assert environment not in result.out
        missing = {item["what"] for item in result.report["not_enforced"]}
        assert {"pid_view", "sysv_ipc"} <= missing


def test_coffers_own_processes_cannot_be_traced(probe, tier):
    """PID 1 of the container, or the parent of the command: init must not obey the box."""
    if tier != "container":
        pytest.skip("the container tier's PID 1; the other has the host's")
    found = probe("touch", "1")
    for name in ("attach", "seize", "vm-readv", "vm-writev", "memory", "environment", "root"):
        assert found[name] != "ok", (name, found)
    assert found["pidfd-getfd"] != "ok"


def test_the_parent_of_the_command_cannot_be_traced(box, probe_program, workspace):
    result = box("sh", "-c", f"{probe_program} touch $PPID").ok()
    found = dict(line.split(" ") for line in result.out.splitlines())
    for name in ("attach", "seize", "vm-readv", "vm-writev", "memory", "environment", "root"):
        assert found[name] != "ok", (name, found)


@pytest.mark.core
def test_nothing_above_the_command_can_be_touched(box, probe_program, tier):
    """The landlock tier's init, broker, keeper and supervisor have the same ids as the command."""
    if tier != "landlock":
        pytest.skip("the container tier has a PID namespace between them")
    script = """
import os, subprocess, sys
pid = os.getppid()
while pid > 1:
    name = open(f"/proc/{pid}/comm").read().strip()
    if name != "coffer":
        break
    out = subprocess.run([sys.argv[1], "touch", str(pid)], stdout=subprocess.PIPE, text=True).stdout
    found = dict(line.split(" ") for line in out.splitlines())
    for attempt in sorted(name for name, result in found.items() if result == "ok"):
        print("reached", attempt)
    print("above")
    pid = int(next(l for l in open(f"/proc/{pid}/status") if l.startswith("PPid")).split()[1])
"""
    result = box("python3", "-c", script, probe_program).ok()
    assert result.out.count("above") == 4, result.describe()
    assert not set(result.out.split()) - {"above", "reached", "pidfd"}, result.describe()


def test_system_v_memory_of_the_host(box, tier, outside):
    """The container tier has its own; the landlock tier says that it has not."""
    support.need_program("ipcmk", "ipcrm")
    made = subprocess.run(["ipcmk", "-M", "4096"], check=True, capture_output=True, text=True)
    number = made.stdout.split()[-1]
    try:
        result = box("ipcs", "-m").ok()
        if tier == "container":
            assert number not in result.out.split()
        else:
            assert "sysv_ipc" in {item["what"] for item in result.report["not_enforced"]}
    finally:
        subprocess.run(["ipcrm", "-m", number], check=True)


def test_own_processes_obey(box):
    """The allowed side: signals, job control and process groups among the box's own."""
    script = """
        sleep 100 & p=$!; kill -STOP $p; kill -CONT $p; kill $p; wait $p; echo $?
        setsid sleep 100 & sleep 0.1; pkill -x sleep; renice 19 $$ >/dev/null; echo ok"""
    started = time.monotonic()
    assert box("bash", "-c", script).ok().out == "143\nok\n"
    assert time.monotonic() - started < 20 * support.SLOWDOWN
