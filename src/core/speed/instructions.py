"""The instructions with which this CPU multiplies matrices in bf16.

With AVX512-BF16 such products are about twice as fast as in float32, with AMX about four times (docs/speed.md). Without
either torch emulates them, and they are slower than in float32.
"""

from functools import cache

import torch

INSTRUCTIONS = {"amx_bf16": "AMX", "avx512_bf16": "AVX512-BF16"}  # torch's name: the usual one; the fastest first


@cache
def bf16_instructions() -> str | None:
    """The fastest of them that this CPU has, or None."""
    capabilities = getattr(torch.cpu, "get_capabilities", dict)()  # torch 2.11 has no such function
    return next((name for key, name in INSTRUCTIONS.items() if capabilities.get(key)), None)
