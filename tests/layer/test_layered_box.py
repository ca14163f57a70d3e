"""A box whose writes go to a layer: nothing of it reaches the host, and the walls are the same."""

import json
import os
import signal
import stat
import subprocess
import time

import pytest
import support
from support import COFFER, IS_ROOT, SETUP_FAILED, run_coffer
from trees import fingerprint


def layers(state):
    if not (state / "coffer/layers").exists():
        return []
    return [p for p in (state / "coffer/layers").iterdir() if p.name != "names"]


WRITES = {
    "create": "echo new > new",
    "append": "echo more >> file",
    "truncate": ": > file",
    "remove": "rm file",
    "chmod": "chmod 700 file",
    "touch": "touch -d 2001-01-01 file",
    "link": "ln file hard",
    "symlink": "ln -s file soft",
    "mkdir": "mkdir -p a/b/c",
    "rename": "mv file other",
    "rename over": "echo x > t; mv t file",
    "remove tree": "rm -rf tree",
    "replace tree": "rm -rf tree; mkdir tree; echo x > tree/x",
    "file for tree": "rm -rf tree; echo x > tree",
    "xattr": "python3 -c 'import os; os.setxattr(\"file\", \"user.x\", b\"y\")'",
    "fifo": "mkfifo fifo",
    "mmap": "python3 -c 'import mmap; f = open(\"file\", \"r+b\"); m = mmap.mmap(f.fileno(), 0);"
    " m[0:1] = b\"X\"; m.flush()'",
    "write through proc": "exec 3<>file; echo more > /proc/self/fd/3",
    "workspace itself": "chmod 700 .; touch -d 2001-01-01 .",
}


@pytest.mark.parametrize("what", WRITES)
def test_nothing_reaches_the_host(layered, workspace, what):
    (workspace / "file").write_text("content\n")
    (workspace / "tree/deep").mkdir(parents=True)
    (workspace / "tree/deep/leaf").write_text("leaf\n")
    before = fingerprint(workspace)
    result = layered("sh", "-c", WRITES[what]).ok()
    assert fingerprint(workspace) == before
    counts = result.report.get("layer", {})
    assert counts["added"] + counts["modified"] + counts["deleted"] > 0, result.describe()


def test_the_next_run_goes_on(layered, workspace):
    layered("sh", "-c", "echo one > one; rm -f README*").ok()
    result = layered("sh", "-c", "cat one; echo two >> one; ls").ok()
    assert result.out.splitlines()[0] == "one"
    assert layered("cat", "one").ok().out == "one\ntwo\n"
    assert not (workspace / "one").exists()
    assert "one" not in layered("ls", name="other").ok().out


def test_a_layer_stands_on_another(layered):
    layered("sh", "-c", "mkdir d; echo low > d/low; echo gone > gone", name="low").ok()
    on = ("--layer-on", "low")
    layered("sh", "-c", "cat d/low; rm gone; echo high > d/high", name="high", flags=on).ok()
    assert layered("ls", "d", name="high").ok().out.split() == ["high", "low"]
    assert layered("ls", name="high").ok().out.split().count("gone") == 0
    refused = layered("true", name="low")
    assert refused.code == SETUP_FAILED
    assert "changes no more" in refused.err and "--layer-on low" in refused.err
    again = layered("true", name="high", flags=on)
    assert again.code == SETUP_FAILED and "exists" in again.err


def test_many_layers_on_one_another(layered):
    layered("sh", "-c", "echo 0 > f0", name="l0").ok()
    for i in range(1, 12):
        flags = ("--layer-on", f"l{i - 1}")
        layered("sh", "-c", f"echo {i} > f{i}; rm -f f{i - 2}", name=f"l{i}", flags=flags).ok()
    out = layered("sh", "-c", "ls f*", name="l11").ok().out.split()
    assert out == ["f10", "f11"]


def test_two_runs_in_one_layer(layered, state, workspace):
    program = [COFFER, "run", "--layer=busy", "--", "sh", "-c", "echo up; read x"]
    with subprocess.Popen(
        program, cwd=workspace, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as first:
        assert first.stdout.readline() == "up\n"
        second = layered("true", name="busy")
        first.communicate("\n", timeout=30)
    assert second.code == SETUP_FAILED
    assert "in use" in second.err and str(first.pid) in second.err
    layered("true", name="busy").ok()


def test_what_nothing_was_written_to_is_discarded(layered, state):
    assert "nothing was written" in layered("true", name=None).ok().err
    assert layers(state) == []
    assert "coffer diff" in layered("touch", "x", name=None).ok().err
    assert len(layers(state)) == 1


def test_a_box_that_cannot_be_built_leaves_no_layer(layered, state):
    result = layered("true", name="never", flags=("--write", "no-such-directory"))
    assert result.code == SETUP_FAILED
    assert layers(state) == []


@pytest.mark.parametrize("name", ["", ".hidden", "-x", "a/b", "../x", "a b", "x" * 65, "é"])
def test_names(layered, state, name):
    result = layered("true", name=name)
    assert result.code == SETUP_FAILED and "name" in result.err
    assert layers(state) == []


@pytest.mark.parametrize(
    "flags,said",
    [
        (["--layer", "--mode", "danger-full-access"], "danger-full-access"),
        (["--layer", "--git", "commit"], "--git commit"),
        (["--layer-on", "x"], "without --layer"),
        (["--layer-system"], "without --layer"),
        (["--layer", "--layer-system", "--profile", "cloud"], "private root"),
        (["--layer=new", "--layer-on", "no-such-layer"], "no layer"),
    ],
)
def test_contradictions(state, workspace, flags, said):
    result = run_coffer("run", *flags, "--", "true", cwd=workspace)
    assert result.code == SETUP_FAILED and said in result.err, result.describe()


def test_protected_and_hidden_stay_so(layered, workspace):
    (workspace / ".env").write_text("SECRET=1\n")
    (workspace / ".envrc").write_text("layout python\n")
    hooks = workspace / ".git/hooks"
    script = "echo x > .git/hooks/pre-commit; echo x > .envrc; echo x > .env; cat .env; true"
    result = layered("sh", "-c", script, flags=("--hide-secrets",)).ok()
    assert "SECRET" not in result.out
    assert result.err.count("Read-only") + result.err.count("Permission denied") >= 4, result.err
    assert not (hooks / "pre-commit").exists()
    # Neither when a directory above is moved away.
    (workspace / "sub/.git/hooks").mkdir(parents=True)
    (workspace / "sub/.git/HEAD").write_text("ref: refs/heads/main\n")
    before = fingerprint(workspace)
    layered("sh", "-c", "mv sub sub2; mkdir -p sub/.git/hooks; echo x > sub/.git/hooks/h; true")
    assert fingerprint(workspace) == before


def test_other_roots_are_on_the_layer_too(layered, outside, workspace):
    before = fingerprint(outside)
    script = f"echo changed > {outside}/sentinel; echo new > {outside}/new; cat {outside}/sentinel"
    assert layered("sh", "-c", script, flags=("--write", outside)).ok().out == "changed\n"
    assert fingerprint(outside) == before
    denied = layered("sh", "-c", f"echo x > {outside}/new", name="other")
    assert denied.code != 0 and fingerprint(outside) == before


def test_layers_are_out_of_sight(layered, state):
    layered("sh", "-c", "echo hidden-content > f", name="one").ok()
    script = f"find {state} -name f; grep -r hidden-content {state} | cut -c1-80; ls {state}/coffer"
    for result in (layered("sh", "-c", script, name="two"), run_coffer("run", "sh", "-c", script)):
        assert "hidden-content" not in result.out and "/f" not in result.out


def test_strict_and_cloud(layered, workspace):
    before = fingerprint(workspace)
    for profile in ("strict", "cloud"):
        flags = ("--profile", profile, "--limit", "cpu=none,memory=none")
        layered("sh", "-c", "pwd; echo x > x; mkdir -p d/e", name=profile, flags=flags).ok()
        layered("test", "-s", "/workspace/x", "-a", "-d", "d/e", name=profile, flags=flags).ok()
    assert fingerprint(workspace) == before


def test_a_killed_run_leaves_a_usable_layer(layered, workspace):
    before = fingerprint(workspace)
    program = [COFFER, "run", "--layer=killed", "--", "sh", "-c"]
    program.append("echo kept > kept; mkdir d; echo up; sleep 60")
    with subprocess.Popen(program, cwd=workspace, stdout=subprocess.PIPE, text=True) as first:
        assert first.stdout.readline() == "up\n"
        os.kill(first.pid, signal.SIGKILL)
    deadline = time.monotonic() + 10
    while (result := layered("cat", "kept", name="killed")).code == SETUP_FAILED:
        assert time.monotonic() < deadline, result.describe()
        time.sleep(0.1)
    assert result.out == "kept\n"
    assert result.report["layer"]["added"] == 2
    assert fingerprint(workspace) == before


def test_times_out_and_keeps_what_was_written(layered):
    result = layered("sh", "-c", "echo x > x; sleep 60", flags=("--limit", "time=1s,grace=0s"))
    assert result.code == support.TIMED_OUT and result.report["layer"]["added"] == 1


def test_the_root_looks_as_it_does_without(layered, workspace):
    workspace.chmod(0o2775 if IS_ROOT else 0o1755)
    wanted = f"{stat.S_IMODE(workspace.stat().st_mode) & 0o1777:o} {os.getuid()}"
    assert layered("stat", "-c", "%a %u", ".").ok().out.split() == wanted.split()


def test_the_plan_says_so(layered, workspace):
    layered("true").ok()
    plan = run_coffer("plan", "--", "true", cwd=workspace)
    assert json.loads(plan.out)["layer"] is None


@pytest.mark.skipif(not IS_ROOT, reason="needs root")
def test_system_directories(layered, workspace):
    before = {p: os.lstat(p).st_mtime_ns for p in ("/etc", "/usr/local/bin", "/var")}
    script = "touch /etc/coffer-test /usr/local/bin/coffer-test; rm /etc/debian_version; ls /etc"
    result = layered("sh", "-c", script, flags=("--layer-system",)).ok()
    assert "coffer-test" in result.out and "debian_version" not in result.out.split()
    assert {p: os.lstat(p).st_mtime_ns for p in before} == before
    shown = layered("ls", "/usr/local/bin/coffer-test", flags=("--layer-system",)).ok()
    assert "coffer-test" in shown.out
    for path in ("/proc/sys/kernel/hostname", "/sys/power/state", "/dev/kmsg"):
        assert layered("sh", "-c", f"echo x > {path}", flags=("--layer-system",)).code != 0


@pytest.mark.skipif(IS_ROOT, reason="about an ordinary user")
def test_system_directories_need_root(layered):
    result = layered("true", flags=("--layer-system",))
    assert result.code == SETUP_FAILED and "--layer-system" in result.err
    assert "as root" in result.err


def test_what_cannot_be_looked_through_is_kept(layered, workspace):
    """A box cannot have its own layer thrown away, with all that it wrote before."""
    script = """if True:
        import os
        open("wanted", "w").close()
        os.mkdir("deep"); os.chdir("deep")
        for _ in range(300):
            os.mkdir("d" * 30); os.chdir("d" * 30)
    """
    result = layered("python3", "-c", script, name="new")
    assert "is kept" in result.err
    layered("rm", "-rf", "deep", name="new").ok()
    assert run_coffer("diff", "new", "--name-only", cwd=workspace).ok().out == "wanted\n"


def test_a_file_of_holes_does_not_keep_a_patch_from_its_end(layered, workspace):
    layered("truncate", "-s", "4T", "holes", name="new").ok()
    patch = run_coffer("diff", "new", cwd=workspace, timeout=30).ok().out
    assert "# holes: 4398046511104 bytes, not shown" in patch
