"""What tests share: running coffer, telling what this host can do, skipping with a reason."""

import contextlib
import ctypes
import functools
import json
import os
import pwd
import re
import shutil
import signal
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
COFFER = Path(os.environ.get("COFFER", ROOT / "build" / "coffer")).absolute()

# Exit codes of `coffer run` itself; everything else is the command's own.
TIMED_OUT = 124
SETUP_FAILED = 125
REFUSED = 126
NOT_FOUND = 127

# The second kernel is emulated in software: everything takes longer there.
ON_SECOND_KERNEL = os.environ.get("SECOND_KERNEL") == "1"
SLOWDOWN = 10 if ON_SECOND_KERNEL else 1

HOME = Path(pwd.getpwuid(os.getuid()).pw_dir)
IS_ROOT = os.getuid() == 0


@dataclass
class Result:
    """How one run of coffer went. out and err are text, or bytes with binary=True."""

    args: list
    code: int
    out: object
    err: object
    seconds: float
    report: dict = field(default_factory=dict)

    @property
    def cause(self):
        return self.report.get("cause")

    def denials(self, call=None, promise=None, target=None):
        """The recorded refusals that fit; target is a part of the recorded one."""
        return [
            d
            for d in self.report.get("denials", [])
            if (call is None or d["call"] == call)
            and (promise is None or d["promise"] == promise)
            and (target is None or target in d["target"])
        ]

    def ok(self):
        """For a run that must succeed: itself, or a failure that shows what was said."""
        assert self.code == 0, self.describe()
        return self

    def describe(self):
        return (
            f"exit {self.code} after {self.seconds:.2f} s: {' '.join(map(str, self.args))}\n"
            f"--- stdout\n{self.out}\n--- stderr\n{self.err}\n--- report\n"
            f"{json.dumps(self.report, indent=2)}"
        )


def run_coffer(
    *args,
    stdin=None,
    timeout=30,
    env=None,
    cwd=None,
    binary=False,
    report=True,
    pass_fds=(),
    preexec_fn=None,
):
    """Runs coffer with args. A report is asked for by itself where args start with "run" and name
    none. stdin: text or bytes to feed, a file object, or None for /dev/null. env: variables to set,
    or to take away (None), in a copy of this process's own. A run that does not end in time is
    killed with everything in its session, and the test fails."""
    args = [str(a) for a in args]
    report_file = None
    head = args[: args.index("--")] if "--" in args else args
    if report and args and args[0] == "run" and "--report" not in head:
        handle, report_file = tempfile.mkstemp(prefix="coffer-report-")
        os.close(handle)
        args[1:1] = ["--report", report_file]
    environment = dict(os.environ)
    for name, value in (env or {}).items():
        if value is None:
            environment.pop(name, None)
        else:
            environment[name] = str(value)
    feed = None
    if isinstance(stdin, str):
        feed, stdin = stdin.encode(), subprocess.PIPE
    elif isinstance(stdin, bytes):
        feed, stdin = stdin, subprocess.PIPE
    elif stdin is None:
        stdin = subprocess.DEVNULL

    started = time.monotonic()
    process = subprocess.Popen(
        [str(COFFER), *args],
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
        cwd=cwd,
        pass_fds=pass_fds,
        preexec_fn=preexec_fn,
        start_new_session=True,
    )
    try:
        try:
            out, err = process.communicate(feed, timeout=timeout * SLOWDOWN)
        except BaseException as e:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            out, err = process.communicate()
            if isinstance(e, subprocess.TimeoutExpired):
                pytest.fail(
                    f"no end after {timeout * SLOWDOWN} s: {args}\n--- stdout\n"
                    f"{out.decode(errors='replace')}\n--- stderr\n{err.decode(errors='replace')}"
                )
            raise
        seconds = time.monotonic() - started
        parsed = {}
        if report_file:
            text = Path(report_file).read_text(encoding="utf-8")
            parsed = json.loads(text) if text else {}
    finally:
        if report_file:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(report_file)
    if not binary:
        out = out.decode("utf-8", "backslashreplace")
        err = err.decode("utf-8", "backslashreplace")
    return Result(["coffer", *args], process.returncode, out, err, seconds, parsed)


def make_home_directory(below=None):
    """A new directory of this user's, below the home (not /tmp: a box has a /tmp of its own)."""
    base = Path(below) if below else HOME / "coffer-tests"
    base.mkdir(exist_ok=True)
    return Path(tempfile.mkdtemp(prefix="t-", dir=base))


def remove_tree(path):
    """Removes what a test left, directories without permissions included."""
    for directory, names, _ in os.walk(path):
        # Before the walk looks into them; the kernel leaves closed ones in an overlay's workdir.
        for name in names:
            entry = os.path.join(directory, name)
            with contextlib.suppress(OSError):
                if not os.path.islink(entry):
                    os.chmod(entry, 0o700)
    shutil.rmtree(path, ignore_errors=True)


def git(directory, *args):
    """git, with nobody's configuration but the repository's own."""
    environment = {
        **os.environ,
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_CONFIG_SYSTEM": "/dev/null",
        "GIT_AUTHOR_NAME": "Test",
        "GIT_AUTHOR_EMAIL": "test@example.org",
        "GIT_COMMITTER_NAME": "Test",
        "GIT_COMMITTER_EMAIL": "test@example.org",
    }
    return subprocess.run(
        ["git", "-C", str(directory), *map(str, args)],
        env=environment,
        check=True,
        capture_output=True,
        text=True,
    ).stdout


def make_repository(directory):
    """A small git repository with one commit."""
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    git(directory, "init", "-q", "-b", "main")
    git(directory, "config", "user.name", "Test")
    git(directory, "config", "user.email", "test@example.org")
    (directory / "README").write_text("a file\n")
    (directory / "src").mkdir(exist_ok=True)
    (directory / "src" / "main.c").write_text("int main(void) { return 0; }\n")
    git(directory, "add", "-A")
    git(directory, "commit", "-q", "-m", "first")
    return directory


# What this host can do, asked of the kernel and not of coffer: a fault of coffer's own probe must
# not make its tests disappear.


@functools.lru_cache(None)
def can_make_user_namespaces():
    """Whether this user can make a user namespace and mount in it. (AppArmor lets clone succeed
    and takes the capabilities away: only a mount tells.)"""
    probe = subprocess.run(
        ["unshare", "--user", "--map-root-user", "--mount", "mount", "-t", "tmpfs", "none", "/mnt"],
        capture_output=True,
        check=False,
    )
    return probe.returncode == 0


@functools.lru_cache(None)
def landlock_abi():
    """The version of Landlock, 0 without."""
    libc = ctypes.CDLL(None, use_errno=True)
    abi = libc.syscall(444, None, 0, 1)  # landlock_create_ruleset, LANDLOCK_CREATE_RULESET_VERSION
    return max(abi, 0)


def kernel_version():
    major, minor = re.match(r"(\d+)\.(\d+)", os.uname().release).groups()
    return int(major), int(minor)


def tier_available(tier):
    """Whether this host can run a tier for this user; the reason when not."""
    if tier == "container":
        return can_make_user_namespaces(), "user namespaces are forbidden here"
    return landlock_abi() > 0, "this kernel has no Landlock"


# Skips. Each says what is missing.


def need_root():
    if not IS_ROOT:
        pytest.skip("needs root")


def need_user():
    if IS_ROOT:
        pytest.skip("needs an ordinary user")


def need_program(*names):
    for name in names:
        if not shutil.which(name):
            pytest.skip(f"needs the program {name}")


def need_kernel(major, minor):
    if kernel_version() < (major, minor):
        pytest.skip(f"needs Linux {major}.{minor}, this is {os.uname().release}")


def need_landlock(abi):
    if landlock_abi() < abi:
        pytest.skip(f"needs Landlock ABI {abi}, this kernel has {landlock_abi()}")


def need_user_namespaces():
    if not can_make_user_namespaces():
        pytest.skip("user namespaces are forbidden here")


def wait_until(condition, seconds=5, what="the condition"):
    """Polls until condition() is true; fails the test when it does not become so."""
    end = time.monotonic() + seconds * SLOWDOWN
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    pytest.fail(f"{what} did not come true within {seconds * SLOWDOWN} s")
    return None


def process_exists(pid):
    """Alive, and not a zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] not in ("Z", "X")
