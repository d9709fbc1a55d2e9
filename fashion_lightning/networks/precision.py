"""Choose the fastest precision that costs no accuracy."""

from functools import cache
from typing import Literal

import torch


@cache
def bf16_is_native(device_type: str) -> bool:
    """Check whether the hardware multiplies bfloat16 natively; emulated, it is slower than float32."""
    if device_type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device_type == "cpu":
        capabilities = torch.cpu.get_capabilities()
        return any(capabilities.get(name, False) for name in ("avx512_bf16", "amx_bf16", "bf16"))
    return False


def default_precision(accelerator: object = "auto") -> Literal["bf16-mixed", "32-true"]:
    """Return the Trainer's ``precision`` for when neither recipe nor user names one.

    On a CPU with AVX-512-BF16, bf16-mixed is at least 1.5 times as fast as float32 (benchmarks/README.md).
    """
    return "bf16-mixed" if bf16_is_native(device_type(accelerator)) else "32-true"


def device_type(accelerator: object = "auto") -> str:
    """Return the device type of a Trainer with this ``accelerator``: ``cpu``, ``cuda`` or ``mps``."""
    gpu = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    return gpu if accelerator in ("auto", "gpu") else str(accelerator)
