"""P7: no new privilege: no setuid gain, no namespaces, mounts, bpf, perf, io_uring, userfaultfd,
keyrings, modules, kexec, nor tracing of what is outside."""

import os
import platform
import shutil
from pathlib import Path

import pytest
import support
from probes import attempts

# Its limit of CPU needs a control group.
STRICT = ["--profile", "strict", *([] if support.IS_ROOT else ["--limit", "cpu=none"])]
X86_64 = platform.machine() == "x86_64"


@pytest.mark.core
def test_privileged_calls_are_refused(probe):
    found = probe("calls")
    assert len(found) > 40
    assert not {name: result for name, result in found.items() if result == "ok"}
    # A call that failed by its arguments, and not by a wall, would prove nothing of the walls.
    walls = {"EPERM", "ENOSYS", "EACCES"}
    for name in [
        *("unshare-user", "clone-user", "clone3-user", "bpf", "perf-event-open", "io-uring-setup"),
        *("userfaultfd", "keyctl", "add-key", "mount-tmpfs", "mount-bind", "pivot-root", "chroot"),
        *("init-module", "finit-module", "kexec-load", "kexec-file-load", "open-by-handle"),
        *("fsopen", "open-tree", "move-mount", "setns", "mknod-memory", "mknod-disk"),
        *("ptrace-init", "ptrace-seize-init", "process-vm-readv-init"),
    ]:
        assert found[name] in walls, (name, found[name])


def test_strict_refuses_them_too(run_coffer, tier, workspace, probe_program):
    if tier != "container":
        pytest.skip("strict refuses this tier")
    shutil.copy(probe_program, workspace / "probe")
    result = run_coffer("run", *STRICT, "--", "./probe", "calls", cwd=workspace).ok()
    found = attempts(result.report["stdout"])
    assert len(found) > 40
    assert not {name: result for name, result in found.items() if result in ("ok", "EINVAL")}


@pytest.mark.skipif(not X86_64, reason="x32 and int 0x80 are of x86-64")
def test_system_calls_of_other_architectures(probe, workspace):
    found = probe("abi")
    assert found["x32-getpid"] == "ENOSYS"
    assert found["x32-mkdir"] == "ENOSYS"
    assert found["int80-getpid"] == "killed"
    assert not (workspace / "x32").exists()


def status_of(text):
    return dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)


@pytest.mark.core
def test_no_capability_and_no_way_to_one(box, tier):
    status = status_of(box("cat", "/proc/self/status").ok().out)
    for name in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
        assert int(status[name], 16) == 0, name
    if tier == "container" or support.IS_ROOT:
        assert int(status["CapBnd"], 16) == 0
    assert status["NoNewPrivs"].strip() == "1"
    assert status["Seccomp"].strip() == "2"


def test_setuid_programs_do_not_gain(box, workspace, tier):
    """A setuid program of root's keeps the ids of the box, wherever it lies."""
    support.need_root()
    program = workspace / "setuid"
    program.write_bytes(Path("/usr/bin/id").read_bytes())
    os.chown(program, 0, 0)
    os.chmod(program, 0o4755)
    inside = box("sh", "-c", "id; ./setuid").ok().out.splitlines()
    assert inside[0] == inside[1]
    effective = box("sh", "-c", "./setuid -u; grep ^CapEff /proc/self/status").ok().out
    assert effective.endswith("CapEff:\t0000000000000000\n")


def test_setuid_programs_of_the_system_do_not_gain(box):
    """As an ordinary user: su and the like run, without the right to become anyone."""
    support.need_user()
    support.need_program("su")
    script = 'for p in su mount passwd; do cp "$(command -v $p)" . ; done; su -c id; mount; true'
    result = box("sh", "-c", script)
    assert "uid=0" not in result.out, result.describe()
    assert box("id", "-u").ok().out == f"{os.getuid()}\n"


def test_setuid_bits_are_harmless_outside(box, workspace, home_directory):
    """A setuid program that a box makes is its owner's: nobody gains root by it."""
    box("sh", "-c", "cp /usr/bin/id made; chmod 6755 made || chmod 755 made").ok()
    status = (workspace / "made").stat()
    assert status.st_uid == workspace.stat().st_uid
    if status.st_uid == 0:
        assert not status.st_mode & 0o6000


SET_ID_FILES = """
import ctypes, os, stat
creat = ctypes.CDLL(None).creat
os.umask(0)
ways = {
    "open": lambda n, m: os.close(os.open(n, os.O_CREAT | os.O_WRONLY, m)),
    "creat": lambda n, m: os.close(creat(n.encode(), m)),
    "mknod": lambda n, m: os.mknod(n, stat.S_IFREG | m),
    "mkfifo": lambda n, m: os.mknod(n, stat.S_IFIFO | m),
    "chmod": lambda n, m: (os.close(os.open(n, os.O_CREAT, 0o755)), os.chmod(n, m)),
    "fchmod": lambda n, m: os.fchmod(os.open(n, os.O_CREAT, 0o755), m),
}
os.mkdir("sub")
for place in ".", "sub":
    for way, make in ways.items():
        for mode in 0o2755, 0o4755, 0o6755, 0o755:
            try:
                make(f"{place}/{way}-{mode:o}", mode)
            except OSError:
                pass
"""


@pytest.mark.core
def test_no_set_id_file_leaves_a_box(box, workspace):
    """By no call that takes a mode: whoever starts such a file outside has its owner's rights."""
    box("/usr/bin/python3", "-c", SET_ID_FILES, flags=["--mode", "workspace-write"]).ok()
    ways = ["open", "creat", "mknod", "mkfifo", "chmod", "fchmod"]
    for place in workspace, workspace / "sub":
        made = {p.name: p.stat().st_mode for p in place.iterdir() if "-" in p.name}
        assert not {name: oct(mode) for name, mode in made.items() if mode & 0o6000}
        assert {f"{way}-755" for way in ways} <= set(made)


def test_user_namespaces_only_when_asked_for(box, tier):
    assert box("unshare", "-U", "true").code != 0
    if tier == "container":
        assert box("unshare", "-U", "true", flags=["--allow-userns"]).code == 0


def test_device_nodes(box, workspace):
    """None can be made, and those there are do nothing but what a program needs."""
    script = """
        mknod mem c 1 1; mknod disk b 8 0; mknod kmsg c 1 11; mknod /dev/mem c 1 1
        cat /dev/mem /dev/kmsg /dev/sda /dev/vda /dev/fuse /dev/kvm /dev/net/tun 2>/dev/null
        head -c 1 /dev/zero | wc -c; head -c 1 /dev/urandom | wc -c; echo x >/dev/null && echo ok"""
    result = box("sh", "-c", script)
    assert result.out == "1\n1\nok\n", result.describe()
    assert not [p for p in workspace.iterdir() if p.is_char_device() or p.is_block_device()]


def test_an_own_child_may_be_traced(box, tier, probe_program):
    """The allowed side of ptrace: debuggers of own children work."""
    script = """
import ctypes, os, signal
libc = ctypes.CDLL(None, use_errno=True)
child = os.fork()
if child == 0:
    signal.pause()
print(libc.ptrace(16, child, None, None))
os.kill(child, signal.SIGKILL)
"""
    assert box("python3", "-c", script).ok().out == "0\n"
