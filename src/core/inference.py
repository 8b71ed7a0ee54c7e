"""A trained classifier's outputs for a whole split."""

import torch
from accelerate import Accelerator

from src.core.encoding import EncodedSplit, inference_batches
from src.core.objectives import Outputs

INFERENCE_BATCH = 64


@torch.inference_mode()
def predict(model: torch.nn.Module, split: EncodedSplit, accelerator: Accelerator) -> Outputs:
    """Logits (N, C) and features (N, d) of a split in the order of its rows: float32, on the CPU.

    Every process predicts every row, so that the result does not depend on their number.
    """
    model.eval()
    order, parts = [], []
    for rows in inference_batches(split.lengths, INFERENCE_BATCH):
        inputs = {name: values.to(accelerator.device) for name, values in split.batch(rows).items()}
        with accelerator.autocast():
            outputs = accelerator.unwrap_model(model)(**inputs)
        order.append(rows)
        parts.append(Outputs(outputs.logits.float().cpu(), outputs.features.float().cpu()))
    back = torch.cat(order).argsort()
    return Outputs(*(torch.cat(values)[back] for values in zip(*parts, strict=True)))
