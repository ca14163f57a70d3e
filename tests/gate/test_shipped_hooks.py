"""The hooks that come with coffer: by themselves with made-up secrets of every kind, and as hooks
of a configuration, in their boxes."""

import importlib.util
import json
import os
import random
import re
import stat
import string
import subprocess

import pytest
import support

HOOKS = support.ROOT / "data" / "hooks"
SCANNER = HOOKS / "prompt-scanner"
LOG = HOOKS / "conversation-log"

spec = importlib.util.spec_from_file_location("secret_formats", HOOKS / "secret_formats.py")
formats = importlib.util.module_from_spec(spec)
spec.loader.exec_module(formats)

ALNUM = string.ascii_letters + string.digits
HEX = "0123456789abcdef"


def some(count, alphabet=ALNUM):
    """Made up anew for each run: nothing here is, or looks in the tree like, anybody's secret."""
    while True:
        text = "".join(random.choice(alphabet) for _ in range(count))
        if len(set(text)) > min(count, len(alphabet)) / 3:
            return text


def samples():
    """One of each kind of the table."""
    dashes = "-" * 5
    return {
        "private key": f"{dashes}BEGIN OPENSSH PRIVATE KEY{dashes}",
        "PuTTY private key": "PuTTY-User-Key-File-3: ssh-ed25519",
        "age secret key": "AGE-SECRET-KEY-" + "1" + some(58, "023456789ACDEFGHJKLMNPQRSTUVWXYZ"),
        "AWS access key id": "AK" + "IA" + some(16, string.ascii_uppercase + string.digits),
        "AWS secret access key": "aws_secret_access_key = " + some(40),
        "GitHub token": "gh" + "p_" + some(36),
        "GitHub fine-grained token": "github_" + "pat_" + some(82),
        "GitLab token": "gl" + "pat-" + some(20),
        "Slack token": "xo" + "xb-" + some(40, ALNUM),
        "Slack webhook": "https://hooks.slack.com/services/T" + some(8) + "/B" + some(24),
        "Discord webhook": "https://discord.com/api/webhooks/123456789012345678/" + some(68),
        "Stripe key": "sk" + "_live_" + some(24),
        "Anthropic key": "sk-" + "ant-api03-" + some(90),
        "OpenAI key": "sk-" + "proj-" + some(60),
        "Google API key": "AI" + "za" + some(35),
        "Google OAuth secret": "GOC" + "SPX-" + some(28),
        "Google access token": "ya" + "29." + some(80),
        "Hugging Face token": "h" + "f_" + some(34),
        "npm token": "np" + "m_" + some(36),
        "PyPI token": "pypi-" + "AgE" + some(100),
        "RubyGems key": "rubygems_" + some(48, HEX),
        "crates.io token": "ci" + "o" + some(32),
        "Docker Hub token": "dckr_" + "pat_" + some(27),
        "SendGrid key": "SG." + some(22) + "." + some(43),
        "Mailgun key": "key-" + some(32, HEX),
        "Mailchimp key": some(32, HEX) + "-us12",
        "Twilio key": "S" + "K" + some(32, HEX),
        "Telegram bot token": "123456789:AA" + some(33),
        "Shopify token": "shp" + "at_" + some(32, HEX),
        "Square token": "sq0" + "atp-" + some(22),
        "DigitalOcean token": "do" + "p_v1_" + some(64, HEX),
        "Databricks token": "da" + "pi" + some(32, HEX),
        "HashiCorp Vault token": "hv" + "s." + some(90),
        "Terraform Cloud token": some(14) + ".atlasv1." + some(67),
        "Pulumi token": "pul-" + some(40, HEX),
        "Doppler token": "dp." + "pt." + some(43),
        "Linear key": "lin_" + "api_" + some(40),
        "Notion token": "nt" + "n_" + some(46),
        "Atlassian token": "ATA" + "TT3" + some(180),
        "New Relic key": "NRA" + "K-" + some(27, string.ascii_uppercase + string.digits),
        "Grafana token": "gl" + "sa_" + some(40),
        "Sentry token": "sntr" + "ys_" + some(80),
        "Azure storage key": "AccountKey=" + some(86) + "==",
        "1Password token": "ops_" + "eyJ" + some(200),
        "JSON Web Token": "ey" + "J" + some(30) + ".eyJ" + some(60) + "." + some(43),
        "password in a URL": "postgres://app:" + some(16) + "@db.internal/app",
        "secret that is assigned": "DEPLOY_TOKEN=" + some(32),
    }


HARMLESS = [
    "please fix the token parser in src/token.c and the secret handling",
    "AKIA" + "IOSFODNN7EXAMPLE is the one of the documentation",
    "export API_KEY=your-api-key-goes-here-please",
    "password: xxxxxxxxxxxxxxxxxxxxxxxx",
    "token = os.environ['GITHUB_TOKEN_FOR_DEPLOYMENT']",
    "const token = process.env.SOME_LONG_VARIABLE_NAME",
    "git checkout 5d41402abc4b2a76b9719d911017c592aabbccdd",
    "https://user@example.org/path and https://example.org:8443/x@y",
    "postgres://user:${PASSWORD}@localhost/db",
    "-----BEGIN PUBLIC KEY-----",
    "-----BEGIN CERTIFICATE-----",
    "the task-skeleton-with-a-long-name-and-more-words is fine",
    "sk-learn is not a key, nor is risk-averse-behaviour-of-investors-in-markets",
    "uuid 123e4567-e89b-12d3-a456-426614174000",
    "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
]


def scan(prompt, *args):
    return subprocess.run(
        [SCANNER, *args],
        input=json.dumps({"hook_event_name": "UserPromptSubmit", "prompt": prompt}),
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )


def test_every_kind_of_the_table_has_a_sample():
    assert list(samples()) == [kind for kind, _ in formats.FORMATS]


def test_every_kind_is_found_and_masked():
    for _ in range(5):
        for kind, sample in samples().items():
            text = f"look at this:\n  {sample}\nand that"
            found = formats.find(text)
            assert [secret[0] for secret in found] == [kind], (kind, sample, found)
            _, start, end = found[0]
            masked = formats.mask(text)
            assert text[start:end] not in masked and f"[{kind}]" in masked


def test_what_is_harmless_passes():
    for text in HARMLESS:
        assert formats.find(text) == [], text
        assert formats.mask(text) == text


def test_a_private_key_is_masked_to_its_end():
    dashes = "-" * 5
    body = some(64)
    text = f"a {dashes}BEGIN PRIVATE KEY{dashes}\n{body}\n{dashes}END PRIVATE KEY{dashes} b"
    assert formats.mask(text) == "a [private key] b"
    cut = f"a {dashes}BEGIN PRIVATE KEY{dashes}\n{body}\n"
    assert body not in formats.mask(cut)


def test_the_scanner_says_what_and_where_but_never_the_thing():
    token = samples()["GitHub token"]
    done = scan(f"first line\nuse {token} for it")
    answer = json.loads(done.stdout)
    assert done.returncode == 0 and answer["decision"] == "block"
    assert "GitHub token at line 2, column 5" in answer["reason"]
    assert token not in done.stdout + done.stderr and token[4:12] not in done.stdout
    assert scan(f"use {token}", "--ignore", "GitHub token").stdout == ""
    assert scan("nothing of the kind").stdout == ""


def test_the_scanner_fails_closed():
    for stdin in ["", "{", "[]", "{}", '{"prompt": 7}', '{"prompt": null}']:
        done = subprocess.run(
            [SCANNER], input=stdin, capture_output=True, text=True, check=False, timeout=30
        )
        assert done.returncode == 2 and "could not be scanned" in done.stderr, stdin


@pytest.mark.parametrize(
    "piece", ["a", "eyJ", "eyJ.", "key=", "token: ", "-----BEGIN ", "http://a:", "x.atlasv1."]
)
def test_long_prompts_take_linear_time(piece):
    """Four times what an expression likes least is not sixteen times the work."""
    import time

    def cost(size):
        text = piece * (size // len(piece))
        best = float("inf")
        for _ in range(3):
            started = time.process_time()
            formats.find(text)
            best = min(best, time.process_time() - started)
        return best

    assert cost(100_000) < 10 * cost(25_000) + 0.1


# In a configuration.


class Setting:
    def __init__(self, base):
        self.workspace = support.make_repository(base / "workspace")
        self.home = base / "home"
        self.config = self.home / "config" / "coffer" / "coffer.toml"
        self.config.parent.mkdir(parents=True)
        self.env = {
            "HOME": self.home,
            "XDG_CONFIG_HOME": self.home / "config",
            "XDG_STATE_HOME": self.home / "state",
            "XDG_CACHE_HOME": self.home / "cache",
        }

    def coffer(self, *args, **keywords):
        return support.run_coffer(
            "hooks", *args, cwd=self.workspace, env=self.env, report=False, **keywords
        )

    def hook(self, event, command):
        with self.config.open("a") as file:
            file.write(f'[[hook]]\nevent = "{event}"\ncommand = {json.dumps(command)}\n\n')

    def logs(self, name="conversation.jsonl"):
        return sorted((self.home / "state" / "coffer" / "hooks" / "state").glob(f"*/{name}"))


@pytest.fixture
def setting(home_directory):
    return Setting(home_directory)


def test_the_scanner_as_a_hook(setting):
    setting.hook("UserPromptSubmit", str(SCANNER))
    setting.coffer("trust", "--all", "--yes").ok()
    token = samples()["GitHub token"]
    prompt = json.dumps({"prompt": f"deploy with {token}"})
    result = setting.coffer("test", "UserPromptSubmit", "--input", "-", stdin=prompt)
    assert result.code == support.REFUSED
    assert "GitHub token at line 1, column 13" in result.out
    assert token not in result.out + result.err
    setting.coffer("test", "UserPromptSubmit", "--input", '{"prompt": "deploy"}').ok()


def test_the_log_as_a_hook(setting):
    events = ["SessionStart", "UserPromptSubmit", "PreToolUse", "PostToolUse", "Stop", "SessionEnd"]
    for event in events:
        setting.hook(event, str(LOG))
    setting.coffer("trust", "--all", "--yes").ok()
    token = samples()["Stripe key"]
    for event in events:
        given = json.dumps({"prompt": f"pay with {token} \x1b[2J"})
        setting.coffer("test", event, "--input", "-", stdin=given).ok()
    (log,) = setting.logs()
    assert stat.S_IMODE(log.stat().st_mode) == 0o600
    records = [json.loads(line) for line in log.read_text().splitlines()]
    assert [record["hook_event_name"] for record in records] == events
    assert records[1]["prompt"] == "pay with [Stripe key] \x1b[2J"
    assert token not in log.read_text() and "\x1b" not in log.read_text()
    assert all(re.match(r"\d{4}-\d\d-\d\dT", record["time"]) for record in records)


def log_lines(directory, count, *args, start=0):
    for number in range(start, start + count):
        subprocess.run(
            [LOG, *args],
            input=json.dumps({"number": number, "fill": "x y " * 50}),
            env={**os.environ, "COFFER_HOOK_STATE": str(directory)},
            text=True,
            check=True,
            timeout=30,
        )


def test_the_log_rotates(tmp_path):
    log_lines(tmp_path, 9, "--max-bytes", "600", "--keep", "2")
    kept = {path.name: path for path in tmp_path.glob("conversation.jsonl*")}
    del kept["conversation.jsonl.lock"]
    assert sorted(kept) == ["conversation.jsonl", "conversation.jsonl.1", "conversation.jsonl.2"]
    numbers = []
    for name in ["conversation.jsonl.2", "conversation.jsonl.1", "conversation.jsonl"]:
        assert kept[name].stat().st_size <= 600
        assert stat.S_IMODE(kept[name].stat().st_mode) == 0o600
        numbers += [json.loads(line)["number"] for line in kept[name].read_text().splitlines()]
    assert numbers == list(range(9 - len(numbers), 9)), "the last ones, none twice, none missing"


def test_logs_at_once_stay_whole(tmp_path):
    environment = {**os.environ, "COFFER_HOOK_STATE": str(tmp_path)}
    running = []
    for number in range(8):
        process = subprocess.Popen([LOG], stdin=subprocess.PIPE, env=environment, text=True)
        process.stdin.write(json.dumps({"number": number, "fill": "x " * 20000}))
        process.stdin.close()
        running.append(process)
    assert [process.wait(30) for process in running] == [0] * 8
    lines = (tmp_path / "conversation.jsonl").read_text().splitlines()
    assert sorted(json.loads(line)["number"] for line in lines) == list(range(8))


def test_the_log_follows_no_link(tmp_path, outside):
    (tmp_path / "conversation.jsonl").symlink_to(outside / "sentinel")
    done = subprocess.run(
        [LOG],
        input="{}",
        env={**os.environ, "COFFER_HOOK_STATE": str(tmp_path)},
        text=True,
        capture_output=True,
        check=False,
        timeout=30,
    )
    assert done.returncode != 0
    assert (outside / "sentinel").read_text() == "untouched\n"
