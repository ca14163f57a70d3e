"""What a program sends before it exits is delivered, though its box ends with it."""

import pytest
import support

DOMAIN = "coffer-world.com"
V4 = f"v4.{DOMAIN}"


def heard(world, kind):
    """What the servers were told; they take some time to write it down."""
    told = []

    def came():
        told[:] = [e for e in world.log(kind) if e.get("data") or kind == "http"]
        return told

    support.wait_until(came, seconds=5, what="the servers' word")
    return told


@pytest.mark.parametrize("size_bytes", [6, 300000])
def test_over_tcp(tier_net, world, size_bytes):
    code = f"exec 3<>/dev/tcp/{V4}/8081; head -c {size_bytes} /dev/zero | tr '\\0' x >&3"
    for _ in range(3):
        world.clear()
        run = tier_net("bash", "-c", code, allow=[f"{V4}:8081/raw"]).ok()
        (said,) = heard(world, "raw")
        assert len(said["data"]) == size_bytes, run.describe()
        (entry,) = [e for e in run.report["network"]["entries"] if e["port"] == 8081]
        assert entry["bytes_out"] == size_bytes and not entry["reason"], entry
        assert run.seconds < 3 * support.SLOWDOWN


def test_over_http(tier_net, world):
    code = f"exec 3<>/dev/tcp/{V4}/80; printf 'GET /bye HTTP/1.1\\r\\nHost: {V4}\\r\\n\\r\\n' >&3"
    run = tier_net("bash", "-c", code, allow=[V4]).ok()
    assert [e["path"] for e in heard(world, "http")] == ["/bye"], run.describe()
    assert run.seconds < 3 * support.SLOWDOWN


def test_over_udp(tier_net, world):
    code = f"exec 3<>/dev/udp/{V4}/9999; echo bye >&3"
    run = tier_net("bash", "-c", code, flags=["--allow-udp", f"{V4}:9999"]).ok()
    assert [e["data"] for e in heard(world, "udp")] == ["bye\n"], run.describe()


def test_a_server_that_does_not_read_is_not_waited_for(tier_net, world):
    """Its connection's record says so; the end of the run is late by a second at most."""
    code = f"exec 3<>/dev/tcp/{V4}/8082; head -c 30000000 /dev/zero >&3 & sleep 1; kill %1"
    run = tier_net("bash", "-c", code, allow=[f"{V4}:8082/raw"])
    entries = [e for e in run.report["network"]["entries"] if e["port"] == 8082]
    assert len(entries) == 1, run.describe()
    entry = entries[0]
    assert "not delivered" in entry["reason"], entry
    assert run.seconds < 5 * support.SLOWDOWN
