"""What the tests of clones, patches and hostile repositories share.

    steps       a task's steps one by one, in a state of the test's own:
                steps.clone(repository) -> Step; steps.task(repository, setup, agent) -> Packed
    victim_home what a repository may try to touch: its tree must stay as it is
"""

import json
import os
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import support
import task_trees as trees

DRIVER = support.COFFER.parent / "tests" / "unit" / "task_driver"
# An ordinary user may have no control group; what these limit is not what is tested here.
LIMITS = "set:limit=cpu=none,memory=none,pids=none,time=2m"


@dataclass
class Step:
    """How one step went: its lines "key: value", and what git said."""

    code: int
    out: str
    words: str
    values: dict = field(default_factory=dict)
    skipped: list = field(default_factory=list)

    def __getattr__(self, name):
        try:
            return self.values[name]
        except KeyError as e:
            raise AttributeError(f"{name}: {self.out}\n{self.words}") from e

    def ok(self):
        assert self.code == 0, f"{self.out}\n{self.words}"
        return self

    def refused(self, *says):
        """It must have failed, with all of these in the message or hint."""
        assert self.code == 1, f"{self.out}\n{self.words}"
        said = self.values["message"] + "\n" + self.values["hint"]
        for text in says:
            assert text in said, f"{self.out}\n{self.words}"
        assert said.isprintable() or said.replace("\n", "").isprintable()
        return self


class Steps:
    def __init__(self, directory):
        self.directory = directory
        self.state = directory / "state"
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(directory),
            "XDG_STATE_HOME": str(self.state),
            "COFFER_PROGRAM": str(support.COFFER),
        }

    def run(self, *words, timeout=50, env=None, wrap=(), world=None):
        command = [*wrap, str(DRIVER), *map(str, words)]
        environment = {**self.environment, **(env or {})}
        if world:
            done = world.run(*command, env=environment, timeout=timeout)
            code, out, said = done.code, done.out, done.err
        else:
            done = subprocess.run(
                command,
                env=environment,
                capture_output=True,
                timeout=timeout * support.SLOWDOWN,
                stdin=subprocess.DEVNULL,
                check=False,
            )
            code = done.returncode
            out, said = (s.decode("utf-8", "backslashreplace") for s in (done.stdout, done.stderr))
        step = Step(code, out, said)
        for line in out.splitlines():
            key, _, value = line.partition(": ")
            if key == "skipped":
                step.skipped.append(value)
            step.values[key] = value
        return step

    def layer(self, on=None):
        return self.run("layer", *([on] if on else [])).ok().id

    def upper(self, layer):
        """What a layer holds of the workspace, as the host sees it."""
        directory = self.state / "coffer" / "layers" / layer
        for root in json.loads((directory / "layer.json").read_text())["roots"]:
            if root["path"] == "/workspace":
                return directory / "roots" / root["key"] / "upper"
        raise AssertionError(f"{layer} has no workspace")

    def clone(self, repository, *words, layer=None, **keywords):
        layer = layer or self.layer()
        step = self.run("clone", layer, repository, LIMITS, *words, **keywords)
        step.values["layer"] = layer
        return step

    def box(self, layer, command, **keywords):
        """A phase: its command must succeed."""
        step = self.run("box", layer, command, LIMITS, **keywords)
        assert step.code == 0 and step.exit == "0", f"{step.out}\n{step.words}"
        return step

    def task(self, repository, agent, setup=None, words=(), clone=(), timeout=50):
        cloned = self.clone(repository, *clone).ok()
        prepared = self.layer(cloned.layer)
        self.box(prepared, setup or "true")
        final = self.layer(prepared)
        self.box(final, agent, timeout=timeout)
        return self.pack(cloned, prepared, final, words, timeout)

    def pack(self, cloned, prepared, final, words=(), timeout=50):
        out = self.directory / f"out-{final}"
        out.mkdir(exist_ok=True)
        step = self.run(
            "pack", cloned.layer, prepared, final, cloned.commit, out, LIMITS, *words,
            timeout=timeout,
        )  # fmt: skip
        step.values.update(
            base=cloned.commit, clone_layer=cloned.layer, prepared=prepared, final=final, out_path=out
        )
        # A killed one may leave a throw-away layer, no other does.
        names = self.state / "coffer" / "layers" / "names"
        assert not list(names.iterdir())
        return step

    def apply(self, patch, directory, *words, **keywords):
        return self.run("apply", patch, directory, LIMITS, *words, **keywords)


@pytest.fixture
def steps(home_directory):
    assert DRIVER.exists(), f"{DRIVER} is not built"
    directory = home_directory / "task"
    directory.mkdir()
    return Steps(directory)


@pytest.fixture
def untouched_home(home_directory):
    """A directory beside the repository with things that a hostile one may want; they must be as
    they were when the test ends."""
    victim = home_directory / "victim"
    victim.mkdir()
    (victim / "sentinel").write_text("untouched\n")
    private = support.make_repository(victim / "private")
    (private / "secret").write_text("hunter2\n")
    support.git(private, "add", "-A")
    support.git(private, "commit", "-q", "-m", "private")
    before = trees.fingerprint(victim)
    yield victim
    assert not trees.differences(before, trees.fingerprint(victim))


def commit(repository, message="next"):
    support.git(repository, "add", "-A")
    support.git(repository, "commit", "-q", "--allow-empty", "-m", message)
    return support.git(repository, "rev-parse", "HEAD").strip()


def tree_of(repository, revision="HEAD"):
    return support.git(repository, "rev-parse", f"{revision}^{{tree}}").strip()


def fresh(repository, directory, revision):
    """Another clone of it, made by git alone, at that commit."""
    support.git(repository.parent, "clone", "-q", repository, directory)
    support.git(directory, "checkout", "-q", "-B", "work", revision)
    support.git(directory, "config", "user.name", "Other")
    support.git(directory, "config", "user.email", "other@example.org")
    return Path(directory)
