"""What a failed command printed, as coffer's trace: samples from real tools, and the report."""

import importlib.machinery
import importlib.util
import json
import os
import re
import subprocess
import time
from pathlib import Path

import pytest
import support

HERE = Path(__file__).resolve().parent
SAMPLES = sorted((HERE / "samples").rglob("*.txt"))


def load_script(name):
    loader = importlib.machinery.SourceFileLoader(name, str(HERE / name))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(name, loader))
    loader.exec_module(module)
    return module


make_samples = load_script("make_samples")
make_samples.COFFER = str(support.COFFER)


def trace_text(text, *args, cwd=None):
    if isinstance(text, str):
        text = text.encode()
    done = subprocess.run([support.COFFER, "trace", *args], input=text, capture_output=True,
                          timeout=60 * support.SLOWDOWN, check=True, cwd=cwd)
    return done.stdout.decode()


# ---- the samples ----


def test_there_are_enough_samples():
    real = [p for p in SAMPLES if p.parent.name == "samples"]
    assert len(real) >= 60
    assert {p.stem for p in real} == set(make_samples.SAMPLES_OF)
    assert all(p.with_suffix(".json").exists() for p in SAMPLES)


@pytest.mark.parametrize("path", SAMPLES, ids=lambda p: p.stem)
def test_sample(path):
    expected = json.loads(path.with_suffix(".json").read_text())
    assert make_samples.brief(make_samples.trace(path)) == expected


def test_moved_lines_keep_the_fingerprint(tmp_path):
    text = (HERE / "samples" / "gcc-notes.txt").read_text()
    a = json.loads(trace_text(text, "--json", cwd=tmp_path))
    b = json.loads(trace_text(re.sub(r"main\.c:(\d)", r"main.c:1\1", text), "--json", cwd=tmp_path))
    assert a["fingerprint"] == b["fingerprint"]
    assert a["failures"][0]["frames"][0]["line"] != b["failures"][0]["frames"][0]["line"]


# ---- coffer trace ----


def test_text_is_short_and_harmless(tmp_path):
    (tmp_path / "a.py").write_text("def f():\n    raise ValueError('\x1b]0;x\x07')\n")
    text = ("Traceback (most recent call last):\n"
            f'  File "{tmp_path}/a.py", line 2, in f\nValueError: \x1b[2Jred\x07\x9b\n')
    shown = trace_text(text, "--text", cwd=tmp_path)
    assert "python: ValueError: red" in shown
    assert "a.py:2 in f" in shown and ">     2 | " in shown
    assert not any(ord(c) < 0x20 and c != "\n" for c in shown)


def test_file_and_bad_words(tmp_path):
    file = tmp_path / "log"
    file.write_text("fatal: no\n")
    done = subprocess.run([support.COFFER, "trace", file], capture_output=True, check=True)
    assert json.loads(done.stdout)["failures"][0]["message"] == "no"
    for args in (["--nonsense"], [tmp_path / "missing"], ["--workspace", "/nonexistent"]):
        done = subprocess.run([support.COFFER, "trace", *args], capture_output=True, check=False,
                              stdin=subprocess.DEVNULL)
        assert done.returncode == support.SETUP_FAILED and done.stderr


def test_nothing_is_null(tmp_path):
    assert json.loads(trace_text("all is well\n", "--json", cwd=tmp_path)) is None
    assert trace_text("all is well\n", "--text", cwd=tmp_path).strip() == ""


def test_links_do_not_lead_out(tmp_path):
    workspace = tmp_path / "ws"
    workspace.mkdir()
    (tmp_path / "secret").write_text("top secret\n")
    (workspace / "link.py").symlink_to(tmp_path / "secret")
    os.mkfifo(workspace / "fifo.py")
    text = "".join(f"/x/../{workspace}/{n}:1:1: error: x\n" for n in ("link.py", "fifo.py"))
    text += f"{workspace}/link.py:1:1: error: y\n"
    found = json.loads(trace_text(text, "--json", "--workspace", workspace))
    assert all(f["frames"][0]["source"] == [] for f in found["failures"])
    assert "top secret" not in json.dumps(found)


HOSTILE = {
    "newlines": b"\n" * 1_000_000,
    "one line": b"a" * 2_000_000,
    "colons": b":" * 2_000_000,
    "headers": b"Traceback (most recent call last):\n" * 55_000,
    "frames": b'  File "a", line 1, in f\n' * 75_000,
    "places": b"a.c:1:1: error: x\n" * 100_000,
    "different": b"".join(b"a.c:%d:1: error: x%d\n" % (i, i) for i in range(75_000)),
    "errors without calls": b"Error: x\n" * 100_000,
    "causes": b"Caused by: a.bError: x\n" * 85_000,
    "panics": b"panic: x\n" * 100_000,
    "mocha": b"  1) x\n       y\n" * 100_000,
    "valgrind": b"==1== x\n==1==    at 0x1: f (a.c:1)\n" * 50_000,
    "sanitizer": b"ERROR: ASanitizer: x y\n#0 0x1 in f a.c:1\n" * 45_000,
    "leaks": b"Direct leak of x\n" * 100_000,
    "inclusions": b"In file included from a:1,\n" * 70_000,
    "pytest": b"__ x __\n" * 225_000,
    "tap": b"not ok 1 - x\n---\n" * 100_000,
    "jest": "● x\n".encode() * 150_000,
    "escapes": b"\x1b[" * 1_000_000,
    "titles": b"\x1b]" * 1_000_000,
    "eslint": b"  1:1  error  x  y\n" * 100_000,
    "indent": b" " * 1_000_000 + b"\n" + b"  at x\n" * 100_000,
    "random": bytes(range(256)) * 8_000,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_time_is_linear(name, tmp_path):
    """Two MB of whatever is worst for one of the parsers: a quadratic one would take minutes."""
    started = time.monotonic()
    trace_text(HOSTILE[name], "--json", cwd=tmp_path)
    assert time.monotonic() - started < 10 * support.SLOWDOWN


# ---- in a report ----

PROGRAM = "import helper\nprint('begin')\nhelper.work()\n"
HELPER = "def work():\n    table = {}\n    return table['missing']\n"


@pytest.fixture
def broken(workspace):
    (workspace / "main.py").write_text(PROGRAM)
    (workspace / "helper.py").write_text(HELPER)
    return workspace


@pytest.mark.parametrize("how", ["--trace", "--capture"])
def test_report_tells_what_went_wrong(box, broken, how):
    result = box("/usr/bin/python3", "-B", "main.py", flags=[how])
    assert result.code == 1
    failure = result.report["trace"]["failures"][0]
    assert (failure["family"], failure["kind"]) == ("python", "KeyError")
    inner, outer = failure["frames"]
    assert (inner["file"], inner["line"], inner["function"]) == ("helper.py", 3, "work")
    assert inner["inside"] and outer["file"] == "main.py"
    assert inner["source"][-1] == {"line": 3, "text": "    return table['missing']"}
    if how == "--trace":
        assert "begin" in result.out and "KeyError" in result.err
    else:
        assert "KeyError" in result.report["stderr"]


def test_no_trace_without_failure(box, broken):
    (broken / "helper.py").write_text("def work():\n    print('fatal: not really')\n")
    assert box("/usr/bin/python3", "-B", "main.py", flags=["--trace"]).ok().report["trace"] is None
    assert box("sh", "-c", "exit 3", flags=["--trace"]).report["trace"] is None


def test_endings(box, broken):
    found = box("sh", "-c", "kill -SEGV $$").report["trace"]["failures"][0]
    assert (found["family"], found["kind"]) == ("process", "SIGSEGV")
    found = box("sh", "-c", "sh -c 'kill -ABRT $$'; exit $?").report["trace"]["failures"][0]
    assert found["kind"] == "SIGABRT" and "exit code" in found["message"]
    found = box("no-such-program-here").report["trace"]["failures"][0]
    assert found["kind"] == "not_found"


def test_what_the_box_cannot_see_is_not_shown(box, broken):
    """The text names a hidden file, a file outside and a link to each; none is read."""
    (broken / ".env").write_text("TOKEN=hidden-word\n")
    (broken / "private").mkdir()
    (broken / "private" / "a.py").write_text("hidden_word = 1\n")
    script = f"""
ln -s .env link.py; ln -s /etc/passwd out.py; ln -s private/a.py again.py
for f in .env private/a.py link.py out.py again.py helper.py; do
    echo "{broken}/$f:1:1: error: look" >&2
done
exit 1
"""
    result = box("sh", "-c", script,
                 flags=["--trace", "--hide-secrets", "--deny-read", broken / "private"])
    frames = [f["frames"][0] for f in result.report["trace"]["failures"]]
    shown = {f["file"]: [s["text"] for s in f["source"]] for f in frames}
    assert shown.pop("helper.py")[0] == "def work():"
    assert len(shown) == 5 and not any(shown.values()), shown
    assert "hidden" not in json.dumps(result.report["trace"])


def test_source_lines_are_those_of_the_layer(run_coffer, broken):
    """What the box wrote is on a layer, the host's file is another."""
    script = "sed -i 's/table = {}/table = []/' helper.py; exec /usr/bin/python3 -B main.py"
    name = f"trace-{os.getpid()}"
    try:
        result = run_coffer("run", f"--layer={name}", "--trace", "--", "sh", "-c", script,
                            cwd=broken)
        if result.code == support.SETUP_FAILED:
            pytest.skip(f"no layers here: {result.err}")
        failure = result.report["trace"]["failures"][0]
        assert failure["kind"] == "TypeError"
        assert {"line": 2, "text": "    table = []"} in failure["frames"][0]["source"]
        assert failure["frames"][1]["source"], "of the host's, below the layer"
    finally:
        run_coffer("discard", name, cwd=broken)


def test_paths_of_a_strict_box(run_coffer, broken):
    result = run_coffer("run", "--profile", "strict", "--limit", "cpu=none", "--",
                        "/usr/bin/python3", "-B", "main.py", cwd=broken)
    if result.code == support.SETUP_FAILED:
        pytest.skip(f"no strict box here: {result.err}")
    inner = result.report["trace"]["failures"][0]["frames"][0]
    assert inner["file"] == "helper.py" and inner["source"][-1]["line"] == 3


def test_output_is_passed_on_whole(run_coffer, workspace):
    """--trace looks at what passes and changes nothing: order, bytes, both streams."""
    script = "import os\nfor i in range(3000):\n os.write(1, b'o%d\\n' % i * 20)\n" \
             " os.write(2, b'e%d\\n' % i * 20)\nraise SystemExit('error: last words')\n"
    result = run_coffer("run", "--trace", "--", "/usr/bin/python3", "-c", script, cwd=workspace,
                        binary=True)
    assert result.out == b"".join(b"o%d\n" % i * 20 for i in range(3000))
    assert result.err.endswith(b"error: last words\n")
    assert result.err.count(b"\ne") >= 60000 - 1
    assert result.report["trace"]["failures"][0]["message"] == "last words"


def test_after_a_limit_of_output_the_end_is_still_seen(run_coffer, workspace):
    script = "yes | head -c 200000; echo 'fatal: at the end'; exit 1"
    result = run_coffer("run", "--trace", "--limit", "output=10K", "--", "sh", "-c", script,
                        cwd=workspace)
    assert len(result.out) == 10 * 1024
    assert result.report["trace"]["failures"][0]["message"] == "at the end"


def test_a_flood_of_failures_ends(run_coffer, workspace):
    script = "i=0; while [ $i -lt 20000 ]; do echo \"a.c:$i:1: error: e\"; i=$((i+1)); done; exit 1"
    result = run_coffer("run", "--trace", "--", "bash", "-c", script, cwd=workspace)
    trace = result.report["trace"]
    assert len(trace["failures"]) == 32 and trace["more"] > 1000
