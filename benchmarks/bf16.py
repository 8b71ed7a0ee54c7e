"""Whether this CPU multiplies bf16 in hardware, and with which instructions."""

import torch

NO_BF16 = "this CPU does not multiply bf16 in hardware"


def cpu_multiplies_bf16() -> bool:
    """Whether the CPU has instructions for products in bf16: AVX512-BF16 or AMX."""
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()


def bf16_instructions() -> str:
    """These instructions, as tables name them."""
    if torch.cpu._is_amx_tile_supported():
        return "AMX"
    return "AVX512-BF16" if cpu_multiplies_bf16() else "none"
