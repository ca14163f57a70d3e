"""Fixtures of the gate's suite."""

import os

import pytest


@pytest.fixture
def gate_environment(home_directory):
    """This process's variables, with a home and configuration of its own."""
    home = home_directory / "home"
    places = {
        "HOME": home,
        "XDG_CONFIG_HOME": home / ".config",
        "XDG_STATE_HOME": home / ".local" / "state",
        "XDG_CACHE_HOME": home / ".cache",
    }
    for place in places.values():
        place.mkdir(parents=True, exist_ok=True)
    return {**os.environ, **{name: str(place) for name, place in places.items()}}
