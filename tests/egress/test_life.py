"""The egress process lives and ends with its box."""

import fcntl
import json
import os
import shutil
import signal
import subprocess
import time

import pytest
import support

DOMAIN = "coffer-world.com"
ALLOWED = f"allowed.{DOMAIN}"


def children_of(pid, name):
    found = subprocess.run(
        ["pgrep", "-P", str(pid), "-x", name], capture_output=True, text=True, check=False
    )
    return [int(p) for p in found.stdout.split()]


def start(coffer, workspace, *command, flags=()):
    args = ["run", "-q", "--allow-domain", ALLOWED, "--report", "fd:1", *flags]
    process = subprocess.Popen(
        [coffer, *args, "--", *command],
        cwd=workspace,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    support.wait_until(
        lambda: (workspace / "started").exists(), seconds=20, what="the command"
    )
    return process, children_of(process.pid, "coffer-egress")


SLEEP = ["sh", "-c", "touch started; sleep 30"]


def gone(pid):
    try:
        return open(f"/proc/{pid}/stat").read().split()[2] == "Z"
    except OSError:
        return True


def test_it_ends_with_a_supervisor_that_is_killed(coffer, workspace):
    process, egress = start(coffer, workspace, *SLEEP)
    assert len(egress) == 1
    process.send_signal(signal.SIGKILL)
    process.wait()
    support.wait_until(lambda: gone(egress[0]), seconds=2, what="the end of egress")


def ids_of(pid):
    lines = open(f"/proc/{pid}/status").read().splitlines()
    words = [line.split() for line in lines if line.startswith(("Uid:", "Gid:", "Groups:"))]
    return {word for line in words for word in line[1:]}


@pytest.mark.skipif(not support.IS_ROOT, reason="only root has ids to give away")
def test_each_has_an_id_of_its_own(coffer, workspace):
    processes, ids, boxes = [], [], set()
    try:
        for port in "18091", "18092":
            (workspace / "started").unlink(missing_ok=True)
            process, (egress,) = start(
                coffer, workspace, *SLEEP, flags=["--publish", f"{port}:80"]
            )
            processes.append(process)
            (helper,) = children_of(egress, "coffer-egress")
            support.wait_until(lambda h=helper: "0" not in ids_of(h), seconds=2, what="its ids")
            assert len(ids_of(egress)) == 1 and ids_of(helper) == ids_of(egress)
            ids += ids_of(egress)
            boxes |= {i for p in children_of(process.pid, "coffer") for i in ids_of(p)}
    finally:
        for process in processes:
            process.kill()
            process.wait()
    assert ids[0] != ids[1]
    assert boxes and not {*boxes, "0", "65534"} & set(ids)


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM])
def test_so_does_the_command_of_a_secret(coffer, workspace, end):
    command = 'sleep 40 & echo $$ $! $PPID >pids.new; mv pids.new pids; wait'
    secret = f"name=TOKEN,host={ALLOWED},from=command:{command}"
    process = subprocess.Popen(
        [coffer, "run", "-q", "--allow-domain", ALLOWED, "--net-secret", secret, "--", "true"],
        cwd=workspace,
        stdin=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    support.wait_until(lambda: (workspace / "pids").exists(), seconds=20, what="the command")
    pids = [int(p) for p in (workspace / "pids").read_text().split()]
    assert not any(gone(p) for p in pids)
    process.send_signal(end)
    process.wait()
    for pid in pids:
        support.wait_until(lambda p=pid: gone(p), seconds=2, what="the end of all of it")


def test_it_leaves_nothing_behind(coffer, workspace):
    process, egress = start(coffer, workspace, "sh", "-c", "touch started; sleep 0.3")
    assert process.wait() == 0
    assert gone(egress[0])


def test_without_it_nothing_gets_out_and_the_report_says_so(coffer, workspace):
    code = "touch started; sleep 1; curl -sS -m 5 https://1.2.3.4/; getent hosts " + ALLOWED
    process, egress = start(coffer, workspace, "sh", "-c", code + "; true")
    os.kill(egress[0], signal.SIGKILL)
    before = time.monotonic()
    out, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    assert time.monotonic() - before < 20
    assert "coffer-egress ended before the box did" in out


def test_the_command_cannot_see_it(coffer, workspace):
    process, egress = start(
        coffer, workspace, "sh", "-c", "touch started; grep -l egress /proc/[0-9]*/comm; true"
    )
    out, _ = process.communicate(timeout=20)
    assert "comm" not in out


DEAF = r"""
#include <string.h>
#include <unistd.h>
#include <sys/socket.h>
#include "policy/egress.h"
/* In the place of coffer-egress: gets ready, then asks without end and hears nothing. */
int main(void)
{
	struct egress_message message = {.kind = EGRESS_READY};
	char lists[3] = {0, 0, 0};
	int file = MEMFD;
	if (write(file, lists, sizeof(lists)) != sizeof(lists))
		return 1;
	union {
		char space[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = {0};
	struct iovec iov = {&message, sizeof(message)};
	struct msghdr header = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.space,
		.msg_controllen = sizeof(control.space)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&header);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &file, sizeof(int));
	if (sendmsg(3, &header, 0) < 0)
		return 1;
	message = (struct egress_message){.kind = EGRESS_ASK};
	sleep(1);
	for (uint32_t i = 1;; i++) {
		message.id = i;
		if (send(3, &message, sizeof(message), 0) < 0)
			pause();
	}
}
"""


def test_one_that_does_not_listen_holds_nobody_up(coffer, workspace, home_directory):
    """A taken-over egress can say what it likes, and hear nothing: the time limit holds."""
    copy = home_directory / "bin"
    copy.mkdir()
    shutil.copy(coffer, copy / "coffer")
    source = copy / "deaf.c"
    text = DEAF.replace("MEMFD", 'memfd_create("ready", 0)')
    source.write_text("#define _GNU_SOURCE\n#include <sys/mman.h>\n" + text)
    subprocess.run(
        ["gcc", f"-I{support.ROOT}/src", "-o", copy / "coffer-egress", source], check=True
    )
    before = time.monotonic()
    done = subprocess.run(
        [copy / "coffer", "run", "-q", "--allow-domain", ALLOWED, "--limit", "time=2s,grace=0",
         "--", "sleep", "30"],
        cwd=workspace, stdin=subprocess.DEVNULL, capture_output=True, timeout=30, check=False,
    )  # fmt: skip
    assert done.returncode == 124, done.stderr
    assert time.monotonic() - before < 8


def test_a_log_that_nobody_reads_holds_nobody_up(coffer, workspace):
    read_end, write_end = os.pipe()
    fcntl.fcntl(write_end, fcntl.F_SETPIPE_SZ, 4096)
    code = "i=0; while [ $i -lt 60 ]; do getent hosts n$i.denied.org; i=$((i+1)); done; true"
    before = time.monotonic()
    process = subprocess.Popen(
        [coffer, "run", "-q", "--allow-domain", ALLOWED, "--net-log", "-", "--report", "fd:1",
         "--limit", "time=20s,grace=0", "--", "sh", "-c", code],
        cwd=workspace, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=write_end,
    )  # fmt: skip
    os.close(write_end)
    out, _ = process.communicate(timeout=40)
    os.close(read_end)
    assert process.returncode == 0
    assert time.monotonic() - before < 15
    report = json.loads(out)
    assert report["network"]["log_complete"] is False
    assert report["network"]["refused"] >= 60


WITHOUT_LANDLOCK = """
import ctypes, os, struct, sys
LANDLOCK_CREATE_RULESET, EOPNOTSUPP = 444, 95
code = [(0x20, 0, 0, 0), (0x15, 0, 1, LANDLOCK_CREATE_RULESET), (0x06, 0, 0, 0x50000 | EOPNOTSUPP),
        (0x06, 0, 0, 0x7FFF0000)]
program = b"".join(struct.pack("HBBI", *line) for line in code)
memory = ctypes.create_string_buffer(program, len(program))
filter = struct.pack("HxxxxxxP", len(code), ctypes.addressof(memory))
libc = ctypes.CDLL(None, use_errno=True)
assert libc.prctl(38, 1, 0, 0, 0) == 0  # PR_SET_NO_NEW_PRIVS
assert libc.prctl(22, 2, ctypes.create_string_buffer(filter, len(filter)), 0, 0) == 0
os.execv(sys.argv[1], sys.argv[1:])
"""


def test_what_egress_lacks_is_said(coffer, workspace):
    """On a kernel without Landlock, or one that says so."""
    support.need_user_namespaces()
    flags = ["--isolation", "container", "--allow-domain", ALLOWED, "--report", "fd:1"]
    command = ["/usr/bin/python3", "-c", WITHOUT_LANDLOCK, coffer, "run", *flags, "--", "true"]
    run = subprocess.run(command, cwd=workspace, capture_output=True, text=True, check=False)
    assert "coffer-egress runs without Landlock" in run.stderr, run
    assert "coffer-egress runs without Landlock" in str(json.loads(run.stdout)["notes"])
