"""Real files that are too large for the repository: tests use them where they are."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

_BESIDE = Path(__file__).parents[3] / ".." / "shared" / "data"
DATA = Path(os.environ.get("NAPARI_CELLSEG_TEST_DATA", _BESIDE))


def shared_data(*parts: str) -> Path:
    """Return a file of the shared data, or skip the test where it is missing."""
    path = DATA.joinpath(*parts)
    if not path.exists():
        pytest.skip(f"{'/'.join(parts)} is not there (set NAPARI_CELLSEG_TEST_DATA)")
    return path
