"""The tables that are searched by halves are sorted, and words.c, by which the front decides what
needs a look, has every program of the shell analysis."""

import re
from pathlib import Path

GATE = Path(__file__).resolve().parent.parent.parent / "src" / "gate"

# File, the table's name, what an entry looks like.
TABLES = [
    ("wrappers_table.c", "wrappers", r'(?:\.name = |UNCLEAR\()"([^"]+)"'),
    ("helpers.c", "helpers", r'^\t\{"([^"]+)"'),
    ("helpers.c", "git_helpers", r'^\t\{"([^"]+)"'),
    ("helpers.c", "git_commands", r'"([^"]+)"'),
    ("shell_builtins.c", "builtins", r'^\t\{"([^"]+)"'),
    ("variables.c", "variables", r'^\t\{"([^"]+)"'),
    ("words.c", "needs_a_look", r'^\t"([^"]+)"'),
]
UNSORTED = [
    ("interpreters.c", "shells", r'^\t\{"([^"]+)"'),
    ("interpreters.c", "interpreters", r'\.name = "([^"]+)"'),
]


def entries(file, table, pattern):
    text = (GATE / file).read_text()
    body = re.search(rf"\b{table}\[\] = \{{(.*?)\n?\}};", text, re.DOTALL)
    assert body, f"{file} has no table {table}"
    names = re.findall(pattern, body[1], re.MULTILINE)
    assert len(names) > 5, f"{file}: {table} is not understood by this test"
    return names


def test_tables_are_sorted():
    for table in TABLES:
        names = entries(*table)
        keys = [name.rstrip("*").encode() for name in names]
        assert keys == sorted(set(keys)), table


def test_every_program_of_the_analysis_needs_a_look():
    words = set(entries(*TABLES[6]))
    for table in [TABLES[0], TABLES[1], *UNSORTED]:
        missing = set(entries(*table)) - words
        assert not missing, table
