"""A trained classifier's outputs for a whole split."""

import torch
from accelerate import Accelerator

from src.core.method.spaces import Outputs
from src.core.models.encoding import EncodedSplit, inference_batches

BATCH_ON_CPU, BATCH_ON_GPU = 64, 256  # a GPU takes about the same time for either size


@torch.no_grad()  # autocast keeps no rounded weights in inference mode
def predict(model: torch.nn.Module, split: EncodedSplit, accelerator: Accelerator) -> Outputs:
    """Logits (N, C) and features (N, d) of a split in the order of its rows: float32, on the CPU.

    Every process predicts every row, so the result does not depend on the number of processes.
    """
    model.eval()
    batch_size = BATCH_ON_CPU if accelerator.device.type == "cpu" else BATCH_ON_GPU
    order, parts = [], []
    # The outer autocast keeps the weights that an inner one rounds, so each weight is rounded once for all batches,
    # unless products are emulated.
    with torch.autocast(accelerator.device.type, enabled=False):
        for rows in inference_batches(split.lengths, batch_size):
            inputs = {name: values.to(accelerator.device) for name, values in split.batch(rows).items()}
            outputs = accelerator.unwrap_model(model)(**inputs)
            order.append(rows)
            parts.append(Outputs(outputs.logits.float().cpu(), outputs.features.float().cpu()))
    back = torch.cat(order).argsort()
    return Outputs(*(torch.cat(values)[back] for values in zip(*parts, strict=True)))
