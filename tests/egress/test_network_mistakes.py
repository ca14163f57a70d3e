"""What cannot be meant is told before anything runs, in words that help."""

import pytest
import support

DOMAIN = "coffer-world.com"
ALLOWED = f"allowed.{DOMAIN}"
OPEN = ["--allow-domain", ALLOWED]
INSPECT = [*OPEN, "--net-inspect", ALLOWED]


def secret(text, *more):
    return [*INSPECT, "--net-secret", text, *more]


CASES = {
    # what is wrong, what is given, a word of what is said
    "two dots": (["--allow-domain", "a..b"], "a..b"),
    "a star within": (["--allow-domain", "a*.example.org"], "*"),
    "a star at the end": (["--allow-domain", "example.*"], "*"),
    "nothing below the star": (["--allow-domain", "*."], "empty"),
    "nothing": (["--allow-domain", ""], "allow-domain"),
    "a URL": (["--allow-domain", "https://example.org/"], "https://example.org/"),
    "an address": (["--allow-domain", "10.1.2.3"], "--allow-cidr"),
    "an address in hex": (["--allow-domain", "0x0a010203"], "--allow-cidr"),
    "a space": (["--allow-domain", "a b"], "a b"),
    "a control character": (["--allow-domain", "a\nb"], "allow-domain"),
    "too long": (["--allow-domain", "a" * 64 + ".org"], "aaaa"),
    "a special name": (["--allow-domain", "x.onion"], "onion"),
    "deny everything": (["--allow-domain", ALLOWED, "--deny-domain", "*"], "*"),
    "ports reversed": (["--allow-domain", "example.org:90-80"], "90-80"),
    "port too large": (["--allow-domain", "example.org:65536"], "65536"),
    "port 0": (["--allow-domain", "example.org:0"], "0"),
    "no port": (["--allow-domain", "example.org:"], "not a port"),
    "port of words": (["--allow-domain", "example.org:https"], "https"),
    "a protocol": (["--allow-domain", "example.org/quic"], "quic"),
    "prefix too long": (["--allow-cidr", "10.0.0.0/33"], "33"),
    "cidr of a name": (["--allow-cidr", "example.org"], "example.org"),
    "deny cidr": (["--deny-cidr", "10.0.0.0/x"], "/x"),
    "mode": (["--net", "maybe"], "maybe"),
    "preset": (["--net-preset", "pipy"], "net presets"),
    "off, and a rule": (["--net", "off", *OPEN], "off"),
    "off, and a preset": (["--net", "off", "--net-preset", "pypi"], "off"),
    "off, and publish": (["--net", "off", "--publish", "8080"], "off"),
    "strict, and a rule": (["--profile", "strict", *OPEN], "strict"),
    "full access, and a rule": (["--mode", "danger-full-access", *OPEN], "danger-full-access"),
    "resolver": ([*OPEN, "--net-resolver", "resolver"], "resolver"),
    "resolver that is not there": ([*OPEN, "--net-resolver", "127.0.0.1:5354"], "127.0.0.1"),
    "resolver that refuses": ([*OPEN, "--net-resolver", "93.184.10.10:5355"], "93.184.10.10"),
    "udp without a port": (["--allow-udp", "example.org"], "example.org"),
    "udp to a pattern": (["--allow-udp", "*.example.org:53"], "*.example.org"),
    "publish": (["--publish", "80:70000"], "70000"),
    "publish of words": (["--publish", "http"], "http"),
    "publish, taken": (["--publish", "80:8000"], "80"),
    "published twice": (["--publish", "8080:1", "--publish", "8080:2"], "8080"),
    "limit": ([*OPEN, "--net-limit", "speed=1"], "speed"),
    "limit of nothing": ([*OPEN, "--net-limit", "requests="], "requests"),
    "limit of words": ([*OPEN, "--net-limit", "rate=fast"], "fast"),
    "over": ([*OPEN, "--net-limit", "requests=1/m,over=board"], "over=wait"),
    "request": ([*INSPECT, "--net-request", "GET"], "GET"),
    "request, not inspected": ([*OPEN, "--net-request", f"GET {ALLOWED}/x"], "inspect"),
    "inspect everything": (["--net", "on", "--net-inspect", "*"], "*"),
    "inspect what is closed": (["--net-inspect", ALLOWED], "allow-domain"),
    "secret, no source": (secret(f"name=T,host={ALLOWED}"), "from"),
    "secret, no host": (secret("name=T,from=env:HOME"), "host"),
    "secret, unset": (secret(f"name=T,host={ALLOWED},from=env:NOT_SET_AT_ALL"), "NOT_SET_AT_ALL"),
    "secret, no file": (secret(f"name=T,host={ALLOWED},from=file:/no/such"), "/no/such"),
    "secret, a directory": (secret(f"name=T,host={ALLOWED},from=file:/etc"), "/etc"),
    "secret, command fails": (secret(f"name=T,host={ALLOWED},from=command:exit 3"), "exit 3"),
    "secret, empty": (secret(f"name=T,host={ALLOWED},from=command:true"), "true"),
    "secret, a source": (secret(f"name=T,host={ALLOWED},from=vault:x"), "vault"),
    "secret, a place": (secret(f"name=T,host={ALLOWED},from=env:HOME,in=body"), "body"),
    "secret, a name": (secret(f"name=1T,host={ALLOWED},from=env:HOME"), "1T"),
    "secret, for what is closed": (secret("name=T,host=example.org,from=env:HOME"), "example.org"),
    "upstream ca": ([*OPEN, "--upstream-ca", "/nonexistent/ca.pem"], "/nonexistent/ca.pem"),
    "upstream ca of something": ([*INSPECT, "--upstream-ca", "/etc/passwd"], "/etc/passwd"),
    "upstream proxy": ([*OPEN, "--upstream-proxy", "ftp://x"], "http://"),
    "upstream proxy, no port": ([*OPEN, "--upstream-proxy", "http://x:y@/"], "http://"),
    "unix socket": (["--allow-unix", "/nonexistent/socket"], "/nonexistent/socket"),
    "no unix socket": (["--allow-unix", "/etc/passwd"], "/etc/passwd"),
    "nobody to ask": ([*OPEN, "--net-ask", "/nonexistent/asker"], "/nonexistent/asker"),
    "log": ([*OPEN, "--net-log", "/nonexistent/log"], "/nonexistent/log"),
}


@pytest.mark.parametrize("case", CASES)
def test_bad_input(world, coffer, workspace, case):
    flags, said = CASES[case]
    ran = workspace / "ran"
    run = world.run(coffer, "run", *flags, "--", "touch", ran, cwd=workspace)
    assert run.code == support.SETUP_FAILED, run.describe()
    assert not ran.exists()
    assert said in run.err, run.describe()
    assert len(run.err.splitlines()) <= 4 and "\x1b" not in run.err, run.describe()
    assert world.log() == [] or case == "resolver that is not there", world.log()


def test_good_input(world, coffer, workspace):
    """The same command runs when nothing is wrong."""
    ran = workspace / "ran"
    world.run(coffer, "run", *INSPECT, "--upstream-ca", world.ca, "--publish", "18080:8000",
              "--net-limit", "requests=100/m,connections=10/s,rate=50M,total=1G,over=wait",
              "--net-secret", f"name=T,host={ALLOWED},from=env:PATH", "--", "touch", ran,
              cwd=workspace).ok()  # fmt: skip
    assert ran.exists()
