"""Files of others are left as they are, whichever command would write there, and before it does its work."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image as PillowImage

from napari_cellseg.cli import main
from napari_cellseg.evaluation.agreement.agreement import agreement_of
from napari_cellseg.imaging.errors import OutputError
from napari_cellseg.imaging.write.pictures import write_picture
from napari_cellseg.reports.agreement_report import write_agreement
from napari_cellseg.results.origin import is_ours
from napari_cellseg.training.runs import check_own_folder

# Neither DATA nor the models are there: a command that looked for them first would say so.
COMMANDS = {
    "evaluate DATA --out OUT": ("metrics.json", "curves.json", "report.html"),
    "evaluate DATA --out OUT --doubt": ("review.json",),
    "calibrate DATA --out OUT": ("calibration.json", "report.html"),
    "kinds DATA --out OUT/kinds.csv --html OUT/kinds.html": ("kinds.csv", "kinds.html"),
    "agreement TABLE --out OUT": ("agreement.json", "agreement.html"),
    "compare-runs DATA --curves OUT/curves.png": ("curves.png",),
    "train DATA --preview OUT/preview.png": ("preview.png",),
    "export MODEL OUT/model.zip": ("model.zip",),
    "segment DATA --out OUT --html": ("report.html",),
}


@pytest.mark.parametrize(("words", "name"), [(words, name) for words, names in COMMANDS.items() for name in names])
def test_no_command_replaces_a_file_of_others(
    words: str, name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / name).write_text('{"all": {"n": 1}, "images": []}')
    (tmp_path / "TABLE").write_text("image,people,ours\na,10,11\nb,20,19\nc,5,5\n")
    argv = [word.replace("OUT", str(out)).replace("TABLE", str(tmp_path / "TABLE")) for word in words.split()]
    assert main(argv) == 1
    said = capsys.readouterr().err
    assert name in said and "left as it is" in said and "--overwrite" in said
    assert (out / name).read_text() == '{"all": {"n": 1}, "images": []}' and [p.name for p in out.iterdir()] == [name]


def test_what_was_written_before_is_replaced_and_others_are_where_that_is_asked_for(tmp_path: Path) -> None:
    agreement = agreement_of([("a", 10, 11), ("b", 20, 19), ("c", 5, 5)])
    for _ in range(2):
        write_agreement(tmp_path, agreement)
    (tmp_path / "agreement.json").write_text("{}")
    with pytest.raises(OutputError, match="was not written by napari-cellseg"):
        write_agreement(tmp_path, agreement)
    write_agreement(tmp_path, agreement, overwrite=True)
    assert is_ours(tmp_path / "agreement.json")


def test_pictures_say_who_wrote_them(tmp_path: Path) -> None:
    picture = PillowImage.new("RGB", (4, 4))
    write_picture(tmp_path / "a.png", picture, "PNG")
    picture.save(tmp_path / "b.png")
    assert is_ours(tmp_path / "a.png") and not is_ours(tmp_path / "b.png")


def test_a_version_needs_a_folder_of_its_own(tmp_path: Path) -> None:
    check_own_folder(tmp_path / "new")
    check_own_folder(tmp_path)
    (tmp_path / "train.json").touch()
    check_own_folder(tmp_path)
    (tmp_path / "config.json").write_text("of another program")
    with pytest.raises(OutputError, match=r"holds other things \(config.json\)"):
        check_own_folder(tmp_path)
