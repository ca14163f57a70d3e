"""Repositories that were made to harm whoever clones them: nothing of them runs, nothing outside the
clone is read or written, and the repository itself is as it was."""

import os
import shlex
import subprocess

import pytest
import support
import task_trees as trees
from repositories import commit, steps, untouched_home  # noqa: F401
from support import git


@pytest.fixture
def repository(workspace, untouched_home):  # noqa: F811
    return workspace


@pytest.fixture
def clone(steps, repository):  # noqa: F811
    """Clones and checks that the repository is byte for byte as it was, and that nothing ran."""

    def run(*words, source=None):
        before = trees.fingerprint(repository)
        step = steps.clone(source or repository, *words)
        assert not trees.differences(before, trees.fingerprint(repository))
        for path in steps.state.rglob("ran*"):
            raise AssertionError(f"{path} was made by something that must not run")
        return step

    return run


RUN = "touch ran /workspace/ran /home/agent/ran; cat"


def raw_tree(repository, *entries):
    """A tree that git itself would not make: (mode, name, object)."""
    data = b"".join(
        mode.encode() + b" " + os.fsencode(name) + b"\0" + bytes.fromhex(object_id)
        for mode, name, object_id in entries
    )
    return hash_object(repository, "tree", data)


def hash_object(repository, kind, data):
    done = subprocess.run(
        ["git", "-C", repository, "hash-object", "-t", kind, "-w", "--stdin", "--literally"],
        input=data, check=True, capture_output=True,
    )  # fmt: skip
    return done.stdout.decode().strip()


def set_branch(repository, tree, name="main"):
    commit_id = git(repository, "commit-tree", tree, "-m", "made by hand").strip()
    git(repository, "update-ref", f"refs/heads/{name}", commit_id)


# What the repository's own directory says.


def test_configuration_hooks_and_filters_never_run(repository, clone, steps):  # noqa: F811
    for hook in ["post-checkout", "reference-transaction", "post-index-change", "pre-auto-gc"]:
        path = repository / ".git" / "hooks" / hook
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/sh\n{RUN}\n")
        path.chmod(0o755)
    (repository / ".gitattributes").write_text("* filter=evil diff=evil\n")
    (repository / ".gitconfig").write_text(f"[core]\n\tfsmonitor = {RUN}\n")
    commit(repository)
    for key, value in {
        "core.fsmonitor": RUN,
        "core.hooksPath": str(repository / ".git" / "hooks"),
        "core.sshCommand": RUN,
        "core.gitProxy": RUN,
        "core.alternateRefsCommand": RUN,
        "core.askPass": RUN,
        "core.editor": RUN,
        "core.pager": RUN,
        "uploadpack.packObjectsHook": RUN,
        "filter.evil.smudge": RUN,
        "filter.evil.clean": RUN,
        "filter.evil.process": RUN,
        "diff.evil.textconv": RUN,
        "credential.helper": f"!{RUN}",
        "remote.origin.vcs": "ext",
        "alias.fetch": f"!{RUN}",
        "core.worktree": "/workspace",
        "include.path": "/source/evil",
        "extensions.partialClone": "origin",
        "remote.origin.url": f"ext::sh -c {shlex.quote(RUN)}",
        "remote.origin.promisor": "true",
    }.items():
        git(repository, "config", key, value)
    (repository / ".git" / "evil").write_text(f"[core]\n\tfsmonitor = {RUN}\n")
    cloned = clone().ok()
    config = (steps.upper(cloned.layer) / ".git" / "config").read_text()
    assert "touch" not in config
    assert not (steps.upper(cloned.layer) / ".git" / "hooks").exists()


@pytest.mark.parametrize("how", ["alternates", "http-alternates", "objects"])
def test_objects_that_lie_elsewhere(repository, clone, untouched_home, how):  # noqa: F811
    objects = repository / ".git" / "objects"
    if how == "objects":
        objects.rename(repository / "moved")
        objects.symlink_to(untouched_home / "private" / ".git" / "objects")
        clone().refused("is no git repository")
    else:
        (objects / "info").mkdir(exist_ok=True)
        private = untouched_home / "private" / ".git" / "objects"
        (objects / "info" / how).write_text(f"{private}\n")
        clone().refused("borrows objects", "git repack")


@pytest.mark.parametrize("how", ["file", "link", "worktree", "module", "endless"])
def test_a_git_that_leads_elsewhere(repository, clone, untouched_home, how):  # noqa: F811
    private = untouched_home / "private" / ".git"
    trap = repository / "trap"
    trap.mkdir()
    says = "which does not belong to it"
    if how == "file":
        (trap / ".git").write_text(f"gitdir: {private}\n")
    elif how == "link":
        (trap / ".git").symlink_to(private)
        says = "is a symbolic link"
    elif how == "worktree":
        # A worktree's directory of its own making, whose repository does not know it.
        own = repository / "own"
        own.mkdir()
        (own / "commondir").write_text(f"{private}\n")
        (own / "gitdir").write_text(f"{trap}/.git\n")
        (own / "HEAD").write_text("ref: refs/heads/main\n")
        (trap / ".git").write_text(f"gitdir: {own}\n")
    elif how == "module":
        (trap / ".git").write_text(f"gitdir: {untouched_home}/private/.git/modules/../../.git\n")
    else:
        (trap / ".git").write_text("gitdir: " + "x/" * 5000)
        says = "leads to no repository"
    clone(source=trap).refused(says)


def test_odd_things_in_refs(repository, clone, untouched_home):  # noqa: F811
    """A pipe would make a reader wait for ever; a link would be read."""
    refs = repository / ".git" / "refs" / "heads"
    os.mkfifo(refs / "pipe")
    (refs / "link").symlink_to(untouched_home / "private" / ".git" / "refs" / "heads" / "main")
    (refs / "deep").mkdir()
    (refs / "deep" / "broken").write_text("no commit\n")
    clone("set:limit=time=20s").refused("git refuses")
    (refs / "deep" / "broken").unlink()
    clone("set:limit=time=20s").ok()
    for name in ["HEAD", "packed-refs", "config", "shallow"]:
        path = repository / ".git" / name
        path.unlink(missing_ok=True)
        os.mkfifo(path)
        clone("ref=main", "set:limit=time=20s")


# What the tree says.


@pytest.mark.parametrize(
    "name, message",
    [
        (".git", "hasDotgit"),
        (".GIT", "hasDotgit"),
        (".Git ", "hasDotgit"),
        ("git~1", "hasDotgit"),
        (".git::$INDEX_ALLOCATION", "hasDotgit"),
        (".g\u200cit", "hasDotgit"),
        ("..", "hasDotdot"),
        (".", "hasDot"),
        ("a/b", "fullPathname"),
        ("", "upload-pack"),
    ],
)
def test_names_that_lead_out_are_refused(repository, clone, name, message):
    readme = git(repository, "rev-parse", "HEAD:README").strip()
    inner = raw_tree(repository, ("100644", "config", readme))
    set_branch(repository, raw_tree(repository, ("40000", name, inner)))
    clone().refused("git refuses", message)


def test_a_link_and_a_directory_of_one_name(repository, clone, steps):  # noqa: F811
    """a is a link to the outside, and a/x a file; the second time the case differs, too."""
    readme = git(repository, "rev-parse", "HEAD:README").strip()
    inner = raw_tree(repository, ("100644", "x", readme))
    link = hash_object(repository, "blob", b"/home/agent")
    set_branch(repository, raw_tree(repository, ("120000", "a", link), ("40000", "a", inner)))
    clone().refused("git refuses", "duplicateEntries")
    set_branch(repository, raw_tree(repository, ("40000", "A", inner), ("120000", "a", link)))
    upper = steps.upper(clone().ok().layer)
    assert os.readlink(upper / "a") == "/home/agent" and (upper / "A" / "x").exists()


def test_odd_names_come_as_they_are(repository, clone, steps):  # noqa: F811
    readme = git(repository, "rev-parse", "HEAD:README").strip()
    names = sorted(["a\\..\\b", "new\nline", "\x1b[2J", "end.", "end ", "NUL", "-rf", "\u202ex"])
    link = hash_object(repository, "blob", b"/etc")
    entries = [("100644", name, readme) for name in names] + [("120000", "zlink", link)]
    set_branch(repository, raw_tree(repository, *sorted(entries, key=lambda e: os.fsencode(e[1]))))
    upper = steps.upper(clone().ok().layer)
    assert set(names) <= set(os.listdir(upper))
    assert os.readlink(upper / "zlink") == "/etc"


# What .gitmodules says.


@pytest.mark.parametrize(
    "name, path, url, says",
    [
        ("m", "lib", "-u./x", "git refuses"),
        ("m", "lib", "ext::sh -c 'touch ran'", "not fetched by 'ext'"),
        ("m", "lib", "fd::3", "not fetched by 'fd'"),
        ("m", "lib", "../victim/private", "directory of this host"),
        ("m", "lib", "file:///home/", "directory of this host"),
        ("m", "lib", "https://example.org/x", "--allow-domain example.org:443"),
        ("m", "lib", "git@example.org:x", "--allow-domain example.org:22"),
        ("m", "lib", "http://example.org/x", "--allow-domain example.org:80"),
        ("m", "lib", "ssh://-oProxyCommand=x/y", "names no host"),
        ("../../../evil", "lib", "./x", "git refuses"),
        ("a/../../evil", "lib", "./x", "git refuses"),
        ("m", "-lib", "./x", "git refuses"),
    ],
)
def test_submodules_that_lead_elsewhere(repository, clone, name, path, url, says):
    private = git(repository, "rev-parse", "HEAD").strip()
    modules = f'[submodule "{name}"]\n\tpath = {path}\n\turl = "{url}"\n'
    blob = hash_object(repository, "blob", modules.encode())
    tree = raw_tree(repository, ("100644", ".gitmodules", blob), ("160000", path, private))
    set_branch(repository, tree)
    clone("submodules=1").refused(says)


def test_gitmodules_that_is_a_link(repository, clone):
    link = hash_object(repository, "blob", b"/etc/passwd")
    set_branch(repository, raw_tree(repository, ("120000", ".gitmodules", link)))
    clone("submodules=1").refused("git refuses", "gitmodulesSymlink")


def test_a_submodule_of_the_repository_itself(repository, clone, untouched_home):  # noqa: F811
    """Its directory in .git/modules is a link to somebody else's repository."""
    head = git(repository, "rev-parse", "HEAD").strip()
    modules = '[submodule "m"]\n\tpath = lib\n\turl = ../victim/private\n'
    blob = hash_object(repository, "blob", modules.encode())
    set_branch(
        repository,
        raw_tree(repository, ("100644", ".gitmodules", blob), ("160000", "lib", head)),
    )
    (repository / ".git" / "modules").mkdir()
    (repository / ".git" / "modules" / "m").symlink_to(untouched_home / "private" / ".git")
    clone("submodules=1").refused("directory of this host")


# Sizes.


def test_a_blob_that_grows(repository, clone, steps):  # noqa: F811
    """60 MB of zeros are 60 KB in a pack: the clone ends at its limit, and says so."""
    with open(repository / "zeros", "wb") as file:
        file.truncate(60_000_000)
    commit(repository)
    (repository / "zeros").unlink()
    clone("set:limit=disk=20M").refused("the clone ran out of disk", "limit")


def test_the_home_of_the_caller_is_never_read(repository, steps):  # noqa: F811
    """A configuration of the caller's that would run things."""
    home = steps.directory
    (home / ".gitconfig").write_text(f"[core]\n\tfsmonitor = {RUN}\n[init]\n\ttemplateDir = {home}/t\n")
    (home / "t" / "hooks").mkdir(parents=True)
    hook = home / "t" / "hooks" / "post-checkout"
    hook.write_text(f"#!/bin/sh\n{RUN}\n")
    hook.chmod(0o755)
    cloned = steps.clone(repository, env={"GIT_SSH_COMMAND": RUN, "GIT_TEMPLATE_DIR": str(home / "t")})
    cloned.ok()
    assert not list(steps.state.rglob("ran")) and not list(steps.state.rglob("post-checkout"))


def test_as_another_owner(steps, repository):  # noqa: F811
    support.need_root()
    for path in [repository, *repository.rglob("*")]:
        os.lchown(path, 12345, 12345)
    steps.clone(repository).ok()
