"""Colours of napari's current theme, for plots and labels."""

from __future__ import annotations

from dataclasses import dataclass

from napari.utils.theme import get_theme
from qtpy.QtGui import QColor


@dataclass(frozen=True)
class Colors:
    """Colours of plots and labels.

    Attributes
    ----------
    background, text, faint, grid : QColor
        Background, text, small text, thin lines.
    accent : QColor
        The current value, the cells that are kept.
    band, under : QColor
        Shading of the flat stretch, and below the curve.
    warning : QColor
        Text that asks for attention.
    """

    background: QColor
    text: QColor
    faint: QColor
    grid: QColor
    accent: QColor
    band: QColor
    under: QColor
    warning: QColor

    @property
    def dark(self) -> bool:
        """Whether the theme is dark."""
        return self.background.lightness() < 128


def theme_colors(theme_id: str = "dark") -> Colors:
    """Return the colours of one of napari's themes."""
    theme = get_theme(theme_id)
    background, text = _color(theme.background), _color(theme.text)
    dark = background.lightness() < 128
    # Colour-blind eyes distinguish teal from grey and from orange too, on dark and on light backgrounds.
    accent = QColor("#35c2b0") if dark else QColor("#00796b")
    band, under = QColor(accent), QColor(accent)
    band.setAlpha(70 if dark else 55)
    under.setAlpha(32 if dark else 26)
    return Colors(
        background=_mix(background, QColor("black") if dark else QColor("white"), 0.25 if dark else 0.6),
        text=text,
        faint=_mix(text, background, 0.35),
        grid=_mix(text, background, 0.78),
        accent=accent,
        band=band,
        under=under,
        warning=QColor("#ffb454") if dark else QColor("#a14b00"),
    )


def accent_button(colors: Colors, narrow: bool = False) -> str:
    """Return the style sheet of the one button of a panel that stands out; a narrow one shares its row with others."""
    paper = "#06302b" if colors.dark else "#ffffff"
    accent = colors.accent
    return (
        f"QPushButton {{ background-color: {accent.name()}; color: {paper}; }}"
        f"QPushButton {{ font-weight: bold; padding: 4px {3 if narrow else 14}px; }}"
        f"QPushButton:hover {{ background-color: {accent.lighter(112).name()}; }}"
        f"QPushButton:pressed {{ background-color: {accent.darker(115).name()}; }}"
        f"QPushButton:disabled {{ background-color: {colors.grid.name()}; color: {colors.faint.name()}; }}"
        "QPushButton:disabled { border: 0; }"
    )


def _color(value: object) -> QColor:
    red, green, blue = value.as_rgb_tuple()[:3]  # type: ignore[attr-defined]
    return QColor(red, green, blue)


def _mix(first: QColor, second: QColor, part: float) -> QColor:
    """Return `first` with this part of `second` in it."""
    pairs = zip(first.getRgb()[:3], second.getRgb()[:3], strict=True)
    return QColor(*(round(a * (1 - part) + b * part) for a, b in pairs))
