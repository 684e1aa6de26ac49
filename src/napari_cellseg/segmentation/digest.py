"""The hash of all that decides labels and calls: equal for recipes that give equal ones of any image."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..instances.filters import ALL

if TYPE_CHECKING:
    from ..network.versions import ModelVersion


def digest_of(values: Mapping[str, Any], model: ModelVersion) -> str:
    """Return the SHA-256 (hex) of the settings of a recipe with a model; see `Recipe.digest`.

    Parameters
    ----------
    values : mapping of str to Any
        JSON-able, of a resolved recipe with a normaliser; `classes` as `Classes.decisive` gives it.
    model : ModelVersion
    """
    decisive = dict(values)
    del decisive["model"]
    decisive["threshold"], decisive["min_size"] = float(decisive["threshold"]), int(decisive["min_size"])
    # Recipes with one size for all images keep the digest that they had before there were others.
    if not decisive["fit_min_size"]:
        del decisive["fit_min_size"]
    # Weights are known by their hash; these stand beside them.
    decisive["split"], decisive["model_diameter"] = model.split.to_dict(), model.diameter
    if model.cell_diameter is not None:
        decisive["model_cell_diameter"] = model.cell_diameter
    if model.config.smooth:
        decisive["model_smooth"] = model.config.smooth
    decisive["diameter"] = None if decisive["diameter"] is None else float(decisive["diameter"])
    decisive["axes"] = None if decisive["axes"] is None else decisive["axes"].strip().upper()
    # Recipes of single planes keep the digest that they had before there was any linking.
    decisive["link_iou"] = float(decisive["link_iou"])
    if decisive["link"] == "none":
        del decisive["link"], decisive["link_iou"]
    # So do those that count nothing but cells, and all of them.
    for name in ("grow", "positive", "classes", "filters"):
        if not decisive[name]:
            del decisive[name]
    if decisive["edges"] == ALL:
        del decisive["edges"]
    text = json.dumps(decisive, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
