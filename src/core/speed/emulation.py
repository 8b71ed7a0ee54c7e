"""Products in bf16 on a CPU without instructions for them.

There torch multiplies bf16 an order of magnitude slower than float32. Here the inputs of products are rounded to bf16,
multiplied in float32 and the result is rounded, in the backward pass as well. Such instructions do the same: they add
in float32. Results differ only by the order of the sums, and in attention by the rounding of its weights.
"""

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

from src.core.speed.instructions import bf16_instructions

# autocast rounds the inputs of these on a CPU
PRODUCTS = {
    F.linear,
    F.scaled_dot_product_attention,
    Tensor.__matmul__,
    Tensor.matmul,
    torch.matmul,
    torch.bmm,
    torch.addmm,
    torch.baddbmm,
    torch.einsum,
}


def emulated_products() -> AbstractContextManager:
    """Within this block, products under autocast on the CPU are emulated if the CPU has no instructions for them."""
    return nullcontext() if bf16_instructions() else _Emulation()


class _Emulation(TorchFunctionMode):
    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Call one of torch's functions, in float32 if it is a product."""
        named = kwargs or {}
        if func not in PRODUCTS or not _rounds_to_bf16():
            return func(*args, **named)
        with torch.autocast("cpu", enabled=False):
            product = func(*map(_rounded, args), **{name: _rounded(value) for name, value in named.items()})
            return product.bfloat16()


def _rounds_to_bf16() -> bool:
    return torch.is_autocast_enabled("cpu") and torch.get_autocast_dtype("cpu") == torch.bfloat16


def _rounded(value: Any) -> Any:
    """A tensor of float32 or bf16, rounded to bf16, in float32. Its gradient is rounded too."""
    if isinstance(value, list | tuple):
        return type(value)(map(_rounded, value))
    return value.bfloat16().float() if isinstance(value, Tensor) and value.is_floating_point() else value
