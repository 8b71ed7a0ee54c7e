"""Trained weights in a few flat tensors, so that a step casts and updates few tensors."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from benchmarks.gpu.captured import adamw


@dataclass(frozen=True)
class FlatGroup:
    """Weights that share a weight decay.

    `master` is float32, and AdamW updates it. The model reads `used`: a bf16 copy of `master` for the encoder's linear
    layers, else `master` itself.
    """

    weights: list[nn.Parameter]
    master: nn.Parameter
    used: Tensor

    def gather(self) -> None:
        """Join the gradients of the weights into the gradient of `master`."""
        gradients: list[Any] = [weight.grad for weight in self.weights]
        self.master.grad = torch.cat([gradient.flatten() for gradient in gradients]).float()
        for weight in self.weights:
            weight.grad = None

    @torch.no_grad()
    def cast(self) -> None:
        """Copy `master` to `used` in bf16, if `used` is a copy."""
        if self.used.dtype != self.master.dtype:
            self.used.copy_(self.master)


class FlatWeights:
    """The trained weights of a model, and AdamW over them.

    Autocast casts each linear weight in each step. Here two kernels cast those of the encoder. Their gradients are in
    bf16 until `gather` joins them. Embeddings, layer norms, pooler and head stay in float32.

    Args:
        model: its weights become views.
        groups: the groups of its optimiser.
        lr: the learning rate.
        max_grad_norm: the largest norm of the gradient.
    """

    def __init__(self, model: PreTrainedModel, groups: list[dict[str, Any]], lr: float, max_grad_norm: float) -> None:
        rounded, own = weights_of_products(model), []
        self.groups, self.max_grad_norm = [], max_grad_norm
        for group in groups:
            for dtype in (torch.bfloat16, torch.float32):
                weights = [one for one in group["params"] if (id(one) in rounded) == (dtype == torch.bfloat16)]
                if weights:
                    self.groups.append(flattened(weights, dtype))
                    own.append({"params": [self.groups[-1].master], "weight_decay": group["weight_decay"]})
        self.optimizer = adamw(own, lr, model.device)

    def step(self) -> None:
        """Clip the gradients, and take one step."""
        for group in self.groups:
            group.gather()
        torch.nn.utils.clip_grad_norm_([group.master for group in self.groups], self.max_grad_norm)
        self.optimizer.step()
        for group in self.groups:
            group.cast()


def weights_of_products(model: PreTrainedModel) -> set[int]:
    """The ids of the weights of the layers' linear maps, whose products autocast rounds."""
    layers = model.base_model.get_submodule("encoder")
    maps = (module for module in layers.modules() if isinstance(module, nn.Linear))
    return {id(weight) for module in maps for weight in module.parameters()}


def flattened(weights: list[nn.Parameter], dtype: torch.dtype) -> FlatGroup:
    """Make weights views of one flat tensor of a type."""
    master = nn.Parameter(torch.cat([weight.detach().flatten() for weight in weights]))
    used = master.detach().to(dtype)  # the master's own memory if the type is the same
    for weight, view in zip(weights, used.split([weight.numel() for weight in weights]), strict=True):
        weight.data = view.view_as(weight)
    return FlatGroup(weights, master, used)
