"""What the egress tests share.

    world           a small internet without any uplink (world.py), for the whole session
    net             coffer run in it: net("curl", …, allow=["allowed.coffer-world.com"]) -> Result
    attack          the same for Python code that has inside.py's words; what it tells is in .told
    tier_net,       both on each tier
    tier_attack
"""

import json
import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import support

sys.path.insert(0, str(Path(__file__).resolve().parent))
import world as inside  # noqa: E402


def make_certificates(directory):
    """A certificate authority, and one certificate for all the names of the world."""

    def openssl(*words, **keywords):
        subprocess.run(
            ["openssl", *words], check=True, capture_output=True, cwd=directory, **keywords
        )

    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    openssl("req", "-x509", *curve, "-keyout", "ca.key", "-out", "ca.pem", "-days", "30",
            "-subj", "/CN=world authority")  # fmt: skip
    openssl("req", *curve, "-keyout", "site.key", "-out", "site.csr", "-subj", "/CN=world")
    names = [inside.DOMAIN, f"*.{inside.DOMAIN}", f"*{inside.WILDCARD}", *inside.REGISTRIES]
    (directory / "extensions").write_text(
        "subjectAltName=" + ",".join(f"DNS:{n}" for n in names) + "\n"
    )
    openssl("x509", "-req", "-in", "site.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-days", "30",
            "-CAcreateserial", "-out", "site.pem", "-extfile", "extensions")  # fmt: skip


def pytest_collection_modifyitems(config, items):
    """A world's boxes are of the container tier: without it in this run there is nothing to do."""
    if "container" in os.environ.get("COFFER_TIERS", "container"):
        return
    gone = [item for item in items if "_world" in getattr(item, "fixturenames", ())]
    config.hook.pytest_deselected(items=gone)
    items[:] = [item for item in items if item not in gone]


class World:
    SITE, OTHER, SITE6 = inside.SITE, inside.OTHER, inside.SITE6
    PRIVATE, METADATA, RESOLVER = inside.PRIVATE, inside.METADATA, inside.RESOLVER
    HOST, HOST_SECOND, HOST6 = inside.HOST, inside.HOST_SECOND, inside.HOST6

    def __init__(self, directory):
        self.directory = directory
        self.asked = 0
        self.www = directory / "www"
        self.ca = directory / "ca.pem"
        self.www.mkdir()
        make_certificates(directory)
        unshare = ["unshare", "--net", "--mount"]
        if os.getuid() != 0:
            unshare += ["--map-current-user", "--keep-caps"]
        program = [sys.executable, Path(inside.__file__), directory]
        self.process = subprocess.Popen(
            [*unshare, *map(str, program)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        if self.process.stdout.readline().strip() != "ready":
            pytest.skip(f"no namespaces for a world: {self.process.stderr.read()[-400:]}")

    def ask(self, **order):
        """Answers are numbered: one that a test did not wait for is passed over."""
        self.asked += 1
        self.process.stdin.write(json.dumps({"number": self.asked, **order}) + "\n")
        self.process.stdin.flush()
        while True:
            number, answer = json.loads(self.process.stdout.readline())
            if number == self.asked:
                return answer

    def run(self, *argv, env=None, cwd=None, timeout=30, stdin=""):
        """A command outside of any box, but inside the world."""
        environment = {**os.environ, **(env or {})}
        environment = {n: str(v) for n, v in environment.items() if v is not None}
        answer = self.ask(op="run", argv=[str(a) for a in argv], env=environment,
                          cwd=str(cwd) if cwd else None,
                          timeout=timeout * support.SLOWDOWN, stdin=stdin)  # fmt: skip
        assert not answer["timed_out"], f"no end after {timeout} s: {argv}\n{answer}"
        return support.Result(
            list(argv), answer["code"], answer["out"], answer["err"], answer["seconds"]
        )

    def log(self, kind=None, **what):
        """What reached the servers since clear()."""
        return [
            entry
            for entry in self.ask(op="log")
            if (kind is None or entry["kind"] == kind)
            and all(entry.get(n) == v for n, v in what.items())
        ]

    def clear(self):
        self.ask(op="clear")

    def close(self):
        self.process.stdin.close()
        self.process.wait(timeout=10)


@pytest.fixture(scope="session")
def _world():
    available, reason = support.tier_available("container")
    if not available:
        pytest.skip(reason)
    directory = support.make_home_directory()
    made = World(directory)
    yield made
    made.close()
    support.remove_tree(directory)


@pytest.fixture
def world(_world):
    for entry in _world.www.iterdir():
        shutil.rmtree(entry)
    _world.clear()
    return _world


@pytest.fixture
def net(world, workspace, coffer):
    """Clients find the world's authority by the variables that they usually look at, unless
    trusting=False. env: variables inside; own: coffer's."""
    trust = {n: world.ca for n in ("CURL_CA_BUNDLE", "SSL_CERT_FILE", "GIT_SSL_CAINFO",
                                   "NODE_EXTRA_CA_CERTS", "REQUESTS_CA_BUNDLE",
                                   "PIP_CERT", "NPM_CONFIG_CAFILE")}  # fmt: skip

    def run(*command, allow=(), flags=(), cwd=workspace, env=None, trusting=True, own=None,
            **keywords):  # fmt: skip
        report = world.directory / "report.json"
        args = ["run", "--quiet", "--report", report]
        for pattern in allow:
            args += ["--allow-domain", pattern]
        for name, value in (trust if trusting else {}).items():
            args += ["--env", f"{name}={value}"]
        for name, value in (env or {}).items():
            args += ["--env", f"{name}={value}"]
        # The certificate lies below a home; where that is hidden, it is shown by name.
        args += ["--allow-read", world.ca, *flags, "--", *command]
        result = world.run(coffer, *args, cwd=cwd, env=own, **keywords)
        result.report = json.loads(report.read_text()) if report.exists() else {}
        report.unlink(missing_ok=True)
        return result

    return run


@pytest.fixture
def tier_net(net, tier):
    def run(*command, flags=(), **keywords):
        return net(*command, flags=["--isolation", tier, *flags], **keywords)

    return run


def attacker(net):
    words = (Path(__file__).resolve().parent / "inside.py").read_text()

    def run(code, *arguments, **keywords):
        whole = words + textwrap.dedent(code)
        result = net("/usr/bin/python3", "-c", whole, *arguments, **keywords)
        result.args = [a for a in result.args if a != whole]  # a failure shows what differs
        result.ok()
        result.told = json.loads(result.out)
        return result

    return run


@pytest.fixture
def attack(net):
    """The words of the code are in sys.argv[1:]."""
    return attacker(net)


@pytest.fixture
def tier_attack(tier_net):
    return attacker(tier_net)
