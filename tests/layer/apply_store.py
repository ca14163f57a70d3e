"""A workspace, a store of layers, and what tests do with them."""

import json
import os
import pickle
import subprocess
import time
from pathlib import Path

import apply_trees as trees
import pytest
import support
from support import run_coffer

TREES = Path(trees.__file__)


class Store:
    """A workspace, a state directory, and layers over the one in the other."""

    def __init__(self, directory):
        self.top = directory
        self.state = directory / "state"
        self.work = directory / "work"
        self.work.mkdir()
        subprocess.run(["git", "init", "-q", self.work], check=True)

    def box(self, *command, layer="t", check=True, flags=(), **keywords):
        # A change of the host's within one tick of the clock before a run counts as one during it.
        time.sleep(0.02)
        result = run_coffer(
            # As root these tests may lie in another user's home, which a box does not see.
            "run", "--quiet", "--isolation", "container", "--allow-read", TREES.parent,
            f"--layer={layer}", *flags, "--", *command, cwd=self.work, report=False, **keywords,
        )
        if check:
            result.ok()
        return result

    def shell(self, script, **keywords):
        return self.box("sh", "-c", script, **keywords)

    def edit(self, seed, layer="t"):
        """What the box then sees."""
        seen = pickle.loads(
            self.box("python3", str(TREES), ".", str(seed), layer=layer, binary=True).out
        )
        seen["links"] = self.links(seen)
        return seen

    def links(self, seen):
        """An overlay does not tell all links by their inodes: names that the layer has are links as
        they are on disk there, the others as they are on the host."""
        groups, host = {}, self.print()
        (upper,) = self.layers.glob("*/roots/*/upper")
        for name in (n for n, what in seen.items() if "content" in what):
            status = os.lstat(upper / name if os.path.lexists(upper / name) else self.work / name)
            if status.st_nlink == 1 and seen[name] == host.get(name):
                status = os.lstat(self.work / name)  # copied up, and nothing came of it
            groups.setdefault((status.st_dev, status.st_ino), []).append(name)
        return sorted(names for names in groups.values() if len(names) > 1)

    def coffer(self, *args, code=0):
        result = run_coffer(*args, cwd=self.work)
        assert result.code == code, result.describe()
        return result

    def apply(self, *args, code=0):
        result = self.coffer("apply", "t", "--json", *args, code=code)
        return json.loads(result.out) if result.out else {}

    @property
    def layers(self):
        return self.state / "coffer" / "layers"

    def leftovers(self):
        """Names that an apply makes for itself."""
        found = [str(p) for p in self.work.rglob(".coffer-apply-*")]
        found += [str(p) for p in self.layers.glob("*/apply.*")]
        return found + [str(p) for p in (self.layers / "applying").glob("*")]

    def print(self):
        return trees.fingerprint(self.work)


@pytest.fixture
def store(home_directory, monkeypatch):
    available, reason = support.tier_available("container")
    if not available:
        pytest.skip(f"container tier: {reason}")
    for name, value in {
        "XDG_STATE_HOME": "state",
        "XDG_CONFIG_HOME": "config",
        "XDG_CACHE_HOME": "cache",
        "HOME": "home",
    }.items():
        (home_directory / value).mkdir(exist_ok=True)
        monkeypatch.setenv(name, str(home_directory / value))
    old = os.umask(0o022)
    yield Store(home_directory)
    os.umask(old)
