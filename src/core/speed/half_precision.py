"""Products in half precision: `runtime.precision` bf16 or fp16.

torch's autocast rounds the inputs of products. Weights, losses, the optimiser, the pooler and the head stay in float32.
Pooler and head do only a few thousandths of the work, and in bf16, which has 8 bits, many logits would be equal.
"""

from collections.abc import Iterator
from contextlib import nullcontext
from types import MethodType
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from src.core.method.spaces import Outputs
from src.core.models.classifier import Classifier
from src.core.models.files import DAMAGE, raise_if_memory
from src.core.models.head_input import trial_inputs
from src.core.speed.emulation import emulated_products
from src.params import ModelSource, Precision
from src.system.errors import UserError, first_line

HALF: dict[Precision, torch.dtype] = {"bf16": torch.bfloat16, "fp16": torch.float16}


def round_products(source: ModelSource, model: Classifier, precision: Precision, pad_id: int) -> None:
    """Make a classifier's passes round the inputs of their products, if the precision is bf16 or fp16.

    Raises:
        UserError: transformers' code for this kind of model fails in half precision.
    """
    if precision not in HALF:
        return
    round_passes(model, precision)
    for part in _pooler_and_head(model.model):
        # The pooler of a backbone in bf16 stays as it is.
        if all(weight.dtype == torch.float32 for weight in part.parameters()):
            _compute_in_float32(part)
    _try(source, model, precision, pad_id)


def round_passes(model: Classifier, precision: Precision) -> None:
    """Make a classifier's passes run under autocast, if the precision is bf16 or fp16."""
    if precision not in HALF:
        return
    exact = model.forward

    def forward(classifier: Classifier, **inputs: Tensor) -> Outputs:
        device = inputs["input_ids"].device.type
        with torch.autocast(device, HALF[precision]), emulated_products() if device == "cpu" else nullcontext():
            return exact(**inputs)

    model.forward = MethodType(forward, model)


def _pooler_and_head(model: PreTrainedModel) -> Iterator[nn.Module]:
    """The pooler of the backbone, and the parts of the model outside its backbone."""
    if isinstance(pooler := getattr(model.base_model, "pooler", None), nn.Module):
        yield pooler
    if model.base_model is not model:
        yield from (part for part in model.children() if part is not model.base_model)


def _compute_in_float32(part: nn.Module) -> None:
    """Make a part compute in float32 under autocast."""
    rounded = part.forward

    def forward(_: nn.Module, vectors: Tensor, *more: Any, **named: Any) -> Any:
        with torch.autocast(vectors.device.type, enabled=False):
            return rounded(vectors.float(), *more, **named)

    part.forward = MethodType(forward, part)


@torch.no_grad()
def _try(source: ModelSource, model: Classifier, precision: Precision, pad_id: int) -> None:
    """Check before training that a model runs: some have constants that half precision cannot represent."""
    try:
        model.eval()(**trial_inputs(model.model, pad_id))
    except DAMAGE as error:
        raise_if_memory(error)
        problem = f"{source.name} is a {model.model.config.model_type} model and fails in {precision}"
        raise UserError(
            "params.yaml: runtime.precision", f"{problem} ({first_line(error)})", "set it to fp32"
        ) from None
