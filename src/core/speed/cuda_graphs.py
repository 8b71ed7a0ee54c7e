"""Training passes replayed as CUDA graphs: `runtime.cuda_graphs`.

A step of a small model has a GPU wait for its launches: hundreds of short kernels, each of which Python asks for. A
graph holds those of a forward or a backward pass, and one call launches them all. torch captures both when a batch of a
new shape comes. So that few shapes come, batches are padded to a multiple of `MULTIPLE` tokens. Dropout's masks have
the padded shape, so a run's numbers are not those that it would have without graphs: its record says that they were in
use. Loss and optimiser stay as they are.
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
    """Have a classifier on a GPU replay its passes while it trains; in evaluation it stays as it is.

    A pass that cannot be captured ends in a UserError.
    """
    # Gradients arrive on another stream than the one of the capture, which is meant so.
    torch.autograd.graph.set_warn_on_accumulate_grad_stream_mismatch(False)
    eager = model.forward
    pool = torch.cuda.graph_pool_handle()  # a step is over before the next: their passes can share memory
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
    """A batch's inputs (n, tokens), padded on the right to a multiple of `MULTIPLE` tokens; no pad token is read."""
    missing = -inputs["input_ids"].shape[1] % MULTIPLE
    return {
        name: F.pad(values, (0, missing), value=pad_id if name == "input_ids" else 0) for name, values in inputs.items()
    }


class _TrainingPass(nn.Module):
    """A classifier's pass with its inputs by place, as torch captures it.

    Precision is that of the moment. Weights that autocast has rounded are not kept: a graph must round them anew.
    """

    def __init__(self, classifier: Classifier, forward: Captured, names: list[str]) -> None:
        super().__init__()
        self.classifier, self.pass_forward, self.names = classifier, forward, names
        self.rounds, self.dtype = torch.is_autocast_enabled("cuda"), torch.get_autocast_dtype("cuda")

    def forward(self, *values: Tensor) -> Outputs:
        with torch.autocast("cuda", self.dtype, self.rounds, cache_enabled=False):
            return self.pass_forward(**dict(zip(self.names, values, strict=True)))


# `Any`: torch keeps the type of its pools to itself, and says "a module or a function" of what it captures.
def _capture(training_pass: _TrainingPass, inputs: dict[str, Tensor], pool: Any) -> Captured:
    """Capture a pass for one shape. Dropout goes on with the random numbers that it would have had without it."""
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
        raise UserError("params.yaml: runtime.cuda_graphs", problem, "false") from None
