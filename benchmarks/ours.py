"""The project's own training, stopped and timed from outside. No other benchmark touches the inner parts of training.

A measurement calls `train` like a stage, and replaces `Phase._step`, one training step. The replacement times the real
step, and ends the run after enough steps. So the time between two steps counts too.
"""

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from unittest import mock

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor

from src.core.machine.device import precision_of
from src.core.machine.environment import start
from src.core.method.objectives import RunObjective
from src.core.monitoring.live import LiveCurve
from src.core.training.checkpoints import Checkpoints
from src.core.training.inference import predict
from src.core.training.loading import LoadTeacher, PreparedRun, prepare_run
from src.core.training.loop import Phase, Setup
from src.core.training.phases import train
from src.data.prepared import PreparedTask
from src.params import Role, RunSettings, Training
from src.runs import RunName

real_step = Phase._step


class Enough(Exception):
    """Enough steps have been timed."""


@dataclass
class Ready:
    """A run that is ready to train: model, data and settings."""

    loaded: PreparedRun
    settings: RunSettings
    accelerator: Accelerator

    @property
    def training(self) -> Training:
        """The settings of the optimisation, with more epochs than are timed, so that the learning rate never ends."""
        return self.settings.training.model_copy(update={"epochs": 1000, "plain_epochs": 0})


def ready(
    task: PreparedTask,
    settings: RunSettings,
    role: Role = "teacher",
    teacher_logits: np.ndarray | None = None,
    load_teacher: LoadTeacher | None = None,
) -> Ready:
    """Load a run as the stages do, with all work between loading and training."""
    accelerator = start(settings.runtime)
    loaded = prepare_run(RunName(task.name, role, "benchmark", 0), task, settings, teacher_logits, load_teacher)
    return Ready(loaded, settings, accelerator)


def train_with(
    step: Callable[[Phase, Tensor], None],
    run: Ready,
    checkpoints: Checkpoints | None = None,
    epochs: int | None = None,
    curve: LiveCurve | None = None,
) -> None:
    """Train with `step` in place of the training step, until it raises `Enough`."""
    training = run.training if epochs is None else run.training.model_copy(update={"epochs": epochs})
    with mock.patch.object(Phase, "_step", step), suppress(Enough):
        precision = precision_of(run.settings.runtime)
        setup = Setup(run.loaded.model, run.loaded.data, 0, run.accelerator, precision, curve, run.loaded.relations)
        train(setup, run.settings.objective, training, checkpoints)


@dataclass(frozen=True)
class Timed:
    """The row numbers of each timed batch, and the seconds from the start of the first to the end of the last."""

    batches: list[Tensor]
    seconds: float

    @property
    def rows(self) -> int:
        """The number of rows in the timed batches."""
        return sum(map(len, self.batches))


def timed_steps(run: Ready, steps: int) -> Timed:
    """Time the first steps of a new run of `train`.

    Timed: batches, forward, loss, backward, clipping, update, and the loop's work between steps. Not timed: loading,
    tokenisation, creation of the optimiser, evaluation and saving.
    """
    batches: list[Tensor] = []
    times: list[float] = []

    def step(phase: Phase, rows: Tensor) -> None:
        if not times:
            times.append(now())
        real_step(phase, rows)
        batches.append(rows)
        if len(batches) == min(steps, phase.steps_per_epoch):
            times.append(now())
            raise Enough

    train_with(step, run)
    return Timed(batches, times[1] - times[0])


def use(phase: Phase, objective: RunObjective) -> None:
    """Have a phase take its next steps with another objective, which may have other terms."""
    phase.objective, device = objective, phase.accelerator.device
    phase.loss_sums, phase.loss_counts = torch.zeros(2, len(objective.names), device=device)
    phase.of_all_rows = torch.tensor(objective.of_all_rows, device=device)


def epoch_rate(run: Ready) -> float:
    """Rows per second of one epoch over the run's train rows."""
    timed = timed_steps(run, run.loaded.data.train.labels.numel())
    return timed.rows / timed.seconds


def predicting_rate(run: Ready) -> float:
    """Rows per second at which the run's model predicts its train split."""
    began = now()
    predict(run.loaded.model, run.loaded.tokens["train"], run.accelerator)
    return len(run.loaded.tokens["train"].lengths) / (now() - began)


def warmed_up(run: Ready) -> Ready:
    """The run after two steps, so that libraries have chosen their kernels and memory is allocated."""
    timed_steps(run, 2)
    return run


def now() -> float:
    """The time in seconds, after the GPU has finished its work."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()
