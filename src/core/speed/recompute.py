"""Activations recomputed in the backward pass: `runtime.recompute`.

Only the output of each layer is kept. The backward pass recomputes the layer's other activations, with the same dropout
masks. Logits and gradients are the same.
"""

from contextlib import AbstractContextManager, nullcontext

from transformers import PreTrainedModel

from src.core.speed.emulation import emulated_products
from src.params import ModelSource
from src.system.errors import UserError


def recompute_activations(source: ModelSource, model: PreTrainedModel) -> None:
    """Make each layer of a model recompute its activations in the backward pass.

    Raises:
        UserError: transformers' code for this kind of model does not support it.
    """
    if not model.supports_gradient_checkpointing:
        problem = f"{source.name} is a {model.config.model_type} model, whose activations cannot be recomputed"
        raise UserError("params.yaml: runtime.recompute", problem, "set it to false")
    model.activation_checkpointing_enable({"use_reentrant": False, "context_fn": _contexts})


def _contexts() -> tuple[AbstractContextManager, AbstractContextManager]:
    """More contexts of a layer's two passes. torch restores autocast in the second one, but not the emulation."""
    return nullcontext(), emulated_products()
