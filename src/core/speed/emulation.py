"""Products in bf16 on an x86 CPU without instructions for them.

There torch's own bf16 is many times slower than float32. Here the inputs of products are rounded to bf16, multiplied in
float32 and the result is rounded, in the backward pass as well. CPUs with instructions for bf16 do the same: they add
in float32. Results differ from torch's own bf16 in the order of sums, and where torch rounds once more: the weights of
attention, and the gradients of a weight that a pass uses twice. Until the backward pass, each product keeps float32
copies of its inputs, so a run takes more memory than in fp32.
"""

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from src.core.speed.instructions import emulates_bf16

# Names of torch's functions and of tensors' methods whose inputs autocast rounds. Torch computes all other products.
PRODUCTS = {"linear", "matmul", "__matmul__", "mm", "bmm", "addmm", "baddbmm", "einsum", "conv1d"}
PRODUCTS |= {"scaled_dot_product_attention"}


def emulated_products() -> AbstractContextManager:
    """Within this block, products under autocast on the CPU are emulated, if this is a CPU that does so."""
    return _Emulation() if emulates_bf16() else nullcontext()


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
        if getattr(func, "__name__", None) not in PRODUCTS or "out" in named or not _rounds_to_bf16():
            return func(*args, **named)
        with torch.autocast("cpu", enabled=False):
            product = func(*map(_rounded, args), **{name: _rounded(value) for name, value in named.items()})
            return product.bfloat16() if product.dtype == torch.float32 else product


def _rounds_to_bf16() -> bool:
    return torch.is_autocast_enabled("cpu") and torch.get_autocast_dtype("cpu") == torch.bfloat16


def _rounded(value: Any) -> Any:
    """Tensors of float32 or bf16, rounded to bf16, in float32. Gradients are rounded too. Other values stay."""
    if isinstance(value, list | tuple):
        return type(value)(map(_rounded, value))
    if isinstance(value, Tensor) and value.dtype in (torch.float32, torch.bfloat16):
        return value.bfloat16().float()
    return value
