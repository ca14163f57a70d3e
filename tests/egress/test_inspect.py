"""TLS that is looked into: real clients trust the box's authority without being told, requests keep
to the rules, and secrets are put in at the border and nowhere else."""

import base64
import json
import shutil
import subprocess

import pytest

DOMAIN = "coffer-world.com"
ALLOWED, DENIED, V4 = f"allowed.{DOMAIN}", f"denied.{DOMAIN}", f"v4.{DOMAIN}"
VALUE = "s3cr3t-Value/42+of=the*token"


def inspecting(world, *names):
    return [w for n in names for w in ("--net-inspect", n)] + ["--upstream-ca", world.ca]


PYTHON = """
import sys, urllib.request
print(urllib.request.urlopen(sys.argv[1]).read().decode(), end="")
"""
NODE = """
fetch(process.argv[1]).then(r => r.text()).then(t => process.stdout.write(t))
    .catch(e => { console.log(e.cause); process.exit(3) })
"""
CLIENTS = {
    "curl": ["curl", "-sS"],
    "wget": ["wget", "-qO-"],
    "node": ["node", "-e", NODE],
    "python3": ["/usr/bin/python3", "-c", PYTHON],
}


@pytest.mark.parametrize("client", CLIENTS)
def test_clients_trust_the_boxs_authority(net, world, client):
    if not shutil.which(client):
        pytest.skip(f"no {client} here")
    run = net(*CLIENTS[client], f"https://{ALLOWED}/", allow=[ALLOWED],
              flags=inspecting(world, ALLOWED), trusting=False)  # fmt: skip
    assert run.ok().out == f"hello from {ALLOWED}\n", run.describe()
    # The name's own certificate, which the client does not know, would not have done.
    blind = net(*CLIENTS[client], f"https://{ALLOWED}/", allow=[ALLOWED], trusting=False)
    assert blind.code != 0


def test_git(net, world, tmp_path):
    source = tmp_path / "source"
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@t"]
    subprocess.run([*git, "init", "-q", source], check=True)
    subprocess.run([*git, "-C", source, "commit", "-q", "--allow-empty", "-m", "one"], check=True)
    bare = world.www / "repo.git"
    subprocess.run([*git, "clone", "-q", "--bare", source, bare], check=True)
    subprocess.run([*git, "-C", bare, "update-server-info"], check=True)
    clone = f"git clone -q https://{ALLOWED}/repo.git /tmp/c && git -C /tmp/c log --format=%s"
    run = net("sh", "-c", clone, allow=[ALLOWED], flags=inspecting(world, ALLOWED), trusting=False)
    assert run.ok().out == "one\n"


ISSUER = """
def issuer(host, authority=None):
    context = ssl.create_default_context(cafile=authority)
    with socket.create_connection((host, 443), PATIENCE_S) as c:
        with context.wrap_socket(c, server_hostname=host) as t:
            shown = t.getpeercert()
    issuer = dict(part[0] for part in shown["issuer"])
    return [issuer["commonName"], [name for _, name in shown["subjectAltName"]]]
"""


def test_the_authority_is_the_boxs_own_and_only_for_its_names(attack, world):
    code = ISSUER + """
pem = open(os.environ["SSL_CERT_FILE"]).read()
tell({"inspected": issuer(sys.argv[1]), "pem": pem[-3000:]})
"""
    runs = [attack(code, ALLOWED, allow=[ALLOWED], flags=inspecting(world, ALLOWED), trusting=False)
            for _ in range(2)]  # fmt: skip
    for run in runs:
        issuer, names = run.told["inspected"]
        assert issuer != "world authority" and names == [ALLOWED], run.describe()
        assert "PRIVATE KEY" not in run.told["pem"]
    assert runs[0].told["pem"] != runs[1].told["pem"]  # of this box alone
    # A name that is not inspected shows the certificate that its server has.
    run = attack(ISSUER + "tell(issuer(*sys.argv[1:]))", V4, world.ca, allow=[ALLOWED, V4],
                 flags=["--net-inspect", ALLOWED])  # fmt: skip
    assert run.told[0] == "world authority"


def test_a_bundle_of_a_persons_own_gives_way_and_that_is_said(tier_net, world):
    own = {"SSL_CERT_FILE": "/tmp/mine.pem", "LANG": "C"}
    show = ["sh", "-c", "echo $SSL_CERT_FILE"]
    run = tier_net(*show, allow=[ALLOWED], trusting=False, env=own,
                   flags=inspecting(world, ALLOWED)).ok()  # fmt: skip
    assert run.out.strip().endswith("certificates.pem"), run.describe()
    (note,) = [n for n in run.report["notes"] if n["what"] == "certificates"]
    assert "SSL_CERT_FILE" in note["text"].split(":")[0] and "--upstream-ca" in note["text"]
    run = tier_net(*show, allow=[ALLOWED], trusting=False, env=own).ok()
    assert run.out == "/tmp/mine.pem\n"
    assert "certificates" not in str(run.report["notes"])


def test_a_server_that_cannot_be_verified(net, world):
    """Without --upstream-ca nobody vouches for the world's server: the client must not see it."""
    run = net("curl", "-sSk", f"https://{ALLOWED}/", allow=[ALLOWED],
              flags=["--net-inspect", ALLOWED], trusting=False)  # fmt: skip
    assert "hello" not in run.out and not world.log("http"), run.describe()
    assert "certificate" in run.out + str(run.report), run.describe()


def test_an_authority_of_the_policys_own(net, world):
    """A company's: what it signs is trusted inside too, where nothing is inspected."""
    run = net("curl", "-sS", f"https://{ALLOWED}/", allow=[ALLOWED], trusting=False,
              flags=["--upstream-ca", world.ca])  # fmt: skip
    assert "hello from" in run.ok().out
    unknown = net("curl", "-sS", f"https://{ALLOWED}/", allow=[ALLOWED], trusting=False)
    assert unknown.code == 60, unknown.describe()  # nobody vouches for it


# Requests.

ASK = """
import base64
def basic(token):
    return "Authorization: Basic " + base64.b64encode(f"me:{token}".encode()).decode() + "\\r\\n"
def over(host, method="GET", path="/", more="", body=""):
    context = ssl.create_default_context()
    try:
        with socket.create_connection((host, 443), PATIENCE_S) as c:
            with context.wrap_socket(c, server_hostname=host) as t:
                if body:
                    more += f"Content-Length: {len(body)}\\r\\n"
                return say(t, request(host, method, path, more) + body)
    except OSError as error:
        return f"failed: {error}"
def status(answer):
    return answer.split(" ")[1] if answer.startswith("HTTP/1.1 ") else answer
"""


def test_methods_and_paths(attack, world):
    code = ASK + """
host = sys.argv[1]
tell({f"{m} {p}": status(over(host, m, p)) for m, p in json.loads(sys.argv[2])})
"""
    cases = {
        "GET /open": "404", "GET /open/a": "404", "GET /open/a/b": "404", "GET /one/a": "404",
        "POST /echo": "200", "GET /open?x=/closed": "404",
        "GET /": "403", "GET /one/a/b": "403", "GET /open/closed": "403", "POST /open/a": "403",
        "DELETE /echo": "403", "GET /echo": "403", "GET /open/../closed": "403",
        "GET /open/%2e%2e/closed": "403", "GET /open//closed": "403", "GET /open/%2fclosed": "403",
        "GET //open/a": "403", "GET /open/clo%73ed": "403", "GET /OPEN/a": "403",
        "get /open/a": "403", "GET /open/./closed": "403", "GET /open/..%2fclosed": "403",
        "GET /open/..;/closed": "403", "GET /open/\\..\\closed": "403",
    }  # fmt: skip
    rules = ["GET {}/open", "GET {}/open/**", "GET {}/one/*", "POST {}/echo", "!GET {}/open/closed"]
    flags = [w for rule in rules for w in ("--net-request", rule.format(ALLOWED))]
    run = attack(code, ALLOWED, json.dumps([case.split(" ", 1) for case in cases]), allow=[ALLOWED],
                 flags=[*flags, *inspecting(world, ALLOWED)], trusting=False)  # fmt: skip
    differing = {c: a for c, a in run.told.items() if a != cases[c] and not (
        cases[c] == "403" and a == "400")}  # fmt: skip
    assert differing == {}, differing
    arrived = {f"{e['method']} {e['path']}" for e in world.log("http")}
    assert arrived == {c for c, status in cases.items() if status != "403"}, arrived
    assert [d for d in run.denials(promise="P3") if ALLOWED in d["target"]], run.describe()


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_read_only(net, world, scheme):
    script = """for m in GET HEAD OPTIONS POST PUT DELETE PATCH; do
        [ $m = HEAD ] && head=-I || head=
        curl -sS -o /dev/null -X $m $head -w "$m %{http_code}\\n" -m 5 $0
    done"""
    flags = inspecting(world, ALLOWED) if scheme == "https" else []
    run = net("sh", "-c", script, f"{scheme}://{ALLOWED}/", allow=[ALLOWED], trusting=False,
              flags=["--net-read", *flags])  # fmt: skip
    codes = dict(line.split() for line in run.out.splitlines())
    assert {m for m, code in codes.items() if code == "200"} == {"GET", "HEAD", "OPTIONS"}, codes
    assert {codes[m] for m in ("POST", "PUT", "DELETE", "PATCH")} == {"403"}
    assert {e["method"] for e in world.log("http")} == {"GET", "HEAD", "OPTIONS"}


# Secrets.


def secret(*more, source="env:REAL_TOKEN", host=ALLOWED):
    return ["--net-secret", ",".join([f"name=API_TOKEN,host={host},from={source}", *more])]


@pytest.fixture
def with_secret(attack, world):
    def run(code, *flags, allow=(ALLOWED,), inspect=(ALLOWED,), **keywords):
        known = f"token = os.environ['API_TOKEN']\nhost, other = '{ALLOWED}', '{V4}'\n"
        return attack(ASK + known + code, allow=allow,
                      flags=[*flags, *inspecting(world, *inspect)], trusting=False,
                      own={"REAL_TOKEN": VALUE}, **keywords)  # fmt: skip

    return run


def seen(world):
    """Authorization of the requests that arrived."""
    return [entry["headers"].get("Authorization") for entry in world.log("http")]


def test_a_secret_in_a_header(with_secret, world):
    code = """
import glob
answer = over(host, more=f"Authorization: Bearer {token}\\r\\n", path="/echo")
found = []
places = "/proc/[0-9]*/environ /proc/[0-9]*/cmdline /tmp/** /run/** ./** /etc/ssl/**"
for place in places.split():
    for path in glob.glob(place, recursive=True):
        try:
            with open(path, "rb") as f:
                if b"s3cr3t" + b"-Value" in f.read(1 << 22):  # not what is written here
                    found.append(path)
        except OSError:
            pass
tell({"answer": answer, "token": token, "environment": dict(os.environ), "found": found})
"""
    run = with_secret(code, *secret())
    assert seen(world) == [f"Bearer {VALUE}"], run.describe()
    assert run.told["answer"].startswith("HTTP/1.1 200"), run.told["answer"]
    assert VALUE not in json.dumps(run.told) and "s3cr3t" not in json.dumps(run.told), run.told
    assert run.told["token"].startswith("coffer-secret-") and run.told["found"] == []
    assert VALUE not in json.dumps(run.report)
    again = with_secret("tell(token)", *secret())
    assert again.told != run.told["token"]


@pytest.mark.parametrize("more, code, expected", [
    ("in=header:x-api-key", "over(host, more=f'X-Api-Key: {token}\\r\\n')",
     lambda e: e["headers"]["X-Api-Key"] == VALUE),
    ("in=basic", "over(host, more=basic(token))",
     lambda e: base64.b64decode(e["headers"]["Authorization"][6:]) == f"me:{VALUE}".encode()),
    ("in=query", "over(host, path=f'/?key={token}&x=1')",
     lambda e: e["path"] == "/?key=s3cr3t-Value%2F42%2Bof%3Dthe%2Atoken&x=1"),
    ("method=POST,path=/echo", "over(host, 'POST', '/echo', f'Authorization: {token}\\r\\n')",
     lambda e: e["headers"]["Authorization"] == VALUE),
])  # fmt: skip
def test_places_of_a_secret(with_secret, world, more, code, expected):
    run = with_secret(f"tell({code})", *secret(more))
    arrived = world.log("http")
    assert len(arrived) == 1 and expected(arrived[0]), (arrived, run.describe())
    assert VALUE not in run.out


MISUSES = {
    "another host": "over(other, more=f'Authorization: {token}\\r\\n')",
    "plain http": "talk(host, 80, request(host, more=f'Authorization: {token}\\r\\n'))",
    "plain http to another": "talk(other, 80, request(other, more=f'X: {token}\\r\\n'))",
    "proxy, plain": "proxied(f'GET http://{host}/{token} HTTP/1.1', f'Host: {host}\\r\\n')",
    "the path": "over(host, path=f'/{token}')",
    "the query": "over(host, path=f'/?{token}')",
    "basic": "over(host, more=basic(token))",
    "the body": "over(host, 'POST', '/echo', body=f'token={token}')",
    "a header's name": "over(host, more=f'{token}: x\\r\\n')",
    "the query, encoded": "over(host, path='/?' + ''.join(f'%{ord(c):02x}' for c in token))",
    "cut short": "over(host, more=f'X: {token[-36:]}\\r\\n')",
    "another header": "over(host, more=f'X-Other: {token}\\r\\n')",
    "another method": "over(host, 'PUT', more=f'Authorization: {token}\\r\\n')",
}


def test_placeholders_anywhere_else_are_refused(with_secret, world):
    code = "tell({" + ",".join(f"{case!r}: {call}" for case, call in MISUSES.items())
    code += ", 'good': over(host, more=f'Authorization: {token}\\r\\n')})"
    run = with_secret(code, *secret("in=header:authorization", "method=GET"),
                      allow=(ALLOWED, V4), inspect=(ALLOWED, V4))  # fmt: skip
    assert run.told.pop("good").startswith("HTTP/1.1 200"), run.describe()
    for case, answer in run.told.items():
        assert not answer.startswith("HTTP/1.1 2"), (case, answer)
        assert "placeholder" in answer or "failed" in answer, (case, answer)
    # The one that may be got it; whatever else arrived holds neither the value nor a placeholder.
    arrived = json.dumps(world.log("http"))
    assert arrived.count(VALUE) == 1 and "coffer-secret-" not in arrived, arrived
    told = [d for d in run.report["denials"] if "placeholder" in d["reason"]]
    assert len(told) >= 3, run.describe()


def test_an_echo_is_masked(with_secret, world):
    code = """
more = f"Authorization: Bearer {token}\\r\\nAccept-Encoding: gzip\\r\\n"
answers = [over(host, "POST", "/echo", more, "x" * n) for n in (1, 5000)]
tell([answers, answers[0].count(token)])
"""
    run = with_secret(code, *secret())
    assert seen(world) == [f"Bearer {VALUE}"] * 2
    for answer in run.told[0]:
        assert answer.startswith("HTTP/1.1 200") and "Bearer " in answer, answer
        assert VALUE not in answer and "s3cr3t" not in answer, answer


@pytest.mark.parametrize("kind", ["file", "command"])
def test_sources_of_a_secret(with_secret, world, kind):
    path = world.directory / "token"
    path.write_text(VALUE + "\n")
    source = f"file:{path}" if kind == "file" else f"command:cat {path}"
    code = "tell(over(host, more=f'Authorization: {token}\\r\\n'))"
    run = with_secret(code, *secret(source=source))
    assert seen(world) == [VALUE], run.describe()
