"""Limits of the network: what is over waits or is refused, as the policy says."""

import pytest
import support

DOMAIN = "coffer-world.com"
V4 = f"v4.{DOMAIN}"


def limit(text):
    return ["--net-limit", text]


REQUESTS = """
import http.client
connection = http.client.HTTPConnection(sys.argv[1], timeout=20)
began = time.monotonic()
codes = []
for _ in range(int(sys.argv[2])):
    connection.request("GET", "/")
    answer = connection.getresponse()
    answer.read()
    codes.append(answer.status)
tell([codes, time.monotonic() - began])
"""


def test_requests_that_are_refused(attack, world):
    run = attack(REQUESTS, V4, 8, allow=[V4], flags=limit("requests=5/m,over=refuse"))
    codes, _ = run.told
    assert codes[:5] == [200] * 5 and set(codes[5:]) == {429}, codes
    assert len(world.log("http")) == 5
    assert "requests" in str(run.report["network"]["entries"]), run.describe()


def test_requests_that_wait(attack, world):
    run = attack(REQUESTS, V4, 123, allow=[V4], flags=limit("requests=120/m"))
    codes, seconds = run.told
    assert codes == [200] * 123
    assert 1.3 < seconds  # three more than the minute's, at two a second


CONNECTIONS = """
host, count = sys.argv[1], int(sys.argv[2])
answers, began = [], time.monotonic()
def one():
    answers.append(talk(host))
threads = [threading.Thread(target=one) for _ in range(count)]
[t.start() for t in threads]
[t.join() for t in threads]
through = sum("hello from" in a for a in answers)
tell([through, sorted({a[:20] for a in answers}), time.monotonic() - began])
"""


def test_connections_that_are_refused(attack, world):
    run = attack(CONNECTIONS, V4, 20, allow=[V4], flags=limit("connections=5/s,over=refuse"))
    through, answers, _ = run.told
    assert 5 <= through < 10 * support.SLOWDOWN, run.told
    assert "reset" in answers or "refused" in answers, answers
    assert len(world.log("http")) == through


def test_connections_that_wait(attack, world):
    run = attack(CONNECTIONS, V4, 20, allow=[V4], flags=limit("connections=10/s"))
    through, answers, seconds = run.told
    assert through == 20, answers
    assert 0.8 < seconds


BYTES = """
host, way, port = sys.argv[1:]
size = 2000000
began = time.monotonic()
if way == "in":
    text = request(host, path=f"/bytes/{size}")
else:
    text = request(host, "POST", "/echo-not", f"Content-Length: {size}\\r\\n") + "x" * size
answer = talk(host, 80, text) if port == "80" else hello(host, host, then=text)
tell([answer.startswith("HTTP/1.1"), len(answer), time.monotonic() - began])
"""


@pytest.mark.parametrize("way", ["in", "out"])
@pytest.mark.parametrize("port", [80, 443])
def test_bytes_a_second(attack, world, way, port):
    run = attack(BYTES, V4, way, port, allow=[V4], flags=limit("rate=8M"))
    whole, length, seconds = run.told
    assert whole and (way == "out" or length > 2000000), run.told
    assert 1.6 < seconds < 6 * support.SLOWDOWN, run.told  # a megabyte a second
    free = attack(BYTES, V4, way, port, allow=[V4])
    assert free.told[2] < 1.5 * support.SLOWDOWN, free.told


@pytest.mark.parametrize("port", [80, 443])
def test_bytes_in_all(attack, world, port):
    code = """
        host, port = sys.argv[1], int(sys.argv[2])
        ask = request(host, path="/bytes/3000000")
        first = talk(host, 80, ask) if port == 80 else hello(host, host, then=ask)
        second = talk(host) if port == 80 else hello(host, host)
        tell([len(first), second])
        """
    run = attack(code, V4, port, allow=[V4], flags=limit("total=1M"))
    assert run.told[0] <= 1100000, run.told
    assert "hello from" not in run.told[1], run.told
    network = run.report["network"]
    assert network["bytes_in"] + network["bytes_out"] <= 1200000
    reasons = [entry["reason"] for entry in network["entries"]]
    assert "the limit on bytes in all" in str(reasons), run.describe()
    assert "hello from" in attack("tell(talk(sys.argv[1]))", V4, allow=[V4]).told
