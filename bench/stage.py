"""A stage for a measurement: the programs copied to where an ordinary user may run them, the script
started there as that user, its results kept. As root the user is coffer-test."""

import datetime
import os
import pwd
import shutil
import subprocess
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
USER = "coffer-test"


def compile_c(source, directory):
    command = ["gcc", "-O2", "-D_GNU_SOURCE", "-pthread", "-o", directory / source.stem, source]
    subprocess.run(command, check=True)


def as_user(command):
    ids = ["setpriv", "--reuid", USER, "--regid", USER, "--init-groups"]
    # A login's path: root's own may hold what the user cannot run.
    path = "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin"
    return [*ids, "env", "-i", f"PATH={path}", f"USER={USER}", "LANG=C.UTF-8", *command]


def run(script, build, helpers, arguments, kind="", prepare=None):
    """Runs `script --inner DIRECTORY ARGUMENTS` there, beside the executables and the helpers (C
    sources become programs); its results.json goes to bench/results. prepare(DIRECTORY) is called
    before, as whoever started this. Returns the script's exit status."""
    as_root = os.geteuid() == 0
    if as_root and subprocess.run(["id", USER], capture_output=True, check=False).returncode != 0:
        subprocess.run(["useradd", "--create-home", "--shell", "/bin/bash", USER], check=True)
    home = Path(pwd.getpwnam(USER).pw_dir if as_root else Path.home())
    directory = Path(tempfile.mkdtemp(prefix="coffer-bench-", dir=home))
    try:
        for path in build.glob("coffer*"):
            if path.is_file() and os.access(path, os.X_OK):
                shutil.copy(path, directory)
                # As it is installed.
                subprocess.run(["strip", directory / path.name], check=True)
        for helper in [Path(__file__), *helpers]:
            if helper.suffix == ".c":
                compile_c(helper, directory)
            else:
                shutil.copy(helper, directory)
        shutil.copy(script, directory / script.name)
        if prepare:
            prepare(directory)
        command = ["/usr/bin/python3", directory / script.name, "--inner", directory, *arguments]
        if as_root:
            subprocess.run(["chown", "-R", f"{USER}:", directory], check=True)
            command = as_user(command)
        code = subprocess.run([str(c) for c in command], cwd=directory, check=False).returncode
        if (directory / "results.json").exists():
            results = ROOT / "bench" / "results"
            results.mkdir(exist_ok=True)
            kept = results / f"{datetime.datetime.now():%Y-%m-%dT%H-%M-%S}{kind}.json"
            shutil.copy(directory / "results.json", kept)
            print(f"\nwritten to {kept}", flush=True)
        return code
    finally:
        shutil.rmtree(directory, ignore_errors=True)
