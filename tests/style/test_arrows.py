"""Who may use whom: the #include lines of the tree against the table of docs/ARCHITECTURE.md."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent

# Directory of src/ -> the directories whose headers its files may include, besides its own.
# "coffer.h" stands for the public header.
BELOW_RUN = {"base", "policy", "host", "plan", "confine"}
MAY_USE = {
    "base": set(),
    "policy": {"base"},
    "host": {"base", "policy"},
    "plan": {"base", "policy", "host"},
    "witness": {"base", "policy", "plan"},
    "confine": {"base", "policy", "host", "plan"},
    "egress": {"base", "policy"},
    "run": BELOW_RUN | {"witness"},
    "layer": {"base", "policy", "plan"},
    "store": {"base"},
    "library": BELOW_RUN | {"witness", "run", "layer", "coffer.h"},
    "config": {"base", "policy"},
    "gate": {"base", "policy", "config", "coffer.h"},
    "session": {"base", "policy", "witness", "config", "gate", "coffer.h"},
    "cli": {"base", "policy", "witness", "config", "gate", "layer", "library", "coffer.h"},
    "task": {"base", "policy", "config", "layer", "store", "library", "coffer.h"},
    "programs": {"base", "cli", "egress", "gate", "session", "task", "witness"},
}

INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"', re.MULTILINE)


def violations(root):
    """Every project #include of a file below root/src that the table does not allow."""
    found = []
    for source in sorted((root / "src").rglob("*.[ch]")):
        own = source.relative_to(root / "src").parts[0]
        where = source.relative_to(root)
        if own not in MAY_USE:
            found.append(f"{where}: src/{own} is not in the table")
            continue
        for name in INCLUDE.findall(source.read_text()):
            used = name.split("/")[0]
            if ".." in name.split("/"):
                found.append(f"{where}: {name}: headers are named from src/")
            elif used != own and used not in MAY_USE[own]:
                found.append(f"{where}: includes {name}, but {own} may not use {used}")
    return found


def test_the_tree_keeps_to_the_table():
    assert not violations(ROOT)


def test_every_directory_of_the_table_exists():
    missing = [name for name in MAY_USE if not (ROOT / "src" / name).is_dir()]
    assert not missing


def test_the_table_has_no_cycle():
    done = set()
    while len(done) < len(MAY_USE):
        ready = {d for d, used in MAY_USE.items() if d not in done and used - {"coffer.h"} <= done}
        assert ready, f"a cycle among {set(MAY_USE) - done}"
        done |= ready


def test_violations_are_seen(tmp_path):
    for name, text in {
        "base/a.c": '#include "base/a.h"\n#include <stdio.h>\n',
        "base/b.c": '#include "plan/plan.h"\n',
        "cli/c.c": '#include "coffer.h"\n# include "run/launch.h"\n',
        "plan/d.c": '#include "../base/a.h"\n',
        "extra/e.c": "",
    }.items():
        path = tmp_path / "src" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert violations(tmp_path) == [
        "src/base/b.c: includes plan/plan.h, but base may not use plan",
        "src/cli/c.c: includes run/launch.h, but cli may not use run",
        "src/extra/e.c: src/extra is not in the table",
        "src/plan/d.c: ../base/a.h: headers are named from src/",
    ]
