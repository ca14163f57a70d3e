"""What the tests of layers share.

    state           where this test's layers are kept
    layered         runs a command with --layer: layered("sh", "-c", "…", name="one")
"""

import pytest
import support
from support import run_coffer


@pytest.fixture
def state(home_directory, monkeypatch):
    directory = home_directory / "state"
    monkeypatch.setenv("XDG_STATE_HOME", str(directory))
    return directory


@pytest.fixture
def layered(state, workspace):
    available, reason = support.tier_available("container")
    if not available:
        pytest.skip(f"container tier: {reason}")

    def run(*command, name="test", flags=(), cwd=workspace, **keywords):
        wanted = ["--layer" if name is None else f"--layer={name}"]
        wanted += ["--isolation", "container", *flags]
        return run_coffer("run", *wanted, "--", *command, cwd=cwd, **keywords)

    run.state = state
    return run
