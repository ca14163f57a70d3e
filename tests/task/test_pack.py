"""What leaves a task: the patch applies elsewhere and gives the same tree, and holds what the agent
did and nothing else."""

import os
import shlex
import time

import pytest
import support
from repositories import commit, fresh, steps, tree_of  # noqa: F401
from support import git

SOAK = os.environ.get("COFFER_SOAK") == "1"


@pytest.fixture
def repository(workspace):
    (workspace / "run.sh").write_text("#!/bin/sh\n")
    (workspace / "run.sh").chmod(0o755)
    (workspace / "picture").write_bytes(bytes(range(256)) * 8)
    (workspace / "link").symlink_to("README")
    (workspace / ".gitignore").write_text("build/\n*.log\n")
    commit(workspace, "more")
    return workspace


EDITS = r"""
echo changed >> README
git mv src/main.c src/moved.c && echo '// more' >> src/moved.c
chmod -x run.sh; printf '\000\001\002' > new.bin; tail -c 100 picture > p && mv p picture
ln -sfn src link; ln -s /etc/passwd outward
mkdir -p deep/er && echo x > deep/er/f && echo 'ünïcode "q" \ b' > "$(printf 'n\303\274 \042 name')"
mkdir build && echo o > build/o && echo l > x.log
git add -A && git -c user.name=a -c user.email=a@b commit -qm 'the agent commits as it likes'
rm .gitignore; printf '*.log\nbuild/\n#\n' > .gitignore
"""


def carried(packed, repository, home_directory):
    """The trees that come out of `git am`, `git apply` and `git pull`, each in a new clone."""
    patch, bundle = packed.out_path / "patch", packed.out_path / "bundle"
    trees = set()
    mailed = fresh(repository, home_directory / "mailed", packed.base)
    git(mailed, "am", "-q", patch)
    trees.add(tree_of(mailed))
    applied = fresh(repository, home_directory / "applied", packed.base)
    git(applied, "apply", "--index", patch)
    trees.add(git(applied, "write-tree").strip())
    pulled = fresh(repository, home_directory / "pulled", packed.base)
    git(pulled, "pull", "-q", "--ff-only", bundle, "coffer/test")
    assert git(pulled, "rev-parse", "HEAD").strip() == packed.commit
    trees.add(tree_of(pulled))
    return trees, pulled


def test_it_applies_elsewhere_and_gives_the_same_tree(steps, repository, home_directory):
    packed = steps.task(repository, EDITS, words=["subject=Mend it", "body=Because.\n\n--- x\n"])
    packed.ok()
    trees, pulled = carried(packed, repository, home_directory)
    assert len(trees) == 1
    assert packed.skipped == []
    names = set(git(pulled, "ls-files", "-z").split("\0"))
    assert {"src/moved.c", "outward", "deep/er/f", 'nü " name', "new.bin"} <= names
    assert not {"build/o", "x.log", "src/main.c"} & names
    assert os.readlink(pulled / "outward") == "/etc/passwd"
    assert not os.access(pulled / "run.sh", os.X_OK)
    shown = git(pulled, "log", "-1", "--format=%s|%b|%an <%ae>|%cn")
    assert shown.startswith("Mend it|Because.\n\n --- x\n")
    assert "|coffer task <task@localhost>|coffer task" in shown
    assert int(packed.files) == len(
        git(pulled, "diff", "-M", "--name-only", "HEAD^").splitlines()
    )


def test_what_set_up_did_stays(steps, repository, home_directory):
    packed = steps.task(
        repository,
        setup="echo made > artefact; mkdir -p build && echo o > build/o; echo set-up >> README; "
        "echo v1 > both; mkdir node_modules && seq 100 > node_modules/x",
        # Uncovers what set-up had put below build/, and changes one artefact of its.
        agent="echo '*.log' > .gitignore; echo v2 > both; echo mine > build/mine; echo fix > fixed",
    ).ok()
    trees, pulled = carried(packed, repository, home_directory)
    assert len(trees) == 1
    changed = set(git(pulled, "diff", "--name-only", "HEAD^").split())
    assert changed == {".gitignore", "both", "build/mine", "fixed"}
    assert (pulled / "both").read_text() == "v2\n"


def test_nothing_changed(steps, repository):
    packed = steps.task(repository, "touch README; mkdir build; echo x > build/x").ok()
    assert packed.empty == "1" and packed.patch == ""
    assert list(packed.out_path.iterdir()) == []


def test_a_change_that_keeps_size_and_time_is_seen(steps, repository):
    packed = steps.task(
        repository, "touch -r README t; printf 'a filE\\n' > README; touch -r t README; rm t"
    ).ok()
    assert packed.files == "1"


def test_what_git_cannot_carry_is_said(steps, repository):
    packed = steps.task(
        repository,
        """mkfifo pipe; mkdir empty; rm README; mkfifo README
        git init -q nested; echo n > nested/f; git init -q none
        mkdir .GIT 'git~1'; echo x > .GIT/config; echo x > 'git~1/x'
        ln -s .. nested/.git/objects/x; echo fine > fine""",
    ).ok()
    said = dict(line.split(": ", 1) for line in packed.skipped)
    assert set(said) == {
        "pipe", "README", "empty", "nested/.git", "none/.git", ".GIT/config", "git~1/x",
    }  # fmt: skip
    assert "neither a file nor a link" in said["pipe"]
    patch = (packed.out_path / "patch").read_text()
    assert "b/nested/f" in patch and "b/fine" in patch and "deleted file mode" in patch
    assert "GIT" not in patch.replace("GIT binary", "")


def test_attributes_hide_nothing_and_run_nothing(steps, repository, home_directory):
    """Not what .gitattributes say, nor what the agent wrote into every configuration it can reach."""
    evil = "touch /workspace/ran; cat"
    packed = steps.task(
        repository,
        f"""cat > .gitattributes <<'END'
* filter=evil diff=evil merge=evil
*.c -diff
*.id ident export-subst
*.t text eol=crlf
*.u working-tree-encoding=UTF-16
END
        for file in .git/config $HOME/.gitconfig; do
            git config -f $file filter.evil.clean {shlex.quote(evil)}
            git config -f $file filter.evil.process {shlex.quote(evil)}
            git config -f $file diff.evil.textconv {shlex.quote(evil)}
            git config -f $file diff.evil.command {shlex.quote(evil)}
            git config -f $file core.fsmonitor {shlex.quote(evil)}
            git config -f $file core.hooksPath /workspace
        done
        mkdir -p .git/info $HOME/.config/git; echo '* -diff' > .git/info/attributes
        echo '* -diff' > $HOME/.config/git/attributes; echo '*' > $HOME/.config/git/ignore
        echo '*' > .git/info/exclude
        echo 'int evil;' >> src/main.c; printf '$Id: hidden$\\n' > x.id
        printf 'one\\r\\n' > x.t; printf 'plain\\n' > x.u""",
    ).ok()
    patch = (packed.out_path / "patch").read_bytes()
    assert b"+int evil;" in patch
    assert b"$Id: hidden$" in patch and b"+one\r\n" in patch and b"+plain\n" in patch
    assert b"b/ran" not in patch
    # The lines that end in CR LF: said, because `git am` would drop the CR.
    assert any("--keep-cr" in line for line in packed.skipped)
    applied = fresh(repository, home_directory / "applied", packed.base)
    git(applied, "am", "-q", "--keep-cr", packed.out_path / "patch")
    assert tree_of(applied) == git_tree(packed, repository, home_directory)


def git_tree(packed, repository, home_directory):
    pulled = fresh(repository, home_directory / "pulled", packed.base)
    git(pulled, "pull", "-q", "--ff-only", packed.out_path / "bundle", "coffer/test")
    return tree_of(pulled)


def test_what_was_done_to_git_is_never_used(steps, repository, home_directory):
    """The agent's .git is gone, a link, a lie; the workspace's own directory is closed."""
    packed = steps.task(
        repository,
        """rm -rf .git; ln -s /etc .git; echo x > f; chmod 000 f; mkdir d; echo y > d/g
        chmod 000 d; ln -s / root; mkdir .config; echo z > .config/z""",
    ).ok()
    trees, pulled = carried(packed, repository, home_directory)
    assert len(trees) == 1
    assert {"f", "d/g", "root", ".config/z"} <= set(git(pulled, "ls-files").split())


def test_submodules(steps, repository, home_directory):
    sub = support.make_repository(home_directory / "sub")
    git(repository, "-c", "protocol.file.allow=always", "submodule", "add", "-q", sub, "lib")
    commit(repository, "with a submodule")
    same = steps.task(repository, "true", clone=["submodules=1"]).ok()
    assert same.empty == "1" and same.skipped == []
    packed = steps.task(
        repository,
        """echo changed >> lib/README; git -C lib -c user.name=a -c user.email=a@b commit -qam new
        echo more >> README; git -C lib config core.fsmonitor 'touch /workspace/ran; true'""",
        clone=["submodules=1"],
    ).ok()
    assert packed.skipped == ["lib: a submodule: what was changed in it stays"]
    patch = (packed.out_path / "patch").read_text()
    assert "Subproject" not in patch and "b/ran" not in patch
    removed = steps.task(repository, "rm -rf lib", clone=["submodules=1"]).ok()
    assert "Subproject" in (removed.out_path / "patch").read_text()


@pytest.mark.parametrize("words", [["depth=1"], ["filter=blob:none"]])
def test_of_shallow_and_partial_clones(steps, repository, home_directory, words):
    packed = steps.task(repository, "echo x >> README", clone=words).ok()
    trees, _ = carried(packed, repository, home_directory)
    assert len(trees) == 1


def test_sha256(steps, home_directory):
    repository = home_directory / "long"
    git(home_directory, "init", "-q", "--object-format=sha256", "-b", "main", repository)
    (repository / "f").write_text("x\n")
    commit(repository)
    packed = steps.task(repository, "echo y > f; mkfifo p").ok()
    trees, _ = carried(packed, repository, home_directory)
    assert len(trees) == 1 and len(packed.commit) == 64


def test_huge_files(steps, repository):
    """A sparse file of 4 GiB beside the rest, one that replaces a small one, and one that does not
    fit but is ignored."""
    packed = steps.task(
        repository,
        """truncate -s 4G huge; truncate -s 4G 'hu[g]e *'; truncate -s 4G a.log
        head -c 70000000 /dev/zero > README; echo x > small""",
    ).ok()
    said = dict(line.split(": ", 1) for line in packed.skipped)
    assert set(said) == {"huge", "hu[g]e *", "README"}
    assert all("larger than a patch carries (64" in why for why in said.values())
    assert packed.files == "1"


def test_many_small_files(steps, repository, home_directory):
    count = 1_000_000 if SOAK else 2_000
    started = time.monotonic()
    packed = steps.task(
        repository,
        f"mkdir many && cd many && seq {count} | split -l 1 -a 6 -",
        timeout=3600 if SOAK else 50,
    ).ok()
    assert int(packed.files) == count and int(packed.insertions) == count
    print(f"{count} files: {time.monotonic() - started:.1f} s")
    if not SOAK:
        trees, _ = carried(packed, repository, home_directory)
        assert len(trees) == 1


def test_a_full_disk_keeps_what_there_was(steps, repository):
    """What is written out is whole or not there."""
    packed = steps.task(repository, "head -c 300000 /dev/urandom | base64 > big").ok()
    old = (packed.out_path / "patch").read_bytes()
    cloned = steps.clone(repository).ok()
    prepared = steps.layer(cloned.layer)
    steps.box(prepared, "true")
    final = steps.layer(prepared)
    steps.box(final, "head -c 300000 /dev/urandom | base64 > big")
    out = packed.out_path
    limited = steps.run(
        "pack", cloned.layer, prepared, final, cloned.commit, out,
        "set:limit=cpu=none,memory=none,pids=none",
        wrap=["prlimit", "--fsize=200000", "--"],
    )  # fmt: skip
    assert limited.code != 0
    assert (out / "patch").read_bytes() == old
    assert {path.name for path in out.iterdir()} == {"patch", "bundle"}
