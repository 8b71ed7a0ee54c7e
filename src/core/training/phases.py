"""The training loop: one model, one objective, the epoch that is kept.

One seed fixes the head, the data order and dropout, each from a stream of its own, so that arms with one seed
are paired: they see the same rows in the same batches under the same dropout masks.
"""

from collections.abc import Iterator
from dataclasses import dataclass
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
    """History per epoch (a list of flat rows), the epoch whose weights the model has now, and the steps taken.

    With `keep_epoch` last, `best_epoch` is the last one. `resumed_at` is the step of the checkpoint that training went
    on from; 0 without one.
    """

    history: list[dict[str, float]]
    best_epoch: int
    steps: int
    resumed_at: int


class _Plan(NamedTuple):
    """What a phase trains with, and whether it trains the head alone."""

    objective: Objective
    settings: Training
    of_head: bool = False


def train(
    setup: Setup, objective: Objective, settings: Training, checkpoints: Checkpoints | None = None
) -> TrainingResult:
    """Train a model in place and leave it with the weights of the epoch that `settings.keep_epoch` names.

    With `plain_epochs` the model is first fine-tuned plainly for that many, just as an arm without CMI is, and the
    objective's own epochs go on from the one that is kept of these: the recipe of the MCMI teachers. The best epoch is
    that with the highest first metric on selection, ties broken by the lower selection NLL.

    With `head_epochs` the head alone goes on from there by cross-entropy, on features that are computed once; the epoch
    is then one of these. An objective that does not learn labels has no score to choose by: its own last epoch is kept.

    With `checkpoints`, training goes on from the newest of them and saves more; it ends as if it had never stopped.

    Raises:
        FloatingPointError: the loss is not finite.
        Stopped: a signal came; a checkpoint is saved, if there is a place for one.
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
            own_setup = with_head_alone(setup) if plan.of_head else setup
            phase = Phase(own_setup, plan.objective, plan.settings, number, history, steps)
            if saved:
                phase.load_state_dict(saved)
                saved = None  # it holds as much memory as the model and its optimiser
                setup.accelerator.print(f"going on from the checkpoint at step {resumed_at}", flush=True)
            whole = {"whole": trained_weights(setup.model)} if plan.of_head else {}
            phase.run(partial(_pause, request=request, checkpoints=checkpoints, more=whole))
            history, steps = phase.history, phase.steps
    return TrainingResult(history, phase.kept.epoch, steps, resumed_at)


def _phases(objective: Objective, settings: Training) -> Iterator[_Plan]:
    """Plain epochs, the objective's own, and those of the head alone, each with a schedule of its own."""
    alone = {"plain_epochs": 0, "head_epochs": 0}
    if settings.plain_epochs:
        yield _Plan(plain_objective(objective), settings.model_copy(update=alone | {"epochs": settings.plain_epochs}))
    no_score = {} if objective.learns_labels else {"keep_epoch": "last", "patience": None}
    yield _Plan(objective, settings.model_copy(update=alone | no_score))
    if settings.head_epochs:
        own = {"epochs": settings.head_epochs, "lr": settings.head_lr or settings.lr}
        yield _Plan(plain_objective(objective), settings.model_copy(update=alone | own), of_head=True)


def _pause(phase: Phase, request: StopRequest, checkpoints: Checkpoints | None, more: dict[str, Any]) -> None:
    """Between two steps: save a checkpoint, with `more` in it, if it is time; stop if a signal asked for it."""
    accelerator = phase.accelerator
    stop, due = request.pending() or 0, checkpoints is not None and checkpoints.due()
    if accelerator.num_processes > 1:  # all processes must decide alike, and asking them takes time
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
