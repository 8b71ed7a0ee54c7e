"""The instructions of this CPU that multiply matrices in bf16.

Compared with float32, such products are about twice as fast with AVX512-BF16, and about four times as fast with AMX
(docs/speed.md). Without these instructions the products are emulated (`src.core.speed.emulation`).
"""

from functools import cache

import torch

INSTRUCTIONS = {"amx_bf16": "AMX", "avx512_bf16": "AVX512-BF16"}  # usual names by torch's names, fastest first


@cache
def bf16_instructions() -> str | None:
    """The name of this CPU's fastest instructions in `INSTRUCTIONS`, or None."""
    capabilities = getattr(torch.cpu, "get_capabilities", dict)()  # torch 2.11 has no such function
    return next((name for key, name in INSTRUCTIONS.items() if capabilities.get(key)), None)
