"""Several small models of one arm, trained in one process as one batched model: MiniLM's shape, bf16.

The products of S models become one batched product (torch.func). Timed: steps of plain fine-tuning on batches that are
on the GPU already, with clipping and AdamW, in one CUDA graph. Each model has rows, dropout and clipping of its own.
Without a GPU nothing is captured.
"""

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call, grad, stack_module_state, vmap
from transformers import AutoModelForSequenceClassification, PretrainedConfig

from benchmarks.gpu.made import minilm
from benchmarks.gpu.speed import torch_device
from benchmarks.gpu.trials import captured
from benchmarks.ours import now

COUNTS = (1, 2, 4, 8, 16)
SIZE = 32, 64  # rows of a batch, and tokens of a row
STEPS, WARM_UP = 50, 3
MOST = 1.0  # the largest norm of a model's gradient

Weights = dict[str, Tensor]


def measure(_: Path, tiny: bool) -> Iterator[dict[str, Any]]:
    """Steps of a model per second by the number of models, and the gain over one model."""
    config = minilm(layers=2, hidden_size=96, vocab_size=1000) if tiny else minilm()
    one = None
    for count in COUNTS[:2] if tiny else COUNTS:
        try:
            found = rate(config, count, *((2, (2, 8)) if tiny else (STEPS, SIZE)))
        except RuntimeError as error:  # such as a lack of memory
            yield {f"{count} models, failed": str(error)[-500:]}
            continue
        one = one or found
        yield {f"{count} models, steps of a model per second": found, f"{count} models / one": found / one}


def rate(config: PretrainedConfig, count: int, steps: int, size: tuple[int, int]) -> float:
    """Steps of a model per second, with `count` models at once."""
    device = torch_device()
    stacked = Stacked(new_models(config, count), made_rows(config, count, size), device)
    step = captured(stacked.step) if device.type == "cuda" else stacked.step
    for _ in range(WARM_UP):
        step()
    began = now()
    for _ in range(steps):
        step()
    return count * steps / (now() - began)


def new_models(config: PretrainedConfig, count: int) -> list[nn.Module]:
    """Models with random weights, each from a seed of its own."""
    models = []
    for seed in range(count):
        torch.manual_seed(seed)
        models.append(AutoModelForSequenceClassification.from_config(config).train())
    return models


def made_rows(config: PretrainedConfig, count: int, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Random tokens (models, rows, tokens) and labels (models, rows)."""
    draw = torch.Generator().manual_seed(0)
    tokens = torch.randint(1, config.vocab_size, (count, *size), generator=draw)
    return tokens, torch.randint(0, 2, (count, size[0]), generator=draw)


class Stacked:
    """Models that take their steps together, each on its own rows.

    Args:
        rounds: whether products are in bf16.
    """

    def __init__(
        self, models: list[nn.Module], rows: tuple[Tensor, Tensor], device: torch.device, rounds: bool = True
    ) -> None:
        weights, buffers = stack_module_state(models)
        self.weights = {name: weight.detach().to(device).requires_grad_() for name, weight in weights.items()}
        self.buffers = {name: values.to(device) for name, values in buffers.items()}
        self.tokens, self.labels = (values.to(device) for values in rows)
        # For each model the mask has four dimensions, or transformers would look at its values. It hides no token.
        self.mask = torch.zeros_like(self.tokens, dtype=torch.float32)[:, :, None, None]
        self.shape = copy.deepcopy(models[0]).to("meta")
        self.rounds, on_gpu = rounds, device.type == "cuda"
        lr = torch.tensor(1e-4, device=device) if on_gpu else 1e-4
        self.optimizer = torch.optim.AdamW(self.weights.values(), lr=lr, fused=True, capturable=on_gpu)

    def step(self) -> None:
        """Take one step of all models."""
        for name, gradient in self.gradients().items():
            self.weights[name].grad = gradient
        self.optimizer.step()

    def gradients(self) -> Weights:
        """The clipped gradients of all weights (models, ...)."""
        of_models = vmap(grad(self._loss), randomness="different")
        with torch.autocast(self.tokens.device.type, torch.bfloat16, self.rounds, cache_enabled=False):
            found = of_models(self.weights, self.buffers, self.tokens, self.mask, self.labels)
        squares = torch.stack([gradient.flatten(1).pow(2).sum(1) for gradient in found.values()]).sum(0)
        factors = (MOST / (squares.sqrt() + 1e-6)).clamp(max=1.0)
        return {name: gradient * factors.view(-1, *[1] * (gradient.ndim - 1)) for name, gradient in found.items()}

    def _loss(self, weights: Weights, buffers: Weights, tokens: Tensor, mask: Tensor, labels: Tensor) -> Tensor:
        inputs = {"input_ids": tokens, "attention_mask": mask}
        logits = functional_call(self.shape, (weights, buffers), kwargs=inputs).logits
        return F.cross_entropy(logits.float(), labels)
