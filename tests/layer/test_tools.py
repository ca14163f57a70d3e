"""Real programs on a layer: they do what they do without one, and the host stays as it is."""

import io
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tarfile
import textwrap
import time
import zipfile
from pathlib import Path

import pytest
from support import COFFER, IS_ROOT, SLOWDOWN, git, need_program, run_coffer
from trees import fingerprint, portrait

TREES = Path(__file__).with_name("trees.py")


@pytest.fixture
def kept(layered, workspace, request):
    """The same as layered; after the test the workspace is, to the byte, as it was when the first
    command ran in a box."""
    seen = []

    def run(*command, **keywords):
        if not seen:
            seen.append(fingerprint(workspace))
        return layered(*command, **keywords)

    run.state = layered.state
    yield run
    if seen and not getattr(request.node, "applied", False):
        assert fingerprint(workspace) == seen[0]


def seen_in(layered, directory, name="test"):
    """What a box on the layer sees of a directory, by its own python."""
    program = TREES.read_text()
    return json.loads(layered("python3", "-c", program, directory, name=name).ok().out)[directory]


# npm


def make_tarball(directory, version, says):
    """An npm package."""
    files = {
        "package.json": json.dumps(
            {"name": "dependency", "version": version, "main": "lib/index.js"}
        ),
        "lib/index.js": f"module.exports = {says!r};\n",
    }
    path = directory / f"dependency-{version}.tgz"
    with tarfile.open(path, "w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(f"package/{name}")
            member.size, member.mode = len(content), 0o644
            archive.addfile(member, io.BytesIO(content.encode()))
    return path.name


@pytest.fixture
def node_project(workspace):
    need_program("npm", "node")
    make_tarball(workspace, "1.0.0", "one")
    make_tarball(workspace, "2.0.0", "two")
    (workspace / "package.json").write_text(json.dumps({"name": "project", "version": "1.0.0"}))
    return workspace


NPM = ("npm", "install", "--offline", "--no-audit", "--no-fund", "--loglevel=error")
SAYS = "console.log(require('dependency'))"


def test_npm_install(kept, node_project):
    kept(*NPM, "./dependency-1.0.0.tgz", timeout=60).ok()
    assert kept("node", "-e", SAYS).ok().out == "one\n"
    assert not (node_project / "node_modules").exists()
    assert "dependencies" not in (node_project / "package.json").read_text()


def test_npm_over_what_the_host_has(kept, node_project):
    """node_modules lies below: npm renames directories of the host's."""
    subprocess.run(
        [*NPM, "./dependency-1.0.0.tgz"],
        check=True,
        capture_output=True,
        cwd=node_project,
        env={**os.environ, "npm_config_cache": str(node_project.parent / "npm-cache")},
    )
    kept(*NPM, "./dependency-2.0.0.tgz", timeout=60).ok()
    assert kept("node", "-e", SAYS).ok().out == "two\n"
    names = kept("sh", "-c", "ls -A node_modules; mv node_modules n2; ls -A n2").ok().out.split()
    assert names == [".package-lock.json", "dependency"] * 2, "something was left, or lost"
    shown = subprocess.run(["node", "-e", SAYS], cwd=node_project, capture_output=True, text=True)
    assert shown.stdout == "one\n"


# pip


def make_wheel(directory, version):
    """A package with a subpackage, as a wheel."""
    path = directory / f"demo-{version}-py3-none-any.whl"
    info = f"demo-{version}.dist-info"
    files = {
        "demo/__init__.py": f"version = {version!r}\n",
        "demo/part/__init__.py": "",
        f"demo/part/of_{version[0]}.py": "x = 1\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: demo\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\n"
        "Tag: py3-none-any\n",
    }
    record = "".join(f"{name},,\n" for name in [*files, f"{info}/RECORD"])
    with zipfile.ZipFile(path, "w") as wheel:
        for name, content in {**files, f"{info}/RECORD": record}.items():
            wheel.writestr(name, content)
    return path.name


@pytest.fixture
def venv(workspace):
    """An environment of the host's, with the first version in it."""
    probe = subprocess.run([sys.executable, "-c", "import pip"], capture_output=True)
    if probe.returncode != 0:
        pytest.skip("needs pip")
    wheels = [make_wheel(workspace, v) for v in ("1.0", "2.0")]
    subprocess.run(
        [sys.executable, "-m", "venv", "--without-pip", "--system-site-packages", "venv"],
        check=True,
        cwd=workspace,
    )
    site = next((workspace / "venv" / "lib").iterdir()) / "site-packages"
    with zipfile.ZipFile(workspace / wheels[0]) as wheel:
        wheel.extractall(site)
    info = site / "demo-1.0.dist-info"
    (info / "INSTALLER").write_text("pip\n")
    with open(info / "RECORD", "a") as record:
        record.write(f"{info.name}/INSTALLER,,\n")
    pip = ["venv/bin/python", "-m", "pip", "install", "--quiet", "--no-index"]
    return [*pip, "--disable-pip-version-check", "--no-compile"], wheels


def test_pip_install_over_what_the_host_has(kept, venv, workspace):
    """pip moves the directories of the old version aside, and back when it fails."""
    pip, wheels = venv
    shows = ("venv/bin/python", "-c", "import demo; print(demo.version)")
    assert kept(*shows).ok().out == "1.0\n"
    kept(*pip, wheels[1], timeout=60).ok()
    assert kept(*shows).ok().out == "2.0\n"
    site = next((workspace / "venv" / "lib").iterdir()) / "site-packages"
    found = seen_in(kept, str(site))
    assert "demo/part/of_2.py" in found and "demo/part/of_1.py" not in found
    assert "demo-1.0.dist-info" not in found
    assert not [n for n in found if n.startswith(("~", ".coffer"))], "left aside"


def test_pip_install_target(kept, venv):
    pip, wheels = venv
    install = shlex.join([*pip, "--target", "vendor"])
    script = f"{install} {wheels[0]} && {install} --upgrade {wheels[1]}"
    kept("sh", "-c", script, timeout=60).ok()
    found = seen_in(kept, "vendor")
    assert "demo/part/of_2.py" in found and "demo/part/of_1.py" not in found


# make, and a build

MAKEFILE = """
PREFIX = /usr/local
all: hello
%.o: %.c
\tcc -O0 -c -o $@ $<
hello: main.o part.o
\tcc -o $@ $^
install: hello
\tinstall -D -m 755 hello $(DESTDIR)$(PREFIX)/bin/hello-from-a-layer
\tinstall -D -m 644 main.c $(DESTDIR)$(PREFIX)/share/hello-from-a-layer/main.c
\tln -sf hello-from-a-layer $(DESTDIR)$(PREFIX)/bin/hi-from-a-layer
"""


@pytest.fixture
def c_project(workspace):
    need_program("make", "cc")
    (workspace / "main.c").write_text("int part(void);\nint main(void) { return part(); }\n")
    (workspace / "part.c").write_text("int part(void) { return 7; }\n")
    (workspace / "Makefile").write_text(MAKEFILE)
    return workspace


def test_a_build(kept, c_project):
    kept("make", "-j2", timeout=60).ok()
    assert kept("./hello").code == 7
    assert "up to date" in kept("make").ok().out or "Nothing to be done" in kept("make").ok().out
    kept("sh", "-c", "echo 'int part(void) { return 8; }' > part.c; make", timeout=60).ok()
    assert kept("./hello").code == 8
    assert not (c_project / "hello").exists()


def test_make_install(kept, c_project):
    kept("make", "install", "DESTDIR=stage", timeout=60).ok()
    found = seen_in(kept, "stage")
    assert found["usr/local/bin/hi-from-a-layer"]["target"] == "hello-from-a-layer"
    assert kept("stage/usr/local/bin/hi-from-a-layer").code == 7


@pytest.mark.skipif(not IS_ROOT, reason="needs root")
def test_make_install_into_the_system(kept, c_project):
    places = ("/usr/local/bin", "/usr/local/share", "/etc")
    before = {p: (os.lstat(p).st_mtime_ns, sorted(os.listdir(p))) for p in places}
    script = "make install && hi-from-a-layer; test $? = 7 && echo made > /etc/from-a-layer"
    kept("sh", "-c", script, flags=("--layer-system",), timeout=60).ok()
    again = kept("sh", "-c", "cat /etc/from-a-layer; hi-from-a-layer", flags=("--layer-system",))
    assert again.out == "made\n" and again.code == 7
    assert {p: (os.lstat(p).st_mtime_ns, sorted(os.listdir(p))) for p in places} == before


# the project goes


def test_rm_of_the_project(kept, workspace):
    (workspace / "closed").mkdir()
    (workspace / "closed" / "file").write_text("x")
    git(workspace, "add", "-A")
    git(workspace, "commit", "-q", "-m", "more")
    gone = kept("sh", "-c", "rm -rf ./* ; rm -rf .git; ls -A")
    assert gone.out.split() == [".git"], gone.describe()
    kept("git", "checkout", "-q", "--", ".")
    assert kept("git", "log", "--format=%s").ok().out.split() == ["more", "first"]


# git


def test_git_moves_directories(kept, workspace):
    inner = workspace / "sub"
    (inner / "a" / "b").mkdir(parents=True)
    (inner / "a" / "b" / "file").write_text("content\n")
    git(workspace, "add", "-A")
    git(workspace, "commit", "-q", "-m", "sub")
    script = """
        mkdir clone && cd clone && git clone -q --no-hardlinks .. own
        cd own && git mv sub moved && git -c user.name=t -c user.email=t@example.org commit -qm moved
        git status --porcelain; git ls-files moved; git mv moved/a moved/c; git ls-files moved
        git stash -q; git checkout -q HEAD~1; ls; git gc -q; git fsck --strict
    """
    result = kept("sh", "-ec", textwrap.dedent(script), timeout=60).ok()
    assert result.out.split() == ["moved/a/b/file", "moved/c/b/file", "README", "src", "sub"]
    # And of a clone that lies below by now.
    on_top = "cd clone/own && git mv src moved-src && git status --porcelain"
    result = kept("sh", "-ec", on_top, name="above", flags=("--layer-on", "test")).ok()
    assert result.out.split() == ["R", "src/main.c", "->", "moved-src/main.c"]


# files, descriptors and processes

SEMANTICS = """
import fcntl, json, mmap, os, threading
found = {}
os.link("lower", "hard")
found["links"] = os.stat("lower").st_nlink == os.stat("hard").st_nlink
open("hard", "a").write("by hard\\n")
found["hard link"] = open("lower").read() == open("hard").read()
f = open("gone", "r+"); os.unlink("gone"); f.seek(0, 2); f.write("after unlink"); f.flush()
f.seek(0); found["unlinked"] = f.read() == "gone\\nafter unlink" and not os.path.exists("gone")
old = open("replaced"); open("new", "w").write("new\\n"); os.rename("new", "replaced")
found["replaced"] = [old.read(), open("replaced").read()] == ["replaced\\n", "new\\n"]
a = open("mapped", "r+b"); m = mmap.mmap(a.fileno(), 0); m[0:6] = b"MAPPED"; m.flush()
found["mapped"] = open("mapped").read() == "MAPPED\\n"
pid = os.fork()
if pid == 0:
    m[0:6] = b"forked"
    os._exit(0)
os.waitpid(pid, 0)
found["shared mapping"] = open("mapped").read() == "forked\\n"
d = os.open("tree", os.O_RDONLY); os.rename("tree/leaf", "tree/leaf2")
found["dirfd"] = os.listdir(d) == ["leaf2"]
os.symlink("tree", "to-tree"); found["link"] = os.listdir("to-tree") == ["leaf2"]
lock = open("locked", "w"); fcntl.lockf(lock, fcntl.LOCK_EX)
r, w = os.pipe()
if os.fork() == 0:
    try:
        fcntl.lockf(open("locked", "r+"), fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.write(w, b"got it")
    except OSError:
        os.write(w, b"busy")
    os._exit(0)
found["lock"] = os.read(r, 10) == b"busy"
counts = []
def work(k):
    for i in range(200):
        with open(f"t/{k}-{i}.new", "w") as f:
            f.write(str(i))
        os.rename(f"t/{k}-{i}.new", f"t/{k}-{i}")
    counts.append(k)
os.mkdir("t"); ts = [threading.Thread(target=work, args=(k,)) for k in range(4)]
[t.start() for t in ts]; [t.join() for t in ts]
found["threads"] = len(os.listdir("t")) == 800
print(json.dumps(found))
"""


def test_files_are_files(kept, workspace):
    for name in ("lower", "gone", "replaced", "mapped"):
        (workspace / name).write_text(f"{name}\n")
    (workspace / "tree").mkdir()
    (workspace / "tree" / "leaf").write_text("leaf\n")
    found = json.loads(kept("python3", "-c", SEMANTICS).ok().out)
    assert all(found.values()), found


def test_two_layers_at_once(kept, workspace):
    """Each sees its own, and the workspace below."""
    (workspace / "shared").write_text("below\n")
    kept("true").ok()
    before = fingerprint(workspace)
    script = "echo $0 > shared; echo $0 > own-$0; echo up; read x; cat shared; ls -d own-*"
    runs = [
        subprocess.Popen(
            [COFFER, "run", f"--layer={name}", "--", "sh", "-c", script, name],
            cwd=workspace,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for name in ("one", "two")
    ]
    for run in runs:
        assert run.stdout.readline() == "up\n"
    outs = [run.communicate("\n", timeout=30 * SLOWDOWN)[0] for run in runs]
    assert outs == ["one\nown-one\n", "two\nown-two\n"]
    assert fingerprint(workspace) == before


def test_a_kill_while_tools_work(kept, c_project):
    """Nothing is mounted, nothing runs on, and the layer goes on."""
    kept("true").ok()
    script = "echo up; while :; do make -B -s; mv src src2; mv src2 src; done"
    command = [COFFER, "run", "--layer=test", "--", "sh", "-c", script]
    with subprocess.Popen(command, cwd=c_project, stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout.readline() == "up\n"
        time.sleep(0.3 * SLOWDOWN)
        os.kill(run.pid, signal.SIGKILL)
    end = time.monotonic() + 10 * SLOWDOWN
    while (again := kept("make", "-B", "-s", timeout=60)).code != 0:
        assert time.monotonic() < end, again.describe()
        time.sleep(0.1)
    assert kept("./hello").code == 7
    mounts = Path("/proc/self/mounts").read_text()
    assert str(kept.state) not in mounts and str(c_project) not in mounts


def test_the_host_may_work_meanwhile(layered, workspace):
    """A copy of the whole workspace, made in a layer, is the workspace."""
    before = portrait(workspace)
    shutil.copy(TREES, workspace / "trees.py")
    layered("sh", "-c", "mkdir copies; cp -a src copies/src").ok()
    assert seen_in(layered, "copies/src") == portrait(workspace / "src")
    (workspace / "trees.py").unlink()
    assert set(portrait(workspace)) == set(before)


def test_what_was_moved_and_linked_is_applied(layered, workspace):
    """Overlayfs marks what it copied up; the mark goes along with a move."""
    (workspace / "d" / "sub").mkdir(parents=True)
    for name in ("one", "two", "d/three", "d/sub/four"):
        (workspace / name).write_text(f"{name}\n")
    layered("sh", "-ec", "mv one moved; ln two linked; mv d e; mv e/sub f").ok()
    wanted = seen_in(layered, ".")
    run_coffer("apply", "test", cwd=workspace).ok()
    now = portrait(workspace)
    for found in (wanted, now):
        for entry in found.values():
            entry.pop("mtime")  # of directories, into which names went
    assert now == wanted


# and then: look, take a part, throw the rest away


def test_look_take_a_part_and_throw_away(layered, c_project):
    layered("make", "install", "DESTDIR=stage", timeout=60).ok()
    layered("sh", "-c", "rm README; git mv -k src moved; mv src lib; echo more >> part.c").ok()
    names = run_coffer("diff", "test", "--name-status", cwd=c_project).ok().out.splitlines()
    found = {line.split("\t")[-1]: line[0] for line in names}
    assert found["stage/usr/local/bin/hello-from-a-layer"] == "A" and found["README"] == "D"
    assert found["part.c"] == "M" and found["lib/main.c"] in "AR"
    patch = run_coffer("diff", "test", "part.c", cwd=c_project).ok().out
    assert "+more" in patch and "README" not in patch
    before = fingerprint(c_project)
    dry = run_coffer("apply", "--dry-run", "test", cwd=c_project).ok()
    assert "would apply" in dry.out + dry.err and fingerprint(c_project) == before
    run_coffer("apply", "test", "part.c", "stage", cwd=c_project).ok()
    after = fingerprint(c_project)
    changed = {p for p in after if before.get(p) != after[p]} | (set(before) - set(after))
    assert str(c_project / "part.c") in changed
    kept = {str(c_project), str(c_project / "part.c")}
    assert all(p in kept or p.startswith(str(c_project / "stage")) for p in changed), changed
    assert (c_project / "stage/usr/local/bin/hi-from-a-layer").is_symlink()
    assert (c_project / "README").exists() and (c_project / "src/main.c").exists()
    run_coffer("discard", "test", cwd=c_project).ok()
    assert fingerprint(c_project) == after
    assert run_coffer("diff", "test", cwd=c_project).code != 0
