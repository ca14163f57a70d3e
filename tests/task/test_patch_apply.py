"""A patch put on somebody's tree: all of it or nothing, and nothing where it must not go."""

import os

import pytest
import task_trees as trees
from repositories import commit, steps, untouched_home  # noqa: F401
from support import git

NEW = """diff --git a/{0} b/{0}
new file mode 100644
--- /dev/null
+++ b/{0}
@@ -0,0 +1 @@
+written
"""


@pytest.fixture
def apply(steps, workspace, home_directory):  # noqa: F811
    """Applies the text of a patch to the workspace."""

    def run(text, *words):
        patch = home_directory / "patch"
        patch.write_text(text)
        return steps.apply(patch, workspace, *words)

    return run


@pytest.fixture
def unchanged(workspace):
    """Whatever the test does must leave the workspace as it is when `remember` was called."""
    state = {}

    def remember():
        state.update(trees.fingerprint(workspace))

    yield remember
    assert not trees.differences(state, trees.fingerprint(workspace))


def test_a_patch_of_a_task(steps, workspace, apply):  # noqa: F811
    packed = steps.task(
        workspace, "echo more >> README; git mv src dir; chmod +x README; ln -s README l; echo u > u"
    ).ok()
    text = (packed.out_path / "patch").read_text()
    git_before = trees.fingerprint(workspace / ".git")
    (workspace / "own").write_text("work that is not committed\n")
    before = trees.fingerprint(workspace)
    assert apply(text, "dry_run=1").ok().out.splitlines() == [
        "M README", "A dir/main.c", "A l", "D src/main.c", "A u",
    ]  # fmt: skip
    assert not trees.differences(before, trees.fingerprint(workspace))
    apply(text).ok()
    assert (workspace / "README").read_text() == "a file\nmore\n"
    assert os.access(workspace / "README", os.X_OK)
    assert os.readlink(workspace / "l") == "README"
    assert not (workspace / "src").exists() and (workspace / "dir" / "main.c").exists()
    assert (workspace / "own").exists()
    assert not trees.differences(git_before, trees.fingerprint(workspace / ".git"))
    git(workspace, "add", "-A", ".", ":!own")
    assert git(workspace, "write-tree").strip() == git_tree(steps, workspace, packed)


def git_tree(steps, workspace, packed):  # noqa: F811
    git(workspace, "fetch", "-q", packed.out_path / "bundle", "coffer/test")
    return git(workspace, "rev-parse", "FETCH_HEAD^{tree}").strip()


def test_hunks_that_do_not_apply(workspace, apply, unchanged):
    (workspace / "README").write_text("something else\n")
    unchanged()
    bad = "--- a/README\n+++ b/README\n@@ -1 +1 @@\n-a file\n+a changed file\n"
    step = apply(NEW.format("good") + bad).refused("does not apply", "--3way")
    assert "! README: patch does not apply" in step.out


def test_three_ways(steps, workspace, apply):  # noqa: F811
    (workspace / "long").write_text("".join(f"{i}\n" for i in range(30)))
    commit(workspace)
    packed = steps.task(workspace, "sed -i s/^3$/three/ long").ok()
    text = (packed.out_path / "patch").read_text()
    (workspace / "long").write_text("".join(f"{i}\n" for i in range(30) if i not in (1, 4)))
    apply(text).refused("does not apply")
    (workspace / "long").write_text("".join(f"{i}\n" for i in range(30) if i not in (1, 6, 28)))
    apply(text, "three_way=1").ok()
    assert "three\n" in (workspace / "long").read_text()
    assert "28\n" not in (workspace / "long").read_text()


@pytest.mark.parametrize("name", [".vscode/tasks.json", ".envrc", ".gitmodules"])
def test_protected_names(workspace, apply, unchanged, name):
    unchanged()
    step = apply(NEW.format("good") + NEW.format(name)).refused("--protected")
    assert "is a protected name" in step.out
    assert "A good" not in step.out


def test_protected_names_that_somebody_looked_at(workspace, apply):
    apply(NEW.format(".envrc"), "protected=1").ok()
    assert (workspace / ".envrc").read_text() == "written\n"


@pytest.mark.parametrize(
    "name",
    [
        "../outside",
        "/etc/x",
        "a/../../outside",
        ".git/hooks/post-checkout",
        ".git/config",
        ".GIT/config",
        "git~1/config",
        ".git /config",
        ".g\u200cit/config",
        "src/.git/config",
        "dir/x",  # dir is a link to a directory outside
        "up/private/x",
        "file/x",
    ],
)
def test_no_way_out(steps, workspace, apply, unchanged, untouched_home, name):  # noqa: F811
    (workspace / "dir").symlink_to(untouched_home)
    (workspace / "up").symlink_to("../victim")
    (workspace / "file").write_text("x\n")
    unchanged()
    for words in ([], ["three_way=1"], ["protected=1"]):
        assert apply(NEW.format(name), *words).code == 1


def test_a_link_and_then_through_it(workspace, apply, unchanged, untouched_home):  # noqa: F811
    """The patch makes the link itself."""
    unchanged()
    link = f"""diff --git a/way b/way
new file mode 120000
--- /dev/null
+++ b/way
@@ -0,0 +1 @@
+{untouched_home}
\\ No newline at end of file
"""
    assert apply(link + NEW.format("way/x")).code == 1
    assert apply(NEW.format("way/x") + link).code == 1


def test_the_names_of_a_terminal(workspace, apply, unchanged):
    unchanged()
    step = apply('--- a/x\n+++ "b/\\033[2Jx"\n@@ -1 +1 @@\n-a\n+b\n')
    assert step.code == 1 and "\033" not in step.out
