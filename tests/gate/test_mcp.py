"""`coffer mcp`, driven by a client that is made with the protocol's own SDK, and by hand where the
point is what no proper client sends."""

import contextlib
import fcntl
import json
import os
import pty
import select
import shutil
import subprocess
import tempfile
import termios
import time
from pathlib import Path

import pytest
from session_client import Session

import support

CLIENT = Path(__file__).resolve().parent / "mcp_client"
TOOLS = {"execute", "read", "write", "list", "diff", "explain"}
VERSIONS = ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"]


def install_client():
    """The client beside its packages, which are fetched once for each lock file."""
    support.need_program("node", "npm")
    lock = (CLIENT / "package-lock.json").read_bytes()
    place = Path(tempfile.gettempdir()) / f"coffer-mcp-client-{os.getuid()}"
    place.mkdir(mode=0o700, exist_ok=True)
    if place.stat().st_uid != os.getuid():
        pytest.skip(f"{place} belongs to somebody else")
    with open(place / "lock", "w", encoding="utf-8") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        done = place / "installed"
        if not done.exists() or done.read_bytes() != lock:
            for name in ["package.json", "package-lock.json"]:
                shutil.copy(CLIENT / name, place / name)
            try:
                npm = subprocess.run(
                    ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
                    + ["--loglevel=error"],
                    cwd=place,
                    capture_output=True,
                    text=True,
                    timeout=50,
                    check=False,
                )
            except subprocess.TimeoutExpired:
                pytest.skip("npm does not reach its registry in time")
            if npm.returncode != 0:
                pytest.skip(f"npm could not fetch the client's packages: {npm.stderr[-200:]}")
            done.write_bytes(lock)
        shutil.copy(CLIENT / "client.mjs", place / "client.mjs")
    return place / "client.mjs"


@pytest.fixture(scope="module")
def client():
    return install_client()


@pytest.fixture
def drive(client, workspace, gate_environment):
    """Runs steps through the SDK's client; what came of each."""

    def run(steps, flags=(), elicit=None):
        plan = {
            "command": [str(support.COFFER), "mcp", *flags],
            "cwd": str(workspace),
            "env": gate_environment,
            "elicit": elicit,
            "steps": steps,
        }
        done = subprocess.run(
            ["node", client],
            input=json.dumps(plan),
            capture_output=True,
            text=True,
            timeout=40 * support.SLOWDOWN,
            check=False,
            start_new_session=True,
        )
        assert done.returncode == 0, done.stderr
        outcomes = [json.loads(line) for line in done.stdout.splitlines()]
        assert len(outcomes) == len(steps), done.stderr
        return [outcome.get("result", outcome) for outcome in outcomes]

    return run


def call(name, **arguments):
    return {"do": "call", "name": name, "arguments": arguments}


def said(result):
    return result["content"][0]["text"]


def test_every_tool(drive, workspace):
    about, _, tools, write, read, listing, diff, run, explain, policy, report = drive(
        [
            {"do": "about"},
            {"do": "ping"},
            {"do": "tools"},
            call("write", path="src/new.txt", content="héllo\n"),
            call("read", path="src/new.txt"),
            call("list", path="src"),
            call("diff"),
            call("execute", command="cat src/new.txt; echo oops >&2; exit 3"),
            call("explain", report="last"),
            {"do": "resource", "uri": "coffer://policy"},
            {"do": "resource", "uri": "coffer://report/last"},
        ]
    )
    assert about["version"]["name"] == "coffer"
    assert {"tools", "resources", "logging"} <= set(about["capabilities"])
    assert "box" in about["instructions"]
    assert {tool["name"] for tool in tools["tools"]} == TOOLS
    by_name = {tool["name"]: tool for tool in tools["tools"]}
    assert by_name["read"]["annotations"]["readOnlyHint"]
    assert by_name["execute"]["annotations"]["openWorldHint"]
    assert by_name["execute"]["inputSchema"]["required"] == ["command"]
    assert not write["isError"] and (workspace / "src" / "new.txt").read_text() == "héllo\n"
    assert said(read) == "héllo\n" and read["structuredContent"]["size_bytes"] == 7
    assert {entry["name"] for entry in listing["structuredContent"]["entries"]} == {
        "main.c",
        "new.txt",
    }
    assert "+héllo" in said(diff)
    assert run["isError"] and said(run) == "héllo\n--- stderr\noops\n[exit 3]\n"
    assert run["structuredContent"]["exit"] == 3
    assert not explain["isError"]
    in_force = json.loads(policy["contents"][0]["text"])
    assert in_force["mode"] == "workspace-write" and in_force["workspace"] == str(workspace)
    assert json.loads(report["contents"][0]["text"])["cause"] == "exited"


def test_output_is_progress(drive):
    (result,) = drive([call("execute", command="echo one; sleep 0.3; echo two")])
    messages = "".join(event["message"] for event in result["progress"])
    assert "one\n" in messages and "two\n" in messages
    counts = [event["progress"] for event in result["progress"]]
    assert counts == sorted(set(counts))


def test_a_cancelled_call_ends_with_its_box(drive, workspace):
    mark = workspace / "mark"
    cancelled, after = drive(
        [
            {
                "do": "cancel",
                "name": "execute",
                "arguments": {"command": f"echo ready; sleep 1; touch {mark}"},
                "at": "ready",
            },
            call("execute", command="sleep 1.2; echo still here"),
        ]
    )
    assert cancelled["cancelled"], cancelled
    assert said(after) == "still here\n"
    assert not mark.exists()


def test_an_approval_by_elicitation(drive, outside):
    ask = call(
        "execute",
        command=f"echo yes > {outside}/made",
        asks={"write": [str(outside)]},
        justification="the result belongs there",
    )
    first, second, asked = drive(
        [ask, ask, {"do": "asked"}],
        elicit=[
            {"action": "accept", "content": {"decision": "once"}},
            {"action": "accept", "content": {"decision": "no", "reason": "enough"}},
        ],
    )
    assert not first["isError"], first
    assert (outside / "made").read_text() == "yes\n"
    assert second["isError"] and "enough" in said(second)
    assert len(asked) == 2
    assert str(outside) in asked[0]["message"]
    assert "the result belongs there" in asked[0]["message"]
    decision = asked[0]["requestedSchema"]["properties"]["decision"]
    assert {"once", "session", "no", "stop"} <= set(decision["enum"])


def test_a_question_shows_what_is_not_seen(drive, outside):
    """Tags, fillers and marks without a width of their own do not hide in it."""
    hidden = "\u3164\U000e0041\u0301\u202e"
    *_, asked = drive(
        [
            call("execute", command=f"cat # {hidden}", asks={"write": [str(outside)]}, stdin="in"),
            {"do": "asked"},
        ],
        elicit=[{"action": "decline"}],
    )
    message = asked[0]["message"]
    assert not set(hidden) & set(message) and "\\u{e0041}" in message
    assert "Its input: in" in message


@pytest.mark.parametrize(
    "answer",
    [
        {"action": "decline"},
        {"action": "cancel"},
        {"action": "accept", "content": {"decision": "yes, whatever"}},
        {"action": "accept", "content": {}},
    ],
)
def test_a_refused_approval(drive, outside, answer):
    (result,) = drive(
        [call("execute", command=f"touch {outside}/made", asks={"write": [str(outside)]})],
        elicit=[answer],
    )
    assert result["isError"] and "refused" in said(result)
    assert not (outside / "made").exists()


def test_an_answer_for_the_session_holds(drive, outside):
    ask = call("execute", command=f"date >> {outside}/made", asks={"write": [str(outside)]})
    first, second, asked = drive(
        [ask, ask, {"do": "asked"}],
        elicit=[{"action": "accept", "content": {"decision": "session"}}],
    )
    assert not first["isError"] and not second["isError"], second
    assert len(asked) == 1


def test_nobody_to_ask_is_a_refusal(drive, outside):
    (result,) = drive(
        [call("execute", command=f"touch {outside}/made", asks={"write": [str(outside)]})]
    )
    assert result["isError"] and "refused" in said(result)
    assert not (outside / "made").exists()


def test_what_a_model_gets_wrong_is_told_to_it(drive):
    wrong, unknown_report, unknown_tool = drive(
        [
            call("execute", comand="true"),
            call("explain", report="r99"),
            call("launch", command="true"),
        ]
    )
    assert wrong["isError"] and "did you mean 'command'" in said(wrong)
    assert unknown_report["isError"]
    assert unknown_tool["error"]["code"] == -32602


# By hand.


def initialize(host, version="2025-11-25"):
    result = host.call(
        "initialize",
        protocolVersion=version,
        capabilities={},
        clientInfo={"name": "by hand", "version": "1"},
    )
    host.send_raw(b'{"jsonrpc":"2.0","method":"notifications/initialized"}\n')
    return result


@pytest.fixture
def host(workspace, gate_environment):
    with contextlib.closing(Session(cwd=workspace, env=gate_environment, verb="mcp")) as session:
        yield session


@pytest.mark.parametrize("version", [*VERSIONS, "1999-01-01", "2099-01-01"])
def test_versions(host, version):
    result = initialize(host, version)
    assert result["protocolVersion"] == (version if version in VERSIONS else VERSIONS[-1])


def test_garbage_on_the_wire(host):
    initialize(host)
    for garbage, code in [
        (b"{", -32700),
        (b"\xff\xfe\n", -32700),
        (b"[]", -32600),
        (b'[{"jsonrpc":"2.0","id":9,"method":"ping"}]', -32600),
        (b"17", -32600),
        (b'{"jsonrpc":"1.0","id":1,"method":"ping"}', -32600),
        (b'{"jsonrpc":"2.0","id":{},"method":"ping"}', -32600),
        (b'{"jsonrpc":"2.0","id":"x","method":"ping","method":"ping"}', -32700),
        (b'"' + b"x" * (17 << 20) + b'"', -32600),
    ]:
        host.send_raw(garbage.rstrip(b"\n") + b"\n")
        answer = host.unclaimed.get(timeout=10 * support.SLOWDOWN)
        assert answer["error"]["code"] == code, garbage[:60]
    host.send_raw(b"\n  \r\n")
    with pytest.raises(Exception, match="there is no method"):
        host.call("tools/destroy")
    assert host.call("ping") == {}


def test_nothing_runs_before_initialize(host):
    with pytest.raises(Exception, match="initialize"):
        host.call("tools/call", name="execute", arguments={"command": "true"})


@pytest.mark.parametrize(("key", "made"), [(b"y", True), (b"n", False)])
def test_a_question_on_the_terminal(workspace, gate_environment, outside, key, made):
    """A client without elicitation, started from a terminal: the person there is asked."""
    master, slave = pty.openpty()

    def take_terminal():
        fcntl.ioctl(slave, termios.TIOCSCTTY, 0)

    session = Session(
        cwd=workspace,
        env={**gate_environment, "TERM": "xterm"},
        verb="mcp",
        pass_fds=[slave],
        preexec_fn=take_terminal,
    )
    os.close(slave)
    with contextlib.closing(session):
        initialize(session)
        arguments = {"command": f"touch {outside}/made", "asks": {"write": [str(outside)]}}
        pending = session.begin("tools/call", name="execute", arguments=arguments)
        shown = b""
        while str(outside).encode() not in shown:
            ready, _, _ = select.select([master], [], [], 20 * support.SLOWDOWN)
            assert ready, shown
            shown += os.read(master, 4096)
        # Until all is shown, and a key can be meant for it.
        while select.select([master], [], [], 0.5 * support.SLOWDOWN)[0]:
            shown += os.read(master, 4096)
        os.write(master, key)
        result = pending.wait()
    os.close(master)
    assert result["isError"] is not made, (result, shown)
    assert (outside / "made").exists() is made


def test_the_end_of_the_client_ends_all(host, workspace):
    initialize(host)
    command = "touch began; sleep 1; touch ended"
    host.begin("tools/call", name="execute", arguments={"command": command})
    support.wait_until((workspace / "began").exists, what="the command's start")
    started = time.monotonic()
    assert host.close() == 0
    assert time.monotonic() - started < 2 * support.SLOWDOWN
    time.sleep(1)
    assert not (workspace / "ended").exists()
