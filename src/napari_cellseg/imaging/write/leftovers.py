"""Take away what a batch that was killed was just writing."""

from __future__ import annotations

import contextlib
import os
import re
import time
from pathlib import Path

# As `imaging.write.atomic` calls a file before it is whole.
_UNFINISHED = re.compile(r"\..{1,60}\.[0-9a-f]{12}\.(tif|csv|json|png|jpg|zip|geojson|html)", re.IGNORECASE)
# A window may be saving into the folder right now.
YOUNG_SECONDS = 2.0


def sweep(out: Path) -> int:
    """Remove files that were never finished; return how many. What cannot be removed stays: it is in nobody's way."""
    n_removed = 0
    before = time.time() - YOUNG_SECONDS
    for place, _, names in os.walk(out):
        for name in names:
            if _UNFINISHED.fullmatch(name):
                path = Path(place, name)
                with contextlib.suppress(OSError):
                    if path.stat().st_mtime < before:
                        path.unlink()
                        n_removed += 1
    return n_removed
