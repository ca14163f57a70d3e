"""What leaves a strict or cloud box, as output or in the report: box paths for host paths, no
secrets, no control sequences but on a terminal; binary data byte for byte."""

import io
import json
import os
import pty
import select
import signal
import tarfile
import time

import pytest
import support

KEY = "ghp_0123456789abcdefghijABCDEFGHIJ012345"


@pytest.fixture
def locked(run_coffer, workspace):
    available, reason = support.tier_available("container")
    if not available:
        pytest.skip(reason)

    def run(profile, *command, flags=(), **keywords):
        limits = [] if support.IS_ROOT else ["--limit", "cpu=none"]
        net = ["--net", "off"] if profile == "cloud" else []
        return run_coffer(
            "run", "--profile", profile, *net, *limits, *flags, "--", *command,
            cwd=workspace, **keywords,
        )  # fmt: skip

    return run


def test_paths_of_the_host_are_those_of_the_box(locked, workspace):
    (workspace / "log").write_text(f"{workspace}/a.c:1: {workspace}2 in {workspace}.\n")
    result = locked("cloud", "sh", "-c", "cat log; cat log >&2; pwd").ok()
    lines = result.out.splitlines()
    assert lines[0].startswith("/workspace/a.c:1: ") and lines[0].endswith(" in /workspace.")
    assert str(workspace) + "2" not in lines[0] or str(workspace).startswith("/root/")
    assert "/workspace/a.c:1:" in result.err
    assert lines[1] == "/workspace"
    assert result.report["sanitized"]["paths"] >= 4


@pytest.mark.parametrize("profile", ["strict", "cloud"])
def test_a_report_names_no_path_of_the_host(locked, workspace, profile):
    (workspace / "log").write_text(f"at {workspace}/x \033[31mred\033[0m {KEY}\n")
    result = locked(profile, "sh", "-c", "cat log; mkdir .git/x", flags=["--capture"])
    assert str(workspace) not in json.dumps(result.report)
    assert result.report["stdout"].startswith("at /workspace/x red [GitHub token]")
    counts = result.report["sanitized"]
    assert counts["recognized"] == 1 and counts["controls"] == 2 and counts["paths"] >= 1


def test_control_sequences_stay_inside(locked, workspace):
    text = "a\033[31mb\033]0;title\ac\033Pq\033\\d\be\n"
    (workspace / "log").write_text(text)
    result = locked("cloud", "cat", "log").ok()
    assert result.out == "abcde\n"
    assert result.report["sanitized"]["controls"] == 4
    assert locked("cloud", "cat", "log", flags=["--pass-controls"]).ok().out == text


def test_an_archive_comes_out_byte_for_byte(locked, workspace):
    data = os.urandom(300_000) + b"\033[31m" + str(workspace).encode() * 3
    (workspace / "data").write_bytes(data)
    assert locked("cloud", "cat", "data", binary=True).ok().out == data
    packed = locked("cloud", "tar", "cf", "-", "data", binary=True).ok().out
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        assert archive.extractfile("data").read() == data
    assert locked("cloud", "gzip", "-c", "data", binary=True).ok().out[:2] == b"\x1f\x8b"


def test_a_local_box_is_left_alone(run_coffer, workspace):
    (workspace / "log").write_text(f"{workspace}\033[31m {KEY}\n")
    result = run_coffer("run", "--", "cat", "log", cwd=workspace).ok()
    assert result.out == f"{workspace}\033[31m {KEY}\n"
    assert "sanitized" not in result.report


def test_many_lines_are_not_lost(locked, workspace):
    (workspace / "log").write_text("".join(f"{workspace}/{i:06}\n" for i in range(60000)))
    result = locked("cloud", "cat", "log").ok()
    assert result.out == "".join(f"/workspace/{i:06}\n" for i in range(60000))
    assert result.report["sanitized"]["paths"] >= 60000


def on_terminal(command, workspace, typed, until, seconds=20):
    """What a person at a terminal sees."""
    pid, master = pty.fork()
    if pid == 0:
        os.chdir(workspace)
        os.execv(command[0], command)
    seen = b""
    end = time.monotonic() + seconds * support.SLOWDOWN
    while time.monotonic() < end and until not in seen:
        if select.select([master], [], [], 0.2)[0]:
            try:
                piece = os.read(master, 4096)
            except OSError:
                break
            if not piece:
                break
            seen += piece
            if typed and b"ready" in seen:
                os.write(master, typed)
                typed = b""
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    os.close(master)
    return seen


def test_a_terminal_gets_what_displays_and_nothing_that_answers(coffer, locked, workspace):
    script = (
        r"printf 'ready \033[1mbold\033[0m \033[6n\033]0;title\007"
        r"\033]52;c;QUFB\007|\n'; read word; "
    )
    script += f"printf '%s in %s\\n' $word '{workspace}'; printf 'the e%s\\n' nd"
    (workspace / "script").write_text(script)
    limits = [] if support.IS_ROOT else ["--limit", "cpu=none"]
    command = [str(coffer), "run", "--profile", "cloud", "--net", "off", *limits, "--"]
    command += ["sh", "script"]
    seen = on_terminal(command, workspace, b"typed/word\n", b"the end")
    assert b"ready \033[1mbold\033[0m |" in seen, seen
    assert b"typed/word in /workspace\r\n" in seen and b"the end" in seen, seen
