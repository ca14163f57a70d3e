"""Every command line of commands.toml under every approval policy."""

import shlex
import tomllib
from pathlib import Path

import pytest
from gate_batch import Gate, deciding

HERE = Path(__file__).resolve().parent
POLICIES = ["untrusted", "on-request", "on-failure", "never"]
DECISIONS = {"allow", "ask", "forbid"}
GROUPS = tomllib.loads((HERE / "commands.toml").read_text())["group"]


def test_the_table_is_large_and_well_formed():
    rows = [row for group in GROUPS for row in group["commands"]]
    assert len(rows) >= 300
    for row in rows:
        assert len(row) == 6 and set(row[1:5]) <= DECISIONS, row
        assert row[4] != "ask", f"never asks nobody: {row}"
    keys = [
        (group.get("mode"), group.get("rules", False), row[0])
        for group in GROUPS
        for row in group["commands"]
    ]
    assert len(keys) == len(set(keys)), [key for key in keys if keys.count(key) > 1]


@pytest.mark.parametrize("rules", [False, True], ids=["without rules", "with rules"])
def test_decisions(rules):
    wanted, requests = [], []
    for group in GROUPS:
        if group.get("rules", False) != rules:
            continue
        for line, *decisions, deciding_id in group["commands"]:
            for policy, decision in zip(POLICIES, decisions, strict=True):
                mode = group.get("mode", "workspace-write")
                requests.append({"line": line, "approval": policy, "mode": mode})
                # Where some policies allow what others do not, the id is told by the others.
                told = decision != "allow" or set(decisions) == {"allow"}
                wanted.append((decision, deciding_id if told else None))
    with Gate(rules=(HERE / "rules.toml").read_text() if rules else None) as gate:
        answers = gate.batch(requests)
    faults = []
    for request, (decision, by), answer in zip(requests, wanted, answers, strict=True):
        ids = deciding(answer) or {"safe"}
        if answer["decision"] != decision or (by and by not in ids):
            faults.append(
                f"{request['line']!r} under {request['approval']} in {request['mode']}: "
                f"{answer['decision']} by {sorted(ids)}, not {decision} by {by}: {answer['reason']}"
            )
    assert requests and not faults, "\n".join(faults)


def test_a_command_is_decided_like_its_line():
    """argv and the same words as a line, for every line that has nothing for a shell to do."""
    plain = [
        row[0]
        for group in GROUPS
        for row in group["commands"]
        if not group.get("rules")
        and not group.get("mode")
        and not set(row[0]) & set("|&;<>()$`\\\"'*?[]{}~=!#\n")
    ]
    assert len(plain) > 150
    # What only a shell has is no program, and is judged by its name all the same.
    with Gate() as gate:
        lines = gate.batch([{"line": line} for line in plain])
        argvs = gate.batch([{"argv": line.split()} for line in plain])
    differing = [
        (line, one["decision"], other["decision"])
        for line, one, other in zip(plain, lines, argvs, strict=True)
        if one["decision"] != other["decision"] and not line.startswith(("if ", "for ", "cd "))
    ]
    assert not differing


def test_what_is_known_to_only_read_changes_nothing(box, workspace):
    """The safe lines, run for good: in a box, where the workspace may be written."""
    lines = [
        row[0]
        for group in GROUPS
        if group["name"] in ("reading", "reading with git")
        for row in group["commands"]
        if set(row[1:5]) == {"allow"}
    ]
    assert len(lines) > 80
    before = {path: path.read_bytes() for path in workspace.rglob("*") if path.is_file()}
    script = "".join(f"timeout 1 bash -c {shlex.quote(line)} </dev/null\n" for line in lines)
    script += "echo the end; touch made\n"
    result = box("bash", "-s", stdin=script)
    assert result.out.endswith("the end\n"), result.describe()
    after = {path: path.read_bytes() for path in workspace.rglob("*") if path.is_file()}
    assert after.pop(workspace / "made") == b""
    assert after == before
