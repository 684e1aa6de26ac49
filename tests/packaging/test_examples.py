"""Every script in examples/ runs as it is, and is in the list."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
SCRIPTS = sorted(path.name for path in EXAMPLES.glob("*.py"))
# These learn, or need napari.
SLOW = ("fine_tune.py", "layers_for_napari.py", "train_on_own_masks.py")
MINUTES = "0.01"


@pytest.mark.parametrize("name", [pytest.param(n, marks=pytest.mark.slow) if n in SLOW else n for n in SCRIPTS])
def test_an_example_runs(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NAPARI_CELLSEG_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(sys, "argv", [name, MINUTES])
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(EXAMPLES / name), run_name="__main__")
    printed = capsys.readouterr().out
    assert any(word in printed for word in ("cells", "IoU", "well", "AP50")), printed
    assert len((EXAMPLES / name).read_text().splitlines()) <= 30


def test_all_are_listed() -> None:
    listed = (EXAMPLES / "README.md").read_text()
    assert len(SCRIPTS) >= 10 and all(f"[{name}]({name})" in listed for name in SCRIPTS)
