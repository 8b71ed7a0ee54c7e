"""The training loop: one model, one objective, the epoch that is kept.

One seed fixes the head, the data order and dropout, each from a stream of its own, so that arms with one seed
are paired: they see the same rows in the same batches under the same dropout masks.
"""

from dataclasses import dataclass

import torch
from accelerate.utils import gather_object

from src.core.method.objectives import plain_objective
from src.core.training.checkpoints import Checkpoints
from src.core.training.phase import SYNC_EVERY, Phase, Setup
from src.interrupts import Stopped, StopRequest
from src.params import Objective, Training


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


def train(
    setup: Setup, objective: Objective, settings: Training, checkpoints: Checkpoints | None = None
) -> TrainingResult:
    """Train a model in place and leave it with the weights of the epoch that `settings.keep_epoch` names.

    With `plain_epochs` the model is first fine-tuned plainly for that many, just as an arm without CMI is, and the
    objective's own epochs go on from the one that is kept of these: the recipe of the MCMI teachers. The best epoch is
    that with the highest first metric on selection, ties broken by the lower selection NLL.

    With `checkpoints`, training goes on from the newest of them and saves more; it ends as if it had never stopped.

    Raises:
        FloatingPointError: the loss is not finite.
        Stopped: a signal came; a checkpoint is saved, if there is a place for one.
    """
    phases = [(objective, settings)]
    if settings.plain_epochs:
        plain_settings = settings.model_copy(update={"epochs": settings.plain_epochs, "plain_epochs": 0})
        phases.insert(0, (plain_objective(objective), plain_settings))
    saved = None if checkpoints is None else checkpoints.load()
    history, steps, resumed_at = [], 0, saved["steps_before"] + saved["steps_taken"] if saved else 0
    with StopRequest() as request:
        for number, (own_objective, own_settings) in enumerate(phases):
            if saved and number < saved["phase"]:
                continue
            phase = Phase(setup, own_objective, own_settings, number, history, steps)
            if saved and number == saved["phase"]:
                phase.load_state_dict(saved)
                saved = None  # it holds as much memory as the model and its optimiser
                setup.accelerator.print(f"going on from the checkpoint at step {resumed_at}", flush=True)
            phase.run(lambda current: _pause(current, request, checkpoints))
            history, steps = phase.history, phase.steps
    return TrainingResult(history, phase.kept.epoch, steps, resumed_at)


def _pause(phase: Phase, request: StopRequest, checkpoints: Checkpoints | None) -> None:
    """Between two steps: save a checkpoint if it is time, and stop if a signal asked for it."""
    accelerator = phase.accelerator
    stop, due = request.pending() or 0, checkpoints is not None and checkpoints.due()
    if accelerator.num_processes > 1:  # all processes must decide alike, and asking them takes time
        if phase.steps % SYNC_EVERY and not phase.epoch_is_over:
            return
        votes = torch.tensor([stop, due and accelerator.is_main_process], device=accelerator.device)
        stop, due = accelerator.gather(votes.unsqueeze(0)).amax(dim=0).tolist()
    if checkpoints is not None and (stop or due):
        phase.check_finite()
        state = phase.state_dict() | {"processes": gather_object([phase.process_state()])}
        if accelerator.is_main_process:
            checkpoints.save(phase.steps, state)
    if stop and checkpoints is None:
        raise Stopped(stop)
    if stop:
        raise Stopped(stop, f"a checkpoint is saved at step {phase.steps}; run it again to go on from there")
