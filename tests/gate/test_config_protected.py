"""Coffer's own files stay as they are, whatever a box may write: even where the whole home is a
writable root, nothing can be put where the next start would believe it."""

import pytest

from support import SETUP_FAILED

OWN = [".config/coffer", ".local/state/coffer", ".cache/coffer"]

# Each tries to come to have its say at $1; what cannot be done is no matter.
ATTACKS = {
    "write": 'mkdir -p "$1"; echo bad >"$1/coffer.toml"',
    "append": 'echo bad >>"$1/coffer.toml"',
    "rename the file": 'echo bad >"$HOME/new"; mv "$HOME/new" "$1/coffer.toml"',
    "replace the directory": 'mv "$1" "$1.old"; mkdir "$1"; echo bad >"$1/coffer.toml"',
    "replace the one above": (
        'above=$(dirname "$1"); mv "$above" "$HOME/away"; mkdir -p "$1"; '
        'echo bad >"$1/coffer.toml"'
    ),
    "link": 'mkdir "$HOME/mine"; echo bad >"$HOME/mine/coffer.toml"; rm -rf "$1"; '
    'ln -s "$HOME/mine" "$1"',
    "chmod": 'chmod 777 "$1"; rm -f "$1/coffer.toml"; echo bad >"$1/coffer.toml"',
}


@pytest.fixture
def home(home_directory):
    directory = home_directory / "home"
    directory.mkdir()
    return directory


@pytest.fixture
def attack(box, home, home_directory):
    """Runs a script in a box that may write the whole home; own is the directory it is about."""

    def run(script, own, env=None, flags=()):
        variables = {
            "HOME": home,
            "XDG_CONFIG_HOME": None,
            "XDG_STATE_HOME": None,
            "XDG_CACHE_HOME": None,
            **(env or {}),
        }
        return box(
            "sh",
            "-c",
            script + "\n true",
            "sh",
            str(own),
            flags=["--mode", "workspace-write", "--write", home, *flags],
            env=variables,
        )

    return run


@pytest.mark.parametrize("name", ATTACKS)
def test_what_is_there_stays(attack, home, name):
    for own in OWN:
        directory = home / own
        directory.mkdir(parents=True)
        (directory / "coffer.toml").write_text("# untouched\n")
    for own in OWN:
        attack(ATTACKS[name], home / own)
        assert not (home / own).is_symlink()
        assert (home / own / "coffer.toml").read_text() == "# untouched\n"


@pytest.mark.parametrize("name", ["write", "replace the one above", "link"])
def test_what_is_not_there_cannot_come(attack, home, name):
    for own in OWN:
        attack(ATTACKS[name], home / own)
        assert not (home / own).is_symlink()
        assert not (home / own / "coffer.toml").exists()


def test_the_rest_of_the_home_is_writable(attack, home):
    (home / ".config" / "coffer").mkdir(parents=True)
    done = attack('mkdir "$HOME/.config/other" && echo good >"$HOME/.config/other/file"', "x")
    assert done.ok() and (home / ".config/other/file").read_text() == "good\n"


def test_a_place_that_the_environment_names(attack, home):
    for script in [ATTACKS["write"], ATTACKS["replace the directory"]]:
        own = home / "settings" / "coffer"
        attack(script, own, env={"XDG_CONFIG_HOME": home / "settings"})
        assert not (own / "coffer.toml").exists()


def test_a_file_that_is_kept_elsewhere(attack, home):
    """As those have it who link their settings to a repository."""
    (home / "dotfiles").mkdir()
    kept = home / "dotfiles" / "coffer.toml"
    kept.write_text("# untouched\n")
    (home / ".config/coffer").mkdir(parents=True)
    (home / ".config/coffer/coffer.toml").symlink_to(kept)
    for script in [
        f'echo bad >"{kept}"',
        f'echo bad >"$HOME/new"; mv "$HOME/new" "{kept}"',
        f'rm -f "{kept}"; echo bad >"{kept}"',
        'mv "$HOME/dotfiles" "$HOME/d"; mkdir "$HOME/dotfiles"; '
        f'echo bad >"{kept}"',
    ]:
        attack(script, home)
        assert kept.read_text() == "# untouched\n"


def test_a_link_on_the_way(attack, home):
    real = home / "dotfiles" / "config"
    (real / "coffer").mkdir(parents=True)
    (real / "coffer" / "coffer.toml").write_text("# untouched\n")
    (home / ".config").symlink_to(real)
    for script in [
        f'echo bad >"{real}/coffer/coffer.toml"',
        'rm "$HOME/.config"; mkdir -p "$HOME/.config/coffer"; '
        'echo bad >"$HOME/.config/coffer/coffer.toml"',
        'mkdir -p "$HOME/mine/coffer"; echo bad >"$HOME/mine/coffer/coffer.toml"; '
        'ln -sfn "$HOME/mine" "$HOME/.config"',
    ]:
        attack(script, home)
        assert (home / ".config/coffer/coffer.toml").read_text() == "# untouched\n"


def test_they_cannot_be_named_as_a_root(run_coffer, tier, workspace, home):
    own = home / ".config" / "coffer"
    (own / "sub").mkdir(parents=True)
    for root in [own, own / "sub"]:
        done = run_coffer(
            "run",
            "--isolation",
            tier,
            "--write",
            root,
            "--",
            "touch",
            root / "coffer.toml",
            cwd=workspace,
            env={"HOME": home, "XDG_CONFIG_HOME": None},
        )
        assert done.code == SETUP_FAILED and "coffer's own files" in done.err
        assert not (root / "coffer.toml").exists()


def test_a_project_cannot_make_its_own_configuration(box, workspace):
    done = box("sh", "-c", "mkdir .coffer; echo 'mode = 1' >.coffer/coffer.toml; true")
    assert not (workspace / ".coffer").exists(), done.describe()
