"""The instructions of this CPU that multiply matrices in bf16.

A large product is twice as fast as in float32 with AVX512-BF16, and six times as fast with AMX (docs/speed.md). An x86
CPU without these instructions emulates the products (`src.core.speed.emulation`).
"""

from functools import cache
from typing import Any

import torch

INSTRUCTIONS = {"amx_bf16": "AMX", "avx512_bf16": "AVX512-BF16"}  # usual names by torch's names, fastest first


@cache
def bf16_instructions() -> str | None:
    """The name of this CPU's fastest instructions in `INSTRUCTIONS`, or None."""
    return next((name for key, name in INSTRUCTIONS.items() if _capabilities().get(key)), None)


@cache
def emulates_bf16() -> bool:
    """Whether this is an x86 CPU without instructions for bf16."""
    return _capabilities().get("architecture") == "x86_64" and bf16_instructions() is None


def _capabilities() -> dict[str, Any]:
    return getattr(torch.cpu, "get_capabilities", dict)()  # torch 2.11 has no such function
