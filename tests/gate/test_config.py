"""Configuration as its user sees it: files that are read, merged, refused, trusted and required."""

import json
import os
import socket
import pty
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
import support
from support import ROOT, SETUP_FAILED

WRONG = 1  # `coffer config check` and `coffer trust`


@dataclass
class Places:
    """A user's directories, and coffer run with them and in their workspace."""

    top: Path
    workspace: Path

    @property
    def user_file(self):
        return self.top / "config" / "coffer" / "coffer.toml"

    @property
    def project_file(self):
        return self.workspace / ".coffer" / "coffer.toml"

    @property
    def cache(self):
        return self.top / "cache" / "coffer" / "config"

    @property
    def environment(self):
        return {
            "HOME": self.top,
            "XDG_CONFIG_HOME": self.top / "config",
            "XDG_STATE_HOME": self.top / "state",
            "XDG_CACHE_HOME": self.top / "cache",
        }

    def user(self, text):
        self.user_file.parent.mkdir(parents=True, exist_ok=True)
        self.user_file.write_bytes(text if isinstance(text, bytes) else text.encode())

    def project(self, text):
        self.project_file.parent.mkdir(exist_ok=True)
        self.project_file.write_text(text)

    def run(self, *args, **keywords):
        keywords.setdefault("cwd", self.workspace)
        return support.run_coffer(*args, env=self.environment, report=False, **keywords)

    def plan(self, *flags):
        return json.loads(self.run("plan", *flags, "--", "true").ok().out)

    def show(self):
        return json.loads(self.run("config", "show", "--json").ok().out)

    def settings(self):
        return {s["key"]: s["value"] for s in self.show()["settings"]}

    def trust(self):
        return self.run("trust", "--yes").ok()


@pytest.fixture
def places(coffer, home_directory):
    assert coffer.with_name("coffer-gate").exists()
    return Places(home_directory / "user", support.make_repository(home_directory / "workspace"))


@pytest.fixture(autouse=True)
def _make_top(places):
    places.top.mkdir()


# What is read.


def test_without_files_all_is_built_in(places):
    shown = places.show()
    assert shown["files"] == [] and shown["settings"] == []
    assert shown["approval"] == {"policy": "on-request", "layer": "built in"}
    places.run("run", "-q", "--", "true").ok()
    assert not places.cache.exists()


def test_a_users_file_holds_for_a_run(places):
    places.user('mode = "read-only"\n[limits]\ntime = "7s"\n[network]\nallow_domain = ["a.org"]\n')
    plan = places.plan()
    assert plan["mode"] == "read-only" and plan["limits"]["time_ms"] == 7000
    denied = places.run("run", "-q", "--", "touch", "new")
    assert denied.code != 0 and not (places.workspace / "new").exists()
    allowed = places.run("net", "check", "a.org").ok()
    assert f"allow-domain a.org ({places.user_file}:5)" in allowed.out
    assert places.run("net", "check", "b.org").code == 1


def test_flags_outrank_it(places):
    places.user('mode = "read-only"\ngit = "off"\n[network]\nallow_domain = ["a.org"]\n')
    places.run("run", "-q", "--mode", "workspace-write", "--", "touch", "new").ok()
    assert (places.workspace / "new").exists()
    assert places.run("net", "check", "a.org", "--net", "off").code == 1
    places.user(f'mode = "workspace-write"\nwrite = ["{places.top}"]\n')
    assert places.plan("--mode", "read-only")["mode"] == "read-only"


def test_a_root_that_is_not_there_is_left_out_and_said(places):
    places.user('write = ["/nowhere/at/all"]\n')
    done = places.run("run", "--", "true").ok()
    assert f"{places.user_file}:1: /nowhere/at/all is not there" in done.err


def test_what_is_to_stay_read_only_must_be_there(places):
    places.user(f'mode = "workspace-write"\nread_only = ["{places.workspace}/vendor"]\n')
    done = places.run("run", "--", "mkdir", "vendor")
    assert done.code == SETUP_FAILED and not (places.workspace / "vendor").exists()
    assert f"{places.user_file}:2: read_only: {places.workspace}/vendor is not there" in done.err
    (places.workspace / "vendor").mkdir()
    assert places.run("run", "-q", "--", "touch", "vendor/new").code != 0
    assert not (places.workspace / "vendor" / "new").exists()


def test_what_is_kept_read_only_is_not_shown(places):
    """By a project's file least of all: it can only narrow."""
    hidden = places.top / "hidden"
    secret = places.workspace / "sec" / "k"
    for path in [hidden / "key", secret, places.workspace / ".env"]:
        path.parent.mkdir(exist_ok=True)
        path.write_text("content\n")
    places.user(f'deny_read = ["{hidden}", "{secret.parent}"]\nhide_secrets = true\n')
    places.project(f'read_only = ["{hidden}/key", "sec/k", ".env"]\n')
    places.run("trust", "--yes").ok()
    for flags in [[], ["--read-only", str(hidden / "key"), "--read-only", ".env"]]:
        for path in [hidden / "key", "sec/k", ".env"]:
            done = places.run("run", "-q", *flags, "--", "cat", path)
            assert done.code == 1 and "content" not in done.out, (flags, path)
    assert places.run("run", "-q", "--allow-read", ".env", "--", "cat", ".env").ok().out


def test_every_part_has_its_place(places):
    places.user(
        'mode = "read-only"\n\n[limits]\n  memory = "1G"\n'
        '[[rule]]\nprefix = ["npm", ["test", "run"]]\ndecision = "allow"\n'
        '[[hook]]\nevent = "Stop"\nargv = ["true"]\n'
    )
    shown = places.show()
    place = {"layer": "user", "file": str(places.user_file)}
    assert shown["settings"] == [
        {"key": "mode", "value": "read-only", **place, "line": 1, "column": 1},
        {"key": "limits.memory", "value": "1G", **place, "line": 4, "column": 3},
    ]
    assert shown["rules"][0]["prefix"] == ["npm", ["test", "run"]]
    assert shown["rules"][0]["line"] == 5
    assert shown["hooks"][0]["trusted"] is False and len(shown["hooks"][0]["sha256"]) == 64
    text = places.run("config", "show").ok().out
    assert f'mode = "read-only"\t# {places.user_file}:1\n' in text


def test_nothing_moves_a_terminal(places):
    places.user(
        'env = ["A=\\u001b[2J\\u202e"]\n'
        '[[rule]]\nprefix = ["\\u001b]0;x"]\ndecision = "ask"\n'
    )
    for args in [["config", "show"], ["config", "show", "--json"], ["config", "check"]]:
        out = places.run(*args).ok().out
        assert "\x1b" not in out and "\u202e" not in out
    places.user('"\\u001b[2J" = 1\n')
    done = places.run("config", "check")
    assert done.code == WRONG and "\x1b" not in done.out and "\\x1b[2J" in done.out


# What is refused.


@pytest.mark.parametrize(
    "text, told",
    [
        (b'mdoe = "read-only"\n', "1:1: there is no key 'mdoe'"),
        (b'\n\nmode = "readonly"\n', "3:1: mode: 'readonly' is not one of"),
        (b"mode = read-only\n", "1:"),
        (b'a = "\xff"\n', "1:6: the byte 0xff here is not UTF-8"),
        (b'mode = "read-only"\nmode = "read-only"\n', "2:1: 'mode' is given twice"),
        (b"#" * (10 * 1024 * 1024), "1:1: the file has 10485760 bytes"),
        (b"a = " + b"[" * 200_000, "1:1: what begins here has no end"),
    ],
    ids=["key", "word", "syntax", "utf8", "twice", "large", "deep"],
)
def test_a_faulty_file_refuses_the_run(places, text, told):
    places.user(text)
    for args in [["run", "--", "true"], ["plan", "--", "true"], ["net", "check", "a.org"]]:
        done = places.run(*args)
        assert done.code == SETUP_FAILED
        assert f"{places.user_file}:{told}" in done.err
    assert not list(places.cache.glob("*"))


def test_the_nearest_known_key_is_named(places):
    places.user('aproval = "never"\n')
    assert "did you mean 'approval'?" in places.run("run", "--", "true").err


def test_check_tells_every_fault(places):
    places.user('mdoe = 1\nwrite = "x"\n[limits]\ntime = "soon"\n')
    done = places.run("config", "check")
    assert done.code == WRONG
    lines = done.out.splitlines()
    assert [line.split(":")[1] for line in lines] == ["1", "2", "4"]
    places.user('mode = "read-only"\n')
    assert places.run("config", "check").ok().out == f"{places.user_file}: no fault\n"


def test_check_takes_files_by_what_they_are_called(places):
    files = {
        "mine.toml": 'write = ["/x"]\n',
        "requirements.toml": 'modes = ["read-only"]\n',
        "p/.coffer/coffer.toml": 'mode = "read-only"\nread_only = ["x"]\n',
    }
    for name, text in files.items():
        path = places.top / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        assert places.run("config", "check", path).code == 0, name
    path.write_text('write = ["/x"]\n')
    done = places.run("config", "check", places.top / "mine.toml", path)
    assert done.code == WRONG and f"{path}:1:1: 'write' cannot be set by a project" in done.out
    assert places.run("config", "check", places.top / "none.toml").code == WRONG


def test_a_rule_whose_example_fails_is_refused(places):
    places.user('[[rule]]\nprefix = ["git", "push"]\ndecision = "ask"\nmatches = ["git pull"]\n')
    done = places.run("config", "check")
    assert done.code == WRONG and f"{places.user_file}:1" in done.out
    assert places.run("run", "--", "true").code == SETUP_FAILED


def test_a_hook_that_is_not_there_is_named(places):
    places.user('\n[[hook]]\nevent = "Stop"\nargv = ["/nowhere/hook"]\n')
    done = places.run("run", "--", "true")
    assert done.code == SETUP_FAILED
    assert f"{places.user_file}:2" in done.err and "/nowhere/hook" in done.err


def test_two_words_that_contradict_name_both_places(places):
    places.user('mode = "read-only"\nwrite = ["/usr"]\n')
    done = places.run("run", "--", "true")
    assert done.code == SETUP_FAILED
    assert f"{places.user_file}:2:10: write with --mode read-only" in done.err
    assert f"(the other is at {places.user_file}:1:1)" in done.err


def test_a_file_that_everybody_may_write_is_refused(places):
    places.user('mode = "read-only"\n')
    places.user_file.chmod(0o666)
    done = places.run("run", "--", "true")
    assert done.code == SETUP_FAILED and "everybody may write it" in done.err


def test_usage_errors(places):
    assert "did you mean 'show'" in places.run("config", "shwo").err
    for args in [["config"], ["config", "show", "--yaml"], ["config", "show", "x"]]:
        assert places.run(*args).code == SETUP_FAILED
    assert places.run("config", "--help").code == 0


# What is cached.


def test_it_is_compiled_once(places):
    places.user('mode = "read-only"\n')
    places.run("run", "-q", "--", "true").ok()
    (cached,) = places.cache.iterdir()
    assert places.cache.stat().st_mode & 0o777 == 0o700
    before = cached.stat()
    places.run("run", "-q", "--", "true").ok()
    assert cached.stat().st_mtime_ns == before.st_mtime_ns
    # Only what is compiled is read now: coffer-gate does not even have to be there.
    alone = places.top / "coffer"
    shutil.copy(support.COFFER, alone)
    found = subprocess.run(
        [alone, "plan", "--", "true"],
        cwd=places.workspace,
        env={**os.environ, **{k: str(v) for k, v in places.environment.items()}},
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(found.stdout)["mode"] == "read-only"
    places.user('mode = "workspace-write"\n')
    assert places.plan()["mode"] == "workspace-write"
    assert len(list(places.cache.iterdir())) == 2


def test_a_broken_cache_is_made_again(places):
    places.user('mode = "read-only"\n')
    places.plan()
    (cached,) = places.cache.iterdir()
    whole = cached.read_bytes()
    for broken in [b"", whole[:-1], whole.replace(b"read-only", b"read-onlx"), b"\0" * 100]:
        cached.write_bytes(broken)
        mode = places.run("plan", "--", "true")
        # A changed word is no longer what policy_set() takes; the rest is compiled anew.
        assert mode.code == (SETUP_FAILED if b"onlx" in broken else 0)
        if mode.code == 0:
            assert cached.read_bytes() == whole


def test_a_cache_that_others_may_write_is_not_used(places):
    places.user('mode = "read-only"\n')
    places.plan()
    (cached,) = places.cache.iterdir()
    cached.write_bytes(cached.read_bytes().replace(b"read-only", b"danger-full-access"))
    places.cache.chmod(0o777)
    assert places.plan()["mode"] == "read-only"
    places.cache.chmod(0o700)
    cached.chmod(0o666)
    assert places.plan()["mode"] == "read-only"


def test_a_cache_that_cannot_be_made_only_costs_time(places):
    places.user('mode = "read-only"\n')
    (places.top / "cache").write_text("in the way\n")
    assert places.plan()["mode"] == "read-only"


def test_the_cache_stays_small(places):
    for i in range(70):
        places.cache.mkdir(parents=True, exist_ok=True)
        (places.cache / f"{i:064x}").touch()
    places.cache.chmod(0o700)
    places.user('mode = "read-only"\n')
    places.plan()
    assert len(list(places.cache.iterdir())) == 1


# What a project says.

NARROWING = """mode = "read-only"
[limits]
time = "9s"
[[rule]]
prefix = ["git", "push"]
decision = "forbid"
"""


def test_a_projects_file_waits_for_trust(places):
    places.project(NARROWING)
    done = places.run("run", "--", "touch", "new").ok()
    assert "is not trusted" in done.err and "coffer trust" in done.err
    assert places.settings() == {}
    shown = places.run("trust")  # nobody to ask
    assert shown.code == WRONG and 'mode = "read-only"' in shown.out
    assert 'rule: forbid ["git", "push"]' in shown.out and "nobody is there to ask" in shown.err
    assert places.settings() == {}


def test_what_is_trusted_counts_until_it_changes(places):
    places.project(NARROWING)
    assert "trusted" in places.trust().out
    assert places.settings() == {"mode": "read-only", "limits.time": "9s"}
    below = places.workspace / "src"
    assert json.loads(places.run("plan", "--", "true", cwd=below).ok().out)["mode"] == "read-only"
    assert "is trusted as it is" in places.run("trust").ok().out
    places.project(NARROWING + "# changed\n")
    assert places.settings() == {}
    places.project(NARROWING)
    assert places.settings()["mode"] == "read-only"
    assert places.run("trust", "--list").ok().out.endswith(f"  {places.project_file}\n")
    places.run("trust", "--remove").ok()
    assert places.settings() == {} and places.run("trust", "--list").ok().out == ""
    assert places.run("trust", "--remove").code == WRONG


def test_the_same_content_elsewhere_is_another_matter(places, home_directory):
    places.project(NARROWING)
    places.trust()
    other = Places(places.top, support.make_repository(home_directory / "other"))
    other.project(NARROWING)
    assert other.settings() == {}


@pytest.mark.parametrize("answer, trusted", [("y\n", True), ("\n", False), ("n\n", False)])
def test_a_person_is_asked(places, answer, trusted):
    places.project(NARROWING)
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        [support.COFFER, "trust"],
        cwd=places.workspace,
        env={**os.environ, **{k: str(v) for k, v in places.environment.items()}},
        stdin=follower,
        stdout=follower,
        stderr=follower,
        start_new_session=True,
    )
    os.close(follower)
    seen = b""
    end = time.monotonic() + 20 * support.SLOWDOWN
    while b"[y/N]" not in seen and time.monotonic() < end:
        seen += os.read(leader, 4096)
    assert b"mode = " in seen
    os.write(leader, answer.encode())
    assert process.wait(20 * support.SLOWDOWN) == (0 if trusted else WRONG)
    os.close(leader)
    assert bool(places.settings()) is trusted


def test_a_project_only_narrows(places):
    places.user('mode = "read-only"\n[limits]\ntime = "5s"\n')
    places.project('mode = "workspace-write"\n[limits]\ntime = "9s"\nmemory = "1G"\n')
    places.trust()
    assert places.settings() == {"mode": "read-only", "limits.time": "5s", "limits.memory": "1G"}
    done = places.run("run", "--", "true").ok()
    assert f"{places.project_file}:1:1: mode = workspace-write is wider" in done.err


def test_a_project_that_would_widen_is_not_even_trusted(places):
    places.project('[[rule]]\nprefix = ["rm"]\ndecision = "allow"\n')
    done = places.run("trust", "--yes")
    assert done.code == WRONG and "a project's rule cannot allow" in done.err
    assert f"{places.project_file}:3:1" in done.err
    assert places.settings() == {} and places.run("trust", "--list").ok().out == ""


def test_a_link_out_of_the_workspace_is_refused(places):
    outside = places.top / "outside.toml"
    outside.write_text(NARROWING)
    places.project_file.parent.mkdir()
    places.project_file.symlink_to(outside)
    done = places.run("run", "--", "true")
    assert done.code == SETUP_FAILED and "a link leads out of the workspace" in done.err
    assert places.run("trust", "--yes").code == SETUP_FAILED
    places.project_file.unlink()
    os.mkfifo(places.project_file)
    done = places.run("run", "--", "true")
    assert done.code == SETUP_FAILED and "not a regular file" in done.err


def test_a_home_is_no_project(places):
    (places.top / ".coffer").mkdir()
    (places.top / ".coffer" / "coffer.toml").write_text('mode = "x"\n')
    below = places.top / "below"
    below.mkdir()
    places.run("config", "show", cwd=places.top).ok()
    places.run("config", "show", cwd=below).ok()


# What the system requires: in a mount namespace of its own, with a copy of /etc.

IN_ETC = """
mount -t tmpfs none /mnt && mkdir /mnt/upper /mnt/work &&
mount -t overlay overlay -o lowerdir=/etc,upperdir=/mnt/upper,workdir=/mnt/work$1 /etc &&
rm -rf /etc/coffer && mkdir /etc/coffer && cp "$2"/* /etc/coffer &&
chmod 644 /etc/coffer/* && chmod "$3" /etc/coffer || exit 99
shift 3
exec "$@"
"""


@pytest.fixture
def system(places):
    """Runs coffer where /etc/coffer holds these files."""

    def run(files, *args, mode="755", pass_fds=()):
        source = places.top / "etc"
        source.mkdir(exist_ok=True)
        for name, text in files.items():
            (source / name).write_text(text)
        unshare = ["unshare", "-m"] if support.IS_ROOT else ["unshare", "-Urm"]
        option = "" if support.IS_ROOT else ",userxattr"
        done = subprocess.run(
            [*unshare, "sh", "-c", IN_ETC, "sh", option, str(source), mode, support.COFFER, *args],
            cwd=places.workspace,
            env={**os.environ, **{k: str(v) for k, v in places.environment.items()}},
            stdin=subprocess.DEVNULL,
            pass_fds=pass_fds,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode == 99:
            pytest.skip(f"/etc cannot be replaced in a namespace here: {done.stderr}")
        return done

    return run


def test_the_systems_file_is_below_the_users(places, system):
    files = {"coffer.toml": 'mode = "read-only"\n[limits]\ntime = "3s"\nmemory = "1G"\n'}
    places.user('[limits]\ntime = "4s"\n')
    shown = json.loads(system(files, "config", "show", "--json").stdout)
    found = {s["key"]: (s["value"], s["layer"]) for s in shown["settings"]}
    assert found == {
        "mode": ("read-only", "system"),
        "limits.memory": ("1G", "system"),
        "limits.time": ("4s", "user"),
    }


def test_requirements_bound_files_and_flags(places, system):
    files = {"requirements.toml": 'modes = ["read-only"]\n[limits]\ntime = "5s"\n'}
    done = system(files, "plan", "--", "true")
    plan = json.loads(done.stdout)
    assert plan["mode"] == "read-only" and plan["limits"]["time_ms"] == 5000
    done = system(files, "plan", "--mode", "workspace-write", "--", "true")
    assert done.returncode == SETUP_FAILED
    assert "/etc/coffer/requirements.toml:1 allows: read-only" in done.stderr
    done = system(files, "plan", "--limit", "time=6s", "--", "true")
    assert done.returncode == SETUP_FAILED
    assert "/etc/coffer/requirements.toml:3 allows: time=5s" in done.stderr
    places.user('mode = "workspace-write"\n')
    done = system(files, "plan", "--", "true")
    assert done.returncode == SETUP_FAILED
    assert f"{places.user_file}:1:1: mode 'workspace-write' is not allowed here" in done.stderr
    assert "/etc/coffer/requirements.toml:1 allows: read-only" in done.stderr


def test_nothing_inside_of_what_is_required_is_opened(places, system):
    hidden, kept = places.top / "pay", places.top / "kept"
    for place in [hidden, kept]:
        (place / "sub").mkdir(parents=True)
    (hidden / "x").write_text("payroll\n")
    files = {"requirements.toml": f'deny_read = ["{hidden}"]\nread_only = ["{kept}"]\n'}
    wide = ["--approval", "granular:all=allow"]
    for flags in [
        ["--allow-read", str(hidden / "x")],
        ["--allow-read", os.path.relpath(hidden / "x", places.workspace)],
        ["--write", str(hidden / "sub")],
        ["--write", str(kept / "sub")],
        [*wide, "--ask", f"secret={hidden}/x"],
        [*wide, "--ask", f"write={kept}/sub"],
    ]:
        done = system(files, "run", *flags, "--", "true")
        assert done.returncode == SETUP_FAILED and "requirements.toml" in done.stderr, flags
    for flags in [["--allow-read", str(hidden)], ["--read-only", str(hidden / "x")]]:
        done = system(files, "run", *flags, "--", "cat", str(hidden / "x"))
        assert done.returncode != 0 and "payroll" not in done.stdout, flags
    assert system(files, "run", "--write", str(places.top), "--", "true").returncode == 0
    places.user(f'allow_read = ["{hidden}/x"]\n')
    done = system(files, "run", "--", "true")
    assert done.returncode == SETUP_FAILED and "requirements.toml" in done.stderr


def test_a_required_policy_is_one_that_is_set(places, system):
    """Who typed a command has not answered, where the machine says how it is asked."""
    ask = ["run", "--", "git", "push", "--force", "nowhere"]
    files = {"requirements.toml": 'approvals = ["untrusted", "on-request"]\n'}
    done = system(files, *ask)
    assert done.returncode == 126 and "nobody is there" in done.stderr


def test_no_rule_is_written_that_would_be_refused(places, system):
    ours, theirs = socket.socketpair()
    files = {"requirements.toml": "managed_rules_only = true\n"}
    with ours, theirs:
        ours.sendall(b"no answer at all\n")
        flags = ["--approval", "untrusted", "--approvals", f"fd:{theirs.fileno()}"]
        done = system(files, "run", *flags, "--", "make", "x", pass_fds=[theirs.fileno()])
        question = json.loads(ours.makefile().readline())
    assert done.returncode == 126 and question["suggested_rule"] is None
    assert "always" not in question["answers"]


def test_the_network_has_bounds(system):
    files = {"requirements.toml": '[network]\nallow_domain = ["**.example.org"]\n'}
    assert system(files, "net", "check", "a.example.org").returncode == 1
    flag = ["--allow-domain", "a.example.org"]
    assert system(files, "net", "check", "a.example.org", *flag).returncode == 0
    for wider in [["--allow-domain", "b.net"], ["--net", "on"], ["--profile", "cloud"]]:
        done = system(files, "net", "check", "a.example.org", *wider)
        assert done.returncode == SETUP_FAILED and "requirements.toml:2" in done.stderr


def test_the_systems_files_are_roots_alone(system):
    files = {"coffer.toml": 'mode = "read-only"\n'}
    done = system(files, "plan", "--", "true", mode="777")
    assert done.returncode == SETUP_FAILED and "it is not root's alone to write" in done.stderr


# What is written about it.


def test_the_documentation_has_every_key(places):
    text = (ROOT / "docs" / "CONFIG.md").read_text()
    begin, end = "<!-- coffer config keys -->\n", "<!-- end -->"
    generated = text.split(begin)[1].split(end)[0]
    assert generated.strip() == places.run("config", "keys").ok().out.strip(), (
        "run tools/config-keys"
    )


def test_the_documentations_examples_are_right(places):
    text = (ROOT / "docs" / "CONFIG.md").read_text()
    blocks = [b.split("```")[0] for b in text.split("```toml\n")[1:]]
    assert len(blocks) >= 3
    for block in blocks:
        name = block.splitlines()[0].removeprefix("# ")
        path = places.top / name.replace("/etc/", "").replace("~/", "")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(block)
        done = places.run("config", "check", path)
        assert done.code == 0, done.describe()
