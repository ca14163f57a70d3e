"""P12: kill -9 of any of coffer's processes, at any moment, leaves, one second later, no orphan
process, mount, temporary directory, or process in a control group of its own."""

import concurrent.futures
import os
import platform
import random
import signal
import subprocess
import time
import uuid
from pathlib import Path

import pytest
import support

KILLS = int(os.environ.get("COFFER_KILLS", "25"))
SEED = int(os.environ.get("COFFER_SEED", "0")) or random.getrandbits(32)
# The bystanders: with a terminal's grace, more of them would only measure the machine.
AT_ONCE = 5
PROMISED_S = 1.0 * support.SLOWDOWN
# Long enough after a start that the command runs; launches take some ten milliseconds.
LATEST_S = 0.12 * support.SLOWDOWN

COMMAND = """
import os, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork():
        os._exit(0)
time.sleep(300)
"""


def processes_with(marker):
    """Processes of the host, alive and with marker among their arguments, but not this one."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            arguments = (entry / "cmdline").read_bytes()
        except OSError:
            continue
        if marker.encode() in arguments and support.process_exists(entry.name):
            found.append((int(entry.name), arguments.replace(b"\0", b" ").decode()[:100]))
    return found


def mounts():
    return Path("/proc/self/mountinfo").read_text()


def crowded_cgroups(name="coffer"):
    """Control groups of coffer's that have a process in them."""
    found = []
    for directory, folders, files in os.walk("/sys/fs/cgroup"):
        if name in os.path.basename(directory) and "cgroup.procs" in files:
            try:
                if (Path(directory) / "cgroup.procs").read_text():
                    found.append(directory)
            except OSError:
                continue
    return found


def start(tier, workspace, marker, flags=()):
    return subprocess.Popen(
        [support.COFFER, "run", "--quiet", "--isolation", tier, *flags]
        + ["--", "python3", "-c", COMMAND, marker],
        cwd=workspace,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def temporary_directories(supervisor):
    """What the landlock tier's boxes of that supervisor have for TMPDIR."""
    return list(Path("/tmp").glob(f"coffer-{supervisor}-*"))


def new_marker():
    return f"coffer-marker-{uuid.uuid4().hex}"


def kill_at(tier, workspace, delay, flags=()):
    """What is left one second after the supervisor was killed delay after its start."""
    marker = new_marker()
    process = start(tier, workspace, marker, flags)
    time.sleep(delay)
    process.kill()
    process.wait()
    time.sleep(PROMISED_S)
    return delay, processes_with(marker) + temporary_directories(process.pid)


@pytest.mark.slow
@pytest.mark.timeout(30 + KILLS)
@pytest.mark.parametrize("flags", [[], ["--git", "commit"]], ids=["plain", "git-commit"])
def test_kill_of_the_supervisor_at_any_moment(tier, workspace, flags):
    before = mounts()
    moments = random.Random(SEED)
    count = KILLS if not flags else max(KILLS // 3, 1)
    delays = [moments.uniform(0, LATEST_S) for _ in range(count)]
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        jobs = [pool.submit(kill_at, tier, workspace, delay, flags) for delay in delays]
        left = [job.result() for job in jobs]
    assert not [(delay, found) for delay, found in left if found], f"COFFER_SEED={SEED}"
    assert mounts() == before


def family(process, marker):
    """The processes of one box, coffer's own first, once its command runs."""
    return support.wait_until(
        lambda: len(found := processes_with(marker)) >= 3 and found, 5, "the start of the command"
    )


@pytest.mark.core
def test_kill_of_the_supervisor(tier, workspace):
    marker = new_marker()
    process = start(tier, workspace, marker)
    family(process, marker)
    assert bool(temporary_directories(process.pid)) == (tier == "landlock")
    process.kill()
    process.wait()
    time.sleep(PROMISED_S)
    assert processes_with(marker) == []
    assert temporary_directories(process.pid) == []


def children_of(parent):
    """Read from /proc, where the name in the second field may hold anything."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            stat = (entry / "stat").read_text() if entry.name.isdigit() else ""
        except OSError:
            continue
        if stat and int(stat.rpartition(")")[2].split()[1]) == parent:
            found.append(int(entry.name))
    return found


@pytest.mark.core
@pytest.mark.parametrize("served", [False, True], ids=["asleep", "serving"])
def test_kill_of_the_broker_above_init(tier, workspace, served):
    """Before its first call and after: the box ends, and the reason is told."""
    if tier != "landlock":
        pytest.skip("the container tier's broker has nobody below it")
    marker = new_marker()
    command = f"{'mkdir made; ' if served else ''} echo up; sleep 100"
    process = subprocess.Popen(
        [support.COFFER, "run", "--isolation", tier, "--", "sh", "-c", command, marker],
        cwd=workspace,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "up\n"
    (keeper,) = children_of(process.pid)
    (broker,) = children_of(keeper)
    os.kill(broker, signal.SIGKILL)
    _, told = process.communicate(timeout=10 * support.SLOWDOWN)
    assert process.returncode == support.SETUP_FAILED
    assert "the broker has ended" in told
    assert (workspace / "made").is_dir() == served
    assert processes_with(marker) == []
    assert temporary_directories(process.pid) == []


def test_kill_of_every_process_in_turn(tier, workspace):
    """Whichever it is: of coffer's or of the box's own, the box ends or goes on, and when the
    supervisor ends it leaves nothing."""
    marker = new_marker()
    process = start(tier, workspace, marker)
    number_of_processes = len(family(process, marker))
    process.kill()
    process.wait()
    for number in range(number_of_processes):
        marker = new_marker()
        process = start(tier, workspace, marker)
        found = family(process, marker)
        pid, what = found[min(number, len(found) - 1)]
        os.kill(pid, signal.SIGKILL)
        time.sleep(PROMISED_S)
        is_coffers = "coffer run" in what
        if is_coffers:
            assert processes_with(marker) == [], f"after the end of {what}"
        process.kill()
        process.wait()
        support.wait_until(lambda: processes_with(marker) == [], 1, f"the end after {what}")
        left = lambda: temporary_directories(process.pid)
        support.wait_until(lambda: left() == [], 1, f"no TMPDIR after {what}")


# Chains of processes, each of which lives for the microseconds that it takes to start the next one:
# none is still there when its number has been found. They stop by themselves after 15 seconds.
CHAINS = r"""
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>
#include <x86intrin.h>
int main(int argc, char **argv)
{
	unsigned long start = __rdtsc();
	usleep(100000);
	unsigned long end = start + (__rdtsc() - start) * 150;
	int fd = open("alive", O_CREAT | O_RDWR, 0644);
	if (ftruncate(fd, 4096))
		return 1;
	unsigned long *alive = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	for (int i = 0; i < 16; i++) {
		if (fork())
			continue;
		setsid();
		register unsigned long until asm("r12") = end;
		register unsigned long *now asm("r13") = alive;
		asm volatile("1: rdtsc\n shl $32, %%rdx\n or %%rdx, %%rax\n mov %%rax, (%%r13)\n"
			     "cmp %%r12, %%rax\n ja 2f\n"
			     /* clone(CLONE_VM | CLONE_FS | CLONE_FILES | SIGCHLD) */
			     "mov $56, %%eax\n mov $0x711, %%edi\n xor %%esi, %%esi\n"
			     "xor %%edx, %%edx\n xor %%r10d, %%r10d\n xor %%r8d, %%r8d\n syscall\n"
			     "test %%rax, %%rax\n js 1b\n jz 1b\n"
			     "2: mov $231, %%eax\n xor %%edi, %%edi\n syscall\n"
			     :: "r"(until), "r"(now)
			     : "rax", "rdi", "rsi", "rdx", "r10", "r8", "rcx", "r11", "memory");
	}
	usleep(200000);
	puts("up");
	fflush(stdout);
	if (argc > 1)
		pause();
	return 0;
}
"""


def assert_chains_have_ended(workspace):
    first = (workspace / "alive").read_bytes()[:8]
    time.sleep(0.3)
    assert (workspace / "alive").read_bytes()[:8] == first


@pytest.mark.skipif(platform.machine() != "x86_64", reason="needs a loop without a stack")
def test_processes_that_fork_faster_than_they_are_found(box, tier, cc, workspace):
    cc(CHAINS, workspace, "chains")
    result = box("./chains", flags=["--limit", "time=20s"]).ok()
    assert result.out == "up\n"
    if tier == "container" or support.landlock_abi() >= 6:
        assert result.seconds < 3 * support.SLOWDOWN, result.describe()
    assert_chains_have_ended(workspace)


@pytest.mark.skipif(platform.machine() != "x86_64", reason="needs a loop without a stack")
@pytest.mark.parametrize("who", ["supervisor", "keeper", "broker"])
def test_kill_while_processes_fork_faster_than_they_are_found(tier, cc, workspace, who):
    if tier == "container" and who != "supervisor":
        pytest.skip("its kernel ends a PID namespace at once, whoever was killed")
    if tier == "landlock":
        support.need_landlock(6)
    cc(CHAINS, workspace, "chains")
    process = subprocess.Popen(
        [support.COFFER, "run", "--quiet", "--isolation", tier, "--", "./chains", "on"],
        cwd=workspace,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert process.stdout.readline() == b"up\n"
    victim = process.pid
    for _ in range({"supervisor": 0, "keeper": 1, "broker": 2}[who]):
        victim = children_of(victim)[0]
    os.kill(victim, signal.SIGKILL)
    process.wait(timeout=20 * support.SLOWDOWN)  # the chains leave it little of the processors
    time.sleep(PROMISED_S)
    assert_chains_have_ended(workspace)


def test_kill_of_the_whole_group_at_once(tier, workspace):
    """As a terminal or an engine that gives up would do it."""
    marker = new_marker()
    process = start(tier, workspace, marker)
    family(process, marker)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    time.sleep(PROMISED_S)
    assert processes_with(marker) == []


@pytest.mark.limits
def test_no_control_group_is_left_with_a_process(tier, workspace):
    marker = new_marker()
    process = start(tier, workspace, marker, ["--limit", "memory=256M,pids=100"])
    time.sleep(0.3 * support.SLOWDOWN)
    process.kill()
    process.wait()
    time.sleep(PROMISED_S)
    assert processes_with(marker) == []
    assert not [g for g in crowded_cgroups(f"coffer-{process.pid}")]


def test_a_quarantine_that_was_cut_short_is_finished_by_the_next_start(box, tier, workspace):
    """A protected file may be on disk at the moment of the kill: the next run does not keep it. The
    landlock tier never makes the file: there the kill comes at some moment."""
    process = subprocess.Popen(
        [support.COFFER, "run", "--quiet", "--isolation", tier]
        + ["--", "sh", "-c", "sleep 0.05; echo evil >.envrc; sleep 100"],
        cwd=workspace,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    if tier == "container":
        support.wait_until(
            lambda: (workspace / ".envrc").exists() or process.poll() is not None, 5, "the file"
        )
    else:
        time.sleep(0.2)
    process.kill()
    process.wait()
    time.sleep(PROMISED_S)
    box("true")
    assert not (workspace / ".envrc").exists()


HARD_TO_REMOVE = {
    "shut": "mkdir -p $TMPDIR/a/b; echo x >$TMPDIR/a/b/f; chmod 0 $TMPDIR/a/b $TMPDIR/a $TMPDIR",
    "read-only": "mkdir -p $TMPDIR/a/b/c; echo x >$TMPDIR/a/b/c/f; chmod -R a-w $TMPDIR",
    "deep": """
        cd $TMPDIR; i=0
        while [ $i -lt 1500 ]; do mkdir d 0; echo x >0/1; cd d; i=$((i+1)); done
        head -c 1000000 /dev/zero >big; chmod 0 .""",
    "names": "cd $TMPDIR; for i in 0 1 2 3; do mkdir -p $i/$i/$i/0; done; ln -s /tmp 1/2; mkfifo 9",
}


@pytest.mark.core
@pytest.mark.parametrize("how", HARD_TO_REMOVE)
def test_no_temporary_directory_is_left(box, tier, workspace, outside, how):
    """The landlock tier's lies on the host, and a stranger has filled it."""
    result = box("sh", "-c", f"ln -s {outside} $TMPDIR/link; echo $TMPDIR; {HARD_TO_REMOVE[how]}")
    directory = Path(result.ok().out.strip())
    if tier == "landlock":
        assert directory.parent == Path("/tmp") and directory.name.startswith("coffer-")
        assert not os.path.lexists(directory)
    assert (outside / "sentinel").read_text() == "untouched\n"


def test_a_run_that_ends_by_itself_leaves_nothing_either(tier, workspace, run_coffer):
    before = mounts()
    marker = new_marker()
    run_coffer(
        *["run", "--isolation", tier, "--", "sh", "-c", "sleep 100 & exit 3", marker],
        cwd=workspace,
    )
    assert processes_with(marker) == []
    assert mounts() == before
