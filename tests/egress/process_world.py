"""Drives coffer-egress directly, over its control socket. Run by test_process.py as root of a
network namespace without any uplink, where it plays the host: DNS, the supervisor. At the other end
of a cable are servers at public-looking addresses. A child in a namespace below plays the box.

    process_world.py PROGRAM UID|- SCENARIO
"""

import ctypes
import fcntl
import json
import os
import resource
import select
import signal
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import threading
import time

from world import inside, lay_cable, make_namespace

CONTROL_FD, CONFIG_FD = 3, 4
(SOCKETS, CONNECT, DATAGRAM, ANSWER, STOP) = range(1, 6)
(READY, FAILED, RECORD, ASK, CONNECTED) = range(6, 11)
REDIRECT_V4, PROXY, DNS_UDP_V4 = 0, 2, 3
DENY, ALLOW, MONITOR = 0, 1, 2
HTTP, TLS, RAW = 1, 2, 3

GOOD, OTHER = "93.184.216.34", "93.184.216.35"
NAMES = {
    "good.coffer.dev": [GOOD],
    "other.coffer.dev": [OTHER],
    "rebound.coffer.dev": ["10.9.8.7"],
}
queries, requests = [], []  # what the DNS server and the TLS server were asked


class Record(ctypes.Structure):
    _fields_ = [
        ("time_ms", ctypes.c_int64),
        ("duration_ms", ctypes.c_uint32),
        ("errno_value", ctypes.c_int32),
        ("verdict", ctypes.c_uint8),
        ("protocol", ctypes.c_uint8),
        ("how", ctypes.c_uint8),
        ("ended", ctypes.c_uint8),
        ("port", ctypes.c_uint16),
        ("client_port", ctypes.c_uint16),
        ("address", ctypes.c_uint8 * 16),
        ("client_address", ctypes.c_uint8 * 16),
        ("bytes_out", ctypes.c_uint64),
        ("bytes_in", ctypes.c_uint64),
        ("requests", ctypes.c_uint32),
        ("count", ctypes.c_uint32),
        ("name", ctypes.c_char * 256),
        ("rule", ctypes.c_char * 128),
        ("reason", ctypes.c_char * 192),
    ]


class Error(ctypes.Structure):
    _fields_ = [
        ("errno_value", ctypes.c_int),
        ("stage", ctypes.c_char * 32),
        ("message", ctypes.c_char * 1024),
        ("hint", ctypes.c_char * 512),
    ]


class Payload(ctypes.Union):
    _fields_ = [("error", Error), ("record", Record)]


class Message(ctypes.Structure):
    _anonymous_ = ["payload"]
    _fields_ = [
        ("kind", ctypes.c_uint32),
        ("id", ctypes.c_uint32),
        ("value", ctypes.c_int32),
        ("port", ctypes.c_uint16),
        ("kinds_count", ctypes.c_uint16),
        ("kinds", ctypes.c_uint8 * 8),
        ("address", ctypes.c_uint8 * 16),
        ("payload", Payload),
    ]


# ---- the host's side ----


def run(*command, **options):
    subprocess.run(command, check=True, **options)


def serve_dns(address="127.0.0.53"):
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind((address, 53))

    def answer():
        while True:
            query, peer = server.recvfrom(4096)
            at, labels = 12, []
            while query[at]:
                labels.append(query[at + 1 : at + 1 + query[at]].decode())
                at += 1 + query[at]
            name = ".".join(labels).lower()
            kind = struct.unpack("!H", query[at + 1 : at + 3])[0]
            queries.append(name)
            known = NAMES.get(name)
            found = known if known and kind == 1 else []
            reply = query[:2] + struct.pack(
                "!HHHHH", 0x8180 if known else 0x8183, 1, len(found), 0, 0
            )
            reply += query[12 : at + 5]
            for ip in found:
                reply += struct.pack("!HHHIH", 0xC00C, 1, 1, 60, 4) + socket.inet_aton(ip)
            server.sendto(reply, peer)

    threading.Thread(target=answer, daemon=True).start()


def serve_tcp(address, port, handle):
    server = socket.create_server((address, port), backlog=1024)

    def accept():
        while True:
            client, _ = server.accept()
            threading.Thread(target=handle, args=(client,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()


def greet(client):
    """Speaks first, then echoes until the end."""
    with client:
        client.sendall(b"hello\n")
        while data := client.recv(65536):
            client.sendall(data)


def serve_tls(address, directory):
    key, certificate = f"{directory}/key.pem", f"{directory}/certificate.pem"
    run(
        *"openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes".split(),
        *f"-days 2 -subj /CN=good.coffer.dev -keyout {key} -out {certificate}".split(),
        *"-addext subjectAltName=DNS:good.coffer.dev".split(),
        stderr=subprocess.DEVNULL,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)

    def handle(client):
        try:
            with context.wrap_socket(client, server_side=True) as tls:
                request = tls.recv(4000)
                if request.startswith(b"GET "):
                    requests.append(request.decode())
                    tls.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhttps!")
                else:
                    tls.sendall(b"over tls: " + request)
        except OSError:
            pass

    serve_tcp(address, 443, handle)


def serve_http(client):
    with client:
        head = b""
        while b"\r\n\r\n" not in head:
            data = client.recv(4096)
            if not data:
                return
            head += data
        client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhttp!")


def make_host(directory):
    far, addresses = make_namespace(), (GOOD, OTHER, "10.9.8.7")
    lay_cable(far, addresses)
    with inside(far):
        for address in addresses:
            serve_tcp(address, 7000, greet)
            serve_tcp(address, 80, serve_http)
        serve_tls(GOOD, directory)
    serve_dns()


# ---- egress and its control socket ----


def sealed(lists):
    fd = os.memfd_create("config", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    data = b"".join(
        b"".join((item or "\1").encode() + b"\0" for item in items) + b"\0" for items in lists
    )
    os.write(fd, data)
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, 15)
    return fd


class Egress:
    """coffer-egress, configured by (key, value) settings."""

    def __init__(self, program, uid, settings, tier="container", ask="0"):
        self.control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        triples = [part for key, value in settings for part in (key, value, f"test:{key}")]
        options = [f"tier={tier}", f"ask={ask}"]
        command = [program]
        if uid != "-":
            options += [f"uid={uid}", f"gid={uid}"]
        else:  # root of its own namespace only: egress is to be nobody in particular
            command = ["unshare", "-U", "--map-user=1000", "--map-group=1000", program]
        config = sealed([triples, options, []])
        high = [fcntl.fcntl(fd, fcntl.F_DUPFD, 64) for fd in (theirs.fileno(), config)]

        def place():
            os.dup2(high[0], CONTROL_FD)
            os.dup2(high[1], CONFIG_FD)

        self.process = subprocess.Popen(
            command, pass_fds=(CONTROL_FD, CONFIG_FD), preexec_fn=place, close_fds=True
        )
        for fd in [*high, config]:
            os.close(fd)
        theirs.close()
        self.records = []

    def receive(self, seconds=5):
        if not select.select([self.control], [], [], seconds)[0]:
            return None, []
        data, fds, _, _ = socket.recv_fds(self.control, ctypes.sizeof(Message), 8)
        if not data:
            return None, []
        assert len(data) == ctypes.sizeof(Message), len(data)
        return Message.from_buffer_copy(data), fds

    def ready(self):
        message, fds = self.receive(10)
        assert message, "no word from egress"
        text = message.error.message.decode() if message.kind == FAILED else ""
        assert message.kind == READY, (message.kind, text)
        return os.pread(fds[0], 1 << 20, 0).split(b"\0")

    def failed(self):
        message, _ = self.receive(10)
        assert message and message.kind == FAILED, message and message.kind
        assert self.process.wait(5) == 1
        return message.error.message.decode()

    def send(self, message, fds=()):
        socket.send_fds(self.control, [bytes(message)], list(fds))

    def sockets(self, kinds, fds):
        message = Message(kind=SOCKETS, kinds_count=len(kinds))
        message.kinds[: len(kinds)] = kinds
        self.send(message, fds)

    def collect(self, seconds=0.3):
        while True:
            message, _ = self.receive(seconds)
            if not message:
                return self.records
            if message.kind == RECORD:
                self.records.append(message.record)

    def stop(self):
        began = time.monotonic()
        self.send(Message(kind=STOP))
        assert self.process.wait(5) == 0
        took = time.monotonic() - began
        self.collect(0)
        return took

    def find(self, **wanted):
        """The records with these values."""
        self.collect()

        def fits(record):
            return all(getattr(record, key) == value for key, value in wanted.items())

        return [record for record in self.records if fits(record)]


def describe(records):
    return [
        {
            key: value.decode() if isinstance(value := getattr(record, key), bytes) else value
            for key in ("name", "verdict", "port", "errno_value", "rule", "reason", "bytes_in")
        }
        for record in records
    ]


# ---- the box's side ----

RULES = """
table ip box {
  chain nat {
    type nat hook output priority -100;
    ip daddr { 127.0.0.0/8, 198.18.0.0/24 } accept
    meta l4proto tcp dnat to 198.18.0.1:1
  }
}
"""


def unshare_network():
    if ctypes.CDLL(None, use_errno=True).unshare(0x40000000) < 0:
        raise OSError(ctypes.get_errno(), "unshare")


def make_box(channel):
    unshare_network()
    run("ip", "link", "set", "lo", "up")
    run("ip", "addr", "add", "198.18.0.1/32", "dev", "lo")
    run("ip", "route", "add", "local", "default", "dev", "lo")
    run("nft", "-f", "-", input=RULES.encode())
    redirect, proxy = (socket.create_server(("198.18.0.1", port)) for port in (1, 3128))
    dns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    dns.bind(("198.18.0.1", 53))
    socket.send_fds(channel, [b"."], [redirect.fileno(), proxy.fileno(), dns.fileno()])
    for fd in (redirect, proxy, dns):
        fd.close()
    assert channel.recv(1) == b"."


def in_box(egress, actions):
    """Runs actions() in a box that egress serves; its result."""
    ours, theirs = socket.socketpair()
    child = os.fork()
    if child == 0:
        try:
            make_box(theirs)
            theirs.sendall(json.dumps(actions()).encode())
            os._exit(0)
        except BaseException as error:  # noqa: BLE001
            theirs.sendall(json.dumps({"failed": repr(error)}).encode())
            os._exit(1)
    theirs.close()
    data, fds, _, _ = socket.recv_fds(ours, 4096, 8)
    assert len(fds) == 3, data
    egress.sockets([REDIRECT_V4, PROXY, DNS_UDP_V4], fds)
    for fd in fds:
        os.close(fd)
    ours.sendall(b".")
    answer = b""
    while chunk := ours.recv(65536):
        answer += chunk
    os.waitpid(child, 0)
    result = json.loads(answer)
    assert "failed" not in result, result
    return result


def look_up(name):
    """The A records that the box's resolver gives."""
    question = struct.pack("!HHHHHH", 7, 0x100, 1, 0, 0, 0)
    question += b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    question += b"\0" + struct.pack("!HH", 1, 1)
    asker = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    asker.settimeout(5)
    asker.sendto(question, ("198.18.0.1", 53))
    answer = asker.recv(4096)
    flags, _, count = struct.unpack("!HHH", answer[2:8])
    return flags & 15, [
        socket.inet_ntoa(answer[len(question) + 16 * i + 12 :][:4]) for i in range(count)
    ]


def talk(address, port, data=b""):
    """What a connection came to: the bytes until the end, or the error's name."""
    try:
        with socket.create_connection((address, port), 5) as client:
            client.settimeout(5)
            client.sendall(data)
            client.shutdown(socket.SHUT_WR)
            answer = b""
            while chunk := client.recv(65536):
                answer += chunk
            return answer.decode()
    except OSError as error:
        return type(error).__name__


def talk_tls(address, name, data=b"ping", authority=None):
    context = ssl.create_default_context(cadata=authority)
    if not authority:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    try:
        with socket.create_connection((address, 443), 5) as client:
            with context.wrap_socket(client, server_hostname=name) as tls:
                tls.sendall(data)
                return tls.recv(4000).decode()
    except OSError as error:
        return type(error).__name__


# ---- scenarios ----

SETTINGS = [
    ("allow-domain", "good.coffer.dev:80,443"),
    ("allow-domain", "good.coffer.dev:7000/raw"),
    ("allow-domain", "rebound.coffer.dev:7000/raw"),
    ("allow-cidr", f"{OTHER}/32:7000"),
    ("net-resolver", "127.0.0.53"),
]


def scenario_allow_and_deny(program, uid):
    egress = Egress(program, uid, SETTINGS)
    egress.ready()

    def actions():
        code, good = look_up("good.coffer.dev")
        rebound = look_up("rebound.coffer.dev")[1]
        stand_in = good[0]
        payload = b"x" * 300000
        return {
            "code": code,
            "stand_in": stand_in,
            "unknown": look_up("unknown.coffer.dev"),
            "raw": talk(stand_in, 7000, b"ping"),
            "large": len(talk(stand_in, 7000, payload)),
            "tls": talk_tls(stand_in, "good.coffer.dev"),
            "fronted": talk_tls(stand_in, "other.coffer.dev"),
            "http": talk(stand_in, 80, b"GET / HTTP/1.0\r\nHost: good.coffer.dev\r\n\r\n"),
            "port": talk(stand_in, 22),
            "literal": talk(OTHER, 7000, b"ping"),
            "literal_denied": talk(GOOD, 7000, b"ping"),
            "metadata": talk("169.254.169.254", 80),
            "rebound": talk(rebound[0], 7000) if rebound else "NXDOMAIN",
            "no_such_stand_in": talk("198.19.255.1", 443),
        }

    got = in_box(egress, actions)
    assert got["code"] == 0 and got["stand_in"].startswith(("198.18.", "198.19.")), got
    assert got["unknown"] == [3, []], got
    assert "unknown.coffer.dev" not in queries, queries
    assert got["raw"] == "hello\nping" and got["large"] == 300006, got
    assert got["tls"] == "over tls: ping", got
    assert got["http"].endswith("http!"), got
    assert got["literal"] == "hello\nping", got
    for denied in ("fronted", "port", "literal_denied", "metadata", "rebound"):
        assert got[denied] in ("ConnectionResetError", "ConnectionRefusedError", "NXDOMAIN",
            "SSLError", "SSLEOFError"), (denied, got)
    assert got["no_such_stand_in"] == "ConnectionResetError", got

    raw = egress.find(name=b"good.coffer.dev", port=7000, protocol=RAW, verdict=ALLOW)
    assert sorted(r.bytes_in for r in raw) == [10, 300006], describe(raw)
    assert sorted(r.bytes_out for r in raw) == [4, 300000], describe(raw)
    assert all(r.ended and r.client_port and r.errno_value == 0 for r in raw), describe(raw)
    assert egress.find(name=b"good.coffer.dev", port=443, protocol=TLS, verdict=ALLOW)
    assert egress.find(name=b"good.coffer.dev", port=80, protocol=HTTP, verdict=ALLOW)
    assert egress.find(port=443, verdict=DENY, name=b"good.coffer.dev")
    assert egress.find(port=22, verdict=DENY)
    metadata = egress.find(port=80, verdict=DENY, name=b"")
    assert metadata and metadata[0].reason, describe(egress.records)
    refused = [r for r in egress.records if r.verdict == DENY and r.name == b"rebound.coffer.dev"]
    assert refused and b"10.9.8.7" in refused[0].reason, describe(egress.records)
    assert egress.stop() < 1


def scenario_proxy(program, uid):
    egress = Egress(program, uid, SETTINGS)
    egress.ready()

    def actions():
        connect = b"CONNECT %s HTTP/1.1\r\nHost: %s\r\n\r\n"
        good, bad = b"good.coffer.dev:7000", b"other.coffer.dev:7000"
        return {
            "good": talk("198.18.0.1", 3128, connect % (good, good) + b"ping"),
            "bad": talk("198.18.0.1", 3128, connect % (bad, bad)),
        }

    got = in_box(egress, actions)
    assert got["good"].startswith("HTTP/1.1 200") and got["good"].endswith("hello\nping"), got
    assert got["bad"].startswith("HTTP/1.1 403"), got
    assert egress.find(name=b"good.coffer.dev", verdict=ALLOW, port=7000)
    assert egress.find(name=b"other.coffer.dev", verdict=DENY, port=7000)
    assert egress.stop() < 1


def scenario_open_connections_are_logged(program, uid):
    """STOP and the supervisor's death both end it at once; STOP with a record of what was open."""
    egress = Egress(program, uid, SETTINGS)
    egress.ready()

    def actions():
        client = socket.create_connection((look_up("good.coffer.dev")[1][0], 7000), 5)
        greeting = client.recv(100).decode()
        os.set_inheritable(client.fileno(), True)
        if os.fork() == 0:  # stays
            time.sleep(5)
            os._exit(0)
        return {"greeting": greeting}

    child_result = threading.Thread(target=lambda: in_box(egress, actions), daemon=True)
    child_result.start()
    time.sleep(1.5)
    assert egress.stop() < 1
    assert egress.find(name=b"good.coffer.dev", port=7000, ended=1, bytes_in=6)

    egress = Egress(program, uid, SETTINGS)
    egress.ready()
    egress.control.close()
    egress.process.wait(2)


def scenario_confined(program, uid):
    """What the kernel says of the process itself."""
    egress = Egress(program, uid, SETTINGS)
    egress.ready()
    pid = egress.process.pid
    with open(f"/proc/{pid}/status") as file:
        status = dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)
    assert status["Seccomp"] == "2" and status["NoNewPrivs"] == "1", status
    for which in ("CapPrm", "CapEff", "CapInh", "CapAmb"):
        assert int(status[which], 16) == 0, status
    if uid != "-":
        assert status["Uid"].split() == [uid] * 4 and status["Gid"].split() == [uid] * 4, status
        assert status["Groups"].strip() == "", status
    assert egress.stop() < 1


def scenario_many_connections(program, uid):
    """1,000 at a time, all alive, in 30 MiB."""
    egress = Egress(program, uid, SETTINGS)
    egress.ready()

    def actions():
        address = look_up("good.coffer.dev")[1][0]
        clients = [socket.create_connection((address, 7000), 10) for _ in range(1000)]
        for client in clients:
            assert client.recv(100) == b"hello\n"
        for client in clients:
            client.sendall(b"ping")
        answers = sum(client.recv(100) == b"ping" for client in clients)
        with open(f"/proc/{egress.process.pid}/status") as file:
            (resident,) = (int(line.split()[1]) for line in file if line.startswith("VmRSS"))
        return {"answers": answers, "resident_kib": resident}

    got = in_box(egress, actions)
    print(got)
    assert got["answers"] == 1000 and got["resident_kib"] <= 30 * 1024, got
    assert len(egress.find(ended=1, bytes_in=10, bytes_out=4)) == 1000
    assert egress.stop() < 1


def scenario_inspected_with_secret(program, uid):
    """TLS ends in egress, under its filter, and the secret is put in on the way out."""
    settings = [
        ("allow-domain", "good.coffer.dev"),
        ("net-inspect", "good.coffer.dev"),
        (
            "net-secret",
            "name=TOKEN,host=good.coffer.dev,from=command:echo the-real-value-0123456789",
        ),
        ("upstream-ca", f"{directory}/certificate.pem"),
        ("net-resolver", "127.0.0.53"),
    ]
    egress = Egress(program, uid, settings)
    variable, _, authority, *_ = (part.decode() for part in egress.ready())
    name, placeholder = variable.split("=", 1)
    assert name == "TOKEN" and "real" not in placeholder, variable
    assert authority.startswith("-----BEGIN CERTIFICATE"), authority

    def actions():
        address = look_up("good.coffer.dev")[1][0]
        head = "GET / HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer " + placeholder + "\r\n\r\n"

        def get(host):
            return talk_tls(
                address, "good.coffer.dev", head.format(host).encode(), authority=authority
            )

        return {"good": get("good.coffer.dev"), "fronted": get("other.coffer.dev")}

    got = in_box(egress, actions)
    assert got["good"].startswith("HTTP/1.1 200"), got
    assert not got["fronted"].startswith("HTTP/1.1 200"), got
    assert len(requests) == 1 and "Bearer the-real-value-0123456789" in requests[0], requests
    assert egress.find(name=b"good.coffer.dev", port=443, verdict=ALLOW)
    assert egress.find(port=443, verdict=DENY)
    assert egress.stop() < 1


def scenario_publish_helper_knows_no_secret(program, uid):
    """The helper enters the box's network: what it does not have cannot be had from it there."""
    if uid == "-":
        return  # only root can look into a process that must not be dumped
    values = {"ENVIRONMENT": "in-the-environment-0123", "COMMAND": "by-a-command-0123456789"}
    os.environ["SECRET_OF_A_TEST"] = values["ENVIRONMENT"]
    # The value itself is not in the policy, which the helper may have.
    words = "-".join(reversed(values["COMMAND"].split("-")))
    turn = "awk -F- -v OFS=- '{print $4,$3,$2,$1}'"
    sources = {"ENVIRONMENT": "env:SECRET_OF_A_TEST",
               "COMMAND": f"command:echo {words} | {turn}"}  # fmt: skip
    settings = [
        ("allow-domain", "good.coffer.dev"),
        ("publish", "18081:8081"),
        ("net-resolver", "127.0.0.53"),
        *[("net-secret", f"name={n},host=good.coffer.dev,from={s}") for n, s in sources.items()],
    ]
    egress = Egress(program, uid, settings)
    egress.ready()
    with open(f"/proc/{egress.process.pid}/task/{egress.process.pid}/children") as file:
        (helper,) = file.read().split()

    def holds(pid):
        found = set()
        with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", 0) as memory:
            for line in maps:
                start, end = (int(n, 16) for n in line.split()[0].split("-"))
                if line.split()[1].startswith("rw"):
                    memory.seek(start)
                    data = memory.read(end - start)
                    found |= {n for n, value in values.items() if value.encode() in data}
        return found

    assert holds(egress.process.pid) == set(values), "they are looked for in the wrong way"
    assert holds(helper) == set()
    egress.stop()


def scenario_bad_configuration(program, uid):
    def failure(settings):
        return Egress(program, uid, settings).failed()

    assert "no such key" in failure([("allow-domian", "a.example.com")])
    assert failure([("allow-domain", "a..b")])
    assert failure([("allow-domain", "good.coffer.dev:443-80")])
    assert failure([("net", "off"), ("allow-domain", "good.coffer.dev")])


def scenario_landlock_tier(program, uid):
    """Connections that a broker hands over, and the program's connect() ends as the real one."""
    egress = Egress(program, uid, SETTINGS, tier="landlock")
    egress.ready()

    def connect(address, port):
        ours, theirs = socket.socketpair()
        mapped = socket.inet_pton(socket.AF_INET6, f"::ffff:{address}")
        egress.send(
            Message(kind=CONNECT, id=5, port=port, address=(ctypes.c_uint8 * 16)(*mapped)),
            [theirs.fileno()],
        )
        theirs.close()
        while True:
            message, _ = egress.receive()
            if message.kind == CONNECTED:
                return message.value, ours
            egress.records.append(message.record)

    value, client = connect(OTHER, 7000)
    assert value == 0
    client.sendall(b"ping")
    client.shutdown(socket.SHUT_WR)
    answer = b""
    while data := client.recv(100):
        answer += data
    assert answer == b"hello\nping", answer
    value, client = connect(GOOD, 7000)
    assert value == -111 and client.recv(1) == b"", value
    assert egress.find(verdict=ALLOW, port=7000, how=8)
    assert egress.find(verdict=DENY, port=7000, how=8)
    assert egress.stop() < 1


def main():
    global directory  # of this run's own
    program, uid, name = sys.argv[1:]
    signal.alarm(50)
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    for fd in (CONTROL_FD, CONFIG_FD):
        os.dup2(0, fd)  # so that nothing else of this process gets these numbers
    with tempfile.TemporaryDirectory() as directory:
        make_host(directory)
        globals()[f"scenario_{name}"](program, uid)
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
