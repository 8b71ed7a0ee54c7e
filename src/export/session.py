"""An exported model in onnxruntime, on the CPU."""

from pathlib import Path

import torch

from src.core.method.spaces import Outputs
from src.core.models.encoding import EncodedSplit, inference_batches
from src.export.graph import OUTPUTS


class OnnxModel:
    """A model file with the outputs of a `Classifier`.

    Args:
        threads: CPU threads; None: one for each core.
    """

    def __init__(self, path: Path, threads: int | None) -> None:
        import onnxruntime  # an extra

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or 0
        self.session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self.inputs = [one.name for one in self.session.get_inputs()]

    def outputs(self, split: EncodedSplit, batch_size: int) -> Outputs:
        """Logits (N, C) and h (N, d) of a split in the order of its rows. Each batch is as long as its longest row."""
        order, parts = [], []
        for rows in inference_batches(split.lengths, batch_size):
            batch = split.batch(rows)
            found = self.session.run(OUTPUTS, {name: batch[name].numpy() for name in self.inputs})
            order.append(rows)
            parts.append(Outputs(*map(torch.from_numpy, found)))
        back = torch.cat(order).argsort()
        return Outputs(*(torch.cat(values)[back] for values in zip(*parts, strict=True)))
