"""P2: protected names at the top of writable roots and repositories stay as they are; new ones
cannot come to stay."""

import os
import shutil

import pytest
import support
from support import REFUSED, git

NAMES = [".gitmodules", ".codex", ".claude", ".agents", ".coffer", ".vscode", ".idea"]
NAMES += [".mcp.json", ".envrc", ".bashrc", ".profile", ".zshrc"]
# What a file system that folds letters would take for a protected name.
FOLDED = [".Codex", ".CODEX", ".GITMODULES", ".VsCode"]


def tree_of(directory):
    """Every file below it with its content: of a .git that must not change."""
    return {
        str(p.relative_to(directory)): p.read_bytes()
        for p in sorted(directory.rglob("*"))
        if p.is_file() and not p.is_symlink()
    }


def left(directory, names):
    return [name for name in names if os.path.lexists(directory / name)]


ATTACKS_ON_GIT = """
    echo changed >>.git/config
    printf '#!/bin/sh\\nid' >.git/hooks/pre-commit
    echo changed >.git/HEAD
    rm -rf .git; mv .git moved; mv src .git; rmdir .git
    ln -s /tmp .git/link; ln .git/config hard && echo changed >>hard
    ln -sfn /tmp .git
    chmod -R 777 .git; touch .git/made; mkdir .git/made
    git config core.fsmonitor /bin/false
    python3 -c 'import os; os.truncate(".git/config", 0)'
    python3 -c 'import os; os.rename(".git/config", "config")'
    true"""


@pytest.mark.core
def test_an_existing_repository_is_read_only(box, workspace):
    before = tree_of(workspace / ".git")
    box("sh", "-c", ATTACKS_ON_GIT + "; echo made >beside").ok()
    assert tree_of(workspace / ".git") == before
    assert not os.path.lexists(workspace / "moved")
    assert (workspace / "beside").exists()


def test_reading_a_repository_works(box):
    assert "first" in box("git", "log", "--oneline").ok().out
    assert box("git", "status", "--short").ok().out == ""


def test_existing_protected_files_and_directories(box, workspace):
    (workspace / ".vscode").mkdir()
    (workspace / ".vscode" / "tasks.json").write_text("{}\n")
    (workspace / ".envrc").write_text("true\n")
    script = """
        echo x >.vscode/tasks.json; echo x >.vscode/settings.json; rm -rf .vscode
        mv .vscode elsewhere; echo x >>.envrc; rm -f .envrc; mv .envrc elsewhere
        ln .envrc hard && echo x >>hard; echo x >new && mv new .envrc; cp /bin/true .envrc; true"""
    box("sh", "-c", script).ok()
    assert (workspace / ".vscode" / "tasks.json").read_text() == "{}\n"
    assert (workspace / ".envrc").read_text() == "true\n"
    assert left(workspace / ".vscode", ["settings.json"]) == []
    assert left(workspace, ["elsewhere"]) == []


WAYS = {
    "mkdir": 'mkdir "$n"',
    "symlink": 'ln -s /tmp "$n"',
    "hardlink": 'ln -T README "$n"',
    "fifo": 'mkfifo "$n"',
    "rename-file": 'echo x >file && mv -T file "$n"',
    "rename-directory": 'mkdir -p directory/sub && mv -T directory "$n"',
    "rename-link": 'ln -sfn /tmp spare && mv -T spare "$n"',
    "rename-exchange": """echo x >"$n.x"; python3 -c '
import ctypes, os, sys
n = os.environb[b"n"]
sys.exit(ctypes.CDLL(None).renameat2(-100, n + b".x", -100, n, 1) != 0)'""",
    "mkdir-dots": 'mkdir "src/../$n"',
    "mkdir-absolute": 'mkdir "$PWD/$n"',
    "mkdir-slashes": 'mkdir ".//$n///"',
    "mkdir-descriptor": """python3 -c '
import os
os.mkdir(os.environ["n"], dir_fd=os.open(".", os.O_PATH))'""",
    "mkdir-proc": 'mkdir "/proc/self/cwd/$n"',
}


@pytest.mark.parametrize("way", WAYS)
def test_names_that_do_not_exist_cannot_be_made(box, workspace, way):
    """Refused at once: the call fails, and the program goes on."""
    names = " ".join(NAMES + FOLDED)
    script = f"for n in {names}; do export n; ({WAYS[way]}) 2>/dev/null && echo $n; done; echo end"
    result = box("sh", "-c", script)
    assert result.out == "end\n", result.describe()
    assert result.code == 0, result.describe()
    assert left(workspace, NAMES + FOLDED) == []
    if way != "rename-exchange":
        assert result.denials(promise="P2"), result.describe()


@pytest.mark.core
def test_new_directories_and_links_are_refused(box, workspace):
    result = box("sh", "-c", "mkdir .codex; ln -s /tmp .vscode; mkdir .other && echo made").ok()
    assert result.out == "made\n"
    assert left(workspace, [".codex", ".vscode"]) == []
    assert (workspace / ".other").is_dir()


def assert_refused_at_once(result, workspace, name):
    """The landlock tier sees every opening for writing: the file is never made."""
    assert "Permission denied" in result.err, result.describe()
    assert result.denials(promise="P2", target=name), result.describe()
    assert left(workspace, [name]) == []


@pytest.mark.parametrize("name", [".envrc", ".mcp.json", ".gitmodules", ".CODEX", ".bashrc"])
def test_a_new_file_ends_the_run(box, tier, workspace, name):
    if tier == "landlock":
        result = box("sh", "-c", f"echo evil >{name}")
        assert_refused_at_once(result, workspace, name)
        return
    result = box("sh", "-c", f"echo evil >{name}; sleep 5; echo reached")
    assert result.code == REFUSED, result.describe()
    assert result.cause == "refused"
    assert result.report["quarantined"] >= 1
    assert "reached" not in result.out
    assert result.seconds < 4 * support.SLOWDOWN
    assert left(workspace, [name]) == []


def test_a_new_file_is_quarantined_even_if_the_command_ends_at_once(box, tier, workspace):
    result = box("sh", "-c", "echo evil >.envrc")
    if tier == "landlock":
        assert_refused_at_once(result, workspace, ".envrc")
        return
    assert result.code == REFUSED, result.describe()
    assert result.report["quarantined"] >= 1
    assert left(workspace, [".envrc"]) == []


def test_a_new_file_by_other_ways(box, workspace):
    """O_TMPFILE and link; open with a descriptor of the directory; copy; mmap is no matter."""
    for code in (
        'os.link(f"/proc/self/fd/{os.open(".", os.O_TMPFILE | os.O_WRONLY)}", ".envrc",'
        " follow_symlinks=True)",
        'os.open(".envrc", os.O_CREAT | os.O_WRONLY, dir_fd=os.open(".", os.O_PATH))',
        'os.symlink(".envrc", "harmless"); open("harmless", "w").close()',
        'os.mknod(".envrc")',
    ):
        box("python3", "-c", f"import os\n{code}")
        assert left(workspace, [".envrc"]) == [], code
        (workspace / "harmless").unlink(missing_ok=True)


@pytest.fixture
def clone(workspace):
    """A nested clone: vendor/sub of the workspace."""
    return support.make_repository(workspace / "vendor" / "sub")


def test_nested_clones_are_protected(box, workspace, clone):
    before = tree_of(clone / ".git")
    script = f"cd vendor/sub && {{ {ATTACKS_ON_GIT}; }}; mkdir .codex; echo made >beside"
    box("sh", "-c", script).ok()
    assert tree_of(clone / ".git") == before
    assert left(clone, [".codex"]) == []
    assert (clone / "beside").exists()


def test_the_parents_of_a_carve_out_cannot_be_renamed(box, workspace, clone):
    """Else another repository could be put where the protected one was."""
    before = tree_of(clone / ".git")
    script = """
        mv vendor v2; mkdir -p vendor/sub/.git/hooks && echo evil >vendor/sub/.git/hooks/pre-commit
        mv vendor/sub vendor/s2; mkdir -p vendor/sub/.git/hooks; rm -rf vendor
        mkdir vendor/free && mv vendor/free vendor/moved"""
    result = box("sh", "-c", script)
    assert tree_of(clone / ".git") == before, result.describe()
    assert left(workspace, ["v2", "vendor/s2"]) == []
    assert (workspace / "vendor" / "moved").is_dir(), result.describe()


def test_a_repository_made_inside_is_nothing_new_to_git(box, workspace):
    """A new clone below the top is the box's own doing, and stays its own."""
    script = "git init -q deep/er && cd deep/er && touch f && git add f && git status --short"
    result = box("sh", "-c", script)
    assert result.code in (0, REFUSED), result.describe()
    assert (workspace / ".git").is_dir()


@pytest.mark.slow
@pytest.mark.parametrize("name", [".codex", ".git"])
def test_a_race_of_the_path_while_it_is_checked(box, probe_program, workspace, name):
    """What was checked must be what is made: and if not, it must not stay. A run that is ended by
    the quarantine is the other good end."""
    (workspace / "root").mkdir()
    shutil.copy(probe_program, workspace / "probe")
    result = box("./probe", "race", "root", name, "2", flags=["--write", "root"])
    assert result.code in (0, REFUSED), result.describe()
    assert left(workspace / "root", [name]) == []
    if result.code == 0:
        assert "made 0" not in result.out.splitlines(), "the race was never run"


def test_linked_worktree(box, workspace, home_directory):
    linked = home_directory / "linked"
    git(workspace, "worktree", "add", "-q", linked, "-b", "side")
    before, pointer = tree_of(workspace / ".git"), (linked / ".git").read_bytes()
    script = f"""
        echo 'gitdir: /tmp' >.git; rm -f .git; mv .git moved; ln -sf x .git
        echo x >>{workspace}/.git/config; echo x >{workspace}/.git/hooks/pre-commit
        echo x >{workspace}/.git/worktrees/linked/HEAD
        git -C . log --oneline; echo made >beside"""
    result = box("sh", "-c", script, cwd=linked).ok()
    assert "first" in result.out
    assert tree_of(workspace / ".git") == before
    assert (linked / ".git").read_bytes() == pointer
    assert (linked / "beside").exists()


def test_submodule(box, workspace, home_directory):
    library = support.make_repository(home_directory / "library")
    git(workspace, "-c", "protocol.file.allow=always", "submodule", "add", "-q", library, "lib")
    git(workspace, "commit", "-q", "-m", "submodule")
    before, pointer = tree_of(workspace / ".git"), (workspace / "lib" / ".git").read_bytes()
    script = """
        cd lib; echo 'gitdir: /tmp' >.git; rm -f .git; mv .git moved
        echo x >>../.git/modules/lib/config; echo x >../.git/modules/lib/hooks/pre-commit
        echo x >>../.gitmodules; mkdir .codex; cd ..; mv lib l2; echo x >lib/new
        git log --oneline"""
    result = box("sh", "-c", script).ok()
    assert "submodule" in result.out
    assert tree_of(workspace / ".git") == before
    assert (workspace / "lib" / ".git").read_bytes() == pointer
    assert left(workspace, ["l2", "lib/.codex"]) == []
    assert (workspace / "lib" / "new").exists()


def test_git_directory_behind_a_symlink(box, workspace, home_directory):
    """A link cannot be mounted over: who removes it finds it put back, and the run ended."""
    real = home_directory / "real-git"
    (workspace / ".git").rename(real)
    (workspace / ".git").symlink_to(real)
    before = tree_of(real)
    box("sh", "-c", ATTACKS_ON_GIT + f"; echo x >>{real}/config; true")
    assert tree_of(real) == before
    assert os.readlink(workspace / ".git") == str(real)


def test_git_directory_behind_a_symlink_within_the_root(box, workspace):
    (workspace / ".git").rename(workspace / "repository")
    (workspace / ".git").symlink_to("repository")
    before = tree_of(workspace / "repository")
    script = "echo x >>repository/config; mv repository r2;" + ATTACKS_ON_GIT
    box("sh", "-c", script)
    assert tree_of(workspace / "repository") == before
    assert os.readlink(workspace / ".git") == "repository"


def test_the_hooks_directory_of_the_configuration(box, workspace):
    """core.hooksPath may point into the working tree, where git would run what a box wrote."""
    (workspace / "hooks").mkdir()
    (workspace / "hooks" / "pre-push").write_text("#!/bin/sh\n")
    git(workspace, "config", "core.hooksPath", "hooks")
    script = "echo evil >hooks/pre-commit; echo evil >>hooks/pre-push; mv hooks h2; true"
    box("sh", "-c", script).ok()
    assert tree_of(workspace / "hooks") == {"pre-push": b"#!/bin/sh\n"}


HOOKS_ATTACKS = {
    "directory": "mkdir $d",
    "link": "mkdir own; ln -s $PWD/own $d",
    "rename": "mkdir own; mv own $d",
    "through-a-descriptor": 'exec 9<"$(dirname $d)"; mkdir /proc/self/fd/9/$(basename $d)',
    "through-a-link-to-a-descriptor": """
        exec 9<"$(dirname $d)"; ln -s /proc/self/fd/9 way; mkdir way/$(basename $d)""",
    "another-parent": "mv tools other && mkdir -p $d",
    "no-parent": "rm -rf tools && mkdir -p $d",
}


@pytest.mark.core
@pytest.mark.parametrize("way", HOOKS_ATTACKS)
@pytest.mark.parametrize("hooks", ["githooks", "tools/hooks"])
def test_a_hooks_directory_that_is_not_there_yet(box, workspace, hooks, way):
    """Nothing that git would run comes to be where the configuration points."""
    (workspace / "tools").mkdir()
    (workspace / "tools" / "file").write_text("a tool\n")
    git(workspace, "config", "core.hooksPath", hooks)
    script = f"""
        d={hooks}
        ({HOOKS_ATTACKS[way]}) 2>/dev/null
        (printf '#!/bin/sh\ntrue\n' >$d/pre-commit && chmod 755 $d/pre-commit) 2>/dev/null
        sleep 0.2
        mkdir -p beside tools/beside; echo x >tools/made; cat tools/made"""
    result = box("sh", "-c", script).ok()
    assert result.out == "x\n", result.describe()
    assert not os.path.lexists(workspace / hooks)
    assert (workspace / "tools" / "beside").is_dir()
    assert (workspace / "beside").is_dir()


def test_an_included_configuration_that_is_not_there_yet(box, tier, workspace):
    git(workspace, "config", "include.path", "../project.gitconfig")
    result = box("sh", "-c", "echo evil >project.gitconfig; sleep 1; true")
    assert result.code == (REFUSED if tier == "container" else 0), result.describe()
    assert not os.path.lexists(workspace / "project.gitconfig")


# --git commit


COMMIT = ["--git", "commit"]


def is_said_to_need_mounts(box, tier):
    """Commits need an overlay: without mounts that is said, and nothing runs."""
    if tier == "container":
        return False
    result = box("touch", "ran", flags=COMMIT)
    assert result.code == support.SETUP_FAILED, result.describe()
    assert "--git commit needs the container tier" in result.err
    return True


def test_a_commit_lands_and_a_hook_does_not(box, tier, workspace):
    if is_said_to_need_mounts(box, tier):
        return
    script = """
        echo new >file && git add file && git commit -q -m second
        printf '#!/bin/sh\\ntouch /tmp/evil\\n' >.git/hooks/pre-commit
        chmod +x .git/hooks/pre-commit
        printf '[core]\\n\\tfsmonitor = /tmp/evil\\n' >>.git/config
        echo x >.git/info/attributes; true"""
    config = (workspace / ".git" / "config").read_bytes()
    hooks = tree_of(workspace / ".git" / "hooks")
    result = box("sh", "-c", script, flags=COMMIT)
    log = git(workspace, "log", "--format=%s").split()
    assert log == ["second", "first"], result.describe()
    assert git(workspace, "show", "HEAD:file") == "new\n"
    assert git(workspace, "status", "--short") == ""
    assert git(workspace, "fsck", "--strict") == ""
    assert (workspace / ".git" / "config").read_bytes() == config
    assert tree_of(workspace / ".git" / "hooks") == hooks
    assert left(workspace, [".git/info/attributes"]) == []


def test_branches_and_resets_land(box, tier, workspace):
    if is_said_to_need_mounts(box, tier):
        return
    script = """
        git checkout -q -b topic && echo t >t && git add t && git commit -q -m topic
        git checkout -q main && git merge -q --no-ff -m merged topic && git tag v1
        git branch -d topic"""
    box("sh", "-c", script, flags=COMMIT).ok()
    assert git(workspace, "log", "-1", "--format=%s") == "merged\n"
    assert git(workspace, "tag") == "v1\n"
    assert git(workspace, "branch", "--format=%(refname:short)") == "main\n"
    assert git(workspace, "fsck", "--strict") == ""


def test_worktree_add(box, tier, workspace):
    if is_said_to_need_mounts(box, tier):
        return
    script = "git worktree add -q wt -b side && cd wt && echo s >s && git add s && git commit -qm s"
    box("sh", "-c", script, flags=COMMIT).ok()
    assert "side" in git(workspace, "branch")
    assert git(workspace / "wt", "log", "-1", "--format=%s") == "s\n"


def test_what_is_written_back_is_checked(box, tier, workspace):
    """A ref that is a link, a name that climbs, an object that is none."""
    if is_said_to_need_mounts(box, tier):
        return
    script = """
        rm -f .git/refs/heads/evil; ln -s /etc/passwd .git/refs/heads/evil
        rm -rf .git/refs/tags; ln -s /tmp .git/refs/tags
        mkdir -p .git/objects/aa && echo junk >.git/objects/aa/$(printf a%.0s $(seq 38))
        mkdir .git/worktrees .git/modules 2>/dev/null; echo x >.git/modules/config
        ln -sf /etc/passwd .git/HEAD.new; mkfifo .git/refs/heads/fifo; true"""
    box("sh", "-c", script, flags=COMMIT)
    found = [p for p in (workspace / ".git").rglob("*") if p.is_symlink() or p.is_fifo()]
    assert found == []
    assert git(workspace, "fsck", "--strict") == ""
    assert left(workspace, [".git/modules/config"]) == []


FORGE = """
import hashlib, os, struct, subprocess, sys, zlib
def git(*arguments):
    return subprocess.check_output(["git", *arguments], text=True).strip()
evil = b"nobody reviewed this"
names = [git("rev-parse", "HEAD:README"), git("rev-parse", "HEAD:borrowed")]
if sys.argv[1] == "loose":
    for name in names:
        path = f".git/objects/{name[:2]}/{name[2:]}"
        os.makedirs(os.path.dirname(path), exist_ok=True)
        if os.path.exists(path):
            os.unlink(path)
        with open(path, "wb") as f:
            f.write(zlib.compress(b"blob %d\\0" % len(evil) + evil))
else:
    pack = b"PACK" + struct.pack(">II", 2, 1) + bytes([0xb0 | len(evil) & 15, len(evil) >> 4])
    pack += zlib.compress(evil)
    pack += hashlib.sha1(pack).digest()
    name = bytes.fromhex(names[1])
    index = b"\\377tOc" + struct.pack(">I", 2)
    index += b"".join(struct.pack(">I", int(i >= name[0])) for i in range(256))
    index += name + struct.pack(">I", zlib.crc32(pack[12:-20])) + struct.pack(">I", 12) + pack[-20:]
    index += hashlib.sha1(index).digest()
    os.makedirs(".git/objects/pack", exist_ok=True)
    for suffix, data in (".pack", pack), (".idx", index):
        with open(f".git/objects/pack/pack-{pack[-20:].hex()}{suffix}", "wb") as f:
            f.write(data)
"""


@pytest.mark.parametrize("kind", ["loose", "pack"])
@pytest.mark.parametrize("base", ["loose", "packed"])
@pytest.mark.parametrize("far", [False, True])
def test_objects_of_another_repository_are_not_shadowed(box, tier, workspace, far, base, kind):
    """A clone that borrows its objects: git believes the first copy that it finds."""
    if is_said_to_need_mounts(box, tier):
        return
    (workspace / "borrowed").write_text("reviewed\n")
    git(workspace, "add", "borrowed")
    git(workspace, "commit", "-qm", "borrowed")
    if base == "packed":
        git(workspace, "gc", "-q")
    clone = workspace.parent / "clone"
    source = workspace
    if far:
        source = workspace.parent / "between"
        git(workspace, "clone", "-q", "--shared", workspace, source)
    git(workspace, "clone", "-q", "--shared", source, clone)
    box("/usr/bin/python3", "-c", FORGE, kind, flags=COMMIT, cwd=clone)
    if base == "packed":
        # What git would read if the pack went away.
        assert not [p for p in clone.glob(".git/objects/??/*") if p.stat().st_size < 60]
    assert git(clone, "show", "HEAD:borrowed") == "reviewed\n"
    assert git(clone, "show", "HEAD:README") == "a file\n"
    commit = "git -c user.name=T -c user.email=t@example.org commit -qm honest"
    box("sh", "-c", f"echo new >file && git add file && {commit}", flags=COMMIT, cwd=clone).ok()
    assert git(clone, "log", "-1", "--format=%s") == "honest\n"
    assert git(clone, "fsck", "--strict") == ""


def test_other_names_stay_protected_with_commit(box, tier, workspace):
    if is_said_to_need_mounts(box, tier):
        return
    box("sh", "-c", "mkdir .codex; mv .git moved; ln -s /tmp .vscode; true", flags=COMMIT).ok()
    assert left(workspace, [".codex", "moved", ".vscode"]) == []
