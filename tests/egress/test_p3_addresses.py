"""P3: no spelling of an address, and no answer of a resolver, leads where no rule does."""

import pytest
import support

DOMAIN = "coffer-world.com"
ALLOWED, DENIED = f"allowed.{DOMAIN}", f"denied.{DOMAIN}"
HELLO = f"hello from {ALLOWED}"

# What is 10.1.2.3, where the world has a server, to one parser or another.
PRIVATE_SPELLINGS = """10.1.2.3 10.1.515 10.66051 167838211 0xa010203 0xA.0x1.0x2.0x3 012.1.2.3
    0012.01.02.03 0x0a.1.0x203 01200201003 ::ffff:10.1.2.3 ::ffff:a01:203 ::10.1.2.3
    64:ff9b::10.1.2.3 64:ff9b::a01:203 64:ff9b:1::a01:203 2002:a01:203:: 2002:a01:203::1
    2001:0:4136:e378:8000:63bf:f5fe:fdfc ::ffff:0:10.1.2.3 fe80::200:5efe:a01:203""".split()
# One of each range that is not for the public.
SPECIAL = """0.0.0.0 0.1.2.3 10.0.0.1 10.255.255.254 100.64.0.1 100.127.255.254 127.0.0.1 127.1
    127.255.255.254 169.254.1.1 169.254.169.254 2852039166 169.254.170.2 172.16.7.7 172.31.255.254
    192.0.0.1 192.0.0.192 192.0.2.1 192.88.99.1 192.168.7.7 0300.0250.7.7 198.51.100.1 203.0.113.1
    100.100.100.200 168.63.129.16 224.0.0.1 239.255.255.255 240.0.0.1 255.255.255.255 :: ::1
    ::ffff:127.0.0.1 ::ffff:169.254.169.254 ::127.0.0.1 64:ff9b::127.0.0.1 64:ff9b::a9fe:a9fe
    2002:7f00:1:: 2002:a9fe:a9fe:: 2002:c0a8:707:: fe80::1 fec0::1 fc00::1 fd00:ec2::254
    fd20:ce::254 2001:db8::1 3fff::1 100::1 ff02::1 ff0e::1 2001:10::1 5f00::1""".split()
# And of the site, which is public.
SITE_SPELLINGS = """93.184.10.10 93.184.2570 1572342282 0x5db80a0a 0135.0270.012.012
    ::ffff:93.184.10.10"""


def assert_untouched(world, *but):
    """Nobody reached a server, but at the addresses that may be."""
    for entry in world.log():
        assert entry["kind"] == "dns" or entry["address"] in but, entry


SOCKETS = """
answers = {}
def attempt(spelling):
    answers[spelling] = talk(spelling, int(port))
port, *spellings = sys.argv[1:]
threads = [threading.Thread(target=attempt, args=[s]) for s in spellings]
[t.start() for t in threads]
[t.join() for t in threads]
tell(answers)
"""
STOPPED = ("refused", "unreachable", "reset", "forbidden", "invalid")


@pytest.mark.core
@pytest.mark.parametrize("port", [80, 22])
def test_special_addresses_by_socket(attack, world, port):
    """With all of the internet open, and ports too: the ranges stay closed."""
    flags = ["--net", "on", "--allow-cidr", f"0.0.0.0/0:{port}", "--allow-cidr", f"[::/0]:{port}"]
    run = attack(SOCKETS, port, *PRIVATE_SPELLINGS, *SPECIAL, flags=flags, timeout=20)
    for spelling, answer in run.told.items():
        assert answer in STOPPED, (spelling, answer)
    assert len(run.told) == len(PRIVATE_SPELLINGS + SPECIAL)
    assert_untouched(world)
    assert run.denials(promise="P3"), run.describe()
    assert run.seconds < 5 * support.SLOWDOWN  # refused at once: none waited for its patience


def test_a_public_address_by_socket(attack, world):
    run = attack(SOCKETS, 80, *SITE_SPELLINGS.split(), flags=["--net", "on"])
    assert all("hello from" in a for a in run.told.values()), run.told
    assert len(world.log("http")) == len(SITE_SPELLINGS.split())


def test_literals_where_only_names_are_allowed(attack, world):
    """Not even the address of an allowed name is reached by itself."""
    run = attack(SOCKETS, 80, ALLOWED, *SITE_SPELLINGS.split(), world.OTHER, world.SITE6,
                 *PRIVATE_SPELLINGS[:6], "127.0.0.1", allow=[ALLOWED])  # fmt: skip
    assert "hello from" in run.told.pop(ALLOWED)
    for spelling, answer in run.told.items():
        assert answer in STOPPED, (spelling, answer)
    assert len(world.log("http")) == 1


PROXIES = """
spellings = sys.argv[1:]
answers = {}
for s in spellings:
    host = f"[{s}]" if ":" in s else s
    answers[f"absolute {s}"] = absolute(host)
    answers[f"connect {s}"] = tunnel(f"{host}:80", request(host))
    answers[f"socks name {s}"] = socks(s, 80, request(host))
    try:
        packed = socket.inet_pton(socket.AF_INET6 if ":" in s else socket.AF_INET, s)
        answers[f"socks {s}"] = socks(packed, 80, request(host))
    except OSError:
        pass
tell(answers)
"""


@pytest.mark.core
def test_special_addresses_by_proxy(attack, world):
    run = attack(PROXIES, *PRIVATE_SPELLINGS, *SPECIAL, flags=["--net", "on"], timeout=20)
    for way, answer in run.told.items():
        assert "hello" not in answer and "200" not in answer[:16], (way, answer)
        assert answer.startswith(("HTTP/1.1 403", "HTTP/1.1 400", "socks ")), (way, answer)
    assert len(run.told) > 3 * len(PRIVATE_SPELLINGS + SPECIAL)
    assert_untouched(world)


def test_a_public_address_by_proxy(attack, world):
    run = attack(PROXIES, *SITE_SPELLINGS.split(), flags=["--net", "on"])
    for way, answer in run.told.items():
        assert "hello from" in answer, (way, answer)
    assert {e["address"] for e in world.log("http")} == {world.SITE}


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_curl_and_its_own_spellings(net, world, scheme):
    """curl reads addresses by itself, and follows where it is sent."""
    spellings = [f"[{s}]" if ":" in s else s for s in [*PRIVATE_SPELLINGS[:17], "localhost"]]
    script = f'for host; do curl -gsSk -m 5 "{scheme}://$host/"; echo "$? $host"; done'
    run = net("sh", "-c", script, "sh", *spellings, flags=["--net", "on"])
    outcomes = [line.split() for line in run.ok().out.splitlines()]
    assert [host for _, host in outcomes] == spellings, run.describe()
    # Could not connect; a reset is what comes of embedded addresses.
    assert {code for code, _ in outcomes} <= {"7", "35", "56"}, run.describe()
    assert_untouched(world)
    run = net("curl", "-sSk", f"{scheme}://1572342282/", flags=["--allow-cidr", world.SITE])
    assert "hello" in run.ok().out


@pytest.mark.core
def test_an_explicit_rule_opens_its_address_and_no_neighbour(attack, world):
    neighbours = ["10.1.2.4", "10.1.1.3", "192.168.7.7", world.METADATA, "127.0.0.1"]
    run = attack(SOCKETS, 80, *PRIVATE_SPELLINGS[:12], *neighbours,
                 flags=["--allow-cidr", world.PRIVATE])  # fmt: skip
    for spelling in PRIVATE_SPELLINGS[:12]:
        assert "hello" in run.told[spelling], (spelling, run.told[spelling])
    for neighbour in neighbours:
        assert run.told[neighbour] in STOPPED, (neighbour, run.told[neighbour])
    assert_untouched(world, world.PRIVATE)
    # Another port of it stays closed, and port 443 that was not named with it.
    run = attack(SOCKETS, 22, world.PRIVATE, flags=["--allow-cidr", f"{world.PRIVATE}:80"])
    assert run.told[world.PRIVATE] in STOPPED


def test_the_metadata_service_only_by_its_very_address(attack, world):
    wide = attack(SOCKETS, 80, world.METADATA, flags=["--allow-cidr", "169.254.0.0/16"])
    assert wide.told[world.METADATA] in STOPPED
    assert "metadata" in str(wide.report["denials"]), wide.describe()
    assert_untouched(world)
    exact = attack(SOCKETS, 80, world.METADATA, flags=["--allow-cidr", world.METADATA])
    assert "hello" in exact.told[world.METADATA], exact.describe()


NAMES = """
answers = {}
for name in sys.argv[1:]:
    answers[name] = talk(name, 80)
    answers["proxy " + name] = absolute(name)
tell(answers)
"""
LEADING_ASTRAY = ["private", "mixed", "metadata", "loopback", "mapped", "nat64", "to-private"]


@pytest.mark.core
def test_names_that_lead_to_refused_addresses(attack, world):
    names = [f"{n}.{DOMAIN}" for n in LEADING_ASTRAY]
    run = attack(NAMES, *names, ALLOWED, f"to-allowed.{DOMAIN}", allow=[f"*.{DOMAIN}"])
    for name in names:
        assert run.told[name] in (*STOPPED, "no name"), (name, run.told[name])
        assert run.told["proxy " + name].startswith("HTTP/1.1 403"), run.told["proxy " + name]
        reasons = [d["reason"] for d in run.denials(promise="P3", target=name)]
        assert "--allow-cidr" in str(reasons), (name, run.describe())
    assert HELLO in run.told[ALLOWED]
    assert "hello" in run.told[f"to-allowed.{DOMAIN}"]
    assert_untouched(world, world.SITE, world.SITE6)


def test_a_rule_opens_where_a_name_leads(attack, world):
    names = [f"{n}.{DOMAIN}" for n in ("private", "mixed", "to-private", "metadata", "loopback")]
    run = attack(NAMES, *names, allow=[f"*.{DOMAIN}"], flags=["--allow-cidr", world.PRIVATE])
    for name in names[:3]:
        assert "hello" in run.told[name], (name, run.describe())
    for name in names[3:]:
        assert run.told[name] in (*STOPPED, "no name"), name
    assert_untouched(world, world.SITE, world.PRIVATE)


def test_an_alias_of_a_denied_name(attack, world):
    alias = f"to-denied.{DOMAIN}"
    run = attack(NAMES, alias, f"to-allowed.{DOMAIN}", allow=[f"*.{DOMAIN}"],
                 flags=["--deny-domain", DENIED])  # fmt: skip
    assert run.told[alias] in (*STOPPED, "no name")
    assert run.told["proxy " + alias].startswith("HTTP/1.1 403")
    assert DENIED in str(run.denials(promise="P3", target=alias)), run.describe()
    assert "hello" in run.told[f"to-allowed.{DOMAIN}"]
    assert_untouched(world, world.SITE, world.SITE6)
    # Where nothing denies it, an alias is what every content network uses.
    run = attack(NAMES, alias, allow=[alias])
    assert "hello" in run.told[alias]


def test_denied_addresses_of_allowed_names(attack, world):
    run = attack(NAMES, DENIED, f"v4.{DOMAIN}", allow=[f"*.{DOMAIN}"],
                 flags=["--deny-cidr", f"{world.OTHER}/32"])  # fmt: skip
    assert run.told[DENIED] in (*STOPPED, "no name")
    assert "hello" in run.told[f"v4.{DOMAIN}"]
    assert_untouched(world, world.SITE)


REBINDING = """
name = sys.argv[1]
answers = [talk(name)]
found = socket.getaddrinfo(name, 80, socket.AF_INET)[0][4]
time.sleep(1.2)
answers += [talk(name), absolute(name)]
with socket.socket() as kept:  # the address that was given out before
    kept.settimeout(PATIENCE_S)
    try:
        kept.connect(found)
        answers.append(say(kept, request(name)))
    except OSError as error:
        answers.append(word(error))
tell(answers)
"""


@pytest.mark.core
def test_rebinding(attack, world):
    """A name that is public when it is looked at and the loopback when it is used."""
    run = attack(REBINDING, f"rebind.{DOMAIN}", allow=[f"rebind.{DOMAIN}"])
    assert "hello" in run.told[0], run.describe()
    assert all("hello" not in answer for answer in run.told[1:]), run.told
    assert_untouched(world, world.SITE)
    assert "127.0.0.1" in str(run.denials(promise="P3")), run.describe()
