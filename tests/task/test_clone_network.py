"""Clones over a network: exactly the repository's host and port, and what is allowed by name."""

import base64
import shutil

import pytest
import support
from repositories import steps  # noqa: F401
from support import git

HOST = "allowed.coffer-world.com"
OTHER = "denied.coffer-world.com"


def serve(repository, world, name="project.git"):
    """Git's protocol of plain files needs nothing but a web server."""
    bare = world.www / name
    git(world.www, "clone", "-q", "--bare", repository, bare)
    git(bare, "update-server-info")


@pytest.fixture
def site(world, workspace):
    serve(workspace, world)
    yield world
    for entry in world.www.iterdir():
        shutil.rmtree(entry)


@pytest.fixture
def clone(steps, site):  # noqa: F811
    """In the world, whose authority the clone's git is told of."""
    trust = [
        f"set:view={site.ca}=/run/coffer/ca.pem",
        "set:env=GIT_SSL_CAINFO=/run/coffer/ca.pem",
    ]

    def run(url, *words, **keywords):
        return steps.clone(url, *trust, *words, world=site, **keywords)

    return run


def test_https(clone, site, workspace, steps):  # noqa: F811
    step = clone(f"https://{HOST}/project.git").ok()
    assert step.commit == git(workspace, "rev-parse", "HEAD").strip()
    assert f"https://{HOST}/project.git" in (
        steps.upper(step.layer) / ".git" / "config"
    ).read_text()
    assert {entry["sni"] for entry in site.log("http")} == {HOST}
    assert {entry["name"] for entry in site.log("dns")} == {HOST}


def test_credentials_reach_the_server_and_nothing_else(clone, site, steps):  # noqa: F811
    step = clone(f"https://kim:hunt%40er2@{HOST}/project.git").ok()
    wanted = "Basic " + base64.b64encode(b"kim:hunt@er2").decode()
    seen = [entry["headers"].get("Authorization") for entry in site.log("http")]
    assert seen and set(seen) == {wanted}
    secrets = [b"hunt", wanted.encode()]
    assert not any(secret.decode() in step.out + step.words for secret in secrets)
    for path in steps.state.rglob("*"):
        if path.is_file():
            assert not any(secret in path.read_bytes() for secret in secrets), path


def test_what_is_not_there(clone):
    clone(f"https://{HOST}/other.git").refused(f"https://{HOST}/other.git cannot be read", "TOKEN")


def test_http_has_to_be_allowed_by_name(clone, workspace):
    clone(f"http://{HOST}/project.git").refused(f"--allow-domain {HOST}:80")
    step = clone(f"http://{HOST}/project.git", f"set:allow-domain={HOST}:80/http").ok()
    assert step.commit == git(workspace, "rev-parse", "HEAD").strip()


def add_submodule(workspace, url):
    head = git(workspace, "rev-parse", "HEAD").strip()
    (workspace / ".gitmodules").write_text(f'[submodule "m"]\n\tpath = lib\n\turl = {url}\n')
    git(workspace, "add", ".gitmodules")
    git(workspace, "update-index", "--add", "--cacheinfo", f"160000,{head},lib")
    git(workspace, "commit", "-q", "-m", "with a submodule")


def test_submodules_of_the_same_host_and_of_others(clone, site, workspace, steps):  # noqa: F811
    add_submodule(workspace, "../project.git")
    serve(workspace, site, "super.git")
    step = clone(f"https://{HOST}/super.git", "submodules=1").ok()
    assert (steps.upper(step.layer) / "lib" / "README").exists()
    (workspace / ".gitmodules").write_text(
        f'[submodule "m"]\n\tpath = lib\n\turl = https://{OTHER}/project.git\n'
    )
    git(workspace, "add", ".gitmodules")
    git(workspace, "commit", "-q", "-m", "from another host")
    serve(workspace, site, "far.git")
    site.clear()
    clone(f"https://{HOST}/far.git", "submodules=1").refused(f"--allow-domain {OTHER}:443")
    assert {entry["name"] for entry in site.log("dns")} == {HOST}


def test_ssh_reaches_the_host_and_its_port(clone, site):
    """The world's server speaks first, as ssh does; it is no sshd, and the clone fails in time."""
    support.need_program("ssh")
    for url in [f"git@{HOST}:project.git", f"ssh://git@{HOST}/project.git"]:
        site.clear()
        clone(url).refused("cannot be read", "known_hosts")
        assert site.log("banner")
