"""A box on a terminal: pagers, job control, the window's size, and the terminal afterwards."""

import contextlib
import errno
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time

import pytest
from support import COFFER, IS_ROOT, SLOWDOWN, need_program, process_exists, wait_until

PROMPT = "ready> "


class Terminal:
    """A terminal with one program on it, and everything that it showed."""

    def __init__(self, *command, cwd, rows=24, columns=80):
        self.shown = ""
        # The other end stays open here: the terminal outlives whatever runs on it.
        self.master, self.slave = pty.openpty()
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.process = subprocess.Popen(
            [str(word) for word in command],
            stdin=self.slave,
            stdout=self.slave,
            stderr=self.slave,
            cwd=cwd,
            env={**os.environ, "TERM": "xterm", "PS1": PROMPT, "INPUTRC": "/dev/null"},
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )

    def close(self):
        for descriptor in (self.master, self.slave):
            os.close(descriptor)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def read(self, seconds):
        if select.select([self.master], [], [], seconds)[0]:
            try:
                self.shown += os.read(self.master, 65536).decode("utf-8", "replace")
            except OSError as e:
                if e.errno != errno.EIO:
                    raise

    def type(self, text):
        os.write(self.master, text.encode())

    def expect(self, pattern, seconds=10):
        """Waits until pattern was shown, and forgets everything up to its end."""
        end = time.monotonic() + seconds * SLOWDOWN
        while not (found := re.search(pattern, self.shown)):
            left = end - time.monotonic()
            if left <= 0:
                pytest.fail(f"{pattern!r} did not come; the terminal shows:\n{self.shown!r}")
            self.read(min(left, 0.2))
        self.shown = self.shown[found.end() :]
        return found

    def end(self, seconds=10):
        """Waits for the program's end; its exit code."""
        end = time.monotonic() + seconds * SLOWDOWN
        while self.process.poll() is None:
            if time.monotonic() > end:
                pytest.fail(f"no end; the terminal shows:\n{self.shown!r}")
            self.read(0.05)
        return self.process.returncode

    def settings(self):
        return termios.tcgetattr(self.slave)

    def resize(self, rows, columns):
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


@pytest.fixture
def terminal(workspace):
    """terminal(*command): a program on a terminal of its own, in the workspace."""
    opened = []

    def start(*command, **keywords):
        opened.append(Terminal(*command, cwd=workspace, **keywords))
        return opened[-1]

    yield start
    for each in opened:
        each.close()


@pytest.fixture
def run_on(terminal, tier):
    """run_on(*command): the same, in a box."""

    def start(*command, **keywords):
        flags = ["--isolation", tier, "--env", "PS1", "--env", "INPUTRC"]
        return terminal(COFFER, "run", *flags, "--", *command, **keywords)

    return start


def test_it_is_a_terminal_of_the_boxs_own(run_on):
    here = run_on(
        "sh", "-c", "tty; test -t 0 && test -t 1 && test -t 2 && echo all; : >/dev/tty && echo own"
    )
    assert here.expect(r"(/dev/pts/\d+)\r\n")
    here.expect(r"all\r\n")
    here.expect(r"own\r\n")
    assert here.end() == 0


def test_python_sees_a_terminal(run_on):
    here = run_on(
        "/usr/bin/python3", "-c", "import os; print([os.isatty(i) for i in range(3)])"
    )
    here.expect(r"\[True, True, True\]")
    assert here.end() == 0


def test_only_what_is_a_terminal_is_one(box):
    """A pipe stays a pipe."""
    out = box("sh", "-c", "tty; for i in 0 1 2; do test -t $i && echo $i; done; true").ok().out
    assert out == "not a tty\n"


def test_what_is_typed_arrives(run_on):
    here = run_on("sh", "-c", 'echo go; read -r line; echo "<$line>"')
    here.expect("go")
    here.type("some words\n")
    here.expect("<some words>")
    assert here.end() == 0


def test_end_of_file_from_the_keyboard(run_on):
    here = run_on("sh", "-c", "echo go; cat; echo over")
    here.expect("go")
    here.type("one\n\x04")
    here.expect("over")
    assert here.end() == 0


def test_interrupt_from_the_keyboard(run_on):
    script = 'trap "echo caught; exit 7" INT; echo go; while :; do sleep 0.1; done'
    here = run_on("sh", "-c", script)
    here.expect("go")
    here.type("\x03")
    here.expect("caught")
    assert here.end() == 7


def test_a_pager(run_on, workspace):
    need_program("less")
    (workspace / "long").write_text("".join(f"line {i} of many\n" for i in range(1000)))
    here = run_on("less", "long")
    here.expect("line 20 of many")
    assert "line 500 of many" not in here.shown
    here.type("G")
    here.expect("line 999 of many")
    here.type("q")
    assert here.end() == 0


def test_stop_and_continue_inside(run_on):
    """^Z of a job of a shell in the box, and fg."""
    here = run_on("bash", "--norc", "--noprofile", "-i")
    here.expect(PROMPT)
    here.type("echo job-$((40 + 2)); sleep 30\n")
    here.expect("job-42")
    time.sleep(0.3 * SLOWDOWN)
    here.type("\x1a")
    here.expect("Stopped")
    here.expect(PROMPT)
    here.type("jobs\n")
    here.expect(r"\[1\]\+\s+Stopped")
    here.type("fg\n")
    here.expect("sleep 30")
    time.sleep(0.3 * SLOWDOWN)
    here.type("\x03")
    here.expect(PROMPT)
    here.type("exit 5\n")
    assert here.end() == 5


def test_stop_and_continue_outside(terminal, tier):
    """^Z of coffer itself, from the shell that started it, and fg."""
    here = terminal("bash", "--norc", "--noprofile", "-i")
    here.expect(PROMPT)
    script = "echo job-$((40 + 2)); read -r line; echo got-$line"
    here.type(f"{COFFER} run --isolation {tier} -- sh -c '{script}'\n")
    here.expect("job-42")
    time.sleep(0.3 * SLOWDOWN)
    here.type("\x1a")
    here.expect("Stopped")
    here.expect(PROMPT)
    here.type("echo outside-$((1 + 1))\n")
    here.expect("outside-2")
    here.type("fg\n")
    time.sleep(0.3 * SLOWDOWN)
    here.type("word\n")
    here.expect("got-word")
    here.expect(PROMPT)
    here.type("exit 6\n")
    assert here.end() == 6


def test_the_size_follows_the_window(run_on):
    script = 'stty size; trap "stty size; exit 3" WINCH; echo go; while :; do sleep 0.1; done'
    here = run_on("sh", "-c", script, rows=31, columns=91)
    here.expect(r"31 91\r\n")
    here.expect("go")
    here.resize(17, 53)
    here.expect(r"17 53\r\n")
    assert here.end() == 3


def test_the_terminal_afterwards(run_on):
    here = run_on("sh", "-c", "echo go; read -r line; stty raw -echo; exit 4")
    before = here.settings()
    here.expect("go")
    here.type("x\n")
    assert here.end() == 4
    assert here.settings() == before


@pytest.mark.timeout(120)
def test_the_terminal_after_kill_9(run_on):
    """Whatever the box did to its own terminal, the person's is sane again, and the box is gone."""
    here = run_on("sh", "-c", "stty raw -echo; echo go; exec sleep 1234567")
    before = here.settings()
    here.expect("go")
    sleeper = [
        int(pid)
        for pid in os.listdir("/proc")
        if pid.isdigit() and is_sleeper(pid)
    ]
    here.process.kill()
    here.end()
    wait_until(lambda: here.settings() == before, what="the terminal's settings as before")
    wait_until(lambda: not any(map(process_exists, sleeper)), what="the end of the box")


def is_sleeper(pid):
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return file.read() == b"sleep\x001234567\x00"
    except OSError:
        return False


def test_strict_output_cannot_drive_the_terminal(terminal):
    """Control codes of a stranger's program are not passed on; its words are."""
    code = "printf 'word \\033[31m\\033]0;title\\007\\302\\233 after\\n'"
    flags = ["--profile", "strict", *([] if IS_ROOT else ["--limit", "cpu=none"])]
    here = terminal(COFFER, "run", *flags, "--", "sh", "-c", code)
    assert here.end() == 0
    here.read(0.2)
    assert "word" in here.shown and "after" in here.shown, here.shown
    for control in ("\x1b", "\x07", "\x9b"):
        assert control not in here.shown, repr(here.shown)


def test_tmux(terminal, tier, home_directory):
    """A whole terminal program around it: what a person sees on the screen."""
    need_program("tmux")
    tmux = ["tmux", "-S", str(home_directory / "tmux"), "-f", "/dev/null"]
    command = f"{COFFER} run --isolation {tier} -- sh -c 'stty size; echo on-the-screen; read x'"
    environment = {**os.environ, "TERM": "xterm"}
    cwd = home_directory / "workspace"
    subprocess.run(
        [*tmux, "new-session", "-d", "-x", "70", "-y", "20", "-c", cwd, command],
        env=environment,
        check=True,
    )

    def screen():
        done = subprocess.run(
            [*tmux, "capture-pane", "-p"], env=environment, capture_output=True, text=True,
            check=False,
        )
        return done.stdout

    try:
        wait_until(lambda: "on-the-screen" in screen(), seconds=10, what="the screen")
        assert re.search(r"^(19|20) 70$", screen(), re.MULTILINE), screen()
        subprocess.run([*tmux, "send-keys", "Enter"], env=environment, check=True)
        wait_until(lambda: not screen(), seconds=10, what="the end")
    finally:
        subprocess.run([*tmux, "kill-server"], env=environment, capture_output=True, check=False)
