"""Who is asked for a name that no rule decides is asked as often as need be, and not more often."""

import contextlib
import json
import socket
import threading

import pytest

ASKED = "v4.coffer-world.com"


@pytest.fixture
def asker(world):
    """Answers what it is asked of ASKED, and nothing else. .questions: all that it was asked."""
    path = world.directory / "ask"
    path.unlink(missing_ok=True)
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(path))
    server.listen(1)

    def answer():
        with contextlib.suppress(OSError):
            client = server.accept()[0].makefile("rw")
            for line in client:
                question = json.loads(line)
                answer.questions.append(question)
                if question["name"] == ASKED:
                    client.write(json.dumps({"id": question["id"], "verdict": "allow"}) + "\n")
                    client.flush()

    answer.questions, answer.path = [], path
    threading.Thread(target=answer, daemon=True).start()
    yield answer
    server.close()
    path.unlink()


def test_clients_that_left_do_not_use_it_up(net, asker):
    code = f"""
import socket, time, urllib.request
proxy = ("198.18.0.1", 3128)
for round in range(3):
    for i in range(120):
        s = socket.create_connection(proxy, 5)
        target = b"n%d-%d.coffer-world.com:443" % (round, i)
        s.sendall(b"CONNECT " + target + b" HTTP/1.1\\r\\nHost: " + target + b"\\r\\n\\r\\n")
        s.close()
    time.sleep(1)
s = socket.create_connection(proxy, 5)
s.sendall(b"GET http://{ASKED}/ HTTP/1.0\\r\\n\\r\\n")
print(s.recv(1000).split()[1].decode())
"""
    done = net("python3", "-c", code, allow=["allowed.coffer-world.com"],
               flags=["--net-ask", asker.path]).ok()  # fmt: skip
    assert done.out == "200\n", done.describe()
    assert len({q["name"] for q in asker.questions}) > 256


def test_one_question_for_many_who_wait(net, asker):
    code = """
import socket, time
waiting = []
for i in range(300):
    s = socket.create_connection(("198.18.0.1", 3128), 5)
    s.sendall(b"CONNECT x.coffer-world.com:443 HTTP/1.1\\r\\nHost: x.coffer-world.com\\r\\n\\r\\n")
    waiting.append(s)
time.sleep(1)
"""
    net("python3", "-c", code, allow=["allowed.coffer-world.com"],
        flags=["--net-ask", asker.path]).ok()  # fmt: skip
    assert [q["name"] for q in asker.questions] == ["x.coffer-world.com"]


def test_a_question_says_who_asks(net, asker):
    """Though egress hears of a connection before whoever made it has had its turn again."""
    code = """
import socket, time
waiting = []
for i in range(60):
    s = socket.socket()
    s.setblocking(False)
    s.connect_ex((socket.gethostbyname("n%d.coffer-world.com" % i), 80))
    waiting.append(s)
time.sleep(1)
"""
    net("python3", "-c", code, allow=["allowed.coffer-world.com"],
        flags=["--net-ask", asker.path]).ok()  # fmt: skip
    assert len(asker.questions) == 60
    assert {q["program"] for q in asker.questions} == {"python3"}, asker.questions
