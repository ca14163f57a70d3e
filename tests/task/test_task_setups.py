"""Set-ups that are kept, secrets that are not, homes that last."""

import json
import os
import threading

import pytest
import support
from task_project import CHECK, FIX, commit, make_project

SECRET = "correct-horse-battery-staple-4711"


def states(result):
    return {p["name"]: p["state"] for p in result.report["phases"] if "attempt" not in p}


def log(task, result, phase):
    return task("logs", result.report["id"], "--phase", phase).ok().out


# What is kept after a set-up.


def test_a_setup_is_reused_until_something_of_it_changes(task, home_directory):
    work, bare = make_project(home_directory / "project", {"requirements.txt": "a==1\n"})

    def run(*flags, setup="date +%N > ../home/agent/stamp"):
        result = task(
            "run", bare, "--setup", setup, "--agent", f"cat ~/stamp; {FIX}", "--json", *flags
        ).ok()
        return states(result)["setup"], log(task, result, "agent").strip()

    first = run()
    assert first[0] == "done"
    assert run() == ("cached", first[1])
    assert run("--agent-env", "A=1", "--limit", "time=1m") == ("cached", first[1])
    for flags in (
        ["--env", "A=1"],
        ["--allow-domain", "pypi.org"],
        ["--secret", "T=env:XDG_STATE_HOME", "--on-leak", "allow=T"],
    ):
        assert run(*flags)[0] == "done", flags
    assert run(setup="date +%N >> ../home/agent/stamp")[0] == "done"
    anew = run("--refresh")
    assert anew[0] == "done" and anew[1] != first[1]
    assert run() == ("cached", anew[1])
    commit(work, bare, "requirements.txt", "a==2\n")
    assert run()[0] == "done"


def test_a_setup_of_another_repository_is_not_taken_for_the_same_commit(
    task, project, home_directory
):
    """A fork has the same commit; what else is in the first repository is not for its agent."""
    fork, secret = home_directory / "fork.git", home_directory / "secret"
    support.git(home_directory, "clone", "-q", "--bare", project, fork)
    support.git(home_directory, "clone", "-q", project, secret)
    commit(secret, project, "private", "not for everybody\n")
    support.git(project, "branch", "private", "main")
    support.git(project, "update-ref", "refs/heads/main", "main~1")
    setup = ("--setup", "true", "--json")
    task("run", project, "--agent", FIX, *setup).ok()
    result = task("run", fork, "--agent", f"git log --all --oneline; {FIX}", *setup).ok()
    assert "change private" not in log(task, result, "agent"), result.describe()


def test_a_kept_setup_outlives_its_task_and_can_be_removed(task, project, state):
    def run():
        return task("run", project, "--setup", "touch ../home/agent/x", "--agent", FIX, "--json")

    task("rm", run().ok().report["id"]).ok()
    second = run().ok()
    assert states(second)["setup"] == "cached"
    task("rm", second.report["id"]).ok()
    assert len(list((state / "layers" / "names").iterdir())) == 2
    task("rm", "--prepared").ok()
    assert not list((state / "layers" / "names").iterdir())
    assert states(run().ok())["setup"] == "done"


def test_one_of_two_at_once_makes_it_and_the_other_waits(task, project, home_directory):
    results = []

    def run():
        results.append(task("run", project, "--setup", "sleep 1; date +%N > ~/stamp",
                            "--agent", f"cat ~/stamp; {FIX}", "--json"))  # fmt: skip

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(states(r.ok())["setup"] for r in results) == ["cached", "cached", "done"]
    assert len({log(task, r, "agent") for r in results}) == 1


# Secrets.


def test_a_secret_is_there_in_the_setup_and_gone_afterwards(task, project):
    agent = (
        'ls -la /run/secrets 2>&1; echo "env=$TOKEN"; '
        "for f in /proc/[0-9]*/environ; do tr '\\0' '\\n' < $f; done 2>/dev/null; "
        f"grep -rsl {SECRET[:12]} /run /tmp /workspace /home /var /dev/shm 2>/dev/null; {FIX}"
    )
    setup = 'test "$TOKEN" = "$(cat /run/secrets/FILE)" && echo both are there'
    result = task(
        "run", project, "--setup", setup, "--agent", agent, "--secret", "TOKEN=env:MINE",
        "--secret", "FILE=MINE,file", "--json", env={"MINE": SECRET},
    ).ok()  # fmt: skip
    assert "both are there" in log(task, result, "setup")
    said = log(task, result, "agent")
    assert "env=\n" in said and SECRET not in said and "FILE" not in said


def test_a_secrets_value_is_in_no_file_of_coffers(task, project, state):
    result = task(
        "run", project, "--setup", "echo $TOKEN; cat /run/secrets/TOKEN", "--agent", FIX,
        "--secret", "TOKEN=env:MINE", "--json", env={"MINE": SECRET},
    ).ok()  # fmt: skip
    assert result.report["leaks"] == [] and "[TOKEN]" in log(task, result, "setup")
    for directory, _, names in os.walk(state):
        for name in names:
            data = open(os.path.join(directory, name), "rb").read()
            assert SECRET.encode() not in data, name


@pytest.mark.parametrize("form", ["cat", "base64 -w0", "gzip -c", "xxd -p -c 100"])
def test_a_secret_that_is_left_behind_refuses_the_task(task, project, state, form):
    support.need_program(form.split(" ")[0])
    result = task(
        "run", project, "--setup", f"printf %s $TOKEN | {form} > ../home/agent/kept",
        "--agent", FIX, "--secret", "TOKEN=env:MINE", "--json", env={"MINE": SECRET},
    )  # fmt: skip
    assert result.code == 126 and result.report["state"] == "failed", result.describe()
    assert [leak["path"] for leak in result.report["leaks"]] == ["/home/agent/kept"] or (
        result.report["leaks"][0]["path"].startswith("/home/agent/kept!")
    )
    assert result.report["leaks"][0]["secret"] == "TOKEN"
    assert SECRET not in result.out + result.err
    names = {path.name for path in (state / "layers" / "names").iterdir()}
    assert names == {f"{result.report['id']}.clone"}


def test_a_leak_is_scrubbed_or_allowed_where_that_is_said(task, project):
    def run(*flags):
        return task(
            "run", project, "--setup", "echo token=$TOKEN > ../home/agent/kept", "--agent",
            f"cat ~/kept; {FIX}", "--secret", "TOKEN=env:MINE", "--json", *flags,
            env={"MINE": SECRET},
        )  # fmt: skip

    scrubbed = run("--on-leak", "scrub").ok()
    assert scrubbed.report["leaks"][0]["action"] == "scrubbed"
    said = log(task, scrubbed, "agent")
    assert "token=" in said and SECRET not in said
    allowed = run("--on-leak", "allow=TOKEN").ok()
    assert allowed.report["leaks"][0]["action"] == "allowed"
    # What somebody allowed serves nobody who did not.
    assert run().code == 126


@pytest.mark.parametrize(
    "setup", ["echo $TOKEN > k; chmod 000 k", "mkdir d; echo $TOKEN > d/k; chmod 000 d",
              "mkdir d; echo $TOKEN > d/k; chmod 400 d"],
)  # fmt: skip
def test_what_the_setup_has_closed_does_not_reach_the_agent(task, project, setup):
    for flags in ([], ["--on-leak", "allow=OTHER"], ["--on-leak", "scrub"]):
        result = task(
            "run", project, "--setup", setup, "--agent", "chmod -R u+rwX . ~; cat k d/k",
            "--secret", "TOKEN=env:MINE", "--secret", "OTHER=env:ELSE", "--json", *flags,
            env={"MINE": SECRET, "ELSE": "quite-another-one"},
        )  # fmt: skip
        assert result.code == 126, result.describe()
        assert any(leak["form"] == "closed" for leak in result.report["leaks"])
        assert "open it" in result.report["error"]["hint"]


def test_a_crowd_of_other_findings_does_not_hide_one(task, project):
    """More is found than is told: what is not told may be a secret that nobody allowed."""
    setup = (
        "mkdir crowd; cd crowd; python3 -c 'import os; s = os.environ[\"OTHER\"]\n"
        "for i in range(11000): open(str(i), \"w\").write(s)'; echo $TOKEN > ~/k"
    )
    for flags in (["allow=OTHER"], ["allow=OTHER", "scrub"]):
        result = task(
            "run", project, "--setup", setup, "--agent", "cat ~/k", "--secret", "TOKEN=env:MINE",
            "--secret", "OTHER=env:ELSE", "--json", *[w for f in flags for w in ("--on-leak", f)],
            env={"MINE": SECRET, "ELSE": "quite-another-one"},
        )  # fmt: skip
        assert result.code in (125, 126), result.describe()
        assert SECRET not in task("logs", result.report["id"]).out


def test_a_secret_that_is_not_found_is_named(task, project):
    result = task("run", project, "--setup", "true", "--agent", "true", "--secret",
                  "TOKEN=env:NOWHERE", "--json")  # fmt: skip
    assert result.code == 125, result.describe()
    message = result.report["error"]["message"]
    assert "TOKEN" in message and "NOWHERE" in message


def test_a_process_of_the_setup_does_not_outlive_it(task, project):
    loop = "while :; do date +%N > /workspace/alive; sleep 0.05; done"
    setup = f"(setsid sh -c '{loop}' &) ; sleep 0.3"
    agent = f"a=$(cat alive); sleep 0.5; test $a = $(cat alive) && ps -e 2>/dev/null; {FIX}"
    result = task("run", project, "--setup", setup, "--agent", agent, "--json").ok()
    assert result.report["patch"]["files"] == 1


# Networks.


def test_the_agent_is_offline_and_the_setup_reaches_what_is_allowed(task, world, project, places):
    name = "allowed.coffer-world.com"
    fetch = f"curl -sS -m 5 http://{name}/"
    flags = ["--allow-domain", f"{name}:80", "--json"]

    def run(*more):
        done = world.run(
            support.COFFER, "task", "run", project, "--setup", f"{fetch} > ~/page",
            *more, *flags, env=places, timeout=50,
        )  # fmt: skip
        done.report = json.loads(done.out)
        return done

    agent = f"cat ~/page; {fetch} && echo REACHED; getent hosts {name} && echo KNOWN; {FIX}"
    result = run("--agent", agent).ok()
    said = log(task, result, "agent")
    assert "hello" in said and "REACHED" not in said and "KNOWN" not in said
    assert len(world.log("http", host=name)) == 1
    world.clear()
    result = run("--agent", agent, "--agent-allow-domain", f"{name}:80").ok()
    assert "REACHED" in log(task, result, "agent")
    other = ["--agent-allow-domain", "other.coffer-world.com"]
    result = run("--agent", f"{fetch}; {FIX}", *other).ok()
    assert "hello" not in log(task, result, "agent")


# Homes.


def test_a_home_lasts_from_task_to_task(task, project):
    agent = f"cat ~/memory 2>/dev/null; echo been here >> ~/memory; {FIX}"

    def run(*flags):
        result = task("run", project, "--agent", agent, "--json", *flags).ok()
        return log(task, result, "agent").count("been here")

    assert run("--home", "mine") == 0
    assert run("--home", "mine") == 1
    assert run("--home", "other") == 0
    assert run() == 0
    assert run("--home", "mine") == 2


def test_a_home_keeps_no_secret_that_was_allowed_for_one_task(task, project, state):
    def run(setup, *flags):
        task("run", project, "--setup", setup, "--agent", f"echo y > ~/of-agent; {FIX}",
             "--home", "mine", "--secret", "TOKEN=env:MINE", *flags,
             env={"MINE": SECRET}).ok()  # fmt: skip
        tree = state / "homes" / "mine" / "tree"
        return sorted(path.name for path in tree.iterdir())

    assert run("echo $TOKEN > ~/kept", "--on-leak", "allow=TOKEN") == []
    # The agent carries it there from elsewhere.
    assert run("echo $TOKEN > kept", "--on-leak", "allow=TOKEN", "--agent",
               f"cp kept ~; {FIX}") == []  # fmt: skip
    assert run("echo x > ~/of-setup") == ["of-agent", "of-setup"]


def test_a_home_in_which_nothing_was_written_is_fine(task, project):
    task("run", project, "--agent", FIX, "--home", "mine").ok()


def test_a_home_keeps_nothing_of_a_task_that_failed(task, project):
    def run(agent):
        return task("run", project, "--agent", f"cat ~/x; echo x > ~/x; {agent}", "--home", "h",
                    "--check", CHECK, "--json")  # fmt: skip

    assert run("true").code == 1
    result = run(FIX).ok()
    assert log(task, result, "agent").strip().endswith("No such file or directory")
