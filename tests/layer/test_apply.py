"""coffer apply: what a layer holds comes to the host, all of it or nothing."""

import json
import os
import pickle
import random
import shutil
import signal
import subprocess
import threading
import time

import apply_trees as trees
import pytest
import support
from apply_store import TREES, store  # noqa: F401
from support import COFFER, run_coffer

SOAK = os.environ.get("COFFER_SOAK") == "1"


# The whole of it.


@pytest.mark.parametrize("seed", range(40 if SOAK else 6))
def test_the_host_becomes_what_the_box_saw(store, seed):
    trees.make_tree(store.work, seed)
    for step in range(2):
        seen = store.edit(1000 * seed + step)
        before = store.print()
        assert store.apply("--dry-run")["applied"] is False
        assert store.print() == before
        assert store.apply()["applied"] is True
        got = trees.differences(store.print(), seen)
        assert not got, got
        assert not store.leftovers()
        assert store.apply()["added"] == 0
        # What was applied has left the layer.
        (only,) = json.loads(store.coffer("layers", "--json").out)
        assert (only["added"], only["modified"], only["deleted"], only["bytes"]) == (0, 0, 0, 0)


def test_a_stack_is_applied_as_it_looks(store):
    trees.make_tree(store.work, 5)
    for step in range(4):
        seen = pickle.loads(store.box("python3", TREES, ".", 50 + step, binary=True).out)
        if step in (0, 2):
            store.coffer("snapshot", "t", f"s{step}")
    store.apply()
    got = store.print()
    got.pop("links"), seen.pop("links")
    assert not trees.differences(got, seen)
    assert store.apply()["modified"] == 0


def test_sparse_files_stay_sparse_and_links_one_inode(store):
    store.shell("truncate -s 64M big; echo x >> big; echo y > one; ln one two; mkdir d; ln one d/three")
    store.apply()
    assert (store.work / "big").stat().st_blocks * 512 < 1024 * 1024
    inodes = {(store.work / n).stat().st_ino for n in ("one", "two", "d/three")}
    assert len(inodes) == 1
    assert (store.work / "one").stat().st_nlink == 3


def test_a_name_added_to_a_host_file_is_a_link_of_it(store):
    (store.work / "file").write_text("content\n")
    store.shell("ln file other")
    store.apply()
    assert (store.work / "file").stat().st_ino == (store.work / "other").stat().st_ino


def test_directories_get_the_time_that_the_layer_shows(store):
    (store.work / "dir").mkdir()
    (store.work / "dir" / "old").write_text("x")
    store.shell("rm dir/old; echo > dir/new; touch -d 2001-02-03 dir; mkdir n; touch -d 2002-02-02 n")
    store.apply()
    assert time.strftime("%Y-%m-%d", time.localtime((store.work / "dir").stat().st_mtime)) == "2001-02-03"
    assert time.strftime("%Y-%m-%d", time.localtime((store.work / "n").stat().st_mtime)) == "2002-02-02"


def test_a_dry_run_writes_nothing_at_all(store):
    (store.work / "file").write_text("x")
    store.shell("echo y > file; mkdir d")
    before = os.stat(store.work).st_mtime_ns, os.stat(store.work / "file").st_ctime_ns
    assert store.apply("--dry-run")["added"] == 1
    assert (os.stat(store.work).st_mtime_ns, os.stat(store.work / "file").st_ctime_ns) == before


def test_an_unnamed_layer_is_gone_when_it_is_applied(store):
    run_coffer(
        "run", "--quiet", "--isolation", "container", "--layer", "--", "touch", "new",
        cwd=store.work, report=False,
    ).ok()
    (only,) = json.loads(store.coffer("layers", "--json").out)
    assert only["name"] is None
    store.coffer("apply")
    assert (store.work / "new").exists()
    assert json.loads(store.coffer("layers", "--json").out) == []


def test_keep_leaves_it_in_the_layer_and_goes_on_from_there(store):
    (store.work / "file").write_text("one\n")
    store.shell("echo two > file")
    store.apply("--keep")
    assert (store.work / "file").read_text() == "two\n"
    store.shell("grep -q two file && echo three > file")
    assert store.apply()["modified"] == 1
    assert (store.work / "file").read_text() == "three\n"


def test_set_id_bits_and_sockets_stay_out(store):
    (store.work / "tool").write_text("#!/bin/sh\n")
    (store.work / "tool").chmod(0o755)
    store.shell(
        "chmod 755 tool; cp tool new; "
        "python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind(\"sock\")'"
    )
    for upper in store.layers.glob("*/roots/*/upper/"):  # the box itself is not let do it
        (upper / "tool").write_text("#!/bin/sh\n:\n")
        (upper / "tool").chmod(0o6755)
        (upper / "new").chmod(0o4755)
    told = store.apply()
    assert (store.work / "tool").stat().st_size == 12
    assert not (store.work / "tool").stat().st_mode & 0o6000
    assert not (store.work / "new").stat().st_mode & 0o6000
    assert not (store.work / "sock").exists()
    assert any("sock: a socket" in line for line in told["skipped"])
    assert any("new: its set-user-id" in line for line in told["skipped"])


# Parts.


def test_a_part_leaves_the_rest_in_the_layer(store):
    (store.work / "d").mkdir()
    (store.work / "d" / "gone").write_text("x")
    (store.work / "file").write_text("1")
    store.shell("echo 2 > file; rm d/gone; mkdir -p n/m; echo a > n/m/a; echo b > n/m/b; echo c > n/c")
    store.apply("n/m/a", "d")
    assert (store.work / "n" / "m" / "a").read_text() == "a\n"
    assert not (store.work / "n" / "m" / "b").exists()
    assert not (store.work / "d" / "gone").exists()
    assert (store.work / "file").read_text() == "1"
    # What is left is whole, and what was applied is the host's from now on.
    store.shell("cat n/m/a n/m/b n/c file; test ! -e d/gone")
    (store.work / "n" / "m" / "a").write_text("the host's\n")
    assert store.shell("cat n/m/a").out == "the host's\n"
    assert store.apply()["added"] == 2
    assert (store.work / "n" / "m" / "a").read_text() == "the host's\n"
    assert (store.work / "n" / "m" / "b").read_text() == "b\n"


@pytest.mark.parametrize("seed", range(12 if SOAK else 3))
def test_part_after_part_is_the_whole(store, seed):
    trees.make_tree(store.work, seed)
    wanted = store.edit(seed + 7)
    for name in random.Random(seed).sample(trees.NAMES, len(trees.NAMES)):
        result = run_coffer("apply", "t", "--", name, cwd=store.work)
        assert result.code == 0 or "has changed nothing" in result.err, result.describe()
    store.apply()
    got = store.print()
    # A part alone does not know of the links into another.
    wanted.pop("links"), got.pop("links")
    assert not trees.differences(got, wanted)


def test_a_part_of_a_stack_is_not_lost(store):
    (store.work / "file").write_text("1\n")
    store.shell("echo 2 > file; echo n > new")
    store.coffer("snapshot", "t", "s")
    store.shell("echo 3 > file; echo m >> new")
    store.apply("file")
    assert (store.work / "file").read_text() == "3\n"
    assert store.shell("cat file new").out == "3\nn\nm\n"
    assert store.apply()["added"] == 1
    assert (store.work / "new").read_text() == "n\nm\n"


def test_a_path_without_a_change_is_an_error(store):
    store.shell("touch new")
    result = store.coffer("apply", "t", "other", code=125)
    assert "has changed nothing" in result.err


# Conflicts.

CONFLICTS = {
    "modified": ("echo host > file", "echo layer > file", "changed on the host since"),
    "deleted": ("rm file", "echo layer > file", "removed on the host since"),
    "modified, and removed in the layer": ("echo host > file", "rm file", "changed on the host"),
    "created": ("echo host > new", "echo layer > new", "made on the host since"),
    "type": ("rm file; mkdir file", "echo layer > file", "something else on the host"),
    "mode": ("chmod 600 file", "echo layer > file", "changed in mode"),
    "mode and mode": ("chmod 600 file", "chmod 755 file", "changed in mode"),
    "put into a removed directory": ("echo host > dir/more", "rm -r dir", "made on the host since"),
    "directory removed": ("rm -r dir", "echo layer > dir/in", "removed on the host since"),
}


@pytest.mark.parametrize("kind", CONFLICTS)
def test_what_the_host_changed_is_refused(store, kind):
    on_host, in_layer, words = CONFLICTS[kind]
    (store.work / "file").write_text("base\n")
    (store.work / "dir").mkdir()
    (store.work / "dir" / "in").write_text("base\n")
    store.shell(in_layer + "; echo also > another")
    subprocess.run(["sh", "-c", on_host], cwd=store.work, check=True)
    before = store.print()
    told = store.apply(code=1)
    assert told["refusals"] and not told["applied"]
    assert words in told["refusals"][0]["text"], told
    assert told["refusals"][0]["problem"] == "conflict"
    for state in ("it was", "now it is", "the layer has"):
        assert state in told["refusals"][0]["text"]
    assert store.print() == before and not store.leftovers()
    # The rest can be had, and so can all of it.
    store.apply("another")
    assert store.apply("--force")["applied"]
    assert not store.leftovers()
    assert store.apply()["refusals"] == []


def test_the_same_change_on_both_sides_is_none(store):
    (store.work / "file").write_text("base\n")
    store.shell("echo same > file; rm -f other; echo new > new")
    (store.work / "file").write_text("same\n")
    (store.work / "new").write_text("new\n")
    told = store.apply()
    assert told["applied"] and not told["refusals"]


def test_protected_names_want_a_word(store):
    store.shell("mkdir -p sub/.VSCode && echo x > sub/.VSCode/tasks.json; echo y > sub/.envrc", check=False)
    told = store.apply(code=1)
    assert {r["problem"] for r in told["refusals"]} == {"protected"}
    assert len(told["refusals"]) == 2
    assert not (store.work / "sub").exists()
    store.apply("--protected")
    assert (store.work / "sub" / ".VSCode" / "tasks.json").read_text() == "x\n"


# Links.


def test_a_directory_that_became_a_link_is_not_entered(store, outside):
    (store.work / "dir").mkdir()
    (store.work / "dir" / "file").write_text("x")
    store.shell("echo y > dir/file; echo z > dir/new; rm -f dir/nothing")
    shutil.rmtree(store.work / "dir")
    (store.work / "dir").symlink_to(outside)
    before = trees.fingerprint(outside)
    for flags in ([], ["--force"]):
        told = store.apply(*flags, code=1)
        assert told["refusals"][0]["problem"] == "link", told
    assert trees.fingerprint(outside) == before
    assert (store.work / "dir").is_symlink()


def test_links_in_the_layer_lead_nowhere_on_the_host(store, outside):
    store.shell(f"ln -s {outside} way; mkdir real; echo x > real/file; ln -s {outside}/sentinel file")
    store.apply()
    assert (store.work / "way").is_symlink() and (store.work / "file").is_symlink()
    assert (outside / "sentinel").read_text() == "untouched\n"


@pytest.mark.timeout(120)
def test_a_race_with_links_never_leads_out(store, outside):
    """Another program swaps a directory for a link to elsewhere, all the time."""
    before = trees.fingerprint(outside)
    work, stop = store.work, threading.Event()
    (work / "dir").mkdir()
    for i in range(30):
        (work / "dir" / f"f{i}").write_text("base\n")
    (work / "link").symlink_to(outside)

    def swap():
        libc = support.ctypes.CDLL(None)
        a, b = str(work / "dir").encode(), str(work / "link").encode()
        while not stop.is_set():
            libc.renameat2(-100, a, -100, b, 2)  # RENAME_EXCHANGE
            time.sleep(random.random() * 0.003)

    outcomes = set()
    for round_ in range(60 if SOAK else 8):
        store.shell("for i in $(seq 0 29); do echo $$ > dir/f$i; echo n > dir/n$i; done; mkdir -p dir/m")
        stop.clear()
        thread = threading.Thread(target=swap)
        thread.start()
        try:
            result = run_coffer("apply", "t", cwd=work)
        finally:
            stop.set()
            thread.join()
        if (work / "dir").is_symlink():
            support.ctypes.CDLL(None).renameat2(
                -100, str(work / "dir").encode(), -100, str(work / "link").encode(), 2
            )
        outcomes.add(result.code)
        assert trees.fingerprint(outside) == before
        if result.code:
            run_coffer("layers", cwd=work)
            store.apply("--force")
        assert not store.leftovers()
    assert outcomes


# Kills.


def wait_and_check(store, before, after):
    """What a kill has left is finished by the next start, whatever that is for."""
    run_coffer("layers", cwd=store.work).ok()
    now = store.print()
    assert now in (before, after), (
        trees.differences(now, before),
        trees.differences(now, after),
    )
    assert not store.leftovers()
    return now == after


def prepare_edit(store, seed):
    after = store.edit(seed)
    return store.print(), after


@pytest.mark.timeout(900)
def test_kills_at_random_moments(store):
    rounds = 500 if SOAK else 20
    trees.make_tree(store.work, 3)
    rng, length, outcomes = random.Random(17), 0.03, []
    for round_ in range(rounds):
        before, after = prepare_edit(store, 5000 + round_)
        started = time.monotonic()
        process = subprocess.Popen(
            [COFFER, "apply", "t"], cwd=store.work, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            process.wait(rng.random() * length)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        else:
            length = max(0.005, time.monotonic() - started)
        outcomes.append((process.returncode, wait_and_check(store, before, after)))
        store.apply()
        got = trees.differences(store.print(), after)
        assert not got, (round_, got)
    killed = [done for code, done in outcomes if code == -signal.SIGKILL]
    assert killed, "no kill came in time"


KILLED_AT = {  # and how far the moments of a short round lie apart
    "renameat2": 3, "renameat": 1, "mkdirat": 1, "unlinkat": 4, "linkat": 1, "fsync": 9,
    "symlinkat": 1, "openat2": 41, "fchmodat": 1, "utimensat": 7,
}

# Something of each kind of step.
RICH = """
for i in a b c; do echo {n} > mod$i; done
rm -rf gone{m}; mkdir gone{n}; echo x > gone{n}/x
rm -f kind; rm -rf kind; [ $(({n} % 2)) = 0 ] && mkdir kind || echo x > kind
mkdir -p new{n}/sub; echo y > new{n}/sub/y; ln new{n}/sub/y new{n}/y; ln -s y new{n}/l; mkfifo new{n}/f
ln moda link{n}; ln -s {n} sym{n}; chmod {mode} dir; touch -d @{n}00000 touched
"""


@pytest.mark.timeout(900)
@pytest.mark.parametrize("call", KILLED_AT)
def test_kills_at_each_call(store, call):
    """A kill right at the n-th call of a kind."""
    support.need_program("strace")
    store.shell("mkdir dir; touch touched; echo > moda; echo > modb; echo > modc; mkdir gone0")
    store.apply()
    kills, number, rounds = 0, 0, 200 if SOAK else 3
    for round_ in range(rounds):
        before = store.print()
        store.shell(RICH.format(n=round_ + 1, m=round_, mode=(755, 700)[round_ % 2]))
        number += 1 if SOAK else KILLED_AT[call]
        result = subprocess.run(
            ["strace", "-f", "-o", "/dev/null", "-e", f"trace={call}", "-e",
             f"inject={call}:signal=KILL:when={number}", COFFER, "apply", "t"],
            cwd=store.work, capture_output=True, check=False,
        )
        run_coffer("layers", cwd=store.work).ok()
        now = store.print()
        assert not store.leftovers()
        store.apply()
        after = store.print()
        assert now in (before, after), (trees.differences(now, before), trees.differences(now, after))
        assert after != before
        kills += result.returncode != 0
        number = 0 if result.returncode == 0 else number
    assert kills


def test_a_call_that_fails_leaves_the_host_as_it_was(store):
    """Each kind of call fails once, at each of several moments."""
    support.need_program("strace")
    trees.make_tree(store.work, 21)
    failed = 0
    for seed, (call, code) in enumerate([
        ("renameat2", "ENOSPC"), ("mkdirat", "EDQUOT"), ("fsync", "EIO"),
        ("copy_file_range", "ENOSPC"), ("fsetxattr", "ENOSPC"), ("renameat", "EIO"),
    ]):
        store.edit(seed)
        before = store.print()
        for number in range(1, 40, 1 if SOAK else 6):
            result = subprocess.run(
                ["strace", "-f", "-o", "/dev/null", "-e", f"trace={call}", "-e",
                 f"inject={call}:error={code}:when={number}", COFFER, "apply", "t", "--force"],
                cwd=store.work, capture_output=True, check=False,
            )
            if result.returncode == 0:
                break  # there were not so many calls
            failed += 1
            run_coffer("layers", cwd=store.work).ok()
            got = trees.differences(store.print(), before)
            assert not got, (call, number, got, result.stderr)
            assert not store.leftovers(), (call, number)
    assert failed


# A full disk.

FULL = """
set -e
mount -t tmpfs -o size=4M,nr_inodes=400 small {work}
cd {work}; git init -q .; mkdir dir; echo base > dir/file; echo base > other
chown -R {owner} {work} 2> /dev/null || :
{drop} sh -e -c '
    cd {work}
    run() {{ {coffer} run --quiet --isolation container --layer=t -- sh -c "$1"; }}
    state() {{ find . -name .git -prune -o -printf "%p %m %T@ %s %y\\n" | sort; cat dir/file other; }}
    for kind in bytes inodes; do
        if [ $kind = bytes ]; then
            run "rm -f other; head -c 3000000 /dev/urandom > dir/file; head -c 3000000 /dev/urandom > n"
        else
            run "rm -rf n; echo x > dir/file; for i in \\$(seq 600); do mkdir -p m/d; echo x > m/d/\\$i; done"
        fi
        state > {top}/before
        if {coffer} apply t 2> {top}/said; then echo "it fitted?"; exit 1; fi
        state > {top}/after
        cmp {top}/before {top}/after
        grep -q "No space left" {top}/said; grep -q "still has everything" {top}/said
        test -z "$(find . -name ".coffer-apply-*")"
    done
    {coffer} apply t other dir
    test ! -e other
    echo done
'
"""


def test_a_full_disk_leaves_the_host_as_it_was(store):
    if not support.IS_ROOT:
        support.need_user_namespaces()
    outer = ["unshare", "-m"] if support.IS_ROOT else ["unshare", "-Urm"]
    drop = "" if support.IS_ROOT else "unshare -U --map-user=1000 --map-group=1000"
    script = FULL.format(
        work=store.work, top=store.top, coffer=COFFER, drop=drop, owner=f"{os.getuid()}"
    )
    shutil.rmtree(store.work / ".git")
    result = subprocess.run([*outer, "sh", "-c", script], capture_output=True, text=True, check=False)
    assert result.stdout.endswith("done\n"), result.stdout + result.stderr
