"""coffer policy suggest: from what real commands read and wrote comes a policy under which they run
again, and which refuses a variant that does one thing more."""

import json
import shlex

import pytest
import support

MAKEFILE = """\
all: build/prog
build/prog: src/main.c src/part.h
\tmkdir -p build
\tgcc -o build/prog src/main.c
"""
TEST = """\
from code import double

def test_double():
    assert double(4) == 8
"""
PACKAGE = {
    "name": "small",
    "version": "1.0.0",
    "scripts": {"test": "node test.js"},
}


def suggest(run_coffer, *reports):
    run = run_coffer("policy", "suggest", "--json", *reports)
    assert run.code == 0, run.describe()
    return json.loads(run.out)


class Project:
    """Runs a command traced, and then under what was suggested."""

    def __init__(self, box, run_coffer, workspace):
        self.box, self.run_coffer, self.workspace = box, run_coffer, workspace
        self.flags = None

    def learn(self, *command, flags=()):
        report = self.workspace.parent / "report.json"
        run = self.box(*command, flags=["--trace-access", "--report", report, *flags])
        assert run.code == 0, run.describe()
        assert json.loads(report.read_text())["accesses"]
        suggested = suggest(self.run_coffer, report)
        self.flags = shlex.split(suggested["flags"])
        return suggested

    def again(self, *command):
        return self.box(*command, flags=self.flags)


@pytest.fixture
def project(box, run_coffer, workspace):
    return Project(box, run_coffer, workspace)


def refused(run, path):
    assert run.code != 0, run.describe()
    assert str(path) in [d["resolved"] for d in run.report["denials"]], run.report["denials"]


@pytest.mark.timeout(120)
def test_make_and_gcc(project, workspace, outside):
    support.need_program("make", "gcc")
    (workspace / "Makefile").write_text(MAKEFILE)
    (workspace / "src" / "part.h").write_text("\n")
    project.learn("make")
    for clean in (True, False):
        if clean:
            support.remove_tree(workspace / "build")
        else:
            (workspace / "build" / "prog").unlink()
        run = project.again("make")
        assert run.code == 0 and (workspace / "build" / "prog").exists(), run.describe()
    for extra in (workspace / "src" / "part.h", outside / "sentinel"):
        support.remove_tree(workspace / "build")
        (workspace / "Makefile").write_text(MAKEFILE + f"\techo more >> {extra}\n")
        refused(project.again("make"), extra)
    assert (outside / "sentinel").read_text() == "untouched\n"


def test_pytest(project, workspace, outside):
    support.need_program("pytest")
    (workspace / "code.py").write_text("def double(x):\n    return 2 * x\n")
    (workspace / "test_code.py").write_text(TEST)
    command = ["/usr/bin/python3", "-m", "pytest", "-q", "test_code.py"]
    project.learn(*command)
    run = project.again(*command)
    assert run.code == 0 and "1 passed" in run.out, run.describe()
    for extra in (workspace / "code.py", outside / "more"):
        (workspace / "test_code.py").write_text(
            TEST + f"\ndef test_more():\n    open({str(extra)!r}, 'a').write('#')\n"
        )
        refused(project.again(*command), extra)


def test_a_git_workflow(project, workspace, tier):
    if tier == "landlock":
        pytest.skip("--git commit needs an overlay")
    (workspace / "README").write_text("changed\n")
    commit = "git add -A && git -c user.name=x -c user.email=x@example.org commit -qm change"
    suggested = project.learn("sh", "-c", commit, flags=["--git", "commit"])
    assert "git=commit" in suggested["settings"]
    (workspace / "src" / "main.c").write_text("int main(void) { return 1; }\n")
    run = project.again("sh", "-c", commit)
    assert run.code == 0, run.describe()
    assert support.git(workspace, "log", "--oneline").count("change") == 2
    for extra in ("README", "src/main.c"):
        (workspace / "src" / "part.h").write_text(f"/* {extra} */\n")
        refused(project.again("sh", "-c", f"{commit} && echo x >> {extra}"), workspace / extra)


def test_npm_test(project, workspace, outside):
    support.need_program("npm")
    (workspace / "package.json").write_text(json.dumps(PACKAGE))
    program = "require('fs').writeFileSync('out/log', 'tested\\n');\n"
    (workspace / "out").mkdir()
    (workspace / "test.js").write_text(program)
    command = ["npm", "test", "--offline"]
    project.learn(*command)
    (workspace / "out" / "log").unlink()
    run = project.again(*command)
    assert run.code == 0 and (workspace / "out" / "log").exists(), run.describe()
    extra = workspace / "package.json"
    (workspace / "test.js").write_text(
        program + f"require('fs').appendFileSync({str(extra)!r}, 'x');\n"
    )
    refused(project.again(*command), extra)


def test_what_was_refused_is_suggested_where_the_command_failed(
    box, run_coffer, workspace, outside, home_directory
):
    (home_directory / "secret").write_text("x\n")
    report = home_directory / "report.json"
    script = f"echo x > {outside}/new && cat {home_directory}/missing-too"
    run = box("sh", "-c", script, flags=["--trace-access", "--report", report])
    assert run.code != 0
    assert f"write={outside}" in suggest(run_coffer, report)["settings"]
    run = box("sh", "-c", f"{script}; true", flags=["--trace-access", "--report", report])
    assert run.code == 0
    assert suggest(run_coffer, report)["settings"] == ["mode=read-only", "net=off"]


def test_toml_is_a_configuration(box, run_coffer, workspace, home_directory):
    report = home_directory / "report.json"
    box("sh", "-c", "echo x > src/new", flags=["--trace-access", "--report", report])
    toml = suggest(run_coffer, report)["toml"]
    config = home_directory / "config" / "coffer"
    config.mkdir(parents=True)
    (config / "coffer.toml").write_text(toml)
    environment = {"XDG_CONFIG_HOME": str(home_directory / "config")}
    assert box("sh", "-c", "echo y > src/new", env=environment).code == 0
    run = box("sh", "-c", "echo y > README", env=environment)
    assert run.code != 0
    (denial,) = run.report["denials"]
    assert denial["rule"].startswith(str(config / "coffer.toml") + ":"), denial


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"accesses": 3}', '{"accesses": []'])
def test_what_is_no_report(run_coffer, home_directory, text):
    path = home_directory / "report.json"
    path.write_text(text)
    run = run_coffer("policy", "suggest", path)
    assert run.code == 125 and "report" in run.err, run.describe()
    assert run_coffer("policy", "suggest", home_directory / "none").code == 125
    assert run_coffer("policy", "suggest").code == 125
    assert run_coffer("policy", "other").code == 125
