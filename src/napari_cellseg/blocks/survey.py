"""Survey a whole plane before its blocks: its brightness, and the size of its cells."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..imaging.lazy_plane import LazyPlane
from ..imaging.normalize import NormalizerParams, Scale, ScaleSurvey
from ..imaging.progress import Progress
from ..segmentation.notices import UNCERTAIN_SIZE, image_notices
from .plan import Mosaic

if TYPE_CHECKING:
    from ..network.tile_maps import TileMaps
    from ..network.versions import ModelVersion

# Windows along each axis; the diameter is estimated from the most informative of them.
WINDOWS = 16


def iter_survey(mosaic: Mosaic, plane: LazyPlane) -> Generator[Progress, None, dict[str, Any]]:
    """Survey the whole plane once.

    Returns
    -------
    dict
        As JSON-able values: ``scale`` (fields of `Scale`), ``channel_scales`` (the same of each channel of a mix),
        ``is_grey``, ``holes`` and their ``reason``, ``diameter`` of the cells (estimated from windows of the plane
        where the recipe leaves it open), the ``zoom`` by it, and ``notes`` for the user on both.

    Raises
    ------
    ImageError
        Nothing of it can be read.
    ModelError
        The model cannot be used.
    """
    from ..network.cell_size import CellSize, iter_estimate_diameter
    from ..network.sighting import informative_windows
    from ..network.sizing import zoom_for
    from ..network.tile_maps import NormalizedPlane

    recipe, model = mosaic.recipe, mosaic.model
    if plane.is_mix:
        scales = []
        for place in plane.places:
            one = yield from _iter_scale(LazyPlane(plane.image, place))
            scales.append(one.scale())
        plane.scales = tuple(scales)
    survey = yield from _iter_scale(plane, recipe.normalizer or model.normalizer)
    scale, is_grey = survey.scale(), survey.is_grey and len(plane.shape) == 3
    seen = NormalizedPlane(plane, scale, is_grey)
    zoom, size = 1.0, CellSize(recipe.diameter or None, True)
    if model.diameter is None:
        size = CellSize(None, True)
    elif recipe.diameter is None:
        size = yield from iter_estimate_diameter(seen, model, mosaic.options.device, WINDOWS)  # type: ignore[arg-type]
    notes = [] if size.certain else [UNCERTAIN_SIZE]
    (window, *_) = informative_windows(seen, WINDOWS)  # type: ignore[arg-type]
    notes += image_notices(seen.raw(window)[0], recipe.normalizer or model.normalizer, model)
    if size.diameter is not None and model.diameter is not None:
        zoom = size.near(zoom_for(size.diameter, model.diameter, (1, 1)))
    return {
        "scale": asdict(scale),
        "channel_scales": [asdict(one) for one in plane.scales],
        "is_grey": is_grey,
        "diameter": size.diameter,
        "notes": notes,
        "zoom": zoom,
        "holes": [[[p.start, p.stop] for p in hole] for hole in plane.holes],
        "reason": plane.reason,
    }


def _iter_scale(plane: LazyPlane, params: NormalizerParams | None = None) -> Generator[Progress, None, ScaleSurvey]:
    survey = ScaleSurvey(plane.shape, plane.dtype, params)
    total = plane.n_pieces()
    for done, (region, values) in enumerate(plane.pieces()):
        survey.add(values, (region[0].start, region[1].start))
        yield Progress(min(done, total), total, "measuring the brightness")
    return survey


def surveyed_maps(
    plane: LazyPlane, begun: Mapping[str, Any], model: ModelVersion, folder: Path, device: str, *,
    strict: bool = False, tile: int | None = None,
) -> TileMaps:  # fmt: skip
    """Return the maps of a plane, by the result of `iter_survey`; see `network.tile_maps`."""
    from ..network.predict import TILE
    from ..network.tile_maps import NormalizedPlane, TileMaps

    plane.holes = [(slice(*y), slice(*x)) for y, x in begun["holes"]]
    plane.reason = begun["reason"]
    plane.scales = tuple(Scale(**scale) for scale in begun.get("channel_scales", ()))
    seen = NormalizedPlane(plane, Scale(**begun["scale"]), begun["is_grey"], strict)
    return TileMaps(seen, model, folder, device, begun["zoom"], TILE if tile is None else tile)
