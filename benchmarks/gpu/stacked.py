"""Several small models of one arm, trained in one process as one batched model: MiniLM's shape, bf16.

torch.func turns the same product of all models into one batched product. Timed: steps of plain fine-tuning on batches
that stay on the GPU, with clipping and AdamW, in one CUDA graph. Each model has rows, dropout and clipping of its own.
The vocabulary has the size that `benchmarks.gpu.many` uses. Unlike a run of the project, pooler and head are in bf16,
and kernels need not be deterministic. Without a GPU nothing is captured.
"""

import copy
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap
from transformers import AutoModelForSequenceClassification, PretrainedConfig

from benchmarks.gpu.captured import adamw, captured, rate_of
from benchmarks.gpu.made import minilm, tiny_minilm
from benchmarks.gpu.speed import torch_device
from benchmarks.gpu.trials import ROUNDS
from benchmarks.processes import contenders, in_turns

COUNTS = (1, 2, 4, 8, 16)
BATCH_SHAPE, STEPS = (32, 64), 50  # rows of a batch and tokens of a row
LR, MAX_GRAD_NORM = 1e-4, 1.0

Weights = dict[str, Tensor]


def measure(_: Path, tiny: bool) -> Iterator[dict[str, Any]]:
    """Steps of a model per second by the number of models, and the gain over one model."""
    config, sizes = (tiny_minilm(), (2, (2, 8))) if tiny else (minilm(vocab_size=1000), (STEPS, BATCH_SHAPE))
    one = None
    for count in COUNTS[:2] if tiny else COUNTS:
        try:
            with contenders({"stacked": (step_rate, config, count, *sizes)}, gpu=True) as measures:
                found = median(in_turns(measures, ROUNDS)["stacked"])
        except RuntimeError as error:  # such as a lack of memory
            yield {f"{count} models, failed": str(error)}
            continue
        one = found if count == 1 else one
        gain = {} if one is None else {f"{count} models / one": found / one}
        yield {f"{count} models, steps of a model per second": found} | gain


def step_rate(config: PretrainedConfig, count: int, steps: int, shape: tuple[int, int]) -> Callable[[], float]:
    """A function that measures the steps of a model per second, with `count` models at once."""
    device = torch_device()
    stacked = Stacked(new_models(config, count), made_rows(config, count, shape), device)
    steps_per_second = rate_of(captured(stacked.step), steps)
    return lambda: count * steps_per_second()


def new_models(config: PretrainedConfig, count: int) -> list[nn.Module]:
    """Models with random weights, each from a seed of its own.

    They use eager attention, because vmap has no batching rule for the backward pass of torch's fused attention.
    """
    models = []
    for seed in range(count):
        torch.manual_seed(seed)
        model = AutoModelForSequenceClassification.from_config(config, attn_implementation="eager")
        models.append(model.train())
    return models


def made_rows(config: PretrainedConfig, count: int, shape: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Random tokens (models, rows, tokens) and labels (models, rows)."""
    draw = torch.Generator().manual_seed(0)
    tokens = torch.randint(1, config.vocab_size, (count, *shape), generator=draw)
    return tokens, torch.randint(0, 2, (count, shape[0]), generator=draw)


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
        # vmap forbids reading a mask's values. transformers reads none if it has four dimensions. It hides no token.
        self.mask = torch.zeros_like(self.tokens, dtype=torch.float32)[:, :, None, None]
        self.shape = copy.deepcopy(models[0]).to("meta")
        self.rounds, self.optimizer = rounds, adamw(self.weights.values(), LR, device)

    def step(self) -> None:
        """Take one step of all models."""
        for name, gradient in self.gradients().items():
            self.weights[name].grad = gradient
        self.optimizer.step()

    def gradients(self) -> Weights:
        """The clipped gradients of all weights (models, ...)."""
        of_models = vmap(self._loss, randomness="different")
        with torch.autocast(self.tokens.device.type, torch.bfloat16, self.rounds, cache_enabled=False):
            losses = of_models(self.weights, self.buffers, self.tokens, self.mask, self.labels)
        gradients = torch.autograd.grad(losses.sum(), list(self.weights.values()))
        found = dict(zip(self.weights, gradients, strict=True))
        squares = torch.stack([gradient.flatten(1).pow(2).sum(1) for gradient in found.values()]).sum(0)
        factors = (MAX_GRAD_NORM / (squares.sqrt() + 1e-6)).clamp(max=1.0)
        return {name: gradient * factors.view(-1, *[1] * (gradient.ndim - 1)) for name, gradient in found.items()}

    def _loss(self, weights: Weights, buffers: Weights, tokens: Tensor, mask: Tensor, labels: Tensor) -> Tensor:
        inputs = {"input_ids": tokens, "attention_mask": mask}
        logits = functional_call(self.shape, (weights, buffers), kwargs=inputs).logits
        return F.cross_entropy(logits.float(), labels)
