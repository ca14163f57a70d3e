"""docs/session.schema.json against what is really said: by the recorded example, by the agent that
recorded it, and by the tools' own tables."""

import json
import re
import subprocess
import sys

import pytest
from session_client import Session

import support

SCHEMA = json.loads((support.ROOT / "docs" / "session.schema.json").read_text())
EXAMPLE = support.ROOT / "docs" / "SESSION-EXAMPLE.md"
AGENT = support.ROOT / "examples" / "agent" / "agent.py"


@pytest.fixture(scope="module")
def validate():
    jsonschema = pytest.importorskip("jsonschema", reason="needs the package python3-jsonschema")
    jsonschema.Draft202012Validator.check_schema(SCHEMA)

    def check(value, name=None):
        schema = {"$ref": f"#/$defs/{name}", "$defs": SCHEMA["$defs"]} if name else SCHEMA
        jsonschema.Draft202012Validator(schema).validate(value)

    return check


def validate_conversation(messages, validate):
    """Each message by itself, and each result by the method that it answers."""
    asked = {}
    for message in messages:
        validate(message)
        if "method" in message and "id" in message:
            asked[(message["method"] == "approval/request", message["id"])] = message["method"]
        elif "result" in message:
            is_answer = "decision" in message["result"] and "call" not in message["result"]
            method = asked[(is_answer, message["id"])]
            name = "answer" if is_answer else method.replace("/", ".") + ".result"
            validate(message["result"], name)
    return asked


def methods_of(messages):
    return [message["method"] for message in messages if "method" in message]


def recorded():
    blocks = re.findall(r"```json\n(.*?)```", EXAMPLE.read_text(), re.DOTALL)
    return [json.loads(line) for block in blocks for line in block.splitlines()]


@pytest.fixture(scope="module")
def played(tmp_path_factory):
    """The conversation of an agent, here and now."""
    home = support.make_home_directory()
    file = home / "messages"
    done = subprocess.run(
        [sys.executable, AGENT, "--messages", file],
        env={**support.os.environ, "HOME": str(home), "COFFER": str(support.COFFER)},
        capture_output=True,
        text=True,
        timeout=50 * support.SLOWDOWN,
        check=False,
    )
    messages = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
    support.remove_tree(home)
    return done, messages


def test_an_agent_mends_a_failing_test(played):
    done, messages = played
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout == "the tests pass\n"
    approvals = [m["params"]["request"] for m in messages if m.get("method") == "approval/request"]
    assert [request["category"] for request in approvals] == ["network", "write-outside"]
    results = [m["result"] for m in messages if "cause" in m.get("result", {})]
    assert [r["exit"] for r in results if r["call"] in ("tests", "tests again")] == [1, 0]
    assert [r["cause"] for r in results if r["call"] == "copy"] == ["refused"]


def test_what_the_agent_said_fits_the_schema(played, validate):
    validate_conversation(played[1], validate)


def test_the_recorded_example_fits_the_schema(validate):
    validate_conversation(recorded(), validate)


def test_the_recorded_example_is_what_happens(played):
    """Not the same bytes, which differ from host to host, but the same conversation."""

    def steps(messages):
        return [name for name in methods_of(messages) if name != "tool/output"]

    assert steps(recorded()) == steps(played[1])


def test_the_schema_has_every_method_and_parameter(workspace, gate_environment):
    with Session(cwd=workspace, env=gate_environment) as session:
        methods = session.call("initialize")["methods"]
    with Session(cwd=workspace, env=gate_environment, verb="mcp") as session:
        session.call("initialize", protocolVersion="2025-11-25", capabilities={})
        tools = {tool["name"]: tool for tool in session.call("tools/list")["tools"]}
    names = {name.removesuffix(".params") for name in SCHEMA["$defs"] if name.endswith(".params")}
    assert names == {method.replace("/", ".") for method in methods}
    for tool, method in [("execute", "exec"), *((n, n) for n in ["read", "write", "list", "diff"])]:
        own = set(tools[tool]["inputSchema"]["properties"])
        documented = set(SCHEMA["$defs"][f"tool.{method}.params"]["properties"])
        assert own == documented - {"call"}, tool


@pytest.mark.parametrize(
    "message",
    [
        {"jsonrpc": "2.0", "id": 1, "method": "tool/exec", "params": {}},
        {"jsonrpc": "2.0", "id": 1, "method": "tool/exec", "params": {"command": []}},
        {"jsonrpc": "2.0", "id": 1, "method": "tool/erase", "params": {}},
        {"jsonrpc": "2.0", "id": 1, "result": {"decision": "perhaps"}},
        {"jsonrpc": "2.0", "method": "tool/output", "params": {"call": "c1", "stream": "stdout"}},
    ],
)
def test_the_schema_refuses(message, validate):
    refused = pytest.importorskip("jsonschema").ValidationError
    with pytest.raises(refused):
        validate(message)
