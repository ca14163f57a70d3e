"""The policy of the network, as a user writes it: each flag, from both sides."""

import json
import time

import pytest
import support

DOMAIN = "coffer-world.com"
ALLOWED, DENIED, V4, V6 = (f"{n}.{DOMAIN}" for n in ("allowed", "denied", "v4", "v6"))

TALK = """
answers = {}
for word_ in sys.argv[1:]:
    host, _, port = word_.rpartition(":")
    answers[word_] = talk(host, int(port), "" if port == "22" else None)
tell(answers)
"""
CLOSED = ("refused", "unreachable", "no name", "reset")


def reacher(attack):
    """HOST:PORT... -> which of them were reached; each other one was refused at once."""

    def run(*targets, **keywords):
        patient = [t for t in targets if t.endswith(":22")]
        code = "PATIENCE_S = 1\n" + TALK if patient else TALK
        result = attack(code, *targets, **keywords)
        reached = {t for t, a in result.told.items() if "hello from" in a or "SSH-2.0" in a}
        for target, answer in result.told.items():
            assert target in reached or answer in CLOSED, (target, answer)
        result.reached = reached
        return result

    return run


@pytest.fixture
def reach(attack):
    return reacher(attack)


@pytest.fixture
def tier_reach(tier_attack):
    return reacher(tier_attack)


# Off and on.


def test_net_off(reach, world):
    run = reach(f"{ALLOWED}:80", f"{world.SITE}:80", flags=["--net", "off"])
    assert run.reached == set() and world.log() == []
    assert "network" not in run.report


def test_net_on(tier_reach, world):
    targets = [f"{ALLOWED}:80", f"{DENIED}:80", f"{world.OTHER}:80", f"private.{DOMAIN}:80"]
    run = tier_reach(*targets, flags=["--net", "on"])
    assert run.reached == set(targets[:3]), run.describe()


@pytest.mark.parametrize("order", [1, -1])
def test_deny_wins(tier_reach, order):
    rules = [("allow", f"*.{DOMAIN}"), ("deny", DENIED), ("allow", DENIED)]
    flags = [word for what, name in rules[::order] for word in (f"--{what}-domain", name)]
    run = tier_reach(f"{V4}:80", f"{DENIED}:80", flags=flags)
    assert run.reached == {f"{V4}:80"}
    denied = ["--net", "on", "--deny-domain", f"**.{DENIED}"]
    run = tier_reach(f"{V4}:80", f"{DENIED}:80", flags=denied)
    assert run.reached == {f"{V4}:80"}
    assert run.denials(promise="P3", target=DENIED)


def test_monitor_lets_through_and_logs(tier_reach, net):
    run = tier_reach(f"{V4}:80", f"{ALLOWED}:80", f"{DENIED}:80",
                flags=["--monitor-domain", V4, "--allow-domain", ALLOWED])  # fmt: skip
    assert run.reached == {f"{V4}:80", f"{ALLOWED}:80"}
    verdicts = {(e["name"], e["verdict"]) for e in run.report["network"]["entries"] if e["port"]}
    assert verdicts == {(V4, "monitor"), (ALLOWED, "allow")}, run.describe()


@pytest.mark.parametrize("ports, reached", [
    ("", {80}),
    (":80", {80}),
    (":443", set()),
    (":8080", {8080}),
    (":22", {22}),
    (":80,8000-8100", {80, 8080}),
    (":8080/http", {8080}),
    (":1-65535", {80, 8080, 22}),
])  # fmt: skip
def test_ports(reach, ports, reached):
    run = reach(*[f"{V4}:{p}" for p in (80, 8080, 22)], allow=[V4 + ports])
    assert run.reached == {f"{V4}:{p}" for p in reached}


@pytest.mark.parametrize("pattern, reached", [
    (DOMAIN, ()),
    (f"*.{DOMAIN}", (V4, f"a.wild.{DOMAIN}")),
    (f"**.{V4}", (V4,)),
    (f"*.{V4}", ()),
    (f"*.wild.{DOMAIN}", (f"a.wild.{DOMAIN}",)),
    ("*", (V4, f"a.wild.{DOMAIN}", "github.com")),
    ("V4.Coffer-World.COM.", (V4,)),
    ("github.com", ("github.com",)),
])  # fmt: skip
def test_patterns(reach, pattern, reached):
    names = [V4, f"a.wild.{DOMAIN}", "github.com"]
    run = reach(*[f"{name}:80" for name in names], allow=[pattern])
    assert run.reached == {f"{name}:80" for name in reached}


def test_ports_and_patterns_together(tier_reach):
    """Some of the above, in one box."""
    targets = [f"{V4}:80", f"{V4}:8080", f"{V4}:22", f"a.wild.{DOMAIN}:80", f"wild.{DOMAIN}:80",
               "github.com:80", f"{DENIED}:80"]  # fmt: skip
    run = tier_reach(*targets, allow=[f"{V4}:8000-8100/http", f"*.wild.{DOMAIN}", "GitHub.com."])
    assert run.reached == {targets[1], targets[3], targets[5]}, run.describe()


def test_presets(reach, run_coffer):
    run = reach("deb.debian.org:80", "pypi.org:80", f"{ALLOWED}:80",
                flags=["--net-preset", "debian"])  # fmt: skip
    assert run.reached == {"deb.debian.org:80"}
    assert "--net-preset debian" in str(run.report) or "preset debian" in str(run.report)
    listed = run_coffer("net", "presets").ok().out
    for preset in """npm pypi crates debian github docs search model-apis rubygems go
                     maven""".split():  # fmt: skip
        assert f"\n{preset} " in "\n" + listed, preset


def test_names_in_letters_of_their_own(reach, attack):
    """Whether the rule or the program writes A-labels or letters."""
    name = f"bücher.{DOMAIN}"
    code = """
        encoded = sys.argv[1].encode("idna").decode()
        tell([talk(encoded), talk("xn--bcher-kva.coffer-world.com")])
        """
    for pattern in (name, name.upper(), f"xn--bcher-kva.{DOMAIN}"):
        run = attack(code, name, allow=[pattern])
        assert all("hello from" in answer for answer in run.told), (pattern, run.describe())


@pytest.mark.parametrize("name", ["x.onion", "printer.local", "db.internal", "x.test",
                                  "x.invalid", "10.in-addr.arpa"])  # fmt: skip
def test_special_names_stay_at_home(attack, world, name):
    run = attack("tell(query(sys.argv[1]))", name, flags=["--net", "on", "--allow-domain", "*"])
    assert run.told[1] == 0 and not world.log("dns"), run.describe()


# The host's own, when it is named.


def test_the_hosts_loopback_by_name(tier_reach, world):
    host = "host.coffer.internal"
    run = tier_reach(f"{host}:80", f"{host}:22", "127.0.0.1:80", allow=[f"{host}:80"])
    assert run.reached == {f"{host}:80"}, run.describe()
    assert {entry["address"] for entry in world.log("http")} == {"127.0.0.1"}
    assert world.log("banner") == []
    for opened in ("*", "*.coffer.internal"):
        run = tier_reach(f"{host}:80", allow=[opened]) if opened == "*" else run
    assert run.reached == set(), run.describe()


def test_allow_udp(tier_attack, world):
    code = """
        def datagram(host, port):
            try:
                target = socket.getaddrinfo(host, port, socket.AF_INET, socket.SOCK_DGRAM)[0][4]
                with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as u:
                    u.settimeout(1)
                    u.connect(target)
                    u.send(b"hello")
                    return u.recv(100).decode()
            except OSError as error:
                return word(error)
        tell([datagram(*t) for t in ((sys.argv[1], 9999), (sys.argv[1], 9998), (sys.argv[2], 9999),
                                     (sys.argv[3], 9999), (sys.argv[4], 9999))])
        """
    run = tier_attack(code, V4, DENIED, world.OTHER, world.SITE,
                 flags=["--allow-udp", f"{V4}:9999",
                        "--allow-udp", f"{world.OTHER}:9999"])  # fmt: skip
    assert run.told[0] == run.told[3] == "HELLO", run.describe()
    for refused in (run.told[1], run.told[2], run.told[4]):
        assert refused in (*CLOSED, "forbidden"), run.told
    assert {entry["address"] for entry in world.log("udp")} == {world.SITE, world.OTHER}
    udp = [e for e in run.report["network"]["entries"] if e["protocol"] == "udp" and e["bytes_in"]]
    assert {(e["bytes_out"], e["bytes_in"]) for e in udp} == {(5, 5)}, run.describe()


def test_deny_wins_over_allow_udp(tier_attack, world):
    """Also for a program that does not ask for the name: the first stand-in of such rules is known.
    A name with an address that is open on another port alone is refused as a whole."""
    code = """
        def datagram(host, port):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as u:
                u.settimeout(0.5)
                try:
                    u.connect((host, port))
                    u.send(b"hello")
                    return u.recv(100).decode()
                except OSError as error:
                    return word(error)
        tell(datagram("198.18.0.16", 9999))
        """
    for name, flags in [(V4, ["--deny-domain", V4]), (V4, ["--deny-domain", f"**.{DOMAIN}:9999"]),
                        (f"mixed.{DOMAIN}", ["--allow-cidr", f"{world.PRIVATE}:5"])]:  # fmt: skip
        run = tier_attack(code, flags=["--allow-udp", f"{name}:9999", *flags])
        assert run.told != "HELLO", run.describe()
        assert run.denials(promise="P3"), run.describe()
    run = tier_attack(code, flags=["--allow-udp", f"{V4}:9999"])
    assert run.told == "HELLO", run.describe()
    assert [e["address"] for e in world.log("udp")] == [world.SITE]


# Inbound.

PUBLISH = """
import json, socket, subprocess, sys, time
coffer, report = sys.argv[1:3]
flags = ["--quiet", "--report", report, "--publish", "18080:8000", "--publish", "8001"]
box = subprocess.Popen([coffer, "run", *flags, "--", "/usr/bin/python3", "-c", '''
import socket, threading
def serve(port):
    with socket.create_server(("127.0.0.1", port)) as s:
        for _ in range(9):
            peer, _ = s.accept()
            peer.sendall(b"box " + str(port).encode() + b" " + peer.recv(100))
            peer.close()
for port in (8001, 8002): threading.Thread(target=serve, args=[port], daemon=True).start()
print("up", flush=True)
serve(8000)
'''], stdout=subprocess.PIPE)
box.stdout.readline()
def ask(host, port):
    try:
        with socket.create_connection((host, port), 3) as c:
            c.settimeout(3)
            c.sendall(b"hello")
            return c.recv(100).decode()
    except OSError as e:
        return type(e).__name__
time.sleep(0.2)
ways = [("127.0.0.1", 18080), ("127.0.0.1", 8001), ("127.0.0.1", 8002), ("127.0.0.1", 8000)]
ways += [("93.184.10.10", 18080), ("10.1.2.3", 18080), ("198.18.0.1", 8000), ("198.18.0.1", 3128)]
answers = {f"{h} {p}": ask(h, p) for h, p in ways}
box.terminate()
box.wait()
answers["afterwards"] = ask("127.0.0.1", 18080)
print(json.dumps(answers))
"""


def test_publish(world, coffer, workspace):
    report = world.directory / "report.json"
    run = world.run("/usr/bin/python3", "-c", PUBLISH, coffer, report, cwd=workspace).ok()
    told = json.loads(run.out)
    assert told.pop("127.0.0.1 18080") == "box 8000 hello", told
    assert told.pop("127.0.0.1 8001") == "box 8001 hello", told
    for way, answer in told.items():
        assert "box" not in answer, (way, answer)
        assert answer in ("ConnectionRefusedError", "TimeoutError", "OSError"), (way, answer)
    entries = json.loads(report.read_text())["network"]["entries"]
    assert {e["port"] for e in entries if e["way"] == "publish"}, entries


def test_published_boxes_have_no_way_out(tier_reach):
    run = tier_reach(f"{ALLOWED}:80", "93.184.10.10:80", flags=["--publish", "18080:8000"])
    assert run.reached == set()


def test_allow_unix(attack, world, workspace):
    """One socket of the host's is connected to; its neighbour, and abstract ones, are not."""
    driver = """
import os, socket, subprocess, sys, threading
directory, *box = sys.argv[1:]
os.makedirs(directory, exist_ok=True)
for address in (f"{directory}/good", f"{directory}/bad", "\\0coffer-world"):
    s = socket.socket(socket.AF_UNIX)
    s.bind(address)
    s.listen()
    def serve(s=s, address=address):
        while True:
            peer, _ = s.accept()
            peer.sendall(b"unix " + os.path.basename(address).encode())
            peer.close()
    threading.Thread(target=serve, daemon=True).start()
sys.exit(subprocess.run(box).returncode)
"""
    inside = """
import socket, sys
for address in (sys.argv[1] + "/good", sys.argv[1] + "/bad", "\\0coffer-world"):
    try:
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(address)
            print(s.recv(100).decode())
    except OSError as e:
        print("failed")
"""
    directory = world.directory / "sockets"
    box = [support.COFFER, "run", "--quiet", "--allow-unix", directory / "good"]
    for more in ([], ["--allow-domain", ALLOWED]):
        support.remove_tree(directory)
        run = world.run("/usr/bin/python3", "-c", driver, directory, *box, *more, "--",
                        "/usr/bin/python3", "-c", inside, directory,
                        cwd=workspace).ok()  # fmt: skip
        assert run.out == "unix good\nfailed\nfailed\n", run.describe()


# Through a company's proxy.

COMPANY = ["--upstream-proxy", "http://user:pass@10.9.9.9:3128"]


def test_upstream_proxy(tier_attack, world):
    code = """
        v4, denied = sys.argv[1:]
        tell({"http": talk(v4), "tls": hello(v4, v4), "denied": talk(denied),
              "sni": hello(v4, denied),
              "private": talk("10.1.2.3"), "proxy": talk("10.9.9.9", 3128)})
        """
    run = tier_attack(code, V4, DENIED, allow=[V4], flags=COMPANY)
    assert "hello from" in run.told["http"] and "hello from" in run.told["tls"], run.describe()
    for way in ("denied", "sni", "private", "proxy"):
        assert "hello" not in run.told[way] and "HTTP/1.1 2" not in run.told[way], run.told
    lines = [entry["line"] for entry in world.log("proxy")]
    assert lines == [f"CONNECT {V4}:80 HTTP/1.1", f"CONNECT {V4}:443 HTTP/1.1"], lines
    assert world.log("dns") == []  # the proxy asks


def test_upstream_proxy_with_wrong_credentials(attack, world):
    run = attack("tell(talk(sys.argv[1]))", V4, allow=[V4],
                 flags=["--upstream-proxy", "http://user:wrong@10.9.9.9:3128"])  # fmt: skip
    assert "hello" not in run.told
    assert "407" in str(run.report), run.describe()
    assert "wrong" not in json.dumps(run.report["network"])


# Asking.

ASKER = """
import json, os, socket, subprocess, sys, threading, time
path, behaviour, log, *box = sys.argv[1:]
if os.path.exists(path):
    os.unlink(path)
listener = socket.socket(socket.AF_UNIX)
listener.bind(path)
listener.listen()
questions = []
def serve():
    peer, _ = listener.accept()
    for line in peer.makefile():
        question = json.loads(line)
        questions.append(question)
        if behaviour == "gone":
            peer.shutdown(2)
            peer.close()
            return
        if behaviour == "slow":
            time.sleep(6)
        if behaviour == "garbage":
            peer.sendall(b'what?\\n{\\n[1]\\n{"id":99999,"verdict":"allow"}\\n')
        verdict = "allow" if behaviour in ("allow", "slow") else "deny"
        peer.sendall(json.dumps({"id": question["id"], "verdict": verdict}).encode() + b"\\n")
threading.Thread(target=serve, daemon=True).start()
code = subprocess.run(box).returncode
with open(log, "w") as f:
    json.dump(questions, f)
sys.exit(code)
"""


@pytest.fixture
def asked(world, coffer, workspace):
    def run(behaviour, name, *flags):
        log = world.directory / "questions"
        socket_path = world.directory / "asker"
        report = world.directory / "report.json"
        box = [coffer, "run", "--quiet", "--report", report, "--net-ask", socket_path, *flags, "--"]
        box += ["curl", "-sS", "-m", "10", f"http://{name}/"]
        result = world.run("/usr/bin/python3", "-c", ASKER, socket_path, behaviour, log, *box,
                           cwd=workspace)  # fmt: skip
        result.questions = json.loads(log.read_text())
        result.report = json.loads(report.read_text())
        return result

    return run


@pytest.mark.parametrize("behaviour, reached", [
    ("allow", True), ("deny", False), ("gone", False), ("garbage", False), ("slow", True),
])  # fmt: skip
def test_asking(asked, world, behaviour, reached):
    run = asked(behaviour, V4, "--ask-domain", f"*.{DOMAIN}", "--allow-domain", ALLOWED)
    assert (run.code == 0) == reached, run.describe()
    assert len(world.log("http")) == reached
    # Asked once, of the connection, and no name left the host before the answer.
    assert [(q["name"], q["port"]) for q in run.questions] == [(V4, 80)]
    assert reached or not world.log("dns")
    if behaviour == "slow":
        assert run.seconds > 6  # the connection waited, for longer than a resolver is waited for
    else:
        assert run.seconds < 5 * support.SLOWDOWN
    if not reached:
        assert [d for d in run.denials(promise="P3") if V4 in d["target"]], run.describe()


def test_what_is_decided_is_not_asked(asked, world):
    run = asked("deny", ALLOWED, "--ask-domain", f"*.{DOMAIN}", "--allow-domain", ALLOWED)
    assert run.code == 0 and run.questions == [], run.describe()
    run = asked("allow", DENIED, "--ask-domain", f"*.{DOMAIN}", "--deny-domain", DENIED)
    assert run.code != 0 and run.questions == [], run.describe()
    # What no rule is about is undecided.
    run = asked("allow", "github.com", "--allow-domain", ALLOWED)
    assert run.code == 0 and {q["name"] for q in run.questions} == {"github.com"}, run.describe()


def test_nobody_to_ask(tier_reach, world):
    run = tier_reach(f"{V4}:80", flags=["--ask-domain", f"*.{DOMAIN}"])
    assert run.reached == set()
    assert not world.log("http")
    assert run.denials(promise="P3", target=V4), run.describe()


# What is told.


@pytest.mark.core
def test_the_log(attack, world, workspace):
    """One line of JSON a decision, with everything that a person would ask for."""
    log = world.directory / "net.log"
    log.unlink(missing_ok=True)
    began_ms = time.time() * 1000
    run = attack("tell([talk(h) for h in sys.argv[1:]])", V4, DENIED, world.OTHER,
                 allow=[V4], flags=["--net-log", log])  # fmt: skip
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    through = [e for e in lines if e["verdict"] == "allow" and e["protocol"] == "http"]
    assert len(through) == 1, lines
    entry = through[0]
    assert began_ms - 1000 < entry["time_ms"] < time.time() * 1000 + 1000
    assert entry["program"].startswith("python3") and entry["pid"] > 1, entry
    assert (entry["name"], entry["address"], entry["port"]) == (V4, world.SITE, 80)
    assert entry["rule"] == f"--allow-domain {V4}"
    assert entry["bytes_out"] > 40 and entry["bytes_in"] > 100 and entry["requests"] == 1
    assert 0 <= entry["duration_ms"] < 20000
    assert entry["way"] == "redirect"
    refused = [e for e in lines if e["verdict"] == "deny"]
    assert {e["name"] or e["address"] for e in refused} == {DENIED, world.OTHER}, refused
    for entry in refused:
        assert entry["program"].startswith("python3") and entry["reason"], entry
        assert f"--allow-domain {DENIED}" in entry["reason"] or entry["address"], entry
    network = run.report["network"]
    assert network["connections"] == 1 and network["refused"] >= 2 and network["requests"] == 1
    assert network["bytes_in"] == through[0]["bytes_in"] and network["log_complete"]
    targets = {d["target"] for d in run.denials(promise="P3")}
    assert {DENIED, f"{world.OTHER}:80"} <= targets, run.describe()


def test_the_log_on_standard_error(net, world):
    run = net("curl", "-sS", f"http://{V4}/", allow=[V4], flags=["--net-log", "-"]).ok()
    lines = [json.loads(line) for line in run.err.splitlines() if line.startswith("{")]
    assert [e["name"] for e in lines if e["protocol"] == "http"] == [V4], run.describe()


def test_control_codes_do_not_reach_the_log(tier_attack, world):
    code = """
        proxied("GET http://x\\x1b[31m.com/ HTTP/1.1", "")
        query(["\\x1b[2J", "evil", "com"])
        hello(sys.argv[1], "a\\u00ffb.com".encode("idna").decode())
        talk(sys.argv[1], 80, "GET /\\x1b[31m HTTP/1.1\\r\\nHost: \\x1b]0;x\\x07\\r\\n\\r\\n")
        tell(0)
        """
    run = tier_attack(code, V4, allow=[V4], flags=["--net-log", "-"])
    assert "\x1b" not in run.err and "\x07" not in run.err, repr(run.err)
    assert "\\u001b" not in json.dumps(run.report["network"]), run.describe()


def test_what_a_refused_program_sees(tier_attack, world):
    """What it can act on, at once: no such name, a refused connection, or a 403 with the line."""
    code = """
        denied, other = sys.argv[1:]
        began = time.monotonic()
        told = {"name": query(denied), "talk": talk(denied), "literal": talk(other),
                "absolute": absolute(denied),
                "connect": tunnel(f"{denied}:443", ""),
                "connect 22": tunnel(f"{denied}:22", "")}
        tell({**told, "seconds": time.monotonic() - began})
        """
    run = tier_attack(code, DENIED, world.OTHER, allow=[ALLOWED])
    told = run.told
    assert told["name"] == [3, 0] and told["talk"] == "no name" and told["literal"] == "refused"
    assert told["seconds"] < 1 * support.SLOWDOWN
    for way, flag in {"absolute": DENIED, "connect": DENIED, "connect 22": f"{DENIED}:22"}.items():
        assert told[way].startswith("HTTP/1.1 403"), told[way]
        assert f"--allow-domain {flag}\n" in told[way] + "\n", told[way]


# Secrets of the workspace.


def test_secrets_are_hidden_once_there_is_a_network(net, workspace):
    (workspace / ".env").write_text("TOKEN=very-secret\n")
    (workspace / "plain").write_text("plain\n")
    read = ["sh", "-c", "cat plain .env; echo done"]
    assert "very-secret" in net(*read).ok().out  # no network: it can be read
    for opened in (["--allow-domain", ALLOWED], ["--net", "on"], ["--publish", "18080:8000"]):
        run = net(*read, flags=opened).ok()
        assert "plain" in run.out and "very-secret" not in run.out, run.describe()
    shown = net(*read, allow=[ALLOWED], flags=["--allow-read", workspace / ".env"]).ok()
    assert "very-secret" in shown.out, shown.describe()


# A profile that has a network of its own.


def test_the_cloud_profile(world, coffer, workspace, run_coffer):
    """Registries, documentation and search, at most 100 requests a minute and 50 Mbit/s; rules of
    one's own take its list's place, rules that deny narrow it."""
    code = """
import http.client, sys
for host in sys.argv[1:]:
    try:
        connection = http.client.HTTPConnection(host, timeout=5)
        connection.request("GET", "/")
        print(host, connection.getresponse().status)
    except OSError as error:
        print(host, "failed")
"""

    # An ordinary user may have no control group for the others.
    profile = ["--profile", "cloud", "--limit", "cpu=none,memory=none,pids=none"]

    def codes(*flags):
        run = world.run(coffer, "run", "--quiet", *profile, *flags, "--",
                        "/usr/bin/python3", "-c", code, "pypi.org", "deb.debian.org", ALLOWED,
                        cwd=workspace).ok()  # fmt: skip
        return dict(line.split() for line in run.out.splitlines())

    assert codes() == {"pypi.org": "200", "deb.debian.org": "200", ALLOWED: "failed"}
    assert codes("--deny-domain", "pypi.org")["pypi.org"] == "failed"
    assert codes("--allow-domain", ALLOWED) == {
        "pypi.org": "failed", "deb.debian.org": "failed", ALLOWED: "200"}  # fmt: skip
    plan = run_coffer("plan", *profile, "--", "true", cwd=workspace).ok().out
    assert "requests=100/m,rate=50M" in plan, plan


def test_a_check_without_a_box(run_coffer):
    check = run_coffer("net", "check", f"{DENIED}:443", "--allow-domain", ALLOWED)
    assert check.code == 1 and f"--allow-domain {DENIED}" in check.out, check.describe()
    check = run_coffer("net", "check", ALLOWED, "--allow-domain", ALLOWED)
    assert check.code == 0 and "allow" in check.out, check.describe()
    check = run_coffer("net", "check", "0x7f.1:80", "--net", "on")
    assert check.code == 1 and "loopback" in check.out, check.describe()
