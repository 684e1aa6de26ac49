"""Where a plane of results lies: in its stack, and in the image that it was cut out of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..imaging.image import Origin
from ..imaging.stack_planes import StackPlane, plane_named

_SHIFTED = {
    "centroid_y": ("y_whole_px", 0),
    "centroid_x": ("x_whole_px", 1),
    "bbox_top": ("top_whole_px", 0),
    "bbox_left": ("left_whole_px", 1),
    "bbox_bottom": ("bottom_whole_px", 0),
    "bbox_right": ("right_whole_px", 1),
}


@dataclass(frozen=True)
class Place:
    """The place of a plane.

    Attributes
    ----------
    offset_yx : tuple of int, optional
        Row and column of the first pixel of a part in the whole image; None for an image that is whole.
    plane : StackPlane, optional
        Which plane of a stack it is.
    top_id : int
        Highest id of a cell in all planes of the stack: a cell is called alike in all of them. 0 for one plane.
    """

    offset_yx: tuple[int, int] | None = None
    plane: StackPlane | None = None
    top_id: int = 0

    @classmethod
    def of_part(cls, origin: Origin | None, page: str = "") -> Place:
        """Return the place of a part, or of a whole image; `page` names its plane in a stack."""
        return cls(None if origin is None else origin.offset_yx, plane_named(page) if page else None)

    def in_whole(self, table: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Add the positions of the cells of a part in the whole image, in pixels, to a table of cells."""
        if self.offset_yx is None:
            return table
        there = {new: table[name] + self.offset_yx[axis] for name, (new, axis) in _SHIFTED.items() if name in table}
        return {**table, **there}
