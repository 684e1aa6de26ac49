"""The cells of one image in a script: moved along the sliders, corrected and saved as in the window."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..corrections import tools
from ..corrections.calling import call_cells
from ..corrections.run_lengths import CLASS
from ..imaging.image import Image
from ..imaging.regions import whole
from ..results.save_cells import save_cells
from ..segmentation.cells import Cells
from ..segmentation.classing import follow_calls
from ..segmentation.counting import Counted, class_features
from ..segmentation.recipe import Recipe
from ..segmentation.segmented import Segmented, SegmentResult
from ..session import Session

if TYPE_CHECKING:
    import pandas

_KEY = "image"


class Segmentation:
    """The cells of one image at one place of the two sliders, corrected cells included.

    The network ran once; another place (`at`) and corrections cost no prediction. Corrections are those of the window:
    they outlast every move of the sliders, are in a journal on the disk at once, and are offered by the window when it
    opens the same image.

    Parameters
    ----------
    segmented : Segmented
        Of :func:`napari_cellseg.segmentation.segment.iter_predict_image`.

    Attributes
    ----------
    threshold : float
        Foreground probability from which a pixel belongs to a cell, 0 to 1.
    min_size : int
        Smallest area of a cell in pixels.
    """

    def __init__(self, segmented: Segmented) -> None:
        self._session = Session()
        self._session.set_filters(segmented.recipe.sieve)
        self._session.take(_KEY, segmented, "")
        self._session.set_classes(segmented.recipe.classes)
        self._measured: tuple[tuple[float, int, int], SegmentResult] | None = None
        self.threshold, self.min_size = segmented.threshold, segmented.min_size

    def __repr__(self) -> str:
        return f"<{self.count} cells in {self.image.title} at threshold {self.threshold:g}, {self.min_size} px>"

    def __dir__(self) -> list[str]:
        return sorted(name for name in super().__dir__() if not name.startswith("_"))

    def at(self, threshold: float | None = None, min_size: int | None = None) -> Segmentation:
        """Return the same cells at another place of the sliders; None leaves a slider where it is.

        Corrections made in either are in both.

        Raises
        ------
        ParamsError
            The threshold is not from 0 to 1, or `min_size` is negative.
        """
        moved = object.__new__(Segmentation)
        moved._session, moved._measured = self._session, None
        moved.threshold = self.threshold if threshold is None else threshold
        moved.min_size = self.min_size if min_size is None else min_size
        moved._move()
        return moved

    @property
    def image(self) -> Image:
        """The image."""
        return self._cells.segmented.image

    @property
    def plane(self) -> np.ndarray:
        """The segmented plane, raw: (Y, X), or (Y, X, 3) of colours."""
        return self._cells.segmented.plane

    @property
    def recipe(self) -> Recipe:
        """The recipe that gives the automatic cells again: in the window, on the command line, in `segment_folder`."""
        return self._cells.recipe.resolved(self._cells.segmented.model)

    @property
    def labels(self) -> np.ndarray:
        """The label image (Y, X), uint16 or int32: 0 is background, and a cell keeps its id at every threshold."""
        return self._cells.view.labels()

    @property
    def probability(self) -> np.ndarray:
        """Foreground probability, float32 (Y, X), 0 to 1."""
        return self._cells.segmented.prediction.probability

    @property
    def count(self) -> int:
        """Number of cells."""
        return self._cells.count()

    @property
    def table(self) -> dict[str, np.ndarray]:
        """One entry per cell in every column; `index` is its id in `labels`, `yours` how it was corrected."""
        return self.result().table

    @property
    def counted(self) -> Counted:
        """Numbers of positive cells, and what was measured in the compartments of each cell; see docs/measuring.md."""
        return self.result().counted

    @property
    def regions(self) -> dict[str, Any] | None:
        """Cells, area and density of every region, one entry per region in every column; None without regions."""
        result = self.result()
        return None if result.areas is None else result.areas.counted(result.table, self.image.pixel_size)

    @property
    def metadata(self) -> dict[str, Any]:
        """Recipe, model, versions and image: what every file that is written carries; JSON-able."""
        return self._cells.metadata()

    @property
    def notes(self) -> tuple[str, ...]:
        """Notes on the result, such as that the image is unlike those that the model knows."""
        return tuple(self.metadata["notes"])

    def count_curve(self) -> tuple[np.ndarray, np.ndarray]:
        """Thresholds, and the count at each of them for the present `min_size`."""
        return self._cells.count_curve()

    def result(self) -> SegmentResult:
        """Return labels, probability, count, table and provenance as one value that later corrections don't change."""
        cells = self._cells
        # Measuring takes a moment, and one property after the other is asked for.
        place = (cells.threshold, cells.min_size, cells.corrected.corrections.revision)
        if self._measured is None or self._measured[0] != place:
            self._measured = (place, cells.result())
        return self._measured[1]

    def to_dataframe(self) -> pandas.DataFrame:
        """Return `table` as a data frame of pandas, with the id as its index."""
        import pandas

        return pandas.DataFrame(self.table).set_index("index")

    def to_layers(self) -> list[tuple[Any, dict[str, Any], str]]:
        """Return the cells as layers for napari: labels, and a point for each cell that carries the table.

        Returns
        -------
        list of (data, attributes, kind)
            Of napari's type ``LayerDataTuple``: ``viewer.add_layer(Layer.create(*layer))``.
        """
        result, size = self.result(), self.image.pixel_size
        place: dict[str, Any] = {} if size is None else {"scale": size, "units": ("micrometer", "micrometer")}
        ids = result.table["index"]
        centres = self._cells.corrected.centroids(ids)
        about = {"metadata": {"napari_cellseg": result.metadata}, **place}
        return [
            (result.labels, {"name": f"{self.image.title} cells", **about}, "labels"),
            (centres, {"name": f"{self.image.title} counts", "features": result.table, **place}, "points"),
        ]

    def save(
        self,
        folder: str | Path,
        outputs: Sequence[str] = ("labels",),
        name: str | None = None,
    ) -> list[Path]:
        """Write the files that *Save results* writes: labels, table of cells, recipe, and a row of ``counts.csv``.

        Parameters
        ----------
        folder : path
            Made if missing. Files of another image are never replaced.
        outputs : sequence of str
            Names of :data:`napari_cellseg.results.outputs.OUTPUTS` to write as well, such as ``"rois"``.
        name : str, optional
            Beginning of the files' names; by default that of the image.

        Returns
        -------
        list of Path
            Labels, table, counts, recipe, then those of `outputs`.

        Raises
        ------
        ParamsError
            There is no output of that name.
        OutputError
            The folder or a file cannot be written.
        """
        return save_cells(self._cells, Path(folder), name or Path(self.image.title).stem, outputs=outputs)

    def delete(self, *ids: int) -> Segmentation:
        """Erase cells. All corrections return the segmentation, and raise `CellsegError` if there is nothing to do."""
        return self.correct(tools.delete, ids)

    def merge(self, *ids: int) -> Segmentation:
        """Make one cell of several; it has the id of the largest."""
        return self.correct(tools.merge, ids)

    def split(self, line: Sequence[Sequence[float]], width: float = 2) -> Segmentation:
        """Cut every cell that a line of points (Y, X) crosses; the largest part keeps the id."""
        return self.correct(tools.split_by_stroke, np.asarray(line, dtype=float), width)

    def add(self, y: float, x: float) -> Segmentation:
        """Add the cell that the prediction suggests at a pixel, or else a disc of the median size."""
        return self.correct(tools.add_at, y, x, self._cells.segmented.prediction)

    def paint(self, labels: np.ndarray) -> Segmentation:
        """Take over edited labels (Y, X): what differs from `labels` is a correction."""
        return self.correct(tools.painted, whole(self._cells.segmented.instances.shape), labels)

    def fill_holes(self, *ids: int) -> Segmentation:
        """Fill the holes of cells."""
        return self.correct(tools.fill_holes, ids)

    def accept(self, *ids: int) -> Segmentation:
        """Keep cells as they are, wherever the sliders go."""
        return self.correct(tools.accept, ids)

    def classify(self, examples: Mapping[str, Sequence[int]]) -> Segmentation:
        """Call all cells by examples: ids of cells, by the name of their class; see docs/measuring.md.

        They are added to the examples that the recipe has already, and are corrections. `table` then has the columns
        ``class`` and ``class_certainty``, `recipe` has the examples, and `result` has in its metadata how many of them
        are called right out-of-bag.

        Raises
        ------
        CellsegError
            There is no such cell, or the image lacks a column that the other examples have.
        """
        for name, ids in examples.items():
            had = self._cells.by_hand
            if fresh := [id_ for id_ in ids if had.get(id_, {}).get(CLASS) != name]:
                self.correct(call_cells, fresh, CLASS, name)
        cells, result = self._cells, self.result()
        index, segmented = result.table["index"], cells.segmented
        columns = class_features(self.image, result.labels, result.counted.grown, index)
        about = (self.image.title, segmented.image_sha256)
        self._session.set_classes(follow_calls(cells.classes, columns, index, cells.by_hand, *about))
        self._measured = None
        return self

    def release(self, *ids: int) -> Segmentation:
        """Make corrected cells automatic again."""
        return self.correct(tools.release, ids)

    def mark_reviewed(self, area: np.ndarray | bool = True) -> Segmentation:
        """Mark an area, bool (Y, X), as reviewed, or with True all of the image: training learns from it."""
        return self.correct(tools.mark_reviewed, None, area)

    def undo(self) -> bool:
        """Take back the last correction; False where there is none."""
        return self._session.undo(_KEY) is not None

    def redo(self) -> bool:
        """Do again what was taken back; False where there is nothing."""
        return self._session.redo(_KEY) is not None

    def reviewed_area(self) -> np.ndarray:
        """Where the cells were reviewed, bool (Y, X): what was marked, and the surroundings of corrected cells."""
        return self._cells.corrected.reviewed_area(self.threshold, self.min_size)

    @property
    def _cells(self) -> Cells:
        at, recipe = self._at, self._at.segmented.recipe
        at = replace(at, positive=recipe.positive, grow=recipe.grow)
        return replace(at, threshold=self.threshold, min_size=self.min_size)

    @property
    def _at(self) -> Cells:
        cells = self._session.cells_of(_KEY)
        assert cells is not None
        return cells

    def _move(self) -> None:
        self._session.set_threshold(self.threshold, _KEY)
        self._session.set_min_size(self.min_size, _KEY)
        # As the sliders of the window would stand: a threshold has four digits.
        self.threshold, self.min_size = self._at.threshold, self._at.min_size

    def correct(self, tool: Callable[..., Any], *args: Any, **kwargs: Any) -> Segmentation:
        """Correct cells by any function of :mod:`napari_cellseg.corrections.tools`: one step to undo."""
        self._move()
        self._session.edit(_KEY, tool, *args, **kwargs)
        return self
