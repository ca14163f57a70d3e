"""A repository for tasks: a program with a fault, a test that shows it, and what mends it."""

import support

MODULE = "def add(a, b):\n    return a - b\n"
TEST = "import calc\n\nassert calc.add(2, 3) == 5, calc.add(2, 3)\nprint('all is well')\n"
FIX = "sed -i 's/a - b/a + b/' calc.py"
CHECK = "PYTHONDONTWRITEBYTECODE=1 python3 test_calc.py"


def make_project(directory, files=None):
    """A work tree and its bare repository."""
    work, bare = directory / "work", directory / "project.git"
    work.mkdir(parents=True)
    for name, text in {"calc.py": MODULE, "test_calc.py": TEST, **(files or {})}.items():
        (work / name).parent.mkdir(parents=True, exist_ok=True)
        (work / name).write_text(text)
    support.git(work, "init", "-q", "-b", "main")
    support.git(work, "add", "-A")
    support.git(work, "commit", "-q", "-m", "first")
    support.git(directory, "clone", "-q", "--bare", work, bare)
    return work, bare


def commit(work, bare, name, text):
    """One more commit of the work tree, in the bare repository too."""
    (work / name).write_text(text)
    support.git(work, "add", "-A")
    support.git(work, "commit", "-q", "-m", f"change {name}")
    support.git(work, "push", "-q", bare, "main")
