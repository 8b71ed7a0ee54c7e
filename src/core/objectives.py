"""The loss of a run: cross-entropy, CMI, separation and distillation, each term by its weight.

    loss = (1 - alpha) CE + alpha T^2 KL(softmax(teacher/T) || softmax(student/T))
           + cmi_weight CMI - separation_weight Gamma                        (METHOD section 2; nats)

cmi_weight > 0 minimises CMI, cmi_weight < 0 maximises it. Without a teacher alpha is 0.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from src.core.centroids import TrainSums, make_centroids
from src.core.cmi import ClassSums, class_sums, kl_to_centroids, log_probabilities, separation_of_sums
from src.params import Objective

LOSS_TERMS = ("total", "ce", "kd", "cmi", "gamma")


class Outputs(NamedTuple):
    """What a classifier says of N rows: logits (N, C) and the vectors h that enter its head (N, d)."""

    logits: Tensor
    features: Tensor


@dataclass(frozen=True)
class LossTerms:
    """A batch's loss and its unweighted terms, scalars in nats; a term that the run does not have is 0."""

    total: Tensor
    ce: Tensor
    kd: Tensor
    cmi: Tensor
    gamma: Tensor

    def values(self) -> Tensor:
        """The terms as one detached vector, in the order of `LOSS_TERMS`."""
        return torch.stack([getattr(self, name).detach().float() for name in LOSS_TERMS])


def distillation_kl(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """T^2 KL(softmax(teacher/T) || softmax(student/T)) of each row, in nats.

    The factor T^2 keeps the gradient's size from falling with T (Hinton et al. 2015, section 2.1).

    Args:
        student, teacher: (N, C) logits.

    Returns:
        (N,).
    """
    log_student = log_probabilities(student, temperature)
    log_teacher = log_probabilities(teacher, temperature)
    return temperature**2 * (log_teacher.exp() * (log_teacher - log_student)).sum(dim=-1)


@dataclass(frozen=True)
class Processes:
    """How many processes share a batch, and how they add up a tensor."""

    count: int = 1
    add: Callable[[Tensor], Tensor] = lambda tensor: tensor

    def mean(self, rows: Tensor, global_rows: int) -> Tensor:
        """A term's mean over the global batch, from this process's rows (n,).

        Averaged over processes, as data-parallel training averages gradients, it is exact also where the
        processes hold different numbers of rows.
        """
        return rows.sum() * (self.count / global_rows)

    def total(self, local: Tensor) -> Tensor:
        """The sum over processes, whose gradient, averaged over processes, is that of the sum."""
        scaled = self.count * local
        return scaled + (self.add(local.detach()) - scaled.detach())


class RunObjective:
    """The objective of one run, with the state of its centroids."""

    def __init__(self, settings: Objective, num_classes: int, processes: Processes | None = None) -> None:
        self.settings = settings
        self.num_classes = num_classes
        self.processes = processes or Processes()
        self.centroids = make_centroids(settings.centroid, settings.momentum)

    def space(self, outputs: Outputs) -> Tensor:
        """The scores whose softmax CMI is taken of: features (N, d) or logits (N, C)."""
        return outputs.features if self.settings.space == "feature" else outputs.logits

    def start_epoch(self, epoch: int, train_sums: TrainSums) -> None:
        """Let the centroids look at the train split, if they are of the kind that does."""
        self.centroids.start_epoch(epoch, train_sums)

    def __call__(
        self, outputs: Outputs, labels: Tensor, teacher_logits: Tensor | None = None, global_rows: int | None = None
    ) -> LossTerms:
        """The loss of one batch.

        Args:
            outputs: of the model being trained, for this process's n rows.
            labels: (n,).
            teacher_logits: (n, C), or None for a run without a teacher.
            global_rows: rows of the batch over all processes; None where there is one process.
        """
        rows = global_rows or len(labels)
        ce = self.processes.mean(F.cross_entropy(outputs.logits.float(), labels, reduction="none"), rows)
        cmi, gamma = self._information(outputs, labels, rows)
        kd = torch.zeros_like(ce)
        total = ce
        if teacher_logits is not None:
            kl = distillation_kl(outputs.logits, teacher_logits, self.settings.temperature)
            kd = self.processes.mean(kl, rows)
            total = (1 - self.settings.alpha) * ce + self.settings.alpha * kd
        # A weight of 0 leaves the graph of its term out of the backward pass.
        if self.settings.cmi_weight:
            total = total + self.settings.cmi_weight * cmi
        if self.settings.separation_weight:
            total = total - self.settings.separation_weight * gamma
        return LossTerms(total, ce, kd, cmi, gamma)

    def _information(self, outputs: Outputs, labels: Tensor, global_rows: int) -> tuple[Tensor, Tensor]:
        """CMI and Gamma of the global batch in the objective's space."""
        log_p = log_probabilities(self.space(outputs), self.settings.tau)
        of_p, of_log_p = (self._class_sums(values, labels) for values in (log_p.exp(), log_p))
        centroids = self.centroids.update(ClassSums(of_p.totals.detach(), of_p.counts))
        cmi = self.processes.mean(kl_to_centroids(log_p, labels, centroids), global_rows)
        return cmi, separation_of_sums(of_p.totals, of_log_p.totals, global_rows)

    def _class_sums(self, values: Tensor, labels: Tensor) -> ClassSums:
        local = class_sums(values, labels, self.num_classes)
        return ClassSums(self.processes.total(local.totals), self.processes.add(local.counts))
