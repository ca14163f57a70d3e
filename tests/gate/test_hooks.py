"""Hooks, as a user has them: real scripts in Python and in shell, in real boxes, fired by
`coffer hooks test`."""

import json
import os
import pty
import re
import stat
import subprocess
import threading
import time
from pathlib import Path

import pytest
import support

EVENTS = [
    "SessionStart",
    "UserPromptSubmit",
    "PreToolUse",
    "PermissionRequest",
    "PostToolUse",
    "Stop",
    "SessionEnd",
    "PreCompact",
    "PostCompact",
    "SubagentStart",
    "SubagentStop",
]
# What exit 2 holds up, and where a hook that cannot answer does the same.
BLOCKS = {e for e in EVENTS} - {"SessionStart", "SessionEnd", "PostCompact", "SubagentStart"}
FAILS_CLOSED = {"PreToolUse", "PermissionRequest"}
STDOUT_IS_CONTEXT = {"SessionStart", "UserPromptSubmit"}


class Bench:
    """A workspace, a home of its own, and hooks in the user's coffer.toml."""

    def __init__(self, base):
        self.home = base / "home"
        self.workspace = support.make_repository(base / "workspace")
        self.config = self.home / "config" / "coffer" / "coffer.toml"
        self.config.parent.mkdir(parents=True)
        self.state = self.home / "state" / "coffer"
        self.env = {
            "HOME": self.home,
            "XDG_CONFIG_HOME": self.home / "config",
            "XDG_STATE_HOME": self.home / "state",
            "XDG_CACHE_HOME": self.home / "cache",
        }
        self.count = 0

    def coffer(self, *args, **keywords):
        return support.run_coffer(
            "hooks", *args, cwd=self.workspace, env=self.env, **{"report": False, **keywords}
        )

    def script(self, text, language="python", folder="scripts"):
        """An executable script in the workspace; its path as hooks name it."""
        self.count += 1
        name = f"hook{self.count}.{'py' if language == 'python' else 'sh'}"
        path = self.workspace / folder / name
        path.parent.mkdir(exist_ok=True)
        first = "#!/usr/bin/python3\n" if language == "python" else "#!/bin/sh\n"
        path.write_text(first + text)
        path.chmod(0o755)
        return path

    def add(self, event, command, **settings):
        """A hook, trusted."""
        lines = ["[[hook]]", f'event = "{event}"']
        if isinstance(command, list):
            lines.append(f"argv = {json.dumps([str(word) for word in command])}")
        else:
            lines.append(f"command = {json.dumps(str(command))}")
        trust = settings.pop("trust", True)
        for key, value in settings.items():
            lines.append(f"{key} = {json.dumps(value)}")
        with self.config.open("a") as file:
            file.write("\n".join(lines) + "\n\n")
        if trust:
            self.coffer("trust", "--all", "--yes").ok()

    def fire(self, event, *args, **keywords):
        """What all hooks of the event came to, with the exit code of coffer among it."""
        result = self.coffer("test", event, *args, "--json", **keywords)
        assert result.code in (0, support.REFUSED), result.describe()
        told = json.loads(result.out)
        told["code"] = result.code
        told["stderr"] = result.err
        assert (told["outcome"]["says"] == "deny") == (result.code == support.REFUSED)
        return told


@pytest.fixture
def bench(home_directory):
    return Bench(home_directory)


# The same answers in both languages. {event} is the event's name.
ANSWERS = {
    "go": {"python": "import sys; sys.stdin.read()\n", "shell": "cat >/dev/null\n"},
    "plain": {
        "python": "print('the build is red')\n",
        "shell": "echo 'the build is red'\n",
    },
    "context": {
        "python": "import json\nprint(json.dumps({{'hookSpecificOutput': {{"
        "'hookEventName': '{event}', 'additionalContext': 'mind the gap'}}}}))\n",
        "shell": """printf '{{"hookSpecificOutput":{{"hookEventName":"%s","""
        """"additionalContext":"mind the gap"}}}}' {event}\n""",
    },
    "block": {
        "python": "import sys\nprint('not today', file=sys.stderr)\nsys.exit(2)\n",
        "shell": "echo 'not today' >&2\nexit 2\n",
    },
    "stop": {
        "python": "import json\nprint(json.dumps({{'continue': False, 'stopReason': 'enough'}}))\n",
        "shell": """echo '{{"continue": false, "stopReason": "enough"}}'\n""",
    },
    "fails": {"python": "1 / 0\n", "shell": "exit 7\n"},
}


def check_answer(event, answer, outcome):
    if answer == "go":
        assert outcome["says"] == "nothing" and outcome["message"] is None
    elif answer == "plain":
        kept = "context" if event in STDOUT_IS_CONTEXT else "message"
        assert outcome[kept] == "the build is red"
        assert outcome["says"] == "nothing"
    elif answer == "context":
        assert outcome["context"] == "mind the gap"
        assert outcome["says"] == "nothing"
    elif answer == "block" and event in BLOCKS:
        assert (outcome["says"], outcome["reason"]) == ("deny", "not today")
    elif answer == "block":
        assert outcome["says"] == "nothing" and "not today" in outcome["message"]
    elif answer == "stop":
        assert outcome["stop"] and outcome["stop_reason"] == "enough"
        assert (outcome["says"] == "deny") == (event in FAILS_CLOSED)
    elif answer == "fails" and event in FAILS_CLOSED:
        assert outcome["says"] == "deny" and "exit code" in outcome["reason"]
        assert "coffer.toml" in outcome["reason"], "the reason says which hook"
    else:
        assert outcome["says"] == "nothing" and "exit code" in outcome["message"]


@pytest.mark.parametrize("language", ["python", "shell"])
@pytest.mark.parametrize("event", EVENTS)
def test_every_event_every_answer(bench, event, language):
    for texts in ANSWERS.values():
        bench.add(event, bench.script(texts[language].format(event=event), language), trust=False)
    bench.coffer("trust", "--all", "--yes").ok()
    told = bench.fire(event)
    assert told["ran"] == len(ANSWERS)
    for answer, outcome in zip(ANSWERS, told["hooks"], strict=True):
        check_answer(event, answer, outcome)
    assert (told["outcome"]["says"] == "deny") == (event in BLOCKS)
    assert told["outcome"]["context"].endswith("mind the gap")


def test_what_a_hook_gets(bench):
    script = bench.script(
        "import json, os, sys\n"
        "told = json.load(sys.stdin)\n"
        "told['cwd_is'] = os.getcwd()\n"
        "told['project'] = os.environ['CLAUDE_PROJECT_DIR']\n"
        "told['event'] = os.environ['COFFER_HOOK_EVENT']\n"
        "print('context: ' + json.dumps(told))\n"
    )
    bench.add("UserPromptSubmit", script)
    told = bench.fire("UserPromptSubmit", "--input", json.dumps({"prompt": "naïve \x1b[2J"}))
    got = json.loads(told["outcome"]["context"].removeprefix("context: "))
    assert got["prompt"] == "naïve \x1b[2J"
    assert got["hook_event_name"] == got["event"] == "UserPromptSubmit"
    assert got["session_id"] and got["permission_mode"] == "default"
    assert got["transcript_path"] is None
    assert got["cwd"] == got["cwd_is"] == got["project"] == str(bench.workspace)


@pytest.mark.parametrize("language", ["python", "shell"])
@pytest.mark.parametrize("verdict", ["allow", "ask", "deny"])
def test_pre_tool_use_verdicts(bench, verdict, language):
    answer = json.dumps(
        {
            "hookSpecificOutput": {
                "hookEventName": "PreToolUse",
                "permissionDecision": verdict,
                "permissionDecisionReason": "as it is",
            }
        }
    )
    text = f"print('''{answer}''')\n" if language == "python" else f"echo '{answer}'\n"
    bench.add("PreToolUse", bench.script(text, language), matcher="Bash")
    outcome = bench.fire("PreToolUse")["outcome"]
    assert (outcome["says"], outcome["reason"]) == (verdict, "as it is")


def test_modify(bench):
    script = bench.script(
        "import json, sys\n"
        "event = json.load(sys.stdin)\n"
        "given = event['tool_input']\n"
        "given['command'] = 'nice ' + given['command']\n"
        "print(json.dumps({'hookSpecificOutput': {'hookEventName': 'PreToolUse',"
        " 'permissionDecision': 'allow', 'updatedInput': given}}))\n"
    )
    bench.add("PreToolUse", script)
    told = bench.fire("PreToolUse", "--input", '{"command": "make", "description": "d"}')
    assert told["outcome"]["updated_input"] == {"command": "nice make", "description": "d"}


def test_permission_request(bench):
    answers = [("allow", {}), ("deny", {"message": "no"}), ("deny", {"interrupt": True})]
    for behavior, extra in answers:
        bench.config.write_text("")
        answer = {
            "hookSpecificOutput": {
                "hookEventName": "PermissionRequest",
                "decision": {"behavior": behavior, **extra},
            }
        }
        bench.add("PermissionRequest", bench.script(f"print('''{json.dumps(answer)}''')\n"))
        outcome = bench.fire("PermissionRequest")["outcome"]
        assert outcome["says"] == behavior
        assert outcome["stop"] == ("interrupt" in extra)
        if "message" in extra:
            assert outcome["reason"] == "no"


def test_matchers(bench):
    bench.add("PreToolUse", bench.script("print('all')\n"), matcher="*")
    bench.add("PreToolUse", bench.script("print('files')\n"), matcher="Edit|Write")
    bench.add("PreToolUse", bench.script("print('server')\n"), matcher="mcp__.*")
    assert bench.fire("PreToolUse", "--tool", "Bash")["outcome"]["message"] == "all"
    assert bench.fire("PreToolUse", "--tool", "Edit")["outcome"]["message"] == "all\nfiles"
    assert bench.fire("PreToolUse", "--tool", "Edits")["outcome"]["message"] == "all"
    assert bench.fire("PreToolUse", "--tool", "edit")["outcome"]["message"] == "all"
    assert bench.fire("PreToolUse", "--tool", "mcp__a__b")["outcome"]["message"] == "all\nserver"


def test_a_matcher_that_is_none_is_named(bench):
    bench.add("PreToolUse", bench.script(""), matcher="(", trust=False)
    result = bench.coffer("test", "PreToolUse")
    assert result.code == support.SETUP_FAILED
    assert "matcher" in result.err


def test_a_program_that_is_not_there_is_named(bench):
    bench.add("PreToolUse", bench.home / "gone.sh", trust=False)
    result = bench.coffer("test", "PreToolUse")
    assert result.code == support.SETUP_FAILED
    assert "gone.sh" in result.err and "coffer.toml" in result.err


def test_a_hook_of_another_project_waits(bench):
    """The user's hooks are for every workspace, and the script may be in one of them only."""
    bench.add("PreToolUse", '"$CLAUDE_PROJECT_DIR"/.claude/hooks/there.sh', trust=False)
    assert bench.fire("PreToolUse")["ran"] == 0
    assert "there.sh" in bench.coffer("list").ok().out
    result = bench.coffer("trust", "1", "--yes")
    assert result.code == support.SETUP_FAILED and "not there" in result.err


# Hooks that cannot answer.

MISBEHAVIOUR = {
    "signal": ("import os\nos.kill(os.getpid(), 11)\n", "signal 11"),
    "garbage": ('print(\'{"hookSpecificOutput": {"permissionDecision": "al\')\n', "malformed JSON"),
    "list": ("print('[1, 2]')\n", "no object"),
    "verdict": (
        "print('{\"hookSpecificOutput\": {\"hookEventName\": \"%s\",'\n"
        "' \"permissionDecision\": \"perhaps\", \"decision\": {\"behavior\": \"perhaps\"}}}')\n",
        "neither|none of",
    ),
    "other event": (
        'print(\'{"hookSpecificOutput": {"hookEventName": "Nap"}}\')\n',
        "hookEventName",
    ),
    "words before": ("print('debug: 1')\nprint('{\"decision\": \"block\"}')\n", "beside its JSON"),
    "flood": ("import os\nwhile True: os.write(1, b'x' * 65536)\n", "more than"),
    "flood of 100 MB": (
        "import os\nfor _ in range(1600): os.write(2, b'x' * 65536)\n",
        "more than",
    ),
}


@pytest.mark.parametrize("box", [True, False], ids=["boxed", "unboxed"])
@pytest.mark.parametrize("event", ["PreToolUse", "PermissionRequest", "PostToolUse"])
def test_what_cannot_answer_blocks(bench, event, box):
    for text, _ in MISBEHAVIOUR.values():
        text = text % event if "%s" in text else text
        bench.add(event, bench.script(text), box=box, trust=False)
    bench.coffer("trust", "--all", "--yes").ok()
    told = bench.fire(event)
    for (_, said), outcome in zip(MISBEHAVIOUR.values(), told["hooks"], strict=True):
        if event in FAILS_CLOSED:
            assert outcome["says"] == "deny" and re.search(said, outcome["reason"])
        elif said not in ("neither|none of", "beside its JSON"):
            assert outcome["says"] == "nothing" and re.search(said, outcome["message"])


def test_on_error_allow(bench):
    bench.add("PreToolUse", bench.script("1 / 0\n"), on_error="allow")
    outcome = bench.fire("PreToolUse")["outcome"]
    assert outcome["says"] == "nothing"
    assert "exit code 1" in outcome["message"] and "on_error" in outcome["message"]


def alive(marker):
    """Processes of the host whose arguments hold marker."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if marker.encode() in (entry / "cmdline").read_bytes():
                    found.append(int(entry.name))
            except OSError:
                continue
    return found


@pytest.mark.parametrize("box", [True, False], ids=["boxed", "unboxed"])
def test_a_hang_that_ignores_term_is_ended(bench, box):
    marker = f"hang-{os.getpid()}-{time.monotonic_ns()}"
    script = bench.script("trap '' TERM HUP INT\nwhile :; do sleep 1; done\n", "shell")
    bench.add("PreToolUse", [script, marker], timeout="500ms", box=box)
    started = time.monotonic()
    outcome = bench.fire("PreToolUse")["outcome"]
    assert outcome["says"] == "deny" and "in time" in outcome["reason"]
    assert time.monotonic() - started < 10 * support.SLOWDOWN
    assert not alive(marker)


@pytest.mark.parametrize("box", [True, False], ids=["boxed", "unboxed"])
def test_a_daemon_that_a_hook_leaves_is_dead(bench, box):
    marker = f"daemon-{os.getpid()}-{time.monotonic_ns()}"
    script = bench.script(
        "import os, signal, sys, time\n"
        "if os.fork() == 0:\n"
        "    os.setsid()\n"
        "    if os.fork() == 0:\n"
        "        for number in (1, 2, 15):\n"
        "            signal.signal(number, signal.SIG_IGN)\n"
        "        time.sleep(600)\n"
        "    os._exit(0)\n"
        "os.wait()\n"
        "print('left one behind')\n"
    )
    bench.add("SessionStart", [script, marker], box=box)
    started = time.monotonic()
    outcome = bench.fire("SessionStart")["outcome"]
    assert outcome["context"] == "left one behind"
    # It holds stdout open: waiting for its end would be waiting for the time-out.
    assert time.monotonic() - started < 20 * support.SLOWDOWN
    assert not alive(marker)


@pytest.mark.parametrize("box", [True, False], ids=["boxed", "unboxed"])
def test_a_hook_does_not_outlive_whoever_fired_it(bench, box):
    marker = f"orphan-{os.getpid()}-{time.monotonic_ns()}"
    script = bench.script("trap '' TERM\nsleep 600 &\nwhile :; do sleep 1; done\n", "shell")
    bench.add("PreToolUse", [script, marker], box=box)
    process = subprocess.Popen(
        [support.COFFER, "hooks", "test", "PreToolUse"],
        cwd=bench.workspace,
        env={**os.environ, **{name: str(value) for name, value in bench.env.items()}},
        stdout=subprocess.DEVNULL,
    )
    support.wait_until(lambda: alive(marker), 20, "the hook's start")
    process.kill()
    process.wait()
    support.wait_until(lambda: not alive(marker), 20, "the hook's end")


# Trust.


def test_untrusted_hooks_wait(bench):
    bench.add("PreToolUse", bench.script("import sys; sys.exit(2)\n"), trust=False)
    told = bench.fire("PreToolUse")
    assert told["ran"] == 0 and told["outcome"]["says"] == "nothing"
    assert "waits for trust" in told["stderr"]
    listed = json.loads(bench.coffer("list", "--json").ok().out)
    assert [hook["standing"] for hook in listed] == ["waiting"]
    bench.coffer("trust", "1", "--yes").ok()
    assert bench.fire("PreToolUse")["outcome"]["says"] == "deny"


def test_trust_shows_what_it_covers(bench):
    script = bench.script("print('hi \\x1b[31m')\n# \x1b]0;evil\x07 \u202e\n")
    bench.add("SessionStart", f'python3 "$CLAUDE_PROJECT_DIR"/scripts/{script.name}', trust=False)
    result = bench.coffer("trust", "1", "--yes").ok()
    assert str(script) in result.out and "print('hi" in result.out
    assert "\x1b" not in result.out and "\\x1b]0;evil" in result.out
    assert "\u202e" not in result.out


def test_trust_needs_somebody(bench):
    bench.add("SessionStart", bench.script(""), trust=False)
    result = bench.coffer("trust", "1")  # in a session of its own: no terminal
    assert result.code == support.SETUP_FAILED and "--yes" in result.err
    assert bench.coffer("trust", "--yes").code == support.SETUP_FAILED
    assert bench.coffer("trust", "7", "--yes").code == support.SETUP_FAILED


def answer_on_a_terminal(bench, words):
    """`coffer hooks trust` with a terminal of its own, on which each question gets the next word;
    the exit code and what was seen."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(bench.workspace)
        environment = {**os.environ, **{name: str(value) for name, value in bench.env.items()}}
        os.execve(support.COFFER, ["coffer", "hooks", "trust"], environment)
    seen, words = b"", list(words)
    while True:
        try:
            seen += os.read(terminal, 65536)
        except OSError:
            break
        if words and seen.endswith(b"[y/N] "):
            os.write(terminal, words.pop(0).encode() + b"\n")
    _, status = os.waitpid(pid, 0)
    os.close(terminal)
    return os.waitstatus_to_exitcode(status), seen.decode()


def test_trust_asks_on_the_terminal(bench):
    bench.add("SessionStart", bench.script("print('one')\n"), trust=False)
    bench.add("SessionStart", bench.script("print('two')\n"), trust=False)
    code, seen = answer_on_a_terminal(bench, ["n", "y"])
    assert code == 1, "one of them is not trusted"
    assert "print('one')" in seen and "print('two')" in seen
    assert bench.fire("SessionStart")["outcome"]["context"] == "two"
    code, seen = answer_on_a_terminal(bench, ["yes"])
    assert code == 0 and "print('two')" not in seen, "what is trusted is not asked about"
    assert bench.fire("SessionStart")["outcome"]["context"] == "one\n\ntwo"


@pytest.mark.parametrize("how", ["path", "interpreter", "variable", "argv"])
def test_changed_after_trust(bench, how):
    script = bench.script("print('as trusted')\n")
    command = {
        "path": f"scripts/{script.name} --all",
        "interpreter": f"/usr/bin/python3 -u {script}",
        "variable": f'cd / && "$CLAUDE_PROJECT_DIR"/scripts/{script.name}',
        "argv": ["python3", script],
    }[how]
    bench.add("SessionStart", command)
    assert bench.fire("SessionStart")["outcome"]["context"] == "as trusted"
    script.write_text("#!/usr/bin/python3\nprint('as changed')\n")
    told = bench.fire("SessionStart")
    assert told["ran"] == 0 and "waits for trust" in told["stderr"]
    bench.coffer("trust", "--all", "--yes").ok()
    assert bench.fire("SessionStart")["outcome"]["context"] == "as changed"


def test_changed_words_are_another_hook(bench):
    script = bench.script("print('hi')\n")
    bench.add("SessionStart", f"{script} one")
    text = bench.config.read_text()
    for changed in [
        text.replace(" one", " two"),
        text.replace("SessionStart", "Stop"),
        text + "box = false\n",
    ]:
        bench.config.write_text(changed)
        listed = json.loads(bench.coffer("list", "--json").ok().out)
        assert [hook["standing"] for hook in listed] == ["waiting"]
    bench.config.write_text(text)
    assert bench.fire("SessionStart")["ran"] == 1


def test_changed_between_check_and_run(bench):
    """Somebody puts another script in the hook's place and back, all the time: what was not
    trusted never runs."""
    trusted = "#!/usr/bin/python3\nprint('as trusted')\n"
    script = bench.script("")
    script.write_text(trusted)
    bench.add("SessionStart", script)
    stop = threading.Event()

    def swap():
        other = bench.workspace / "other.py"
        for turn in range(10**9):
            other.write_text(trusted if turn % 2 else "#!/usr/bin/python3\nprint('as changed')\n")
            other.chmod(0o755)
            os.rename(other, script)
            if stop.is_set():
                return

    thread = threading.Thread(target=swap)
    thread.start()
    ran = waited = 0
    try:
        for _ in range(100):
            if ran and waited:
                break
            result = bench.coffer("test", "SessionStart", "--json")
            if result.code == support.SETUP_FAILED:
                continue
            told = json.loads(result.out)
            assert "as changed" not in result.out, result.describe()
            ran += told["outcome"]["context"] == "as trusted"
            waited += told["ran"] == 0
    finally:
        stop.set()
        thread.join()
    script.write_text(trusted)
    script.chmod(0o755)
    assert bench.fire("SessionStart")["outcome"]["context"] == "as trusted"
    assert ran and waited, "both were met"


def test_a_link_to_the_systems_own_cannot_be_swapped(bench):
    """The interpreter is a link in the workspace, as in a virtual environment: what it led to when
    the hook was looked at is what runs."""
    link = bench.workspace / "env-python"
    link.symlink_to("/usr/bin/python3")
    script = bench.script("import sys\nprint(sys.executable)\n")
    bench.add("SessionStart", [link, script])
    assert "/usr/bin/python3" in bench.fire("SessionStart")["outcome"]["context"]
    link.unlink()
    link.symlink_to(bench.script("echo swapped\n", "shell"))
    assert bench.fire("SessionStart")["ran"] == 0


@pytest.mark.parametrize("language", ["python", "shell"])
def test_scripts_beside_a_script(bench, language):
    """What lies in the same directory called hooks is found, and trusted with it."""
    helper = bench.workspace / ".claude" / "hooks" / "lib" / "helper.py"
    helper.parent.mkdir(parents=True)
    if language == "python":
        script = bench.script("from lib import helper\nhelper.main()\n", folder=".claude/hooks")
        trusted, changed = "def main(): print('as trusted')\n", "def main(): print('changed')\n"
    else:
        helper = helper.with_name("helper.sh")
        text = '. "$(dirname "$0")/lib/helper.sh"\n'
        script = bench.script(text, "shell", folder=".claude/hooks")
        trusted, changed = "echo as trusted\n", "echo changed\n"
    helper.write_text(trusted)
    bench.add("SessionStart", f'"$CLAUDE_PROJECT_DIR"/.claude/hooks/{script.name}')
    assert bench.fire("SessionStart")["outcome"]["context"] == "as trusted"
    (helper.parent / "run.log").write_text("no script\n")
    assert bench.fire("SessionStart")["ran"] == 1
    helper.write_text(changed)
    assert bench.fire("SessionStart")["ran"] == 0
    helper.write_text(trusted)
    assert bench.fire("SessionStart")["ran"] == 1
    helper.with_name("more").write_text("")
    assert bench.fire("SessionStart")["ran"] == 0


def test_copies_that_nobody_uses_go(bench):
    script = bench.script("print('one')\n")
    bench.add("SessionStart", script)
    bench.fire("SessionStart")
    copies = bench.state / "hooks" / "copies"
    (old,) = copies.iterdir()
    script.write_text("#!/usr/bin/python3\nprint('two')\n")
    bench.coffer("trust", "--all", "--yes").ok()
    bench.fire("SessionStart")
    assert old.exists() and len(list(copies.iterdir())) == 2
    month_ago = time.time() - 31 * 24 * 3600
    os.utime(old, (month_ago, month_ago))
    bench.coffer("trust", "1", "--yes").ok()
    assert not old.exists() and len(list(copies.iterdir())) == 1
    assert bench.fire("SessionStart")["outcome"]["context"] == "two"


def fire_with_system_files(bench, base, files, event="PreToolUse"):
    """What an event comes to with these files in /etc/coffer, which is made for it in a mount
    namespace of its own."""
    support.need_root()
    upper, work = base / "upper", base / "work"
    work.mkdir()
    for name, text in files.items():
        path = upper / "coffer" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o755 if text.startswith("#!") else 0o644)
    mount = f"mount -t overlay overlay -o lowerdir=/etc,upperdir={upper},workdir={work} /etc"
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", mount + ' && exec "$@"', "sh", support.COFFER]
        + ["hooks", "test", event, "--json"],
        cwd=bench.workspace,
        env={**os.environ, **{name: str(value) for name, value in bench.env.items()}},
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert done.returncode in (0, support.REFUSED), done.stderr
    return {**json.loads(done.stdout), "stderr": done.stderr}


GUARD = "#!/bin/sh\necho managed: no >&2\nexit 2\n"
GUARD_HOOK = '[[hook]]\nevent = "PreToolUse"\ncommand = "/etc/coffer/guard"\n'


def test_managed_hooks_need_no_trust(bench, home_directory):
    bench.add("PreToolUse", 'echo "the user\'s own"')
    files = {"guard": GUARD, "coffer.toml": GUARD_HOOK}
    told = fire_with_system_files(bench, home_directory, files)
    assert told["ran"] == 2
    assert told["outcome"]["reason"] == "managed: no"
    assert told["outcome"]["message"] == "the user's own"


def test_only_managed_hooks(bench, home_directory):
    bench.add("PreToolUse", "echo mine")
    files = {
        "guard": GUARD,
        "coffer.toml": GUARD_HOOK,
        "requirements.toml": "managed_hooks_only = true\n",
    }
    told = fire_with_system_files(bench, home_directory, files)
    assert told["ran"] == 1 and told["outcome"]["message"] is None
    assert "only managed" in told["stderr"]


def test_requirements_may_forbid_hooks_without_a_box(bench, home_directory):
    bench.add("PreToolUse", "echo mine", box=False)
    files = {"requirements.toml": 'modes = ["read-only", "workspace-write"]\n'}
    told = fire_with_system_files(bench, home_directory, files)
    assert told["ran"] == 0
    assert told["outcome"]["says"] == "deny" and "requirements.toml" in told["outcome"]["reason"]


# Together.


def test_the_gravest_wins(bench):
    def verdict(word, pause):
        answer = {"hookSpecificOutput": {"hookEventName": "PreToolUse", "permissionDecision": word,
                                         "permissionDecisionReason": f"says {word}"}}
        return bench.script(
            f"import time\ntime.sleep({pause})\nprint('''{json.dumps(answer)}''')\n"
        )

    bench.add("PreToolUse", verdict("allow", 0))
    bench.add("PreToolUse", verdict("deny", 0.2))
    bench.add("PreToolUse", verdict("ask", 0.1))
    told = bench.fire("PreToolUse")
    assert [hook["says"] for hook in told["hooks"]] == ["allow", "deny", "ask"]
    assert (told["outcome"]["says"], told["outcome"]["reason"]) == ("deny", "says deny")


def test_two_different_inputs_are_refused(bench):
    for command in ("one", "two"):
        answer = {"hookSpecificOutput": {"hookEventName": "PreToolUse",
                                         "updatedInput": {"command": command}}}
        bench.add("PreToolUse", bench.script(f"print('''{json.dumps(answer)}''')\n"))
    outcome = bench.fire("PreToolUse")["outcome"]
    assert outcome["says"] == "deny" and "different inputs" in outcome["reason"]
    assert outcome["updated_input"] is None


def test_hooks_of_one_event_run_at_the_same_time(bench, outside):
    """Each waits for all the others to have begun."""
    text = (
        "echo > {0}/begun-{1}\n"
        "while [ $(ls {0} | grep -c begun) -lt 4 ]; do sleep 0.05; done\n"
        "echo {1}\n"
    )
    for number in range(4):
        script = bench.script(text.format(outside, number), "shell")
        bench.add("SessionStart", script, write=[str(outside)], timeout="20s")
    told = bench.fire("SessionStart")
    assert told["outcome"]["context"].split() == ["0", "1", "2", "3"], "in the order of the files"


def test_more_hooks_than_run_at_once(bench):
    """Nothing is lost when there are more than run at one time (8)."""
    bench.add("SessionStart", bench.script("cat >/dev/null\n", "shell"), trust=False)
    for number in range(12):
        bench.add("SessionStart", f"echo {number}", trust=False)
    bench.coffer("trust", "--all", "--yes").ok()
    told = bench.fire("SessionStart")
    assert told["outcome"]["context"].split() == [str(number) for number in range(12)]
    assert told["ran"] == 13


# The box.


def test_a_boxed_hook_writes_nothing_outside(bench, outside):
    script = bench.script(
        "import os, socket, sys\n"
        "refused = []\n"
        f"for path in ['x', '{bench.home}/x', '{outside}/sentinel', '{bench.state}/x',\n"
        f"        '{bench.config}', '{bench.workspace}/scripts/x']:\n"
        "    try:\n"
        "        open(path, 'a').write('x')\n"
        "    except OSError:\n"
        "        refused.append(path)\n"
        "try:\n"
        "    socket.create_connection(('127.0.0.1', 9), 2)\n"
        "except OSError:\n"
        "    pass\n"
        "open(os.path.join(os.environ['COFFER_HOOK_STATE'], 'log'), 'a').write('seen\\n')\n"
        "print(len(refused), open('README').read().strip())\n"
    )
    bench.add("SessionStart", script)
    assert bench.fire("SessionStart")["outcome"]["context"] == "6 a file"
    assert bench.fire("SessionStart")["ran"] == 1
    assert (outside / "sentinel").read_text() == "untouched\n"
    assert not (bench.workspace / "x").exists()
    logs = list((bench.state / "hooks" / "state").glob("*/log"))
    assert [log.read_text() for log in logs] == ["seen\nseen\n"], "its own directory, kept"
    assert stat.S_IMODE(logs[0].parent.stat().st_mode) == 0o700


def test_write_opens_one_directory(bench, outside):
    text = f"echo more >> {outside}/log && echo written || echo refused\n"
    bench.add("SessionStart", bench.script(text, "shell"))
    assert bench.fire("SessionStart")["outcome"]["context"] == "refused"
    bench.config.write_text("")
    bench.add("SessionStart", bench.script(text, "shell"), write=[str(outside)])
    assert bench.fire("SessionStart")["outcome"]["context"] == "written"
    assert (outside / "log").read_text() == "more\n"


def test_an_unboxed_hook_writes(bench, outside):
    bench.add("SessionStart", bench.script(f"echo > {outside}/made\n", "shell"), box=False)
    assert bench.fire("SessionStart")["ran"] == 1
    assert (outside / "made").exists()


def test_programs_of_the_workspace_are_not_found_by_path(bench):
    fake = bench.workspace / "bin" / "jq"
    fake.parent.mkdir()
    fake.write_text("#!/bin/sh\necho fake\n")
    fake.chmod(0o755)
    bench.add("SessionStart", "command -v jq || echo none")
    bench.env["PATH"] = f"{fake.parent}:.:/usr/bin:/bin"
    assert str(fake) not in bench.fire("SessionStart")["outcome"]["context"]


@pytest.mark.parametrize("box", [True, False], ids=["boxed", "unboxed"])
def test_modules_of_the_workspace_are_not_found(bench, box):
    """What a box may have put beside the work is no part of a hook."""
    planted = "import sys\nsys.stdout.write('planted ')\n"
    (bench.workspace / "json.py").write_text(planted)
    (bench.workspace / "src" / "colorsys.py").write_text(planted)
    for name, text in [("evil.js", "console.log('planted')"), ("evil.sh", "echo planted\n")]:
        (bench.workspace / name).write_text(text)
    bench.env["PYTHONPATH"] = f"{bench.workspace}/src:src:."
    bench.env["NODE_OPTIONS"] = f"--require {bench.workspace}/evil.js"
    bench.env["BASH_ENV"] = f"{bench.workspace}/evil.sh"
    bench.add("SessionStart", "python3 -c 'import json, colorsys; print(\"line\")'", box=box)
    bench.add("SessionStart", bench.script("import json, colorsys\nprint('script')\n"), box=box)
    told = bench.fire("SessionStart")
    assert told["outcome"]["context"].split() == ["line", "script"]


def test_no_reading_of_stdin_holds_up_nobody(bench):
    bench.add("UserPromptSubmit", bench.script("exit 0\n", "shell"))
    prompt = json.dumps({"prompt": "x" * 3000000})
    told = bench.fire("UserPromptSubmit", "--input", "-", stdin=prompt)
    assert told["outcome"]["says"] == "nothing" and told["ran"] == 1


def test_a_large_event_arrives_whole(bench):
    bench.add("UserPromptSubmit", "wc -c")
    prompt = json.dumps({"prompt": "x" * 3000000})
    told = bench.fire("UserPromptSubmit", "--input", "-", stdin=prompt)
    assert int(told["outcome"]["context"]) > 3000000


def test_output_is_shown_without_control_codes(bench):
    bench.add("SessionStart", bench.script("printf 'a\\033[2Jb\\377c\\n'\n", "shell"))
    result = bench.coffer("test", "SessionStart", binary=True)
    assert b"\x1b" not in result.out and b"\xff" not in result.out
    assert "a\ufffd[2Jb\ufffdc".encode() in result.out


def test_mistakes_on_the_command_line(bench):
    for args, said in [
        (["test", "PreToolUs"], "did you mean PreToolUse"),
        (["test", "PreToolUse", "--input", "{"], "no JSON object"),
        (["test"], "usage"),
        (["lst"], "did you mean `coffer hooks list`"),
        (["list", "--jsn"], "usage"),
    ]:
        result = bench.coffer(*args)
        assert result.code == support.SETUP_FAILED and said in result.err, result.describe()
    assert "prompt-scanner" in bench.coffer("list").ok().out
