"""CMI and Gamma of a batch, in the objective's space (docs/method.md, CMI)."""

import torch
from torch import Tensor

from src.core.method.batch import Batch, TrainSums, View
from src.core.method.centroids import Centroids
from src.core.method.cmi import ClassSums, kl_to_centroids, separation_of_sums
from src.core.method.terms.base import Run, Term


class Cmi(Term):
    """CMI: the KL of each labelled row to the centroid of its cluster."""

    name, key, in_every_run = "cmi", "cmi_weight", True

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self.centroids = run.centroids()
        self.of_classes = run.settings.clusters == "class"

    def weight(self, batch: Batch) -> float:
        """The weight over the unit; it rises linearly over the first `cmi_warmup` of the steps."""
        warmup = self.settings.cmi_warmup
        risen = min(batch.progress / warmup, 1.0) if warmup else 1.0
        return self.settings.cmi_weight * risen / self.settings.cmi_unit

    def __call__(self, view: View) -> Tensor:
        """Its mean over the labelled rows, after the centroids have taken in the batch."""
        sums = ClassSums(view.p_sums.totals.detach(), view.p_sums.counts)
        centroids = self.centroids.update(self._clustered(sums))
        cluster = view.labels if self.of_classes else torch.zeros_like(view.labels)
        return view.mean(kl_to_centroids(view.log_p, cluster, centroids))

    def start_epoch(self, epoch: int, train_sums: TrainSums) -> None:
        """Let the centroids look at p over the train split, if they are of the kind that does."""
        self.centroids.start_epoch(epoch, lambda: self._clustered(train_sums(self.run.space.p_of_split)))

    def stateful(self) -> dict[str, Centroids]:
        """The centroids."""
        return {"centroids": self.centroids}

    def _clustered(self, sums: ClassSums) -> ClassSums:
        """The sums of the clusters, from those of the labels: the same, or one of all rows."""
        if self.of_classes:
            return sums
        return ClassSums(sums.totals.sum(dim=0, keepdim=True), sums.counts.sum(dim=0, keepdim=True))


class Gamma(Term):
    """The separation of the classes, of the pairs within a part of a batch."""

    name, key, in_every_run = "gamma", "separation_weight", True

    def weight(self, batch: Batch) -> float:
        """Below 0: more separation is less loss."""
        return -self.settings.separation_weight

    def __call__(self, view: View) -> Tensor:
        """The part's share of the batch's mean over parts."""
        gamma = separation_of_sums(view.p_sums.totals, view.class_sums(view.log_p).totals, view.part_rows)
        return gamma if view.part_rows == view.labelled_rows else gamma * (view.part_rows / view.labelled_rows)
