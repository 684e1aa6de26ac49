"""A pytest plugin, ``-p tests.without_qt``: the tests run as on a machine without Qt and napari.

Importing this module is enough to block those packages, so it also serves scripts that a test starts.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

BLOCKED = frozenset(
    {"PyQt5", "PyQt6", "PySide2", "PySide6", "magicgui", "napari", "pytestqt", "qtpy", "superqt", "vispy"}
)


class Blocker(MetaPathFinder):
    """Import finder that acts as if the packages in `BLOCKED` were not installed."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Raise for a blocked package; leave all others to the finders behind this one."""
        if fullname.partition(".")[0] in BLOCKED:
            raise ModuleNotFoundError(f"{fullname} is blocked: code has to work without it", name=fullname)
        return None


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Leave the window tests out: their modules import Qt."""
    return True if collection_path == Path(__file__).parent / "gui" else None


loaded = sorted({name.partition(".")[0] for name in sys.modules} & BLOCKED)
if loaded:
    raise ImportError(f"Imported before they could be blocked: {', '.join(loaded)}")
sys.meta_path.insert(0, Blocker())
