"""What everybody who types `coffer run` relies on: exit codes, streams, the report."""

import signal
from pathlib import Path

import pytest
import support
from support import NOT_FOUND, REFUSED, SETUP_FAILED, TIMED_OUT

pytestmark = pytest.mark.core


def test_the_commands_own_exit_code(box):
    for code in (0, 1, 42, 255):
        result = box("sh", "-c", f"exit {code}")
        assert result.code == code, result.describe()
        assert result.cause == "exited"
        assert result.report["exit"]["code"] == code


def test_killed_by_a_signal(box):
    result = box("sh", "-c", "kill -TERM $$")
    assert result.code == 128 + signal.SIGTERM, result.describe()
    assert result.cause == "signaled"
    assert result.report["exit"]["signal"] == signal.SIGTERM


def test_command_not_found(box):
    result = box("no-such-program-anywhere")
    assert result.code == NOT_FOUND, result.describe()
    assert "no-such-program-anywhere" in result.err


def test_file_that_is_not_executable(box, workspace):
    (workspace / "plain").write_text("text\n")
    result = box("./plain")
    assert result.code == REFUSED, result.describe()


@pytest.mark.limits
def test_time_is_up(box):
    result = box("sleep", "100", flags=["--limit", "time=1s"])
    assert result.code == TIMED_OUT, result.describe()
    assert result.cause == "timed_out"
    assert result.seconds < 30


def test_unknown_flag_names_the_nearest(run_coffer):
    result = run_coffer("run", "--isolatoin", "auto", "--", "true")
    assert result.code == SETUP_FAILED, result.describe()
    assert "--isolation" in result.err
    assert result.out == ""


def test_streams_pass_through_as_they_are(box):
    data = bytes(range(256)) * 1000
    result = box("sh", "-c", "cat; echo other >&2", stdin=data, binary=True).ok()
    assert result.out == data
    assert b"other\n" in result.err


def test_the_report_names_the_tier(box, tier):
    assert box("true").ok().report["tier"] == tier


def test_workspace_is_writable_and_nothing_else(box, workspace, outside):
    box("sh", "-c", "echo made >made").ok()
    assert (workspace / "made").read_text() == "made\n"
    result = box("sh", "-c", f"echo changed >{outside}/sentinel")
    assert result.code != 0
    assert (outside / "sentinel").read_text() == "untouched\n"


def test_read_only_mode(box, workspace):
    result = box("sh", "-c", "cat README && echo changed >README", flags=["--mode", "read-only"])
    assert result.code != 0
    assert result.out == "a file\n"
    assert (workspace / "README").read_text() == "a file\n"


def test_no_network(box, tcp_listener):
    script = f"exec 3<>/dev/tcp/127.0.0.1/{tcp_listener.port} && cat <&3"
    assert box("bash", "-c", script).code != 0
    assert not tcp_listener.reached


PTRACE_SCOPE = Path("/proc/sys/kernel/yama/ptrace_scope")


@pytest.fixture
def ptrace_scope():
    """Sets Yama's for the time of a test."""
    support.need_root()
    if not support.ON_SECOND_KERNEL:
        pytest.skip("sets a sysctl: on the second kernel only")
    before = PTRACE_SCOPE.read_text()
    yield PTRACE_SCOPE.write_text
    PTRACE_SCOPE.write_text(before)


def test_where_no_broker_may_read_a_program(run_coffer, workspace, ptrace_scope):
    """The landlock tier says so and what to do, instead of refusing half of what a program does. (3
    could not be taken back.)"""
    run = ["run", "--isolation", "landlock", "--", "mkdir", "made"]
    ptrace_scope("2")
    refused = run_coffer(*run, cwd=workspace)
    assert refused.code == SETUP_FAILED, refused.describe()
    assert "ptrace_scope 2" in refused.err
    assert "sysctl -w kernel.yama.ptrace_scope=1" in refused.err
    assert not (workspace / "made").exists()
    assert "ptrace_scope is 2" in run_coffer("doctor", report=False).out
    ptrace_scope("1")
    run_coffer(*run, cwd=workspace).ok()
    assert (workspace / "made").is_dir()
