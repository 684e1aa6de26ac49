"""The one bench of each viewer, with the parts that every viewer has."""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary

from .arrivals import Arrivals
from .bench import Bench
from .cell_colors import Coloring
from .correcting import Correcting
from .doubting import Doubting
from .following import Following
from .layer_watch import LayerWatch
from .planes_in_view import PlanesInView
from .recovery import Recovery
from .result_marks import Outdated, Pointed
from .taking import Taking

# In the order in which they listen.
PARTS: tuple[type, ...] = (
    LayerWatch,
    PlanesInView,
    Doubting,
    Coloring,
    Following,
    Correcting,
    Recovery,
    Outdated,
    Taking,
    Arrivals,
    Pointed,
)

_benches: WeakKeyDictionary[Any, Bench] = WeakKeyDictionary()


def bench_of(viewer: Any) -> Bench:
    """Return the one bench of a viewer; napari gives widgets a new proxy of the viewer every time."""
    viewer = getattr(viewer, "__wrapped__", viewer)
    if viewer not in _benches:
        _benches[viewer] = bench = Bench(viewer)
        for kind in PARTS:
            bench.part(kind)
    return _benches[viewer]
