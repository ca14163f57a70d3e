"""Layers kept, gone back to, forked, taken elsewhere and brought back; and what nobody reaches."""

import hashlib
import io
import json
import os
import pickle
import signal
import subprocess
import tarfile
import time

import apply_trees as trees
import pytest
import support
from apply_store import store  # noqa: F401
from support import COFFER, run_coffer

SOAK = os.environ.get("COFFER_SOAK") == "1"


def listed(store):
    rows = json.loads(store.coffer("layers", "--json").out)
    return {row["name"] or row["id"]: row for row in rows}


# Snapshot, restore, fork.


def test_a_snapshot_keeps_what_was_and_the_layer_goes_on(store):
    store.shell("echo one > file")
    store.coffer("snapshot", "t", "s")
    store.shell("grep -q one file && echo two > file")
    rows = listed(store)
    assert rows["s"]["sealed"] and not rows["t"]["sealed"]
    assert rows["t"]["parents"] == [rows["s"]["id"]]
    result = store.shell("echo three > file", layer="s", check=False)
    assert result.code == 125 and "snapshot" in result.err
    store.coffer("restore", "t", "s")
    assert store.shell("cat file").out == "one\n"
    assert not list(store.work.glob("file"))
    assert set(listed(store)) == {"t", "s"}


def test_errors_name_what_is_wrong(store):
    store.shell("true")
    for words, told in [
        (("snapshot", "t", "t"), "there is a layer named t"),
        (("snapshot", "t", "-x"), "no option"),
        (("snapshot", "t", "a/b"), "cannot be a layer's name"),
        (("snapshot", "nobody", "s"), "no layer 'nobody'"),
        (("restore", "t", "t"), ""),
        (("fork", "t", "a", "a"), "named twice"),
        (("fork", "t", "t"), "there is a layer named t"),
        (("fork", "t", "-n", "0"), "no number"),
        (("discard", "nobody"), "no layer"),
        (("discard",), "usage"),
        (("layers", "export"), "usage"),
        (("layers", "import", "/nonexistent"), "No such file"),
        (("apply", "--forse"), "did you mean --force"),
    ]:
        result = run_coffer(*words, cwd=store.work)
        assert result.code == 125 and told in result.err, (words, result.describe())
    assert set(listed(store)) == {"t"}


def test_forks_share_what_was_and_do_not_see_one_another(store):
    store.shell("echo base > file")
    assert store.coffer("fork", "t", "-n", "3").out.split() == ["t-1", "t-2", "t-3"]
    for name in ("t-1", "t-2", "t"):
        store.shell(f"grep -q base file && echo {name} > file", layer=name)
    assert [store.shell("cat file", layer=n).out for n in ("t-1", "t-2", "t-3", "t")] == [
        "t-1\n", "t-2\n", "base\n", "t\n",
    ]
    store.coffer("apply", "t-2")
    assert (store.work / "file").read_text() == "t-2\n"
    store.coffer("apply", "t-1", code=1)
    # With the last of them goes what they stood on.
    store.coffer("discard", "t-1", "t-2", "t-3", "t")
    assert listed(store) == {}


def test_a_layer_that_others_stand_on_stays(store):
    store.shell("echo x > file")
    store.coffer("snapshot", "t", "s")
    result = store.coffer("discard", "s", code=125)
    assert "stands on s" in result.err
    store.coffer("discard", "t", "s")


@pytest.mark.timeout(120)
def test_forking_much_costs_little(store):
    store.shell("head -c 64M /dev/zero > big; for i in $(seq 500); do echo $i > f$i; done")
    store.coffer("snapshot", "t", "prepared")
    started = time.monotonic()
    store.coffer("fork", "prepared", "a", "b")
    seconds = time.monotonic() - started
    (upper,) = [p for p in store.layers.glob("*/roots/*/upper/big")]  # one copy of it
    assert upper.stat().st_size == 64 * 1024 * 1024
    assert seconds < 2 * support.SLOWDOWN, seconds


def pids_stopped(pid):
    """States of a process and all below it."""
    states = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/stat", encoding="latin-1") as file:
                    rest = file.read().rpartition(")")[2].split()
            except OSError:
                continue
            states[int(entry)] = (rest[0], int(rest[1]))
    below, grown = {pid}, True
    while grown:
        more = {p for p, (_, parent) in states.items() if parent in below} - below
        below |= more
        grown = bool(more)
    return {p: states[p][0] for p in below - {pid}}


WRITER = """
i=0; while [ ! -e stop ]; do i=$((i+1)); echo $i > a; echo $i > b; echo $i >> log; done
"""


@pytest.fixture
def running(store):
    """A box that writes all the time."""
    process = subprocess.Popen(
        [COFFER, "run", "--quiet", "--isolation", "container", "--layer=t", "--"]
        + ["sh", "-c", WRITER],
        cwd=store.work, stdin=subprocess.DEVNULL, start_new_session=True,
    )
    support.wait_until(lambda: list(store.layers.glob("*/roots/*/upper/log")), what="the box")
    yield process
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def test_a_running_box_is_held_still_and_goes_on(store, running):
    store.coffer("snapshot", "t", "s")
    store.coffer("fork", "t", "f")
    # One moment: each file is as written last, or empty between its opening and its writing.
    a, b = (store.shell(f"cat {n}", layer="f").out for n in "ab")
    assert not a or not b or int(a) - int(b) in (0, 1)
    log = store.shell("cat log", layer="f").out.split()
    assert log == [str(i + 1) for i in range(len(log))] and log
    assert not b or int(b) - len(log) in (0, 1)
    (log,) = [p for p in store.layers.glob(f"{listed(store)['t']['id']}/roots/*/upper/log")]
    size = log.stat().st_size
    support.wait_until(lambda: log.stat().st_size > size, what="the box to go on")
    assert "T" not in pids_stopped(running.pid).values()
    rows = listed(store)
    assert rows["t"]["in_use_by"] == running.pid and rows["s"]["sealed"]
    # Nothing else may be done to it.
    assert "in use" in store.coffer("apply", "t", code=125).err
    assert "in use" in store.coffer("discard", "t", code=125).err


def test_a_box_goes_on_when_its_snapshot_is_killed(store, running):
    (store.layers / "x").mkdir(exist_ok=True)
    upper = next(store.layers.glob("*/roots/*/upper"))
    for i in range(40):  # so that copying takes a while
        (upper / f"big{i}").write_bytes(os.urandom(1 << 20))
    for pause in (0.01, 0.03, 0.06):
        process = subprocess.Popen([COFFER, "snapshot", "t", "s"], cwd=store.work)
        time.sleep(pause)
        process.kill()
        process.wait()
        log = upper / "log"
        size = log.stat().st_size
        support.wait_until(lambda: log.stat().st_size > size, what="the box to go on")  # noqa: B023
        support.wait_until(
            lambda: "T" not in pids_stopped(running.pid).values(), what="everything to go on"
        )
        run_coffer("discard", "s", cwd=store.work)
    (store.layers / "x").rmdir()


# Export and import.


@pytest.mark.parametrize("seed", range(10 if SOAK else 2))
def test_what_is_exported_comes_back_the_same(store, seed):
    trees.make_tree(store.work, seed)
    store.edit(seed + 300)
    store.coffer("snapshot", "t", "s")
    store.box("python3", trees.__file__, ".", seed + 301)
    tar = store.top / "image.tar"
    digest = store.coffer("layers", "export", "t", tar).err
    assert digest.startswith("sha256:")
    again = run_coffer("layers", "export", "t", cwd=store.work, binary=True)
    assert again.out == tar.read_bytes()
    assert store.coffer("layers", "import", tar, "u").err == digest
    assert store.coffer("layers", "export", "u", "/dev/null").err == digest
    wanted = json.loads(store.coffer("apply", "t", "--dry-run", "--json").out)
    got = json.loads(store.coffer("apply", "u", "--dry-run", "--json").out)
    assert {k: wanted[k] for k in ("added", "modified", "deleted", "bytes")} == {
        k: got[k] for k in ("added", "modified", "deleted", "bytes")
    }
    one, two = (seen_in(store, name) for name in ("t", "u"))
    one.pop("links"), two.pop("links")
    assert not trees.differences(one, two)


def seen_in(store, layer):
    """What a box in the layer sees."""
    script = (
        f"import sys; sys.path.insert(0, {os.path.dirname(trees.__file__)!r})\n"
        "import apply_trees, pickle\n"
        "sys.stdout.buffer.write(pickle.dumps(apply_trees.fingerprint('.')))"
    )
    return pickle.loads(store.box("python3", "-c", script, layer=layer, binary=True).out)


def add_blob(members, data):
    digest = hashlib.sha256(data).hexdigest()
    members[f"blobs/sha256/{digest}"] = data
    return {"digest": f"sha256:{digest}", "size": len(data), "mediaType": "x"}


def make_image(work, layers, roots=None, spoil=None):
    """An image layout as anyone may write one."""
    members = {"oci-layout": b'{"imageLayoutVersion":"1.0.0"}'}
    roots = {str(work): str(work)} if roots is None else roots
    config = {"config": {"Labels": {"coffer.roots": json.dumps(roots)}}}
    manifest = {
        "layers": [add_blob(members, layer) for layer in layers],
        "config": add_blob(members, json.dumps(config).encode()),
    }
    index = {"manifests": [add_blob(members, json.dumps(manifest).encode())]}
    members["index.json"] = json.dumps(index).encode()
    if spoil:
        spoil(members, manifest)
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


def make_layer(*entries):
    """(name, type, content or link)"""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, kind, what in entries:
            info = tarfile.TarInfo(name)
            info.type = kind
            data = b""
            if kind == tarfile.REGTYPE:
                data = what
                info.size = len(data)
            elif kind in (tarfile.SYMTYPE, tarfile.LNKTYPE):
                info.linkname = what
            elif kind == tarfile.CHRTYPE:
                info.devmajor, info.devminor = what
            elif kind == tarfile.DIRTYPE:
                info.mode = 0o755
                info.pax_headers = what or {}
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


FILE, DIR, LINK, HARD, CHAR = (
    tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE,
)


def test_an_image_does_not_say_what_it_is_applied_to(store):
    """Only what lies on the directory that one is in is the image's to change."""
    home = store.top / "elsewhere"
    home.mkdir()
    entries = [(str(store.work)[1:] + "/keys", FILE, b"evil")]
    image = make_image(store.work, [make_layer(*entries)], {str(store.work): str(home)})
    result = do_import(store, image, 0)
    assert str(home) in result.err
    assert run_coffer("apply", "u", cwd=store.work).code != 0
    assert not list(home.iterdir())
    run_coffer("layers", "import", "--onto-any", "-", "v", cwd=store.work, stdin=image).ok()
    run_coffer("apply", "v", cwd=store.work).ok()
    assert (home / "keys").read_bytes() == b"evil"


def do_import(store, image, code):
    result = run_coffer("layers", "import", "-", "u", cwd=store.work, stdin=image)
    assert result.code == code, result.describe()
    if code:
        assert listed(store) == {}, result.describe()
    return result


def spoil_blob(members, manifest):
    name = "blobs/sha256/" + manifest["layers"][0]["digest"][7:]
    members[name] = b"\0" * len(members[name])


def drop_blob(members, manifest):
    del members["blobs/sha256/" + manifest["layers"][0]["digest"][7:]]


def one(*entries, **keywords):
    """An image of one layer; names are below the root."""

    def make(work):
        top = str(work)[1:]
        named = [(n.format(top=top), kind, what) for n, kind, what in entries]
        return make_image(work, [make_layer(*named)], **keywords)

    return make


REFUSED = {
    "not a tar": (lambda w: b"what is this" * 100, "unpacked"),
    "nothing": (lambda w: b"", ""),
    "half": (lambda w: one(("{top}/f", FILE, b"x" * 99999))(w)[:60000], "unpacked"),
    "a wrong digest": (one(("{top}/f", FILE, b"x"), spoil=spoil_blob), "damaged"),
    "a missing blob": (one(spoil=drop_blob), "missing"),
    "no roots": (one(roots=[]), "which directories"),
    "a relative root": (one(roots={"x": None}), "no path"),
    "a root with ..": (one(roots={"/x/../y": None}), "no path"),
    "roots in roots": (one(roots={"/x": None, "/x/y": None}), "in one"),
    "no layers": (lambda w: make_image(w, []), "no layers"),
    "a device": (one(("{top}/null", CHAR, (1, 3))), ""),
    "out of the tree": (one(("{top}/../../../../x", FILE, b"x")), "unpacked"),
    "beside the roots": (one(("etc/passwd", FILE, b"x")), "no root"),
    "through a link": (one(("{top}/way", LINK, "/etc"), ("{top}/way/x", FILE, b"x")), ""),
    "a hard link out": (one(("{top}/l", HARD, "/etc/passwd")), "unpacked"),
    "a root that is a link": (one(("{top}", LINK, "/etc")), ""),
    "a root that is a file": (one(("{top}", FILE, b"x")), ""),
    "a whiteout of ..": (one(("{top}/.wh...", FILE, b"")), "contradicts"),
    "a whiteout and the thing": (
        one(("{top}/x", FILE, b"x"), ("{top}/.wh.x", FILE, b"")),
        "contradicts",
    ),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_hostile_images_are_refused(store, kind):
    make, told = REFUSED[kind]
    before = trees.fingerprint(store.top, times=False)
    result = do_import(store, make(store.work), 125)
    assert told in result.err, result.describe()
    after = trees.fingerprint(store.top, times=False)
    changed = {p for p in {*before, *after} if before.get(p) != after.get(p)}
    assert not [p for p in changed if not p.startswith("state")], changed
    assert not list(store.layers.glob(".*"))


def test_hostile_images_that_do_no_harm(store, outside):
    """Duplicates, absolute names, links that lead out, marks of an overlay's."""
    top = str(store.work)[1:]
    mark = {"SCHILY.xattr.user.overlay.opaque": "y", "SCHILY.xattr.user.overlay.redirect": "/etc"}
    (store.work / "dir").mkdir()
    (store.work / "dir" / "old").write_text("old\n")
    image = make_image(store.work, [make_layer(
        (f"{top}/f", FILE, b"one"), (f"{top}/f", FILE, b"two"), (f"/{top}/abs", FILE, b"abs"),
        (f"{top}/way", LINK, str(outside)),
        (f"{top}/dir", DIR, mark), (f"{top}/dir/new", FILE, b"n"),
    )])
    do_import(store, image, 0)
    store.coffer("apply", "u")
    assert (store.work / "f").read_text() == "two"
    assert (store.work / "abs").read_text() == "abs"
    assert sorted(os.listdir(store.work / "dir")) == ["new", "old"]
    assert os.listdir(outside) == ["sentinel"]


# Collecting.


def test_collecting_spares_what_somebody_may_want(store):
    store.shell("echo x > file")
    store.coffer("snapshot", "t", "s")
    store.coffer("fork", "t", "f")
    run_coffer(
        "run", "--quiet", "--isolation", "container", "--layer", "--", "touch", "kept",
        cwd=store.work, report=False,
    ).ok()
    before = listed(store)
    (store.layers / ".dead-0123456789abcdef").mkdir()
    (store.layers / "names" / "nobody").symlink_to("../0123456789abcdef")
    os.utime(store.layers / "names" / "nobody", (1, 1), follow_symlinks=False)
    assert store.coffer("layers", "collect").out.startswith("0 layers removed")
    assert listed(store) == before
    assert not list(store.layers.glob(".dead-*"))
    assert not os.path.lexists(store.layers / "names" / "nobody")
    store.coffer("discard", "f", "t", "s", "--all-unnamed", code=125)
    store.coffer("discard", "f", "t", "s")
    store.coffer("discard", "--all-unnamed")
    assert listed(store) == {}


@pytest.mark.timeout(900)
def test_kills_while_layers_are_made_and_removed(store):
    """At each call of some kinds, in fork, snapshot, restore, discard and collect: names lead to
    whole layers, and a collection leaves nothing behind."""
    support.need_program("strace")
    store.shell("echo content > file")
    moments = range(1, 12) if SOAK else (1, 3)
    for call in ("renameat", "symlinkat", "unlinkat", "mkdirat", "mkdir"):
        for when in moments:
            for words in (["snapshot", "t", "s"], ["fork", "t", "f"], ["restore", "t", "s"],
                          ["discard", "s", "f"], ["layers", "collect"]):
                subprocess.run(
                    ["strace", "-f", "-o", "/dev/null", "-e", f"trace={call}", "-e",
                     f"inject={call}:signal=KILL:when={when}", COFFER, *words],
                    cwd=store.work, capture_output=True, check=False,
                )
                assert store.shell("cat file").out == "content\n", (call, when, words)
            names = [n for n in ("f", "s") if n in listed(store)]
            run_coffer("discard", *names, cwd=store.work)
    store.coffer("layers", "collect")
    rows = listed(store)
    assert store.shell("cat file").out == "content\n"
    reached = {rows["t"]["id"], *rows["t"]["parents"]} | {
        p for n in rows for p in rows[n]["parents"] if rows[n]["name"]
    }
    assert {r["id"] for r in rows.values() if not r["name"]} <= reached
    assert not list(store.layers.glob(".dead-*"))
