"""The state of one viewer: what the user chose, what was asked, what came back, where the sliders are."""

from ..segmentation.cells import Cells
from .choices import Choices, ImageChoices, ViewerChoices, Where
from .keys import PlaneKey, layer_id
from .session import DRAG, OF_ANOTHER_CHANNEL, OPEN_AN_IMAGE, PRESS_AGAIN, PRESS_SEGMENT, REVIEW_AGAIN, Session
from .state import CANCELLED, Request, State

__all__ = [
    "CANCELLED",
    "DRAG",
    "OF_ANOTHER_CHANNEL",
    "OPEN_AN_IMAGE",
    "PRESS_AGAIN",
    "PRESS_SEGMENT",
    "REVIEW_AGAIN",
    "Cells",
    "Choices",
    "ImageChoices",
    "PlaneKey",
    "Request",
    "Session",
    "State",
    "ViewerChoices",
    "Where",
    "layer_id",
]
