"""The phases of a training run: plain epochs, the objective's own epochs, and epochs of the head.

A seed fixes the head, the order of the data and dropout, each from its own stream. So arms with the same seed are
paired: they get the same rows in the same batches under the same dropout masks.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple

import torch
from accelerate.utils import gather_object

from src.core.method.objectives import plain_objective
from src.core.models.trained_weights import put_trained_weights, trained_weights
from src.core.training.checkpoints import Checkpoints
from src.core.training.head_phase import with_head_alone
from src.core.training.loop import SYNC_EVERY, Phase, Setup
from src.params import Objective, Training
from src.system.interrupts import Stopped, StopRequest


@dataclass(frozen=True)
class TrainingResult:
    """The result of a training run.

    Attributes:
        history: a flat row for each epoch.
        best_epoch: the epoch whose weights the model has now; with `keep_epoch` last, the last one.
        steps: the number of steps taken.
        resumed_at: the step of the checkpoint that training went on from; 0 without one.
    """

    history: list[dict[str, float]]
    best_epoch: int
    steps: int
    resumed_at: int


class _Plan(NamedTuple):
    """The objective and settings of a phase, and whether it learns from labels alone, or trains only the head."""

    objective: Objective
    settings: Training
    of_labels: bool = False
    of_head: bool = False


def train(
    setup: Setup, objective: Objective, settings: Training, checkpoints: Checkpoints | None = None
) -> TrainingResult:
    """Train a model in place and leave it with the weights of the epoch that `settings.keep_epoch` names.

    The best epoch has the highest first metric on selection; the lower selection NLL breaks ties.

    With `plain_epochs`, the model is first fine-tuned for that many epochs like an arm without CMI. The objective's own
    epochs go on from the kept one of these. This is how the MCMI teachers are trained.

    With `head_epochs`, only the head is then trained by cross-entropy, on features that are computed once, and the kept
    epoch is one of these. An objective that does not learn labels has no score to choose by, so its own last epoch is
    kept.

    With `checkpoints`, training goes on from the newest one and saves more. The result is the same as without a stop.

    Raises:
        FloatingPointError: the loss is not finite.
        Stopped: a signal came. A checkpoint is saved if `checkpoints` is given.
    """
    saved = None if checkpoints is None else checkpoints.load()
    history, steps, resumed_at = [], 0, saved["steps_before"] + saved["steps_taken"] if saved else 0
    if setup.curve is not None:
        setup.curve.begin(saved["history"] if saved else [])
    with StopRequest() as request:
        for number, plan in enumerate(_phases(objective, settings)):
            if saved and number < saved["phase"]:
                continue
            if saved and plan.of_head:
                put_trained_weights(setup.model, saved["whole"])
            phase = Phase(_own_setup(setup, plan), plan.objective, plan.settings, number, history, steps)
            if saved:
                phase.load_state_dict(saved)
                saved = None  # it takes as much memory as the model and its optimiser
                setup.accelerator.print(f"going on from the checkpoint at step {resumed_at}", flush=True)
            whole = {"whole": trained_weights(setup.model)} if plan.of_head else {}
            phase.run(partial(_pause, request=request, checkpoints=checkpoints, more=whole))
            history, steps = phase.history, phase.steps
    return TrainingResult(history, phase.kept.epoch, steps, resumed_at)


def _phases(objective: Objective, settings: Training) -> Iterator[_Plan]:
    """The phases of a run: plain epochs, the objective's own, and epochs of the head. Each has its own schedule."""
    alone = {"plain_epochs": 0, "head_epochs": 0}
    if settings.plain_epochs:
        own = {"epochs": settings.plain_epochs}
        yield _Plan(plain_objective(objective), settings.model_copy(update=alone | own), of_labels=True)
    no_score = {} if objective.learns_labels else {"keep_epoch": "last", "patience": None}
    yield _Plan(objective, settings.model_copy(update=alone | no_score))
    if settings.head_epochs:
        own = {"epochs": settings.head_epochs, "lr": settings.head_lr or settings.lr}
        yield _Plan(plain_objective(objective), settings.model_copy(update=alone | own), of_labels=True, of_head=True)


def _own_setup(setup: Setup, plan: _Plan) -> Setup:
    """The parts of a run as a phase needs them: without transfer rows, or with the head as the whole model."""
    if plan.of_head:
        return with_head_alone(setup)
    return replace(setup, data=replace(setup.data, train=setup.data.train.labelled())) if plan.of_labels else setup


def _pause(phase: Phase, request: StopRequest, checkpoints: Checkpoints | None, more: dict[str, Any]) -> None:
    """Save a checkpoint between two steps, with `more` in it, if one is due. Stop if a signal came."""
    accelerator = phase.accelerator
    stop, due = request.pending() or 0, checkpoints is not None and checkpoints.due()
    if accelerator.num_processes > 1:  # all processes must decide alike, and asking them takes time, so ask rarely
        if phase.steps % SYNC_EVERY and not phase.epoch_is_over:
            return
        votes = torch.tensor([stop, due and accelerator.is_main_process], device=accelerator.device)
        stop, due = accelerator.gather(votes.unsqueeze(0)).amax(dim=0).tolist()
    if checkpoints is not None and (stop or due):
        phase.check_finite()
        state = phase.state_dict() | more | {"processes": gather_object([phase.process_state()])}
        if accelerator.is_main_process:
            checkpoints.save(phase.steps, state)
    if stop and checkpoints is None:
        raise Stopped(stop)
    if stop:
        raise Stopped(stop, f"a checkpoint is saved at step {phase.steps}; run it again to go on from there")
