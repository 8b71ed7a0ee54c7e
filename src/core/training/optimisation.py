"""AdamW with a linear schedule and warm-up, prepared for the device and the processes."""

from dataclasses import dataclass
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor
from torch.optim.lr_scheduler import LambdaLR

from src.core.models.classifier import Classifier
from src.params import Precision, Training


@dataclass
class Optimisation:
    """A model wrapped for the processes, with its optimiser and schedule, and the steps taken of `steps`.

    In fp16, `scaler` multiplies the loss, because small gradients would be rounded to 0 (Micikevicius et al., arXiv
    1710.03740). A step whose gradients are not finite then only lowers the factor. In other precisions the scaler does
    nothing.
    """

    model: torch.nn.Module
    optimizer: torch.optim.Optimizer
    schedule: torch.optim.lr_scheduler.LRScheduler
    scaler: torch.amp.GradScaler
    max_grad_norm: float
    steps: int
    steps_taken: int = 0
    steps_skipped: int = 0

    @property
    def progress(self) -> float:
        """The share of the steps that are already taken."""
        return self.steps_taken / self.steps

    @property
    def rate(self) -> float:
        """The learning rate of the next step."""
        return float(self.schedule.get_last_lr()[0])

    def backward(self, loss: Tensor, accelerator: Accelerator) -> None:
        """Add the gradients of a loss to the gradients of the step's other parts."""
        accelerator.backward(self.scaler.scale(loss))

    def step(self, accelerator: Accelerator) -> None:
        """Take one step down the gradient."""
        self.scaler.unscale_(self.optimizer)
        accelerator.clip_grad_norm_(self.model.parameters(), self.max_grad_norm)
        self._update()
        self.schedule.step()
        self.optimizer.zero_grad()
        self.steps_taken += 1

    def _update(self) -> None:
        """Change the weights, unless a gradient in fp16 is not finite."""
        factor = self.scaler.get_scale()
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.steps_skipped += self.scaler.get_scale() < factor

    def skipped(self) -> dict[str, float]:
        """The number of the phase's steps that changed nothing, under its name; empty except in fp16."""
        return {"steps_skipped": float(self.steps_skipped)} if self.scaler.is_enabled() else {}

    def state_dict(self) -> dict[str, Any]:
        """All of its state except the model's."""
        return {
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "scaler": self.scaler.state_dict(),
            "steps_taken": self.steps_taken,
            "steps_skipped": self.steps_skipped,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore a state that `state_dict` returned."""
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        self.scaler.load_state_dict(state["scaler"])
        self.steps_taken, self.steps_skipped = state["steps_taken"], state["steps_skipped"]


def rate_after(step: int, steps: int, warmup: int) -> float:
    """The learning rate after a step as a share of the highest: it rises from 0 over the warm-up, then falls to 0.

    transformers has the same function in a module that imports its trainer and peft. The import takes two seconds of
    every stage, and makes a tensor before `src.core.speed.allocator` is called.
    """
    return step / warmup if step < warmup else max(0.0, (steps - step) / max(1, steps - warmup))


def optimise(
    model: Classifier, settings: Training, steps_per_epoch: int, accelerator: Accelerator, precision: Precision
) -> Optimisation:
    """The optimisation of a model's trained weights, over all epochs of `settings`."""
    trained = [weight for weight in model.parameters() if weight.requires_grad]
    decayed = [weight for weight in trained if weight.ndim >= 2]
    others = [weight for weight in trained if weight.ndim < 2]  # biases and layer norms
    groups = [{"params": decayed, "weight_decay": settings.weight_decay}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=settings.lr, fused=True)
    steps = steps_per_epoch * settings.epochs
    warmup = min(round(settings.warmup * steps), steps - 1)  # the last step must not have the rate 0 of the first
    schedule = LambdaLR(optimizer, lambda step: rate_after(step, steps, warmup))
    scaler = torch.amp.GradScaler(accelerator.device.type, enabled=precision == "fp16")
    return Optimisation(accelerator.prepare(model), optimizer, schedule, scaler, settings.max_grad_norm, steps)
