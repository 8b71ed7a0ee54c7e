"""Weights in flat tensors, so that one kernel casts them and few update them, in place of some for each weight."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel


@dataclass(frozen=True)
class Part:
    """Weights with one weight decay: a float32 master, and what the model computes with and its gradients.

    `used` is a bf16 copy of the master if products read these weights, else the master itself.
    """

    master: nn.Parameter
    used: Tensor
    gradients: Tensor


class FlatWeights:
    """Trained weights as views of a few flat tensors, and AdamW over these.

    Autocast casts each weight of a linear layer to bf16 in each step. Here one copy casts all of them. Their gradients
    are in bf16 too, as the products give them. The other weights and the pooler stay in float32.

    Args:
        model: its weights are replaced by views.
        groups: the groups of its optimiser.
        rate: the learning rate, as a tensor if the step is captured.
    """

    def __init__(self, model: PreTrainedModel, groups: list[dict], rate: float | Tensor, max_grad_norm: float) -> None:
        rounded = weights_of_products(model)
        self.parts, self.max_grad_norm = [], max_grad_norm
        own = []
        for group in groups:
            for is_rounded in (True, False):
                weights = [weight for weight in group["params"] if (id(weight) in rounded) == is_rounded]
                if weights:
                    self.parts.append(flattened(weights, torch.bfloat16 if is_rounded else torch.float32))
                    own.append({"params": [self.parts[-1].master], "weight_decay": group["weight_decay"]})
        self.optimizer = torch.optim.AdamW(own, lr=rate, fused=True, capturable=isinstance(rate, Tensor))

    def step(self) -> None:
        """Clip the gradients, take one step, and set the gradients to 0."""
        for part in self.parts:
            part.master.grad = part.gradients.float()
        torch.nn.utils.clip_grad_norm_([part.master for part in self.parts], self.max_grad_norm)
        self.optimizer.step()
        with torch.no_grad():
            for part in self.parts:
                if part.used.dtype != part.master.dtype:
                    part.used.copy_(part.master)
                part.gradients.zero_()


def weights_of_products(model: PreTrainedModel) -> set[int]:
    """The ids of the weights of the layers' linear maps, whose products autocast rounds."""
    layers = model.base_model.get_submodule("encoder")
    maps = (module for module in layers.modules() if isinstance(module, nn.Linear))
    return {id(weight) for module in maps for weight in module.parameters()}


def flattened(weights: list[nn.Parameter], dtype: torch.dtype) -> Part:
    """Replace weights by views of one flat tensor of a type, and their gradients likewise."""
    master = nn.Parameter(torch.cat([weight.detach().flatten() for weight in weights]))
    used = master.detach() if dtype == master.dtype else master.detach().to(dtype)
    gradients = torch.zeros_like(used)
    sizes = [weight.numel() for weight in weights]
    for weight, view, gradient in zip(weights, used.split(sizes), gradients.split(sizes), strict=True):
        weight.grad = None
        weight.data = view.view_as(weight)
        weight.grad = gradient.view_as(weight)
    return Part(master, used, gradients)
