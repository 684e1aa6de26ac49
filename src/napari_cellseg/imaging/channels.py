"""Select channels by number, by name, or as a mix of several."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np

from .errors import ImageError

# A number counts from 0; a text is a name, or a mix: several names or numbers with "+" between them.
Channel: TypeAlias = int | str
PLUS = "+"


def find_channels(channel: Channel, n_channels: int, names: Sequence[str], title: str) -> tuple[int, ...]:
    """Return the indices of the selected channels.

    Parameters
    ----------
    channel : int or str
        An index counted from 0, or a name. Several with ``+`` between them are a mix. A number that is not an index may
        be a name, such as ``488``.
    n_channels : int
    names : sequence of str
        One per channel; otherwise they are ignored. Case does not matter unless two names differ by case alone.
    title : str
        Name of the image in messages.

    Returns
    -------
    tuple of int
        One index, or several different ones in ascending order: the order of a mix does not matter.

    Raises
    ------
    ImageError
        There is no such channel, or there are several of that name.
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
    """Return these channels as a recipe holds them: a number, or a text for a mix."""
    return places[0] if len(places) == 1 else PLUS.join(str(place) for place in places)


def plain_channel(text: str) -> Channel:
    """Return the canonical form of a channel text, without an image: ``2+0 `` becomes ``0+2``."""
    parts = [part.strip() for part in text.split(PLUS)]
    if all(part.isdecimal() and str(int(part)) == part for part in parts):
        return mix_name(sorted({int(part) for part in parts}))
    return text.strip()


def mixed(planes: Sequence[np.ndarray]) -> np.ndarray:
    """Return the mean of normalised channels, float32, clipped to 0 and 1."""
    total = np.zeros(planes[0].shape, np.float32)
    for plane in planes:
        total += plane
    return np.clip(total / np.float32(len(planes)), 0, 1)


def _find(channel: Channel, n_channels: int, names: Sequence[str], title: str) -> int | None:
    text = str(channel).strip()
    # "01" is not an index, but may be a name.
    if text.isdecimal() and str(int(text)) == text and int(text) < n_channels:
        return int(text)
    if not text:
        return None
    for exact in (True, False):
        wanted = text if exact else text.casefold()
        found = [i for i, name in enumerate(names) if (name if exact else name.casefold()).strip() == wanted]
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


def distinct_names(names: Sequence[str], n: int) -> list[str]:
    """Return a name for each of `n` channels, with its number where several have the same name or none has one."""
    found = list(names) or [f"channel {i}" for i in range(n)]
    while len(set(found)) < len(found):
        found = [f"{name or 'channel'} {i}" if found.count(name) > 1 else name for i, name in enumerate(found)]
    return found
