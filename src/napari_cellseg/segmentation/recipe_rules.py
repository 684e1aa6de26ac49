"""Which values the settings of a recipe may have, alone and together, and these in words."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from numbers import Real
from typing import Any

from ..imaging.channels import Channel
from ..imaging.errors import ParamsError
from ..imaging.normalize import NormalizerParams
from ..imaging.stack_planes import PAGES
from ..instances.compartments import NUCLEUS
from ..instances.filters import EDGES_SYNTAX, Filters, is_edges
from .classes import Classes
from .marker import Marker

# "z": slices become 3D cells; "t": time points become tracks.
LINKS = ("none", "z", "t")


def _anything(value: Any) -> bool:
    return True


def _counts_a_channel(channel: Channel) -> bool:
    if not isinstance(channel, str):
        return 0 <= channel < 2**31 and channel % 1 == 0
    return bool(channel) and not _is_number(channel)


def _is_number(text: str) -> bool:
    """Whether a text is a number that counts nothing, such as -1 or 1.5; 01 may be a name."""
    try:
        float(text)
    except ValueError:
        return False
    return not text.isdecimal()


# Of each setting: its types, the values of them that are allowed, and these in words.
RULES: dict[str, tuple[type | tuple[type, ...], Callable[[Any], bool], str]] = {
    "model": (str, _anything, "a name or folder"),
    "threshold": (Real, lambda t: 0 <= t <= 1, "a probability, a number from 0 to 1"),
    "min_size": (Real, lambda n: 0 <= n < 2**53 and n % 1 == 0, "a whole number of pixels, 0 or more"),
    "channel": ((Real, str), _counts_a_channel, "a number (0, 1, 2, ...), a name, or a mix such as DAPI+GFP or 0+2"),
    "axes": (str, _anything, "a text such as CYX"),
    "model_sha256": (str, lambda text: bool(re.fullmatch(r"[0-9a-f]{64}", text)), "a hash, 64 digits from 0 to f"),
    "normalizer": (NormalizerParams, _anything, "two percentiles"),
    "diameter": (
        Real,
        lambda d: d == 0 or 1 <= d <= 5000,
        "the size of a typical cell from 1 to 5000 pixels, or 0 to take the image as it is",
    ),
    "accurate": (bool, _anything, "true or false"),
    "pages": (str, PAGES.__contains__, f"one of {', '.join(PAGES)}"),
    "link": (str, LINKS.__contains__, f"one of {', '.join(LINKS)}"),
    "link_iou": (Real, lambda share: 0 < share <= 1, "an overlap, a number above 0 and up to 1"),
    "fit_min_size": (bool, _anything, "true or false"),
    "grow": (str, _anything, "a length such as 3um or 5px"),
    "positive": (tuple, _anything, "a list of markers"),
    "filters": (tuple, _anything, "a list of filters"),
    "edges": (str, is_edges, EDGES_SYNTAX),
    "classes": (Classes, _anything, "names, columns and examples"),
}


def check_together(
    pages: str, link: str, sieve: Filters, positive: Sequence[Marker], grow: str | None, classes: bool
) -> None:
    """Raise ParamsError where settings of a recipe, each of them allowed, exclude each other."""
    linked = link != "none"
    if linked and pages != "stack":
        raise ParamsError(
            f"Cells are linked over {link.upper()} in stacks, but pages are {pages!r}. Choose a stack of "
            "labels (--pages stack), or no linking (--link none)."
        )
    if linked and sieve:
        raise ParamsError(
            f"Cells are filtered in single planes, but this recipe links them over {link.upper()}. Link "
            "nothing (--link none), or leave --filters and --edges out."
        )
    outside = next((marker for marker in positive if marker.place != NUCLEUS), None)
    if outside is not None and grow is None:
        raise ParamsError(
            f"{outside.name} is measured in the {outside.place}, but nuclei are not grown. Give a distance (--grow "
            "3um), or measure it in the nucleus."
        )
    if linked and (positive or classes or grow):
        raise ParamsError(
            f"Cells are called and grown in single planes, but this recipe links them over {link.upper()}. "
            "Link nothing (--link none), or leave --positive, --grow and classes out."
        )
