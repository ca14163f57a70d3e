"""Attempts side by side, tasks in the background, kills at any moment, and the state's file."""

import json
import os
import random
import signal
import sqlite3
import subprocess
import time

import pytest
import support
from task_project import CHECK, FIX


# Attempts.


def test_attempts_are_ranked_by_check_findings_and_size(task, project):
    agent = (
        "case $COFFER_ATTEMPT in "
        "1) echo x >> calc.py;; "
        f"2) {FIX}; printf 'more\\nand\\nmore\\n' > notes;; "
        f"3) {FIX};; "
        f"4) {FIX}; printf 'import os\\nos.system(input())\\n' > b.py;; "
        "5) ;; esac"
    )
    result = task(
        "run", project, "--agent", agent, "--check", CHECK, "--attempts", "5", "--jobs", "2",
        "--json",
    ).ok()  # fmt: skip
    order = [a["number"] for a in result.report["attempts"]]
    assert order == [3, 2, 4, 1, 5]
    assert result.report["patch"]["files"] == 1
    ident = result.report["id"]
    assert task("diff", ident).out == task("diff", ident, "--attempt", "3").out
    assert "notes" in task("diff", ident, "--attempt", "2", "--stat").ok().out
    wrong = task("diff", ident, "--attempt", "6")
    assert wrong.code == 1 and "attempts 1 to 5" in wrong.err


def test_no_more_attempts_run_at_once_than_jobs(task, project, home_directory):
    result = task(
        "run", project, "--attempts", "4", "--jobs", "2", "--json", "--agent",
        f"date +%s%N; sleep 0.6; date +%s%N; {FIX}",
    ).ok()  # fmt: skip
    spans = []
    for number in range(1, 5):
        text = (home_directory / "state" / "coffer" / "tasks" / result.report["id"] /
                f"log.agent.{number}").read_text()  # fmt: skip
        spans.append(tuple(map(int, text.split())))
    assert max(sum(a <= at < b for a, b in spans) for at, _ in spans) == 2


def test_one_attempt_that_cannot_be_packed_does_not_spoil_the_others(task, project):
    agent = f"test $COFFER_ATTEMPT = 1 && sleep 60; {FIX}"
    result = task("run", project, "--agent", agent, "--attempts", "2", "--limit",
                  "time=2s,grace=0s", "--json").ok()  # fmt: skip
    assert [a["number"] for a in result.report["attempts"]] == [2, 1]


# In the background.


def test_a_detached_task_is_followed_and_shown(task, project):
    started = task("run", project, "--detach", "--agent",
                   f"for i in 1 2 3; do echo step $i; sleep 0.3; done; {FIX}")  # fmt: skip
    ident = started.ok().out.strip()
    shown = task("show", ident).ok().out
    assert "running" in shown
    followed = task("logs", ident, "--follow", "--phase", "agent").ok()
    assert followed.out == "step 1\nstep 2\nstep 3\n"
    assert json.loads(task("show", ident, "--json").out)["state"] == "done"
    assert "a + b" in task("diff", ident).ok().out


def test_a_detached_task_is_out_of_the_callers_session(task, project):
    ident = task("run", project, "--detach", "--agent", "sleep 30", "--json").ok()
    ident = json.loads(ident.out)["id"]

    owner = int(task("show", ident).out.split("process ")[1].split(")")[0])
    assert os.getsid(owner) != os.getsid(0)
    assert os.readlink(f"/proc/{owner}/fd/0") == "/dev/null"
    busy = task("rm", ident)
    assert busy.code == 125 and "running" in busy.err
    task("cancel", ident).ok()
    assert json.loads(task("show", ident, "--json").out)["state"] == "cancelled"
    assert not support.process_exists(owner)


def wait_for(task, text, phase="agent"):
    def there():
        listed = json.loads(task("list", "--json").out)
        return listed and text in task("logs", listed[-1]["id"], "--phase", phase).out

    support.wait_until(there, seconds=20, what=f"{text} in the log")
    return json.loads(task("list", "--json").out)[-1]["id"]


def test_an_interrupt_ends_the_boxes_and_a_resume_goes_on(task, start, project):
    process = start("run", project, "--setup", "echo once >> ~/setups", "--agent",
                    f"cat ~/setups; echo here; sleep 30; {FIX}")  # fmt: skip
    ident = wait_for(task, "here")
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=20)
    assert process.returncode == 130, err
    shown = json.loads(task("show", ident, "--json").out)
    assert shown["state"] == "cancelled"
    assert [p["state"] for p in shown["phases"]] == ["done", "done", "done", "cancelled"]
    assert "here" in task("logs", ident).out
    assert task("diff", ident).code == 1


def test_a_resumed_task_does_not_repeat_what_was_finished(task, start, project, home_directory):
    process = start("run", project, "--setup", "date +%N > ~/stamp", "--agent",
                    f"cat ~/stamp; {FIX}; echo fixed",
                    "--check", "echo checking; sleep 20")  # fmt: skip
    ident = wait_for(task, "checking", "check.1")
    before = task("logs", ident, "--phase", "agent").out
    process.kill()
    process.communicate()
    shown = json.loads(task("show", ident, "--json").out)
    assert shown["state"] == "interrupted" and "resume" in shown["error"]["hint"]
    # The check is tried again; the agent is not.
    process = start("resume", ident)
    support.wait_until(
        lambda: task("logs", ident, "--phase", "check.1").out.count("checking") == 2, seconds=20
    )
    assert task("logs", ident, "--phase", "agent").out == before
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=20)


# Kills.


def processes_with(text):
    found = []
    for entry in os.listdir("/proc"):
        try:
            command = open(f"/proc/{entry}/cmdline", "rb").read()
        except (FileNotFoundError, NotADirectoryError, ProcessLookupError, PermissionError):
            continue
        if text.encode() in command and int(entry) != os.getpid():
            found.append(int(entry))
    return found


def changes(patch):
    return patch[patch.index("diff --git") :].split("\n-- \n")[0]


def leftovers(state, ident):
    """Layers and directories that no task accounts for."""
    names = {path.name for path in (state / "layers" / "names").iterdir()}
    wanted = {f"{ident}.{part}" for part in ("clone", "setup", "agent.1")}
    layers = [p.name for p in (state / "layers").iterdir() if p.name != "names"]
    # One of which not even the lock was made is given a minute: somebody may be at it.
    layers = [name for name in layers if not name.startswith(".new-")]
    extra = [n for n in names - wanted] + [n for n in layers if n.startswith(".")]
    return extra + ([] if len(layers) == len(names) else [f"{len(layers)} layers, {names}"])


@pytest.mark.timeout(3600 if os.environ.get("COFFER_SOAK") == "1" else 120)
def test_kills_at_any_moment_lose_nothing_and_leave_nothing(task, start, project, state):
    rounds = 500 if os.environ.get("COFFER_SOAK") == "1" else 10
    marker = f"marker-{random.getrandbits(40):010x}"
    run = ["run", project, "-q", "--secret", "T=env:XDG_STATE_HOME",
           "--setup", f": {marker}; sleep 0.05; touch ~/ready", "--agent",
           f": {marker}; sleep 0.05; test -e ~/ready && {FIX}", "--check",
           f": {marker}; {CHECK}"]  # fmt: skip
    began = time.monotonic()
    task(*run).ok()
    whole = time.monotonic() - began
    for ident in [t["id"] for t in json.loads(task("list", "--json").out)]:
        task("rm", ident)
    reached = set()
    for _ in range(rounds):
        task("rm", "--prepared")
        process = start(*run)
        time.sleep(random.uniform(0, whole * 1.1))
        process.kill()
        process.communicate()
        support.wait_until(lambda: not processes_with(marker), seconds=10, what="their end")
        listed = json.loads(task("list", "--json").ok().out)
        if not listed:
            reached.add("before")
            continue
        assert len(listed) == 1 and listed[0]["state"] in ("interrupted", "done"), listed
        ident = listed[0]["id"]
        reached.add(listed[0]["phase"])
        patches = [p.read_text() for p in (state / "tasks" / ident).glob("**/patch")]
        if listed[0]["state"] == "interrupted":
            task("resume", ident, "-q").ok()
        text = task("diff", ident).ok().out
        assert "a + b" in text
        # One that was made again has another date, and that is all.
        assert all(changes(patch) == changes(text) for patch in patches)
        assert leftovers(state, ident) == []
        task("rm", ident).ok()
    for path in (state / "layers").glob(".new-*"):
        os.utime(path, (0, 0))
    task("rm", "--prepared")
    assert [path.name for path in (state / "layers").iterdir()] == ["names"]
    assert not list((state / "layers" / "names").iterdir())
    assert not [p for p in (state / "tasks").iterdir() if p.name.startswith("t-")]
    assert len(reached) > 1, reached


# The state's file.


def test_the_state_is_the_users_own(task, state):
    task("list").ok()
    assert (state / "state.db").stat().st_mode & 0o777 == 0o600
    assert state.stat().st_mode & 0o077 == 0


def test_a_damaged_state_is_said_with_what_to_do(task, state):
    task("list").ok()
    for junk in (b"x" * 8192, b"SQLite format 3\0" + b"\xff" * 8000):
        for path in state.glob("state.db*"):
            path.unlink()
        (state / "state.db").write_bytes(junk)
        result = task("list")
        assert result.code == 125 and "is damaged" in result.err and "move it away" in result.err
        assert (state / "state.db").read_bytes() == junk


def test_a_newer_state_is_left_alone(task, state):
    task("list").ok()
    with sqlite3.connect(state / "state.db") as database:
        database.execute("PRAGMA user_version = 99")
    result = task("list")
    assert result.code == 125 and "version 99" in result.err and "newer" in result.err


def test_two_that_make_the_state_at_once_are_safe(places):
    environment = {**os.environ, **places}
    many = [
        subprocess.Popen([str(support.COFFER), "task", "list"], env=environment,
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)  # fmt: skip
        for _ in range(8)
    ]
    assert [p.communicate(timeout=50)[1] for p in many] == [""] * 8
    assert [p.returncode for p in many] == [0] * 8


# What is not a task's.


def test_a_fork_that_a_person_made_of_a_tasks_layer_stays(task, project, places, home_directory):
    ident = task("run", project, "--agent", FIX, "--json").ok().report["id"]
    other = task("run", project, "--agent", FIX, "--json").ok().report["id"]

    def coffer(*args):
        return support.run_coffer(*args, env=places, cwd=home_directory).ok().out

    fork = coffer("fork", f"{ident}.agent.1", "-n", "1").strip()
    assert fork == f"{ident}.agent.1-1"
    task("rm", other).ok()
    names = [layer["name"] for layer in json.loads(coffer("layers", "--json"))]
    assert fork in names and not any(str(name).startswith(other) for name in names)
    task("rm", ident).ok()
    assert fork in coffer("layers")
