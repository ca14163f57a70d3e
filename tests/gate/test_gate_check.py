"""`coffer gate check` and `coffer rule test`, as a person and as a program use them."""

import json

import pytest
from gate_batch import Gate, deciding
from support import SETUP_FAILED

ALLOW, ASK, FORBID = 0, 1, 2
RULES = """approval = "untrusted"

[[rule]]
prefix = ["tool"]
decision = "allow"
program = "PROGRAM"

[[rule]]
prefix = ["npm", ["test", "run"]]
decision = "allow"
reason = "the tests are ours"
network = ["packages.example.org"]

[[rule]]
prefix = ["npm", "publish"]
decision = "forbid"
reason = "releases are made by CI"
"""


@pytest.fixture
def gate():
    with Gate() as one:
        yield one


@pytest.fixture
def ruled():
    """With the rules above; `tool` is a program in the home's bin directory."""
    with Gate() as one:
        program = one.home / "bin" / "tool"
        program.parent.mkdir()
        program.write_text("#!/bin/sh\n")
        program.chmod(0o755)
        config = one.home / ".config" / "coffer" / "coffer.toml"
        config.write_text(RULES.replace("PROGRAM", str(program)))
        one.environment["PATH"] = f"{program.parent}:{one.environment['PATH']}"
        yield one


def test_the_exit_code_is_the_decision(gate):
    assert gate.check("--", "ls", "-l").code == ALLOW
    assert gate.check("--", "git", "push", "--force").code == ASK
    assert gate.check("--", "rm", "-rf", "/").code == FORBID
    assert gate.check("--approval", "never", "--", "git", "push", "--force").code == FORBID
    assert gate.check("--approval", "untrusted", "--", "npm", "test").code == ASK
    assert gate.check("--approval", "granular:all=allow", "--", "sudo", "ls").code == ALLOW


def test_nothing_is_run(gate):
    gate.check("--line", "touch made; $(touch made)")
    gate.check("--", "touch", "made")
    assert not (gate.work / "made").exists()


def test_text_for_a_person(gate):
    said = gate.check("--line", "git log | head; rm -rf src").out.splitlines()
    assert said[0] == "ask  `rm -rf src`: it deletes a directory with everything in it"
    assert [line.split()[0] for line in said[1:]] == ["allow", "allow", "ask"]


def test_json_for_a_program(gate):
    answer = json.loads(gate.check("--json", "--line", "ls && git push -f").out)
    assert answer["decision"] == "ask" and answer["category"] == "delete"
    first, second = answer["parts"]
    assert first["argv"] == ["ls"] and first["decision"] == "allow" and first["rule"] is None
    assert second["id"] == "git-force-push" and second["line"] == 1 and second["column"] == 7
    assert answer["grants"] == [] and answer["suggested_rule"] is None


def test_what_is_shown_is_harmless_to_a_terminal(gate):
    nasty = "make $'\\e]0;x\\a' '\x1b[2J' '\u202e' '\x9b'"
    for flags in [[], ["--json"]]:
        out = gate.check(*flags, "--line", nasty).out
        assert not set(out) & {"\x1b", "\x07", "\u202e", "\x9b"}, out


def test_what_is_asked_for(gate):
    result = gate.check("--json", "--ask", "write=/opt,net=example.com", "--", "ls")
    answer = json.loads(result.out)
    assert result.code == ASK
    assert [part["id"] for part in answer["parts"]] == ["safe", "ask", "ask"]
    assert answer["grants"] == [
        {"kind": "write", "value": "/opt"},
        {"kind": "network", "value": "example.com"},
    ]
    for wrong in ["write", "everything", "unsandboxed=1", ""]:
        result = gate.check("--ask", wrong, "--", "ls")
        assert result.code == SETUP_FAILED and "coffer: " in result.err, wrong


def test_scripts(gate):
    script = gate.work / "build.sh"
    script.write_text("#!/bin/bash\nset -e\nmake\n\nrm -rf ~\n")
    answer = gate.check("--json", "--script", script)
    part = json.loads(answer.out)["parts"][-1]
    assert answer.code == FORBID and part["line"] == 5
    assert gate.check("--script", "-", stdin="ls\ngit push -f\n").code == ASK
    assert gate.check("--", "bash", "build.sh").code == FORBID
    script.chmod(0o755)
    assert gate.check("--", "./build.sh").code == FORBID
    assert gate.check("-C", gate.work, "--", "./build.sh", cwd="/").code == FORBID
    assert gate.check("--script", gate.work / "missing").code == SETUP_FAILED


def test_strange_scripts_are_not_allowed(gate):
    scripts = [b"ls\0rm -rf ~\n", b"ls\n" * 400000, b"$(" * 5000, b"if true; then\n", b"\xff\xfe"]
    for script in scripts:
        result = gate.check("--approval", "untrusted", "--script", "-", stdin=script, binary=True)
        assert result.code in (ASK, FORBID, SETUP_FAILED), script[:20]


def test_a_batch_answers_each_line(gate):
    lines = [
        json.dumps({"argv": ["ls"]}),
        "not json",
        json.dumps({"line": "git push -f", "approval": "never"}),
        json.dumps({"argv": []}),
        json.dumps({"argv": ["ls", 7]}),
        json.dumps({"argv": ["ls"], "approval": "nobody"}),
        json.dumps({"argv": ["ls"], "asks": ["net=example.com"]}),
        json.dumps({"line": "touch x", "mode": "read-only"}),
        json.dumps({"argv": ["ls"], "line": "ls"}),
    ]
    result = gate.check("--batch", stdin="\n".join(lines) + "\n").ok()
    answers = [json.loads(line) for line in result.out.splitlines()]
    assert [answer.get("decision") for answer in answers] == [
        "allow", None, "forbid", None, None, None, "ask", "ask", None,
    ]  # fmt: skip
    assert all(answer["error"] for answer in answers if "decision" not in answer)
    assert "approval policy" in answers[5]["error"]


def test_mistakes_are_named(gate):
    for args, word in [
        (["--mode", "read-onyl", "--", "ls"], "read-only"),
        (["--approval", "on-requets", "--", "ls"], "on-request"),
        ([], "nothing to decide about"),
        (["--line", "ls", "--", "ls"], "more than one"),
        (["-C", "/nowhere/at/all", "--", "ls"], "/nowhere/at/all"),
    ]:
        result = gate.check(*args)
        assert result.code == SETUP_FAILED and word in result.err, result.describe()
    result = gate.run("gate", "chek")
    assert result.code == SETUP_FAILED and "check" in result.err
    assert "--approval" in gate.check("--help").ok().out
    assert "table" in gate.run("gate", "--help").ok().out


def test_the_configuration_says_the_policy_unless_a_flag_does(ruled):
    assert ruled.check("--", "cargo", "test").code == ASK
    assert ruled.check("--approval", "on-request", "--", "cargo", "test").code == ALLOW


def test_a_rule_grants_what_it_says_and_to_nobody_else(ruled):
    answer = json.loads(ruled.check("--json", "--", "npm", "test").out)
    granted = [{"kind": "network", "value": "packages.example.org"}]
    assert answer["decision"] == "allow" and answer["grants"] == granted
    rule = answer["parts"][0]["rule"]
    assert rule["file"].endswith("coffer.toml") and rule["line"] == 8
    assert rule["prefix"] == ["npm", ["test", "run"]] and rule["reason"] == "the tests are ours"
    asked = ["--approval", "on-request", "--json", "--line"]
    answer = json.loads(ruled.check(*asked, "npm test; ./other").out)
    assert answer["decision"] == "allow" and answer["grants"] == []


def test_a_place_is_where_the_command_runs(gate):
    """`in` follows `cd` and links: any place counts for a rule that restricts, else all do."""
    (gate.work / "ours").mkdir()
    (gate.work / "theirs").mkdir()
    (gate.work / "link").symlink_to("ours")
    (gate.work / "ours" / "out").symlink_to("../theirs")
    (gate.home / ".config" / "coffer" / "coffer.toml").write_text(
        f"""
        [[rule]]
        prefix = ["make", "install"]
        in = "{gate.work}/link"
        decision = "allow"
        write = ["{gate.home}"]
        [[rule]]
        prefix = ["mkdir"]
        in = "{gate.work}/link"
        decision = "forbid"
        """
    )

    def answer(line, directory):
        place = str(gate.work / directory)
        return json.loads(gate.check("--json", "-C", place, "--line", line).out)

    def grants(line, directory="ours"):
        return answer(line, directory)["grants"]

    for directory in ["ours", "link"]:
        granted = [{"kind": "write", "value": str(gate.home)}]
        assert grants("make install", directory) == granted
    for line in ["cd /tmp && make install", "(cd ../theirs; make install)", "cd out; make install",
                 "env -C /tmp make install", "cd $x; make install", "pushd ..; make install"]:
        assert grants(line) == [], line
    assert grants("make install", "ours/out") == []
    for line, directory in [("mkdir a", "ours"), ("mkdir a", "link"), ("cd ours && mkdir a", "."),
                            ("cd link; mkdir a", "."), ("cd /tmp; mkdir a", "ours")]:
        assert answer(line, directory)["decision"] == "forbid", line
    assert answer("cd $x && mkdir a", ".")["decision"] == "ask"
    assert answer("mkdir a", ".")["decision"] == "allow"


def test_what_is_not_seen_is_asked_about(gate):
    """Behind what the analysis does not follow there may be anything."""
    for line in ["((true) ); git push -f", "(\\\ntrue); git push -f", "env " * 40 + "make",
                 "fish -c 'begin; git push -f; end; for'"]:
        done = gate.check("--approval", "on-request", "--line", line)
        assert done.code == ASK and "not all of it" in done.out, (line, done.out)


def test_a_repository_within_the_repository_is_not_read_unasked(gate):
    """What a clone brought may look like a bare repository, whose settings run programs."""
    for name in ["HEAD", "objects/x", "refs/x", "config", "below/x"]:
        path = gate.work / "evil" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("ref: refs/heads/x\n")
    (gate.work / "src").mkdir(exist_ok=True)
    (gate.work / "link").symlink_to("evil/below")

    def decision(line):
        mode = ["--mode", "danger-full-access", "--approval", "on-request"]
        return gate.check(*mode, "--line", line).code

    for line in ["git -C evil status", "cd evil && git log", "cd evil/below; git diff",
                 "git -C src -C ../link status", "cd $x; git status", "env -C evil git status"]:
        assert decision(line) == ASK, line
    for line in ["git status", "git -C src status", "cd src && git log", "cd /tmp && git log"]:
        assert decision(line) == ALLOW, line


def test_a_look_alike_earlier_in_path_is_not_the_program(ruled):
    assert ruled.check("--", "tool").code == ALLOW
    for place in ["node_modules/.bin", "late"]:
        look_alike = ruled.work / place / "tool"
        look_alike.parent.mkdir(parents=True)
        look_alike.write_text("#!/bin/sh\n")
        look_alike.chmod(0o755)
        path = f"{look_alike.parent}:{ruled.environment['PATH']}"
        assert ruled.check("--", "tool", env={**ruled.environment, "PATH": path}).code == ASK
        assert ruled.check("--", str(look_alike)).code == ASK
    assert ruled.check("--", str(ruled.home / "bin" / "tool")).code == ALLOW


def test_a_script_that_is_allowed_covers_what_is_ordinary_in_it(gate):
    config = gate.home / ".config" / "coffer" / "coffer.toml"
    config.write_text('[[rule]]\nprefix = [["./go", "./go.py"]]\ndecision = "allow"\n')

    def decision(name, text):
        script = gate.work / name
        script.write_text(text)
        script.chmod(0o755)
        return gate.check("--approval", "untrusted", "--", f"./{name}").code

    assert decision("go", "#!/bin/sh\n") == ALLOW
    assert decision("go", "#!/bin/sh\nmake\ncargo test\n") == ALLOW
    assert decision("go.py", "#!/usr/bin/env python3\nprint(1)\n") == ALLOW
    assert decision("other", "#!/bin/sh\nmake\n") == ASK
    # What is more than ordinary in it is asked for, or forbidden, all the same.
    assert decision("go", "#!/bin/sh\nmake\ngit push -f\n") == ASK
    assert decision("go", "#!/bin/sh\nrm -rf ~\n") == FORBID
    python = "#!/usr/bin/env python3\n"
    assert decision("go.py", python + "import shutil\nshutil.rmtree('/')\n") == FORBID
    assert decision("go", "#!/bin/sh\nmake\n") == ALLOW
    assert gate.check("--approval", "untrusted", "--line", "./go; make").code == ASK


def test_a_program_in_a_writable_directory_is_not_known_to_only_read(gate):
    planted = gate.work / "bin" / "ls"
    planted.parent.mkdir()
    planted.write_text("#!/bin/sh\n")
    planted.chmod(0o755)
    path = f"{planted.parent}:{gate.environment['PATH']}"
    flags = ["--approval", "untrusted", "--json", "--", "ls"]
    assert gate.check(*flags).code == ALLOW
    result = gate.check(*flags, env={**gate.environment, "PATH": path})
    assert result.code == ASK and deciding(json.loads(result.out)) == {"look-alike"}
    # Relative entries, and an empty one, which is the directory itself.
    for entry in ["bin:", "./bin:", ":"]:
        cwd = planted.parent if entry == ":" else gate.work
        path = entry + gate.environment["PATH"]
        result = gate.check(*flags, env={**gate.environment, "PATH": path}, cwd=cwd)
        assert result.code == ASK, entry


def test_rule_test_tells_which_decides_and_why_others_do_not(ruled):
    result = ruled.run("rule", "test", "--", "npm", "publish").ok()
    lines = result.out.splitlines()
    assert lines[0] == "npm publish"
    assert "=> forbid npm publish" in result.out and "releases are made by CI" in result.out
    assert "allow  npm test|run" in result.out and "a word of the prefix differs" in result.out
    assert ruled.run("rule", "test", "--", "ls").code == 1
    answer = json.loads(ruled.run("rule", "test", "--json", "--line", "npm $x; FOO=1 npm test").out)
    misfits = [[rule.get("why_not") for rule in part["rules"]] for part in answer]
    assert misfits[0] == ["a word that the prefix names is not known before it runs"] * 2
    assert misfits[1][0] == "a variable before it may change what it does"
    assert not any(rule["decides"] for part in answer for rule in part["rules"])
    assert ruled.run("rule", "test").code == SETUP_FAILED
    assert ruled.run("rule", "tset").code == SETUP_FAILED


def test_a_rule_whose_example_fails_is_named_and_nothing_is_decided(gate):
    config = gate.home / ".config" / "coffer" / "coffer.toml"
    config.write_text(
        '[[rule]]\nprefix = ["npm"]\ndecision = "allow"\nnot_matches = ["npm publish"]\n'
    )
    result = gate.check("--", "ls")
    assert result.code == SETUP_FAILED
    assert f"{config}:1:" in result.err and "npm publish" in result.err
