"""Whether this CPU has instructions that multiply matrices in bf16.

With them products are faster than in float32: 2.3 times with AVX512-BF16, about four times with AMX (docs/speed.md).
Without them torch emulates bf16, which is slower than float32.
"""

from functools import cache

import torch

INSTRUCTIONS = {"amx_bf16": "AMX", "avx512_bf16": "AVX512-BF16"}  # torch's names and the usual ones, the faster first


@cache
def bf16_instructions() -> str | None:
    """The name of the fastest of them that the CPU has, or None."""
    capabilities = torch.cpu.get_capabilities()
    return next((name for key, name in INSTRUCTIONS.items() if capabilities.get(key)), None)
