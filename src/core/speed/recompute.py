"""Activations computed again in the backward pass: `runtime.recompute`.

What a layer computes on its way to its output is thrown away, and computed again, with the same dropout masks, when its
gradient is wanted. Of each layer only the output is kept. Logits and gradients are the same.
"""

from transformers import PreTrainedModel

from src.params import ModelSource
from src.system.errors import UserError


def recompute_activations(source: ModelSource, model: PreTrainedModel) -> None:
    """Have each layer of a model compute its activations again.

    Raises:
        UserError: transformers' code for this kind of model cannot.
    """
    if not model.supports_gradient_checkpointing:
        problem = f"{source.name} is a {model.config.model_type} model, whose activations cannot be computed again"
        raise UserError("params.yaml: runtime.recompute", problem, "false")
    model.activation_checkpointing_enable({"use_reentrant": False})
