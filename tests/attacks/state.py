"""Attacks on files of state: ledgers, journals, recipes, lists, records, settings, changed as no program writes them.

Plain functions that yield inputs, the same ones for the same seed; the tests beside the code try them.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any

DEEP = "[" * 100_000 + "]" * 100_000
# What takes the place of a value: other types, other ranges, paths that lead elsewhere, texts that no file can hold.
HOSTILE: tuple[Any, ...] = (
    None, True, False, 0, -1, 1.5, 2**31, 2**63, 10**400, -(10**18), 1e308, "", "x", "1", "\0", "\ud800", "a\rb",
    "../../outside", "/dev/zero", "/etc/passwd", "C:\\outside", "x" * 100_000, [], [[]], [None], ["x"], [1, 2, 3],
    {}, {"": None}, {"path": 5}, {"labels": "/dev/zero", "cells": "../../../../dev/zero"}, {"cells": None},
)  # fmt: skip
# JSON that Python reads, or writes, and others do not.
STRANGE = ("NaN", "Infinity", "-Infinity", "1e999", DEEP, "9" * 5000, '"\\ud800"', '"\\u0000"')
_MARK = "\uf8ffMARK"


def places(values: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the places of all values inside a JSON value, its own last."""
    if isinstance(values, dict):
        for name in values:
            yield from places(values[name], (*at, name))
    elif isinstance(values, list):
        for i in range(len(values)):
            yield from places(values[i], (*at, i))
    yield at


def changed(values: Any, place: tuple[Any, ...], new: Any) -> Any:
    """Return a JSON value with another value at a place."""
    if not place:
        return new
    first, rest = place[0], place[1:]
    if isinstance(values, dict):
        return {name: changed(v, rest, new) if name == first else v for name, v in values.items()}
    return [changed(v, rest, new) if i == first else v for i, v in enumerate(values)]


def mutated_json(values: Any, n: int, seed: int = 0) -> Iterator[tuple[str, str]]:
    """Yield `n` texts that differ from a JSON value in one place, each with a name that says in which.

    Parameters
    ----------
    values : JSON-able
    n : int
    seed : int

    Yields
    ------
    tuple of str
        Name and text; not all texts are JSON.
    """
    rng = random.Random(seed)
    where = list(places(values))
    for i in range(n):
        place = rng.choice(where)
        kind = rng.randrange(10)
        text = json.dumps(values)
        name = f"{i}: {'.'.join(map(str, place))}"
        if kind == 0:
            cut = rng.randrange(len(text))
            yield f"{i}: cut at {cut}", text[:cut]
        elif kind == 1:
            at = rng.randrange(len(text))
            yield f"{i}: sign {at}", text[:at] + rng.choice('\0"{}[],:x9\ufeff') + text[at + 1 :]
        elif kind == 2 and place and isinstance(place[-1], str):
            yield f"{name} is gone", json.dumps(_without(values, place))
        elif kind < 5:
            new = rng.choice(STRANGE)
            yield f"{name} = {new[:20]}", json.dumps(changed(values, place, _MARK)).replace(json.dumps(_MARK), new)
        else:
            new = rng.choice(HOSTILE)
            yield f"{name} = {str(new)[:20]!r}", json.dumps(changed(values, place, new))


def _without(values: Any, place: tuple[Any, ...]) -> Any:
    if len(place) == 1:
        return {name: v for name, v in values.items() if name != place[0]} if isinstance(values, dict) else values
    return changed(values, place[:1], _without(values[place[0]], place[1:]))


def mutated_lines(lines: list[str], n: int, seed: int = 0) -> Iterator[tuple[str, str]]:
    """Yield `n` files of one JSON value a line in which one line is changed; see :func:`mutated_json`."""
    rng = random.Random(seed)
    for i in range(n):
        which = rng.randrange(len(lines))
        ((name, text),) = mutated_json(json.loads(lines[which]), 1, seed + i)
        yield f"line {which}, {name}", "\n".join([*lines[:which], text.replace("\n", ""), *lines[which + 1 :]]) + "\n"


def mutated_bytes(content: bytes, n: int, seed: int = 0) -> Iterator[tuple[str, bytes]]:
    """Yield `n` contents that are cut short or differ in a few bytes."""
    rng = random.Random(seed)
    for i in range(n):
        if i % 4 == 0:
            cut = rng.randrange(len(content))
            yield f"{i}: cut at {cut}", content[:cut]
            continue
        new = bytearray(content)
        for _ in range(rng.choice((1, 1, 3, 20))):
            new[rng.randrange(len(new))] = rng.randrange(256)
        yield f"{i}: bytes", bytes(new)
