"""Real programs in a box: what a developer's day and an agent's work need."""

import os
import pwd
import shutil
import subprocess
import textwrap
import threading
from pathlib import Path

import pytest
from support import IS_ROOT, ROOT, git, make_repository, need_program, need_root

USER = "coffer-test"
NO_CPU_LIMIT = [] if IS_ROOT else ["--limit", "cpu=none"]


def write(directory, files):
    for name, text in files.items():
        path = Path(directory) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text).lstrip("\n"))


# git.


def test_git_looks(box, workspace):
    out = box("sh", "-c", "git status --short && git log --oneline && git diff --stat").ok().out
    assert out.rstrip().endswith("first"), out
    (workspace / "README").write_text("changed\n")
    assert box("git", "status", "--short").ok().out == " M README\n"


def test_git_does_not_commit_by_itself(box, workspace):
    before = git(workspace, "rev-parse", "HEAD")
    assert box("sh", "-c", "echo more >>README; git commit -qam second").code != 0
    assert git(workspace, "rev-parse", "HEAD") == before


@pytest.fixture
def commit(run_coffer):
    """commit(directory): a commit made in a box of the container tier; then looked at outside."""

    def run(directory, name="made", script="git add -A && git commit -q -m inside"):
        script = f"echo {name} >{name}; {script}"
        flags = ["--isolation", "container", "--git", "commit"]
        run_coffer("run", *flags, "--", "sh", "-c", script, cwd=directory).ok()
        assert git(directory, "log", "-1", "--format=%s") == "inside\n"
        assert git(directory, "show", f"HEAD:{name}") == f"{name}\n"
        assert git(directory, "status", "--short") == ""
        git(directory, "fsck", "--strict")

    return run


@pytest.fixture(autouse=True)
def _identity(monkeypatch):
    """Clones and submodules have no user of their own; the box passes these four by name only."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")


def with_user(directory):
    git(directory, "config", "user.name", "Test")
    git(directory, "config", "user.email", "test@example.org")
    return directory


def test_commit_in_the_main_worktree(commit, workspace):
    commit(workspace)
    commit(workspace, "again")


def test_commit_in_a_linked_worktree(commit, workspace):
    git(workspace, "worktree", "add", "-q", "-b", "side", "../linked")
    commit(workspace.parent / "linked")
    assert git(workspace, "log", "-1", "--format=%s", "side") == "inside\n"
    assert git(workspace, "log", "-1", "--format=%s", "main") == "first\n"


def test_commit_in_a_submodule(commit, workspace):
    library = make_repository(workspace.parent / "library")
    local = ["-c", "protocol.file.allow=always"]
    git(workspace, *local, "submodule", "--quiet", "add", library, "lib")
    git(workspace, "commit", "-q", "-m", "a submodule")
    commit(with_user(workspace / "lib"))


def test_commit_in_a_nested_clone(commit, workspace):
    make_repository(workspace / "vendor" / "nested")
    commit(workspace / "vendor" / "nested")


def test_commit_in_a_nested_clone_from_the_top(run_coffer, workspace):
    nested = make_repository(workspace / "vendor" / "nested")
    script = "cd vendor/nested && echo x >x && git add x && git commit -q -m inside"
    run_coffer("run", "--git", "commit", "--", "sh", "-c", script, cwd=workspace).ok()
    assert git(nested, "log", "-1", "--format=%s") == "inside\n"


def test_commit_where_git_is_a_link(commit, workspace):
    (workspace / ".git").rename(workspace.parent / "elsewhere.git")
    (workspace / ".git").symlink_to("../elsewhere.git")
    commit(workspace)


def test_worktree_add(run_coffer, workspace):
    script = "git worktree add -q -b side side && cd side && echo x >x && git add x && "
    script += "git commit -q -m inside"
    run_coffer("run", "--git", "commit", "--", "sh", "-c", script, cwd=workspace).ok()
    assert "[side]" in git(workspace, "worktree", "list")
    assert git(workspace / "side", "log", "-1", "--format=%s") == "inside\n"
    git(workspace, "fsck", "--strict")


def test_branch_merge_stash_and_rebase(run_coffer, workspace):
    script = """
        set -e
        git checkout -q -b side; echo a >a; git add a; git commit -q -m side
        git checkout -q main; echo b >b; git add b; git commit -q -m main
        git merge -q --no-edit side; git tag v1
        echo c >>README; git stash -q; git stash pop -q; git commit -q -a -m third
        git checkout -q side; git rebase -q main; git branch -D main; git branch main
    """
    run_coffer("run", "--git", "commit", "--", "sh", "-c", script, cwd=workspace).ok()
    assert git(workspace, "log", "-1", "--format=%s", "side") == "third\n"
    assert "v1" in git(workspace, "tag")
    git(workspace, "fsck", "--strict")


def need_own_localhost(tier):
    if tier == "landlock":
        pytest.skip("this tier has no network namespace, and so no localhost of the box's own")


# Compilers and build tools.

PROJECT = {
    "Makefile": """
        CFLAGS = -O1 -Wall -MMD
        objects = main.o words.o tree.o
        count: $(objects) libtext.a
        \t$(CC) -o $@ $^
        libtext.a: text.o
        \t$(AR) rcs $@ $^
        check: count
        \tprintf 'b a b\\n' | ./count | diff - expected
        -include $(wildcard *.d)
        """,
    "words.h": "char *next_word(void);\n",
    "tree.h": "void tree_add(const char *word);\nvoid tree_print(void);\n",
    "text.h": "int is_blank(int c);\n",
    "text.c": '#include "text.h"\nint is_blank(int c) { return c == 32 || c == 10; }\n',
    "words.c": """
        #include "words.h"
        #include "text.h"
        #include <stdio.h>
        char *next_word(void)
        {
        \tstatic char word[64];
        \tint n = 0, c;
        \twhile ((c = getchar()) != EOF && n < 63 && !(is_blank(c) && n))
        \t\tif (!is_blank(c))
        \t\t\tword[n++] = (char)c;
        \tword[n] = 0;
        \treturn n ? word : 0;
        }
        """,
    "tree.c": """
        #include "tree.h"
        #include <search.h>
        #include <stdio.h>
        #include <string.h>
        struct item { char *word; int count; };
        static void *root;
        static int compare(const void *a, const void *b)
        {
        \treturn strcmp(((const struct item *)a)->word, ((const struct item *)b)->word);
        }
        static struct item entries[100];
        static int used;
        void tree_add(const char *word)
        {
        \tentries[used].word = strdup(word);
        \tstruct item **found = tsearch(&entries[used], &root, compare);
        \t(*found)->count++;
        \tused += *found == &entries[used];
        }
        static void show(const void *node, VISIT order, int depth)
        {
        \t(void)depth;
        \tconst struct item *e = *(struct item *const *)node;
        \tif (order == postorder || order == leaf)
        \t\tprintf("%s %d\\n", e->word, e->count);
        }
        void tree_print(void) { twalk(root, show); }
        """,
    "main.c": """
        #include "tree.h"
        #include "words.h"
        int main(void)
        {
        \tfor (char *word; (word = next_word());)
        \t\ttree_add(word);
        \ttree_print();
        }
        """,
    "expected": "a 1\nb 2\n",
}


def test_make_and_gcc(box, workspace):
    write(workspace, PROJECT)
    box("make", "-j2", "CPPFLAGS=-D_GNU_SOURCE", "check").ok()
    assert "up to date" in box("make", "count").ok().out
    out = subprocess.run(
        [workspace / "count"], input="x y x\n", capture_output=True, text=True, check=True
    ).stdout
    assert out == "x 2\ny 1\n"


@pytest.mark.timeout(180)
def test_meson_and_ninja(box, workspace):
    """A part of this very project, as a library with a program."""
    need_program("meson", "ninja")
    shutil.copytree(ROOT / "src" / "base", workspace / "base")
    write(
        workspace,
        {
            "meson.build": """
                project('part', 'c', default_options: ['c_std=gnu11'])
                add_project_arguments('-D_GNU_SOURCE', language: 'c')
                sources = []
                subdir('base')
                library = static_library('base', sources)
                program = executable('program', 'program.c', link_with: library)
                test('program', program)
                """,
            "program.c": """
                #include "base/units.h"
                int main(void)
                {
                \tuint64_t bytes;
                \treturn units_parse_bytes("2K", &bytes) || bytes != 2048;
                }
                """,
        },
    )
    box("sh", "-c", "meson setup out && meson test -C out", timeout=120).ok()
    assert (workspace / "out" / "program").exists()


def test_pytest(box, tier, workspace):
    write(
        workspace,
        {
            "test_small.py": """
                import subprocess, threading, multiprocessing

                def test_passes(tmp_path):
                    (tmp_path / "x").write_text("x")
                    assert subprocess.check_output(["cat", tmp_path / "x"]) == b"x"

                def square(n):
                    return n * n

                def test_processes():
                    with multiprocessing.Pool(2) as pool:
                        assert pool.map(square, [1, 2, 3]) == [1, 4, 9]

                def test_fails():
                    assert 1 == 2
                """
        },
    )
    # Semaphores are files of /dev/shm, which the landlock tier cannot make a box's own.
    without = ["-k", "not processes"] if tier == "landlock" else []
    result = box("/usr/bin/python3", "-m", "pytest", "-q", *without)
    assert result.code == 1, result.describe()
    passed = "1 passed" if tier == "landlock" else "2 passed"
    assert f"1 failed, {passed}" in result.out, result.describe()


def test_asyncio(box, tier, workspace):
    need_own_localhost(tier)
    write(
        workspace,
        {
            "work.py": """
                import asyncio

                async def answer(reader, writer):
                    writer.write((await reader.readline()).upper())
                    await writer.drain()
                    writer.close()

                async def main():
                    server = await asyncio.start_server(answer, "127.0.0.1", 0)
                    port = server.sockets[0].getsockname()[1]
                    reader, writer = await asyncio.open_connection("127.0.0.1", port)
                    writer.write(b"words\\n")
                    print((await reader.readline()).decode().strip(), flush=True)
                    child = await asyncio.create_subprocess_exec("echo", "child")
                    await child.wait()

                asyncio.run(main())
                """
        },
    )
    assert box("/usr/bin/python3", "work.py").ok().out == "WORDS\nchild\n"


def test_node(box, tier, workspace):
    need_program("node")
    need_own_localhost(tier)
    write(
        workspace,
        {
            "server.js": """
                const server = require("http").createServer((q, a) => a.end("you asked " + q.url));
                server.listen(0, "127.0.0.1", async () => {
                  const answer = await fetch(`http://127.0.0.1:${server.address().port}/path`);
                  console.log(await answer.text());
                  server.close();
                });
                """
        },
    )
    assert box("node", "server.js").ok().out == "you asked /path\n"


def test_node_without_network(box, workspace):
    need_program("node")
    script = 'require("fs").writeFileSync("made", "x"); console.log(process.version)'
    script += '; new (require("worker_threads").Worker)("console.log(1)", {eval: true})'
    box("node", "-e", script).ok()
    assert (workspace / "made").read_text() == "x"


def test_npm_test(box, workspace):
    need_program("node", "npm")
    write(
        workspace,
        {
            "package.json": '{"name": "small", "scripts": {"test": "node t.js"}}',
            "t.js": 'require("assert").strictEqual(1 + 1, 2); console.log("it holds");\n',
        },
    )
    assert "it holds" in box("npm", "test").ok().out


def test_a_server_and_its_client(box, tier, workspace):
    need_own_localhost(tier)
    script = (
        "/usr/bin/python3 -m http.server --bind 127.0.0.1 8000 2>/dev/null & "
        "for i in $(seq 50); do /usr/bin/python3 -c 'import urllib.request as r; "
        'print(r.urlopen("http://127.0.0.1:8000/README").read().decode(), end="")'
        "' 2>/dev/null && exit 0; sleep 0.1; done; exit 1"
    )
    assert box("sh", "-c", script).ok().out == "a file\n"


# The installed file can be a version manager's link into a home, which is not shown to others.
def own_toolchain(name, *version):
    need_program(name)
    if subprocess.run([name, *version], capture_output=True, check=False).returncode:
        pytest.skip(f"{name} is installed but does not run here")


def test_java(box, workspace):
    own_toolchain("java", "-version")
    if shutil.which("javac"):
        write(
            workspace,
            {
                "Hi.java": """
                    public class Hi {
                        public static void main(String[] a) throws Exception {
                            Thread t = new Thread(() -> System.out.println("hi"));
                            t.start();
                            t.join();
                        }
                    }
                    """
            },
        )
        assert box("sh", "-c", "javac Hi.java && java Hi", timeout=50).ok().out == "hi\n"
    else:
        box("java", "-version", timeout=50).ok()


def test_cargo(box, workspace):
    own_toolchain("cargo", "--version")
    write(
        workspace,
        {
            "Cargo.toml": '[package]\nname = "hi"\nversion = "0.1.0"\nedition = "2021"\n',
            "src/main.rs": 'fn main() { println!("hi"); }\n',
        },
    )
    assert box("cargo", "run", "--offline", "-q", timeout=50).ok().out == "hi\n"


def test_go(box, workspace):
    own_toolchain("go", "version")
    write(
        workspace,
        {
            "go.mod": "module hi\n\ngo 1.19\n",
            "main.go": 'package main\n\nimport "fmt"\n\nfunc main() { fmt.Println("hi") }\n',
        },
    )
    assert box("go", "run", ".", timeout=50).ok().out == "hi\n"


# What lasts and what is shared.


def test_caches_persist_and_are_the_workspaces_own(box, workspace):
    box("sh", "-c", 'mkdir -p "$XDG_CACHE_HOME/tool" && echo kept >"$XDG_CACHE_HOME/tool/x"').ok()
    assert box("sh", "-c", 'cat "$XDG_CACHE_HOME/tool/x"').ok().out == "kept\n"
    other = make_repository(workspace.parent / "other")
    assert box("sh", "-c", 'cat "$XDG_CACHE_HOME/tool/x"', cwd=other).code != 0
    # Nor can the other one go and look for it: a tool would run what it finds in its cache.
    path = box("sh", "-c", 'echo "$XDG_CACHE_HOME"').ok().out.strip()
    result = box("sh", "-c", f'echo poison >"{path}/tool/x"', cwd=other)
    assert result.code != 0
    assert box("sh", "-c", 'cat "$XDG_CACHE_HOME/tool/x"').ok().out == "kept\n"
    shutil.rmtree(path)


@pytest.mark.parametrize(
    "variable", ["npm_config_cache", "PIP_CACHE_DIR", "CARGO_HOME", "GOCACHE", "GRADLE_USER_HOME"]
)
def test_tool_caches_are_writable(box, variable):
    box("sh", "-c", f'mkdir -p "${variable}" && : >"${variable}/x"').ok()


def test_two_boxes_in_one_workspace(box, workspace):
    """At once: each sees what the other writes, and both end well."""
    waits = "for i in $(seq 100); do test -e {0} && exit 0; sleep 0.1; done; exit 1"
    results = {}

    def run(mine, others):
        results[mine] = box("sh", "-c", f": >{mine}; " + waits.format(others))

    threads = [
        threading.Thread(target=run, args=pair) for pair in [("one", "two"), ("two", "one")]
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for result in results.values():
        result.ok()
    assert len(results) == 2


def test_apt_get_download_is_refused_quickly(box, workspace):
    need_program("apt-get")
    result = box("apt-get", "download", "hello", timeout=40)
    assert result.code not in (0, 124, 125), result.describe()
    assert result.seconds < 20
    assert not list(workspace.glob("*.deb"))


# Debuggers.

CRASH = """
#include <stdlib.h>
__attribute__((noinline)) void inner(void) { abort(); }
int main(void) { inner(); }
"""


def test_gdb_on_an_own_child(box, cc, workspace):
    need_program("gdb")
    program = cc(CRASH, workspace, flags=["-g", "-O0"])
    result = box("gdb", "-batch", "-ex", "run", "-ex", "bt", program, timeout=50).ok()
    assert "SIGABRT" in result.out, result.describe()
    assert "inner ()" in result.out, result.describe()


def test_strace_of_an_own_child(box):
    need_program("strace")
    result = box("strace", "-f", "-e", "trace=execve", "sh", "-c", "/bin/true; exit 3")
    assert result.code == 3, result.describe()
    assert result.err.count("execve(") >= 2, result.describe()


# Files and streams.


def test_tar_of_many_files(box, workspace):
    many = workspace / "many"
    for i in range(20):
        (many / str(i)).mkdir(parents=True)
        for k in range(100):
            (many / str(i) / str(k)).write_text(f"{i} {k}\n")
    script = "tar cf all.tar many && mkdir out && tar xf all.tar -C out && diff -r many out/many"
    box("sh", "-c", script).ok()
    assert sum(1 for path in (workspace / "out").rglob("*") if path.is_file()) == 2000


def test_pipes_of_a_megabyte_are_binary_safe(box):
    data = os.urandom(1 << 20)
    assert box("cat", stdin=data, binary=True).ok().out == data


def test_a_pipeline_ends_when_its_reader_does(box):
    result = box("sh", "-c", "yes | head -n 1").ok()
    assert result.out == "y\n"


def test_output_to_a_file_outside(coffer, tier, workspace, outside):
    """The caller's redirection is the caller's: it works, though the box cannot open that path."""
    target = outside / "out"
    with target.open("wb") as file:
        subprocess.run(
            [coffer, "run", "--isolation", tier, "--", "sh", "-c", "echo inside; echo more"],
            cwd=workspace, stdout=file, stderr=subprocess.DEVNULL, check=True, timeout=60,
        )
    assert target.read_text() == "inside\nmore\n"


def test_descendants_that_keep_the_pipe_do_not_hang_the_run(box):
    result = box("sh", "-c", "echo first; setsid sleep 600 & exit 4")
    assert result.code == 4, result.describe()
    assert result.out == "first\n"
    assert result.seconds < 20


# As root, for somebody else.


def test_files_come_out_owned_by_the_owner(box, workspace):
    need_root()
    try:
        record = pwd.getpwnam(USER)
    except KeyError:
        pytest.skip(f"there is no user {USER}")
    parent = Path(record.pw_dir) / f"coffer-owned-{os.getpid()}"
    theirs = make_repository(parent / "workspace")
    try:
        subprocess.run(["chown", "-R", f"{USER}:", parent], check=True)
        script = "id -u; echo x >file; mkdir directory; echo y >directory/y; ln -s file link"
        box("sh", "-c", script, cwd=theirs).ok()
        for name in ("file", "directory", "directory/y", "link"):
            status = (theirs / name).lstat()
            assert (status.st_uid, status.st_gid) == (record.pw_uid, record.pw_gid), name
        git_box = ["--git", "commit"]
        if "container" in box("true", cwd=theirs).report["tier"]:
            box("git", "commit", "-q", "--allow-empty", "-m", "x", flags=git_box, cwd=theirs).ok()
            wrong = [p for p in theirs.rglob("*") if p.lstat().st_uid != record.pw_uid]
            assert not wrong
    finally:
        shutil.rmtree(parent)


# The locked profiles (container tier only).


@pytest.fixture
def strict(run_coffer, workspace):
    """Without a report the captured output is shown at the end; with one it is in the report."""

    def run(*command, flags=(), report=False, **keywords):
        flags = ["--profile", "strict", *NO_CPU_LIMIT, *flags]
        keywords.setdefault("cwd", workspace)
        keywords["report"] = report
        return run_coffer("run", *flags, "--", *command, **keywords)

    return run


def test_strict_runs_bash_coreutils_and_python(strict):
    script = """
        set -euo pipefail
        mkdir -p d && seq 100 >d/n && sort -rn d/n | head -n 1
        wc -l <d/n; cut -c1 d/n | sort -u | tr '\\n' ' '; echo
        cp -r d e && mv e f && ls f && rm -r f && stat -c %s d/n && date +%Y >/dev/null
        x=$(( $(printf '%d' 20) + 22 )); echo $x; diff <(echo a) <(echo a) && sha256sum </dev/null
    """
    out = strict("bash", "-c", script).ok().out
    assert out.startswith("100\n100\n1 2 3 4 5 6 7 8 9 \nn\n292\n42\n"), out
    code = (
        "import json, re, subprocess, threading, random, hashlib, sqlite3, tempfile, decimal;"
        "t = threading.Thread(target=lambda: print('thread')); t.start(); t.join();"
        "print(subprocess.check_output(['echo', 'child']).decode(), end='');"
        "open('f', 'w').write('x'); print(json.dumps([open('f').read()]))"
    )
    assert strict("/usr/bin/python3", "-c", code).ok().out == 'thread\nchild\n["x"]\n'


def test_strict_keeps_nothing(strict, workspace):
    script = "echo changed >README; echo new >new; rm -r src; cat README; ls; echo x >/tmp/x"
    out = strict("sh", "-c", script).ok().out
    assert out == "changed\nREADME\nnew\n"
    assert (workspace / "README").read_text() == "a file\n"
    assert (workspace / "src").is_dir() and not (workspace / "new").exists()
    assert strict("cat", "README").ok().out == "a file\n"
    assert strict("cat", "/tmp/x").code == 1


def test_strict_shows_nobody_and_nothing_of_the_host(strict, workspace):
    script = "id -u; id -g; hostname; pwd; echo $HOME; cat /etc/machine-id"
    lines = strict("sh", "-c", script).ok().out.splitlines()
    assert lines[:5] == ["65534", "65534", "coffer", "/workspace", "/home/agent"]
    assert set(lines[5]) == {"0"}
    shown = strict(
        "sh", "-c",
        "cat /proc/self/mountinfo /proc/mounts /etc/passwd /etc/hosts /etc/hostname; env; ls -la / "
        "/home /workspace; cat /proc/self/cgroup /proc/1/cmdline /proc/1/environ; true",
    )
    secrets = [str(workspace), str(workspace.parent), "coffer-tests", "coffer-test", "/root/"]
    host_name = os.uname().nodename
    if len(host_name) > 3 and host_name != "localhost":
        secrets.append(host_name)
    for secret in secrets:
        assert secret not in shown.out + shown.err, f"{secret!r} is shown\n{shown.describe()}"


def test_strict_output_is_capped(strict):
    """Head and tail are kept, and what was dropped between them is counted."""
    script = "head -c 5000000 /dev/zero | tr '\\0' x; echo the-end; echo other >&2"
    result = strict("sh", "-c", script, report=True).ok()
    usage = result.report["usage"]
    assert usage["stdout_bytes"] == 1 << 20
    assert usage["stdout_dropped_bytes"] == 5000008 - (1 << 20)
    kept = result.report["stdout"]
    assert kept.startswith("xxx") and kept.endswith("the-end\n")
    assert len(kept) < (1 << 20) + 1000
    assert result.report["stderr"] == "other\n"
    assert len(strict("sh", "-c", script).ok().out) < (1 << 20) + 1000


def test_strict_has_no_socket(strict):
    for family in ("AF_INET", "AF_UNIX", "AF_NETLINK"):
        code = f"import socket; socket.socket(socket.{family}, socket.SOCK_DGRAM)"
        assert strict("/usr/bin/python3", "-c", code).code == 1


def test_strict_python_path_is_only_what_is_named(strict, workspace):
    (workspace / "modules").mkdir()
    (workspace / "modules" / "named.py").write_text("word = 'named'\n")
    code = "import named; print(named.word)"
    assert strict("/usr/bin/python3", "-c", code).code == 1
    flags = ["--python-path", "/workspace/modules"]
    assert strict("/usr/bin/python3", "-c", code, flags=flags).ok().out == "named\n"
    # The host's own packages are out of sight; the tests themselves run by one of them.
    assert strict("/usr/bin/python3", "-c", "import pytest").code == 1


def test_strict_disk_is_limited(strict, workspace):
    result = strict("sh", "-c", "head -c 150000000 /dev/zero >big || echo refused; stat -c %s big")
    assert "refused" in result.out, result.describe()
    assert not (workspace / "big").exists()
    assert int(result.out.split()[-1]) <= 100 << 20


def test_strict_wants_what_it_promises(run_coffer, workspace):
    """An ordinary user without a control group cannot have the CPU limit: an error, not a note."""
    result = run_coffer("run", "--profile", "strict", "--", "true", cwd=workspace)
    assert result.code in (0, 125), result.describe()
    if result.code == 125:
        assert "CPU" in result.err, result.describe()


def test_cloud(run_coffer, workspace):
    flags = ["--profile", "cloud", *NO_CPU_LIMIT]
    script = "pwd; echo $HOME; echo made >made; echo x >$HOME/x; cat $HOME/x; ls -d /workspace"
    out = run_coffer("run", *flags, "--", "sh", "-c", script, cwd=workspace).ok().out
    assert out == "/workspace\n/home/agent\nx\n/workspace\n"
    assert (workspace / "made").read_text() == "made\n"
    assert (workspace / "made").stat().st_uid == os.getuid()
    hidden = run_coffer("run", *flags, "--", "ls", workspace, cwd=workspace)
    assert hidden.code != 0
