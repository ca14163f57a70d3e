"""What the tests of tasks share.

    task        coffer task in a state of the test's own: task("run", project, …) -> Result;
                with json=True, what it printed is in .report
    project     a bare repository: a program with a fault, and a test that shows it
"""

import importlib.util
import json
import os
import signal
import subprocess
from pathlib import Path

import pytest
import support
from task_project import make_project

def pytest_collection_modifyitems(config, items):
    """A task's boxes are of the container tier: without it in this run there is nothing to do."""
    if "container" in os.environ.get("COFFER_TIERS", "container"):
        return
    here = str(Path(__file__).parent)
    gone = [item for item in items if str(item.path).startswith(here)]
    config.hook.pytest_deselected(items=gone)
    items[:] = [item for item in items if item not in gone]


@pytest.fixture(autouse=True)
def _container():
    available, reason = support.tier_available("container")
    if not available:
        pytest.skip(reason)


@pytest.fixture
def places(home_directory):
    """Variables that make everything coffer keeps lie below the test's directory."""
    names = ("XDG_STATE_HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME")
    made = {name: home_directory / name[4:9].strip("_").lower() for name in names}
    for directory in made.values():
        directory.mkdir()
    return {name: str(directory) for name, directory in made.items()}


@pytest.fixture
def state(places):
    return Path(places["XDG_STATE_HOME"]) / "coffer"


@pytest.fixture
def project(home_directory):
    return make_project(home_directory / "project")[1]


@pytest.fixture
def task(places, home_directory):
    def run(*args, env=None, cwd=home_directory, timeout=50, **keywords):
        result = support.run_coffer(
            "task", *args, env={**places, **(env or {})}, cwd=cwd, timeout=timeout, **keywords
        )
        if "--json" in args and result.out.strip():
            result.report = json.loads(result.out)
        return result

    yield run
    # A test that failed may have left one in the background.
    listed = run("list", "--json")
    for entry in json.loads(listed.out) if listed.code == 0 else []:
        if entry["state"] == "running":
            run("cancel", entry["id"])


@pytest.fixture
def start(places, home_directory):
    """The same without waiting: a process, which is killed if the test leaves it."""
    started = []

    def run(*args, env=None, cwd=home_directory):
        process = subprocess.Popen(
            [str(support.COFFER), "task", *map(str, args)],
            env={**os.environ, **places, **(env or {})},
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield run
    for process in started:
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
        process.communicate()


@pytest.fixture(scope="session")
def _task_world():
    """The small internet of the network's tests."""
    path = Path(__file__).resolve().parent.parent / "egress" / "conftest.py"
    spec = importlib.util.spec_from_file_location("egress_fixtures", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    directory = support.make_home_directory()
    made = module.World(directory)
    yield made
    made.close()
    support.remove_tree(directory)


@pytest.fixture
def world(_task_world):
    _task_world.clear()
    return _task_world
