"""coffer-egress by itself, driven over its control socket: see process_world.py. A test runs in a
network namespace of its own, as root of it; egress itself never runs as root."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import support

HERE = Path(__file__).resolve().parent
PROGRAM = support.COFFER.parent / "coffer-egress"
SCENARIOS = re.findall(
    r"^def scenario_(\w+)", (HERE / "process_world.py").read_text(), re.MULTILINE
)
NOBODY = "65534"


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_process(scenario):
    for tool in ("nft", "ip", "openssl", "unshare"):
        if not shutil.which(tool, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin"):
            pytest.skip(f"{tool} is not installed")
    unshare = ["unshare", "-n"] if support.IS_ROOT else ["unshare", "-Urn"]
    if subprocess.run([*unshare, "true"], capture_output=True).returncode != 0:
        pytest.skip("no network namespace can be made here")
    environment = dict(os.environ, PATH=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    done = subprocess.run(
        [*unshare, sys.executable, HERE / "process_world.py", PROGRAM]
        + [NOBODY if support.IS_ROOT else "-", scenario],
        capture_output=True, text=True, env=environment, timeout=55,
    )
    assert done.returncode == 0, done.stdout + done.stderr
