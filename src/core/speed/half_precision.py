"""Products in half precision: `runtime.precision` bf16 or fp16.

Weights, losses and the optimiser stay in float32; torch's autocast rounds what enters a product. The head computes in
float32: it has a few thousandths of the products, and logits in bf16, which has 8 bits, would often be equal.
"""

from types import MethodType
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from src.core.method.spaces import Outputs
from src.core.models.classifier import Classifier
from src.params import Precision

HALF: dict[Precision, torch.dtype] = {"bf16": torch.bfloat16, "fp16": torch.float16}


def round_products(model: Classifier, precision: Precision) -> None:
    """Have a classifier's passes round what enters their products, if this precision does so."""
    if precision not in HALF:
        return
    exact = model.forward

    def forward(classifier: Classifier, **inputs: Tensor) -> Outputs:
        with torch.autocast(inputs["input_ids"].device.type, HALF[precision]):
            return exact(**inputs)

    model.forward = MethodType(forward, model)
    for part in _head(model.model):
        _compute_in_float32(part)


def _head(model: PreTrainedModel) -> list[nn.Module]:
    """The parts of a model that are not its backbone."""
    return [] if model.base_model is model else [part for part in model.children() if part is not model.base_model]


def _compute_in_float32(part: nn.Module) -> None:
    """Have a part compute in float32 where autocast is on, from whatever it gets."""
    rounded = part.forward

    def forward(_: nn.Module, vectors: Tensor, *more: Any, **named: Any) -> Any:
        with torch.autocast(vectors.device.type, enabled=False):
            return rounded(vectors.float(), *more, **named)

    part.forward = MethodType(forward, part)
