"""The loss of a run, term by term; docs/method.md maps each symbol to its params key and function.

    loss = (1 - alpha) L(labels) + alpha KD(teacher)
           + cmi_weight CMI / cmi_unit - separation_weight Gamma - confidence_penalty H     (nats)
           + centre_weight D + norm_penalty |h|^2                                           (no unit)

cmi_weight > 0 minimises CMI, cmi_weight < 0 maximises it. D is half the squared distance of h to its label's mean.
Without a teacher alpha is 0. Rows without a label take part in KD alone.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from src.core.method.centroids import Centroids, make_centroids
from src.core.method.cmi import ClassSums, class_sums, kl_to_centroids, separation_of_sums
from src.core.method.losses import KD_LOSSES, centre_distances, entropies, label_loss, squared_norms
from src.core.method.spaces import Outputs, OutputSpace
from src.params import Objective

LOSS_TERMS = ("label", "kd", "cmi", "gamma", "entropy")  # of every run; 0 where it has no such term
RARE_TERMS = {"centre": "centre_weight", "norm": "norm_penalty"}  # of the runs whose objective has this weight
OVER_ALL_ROWS = ("total", "kd")  # the means over all rows; those of other terms are over labelled rows
NO_LABEL = -1
# Sums over the train split, by label, of what is asked for: (N, D) values of its outputs.
TrainSums = Callable[[Callable[[Outputs], Tensor]], ClassSums]


@dataclass(frozen=True)
class LossTerms:
    """A batch's loss and, by name, its unweighted terms: scalars, in nats where losses.py gives no other unit.

    `label` is the loss on the labels (cross-entropy, or the squared distance), `entropy` that of the predictions.
    """

    total: Tensor
    terms: dict[str, Tensor]

    def values(self) -> Tensor:
        """The loss and its terms as one detached vector, in the order of `RunObjective.names`."""
        return torch.stack([term.detach().float() for term in (self.total, *self.terms.values())])


@dataclass(frozen=True)
class Batch:
    """What the objective must know of a batch besides the model's outputs, for this process's n rows.

    `labels` (n,), with `NO_LABEL` where there is none; `teacher_logits` (n, C) or None; `global_rows` and
    `global_labelled` count the batch over all processes (None: this process has all of it); `part_labelled` counts the
    labelled rows of the part at hand over all processes, where the batch comes in parts; `progress` is the share of the
    run's steps already taken.
    """

    labels: Tensor
    teacher_logits: Tensor | None = None
    global_rows: int | None = None
    global_labelled: int | None = None
    part_labelled: int | None = None
    progress: float = 1.0

    @property
    def all_rows(self) -> int:
        """The rows of the batch over all processes."""
        return self.global_rows or len(self.labels)

    @property
    def all_labelled(self) -> int:
        """Those of them that have a label."""
        return self.all_rows if self.global_labelled is None else self.global_labelled


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
        # Its value is that of `self.add(local)`, which no gradient passes: `scaled` cancels out but for its gradient.
        # That is `count` times the gradient of this process's part, and data-parallel training divides by `count`.
        scaled = self.count * local
        return scaled + (self.add(local.detach()) - scaled.detach())


def plain_objective(objective: Objective) -> Objective:
    """Plain fine-tuning: cross-entropy alone. The space is kept, for what is measured on the way."""
    weights = [
        "cmi_weight",
        "separation_weight",
        "confidence_penalty",
        "label_smoothing",
        "alpha",
        *RARE_TERMS.values(),
    ]
    return objective.model_copy(update=dict.fromkeys(weights, 0.0) | {"label_loss": "ce"})


class RunObjective:
    """The objective of one run, with the state of its centroids and of its space.

    With `parts` of a batch passed one after the other, the terms of each are its share of the batch's, and add up. Each
    part is compared with centroids of its own; those of `ema` take as long to forget as without parts.
    """

    def __init__(
        self, settings: Objective, num_classes: int, processes: Processes | None = None, parts: int = 1
    ) -> None:
        self.settings = settings
        self.num_classes = num_classes
        self.processes = processes or Processes()
        self.space = OutputSpace(settings, self.processes.add, parts)
        momentum = settings.momentum ** (1 / parts)
        self.centroids = make_centroids(settings.centroid, momentum)  # means of p
        self.centres = make_centroids(settings.centroid, momentum)  # means of h
        rare = [term for term, weight in RARE_TERMS.items() if getattr(settings, weight)]
        self.names = ("total", *LOSS_TERMS, *rare)

    def start_epoch(self, epoch: int, train_sums: TrainSums) -> None:
        """Let the centroids look at the train split, if they are of the kind that does."""
        self.centroids.start_epoch(epoch, lambda: self._clustered(train_sums(self.space.p_of_split)))
        if "centre" in self.names:
            self.centres.start_epoch(epoch, lambda: train_sums(lambda outputs: outputs.features.float()))

    def __call__(self, outputs: Outputs, batch: Batch) -> LossTerms:
        """The loss of one batch, of which `outputs` has this process's n rows."""
        settings, rows, labelled_rows = self.settings, batch.all_rows, batch.all_labelled
        known, labels = _labelled(outputs, batch.labels) if labelled_rows < rows else (outputs, batch.labels)
        labelled_rows = max(labelled_rows, 1)

        label = self.processes.mean(label_loss(known.logits.float(), labels, settings), labelled_rows)
        part_rows = labelled_rows if batch.part_labelled is None else max(batch.part_labelled, 1)
        cmi, gamma = self._information(known, labels, labelled_rows, part_rows)
        entropy = self.processes.mean(entropies(known.logits), labelled_rows)
        kd, total = torch.zeros_like(label), label
        if batch.teacher_logits is not None:
            distance = KD_LOSSES[settings.kd_loss].of_rows
            kd_rows = distance(outputs.logits.float(), batch.teacher_logits, settings.temperature)
            kd = self.processes.mean(kd_rows, rows)
            total = (1 - settings.alpha) * label + settings.alpha * kd
        terms = dict(zip(LOSS_TERMS, (label, kd, cmi, gamma, entropy), strict=True))
        terms |= self._of_features(known.features, labels, labelled_rows)
        # A weight of 0 leaves the graph of its term out of the backward pass.
        for name, weight in self._weights(batch.progress).items():
            total = total + weight * terms[name] if weight else total
        return LossTerms(total, terms)

    def _weights(self, progress: float) -> dict[str, float]:
        """What each term but those of labels and teacher is multiplied with."""
        settings = self.settings
        return {
            "cmi": self.cmi_weight(progress) / settings.cmi_unit,
            "gamma": -settings.separation_weight,
            "entropy": -settings.confidence_penalty,
        } | {term: getattr(settings, weight) for term, weight in RARE_TERMS.items()}

    def cmi_weight(self, progress: float) -> float:
        """The weight of CMI after a share `progress` of the steps: it rises linearly over the first `cmi_warmup`."""
        warmup = self.settings.cmi_warmup
        return self.settings.cmi_weight * (min(progress / warmup, 1.0) if warmup else 1.0)

    def state_dict(self) -> dict[str, dict[str, Tensor]]:
        """What centroids and space have gathered so far."""
        return {name: part.state_dict() for name, part in self._stateful().items()}

    def load_state_dict(self, state: dict[str, dict[str, Tensor]], device: torch.device) -> None:
        """Put back what `state_dict` gave."""
        for name, part in self._stateful().items():
            part.load_state_dict(state[name], device)

    def _stateful(self) -> dict[str, Centroids]:
        return {"centroids": self.centroids, "centres": self.centres, "mean": self.space.centre}

    def _information(
        self, outputs: Outputs, labels: Tensor, labelled_rows: int, part_rows: int
    ) -> tuple[Tensor, Tensor]:
        """CMI and Gamma in the objective's space: the share of this part in those of the batch."""
        log_p = self.space.of_batch(outputs)
        of_p, of_log_p = (self._class_sums(values, labels) for values in (log_p.exp(), log_p))
        centroids = self.centroids.update(self._clustered(ClassSums(of_p.totals.detach(), of_p.counts)))
        cluster = labels if self.settings.clusters == "class" else torch.zeros_like(labels)
        cmi = self.processes.mean(kl_to_centroids(log_p, cluster, centroids), labelled_rows)
        gamma = separation_of_sums(of_p.totals, of_log_p.totals, part_rows)
        return cmi, gamma if part_rows == labelled_rows else gamma * (part_rows / labelled_rows)

    def _of_features(self, features: Tensor, labels: Tensor, labelled_rows: int) -> dict[str, Tensor]:
        """The terms of h alone that this run has."""
        rows = {}
        if "centre" in self.names:
            sums = ClassSums(*map(self.processes.add, class_sums(features.detach().float(), labels, self.num_classes)))
            rows["centre"] = centre_distances(features, labels, self.centres.update(sums))
        if "norm" in self.names:
            rows["norm"] = squared_norms(features)
        return {name: self.processes.mean(of_rows, labelled_rows) for name, of_rows in rows.items()}

    def _clustered(self, sums: ClassSums) -> ClassSums:
        """The sums of the clusters, from those of the labels: the same, or one of all rows."""
        if self.settings.clusters == "class":
            return sums
        return ClassSums(sums.totals.sum(dim=0, keepdim=True), sums.counts.sum(dim=0, keepdim=True))

    def _class_sums(self, values: Tensor, labels: Tensor) -> ClassSums:
        local = class_sums(values, labels, self.num_classes)
        return ClassSums(self.processes.total(local.totals), self.processes.add(local.counts))


def _labelled(outputs: Outputs, labels: Tensor) -> tuple[Outputs, Tensor]:
    """The rows that have a label."""
    known = labels != NO_LABEL
    return Outputs(outputs.logits[known], outputs.features[known]), labels[known]
