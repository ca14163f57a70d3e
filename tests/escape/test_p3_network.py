"""P3: no network but what egress allows, no socket of the host's, no inherited descriptor."""

import os
import socket
import subprocess

import pytest
import support

# Kinds of socket that nothing in a box needs.
FORBIDDEN = {
    *("raw-icmp", "raw-icmp6", "ping", "packet", "packet-old", "mptcp", "mptcp6"),
    *("sctp", "sctp-seqpacket", "dccp", "smc", "udplite", "vsock", "vsock-datagram"),
    *("netlink-netfilter", "netlink-audit", "netlink-uevent", "netlink-sock-diag"),
    *("alg", "bluetooth", "can", "key", "tipc", "rds", "xdp"),
}


def test_kinds_of_socket(probe):
    found = probe("sockets")
    assert {name for name in FORBIDDEN if found[name] == "ok"} == set()
    for name in ("unix-stream", "unix-seqpacket", "socketpair-stream", "socketpair-seqpacket"):
        assert found[name] == "ok", name


def test_strict_has_no_socket_at_all(run_coffer, tier, workspace):
    if tier != "container":
        pytest.skip("strict refuses this tier")
    code = """
import socket
for family in (socket.AF_INET, socket.AF_INET6, socket.AF_UNIX, socket.AF_NETLINK):
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_RAW):
        try:
            socket.socket(family, kind); print("made", family, kind)
        except OSError:
            pass
print("end")"""
    limits = [] if support.IS_ROOT else ["--limit", "cpu=none"]
    command = ["--", "python3", "-c", code]
    result = run_coffer("run", "--profile", "strict", *limits, *command, cwd=workspace).ok()
    assert result.report["stdout"] == "end\n"


@pytest.mark.core
def test_tcp(box, tcp_listener):
    code = f"""
import socket
for host in ("127.0.0.1", "localhost", "::ffff:127.0.0.1"):
    try:
        s = socket.create_connection((host, {tcp_listener.port}), 1)
        print("reached", s.recv(100))
    except OSError as e:
        print(e.errno)"""
    assert "reached" not in box("python3", "-c", code).ok().out
    assert not tcp_listener.reached
    socket.create_connection(("127.0.0.1", tcp_listener.port)).close()
    support.wait_until(lambda: tcp_listener.reached, what="the listener itself")


def own_address():
    """Of this host on a network, if it has one: no packet is sent for it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        try:
            s.connect(("192.0.2.1", 9))
            return s.getsockname()[0]
        except OSError:
            return "127.0.0.1"


def test_addresses_beyond_loopback(box):
    """Every way to send something off, and what it ends with: at once, not by a time limit."""
    code = f"""
import socket
for family, address in ((socket.AF_INET, "{own_address()}"), (socket.AF_INET, "192.0.2.1"),
                        (socket.AF_INET, "169.254.169.254"), (socket.AF_INET6, "2001:db8::1"),
                        (socket.AF_INET6, "fe80::1%lo")):
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        try:
            s = socket.socket(family, kind); s.settimeout(2)
            s.connect((address, 80)); s.sendall(b"x"); print("sent", address, kind)
        except OSError:
            pass
print("end")"""
    result = box("python3", "-c", code).ok()
    assert result.out == "end\n"
    assert result.seconds < 10 * support.SLOWDOWN


def test_udp(box, udp_listener):
    code = f"""
import socket
address = ("127.0.0.1", {udp_listener.port})
for send in (lambda s: s.sendto(b"x", address),
             lambda s: s.sendto(b"x", socket.MSG_CONFIRM, address),
             lambda s: s.sendmsg([b"x"], [], 0, address),
             lambda s: (s.connect(address), s.send(b"x"))):
    try:
        send(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    except OSError:
        pass"""
    box("python3", "-c", code).ok()
    assert udp_listener.received == []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.sendto(b"host", ("127.0.0.1", udp_listener.port))
    support.wait_until(lambda: udp_listener.reached, what="the listener itself")


def test_fast_open(box, tcp_listener):
    code = f"""
import socket
try:
    socket.socket().sendto(b"x", 0x20000000, ("127.0.0.1", {tcp_listener.port}))
except OSError:
    pass"""
    box("python3", "-c", code).ok()
    assert not tcp_listener.reached


def test_names_are_not_resolved(box):
    result = box("python3", "-c", "import socket; socket.getaddrinfo('example.com', 80)")
    assert "gaierror" in result.err, result.describe()
    assert result.seconds < 15 * support.SLOWDOWN
    assert box("python3", "-c", "import socket; socket.getaddrinfo('localhost', 80)").code == 0


def test_interfaces_and_routes_cannot_be_changed(box):
    support.need_program("ip")
    script = """
        ip link add dummy0 type dummy; ip link set lo down; ip address add 192.0.2.1/24 dev lo
        ip route add default dev lo; ip tuntap add tap0 mode tap; ip netns add x; nft list ruleset
        ip link add name v0 type veth peer name v1 netns 1"""
    for line in script.replace("\n", ";").split(";"):
        if line.strip():
            assert box("sh", "-c", line).code != 0, line


def connect_script(address, kind="STREAM"):
    return f"""
import socket
s = socket.socket(socket.AF_UNIX, socket.SOCK_{kind})
s.settimeout(2)
try:
    s.connect({address!r})
    s.send(b"x")
    print("reached", s.recv(100))
except OSError as e:
    print("refused", e.errno)"""


@pytest.mark.core
def test_unix_sockets_of_the_host(box, unix_listener, workspace):
    (workspace / "link.sock").symlink_to(unix_listener.address)
    for address in (unix_listener.address, "link.sock", "../host.sock",
                    f"/proc/self/root{unix_listener.address}"):
        result = box("python3", "-c", connect_script(address)).ok()
        assert result.out.startswith("refused"), (address, result.describe())
    assert not unix_listener.reached


def test_unix_sockets_that_lie_in_the_workspace(box, unix_listener, workspace):
    """One that the host put there is the host's: by a hard link, or made there before the run."""
    os.link(unix_listener.address, workspace / "hard.sock")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(workspace / "made.sock"))
        server.listen()
        server.settimeout(0.1)
        for name in ("hard.sock", "made.sock"):
            result = box("python3", "-c", connect_script(name)).ok()
            assert result.out.startswith("refused"), (name, result.describe())
        with pytest.raises(TimeoutError):
            server.accept()
    assert not unix_listener.reached


def test_a_hardlink_cannot_be_made_to_a_socket_outside(box, unix_listener, workspace):
    box("ln", unix_listener.address, "hard.sock")
    result = box("python3", "-c", connect_script("hard.sock")).ok()
    assert result.out.startswith("refused"), result.describe()
    assert not unix_listener.reached


def test_abstract_sockets_of_the_host(box, abstract_listener):
    address = abstract_listener.address
    if isinstance(address, bytes):
        address = address.decode()
    result = box("python3", "-c", connect_script(address)).ok()
    assert result.out.startswith("refused"), result.describe()
    assert not abstract_listener.reached


def test_datagram_sockets_of_the_host(box, home_directory, workspace):
    """sendto and sendmsg name a path with each message, and a socketpair's ends could too."""
    path = home_directory / "datagram.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(str(path))
        server.setblocking(False)
        code = f"""
import socket
path = {str(path)!r}
def sockets():
    for make in (lambda: socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM),
                 lambda: socket.socket(socket.AF_UNIX, socket.SOCK_RAW),
                 lambda: socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)[0]):
        try:
            yield make()
        except OSError:
            pass
for s in sockets():
    for send in (lambda: s.sendto(b"x", path), lambda: s.sendmsg([b"x"], [], 0, path),
                 lambda: (s.connect(path), s.send(b"x"))):
        try:
            send()
        except OSError:
            pass
print("end")"""
        assert box("python3", "-c", code).ok().out == "end\n"
        with pytest.raises(BlockingIOError):
            server.recv(100)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as client:
            client.sendto(b"host", str(path))
        assert server.recv(100) == b"host"


def test_inherited_descriptors(coffer, tier, workspace, outside, tcp_listener):
    """A file, a directory, a connected socket, a pipe, and a descriptor far up: none is there."""
    connection = socket.create_connection(("127.0.0.1", tcp_listener.port))
    reader, writer = os.pipe()
    opened = {
        5: os.open(outside / "sentinel", os.O_RDWR),
        6: os.open(outside, os.O_RDONLY),
        7: os.open(outside, os.O_PATH),
        8: connection.fileno(),
        9: writer,
        700: os.open("/", os.O_RDONLY),
    }

    def put_in_place():
        for number, fd in opened.items():
            os.dup2(fd, number, inheritable=True)

    done = subprocess.run(
        [coffer, "run", "--isolation", tier, "--", "sh", "-c", "ls -l /proc/self/fd/"],
        cwd=workspace,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        preexec_fn=put_in_place,
        close_fds=False,
        check=True,
    )
    for fd in [*opened.values(), reader]:
        if fd != connection.fileno():
            os.close(fd)
    connection.close()
    numbers = {int(line.split()[8]) for line in done.stdout.splitlines() if "->" in line}
    assert numbers <= {0, 1, 2, 3}, done.stdout  # 3 is the directory that ls reads


def test_no_abstract_name_to_listen_by(box, tier):
    """A socket that passes credentials is given one when it connects, even in vain: in the landlock
    tier it would be the host's."""
    code = """
import socket
for kind in (socket.SOCK_STREAM, socket.SOCK_SEQPACKET):
    path = f"deaf-{int(kind)}.sock"
    deaf = socket.socket(socket.AF_UNIX, kind); deaf.bind(path)
    for option in (16, 34, 76):
        s = socket.socket(socket.AF_UNIX, kind)
        try:
            s.setsockopt(socket.SOL_SOCKET, option, 1); s.connect(path)
        except OSError:
            pass
        named = s.getsockname()
        try:
            s.listen(); print("listens as", named)
        except OSError:
            pass
    deaf.listen(); print("deaf no more")"""
    result = box("python3", "-c", code).ok()
    lines = result.out.splitlines()
    assert lines.count("deaf no more") == 2
    if tier == "landlock":
        assert len(lines) == 2, lines


# The allowed side.


def test_a_unix_server_and_its_client_inside(box):
    code = """
import os, socket, sys, tempfile
path = os.path.join(tempfile.mkdtemp(), "own.sock")
server = socket.socket(socket.AF_UNIX); server.bind(path); server.listen()
if os.fork() == 0:
    client = socket.socket(socket.AF_UNIX); client.connect(path); client.sendall(b"hello")
    os._exit(0)
print(server.accept()[0].recv(100))"""
    assert box("python3", "-c", code).ok().out == "b'hello'\n"


def test_a_unix_server_in_the_workspace(box):
    """Made inside the box, so that it may be reached there."""
    code = """
import os, socket
os.mkdir("sockets")
server = socket.socket(socket.AF_UNIX); server.bind("sockets/own.sock"); server.listen()
client = socket.socket(socket.AF_UNIX); client.connect("sockets/own.sock")
client.sendall(b"hello"); print(server.accept()[0].recv(100))"""
    assert box("python3", "-c", code).ok().out == "b'hello'\n"


def test_a_local_tcp_server_and_its_client(box, tier):
    """The container tier has a loopback of its own; the other has no TCP at all."""
    code = """
import socket
server = socket.create_server(("127.0.0.1", 0))
client = socket.create_connection(server.getsockname())
client.sendall(b"hello"); print(server.accept()[0].recv(100))"""
    result = box("python3", "-c", code)
    if tier == "container":
        assert result.ok().out == "b'hello'\n"
    else:
        assert result.code != 0


def test_event_loops_work(box):
    """asyncio: socketpair, epoll, subprocesses and their pipes."""
    code = """
import asyncio
async def main():
    process = await asyncio.create_subprocess_exec("echo", "hello", stdout=asyncio.subprocess.PIPE)
    print((await process.communicate())[0])
asyncio.run(main())"""
    assert box("python3", "-c", code).ok().out == "b'hello\\n'\n"
