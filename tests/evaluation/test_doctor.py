"""`napari-cellseg doctor` finds that an installation works, and names what does not."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path

import pytest

from napari_cellseg import __version__
from napari_cellseg.cli import main
from napari_cellseg.evaluation import doctor


def test_a_working_installation_is_well(capsys: pytest.CaptureFixture[str]) -> None:
    status = main(["doctor"])
    said = capsys.readouterr().out
    assert status == 0 and said.rstrip().endswith("All is well."), said
    assert f"napari-cellseg {__version__}" in said and ".tif" in said and "models     cells " in said
    n_cells = int(said.partition("test       ")[2].split()[0])
    assert 100 < n_cells < 200, "the sample shows some 150 nuclei"
    assert str(Path.home()) not in said


def test_what_is_wrong_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NAPARI_CELLSEG_HOME", str(tmp_path))
    damaged = tmp_path / "models" / "mine"
    damaged.mkdir(parents=True)
    (damaged / "config.json").write_text("{", encoding="utf-8")
    monkeypatch.setattr(importlib.metadata, "requires", lambda name: ["numpy>=999", "torch>=2", "x; extra == 'y'"])
    monkeypatch.setattr(doctor, "list_devices", lambda: 1 // 0)
    wrong = [str(finding) for finding in doctor.examine() if finding.wrong]
    assert [line.split()[0] for line in wrong] == ["versions", "devices", "models", "segmentations"], wrong
    assert "numpy>=999 is needed" in wrong[0] and "mine" in wrong[2] and all("PROBLEM: " in line for line in wrong)


def test_a_folder_that_cannot_be_written_to_is_a_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    monkeypatch.setenv("NAPARI_CELLSEG_HOME", str(tmp_path / "file" / "home"))
    (finding,) = doctor._folders()
    assert finding.wrong and "NAPARI_CELLSEG_HOME" in str(finding)
