"""What the network will see of the image: axes, channel, and a thumbnail."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
from napari.layers import Image as ImageLayer
from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QImage, QPixmap
from qtpy.QtWidgets import QHBoxLayout, QLabel, QSizePolicy, QVBoxLayout, QWidget

from ...imaging.channels import Channel
from ...imaging.errors import AxesError, CellsegError
from ...imaging.image import Image
from ...network.versions import ModelVersion
from ...segmentation.differences import channel_in_words
from ...session import ImageChoices, PlaneKey, layer_id
from ..shared.choosers import Chooser, fill
from ..shared.help import HelpButton
from ..shared.layout import in_grid, in_row, label
from ..shared.workers import Latest
from ..viewer.bench import Bench
from ..viewer.planes import WORDS
from ..viewer.section import Section
from .channel_box import ChannelBox
from .preview import thumbnail
from .size_control import SizeControl

THUMBNAIL, SMALL_THUMBNAIL = 62, 54
DIRECT_VALUES = 1 << 23
AXES = {"C": "channels", **{axis: f"{word}s" for axis, word in WORDS.items()}}


class InputSection(Section):
    """Axes and channel of the chosen image where they have to be chosen, and a preview.

    Signals
    -------
    shown()
        Rows of choices came or went; see `full`.
    """

    shown = Signal()

    def __init__(self, bench: Bench, parent: QWidget | None = None) -> None:
        super().__init__(bench)
        self._model: ModelVersion | None = None
        self._previews = Latest(bench.failed)
        self.destroyed.connect(self._previews.close)
        # Whether both axes and channel are asked for, which takes the room of two rows.
        self.full = False
        self._build()
        self._bindings.bind(bench.session.chosen_changed, self._on_chosen)
        self._bindings.bind(bench.session.choices.changed, self._on_choices)
        self._bindings.bind(bench.image_changed, self._on_chosen)
        self._on_chosen()

    @property
    def _choices(self) -> ImageChoices:
        return self._bench.session.choices.for_image(self._bench.session.chosen)

    def image(self) -> Image:
        """Return the chosen image, of one with several planes the one in view.

        Raises
        ------
        CellsegError
            There is none, or it can't be segmented.
        """
        return self._bench.image_of(self._bench.session.chosen)

    def set_model(self, model: ModelVersion | None) -> None:
        """Show what this model will see."""
        self._model = model
        self.size.set_model(model)
        self._show_preview()

    def _build(self) -> None:
        self.channel = ChannelBox()
        self.channel.chosen.connect(self._on_channel)
        self.axes_box = Chooser(objectName="axes")
        self.axes_box.setToolTip("The first axes of this image have no names. They are never guessed: choose.")
        self.axes_box.activated.connect(self._on_axes)
        self._channel_label, self._axes_label = label("Channel"), label("Axes")
        self.preview = QLabel(objectName="preview")
        self.preview.setFixedSize(THUMBNAIL, THUMBNAIL)
        self.preview.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.preview.setToolTip(
            "What the network will see: the chosen channel, scaled by its percentiles (see Expert)."
        )
        self.size = SizeControl(self._bench)
        self.facts = QLabel(objectName="facts")
        self.facts.setWordWrap(True)
        self.facts.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        grid = in_grid(self)
        grid.addWidget(self._axes_label, 0, 0)
        grid.addWidget(self.axes_box, 0, 1)
        grid.addWidget(self._channel_label, 1, 0)
        grid.addWidget(self.channel, 1, 1)
        row = QHBoxLayout()
        row.setSpacing(8)
        row.addWidget(self.preview)
        beside = QVBoxLayout()
        beside.setSpacing(2)
        beside.addLayout(in_row((self.facts, 1), HelpButton("Image")))
        beside.addWidget(self.size)
        row.addLayout(beside, 1)
        grid.addLayout(row, 2, 0, 1, 2)

    def _on_chosen(self, key: Any = None) -> None:
        self._show_channels()
        # The row of channels needs room too, and the plot of all planes.
        stepping = isinstance(self._bench.session.chosen, PlaneKey)
        side = SMALL_THUMBNAIL if stepping or self.channel.count() > 1 else THUMBNAIL
        self.preview.setFixedSize(side, side)
        self._show_preview()

    def _on_choices(self, id_: Any) -> None:
        if id_ is not None and id_ == layer_id(self._bench.session.chosen):
            self._on_chosen()

    def _show_channels(self) -> None:
        key = self._bench.session.chosen
        layer = self._bench.layer_of(key)
        ask_axes = False
        try:
            image = self.image() if layer is not None else None
        except AxesError:
            image, ask_axes = None, bool(_first_axes(layer))
        except CellsegError:
            image = None
        if image is not None:
            ask_axes = self._choices.axes is not None
            choices, channel = self._bench.session.choices, self._choices.channel
            if image.n_channels > 1 and channel is None:
                choices.choose_for(key, channel=0)
            elif image.n_channels == 1 and not image.rgb and channel is not None:
                # It was chosen while its axes were thought to be others, or comes from a recipe.
                choices.choose_for(key, channel=None)
        self.channel.set_image(image, self._choices.channel)
        entries: list[tuple[str, object]] = [("choose what it is …", None)]
        for axes in _first_axes(layer) if layer is not None and ask_axes else ():
            named = zip(_shape(layer), axes[: axes.index("Y")], strict=False)
            entries.append((" × ".join(f"{n} {AXES[axis]}" for n, axis in named), axes))
        fill(self.axes_box, entries, self._choices.axes, 0)
        for widgets, visible in (
            ((self.channel, self._channel_label), self.channel.count() > 1),
            ((self.axes_box, self._axes_label), ask_axes),
        ):
            for widget in widgets:
                widget.setVisible(visible)
        self.full = ask_axes and self.channel.count() > 1
        self.shown.emit()

    def _on_channel(self, channel: Channel | None) -> None:
        chosen = self._bench.session.chosen
        self._bench.session.choices.choose_for(chosen, channel=channel)
        if (layer := self._bench.layer_of(chosen)) is not None:
            self._bench.show_channel(layer, channel)

    def _on_axes(self, index: int) -> None:
        layer, axes = self._bench.layer_of(self._bench.session.chosen), self.axes_box.itemData(index)
        if layer is not None:
            self._bench.set_axes(layer, axes)

    def _show_preview(self) -> None:
        if self._bench.layer_of(self._bench.session.chosen) is None:
            self.preview.clear()
            self.facts.setText("No image is open.\nOpen one, drop a file here, or try File › Open Sample.")
            return
        usual = None if self._model is None else self._model.normalizer
        normalizer = self._bench.session.recipe_asked().normalizer or usual
        try:
            image, channel = self.image(), self._choices.channel
            self._show_facts(image)
            stepping = isinstance(self._bench.session.chosen, PlaneKey)
            layer = self._bench.layer_of(self._bench.session.chosen)
            if layer is not None and layer.multiscale and not stepping:
                # Of a very large image all would be read for a picture as small as a stamp.
                image = replace(image, data=layer.data[-1])
            if isinstance(image.data, np.ndarray) and image.data.size <= DIRECT_VALUES and not stepping:
                self._show_thumbnail(thumbnail(image, channel, normalizer))
            else:
                self._previews.ask(lambda: thumbnail(image, channel, normalizer), self._show_thumbnail)
        except CellsegError as error:
            self.preview.clear()
            layer = self._bench.layer_of(self._bench.session.chosen)
            if layer is not None and isinstance(error, AxesError) and self.axes_box.isVisibleTo(self):
                size = " × ".join(f"{n:,}" for n in _shape(layer))
                self.facts.setText(f"{size} values, and the first axes have no names: choose above.")
            else:
                self.facts.setText(str(error))

    def _show_facts(self, image: Image) -> None:
        height, width = image.shape_yx
        kind = "colour" if image.rgb else "grey" if image.n_channels == 1 else f"{image.n_channels} channels"
        scale = image.pixel_size
        size = f"{scale[1]:.3g} µm per pixel" if scale else "pixel size not known"
        key = self._bench.session.chosen
        stack = self._bench.stack_of(key) if isinstance(key, PlaneKey) else None
        if stack is not None:
            if image.n_channels > 1:
                kind = f"channel {channel_in_words(image, self._choices.channel)} of {image.n_channels}"
            microns = f", {scale[1]:.3g} µm per pixel" if scale else ""
            self.facts.setText(f"{stack.in_words()}, {width:,} × {height:,} px\n{kind}{microns}")
            self.facts.setToolTip(
                f"{stack.image.title}: {stack.in_words()}, axes {stack.image.axes}. The network sees one plane at a "
                "time: the picture is of the one in view."
            )
            return
        self.facts.setText(f"{width:,} × {height:,} px, {kind}, {np.dtype(image.data.dtype).name}\n{size}")
        self.facts.setToolTip("Width × height in pixels, kind and type of the values, and the layer's scale.")

    def _show_thumbnail(self, pixels: np.ndarray) -> None:
        height, width = pixels.shape[:2]
        form = QImage.Format.Format_RGB888 if pixels.ndim == 3 else QImage.Format.Format_Grayscale8
        picture = QImage(pixels.data, width, height, pixels.strides[0], form).copy()
        ratio = self.devicePixelRatioF()
        side = round(self.preview.width() * ratio)
        smooth, keep = Qt.TransformationMode.SmoothTransformation, Qt.AspectRatioMode.KeepAspectRatio
        pixmap = QPixmap.fromImage(picture).scaled(side, side, keep, smooth)
        pixmap.setDevicePixelRatio(ratio)
        self.preview.setPixmap(pixmap)


def _shape(layer: ImageLayer) -> tuple[int, ...]:
    return tuple(layer.data[0].shape if layer.multiscale else layer.data.shape)


def _first_axes(layer: ImageLayer | None) -> list[str]:
    """Return what the axes of a layer without named axes may be; rows and columns come last."""
    if layer is None:
        return []
    letters = [axis for axis in AXES if not (layer.rgb and axis == "C")]
    n = layer.ndim - 2
    choices = itertools.permutations(letters, n) if 0 < n <= len(letters) else ()
    return ["".join(first) + ("YXC" if layer.rgb else "YX") for first in choices]
