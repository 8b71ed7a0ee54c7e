"""Products in half precision: `runtime.precision` bf16 or fp16.

Weights, losses and the optimiser stay in float32; torch's autocast rounds what enters a product.
"""

from types import MethodType

import torch
from torch import Tensor

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
