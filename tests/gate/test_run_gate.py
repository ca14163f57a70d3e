"""`coffer run` and the gate: what is asked, who answers, what a yes brings and what it does not."""

import json
import os
import socket
import stat
import threading
import tomllib
from pathlib import Path

import pytest

DATA = Path(__file__).parent / "commands.toml"


@pytest.fixture
def run(run_coffer, workspace, gate_environment):
    """coffer run in the workspace, with a home of its own; flags before the command."""

    def run(*command, flags=(), user=None, **keywords):
        if user is not None:
            write(Path(gate_environment["XDG_CONFIG_HOME"]) / "coffer/coffer.toml", user)
        return run_coffer("run", *flags, "--", *command, cwd=workspace,
                          env=gate_environment, **keywords)

    return run


def write(path, text, mode=0o644):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)
    return path


class Host:
    """An agent's host on a socket pair: answers each question by the next of its answers."""

    def __init__(self, *answers):
        self.answers, self.questions = list(answers), []
        self.ours, self.theirs = socket.socketpair()
        self.thread = threading.Thread(target=self.serve, daemon=True)

    def serve(self):
        with self.ours.makefile("rw", encoding="utf-8") as wire:
            for line in wire:
                question = json.loads(line)
                if question["type"] != "approval_request":
                    continue
                self.questions.append(question)
                answer = self.answers.pop(0)
                wire.write(json.dumps({"id": question["id"], **answer}) + "\n")
                wire.flush()

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.theirs.close()
        self.thread.join(10)
        self.ours.close()

    def ask(self, run, *command, flags=(), **keywords):
        fd = self.theirs.fileno()
        return run(*command, flags=["--approvals", f"fd:{fd}", *flags], pass_fds=[fd], **keywords)


# Without anybody who has said so, there is no question about what was typed.


def test_who_typed_it_has_spoken(run, workspace):
    (workspace / "old").mkdir()
    done = run("git", "push", "--force", "nowhere").report
    assert done["cause"] == "exited" and "gate" not in done
    assert run("sh", "-c", "rm -rf old && echo gone").ok().out == "gone\n"


def test_a_policy_asks_and_nobody_there_is_no(run):
    done = run("git", "push", "--force", flags=["--approval", "on-request"])
    assert (done.code, done.cause) == (126, "refused")
    assert "overwrites what has been pushed" in done.err and "nobody is there" in done.err
    assert done.report["gate"]["decision"] == "ask"
    assert done.report["gate"]["parts"][0]["id"] == "git-force-push"


def test_what_is_not_dangerous_is_not_asked_for(run):
    for policy in ["on-request", "on-failure", "never"]:
        assert run("echo", "hello", flags=["--approval", policy]).ok().out == "hello\n"
        assert run("sh", "-c", "echo a | cat", flags=["--approval", policy]).ok().out == "a\n"
    assert run("echo", "hello", flags=["--approval", "untrusted"]).ok().out == "hello\n"
    done = run("touch", "new", flags=["--approval", "untrusted"])
    assert (done.code, done.cause) == (126, "refused")


def test_a_script_by_its_path_is_looked_into(run, workspace):
    for path in [workspace / "build.sh", workspace / "bin/tool"]:
        write(path, "#!/bin/sh\ngit push --force nowhere\n", 0o755)
        done = run(f"./{path.relative_to(workspace)}", flags=["--approval", "never"])
        assert (done.code, done.cause) == (126, "refused")
        rule = '[[rule]]\nprefix = ["git", "push"]\ndecision = "forbid"\n'
        for word in [f"./{path.relative_to(workspace)}", str(path)]:
            done = run(word, user=rule)
            assert (done.code, done.cause) == (126, "refused") and "a rule forbids" in done.err
        run("true", user="")


def test_a_link_to_the_directory_is_the_directory(run, workspace, home_directory, run_coffer,
                                                   gate_environment):
    """By the name of a link neither `in` nor the project's own rules are walked around."""
    write(workspace / ".coffer/coffer.toml",
          '[[rule]]\nprefix = ["touch"]\ndecision = "forbid"\n')
    run_coffer("trust", "--yes", cwd=workspace, env=gate_environment).ok()
    link = home_directory / "link"
    link.symlink_to(workspace)
    user = f'[[rule]]\nprefix = ["mkdir"]\nin = "{workspace}"\ndecision = "forbid"\n'
    for flags in [[], ["-C", str(link)], ["-C", f"{link}/"]]:
        for command in [["touch", "x"], ["mkdir", "x"]]:
            done = run(*command, flags=flags, user=user)
            assert (done.code, done.cause) == (126, "refused"), (flags, command)


def test_granular(run, workspace):
    ask = ["git", "push", "--force", "nowhere"]
    done = run(*ask, flags=["--approval", "granular:all=forbid,delete=allow"])
    assert done.cause == "exited"
    done = run(*ask, flags=["--approval", "granular:all=allow,delete=forbid"])
    assert done.cause == "refused"


@pytest.mark.parametrize("policy,message", [
    ("on-reqest", "did you mean 'on-request'?"),
    ("granular:delet=ask", "did you mean 'delete'?"),
    ("granular:delete", "not CATEGORY=DECISION"),
    ("never:delete=ask", "only granular takes categories"),
])
def test_a_policy_that_is_none(run, policy, message):
    done = run("true", flags=["--approval", policy])
    assert done.code == 125 and message in done.err


def test_every_question_of_the_list_reaches_the_front(run):
    """The front starts the gate by a look at a name: what the gate would refuse, it must see."""
    groups = tomllib.loads(DATA.read_text())["group"]
    shells = set("|&;<>()$`\\\"'*?[]#~=%!{}\n")
    lines = [
        row
        for group in groups
        if group.get("mode", "workspace-write") == "workspace-write" and not group.get("rules")
        for row in group["commands"]
        if row[4] == "forbid" and row[5] != "syntax" and not set(row[0]) & shells
    ]
    assert len(lines) > 60
    for row in lines:
        words = row[0].split()
        done = run(*words, flags=["--approval", "never"], report=False)
        assert done.code == 126 and "gate" in done.err, row[0]


def test_a_script_that_is_started_by_its_path_is_looked_into(run, workspace):
    write(workspace / "publish", "#!/bin/sh\ngit push --force\n", 0o755)
    done = run("./publish", flags=["--approval", "never"])
    assert (done.code, done.cause) == (126, "refused") and "overwrites" in done.err
    rule = '[[rule]]\nprefix = ["make"]\ndecision = "forbid"\n'
    write(workspace / "build", "#!/bin/sh\nmake all\n", 0o755)
    assert run("./build", user=rule).cause == "refused"


# An agent's host.


def test_a_host_says_yes(run, workspace):
    with Host({"decision": "once"}) as host:
        done = host.ask(run, "git", "push", "--force", "x", flags=["--approval", "on-request"])
    assert done.cause == "exited" and len(host.questions) == 1
    assert host.questions[0]["command"] == ["git", "push", "--force", "x"]
    assert host.questions[0]["category"] == "delete"


def test_a_host_says_no_and_why(run):
    with Host({"decision": "no", "reason": "never on a Friday"}) as host:
        done = host.ask(run, "git", "push", "--force", flags=["--approval", "on-request"])
    assert (done.code, done.cause) == (126, "refused") and "never on a Friday" in done.err


def test_what_is_edited_is_decided_anew(run):
    edits = [{"decision": "edit", "command": ["git", "push", "--mirror"]},
             {"decision": "edit", "command": ["echo", "instead"]}]
    with Host(*edits) as host:
        done = host.ask(run, "git", "push", "--force", flags=["--approval", "on-request"])
    assert done.ok().out == "instead\n" and len(host.questions) == 2


@pytest.mark.parametrize("answer", [
    {"decision": "yes"}, {"decision": None}, {}, {"decision": "edit"},
    {"decision": "edit", "command": "rm -rf /"},
])
def test_an_answer_that_is_none_is_no(run, answer):
    with Host(answer) as host:
        done = host.ask(run, "git", "push", "--force", flags=["--approval", "on-request"])
    assert (done.code, done.cause) == (126, "refused")


def test_a_channel_that_is_not_there(run):
    done = run("true", flags=["--approvals", "fd:77"])
    assert done.code == 125 and "not an open descriptor" in done.err
    done = run("git", "push", "--force",
               flags=["--approval", "on-request", "--approvals", "/nonexistent/socket"])
    assert done.code in (125, 126) and "/nonexistent/socket" in done.err


def test_the_box_has_no_hand_on_the_channel(run):
    with Host({"decision": "once"}) as host:
        done = host.ask(run, "sh", "-c", "ls /proc/self/fd; git push --force 2>&1; true",
                        flags=["--approval", "on-request"])
    assert done.ok() and str(host.theirs.fileno() if host.theirs.fileno() > 2 else "x") \
        not in done.out.split()


# What is asked for beyond the box.


def test_a_grant_widens_by_exactly_that(run, tier, outside, workspace):
    inside, beside = outside / "granted", outside / "beside"
    inside.mkdir()
    beside.mkdir()
    script = f"echo x >{inside}/f; echo y >{beside}/f"
    flags = ["--isolation", tier, "--approval", "on-request", "--ask", f"write={inside}"]
    with Host({"decision": "once"}) as host:
        host.ask(run, "sh", "-c", script, flags=flags)
    assert (inside / "f").read_text() == "x\n" and not (beside / "f").exists()
    assert host.questions[0]["asks"] == [{"kind": "write", "value": str(inside)}]


def test_a_grant_in_a_read_only_box(run, tier, outside, workspace):
    script = f"echo x >{outside}/f; echo y >{workspace}/f"
    flags = ["--isolation", tier, "--mode", "read-only", "--approval", "on-request",
             "--ask", f"write={outside}"]
    with Host({"decision": "once"}, {"decision": "once"}) as host:
        host.ask(run, "sh", "-c", script, flags=flags)
    assert (outside / "f").read_text() == "x\n" and not (workspace / "f").exists()


def test_what_is_asked_for_is_asked_without_a_policy_too(run, outside):
    done = run("sh", "-c", f"echo x >{outside}/f", flags=["--ask", f"write={outside}"])
    assert done.cause == "refused" and not (outside / "f").exists()


def test_unsandboxed_is_asked_for_by_that_name(run, outside):
    with Host({"decision": "once"}, {"decision": "no"}) as host:
        host.ask(run, "mkdir", outside / "f", flags=["--ask", "unsandboxed"]).ok()
        (outside / "f").rmdir()
        done = host.ask(run, "mkdir", outside / "f", flags=["--ask", "unsandboxed"])
    assert done.cause == "refused" and not (outside / "f").exists()
    assert [q["category"] for q in host.questions] == ["unsandboxed"] * 2


@pytest.mark.parametrize("ask", ["", "writ=/x", "net=", "write", "unsandboxed=yes", "write=/a,,"])
def test_a_wish_that_is_none(run, ask):
    done = run("true", flags=["--ask", ask])
    assert done.code == 125 and "--ask" in done.err


# Rules.


def test_a_rule_forbids_whatever_was_typed(run):
    rule = '[[rule]]\nprefix = ["make"]\ndecision = "forbid"\nreason = "use ninja"\n'
    for command in [["make"], ["sh", "-c", "true; make"], ["env", "A=1", "make"]]:
        done = run(*command, user=rule)
        assert (done.code, done.cause) == (126, "refused") and "use ninja" in done.err


def test_a_rule_brings_its_grant_and_nothing_else(run, outside):
    rule = f'[[rule]]\nprefix = ["touch", "{outside}/a"]\ndecision = "allow"\n' \
           f'write = ["{outside}"]\n'
    assert run("touch", f"{outside}/a", user=rule).code == 0
    assert run("touch", f"{outside}/b").code != 0
    assert (outside / "a").exists() and not (outside / "b").exists()


def test_always_writes_the_rule(run, gate_environment):
    file = Path(gate_environment["XDG_CONFIG_HOME"]) / "coffer/coffer.toml"
    flags = ["--approval", "untrusted"]
    with Host({"decision": "always"}) as host:
        first = host.ask(run, "touch", "new", user="# mine\n", flags=flags)
    assert first.code == 0 and host.questions[0]["suggested_rule"]
    text = file.read_text()
    assert text.startswith("# mine\n") and "[[rule]]" in text
    assert run("touch", "new", flags=flags).code == 0
    assert run("mkdir", "other", flags=flags).cause == "refused"


# Hooks.


HOOK = """#!/bin/sh
read -r line
case $line in
*forbidden*) echo "not this one" >&2; exit 2 ;;
*PostToolUse*) echo '{"systemMessage": "seen afterwards"}' ;;
esac
"""


def trusted_hook(run_coffer, gate_environment, events):
    script = write(Path(gate_environment["HOME"]) / "hook", HOOK, 0o755)
    text = "".join(
        f'[[hook]]\nevent = "{event}"\nmatcher = "Bash"\ncommand = "{script}"\n'
        for event in events
    )
    write(Path(gate_environment["XDG_CONFIG_HOME"]) / "coffer/coffer.toml", text)
    return run_coffer("hooks", "trust", "--all", "--yes", env=gate_environment, report=False)


def test_hooks_see_a_run_before_and_after(run, run_coffer, gate_environment):
    assert trusted_hook(run_coffer, gate_environment, ["PreToolUse", "PostToolUse"]).code == 0
    done = run("echo", "fine")
    assert done.out == "fine\n" and "seen afterwards" in done.err
    done = run("echo", "forbidden")
    assert (done.code, done.cause) == (126, "refused") and "not this one" in done.err


# on-failure: what the box refused is offered once more.


def test_a_host_name_is_offered_after_the_failure(run, tier):
    script = "import socket; socket.create_connection(('registry.example.com', 443), 5)"
    command = ["/usr/bin/python3", "-c", script]
    flags = ["--isolation", tier, "--approval", "on-failure"]
    with Host({"decision": "no"}) as host:
        done = host.ask(run, *command, flags=flags)
    assert done.code == 1 and len(host.questions) == 1, done.err
    question = host.questions[0]
    assert question["category"] == "network" and question["after_failure"]
    assert question["asks"][0]["value"].startswith("registry.example.com")


def test_a_failure_of_its_own_is_no_refusal(run):
    with Host() as host:
        done = host.ask(run, "sh", "-c", "exit 3", flags=["--approval", "on-failure"])
    assert done.code == 3 and not host.questions


def test_coffers_files_are_its_own(run, gate_environment):
    """What decides is not written by what it decides about."""
    config = Path(gate_environment["XDG_CONFIG_HOME"]) / "coffer"
    run("true", user='approval = "on-request"\n')
    home = gate_environment["HOME"]
    run("sh", "-c", f"echo >>{config}/coffer.toml; rm -rf {home}/.cache/coffer",
        flags=["--write", home, "--approval", "granular:all=allow"])
    assert (config / "coffer.toml").read_text() == 'approval = "on-request"\n'
    cache = Path(gate_environment["XDG_CACHE_HOME"]) / "coffer"
    assert cache.is_dir() and not stat.S_IMODE(os.stat(cache).st_mode) & 0o077
