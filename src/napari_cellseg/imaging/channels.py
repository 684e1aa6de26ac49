"""Which channels are meant: by number, by name, or several of them mixed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np

from .errors import ImageError

# A number counts from 0; a text is a name, or several names or numbers with "+" between them: a mix.
Channel: TypeAlias = int | str
PLUS = "+"


def find_channels(channel: Channel, n_channels: int, names: Sequence[str], title: str) -> tuple[int, ...]:
    """Return the places of the channels that are meant.

    Parameters
    ----------
    channel : int or str
        A place counted from 0, or a name. Several with ``+`` between them are a mix. A number that is no place may be
        a name, such as ``488``.
    n_channels : int
    names : sequence of str
        One per channel; otherwise there are none. Capital letters do not matter unless two names differ by them alone.
    title : str
        What to call the image in a message.

    Returns
    -------
    tuple of int
        One place, or at least two different ones in the order of the image: the order of a mix does not matter.

    Raises
    ------
    ImageError
        There is no such channel, or several of that name.
    """
    names = names if len(names) == n_channels else ()
    whole = _find(channel, n_channels, names, title)
    if whole is not None:
        return (whole,)
    parts = [part.strip() for part in str(channel).split(PLUS)] if isinstance(channel, str) else []
    if len(parts) < 2:
        raise _missing(channel, n_channels, names, title)
    places = []
    for part in parts:
        place = _find(part, n_channels, names, title)
        if place is None:
            raise _missing(part, n_channels, names, title)
        places.append(place)
    return tuple(sorted(set(places)))


def mix_name(places: Sequence[int]) -> Channel:
    """Return what stands for these channels in a recipe: a number, or a text for a mix."""
    return places[0] if len(places) == 1 else PLUS.join(str(place) for place in places)


def plain_channel(text: str) -> Channel:
    """Return the one way to write what a text says without looking at an image: ``2+0 `` and ``0+2`` are the same."""
    parts = [part.strip() for part in text.split(PLUS)]
    if all(part.isdecimal() and str(int(part)) == part for part in parts):
        return mix_name(sorted({int(part) for part in parts}))
    return text.strip()


def mixed(planes: Sequence[np.ndarray]) -> np.ndarray:
    """Return the mean of normalised channels, float32, 0 to 1: whatever normalises it further knows its full scale."""
    total = np.zeros(planes[0].shape, np.float32)
    for plane in planes:
        total += plane
    return np.clip(total / np.float32(len(planes)), 0, 1)


def _find(channel: Channel, n_channels: int, names: Sequence[str], title: str) -> int | None:
    text = str(channel).strip()
    # "01" is no number here, but may be a name.
    if text.isdecimal() and str(int(text)) == text and int(text) < n_channels:
        return int(text)
    if not text:
        return None
    for exact in (True, False):
        said = text if exact else text.casefold()
        found = [i for i, name in enumerate(names) if (name if exact else name.casefold()).strip() == said]
        if len(found) > 1:
            raise ImageError(
                f"{title} has several channels '{text}': {', '.join(map(str, found))}. Choose one by its number "
                "(on the command line --channel N)."
            )
        if found:
            return found[0]
    return None


def _missing(channel: Channel, n_channels: int, names: Sequence[str], title: str) -> ImageError:
    called = f"'{channel}'" if isinstance(channel, str) and not channel.isdecimal() else channel
    if n_channels == 1:
        return ImageError(f"{title} has no channel {called}: it has only one. Leave the channel out.")
    known = f" ({', '.join(names)})" if names else ""
    return ImageError(
        f"{title} has no channel {called}: it has {n_channels}{known}, counted from 0. "
        f"Choose a channel from 0 to {n_channels - 1}{' or by its name' if names else ''}."
    )
