"""The demo: the Segment widget on a sample image, by its own Segment button."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import napari
from PIL import Image as PillowImage
from qtpy.QtCore import QEventLoop, QTimer

from ...imaging.errors import CellsegError
from ...imaging.read.read import read_image
from ...imaging.write.pictures import write_picture
from ...results.origin import check_origin
from ...results.save_cells import save_cells
from ...session import State
from ..segment.segment_widget import SegmentWidget
from ..viewer.opening import add_image, sample_path

SIZE = (1366, 768)
SAMPLE = "fluorescence"
TIME_LIMIT_S = 600
WAIT_MS = 1500


@dataclass(frozen=True)
class Demo:
    """What the demo left behind.

    Attributes
    ----------
    count : int
        Cells counted in the sample.
    screenshot, labels, counts : Path
        The whole window, the label TIFF, and the CSV with the count.
    """

    count: int
    screenshot: Path
    labels: Path
    counts: Path


def run_demo(out_dir: Path, show: bool, sample: str = SAMPLE, overwrite: bool = False) -> Demo | None:
    """Open napari on a sample with the Segment widget docked, press Segment, and show or save what comes out.

    Parameters
    ----------
    out_dir : Path
        Folder for the screenshot and the result files.
    show : bool
        Leave the window open until the user closes it, and save nothing; else save and close it.
    sample : str
        Which sample image.
    overwrite : bool
        Also replace a screenshot that this package did not write.

    Raises
    ------
    CellsegError
        When there is such a screenshot, the sample could not be segmented or the files not be written.
    """
    screenshot = Path(out_dir) / "screenshot.png"
    if not show and not overwrite:
        check_origin(screenshot)
    viewer = napari.Viewer(show=True)
    viewer.window.resize(*SIZE)
    add_image(viewer, read_image(sample_path(sample)))
    widget = SegmentWidget(viewer)
    viewer.window.add_dock_widget(widget, name="Segment and count cells")
    viewer.window.resize(*SIZE)
    state = press_segment(widget)
    if state.kind == "failed" or widget.session.cells is None:
        viewer.close()
        raise CellsegError(state.sentence)
    if show:
        napari.run()
        return None
    wait(WAIT_MS)
    demo = _save(viewer, widget, screenshot, sample)
    viewer.close()
    return demo


def press_segment(widget: SegmentWidget) -> State:
    """Press the button, and come back when the run has ended."""
    loop = QEventLoop()

    def on_state(state: State) -> None:
        if state.kind != "running":
            loop.quit()

    wait(200)
    widget.session.state_changed.connect(on_state)
    QTimer.singleShot(TIME_LIMIT_S * 1000, loop.quit)
    widget.run_section.segment.click()
    if widget.session.running is not None:
        loop.exec()
    widget.session.state_changed.disconnect(on_state)
    return widget.session.state


def _save(viewer: napari.Viewer, widget: SegmentWidget, screenshot: Path, sample: str) -> Demo:
    cells = widget.session.cells
    if cells is None:
        raise CellsegError("The sample was not segmented in time. Run the demo again on a less busy machine.")
    labels, _, counts, _ = save_cells(cells, screenshot.parent, sample)
    picture = PillowImage.fromarray(viewer.screenshot(canvas_only=False, flash=False))
    write_picture(screenshot, picture, "PNG")
    return Demo(cells.count(), screenshot, labels, counts)


def wait(milliseconds: int) -> None:
    """Let the window work for a while."""
    loop = QEventLoop()
    QTimer.singleShot(milliseconds, loop.quit)
    loop.exec()
