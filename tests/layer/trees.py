"""All that can be seen of a tree. Also a program: prints that of each directory named, as JSON, so
that a box can be asked what it sees."""

import hashlib
import json
import os
import stat
import sys


def entry(path, status):
    kind = stat.S_IFMT(status.st_mode)
    found = {"mode": status.st_mode, "owner": [status.st_uid, status.st_gid]}
    found["mtime"] = status.st_mtime_ns
    if kind == stat.S_IFREG:
        with open(path, "rb") as file:
            found["content"] = hashlib.sha256(file.read()).hexdigest()
        found["size"] = status.st_size
    if kind == stat.S_IFLNK:
        found["target"] = os.readlink(path)
    else:
        found["xattrs"] = {n: os.getxattr(path, n).hex() for n in sorted(os.listxattr(path))}
    return found


def portrait(top):
    """Relative paths to what is there; files with several names name the first of them. No inode
    numbers: two trees can be compared."""
    found, first = {}, {}
    for directory, names, files in sorted(os.walk(top)):
        for name in [""] + sorted(names + files):
            path = os.path.join(directory, name) if name else directory
            relative = os.path.relpath(path, top)
            status = os.lstat(path)
            found[relative] = entry(path, status)
            if not stat.S_ISDIR(status.st_mode) and status.st_nlink > 1:
                same = first.setdefault((status.st_dev, status.st_ino), relative)
                found[relative]["same"] = same
    return found


def fingerprint(top):
    """The same with inode numbers and link counts: nobody touched it."""
    found = {}
    for directory, names, files in os.walk(top):
        for path in [directory, *(os.path.join(directory, n) for n in names + files)]:
            status = os.lstat(path)
            found[path] = [entry(path, status), status.st_ino, status.st_nlink]
    return found


if __name__ == "__main__":
    json.dump({top: portrait(top) for top in sys.argv[1:]}, sys.stdout)
