"""coffer config import: other tools' files as coffer.toml, and every line that could not be carried
over told with its place. Nothing is evaluated, widened or lost."""

import json
import os
import tomllib

import pytest
import support

FAILED, LEFT_OUT = 125, 1

CODEX = """\
model = "gpt-5.1"
approval_policy = "on-request"
sandbox_mode = "workspace-write"

[sandbox_workspace_write]
writable_roots = ["/home/ann/.pyenv/shims", "~/cache", "relative"]
network_access = true
exclude_slash_tmp = true

[shell_environment_policy]
inherit = "core"
set = { CI = "1" }
include_only = ["PATH", "AWS_*"]

[[rules]]
prefix = ["git", ["status", "diff"]]
allow = true

[[rules]]
prefix = "npm publish"
decision = "prompt"
justification = "Publishing is for people."

[mcp_servers.docs]
command = "docs-server"

[profiles.ci]
approval_policy = "never"

[[hooks.PreToolUse]]
matcher = "^Bash$"
[[hooks.PreToolUse.hooks]]
type = "command"
command = "true --check"
timeout = 30
"""

RULES = """\
# a comment
prefix_rule(
    pattern = ["gh", "pr", ["view", "list"]],  # alternatives
    decision = "prompt",
    justification = "Viewing is \\"fine\\"",
    match = ["gh pr view 7888", ["gh", "pr", "list"]],
    not_match = ["gh pr --repo a/b view 7888"],
)
prefix_rule(pattern=['rm', r'-rf'], decision="forbidden")
prefix_rule(pattern=["git", "fetch"])
host_executable(name = "git", paths = ["/usr/bin/git", "/opt/bin/git"])
network_rule(host = "api.example.com", protocol = "https", decision = "allow")
network_rule(host = "ask.example.com", protocol = "http", decision = "prompt")
network_rule(host = "evil.example.com", protocol = "http", decision = "deny")
"""

CLAUDE = {
    "model": "opus",
    "permissions": {
        "allow": ["Bash(npm run test:*)", "Bash(git diff *)", "Edit(/docs/**)"],
        "ask": ["Bash(git push:*)"],
        "deny": ["Bash(curl:*)", "Read(./.env)", "Read(.env.*)", "Read(//etc/x)", "Read(~/.x)"],
        "additionalDirectories": ["../shared"],
        "defaultMode": "acceptEdits",
    },
    "env": {"NODE_ENV": "test"},
    "hooks": {
        "PreToolUse": [
            {"matcher": "Bash", "hooks": [{"type": "command", "command": "true", "timeout": 1.5}]}
        ]
    },
    "sandbox": {"enabled": True, "network": {"allowedDomains": ["*.example.org"]}},
}


@pytest.fixture
def home(tmp_path):
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


@pytest.fixture
def convert(run_coffer, home):
    """coffer config import ...: Result with .toml (parsed) and .notes (its lines)."""

    def run(*args, **keywords):
        env = {
            "HOME": home,
            "XDG_CONFIG_HOME": home / ".config",
            "XDG_STATE_HOME": home / ".local/state",
            "XDG_CACHE_HOME": home / ".cache",
            "CODEX_HOME": None,
            "CLAUDE_CONFIG_DIR": None,
        }
        result = run_coffer("config", "import", *args, report=False, env=env, **keywords)
        written = "--write" in args or result.code == FAILED
        result.toml = {} if written else tomllib.loads(result.out)
        result.notes = result.err.splitlines()
        return result

    return run


def own(home):
    return home / ".config/coffer/coffer.toml"


def notes_at(result, place):
    """What was said of FILE:LINE."""
    return [note for note in result.notes if f"{place}: " in note]


# Codex.


def test_codex_configuration(convert, tmp_path):
    (tmp_path / "config.toml").write_text(CODEX)
    result = convert("codex", tmp_path / "config.toml")
    assert result.code == 0, result.describe()
    assert result.toml == {
        "approval": "on-request",
        "mode": "workspace-write",
        "write": ["/home/ann/.pyenv/shims", "~/cache"],
        "env": ["CI=1", "PATH"],
        "network": {"net": "on"},
        "rule": [
            {"prefix": ["git", ["status", "diff"]], "decision": "allow"},
            {
                "prefix": ["npm", "publish"],
                "decision": "ask",
                "reason": "Publishing is for people.",
            },
        ],
        "hook": [
            {
                "event": "PreToolUse",
                "matcher": "^Bash$",
                "command": "true --check",
                "timeout": "30000ms",
            }
        ],
    }
    for line in (1, 6, 11, 13, 24, 27):
        assert len(notes_at(result, f"config.toml:{line}")) == 1, (line, result.err)
    assert len(result.notes) == 6, result.err


def test_strict_is_told_by_the_exit_code(convert, tmp_path):
    (tmp_path / "config.toml").write_text(CODEX)
    assert convert("codex", "--strict", tmp_path / "config.toml").code == LEFT_OUT
    (tmp_path / "config.toml").write_text('sandbox_mode = "read-only"\n')
    assert convert("codex", "--strict", tmp_path / "config.toml").code == 0


@pytest.mark.parametrize("mode", ["read-only", "danger-full-access"])
def test_roots_of_another_mode_widen_nothing(convert, tmp_path, mode):
    text = CODEX.replace('"workspace-write"', f'"{mode}"')
    (tmp_path / "config.toml").write_text(text)
    result = convert("codex", tmp_path / "config.toml")
    assert result.toml["mode"] == mode
    assert "write" not in result.toml and "network" not in result.toml
    assert "workspace-write" in notes_at(result, "config.toml:5")[0]


def test_a_profile(convert, tmp_path):
    (tmp_path / "config.toml").write_text(CODEX)
    result = convert("codex", "--profile", "ci", tmp_path / "config.toml")
    assert result.toml["approval"] == "never"
    assert "'approval' is \"never\" already" in notes_at(result, "config.toml:2")[0]


@pytest.mark.parametrize(
    ("flags", "wanted"),
    [
        (
            {"sandbox_approval": True, "rules": False},
            {"command": "forbid", "unsandboxed": "ask", "network": "ask"},
        ),
        (
            {"sandbox_approval": False, "rules": True, "request_permissions": False},
            {"command": "ask", "unsandboxed": "forbid", "network": "forbid"},
        ),
        (
            {"sandbox_approval": False, "rules": True, "request_permissions": True},
            {"delete": "ask", "unsandboxed": "forbid", "write_outside": "ask"},
        ),
    ],
)
def test_granular_approvals(convert, tmp_path, flags, wanted):
    lines = "".join(f"{key} = {json.dumps(value)}\n" for key, value in flags.items())
    text = f"[approval_policy.granular]\n{lines}mcp_elicitations = true\n"
    (tmp_path / "config.toml").write_text(text)
    result = convert("codex", tmp_path / "config.toml")
    assert result.code == 0, result.describe()
    assert result.toml["approval"]["policy"] == "granular"
    for category, verdict in wanted.items():
        assert result.toml["approval"][category] == verdict
    assert "mcp_elicitations" in result.err


def test_rules_of_requirements(convert, tmp_path):
    (tmp_path / "config.toml").write_text(
        "[rules]\nprefix_rules = [\n"
        '  { pattern = [{ token = "git" }, { any_of = ["push", "fetch"] }],'
        ' decision = "prompt" },\n'
        '  { pattern = [{ token = "rm" }], decision = "forbidden", justification = "no" },\n'
        '  { pattern = [], decision = "forbidden" },\n'
        '  { pattern = [{ token = "a" }], decision = "perhaps" },\n]\n'
    )
    result = convert("codex", tmp_path / "config.toml")
    assert result.toml["rule"] == [
        {"prefix": ["git", ["push", "fetch"]], "decision": "ask"},
        {"prefix": ["rm"], "decision": "forbid", "reason": "no"},
    ]
    assert len(result.notes) == 2


def test_rules_files(convert, tmp_path):
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules/default.rules").write_text(RULES)
    result = convert("codex", tmp_path)
    assert result.code == 0, result.describe()
    assert result.notes == []
    assert result.toml["rule"] == [
        {
            "prefix": ["gh", "pr", ["view", "list"]],
            "decision": "ask",
            "reason": 'Viewing is "fine"',
            "matches": ["gh pr view 7888", "gh pr list"],
            "not_matches": ["gh pr --repo a/b view 7888"],
        },
        {"prefix": ["rm", "-rf"], "decision": "forbid"},
        {"prefix": ["git", "fetch"], "decision": "allow", "program": "/usr/bin/git"},
        {"prefix": ["git", "fetch"], "decision": "allow", "program": "/opt/bin/git"},
    ]
    assert result.toml["network"] == {
        "allow_domain": ["api.example.com:443"],
        "ask_domain": ["ask.example.com:80"],
        "deny_domain": ["evil.example.com"],
    }


def test_programs_of_another_file_narrow_only_what_allows(convert, tmp_path):
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules/a.rules").write_text(
        'prefix_rule(pattern=["git", "a"])\n'
        'prefix_rule(pattern=["git", "b"], decision="forbidden")\n'
        'prefix_rule(pattern=[["git", "jj"], "c"])\n'
    )
    (tmp_path / "rules/b.rules").write_text('host_executable(name="git", paths=["/bin/git"])\n')
    rules = convert("codex", tmp_path).toml["rule"]
    assert [rule.get("program") for rule in rules] == ["/bin/git", None, None]


@pytest.mark.parametrize(
    "statement",
    [
        'SAFE = ["ls"]',
        "prefix_rule(pattern = SAFE)",
        'for x in ["a"]:\n    prefix_rule(pattern = [x])',
        'def f():\n    prefix_rule(pattern = ["ls"])',
        'if True:\n    prefix_rule(pattern = ["ls"])',
        'load("other.star", "rules")',
        'prefix_rule(["ls"])',
        'prefix_rule(pattern = ["a" + "b"])',
        'prefix_rule(pattern = ["a" "b"])',
        'prefix_rule(pattern = [f"x{1}"])',
        'prefix_rule(pattern = [b"x"])',
        "prefix_rule(pattern = [1])",
        'prefix_rule(pattern = ("ls",))',
        'prefix_rule(pattern = ["ls", []])',
        'prefix_rule(pattern = ["ls", [["a"]]])',
        "prefix_rule(pattern = [])",
        "prefix_rule()",
        'prefix_rule(pattern = ["ls"], decision = "maybe")',
        'prefix_rule(pattern = ["ls"], decision = D)',
        'prefix_rule(pattern = ["ls"], unknown = 1)',
        'prefix_rule(pattern = ["ls"], match = "ls")',
        'prefix_rule(pattern = ["a\\x00b"])',
        'prefix_rule(pattern = ["a\\q"])',
        'prefix_rule(**{"pattern": ["ls"]})',
        '[prefix_rule(pattern = ["ls"]) for x in [1]]',
        'x.prefix_rule(pattern = ["ls"])',
        '__import__("os").system("touch pwned")',
        'prefix_rule(pattern = ["ls"',
        'host_executable(name = "a", paths = P)',
        'network_rule(host = "a.example.com", protocol = "socks5_udp", decision = "allow")',
        'network_rule(host = "a b", protocol = "https", decision = "allow")',
        'network_rule(host = "a.example.com", protocol = "https")',
    ],
)
def test_what_is_no_literal_call_is_told(convert, tmp_path, statement):
    (tmp_path / "x.rules").write_text(f"# first\n\n{statement}\n")
    result = convert("codex", tmp_path / "x.rules")
    assert result.code == 0, result.describe()
    assert result.toml == {}
    assert notes_at(result, "x.rules:3"), result.err
    assert not (tmp_path / "pwned").exists()


def test_examples_that_do_not_hold_are_left_out(convert, tmp_path):
    (tmp_path / "x.rules").write_text(
        'prefix_rule(pattern=["ls"], match=["ls -l", "cat x"], not_match=["cat x", "ls"])\n'
    )
    result = convert("codex", tmp_path / "x.rules")
    assert result.toml["rule"] == [
        {"prefix": ["ls"], "decision": "allow", "matches": ["ls -l"], "not_matches": ["cat x"]}
    ]
    assert len(result.notes) == 2


def test_codex_hooks_file_and_plugin(convert, tmp_path):
    hooks = {"SessionStart": [{"hooks": [{"type": "command", "command": "true"}]}]}
    (tmp_path / "hooks.json").write_text(json.dumps({"description": "d", "hooks": hooks}))
    assert convert("codex", tmp_path / "hooks.json").toml == {
        "hook": [{"event": "SessionStart", "command": "true"}]
    }
    plugin = tmp_path / "plugin"
    (plugin / ".codex-plugin").mkdir(parents=True)
    (plugin / "conf").mkdir()
    command = '"${CLAUDE_PLUGIN_ROOT}/run.sh" $PLUGIN_ROOT'
    hooks = {"Stop": [{"matcher": "*", "hooks": [{"type": "command", "command": command}]}]}
    (plugin / ".codex-plugin/plugin.json").write_text(
        json.dumps({"name": "p", "version": "1", "hooks": "./conf/hooks.json"})
    )
    (plugin / "conf/hooks.json").write_text(json.dumps({"hooks": hooks}))
    # The file is not in a place that tells whose it is: its variables stay.
    result = convert("codex", plugin)
    assert result.toml["hook"] == [{"event": "Stop", "command": command}]
    (plugin / ".codex-plugin/plugin.json").write_text(json.dumps({"name": "p", "hooks": hooks}))
    (plugin / "run.sh").write_text("#!/bin/sh\n")
    result = convert("codex", plugin)
    assert result.toml["hook"][0]["command"] == f'"{plugin}/run.sh" {plugin}'
    (plugin / ".codex-plugin/plugin.json").write_text('{"hooks": "../../../etc/passwd"}')
    result = convert("codex", plugin)
    assert "is no file of the plugin" in result.err


# Claude Code.


def claude_project(tmp_path, settings):
    project = tmp_path / "project"
    (project / ".claude").mkdir(parents=True)
    text = settings if isinstance(settings, str) else json.dumps(settings, indent=1)
    (project / ".claude/settings.json").write_text(text)
    return project


def test_claude_settings(convert, tmp_path):
    project = claude_project(tmp_path, CLAUDE)
    result = convert("claude", project)
    assert result.code == 0, result.describe()
    assert result.toml == {
        "write": [f"{project}/docs", f"{tmp_path}/shared"],
        "deny_read": [f"{project}/.env", f"{project}/**/.env.*", "/etc/x", "~/.x"],
        "mode": "workspace-write",
        "approval": "on-request",
        "env": ["NODE_ENV=test"],
        "network": {"allow_domain": ["*.example.org"]},
        "rule": [
            {"prefix": ["npm", "run", "test"], "decision": "allow"},
            {"prefix": ["git", "diff"], "decision": "allow"},
            {"prefix": ["git", "push"], "decision": "ask"},
            {"prefix": ["curl"], "decision": "forbid"},
        ],
        "hook": [
            {"event": "PreToolUse", "matcher": "Bash", "command": "true", "timeout": "1500ms"}
        ],
    }
    assert len(result.notes) == 1 and "settings.json:2: 'model'" in result.notes[0]


@pytest.mark.parametrize(
    ("kind", "permission"),
    [
        ("allow", "Bash"),
        ("allow", "Bash(*)"),
        ("deny", "Bash(:*)"),
        ("allow", "Bash(npm run build)"),
        ("allow", "Bash(git * main)"),
        ("allow", "Bash(git diff*)"),
        ("allow", "Bash(cat $X:*)"),
        ("allow", "Bash(a && b:*)"),
        ("allow", "Bash(echo > x:*)"),
        ("allow", "Bash(unclosed 'quote:*)"),
        ("allow", "Bash(open"),
        ("allow", "Read(~/.zshrc)"),
        ("ask", "Read(~/.zshrc)"),
        ("allow", "Edit"),
        ("allow", "Edit(src/**/*.ts)"),
        ("deny", "Edit(*.lock)"),
        ("allow", "WebFetch"),
        ("allow", "WebFetch(domain:)"),
        ("allow", "WebFetch(domain:a b)"),
        ("allow", "WebSearch"),
        ("allow", "mcp__github__get_issue"),
        ("allow", ""),
    ],
)
def test_permissions_without_a_narrow_counterpart_are_told(convert, tmp_path, kind, permission):
    project = claude_project(tmp_path, {"permissions": {kind: [permission]}})
    result = convert("claude", project)
    assert result.code == 0, result.describe()
    assert result.toml == {}, result.describe()
    assert len(notes_at(result, "settings.json:4")) == 1, result.err


@pytest.mark.parametrize(
    "hooks",
    [
        {"Notification": [{"hooks": [{"type": "command", "command": "x"}]}]},
        {"Stop": [{"hooks": [{"type": "prompt", "prompt": "x"}]}]},
        {"Stop": [{"hooks": [{"type": "http", "url": "https://example.com"}]}]},
        {"Stop": [{"hooks": [{"type": "command"}]}]},
        {"Stop": [{"hooks": [{"type": "command", "command": "x", "async": True}]}]},
        {"Stop": [{"hooks": [{"type": "command", "command": "x", "if": "Bash(git *)"}]}]},
        {"Stop": [{"hooks": [{"type": "command", "command": "x", "timeout": -1}]}]},
        {"Stop": [{"hooks": [{"type": "command", "command": "x", "timeout": "1"}]}]},
        {"PreToolUse": [{"matcher": "(", "hooks": [{"type": "command", "command": "x"}]}]},
        {"PreToolUse": [{"matcher": 1, "hooks": []}]},
        {"PreToolUse": {"hooks": []}},
        {"PreToolUse": ["x"]},
        [],
    ],
)
def test_hooks_that_cannot_be_said_are_told(convert, tmp_path, hooks):
    result = convert("claude", claude_project(tmp_path, {"hooks": hooks}))
    assert result.code == 0, result.describe()
    assert result.toml == {}
    assert len(result.notes) == 1, result.err


def test_hooks_that_are_turned_off(convert, tmp_path):
    settings = {"disableAllHooks": True, "hooks": CLAUDE["hooks"]}
    result = convert("claude", claude_project(tmp_path, settings))
    assert result.toml == {} and "disableAllHooks" in result.err


def test_a_user_file_has_no_project(convert, home):
    (home / ".claude").mkdir()
    (home / ".claude/settings.json").write_text(
        json.dumps({"permissions": {"deny": ["Read(./.env)", "Read(/x)"], "allow": ["Edit(a/**)"]}})
    )
    result = convert("claude")
    assert result.code == 0, result.describe()
    assert result.toml == {"deny_read": ["/**/.env"]}
    assert len(result.notes) == 2


def test_hooks_of_a_project_are_found_from_everywhere_or_told(convert, tmp_path):
    """In your own file a hook is that of every workspace."""

    def settings(command):
        return {"hooks": {"Stop": [{"hooks": [{"type": "command", "command": command}]}]}}

    project = claude_project(tmp_path, settings('"$CLAUDE_PROJECT_DIR"/.claude/check.sh'))
    assert "not found from everywhere" in convert("claude", project).err
    (project / ".claude/check.sh").write_text("#!/bin/sh\n")
    (project / ".claude/check.sh").chmod(0o755)
    result = convert("claude", project)
    assert result.toml["hook"][0]["command"] == f'"{project}"/.claude/check.sh', result.err
    (project / ".claude/settings.json").write_text(json.dumps(settings(".claude/check.sh")))
    # A relative name is looked for in each workspace; another script there is not trusted.
    result = convert("claude", project, cwd=project)
    assert result.toml["hook"][0]["command"] == ".claude/check.sh", result.err


def test_places_in_json(convert, tmp_path):
    text = (
        '{\n\n "a": null, "permissions":\n {"allow":\n  [\n'
        '   "WebSearch",\n   null, "Bash"]},\n "b": [{}]\n}'
    )
    result = convert("claude", claude_project(tmp_path, text))
    lines = [note.split("settings.json:")[1].split(":")[0] for note in result.notes]
    assert lines == ["6", "7", "8"], result.err


# Bad input.


@pytest.mark.parametrize(
    ("tool", "name", "text", "place"),
    [
        ("codex", "config.toml", "a = \n", "config.toml:1"),
        ("codex", "config.toml", 'a = 1\na = "x"\n', "config.toml:2"),
        ("codex", "hooks.json", "{\n", "hooks.json:"),
        ("codex", "hooks.json", "[]", "hooks.json:1"),
        ("claude", "settings.json", '{"a": 1,\n "a": 2}', "settings.json:2"),
        ("claude", "settings.json", '{"a": "\\ud800"}', "settings.json:1"),
        ("claude", "settings.json", '{"a": ' + "[" * 100 + "]" * 100 + "}", "settings.json:1"),
    ],
)
def test_faulty_files_are_named(convert, tmp_path, tool, name, text, place):
    (tmp_path / name).write_text(text)
    result = convert(tool, tmp_path / name)
    assert result.code == FAILED, result.describe()
    assert place in result.err, result.err
    assert result.out == ""


def test_bounds(convert, tmp_path):
    rules = tmp_path / "x.rules"
    rules.write_bytes(b"#" * (2 << 20))
    assert convert("codex", rules).code == FAILED
    rules.write_bytes(b"#" * (61 << 10))
    assert convert("codex", rules).code == FAILED
    for text in ("(" * 60_000, "prefix_rule(pattern=[" + '"a",' * 14_000 + "])\n", "x\n" * 4_000):
        rules.write_text(text)
        result = convert("codex", rules)
        assert result.code == 0 and notes_at(result, "x.rules:1"), result.describe()
        assert result.seconds < 10 * support.SLOWDOWN
    rules.write_text('prefix_rule(pattern=["a"])\n' * 2_000)
    assert len(convert("codex", rules).toml["rule"]) == 1
    rules.write_text("x\n" * 30_000)
    assert convert("codex", rules).code == FAILED, "more to tell than anybody reads"


def test_nothing_reaches_the_terminal_raw(convert, tmp_path):
    (tmp_path / "config.toml").write_text('"\\u001b[2Jkey" = 1\n')
    result = convert("codex", tmp_path / "config.toml")
    assert "\x1b" not in result.err and "key" in result.err
    weird = tmp_path / "a\nmode = 'x'\n"
    weird.mkdir()
    (weird / "config.toml").write_text('approval_policy = "never"\n')
    assert convert("codex", weird).toml == {"approval": "never"}


@pytest.mark.parametrize(
    "args", [(), ("vim",), ("codex", "a", "b"), ("codex", "--nonsense"), ("codex", "/nonexistent")]
)
def test_wrong_arguments(convert, args):
    result = convert(*args)
    assert result.code == FAILED and result.err, result.describe()


def test_nothing_there(convert, tmp_path):
    result = convert("codex", tmp_path)
    assert result.code == FAILED and "nothing of codex" in result.err


# --write.


def test_write_makes_the_file(convert, home, tmp_path):
    (tmp_path / "config.toml").write_text(CODEX)
    result = convert("codex", "--write", tmp_path / "config.toml")
    assert result.code == 0, result.describe()
    assert result.out == f"{own(home)}\n"
    assert tomllib.loads(own(home).read_text())["approval"] == "on-request"
    assert os.stat(own(home)).st_mode & 0o077 == 0


def test_write_loses_nothing_and_adds_nothing_twice(convert, home, tmp_path):
    old = (
        "# mine\n"
        'approval = "untrusted" # careful\n'
        'write = ["/mine"] # here\n'
        "\n"
        "[network] # net\n"
        'deny_domain = [\n  "evil.example.com", # known\n]\n'
        "\n"
        "# last\n"
        '[[rule]]\nprefix = ["rm", "-rf"]\ndecision = "forbid"'
    )
    own(home).parent.mkdir(parents=True)
    own(home).write_text(old)
    os.chmod(own(home), 0o640)
    (tmp_path / "rules").mkdir()
    (tmp_path / "config.toml").write_text(CODEX)
    (tmp_path / "rules/default.rules").write_text(RULES)
    result = convert("codex", "--write", tmp_path)
    assert result.code == 0, result.describe()
    new = own(home).read_text()
    for line in old.splitlines():
        if "write" not in line:
            assert line in new
    parsed = tomllib.loads(new)
    assert parsed["approval"] == "untrusted"
    assert "'approval' stays as it is" in notes_at(result, "coffer.toml:2")[0]
    assert sorted(parsed["write"]) == ["/home/ann/.pyenv/shims", "/mine", "~/cache"]
    assert parsed["mode"] == "workspace-write"
    assert parsed["network"]["deny_domain"] == ["evil.example.com"]
    assert parsed["network"]["net"] == "on"
    assert [rule["prefix"] for rule in parsed["rule"]].count(["rm", "-rf"]) == 1
    assert len(parsed["rule"]) == 7
    assert os.stat(own(home)).st_mode & 0o777 == 0o640

    assert convert("codex", "--write", tmp_path).code == 0
    assert own(home).read_text() == new
    project = claude_project(tmp_path, CLAUDE)
    assert convert("claude", "--write", project).code == 0
    both = own(home).read_text()
    assert convert("claude", "--write", project).code == 0
    assert convert("codex", "--write", tmp_path).code == 0
    assert own(home).read_text() == both


@pytest.mark.parametrize(
    ("old", "kept"),
    [
        ('network = { net = "off" }\n', "by hand"),
        ('network.net = "off"\n', "by hand"),
        ('write = "x"\n', None),
        ("nonsense\n", None),
    ],
)
def test_write_into_what_it_cannot_merge(convert, home, tmp_path, old, kept):
    """Told, and the rest written; or refused, and the old file stays."""
    own(home).parent.mkdir(parents=True)
    own(home).write_text(old)
    (tmp_path / "config.toml").write_text(CODEX)
    (tmp_path / "x.rules").write_text(RULES)
    result = convert("codex", "--write", tmp_path / ("x.rules" if kept else "config.toml"))
    if kept:
        assert result.code == 0, result.describe()
        assert kept in result.err
        assert old in own(home).read_text()
        tomllib.loads(own(home).read_text())
    else:
        assert result.code == FAILED, result.describe()
        assert own(home).read_text() == old
