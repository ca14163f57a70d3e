"""The names of what was built."""

import shutil
import subprocess

import pytest
from support import COFFER


def symbols(library):
    listed = subprocess.run(
        ["nm", "-g", "--defined-only", library], capture_output=True, text=True, check=False
    )
    return {line.split()[2] for line in listed.stdout.splitlines() if len(line.split()) == 3}


@pytest.mark.skipif(not shutil.which("nm"), reason="needs the program nm")
def test_no_name_of_ours_takes_the_place_of_the_c_librarys():
    """In a static program a function called bind() is what every library calls by that name."""
    libc = subprocess.run(
        ["gcc", "-print-file-name=libc.a"], capture_output=True, text=True, check=True
    ).stdout.strip()
    theirs = symbols(libc)
    assert "bind" in theirs
    libraries = sorted(COFFER.parent.glob("libcoffer-*.a"))
    assert libraries, "no library beside the program under test"
    for library in libraries:
        assert not symbols(library) & theirs, library
