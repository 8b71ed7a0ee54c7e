"""Training with one objective and one learning-rate schedule, and the epoch whose weights are kept."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor
from tqdm import tqdm

from src.core.machine.randomness import random_states, restore_random_states, stream_seed
from src.core.method.batch import Processes, TrainSums
from src.core.method.cmi import ClassSums, class_sums
from src.core.method.objectives import RunObjective
from src.core.method.spaces import Outputs
from src.core.models.classifier import Classifier
from src.core.models.encoding import training_batches
from src.core.models.last_attention import RelationTeacher
from src.core.models.trained_weights import put_trained_weights, trained_weights
from src.core.monitoring.live import LiveCurve
from src.core.training.batches import TrainingData
from src.core.training.diagnostics import diagnose
from src.core.training.inference import predict
from src.core.training.optimisation import optimise
from src.params import Objective, Precision, Training

SYNC_EVERY = 50  # steps between two checks that make a GPU or another process wait


@dataclass(frozen=True)
class Setup:
    """The parts of a run that its phases share."""

    model: Classifier
    data: TrainingData
    seed: int
    accelerator: Accelerator
    precision: Precision = "fp32"
    curve: LiveCurve | None = None
    relations: RelationTeacher | None = None


@dataclass
class Kept:
    """The kept epoch, its score and its trained weights. Scores are compared element by element."""

    score: tuple[float, ...] = (-math.inf, -math.inf)
    epoch: int = 0
    weights: dict[str, Tensor] = field(default_factory=dict)


def epoch_score(row: Mapping[str, float], metric: str) -> tuple[float, float]:
    """The score of an epoch: the metric on selection, ties by the lower NLL. `row` is one of a history."""
    return float(row[f"selection_{metric}"]), -float(row["selection_nll"])


class Phase:
    """Training with one objective and one learning-rate schedule.

    A checkpoint has all of its state: the state that the processes share, and each process's own. The seed, the epoch
    and the number of batches taken determine the order of the data.

    Args:
        number: the number of earlier phases of the run.
        history, steps_before: the epochs and steps of the earlier phases.
    """

    def __init__(
        self,
        setup: Setup,
        objective: Objective,
        settings: Training,
        number: int,
        history: Sequence[dict[str, float]],
        steps_before: int,
    ) -> None:
        accelerator = setup.accelerator
        accelerator.free_memory()  # frees an earlier phase's wrapped model
        self.model, self.data, self.seed, self.accelerator = setup.model, setup.data, setup.seed, accelerator
        self.number, self.settings, self.curve = number, settings, setup.curve
        processes = Processes(accelerator.num_processes, lambda tensor: accelerator.reduce(tensor, "sum"))
        self.objective = RunObjective(objective, self.data.num_classes, processes, settings.accumulate)
        self.steps_per_epoch = len(self._order(epoch=0))
        self.optimisation = optimise(self.model, settings, self.steps_per_epoch, accelerator, setup.precision)
        self.history, self.epochs_before, self.steps_before = list(history), len(history), steps_before
        self.relations = setup.relations if objective.relation_weight else None  # plain epochs and the head have none
        if self.relations is not None:
            self.relations.teacher.to(accelerator.device)
        self.kept = Kept()
        self.batches_taken = 0
        self.loss_sums, self.loss_counts = torch.zeros(2, len(self.objective.names), device=accelerator.device)
        self.of_all_rows = torch.tensor(self.objective.of_all_rows, device=accelerator.device)

    @property
    def epochs(self) -> int:
        """The number of finished epochs, including earlier phases."""
        return len(self.history)

    @property
    def steps(self) -> int:
        """The number of steps taken, including earlier phases."""
        return self.steps_before + self.optimisation.steps_taken

    @property
    def epoch_is_over(self) -> bool:
        """Whether the epoch has no batch left, or has not begun."""
        return self.batches_taken in (0, self.steps_per_epoch)

    @property
    def is_over(self) -> bool:
        """Whether all epochs are done, or patience has run out."""
        waited = self.epochs - max(self.kept.epoch, self.epochs_before)
        impatient = self.settings.patience is not None and waited >= self.settings.patience
        return impatient or self.epochs - self.epochs_before >= self.settings.epochs

    def run(self, pause: Callable[["Phase"], None]) -> None:
        """Train to the end and leave the model with the kept weights. Call `pause` after each step and epoch."""
        while not self.is_over:
            rate = self._train_epoch(pause)
            self._end_epoch(rate)
            pause(self)
        if self.optimisation.steps_skipped == self.optimisation.steps_taken:
            raise FloatingPointError("in fp16 no step had finite gradients; bf16 and fp32 have a wider range")
        put_trained_weights(self.model, self.kept.weights)

    def _train_epoch(self, pause: Callable[["Phase"], None]) -> float | None:
        """Train on the epoch's remaining batches. Return the rows per second, or None if no batch remains."""
        batches = self._order(self.epochs)
        if self.batches_taken == 0:
            self._begin_epoch()
        self.optimisation.model.train()
        left = batches[self.batches_taken :]
        began = time.perf_counter()
        hidden = None if self.accelerator.is_main_process else True  # None: hidden unless on a terminal
        for rows in tqdm(left, initial=self.batches_taken, total=len(batches), leave=False, disable=hidden):
            self._step(rows)
            pause(self)
        self.check_finite()
        return sum(map(len, left)) / (time.perf_counter() - began) if left else None

    def _order(self, epoch: int) -> list[Tensor]:
        """The batches of an epoch, as row numbers."""
        order = torch.Generator().manual_seed(stream_seed(self.seed, "order", epoch))
        return training_batches(self.data.train.tokens.lengths, self.settings.batch_size, order)

    def _begin_epoch(self) -> None:
        self.objective.start_epoch(self.epochs - self.epochs_before, self._train_sums())
        torch.manual_seed(stream_seed(self.seed, "dropout", self.epochs, self.accelerator.process_index))
        self.loss_sums.zero_()
        self.loss_counts.zero_()

    def _step(self, rows: Tensor) -> None:
        """Train on one batch: forward, loss and backward of each part, then the update."""
        accelerator, progress = self.accelerator, self.optimisation.progress
        place = accelerator.process_index, accelerator.num_processes
        for part in rows.tensor_split(self.settings.accumulate):
            passes = self.objective.passes
            inputs, batch = self.data.train.batch(rows, *place, progress, accelerator.device, part, passes)
            outputs = self.optimisation.model(**inputs)
            if self.relations is not None:
                batch = replace(batch, last_layers=self.relations.last_layers(inputs))
            terms = self.objective(outputs, batch)
            self.optimisation.backward(terms.total, accelerator)
            # Each term is a mean over rows of the batch. With their number as weight, an epoch's mean is over its rows.
            counts = torch.where(self.of_all_rows, batch.all_rows, batch.all_labelled)
            self.loss_sums += terms.values() * counts
        self.optimisation.step(accelerator)
        self.loss_counts += counts
        if self.batches_taken % SYNC_EVERY == 0:
            self.check_finite()
        self.batches_taken += 1

    def _end_epoch(self, rate: float | None) -> None:
        """Measure the model. Keep its weights if they are the best so far, or if the last epoch is to be kept."""
        means = self.accelerator.reduce(self.loss_sums, "mean") / self.loss_counts.clamp(min=1)
        losses = {f"loss_{name}": value for name, value in zip(self.objective.names, means.tolist(), strict=True)}
        measures = diagnose(self.model, self.data, self.objective.settings.feature_map, self.accelerator)
        row = {"epoch": self.epochs + 1} | losses | self.optimisation.skipped() | measures
        if not math.isfinite(row["selection_nll"]):
            raise FloatingPointError(f"the model's outputs are not finite after epoch {self.epochs + 1}")
        self.history.append(row)
        if self.curve is not None:
            self.curve.add(row, learning_rate=self.optimisation.rate, rows_per_second=rate)
        self.batches_taken = 0
        score = epoch_score(row, self.data.metrics[0])
        if self.settings.keep_epoch == "last" or score > self.kept.score:
            weights = {name: weight.detach().clone() for name, weight in trained_weights(self.model).items()}
            self.kept = Kept(score, self.epochs, weights)
        self.accelerator.print(self._progress(row), flush=True)

    def _train_sums(self) -> TrainSums:
        """Sums by label over the whole train split, for the centroids that look at it. All share one pass."""

        @cache
        def outputs() -> tuple[Outputs, Tensor]:
            split = self.data.train.labelled()
            return predict(self.model, split.tokens, self.accelerator), split.labels

        def sums(values: Callable[[Outputs], Tensor]) -> ClassSums:
            of_split, labels = outputs()
            of_labels = class_sums(values(of_split), labels, self.data.num_classes)
            return ClassSums(*(part.to(self.accelerator.device) for part in of_labels))

        return sums

    def check_finite(self) -> None:
        """Raise FloatingPointError if the epoch's loss so far is not finite."""
        if not torch.isfinite(self.loss_sums[self.objective.names.index("total")]):
            raise FloatingPointError(f"the loss is not finite by step {self.optimisation.steps_taken}")

    def _progress(self, row: dict[str, float]) -> str:
        metric, last = self.data.metrics[0], self.epochs_before + self.settings.epochs
        return (
            f"epoch {row['epoch']:.0f}/{last}  loss {row['loss_total']:.4f}  "
            f"selection {metric} {row[f'selection_{metric}']:.4f}  "
            f"CMI class {row['selection_class_cmi']:.4f} feature {row['selection_feature_cmi']:.5f}"
        )

    def state_dict(self) -> dict[str, Any]:
        """The state of the phase that all processes share."""
        return {
            "phase": self.number,
            "history": self.history,
            "epochs_before": self.epochs_before,
            "steps_before": self.steps_before,
            "batches_taken": self.batches_taken,
            "kept": vars(self.kept),
            "model": trained_weights(self.model),
            "objective": self.objective.state_dict(),
            **self.optimisation.state_dict(),
        }

    def process_state(self) -> dict[str, Any]:
        """This process's own state: the losses of its rows, and its random states."""
        losses = (self.loss_sums.cpu(), self.loss_counts.cpu())
        return {"losses": losses, "random": random_states(self.accelerator.device)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore a state of `state_dict`, with each process's `process_state` under "processes"."""
        device, own = self.accelerator.device, state["processes"][self.accelerator.process_index]
        self.history, self.epochs_before = state["history"], state["epochs_before"]
        self.steps_before, self.batches_taken = state["steps_before"], state["batches_taken"]
        self.kept = Kept(**state["kept"])
        put_trained_weights(self.model, state["model"])
        self.objective.load_state_dict(state["objective"], device)
        self.optimisation.load_state_dict(state)
        self.loss_sums, self.loss_counts = (sums.to(device) for sums in own["losses"])
        restore_random_states(own["random"], device)
