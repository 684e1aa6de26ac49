"""Lets torchvision be imported beside a torch it was not built for, as on machines whose torch is the CPU build.

Its Python parts, all that encoders need, work; only the declarations of its compiled operators are missing.
"""

from __future__ import annotations

import sys
from typing import Any

_kept: list[Any] = []


def allow_torchvision() -> None:
    """Declare the operators whose absence stops torchvision's import, where they are absent."""
    import torch

    try:
        import torchvision  # noqa: F401
    except RuntimeError:
        for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
            del sys.modules[name]
        library = torch.library.Library("torchvision", "DEF")
        for operator in ("nms", "qnms"):
            library.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        # Declarations end with the object that made them.
        _kept.append(library)
    except ImportError:
        return
