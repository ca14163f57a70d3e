"""coffer run --speculate: first it is seen what a command did, and then decided."""

import http.server
import json
import os
import shlex
import signal
import subprocess
import threading
import time

import pytest
import support
from support import COFFER, SLOWDOWN, need_program, run_coffer, wait_until
from terminals import Terminals
from trees import fingerprint

HOST = "host.coffer.internal"


@pytest.fixture(scope="module")
def terminals(tmp_path_factory):
    need_program("tmux", "curl")
    opened = Terminals(tmp_path_factory.mktemp("speculate"), "coffer-speculate")
    yield opened
    opened.tmux("kill-server")


@pytest.fixture
def server():
    """One of the host's, on its loopback; says what it was asked for."""
    asked = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"the server's words\n")

        def log_message(self, *_):
            pass

    made = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=made.serve_forever, daemon=True)
    thread.start()
    made.asked = asked
    made.url = f"http://{HOST}:{made.server_port}/"
    made.flags = ("--allow-domain", f"{HOST}:{made.server_port}/http")
    yield made
    made.shutdown()
    made.server_close()


@pytest.fixture
def project(state, workspace):
    available, reason = support.tier_available("container")
    if not available:
        pytest.skip(f"container tier: {reason}")
    (workspace / "file").write_text("old line\n")
    return workspace


@pytest.fixture
def speculate(terminals, project, state, tmp_path):
    """In a window; the report, once it has ended, is window.report()."""

    def run(script, *flags):
        report = state.parent / "report.json"
        words = [COFFER, "run", "--speculate", "--report", report, *flags, "--", "sh", "-c", script]
        line = " ".join(shlex.quote(str(w)) for w in words)
        window = terminals.open(
            f"cd {project}; {line}; echo EXIT $?; cat",
            XDG_STATE_HOME=str(state),
            HOME=os.environ["HOME"],
            PAGER="cat",
        )

        def ended():
            window.expect(r"^EXIT \d+", 20)
            return json.loads(report.read_text())

        window.report = ended
        return window

    return run


def layers(state):
    return [p for p in (state / "coffer/layers").iterdir() if p.name != "names"]


CHANGES = "echo new line > file; echo added > added; echo said"


def test_yes_applies(speculate, project, state):
    window = speculate(CHANGES + "; exit 3")
    screen = window.ready()
    assert "said" in screen and "file" in screen and "added" in screen
    assert "the command has ended" in screen
    assert (project / "file").read_text() == "old line\n"
    window.typed("y").keys("Enter")
    report = window.report()
    assert report["speculation"]["decision"] == "applied"
    assert report["exit"]["code"] == 3 and "EXIT 3" in window.screen()
    assert (project / "file").read_text() == "new line\n"
    assert (project / "added").read_text() == "added\n"


def test_no_discards(speculate, project, state):
    before = fingerprint(project)
    window = speculate(CHANGES)
    window.ready()
    window.typed("d").keys("Enter")
    assert window.report()["speculation"]["decision"] == "discarded"
    assert fingerprint(project) == before
    assert layers(state) == []


def test_the_patch_on_demand_and_keeping(speculate, project, state):
    before = fingerprint(project)
    window = speculate(CHANGES)
    assert "+new line" not in window.ready()
    window.typed("p").keys("Enter")
    screen = window.expect(r"^\+new line")
    assert "-old line" in screen
    window.ready()
    window.typed("x").keys("Enter")
    window.ready()
    window.typed("k").keys("Enter")
    speculation = window.report()["speculation"]
    assert speculation["decision"] == "kept"
    assert fingerprint(project) == before
    assert run_coffer("apply", speculation["layer"], cwd=project).ok()
    assert (project / "file").read_text() == "new line\n"


def test_connections_wait_and_are_let_through(speculate, project, server):
    script = f"echo before > before; curl -s {server.url}first > got; echo after > after"
    window = speculate(script, *server.flags)
    screen = window.ready()
    assert f"{HOST}:{server.server_port}  by curl" in screen
    assert "waits for connections" in screen and "before" in screen and "after" not in screen
    assert server.asked == []
    window.typed("y").keys("Enter")
    screen = window.expect("the command has ended", 20)
    screen = window.ready()
    assert server.asked == ["/first"] and "(let through)" in screen
    assert not (project / "got").exists()
    window.typed("y").keys("Enter")
    speculation = window.report()["speculation"]
    wanted = speculation["wanted"]
    assert [w["target"] for w in wanted] == [f"{HOST}:{server.server_port}"]
    assert wanted[0]["released"] is True and wanted[0]["program"] == "curl"
    assert (project / "got").read_text() == "the server's words\n"


def test_connections_are_not_let_through(speculate, project, server):
    before = fingerprint(project)
    window = speculate(f"echo x > x; curl -s {server.url}; sleep 600", *server.flags)
    window.ready()
    window.typed("d").keys("Enter")
    assert window.report()["speculation"]["decision"] == "discarded"
    assert server.asked == [] and fingerprint(project) == before


def test_it_is_shown_when_somebody_wants_to_see_it(speculate, project):
    window = speculate("echo x > early; echo up; while ! test -e go; do sleep 0.1; done")
    window.expect("^up")
    window.keys("C-c")
    screen = window.ready()
    assert "early" in screen and "the command is stopped" in screen
    window.typed("y").keys("Enter")
    time.sleep(0.3)
    assert "EXIT" not in window.screen(), "it goes on"
    window.keys("C-c")
    window.ready()
    window.typed("k").keys("Enter")
    assert window.report()["speculation"]["decision"] == "kept"
    assert not (project / "early").exists()


def test_what_a_stranger_names_moves_no_terminal(speculate, project):
    script = r'''mkdir d; touch "$(printf 'd/\033[2Jx\ny')"; echo done'''
    window = speculate(script)
    screen = window.ready()
    assert "done" in screen, "the screen was erased"
    window.typed("d").keys("Enter")
    window.report()


# Nobody at a terminal.


def run_ahead(project, script, *flags, **keywords):
    return run_coffer(
        "run", "--speculate", *flags, "--", "sh", "-c", script, cwd=project, **keywords
    )


def test_without_a_terminal_it_is_kept(project, state):
    before = fingerprint(project)
    result = run_ahead(project, CHANGES + "; exit 4")
    assert result.code == 4 and "said" in result.out
    speculation = result.report["speculation"]
    assert speculation["decision"] == "kept" and speculation["wanted"] == []
    for verb in ("diff", "apply", "discard"):
        assert f"coffer {verb} {speculation['layer']}" in result.err
    assert fingerprint(project) == before
    run_coffer("apply", speculation["layer"], cwd=project).ok()
    assert (project / "file").read_text() == "new line\n"


def test_without_a_terminal_what_waits_is_refused(project, server):
    script = f"curl -s {server.url}; echo curl $?; echo x > x"
    result = run_ahead(project, script, "--layer=ahead", *server.flags, timeout=40)
    assert result.code == 0 and "curl 0" not in result.out, result.describe()
    wanted = result.report["speculation"]["wanted"]
    assert [w["target"] for w in wanted] == [f"{HOST}:{server.server_port}"]
    assert wanted[0]["released"] is False and server.asked == []
    assert f"--layer=ahead --allow-domain {HOST}:{server.server_port}" in result.err
    # With what it says, the command goes on where it was.
    again = run_coffer(
        *("run", "--layer=ahead", *server.flags, "--"),
        *("sh", "-c", f"test -e x && curl -s {server.url}"),
        cwd=project,
    )
    assert again.ok().out == "the server's words\n" and server.asked == ["/"]


def test_names_that_no_rule_allows_wait_too(project):
    script = "curl -s -m 20 https://example.org/; curl -s http://192.0.2.7:8080/; echo x > x"
    result = run_ahead(project, script, timeout=40)
    wanted = {w["target"]: w for w in result.report["speculation"]["wanted"]}
    assert wanted["example.org:443"]["program"] == "curl", result.describe()


def test_nothing_was_done(project, state):
    result = run_ahead(project, "true")
    assert result.code == 0 and "nothing was written" in result.err
    assert layers(state) == []


def test_what_cannot_be_run_ahead(project, state):
    flags = ("--allow-udp", "example.org:123")
    refused = run_ahead(project, "true", *flags)
    assert refused.code == support.SETUP_FAILED and "--allow-udp" in refused.err
    assert layers(state) == []
    broken = run_ahead(project, "true", "--write", "no-such-directory")
    assert broken.code == support.SETUP_FAILED and layers(state) == []


@pytest.mark.parametrize("which", [signal.SIGTERM, signal.SIGKILL])
def test_whoever_ends_it_ends_the_command(project, state, which):
    runtime = state.parent / "runtime"
    runtime.mkdir()
    seconds = f"6{os.getpid() % 100000:05}"
    with subprocess.Popen(
        [COFFER, "run", "--speculate", "--", "sh", "-c", f"echo x > x; echo up; sleep {seconds}"],
        cwd=project,
        stdout=subprocess.PIPE,
        env={**os.environ, "XDG_RUNTIME_DIR": str(runtime)},
        text=True,
    ) as run:
        assert run.stdout.readline() == "up\n"
        os.kill(run.pid, which)
        run.wait(20 * SLOWDOWN)

    def gone():
        return subprocess.run(["pgrep", "-f", f"^sleep {seconds}"], stdout=-3).returncode != 0

    wait_until(gone, 5, "the command's end")
    assert not (project / "x").exists() and len(layers(state)) == 1
    assert os.listdir(runtime) == []
