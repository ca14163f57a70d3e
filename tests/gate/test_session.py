"""`coffer session`: every method, by a host that speaks JSON-RPC 2.0 on a pipe."""

import base64
import contextlib
import importlib
import json
import os
import signal
import subprocess
import threading
import time

import pytest
from session_client import Failed, Session, text

import support

# A limit on how long the end of everything may take, on a machine that is busy.
SOON = 5
SCHEMA = json.loads((support.ROOT / "docs" / "session.schema.json").read_text())


@pytest.fixture
def open_session(workspace, gate_environment):
    """A session that was started in the workspace; closed at the end."""
    with contextlib.ExitStack() as stack:

        def start(*flags, answer=None, cwd=workspace, env=None, start=True, **params):
            session = Session(
                *flags, cwd=cwd, env={**gate_environment, **(env or {})}, answer=answer
            )
            stack.callback(validate_all, session)
            stack.callback(session.close)
            if start:
                session.started = session.start(**params)
            return session

        yield start


@pytest.fixture
def session(open_session):
    return open_session()


def validate_all(session):
    """All that coffer said fits docs/session.schema.json."""
    with contextlib.suppress(ImportError):
        validator = importlib.import_module("jsonschema").Draft202012Validator(SCHEMA)
        for direction, message in session.messages:
            for one in message if isinstance(message, list) else [message]:
                if direction == "coffer" and "output" not in one.get("method", ""):
                    validator.validate(one)


def fails(name, code=None):
    """The call fails with that stable word."""

    @contextlib.contextmanager
    def expect():
        with pytest.raises(Failed) as caught:
            yield caught
        assert caught.value.name == name, caught.value
        assert code is None or caught.value.code == code

    return expect()


# The life of a session.


def test_initialize_needs_no_session(open_session):
    session = open_session(start=False)
    about = session.call("initialize")
    assert about["name"] == "coffer" and about["protocol"] == 1
    assert "tool/exec" in about["methods"]


def test_start_tells_what_holds(session, workspace):
    started = session.started
    assert len(started["session"]) == 32
    policy = started["policy"]
    assert policy["mode"] == "workspace-write" and policy["approval"] == "on-request"
    assert policy["workspace"] == str(workspace) and policy["network"] == "off"
    assert str(workspace) in policy["writable_roots"]
    assert started["notices"] == [] and started["hooks_waiting"] == []


def test_what_the_host_asks_for_holds(open_session, workspace, outside):
    session = open_session(
        mode="read-only",
        approval="never",
        settings={"limit": "time=30s", "env": ["A=1", "B=2"], "hide-secrets": True},
    )
    assert session.started["policy"]["mode"] == "read-only"
    assert session.started["policy"]["approval"] == "never"
    assert session.started["policy"]["limits"]["time_ms"] == 30000
    assert text(session.run(["printenv", "A", "B"])["stdout"]) == "1\n2\n"


def test_flags_are_those_of_run(open_session, outside):
    session = open_session("--write", outside, "--approval", "never", "--limit=time=20s")
    assert session.run(f"touch {outside}/made")["exit"] == 0
    assert (outside / "made").exists()


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--wriet", "x"], "did you mean --write"),
        (["--approval", "sometimes"], "approval policy"),
        (["--mode"], "needs a value"),
        (["extra"], "no option"),
    ],
)
def test_flags_that_are_wrong(gate_environment, workspace, flags, said):
    done = subprocess.run(
        [support.COFFER, "session", *flags],
        cwd=workspace,
        env=gate_environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 125 and said in done.stderr


def test_a_start_that_fails_can_be_tried_again(open_session, workspace):
    session = open_session(start=False)
    with fails("no_session"):
        session.run("true")
    with fails("config") as caught:
        session.start(settings={"wirte": "/x"})
    assert "write" in caught.value.hint
    with fails("config"):
        session.start(directory=str(workspace / "nowhere"))
    with fails("invalid_params", -32602):
        session.start(mod="read-only")
    session.start()
    with fails("already_started"):
        session.start()


def test_stop_ends_the_process(session):
    assert session.call("session/stop", reason="done")["stopped"] is True
    assert session.process.wait(SOON * support.SLOWDOWN) == 0


def test_status(session):
    pending = session.begin("tool/exec", command="sleep 60", call="long")
    session.note("tool/started")
    status = session.call("session/status")
    assert status["started"] and status["calls"] == ["long"]
    session.call("tool/cancel", call="long")
    with fails("cancelled"):
        pending.wait()
    assert session.call("session/status")["calls"] == []


# Commands.


def test_exec(session, workspace):
    result = session.run("echo out; echo err >&2; exit 3")
    assert result["cause"] == "exited" and result["exit"] == 3
    assert text(result["stdout"]) == "out\n" and text(result["stderr"]) == "err\n"
    assert result["denials"] == [] and result["grants"] == []
    assert result["decision"]["decision"] == "allow"
    assert result["report"] == "r1" and result["usage"]["wall_ms"] > 0
    words = session.run(["printf", "%s|", "a b", "$HOME", "*"])
    assert text(words["stdout"]) == "a b|$HOME|*|"


def test_exec_where_and_with_what(session, workspace):
    assert text(session.run("pwd", directory="src")["stdout"]) == f"{workspace}/src\n"
    run = session.run("cat; printenv GREETING", stdin="in\n", environment={"GREETING": "hi you"})
    assert text(run["stdout"]) == "in\nhi you\n"
    data = bytes(range(256))
    echoed = session.run("cat", stdin_base64=base64.b64encode(data).decode())
    assert base64.b64decode(echoed["stdout"]["base64"]) == data


def test_how_commands_end(session):
    assert session.run(["/no/such/program"])["cause"] == "not_found"
    assert session.run("sleep 30", timeout_ms=200)["cause"] == "timed_out"
    killed = session.run("kill -9 $$")
    assert killed["cause"] == "signaled" and killed["signal"] == 9 and killed["exit"] == 137
    left = session.run("sleep 60 & echo done")
    assert left["exit"] == 0 and text(left["stdout"]) == "done\n"


def test_a_failure_has_its_trace(session, workspace):
    (workspace / "a.py").write_text("def f():\n    return {}['x']\n\nf()\n")
    failed = session.run(["/usr/bin/python3", "a.py"])
    failure = failed["trace"]["failures"][0]
    assert failure["kind"] == "KeyError" and failure["frames"][0]["file"] == "a.py"
    assert failure["frames"][0]["source"][1] == {"line": 2, "text": "    return {}['x']"}
    assert "trace" not in session.run("true")
    slow = session.run("sleep 30; :", timeout_ms=300)["trace"]
    assert slow["failures"][0]["kind"] == "timed_out"
    assert any(p["name"] == "sleep" for p in slow["processes"])


def test_output_streams_while_a_command_runs(session, workspace):
    pending = session.begin("tool/exec", command="echo one; while [ ! -e go ]; do sleep 0.05; done")
    assert session.note("tool/started")["request"] == pending.number
    output = session.note("tool/output")
    assert output["text"] == "one\n" and output["stream"] == "stdout"
    (workspace / "go").touch()
    pending.wait()


def test_characters_are_never_cut(session):
    session.run("for i in 1 2 3; do printf '\\303'; sleep 0.1; printf '\\251'; done")
    pieces = []
    while not session.notes.empty():
        note = session.notes.get()
        if note["method"] == "tool/output":
            pieces.append(note["params"]["text"])
    assert "".join(pieces) == "ééé"


def test_bytes_that_are_no_text(session):
    result = session.run("printf 'a\\377b\\0c'")
    assert base64.b64decode(result["stdout"]["base64"]) == b"a\xffb\0c"
    assert session.run("printf 'a\\0b'")["stdout"]["text"] == "a\0b"


def test_head_and_tail_of_long_output(session):
    result = session.run("seq 1 200000", output_limit_bytes=1000)
    kept = result["stdout"]
    assert kept["text"].startswith("1\n2\n") and kept["tail"]["text"].endswith("199999\n200000\n")
    assert len(kept["text"]) + len(kept["tail"]["text"]) + kept["dropped_bytes"] == kept["bytes"]
    assert kept["bytes"] == 1288895


def test_parameters_that_are_wrong(session):
    for params, said in [
        ({"command": []}, "command"),
        ({"command": [1]}, "command"),
        ({"command": ""}, "command"),
        ({"command": "a\0b"}, "command"),
        ({"comand": "true"}, "comand"),
        ({"command": "true", "timeout_ms": -1}, "timeout_ms"),
        ({"command": "true", "timeout_ms": 1.5}, "timeout_ms"),
        ({"command": "true", "environment": {"A": 1}}, "environment"),
        ({"command": "true", "environment": {"A=B": "1"}}, "environment"),
        ({"command": "true", "stdin_base64": "!"}, "base64"),
        ({"command": "true", "asks": {"wirte": ["/"]}}, "wirte"),
        ({"command": "true", "call": "x" * 100}, "call"),
        ({}, "command"),
    ]:
        with fails("invalid_params", -32602) as caught:
            session.call("tool/exec", **params)
        assert said in str(caught.value), params


# Many at once.


def test_twenty_commands_at_once(session, workspace):
    """Each waits for all the others: one after the other they would never end."""
    script = "touch at.{0}; while [ $(ls at.* | wc -l) -lt 20 ]; do sleep 0.05; done; echo {0}"
    pending = [session.begin("tool/exec", command=script.format(i)) for i in range(20)]
    assert [text(p.wait(40)["stdout"]) for p in pending] == [f"{i}\n" for i in range(20)]


def test_no_more_calls_than_allowed(session):
    pending = [session.begin("tool/exec", command="sleep 60", call=f"n{i}") for i in range(64)]
    with fails("too_many_calls"):
        session.run("true")
    for i in range(64):
        session.call("tool/cancel", call=f"n{i}")
    for one in pending:
        with fails("cancelled"):
            one.wait()
    assert session.run("true")["exit"] == 0


def test_a_cancelled_call_ends_with_its_box(session, workspace):
    pending = session.begin("tool/exec", command="echo ready; sleep 0.6; touch mark", call="it")
    session.note("tool/output")
    with fails("call_exists"):
        session.run("true", call="it")
    assert session.call("tool/cancel", call="it") == {"cancelled": True}
    with fails("cancelled"):
        pending.wait()
    with fails("unknown_call"):
        session.call("tool/cancel", call="it")
    time.sleep(0.7)
    assert not (workspace / "mark").exists()


def test_two_sessions_at_once(open_session, outside):
    one = open_session(answer=lambda _: {"decision": "session"})
    two = open_session(answer=lambda _: {"decision": "no"})
    ask = {"asks": {"write": [str(outside)]}}
    assert one.run(f"touch {outside}/one", **ask)["exit"] == 0
    assert two.run(f"touch {outside}/one", **ask)["cause"] == "refused"
    assert one.run(f"touch {outside}/one", **ask)["exit"] == 0
    assert len(one.questions) == 1 and len(two.questions) == 1


def children(pid):
    return [int(p) for p in support.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_a_call_that_is_killed_is_lost_alone(session, workspace):
    pending = session.begin("tool/exec", command="echo ready; sleep 0.6; touch mark")
    session.note("tool/output")
    (call,) = children(session.process.pid)
    os.kill(call, signal.SIGKILL)
    with fails("call_lost", -32603):
        pending.wait()
    assert session.run("echo on")["exit"] == 0
    time.sleep(0.7)
    assert not (workspace / "mark").exists()


# Approvals.


def asking(outside, **more):
    return {
        "command": f"echo made > {outside}/made",
        "asks": {"write": [str(outside)]},
        "justification": "it belongs there",
        **more,
    }


def test_yes_once(open_session, outside):
    session = open_session(answer=lambda _: {"decision": "once"})
    result = session.call("tool/exec", **asking(outside))
    assert result["exit"] == 0 and (outside / "made").read_text() == "made\n"
    assert result["settled"]["answer"] == "once" and result["settled"]["by"] == "host"
    assert {"kind": "write", "value": str(outside)} in result["grants"]
    request = session.questions[0]["params"]["request"]
    assert request["justification"] == "it belongs there"
    assert request["directory"] == session.started["policy"]["directory"]
    session.call("tool/exec", **asking(outside))
    assert len(session.questions) == 2


def test_the_box_is_widened_by_exactly_that(open_session, outside, home_directory):
    other = home_directory / "other"
    other.mkdir()
    session = open_session(answer=lambda _: {"decision": "once"})
    result = session.run(
        f"touch {outside}/made; touch {other}/made; touch here",
        asks={"write": [str(outside)]},
    )
    assert result["exit"] == 0 and (outside / "made").exists()
    assert not (other / "made").exists()
    assert session.run(f"touch {outside}/again")["exit"] != 0


def test_writing_is_granted_in_read_only_mode_too(open_session, outside, workspace):
    session = open_session(mode="read-only", answer=lambda _: {"decision": "once"})
    session.run(f"touch {outside}/made; touch here", asks={"write": [str(outside)]})
    assert (outside / "made").exists()
    assert not (workspace / "here").exists()


def test_no_with_a_reason(open_session, outside):
    session = open_session(answer=lambda _: {"decision": "no", "reason": "use the cache"})
    result = session.call("tool/exec", **asking(outside))
    assert result["cause"] == "refused" and result["exit"] == 126
    assert "use the cache" in result["reason"] and result["refused_by"] == "host"
    assert session.note("tool/refused")["reason"] == result["reason"]
    assert not (outside / "made").exists()


def test_yes_for_the_session(open_session, outside):
    session = open_session(answer=lambda _: {"decision": "session"})
    assert session.call("tool/exec", **asking(outside))["exit"] == 0
    again = session.call("tool/exec", **asking(outside))
    assert again["exit"] == 0 and len(session.questions) == 1
    other = session.run(f"touch {outside}/other", asks={"write": [str(outside)]})
    assert other["exit"] == 0 and len(session.questions) == 2


def test_an_answer_for_the_session_serves_those_who_wait(open_session, outside):
    session = open_session(answer=lambda _: None)
    pending = [session.begin("tool/exec", call=f"n{i}", **asking(outside)) for i in range(3)]
    support.wait_until(lambda: len(session.questions) == 3, 20, "the questions")
    answered = session.questions[1]
    session.reply(answered, {"decision": "session"})
    assert [one.wait()["exit"] for one in pending] == [0, 0, 0]
    withdrawn = {session.note("approval/withdrawn")["id"] for _ in range(2)}
    assert withdrawn == {q["id"] for q in session.questions} - {answered["id"]}
    assert session.call("tool/exec", **asking(outside))["exit"] == 0
    assert len(session.questions) == 3


def test_an_edited_command_is_decided_anew(open_session, outside):
    answers = [
        {"decision": "edit", "command": ["sh", "-c", f"echo edited > {outside}/made"]},
        {"decision": "once"},
    ]
    session = open_session(answer=lambda _: answers.pop(0))
    result = session.call("tool/exec", **asking(outside))
    assert result["exit"] == 0 and result["edited"]
    assert (outside / "made").read_text() == "edited\n"
    assert len(session.questions) == 2
    assert session.questions[1]["params"]["request"]["command"][2].startswith("echo edited")


def test_commands_cannot_be_edited_for_ever(open_session, outside):
    edit = {"decision": "edit", "command": ["touch", f"{outside}/made"]}
    session = open_session(answer=lambda _: edit)
    assert session.call("tool/exec", **asking(outside))["cause"] == "refused"
    assert len(session.questions) < 10
    assert not (outside / "made").exists()


def test_stop_ends_the_taking_of_calls(open_session, outside):
    session = open_session(answer=lambda _: {"decision": "stop", "reason": "this goes wrong"})
    assert session.call("tool/exec", **asking(outside))["cause"] == "refused"
    session.note("session/notice", fits=lambda params: params["kind"] == "stopped")
    with fails("session_stopped") as caught:
        session.run("true")
    assert "this goes wrong" in str(caught.value)
    assert session.call("session/status")["stopped"]
    assert session.call("session/stop")["stopped"]


@pytest.mark.parametrize(
    "answer",
    [
        {"decision": "sure"},
        {"decision": 1},
        {},
        [],
        "once",
        {"code": -32601, "message": "no such method"},
        {"decision": "edit"},
        {"decision": "edit", "command": []},
        {"decision": "once", "reason": "x" * 100000},
    ],
)
def test_answers_that_are_none_refuse(open_session, outside, answer):
    session = open_session(answer=lambda _: answer)
    result = session.call("tool/exec", **asking(outside))
    assert result["cause"] == "refused" and not (outside / "made").exists()
    assert session.run("echo on")["exit"] == 0


def test_a_question_that_stays_open_can_be_cancelled(open_session, outside):
    session = open_session(answer=lambda _: None)
    pending = session.begin("tool/exec", call="it", **asking(outside))
    support.wait_until(lambda: session.questions, 20, "the question")
    assert session.run("echo meanwhile")["exit"] == 0
    session.call("tool/cancel", call="it")
    with fails("cancelled"):
        pending.wait()
    assert session.note("approval/withdrawn") == {"call": "it", "id": session.questions[0]["id"]}
    session.reply(session.questions[0], {"decision": "once"})
    assert session.run("echo on")["exit"] == 0
    assert not (outside / "made").exists()


def test_never_asks_nobody(open_session, outside):
    session = open_session(approval="never", answer=lambda _: {"decision": "once"})
    assert session.call("tool/exec", **asking(outside))["cause"] == "refused"
    assert session.questions == []


def test_what_the_box_refused_is_offered_once(open_session, workspace):
    """Known from the box: which host was wanted. (It leads nowhere here; what counts is that the
    second run was granted it.)"""
    session = open_session(approval="on-failure", answer=lambda _: {"decision": "once"})
    result = session.run(
        "date >> runs; python3 -c 'import socket; "
        'socket.getaddrinfo("registry.example.org", 443)\'',
    )
    request = session.questions[0]["params"]["request"]
    assert "registry.example.org" in request["after_failure"]
    assert result["attempts"] == 2
    assert result["grants"][0]["value"].startswith("registry.example.org")
    assert len((workspace / "runs").read_text().splitlines()) == 2
    assert len(session.questions) == 1


def test_an_offer_that_is_refused_leaves_the_failure(open_session):
    session = open_session(approval="on-failure", answer=lambda _: {"decision": "no"})
    result = session.run("getent hosts registry.example.org; exit 7")
    assert result["cause"] == "exited" and result["exit"] == 7
    assert result["offer"]["refused_by"] == "host"
    assert session.run("exit 7")["exit"] == 7
    assert len(session.questions) == 1


@pytest.mark.parametrize("answer", ["once", "no"])
def test_a_name_is_asked_for_while_its_connection_waits(open_session, answer):
    """A network with rules asks for what none of them decides, and the command goes on. (It leads
    nowhere here; what counts is what was decided.)"""
    session = open_session(
        settings={"allow-domain": "allowed.test-host.net"}, answer=lambda _: {"decision": answer}
    )
    result = session.run(
        "python3 -c 'import socket; "
        'socket.create_connection(("other.test-host.net", 443), 20)\'',
    )
    asked = [q["params"]["request"]["asks"] for q in session.questions]
    assert asked == [[{"kind": "network", "value": "other.test-host.net:443"}]]
    (denial,) = [d for d in result["denials"] if d["promise"] == "P3"]
    assert denial["target"] == "other.test-host.net:443"
    # Let through, it is the command that says nothing; else it was not let through.
    assert (denial["errno"] == "ECONNABORTED") == (answer == "once"), denial
    assert session.run("true")["exit"] == 0


def test_explain(open_session):
    session = open_session(settings={"net": "filtered"}, approval="never")
    result = session.run("getent hosts registry.example.org; getent hosts localhost.localdomain")
    explained = session.call("tool/explain", report=result["report"])
    cures = {
        item["denial"]["target"]: item["would_allow"] for item in explained["denials"]
    }
    assert cures["registry.example.org"] == {"kind": "network", "value": "registry.example.org"}
    assert explained == session.call("tool/explain", report="last")
    for name in ["r99", "last one", "", "r"]:
        with fails("unknown_report"):
            session.call("tool/explain", report=name)


# Files.


def test_write_and_read(session, workspace):
    written = session.call("tool/write", path="new/deep/file.txt", content="héllo\n")
    assert written["bytes"] == 7 and written["exit"] == 0
    path = workspace / "new" / "deep" / "file.txt"
    assert path.read_text() == "héllo\n"
    assert session.call("tool/read", path=str(path))["text"] == "héllo\n"
    assert [p.name for p in path.parent.iterdir()] == ["file.txt"]


def test_write_keeps_or_sets_the_mode(session, workspace):
    path = workspace / "tool"
    path.write_text("old")
    path.chmod(0o751)
    session.call("tool/write", path="tool", content="new")
    assert path.stat().st_mode & 0o777 == 0o751 and path.read_text() == "new"
    session.call("tool/write", path="tool", content="new", mode=0o640)
    assert path.stat().st_mode & 0o777 == 0o640
    session.call("tool/write", path="tool", content_base64=base64.b64encode(b"\xff\0").decode())
    assert path.read_bytes() == b"\xff\0"
    assert path.stat().st_uid == os.getuid()


def test_write_is_whole_or_not_at_all(session, workspace):
    """A reader never finds half a file."""
    path, stop, seen = workspace / "big", threading.Event(), set()
    path.write_text("a" * 200000)

    def watch():
        while not stop.is_set():
            data = path.read_text()
            seen.add((len(data), len(set(data))))

    watcher = threading.Thread(target=watch)
    watcher.start()
    for letter in "bcd":
        session.call("tool/write", path="big", content=letter * 200000)
    stop.set()
    watcher.join()
    assert seen == {(200000, 1)}


def test_write_stays_inside(session, workspace, outside):
    with fails("outside_of_roots") as caught:
        session.call("tool/write", path=f"{outside}/made", content="x")
    assert "asks" in caught.value.hint
    with fails("outside_of_roots"):
        session.call("tool/write", path="../outside/made", content="x")
    (workspace / "way").symlink_to(outside)
    result = session.call("tool/write", path="way/made", content="x")
    assert result["exit"] != 0 and result["reason"]
    directory = session.call("tool/write", path="src", content="x")
    assert directory["exit"] != 0 and "directory" in directory["reason"]
    assert session.questions == []
    hooks = session.call("tool/write", path=".git/hooks/pre-commit", content="x")
    assert hooks["exit"] != 0 and not (workspace / ".git" / "hooks" / "pre-commit").exists()
    assert list(outside.iterdir()) == [outside / "sentinel"]


def test_write_with_a_grant(open_session, outside):
    session = open_session(answer=lambda _: {"decision": "once"})
    path = str(outside / "made")
    done = session.call("tool/write", path=path, content="x", asks={"write": [str(outside)]})
    assert done["exit"] == 0 and (outside / "made").read_text() == "x"


def test_write_in_read_only_mode(open_session, workspace):
    session = open_session(mode="read-only")
    with fails("outside_of_roots"):
        session.call("tool/write", path="new", content="x")
    assert not (workspace / "new").exists()


def test_read_in_pieces(session, workspace):
    whole = "äöü€" * 1000
    (workspace / "long").write_text(whole)
    read, offset = "", 0
    while True:
        piece = session.call("tool/read", path="long", offset=offset, limit=1000)
        read += piece["text"]
        offset += piece["bytes"]
        if not piece["more"]:
            break
    assert read == whole
    assert session.call("tool/read", path="long", offset=10**9)["text"] == ""
    (workspace / "raw").write_bytes(b"\xff\xfe")
    assert session.call("tool/read", path="raw")["base64"] == "//4="


def test_what_cannot_be_read(session, workspace):
    for path in ["nothing", "src"]:
        result = session.call("tool/read", path=path)
        assert result["exit"] != 0 and result["reason"]
    os.mkfifo(workspace / "fifo")
    assert "no regular file" in session.call("tool/read", path="fifo")["reason"]


def test_hidden_files_are_hidden(open_session, gate_environment):
    keys = support.Path(gate_environment["HOME"]) / ".ssh"
    keys.mkdir()
    (keys / "id_rsa").write_text("the key")
    session = open_session(answer=lambda _: {"decision": "once"})
    result = session.call("tool/read", path=str(keys / "id_rsa"))
    assert "the key" not in json.dumps(result)


def test_list(session, workspace):
    (workspace / "src" / "deep").mkdir()
    (workspace / "src" / "deep" / "a\nb").write_text("12345")
    (workspace / "src" / "link").symlink_to("nowhere")
    entries = session.call("tool/list", path="src", depth=2)["entries"]
    found = {entry["name"]: entry for entry in entries}
    assert set(found) == {"main.c", "deep", "deep/a\nb", "link"}
    assert found["deep"]["kind"] == "directory" and found["link"]["kind"] == "link"
    assert found["deep/a\nb"]["size_bytes"] == 5
    assert abs(found["main.c"]["modified_ms"] / 1000 - time.time()) < 3600
    assert session.call("tool/list", path="nowhere")["exit"] != 0


def test_diff(session, workspace):
    assert session.call("tool/diff")["diff"]["text"] == ""
    (workspace / "README").write_text("changed\n")
    (workspace / "new").write_text("new\n")
    status = support.git(workspace, "status", "--porcelain")
    diff = session.call("tool/diff")["diff"]["text"]
    assert "-a file\n+changed\n" in diff and "+new\n" in diff
    assert "new" not in session.call("tool/diff", paths=["README"])["diff"]["text"]
    assert support.git(workspace, "status", "--porcelain") == status


def test_diff_runs_nothing_of_the_repository(session, workspace):
    support.git(workspace, "config", "diff.external", "touch ran")
    support.git(workspace, "config", "core.fsmonitor", "touch ran")
    support.git(workspace, "config", "diff.x.textconv", "touch ran; cat")
    (workspace / ".gitattributes").write_text("* diff=x\n")
    (workspace / "README").write_text("changed\n")
    assert "+changed" in session.call("tool/diff")["diff"]["text"]
    assert not (workspace / "ran").exists()


def test_diff_runs_no_filter_and_no_hook(session, workspace):
    ran = workspace / "ran"
    program = f"echo ran >> {ran}"
    (workspace / ".git" / "info").mkdir(exist_ok=True)
    (workspace / ".git" / "info" / "attributes").write_text("* filter=x\n")
    support.git(workspace, "config", "filter.x.clean", f"{program}; cat")
    hook = workspace / ".git" / "hooks" / "post-index-change"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\n{program}\n")
    hook.chmod(0o755)
    (workspace / "README").write_text("changed\n")
    (workspace / "new").write_text("new\n")
    diff = session.call("tool/diff")["diff"]["text"]
    assert "+changed" in diff and "+new" in diff
    assert not ran.exists()


def test_diff_keeps_to_what_is_ignored_and_to_the_index(session, workspace):
    (workspace / ".git" / "info").mkdir(exist_ok=True)
    (workspace / ".git" / "info" / "exclude").write_text("ignored\n")
    (workspace / "ignored").write_text("ignored\n")
    (workspace / "staged").write_text("staged\n")
    support.git(workspace, "add", "staged")
    support.git(workspace, "update-index", "--split-index")
    diff = session.call("tool/diff")["diff"]["text"]
    assert "+staged" in diff and "+ignored" not in diff


def test_an_option_among_the_variables_is_none(open_session, workspace):
    """What the gate would be shown is another command than the one that runs."""
    session = open_session("--approval", "untrusted")
    for name in ["--split-string", "-Sls ", "-uX"]:
        with fails("invalid_params"):
            session.run(["touch", "made"], environment={name: "ls"})
    with fails("invalid_params"):
        session.run(["./x=1", "ls"], environment={"LANG": "C"})
    assert not (workspace / "made").exists() and session.questions == []


def test_the_input_is_part_of_what_was_approved(open_session, workspace):
    """A yes to one program on standard input is none to another."""
    session = open_session("--approval", "untrusted", answer=lambda _: {"decision": "session"})
    for program in ["echo one", "echo one", "touch two\0"]:
        session.run(["bash"], stdin=program)
    session.call("tool/write", path="made", content_base64=base64.b64encode(b"x").decode())
    session.call("tool/write", path="made", content="x")
    session.call("tool/write", path="made", content="x" * 20000)
    shown = [question["params"]["request"] for question in session.questions]
    assert [request["input"]["bytes"] for request in shown] == [8, 10, 1, 20000]
    texts = [request["input"]["text"] for request in shown[:3]]
    assert texts == ["echo one", "touch two\ufffd", "x"]
    assert shown[3]["input"]["text"].endswith("x [3616 bytes more]")
    assert all("input" in request["untrusted"] for request in shown)


def test_an_edit_is_no_answer_for_a_file(open_session, workspace):
    """What is edited would be judged, and the file be written all the same."""
    session = open_session(
        "--approval", "untrusted", answer=lambda _: {"decision": "edit", "command": ["ls"]}
    )
    result = session.call("tool/write", path="made", content="x")
    assert result["cause"] == "refused" and result["refused_by"] == "host"
    assert not (workspace / "made").exists()
    assert "edit" not in session.questions[0]["params"]["request"]["answers"]


def test_diff_outside_of_a_repository(open_session, home_directory):
    plain = home_directory / "plain"
    plain.mkdir()
    session = open_session(directory=str(plain), mode="workspace-write")
    with fails("not_a_repository"):
        session.call("tool/diff")


def test_a_box_that_sees_the_workspace_elsewhere(open_session, workspace):
    """Host and model may use either name."""
    session = open_session("--profile", "cloud", "--limit", "cpu=none")
    assert text(session.run("pwd", directory="src")["stdout"]) == "/workspace/src\n"
    assert session.run("echo 3 > /workspace/src/three; rm src/three")["exit"] == 0
    assert session.questions == []
    session.call("tool/write", path="src/one", content="1")
    session.call("tool/write", path="/workspace/src/two", content="2")
    assert session.call("tool/read", path=str(workspace / "src" / "two"))["text"] == "2"
    assert session.call("tool/read", path="/workspace/src/one")["text"] == "1"
    names = {entry["name"] for entry in session.call("tool/list", path="/workspace/src")["entries"]}
    assert names == {"main.c", "one", "two"}
    assert "+1" in session.call("tool/diff")["diff"]["text"]


# The wire.


def test_garbage(session):
    for garbage, code in [
        (b"{", -32700),
        (b'{"jsonrpc":"2.0","id":1', -32700),
        (b"\xff\xfe\x00", -32700),
        (b"[]", -32600),
        (b"[1]", -32600),
        (b"17", -32600),
        (b'{"id":1,"method":"session/status"}', -32600),
        (b'{"jsonrpc":"2.0","id":{},"method":"session/status"}', -32600),
        (b'{"jsonrpc":"2.0","id":1,"method":7}', -32600),
        (b"[" * 5000, -32700),
        (b'"' + b"x" * (17 << 20) + b'"', -32600),
    ]:
        session.send_raw(garbage + b"\n")
        message = session.unclaimed.get(timeout=10 * support.SLOWDOWN)
        assert message["error"]["code"] == code, garbage[:60]
        assert message["id"] is None
    session.send_raw(b"\n \t\r\n")
    session.send_raw(b'{"jsonrpc":"2.0","id":77,"result":{"decision":"once"}}\n')
    with fails("method_not_found", -32601) as caught:
        session.call("tool/exce")
    assert "tool/exec" in caught.value.hint
    assert session.run("echo on")["exit"] == 0


def test_a_batch(session):
    requests = [
        {"jsonrpc": "2.0", "id": "a", "method": "tool/exec", "params": {"command": "echo a"}},
        {"jsonrpc": "2.0", "method": "session/status"},
        {"jsonrpc": "2.0", "id": "b", "method": "nothing"},
        7,
    ]
    session.send_raw(json.dumps(requests).encode() + b"\n")
    answers = [session.unclaimed.get(timeout=20 * support.SLOWDOWN) for _ in range(3)]
    by_id = {answer["id"]: answer for answer in answers}
    assert text(by_id["a"]["result"]["stdout"]) == "a\n"
    assert by_id["b"]["error"]["code"] == -32601 and by_id[None]["error"]["code"] == -32600


def test_a_host_that_does_not_read_is_waited_for(workspace, gate_environment):
    """Nothing is lost and nothing grows: the command stalls on its pipe."""
    session = Session(cwd=workspace, env=gate_environment, reader=False)
    with contextlib.closing(session):
        begun = session.begin("session/start")
        pending = session.begin("tool/exec", command="head -c 12000000 /dev/zero | tr '\\0' x")
        time.sleep(0.7)
        status = support.Path(f"/proc/{session.process.pid}/status").read_text()
        resident = int(status.split("VmRSS:")[1].split()[0])
        assert resident < 40 * 1024
        session.read()
        begun.wait()
        assert pending.wait(60)["stdout"]["bytes"] == 12000000
        streamed = sum(
            len(message["params"]["text"])
            for _, message in session.messages
            if isinstance(message, dict) and message.get("method") == "tool/output"
        )
        assert streamed == 12000000


# The end.


def test_the_host_goes_and_all_goes(open_session, workspace):
    session = open_session()
    session.begin("tool/exec", command="touch began; sleep 1; touch ended")
    support.wait_until((workspace / "began").exists, 20, "the command's start")
    started = time.monotonic()
    assert session.close() == 0
    assert time.monotonic() - started < 2 * support.SLOWDOWN
    time.sleep(1)
    assert not (workspace / "ended").exists()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_session_leaves_nothing(open_session, workspace, number):
    session = open_session()
    session.begin("tool/exec", command="touch began; sleep 1; touch ended")
    support.wait_until((workspace / "began").exists, 20, "the command's start")
    session.process.send_signal(number)
    session.process.wait(SOON * support.SLOWDOWN)
    time.sleep(1.1)
    assert not (workspace / "ended").exists()
