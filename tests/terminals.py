"""Terminals as a person has them: windows of a tmux server, key by key."""

import os
import re
import shlex
import subprocess
import time

import pytest
from support import SLOWDOWN


class Terminals:
    """One tmux server, with a window for each program."""

    def __init__(self, directory, server="coffer-tests"):
        self.directory, self.server = directory, server
        self.count = 0
        self.environment = {**os.environ, "TMUX_TMPDIR": str(directory), "LANG": "C.UTF-8"}
        self.environment |= {"HISTFILE": "", "INPUTRC": "/dev/null"}
        for name in ("TMUX", "EDITOR", "VISUAL", "PAGER", "NO_COLOR", "LC_ALL", "LC_CTYPE"):
            self.environment.pop(name, None)

    def tmux(self, *args):
        return subprocess.run(
            ["tmux", "-L", self.server, "-f", "/dev/null", *map(str, args)],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=20 * SLOWDOWN,
        )

    def window(self, columns=80, rows=40, **variables):
        self.count += 1
        return self.window_class(self, f"w{self.count}", columns, rows, variables)

    def open(self, command, columns=80, rows=40, **variables):
        window = self.window(columns, rows, **variables)
        return window.run(command) if command else window


class Window:
    def __init__(self, terminals, name, columns, rows, variables):
        self.terminals, self.name = terminals, name
        self.columns, self.rows, self.variables = columns, rows, variables

    def run(self, command):
        settings = " ".join(f"{k}={shlex.quote(v)}" for k, v in self.variables.items())
        done = self.terminals.tmux(
            *("new-session", "-d", "-s", self.name, "-x", self.columns, "-y", self.rows),
            f"export {settings or 'A=B'}; {command}",
        )
        assert done.returncode == 0, done.stderr
        return self

    def screen(self):
        return self.terminals.tmux("capture-pane", "-p", "-t", self.name).stdout

    def expect(self, pattern, seconds=10):
        """Waits until the pattern is on the screen; returns the screen."""
        end = time.monotonic() + seconds * SLOWDOWN
        while True:
            screen = self.screen()
            if re.search(pattern, screen, re.MULTILINE):
                return screen
            if time.monotonic() > end:
                pytest.fail(f"never on the screen: {pattern}\n{screen}")
            time.sleep(0.03)

    def ready(self, seconds=10):
        """A question waits for an answer: "> " is its last row."""
        return self.expect(r"^> ?\s*\Z", seconds)

    def keys(self, *keys):
        self.terminals.tmux("send-keys", "-t", self.name, *keys)
        return self

    def typed(self, text):
        self.terminals.tmux("send-keys", "-t", self.name, "-l", "--", text)
        return self


Terminals.window_class = Window
