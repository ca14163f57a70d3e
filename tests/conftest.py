"""Fixtures of the suites that run the built binary.

    coffer          the path of the binary (COFFER, or build/coffer)
    run_coffer      runs it: run_coffer("run", "--mode", "read-only", "--", "true") -> Result
    tier            "container" and "landlock", one after the other, where this host has them
    box             runs a command on that tier in the workspace: box("sh", "-c", "…")
    workspace       a git repository of this user's, below the home
    tmp_workspace   the same below /tmp
    outside         a directory of this user's that no box may write
    cc              compiles C: cc("int main...", directory) -> path of a static program
    tcp_listener, udp_listener, unix_listener, abstract_listener
                    a server of the host's that counts who reached it
    victim          a process of the host's

Where a test goes is said by its marker: `core` ones run on the second kernel too.
"""

import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))
import support  # noqa: E402

MUST_RUN = os.environ.get("COFFER_MUST_RUN") == "1"
TIERS = os.environ.get("COFFER_TIERS", "container,landlock").split(",")
TEST_TIMEOUT_S = 60


# The run: which tiers, how long, and what came of it.


def pytest_generate_tests(metafunc):
    if "tier" in metafunc.fixturenames:
        metafunc.parametrize("tier", TIERS, indirect=True)


@pytest.fixture
def tier(request):
    available, reason = support.tier_available(request.param)
    if not available:
        pytest.skip(f"{request.param} tier: {reason}")
    return request.param


@pytest.fixture(autouse=True)
def _time_limit(request):
    """A test that hangs fails; the run goes on."""
    marker = request.node.get_closest_marker("timeout")
    seconds = (marker.args[0] if marker else TEST_TIMEOUT_S) * support.SLOWDOWN

    def expired(_signal, _frame):
        raise TimeoutError(f"the test took more than {seconds} s")

    before = signal.signal(signal.SIGALRM, expired)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    report = (yield).get_result()
    if report.skipped and MUST_RUN:
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid}: {reason} (COFFER_MUST_RUN=1: a skip is a failure)"
    params = getattr(item, "callspec", None)
    report.tier = params.params.get("tier", "") if params else ""


_results = None
_seen = {}


def pytest_configure(config):
    global _results
    where = os.environ.get("COFFER_RESULTS", "")
    if where.startswith("fd:"):
        _results = os.fdopen(int(where.removeprefix("fd:")), "w", encoding="utf-8", buffering=1)
    elif where:
        _results = open(where, "a", encoding="utf-8", buffering=1)


def pytest_runtest_logreport(report):
    """One line of JSON for each test, for tests/run: written once its last phase is over, so that
    a failed tear-down turns a pass into a failure."""
    worst = {"passed": 0, "skipped": 1, "failed": 2}
    kept = _seen.get(report.nodeid)
    if kept is None or worst[report.outcome] > worst[kept["outcome"]]:
        reason = ""
        if report.skipped and isinstance(report.longrepr, tuple):
            reason = report.longrepr[2].removeprefix("Skipped: ")
        kept = {
            "id": report.nodeid,
            "tier": getattr(report, "tier", ""),
            "outcome": report.outcome,
            "reason": reason,
        }
        _seen[report.nodeid] = kept
    if report.when == "teardown" and _results:
        _results.write("@result " + json.dumps(_seen.pop(report.nodeid)) + "\n")


# What tests use.


@pytest.fixture
def coffer():
    assert support.COFFER.exists(), f"{support.COFFER} is not built"
    return support.COFFER


@pytest.fixture
def run_coffer(coffer):
    return support.run_coffer


@pytest.fixture
def box(run_coffer, tier, workspace):
    """coffer run on the tier under test, in the workspace unless cwd says otherwise."""

    def run(*command, flags=(), cwd=workspace, **keywords):
        return run_coffer("run", "--isolation", tier, *flags, "--", *command, cwd=cwd, **keywords)

    return run


@pytest.fixture
def home_directory():
    directory = support.make_home_directory()
    yield directory
    support.remove_tree(directory)


@pytest.fixture
def workspace(home_directory):
    return support.make_repository(home_directory / "workspace")


@pytest.fixture
def tmp_workspace():
    directory = support.make_home_directory("/tmp")
    yield support.make_repository(directory / "workspace")
    support.remove_tree(directory)


@pytest.fixture
def outside(home_directory):
    """With one file in it: outside/sentinel, which says "untouched"."""
    directory = home_directory / "outside"
    directory.mkdir()
    (directory / "sentinel").write_text("untouched\n")
    return directory


@pytest.fixture
def cc():
    def compile_program(source, directory, name="program", flags=()):
        path = Path(directory) / name
        code = path.with_suffix(".c")
        code.write_text(source)
        subprocess.run(
            ["gcc", "-O1", "-Wall", "-D_GNU_SOURCE", "-static", "-pthread", *flags]
            + ["-o", str(path), str(code)],
            check=True,
            capture_output=True,
            text=True,
        )
        return path

    return compile_program


@dataclass
class Listener:
    """A server of the host's. It answers whoever comes with "hello from the host"."""

    address: object
    received: list = field(default_factory=list)

    @property
    def reached(self):
        return bool(self.received)

    @property
    def port(self):
        return self.address[1]


def _serve(family, kind, address):
    server = socket.socket(family, kind | socket.SOCK_CLOEXEC)
    server.bind(address)
    if kind == socket.SOCK_STREAM:
        server.listen()
    server.settimeout(0.1)
    listener = Listener(server.getsockname())
    stop = threading.Event()

    def loop():
        while not stop.is_set():
            try:
                if kind == socket.SOCK_STREAM:
                    peer, _ = server.accept()
                    listener.received.append("connection")
                    peer.sendall(b"hello from the host\n")
                    peer.close()
                else:
                    data, peer = server.recvfrom(4096)
                    listener.received.append(data)
                    if peer:
                        server.sendto(b"hello from the host\n", peer)
            except OSError:
                continue

    thread = threading.Thread(target=loop, daemon=True)
    thread.start()
    yield listener
    stop.set()
    thread.join()
    server.close()


@pytest.fixture
def tcp_listener():
    yield from _serve(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 0))


@pytest.fixture
def udp_listener():
    yield from _serve(socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", 0))


@pytest.fixture
def unix_listener(home_directory):
    """At a path below the home, outside the workspace."""
    yield from _serve(socket.AF_UNIX, socket.SOCK_STREAM, str(home_directory / "host.sock"))


@pytest.fixture
def abstract_listener():
    name = f"\0coffer-test-{os.getpid()}-{random.getrandbits(32):08x}"
    yield from _serve(socket.AF_UNIX, socket.SOCK_STREAM, name)


@pytest.fixture
def victim():
    """A process of the host's that a box must not see, signal or trace."""
    process = subprocess.Popen(["sleep", "600"], stdin=subprocess.DEVNULL)
    time.sleep(0.01)
    yield process
    process.kill()
    process.wait()
