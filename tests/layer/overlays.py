"""Layers without boxes: what a box does to its workspace, by a real overlay that an ordinary user
mounts, so that `coffer diff` and the like can be tried on many of them quickly. Also a program: makes a
random tree, or random changes in one (see `main`)."""

import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

NAMES = (
    [b"a", b"b", b"a-b", b"a.b", b"ab", b"c d", b"lib", b"src", b"x", b"-dash", b"tail "]
    + [b'quo"te', b"back\\slash", b"tab\there", b"new\nline", "ünï".encode(), b"bad\xff\xfe", b"\x01"]
    + [b"a" * 200, b"Makefile", b"1", b"z", b"b => c", b"{x}", b"#", b"@@ -1 +1 @@", b"dev", b"null"]
)
CONTENTS = (
    [b"", b"x", b"x\n", b"\n", b"\n\n\n", b"no end\nof line", b"dos\r\nlines\r\n", b"-- x\n++ y\n"]
    + [b"nul\0byte\n" * 9, bytes(range(256)) * 8, b"a" * 5000 + b"\n", b"\\ No newline\n@@ -1 +1 @@\n"]
)


def content(chance):
    kind = chance.random()
    if kind < 0.3:
        return chance.choice(CONTENTS)
    if kind < 0.4:
        return chance.randbytes(chance.choice([10, 52, 53, 3000]))
    words = chance.choice([4, 40, 4000])
    return b"".join(b"%d\n" % chance.randrange(words) for _ in range(chance.randrange(120)))


def changed(chance, data):
    lines = data.split(b"\n")
    for _ in range(chance.choice([1, 1, 2, 5])):
        at = chance.randrange(len(lines) + 1)
        action = chance.random()
        if action < 0.4:
            lines[at:at] = [b"new %d" % chance.randrange(99) for _ in range(chance.randint(1, 4))]
        else:
            del lines[at : at + chance.randint(1, 3)]
            if action < 0.7:
                lines.insert(at, b"other")
    return b"\n".join(lines)


def random_name(chance, top):
    """A path below one of the tree's directories."""
    directories = [top]
    for directory, names, _ in os.walk(top):
        directories += [os.path.join(directory, n) for n in names]
    directories = [d for d in directories if not os.path.islink(d)]
    return os.path.join(chance.choice(directories), chance.choice(NAMES))


def everything(top):
    return [
        os.path.join(directory, name)
        for directory, names, files in os.walk(top)
        for name in sorted(names + files)
    ]


def remove(path):
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    elif os.path.lexists(path):
        os.unlink(path)


def create(chance, path):
    if os.path.lexists(path):
        return
    kind = chance.random()
    if kind < 0.65:
        with open(path, "wb") as file:
            file.write(content(chance))
        os.chmod(path, chance.choice([0o644, 0o755, 0o600]))
    elif kind < 0.8:
        os.symlink(chance.choice([b"a", b"../x", b"/etc/passwd", b"nowhere", b"with\nline"]), path)
    else:
        os.mkdir(path)


def rewrite(chance, path):
    if os.path.isfile(path) and not os.path.islink(path):
        with open(path, "rb") as file:
            data = file.read()
        with open(path, "wb") as file:
            file.write(changed(chance, data))


def move(chance, path, top):
    target = random_name(chance, top)
    if os.path.lexists(target) or (target + b"/").startswith(path + b"/"):
        return
    try:
        os.rename(path, target)
    except OSError:  # an overlay does not rename a directory that lies below it
        shutil.copytree(path, target, symlinks=True)
        shutil.rmtree(path)


def change(chance, top):
    paths = everything(top)
    action = chance.random()
    if not paths or action < 0.3:
        create(chance, random_name(chance, top))
        return
    path = chance.choice(paths)
    if action < 0.5:
        rewrite(chance, path)
    elif action < 0.6:
        remove(path)
    elif action < 0.7:
        move(chance, path, top)
    elif action < 0.8:
        remove(path)
        create(chance, path)
    elif action < 0.9 and not os.path.islink(path):
        os.chmod(path, 0o755 if os.path.isdir(path) else chance.choice([0o644, 0o755]))
    else:
        os.utime(path, follow_symlinks=False)


def main():
    """overlays.py tree|changes SEED COUNT DIRECTORY [SCRIPT]"""
    what, seed, count, top = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), os.fsencode(sys.argv[4])
    chance = random.Random(f"{what} {seed}")
    for _ in range(count):
        if what == "tree":
            create(chance, random_name(chance, top))
        else:
            change(chance, top)


class Layers:
    """A base, and layers on it; `make_layer` (tests/unit/make_layer.c) does what the launch of a box
    would do."""

    def __init__(self, top, tool):
        self.top, self.tool, self.base = Path(top), tool, Path(top) / "base"
        self.base.mkdir(exist_ok=True)
        self.directories = {}
        self.lower = {}

    def make(self, name, on=None):
        words = [self.tool, "new", name, self.base, self.base] + ([on] if on else [])
        made = subprocess.run(words, check=True, capture_output=True, text=True).stdout.strip()
        self.directories[name] = Path(made)
        self.lower[name] = [on] + self.lower[on] if on else []
        return self.directories[name]

    def run(self, name, script, copy_to=None):
        """Runs a shell script in the layer; copy_to gets what it saw at the end."""
        if name not in self.directories:
            self.make(name)
        subprocess.run([self.tool, "begin", name], check=True)
        own = self.directories[name]
        lower = [str(self.directories[n] / "upper") for n in self.lower[name]] + [str(self.base)]
        options = f"userxattr,lowerdir={':'.join(lower)},upperdir={own}/upper,workdir={own}/work"
        lines = [f"mount -t overlay none -o '{options}' '{self.base}'", f"cd '{self.base}'", script]
        if copy_to:
            lines += [f"cp -a . '{copy_to}'"]
        subprocess.run(
            ["unshare", "-Urm", "sh", "-ec", "\n".join(lines)], check=True, cwd=self.top
        )
        subprocess.run([self.tool, "settle", name], check=True, capture_output=True)


if __name__ == "__main__":
    main()
