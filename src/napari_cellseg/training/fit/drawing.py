"""Which crops the next step learns from: the user's images, perhaps with general samples mixed in."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence

import numpy as np
from torch import Tensor

from ..params import AugmentParams
from .augment import TrainingImage, random_batch


def draw_weights(images: Sequence[TrainingImage], kind_weights: Mapping[str, float]) -> np.ndarray:
    """Chance of drawing each image: kinds as asked, larger images more often (by the root of their area).

    The area of an image is the part of it that was reviewed.
    """
    weights = np.array([math.sqrt(image.area) for image in images])
    kinds = np.array([image.kind for image in images])
    for kind in set(kinds):
        share = kind_weights.get(str(kind), float((kinds == kind).mean()))
        weights[kinds == kind] *= share / weights[kinds == kind].sum()
    chances: np.ndarray = weights / weights.sum()
    return chances


class Drawer:
    """Draws augmented crops; the batch and the crops can be made smaller.

    Parameters
    ----------
    in_channels : int
        Of the network.
    batch_size, crop : int
        Crops at a time, and their side in pixels.
    augment : AugmentParams
    seed : int
    """

    def __init__(self, in_channels: int, batch_size: int, crop: int, augment: AugmentParams, seed: int) -> None:
        self.in_channels, self.batch_size, self.crop, self.augment = in_channels, batch_size, crop, augment
        self.rng = np.random.default_rng(seed)
        self._images: list[TrainingImage] = []
        self._chances = np.ones(0)

    def fill(
        self,
        own: Sequence[TrainingImage],
        general: Sequence[TrainingImage] = (),
        share: float = 0.0,
        kind_weights: Mapping[str, float] | None = None,
    ) -> None:
        """Set the images to draw from; `share` of the crops come from the general ones, kinds in equal parts."""
        self._images = [*own, *general]
        chances = [draw_weights(own, kind_weights or {}) * (1 - share * bool(general))]
        if general:
            chances.append(draw_weights(general, {image.kind: 1.0 for image in general}) * share)
        self._chances = np.concatenate(chances)

    def draw(self) -> tuple[Tensor, dict[str, Tensor]]:
        """Draw the next batch."""
        chosen = self.rng.choice(len(self._images), self.batch_size, p=self._chances)
        return random_batch(self._images, chosen, self.crop, self.in_channels, self.augment, self.rng)

    def smaller_batch(self) -> bool:
        """Halve the batch; False when it is 1 already."""
        if self.batch_size == 1:
            return False
        self.batch_size //= 2
        return True

    def smaller_crop(self, least: int) -> bool:
        """Halve the crop; False when it would become smaller than `least`."""
        if self.crop // 2 < least:
            return False
        self.crop //= 2
        return True

    def state(self) -> str:
        """Return where its random numbers stand, as text."""
        return json.dumps([self.batch_size, self.crop, self.rng.bit_generator.state])

    def restore(self, state: str) -> None:
        """Go on from what :meth:`state` gave."""
        self.batch_size, self.crop, self.rng.bit_generator.state = json.loads(state)
