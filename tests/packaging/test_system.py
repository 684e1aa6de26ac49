"""The script that looks after system packages stays quiet when all is well and names what is missing."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).parents[2] / ".ci" / "system_packages.py"

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="system packages are for Linux")


@pytest.fixture
def system_packages(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Load the script afresh, on a pretended machine with a screen where one library is missing."""
    spec = importlib.util.spec_from_file_location("system_packages", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "LIBRARIES", {"libc.so.6": "libc6", "libmissing.so.7": "libmissing7"})
    monkeypatch.setenv("DISPLAY", ":7")
    return module


def without_root(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pretend to be an ordinary user without sudo, on a system with apt."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(shutil, "which", lambda name: None if name == "sudo" else f"/usr/bin/{name}")


def test_nothing_missing_is_silent(system_packages, monkeypatch, capsys):
    monkeypatch.setattr(system_packages, "LIBRARIES", {"libc.so.6": "libc6"})
    monkeypatch.setattr(system_packages, "install", None)
    assert system_packages.main(["--required"]) == 0
    assert capsys.readouterr() == ("", "")


def test_only_what_is_missing_is_installed(system_packages, monkeypatch):
    asked = []
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(system_packages, "root_prefix", lambda: [])
    monkeypatch.setattr(system_packages, "install", lambda packages, prefix: asked.extend(packages) or "")
    assert system_packages.main(["--required"]) == 0
    assert asked == ["libmissing7"]


def test_without_root_one_message_names_the_packages(system_packages, monkeypatch, capsys):
    without_root(monkeypatch)
    assert system_packages.main(["--required"]) == 1
    message = capsys.readouterr().err
    assert "needs root rights" in message and "apt-get install -y libmissing7" in message


def test_wanted_packages_do_not_stop_the_other_tests(system_packages, monkeypatch, capsys):
    without_root(monkeypatch)
    assert system_packages.main(["--wanted"]) == 0
    assert "libmissing7" in capsys.readouterr().err


def test_systems_without_apt_get_the_names(system_packages, monkeypatch, capsys):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert system_packages.main(["--required"]) == 1
    message = capsys.readouterr().err
    assert "not a system with apt" in message and "libmissing7" in message


def test_what_apt_says_is_passed_on(system_packages, monkeypatch, capsys):
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(system_packages, "root_prefix", lambda: [])
    monkeypatch.setattr(system_packages, "install", lambda packages, prefix: "    E: no network")
    assert system_packages.main(["--required"]) == 1
    assert "E: no network" in capsys.readouterr().err


def test_no_screen_asks_for_a_virtual_display(system_packages, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.setattr(system_packages, "DRIVER_FOLDERS", ())
    assert system_packages.missing_packages(screen=True) == ["libmissing7"]
    assert system_packages.missing_packages(screen=False) == ["libmissing7", "libgl1-mesa-dri", "xvfb"]
