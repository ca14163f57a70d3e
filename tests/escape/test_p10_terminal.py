"""P10: a terminal cannot be injected into, and is as it was when the run is over."""

import contextlib
import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import termios
import time

import pytest
import support
from probes import attempts


class Terminal:
    """A terminal of the host's, with coffer as the leader of its session."""

    def __init__(self):
        self.master, self.slave = pty.openpty()
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 77, 0, 0))
        settings = termios.tcgetattr(self.slave)
        settings[3] &= ~termios.ECHO
        termios.tcsetattr(self.slave, termios.TCSANOW, settings)
        self.seen = b""

    def start(self, *command, tier, cwd, flags=()):
        def lead():
            os.setsid()
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)

        return subprocess.Popen(
            [support.COFFER, "run", "--quiet", "--isolation", tier, *flags, "--", *command],
            cwd=cwd,
            stdin=self.slave,
            stdout=self.slave,
            stderr=self.slave,
            preexec_fn=lead,
        )

    def read(self, seconds=0.05):
        while select.select([self.master], [], [], seconds)[0]:
            try:
                self.seen += os.read(self.master, 65536)
            except OSError:
                break
        return self.text()

    def text(self):
        return self.seen.decode(errors="replace").replace("\r\n", "\n")

    def wait_for(self, text):
        end = time.monotonic() + 5 * support.SLOWDOWN
        while text not in self.read():
            assert time.monotonic() < end, f"{text!r} is not on the terminal: {self.text()!r}"

    def finish(self, process):
        """Its exit status, with everything read that it wrote."""
        support.wait_until(lambda: self.read() is None or process.poll() is not None, 20, "the end")
        self.read()
        return process.returncode

    def pending(self):
        """Bytes in the terminal's input, whether or not a line is complete."""
        settings = termios.tcgetattr(self.slave)
        raw = [*settings]
        raw[3] &= ~termios.ICANON
        termios.tcsetattr(self.slave, termios.TCSANOW, raw)
        count = struct.unpack("i", fcntl.ioctl(self.slave, termios.FIONREAD, b"\0" * 4))[0]
        termios.tcsetattr(self.slave, termios.TCSANOW, settings)
        return count

    def settings(self):
        return termios.tcgetattr(self.slave)

    def close(self):
        os.close(self.master)
        os.close(self.slave)


@pytest.fixture
def terminal():
    opened = Terminal()
    yield opened
    opened.close()


@pytest.fixture
def ended():
    """Processes that must not survive the test."""
    processes = []
    yield processes.append
    for process in processes:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        process.wait()


def test_injection_is_refused(terminal, tier, workspace, probe_program, ended):
    process = terminal.start(probe_program, "inject", tier=tier, cwd=workspace)
    ended(process)
    assert terminal.finish(process) == 0, terminal.text()
    found = attempts(terminal.text())
    assert found.pop("open-terminal") == "ok"
    assert len(found) == 16
    assert not {name for name, result in found.items() if result == "ok"}
    assert terminal.pending() == 0


def test_injection_through_a_terminal_that_is_only_one_stream(tier, terminal, workspace, ended,
                                                              probe_program):
    """A box whose input alone is a terminal, its output a pipe."""
    def lead():
        os.setsid()
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    process = subprocess.Popen(
        [support.COFFER, "run", "--quiet", "--isolation", tier, "--", probe_program, "inject"],
        cwd=workspace,
        stdin=terminal.slave,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        preexec_fn=lead,
        text=True,
    )
    ended(process)
    out, _ = process.communicate(timeout=20 * support.SLOWDOWN)
    found = attempts(out)
    found.pop("open-terminal")
    assert found
    assert not {name for name, result in found.items() if result == "ok"}
    assert terminal.pending() == 0


def test_the_terminal_of_the_host_cannot_be_opened(terminal, tier, workspace, ended):
    """By its name: /dev/pts of the box is its own, or shut."""
    name = os.ttyname(terminal.slave)
    script = f"(echo injected >{name}) 2>/dev/null; (cat <{name}) 2>/dev/null; echo end"
    process = subprocess.Popen(
        [support.COFFER, "run", "--quiet", "--isolation", tier, "--", "sh", "-c", script],
        cwd=workspace,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
    )
    ended(process)
    assert process.communicate(timeout=20 * support.SLOWDOWN)[0] == b"end\n"
    assert "injected" not in terminal.read()


def test_the_box_has_a_terminal_of_its_own(terminal, tier, workspace, ended):
    """The allowed side: it is one, it has the size, and it can be read and written."""
    script = 'test -t 0 && test -t 1 && stty size && read line </dev/tty && echo "got $line"'
    process = terminal.start("sh", "-c", script, tier=tier, cwd=workspace)
    ended(process)
    terminal.wait_for("33 77")
    os.write(terminal.master, b"typed\n")
    assert terminal.finish(process) == 0, terminal.text()
    assert "got typed" in terminal.text()


def test_a_change_of_size_arrives(terminal, tier, workspace, ended):
    script = "trap 'stty size' WINCH; echo ready; while :; do sleep 0.05; done"
    process = terminal.start("bash", "-c", script, tier=tier, cwd=workspace)
    ended(process)
    terminal.wait_for("ready")
    fcntl.ioctl(terminal.slave, termios.TIOCSWINSZ, struct.pack("HHHH", 44, 99, 0, 0))
    os.kill(process.pid, signal.SIGWINCH)
    terminal.wait_for("44 99")


def test_keys_that_interrupt(terminal, tier, workspace, ended):
    process = terminal.start("sh", "-c", "echo ready; sleep 100", tier=tier, cwd=workspace)
    ended(process)
    terminal.wait_for("ready")
    os.write(terminal.master, b"\x03")
    assert terminal.finish(process) in (128 + signal.SIGINT, -signal.SIGINT)


MESS = "stty raw -echo -isig; printf '\\033[?1049h'; echo ready"


def test_settings_are_restored_at_the_end(terminal, tier, workspace, ended):
    before = terminal.settings()
    process = terminal.start("sh", "-c", MESS, tier=tier, cwd=workspace)
    ended(process)
    assert terminal.finish(process) == 0, terminal.text()
    assert terminal.settings() == before


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP])
def test_settings_are_restored_after_a_signal(terminal, tier, workspace, ended, number):
    before = terminal.settings()
    process = terminal.start("sh", "-c", MESS + "; sleep 100", tier=tier, cwd=workspace)
    ended(process)
    terminal.wait_for("ready")
    process.send_signal(number)
    process.wait(10 * support.SLOWDOWN)
    time.sleep(1.0 * support.SLOWDOWN)
    assert terminal.settings() == before


def test_what_was_not_read_stays_in_the_box(terminal, tier, workspace, ended):
    """Answers of a terminal to queries that a box sent must not be typed into the shell."""
    process = terminal.start("sh", "-c", "printf '\\033[c'; sleep 0.3", tier=tier, cwd=workspace)
    ended(process)
    terminal.wait_for("\033[c")
    os.write(terminal.master, b"\x1b[?6c")
    assert terminal.finish(process) == 0
    assert terminal.pending() == 0
