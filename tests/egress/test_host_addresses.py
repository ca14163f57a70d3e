"""The host's own addresses, public as they may look: nothing leads there but a rule that names
them, or host.coffer.internal."""

import subprocess

import pytest
import world as inside
from world import DOMAIN

pytestmark = pytest.mark.skipif(
    subprocess.run(["which", "curl"], capture_output=True).returncode != 0,
    reason="curl is not installed",
)


def curl(net, url, **keywords):
    return net("curl", "-sS", "-m", "10", url, **keywords)


@pytest.mark.parametrize("name", ["host", "host-second", "host6"])
def test_a_name_that_leads_to_the_host_is_refused(net, world, name):
    result = curl(net, f"http://{name}.{DOMAIN}/", allow=[f"*.{DOMAIN}"])
    assert "is an address of this host" in result.out + result.err + str(result.report["network"])
    assert world.log("http") == []
    # The same rule does open names that lead elsewhere.
    assert "hello" in curl(net, f"http://allowed.{DOMAIN}/", allow=[f"*.{DOMAIN}"]).ok().out


@pytest.mark.parametrize("address", [inside.HOST, inside.HOST_SECOND, f"[{inside.HOST6}]"])
def test_an_address_of_the_host_is_refused_when_the_network_is_on(net, world, address):
    result = curl(net, f"http://{address}/", flags=["--net", "on"])
    assert "is an address of this host" in str(result.report["network"])
    assert world.log("http") == []


def test_a_wider_block_does_not_name_it(net, world):
    flags = ["--allow-cidr", f"{inside.HOST}/24:80"]
    curl(net, f"http://{inside.HOST}/", flags=flags)
    assert world.log("http") == []


def test_its_very_address_and_the_loopback_by_name_are_opened(net, world):
    flags = ["--allow-cidr", f"{inside.HOST_SECOND}:80"]
    assert "hello" in curl(net, f"http://{inside.HOST_SECOND}/", flags=flags).ok().out
    answer = curl(net, "http://host.coffer.internal/", allow=["host.coffer.internal:80"]).ok()
    assert "hello" in answer.out
    assert {e["address"] for e in world.log("http")} == {inside.HOST_SECOND, "127.0.0.1"}


def test_udp_to_a_name_of_the_host_is_refused(net, world):
    program = (
        "import socket, sys; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM);"
        "s.settimeout(1); s.sendto(b'x', (sys.argv[1], 9999)); print(s.recv(9))"
    )
    for name, answers in (("host", False), ("v4", True)):
        host = f"{name}.{DOMAIN}"
        result = net("/usr/bin/python3", "-c", program, host,
                     flags=["--allow-udp", f"{host}:9999"])  # fmt: skip
        assert (result.code == 0) == answers, result
    assert {e["address"] for e in world.log("udp")} == {world.SITE}
