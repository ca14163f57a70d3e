"""A task from its repository to its patch."""

import json
import subprocess

import pytest
import support
from task_project import CHECK, FIX, commit, make_project


def log(task, result, phase):
    return task("logs", result.report["id"], "--phase", phase).ok().out


def test_a_task_mends_a_failing_test(task, project, state, home_directory):
    before = support.git(project, "for-each-ref")
    result = task(
        "run", project, "--setup", "echo prepared > ../home/agent/note", "--agent", FIX,
        "--check", CHECK, "--json",
    ).ok()  # fmt: skip
    report = result.report
    assert report["state"] == "done" and report["exit"] == 0
    assert report["check"]["exit"] == 0
    assert report["commit"] == support.git(project, "rev-parse", "main").strip()
    assert [p["name"] for p in report["phases"]][:4] == ["clone", "setup", "search", "agent"]
    assert {p["state"] for p in report["phases"]} == {"done"}
    patch = report["patch"]
    assert (patch["files"], patch["insertions"], patch["deletions"]) == (1, 1, 1)
    text = task("diff", report["id"]).ok().out
    assert "-    return a - b\n+    return a + b\n" in text
    assert "calc.py" in task("diff", report["id"], "--stat").ok().out
    assert task("diff", report["id"], "--name-only").ok().out == "calc.py\n"
    # What it came to is on disk as it was printed.
    kept = json.loads((state / "tasks" / report["id"] / "summary.json").read_text())
    assert kept["patch"] == patch
    # The repository that was cloned is as it was.
    assert support.git(project, "for-each-ref") == before
    # The patch is one for git, elsewhere.
    copy = home_directory / "copy"
    support.git(home_directory, "clone", "-q", project, copy)
    (home_directory / "patch").write_text(text)
    support.git(copy, "am", "-q", home_directory / "patch")
    assert "a + b" in (copy / "calc.py").read_text()
    support.git(copy, "reset", "-q", "--hard", "HEAD~1")
    support.git(copy, "apply", home_directory / "patch")
    assert "a + b" in (copy / "calc.py").read_text()
    # So is the bundle.
    support.git(copy, "checkout", "-q", "--", ".")
    support.git(copy, "pull", "-q", "--ff-only", patch["bundle"], f"coffer/{report['id']}")
    assert "a + b" in (copy / "calc.py").read_text()


def test_what_the_check_writes_is_not_in_the_patch(task, project):
    result = task(
        "run", project, "--agent", FIX, "--check", f"echo junk > junk; {CHECK}", "--json"
    ).ok()
    assert result.report["patch"]["files"] == 1
    assert "junk" not in task("diff", result.report["id"]).ok().out


def test_a_failed_check_is_exit_1_and_the_patch_is_kept(task, project):
    result = task("run", project, "--agent", "echo x >> calc.py", "--check", CHECK, "--json")
    assert result.code == 1, result.describe()
    assert result.report["check"]["exit"] == 1 and result.report["state"] == "done"
    assert "+x" in task("diff", result.report["id"]).ok().out


def test_an_agent_that_changes_nothing_is_exit_1(task, project):
    result = task("run", project, "--agent", "true", "--json")
    assert result.code == 1 and result.report["patch"]["empty"], result.describe()
    shown = task("diff", result.report["id"])
    assert shown.code == 1 and "changed nothing" in shown.err


def test_without_a_check_the_agents_own_exit_counts(task, project):
    assert task("run", project, "--agent", FIX).code == 0
    assert task("run", project, "--agent", f"{FIX}; exit 3").code == 1


def test_the_prompt_is_a_file_a_variable_and_standard_input(task, project):
    agent = f'cat; echo; cat "$COFFER_PROMPT_FILE"; ls -l /run/coffer; {FIX}'
    result = task("run", project, "--agent", agent, "--prompt", "Mend it", "--json").ok()
    said = log(task, result, "agent")
    assert said.count("Mend it") == 2
    assert "Subject: [PATCH] Mend it" in task("diff", result.report["id"]).ok().out


def test_a_prompt_from_a_file_is_copied(task, project, home_directory):
    prompt = home_directory / "prompt.md"
    prompt.write_text("# Mend\nall of it\n")
    result = task("run", project, "--agent", f"cat; {FIX}", "--prompt-file", prompt, "--json").ok()
    assert "all of it" in log(task, result, "agent")


def test_a_setup_that_is_a_file_is_copied_in_and_run(task, project, home_directory):
    script = home_directory / "setup.sh"
    script.write_text("#!/usr/bin/python3\nprint('by python'); open('made', 'w').close()\n")
    result = task("run", project, "--setup", "setup.sh", "--agent", f"ls; {FIX}", "--json").ok()
    assert "by python" in log(task, result, "setup")
    assert "made" in log(task, result, "agent")
    # What the set-up made is no part of the patch.
    assert result.report["patch"]["files"] == 1
    script.write_text("echo by the shell\n")
    result = task("run", project, "--setup", "setup.sh", "--agent", FIX, "--json").ok()
    assert "by the shell" in log(task, result, "setup")


def test_variables_go_where_they_were_given_for(task, project):
    result = task(
        "run", project, "--setup", "env", "--agent", f"env; {FIX}", "--check", "env",
        "--env", "EVERYWHERE=1", "--agent-env", "LATER=2", "--json", env={"HOSTS_OWN": "x"},
    ).ok()  # fmt: skip
    setup, agent, check = (log(task, result, name) for name in ("setup", "agent", "check"))
    assert "EVERYWHERE=1" in setup and "LATER" not in setup
    for said in (agent, check):
        assert "EVERYWHERE=1" in said and "LATER=2" in said
    for said in (setup, agent, check):
        assert "HOSTS_OWN" not in said and "XDG_STATE_HOME" not in said


def test_a_time_limit_of_the_agent_is_124_and_its_work_is_kept(task, project):
    result = task(
        "run", project, "--agent", f"{FIX}; sleep 60", "--limit", "time=2s,grace=0s", "--json"
    )
    assert result.code == 124, result.describe()
    assert result.report["attempts"][0]["agent"]["cause"] == "timed_out"
    assert result.report["patch"]["files"] == 1


def test_a_time_limit_of_the_setup_is_124(task, project):
    result = task(
        "run", project, "--setup", "sleep 60", "--agent", FIX, "--setup-limit",
        "time=1s,grace=0s", "--json",
    )  # fmt: skip
    assert result.code == 124 and result.report["state"] == "failed", result.describe()


def test_a_findings_line_is_in_the_summary(task, project):
    agent = "printf 'import os\\nos.system(input())\\n' > bad.py"
    result = task("run", project, "--agent", agent, "--json")
    assert any(f["file"] == "bad.py" for f in result.report["findings"]), result.describe()
    assert "bad.py" in task("show", result.report["id"]).ok().out


def test_the_file_says_what_flags_say_and_flags_outrank_it(task, project, home_directory):
    (home_directory / "coffer-task.toml").write_text(
        f'repository = "{project}"\nagent = "false"\ncheck = """{CHECK}"""\n'
        'env = { A = "1", B = "2" }\nlimit = ["time=1m", "pids=100"]\nattempts = 1\n'
        "no-submodules = true\n"
    )
    result = task("run", "--file", "coffer-task.toml", "--agent", f"env; {FIX}", "--json").ok()
    said = log(task, result, "agent")
    assert "A=1" in said and "B=2" in said
    named = home_directory / "elsewhere" / "other.toml"
    named.parent.mkdir()
    named.write_text(f'repository = "../project/project.git"\nagent = """{FIX}"""\n')
    task("run", "--file", named).ok()


@pytest.mark.parametrize(
    "text, said",
    [
        ('agnet = "x"\n', "did you mean 'agent'?"),
        ('agent = "x"\nattempts = "many"\n', "task.toml:2:1: attempts: 'many'"),
        ("agent = 3\nagent = 4\n", "task.toml:2:1"),
        ('[secret]\nA = 3.5\n', "cannot be a number with a fraction"),
        ('agent = ["x"]\n', "'agent' has one value"),
        ('secret = ["A=env:HOME"]\nagent = "x"\nrepository = "r"\n', "no set-up to use them"),
    ],
)
def test_mistakes_in_the_file_are_named(task, home_directory, text, said):
    (home_directory / "coffer-task.toml").write_text(text)
    result = task("run", "--file", "coffer-task.toml")
    assert result.code == 125 and said in result.err, result.describe()


def test_a_file_that_just_lies_there_is_not_obeyed(task, project, home_directory):
    """A stranger's repository, or a box that may write the workspace, brings it along; what it says
    would run and be written on the host."""
    ran, written = home_directory / "ran", home_directory / "written"
    text = (
        f'repository = "{project}"\nagent = """{FIX}"""\nsetup = "true"\n'
        f'secret = ["TOKEN=command:touch {ran}; echo not-a-real-token"]\n'
        f'pull-request = "{written}"\n'
    )
    file = home_directory / "coffer-task.toml"
    file.write_text(text)
    result = task("run", project, "--agent", FIX)
    assert result.code == 125 and "nobody has named it" in result.err, result.describe()
    assert not ran.exists() and not written.exists()
    # Who names it has read it; the same bytes count from then on, others do not.
    task("run", "--file", "coffer-task.toml").ok()
    assert ran.exists() and written.exists()
    written.unlink()
    task("run").ok()
    assert written.exists()
    file.write_text(text + "attempts = 1\n")
    assert task("run").code == 125
    # One elsewhere is another matter.
    (home_directory / "elsewhere").mkdir()
    (home_directory / "elsewhere" / "coffer-task.toml").write_text(text)
    assert task("run", cwd=home_directory / "elsewhere").code == 125


@pytest.mark.parametrize(
    "flags, said",
    [
        ([], "no agent is given"),
        (["--agnt", "x"], "did you mean --agent?"),
        (["--agent", "x", "--attempts", "65"], "at most 64"),
        (["--agent", "x", "--env", "NAME"], "is not NAME=VALUE"),
        (["--agent", "x", "--limit", "tmie=1s"], "did you mean 'time'?"),
        (["--agent", "x", "--agent-allow-domain", "a b"], "a b"),
        (["--agent", "x", "--on-leak", "ignore"], "is not one of: fail, scrub"),
        (["--agent", "x", "--on-leak", "allow=NOBODY"], "there is no secret 'NOBODY'"),
        (["--agent", "x", "--secret", "T=hunter2-typed-here"], "secret T: what follows"),
        (["--agent", "x", "--secret", "hunter2-typed-here"], "it is NAME=SOURCE"),
        (["--agent", "x", "--home", "../up"], "cannot be a name"),
        (["--agent", "x", "--prompt-file", "nowhere"], "there is no file nowhere"),
        (["--agent", "x", "--branch-in", "nowhere"], "is not a directory"),
        (["--agent", "x", "another"], "there is one repository"),
        (["--agent"], "--agent needs a value"),
    ],
)
def test_mistakes_in_flags_are_named(task, project, flags, said):
    result = task("run", project, *flags)
    assert result.code == 125 and said in result.err, result.describe()
    assert "hunter2" not in result.err
    assert json.loads(task("list", "--json").out) == []


def test_what_is_no_repository_is_an_error(task, home_directory):
    (home_directory / "empty").mkdir()
    result = task("run", home_directory / "empty", "--agent", "true", "--json")
    assert result.code == 125 and result.report["state"] == "failed"
    assert "empty" in result.report["error"]["message"], result.describe()


def test_a_ref_that_is_not_there_is_an_error(task, project):
    result = task("run", project, "--ref", "nowhere", "--agent", "true", "--json")
    assert result.code == 125 and "nowhere" in result.report["error"]["message"]


def test_a_ref_is_what_is_worked_on(task, home_directory):
    work, bare = make_project(home_directory / "project")
    support.git(work, "branch", "old")
    commit(work, bare, "more", "more\n")
    support.git(work, "push", "-q", bare, "old")
    result = task("run", bare, "--ref", "old", "--agent", f"ls; {FIX}", "--json").ok()
    assert result.report["branch"] == "old" and "more" not in log(task, result, "agent")


def test_a_setup_that_fails_says_why_and_can_be_tried_again(task, project, state):
    setup = "echo on the way; echo the reason is told >&2; exit 7"
    result = task("run", project, "--setup", setup, "--agent", FIX, "--json")
    assert result.code == 125
    message = result.report["error"]["message"]
    assert "exit 7" in message and "the reason is told" in message
    assert "logs" in result.report["error"]["hint"]
    ident = result.report["id"]
    assert "on the way" in task("logs", ident).out
    # The clone is kept, what the set-up left is not.
    names = {path.name for path in (state / "layers" / "names").iterdir()}
    assert names == {f"{ident}.clone"}
    again = task("resume", ident, "--json")
    assert again.code == 125 and len(again.report["phases"]) == 2


def test_words_that_a_terminal_would_act_on_are_shown(task, project):
    result = task("run", project, "--setup", "printf '\\033]0;own\\007'; exit 1", "--agent", "x")
    assert "\033" not in result.err and "\033" not in result.out


def test_tasks_are_listed_shown_and_removed(task, project, state):
    first = task("run", project, "--agent", FIX, "--json").ok().report["id"]
    second = task("run", project, "--agent", FIX, "--json").ok().report["id"]
    assert [t["id"] for t in json.loads(task("list", "--json").out)] == [first, second]
    shown = task("show", first).ok().out
    assert first in shown and "patch: 1 files, +1 -1" in shown
    assert json.loads(task("show", first, "--json").out)["id"] == first
    wrong = task("show", first[:-1] + ("b" if first[-1] != "b" else "c"))
    assert wrong.code == 125 and "did you mean" in wrong.err
    task("rm", first, second).ok()
    assert task("list").out == ""
    assert not [p for p in (state / "tasks").iterdir() if p.name.startswith("t-")]
    assert not list((state / "layers" / "names").iterdir())


def test_a_patch_is_put_on_a_tree(task, home_directory):
    work, bare = make_project(home_directory / "project")
    ident = task("run", bare, "--agent", FIX, "--json").ok().report["id"]
    before = (work / "calc.py").read_text()
    task("apply", ident, "--to", work, "--dry-run").ok()
    assert (work / "calc.py").read_text() == before
    index = (work / ".git" / "index").read_bytes()
    task("apply", ident, "--to", work).ok()
    assert "a + b" in (work / "calc.py").read_text()
    assert (work / ".git" / "index").read_bytes() == index
    subprocess.run(["python3", "test_calc.py"], cwd=work, check=True, stdout=subprocess.DEVNULL)


def test_a_branch_in_a_bare_repository_and_a_pull_request(task, project, home_directory):
    result = task(
        "run", project, "--agent", FIX, "--check", CHECK, "--prompt", "Mend the sum", "--json",
        "--branch-in", project, "--pull-request", "pull.md",
    ).ok()  # fmt: skip
    branch = f"coffer/{result.report['id']}"
    assert "a + b" in support.git(project, "show", f"{branch}:calc.py")
    text = (home_directory / "pull.md").read_text()
    assert text.startswith("Mend the sum\n") and "exit 0" in text


def test_progress_is_lines_without_a_terminal_and_nothing_when_quiet(task, project):
    loud = task("run", project, "--agent", FIX)
    steps = [line.split(" ")[3].strip(":\n") for line in loud.err.splitlines()]
    assert steps[0] == "clone" and "agent" in steps and "\r" not in loud.err
    assert task("run", project, "--agent", FIX, "-q").err == ""
