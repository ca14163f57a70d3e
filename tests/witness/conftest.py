"""What the tests of the witness share."""

import pytest
import support


@pytest.fixture(autouse=True)
def _library():
    if not (support.COFFER.parent / "coffer-witness-before-libasan.so").exists():
        pytest.skip("a sanitized build has no library to preload")
