"""Clones: what is fetched, from where, and what is said where it cannot be."""

import os
import subprocess

import pytest
import support
import task_trees as trees
from repositories import commit, steps, untouched_home  # noqa: F401
from support import git


@pytest.fixture
def repository(workspace):
    git(workspace, "branch", "other")
    git(workspace, "tag", "-a", "v1", "-m", "one")
    (workspace / "second").write_text("2\n")
    commit(workspace, "second")
    return workspace


def head(repository, revision="HEAD"):
    return git(repository, "rev-parse", f"{revision}^{{commit}}").strip()


def test_a_local_repository_is_only_read(steps, repository):
    before = trees.fingerprint(repository)
    step = steps.clone(repository).ok()
    assert (step.commit, step.branch) == (head(repository), "main")
    upper = steps.upper(step.layer)
    assert (upper / "second").read_text() == "2\n"
    assert git(upper, "-c", "safe.directory=*", "status", "--porcelain") == ""
    assert not trees.differences(before, trees.fingerprint(repository))


def test_nothing_of_the_host_is_in_the_clone(steps, repository):
    step = steps.clone(repository).ok()
    for path in steps.upper(step.layer).rglob("*"):
        if path.is_file():
            assert os.fsencode(repository) not in path.read_bytes(), path
    assert (steps.upper(step.layer) / ".git" / "hooks").exists() is False


@pytest.mark.parametrize("ref", ["other", "v1", "commit", None])
def test_refs(steps, repository, ref):
    wanted = head(repository, {"commit": "other", None: "main"}.get(ref, ref))
    written = wanted if ref == "commit" else ref
    step = steps.clone(repository, *([f"ref={written}"] if written else [])).ok()
    assert step.commit == wanted
    assert step.branch == {"other": "other", None: "main"}.get(ref, "")


@pytest.mark.parametrize(
    "ref, says",
    [
        ("nothing", "there is no branch and no tag 'nothing'"),
        ("1" * 40, "there is no commit"),
        ("-x", "cannot be a branch"),
        ("a..b", "cannot be a branch"),
        ("main\n", "cannot be a branch"),
    ],
)
def test_refs_that_are_not_there(steps, repository, ref, says):
    steps.clone(repository, f"ref={ref}").refused(says)


def test_forms_of_a_local_path(steps, repository, home_directory):
    bare = home_directory / "bare copy.git"
    git(home_directory, "clone", "-q", "--bare", repository, bare)
    bundle = home_directory / "all.bundle"
    git(repository, "bundle", "create", "-q", bundle, "--all", "HEAD")
    link = home_directory / "link"
    link.symlink_to(repository)
    url = str(bare).replace(" ", "%20")
    for form in [bare, f"file://{url}", bundle, link, repository / ".git"]:
        assert steps.clone(form).ok().commit == head(repository), form


def test_worktrees_and_submodules_are_followed_where_they_belong(steps, repository, home_directory):
    tree = home_directory / "tree"
    git(repository, "worktree", "add", "-q", tree, "other")
    step = steps.clone(tree).ok()
    assert (step.commit, step.branch) == (head(repository, "other"), "other")


def test_a_detached_head(steps, repository):
    git(repository, "checkout", "-q", "--detach", "v1")
    step = steps.clone(repository).ok()
    assert (step.commit, step.branch) == (head(repository, "v1"), "")


def test_shallow_and_partial(steps, repository):
    step = steps.clone(repository, "depth=1").ok()
    upper = steps.upper(step.layer)
    assert git(upper, "-c", "safe.directory=*", "rev-list", "--count", "HEAD") == "1\n"
    step = steps.clone(repository, "filter=blob:none").ok()
    upper = steps.upper(step.layer)
    assert (upper / "second").read_text() == "2\n"
    assert "partialclonefilter" in (upper / ".git" / "config").read_text()
    step = steps.clone(repository, "depth=1", f"ref={head(repository, 'other')}").ok()
    assert step.commit == head(repository, "other")


def test_lfs_pointers_stay_and_are_counted(steps, repository):
    (repository / ".gitattributes").write_text("*.bin filter=lfs diff=lfs merge=lfs -text\n")
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:" + "a" * 64 + "\nsize 9\n"
    (repository / "x.bin").write_text(pointer)
    commit(repository)
    step = steps.clone(repository).ok()
    assert step.lfs == "1"
    assert (steps.upper(step.layer) / "x.bin").read_text() == pointer


def test_content_comes_byte_for_byte(steps, repository):
    (repository / ".gitattributes").write_text(
        "*.crlf text eol=crlf\n*.id ident\n*.u working-tree-encoding=UTF-16\n"
    )
    git(repository, "config", "core.autocrlf", "false")
    (repository / "a.crlf").write_bytes(b"a\nb\n")
    (repository / "b.id").write_bytes(b"$Id$\n")
    commit(repository)
    upper = steps.upper(steps.clone(repository).ok().layer)
    assert (upper / "a.crlf").read_bytes() == b"a\nb\n"
    assert (upper / "b.id").read_bytes() == b"$Id$\n"


def make_super(home_directory, repository):
    sub = support.make_repository(home_directory / "sub")
    git(repository, "-c", "protocol.file.allow=always", "submodule", "add", "-q", sub, "lib/sub")
    commit(repository, "with a submodule")
    return sub


def test_submodules_of_a_local_repository(steps, repository, home_directory):
    sub = make_super(home_directory, repository)
    step = steps.clone(repository, "submodules=1").ok()
    assert step.submodules == "1"
    upper = steps.upper(step.layer)
    assert (upper / "lib/sub/README").read_text() == "a file\n"
    status = git(upper, "-c", "safe.directory=*", "ls-files", "-s", "lib/sub")
    assert head(sub) in status
    # Without them it is an empty directory, as in git.
    step = steps.clone(repository).ok()
    assert step.submodules == "0"
    assert list((steps.upper(step.layer) / "lib/sub").iterdir()) == []


def test_a_submodule_itself_is_a_repository(steps, repository, home_directory):
    sub = make_super(home_directory, repository)
    assert steps.clone(repository / "lib/sub").ok().commit == head(sub)


def test_sha256(steps, home_directory):
    directory = home_directory / "long"
    git(home_directory, "init", "-q", "--object-format=sha256", "-b", "main", directory)
    (directory / "f").write_text("x\n")
    commit(directory)
    step = steps.clone(directory).ok()
    assert step.commit == head(directory) and len(step.commit) == 64


@pytest.mark.parametrize(
    "what, says",
    [
        ("missing", "No such file"),
        ("plain", "is no git repository"),
        ("empty", "no commit yet"),
        ("file", "cannot be read"),
        ("workspace/src", "it lies in one"),
        ("git://example.org/x", "not fetched by 'git'"),
        ("ext::sh -c id", "not fetched by 'ext'"),
        ("http://example.org/x", "--allow-domain example.org:80"),
    ],
)
def test_bad_sources(steps, repository, home_directory, what, says):
    (home_directory / "plain").mkdir()
    (home_directory / "file").write_text("no bundle\n")
    git(home_directory, "init", "-q", "empty")
    name = what if ":" in what else home_directory / what
    steps.clone(name).refused(says)


def test_refused_objects_are_named(steps, repository):
    """A tree with an entry ".git", which git itself would never make."""
    blob = git(repository, "rev-parse", "HEAD:README").strip()
    entry = b"100644 .git\0" + bytes.fromhex(blob)
    tree = subprocess.run(
        ["git", "-C", repository, "hash-object", "-t", "tree", "-w", "--stdin", "--literally"],
        input=entry, check=True, capture_output=True,
    ).stdout.decode().strip()  # fmt: skip
    bad = git(repository, "commit-tree", tree, "-m", "bad").strip()
    git(repository, "update-ref", "refs/heads/bad", bad)
    steps.clone(repository, "ref=bad").refused("git refuses", tree, "hasDotgit")


def test_credentials_are_nowhere(steps, repository):
    step = steps.clone("https://kim:hunter2@127.0.0.1:1/x.git").refused("https://127.0.0.1:1/x.git")
    assert "hunter2" not in step.out + step.words
    for path in steps.state.rglob("*"):
        if path.is_file():
            assert b"hunter2" not in path.read_bytes(), path
