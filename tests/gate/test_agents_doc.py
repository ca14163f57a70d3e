"""The lines of docs/AGENTS.md do what it says they do."""

import json
import os
import re
import subprocess

import pytest

import support

TEXT = (support.ROOT / "docs" / "AGENTS.md").read_text()


def hook_lines():
    """The commands of the hooks that stand there as settings."""
    blocks = re.findall(r"^    (\{\"hooks\".*?\})\n\n", TEXT, re.MULTILINE | re.DOTALL)
    settings = [json.loads(block) for block in blocks]
    return [each["hooks"]["PreToolUse"][0]["hooks"][0]["command"] for each in settings]


@pytest.fixture
def call_hook(workspace, gate_environment):
    support.need_program("jq")
    path = f"{support.COFFER.parent}:{os.environ['PATH']}"

    def call(line, command):
        return subprocess.run(
            ["sh", "-c", line],
            input=json.dumps({"tool_name": "Bash", "tool_input": {"command": command}}),
            cwd=workspace,
            env={**gate_environment, "PATH": path},
            capture_output=True,
            text=True,
            check=False,
        )

    return call


def test_a_hook_that_lets_the_gate_decide(call_hook):
    gate, _ = hook_lines()
    assert call_hook(gate, "ls -l").returncode == 0
    forbidden = call_hook(gate, "rm -rf /")
    assert forbidden.returncode == 2 and "deletes" in forbidden.stderr
    quoted = call_hook(gate, "echo \"$(rm -rf /)\" '; true'")
    assert quoted.returncode == 2


def test_a_hook_that_puts_commands_into_a_box(call_hook, workspace, outside):
    _, box = hook_lines()
    command = f"echo \"it's here\" > made; touch {outside}/made"
    answer = json.loads(call_hook(box, command).stdout)["hookSpecificOutput"]
    assert answer["permissionDecision"] == "allow"
    changed = answer["updatedInput"]["command"]
    # What the agent would do with it: run it as a line of shell.
    call_hook(changed, "")
    assert (workspace / "made").read_text() == "it's here\n"
    assert not (outside / "made").exists()


def test_servers_are_named_as_they_are_started(run_coffer):
    for line in re.findall(r"`([a-z]+ mcp add .*?)`", TEXT):
        assert line.endswith("coffer mcp")
    block = json.loads("{" + re.search(r'`("mcp": \{.*?\})`', TEXT).group(1) + "}")
    assert block["mcp"]["coffer"]["command"] == ["coffer", "mcp"]
    assert run_coffer("mcp", "--help").code == 0
