"""A small internet without any uplink: two network namespaces and a cable. In the far one are
public-looking addresses, a resolver, and servers of HTTP, TLS, a protocol in which the server
speaks first, and UDP. The near one is the host: it has addresses of its own, and servers on them.

Run as a program it is the inside: it serves, and runs commands on the host that it is told of on
standard input (lines of JSON), so that they see this internet. As root it makes its namespaces
itself; as an ordinary user inside a user namespace of its own, in which it stays that user.
"""

import contextlib
import ctypes
import http.server
import ipaddress
import json
import os
import socket
import socketserver
import ssl
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

SITE = "93.184.10.10"  # allowed.coffer-world.com and whoever else is allowed
OTHER = "93.184.10.20"  # denied.coffer-world.com
SITE6 = "2606:4700:10::10"
RESOLVER = "93.184.10.53"
PRIVATE = "10.1.2.3"
METADATA = "169.254.169.254"
PROXY = "10.9.9.9"  # of a company
ADDRESSES = [SITE, OTHER, SITE6, RESOLVER, PRIVATE, METADATA, PROXY, "192.168.7.7", "172.16.7.7"]

HOST = "93.184.11.1"  # the host's own
HOST_SECOND = "93.184.11.3"  # in the same network: connections to it come from the first
HOST6 = "2606:4700:11::1"
FAR, FAR6 = "93.184.11.2", "2606:4700:11::2"  # the other end of the cable
CLONE_NEWNET = 0x40000000
libc = ctypes.CDLL(None, use_errno=True)

DOMAIN = "coffer-world.com"
REGISTRIES = [
    "registry.npmjs.org",
    "pypi.org",
    "files.pythonhosted.org",
    "deb.debian.org",
    "security.debian.org",
    "github.com",
    "crates.io",
]
# name -> addresses, in the order of answers; a name alone is a CNAME.
NAMES = {
    f"allowed.{DOMAIN}": [SITE, SITE6],
    f"v4.{DOMAIN}": [SITE],
    f"v6.{DOMAIN}": [SITE6],
    f"denied.{DOMAIN}": [OTHER],
    f"private.{DOMAIN}": [PRIVATE],
    f"mixed.{DOMAIN}": [SITE, PRIVATE],
    f"metadata.{DOMAIN}": [METADATA],
    f"loopback.{DOMAIN}": ["127.0.0.1"],
    f"host.{DOMAIN}": [HOST],
    f"host-second.{DOMAIN}": [HOST_SECOND],
    f"host6.{DOMAIN}": [HOST6],
    f"mapped.{DOMAIN}": ["::ffff:10.1.2.3"],
    f"nat64.{DOMAIN}": ["64:ff9b::a01:203"],
    f"to-private.{DOMAIN}": f"private.{DOMAIN}",
    f"to-denied.{DOMAIN}": f"denied.{DOMAIN}",
    f"to-allowed.{DOMAIN}": f"allowed.{DOMAIN}",
    f"rebind.{DOMAIN}": [SITE],  # from the second question on: 127.0.0.1
    f"xn--bcher-kva.{DOMAIN}": [SITE],
    f"silent.{DOMAIN}": None,  # no answer ever comes
    **{name: [SITE] for name in REGISTRIES},
}
TTLS = {f"rebind.{DOMAIN}": 0}  # else 5
WILDCARD = f".wild.{DOMAIN}"

log = []
log_lock = threading.Lock()
questions = {}


def note(kind, **what):
    with log_lock:
        log.append({"kind": kind, **what})


# The resolver.


def encode_name(name):
    return b"".join(bytes([len(p)]) + p.encode() for p in name.split(".") if p) + b"\0"


def read_name(data, at):
    labels = []
    while data[at]:
        labels.append(data[at + 1 : at + 1 + data[at]].decode("latin-1"))
        at += 1 + data[at]
    return ".".join(labels).lower(), at + 1


def lookup(name):
    if name.endswith(WILDCARD):
        return [SITE]
    answer = NAMES.get(name, [])
    questions[name] = questions.get(name, 0) + 1
    if name == f"rebind.{DOMAIN}" and questions[name] > 2:
        return ["127.0.0.1"]
    return answer


def answer_query(data):
    """The answer to one query, or None."""
    ident = struct.unpack("!H", data[:2])[0]
    name, at = read_name(data, 12)
    kind = struct.unpack("!H", data[at : at + 2])[0]
    question = data[12 : at + 4]
    note("dns", name=name, type=kind)
    records, count, current, found = b"", 0, name, True
    for _ in range(8):
        answer = lookup(current)
        if answer is None:
            return None
        if isinstance(answer, str):
            target = encode_name(answer)
            records += encode_name(current) + struct.pack("!HHIH", 5, 1, 5, len(target)) + target
            count += 1
            current = answer
            continue
        found = bool(answer)
        for text in answer:
            address = ipaddress.ip_address(text)
            if (kind, address.version) in ((1, 4), (28, 6)):
                packed = address.packed
                ttl = TTLS.get(current, 5)
                records += encode_name(current) + struct.pack("!HHIH", kind, 1, ttl, len(packed))
                records += packed
                count += 1
        break
    header = struct.pack("!HHHHHH", ident, 0x8180 | (0 if found else 3), 1, count, 0, 0)
    return header + question + records


class DnsUdp(socketserver.BaseRequestHandler):
    def handle(self):
        data, server = self.request
        answer = answer_query(data)
        if answer:
            server.sendto(answer, self.client_address)


class DnsTcp(socketserver.StreamRequestHandler):
    def handle(self):
        length = self.rfile.read(2)
        while len(length) == 2:
            answer = answer_query(self.rfile.read(struct.unpack("!H", length)[0]))
            if not answer:
                return
            self.wfile.write(struct.pack("!H", len(answer)) + answer)
            length = self.rfile.read(2)


# HTTP, plain and over TLS.


class Site(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else an answer in two parts waits for the client's ACK
    root = None

    def log_message(self, *_):
        pass

    def send(self, status, body, kind="text/plain", headers=()):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def serve(self):
        parts = urlsplit(self.path)
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length) if length else b""
        secure = isinstance(self.connection, ssl.SSLSocket)
        note(
            "http",
            method=self.command,
            host=self.headers.get("Host"),
            path=self.path,
            secure=secure,
            sni=getattr(self.connection, "sni", None),
            address=self.connection.getsockname()[0],
            headers=dict(self.headers),
            body=body.decode("latin-1"),
        )
        if parts.path == "/echo":
            shown = {"method": self.command, "path": self.path, "headers": dict(self.headers)}
            shown["body"] = body.decode("latin-1")
            self.send(200, json.dumps(shown).encode(), "application/json")
        elif parts.path.startswith("/bytes/"):
            count = int(parts.path.rsplit("/", 1)[1])
            self.send_response(200)
            self.send_header("Content-Length", str(count))
            self.end_headers()
            block = b"x" * 65536
            while count > 0:
                self.wfile.write(block[: min(count, len(block))])
                count -= len(block)
        elif parts.path == "/chunked":
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for word in (b"one ", b"two ", b"three"):
                self.wfile.write(b"%x\r\n%s\r\n" % (len(word), word))
            self.wfile.write(b"0\r\n\r\n")
        elif self.root and (found := self.find(parts.path)):
            page = found.name == "index.html"
            kind = "text/html" if page else "application/octet-stream"
            self.send(200, found.read_bytes(), kind)
        elif parts.path == "/":
            name = (self.headers.get("Host") or "").split(":")[0]
            self.send(200, f"hello from {name}\n".encode())
        else:
            self.send(404, b"there is no such page\n")

    def find(self, path):
        """Files of the document root; npm asks for package names with the slash encoded."""
        found = (self.root / path.lstrip("/").replace("%2f", "/")).resolve()
        if found.is_dir():
            found = found / "index.html"
        return found if found.is_file() and self.root in found.parents else None

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_OPTIONS = serve


class HttpServer(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 1024

    def handle_error(self, *_):
        pass


class HttpServer6(HttpServer):
    address_family = socket.AF_INET6


def over_tls(server, certificate, key):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)

    def keep_sni(connection, name, _context):
        connection.sni = name

    context.sni_callback = keep_sni
    plain_accept = server.get_request

    # The handshake is the handler's, in its thread: one slow client holds nobody up.
    def get_request():
        connection, address = plain_accept()
        connection.settimeout(20)
        wrapped = context.wrap_socket(
            connection, server_side=True, do_handshake_on_connect=False
        )
        return wrapped, address

    server.get_request = get_request
    return server


# A server that speaks first, and UDP.


class Banner(socketserver.StreamRequestHandler):
    """Says who it is at once, then sends back each line in capitals."""

    def handle(self):
        note("banner", address=self.connection.getsockname()[0])
        self.wfile.write(b"SSH-2.0-world\r\n")
        for line in self.rfile:
            self.wfile.write(line.upper())


class Recorder(socketserver.BaseRequestHandler):
    """Keeps the bytes that arrive until there is a silence, then answers in the way of HTTP."""

    def handle(self):
        data = b""
        self.request.settimeout(0.3)
        with contextlib.suppress(OSError):
            while block := self.request.recv(65536):
                data += block
        note("raw", address=self.server.server_address[0], data=data.decode("latin-1"))
        with contextlib.suppress(OSError):
            self.request.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")


class Deaf(socketserver.BaseRequestHandler):
    """Takes connections and reads nothing."""

    def handle(self):
        time.sleep(20)


class ConnectProxy(socketserver.BaseRequestHandler):
    """What stands between a company and the internet: CONNECT with a password, nothing else."""

    def handle(self):
        head = b""
        while b"\r\n\r\n" not in head:
            block = self.request.recv(4096)
            if not block:
                return
            head += block
        lines = head.decode("latin-1").split("\r\n")
        note("proxy", address=self.server.server_address[0], line=lines[0], head="\n".join(lines))
        method, target, _ = lines[0].split(" ")
        host, _, port = target.rpartition(":")
        if method != "CONNECT" or "Proxy-Authorization: Basic dXNlcjpwYXNz" not in lines:
            self.request.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")
            return
        host = host.strip("[]")
        known = NAMES.get(host) or [host]
        with socket.create_connection((known[0], int(port)), 5) as server:
            self.request.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            back = threading.Thread(target=pump, args=[server, self.request], daemon=True)
            back.start()
            pump(self.request, server)
            back.join()


def pump(source, target):
    with contextlib.suppress(OSError):
        while block := source.recv(65536):
            target.sendall(block)
        target.shutdown(socket.SHUT_WR)


class UdpEcho(socketserver.BaseRequestHandler):
    def handle(self):
        data, server = self.request
        note("udp", address=self.server.server_address[0], data=data.decode("latin-1"))
        server.sendto(data.upper(), self.client_address)


class Tcp(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 1024

    def handle_error(self, *_):
        pass


class Tcp6(Tcp):
    address_family = socket.AF_INET6


class Udp(socketserver.ThreadingUDPServer):
    daemon_threads = True

    def handle_error(self, *_):
        pass


def start(server):
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def serve_on(addresses, directory):
    certificate, key = directory / "site.pem", directory / "site.key"
    for address in addresses:
        start(HttpServer((address, 80), Site))
        start(over_tls(HttpServer((address, 443), Site), certificate, key))
        start(Tcp((address, 22), Banner))
        start(Udp((address, 9999), UdpEcho))


def serve_far(directory):
    certificate, key = directory / "site.pem", directory / "site.key"
    start(Udp((RESOLVER, 53), DnsUdp))
    start(Tcp((RESOLVER, 53), DnsTcp))
    serve_on((SITE, OTHER, PRIVATE, METADATA), directory)
    start(HttpServer((SITE, 8080), Site))
    start(Tcp((SITE, 8081), Recorder))
    start(Tcp((SITE, 8082), Deaf))
    start(Tcp((PROXY, 3128), ConnectProxy))
    start(HttpServer6((SITE6, 80), Site))
    start(over_tls(HttpServer6((SITE6, 443), Site), certificate, key))
    start(Tcp6((SITE6, 22), Banner))


def serve_near(directory):
    serve_on(("127.0.0.1", HOST, HOST_SECOND), directory)
    start(HttpServer6((HOST6, 80), Site))


# The namespaces.


def ip(*words, **keywords):
    subprocess.run(["ip", *words], check=True, stdout=subprocess.DEVNULL, **keywords)


def add_address(address, device):
    ip("address", "add", address, "dev", device, *(["nodad"] if ":" in address else []))


@contextlib.contextmanager
def inside(namespace):
    """This thread, and what it starts meanwhile, in another network namespace (a descriptor)."""
    here = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    if libc.setns(namespace, CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")
    try:
        yield
    finally:
        if libc.setns(here, CLONE_NEWNET):
            os._exit(1)
        os.close(here)


def make_namespace():
    here = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    if libc.unshare(CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "unshare")
    made = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    if libc.setns(here, CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")
    os.close(here)
    return made


def lay_cable(far, addresses):
    """near, here, and far, in the namespace far, which has these addresses too."""
    peer = ["peer", "name", "far", "netns", f"/proc/self/fd/{far}"]
    ip("link", "add", "near", "type", "veth", *peer, pass_fds=[far])
    ip("link", "set", "lo", "up")
    for address in (f"{HOST}/24", f"{HOST_SECOND}/24", f"{HOST6}/64"):
        add_address(address, "near")
    ip("link", "set", "near", "up")
    with inside(far):
        ip("link", "set", "lo", "up")
        for address in (f"{FAR}/24", f"{FAR6}/64"):
            add_address(address, "far")
        ip("link", "set", "far", "up")
        for address in addresses:
            add_address(address + ("/128" if ":" in address else "/32"), "lo")
    for address in addresses:
        ip("route", "add", address, "via", FAR6 if ":" in address else FAR)


def set_up(directory):
    far = make_namespace()
    lay_cable(far, ADDRESSES)
    Site.root = (directory / "www").resolve()
    with inside(far):
        serve_far(directory)
    serve_near(directory)
    resolv = directory / "resolv.conf"
    resolv.write_text(f"nameserver {RESOLVER}\n")
    subprocess.run(["mount", "--bind", resolv, "/etc/resolv.conf"], check=True)


def run(order):
    """A command inside, without whatever the namespaces gave this process."""
    drop = ["setpriv", "--ambient-caps=-all", "--inh-caps=-all"] if os.getuid() else []
    started = time.monotonic()
    process = subprocess.Popen(
        [*drop, *order["argv"]],
        cwd=order.get("cwd"),
        env=order["env"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        out, err = process.communicate(
            order.get("stdin", "").encode("latin-1"), timeout=order["timeout"]
        )
        timed_out = False
    except subprocess.TimeoutExpired:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, 9)
        out, err = process.communicate()
        timed_out = True
    return {
        "code": process.returncode,
        "out": out.decode("utf-8", "backslashreplace"),
        "err": err.decode("utf-8", "backslashreplace"),
        "timed_out": timed_out,
        "seconds": time.monotonic() - started,
    }


def main():
    directory = Path(sys.argv[1])
    set_up(directory)
    print("ready", flush=True)
    for line in sys.stdin:
        order = json.loads(line)
        if order["op"] == "run":
            answer = run(order)
        elif order["op"] == "log":
            with log_lock:
                answer = list(log)
        elif order["op"] == "clear":
            with log_lock:
                log.clear()
            questions.clear()
            answer = None
        print(json.dumps([order["number"], answer]), flush=True)


if __name__ == "__main__":
    main()
