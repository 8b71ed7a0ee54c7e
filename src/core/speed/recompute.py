"""Activations recomputed in the backward pass: `runtime.recompute`.

Only the output of each layer is kept. The backward pass recomputes the layer's other activations, with the same dropout
masks. Logits and gradients are the same.
"""

from contextlib import nullcontext

from transformers import PreTrainedModel

from src.core.speed.emulation import emulated_products
from src.params import ModelSource
from src.system.errors import UserError


def recompute_activations(source: ModelSource, model: PreTrainedModel, emulated: bool = False) -> None:
    """Make each layer of a model recompute its activations in the backward pass.

    Args:
        emulated: whether a CPU may emulate bf16. In the second pass torch restores autocast, and this the emulation.

    Raises:
        UserError: transformers' code for this kind of model does not support it.
    """
    if not model.supports_gradient_checkpointing:
        problem = f"{source.name} is a {model.config.model_type} model, whose activations cannot be recomputed"
        raise UserError("params.yaml: runtime.recompute", problem, "set it to false")
    contexts = {"context_fn": lambda: (nullcontext(), emulated_products())} if emulated else {}
    model.activation_checkpointing_enable({"use_reentrant": False} | contexts)
