"""What stands around a session's calls: hooks, rules, configuration that changes while it runs."""

import contextlib
import json
import os
import shlex
import signal
import subprocess
import time
from pathlib import Path

import pytest
from session_client import Failed, Session, text

import support


class Bench:
    """The user's configuration, and sessions under it."""

    def __init__(self, workspace, environment, log):
        self.workspace = workspace
        self.environment = environment
        self.log = log
        self.config = Path(environment["XDG_CONFIG_HOME"]) / "coffer" / "coffer.toml"
        self.config.parent.mkdir(parents=True, exist_ok=True)
        self.config.touch()
        self.sessions = contextlib.ExitStack()

    def add(self, toml):
        self.config.write_text(self.config.read_text() + toml + "\n")

    def hook(self, event, command, **settings):
        """A trusted hook; its answer is what the shell line does."""
        lines = ["[[hook]]", f'event = "{event}"', f"command = {json.dumps(command)}"]
        lines += [f"{key} = {json.dumps(value)}" for key, value in settings.items()]
        self.add("\n".join(lines))
        support.run_coffer(
            *["hooks", "trust", "--all", "--yes"], cwd=self.workspace, env=self.environment
        ).ok()

    def logged(self, event):
        """A hook that writes down what it was told."""
        file = shlex.quote(str(self.log / event))
        self.hook(event, f"cat >> {file}; echo >> {file}", write=[str(self.log)])

    def told(self, event):
        file = self.log / event
        if not file.exists():
            return []
        return [json.loads(line) for line in file.read_text().splitlines() if line.strip()]

    def open(self, *flags, answer=None, start=True, **params):
        session = Session(*flags, cwd=self.workspace, env=self.environment, answer=answer)
        self.sessions.callback(session.close)
        if start:
            session.started = session.start(**params)
        return session


@pytest.fixture
def bench(workspace, gate_environment, home_directory):
    log = home_directory / "log"
    log.mkdir()
    bench = Bench(workspace, gate_environment, log)
    with bench.sessions:
        yield bench


def says(**answer):
    return "echo " + shlex.quote(json.dumps(answer))


def pre_tool_use(**answer):
    return says(hookSpecificOutput={"hookEventName": "PreToolUse", **answer})


# Hooks.


def test_every_event_fires_where_it_should(bench):
    events = ["SessionStart", "UserPromptSubmit", "PreToolUse", "PostToolUse", "Stop", "SessionEnd"]
    events += ["PreCompact", "PostCompact", "SubagentStart", "SubagentStop"]
    for event in events:
        bench.logged(event)
    session = bench.open(source="resume")
    session.call("prompt/submit", prompt="do it")
    assert session.run("echo out; exit 3")["exit"] == 3
    session.call("tool/write", path="new", content="x")
    session.call("event/compact", phase="before", trigger="auto")
    session.call("event/compact", phase="after", trigger="auto")
    session.call("event/subagent", phase="start", agent_id="a1", agent_type="helper")
    session.call("event/subagent", phase="stop", agent_id="a1", agent_type="helper")
    session.call("session/stop", reason="logout")
    told = {event: bench.told(event) for event in events}
    assert {event: len(seen) for event, seen in told.items()} == {
        **dict.fromkeys(events, 1),
        "PreToolUse": 2,
        "PostToolUse": 2,
    }
    assert {seen["session_id"] for all_ in told.values() for seen in all_} == {
        session.started["session"]
    }
    assert told["SessionStart"][0]["source"] == "resume"
    assert told["UserPromptSubmit"][0]["prompt"] == "do it"
    before, write = told["PreToolUse"]
    assert before["tool_name"] == "Bash" and before["tool_input"]["command"] == "echo out; exit 3"
    assert write["tool_name"] == "Write" and write["tool_input"]["file_path"].endswith("/new")
    after = told["PostToolUse"][0]
    assert after["tool_response"]["stdout"] == "out\n" and after["tool_response"]["exit_code"] == 3
    assert after["tool_use_id"] == before["tool_use_id"]
    assert told["SessionEnd"][0]["reason"] == "logout"
    assert told["SubagentStop"][0]["agent_id"] == "a1"


def test_context_and_messages_reach_the_host(bench):
    bench.hook("SessionStart", "echo the build is red")
    bench.hook("UserPromptSubmit", "echo mind the gap")
    bench.hook("PreToolUse", says(systemMessage="careful"))
    session = bench.open()
    assert session.started["context"] == "the build is red"
    assert session.call("prompt/submit", prompt="go")["context"] == "mind the gap"
    assert session.run("true")["message"] == "careful"


def test_a_blocked_prompt_was_never_said(bench):
    bench.hook("UserPromptSubmit", "grep -q password && { echo no secrets >&2; exit 2; } || exit 0")
    session = bench.open()
    blocked = session.call("prompt/submit", prompt="the password is x")
    assert not blocked["accepted"] and "no secrets" in blocked["hooks"]["reason"]
    assert session.call("prompt/submit", prompt="hello")["accepted"]
    assert session.call("session/status")["prompts"] == 1


@pytest.mark.parametrize(
    "hook",
    [
        "echo not this one >&2; exit 2",
        pre_tool_use(permissionDecision="deny", permissionDecisionReason="not this one"),
        says(decision="block", reason="not this one"),
    ],
)
def test_a_hook_may_block(bench, hook):
    bench.hook("PreToolUse", hook)
    session = bench.open()
    result = session.run("touch made")
    assert result["cause"] == "refused" and result["refused_by"] == "hook"
    assert "not this one" in result["reason"]
    assert not (bench.workspace / "made").exists()
    assert session.call("tool/write", path="made", content="x")["cause"] == "refused"


@pytest.mark.parametrize("hook", ["exit 7", "kill -9 $$", "echo '{'", "sleep 60"])
def test_a_hook_that_fails_blocks(bench, hook):
    bench.hook("PreToolUse", hook, timeout="300ms")
    session = bench.open()
    assert session.run("touch made")["cause"] == "refused"
    assert not (bench.workspace / "made").exists()


def test_a_changed_command_is_decided_anew(bench):
    bench.hook("PreToolUse", pre_tool_use(updatedInput={"command": "echo instead"}))
    session = bench.open()
    result = session.run("echo this")
    assert text(result["stdout"]) == "instead\n" and result["edited"]
    refused = session.call("tool/write", path="made", content="x")
    assert refused["cause"] == "refused" and not (bench.workspace / "made").exists()


def test_a_changed_command_is_no_way_around_the_gate(bench):
    bench.hook("PreToolUse", pre_tool_use(updatedInput={"command": "rm -rf /"}))
    assert bench.open(approval="never").run("echo this")["cause"] == "refused"


def test_a_hook_may_ask_and_allow(bench, outside):
    bench.hook(
        "PreToolUse", pre_tool_use(permissionDecision="ask", permissionDecisionReason="sure?")
    )
    session = bench.open(answer=lambda _: {"decision": "once"})
    assert session.run("echo this")["settled"]["by"] == "host"
    assert session.questions[0]["params"]["request"]["reason"] == "sure?"
    assert bench.open(approval="never").run("echo this")["cause"] == "refused"


def test_what_a_hook_allows_is_not_asked_for(bench, workspace):
    bench.hook("PreToolUse", pre_tool_use(permissionDecision="allow"))
    session = bench.open(approval="untrusted")
    result = session.run("touch made")
    assert result["exit"] == 0 and result["settled"]["by"] == "hook"
    assert (workspace / "made").exists() and session.questions == []
    assert bench.open(approval="never").run("rm -rf /")["cause"] == "refused"


def test_hooks_answer_for_the_person(bench, outside):
    decision = {"hookEventName": "PermissionRequest", "decision": {"behavior": "allow"}}
    bench.hook("PermissionRequest", says(hookSpecificOutput=decision))
    session = bench.open()
    result = session.run(f"touch {outside}/made", asks={"write": [str(outside)]})
    assert result["settled"]["by"] == "hook" and (outside / "made").exists()
    assert session.questions == []


def test_what_hooks_object_to_afterwards(bench):
    bench.hook("PostToolUse", says(decision="block", reason="run the linter"))
    result = bench.open().run("touch made")
    assert result["exit"] == 0 and "run the linter" in result["feedback"]


def test_a_stop_hook_may_want_more(bench):
    bench.hook("Stop", "grep -q '\"stop_hook_active\": *true' && exit 0; echo one more >&2; exit 2")
    session = bench.open()
    first = session.call("session/stop")
    assert first["stopped"] is False and "one more" in first["reason"]
    assert session.run("echo on")["exit"] == 0
    assert session.call("session/stop", stop_hook_active=True)["stopped"] is True


def test_force_stops(bench):
    bench.hook("Stop", "exit 2")
    assert bench.open().call("session/stop", force=True)["stopped"] is True


def test_continue_false_ends_the_taking_of_calls(bench):
    bench.hook("PreToolUse", says(**{"continue": False, "stopReason": "enough"}))
    session = bench.open()
    assert session.run("touch made")["cause"] == "refused"
    with pytest.raises(Failed, match="enough"):
        session.run("true")
    assert not (bench.workspace / "made").exists()


def test_the_end_is_told_when_the_host_just_goes(bench):
    bench.logged("SessionEnd")
    session = bench.open()
    session.begin("tool/exec", command="sleep 60")
    session.note("tool/started")
    assert session.close() == 0
    assert [seen["reason"] for seen in bench.told("SessionEnd")] == ["other"]


def test_a_hook_of_the_end_cannot_hold_it_up(bench):
    bench.hook("SessionEnd", "sleep 60")
    session = bench.open()
    started = time.monotonic()
    session.close()
    assert time.monotonic() - started < 4 * support.SLOWDOWN


def test_hooks_that_wait_for_trust_are_named(bench):
    bench.add('[[hook]]\nevent = "PreToolUse"\ncommand = "exit 2"')
    session = bench.open()
    assert len(session.started["hooks_waiting"]) == 1
    assert session.run("true")["exit"] == 0


# Rules and configuration.

RULE = """
[[rule]]
prefix = ["make", "publish"]
decision = "forbid"
reason = "releases are made by hand"
"""


def test_rules_hold(bench, outside):
    bench.add(RULE)
    allowed = f'\n[[rule]]\nprefix = ["touch"]\ndecision = "allow"\nwrite = ["{outside}"]\n'
    bench.add(allowed)
    session = bench.open()
    refused = session.run("cd src && make publish")
    assert refused["cause"] == "refused" and "releases are made by hand" in refused["reason"]
    result = session.run(["touch", f"{outside}/made"])
    assert result["exit"] == 0 and (outside / "made").exists(), result
    assert session.questions == []


def test_configuration_that_changes_is_read_again(bench):
    session = bench.open()
    assert session.run(["make", "publish"])["cause"] != "refused"
    bench.add(RULE)
    assert session.run(["make", "publish"])["cause"] == "refused"
    session.note("session/notice", fits=lambda params: params["kind"] == "config_changed")


def test_hang_up_reads_it_again(bench):
    session = bench.open()
    bench.add(RULE)
    session.process.send_signal(signal.SIGHUP)
    session.note("session/notice", fits=lambda params: params["kind"] == "config_changed")
    bench.add("[[rule")
    session.process.send_signal(signal.SIGHUP)
    session.note("session/notice", fits=lambda params: params["kind"] == "config_fault")
    assert session.run(["make", "publish"])["cause"] == "refused"


def test_the_last_valid_state_stays_in_force(bench):
    bench.add(RULE)
    session = bench.open()
    valid = bench.config.read_text()
    bench.config.write_text("[[rule\n")
    assert session.run(["make", "publish"])["cause"] == "refused"
    fault = session.note("session/notice", fits=lambda params: params["kind"] == "config_fault")
    assert f"{bench.config}:1:" in fault["text"]
    session.run("true")
    assert session.notes.qsize() <= 4  # told once, not with every call
    bench.config.write_text(valid.replace("publish", "release"))
    assert session.run(["make", "release"])["cause"] == "refused"
    assert session.run(["make", "publish"])["cause"] != "refused"


def test_a_faulty_configuration_starts_nothing(bench):
    bench.add('wirte = ["/x"]')
    session = bench.open(start=False)
    with pytest.raises(Failed) as caught:
        session.start()
    assert caught.value.name == "config" and f"{bench.config}:1" in str(caught.value)
    bench.config.write_text("")
    session.start()


def test_always_writes_a_rule_that_holds_at_once(bench, outside):
    session = bench.open(approval="untrusted", answer=lambda _: {"decision": "always"})
    assert session.run(["git", "stash", "list"])["exit"] == 0
    first = session.run(["touch", "made"])
    assert first["settled"]["answer"] in ("always", "session")
    asked = len(session.questions)
    assert session.run(["touch", "made"])["exit"] == 0
    assert len(session.questions) == asked
    if first["settled"]["answer"] == "always":
        assert '"touch"' in bench.config.read_text()


def test_the_reviewer_answers_and_counts(bench, outside):
    bench.add('[reviewer]\nkind = "command"\ncommand = ["/bin/false"]\ntimeout = "300ms"')
    session = bench.open(answer=lambda _: {"decision": "once"})
    ask = {"command": f"touch {outside}/made", "asks": {"write": [str(outside)]}}
    for _ in range(2):
        assert session.call("tool/exec", **ask)["cause"] == "refused"
    assert session.call("session/status")["reviews"]["refused_in_a_row"] == 2
    session.call("tool/exec", **ask)
    with pytest.raises(Failed, match="refused"):
        session.run("true")
    assert session.questions == [] and not (outside / "made").exists()


def test_what_the_machine_requires_holds(bench, tmp_path):
    """In a mount namespace of its own, where /etc is a copy with the test's /etc/coffer."""
    support.need_root()
    support.need_program("unshare")
    hidden = bench.workspace.parent / "hidden"
    hidden.mkdir()
    (hidden / "x").write_text("payroll\n")
    (tmp_path / "requirements.toml").write_text(
        'modes = ["read-only", "workspace-write"]\napprovals = ["on-request", "untrusted"]\n'
        f'deny_read = ["{hidden}"]\n'
    )
    requests = [
        {"method": "session/start", "params": {"approval": "never"}},
        {"method": "session/start", "params": {}},
        {
            "method": "tool/exec",
            "params": {"command": "touch made", "asks": {"unsandboxed": True}},
        },
        {
            "method": "tool/exec",
            "params": {"command": f"cat {hidden}/x", "asks": {"secret": [f"{hidden}/x"]}},
        },
    ]
    lines = "".join(
        json.dumps({"jsonrpc": "2.0", "id": i, **request}) + "\n"
        for i, request in enumerate(requests)
    )
    script = """set -e
        mount -t tmpfs none /mnt
        cp -a /etc /mnt/etc
        mkdir -p /mnt/etc/coffer
        cp "$1/requirements.toml" /mnt/etc/coffer
        mount --bind /mnt/etc /etc
        umount -l /mnt
        exec "$2" session"""
    process = subprocess.Popen(
        ["unshare", "-m", "sh", "-c", script, "sh", tmp_path, support.COFFER],
        cwd=bench.workspace,
        env={**os.environ, **bench.environment},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    process.stdin.write(lines)
    process.stdin.flush()
    seen = {}
    while len(seen) < len(requests):
        message = json.loads(process.stdout.readline())
        if message.get("method") == "approval/request":
            answer = {"jsonrpc": "2.0", "id": message["id"], "result": {"decision": "once"}}
            process.stdin.write(json.dumps(answer) + "\n")
            process.stdin.flush()
        elif "id" in message:
            seen[message["id"]] = message
    process.stdin.close()
    process.wait()
    assert seen[0]["error"]["data"]["code"] == "config"
    assert "requirements.toml" in json.dumps(seen[0]["error"])
    assert "result" in seen[1]
    refused = seen[2].get("result", {}).get("cause") == "refused" or "error" in seen[2]
    assert refused and not (bench.workspace / "made").exists()
    assert "payroll" not in json.dumps(seen[3]) and "requirements.toml" in json.dumps(seen[3])


# What is put in a command's place.


NO_PUSH = """if grep -q 'git push'; then echo 'no pushing' >&2; exit 2; fi"""


def test_an_edited_command_passes_the_hooks(bench):
    bench.hook("PreToolUse", NO_PUSH)
    session = bench.open(
        approval="untrusted",
        answer=lambda params: {"decision": "edit", "command": ["git", "push", "nowhere"]},
    )
    result = session.run("make")
    assert result["cause"] == "refused" and result["refused_by"] == "hook"
    assert result["reason"] == "no pushing"


def test_a_command_that_a_hook_put_there_passes_the_others(bench):
    bench.hook("PreToolUse", NO_PUSH)
    decision = {"behavior": "allow", "updatedInput": {"command": "git push nowhere"}}
    bench.hook(
        "PermissionRequest",
        says(hookSpecificOutput={"hookEventName": "PermissionRequest", "decision": decision}),
    )
    result = bench.open(approval="untrusted").run("make")
    assert result["cause"] == "refused" and result["reason"] == "no pushing"


def test_a_change_into_no_command_refuses(bench, workspace):
    changed = {"argv": ["ls"]}
    bench.hook("PreToolUse", pre_tool_use(permissionDecision="allow", updatedInput=changed))
    result = bench.open().run("touch made")
    assert result["cause"] == "refused" and result["refused_by"] == "hook"
    assert not (workspace / "made").exists()


def test_the_calls_directory_does_not_choose_what_a_hook_runs(bench, workspace, home_directory):
    """Else whoever sends the call makes programs of the workspace the hook's own."""
    for place, line in (workspace / "bin", "exit 0"), (home_directory / "bin", "exit 2"):
        place.mkdir()
        (place / "judge").write_text(f"#!/bin/sh\n{line}\n")
        (place / "judge").chmod(0o755)
    path = f"{workspace / 'bin'}:{home_directory / 'bin'}:{os.environ['PATH']}"
    bench.environment["PATH"] = path
    bench.hook("PreToolUse", "judge")
    bench.logged("PreToolUse")
    subprocess.run(["git", "init", "-q", str(workspace / "sub")], check=True)
    session = bench.open()
    for directory in ".", "sub", "/usr":
        result = session.run("touch made", directory=directory)
        assert result["cause"] == "refused" and result["refused_by"] == "hook"
    assert bench.told("PreToolUse")[-1]["cwd"] == "/usr"


PLAYED = """#!/bin/sh
echo '{"risk":"low","authorization":"clear","narrow":true,"decision":"approve","rationale":"x"}'
"""
REFUSES = """import json
answer = dict(risk="critical", authorization="none", narrow=False, decision="refuse")
print(json.dumps(dict(answer, rationale="no")))
"""


def reviewed_by(bench, *command):
    bench.config.write_text(f'[reviewer]\nkind = "command"\ncommand = {json.dumps(command)}\n')
    return bench.open(approval="untrusted").run("make")


def test_nothing_of_the_workspace_speaks_for_the_reviewer(bench, workspace, home_directory):
    support.need_user()  # what lies in root's home no box sees, and so no reviewer
    for name in "bin", ".":
        (workspace / name).mkdir(exist_ok=True)
        (workspace / name / "python3").write_text(PLAYED)
        (workspace / name / "python3").chmod(0o755)
    (workspace / "json.py").write_text(f"def dumps(x):\n    return {PLAYED.split(chr(39))[1]!r}\n")
    script = home_directory / "review"
    script.write_text("#!/usr/bin/env python3\n" + REFUSES)
    script.chmod(0o755)
    usual = "/usr/local/bin:/usr/bin:/bin"
    for path in usual, f"{workspace / 'bin'}:{usual}", f":{usual}":
        bench.environment["PATH"] = path
        for command in [str(script)], ["/usr/bin/python3", "-c", REFUSES]:
            result = reviewed_by(bench, *command)
            assert result["cause"] == "refused" and result["reason"] == "no"


def test_a_reviewer_that_a_box_could_write_is_none(bench, workspace):
    (workspace / "review").write_text(PLAYED)
    (workspace / "review").chmod(0o755)
    for command in [str(workspace / "review")], ["/bin/sh", "review"]:
        result = reviewed_by(bench, *command)
        assert result["cause"] == "refused" and "boxes can write" in result["reason"]


def test_the_mode_stays_what_was_chosen(bench, home_directory):
    """A .git that came since then would make a directory writable that was not."""
    plain = home_directory / "plain"
    plain.mkdir()
    session = bench.open(directory=str(plain))
    assert session.started["policy"]["mode"] == "read-only"
    subprocess.run(["git", "init", "-q", str(plain)], check=True)
    bench.add("# something else")
    assert session.run("touch made")["exit"] != 0
    assert session.call("session/status")["policy"]["mode"] == "read-only"
    bench.add('mode = "workspace-write"')
    assert session.run("touch made")["exit"] == 0


def test_a_hook_that_allows_widens_no_box(bench, outside):
    """It has seen the command, and nothing of what is asked for beside it."""
    bench.hook("PreToolUse", pre_tool_use(permissionDecision="allow"))
    session = bench.open()
    for asks in {"write": [str(outside)]}, {"unsandboxed": True}, {"net": ["example.com"]}:
        result = session.run(f"touch {outside}/made", asks=asks)
        assert result["cause"] == "refused" and result["refused_by"] == "host"
    bench.add('[[rule]]\nprefix = ["touch"]\ndecision = "ask"')
    assert session.run("touch made")["refused_by"] == "host"
    assert len(session.questions) == 4 and not (outside / "made").exists()


def test_a_hook_that_allows_widens_no_run(bench, workspace, outside):
    bench.hook("PreToolUse", pre_tool_use(permissionDecision="allow"))
    for ask in f"write={outside}", "unsandboxed":
        command = ["run", "--approval", "untrusted", "--ask", ask, "--", "touch", f"{outside}/made"]
        result = support.run_coffer(*command, cwd=workspace, env=bench.environment)
        assert result.code == 126, result.describe()
    assert not (outside / "made").exists()


def test_a_run_says_which_hooks_wait(bench, workspace):
    """A script that was changed would else be silently out of the way."""
    script = workspace / "deny.sh"
    script.write_text("exit 2\n")
    bench.hook("PreToolUse", f"bash {script}")
    command = ["run", "--", "true"]
    run = {"cwd": workspace, "env": bench.environment}
    assert support.run_coffer(*command, **run).code == 126
    script.write_text("exit 0\n")
    result = support.run_coffer(*command, **run)
    assert result.code == 0 and "waits for trust" in result.err, result.describe()
