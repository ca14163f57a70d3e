"""The agent's host on a socket: one line of JSON each way (docs/APPROVALS.md)."""

import contextlib
import json
import os
import pwd
import socket
import subprocess
import threading

import pytest
from support import COFFER, IS_ROOT, SLOWDOWN

ASK = COFFER.parent / "tests" / "unit" / "ask_person"
COMMAND = ("--net", "example.com", "--always", "rm", "--", "rm", "-rf", "x\udcffy")


class Host:
    """Answers what it is asked, one question after the other, by the functions that it is given:
    each takes the question and this host, and may return the answer."""

    def __init__(self, connection, *answers):
        self.connection = connection
        self.questions = []
        self.notices = []
        self.file = connection.makefile("rw", encoding="ascii", newline="\n")
        self.answers = answers
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self):
        with contextlib.suppress(OSError, ValueError):
            for answer in self.answers:
                question = self.read()
                if question is None:
                    break
                self.questions.append(question)
                said = answer(question, self)
                if said is not None:
                    self.send(said)
            self.read()

    def hang_up(self):
        self.connection.shutdown(socket.SHUT_RDWR)

    def read(self):
        """The next question; notices are kept."""
        for line in self.file:
            message = json.loads(line)
            if message["type"] == "approval_request":
                return message
            self.notices.append(message)
        return None

    def send(self, message):
        self.write(json.dumps(message) + "\n")

    def write(self, text):
        self.file.write(text)
        self.file.flush()


def say(decision, **fields):
    return lambda question, _host: {"id": question["id"], "decision": decision, **fields}


def ask(where, *words, pass_fds=()):
    """Two questions to the host, and what came of each."""
    done = subprocess.run(
        [ASK, "--channel", where, *map(os.fsencode, words or COMMAND)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=20 * SLOWDOWN,
        pass_fds=pass_fds,
        start_new_session=True,
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


def converse(*answers, option=""):
    ours, theirs = socket.socketpair()
    with ours, theirs:
        host = Host(ours, *answers)
        said = ask(f"fd:{theirs.fileno()}{option}", pass_fds=[theirs.fileno()])
        theirs.close()
        host.thread.join(10)
    return said, host


def test_the_question():
    said, host = converse(say("once", reason="fine"), say("session"))
    assert said == [
        {"answer": "once", "by": "host", "reason": "fine", "command": []},
        {"answer": "session", "by": "host", "command": []},
    ]
    first, second = host.questions
    assert first.pop("id") != second.pop("id")
    assert first == second
    assert first["type"] == "approval_request" and first["version"] == 1
    assert first["kind"] == "command" and first["mode"] == "workspace-write"
    assert first["command"] == ["rm", "-rf", "x\ufffdy"]
    assert first["shell"] == r"rm -rf $'x\377y'"
    assert first["directory"] == "/srv/project"
    assert first["asks"] == [{"kind": "network", "value": "example.com"}]
    assert first["answers"] == ["once", "session", "always", "edit", "no", "stop"]
    assert 'prefix = ["rm"]\n' in first["suggested_rule"]
    assert first["justification"] is None and first["new"] is None
    # Whatever a model or a box may have written is in a field that is said to be such.
    trusted = set(first) - set(first["untrusted"])
    assert trusted == {
        *("type", "version", "kind", "mode", "category", "answers", "user_words"),
        *("parts_left_out", "untrusted"),
    }


def test_every_answer():
    kinds = ["once", "session", "always", "no", "stop"]
    for i in range(0, len(kinds), 2):
        pair = (kinds[i : i + 2] + ["no"])[:2]
        said, _ = converse(*(say(kind) for kind in pair))
        assert [answer["answer"] for answer in said] == pair
    said, _ = converse(say("edit", command=["ls", "a b"]), say("edit"))
    assert said[0]["command"] == ["ls", "a b"]
    assert said[1]["answer"] == "no" and 'without a "command"' in said[1]["reason"]


MALFORMED = {
    "no JSON": ("yes\n", "is no JSON"),
    "a list": ("[]\n", "is no object"),
    "no id": ('{"decision":"once"}\n', "is no object with"),
    "another id": ('{"id":"x","decision":"once"}\n', "to another question"),
    "a number for an id": ('{"id":1,"decision":"once"}\n', "is no object with"),
    "no decision": ('{"id":"ID"}\n', "is none of once"),
    "another decision": ('{"id":"ID","decision":"allow"}\n', "is none of once"),
    "a key twice": ('{"id":"ID","decision":"no","decision":"once"}\n', "is no JSON"),
    "another type": ('{"id":"ID","type":"hello","decision":"once"}\n', 'of another "type"'),
    "a reason of numbers": ('{"id":"ID","decision":"once","reason":[1]}\n', "is no string"),
    "not UTF-8": ('{"id":"ID","decision":"once","reason":"\\ud800"}\n', "is no JSON"),
    "words with NUL": ('{"id":"ID","decision":"edit","command":["a\\u0000b"]}\n', "is no JSON"),
    "no strings": ('{"id":"ID","decision":"edit","command":["a",1]}\n', "is not a list"),
    "no program": ('{"id":"ID","decision":"edit","command":[""]}\n', 'without a "command"'),
    "deeply nested": ("[" * 100000 + "\n", "is no JSON"),
    "cut short": ('{"id":"ID","decision":"once"', "cannot be asked"),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_what_is_no_answer_is_a_refusal(name):
    text, why = MALFORMED[name]

    def answer(question, host):
        host.write(text.replace("ID", question["id"]))
        if not text.endswith("\n"):
            host.hang_up()

    said, _ = converse(answer, say("once"))
    assert said[0]["answer"] == "no" and said[0]["by"] == "nobody"
    assert why in said[0]["reason"]
    # The next question is another matter, as long as lines are whole.
    assert said[1]["answer"] == ("once" if text.endswith("\n") else "no")


def test_a_line_without_an_end_is_not_read_on():
    def answer(_question, host):
        for _ in range(17):
            host.write("x" * (1 << 20))

    said, _ = converse(answer, say("once"))
    assert [a["answer"] for a in said] == ["no", "no"]
    assert "longer than" in said[0]["reason"]
    assert "broken" in said[1]["reason"]


def test_a_host_that_went_away():
    said, _ = converse(lambda _question, host: host.hang_up())
    assert [a["answer"] for a in said] == ["no", "no"]
    assert all(a["by"] == "nobody" for a in said)


def test_a_late_answer_counts_for_nothing():
    late = []

    def sleep(question, _host):
        late.append(question["id"])

    def both(question, host):
        host.send({"id": late[0], "decision": "always"})
        return {"id": question["id"], "decision": "session"}

    said, host = converse(sleep, both, option=",timeout=300ms")
    assert said[0]["answer"] == "no" and "no answer within 300 ms" in said[0]["reason"]
    assert said[1]["answer"] == "session"
    assert host.notices[0] == {"type": "approval_cancelled", "id": late[0]}


def listen(path, *answers, uid=None):
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(path))
    server.listen()
    if uid is not None:  # whoever calls listen() is whom the peer sees
        pid = os.fork()
        if pid == 0:
            os.setuid(uid)
            server.listen()
            os._exit(0)
        os.waitpid(pid, 0)

    def serve():
        with contextlib.suppress(OSError):
            connection, _ = server.accept()
            Host(connection, *answers).thread.join(20)
            connection.close()

    threading.Thread(target=serve, daemon=True).start()
    return server


def test_a_unix_socket(tmp_path):
    with listen(tmp_path / "sock", say("once"), say("stop")):
        said = ask(tmp_path / "sock")
    assert [a["answer"] for a in said] == ["once", "stop"]
    if IS_ROOT:
        nobody = pwd.getpwnam("nobody").pw_uid
        with listen(tmp_path / "theirs", say("once"), uid=nobody):
            said = ask(tmp_path / "theirs")
        assert said[0]["answer"] == "no"
        assert f"is user {nobody}" in said[0]["reason"]


@pytest.mark.parametrize(
    ("where", "why"),
    [
        ("fd:1", "the command's own"),
        ("fd:x", "names no descriptor"),
        ("fd:-1", "names no descriptor"),
        ("fd:99", "Bad file descriptor"),
        ("/nowhere/at/all", "cannot connect"),
        ("/" + "x" * 200, "1 to 107 bytes"),
        ("fd:3,timeout=never", "is no time"),
        ("fd:3,timeout=0", "is no time"),
    ],
)
def test_what_is_no_channel(where, why):
    said = ask(where)
    assert said[0]["answer"] == "no" and said[0]["by"] == "nobody"
    assert why in said[0]["reason"]


def test_a_pipe_is_no_channel():
    read, write = os.pipe()
    said = ask(f"fd:{write}", pass_fds=[write])
    os.close(read)
    os.close(write)
    assert "not a socket" in said[0]["reason"]
