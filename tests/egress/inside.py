"""What the attacks need inside a box: put in front of their code by the fixture `attack`.

A way to a server is tried and told in one word: "refused", "unreachable", "timeout", "reset", "no
name" or, when it let itself be talked to, what the server said."""

import contextlib
import errno
import json
import os
import socket
import ssl
import struct
import sys
import threading
import time

PROXY = ("198.18.0.1", 3128)
RESOLVER = ("198.18.0.1", 53)
PATIENCE_S = 8
WORDS = {
    errno.ECONNREFUSED: "refused",
    errno.ECONNRESET: "reset",
    errno.EPIPE: "reset",
    errno.ENETUNREACH: "unreachable",
    errno.EHOSTUNREACH: "unreachable",
    errno.EADDRNOTAVAIL: "unreachable",
    errno.EPERM: "forbidden",
    errno.EACCES: "forbidden",
    errno.EAFNOSUPPORT: "forbidden",
    errno.EPROTONOSUPPORT: "forbidden",
    errno.ESOCKTNOSUPPORT: "forbidden",
    errno.EAGAIN: "timeout",
    errno.EINVAL: "invalid",
}


def word(error):
    if isinstance(error, socket.gaierror):
        return "no name"
    if isinstance(error, TimeoutError):
        return "timeout"
    return WORDS.get(error.errno, repr(error))


def request(host, method="GET", path="/", more=""):
    return f"{method} {path} HTTP/1.1\r\nHost: {host}\r\n{more}Connection: close\r\n\r\n"


def read_all(connection):
    """Until its end; a reset after something was said takes nothing away."""
    data = b""
    try:
        while block := connection.recv(65536):
            data += block
    except OSError as error:
        if not data:
            return word(error)
    return data.decode("latin-1")


def say(connection, text):
    data = text.encode("latin-1") if isinstance(text, str) else text
    try:
        connection.sendall(data)
    except OSError as error:
        return read_all(connection) or word(error)
    return read_all(connection)


def talk(host, port=80, text=None, family=0):
    """Connects, says text, and returns the answer."""
    try:
        found = socket.getaddrinfo(host, port, family, socket.SOCK_STREAM)[0]
        with socket.socket(found[0], socket.SOCK_STREAM) as connection:
            connection.settimeout(PATIENCE_S)
            connection.connect(found[4])
            named = f"[{host}]" if ":" in host else host
            return say(connection, request(named) if text is None else text)
    except OSError as error:
        return word(error)


def proxied(line, more="", then=None):
    """One head to the proxy; what it answers, and after a tunnel is there, what the server does."""
    with socket.create_connection(PROXY, PATIENCE_S) as connection:
        connection.sendall(f"{line}\r\n{more}\r\n".encode("latin-1"))
        if then is None:
            return read_all(connection)
        head = b""
        while b"\r\n\r\n" not in head:
            block = connection.recv(4096)
            if not block:
                return head.decode("latin-1")
            head += block
        if b" 200 " not in head.split(b"\r\n")[0]:
            return head.decode("latin-1") + read_all(connection)
        return say(connection, then)


def absolute(host, named=None, scheme="http"):
    """A request for host by the proxy, in which `named` is the Host."""
    line = f"GET {scheme}://{host}/ HTTP/1.1"
    return proxied(line, f"Host: {named or host}\r\nConnection: close\r\n")


def tunnel(target, then, named=None):
    """A tunnel by the proxy, in which `then` is said."""
    return proxied(f"CONNECT {target} HTTP/1.1", f"Host: {named or target}\r\n", then)


def socks(target, port, then):
    """target: a name, or packed bytes of an address. "socks N": refused with that code."""
    packed = target.encode("latin-1") if isinstance(target, str) else target
    if isinstance(target, str):
        address = bytes([3, len(packed)]) + packed
    else:
        address = bytes([1 if len(packed) == 4 else 4]) + packed
    with socket.create_connection(PROXY, PATIENCE_S) as connection:
        try:
            connection.sendall(b"\5\1\0")
            connection.recv(2)
            connection.sendall(b"\5\1\0" + address + struct.pack("!H", port))
            answer = connection.recv(262)
        except OSError as error:
            return word(error)
        if len(answer) < 2 or answer[1] != 0:
            return f"socks {answer[1] if len(answer) > 1 else 'closed'}"
        return say(connection, then)


def query(name, kind=1, server=RESOLVER, flags=0x0100, patience=PATIENCE_S):
    """(rcode, number of answers) of the box's resolver, or a word."""
    labels = name if isinstance(name, list) else name.split(".")
    packed = b"".join(bytes([len(p)]) + p.encode("latin-1") for p in labels if p) + b"\0"
    data = struct.pack("!6H", 4711, flags, 1, 0, 0, 0) + packed + struct.pack("!2H", kind, 1)
    family = socket.AF_INET6 if ":" in server[0] else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as asking:
        asking.settimeout(patience)
        try:
            asking.sendto(data, server)
            answer = asking.recv(4096)
        except OSError as error:
            return word(error)
    return [answer[3] & 15, struct.unpack("!H", answer[6:8])[0]]


def hello(host, name, port=443, then=None):
    """A TLS connection to host in which `name` (None: none) is said to be wanted."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        with socket.create_connection((host, port), PATIENCE_S) as connection:
            with context.wrap_socket(connection, server_hostname=name) as over:
                return say(over, request(name or host) if then is None else then)
    except ssl.SSLError as error:
        return f"tls: {error.reason or 'closed'}"
    except OSError as error:
        return word(error)


def tell(what):
    print(json.dumps(what))
