"""Directories are renamed on a layer as anywhere, though an overlay does not rename them."""

import ctypes
import errno
import json
import os
import shutil
import signal
import subprocess
import textwrap
import time
from pathlib import Path

import pytest
from support import COFFER, SLOWDOWN, git
from trees import fingerprint, portrait

TREES = Path(__file__).with_name("trees.py")

# What the programs below begin with.
HEAD = """
import ctypes, errno, json, os, threading, time
libc = ctypes.CDLL(None, use_errno=True)
def renameat2(old, new, flags=0, old_at=-100, new_at=-100):
    if libc.renameat2(old_at, old.encode(), new_at, new.encode(), flags):
        return errno.errorcode[ctypes.get_errno()]
    return "ok"
NOREPLACE, EXCHANGE = 1, 2
"""


@pytest.fixture
def inside(layered, workspace):
    """Runs Python in the box; what it prints is JSON."""

    def run(program, **keywords):
        (workspace / ".program.py").write_text(HEAD + textwrap.dedent(program))
        result = layered("python3", ".program.py", **keywords)
        return json.loads(result.ok().out)

    return run


@pytest.fixture
def tree(workspace):
    """A directory that has everything in it."""
    top = workspace / "tree"
    (top / "sub" / "deep").mkdir(parents=True)
    (top / "empty").mkdir(mode=0o700)
    (top / "file").write_text("content\n")
    os.link(top / "file", top / "sub" / "same")
    os.link(top / "file", top / "sub" / "deep" / "third")
    (top / "sub" / "deep" / "leaf").write_bytes(os.urandom(5000))
    (top / "program").write_text("#!/bin/sh\n")
    (top / "program").chmod(0o751)
    with open(top / "holes", "wb") as file:
        file.truncate(8 << 20)
        file.seek(4 << 20)
        file.write(b"x")
    os.symlink("file", top / "link")
    os.symlink("/nowhere/at/all", top / "dangling")
    os.mkfifo(top / "fifo", 0o640)
    os.setxattr(top / "file", "user.colour", b"red")
    os.setxattr(top / "sub", "user.directory", b"yes")
    (top / "closed").write_text("nobody reads it\n")
    (top / "closed").chmod(0o600)
    for path, when in (("file", 1), ("sub/deep/leaf", 2), ("sub/deep", 3), ("sub", 4), (".", 5)):
        os.utime(top / path, ns=(when * 10**18, when * 10**18 + 123456789))
    (top / "sub" / "deep").chmod(0o555)
    return top


def test_nothing_of_it_is_lost(layered, inside, workspace, tree):
    wanted = portrait(tree)
    before = fingerprint(workspace)
    shutil.copy(TREES, workspace / "trees.py")
    os.utime(workspace)
    moved = inside("print(json.dumps([renameat2('tree', 'moved'), sorted(os.listdir('.'))]))")
    assert moved[0] == "ok" and "tree" not in moved[1] and "moved" in moved[1]
    assert not [n for n in moved[1] if n.startswith(".coffer")]
    assert json.loads(layered("python3", "trees.py", "moved").ok().out)["moved"] == wanted
    # And once more, now that all of it is the layer's own.
    assert inside("print(json.dumps(renameat2('moved', 'again')))") == "ok"
    assert json.loads(layered("python3", "trees.py", "again").ok().out)["again"] == wanted
    (workspace / "trees.py").unlink()
    (workspace / ".program.py").unlink()
    os.utime(workspace, ns=(0, before[str(workspace)][0]["mtime"]))
    assert fingerprint(workspace) == before
    blocks = layered("stat", "-c", "%b", "again/holes").ok().out
    assert int(blocks) * 512 <= 2 << 20, "the holes were filled"


def test_what_lies_below_and_above_goes_together(layered, inside, tree):
    layered("sh", "-c", "echo new > tree/new; rm tree/link; echo more >> tree/sub/same").ok()
    found = inside(
        """
        print(json.dumps([renameat2("tree", "sub-of-nothing/x"), os.mkdir("other"),
            renameat2("tree", "other/tree"), sorted(os.listdir("other/tree")),
            open("other/tree/sub/same").read()]))
        """
    )
    assert found[0] == "ENOENT" and found[2] == "ok"
    assert "new" in found[3] and "link" not in found[3]
    assert found[4] == "content\nmore\n"


def test_it_says_what_rename_says(workspace, inside, tree):
    (workspace / "empty").mkdir()
    (workspace / "full").mkdir()
    (workspace / "full" / "x").write_text("x")
    (workspace / "plain").write_text("a file")
    found = inside(
        """
        at = os.open(".", os.O_RDONLY)
        print(json.dumps({
            "full": renameat2("tree", "full"),
            "plain": renameat2("tree", "plain"),
            "missing": renameat2("no-such", "x"),
            "into itself": renameat2("tree", "tree/sub/x"),
            "over its parent": renameat2("tree/sub", "tree"),
            "noreplace": renameat2("tree", "empty", NOREPLACE),
            "exchange": renameat2("tree", "full", EXCHANGE),
            "dot": renameat2("tree/.", "x"),
            "file over directory": renameat2("plain", "tree"),
            "same": renameat2("tree", "tree"),
            "untouched": sorted(os.listdir("tree")) == sorted(os.listdir("tree")),
            "empty": renameat2("tree/", "empty/", 0, at, at),
            "gone": os.path.exists("tree"), "there": os.path.exists("empty/sub/deep/leaf"),
            "noreplace new": renameat2("full", "full2", NOREPLACE),
        }))
        """
    )
    assert found == {
        "full": "ENOTEMPTY",
        "plain": "ENOTDIR",
        "missing": "ENOENT",
        "into itself": "EINVAL",
        "over its parent": "ENOTEMPTY",
        "noreplace": "EEXIST",
        "exchange": "EXDEV",
        "dot": "EBUSY",
        "file over directory": "EISDIR",
        "same": "ok",
        "untouched": True,
        "empty": "ok",
        "gone": False,
        "there": True,
        "noreplace new": "ok",
    }


def test_open_files_go_along(inside, tree):
    found = inside(
        """
        writing = open("tree/closed", "a")
        reading = open("tree/sub/deep/leaf", "rb")
        first = reading.read(10)
        os.rename("tree", "moved")
        writing.write("through the old descriptor\\n")
        writing.flush()
        rest = reading.read()
        whole = open("moved/sub/deep/leaf", "rb").read()
        os.link("moved/closed", "kept")
        os.unlink("moved/closed")
        writing.write("and after unlink\\n")
        writing.flush()
        print(json.dumps([open("kept").read(), first + rest == whole]))
        """
    )
    assert found[1] is True
    assert found[0] == "nobody reads it\nthrough the old descriptor\nand after unlink\n"


def test_a_protected_place_on_the_way_is_busy(inside, workspace):
    inner = workspace / "vendor" / "inner"
    inner.mkdir(parents=True)
    git(inner, "init", "-q")
    (workspace / "vendor" / "inner" / "code").write_text("x")
    before = fingerprint(workspace / "vendor")
    found = inside(
        """
        print(json.dumps([renameat2("vendor", "v2"), renameat2("vendor/inner/.git", "g"),
            os.path.exists("v2"), sorted(os.listdir("vendor/inner")),
            [n for n in os.listdir(".") if n.startswith(".coffer-moving")]]))
        """
    )
    assert found == ["EBUSY", "EBUSY", False, [".git", "code"], []]
    assert fingerprint(workspace / "vendor") == before


def test_a_secret_stays_hidden(inside, workspace):
    (workspace / "conf").mkdir()
    (workspace / "conf" / ".env").write_text("TOKEN=hidden-value\n")
    (workspace / "conf" / "other").write_text("x")
    found = inside(
        """
        def read(path):
            try:
                return open(path).read()
            except OSError as e:
                return errno.errorcode[e.errno]
        result = renameat2("conf", "conf2")
        print(json.dumps([result, read("conf/.env"), read("conf2/.env")]))
        """,
        flags=("--hide-secrets",),
    )
    assert "hidden-value" not in json.dumps(found)
    assert found[0] == "EBUSY"


def test_other_roots_are_other_file_systems(inside, workspace, outside):
    (workspace / "d").mkdir()
    found = inside(
        f"print(json.dumps([renameat2('d', '{outside}/d'), os.path.exists('d')]))",
        flags=("--write", outside),
    )
    assert found == ["EXDEV", True]


def make_large(workspace, files):
    top = workspace / "large"
    for d in range(files // 100):
        (top / f"d{d}").mkdir(parents=True)
        for f in range(100):
            (top / f"d{d}" / f"f{f}").write_text(f"{d}/{f}")
    return top


def test_others_do_not_wait(inside, workspace):
    """While one directory is moved, the broker serves everybody else; and several go at once."""
    make_large(workspace, 2000)
    for i in range(10):
        (workspace / f"small{i}" / "sub").mkdir(parents=True)
        (workspace / f"small{i}" / "sub" / "f").write_text("x")
    found = inside(
        """
        done = threading.Event()
        results = []
        def large():
            results.append(renameat2("large", "large2"))
            done.set()
        threads = [threading.Thread(target=large)]
        threads[0].start()
        calls, longest = 0, 0
        while not done.is_set():
            began = time.monotonic()
            os.mkdir(f"made{calls}")
            longest = max(longest, time.monotonic() - began)
            calls += 1
            time.sleep(0.001)
        def small(i):
            results.append(renameat2(f"small{i}", f"moved{i}"))
        threads = [threading.Thread(target=small, args=(i,)) for i in range(10)]
        [t.start() for t in threads]
        [t.join() for t in threads]
        count = sum(len(files) for _, _, files in os.walk("large2"))
        print(json.dumps([results, calls, count, os.path.exists("large"),
            [os.path.exists(f"moved{i}/sub/f") for i in range(10)]]))
        """
    )
    results, calls, count, old, small = found
    assert results == ["ok"] * 11 and count == 2000 and not old and all(small)
    assert calls > 20, "mkdir waited for somebody else's rename"


@pytest.mark.parametrize("after_ms", [30, 120])
def test_a_kill_leaves_no_half_destination(layered, workspace, after_ms):
    make_large(workspace, 1500)
    wanted = {k: v.get("content") for k, v in portrait(workspace / "large").items()}
    before = fingerprint(workspace)
    program = "import os; print('up', flush=True); os.rename('large', 'moved'); print('done')"
    command = [COFFER, "run", "--layer=k", "--", "python3", "-c", program]
    with subprocess.Popen(command, cwd=workspace, stdout=subprocess.PIPE, text=True) as first:
        assert first.stdout.readline() == "up\n"
        time.sleep(after_ms / 1000 * SLOWDOWN)
        os.kill(first.pid, signal.SIGKILL)
    assert fingerprint(workspace) == before
    shutil.copy(TREES, workspace / "trees.py")
    end = time.monotonic() + 10 * SLOWDOWN
    while True:
        result = layered("sh", "-c", "ls -d large moved; exec python3 trees.py l*e m*d", name="k")
        if result.code == 0 or time.monotonic() > end:
            break
        time.sleep(0.1)
    names, _, rest = result.ok().out.rpartition("\n")
    seen = {
        top: {k: v.get("content") for k, v in found.items()}
        for top, found in json.loads(rest).items()
        if found
    }
    assert seen.get("moved", wanted) == wanted, "half a destination"
    assert "moved" in seen or seen["large"] == wanted, "neither is whole"
    assert names


RACE = """
import random
stop = threading.Event()
def swap():
    while not stop.is_set():
        try:
            os.rename("tree/a", "tree/b"); os.symlink(OUT, "tree/a"); os.unlink("tree/a")
            os.rename("tree/b", "tree/a")
        except OSError:
            pass
def swap_new():
    while not stop.is_set():
        for name in os.listdir("."):
            if name.startswith(".coffer-moving"):
                try:
                    os.rename(name + "/a", name + "/c"); os.symlink(OUT, name + "/a")
                except OSError:
                    pass
threads = [threading.Thread(target=t) for t in (swap, swap_new)]
[t.start() for t in threads]
end, outcome = time.monotonic() + 1.5, {}
while time.monotonic() < end:
    for a, b in (("tree", "tree2"), ("tree2", "tree")):
        r = renameat2(a, b)
        outcome[r] = outcome.get(r, 0) + 1
stop.set()
[t.join() for t in threads]
found = []
for top in ("tree", "tree2"):
    for directory, names, files in os.walk(top):
        for f in files:
            try:
                found.append(open(os.path.join(directory, f)).read())
            except OSError:
                pass
print(json.dumps([outcome, [f for f in found if "secret" in f]]))
"""


def test_races_lead_nowhere(inside, workspace, home_directory):
    """The tree is changed, links and all, while it is moved: nothing outside is written or read."""
    away = home_directory / "away"
    (away / "d").mkdir(parents=True)
    (away / "file").write_text("a secret of the host's\n")
    (away / "d" / "file").write_text("another secret\n")
    away.chmod(0o700)
    for i in range(40):
        (workspace / "tree" / "a" / f"d{i}").mkdir(parents=True)
        (workspace / "tree" / "a" / f"d{i}" / "file").write_text("mine")
    before = fingerprint(workspace), fingerprint(away)
    flags = ("--deny-read", away)
    outcome, leaked = inside(f"OUT = {str(away)!r}\n" + RACE, flags=flags)
    assert leaked == [] and outcome
    (workspace / ".program.py").unlink()
    after = fingerprint(workspace), fingerprint(away)
    assert {k: v for k, v in after[0].items() if k != str(workspace)} == {
        k: v for k, v in before[0].items() if k != str(workspace)
    }
    assert after[1] == before[1]


def test_the_host_says_the_same(tmp_path):
    """The program that the box runs finds ctypes and flags as they are meant."""
    libc = ctypes.CDLL(None, use_errno=True)
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    a, b = str(tmp_path / "a").encode(), str(tmp_path / "b").encode()
    assert libc.renameat2(-100, a, -100, b, 1) == -1 and ctypes.get_errno() == errno.EEXIST
    assert libc.renameat2(-100, a, -100, b, 2) == 0
