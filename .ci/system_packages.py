"""Make sure that the system libraries of a napari window are here (Linux; nothing to do elsewhere).

Called by tox before anything that needs them, with the standard library alone. What is missing is installed
where apt and root rights (or sudo without a password) are at hand; otherwise one message names it.

    python system_packages.py --required    exit status 1 when something is still missing
    python system_packages.py --wanted      the message, but exit status 0: other tests can still run
"""

from __future__ import annotations

import argparse
import ctypes
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from glob import glob

# Shared library -> Debian package: what Qt 6's xcb platform plugin and OpenGL load.
LIBRARIES = {
    "libGL.so.1": "libgl1",
    "libEGL.so.1": "libegl1",
    "libOpenGL.so.0": "libopengl0",
    "libglib-2.0.so.0": "libglib2.0-0",
    "libdbus-1.so.3": "libdbus-1-3",
    "libfontconfig.so.1": "libfontconfig1",
    "libX11-xcb.so.1": "libx11-xcb1",
    "libxkbcommon.so.0": "libxkbcommon0",
    "libxkbcommon-x11.so.0": "libxkbcommon-x11-0",
    "libxcb-cursor.so.0": "libxcb-cursor0",
    "libxcb-glx.so.0": "libxcb-glx0",
    "libxcb-icccm.so.4": "libxcb-icccm4",
    "libxcb-image.so.0": "libxcb-image0",
    "libxcb-keysyms.so.1": "libxcb-keysyms1",
    "libxcb-randr.so.0": "libxcb-randr0",
    "libxcb-render.so.0": "libxcb-render0",
    "libxcb-render-util.so.0": "libxcb-render-util0",
    "libxcb-shape.so.0": "libxcb-shape0",
    "libxcb-shm.so.0": "libxcb-shm0",
    "libxcb-sync.so.1": "libxcb-sync1",
    "libxcb-util.so.1": "libxcb-util1",
    "libxcb-xfixes.so.0": "libxcb-xfixes0",
    "libxcb-xinerama.so.0": "libxcb-xinerama0",
    "libxcb-xkb.so.1": "libxcb-xkb1",
}
DRIVER_FOLDERS = ("/usr/lib/*/dri", "/usr/lib/dri", "/usr/lib64/dri")


def _loads(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def missing_packages(screen: bool) -> list[str]:
    """Return the Debian packages that a napari window needs and that are not here.

    Parameters
    ----------
    screen : bool
        Whether there is a screen. Without one the virtual display Xvfb and software OpenGL are needed too.
    """
    packages = [package for library, package in LIBRARIES.items() if not _loads(library)]
    if not screen:
        if not any(glob(f"{folder}/swrast_dri.so") for folder in DRIVER_FOLDERS):
            packages.append("libgl1-mesa-dri")
        if shutil.which("Xvfb") is None:
            packages.append("xvfb")
    return packages


def root_prefix() -> list[str] | None:
    """Return what to put before a command that needs root: nothing for root itself, None if impossible."""
    if os.geteuid() == 0:
        return []
    if shutil.which("sudo") and subprocess.run(["sudo", "-n", "true"], capture_output=True).returncode == 0:
        return ["sudo", "-n"]
    return None


def install(packages: Sequence[str], prefix: Sequence[str]) -> str:
    """Install packages with apt; return the end of apt's messages if that failed, else an empty string."""
    apt = [*prefix, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-o", "DPkg::Lock::Timeout=300", "-q"]
    # A failing update (one of several sources is down, say) need not stop the installation.
    updated = subprocess.run([*apt, "update"], capture_output=True, text=True)
    installed = subprocess.run(
        [*apt, "install", "-y", "--no-install-recommends", *packages], capture_output=True, text=True
    )
    if installed.returncode == 0:
        return ""
    lines = [*updated.stderr.splitlines(), *installed.stdout.splitlines(), *installed.stderr.splitlines()]
    return "\n".join(f"    {line}" for line in lines[-12:])


def main(arguments: Sequence[str] | None = None) -> int:
    """Install what is missing, or say what it is. Return the exit status."""
    parser = argparse.ArgumentParser(description="Install the system libraries that a napari window needs.")
    group = parser.add_mutually_exclusive_group(required=True)
    group.add_argument("--required", action="store_true", help="exit status 1 if something stays missing")
    group.add_argument("--wanted", action="store_true", help="only a message if something stays missing")
    options = parser.parse_args(arguments)
    if not sys.platform.startswith("linux"):
        return 0

    screen = bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
    packages = missing_packages(screen)
    if not packages:
        return 0
    listed = " ".join(packages)
    reason = "this is not a system with apt; the names are Debian's, install your system's counterparts"
    if shutil.which("apt-get"):
        prefix = root_prefix()
        if prefix is None:
            reason = "installing them needs root rights, which this command does not have"
        else:
            print(f"Installing system packages for the napari window: {listed}", flush=True)
            problem = install(packages, prefix)
            if not problem:
                return 0
            reason = f"apt-get could not install them:\n{problem}"
    print(
        f"The napari window needs system packages that are missing here: {reason}.\n"
        f"Install them, then run the same command again:\n    sudo apt-get install -y {listed}",
        file=sys.stderr,
    )
    return 1 if options.required else 0


if __name__ == "__main__":
    sys.exit(main())
