"""Random trees and random edits of them, the same from the same seed: for a box and for a model."""

import os
import pickle
import random
import stat
import sys

NAMES = ["a", "b", "c", "dir", "sub", "x y", "ü", "-n", "long" * 20, ".hidden", "tab\there"]
SPARSE_BYTES = 3 * 1024 * 1024


def _content(rng):
    kind = rng.random()
    if kind < 0.1:
        return b""
    if kind < 0.8:
        return b"".join(b"line %d\n" % rng.randrange(100) for _ in range(rng.randrange(20)))
    return rng.randbytes(rng.randrange(1, 70000))


def _time(rng):
    return rng.randrange(1_000_000_000, 1_700_000_000) * 10**9 + rng.randrange(10**9)


def _write(rng, path):
    if rng.random() < 0.05:
        with open(path, "wb") as file:
            file.truncate(SPARSE_BYTES)
            file.seek(rng.randrange(SPARSE_BYTES - 10))
            file.write(b"in a hole")
    else:
        with open(path, "wb") as file:
            file.write(_content(rng))
    os.chmod(path, rng.choice([0o644, 0o600, 0o755, 0o444]))
    if rng.random() < 0.3:
        os.chmod(path, 0o644)
        os.setxattr(path, "user.note", rng.randbytes(rng.randrange(1, 40)))
    os.utime(path, ns=(_time(rng), _time(rng)))


def _make(rng, path, depth):
    kind = rng.random()
    if kind < 0.55:
        _write(rng, path)
    elif kind < 0.7:
        os.symlink(rng.choice(["a", "../b", "/etc/passwd", "nowhere", "."]), path)
    elif kind < 0.73:
        os.mkfifo(path, 0o640)
    else:
        os.mkdir(path)
        if depth < 3:
            for name in rng.sample(NAMES, rng.randrange(0, 5)):
                _make(rng, os.path.join(path, name), depth + 1)
        if rng.random() < 0.2:
            os.setxattr(path, "user.note", b"of a directory")
        os.chmod(path, rng.choice([0o755, 0o700, 0o775]))
        os.utime(path, ns=(_time(rng), _time(rng)))


def make_tree(top, seed):
    rng = random.Random(seed)
    os.makedirs(top, exist_ok=True)
    for name in rng.sample(NAMES, 7):
        _make(rng, os.path.join(top, name), 0)


def _entries(top):
    """Sorted: the order of a directory differs from one file system to another."""
    found = []
    for directory, names, files in os.walk(top):
        names[:] = sorted(n for n in names if n != ".git")
        found += [os.path.join(directory, n) for n in sorted(names + files)]
    return [path for path in sorted(found) if not path.startswith(os.path.join(top, ".git"))]


def _remove(path):
    if os.path.isdir(path) and not os.path.islink(path):
        for name in sorted(os.listdir(path)):
            _remove(os.path.join(path, name))
        os.rmdir(path)
    else:
        os.unlink(path)


def _edit_one(rng, top, path):
    status = os.lstat(path)
    regular, directory = stat.S_ISREG(status.st_mode), stat.S_ISDIR(status.st_mode)
    kind = rng.random()
    if kind < 0.25:
        _remove(path)
        if rng.random() < 0.5:
            _make(rng, path, 2)
    elif kind < 0.4 and directory:
        free = [n for n in NAMES if not os.path.lexists(os.path.join(path, n))]
        if free:
            _make(rng, os.path.join(path, rng.choice(free)), 2)
    elif kind < 0.5 and not stat.S_ISLNK(status.st_mode):
        os.chmod(path, rng.choice([0o755, 0o700, 0o711 | 0o600]))
    elif kind < 0.6 and regular:
        os.chmod(path, 0o644)
        os.setxattr(path, "user.note", rng.randbytes(5))
        os.utime(path, ns=(_time(rng), _time(rng)))
    elif kind < 0.7 and regular:
        link = os.path.join(top, f"link {rng.randrange(1000)}")
        if not os.path.lexists(link):
            os.link(path, link)
    elif kind < 0.75 and regular:
        os.utime(path, ns=(_time(rng), _time(rng)))
    elif kind < 0.85 and regular:
        os.chmod(path, 0o644)
        with open(path, "ab") as file:
            file.write(b"appended\n")
        os.utime(path, ns=(_time(rng), _time(rng)))
    elif regular:
        os.chmod(path, 0o644)
        _write(rng, path)


def edit_tree(top, seed):
    rng = random.Random(seed)
    for _ in range(rng.randrange(1, 12)):
        entries = _entries(top)
        if not entries or rng.random() < 0.2:
            free = [n for n in NAMES if not os.path.lexists(os.path.join(top, n))]
            if free:
                _make(rng, os.path.join(top, rng.choice(free)), 1)
        else:
            _edit_one(rng, top, rng.choice(entries))


def fingerprint(top, times=True):
    """What an apply must reproduce: content, mode, owner, time, attributes, and which names are links
    of one another. (Times of directories change with every name in them.)"""
    found, inodes = {}, {}
    for path in _entries(top):
        status = os.lstat(path)
        kind = stat.S_IFMT(status.st_mode)
        what = {"mode": status.st_mode}
        if kind == stat.S_IFREG:
            with open(path, "rb") as file:
                what["content"] = file.read()
            inodes.setdefault(status.st_ino, []).append(os.path.relpath(path, top))
        if kind == stat.S_IFLNK:
            what["target"] = os.readlink(path)
        else:
            names = [n for n in os.listxattr(path) if n.startswith("user.")]
            what["attributes"] = {n: os.getxattr(path, n) for n in names}
        if times and kind == stat.S_IFREG:
            what["time"] = status.st_mtime_ns
        found[os.path.relpath(path, top)] = what
    found["links"] = sorted(names for names in inodes.values() if len(names) > 1)
    return found


def differences(left, right):
    """For a failed comparison: which paths, and what of them."""
    said = []
    for path in sorted({*left, *right}, key=str):
        a, b = left.get(path), right.get(path)
        if a != b:
            if isinstance(a, dict) and isinstance(b, dict):
                said.append((path, {k: (a.get(k), b.get(k)) for k in {*a, *b} if a.get(k) != b.get(k)}))
            else:
                said.append((path, a, b))
    return said


if __name__ == "__main__":
    # In a box: what it has made of the tree, as it sees it.
    os.umask(0o022)
    edit_tree(sys.argv[1], int(sys.argv[2]))
    sys.stdout.buffer.write(pickle.dumps(fingerprint(sys.argv[1])))
