"""Training passes replayed as CUDA graphs: `runtime.cuda_graphs`.

In a step of a small model, the GPU waits while Python launches hundreds of short kernels. A graph has all kernels of a
forward or a backward pass, and one call launches them. torch captures both passes for each new shape of a batch. To
keep shapes few, batches are padded to a multiple of `MULTIPLE` tokens. Dropout masks have the padded shape, so the
run's numbers differ from a run without graphs, and its record says that graphs were in use. Loss and optimiser are not
in the graphs.
"""

from collections.abc import Callable
from types import MethodType
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from src.core.method.spaces import Outputs
from src.core.models.classifier import Classifier
from src.system.errors import UserError, first_line

MULTIPLE = 16

Captured = Callable[..., Outputs]


def replay_training(model: Classifier, pad_id: int) -> None:
    """Make a classifier on a GPU replay its passes in training. Its passes in evaluation stay as they are.

    A pass that cannot be captured raises a UserError.
    """
    # Gradients arrive on another stream than the capture's. This is intended.
    torch.autograd.graph.set_warn_on_accumulate_grad_stream_mismatch(False)
    eager = model.forward
    pool = torch.cuda.graph_pool_handle()  # steps run one after the other, so their passes can share memory
    captured: dict[tuple[int, ...], Captured] = {}

    def forward(classifier: Classifier, **inputs: Tensor) -> Outputs:
        if not classifier.training:
            return eager(**inputs)
        padded = pad_to_multiple(inputs, pad_id)
        shape = tuple(padded["input_ids"].shape)
        if shape not in captured:
            captured[shape] = _capture(_TrainingPass(classifier, eager, list(padded)), padded, pool)
        return captured[shape](*padded.values())

    model.forward = MethodType(forward, model)


def pad_to_multiple(inputs: dict[str, Tensor], pad_id: int) -> dict[str, Tensor]:
    """A batch's inputs (n, tokens), padded on the right to a multiple of `MULTIPLE` tokens. The mask hides padding."""
    missing = -inputs["input_ids"].shape[1] % MULTIPLE
    return {
        name: F.pad(values, (0, missing), value=pad_id if name == "input_ids" else 0) for name, values in inputs.items()
    }


class _TrainingPass(nn.Module):
    """A classifier's pass with positional inputs, as torch captures it.

    It keeps the precision that is set when it is made. Rounded weights are not cached, because a graph must round them
    anew in each replay.
    """

    def __init__(self, classifier: Classifier, forward: Captured, names: list[str]) -> None:
        super().__init__()
        self.classifier, self.pass_forward, self.names = classifier, forward, names
        self.rounds, self.dtype = torch.is_autocast_enabled("cuda"), torch.get_autocast_dtype("cuda")

    def forward(self, *values: Tensor) -> Outputs:
        with torch.autocast("cuda", self.dtype, self.rounds, cache_enabled=False):
            return self.pass_forward(**dict(zip(self.names, values, strict=True)))


# `Any`: torch's type of pools is private, and its type of a captured pass is "a module or a function".
def _capture(training_pass: _TrainingPass, inputs: dict[str, Tensor], pool: Any) -> Captured:
    """Capture a pass for one shape. The capture does not advance the random numbers of dropout."""
    samples = tuple(values.clone() for values in inputs.values())
    device = samples[0].device
    try:
        with torch.random.fork_rng([device]), torch.autocast("cuda", enabled=False):
            captured: Any = torch.cuda.make_graphed_callables(
                training_pass, samples, num_warmup_iters=1, allow_unused_input=True, pool=pool
            )
            return captured
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:
        problem = f"a training step of this model cannot be captured ({first_line(error)})"
        raise UserError("params.yaml: runtime.cuda_graphs", problem, "set it to false") from None
