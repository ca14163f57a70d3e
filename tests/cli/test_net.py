"""`coffer net`: the presets, and whether options would let a host be reached."""

import json
import socket

import pytest
from support import SETUP_FAILED

REFUSED_BY_RULES = 1


def test_presets_are_listed(run_coffer):
    text = run_coffer("net", "presets").ok()
    assert "npm" in text.out and "registry.npmjs.org" in text.out
    table = json.loads(run_coffer("net", "presets", "--json").ok().out)
    assert {"npm", "pypi", "crates", "debian", "github", "docs", "search", "model-apis"} <= {
        row["name"] for row in table
    }
    for row in table:
        assert row["help"] and row["allow_domain"]


def check(run_coffer, *words):
    result = run_coffer("net", "check", "--json", *words)
    assert result.code in (0, REFUSED_BY_RULES), result.describe()
    answer = json.loads(result.out)
    assert (result.code == 0) == (answer["verdict"] in ("allow", "monitor"))
    return answer


def test_what_is_refused_is_mended_by_what_the_reason_says(run_coffer):
    refused = check(run_coffer, "--net-preset", "npm", "Example.ORG.:8443")
    assert refused["verdict"] == "deny" and refused["rule"] is None
    words = refused["reason"].split()
    flag = words.index("--allow-domain")
    allowed = check(
        run_coffer, "--net-preset", "npm", words[flag], words[flag + 1], "example.org:8443"
    )
    assert allowed["verdict"] == "allow" and allowed["protocol"] == "raw"
    assert allowed["rule"] == "--allow-domain example.org:8443"


def test_the_target_may_stand_in_front(run_coffer):
    result = run_coffer("net", "check", "pypi.org", "--net-preset", "pypi").ok()
    assert "preset pypi" in result.out


def test_addresses_in_disguise(run_coffer):
    for target in ["0x7f.1:80", "[::ffff:127.0.0.1]:80", "2130706433:80", "017700000001:80"]:
        answer = check(run_coffer, "--net", "on", target)
        assert answer["address"] == "127.0.0.1"
        assert "loopback" in answer["reason"]
        answer = check(run_coffer, "--net", "on", "--allow-cidr", "127.0.0.1", target)
        assert answer["verdict"] == "allow"


def test_the_cloud_profile_has_a_network_that_can_be_turned_off(run_coffer):
    cloud = ["--profile", "cloud"]
    assert check(run_coffer, *cloud, "pypi.org")["verdict"] == "allow"
    assert check(run_coffer, *cloud, "example.org")["verdict"] == "deny"
    assert check(run_coffer, *cloud, "--net", "off", "pypi.org")["verdict"] == "deny"
    assert check(run_coffer, "pypi.org")["verdict"] == "deny"


@pytest.mark.parametrize(
    "words, said",
    [
        (["--allow-domain", "foo*.pypi.org", "a.org"], "*.pypi.org"),
        (["--allow-domain", "pypi.org:9-8", "a.org"], "8-9"),
        (["--allow-domain", "10.0.0.1", "a.org"], "--allow-cidr 10.0.0.1"),
        (["--net", "off", "--allow-domain", "a.org", "a.org"], "--net off"),
        (["--profile", "strict", "--allow-domain", "a.org", "a.org"], "--profile strict"),
        (["http://a.org"], "is a URL"),
        (["a..org"], "neither a name nor an address"),
        (["a.org:0"], "ports go from 1"),
        ([], "takes one HOST"),
        (["a.org", "b.org"], "takes one HOST"),
    ],
)
def test_mistakes_are_told(run_coffer, words, said):
    result = run_coffer("net", "check", *words)
    assert result.code == SETUP_FAILED, result.describe()
    assert said in result.err, result.describe()
    assert result.out == ""


def test_when_egress_cannot_start_nothing_runs_and_its_reason_is_told(run_coffer, workspace):
    """It gets ready while the box is being built."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        for _ in range(5):
            result = run_coffer("run", "--publish", port, "--", "touch", "ran", cwd=workspace)
            assert result.code == SETUP_FAILED, result.describe()
            assert "Address already in use" in result.err and "--publish" in result.err
            assert not (workspace / "ran").exists()
    assert run_coffer("run", "--publish", port, "--", "touch", "ran", cwd=workspace).code == 0
    assert (workspace / "ran").exists()
