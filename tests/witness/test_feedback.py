"""What a person and an agent are told of refusals, and what `coffer why` says beforehand."""

import json
import os
import pty
import subprocess

import pytest
import support


def on_terminal(*args, cwd):
    """What a terminal shows of coffer's standard error."""
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [str(support.COFFER), *map(str, args)], cwd=cwd, stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL, stderr=slave,
    )  # fmt: skip
    os.close(slave)
    shown = b""
    while True:
        try:
            data = os.read(master, 4096)
        except OSError:
            break
        if not data:
            break
        shown += data
    os.close(master)
    process.wait(timeout=30 * support.SLOWDOWN)
    return shown.decode(errors="replace")


@pytest.mark.core
def test_text_for_an_agent(box, outside, workspace):
    run = box("sh", "-c", f"echo x > {outside}/new; exit 7", flags=["--feedback", "text"])
    lines = run.err.splitlines()
    assert "[coffer] The command ended with 7; the box refused:" in lines
    (line,) = [line for line in lines if line.startswith("- ")]
    assert f"open {outside}/new" in line or f"openat {outside}/new" in line
    assert line.endswith(f"outside of the writable roots; allow with --write {outside}"), line
    (possible,) = [line for line in lines if line.startswith("Still possible: ")]
    assert str(workspace) in possible and possible.endswith("network: off."), possible


def test_json_for_an_agent(box, outside):
    run = box("sh", "-c", f"echo x > {outside}/new", flags=["--quiet", "--feedback", "json"])
    told = json.loads(run.err.splitlines()[-1])
    (denial,) = told["denials"]
    (reported,) = run.report["denials"]
    assert denial == reported
    assert set(denial) >= {
        "time", "program", "pid", "call", "target", "resolved", "promise", "rule", "errno",
        "count", "allow_with",
    }  # fmt: skip
    assert denial["program"] == "sh" and denial["count"] == 1 and denial["time"].endswith("Z")


def test_silence(box, outside):
    script = f"echo x > {outside}/new"
    for flags in (["--feedback", "off"], ["--quiet"]):
        assert "refused" not in box("sh", "-c", script, flags=flags).err
    assert "refused" not in box("sh", "-c", script).err  # no terminal: only of the network
    assert box("true", flags=["--feedback", "loud"]).code == 125


def test_a_block_on_a_terminal(outside, workspace, tier):
    script = f"for i in $(seq 20); do mkdir {outside}/$i; done"
    shown = on_terminal("run", "--isolation", tier, "--", "sh", "-c", script, cwd=workspace)
    lines = [line for line in shown.splitlines() if line.startswith("coffer: refused: ")]
    assert len(lines) == 8 and "13 more" in lines[-1], shown


def test_names_do_not_move_a_terminal(outside, workspace, tier):
    script = f"mkdir '{outside}/\033[31mred\033]0;x\007'"
    shown = on_terminal("run", "--isolation", tier, "--", "sh", "-c", script, cwd=workspace)
    (line,) = [line for line in shown.splitlines() if line.startswith("coffer: refused: ")]
    assert "\033" not in line and "\\x1b[31mred" in line, repr(line)


def test_success_is_told_nothing_but_what_was_to_be_changed(outside, workspace, tier):
    flags = ["run", "--isolation", tier, "--"]
    script = "cat /run/nothing; true"
    assert "refused" not in on_terminal(*flags, "sh", "-c", script, cwd=workspace)
    script = f"mkdir {outside}/new; true"
    assert "refused: mkdir" in on_terminal(*flags, "sh", "-c", script, cwd=workspace)


def test_hosts_without_a_network(box, workspace):
    script = (
        "import socket\n"
        "for host in ('refused.example.org', '192.0.2.7'):\n"
        "    try: socket.create_connection((host, 443), timeout=5)\n"
        "    except OSError as error: print(error)\n"
    )
    run = box("python3", "-c", script)
    told = {d["target"]: d["allow_with"] for d in run.report["denials"] if d["promise"] == "P3"}
    assert told.get("refused.example.org:443") == "--allow-domain refused.example.org:443", told
    if run.report["tier"] == "container":
        assert told.get("192.0.2.7:443") == "--allow-cidr 192.0.2.7:443", told


def test_rules_name_their_place(box, workspace, home_directory):
    config = home_directory / "config" / "coffer"
    config.mkdir(parents=True)
    (config / "coffer.toml").write_text(f"# a comment\nread_only = ['{workspace}/src']\n")
    environment = {"XDG_CONFIG_HOME": str(home_directory / "config")}
    run = box("sh", "-c", "echo x > src/main.c", env=environment)
    (denial,) = run.report["denials"]
    assert denial["rule"] == f"{config}/coffer.toml:2" and denial["allow_with"] is None, denial
    run = box("sh", "-c", "echo x > src/main.c", flags=["--read-only", "src"])
    (denial,) = run.report["denials"]
    assert denial["rule"] == "--read-only src", denial


def why(run_coffer, workspace, *args):
    run = run_coffer("why", *args, "--json", cwd=workspace)
    assert run.code == 0, run.describe()
    return json.loads(run.out)


def test_why_of_paths(run_coffer, workspace, outside, home_directory):
    assert why(run_coffer, workspace, "README")["write"]["allowed"]
    closed = why(run_coffer, workspace, outside / "sentinel")
    assert closed["read"]["allowed"] and not closed["write"]["allowed"]
    assert closed["write"]["allow_with"] == f"--write {outside}"
    protected = why(run_coffer, workspace, ".git/hooks/x")
    assert protected["write"] == {"allowed": False, "rule": "default", "allow_with": None}
    hidden = why(run_coffer, workspace, outside / "sentinel", "--deny-read", outside)
    assert hidden["read"] == {
        "allowed": False, "rule": f"--deny-read {outside}", "allow_with": None,
    }  # fmt: skip
    # What it advises helps.
    flags = closed["write"]["allow_with"].split()
    assert why(run_coffer, workspace, outside / "sentinel", *flags)["write"]["allowed"]


def test_why_of_hosts(run_coffer, workspace):
    closed = why(run_coffer, workspace, "example.org:443")
    assert closed["verdict"] == "deny"
    flags = closed["allow_with"].split()
    assert why(run_coffer, workspace, "example.org:443", *flags)["verdict"] == "allow"
    assert why(run_coffer, workspace, "example.org", "--deny-domain", "example.org",
               "--net", "on")["allow_with"] is None  # fmt: skip
    run = run_coffer("why", cwd=workspace)
    assert run.code == 125 and "one PATH or HOST" in run.err
    assert "rule" in run_coffer("why", "README", cwd=workspace).out


def test_contradictions(run_coffer, workspace):
    for flags in (
        ["--witness", "on", "--profile", "strict"],
        ["--trace-access", "--mode", "danger-full-access"],
        ["--trace-access", "--witness", "on"],
        ["--witness", "full", "--allow-userns"],
        ["--witness", "loud"],
    ):
        run = run_coffer("run", *flags, "--", "true", cwd=workspace)
        assert run.code == 125 and "--witness" in run.err, run.describe()
