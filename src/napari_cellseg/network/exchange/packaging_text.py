"""The description of a model in a package, for its readers."""

from __future__ import annotations

from ..versions import ModelVersion


def documentation(model: ModelVersion, license: str) -> str:
    """Return the README of a package, in Markdown."""
    lines = [
        f"# {model.name}",
        "",
        model.description or "Segments cells in microscopy images.",
        "",
        "A U-Net that predicts for every pixel how likely it belongs to a cell and, where it has that output, how "
        "near it is to the centre of one. Made with napari-cellseg, which splits these maps into cells, counts them "
        "and lets users correct them: there, `napari-cellseg models --import PACKAGE.zip` takes it back. "
        f"Licence: {license}.",
        "",
        "## Input and output",
        "",
        f"- {model.config.in_channels} channel(s), any values; preprocessing: {_normalisation(model)}.",
        f"- Suggested threshold on the probability: {model.threshold:g}; smallest area: {model.min_size} pixels.",
        *([f"- Best where cells are about {model.diameter:g} pixels across."] if model.diameter else []),
        f"- Sides must be multiples of {model.config.stride} pixels; outputs nearer than {model.config.context} pixels "
        "to the edge of a tile look at less than they would in the whole image.",
        "",
        "## Validation",
        "",
        *_validation(model),
        "",
    ]
    return "\n".join(lines)


def _normalisation(model: ModelVersion) -> str:
    normalizer = model.normalizer
    if normalizer.method == "type":
        return "divided by 255 (images of 8 bit; divide those of 16 bit by 257 first)"
    if normalizer.method == "standard":
        return "mean 0 and standard deviation 1 over all channels"
    return f"percentile {normalizer.low:g} becomes 0, percentile {normalizer.high:g} becomes 1, over all channels"


def _validation(model: ModelVersion) -> list[str]:
    rows = []
    for kind, values in model.metrics.items():
        try:
            figures = (values["n_images"], values["ap_mean"]["0.50"], values["dice"], values["count_mae"])
        except (KeyError, TypeError):
            continue
        rows.append("| {} | {} | {:.3f} | {:.3f} | {:.2f} |".format(kind, *figures))
    if not rows:
        return [
            "No figures were recorded. Compare counts and outlines with manually annotated images before relying on it."
        ]
    return [
        "On images that the model was not trained on:",
        "",
        "| kind | images | AP at IoU .5 | Dice | count error (mean absolute) |",
        "|---|---|---|---|---|",
        *rows,
    ]
