"""What the session calls an image: the id of its layer, or one plane of that."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class PlaneKey:
    """Key of one plane of an image layer; a layer of one plane has its own id as the key.

    Attributes
    ----------
    layer : Hashable
        Id of the image layer.
    index : tuple of (str, int)
        Axis (``T``, then ``Z``) and position, as in `imaging.stack_planes.StackPlane`.
    """

    layer: Hashable
    index: tuple[tuple[str, int], ...]

    @property
    def position(self) -> tuple[int, ...]:
        """Where the plane lies in an array of all planes."""
        return tuple(place for _, place in self.index)


def layer_id(key: Any) -> Any:
    """Id of the image layer of a key, be it of a plane or of the layer."""
    return key.layer if isinstance(key, PlaneKey) else key
