"""All that can be seen of a tree, to be compared before and after."""

import hashlib
import os
import stat


def describe(path):
    """One entry: type, mode, owner, times, links and attributes, and what is in it."""
    status = os.lstat(path)
    what = {
        "mode": status.st_mode,
        "owner": (status.st_uid, status.st_gid),
        "mtime": status.st_mtime_ns,
        "links": status.st_nlink,
        "inode": status.st_ino,
    }
    if stat.S_ISLNK(status.st_mode):
        what["target"] = os.readlink(path)
        return what
    if stat.S_ISREG(status.st_mode):
        digest = hashlib.sha256()
        with open(path, "rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
        what["content"] = (status.st_size, digest.hexdigest())
    what["attributes"] = {name: os.getxattr(path, name) for name in sorted(os.listxattr(path))}
    return what


def fingerprint(top):
    """path -> description, of top and of everything below it."""
    found = {".": describe(top)}
    for directory, names, files in os.walk(top):
        for name in names + files:
            path = os.path.join(directory, name)
            found[os.path.relpath(path, top)] = describe(path)
    return found


def differences(before, after):
    """One line for each path that is not as it was."""
    lines = []
    for path in sorted(before.keys() | after.keys()):
        old, new = before.get(path), after.get(path)
        if old is None or new is None:
            lines.append(f"{path}: {'appeared' if old is None else 'gone'}")
        elif old != new:
            changed = [key for key in old.keys() | new.keys() if old.get(key) != new.get(key)]
            lines.append(f"{path}: {', '.join(sorted(changed))}")
    return lines
