"""The question on a terminal, as a person sees it: in tmux, key by key."""

import contextlib
import json
import os
import re
import shlex
import signal
import subprocess
import time
from pathlib import Path

import pytest
import terminals as terminals_of
from support import COFFER, SLOWDOWN, need_program, process_exists, wait_until

ASK = COFFER.parent / "tests" / "unit" / "ask_person"


class Questions(terminals_of.Terminals):
    """A window for each question."""

    def ask(self, *words, columns=80, rows=40, **variables):
        """One question about a command, whose answer is result()."""
        return self.window(columns, rows, **variables).start(*words)


class Window(terminals_of.Window):
    def __init__(self, terminals, name, columns, rows, variables):
        super().__init__(terminals, name, columns, rows, variables)
        self.file = terminals.directory / f"{name}.json"

    def command(self, *words):
        return " ".join(shlex.quote(str(w)) for w in (ASK, "--result", self.file, *words))

    def start(self, *words):
        return self.run(f"stty -a > {self.file}.stty; {self.command(*words)}; echo END; cat")

    def page_to(self, pattern):
        """Turns the pages until the pattern is on the screen."""
        for _ in range(50):
            screen = self.expect(f"-- more|{pattern}")
            if "-- more" not in screen:
                return screen
            self.keys("Space")
            time.sleep(0.05)
        return pytest.fail(f"{pattern} is on none of 50 pages")

    def result(self, seconds=10):
        wait_until(lambda: self.file.exists() and self.file.read_text(), seconds, self.screen())
        answer = json.loads(self.file.read_text())
        assert answer["by"] in ("person", "nobody")
        return answer


Questions.window_class = Window


@pytest.fixture(scope="module")
def terminals(tmp_path_factory):
    need_program("tmux")
    assert ASK.exists(), f"{ASK} is not built"
    opened = Questions(tmp_path_factory.mktemp("prompt"), "coffer-prompt")
    yield opened
    opened.tmux("kill-server")


def pid_of(window):
    for name in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            words = Path(f"/proc/{name}/cmdline").read_bytes().split(b"\0")
            if words[0] == str(ASK).encode() and str(window.file).encode() in words:
                return int(name)
    return pytest.fail("nobody asks there")


def test_the_question_says_what_it_is_about(terminals):
    screen = terminals.ask(
        *("--net", "example.com:443", "--write", "/srv/out", "--before", "rm -i old"),
        *("--agent", "to clean up", "--", "rm", "-rf", "build dir"),
    ).ready()
    assert "coffer asks: may this run?" in screen
    assert "  | rm -rf 'build dir'\n" in screen
    assert "  in     /srv/project (workspace-write)\n" in screen
    assert "  wants  to reach example.com:443\n         to write below /srv/out\n" in screen
    assert "  why    rm -r removes a whole tree\n" in screen
    assert "  new    rm was approved before, but not with -rf, build dir\n" in screen
    assert "  agent  to clean up\n" in screen
    assert "a always" not in screen, "there is no rule to write"


def test_what_strangers_wrote_stays_in_its_place(terminals):
    fake = "x\n  why    nothing at all\r\x1b[2J\x1b[1;1H\u202egnp.exe\x9b31m\u200b"
    screen = terminals.ask("--agent", fake, "--", "echo", fake, "\u0430\u00a0b", "e\u0301").ready()
    assert screen.startswith("\ncoffer asks: may this run?\n"), "nothing was erased"
    assert r"$'x\n  why    nothing at all\015\033[2J\033[1;1H\U0000202egnp.exe\U0000009b31m" in (
        screen.replace("\n    ", "")
    )
    assert r"$'а\U000000a0b' $'e\U00000301'" in screen.replace("\n    ", "")
    assert "\n  why    nothing" not in screen
    assert r"         why    nothing at all\x0d\x1b[2J" in screen.replace("\n  agent  x", "")
    assert re.search(r"note   \d+ characters? beyond ASCII: U\+0430", screen)


ANSWERS = {
    "y": ("once", None),
    "s": ("session", None),
    "n": ("no", None),
    "q": ("stop", None),
    # What is no clear yes is a no.
    "Enter": ("no", "Enter alone"),
    "C-c": ("no", "interrupted"),
    "C-d": ("no", "end of file"),
    "Escape": ("no", "clear"),
    "Up": ("no", "clear"),
    "F1": ("no", "clear"),
    "x": ("no", "none of the answers"),
    "Y": ("no", "none of the answers"),
    "a": ("no", "none of the answers"),  # not offered here
    "Space": ("no", "clear"),
    "ü": ("no", "clear"),
}


def test_every_key_has_its_answer(terminals):
    windows = {key: terminals.ask("--", "rm", "-r", "x") for key in ANSWERS}
    for key, window in windows.items():
        window.ready()
        window.keys(key)
    for key, (answer, why) in ANSWERS.items():
        result = windows[key].result()
        assert (key, result["answer"]) == (key, answer)
        assert why is None or why in result["reason"], (key, result)


def test_a_key_may_have_enter_after_it(terminals):
    window = terminals.ask("--", "rm", "-r", "x")
    window.ready()
    window.typed("s\r")
    assert window.result()["answer"] == "session"


def test_without_a_session_nothing_is_for_it(terminals):
    window = terminals.ask("--one-shot", "--", "rm", "-r", "x")
    assert "session" not in window.ready()
    window.keys("s")
    assert window.result()["answer"] == "no"


def test_two_keys_at_once_are_no_answer(terminals):
    window = terminals.ask("--", "rm", "-r", "x")
    window.ready()
    window.typed("yy")
    assert window.result()["answer"] == "no"


def test_always_shows_the_rule_and_asks_again(terminals):
    command = ("--always", "npm", "--always", "run", "--net", "r.example", "--", "npm", "run")
    yes, no = terminals.ask(*command), terminals.ask(*command)
    for window in (yes, no):
        assert "a always" in window.ready()
        window.keys("a")
    for window in (yes, no):
        screen = window.expect(r"Write it\?[^\n]*\n> ?\s*\Z")
        assert '  [[rule]]\n  prefix = ["npm", "run"]\n  in = "/srv/project"\n' in screen
        assert '  network = ["r.example"]\n  decision = "allow"\n' in screen
        assert re.search(r"  # \d{4}-\d\d-\d\d, for: npm run\n", screen)
    yes.keys("y")
    assert yes.result()["answer"] == "always"
    no.keys("n")
    no.expect(r"not written\n\ny once[^>]*> ?\s*\Z")
    no.keys("y")
    assert no.result()["answer"] == "once"


def test_a_refusal_takes_its_reason_to_the_agent(terminals):
    window = terminals.ask("--", "rm", "-r", "x")
    window.ready()
    window.keys("r")
    window.expect("why, for the agent:")
    window.typed("use trash, nöt rm")
    window.keys("Enter")
    assert window.result() == {
        "answer": "no",
        "by": "person",
        "reason": "use trash, nöt rm",
        "command": [],
    }


def test_the_command_is_edited_in_place(terminals):
    window = terminals.ask("--", "rm", "-rf", "build dir")
    window.ready()
    window.keys("e")
    window.expect(r"new command: rm -rf 'build dir'")
    window.keys("Home", "Right", "Right", "C-k")
    window.typed(" -i")
    window.keys("Left", "BSpace", "End", "BSpace")
    window.typed("-v 'a b'")
    window.expect(r"new command: rm -v 'a b'")
    window.keys("Enter")
    result = window.result()
    assert result["answer"] == "edit"
    assert result["command"] == ["rm", "-v", "a b"]


def test_what_needs_a_shell_gets_one(terminals):
    piped, script = terminals.ask("--", "ls"), terminals.ask("--", "bash", "-c", "ls\nid")
    for window in (piped, script):
        window.ready()
        window.keys("e")
    piped.expect("new command: ls")
    piped.typed(" | head")
    piped.keys("Enter")
    script.expect(r"new command: ls\\x0aid")
    script.typed(" -u")
    script.keys("Enter")
    assert piped.result()["command"] == ["bash", "-c", "ls | head"]
    assert script.result()["command"] == ["bash", "-c", "ls\nid -u"]


def test_the_users_own_editor_edits(terminals, tmp_path):
    editor = tmp_path / "editor"
    editor.write_text('#!/bin/sh\ncat "$2" > "$1"; [ -t 0 ] && stty -a > "$1.stty"\n'
                      'sed -i s/x/y/ "$2"; echo edited\n')  # fmt: skip
    editor.chmod(0o755)
    window = terminals.ask("--", "rm", "x", EDITOR=f"{editor} {tmp_path}/seen")
    failing = terminals.ask("--", "rm", "x", VISUAL="false")
    window.ready()
    window.keys("e")
    result = window.result()
    assert result["command"] == ["rm", "y"]
    assert (tmp_path / "seen").read_text() == "rm x\n"
    assert re.search(r"(?<!-)\bicanon\b", (tmp_path / "seen.stty").read_text())

    failing.ready()
    failing.keys("e")
    failing.expect(r"not changed\n\ny once[^>]*> ?\s*\Z")


def test_what_was_typed_before_is_no_answer(terminals):
    window = terminals.open(None)
    window.run(f"echo WAIT; sleep 1; {window.command('--', 'rm', 'x')}; cat")
    window.expect("WAIT")
    window.typed("y\ry\r")  # before the question
    window.expect("coffer asks")
    window.keys("y")  # as it comes up: nobody can have read it
    window.ready()
    assert not window.file.exists()
    window.keys("n")
    assert window.result()["answer"] == "no"


def test_while_keys_keep_coming_nothing_is_taken(terminals):
    window = terminals.ask("--", "rm", "x")
    window.expect("coffer asks")
    end = time.monotonic() + 1.0
    while time.monotonic() < end:
        window.keys("y")
        time.sleep(0.02)
    assert not window.file.exists()
    window.ready()
    window.keys("s")
    assert window.result()["answer"] == "session"


def test_a_paste_is_no_answer(terminals):
    marked, unmarked = terminals.ask("--", "rm", "x"), terminals.ask("--", "rm", "x")
    terminals.tmux("set-buffer", "y")
    for window, flags in ((marked, ["-p"]), (unmarked, [])):
        window.ready()
        terminals.tmux("set-buffer", "y" if flags else "yes, do it\n")
        terminals.tmux("paste-buffer", *flags, "-t", window.name)
    assert unmarked.result()["answer"] == "no"
    assert not marked.file.exists()
    marked.keys("y")
    assert marked.result()["answer"] == "once"


def test_what_is_folded_away_cannot_be_approved_unseen(terminals):
    words = [f"word-{i}" for i in range(400)]
    window = terminals.ask("--", "echo", *words, "; rm -rf ~", rows=24)
    screen = window.ready()
    hidden = re.search(r"\.\.\. (\d+) characters more; v shows all of it", screen)
    assert hidden and int(hidden[1]) > 2000
    assert "rm -rf" not in screen
    window.keys("y")
    window.expect("not yet: this is all of it")
    screen = window.page_to(r"'; rm -rf ~'\n  in [^>]*^> ?\s*\Z")
    assert "see all of it" not in screen.rsplit("rm -rf", 1)[1]
    assert not window.file.exists()
    window.keys("y")
    assert window.result()["answer"] == "once"


def test_a_question_longer_than_the_screen_is_seen_before_it_is_answered(terminals):
    """Wishes cannot push the command off the screen, nor hide behind one another."""
    hosts = [f"h{i}.example" for i in range(30)]
    wishes = [word for host in hosts for word in ("--net", host)]
    tiny = terminals.ask("--", "rm", "-rf", "x", rows=6)
    window = terminals.ask(*wishes, "--agent", "a " * 999, "--", "rm", "-rf", "x", rows=24)
    screen = window.ready()
    assert "  | rm -rf x\n" in screen
    assert re.search(r"and \d\d more requests", screen)
    window.keys("s")
    window.expect("not yet: this is all of it")
    window.page_to(r"  a a a[a ]*\n\ny once[^>]*> ?\s*\Z")
    window.keys("s")
    assert window.result()["answer"] == "session"

    tiny.ready()
    tiny.keys("y")
    tiny.expect("-- more: any key")
    tiny.keys("q")
    tiny.ready()
    assert not tiny.file.exists(), "it was not read to its end"
    tiny.keys("v")
    tiny.expect("-- more: any key")
    tiny.page_to(r"why [^>]*^> ?\s*\Z")
    tiny.keys("y")
    assert tiny.result()["answer"] == "once"


def test_a_narrow_window_has_whole_rows(terminals):
    window = terminals.ask("--agent", "z" * 60, "--", "rm", "-rf", "a" * 50, columns=34)
    screen = window.ready()
    assert "  | rm -rf " + 22 * "a" + "\n    " + 28 * "a" + "\n" in screen
    assert "s for this session" in screen and "q no, and stop" in screen
    rows = [row for row in screen.split("\n") if "zz" in row]
    assert [row[:9] for row in rows] == ["  agent  "] + ["         "] * (len(rows) - 1)


def test_a_dumb_terminal_gets_plain_lines(terminals, tmp_path):
    yes = terminals.ask("--", "rm", "x", TERM="dumb")
    window = terminals.open(None, TERM="dumb")
    raw = tmp_path / "raw"
    window.run(f"echo WAIT; read x; {window.command('--', 'rm', 'xé')}; cat")
    terminals.tmux("pipe-pane", "-t", window.name, f"cat > {raw}")
    window.keys("Enter")
    window.ready()
    window.typed("sess")
    window.keys("BSpace", "BSpace", "BSpace", "Enter")
    assert window.result()["answer"] == "session"
    assert wait_until(lambda: b"for this session" in raw.read_bytes(), 5)
    shown = raw.read_bytes().split(b"coffer asks")[1].split(b"\n> ")[0]
    assert b"\x1b" not in shown and b"\x0f" not in shown

    yes.ready()
    yes.typed("yes")
    yes.keys("Enter")
    assert yes.result()["answer"] == "once"


def test_without_colour_or_utf8(terminals, tmp_path):
    window = terminals.open(None, NO_COLOR="1", LC_ALL="C")
    raw = tmp_path / "raw"
    window.run(f"echo WAIT; read x; {window.command('--', 'rm', 'é', chr(27))}; cat")
    terminals.tmux("pipe-pane", "-t", window.name, f"cat > {raw}")
    window.keys("Enter")
    screen = window.ready()
    assert r"rm $'\U000000e9' $'\033'" in screen
    assert wait_until(lambda: b"> " in raw.read_bytes(), 5)
    shown = raw.read_bytes().split(b"coffer asks")[1].split(b"\n> ")[0]
    assert b"\x1b[1m" not in shown and b"\x1b[7m" not in shown
    assert all(byte < 0x80 for byte in shown)
    window.keys("n")
    assert window.result()["answer"] == "no"


def test_two_questions_come_one_after_the_other(terminals):
    window = terminals.open(None)
    first, second = (terminals.directory / f"{name}.json" for name in ("first", "second"))
    window.run(f"{ASK} --result {first} -- cmd one & {ASK} --result {second} -- cmd two; wait; cat")
    screen = window.ready()
    assert screen.count("coffer asks") == 1, "the other one waits"
    asked = [first, second] if "cmd one" in screen else [second, first]
    time.sleep(0.3)
    assert window.screen() == screen
    window.keys("y")
    screen = window.expect(r"yes, once(.|\n)*coffer asks(.|\n)*^> ?\s*\Z")
    assert wait_until(lambda: asked[0].exists() and asked[0].read_text(), 5)
    assert not asked[1].exists()
    window.keys("q")
    assert wait_until(lambda: asked[1].exists() and asked[1].read_text(), 5)
    assert json.loads(asked[0].read_text())["answer"] == "once"
    assert json.loads(asked[1].read_text())["answer"] == "stop"


def test_another_program_has_the_terminal(terminals):
    window = terminals.open(None)
    window.run(
        f"stty raw -echo; {window.command('--', 'rm', 'x')}; stty -a > {window.file}.stty; cat"
    )
    single = terminals.open(None)
    single.run(f"stty raw -echo; {single.command('--', 'rm', 'x')}; cat")
    screen = window.ready()
    assert "note   another program has this terminal in raw mode" in screen
    assert "Type the whole word" in screen
    window.typed("yes\r")
    assert window.result()["answer"] == "once"
    after = terminals.directory / f"{window.name}.json.stty"
    assert wait_until(lambda: after.exists() and after.read_text(), 5)
    assert "-icanon" in after.read_text(), "it is the other program's again"

    single.ready()
    single.typed("y\r")
    assert single.result()["answer"] == "no"


def shell(terminals):
    window = terminals.open("PS1='$ ' exec bash --norc --noediting -i")
    window.expect(r"^\$ ?$")
    return window


def test_a_background_job_waits_for_the_foreground(terminals):
    window = shell(terminals)
    window.typed(window.command("--", "rm", "x") + " &\r")
    screen = window.expect("bring this job to the foreground")
    assert "coffer asks" not in screen
    window.typed("\r")
    window.expect(r"Stopped")
    window.typed("fg\r")
    window.ready()
    window.keys("y")
    assert window.result()["answer"] == "once"


def test_in_a_background_that_nobody_leaves_it_is_refused(terminals):
    window = shell(terminals)
    window.typed(f"(set -m; {window.command('--', 'rm', 'x')} & )\r")
    result = window.result()
    assert result["answer"] == "no"
    assert "no shell can" in result["reason"]
    assert "coffer asks" not in window.screen()


def test_it_can_be_suspended_and_asks_again(terminals):
    window = shell(terminals)
    window.typed(window.command("--", "rm", "x") + "\r")
    window.ready()
    window.keys("C-z")
    window.expect(r"Stopped(.|\n)*^\$ ?\s*\Z")
    window.typed("echo still-$((40+2))\r")
    window.expect("still-42")
    assert not window.file.exists()
    window.typed("clear; fg\r")
    window.expect(r"coffer asks(.|\n)*^> ?\s*\Z")
    window.keys("y")
    assert window.result()["answer"] == "once"


def test_the_terminal_is_itself_again_when_the_asker_is_killed(terminals):
    signals = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
    windows = [terminals.open(None) for _ in signals]
    for window in windows:
        window.run(
            f"stty -a > {window.file}.before; trap : INT; {window.command('--', 'rm', 'x')}; "
            f"sleep 0.5; stty -a > {window.file}.after; echo END; cat"
        )
    for window, number in zip(windows, signals, strict=True):
        window.ready()
        os.kill(pid_of(window), number)
    for window in windows:
        window.expect("END")
        before, after = (
            (terminals.directory / f"{window.name}.json.{when}").read_text()
            for when in ("before", "after")
        )
        assert before == after
        assert not window.file.exists(), "and no answer was made up"


def test_a_hang_up_is_a_no(terminals):
    window = terminals.open(None)
    window.run(f"trap '' HUP; {window.command('--', 'rm', 'x')}; sleep 30")
    plain = terminals.ask("--", "rm", "x")
    window.ready()
    pid = pid_of(window)
    terminals.tmux("kill-session", "-t", window.name)
    result = window.result()
    assert result["answer"] == "no"
    assert "gone" in result["reason"]
    assert wait_until(lambda: not process_exists(pid), 5)

    plain.ready()
    pid = pid_of(plain)
    terminals.tmux("kill-session", "-t", plain.name)
    assert wait_until(lambda: not process_exists(pid), 5)
    said = plain.file.read_text() if plain.file.exists() else ""
    assert not said or json.loads(said)["answer"] == "no"


def test_without_a_terminal_nobody_is_asked():
    done = subprocess.run(
        [ASK, "--", "rm", "x"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=10 * SLOWDOWN,
        start_new_session=True,
    )
    assert json.loads(done.stdout)["by"] == "nobody"
    assert json.loads(done.stdout)["answer"] == "no"


# The same through `coffer run`.


@pytest.fixture
def run(terminals, workspace, gate_environment):
    """`coffer run` in a window of its own; its exit code is on the screen at the end."""
    variables = {k: v for k, v in gate_environment.items() if k.startswith(("HOME", "XDG_"))}

    def run(*command, flags=("--approval", "on-request")):
        words = [COFFER, "run", "-q", *flags, "--", *command]
        line = " ".join(shlex.quote(str(word)) for word in words)
        return terminals.open(f"cd {workspace}; {line}; echo EXIT $?; cat", **variables)

    return run


FORCE = ("git", "push", "--force", "nowhere")


def test_run_asks_and_each_answer_counts(run):
    window = run(*FORCE)
    screen = window.ready()
    assert "  | git push --force nowhere\n" in screen
    assert "overwrites what has been pushed" in screen
    window.keys("y").expect(r"^EXIT (1|128)$")
    assert "fatal:" in window.screen()
    for key in ["n", "Enter", "C-d", "Escape", "q"]:
        window = run(*FORCE)
        window.ready()
        window.keys(key).expect(r"^EXIT 126$")
        assert "fatal:" not in window.screen()


def test_run_takes_an_edited_command(run):
    window = run(*FORCE)
    window.ready()
    window.keys("e").expect("new command: git push --force nowhere")
    window.keys("C-u").typed("echo edited").keys("Enter")
    window.expect(r"^edited$")
    window.expect(r"^EXIT 0$")


def test_run_writes_a_rule_that_is_seen_before(run, gate_environment):
    flags = ("--approval", "untrusted")
    window = run("touch", "new", flags=flags)
    window.ready()
    window.keys("a").expect('prefix = .*"touch"')
    window.ready()
    window.keys("y").expect(r"^EXIT 0$")
    file = Path(gate_environment["XDG_CONFIG_HOME"]) / "coffer/coffer.toml"
    assert 'prefix = ["touch"' in file.read_text()
    run("touch", "new", flags=flags).expect(r"^EXIT 0$")


def test_run_says_what_is_asked_for_beyond_the_box(run, outside):
    window = run("mkdir", outside / "made", flags=("--ask", f"write={outside}"))
    assert "to write below" in window.ready()
    window.keys("y").expect(r"^EXIT 0$")
    assert (outside / "made").is_dir()
