"""What the command line shows: no traceback unasked, and nothing that steers the terminal."""

from __future__ import annotations

from pathlib import Path

import pytest

from napari_cellseg.cli import main


def test_the_terminal_is_not_steered_by_names(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a\x1b[2J\x07b\u202ec\r.png").write_bytes(b"no image")
    assert main(["segment", str(tmp_path), "--out", str(tmp_path / "out"), "--device", "cpu"]) == 1
    said = "".join(capsys.readouterr())
    assert not {*said} & {*"\x1b\x07\u202e"} and r"a\x1b[2J\x07b\u202ec\r.png" in said


def test_a_traceback_is_shown_only_where_it_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: object) -> None:
        raise KeyError("what")

    monkeypatch.setattr("napari_cellseg.cli.exchanging.list_models", broken, raising=False)
    monkeypatch.setattr("napari_cellseg.network.versions.list_models", broken)
    assert main(["models"]) == 1
    assert "failed in a way that was not foreseen (KeyError: 'what')" in capsys.readouterr().err
    with pytest.raises(KeyError):
        main(["--debug", "models"])
