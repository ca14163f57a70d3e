"""`coffer diff`: whatever was done in a layer, the patch makes the same of another copy of the
base, and git agrees about what changed."""

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
ROUNDS = 400 if os.environ.get("COFFER_SOAK") else 6


def have_overlays():
    probe = "mkdir -p b u w; mount -t overlay none -o userxattr,lowerdir=b,upperdir=u,workdir=w b"
    directory = support.make_home_directory()
    words = ["unshare", "-Urm", "sh", "-ec", probe]
    done = subprocess.run(words, cwd=directory, capture_output=True)
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


@pytest.mark.parametrize("seed", range(ROUNDS // 3))
def test_the_same_in_a_box(layered, workspace, home_directory, seed):
    """With all that a box adds: protected names, renames of directories by the broker."""
    subprocess.run([sys.executable, OVERLAYS, "tree", f"9{seed}", "60", workspace], check=True)
    merged, copy = home_directory / "merged", home_directory / "copy"
    merged.mkdir()
    shutil.copytree(workspace, copy, symlinks=True, ignore=shutil.ignore_patterns(".git"))
    sight = ("--allow-read", OVERLAYS.parent)  # as root these tests may lie in another's home
    layered("python3", OVERLAYS, "changes", f"9{seed}", "40", ".", flags=sight).ok()
    seen = layered("tar", "--exclude=./.git", "-cf", "-", ".", binary=True).ok().out
    subprocess.run(["tar", "-xf", "-"], cwd=merged, input=seen, check=True)
    assert_applies(diff("test", cwd=workspace), copy, merged)


# One thing at a time.


@pytest.fixture
def small(layers):
    """A small base, and layers("script") that changes it in a layer called "one"."""
    base = layers.base
    (base / "d").mkdir()
    (base / "text").write_text("".join(f"line {i}\n" for i in range(30)))
    (base / "d/other").write_text("other\n" * 20)
    (base / "tool").write_text("#!/bin/sh\n")
    (base / "binary").write_bytes(bytes(range(256)) * 40)
    (base / "link").symlink_to("text")
    (base / "hollow").mkdir()
    return layers


def test_what_a_patch_cannot_hold_is_said(small):
    small.run(
        "one",
        "mkfifo fifo; mkdir -p new/empty; rmdir hollow; chmod 600 d/other; chmod 700 d; touch text;"
        "setfattr -n user.kind -v odd binary; : > secret; chmod 4755 secret",
    )
    patch = diff("one", cwd=small.base, binary=False)
    notes = [line for line in patch.splitlines() if line.startswith("# ")]
    assert notes == [
        "# binary: extended attributes changed",
        "# d: mode 0700, was 0755",
        "# d/other: mode 0600, was 0644",
        "# fifo: FIFO added",
        "# hollow: empty directory deleted",
        "# new/empty: empty directory added",
        "# secret: mode 4755",
        "# text: touched, with the same content",
    ]
    tree = shutil.copytree(small.base, small.top / "copy", symlinks=True)
    assert git("apply", cwd=tree, input=patch.encode()).returncode == 0
    assert (tree / "secret").stat().st_mode & 0o777 == 0o755


def test_renames(small):
    small.run(
        "one",
        "mkdir to; mv binary to/binary; mv d/other to/new; sed -i 1d to/new; mv text t; rm -r d",
    )
    names = diff("one", "--name-status", cwd=small.base, binary=False)
    assert sorted(names.splitlines()) == [
        "R095\td/other\tto/new", "R100\tbinary\tto/binary", "R100\ttext\tt"
    ]
    without = diff("one", "--name-status", "--no-renames", cwd=small.base, binary=False)
    assert len(without.splitlines()) == 6 and "R" not in without
    # Only what is asked for can be paired.
    assert diff("one", "--name-status", "--", "t", cwd=small.base, binary=False) == "A\tt\n"


SAMPLES = {
    "lines": "sed -i '3d;9s/.*/nine/' text; echo more >> d/other",
    "came and went": "rm -r d; mkdir e; seq 500 > e/f; : > nothing; ln -s x y",
    "modes": "chmod 755 text; chmod 644 tool; echo x >> tool",
    "binary": "head -c 77 binary > b; mv b binary; printf 'a\\0b' > new; rm link",
    "renames": "mkdir -p d/deep; mv d/other d/deep/other; mv text d/text",
    "long names": f"mkdir -p {'a' * 35}/{'b' * 34}/ccc; seq 90 > {'a' * 35}/{'b' * 34}/ccc/d;"
    " seq 7 > e",
}


@pytest.mark.parametrize("what", SAMPLES)
def test_stat_is_that_of_git(small, what):
    tree, merged = small.top / "repository", small.top / "merged"
    merged.mkdir()
    shutil.copytree(small.base, tree, symlinks=True)
    who = ["-c", "user.name=a", "-c", "user.email=a@b"]
    for words in (["init", "-q"], ["add", "-A"], [*who, "commit", "-q", "-m", "base"]):
        assert git(*words, cwd=tree).returncode == 0
    small.run("one", SAMPLES[what], copy_to=merged)
    (tree / ".git").rename(merged / ".git")
    git("add", "-A", cwd=merged)
    said = git("diff", "--cached", "--stat", "--summary", "-M", cwd=merged).stdout.decode()
    assert diff("one", "--stat", "--", ".", cwd=small.base, binary=False) == said


def test_a_link_that_became_a_file_and_back(small):
    merged = small.top / "merged"
    merged.mkdir()
    shutil.copytree(small.base, small.top / "copy", symlinks=True)
    small.run("one", "rm link text; echo file > link; ln -s nowhere text; rm -r d; echo d > d;"
              "rm tool; mkdir tool; echo x > tool/x", copy_to=merged)
    names = diff("one", "--name-status", cwd=small.base, binary=False).splitlines()
    assert {"T\tlink", "T\ttext", "A\td", "D\td/other", "D\ttool", "A\ttool/x"} == set(names)
    assert_applies(diff("one", cwd=small.base), small.top / "copy", merged)


def test_paths(small):
    small.run("one", "echo x >> text; echo x >> d/other; echo x > d/new; echo x > dd")
    base = small.base

    def names(*words, cwd=base):
        return diff("one", "--name-only", *words, cwd=cwd, binary=False).split()

    assert names() == ["d/new", "d/other", "dd", "text"]
    assert names("--", "d") == ["d/new", "d/other"] == names("d") == names(base / "d")
    assert names("--", "d/new", "text") == ["d/new", "text"]
    assert names("--", "new", cwd=base / "d") == ["d/new"]
    assert names("--", "..", cwd=base / "d") == ["d/new", "d/other", "dd", "text"]
    assert names("--", "nowhere") == []


def test_the_newest_layer_of_the_directory(small):
    small.run("old", "echo x > old")
    small.run("young", "echo x > young")
    done = subprocess.run(
        [COFFER, "diff", "--name-only"], cwd=small.base / "d", capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (0, "young\n") and "layer young" in done.stderr
    done = subprocess.run([COFFER, "diff"], cwd=small.top, capture_output=True, text=True)
    assert done.returncode == support.SETUP_FAILED and "no layer" in done.stderr


def test_two_layers(small):
    small.run("low", "echo low > low; echo x >> text; rm d/other")
    for name in ("left", "right"):
        small.make(name, on="low")
    small.run("left", "echo left > who; rm low; echo same > same; echo both >> text")
    small.run("right", "echo right > who; echo same > same; echo both >> text; chmod 755 tool")
    names = diff("left", "right", "--name-status", cwd=small.base, binary=False)
    assert names.splitlines() == ["A\tlow", "M\ttool", "M\twho"]
    patch = diff("left", "right", cwd=small.base, binary=False)
    assert "-left\n+right\n" in patch and "old mode 100644\nnew mode 100755" in patch
    assert diff("right", "right", cwd=small.base) == b""
    names = diff("low", "left", "--name-status", cwd=small.base, binary=False)
    assert names.splitlines() == ["D\tlow", "A\tsame", "M\ttext", "A\twho"]


def test_json(small):
    small.run("one", "echo x >> text; printf '\\377' > $(printf 'n\\377'); mkfifo p; mv d/other o")
    (small.base / "text").write_text("the host's\n")
    told = json.loads(diff("one", "--json", cwd=small.base))
    files = {f["path"]: f for f in told["files"]}
    assert told["version"] == 1 and told["summary"]["files"] == len(files) == 3
    assert files["text"]["status"] == "modified" and files["text"]["host_changed"]
    assert files["text"]["insertions"] == 31 and files["text"]["deletions"] == 1
    assert files["o"]["old_path"] == "d/other" and not files["o"]["host_changed"]
    assert files["o"]["status"] == "renamed" and files["o"]["similarity_percent"] == 100
    odd = files["n\ufffd"]
    assert odd["path_hex"] == "6eff" and odd["before"] is None
    assert odd["after"]["size_bytes"] == 1 and odd["after"]["type"] == "file"
    assert told["notes"] == [{"path": "p", "status": "added", "note": "FIFO added"}]


def test_what_a_box_has_shut_is_read(small):
    small.run("one", "echo x >> text; mkdir shut; echo x > shut/x; chmod 0 text shut; chmod 300 d")
    names = diff("one", "--name-status", cwd=small.base, binary=False)
    assert names.splitlines() == ["M\td", "A\tshut/x", "M\ttext"]
    assert "+x" in diff("one", cwd=small.base, binary=False)


def test_memory_does_not_grow_with_the_layer(small):
    small.run(
        "one",
        "truncate -s 80M hole; i=0; while [ $i -lt 500 ]; do echo $i > n$i; i=$((i+1)); done;"
        "rm binary",
    )
    done = subprocess.run(
        ["sh", "-c", f"ulimit -v 65536; exec {COFFER} diff one"],
        cwd=small.base,
        capture_output=True,
    )
    assert done.returncode == 0, done.stderr.decode()
    assert done.stdout.count(b"diff --git ") == 502
    assert b"literal 83886080\n" in done.stdout
    brief = diff("one", "--max-file", "1M", cwd=small.base, binary=False)
    assert "# hole: 83886080 bytes, not shown\n" in brief


def on_terminal(words, cwd, **environment):
    """Runs coffer diff on a terminal; what that was sent."""
    master, slave = pty.openpty()
    env = {**os.environ, "TERM": "xterm", "PAGER": "cat", **environment}
    with subprocess.Popen([COFFER, "diff", *words], cwd=cwd, env=env, stdin=slave, stdout=slave,
                          stderr=subprocess.PIPE) as process:
        os.close(slave)
        seen = b""
        while True:
            try:
                piece = os.read(master, 65536)
            except OSError:
                break
            if not piece:
                break
            seen += piece
    os.close(master)
    assert process.returncode == 0
    return seen.replace(b"\r\n", b"\n")


def test_a_terminal_gets_no_control_codes(small):
    hostile = r"\033]0;title\007\033[31mred\r\b\xc2\x9b2J\xe2\x80\xaeback\x7f"
    small.run("one", f"printf '{hostile}\\n--- x\\n' > $(printf 'n\\033m'); echo >> text")
    seen = on_terminal(["one"], small.base)
    assert seen.count(b"\033[") and set(seen.split(b"\033")[1:]) and b"\033]" not in seen
    for piece in seen.split(b"\033")[1:]:
        assert piece[: piece.index(b"m") + 1] in (b"[m", b"[1m", b"[31m", b"[32m", b"[36m", b"[33m")
    for byte in b"\x07\x08\x7f\r":
        assert byte not in seen
    assert b"\xc2\x9b" not in seen and b"\xe2\x80\xae" not in seen
    assert rb"+\x1b]0;title\x07\x1b[31mred" in seen and b"\\033m" in seen
    # A line that looks like a header is still a line of the hunk.
    assert b"\033[32m+--- x\033[m\n" in seen
    plain = on_terminal(["one"], small.base, NO_COLOR="1")
    assert b"\033" not in plain


def test_a_pager(small):
    small.run("one", "echo x > new")
    assert on_terminal(["one", "--name-only"], small.base, PAGER="sed s/^/page:/") == b"page:new\n"
    # One that leaves at once is somebody who has seen enough.
    small.run("two", "seq 200000 > many")
    on_terminal(["two"], small.base, PAGER="true")


@pytest.mark.parametrize(
    "words, said",
    [
        (["--stats"], "did you mean --stat"),
        (["--stat", "--json"], "one format"),
        (["--context", "x"], "lines"),
        (["--max-file", "x"], "size"),
        (["no-such-layer"], "no layer"),
    ],
)
def test_mistakes(small, words, said):
    small.run("one", "echo x > new")
    done = subprocess.run([COFFER, "diff", *words], cwd=small.base, capture_output=True, text=True)
    assert done.returncode == support.SETUP_FAILED and said in done.stderr


def test_a_base_that_is_gone(small):
    small.run("one", "echo x > new")
    small.base.rename(small.top / "elsewhere")
    done = subprocess.run([COFFER, "diff", "one"], cwd=small.top, capture_output=True, text=True)
    assert done.returncode == support.SETUP_FAILED
    assert "not there any more" in done.stderr and "put it back" in done.stderr
