"""The plugin's settings under Preferences: the manifest's `configurations`, if this napari has them."""

from __future__ import annotations

from typing import Any

from ...imaging.write.csv_style import COMMA

PLUGIN = "napari-cellseg"
DEVICE, MODEL = "auto", "cells"


def device() -> str:
    """Return the device policy to start with."""
    return str(_setting("device", DEVICE))


def default_model() -> str:
    """Return the name of the model to start with."""
    return str(_setting("default_model", MODEL)).strip() or MODEL


def csv_style() -> str:
    """Return the style of the CSV files that the window saves, one of `CSV_STYLES`."""
    return str(_setting("csv", COMMA))


def _setting(name: str, default: Any) -> Any:
    try:
        from napari.settings import get_plugin_settings
    except ImportError:  # napari before 0.9
        return default
    try:
        value = getattr(get_plugin_settings(PLUGIN).segmentation, name)
    except (KeyError, AttributeError):  # the plugin is not installed, only imported
        return default
    return getattr(value, "value", value)
