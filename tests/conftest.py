"""What every test shares: nothing of the person's own files is touched, and a window finds a display."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import settings

from tests.warm import CLI, Program, Warm, cold

HERE = Path(__file__).parent
_scratch = tempfile.TemporaryDirectory(prefix="napari-cellseg-tests-")

# Set while pytest loads this file, because napari and torch read them when they are imported.
os.environ["NAPARI_CELLSEG_HOME"] = str(Path(_scratch.name, "home"))
# Empty: napari reads no settings of the user, and does not write a file at each of the many changes of a test.
os.environ["NAPARI_CONFIG"] = ""
os.environ["NAPARI_ENSURE_PLUGIN_MAIN_THREAD"] = "1"
if "PYTEST_XDIST_WORKER" in os.environ:
    # As many processes as cores: one thread for each, also where Mesa draws without a graphics card.
    os.environ["OMP_NUM_THREADS"] = os.environ["LP_NUM_THREADS"] = "1"
os.environ.setdefault("OMP_NUM_THREADS", str(min(2, os.cpu_count() or 1)))

# A busy machine is no error: pytest-timeout stops what hangs.
settings.register_profile("napari-cellseg", deadline=None, print_blob=True)
settings.load_profile("napari-cellseg")

_display = ExitStack()


def _needs_display() -> bool:
    return sys.platform.startswith("linux") and not os.environ.get("DISPLAY")


def _start_display(config: pytest.Config) -> None:
    """Start a virtual display and point DISPLAY at it, where there is no screen and Xvfb is installed."""
    shares_out = getattr(config.option, "numprocesses", None) and "PYTEST_XDIST_WORKER" not in os.environ
    if shares_out or config.pluginmanager.has_plugin("tests.without_qt"):
        # Each of the processes that the tests are dealt out to has a display of its own.
        return
    if _needs_display() and shutil.which("Xvfb"):
        # Imported here, after the environment above is set and only where a window is wanted.
        from napari_cellseg.gui.menus.display import virtual_display

        _display.enter_context(virtual_display())
        os.environ.pop("WAYLAND_DISPLAY", None)


def pytest_configure(config: pytest.Config) -> None:
    """Start the display before any test module imports Qt."""
    _start_display(config)


def pytest_unconfigure() -> None:
    """Stop the display and remove the scratch folder."""
    _display.close()
    _scratch.cleanup()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark everything in tests/gui as a window test, and run those last: the quick ones fail first."""
    for item in items:
        if item.path.is_relative_to(HERE / "gui"):
            item.add_marker("window")
    items.sort(key=lambda item: item.get_closest_marker("window") is not None)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Fail a window test that has no display: Qt itself would end the whole run."""
    if item.get_closest_marker("window") and _needs_display():
        pytest.fail("no screen, and no Xvfb started: run `python .ci/system_packages.py --required`", False)


@pytest.fixture(scope="session")
def program() -> Iterator[Program]:
    """What gives the words that start the command line, or another module, as a program whose imports are done."""
    warm: list[Warm] = []

    def program(*words: str, module: str = CLI) -> list[str]:
        if not sys.platform.startswith("linux"):
            return cold(*words, module=module)
        # Begun when it is first asked for: most tests start no program.
        warm[:] = warm or [Warm()]
        return warm[0].program(*words, module=module)

    yield program
    for one in warm:
        one.close()
