"""A batch as the objective sees it: its rows, their labels, and how processes share it."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from torch import Tensor

from src.core.method.cmi import ClassSums, class_sums
from src.core.method.relations import LastLayer
from src.core.method.spaces import Outputs, OutputSpace

NO_LABEL = -1
# Sums over the train split, by label, of a function of its outputs that gives (N, D) values.
TrainSums = Callable[[Callable[[Outputs], Tensor]], ClassSums]


@dataclass(frozen=True)
class Batch:
    """The data of a batch that the objective needs besides the model's outputs, for this process's n rows.

    Attributes:
        labels: (n,), with `NO_LABEL` for a row without a label.
        teacher_logits: (n, C), or None without a teacher.
        global_rows: rows of the batch over all processes; None if this process has all of them.
        global_labelled: labelled rows of the batch over all processes; None likewise.
        part_labelled: labelled rows of this part of the batch over all processes; None if the batch is not in parts.
        progress: share of the run's steps already taken.
        last_layers: the last layers of the student and of its teacher; None if no term compares them.
    """

    labels: Tensor
    teacher_logits: Tensor | None = None
    global_rows: int | None = None
    global_labelled: int | None = None
    part_labelled: int | None = None
    progress: float = 1.0
    last_layers: tuple[LastLayer, LastLayer] | None = None

    @property
    def all_rows(self) -> int:
        """The rows of the batch over all processes."""
        return self.global_rows or len(self.labels)

    @property
    def all_labelled(self) -> int:
        """The labelled rows of the batch over all processes."""
        return self.all_rows if self.global_labelled is None else self.global_labelled


@dataclass(frozen=True)
class Processes:
    """The number of processes that share a batch, and a function that adds up a tensor over them."""

    count: int = 1
    add: Callable[[Tensor], Tensor] = lambda tensor: tensor

    def mean(self, rows: Tensor, global_rows: int) -> Tensor:
        """This process's part of a term's mean over the global batch, from its rows (n,).

        The average over processes, which data-parallel training takes of gradients, is the exact mean. This holds even
        if processes have different numbers of rows.
        """
        return rows.sum() * (self.count / global_rows)

    def total(self, local: Tensor) -> Tensor:
        """The sum over processes. The average of its gradients over processes is the gradient of the sum."""
        # The value is `self.add(local)`, which passes no gradient. The value of `scaled` cancels out; its gradient
        # stays: `count` times the gradient of this process's part. Data-parallel training divides by `count`.
        scaled = self.count * local
        return scaled + (self.add(local.detach()) - scaled.detach())


class Distributions(NamedTuple):
    """p_x of this process's labelled rows: log-probabilities (n, D), and class sums of p over all processes.

    Both carry the gradient of this process's rows.
    """

    log_p: Tensor
    sums: ClassSums

    @property
    def held_sums(self) -> ClassSums:
        """The sums without a gradient, for centroids."""
        return ClassSums(self.sums.totals.detach(), self.sums.counts)


class View:
    """The terms' view of a batch: this process's rows, and sums over all processes.

    Attributes:
        outputs: outputs of all n rows.
        known, labels: outputs of the rows that have a label, and these labels.
        labelled_rows: number of rows with a label in the batch, over all processes and parts; at least 1.
        part_rows: number of rows with a label in this part of the batch, over all processes; at least 1.
    """

    def __init__(
        self, outputs: Outputs, batch: Batch, space: OutputSpace, num_classes: int, processes: Processes
    ) -> None:
        self.outputs, self.batch, self.processes = outputs, batch, processes
        self.space, self.num_classes = space, num_classes
        self._at: dict[float, Distributions] = {}
        self.known, self.labels = outputs, batch.labels
        if batch.all_labelled < batch.all_rows:
            self.known, self.labels = _labelled(outputs, batch.labels)
        self.labelled_rows = max(batch.all_labelled, 1)
        self.part_rows = self.labelled_rows if batch.part_labelled is None else max(batch.part_labelled, 1)

    def mean(self, rows: Tensor) -> Tensor:
        """The mean over the batch's labelled rows, from this process's labelled rows: a scalar."""
        return self.processes.mean(rows, self.labelled_rows)

    def mean_of_all(self, rows: Tensor) -> Tensor:
        """The mean over all rows of the batch, from this process's rows: a scalar."""
        return self.processes.mean(rows, self.batch.all_rows)

    def p(self, tau: float) -> Distributions:
        """p_x of the labelled rows in the objective's space, at a temperature. Each is computed once."""
        if tau not in self._at:
            log_p = self.space.log_p(self.known, self._centre, tau)
            self._at[tau] = Distributions(log_p, self.class_sums(log_p.exp()))
        return self._at[tau]

    def class_sums(self, values: Tensor) -> ClassSums:
        """Sums by label over all processes. They carry the gradient of this process's rows."""
        local = class_sums(values, self.labels, self.num_classes)
        return ClassSums(self.processes.total(local.totals), self.processes.add(local.counts))

    def class_sums_without_gradient(self, values: Tensor) -> ClassSums:
        """Sums by label over all processes, for centroids."""
        return ClassSums(*map(self.processes.add, class_sums(values.detach(), self.labels, self.num_classes)))

    @cached_property
    def _centre(self) -> Tensor | None:
        return self.space.centre_of_batch(self.known)


def _labelled(outputs: Outputs, labels: Tensor) -> tuple[Outputs, Tensor]:
    """The outputs and labels of the rows that have a label."""
    known = labels != NO_LABEL
    return Outputs(outputs.logits[known], outputs.features[known]), labels[known]
