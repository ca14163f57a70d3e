"""`coffer diff`: whatever was done in a layer, the patch makes the same of another copy of the base, and
git agrees about what changed."""

import json
import os
import pty
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import overlays
import pytest
import support
from support import COFFER

OVERLAYS = Path(overlays.__file__)
ROUNDS = 400 if os.environ.get("COFFER_SOAK") else 12


def have_overlays():
    probe = "mkdir -p b u w; mount -t overlay none -o userxattr,lowerdir=b,upperdir=u,workdir=w b"
    directory = support.make_home_directory()
    done = subprocess.run(["unshare", "-Urm", "sh", "-ec", probe], cwd=directory, capture_output=True)
    support.remove_tree(directory)
    return done.returncode == 0, done.stderr.decode(errors="replace")


@pytest.fixture(scope="module")
def overlays_work():
    works, why = have_overlays()
    if not works:
        pytest.skip(f"no overlays for an ordinary user: {why}")


@pytest.fixture
def layers(overlays_work, state, home_directory):
    return overlays.Layers(home_directory, COFFER.parent / "tests/unit/make_layer")


def diff(*words, cwd, binary=True, code=0):
    done = subprocess.run([COFFER, "diff", *words], cwd=cwd, capture_output=True)
    assert done.returncode == code, done.stderr.decode(errors="replace")
    return done.stdout if binary else done.stdout.decode()


def git(*words, cwd, **keywords):
    clean = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "GIT_CONFIG_NOSYSTEM": "1"}
    clean["GIT_CEILING_DIRECTORIES"] = str(Path(cwd).resolve().parent)
    return subprocess.run(["git", *words], cwd=cwd, env=clean, capture_output=True, **keywords)


def portrait(top):
    """What git keeps of a tree: contents, the executable bit, links."""
    found = {}
    for path in overlays.everything(os.fsencode(top)):
        status = os.lstat(path)
        name = os.path.relpath(path, os.fsencode(top))
        if stat.S_ISLNK(status.st_mode):
            found[name] = ("link", os.readlink(path))
        elif stat.S_ISREG(status.st_mode):
            with open(path, "rb") as file:
                found[name] = ("file", file.read(), bool(status.st_mode & 0o100))
    return found


def prune(tree):
    """Git knows of no empty directories, and stumbles over one where it is to put a file."""
    for directory, _, _ in sorted(os.walk(os.fsencode(tree)), reverse=True):
        if not os.listdir(directory):
            os.rmdir(directory)


def assert_applies(patch, tree, expected):
    """What there is at the end is what there should be, and the way back leads back."""
    prune(tree)
    before = portrait(tree)
    if not any(line.startswith(b"diff --git ") for line in patch.split(b"\n")):
        assert before == portrait(expected)
        return
    done = git("apply", "--whitespace=nowarn", cwd=tree, input=patch)
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    assert portrait(tree) == portrait(expected)
    done = git("apply", "-R", "--whitespace=nowarn", cwd=tree, input=patch)
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    assert portrait(tree) == before


def git_names(base, merged):
    """What git says has changed: {path: status}."""
    done = git(
        "diff", "--no-index", "--no-renames", "--name-status", "-z", base.name, merged.name,
        cwd=base.parent,
    )
    fields = done.stdout.split(b"\0")[:-1]
    found = {}
    for status, path in zip(fields[::2], fields[1::2], strict=True):
        name = path.split(b"/", 1)[1]
        # A link that became a file, or the like, is told as two.
        found[name] = "T" if name in found else status.decode()
    return found


def unquoted(name):
    if not name.startswith('"'):
        return os.fsencode(name)
    return name[1:-1].encode("latin-1").decode("unicode_escape").encode("latin-1")


def coffer_names(text, tree, merged):
    """The same of --name-status, without what git does not keep."""
    found = {}
    for line in text.splitlines():
        status, name = line.split("\t")
        path = unquoted(name)
        full = os.path.join(os.fsencode(tree if status == "D" else merged), path)
        if os.path.islink(full) or os.path.isfile(full):
            found[path] = status
    return found


@pytest.mark.parametrize("seed", range(ROUNDS))
def test_the_patch_makes_the_same_of_the_base(layers, seed):
    program = f"{sys.executable} {OVERLAYS}"
    base, merged = layers.base, layers.top / "merged"
    subprocess.run([sys.executable, OVERLAYS, "tree", str(seed), "60", base], check=True)
    shutil.copytree(base, layers.top / "copy", symlinks=True)
    merged.mkdir()
    layers.run("one", f"{program} changes {seed} 40 .", copy_to=merged)
    assert portrait(base) == portrait(layers.top / "copy"), "the base was written"

    assert_applies(diff("one", cwd=base), layers.top / "copy", merged)
    assert_applies(diff("one", "--no-renames", cwd=base), layers.top / "copy", merged)
    names = diff("one", "--no-renames", "--name-status", cwd=base, binary=False)
    assert coffer_names(names, base, merged) == git_names(base, merged)
    told = json.loads(diff("one", "--json", "--no-renames", cwd=base))
    files = {unquoted(line.split("\t")[1]) for line in names.splitlines()}
    listed = {bytes.fromhex(f["path_hex"]) if "path_hex" in f else f["path"].encode()
              for f in told["files"]}
    assert listed <= files and told["summary"]["unread"] == 0
