"""Learn from the corrections of the open image now: a draft that is shown, then kept or dropped."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Labels
from napari.utils.colormaps import DirectLabelColormap
from psygnal import Signal

from ...corrections.corrected import CorrectedInstances
from ...corrections.doubt import Doubt
from ...imaging.normalize import normalize
from ...instances.live import Instances
from ...segmentation.answer import Answer
from ...segmentation.segmented import Segmented, SegmentResult
from ...session import Cells, layer_id
from ..shared.workers import Latest
from ..viewer.bench import Bench
from ..viewer.correcting import NO_CELLS, Correcting
from ..viewer.doubting import Doubting
from ..viewer.layer_image import placement
from ..viewer.layer_watch import LayerWatch, add_unselected

if TYPE_CHECKING:
    from ...network.features import Features

CAME, WENT = 1, 2
OPACITY = 0.9
CAME_COLOR, WENT_COLOR = "#35c2b0", "#ff3d7f"
# While a draft is shown the cells that it leaves as they are stand back.
PALER = 0.4
NO_DRAFT = "There is no draft. Learn from these now (T) makes one."


@dataclass(frozen=True, eq=False)
class Proposal:
    """What a draft would make of an image.

    Attributes
    ----------
    cells : Cells
        What was on the screen when it was asked for.
    segmented : Segmented
    result : SegmentResult
        Measured in a background thread; without the corrections.
    changes : ndarray
        uint8 (Y, X): 1 where cells came, 2 where they went.
    sentence : str
    """

    cells: Cells
    segmented: Segmented
    result: SegmentResult
    changes: np.ndarray
    sentence: str


class Drafting:
    """Refits the network's last layer to what was corrected, shows what would change, and keeps or drops that.

    What the network sees in the image is kept for the image that was learned from last.

    Signals
    -------
    changed()
        Learning began or ended, or a draft was kept or dropped.
    """

    changed = Signal()

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._correcting, self._doubting = bench.part(Correcting), bench.part(Doubting)
        # What the network sees in the image that was learned from last: up to 2 GiB, which goes with the image.
        self._features: tuple[tuple[object, ...], Features] | None = None
        self._features_of: Any = None
        self._proposal: tuple[Any, Proposal] | None = None
        self._layer: Labels | None = None
        self._behind: Labels | None = None
        self._kept: dict[Any, Segmented] = {}
        self._working = Latest(self._on_failed, self.changed.emit)
        bench.forgotten.connect(self._on_forgotten)
        bench.session.cells_changed.connect(self._on_cells)
        bench.session.chosen_changed.connect(self._on_cells)

    @property
    def busy(self) -> bool:
        """Whether a draft is being made."""
        return self._working.busy

    @property
    def proposed(self) -> bool:
        """Whether a draft for the chosen image waits to be kept or dropped."""
        return self._proposal is not None and self._proposal[0] == self._bench.session.chosen

    def is_draft(self, cells: Cells) -> bool:
        """Whether cells come from a draft that was kept: no model and no command gives them again."""
        return any(kept.prediction is cells.segmented.prediction for kept in self._kept.values())

    def learn(self) -> None:
        """Make a draft from everything that was corrected and reviewed in the chosen image."""
        key, cells = self._bench.session.chosen, self._bench.session.cells
        if cells is None or self.busy:
            self._correcting.reported.emit(NO_CELLS if cells is None else "It is learning. Wait for the draft.", True)
            return
        self._forget()
        recipe = cells.segmented.recipe
        # Another channel of the same image looks different, and so does one that is normalised in another way.
        seen_as = (recipe.channel, recipe.axes, cells.segmented.normalizer, cells.segmented.prediction.zoom)
        source = (cells.segmented.image_sha256, cells.segmented.model.sha256, *seen_as)
        known = self._features
        features = known[1] if known is not None and known[0] == source else None

        doubt = self._doubting.doubt_of(key)

        def work() -> tuple[Features, Proposal]:
            return _propose(cells, features, doubt)

        def show(answer: tuple[Features, Proposal]) -> None:
            now = self._bench.session.cells_of(key)
            if now is None:
                return
            self._features, self._features_of = (source, answer[0]), layer_id(key)
            if now.corrected is cells.corrected and key == self._bench.session.chosen:
                self._show(key, answer[1])

        self._working.ask(work, show)
        self._correcting.reported.emit("Learning from what you corrected and reviewed …", False)
        self.changed.emit()

    def keep(self) -> None:
        """Let the draft take the place of the prediction; corrections stay."""
        if self._proposal is None or not self.proposed:
            self._correcting.reported.emit(NO_DRAFT, True)
            return
        (key, proposal), session = self._proposal, self._bench.session
        cells = session.cells_of(key)
        self._forget()
        if cells is None:
            return
        recipe = proposal.segmented.recipe_at(cells.threshold, cells.min_size)
        request = session.request(key, proposal.segmented.image, recipe)
        if request is None:
            self._correcting.reported.emit("Something is being segmented. Wait for it, then learn again.", True)
            return
        segmented = replace(proposal.segmented, recipe=recipe)
        self._kept[key] = segmented
        self._bench.take(request, Answer(segmented, proposal.result))
        self._correcting.reported.emit("The draft is kept for this image. Train makes a model of it.", False)

    def drop(self) -> None:
        """Leave the prediction as it was."""
        if self._proposal is None:
            self._correcting.reported.emit(NO_DRAFT, True)
        else:
            self._forget()
            self._correcting.reported.emit("The draft is dropped; nothing was changed.", False)

    def close(self) -> None:
        """Stop working."""
        self._working.close()
        self._features = None

    def _on_forgotten(self, id_: Any) -> None:
        if id_ == self._features_of:
            self._features = None

    def _show(self, key: Any, proposal: Proposal) -> None:
        layers, viewer = self._bench.layers.get(key), self._bench.viewer
        if layers is None:
            return
        self._proposal = (key, proposal)
        colors = {None: "transparent", 0: "transparent", CAME: CAME_COLOR, WENT: WENT_COLOR}
        self._layer = Labels(
            proposal.changes,
            name=f"{layers.labels.name} draft",
            opacity=OPACITY,
            colormap=DirectLabelColormap(color_dict=colors),
            **placement(layers.labels),
        )
        self._layer.editable = False
        self._behind = layers.labels
        self._behind.opacity *= PALER
        add_unselected(viewer, self._layer, viewer.layers.index(layers.labels) + 1)
        self._correcting.reported.emit(proposal.sentence, False)
        self.changed.emit()

    def _forget(self) -> None:
        self._proposal = None
        layer, self._layer = self._layer, None
        behind, self._behind = self._behind, None
        if behind is not None:
            behind.opacity = min(behind.opacity / PALER, 1.0)
        if layer is not None:
            self._bench.part(LayerWatch).take_out(layer)
        self.changed.emit()

    def _on_cells(self, key: Any = None) -> None:
        """Drop a draft of other cells than those that are shown now."""
        for gone in [known for known in self._kept if self._bench.session.cells_of(known) is None]:
            del self._kept[gone]
        if self._proposal is not None:
            (of, proposal), session = self._proposal, self._bench.session
            cells = session.cells_of(of)
            if of != session.chosen or cells is None or cells.corrected is not proposal.cells.corrected:
                self._forget()

    def _on_failed(self, error: BaseException) -> None:
        self._correcting.reported.emit(str(error), True)
        self._bench.failed(error)


def _propose(cells: Cells, features: Features | None, doubt: Doubt | None) -> tuple[Features, Proposal]:
    """Look at the image unless that was done before, learn, and compare with what is shown."""
    # Imported late: torch takes seconds, and here the user does not wait for it.
    from ...network.features import features as look
    from ...training.quick import advice, learn, what_changes

    segmented = cells.segmented
    model = segmented.model
    if features is None:
        normalized, zoom = normalize(segmented.plane, segmented.normalizer), segmented.prediction.zoom
        features = look(normalized, model, segmented.device, zoom=zoom)
    draft = learn(features, cells.corrected, cells.threshold, cells.min_size)
    instances = Instances.from_prediction(draft.prediction, model.split).filtered(cells.filters, segmented.plane)
    proposed = replace(
        segmented,
        prediction=replace(draft.prediction, diameter=segmented.prediction.diameter, zoom=segmented.prediction.zoom),
        instances=instances,
        recipe=cells.recipe,
    )
    before = cells.corrected.labels(cells.threshold, cells.min_size)
    after = CorrectedInstances(instances, cells.corrected.corrections).labels(cells.threshold, cells.min_size)
    changes = what_changes(before, after)
    pixels = np.select([changes.pixels > 0, changes.pixels < 0], [np.uint8(CAME), np.uint8(WENT)], np.uint8(0))
    sentence = f"Draft from {draft.n_cells} cells: {changes}. Keep it (K) or drop it (U)?"
    if doubt is not None:
        sentence = f"{sentence} {advice(doubt)}"
    return features, Proposal(cells, proposed, proposed.result(), pixels, sentence)
