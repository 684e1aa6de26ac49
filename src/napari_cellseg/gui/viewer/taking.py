"""Labels become the cells of an image: those that were saved here come back with sliders and corrections."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from napari.layers import Image as ImageLayer
from napari.layers import Labels, Layer
from qtpy.QtCore import QTimer

from ...corrections import exchange
from ...corrections import tools as edits
from ...imaging.errors import CellsegError, ImageError
from ...imaging.image import Image
from ...imaging.read.read import read_image
from ...imaging.write.label_files import read_label_stack
from ...imaging.write.write import read_labels
from ...results.reopening import SavedCells, saved_cells
from ...segmentation.answer import Answer
from ...segmentation.recipe import Recipe
from ...segmentation.taking import take_labels
from ...session import PlaneKey
from ..shared.workers import Latest
from .bench import Bench
from .correcting import Correcting
from .layer_image import full_data
from .opening import add_image

NO_THRESHOLD = "No model found them, so there is no threshold to drag."


class Taking:
    """Takes labels of files and layers as cells; files that were saved here come with their image."""

    def __init__(self, bench: Bench) -> None:
        self._bench, self._correcting = bench, bench.part(Correcting)
        self._working = Latest(bench.failed)
        self._reopening = Latest(self._on_failed, self._go_on_later)
        self._left: deque[SavedCells] = deque()
        # Corrections that follow once the cells are found again, by the key of the image.
        self._awaited: dict[Any, SavedCells] = {}
        bench.answered.connect(self._on_answered)
        bench.request_failed.connect(self._on_given_up)
        bench.cancelled.connect(self._on_given_up)
        bench.session.state_changed.connect(self._go_on_later)

    def close(self) -> None:
        """Take no more answers."""
        self._left.clear()
        self._working.close()
        self._reopening.close()

    def offered(self) -> list[Labels]:
        """Return the labels layers that can be taken as cells: all but those that show cells already."""
        layers = [layer for layer in self._bench.viewer.layers if isinstance(layer, Labels)]
        return [layer for layer in layers if self._bench.image_of_result(layer) is None and not layer.multiscale]

    def take_layer(self, layer: Layer | None) -> None:
        """Take a labels layer as the cells of the chosen image, or of the one image of its size."""
        if not isinstance(layer, Labels) or layer.multiscale:
            name = "No layer is selected" if layer is None else f"'{layer.name}' is no labels layer of one size"
            self._bench.session.fail(None, f"{name}. Select the labels that are to be cells.")
        elif self._bench.image_of_result(layer) is not None:
            self._bench.session.note(f"'{layer.name}' shows the cells of its image already.")
        elif self._take(lambda image: np.array(layer.data), tuple(layer.data.shape), layer.name):
            layer.visible = False

    def take_file(self, path: str | Path) -> None:
        """Take the cells of a file: one that was saved here with its image, others as cells of the chosen one."""
        path = Path(path)
        saved = saved_cells(path)
        if saved is not None:
            self.reopen(saved)
        else:

            def read(image: Image) -> np.ndarray:
                found = exchange.read_corrections(path, image.shape_yx, image=image.source or image.name)
                return np.asarray(found["labels"])

            self._take(read, None, path.name)

    def reopen(self, saved: SavedCells) -> None:
        """Show the image of a saved file with its cells, found again by its recipe, and with its corrections."""
        self._left.append(saved)
        self._go_on_later()

    def _take(
        self,
        read: Any,
        shape: tuple[int, ...] | None,
        name: str,
        image_key: Any = None,
        known: Mapping[str, int] | None = None,
    ) -> bool:
        """Take labels that `read` returns for an image; False where there is no image for them.

        `known`: whose corrections are in them; see `Corrections.known`.
        """
        session = self._bench.session
        try:
            key = session.chosen if image_key is None else image_key
            keys, images = self._planes_for(key, shape, name)
        except CellsegError as error:
            session.fail(None, error)
            return False
        recipe = session.choices.recipe(keys[0], False)

        def work() -> list[Answer]:
            labels = read(images[0])
            planes = labels.reshape(len(keys), *labels.shape[-2:])
            return [_answer(plane, image, recipe, name) for plane, image in zip(planes, images, strict=True)]

        def show(answers: list[Answer]) -> None:
            n = sum(answer.result.count for answer in answers)
            done = f"{n:,} cells are those of {name} now: correct, review, measure, save. {NO_THRESHOLD}"
            try:
                for one, answer in zip(keys, answers, strict=True):
                    self._bench.take_labels(one, answer, done)
                    if (cells := session.cells_of(one)) is not None:
                        cells.corrected.corrections.known |= known or {}
            except CellsegError as error:
                session.fail(None, error)
                return
            if (layer := self._bench.layer_of(keys[0])) is not None:
                self._bench.choose(layer)
                self._bench.show_image(layer)
            session.note(done)
            if image_key is not None:
                self._on_answered(image_key)

        session.note(f"Taking the labels of {name} …")
        (self._working if image_key is None else self._reopening).ask(work, show)
        return True

    def _planes_for(self, key: Any, shape: tuple[int, ...] | None, name: str) -> tuple[list[Any], list[Image]]:
        """Return keys and images of the planes that labels of a shape are of: of the image of a key, or of another."""
        bench = self._bench
        layers = [bench.layer_of(key), *reversed(bench.image_layers())]
        for layer in dict.fromkeys(layer for layer in layers if layer is not None):
            if keys := self._keys_of(layer, shape):
                return keys, [bench.image_of(one) for one in keys]
        size = "" if shape is None else f" of {' x '.join(f'{n:,}' for n in shape)} pixels"
        raise ImageError(f"There is no image{size} for the labels of {name}. Open their image first.")

    def _keys_of(self, layer: ImageLayer, shape: tuple[int, ...] | None) -> list[Any]:
        key = self._bench.key_of(layer)
        stack = self._bench.stack_of(key) if isinstance(key, PlaneKey) else None
        data = full_data(layer)
        shape_yx = tuple(data.shape[-3:-1] if layer.rgb else data.shape[-2:])
        if shape in (None, shape_yx):
            return [key]
        if stack is not None and shape == (*stack.shape, *shape_yx):
            return list(stack.plane_keys())
        return []

    def _on_failed(self, error: BaseException) -> None:
        self._on_given_up()
        self._bench.failed(error)

    def _on_given_up(self, *_: Any) -> None:
        """Forget what was to follow an answer."""
        self._awaited.clear()

    def _go_on_later(self, _: Any = None) -> None:
        QTimer.singleShot(0, self._go_on)

    def _go_on(self) -> None:
        """Find the image of the next file, among the open ones first."""
        if not self._left or self._bench.session.running is not None or self._reopening.busy or self._awaited:
            return
        saved, bench = self._left.popleft(), self._bench
        images = {}
        for layer in bench.image_layers():
            key = bench.key_of(layer)
            stack = bench.stack_of(key) if saved.n_planes else None
            try:
                images[key] = bench.image_of(key) if stack is None else stack.image
            except CellsegError:
                continue

        def work() -> tuple[Any, Any, Any]:
            from ...imaging.read.pyramid import pyramid

            key = next((key for key, image in images.items() if saved.is_of(image)), None)
            path = saved.find_image() if key is None else None
            image = None if path is None else read_image(path)
            return key, image, None if image is None else pyramid(image)[0]

        bench.session.note(f"Opening {saved.path.name} with its image …")
        self._reopening.ask(work, lambda found: self._on_found(saved, *found))

    def _on_found(self, saved: SavedCells, key: Any, image: Image | None, levels: Any) -> None:
        bench, session = self._bench, self._bench.session
        if image is not None:
            key = bench.key_of(add_image(bench.viewer, image, levels))
        layer = bench.layer_of(key)
        if layer is None:
            bench.viewer.add_labels(read_labels(saved.path), name=saved.path.stem)
            session.fail(
                None,
                f"The image '{saved.image}' of {saved.path.name} is neither open nor beside it. Open it, then choose "
                "'Labels as cells' in the menu of 'Open …'.",
            )
            return
        bench.choose(layer)
        bench.show_image(layer)
        if image is not None:
            bench.fit(layer)
        self._awaited[key] = saved
        axes = session.choices.for_image(key).axes
        if saved.recipe is not None:
            session.use_recipe(replace(saved.recipe, axes=None), key=key)
        if saved.recipe is None or saved.n_planes:
            self._take_saved(saved, key)
            return
        recipe = replace(saved.recipe, axes=axes, pages="one", link="none")
        if bench.segment(layer, recipe) is None:
            self._awaited.pop(key)

    def _take_saved(self, saved: SavedCells, key: Any) -> None:
        read: Any = lambda _: read_labels(saved.path)  # noqa: E731
        shape = None
        if saved.n_planes:
            labels = read_label_stack(saved.path)[0]
            read, shape = (lambda _: labels), labels.shape
        if not self._take(read, shape, saved.path.name, key, saved.by):
            self._awaited.pop(key)

    def _on_answered(self, key: Any) -> None:
        """Lay the corrections of a file over its cells, and check that there are as many as were saved."""
        saved, session = self._awaited.pop(key, None), self._bench.session
        cells = session.cells_of(key)
        if saved is None or cells is None:
            return
        if saved.n_planes:
            session.note(
                f"{saved.path.name} is open with its {saved.count or 0:,} cells in {saved.n_planes:,} planes, as they "
                "were saved. Segment finds them anew, with sliders."
            )
            return
        shape = cells.corrected.shape

        def imported(found: dict[str, Any]) -> None:
            if found:
                self._correcting.edit(key, edits.import_labels, **found)
            now = session.cells_of(key)
            n = 0 if now is None else now.count()
            if saved.recipe is not None and saved.count not in (None, n):
                # Another device or version finds others: what was saved is what counts.
                self._awaited[key] = replace(saved, recipe=None)
                self._take_saved(saved, key)
            elif cells.segmented.taken_from:
                session.note(f"{saved.path.name} is open with its {n:,} cells. {NO_THRESHOLD}")
            else:
                session.note(f"{saved.path.name} is open with its {n:,} cells, its sliders and corrections.")

        read = (lambda: exchange.read_corrections(saved.path, shape)) if saved.corrected else dict
        self._reopening.ask(read, imported)


def _answer(labels: np.ndarray, image: Image, recipe: Recipe, name: str) -> Answer:
    segmented = take_labels(labels, image, recipe, name)
    return Answer(segmented, segmented.result())
