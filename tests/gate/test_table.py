"""The decision table: what is printed is what is decided, in every cell; and what must hold of any
such table does."""

import re
from pathlib import Path

import pytest
from gate_batch import Gate

ROOT = Path(__file__).resolve().parent.parent.parent
MODES = ["read-only", "workspace-write", "danger-full-access"]
POLICIES = ["untrusted", "on-request", "on-failure", "never", "granular"]
VERDICTS = ["allow", "ask", "forbid"]
RULES = """
[[rule]]
prefix = ["npm", "test"]
decision = "allow"
[[rule]]
prefix = ["make"]
decision = "ask"
[[rule]]
prefix = ["docker"]
decision = "forbid"
"""

# For each situation something that is in it and in no graver one, whatever the mode.
REQUESTS = {
    "safe": {"line": "ls"},
    "ordinary": {"line": "cargo test"},
    "network": {"line": "curl https://example.com"},
    "undecidable": {"line": "$x"},
    "syntax-error": {"line": "if then"},
    "write-outside": {"line": "echo x > /opt/x"},
    "secret": {"line": "cat ~/.ssh/id_rsa"},
    "dangerous": {"line": "git push --force"},
    "forbidden": {"line": "rm -rf /"},
    "code-high": {"line": "python3 -c 'open(\"/etc/cron.d/x\", \"w\").write(\"x\")'"},
    "code-critical": {"line": "python3 -c 'import shutil; shutil.rmtree(\"/\")'"},
    "asked-write": {"line": "ls", "asks": ["write=/opt"]},
    "asked-network": {"line": "ls", "asks": ["net=example.com"]},
    "asked-unsandboxed": {"line": "ls", "asks": ["unsandboxed"]},
    "asked-secret": {"line": "ls", "asks": ["secret=/opt/key"]},
    "rule-allow": {"line": "npm test"},
    "rule-ask": {"line": "make"},
    "rule-forbid": {"line": "docker ps"},
}


def cells(text):
    """{(situation, mode, policy): word} of the printed table."""
    found = {}
    mode = None
    for line in text.splitlines():
        if named := re.match(r"In the mode `([a-z-]+)`:", line):
            mode = named[1]
            continue
        row = [cell.strip().strip("*") for cell in line.strip("|").split("|")]
        if len(row) == 2 + len(POLICIES) and row[0] not in ("situation", "---"):
            for policy, word in zip(POLICIES, row[2:], strict=True):
                found[row[0], mode, policy] = word
    return found


@pytest.fixture(scope="module")
def gate():
    with Gate(RULES) as one:
        yield one


@pytest.fixture(scope="module")
def table(gate):
    return cells(gate.run("gate", "table").ok().out)


def test_it_is_whole(table):
    assert set(table) == {(s, m, p) for s in REQUESTS for m in MODES for p in POLICIES}


def graver(a, b):
    return max(a, b, key=VERDICTS.index)


def test_every_cell_is_what_is_decided(gate, table):
    requests, wanted = [], []
    for (situation, mode, policy), word in table.items():
        for verdict in VERDICTS if policy == "granular" else [None]:
            approval = f"granular:all={verdict}" if verdict else policy
            requests.append({**REQUESTS[situation], "mode": mode, "approval": approval})
            if word.startswith("category*"):
                word_is = graver(verdict, "ask")
            else:
                word_is = verdict if word == "category" else word
            assert word_is in VERDICTS, word
            wanted.append(word_is)
    answers = gate.batch(requests)
    faults = [
        f"{request}: {answer['decision']}, not {word}: {answer['reason']}"
        for request, word, answer in zip(requests, wanted, answers, strict=True)
        if answer["decision"] != word
    ]
    assert len(requests) == len(REQUESTS) * len(MODES) * (len(POLICIES) + 2)
    assert not faults, "\n".join(faults)


def test_a_question_under_granular_is_answered_by_its_own_category(gate):
    """Each category alone says otherwise, and only the question of that category changes."""
    by_category = {
        "command": "dangerous-command",
        "write-outside": "write-outside",
        "network": "asked-network",
        "unsandboxed": "asked-unsandboxed",
        "secret": "secret",
        "delete": "dangerous",
    }
    subjects = {**REQUESTS, "dangerous-command": {"line": "sudo ls"}}
    requests = [
        {
            **subjects[subject],
            "mode": "workspace-write",
            "approval": f"granular:all=allow,{category}=forbid",
        }
        for category in by_category
        for subject in by_category.values()
    ]
    answers = iter(gate.batch(requests))
    for category in by_category:
        for other in by_category:
            answer = next(answers)
            wanted = "forbid" if other == category else "allow"
            assert answer["decision"] == wanted, (category, other, answer["reason"])


def test_what_must_hold_of_any_table(table):
    rank = VERDICTS.index
    for (situation, mode, policy), word in table.items():
        if policy == "granular":
            continue
        asked = table[situation, mode, "on-request"]
        if policy == "never":
            assert word == ("forbid" if asked == "ask" else asked), (situation, mode)
        if policy == "untrusted":
            assert rank(word) >= rank(asked), (situation, mode)
            assert word != "allow" or situation in ("safe", "rule-allow")
        if policy == "on-failure" and mode != "workspace-write":
            assert word == asked, "without a box that refuses nothing can be offered again"
        if mode == "danger-full-access":
            held = table[situation, "workspace-write", policy]
            assert rank(word) >= rank(held), (situation, policy)
        if mode == "read-only" and situation not in ("safe", "rule-allow"):
            assert word != "allow", situation


def test_the_documented_table_is_this_one(gate):
    text = (ROOT / "docs" / "APPROVALS.md").read_text()
    begin, end = "<!-- table: what `coffer gate table` prints -->\n", "<!-- end of the table -->"
    assert begin in text and end in text
    documented = text.split(begin)[1].split(end)[0]
    printed = gate.run("gate", "table").ok().out
    assert documented.strip() == printed.strip(), "paste `coffer gate table` into docs/APPROVALS.md"
