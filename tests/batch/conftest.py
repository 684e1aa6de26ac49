"""What the tests of batches share."""

from __future__ import annotations

import pytest

from tests.models import make_model


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Path of a small network of random weights."""
    return str(make_model(tmp_path_factory.mktemp("models") / "tiny").path)
