"""Where the network runs and in which precision. Torch loads inside the functions."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from ..imaging.errors import ModelError

POLICIES = ("auto", "cpu", "cuda", "mps")


@dataclass(frozen=True)
class DeviceChoice:
    """A device and the precision that is fast on it.

    Parameters
    ----------
    device : str
        ``cuda``, ``mps`` or ``cpu``.
    dtype : str
        ``bfloat16`` or ``float32``.
    """

    device: str
    dtype: str

    @property
    def label(self) -> str:
        """The text in the window, such as ``CPU (bfloat16)``."""
        return f"{ {'cpu': 'CPU', 'cuda': 'GPU (CUDA)', 'mps': 'GPU (Apple)'}[self.device] } ({self.dtype})".replace(
            ") (", ", "
        )


def list_devices() -> list[str]:
    """Return the devices of this machine, fastest first."""
    import torch

    devices = []
    if torch.cuda.is_available():
        devices.append("cuda")
    if torch.backends.mps.is_available():
        devices.append("mps")
    return [*devices, "cpu"]


def resolve_device(policy: str = "auto") -> DeviceChoice:
    """Turn what the user asked for into a device of this machine.

    Parameters
    ----------
    policy : {'auto', 'cpu', 'cuda', 'mps'}

    Raises
    ------
    ModelError
        If the policy is unknown or this machine has no such device.
    """
    if policy not in POLICIES:
        raise ModelError(f"Device '{policy}' is unknown. Choose one of {', '.join(POLICIES)}.")
    available = list_devices()
    device = available[0] if policy == "auto" else policy
    if device not in available:
        raise ModelError(
            f"Device '{policy}' was asked for, but this machine has only {', '.join(available)}. Choose auto."
        )
    return DeviceChoice(device, _fast_dtype(device))


@lru_cache
def _fast_dtype(device: str) -> str:
    import torch

    if device == "cuda":
        return "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float32"
    if device == "mps":
        return "float32"
    # Without these instructions bfloat16 is emulated and slower than float32.
    cpu = torch.backends.cpu.get_cpu_capability() if hasattr(torch.backends.cpu, "get_cpu_capability") else ""
    checks = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    fast = any(getattr(torch.cpu, name, bool)() for name in checks)
    return "bfloat16" if fast and "DEFAULT" not in cpu else "float32"
