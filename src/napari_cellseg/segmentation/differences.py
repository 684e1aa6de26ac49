"""What a result was made with, beside what a recipe asks for now: settings in words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..imaging.channels import Channel
from ..imaging.errors import ImageError
from ..imaging.image import Image
from ..imaging.normalize import PERCENTILES, NormalizerParams
from ..instances.filters import ALL
from .recipe import Recipe
from .segmented import Segmented

_COLORS = ("red", "green", "blue")


def differences(made: Segmented, asked: Recipe) -> tuple[str, ...]:
    """Return the settings by which a recipe may give other cells than those of a result, in words; sliders are none.

    Parameters
    ----------
    made : Segmented
    asked : Recipe
        What would be used for the same image now.

    Returns
    -------
    tuple of str
        Such as ``"cell size auto (now 40 px)"``; empty where the result is what the recipe asks for, and for labels
        that were taken as cells.
    """
    if made.taken_from:
        return ()
    had, image = made.recipe, made.image
    same_model = had.model == asked.model
    pairs: list[tuple[str, Any, Any]] = [("model", had.model, asked.model)]
    if _places(image, had.channel) != _places(image, asked.channel):
        pairs.append(("channel", channel_in_words(image, had.channel), channel_in_words(image, asked.channel)))
    if had.axes and asked.axes:
        pairs.append(("axes", had.axes.strip().upper(), asked.axes.strip().upper()))
    if not same_model or made.model.diameter is not None:
        pairs.append(("cell size", had.diameter, asked.diameter))
    pairs.append(("accurate", had.accurate, asked.accurate))
    usual = made.model.normalizer if same_model else None
    pairs.append(("percentiles", had.normalizer or usual, asked.normalizer or usual))
    return tuple(
        f"{name} {value_in_words(name, before)} (now {value_in_words(name, now)})"
        for name, before, now in pairs
        if before != now
    )


def settings_in_words(recipe: Recipe) -> str:
    """Describe what a recipe asks of the network: all but threshold and smallest size, in one line."""
    parts = [value_in_words("model", recipe.model), f"cell size {value_in_words('cell size', recipe.diameter)}"]
    parts += [] if recipe.channel is None else [f"channel {recipe.channel}"]
    parts += [] if recipe.axes is None else [f"axes {recipe.axes}"]
    parts += ["accurate"] if recipe.accurate else []
    parts += [] if recipe.grow is None else [f"grown by {recipe.grow}"]
    parts += [f"positive where {marker}" for marker in recipe.positive]
    parts += [f"only {one}" for one in recipe.filters] + ([] if recipe.edges == ALL else [f"edges {recipe.edges}"])
    parts += [] if recipe.classes is None else [f"classes {', '.join(recipe.classes.names)}"]
    parts += [] if recipe.normalizer is None else [f"percentiles {value_in_words('percentiles', recipe.normalizer)}"]
    return ", ".join(parts)


def value_in_words(name: str, value: Any) -> str:
    """Describe the value of a setting."""
    if name == "model":
        return Path(value).name
    if name == "cell size":
        return "auto" if value is None else f"{value:g} px" if value else "as it is"
    if name == "accurate":
        return "on" if value else "off"
    if isinstance(value, NormalizerParams):
        return f"{value.low:g} to {value.high:g}" if value.method == PERCENTILES else f"by {value.method}"
    return "the model's" if value is None else str(value)


def channel_names(image: Image) -> list[str]:
    """Names of all channels; empty ones where they have none."""
    names = list(image.channel_names)
    return names if len(names) == image.n_channels else [""] * image.n_channels


def channel_in_words(image: Image, channel: Channel | None) -> str:
    """Name the channels of an image that are used, such as ``GFP`` or ``0 + 2``; ``all`` for all colours."""
    names = _COLORS if image.rgb else [name or str(i) for i, name in enumerate(channel_names(image))]
    places = _places(image, channel)
    if places is None:
        return "none" if channel is None else str(channel)
    return " + ".join(names[i] for i in places) or "all"


def _places(image: Image, channel: Channel | None) -> tuple[int, ...] | None:
    try:
        return image.channel_places(channel)
    except ImageError:
        return None
