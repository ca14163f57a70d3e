"""Where the processes of a box stood when its time was up."""

import shutil
import subprocess
import time

import pytest
import support

SLOW = """\
import subprocess
import threading
import time


def wait_for(lock):
    lock.acquire()


def nap(seconds):
    time.sleep(
        seconds,
    )


def main():
    lock = threading.Lock()
    lock.acquire()
    threading.Thread(target=wait_for, args=(lock,), daemon=True).start()
    subprocess.Popen(["./native"])
    nap(100)


main()
"""
NATIVE = """\
#include <unistd.h>

static void wait_here(int n)
{
	pause();
	(void)n;
}

static void outer(void)
{
	wait_here(3);
	(void)getpid();
}

int main(void)
{
	outer();
	return 0;
}
"""


def stacks_of(process, language):
    return [s["frames"] for s in process["stacks"] if s["language"] == language]


def timed_out(box, *command, limit="time=700ms", **keywords):
    result = box(*command, flags=["--limit", limit], **keywords)
    assert result.code == support.TIMED_OUT, result.describe()
    trace = result.report["trace"]
    assert trace["failures"][0]["kind"] == "timed_out"
    return {p["name"]: p for p in trace["processes"]}


@pytest.fixture
def slow(workspace, cc):
    (workspace / "slow.py").write_text(SLOW)
    cc(NATIVE, workspace, name="native", flags=["-g", "-O0"])
    return workspace


BUSY = """\
static void spin(void) { for (volatile int i = 0;; i++); }
int main(void) { spin(); }
"""
SHY = """\
#include <sys/prctl.h>
#include <unistd.h>
int main(void) { prctl(PR_SET_DUMPABLE, 0); for (;;) pause(); }
"""


def test_where_each_stood(box, slow, cc):
    """One that waits, one that sleeps, one that computes, one that must not be looked at."""
    cc(BUSY, slow, name="busy", flags=["-g", "-O0"])
    cc(SHY, slow, name="shy")
    found = timed_out(box, "sh", "-c", "./native & sleep 100 & ./shy & ./busy; echo",
                      limit="time=1s")
    assert found["sleep"]["state"] == "S (sleeping)"
    assert found["sleep"]["syscall"] == "clock_nanosleep"
    assert found["sleep"]["command"] == "sleep 100"
    assert found["sh"]["syscall"] == "wait4"
    assert found["shy"]["state"] == "S (sleeping)"
    assert found["busy"]["state"].startswith("R")
    assert stacks_of(found["busy"], "native")[0][0]["function"] == "spin"
    frames = stacks_of(found["native"], "native")[0]
    ours = [(f["function"], f["file"], f["line"]) for f in frames if f["inside"] and f["line"]]
    assert ours == [
        ("wait_here", "native.c", 5),
        ("outer", "native.c", 11),
        ("main", "native.c", 17),
    ]
    marked = next(f for f in frames if f["function"] == "outer")["source"]
    assert {"line": 11, "text": "\twait_here(3);"} in marked


def python_is_known():
    done = subprocess.run(["/usr/bin/python3", "--version"], capture_output=True, text=True,
                          check=False)
    return done.stdout.startswith("Python 3.11.")


@pytest.mark.skipif(not python_is_known(), reason="needs CPython 3.11")
def test_the_python_stack(box, slow):
    found = timed_out(box, "/usr/bin/python3", "-B", "slow.py", limit="time=1500ms")
    stacks = [[(f["function"], f["line"]) for f in frames if f["inside"]]
              for frames in stacks_of(found["python3"], "python")]
    assert [("nap", 11), ("main", 21), ("<module>", 24)] in stacks
    assert [("wait_for", 7)] in stacks
    assert found["python3"]["threads"] == 2 and "native" in found


def test_many_processes_are_bounded(run_coffer, workspace):
    started = time.monotonic()
    result = run_coffer("run", "--limit", "time=1s", "--", "sh", "-c",
                        "for i in $(seq 200); do sleep 100 & done; wait", cwd=workspace)
    assert len(result.report["trace"]["processes"]) == 16
    assert time.monotonic() - started < 8 * support.SLOWDOWN


def test_the_program_still_gets_its_grace(box, workspace):
    """It is stopped for the look, and goes on: its own clean-up runs."""
    script = "trap 'echo cleaned; exit 7' TERM; while :; do sleep 0.05; done"
    result = box("sh", "-c", script, flags=["--limit", "time=500ms,grace=5s"])
    assert result.code == support.TIMED_OUT and "cleaned" in result.out


def test_without_the_helper_the_rest_is_told(workspace, tmp_path):
    """coffer alone, installed without coffer-stacks."""
    alone = tmp_path / "coffer"
    shutil.copy2(support.COFFER, alone)
    alone.chmod(0o755)
    tmp_path.chmod(0o755)
    report = tmp_path / "report"
    subprocess.run([alone, "run", "--report", report, "--limit", "time=300ms", "--", "sleep",
                    "100"], cwd=workspace, stdin=subprocess.DEVNULL, capture_output=True,
                   timeout=30 * support.SLOWDOWN, check=False)
    text = report.read_text()
    assert '"clock_nanosleep"' in text and '"native"' not in text


def test_it_does_nothing_for_a_person():
    done = subprocess.run([support.COFFER.parent / "coffer-stacks"], capture_output=True,
                          check=False)
    assert done.returncode == 1 and b"usage" in done.stderr
