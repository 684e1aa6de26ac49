"""The folder of the user's own models, corrections and training sets."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs

HOME_VARIABLE = "NAPARI_CELLSEG_HOME"


def user_home() -> Path:
    """Folder of everything that is stored for the user; ``NAPARI_CELLSEG_HOME`` moves it."""
    home = os.environ.get(HOME_VARIABLE)
    return Path(home) if home else Path(platformdirs.user_data_dir("napari-cellseg", appauthor=False))
