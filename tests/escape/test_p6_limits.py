"""P6: limits hold; a fork bomb or a filler of memory or disk harms only its box."""

import ctypes
import errno
import json
import os
import resource
import subprocess
import time

import pytest
import support
from support import TIMED_OUT

pytestmark = pytest.mark.limits

MIB = 1 << 20


@pytest.mark.core
def test_memory(box):
    code = "blocks = []\nwhile True: blocks.append(bytearray(b'x') * (8 << 20))"
    result = box("python3", "-c", code, flags=["--limit", "memory=128M"])
    assert result.cause == "out_of_memory", result.describe()
    assert result.code == 137, result.describe()
    code = "print(len(bytearray(b'x') * (32 << 20)))"
    assert box("python3", "-c", code, flags=["--limit", "memory=128M"]).ok().out == "33554432\n"


@pytest.mark.parametrize("way", ["memfd", "children", "shm"])
def test_memory_that_is_no_heap(box, way, tier):
    """Of memory files, of many children, of shared memory: it counts as well."""
    if way == "shm" and tier == "landlock":
        pytest.skip("the landlock tier has no /dev/shm of its own: nothing can be written there")
    code = {
        "memfd": """
import os, time
fds = [os.memfd_create("x") for _ in range(8)]
block = b"x" * (8 << 20)
for _ in range(8):
    for fd in fds:
        os.write(fd, block)
time.sleep(5)""",
        "children": """
import os, time
for _ in range(20):
    if os.fork() == 0:
        block = bytearray(b"x") * (24 << 20)
        time.sleep(10)
        os._exit(0)
time.sleep(10)""",
        "shm": """
import time
with open("/dev/shm/x", "wb") as f:
    for _ in range(64):
        f.write(b"x" * (8 << 20))
time.sleep(5)
print("survived")""",
    }[way]
    result = box("python3", "-c", code, flags=["--limit", "memory=128M"])
    assert result.code != 0, result.describe()
    if way != "shm":
        assert result.cause == "out_of_memory", result.describe()


BOMB = """
import os, time
children = 0
try:
    while children < 2000:
        if os.fork() == 0:
            time.sleep(20)
            os._exit(0)
        children += 1
except OSError as e:
    print(e.errno)
print(children)"""


@pytest.mark.core
def test_processes(box):
    result = box("python3", "-c", BOMB, flags=["--limit", "pids=60"]).ok()
    errno, children = map(int, result.out.split())
    assert errno == 11, result.describe()
    assert children <= 60
    assert children >= 20


def test_a_fork_bomb_ends_with_its_box(box):
    result = box("bash", "-c", "f() { f | f & }; f; sleep 2",
                 flags=["--limit", "pids=100,time=3s,grace=100ms"])
    assert result.seconds < 15 * support.SLOWDOWN
    started = time.monotonic()
    assert os.system("true") == 0
    assert time.monotonic() - started < 2 * support.SLOWDOWN


def test_a_pids_limit_is_on_by_default(box):
    result = box("sh", "-c", "ulimit -u; cat /proc/self/limits | grep processes").ok()
    assert "unlimited" not in result.out


@pytest.mark.core
def test_time_with_a_command_that_ignores_it(box):
    script = "trap '' TERM INT HUP; echo begun; while :; do sleep 0.1; done"
    result = box("bash", "-c", script, flags=["--limit", "time=1s,grace=300ms"])
    assert result.code == TIMED_OUT, result.describe()
    assert result.cause == "timed_out"
    assert result.out == "begun\n"
    assert 1 <= result.seconds < 10 * support.SLOWDOWN


def test_time_with_a_command_that_obeys(box):
    script = "trap 'echo ended; exit 0' TERM; echo begun; while :; do sleep 0.05; done"
    result = box("bash", "-c", script, flags=["--limit", "time=1s,grace=5s"])
    assert result.code == TIMED_OUT, result.describe()
    assert result.out == "begun\nended\n"


def test_open_files(box):
    code = """
import os
fds = []
try:
    while len(fds) < 5000:
        fds.append(os.open("/dev/null", os.O_RDONLY))
except OSError as e:
    print(e.errno)
print(len(fds))"""
    result = box("python3", "-c", code, flags=["--limit", "files=64"]).ok()
    errno, count = map(int, result.out.split())
    assert errno == 24
    assert 32 <= count <= 64


def test_limits_cannot_be_raised(box):
    code = """
import resource
for name in ("NOFILE", "NPROC", "CORE"):
    number = getattr(resource, "RLIMIT_" + name)
    soft, hard = resource.getrlimit(number)
    if hard != resource.RLIM_INFINITY:
        try:
            resource.setrlimit(number, (hard + 1, hard + 1)); print("raised", name)
        except (ValueError, OSError):
            pass"""
    assert box("python3", "-c", code, flags=["--limit", "files=64,pids=50"]).ok().out == ""


def test_output(box):
    """A flood is counted, its head and its tail are kept, and the box's memory is not ours."""
    code = """
import sys
sys.stdout.write("head\\n")
for _ in range(64):
    sys.stdout.write("x" * 1000000)
sys.stdout.write("\\ntail\\n")"""
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    result = box("python3", "-c", code, flags=["--capture", "--limit", "output=64K"])
    kept = result.report["stdout"]
    assert len(kept) <= 70 * 1024
    if result.code == 0:
        assert kept.startswith("head\n")
        assert kept.endswith("\ntail\n")
        assert result.report["usage"]["stdout_dropped_bytes"] > 60_000_000
    after = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    assert after - before < 64 * 1024
    small = box("echo", "hello", flags=["--capture", "--limit", "output=64K"]).ok()
    assert small.report["stdout"] == "hello\n"
    assert small.report["usage"]["stdout_dropped_bytes"] == 0


FILL = """
import os, sys
path, size = sys.argv[1], int(sys.argv[2])
written = 0
try:
    with open(path, "wb", buffering=0) as f:
        while written < size:
            written += f.write(b"x" * (1 << 20))
except OSError as e:
    print(e.errno)
print(written >> 20)"""


def test_the_private_tmp(box, tier):
    """The landlock tier's is a directory on disk, which is metered and not limited by itself."""
    if tier != "container":
        pytest.skip("the landlock tier has no /tmp of its own")
    result = box("python3", "-c", FILL, "/tmp/file", str(64 * MIB), flags=["--limit", "tmp=16M"])
    errno, written = map(int, result.ok().out.split())
    assert errno == 28
    assert 12 <= written <= 16
    free = box("python3", "-c", FILL, "/tmp/file", str(8 * MIB), flags=["--limit", "tmp=16M"])
    assert free.ok().out == "8\n"


def test_disk(box, workspace):
    """On a root that is shared with the host: metered, and the run ended."""
    code = FILL + "\nimport time\ntime.sleep(3)"
    flags = ["--limit", "disk=16M"]
    result = box("python3", "-c", code, "src/big", str(400 * MIB), flags=flags)
    assert result.seconds < 15 * support.SLOWDOWN
    assert result.code != 0 or "27" in result.out or "28" in result.out, result.describe()
    assert box("python3", "-c", FILL, "src/small", str(4 * MIB), flags=flags).ok().out == "4\n"


def strict():
    """As an ordinary user its limit of CPU could not be had, which strict does not overlook."""
    return ["--profile", "strict", *([] if support.IS_ROOT else ["--limit", "cpu=none"])]


def test_the_layer_of_strict(run_coffer, tier, workspace):
    if tier != "container":
        pytest.skip("strict refuses this tier")
    for path in ("/workspace/big", "/tmp/big"):
        result = run_coffer("run", *strict(), "--", "python3", "-c", FILL, path, str(150 * MIB),
                            cwd=workspace).ok()
        errno, written = map(int, result.report["stdout"].split())
        assert errno in (27, 28), result.describe()
        assert 50 <= written <= 100, result.describe()
    small = run_coffer("run", *strict(), "--", "sh", "-c", "echo x >made && cat made README",
                       cwd=workspace).ok()
    assert small.report["stdout"] == "x\na file\n"
    assert not (workspace / "made").exists()


def test_strict_is_refused_on_the_landlock_tier(run_coffer, workspace):
    result = run_coffer("run", "--isolation", "landlock", *strict(), "--", "touch", "ran",
                        cwd=workspace)
    assert result.code == support.SETUP_FAILED, result.describe()
    assert not (workspace / "ran").exists()


LEASE = """
import fcntl, sys
for path in sys.argv[1:]:
    with open(path) as f:
        try:
            fcntl.fcntl(f, fcntl.F_SETLEASE, fcntl.F_RDLCK)
            print("leased", path)
        except OSError as e:
            print(e.errno)
with open("own", "w") as f:
    fcntl.flock(f, fcntl.LOCK_EX)
    fcntl.lockf(f, fcntl.LOCK_EX)
    flags = fcntl.fcntl(f, fcntl.F_GETFL)
    print(fcntl.fcntl(f, fcntl.F_SETFL, flags))
"""


@pytest.mark.core
def test_no_lease_holds_up_the_host(box, outside):
    """Who opens a leased file for writing waits until it is broken: 45 seconds by default."""
    result = box("/usr/bin/python3", "-c", LEASE, outside / "sentinel", "README").ok()
    assert result.out == f"{errno.EPERM}\n{errno.EPERM}\n0\n", result.describe()


EXHAUST = """
import ctypes, os
libc = ctypes.CDLL(None)
watchers = 0
while watchers < 2000 and libc.inotify_init1(0) >= 0:
    watchers += 1
terminals = []
while len(terminals) < 600:
    try:
        terminals.append(os.open("/dev/ptmx", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        break
print(watchers, len(terminals), flush=True)
input()
"""


@pytest.mark.core
def test_what_is_counted_by_user_is_not_used_up(coffer, tier, workspace):
    """Watchers of files and terminals: some for the box, and some left for the user."""
    if tier == "landlock":
        pytest.skip("this tier has no user namespace, whose limits these are")
    process = subprocess.Popen(
        [coffer, "run", "--quiet", "--isolation", tier, "--limit", "files=4096"]
        + ["--", "/usr/bin/python3", "-c", EXHAUST],
        cwd=workspace,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    watchers, terminals = map(int, process.stdout.readline().split())
    own = ctypes.CDLL(None).inotify_init1(0)
    process.communicate(b"\n")
    assert 8 <= watchers <= 64
    assert 8 <= terminals <= 256
    assert own >= 0
    os.close(own)


def test_what_metering_does_not_see_is_told(box):
    result = box("true", flags=["--limit", "memory=256M"]).ok()
    told = "through a socket are not counted" in json.dumps(result.report["notes"])
    assert told or "control group" in result.report["enforced"], result.describe()
