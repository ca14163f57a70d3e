"""What people and machines get wrong: each works, or is a clear error with nothing half done."""

import json
import os
import subprocess
from pathlib import Path

import pytest
from support import COFFER, HOME, IS_ROOT, SETUP_FAILED, need_user, need_user_namespaces


def refused(result, *words, mark=None):
    """Exit 125, one clear complaint with these words in it, no output, and the command did not run
    (mark: the file that it would have made)."""
    assert result.code == SETUP_FAILED, result.describe()
    assert result.out == "", result.describe()
    for word in words:
        assert str(word) in result.err, result.describe()
    # Only sentences of coffer's own: no stack, no half-written binary message.
    assert all(line.startswith("coffer: ") or line.startswith(" ") or not line
               for line in result.err.splitlines()), result.describe()
    if mark:
        assert not os.path.lexists(mark), result.describe()
    return result


def run_marked(run_coffer, workspace, *flags, **keywords):
    """A command that leaves a mark if it runs; returns (result, mark)."""
    mark = workspace / "mark"
    keywords.setdefault("cwd", workspace)
    return run_coffer("run", *flags, "--", "touch", mark, **keywords), mark


# What is typed.


@pytest.mark.parametrize(
    "flags, words",
    [
        (["--wirte", "/x"], ["--wirte", "--write"]),
        (["--isolatoin", "auto"], ["--isolatoin", "--isolation"]),
        (["--reprot", "/x"], ["--reprot", "--report"]),
        (["--mode", "readonly"], ["readonly", "read-only"]),
        (["--profile", "strickt"], ["strickt", "strict"]),
        (["--limit", "memroy=1G"], ["memroy", "memory"]),
        (["--limit", "memory=lots"], ["lots", "512M"]),
        (["--limit", "pids=0"], ["pids"]),
        (["--git", "comit"], ["comit", "commit"]),
        (["--env", "=x"], ["NAME"]),
        (["--write", ""], ["--write", "empty"]),
        (["--share-tmp=yes"], ["--share-tmp", "no value"]),
        (["--device", "kvm"], ["kvm", "absolute"]),
        (["--device", "/etc/shadow"], ["/etc/shadow", "/dev"]),
        (["--qqqqqqqqqq"], ["--qqqqqqqqqq"]),
    ],
)
def test_slips_are_named(run_coffer, workspace, flags, words):
    result, mark = run_marked(run_coffer, workspace, *flags)
    refused(result, *words, mark=mark)


def test_a_value_that_is_missing(run_coffer, workspace):
    refused(run_coffer("run", "--write", cwd=workspace), "--write")


def test_no_command(run_coffer, workspace):
    refused(run_coffer("run", cwd=workspace), "command")
    refused(run_coffer("run", "--", cwd=workspace), "command")


def test_an_empty_command(run_coffer, workspace):
    result = run_coffer("run", "--", "", cwd=workspace)
    assert result.code in (SETUP_FAILED, 127), result.describe()
    assert result.err.startswith("coffer: "), result.describe()


@pytest.mark.parametrize(
    "flags",
    [
        ["--mode", "read-only", "--write", "."],
        ["--mode", "read-only", "--git", "commit"],
        ["--mode", "danger-full-access", "--read-only", "src"],
        ["--mode", "danger-full-access", "--isolation", "container"],
        ["--profile", "strict", "--isolation", "landlock"],
        ["--profile", "strict", "--share-tmp"],
        ["--profile", "cloud", "--best-effort"],
        ["--profile", "ci", "--env-all"],
        ["--python-path", "/x"],
        ["--write", ".git/hooks"],
    ],
)
def test_contradictions(run_coffer, workspace, flags):
    result, mark = run_marked(run_coffer, workspace, *flags)
    refused(result, mark=mark)


# Paths that are not what they should be.


def test_workspaces_that_are_none(run_coffer, workspace, home_directory):
    (home_directory / "file").write_text("")
    (home_directory / "a").symlink_to("b")
    (home_directory / "b").symlink_to("a")
    for name in ("nowhere", "file", "a"):
        result = run_coffer("run", "-C", home_directory / name, "--", "true", cwd=workspace)
        refused(result, home_directory / name)


def test_roots_that_are_none(run_coffer, workspace, home_directory):
    (home_directory / "a").symlink_to("b")
    (home_directory / "b").symlink_to("a")
    for name in ("nowhere", "a"):
        for flag in ("--write", "--read-only"):
            result, mark = run_marked(run_coffer, workspace, flag, home_directory / name)
            refused(result, home_directory / name, mark=mark)


def test_a_writable_root_that_is_a_file(box, home_directory):
    """Either it works for just that file, or it is an error: nothing in between."""
    file = home_directory / "file"
    file.write_text("before\n")
    beside = home_directory / "beside"
    result = box("sh", "-c", f"echo after >{file}; echo x >{beside}", flags=["--write", file])
    assert not beside.exists()
    if result.code == SETUP_FAILED:
        refused(result, file)
        assert file.read_text() == "before\n"
    else:
        assert file.read_text() == "after\n", result.describe()


def test_a_writable_root_that_is_a_link(box, home_directory):
    real = home_directory / "real"
    real.mkdir()
    link = home_directory / "link"
    link.symlink_to("real")
    box("touch", f"{link}/made", flags=["--write", link]).ok()
    assert (real / "made").exists()


def test_a_workspace_that_cannot_be_read(run_coffer, workspace, home_directory):
    closed = home_directory / "closed"
    (closed / "inner").mkdir(parents=True)
    closed.chmod(0)
    # Root can go there, but in the box it is the owner without root's override.
    result = run_coffer("run", "-C", closed / "inner", "--", "true", cwd=workspace)
    refused(result, "Permission denied")


def test_a_working_directory_that_vanished(run_coffer, home_directory):
    gone = home_directory / "gone"
    gone.mkdir()

    def enter():
        os.chdir(gone)
        os.rmdir(gone)

    refused(run_coffer("run", "--", "true", preexec_fn=enter), "directory")


def test_an_unreadable_directory_does_not_stop_a_run(box, workspace):
    (workspace / "closed").mkdir()
    (workspace / "closed").chmod(0)
    box("touch", "made").ok()
    assert (workspace / "made").exists()


def test_names_that_are_not_text(run_coffer, home_directory):
    odd = Path(os.fsdecode(os.fsencode(home_directory) + b"/\xff\x1b[31m \n\"'"))
    odd.mkdir()
    flags = ["--mode", "workspace-write", "-C", odd]
    run_coffer("run", *flags, "--", "touch", "made").ok()
    assert (odd / "made").exists()
    planned = run_coffer("plan", *flags, "--", "true").ok()
    json.loads(planned.out)
    assert "\x1b" not in planned.out + planned.err


# Too much.


def test_ten_thousand_roots(run_coffer, workspace, home_directory):
    flags = []
    for i in range(10000):
        flags += ["--write", home_directory / str(i)]
    result, mark = run_marked(run_coffer, workspace, *flags)
    refused(result, "1024", mark=mark)
    assert result.seconds < 10


def test_a_thousand_roots(box, home_directory):
    """As many as a policy may have: they work."""
    flags = []
    for i in range(1000):
        (home_directory / str(i)).mkdir()
        flags += ["--write", home_directory / str(i)]
    box("touch", home_directory / "0" / "made", home_directory / "999" / "made", flags=flags).ok()
    assert (home_directory / "999" / "made").exists()


def test_an_argument_of_100_kb(box):
    argument = "x" * 100_000
    result = box("sh", "-c", 'printf %s "${#1}"', "sh", argument).ok()
    assert result.out == "100000"


def test_two_megabytes_of_arguments(run_coffer, workspace):
    arguments = ["y" * 100_000] * 15
    result = run_coffer("run", "--", "sh", "-c", 'printf %s "$#"', "sh", *arguments, cwd=workspace)
    assert result.ok().out == "15"


def test_a_long_path(run_coffer, workspace):
    result, mark = run_marked(run_coffer, workspace, "--write", "/" + "a" * 5000)
    refused(result, "4095", mark=mark)
    result, mark = run_marked(run_coffer, workspace, "--write", "/" + "a" * 300)
    refused(result, mark=mark)


# A machine that lacks something.


def in_mount_namespace(script, *arguments, cwd):
    """script in a mount namespace of its own, that it can rearrange (as an ordinary user: as root
    of a user namespace too). There, `as_before run …` runs coffer as who this process is."""
    need_user_namespaces()
    own = ["unshare", "--mount"] if IS_ROOT else ["unshare", "--user", "--map-root-user", "--mount"]
    back = f"unshare --user --map-user={os.getuid()} --map-group={os.getgid()}"
    script = f'as_before() {{ {"" if IS_ROOT else back} "$COFFER" "$@"; }}\n{script}'
    done = subprocess.run(
        [*own, "sh", "-c", "set -e\n" + script, "sh", *map(str, arguments)],
        env={**os.environ, "COFFER": str(COFFER)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        cwd=cwd,
        check=False,
    )
    return done


def works_or_is_refused(done, mark):
    """All of it or nothing of it."""
    assert done.returncode in (0, SETUP_FAILED), done.stdout + done.stderr
    if done.returncode == 0:
        assert mark.exists(), done.stderr
        return
    assert done.stderr.strip().startswith("coffer: "), done.stderr
    assert not mark.exists(), done.stderr


def test_no_proc(workspace):
    mark = workspace / "mark"
    script = 'mount -t tmpfs none /proc; "$COFFER" run -- touch "$1"'
    works_or_is_refused(in_mount_namespace(script, mark, cwd=workspace), mark)


def test_root_of_one_id(workspace):
    """As in a container that was made without a range of ids."""
    need_user_namespaces()
    mark = workspace / "mark"
    done = subprocess.run(
        ["unshare", "--user", "--map-root-user", COFFER, "run", "--", "touch", mark],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        cwd=workspace,
        check=False,
    )
    works_or_is_refused(done, mark)


def test_no_tmp(workspace):
    """A /tmp that nobody can write, and a TMPDIR that is not there."""
    mark = workspace / "mark"
    script = (
        "mount -t tmpfs -o ro,mode=555 none /tmp\n"
        'TMPDIR=/nowhere as_before run -- touch "$1"'
    )
    done = in_mount_namespace(script, mark, cwd=workspace)
    assert done.returncode == 0 and mark.exists(), done.stderr


def test_no_tmpdir(box):
    script = 'f=$(mktemp) && echo x >"$f" && cat "$f"'
    assert box("sh", "-c", script, env={"TMPDIR": None}).ok().out == "x\n"
    assert box("sh", "-c", script, env={"TMPDIR": "/nowhere"}).ok().out == "x\n"


def test_hardly_any_environment(box):
    everything = {name: None for name in os.environ}
    assert "PATH=" in box("/usr/bin/env", env=everything).ok().out


def test_a_home_that_is_not_there(box, workspace):
    box("touch", "made", env={"HOME": "/nowhere/at/all"}).ok()
    assert (workspace / "made").exists()


def test_a_home_that_is_odd(box, workspace):
    # Root could make a cache directory in /, which is not the tests' to make.
    for home in ["", "relative", "/dev/null"] + ([] if IS_ROOT else ["/"]):
        result = box("touch", "made", env={"HOME": home})
        assert result.code in (0, SETUP_FAILED), result.describe()
        assert (workspace / "made").exists() == (result.code == 0)
        (workspace / "made").unlink(missing_ok=True)


def test_a_home_that_is_read_only(workspace, home_directory):
    mark = workspace / "mark"
    home = home_directory / "home"
    home.mkdir()
    script = (
        'mount --bind "$2" "$2"; mount -o remount,ro,bind "$2"\n'
        'HOME="$2" as_before run -- touch "$1"'
    )
    done = in_mount_namespace(script, mark, home, cwd=workspace)
    assert done.returncode == 0 and mark.exists(), done.stderr


def test_a_full_disk_below_the_home(workspace, home_directory):
    """Not a byte nor an inode is left where caches and records would go."""
    mark = workspace / "mark"
    home = home_directory / "home"
    home.mkdir()
    script = (
        'mount -t tmpfs -o size=64k,nr_inodes=3 none "$2"; touch "$2/a"\n'
        'cat /dev/zero >"$2/b" 2>/dev/null || true\n'
        'HOME="$2" as_before run -- touch "$1"'
    )
    done = in_mount_namespace(script, mark, home, cwd=workspace)
    works_or_is_refused(done, mark)


def test_a_full_disk_below_the_workspace(home_directory):
    """The command meets it, and the run says so by the command's own exit code."""
    disk = home_directory / "disk"
    disk.mkdir()
    script = (
        'mount -t tmpfs -o size=64k,mode=777 none "$1"; cd "$1"\n'
        'as_before run --mode workspace-write -- '
        "sh -c 'head -c 1000000 /dev/zero >big || exit 9'"
    )
    done = in_mount_namespace(script, disk, cwd=home_directory)
    assert done.returncode == 9, done.stderr
    assert "space" in done.stderr


def test_a_report_that_cannot_be_written(run_coffer, workspace, home_directory):
    """Known before anything runs."""
    for target in (home_directory / "nowhere" / "report", home_directory, "fd:77", "fd:x"):
        result, mark = run_marked(run_coffer, workspace, "--report", target, report=False)
        refused(result, mark=mark)


def test_a_report_on_a_full_device(run_coffer, workspace):
    """The command ran: its exit code stands, and what could not be kept is said."""
    result = run_coffer(
        "run", "--report", "/dev/full", "--", "true", cwd=workspace, report=False
    )
    assert result.code in (0, SETUP_FAILED), result.describe()
    assert result.err, result.describe()


def test_closed_standard_streams(run_coffer, workspace):
    """Nothing that coffer opens may end up in their place."""
    mark = workspace / "mark"
    command = f"echo out; echo err >&2; : >{mark}"
    script = f'exec 0<&- 1>&- 2>&-; exec "{COFFER}" run -- sh -c "{command}"'
    done = subprocess.run(["sh", "-c", script], cwd=workspace, timeout=60, check=False)
    assert done.returncode in (0, 1, 2, SETUP_FAILED)
    assert mark.exists() or done.returncode != 0
    assert sorted(p.name for p in workspace.iterdir()) == sorted(
        {".git", "README", "src"} | ({"mark"} if mark.exists() else set())
    )


def test_a_directory_as_a_standard_stream(run_coffer, workspace, outside):
    """A descriptor of a directory outside would be a way out of the box."""
    directory = os.open(outside, os.O_RDONLY)
    try:
        result, mark = run_marked(run_coffer, workspace, stdin=directory)
    finally:
        os.close(directory)
    refused(result, mark=mark)


def test_few_descriptors(run_coffer, workspace):
    """Works, or says so: never a box with a wall missing."""
    import resource

    for limit in (5, 8, 12, 20, 40):
        mark = workspace / f"mark-{limit}"
        result = run_coffer(
            "run", "--", "touch", mark, cwd=workspace,
            preexec_fn=lambda limit=limit: resource.setrlimit(
                resource.RLIMIT_NOFILE, (limit, limit)
            ),
        )
        assert result.code in (0, SETUP_FAILED), result.describe()
        assert mark.exists() == (result.code == 0), result.describe()


def test_a_directory_of_others(run_coffer):
    """A box gives nobody what they do not have."""
    need_user()
    flags = ["--mode", "workspace-write", "-C", "/usr"]
    assert run_coffer("run", *flags, "--", "touch", "/usr/made").code != 0
    assert not Path("/usr/made").exists()


def test_the_home_is_no_workspace_by_itself(run_coffer, home_directory):
    result = run_coffer(
        "run", "--", "touch", HOME / "coffer-must-not-make-this", cwd=HOME
    )
    assert result.code != 0, result.describe()
    assert not (HOME / "coffer-must-not-make-this").exists()
