"""docs/TASKS.md does what it says."""

import os
import re
import subprocess

import support

TEXT = (support.ROOT / "docs" / "TASKS.md").read_text()


def commands(title):
    """The indented blocks of a section, as they would be pasted."""
    section = TEXT.split(f"## {title}\n")[1].split("\n## ")[0]
    return "\n".join(re.findall(r"^ {4}(.*)$", section, re.MULTILINE))


def test_the_tour_works_when_it_is_pasted(places, home_directory):
    script = commands("Five minutes").replace("/var/tmp/tour", str(home_directory / "tour"))
    assert script.count("coffer task ") >= 8
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        env={**os.environ, **places, "PATH": f"{support.COFFER.parent}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=60 * support.SLOWDOWN,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "check: passed" in done.stdout and "calc.py" in done.stdout


def test_every_flag_is_in_the_manual(task):
    manual = (support.ROOT / "man" / "coffer-task.1.scd").read_text()
    flags = re.findall(r"^  (--[a-z-]+)", task("run", "--help").ok().out, re.MULTILINE)
    hidden = {"--help", "--repository"}
    assert len(flags) > 25 and [f for f in flags if f not in manual and f not in hidden] == []
