"""The U-Net, devices, model versions and prediction. Importing this package does not load torch."""

from __future__ import annotations

from .config import UNetConfig

__all__ = ["UNetConfig"]
