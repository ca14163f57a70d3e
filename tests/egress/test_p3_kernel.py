"""P3: no other protocol, family or socket leads out, and nothing inside alters the redirect."""

import shutil

import pytest

DOMAIN = "coffer-world.com"
ALLOWED, DENIED = f"allowed.{DOMAIN}", f"denied.{DOMAIN}"
STOPPED = ("refused", "unreachable", "forbidden", "invalid")


def icmp_seen(world):
    """ICMP messages that came to the world's addresses, of either family."""
    text = world.run("cat", "/proc/net/snmp", "/proc/net/snmp6").ok().out
    rows = [line.split() for line in text.splitlines() if line.startswith("Icmp:")]
    echos = int(dict(zip(*rows, strict=True))["InEchos"])
    return echos + sum(
        int(line.split()[1]) for line in text.splitlines() if line.startswith("Icmp6InEchos ")
    )


@pytest.mark.core
def test_datagrams(attack, world):
    """UDP goes to the resolver, and to what --allow-udp names; nothing else hears a word."""
    code = """
        site, other, private, resolver, allowed = sys.argv[1:]
        def datagram(host, port, call="sendto"):
            try:
                found = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
                with socket.socket(found[0], socket.SOCK_DGRAM) as u:
                    u.settimeout(1)
                    if call == "connect":
                        u.connect(found[4])
                        u.send(b"hello")
                    elif call == "sendmsg":
                        u.sendmsg([b"hello"], [], 0, found[4])
                    else:
                        u.sendto(b"hello", found[4])
                    return u.recv(100).decode("latin-1")
            except OSError as error:
                return word(error)
        answers = {"named": datagram(allowed, 9999), "resolver": query(allowed),
                   "any resolver": query(allowed, server=(resolver, 53))}
        threads = []
        for host in (site, other, private, "8.8.8.8", "127.0.0.1", "198.18.0.1", "224.0.0.251",
                     "255.255.255.255", "2606:4700:10::10", "ff02::1"):
            for port in (9999, 443, 123):
                for call in ("sendto", "connect", "sendmsg"):
                    def one(case=f"{host} {port} {call}", words=(host, port, call)):
                        answers[case] = datagram(*words)
                    threads.append(threading.Thread(target=one))
        [t.start() for t in threads]
        [t.join() for t in threads]
        answers["the name, another port, connect"] = datagram(allowed, 9998, "connect")
        answers["the name, for QUIC, connect"] = datagram(allowed, 443, "connect")
        tell(answers)
        """
    run = attack(code, world.SITE, world.OTHER, world.PRIVATE, world.RESOLVER, f"v4.{DOMAIN}",
                 allow=[f"v4.{DOMAIN}"], flags=["--allow-udp", f"v4.{DOMAIN}:9999"],
                 timeout=60)  # fmt: skip
    assert run.told.pop("named") == "HELLO", run.describe()
    assert run.told.pop("resolver") == run.told.pop("any resolver") == [0, 1]
    for case, answer in run.told.items():
        assert answer in (*STOPPED, "timeout"), (case, answer)
        # A socket that is connected is told; another one hears of no refusal on any network.
        assert answer != "timeout" or not case.endswith("connect"), (case, answer)
    assert [entry["address"] for entry in world.log("udp")] == [world.SITE]


FAMILIES = """
import ctypes
other = sys.argv[1]
def attempt(family, kind, protocol=0, then=None):
    try:
        with socket.socket(family, kind, protocol) as s:
            s.settimeout(1)
            return then(s) if then else "made"
    except OSError as error:
        return word(error)
def ping(s):
    s.sendto(b"\\x08\\0\\xf7\\xff\\0\\0\\0\\0", (other, 0))
    return repr(s.recv(100))
def connect(s):
    s.connect((other, 80))
    return say(s, request(other))
def send(s):
    s.connect((other, 9999))
    s.send(b"x")
    return repr(s.recv(100))
S = socket
tell({
    "raw ip": attempt(S.AF_INET, S.SOCK_RAW, 255),
    "raw icmp": attempt(S.AF_INET, S.SOCK_RAW, 1, ping),
    "raw icmp6": attempt(S.AF_INET6, S.SOCK_RAW, 58),
    "raw tcp": attempt(S.AF_INET, S.SOCK_RAW, 6),
    "ping": attempt(S.AF_INET, S.SOCK_DGRAM, 1, ping),
    "ping6": attempt(S.AF_INET6, S.SOCK_DGRAM, 58),
    "packet": attempt(17, S.SOCK_RAW, 0x0300),
    "packet dgram": attempt(17, S.SOCK_DGRAM, 0x0300),
    "vsock": attempt(40, S.SOCK_STREAM, 0, lambda s: s.connect((2, 22))),
    "vsock dgram": attempt(40, S.SOCK_DGRAM),
    "sctp": attempt(S.AF_INET, S.SOCK_STREAM, 132, connect),
    "dccp": attempt(S.AF_INET, 6, 33, connect),
    "udplite": attempt(S.AF_INET, S.SOCK_DGRAM, 136, send),
    "mptcp": attempt(S.AF_INET, S.SOCK_STREAM, 262, connect),
    "smc": attempt(43, S.SOCK_STREAM, 0, connect),
    "rds": attempt(21, S.SOCK_SEQPACKET),
    "tipc": attempt(30, S.SOCK_SEQPACKET),
    "can": attempt(29, S.SOCK_RAW, 1),
    "bluetooth": attempt(31, S.SOCK_RAW, 1),
    "xdp": attempt(44, S.SOCK_RAW),
    "key": attempt(15, S.SOCK_RAW, 2),
    "pppox": attempt(24, S.SOCK_STREAM),
    "l2tp": attempt(S.AF_INET, S.SOCK_DGRAM, 115),
    "ax25": attempt(3, S.SOCK_SEQPACKET),
    "qipcrtr": attempt(42, S.SOCK_DGRAM),
    "tcp": attempt(S.AF_INET, S.SOCK_STREAM, 0, connect),
    "unix": attempt(S.AF_UNIX, S.SOCK_STREAM),
    "inet": attempt(S.AF_INET, S.SOCK_STREAM),
    "inet6": attempt(S.AF_INET6, S.SOCK_DGRAM),
})
"""


@pytest.mark.core
def test_other_families_and_protocols(attack, world):
    before = icmp_seen(world)
    run = attack(FAMILIES, world.OTHER, allow=[ALLOWED])
    for honest in ("unix", "inet", "inet6"):
        assert run.told.pop(honest) == "made", run.describe()
    for case, answer in run.told.items():
        assert answer in (*STOPPED, "timeout"), (case, answer)
    for made in ("raw ip", "raw icmp", "raw tcp", "packet", "packet dgram", "vsock", "xdp", "key"):
        assert run.told[made] == "forbidden", (made, run.told[made])
    assert icmp_seen(world) == before
    assert world.log() == []


TRICKS = """
other, site, allowed = sys.argv[1:]
answers = {}
def attempt(case, prepare=None, target=(other, 80), act=None):
    try:
        with socket.socket() as s:
            s.settimeout(2)
            prepare(s) if prepare else None
            if act:
                act(s)
            else:
                s.connect(target)
            answers[case] = say(s, request(target[0]))
    except OSError as error:
        answers[case] = word(error)
at = socket.gethostbyname(allowed)
attempt("plain")
attempt("fast open", act=lambda s: s.sendto(request(other).encode(), 0x20000000, (other, 80)))
attempt("fast open connect", lambda s: s.setsockopt(6, 30, 1))
route = b"\\x83\\x07\\x04" + socket.inet_aton(other) + b"\\0"
attempt("source route", lambda s: s.setsockopt(0, 4, route), (at, 80))
attempt("mark", lambda s: s.setsockopt(1, 36, 1))
attempt("transparent", lambda s: s.setsockopt(0, 19, 1))
attempt("free bind", lambda s: (s.setsockopt(0, 15, 1), s.bind((site, 0))))
attempt("bound to lo", lambda s: s.setsockopt(1, 25, b"lo\\0"))
attempt("from coffer's own", lambda s: s.bind(("198.18.0.1", 0)))
attempt("from the stand-in", lambda s: s.bind((at, 0)))
attempt("from the target", lambda s: s.bind((other, 0)))
attempt("from port 53", lambda s: s.bind(("0.0.0.0", 53)))
attempt("port 53", target=(other, 53))
attempt("own port", target=("198.18.0.1", 1))
attempt("own port of udp", target=("198.18.0.1", 2))
attempt("own address", target=("198.18.0.1", 80))
attempt("own address, tls", target=("198.18.0.1", 443))
attempt("a free stand-in", target=("198.18.9.9", 80))
attempt("the last stand-in", target=("198.19.255.254", 80))
attempt("the stand-in, port 81", target=(at, 81))
attempt("the stand-in, port 22", target=(at, 22))
attempt("zero", target=("0.0.0.0", 80))
answers["own port, v6"] = talk("2001:2::1", 1)
answers["own address, v6"] = talk("2001:2::1", 80)
answers["good"] = talk(allowed)
tell(answers)
"""


@pytest.mark.core
def test_socket_options_and_own_ports(attack, world):
    run = attack(TRICKS, world.OTHER, world.SITE, ALLOWED, allow=[ALLOWED], timeout=60)
    assert "hello from" in run.told.pop("good"), run.describe()
    for case, answer in run.told.items():
        assert "hello" not in answer and "HTTP/1.1 2" not in answer, (case, answer)
    assert len(world.log("http")) == 1
    assert {entry["name"] for entry in world.log("dns")} <= {ALLOWED}


ALTER = r"""
import subprocess
other, allowed = sys.argv[1:]
def can(*command):
    try:
        return subprocess.run(command, capture_output=True, timeout=20).returncode == 0
    except FileNotFoundError:
        return False
def netlink(protocol, message, flags=5):
    data = struct.pack("=IHHII", 16 + len(message[1]), message[0], flags, 1, 0) + message[1]
    try:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, protocol) as s:
            s.settimeout(2)
            s.sendto(data, (0, 0))
            answer = s.recv(4096)
            error = struct.unpack("=i", answer[16:20])[0]
            return error == 0 and struct.unpack("=H", answer[4:6])[0] == 2
    except OSError:
        return False
attribute = lambda kind, data: struct.pack("=HH", 4 + len(data), kind) + data
done = {
    "ip address": can("ip", "address", "add", "10.9.9.9/32", "dev", "lo"),
    "ip address del": can("ip", "address", "del", "127.0.0.1/8", "dev", "lo"),
    "ip route": can("ip", "route", "add", "default", "via", "198.18.0.1"),
    "ip route flush": can("ip", "route", "flush", "table", "all"),
    "ip rule": can("ip", "rule", "add", "from", "all", "lookup", "100"),
    "ip link down": can("ip", "link", "set", "lo", "down"),
    "ip link add": can("ip", "link", "add", "type", "dummy"),
    "ip netns": can("ip", "netns", "add", "x"),
    "nft flush": can("nft", "flush", "ruleset"),
    "nft table": can("nft", "add", "table", "ip", "x"),
    "nft list": can("nft", "list", "ruleset"),
    "iptables": can("iptables", "-t", "nat", "-F"),
    "sysctl": can("sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward"),
    "route_localnet": can("sh", "-c", "echo 1 > /proc/sys/net/ipv4/conf/all/route_localnet"),
    "low ports": can("sh", "-c", "echo 1024 > /proc/sys/net/ipv4/ip_unprivileged_port_start"),
    "unshare net": can("unshare", "-n", "true"),
    "unshare user and net": can("unshare", "-Urn", "true"),
    "nsenter": can("nsenter", "-n", "-t", str(os.getppid()), "true"),
    "RTM_NEWADDR": netlink(
        0, (20, struct.pack("=BBBBi", 2, 32, 0, 0, 1) + attribute(2, b"\x0a\x09\x09\x09"))),
    "RTM_DELROUTE": netlink(0, (25, struct.pack("=BBBBBBBBI", 2, 0, 0, 0, 255, 0, 0, 0, 0))),
    "RTM_SETLINK": netlink(0, (19, struct.pack("=BxHiII", 0, 0, 1, 0, 1))),
    "NFT_DELTABLE": netlink(
        12, (0x0a02, struct.pack("=BBH", 2, 0, 0) + attribute(1, b"coffer\0\0"))),
    "conntrack flush": netlink(12, (0x0102, struct.pack("=BBH", 2, 0, 0))),
    "xfrm": netlink(6, (0x1c, b"\0" * 8)),
    "sock_destroy": netlink(4, (21, b"\2\6" + b"\0" * 54)),
}
tell({"done": [case for case, it in done.items() if it],
      "other": talk(other), "denied": talk(allowed.replace("allowed", "denied")),
      "good": talk(allowed)})
"""


@pytest.mark.core
def test_the_redirect_cannot_be_altered(attack, world):
    path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    for tool in ("ip", "nft"):
        assert shutil.which(tool, path=path), f"{tool} is not installed"
    run = attack(ALTER, world.OTHER, ALLOWED, allow=[ALLOWED], env={"PATH": path}, timeout=60)
    assert run.told["done"] == [], run.told
    assert run.told["other"] == "refused" and run.told["denied"] == "no name", run.told
    assert "hello from" in run.told["good"]
    assert {entry["address"] for entry in world.log("http")} <= {world.SITE, world.SITE6}


LOCAL = """
other, site, allowed = sys.argv[1:]
answers = {}
class Server:
    def __init__(self, host, port):
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.socket = socket.create_server((host, port), family=family)
        threading.Thread(target=self.serve, daemon=True).start()
    def serve(self):
        while True:
            peer, _ = self.socket.accept()
            peer.recv(4096)
            peer.sendall(b"the box itself")
            peer.close()
def bind(host, port, kind=socket.SOCK_STREAM, reuse=()):
    try:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, kind) as s:
            for option in reuse:
                s.setsockopt(1, option, 1)
            s.bind((host, port))
            if kind == socket.SOCK_STREAM:
                s.listen()
            return "bound"
    except OSError as error:
        return "in use" if error.errno == 98 else word(error)
Server("127.0.0.1", 8000)
Server("::1", 8001)
Server("0.0.0.0", 443)
Server("0.0.0.0", 80)
Server("::", 8443)
at = socket.gethostbyname(allowed)
Server(at, 8080)
Server("198.18.0.1", 8081)
tell({
    "local": [talk("127.0.0.1", 8000, "x"), talk("localhost", 8000, "x", socket.AF_INET),
              talk("::1", 8001, "x"),
              talk("127.0.0.1", 443, "x"), talk("127.0.0.1", 80, "x"), talk("127.5.5.5", 443, "x"),
              talk("::1", 8443, "x")],
    "allowed": [talk(allowed), hello(allowed, allowed)],
    "others": [talk(other), talk(other, 443, "x"), talk(site, 443, "x"), talk(other, 8443, "x"),
               talk("10.1.2.3", 443, "x"), talk("2606:4700:10::10", 8443, "x"),
               talk(at, 8443, "x")],
    "taken": [bind(h, p, k, reuse) for h in ("198.18.0.1", "0.0.0.0")
              for reuse in ((), (2,), (15,), (2, 15))
              for p, k in ((1, 1), (53, 1), (53, 2), (3128, 1))],
    "taken v6": [bind(h, p, 1, (2, 15)) for h in ("2001:2::1", "::") for p in (1, 53)],
})
"""


@pytest.mark.core
def test_servers_of_the_box_itself(attack, world):
    """They are reached on loopback, stand for nobody else, and cannot take coffer's own ports."""
    run = attack(LOCAL, world.OTHER, world.SITE, ALLOWED, allow=[ALLOWED])
    assert set(run.told["local"]) == {"the box itself"}, run.told
    assert all("hello from" in answer for answer in run.told["allowed"]), run.told
    assert set(run.told["others"]) <= {"refused", "unreachable"}, run.told
    assert set(run.told["taken"] + run.told["taken v6"]) == {"in use"}, run.told


def test_without_a_network_there_is_a_loopback(attack, world):
    code = """
        server = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=lambda: server.accept()[0].sendall(b"local"), daemon=True).start()
        with socket.create_connection(server.getsockname(), 2) as c:
            local = c.recv(10).decode()
        tell({"local": local, "others": [talk(h) for h in sys.argv[1:]],
              "proxy": talk("198.18.0.1", 3128),
              "dns": query("allowed.coffer-world.com", patience=1)})
        """
    run = attack(code, world.SITE, world.OTHER, world.SITE6, "127.0.0.1")
    assert run.told["local"] == "local"
    assert set(run.told["others"]) <= {"refused", "unreachable"}, run.told
    assert run.told["proxy"] in ("refused", "unreachable") and run.told["dns"] in (
        "refused", "unreachable"), run.told  # fmt: skip
    assert world.log() == []


def test_two_boxes_do_not_see_each_other(world, coffer, workspace, attack):
    """Both have the same addresses inside, and nothing of one is to be had in the other."""
    driver = """
import subprocess, sys, time
coffer, allowed = sys.argv[1:]
box = [coffer, "run", "--quiet", "--allow-domain", allowed, "--", "/usr/bin/python3", "-c"]
serve = '''import socket
s = socket.create_server(("0.0.0.0", 9000))
print("up", flush=True)
s.accept()'''
one = subprocess.Popen([*box, serve], stdout=subprocess.PIPE)
one.stdout.readline()
ask = '''import socket
for h in ("127.0.0.1", "198.18.0.1", socket.gethostbyname("%s")):
    try:
        socket.create_connection((h, 9000), 2); print("reached", h)
    except OSError as e:
        print(type(e).__name__)''' % allowed
print(subprocess.run([*box, ask], capture_output=True, text=True).stdout, end="")
print("one lives", one.poll() is None)
one.terminate()
one.wait()
"""
    run = world.run("/usr/bin/python3", "-c", driver, coffer, ALLOWED, cwd=workspace).ok()
    assert run.out == "ConnectionRefusedError\n" * 3 + "one lives True\n", run.describe()


def test_inherited_descriptors(world, coffer, workspace):
    """A socket of the host's that coffer was started with is not the box's."""
    driver = """
import os, socket, subprocess, sys
other, coffer, *flags = sys.argv[1:]
with socket.create_connection((other, 80)) as s:
    os.dup2(s.fileno(), 9)
    os.set_inheritable(9, True)
    code = '''
import os, socket
for fd in range(3, 64):
    try:
        os.write(fd, b"GET / HTTP/1.0" + bytes([13, 10, 13, 10]))
        print("wrote to", fd)
    except OSError:
        pass
print("done")
'''
    box = [coffer, "run", "--quiet", *flags, "--", "/usr/bin/python3", "-c", code]
    sys.exit(subprocess.run(box, pass_fds=[9]).returncode)
"""
    for flags in ([], ["--allow-domain", ALLOWED]):
        run = world.run("/usr/bin/python3", "-c", driver, world.OTHER, coffer, *flags,
                        cwd=workspace)  # fmt: skip
        assert run.ok().out == "done\n", run.describe()
    assert world.log("http") == []
