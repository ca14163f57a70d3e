"""The landlock tier has no network namespace: what is out of reach is so because the broker makes
every connection. Both sides of P3 there; what counts is what the world's servers saw."""

import json
import shutil
import subprocess
import textwrap

import pytest
import support

DOMAIN = "coffer-world.com"
ALLOWED, DENIED = f"allowed.{DOMAIN}", f"denied.{DOMAIN}"


@pytest.fixture
def box(net):
    available, reason = support.tier_available("landlock")
    if not available:
        pytest.skip(reason)

    def run(*command, flags=(), **keywords):
        return net(*command, flags=["--isolation", "landlock", *flags], **keywords)

    return run


@pytest.fixture
def python(box, world):
    """Python in the box, with the world's addresses and a function that says what an attempt came
    to: ok, or the error's number."""
    prelude = f"""
        import array, asyncio, ctypes, errno, os, socket, struct, sys, threading, time
        SITE, OTHER, RESOLVER = {world.SITE!r}, {world.OTHER!r}, {world.RESOLVER!r}
        SITE6, PRIVATE, ALLOWED = {world.SITE6!r}, {world.PRIVATE!r}, {ALLOWED!r}
        TCP, UDP = socket.SOCK_STREAM, socket.SOCK_DGRAM
        V4, V6 = socket.AF_INET, socket.AF_INET6
        def attempt(what):
            try:
                what()
                return "ok"
            except OSError as error:
                return errno.errorcode.get(error.errno, str(error))
        def get(s):
            s.sendall(b"GET / HTTP/1.0\\r\\nHost: " + ALLOWED.encode() + b"\\r\\n\\r\\n")
            data = b""
            while block := s.recv(4096):
                data += block
            return data.decode().splitlines()[-1]
        """

    def run(code, **keywords):
        return box("python3", "-c", textwrap.dedent(prelude) + textwrap.dedent(code), **keywords)

    return run


def reached(world):
    """Addresses of the world's servers of names and pages that were reached, resolver aside."""
    return {entry["address"] for entry in world.log() if entry["kind"] != "dns"}


def asked(world):
    return {entry["name"] for entry in world.log("dns") if not entry["name"].endswith(".arpa")}


# The allowed side.


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_curl_and_wget(box, world, scheme):
    for client in (["curl", "-sS"], ["wget", "-qO-", f"--ca-certificate={world.ca}"]):
        if shutil.which(client[0]):
            fetch = box(*client, f"{scheme}://{ALLOWED}/", allow=[ALLOWED]).ok()
            assert fetch.out == f"hello from {ALLOWED}\n"
    refused = box("curl", "-sS", f"{scheme}://{DENIED}/", allow=[ALLOWED])
    assert refused.code == 6, refused.describe()
    literal = box("curl", "-sSk", f"{scheme}://{world.OTHER}/", allow=[ALLOWED])
    assert literal.code == 7, literal.describe()
    assert literal.seconds < 5
    assert reached(world) <= {world.SITE, world.SITE6}
    assert asked(world) == {ALLOWED}


def test_the_record_names_program_and_rule(box, world):
    box("curl", "-sS", f"http://{ALLOWED}/", allow=[ALLOWED]).ok()
    run = box("curl", "-sS", f"http://{world.OTHER}/", allow=[ALLOWED])
    entry = next(e for e in run.report["network"]["entries"] if e["address"] == world.OTHER)
    assert entry["verdict"] == "deny"
    assert entry["program"] == "curl"
    assert "--allow-cidr" in entry["reason"]


def test_raw_connects_end_as_the_real_one_does(python, world):
    """A server that speaks first; a port at which nobody listens."""
    run = python("""
        s = socket.create_connection((ALLOWED, 22), 5)
        print(s.recv(100).decode().strip())
        print(attempt(lambda: socket.create_connection((ALLOWED, 2222), 5)))
        """, allow=[f"{ALLOWED}:22,2222"]).ok()  # fmt: skip
    assert run.out.splitlines() == ["SSH-2.0-world", "ECONNREFUSED"]


def test_what_was_set_before_connect_stays(python):
    """The socket is the program's own: options, duplicates, other processes' copies, epoll."""
    run = python("""
        import select
        s = socket.socket(); s.setblocking(False)
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 20000)
        poll = select.epoll(); poll.register(s, select.EPOLLIN)
        d = s.dup()
        reading, writing = os.pipe()
        if os.fork() == 0:
            os.close(writing)
            os.read(reading, 1)
            s.sendall(b"GET / HTTP/1.0\\r\\nHost: " + ALLOWED.encode() + b"\\r\\n\\r\\n")
            os._exit(0)
        address = socket.getaddrinfo(ALLOWED, 80, V4)[0][4]
        print(s.connect_ex(address) in (0, errno.EINPROGRESS))
        print(s.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0,
              s.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF), s.getblocking())
        os.close(writing); os.wait()
        print([fd == s.fileno() for fd, _ in poll.poll(5)])
        d.settimeout(5)
        print(d.recv(15))
        """, allow=[ALLOWED]).ok()  # fmt: skip
    assert run.out.splitlines() == ["True", "True 40000 False", "[True]", "b'HTTP/1.1 200 OK'"]


@pytest.mark.skipif(not shutil.which("node"), reason="no node here")
def test_node(box, world):
    """fetch(), c-ares, which compares where answers come from, and a server of its own."""
    run = box("node", "-e", """
        const dns = require("dns").promises, http = require("http");
        const server = http.createServer((q, r) => r.end("own")).listen(3000, async () => {
            console.log((await dns.resolve4(process.argv[1]))[0].startsWith("198.18."));
            console.log(await (await fetch(`https://${process.argv[1]}/`)).text());
            console.log(await (await fetch("http://localhost:3000/")).text());
            await fetch(`http://${process.argv[2]}/`).catch((e) => console.log(e.cause.code));
            server.close(); server.closeAllConnections();
        });
        """, ALLOWED, DENIED, allow=[ALLOWED]).ok()  # fmt: skip
    assert run.out.split("\n") == ["true", f"hello from {ALLOWED}", "", "own", "ENOTFOUND", ""]
    assert reached(world) <= {world.SITE, world.SITE6}


@pytest.mark.skipif(not shutil.which("dig"), reason="no dig here")
def test_dig(box, world):
    assert box("dig", "+short", ALLOWED, allow=[ALLOWED]).ok().out.startswith("198.18.")
    tcp = box("dig", "+short", "+tcp", ALLOWED, "@" + world.OTHER, allow=[ALLOWED]).ok()
    assert tcp.out.startswith("198.18.")
    box("dig", "+short", f"secret.{DENIED}", "@" + world.RESOLVER, allow=[ALLOWED])
    assert asked(world) <= {ALLOWED}


@pytest.mark.skipif(not shutil.which("curl"), reason="no curl here")
def test_proxy_and_inspection(box, world):
    """The proxy is where it is in the other tier; the box's authority is in its TMPDIR."""
    proxied = box("curl", "-sS", f"https://{ALLOWED}/", allow=[ALLOWED],
                  flags=["--proxy-variables"]).ok()  # fmt: skip
    assert [e["way"] for e in proxied.report["network"]["entries"]] == ["proxy-connect"]
    flags = ["--net-inspect", ALLOWED, "--net-request", f"GET {ALLOWED}/**",
             "--upstream-ca", world.ca]  # fmt: skip
    code = 'curl -sS "https://$1/" && curl -sS -o /dev/null -w "%{http_code}" -X POST "https://$1/"'
    seen = box("sh", "-c", code, "sh", ALLOWED, allow=[ALLOWED], flags=flags, trusting=False).ok()
    assert seen.out == f"hello from {ALLOWED}\n403"


@pytest.mark.parametrize("ports", ["8099", "9000:8099"])
def test_publish(world, workspace, coffer, ports):
    available, reason = support.tier_available("landlock")
    if not available:
        pytest.skip(reason)
    inside = "import socket; s = socket.socket(); s.bind(('0.0.0.0', 8099)); s.listen()\n"
    inside += "print(flush=True); s.accept()[0].sendall(b'published')"
    outside = f"""
import socket, subprocess
box = subprocess.Popen({[str(coffer), "run", "--quiet", "--isolation", "landlock", "--publish",
    ports, "--", "python3", "-c", inside]!r}, stdout=subprocess.PIPE)
box.stdout.readline()
print(socket.create_connection(("127.0.0.1", {ports.split(":")[0]}), 3).recv(100).decode())
box.wait()"""
    assert world.run("python3", "-c", outside, cwd=workspace).ok().out == "published\n"


def test_many_at_once(python):
    """More datagram sockets than egress keeps, more connections than the broker parks."""
    run = python("""
        kept = [socket.socket(V4, UDP) for _ in range(300)]
        out = []
        def one():
            out.append(socket.create_connection((ALLOWED, 22), 20).recv(3))
        threads = [threading.Thread(target=one) for _ in range(300)]
        [t.start() for t in threads]; [t.join() for t in threads]
        print(out.count(b"SSH"))
        """, allow=[f"{ALLOWED}:22"]).ok()  # fmt: skip
    assert run.out == "300\n"


STATIC = """
#include <netdb.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>
int main(int argc, char **argv)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found;
	char text[100] = "";
	if (argc < 2 || getaddrinfo(argv[1], "22", &hints, &found))
		return 1;
	int s = socket(found->ai_family, SOCK_STREAM, 0);
	if (connect(s, found->ai_addr, found->ai_addrlen) < 0 || read(s, text, 99) < 0)
		return 2;
	printf("%s", text);
	return 0;
}
"""


@pytest.mark.parametrize("compiler", ["gcc", "musl-gcc"])
def test_static_programs(box, workspace, compiler):
    """musl's resolver sends unconnected, and compares the address and port of each answer."""
    if not shutil.which(compiler):
        pytest.skip(f"no {compiler} here")
    build = [compiler, "-static", "-w", "-x", "c", "-", "-o", workspace / "client"]
    subprocess.run(build, input=STATIC, text=True, check=True, capture_output=True)
    fetch = box("./client", ALLOWED, allow=[f"{ALLOWED}:22"]).ok()
    assert fetch.out.startswith("SSH-2.0-world")
    assert box("./client", DENIED, allow=[f"{ALLOWED}:22"]).code == 1


# UDP.


def test_udp_only_by_rule(python, world):
    run = python("""
        s = socket.socket(V4, UDP); s.settimeout(5)
        s.sendto(b"one", (SITE, 9999)); print(s.recvfrom(100))
        d = s.dup()
        s.connect((SITE, 9999)); d.send(b"two"); print(s.recvmsg(100)[0], s.getpeername())
        print(attempt(lambda: s.sendto(b"three", (OTHER, 9999))))
        print(attempt(lambda: s.sendmsg([b"three"], [], 0, (OTHER, 9999))))
        s = socket.socket(V4, UDP); s.settimeout(5)
        s.sendmsg([b"fo", b"ur"], [], 0, (SITE, 9999)); print(s.recv(10))
        print(attempt(lambda: socket.socket(V4, UDP).connect((OTHER, 9999))))
        print(attempt(lambda: socket.socket(V4, UDP).bind(("0.0.0.0", 5353))))
        """, flags=["--allow-udp", f"{world.SITE}:9999"]).ok()  # fmt: skip
    site = (world.SITE, 9999)
    expected = [f"(b'ONE', {site})", f"b'TWO' {site}", "EACCES", "EACCES", "b'FOUR'"]
    assert run.out.splitlines() == [*expected, "EACCES", "EACCES"]
    assert [e["data"] for e in world.log("udp")] == ["one", "two", "four"]
    assert any(f"{world.OTHER}:9999" in denial["target"] for denial in run.report["denials"])


def test_no_datagram_gets_out(python, world):
    """sendto, sendmsg, sendmmsg, connected and not, by every spelling: the world sees nothing."""
    python("""
        libc = ctypes.CDLL(None, use_errno=True)
        targets = [(V4, (OTHER, 9999)), (V4, (SITE, 9999)), (V4, (PRIVATE, 9999)),
                   (V4, ("127.0.0.1", 9999)), (V6, ("::ffff:" + OTHER, 9999)),
                   (V4, (RESOLVER, 53))]
        question = b"\\1\\2\\1\\0\\0\\1\\0\\0\\0\\0\\0\\0\\6secret\\6denied\\3com\\0\\0\\1\\0\\1"
        for family, target in targets:
            for flags in (0, 0x800, 0x20000000):
                s = socket.socket(family, UDP); s.setblocking(False)
                attempt(lambda: s.sendto(question, flags, target))
                attempt(lambda: s.sendmsg([question], [], flags, target))
                attempt(lambda: s.sendmsg([question], [(socket.IPPROTO_IP, 8,
                        struct.pack("@i4s4s", 1, b"", socket.inet_aton("127.0.0.1")))], 0, target))
                attempt(lambda: s.connect((RESOLVER, 53)))
                attempt(lambda: s.sendmsg([question], [], flags, target))
                attempt(lambda: s.connect(target))
                attempt(lambda: s.send(question))
        print("end")
        """, allow=[ALLOWED]).ok()  # fmt: skip
    assert world.log("udp") == []
    assert asked(world) == set()


# The other sockets.


def test_tcp_by_other_means(python, world):
    """Fast open, disconnecting first, passing sockets around, writing without connect()."""
    run = python("""
        def fast(call):
            s = socket.socket(); s.settimeout(3)
            return attempt(lambda: call(s))
        print(fast(lambda s: s.sendto(b"x", 0x20000000, (OTHER, 22))))
        print(fast(lambda s: s.sendmsg([b"x"], [], 0x20000000, (OTHER, 22))))
        print(fast(lambda s: s.setsockopt(6, 30, 1)))
        print(fast(lambda s: s.sendmsg([b"x"], [], 0, (OTHER, 22))))
        s = socket.socket(); s.connect((ALLOWED, 22)); s.recv(100)
        print(attempt(lambda: s.connect((OTHER, 22))))
        libc = ctypes.CDLL(None, use_errno=True)
        print(libc.connect(s.fileno(), struct.pack("=H14x", 0), 16))
        print(attempt(lambda: s.connect((OTHER, 22))))
        s.connect((ALLOWED, 22)); print(s.recv(4))
        one, two = socket.socketpair()
        fresh = socket.socket()
        one.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i",
                     [fresh.fileno()]))])
        data, control, _, _ = two.recvmsg(1, socket.CMSG_SPACE(4))
        passed = socket.socket(fileno=struct.unpack("i", control[0][2])[0])
        print(attempt(lambda: passed.connect((OTHER, 22))))
        """, allow=[f"{ALLOWED}:22"]).ok()  # fmt: skip
    assert run.out.splitlines() == [
        *("ENOTSUP", "ENOTSUP", "ENOPROTOOPT", "EPIPE", "EISCONN", "0", "ECONNREFUSED"),
        *("b'SSH-'", "ECONNREFUSED"),
    ]
    assert reached(world) <= {world.SITE, world.SITE6}


def test_spellings_of_addresses(python, world):
    """But for port 53, which is the resolver's wherever it is."""
    run = python("""
        for family, host in ((V4, OTHER), (V6, "::ffff:" + OTHER), (V4, PRIVATE),
                             (V6, "::ffff:" + PRIVATE), (V4, "169.254.169.254"),
                             (V4, "0.0.0.0"), (V4, "127.0.0.1"), (V4, "127.9.9.9"), (V6, "::1"),
                             (V6, "::"), (V6, "::ffff:127.0.0.1"), (V6, "64:ff9b::" + OTHER),
                             (V4, "198.18.77.77"), (V4, RESOLVER)):
            for blocking in (True, False):
                s = socket.socket(family, TCP); s.setblocking(blocking)
                print(attempt(lambda: s.connect((host, 22))))
        """, allow=[f"{ALLOWED}:22"]).ok()  # fmt: skip
    assert set(run.out.split()) <= {"ECONNREFUSED", "EHOSTUNREACH"}
    assert reached(world) == set()
    assert run.seconds < 10


def test_kinds_that_are_never_made(python):
    run = python("""
        kinds = [(V4, socket.SOCK_RAW, 1), (V4, socket.SOCK_RAW, 255), (V4, UDP, 1),
                 (V6, socket.SOCK_RAW, 58), (V4, TCP, 262), (V6, TCP, 262), (V4, TCP, 132),
                 (V4, 10, 0x300), (17, socket.SOCK_RAW, 0x300), (40, TCP, 0), (16, 3, 4),
                 (16, 3, 12), (38, 5, 0), (30, 5, 0), (44, 3, 0), (socket.AF_UNIX, UDP, 0)]
        print({attempt(lambda: socket.socket(*kind)) for kind in kinds})
        """, allow=[ALLOWED]).ok()  # fmt: skip
    assert "ok" not in run.out


def test_swapped_addresses(python, world):
    """Another thread changes the address while connect() looks at it."""
    run = python("""
        libc = ctypes.CDLL(None, use_errno=True)
        good = struct.pack("=HH4s8x", V4, socket.htons(22), socket.inet_aton(SITE))
        bad = struct.pack("=HH4s8x", V4, socket.htons(22), socket.inet_aton(OTHER))
        buffer = ctypes.create_string_buffer(good, 16)
        stop = False
        def swap():
            while not stop:
                ctypes.memmove(buffer, bad, 16); ctypes.memmove(buffer, good, 16)
        thread = threading.Thread(target=swap); thread.start()
        results = []
        for _ in range(400):
            s = socket.socket()
            results.append(libc.connect(s.fileno(), buffer, 16))
            s.close()
        stop = True; thread.join()
        print(results.count(0) > 0, results.count(-1) > 0)
        """, flags=["--allow-cidr", f"{world.SITE}:22"], timeout=60).ok()  # fmt: skip
    assert run.out.split()[0] == "True"
    assert reached(world) == {world.SITE}


def test_source_routes_and_devices(python):
    run = python("""
        s = socket.socket()
        lsrr = bytes([131, 7, 4]) + socket.inet_aton(OTHER) + b"\\0"
        print(attempt(lambda: s.setsockopt(socket.IPPROTO_IP, 4, lsrr)))
        print(attempt(lambda: s.setsockopt(socket.SOL_SOCKET, 25, b"lo\\0")))
        print(attempt(lambda: s.setsockopt(socket.SOL_SOCKET, 62, 1)))
        """, allow=[ALLOWED]).ok()  # fmt: skip
    assert run.out.split() == ["EPERM"] * 3


def test_options_that_would_choose_or_tell_too_much(python):
    """The real port is the kernel's to pick; the broker has no handle; a peek has no offset."""
    run = python("""
        s = socket.socket(); d = socket.socket(V4, UDP)
        for kind, level, option in ((s, 0, 51), (s, 0, 24), (d, 0, 51), (d, 1, 42)):
            print(attempt(lambda: kind.setsockopt(level, option, struct.pack("HH", 9, 9))))
        print(attempt(lambda: d.getsockopt(1, 77)))
        s.bind(("127.0.0.1", 7777)); s.listen()
        print(attempt(lambda: socket.create_connection(("127.0.0.1", 7777))))
        """, allow=[ALLOWED]).ok()  # fmt: skip
    assert run.out.split() == [*["ENOPROTOOPT"] * 3, "ENOTSUP", "ENOPROTOOPT", "ok"]


def test_the_hosts_interfaces_are_not_told(python):
    """By ioctl; what counts a socket's bytes is answered."""
    run = python("""
        import fcntl
        s = socket.socket()
        found = [attempt(lambda: fcntl.ioctl(s, request, struct.pack("16s24x", b"lo")))
                 for request in (0x8912, 0x8913, 0x8915, 0x8927, 0x8933, 0x8910, 0x8946, 0x89e0)]
        print(set(found), attempt(lambda: socket.if_nametoindex("lo")) != "ok")
        a, b = socket.socketpair(); a.send(b"four"); count = array.array("i", [0])
        fcntl.ioctl(b, 0x541b, count); print(count[0])
        fcntl.ioctl(a, 0x5411, count); print(count[0] > 0)
        print(struct.unpack("i", fcntl.ioctl(b, 0x8904, bytes(4)))[0])
        """, allow=[ALLOWED]).ok()  # fmt: skip
    assert run.out.splitlines() == ["{'EPERM'} True", "4", "True", "0"]


# Loopback.


def test_own_loopback(python, world):
    """A box's own servers, in both families and by all their names; never the host's."""
    run = python("""
        def serve(family, address, backlog=5):
            s = socket.socket(family)
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            s.bind(address); s.listen(backlog)
            threading.Thread(target=lambda: [s.accept()[0].sendall(b"own") for _ in range(9)],
                             daemon=True).start()
            return s
        def ask(host, port):
            return socket.create_connection((host, port), 5).recv(10)
        a = serve(V4, ("127.0.0.1", 80))
        print(ask("127.0.0.1", 80), ask("localhost", 80), ask("0.0.0.0", 80))
        print(attempt(lambda: ask("::1", 80)))
        b = serve(V6, ("::", 8000))
        print(ask("127.0.0.1", 8000), ask("::1", 8000), ask("::ffff:127.0.0.1", 8000))
        c = socket.socket(); c.listen(); c.settimeout(5)
        d = socket.socket(); d.settimeout(5)
        d.connect(c.getsockname()); print(c.accept()[1][0], c.getsockname()[0])
        print(attempt(lambda: socket.socket().bind(("127.0.0.1", 80))))
        print(attempt(lambda: socket.socket().bind((SITE, 8080))))
        print(attempt(lambda: ask("127.0.0.1", 443)))
        """, allow=[ALLOWED]).ok()  # fmt: skip
    assert run.out.splitlines() == [
        *("b'own' b'own' b'own'", "ECONNREFUSED", "b'own' b'own' b'own'", "127.0.0.1 127.0.0.1"),
        *("EADDRINUSE", "EACCES", "ECONNREFUSED"),
    ]
    assert reached(world) == set()


def test_ports_in_use_are_never_forgotten(python):
    """However many are taken: the first still answers. Those that were closed make room."""
    run = python("""
        import resource
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
        server = socket.create_server(("127.0.0.1", 7000))
        for _ in range(1500):
            s = socket.socket(); s.bind(("127.0.0.1", 0)); s.close()
        held = []
        def fill():
            while len(held) < 1500:
                s = socket.socket(); held.append(s); s.bind(("127.0.0.1", 0))
        print(attempt(fill), 200 < len(held) <= 1024)
        print(attempt(lambda: socket.create_connection(("127.0.0.1", 7000))))
        [s.close() for s in held]
        print(attempt(lambda: socket.create_server(("127.0.0.1", 7001))))
        """, allow=[ALLOWED]).ok()  # fmt: skip
    assert run.out.splitlines() == ["ENOBUFS True", "ok", "ok"]


def test_a_port_that_was_closed_is_nobody_elses(world, workspace, coffer):
    """A stranger waits for the real port of a server that ends, and is not met there; the server
    comes back on it."""
    available, reason = support.tier_available("landlock")
    if not available:
        pytest.skip(reason)
    inside = """
import os, socket, sys
def serve():
    s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind(("127.0.0.1", 8088)); s.listen()
    return s
s = serve()
c = socket.create_connection(("127.0.0.1", 8088)); a = s.accept()[0]; a.close(); c.close()
print(s.getsockname()[1], flush=True); s.close(); print("closed", flush=True)
sys.stdin.readline()
try:
    socket.create_connection(("127.0.0.1", 8088)); print("reached")
except ConnectionRefusedError:
    print("refused")
s = serve(); c = socket.create_connection(("127.0.0.1", 8088)); print(s.accept()[1][0])
"""
    outside = f"""
import socket, subprocess
box = subprocess.Popen({[str(coffer), "run", "--quiet", "--isolation", "landlock",
    "--allow-domain", ALLOWED, "--", "python3", "-c", inside]!r},
    stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
real = int(box.stdout.readline()); box.stdout.readline()
for address in ("127.0.0.1", "0.0.0.0"):
    for reuse in (0, 1):
        s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, reuse)
        try:
            s.bind((address, real)); s.listen(); print("taken")
        except OSError:
            print("held")
print(box.communicate("go" + chr(10))[0])"""
    run = world.run("python3", "-c", outside, cwd=workspace).ok()
    assert run.out.split() == [*["held"] * 4, "refused", "127.0.0.1"]


def test_a_full_backlog_waits(python):
    """Connections that find no room wait, as they do in the kernel, and then go on."""
    run = python("""
        s = socket.socket(); s.bind(("127.0.0.1", 7000)); s.listen(1)
        done = []
        def one():
            c = socket.create_connection(("127.0.0.1", 7000), 4); done.append(c.recv(3))
        threads = [threading.Thread(target=one) for _ in range(6)]
        [t.start() for t in threads]; time.sleep(0.5)
        for _ in threads:
            s.accept()[0].sendall(b"own")
        [t.join() for t in threads]
        s.close(); time.sleep(0.1)
        print(done.count(b"own"), attempt(lambda: socket.create_connection(("127.0.0.1", 7000))))
        """, allow=[ALLOWED]).ok()  # fmt: skip
    assert run.out.split() == ["6", "ECONNREFUSED"]


def test_nobody_outside_finds_a_server(world, workspace, coffer):
    """What a box binds is neither on the host's addresses nor on the port that it named."""
    available, reason = support.tier_available("landlock")
    if not available:
        pytest.skip(reason)
    inside = "import socket, sys; s = socket.socket(); s.bind(('0.0.0.0', 8088)); s.listen()\n"
    inside += "print(s.getsockname()[1], flush=True); sys.stdin.read()"
    outside = f"""
import json, socket, subprocess, sys
box = subprocess.Popen({[str(coffer), "run", "--quiet", "--isolation", "landlock",
    "--allow-domain", ALLOWED, "--", "python3", "-c", inside]!r},
    stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
real = int(box.stdout.readline())
found = {{}}
for host, port in (({world.SITE!r}, real), ({world.SITE!r}, 8088), ("127.0.0.1", 8088),
                   ("127.0.0.1", real)):
    try:
        socket.create_connection((host, port), 3).close()
        found[host + (" real" if port == real else "")] = True
    except OSError:
        found[host + (" real" if port == real else "")] = False
box.stdin.close(); box.wait()
print(json.dumps(found))"""
    found = json.loads(world.run("python3", "-c", outside, cwd=workspace).ok().out)
    assert found == {
        f"{world.SITE} real": False,
        world.SITE: False,
        "127.0.0.1": False,
        "127.0.0.1 real": True,
    }


def test_without_egress_nothing_hangs(world, workspace, coffer):
    """Egress is killed: what waits for it and what comes later is refused at once."""
    available, reason = support.tier_available("landlock")
    if not available:
        pytest.skip(reason)
    inside = f"""
import socket, sys, threading
address = ({world.SITE!r}, 22) # nobody answers whether it may be reached
def attempt():
    s = socket.socket()
    try:
        s.connect(address); print("ok", flush=True)
    except OSError as error:
        print(error.errno, flush=True)
waiting = threading.Thread(target=attempt); waiting.start()
print("ready", flush=True); sys.stdin.readline(); waiting.join()
attempt()
try:
    socket.getaddrinfo({ALLOWED!r}, 80); print("ok")
except OSError:
    print("no name")
"""
    outside = f"""
import os, signal, socket, subprocess, time
asker = socket.socket(socket.AF_UNIX); asker.bind({str(world.directory / "ask")!r}); asker.listen()
box = subprocess.Popen({[str(coffer), "run", "--quiet", "--isolation", "landlock", "--allow-domain",
    ALLOWED, "--net-ask", str(world.directory / "ask"), "--", "python3", "-c", inside]!r},
    stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
print(box.stdout.readline().strip())
time.sleep(0.2)
children = open(f"/proc/{{box.pid}}/task/{{box.pid}}/children").read().split()
egress = [int(c) for c in children if open(f"/proc/{{c}}/comm").read().strip() == "coffer-egress"]
os.kill(egress[0], signal.SIGKILL)
began = time.monotonic()
box.stdin.write("go" + chr(10)); box.stdin.close()
print(box.stdout.read().split(), time.monotonic() - began < 5)"""
    run = world.run("python3", "-c", outside, cwd=workspace).ok()
    lines = run.out.splitlines()
    assert lines[0] == "ready"
    assert lines[1] == "['111', '13', 'no', 'name'] True"


def test_a_socket_that_lingers_stalls_nobody(world, workspace, coffer):
    """The program that connects is killed: the broker's copy is the last of a socket that has
    much to send and is told to wait for it."""
    available, reason = support.tier_available("landlock")
    if not available:
        pytest.skip(reason)
    inside = f"""
import os, signal, socket, struct, time
s = socket.socket()
child = os.fork()
if child == 0:
    s.connect(({world.SITE!r}, 22)); os._exit(0) # nobody answers whether it may be reached
time.sleep(0.5)
s.setblocking(False)
s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 8))
sent = 0
try:
    while True:
        sent += s.send(bytes(65536))
except BlockingIOError:
    pass
s.close(); os.kill(child, signal.SIGKILL); os.wait()
os.chdir(os.environ["TMPDIR"])
worst, end = 0, time.monotonic() + 3
while time.monotonic() < end:
    began = time.monotonic(); os.mkdir("d"); os.rmdir("d"); time.sleep(0.05)
    worst = max(worst, time.monotonic() - began)
print(sent > 0, worst < 1)
"""
    outside = f"""
import socket, subprocess
asker = socket.socket(socket.AF_UNIX); asker.bind({str(world.directory / "ask2")!r}); asker.listen()
print(subprocess.run({[str(coffer), "run", "--quiet", "--isolation", "landlock", "--allow-domain",
    ALLOWED, "--net-ask", str(world.directory / "ask2"), "--", "python3", "-c", inside]!r},
    stdout=subprocess.PIPE, text=True).stdout)"""
    run = world.run("python3", "-c", outside, cwd=workspace).ok()
    assert run.out.split() == ["True", "True"]


def test_closed_box_has_no_socket(coffer, world, workspace):
    available, reason = support.tier_available("landlock")
    if not available:
        pytest.skip(reason)
    code = "import socket\nfor k in (1, 2):\n try: socket.socket(2, k); print('made')\n"
    code += " except OSError as e: print(e.errno)"
    run = world.run(coffer, "run", "--quiet", "--isolation", "landlock", "--", "python3", "-c",
                    code, cwd=workspace).ok()  # fmt: skip
    assert run.out.split() == ["13", "13"]
