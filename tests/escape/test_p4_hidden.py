"""P4: hidden paths cannot be read, nor what is put there later; secrets of the workspace are never
writable, and hidden when asked for."""

import contextlib
import os
import subprocess
import threading

import pytest
import support

SECRET = "a-secret-that-no-box-may-see"


@pytest.fixture
def home(home_directory):
    """A home directory of the test's own, with credentials, and what is none."""
    home = home_directory / "home"
    for name in (".ssh/id_rsa", ".aws/credentials", ".gnupg/private.key", ".config/gh/hosts.yml",
                 ".kube/config", ".docker/config.json", ".netrc", ".git-credentials", ".npmrc"):
        path = home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(SECRET + "\n")
    (home / "notes").write_text("nothing special\n")
    return home


@pytest.fixture
def work(home):
    """A workspace below that home."""
    return support.make_repository(home / "work")


@pytest.mark.core
def test_credentials_of_the_home_directory(box, home, work):
    """What is no credential can be read; but root's own home, which HOME then does not name, is
    another user's."""
    script = f"cat README {home}/notes; grep -rs {SECRET} {home}; true"
    result = box("sh", "-c", script, cwd=work, env={"HOME": home}).ok()
    notes = "" if support.IS_ROOT else "nothing special\n"
    assert result.out == "a file\n" + notes, result.describe()


@pytest.mark.parametrize("way", ["symlink", "dots", "proc-root", "proc-cwd", "descriptor"])
def test_no_way_round(box, home, work, way):
    (work / "link").symlink_to(home / ".ssh")
    path = {
        "symlink": "link/id_rsa",
        "dots": "../.ssh/id_rsa",
        "proc-root": f"/proc/1/root{home}/.ssh/id_rsa",
        "proc-cwd": "/proc/self/cwd/../.ssh/id_rsa",
        "descriptor": None,
    }[way]
    if path:
        script = f"cat {path}; cp -r {path} c; ln {path} hard; mv {path} moved; cat c hard moved"
    else:
        script = """python3 -c '
import os
home = os.open("..", os.O_PATH)
ssh = os.open(".ssh", os.O_PATH, dir_fd=home)
print(open(os.open("id_rsa", os.O_RDONLY, dir_fd=ssh)).read())'"""
    result = box("sh", "-c", script, cwd=work, env={"HOME": home})
    assert SECRET not in result.out, result.describe()
    assert result.code != 0


def test_the_parent_of_what_is_hidden_cannot_be_moved(box, home, work):
    """Even where the home itself is writable."""
    script = f"cd {home}; mv .config c2; mv .ssh s2; grep -rs {SECRET} .; true"
    result = box("sh", "-c", script, cwd=work, env={"HOME": home}, flags=["--write", home])
    assert SECRET not in result.out, result.describe()
    assert (home / ".ssh" / "id_rsa").read_text() == SECRET + "\n"


def started(tier, work, home, script, *flags):
    return subprocess.Popen(
        [support.COFFER, "run", "--quiet", "--isolation", tier, *flags, "--", "sh", "-c", script],
        cwd=work,
        env={**os.environ, "HOME": str(home)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


WAIT = "touch ready; while [ ! -e go ]; do sleep 0.02; done; "


@contextlib.contextmanager
def waiting(tier, work, home, script, *flags):
    """A box that goes on with script when told."""
    (work / "signals").mkdir(exist_ok=True)
    process = started(tier, work, home, f"cd signals; {WAIT} {script}", *flags)
    support.wait_until(lambda: (work / "signals" / "ready").exists(), what="the start of the box")
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def test_what_is_put_there_later(tier, home, work):
    (home / ".azure").mkdir()
    script = f"cat {home}/.ssh/later {home}/.azure/later; ls {home}/.ssh; true"
    with waiting(tier, work, home, script) as process:
        for name in (".ssh/later", ".azure/later"):
            (home / name).write_text(SECRET)
        (work / "signals" / "go").touch()
        out = process.stdout.read()
    assert SECRET not in out
    if tier == "container":
        assert "later" not in out.replace(".ssh/later", "").replace(".azure/later", "")


@pytest.mark.core
def test_deny_read(box, workspace, tier):
    for name in ("visible.txt", "a/one.hide", "a/b/two.hide"):
        path = workspace / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{name}\n")
    (workspace / "shut").mkdir()
    (workspace / "shut" / "file").write_text("shut\n")
    flags = ["--deny-read", "**/*.hide", "--deny-read", "shut"]
    script = "cat visible.txt; cat a/one.hide; cat a/b/two.hide; cat shut/file; true"
    result = box("sh", "-c", script, flags=flags).ok()
    assert result.out == "visible.txt\n", result.describe()
    script = "mv a moved; cat moved/one.hide; mv shut s2; cat s2/file; cp -r a c; cat c/*; true"
    result = box("sh", "-c", script, flags=flags).ok()
    assert result.out == "", result.describe()
    assert (workspace / "a" / "one.hide").read_text() == "a/one.hide\n"


def test_one_unreadable_directory_stops_no_run(box, workspace):
    (workspace / "dark").mkdir(mode=0)
    (workspace / "x.hide").write_text("hidden\n")
    result = box("sh", "-c", "cat README; cat x.hide; true", flags=["--deny-read", "**/*.hide"])
    assert result.ok().out == "a file\n"
    (workspace / "dark").chmod(0o755)


def test_allow_read(box, home, work):
    flags = ["--allow-read", home / ".npmrc", "--allow-read", home / ".config/gh"]
    script = f"cat {home}/.npmrc {home}/.config/gh/hosts.yml; cat {home}/.netrc; true"
    result = box("sh", "-c", script, cwd=work, env={"HOME": home}, flags=flags).ok()
    assert result.out == f"{SECRET}\n{SECRET}\n", result.describe()


def test_deny_wins_at_the_same_path(box, workspace):
    (workspace / "data").write_text("data\n")
    flags = ["--allow-read", "data", "--deny-read", "data"]
    result = box("cat", "data", flags=flags)
    assert "data\n" not in result.out
    assert result.code != 0


SECRETS = [".env", ".env.local", "server.pem", "id_ed25519", "credentials.json", "sub/.env"]


@pytest.fixture
def secrets(workspace):
    (workspace / "sub").mkdir()
    for name in SECRETS:
        (workspace / name).write_text(SECRET + "\n")
    (workspace / ".env.example").write_text("KEY=\n")
    return workspace


def test_secrets_of_the_workspace_are_read_only(box, secrets):
    """Without a network they may be read, as programs that are tested need it."""
    names = " ".join(SECRETS)
    script = f"""
        for n in {names}; do
            cat $n; echo x >$n; echo x >>$n; rm -f $n; mv $n moved; chmod 777 $n; ln -f README $n
        done 2>/dev/null
        echo KEY=value >.env.example"""
    result = box("sh", "-c", script).ok()
    assert result.out.count(SECRET) == len(SECRETS), result.describe()
    for name in SECRETS:
        assert (secrets / name).read_text() == SECRET + "\n"
    assert (secrets / ".env.example").read_text() == "KEY=value\n"


def test_secrets_of_the_workspace_hidden(box, secrets):
    script = "cat README .env.example; grep -rs a-secret . ; true"
    result = box("sh", "-c", script, flags=["--hide-secrets"]).ok()
    assert result.out == "a file\nKEY=\n", result.describe()
    flags = ["--hide-secrets", "--allow-read", ".env"]
    assert box("cat", ".env", flags=flags).ok().out == SECRET + "\n"


def test_only_the_secrets_of_a_read_only_workspace_are_hidden(box, secrets):
    """With a network secrets are hidden; what lies beside them is as readable as ever."""
    result = box("sh", "-c", "cat README; cat .env", cwd=secrets,
                 flags=("--mode", "read-only", "--net", "on"))
    assert (secrets / "README").read_text() in result.out
    assert SECRET not in result.out and (secrets / ".env").read_text() not in result.out


def test_a_secret_that_appears_while_the_box_runs(box, tier, workspace):
    """Where names decide: what the landlock tier opens on a program's behalf is looked at too."""
    if tier == "container":
        pytest.skip("mounts hide what is there at launch; --deny-read a directory for the rest")
    (workspace / ".env").write_text(SECRET + "\n")
    script = """
        echo mine >own; cat <>own; echo started >flag
        while [ ! -e .env.production ]; do sleep 0.05; done
        for n in .env .env.production; do
            cat $n; cat <>$n; echo x >>$n; echo x >$n
            ln $n hard && cat <>hard; mv $n moved && cat <>moved
        done 2>/dev/null
        cat <>.ssh/key; mv .ssh other && cat <>other/key; mv own renamed; cat <>renamed
        true"""
    maker = threading.Thread(target=make_when_started, args=[workspace])
    maker.start()
    result = box("sh", "-c", script, flags=["--hide-secrets"])
    maker.join()
    assert result.ok().out == "mine\nmine\n", result.describe()
    assert (workspace / ".env.production").read_text() == SECRET + "\n"
    assert result.denials(promise="P4", target=".env.production"), result.describe()


def make_when_started(workspace):
    support.wait_until((workspace / "flag").exists, 10, "the box")
    (workspace / ".ssh").mkdir()
    (workspace / ".ssh" / "key").write_text(SECRET + "\n")
    (workspace / "new").write_text(SECRET + "\n")
    (workspace / "new").rename(workspace / ".env.production")


def test_the_production_profile_hides_them(box, secrets):
    result = box("sh", "-c", "cat .env; true", flags=["--profile", "production"])
    assert SECRET not in result.out, result.describe()


def test_other_users_homes(box):
    """As root: even those that root could read."""
    support.need_root()
    directory = support.HOME.parent / "home" / "coffer-test"
    if not directory.is_dir():
        pytest.skip("needs another user's home")
    path = directory / f"coffer-{os.getpid()}"
    path.write_text(SECRET)
    path.chmod(0o644)
    directory_mode = directory.stat().st_mode
    directory.chmod(0o755)
    try:
        assert SECRET not in box("sh", "-c", f"cat {path}; true").out
    finally:
        path.unlink()
        directory.chmod(directory_mode)


def test_run_and_the_environment_of_others(box, tier):
    """/run holds the sockets and the tokens of services; here it is empty, or cannot be read."""
    result = box("sh", "-c", "find /run -type f -exec cat {} + 2>/dev/null | wc -c; true").ok()
    assert result.out.strip() == "0"
    if tier == "container":
        assert box("sh", "-c", "ls -A /run").ok().out == ""


def test_secrets_of_the_environment(box):
    env = {"GITHUB_TOKEN": SECRET, "AWS_SECRET_ACCESS_KEY": SECRET, "LANG": "C.UTF-8"}
    result = box("env", env=env).ok()
    assert SECRET not in result.out
    assert "LANG=C.UTF-8" in result.out.splitlines()
    result = box("env", env=env, flags=["--env", "GITHUB_TOKEN"]).ok()
    assert f"GITHUB_TOKEN={SECRET}" in result.out.splitlines()
    assert "AWS_SECRET_ACCESS_KEY" not in result.out


def test_the_environment_of_coffers_own_processes(box):
    """The variables that were kept from the command must not be found in its parent's."""
    script = f"cat /proc/[0-9]*/environ 2>/dev/null | tr '\\\\0' '\\\\n' | grep -c {SECRET}; true"
    result = box("sh", "-c", script, env={"GITHUB_TOKEN": SECRET}).ok()
    assert result.out == "0\n"


def test_a_long_run_keeps_them_hidden(tier, home, work):
    """What comes into a hidden directory during the run is hidden too, and so is a file that is
    written again in place. (Replaced by rename it is a new file: docs/THREAT-MODEL.md.)"""
    script = f"cat {home}/.ssh/id_rsa {home}/.ssh/new {home}/.netrc; true"
    with waiting(tier, work, home, script) as process:
        (home / ".ssh" / "new").write_text(SECRET)
        (home / ".netrc").write_text(SECRET)
        (work / "signals" / "go").touch()
        out = process.stdout.read()
    assert SECRET not in out
