"""P1: no write outside the writable roots, through any path, link, bind, mount, descriptor or
race."""

import os
import subprocess
import threading
import time

import pytest
import support

# What may be done to an own file: all that `probe writes` tries.
OWN = {
    *("open-write", "open-append", "open-truncate", "truncate"),
    *("reopen-read-only", "reopen-path", "openat-directory"),
    *("chmod", "fchmodat2", "chown", "lchown", "utimensat", "setxattr", "removexattr"),
    *("fchmod", "fchown", "futimens", "fsetxattr"),
    *("link-here", "link-descriptor-here", "link-there"),
    *("rename-there", "symlink", "rename-exchange"),
    *("create", "temporary", "mkdir", "mkfifo", "rename", "unlink", "rmdir"),
}


def kernel_lacks():
    """fchmodat2 came with Linux 6.6."""
    return set() if support.kernel_version() >= (6, 6) else {"fchmodat2"}


def succeeded(found):
    return {name for name, result in found.items() if result == "ok"}


def test_everything_is_allowed_in_the_workspace(probe, tier, workspace):
    (workspace / "own-files").mkdir()
    (workspace / "own-files" / "sentinel").write_text("mine\n")
    found = probe("writes", "own-files")
    # What the filter does not know is ENOSYS, and libc then does without.
    unknown = kernel_lacks() | {n for n in ("fchmodat2",) if found[n] == "ENOSYS"}
    if tier == "landlock":
        # O_RDONLY with O_TRUNC, and a nameless file that is then linked: refused by the filter and
        # the broker there (docs/THREAT-MODEL.md).
        unknown |= {"open-truncate", "link-descriptor-here"}
    assert succeeded(found) == OWN - unknown, found


@pytest.mark.core
def test_nothing_is_allowed_outside(probe, untouched):
    assert not succeeded(probe("writes", untouched))


@pytest.mark.parametrize("way", ["dots", "symlink", "proc-root", "proc-cwd", "init-root", "parent"])
def test_no_way_round_to_the_outside(probe, untouched, workspace, way):
    (workspace / "link").symlink_to(untouched)
    path = {
        "dots": f"src/../../{untouched.name}",
        "symlink": "link",
        "proc-root": f"/proc/self/root{untouched}",
        "proc-cwd": f"/proc/thread-self/cwd/../{untouched.name}",
        "init-root": f"/proc/1/root{untouched}",
        "parent": f"/proc/1/cwd/../{untouched.name}",
    }[way]
    assert not succeeded(probe("writes", path))


def test_no_way_round_through_the_processes_of_the_host(box, untouched):
    """Of every process in sight: its root, its directory and its descriptors."""
    script = f"""
        for p in /proc/[0-9]*; do
            (echo changed >$p/root{untouched}/sentinel) 2>/dev/null
            (echo changed >$p/cwd/../{untouched.name}/made) 2>/dev/null
            for fd in $p/fd/*; do
                (: >>$fd/sentinel) 2>/dev/null
            done
        done; true"""
    box("bash", "-c", script).ok()


VICTIM = """
import os, subprocess, sys, time
if sys.argv[1:]:
    subprocess.run(["mount", "-t", "tmpfs", "none", sys.argv[1]], check=True)
    os.chdir(sys.argv[1])
memory = os.memfd_create("precious")
os.write(memory, b"precious")
unlinked = os.open("unlinked", os.O_RDWR | os.O_CREAT, 0o600)
os.write(unlinked, b"precious")
os.unlink("unlinked")
for name in "file", "other":
    with open(name, "w") as f:
        f.write("precious")
def state():
    return [[os.pread(fd, 100, 0), os.fstat(fd).st_mode] for fd in (memory, unlinked)] + [
        os.stat("file").st_mode, open("file").read(), sorted(os.listdir("."))]
before = state()
print(memory, unlinked, flush=True)
sys.stdin.read()
print("untouched" if state() == before else state())
"""

ON_ANOTHERS = """
import os, sys
def attempt(call, *arguments):
    try:
        call(*arguments)
        print("done:", call, arguments)
    except OSError:
        pass
for path in sys.argv[1:]:
    attempt(os.truncate, path, 3)
    attempt(os.chmod, path, 0o777)
    attempt(os.utime, path)
    attempt(os.setxattr, path, "user.x", b"x")
    for flags in os.O_RDWR, os.O_WRONLY | os.O_APPEND, os.O_RDWR | os.O_CREAT:
        attempt(os.open, path, flags)
    attempt(os.unlink, path)
    attempt(os.rename, path, "stolen")
    attempt(os.mkdir, path + ".d")
    attempt(os.symlink, "x", path + ".l")
    os.symlink(os.path.dirname(path), "way")
    attempt(os.open, "way/" + os.path.basename(path), os.O_RDWR)
    attempt(os.truncate, "way/" + os.path.basename(path), 3)
    attempt(os.mkdir, "way/made")
    os.unlink("way")
own = os.memfd_create("own")
os.write(own, b"0123456789")
os.ftruncate(own, 3)
os.fchmod(own, 0o600)
os.symlink(f"/proc/self/fd/{os.open('.', os.O_RDONLY)}", "here")
os.mkdir("here/made-through-a-link")
print(os.fstat(own).st_size, end="")
"""


@pytest.mark.core
@pytest.mark.parametrize("place", ["outside", "workspace"])
def test_files_that_only_a_process_of_the_host_has(box, outside, workspace, place):
    """Its memory files, what it has unlinked, and its own mounts where the workspace's path leads
    to them: reached by its number in /proc, by the program or by whoever makes a call for it."""
    directory = outside if place == "outside" else workspace / "src"
    command = ["/usr/bin/python3", "-c", VICTIM]
    if place == "workspace":
        if subprocess.run(["unshare", "-Urm", "true"], check=False).returncode != 0:
            pytest.skip("no mount namespace can be made here")
        command = ["unshare", "-Urm", *command, directory]
    victim = subprocess.Popen(
        [str(c) for c in command], cwd=directory, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    descriptors = victim.stdout.readline().decode().split()
    process = f"/proc/{victim.pid}"
    paths = [f"{process}/fd/{fd}" for fd in descriptors]
    paths += [f"{process}/root{directory}/file", f"{process}/cwd/file", f"{process}/cwd/other"]
    result = box("/usr/bin/python3", "-c", ON_ANOTHERS, *paths)
    said = victim.communicate(b"")[0].decode()
    assert said == "untouched\n", said + result.describe()
    assert result.ok().out == "3", result.describe()
    assert (workspace / "made-through-a-link").is_dir()


SWAPPED_PATH = """
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
static volatile char path[64];
static volatile int stop;
static void *swap(void *first)
{
	while (!stop) {
		path[0] = '@';
		for (volatile int i = 0; i < 200; i++);
		path[0] = *(char *)first;
		for (volatile int i = 0; i < 200; i++);
	}
	return NULL;
}
int main(int argc, char **argv)
{
	char decoy[64];
	struct stat wanted, got;
	long made = 0;
	strcpy((char *)path, argv[1]);
	strcpy(decoy, argv[1]);
	decoy[0] = '@';
	stat(argv[1], &wanted);
	pthread_t thread;
	pthread_create(&thread, NULL, swap, argv[1]);
	for (time_t end = time(NULL) + 2; time(NULL) < end;) {
		int fd = open((const char *)path, O_RDWR | O_CREAT, 0644);
		if (fd < 0)
			continue;
		fstat(fd, &got);
		if (got.st_ino == wanted.st_ino)
			puts("reached");
		made++;
		close(fd);
		unlink(decoy);
	}
	stop = 1;
	pthread_join(thread, NULL);
	puts(made > 10 ? "made" : "nothing made");
	return 0;
}
"""


def test_a_path_that_is_swapped_between_two_looks(box, cc, workspace):
    """A file that is only readable, and one that is hidden, opened by a path in changing memory."""
    cc(SWAPPED_PATH, workspace, "swapped")
    (workspace / "kept").write_text("kept\n")
    (workspace / ".env").write_text("KEY=a\n")
    for name, flags in ("kept", ["--read-only", "kept"]), (".env", ["--hide-secrets"]):
        assert box("./swapped", name, flags=flags).ok().out == "made\n"
        assert (workspace / name).read_text() in ("kept\n", "KEY=a\n")


def test_a_report_goes_through_no_link_that_a_box_made(box, outside, workspace):
    """Written by coffer itself, outside of every wall, wherever the box left its links."""
    results = workspace / "results"
    (results / "sub").mkdir(parents=True)
    (outside / "report.json").write_text("precious\n")
    (outside / "sub").mkdir()
    (outside / "sub" / "report.json").write_text("precious\n")
    places = ["results/report.json", "results/sub/report.json", "results/./sub/../report.json"]
    for place in places:
        for name in place, workspace / place:
            box("true", flags=["--report", name], report=False).ok()
            assert (workspace / place).read_text().startswith("{")
    script = f"rm -r results; ln -s {outside} results; mkdir own; ln -s {outside}/sentinel own/file"
    box("sh", "-c", script).ok()
    for place in [*places, "own/file", "own/../results/report.json"]:
        for name in place, workspace / place:
            result = box("touch", "ran", flags=["--report", name], report=False)
            assert result.code == support.SETUP_FAILED, result.describe()
            assert "symbolic link" in result.err
    assert not (workspace / "ran").exists()
    assert (outside / "sentinel").read_text() == "untouched\n"
    assert (outside / "report.json").read_text() == "precious\n"
    assert (outside / "sub" / "report.json").read_text() == "precious\n"


@pytest.mark.parametrize("mode", ["read-only", "workspace-write"])
def test_the_system_cannot_be_written(box, mode, workspace):
    script = """
        for p in / /usr /usr/bin /etc /etc/passwd /var /opt /root /sys /proc/sys/kernel/hostname \
                 /proc/sysrq-trigger /proc/sys/kernel/core_pattern /dev /boot; do
            if [ -d $p ]; then (: >$p/coffer-made) 2>/dev/null && echo $p
            else (: >>$p) 2>/dev/null && echo $p; fi
        done; true"""
    assert box("bash", "-c", script, flags=["--mode", mode]).ok().out == ""


def test_tmp_is_private_or_shut(box, tier):
    name = f"/tmp/coffer-escape-{os.getpid()}"
    result = box("sh", "-c", f'echo x >{name}; echo x >"${{TMPDIR:-/tmp}}/own" && echo made')
    assert "made" in result.out, result.describe()
    assert not os.path.exists(name)
    assert (f"{name}: Perm" in result.err) == (tier == "landlock"), result.describe()


def test_redirected_output_cannot_be_reopened(coffer, tier, workspace, outside):
    """/proc/self/fd/1 of a regular file could be opened again, truncated, or written anywhere."""
    log = outside / "log"
    log.write_text("before\n")
    script = """
        echo hello
        : >/proc/self/fd/1
        : >/dev/stdout
        python3 -c 'import os; os.ftruncate(1, 0)'
        python3 -c 'import os; os.pwrite(1, b"changed", 0)'
        python3 -c 'import os; os.lseek(1, 0, 0); os.write(1, b"again\\n")' || echo again
        true"""
    with log.open("ab") as stream:
        subprocess.run(
            [coffer, "run", "--isolation", tier, "--", "sh", "-c", script],
            cwd=workspace,
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.DEVNULL,
            check=True,
        )
    assert log.read_text() == "before\nhello\nagain\n"


def test_redirected_input_cannot_be_written(box, untouched):
    """What is written there goes into a pipe of the box's own."""
    script = """
        (echo changed >/proc/self/fd/0); (echo changed >/dev/stdin)
        python3 -c 'import os; os.truncate("/proc/self/fd/0", 0)'
        python3 -c 'import os; os.fchmod(0, 0o777)'
        python3 -c 'import os; os.utime(0)'
        cat"""
    with (untouched / "sentinel").open("rb") as stream:
        assert "untouched\n" in box("sh", "-c", script, stdin=stream).ok().out


@pytest.mark.parametrize("fd", [0, 1, 2])
def test_a_directory_as_a_standard_stream_is_refused(coffer, tier, workspace, outside, fd):
    def put_directory():
        os.dup2(os.open(outside, os.O_RDONLY), fd)

    streams = {name: subprocess.PIPE for name in ("stdout", "stderr")}
    process = subprocess.run(
        [coffer, "run", "--isolation", tier, "--", "touch", "ran"],
        cwd=workspace,
        stdin=subprocess.DEVNULL,
        preexec_fn=put_directory,
        check=False,
        **streams,
    )
    assert process.returncode == support.SETUP_FAILED
    assert not (workspace / "ran").exists()


def test_read_only_carve_out(box, workspace):
    (workspace / "kept").mkdir()
    (workspace / "kept" / "sentinel").write_text("untouched\n")
    script = """
        echo changed >kept/sentinel; echo changed >kept/new; mv kept moved; rm -rf kept
        chmod 777 kept; ln kept/sentinel hard && echo changed >hard; rmdir kept
        echo made >beside"""
    box("sh", "-c", script, flags=["--read-only", "kept"]).ok()
    assert (workspace / "kept" / "sentinel").read_text() == "untouched\n"
    assert not (workspace / "kept" / "new").exists()
    assert not (workspace / "moved").exists()
    assert (workspace / "beside").exists()


def test_further_root_and_its_symlink(box, outside, home_directory, workspace):
    """A root named by a symlink is what the link meant at the start, and nothing that it means
    later."""
    other = home_directory / "other"
    other.mkdir()
    link = home_directory / "link"
    link.symlink_to(other)
    box("sh", "-c", f"echo made >{other}/made", flags=["--write", link]).ok()
    assert (other / "made").exists()
    box("sh", "-c", f"echo x >{outside}/sentinel; true", flags=["--write", link]).ok()
    assert (outside / "sentinel").read_text() == "untouched\n"


def swapping(first, second):
    """Two names that change places as fast as they can, until the returned function is called."""
    stop = threading.Event()
    spare = first.with_name(first.name + ".spare")

    def loop():
        while not stop.is_set():
            first.rename(spare)
            second.rename(first)
            time.sleep(0.0002)
            first.rename(second)
            spare.rename(first)
            time.sleep(0.0002)

    thread = threading.Thread(target=loop)
    thread.start()

    def end():
        stop.set()
        thread.join()

    return end


@pytest.mark.slow
def test_a_root_that_is_swapped_for_a_symlink(run_coffer, tier, workspace, outside):
    """What is writable is what the name meant when it was resolved. When that was the link's goal,
    outside/named can be made; only then may anything come to lie there."""
    sub = workspace / "sub"
    sub.mkdir()
    (workspace / "other").symlink_to(outside)
    end = swapping(sub, workspace / "other")
    stop_at = time.monotonic() + 2
    runs = 0
    try:
        while time.monotonic() < stop_at or runs < 5:
            script = f"echo x >{outside}/named; for i in 1 2 3 4 5 6; do echo x >sub/through; done"
            run_coffer(
                *["run", "--isolation", tier, "--quiet", "--mode", "read-only"],
                *["--write", "sub", "--", "sh", "-c", script],
                cwd=workspace,
                report=False,
            )
            runs += 1
            if (outside / "through").exists():
                assert (outside / "named").exists(), f"through the swapped root, in run {runs}"
            for name in ("named", "through"):
                (outside / name).unlink(missing_ok=True)
    finally:
        end()
    assert (outside / "sentinel").read_text() == "untouched\n"


@pytest.mark.slow
def test_a_carve_out_that_is_swapped_for_a_symlink(run_coffer, tier, workspace, untouched):
    """Nested in a writable root: whatever the name means, outside is no part of the root."""
    sub = workspace / "sub"
    sub.mkdir()
    (workspace / "other").symlink_to(untouched)
    end = swapping(sub, workspace / "other")
    stop_at = time.monotonic() + 2
    try:
        while time.monotonic() < stop_at:
            for flag in ("--read-only", "--deny-read"):
                script = "for i in 1 2 3 4 5 6; do echo x >sub/through; rm -f sub/sentinel; done"
                run_coffer(
                    *["run", "--isolation", tier, "--quiet", flag, "sub", "--"],
                    *["sh", "-c", script],
                    cwd=workspace,
                    report=False,
                )
    finally:
        end()


def test_a_race_from_inside(box, untouched):
    """Two threads of the box's: one swaps a directory for a link, the other writes through it."""
    script = f"""
import os, threading, time
os.mkdir("a"); os.symlink("{untouched}", "b")
stop = time.monotonic() + 2
def swap():
    while time.monotonic() < stop:
        os.rename("a", "c"); os.rename("b", "a"); os.rename("a", "b"); os.rename("c", "a")
thread = threading.Thread(target=swap); thread.start()
written = 0
while time.monotonic() < stop:
    for call in (lambda: open("a/through", "w").close(), lambda: os.chmod("a/sentinel", 0o777),
                 lambda: os.truncate("a/sentinel", 0), lambda: os.mkdir("a/made"),
                 lambda: os.utime("a/sentinel"), lambda: os.unlink("a/sentinel")):
        try:
            call(); written += 1
        except OSError:
            pass
thread.join()
print(written)
"""
    assert int(box("python3", "-c", script).ok().out) > 0


def test_no_mounts(box, untouched, workspace):
    (workspace / "point").mkdir()
    script = f"""
        mount --bind {untouched} point; mount -t tmpfs none point
        mount -t overlay none -o lowerdir=/usr,upperdir={untouched},workdir=. point
        mount -o remount,rw /; mount -o remount,rw,bind {untouched.parent}
        unshare -Urm mount --bind {untouched} point
        echo changed >point/sentinel; echo changed >{untouched}/sentinel; true"""
    box("sh", "-c", script).ok()
    assert (workspace / "point" / "sentinel").read_text() == "changed\n"


def test_execution_from_memory_still_works(probe):
    assert probe("exec") == {"memfd-execveat": "ok"}
