"""Where there are no overlays (landlock tier) a layer is a copy: it does the same."""

import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest
import support
from support import COFFER, SETUP_FAILED, SLOWDOWN, git, run_coffer
from trees import fingerprint, portrait


@pytest.fixture
def copied(state, workspace):
    available, reason = support.tier_available("landlock")
    if not available:
        pytest.skip(f"landlock tier: {reason}")

    def run(*command, name="test", flags=(), cwd=workspace, **keywords):
        wanted = [f"--layer={name}", "--isolation", "landlock", *flags]
        return run_coffer("run", *wanted, "--", *command, cwd=cwd, **keywords)

    return run


@pytest.fixture
def tree(workspace):
    top = workspace / "tree"
    (top / "sub").mkdir(parents=True)
    (top / "file").write_text("content\n")
    os.link(top / "file", top / "sub" / "same")
    os.symlink("file", top / "link")
    os.mkfifo(top / "fifo", 0o640)
    (top / "program").write_text("#!/bin/sh\n")
    (top / "program").chmod(0o751)
    with open(top / "holes", "wb") as file:
        file.truncate(64 << 20)
    os.setxattr(top / "file", "user.colour", b"red")
    os.setxattr(top / "sub", "user.colour", b"blue")
    os.utime(top / "file", ns=(10**18, 10**18 + 987654321))
    os.utime(top / "sub", ns=(10**18, 10**18 + 123456789))
    (top / "closed").mkdir()
    (top / "closed" / "x").write_text("x")
    (top / "closed").chmod(0o555)
    return top


def place_of(result):
    """Where the copy is, as the box says."""
    return Path(result.ok().out.strip())


def changes(*names, cwd):
    lines = run_coffer("diff", "--name-status", *names, cwd=cwd).ok().out.splitlines()
    return {line.split("\t")[1]: line.split("\t")[0][0] for line in lines}


def test_it_is_the_same_tree(copied, workspace, tree):
    before = fingerprint(workspace)
    result = copied("pwd", "-P")
    copy = place_of(result)
    assert portrait(copy) == portrait(workspace)
    assert fingerprint(workspace) == before
    assert (copy / "tree" / "holes").stat().st_blocks == 0, "the holes were filled"
    assert re.search(r"a copy of \S+/workspace.*entries, .* MiB .*, \d+\.\d+ s", result.err)
    assert run_coffer("diff", "test", cwd=workspace).ok().out == ""
    # The next run goes on in it.
    assert "a copy of" not in copied("true").ok().err


def test_run_diff_apply_discard(copied, workspace, tree):
    before = fingerprint(workspace)
    script = """
        echo more >> tree/file; rm tree/link; mkdir -p new/deep; echo new > new/deep/file
        chmod 600 tree/program; mv tree/sub tree/moved; echo replaced > r && mv r README
    """
    result = copied("sh", "-ec", script).ok()
    counts = result.report["layer"]
    assert counts["added"] >= 4 and counts["modified"] >= 3 and counts["deleted"] >= 3
    assert fingerprint(workspace) == before
    found = changes("test", cwd=workspace)
    assert found["tree/file"] == "M" and found["tree/link"] == "D" and found["README"] == "M"
    assert found["new/deep/file"] == "A"
    # A part of it, then the rest.
    run_coffer("apply", "test", "new", cwd=workspace).ok()
    assert (workspace / "new/deep/file").read_text() == "new\n"
    assert (workspace / "README").read_text() == "a file\n"
    run_coffer("apply", "test", cwd=workspace).ok()
    assert (workspace / "README").read_text() == "replaced\n"
    assert (workspace / "tree/file").read_text() == "content\nmore\n"
    assert not (workspace / "tree/link").is_symlink() and not (workspace / "tree/sub").exists()
    assert (workspace / "tree/program").stat().st_mode & 0o777 == 0o600
    assert (workspace / "tree/moved/same").exists()
    applied = fingerprint(workspace)
    copied("sh", "-c", "rm -rf tree; echo x > x").ok()
    run_coffer("discard", "test", cwd=workspace).ok()
    assert fingerprint(workspace) == applied
    store = workspace.parent / "state/coffer/layers"
    assert not [p.name for p in store.iterdir() if re.fullmatch("[0-9a-f]{16}", p.name)]


def test_what_the_host_changed_meanwhile_is_a_conflict(copied, workspace, tree):
    copied("sh", "-c", "echo layer > tree/file; echo mine > tree/program").ok()
    (workspace / "tree" / "file").write_text("host\n")
    result = run_coffer("apply", "test", cwd=workspace)
    assert result.code != 0 and "tree/file" in result.err + result.out
    assert (workspace / "tree" / "file").read_text() == "host\n"
    assert (workspace / "tree" / "program").read_text() == "#!/bin/sh\n", "all or nothing"


def test_the_box_is_where_the_caller_is(copied, workspace, tree):
    copy = place_of(copied("pwd", "-P", cwd=tree / "sub"))
    assert copy.parts[-3:] == ("upper", "tree", "sub")
    flags = ("-C", str(tree))
    assert place_of(copied("pwd", "-P", flags=flags, cwd="/")) == copy.parent


def test_the_walls_are_the_same(copied, workspace, outside, home_directory):
    (workspace / ".env").write_text("SECRET=1\n")
    (workspace / "notes").mkdir()
    (workspace / "notes" / "private").write_text("a private word\n")
    before = fingerprint(workspace), fingerprint(outside)
    script = f"""
        echo x > .git/hooks/pre-commit; echo x > .env; cat .env notes/private
        echo x > {workspace}/x; echo x > {outside}/sentinel; echo x > {home_directory}/x
        echo x > ../x; echo x > ../../../layer.json; mv .git git; ls ../../../..
    """
    private = ("--deny-read", workspace / "notes" / "private")
    result = copied("sh", "-c", script, flags=("--hide-secrets", *private))
    assert "SECRET" not in result.out and "private word" not in result.out
    assert result.err.count("denied") + result.err.count("Read-only") >= 8, result.describe()
    assert (fingerprint(workspace), fingerprint(outside)) == before
    root = place_of(copied("pwd", "-P")).parent
    assert "x" not in os.listdir(root)
    assert json.loads((root / "../../layer.json").read_text())["kind"] == "copy"


def test_other_boxes_do_not_see_it(copied, workspace, state):
    copied("sh", "-c", "echo hidden-content > f").ok()
    search = ("sh", "-c", f"grep -r hidden-content {state} | cut -c1-40; true")
    for found in (
        copied(*search, name="other"),
        run_coffer("run", "--isolation", "landlock", "--", *search, cwd=workspace),
    ):
        assert "hidden-content" not in found.ok().out


def test_what_it_cannot_be(copied, workspace, outside, tmp_path):
    refused = copied("true", flags=("--write", outside))
    assert refused.code == SETUP_FAILED and "--write" in refused.err
    copied("true").ok()
    above = copied("true", name="above", flags=("--layer-on", "test"))
    assert above.code == SETUP_FAILED and "copy" in above.err
    if support.can_make_user_namespaces():
        crossed = run_coffer(
            "run", "--isolation", "container", "--layer=test", "--", "true", cwd=workspace
        )
        assert crossed.code == SETUP_FAILED and "--isolation landlock" in crossed.err
    other = support.make_repository(outside / "other")
    elsewhere = copied("true", cwd=other)
    assert elsewhere.code == SETUP_FAILED and "a copy of" in elsewhere.err


@pytest.mark.skipif(support.IS_ROOT, reason="root reads everything")
def test_what_cannot_be_read_is_an_error(copied, workspace):
    (workspace / "closed").write_text("x")
    (workspace / "closed").chmod(0)
    result = copied("true")
    assert result.code == SETUP_FAILED and "closed" in result.err, result.describe()
    (workspace / "closed").chmod(0o600)
    copied("cat", "closed").ok()


def test_a_store_in_the_workspace(copied, workspace, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(workspace / "state"))
    copied("sh", "-c", "echo x > x; find . -name layers | wc -l").ok()
    assert not (workspace / "x").exists()


@pytest.mark.parametrize("after_ms", [8, 30])
def test_a_kill_while_it_copies(copied, workspace, state, after_ms):
    for d in range(10):
        (workspace / f"d{d}").mkdir()
        for f in range(30):
            (workspace / f"d{d}" / f"f{f}").write_text(f"{d}/{f}\n")
    before = fingerprint(workspace)
    command = [COFFER, "run", "--isolation", "landlock", "--layer=test", "--", "true"]
    with subprocess.Popen(command, cwd=workspace) as run:
        time.sleep(after_ms / 1000 * SLOWDOWN)
        run.send_signal(signal.SIGKILL)
    assert fingerprint(workspace) == before
    copy = place_of(copied("pwd", "-P"))
    assert portrait(copy) == portrait(workspace)
    assert sorted(os.listdir(copy.parent)) in (["base", "upper"], ["base", "upper", "work"])


def test_git_works_in_it(copied, workspace):
    script = """
        git mv src moved 2>&1 | head -1
        git status --porcelain | head -3
        git log --format=%s
    """
    assert "first" in copied("sh", "-c", script).ok().out
    git(workspace, "fsck")


def test_the_report_says_what_it_holds(copied):
    report = copied("sh", "-c", "echo 12345 > a; mkdir d").ok().report
    assert report["tier"] == "landlock"
    assert {k: report["layer"][k] for k in ("added", "modified", "deleted", "bytes")} == {
        "added": 2,
        "modified": 0,
        "deleted": 0,
        "bytes": 6,
    }


def test_apply_refuses_what_a_repository_of_the_host_runs(copied, workspace):
    """What the host's config names by an absolute path is another place in the copy."""
    hooks = workspace / "tools" / "hooks"
    hooks.mkdir(parents=True)
    (hooks / "README").write_text("hooks\n")
    git(workspace, "config", "core.hooksPath", str(hooks))
    copied("sh", "-c", "echo evil > tools/hooks/pre-commit; echo good > tools/other").ok()
    told = run_coffer("apply", "test", cwd=workspace)
    assert told.code == 1
    assert "core.hooksPath" in told.out + told.err
    assert not (hooks / "pre-commit").exists()
    # Nor does a link come to stand on the way.
    script = "mv tools moved; ln -s moved tools"
    copied("sh", "-c", script, name="link").ok()
    assert run_coffer("apply", "link", cwd=workspace).code == 1
    assert not (workspace / "tools").is_symlink()
    run_coffer("apply", "test", str(workspace / "tools" / "other"), cwd=workspace).ok()
    run_coffer("apply", "test", "--protected", cwd=workspace).ok()
    assert (hooks / "pre-commit").read_text() == "evil\n"


def test_apply_refuses_coffers_own_configuration(copied, workspace, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(workspace))
    (workspace / "coffer").mkdir()
    copied("sh", "-c", "echo 'mode = \"danger-full-access\"' > coffer/coffer.toml").ok()
    told = run_coffer("apply", "test", cwd=workspace)
    assert told.code == 1
    assert "own files" in told.out + told.err
    assert not (workspace / "coffer" / "coffer.toml").exists()


@pytest.mark.parametrize("net", ["off", "on"])
def test_secrets_of_the_original_are_as_hidden_as_those_of_the_copy(copied, workspace, net):
    (workspace / ".env").write_text("KEY=1\n")
    script = f"cat .env; cat {workspace}/.env; cat {workspace}/README"
    told = copied("sh", "-c", script, flags=["--net", net])
    assert told.out.count("KEY=1") == (2 if net == "off" else 0)
    assert told.out.count((workspace / "README").read_text()) == 1
