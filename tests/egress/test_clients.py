"""Every TCP program gets to the allowed hosts, and to no other, without proxy variables."""

import hashlib
import io
import json
import shutil
import subprocess
import tarfile
import textwrap

import pytest

DOMAIN = "coffer-world.com"
ALLOWED, DENIED = f"allowed.{DOMAIN}", f"denied.{DOMAIN}"


def needs(program):
    return pytest.mark.skipif(not shutil.which(program), reason=f"no {program} here")


def assert_only_allowed(world):
    """Nothing but the allowed name was reached, by whatever way."""
    for entry in world.log():
        if entry["kind"] == "dns":
            assert DENIED not in entry["name"], entry
        else:
            assert entry["address"] in (world.SITE, world.SITE6), entry


@pytest.mark.parametrize("scheme", ["http", "https"])
@needs("curl")
def test_curl(net, world, scheme):
    fetch = net("curl", "-sS", f"{scheme}://{ALLOWED}/", allow=[ALLOWED]).ok()
    assert fetch.out == f"hello from {ALLOWED}\n"
    refused = net("curl", "-sS", f"{scheme}://{DENIED}/", allow=[ALLOWED])
    assert refused.code == 6, refused.describe()  # could not resolve
    literal = net("curl", "-sSk", f"{scheme}://{world.OTHER}/", allow=[ALLOWED])
    assert literal.code == 7, literal.describe()  # could not connect
    assert literal.seconds < 5
    assert_only_allowed(world)


@needs("curl")
def test_address_is_no_way_round_inspection(net, world):
    """Requests to an inspected name are seen, whatever the client connects to."""
    name, other = f"v4.{DOMAIN}", f"allowed.{DOMAIN}"
    flags = ["--upstream-ca", world.ca, "--net-read", "--net-inspect", name]
    delete = ["curl", "-sSk", "-X", "DELETE"]
    by_name = net(*delete, "-w", "%{http_code}", f"https://{name}/", allow=[name], flags=flags)
    assert by_name.out.endswith("403"), by_name.describe()
    resolve = ["--resolve", f"{name}:443:{world.SITE}"]
    for opened in (["--net", "on"], ["--allow-cidr", f"{world.SITE}:443/tls"],
                   ["--allow-cidr", f"{world.SITE}:443"]):  # fmt: skip
        literal = net(*delete, *resolve, f"https://{name}/", allow=[name], flags=flags + opened)
        assert literal.code != 0 and literal.out == "", literal.describe()
        no_name = net(*delete, f"https://{world.SITE}/", allow=[name], flags=flags + opened)
        assert no_name.code != 0 and no_name.out == "", no_name.describe()
    # Another name's raw rule leads to the same address.
    connect = ["--connect-to", f"{name}:443:{other}:443"]
    raw = net(*delete, *connect, f"https://{name}/", allow=[name, f"{other}:443/raw"], flags=flags)
    assert raw.code != 0 and raw.out == "", raw.describe()
    own = net("curl", "-sSk", f"https://{other}/", allow=[name, f"{other}:443/raw"], flags=flags)
    assert own.ok().out == f"hello from {other}\n"
    assert not world.log("http", method="DELETE")


@needs("wget")
def test_wget(net, world):
    fetch = net("wget", "-qO-", f"--ca-certificate={world.ca}", f"https://{ALLOWED}/",
                allow=[ALLOWED]).ok()  # fmt: skip
    assert "hello" in fetch.out
    for target in (DENIED, world.OTHER, f"[{'2606:4700:20::20'}]"):
        refused = net("wget", "-qO-", f"http://{target}/", allow=[ALLOWED])
        assert refused.code != 0 and refused.seconds < 10, refused.describe()
    assert_only_allowed(world)


@needs("git")
def test_git_clone(net, world, workspace, tmp_path):
    source = tmp_path / "source"
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@t"]
    subprocess.run([*git, "init", "-q", source], check=True)
    (source / "README").write_text("cloned\n")
    subprocess.run([*git, "-C", source, "add", "."], check=True)
    subprocess.run([*git, "-C", source, "commit", "-qm", "one"], check=True)
    bare = world.www / "repo.git"
    subprocess.run([*git, "clone", "-q", "--bare", source, bare], check=True)
    subprocess.run([*git, "-C", bare, "update-server-info"], check=True)
    clone = net("git", "clone", "-q", f"https://{ALLOWED}/repo.git", "/tmp/copy", allow=[ALLOWED])
    clone.ok()
    show = net("sh", "-c", f"git clone -q https://{ALLOWED}/repo.git /tmp/c && cat /tmp/c/README",
               allow=[ALLOWED]).ok()  # fmt: skip
    assert show.out == "cloned\n"
    refused = net("git", "clone", "-q", f"https://{DENIED}/repo.git", "/tmp/c", allow=[ALLOWED])
    assert refused.code != 0
    assert_only_allowed(world)


def deb(name, text):
    """The smallest package: two archives in one."""

    def archive(files):
        data = io.BytesIO()
        with tarfile.open(fileobj=data, mode="w:gz") as tar:
            for path, content in files.items():
                info = tarfile.TarInfo(path)
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
        return data.getvalue()

    control = f"Package: {name}\nVersion: 1\nArchitecture: all\nMaintainer: t <t@t>\n"
    control += f"Description: {text}\n"
    parts = {
        "debian-binary": b"2.0\n",
        "control.tar.gz": archive({"./control": control.encode()}),
        "data.tar.gz": archive({f"./usr/share/{name}": text.encode()}),
    }
    out = b"!<arch>\n"
    for part, content in parts.items():
        out += f"{part:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(content):<10}`\n".encode()
        out += content + b"\n" * (len(content) % 2)
    return out, control


@needs("apt-get")
@pytest.mark.timeout(120)
def test_apt_get(net, world, workspace):
    package, control = deb("coffer-world-package", "from the world")
    pool = world.www / "debian"
    pool.mkdir()
    (pool / "p.deb").write_bytes(package)
    digest = hashlib.sha256(package).hexdigest()
    (pool / "Packages").write_text(
        f"{control}Filename: ./p.deb\nSize: {len(package)}\nSHA256: {digest}\n"
    )
    script = textwrap.dedent("""\
        set -e
        root=/tmp/apt; mkdir -p $root/lists/partial $root/cache/archives/partial $root/etc
        echo "deb [trusted=yes] http://$1/debian ./" > $root/sources.list
        touch $root/status
        set -- -o Dir::State::Lists=$root/lists -o Dir::Cache=$root/cache \
            -o Dir::Etc::SourceList=$root/sources.list -o Dir::Etc::SourceParts=/dev/null \
            -o Dir::State::status=$root/status -o APT::Sandbox::User= -o Debug::NoLocking=1 \
            -o Acquire::Languages=none -o Acquire::Retries=0
        apt-get "$@" -qq update
        cd /tmp && apt-get "$@" -qq download coffer-world-package
        ls /tmp/*.deb
        """)
    fetch = net("sh", "-c", script, "sh", "deb.debian.org", flags=["--net-preset", "debian"],
                timeout=60).ok()  # fmt: skip
    assert "coffer-world-package_1_all.deb" in fetch.out
    refused = net("sh", "-c", script, "sh", DENIED, flags=["--net-preset", "debian"], timeout=60)
    assert ".deb" not in refused.out
    assert_only_allowed(world)


@needs("npm")
@pytest.mark.timeout(200)
def test_npm_install(net, world, workspace):
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:gz") as tar:
        for path, text in {
            "package/package.json": '{"name":"tiny","version":"1.0.0","main":"index.js"}',
            "package/index.js": 'module.exports = "tiny works"\n',
        }.items():
            info = tarfile.TarInfo(path)
            info.size = len(text)
            tar.addfile(info, io.BytesIO(text.encode()))
    tarball = data.getvalue()
    (world.www / "tiny").mkdir()
    (world.www / "tiny" / "tiny-1.0.0.tgz").write_bytes(tarball)
    registry = "https://registry.npmjs.org"
    version = {"name": "tiny", "version": "1.0.0", "main": "index.js"}
    version["dist"] = {
        "tarball": f"{registry}/tiny/tiny-1.0.0.tgz",
        "shasum": hashlib.sha1(tarball).hexdigest(),
    }
    listing = {"name": "tiny", "dist-tags": {"latest": "1.0.0"}, "versions": {"1.0.0": version}}
    (world.www / "tiny" / "index.html").write_text(json.dumps(listing))
    (workspace / "package.json").write_text('{"name":"w","version":"1.0.0"}')
    run = "npm install --no-audit --no-fund --loglevel=error --fetch-retries 0 {0} tiny && "
    run += "node -p 'require(\"tiny\")'"
    install = net("sh", "-c", run.format(f"--registry {registry}"),
                  flags=["--net-preset", "npm"], timeout=90).ok()  # fmt: skip
    assert "tiny works" in install.out
    shutil.rmtree(workspace / "node_modules")
    refused = net(
        "sh", "-c",
        "npm install --no-audit --no-fund --fetch-retries 0 --prefer-online "
        f"--registry https://{DENIED} other",
        flags=["--net-preset", "npm"], timeout=90)  # fmt: skip
    assert refused.code != 0
    assert_only_allowed(world)


@pytest.mark.skipif(
    subprocess.run(["/usr/bin/python3", "-m", "pip", "--version"], capture_output=True).returncode,
    reason="no pip here",
)
@pytest.mark.timeout(120)
def test_pip_install(net, world, workspace):
    wheel = io.BytesIO()
    import zipfile

    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("tinypip.py", "WORD = 'tinypip works'\n")
        info = "tinypip-1.0.dist-info"
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: tinypip\nVersion: 1.0\n")
        archive.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{info}/RECORD", "")
    (world.www / "simple" / "tinypip").mkdir(parents=True)
    name = "tinypip-1.0-py3-none-any.whl"
    (world.www / "simple" / "tinypip" / name).write_bytes(wheel.getvalue())
    (world.www / "simple" / "tinypip" / "index.html").write_text(
        f'<html><body><a href="{name}">{name}</a></body></html>'
    )
    pip = ["/usr/bin/python3", "-m", "pip", "install", "-q", "--no-input", "--retries", "0"]
    pip += ["--disable-pip-version-check", "--target", "/tmp/t"]
    install = net(
        "sh", "-c",
        f"{' '.join(pip)} -i https://pypi.org/simple tinypip && "
        "PYTHONPATH=/tmp/t /usr/bin/python3 -c 'import tinypip; print(tinypip.WORD)'",
        flags=["--net-preset", "pypi"], timeout=90)  # fmt: skip
    assert "tinypip works" in install.ok().out
    refused = net(*pip, "-i", f"https://{DENIED}/simple", "tinypip",
                  flags=["--net-preset", "pypi"], timeout=90)  # fmt: skip
    assert refused.code != 0
    assert_only_allowed(world)


@needs("node")
def test_node_fetch(net, world):
    code = """
        fetch(process.argv[1]).then(r => r.text()).then(t => console.log(t))
            .catch(e => { console.log("failed", e.cause && e.cause.code); process.exit(3) })"""
    fetch = net("node", "-e", code, f"https://{ALLOWED}/", allow=[ALLOWED]).ok()
    assert "hello" in fetch.out
    refused = net("node", "-e", code, f"https://{DENIED}/", allow=[ALLOWED])
    assert refused.code == 3 and "ENOTFOUND" in refused.out, refused.describe()
    refused = net("node", "-e", code, f"https://{world.OTHER}/", allow=[ALLOWED])
    assert refused.code == 3 and "ECONNREFUSED" in refused.out, refused.describe()
    assert_only_allowed(world)


ASYNCIO = """
import asyncio, ssl, sys
async def main(host):
    reader, writer = await asyncio.open_connection(host, 443, ssl=ssl.create_default_context())
    writer.write(f"GET / HTTP/1.1\\r\\nHost: {host}\\r\\nConnection: close\\r\\n\\r\\n".encode())
    print((await reader.read()).decode().splitlines()[-1])
try:
    asyncio.run(main(sys.argv[1]))
except OSError as e:
    print("failed", e); sys.exit(3)
"""


def test_python_asyncio(net, world):
    fetch = net("/usr/bin/python3", "-c", ASYNCIO, ALLOWED, allow=[ALLOWED]).ok()
    assert "hello" in fetch.out
    assert net("/usr/bin/python3", "-c", ASYNCIO, DENIED, allow=[ALLOWED]).code == 3
    assert_only_allowed(world)


STATIC = r"""
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <stdint.h>
/* Asks the resolver by itself, with a datagram of its own making, and connects: no library. */
int main(int argc, char **argv)
{
	unsigned char q[512] = {0x12, 0x34, 1, 0, 0, 1}, a[512];
	size_t n = 12;
	char *name = strdup(argv[1]);
	for (char *label = strtok(name, "."); label; label = strtok(NULL, ".")) {
		q[n++] = (unsigned char)strlen(label);
		memcpy(q + n, label, strlen(label));
		n += strlen(label);
	}
	memcpy(q + n, "\0\0\1\0\1", 5);
	n += 5;
	int u = socket(AF_INET, SOCK_DGRAM, 0), s = socket(AF_INET, SOCK_STREAM, 0);
	struct sockaddr_in to = {AF_INET, htons(53), {inet_addr("9.9.9.9")}};
	struct timeval patience = {5, 0};
	setsockopt(u, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	sendto(u, q, n, 0, (void *)&to, sizeof(to));
	ssize_t got = recv(u, a, sizeof(a), 0);
	if (got < 12 || (a[3] & 15) || a[7] == 0)
		return printf("no such name (%d)\n", got < 12 ? -1 : a[3] & 15), 3;
	memcpy(&to.sin_addr, a + n + 12, 4);
	to.sin_port = htons((uint16_t)atoi(argv[2]));
	if (connect(s, (void *)&to, sizeof(to)) < 0)
		return perror("connect"), 4;
	ssize_t r = read(s, a, sizeof(a));
	printf("%.*s", (int)(r > 0 ? r : 0), a);
	return r > 0 ? 0 : 5;
}
"""


def test_static_program_and_a_server_that_speaks_first(net, world, cc, workspace):
    program = cc(STATIC, workspace, "client")
    speak = net(program, ALLOWED, "22", allow=[f"{ALLOWED}:22"]).ok()
    assert speak.out.startswith("SSH-2.0-world"), speak.describe()
    assert net(program, DENIED, "22", allow=[f"{ALLOWED}:22"]).code == 3
    assert net(program, ALLOWED, "443", allow=[f"{ALLOWED}:22"]).code == 4
    assert_only_allowed(world)


@needs("curl")
def test_only_ipv6(net, world):
    fetch = net("curl", "-sS", f"https://v6.{DOMAIN}/", allow=[f"v6.{DOMAIN}"]).ok()
    assert "hello" in fetch.out
    assert {e["address"] for e in world.log("http")} == {world.SITE6}


@needs("curl")
@pytest.mark.parametrize("proxy", ["http://198.18.0.1:3128", "socks5h://198.18.0.1:3128"])
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_proxies(net, world, proxy, scheme):
    fetch = net("curl", "-sS", "-x", proxy, f"{scheme}://{ALLOWED}/", allow=[ALLOWED]).ok()
    assert "hello" in fetch.out
    refused = net("curl", "-sS", "-x", proxy, f"{scheme}://{DENIED}/", allow=[ALLOWED])
    if scheme == "http" and proxy.startswith("http"):
        assert f"--allow-domain {DENIED}" in refused.out, refused.describe()  # the 403's body
        assert f'allow_domain = ["{DENIED}' in refused.out
    else:
        assert refused.code != 0
    assert_only_allowed(world)


@needs("curl")
def test_proxy_variables(net, world):
    result = net("sh", "-c", "echo $https_proxy; curl -sS https://$0/", ALLOWED, allow=[ALLOWED],
                 flags=["--proxy-variables"]).ok()  # fmt: skip
    assert "198.18.0.1:3128" in result.out and "hello" in result.out
    ways = {e["way"] for e in result.report["network"]["entries"] if e["protocol"] == "tls"}
    assert ways == {"proxy-connect"}, result.describe()


def test_nothing_without_a_rule(net, world):
    result = net("/usr/bin/python3", "-c", ASYNCIO, ALLOWED)
    assert result.code == 3
    assert world.log() == []
    assert "network" not in result.report


@needs("curl")
def test_net_on_reaches_public_addresses_and_no_private_one(net, world):
    flags = ["--net", "on"]
    assert "hello" in net("curl", "-sS", f"https://{DENIED}/", flags=flags).ok().out
    assert "hello" in net("curl", "-sS", f"http://{world.SITE}/", flags=flags).ok().out
    for private in (world.PRIVATE, world.METADATA, "127.0.0.1:80", f"private.{DOMAIN}"):
        assert net("curl", "-sS", "-m", "5", f"http://{private}/", flags=flags).code != 0
    assert not [e for e in world.log("http") if e["address"] in (world.PRIVATE, world.METADATA)]


