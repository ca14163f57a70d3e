"""What a box may not learn of a secret besides its placeholder: where it comes from."""

import shutil

import pytest
import support

ALLOWED = "allowed.coffer-world.com"
VALUE = "the-real-value-0123456789"


@pytest.fixture(params=["container", "landlock"])
def box(request, net, world):
    available, reason = support.tier_available(request.param)
    if not available:
        pytest.skip(reason)

    def run(source, *command, flags=(), **keywords):
        secret = f"name=TOKEN,host={ALLOWED},from={source}"
        flags = ["--isolation", request.param, "--net-secret", secret,
                 "--upstream-ca", world.ca, *flags]  # fmt: skip
        return net(*command, allow=[ALLOWED], flags=flags, trusting=False, **keywords)

    return run


@pytest.mark.skipif(not shutil.which("curl"), reason="no curl here")
@pytest.mark.parametrize("way", ["absolute", "relative", "link", "outside", "allowed"])
def test_its_file_is_hidden(box, workspace, way):
    outside = workspace.parent / f"{workspace.name}-keys"
    outside.mkdir()
    directory = outside if way == "outside" else workspace
    key = directory / "key"
    key.write_text(VALUE + "\n")
    (directory / "link").symlink_to("key")
    path = {"relative": "key", "link": directory / "link"}.get(way, key)
    flags = ["--allow-read", key] if way == "allowed" else []
    code = f'! cat "{key}" && ! cat "{directory}/link" && echo read: no && ' \
           f'curl -sS -H "Authorization: Bearer $TOKEN" https://{ALLOWED}/echo'
    try:
        done = box(f"file:{path}", "sh", "-c", code, flags=flags).ok()
    finally:
        shutil.rmtree(outside)
    assert done.out.startswith("read: no\n"), done.describe()
    assert len(done.out.splitlines()) > 1
    assert VALUE not in done.out


@pytest.mark.parametrize("flags", [[], ["--env-all"], ["--env", "REAL"]])
def test_its_variable_is_not_passed(box, flags):
    done = box("env:REAL", "env", flags=flags, own={"REAL": VALUE}).ok()
    assert "TOKEN=coffer-secret-token-" in done.out
    assert VALUE not in done.out and "REAL=" not in done.out, done.describe()


def test_openssls_configuration_of_the_host_is_left_alone(box, workspace):
    """It may name modules, which a static program cannot load, or take away what is needed."""
    (workspace / "openssl.cnf").write_text(
        "openssl_conf=a\n[a]\nproviders=b\n[b]\nnull=c\n[c]\nactivate=1\n"
    )
    own = {"REAL": VALUE, "OPENSSL_CONF": workspace / "openssl.cnf"}
    assert "TOKEN=coffer-secret-" in box("env:REAL", "env", own=own).ok().out


def test_a_file_that_is_not_there_is_told(box):
    done = box("file:/nonexistent/key", "true")
    assert done.code != 0
    assert "/nonexistent/key" in done.err
