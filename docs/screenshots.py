"""Take the screenshots of the README: ``python docs/screenshots.py`` (starts a virtual screen where there is none)."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from contextlib import nullcontext
from pathlib import Path
from typing import Any

IMAGES = Path(__file__).parent / "images"
SHOTS = (
    # sample, theme, window size, what is shown
    ("mosaic", "dark", (1920, 1080), "cells"),
    ("mosaic", "light", (1366, 768), "numbers"),
    ("fluorescence", "dark", (1366, 768), "numbers"),
    ("fluorescence_dense", "light", (1920, 1080), "outlines"),
    ("histology", "light", (1366, 768), "outlines"),
    ("brightfield", "dark", (1366, 768), "numbers"),
)


def main() -> None:
    """Segment each sample in a real window and save a picture of it."""
    from napari_cellseg.gui.menus.display import has_screen, virtual_display

    os.environ["NAPARI_CONFIG"] = str(Path(tempfile.mkdtemp(), "settings.yaml"))
    IMAGES.mkdir(exist_ok=True)
    with nullcontext() if has_screen() else virtual_display():
        for sample, theme, size, shown in SHOTS:
            take(sample, theme, size, shown)
        correct_and_train()
        batch()
        stack()
        models()
        positive()
        classes()


def take(sample: str, theme: str, size: tuple[int, int], shown: str) -> None:
    """Open a window, press Segment, wait for the cells, and save the picture."""
    import napari
    from PIL import Image as PillowImage

    from napari_cellseg.gui.menus.demo import press_segment, wait
    from napari_cellseg.gui.menus.samples import sample_path
    from napari_cellseg.gui.segment.segment_widget import SegmentWidget
    from napari_cellseg.gui.viewer.opening import add_image
    from napari_cellseg.imaging.read.read import read_image

    viewer = napari.Viewer(show=True)
    viewer.theme = theme
    add_image(viewer, read_image(sample_path(sample)))
    widget = SegmentWidget(viewer)
    viewer.window.add_dock_widget(widget, name="Segment and count cells")
    viewer.window.resize(*size)
    wait(500)
    viewer.reset_view()
    state = press_segment(widget)
    widget.result_section.outlines.setChecked(shown == "outlines")
    widget.result_section.show_numbers.setChecked(shown == "numbers")
    wait(2000)
    path = IMAGES / f"{sample}_{theme}_{size[0]}.png"
    picture = PillowImage.fromarray(viewer.screenshot(canvas_only=False, flash=False)).convert("RGB")
    picture.quantize(256).save(path, optimize=True)
    print(path, state.sentence, widget.cells_section.count.text())
    viewer.close()


def correct_and_train() -> None:
    """Correct a sample, show what would be learned from, fine-tune for a few steps, and compare."""
    import napari

    from napari_cellseg.corrections import tools as edits
    from napari_cellseg.gui.correct.correct_widget import CorrectWidget
    from napari_cellseg.gui.correct.reviewed_layer import ReviewedLayers
    from napari_cellseg.gui.menus.demo import press_segment, wait
    from napari_cellseg.gui.menus.samples import sample_path
    from napari_cellseg.gui.segment.segment_widget import SegmentWidget
    from napari_cellseg.gui.train.train_widget import TrainWidget
    from napari_cellseg.gui.viewer.correcting import Correcting
    from napari_cellseg.gui.viewer.opening import add_image
    from napari_cellseg.imaging.read.read import read_image

    os.environ["NAPARI_CELLSEG_HOME"] = tempfile.mkdtemp()
    viewer = napari.Viewer(show=True)
    segment, correct, train = SegmentWidget(viewer), CorrectWidget(viewer), TrainWidget(viewer)
    for name, widget in (("Segment and count cells", segment), ("Correct cells", correct), ("Train", train)):
        viewer.window.add_dock_widget(widget, name=name)
    add_image(viewer, read_image(sample_path("histology")))
    viewer.window.resize(1366, 768)
    wait(500)
    viewer.reset_view()
    press_segment(segment)
    correct.parent().raise_()
    bench, key = segment.bench, segment.session.chosen
    ids = [int(i) for i in bench.session.view_of(key).ids()]
    bench.part(Correcting).edit(key, edits.delete, ids[3:5])
    bench.part(Correcting).edit(key, edits.accept, ids[20:32])
    wait(3000)
    correct.review_section.next.click()
    correct.area_section.show_area.click()
    viewer.reset_view()
    wait(1500)
    save(viewer, "correct_dark_1366")
    correct.area_section.show_area.click()
    correct.area_section.whole.click()
    bench.part(ReviewedLayers).show(False)
    correct.keep_section.add.click()
    wait(1500)
    viewer.reset_view()
    viewer.theme = "light"
    train.parent().raise_()
    train.expert_section.form["steps"].value = 20
    wait(500)
    train.start_section.start.click()
    while train.job.running:
        wait(200)
    wait(1500)
    save(viewer, "train_light_1366")
    viewer.close()


def batch() -> None:
    """Run a small folder in the Batch widget, and show its list and its contact sheet."""
    import napari
    import numpy as np
    import tifffile

    from napari_cellseg.gui.batch.batch_widget import BatchWidget
    from napari_cellseg.gui.menus.demo import wait
    from napari_cellseg.gui.menus.samples import sample_path
    from napari_cellseg.imaging.read.read import read_image

    os.environ["NAPARI_CELLSEG_HOME"] = tempfile.mkdtemp()
    # Its path is in the picture.
    folder = Path(tempfile.gettempdir(), "plate3")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    mosaic = np.asarray(read_image(sample_path("mosaic")).data)
    for place in range(16):
        row, column = divmod(place, 4)
        # One of them is much larger than the others, and one was cut off while it was copied.
        side = 1024 if place == 5 else 256
        cut = mosaic[256 * row : 256 * row + side, 256 * column : 256 * column + side]
        tifffile.imwrite(folder / f"A{place + 1:02d}.tif", cut)
    os.truncate(folder / "A11.tif", 12_000)
    viewer = napari.Viewer(show=True)
    widget = BatchWidget(viewer)
    viewer.window.add_dock_widget(widget, name="Segment a folder of images")
    viewer.window.resize(1366, 768)
    widget.choose([folder])
    wait(500)
    while widget.busy:
        wait(100)
    widget.run()
    while widget.job.running:
        wait(200)
    widget.open(widget.job.rows.rows[5])
    while not widget.bench.layers:
        wait(200)
    wait(2000)
    save(viewer, "batch_dark_1366")
    sheet = widget.show_sheet()
    wait(1000)
    sheet.grab().save(str(IMAGES / "contact_sheet_dark.png"))
    viewer.close()


def models() -> None:
    """Calibrate the bundled model on the general samples, in the window with the models."""
    import napari

    from napari_cellseg.gui.menus.demo import wait
    from napari_cellseg.gui.train.train_widget import TrainWidget
    from napari_cellseg.training.data.choice import DataChoice
    from napari_cellseg.training.data.general import FOLDER

    os.environ["NAPARI_CELLSEG_HOME"] = tempfile.mkdtemp()
    viewer = napari.Viewer(show=True)
    viewer.theme = "dark"
    viewer.window.resize(1366, 768)
    train = TrainWidget(viewer)
    viewer.window.add_dock_widget(train, name="Train")
    train.set_section.source.choose_data(DataChoice(FOLDER))
    wait(500)
    while train.data_section.busy:
        wait(200)
    train.start_section.models.click()
    window = train.windows.models
    assert window is not None
    window.calibration.goal.setCurrentIndex(1)
    window.calibration.start_button.click()
    wait(2000)
    while train.windows.calibration.running:
        wait(200)
    # Its path is that of this computer.
    window.about.setText(window.about.text().rpartition("\n")[0])
    wait(500)
    window.grab().save(str(IMAGES / "models_dark.png"))
    window.close()
    viewer.close()


def stack() -> None:
    """Segment all planes of a film, and link them to tracks."""
    import napari
    import numpy as np

    from napari_cellseg.gui.menus.demo import wait
    from napari_cellseg.gui.menus.samples import sample_path
    from napari_cellseg.gui.planes.plane_links import PlaneLinks
    from napari_cellseg.gui.planes.plane_run import PlaneRun
    from napari_cellseg.gui.segment.segment_widget import SegmentWidget
    from napari_cellseg.imaging.read.read import read_image

    os.environ["NAPARI_CELLSEG_HOME"] = tempfile.mkdtemp()
    mosaic = np.asarray(read_image(sample_path("mosaic")).data)
    film = np.stack([mosaic[4 * t : 4 * t + 384, 6 * t : 6 * t + 512] for t in range(12)])
    viewer = napari.Viewer(show=True)
    viewer.theme = "dark"
    viewer.add_image(film, name="film", axis_labels=("t", "y", "x"))
    widget = SegmentWidget(viewer)
    viewer.window.add_dock_widget(widget, name="Segment and count cells")
    viewer.window.resize(1366, 768)
    wait(500)
    viewer.reset_view()
    widget.session.choices.choose(all_planes=True)
    widget.run_section.segment.click()
    while widget.bench.part(PlaneRun).busy or widget.session.running:
        wait(200)
    wait(1000)
    widget.planes_section.link.click()
    while widget.bench.part(PlaneLinks).busy:
        wait(200)
    wait(2000)
    save(viewer, "film_dark_1366")
    viewer.close()


def marked_window() -> tuple[Any, Any]:
    """Segment a sample with a second channel, drawn on the fly, that is bright in some regions."""
    import napari
    import numpy as np
    from scipy.ndimage import gaussian_filter

    from napari_cellseg.gui.menus.demo import press_segment, wait
    from napari_cellseg.gui.menus.samples import sample_path
    from napari_cellseg.gui.segment.segment_widget import SegmentWidget
    from napari_cellseg.gui.viewer.opening import add_image
    from napari_cellseg.imaging.image import Image
    from napari_cellseg.imaging.read.read import read_image

    os.environ["NAPARI_CELLSEG_HOME"] = tempfile.mkdtemp()
    nuclei = read_image(sample_path("fluorescence")).plane().astype(np.float32)
    rng = np.random.default_rng(3)
    field = gaussian_filter(rng.normal(size=nuclei.shape), 25)
    bright = gaussian_filter((field > np.percentile(field, 65)).astype(np.float32), 3)
    gfp = (0.1 + bright) * gaussian_filter(nuclei, 2) + rng.normal(0, 2, nuclei.shape)
    data = np.stack([nuclei, gfp]).clip(0).astype(np.uint16)
    viewer = napari.Viewer(show=True)
    viewer.theme = "dark"
    add_image(viewer, Image(data, "CYX", (0.3, 0.3), ("DAPI", "GFP"), name="plate_A01"))
    widget = SegmentWidget(viewer)
    viewer.window.add_dock_widget(widget, name="Segment and count cells")
    viewer.window.resize(1366, 768)
    wait(500)
    viewer.reset_view()
    press_segment(widget)
    widget.result_section.show_numbers.setChecked(False)
    return viewer, widget


def positive() -> None:
    """Call cells by the second channel."""
    from napari_cellseg.gui.menus.demo import wait

    viewer, widget = marked_window()
    widget.positive_fold.unfold(True)
    section = widget.positive_section
    section.choices.channel.setCurrentIndex(section.choices.channel.findData("GFP"))
    section.choices.channel.activated.emit(section.choices.channel.currentIndex())
    section.choices.growth.setValue(2)
    while "GFP+" not in section.count.text():
        wait(200)
    wait(2000)
    save(viewer, "positive_dark_1366")
    print(section.count.text())
    widget.positive_fold.unfold(False)
    filtered_and_in_regions(viewer, widget)
    viewer.close()


def filtered_and_in_regions(viewer: Any, widget: Any) -> None:
    """Filter cells, then draw two regions on the same image."""
    import numpy as np

    from napari_cellseg.gui.menus.demo import wait
    from napari_cellseg.instances.filters import Filter, Filters, framed

    widget.filters_fold.unfold(True)
    wait(1500)
    widget.session.set_filters(Filters((Filter("area", "<=", 900), Filter("circularity", ">=", 0.75)), framed(20)))
    widget.filters_section.ghosts.setChecked(True)
    wait(2000)
    save(viewer, "filters_dark_1366")
    widget.filters_fold.unfold(False)
    widget.session.set_filters(Filters())
    widget.regions_fold.unfold(True)
    drawn = widget.regions_section.drawn
    drawn.draw("add_polygon")
    # In micrometres, as the image lies in the world.
    drawn.shapes().add_polygons(np.array([[40, 40], [20, 180], [110, 330], [250, 290], [300, 90]]))
    drawn.shapes().add_rectangles(np.array([[320, 340], [320, 600], [480, 600], [480, 340]]))
    drawn.shapes().mode = "pan_zoom"
    wait(1500)
    drawn.rename("Region 1", "tumour")
    drawn.rename("Region 2", "stroma")
    wait(1500)
    save(viewer, "regions_dark_1366")


def classes() -> None:
    """Give examples of three classes, and let a forest call the others."""
    import numpy as np

    from napari_cellseg.gui.menus.demo import wait
    from napari_cellseg.gui.segment.classing import Classing

    viewer, widget = marked_window()
    section, classing = widget.class_section, widget.bench.part(Classing)
    widget.class_fold.unfold(True)
    for name in ("small", "GFP", "dark"):
        section.name.setText(name)
        section.more.click()
    while (looked := classing.fresh()) is None:
        wait(200)
    area, gfp = looked.columns["area_px"], looked.columns["intensity_mean_GFP"]
    whole = np.flatnonzero(area > 300)
    by_gfp = whole[np.argsort(gfp[whole])]
    for name, places in (("small", np.argsort(area)[2:30:4]), ("GFP", by_gfp[-40::5]), ("dark", by_gfp[5:70:8])):
        for place in places.tolist():
            classing.give(int(looked.ids[place]), name)
    while "small" not in section.legend.text():
        wait(200)
    section.next.click()
    wait(500)
    viewer.reset_view()
    wait(2000)
    save(viewer, "classes_dark_1366")
    print(section.legend.text(), section.held_out.text())
    viewer.close()


def save(viewer: Any, name: str) -> None:
    """Save a picture of the whole window."""
    from PIL import Image as PillowImage

    picture = PillowImage.fromarray(viewer.screenshot(canvas_only=False, flash=False)).convert("RGB")
    picture.quantize(256).save(IMAGES / f"{name}.png", optimize=True)
    print(name)


if __name__ == "__main__":
    sys.exit(main())
