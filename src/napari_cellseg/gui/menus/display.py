"""A screen where there is none: an X server that draws into memory. Imports no Qt, which needs a screen at start."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from ...imaging.errors import CellsegError


def has_screen() -> bool:
    """Whether there is a screen to show a window on."""
    if sys.platform in ("win32", "darwin"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


@contextmanager
def virtual_display(width: int = 1920, height: int = 1080) -> Iterator[None]:
    """Run an Xvfb of the given size in pixels and point Qt at it, for as long as the context lasts.

    Raises
    ------
    CellsegError
        If Xvfb is not installed or does not start.
    """
    program = shutil.which("Xvfb")
    if program is None:
        raise CellsegError(
            "There is no screen, and the program Xvfb that stands in for one is not installed. "
            "On Debian or Ubuntu run: apt-get install xvfb"
        )
    read_end, write_end = os.pipe()
    screen = ["-screen", "0", f"{width}x{height}x24", "+extension", "GLX", "-nolisten", "tcp"]
    # Xvfb chooses a free display by itself and writes its number into the pipe once it is ready.
    server = subprocess.Popen(
        [program, "-displayfd", str(write_end), *screen],
        pass_fds=(write_end,),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(write_end)
    with os.fdopen(read_end) as pipe:
        number = pipe.readline().strip()
    before = {name: os.environ.get(name) for name in ("DISPLAY", "QT_QPA_PLATFORM")}
    try:
        if not number:
            raise CellsegError("There is no screen, and Xvfb, which stands in for one, did not start.")
        os.environ.update(DISPLAY=f":{number}", QT_QPA_PLATFORM="xcb")
        yield
    finally:
        server.terminate()
        server.wait(timeout=10)
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
